package server_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// tight are limits that a test reaches.
func tight() server.Config {
	return server.Config{RateLimits: map[string]int{"staff.read": 6, "staff.write": 100, "key.read": 100, "key.write": 100, "address.read": 5, "address.write": 100}}
}

func TestEveryCallerHasTheirOwnLimit(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(tight()))
	other := testkit.New(t, testkit.Beside(app), testkit.WithConfig(tight()))
	me, colleague := app.Client("analyst", testkit.All()), app.Client("analyst", testkit.All())
	for i := range 3 {
		r := me.Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK)
		require.Equal(t, `"read";q=6;w=60`, r.Header.Get("RateLimit-Policy"), i)
		require.Regexp(t, `^"read";r=\d;t=\d+$`, r.Header.Get("RateLimit"))
		require.Empty(t, r.Header.Get("Retry-After"))
	}
	// What is refused for another reason counts, and says so.
	require.NotEmpty(t, me.Do(http.MethodGet, "/v1/audit-logs", nil).Want(http.StatusForbidden).Header.Get("RateLimit"))
	for range 2 {
		other.Bearer(me.Token).Do(http.MethodGet, "/v1/customers/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11", nil).Want(http.StatusNotFound)
	}
	for _, replica := range []*testkit.App{app, other} {
		r := replica.Bearer(me.Token).Do(http.MethodGet, "/v1/me/staff", nil)
		r.WantProblem(http.StatusTooManyRequests, "rate_limited")
		require.NotEmpty(t, r.Header.Get("Retry-After"))
	}
	colleague.Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK)
	require.Equal(t, `"write";q=100;w=60`, me.Do(http.MethodPost, "/v1/auth/logout", nil).Want(http.StatusNoContent).Header.Get("RateLimit-Policy"))

	// A key's own limit holds in place of both general ones.
	var made struct{ Key string }
	app.Admin().Do(http.MethodPost, "/v1/api-keys", map[string]any{"name": "erp", "permissions": []string{"stores.read"}, "all_stores": true, "requests_per_minute": 2}).
		Want(http.StatusCreated).JSON(&made)
	key := app.Bearer(made.Key)
	require.Equal(t, `"requests";q=2;w=60`, key.Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK).Header.Get("RateLimit-Policy"))
	key.Do(http.MethodPost, "/v1/stores", map[string]any{"code": "X", "name": "X"}).Want(http.StatusForbidden)
	key.Do(http.MethodGet, "/v1/stores", nil).WantProblem(http.StatusTooManyRequests, "rate_limited")
}

func TestGuessesAtTokensAreCounted(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(tight()))
	ask := func(from string) *testkit.Response {
		return app.Do(http.MethodGet, "/v1/me/staff", nil, "Authorization", "Bearer guess", "X-Forwarded-For", from)
	}
	for range 5 {
		require.Equal(t, `"read";q=5;w=60`, ask("203.0.113.9").Want(http.StatusUnauthorized).Header.Get("RateLimit-Policy"))
	}
	ask("203.0.113.9").WantProblem(http.StatusTooManyRequests, "rate_limited")
	ask("203.0.113.10").Want(http.StatusUnauthorized)
	for range 20 { // those who watch the service are let through
		r := app.Do(http.MethodGet, "/healthz", nil, "X-Forwarded-For", "203.0.113.9").Want(http.StatusOK)
		require.Equal(t, `"probe";q=6000;w=60`, r.Header.Get("RateLimit-Policy"))
	}
}

// Whoever is no trusted proxy cannot choose an address.
func TestForwardedAddressesAreBelievedOfProxiesOnly(t *testing.T) {
	cfg := tight()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	app := testkit.New(t, testkit.WithConfig(cfg))
	statuses := map[int]int{}
	for i := range 8 {
		statuses[app.Do(http.MethodGet, "/v1/me/staff", nil, "X-Forwarded-For", address(int64(i))).Status]++
	}
	require.Equal(t, map[int]int{http.StatusUnauthorized: 5, http.StatusTooManyRequests: 3}, statuses)

	// A key for that address is not opened by a header either.
	var made struct{ Key string }
	app.Admin().Do(http.MethodPost, "/v1/api-keys", map[string]any{"name": "erp", "permissions": []string{"stores.read"}, "all_stores": true,
		"allowed_ips": []string{"198.51.100.0/24"}}).Want(http.StatusCreated).JSON(&made)
	require.NotEqual(t, http.StatusOK, app.Bearer(made.Key).Do(http.MethodGet, "/v1/stores", nil, "X-Forwarded-For", "198.51.100.7").Status)
	trusting := testkit.New(t, testkit.Beside(app))
	trusting.Bearer(made.Key).Do(http.MethodGet, "/v1/stores", nil, "X-Forwarded-For", "198.51.100.7").Want(http.StatusOK)
	trusting.Bearer(made.Key).Do(http.MethodGet, "/v1/stores", nil, "X-Forwarded-For", "198.51.101.7").Want(http.StatusUnauthorized)
}

func TestLimitsHoldWithoutRedis(t *testing.T) {
	redis := pgtest.NewRedis(t)
	app := testkit.New(t, testkit.WithConfig(tight()), testkit.WithRedis(redis.URL))
	me := app.Client("analyst", testkit.All())
	redis.Kill()
	got := map[int]int{}
	for range 10 {
		got[me.Do(http.MethodGet, "/v1/me/staff", nil).Status]++
	}
	require.Equal(t, map[int]int{http.StatusOK: 3, http.StatusTooManyRequests: 7}, got, "half the quota, and nobody is signed out")
}
