package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// pair puts two customers into the queue of likely duplicates: both at the
// cell's place, or one of them in another region's store. It comes first in lists.
func (c *cell) pair(half bool) (pair uuid.UUID, one buyer) {
	one = c.newBuyer()
	if c.object == "none" {
		return uuid.New(), one
	}
	other := c.newBuyer()
	if half {
		other = c.customer(c.b, nil)
	}
	pair = c.id()
	c.exec(`INSERT INTO duplicate_candidates (id, left_id, right_id, score, reasons, created_at, updated_at)
		VALUES ($1, least($2::uuid, $3::uuid), greatest($2::uuid, $3::uuid), 0.9 + $4 * 1e-7, '[]', now(), now())`, pair, one.id, other.id, c.numbers.Add(1))
	return pair, one
}

func listedPair(half bool) probe {
	return func(c *cell) byte {
		pair, _ := c.pair(half)
		return among(c.do(http.MethodGet, "/v1/customer-duplicates?limit=200", nil), pair)
	}
}

func pairOfCustomer(half bool) probe {
	return func(c *cell) byte {
		pair, one := c.pair(half)
		return among(c.do(http.MethodGet, "/v1/customers/"+one.id.String()+"/duplicates", nil), pair)
	}
}

func decidedPair(half bool) probe {
	return func(c *cell) byte {
		pair, _ := c.pair(half)
		letter := judge(c.do(http.MethodPost, "/v1/customer-duplicates/"+pair.String()+"/decide", map[string]any{"decision": "not_duplicate"}))
		if letter != allowed && c.object != "none" && c.version("duplicate_candidates", pair) != 1 {
			return strange
		}
		return letter
	}
}

var duplicateProbes = map[string]probe{
	"listCustomerDuplicates":        listedPair(false),
	"listCustomerDuplicates/half":   listedPair(true),
	"listDuplicatesOfCustomer":      pairOfCustomer(false),
	"listDuplicatesOfCustomer/half": pairOfCustomer(true),
	"decideCustomerDuplicate":       decidedPair(false),
	"decideCustomerDuplicate/half":  decidedPair(true),
	"scanCustomerDuplicates": func(c *cell) byte {
		r := c.do(http.MethodPost, "/v1/customer-duplicates/scan", nil)
		if r.Status == http.StatusConflict && object(r.Body)["code"] == "duplicates.scan_running" {
			return allowed // somebody else's cell began one
		}
		return judge(r)
	},
}
