package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// probes are the requests of the matrix by the rows' names.
var probes = map[string]probe{}

func init() {
	add(signInProbes, staffProbes, delegationProbes, handOverProbes, roleProbes, storeProbes, merchantProbes, keyProbes, customerProbes, householdProbes, formProbes, duplicateProbes, importProbes, timelineProbes, tagProbes, groupProbes, customFieldProbes, validationProbes, catalogProbes, inventoryProbes, pointsProbes, membershipProbes, walletProbes, rewardProbes, referralProbes, segmentProbes, analyticsProbes, orderProbes, stepProbes, operationProbes, memberProbes)
}

func add(groups ...map[string]probe) {
	for _, group := range groups {
		for name, p := range group {
			if probes[name] != nil {
				panic("two probes of " + name)
			}
			probes[name] = p
		}
	}
}

// plain is a request that needs no object.
func plain(method, path string, body any, headers ...string) probe {
	return func(c *cell) byte { return judge(c.do(method, path, body, headers...)) }
}

// opens tells whether a stream is opened; it does not wait for its end.
func (c *cell) opens(path string) byte {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		return strange
	}
	if c.actor.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.actor.token)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return strange
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return allowed
	}
	return judge(&testkit.Response{Status: res.StatusCode, Header: res.Header, Body: read(res.Body)})
}

// guest is the cell with somebody who may lose their session over it.
func (c *cell) guest() *cell {
	g := *c
	g.actor = c.fresh(c.actor.column)
	return &g
}

// somebody is a member of staff at a place: the caller, one of the store, one
// of another store, nobody. One who is about to be changed is made anew.
func (c *cell) somebody(anew bool) uuid.UUID {
	switch {
	case c.object == "self" && c.actor.staff != uuid.Nil:
		return c.actor.staff
	case c.object == "none", c.object == "self":
		return uuid.New()
	}
	home, known := c.a, c.colleague
	if c.object == "other" {
		home, known = c.b, c.stranger
	}
	if !anew || !c.actor.signedIn() {
		return known.staff
	}
	return c.person("person", home, grant{role: "assistant", scope: "own"}).staff
}

var signInProbes = map[string]probe{
	"login": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/auth/login", map[string]any{"username": c.colleague.name, "password": testkit.StaffPassword},
			"X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"refreshSession": func(c *cell) byte {
		someone := c.person("refreshing", c.a)
		c.signIn(someone)
		return judge(c.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": someone.refresh}))
	},
	"logout": func(c *cell) byte { return judge(c.guest().do(http.MethodPost, "/v1/auth/logout", nil)) },
	"listSessions": func(c *cell) byte {
		id := c.actor.session
		if c.object != "self" {
			id = c.sessionOf(c.colleague)
		}
		return among(c.do(http.MethodGet, "/v1/auth/sessions", nil), id)
	},
	"revokeOtherSessions": func(c *cell) byte { return judge(c.guest().do(http.MethodDelete, "/v1/auth/sessions", nil)) },
	"revokeSession": func(c *cell) byte {
		id := uuid.New()
		switch c.object {
		case "self":
			if c.actor.staff != uuid.Nil {
				second := *c.actor
				c.signIn(&second)
				id = second.session
			}
		case "colleague":
			id = c.sessionOf(c.colleague)
		}
		return judge(c.do(http.MethodDelete, "/v1/auth/sessions/"+id.String(), nil))
	},
	"changePassword": func(c *cell) byte {
		return judge(c.guest().do(http.MethodPost, "/v1/auth/password",
			map[string]any{"current_password": testkit.StaffPassword, "new_password": "twelve copper kettles"}, "X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"verifySecondFactor": func(c *cell) byte {
		someone := c.person("halfway", c.a)
		secret := c.factor(someone.staff, "totp", true)
		return judge(c.do(http.MethodPost, "/v1/auth/mfa/verify", map[string]any{"mfa_token": c.halfway(someone), "method": "totp", "code": code(secret)},
			"X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"getSecondFactors": plain(http.MethodGet, "/v1/auth/mfa", nil),
	"enrolTotp":        func(c *cell) byte { return judge(c.guest().do(http.MethodPost, "/v1/auth/mfa/totp", nil)) },
	"confirmTotp": func(c *cell) byte {
		g := c.guest()
		secret := g.factor(g.actor.staff, "totp", false)
		return judge(g.do(http.MethodPost, "/v1/auth/mfa/totp/confirm", map[string]any{"code": code(secret)}))
	},
	"enrolSms": func(c *cell) byte {
		return sends(c.guest().do(http.MethodPost, "/v1/auth/mfa/sms", map[string]any{"phone": testkit.Phone(c.numbers.Add(1))}))
	},
	"confirmSms": func(c *cell) byte {
		g := c.guest()
		sent := g.factor(g.actor.staff, "sms", false)
		return judge(g.do(http.MethodPost, "/v1/auth/mfa/sms/confirm", map[string]any{"code": string(sent)}))
	},
	"sendSecondFactorCode": func(c *cell) byte {
		g := c.guest()
		g.factor(g.actor.staff, "sms", true)
		return sends(g.do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{}, "X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"sendSecondFactorCode/halfway": func(c *cell) byte {
		someone := c.person("halfway", c.a)
		c.factor(someone.staff, "sms", true)
		return sends(c.do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{"mfa_token": c.halfway(someone)}, "X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"renewRecoveryCodes": func(c *cell) byte {
		g := c.guest()
		g.factor(g.actor.staff, "totp", true)
		return judge(g.do(http.MethodPost, "/v1/auth/mfa/recovery-codes", nil))
	},
	"removeSecondFactor": func(c *cell) byte {
		g := c.guest()
		if c.object == "self" {
			g.factor(g.actor.staff, "totp", true)
		}
		return judge(g.do(http.MethodDelete, "/v1/auth/mfa/totp", nil))
	},
	"stepUp": func(c *cell) byte {
		return judge(c.guest().do(http.MethodPost, "/v1/auth/step-up", map[string]any{"method": "password", "password": testkit.StaffPassword},
			"X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"requestPasswordReset": func(c *cell) byte {
		return sends(c.do(http.MethodPost, "/v1/auth/password-resets", map[string]any{"username": c.colleague.name}, "X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"confirmPasswordReset": func(c *cell) byte {
		someone, text := c.person("forgetful", c.a), c.word("shp_")
		c.exec(`INSERT INTO password_resets (id, staff_id, token_hash, created_at, expires_at) VALUES ($1, $2, sha256($3), now(), now() + interval '10 minutes')`,
			c.id(), someone.staff, []byte(text))
		return judge(c.do(http.MethodPost, "/v1/auth/password-resets/confirm", map[string]any{"token": text, "password": "fifteen glass marbles"},
			"X-Forwarded-For", address(c.numbers.Add(1))))
	},
	"createStreamTicket": plain(http.MethodPost, "/v1/stream-tickets", map[string]any{"path": "/v1/jobs/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11/events"}),
	"getMe":              plain(http.MethodGet, "/v1/me/staff", nil),
}

// sends judges an operation that sends something: where nothing is set up to
// send with, it gets as far as saying so.
func sends(r *testkit.Response) byte {
	if code, _ := object(r.Body)["code"].(string); code == "sms.not_configured" || code == "mail.not_configured" {
		return allowed
	}
	return judge(r)
}

// factor gives somebody a second factor, as the system: the secret of an app,
// or a code that was sent. Their sessions count as signed in with it.
func (w *world) factor(staff uuid.UUID, method string, confirmed bool) []byte {
	if staff == uuid.Nil {
		return []byte("123456")
	}
	id, secret, kept := w.id(), []byte("12345678901234567890"), []byte("12345678901234567890")
	var challenge *uuid.UUID
	if method == "sms" {
		c, err := otp.New(w.DB, w.Clock, w.Keys).Issue(w.ctx, otp.Request{Purpose: "staff.second_factor", Subject: "staff:" + staff.String()})
		require.NoError(w.t, err)
		secret, kept, challenge = []byte(c.Code), []byte("+86"+testkit.Phone(w.numbers.Add(1))), &c.ID
		if confirmed { // else the next one would have to wait
			w.exec(`DELETE FROM one_time_codes WHERE id = $1`, c.ID)
		}
	}
	w.exec(`INSERT INTO staff_factors (id, staff_id, method, secret_sealed, challenge_id, confirmed_at, created_at)
		VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END, now())`, id, staff, method, w.Keys.SealBlob("identity.factor", id[:], kept), challenge, confirmed)
	w.exec(`UPDATE sessions SET factor_level = 'second' WHERE staff_id = $1`, staff)
	return secret
}

// code is what an authenticator app shows now.
func code(secret []byte) string {
	m := hmac.New(sha1.New, secret)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := m.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// halfway signs somebody in as far as their second factor.
func (w *world) halfway(a *actor) string {
	r := w.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": a.name, "password": testkit.StaffPassword},
		"X-Forwarded-For", address(w.numbers.Add(1))).Want(http.StatusOK).Map()
	require.Equal(w.t, true, r["mfa_required"])
	return r["mfa_token"].(string)
}

func (c *cell) sessionOf(a *actor) uuid.UUID {
	return once(c.world, "session of "+a.name, func() uuid.UUID {
		c.signIn(a)
		return a.session
	})
}

var staffProbes = map[string]probe{
	"listStaff": func(c *cell) byte {
		id := c.somebody(false)
		name := c.actor.name
		switch c.object {
		case "store":
			name = c.colleague.name
		case "other":
			name = c.stranger.name
		}
		query := ""
		if name != "" {
			query = "?q=" + name
		}
		return among(c.do(http.MethodGet, "/v1/staff"+query, nil), id)
	},
	"listStaff/count": func(c *cell) byte {
		r := c.do(http.MethodGet, "/v1/staff?include=total_count&store_id="+c.storeAt().String(), nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"getStaff": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/staff/"+c.somebody(false).String(), nil)) },
	"createStaff": func(c *cell) byte {
		// Without grants, which have rules of their own: the store alone decides.
		body := map[string]any{"username": c.word("new"), "name": "新人", "password": testkit.StaffPassword}
		if c.object != "head" {
			body["store_id"] = c.storeAt()
		}
		return judge(c.do(http.MethodPost, "/v1/staff", body))
	},
	"createStaff/superior": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/staff", map[string]any{"username": c.word("new"), "name": "新人", "password": testkit.StaffPassword,
			"store_id": c.a, "grants": []any{map[string]any{"role": "administrator", "scope": "all"}}}))
	},
	"updateStaff": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/staff/"+c.somebody(true).String(), map[string]any{"name": "改名"}))
	},
	"updateStaff/status": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/staff/"+c.somebody(true).String(), map[string]any{"status": "disabled"}))
	},
	"updateStaff/move": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/staff/"+c.somebody(true).String(), map[string]any{"store_id": c.b}))
	},
	"deleteStaff": func(c *cell) byte { return judge(c.do(http.MethodDelete, "/v1/staff/"+c.somebody(true).String(), nil)) },
	"resetStaffPassword": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/staff/"+c.somebody(true).String()+"/password-reset", map[string]any{"password": "fourteen tin whistles"}))
	},
	"resetStaffPassword/superior": func(c *cell) byte {
		boss := c.person("boss", c.a, grant{role: "administrator", scope: "all"})
		return judge(c.do(http.MethodPost, "/v1/staff/"+boss.staff.String()+"/password-reset", map[string]any{"password": "fourteen tin whistles"}))
	},
	"resetStaffFactors": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/staff/"+c.somebody(true).String()+"/mfa", nil))
	},
	"revokeStaffSessions": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/staff/"+c.somebody(true).String()+"/sessions", nil))
	},
	"createGrant": func(c *cell) byte {
		body := map[string]any{"role": "inventory_clerk", "scope": "store", "store_id": c.a}
		if c.object == "other" {
			body["store_id"] = c.b
		}
		return judge(c.do(http.MethodPost, "/v1/staff/"+c.somebody(true).String()+"/grants", body))
	},
	"createGrant/beyond": func(c *cell) byte {
		body := map[string]any{"role": "inventory_clerk", "scope": "store", "store_id": c.b}
		if c.object == "all" {
			body = map[string]any{"role": "inventory_clerk", "scope": "all"}
		}
		someone := c.person("person", c.a)
		return judge(c.do(http.MethodPost, "/v1/staff/"+someone.staff.String()+"/grants", body))
	},
	"deleteGrant": func(c *cell) byte {
		id := c.somebody(true)
		grant := uuid.NullUUID{UUID: uuid.New(), Valid: true}
		if c.object != "none" {
			c.one(&grant, "SELECT (SELECT id FROM role_grants WHERE staff_id = $1 LIMIT 1)", id)
		}
		return judge(c.do(http.MethodDelete, "/v1/staff/"+id.String()+"/grants/"+grant.UUID.String(), nil))
	},
}

// delegation is a request for a colleague of a store to stand in.
func (c *cell) delegation(deputyOf uuid.UUID) map[string]any {
	deputy := c.person("deputy", deputyOf, grant{role: "assistant", scope: "own"})
	return map[string]any{"to_staff_id": deputy.staff, "ends_at": "2099-01-01T00:00:00Z", "starts_at": "2098-07-01T00:00:00Z", "reason": "leave"}
}

var delegationProbes = map[string]probe{
	"listDelegations": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/staff/"+c.somebody(false).String()+"/delegations", nil))
	},
	"createDelegation": func(c *cell) byte {
		home := c.a
		if c.object == "other" {
			home = c.b
		}
		return judge(c.do(http.MethodPost, "/v1/staff/"+c.somebody(true).String()+"/delegations", c.delegation(home)))
	},
	"createDelegation/deputy": func(c *cell) byte {
		away := c.person("away", c.a, grant{role: "assistant", scope: "own"})
		return judge(c.do(http.MethodPost, "/v1/staff/"+away.staff.String()+"/delegations", c.delegation(c.b)))
	},
	"endDelegation": func(c *cell) byte {
		away, id := c.somebody(true), c.id()
		if c.object != "none" && c.actor.signedIn() {
			c.exec(`INSERT INTO delegations (id, staff_id, to_staff_id, starts_at, ends_at, reason, created_at)
				SELECT $1, id, $3, now(), now() + interval '1 day', 'leave', now() FROM staff WHERE id = $2`, id, away, c.person("deputy", c.a).staff)
		}
		return judge(c.do(http.MethodDelete, "/v1/staff/"+away.String()+"/delegations/"+id.String(), nil))
	},
}

func (c *cell) handOver(from, home uuid.UUID) byte {
	to := c.person("taker", home, grant{role: "assistant", scope: "own"})
	return judge(c.do(http.MethodPost, "/v1/customers/hand-over", map[string]any{"from_staff_id": from, "to_staff_id": to.staff, "reason": "left"}))
}

var handOverProbes = map[string]probe{
	"listSecurityAlerts": func(c *cell) byte {
		who := c.person("watched", c.storeAt())
		c.exec(`INSERT INTO audit_logs (id, created_at, actor_kind, actor_name, action, object_type, object_id, store_id, changes)
			VALUES ($1, now(), 'system', 'watch-access', 'security.alert', 'staff', $2, $3, '{"kind": "reveals", "count": 61, "minutes": 10, "name": "x"}')`, c.id(), who.staff, c.storeAt())
		return among(c.do(http.MethodGet, "/v1/security-alerts", nil), who.staff)
	},
	"listStaffLoads": func(c *cell) byte {
		who := c.person("loaded", c.storeAt())
		return among(c.do(http.MethodGet, "/v1/staff-loads?staff_id="+who.staff.String(), nil), who.staff)
	},
	"listAssignmentRules": func(c *cell) byte {
		id := c.assignmentRule()
		return among(c.do(http.MethodGet, "/v1/assignment-rules?limit=200&store_id="+c.storeAt().String(), nil), id)
	},
	"getAssignmentRule": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/assignment-rules/"+c.assignmentRule().String(), nil))
	},
	"createAssignmentRule": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/assignment-rules", map[string]any{"store_id": c.storeAt(), "name": "x", "position": 1, "active": false}))
	},
	"updateAssignmentRule": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/assignment-rules/"+c.assignmentRule().String(), map[string]any{"position": 2}))
	},
	"deleteAssignmentRule": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/assignment-rules/"+c.assignmentRule().String(), nil))
	},
	"previewAssignment": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/assignment-rules/preview", map[string]any{"store_id": c.storeAt()}))
	},
	"applyAssignment": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/assignment-rules/apply", map[string]any{"store_id": c.storeAt()}))
	},
	"handOverCustomers":        func(c *cell) byte { return c.handOver(c.somebody(true), c.storeAt2()) },
	"handOverCustomers/deputy": func(c *cell) byte { return c.handOver(c.person("leaver", c.a).staff, c.b) },
}

// assignmentRule is a rule of the object's store that is off.
func (c *cell) assignmentRule() uuid.UUID {
	id := c.id()
	if c.object != "none" {
		c.exec(`INSERT INTO assignment_rules (id, store_id, name, position, active, method, created_at, updated_at)
			VALUES ($1, $2, 'x', 1, false, 'round_robin', now(), now())`, id, c.storeAt())
	}
	return id
}

// storeAt2 is the store of those who take over: of the same place.
func (c *cell) storeAt2() uuid.UUID {
	if c.object == "other" {
		return c.b
	}
	return c.a
}

// counted tells whether a total is more than none.
func counted(r *testkit.Response) byte {
	if n, _ := object(r.Body)["total_count"].(float64); n > 0 {
		return allowed
	}
	return hidden
}

var roleProbes = map[string]probe{
	"listPermissions": plain(http.MethodGet, "/v1/permissions", nil),
	"listRoles":       plain(http.MethodGet, "/v1/roles", nil),
	"getRole":         func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/roles/"+c.someRole().String(), nil)) },
	"createRole": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/roles", map[string]any{"code": c.word("role"), "name": "新角色", "permissions": []string{"stores.read"}}))
	},
	"updateRole": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/roles/"+c.someRole().String(), map[string]any{"name": "改名"}, "If-Match", `"1"`))
	},
	"deleteRole": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/roles/"+c.someRole().String(), nil, "If-Match", `"1"`))
	},
}

func (c *cell) someRole() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	// Without permissions, which have a rule of their own: only that it is a role counts.
	id, _ := c.role()
	return id
}

// storeAt is the store an object lies in.
func (c *cell) storeAt() uuid.UUID {
	switch c.object {
	case "other":
		return c.b
	case "none":
		return uuid.New()
	}
	return c.a
}

var storeProbes = map[string]probe{
	"listStores": func(c *cell) byte {
		return among(c.do(http.MethodGet, "/v1/stores?limit=200", nil), c.storeAt())
	},
	"getStore": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/stores/"+c.storeAt().String(), nil)) },
	"createStore": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stores", map[string]any{"code": c.word("NS"), "name": "新店"}))
	},
	"updateStore": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/stores/"+c.storeAt().String(), map[string]any{"city": "上海市"}))
	},
	"updateStore/region": func(c *cell) byte {
		id := c.a
		if c.actor.column == "administrator" {
			id = c.store(c.north) // the move would change what others see
		}
		return judge(c.do(http.MethodPatch, "/v1/stores/"+id.String(), map[string]any{"region_id": c.south}))
	},
	"deleteStore": func(c *cell) byte {
		id := uuid.New()
		if c.object == "any" {
			id = c.store(c.north)
		}
		return judge(c.do(http.MethodDelete, "/v1/stores/"+id.String(), nil))
	},
	"listRegions": plain(http.MethodGet, "/v1/regions", nil),
	"getRegion": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/regions/"+c.someRegion(false).String(), nil))
	},
	"createRegion": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/regions", map[string]any{"code": c.word("NR"), "name": "新区"}))
	},
	"updateRegion": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/regions/"+c.someRegion(false).String(), map[string]any{"name": "改名"}))
	},
	"deleteRegion": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/regions/"+c.someRegion(true).String(), nil))
	},
}

var merchantProbes = map[string]probe{
	"listMerchants": func(c *cell) byte {
		id := c.merchant()
		return among(c.do(http.MethodGet, "/v1/merchants?limit=200&q="+c.merchantCode(id), nil), id)
	},
	"getMerchant": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/merchants/"+c.someMerchant().String(), nil))
	},
	"createMerchant": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/merchants", map[string]any{"code": c.word("NM"), "name": "新商户"}))
	},
	"updateMerchant": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/merchants/"+c.someMerchant().String(), map[string]any{"place": "3F-001"}))
	},
	"deleteMerchant": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/merchants/"+c.someMerchant().String(), nil))
	},
	"updateStore/merchant": func(c *cell) byte {
		id := c.a
		if c.actor.column == "administrator" {
			id = c.store(c.north) // the move would change what others see
		}
		return judge(c.do(http.MethodPatch, "/v1/stores/"+id.String(), map[string]any{"merchant_id": c.merchant()}))
	},
}

func (c *cell) someMerchant() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	return c.merchant()
}

func (w *world) merchant() uuid.UUID {
	id := w.id()
	w.exec(`INSERT INTO merchants (id, code, name, status, version, created_at, updated_at) VALUES ($1, $2, '商户', 'active', 1, now(), now())`, id, w.word("ME"))
	return id
}

func (w *world) merchantCode(id uuid.UUID) (code string) {
	w.one(&code, "SELECT code FROM merchants WHERE id = $1", id)
	return code
}

func (c *cell) someRegion(anew bool) uuid.UUID {
	switch {
	case c.object == "none":
		return uuid.New()
	case anew:
		return c.region()
	}
	return c.north
}

var keyProbes = map[string]probe{
	"listApiKeys": func(c *cell) byte {
		id := c.someKey() // the newest, so on the first page
		return among(c.do(http.MethodGet, "/v1/api-keys?limit=200", nil), id)
	},
	"getApiKey": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/api-keys/"+c.someKey().String(), nil)) },
	"createApiKey": func(c *cell) byte {
		body := map[string]any{"name": "new", "permissions": []string{"stores.read"}}
		if c.object == "all" {
			body["all_stores"] = true
		} else {
			body["store_ids"] = []uuid.UUID{c.storeAt()}
		}
		return judge(c.do(http.MethodPost, "/v1/api-keys", body))
	},
	"updateApiKey": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/api-keys/"+c.someKey().String(), map[string]any{"name": "renamed"}))
	},
	"rotateApiKey": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/api-keys/"+c.someKey().String()+"/rotate", map[string]any{}))
	},
	"createOAuthToken": func(c *cell) byte {
		key := once(c.world, "a machine's key", func() *actor { return c.apiKey([]string{"stores.read"}, c.a) })
		return judge(c.exchange(key.token))
	},
	"createOAuthToken/wrong": func(c *cell) byte {
		key := once(c.world, "a machine's key", func() *actor { return c.apiKey([]string{"stores.read"}, c.a) })
		return judge(c.exchange(key.token[:len(key.token)-1] + "0"))
	},
	"getOAuthMetadata": plain(http.MethodGet, "/.well-known/oauth-authorization-server", nil),
	"revokeApiKey":     func(c *cell) byte { return judge(c.do(http.MethodDelete, "/v1/api-keys/"+c.someKey().String(), nil)) },
}

// exchange asks for a short token, each time from an address of its own.
func (c *cell) exchange(key string) *testkit.Response {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {strings.Split(key, "_")[2]}, "client_secret": {key}}
	return c.do(http.MethodPost, "/v1/oauth/token", strings.NewReader(form.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", address(c.numbers.Add(1)))
}

// someKey is a new key that reaches as far as the object's name says.
func (c *cell) someKey() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	id := c.id()
	c.exec(`INSERT INTO api_keys (id, name, key_id, secret_hash, permissions, all_stores, store_ids, version, created_at, updated_at)
		VALUES ($1, 'fixture', $2, '\x00', '{stores.read}', $3, CASE WHEN $3 THEN '{}'::uuid[] ELSE ARRAY[$4::uuid] END, 1, now(), now())`,
		id, c.word("key"), c.object == "all", c.storeAt())
	return id
}
