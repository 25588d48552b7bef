package server_test

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// buyer is the customer of a cell, with a purchase; cells that change nothing
// share one for each actor and place.
func (c *cell) buyer() buyer {
	if c.object == "none" {
		return c.nobody()
	}
	return once(c.world, "buyer "+c.object+" "+c.actor.column, func() buyer {
		b := c.newBuyer()
		store, staff := c.place(c.object, c.actor)
		c.purchase(&b, store, staff)
		return b
	})
}

// newBuyer is a customer of the cell's own.
func (c *cell) newBuyer() buyer {
	if c.object == "none" {
		return c.nobody()
	}
	return c.customer(c.place(c.object, c.actor))
}

func (c *cell) nobody() buyer {
	return buyer{id: uuid.New(), order: uuid.New(), goodsBack: uuid.New(), external: c.word("Y-"), phone: "13600000000", email: c.word("n") + "@example.com",
		card: c.word("99"), name: "无此人"}
}

// onBuyer is a request about a customer who is made for it. What comes out
// other than allowed must have left the row alone.
func onBuyer(method, suffix string, body any, headers ...string) probe {
	return func(c *cell) byte {
		b := c.newBuyer()
		letter := judge(c.do(method, "/v1/customers/"+b.id.String()+suffix, body, headers...))
		if letter != allowed && c.object != "none" && c.version("customers", b.id) != 1 {
			return strange
		}
		return letter
	}
}

// searched are searches for a cell's customer by one thing known about them.
func searched(filter func(buyer) map[string]any) probe {
	return func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodPost, "/v1/customers/search", filter(b)), b.id)
	}
}

var customerProbes = map[string]probe{
	"listCustomers": func(c *cell) byte {
		b := c.newBuyer() // the newest, so on the first page
		return among(c.do(http.MethodGet, "/v1/customers?limit=200", nil), b.id)
	},
	"listCustomers/changed": func(c *cell) byte {
		b := c.newBuyer()
		return among(c.do(http.MethodGet, "/v1/customers?limit=200&sort=-updated_at", nil), b.id)
	},
	"listCustomers/staff": func(c *cell) byte {
		b := c.newBuyer()
		_, staff := c.place(c.object, c.actor)
		query := "/v1/customers?limit=200"
		if staff != nil {
			query += "&assigned_staff_id=" + staff.String()
		}
		return among(c.do(http.MethodGet, query, nil), b.id)
	},
	"listCustomers/store": func(c *cell) byte {
		b := c.newBuyer()
		store, _ := c.place(c.object, c.actor)
		return among(c.do(http.MethodGet, "/v1/customers?limit=200&store_id="+store.String(), nil), b.id)
	},
	"listCustomers/phone": func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodGet, "/v1/customers?phone="+b.phone, nil), b.id)
	},
	"listCustomers/name": func(c *cell) byte {
		b := c.buyer()
		return among(c.do(http.MethodGet, "/v1/customers?name="+url.QueryEscape(b.name), nil), b.id)
	},
	"listCustomers/count": func(c *cell) byte {
		r := c.do(http.MethodGet, "/v1/customers?include=total_count&external_id="+c.buyer().external, nil)
		if letter := judge(r); letter != allowed {
			return letter
		}
		return counted(r)
	},
	"createCustomer": func(c *cell) byte { return judge(c.do(http.MethodPost, "/v1/customers", c.newcomer())) },
	// A value that somebody has already: who may not see them must not learn who it is.
	"createCustomer/twin": func(c *cell) byte {
		b := c.buyer()
		r := c.do(http.MethodPost, "/v1/customers", map[string]any{"name": "同号", "phone": b.phone})
		if r.Status == http.StatusConflict {
			return among(&testkit.Response{Status: http.StatusOK, Body: r.Body}, b.id)
		}
		return judge(r)
	},
	"lookupCustomer": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": c.buyer().phone}))
	},
	"searchCustomers":          searched(func(b buyer) map[string]any { return map[string]any{"phone": b.phone} }),
	"searchCustomers/last4":    searched(func(b buyer) map[string]any { return map[string]any{"phone_last4": b.phone[len(b.phone)-4:]} }),
	"searchCustomers/email":    searched(func(b buyer) map[string]any { return map[string]any{"email": strings.ToUpper(b.email)} }),
	"searchCustomers/card":     searched(func(b buyer) map[string]any { return map[string]any{"card_number": b.card} }),
	"searchCustomers/external": searched(func(b buyer) map[string]any { return map[string]any{"external_id": b.external} }),
	"searchCustomers/name":     searched(func(b buyer) map[string]any { return map[string]any{"name": b.name} }),
	"bulkCustomers": func(c *cell) byte {
		return inResult(c.do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "create", "items": []any{c.newcomer()}}))
	},
	"bulkCustomers/upsert": func(c *cell) byte {
		b := c.newBuyer()
		letter := inResult(c.do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "upsert",
			"items": []any{map[string]any{"external_id": b.external, "language": "en"}}}))
		if touched := c.version("customers", b.id) != 1; touched != (letter == allowed) {
			return strange
		}
		return letter
	},
	"bulkCustomers/delete": func(c *cell) byte {
		b := c.newBuyer()
		return inResult(c.do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "delete", "items": []any{map[string]any{"id": b.id.String()}}}))
	},
	"bulkCustomers/deleteExternal": func(c *cell) byte {
		b := c.newBuyer()
		return inResult(c.do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "delete", "items": []any{map[string]any{"external_id": b.external}}}))
	},
	"getCustomer":    func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/customers/"+c.buyer().id.String(), nil)) },
	"updateCustomer": onBuyer(http.MethodPatch, "", map[string]any{"language": "en"}),
	// Beyond the caller's reach: to another store, to another store's assistant.
	"updateCustomer/store": func(c *cell) byte {
		b := c.newBuyer()
		return judge(c.do(http.MethodPatch, "/v1/customers/"+b.id.String(), map[string]any{"home_store_id": c.b}))
	},
	"updateCustomer/staff": func(c *cell) byte {
		b := c.newBuyer()
		return judge(c.do(http.MethodPatch, "/v1/customers/"+b.id.String(), map[string]any{"assigned_staff_id": c.stranger.staff}))
	},
	// Out of everybody's hands, or out of every store: who sees by that alone would lose sight.
	"updateCustomer/release":  onBuyer(http.MethodPatch, "", map[string]any{"assigned_staff_id": nil}),
	"updateCustomer/homeless": onBuyer(http.MethodPatch, "", map[string]any{"home_store_id": nil}),
	"deleteCustomer":          onBuyer(http.MethodDelete, "", nil),
	"archiveCustomer":         onBuyer(http.MethodPost, "/archive", nil),
	"restoreCustomer":         onBuyer(http.MethodPost, "/restore", nil),
	"revealCustomer":          onBuyer(http.MethodPost, "/reveal", map[string]any{"fields": []string{"phone"}, "reason": "客户来电核对"}),
	// Read for the first time, and with a copy in the cache that others filled.
	"getCustomerProfile": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/customers/"+c.newBuyer().id.String()+"/profile", nil))
	},
	"getCustomerProfile/hot": func(c *cell) byte {
		path := "/v1/customers/" + c.buyer().id.String() + "/profile"
		once(c.world, "hot "+path, func() int { return c.Admin().Do(http.MethodGet, path, nil).Status })
		return judge(c.do(http.MethodGet, path, nil))
	},
}

// newcomer is a customer to create at the place an object's name says.
func (c *cell) newcomer() map[string]any {
	store, staff := c.place(c.object, c.actor)
	body := map[string]any{"external_id": c.word("N-"), "home_store_id": store}
	if staff != nil {
		body["assigned_staff_id"] = *staff
	}
	return body
}

var tagProbes = map[string]probe{
	"addCustomerTags": func(c *cell) byte {
		name := once(c.world, "tag", func() string { _, name := c.tag(); return name })
		return onBuyer(http.MethodPost, "/tags", map[string]any{"tags": []string{name}})(c)
	},
	"addCustomerTags/new": func(c *cell) byte {
		return onBuyer(http.MethodPost, "/tags", map[string]any{"tags": []string{c.word("新标签")}})(c)
	},
	"removeCustomerTag": func(c *cell) byte { return onBuyer(http.MethodDelete, "/tags/"+uuid.NewString(), nil)(c) },
	"listCustomerTags":  onBuyer(http.MethodGet, "/tags", nil),

	"listCustomerLifecycle":    onBuyer(http.MethodGet, "/lifecycle", nil),
	"releaseCustomerLifecycle": onBuyer(http.MethodPost, "/lifecycle/release", nil),

	"listTags": plain(http.MethodGet, "/v1/tags", nil),
	"createTag": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/tags", map[string]any{"name": c.word("标签")}))
	},
	"getTag": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/tags/"+c.someTag().String(), nil)) },
	"updateTag": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/tags/"+c.someTag().String(), map[string]any{"color": "#aa0000"}))
	},
	"mergeTag": func(c *cell) byte {
		into, _ := c.tag()
		return judge(c.do(http.MethodPost, "/v1/tags/"+c.someTag().String()+"/merge", map[string]any{"into_tag_id": into}))
	},
	"deleteTag": func(c *cell) byte { return judge(c.do(http.MethodDelete, "/v1/tags/"+c.someTag().String(), nil)) },
}

func (c *cell) someTag() uuid.UUID {
	if c.object == "none" {
		return uuid.New()
	}
	id, _ := c.tag()
	return id
}
