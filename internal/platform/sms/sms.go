// Package sms sends text messages through Aliyun or Tencent Cloud.
//
// In China a message is an approved template and its values, never free text:
// Message names one of our templates, and the settings say which of the
// provider's it is. Providers are decided by code, never by text.
package sms

import (
	"context"
	"fmt"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Templates that this service sends.
const (
	SignInCode       = "sign_in_code"       // {code}, {minutes}: a member signs in or binds a phone
	SecondFactorCode = "second_factor_code" // {code}, {minutes}: staff
)

// Templates lists the names that SHUKE_SMS_TEMPLATES may give codes to.
var Templates = []string{SignInCode, SecondFactorCode}

// Param is one value of a template. Aliyun takes it by name, Tencent by its
// place: give values in the order of the template's text.
type Param struct{ Name, Value string }

// Message is one text message.
type Message struct {
	To       string  // E.164, such as +8613800138000; a mobile
	Template string  // our name
	Params   []Param // in the order of the template's text
	Ref      string  // ours, handed back in delivery reports; at most 64 characters of ASCII
}

// Receipt is the provider's word that it took the message.
type Receipt struct {
	Provider string // "aliyun" or "tencent"
	ID       string // the provider's number of this message
}

// Sender sends messages. It never tries twice: whoever asked decides whether a
// second message may go out.
// Errors: ErrNumber, ErrLimit, ErrBalance, ErrConfig, ErrDown, ErrUnknown,
// ErrProvider; a Limited one also ErrDailyLimit.
type Sender interface {
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Errors of sending. Only ErrUnknown leaves open whether the message goes out.
var (
	ErrNumber     = apperr.Define(apperr.Invalid, "sms.number_refused", "No text message can be sent to this number.", "无法向该号码发送短信。")
	ErrLimit      = apperr.Define(apperr.RateLimited, "sms.number_limit_reached", "Too many messages were sent to this number; try again later.", "该号码接收短信过于频繁，请稍后再试。")
	ErrBalance    = apperr.Define(apperr.Unavailable, "sms.balance_exhausted", "Text messages cannot be sent at present: the provider's account is empty.", "短信服务余额不足，暂时无法发送短信。")
	ErrConfig     = apperr.Define(apperr.Unavailable, "sms.misconfigured", "Text messages cannot be sent: the provider refuses the service's credentials, signature or template.", "短信服务配置有误（凭证、签名或模板被拒绝），无法发送短信。")
	ErrDown       = apperr.Define(apperr.Unavailable, "sms.provider_unavailable", "The text message was not sent: the provider cannot be reached. Try again.", "短信服务暂时不可用，短信未发送，请重试。")
	ErrUnknown    = apperr.Define(apperr.Unavailable, "sms.result_unknown", "Whether the text message was sent is unknown; it may still arrive.", "短信发送结果未知，短信可能仍会送达。")
	ErrProvider   = apperr.Define(apperr.Unavailable, "sms.provider_error", "The text message was not sent: the provider gave an unexpected answer.", "短信服务返回了未知错误，短信未发送。")
	ErrDailyLimit = apperr.Define(apperr.Unavailable, "sms.daily_limit_reached", "Today's ceiling on text messages is reached.", "今日短信发送量已达上限。")
)

// RawCode is the cause of an error: the provider's own code.
type RawCode struct{ Provider, Code, RequestID string }

// Error is for logs; the code comes from a list of the provider's.
func (r RawCode) Error() string {
	return fmt.Sprintf("%s answered %q (request %s)", r.Provider, r.Code, r.RequestID)
}

// outcomeOf is the class of a result for metrics.
func outcomeOf(err error) outgoing.Outcome {
	switch {
	case err == nil:
		return outgoing.OutcomeOK
	case ErrNumber.Is(err):
		return outgoing.OutcomeRefused
	case ErrLimit.Is(err), ErrDailyLimit.Is(err):
		return outgoing.OutcomeLimited
	case ErrBalance.Is(err), ErrConfig.Is(err):
		return outgoing.OutcomeMisconfigured
	case ErrDown.Is(err):
		return outgoing.OutcomeUnavailable
	case ErrUnknown.Is(err):
		return outgoing.OutcomeUnknown
	}
	return outgoing.OutcomeProviderError
}

// Config of a provider.
type Config struct {
	Provider  string // "aliyun" or "tencent"
	KeyID     string
	KeySecret string
	AppID     string // Tencent's SmsSdkAppId
	Region    string // Tencent's; ap-guangzhou when empty
	SignName  string
	Templates map[string]string // our name → the provider's code
	BaseURL   string            // empty means the provider's own
}

// New makes the sender of a provider.
// Error: a provider that is neither.
func New(c Config, clock Clock, m *outgoing.Metrics) (Sender, error) {
	switch c.Provider {
	case "aliyun":
		return NewAliyun(c, clock, m)
	case "tencent":
		return NewTencent(c, clock, m)
	}
	return nil, fmt.Errorf("no SMS provider is called %q", c.Provider)
}
