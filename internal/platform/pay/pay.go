// Package pay is what the payment providers have in common: the types of a
// payment, a refund and a notice, and what a failed call means for the money.
//
// A call has one of three ends. Without an error the provider said what is so.
// With an error for which Certain holds, nothing happened and nothing will.
// With any other error the effect is unknown: the caller keeps its number,
// asks by query, and repeats the call with the same number only.
//
// Amounts are whole minor units (fen). Providers that write yuan are converted
// digit by digit, never by floating point.
package pay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Names of the providers, as they stand in paths, settings and rows.
const (
	WeChat = "wechat_pay"
	Alipay = "alipay"
)

// Kind is how the customer pays.
type Kind string

// Kinds of prepayment.
const (
	JSAPI     Kind = "jsapi"     // WeChat: inside WeChat or the mini-program, for an open id
	Native    Kind = "native"    // WeChat: a QR code to scan
	Precreate Kind = "precreate" // Alipay: a QR code to scan
	Page      Kind = "page"      // Alipay: a page for browsers
	App       Kind = "app"       // Alipay: its own app, called by ours
)

// Prepayment asks for a payment of one number.
type Prepayment struct {
	Kind      Kind
	Number    string // ours (out_trade_no): 6 to 32 letters, digits, - and _
	Amount    int64  // fen, above 0
	Currency  string // ISO 4217
	Title     string // what the customer reads; clipped to what the provider takes
	NotifyURL string // where notices go; WeChat wants https and no query
	ReturnURL string // Page: where the browser goes afterwards
	ExpiresAt time.Time
	OpenID    string // JSAPI
	ClientIP  string // where known
}

// Prepaid is what the customer's device needs to pay. One of its parts is set.
type Prepaid struct {
	CodeURL     string            // a QR code's content
	Params      map[string]string // of wx.requestPayment
	PageURL     string            // where to send the browser
	OrderString string            // for the provider's app
}

// State of a payment at the provider.
type State string

// States of a payment. REFUND of WeChat is Succeeded here: the money came, and
// went back by refunds of their own.
const (
	Pending   State = "pending"
	Succeeded State = "succeeded"
	Closed    State = "closed" // can no longer be paid, or was refunded in full (Alipay)
	Failed    State = "failed"
)

// Payment is what the provider says of a number.
type Payment struct {
	Number     string // ours
	ProviderID string // the provider's number, once there is a payment
	State      State
	Amount     int64 // fen of the order
	Currency   string
	PayerID    string // open id or buyer id: personal
	PaidAt     time.Time
	// Refunded says that money went back already; how much the refunds tell.
	Refunded bool
}

// Refunding asks for a refund of one number.
type Refunding struct {
	Number        string // ours (out_refund_no, out_request_no)
	PaymentNumber string // ours, of the payment
	Amount        int64  // fen, above 0
	Total         int64  // fen of the payment
	Currency      string
	Reason        string
	NotifyURL     string
}

// RefundState is the state of a refund at the provider.
type RefundState string

// States of a refund.
const (
	RefundPending   RefundState = "pending"
	RefundSucceeded RefundState = "succeeded"
	RefundClosed    RefundState = "closed"   // did not happen and will not
	RefundAbnormal  RefundState = "abnormal" // the customer's account took no money: somebody must act at the provider
)

// Refund is what the provider says of a refund's number.
type Refund struct {
	Number        string
	PaymentNumber string
	ProviderID    string
	State         RefundState
	Amount        int64 // fen; 0 where the provider does not say
	Currency      string
	At            time.Time // when it succeeded
}

// Notice is a verified callback. Payment, Refund or both are set, or neither
// where the provider tells of something else.
type Notice struct {
	Provider string
	ID       string // the provider's number of this notice: a repetition has the same
	Event    string // the provider's word, for the record
	Payment  *Payment
	Refund   *Refund
}

// Reply is how a callback is answered.
type Reply struct {
	Status      int
	ContentType string
	Body        []byte
}

// Provider is one payment provider. All calls may be repeated with the same
// numbers; none repeats by itself.
// Errors: ErrDown, ErrLimit, ErrConfig, ErrRefused, ErrNotFound, ErrPaid,
// ErrClosed, ErrBalance (Certain), ErrUnknown, ErrProvider (not certain).
type Provider interface {
	Name() string
	// Kinds lists what Prepay can do.
	Kinds() []Kind
	Prepay(ctx context.Context, p Prepayment) (Prepaid, error)
	Query(ctx context.Context, number string) (Payment, error)
	// Close ends a number that nobody has paid. ErrPaid: somebody has.
	Close(ctx context.Context, number string) error
	// Refund may say RefundPending: ask by QueryRefund.
	Refund(ctx context.Context, r Refunding) (Refund, error)
	QueryRefund(ctx context.Context, number, paymentNumber string) (Refund, error)
	// ParseCallback verifies a callback over its raw bytes, then reads it.
	// Errors: ErrSignature, ErrMalformed; ErrDown and the like where the
	// provider's key could not be fetched, so that the notice comes again.
	ParseCallback(ctx context.Context, header http.Header, body []byte) (Notice, error)
	// Answer is the reply that ends the repetitions, or asks for another.
	Answer(taken bool) Reply
}

// Errors of all providers.
var (
	ErrUnknown   = apperr.Define(apperr.Unavailable, "payments.result_unknown", "The payment provider did not answer; what became of the request is being found out.", "支付服务未返回结果，系统正在查询确认。")
	ErrDown      = apperr.Define(apperr.Unavailable, "payments.provider_unavailable", "The payment provider cannot be reached; nothing happened. Try again.", "支付服务暂时不可用，操作未执行，请重试。")
	ErrLimit     = apperr.Define(apperr.Unavailable, "payments.provider_busy", "The payment provider takes no more of these requests at present; nothing happened. Try again later.", "支付服务请求过于频繁，操作未执行，请稍后再试。")
	ErrConfig    = apperr.Define(apperr.Unavailable, "payments.misconfigured", "The payment provider refuses the service's account, keys or permissions.", "支付配置有误（商户号、密钥或权限被拒绝）。")
	ErrRefused   = apperr.Define(apperr.Conflict, "payments.refused_by_provider", "The payment provider refuses this; nothing happened.", "支付服务拒绝了该操作，未产生任何影响。")
	ErrNotFound  = apperr.Define(apperr.NotFound, "payments.unknown_to_provider", "The payment provider does not know this number.", "支付服务中没有该单号。")
	ErrPaid      = apperr.Define(apperr.Conflict, "payments.paid_already", "This has been paid already.", "该笔支付已完成。")
	ErrClosed    = apperr.Define(apperr.Conflict, "payments.closed_at_provider", "The payment is closed at the provider.", "该笔支付在支付服务中已关闭。")
	ErrBalance   = apperr.Define(apperr.Unavailable, "payments.merchant_balance_low", "The merchant's balance at the payment provider does not cover the refund; nothing happened.", "商户账户余额不足，退款未执行。")
	ErrProvider  = apperr.Define(apperr.Unavailable, "payments.provider_error", "The payment provider gave an unexpected answer.", "支付服务返回了未知错误。")
	ErrSignature = apperr.Define(apperr.Unauthenticated, "payments.callback_signature_invalid", "The notice is not signed by the payment provider, or its time is off.", "回调签名无效或时间超出允许范围。")
	ErrMalformed = apperr.Define(apperr.Malformed, "payments.callback_malformed", "The notice cannot be read.", "回调内容无法解析。")
)

// Certain reports whether an error says for sure that nothing happened.
func Certain(err error) bool {
	for _, d := range []*apperr.Definition{ErrDown, ErrLimit, ErrConfig, ErrRefused, ErrNotFound, ErrPaid, ErrClosed, ErrBalance} {
		if d.Is(err) {
			return true
		}
	}
	return false
}

// Final reports whether an error says for sure that the same call will not
// succeed later either.
func Final(err error) bool { return ErrRefused.Is(err) || ErrClosed.Is(err) || ErrPaid.Is(err) }

// RawCode is the cause of an error: the provider's own code.
type RawCode struct{ Provider, Operation, Code, RequestID string }

// Error is for logs; Clip has taken out what is no code.
func (r RawCode) Error() string {
	return fmt.Sprintf("%s %s answered %q (request %s)", r.Provider, r.Operation, Clip(r.Code), Clip(r.RequestID))
}

// Clip bounds what a provider sends before it reaches a log or a row.
func Clip(s string) string {
	out := make([]byte, 0, min(len(s), 64))
	for n := 0; n < len(s) && len(out) < 64; n++ {
		if s[n] > ' ' && s[n] <= '~' {
			out = append(out, s[n])
		}
	}
	return string(out)
}

// Transport gives a failure to get an answer its meaning.
func Transport(err error) error {
	if errors.Is(err, outgoing.ErrNotSent) {
		return ErrDown.Wrap(err)
	}
	return ErrUnknown.Wrap(err)
}

// Outcome is the class of a result for metrics.
func Outcome(err error) outgoing.Outcome {
	switch {
	case err == nil:
		return outgoing.OutcomeOK
	case ErrRefused.Is(err), ErrNotFound.Is(err), ErrPaid.Is(err), ErrClosed.Is(err):
		return outgoing.OutcomeRefused
	case ErrLimit.Is(err):
		return outgoing.OutcomeLimited
	case ErrConfig.Is(err), ErrBalance.Is(err):
		return outgoing.OutcomeMisconfigured
	case ErrDown.Is(err):
		if errors.Is(err, outgoing.ErrNotSent) {
			return outgoing.OutcomeNotSent
		}
		return outgoing.OutcomeUnavailable
	case ErrUnknown.Is(err):
		return outgoing.OutcomeUnknown
	}
	return outgoing.OutcomeProviderError
}

// number is what both providers take: WeChat's rule is the narrower.
var number = regexp.MustCompile(`^[0-9A-Za-z_-]{6,32}$`)

// Check refuses what no provider would take, before anything is sent.
func (p Prepayment) Check() error {
	switch {
	case !number.MatchString(p.Number):
		return ErrRefused.Wrap(errors.New("the number must be 6 to 32 letters, digits, - or _"))
	case p.Amount <= 0 || p.Amount > MaxAmount:
		return ErrRefused.Wrap(fmt.Errorf("the amount must be 1 to %d fen", int64(MaxAmount)))
	case p.Currency != "CNY":
		return ErrRefused.Wrap(errors.New("the currency must be CNY"))
	}
	return nil
}

// Check refuses what no provider would take, before anything is sent.
func (r Refunding) Check() error {
	switch {
	case !number.MatchString(r.Number) || !number.MatchString(r.PaymentNumber):
		return ErrRefused.Wrap(errors.New("a number must be 6 to 32 letters, digits, - or _"))
	case r.Amount <= 0 || r.Total > MaxAmount || r.Amount > r.Total:
		return ErrRefused.Wrap(errors.New("the refund must be above 0 and not above the payment"))
	case r.Currency != "CNY":
		return ErrRefused.Wrap(errors.New("the currency must be CNY"))
	}
	return nil
}

// Title cuts what the customer reads to a number of bytes, at a character.
func Title(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	end := 0
	for n := range s {
		if n > bytes {
			break
		}
		end = n
	}
	return s[:end]
}

// Beijing is the time zone that the providers write their times in, whatever
// the business's own is. It has had no summer time since 1991.
var Beijing = time.FixedZone("CST", 8*60*60)
