package wechat_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/wechat"
)

// world is a WeChat of the test's own, on a clock that the test moves.
type world struct {
	t     *testing.T
	fake  *fake.Server
	db    *db.DB
	keys  *crypto.Keyring
	clock *clock.Clock
	at    *atomic.Int64
	log   bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, keys: crypto.Generate(), at: &atomic.Int64{}}
	w.at.Store(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, w.at.Load()) }
	w.clock = clock.Fake(time.UTC, now)
	var err error
	w.fake, err = fake.Start(fake.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.fake.Close()) })
	w.db = pgtest.NewDatabase(t).Open(t)
	return w
}

func (w *world) advance(d time.Duration) { w.at.Add(int64(d)) }

func (w *world) app(id, secret string) *wechat.Client {
	return w.client(wechat.Config{AppID: id, Secret: secret, BaseURL: w.fake.URL})
}

func (w *world) client(c wechat.Config) *wechat.Client {
	return wechat.New(c, w.db, w.keys, w.clock, slog.New(slog.NewTextHandler(&w.log, nil)), nil)
}

func (w *world) mini() *wechat.Client     { return w.app(fake.MiniAppID, fake.MiniSecret) }
func (w *world) official() *wechat.Client { return w.app(fake.OfficialAppID, fake.OfficialSecret) }

func requireCode(t *testing.T, want *apperr.Definition, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, want.Is(err), "want %s, got %v", want.Code, err)
}

func TestCodeToSession(t *testing.T) {
	w := newWorld(t)
	c := w.mini()
	code := w.fake.LoginCode(fake.Person{OpenID: "o-1", UnionID: "u-1"})
	session, err := c.CodeToSession(t.Context(), code)
	require.NoError(t, err)
	require.Equal(t, wechat.Session{OpenID: "o-1", UnionID: "u-1"}, session)

	session, err = c.CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{OpenID: "o-2"}))
	require.NoError(t, err)
	require.Equal(t, wechat.Session{OpenID: "o-2"}, session, "an app outside an open-platform account has no union id")

	_, err = c.CodeToSession(t.Context(), code)
	requireCode(t, wechat.ErrCode, err) // used
	_, err = c.CodeToSession(t.Context(), "made up")
	requireCode(t, wechat.ErrCode, err)
	_, err = c.CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{OpenID: "o-1", AppID: fake.OfficialAppID}))
	requireCode(t, wechat.ErrCode, err) // another app's
	late := w.fake.LoginCode(fake.Person{OpenID: "o-1"})
	w.advance(5 * time.Minute)
	_, err = c.CodeToSession(t.Context(), late)
	requireCode(t, wechat.ErrCode, err) // expired
	_, err = c.CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{OpenID: "o-3", Blocked: true}))
	requireCode(t, wechat.ErrRisk, err)
	_, err = c.CodeToSession(t.Context(), "")
	requireCode(t, wechat.ErrCode, err)
}

func TestWrongSettings(t *testing.T) {
	w := newWorld(t)
	code := w.fake.LoginCode(fake.Person{OpenID: "o-1"})
	_, err := w.app("wx-unheard", "x").CodeToSession(t.Context(), code)
	requireCode(t, wechat.ErrConfig, err)
	wrong := w.app(fake.MiniAppID, "hunter2")
	_, err = wrong.CodeToSession(t.Context(), code)
	requireCode(t, wechat.ErrConfig, err)
	_, err = wrong.PhoneNumber(t.Context(), w.fake.PhoneCode(fake.Phone{Phone: "+8613800138000"}))
	requireCode(t, wechat.ErrConfig, err)
	require.Equal(t, 1, w.fake.Calls("wechat.app_token"))
	for range 5 { // an operator must act: WeChat is not asked again at once
		_, err = wrong.PhoneNumber(t.Context(), w.fake.PhoneCode(fake.Phone{Phone: "+8613800138000"}))
		requireCode(t, wechat.ErrConfig, err)
	}
	require.Equal(t, 1, w.fake.Calls("wechat.app_token"))
	require.NotContains(t, w.log.String(), "hunter2")
	_, err = w.mini().CodeToSession(t.Context(), code)
	require.NoError(t, err, "a refused call spends no code")
}

func TestQuotaPerUserAndMinute(t *testing.T) {
	w := newWorld(t)
	c := w.mini()
	for range 100 {
		_, err := c.CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{OpenID: "o-busy"}))
		require.NoError(t, err)
	}
	code := w.fake.LoginCode(fake.Person{OpenID: "o-busy"})
	_, err := c.CodeToSession(t.Context(), code)
	requireCode(t, wechat.ErrQuota, err)
	_, err = c.CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{OpenID: "o-other"}))
	require.NoError(t, err)
	w.advance(time.Minute)
	_, err = c.CodeToSession(t.Context(), code)
	require.NoError(t, err)
}

// A code is spent by at most one call that reached WeChat, whatever happens to
// the answer.
func TestCodesAreNeverSentTwice(t *testing.T) {
	cases := []struct {
		kind  fake.Kind
		want  *apperr.Definition
		calls int // of WeChat
		whole bool
	}{
		{fake.TimeoutBefore, wechat.ErrUnknown, 1, true},
		{fake.TimeoutAfter, wechat.ErrUnknown, 1, false},
		{fake.ResetBefore, wechat.ErrUnknown, 1, true},
		{fake.ResetAfter, wechat.ErrUnknown, 1, false},
		{fake.ErrorBefore, wechat.ErrUnknown, 1, true},
		{fake.ErrorAfter, wechat.ErrUnknown, 1, false},
		{fake.Garbage, wechat.ErrUnknown, 1, true},
		{fake.Huge, wechat.ErrUnknown, 1, true},
		{fake.RateLimit, wechat.ErrQuota, 1, true},
		{fake.Busy, nil, 2, false}, // WeChat did nothing: repeated
	}
	operations := []struct {
		target string
		call   func(*world, string) error
		code   func(*world) string
	}{
		{"wechat.code_to_session", func(w *world, code string) error {
			_, err := w.mini().CodeToSession(w.short(), code)
			return err
		}, func(w *world) string { return w.fake.LoginCode(fake.Person{}) }},
		{"wechat.phone_number", func(w *world, code string) error {
			_, err := w.mini().PhoneNumber(w.short(), code)
			return err
		}, func(w *world) string { return w.fake.PhoneCode(fake.Phone{Phone: "13800138000"}) }},
		{"wechat.oauth", func(w *world, code string) error {
			_, err := w.official().OAuth(w.short(), code)
			return err
		}, func(w *world) string { return w.fake.OAuthCode(fake.Person{}) }},
	}
	w := newWorld(t)
	_, err := w.mini().PhoneNumber(t.Context(), w.fake.PhoneCode(fake.Phone{Phone: "13800138000"}))
	require.NoError(t, err) // the app token is there from here on
	for _, o := range operations {
		for _, c := range cases {
			t.Run(o.target+" "+string(c.kind), func(t *testing.T) {
				code, before := o.code(w), w.fake.Calls(o.target)
				w.fake.Fail(fake.Fault{Target: o.target, Kind: c.kind})
				err := o.call(w, code)
				if c.want == nil {
					require.NoError(t, err)
				} else {
					requireCode(t, c.want, err)
				}
				require.Equal(t, c.calls, w.fake.Calls(o.target)-before)
				err = o.call(w, code)
				if c.whole {
					require.NoError(t, err, "nothing spent the code")
				} else {
					requireCode(t, wechat.ErrCode, err)
				}
			})
		}
	}
	for _, o := range operations {
		before := w.fake.Calls(o.target)
		w.fake.Fail(fake.Fault{Target: o.target, Kind: fake.Busy, Times: -1})
		code := o.code(w)
		requireCode(t, wechat.ErrBusy, o.call(w, code))
		require.Equal(t, 3, w.fake.Calls(o.target)-before, "repeated, but not for ever")
		w.fake.Heal()
		require.NoError(t, o.call(w, code))
	}
}

// short ends a call that hangs sooner than the client's own limit would.
func (w *world) short() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), 400*time.Millisecond)
	w.t.Cleanup(cancel)
	return ctx
}

// net/http repeats a GET by itself when a kept connection ends before the
// answer; the code would be sent twice without anybody noticing.
func TestNoRepetitionBelowUs(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			conn, _, err := rw.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		_, _ = rw.Write([]byte(`{"openid":"o-1"}`))
	}))
	defer server.Close()
	w := newWorld(t)
	c := w.client(wechat.Config{AppID: "a", Secret: "s", BaseURL: server.URL})
	_, err := c.CodeToSession(t.Context(), "one")
	require.NoError(t, err)
	_, err = c.CodeToSession(t.Context(), "two")
	requireCode(t, wechat.ErrUnknown, err)
	require.Equal(t, int64(2), asked.Load())
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	w := newWorld(t)
	c := w.client(wechat.Config{AppID: "a", Secret: "hunter2", BaseURL: address})
	_, err = c.CodeToSession(t.Context(), "code-of-somebody")
	requireCode(t, wechat.ErrBusy, err)
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, err.Error(), "code-of-somebody")
}

func TestUnknownCodesAreKept(t *testing.T) {
	w := newWorld(t)
	w.fake.Fail(fake.Fault{Target: "wechat.code_to_session", Kind: fake.Code, Code: "87654"})
	_, err := w.mini().CodeToSession(t.Context(), w.fake.LoginCode(fake.Person{}))
	requireCode(t, wechat.ErrProvider, err)
	var raw wechat.RawCode
	require.ErrorAs(t, err, &raw)
	require.Equal(t, 87654, raw.Code)
	require.NotEmpty(t, raw.RequestID)
}

func TestPhoneNumber(t *testing.T) {
	w := newWorld(t)
	c := w.mini()
	for given, want := range map[fake.Phone]string{
		{Phone: "+8613800138000"}:                        "+8613800138000",
		{Phone: "+8613800138001", CountryAsNumber: true}: "+8613800138001",
		{Phone: "+85251234567"}:                          "+85251234567",
	} {
		code := w.fake.PhoneCode(given)
		phone, err := c.PhoneNumber(t.Context(), code)
		require.NoError(t, err)
		require.Equal(t, want, phone)
		_, err = c.PhoneNumber(t.Context(), code)
		requireCode(t, wechat.ErrCode, err)
	}
	_, err := c.PhoneNumber(t.Context(), w.fake.PhoneCode(fake.Phone{Phone: "13800138000", AppID: fake.OfficialAppID}))
	requireCode(t, wechat.ErrCode, err)
	_, err = c.PhoneNumber(t.Context(), w.fake.LoginCode(fake.Person{}))
	requireCode(t, wechat.ErrCode, err) // the code of wx.login is another kind
	late := w.fake.PhoneCode(fake.Phone{Phone: "13800138000"})
	w.advance(6 * time.Minute)
	_, err = c.PhoneNumber(t.Context(), late)
	requireCode(t, wechat.ErrCode, err)
}

func TestOfficialAccount(t *testing.T) {
	w := newWorld(t)
	c := w.official()
	w.fake.SetVisitor(fake.Person{OpenID: "o-9", UnionID: "u-9"})
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for scope, union := range map[string]string{wechat.ScopeUserInfo: "u-9", wechat.ScopeBase: ""} {
		address := c.AuthorizeURL("https://shop.example/back?x=1", scope, "st&te")
		require.True(t, strings.HasSuffix(address, "#wechat_redirect"))
		res, err := browser.Get(address)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusFound, res.StatusCode)
		back, err := url.Parse(res.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "st&te", back.Query().Get("state"))
		user, err := c.OAuth(t.Context(), back.Query().Get("code"))
		require.NoError(t, err)
		require.Equal(t, wechat.User{OpenID: "o-9", UnionID: union}, user)
		_, err = c.OAuth(t.Context(), back.Query().Get("code"))
		requireCode(t, wechat.ErrCode, err)
	}
	_, err := c.OAuth(t.Context(), w.fake.OAuthCode(fake.Person{Snapshot: true}))
	requireCode(t, wechat.ErrSnapshot, err)
}

func TestAuthorizeURLOfTheRealWeChat(t *testing.T) {
	w := newWorld(t)
	got := w.client(wechat.Config{AppID: "wx1", Secret: "s"}).AuthorizeURL("https://a.example/b", wechat.ScopeBase, "s")
	require.Equal(t, "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1&redirect_uri=https%3A%2F%2Fa.example%2Fb&response_type=code&scope=snsapi_base&state=s#wechat_redirect", got)
}

// phone makes one call that needs the app token.
func (w *world) phone(c *wechat.Client) error {
	_, err := c.PhoneNumber(context.Background(), w.fake.PhoneCode(fake.Phone{Phone: "13800138000"}))
	return err
}

func TestOneInstanceFetchesTheTokenForAll(t *testing.T) {
	w := newWorld(t)
	database := w.db
	replicas := []*wechat.Client{w.mini(), w.mini(), w.mini(), w.mini()}
	require.NotNil(t, database)
	race := func(tolerated int) {
		before := w.fake.Calls("wechat.app_token")
		var wg sync.WaitGroup
		for n := range 20 {
			wg.Go(func() {
				if err := w.phone(replicas[n%len(replicas)]); err != nil {
					t.Errorf("phone: %v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, tolerated, w.fake.Calls("wechat.app_token")-before)
	}
	race(1) // nobody has one
	race(0)
	w.advance(2*time.Hour - 3*time.Minute)
	race(1) // about to end: one renews, nobody waits for long
	race(0)
	w.advance(3 * time.Hour)
	race(1) // ended long ago
	w.fake.RevokeToken(fake.MiniAppID)
	race(1) // ended early: everybody is refused, one fetches
	race(0)
	require.NoError(t, w.phone(w.mini()), "a new instance finds the token")
	race(0)
}

func TestTokenIsSealedInTheDatabase(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.phone(w.mini()))
	var sealed []byte
	var leased bool
	require.NoError(t, w.db.QueryRow(t.Context(), `SELECT sealed, lease IS NOT NULL FROM outside_tokens`).Scan(&sealed, &leased))
	require.Greater(t, len(sealed), 512)
	require.False(t, leased)
	token, err := w.keys.OpenBlob("wechat.app_token", []byte("wechat.app:"+fake.MiniAppID), sealed)
	require.NoError(t, err)
	require.Len(t, token, 512)
	require.NotContains(t, string(sealed), string(token))

	w.keys = crypto.Generate() // the key is gone: another token is fetched
	require.NoError(t, w.phone(w.mini()))
	require.Equal(t, 2, w.fake.Calls("wechat.app_token"))
}

func TestTokenRefusedForEverIsNotFetchedForEver(t *testing.T) {
	w := newWorld(t)
	c := w.mini()
	w.fake.Fail(fake.Fault{Target: "wechat.phone_number", Kind: fake.Code, Code: "40001", Times: -1})
	requireCode(t, wechat.ErrConfig, w.phone(c))
	require.Equal(t, 2, w.fake.Calls("wechat.phone_number"), "one retry")
	require.Equal(t, 2, w.fake.Calls("wechat.app_token"), "one more fetch")
	w.fake.Heal()
	require.NoError(t, w.phone(c))
}

// While a token lasts, a WeChat that gives out no new one harms nobody.
func TestOldTokenServesUntilItEnds(t *testing.T) {
	w := newWorld(t)
	c := w.mini()
	require.NoError(t, w.phone(c))
	w.advance(2*time.Hour - 3*time.Minute)
	w.fake.Fail(fake.Fault{Target: "wechat.app_token", Kind: fake.ErrorBefore, Times: -1})
	for range 5 {
		require.NoError(t, w.phone(c))
	}
	require.LessOrEqual(t, w.fake.Calls("wechat.app_token"), 4)
	w.advance(3 * time.Minute)
	requireCode(t, wechat.ErrBusy, w.phone(c))
	w.fake.Heal()
	w.advance(time.Second)
	require.NoError(t, w.phone(c))
}

// An instance that dies while it fetches delays the others until its lease ends.
func TestLeaseOfADeadInstanceEnds(t *testing.T) {
	w := newWorld(t)
	_, err := w.db.Exec(t.Context(), `INSERT INTO outside_tokens (name, lease, leased_until)
		VALUES ($1, gen_random_uuid(), clock_timestamp() + interval '400 milliseconds')`, "wechat.app:"+fake.MiniAppID)
	require.NoError(t, err)
	begun := time.Now()
	require.NoError(t, w.phone(w.mini()))
	require.Greater(t, time.Since(begun), 300*time.Millisecond)
	require.Equal(t, 1, w.fake.Calls("wechat.app_token"))
}

func TestTokenQuota(t *testing.T) {
	w := newWorld(t)
	w.fake.SetTokenQuota(10, 0)
	requireCode(t, wechat.ErrQuota, w.phone(w.mini()))
}

func TestFakeTokenModes(t *testing.T) {
	w := newWorld(t)
	ask := func(force bool) string {
		t.Helper()
		flag := map[bool]string{true: "true", false: "false"}[force]
		res, err := http.Post(w.fake.URL+"/cgi-bin/stable_token", "application/json",
			strings.NewReader(`{"grant_type":"client_credential","appid":"`+fake.MiniAppID+`","secret":"`+fake.MiniSecret+`","force_refresh":`+flag+`}`))
		require.NoError(t, err)
		defer res.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		require.NoError(t, err)
		_, token, found := strings.Cut(body.String(), `"access_token":"`)
		if !found {
			return body.String()
		}
		token, _, _ = strings.Cut(token, `"`)
		return token
	}
	first := ask(false)
	require.Equal(t, first, ask(false), "normal mode gives the same one")
	forced := ask(true)
	require.NotEqual(t, first, forced)
	require.Equal(t, forced, ask(true), "no refresh within 30 s")
	w.advance(2*time.Hour - 4*time.Minute)
	require.NotEqual(t, forced, ask(false), "renewed 5 min before the end")
	for range 19 {
		w.advance(31 * time.Second)
		require.NotContains(t, ask(true), "45009")
	}
	w.advance(31 * time.Second)
	require.Contains(t, ask(true), "45009", "20 a day")
}
