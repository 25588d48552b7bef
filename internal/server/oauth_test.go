package server_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type oauthKey struct {
	ID    uuid.UUID
	Key   string
	KeyID string `json:"key_id"`
}

func exchange(app *testkit.App, form url.Values, headers ...string) *testkit.Response {
	return app.Do(http.MethodPost, "/v1/oauth/token", strings.NewReader(form.Encode()), append(headers, "Content-Type", "application/x-www-form-urlencoded")...)
}

func credentials(k oauthKey, more ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {k.KeyID}, "client_secret": {k.Key}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func (k oauthKey) token(t *testing.T, app *testkit.App, more ...string) string {
	t.Helper()
	var out struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	r := exchange(app, credentials(k, more...)).Want(http.StatusOK)
	r.JSON(&out)
	require.Equal(t, "Bearer", out.TokenType)
	require.Equal(t, 900, out.ExpiresIn)
	require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
	require.Equal(t, "no-cache", r.Header.Get("Pragma"))
	return out.AccessToken
}

func TestMachinesExchangeTheirKey(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(server.Config{PublicURL: "https://crm.example.com"}))
	second := testkit.New(t, testkit.Beside(app))
	issue := func(body map[string]any) (k oauthKey) {
		app.Admin().Do(http.MethodPost, "/v1/api-keys", merge(map[string]any{"name": "erp", "permissions": []string{"stores.read", "roles.read"}, "all_stores": true}, body)).
			Want(http.StatusCreated).JSON(&k)
		return k
	}
	k := issue(nil)
	whole := k.token(t, app)
	app.Bearer(whole).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	second.Bearer(whole).Do(http.MethodGet, "/v1/roles", nil).Want(http.StatusOK)
	me := app.Bearer(whole).Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK).Map()
	require.Equal(t, k.ID.String(), me["id"])
	require.Equal(t, "api_key", me["kind"])
	narrow := k.token(t, app, "scope", "stores.read")
	app.Bearer(narrow).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	app.Bearer(narrow).Do(http.MethodGet, "/v1/roles", nil).Want(http.StatusForbidden)
	basic := []string{"Authorization", "Basic " + basicAuth(k.KeyID, k.Key)}
	require.Contains(t, string(exchange(app, url.Values{"grant_type": {"client_credentials"}}, basic...).Want(http.StatusOK).Body), `"scope":"roles.read stores.read"`)

	other := issue(nil)
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
		code    string
	}{
		"wrong secret":     {credentials(k, "client_secret", other.Key), nil, 401, "invalid_client"},
		"of another key":   {credentials(k, "client_id", other.KeyID), nil, 401, "invalid_client"},
		"no secret":        {url.Values{"grant_type": {"client_credentials"}}, nil, 401, "invalid_client"},
		"both ways":        {credentials(k), basic, 400, "invalid_request"},
		"another grant":    {credentials(k, "grant_type", "password"), nil, 400, "unsupported_grant_type"},
		"no grant":         {url.Values{}, basic, 400, "unsupported_grant_type"},
		"scope beyond":     {credentials(k, "scope", "stores.read audit.read"), nil, 400, "invalid_scope"},
		"scope of nothing": {credentials(k, "scope", "  "), nil, 400, "invalid_scope"},
	} {
		r := exchange(app, c.form, c.headers...).Want(c.status)
		require.Equal(t, c.code, r.Map()["error"], name)
		require.Equal(t, "application/json", r.Header.Get("Content-Type"), name)
		require.NotEmpty(t, r.Map()["error_description"], name)
		require.Equal(t, c.status == 401, r.Header.Get("WWW-Authenticate") != "", name)
	}
	require.Equal(t, "invalid_request", app.Do(http.MethodPost, "/v1/oauth/token?client_secret="+k.Key, strings.NewReader(credentials(k).Encode()),
		"Content-Type", "application/x-www-form-urlencoded").Want(422).Map()["error"], "secrets do not belong into addresses")

	// A new secret ends tokens at once, everywhere; the old secret still gets others.
	admin, path := app.Admin(), "/v1/api-keys/"+k.ID.String()
	admin.Do(http.MethodPost, path+"/rotate", map[string]any{}).Want(http.StatusOK)
	gone := func(bearer string) {
		t.Helper()
		app.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusUnauthorized)
		require.Eventually(t, func() bool {
			return second.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Status == http.StatusUnauthorized
		}, time.Second, 5*time.Millisecond)
	}
	gone(whole)
	gone(narrow)
	again := k.token(t, app)
	app.Bearer(again).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	admin.Do(http.MethodPatch, path, map[string]any{"end_previous": true}).Want(http.StatusOK)
	gone(again)
	last := other.token(t, app)
	second.Bearer(last).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	admin.Do(http.MethodDelete, "/v1/api-keys/"+other.ID.String(), nil).Want(http.StatusNoContent)
	gone(last)
	exchange(app, credentials(other)).Want(http.StatusUnauthorized)

	// Where a key may be used from holds for its tokens.
	fenced := issue(map[string]any{"allowed_ips": []string{"203.0.113.0/24"}})
	exchange(app, credentials(fenced)).Want(http.StatusUnauthorized)
	var got struct {
		AccessToken string `json:"access_token"`
	}
	exchange(app, credentials(fenced), "X-Forwarded-For", "203.0.113.9").Want(http.StatusOK).JSON(&got)
	app.Bearer(got.AccessToken).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusUnauthorized)
	app.Bearer(got.AccessToken).Do(http.MethodGet, "/v1/stores", nil, "X-Forwarded-For", "203.0.113.10").Want(http.StatusOK)

	meta := app.Do(http.MethodGet, "/.well-known/oauth-authorization-server", nil).Want(http.StatusOK).Map()
	require.Equal(t, "https://crm.example.com/v1/oauth/token", meta["token_endpoint"])
}

func TestTheTokenEndpointIsLimited(t *testing.T) {
	app := testkit.New(t)
	for range 60 {
		exchange(app, url.Values{}).Want(http.StatusBadRequest)
	}
	r := exchange(app, url.Values{}).Want(http.StatusTooManyRequests)
	require.Equal(t, "temporarily_unavailable", r.Map()["error"])
	require.Equal(t, `"token";q=60;w=60`, r.Header.Get("RateLimit-Policy"))
}

// Without Redis everybody signed in goes on working from PostgreSQL, what was
// taken back stays taken back, and nobody gains anything.
func TestRightsWithoutRedis(t *testing.T) {
	redis := pgtest.NewRedis(t)
	app := testkit.New(t, testkit.WithRedis(redis.URL))
	second := testkit.New(t, testkit.Beside(app))
	admin, person := app.Admin(), app.Client("analyst", testkit.All())
	leaver := app.Client("administrator", testkit.All())
	var k oauthKey
	admin.Do(http.MethodPost, "/v1/api-keys", map[string]any{"name": "erp", "permissions": []string{"stores.read"}, "all_stores": true}).Want(http.StatusCreated).JSON(&k)
	short := k.token(t, app)
	for _, bearer := range []string{person.Token, leaver.Token, k.Key, short} {
		second.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK) // cached by the other replica
	}
	redis.Kill()
	for _, bearer := range []string{person.Token, k.Key, short} {
		app.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
	}
	person.Do(http.MethodGet, "/v1/staff", nil).Want(http.StatusForbidden)
	app.SignIn(person.Username, testkit.StaffPassword).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)

	admin.Do(http.MethodPatch, "/v1/staff/"+leaver.StaffID.String(), map[string]any{"status": "disabled"}).Want(http.StatusOK)
	admin.Do(http.MethodDelete, "/v1/api-keys/"+k.ID.String(), nil).Want(http.StatusNoContent)
	for _, bearer := range []string{leaver.Token, k.Key, short} {
		app.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusUnauthorized)
		require.Eventually(t, func() bool {
			return second.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Status == http.StatusUnauthorized
		},
			1500*time.Millisecond, 10*time.Millisecond, "within a second, without a message")
	}
	redis.Start()
	require.Eventually(t, func() bool { return !app.Cache.Down() && !second.Cache.Down() }, 5*time.Second, 10*time.Millisecond)
	for _, bearer := range []string{leaver.Token, k.Key, short} {
		for _, replica := range []*testkit.App{app, second} {
			replica.Bearer(bearer).Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusUnauthorized)
		}
	}
	person.Do(http.MethodGet, "/v1/stores", nil).Want(http.StatusOK)
}

func basicAuth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
