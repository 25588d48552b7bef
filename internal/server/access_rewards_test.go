package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// reward is a service that costs five points.
func (c *cell) reward() uuid.UUID {
	r := c.Admin().Do(http.MethodPost, "/v1/rewards", map[string]any{"kind": "service", "name": "包装服务", "points": 5}).Want(http.StatusCreated)
	return uuid.MustParse(r.Map()["id"].(string))
}

// richMember gives the cell's member points, and is a fresh key.
func (c *cell) richMember() []string {
	if c.actor.column == "member" {
		c.Admin().Do(http.MethodPost, "/v1/customers/"+c.actor.member.String()+"/points/adjust", map[string]any{"points": 50, "reason": "补偿"}, c.stockKey()...).Want(http.StatusCreated)
	}
	return c.stockKey()
}

// wish is a redemption of a member who has points.
type wish struct {
	customer, reward, redemption uuid.UUID
	voucher                      string
}

func (c *cell) wish(redeemed bool) wish {
	b := c.newBuyer()
	w := wish{customer: b.id, reward: c.reward(), redemption: uuid.New(), voucher: "000000000000"}
	if c.object == "none" {
		w.customer = uuid.New()
		return w
	}
	root := c.Admin()
	root.Do(http.MethodPost, "/v1/customers/"+b.id.String()+"/points/adjust", map[string]any{"points": 50, "reason": "补偿"}, c.stockKey()...).Want(http.StatusCreated)
	if redeemed {
		r := root.Do(http.MethodPost, "/v1/reward-redemptions", map[string]any{"reward_id": w.reward, "customer_id": b.id}, c.stockKey()...).Want(http.StatusCreated).Map()
		w.redemption, w.voucher = uuid.MustParse(r["id"].(string)), r["voucher"].(string)
	}
	return w
}

// onWish is a request about a redemption. What comes out other than allowed must
// have left it alone.
func onWish(method, suffix string) probe {
	return func(c *cell) byte {
		w := c.wish(true)
		state := func() (s string) {
			c.one(&s, "SELECT coalesce(max(status || version), '') FROM reward_redemptions WHERE id = $1", w.redemption)
			return s
		}
		before := state()
		var headers []string
		if method == http.MethodPost {
			headers = c.stockKey()
		}
		letter := judge(c.do(method, "/v1/reward-redemptions/"+w.redemption.String()+suffix, nil, headers...))
		if letter != allowed && state() != before {
			return strange
		}
		return letter
	}
}

func onReward(method, suffix string, body map[string]any) probe {
	return func(c *cell) byte {
		id := uuid.New()
		if c.object != "none" {
			kind := map[string]any{"kind": "coupon", "name": "满减券", "points": 5}
			id = uuid.MustParse(c.Admin().Do(http.MethodPost, "/v1/rewards", kind).Want(http.StatusCreated).Map()["id"].(string))
		}
		var headers []string
		if method == http.MethodPost {
			headers = c.stockKey()
		}
		var b any
		if body != nil {
			b = body
		}
		return judge(c.do(method, "/v1/rewards/"+id.String()+suffix, b, headers...))
	}
}

var rewardProbes = map[string]probe{
	"listRewards":    plain(http.MethodGet, "/v1/rewards", nil),
	"createReward":   plain(http.MethodPost, "/v1/rewards", map[string]any{"kind": "donation", "name": "公益捐书", "points": 5}),
	"getReward":      onReward(http.MethodGet, "", nil),
	"updateReward":   onReward(http.MethodPatch, "", map[string]any{"points": 6}),
	"addRewardCodes": onReward(http.MethodPost, "/codes", map[string]any{"codes": []string{"A", "B"}}),
	"listRewardRedemptions": func(c *cell) byte {
		w := c.wish(true)
		return among(c.do(http.MethodGet, "/v1/reward-redemptions?limit=200&customer_id="+w.customer.String(), nil), w.redemption)
	},
	"getRewardRedemption":    onWish(http.MethodGet, ""),
	"fulfilRewardRedemption": onWish(http.MethodPost, "/fulfil"),
	"cancelRewardRedemption": onWish(http.MethodPost, "/cancel"),
	"lookUpRewardRedemption": func(c *cell) byte {
		w := c.wish(true)
		return judge(c.do(http.MethodPost, "/v1/reward-redemptions/lookup", map[string]any{"voucher": w.voucher}))
	},
	"redeemReward": func(c *cell) byte {
		w := c.wish(false)
		return judge(c.do(http.MethodPost, "/v1/reward-redemptions", map[string]any{"reward_id": w.reward, "customer_id": w.customer}, c.stockKey()...))
	},
}
