// Package oidc signs people in through any OpenID Connect provider, by the
// authorization code flow with PKCE and nonce.
//
// The provider's own document is read when first needed and kept: the service
// starts while a provider is away, and finds it when it is back.
package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Errors. After ErrUnknown, ErrToken and ErrProvider the code may be spent;
// after ErrDown it is not.
var (
	ErrCode     = apperr.Define(apperr.Invalid, "oidc.code_invalid", "The sign-in provider refused the code: it was used, has expired or belongs to another sign-in. Begin again.", "登录授权码无效：已使用、已过期或不属于本次登录，请重新开始。")
	ErrDown     = apperr.Define(apperr.Unavailable, "oidc.provider_unavailable", "The sign-in provider cannot be reached; the code was not used. Try again.", "登录服务提供方暂时无法连接，授权码未被使用，请重试。")
	ErrUnknown  = apperr.Define(apperr.Unavailable, "oidc.result_unknown", "The sign-in provider did not answer; the code may have been used. Begin again.", "登录服务提供方未返回结果，授权码可能已被使用，请重新开始。")
	ErrConfig   = apperr.Define(apperr.Unavailable, "oidc.misconfigured", "The sign-in provider refuses the service's client id, secret or address.", "登录服务提供方拒绝了本服务的客户端配置。")
	ErrToken    = apperr.Define(apperr.Unauthenticated, "oidc.token_invalid", "The sign-in provider's token does not prove this sign-in. Begin again.", "登录服务提供方返回的令牌校验失败，请重新开始。")
	ErrProvider = apperr.Define(apperr.Unavailable, "oidc.provider_error", "The sign-in provider gave an unexpected answer.", "登录服务提供方返回了未知错误。")
)

// Config of a provider.
type Config struct {
	Name         string // ours, as in SHUKE_OIDC_PROVIDERS
	Issuer       string
	ClientID     string
	ClientSecret string
	RedirectURL  string
	Scopes       []string // "openid" is always asked for; none means profile, email and phone
}

// Identity is who signed in. Subject is unique within the provider and the
// only field to know somebody by; the others count only where the provider
// says that it verified them.
type Identity struct {
	Subject       string
	Email         string
	EmailVerified bool
	Name          string
	Phone         string // E.164, or empty
	PhoneVerified bool
}

const (
	callTimeout = 6 * time.Second
	// retryPause is how long a failed discovery is not repeated, so that a
	// provider that is away costs each request nothing.
	retryPause = 2 * time.Second
	// refreshAfter is when the document is read again; keys are fetched anew by
	// themselves when a token names one that is not known.
	refreshAfter = 12 * time.Hour
	skew         = time.Minute
	freshFor     = 10 * time.Minute // an identity token older than that proves no sign-in of now
)

// algorithms that a provider may sign with: asymmetric only, never "none".
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// Provider is one OpenID Connect provider.
type Provider struct {
	config Config
	clock  *clock.Clock
	client *outgoing.Client

	mu     sync.Mutex
	found  *found
	failed error
	until  time.Time // the failure counts until then
}

// found is what the provider's document says.
type found struct {
	provider *oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	at       time.Time
}

// New makes a provider and asks it nothing yet.
func New(c Config, clk *clock.Clock, m *outgoing.Metrics) *Provider {
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"profile", "email", "phone"}
	}
	if !slices.Contains(c.Scopes, oidc.ScopeOpenID) {
		c.Scopes = append([]string{oidc.ScopeOpenID}, c.Scopes...)
	}
	return &Provider{config: c, clock: clk, client: outgoing.New("oidc_"+c.Name, callTimeout, m)}
}

// Name is ours for the provider.
func (p *Provider) Name() string { return p.config.Name }

// AuthURL is where to send the browser. State, nonce and verifier are kept by
// the caller, bound to that browser; challenge is S256 of the verifier
// (Challenge makes it).
// Errors: ErrDown, ErrConfig.
func (p *Provider) AuthURL(ctx context.Context, state, nonce, challenge string) (string, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return f.oauth.AuthCodeURL(state, oidc.Nonce(nonce),
		oauth2.SetAuthURLParam("code_challenge", challenge), oauth2.SetAuthURLParam("code_challenge_method", "S256")), nil
}

// Challenge is the S256 challenge of a PKCE verifier.
func Challenge(verifier string) string { return oauth2.S256ChallengeFromVerifier(verifier) }

// NewVerifier makes a PKCE verifier.
func NewVerifier() string { return oauth2.GenerateVerifier() }

// Exchange spends the code and checks the identity token: signature, issuer,
// audience, expiry, nonce and age. It is never tried twice.
// Errors: all of the package.
func (p *Provider) Exchange(ctx context.Context, code, nonce, verifier string) (Identity, error) {
	f, err := p.discover(ctx)
	if err != nil {
		return Identity{}, err
	}
	token, err := f.oauth.Exchange(p.with(ctx, "exchange"), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Identity{}, exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, ErrToken.Wrap(errors.New("the answer has no id_token"))
	}
	proof, err := f.verifier.Verify(p.with(ctx, "keys"), raw)
	if err != nil {
		if errors.Is(err, outgoing.ErrNotSent) || errors.Is(err, outgoing.ErrUnknown) {
			return Identity{}, ErrUnknown.Wrap(errors.New("the provider's keys cannot be read"))
		}
		return Identity{}, ErrToken.Wrap(errors.New("the id_token does not verify"))
	}
	if nonce == "" || subtle.ConstantTimeCompare([]byte(proof.Nonce), []byte(nonce)) != 1 {
		return Identity{}, ErrToken.Wrap(errors.New("the id_token has another nonce"))
	}
	now := p.clock.Now()
	if proof.IssuedAt.After(now.Add(skew)) || proof.IssuedAt.Before(now.Add(-freshFor)) {
		return Identity{}, ErrToken.Wrap(errors.New("the id_token was not made just now"))
	}
	if err := proof.VerifyAccessToken(token.AccessToken); proof.AccessTokenHash != "" && err != nil {
		return Identity{}, ErrToken.Wrap(errors.New("the id_token belongs to another access token"))
	}
	var c claims
	if err := proof.Claims(&c); err != nil || !plausible(proof.Subject) {
		return Identity{}, ErrToken.Wrap(errors.New("the id_token cannot be read"))
	}
	if c.AuthorizedParty != "" && c.AuthorizedParty != p.config.ClientID {
		return Identity{}, ErrToken.Wrap(errors.New("the id_token was given to another client"))
	}
	if c.Email == "" && c.Phone == "" {
		c = p.userInfo(ctx, f, token, proof.Subject, c)
	}
	return c.identity(proof.Subject), nil
}

// userInfo asks for what the token leaves out. Who signed in is proven by then,
// so a failure costs only the details.
func (p *Provider) userInfo(ctx context.Context, f *found, token *oauth2.Token, subject string, known claims) claims {
	if f.provider.UserInfoEndpoint() == "" {
		return known
	}
	info, err := f.provider.UserInfo(p.with(ctx, "userinfo"), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != subject {
		return known
	}
	var more claims
	if info.Claims(&more) != nil {
		return known
	}
	if more.Name == "" {
		more.Name = known.Name
	}
	return more
}

// flag is a boolean that some providers send as a string.
type flag bool

func (f *flag) UnmarshalJSON(raw []byte) error {
	*f = flag(strings.Trim(string(raw), `"`) == "true")
	return nil
}

type claims struct {
	Email           string `json:"email"`
	EmailVerified   flag   `json:"email_verified"`
	Name            string `json:"name"`
	Phone           string `json:"phone_number"`
	PhoneVerified   flag   `json:"phone_number_verified"`
	AuthorizedParty string `json:"azp"`
}

// identity keeps what is of a form that we can use.
func (c claims) identity(subject string) Identity {
	id := Identity{Subject: subject}
	if len(c.Email) <= 254 && strings.Count(c.Email, "@") == 1 {
		id.Email, id.EmailVerified = c.Email, bool(c.EmailVerified)
	}
	if name := []rune(strings.TrimSpace(c.Name)); len(name) <= 100 {
		id.Name = string(name)
	}
	if phone, err := pii.ParsePhone(c.Phone, ""); c.Phone != "" && err == nil {
		id.Phone, id.PhoneVerified = phone.E164, bool(c.PhoneVerified)
	}
	return id
}

// plausible bounds what becomes part of a key of ours; the standard allows 255
// characters of ASCII.
func plausible(subject string) bool {
	if subject == "" || len(subject) > 255 {
		return false
	}
	for _, r := range subject {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

// with gives the library our client.
func (p *Provider) with(ctx context.Context, operation string) context.Context {
	return oidc.ClientContext(ctx, p.client.HTTP(operation))
}

// discover returns the provider's document, reading it when there is none or
// it is old. One caller reads while the others wait.
func (p *Provider) discover(ctx context.Context) (*found, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if p.found != nil && now.Before(p.found.at.Add(refreshAfter)) {
		return p.found, nil
	}
	if now.Before(p.until) {
		return p.stale(p.failed)
	}
	f, err := p.read(ctx, now)
	if err != nil {
		p.failed, p.until = err, p.clock.Now().Add(retryPause) // after the time it took to fail
		return p.stale(err)
	}
	p.found, p.failed, p.until = f, nil, time.Time{}
	return f, nil
}

// stale prefers an old document to none.
func (p *Provider) stale(err error) (*found, error) {
	if p.found != nil {
		return p.found, nil
	}
	return nil, err
}

func (p *Provider) read(ctx context.Context, now time.Time) (*found, error) {
	// The library keeps this context for fetching keys later on.
	provider, err := oidc.NewProvider(p.with(context.WithoutCancel(ctx), "discovery"), p.config.Issuer)
	var mismatch *oidc.IssuerMismatchError
	switch {
	case errors.As(err, &mismatch):
		return nil, ErrConfig.Wrap(errors.New("the provider calls itself by another issuer"))
	case err != nil:
		return nil, ErrDown.Wrap(errors.New("the provider's document cannot be read"))
	}
	var more struct {
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, ErrDown.Wrap(errors.New("the provider's document cannot be read"))
	}
	endpoint := provider.Endpoint()
	// Left to itself the library tries one way and then the other, which would
	// send the code twice. The standard's default is the header.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	var accepted []string
	for _, a := range algorithms {
		if slices.Contains(more.Algorithms, a) {
			accepted = append(accepted, a)
		}
	}
	if len(accepted) == 0 {
		accepted = []string{oidc.RS256} // what every provider must offer
	}
	return &found{
		provider: provider, at: now,
		oauth: oauth2.Config{
			ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, Endpoint: endpoint,
			RedirectURL: p.config.RedirectURL, Scopes: p.config.Scopes,
		},
		verifier: provider.Verifier(&oidc.Config{ClientID: p.config.ClientID, SupportedSigningAlgs: accepted, Now: p.clock.Now}),
	}, nil
}

// exchangeError maps a failed exchange. The library's texts hold the
// provider's answer; only its code is kept.
func exchangeError(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case errors.Is(err, outgoing.ErrNotSent):
		return ErrDown.Wrap(outgoing.ErrNotSent)
	case errors.Is(err, outgoing.ErrUnknown), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ErrUnknown.Wrap(outgoing.ErrUnknown)
	case !errors.As(err, &refused):
		return ErrUnknown.Wrap(errors.New("the answer of the token endpoint cannot be read"))
	}
	switch refused.ErrorCode {
	case "invalid_grant":
		return ErrCode.Wrap(errors.New("invalid_grant"))
	case "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request":
		return ErrConfig.Wrap(errors.New(refused.ErrorCode))
	}
	if refused.Response != nil && refused.Response.StatusCode >= http.StatusInternalServerError {
		return ErrUnknown.Wrap(fmt.Errorf("HTTP %d", refused.Response.StatusCode))
	}
	return ErrProvider.Wrap(fmt.Errorf("error %.40q", refused.ErrorCode))
}
