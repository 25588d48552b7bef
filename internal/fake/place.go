package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/config"
)

// landing is the page that a sign-in sends the browser back to; it shows what
// came with it, for whoever tries the flow by hand.
const landing = "/landing"

// Place is where stand-ins are.
type Place struct {
	URL      string `json:"url"`       // http://127.0.0.1:8090
	MailAddr string `json:"mail_addr"` // host:port
}

func (p Place) issuer() string { return p.URL + "/oidc" }

// Find asks an address whether stand-ins are there already, started by another
// process of this machine.
// Error: something else is there, or nothing.
func Find(ctx context.Context, addr string) (Place, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/_control/place", nil)
	if err != nil {
		return Place{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Place{}, err
	}
	defer res.Body.Close()
	var p Place
	if err := json.NewDecoder(io.LimitReader(res.Body, bodyLimit)).Decode(&p); err != nil || p.URL == "" || p.MailAddr == "" {
		return Place{}, fmt.Errorf("%s is in use, and not by stand-ins", addr)
	}
	return p, nil
}

// Settings completes settings so that every service which is not configured is
// a stand-in.
func (p Place) Settings(c config.Outside) config.Outside {
	if c.SMSProvider == "" {
		c.SMSProvider, c.SMSKeyID, c.SMSKeySecret = "aliyun", AliyunKeyID, AliyunKeySecret
		c.SMSSignName, c.SMSURL, c.SMSTemplates = SignName, p.URL, templateSettings(func(t smsTemplate) string { return t.aliyun })
	}
	if c.SMTPURL == "" {
		c.SMTPURL, c.MailFrom = "smtp://"+p.MailAddr+"?tls=off", "Shuke <no-reply@shuke.example>"
	}
	if c.MiniAppID == "" && c.OfficialAppID == "" && c.WeChatURL == "" {
		c.MiniAppID, c.MiniSecret = MiniAppID, MiniSecret
		c.OfficialAppID, c.OfficialSecret = OfficialAppID, OfficialSecret
		c.WeChatURL = p.URL
	}
	if len(c.OIDC) == 0 {
		c.OIDCProviders = []string{OIDCName}
		c.OIDC = []config.OIDCProvider{{
			Name: OIDCName, Issuer: p.issuer(), ClientID: OIDCClientID, ClientSecret: OIDCClientSecret, RedirectURL: p.URL + landing,
		}}
	}
	if c.WeChatPayMchID == "" {
		c.WeChatPayMchID, c.WeChatPaySerial, c.WeChatPayV3Key, c.WeChatPayURL = WeChatPayMchID, WeChatPaySerial, WeChatPayV3Key, p.URL
		c.WeChatPayAppID = MiniAppID
		c.WeChatPayKey = config.Secret(privateText("wechat_merchant"))
		c.WeChatPayPublicKeyID, c.WeChatPayPublicKey = WeChatPayPublicKeyID, publicText("wechat_platform")
	}
	if c.AlipayAppID == "" {
		c.AlipayAppID, c.AlipaySellerID, c.AlipayURL = AlipayAppID, AlipaySellerID, p.URL+"/gateway.do"
		c.AlipayKey, c.AlipayPublicKey = config.Secret(privateText("alipay_app")), publicText("alipay_platform")
	}
	if c.Kuaidi100Customer == "" {
		c.Kuaidi100Customer, c.Kuaidi100Key, c.Kuaidi100URL = Kuaidi100Customer, Kuaidi100Key, p.URL
	}
	if c.SFPartnerID == "" {
		c.SFPartnerID, c.SFCheckword, c.SFURL = SFPartnerID, SFCheckword, p.URL+"/std/service"
	}
	return c
}

// TencentSettings replaces the SMS provider of settings by the other stand-in.
func (p Place) TencentSettings(c config.Outside) config.Outside {
	c.SMSProvider, c.SMSKeyID, c.SMSKeySecret, c.SMSAppID = "tencent", TencentKeyID, TencentKeySecret, TencentAppID
	c.SMSSignName, c.SMSURL, c.SMSTemplates = SignName, p.URL, templateSettings(func(t smsTemplate) string { return t.tencent })
	return c
}

func templateSettings(code func(smsTemplate) string) []string {
	var list []string
	for _, t := range smsTemplates {
		list = append(list, t.ours+"="+code(t))
	}
	return list
}
