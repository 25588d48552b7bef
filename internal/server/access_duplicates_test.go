package server_test

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
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

// twins are two customers at the cell's place, or one of them elsewhere.
func (c *cell) twins(half bool) (survivor, merged uuid.UUID) {
	survivor, merged = c.newBuyer().id, c.newBuyer().id
	if half && c.object != "none" {
		merged = c.customer(c.b, nil).id
	}
	return survivor, merged
}

// merge has made the cell's twins one.
func (c *cell) merge() (merge, survivor uuid.UUID) {
	survivor, merged := c.twins(false)
	if c.object == "none" {
		return uuid.New(), survivor
	}
	made, err := c.Server.Customers.Merge(c.ctx, survivor, merged, nil)
	require.NoError(c.t, err)
	return made.ID, survivor
}

func mergedTwins(path string, half bool) probe {
	return func(c *cell) byte {
		survivor, merged := c.twins(half)
		letter := judge(c.do(http.MethodPost, path, map[string]any{"survivor_id": survivor, "merged_id": merged}))
		if c.object != "none" && (letter == allowed && path == "/v1/customer-merges") != (c.version("customers", survivor) != 1) {
			return strange
		}
		return letter
	}
}

func onMerge(method, suffix string) probe {
	return func(c *cell) byte {
		merge, survivor := c.merge()
		letter := judge(c.do(method, "/v1/customer-merges/"+merge.String()+suffix, nil))
		if c.object != "none" && (letter == allowed && suffix != "") != (c.version("customers", survivor) != 2) {
			return strange
		}
		return letter
	}
}

// ofMerged reads a customer by the id of one who was merged into them.
func ofMerged(c *cell) byte {
	survivor, merged := c.twins(false)
	if c.object != "none" {
		_, err := c.Server.Customers.Merge(c.ctx, survivor, merged, nil)
		require.NoError(c.t, err)
	}
	r := c.do(http.MethodGet, "/v1/customers/"+merged.String(), nil)
	if letter := judge(r); letter != allowed {
		return letter
	}
	return among(&testkit.Response{Status: http.StatusOK, Body: r.Body}, survivor)
}

var duplicateProbes = map[string]probe{
	"getAutoMergeSettings": plain(http.MethodGet, "/v1/customer-duplicates/auto-merge", nil),
	"updateAutoMergeSettings": func(c *cell) byte {
		return judge(c.do(http.MethodPut, "/v1/customer-duplicates/auto-merge", map[string]any{"enabled": false, "threshold": 0.99, "survivor": "oldest"}, "If-Match", "*"))
	},
	"listCustomerDuplicates":        listedPair(false),
	"listCustomerDuplicates/half":   listedPair(true),
	"listDuplicatesOfCustomer":      pairOfCustomer(false),
	"listDuplicatesOfCustomer/half": pairOfCustomer(true),
	"decideCustomerDuplicate":       decidedPair(false),
	"decideCustomerDuplicate/half":  decidedPair(true),
	"previewCustomerMerge":          mergedTwins("/v1/customer-merges/preview", false),
	"previewCustomerMerge/half":     mergedTwins("/v1/customer-merges/preview", true),
	"mergeCustomers":                mergedTwins("/v1/customer-merges", false),
	"mergeCustomers/half":           mergedTwins("/v1/customer-merges", true),
	"listCustomerMerges": func(c *cell) byte {
		merge, _ := c.merge() // the newest, so on the first page
		return among(c.do(http.MethodGet, "/v1/customer-merges?limit=200", nil), merge)
	},
	"getCustomerMerge":   onMerge(http.MethodGet, ""),
	"undoCustomerMerge":  onMerge(http.MethodPost, "/undo"),
	"getCustomer/merged": ofMerged,
	"scanCustomerDuplicates": func(c *cell) byte {
		r := c.do(http.MethodPost, "/v1/customer-duplicates/scan", nil)
		if r.Status == http.StatusConflict && object(r.Body)["code"] == "duplicates.scan_running" {
			return allowed // somebody else's cell began one
		}
		return judge(r)
	},
}
