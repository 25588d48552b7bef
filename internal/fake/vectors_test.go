package fake

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The vectors are those of the protocols' documentation; the adapters are
// pinned to the same ones by tests of their own.

func TestACS3Vector(t *testing.T) {
	headers := map[string]string{
		"host": "dysmsapi.aliyuncs.com", "x-acs-action": "SendSms", "x-acs-version": "2017-05-25",
		"x-acs-date": "2023-11-14T22:13:20Z", "x-acs-signature-nonce": "nonce1",
		"x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	}
	signed := []string{"x-acs-version", "x-acs-date", "host", "x-acs-action", "x-acs-signature-nonce", "x-acs-content-sha256"}
	// Another order and another way to escape must come to the same.
	query := "TemplateParam=%7B%22code%22:%221234%22%7D&PhoneNumbers=13800138000&SignName=%E6%B5%8B%E8%AF%95&TemplateCode=SMS_1"
	got := acs3Signature("testsecret", "POST", query, signed, func(name string) string { return headers[name] }, nil)
	require.Equal(t, "8a2af5f2782522dc07c79539e54c593c956bc7babf1d125d58ac3e74edb9937c", got)
}

func TestTC3Vector(t *testing.T) {
	body := `{"PhoneNumberSet":["+8613800138000"],"SmsSdkAppId":"1400000000","TemplateId":"1","SignName":"test","TemplateParamSet":["1234"]}`
	got := tc3Signature("testsecret", "application/json", "sms.tencentcloudapi.com", 1700000000, []byte(body))
	require.Equal(t, "f3dd670e4b6ac9c577000283ee5007035bf1c4c894f1d3102feebacd273d3362", got)
}

func TestPercent(t *testing.T) {
	require.Equal(t, "a%20b%2Ac~%2B%E4%B9%A6", percent("a b*c~+书"))
}

func TestSealedVector(t *testing.T) {
	require.Equal(t, "DUcclrHBE5NffFMk6pzEyhUOzEv805vSXVdOTWcxr669KE1ZsfUaWu+xWJDRToaFm60JTfuIXPEGBSOvnA==",
		wechatSealWith("0123456789abcdef0123456789abcdef", "fdasflkja484", "transaction", []byte(`{"out_trade_no":"T1","trade_state":"SUCCESS"}`)))
}

func TestLogisticsVectors(t *testing.T) {
	require.Equal(t, "B40582FA956AFB1A3760B62CCB202BFE", strings.ToUpper(md5Hex(`{"com":"yuantong","num":"YT0000000001"}`+"testkey"+"testcustomer")))
	require.Equal(t, "966e28e52baaf2e6a4944681cb952510", md5Hex(`{"status":"polling"}`+"testsalt"))
	require.Equal(t, "IIKJtuLVzoFTu4kHI8M8vA==", sfDigest(`{"language":"zh-CN","orderId":"QIAO-20200618-004"}`, "12312334453453", "fjcg5PGKaNpPSHFAZ4QsCOkV71R3zVci"))
}

func TestAmountsInYuan(t *testing.T) {
	require.EqualValues(t, 1990, yuanFen("19.90"))
	for _, wrong := range []string{"", "19.9", "19", "+1.00", "1e2.00", "0.00", "-1.00"} {
		require.Zero(t, yuanFen(wrong), wrong)
	}
	require.Equal(t, "0.05", yuanText(5))
}
