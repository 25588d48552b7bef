package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

var noon = time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)

// What the contract marks is refused to a session of six minutes, and is as
// before once the password was given again. Machines are not asked.
func TestMarkedOperationsAskForAFreshProof(t *testing.T) {
	app := testkit.New(t, testkit.At(noon))
	admin := app.Admin()
	var key struct{ Key string }
	admin.Do(http.MethodPost, "/v1/api-keys", map[string]any{"name": "erp", "all_stores": true, "permissions": []string{"customers.archive", "customers.update", "customers.create"}}).
		Want(http.StatusCreated).JSON(&key)
	app.Advance(6 * time.Minute)
	marked := 0
	for _, op := range app.Server.Contract.Operations() {
		if op.StepUp != contract.StepUpAlways {
			continue
		}
		marked++
		path := strings.NewReplacer("{id}", missingID, "{grant_id}", missingID, "{method}", "totp").Replace(op.Path)
		if i := strings.IndexByte(path, '{'); i >= 0 {
			path = path[:i] + missingID
		}
		r := admin.Do(op.Method, path, nil)
		r.WantProblem(http.StatusForbidden, "auth.step_up_required")
		require.Equal(t, []any{"password"}, r.Map()["methods"], op.ID)
	}
	require.GreaterOrEqual(t, marked, 18)

	bulk := map[string]any{"mode": "delete", "items": []any{map[string]any{"external_id": "nobody"}}}
	admin.Do(http.MethodPost, "/v1/customers/bulk", bulk).WantProblem(http.StatusForbidden, "auth.step_up_required")
	admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "upsert", "items": []any{map[string]any{"external_id": "X-1", "name": "李明"}}}).Want(http.StatusOK)
	app.Bearer(key.Key).Do(http.MethodPost, "/v1/customers/bulk", bulk).Want(http.StatusOK)
	app.Bearer(key.Key).Do(http.MethodDelete, "/v1/customers/"+missingID, nil).WantProblem(http.StatusNotFound, "customers.not_found")

	store := func() *testkit.Response { return admin.Do(http.MethodDelete, "/v1/stores/"+missingID, nil) }
	admin.Do(http.MethodPost, "/v1/auth/step-up", map[string]any{"method": "password", "password": "wrong"}).
		WantProblem(http.StatusUnprocessableEntity, "auth.wrong_password", "/password")
	store().WantProblem(http.StatusForbidden, "auth.step_up_required")
	proof := admin.Do(http.MethodPost, "/v1/auth/step-up", map[string]any{"method": "password", "password": testkit.AdminPassword}).Want(http.StatusOK).Map()
	assert.Equal(t, noon.Add(11*time.Minute).Format(time.RFC3339), proof["fresh_until"])
	store().WantProblem(http.StatusNotFound, "stores.not_found")
	admin.Do(http.MethodPost, "/v1/customers/bulk", bulk).Want(http.StatusOK)
	app.Advance(5*time.Minute + time.Second)
	store().WantProblem(http.StatusForbidden, "auth.step_up_required")
	// The permission comes first: who lacks it need not prove anything.
	app.Client("auditor", testkit.All()).Do(http.MethodDelete, "/v1/stores/"+missingID, nil).WantProblem(http.StatusForbidden, "auth.forbidden")
}

func TestRequiredSecondFactor(t *testing.T) {
	app := testkit.New(t, testkit.At(noon), testkit.WithConfig(server.Config{RequireSecondFactor: true}))
	admin := app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	role := map[string]any{"code": "helper", "name": "帮手", "permissions": []string{"stores.read"}}
	p := admin.Do(http.MethodPost, "/v1/roles", role).WantProblem(http.StatusForbidden, "auth.second_factor_required")
	assert.Contains(t, p.Detail, "/v1/auth/mfa/totp")
	sent := admin.Do(http.MethodPost, "/v1/auth/mfa/sms", map[string]any{"phone": "13900001234"}).Want(http.StatusOK).Map()
	assert.Equal(t, "139****1234", sent["phone"])
	got := admin.Do(http.MethodPost, "/v1/auth/mfa/sms/confirm", map[string]any{"code": app.Outside.SMSCode("+8613900001234"), "challenge_id": sent["challenge_id"]}).
		Want(http.StatusOK).Map()
	assert.Len(t, got["recovery_codes"], 10)
	admin.Do(http.MethodPost, "/v1/roles", role).Want(http.StatusCreated)

	login := func() string {
		t.Helper()
		half := app.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": "admin", "password": testkit.AdminPassword}).Want(http.StatusOK).Map()
		assert.Equal(t, true, half["mfa_required"])
		assert.Equal(t, []any{"sms", "recovery_code"}, half["methods"])
		assert.NotContains(t, half, "access_token")
		return half["mfa_token"].(string)
	}
	app.Advance(6 * time.Minute)
	half := login()
	app.Do(http.MethodGet, "/v1/me/staff", nil, "Authorization", "Bearer "+half).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
	app.Do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{"mfa_token": half}).Want(http.StatusOK)
	app.Do(http.MethodPost, "/v1/auth/mfa/verify", map[string]any{"mfa_token": half, "method": "sms", "code": "12345x"}).
		WantProblem(http.StatusUnprocessableEntity, "auth.code_wrong", "/code")
	full := app.Do(http.MethodPost, "/v1/auth/mfa/verify", map[string]any{"mfa_token": half, "method": "sms", "code": app.Outside.SMSCode("+8613900001234")}).
		Want(http.StatusOK).Map()
	app.Bearer(full["access_token"].(string)).Do(http.MethodGet, "/v1/me/staff", nil).Want(http.StatusOK)

	// Within a session, by the access token.
	app.Do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{}).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
	app.Bearer("nonsense").Do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{}).WantProblem(http.StatusUnauthorized, "auth.unauthenticated")
	app.Advance(6 * time.Minute)
	admin.Do(http.MethodPost, "/v1/auth/mfa/sms/send", map[string]any{}).Want(http.StatusOK)
	admin.Do(http.MethodPost, "/v1/auth/step-up", map[string]any{"method": "sms", "code": app.Outside.SMSCode("+8613900001234")}).Want(http.StatusOK)
	admin.Do(http.MethodDelete, "/v1/auth/mfa/sms", nil).Want(http.StatusNoContent)
	assert.Equal(t, map[string]any{"required": true, "factors": []any{}, "recovery_codes_left": 0.0, "methods": []any{"password"}},
		without(admin.Do(http.MethodGet, "/v1/auth/mfa", nil).Want(http.StatusOK).Map(), "factor_at", "fresh_until"))
}

func without(m map[string]any, names ...string) map[string]any {
	for _, name := range names {
		delete(m, name)
	}
	return m
}

func TestForgottenPasswordByMail(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(server.Config{PasswordResetURL: "https://admin.example.com/new-password"}))
	made := app.Staff("analyst", testkit.All(), map[string]any{"email": "zhou@example.com"})
	assert.Equal(t, "z***@example.com", made.Email.MustGet())
	ask := func(username string) *testkit.Response {
		return app.Do(http.MethodPost, "/v1/auth/password-resets", map[string]any{"username": username}).Want(http.StatusAccepted)
	}
	assert.Equal(t, ask("nobody-at-all").Body, ask(made.Username).Body)
	require.Eventually(t, func() bool { return len(app.Outside.Mails("zhou@example.com")) == 1 }, 10*time.Second, 10*time.Millisecond)
	token := regexp.MustCompile(`new-password#token=(shp_[\w-]+)`).FindStringSubmatch(app.Outside.Mails("zhou@example.com")[0].Text)
	require.Len(t, token, 2)
	confirm := func(password string) *testkit.Response {
		return app.Do(http.MethodPost, "/v1/auth/password-resets/confirm", map[string]any{"token": token[1], "password": password})
	}
	confirm("password1").WantProblem(http.StatusUnprocessableEntity, "password.too_common", "/password")
	confirm("eleven purple tractors").Want(http.StatusNoContent)
	confirm("twelve purple tractors").WantProblem(http.StatusUnprocessableEntity, "auth.reset_invalid", "/token")
	app.SignIn(made.Username, "eleven purple tractors")
}

func TestSessionsSayWhereAndWithWhat(t *testing.T) {
	app := testkit.New(t)
	r := app.Do(http.MethodPost, "/v1/auth/login", map[string]any{"username": "admin", "password": testkit.AdminPassword}, "X-Forwarded-For", "203.0.113.9",
		"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36").Want(http.StatusOK).Map()
	c := app.Bearer(r["access_token"].(string))
	item := c.Do(http.MethodGet, "/v1/auth/sessions?limit=1", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)
	assert.Equal(t, "Chrome on Windows", item["device"])
	assert.Equal(t, "203.0.113.0/24", item["place"])
	other := app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	c.Do(http.MethodDelete, "/v1/auth/sessions?all=true", nil).Want(http.StatusNoContent)
	c.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
	other.Do(http.MethodGet, "/v1/me/staff", nil).WantProblem(http.StatusUnauthorized, "auth.session_ended")
}
