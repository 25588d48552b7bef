package fake

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed keys/*.pem
var keyFiles embed.FS

// standInKey is one of the stand-ins' key pairs. They are in the open on
// purpose, like the stand-ins' passwords.
func standInKey(name string) *rsa.PrivateKey {
	key, err := x509.ParsePKCS8PrivateKey(mustPEM(name))
	if err != nil {
		panic(err) // embedded, so a mistake of this package
	}
	return key.(*rsa.PrivateKey)
}

func mustPEM(name string) []byte {
	text, err := keyFiles.ReadFile("keys/" + name + ".pem")
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func privateText(name string) string { return base64.StdEncoding.EncodeToString(mustPEM(name)) }

func publicText(name string) string {
	raw, err := x509.MarshalPKIXPublicKey(&standInKey(name).PublicKey)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// rsaSign and rsaVerify are the stand-ins' own: RSA over SHA-256 of parts that
// are written one after the other.
func rsaSign(key *rsa.PrivateKey, parts ...string) string {
	sum := sha256.New()
	for _, p := range parts {
		_, _ = io.WriteString(sum, p)
	}
	raw, err := key.Sign(rand.Reader, sum.Sum(nil), crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func rsaVerify(key *rsa.PublicKey, signature string, parts ...string) bool {
	sum := sha256.New()
	for _, p := range parts {
		_, _ = io.WriteString(sum, p)
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum.Sum(nil), raw) == nil
}

// beijing is where the providers' clocks hang.
var beijing = time.FixedZone("", 8*3600)

// Providers of payments.
const (
	providerWeChat = "wechat_pay"
	providerAlipay = "alipay"
)

// Rules of refunds.
const (
	refundsMost  = 50
	refundsUntil = 365 * 24 * time.Hour
)

// payCentre is what the payment stand-ins know.
type payCentre struct {
	mu         sync.Mutex
	orders     []*payOrder
	deliveries []Delivery
	callbacks  bool          // by themselves
	refundWait bool          // refunds stay in progress until told
	pause      time.Duration // between two refunds of one payment
	platform   wechatPlatform
}

func (c *payCentre) init() { c.callbacks = true }

type payOrder struct {
	provider, number, kind, title, notify, openID, content, code string

	amount         int64
	state          string // NOTPAY, SUCCESS, CLOSED
	exists         bool   // Alipay's precreated codes are no trade until scanned
	transaction    string
	notice         string
	made, paid     time.Time
	expires        time.Time
	refunds        []*payRefund
	refundedAmount int64 // of those that succeeded
}

type payRefund struct {
	number, id, content, notify, state, notice string // state PROCESSING, SUCCESS, CLOSED, ABNORMAL

	amount   int64
	at, made time.Time
}

// Paid is money that a stand-in took.
type Paid struct {
	Provider      string    `json:"provider"`
	Number        string    `json:"number"`
	TransactionID string    `json:"transaction_id"`
	Amount        int64     `json:"amount"` // fen
	At            time.Time `json:"at"`
}

// Refunded is money that a stand-in gave back.
type Refunded struct {
	Provider string    `json:"provider"`
	Number   string    `json:"number"`
	Payment  string    `json:"payment"`
	Amount   int64     `json:"amount"` // fen
	State    string    `json:"state"`
	At       time.Time `json:"at"`
}

// Payments lists what was really paid.
func (s *Server) Payments() []Paid {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	list := []Paid{}
	for _, o := range s.pay.orders {
		if !o.paid.IsZero() {
			list = append(list, Paid{o.provider, o.number, o.transaction, o.amount, o.paid})
		}
	}
	return list
}

// Refunds lists refunds in every state.
func (s *Server) Refunds() []Refunded {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	list := []Refunded{}
	for _, o := range s.pay.orders {
		for _, r := range o.refunds {
			list = append(list, Refunded{o.provider, r.number, o.number, r.amount, r.state, r.made})
		}
	}
	return list
}

// PayState is the state of a number: NOTPAY, SUCCESS, CLOSED, or nothing.
func (s *Server) PayState(number string) string {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	if o := s.pay.find("", number); o != nil {
		return o.state
	}
	return ""
}

// find looks for a number; an empty provider means any, an empty number the
// last one that can be paid.
func (c *payCentre) find(provider, number string) *payOrder {
	for _, o := range slices.Backward(c.orders) {
		if (provider == "" || o.provider == provider) && (o.number == number || number == "" && o.state == "NOTPAY") {
			return o
		}
	}
	return nil
}

// late closes what nobody paid in time.
func (o *payOrder) late(now time.Time) {
	if o.state == "NOTPAY" && !o.expires.IsZero() && !now.Before(o.expires) {
		o.state = "CLOSED"
	}
}

// make takes an order, or finds the same one. The second result is false for
// other content under the same number.
func (c *payCentre) make(o *payOrder) (*payOrder, bool) {
	if known := c.find(o.provider, o.number); known != nil {
		return known, known.content == o.content
	}
	c.orders = append(c.orders, o)
	return o, true
}

// refund gives money back, or finds the same refund.
// why: notpaid, total, content, sum, count, pause, old.
func (c *payCentre) refund(o *payOrder, r *payRefund, now time.Time) (made *payRefund, again bool, why string) {
	for _, known := range o.refunds {
		if known.number == r.number {
			if known.content != r.content {
				return nil, true, "content"
			}
			return known, true, ""
		}
	}
	sum := r.amount
	for _, known := range o.refunds {
		if known.state != "CLOSED" {
			sum += known.amount
		}
		if now.Sub(known.made) < c.pause {
			return nil, false, "pause"
		}
	}
	switch {
	case o.state != "SUCCESS":
		return nil, false, "notpaid"
	case sum > o.amount:
		return nil, false, "sum"
	case len(o.refunds) >= refundsMost:
		return nil, false, "count"
	case now.Sub(o.paid) > refundsUntil:
		return nil, false, "old"
	}
	r.made, r.state = now, "PROCESSING"
	o.refunds = append(o.refunds, r)
	if !c.refundWait {
		o.settle(r, "SUCCESS", now)
	}
	return r, false, ""
}

func (o *payOrder) settle(r *payRefund, state string, now time.Time) {
	r.state, r.notice, r.at = state, random(16), now
	if state == "SUCCESS" {
		o.refundedAmount += r.amount
	}
}

// Pay orders a payment as a customer makes it.
type Pay struct {
	Number   string `json:"number,omitempty"`   // the last order that can be paid when empty
	Provider string `json:"provider,omitempty"` // wechat_pay or alipay
	Silent   bool   `json:"silent,omitempty"`   // no notice follows
}

// Pay pays a number and, unless silent, sends the notice; the answer to it is
// in the result.
// Error: nothing to pay.
func (s *Server) Pay(p Pay) (Delivery, error) {
	s.pay.mu.Lock()
	o := s.pay.find(p.Provider, p.Number)
	if o == nil {
		s.pay.mu.Unlock()
		return Delivery{}, fmt.Errorf("no order %q to pay", p.Number)
	}
	o.late(s.now())
	if o.state != "NOTPAY" {
		defer s.pay.mu.Unlock()
		return Delivery{}, fmt.Errorf("order %s cannot be paid: it is %s", o.number, o.state)
	}
	o.state, o.exists, o.paid, o.notice = "SUCCESS", true, s.now(), random(16)
	if o.transaction == "" {
		o.transaction = "42" + random(13)
	}
	callbacks := s.pay.callbacks
	s.pay.mu.Unlock()
	if p.Silent || !callbacks {
		return Delivery{Number: o.number}, nil
	}
	d := s.deliver(Callback{Number: o.number, Provider: o.provider})
	if !d.Taken {
		go s.again(Callback{Number: o.number, Provider: o.provider})
	}
	return d, nil
}

// again repeats a notice that was not taken, as the providers do.
func (s *Server) again(c Callback) {
	for _, wait := range []time.Duration{15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute} {
		select {
		case <-s.stop:
			return
		case <-time.After(wait):
		}
		if s.deliver(c).Taken {
			return
		}
	}
}

// Callback orders a notice.
type Callback struct {
	Number   string `json:"number"` // of the payment
	Provider string `json:"provider,omitempty"`
	Refund   string `json:"refund,omitempty"`   // of a refund: the notice is about that
	Times    int    `json:"times,omitempty"`    // how often, one after the other; 1 when 0
	DelayMS  int    `json:"delay_ms,omitempty"` // before each
	Spoil    string `json:"spoil,omitempty"`    // one of Spoils
	To       string `json:"to,omitempty"`       // another address than the order's
}

// Spoils are the ways to get a notice wrong. All but signature, probe and stale
// are rightly signed.
var Spoils = []string{"signature", "probe", "stale", "amount", "currency", "number", "merchant", "garbage"}

// Delivery is what became of a notice.
type Delivery struct {
	Number string `json:"number"`
	Refund string `json:"refund,omitempty"`
	Spoil  string `json:"spoil,omitempty"`
	Status int    `json:"status"`
	Body   string `json:"body"`
	Taken  bool   `json:"taken"` // answered so that the provider sends it no more
	Error  string `json:"error,omitempty"`
}

// SendCallback sends notices and returns what became of each.
// Error: an order that makes no sense.
func (s *Server) SendCallback(c Callback) ([]Delivery, error) {
	if c.Spoil != "" && !slices.Contains(Spoils, c.Spoil) {
		return nil, fmt.Errorf("spoil %q is none of %v", c.Spoil, Spoils)
	}
	s.pay.mu.Lock()
	o := s.pay.find(c.Provider, c.Number)
	known := o != nil && c.Number != "" && (c.Refund == "" || slices.ContainsFunc(o.refunds, func(r *payRefund) bool { return r.number == c.Refund }))
	s.pay.mu.Unlock()
	if !known {
		return nil, errors.New("no such payment or refund; give number, and refund for a refund's notice")
	}
	var all []Delivery
	for range max(1, c.Times) {
		time.Sleep(time.Duration(c.DelayMS) * time.Millisecond)
		all = append(all, s.deliver(c))
	}
	return all, nil
}

// Deliveries lists what became of all notices.
func (s *Server) Deliveries() []Delivery {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	return slices.Clone(s.pay.deliveries)
}

var callbackClient = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *Server) deliver(c Callback) Delivery {
	s.pay.mu.Lock()
	o := s.pay.find(c.Provider, c.Number)
	var r *payRefund
	for _, one := range o.refunds {
		if one.number == c.Refund {
			r = one
		}
	}
	var (
		header http.Header
		body   []byte
	)
	to := o.notify
	if o.provider == providerWeChat {
		if r != nil && r.notify != "" {
			to = r.notify
		}
		header, body = s.wechatNotice(o, r, c.Spoil)
	} else {
		header, body = s.alipayNotice(o, r, c.Spoil)
	}
	s.pay.mu.Unlock()
	if c.To != "" {
		to = c.To
	}
	d := Delivery{Number: o.number, Refund: c.Refund, Spoil: c.Spoil}
	if err := s.post(to, header, body, &d); err != nil {
		d.Error = err.Error()
	}
	if o.provider == providerWeChat {
		d.Taken = d.Status == http.StatusOK || d.Status == http.StatusNoContent
	} else {
		d.Taken = d.Status == http.StatusOK && d.Body == "success"
	}
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	s.pay.deliveries = append(s.pay.deliveries, d)
	return d
}

func (s *Server) post(to string, header http.Header, body []byte, d *Delivery) error {
	req, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body)) //nolint:noctx // the client has a limit of its own
	if err != nil {
		return err
	}
	req.Header = header
	res, err := callbackClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	d.Status, d.Body = res.StatusCode, string(raw)
	return err
}

// SettleRefund ends a refund that is in progress, or changes how it ended:
// SUCCESS, CLOSED or ABNORMAL. It sends no notice.
// Error: no such refund or state.
func (s *Server) SettleRefund(number, state string) error {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	if !slices.Contains([]string{"SUCCESS", "CLOSED", "ABNORMAL", "PROCESSING"}, state) {
		return fmt.Errorf("state %q is none of SUCCESS, CLOSED, ABNORMAL, PROCESSING", state)
	}
	for _, o := range s.pay.orders {
		for _, r := range o.refunds {
			if r.number == number {
				if r.state == "SUCCESS" {
					o.refundedAmount -= r.amount
				}
				o.settle(r, state, s.now())
				return nil
			}
		}
	}
	return fmt.Errorf("no refund %q", number)
}

// PaySettings say how the payment stand-ins behave. Absent parts stay.
type PaySettings struct {
	Callbacks    *bool  `json:"callbacks,omitempty"`            // notices by themselves; true
	RefundsWait  *bool  `json:"refunds_wait,omitempty"`         // refunds stay in progress until settled; false
	RefundPauseS *int   `json:"refund_pause_seconds,omitempty"` // WeChat wants 60 between two refunds of a payment; 0 here
	SignWith     string `json:"sign_with,omitempty"`            // public_key or certificate: WeChat's notices, and answers to those who do not say
}

// SetPay changes how the payment stand-ins behave.
// Error: an unknown way to sign.
func (s *Server) SetPay(p PaySettings) error {
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	switch p.SignWith {
	case "":
	case "public_key", "certificate":
		s.pay.platform.certificates = p.SignWith == "certificate"
	default:
		return fmt.Errorf("sign_with %q is neither public_key nor certificate", p.SignWith)
	}
	if p.Callbacks != nil {
		s.pay.callbacks = *p.Callbacks
	}
	if p.RefundsWait != nil {
		s.pay.refundWait = *p.RefundsWait
	}
	if p.RefundPauseS != nil {
		s.pay.pause = time.Duration(*p.RefundPauseS) * time.Second
	}
	return nil
}

// afterRefund sends the notice of a refund a moment later.
func (s *Server) afterRefund(o *payOrder, r *payRefund) {
	if !s.pay.callbacks || r.state == "PROCESSING" || o.provider == providerWeChat && r.notify == "" {
		return
	}
	c := Callback{Number: o.number, Provider: o.provider, Refund: r.number}
	go func() {
		select {
		case <-s.stop:
		case <-time.After(50 * time.Millisecond):
			if !s.deliver(c).Taken {
				s.again(c)
			}
		}
	}()
}

func (s *Server) routePay() {
	s.routeWeChatPay()
	s.routeAlipay()
	control(s, "POST /_control/pay/pay", func(p Pay) (any, error) { return s.Pay(p) })
	control(s, "POST /_control/pay/callbacks", func(c Callback) (any, error) {
		all, err := s.SendCallback(c)
		return map[string]any{"items": all}, err
	})
	control(s, "POST /_control/pay/refunds", func(in struct {
		Number string `json:"number"`
		State  string `json:"state"`
	}) (any, error) {
		return in, s.SettleRefund(in.Number, in.State)
	})
	control(s, "POST /_control/pay/settings", func(p PaySettings) (any, error) { return p, s.SetPay(p) })
	control(s, "POST /_control/pay/rotate-certificate", func(struct{}) (any, error) { return done, s.RotateCertificate() })
	control(s, "POST /_control/pay/scan", func(in struct {
		Number string `json:"number"`
	}) (any, error) {
		return in, s.Scan(in.Number)
	})
	control(s, "POST /_control/pay/app", func(in struct {
		OrderString string `json:"order_string"`
	}) (any, error) {
		number, err := s.OpenOrder(in.OrderString)
		return map[string]string{"number": number}, err
	})
	list := func(path string, items func() any) {
		s.mux.HandleFunc("GET /_control/pay/"+path, func(w http.ResponseWriter, _ *http.Request) {
			jsonReply(http.StatusOK, map[string]any{"items": items()}).send(w)
		})
	}
	list("payments", func() any { return s.Payments() })
	list("refunds", func() any { return s.Refunds() })
	list("deliveries", func() any { return slices.Concat([]Delivery{}, s.Deliveries()) })
}

// signedBadly is an answer whose signature is of other bytes.
func signedBadly(r reply) reply {
	if r.header.Get("Wechatpay-Signature") != "" {
		r.header.Set("Wechatpay-Nonce", random(16))
		return r
	}
	r.body = bytes.Replace(r.body, []byte(`"msg"`), []byte(`"Msg"`), 1)
	return r
}

// plainNotify: WeChat refuses addresses with a query; others are refused by all.
func plainNotify(address string) bool {
	return strings.HasPrefix(address, "http") && !strings.ContainsAny(address, "?#")
}
