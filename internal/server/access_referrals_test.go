package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// invited is a customer who came by another one's code, in a state.
type invited struct{ customer, code, referral uuid.UUID }

func (c *cell) invited(status string) invited {
	b := c.newBuyer()
	if c.object == "none" {
		return invited{b.id, uuid.New(), uuid.New()}
	}
	i := invited{customer: b.id, code: uuid.New(), referral: uuid.New()}
	c.exec("INSERT INTO referral_codes (id, customer_id, code, created_at, updated_at) VALUES ($1, $2, $3, now(), now())", i.code, b.id, i.code.String()[:16])
	c.exec("INSERT INTO referrals (id, code_id, customer_id, status, unit, created_at, updated_at) VALUES ($1, $2, $3, $4, 'points', now(), now())", i.referral, i.code, b.id, status)
	return i
}

// onReferral is a request about a referral. What comes out other than allowed must
// have left it alone.
func onReferral(method, status, suffix string, body map[string]any) probe {
	return func(c *cell) byte {
		i := c.invited(status)
		var b any
		var headers []string
		if body != nil {
			b, headers = body, c.stockKey()
		}
		letter := judge(c.do(method, "/v1/referrals/"+i.referral.String()+suffix, b, headers...))
		if letter != allowed && c.object != "none" {
			var now string
			c.one(&now, "SELECT status FROM referrals WHERE id = $1", i.referral)
			if now != status {
				return strange
			}
		}
		return letter
	}
}

var referralProbes = map[string]probe{
	"getReferralProgramme": plain(http.MethodGet, "/v1/referral-programme", nil),
	"updateReferralProgramme": func(c *cell) byte {
		now := c.Admin().Do(http.MethodGet, "/v1/referral-programme", nil)
		b := now.Map()
		delete(b, "version")
		delete(b, "updated_at")
		r := c.do(http.MethodPut, "/v1/referral-programme", b, "If-Match", now.Header.Get("ETag"))
		if r.Status == http.StatusPreconditionFailed { // another cell was faster: the version was looked at, which comes after the permission
			return allowed
		}
		return judge(r)
	},
	"listReferralCodes": func(c *cell) byte {
		i := c.invited("registered")
		return among(c.do(http.MethodGet, "/v1/referral-codes?limit=200&customer_id="+i.customer.String(), nil), i.code)
	},
	"createReferralCode": func(c *cell) byte {
		b := c.newBuyer()
		id := b.id
		if c.object == "none" {
			id = uuid.New()
		}
		return judge(c.do(http.MethodPost, "/v1/referral-codes", map[string]any{"customer_id": id}))
	},
	"getReferralCode": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/referral-codes/"+c.invited("registered").code.String(), nil))
	},
	"updateReferralCode": func(c *cell) byte {
		i := c.invited("registered")
		letter := judge(c.do(http.MethodPatch, "/v1/referral-codes/"+i.code.String(), map[string]any{"status": "disabled"}))
		if letter != allowed && c.object != "none" {
			var now string
			if c.one(&now, "SELECT status FROM referral_codes WHERE id = $1", i.code); now != "active" {
				return strange
			}
		}
		return letter
	},
	"listReferrals": func(c *cell) byte {
		i := c.invited("registered")
		return among(c.do(http.MethodGet, "/v1/referrals?limit=200&customer_id="+i.customer.String(), nil), i.referral)
	},
	"createReferral": func(c *cell) byte {
		b := c.newBuyer()
		id := b.id
		if c.object == "none" {
			id = uuid.New()
		}
		// The programme is off, which is said to whom it may be said.
		r := c.do(http.MethodPost, "/v1/referrals", map[string]any{"code": "ANY", "customer_id": id})
		if r.Status == http.StatusUnprocessableEntity && r.Map()["code"] == "referrals.programme_off" {
			return allowed
		}
		return judge(r)
	},
	"getReferral":     onReferral(http.MethodGet, "registered", "", nil),
	"approveReferral": onReferral(http.MethodPost, "held", "/approve", map[string]any{"reason": "放行"}),
	"rejectReferral":  onReferral(http.MethodPost, "held", "/reject", map[string]any{"reason": "同一人"}),
	"reverseReferral": onReferral(http.MethodPost, "rewarded", "/reverse", map[string]any{"reason": "误发"}),
}
