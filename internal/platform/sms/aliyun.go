package sms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Clock is what signatures need of a clock.
type Clock interface{ Now() time.Time }

// sendTimeout bounds one call; a person waits for the code.
const sendTimeout = 6 * time.Second

const aliyunURL = "https://dysmsapi.aliyuncs.com"

// Aliyun sends by SendSms of dysmsapi, version 2017-05-25, signed with
// ACS3-HMAC-SHA256.
type Aliyun struct {
	config Config
	base   *url.URL
	clock  Clock
	client *outgoing.Client
	nonce  func() string
}

// NewAliyun makes a sender.
// Error: a base address that cannot be used.
func NewAliyun(c Config, clock Clock, m *outgoing.Metrics) (*Aliyun, error) {
	base, err := parseBase(c.BaseURL, aliyunURL)
	if err != nil {
		return nil, err
	}
	return &Aliyun{config: c, base: base, clock: clock, client: outgoing.New("aliyun_sms", sendTimeout, m), nonce: randomNonce}, nil
}

func parseBase(given, own string) (*url.URL, error) {
	if given == "" {
		given = own
	}
	u, err := url.Parse(strings.TrimRight(given, "/"))
	if err != nil || u.Host == "" || u.Path != "" {
		return nil, errors.New("the SMS provider's address must be scheme and host, such as https://sms.example.com")
	}
	return u, nil
}

func randomNonce() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails; the runtime aborts instead
	return hex.EncodeToString(raw[:])
}

// Send implements Sender.
func (a *Aliyun) Send(ctx context.Context, m Message) (Receipt, error) {
	begun := time.Now()
	receipt, err := a.send(ctx, m)
	a.client.Observe("send", outcomeOf(err), time.Since(begun))
	return receipt, err
}

func (a *Aliyun) send(ctx context.Context, m Message) (Receipt, error) {
	code, ok := a.config.Templates[m.Template]
	if !ok {
		return Receipt{}, ErrConfig.Wrap(fmt.Errorf("SHUKE_SMS_TEMPLATES has no code for %q", m.Template))
	}
	values := map[string]string{}
	for _, p := range m.Params {
		values[p.Name] = p.Value
	}
	param, err := json.Marshal(values)
	if err != nil {
		return Receipt{}, ErrProvider.Wrap(err)
	}
	number := aliyunNumber(m.To)
	if number == "" {
		return Receipt{}, ErrNumber.New()
	}
	query := map[string]string{
		"PhoneNumbers": number, "SignName": a.config.SignName, "TemplateCode": code, "TemplateParam": string(param),
	}
	if m.Ref != "" {
		query["OutId"] = m.Ref
	}
	req, err := a.request(ctx, "SendSms", query)
	if err != nil {
		return Receipt{}, ErrConfig.Wrap(err)
	}
	answer, err := a.client.Once(req)
	if err != nil {
		return Receipt{}, transportError(err)
	}
	return decodeAliyun(answer)
}

// aliyunNumber writes a mainland number without its country code and any
// other with it, never with "+". North American numbers are refused (empty):
// written so, many of them are some stranger's number in the mainland.
func aliyunNumber(e164 string) string {
	if rest, ok := strings.CutPrefix(e164, "+86"); ok {
		return rest
	}
	if strings.HasPrefix(e164, "+1") {
		return ""
	}
	return strings.TrimPrefix(e164, "+")
}

// transportError is for a call without an answer.
func transportError(err error) error {
	if errors.Is(err, outgoing.ErrNotSent) {
		return ErrDown.Wrap(err)
	}
	return ErrUnknown.Wrap(err)
}

// request makes a signed call. Everything is in the query; the body is empty.
func (a *Aliyun) request(ctx context.Context, action string, query map[string]string) (*http.Request, error) {
	encoded := acs3Query(query)
	emptyHash := sha256.Sum256(nil)
	headers := map[string]string{
		"host":                  a.base.Host,
		"x-acs-action":          action,
		"x-acs-content-sha256":  hex.EncodeToString(emptyHash[:]),
		"x-acs-date":            a.clock.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"x-acs-signature-nonce": a.nonce(),
		"x-acs-version":         "2017-05-25",
	}
	authorization := acs3Sign(a.config.KeyID, a.config.KeySecret, http.MethodPost, encoded, headers)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base.String()+"/?"+encoded, nil)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	for name, value := range headers {
		if name != "host" {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Authorization", authorization)
	return req, nil
}

// acs3Query is the canonical query: sorted, escaped as in RFC 3986.
func acs3Query(query map[string]string) string {
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for n, name := range names {
		if n > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escape3986(name) + "=" + escape3986(query[name]))
	}
	return b.String()
}

// escape3986 keeps letters, digits and -_.~ only; url.QueryEscape writes a
// space as "+".
func escape3986(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// acs3Sign is the Authorization header. All given headers are signed.
func acs3Sign(id, secret, method, query string, headers map[string]string) string {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(name + ":" + strings.TrimSpace(headers[name]) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{method, "/", query, lines.String(), signed, headers["x-acs-content-sha256"]}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(hash[:])))
	return fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%s", id, signed, hex.EncodeToString(mac.Sum(nil)))
}

// decodeAliyun reads an answer. A code is in the body whatever the status is.
func decodeAliyun(answer outgoing.Answer) (Receipt, error) {
	var body struct {
		Code      string `json:"Code"`
		BizID     string `json:"BizId"`
		RequestID string `json:"RequestId"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil || body.Code == "" {
		return Receipt{}, unreadable("aliyun", answer.Status)
	}
	if body.Code == "OK" {
		return Receipt{Provider: "aliyun", ID: body.BizID}, nil
	}
	cause := RawCode{"aliyun", clip(body.Code), clip(body.RequestID)}
	switch body.Code {
	case "isv.MOBILE_NUMBER_ILLEGAL", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.MOBILE_COUNT_OVER_LIMIT":
		return Receipt{}, ErrNumber.Wrap(cause)
	case "isv.BUSINESS_LIMIT_CONTROL":
		return Receipt{}, ErrLimit.Wrap(cause)
	case "isv.AMOUNT_NOT_ENOUGH", "isv.OUT_OF_SERVICE":
		return Receipt{}, ErrBalance.Wrap(cause)
	case "isv.SMS_TEMPLATE_ILLEGAL", "isv.SMS_SIGNATURE_ILLEGAL", "isv.TEMPLATE_MISSING_PARAMETERS", "isv.INVALID_JSON_PARAM",
		"SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound", "InvalidAccessKeyId", "IncompleteSignature":
		return Receipt{}, ErrConfig.Wrap(cause)
	case "isp.SYSTEM_ERROR", "Throttling", "Throttling.User": // throttled is the account, not the number
		return Receipt{}, ErrDown.Wrap(cause)
	}
	return Receipt{}, ErrProvider.Wrap(cause)
}

// unreadable is an answer without a code. Behind a failing gateway the message
// may have been taken.
func unreadable(provider string, status int) error {
	cause := RawCode{Provider: provider, Code: fmt.Sprintf("HTTP %d without a readable body", status)}
	if status == http.StatusTooManyRequests {
		return ErrDown.Wrap(cause)
	}
	return ErrUnknown.Wrap(cause)
}

// clip bounds what of a hostile answer reaches the log.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}
