package sms

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type stopped time.Time

func (s stopped) Now() time.Time { return time.Time(s) }

var vectorTime = stopped(time.Unix(1700000000, 0)) // 2023-11-14T22:13:20Z

func TestACS3Vector(t *testing.T) {
	a, err := NewAliyun(Config{KeyID: "testid", KeySecret: "testsecret"}, vectorTime, nil)
	require.NoError(t, err)
	a.nonce = func() string { return "nonce1" }
	req, err := a.request(context.Background(), "SendSms", map[string]string{
		"TemplateParam": `{"code":"1234"}`, "PhoneNumbers": "13800138000", "SignName": "测试", "TemplateCode": "SMS_1",
	})
	require.NoError(t, err)
	require.Equal(t, "ACS3-HMAC-SHA256 Credential=testid,"+
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"+
		"Signature=8a2af5f2782522dc07c79539e54c593c956bc7babf1d125d58ac3e74edb9937c", req.Header.Get("Authorization"))
	require.Equal(t, http.MethodPost, req.Method)
	require.Equal(t, "2023-11-14T22:13:20Z", req.Header.Get("X-Acs-Date"))
	require.Equal(t, "dysmsapi.aliyuncs.com", req.URL.Host)
	require.NotContains(t, req.URL.RawQuery, "+")
}

func TestTC3Vector(t *testing.T) {
	body, err := json.Marshal(tencentSend{
		PhoneNumberSet: []string{"+8613800138000"}, SmsSdkAppID: "1400000000", TemplateID: "1", SignName: "test", TemplateParamSet: []string{"1234"},
	})
	require.NoError(t, err)
	require.JSONEq(t, `{"PhoneNumberSet":["+8613800138000"],"SmsSdkAppId":"1400000000","TemplateId":"1","SignName":"test","TemplateParamSet":["1234"]}`, string(body))
	got := tc3Sign("testid", "testsecret", "sms.tencentcloudapi.com", 1700000000, body)
	require.Equal(t, "TC3-HMAC-SHA256 Credential=testid/2023-11-14/sms/tc3_request, SignedHeaders=content-type;host, "+
		"Signature=f3dd670e4b6ac9c577000283ee5007035bf1c4c894f1d3102feebacd273d3362", got)
}

func TestQueryIsEscapedAsInRFC3986(t *testing.T) {
	require.Equal(t, "a=%20%2A~%2B", acs3Query(map[string]string{"a": " *~+"}))
	require.Equal(t, "a=1&b=2", acs3Query(map[string]string{"b": "2", "a": "1"}))
	require.False(t, strings.Contains(escape3986("a b"), "+"))
}
