package orders_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// toSomebody has an order brought to a new customer.
func (c *online) toSomebody() map[string]any {
	c.T.Helper()
	who := c.staff().Do(http.MethodPost, "/v1/customers", map[string]any{"name": "韩梅梅"}).Want(http.StatusCreated).Map()["id"]
	return map[string]any{"customer_id": who,
		"recipient": map[string]any{"name": "韩梅梅", "phone": "13900131357", "address": map[string]any{"city": "上海市", "line1": "淮海中路 1 号"}}}
}

// sent places, pays and ships an order of one piece, and returns its id.
func (c *online) sent(parcel map[string]any) string {
	c.T.Helper()
	order := c.order(c.toSomebody())
	c.do(http.MethodPost, order+"/payments", map[string]any{"method": "cash", "amount": 5900}).Want(http.StatusCreated)
	c.do(http.MethodPost, order+"/shipments", parcel).Want(http.StatusCreated)
	return order
}

func (c *online) do(method, path string, body any) *testkit.Response {
	c.n++
	return c.staff().Do(method, "/v1/orders/"+path, body, "Idempotency-Key", "do-"+uuid.NewString())
}

func (c *online) parcels() {
	c.T.Helper()
	_, err := c.Server.Orders.CheckParcels(c.ctx)
	require.NoError(c.T, err)
}

// parcel reads one of an order.
func (c *online) parcel(order string, n int) map[string]any {
	c.T.Helper()
	return c.do(http.MethodGet, order+"/shipments?include=total_count", nil).Want(http.StatusOK).Map()["items"].([]any)[n].(map[string]any)
}

// steps are the texts of an order's parcels, the newest first.
func (c *online) steps(order string) []string {
	c.T.Helper()
	out := []string{}
	for _, one := range c.do(http.MethodGet, order+"/tracking-events", nil).Want(http.StatusOK).Map()["items"].([]any) {
		out = append(out, one.(map[string]any)["text"].(string))
	}
	return out
}

func (c *online) scan(in fake.Scan) []fake.Push {
	c.T.Helper()
	if in.At.IsZero() {
		in.At = c.Clock.Now()
	}
	pushes, err := c.Outside.AddScan(in)
	require.NoError(c.T, err)
	return pushes
}

func (c *online) push(in fake.PushOrder) []fake.Push {
	c.T.Helper()
	pushes, err := c.Outside.PushParcel(in)
	require.NoError(c.T, err)
	return pushes
}

// told counts the events of a type about an order.
func (c *online) told(order, kind string) (n int) {
	c.T.Helper()
	require.NoError(c.T, c.DB.QueryRow(c.ctx, "SELECT count(*) FROM outbox_events WHERE type = $1 AND payload->>'order_id' = $2", kind, order).Scan(&n))
	return n
}

func yuantong(number string) map[string]any {
	return map[string]any{"carrier": "yuantong", "tracking_number": number}
}

func TestAParcelIsFollowedUntilItArrives(t *testing.T) {
	c := openOnline(t)
	order := c.sent(yuantong("YT1"))
	require.Equal(t, []any{"sent", "pending"}, []any{c.parcel(order, 0)["status"], c.parcel(order, 0)["tracking"]})
	c.parcels()
	require.Contains(t, c.Outside.Subscribed("YT1"), "/v1/callbacks/kuaidi100/")
	require.Equal(t, "followed", c.parcel(order, 0)["tracking"])

	c.Advance(time.Hour)
	first := fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "快件已由 韩梅梅 揽收", Place: "北京", State: "1"}
	require.True(t, c.scan(first)[0].Taken)
	require.Equal(t, "in_transit", c.parcel(order, 0)["status"])
	c.Advance(time.Hour)
	pushes := c.scan(fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "正在派送", State: "5"})
	require.True(t, pushes[0].Taken)
	require.Equal(t, "out_for_delivery", c.parcel(order, 0)["status"])
	require.Equal(t, []string{"正在派送", "快件已由 韩梅梅 揽收"}, c.steps(order), "the whole history came twice")
	require.Equal(t, 1, c.told(order, "shipment.out_for_delivery"))

	version := c.read(order)["version"]
	for _, p := range c.push(fake.PushOrder{Number: "YT1", Times: 3}) {
		require.True(t, p.Taken, "said again: known")
	}
	for _, spoil := range []string{"signature", "garbage"} {
		p := c.push(fake.PushOrder{Number: "YT1", Spoil: spoil})
		require.False(t, p[0].Taken, spoil)
		require.GreaterOrEqual(t, p[0].Status, 400)
	}
	require.Equal(t, version, c.read(order)["version"], "nothing has changed")
	c.staff().Do(http.MethodPost, "/v1/callbacks/kuaidi100/guess", map[string]any{}).WantProblem(404, "orders.callback_not_found")

	c.Advance(time.Hour)
	arrived := c.Clock.Now().Truncate(time.Second)
	require.True(t, c.scan(fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "已签收", State: "3"})[0].Taken)
	last := c.parcel(order, 0)
	require.Equal(t, []any{"delivered", "ended", arrived.UTC().Format(time.RFC3339)}, []any{last["status"], last["tracking"], last["delivered_at"]})
	require.Equal(t, "completed", c.status(order), "all of it was sent, and all of it has arrived")
	require.Equal(t, []int{1, 1}, []int{c.told(order, "shipment.delivered"), c.told(order, "order.completed")})
	history := c.do(http.MethodGet, order+"/history", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"tracking", "shipped", "completed", "system"}, []any{history["action"], history["from_status"], history["to_status"], history["actor_kind"]})

	// Late and out of order: what was known before is no news.
	late := fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "到达上海", State: "0", At: arrived.Add(-90 * time.Minute)}
	require.True(t, c.scan(late)[0].Taken)
	require.Equal(t, "delivered", c.parcel(order, 0)["status"])
	require.Len(t, c.steps(order), 4)

	var clear int
	require.NoError(t, c.DB.QueryRow(c.ctx, "SELECT count(*) FROM tracking_events WHERE private_sealed::text LIKE '%'||encode('韩梅梅', 'hex')||'%'").Scan(&clear))
	require.Zero(t, clear, "what the carrier writes is sealed")
}

func TestAnOrderOfTwoParcelsWaitsForBoth(t *testing.T) {
	c := openOnline(t)
	order := c.order(c.toSomebody())
	c.do(http.MethodPost, order+"/payments", map[string]any{"method": "cash", "amount": 5900}).Want(http.StatusCreated)
	line := c.read(order)["lines"].([]any)[0].(map[string]any)["id"]
	one := yuantong("YT1")
	one["lines"] = []any{map[string]any{"line_id": line, "quantity": 1}}
	c.do(http.MethodPost, order+"/shipments", one).Want(http.StatusCreated)
	c.parcels()
	c.scan(fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "已签收", State: "3"})
	require.Equal(t, "partly_shipped", c.status(order))
	c.do(http.MethodPost, order+"/shipments", yuantong("YT2")).Want(http.StatusCreated)
	c.parcels()
	require.Equal(t, "shipped", c.status(order))
	c.scan(fake.Scan{Carrier: "yuantong", Number: "YT2", Text: "收件人拒收", State: "14"})
	require.Equal(t, "exception", c.parcel(order, 1)["status"])
	require.Equal(t, 1, c.told(order, "shipment.exception"))
	require.Equal(t, "shipped", c.status(order))
	c.Advance(time.Minute)
	c.scan(fake.Scan{Carrier: "yuantong", Number: "YT2", Text: "再派，已签收", State: "3"})
	require.Equal(t, "completed", c.status(order))
}

func TestCarriersCorrectThemselves(t *testing.T) {
	c := openOnline(t)
	order := c.sent(yuantong("N1"))
	c.parcels()
	c.scan(fake.Scan{Carrier: "yuantong", Number: "N1", Text: "错误的记录", State: "0"})
	c.Advance(time.Hour)
	stale := c.push(fake.PushOrder{Number: "N1"}) // held back by the network until after the correction, but for its time
	require.True(t, stale[0].Taken)
	c.Outside.ForgetScans("N1")
	c.scan(fake.Scan{Carrier: "zhongtong", Number: "N1", Text: "中通已揽收", State: "1", Silent: true})
	require.True(t, c.push(fake.PushOrder{Number: "N1", Status: "updateall", CarrierNew: "zhongtong"})[0].Taken)
	p := c.parcel(order, 0)
	require.Equal(t, []any{"zhongtong", "in_transit"}, []any{p["carrier"], p["status"]})
	require.Equal(t, []string{"中通已揽收"}, c.steps(order), "what the wrong carrier told is taken back")
	var kept int
	require.NoError(t, c.DB.QueryRow(c.ctx, "SELECT count(*) FROM tracking_events WHERE order_id = $1", order).Scan(&kept))
	require.Equal(t, 2, kept, "though it is not forgotten")

	c.scan(fake.Scan{Carrier: "zhongtong", Number: "N1", Text: "已签收", State: "3"})
	require.Equal(t, "completed", c.status(order))
}

func TestProvidersGiveUpAndAreAskedAgain(t *testing.T) {
	c := openOnline(t)
	order := c.sent(yuantong("A1"))
	for n := range 3 {
		c.parcels()
		require.NotEmpty(t, c.Outside.Subscribed("A1"), n)
		require.Equal(t, "followed", c.parcel(order, 0)["tracking"])
		c.scan(fake.Scan{Carrier: "yuantong", Number: "A1", Text: strings.Repeat("仍无进展", n+1), State: "0", Silent: true})
		for _, p := range c.push(fake.PushOrder{Number: "A1", Status: "abort", Times: 2}) {
			require.True(t, p.Taken)
		}
		require.Empty(t, c.Outside.Subscribed("A1"))
		c.Advance(72 * time.Hour)
	}
	p := c.parcel(order, 0)
	require.Equal(t, []any{"exception", "ended", "aborted"}, []any{p["status"], p["tracking"], p["tracking_error"]})
	require.Equal(t, 1, c.told(order, "shipment.exception"))
	c.parcels()
	require.Empty(t, c.Outside.Subscribed("A1"), "we have given up as well")
}

func TestSilentSubscriptionsAreAskedAbout(t *testing.T) {
	c := openOnline(t)
	order := c.sent(yuantong("S1"))
	c.Outside.Fail(fake.Fault{Target: "kuaidi100.subscribe", Kind: fake.Code, Code: "500"})
	c.parcels()
	require.Equal(t, "pending", c.parcel(order, 0)["tracking"], "it was down")
	c.Advance(3 * time.Minute)
	c.parcels()
	require.Equal(t, "followed", c.parcel(order, 0)["tracking"])
	c.scan(fake.Scan{Carrier: "yuantong", Number: "S1", Text: "已签收", State: "3", Silent: true})
	c.parcels()
	require.Equal(t, "shipped", c.status(order), "too early to ask")
	c.Advance(5 * time.Hour)
	c.parcels()
	require.Equal(t, "completed", c.status(order))
	require.Equal(t, []string{"已签收"}, c.steps(order))

	refused := c.sent(yuantong("S2"))
	c.Outside.Fail(fake.Fault{Target: "kuaidi100.subscribe", Kind: fake.Code, Code: "702"})
	c.parcels()
	p := c.parcel(refused, 0)
	require.Equal(t, []any{"refused", "tracking.refused"}, []any{p["tracking"], p["tracking_error"]})
	require.Nil(t, c.parcel(c.sent(map[string]any{}), 0)["tracking"], "a parcel without a number")
}

func TestSFTellsWhatIsNewOnly(t *testing.T) {
	c := openOnline(t)
	order := c.sent(map[string]any{"carrier": "sf", "tracking_number": "SF1"})
	c.scan(fake.Scan{Carrier: "shunfeng", Number: "SF1", Text: "已收取快件", OpCode: "50", Silent: true, Phone: "1357"})
	c.Outside.Fail(fake.Fault{Target: "sf.query", Kind: fake.Code, Code: "S0001"}) // A1000 outside, a failure inside
	c.parcels()
	require.Empty(t, c.steps(order))
	c.Advance(5 * time.Minute)
	c.parcels()
	require.Equal(t, []string{"已收取快件"}, c.steps(order), "the recipient's last four digits opened it")
	require.Equal(t, "in_transit", c.parcel(order, 0)["status"])

	c.Outside.SetSFPush(c.Server.Orders.CallbackURL("sf"))
	c.Advance(time.Hour)
	require.True(t, c.scan(fake.Scan{Carrier: "shunfeng", Number: "SF1", Text: "派送中", OpCode: "44"})[0].Taken)
	require.Equal(t, "out_for_delivery", c.parcel(order, 0)["status"])
	early := c.Clock.Now().Add(-30 * time.Minute)
	require.True(t, c.scan(fake.Scan{Carrier: "shunfeng", Number: "SF1", Text: "到达上海", OpCode: "31", At: early})[0].Taken, "late")
	require.Equal(t, "out_for_delivery", c.parcel(order, 0)["status"])
	c.Advance(time.Hour)
	require.True(t, c.scan(fake.Scan{Carrier: "shunfeng", Number: "SF1", Text: "已签收", OpCode: "80"})[0].Taken)
	require.Equal(t, "completed", c.status(order))
	require.Equal(t, []string{"已签收", "派送中", "到达上海", "已收取快件"}, c.steps(order))
	require.True(t, c.scan(fake.Scan{Carrier: "shunfeng", Number: "SF404", Text: "不是我们的", OpCode: "80"})[0].Taken, "nothing to say again")

	lost := c.sent(map[string]any{"carrier": "sf", "tracking_number": "SF2"})
	c.Outside.Fail(fake.Fault{Target: "sf.query", Kind: fake.Code, Code: "S0001", Times: -1})
	for range 12 {
		c.parcels()
		c.Advance(time.Hour)
	}
	require.Equal(t, "refused", c.parcel(lost, 0)["tracking"], "it never says anything else")
}

func TestNobodyFollowsWithoutAProvider(t *testing.T) {
	app := testkit.New(t, testkit.WithOutside(func(config.Outside) config.Outside { return config.Outside{} }))
	c := &online{App: app, store: app.Store().Id, ctx: t.Context()}
	post(c.staff(), ticket(c.store, "T0", nil, line("BOOK", 1, 1990))).Want(http.StatusOK)
	require.Nil(t, c.parcel(c.sent(yuantong("YT1")), 0)["tracking"])
	_, err := c.Server.Orders.TakePush(c.ctx, "kuaidi100", []byte("param=%7B%7D"))
	require.ErrorContains(t, err, "tracking.not_configured")
}

func TestCustomersSeeWhereTheirParcelsAre(t *testing.T) {
	c := openOnline(t)
	one := c.Customer(map[string]any{"phone": "13900131357", "name": "韩梅梅"})
	other := c.Customer(map[string]any{"phone": "13900131358", "name": "韩梅"})
	order := c.order(map[string]any{"customer_id": other.Id,
		"recipient": map[string]any{"name": "韩梅梅", "phone": "13900131357", "address": map[string]any{"line1": "淮海中路 1 号"}}})
	c.do(http.MethodPost, order+"/payments", map[string]any{"method": "cash", "amount": 5900}).Want(http.StatusCreated)
	c.do(http.MethodPost, order+"/shipments", yuantong("YT1")).Want(http.StatusCreated)
	c.parcels()
	c.scan(fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "韩梅梅的快件已揽收", Place: "北京", State: "1"})

	timeline := func(id uuid.UUID) []any {
		return c.staff().Do(http.MethodGet, "/v1/customers/"+id.String()+"/timeline?kind=tracking", nil).Want(http.StatusOK).Map()["items"].([]any)
	}
	items := timeline(other.Id)
	require.Len(t, items, 1)
	details := items[0].(map[string]any)["details"].(map[string]any)
	require.Equal(t, []any{"韩梅梅的快件已揽收", "北京", "YT1", order}, []any{details["text"], details["place"], details["tracking_number"], details["order_id"]})
	require.NotContains(t, details, "sealed")

	// The steps follow their order when customers are merged, and back.
	merge := c.staff().Do(http.MethodPost, "/v1/customer-merges", map[string]any{"survivor_id": one.Id, "merged_id": other.Id}, "Idempotency-Key", "merge").Want(http.StatusCreated).Map()
	c.Advance(time.Minute)
	c.scan(fake.Scan{Carrier: "yuantong", Number: "YT1", Text: "到达上海", State: "0"})
	require.Len(t, timeline(one.Id), 2)
	require.Equal(t, []string{"到达上海", "韩梅梅的快件已揽收"}, c.steps(order))
	c.staff().Do(http.MethodPost, "/v1/customer-merges/"+merge["id"].(string)+"/undo", nil, "Idempotency-Key", "undo").Want(http.StatusOK)
	require.Equal(t, []string{"到达上海", "韩梅梅的快件已揽收"}, c.steps(order), "also what came after the merge")
	require.Len(t, timeline(other.Id), 2)
	require.Empty(t, timeline(one.Id))
}
