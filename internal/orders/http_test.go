package orders_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func line(sku string, quantity, price int) map[string]any {
	return map[string]any{"sku": sku, "title": "商品", "category": "类", "quantity": quantity, "unit_price_amount": price}
}

func ticket(store uuid.UUID, number string, more map[string]any, lines ...any) map[string]any {
	out := map[string]any{"store_id": store, "external_number": number, "placed_at": "2026-06-30T02:00:00Z", "lines": lines}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func post(c *testkit.Client, orders ...any) *testkit.Response {
	return c.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"create_missing_variants": true, "orders": orders})
}

func TestTicketsOverHTTP(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	store := app.Store()
	c := app.Customer(map[string]any{"phone": "13800138000", "card_number": "VIP10086", "external_id": "E-1"})
	var results client.POSResults
	post(admin,
		ticket(store.Id, "T1", map[string]any{"customer": map[string]any{"phone": "138 0013 8000"}, "payments": []any{map[string]any{"method": "wechat_pay", "amount": 1530}}}, line("A", 6, 255)),
		ticket(store.Id, "T2", map[string]any{"customer": map[string]any{"card_number": "vip10086"}}, line("A", 1, 255), line("B", -1, 100)),
		ticket(store.Id, "T3", map[string]any{"customer": map[string]any{"external_id": "E-1"}, "type": "return", "original_external_number": "T1"}, line("A", 2, 255)),
		ticket(store.Id, "T4", map[string]any{"customer": map[string]any{"external_id": "E-2"}}, line("A", 1, 255)),
		ticket(store.Id, "T5", nil, line("A", 0, 255)),
		ticket(store.Id, "T1", nil, line("A", 6, 255)),
	).Want(http.StatusOK).JSON(&results)
	require.Len(t, results.Results, 6)
	var status []client.POSResultStatus
	for i, r := range results.Results {
		assert.EqualValues(t, i, r.Index)
		status = append(status, r.Status)
	}
	assert.Equal(t, []client.POSResultStatus{client.POSCreated, client.POSCreated, client.POSCreated, client.POSError, client.POSError, client.POSError}, status)
	assert.Equal(t, "orders.customer_not_found", results.Results[3].Error.Code)
	assert.Equal(t, "/orders/4/lines/0/quantity", results.Results[4].Error.Pointer)
	assert.Equal(t, "orders.external_number_reused", results.Results[5].Error.Code)

	order := admin.Do(http.MethodGet, "/v1/orders/"+results.Results[0].OrderId.String(), nil).Want(http.StatusOK)
	assert.EqualValues(t, 1530, order.Map()["total_amount"])
	assert.EqualValues(t, 510, order.Map()["returned_amount"])
	assert.Equal(t, c.Id.String(), order.Map()["customer_id"])
	assert.Equal(t, "2026-06-30", order.Map()["business_on"])
	assert.Len(t, order.Map()["lines"], 1)
	assert.Len(t, order.Map()["returns"], 1)
	admin.Do(http.MethodGet, "/v1/orders/"+results.Results[0].OrderId.String(), nil, "If-None-Match", order.Header.Get("ETag")).Want(http.StatusNotModified)
	admin.Do(http.MethodGet, "/v1/returns/"+results.Results[2].OrderReturnId.String(), nil).Want(http.StatusOK)
	admin.Do(http.MethodGet, "/v1/orders?external_number=T1&channel=pos&status=completed&placed_after=2026-06-30T02:00:00Z&include=total_count&store_id="+store.Id.String(), nil).Want(http.StatusOK)
	first := admin.Do(http.MethodGet, "/v1/orders?limit=1&customer_id="+c.Id.String(), nil).Want(http.StatusOK)
	link := first.Header.Get("Link")
	require.NotEmpty(t, link)
	assert.Len(t, admin.Do(http.MethodGet, link[1:len(link)-len(`>; rel="next"`)], nil).Want(http.StatusOK).Map()["items"], 1)
	assert.Len(t, admin.Do(http.MethodGet, "/v1/returns?customer_id="+c.Id.String(), nil).Want(http.StatusOK).Map()["items"], 2)

	// A replay by key answers the same; a replay without one finds twins.
	body := map[string]any{"orders": []any{ticket(store.Id, "K1", nil, line("A", 1, 1))}}
	one := admin.Do(http.MethodPost, "/v1/pos/orders", body, "Idempotency-Key", "k1").Want(http.StatusOK)
	two := admin.Do(http.MethodPost, "/v1/pos/orders", body, "Idempotency-Key", "k1").Want(http.StatusOK)
	assert.Equal(t, string(one.Body), string(two.Body))
	assert.Equal(t, "true", two.Header.Get("Idempotency-Replayed"))
	assert.Contains(t, string(admin.Do(http.MethodPost, "/v1/pos/orders", body).Want(http.StatusOK).Body), "duplicate")
	zh := admin.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"orders": []any{ticket(store.Id, "Z", nil, line("NEW", 1, 1))}}, "Accept-Language", "zh-CN").Want(http.StatusOK)
	assert.Contains(t, string(zh.Body), "没有该 SKU 对应的商品规格。")
}

func TestMalformedBatchesAreRefusedWhole(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	good := ticket(store.Id, "T1", nil, line("A", 1, 1))
	for name, bad := range map[string]map[string]any{
		"unknown field": ticket(store.Id, "T2", map[string]any{"colour": "red"}, line("A", 1, 1)),
		"wrong type":    ticket(store.Id, "T2", nil, map[string]any{"sku": "A", "quantity": "one", "unit_price_amount": 1}),
		"a number":      ticket(store.Id, "T2", map[string]any{"external_number": 7}, line("A", 1, 1)),
	} {
		res := post(admin, good, bad)
		assert.Equal(t, http.StatusUnprocessableEntity, res.Status, name)
		assert.Contains(t, string(res.Body), `"/orders/1`, name)
	}
	admin.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"orders": []any{}}).Want(http.StatusUnprocessableEntity)
	many := make([]any, 1001)
	for i := range many {
		many[i] = good
	}
	post(admin, many...).Want(http.StatusUnprocessableEntity)
	assert.Empty(t, admin.Do(http.MethodGet, "/v1/orders", nil).Map()["items"], "nothing is half written")
}

func TestTillsOverHTTP(t *testing.T) {
	app := testkit.New(t)
	mine, other := app.Store(), app.Store()
	person := app.Staff("assistant", testkit.Own(), map[string]any{"store_id": mine.Id})
	till := app.SignIn(person.Username, testkit.StaffPassword)
	post(app.Admin(), ticket(other.Id, "T0", nil, line("A", 1, 1))).Want(http.StatusOK)
	var results client.POSResults
	post(till, ticket(mine.Id, "T1", nil, line("A", 1, 1)), ticket(other.Id, "T1", nil, line("A", 1, 1))).Want(http.StatusOK).JSON(&results)
	assert.Equal(t, client.POSCreated, results.Results[0].Status)
	assert.Equal(t, "orders.store_unknown", results.Results[1].Error.Code)
	till.Do(http.MethodGet, "/v1/orders/"+results.Results[0].OrderId.String(), nil).WantProblem(http.StatusNotFound, "orders.not_found")
	post(app.Client("store_manager", testkit.InStore(mine.Id)), ticket(mine.Id, "T2", nil, line("A", 1, 1))).WantProblem(http.StatusForbidden, "auth.forbidden")
}

func TestLiveOrders(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	store, other := app.Store(), app.Store()
	manager := app.Client("store_manager", testkit.InStore(store.Id))
	manager.Do(http.MethodGet, "/v1/stores/"+other.Id.String()+"/order-events", nil).WantProblem(http.StatusNotFound, "orders.store_not_found")

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, app.URL+"/v1/stores/"+store.Id.String()+"/order-events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+manager.Token)
	res, err := app.HTTP.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.True(t, strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"))
	lines := bufio.NewScanner(res.Body)
	require.True(t, lines.Scan())
	require.Equal(t, ": open", lines.Text())

	var results client.POSResults
	post(app.Admin(), ticket(other.Id, "T0", nil, line("A", 1, 1)), ticket(store.Id, "T1", nil, line("A", 2, 100), line("B", -1, 30))).Want(http.StatusOK).JSON(&results)
	var text []string
	for lines.Scan() {
		if text = append(text, lines.Text()); strings.Contains(lines.Text(), results.Results[1].OrderReturnId.String()) {
			break
		}
	}
	all := strings.Join(text, "\n")
	assert.Contains(t, all, "event: order.completed")
	assert.Contains(t, all, results.Results[1].OrderId.String())
	assert.Contains(t, all, `"total_amount":200`)
	assert.Contains(t, all, "event: order.returned")
	assert.NotContains(t, all, results.Results[0].OrderId.String(), "another store's order")
}
