// Package alipay takes payments through Alipay's open gateway: precreate (QR
// codes), page and app, refunds, notices; signed with RSA2.
//
// What Alipay answers is verified over the exact bytes of the inner object,
// before it is read. Codes 10003 (being paid) and 20000 (unavailable) are no
// failures: what became of the request is found out by query.
//
// A precreated code makes no trade before somebody scans it: until then Query
// and Close say ErrNotFound.
package alipay

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // names certificates, as Alipay wants it
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

const (
	gatewayURL  = "https://openapi.alipay.com/gateway.do"
	callTimeout = 10 * time.Second
	titleBytes  = 256
	timeLayout  = "2006-01-02 15:04:05"
)

// Config of one app.
type Config struct {
	AppID     string
	SellerID  string // the partner id (2088…) that money goes to
	Key       *rsa.PrivateKey
	PublicKey *rsa.PublicKey // Alipay's, of its certificate in certificate mode
	// Certificate mode: the serials of our certificate and of the root, and of
	// the certificate that PublicKey is from. All or none.
	AppCertSN, RootCertSN, AlipayCertSN string
	BaseURL                             string // the gateway; empty means Alipay's own
}

// Client calls Alipay for one app. It implements pay.Provider.
type Client struct {
	config Config
	clock  *clock.Clock
	client *outgoing.Client
}

// New makes a client. It asks nothing of the network.
// Error: half of the certificate mode.
func New(c Config, clk *clock.Clock, m *outgoing.Metrics) (*Client, error) {
	if (c.AppCertSN == "") != (c.RootCertSN == "") || (c.AppCertSN == "") != (c.AlipayCertSN == "") {
		return nil, errors.New("certificate mode needs the app's, Alipay's and the root certificate")
	}
	if c.BaseURL == "" {
		c.BaseURL = gatewayURL
	}
	return &Client{config: c, clock: clk, client: outgoing.New(pay.Alipay, callTimeout, m)}, nil
}

// CertSN names a certificate as Alipay does: md5 of issuer and serial number.
// Error: not a certificate.
func CertSN(text string) (string, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "", errors.New("is no certificate in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", errors.New("is no certificate in PEM")
	}
	return certSN(c), nil
}

func certSN(c *x509.Certificate) string {
	sum := md5.Sum([]byte(c.Issuer.String() + c.SerialNumber.String())) //nolint:gosec // a name, not a proof
	return hex.EncodeToString(sum[:])
}

// RootSN names a file of root certificates: those with RSA signatures, joined.
// Error: none among them.
func RootSN(text string) (string, error) {
	var names []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		// Roots of other algorithms are passed over; Go cannot even read some.
		if err == nil && (c.SignatureAlgorithm == x509.SHA256WithRSA || c.SignatureAlgorithm == x509.SHA1WithRSA) {
			names = append(names, certSN(c))
		}
	}
	if len(names) == 0 {
		return "", errors.New("has no RSA root certificate in PEM")
	}
	return strings.Join(names, "_"), nil
}

// Name implements pay.Provider.
func (c *Client) Name() string { return pay.Alipay }

// Kinds implements pay.Provider.
func (c *Client) Kinds() []pay.Kind { return []pay.Kind{pay.Precreate, pay.Page, pay.App} }

// Prepay implements pay.Provider. Page and App ask nothing: they sign what the
// customer's device sends.
func (c *Client) Prepay(ctx context.Context, p pay.Prepayment) (pay.Prepaid, error) {
	if err := p.Check(); err != nil {
		return pay.Prepaid{}, err
	}
	biz := map[string]string{"out_trade_no": p.Number, "total_amount": pay.Yuan(p.Amount), "subject": title(p.Title)}
	if !p.ExpiresAt.IsZero() {
		biz["time_expire"] = p.ExpiresAt.In(pay.Beijing).Format(timeLayout)
	}
	if c.config.SellerID != "" && p.Kind == pay.Precreate {
		biz["seller_id"] = c.config.SellerID
	}
	switch p.Kind {
	case pay.Precreate:
		biz["product_code"] = "QR_CODE_OFFLINE"
		var answer struct {
			Number string `json:"out_trade_no"`
			Code   string `json:"qr_code"`
		}
		err := c.call(ctx, "prepay", "alipay.trade.precreate", biz, map[string]string{"notify_url": p.NotifyURL}, &answer)
		if err == nil && (answer.Code == "" || answer.Number != p.Number) {
			err = unreadable("prepay", nil)
		}
		if err != nil {
			return pay.Prepaid{}, err
		}
		return pay.Prepaid{CodeURL: answer.Code}, nil
	case pay.Page:
		biz["product_code"] = "FAST_INSTANT_TRADE_PAY"
		form, err := c.form("alipay.trade.page.pay", biz, map[string]string{"notify_url": p.NotifyURL, "return_url": p.ReturnURL})
		if err != nil {
			return pay.Prepaid{}, err
		}
		return pay.Prepaid{PageURL: c.config.BaseURL + "?" + form.Encode()}, nil
	case pay.App:
		biz["product_code"] = "QUICK_MSECURITY_PAY"
		form, err := c.form("alipay.trade.app.pay", biz, map[string]string{"notify_url": p.NotifyURL})
		if err != nil {
			return pay.Prepaid{}, err
		}
		return pay.Prepaid{OrderString: form.Encode()}, nil
	}
	return pay.Prepaid{}, pay.ErrRefused.Wrap(fmt.Errorf("Alipay has no %q", p.Kind))
}

// title drops what Alipay refuses in a subject.
func title(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '/' || r == '=' || r == '&' || r < ' ' {
			return ' '
		}
		return r
	}, s)
	return pay.Title(s, titleBytes)
}

// Query implements pay.Provider.
func (c *Client) Query(ctx context.Context, number string) (pay.Payment, error) {
	var t trade
	if err := c.call(ctx, "query", "alipay.trade.query", map[string]string{"out_trade_no": number}, nil, &t); err != nil {
		return pay.Payment{}, err
	}
	t.PaidAt = t.SentAt
	p, err := t.payment()
	if err == nil && p.Number != number {
		err = errors.New("the answer is about another number")
	}
	if err != nil {
		return pay.Payment{}, unreadable("query", err)
	}
	return p, nil
}

// Close implements pay.Provider.
func (c *Client) Close(ctx context.Context, number string) error {
	return c.call(ctx, "close", "alipay.trade.close", map[string]string{"out_trade_no": number}, nil, nil)
}

// Refund implements pay.Provider. Only fund_change=Y says that money moved;
// anything else, such as the repetition of a refund, is left to QueryRefund.
func (c *Client) Refund(ctx context.Context, r pay.Refunding) (pay.Refund, error) {
	if err := r.Check(); err != nil {
		return pay.Refund{}, err
	}
	biz := map[string]string{"out_trade_no": r.PaymentNumber, "out_request_no": r.Number, "refund_amount": pay.Yuan(r.Amount)}
	if r.Reason != "" {
		biz["refund_reason"] = title(r.Reason)
	}
	var answer struct {
		PaymentNumber string `json:"out_trade_no"`
		TradeNo       string `json:"trade_no"`
		Changed       string `json:"fund_change"`
	}
	if err := c.call(ctx, "refund", "alipay.trade.refund", biz, nil, &answer); err != nil {
		return pay.Refund{}, err
	}
	if answer.PaymentNumber != r.PaymentNumber {
		return pay.Refund{}, unreadable("refund", errors.New("the answer is about another number"))
	}
	out := pay.Refund{Number: r.Number, PaymentNumber: r.PaymentNumber, ProviderID: pay.Clip(answer.TradeNo), State: pay.RefundPending, Amount: r.Amount, Currency: "CNY"}
	if answer.Changed == "Y" {
		out.State, out.At = pay.RefundSucceeded, c.clock.Now()
	}
	return out, nil
}

// QueryRefund implements pay.Provider.
func (c *Client) QueryRefund(ctx context.Context, number, paymentNumber string) (pay.Refund, error) {
	var answer struct {
		PaymentNumber string `json:"out_trade_no"`
		Number        string `json:"out_request_no"`
		TradeNo       string `json:"trade_no"`
		Amount        string `json:"refund_amount"`
		Status        string `json:"refund_status"`
		At            string `json:"gmt_refund_pay"`
	}
	biz := map[string]any{"out_trade_no": paymentNumber, "out_request_no": number, "query_options": []string{"gmt_refund_pay"}}
	if err := c.call(ctx, "refund_query", "alipay.trade.fastpay.refund.query", biz, nil, &answer); err != nil {
		return pay.Refund{}, err
	}
	if answer.Number == "" && answer.Amount == "" {
		return pay.Refund{}, pay.ErrNotFound.Wrap(pay.RawCode{Provider: pay.Alipay, Operation: "refund_query", Code: "10000, no refund"})
	}
	fen, err := pay.ParseYuan(answer.Amount)
	if err != nil || answer.Number != number || answer.PaymentNumber != paymentNumber {
		return pay.Refund{}, unreadable("refund_query", errors.New("no amount, or another number"))
	}
	out := pay.Refund{Number: number, PaymentNumber: paymentNumber, ProviderID: pay.Clip(answer.TradeNo), State: pay.RefundPending, Amount: fen, Currency: "CNY"}
	if answer.Status == "REFUND_SUCCESS" {
		out.State, out.At = pay.RefundSucceeded, c.clock.Now()
		if at, err := time.ParseInLocation(timeLayout, answer.At, pay.Beijing); err == nil {
			out.At = at.UTC()
		}
	}
	return out, nil
}

// form is a whole request, signed.
func (c *Client) form(method string, biz any, more map[string]string) (url.Values, error) {
	encoded, err := json.Marshal(biz)
	if err != nil {
		return nil, pay.ErrRefused.Wrap(err)
	}
	form := map[string]string{
		"app_id": c.config.AppID, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
		"timestamp": c.clock.Now().In(pay.Beijing).Format(timeLayout), "version": "1.0", "biz_content": string(encoded),
		"app_cert_sn": c.config.AppCertSN, "alipay_root_cert_sn": c.config.RootCertSN,
	}
	for name, value := range more {
		form[name] = value
	}
	if form["sign"], err = pay.Sign(c.config.Key, []byte(content(form))); err != nil {
		return nil, pay.ErrConfig.Wrap(err)
	}
	values := url.Values{}
	for name, value := range form {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values, nil
}

// content is what a signature covers: the names in order, with raw values.
func content(form map[string]string, without ...string) string {
	var pairs []string
	for name, value := range form {
		if name != "sign" && value != "" && !slices.Contains(without, name) {
			pairs = append(pairs, name)
		}
	}
	slices.Sort(pairs)
	for n, name := range pairs {
		pairs[n] = name + "=" + form[name]
	}
	return strings.Join(pairs, "&")
}

// call sends one request and reads its verified answer into out.
func (c *Client) call(ctx context.Context, operation, method string, biz any, more map[string]string, out any) error {
	begun := time.Now()
	err := c.attempt(ctx, operation, method, biz, more, out)
	c.client.Observe(operation, pay.Outcome(err), time.Since(begun))
	return err
}

func (c *Client) attempt(ctx context.Context, operation, method string, biz any, more map[string]string, out any) error {
	form, err := c.form(method, biz, more)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.BaseURL, strings.NewReader(form.Encode()))
	if err != nil {
		return pay.ErrConfig.Wrap(errors.New("the provider's address cannot be used"))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	answer, err := c.client.Once(req)
	if err != nil {
		return pay.Transport(err)
	}
	if answer.Status != http.StatusOK {
		return pay.ErrUnknown.Wrap(pay.RawCode{Provider: pay.Alipay, Operation: operation, Code: "HTTP " + strconv.Itoa(answer.Status)})
	}
	inner, err := c.inner(operation, method, answer.Body)
	if err != nil {
		return err
	}
	if out != nil && json.Unmarshal(inner, out) != nil {
		return unreadable(operation, nil)
	}
	return nil
}

// status is what every inner object begins with.
type status struct {
	Code    string `json:"code"`
	SubCode string `json:"sub_code"`
}

// inner is the object of an answer, verified byte for byte; refusals get their
// meaning here.
func (c *Client) inner(operation, method string, body []byte) ([]byte, error) {
	var outer map[string]json.RawMessage
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, unreadable(operation, errors.New("the answer is no JSON"))
	}
	object, gateway := outer[strings.ReplaceAll(method, ".", "_")+"_response"], false
	if object == nil {
		object, gateway = outer["error_response"], true
	}
	var s status
	if object == nil || json.Unmarshal(object, &s) != nil || s.Code == "" {
		return nil, unreadable(operation, nil)
	}
	var sign, serial string
	_ = json.Unmarshal(outer["sign"], &sign) // absent: verified as empty
	_ = json.Unmarshal(outer["alipay_cert_sn"], &serial)
	if err := c.verify(bytes.Clone(object), sign, serial); err != nil {
		// The gateway refuses without a signature what it does not take for ours:
		// nobody signs to a stranger. Nothing happened then.
		if gateway && (s.Code == "20001" || s.Code == "40001" || s.Code == "40002" || s.Code == "40003" || s.Code == "40006") {
			return nil, pay.ErrConfig.Wrap(pay.RawCode{Provider: pay.Alipay, Operation: operation, Code: s.Code + " " + s.SubCode})
		}
		return nil, pay.ErrUnknown.Wrap(fmt.Errorf("%s: the answer is not believed: %w", operation, err))
	}
	if s.Code == "10000" {
		return object, nil
	}
	return nil, refusal(operation, s)
}

func (c *Client) verify(message []byte, sign, serial string) error {
	if sign == "" {
		return errors.New("no signature")
	}
	if c.config.AlipayCertSN != "" && serial != "" && serial != c.config.AlipayCertSN {
		return errors.New("signed with another certificate")
	}
	return pay.Verify(c.config.PublicKey, message, sign)
}

func unreadable(operation string, cause error) error {
	if cause == nil {
		cause = errors.New("a part is missing")
	}
	return pay.ErrUnknown.Wrap(fmt.Errorf("%s: the answer cannot be read: %w", operation, cause))
}

// refusal gives a code its meaning; of 40004 the sub-code decides.
func refusal(operation string, s status) error {
	cause := pay.RawCode{Provider: pay.Alipay, Operation: operation, Code: strings.TrimSpace(s.Code + " " + s.SubCode)}
	switch s.Code {
	case "10003", "20000":
		return pay.ErrUnknown.Wrap(cause)
	case "20001", "40001", "40003", "40006":
		return pay.ErrConfig.Wrap(cause)
	case "40002":
		if strings.HasPrefix(s.SubCode, "isv.invalid-parameter") {
			return pay.ErrRefused.Wrap(cause)
		}
		return pay.ErrConfig.Wrap(cause)
	case "40005":
		return pay.ErrLimit.Wrap(cause)
	}
	switch strings.TrimPrefix(s.SubCode, "ACQ.") {
	case "TRADE_NOT_EXIST":
		return pay.ErrNotFound.Wrap(cause)
	case "TRADE_HAS_SUCCESS", "TRADE_HAS_FINISHED":
		return pay.ErrPaid.Wrap(cause)
	case "TRADE_HAS_CLOSE":
		return pay.ErrClosed.Wrap(cause)
	case "SELLER_BALANCE_NOT_ENOUGH":
		return pay.ErrBalance.Wrap(cause)
	case "TRADE_STATUS_ERROR":
		if operation == "close" {
			return pay.ErrPaid.Wrap(cause) // Query tells whether it was paid or closed
		}
		return pay.ErrRefused.Wrap(cause)
	case "INVALID_PARAMETER", "CONTEXT_INCONSISTENT", "REFUND_AMT_NOT_EQUAL_TOTAL", "TRADE_NOT_ALLOW_REFUND", "REASON_TRADE_REFUND_FEE_ERR",
		"DISCORDANT_REPEAT_REQUEST", "TOTAL_FEE_EXCEED", "ILLEGAL_ARGUMENT", "BUYER_ERROR":
		return pay.ErrRefused.Wrap(cause)
	case "SYSTEM_ERROR", "REFUND_CHARGE_ERROR":
		return pay.ErrUnknown.Wrap(cause)
	case "ACCESS_FORBIDDEN", "INVALID_STORE_ID", "PARTNER_ERROR":
		return pay.ErrConfig.Wrap(cause)
	}
	return pay.ErrProvider.Wrap(cause)
}
