package alipay_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/alipay"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// shop is an app with a stand-in and a place for its notices.
type shop struct {
	*fake.Server
	client *alipay.Client
	config alipay.Config
	mu     sync.Mutex
	body   []byte
	notify string
}

func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{}
	var err error
	s.Server, err = fake.Start(fake.Options{Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	no := false
	require.NoError(t, s.SetPay(fake.PaySettings{Callbacks: &no}))
	box := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.body, _ = io.ReadAll(r.Body)
	}))
	t.Cleanup(box.Close)
	s.notify = box.URL + "/notify?x=1"
	c := s.Settings(config.Outside{})
	key, err := pay.PrivateKey(c.AlipayKey.Reveal())
	require.NoError(t, err)
	public, err := pay.PublicKey(c.AlipayPublicKey)
	require.NoError(t, err)
	s.config = alipay.Config{AppID: c.AlipayAppID, SellerID: c.AlipaySellerID, Key: key, PublicKey: public, BaseURL: c.AlipayURL}
	s.client, err = alipay.New(s.config, clock.Fake(time.UTC, func() time.Time { return now }), nil)
	require.NoError(t, err)
	return s
}

func (s *shop) order(kind pay.Kind, number string) pay.Prepayment {
	return pay.Prepayment{Kind: kind, Number: number, Amount: 1990, Currency: "CNY", Title: "书客/书店 a=b & c", NotifyURL: s.notify, ReturnURL: "https://shop.example/done?o=1", ExpiresAt: now.Add(time.Hour)}
}

func (s *shop) notice(t *testing.T, c fake.Callback) []byte {
	t.Helper()
	_, err := s.SendCallback(c)
	require.NoError(t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body
}

func TestAPaymentAndItsRefunds(t *testing.T) {
	s, ctx := open(t), t.Context()
	prepaid, err := s.client.Prepay(ctx, s.order(pay.Precreate, "P-0000001"))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(prepaid.CodeURL, "https://qr.alipay.com/"))
	_, err = s.client.Query(ctx, "P-0000001")
	require.True(t, pay.ErrNotFound.Is(err), "no trade before somebody scans")
	require.True(t, pay.ErrNotFound.Is(s.client.Close(ctx, "P-0000001")))
	require.NoError(t, s.Scan("P-0000001"))
	p, err := s.client.Query(ctx, "P-0000001")
	require.NoError(t, err)
	require.Equal(t, pay.Pending, p.State)
	other := s.order(pay.Precreate, "P-0000001")
	other.Amount++
	_, err = s.client.Prepay(ctx, other)
	require.True(t, pay.ErrRefused.Is(err))

	_, err = s.Pay(fake.Pay{Number: "P-0000001"})
	require.NoError(t, err)
	p, err = s.client.Query(ctx, "P-0000001")
	require.NoError(t, err)
	require.Equal(t, pay.Succeeded, p.State)
	require.EqualValues(t, 1990, p.Amount)
	require.Equal(t, now, p.PaidAt)
	require.True(t, pay.ErrPaid.Is(s.client.Close(ctx, "P-0000001")))

	refund := pay.Refunding{Number: "R-0000001", PaymentNumber: "P-0000001", Amount: 990, Total: 1990, Currency: "CNY", Reason: "退一本"}
	_, err = s.client.QueryRefund(ctx, "R-0000001", "P-0000001")
	require.True(t, pay.ErrNotFound.Is(err))
	r, err := s.client.Refund(ctx, refund)
	require.NoError(t, err)
	require.Equal(t, pay.RefundSucceeded, r.State)
	r, err = s.client.Refund(ctx, refund)
	require.NoError(t, err)
	require.Equal(t, pay.RefundPending, r.State, "fund_change=N: nothing moved this time")
	r, err = s.client.QueryRefund(ctx, "R-0000001", "P-0000001")
	require.NoError(t, err)
	require.Equal(t, pay.RefundSucceeded, r.State)
	require.EqualValues(t, 990, r.Amount)
	require.Equal(t, now, r.At)
	refund.Amount++
	_, err = s.client.Refund(ctx, refund)
	require.True(t, pay.ErrRefused.Is(err), "another amount under the same number")
	_, err = s.client.Refund(ctx, pay.Refunding{Number: "R-0000002", PaymentNumber: "P-0000001", Amount: 1001, Total: 1990, Currency: "CNY"})
	require.True(t, pay.ErrRefused.Is(err), "more than was paid")
	_, err = s.client.Refund(ctx, pay.Refunding{Number: "R-0000002", PaymentNumber: "P-0000001", Amount: 1000, Total: 1990, Currency: "CNY"})
	require.NoError(t, err)
	p, err = s.client.Query(ctx, "P-0000001")
	require.NoError(t, err)
	require.Equal(t, pay.Succeeded, p.State, "TRADE_CLOSED after a full refund: the money had come")
	require.True(t, p.Refunded)
	require.Len(t, s.Payments(), 1)
	require.Len(t, s.Refunds(), 2)
}

func TestPagesAndApps(t *testing.T) {
	s, ctx := open(t), t.Context()
	prepaid, err := s.client.Prepay(ctx, s.order(pay.Page, "P-0000002"))
	require.NoError(t, err)
	res, err := http.Get(prepaid.PageURL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "NOTPAY", s.PayState("P-0000002"))
	require.NoError(t, s.client.Close(ctx, "P-0000002"))
	p, err := s.client.Query(ctx, "P-0000002")
	require.NoError(t, err)
	require.Equal(t, pay.Closed, p.State)

	prepaid, err = s.client.Prepay(ctx, s.order(pay.App, "P-0000003"))
	require.NoError(t, err)
	number, err := s.OpenOrder(prepaid.OrderString)
	require.NoError(t, err)
	require.Equal(t, "P-0000003", number)
	changed := strings.Replace(prepaid.OrderString, url.QueryEscape("19.90"), url.QueryEscape("00.01"), 1)
	require.NotEqual(t, changed, prepaid.OrderString)
	_, err = s.OpenOrder(changed)
	require.Error(t, err, "a cheaper order is not under the signature")
	_, err = s.client.Prepay(ctx, s.order(pay.JSAPI, "P-0000004"))
	require.True(t, pay.ErrRefused.Is(err))
}

func TestFailures(t *testing.T) {
	s := open(t)
	for n, tc := range []struct {
		fault fake.Fault
		want  *apperr.Definition
	}{
		{fake.Fault{Kind: fake.Busy}, pay.ErrUnknown}, {fake.Fault{Kind: fake.BusyAfter}, pay.ErrUnknown}, // 20000 before and after the effect
		{fake.Fault{Kind: fake.ResetAfter}, pay.ErrUnknown}, {fake.Fault{Kind: fake.ErrorAfter}, pay.ErrUnknown}, {fake.Fault{Kind: fake.Garbage}, pay.ErrUnknown},
		{fake.Fault{Kind: fake.Huge}, pay.ErrUnknown}, {fake.Fault{Kind: fake.BadSignature}, pay.ErrUnknown}, {fake.Fault{Kind: fake.RateLimit}, pay.ErrLimit},
		{fake.Fault{Kind: fake.Code, Code: "10003"}, pay.ErrUnknown}, {fake.Fault{Kind: fake.Code, Code: "40006 isv.insufficient-isv-permissions"}, pay.ErrConfig},
		{fake.Fault{Kind: fake.Code, Code: "40004 ACQ.SELLER_BALANCE_NOT_ENOUGH"}, pay.ErrBalance}, {fake.Fault{Kind: fake.Code, Code: "40004 ACQ.WHO_KNOWS"}, pay.ErrProvider},
	} {
		tc.fault.Target = "alipay.prepay"
		number := "P-100000" + string(rune('a'+n))
		s.Fail(tc.fault)
		_, err := s.client.Prepay(t.Context(), s.order(pay.Precreate, number))
		require.True(t, tc.want.Is(err), "%v: %v", tc.fault, err)
		require.False(t, pay.Certain(err) && s.PayState(number) != "", "certain means without effect")
	}
	s.Fail(fake.Fault{Target: "alipay.prepay", Kind: fake.TimeoutAfter})
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.client.Prepay(short, s.order(pay.Precreate, "P-2000000"))
	require.True(t, pay.ErrUnknown.Is(err))
	require.Equal(t, "NOTPAY", s.PayState("P-2000000"))

	wrong := s.config
	wrong.AppID = "2021000000000404"
	stranger, err := alipay.New(wrong, clock.New(time.UTC), nil)
	require.NoError(t, err)
	_, err = stranger.Query(t.Context(), "P-2000000")
	require.True(t, pay.ErrConfig.Is(err), "the gateway's own refusals are not signed")
	half := s.config
	half.AppCertSN = "x"
	_, err = alipay.New(half, clock.New(time.UTC), nil)
	require.Error(t, err)
}

func TestNotices(t *testing.T) {
	s, ctx := open(t), t.Context()
	_, err := s.client.Prepay(ctx, s.order(pay.Precreate, "P-0000005"))
	require.NoError(t, err)
	_, err = s.Pay(fake.Pay{Number: "P-0000005"})
	require.NoError(t, err)
	body := s.notice(t, fake.Callback{Number: "P-0000005"})
	n, err := s.client.ParseCallback(ctx, nil, body)
	require.NoError(t, err)
	require.Equal(t, "TRADE_SUCCESS", n.Event)
	require.Equal(t, pay.Succeeded, n.Payment.State)
	require.EqualValues(t, 1990, n.Payment.Amount)
	require.Nil(t, n.Refund)
	second, err := s.client.ParseCallback(ctx, nil, s.notice(t, fake.Callback{Number: "P-0000005"}))
	require.NoError(t, err)
	require.Equal(t, n.ID, second.ID)

	for spoil, want := range map[string]*apperr.Definition{"signature": pay.ErrSignature, "currency": pay.ErrMalformed, "merchant": pay.ErrMalformed, "garbage": pay.ErrMalformed} {
		_, err = s.client.ParseCallback(ctx, nil, s.notice(t, fake.Callback{Number: "P-0000005", Spoil: spoil}))
		require.True(t, want.Is(err), "%s: %v", spoil, err)
	}
	other, err := s.client.ParseCallback(ctx, nil, s.notice(t, fake.Callback{Number: "P-0000005", Spoil: "amount"}))
	require.NoError(t, err)
	require.EqualValues(t, 1991, other.Payment.Amount)
	for _, wrong := range []string{"", "sign=x", "sign_type=RSA2&sign=x", "%zz", "a=1&a=2", "sign_type=RSA&" + string(body), string(body) + "&total_amount=0.01", string(body) + "&extra=1"} {
		_, err = s.client.ParseCallback(ctx, nil, []byte(wrong))
		require.True(t, pay.ErrSignature.Is(err) || pay.ErrMalformed.Is(err), wrong)
	}

	_, err = s.client.Refund(ctx, pay.Refunding{Number: "R-0000005", PaymentNumber: "P-0000005", Amount: 1990, Total: 1990, Currency: "CNY"})
	require.NoError(t, err)
	n, err = s.client.ParseCallback(ctx, nil, s.notice(t, fake.Callback{Number: "P-0000005", Refund: "R-0000005"}))
	require.NoError(t, err)
	require.Equal(t, "TRADE_CLOSED", n.Event)
	require.Equal(t, pay.Succeeded, n.Payment.State, "closed by a refund: it had been paid")
	require.True(t, n.Payment.Refunded)
	require.Equal(t, "R-0000005", n.Refund.Number)
	require.Equal(t, pay.RefundPending, n.Refund.State, "to be asked for")
	n, err = s.client.ParseCallback(ctx, nil, s.notice(t, fake.Callback{Number: "P-0000005"}))
	require.NoError(t, err)
	require.Equal(t, "TRADE_SUCCESS", n.Event, "late, after TRADE_CLOSED")

	require.Equal(t, "success", string(s.client.Answer(true).Body))
	require.NotEqual(t, "success", string(s.client.Answer(false).Body))
}
