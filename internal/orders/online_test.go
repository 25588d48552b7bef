package orders_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// online is a shop whose customers pay by the stand-ins.
type online struct {
	*testkit.App
	store  uuid.UUID
	ctx    context.Context // the clock's
	signed *testkit.Client
	at     time.Time // when
	n      int
}

func openOnline(t *testing.T) *online {
	t.Helper()
	app := testkit.New(t, testkit.At(time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)))
	c := &online{App: app, store: app.Store().Id, ctx: auth.System(context.Background(), "clock")}
	no := false
	require.NoError(t, app.Outside.SetPay(fake.PaySettings{Callbacks: &no})) // notices are sent when the test says so
	post(c.staff(), ticket(c.store, "T0", nil, line("BOOK", 1, 1990))).Want(http.StatusOK)
	return c
}

// staff is the administrator, whose token ends while the clock jumps.
func (c *online) staff() *testkit.Client {
	c.T.Helper()
	if now := c.Clock.Now(); c.signed == nil || now.Sub(c.at) > 10*time.Minute {
		c.signed, c.at = c.SignIn(testkit.AdminUsername, testkit.AdminPassword), now
	}
	return c.signed
}

// order places one of 59.00 yuan.
func (c *online) order(more map[string]any) (id string) {
	c.T.Helper()
	c.n++
	body := map[string]any{"store_id": c.store, "channel": "mini_program", "lines": []any{map[string]any{"sku": "BOOK", "quantity": 2, "unit_price_amount": 2950}}}
	for k, v := range more {
		body[k] = v
	}
	made := c.staff().Do(http.MethodPost, "/v1/orders", body, "Idempotency-Key", fmt.Sprint("order-", c.n)).Want(http.StatusCreated)
	return made.Map()["id"].(string)
}

var (
	jsapi     = map[string]any{"method": "wechat_pay", "kind": "jsapi", "openid": "o-payer-7731"}
	native    = map[string]any{"method": "wechat_pay", "kind": "native"}
	precreate = map[string]any{"method": "alipay", "kind": "precreate"}
)

func (c *online) begin(order string, body map[string]any) *testkit.Response {
	return c.staff().Do(http.MethodPost, "/v1/orders/"+order+"/online-payments", body)
}

// pending begins a payment and returns its number.
func (c *online) pending(order string, body map[string]any) string {
	c.T.Helper()
	return c.begin(order, body).Want(http.StatusCreated).Map()["number"].(string)
}

func (c *online) read(order string) map[string]any {
	c.T.Helper()
	return c.staff().Do(http.MethodGet, "/v1/orders/"+order, nil).Want(http.StatusOK).Map()
}

func (c *online) status(order string) string { return c.read(order)["status"].(string) }

// statuses are those of the parts of an order, in their order.
func statuses(order map[string]any, part string) []string {
	out := []string{}
	for _, one := range order[part].([]any) {
		out = append(out, one.(map[string]any)["status"].(string))
	}
	return out
}

func (c *online) pay(number string) {
	c.T.Helper()
	_, err := c.Outside.Pay(fake.Pay{Number: number, Silent: true})
	require.NoError(c.T, err)
}

// tell sends notices and returns how they were answered.
func (c *online) tell(call fake.Callback) []fake.Delivery {
	c.T.Helper()
	all, err := c.Outside.SendCallback(call)
	require.NoError(c.T, err)
	return all
}

func (c *online) outcomes(number string) []string {
	c.T.Helper()
	out := []string{}
	for _, one := range c.staff().Do(http.MethodGet, "/v1/payment-notices?include=total_count&number="+number, nil).Want(http.StatusOK).Map()["items"].([]any) {
		out = append(out, one.(map[string]any)["outcome"].(string))
	}
	return out
}

func (c *online) check() {
	c.T.Helper()
	_, err := c.Server.Orders.CheckPayments(c.ctx)
	require.NoError(c.T, err)
}

func (c *online) refunds() {
	c.T.Helper()
	_, err := c.Server.Orders.RunRefunds(c.ctx)
	require.NoError(c.T, err)
}

// settled lets the clock run until refunds have ended.
func (c *online) settled() {
	c.T.Helper()
	for range 8 {
		c.refunds()
		c.Advance(time.Minute)
	}
}

// balance proves that our book and the stand-in's say the same: each payment
// and each refund exactly once.
func (c *online) balance() {
	c.T.Helper()
	book := func(query string) map[string]int64 {
		rows, err := c.DB.Query(c.ctx, query)
		require.NoError(c.T, err)
		defer rows.Close()
		out := map[string]int64{}
		for rows.Next() {
			var number string
			var amount int64
			require.NoError(c.T, rows.Scan(&number, &amount))
			out[number] += amount
		}
		require.NoError(c.T, rows.Err())
		return out
	}
	paid, back := map[string]int64{}, map[string]int64{}
	for _, p := range c.Outside.Payments() {
		paid[p.Number] += p.Amount
	}
	for _, r := range c.Outside.Refunds() {
		if r.State == "SUCCESS" {
			back[r.Number] += r.Amount
		}
	}
	require.Equal(c.T, paid, book("SELECT number, amount FROM order_payments WHERE provider IS NOT NULL AND status = 'succeeded'"))
	require.Equal(c.T, back, book("SELECT number, amount FROM order_refunds WHERE provider IS NOT NULL AND status = 'succeeded'"))
	var wrong int
	require.NoError(c.T, c.DB.QueryRow(c.ctx, `SELECT count(*) FROM orders o WHERE o.channel <> 'pos' AND (
		o.paid_amount <> coalesce((SELECT sum(amount) FROM order_payments WHERE order_id = o.id AND status = 'succeeded'), 0) OR
		o.refunded_amount <> coalesce((SELECT sum(amount) FROM order_refunds WHERE order_id = o.id), 0))`).Scan(&wrong))
	require.Zero(c.T, wrong, "an order's sums are those of its rows")
}

func TestPayingByNotice(t *testing.T) {
	c := openOnline(t)
	for name, body := range map[string]map[string]any{"jsapi": jsapi, "native": native, "precreate": precreate, "page": {"method": "alipay", "kind": "page", "return_url": "https://shop.example/done"}, "app": {"method": "alipay", "kind": "app"}} {
		order := c.order(nil)
		made := c.begin(order, body).Want(http.StatusCreated).Map()
		require.Equal(t, "pending", made["status"])
		require.EqualValues(t, 5900, made["amount"])
		part := map[string]string{"jsapi": "params", "native": "code_url", "precreate": "code_url", "page": "page_url", "app": "order_string"}[name]
		require.NotEmpty(t, made[part], name)
		again := c.begin(order, body).Want(http.StatusCreated).Map()
		require.Equal(t, made, again, "asking again is the same payment")
		number := made["number"].(string)
		switch name {
		case "page":
			res, err := http.Get(made["page_url"].(string))
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
		case "app":
			_, err := c.Outside.OpenOrder(made["order_string"].(string))
			require.NoError(t, err)
		}
		c.pay(number)
		all := c.tell(fake.Callback{Number: number, Times: 3})
		for _, d := range all {
			require.True(t, d.Taken, "%+v", d)
		}
		o := c.read(order)
		require.Equal(t, "paid", o["status"])
		require.Equal(t, []string{"succeeded"}, statuses(o, "payments"))
		require.Equal(t, []string{"applied"}, c.outcomes(number), "three notices, one row")
		c.begin(order, body).WantProblem(http.StatusConflict, "orders.nothing_due")
	}
	c.balance()

	// What was told lies sealed, and the open id nowhere.
	var readable int
	require.NoError(t, c.DB.QueryRow(c.ctx, `SELECT count(*) FROM payment_callbacks WHERE position('out_trade_no' in encode(raw_sealed, 'escape')) > 0`).Scan(&readable))
	require.Zero(t, readable)
	require.NoError(t, c.DB.QueryRow(c.ctx, `SELECT count(*) FROM order_payments p WHERE to_jsonb(p)::text LIKE '%o-payer-7731%'`).Scan(&readable))
	require.Zero(t, readable)
}

func TestNoticesThatAreNotBelieved(t *testing.T) {
	c := openOnline(t)
	for _, body := range []map[string]any{native, precreate} {
		order := c.order(nil)
		number := c.pending(order, body)
		c.pay(number)
		for _, spoil := range []string{"signature", "probe", "stale", "garbage", "merchant"} {
			d := c.tell(fake.Callback{Number: number, Spoil: spoil})[0]
			require.False(t, d.Taken, spoil)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, d.Status, spoil)
		}
		d := c.tell(fake.Callback{Number: number, Spoil: "number"})[0]
		require.True(t, d.Taken, "about none of our payments: kept, so that nobody sends it again")
		d = c.tell(fake.Callback{Number: number, Spoil: "amount"})[0]
		require.True(t, d.Taken)
		o := c.read(order)
		require.Equal(t, "placed", o["status"], "one fen off is not booked")
		require.Equal(t, []string{"amount_differs"}, c.outcomes(number))
		history := c.staff().Do(http.MethodGet, "/v1/orders/"+order+"/history", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)
		require.Equal(t, "payment_differs", history["action"])
		require.EqualValues(t, 5901, history["details"].(map[string]any)["said_amount"])

		c.tell(fake.Callback{Number: number})
		require.Equal(t, "paid", c.status(order), "the right one is booked afterwards")
	}
	unknown := c.staff().Do(http.MethodGet, "/v1/payment-notices?outcome=unknown_number&include=total_count", nil).Want(http.StatusOK).Map()
	require.EqualValues(t, 2, unknown["total_count"])
	var audited int
	require.NoError(t, c.DB.QueryRow(c.ctx, "SELECT count(*) FROM audit_logs WHERE action IN ('payments.notice_unknown_number', 'payments.notice_amount_differs')").Scan(&audited))
	require.Equal(t, 4, audited)
	c.balance()

	// Another address than the one that was given out does not exist.
	for _, path := range []string{"/v1/callbacks/wechat_pay/guess", "/v1/callbacks/alipay/0123456789abcdef0123456789abcdef"} {
		c.Do(http.MethodPost, path, map[string]any{}).WantProblem(http.StatusNotFound, "orders.callback_not_found")
	}
	c.Do(http.MethodPost, "/v1/callbacks/unionpay/x", map[string]any{}).Want(http.StatusUnprocessableEntity)
	c.Do(http.MethodPost, "/v1/payments/callbacks/wechat_pay", map[string]any{}).WantProblem(http.StatusUnauthorized, "payments.callback_signature_invalid")
	c.Do(http.MethodPost, "/v1/payments/callbacks/alipay", strings.Repeat("x", 65<<10)).Want(http.StatusRequestEntityTooLarge)
}

func TestTheShortAddress(t *testing.T) {
	c := openOnline(t)
	for provider, body := range map[string]map[string]any{"wechat_pay": native, "alipay": precreate} {
		order := c.order(nil)
		number := c.pending(order, body)
		c.pay(number)
		require.True(t, c.tell(fake.Callback{Number: number, To: c.URL + "/v1/payments/callbacks/" + provider})[0].Taken)
		require.Equal(t, "paid", c.status(order))
	}
}

// Without any notice the clock finds out.
func TestPollingStandsInForNotices(t *testing.T) {
	c := openOnline(t)
	for _, body := range []map[string]any{jsapi, precreate} {
		order := c.order(nil)
		number := c.pending(order, body)
		c.Advance(time.Minute)
		c.check()
		require.Equal(t, "placed", c.status(order))
		c.pay(number)
		c.check()
		require.Equal(t, "placed", c.status(order), "not before its time")
		c.Advance(time.Minute)
		c.Outside.Fail(fake.Fault{Target: "wechatpay.query", Kind: fake.ErrorBefore})
		c.Outside.Fail(fake.Fault{Target: "alipay.query", Kind: fake.Busy})
		c.check()
		require.Equal(t, "placed", c.status(order), "an answer that says nothing")
		c.Advance(time.Minute)
		c.check()
		require.Equal(t, "paid", c.status(order))
		require.Equal(t, []string{}, c.outcomes(number))
		c.tell(fake.Callback{Number: number})
		require.Equal(t, []string{"known"}, c.outcomes(number), "late")
		c.Outside.Heal()
	}
	c.balance()
}

// An unknown result is found out with the same number.
func TestUnknownResultsOfPrepayment(t *testing.T) {
	c := openOnline(t)
	for target, body := range map[string]map[string]any{"wechatpay.prepay": native, "alipay.prepay": precreate} {
		order := c.order(nil)
		c.Outside.Fail(fake.Fault{Target: target, Kind: fake.ErrorAfter})
		c.begin(order, body).Want(http.StatusCreated)
		require.Equal(t, 2, c.Outside.Effects(target), "asked again once, with the same number")

		order = c.order(nil)
		c.Outside.Fail(fake.Fault{Target: target, Kind: fake.BusyAfter, Times: 2})
		c.begin(order, body).WantProblem(http.StatusServiceUnavailable, "payments.result_unknown")
		require.Len(t, statuses(c.read(order), "payments"), 1)
		number := c.pending(order, body)
		require.Len(t, statuses(c.read(order), "payments"), 1, "goes on with the same one")
		c.pay(number)
		c.tell(fake.Callback{Number: number})
		require.Equal(t, "paid", c.status(order))

		order = c.order(nil)
		c.Outside.Fail(fake.Fault{Target: target, Kind: fake.RateLimit})
		c.begin(order, body).WantProblem(http.StatusServiceUnavailable, "payments.provider_busy")
		require.Equal(t, []string{"failed"}, statuses(c.read(order), "payments"))
		c.begin(order, body).Want(http.StatusCreated)
	}
	c.balance()
}

// Money that comes for a cancelled order goes back, by itself, once.
func TestMoneyForCancelledOrders(t *testing.T) {
	c := openOnline(t)
	cancel := func(order string) {
		c.n++
		c.staff().Do(http.MethodPost, "/v1/orders/"+order+"/cancel", map[string]any{"reason": "不要了"}, "Idempotency-Key", fmt.Sprint("cancel-", c.n)).Want(http.StatusOK)
	}
	for _, body := range []map[string]any{jsapi, precreate} {
		// Cancelled while the customer was paying.
		order := c.order(nil)
		number := c.pending(order, body)
		c.pay(number)
		cancel(order)
		c.tell(fake.Callback{Number: number, Times: 2})
		o := c.read(order)
		require.Equal(t, "cancelled", o["status"])
		require.Equal(t, []string{"succeeded"}, statuses(o, "payments"))
		require.Equal(t, []string{"pending"}, statuses(o, "refunds"))
		c.settled()
		require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"))

		// The same, found out by the clock: it wants to close what has been paid.
		order = c.order(nil)
		number = c.pending(order, body)
		c.pay(number)
		c.Advance(31 * time.Minute)
		_, err := c.Server.Orders.CancelUnpaid(c.ctx)
		require.NoError(t, err)
		require.Equal(t, "cancelled", c.status(order))
		c.check()
		c.settled()
		require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"))

		// Cancelled before anybody paid: closed at the provider, so that nobody can.
		order = c.order(nil)
		number = c.pending(order, body)
		require.NoError(t, func() error {
			if body["method"] == "alipay" {
				return c.Outside.Scan(number)
			}
			return nil
		}())
		cancel(order)
		c.check()
		require.Equal(t, []string{"closed"}, statuses(c.read(order), "payments"))
		_, err = c.Outside.Pay(fake.Pay{Number: number})
		require.Error(t, err)

		// Paid, then cancelled by staff.
		order = c.order(nil)
		number = c.pending(order, body)
		c.pay(number)
		c.tell(fake.Callback{Number: number})
		cancel(order)
		c.settled()
		o = c.read(order)
		require.Equal(t, []string{"succeeded"}, statuses(o, "refunds"))
		require.EqualValues(t, 5900, o["refunded_amount"])
	}
	c.balance()
}

// A customer who was given two ways to pay, and used both, gets one back.
func TestPaidTwice(t *testing.T) {
	c := openOnline(t)
	order := c.order(nil)
	first, second := c.pending(order, native), c.pending(order, precreate)
	c.pay(first)
	c.pay(second)
	c.check() // the older one is not wanted any more, and turns out to be paid
	require.Equal(t, "paid", c.status(order))
	c.tell(fake.Callback{Number: second})
	c.settled()
	o := c.read(order)
	require.Equal(t, "paid", o["status"])
	require.Equal(t, []string{"succeeded", "succeeded"}, statuses(o, "payments"))
	require.Equal(t, []string{"succeeded"}, statuses(o, "refunds"))
	require.EqualValues(t, 11800, o["paid_amount"])
	require.EqualValues(t, 5900, o["refunded_amount"])

	// One that nobody used is closed.
	order = c.order(nil)
	first = c.pending(order, native)
	second = c.pending(order, jsapi)
	c.check()
	require.Equal(t, "CLOSED", c.Outside.PayState(first))
	require.Equal(t, "NOTPAY", c.Outside.PayState(second))
	c.balance()
}

// A refund whose answer is lost, however, happens once.
func TestRefundsHappenOnce(t *testing.T) {
	c := openOnline(t)
	paid := func(body map[string]any) string {
		order := c.order(nil)
		number := c.pending(order, body)
		c.pay(number)
		c.tell(fake.Callback{Number: number})
		c.n++
		c.staff().Do(http.MethodPost, "/v1/orders/"+order+"/cancel", map[string]any{"reason": "不要了"}, "Idempotency-Key", fmt.Sprint("cancel-", c.n)).Want(http.StatusOK)
		return order
	}
	for service, body := range map[string]map[string]any{"wechatpay": native, "alipay": precreate} {
		for _, kind := range []fake.Kind{fake.ResetAfter, fake.ErrorAfter, fake.BusyAfter, fake.ResetBefore, fake.Busy, fake.RateLimit, fake.Garbage, fake.BadSignature} {
			order := paid(body)
			c.Outside.Fail(fake.Fault{Target: service + ".refund", Kind: kind, Times: 2})
			c.settled()
			require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"), "%s %s", service, kind)
			c.Outside.Heal()
		}
		order := paid(body)
		code := map[string]string{"wechatpay": "NOT_ENOUGH", "alipay": "40004 ACQ.SELLER_BALANCE_NOT_ENOUGH"}[service]
		c.Outside.Fail(fake.Fault{Target: service + ".refund", Kind: fake.Code, Code: code})
		c.refunds()
		require.Equal(t, []string{"pending"}, statuses(c.read(order), "refunds"), "the merchant's balance may come back")
		c.settled()
		require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"))

		order = paid(body)
		code = map[string]string{"wechatpay": "INVALID_REQUEST", "alipay": "40004 ACQ.TRADE_NOT_ALLOW_REFUND"}[service]
		c.Outside.Fail(fake.Fault{Target: service + ".refund", Kind: fake.Code, Code: code})
		c.settled()
		failed := c.staff().Do(http.MethodGet, "/v1/order-refunds?status=failed&include=total_count", nil).Want(http.StatusOK).Map()
		require.EqualValues(t, 1, failed["total_count"], "visible to staff")
		one := failed["items"].([]any)[0].(map[string]any)
		require.Equal(t, order, one["order_id"])
		require.Equal(t, code, strings.NewReplacer("40004ACQ", "40004 ACQ").Replace(one["error_code"].(string)))
		retried := c.staff().Do(http.MethodPost, "/v1/order-refunds/"+one["id"].(string)+"/retry", nil).Want(http.StatusOK).Map()
		require.Equal(t, one["number"], retried["number"])
		c.settled()
		require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"))
		c.staff().Do(http.MethodPost, "/v1/order-refunds/"+one["id"].(string)+"/retry", nil).WantProblem(http.StatusConflict, "orders.refund_not_failed")
	}
	c.staff().Do(http.MethodPost, "/v1/order-refunds/"+uuid.NewString()+"/retry", nil).WantProblem(http.StatusNotFound, "orders.refund_not_found")

	// WeChat's customer whose account takes no money.
	order := paid(native)
	yes, no := true, false
	require.NoError(t, c.Outside.SetPay(fake.PaySettings{RefundsWait: &yes}))
	c.refunds()
	o := c.read(order)
	require.Equal(t, []string{"processing"}, statuses(o, "refunds"))
	all := c.Outside.Refunds()
	last := all[len(all)-1]
	require.NoError(t, c.Outside.SettleRefund(last.Number, "ABNORMAL"))
	require.True(t, c.tell(fake.Callback{Number: last.Payment, Refund: last.Number, Times: 2})[0].Taken)
	require.Equal(t, []string{"failed"}, statuses(c.read(order), "refunds"))
	require.NoError(t, c.Outside.SettleRefund(last.Number, "SUCCESS"))
	c.tell(fake.Callback{Number: last.Payment, Refund: last.Number, Spoil: "amount"})
	require.Equal(t, []string{"failed"}, statuses(c.read(order), "refunds"), "another amount is not booked")
	c.tell(fake.Callback{Number: last.Payment, Refund: last.Number})
	require.Equal(t, []string{"succeeded"}, statuses(c.read(order), "refunds"))
	c.tell(fake.Callback{Number: last.Payment}) // long after its refund
	require.NoError(t, c.Outside.SetPay(fake.PaySettings{RefundsWait: &no}))
	c.balance()
}

// Notices, the clock and a cancellation at the same time: one truth.
func TestRaces(t *testing.T) {
	c := openOnline(t)
	for round := range 6 {
		body := []map[string]any{native, precreate}[round%2]
		order := c.order(nil)
		number := c.pending(order, body)
		c.pay(number)
		c.Advance(time.Minute)
		var all sync.WaitGroup
		together := func(n int, f func(int)) {
			for i := range n {
				all.Add(1)
				go func() { defer all.Done(); f(i) }()
			}
		}
		together(6, func(int) { _, _ = c.Outside.SendCallback(fake.Callback{Number: number}) })
		together(3, func(int) { _, _ = c.Server.Orders.CheckPayments(c.ctx) })
		staff := c.staff()
		together(2, func(i int) {
			staff.Do(http.MethodPost, "/v1/orders/"+order+"/cancel", map[string]any{"reason": "不要了"}, "Idempotency-Key", fmt.Sprint("race-", round, "-", i))
		})
		together(4, func(int) { _, _ = c.Server.Orders.RunRefunds(c.ctx) })
		all.Wait()
		c.check()
		c.settled()
		o := c.read(order)
		require.Equal(t, "cancelled", o["status"])
		require.Equal(t, []string{"succeeded"}, statuses(o, "payments"))
		require.Equal(t, []string{"succeeded"}, statuses(o, "refunds"))
		for _, d := range c.Outside.Deliveries() {
			require.True(t, d.Taken, "%+v", d)
		}
	}
	require.Len(t, c.Outside.Payments(), 6)
	require.Len(t, c.Outside.Refunds(), 6)
	c.balance()
}

func TestBadOnlinePayments(t *testing.T) {
	c := openOnline(t)
	order := c.order(nil)
	for _, tc := range []struct {
		body    map[string]any
		code    string
		pointer string
	}{
		{map[string]any{"method": "wechat_pay", "kind": "page"}, "orders.payment_kind", "/kind"},
		{map[string]any{"method": "alipay", "kind": "jsapi", "openid": "o"}, "orders.payment_kind", "/kind"},
		{map[string]any{"method": "wechat_pay", "kind": "jsapi"}, "orders.openid", "/openid"},
		{map[string]any{"method": "wechat_pay", "kind": "native", "openid": "o"}, "orders.openid", "/openid"},
	} {
		c.begin(order, tc.body).WantProblem(http.StatusUnprocessableEntity, tc.code, tc.pointer)
	}
	c.begin(order, map[string]any{"method": "wechat_pay", "kind": "native", "amount": 5901}).WantProblem(http.StatusConflict, "orders.nothing_due", "/amount")
	for _, wrong := range []map[string]any{{"method": "cash", "kind": "native"}, {"method": "wechat_pay"}, {"method": "wechat_pay", "kind": "native", "amount": 0}, {"method": "wechat_pay", "kind": "native", "price": 1}} {
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, c.begin(order, wrong).Status)
	}
	c.begin(uuid.NewString(), native).WantProblem(http.StatusNotFound, "orders.not_found")
	c.begin(c.order(map[string]any{"draft": true}), native).WantProblem(http.StatusConflict, "orders.state")
	require.Equal(t, []string{}, statuses(c.read(order), "payments"), "nothing was begun")

	// In parts: the rest is due afterwards.
	number := c.pending(order, map[string]any{"method": "wechat_pay", "kind": "native", "amount": 900})
	c.pay(number)
	c.tell(fake.Callback{Number: number})
	require.Equal(t, "placed", c.status(order))
	number = c.pending(order, precreate)
	c.pay(number)
	c.tell(fake.Callback{Number: number})
	o := c.read(order)
	require.Equal(t, "paid", o["status"])
	require.EqualValues(t, 5900, o["paid_amount"])
	c.balance()

	none := testkit.New(t, testkit.WithOutside(func(config.Outside) config.Outside { return config.Outside{} }))
	none.Admin().Do(http.MethodPost, "/v1/orders/"+uuid.NewString()+"/online-payments", native).WantProblem(http.StatusServiceUnavailable, "payments.not_configured")
	none.Do(http.MethodPost, "/v1/payments/callbacks/wechat_pay", map[string]any{}).WantProblem(http.StatusServiceUnavailable, "payments.not_configured")
}
