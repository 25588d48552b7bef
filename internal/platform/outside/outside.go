// Package outside builds the services that are not ours from the settings:
// text messages, e-mail, WeChat, OpenID Connect, payment and tracking providers.
package outside

import (
	"fmt"
	"log/slog"

	"github.com/shuke-crm/shuke/internal/platform/alipay"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/mail"
	"github.com/shuke-crm/shuke/internal/platform/oidc"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/pay"
	"github.com/shuke-crm/shuke/internal/platform/sms"
	"github.com/shuke-crm/shuke/internal/platform/wechat"
	"github.com/shuke-crm/shuke/internal/platform/wechatpay"
)

// Services are the outside services; a nil one is not configured. The zero
// value has none. Use the Need methods, whose errors say what is missing.
type Services struct {
	SMS      sms.Sender
	Mail     mail.Sender
	Mini     *wechat.Client
	Official *wechat.Client
	OIDC     map[string]*oidc.Provider
	// Pay are the payment providers by name (pay.WeChat, pay.Alipay).
	Pay       map[string]pay.Provider
	Kuaidi100 *logistics.Kuaidi100
	SF        *logistics.SF
}

// Errors of services that are not configured.
var (
	ErrNoSMS      = apperr.Define(apperr.Unavailable, "sms.not_configured", "This installation sends no text messages: SHUKE_SMS_PROVIDER is not set.", "本系统未配置短信服务（SHUKE_SMS_PROVIDER）。")
	ErrNoMail     = apperr.Define(apperr.Unavailable, "mail.not_configured", "This installation sends no e-mail: SHUKE_SMTP_URL is not set.", "本系统未配置邮件服务（SHUKE_SMTP_URL）。")
	ErrNoMini     = apperr.Define(apperr.Unavailable, "wechat.mini_not_configured", "This installation has no WeChat mini-program: SHUKE_WECHAT_MINI_APP_ID is not set.", "本系统未配置微信小程序（SHUKE_WECHAT_MINI_APP_ID）。")
	ErrNoOfficial = apperr.Define(apperr.Unavailable, "wechat.official_not_configured", "This installation has no WeChat official account: SHUKE_WECHAT_OFFICIAL_APP_ID is not set.", "本系统未配置微信公众号（SHUKE_WECHAT_OFFICIAL_APP_ID）。")
	ErrNoOIDC     = apperr.Define(apperr.NotFound, "oidc.provider_not_found", "This installation has no sign-in provider of that name (SHUKE_OIDC_PROVIDERS).", "本系统没有该名称的登录服务提供方（SHUKE_OIDC_PROVIDERS）。")
)

// Errors of payment and tracking providers that are not configured.
var (
	ErrNoPayments = apperr.Define(apperr.Unavailable, "payments.not_configured", "This installation has no such payment provider: SHUKE_WECHAT_PAY_MCH_ID or SHUKE_ALIPAY_APP_ID is not set.", "本系统未配置该支付方式（SHUKE_WECHAT_PAY_MCH_ID 或 SHUKE_ALIPAY_APP_ID）。")
	ErrNoTracking = apperr.Define(apperr.Unavailable, "tracking.not_configured", "This installation follows no parcels of this carrier: SHUKE_KUAIDI100_CUSTOMER or SHUKE_SF_PARTNER_ID is not set.", "本系统未配置该快递公司的物流查询（SHUKE_KUAIDI100_CUSTOMER 或 SHUKE_SF_PARTNER_ID）。")
)

// NeedPay returns a payment provider by its name.
// Error: ErrNoPayments.
func (s Services) NeedPay(name string) (pay.Provider, error) {
	p, ok := s.Pay[name]
	if !ok {
		return nil, ErrNoPayments.New()
	}
	return p, nil
}

// NeedTracker returns who follows parcels of a carrier, as Kuaidi100 writes it:
// SF itself for its own where configured, else Kuaidi100.
// Error: ErrNoTracking.
func (s Services) NeedTracker(carrier string) (logistics.Tracker, error) {
	switch {
	case carrier == logistics.SFCarrier && s.SF != nil:
		return s.SF, nil
	case s.Kuaidi100 != nil:
		return s.Kuaidi100, nil
	}
	return nil, ErrNoTracking.New()
}

// NeedSMS returns the sender of text messages.
// Error: ErrNoSMS.
func (s Services) NeedSMS() (sms.Sender, error) {
	if s.SMS == nil {
		return nil, ErrNoSMS.New()
	}
	return s.SMS, nil
}

// NeedMail returns the sender of e-mail.
// Error: ErrNoMail.
func (s Services) NeedMail() (mail.Sender, error) {
	if s.Mail == nil {
		return nil, ErrNoMail.New()
	}
	return s.Mail, nil
}

// NeedMini returns the mini-program.
// Error: ErrNoMini.
func (s Services) NeedMini() (*wechat.Client, error) {
	if s.Mini == nil {
		return nil, ErrNoMini.New()
	}
	return s.Mini, nil
}

// NeedOfficial returns the official account.
// Error: ErrNoOfficial.
func (s Services) NeedOfficial() (*wechat.Client, error) {
	if s.Official == nil {
		return nil, ErrNoOfficial.New()
	}
	return s.Official, nil
}

// NeedOIDC returns a provider by its name.
// Error: ErrNoOIDC.
func (s Services) NeedOIDC(name string) (*oidc.Provider, error) {
	p, ok := s.OIDC[name]
	if !ok {
		return nil, ErrNoOIDC.New()
	}
	return p, nil
}

// Deps is what the services are built on.
type Deps struct {
	DB      *db.DB
	Keys    *crypto.Keyring
	Clock   *clock.Clock
	Log     *slog.Logger
	Metrics *outgoing.Metrics // nil counts nothing
}

// Build makes the services that the settings name. It asks none of them
// anything: the service starts while they are away.
// Error: a setting that cannot be used, named; its value is not repeated.
func Build(c config.Outside, d Deps) (Services, error) {
	s := Services{OIDC: map[string]*oidc.Provider{}, Pay: map[string]pay.Provider{}}
	if c.SMSProvider != "" {
		sender, err := sms.New(sms.Config{
			Provider: c.SMSProvider, KeyID: c.SMSKeyID, KeySecret: c.SMSKeySecret.Reveal(), AppID: c.SMSAppID,
			Region: c.SMSRegion, SignName: c.SMSSignName, Templates: c.Templates(), BaseURL: c.SMSURL,
		}, d.Clock, d.Metrics)
		if err != nil {
			return Services{}, fmt.Errorf("SHUKE_SMS_URL: %w", err)
		}
		s.SMS = sms.NewLimited(sender, d.DB, d.Clock, c.SMSDailyLimit, d.Log, d.Metrics)
	}
	if c.SMTPURL != "" {
		sender, err := mail.New(mail.Config{URL: c.SMTPURL, From: c.MailFrom}, d.Clock, d.Metrics)
		if err != nil {
			return Services{}, fmt.Errorf("SHUKE_SMTP_URL and SHUKE_MAIL_FROM: %w", err)
		}
		s.Mail = sender
	}
	app := func(id string, secret config.Secret) *wechat.Client {
		if id == "" {
			return nil
		}
		return wechat.New(wechat.Config{AppID: id, Secret: secret.Reveal(), BaseURL: c.WeChatURL}, d.DB, d.Keys, d.Clock, d.Log, d.Metrics)
	}
	s.Mini, s.Official = app(c.MiniAppID, c.MiniSecret), app(c.OfficialAppID, c.OfficialSecret)
	for _, p := range c.OIDC {
		s.OIDC[p.Name] = oidc.New(oidc.Config{
			Name: p.Name, Issuer: p.Issuer, ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(),
			RedirectURL: p.RedirectURL, Scopes: p.Scopes,
		}, d.Clock, d.Metrics)
	}
	if c.Kuaidi100Customer != "" {
		s.Kuaidi100 = logistics.NewKuaidi100(logistics.Kuaidi100Config{Customer: c.Kuaidi100Customer, Key: c.Kuaidi100Key.Reveal(), BaseURL: c.Kuaidi100URL}, d.Metrics)
	}
	if c.SFPartnerID != "" {
		s.SF = logistics.NewSF(logistics.SFConfig{PartnerID: c.SFPartnerID, Checkword: c.SFCheckword.Reveal(), BaseURL: c.SFURL}, d.Clock, d.Metrics)
	}
	return s, s.buildPay(c.Payments, d)
}

// buildPay makes the payment providers.
// Error: a key that cannot be used, by the name of its setting.
func (s Services) buildPay(c config.Payments, d Deps) error {
	if c.WeChatPayMchID != "" {
		conf := wechatpay.Config{MchID: c.WeChatPayMchID, AppID: c.WeChatPayAppID, Serial: c.WeChatPaySerial, V3Key: c.WeChatPayV3Key.Reveal(), PublicKeyID: c.WeChatPayPublicKeyID, BaseURL: c.WeChatPayURL}
		var err error
		if conf.Key, err = pay.PrivateKey(c.WeChatPayKey.Reveal()); err != nil {
			return fmt.Errorf("SHUKE_WECHAT_PAY_PRIVATE_KEY %w", err)
		}
		if c.WeChatPayPublicKey != "" {
			if conf.PublicKey, err = pay.PublicKey(c.WeChatPayPublicKey); err != nil {
				return fmt.Errorf("SHUKE_WECHAT_PAY_PUBLIC_KEY %w", err)
			}
		}
		if s.Pay[pay.WeChat], err = wechatpay.New(conf, d.Clock, d.Metrics); err != nil {
			return fmt.Errorf("SHUKE_WECHAT_PAY_…: %w", err)
		}
	}
	if c.AlipayAppID == "" {
		return nil
	}
	conf := alipay.Config{AppID: c.AlipayAppID, SellerID: c.AlipaySellerID, BaseURL: c.AlipayURL}
	var err error
	if conf.Key, err = pay.PrivateKey(c.AlipayKey.Reveal()); err != nil {
		return fmt.Errorf("SHUKE_ALIPAY_PRIVATE_KEY %w", err)
	}
	if conf.PublicKey, err = pay.PublicKey(c.AlipayPublicKey); err != nil {
		return fmt.Errorf("SHUKE_ALIPAY_PUBLIC_KEY %w", err)
	}
	if c.AlipayAppCert != "" {
		if conf.AppCertSN, err = alipay.CertSN(c.AlipayAppCert); err != nil {
			return fmt.Errorf("SHUKE_ALIPAY_APP_CERT %w", err)
		}
		if conf.RootCertSN, err = alipay.RootSN(c.AlipayRootCert); err != nil {
			return fmt.Errorf("SHUKE_ALIPAY_ROOT_CERT %w", err)
		}
		if conf.AlipayCertSN, err = alipay.CertSN(c.AlipayPublicKey); err != nil {
			return fmt.Errorf("SHUKE_ALIPAY_PUBLIC_KEY, which must be a certificate beside SHUKE_ALIPAY_APP_CERT, %w", err)
		}
	}
	if s.Pay[pay.Alipay], err = alipay.New(conf, d.Clock, d.Metrics); err != nil {
		return fmt.Errorf("SHUKE_ALIPAY_…: %w", err)
	}
	return nil
}
