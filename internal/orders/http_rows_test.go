package orders_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// Whatever is wrong with the values of one ticket, the others are taken in.
func TestOneBadTicketLeavesTheOthersAlone(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	buyer := app.Customer(map[string]any{"external_id": "E-1"})
	with := func(k string, v any) map[string]any {
		return ticket(store.Id, "BAD", map[string]any{k: v}, line("A", 1, 1))
	}
	without := func(k string) map[string]any {
		out := with("type", "sale")
		delete(out, k)
		return out
	}
	bareLine := func(k string) map[string]any {
		l := line("A", 1, 1)
		delete(l, k)
		return ticket(store.Id, "BAD", nil, line("A", 1, 1), l)
	}
	paid := func(payments ...any) map[string]any { return with("payments", payments) }
	many := make([]any, 21)
	for i := range many {
		many[i] = map[string]any{"method": "cash", "amount": 1}
	}
	bad := []struct {
		pointer, code string
		ticket        map[string]any
	}{
		{"/placed_at", "orders.placed_at_invalid", with("placed_at", "yesterday")},
		{"/placed_at", "orders.field_required", without("placed_at")},
		{"/store_id", "orders.id_invalid", with("store_id", "shop")},
		{"/store_id", "orders.field_required", without("store_id")},
		{"/external_number", "orders.field_required", without("external_number")},
		{"/lines", "orders.field_required", without("lines")},
		{"/lines", "orders.lines_required", with("lines", []any{})},
		{"/lines/1/sku", "orders.field_required", bareLine("sku")},
		{"/lines/1/quantity", "orders.field_required", bareLine("quantity")},
		{"/lines/1/unit_price_amount", "orders.field_required", bareLine("unit_price_amount")},
		{"/type", "orders.type_unknown", with("type", "swap")},
		{"/channel", "orders.channel_unknown", with("channel", "pigeon")},
		{"/staff_id", "orders.id_invalid", with("staff_id", "Wang")},
		{"/customer", "orders.customer_keys", with("customer", map[string]any{})},
		{"/customer", "orders.customer_keys", with("customer", map[string]any{"phone": "13800138000", "external_id": "x"})},
		{"/customer/id", "orders.id_invalid", with("customer", map[string]any{"id": "x"})},
		{"/customer/phone", "orders.text_invalid", with("customer", map[string]any{"phone": ""})},
		{"/customer_id", "orders.customer_keys", ticket(store.Id, "BAD", map[string]any{"customer_id": buyer.Id, "customer": map[string]any{"id": buyer.Id}}, line("A", 1, 1))},
		{"/customer_id", "orders.id_invalid", with("customer_id", "x")},
		{"/payments", "orders.payments_too_many", paid(many...)},
		{"/payments/0/method", "orders.field_required", paid(map[string]any{"method": "", "amount": 1})},
		{"/payments/0/amount", "orders.field_required", paid(map[string]any{"method": "cash"})},
		{"/payments/0/amount", "orders.payment_amount_invalid", paid(map[string]any{"method": "cash", "amount": int64(9223372036854775807)})},
	}
	batch := []any{
		ticket(store.Id, "G0", map[string]any{"customer": nil}, line("A", 1, 1)),
		ticket(store.Id, "G1", map[string]any{"customer_id": buyer.Id, "staff_id": nil}, line("A", 1, 1)),
	}
	good := len(batch)
	for _, b := range bad {
		batch = append(batch, b.ticket)
	}
	var results client.POSResults
	post(admin, batch...).Want(http.StatusOK).JSON(&results)
	for i, r := range results.Results {
		if i < good {
			assert.Equal(t, client.POSCreated, r.Status, i)
			continue
		}
		b := bad[i-good]
		if assert.Equal(t, client.POSError, r.Status, b.pointer) {
			assert.Equal(t, fmt.Sprintf("/orders/%d%s", i, b.pointer), r.Error.Pointer)
			assert.Equal(t, b.code, r.Error.Code, b.pointer)
			assert.NotContains(t, r.Error.Detail, "{")
		}
	}
	order := admin.Do(http.MethodGet, "/v1/orders/"+results.Results[1].OrderId.String(), nil).Want(http.StatusOK).Map()
	assert.Equal(t, buyer.Id.String(), order["customer_id"])
	assert.Len(t, admin.Do(http.MethodGet, "/v1/orders", nil).Map()["items"], good)
}

func TestReturnsBeyondTheSaleCarryAWarning(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	send := func(number, sale string, lines ...any) client.POSResult {
		var more map[string]any
		if sale != "" {
			more = map[string]any{"type": "return", "original_external_number": sale}
		}
		var results client.POSResults
		post(admin, ticket(store.Id, number, more, lines...)).Want(http.StatusOK).JSON(&results)
		require.Equal(t, client.POSCreated, results.Results[0].Status)
		return results.Results[0]
	}
	warned := &[]client.POSWarning{client.POSReturnExceedsSale}
	send("S1", "", line("A", 2, 100), line("B", 1, 500))
	assert.Nil(t, send("R1", "S1", line("A", 2, 100)).Warnings, "within what was sold")
	assert.Equal(t, warned, send("R2", "S1", line("A", 1, 100)).Warnings, "one piece too many")
	assert.Nil(t, send("R3", "S2", line("A", 1, 900)).Warnings, "the sale is not known yet")
	late := send("S2", "", line("A", 1, 100))
	assert.Equal(t, warned, late.Warnings, "more money than the sale took")
	order := admin.Do(http.MethodGet, "/v1/orders/"+late.OrderId.String(), nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 900, order["returned_amount"])
	assert.EqualValues(t, 1, order["lines"].([]any)[0].(map[string]any)["returned_quantity"])
}

func TestTillsMakeNoProductsAndNameTheirOwnStaff(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	mine, other := app.Store(), app.Store()
	seller := app.Staff("assistant", testkit.Own(), map[string]any{"store_id": mine.Id})
	stranger := app.Staff("assistant", testkit.Own(), map[string]any{"store_id": other.Id})
	till := app.SignIn(seller.Username, testkit.StaffPassword)
	by := func(id uuid.UUID) map[string]any { return map[string]any{"staff_id": id} }
	post(admin, ticket(mine.Id, "T0", by(stranger.Id), line("KNOWN", 1, 1))).Want(http.StatusOK)
	var results client.POSResults
	post(till,
		ticket(mine.Id, "T1", by(seller.Id), line("KNOWN", 1, 1)),
		ticket(mine.Id, "T2", by(stranger.Id), line("KNOWN", 1, 1)),
		ticket(mine.Id, "T3", nil, line("NEW", 1, 1)),
	).Want(http.StatusOK).JSON(&results)
	assert.Equal(t, client.POSCreated, results.Results[0].Status)
	assert.Equal(t, "orders.staff_unknown", results.Results[1].Error.Code)
	assert.Equal(t, "orders.sku_unknown", results.Results[2].Error.Code)
	assert.Len(t, admin.Do(http.MethodGet, "/v1/orders?staff_id="+stranger.Id.String(), nil).Map()["items"], 1, "who sees everything may name anybody")
}

func TestArchivedCustomersKeepTheirHistory(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	gone := app.Customer(map[string]any{"phone": "13800138000"})
	admin.Do(http.MethodPost, "/v1/customers/"+gone.Id.String()+"/archive", nil).Want(http.StatusOK)
	var results client.POSResults
	post(admin,
		ticket(store.Id, "T1", map[string]any{"customer": map[string]any{"phone": "13800138000"}}, line("A", 1, 1)),
		ticket(store.Id, "T2", map[string]any{"customer_id": gone.Id}, line("A", 1, 1)),
	).Want(http.StatusOK).JSON(&results)
	assert.Equal(t, client.POSCreated, results.Results[0].Status)
	assert.Equal(t, client.POSCreated, results.Results[1].Status)
}
