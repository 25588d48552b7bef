package member_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	m := w.wechat("o-refresh", "")
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			var next client.MemberTokens
			m.refresh().Want(http.StatusOK).JSON(&next)
			mu.Lock()
			defer mu.Unlock()
			got[next.RefreshToken]++
		})
	}
	wg.Wait()
	require.Len(t, got, 1, "parallel refreshes get one successor")
	next := &member{w: w, MemberTokens: m.MemberTokens}
	next.refresh().Want(http.StatusOK).JSON(&next.MemberTokens)
	w.Advance(11 * time.Second)
	assert.Equal(t, "auth.refresh_reused", code(m.refresh().Want(http.StatusUnauthorized)))
	assert.Equal(t, "auth.session_ended", code(next.refresh().Want(http.StatusUnauthorized)), "the family ends")
	next.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)

	staff := w.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	r := w.Do(http.MethodPost, "/v1/member/auth/refresh", object{"refresh_token": staff.RefreshToken})
	assert.Equal(t, "auth.refresh_invalid", code(r.Want(http.StatusUnauthorized)))
	r = w.Do(http.MethodPost, "/v1/auth/refresh", object{"refresh_token": m.RefreshToken})
	assert.Equal(t, "auth.refresh_invalid", code(r.Want(http.StatusUnauthorized)))

	idle := w.wechat("o-idle", "")
	w.Advance(7*24*time.Hour + time.Second)
	assert.Equal(t, "auth.session_ended", code(idle.refresh().Want(http.StatusUnauthorized)))
	w.Advance(61 * 24 * time.Hour)
	require.NoError(t, w.Server.Member.Clean(t.Context()))
	assert.Zero(t, w.count(`SELECT (SELECT count(*) FROM member_sessions) + (SELECT count(*) FROM member_exchanges)`))
}

// The clock stands still, so what a replica keeps would be fresh for ever: only
// the pushed message makes it forget.
func TestSignOutReachesOtherReplicas(t *testing.T) {
	w := newWorld(t)
	other := testkit.New(t, testkit.Beside(w.App))
	m := w.wechat("o-replica", "")
	there := &member{w: &world{App: other, n: w.n}, MemberTokens: m.MemberTokens}
	const changes = "shuke:member:changes"
	require.Eventually(t, func() bool { return w.Cache.PubSubNumSub(t.Context(), changes).Val()[changes] == 2 }, 5*time.Second, 10*time.Millisecond)
	there.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK)
	m.do(http.MethodPost, "/v1/member/auth/logout", nil).Want(http.StatusNoContent)
	require.Eventually(t, func() bool {
		return there.do(http.MethodGet, "/v1/member/profile", nil).Status == http.StatusUnauthorized
	},
		time.Second, 5*time.Millisecond)

	// So does archiving, which another domain does.
	m = w.wechat("o-replica", "")
	there.MemberTokens = m.MemberTokens
	there.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK)
	w.Admin().Do(http.MethodPost, "/v1/customers/"+m.CustomerId.String()+"/archive", nil).Want(http.StatusOK)
	require.Eventually(t, func() bool {
		return there.do(http.MethodGet, "/v1/member/profile", nil).Status == http.StatusUnauthorized
	},
		time.Second, 5*time.Millisecond)
	w.Admin().Do(http.MethodPost, "/v1/customers/"+m.CustomerId.String()+"/restore", nil).Want(http.StatusOK)
	require.Eventually(t, func() bool { return there.do(http.MethodGet, "/v1/member/profile", nil).Status == http.StatusOK },
		time.Second, 5*time.Millisecond, "and restoring lets them go on")
}

func TestWithoutRedis(t *testing.T) {
	redis := pgtest.NewRedis(t)
	w := newWorld(t, testkit.WithRedis(redis.URL))
	m := w.wechat("o-redis", "")
	redis.Kill()
	m.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK)
	again := w.wechat("o-redis", "")
	assert.Equal(t, m.CustomerId, again.CustomerId)
	w.sms("13800000050", "redis")
	login := w.Outside.LoginCode(fake.Person{OpenID: "o-redis2"})
	w.mini(login, "r").Want(http.StatusOK)
	w.mini(login, "r").Want(http.StatusOK)
	m.do(http.MethodDelete, "/v1/member/auth/sessions", nil).Want(http.StatusNoContent)
	again.do(http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
}

// What is not configured says which setting is missing; the rest goes on.
func TestNotConfigured(t *testing.T) {
	w := newWorld(t, testkit.WithOutside(func(config.Outside) config.Outside { return config.Outside{} }))
	for path, c := range map[string]struct {
		body object
		code string
	}{
		"/v1/member/auth/sms-codes":       {object{"phone": "13800000001", "purpose": "sign_in", "device_id": device("x")}, "sms.not_configured"},
		"/v1/member/auth/wechat-mini":     {object{"code": "x", "device_id": device("x")}, "wechat.mini_not_configured"},
		"/v1/member/auth/wechat-official": {object{"code": "x", "state": "y", "device_id": device("x")}, "wechat.official_not_configured"},
	} {
		r := w.Do(http.MethodPost, path, c.body, w.from()...)
		assert.Equal(t, c.code, code(r.Want(http.StatusServiceUnavailable)), path)
	}
	r := w.Do(http.MethodPost, "/v1/member/auth/oidc/keycloak", object{"code": "x", "state": "y", "device_id": device("x")}, w.from()...)
	assert.Equal(t, "oidc.provider_not_found", code(r.Want(http.StatusNotFound)))
	w.Do(http.MethodGet, "/v1/member/consent-texts", nil).Want(http.StatusOK)
}

// The database holds nothing by which a member could be told.
func TestNothingOfAMemberInClear(t *testing.T) {
	w := newWorld(t)
	m := w.wechat("openid-of-li", "unionid-of-li")
	m.bound("13800000060")
	m.do(http.MethodPost, "/v1/member/consents", object{"purpose": "marketing", "text_version": 1}, "User-Agent", "program-of-li").Want(http.StatusOK)
	for _, table := range []string{"customers", "customer_identities", "member_sessions", "member_exchanges", "consents", "outbox_events", "audit_logs"} {
		for _, secret := range []string{"openid-of-li", "unionid-of-li", "13800000060", "program-of-li", "device-openid-of-li", "203.0."} {
			assert.Zero(t, w.count(`SELECT count(*) FROM `+table+` r WHERE r::text LIKE '%' || $1 || '%' OR r::text LIKE '%' || encode($1::bytea, 'hex') || '%'`, secret),
				"%s holds %s", table, secret)
		}
	}
}
