package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// group is a group with a name of its own.
func (w *world) group() uuid.UUID {
	id := w.id()
	w.exec("INSERT INTO customer_groups (id, name, version, created_at, updated_at) VALUES ($1, $2, 1, now(), now())", id, w.word("group"))
	return id
}

func (c *cell) someGroup() string {
	if c.object == "none" {
		return uuid.NewString()
	}
	return c.group().String()
}

// member has put the cell's customer into a group.
func (c *cell) groupMember() (group string, member uuid.UUID) {
	id, b := c.group(), c.newBuyer()
	if c.object != "none" {
		c.exec("INSERT INTO customer_group_members (group_id, customer_id, added_by, added_at) VALUES ($1, $2, 'test', now())", id, b.id)
	}
	return id.String(), b.id
}

// asMember judges by what became of the one customer that a request names.
func (c *cell) asMember(group, verb string, customer uuid.UUID, done string) byte {
	r := c.do(http.MethodPost, "/v1/customer-groups/"+group+"/"+verb, map[string]any{"members": []any{map[string]any{"customer_id": customer}}})
	letter := judge(r)
	if letter != allowed {
		return letter
	}
	results, _ := object(r.Body)["results"].([]any)
	if len(results) != 1 {
		return strange
	}
	switch one, _ := results[0].(map[string]any); one["status"] {
	case done:
		return allowed
	case "error":
		if failure, _ := one["error"].(map[string]any); failure["code"] == "customers.not_found" {
			return hidden
		}
	}
	return strange
}

var groupProbes = map[string]probe{
	"listCustomerGroups": plain(http.MethodGet, "/v1/customer-groups", nil),
	"createCustomerGroup": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/customer-groups", map[string]any{"name": c.word("分组")}))
	},
	"getCustomerGroup": func(c *cell) byte { return judge(c.do(http.MethodGet, "/v1/customer-groups/"+c.someGroup(), nil)) },
	"updateCustomerGroup": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/customer-groups/"+c.someGroup(), map[string]any{"description": "x"}))
	},
	"deleteCustomerGroup": func(c *cell) byte {
		return judge(c.do(http.MethodDelete, "/v1/customer-groups/"+c.someGroup(), nil))
	},
	"listCustomerGroupMembers": func(c *cell) byte {
		group, member := c.groupMember()
		return among(c.do(http.MethodGet, "/v1/customer-groups/"+group+"/members", nil), member)
	},
	"addCustomerGroupMembers": func(c *cell) byte {
		return c.asMember(c.group().String(), "add-members", c.newBuyer().id, "added")
	},
	"removeCustomerGroupMembers": func(c *cell) byte {
		group, member := c.groupMember()
		return c.asMember(group, "remove-members", member, "removed")
	},
}
