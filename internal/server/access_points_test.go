package server_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// purse is a customer with points: some given, some promised, an adjustment that
// waits.
type purse struct{ customer, entry, hold, spent, adjustment uuid.UUID }

func (c *cell) purse() purse {
	b := c.newBuyer()
	if c.object == "none" {
		return purse{b.id, uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	}
	root := c.Admin()
	path := "/v1/customers/" + b.id.String() + "/points"
	ask := func(verb string, body map[string]any) (id uuid.UUID) {
		r := root.Do(http.MethodPost, path+"/"+verb, body, c.stockKey()...).Want(http.StatusCreated)
		return uuid.MustParse(r.Map()["id"].(string))
	}
	p := purse{customer: b.id}
	ask("adjust", map[string]any{"points": 100, "reason": "补偿"})
	p.spent = ask("redeem", map[string]any{"points": 10})
	p.hold = ask("block", map[string]any{"points": 10, "expires_at": c.Clock.Now().Add(24 * time.Hour)})
	c.one(&p.entry, "SELECT e.id FROM points_entries e JOIN points_accounts a ON a.id = e.account_id WHERE a.customer_id = $1 ORDER BY e.number LIMIT 1", b.id)
	p.adjustment = uuid.New()
	c.exec(`INSERT INTO points_adjustments (id, unit_id, customer_id, points, reason, status, created_at, updated_at)
		SELECT $1, id, $2, 5, '补偿', 'awaiting_approval', now(), now() FROM points_units WHERE code = 'points'`, p.adjustment, b.id)
	return p
}

// onPurse is a request about a member's points. What comes out other than allowed
// must have left them alone.
func onPurse(method string, path func(p purse) string, body map[string]any) probe {
	return func(c *cell) byte {
		p := c.purse()
		count := func() (n int) {
			c.one(&n, "SELECT count(*) FROM points_entries e JOIN points_accounts a ON a.id = e.account_id WHERE a.customer_id = $1", p.customer)
			return n
		}
		before := count()
		var b any
		if body != nil {
			b = body
		}
		var headers []string
		if method == http.MethodPost {
			headers = c.stockKey()
		}
		letter := judge(c.do(method, path(p), b, headers...))
		if letter != allowed && count() != before {
			return strange
		}
		return letter
	}
}

func ofPurse(suffix string) func(p purse) string {
	return func(p purse) string { return "/v1/customers/" + p.customer.String() + "/points" + suffix }
}

func ofHold(suffix string) func(p purse) string {
	return func(p purse) string { return "/v1/points/holds/" + p.hold.String() + suffix }
}

func ofAdjustment(suffix string) func(p purse) string {
	return func(p purse) string { return "/v1/points/adjustments/" + p.adjustment.String() + suffix }
}

func (c *cell) pointsUnit() (id uuid.UUID) {
	c.one(&id, "SELECT id FROM points_units WHERE code = 'points'")
	return id
}

// pointsRule is a fresh rule of votes.
func (c *cell) pointsRule() uuid.UUID {
	r := c.Admin().Do(http.MethodPost, "/v1/points/rules", map[string]any{"code": fmt.Sprint("v", c.numbers.Add(1)), "name": "投票", "kind": "event", "event": map[string]any{"type": "vote", "points": 1}}).Want(http.StatusCreated)
	return uuid.MustParse(r.Map()["id"].(string))
}

// previewed is the SKU of something on sale.
func (c *cell) previewed() (sku string) {
	c.Admin().Do(http.MethodPost, "/v1/products", map[string]any{"title": "书", "variants": []any{map[string]any{"sku": "preview", "price_amount": 100}}})
	c.one(&sku, "SELECT sku FROM variants WHERE sku = 'preview'")
	return sku
}

// onPartner is a request about a fresh partner.
func onPartner(method, suffix string, body map[string]any) probe {
	return func(c *cell) byte {
		r := c.Admin().Do(http.MethodPost, "/v1/points/partners", map[string]any{"code": fmt.Sprint("p", c.numbers.Add(1)), "name": "合作方"}).Want(http.StatusCreated)
		var b any
		if body != nil {
			b = body
		}
		return judge(c.do(method, "/v1/points/partners/"+r.Map()["id"].(string)+suffix, b))
	}
}

var pointsProbes = map[string]probe{
	"listPointsUnits": plain(http.MethodGet, "/v1/points/units", nil),
	"createPointsUnit": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/points/units", map[string]any{"code": fmt.Sprint("u", c.numbers.Add(1)), "name": "新积分"}))
	},
	"getPointsUnit": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/points/units/"+c.pointsUnit().String(), nil))
	},
	"updatePointsUnit": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/points/units/"+c.pointsUnit().String(), map[string]any{"transferable": true}))
	},
	"getPointsBalance":  onPurse(http.MethodGet, ofPurse(""), nil),
	"listPointsEntries": onPurse(http.MethodGet, ofPurse("/entries"), nil),
	"listPointsLots":    onPurse(http.MethodGet, ofPurse("/lots"), nil),
	"listPointsHolds":   onPurse(http.MethodGet, ofPurse("/holds"), nil),
	"adjustPoints":      onPurse(http.MethodPost, ofPurse("/adjust"), map[string]any{"points": 5, "reason": "补偿"}),
	"redeemPoints":      onPurse(http.MethodPost, ofPurse("/redeem"), map[string]any{"points": 5}),
	"blockPoints":       onPurse(http.MethodPost, ofPurse("/block"), map[string]any{"points": 5}),
	"transferPoints": func(c *cell) byte {
		c.exec("UPDATE points_units SET transferable = true WHERE code = 'points'")
		p, own := c.purse(), c.customer(c.place("own", c.actor))
		return judge(c.do(http.MethodPost, "/v1/customers/"+p.customer.String()+"/points/transfer", map[string]any{"to_customer_id": own.id, "points": 5}, c.stockKey()...))
	},
	"getPointsHold":  onPurse(http.MethodGet, ofHold(""), nil),
	"capturePoints":  onPurse(http.MethodPost, ofHold("/capture"), nil),
	"releasePoints":  onPurse(http.MethodPost, ofHold("/release"), nil),
	"giveBackPoints": onPurse(http.MethodPost, func(p purse) string { return "/v1/points/holds/" + p.spent.String() + "/give-back" }, nil),
	"getPointsEntry": onPurse(http.MethodGet, func(p purse) string { return "/v1/points/entries/" + p.entry.String() }, nil),
	"listPointsAdjustments": func(c *cell) byte {
		p := c.purse()
		return among(c.do(http.MethodGet, "/v1/points/adjustments?limit=200&status=awaiting_approval&customer_id="+p.customer.String(), nil), p.adjustment)
	},
	"getPointsAdjustment":     onPurse(http.MethodGet, ofAdjustment(""), nil),
	"approvePointsAdjustment": onPurse(http.MethodPost, ofAdjustment("/approve"), nil),
	"rejectPointsAdjustment":  onPurse(http.MethodPost, ofAdjustment("/reject"), nil),
	"listPointsRules":         plain(http.MethodGet, "/v1/points/rules", nil),
	"createPointsRule": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/points/rules", map[string]any{"code": fmt.Sprint("r", c.numbers.Add(1)), "name": "投票", "kind": "event", "event": map[string]any{"type": "vote", "points": 1}}))
	},
	"getPointsRule": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/points/rules/"+c.pointsRule().String(), nil))
	},
	"updatePointsRule": func(c *cell) byte {
		id := c.pointsRule()
		return judge(c.do(http.MethodPatch, "/v1/points/rules/"+id.String(), map[string]any{"status": "paused"}, "If-Match", `"1"`))
	},
	"listPointsRuleVersions": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/points/rules/"+c.pointsRule().String()+"/versions", nil))
	},
	"previewPoints": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/points/preview", map[string]any{"store_id": c.a, "lines": []any{map[string]any{"sku": c.previewed(), "quantity": 1}}}))
	},
	"previewPoints/of": func(c *cell) byte {
		p := c.purse()
		return judge(c.do(http.MethodPost, "/v1/points/preview", map[string]any{"customer_id": p.customer, "store_id": c.a, "lines": []any{map[string]any{"sku": c.previewed(), "quantity": 1}}}))
	},
	"getOrderPoints": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/orders/"+c.buyer().order.String()+"/points", nil))
	},
	"reportPointsEvent": func(c *cell) byte {
		c.pointsRule()
		p := c.purse()
		letter := judge(c.do(http.MethodPost, "/v1/customers/"+p.customer.String()+"/points/events", map[string]any{"type": "vote", "key": "1"}))
		var n int
		c.one(&n, "SELECT count(*) FROM points_events e JOIN points_accounts a ON a.id = e.account_id WHERE a.customer_id = $1", p.customer)
		if (letter == allowed) != (n > 0) {
			return strange
		}
		return letter
	},
	"grantPoints": func(c *cell) byte {
		p := c.purse()
		r := c.do(http.MethodPost, "/v1/points/grants", map[string]any{"grants": []any{map[string]any{"customer": map[string]any{"id": p.customer}, "points": 5, "reason": "补偿", "key": "1"}}})
		letter := judge(r)
		if letter != allowed {
			return letter
		}
		if r.Map()["results"].([]any)[0].(map[string]any)["status"] == "error" {
			return hidden
		}
		return letter
	},
	"listPointsPartners": plain(http.MethodGet, "/v1/points/partners", nil),
	"createPointsPartner": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/points/partners", map[string]any{"code": fmt.Sprint("p", c.numbers.Add(1)), "name": "合作方"}))
	},
	"getPointsPartner":         onPartner(http.MethodGet, "", nil),
	"updatePointsPartner":      onPartner(http.MethodPatch, "", map[string]any{"status": "archived"}),
	"getPointsSettlement":      onPartner(http.MethodGet, "/settlement?from=2026-01-01&to=2026-01-31", nil),
	"listPointsPartnerEntries": onPartner(http.MethodGet, "/entries", nil),
	"getPointsLiability":       plain(http.MethodGet, "/v1/points/liability", nil),
	"getPointsIntegrity":       plain(http.MethodGet, "/v1/points/integrity", nil),
	"listPointsPostings":       plain(http.MethodGet, "/v1/points/postings", nil),
}
