package server_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// safeBuffer is a buffer that a server and a test may share.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestCORS(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(server.Config{CORSOrigins: []string{"https://admin.example.com"}}))
	preflight := app.Do("OPTIONS", "/v1/customers/"+missingID, nil, "Origin", "https://admin.example.com",
		"Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,if-match").Want(204)
	require.Equal(t, "https://admin.example.com", preflight.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", preflight.Header.Get("Access-Control-Allow-Credentials"))
	require.Contains(t, preflight.Header.Get("Access-Control-Allow-Methods"), "PATCH")
	for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Accept-Language", "Last-Event-ID", "X-Request-Id", "X-HTTP-Method-Override"} {
		require.Contains(t, preflight.Header.Get("Access-Control-Allow-Headers"), name)
	}
	require.NotEmpty(t, preflight.Header.Get("Access-Control-Max-Age"))
	require.Contains(t, strings.Join(preflight.Header.Values("Vary"), ","), "Origin")

	// Also failures are readable by the page.
	failure := app.Do("GET", "/v1/me/staff", nil, "Origin", "https://admin.example.com").WantProblemHeader(401)
	require.Equal(t, "https://admin.example.com", failure.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"ETag", "Link", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-Id", "Idempotency-Replayed"} {
		require.Contains(t, failure.Get("Access-Control-Expose-Headers"), name)
	}

	foreign := app.Do("OPTIONS", "/v1/customers", nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET").Want(204)
	require.Empty(t, foreign.Header.Get("Access-Control-Allow-Origin"))
	require.Empty(t, foreign.Header.Get("Access-Control-Allow-Methods"))
	require.Empty(t, app.Do("GET", "/healthz", nil, "Origin", "null").Header.Get("Access-Control-Allow-Origin"))
}

// WeChat's wx.request knows GET and POST (and a few others, but no PATCH).
func TestMethodOverride(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	path := "/v1/stores/" + store.Id.String()
	got := admin.Do("POST", path, `{"name":"新名"}`, "X-HTTP-Method-Override", "patch").Want(200)
	require.Equal(t, "新名", got.Map()["name"])
	admin.Do("POST", path, nil, "X-HTTP-Method-Override", "DELETE").Want(204)
	admin.Do("GET", path, nil).WantProblem(404, "stores.not_found")
	// A read cannot become a write: overriding is for POST.
	region := app.Region()
	admin.Do("GET", "/v1/regions/"+region.Id.String(), nil, "X-HTTP-Method-Override", "DELETE").Want(200)
	admin.Do("GET", "/v1/regions/"+region.Id.String(), nil).Want(200)
}

func TestHead(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	path := "/v1/stores/" + store.Id.String()
	get := admin.Do("GET", path, nil).Want(200)
	head := admin.Do("HEAD", path, nil).Want(200)
	require.Empty(t, head.Body)
	require.Equal(t, get.Header.Get("Etag"), head.Header.Get("Etag"))
	require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"))
	admin.Do("HEAD", "/v1/stores/"+missingID, nil).Want(404)
	admin.Do("HEAD", "/v1/jobs/"+missingID+"/events", nil).Want(405)
	app.Do("HEAD", path, nil).Want(401)
}

func TestConditional(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	path := "/v1/stores/" + store.Id.String()
	first := admin.Do("GET", path, nil).Want(200)
	tag := first.Header.Get("Etag")
	require.Regexp(t, `^"1-[0-9a-f]{16}"$`, tag)
	require.Equal(t, "private, no-cache", first.Header.Get("Cache-Control"))
	require.Contains(t, first.Header.Get("Vary"), "Authorization")
	require.Contains(t, first.Header.Get("Vary"), "Accept-Language")

	for _, header := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		same := admin.Do("GET", path, nil, "If-None-Match", header)
		require.Equal(t, http.StatusNotModified, same.Status, header)
		require.Empty(t, same.Body)
		require.Equal(t, tag, same.Header.Get("Etag"))
	}
	admin.Do("GET", path, nil, "If-None-Match", `"1"`).Want(200)

	changed := admin.Do("PATCH", path, `{"name":"改名"}`, "If-Match", tag).Want(200)
	require.Regexp(t, `^"2-`, changed.Header.Get("Etag"))
	require.Equal(t, changed.Header.Get("Etag"), admin.Do("GET", path, nil, "If-None-Match", tag).Want(200).Header.Get("Etag"))
	admin.Do("PATCH", path, `{"name":"又改"}`, "If-Match", tag).WantProblem(412, "request.version_mismatch")
	require.Equal(t, "改名", admin.Do("GET", path, nil).Map()["name"])
}

func TestSecureHeaders(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(server.Config{PublicURL: "https://crm.example.com/"}))
	for _, path := range []string{"/healthz", "/docs", "/v1/nothing", "/v1/me/staff"} {
		h := app.Do("GET", path, nil).Header
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.NotEmpty(t, h.Get("Referrer-Policy"), path)
		require.NotEmpty(t, h.Get("Strict-Transport-Security"), path)
		require.Empty(t, h.Get("Server"), path)
	}
	p := app.Do("GET", "/v1/me/staff", nil).WantProblem(401, "auth.unauthenticated")
	require.Equal(t, "https://crm.example.com/docs/errors/auth.unauthenticated", p.Type)
	login := app.Do("POST", "/v1/auth/login", map[string]string{"username": testkit.AdminUsername, "password": testkit.AdminPassword}).Want(200)
	require.Equal(t, "no-store", login.Header.Get("Cache-Control"))
}

func TestRateLimit(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	customer := app.Customer()
	var last *testkit.Response
	for range 40 {
		last = admin.Do("POST", "/v1/customers/"+customer.Id.String()+"/reveal", `{"fields":["phone"],"reason":"test of the limit"}`)
		if last.Status == 429 {
			break
		}
		last.Want(200)
		require.NotEmpty(t, last.Header.Get("RateLimit"))
	}
	last.WantProblem(429, "rate_limited")
	require.NotEmpty(t, last.Header.Get("Retry-After"))
	require.Contains(t, last.Header.Get("RateLimit-Policy"), "reveal")
}
