package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// New refuses a route outside the contract; this is the other direction.
func TestContractIsServed(t *testing.T) {
	app := testkit.New(t)
	served := map[string]bool{}
	for _, r := range app.Server.Routes() {
		served[r] = true
	}
	require.NotEmpty(t, app.Server.Contract.Operations())
	for _, op := range app.Server.Contract.Operations() {
		require.True(t, served[op.Method+" "+op.EchoPath], "%s is in the contract and not served", op.ID)
		delete(served, op.Method+" "+op.EchoPath)
	}
	for route := range served {
		require.Contains(t, route, "/docs/*", "served and not in the contract")
	}
}

// Whatever an operation does, it does nothing for a caller without
// credentials, with broken ones, or without the permission.
func TestEveryOperationIsGuarded(t *testing.T) {
	app := testkit.New(t)
	nobody := app.Client(bareRole(app), testkit.All())
	for _, op := range app.Server.Contract.Operations() {
		if op.Public {
			continue
		}
		path := parameter.ReplaceAllString(op.Path, missingID)
		app.Do(op.Method, path, nil).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
		app.Do(op.Method, path, nil, "Authorization", "Bearer nonsense").WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
		app.Do(op.Method, path, nil, "Authorization", "Basic YTpi").WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
		if op.Permission != string(auth.Self) {
			p := nobody.Do(op.Method, path, nil).WantProblem(http.StatusForbidden, "auth.forbidden")
			require.Contains(t, p.Detail, op.Permission)
		}
	}
}

var parameter = regexp.MustCompile(`\{\w+\}`)

const missingID = "0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11"

// bareRole makes a role that may read stores and nothing else; roles have at
// least one permission.
func bareRole(app *testkit.App) string {
	code := fmt.Sprintf("bare_%d", len(app.URL))
	app.Admin().Do(http.MethodPost, "/v1/roles", map[string]any{"code": code, "name": "无权限", "permissions": []string{}}).Want(http.StatusCreated)
	return code
}

func TestOperationalRoutes(t *testing.T) {
	app := testkit.New(t)
	require.JSONEq(t, `{"status":"ok"}`, string(app.Do(http.MethodGet, "/healthz", nil).Want(200).Body))
	require.Equal(t, "ready", app.Do(http.MethodGet, "/readyz", nil).Want(200).Map()["status"])
	app.Do(http.MethodGet, "/v1/me/staff", nil).Want(401)
	metrics := string(app.Do(http.MethodGet, "/metrics", nil).Want(200).Body)
	require.Contains(t, metrics, `shuke_http_requests_total{method="GET",route="/v1/me/staff",status="401"} 1`)
	require.Contains(t, string(app.Do(http.MethodGet, "/docs", nil).Want(200).Body), "swagger")
	require.Contains(t, string(app.Do(http.MethodGet, "/openapi.yaml", nil).Want(200).Body), "openapi: 3.0.3")
	app.Do(http.MethodGet, "/openapi.json", nil).Want(200)
	page := string(app.Do(http.MethodGet, "/docs/errors/request.bad_cursor", nil).Want(200).Body)
	require.Contains(t, page, "游标")
	app.Do(http.MethodGet, "/docs/errors/no.such_code", nil).WantProblem(404, "not_found")
}
