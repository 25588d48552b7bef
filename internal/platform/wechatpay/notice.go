package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

// transaction is a payment in answers and notices.
type transaction struct {
	AppID  string `json:"appid"`
	MchID  string `json:"mchid"`
	Number string `json:"out_trade_no"`
	ID     string `json:"transaction_id"`
	State  string `json:"trade_state"`
	PaidAt string `json:"success_time"`
	Payer  payer  `json:"payer"`
	Amount *money `json:"amount"`
}

func (t transaction) payment(c Config) (pay.Payment, error) {
	p := pay.Payment{Number: t.Number, ProviderID: t.ID, PayerID: t.Payer.OpenID}
	switch t.State {
	case "SUCCESS":
		p.State = pay.Succeeded
	case "REFUND":
		p.State, p.Refunded = pay.Succeeded, true
	case "NOTPAY", "USERPAYING", "ACCEPT":
		p.State = pay.Pending
	case "CLOSED", "REVOKED":
		p.State = pay.Closed
	case "PAYERROR":
		p.State = pay.Failed
	default:
		return pay.Payment{}, errors.New("an unknown state")
	}
	if t.Number == "" || len(t.Number) > 64 || len(t.ID) > 64 || len(t.Payer.OpenID) > 128 {
		return pay.Payment{}, errors.New("no number, or too long a one")
	}
	if t.MchID != "" && t.MchID != c.MchID || t.AppID != "" && t.AppID != c.AppID {
		return pay.Payment{}, errors.New("another merchant or app")
	}
	if t.Amount != nil {
		p.Amount, p.Currency = t.Amount.Total, t.Amount.Currency
		if p.Currency == "" {
			p.Currency = "CNY"
		}
	}
	if p.State != pay.Succeeded {
		return p, nil
	}
	var err error
	if p.PaidAt, err = time.Parse(time.RFC3339, t.PaidAt); err != nil || p.Amount <= 0 || p.ProviderID == "" || t.MchID == "" {
		return pay.Payment{}, errors.New("a payment without amount, number, merchant or time")
	}
	p.PaidAt = p.PaidAt.UTC()
	return p, nil
}

// refund is a refund in answers (status) and notices (refund_status).
type refund struct {
	Number        string `json:"out_refund_no"`
	PaymentNumber string `json:"out_trade_no"`
	ID            string `json:"refund_id"`
	MchID         string `json:"mchid"` // of notices
	Status        string `json:"status"`
	NoticeStatus  string `json:"refund_status"`
	At            string `json:"success_time"`
	Amount        struct {
		Refund   int64  `json:"refund"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

func (r refund) refund(status string) (pay.Refund, error) {
	out := pay.Refund{Number: r.Number, PaymentNumber: r.PaymentNumber, ProviderID: r.ID, Amount: r.Amount.Refund, Currency: r.Amount.Currency}
	switch status {
	case "PROCESSING":
		out.State = pay.RefundPending
	case "SUCCESS":
		out.State = pay.RefundSucceeded
	case "CLOSED":
		out.State = pay.RefundClosed
	case "ABNORMAL":
		out.State = pay.RefundAbnormal
	default:
		return pay.Refund{}, errors.New("an unknown state")
	}
	if r.Number == "" || len(r.Number) > 64 || len(r.PaymentNumber) > 64 || len(r.ID) > 64 || r.Amount.Refund <= 0 {
		return pay.Refund{}, errors.New("a refund without number or amount")
	}
	if out.Currency == "" {
		out.Currency = "CNY"
	}
	if at, err := time.Parse(time.RFC3339, r.At); err == nil {
		out.At = at.UTC()
	}
	return out, nil
}

// ParseCallback implements pay.Provider.
func (c *Client) ParseCallback(ctx context.Context, header http.Header, body []byte) (pay.Notice, error) {
	if err := c.verify(ctx, header, body); err != nil {
		if apperr.From(err) != nil {
			return pay.Notice{}, err // WeChat could not be asked for its certificates
		}
		return pay.Notice{}, pay.ErrSignature.Wrap(err)
	}
	notice, err := decodeNotice(c.config, body)
	if err != nil {
		return pay.Notice{}, pay.ErrMalformed.Wrap(err)
	}
	return notice, nil
}

func decodeNotice(c Config, body []byte) (pay.Notice, error) {
	var envelope struct {
		ID       string `json:"id"`
		Event    string `json:"event_type"`
		Type     string `json:"resource_type"`
		Resource sealed `json:"resource"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return pay.Notice{}, errors.New("no notice")
	}
	if envelope.ID == "" || len(envelope.ID) > 64 || envelope.Type != "encrypt-resource" {
		return pay.Notice{}, errors.New("no notice")
	}
	plain, err := envelope.Resource.open(c.V3Key)
	if err != nil {
		return pay.Notice{}, err
	}
	n := pay.Notice{Provider: pay.WeChat, ID: envelope.ID, Event: pay.Clip(envelope.Event)}
	switch {
	case strings.HasPrefix(envelope.Event, "TRANSACTION."):
		var t transaction
		if err := json.Unmarshal(plain, &t); err != nil {
			return pay.Notice{}, errors.New("no transaction")
		}
		p, err := t.payment(c)
		if err != nil {
			return pay.Notice{}, err
		}
		n.Payment = &p
	case strings.HasPrefix(envelope.Event, "REFUND."):
		var r refund
		if err := json.Unmarshal(plain, &r); err != nil {
			return pay.Notice{}, errors.New("no refund")
		}
		if r.MchID != "" && r.MchID != c.MchID {
			return pay.Notice{}, errors.New("another merchant")
		}
		out, err := r.refund(r.NoticeStatus)
		if err != nil {
			return pay.Notice{}, err
		}
		n.Refund = &out
	}
	return n, nil
}

// Answer implements pay.Provider: 200 ends the repetitions, whatever it says.
func (c *Client) Answer(taken bool) pay.Reply {
	if taken {
		return pay.Reply{Status: http.StatusOK, ContentType: "application/json", Body: []byte(`{"code":"SUCCESS","message":"OK"}`)}
	}
	return pay.Reply{Status: http.StatusInternalServerError, ContentType: "application/json", Body: []byte(`{"code":"FAIL","message":"try again"}`)}
}

var _ pay.Provider = (*Client)(nil)
