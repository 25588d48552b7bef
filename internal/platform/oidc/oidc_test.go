package oidc_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/oidc"
)

type world struct {
	t     *testing.T
	fake  *fake.Server
	at    *atomic.Int64
	clock *clock.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, at: &atomic.Int64{}}
	w.at.Store(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, w.at.Load()) }
	w.clock = clock.Fake(time.UTC, now)
	var err error
	w.fake, err = fake.Start(fake.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.fake.Close()) })
	return w
}

func (w *world) advance(d time.Duration) { w.at.Add(int64(d)) }

func (w *world) config() oidc.Config {
	p := w.fake.Settings(config.Outside{}).OIDC[0]
	return oidc.Config{Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(), RedirectURL: p.RedirectURL}
}

func (w *world) provider() *oidc.Provider { return oidc.New(w.config(), w.clock, nil) }

// code goes through the provider's page as a browser does.
func (w *world) code(p *oidc.Provider, nonce, verifier string) string {
	w.t.Helper()
	address, err := p.AuthURL(w.t.Context(), "st&te", nonce, oidc.Challenge(verifier))
	require.NoError(w.t, err)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := browser.Get(address)
	require.NoError(w.t, err)
	require.NoError(w.t, res.Body.Close())
	require.Equal(w.t, http.StatusFound, res.StatusCode)
	back, err := url.Parse(res.Header.Get("Location"))
	require.NoError(w.t, err)
	require.Equal(w.t, "st&te", back.Query().Get("state"))
	require.Empty(w.t, back.Query().Get("error"))
	return back.Query().Get("code")
}

func requireCode(t *testing.T, want *apperr.Definition, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, want.Is(err), "want %s, got %v", want.Code, err)
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	w.fake.SetAccount(fake.Account{Subject: "s-1", Email: "li@example.com", EmailVerified: true, Name: "李雷", Phone: "+86 138 0013 8000", PhoneVerified: true})
	want := oidc.Identity{Subject: "s-1", Email: "li@example.com", EmailVerified: true, Name: "李雷", Phone: "+8613800138000", PhoneVerified: true}
	for _, lean := range []bool{false, true} {
		w.fake.SetLeanTokens(lean)
		verifier := oidc.NewVerifier()
		code := w.code(p, "nonce-1", verifier)
		got, err := p.Exchange(t.Context(), code, "nonce-1", verifier)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = p.Exchange(t.Context(), code, "nonce-1", verifier)
		requireCode(t, oidc.ErrCode, err)
	}
	require.Equal(t, 1, w.fake.Calls("oidc.discovery"), "read once")
	require.Equal(t, 1, w.fake.Calls("oidc.userinfo"), "only where the token has no claims")
}

func TestUserInfoAwayCostsDetailsOnly(t *testing.T) {
	w := newWorld(t)
	w.fake.SetLeanTokens(true)
	for _, kind := range []fake.Kind{fake.ErrorBefore, fake.Garbage, fake.ResetBefore} {
		p, verifier := w.provider(), oidc.NewVerifier()
		w.fake.Fail(fake.Fault{Target: "oidc.userinfo", Kind: kind})
		got, err := p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
		require.NoError(t, err)
		require.Equal(t, oidc.Identity{Subject: "demo-user"}, got)
	}
}

func TestCodesOfOthers(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	verifier := oidc.NewVerifier()
	_, err := p.Exchange(t.Context(), "made up", "n", verifier)
	requireCode(t, oidc.ErrCode, err)
	_, err = p.Exchange(t.Context(), w.code(p, "n", verifier), "n", oidc.NewVerifier())
	requireCode(t, oidc.ErrCode, err) // begun in another browser
	late := w.code(p, "n", verifier)
	w.advance(6 * time.Minute)
	_, err = p.Exchange(t.Context(), late, "n", verifier)
	requireCode(t, oidc.ErrCode, err)
	_, err = p.Exchange(t.Context(), w.code(p, "n", verifier), "another", verifier)
	requireCode(t, oidc.ErrToken, err)
	_, err = p.Exchange(t.Context(), w.code(p, "", verifier), "", verifier)
	requireCode(t, oidc.ErrToken, err) // no nonce proves nothing
}

func TestSpoiltTokens(t *testing.T) {
	w := newWorld(t)
	for _, how := range []string{"signature", "nonce", "audience", "issuer", "expired", "unsigned", "azp", "hash"} {
		t.Run(how, func(t *testing.T) {
			p, verifier := w.provider(), oidc.NewVerifier()
			w.fake.Fail(fake.Fault{Target: "oidc.token", Kind: fake.Tamper, Code: how})
			_, err := p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
			requireCode(t, oidc.ErrToken, err)
			_, err = p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
			require.NoError(t, err)
		})
	}
}

func TestKeysAreRotated(t *testing.T) {
	w := newWorld(t)
	p, verifier := w.provider(), oidc.NewVerifier()
	for range 2 {
		_, err := p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
		require.NoError(t, err)
		require.NoError(t, w.fake.RotateKey())
	}
}

func TestClientOfTheProvider(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.ClientSecret = "hunter2"
	for _, formOnly := range []bool{false, true} {
		w.fake.SetFormOnly(formOnly)
		p, verifier := w.provider(), oidc.NewVerifier()
		_, err := p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
		require.NoError(t, err)
		before := w.fake.Calls("oidc.token")
		_, err = oidc.New(c, w.clock, nil).Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
		requireCode(t, oidc.ErrConfig, err)
		require.NotContains(t, err.Error(), "hunter2")
		require.Equal(t, 1, w.fake.Calls("oidc.token")-before, "one way to authenticate, asked once")
	}
	c = w.config()
	c.Issuer += "/"
	_, err := oidc.New(c, w.clock, nil).AuthURL(t.Context(), "s", "n", "c")
	require.Error(t, err)
}

func TestMisbehaviour(t *testing.T) {
	cases := []struct {
		kind  fake.Kind
		want  *apperr.Definition
		whole bool
	}{
		{fake.TimeoutBefore, oidc.ErrUnknown, true},
		{fake.TimeoutAfter, oidc.ErrUnknown, false},
		{fake.ResetBefore, oidc.ErrUnknown, true},
		{fake.ResetAfter, oidc.ErrUnknown, false},
		{fake.ErrorBefore, oidc.ErrUnknown, true},
		{fake.ErrorAfter, oidc.ErrUnknown, false},
		{fake.Garbage, oidc.ErrUnknown, true},
		{fake.Huge, oidc.ErrUnknown, true},
		{fake.Busy, oidc.ErrUnknown, true},
	}
	w := newWorld(t)
	for _, c := range cases {
		t.Run(string(c.kind), func(t *testing.T) {
			p, verifier := w.provider(), oidc.NewVerifier()
			code := w.code(p, "n", verifier)
			before := w.fake.Calls("oidc.token")
			w.fake.Fail(fake.Fault{Target: "oidc.token", Kind: c.kind})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := p.Exchange(ctx, code, "n", verifier)
			requireCode(t, c.want, err)
			require.Equal(t, 1, w.fake.Calls("oidc.token")-before, "never repeated")
			_, err = p.Exchange(t.Context(), code, "n", verifier)
			if c.whole {
				require.NoError(t, err)
			} else {
				requireCode(t, oidc.ErrCode, err)
			}
		})
	}
}

// The service starts while the provider is away and finds it when it is back.
func TestProviderIsAway(t *testing.T) {
	w := newWorld(t)
	p := w.provider()
	w.fake.Fail(fake.Fault{Target: "oidc.discovery", Kind: fake.ErrorBefore, Times: -1})
	for range 5 {
		_, err := p.AuthURL(t.Context(), "s", "n", "c")
		requireCode(t, oidc.ErrDown, err)
	}
	require.Equal(t, 1, w.fake.Calls("oidc.discovery"), "not asked by every request")
	w.fake.Heal()
	w.advance(3 * time.Second)
	verifier := oidc.NewVerifier()
	_, err := p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
	require.NoError(t, err)

	w.advance(13 * time.Hour) // the document is old: it is read again, or kept
	w.fake.Fail(fake.Fault{Target: "oidc.discovery", Kind: fake.ErrorBefore})
	_, err = p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
	require.NoError(t, err)

	// Keys that cannot be had leave the sign-in open, not proven.
	require.NoError(t, w.fake.RotateKey())
	w.fake.Fail(fake.Fault{Target: "oidc.keys", Kind: fake.ResetBefore})
	_, err = p.Exchange(t.Context(), w.code(p, "n", verifier), "n", verifier)
	require.Error(t, err)
	require.NoError(t, w.fake.Close())
	_, err = p.Exchange(t.Context(), "code", "n", verifier)
	requireCode(t, oidc.ErrDown, err)
}
