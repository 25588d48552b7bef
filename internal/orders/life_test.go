package orders_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

var lastKey atomic.Int64

// keyed is a fresh Idempotency-Key header.
func keyed() []string { return []string{"Idempotency-Key", fmt.Sprintf("life-%d", lastKey.Add(1))} }

// counter is a shop with one article of 1,000 that it has ten pieces of, and a
// customer.
type counter struct {
	t        *testing.T
	app      *testkit.App
	admin    *testkit.Client
	store    uuid.UUID
	customer client.Customer
}

func newCounter(t *testing.T) *counter { return newCounterOn(t, testkit.New(t)) }

func newCounterOn(t *testing.T, app *testkit.App) *counter {
	c := &counter{t: t, app: app}
	c.admin, c.store = c.app.Admin(), c.app.Store().Id
	c.customer = c.app.Customer(map[string]any{"phone": "13800138000", "external_id": "E-1", "name": "李雷"})
	c.stocked("A", 1000, 10)
	return c
}

// stocked makes an article and receives pieces of it.
func (c *counter) stocked(sku string, price, pieces int) {
	c.article(sku, price)
	c.admin.Do("POST", "/v1/stock-movements", map[string]any{"store_id": c.store, "kind": "receipt", "lines": []any{map[string]any{"sku": sku, "quantity": pieces}}}, keyed()...).Want(201)
}

func (c *counter) article(sku string, price int) {
	c.admin.Do("POST", "/v1/products", map[string]any{"title": "商品 " + sku, "variants": []any{map[string]any{"sku": sku, "price_amount": price}}}).Want(201)
}

type level struct {
	OnHand                       int64 `json:"on_hand"`
	Reserved, Available, Damaged int64
}

func (c *counter) level(sku string) (out level) {
	var page struct{ Items []level }
	c.admin.Do("GET", "/v1/stock-levels?store_id="+c.store.String()+"&sku="+sku, nil).Want(200).JSON(&page)
	if len(page.Items) == 1 {
		out = page.Items[0]
	}
	return out
}

func (c *counter) place(more map[string]any, lines ...any) *testkit.Response {
	body := map[string]any{"store_id": c.store, "channel": "mini_program", "customer_id": c.customer.Id, "lines": lines}
	for k, v := range more {
		body[k] = v
	}
	return c.admin.Do("POST", "/v1/orders", body, keyed()...)
}

func (c *counter) order(r *testkit.Response) (o client.Order) {
	r.JSON(&o)
	return o
}

func (c *counter) step(id uuid.UUID, step string, body any) *testkit.Response {
	return c.admin.Do("POST", "/v1/orders/"+id.String()+"/"+step, body, keyed()...)
}

func (c *counter) stepBack(id uuid.UUID, step string, body any) *testkit.Response {
	return c.admin.Do("POST", "/v1/returns/"+id.String()+"/"+step, body, keyed()...)
}

func (c *counter) read(id uuid.UUID) client.Order {
	return c.order(c.admin.Do("GET", "/v1/orders/"+id.String(), nil).Want(200))
}

// spent is what counts as bought and as returned by the customer.
func (c *counter) spent() (orders, spent, returned int64) {
	require.NoError(c.t, c.app.DB.QueryRow(auth.System(c.t.Context(), "test"), `SELECT coalesce(sum(order_count), 0), coalesce(sum(spent_amount), 0), coalesce(sum(returned_amount), 0)
		FROM customer_metrics WHERE id = $1`, c.customer.Id).Scan(&orders, &spent, &returned))
	return
}

// whole demands that stock, metrics and money agree with what they follow from.
func (c *counter) whole() {
	c.t.Helper()
	ctx := auth.System(c.t.Context(), "test")
	report, err := c.app.Server.Inventory.Verify(ctx, 10)
	require.NoError(c.t, err)
	require.Empty(c.t, report.Differences)
	metrics, err := c.app.Server.Operations.VerifyMetrics(ctx)
	require.NoError(c.t, err)
	require.Empty(c.t, metrics.Differences)
	money, err := c.app.Server.Orders.Verify(ctx, 10)
	require.NoError(c.t, err)
	require.Empty(c.t, money.Differences)
}

func article(sku string, quantity int) map[string]any {
	return map[string]any{"sku": sku, "quantity": quantity}
}

var cash = func(amount int) map[string]any { return map[string]any{"method": "cash", "amount": amount} }

func TestAnOrderIsPaidShippedAndReturned(t *testing.T) {
	c := newCounter(t)
	c.article("FREE", 300) // no store keeps a stock of it
	to := map[string]any{"name": "韩梅梅", "phone": "13900139000", "address": map[string]any{"city": "上海市", "line1": "淮海中路 1 号"}}
	r := c.place(map[string]any{"recipient": to, "note": "请放门卫"}, article("A", 3), article("FREE", 1)).Want(201)
	o := c.order(r)
	require.Equal(t, "/v1/orders/"+o.Id.String(), r.Header.Get("Location"))
	require.Equal(t, []any{client.OrderPlaced, client.FulfilDelivery, int64(3300), int64(0)}, []any{o.Status, o.Fulfilment, o.TotalAmount, o.PaidAmount})
	require.False(t, o.PayBy.IsNull())
	require.Equal(t, level{10, 3, 7, 0}, c.level("A"))
	require.Equal(t, level{}, c.level("FREE"))
	require.Equal(t, "韩**", o.Recipient.MustGet().Name, "masked")
	require.NotContains(t, string(r.Body), "淮海中路 1 号")
	shown := c.admin.Do("POST", "/v1/orders/"+o.Id.String()+"/reveal", map[string]any{"reason": "打印面单"}).Want(200)
	require.Contains(t, string(shown.Body), "淮海中路 1 号")
	n, _, _ := c.spent()
	require.EqualValues(t, 0, n, "what is not paid does not count")

	c.step(o.Id, "shipments", map[string]any{}).WantProblem(409, "orders.state")
	c.step(o.Id, "payments", cash(4000)).WantProblem(409, "orders.nothing_due")
	require.Equal(t, client.OrderPlaced, c.order(c.step(o.Id, "payments", cash(300)).Want(201)).Status)
	require.Equal(t, client.OrderPaid, c.order(c.step(o.Id, "payments", map[string]any{"method": "card", "amount": 3000, "reference": "T-1"}).Want(201)).Status)
	c.step(o.Id, "payments", cash(1)).WantProblem(409, "orders.nothing_due")
	n, spent, _ := c.spent()
	require.Equal(t, []int64{1, 3300}, []int64{n, spent})

	parcel := map[string]any{"carrier": "sf", "tracking_number": "SF1", "lines": []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": 2}}}
	require.Equal(t, client.OrderPartlyShipped, c.order(c.step(o.Id, "shipments", parcel).Want(201)).Status)
	require.Equal(t, level{8, 1, 7, 0}, c.level("A"))
	c.step(o.Id, "cancel", map[string]any{"reason": "太晚"}).WantProblem(409, "orders.state")
	parcel["lines"] = []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": 2}}
	c.step(o.Id, "shipments", parcel).WantProblem(422, "orders.quantity_exceeded")
	require.Equal(t, client.OrderShipped, c.order(c.step(o.Id, "shipments", map[string]any{}).Want(201)).Status)
	require.Equal(t, client.OrderCompleted, c.order(c.step(o.Id, "complete", nil).Want(200)).Status)
	require.Equal(t, level{7, 0, 7, 0}, c.level("A"))
	c.whole()

	// One piece back, damaged; then the two others, of which one does not come.
	back := func(quantity int) client.OrderReturn {
		var b client.OrderReturn
		c.step(o.Id, "returns", map[string]any{"note": "不喜欢", "lines": []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": quantity, "reason_code": "unwanted"}}}).Want(201).JSON(&b)
		return b
	}
	one := back(1)
	require.Equal(t, []any{client.OrderReturnStatus("requested"), int64(1000)}, []any{one.Status, one.TotalAmount})
	two := back(2)
	c.step(o.Id, "returns", map[string]any{"lines": []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "unwanted"}}}).WantProblem(422, "orders.quantity_exceeded")
	c.step(o.Id, "returns", map[string]any{"lines": []any{map[string]any{"line_id": (*o.Lines)[1].Id, "quantity": 1, "reason_code": "bored"}}}).WantProblem(422, "orders.reason_unknown")
	c.stepBack(one.Id, "refund", map[string]any{}).WantProblem(409, "orders.return_state")
	c.stepBack(one.Id, "approve", nil).Want(200)
	c.stepBack(one.Id, "receive", map[string]any{"lines": []any{map[string]any{"return_line_id": (*one.Lines)[0].Id, "damaged_quantity": 1}}}).Want(200)
	require.Equal(t, level{7, 0, 7, 1}, c.level("A"))
	c.stepBack(one.Id, "refund", map[string]any{}).Want(200)
	c.stepBack(one.Id, "refund", map[string]any{}).WantProblem(409, "orders.return_state")
	c.stepBack(two.Id, "approve", nil).Want(200)
	c.stepBack(two.Id, "receive", map[string]any{"lines": []any{map[string]any{"return_line_id": (*two.Lines)[0].Id, "restocked_quantity": 1}}}).Want(200)
	var refunded client.OrderReturn
	c.stepBack(two.Id, "refund", map[string]any{}).Want(200).JSON(&refunded)
	require.EqualValues(t, 1000, refunded.TotalAmount, "one of the two pieces did not come")
	require.Equal(t, "card", (*refunded.Refunds)[0].Method, "to where the money came from")
	require.Equal(t, level{8, 0, 8, 1}, c.level("A"))
	o = c.read(o.Id)
	require.Equal(t, []int64{2000, 2000, 2}, []int64{o.RefundedAmount, o.ReturnedAmount, (*o.Lines)[0].ReturnedQuantity})
	n, spent, returned := c.spent()
	require.Equal(t, []int64{1, 3300, 2000}, []int64{n, spent, returned})
	c.whole()

	history := c.admin.Do("GET", "/v1/orders/"+o.Id.String()+"/history?limit=3&include=total_count", nil).Want(200).Map()
	require.EqualValues(t, 14, history["total_count"])
	require.Equal(t, "refund_return", history["items"].([]any)[0].(map[string]any)["action"])
}

func TestACancelledOrderGivesPiecesAndMoneyBack(t *testing.T) {
	c := newCounter(t)
	o := c.order(c.place(map[string]any{"payments": []any{cash(2000)}}, article("A", 2)).Want(201))
	require.Equal(t, client.OrderPaid, o.Status)
	n, _, _ := c.spent()
	require.EqualValues(t, 1, n)
	o = c.order(c.step(o.Id, "cancel", map[string]any{"reason": "不要了"}).Want(200))
	require.Equal(t, []any{client.OrderCancelled, int64(2000)}, []any{o.Status, o.RefundedAmount})
	require.Equal(t, level{10, 0, 10, 0}, c.level("A"))
	n, spent, _ := c.spent()
	require.Equal(t, []int64{0, 0}, []int64{n, spent})
	for _, step := range []string{"cancel", "shipments", "payments", "returns"} {
		body := map[string]any{"cancel": map[string]any{"reason": "再一次"}, "shipments": map[string]any{}, "payments": cash(1),
			"returns": map[string]any{"lines": []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "other"}}}}[step]
		c.step(o.Id, step, body).WantProblem(409, "orders.state")
	}
	c.whole()
}

func TestAnOrderThatIsNotPaidIsCancelled(t *testing.T) {
	c := newCounter(t)
	o := c.order(c.place(nil, article("A", 10)).Want(201))
	c.place(nil, article("A", 1)).WantProblem(409, "inventory.insufficient")
	ctx := auth.System(t.Context(), "test")
	_, err := c.app.DB.Exec(ctx, "UPDATE orders SET pay_by = now() - interval '1 hour'")
	require.NoError(t, err)
	done, err := c.app.Server.Orders.CancelUnpaid(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, done)
	require.Equal(t, client.OrderCancelled, c.read(o.Id).Status)
	c.place(nil, article("A", 1)).Want(201)
	c.whole()
}

func TestEditsMovePiecesAndMoney(t *testing.T) {
	c := newCounter(t)
	c.stocked("B", 700, 5)
	o := c.order(c.place(map[string]any{"fulfilment": "pickup", "payments": []any{cash(3000)}}, article("A", 3)).Want(201))
	edit := func(lines ...any) *testkit.Response {
		return c.admin.Do("PUT", "/v1/orders/"+o.Id.String()+"/lines", map[string]any{"lines": lines, "reason": "改单"})
	}
	first := (*o.Lines)[0].Id
	o = c.order(edit(map[string]any{"id": first, "quantity": 1}, article("B", 2)).Want(200))
	require.Equal(t, []any{client.OrderPaid, int64(2400), int64(600)}, []any{o.Status, o.TotalAmount, o.RefundedAmount})
	require.Equal(t, level{10, 1, 9, 0}, c.level("A"))
	require.Equal(t, level{5, 2, 3, 0}, c.level("B"))
	_, spent, _ := c.spent()
	require.EqualValues(t, 2400, spent)
	edit(map[string]any{"id": uuid.New(), "quantity": 1}).WantProblem(422, "orders.line_unknown")
	edit(map[string]any{"id": first, "quantity": 11}).WantProblem(409, "inventory.insufficient")
	require.Equal(t, level{5, 2, 3, 0}, c.level("B"), "a refused edit moves nothing")
	o = c.order(edit(map[string]any{"id": first, "quantity": 4}).Want(200))
	require.Equal(t, []any{client.OrderPlaced, int64(4000)}, []any{o.Status, o.TotalAmount})
	require.Equal(t, level{5, 0, 5, 0}, c.level("B"))
	n, _, _ := c.spent()
	require.EqualValues(t, 0, n, "money is due again")
	o = c.order(c.step(o.Id, "payments", cash(1600)).Want(201))
	require.Equal(t, client.OrderPaid, o.Status)
	require.Equal(t, client.OrderReady, c.order(c.step(o.Id, "ready", nil).Want(200)).Status)
	require.Equal(t, client.OrderCompleted, c.order(c.step(o.Id, "complete", nil).Want(200)).Status)
	require.Equal(t, level{6, 0, 6, 0}, c.level("A"))
	c.whole()
}

func TestAnExchangeIsOneStep(t *testing.T) {
	c := newCounter(t)
	c.stocked("B", 700, 5)
	c.stocked("C", 1500, 1)
	o := c.order(c.place(map[string]any{"fulfilment": "taken", "payments": []any{cash(2000)}}, article("A", 2)).Want(201))
	require.Equal(t, client.OrderCompleted, o.Status)
	require.Equal(t, level{8, 0, 8, 0}, c.level("A"))
	back := []any{map[string]any{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "wrong_size"}}
	c.step(o.Id, "exchanges", map[string]any{"return_lines": back, "lines": []any{article("C", 2)}}).WantProblem(409, "inventory.insufficient")
	c.step(o.Id, "exchanges", map[string]any{"store_id": uuid.New(), "return_lines": back, "lines": []any{article("B", 1)}}).WantProblem(422, "orders.store_unknown")
	require.Equal(t, level{8, 0, 8, 0}, c.level("A"), "nothing came back either")

	cheaper := c.order(c.step(o.Id, "exchanges", map[string]any{"return_lines": back, "lines": []any{article("B", 1)}}).Want(201))
	require.Equal(t, []any{client.OrderCompleted, int64(700), int64(700)}, []any{cheaper.Status, cheaper.TotalAmount, cheaper.PaidAmount})
	require.Equal(t, level{9, 0, 9, 0}, c.level("A"))
	o = c.read(o.Id)
	require.Equal(t, []int64{1000, 1000}, []int64{o.ReturnedAmount, o.RefundedAmount})
	methods := map[string]int64{}
	for _, r := range *o.Refunds {
		methods[r.Method] += r.Amount
	}
	require.Equal(t, map[string]int64{"exchange_credit": 700, "cash": 300}, methods)

	dearer := c.order(c.step(o.Id, "exchanges", map[string]any{"return_lines": back, "lines": []any{article("C", 1)}, "payments": []any{cash(500)}}).Want(201))
	require.Equal(t, []any{client.OrderCompleted, int64(1500), int64(1500)}, []any{dearer.Status, dearer.TotalAmount, dearer.PaidAmount})
	n, spent, returned := c.spent()
	require.Equal(t, []int64{3, 4200, 2000}, []int64{n, spent, returned})
	c.whole()
	// What goods have paid for comes back as cash.
	var b client.OrderReturn
	c.step(dearer.Id, "returns", map[string]any{"lines": []any{map[string]any{"line_id": (*dearer.Lines)[0].Id, "quantity": 1, "reason_code": "other"}}}).Want(201).JSON(&b)
	c.stepBack(b.Id, "approve", nil).Want(200)
	c.stepBack(b.Id, "refund", map[string]any{"goods_kept": true}).Want(200)
	require.EqualValues(t, 1500, c.read(dearer.Id).RefundedAmount)
	c.whole()
}

// Over all returns of a line, in whatever parts and however many are refused, the
// parts add up to what was paid for it.
func TestReturnsAddUpToWhatWasPaid(t *testing.T) {
	c := newCounter(t)
	c.article("ODD", 333)
	random := rand.New(rand.NewPCG(7, 11))
	for range 12 {
		quantity := 1 + random.IntN(7)
		discount := random.IntN(333 * quantity)
		total := 333*quantity - discount
		o := c.order(c.place(map[string]any{"fulfilment": "taken", "payments": []any{cash(total)}},
			map[string]any{"sku": "ODD", "quantity": quantity, "discount_amount": discount}).Want(201))
		require.EqualValues(t, total, o.TotalAmount)
		line, left := (*o.Lines)[0].Id, quantity
		for left > 0 {
			pieces := 1 + random.IntN(left)
			var b client.OrderReturn
			c.step(o.Id, "returns", map[string]any{"lines": []any{map[string]any{"line_id": line, "quantity": pieces, "reason_code": "other"}}}).Want(201).JSON(&b)
			if random.IntN(3) == 0 {
				c.stepBack(b.Id, "reject", map[string]any{"reason": "已使用"}).Want(200)
				continue
			}
			c.stepBack(b.Id, "approve", nil).Want(200)
			c.stepBack(b.Id, "receive", map[string]any{}).Want(200)
			c.stepBack(b.Id, "refund", map[string]any{}).Want(200)
			left -= pieces
		}
		o = c.read(o.Id)
		require.Equal(t, []int64{int64(total), int64(total)}, []int64{o.RefundedAmount, o.ReturnedAmount})
	}
	c.whole()
}

func TestBadOrdersMoveNothing(t *testing.T) {
	c := newCounter(t)
	till := c.app.Client("assistant", testkit.InStore(c.store))
	body := func(more map[string]any) map[string]any {
		out := map[string]any{"store_id": c.store, "channel": "pos", "lines": []any{article("A", 1)}}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for name, at := range map[string]struct {
		body map[string]any
		code string
	}{
		"no such article":         {body(map[string]any{"lines": []any{article("A", 1), article("NONE", 1)}}), "orders.article_unknown"},
		"article named twice":     {body(map[string]any{"lines": []any{map[string]any{"sku": "A", "variant_id": uuid.New(), "quantity": 1}}}), "orders.article_unknown"},
		"no such customer":        {body(map[string]any{"customer_id": uuid.New()}), "orders.customer_not_found"},
		"customer twice":          {body(map[string]any{"customer_id": c.customer.Id, "customer": map[string]any{"external_id": "E-1"}}), "orders.customer_keys"},
		"delivery to nobody":      {body(map[string]any{"fulfilment": "delivery", "customer_id": c.customer.Id}), "orders.recipient_mismatch"},
		"paid too much":           {body(map[string]any{"payments": []any{cash(600), cash(600)}}), "orders.nothing_due"},
		"more than there is":      {body(map[string]any{"lines": []any{article("A", 11)}}), "inventory.insufficient"},
		"more than there is, two": {body(map[string]any{"lines": []any{article("A", 6), article("A", 5)}}), "inventory.insufficient"},
		"tomorrow's tomorrow":     {body(map[string]any{"placed_at": time.Now().Add(25 * time.Hour).Format(time.RFC3339)}), "orders.placed_in_future"},
		"draft that is paid":      {body(map[string]any{"draft": true, "payments": []any{cash(1)}}), "orders.draft_paid"},
	} {
		r := c.admin.Do("POST", "/v1/orders", at.body, keyed()...)
		require.Equal(t, at.code, r.Map()["code"], "%s: %s", name, r.Body)
	}
	for name, lines := range map[string]any{"price": map[string]any{"sku": "A", "quantity": 1, "unit_price_amount": 1}, "discount": map[string]any{"sku": "A", "quantity": 1, "discount_amount": 1}} {
		till.Do("POST", "/v1/orders", body(map[string]any{"lines": []any{lines}}), keyed()...).WantProblem(403, "orders.price_not_yours")
		_ = name
	}
	for _, quantity := range []int{0, -1} {
		c.admin.Do("POST", "/v1/orders", body(map[string]any{"lines": []any{article("A", quantity)}}), keyed()...).Want(422)
	}
	c.admin.Do("POST", "/v1/orders", body(nil)).WantProblem(400, "idempotency.key_required")
	require.Equal(t, level{10, 0, 10, 0}, c.level("A"))
	o := c.order(c.place(nil, article("A", 1)).Want(201))
	c.admin.Do("PATCH", "/v1/orders/"+o.Id.String(), map[string]any{"note": "改"}, "If-Match", `"7"`).Want(http.StatusPreconditionFailed)
	c.admin.Do("PATCH", "/v1/orders/"+o.Id.String(), map[string]any{"note": "改"}, "If-Match", `"1"`).Want(200)
	c.app.Client("store_manager", testkit.InStore(c.app.Store().Id)).Do("POST", "/v1/orders/"+o.Id.String()+"/cancel", map[string]any{"reason": "别人的"}, keyed()...).Want(404)
	c.whole()
}

func TestAnOrderSentAgainIsTheFirstOne(t *testing.T) {
	c := newCounter(t)
	more := map[string]any{"external_number": "W-1"}
	first := c.order(c.place(more, article("A", 1)).Want(201))
	again := c.order(c.place(more, article("A", 1)).Want(201))
	require.Equal(t, first.Id, again.Id)
	c.place(more, article("A", 2)).WantProblem(409, "orders.external_number_reused")
	require.Equal(t, level{10, 1, 9, 0}, c.level("A"))
	key := keyed()
	body := map[string]any{"store_id": c.store, "channel": "web", "lines": []any{article("A", 1)}}
	one := c.admin.Do("POST", "/v1/orders", body, key...).Want(201)
	two := c.admin.Do("POST", "/v1/orders", body, key...).Want(201)
	require.Equal(t, one.Map()["id"], two.Map()["id"])
	require.Equal(t, "true", two.Header.Get("Idempotency-Replayed"))
	require.Equal(t, level{10, 2, 8, 0}, c.level("A"))
}

func TestTheLastPiecesAreSoldOnce(t *testing.T) {
	c := newCounter(t)
	c.stocked("LAST", 500, 50)
	c.stocked("SOME", 500, 1000)
	var sold, refused, other atomic.Int64
	var wait sync.WaitGroup
	gate := make(chan struct{})
	for i := range 200 {
		wait.Go(func() {
			<-gate
			lines := []any{article("LAST", 1), article("SOME", 1)}
			if i%2 == 0 { // the other way round: locks are taken in one order all the same
				lines = []any{article("SOME", 1), article("LAST", 1)}
			}
			r := c.admin.Do("POST", "/v1/orders", map[string]any{"store_id": c.store, "channel": "web", "lines": lines, "payments": []any{cash(1000)}, "fulfilment": []string{"taken", "pickup"}[i%2]}, keyed()...)
			switch {
			case r.Status == 201:
				sold.Add(1)
			case r.Status == 409 && r.Map()["code"] == "inventory.insufficient":
				refused.Add(1)
			default:
				other.Add(1)
				t.Log(r.Status, string(r.Body))
			}
		})
	}
	close(gate)
	wait.Wait()
	assert.Equal(t, []int64{50, 150, 0}, []int64{sold.Load(), refused.Load(), other.Load()})
	l := c.level("LAST")
	require.Equal(t, []int64{0, l.OnHand}, []int64{l.Available, l.Reserved}, "what is left is promised to be picked up")
	c.whole()
}

// Steps of one order at the same time: one of them wins, the others are told.
func TestStepsOfOneOrderRace(t *testing.T) {
	c := newCounter(t)
	for range 5 {
		o := c.order(c.place(map[string]any{"fulfilment": "pickup"}, article("A", 2)).Want(201))
		var paid, cancelled atomic.Int64
		var wait sync.WaitGroup
		for i := range 12 {
			wait.Go(func() {
				if i%3 == 2 {
					if c.step(o.Id, "cancel", map[string]any{"reason": "同时"}).Status == 200 {
						cancelled.Add(1)
					}
				} else if c.step(o.Id, "payments", cash(2000)).Status == 201 {
					paid.Add(1)
				}
			})
		}
		wait.Wait()
		o = c.read(o.Id)
		require.LessOrEqual(t, paid.Load(), int64(1), "nothing is paid twice")
		require.EqualValues(t, 1, cancelled.Load())
		require.Equal(t, o.PaidAmount, o.RefundedAmount)
		require.Equal(t, client.OrderCancelled, o.Status)
	}
	require.Equal(t, level{10, 0, 10, 0}, c.level("A"))
	c.whole()
}

func TestTillsMoveTheStock(t *testing.T) {
	c := newCounter(t)
	send := func(orders ...any) (out client.POSResults) {
		c.admin.Do("POST", "/v1/pos/orders", map[string]any{"orders": orders}).Want(200).JSON(&out)
		for _, r := range out.Results {
			require.Nil(t, r.Error)
		}
		return out
	}
	now := time.Now().UTC()
	sale := func(number string, at time.Time, more map[string]any, lines ...any) map[string]any {
		out := map[string]any{"store_id": c.store, "external_number": number, "placed_at": at.Format(time.RFC3339Nano), "customer_id": c.customer.Id, "lines": lines}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	at := func(quantity int, more ...any) map[string]any {
		l := map[string]any{"sku": "A", "quantity": quantity, "unit_price_amount": 1000}
		if len(more) > 0 {
			l["discount_amount"] = more[0]
		}
		return l
	}
	first := sale("T1", now, map[string]any{"payments": []any{cash(1500)}, "coupon_codes": []string{"LUCKY"}}, at(2, 500))
	done := send(first, sale("T2", now, nil, at(1)), first)
	require.Equal(t, client.POSDuplicate, done.Results[2].Status)
	require.Equal(t, level{7, 0, 7, 0}, c.level("A"))
	o := c.read(*done.Results[0].OrderId)
	require.Equal(t, []any{int64(1500), int64(500), int64(1500), []string{"LUCKY"}, "cash"}, []any{o.TotalAmount, o.DiscountAmount, o.PaidAmount, o.CouponCodes, (*o.Payments)[0].Method})

	// Two pieces come back, one of them in exchange for another.
	send(sale("R1", now, map[string]any{"type": "return", "original_external_number": "T1"}, at(1, 250)))
	mixed := send(sale("X1", now, map[string]any{"payments": []any{cash(1000)}}, at(2), at(-1)))
	require.Equal(t, level{7, 0, 7, 0}, c.level("A"))
	x := c.read(*mixed.Results[0].OrderId)
	require.Equal(t, []int64{2000, 2000}, []int64{x.TotalAmount, x.PaidAmount})

	// A till is right: the book finds what it lacks.
	send(sale("T3", now, nil, at(9)))
	require.Equal(t, level{0, 0, 0, 0}, c.level("A"))
	c.whole()
	c.admin.Do("POST", "/v1/stock-movements", map[string]any{"store_id": c.store, "kind": "receipt", "lines": []any{map[string]any{"sku": "A", "quantity": 10}}}, keyed()...).Want(201)

	// What was sold before a count is in the count already.
	var count struct{ Id uuid.UUID }
	c.admin.Do("POST", "/v1/stock-counts", map[string]any{"store_id": c.store}, keyed()...).Want(201).JSON(&count)
	c.admin.Do("POST", "/v1/stock-counts/"+count.Id.String()+"/lines", map[string]any{"lines": []any{map[string]any{"sku": "A", "counted_quantity": 8}}}).Want(200)
	c.admin.Do("POST", "/v1/stock-counts/"+count.Id.String()+"/submit", nil, keyed()...).Want(200)
	other := c.app.Client("administrator", testkit.All())
	other.Do("POST", "/v1/stock-counts/"+count.Id.String()+"/approve", nil, keyed()...).Want(200)
	require.Equal(t, level{8, 0, 8, 0}, c.level("A"))
	send(sale("LATE", now.Add(-time.Hour), nil, at(2)))
	require.Equal(t, level{8, 0, 8, 0}, c.level("A"))
	send(sale("AFTER", time.Now().UTC().Add(time.Second), nil, at(2)))
	require.Equal(t, level{6, 0, 6, 0}, c.level("A"))
	c.whole()
}
