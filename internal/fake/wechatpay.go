package fake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Account of the WeChat Pay stand-in.
const (
	WeChatPayMchID       = "1900000001"
	WeChatPaySerial      = "3775B6A45ACD588826D15E583A95F5DD00000001"
	WeChatPayV3Key       = "stand-in-wechat-pay-v3-key-00001"
	WeChatPayPublicKeyID = "PUB_KEY_ID_0119000000012026010100000000000001"
)

// wechatPlatform are the platform's keys.
type wechatPlatform struct {
	certificates bool // else the public key
	list         []platformCertificate
}

type platformCertificate struct {
	serial      string
	key         *rsa.PrivateKey
	text        []byte
	from, until time.Time
}

var wechatKeys = sync.OnceValue(func() (keys struct{ merchant, public, certificate *rsa.PrivateKey }) {
	keys.merchant, keys.public, keys.certificate = standInKey("wechat_merchant"), standInKey("wechat_platform"), standInKey("wechat_certificate")
	return keys
})

func newCertificate(key *rsa.PrivateKey, now time.Time) platformCertificate {
	c := platformCertificate{key: key, from: now.Add(-time.Hour).Truncate(time.Second), until: now.Add(5 * 365 * 24 * time.Hour).Truncate(time.Second)}
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	raw[0] = raw[0]&0x7f | 0x40 // a serial is positive and has 40 digits
	number := new(big.Int).SetBytes(raw)
	template := &x509.Certificate{SerialNumber: number, Subject: pkix.Name{CommonName: "stand-in"}, NotBefore: c.from, NotAfter: c.until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	c.serial = strings.ToUpper(fmt.Sprintf("%x", number))
	c.text = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return c
}

// current makes the first certificate when somebody needs it.
func (p *wechatPlatform) current(now time.Time) platformCertificate {
	if len(p.list) == 0 {
		p.list = append(p.list, newCertificate(wechatKeys().certificate, now))
	}
	return p.list[len(p.list)-1]
}

// RotateCertificate makes a new platform certificate, which signs from now on;
// the old one stays on the list.
// Error: no key could be made.
func (s *Server) RotateCertificate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	s.pay.mu.Lock()
	defer s.pay.mu.Unlock()
	s.pay.platform.current(s.now())
	s.pay.platform.list = append(s.pay.platform.list, newCertificate(key, s.now()))
	return nil
}

// stamp signs a body as the platform: the headers. The caller holds the lock.
func (s *Server) stamp(body []byte, wanted string, at time.Time) http.Header {
	key, serial := wechatKeys().public, WeChatPayPublicKeyID
	if wanted != "" && !strings.HasPrefix(wanted, "PUB_KEY_ID_") || wanted == "" && s.pay.platform.certificates {
		c := s.pay.platform.current(s.now())
		key, serial = c.key, c.serial
	}
	seconds, nonce := strconv.FormatInt(at.Unix(), 10), random(16)
	return http.Header{
		"Content-Type": {"application/json"}, "Request-Id": {"08" + strings.ToUpper(random(12))},
		"Wechatpay-Timestamp": {seconds}, "Wechatpay-Nonce": {nonce}, "Wechatpay-Serial": {serial},
		"Wechatpay-Signature": {rsaSign(key, seconds, "\n", nonce, "\n", string(body), "\n")},
	}
}

func (s *Server) wechatAnswer(r *http.Request, status int, v any) reply {
	out := reply{status: status}
	if v != nil {
		out = jsonReply(status, v)
	}
	out.header = s.stamp(out.body, r.Header.Get("Wechatpay-Serial"), s.now())
	return out
}

func (s *Server) wechatRefuse(r *http.Request, status int, code string) reply {
	return s.wechatAnswer(r, status, map[string]any{"code": code, "message": "stand-in: " + code})
}

func (s *Server) routeWeChatPay() {
	op := func(pattern, target string, effect func(*http.Request, []byte) reply) {
		s.handle(pattern, operation{
			target: target, busy: "SYSTEM_ERROR", limit: "FREQUENCY_LIMITED", spoil: signedBadly,
			effect: func(r *http.Request, body []byte) reply {
				s.pay.mu.Lock()
				defer s.pay.mu.Unlock()
				if refused, bad := s.checkAuthorization(r, body); bad {
					return refused
				}
				return effect(r, body)
			},
			refuse: func(r *http.Request, code string) reply {
				s.pay.mu.Lock()
				defer s.pay.mu.Unlock()
				status := map[string]int{"SYSTEM_ERROR": 500, "BANK_ERROR": 500, "FREQUENCY_LIMITED": 429, "RATE_LIMITED": 429, "SIGN_ERROR": 401, "NO_AUTH": 403,
					"ORDER_NOT_EXIST": 404, "RESOURCE_NOT_EXISTS": 404, "NOT_ENOUGH": 403, "OUT_TRADE_NO_USED": 403}[code]
				if status == 0 {
					status = http.StatusBadRequest
				}
				return s.wechatRefuse(r, status, code)
			},
		})
	}
	op("POST /v3/pay/transactions/jsapi", "wechatpay.prepay", s.wechatPrepay)
	op("POST /v3/pay/transactions/native", "wechatpay.prepay", s.wechatPrepay)
	op("GET /v3/pay/transactions/out-trade-no/{number}", "wechatpay.query", s.wechatQuery)
	op("POST /v3/pay/transactions/out-trade-no/{number}/close", "wechatpay.close", s.wechatClose)
	op("POST /v3/refund/domestic/refunds", "wechatpay.refund", s.wechatRefund)
	op("GET /v3/refund/domestic/refunds/{number}", "wechatpay.refund_query", s.wechatRefundQuery)
	op("GET /v3/certificates", "wechatpay.certificates", s.wechatCertificates)
}

var authorizationParts = regexp.MustCompile(`^WECHATPAY2-SHA256-RSA2048 mchid="([0-9]+)",nonce_str="([0-9A-Za-z]{1,32})",timestamp="([0-9]+)",serial_no="([0-9A-F]+)",signature="([A-Za-z0-9+/=]+)"$`)

// checkAuthorization verifies a request over the bytes that arrived.
func (s *Server) checkAuthorization(r *http.Request, body []byte) (reply, bool) {
	parts := authorizationParts.FindStringSubmatch(r.Header.Get("Authorization"))
	if r.Header.Get("Accept") != "application/json" || r.Header.Get("User-Agent") == "" || len(body) > 0 && r.Header.Get("Content-Type") != "application/json" {
		return s.wechatRefuse(r, http.StatusNotAcceptable, "PARAM_ERROR"), true
	}
	if parts == nil || parts[1] != WeChatPayMchID || parts[4] != WeChatPaySerial {
		return s.wechatRefuse(r, http.StatusUnauthorized, "SIGN_ERROR"), true
	}
	seconds, _ := strconv.ParseInt(parts[3], 10, 64)
	if skew := s.now().Sub(time.Unix(seconds, 0)); skew > 5*time.Minute || skew < -5*time.Minute {
		return s.wechatRefuse(r, http.StatusUnauthorized, "SIGN_ERROR"), true
	}
	if !rsaVerify(&wechatKeys().merchant.PublicKey, parts[5], r.Method, "\n", r.RequestURI, "\n", parts[3], "\n", parts[2], "\n", string(body), "\n") {
		return s.wechatAnswer(r, http.StatusUnauthorized, map[string]any{"code": "SIGN_ERROR", "message": "stand-in", "detail": map[string]any{
			"sign_information": map[string]any{"method": r.Method, "url": r.RequestURI, "truncated_sign_message": r.Method + "\n" + r.RequestURI + "\n" + parts[3] + "\n"},
		}}), true
	}
	return reply{}, false
}

var (
	tradeNumber  = regexp.MustCompile(`^[0-9A-Za-z_\-|*]{6,32}$`)
	refundNumber = regexp.MustCompile(`^[0-9A-Za-z_\-|*@]{1,64}$`)
)

func (s *Server) wechatPrepay(r *http.Request, body []byte) reply {
	var in struct {
		AppID       string `json:"appid"`
		MchID       string `json:"mchid"`
		Description string `json:"description"`
		Number      string `json:"out_trade_no"`
		Expires     string `json:"time_expire"`
		NotifyURL   string `json:"notify_url"`
		Amount      struct {
			Total    int64  `json:"total"`
			Currency string `json:"currency"`
		} `json:"amount"`
		Payer struct {
			OpenID string `json:"openid"`
		} `json:"payer"`
	}
	jsapi := strings.HasSuffix(r.URL.Path, "jsapi")
	if json.Unmarshal(body, &in) != nil || in.MchID != WeChatPayMchID || in.Description == "" || len(in.Description) > 127 || !tradeNumber.MatchString(in.Number) ||
		!plainNotify(in.NotifyURL) || in.Amount.Total <= 0 || in.Amount.Currency != "" && in.Amount.Currency != "CNY" || jsapi && in.Payer.OpenID == "" {
		return s.wechatRefuse(r, http.StatusBadRequest, "PARAM_ERROR")
	}
	if in.AppID != MiniAppID && in.AppID != OfficialAppID {
		return s.wechatRefuse(r, http.StatusBadRequest, "APPID_MCHID_NOT_MATCH")
	}
	o := &payOrder{
		provider: providerWeChat, number: in.Number, kind: "NATIVE", title: in.Description, notify: in.NotifyURL, openID: in.Payer.OpenID,
		amount: in.Amount.Total, state: "NOTPAY", exists: true, made: s.now(), code: random(16),
	}
	if jsapi {
		o.kind = "JSAPI"
	}
	if in.Expires != "" {
		at, err := time.Parse(time.RFC3339, in.Expires)
		if err != nil || !at.After(s.now()) {
			return s.wechatRefuse(r, http.StatusBadRequest, "PARAM_ERROR")
		}
		o.expires = at
	}
	// The time of expiry may differ between repetitions.
	o.content = fmt.Sprint(o.kind, in.AppID, o.openID, o.amount, o.title, o.notify)
	o, same := s.pay.make(o)
	o.late(s.now())
	switch {
	case o.state == "SUCCESS":
		return s.wechatRefuse(r, http.StatusBadRequest, "ORDERPAID")
	case o.state == "CLOSED":
		return s.wechatRefuse(r, http.StatusBadRequest, "ORDERCLOSED")
	case !same:
		return s.wechatRefuse(r, http.StatusForbidden, "OUT_TRADE_NO_USED")
	case jsapi:
		return s.wechatAnswer(r, http.StatusOK, map[string]any{"prepay_id": "wx" + o.code})
	}
	return s.wechatAnswer(r, http.StatusOK, map[string]any{"code_url": "weixin://wxpay/bizpayurl?pr=" + o.code})
}

func (s *Server) wechatTransaction(o *payOrder) map[string]any {
	t := map[string]any{
		"mchid": WeChatPayMchID, "appid": MiniAppID, "out_trade_no": o.number, "trade_state": o.state, "trade_state_desc": "stand-in",
		"attach": "", "amount": map[string]any{"total": o.amount, "payer_total": o.amount, "currency": "CNY", "payer_currency": "CNY"},
	}
	if o.state == "SUCCESS" {
		if len(o.refunds) > 0 {
			t["trade_state"] = "REFUND"
		}
		openID := o.openID
		if openID == "" {
			openID = "o-scanner"
		}
		t["transaction_id"], t["trade_type"], t["bank_type"] = o.transaction, o.kind, "OTHERS"
		t["success_time"], t["payer"], t["promotion_detail"] = o.paid.In(beijing).Format(time.RFC3339), map[string]any{"openid": openID}, []any{}
	}
	return t
}

func (s *Server) wechatQuery(r *http.Request, _ []byte) reply {
	o := s.pay.find(providerWeChat, r.PathValue("number"))
	if r.URL.Query().Get("mchid") != WeChatPayMchID {
		return s.wechatRefuse(r, http.StatusBadRequest, "PARAM_ERROR")
	}
	if o == nil {
		return s.wechatRefuse(r, http.StatusNotFound, "ORDER_NOT_EXIST")
	}
	o.late(s.now())
	return s.wechatAnswer(r, http.StatusOK, s.wechatTransaction(o))
}

func (s *Server) wechatClose(r *http.Request, body []byte) reply {
	var in struct {
		MchID string `json:"mchid"`
	}
	o := s.pay.find(providerWeChat, r.PathValue("number"))
	switch {
	case json.Unmarshal(body, &in) != nil || in.MchID != WeChatPayMchID:
		return s.wechatRefuse(r, http.StatusBadRequest, "PARAM_ERROR")
	case o == nil:
		return s.wechatRefuse(r, http.StatusNotFound, "ORDER_NOT_EXIST")
	case o.state == "SUCCESS":
		return s.wechatRefuse(r, http.StatusBadRequest, "ORDERPAID")
	}
	o.state = "CLOSED"
	return s.wechatAnswer(r, http.StatusNoContent, nil)
}

func (s *Server) wechatRefundAnswer(o *payOrder, r *payRefund) map[string]any {
	answer := map[string]any{
		"refund_id": r.id, "out_refund_no": r.number, "transaction_id": o.transaction, "out_trade_no": o.number, "channel": "ORIGINAL",
		"user_received_account": "支付用户零钱", "create_time": r.made.In(beijing).Format(time.RFC3339), "status": r.state, "funds_account": "AVAILABLE",
		"amount": map[string]any{"total": o.amount, "refund": r.amount, "payer_total": o.amount, "payer_refund": r.amount, "currency": "CNY"},
	}
	if r.state == "SUCCESS" {
		answer["success_time"] = r.at.In(beijing).Format(time.RFC3339)
	}
	return answer
}

func (s *Server) wechatRefund(r *http.Request, body []byte) reply {
	var in struct {
		Transaction string `json:"transaction_id"`
		Payment     string `json:"out_trade_no"`
		Number      string `json:"out_refund_no"`
		Reason      string `json:"reason"`
		NotifyURL   string `json:"notify_url"`
		Amount      struct {
			Refund   int64  `json:"refund"`
			Total    int64  `json:"total"`
			Currency string `json:"currency"`
		} `json:"amount"`
	}
	if json.Unmarshal(body, &in) != nil || !refundNumber.MatchString(in.Number) || in.Amount.Refund <= 0 || in.Amount.Currency != "CNY" || len(in.Reason) > 80 || in.NotifyURL != "" && !plainNotify(in.NotifyURL) {
		return s.wechatRefuse(r, http.StatusBadRequest, "PARAM_ERROR")
	}
	o := s.pay.find(providerWeChat, in.Payment)
	if o == nil || in.Payment == "" {
		return s.wechatRefuse(r, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
	}
	if in.Amount.Total != o.amount {
		return s.wechatRefuse(r, http.StatusBadRequest, "INVALID_REQUEST")
	}
	made, again, why := s.pay.refund(o, &payRefund{
		number: in.Number, id: "50" + random(12), amount: in.Amount.Refund, notify: in.NotifyURL, content: fmt.Sprint(in.Payment, in.Amount.Refund),
	}, s.now())
	switch why {
	case "":
	case "pause":
		return s.wechatRefuse(r, http.StatusTooManyRequests, "FREQUENCY_LIMITED")
	case "notpaid":
		return s.wechatRefuse(r, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
	default:
		return s.wechatRefuse(r, http.StatusBadRequest, "INVALID_REQUEST")
	}
	if !again {
		s.afterRefund(o, made)
	}
	answer := s.wechatRefundAnswer(o, made)
	if !again && made.state == "SUCCESS" {
		answer["status"] = "PROCESSING" // what the first answer says, however fast the money went
		delete(answer, "success_time")
	}
	return s.wechatAnswer(r, http.StatusOK, answer)
}

func (s *Server) wechatRefundQuery(r *http.Request, _ []byte) reply {
	for _, o := range s.pay.orders {
		for _, one := range o.refunds {
			if o.provider == providerWeChat && one.number == r.PathValue("number") {
				return s.wechatAnswer(r, http.StatusOK, s.wechatRefundAnswer(o, one))
			}
		}
	}
	return s.wechatRefuse(r, http.StatusNotFound, "RESOURCE_NOT_EXISTS")
}

func (s *Server) wechatCertificates(r *http.Request, _ []byte) reply {
	s.pay.platform.current(s.now())
	var data []any
	for _, c := range s.pay.platform.list {
		nonce := random(6)
		data = append(data, map[string]any{
			"serial_no": c.serial, "effective_time": c.from.In(beijing).Format(time.RFC3339), "expire_time": c.until.In(beijing).Format(time.RFC3339),
			"encrypt_certificate": map[string]any{
				"algorithm": "AEAD_AES_256_GCM", "nonce": nonce, "associated_data": "certificate", "ciphertext": wechatSeal(nonce, "certificate", c.text),
			},
		})
	}
	return s.wechatAnswer(r, http.StatusOK, map[string]any{"data": data})
}

func wechatSeal(nonce, aad string, plain []byte) string {
	return wechatSealWith(WeChatPayV3Key, nonce, aad, plain)
}

func wechatSealWith(key, nonce, aad string, plain []byte) string {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte(aad)))
}

// wechatNotice is a callback. The caller holds the lock.
func (s *Server) wechatNotice(o *payOrder, r *payRefund, spoil string) (http.Header, []byte) {
	event, kind, id, content := "TRANSACTION.SUCCESS", "transaction", o.notice, s.wechatTransaction(o)
	delete(content, "promotion_detail")
	if content["trade_state"] == "REFUND" {
		content["trade_state"] = "SUCCESS" // as it was when the money came
	}
	if r != nil {
		event, kind, id, content = "REFUND."+r.state, "refund", r.notice, s.wechatRefundAnswer(o, r)
		content["mchid"], content["refund_status"] = WeChatPayMchID, r.state
		delete(content, "status")
	}
	if spoil != "" {
		id = random(16) // what differs is another notice
	}
	amount := content["amount"].(map[string]any)
	switch spoil {
	case "amount":
		for _, name := range []string{"total", "refund"} {
			if _, has := amount[name]; has {
				amount[name] = o.amount + 1
			}
		}
	case "currency":
		amount["currency"] = "USD"
	case "number":
		content["out_trade_no"] = "UNKNOWN" + random(8)
		if r != nil {
			content["out_refund_no"] = "UNKNOWN" + random(8)
		}
	case "merchant":
		content["mchid"] = "1900000999"
	}
	plain, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	nonce := random(6)
	body, err := json.Marshal(map[string]any{
		"id": id, "create_time": s.now().In(beijing).Format(time.RFC3339), "resource_type": "encrypt-resource", "event_type": event, "summary": "支付成功",
		"resource": map[string]any{"original_type": kind, "algorithm": "AEAD_AES_256_GCM", "ciphertext": wechatSeal(nonce, kind, plain), "associated_data": kind, "nonce": nonce},
	})
	if err != nil {
		panic(err)
	}
	at := s.now()
	if spoil == "stale" {
		at = at.Add(-5 * time.Minute)
	}
	if spoil == "garbage" {
		body = body[:len(body)/2]
	}
	header := s.stamp(body, "", at)
	switch spoil {
	case "signature":
		header.Set("Wechatpay-Nonce", random(16))
	case "probe":
		header.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+header.Get("Wechatpay-Signature"))
	}
	return header, body
}
