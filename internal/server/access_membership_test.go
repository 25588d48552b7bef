package server_test

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

// standing is a customer with a membership and a tier given by hand.
type standing struct{ customer, grant uuid.UUID }

func (c *cell) standing() standing {
	b := c.newBuyer()
	s := standing{b.id, uuid.New()}
	if c.object == "none" {
		return s
	}
	c.scheme()
	c.exec(`INSERT INTO membership_grants (id, customer_id, tier_code, from_at, reason, created_at, updated_at) VALUES ($1, $2, 'gold', now(), '周年庆', now(), now())`, s.grant, b.id)
	c.exec(`INSERT INTO memberships (id, customer_id, tier_code, created_at, updated_at) VALUES ($1, $2, 'gold', now(), now()) ON CONFLICT (customer_id) DO NOTHING`, uuid.New(), b.id)
	c.exec("UPDATE customers SET tier_code = 'gold' WHERE id = $1", b.id)
	return s
}

// scheme sees to it that there is a scheme with a gold tier, as changes of it are made.
func (c *cell) scheme() {
	c.exec(`BEGIN; SELECT pg_advisory_xact_lock(hashtext('membership.scheme'));
		INSERT INTO tiers (id, code, name, rank, conditions, benefits, created_at, updated_at)
		VALUES (gen_random_uuid(), 'gold', '金卡', 1000000, '[{"kind": "spend", "threshold": 100000000}]', '{}', now(), now()) ON CONFLICT DO NOTHING;
		INSERT INTO tier_schemes (id, number, document, in_force_at, actor_kind, created_at)
		SELECT gen_random_uuid(), coalesce(max(number), 0) + 1, '{"rules": {"window": "calendar_year", "validity": "for_ever", "downgrade": "one_step"},
			"tiers": [{"code": "gold", "name": "金卡", "rank": 1000000, "match": "any", "conditions": [{"kind": "spend", "threshold": 100000000}], "benefits": {}}]}', '2020-01-01', 'system', now()
		FROM tier_schemes HAVING NOT coalesce((SELECT document -> 'tiers' @> '[{"code": "gold"}]' FROM tier_schemes ORDER BY number DESC LIMIT 1), FALSE); COMMIT`)
}

// onTier is a request about a tier that is made for it.
func onTier(method string, body map[string]any) probe {
	return func(c *cell) byte {
		id, n := uuid.New(), c.numbers.Add(1)
		c.exec(`INSERT INTO tiers (id, code, name, rank, conditions, benefits, created_at, updated_at) VALUES ($1, $2, '等级', $3, '[]', '{}', now(), now())`, id, fmt.Sprint("t", n), n)
		defer c.exec("DELETE FROM tiers WHERE id = $1", id)
		var b any
		if body != nil {
			b = body
		}
		return judge(c.do(method, "/v1/tiers/"+id.String(), b, "If-Match", "*"))
	}
}

func onStanding(method string, path func(s standing) string, body map[string]any) probe {
	return func(c *cell) byte {
		s := c.standing()
		count := func() (n int) {
			c.one(&n, "SELECT count(*) FROM membership_grants WHERE customer_id = $1 AND revoked_at IS NULL", s.customer)
			return n
		}
		before := count()
		var b any
		var headers []string
		if body != nil {
			b, headers = body, c.stockKey()
		}
		letter := judge(c.do(method, path(s), b, headers...))
		if letter != allowed && count() != before {
			return strange
		}
		return letter
	}
}

func ofStanding(suffix string) func(s standing) string {
	return func(s standing) string { return "/v1/customers/" + s.customer.String() + "/membership" + suffix }
}

var membershipProbes = map[string]probe{
	"listTiers": plain(http.MethodGet, "/v1/tiers", nil),
	"createTier": func(c *cell) byte {
		n := c.numbers.Add(1)
		code := fmt.Sprint("new", n)
		defer c.exec("DELETE FROM tiers WHERE code = $1", code)
		return judge(c.do(http.MethodPost, "/v1/tiers", map[string]any{"code": code, "name": "新等级", "rank": n%999999 + 1}))
	},
	"getTier":                onTier(http.MethodGet, nil),
	"updateTier":             onTier(http.MethodPatch, map[string]any{"name": "改名"}),
	"deleteTier":             onTier(http.MethodDelete, nil),
	"getTierScheme":          plain(http.MethodGet, "/v1/tier-scheme", nil),
	"listTierSchemeVersions": plain(http.MethodGet, "/v1/tier-scheme/versions", nil),
	"getTierSchemeVersion": func(c *cell) byte {
		c.scheme()
		return judge(c.do(http.MethodGet, "/v1/tier-scheme/versions/1", nil))
	},
	"replaceTierScheme": func(c *cell) byte {
		return judge(c.do(http.MethodPut, "/v1/tier-scheme", map[string]any{"window": "calendar_year", "validity": "for_ever", "downgrade": "one_step"}, "If-Match", "*"))
	},
	"listMemberships": func(c *cell) byte {
		s := c.standing()
		return among(c.do(http.MethodGet, "/v1/memberships?limit=200&tier=gold", nil), s.customer)
	},
	"getMembership":         onStanding(http.MethodGet, ofStanding(""), nil),
	"listMembershipChanges": onStanding(http.MethodGet, ofStanding("/changes"), nil),
	"listMembershipGrants":  onStanding(http.MethodGet, ofStanding("/grants"), nil),
	"grantMembership":       onStanding(http.MethodPost, ofStanding("/grant"), map[string]any{"tier": "gold", "reason": "周年庆"}),
	"revokeMembershipGrant": onStanding(http.MethodPost, func(s standing) string {
		return ofStanding("/grants/" + s.grant.String() + "/revoke")(s)
	}, map[string]any{"reason": "发放有误"}),
}
