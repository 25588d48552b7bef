package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

// Payments are the settings of payment providers and of those who follow
// parcels. Keys may be given as a file: the absolute path in place of the key.
type Payments struct {
	// WeChatPayMchID is the merchant; empty means that nobody pays by WeChat Pay.
	WeChatPayMchID string `env:"SHUKE_WECHAT_PAY_MCH_ID"`
	// WeChatPayAppID is the app that pays; the mini-program's when empty.
	WeChatPayAppID string `env:"SHUKE_WECHAT_PAY_APP_ID"`
	// WeChatPaySerial and WeChatPayKey are of the merchant's certificate.
	WeChatPaySerial string `env:"SHUKE_WECHAT_PAY_CERT_SERIAL"`
	WeChatPayKey    Secret `env:"SHUKE_WECHAT_PAY_PRIVATE_KEY"`
	// WeChatPayV3Key has exactly 32 bytes.
	WeChatPayV3Key Secret `env:"SHUKE_WECHAT_PAY_V3_KEY"`
	// WeChatPayPublicKeyID and WeChatPayPublicKey are WeChat's, for merchants that
	// have one; the others verify by platform certificates, which are fetched.
	WeChatPayPublicKeyID string `env:"SHUKE_WECHAT_PAY_PUBLIC_KEY_ID"`
	WeChatPayPublicKey   string `env:"SHUKE_WECHAT_PAY_PUBLIC_KEY"`
	// WeChatPayURL replaces WeChat Pay's address.
	WeChatPayURL string `env:"SHUKE_WECHAT_PAY_URL"`

	// AlipayAppID is the app; empty means that nobody pays by Alipay.
	AlipayAppID string `env:"SHUKE_ALIPAY_APP_ID"`
	// AlipaySellerID is the partner id (2088…) that money goes to.
	AlipaySellerID string `env:"SHUKE_ALIPAY_SELLER_ID"`
	// AlipayKey is the app's private key.
	AlipayKey Secret `env:"SHUKE_ALIPAY_PRIVATE_KEY"`
	// AlipayPublicKey is Alipay's, or its certificate in certificate mode.
	AlipayPublicKey string `env:"SHUKE_ALIPAY_PUBLIC_KEY"`
	// AlipayAppCert and AlipayRootCert turn the certificate mode on.
	AlipayAppCert  string `env:"SHUKE_ALIPAY_APP_CERT"`
	AlipayRootCert string `env:"SHUKE_ALIPAY_ROOT_CERT"`
	// AlipayURL replaces the gateway's address.
	AlipayURL string `env:"SHUKE_ALIPAY_URL"`

	// Kuaidi100Customer and Kuaidi100Key are the account at Kuaidi100; empty means
	// that parcels are followed by SF only, or not at all.
	Kuaidi100Customer string `env:"SHUKE_KUAIDI100_CUSTOMER"`
	Kuaidi100Key      Secret `env:"SHUKE_KUAIDI100_KEY"`
	// Kuaidi100URL replaces Kuaidi100's address.
	Kuaidi100URL string `env:"SHUKE_KUAIDI100_URL"`
	// SFPartnerID and SFCheckword are the account at SF Express.
	SFPartnerID string `env:"SHUKE_SF_PARTNER_ID"`
	SFCheckword Secret `env:"SHUKE_SF_CHECKWORD"`
	// SFURL replaces SF's address, by its sandbox for example.
	SFURL string `env:"SHUKE_SF_URL"`
}

const v3KeyLength = 32

func (p Payments) realServices() []string {
	var real []string
	for _, one := range []struct{ id, name string }{{p.WeChatPayMchID, "WeChat Pay"}, {p.AlipayAppID, "Alipay"}, {p.Kuaidi100Customer, "Kuaidi100"}, {p.SFPartnerID, "SF Express"}} {
		if one.id != "" {
			real = append(real, one.name)
		}
	}
	return real
}

// keyFields are the settings that may name a file.
var keyFields = []string{"WeChatPayKey", "WeChatPayPublicKey", "AlipayKey", "AlipayPublicKey", "AlipayAppCert", "AlipayRootCert"}

// readKeys puts the content of files in the place of their names.
// Error: a file that cannot be read; the setting is named.
func (p *Payments) readKeys() error {
	v := reflect.ValueOf(p).Elem()
	for _, name := range keyFields {
		path := v.FieldByName(name).String()
		if !strings.HasPrefix(path, "/") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			field, _ := v.Type().FieldByName(name)
			return fmt.Errorf("%s: %w; correct the path, or write the key itself", field.Tag.Get("env"), err)
		}
		v.FieldByName(name).SetString(string(content))
	}
	return nil
}

// paymentProblems checks each provider as a whole. The content of keys is
// looked at by whoever builds the provider.
func (c *Config) paymentProblems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	whole := func(names ...string) {
		var set, unset []string
		for _, name := range names {
			if c.setting(name) == "" {
				unset = append(unset, name)
			} else {
				set = append(set, name)
			}
		}
		if len(set) > 0 && len(unset) > 0 {
			add("%s is set and %s is not; set all of them, or none", strings.Join(set, ", "), strings.Join(unset, ", "))
		}
	}
	whole("SHUKE_WECHAT_PAY_MCH_ID", "SHUKE_WECHAT_PAY_CERT_SERIAL", "SHUKE_WECHAT_PAY_PRIVATE_KEY", "SHUKE_WECHAT_PAY_V3_KEY")
	whole("SHUKE_WECHAT_PAY_PUBLIC_KEY_ID", "SHUKE_WECHAT_PAY_PUBLIC_KEY")
	whole("SHUKE_ALIPAY_APP_ID", "SHUKE_ALIPAY_SELLER_ID", "SHUKE_ALIPAY_PRIVATE_KEY", "SHUKE_ALIPAY_PUBLIC_KEY")
	whole("SHUKE_ALIPAY_APP_CERT", "SHUKE_ALIPAY_ROOT_CERT")
	whole("SHUKE_KUAIDI100_CUSTOMER", "SHUKE_KUAIDI100_KEY")
	whole("SHUKE_SF_PARTNER_ID", "SHUKE_SF_CHECKWORD")
	if c.WeChatPayMchID != "" && c.WeChatPayAppID == "" {
		add("SHUKE_WECHAT_PAY_MCH_ID needs SHUKE_WECHAT_PAY_APP_ID or SHUKE_WECHAT_MINI_APP_ID")
	}
	if n := len(c.WeChatPayV3Key); n != 0 && n != v3KeyLength {
		add("SHUKE_WECHAT_PAY_V3_KEY has %d bytes; an APIv3 key has exactly %d", n, v3KeyLength)
	}
	for name, address := range map[string]string{
		"SHUKE_WECHAT_PAY_URL": c.WeChatPayURL, "SHUKE_ALIPAY_URL": c.AlipayURL, "SHUKE_KUAIDI100_URL": c.Kuaidi100URL, "SHUKE_SF_URL": c.SFURL,
	} {
		if why := c.addressProblem(address); why != "" {
			add("%s %s", name, why)
		}
	}
	return found
}

// setting is the value of a payment setting by its variable.
func (c *Config) setting(name string) string {
	v := reflect.ValueOf(c.Payments)
	for n := range v.NumField() {
		if v.Type().Field(n).Tag.Get("env") == name {
			return v.Field(n).String()
		}
	}
	return ""
}
