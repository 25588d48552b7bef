package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var aliyun = []string{
	"SHUKE_SMS_PROVIDER=Aliyun", "SHUKE_SMS_ACCESS_KEY_ID=id", "SHUKE_SMS_ACCESS_KEY_SECRET=hunter2", "SHUKE_SMS_SIGN_NAME=书店",
	"SHUKE_SMS_TEMPLATES=sign_in_code=SMS_1, second_factor_code=SMS_2",
}

var keycloak = []string{
	"SHUKE_OIDC_PROVIDERS=key-cloak", "SHUKE_OIDC_KEY_CLOAK_ISSUER=https://id.example/realms/shop", "SHUKE_OIDC_KEY_CLOAK_CLIENT_ID=crm",
	"SHUKE_OIDC_KEY_CLOAK_CLIENT_SECRET=hunter2", "SHUKE_OIDC_KEY_CLOAK_REDIRECT_URL=https://crm.example/back", "SHUKE_OIDC_KEY_CLOAK_SCOPES=profile, phone",
}

func TestOutsideServices(t *testing.T) {
	c, err := load(append(append([]string{
		"SHUKE_SMTP_URL=smtps://u:hunter2@mail.example:465", "SHUKE_MAIL_FROM=a@b.example",
		"SHUKE_WECHAT_MINI_APP_ID=wx1", "SHUKE_WECHAT_MINI_SECRET=hunter2", "SHUKE_WECHAT_URL=https://proxy.example/",
	}, aliyun...), keycloak...))
	require.NoError(t, err)
	require.Equal(t, "aliyun", c.SMSProvider)
	require.Equal(t, map[string]string{"sign_in_code": "SMS_1", "second_factor_code": "SMS_2"}, c.Templates())
	require.Equal(t, 10000, c.SMSDailyLimit)
	require.Equal(t, "https://proxy.example", c.WeChatURL)
	require.Equal(t, []OIDCProvider{{
		Name: "key-cloak", Issuer: "https://id.example/realms/shop", ClientID: "crm", ClientSecret: "hunter2",
		RedirectURL: "https://crm.example/back", Scopes: []string{"profile", "phone"},
	}}, c.OIDC)
	require.Equal(t, []string{"SMS", "e-mail", "WeChat mini-program", "OpenID Connect key-cloak"}, c.RealServices())

	var table strings.Builder
	require.NoError(t, c.WriteSummary(&table))
	require.NotContains(t, table.String(), "hunter2")
	require.NotContains(t, c.String(), "hunter2")
	require.Contains(t, table.String(), "smtps://u:********@mail.example:465")
	require.Regexp(t, `SHUKE_OIDC_KEY_CLOAK_CLIENT_SECRET +\*{8} +\[environment\]`, table.String())
	require.Regexp(t, `SHUKE_SMS_URL +\(the provider's own\)`, table.String())
}

var wechatPay = []string{
	"SHUKE_WECHAT_PAY_MCH_ID=1900000001", "SHUKE_WECHAT_PAY_APP_ID=wx1", "SHUKE_WECHAT_PAY_CERT_SERIAL=AB", "SHUKE_WECHAT_PAY_PRIVATE_KEY=hunter2",
	"SHUKE_WECHAT_PAY_V3_KEY=hunter2hunter2hunter2hunter2hunt",
}

func TestPaymentProviders(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(key, []byte("-----hunter2-----\n"), 0o600))
	c, err := load(append([]string{
		"SHUKE_ALIPAY_APP_ID=2021", "SHUKE_ALIPAY_SELLER_ID=2088", "SHUKE_ALIPAY_PRIVATE_KEY=" + key, "SHUKE_ALIPAY_PUBLIC_KEY=MIIBhunter2",
		"SHUKE_KUAIDI100_CUSTOMER=c", "SHUKE_KUAIDI100_KEY=hunter2", "SHUKE_SF_PARTNER_ID=p", "SHUKE_SF_CHECKWORD=hunter2",
	}, wechatPay...))
	require.NoError(t, err)
	require.Equal(t, "-----hunter2-----\n", c.AlipayKey.Reveal(), "a file's content takes its name's place")
	require.Equal(t, []string{"WeChat Pay", "Alipay", "Kuaidi100", "SF Express"}, c.RealServices())
	require.NotContains(t, c.String(), "hunter2")
	require.Contains(t, c.String(), "SHUKE_ALIPAY_PUBLIC_KEY=(a key)")

	c, err = load(append([]string{"SHUKE_WECHAT_MINI_APP_ID=wx9", "SHUKE_WECHAT_MINI_SECRET=x", "SHUKE_WECHAT_PAY_APP_ID="}, append(wechatPay[:1:1], wechatPay[2:]...)...))
	require.NoError(t, err)
	require.Equal(t, "wx9", c.WeChatPayAppID, "the mini-program pays unless another app is named")
}

func TestOutsideRules(t *testing.T) {
	with := func(base []string, more ...string) []string { return append(append([]string{}, base...), more...) }
	cases := []struct {
		name string
		env  []string
		want string // "" means accepted
	}{
		{"unknown SMS provider", []string{"SHUKE_SMS_PROVIDER=pigeon"}, "aliyun or tencent"},
		{"SMS without a key", []string{"SHUKE_SMS_PROVIDER=aliyun"}, "needs SHUKE_SMS_ACCESS_KEY_SECRET"},
		{"SMS settings without a provider", []string{"SHUKE_SMS_ACCESS_KEY_SECRET=hunter2"}, "without SHUKE_SMS_PROVIDER"},
		{"Tencent without an app", with(aliyun, "SHUKE_SMS_PROVIDER=tencent"), "needs SHUKE_SMS_APP_ID"},
		{"Tencent", with(aliyun, "SHUKE_SMS_PROVIDER=tencent", "SHUKE_SMS_APP_ID=1400000000"), ""},
		{"a template too few", with(aliyun, "SHUKE_SMS_TEMPLATES=sign_in_code=SMS_1"), "no code for second_factor_code"},
		{"an unheard template", with(aliyun, "SHUKE_SMS_TEMPLATES=sign_in_code=1,second_factor_code=2,birthday=3"), "birthday"},
		{"no messages a day", with(aliyun, "SHUKE_SMS_DAILY_LIMIT=0"), "SHUKE_SMS_DAILY_LIMIT"},
		{"SMS over plain http", with(aliyun, "SHUKE_SMS_URL=http://sms.example"), "plain http"},
		{"SMS on this machine", with(aliyun, "SHUKE_SMS_URL=http://127.0.0.1:9"), ""},
		{"mail without a sender", []string{"SHUKE_SMTP_URL=smtp://mail.example"}, "SHUKE_MAIL_FROM"},
		{"mail address", []string{"SHUKE_SMTP_URL=mail.example:hunter2", "SHUKE_MAIL_FROM=a@b.example"}, "SHUKE_SMTP_URL"},
		{"WeChat without a secret", []string{"SHUKE_WECHAT_MINI_APP_ID=wx1"}, "belong together"},
		{"WeChat without an app", []string{"SHUKE_WECHAT_OFFICIAL_SECRET=hunter2"}, "belong together"},
		{"WeChat address", []string{"SHUKE_WECHAT_URL=weixin"}, "SHUKE_WECHAT_URL"},
		{"OIDC without settings", []string{"SHUKE_OIDC_PROVIDERS=okta"}, "SHUKE_OIDC_OKTA_CLIENT_ID, SHUKE_OIDC_OKTA_CLIENT_SECRET, SHUKE_OIDC_OKTA_ISSUER, SHUKE_OIDC_OKTA_REDIRECT_URL"},
		{"OIDC name", []string{"SHUKE_OIDC_PROVIDERS=Okta!"}, "lower-case"},
		{"OIDC twice", with(keycloak, "SHUKE_OIDC_PROVIDERS=key-cloak,key-cloak"), "twice"},
		{"OIDC over plain http", with(keycloak, "SHUKE_OIDC_KEY_CLOAK_ISSUER=http://id.example"), "plain http"},
		{"WeChat Pay", wechatPay, ""},
		{"half of WeChat Pay", wechatPay[:3], "SHUKE_WECHAT_PAY_PRIVATE_KEY, SHUKE_WECHAT_PAY_V3_KEY is not; set all"},
		{"WeChat Pay for no app", with(wechatPay, "SHUKE_WECHAT_PAY_APP_ID="), "SHUKE_WECHAT_MINI_APP_ID"},
		{"a short APIv3 key", with(wechatPay, "SHUKE_WECHAT_PAY_V3_KEY=hunter2"), "has 7 bytes"},
		{"half of a public key", with(wechatPay, "SHUKE_WECHAT_PAY_PUBLIC_KEY_ID=PUB_KEY_ID_1"), "SHUKE_WECHAT_PAY_PUBLIC_KEY is not"},
		{"WeChat Pay's address", with(wechatPay, "SHUKE_WECHAT_PAY_URL=http://pay.example"), "SHUKE_WECHAT_PAY_URL is plain http"},
		{"half of Alipay", []string{"SHUKE_ALIPAY_APP_ID=2021"}, "SHUKE_ALIPAY_SELLER_ID"},
		{"a key that is not there", []string{"SHUKE_ALIPAY_PRIVATE_KEY=/no/such/file"}, "SHUKE_ALIPAY_PRIVATE_KEY"},
		{"half of Kuaidi100", []string{"SHUKE_KUAIDI100_KEY=hunter2"}, "SHUKE_KUAIDI100_CUSTOMER"},
		{"half of SF", []string{"SHUKE_SF_PARTNER_ID=p"}, "SHUKE_SF_CHECKWORD"},
		{"stand-ins", []string{"SHUKE_FAKES=127.0.0.1:8090"}, ""},
		{"stand-ins elsewhere", []string{"SHUKE_FAKES=0.0.0.0:8090"}, "SHUKE_FAKES"},
		{"stand-ins in production", []string{"SHUKE_FAKES=127.0.0.1:8090", "SHUKE_ENV=production"}, "sign in as anybody"},
		{"stand-ins behind a proxy", []string{"SHUKE_FAKES=127.0.0.1:8090", "SHUKE_PUBLIC_URL=https://crm.example"}, "sign in as anybody"},
		{"stand-ins on all interfaces", []string{"SHUKE_FAKES=127.0.0.1:8090", "SHUKE_HTTP_ADDR=:8080", "SHUKE_PUBLIC_URL=http://127.0.0.1:8080"}, "sign in as anybody"},
		{"stand-ins in development", []string{"SHUKE_FAKES=127.0.0.1:8090", "SHUKE_ENV=development", "SHUKE_HTTP_ADDR=:8080"}, ""},
		{"stand-ins with the flag", []string{"SHUKE_FAKES=127.0.0.1:8090", "SHUKE_DEVELOPMENT=true"}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.env)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// auto never stands in beside something real, nor where others could come in.
func TestAutoStandIns(t *testing.T) {
	for want, environs := range map[string][][]string{
		FakesAuto: {{}, {"SHUKE_ENV=development", "SHUKE_HTTP_ADDR=:8080"}},
		"":        {aliyun, keycloak, {"SHUKE_ENV=production"}, {"SHUKE_PUBLIC_URL=https://crm.example"}},
	} {
		for _, environ := range environs {
			c, err := load(append([]string{"SHUKE_FAKES=auto"}, environ...))
			require.NoError(t, err)
			require.Equal(t, want, c.Fakes, environ)
		}
	}
}

func TestSettingsOfProvidersInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shuke.env")
	require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(strings.Join(keycloak, "\n"), "profile, phone", "phone")+"\n"), 0o600))
	c, err := load([]string{"SHUKE_CONFIG_FILE=" + path})
	require.NoError(t, err)
	require.Equal(t, []string{"phone"}, c.OIDC[0].Scopes)

	require.NoError(t, os.WriteFile(path, []byte("SHUKE_OIDC_PROVIDERS=okta\nSHUKE_OIDC_OKTA_ISSUERR=x\n"), 0o600))
	_, err = load([]string{"SHUKE_CONFIG_FILE=" + path})
	require.ErrorContains(t, err, "SHUKE_OIDC_OKTA_ISSUERR")
}

func TestStandInsShowInTheSummary(t *testing.T) {
	c, err := load([]string{"SHUKE_FAKES=127.0.0.1:8090"})
	require.NoError(t, err)
	o := c.Outside
	o.SMSProvider, o.OIDC = "aliyun", []OIDCProvider{{Name: "demo", Issuer: "http://127.0.0.1:8090/oidc"}}
	c.StandIn(o)
	var table strings.Builder
	require.NoError(t, c.WriteSummary(&table))
	require.Regexp(t, `SHUKE_SMS_PROVIDER +aliyun  \[stand-in\]`, table.String())
	require.Regexp(t, `SHUKE_OIDC_DEMO_ISSUER +http://127.0.0.1:8090/oidc  \[stand-in\]`, table.String())
	require.Regexp(t, `SHUKE_SMTP_URL +\(none\)  \[default\]`, table.String())
}
