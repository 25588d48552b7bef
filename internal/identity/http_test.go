package identity_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/geo"
	"github.com/shuke-crm/shuke/internal/platform/geo/geotest"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestSignInOverHTTP(t *testing.T) {
	app := testkit.New(t)
	in := func(body any) *testkit.Response { return app.Do(http.MethodPost, "/v1/auth/login", body) }
	p := in(map[string]string{"username": "admin", "password": "wrong"}).WantProblem(http.StatusUnauthorized, "auth.invalid_credentials")
	assert.NotContains(t, p.Detail, "admin")
	in(`{"username":"admin"}`).WantProblem(http.StatusUnprocessableEntity, "request.invalid", "/password")
	in(`{"username":"admin","password":"x","remember":true}`).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	in(`{"username":`).WantProblem(http.StatusBadRequest, "request.malformed_json")

	result := in(map[string]string{"username": "Admin", "password": testkit.AdminPassword}).Want(http.StatusOK).Map()
	assert.Equal(t, false, result["mfa_required"])
	assert.Equal(t, "Bearer", result["token_type"])
	assert.LessOrEqual(t, result["expires_in"], 900.0)

	c := app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	me := c.Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK).Map()
	assert.Equal(t, "staff", me["kind"])
	assert.Equal(t, c.SessionID.String(), me["session_id"])
	assert.Equal(t, map[string]any{"all_stores": true, "store_ids": []any{}, "own": false, "stands_in_for": []any{}}, me["scope"])
	assert.Contains(t, me["permissions"], "staff.manage")

	next := app.Do(http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": c.RefreshToken}).Want(http.StatusOK).Map()
	assert.NotEqual(t, c.RefreshToken, next["refresh_token"])
	app.Do(http.MethodPost, "/v1/auth/refresh", map[string]string{"refresh_token": "shr_AAAA"}).WantProblem(http.StatusUnauthorized, "auth.refresh_invalid")

	c.Do(http.MethodPost, "/v1/auth/logout", nil).Want(http.StatusNoContent)
	c.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
	app.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
	app.Bearer("nonsense").Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
}

func TestOwnSessionsOverHTTP(t *testing.T) {
	app := testkit.New(t)
	one, two := app.SignIn(testkit.AdminUsername, testkit.AdminPassword), app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	var first, second client.SessionList
	r := two.Do(http.MethodGet, "/v1/auth/sessions?limit=1", nil, "User-Agent", "x").Want(http.StatusOK)
	r.JSON(&first)
	require.Len(t, first.Items, 1)
	assert.True(t, first.HasMore)
	assert.Equal(t, two.SessionID, first.Items[0].Id)
	assert.True(t, first.Items[0].Current)
	assert.NotEmpty(t, first.Items[0].Ip, "where the sign-in came from")
	assert.NotEmpty(t, first.Items[0].UserAgent)
	two.Do(http.MethodGet, link(t, r), nil).Want(http.StatusOK).JSON(&second)
	require.Len(t, second.Items, 1)
	assert.Equal(t, one.SessionID, second.Items[0].Id)
	assert.False(t, second.HasMore)
	assert.True(t, second.NextCursor.IsNull())

	two.Do(http.MethodDelete, "/v1/auth/sessions/"+one.SessionID.String(), nil).Want(http.StatusNoContent)
	one.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
	two.Do(http.MethodDelete, "/v1/auth/sessions/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).WantProblem(http.StatusNotFound, "auth.session_not_found")
	three := app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	two.Do(http.MethodDelete, "/v1/auth/sessions", nil).Want(http.StatusNoContent)
	three.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")

	two.Do(http.MethodPost, "/v1/auth/password", map[string]string{"current_password": testkit.AdminPassword, "new_password": "short"}).
		WantProblem(http.StatusUnprocessableEntity, "password.too_short", "/new_password")
	two.Do(http.MethodPost, "/v1/auth/password", map[string]string{"current_password": testkit.AdminPassword, "new_password": "eleven purple tractors"}).
		Want(http.StatusNoContent)
	app.SignIn(testkit.AdminUsername, "eleven purple tractors")
}

// link is the path of the next page.
func link(t *testing.T, r *testkit.Response) string {
	t.Helper()
	path, ok := strings.CutSuffix(strings.TrimPrefix(r.Header.Get("Link"), "<"), `>; rel="next"`)
	require.True(t, ok, "Link: %s", r.Header.Get("Link"))
	return path
}

// pages walks a list by its links and gives a field of every item.
func pages(t *testing.T, c *testkit.Client, path, field string) (values []string) {
	t.Helper()
	for range 50 {
		r := c.Do(http.MethodGet, path, nil).Want(http.StatusOK)
		body := r.Map()
		for _, item := range body["items"].([]any) {
			values = append(values, fmt.Sprint(item.(map[string]any)[field]))
		}
		if body["has_more"] == false {
			assert.Nil(t, body["next_cursor"])
			assert.Empty(t, r.Header.Get("Link"))
			return values
		}
		path = link(t, r)
	}
	t.Fatal("the list does not end")
	return nil
}

func TestStaffOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	r := admin.Do(http.MethodPost, "/v1/staff", map[string]any{"username": "Wang", "name": "王店员", "store_id": store.Id,
		"grants": []any{map[string]any{"role": "assistant", "scope": "own"}}}).Want(http.StatusCreated)
	var made client.Staff
	r.JSON(&made)
	assert.Equal(t, "/v1/staff/"+made.Id.String(), r.Header.Get("Location"))
	assert.True(t, strings.HasPrefix(r.Header.Get("ETag"), `"1-`), r.Header.Get("ETag"))
	assert.Equal(t, "wang", made.Username)
	require.NotNil(t, made.InitialPassword)
	assert.True(t, made.MustChangePassword)
	wang := app.SignIn("wang", *made.InitialPassword)
	wang.Do(http.MethodGet, "/v1/stores", nil).WantProblem(http.StatusForbidden, "auth.password_change_required")
	wang.Do(http.MethodPost, "/v1/auth/password", map[string]string{"current_password": *made.InitialPassword, "new_password": testkit.StaffPassword}).
		Want(http.StatusNoContent)

	path := r.Header.Get("Location")
	read := admin.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	assert.NotContains(t, read.Map(), "initial_password", "shown once")
	admin.Do(http.MethodGet, path, nil, "If-None-Match", read.Header.Get("ETag")).Want(http.StatusNotModified)
	admin.Do(http.MethodPatch, path, `{"store_id":null}`, "If-Match", `"9-x"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	moved := admin.Do(http.MethodPatch, path, `{"store_id":null}`, "If-Match", read.Header.Get("ETag")).Want(http.StatusOK).Map()
	assert.Nil(t, moved["store_id"])
	admin.Do(http.MethodPatch, path, `{"username":"other"}`).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	admin.Do(http.MethodPost, "/v1/staff", map[string]any{"username": "WANG", "name": "x"}).WantProblem(http.StatusConflict, "staff.username_taken", "/username")
	admin.Do(http.MethodPost, "/v1/staff", map[string]any{"username": "w2", "name": "x", "grants": []any{map[string]any{"role": "assistant", "scope": "store"}}}).
		WantProblem(http.StatusUnprocessableEntity, "staff.grant_scope", "/grants/0/scope")

	granted := admin.Do(http.MethodPost, path+"/grants", map[string]any{"role": "analyst", "scope": "all"}).Want(http.StatusCreated).Map()
	grants := granted["grants"].([]any)
	require.Len(t, grants, 2)
	wang.Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	for _, g := range grants {
		admin.Do(http.MethodDelete, path+"/grants/"+g.(map[string]any)["id"].(string), nil).Want(http.StatusNoContent)
	}
	wang.Do(http.MethodGet, "/v1/stores", nil).WantProblem(http.StatusForbidden, "auth.forbidden")
	wang.Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK)

	reset := admin.Do(http.MethodPost, path+"/password-reset", `{}`).Want(http.StatusOK).Map()
	wang.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
	wang = app.SignIn("wang", reset["initial_password"].(string))
	admin.Do(http.MethodDelete, path+"/sessions", nil).Want(http.StatusNoContent)
	wang.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
	admin.Do(http.MethodDelete, path, nil).WantProblem(http.StatusConflict, "staff.in_use")
	admin.Do(http.MethodPatch, path, `{"status":"disabled"}`).Want(http.StatusOK)
	admin.Do(http.MethodGet, "/v1/staff/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).WantProblem(http.StatusNotFound, "staff.not_found")
	admin.Do(http.MethodGet, "/v1/staff/wang", nil).WantProblemHeader(http.StatusUnprocessableEntity)
}

func TestStaffLists(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	shanghai, beijing := app.Store(), app.Store()
	for i := range 7 {
		home, role := shanghai, "assistant"
		if i%2 == 1 {
			home, role = beijing, "inventory_clerk"
		}
		app.Staff(role, testkit.InStore(home.Id), map[string]any{"username": fmt.Sprintf("p%d_%c", i, 'g'-rune(i)), "name": fmt.Sprintf("Li%% %d", i)})
	}
	byName := pages(t, admin, "/v1/staff?limit=2", "username")
	assert.Equal(t, []string{"admin", "p0_g", "p1_f", "p2_e", "p3_d", "p4_c", "p5_b", "p6_a"}, byName)
	newest := pages(t, admin, "/v1/staff?limit=3&sort=-created_at&q=p", "username")
	assert.Equal(t, []string{"p6_a", "p5_b", "p4_c", "p3_d", "p2_e", "p1_f", "p0_g"}, newest)
	assert.Equal(t, []string{"p1_f", "p3_d", "p5_b"}, pages(t, admin, "/v1/staff?limit=1&role=inventory_clerk", "username"))
	assert.Len(t, pages(t, admin, "/v1/staff?store_id="+beijing.Id.String(), "id"), 3)
	assert.Len(t, pages(t, admin, "/v1/staff?q=lI%25", "id"), 7, "any case, and a percent sign is itself")
	assert.Empty(t, pages(t, admin, "/v1/staff?q=L_", "id"), "no wildcards")
	assert.Empty(t, pages(t, admin, "/v1/staff?status=disabled", "id"))
	counted := admin.Do(http.MethodGet, "/v1/staff?limit=1&include=total_count&q=P", nil).Want(http.StatusOK).Map()
	assert.Equal(t, 7.0, counted["total_count"])

	cursor := admin.Do(http.MethodGet, "/v1/staff?limit=1", nil).Want(http.StatusOK).Map()["next_cursor"].(string)
	admin.Do(http.MethodGet, "/v1/stores?cursor="+cursor, nil).WantProblem(http.StatusBadRequest, "request.bad_cursor", "?cursor")
	admin.Do(http.MethodGet, "/v1/staff?q=p&cursor="+cursor, nil).WantProblem(http.StatusBadRequest, "request.bad_cursor")

	// Somebody of one store sees its people only.
	manager := app.Client("store_manager", testkit.InStore(beijing.Id))
	assert.Len(t, pages(t, manager, "/v1/staff", "id"), 4)
}

func TestRolesOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	permissions := admin.Do(http.MethodGet, "/v1/permissions?limit=200", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.NotEmpty(t, permissions)
	for _, p := range permissions {
		p := p.(map[string]any)
		words := p["description"].(map[string]any)
		assert.NotEmpty(t, words["en"])
		assert.NotEmpty(t, words["zh"])
		if p["permission"] == "staff.read" {
			assert.Contains(t, p["operations"], map[string]any{"operation_id": "listStaff", "method": "GET", "path": "/v1/staff", "step_up": false})
		}
	}
	assert.Len(t, pages(t, admin, "/v1/permissions?limit=4", "permission"), len(permissions))

	r := admin.Do(http.MethodPost, "/v1/roles", map[string]any{"code": "stocktaker", "name": "盘点员", "permissions": []string{"stores.read"}}).Want(http.StatusCreated)
	path, tag := r.Header.Get("Location"), r.Header.Get("ETag")
	admin.Do(http.MethodPatch, path, `{"name":"盘点"}`).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPatch, path, `{"name":"盘点"}`, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	changed := admin.Do(http.MethodPatch, path, `{"name":"盘点"}`, "If-Match", tag).Want(http.StatusOK)
	assert.Equal(t, "盘点", changed.Map()["name"])
	app.Staff("stocktaker", testkit.All())
	assert.Equal(t, 1.0, admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["staff_count"])
	admin.Do(http.MethodDelete, path, nil).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodDelete, path, nil, "If-Match", changed.Header.Get("ETag")).WantProblem(http.StatusConflict, "roles.in_use")
	admin.Do(http.MethodPost, "/v1/roles", map[string]any{"code": "x1", "name": "x", "permissions": []string{"magic.cast"}}).
		WantProblem(http.StatusUnprocessableEntity, "roles.permission_unknown", "/permissions/0")

	assert.Equal(t, []string{"stocktaker"}, pages(t, admin, "/v1/roles?built_in=false", "code"))
	assert.Equal(t, []string{"administrator", "analyst", "assistant", "auditor", "inventory_clerk", "marketer", "service_agent", "store_manager"},
		pages(t, admin, "/v1/roles?built_in=true&limit=3", "code"))
	builtIn := admin.Do(http.MethodGet, "/v1/roles?limit=1", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"en": "Administrator", "zh": "管理员"}, builtIn["names"])
}

func TestStoresOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	region := app.Region()
	store := app.Store(map[string]any{"code": "SH01", "region_id": region.Id, "city": "上海"})
	app.Store(map[string]any{"code": "BJ01"})
	assert.Equal(t, []string{"BJ01", "SH01"}, pages(t, admin, "/v1/stores?limit=1", "code"))
	assert.Equal(t, []string{"BJ01", "SH01"}, pages(t, admin, "/v1/stores?sort=-created_at&limit=1", "code"))
	assert.Equal(t, []string{"SH01"}, pages(t, admin, "/v1/stores?region_id="+region.Id.String(), "code"))
	assert.Equal(t, []string{"SH01"}, pages(t, admin, "/v1/stores?q=sh", "code"))

	path := "/v1/stores/" + store.Id.String()
	r := admin.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	admin.Do(http.MethodGet, path, nil, "If-None-Match", r.Header.Get("ETag")).Want(http.StatusNotModified)
	after := admin.Do(http.MethodPatch, path, `{"city":null,"status":"closed"}`, "If-Match", r.Header.Get("ETag")).Want(http.StatusOK).Map()
	assert.Nil(t, after["city"])
	assert.Equal(t, "closed", after["status"])
	assert.Equal(t, []string{"SH01"}, pages(t, admin, "/v1/stores?status=closed", "code"))
	admin.Do(http.MethodDelete, "/v1/regions/"+region.Id.String(), nil).WantProblem(http.StatusConflict, "regions.in_use")
	admin.Do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodDelete, path, nil).WantProblem(http.StatusNotFound, "stores.not_found")
	renamed := admin.Do(http.MethodPatch, "/v1/regions/"+region.Id.String(), `{"name":"华东区"}`).Want(http.StatusOK).Map()
	assert.Equal(t, "华东区", renamed["name"])
	assert.Len(t, pages(t, admin, "/v1/regions", "code"), 1)
	admin.Do(http.MethodDelete, "/v1/regions/"+region.Id.String(), nil).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, "/v1/regions/"+region.Id.String(), nil).WantProblem(http.StatusNotFound, "regions.not_found")
}

func TestKeysOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	body := map[string]any{"name": "till 3", "permissions": []string{"stores.read"}, "store_ids": []any{store.Id}, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}
	r := admin.Do(http.MethodPost, "/v1/api-keys", body, "Idempotency-Key", "one").Want(http.StatusCreated)
	again := admin.Do(http.MethodPost, "/v1/api-keys", body, "Idempotency-Key", "one").Want(http.StatusCreated)
	assert.JSONEq(t, string(r.Body), string(again.Body), "a lost answer can be had again by the same caller")
	key := r.Map()["key"].(string)
	path := r.Header.Get("Location")
	assert.NotContains(t, admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map(), "key")

	till := app.Bearer(key)
	till.Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	till.Do(http.MethodGet, "/v1/staff", nil).WantProblem(http.StatusForbidden, "auth.forbidden")
	me := till.Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK).Map()
	assert.Equal(t, "api_key", me["kind"])
	assert.Nil(t, me["staff"])
	assert.Nil(t, me["session_id"])
	till.Do(http.MethodGet, "/v1/auth/sessions", nil).WantProblem(http.StatusForbidden, "auth.session_needed")
	till.Do(http.MethodDelete, "/v1/auth/sessions", nil).WantProblem(http.StatusForbidden, "auth.session_needed")

	assert.Len(t, pages(t, admin, "/v1/api-keys?status=active", "id"), 1)
	admin.Do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	till.Do(http.MethodGet, "/v1/stores", nil).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
	assert.Equal(t, []string{"revoked"}, pages(t, admin, "/v1/api-keys?status=revoked&limit=1", "status"))
	assert.Empty(t, pages(t, admin, "/v1/api-keys?status=expired", "id"))
	admin.Do(http.MethodDelete, "/v1/api-keys/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).WantProblem(http.StatusNotFound, "api_keys.not_found")
}

func TestStreamTicketsOverHTTP(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	admin.Do(http.MethodPost, "/v1/stream-tickets", map[string]string{"path": "https://elsewhere.example/"}).
		WantProblem(http.StatusUnprocessableEntity, "request.invalid", "/path")
	for _, path := range []string{"/v1/stores", "/v1/stores//order-events", "/v1/nothing"} {
		admin.Do(http.MethodPost, "/v1/stream-tickets", map[string]string{"path": path}).WantProblem(http.StatusUnprocessableEntity, "auth.no_stream", "/path")
	}
	store := app.Store()
	path := "/v1/stores/" + store.Id.String() + "/order-events"
	ticket := admin.Do(http.MethodPost, "/v1/stream-tickets", map[string]string{"path": path}).Want(http.StatusOK).Map()
	assert.Equal(t, 30.0, ticket["expires_in"])
	app.Do(http.MethodGet, "/v1/stores?ticket="+ticket["ticket"].(string), nil).WantProblemHeader(http.StatusUnauthorized)
	app.Do(http.MethodGet, path+"?ticket=invented", nil).WantProblem(http.StatusUnauthorized, "auth.ticket_invalid")
}

// The list of sessions names the city where the operator has a database of them.
func TestSessionsNameTheCity(t *testing.T) {
	app := testkit.New(t)
	var err error
	app.Server.Identity.Places, err = geo.Open(geotest.File(t))
	require.NoError(t, err)
	_ = app.Admin() // there is an administrator
	app.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": "admin", "password": testkit.AdminPassword}, "X-Forwarded-For", "192.0.2.44").Want(http.StatusOK)
	app.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": "admin", "password": testkit.AdminPassword}, "X-Forwarded-For", "198.51.100.3").Want(http.StatusOK)
	var list client.SessionList
	app.Admin().Do(http.MethodGet, "/v1/auth/sessions", nil).Want(http.StatusOK).JSON(&list)
	places := map[string]bool{}
	for _, s := range list.Items {
		places[s.Place] = true
	}
	require.True(t, places["上海, 中国 (192.0.2.0/24)"], "%v", places)
	require.True(t, places["198.51.100.0/24"], "%v", places)
}
