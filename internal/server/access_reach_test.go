package server_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// visible tells which of some stores' customers, orders and staff somebody
// sees; all three must agree.
func (w *world) visible(t *testing.T, a *actor, stores ...uuid.UUID) string {
	t.Helper()
	w.signIn(a)
	out := ""
	for _, store := range stores {
		seller := w.person("seller", store, grant{role: "assistant", scope: "own"})
		b := w.customer(store, &seller.staff)
		w.purchase(&b, store, &seller.staff)
		c := &cell{world: w, actor: a}
		letter := judge(c.do(http.MethodGet, "/v1/customers/"+b.id.String(), nil))
		for path, id := range map[string]uuid.UUID{"/v1/orders/": b.order, "/v1/returns/": b.goodsBack, "/v1/staff/": seller.staff} {
			require.Equal(t, string(letter), string(judge(c.do(http.MethodGet, path+id.String(), nil))), "%s of store %s", path, store)
		}
		require.Equal(t, string(letter), string(among(c.do(http.MethodGet, "/v1/customers?limit=200", nil), b.id)))
		require.Equal(t, string(letter), string(among(c.do(http.MethodPost, "/v1/customers/search", map[string]any{"name": b.name}), b.id)))
		out += string(letter)
	}
	return out
}

// Managers of a region and of several stores see those and nothing else.
func TestReachOfRegionsAndSeveralStores(t *testing.T) {
	w := newWorld(t)
	region := w.person("regional", w.a, grant{role: "store_manager", scope: "region", region: w.north})
	require.Equal(t, "++.", w.visible(t, region, w.a, w.a2, w.b))

	two := w.person("two", w.a, grant{role: "store_manager", scope: "store", store: w.a}, grant{role: "store_manager", scope: "store", store: w.b})
	require.Equal(t, "+.+", w.visible(t, two, w.a, w.a2, w.b))

	both := w.person("both", w.b, grant{role: "store_manager", scope: "region", region: w.north}, grant{role: "store_manager", scope: "store", store: w.b})
	require.Equal(t, "+++", w.visible(t, both, w.a, w.a2, w.b))

	// A store that changes its region changes hands at once, in open sessions too.
	w.Admin().Do(http.MethodPatch, "/v1/stores/"+w.a2.String(), map[string]any{"region_id": w.south}).Want(http.StatusOK)
	require.Equal(t, "+..", w.visible(t, region, w.a, w.a2, w.b))

	// So does a grant that runs out or is taken away.
	stand := w.person("stand-in", w.a, grant{role: "store_manager", scope: "store", store: w.a}, grant{role: "store_manager", scope: "store", store: w.b})
	w.exec("UPDATE role_grants SET expires_at = now() - interval '1 second' WHERE staff_id = $1 AND store_id = $2", stand.staff, w.b)
	require.Equal(t, "+..", w.visible(t, stand, w.a, w.a2, w.b))
	var id uuid.UUID
	w.one(&id, "SELECT id FROM role_grants WHERE staff_id = $1 AND store_id = $2", two.staff, w.b)
	w.Admin().Do(http.MethodDelete, "/v1/staff/"+two.staff.String()+"/grants/"+id.String(), nil).Want(http.StatusNoContent)
	require.Equal(t, "+..", w.visible(t, two, w.a, w.a2, w.b))
}

// The people of a merchant see its stores, as they are at any time, whatever
// region these are in, and nothing of the neighbours'.
func TestReachOfMerchants(t *testing.T) {
	w := newWorld(t)
	m := w.merchant()
	w.Admin().Do(http.MethodPatch, "/v1/stores/"+w.a.String(), map[string]any{"merchant_id": m}).Want(http.StatusOK)
	w.Admin().Do(http.MethodPatch, "/v1/stores/"+w.b.String(), map[string]any{"merchant_id": m}).Want(http.StatusOK)
	boss := w.person("boss", w.a, grant{role: "store_manager", scope: "merchant", merchant: m})
	require.Equal(t, "+.+", w.visible(t, boss, w.a, w.a2, w.b))
	both := w.person("both", w.a, grant{role: "store_manager", scope: "merchant", merchant: m}, grant{role: "store_manager", scope: "region", region: w.north})
	require.Equal(t, "+++", w.visible(t, both, w.a, w.a2, w.b))

	// The shop moves to another merchant, and with it the sight of it.
	other := w.merchant()
	next := w.person("next", w.b, grant{role: "store_manager", scope: "merchant", merchant: other})
	require.Equal(t, "...", w.visible(t, next, w.a, w.a2, w.b))
	w.Admin().Do(http.MethodPatch, "/v1/stores/"+w.b.String(), map[string]any{"merchant_id": other}).Want(http.StatusOK)
	require.Equal(t, "+..", w.visible(t, boss, w.a, w.a2, w.b))
	require.Equal(t, "..+", w.visible(t, next, w.a, w.a2, w.b))

	// Merchants that somebody is in stay; a store leaves with null.
	w.Admin().StepUp(testkit.AdminPassword)
	w.Admin().Do(http.MethodDelete, "/v1/merchants/"+other.String(), nil).WantProblem(http.StatusConflict, "merchants.in_use")
	w.Admin().Do(http.MethodPatch, "/v1/stores/"+w.b.String(), map[string]any{"merchant_id": nil}).Want(http.StatusOK)
	require.Equal(t, "...", w.visible(t, next, w.a, w.a2, w.b))
	w.Admin().Do(http.MethodDelete, "/v1/merchants/"+other.String(), nil).WantProblem(http.StatusConflict, "merchants.in_use") // a grant is left
	var granted uuid.UUID
	w.one(&granted, "SELECT id FROM role_grants WHERE staff_id = $1", next.staff)
	w.Admin().Do(http.MethodDelete, "/v1/staff/"+next.staff.String()+"/grants/"+granted.String(), nil).Want(http.StatusNoContent)
	w.Admin().Do(http.MethodDelete, "/v1/merchants/"+other.String(), nil).Want(http.StatusNoContent)
}

// A customer who is given to another assistant takes their orders and metrics
// along.
func TestReachFollowsTheCustomer(t *testing.T) {
	w := newWorld(t)
	old, next := w.fresh("assistant"), w.fresh("assistant")
	b := w.customer(w.a, &old.staff)
	w.purchase(&b, w.a, &old.staff)
	seen := func(a *actor) (out string) {
		c := &cell{world: w, actor: a}
		for _, path := range []string{"/v1/customers/" + b.id.String(), "/v1/customers/" + b.id.String() + "/profile", "/v1/customers/" + b.id.String() + "/metrics",
			"/v1/orders/" + b.order.String(), "/v1/returns/" + b.goodsBack.String()} {
			out += string(judge(c.do(http.MethodGet, path, nil)))
		}
		return out
	}
	require.Equal(t, "+++++", seen(old))
	require.Equal(t, ".....", seen(next))
	w.Admin().Do(http.MethodPatch, "/v1/customers/"+b.id.String(), map[string]any{"assigned_staff_id": next.staff}).Want(http.StatusOK)
	require.Equal(t, ".....", seen(old))
	require.Equal(t, "+++++", seen(next))
}

// Somebody who keeps the staff list, roles and keys, but holds nothing else,
// cannot make themselves or others more than they are.
func TestNobodyHandsOnMoreThanTheyHold(t *testing.T) {
	w := newWorld(t)
	_, code := w.role("staff.read", "staff.manage", "roles.read", "roles.manage", "api_keys.manage", "stores.read")
	a := w.person("personnel", w.a, grant{role: code, scope: "all"})
	w.signIn(a)
	c := &cell{world: w, actor: a}
	someone := w.person("someone", w.a)
	boss := w.person("boss", w.a, grant{role: "administrator", scope: "all"})
	bigger, _ := w.role("stores.read", "customers.read")
	own := func(role string) map[string]any { return map[string]any{"role": role, "scope": "all"} }

	beyond := []struct {
		method, path string
		body         any
	}{
		{http.MethodPost, "/v1/staff", map[string]any{"username": "climber", "name": "新人", "grants": []any{own("analyst")}}},
		{http.MethodPost, "/v1/staff/" + someone.staff.String() + "/grants", own("administrator")},
		{http.MethodPost, "/v1/staff/" + a.staff.String() + "/grants", own(code)},
		{http.MethodPost, "/v1/roles", map[string]any{"code": "climber", "name": "x", "permissions": []string{"customers.read"}}},
		{http.MethodPatch, "/v1/roles/" + bigger.String(), map[string]any{"name": "x"}},
		{http.MethodPost, "/v1/api-keys", map[string]any{"name": "x", "permissions": []string{"customers.read"}, "all_stores": true}},
		{http.MethodPost, "/v1/staff/" + boss.staff.String() + "/password-reset", map[string]any{"password": "fourteen tin whistles"}},
		{http.MethodPatch, "/v1/staff/" + boss.staff.String(), map[string]any{"status": "disabled"}},
		{http.MethodDelete, "/v1/staff/" + boss.staff.String() + "/sessions", nil},
		{http.MethodDelete, "/v1/staff/" + boss.staff.String(), nil},
	}
	for _, b := range beyond {
		r := c.do(b.method, b.path, b.body, "If-Match", `"1"`)
		require.Equal(t, string(refused), string(judge(r)), "%s %s: %s", b.method, b.path, r.Body)
	}
	// What they hold themselves they may hand on.
	c.do(http.MethodPost, "/v1/staff/"+someone.staff.String()+"/grants", own(code)).Want(http.StatusCreated)
	c.do(http.MethodPost, "/v1/roles", map[string]any{"code": "narrow", "name": "x", "permissions": []string{"staff.read"}}).Want(http.StatusCreated)
}

// Two roles do not lend each other their reach: an assistant who also audits
// the whole business still serves only their own customers, and a manager who
// keeps another store's stock does not read its customers.
func TestReachOfOneRoleDoesNotSpillOntoAnother(t *testing.T) {
	w := newWorld(t)
	for name, mixed := range map[string]struct {
		grants         []grant
		seen, reserved string // customers of own, store, other; products may be changed, staff of another store read
	}{
		"assistant and auditor": {[]grant{{role: "assistant", scope: "own"}, {role: "auditor", scope: "all"}}, "+..", "x+"},
		"manager and clerk of another store": {[]grant{{role: "store_manager", scope: "store", store: w.a}, {role: "inventory_clerk", scope: "store", store: w.b}},
			"++.", "+."},
		"assistant and clerk of the store": {[]grant{{role: "assistant", scope: "own"}, {role: "inventory_clerk", scope: "store", store: w.a}}, "+..", "+x"},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.person("mixed", w.a, mixed.grants...)
			w.signIn(a)
			for n, o := range []string{"own", "store", "other"} {
				c := &cell{world: w, actor: a, object: o}
				store, staff := w.place(o, a)
				b := w.customer(store, staff)
				w.purchase(&b, store, staff)
				want := mixed.seen[n : n+1]
				for _, path := range []string{"/v1/customers/" + b.id.String(), "/v1/customers/" + b.id.String() + "/profile", "/v1/customers/" + b.id.String() + "/metrics",
					"/v1/orders/" + b.order.String(), "/v1/returns/" + b.goodsBack.String()} {
					require.Equal(t, want, string(judge(c.do(http.MethodGet, path, nil))), "%s of %s", path, o)
				}
				for _, path := range []string{"/v1/customers?limit=200", "/v1/customers?limit=200&sort=-updated_at", "/v1/customers?phone=" + b.phone} {
					require.Equal(t, want, string(among(c.do(http.MethodGet, path, nil), b.id)), "%s of %s", path, o)
				}
				for _, filter := range []map[string]any{{"name": b.name}, {"phone_last4": b.phone[len(b.phone)-4:]}, {"card_number": b.card}} {
					require.Equal(t, want, string(among(c.do(http.MethodPost, "/v1/customers/search", filter), b.id)), "%v of %s", filter, o)
				}
				require.Equal(t, want, string(among(c.do(http.MethodGet, "/v1/orders?external_number="+b.external, nil), b.order)), o)
				require.Equal(t, want, string(among(c.do(http.MethodGet, "/v1/returns?external_number="+b.external, nil), b.goodsBack)), o)
			}
			c := &cell{world: w, actor: a}
			got := string(judge(c.do(http.MethodPatch, "/v1/products/"+w.goods().product.String(), map[string]any{"brand": "改"}))) +
				string(judge(c.do(http.MethodGet, "/v1/staff/"+w.stranger.staff.String(), nil)))
			require.Equal(t, mixed.reserved, got)
		})
	}
}

// A batch needs two permissions, and each item must lie within the reach of the
// one that its change needs.
func TestReachOfBatches(t *testing.T) {
	w := newWorld(t)
	_, archives := w.role("customers.archive")
	_, changes := w.role("customers.update")
	_, makes := w.role("customers.create")
	a := w.person("mixed", w.a, grant{role: makes, scope: "store", store: w.a},
		grant{role: changes, scope: "store", store: w.b}, grant{role: archives, scope: "store", store: w.b})
	w.signIn(a)
	for _, o := range []string{"store", "other"} {
		c := &cell{world: w, actor: a, object: o}
		want := map[string]string{"store": string(hidden), "other": string(allowed)}[o]
		for _, name := range []string{"updateCustomer", "bulkCustomers/upsert", "deleteCustomer", "bulkCustomers/delete", "bulkCustomers/deleteExternal"} {
			require.Equal(t, want, string(probes[name](c)), "%s of %s", name, o)
		}
	}
}
