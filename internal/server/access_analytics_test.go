package server_test

import (
	"net/http"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// flawed is a customer at the cell's place whose record was judged, with a source
// of their own; moved says that the judgement has them at the caller's store.
func (c *cell) flawed(moved bool) (customer uuid.UUID, source string) {
	store, staff := c.place(c.object, c.actor)
	customer, source = c.customer(store, staff).id, c.word("src")
	if moved {
		store, staff = c.place("own", c.actor)
	}
	c.exec(`INSERT INTO customer_quality (id, home_store_id, assigned_staff_id, problems, changed_on, active_on, gone, source)
		VALUES ($1, $2, $3, 1, current_date, current_date, false, $4)`, customer, store, staff, source)
	return customer, source
}

func flawedListed(moved bool) probe {
	return func(c *cell) byte {
		customer, source := c.flawed(moved)
		r := c.do(http.MethodGet, "/v1/analytics/data-quality/issues?problem=missing.name&source="+source, nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		var page struct {
			Items []struct {
				Customer struct {
					ID uuid.UUID `json:"id"`
				} `json:"customer"`
			} `json:"items"`
		}
		r.JSON(&page)
		switch {
		case len(page.Items) == 0:
			return hidden
		case len(page.Items) == 1 && page.Items[0].Customer.ID == customer:
			return allowed
		}
		return strange
	}
}

var analyticsProbes = map[string]probe{
	"getDataQuality": func(c *cell) byte {
		_, source := c.flawed(false)
		r := c.do(http.MethodGet, "/v1/analytics/data-quality?source="+source, nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return countedOne(r)
	},
	"listDataQualityIssues":       flawedListed(false),
	"listDataQualityIssues/moved": flawedListed(true),
	"refreshDataQuality": func(c *cell) byte {
		r := c.do(http.MethodPost, "/v1/analytics/data-quality/refresh", nil)
		if r.Status == http.StatusConflict && object(r.Body)["code"] == "analytics.refresh_running" {
			return allowed // somebody else's cell began one
		}
		return judge(r)
	},
}

func countedOne(r *testkit.Response) byte {
	total, _ := object(r.Body)["total"].(map[string]any)
	switch total["customers"] {
	case 0.0:
		return hidden
	case 1.0:
		return allowed
	}
	return strange
}
