package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// Each request is wrong in one way; the answer says in which, where, and
// nothing is written.
func TestBadInput(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	customer := app.Customer(map[string]any{"home_store_id": store.Id})
	ticket := func(fields string) string {
		return fmt.Sprintf(`{"orders":[{"store_id":%q,"external_number":"T1","type":"sale","placed_at":"2026-07-01T02:00:00Z","lines":[{"sku":"A","quantity":1,"unit_price_amount":100}]%s}]}`, store.Id, fields)
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, pointer      string
	}{
		"cut short":             {"POST", "/v1/stores", `{"code":"SH01"`, 400, "request.malformed_json", ""},
		"no JSON":               {"POST", "/v1/stores", `code=SH01`, 400, "request.malformed_json", ""},
		"two values":            {"POST", "/v1/stores", `{"code":"SH01","name":"a"}{}`, 400, "request.malformed_json", ""},
		"no body":               {"POST", "/v1/stores", ``, 422, "request.invalid", ""},
		"null":                  {"POST", "/v1/stores", `null`, 422, "request.invalid", ""},
		"a list":                {"POST", "/v1/stores", `[]`, 422, "request.invalid", ""},
		"unknown field":         {"POST", "/v1/stores", `{"code":"SH01","name":"a","colour":"red"}`, 422, "request.invalid", "/colour"},
		"missing field":         {"POST", "/v1/stores", `{"code":"SH01"}`, 422, "request.invalid", "/name"},
		"wrong type":            {"POST", "/v1/stores", `{"code":"SH01","name":7}`, 422, "request.invalid", "/name"},
		"null for a string":     {"POST", "/v1/stores", `{"code":"SH01","name":null}`, 422, "request.invalid", "/name"},
		"bad form":              {"POST", "/v1/stores", `{"code":"S H","name":"a"}`, 422, "request.invalid", "/code"},
		"too long":              {"POST", "/v1/stores", `{"code":"SH01","name":"` + strings.Repeat("x", 121) + `"}`, 422, "request.invalid", "/name"},
		"bad id inside":         {"POST", "/v1/stores", `{"code":"SH01","name":"a","region_id":"7"}`, 422, "request.invalid", "/region_id"},
		"unknown region":        {"POST", "/v1/stores", `{"code":"SH01","name":"a","region_id":"` + missingID + `"}`, 422, "regions.unknown", "/region_id"},
		"given twice":           {"POST", "/v1/stores", `{"code":"SH01","name":"a","name":"b"}`, 422, "request.invalid", "/name"},
		"smuggled in capitals":  {"POST", "/v1/stores", `{"code":"SH01","name":"a","NAME":"b"}`, 422, "request.invalid", "/NAME"},
		"bad id in the path":    {"GET", "/v1/stores/7", "", 422, "request.invalid", "{id}"},
		"no such id":            {"GET", "/v1/stores/" + missingID, "", 404, "stores.not_found", ""},
		"bad cursor":            {"GET", "/v1/customers?cursor=xyz", "", 400, "request.bad_cursor", "?cursor"},
		"limit too high":        {"GET", "/v1/customers?limit=201", "", 422, "request.invalid", "?limit"},
		"limit no number":       {"GET", "/v1/customers?limit=ten", "", 422, "request.invalid", "?limit"},
		"limit twice":           {"GET", "/v1/customers?limit=1&limit=2", "", 422, "request.invalid", "?limit"},
		"unknown parameter":     {"GET", "/v1/customers?colour=red", "", 422, "request.invalid", "?colour"},
		"bad escape":            {"GET", "/v1/customers?name=%zz", "", 422, "request.invalid", "?"},
		"bad phone":             {"POST", "/v1/customers", `{"name":"王明","phone":"12345"}`, 422, "customers.phone_invalid", "/phone"},
		"born tomorrow":         {"POST", "/v1/customers", `{"name":"王明","birth_date":"2999-01-01"}`, 422, "customers.birth_date_invalid", "/birth_date"},
		"no such day":           {"POST", "/v1/customers", `{"name":"王明","birth_date":"2001-02-30"}`, 422, "request.invalid", "/birth_date"},
		"nobody":                {"POST", "/v1/customers", `{}`, 422, "", ""},
		"one character":         {"GET", "/v1/customers?name=%E7%8E%8B", "", 422, "search.too_short", ""},
		"unknown store":         {"POST", "/v1/customers", `{"name":"王明","home_store_id":"` + missingID + `"}`, 422, "", "/home_store_id"},
		"batch too large":       {"POST", "/v1/pos/orders", `{"orders":[` + strings.TrimSuffix(strings.Repeat(`{},`, 1001), ",") + `]}`, 422, "request.invalid", "/orders"},
		"empty batch":           {"POST", "/v1/pos/orders", `{"orders":[]}`, 422, "request.invalid", "/orders"},
		"ticket without lines":  {"POST", "/v1/pos/orders", ticket(`,"lines":[]`), 422, "request.invalid", ""},
		"bad override":          {"POST", "/v1/stores", "", 400, "request.method_override", "X-HTTP-Method-Override:"},
		"empty key":             {"POST", "/v1/stores", `{"code":"SH01","name":"a"}`, 400, "idempotency.key_invalid", "Idempotency-Key:"},
		"NUL in a field":        {"POST", "/v1/stores", `{"code":"SH01","name":"a\u0000"}`, 422, "request.invalid", "/name"},
		"NUL in free form":      {"POST", "/v1/customers", `{"name":"王明","custom_fields":{"a":["\u0000"]}}`, 422, "request.invalid", "/custom_fields/a/0"},
		"NUL in a query":        {"GET", "/v1/customers?card_number=a%00", "", 422, "request.invalid", "?card_number"},
		"NUL in a path":         {"GET", "/v1/stores/%00", "", 422, "request.invalid", "{id}"},
		"GBK in a query":        {"GET", "/v1/customers?name=%cd%f5%c3%f7", "", 422, "request.invalid", "?name"},
		"GBK in a body":         {"POST", "/v1/customers", "{\"name\":\"\xcd\xf5\xc3\xf7\"}", 400, "request.malformed_json", ""},
		"half a surrogate pair": {"POST", "/v1/customers", `{"name":"王\ud83d"}`, 400, "request.malformed_json", ""},
		"2,000 deep":            {"POST", "/v1/customers", `{"name":"王明","custom_fields":{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}}`, 422, "request.invalid", "/custom_fields/a" + strings.Repeat("/0", 30)},
		"beyond a float64":      {"POST", "/v1/customers", `{"name":"王明","preferences":{"id":9007199254740993}}`, 422, "request.invalid", "/preferences/id"},
		"1.0 for an integer":    {"POST", "/v1/pos/orders", strings.Replace(ticket(""), `"quantity":1`, `"quantity":1.0`, 1), 422, "request.invalid", "/orders/0/lines/0/quantity"},
		"no such state":         {"GET", "/v1/customers?status=foo", "", 422, "request.invalid", "?status"},
		"empty limit":           {"GET", "/v1/customers?limit=", "", 422, "request.invalid", "?limit"},
		"patch of nothing":      {"PATCH", "/v1/customers/" + missingID, `{"name":"x"}`, 404, "customers.not_found", ""},
		"patch read-only field": {"PATCH", "/v1/customers/" + customer.Id.String(), `{"version":9}`, 422, "request.invalid", "/version"},
		"stale version":         {"PATCH", "/v1/customers/" + customer.Id.String(), `{"gender":"female"}`, 412, "request.version_mismatch", ""},
		"no id in the path":     {"GET", "/v1/customers//notes", "", 404, "not_found", ""},
		"no such route":         {"GET", "/v1/nothing", "", 404, "not_found", ""},
		"no such method":        {"PUT", "/v1/stores", "{}", 405, "method_not_allowed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			switch name {
			case "bad override":
				headers = []string{"X-HTTP-Method-Override", "TRACE"}
			case "empty key":
				headers = []string{"Idempotency-Key", ""}
			case "stale version":
				headers = []string{"If-Match", `"99"`}
			}
			var body any
			if c.body != "" {
				body = c.body
			}
			got := app.In(t).Bearer(admin.Token).Do(c.method, c.path, body, headers...)
			require.Equal(t, c.status, got.Status, "%s", got.Body)
			var pointers []string
			if c.pointer != "" {
				pointers = []string{c.pointer}
			}
			if c.code == "" {
				require.NotEmpty(t, got.Map()["code"])
				return
			}
			got.WantProblem(c.status, c.code, pointers...)
		})
	}
	require.Equal(t, 1, countStores(t, app), "something was written")
	var customers int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers").Scan(&customers))
	require.Equal(t, 1, customers, "something was written")
}

// What people read says what to do about it.
func TestBadInputIsExplained(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	customer := app.Customer()
	for _, c := range []struct{ method, path, body, detail string }{
		{"POST", "/v1/customers/lookup", `{}`, "Must have exactly one of: card_number, "},
		{"POST", "/v1/customers/lookup", `{"phone":"13912345678","card_number":"1"}`, "Must have exactly one of: card_number, "},
		{"PATCH", "/v1/customers/" + customer.Id.String(), `{}`, "Must have at least one of: address, "},
		{"GET", "/v1/customers?status=foo", "", "Must be one of: active, archived."},
		{"GET", "/v1/customers?limit=", "", "Must not be empty; leave it out instead."},
		{"POST", "/v1/stores", "", "This operation needs a JSON body."},
		{"POST", "/v1/stores", `{"code":"a","code":"b","name":"c"}`, "This field is given twice in its object."},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		p := admin.Do(c.method, c.path, body).WantProblem(422, "request.invalid")
		require.Len(t, p.Errors, 1, "%s %s", c.method, c.path)
		require.Contains(t, p.Errors[0].Detail, c.detail)
	}
	p := admin.Do("POST", "/v1/stores", `{}`, "X-HTTP-Method-Override", "GET").WantProblem(400, "request.method_override")
	require.Contains(t, p.Detail, "PUT, PATCH or DELETE")
}

// Answers that hold what is shown once are kept by nobody on the way.
func TestSecretsAreNotCached(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	customer := app.Customer()
	for path, body := range map[string]string{
		"/v1/customers/" + customer.Id.String() + "/reveal": `{"fields":["phone"],"reason":"test of the header"}`,
		"/v1/stream-tickets": `{"path":"/v1/jobs/` + missingID + `/events"}`,
	} {
		got := admin.Do("POST", path, body)
		require.Equal(t, 2, got.Status/100, "%s", got.Body)
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"), path)
	}
	require.Equal(t, "private, no-cache", admin.Do("GET", "/v1/customers/"+customer.Id.String(), nil).Want(200).Header.Get("Cache-Control"))
}

func TestBodyLimits(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	large := `{"code":"SH01","name":"` + strings.Repeat("x", 2<<20) + `"}`
	admin.Do("POST", "/v1/stores", large).WantProblem(413, "request.too_large")
	// The length header may lie or be missing: what counts is what is read.
	admin.Do("POST", "/v1/stores", chunked{strings.NewReader(large)}, "Content-Type", "application/json").WantProblem(413, "request.too_large")
	app.Do("POST", "/v1/auth/login", `{"username":"a","password":"`+strings.Repeat("x", 20<<10)+`"}`).WantProblem(413, "request.too_large")
}

// chunked hides the length of a body from the client.
type chunked struct{ *strings.Reader }

func (c chunked) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func TestContentTypes(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	body := `{"code":"SH01","name":"a"}`
	admin.Do("POST", "/v1/stores", body, "Content-Type", "text/plain").WantProblem(415, "request.unsupported_media_type")
	admin.Do("POST", "/v1/stores", body, "Content-Type", "application/json; charset=gbk").WantProblem(415, "request.unsupported_media_type")
	admin.Do("POST", "/v1/stores", body, "Content-Encoding", "gzip").WantProblem(415, "request.unsupported_media_type")
	var store struct{ Id, Name string }
	admin.Do("POST", "/v1/stores", body, "Content-Type", "application/json; charset=UTF-8").Want(201).JSON(&store)
	admin.Do("PATCH", "/v1/stores/"+store.Id, `{"name":"b"}`, "Content-Type", "application/merge-patch+json").Want(200)
}

func TestTokens(t *testing.T) {
	start := time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)
	app := testkit.New(t, testkit.At(start))
	other := testkit.New(t, testkit.At(start))
	admin := app.Admin()
	other.Bearer(admin.Token).Do("GET", "/v1/me/staff", nil).WantProblem(401, "auth.unauthenticated")
	for _, token := range []string{"x", "a.b.c", admin.Token + "x", admin.Token[:len(admin.Token)-4], strings.Repeat("x", 20000), "shk_live_abc"} {
		got := app.Bearer(token).Do("GET", "/v1/me/staff", nil)
		require.Contains(t, []int{401, 431}, got.Status)
	}
	// Signed by nobody.
	none := "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + strings.Split(admin.Token, ".")[1] + "."
	app.Bearer(none).Do("GET", "/v1/me/staff", nil).WantProblem(401, "auth.unauthenticated")
	app.Advance(16 * time.Minute)
	p := admin.Do("GET", "/v1/me/staff", nil).WantProblem(401, "auth.token_expired")
	require.NotEmpty(t, p.Detail)
	require.Contains(t, admin.Do("GET", "/v1/me/staff", nil).Header.Get("WWW-Authenticate"), "Bearer")
}

// A ticket in the address opens streams and nothing else.
func TestTicketOnOtherOperations(t *testing.T) {
	app := testkit.New(t)
	app.Do("GET", "/v1/me/staff?ticket=abc", nil).WantProblem(401, "auth.unauthenticated")
	app.Do("GET", "/v1/jobs/"+missingID+"/events?ticket=abc", nil).WantProblem(401, "auth.ticket_invalid")
}

func TestProblemLanguage(t *testing.T) {
	app := testkit.New(t)
	p := app.Do("GET", "/v1/me/staff", nil, "Accept-Language", "zh-CN,zh;q=0.9").WantProblem(401, "auth.unauthenticated")
	require.Contains(t, p.Detail, "请先登录")
	require.Equal(t, "需要登录", p.Title)
	p = app.Do("GET", "/v1/me/staff", nil, "Accept-Language", "fr").WantProblem(401, "auth.unauthenticated")
	require.Contains(t, p.Detail, "Sign in")
	admin := app.Admin()
	p = admin.Do("POST", "/v1/stores", `{"code":"SH01"}`, "Accept-Language", "zh").WantProblem(422, "request.invalid", "/name")
	require.Equal(t, "此项必填。", p.Errors[0].Detail)
	require.Contains(t, p.Type, "/docs/errors/request.invalid")
}

func TestRequestID(t *testing.T) {
	app := testkit.New(t)
	require.Equal(t, "trace-12345678", app.Do("GET", "/healthz", nil, "X-Request-Id", "trace-12345678").Header.Get("X-Request-Id"))
	for _, bad := range []string{"a", "with space in it", "quote\"quote\"", strings.Repeat("x", 65), "<script>alert(1)</script>"} {
		got := app.Do("GET", "/healthz", nil, "X-Request-Id", bad).Header.Get("X-Request-Id")
		require.NotEqual(t, bad, got)
		require.Len(t, got, 36)
	}
}

// Nothing that names a person reaches the log: no query, no path.
func TestLogHoldsTemplatesOnly(t *testing.T) {
	var log safeBuffer
	app := testkit.New(t, testkit.WithLog(&log))
	admin := app.Admin()
	customer := app.Customer()
	admin.Do(http.MethodGet, "/v1/customers?phone=13912345678", nil).Want(200)
	admin.Do(http.MethodGet, "/v1/customers/"+customer.Id.String(), nil).Want(200)
	admin.Do(http.MethodGet, "/v1/stores/"+missingID, nil).Want(404)
	text := log.String()
	require.Contains(t, text, "route=/v1/customers/:id")
	require.NotContains(t, text, "13912345678")
	require.NotContains(t, text, missingID)
	require.NotContains(t, text, testkit.AdminPassword)
	require.NotContains(t, text, admin.Token)
}
