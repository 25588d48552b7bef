package alipay

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/shuke-crm/shuke/internal/platform/pay"
)

// trade is a payment in answers and notices.
type trade struct {
	Number   string `json:"out_trade_no"`
	ID       string `json:"trade_no"`
	Status   string `json:"trade_status"`
	Total    string `json:"total_amount"`
	BuyerID  string `json:"buyer_user_id"`
	OpenID   string `json:"buyer_open_id"`
	SentAt   string `json:"send_pay_date"`
	PaidAt   string `json:"-"` // gmt_payment of notices
	refunded bool
}

func (t trade) payment() (pay.Payment, error) {
	p := pay.Payment{Number: t.Number, ProviderID: t.ID, Currency: "CNY", PayerID: t.BuyerID, Refunded: t.refunded}
	if p.PayerID == "" {
		p.PayerID = t.OpenID
	}
	switch t.Status {
	case "WAIT_BUYER_PAY":
		p.State = pay.Pending
	case "TRADE_SUCCESS", "TRADE_FINISHED":
		p.State = pay.Succeeded
	case "TRADE_CLOSED":
		p.State = pay.Closed
		// The same word stands for a trade that ended unpaid and for one refunded in
		// full; only the latter has a time of payment.
		if t.PaidAt != "" || t.refunded {
			p.State, p.Refunded = pay.Succeeded, true
		}
	default:
		return pay.Payment{}, errors.New("an unknown state")
	}
	if t.Number == "" || len(t.Number) > 64 || len(t.ID) > 64 || len(p.PayerID) > 128 {
		return pay.Payment{}, errors.New("no number, or too long a one")
	}
	var err error
	if p.Amount, err = pay.ParseYuan(t.Total); err != nil || p.Amount == 0 {
		return pay.Payment{}, errors.New("no amount")
	}
	if t.PaidAt != "" {
		at, err := time.ParseInLocation(timeLayout, t.PaidAt, pay.Beijing)
		if err != nil {
			return pay.Payment{}, errors.New("no time")
		}
		p.PaidAt = at.UTC()
	}
	if p.State == pay.Succeeded && p.ProviderID == "" {
		return pay.Payment{}, errors.New("a payment without a number")
	}
	return p, nil
}

// ParseCallback implements pay.Provider.
func (c *Client) ParseCallback(_ context.Context, _ http.Header, body []byte) (pay.Notice, error) {
	form, err := decodeForm(body)
	if err != nil {
		return pay.Notice{}, pay.ErrMalformed.Wrap(err)
	}
	if form["sign_type"] != "RSA2" {
		return pay.Notice{}, pay.ErrSignature.Wrap(errors.New("not signed with RSA2"))
	}
	message := []byte(content(form, "sign_type", "alipay_cert_sn"))
	if err := c.verify(message, form["sign"], form["alipay_cert_sn"]); err != nil {
		return pay.Notice{}, pay.ErrSignature.Wrap(err)
	}
	notice, err := decodeNotice(c.config, form)
	if err != nil {
		return pay.Notice{}, pay.ErrMalformed.Wrap(err)
	}
	return notice, nil
}

// decodeForm reads a form in which every name stands once.
func decodeForm(body []byte) (map[string]string, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("no form")
	}
	form := map[string]string{}
	for name, list := range values {
		if len(list) != 1 || !utf8.ValidString(list[0]) {
			return nil, errors.New("a name stands twice, or is not UTF-8")
		}
		form[name] = list[0]
	}
	return form, nil
}

func decodeNotice(c Config, form map[string]string) (pay.Notice, error) {
	if form["app_id"] != c.AppID || form["seller_id"] != "" && c.SellerID != "" && form["seller_id"] != c.SellerID {
		return pay.Notice{}, errors.New("another app or seller")
	}
	n := pay.Notice{Provider: pay.Alipay, ID: form["notify_id"], Event: pay.Clip(form["trade_status"])}
	if n.ID == "" || len(n.ID) > 128 {
		return pay.Notice{}, errors.New("no number of the notice")
	}
	if form["trade_status"] == "" {
		return n, nil // about something else
	}
	if form["seller_id"] == "" {
		return pay.Notice{}, errors.New("no seller")
	}
	t := trade{Number: form["out_trade_no"], ID: form["trade_no"], Status: form["trade_status"], Total: form["total_amount"],
		BuyerID: form["buyer_id"], OpenID: form["buyer_open_id"], PaidAt: form["gmt_payment"], refunded: form["refund_fee"] != ""}
	p, err := t.payment()
	if err != nil {
		return pay.Notice{}, err
	}
	n.Payment = &p
	if number := form["out_biz_no"]; number != "" && t.refunded && len(number) <= 64 {
		// refund_fee is the sum of all refunds, so this only says: ask about that one.
		n.Refund = &pay.Refund{Number: number, PaymentNumber: p.Number, ProviderID: p.ProviderID, State: pay.RefundPending, Currency: "CNY"}
	}
	return n, nil
}

// Answer implements pay.Provider: exactly these seven bytes end the repetitions.
func (c *Client) Answer(taken bool) pay.Reply {
	text := "fail"
	if taken {
		text = "success"
	}
	return pay.Reply{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(text)}
}

var _ pay.Provider = (*Client)(nil)
