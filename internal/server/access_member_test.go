package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturn"
	"github.com/shuke-crm/shuke/ent/crm/consent"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/crm/customermetrics"
	"github.com/shuke-crm/shuke/ent/crm/membersession"
	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

const phoneDevice = "access-test"

// memberPassword is what members of these tests set.
const memberPassword = "nine quiet harbours"

func (w *world) mobile() string { return fmt.Sprintf("139%08d", w.numbers.Add(1)) }

// miniBody signs somebody in by a mini-program.
func (w *world) miniBody(openID string) map[string]any {
	return map[string]any{"code": w.Outside.LoginCode(fake.Person{OpenID: openID}), "device_id": phoneDevice, "consent": map[string]any{"text_version": 1}}
}

func (w *world) signInMember(openID string) *actor {
	var tokens struct {
		AccessToken  string    `json:"access_token"`
		RefreshToken string    `json:"refresh_token"`
		SessionID    uuid.UUID `json:"session_id"`
		CustomerID   uuid.UUID `json:"customer_id"`
	}
	w.Do(http.MethodPost, "/v1/member/auth/wechat-mini", w.miniBody(openID), "X-Forwarded-For", address(w.numbers.Add(1))).Want(http.StatusOK).JSON(&tokens)
	return &actor{column: "member", member: tokens.CustomerID, token: tokens.AccessToken, refresh: tokens.RefreshToken, session: tokens.SessionID, name: openID}
}

// member is a new customer, signed in by a mini-program, with a phone and an order.
func (w *world) member() *actor {
	a := w.signInMember(w.word("open-id-"))
	w.as(a, http.MethodPost, "/v1/member/auth/wechat-mini/phone", map[string]any{"code": w.Outside.PhoneCode(fake.Phone{Phone: w.mobile()})})
	b := buyer{id: a.member, external: w.word("M-")}
	w.purchase(&b, w.a, nil)
	return a
}

func (w *world) as(a *actor, method, path string, body any) []byte {
	r := w.Do(method, path, body, "Authorization", "Bearer "+a.token)
	require.Less(w.t, r.Status, 300, "%s %s: %s", method, path, r.Body)
	return r.Body
}

// whose is the member whose things a cell is about: the caller, if they are one,
// or another. One who is about to lose something is made anew.
func (c *cell) whose(anew bool) (caller *cell, owner *actor) {
	caller = c
	if anew && c.actor.column == "member" {
		caller = c.guest()
	}
	if c.object == "own" && caller.actor.member != uuid.Nil {
		return caller, caller.actor
	}
	if anew {
		return caller, c.world.member()
	}
	return caller, once(c.world, "another member", c.world.member)
}

// rowOf is a thing of a member's by its table.
func (w *world) rowOf(a *actor, table, condition string) (id uuid.UUID) {
	w.one(&id, "SELECT id FROM "+table+" WHERE customer_id = $1"+condition+" ORDER BY id LIMIT 1", a.member)
	return id
}

// lists tells whether a member's thing is in a list.
func lists(path, table string) probe {
	return func(c *cell) byte {
		caller, owner := c.whose(false)
		return among(caller.do(http.MethodGet, path, nil), c.rowOf(owner, table, ""))
	}
}

// onOwn is a request about a thing of a member's own.
func onOwn(method, path, table string, body any) probe {
	return func(c *cell) byte {
		caller, owner := c.whose(true)
		id := uuid.New()
		if c.object != "none" {
			id = c.rowOf(owner, table, "")
		}
		return judge(caller.do(method, fmt.Sprintf(path, id), body))
	}
}

// asGuest is a request of somebody who may change by it.
func asGuest(method, path string, body func(*world) any) probe {
	return func(c *cell) byte {
		var b any
		if body != nil {
			b = body(c.world)
		}
		caller := c
		if c.actor.column == "member" {
			caller = c.guest()
		}
		return judge(caller.do(method, path, b))
	}
}

// enters is a request that anybody may sign in with, from an address of its own.
func enters(path string, body func(*world) any) probe {
	return func(c *cell) byte {
		return judge(c.do(http.MethodPost, path, body(c.world), "X-Forwarded-For", address(c.numbers.Add(1))))
	}
}

var memberProbes = map[string]probe{
	"getConsentTexts": plain(http.MethodGet, "/v1/member/consent-texts", nil),
	"sendMemberCode": enters("/v1/member/auth/sms-codes", func(w *world) any {
		return map[string]any{"phone": w.mobile(), "purpose": "sign_in", "device_id": w.word("device-")}
	}),
	"signInByCode": enters("/v1/member/auth/sms", func(w *world) any {
		phone, device := w.mobile(), w.word("device-")
		var sent struct {
			ID uuid.UUID `json:"challenge_id"`
		}
		w.Do(http.MethodPost, "/v1/member/auth/sms-codes", map[string]any{"phone": phone, "purpose": "sign_in", "device_id": device},
			"X-Forwarded-For", address(w.numbers.Add(1))).Want(http.StatusOK).JSON(&sent)
		return map[string]any{"challenge_id": sent.ID, "phone": phone, "code": w.Outside.SMSCode("+86" + phone), "device_id": device, "consent": map[string]any{"text_version": 1}}
	}),
	"signInByPassword": enters("/v1/member/auth/password", func(w *world) any {
		a := w.member()
		w.as(a, http.MethodPut, "/v1/member/password", map[string]any{"password": memberPassword})
		var p struct{ Phone string }
		r := w.Do(http.MethodGet, "/v1/member/profile", nil, "Authorization", "Bearer "+a.token).Want(http.StatusOK)
		r.JSON(&p)
		return map[string]any{"phone": p.Phone, "password": memberPassword, "device_id": phoneDevice}
	}),
	"signInByMiniProgram":  enters("/v1/member/auth/wechat-mini", func(w *world) any { return w.miniBody(w.word("open-id-")) }),
	"beginOfficialAccount": plain(http.MethodGet, "/v1/member/auth/wechat-official/authorize?device_id="+phoneDevice+"&redirect_uri=https://shop.example.com/in", nil),
	"signInByOfficialAccount": enters("/v1/member/auth/wechat-official", func(w *world) any {
		body := w.miniBody("")
		body["code"] = w.Outside.OAuthCode(fake.Person{OpenID: w.word("open-id-")})
		body["state"] = w.begin("/v1/member/auth/wechat-official/authorize?redirect_uri=https://shop.example.com/in&device_id=" + phoneDevice).state
		return body
	}),
	"beginOpenIDConnect": plain(http.MethodGet, "/v1/member/auth/oidc/"+fake.OIDCName+"/authorize?device_id="+phoneDevice, nil),
	"signInByOpenIDConnect": enters("/v1/member/auth/oidc/"+fake.OIDCName, func(w *world) any {
		begun := w.begin("/v1/member/auth/oidc/" + fake.OIDCName + "/authorize?device_id=" + phoneDevice)
		browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := browser.Get(begun.url)
		require.NoError(w.t, err)
		_ = res.Body.Close()
		back, err := res.Location()
		require.NoError(w.t, err)
		body := w.miniBody("")
		body["code"], body["state"] = back.Query().Get("code"), begun.state
		return body
	}),
	"refreshMemberSession": enters("/v1/member/auth/refresh", func(w *world) any { return map[string]any{"refresh_token": w.member().refresh} }),
	"bindMiniProgramPhone": asGuest(http.MethodPost, "/v1/member/auth/wechat-mini/phone", func(w *world) any {
		return map[string]any{"code": w.Outside.PhoneCode(fake.Phone{Phone: w.mobile()})}
	}),
	"logoutMember":           asGuest(http.MethodPost, "/v1/member/auth/logout", nil),
	"listMemberSessions":     lists("/v1/member/auth/sessions", "member_sessions"),
	"logoutMemberEverywhere": asGuest(http.MethodDelete, "/v1/member/auth/sessions", nil),
	"endMemberSession":       onOwn(http.MethodDelete, "/v1/member/auth/sessions/%s", "member_sessions", nil),
	"setMemberPassword":      asGuest(http.MethodPut, "/v1/member/password", func(*world) any { return map[string]any{"password": memberPassword} }),
	"listMemberIdentities":   lists("/v1/member/identities", "customer_identities"),
	"linkMemberIdentity": asGuest(http.MethodPost, "/v1/member/identities", func(w *world) any {
		return map[string]any{"provider": "wechat_mini", "code": w.Outside.LoginCode(fake.Person{OpenID: w.word("open-id-")}), "device_id": phoneDevice}
	}),
	"unlinkMemberIdentity": onOwn(http.MethodDelete, "/v1/member/identities/%s", "customer_identities", nil),
	"getMemberProfile": func(c *cell) byte {
		caller, owner := c.whose(false)
		return among(caller.do(http.MethodGet, "/v1/member/profile", nil), owner.member)
	},
	"updateMemberProfile":   asGuest(http.MethodPatch, "/v1/member/profile", func(*world) any { return map[string]any{"name": "新名字"} }),
	"checkInMember":         asGuest(http.MethodPost, "/v1/member/points/check-ins", nil),
	"getMemberReferralCode": asGuest(http.MethodGet, "/v1/member/referral-code", nil),
	"listMemberReferrals":   asGuest(http.MethodGet, "/v1/member/referrals", nil),
	"createMemberReferral": func(c *cell) byte {
		r := c.do(http.MethodPost, "/v1/member/referrals", map[string]any{"code": "ANY"})
		if r.Status == http.StatusUnprocessableEntity && r.Map()["code"] == "referrals.programme_off" {
			return allowed
		}
		return judge(r)
	},
	"getMemberPoints":             asGuest(http.MethodGet, "/v1/member/points", nil),
	"listMemberPointsEntries":     asGuest(http.MethodGet, "/v1/member/points/entries", nil),
	"getMemberWallet":             asGuest(http.MethodGet, "/v1/member/wallet", nil),
	"listMemberWalletEntries":     asGuest(http.MethodGet, "/v1/member/wallet/entries", nil),
	"listMemberRewards":           asGuest(http.MethodGet, "/v1/member/rewards", nil),
	"listMemberRewardRedemptions": asGuest(http.MethodGet, "/v1/member/reward-redemptions", nil),
	"redeemMemberReward": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/member/reward-redemptions", map[string]any{"reward_id": c.reward()}, c.richMember()...))
	},
	"cancelMemberRewardRedemption": func(c *cell) byte {
		id := uuid.New()
		if c.actor.column == "member" {
			headers := c.richMember()
			id = uuid.MustParse(c.do(http.MethodPost, "/v1/member/reward-redemptions", map[string]any{"reward_id": c.reward()}, headers...).Want(http.StatusCreated).Map()["id"].(string))
		}
		return judge(c.do(http.MethodPost, "/v1/member/reward-redemptions/"+id.String()+"/cancel", nil, c.stockKey()...))
	},
	"redeemMemberGiftCard": func(c *cell) byte {
		caller, card := c, c.giftCard()
		if c.actor.column == "member" {
			caller = c.guest()
		}
		return judge(caller.do(http.MethodPost, "/v1/member/gift-cards/redeem", map[string]any{"code": card.code, "amount": 5}, c.stockKey()...))
	},
	"setMemberWalletPin":       asGuest(http.MethodPut, "/v1/member/wallet/pin", func(*world) any { return map[string]any{"pin": "271828"} }),
	"getMemberMembership":      asGuest(http.MethodGet, "/v1/member/membership", nil),
	"listMemberOrders":         lists("/v1/member/orders", "orders"),
	"getMemberOrder":           onOwn(http.MethodGet, "/v1/member/orders/%s", "orders", nil),
	"listMemberTrackingEvents": onOwn(http.MethodGet, "/v1/member/orders/%s/tracking-events", "orders", nil),
	"listMemberConsents":       lists("/v1/member/consents", "consents"),
	"grantMemberConsent":       asGuest(http.MethodPost, "/v1/member/consents", func(*world) any { return map[string]any{"purpose": "marketing", "text_version": 1} }),
	"withdrawMemberConsent":    onOwn(http.MethodPost, "/v1/member/consents/%s/withdraw", "consents", nil),

	"listCustomerIdentities": func(c *cell) byte {
		b := c.newBuyer()
		id := uuid.New()
		if c.object != "none" {
			id = c.linked(b)
		}
		return among(c.do(http.MethodGet, "/v1/customers/"+b.id.String()+"/identities", nil), id)
	},
	"deleteCustomerIdentity": func(c *cell) byte {
		b := c.newBuyer()
		id := uuid.New()
		if c.object != "none" {
			id = c.linked(b)
		}
		letter := judge(c.do(http.MethodDelete, "/v1/customers/"+b.id.String()+"/identities/"+id.String(), nil))
		var left int
		c.one(&left, "SELECT count(*) FROM customer_identities WHERE id = $1", id)
		if c.object != "none" && (left == 0) != (letter == allowed) {
			return strange
		}
		return letter
	},
}

type begun struct{ url, state string }

func (w *world) begin(path string) begun {
	var b struct{ URL, State string }
	w.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&b)
	if _, err := url.Parse(b.URL); err != nil {
		w.t.Fatal(err)
	}
	return begun{b.URL, b.State}
}

// linked lets a customer sign in by the phone on their record.
func (w *world) linked(b buyer) uuid.UUID {
	a := w.signInMember(w.word("open-id-"))
	w.as(a, http.MethodPost, "/v1/member/auth/wechat-mini/phone", map[string]any{"code": w.Outside.PhoneCode(fake.Phone{Phone: b.phone})})
	return w.rowOf(&actor{member: b.id}, "customer_identities", " AND provider = 'phone'")
}

// memberEntities are what members see of their own, with the rows of the golden
// table that depend on it.
var memberEntities = map[string]scoped{
	"Customer": {&customer.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Customer.Query().Count(ctx) }},
	"CustomerMetrics": {&customermetrics.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.CustomerMetrics.Query().Count(ctx) }},
	"Order": {&order.Policy, []string{"getMemberOrder"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.Order.Query().Count(ctx) }},
	"OrderReturn": {&orderreturn.Policy, nil,
		func(ctx context.Context, w *world) (int, error) { return w.DB.Commerce.OrderReturn.Query().Count(ctx) }},
	"CustomerIdentity": {&customeridentity.Policy, nil, // asked for by the member's own id
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.CustomerIdentity.Query().Count(ctx) }},
	"MemberSession": {&membersession.Policy, []string{"endMemberSession"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.MemberSession.Query().Count(ctx) }},
	"Consent": {&consent.Policy, []string{"withdrawMemberConsent"},
		func(ctx context.Context, w *world) (int, error) { return w.DB.CRM.Consent.Query().Count(ctx) }},
}

// A member sees their own rows and nobody else's; without the policy the table
// notices. Of what belongs to the business they see nothing at all.
func TestMembersSeeTheirOwn(t *testing.T) {
	rows := readGolden(t)
	w := newWorld(t)
	me := w.member()
	w.member()
	actor := auth.OfMember(me.member)
	ctx := auth.With(context.Background(), actor)
	for name, e := range memberEntities {
		t.Run(name, func(t *testing.T) {
			own, err := e.count(ctx, w)
			require.NoError(t, err)
			require.Positive(t, own)
			all, err := e.count(w.ctx, w)
			require.NoError(t, err)
			require.Less(t, own, all)
			stranger, err := e.count(auth.With(context.Background(), auth.OfMember(uuid.New())), w)
			require.NoError(t, err)
			require.Zero(t, stranger)

			whole := *e.policy
			*e.policy = scope.Everybody()
			t.Cleanup(func() { *e.policy = whole })
			for _, r := range pick(rows, e.rows) {
				require.NotEmpty(t, w.walk([]row{r}, []string{"member"}), "%s is the same without the policy", r.name)
			}
		})
	}
	for name, count := range map[string]func(context.Context) (int, error){
		"staff":      w.DB.Platform.Staff.Query().Count,
		"sessions":   w.DB.Platform.Session.Query().Count,
		"roles":      w.DB.Platform.Role.Query().Count,
		"grants":     w.DB.Platform.RoleGrant.Query().Count,
		"keys":       w.DB.Platform.APIKey.Query().Count,
		"tags":       w.DB.CRM.Tag.Query().Count,
		"categories": w.DB.Commerce.Category.Query().Count,
	} {
		n, err := count(ctx)
		require.NoError(t, err, name)
		require.Zero(t, n, name)
	}
}
