// Package wechat signs people in through WeChat: mini-programs (jscode2session
// and the phone button) and official accounts (web OAuth).
//
// Codes that people bring are spent by their first use. A request that may
// have reached WeChat is therefore never repeated: its result is ErrUnknown,
// and the person must be asked for a new code. Repeated are only a request for
// which no connection came about, errcode -1 (WeChat says that it was busy and
// did nothing) and a refused app token, which WeChat checks before the code.
package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Errors of all calls. After ErrUnknown the code may be spent; after ErrBusy
// it certainly is not.
var (
	ErrCode     = apperr.Define(apperr.Invalid, "wechat.code_invalid", "WeChat refused the code: it was used, has expired or belongs to another app. Get a new one.", "微信登录凭证无效：已使用、已过期或不属于本应用，请重新获取。")
	ErrBusy     = apperr.Define(apperr.Unavailable, "wechat.busy", "WeChat is busy or cannot be reached; the code was not used. Try again.", "微信服务繁忙或无法连接，凭证未被使用，请重试。")
	ErrQuota    = apperr.Define(apperr.RateLimited, "wechat.quota_reached", "WeChat allows no more of these calls at present; try again later.", "微信接口调用过于频繁，请稍后再试。")
	ErrRisk     = apperr.Define(apperr.Forbidden, "wechat.user_blocked", "WeChat blocks this user as high-risk.", "该微信用户存在风险，已被微信限制登录。")
	ErrSnapshot = apperr.Define(apperr.Invalid, "wechat.snapshot_user", "The page was opened as a preview, with a virtual account. Open it in full and try again.", "当前为快照页的虚拟账号，请使用完整服务后重试。")
	ErrConfig   = apperr.Define(apperr.Unavailable, "wechat.misconfigured", "WeChat refuses the service's app id, secret or address.", "微信应用配置有误（AppID、密钥或 IP 白名单）。")
	ErrUnknown  = apperr.Define(apperr.Unavailable, "wechat.result_unknown", "WeChat did not answer; the code may have been used. Get a new one.", "微信未返回结果，凭证可能已被使用，请重新获取。")
	ErrProvider = apperr.Define(apperr.Unavailable, "wechat.provider_error", "WeChat gave an unexpected answer.", "微信返回了未知错误。")
)

// RawCode is the cause of an error: WeChat's own code.
type RawCode struct {
	Operation string
	Code      int
	RequestID string // the "rid" that WeChat's support asks for
}

// Error is for logs.
func (r RawCode) Error() string {
	return fmt.Sprintf("%s: errcode %d (rid %s)", r.Operation, r.Code, r.RequestID)
}

// Config of one app: a mini-program or an official account.
type Config struct {
	AppID   string
	Secret  string
	BaseURL string // empty means https://api.weixin.qq.com
	// OpenURL is where people are sent to sign in with an official account;
	// empty means https://open.weixin.qq.com, or BaseURL where that is set.
	OpenURL string
}

const (
	apiURL      = "https://api.weixin.qq.com"
	openURL     = "https://open.weixin.qq.com"
	callTimeout = 5 * time.Second

	busyTries = 3 // of a call that WeChat was too busy for, or that no connection came about for
	busyPause = 100 * time.Millisecond
)

// Client calls WeChat for one app.
type Client struct {
	config Config
	clock  *clock.Clock
	client *outgoing.Client
	tokens *tokens
}

// New makes a client. The database keeps the app token that all instances share.
func New(c Config, d *db.DB, keys *crypto.Keyring, clk *clock.Clock, log *slog.Logger, m *outgoing.Metrics) *Client {
	if c.OpenURL == "" {
		c.OpenURL = openURL
		if c.BaseURL != "" {
			c.OpenURL = c.BaseURL
		}
	}
	if c.BaseURL == "" {
		c.BaseURL = apiURL
	}
	c.BaseURL, c.OpenURL = strings.TrimRight(c.BaseURL, "/"), strings.TrimRight(c.OpenURL, "/")
	w := &Client{config: c, clock: clk, client: outgoing.New("wechat", callTimeout, m)}
	w.tokens = newTokens("wechat.app:"+c.AppID, d, keys, clk, log, w.fetchToken)
	return w
}

// AppID is the app this client calls for: identities are (app id, open id).
func (c *Client) AppID() string { return c.config.AppID }

// Session is who a mini-program's code stands for. WeChat's session key is
// dropped on purpose: nothing here needs it and it must never reach a client.
type Session struct {
	OpenID  string
	UnionID string // empty unless the app belongs to an open-platform account
}

// CodeToSession spends the code of wx.login.
// Errors: ErrCode, ErrBusy, ErrQuota, ErrRisk, ErrConfig, ErrUnknown, ErrProvider.
func (c *Client) CodeToSession(ctx context.Context, code string) (Session, error) {
	query := url.Values{"appid": {c.config.AppID}, "secret": {c.config.Secret}, "js_code": {code}, "grant_type": {"authorization_code"}}
	session, err := call(ctx, c, "code_to_session", func(ctx context.Context) (*http.Request, error) {
		return outgoing.Get(ctx, c.config.BaseURL+"/sns/jscode2session?"+query.Encode())
	}, decodeSession)
	return session, err
}

func decodeSession(body []byte) (Session, error) {
	var answer struct {
		status
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := decode(body, &answer, &answer.status); err != nil {
		return Session{}, err
	}
	if !plausibleID(answer.OpenID) || len(answer.UnionID) > 0 && !plausibleID(answer.UnionID) {
		return Session{}, errUnreadable
	}
	return Session{OpenID: answer.OpenID, UnionID: answer.UnionID}, nil
}

// PhoneNumber spends the code of the phone button, which is not that of wx.login.
// Errors: as CodeToSession.
func (c *Client) PhoneNumber(ctx context.Context, code string) (e164 string, err error) {
	body, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		return "", ErrCode.Wrap(err)
	}
	return withToken(ctx, c, "phone_number", func(ctx context.Context, token string) (*http.Request, error) {
		return outgoing.PostJSON(ctx, c.config.BaseURL+"/wxa/business/getuserphonenumber?access_token="+url.QueryEscape(token), body)
	}, func(body []byte) (string, error) { return decodePhone(body, c.config.AppID) })
}

func decodePhone(body []byte, appID string) (string, error) {
	var answer struct {
		status
		Info *struct {
			Pure    string          `json:"purePhoneNumber"`
			Country json.RawMessage `json:"countryCode"` // documented as a string, seen as a number
			Mark    struct {
				AppID string `json:"appid"`
			} `json:"watermark"`
		} `json:"phone_info"`
	}
	if err := decode(body, &answer, &answer.status); err != nil {
		return "", err
	}
	if answer.Info == nil {
		return "", errUnreadable
	}
	if answer.Info.Mark.AppID != appID {
		return "", ErrCode.Wrap(errors.New("the phone number is marked for another app"))
	}
	country := strings.Trim(string(answer.Info.Country), `"`)
	if n, err := strconv.Atoi(country); err != nil || n <= 0 || n > 999 {
		return "", errUnreadable
	}
	phone, err := pii.ParsePhone("+"+country+answer.Info.Pure, "")
	if err != nil {
		return "", errUnreadable
	}
	return phone.E164, nil
}

// User is who an official account's code stands for.
type User struct {
	OpenID  string
	UnionID string
}

// OAuth spends the code that WeChat sent a browser back with.
// Errors: as CodeToSession, and ErrSnapshot.
func (c *Client) OAuth(ctx context.Context, code string) (User, error) {
	query := url.Values{"appid": {c.config.AppID}, "secret": {c.config.Secret}, "code": {code}, "grant_type": {"authorization_code"}}
	return call(ctx, c, "oauth", func(ctx context.Context) (*http.Request, error) {
		return outgoing.Get(ctx, c.config.BaseURL+"/sns/oauth2/access_token?"+query.Encode())
	}, decodeUser)
}

func decodeUser(body []byte) (User, error) {
	var answer struct {
		status
		OpenID   string `json:"openid"`
		UnionID  string `json:"unionid"`
		Snapshot int    `json:"is_snapshotuser"`
	}
	if err := decode(body, &answer, &answer.status); err != nil {
		return User{}, err
	}
	if answer.Snapshot != 0 {
		return User{}, ErrSnapshot.New()
	}
	if !plausibleID(answer.OpenID) || len(answer.UnionID) > 0 && !plausibleID(answer.UnionID) {
		return User{}, errUnreadable
	}
	return User{OpenID: answer.OpenID, UnionID: answer.UnionID}, nil
}

// Scopes of AuthorizeURL.
const (
	ScopeBase     = "snsapi_base"     // silent: the open id only
	ScopeUserInfo = "snsapi_userinfo" // asks the person; gives the union id too
)

// AuthorizeURL is where to send a browser inside WeChat; it comes back to
// redirect with code and state. WeChat wants the parameters in this order and
// the fragment.
func (c *Client) AuthorizeURL(redirect, scope, state string) string {
	return c.config.OpenURL + "/connect/oauth2/authorize?appid=" + url.QueryEscape(c.config.AppID) +
		"&redirect_uri=" + url.QueryEscape(redirect) + "&response_type=code&scope=" + url.QueryEscape(scope) +
		"&state=" + url.QueryEscape(state) + "#wechat_redirect"
}

// plausibleID bounds what becomes part of a key of ours.
func plausibleID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return true
}
