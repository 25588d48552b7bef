package server_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
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
