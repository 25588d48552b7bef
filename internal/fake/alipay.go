package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"crypto/rsa"
)

// Account of the Alipay stand-in.
const (
	AlipayAppID    = "2021000000000001"
	AlipaySellerID = "2088000000000001"
)

var alipayKeys = sync.OnceValue(func() (keys struct{ app, platform *rsa.PrivateKey }) {
	keys.app, keys.platform = standInKey("alipay_app"), standInKey("alipay_platform")
	return keys
})

const alipayTime = "2006-01-02 15:04:05"

// alipayContent is what a signature covers.
func alipayContent(form url.Values, without ...string) string {
	var names []string
next:
	for name := range form {
		for _, w := range append(without, "sign") {
			if name == w {
				continue next
			}
		}
		if form.Get(name) != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var b strings.Builder
	for n, name := range names {
		if n > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + form.Get(name))
	}
	return b.String()
}

// alipayTargets are the operations by method.
var alipayTargets = map[string]string{
	"alipay.trade.precreate": "alipay.prepay", "alipay.trade.query": "alipay.query", "alipay.trade.close": "alipay.close",
	"alipay.trade.refund": "alipay.refund", "alipay.trade.fastpay.refund.query": "alipay.refund_query",
}

func (s *Server) routeAlipay() {
	s.mux.HandleFunc("POST /gateway.do", func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(w, r)
		form, formErr := url.ParseQuery(string(body))
		if err != nil || formErr != nil {
			reply{status: http.StatusBadRequest}.send(w)
			return
		}
		method := form.Get("method")
		target := alipayTargets[method]
		if target == "" {
			target = "alipay.query" // an unknown method is refused below, whatever is ordered
		}
		s.answer(w, r, body, operation{
			target: target, busy: "20000", limit: "40005", spoil: signedBadly,
			effect: func(*http.Request, []byte) reply {
				s.pay.mu.Lock()
				defer s.pay.mu.Unlock()
				return s.alipayCall(form)
			},
			refuse: func(_ *http.Request, code string) reply {
				code, sub, _ := strings.Cut(code, " ")
				return alipayAnswer(method, code, map[string]any{"sub_code": sub})
			},
		})
	})
	s.mux.HandleFunc("GET /gateway.do", func(w http.ResponseWriter, r *http.Request) {
		number, err := s.OpenOrder(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "A page to pay %s. Pay it by POST %s/_control/pay/pay {\"number\":%q}\n", number, s.URL, number)
	})
}

// alipayAnswer signs an object; blanks in it show who verifies other bytes than
// those that came.
func alipayAnswer(method, code string, content map[string]any) reply {
	content["code"], content["msg"] = code, map[string]string{"10000": "Success", "40004": "Business Failed", "20000": "Service Currently Unavailable"}[code]
	inner, err := json.MarshalIndent(content, "", " ")
	if err != nil {
		panic(err)
	}
	text := strings.ReplaceAll(string(inner), "/", `\/`)
	body := `{"` + strings.ReplaceAll(method, ".", "_") + `_response":` + text + `,"sign":"` + rsaSign(alipayKeys().platform, text) + `"}`
	return reply{status: http.StatusOK, header: http.Header{"Content-Type": {"text/html;charset=utf-8"}}, body: []byte(body)}
}

// alipayGateway refuses what is not taken for a customer's request: unsigned.
func alipayGateway(code, sub string) reply {
	return jsonReply(http.StatusOK, map[string]any{"error_response": map[string]any{"code": code, "msg": "stand-in", "sub_code": sub, "sub_msg": "stand-in"}})
}

// checkAlipay verifies a request, or says how it is refused.
func (s *Server) checkAlipay(form url.Values) (code, sub string) {
	switch {
	case form.Get("app_id") != AlipayAppID:
		return "40002", "isv.invalid-app-id"
	case form.Get("sign_type") != "RSA2" || form.Get("charset") != "utf-8" || form.Get("version") != "1.0" || form.Get("format") != "JSON":
		return "40002", "isv.invalid-signature-type"
	case !rsaVerify(&alipayKeys().app.PublicKey, form.Get("sign"), alipayContent(form)):
		return "40002", "isv.invalid-signature"
	}
	at, err := time.ParseInLocation(alipayTime, form.Get("timestamp"), beijing)
	if skew := s.now().Sub(at); err != nil || skew > 24*time.Hour || skew < -24*time.Hour {
		return "40002", "isv.invalid-timestamp"
	}
	return "", ""
}

type alipayBiz struct {
	Number   string   `json:"out_trade_no"`
	Subject  string   `json:"subject"`
	Total    string   `json:"total_amount"`
	Expires  string   `json:"time_expire"`
	Seller   string   `json:"seller_id"`
	Product  string   `json:"product_code"`
	Refund   string   `json:"refund_amount"`
	Request  string   `json:"out_request_no"`
	Reason   string   `json:"refund_reason"`
	Options  []string `json:"query_options"`
	TradeNo  string   `json:"trade_no"`
	Operator string   `json:"operator_id"`
}

// yuanFen reads yuan: digits, a point, two digits.
func yuanFen(s string) int64 {
	whole, rest, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole+rest, 10, 64)
	if err != nil || whole == "" || len(rest) != 2 || n <= 0 || n > 10_000_000_000 || s[0] == '+' {
		return 0
	}
	return n
}

func yuanText(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

func (s *Server) alipayCall(form url.Values) reply {
	if code, sub := s.checkAlipay(form); code != "" {
		return alipayGateway(code, sub)
	}
	method := form.Get("method")
	failed := func(sub string) reply {
		return alipayAnswer(method, "40004", map[string]any{"sub_code": sub, "sub_msg": "stand-in"})
	}
	var biz alipayBiz
	if json.Unmarshal([]byte(form.Get("biz_content")), &biz) != nil || !tradeNumber.MatchString(biz.Number) {
		return failed("ACQ.INVALID_PARAMETER")
	}
	if method == "alipay.trade.precreate" {
		o, sub := s.alipayTake(form, biz, "precreate")
		if sub != "" {
			return failed(sub)
		}
		return alipayAnswer(method, "10000", map[string]any{"out_trade_no": o.number, "qr_code": "https://qr.alipay.com/" + o.code})
	}
	o := s.pay.find(providerAlipay, biz.Number)
	if o == nil || !o.exists {
		if _, known := alipayTargets[method]; !known {
			return alipayGateway("40002", "isv.invalid-method")
		}
		return failed("ACQ.TRADE_NOT_EXIST")
	}
	o.late(s.now())
	switch method {
	case "alipay.trade.query":
		return alipayAnswer(method, "10000", o.alipayTrade())
	case "alipay.trade.close":
		if o.state != "NOTPAY" {
			return failed("ACQ.TRADE_STATUS_ERROR")
		}
		o.state = "CLOSED"
		return alipayAnswer(method, "10000", map[string]any{"out_trade_no": o.number, "trade_no": o.transaction})
	case "alipay.trade.refund":
		return s.alipayRefund(o, biz, failed)
	case "alipay.trade.fastpay.refund.query":
		for _, r := range o.refunds {
			if r.number == biz.Request {
				answer := map[string]any{"out_trade_no": o.number, "trade_no": o.transaction, "out_request_no": r.number, "refund_amount": yuanText(r.amount), "total_amount": yuanText(o.amount)}
				if r.state == "SUCCESS" {
					answer["refund_status"] = "REFUND_SUCCESS"
					if len(biz.Options) > 0 {
						answer["gmt_refund_pay"] = r.at.In(beijing).Format(alipayTime)
					}
				}
				return alipayAnswer(method, "10000", answer)
			}
		}
		return alipayAnswer(method, "10000", map[string]any{}) // that is how it says that there is none
	}
	return alipayGateway("40002", "isv.invalid-method")
}

// alipayTake makes an order, or says why not.
func (s *Server) alipayTake(form url.Values, biz alipayBiz, kind string) (*payOrder, string) {
	fen := yuanFen(biz.Total)
	if fen == 0 || biz.Subject == "" || strings.ContainsAny(biz.Subject, "/=&") || len(biz.Subject) > 256 || biz.Seller != "" && biz.Seller != AlipaySellerID || !strings.HasPrefix(form.Get("notify_url"), "http") {
		return nil, "ACQ.INVALID_PARAMETER"
	}
	o := &payOrder{
		provider: providerAlipay, number: biz.Number, kind: kind, title: biz.Subject, notify: form.Get("notify_url"), amount: fen, state: "NOTPAY",
		made: s.now(), code: random(12), transaction: "2026" + random(12), exists: kind != "precreate",
	}
	if biz.Expires != "" {
		at, err := time.ParseInLocation(alipayTime, biz.Expires, beijing)
		if err != nil || !at.After(s.now()) {
			return nil, "ACQ.INVALID_PARAMETER"
		}
		o.expires = at
	}
	o.content = fmt.Sprint(o.amount, o.title)
	o, same := s.pay.make(o)
	o.late(s.now())
	switch {
	case o.state == "SUCCESS":
		return nil, "ACQ.TRADE_HAS_SUCCESS"
	case o.state == "CLOSED":
		return nil, "ACQ.TRADE_HAS_CLOSE"
	case !same:
		return nil, "ACQ.CONTEXT_INCONSISTENT"
	}
	return o, ""
}

// OpenOrder is what a browser does with a page's address, or Alipay's app with
// an order string: the trade is made. It returns the number.
// Error: how Alipay refuses it.
func (s *Server) OpenOrder(orderString string) (string, error) {
	form, err := url.ParseQuery(orderString)
	if err != nil {
		return "", err
	}
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	if code, sub := s.checkAlipay(form); code != "" {
		return "", errors.New(code + " " + sub)
	}
	kind := map[string]string{"alipay.trade.page.pay": "page", "alipay.trade.app.pay": "app"}[form.Get("method")]
	var biz alipayBiz
	if json.Unmarshal([]byte(form.Get("biz_content")), &biz) != nil || !tradeNumber.MatchString(biz.Number) || kind == "" {
		return "", errors.New("ACQ.INVALID_PARAMETER")
	}
	o, sub := s.alipayTake(form, biz, kind)
	if sub != "" {
		return "", errors.New(sub)
	}
	return o.number, nil
}

// Scan is what a customer does with a precreated code before paying: only now
// there is a trade.
// Error: no such code.
func (s *Server) Scan(number string) error {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	o := s.pay.find(providerAlipay, number)
	if o == nil {
		return fmt.Errorf("no order %q", number)
	}
	o.exists = true
	return nil
}

// alipayStatus is TRADE_CLOSED also when all money went back.
func (o *payOrder) alipayStatus() string {
	switch {
	case o.state == "SUCCESS" && o.refundedAmount < o.amount:
		return "TRADE_SUCCESS"
	case o.state == "NOTPAY":
		return "WAIT_BUYER_PAY"
	}
	return "TRADE_CLOSED"
}

func (o *payOrder) alipayTrade() map[string]any {
	t := map[string]any{
		"out_trade_no": o.number, "trade_no": o.transaction, "trade_status": o.alipayStatus(), "total_amount": yuanText(o.amount),
		"buyer_logon_id": "138****0000", "buyer_user_id": "2088999999999999",
	}
	if !o.paid.IsZero() {
		t["send_pay_date"] = o.paid.In(beijing).Format(alipayTime)
	}
	return t
}

func (s *Server) alipayRefund(o *payOrder, biz alipayBiz, failed func(string) reply) reply {
	fen := yuanFen(biz.Refund)
	if fen == 0 {
		return failed("ACQ.INVALID_PARAMETER")
	}
	if biz.Request == "" { // a whole refund needs no number
		biz.Request = biz.Number
	}
	r, again, why := s.pay.refund(o, &payRefund{number: biz.Request, amount: fen, content: fmt.Sprint(fen)}, s.now())
	switch why {
	case "":
	case "content":
		return failed("ACQ.DISCORDANT_REPEAT_REQUEST")
	case "sum":
		return failed("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
	case "pause":
		return alipayAnswer("alipay.trade.refund", "40005", map[string]any{"sub_code": "isv.app-call-limited"})
	default:
		return failed("ACQ.TRADE_NOT_ALLOW_REFUND")
	}
	changed := "N"
	if !again && r.state == "SUCCESS" {
		changed = "Y"
		s.afterRefund(o, r)
	}
	return alipayAnswer("alipay.trade.refund", "10000", map[string]any{
		"out_trade_no": o.number, "trade_no": o.transaction, "fund_change": changed, "refund_fee": yuanText(o.refundedAmount), "buyer_user_id": "2088999999999999",
	})
}

// alipayNotice is a callback. The caller holds the lock.
func (s *Server) alipayNotice(o *payOrder, r *payRefund, spoil string) (http.Header, []byte) {
	now := s.now().In(beijing).Format(alipayTime)
	form := url.Values{
		"notify_time": {now}, "notify_type": {"trade_status_sync"}, "notify_id": {o.notice}, "app_id": {AlipayAppID}, "charset": {"utf-8"}, "version": {"1.0"},
		"sign_type": {"RSA2"}, "trade_no": {o.transaction}, "out_trade_no": {o.number}, "trade_status": {o.alipayStatus()}, "total_amount": {yuanText(o.amount)},
		"receipt_amount": {yuanText(o.amount)}, "seller_id": {AlipaySellerID}, "buyer_id": {"2088999999999999"}, "subject": {o.title}, "passback_params": {""},
		"fund_bill_list": {`[{"amount":"` + yuanText(o.amount) + `","fundChannel":"ALIPAYACCOUNT"}]`},
	}
	if !o.paid.IsZero() {
		form.Set("gmt_payment", o.paid.In(beijing).Format(alipayTime))
	}
	switch {
	case r != nil:
		form.Set("notify_id", r.notice)
		form.Set("out_biz_no", r.number)
		form.Set("refund_fee", yuanText(o.refundedAmount))
		form.Set("gmt_refund", r.at.In(beijing).Format(alipayTime))
	case o.state == "SUCCESS":
		form.Set("trade_status", "TRADE_SUCCESS") // as it was when the money came
	}
	if spoil != "" {
		form.Set("notify_id", random(16))
	}
	switch spoil {
	case "amount":
		form.Set("total_amount", yuanText(o.amount+1))
	case "currency": // Alipay's notices have none; another seller is as wrong
		form.Set("seller_id", "2088000000000999")
	case "number":
		form.Set("out_trade_no", "UNKNOWN"+random(8))
	case "merchant":
		form.Set("app_id", "2021000000000999")
	case "garbage":
		form.Set("trade_status", "TRADE_MELTED")
	}
	form.Set("sign", rsaSign(alipayKeys().platform, alipayContent(form, "sign_type", "alipay_cert_sn")))
	switch spoil {
	case "signature", "probe", "stale": // Alipay's signature has no time, so all three are a changed value
		form.Set("total_amount", yuanText(o.amount-1))
	}
	return http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, []byte(form.Encode())
}
