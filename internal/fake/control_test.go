package fake_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
)

// by tries the stand-ins as somebody with curl does.
type by struct {
	t *testing.T
	s *fake.Server
}

func start(t *testing.T) by {
	t.Helper()
	s, err := fake.Start(fake.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return by{t, s}
}

func (b by) do(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.s.URL+path, strings.NewReader(body))
	require.NoError(b.t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	out := map[string]any{}
	if bytes.HasPrefix(raw, []byte("{")) {
		require.NoError(b.t, json.Unmarshal(raw, &out))
	} else {
		out["text"] = string(raw)
	}
	return res.StatusCode, out
}

func (b by) order(path, body string) map[string]any {
	b.t.Helper()
	status, out := b.do(http.MethodPost, path, body)
	require.Equal(b.t, http.StatusOK, status, out)
	return out
}

func (b by) session(code string) map[string]any {
	b.t.Helper()
	_, out := b.do(http.MethodGet, "/sns/jscode2session?grant_type=authorization_code&appid="+fake.MiniAppID+"&secret="+fake.MiniSecret+"&js_code="+code, "")
	return out
}

func TestPageNamesEveryOrder(t *testing.T) {
	b := start(t)
	_, out := b.do(http.MethodGet, "/", "")
	page, _ := out["text"].(string)
	for _, path := range []string{
		"faults", "heal", "calls", "wechat/codes", "wechat/phone-codes", "wechat/oauth-codes", "wechat/visitor", "wechat/apps", "wechat/revoke-token",
		"wechat/token-quota", "sms/inbox", "sms/clear", "sms/limits", "sms/balance", "oidc/account", "oidc/rotate-key", "mail/inbox",
		"pay/pay", "pay/scan", "pay/app", "pay/payments", "pay/refunds", "pay/deliveries", "pay/callbacks", "pay/settings", "pay/rotate-certificate",
		"logistics/scans", "logistics/push", "logistics/sf-push",
	} {
		require.Contains(t, page, b.s.URL+"/_control/"+path)
	}
	for _, target := range fake.Targets {
		require.Contains(t, page, target)
	}
	for _, kind := range fake.Kinds {
		require.Contains(t, page, string(kind))
	}
	require.NotContains(t, page, "{url}")
}

func TestCodesByHand(t *testing.T) {
	b := start(t)
	code, _ := b.order("/_control/wechat/codes", `{"openid":"o-1","unionid":"u-1"}`)["code"].(string)
	got := b.session(code)
	require.Equal(t, "o-1", got["openid"])
	require.Equal(t, "u-1", got["unionid"])
	require.NotEmpty(t, got["session_key"])
	require.InDelta(t, 40029, b.session(code)["errcode"], 0)

	status, out := b.do(http.MethodPost, "/_control/wechat/codes", `{"open_id":"o-1"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, out["error"], "open_id")
	status, _ = b.do(http.MethodPost, "/_control/wechat/phone-codes", `{}`)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = b.do(http.MethodPost, "/_control/oidc/account", `{}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.NotEmpty(t, b.order("/_control/wechat/phone-codes", `{"phone":"+8613800138000"}`)["code"])
	require.NotEmpty(t, b.order("/_control/wechat/oauth-codes", ``)["code"])
}

func TestFaultsByHand(t *testing.T) {
	b := start(t)
	for _, wrong := range []string{`{}`, `{"target":"wechat.code_to_session","kind":"late"}`, `{"target":"wechat.nothing","kind":"busy"}`, `{"target":"sms","kind":"code"}`, `{"target":"sms.send","kind":"tamper","code":"nonce"}`, `nonsense`} {
		status, out := b.do(http.MethodPost, "/_control/faults", wrong)
		require.Equal(t, http.StatusBadRequest, status, wrong)
		require.NotEmpty(t, out["error"])
	}
	code := func() string {
		c, _ := b.order("/_control/wechat/codes", `{"openid":"o-1"}`)["code"].(string)
		return c
	}
	b.order("/_control/faults", `{"target":"wechat","kind":"busy","times":2}`)
	b.order("/_control/faults", `{"target":"wechat.code_to_session","kind":"code","code":"45011"}`)
	for _, want := range []float64{-1, -1, 45011} {
		require.InDelta(t, want, b.session(code())["errcode"], 0)
	}
	require.Equal(t, "o-1", b.session(code())["openid"])
	b.order("/_control/faults", `{"target":"wechat","kind":"busy","times":-1}`)
	for range 3 {
		require.InDelta(t, -1, b.session(code())["errcode"], 0)
	}
	b.order("/_control/heal", ``)
	require.Equal(t, "o-1", b.session(code())["openid"])
	_, calls := b.do(http.MethodGet, "/_control/calls", "")
	require.Equal(t, map[string]any{"calls": 8.0, "effects": 2.0}, calls["wechat.code_to_session"])
}

// Calls that a provider would refuse are refused.
func TestSignaturesAreVerified(t *testing.T) {
	b := start(t)
	send := func(headers map[string]string, query, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.s.URL+"/?"+query, strings.NewReader(body))
		require.NoError(t, err)
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(raw)
	}
	now := time.Now().UTC()
	aliyun := func(authorization string) map[string]string {
		return map[string]string{"X-Acs-Action": "SendSms", "X-Acs-Version": "2017-05-25", "X-Acs-Date": now.Format("2006-01-02T15:04:05Z"), "X-Acs-Signature-Nonce": "n", "Authorization": authorization}
	}
	for authorization, want := range map[string]string{
		"":        "IncompleteSignature",
		"Basic x": "IncompleteSignature",
		"ACS3-HMAC-SHA256 Credential=who,SignedHeaders=host,Signature=00":                                   "InvalidAccessKeyId.NotFound",
		"ACS3-HMAC-SHA256 Credential=" + fake.AliyunKeyID + ",SignedHeaders=host;x-acs-action,Signature=00": "SignatureDoesNotMatch",
	} {
		status, body := send(aliyun(authorization), "PhoneNumbers=13800138000", "")
		require.GreaterOrEqual(t, status, 400)
		require.Contains(t, body, want)
	}
	for authorization, want := range map[string]string{
		"": "AuthFailure.SignatureFailure",
		"TC3-HMAC-SHA256 Credential=who/x, SignedHeaders=content-type;host, Signature=00":                       "AuthFailure.SecretIdNotFound",
		"TC3-HMAC-SHA256 Credential=" + fake.TencentKeyID + "/x, SignedHeaders=content-type;host, Signature=00": "AuthFailure.Signature",
	} {
		status, body := send(map[string]string{"X-TC-Action": "SendSms", "X-TC-Timestamp": "1700000000", "Authorization": authorization}, "", "{}")
		require.Equal(t, http.StatusOK, status, "Tencent's errors come with 200")
		require.Contains(t, body, want)
	}
	status, _ := send(nil, "", "{}")
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, b.s.Messages(""))
}

func TestOIDCProviderRefuses(t *testing.T) {
	b := start(t)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for query, want := range map[string]string{
		"response_type=token&scope=openid&code_challenge=c&code_challenge_method=S256": "unsupported_response_type",
		"response_type=code&scope=email&code_challenge=c&code_challenge_method=S256":   "invalid_scope",
		"response_type=code&scope=openid":                                              "invalid_request",
		"response_type=code&scope=openid&code_challenge=c&code_challenge_method=plain": "invalid_request",
	} {
		res, err := browser.Get(b.s.URL + "/oidc/authorize?client_id=" + fake.OIDCClientID + "&redirect_uri=" + url.QueryEscape(b.s.URL+"/landing") + "&" + query)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		back, err := url.Parse(res.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, want, back.Query().Get("error"))
	}
	status, _ := b.do(http.MethodGet, "/oidc/authorize?client_id=other&redirect_uri=https://a.example", "")
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = b.do(http.MethodGet, "/oidc/userinfo", "")
	require.Equal(t, http.StatusUnauthorized, status)
	_, out := b.do(http.MethodGet, "/landing?code=c&state=s", "")
	require.Equal(t, map[string]any{"code": "c", "state": "s"}, out)
}

func TestOneAddressOneSet(t *testing.T) {
	b := start(t)
	addr := strings.TrimPrefix(b.s.URL, "http://")
	place, err := fake.Find(t.Context(), addr)
	require.NoError(t, err)
	require.Equal(t, b.s.Place, place)
	_, err = fake.Start(fake.Options{Addr: addr})
	require.Error(t, err)
	_, err = fake.Find(t.Context(), b.s.MailAddr)
	require.Error(t, err)
}
