// Package wechatpay takes payments through WeChat Pay, API version 3: JSAPI
// (mini-programs, official accounts) and Native (QR codes), refunds, notices.
//
// Requests are signed over the bytes that are sent, and answers and notices
// are verified over the bytes that came, before they are read. The platform
// signs with a certificate that it renews and hands out itself, or, for newer
// merchants, with a public key; while a merchant changes over both verify.
//
// Answers other than 2xx are believed as far as TLS goes: the official
// libraries do not verify them either, and gateways answer without signature.
package wechatpay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

const (
	apiURL      = "https://api.mch.weixin.qq.com"
	callTimeout = 10 * time.Second
	scheme      = "WECHATPAY2-SHA256-RSA2048"
	userAgent   = "shuke (Go)"
	titleBytes  = 127
	reasonBytes = 80
	v3KeyLength = 32
)

// Config of one merchant.
type Config struct {
	MchID       string
	AppID       string // the mini-program or official account that pays
	Serial      string // of the merchant's certificate
	Key         *rsa.PrivateKey
	V3Key       string // exactly 32 bytes
	PublicKeyID string // PUB_KEY_ID_…; empty for merchants with platform certificates only
	PublicKey   *rsa.PublicKey
	BaseURL     string // empty means https://api.mch.weixin.qq.com
}

// Client calls WeChat Pay for one merchant. It implements pay.Provider.
type Client struct {
	config Config
	clock  *clock.Clock
	client *outgoing.Client
	keys   platformKeys
	nonce  func() string
}

// New makes a client. It asks nothing of the network.
// Error: a key of the wrong length, or half a public key.
func New(c Config, clk *clock.Clock, m *outgoing.Metrics) (*Client, error) {
	if len(c.V3Key) != v3KeyLength {
		return nil, fmt.Errorf("the APIv3 key must have exactly %d bytes", v3KeyLength)
	}
	if (c.PublicKey == nil) != (c.PublicKeyID == "") || c.PublicKeyID != "" && !strings.HasPrefix(c.PublicKeyID, publicKeyPrefix) {
		return nil, errors.New("the platform's public key and its id, which begins with " + publicKeyPrefix + ", belong together")
	}
	if c.BaseURL == "" {
		c.BaseURL = apiURL
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	return &Client{config: c, clock: clk, client: outgoing.New(pay.WeChat, callTimeout, m), nonce: newNonce}, nil
}

// Name implements pay.Provider.
func (c *Client) Name() string { return pay.WeChat }

// Kinds implements pay.Provider.
func (c *Client) Kinds() []pay.Kind { return []pay.Kind{pay.JSAPI, pay.Native} }

func newNonce() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails; the runtime aborts instead
	return strings.ToUpper(hex.EncodeToString(raw))
}

type money struct {
	Total    int64  `json:"total"`
	Currency string `json:"currency,omitempty"`
}

type payer struct {
	OpenID string `json:"openid"`
}

// Prepay implements pay.Provider.
func (c *Client) Prepay(ctx context.Context, p pay.Prepayment) (pay.Prepaid, error) {
	if err := p.Check(); err != nil {
		return pay.Prepaid{}, err
	}
	type scene struct {
		ClientIP string `json:"payer_client_ip"`
	}
	body := struct {
		AppID       string `json:"appid"`
		MchID       string `json:"mchid"`
		Description string `json:"description"`
		Number      string `json:"out_trade_no"`
		Expires     string `json:"time_expire,omitempty"`
		NotifyURL   string `json:"notify_url"`
		Amount      money  `json:"amount"`
		Payer       *payer `json:"payer,omitempty"`
		Scene       *scene `json:"scene_info,omitempty"`
	}{AppID: c.config.AppID, MchID: c.config.MchID, Description: pay.Title(p.Title, titleBytes), Number: p.Number, NotifyURL: p.NotifyURL, Amount: money{p.Amount, p.Currency}}
	if !p.ExpiresAt.IsZero() {
		body.Expires = p.ExpiresAt.In(pay.Beijing).Format(time.RFC3339)
	}
	if p.ClientIP != "" {
		body.Scene = &scene{p.ClientIP}
	}
	var answer struct {
		PrepayID string `json:"prepay_id"`
		CodeURL  string `json:"code_url"`
	}
	switch p.Kind {
	case pay.JSAPI:
		if p.OpenID == "" {
			return pay.Prepaid{}, pay.ErrRefused.Wrap(errors.New("jsapi needs an open id"))
		}
		body.Payer = &payer{p.OpenID}
	case pay.Native:
	default:
		return pay.Prepaid{}, pay.ErrRefused.Wrap(fmt.Errorf("WeChat Pay has no %q", p.Kind))
	}
	err := c.call(ctx, "prepay", http.MethodPost, "/v3/pay/transactions/"+string(p.Kind), body, &answer)
	switch {
	case err != nil:
		return pay.Prepaid{}, err
	case p.Kind == pay.Native && answer.CodeURL != "":
		return pay.Prepaid{CodeURL: answer.CodeURL}, nil
	case p.Kind == pay.JSAPI && answer.PrepayID != "":
		params, err := c.clientParams(answer.PrepayID)
		return pay.Prepaid{Params: params}, err
	}
	return pay.Prepaid{}, unreadable("prepay", nil)
}

// clientParams are what wx.requestPayment takes.
func (c *Client) clientParams(prepayID string) (map[string]string, error) {
	at, nonce, name := strconv.FormatInt(c.clock.Now().Unix(), 10), c.nonce(), "prepay_id="+prepayID
	signature, err := pay.Sign(c.config.Key, []byte(c.config.AppID+"\n"+at+"\n"+nonce+"\n"+name+"\n"))
	if err != nil {
		return nil, pay.ErrConfig.Wrap(err)
	}
	return map[string]string{"appId": c.config.AppID, "timeStamp": at, "nonceStr": nonce, "package": name, "signType": "RSA", "paySign": signature}, nil
}

// Query implements pay.Provider.
func (c *Client) Query(ctx context.Context, number string) (pay.Payment, error) {
	var t transaction
	path := "/v3/pay/transactions/out-trade-no/" + url.PathEscape(number) + "?mchid=" + url.QueryEscape(c.config.MchID)
	if err := c.call(ctx, "query", http.MethodGet, path, nil, &t); err != nil {
		return pay.Payment{}, err
	}
	p, err := t.payment(c.config)
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
	return c.call(ctx, "close", http.MethodPost, "/v3/pay/transactions/out-trade-no/"+url.PathEscape(number)+"/close", map[string]string{"mchid": c.config.MchID}, nil)
}

// Refund implements pay.Provider.
func (c *Client) Refund(ctx context.Context, r pay.Refunding) (pay.Refund, error) {
	if err := r.Check(); err != nil {
		return pay.Refund{}, err
	}
	type amount struct {
		Refund   int64  `json:"refund"`
		Total    int64  `json:"total"`
		Currency string `json:"currency"`
	}
	body := struct {
		PaymentNumber string `json:"out_trade_no"`
		Number        string `json:"out_refund_no"`
		Reason        string `json:"reason,omitempty"`
		NotifyURL     string `json:"notify_url,omitempty"`
		Amount        amount `json:"amount"`
	}{r.PaymentNumber, r.Number, pay.Title(r.Reason, reasonBytes), r.NotifyURL, amount{r.Amount, r.Total, r.Currency}}
	return c.refund(ctx, "refund", http.MethodPost, "/v3/refund/domestic/refunds", body, r.Number)
}

// QueryRefund implements pay.Provider.
func (c *Client) QueryRefund(ctx context.Context, number, _ string) (pay.Refund, error) {
	return c.refund(ctx, "refund_query", http.MethodGet, "/v3/refund/domestic/refunds/"+url.PathEscape(number), nil, number)
}

func (c *Client) refund(ctx context.Context, operation, method, path string, body any, number string) (pay.Refund, error) {
	var answer refund
	if err := c.call(ctx, operation, method, path, body, &answer); err != nil {
		return pay.Refund{}, err
	}
	r, err := answer.refund(answer.Status)
	if err == nil && r.Number != number {
		err = errors.New("the answer is about another number")
	}
	if err != nil {
		return pay.Refund{}, unreadable(operation, err)
	}
	return r, nil
}

// call sends one request and reads its verified answer into out.
func (c *Client) call(ctx context.Context, operation, method, path string, in, out any) error {
	begun := time.Now()
	err := c.attempt(ctx, operation, method, path, in, out)
	c.client.Observe(operation, pay.Outcome(err), time.Since(begun))
	return err
}

func (c *Client) attempt(ctx context.Context, operation, method, path string, in, out any) error {
	answer, err := c.send(ctx, operation, method, path, in)
	if err != nil {
		return err
	}
	// Certificates may be asked for here, by a call of its own.
	if err := c.verify(ctx, answer.Header, answer.Body); err != nil {
		return pay.ErrUnknown.Wrap(fmt.Errorf("%s: the answer is not believed: %w", operation, err))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return unreadable(operation, errors.New("the answer is no JSON"))
	}
	return nil
}

// send signs and sends, and gives refusals their meaning. The answer is not
// verified yet.
func (c *Client) send(ctx context.Context, operation, method, path string, in any) (outgoing.Answer, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return outgoing.Answer{}, pay.ErrRefused.Wrap(err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.config.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return outgoing.Answer{}, pay.ErrConfig.Wrap(errors.New("the provider's address cannot be used"))
	}
	authorization, err := c.authorize(method, req.URL.RequestURI(), body, c.clock.Now(), c.nonce())
	if err != nil {
		return outgoing.Answer{}, pay.ErrConfig.Wrap(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if serial := c.verifiable(); serial != "" {
		req.Header.Set("Wechatpay-Serial", serial)
	}
	answer, err := c.client.Once(req)
	if err != nil {
		return outgoing.Answer{}, pay.Transport(err)
	}
	if answer.Status != http.StatusOK && answer.Status != http.StatusNoContent {
		return outgoing.Answer{}, refusal(operation, answer)
	}
	return answer, nil
}

// authorize is the Authorization header for exactly these bytes.
func (c *Client) authorize(method, uri string, body []byte, now time.Time, nonce string) (string, error) {
	at := strconv.FormatInt(now.Unix(), 10)
	signature, err := pay.Sign(c.config.Key, []byte(method+"\n"+uri+"\n"+at+"\n"+nonce+"\n"+string(body)+"\n"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`%s mchid="%s",nonce_str="%s",timestamp="%s",serial_no="%s",signature="%s"`, scheme, c.config.MchID, nonce, at, c.config.Serial, signature), nil
}

func unreadable(operation string, cause error) error {
	if cause == nil {
		cause = errors.New("a part is missing")
	}
	return pay.ErrUnknown.Wrap(fmt.Errorf("%s: the answer cannot be read: %w", operation, cause))
}

// refusal gives an answer other than 2xx its meaning, by status and code.
func refusal(operation string, answer outgoing.Answer) error {
	var body struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer.Body, &body) // a gateway's page has no code
	cause := pay.RawCode{Provider: pay.WeChat, Operation: operation, Code: body.Code, RequestID: answer.Header.Get("Request-Id")}
	if body.Code == "" {
		cause.Code = "HTTP " + strconv.Itoa(answer.Status)
	}
	switch {
	case answer.Status >= 500:
		return pay.ErrUnknown.Wrap(cause)
	case answer.Status == http.StatusTooManyRequests:
		return pay.ErrLimit.Wrap(cause)
	}
	switch body.Code {
	case "SYSTEM_ERROR", "BANK_ERROR":
		return pay.ErrUnknown.Wrap(cause)
	case "RATE_LIMITED", "FREQUENCY_LIMITED", "RATELIMIT_EXCEEDED":
		return pay.ErrLimit.Wrap(cause)
	case "SIGN_ERROR", "NO_AUTH", "APPID_MCHID_NOT_MATCH", "MCH_NOT_EXISTS", "MCHID_NOT_EXIST":
		return pay.ErrConfig.Wrap(cause)
	case "ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS":
		return pay.ErrNotFound.Wrap(cause)
	case "ORDERPAID", "ORDER_PAID":
		return pay.ErrPaid.Wrap(cause)
	case "ORDERCLOSED", "ORDER_CLOSED":
		return pay.ErrClosed.Wrap(cause)
	case "NOT_ENOUGH":
		return pay.ErrBalance.Wrap(cause)
	case "PARAM_ERROR", "INVALID_REQUEST", "OUT_TRADE_NO_USED", "OPENID_MISMATCH", "ACCOUNT_ERROR", "RULE_LIMIT", "TRADE_ERROR", "USER_ACCOUNT_ABNORMAL":
		return pay.ErrRefused.Wrap(cause)
	}
	if answer.Status == http.StatusUnauthorized {
		return pay.ErrConfig.Wrap(cause)
	}
	return pay.ErrProvider.Wrap(cause)
}
