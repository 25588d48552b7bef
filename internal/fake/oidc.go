package fake

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The client that the provider knows.
const (
	OIDCName         = "demo"
	OIDCClientID     = "shuke"
	OIDCClientSecret = "stand-in-oidc-secret"
)

const (
	oidcCodeLasts  = 5 * time.Minute
	oidcTokenLasts = time.Hour
)

// Account is somebody who signs in at the provider.
type Account struct {
	Subject       string `json:"subject"`
	Email         string `json:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty"`
	Name          string `json:"name,omitempty"`
	Phone         string `json:"phone,omitempty"` // E.164
	PhoneVerified bool   `json:"phone_verified,omitempty"`
}

// Ways to spoil an identity token (Fault{Kind: Tamper}.Code).
var tampering = []string{"signature", "nonce", "audience", "issuer", "expired", "unsigned", "azp", "hash"}

type issuer struct {
	url string

	mu       sync.Mutex
	account  Account
	key      *rsa.PrivateKey
	kid      string
	codes    map[string]*oidcCode
	access   map[string]oidcAccess
	lean     bool // personal claims only at userinfo
	postOnly bool // the client's secret is taken in the form only
}

type oidcCode struct {
	account                           Account
	redirect, nonce, challenge, scope string
	made                              time.Time
	used                              bool
}

type oidcAccess struct {
	account Account
	scope   string
	ends    time.Time
}

func (i *issuer) init(address string) {
	i.url = address
	i.codes, i.access = map[string]*oidcCode{}, map[string]oidcAccess{}
	i.account = Account{Subject: "demo-user", Email: "demo@shuke.example", EmailVerified: true, Name: "演示用户", Phone: "+8613800138000", PhoneVerified: true}
}

// firstKey is shared by all servers of a process: making one takes a while.
var firstKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signer is the key in use. The caller holds the lock.
func (i *issuer) signer() (*rsa.PrivateKey, string, error) {
	if i.key == nil {
		key, err := firstKey()
		if err != nil {
			return nil, "", err
		}
		i.key, i.kid = key, "stand-in-1"
	}
	return i.key, i.kid, nil
}

func refuseOIDC(_ *http.Request, code string) reply {
	status := http.StatusBadRequest
	switch code {
	case "temporarily_unavailable":
		status = http.StatusServiceUnavailable
	case "slow_down":
		status = http.StatusTooManyRequests
	case "invalid_client":
		status = http.StatusUnauthorized
	}
	return jsonReply(status, map[string]string{"error": code, "error_description": "stand-in: " + code})
}

func (s *Server) routeOIDC() {
	op := func(pattern, target string, effect func(*http.Request, []byte) reply) {
		s.handle(pattern, operation{target: target, effect: effect, refuse: refuseOIDC, busy: "temporarily_unavailable", limit: "slow_down"})
	}
	op("GET /oidc/.well-known/openid-configuration", "oidc.discovery", s.oidcDocument)
	op("GET /oidc/keys", "oidc.keys", s.oidcKeys)
	op("POST /oidc/token", "oidc.token", s.oidcToken)
	op("GET /oidc/userinfo", "oidc.userinfo", s.oidcUserInfo)
	s.mux.HandleFunc("GET /oidc/authorize", s.oidcAuthorize)
}

func (s *Server) oidcDocument(*http.Request, []byte) reply {
	i := &s.oidc
	i.mu.Lock()
	defer i.mu.Unlock()
	methods := []string{"client_secret_basic", "client_secret_post"}
	if i.postOnly {
		methods = methods[1:]
	}
	return jsonReply(http.StatusOK, map[string]any{
		"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
		"userinfo_endpoint": i.url + "/userinfo", "jwks_uri": i.url + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": methods, "scopes_supported": []string{"openid", "profile", "email", "phone"},
	})
}

func (s *Server) oidcKeys(*http.Request, []byte) reply {
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	key, kid, err := s.oidc.signer()
	if err != nil {
		return reply{status: http.StatusInternalServerError}
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return jsonReply(http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
		"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

// oidcAuthorize is the provider's page: the account set by the control API
// agrees at once.
func (s *Server) oidcAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" || redirect.Fragment != "" || q.Get("client_id") != OIDCClientID {
		http.Error(w, "client_id and redirect_uri are needed", http.StatusBadRequest)
		return
	}
	back := redirect.Query()
	back.Set("state", q.Get("state"))
	switch {
	case q.Get("response_type") != "code":
		back.Set("error", "unsupported_response_type")
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		back.Set("error", "invalid_scope")
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		back.Set("error", "invalid_request")
	default:
		code := random(20)
		i := &s.oidc
		i.mu.Lock()
		i.codes[code] = &oidcCode{
			account: i.account, redirect: q.Get("redirect_uri"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), scope: q.Get("scope"), made: s.now(),
		}
		i.mu.Unlock()
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (s *Server) oidcToken(r *http.Request, body []byte) reply {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuseOIDC(r, "invalid_request")
	}
	i := &s.oidc
	i.mu.Lock()
	defer i.mu.Unlock()
	id, secret, header := r.BasicAuth()
	if header {
		// Both are form-encoded inside the header (RFC 6749, 2.3.1).
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if id != OIDCClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(OIDCClientSecret)) != 1 || header && i.postOnly {
		return refuseOIDC(r, "invalid_client")
	}
	if form.Get("grant_type") != "authorization_code" {
		return refuseOIDC(r, "unsupported_grant_type")
	}
	c := i.codes[form.Get("code")]
	if c == nil || c.used || s.now().Sub(c.made) >= oidcCodeLasts || c.redirect != form.Get("redirect_uri") {
		return refuseOIDC(r, "invalid_grant")
	}
	c.used = true
	proof := sha256.Sum256([]byte(form.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(proof[:]) != c.challenge {
		return refuseOIDC(r, "invalid_grant")
	}
	access := random(24)
	i.access[access] = oidcAccess{c.account, c.scope, s.now().Add(oidcTokenLasts)}
	token, err := i.identityToken(c, access, s.now(), s.tampered())
	if err != nil {
		return reply{status: http.StatusInternalServerError}
	}
	return jsonReply(http.StatusOK, map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(oidcTokenLasts.Seconds()), "id_token": token, "scope": c.scope,
	})
}

// tampered takes an order to spoil the next identity token.
func (s *Server) tampered() string {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	code := s.faults.spoil
	s.faults.spoil = ""
	return code
}

// identityToken signs who signed in. The caller holds the lock.
func (i *issuer) identityToken(c *oidcCode, access string, now time.Time, spoil string) (string, error) {
	key, kid, err := i.signer()
	if err != nil {
		return "", err
	}
	half := sha256.Sum256([]byte(access))
	claims := jwt.MapClaims{
		"iss": i.url, "sub": c.account.Subject, "aud": OIDCClientID, "iat": now.Unix(), "exp": now.Add(oidcTokenLasts).Unix(),
		"nonce": c.nonce, "at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
	}
	if !i.lean {
		for name, value := range c.account.claims(c.scope) {
			claims[name] = value
		}
	}
	switch spoil {
	case "nonce":
		claims["nonce"] = "another"
	case "audience":
		claims["aud"] = "another"
	case "issuer":
		claims["iss"] = "https://another.example"
	case "expired":
		claims["iat"], claims["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case "azp":
		claims["aud"], claims["azp"] = []string{OIDCClientID, "another"}, "another"
	case "hash":
		claims["at_hash"] = base64.RawURLEncoding.EncodeToString(half[16:])
	case "unsigned":
		return jwt.NewWithClaims(jwt.SigningMethodNone, claims).SignedString(jwt.UnsafeAllowNoneSignatureType)
	case "signature":
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return "", err
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = kid
	return token.SignedString(key)
}

// claims are what the scopes allow.
func (a Account) claims(scope string) map[string]any {
	out := map[string]any{}
	scopes := strings.Fields(scope)
	if slices.Contains(scopes, "profile") && a.Name != "" {
		out["name"] = a.Name
	}
	if slices.Contains(scopes, "email") && a.Email != "" {
		out["email"], out["email_verified"] = a.Email, a.EmailVerified
	}
	if slices.Contains(scopes, "phone") && a.Phone != "" {
		out["phone_number"], out["phone_number_verified"] = a.Phone, a.PhoneVerified
	}
	return out
}

func (s *Server) oidcUserInfo(r *http.Request, _ []byte) reply {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	access, ok := s.oidc.access[token]
	if !ok || s.now().After(access.ends) {
		return jsonReply(http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
	}
	claims := access.account.claims(access.scope)
	claims["sub"] = access.account.Subject
	return jsonReply(http.StatusOK, claims)
}

// SetAccount says who signs in at the OpenID Connect provider.
func (s *Server) SetAccount(a Account) {
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	s.oidc.account = a
}

// SetLeanTokens leaves personal claims to userinfo, as some providers do.
func (s *Server) SetLeanTokens(lean bool) {
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	s.oidc.lean = lean
}

// SetFormOnly makes the provider take the client's secret in the form only.
func (s *Server) SetFormOnly(only bool) {
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	s.oidc.postOnly = only
}

// RotateKey signs with another key from now on.
// Error: none but of the machine's random numbers.
func (s *Server) RotateKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	s.oidc.key, s.oidc.kid = key, "stand-in-"+random(4)
	return nil
}
