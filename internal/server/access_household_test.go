package server_test

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/customers"
)

// addressed gives a customer a second address.
func (w *world) addressed(b buyer) uuid.UUID {
	a, err := w.Server.Customers.AddAddress(w.ctx, b.id, customers.AddressInput{Address: &customers.Address{City: "上海市"}}, nil)
	require.NoError(w.t, err)
	b2, err := w.Server.Customers.AddAddress(w.ctx, b.id, customers.AddressInput{Address: &customers.Address{City: "杭州市"}}, nil)
	require.NoError(w.t, err)
	require.NotEqual(w.t, a.ID, b2.ID)
	return b2.ID
}

// related gives a customer a child.
func (w *world) related(b buyer) uuid.UUID {
	relation := "child"
	f, err := w.Server.Customers.AddFamilyMember(w.ctx, b.id, customers.FamilyInput{Relation: &relation, Name: nullable.NewNullableWithValue("小宝")}, nil)
	require.NoError(w.t, err)
	return f.ID
}

// below is a request about something that belongs to a customer; it must have
// been left alone unless it was allowed.
func below(method, path, table string, make func(*world, buyer) uuid.UUID, body any) probe {
	return func(c *cell) byte {
		b := c.newBuyer()
		id := uuid.New()
		if c.object != "none" {
			id = make(c.world, b)
		}
		sum := func() (s string) {
			c.one(&s, "SELECT count(*) || coalesce(md5(string_agg(x::text, '' ORDER BY x.id)), '') FROM "+table+" x WHERE customer_id = $1", b.id)
			return s
		}
		before := sum()
		at := "/v1/customers/" + b.id.String() + path
		if method == http.MethodGet && body == "list" {
			return among(c.do(method, at, nil), id)
		}
		if method != http.MethodPost {
			at += "/" + id.String()
		}
		letter := judge(c.do(method, at, body))
		if (before != sum()) != (letter == allowed && method != http.MethodGet) {
			return strange
		}
		return letter
	}
}

// ofMember is a request about something that is made for a member.
func ofMember(method, path string, make func(*world, buyer) uuid.UUID, body any) probe {
	return func(c *cell) byte {
		caller, owner := c.whose(true)
		id := uuid.New()
		if c.object != "none" {
			id = make(c.world, buyer{id: owner.member})
		}
		if method != http.MethodGet || body != "list" {
			return judge(caller.do(method, path+"/"+id.String(), body))
		}
		return among(caller.do(method, path, nil), id)
	}
}

var householdProbes = map[string]probe{
	"getCustomerProvenance": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/customers/"+c.buyer().id.String()+"/provenance", nil))
	},
	"getMemberFieldRules": plain(http.MethodGet, "/v1/member-field-rules", nil),
	"setMemberFieldRules": func(c *cell) byte {
		return judge(c.do(http.MethodPut, "/v1/member-field-rules", map[string]any{"fields": []any{}}, "If-Match", "*"))
	},
	"getMemberPreferences":    asGuest(http.MethodGet, "/v1/member/preferences", nil),
	"updateMemberPreferences": asGuest(http.MethodPatch, "/v1/member/preferences", func(*world) any { return map[string]any{"preferences": map[string]any{"genre": "history"}} }),
	"listMemberAddresses":     ofMember(http.MethodGet, "/v1/member/addresses", (*world).addressed, "list"),
	"getMemberAddress":        ofMember(http.MethodGet, "/v1/member/addresses", (*world).addressed, nil),
	"createMemberAddress":     asGuest(http.MethodPost, "/v1/member/addresses", func(*world) any { return map[string]any{"address": map[string]any{"city": "上海市"}} }),
	"updateMemberAddress":     ofMember(http.MethodPatch, "/v1/member/addresses", (*world).addressed, map[string]any{"label": "家"}),
	"deleteMemberAddress":     ofMember(http.MethodDelete, "/v1/member/addresses", (*world).addressed, nil),
	"listMemberFamily":        ofMember(http.MethodGet, "/v1/member/family-members", (*world).related, "list"),
	"getMemberRelative":       ofMember(http.MethodGet, "/v1/member/family-members", (*world).related, nil),
	"createMemberRelative":    asGuest(http.MethodPost, "/v1/member/family-members", func(*world) any { return map[string]any{"relation": "child"} }),
	"updateMemberRelative":    ofMember(http.MethodPatch, "/v1/member/family-members", (*world).related, map[string]any{"name": "大宝"}),
	"deleteMemberRelative":    ofMember(http.MethodDelete, "/v1/member/family-members", (*world).related, nil),
	"listCustomerAddresses":   below(http.MethodGet, "/addresses", "customer_addresses", (*world).addressed, "list"),
	"getCustomerAddress":      below(http.MethodGet, "/addresses", "customer_addresses", (*world).addressed, nil),
	"createCustomerAddress":   below(http.MethodPost, "/addresses", "customer_addresses", (*world).addressed, map[string]any{"address": map[string]any{"city": "苏州市"}}),
	"updateCustomerAddress":   below(http.MethodPatch, "/addresses", "customer_addresses", (*world).addressed, map[string]any{"label": "家"}),
	"deleteCustomerAddress":   below(http.MethodDelete, "/addresses", "customer_addresses", (*world).addressed, nil),
	"listFamilyMembers":       below(http.MethodGet, "/family-members", "family_members", (*world).related, "list"),
	"getFamilyMember":         below(http.MethodGet, "/family-members", "family_members", (*world).related, nil),
	"createFamilyMember":      below(http.MethodPost, "/family-members", "family_members", (*world).related, map[string]any{"relation": "spouse"}),
	"updateFamilyMember":      below(http.MethodPatch, "/family-members", "family_members", (*world).related, map[string]any{"name": "大宝"}),
	"deleteFamilyMember":      below(http.MethodDelete, "/family-members", "family_members", (*world).related, nil),
}
