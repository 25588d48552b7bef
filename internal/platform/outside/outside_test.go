package outside_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/mail"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/pay"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/sms"
)

func TestNothingIsConfigured(t *testing.T) {
	s, err := outside.Build(config.Outside{}, outside.Deps{})
	require.NoError(t, err)
	_, err = s.NeedSMS()
	require.True(t, outside.ErrNoSMS.Is(err))
	_, err = s.NeedMail()
	require.True(t, outside.ErrNoMail.Is(err))
	_, err = s.NeedMini()
	require.True(t, outside.ErrNoMini.Is(err))
	_, err = s.NeedOfficial()
	require.True(t, outside.ErrNoOfficial.Is(err))
	_, err = s.NeedOIDC("demo")
	require.True(t, outside.ErrNoOIDC.Is(err))
	_, err = s.NeedPay(pay.WeChat)
	require.True(t, outside.ErrNoPayments.Is(err))
	_, err = s.NeedTracker("yuantong")
	require.True(t, outside.ErrNoTracking.Is(err))
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	_, err := outside.Build(config.Outside{SMTPURL: "smtp://u:hunter2@mail.example?tls=off", MailFrom: "a@b.example"}, outside.Deps{})
	require.ErrorContains(t, err, "SHUKE_SMTP_URL")
	require.NotContains(t, err.Error(), "hunter2")
	_, err = outside.Build(config.Outside{SMSProvider: "aliyun", SMSURL: "https://sms.example/path"}, outside.Deps{})
	require.ErrorContains(t, err, "SHUKE_SMS_URL")
	for setting, spoil := range map[string]func(*config.Outside){
		"SHUKE_WECHAT_PAY_PRIVATE_KEY": func(c *config.Outside) { c.WeChatPayKey = "hunter2" }, "SHUKE_WECHAT_PAY_PUBLIC_KEY": func(c *config.Outside) { c.WeChatPayPublicKey = "hunter2" },
		"SHUKE_WECHAT_PAY_…": func(c *config.Outside) { c.WeChatPayV3Key = "hunter2" }, "SHUKE_ALIPAY_PRIVATE_KEY": func(c *config.Outside) { c.AlipayKey = "hunter2" },
		"SHUKE_ALIPAY_PUBLIC_KEY": func(c *config.Outside) { c.AlipayPublicKey = "hunter2" }, "SHUKE_ALIPAY_APP_CERT": func(c *config.Outside) { c.AlipayAppCert = "hunter2" },
	} {
		c := fake.Place{URL: "http://127.0.0.1:1"}.Settings(config.Outside{})
		c.SMTPURL = ""
		spoil(&c)
		_, err = outside.Build(c, outside.Deps{Clock: clock.New(time.UTC)})
		require.ErrorContains(t, err, setting)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// Everything is built from settings alone, works, and is counted without a
// name, number, code or address in any label.
func TestEverythingThroughStandIns(t *testing.T) {
	f, err := fake.Start(fake.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	m := outgoing.NewMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collectors()...)
	s, err := outside.Build(f.Settings(config.Outside{SMSDailyLimit: 1}), outside.Deps{
		DB: pgtest.NewDatabase(t).Open(t), Keys: crypto.Generate(), Clock: clock.New(time.UTC), Log: slog.New(slog.DiscardHandler), Metrics: m,
	})
	require.NoError(t, err)

	text, err := s.NeedSMS()
	require.NoError(t, err)
	send := sms.Message{To: "+8613800138000", Template: sms.SignInCode, Params: []sms.Param{{Name: "code", Value: "123456"}, {Name: "minutes", Value: "5"}}}
	_, err = text.Send(t.Context(), send)
	require.NoError(t, err)
	_, err = text.Send(t.Context(), send)
	require.True(t, sms.ErrDailyLimit.Is(err))
	require.Equal(t, "123456", f.SMSCode("+8613800138000"))

	letters, err := s.NeedMail()
	require.NoError(t, err)
	require.NoError(t, letters.Send(t.Context(), mail.Message{To: "li@example.com", Subject: "x", Text: "x"}))

	mini, err := s.NeedMini()
	require.NoError(t, err)
	require.Equal(t, fake.MiniAppID, mini.AppID())
	_, err = mini.CodeToSession(t.Context(), f.LoginCode(fake.Person{OpenID: "o-1"}))
	require.NoError(t, err)
	phone, err := mini.PhoneNumber(t.Context(), f.PhoneCode(fake.Phone{Phone: "+8613800138000"}))
	require.NoError(t, err)
	require.Equal(t, "+8613800138000", phone)

	official, err := s.NeedOfficial()
	require.NoError(t, err)
	_, err = official.OAuth(t.Context(), f.OAuthCode(fake.Person{OpenID: "o-2"}))
	require.NoError(t, err)

	provider, err := s.NeedOIDC(fake.OIDCName)
	require.NoError(t, err)
	address, err := provider.AuthURL(t.Context(), "s", "n", "c")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(address, f.URL+"/oidc/authorize?"))

	for _, name := range []string{pay.WeChat, pay.Alipay} {
		p, err := s.NeedPay(name)
		require.NoError(t, err)
		require.Equal(t, name, p.Name())
		_, err = p.Prepay(t.Context(), pay.Prepayment{Kind: map[string]pay.Kind{pay.WeChat: pay.Native, pay.Alipay: pay.Precreate}[name], Number: "P-" + name, Amount: 1, Currency: "CNY", Title: "x", NotifyURL: "http://127.0.0.1:1"})
		require.NoError(t, err)
	}
	for carrier, name := range map[string]string{"shunfeng": logistics.SFName, "yuantong": logistics.Kuaidi100Name} {
		tracker, err := s.NeedTracker(carrier)
		require.NoError(t, err)
		require.Equal(t, name, tracker.Name())
		_, err = tracker.Query(t.Context(), logistics.Parcel{Carrier: carrier, Number: "N1"})
		require.True(t, logistics.ErrNotFound.Is(err))
	}

	families, err := registry.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, family := range families {
		for _, sample := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range sample.GetLabel() {
				labels[l.GetName()] = l.GetValue()
				require.NotContains(t, l.GetValue(), "138")
				require.NotContains(t, l.GetValue(), "@")
			}
			if family.GetName() == "shuke_outside_calls_total" {
				counted[labels["provider"]+" "+labels["operation"]+" "+labels["outcome"]] = sample.GetCounter().GetValue()
			}
		}
	}
	require.Equal(t, map[string]float64{
		"aliyun_sms send ok": 1, "sms daily_limit limited": 1, "smtp send ok": 1, "oidc_demo discovery ok": 1,
		"wechat app_token ok": 1, "wechat code_to_session ok": 1, "wechat phone_number ok": 1, "wechat oauth ok": 1,
		"wechat_pay prepay ok": 1, "alipay prepay ok": 1, "sf query refused": 1, "kuaidi100 query refused": 1,
	}, counted)
}
