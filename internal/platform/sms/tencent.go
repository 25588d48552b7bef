package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

const (
	tencentURL    = "https://sms.tencentcloudapi.com"
	tencentRegion = "ap-guangzhou"
	tencentType   = "application/json"
)

// Tencent sends by SendSms of the SMS service, version 2021-01-11, signed with
// TC3-HMAC-SHA256.
type Tencent struct {
	config Config
	base   *url.URL
	clock  Clock
	client *outgoing.Client
}

// NewTencent makes a sender.
// Error: a base address that cannot be used.
func NewTencent(c Config, clock Clock, m *outgoing.Metrics) (*Tencent, error) {
	base, err := parseBase(c.BaseURL, tencentURL)
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		c.Region = tencentRegion
	}
	return &Tencent{config: c, base: base, clock: clock, client: outgoing.New("tencent_sms", sendTimeout, m)}, nil
}

type tencentSend struct {
	PhoneNumberSet   []string `json:"PhoneNumberSet"`
	SmsSdkAppID      string   `json:"SmsSdkAppId"`
	TemplateID       string   `json:"TemplateId"`
	SignName         string   `json:"SignName,omitempty"`
	TemplateParamSet []string `json:"TemplateParamSet"`
	SessionContext   string   `json:"SessionContext,omitempty"`
}

// Send implements Sender.
func (t *Tencent) Send(ctx context.Context, m Message) (Receipt, error) {
	begun := time.Now()
	receipt, err := t.send(ctx, m)
	t.client.Observe("send", outcomeOf(err), time.Since(begun))
	return receipt, err
}

func (t *Tencent) send(ctx context.Context, m Message) (Receipt, error) {
	code, ok := t.config.Templates[m.Template]
	if !ok {
		return Receipt{}, ErrConfig.Wrap(fmt.Errorf("SHUKE_SMS_TEMPLATES has no code for %q", m.Template))
	}
	values := make([]string, 0, len(m.Params))
	for _, p := range m.Params {
		values = append(values, p.Value)
	}
	body, err := json.Marshal(tencentSend{
		PhoneNumberSet: []string{m.To}, SmsSdkAppID: t.config.AppID, TemplateID: code, SignName: t.config.SignName,
		TemplateParamSet: values, SessionContext: m.Ref,
	})
	if err != nil {
		return Receipt{}, ErrProvider.Wrap(err)
	}
	req, err := outgoing.PostJSON(ctx, t.base.String()+"/", body)
	if err != nil {
		return Receipt{}, ErrConfig.Wrap(err)
	}
	at := t.clock.Now().Unix()
	req.Header.Set("Content-Type", tencentType)
	req.Header.Set("X-TC-Action", "SendSms")
	req.Header.Set("X-TC-Version", "2021-01-11")
	req.Header.Set("X-TC-Timestamp", strconv.FormatInt(at, 10))
	req.Header.Set("X-TC-Region", t.config.Region)
	req.Header.Set("Authorization", tc3Sign(t.config.KeyID, t.config.KeySecret, t.base.Host, at, body))
	answer, err := t.client.Once(req)
	if err != nil {
		return Receipt{}, transportError(err)
	}
	return decodeTencent(answer)
}

// tc3Sign is the Authorization header over exactly these bytes.
func tc3Sign(id, secret, host string, at int64, body []byte) string {
	payload := sha256.Sum256(body)
	canonical := sha256.Sum256([]byte("POST\n/\n\ncontent-type:" + tencentType + "\nhost:" + host + "\n\ncontent-type;host\n" + hex.EncodeToString(payload[:])))
	date := time.Unix(at, 0).UTC().Format(time.DateOnly)
	scope := date + "/sms/tc3_request"
	key := []byte("TC3" + secret)
	for _, part := range []string{date, "sms", "tc3_request"} {
		key = hmacSHA256(key, part)
	}
	signature := hmacSHA256(key, "TC3-HMAC-SHA256\n"+strconv.FormatInt(at, 10)+"\n"+scope+"\n"+hex.EncodeToString(canonical[:]))
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%s", id, scope, hex.EncodeToString(signature))
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// decodeTencent reads an answer: a good call may hold a message that was
// refused, so the element decides.
func decodeTencent(answer outgoing.Answer) (Receipt, error) {
	var body struct {
		Response struct {
			SendStatusSet []struct {
				SerialNo string `json:"SerialNo"`
				Code     string `json:"Code"`
			} `json:"SendStatusSet"`
			Error *struct {
				Code string `json:"Code"`
			} `json:"Error"`
			RequestID string `json:"RequestId"`
		} `json:"Response"`
	}
	if err := json.Unmarshal(answer.Body, &body); err != nil {
		return Receipt{}, unreadable("tencent", answer.Status)
	}
	r := body.Response
	if r.Error != nil {
		return Receipt{}, tencentError(r.Error.Code, r.RequestID)
	}
	if len(r.SendStatusSet) != 1 || r.SendStatusSet[0].Code == "" {
		return Receipt{}, unreadable("tencent", answer.Status)
	}
	if s := r.SendStatusSet[0]; s.Code != "Ok" {
		return Receipt{}, tencentError(s.Code, r.RequestID)
	}
	return Receipt{Provider: "tencent", ID: r.SendStatusSet[0].SerialNo}, nil
}

// tencentError maps a code. Tencent's codes are a class and a detail; details
// are added over time, so the class decides where the detail is not known.
func tencentError(code, requestID string) error {
	cause := RawCode{"tencent", clip(code), clip(requestID)}
	switch code {
	case "InvalidParameterValue.IncorrectPhoneNumber", "FailedOperation.PhoneNumberInBlacklist", "FailedOperation.PhoneNumberOnBlacklist",
		"FailedOperation.PhoneNumberParseFail", "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber":
		return ErrNumber.Wrap(cause)
	case "FailedOperation.InsufficientBalanceInSmsPackage":
		return ErrBalance.Wrap(cause)
	case "FailedOperation.SignatureIncorrectOrUnapproved", "FailedOperation.TemplateIncorrectOrUnapproved", "FailedOperation.TemplateParamSetNotMatchApprovedTemplate",
		"FailedOperation.TemplateUnapprovedOrNotExist", "FailedOperation.MissingSignature", "FailedOperation.MissingTemplateToModify":
		return ErrConfig.Wrap(cause)
	}
	if strings.HasPrefix(code, "LimitExceeded.PhoneNumber") {
		return ErrLimit.Wrap(cause)
	}
	class, _, _ := strings.Cut(code, ".")
	switch class {
	case "AuthFailure", "UnauthorizedOperation", "InvalidParameterValue", "InvalidParameter", "MissingParameter":
		return ErrConfig.Wrap(cause)
	case "InternalError":
		return ErrUnknown.Wrap(cause) // unlike Aliyun's isp.SYSTEM_ERROR it is not said to be free of effect
	case "ResourceUnavailable", "ServiceUnavailable", "LimitExceeded", "RequestLimitExceeded": // limited is the account, not the number
		return ErrDown.Wrap(cause)
	}
	return ErrProvider.Wrap(cause)
}
