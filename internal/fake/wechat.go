package fake

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Apps of the stand-in.
const (
	MiniAppID      = "wx0000000000000001"
	MiniSecret     = "stand-in-mini-secret"
	OfficialAppID  = "wx0000000000000002"
	OfficialSecret = "stand-in-official-secret"
)

// WeChat's rules.
const (
	codeLasts       = 5 * time.Minute
	tokenLasts      = 2 * time.Hour
	tokenRenewAhead = 5 * time.Minute  // normal mode gives a new token from then on
	forcedPause     = 30 * time.Second // forced mode does nothing sooner
	forcedPerDay    = 20
	perUserMinute   = 100
	tokenLength     = 512
)

// wechat is the stand-in's state.
type wechat struct {
	mu         sync.Mutex
	secrets    map[string]string // by app id
	tokens     map[string]*appTokens
	logins     map[string]*loginCode // of wx.login, by code
	phones     map[string]*phoneCode
	grants     map[string]*loginCode // of the web sign-in
	asked      map[string][]time.Time
	person     Person // who signs in on the official account's page
	perMinute  int    // calls of stable_token
	perDay     int
	tokenCalls []time.Time
}

// Person is a WeChat user as one app sees them.
type Person struct {
	OpenID   string `json:"openid"`
	UnionID  string `json:"unionid,omitempty"`
	AppID    string `json:"appid,omitempty"`    // the mini-program's, or the official account's, when empty
	Blocked  bool   `json:"blocked,omitempty"`  // high-risk: 40226
	Snapshot bool   `json:"snapshot,omitempty"` // a virtual account of a page preview
}

type loginCode struct {
	Person
	made time.Time
	used bool
	base bool // scope snsapi_base
}

type phoneCode struct {
	phone, country, appID string
	countryIsNumber       bool
	made                  time.Time
	used                  bool
}

// appTokens are an app's tokens with their ends; the last is the current one.
type appTokens struct {
	ends    map[string]time.Time
	current string
	forced  []time.Time
}

func (w *wechat) init() {
	w.secrets = map[string]string{MiniAppID: MiniSecret, OfficialAppID: OfficialSecret}
	w.tokens, w.logins, w.phones = map[string]*appTokens{}, map[string]*loginCode{}, map[string]*phoneCode{}
	w.grants, w.asked = map[string]*loginCode{}, map[string][]time.Time{}
	w.person = Person{OpenID: "o-visitor", UnionID: "u-visitor"}
	w.perMinute, w.perDay = 10_000, 500_000
}

func random(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// wechatError is WeChat's way of refusing: HTTP 200 and a code.
func wechatError(code int) reply {
	return jsonReply(http.StatusOK, map[string]any{"errcode": code, "errmsg": fmt.Sprintf("stand-in error %d, rid: %s", code, random(8))})
}

func refuseWeChat(_ *http.Request, code string) reply {
	n, err := strconv.Atoi(code)
	if err != nil {
		n = -1
	}
	return wechatError(n)
}

func (s *Server) routeWeChat() {
	op := func(pattern, target, limit string, effect func(*http.Request, []byte) reply) {
		s.handle(pattern, operation{target: target, effect: effect, refuse: refuseWeChat, busy: "-1", limit: limit})
	}
	op("POST /cgi-bin/stable_token", "wechat.app_token", "45009", s.stableToken)
	op("GET /sns/jscode2session", "wechat.code_to_session", "45011", s.codeToSession)
	op("POST /wxa/business/getuserphonenumber", "wechat.phone_number", "45011", s.phoneNumber)
	op("GET /sns/oauth2/access_token", "wechat.oauth", "45011", s.oauthToken)
	s.mux.HandleFunc("GET /connect/oauth2/authorize", s.wechatAuthorize)
}

// app checks who calls. Only the secret of a known app is looked at.
func (w *wechat) app(id, secret string) int {
	known, ok := w.secrets[id]
	switch {
	case id == "":
		return 41002
	case !ok:
		return 40013
	case secret == "":
		return 41004
	case secret != known:
		return 40125
	}
	return 0
}

// within keeps the times of the last period and counts one more.
func within(times []time.Time, now time.Time, period time.Duration) []time.Time {
	kept := times[:0]
	for _, t := range times {
		if now.Sub(t) < period {
			kept = append(kept, t)
		}
	}
	return append(kept, now)
}

func (s *Server) stableToken(_ *http.Request, body []byte) reply {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if json.Unmarshal(body, &in) != nil {
		return wechatError(47001)
	}
	w := &s.wechat
	w.mu.Lock()
	defer w.mu.Unlock()
	now := s.now()
	if code := w.app(in.AppID, in.Secret); code != 0 {
		return wechatError(code)
	}
	if in.GrantType != "client_credential" {
		return wechatError(40002)
	}
	w.tokenCalls = within(w.tokenCalls, now, 24*time.Hour)
	if len(w.tokenCalls) > w.perDay {
		return wechatError(45009)
	}
	if len(within(append([]time.Time(nil), w.tokenCalls...), now, time.Minute))-1 > w.perMinute {
		return wechatError(45011)
	}
	t := w.tokens[in.AppID]
	if t == nil {
		t = &appTokens{ends: map[string]time.Time{}}
		w.tokens[in.AppID] = t
	}
	if in.Force {
		if code := t.force(now); code != 0 {
			return wechatError(code)
		}
	}
	if end, ok := t.ends[t.current]; !ok || now.After(end.Add(-tokenRenewAhead)) {
		t.renew(now) // the old one lasts to its end
	}
	return jsonReply(http.StatusOK, map[string]any{
		"access_token": t.current, "expires_in": int(t.ends[t.current].Sub(now).Seconds()),
	})
}

func (t *appTokens) renew(now time.Time) {
	raw := make([]byte, tokenLength)
	_, _ = rand.Read(raw)
	t.current = base64.RawURLEncoding.EncodeToString(raw)[:tokenLength]
	t.ends[t.current] = now.Add(tokenLasts)
}

// force ends the present token, so that the caller makes a new one.
func (t *appTokens) force(now time.Time) int {
	if n := len(t.forced); n > 0 && now.Sub(t.forced[n-1]) < forcedPause {
		return 0 // no refresh
	}
	if today := within(append([]time.Time(nil), t.forced...), now, 24*time.Hour); len(today) > forcedPerDay {
		return 45009
	}
	t.forced = append(t.forced, now)
	delete(t.ends, t.current)
	t.current = ""
	return 0
}

// tokenApp finds whose token this is, or the code that refuses it.
func (w *wechat) tokenApp(token string, now time.Time) (appID string, code int) {
	for id, t := range w.tokens {
		end, ok := t.ends[token]
		switch {
		case ok && token != "" && now.Before(end):
			return id, 0
		case ok:
			return "", 42001
		}
	}
	return "", 40001
}

func (s *Server) codeToSession(r *http.Request, _ []byte) reply {
	q := r.URL.Query()
	w := &s.wechat
	w.mu.Lock()
	defer w.mu.Unlock()
	if code := w.app(q.Get("appid"), q.Get("secret")); code != 0 {
		return wechatError(code)
	}
	if q.Get("js_code") == "" {
		return wechatError(41008)
	}
	if q.Get("grant_type") != "authorization_code" {
		return wechatError(40002)
	}
	now := s.now()
	c := w.logins[q.Get("js_code")]
	if c == nil || c.AppID != q.Get("appid") || now.Sub(c.made) >= codeLasts {
		return wechatError(40029)
	}
	if code := w.count("login", c.OpenID, now); code != 0 {
		return wechatError(code) // the code is still whole
	}
	if c.used {
		return wechatError(40029)
	}
	c.used = true
	if c.Blocked {
		return wechatError(40226)
	}
	answer := map[string]any{"openid": c.OpenID, "session_key": base64.StdEncoding.EncodeToString([]byte(random(8)))}
	if c.UnionID != "" {
		answer["unionid"] = c.UnionID
	}
	return jsonReply(http.StatusOK, answer)
}

// count allows a user so many calls a minute.
func (w *wechat) count(what, openID string, now time.Time) int {
	key := what + " " + openID
	times := within(w.asked[key], now, time.Minute)
	if len(times) > perUserMinute {
		w.asked[key] = times[:perUserMinute]
		return 45011
	}
	w.asked[key] = times
	return 0
}

func (s *Server) phoneNumber(r *http.Request, body []byte) reply {
	var in struct {
		Code string `json:"code"`
	}
	w := &s.wechat
	w.mu.Lock()
	defer w.mu.Unlock()
	now := s.now()
	appID, code := w.tokenApp(r.URL.Query().Get("access_token"), now)
	if code != 0 {
		return wechatError(code)
	}
	if json.Unmarshal(body, &in) != nil {
		return wechatError(47001)
	}
	c := w.phones[in.Code]
	switch {
	case c == nil || c.used || now.Sub(c.made) >= codeLasts:
		return wechatError(40029)
	case c.appID != appID:
		return wechatError(40013)
	}
	c.used = true
	var country any = c.country
	if c.countryIsNumber {
		country, _ = strconv.Atoi(c.country)
	}
	full := c.phone
	if c.country != "86" {
		full = "+" + c.country + c.phone
	}
	return jsonReply(http.StatusOK, map[string]any{"errcode": 0, "errmsg": "ok", "phone_info": map[string]any{
		"phoneNumber": full, "purePhoneNumber": c.phone, "countryCode": country,
		"watermark": map[string]any{"timestamp": now.Unix(), "appid": c.appID},
	}})
}

// wechatAuthorize is the official account's page: the person set by the
// control API agrees at once.
func (s *Server) wechatAuthorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	redirect, err := url.Parse(q.Get("redirect_uri"))
	scope := q.Get("scope")
	s.wechat.mu.Lock()
	_, known := s.wechat.secrets[q.Get("appid")]
	person := s.wechat.person
	s.wechat.mu.Unlock()
	if err != nil || redirect.Host == "" || !known || q.Get("response_type") != "code" || (scope != "snsapi_base" && scope != "snsapi_userinfo") {
		http.Error(w, "appid, redirect_uri, response_type=code and scope are needed", http.StatusBadRequest)
		return
	}
	person.AppID = q.Get("appid")
	back := redirect.Query()
	back.Set("code", s.oauthCode(person, scope == "snsapi_base"))
	back.Set("state", q.Get("state"))
	redirect.RawQuery = back.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusFound)
}

func (s *Server) oauthCode(p Person, base bool) string {
	if p.AppID == "" {
		p.AppID = OfficialAppID
	}
	if p.OpenID == "" {
		p.OpenID = "o-" + random(8)
	}
	code := random(16)
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.grants[code] = &loginCode{Person: p, made: s.now(), base: base}
	return code
}

func (s *Server) oauthToken(r *http.Request, _ []byte) reply {
	q := r.URL.Query()
	w := &s.wechat
	w.mu.Lock()
	defer w.mu.Unlock()
	if code := w.app(q.Get("appid"), q.Get("secret")); code != 0 {
		return wechatError(code)
	}
	if q.Get("code") == "" {
		return wechatError(41008)
	}
	c := w.grants[q.Get("code")]
	switch {
	case c == nil || c.AppID != q.Get("appid") || q.Get("grant_type") != "authorization_code" || s.now().Sub(c.made) >= codeLasts:
		return wechatError(40029)
	case c.used:
		return wechatError(40163)
	}
	c.used = true
	answer := map[string]any{"access_token": random(32), "expires_in": 7200, "refresh_token": random(32), "openid": c.OpenID, "scope": "snsapi_userinfo"}
	if c.base {
		answer["scope"] = "snsapi_base"
	}
	if c.UnionID != "" && !c.base {
		answer["unionid"] = c.UnionID
	}
	if c.Snapshot {
		answer["is_snapshotuser"] = 1
	}
	return jsonReply(http.StatusOK, answer)
}

// LoginCode makes a code as wx.login would, for a person of an app.
func (s *Server) LoginCode(p Person) string {
	if p.AppID == "" {
		p.AppID = MiniAppID
	}
	if p.OpenID == "" {
		p.OpenID = "o-" + random(8)
	}
	code := random(16)
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.logins[code] = &loginCode{Person: p, made: s.now()}
	return code
}

// OAuthCode makes a code as the official account's page would.
func (s *Server) OAuthCode(p Person) string { return s.oauthCode(p, false) }

// Phone is what the phone button hands over.
type Phone struct {
	Phone           string `json:"phone"`           // +8613800138000, or a mainland number
	AppID           string `json:"appid,omitempty"` // the mini-program's when empty
	CountryAsNumber bool   `json:"country_as_number,omitempty"`
}

// PhoneCode makes a code as the phone button would.
func (s *Server) PhoneCode(p Phone) string {
	if p.AppID == "" {
		p.AppID = MiniAppID
	}
	country, number := "86", strings.TrimPrefix(p.Phone, "+86")
	for _, other := range []string{"852", "853", "886"} {
		if rest, ok := strings.CutPrefix(p.Phone, "+"+other); ok {
			country, number = other, rest
		}
	}
	code := random(32)
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.phones[code] = &phoneCode{phone: number, country: country, appID: p.AppID, countryIsNumber: p.CountryAsNumber, made: s.now()}
	return code
}

// SetVisitor says who signs in on the official account's page.
func (s *Server) SetVisitor(p Person) {
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.person = p
}

// AddApp makes another app known.
func (s *Server) AddApp(appID, secret string) {
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.secrets[appID] = secret
}

// RevokeToken ends an app's token before its time, as when somebody refreshes
// it by force elsewhere.
func (s *Server) RevokeToken(appID string) {
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	delete(s.wechat.tokens, appID)
}

// SetTokenQuota changes how often the app token may be asked for.
func (s *Server) SetTokenQuota(perMinute, perDay int) {
	s.wechat.mu.Lock()
	defer s.wechat.mu.Unlock()
	s.wechat.perMinute, s.wechat.perDay = perMinute, perDay
}
