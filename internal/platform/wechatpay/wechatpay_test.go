package wechatpay_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/pay"
	"github.com/shuke-crm/shuke/internal/platform/wechatpay"
)

// shop is a merchant with a stand-in and a place for its notices.
type shop struct {
	*fake.Server
	client *wechatpay.Client
	config wechatpay.Config
	clock  *clock.Clock
	now    time.Time
	mu     sync.Mutex
	header http.Header
	body   []byte
	notify string
}

func open(t *testing.T, alter func(*wechatpay.Config)) *shop {
	t.Helper()
	s := &shop{now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)}
	now := func() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.now }
	var err error
	s.Server, err = fake.Start(fake.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	no := false
	require.NoError(t, s.SetPay(fake.PaySettings{Callbacks: &no}))
	box := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.header = r.Header.Clone()
		s.body = make([]byte, r.ContentLength)
		_, _ = r.Body.Read(s.body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(box.Close)
	s.notify, s.clock = box.URL+"/notify", clock.Fake(time.UTC, now)
	c := s.Settings(config.Outside{})
	key, err := pay.PrivateKey(c.WeChatPayKey.Reveal())
	require.NoError(t, err)
	public, err := pay.PublicKey(c.WeChatPayPublicKey)
	require.NoError(t, err)
	s.config = wechatpay.Config{MchID: c.WeChatPayMchID, AppID: c.WeChatPayAppID, Serial: c.WeChatPaySerial, Key: key, V3Key: c.WeChatPayV3Key.Reveal(),
		PublicKeyID: c.WeChatPayPublicKeyID, PublicKey: public, BaseURL: c.WeChatPayURL}
	if alter != nil {
		alter(&s.config)
	}
	if s.config.PublicKeyID == "" {
		require.NoError(t, s.SetPay(fake.PaySettings{SignWith: "certificate"}))
	}
	s.client, err = wechatpay.New(s.config, s.clock, nil)
	require.NoError(t, err)
	return s
}

func certificatesOnly(c *wechatpay.Config) { c.PublicKeyID, c.PublicKey = "", nil }

func (s *shop) order(number string) pay.Prepayment {
	return pay.Prepayment{Kind: pay.JSAPI, Number: number, Amount: 1990, Currency: "CNY", Title: "书客书店 & Co <订单>", NotifyURL: s.notify, OpenID: "o-1",
		ExpiresAt: s.now.Add(30 * time.Minute), ClientIP: "203.0.113.5"}
}

// notice is what the stand-in sends, as it arrived.
func (s *shop) notice(t *testing.T, c fake.Callback) (http.Header, []byte) {
	t.Helper()
	_, err := s.SendCallback(c)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header, s.body
}

func (s *shop) advance(d time.Duration) { s.mu.Lock(); s.now = s.now.Add(d); s.mu.Unlock() }

func TestAPaymentAndItsRefunds(t *testing.T) {
	for name, alter := range map[string]func(*wechatpay.Config){"public key": nil, "certificates": certificatesOnly} {
		t.Run(name, func(t *testing.T) {
			s := open(t, alter)
			ctx := t.Context()
			prepaid, err := s.client.Prepay(ctx, s.order("P-0000001"))
			require.NoError(t, err)
			require.Equal(t, s.config.AppID, prepaid.Params["appId"])
			require.True(t, strings.HasPrefix(prepaid.Params["package"], "prepay_id=wx"))
			require.Equal(t, "RSA", prepaid.Params["signType"])
			require.NoError(t, pay.Verify(&s.config.Key.PublicKey, []byte(prepaid.Params["appId"]+"\n"+prepaid.Params["timeStamp"]+"\n"+prepaid.Params["nonceStr"]+"\n"+prepaid.Params["package"]+"\n"), prepaid.Params["paySign"]))

			again, err := s.client.Prepay(ctx, s.order("P-0000001"))
			require.NoError(t, err)
			require.Equal(t, prepaid.Params["package"], again.Params["package"])
			other := s.order("P-0000001")
			other.Amount++
			_, err = s.client.Prepay(ctx, other)
			require.True(t, pay.ErrRefused.Is(err), err)

			p, err := s.client.Query(ctx, "P-0000001")
			require.NoError(t, err)
			require.Equal(t, pay.Pending, p.State)
			_, err = s.client.Query(ctx, "P-0000009")
			require.True(t, pay.ErrNotFound.Is(err))

			_, err = s.Pay(fake.Pay{Number: "P-0000001"})
			require.NoError(t, err)
			p, err = s.client.Query(ctx, "P-0000001")
			require.NoError(t, err)
			require.Equal(t, pay.Succeeded, p.State)
			require.EqualValues(t, 1990, p.Amount)
			require.Equal(t, "o-1", p.PayerID)
			require.Equal(t, s.now, p.PaidAt)
			require.True(t, pay.ErrPaid.Is(s.client.Close(ctx, "P-0000001")))
			_, err = s.client.Prepay(ctx, s.order("P-0000001"))
			require.True(t, pay.ErrPaid.Is(err))

			refund := pay.Refunding{Number: "R-0000001", PaymentNumber: "P-0000001", Amount: 990, Total: 1990, Currency: "CNY", Reason: "退一本", NotifyURL: s.notify}
			r, err := s.client.Refund(ctx, refund)
			require.NoError(t, err)
			require.Equal(t, pay.RefundPending, r.State)
			r, err = s.client.Refund(ctx, refund)
			require.NoError(t, err)
			require.Equal(t, pay.RefundSucceeded, r.State, "the same number refunds once")
			over := refund
			over.Number, over.Amount = "R-0000002", 1001
			_, err = s.client.Refund(ctx, over)
			require.True(t, pay.ErrRefused.Is(err))
			r, err = s.client.QueryRefund(ctx, "R-0000001", "P-0000001")
			require.NoError(t, err)
			require.Equal(t, pay.RefundSucceeded, r.State)
			require.EqualValues(t, 990, r.Amount)
			require.Equal(t, s.now, r.At)
			_, err = s.client.QueryRefund(ctx, "R-0000002", "P-0000001")
			require.True(t, pay.ErrNotFound.Is(err))
			p, err = s.client.Query(ctx, "P-0000001")
			require.NoError(t, err)
			require.True(t, p.Refunded)
			require.Equal(t, pay.Succeeded, p.State)

			require.Len(t, s.Payments(), 1)
			require.Len(t, s.Refunds(), 1)
		})
	}
}

func TestNativeCloseAndExpiry(t *testing.T) {
	s := open(t, nil)
	ctx := t.Context()
	order := s.order("P-0000002")
	order.Kind, order.OpenID = pay.Native, ""
	prepaid, err := s.client.Prepay(ctx, order)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(prepaid.CodeURL, "weixin://wxpay/"))
	require.NoError(t, s.client.Close(ctx, "P-0000002"))
	require.NoError(t, s.client.Close(ctx, "P-0000002"), "closing twice is fine")
	p, err := s.client.Query(ctx, "P-0000002")
	require.NoError(t, err)
	require.Equal(t, pay.Closed, p.State)
	_, err = s.client.Prepay(ctx, order)
	require.True(t, pay.ErrClosed.Is(err))
	_, err = s.Pay(fake.Pay{Number: "P-0000002"})
	require.Error(t, err)
	require.True(t, pay.ErrNotFound.Is(s.client.Close(ctx, "P-0000404")))

	_, err = s.client.Prepay(ctx, s.order("P-0000003"))
	require.NoError(t, err)
	s.advance(time.Hour)
	p, err = s.client.Query(ctx, "P-0000003")
	require.NoError(t, err)
	require.Equal(t, pay.Closed, p.State)

	for name, spoil := range map[string]func(*pay.Prepayment){
		"no open id": func(p *pay.Prepayment) { p.OpenID = "" }, "Alipay's kind": func(p *pay.Prepayment) { p.Kind = pay.Page }, "nothing to pay": func(p *pay.Prepayment) { p.Amount = 0 },
		"a query in the address": func(p *pay.Prepayment) { p.NotifyURL += "?x=1" }, "over already": func(p *pay.Prepayment) { p.ExpiresAt = s.now.Add(-time.Minute) },
	} {
		order := s.order("P-0000004")
		spoil(&order)
		_, err := s.client.Prepay(ctx, order)
		require.True(t, pay.ErrRefused.Is(err), name)
	}
}

// What a failure means: certain ones had no effect, the others may have.
func TestFailures(t *testing.T) {
	s := open(t, nil)
	cases := []struct {
		fault fake.Fault
		want  *apperr.Definition
	}{
		{fake.Fault{Kind: fake.ResetBefore}, pay.ErrUnknown}, {fake.Fault{Kind: fake.ResetAfter}, pay.ErrUnknown},
		{fake.Fault{Kind: fake.ErrorBefore}, pay.ErrUnknown}, {fake.Fault{Kind: fake.ErrorAfter}, pay.ErrUnknown},
		{fake.Fault{Kind: fake.Busy}, pay.ErrUnknown}, {fake.Fault{Kind: fake.BusyAfter}, pay.ErrUnknown},
		{fake.Fault{Kind: fake.Garbage}, pay.ErrUnknown}, {fake.Fault{Kind: fake.Huge}, pay.ErrUnknown}, {fake.Fault{Kind: fake.BadSignature}, pay.ErrUnknown},
		{fake.Fault{Kind: fake.RateLimit}, pay.ErrLimit},
		{fake.Fault{Kind: fake.Code, Code: "NOT_ENOUGH"}, pay.ErrBalance}, {fake.Fault{Kind: fake.Code, Code: "NO_AUTH"}, pay.ErrConfig},
		{fake.Fault{Kind: fake.Code, Code: "SIGN_ERROR"}, pay.ErrConfig}, {fake.Fault{Kind: fake.Code, Code: "INVALID_REQUEST"}, pay.ErrRefused},
		{fake.Fault{Kind: fake.Code, Code: "WHO_KNOWS"}, pay.ErrProvider},
	}
	for n, tc := range cases {
		tc.fault.Target = "wechatpay.prepay"
		s.Fail(tc.fault)
		_, err := s.client.Prepay(t.Context(), s.order("P-100000"+string(rune('a'+n))))
		require.True(t, tc.want.Is(err), "%v: %v", tc.fault, err)
		require.Equal(t, s.PayState("P-100000"+string(rune('a'+n))) == "" && pay.Certain(err), pay.Certain(err), "certain means without effect")
		require.NotContains(t, err.Error(), "o-1")
	}
	s.Fail(fake.Fault{Target: "wechatpay.prepay", Kind: fake.TimeoutAfter})
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.client.Prepay(short, s.order("P-2000000"))
	require.True(t, pay.ErrUnknown.Is(err))
	require.Equal(t, "NOTPAY", s.PayState("P-2000000"))

	nobody, err := wechatpay.New(withURL(s.config, "http://127.0.0.1:1"), s.clock, nil)
	require.NoError(t, err)
	_, err = nobody.Prepay(t.Context(), s.order("P-3000000"))
	require.True(t, pay.ErrDown.Is(err))

	wrong := s.config
	wrong.Key = wrongKey(t)
	stranger, err := wechatpay.New(wrong, s.clock, nil)
	require.NoError(t, err)
	_, err = stranger.Query(t.Context(), "P-2000000")
	require.True(t, pay.ErrConfig.Is(err))
}

func withURL(c wechatpay.Config, url string) wechatpay.Config { c.BaseURL = url; return c }

func TestNotices(t *testing.T) {
	for name, alter := range map[string]func(*wechatpay.Config){"public key": nil, "certificates": certificatesOnly} {
		t.Run(name, func(t *testing.T) {
			s := open(t, alter)
			ctx := t.Context()
			_, err := s.client.Prepay(ctx, s.order("P-0000005"))
			require.NoError(t, err)
			_, err = s.Pay(fake.Pay{Number: "P-0000005"})
			require.NoError(t, err)
			header, body := s.notice(t, fake.Callback{Number: "P-0000005"})
			n, err := s.client.ParseCallback(ctx, header, body)
			require.NoError(t, err)
			require.Equal(t, "TRANSACTION.SUCCESS", n.Event)
			require.NotEmpty(t, n.ID)
			require.Equal(t, "P-0000005", n.Payment.Number)
			require.EqualValues(t, 1990, n.Payment.Amount)
			header, body = s.notice(t, fake.Callback{Number: "P-0000005"})
			second, err := s.client.ParseCallback(ctx, header, body)
			require.NoError(t, err)
			require.Equal(t, n.ID, second.ID, "a repetition has the same number")

			changed := append([]byte(nil), body...)
			changed[len(changed)-2] ^= 1
			_, err = s.client.ParseCallback(ctx, header, changed)
			require.True(t, pay.ErrSignature.Is(err))
			for _, drop := range []string{"Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"} {
				without := header.Clone()
				without.Del(drop)
				_, err = s.client.ParseCallback(ctx, without, body)
				require.True(t, pay.ErrSignature.Is(err), drop)
			}
			for spoil, want := range map[string]*apperr.Definition{
				"signature": pay.ErrSignature, "probe": pay.ErrSignature, "stale": pay.ErrSignature, "merchant": pay.ErrMalformed, "garbage": pay.ErrMalformed,
			} {
				header, body = s.notice(t, fake.Callback{Number: "P-0000005", Spoil: spoil})
				_, err = s.client.ParseCallback(ctx, header, body)
				require.True(t, want.Is(err), "%s: %v", spoil, err)
			}
			for spoil, look := range map[string]func(pay.Payment){
				"amount":   func(p pay.Payment) { require.EqualValues(t, 1991, p.Amount) },
				"currency": func(p pay.Payment) { require.Equal(t, "USD", p.Currency) },
				"number":   func(p pay.Payment) { require.True(t, strings.HasPrefix(p.Number, "UNKNOWN")) },
			} {
				header, body = s.notice(t, fake.Callback{Number: "P-0000005", Spoil: spoil})
				n, err = s.client.ParseCallback(ctx, header, body)
				require.NoError(t, err, spoil)
				look(*n.Payment)
			}
			s.advance(299 * time.Second)
			_, err = s.client.ParseCallback(ctx, header, body)
			require.NoError(t, err)
			s.advance(time.Second)
			_, err = s.client.ParseCallback(ctx, header, body)
			require.True(t, pay.ErrSignature.Is(err), "300 seconds are too many")

			_, err = s.client.Refund(ctx, pay.Refunding{Number: "R-0000005", PaymentNumber: "P-0000005", Amount: 1, Total: 1990, Currency: "CNY"})
			require.NoError(t, err)
			require.NoError(t, s.SettleRefund("R-0000005", "ABNORMAL"))
			header, body = s.notice(t, fake.Callback{Number: "P-0000005", Refund: "R-0000005"})
			n, err = s.client.ParseCallback(ctx, header, body)
			require.NoError(t, err)
			require.Nil(t, n.Payment)
			require.Equal(t, pay.RefundAbnormal, n.Refund.State)
			require.Equal(t, "R-0000005", n.Refund.Number)
		})
	}
	s := open(t, nil)
	require.Equal(t, http.StatusOK, s.client.Answer(true).Status)
	require.Equal(t, http.StatusInternalServerError, s.client.Answer(false).Status)
	require.JSONEq(t, `{"code":"FAIL","message":"try again"}`, string(s.client.Answer(false).Body))
}

// While a merchant changes over, notices signed either way verify.
func TestBothFormsDuringASwitch(t *testing.T) {
	s := open(t, nil)
	_, err := s.client.Prepay(t.Context(), s.order("P-0000006"))
	require.NoError(t, err)
	_, err = s.Pay(fake.Pay{Number: "P-0000006"})
	require.NoError(t, err)
	for _, form := range []string{"certificate", "public_key", "certificate"} {
		require.NoError(t, s.SetPay(fake.PaySettings{SignWith: form}))
		header, body := s.notice(t, fake.Callback{Number: "P-0000006"})
		require.Equal(t, form == "public_key", strings.HasPrefix(header.Get("Wechatpay-Serial"), "PUB_KEY_ID_"))
		_, err := s.client.ParseCallback(t.Context(), header, body)
		require.NoError(t, err, form)
	}
	header, body := s.notice(t, fake.Callback{Number: "P-0000006"})
	require.Equal(t, 1, s.Effects("wechatpay.certificates"), "certificates are kept")
	strange := header.Clone()
	strange.Set("Wechatpay-Serial", "PUB_KEY_ID_9999")
	_, err = s.client.ParseCallback(t.Context(), strange, body)
	require.True(t, pay.ErrSignature.Is(err))
	for range 5 {
		strange.Set("Wechatpay-Serial", "ABCDEF")
		_, err = s.client.ParseCallback(t.Context(), strange, body)
		require.True(t, pay.ErrSignature.Is(err))
	}
	require.Equal(t, 1, s.Calls("wechatpay.certificates"), "made-up serials are no reason to ask at once")
}

func TestCertificatesRotate(t *testing.T) {
	s := open(t, certificatesOnly)
	_, err := s.client.Prepay(t.Context(), s.order("P-0000007"))
	require.NoError(t, err)
	_, err = s.Pay(fake.Pay{Number: "P-0000007"})
	require.NoError(t, err)
	require.NoError(t, s.RotateCertificate())
	header, body := s.notice(t, fake.Callback{Number: "P-0000007"})
	_, err = s.client.ParseCallback(t.Context(), header, body)
	require.True(t, pay.ErrSignature.Is(err), "asked for a moment ago")
	s.advance(time.Minute)
	header, body = s.notice(t, fake.Callback{Number: "P-0000007"})
	_, err = s.client.ParseCallback(t.Context(), header, body)
	require.NoError(t, err)
	require.Equal(t, 2, s.Effects("wechatpay.certificates"))

	fresh, err := wechatpay.New(s.config, s.clock, nil)
	require.NoError(t, err)
	s.Fail(fake.Fault{Target: "wechatpay.certificates", Kind: fake.ErrorBefore})
	_, err = fresh.ParseCallback(t.Context(), header, body)
	require.True(t, pay.ErrUnknown.Is(err), "without certificates nothing is said about the signature")
	require.False(t, pay.ErrSignature.Is(err))
}

func TestKeysOfTheWrongLength(t *testing.T) {
	s := open(t, nil)
	for _, alter := range []func(*wechatpay.Config){
		func(c *wechatpay.Config) { c.V3Key = "0123456789abcdef" }, func(c *wechatpay.Config) { c.PublicKey = nil }, func(c *wechatpay.Config) { c.PublicKeyID = "ABC" },
	} {
		c := s.config
		alter(&c)
		_, err := wechatpay.New(c, s.clock, nil)
		require.Error(t, err)
		require.NotContains(t, err.Error(), c.V3Key)
	}
}
