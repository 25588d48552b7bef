package imports_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/shuke-crm/shuke/internal/testkit"
)

var summer = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

// ask is a count in the database.
func ask(t testing.TB, app *testkit.App, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, app.DB.QueryRow(system(t), query, args...).Scan(&n))
	return n
}

func metricsOf(who *testkit.Client, id any) (out struct {
	Orders int64   `json:"order_count"`
	Spent  int64   `json:"spent_amount"`
	Last   *string `json:"last_order_on"`
}) {
	who.Do("GET", fmt.Sprint("/v1/customers/", id, "/metrics"), nil).Want(200).JSON(&out)
	return out
}

func TestImportOfOrders(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	store := app.Store()
	c := app.Customer(map[string]any{"external_id": "E-1", "phone": "13800000001"})
	file := "订单号,门店,下单时间,会员编号,手机号,SKU,商品名称,数量,单价,优惠,金额,订单金额,支付方式\n" +
		"O-1,{S},2024-03-01 18:30:00,E-1,,A,甲,2,10.00,,20.00,\"1,025.50\",微信支付\n" +
		"O-1,{S},,,,B,乙,1,1005.5,,,,\n" +
		"O-2,{S},2024/3/2 9:05,,138 0000 0001,A,,3,,,29.99,,\n" + // 3 for 29.99: the fen that does not divide is a discount
		"O-3,{S},2024-03-03,,,A,,-1,10,,-10,,\n" + // goods brought back
		"O-4,{S},2024-03-04,,,A,,1,10,,9,,现金\n" +
		"O-2,{S},2024/3/2 9:05,,138 0000 0001,A,,3,,,29.99,,\n" // the same once more
	content := []byte(strings.ReplaceAll(file, "{S}", store.Code))
	for _, sku := range []string{"A", "B"} {
		admin.Do("POST", "/v1/products", map[string]any{"title": sku, "variants": []any{map[string]any{"sku": sku, "price_amount": 1000}}}).Want(201)
	}
	tried := ended(t, admin, started(upload(t, admin, content, "kind", "orders", "dry_run", "true")).ID)
	require.Equal(t, "checked", tried.Status)
	require.Equal(t, counts{Created: 5, Skipped: 1, Records: 4}, tried.Counts)
	require.Zero(t, ask(t, app, "SELECT count(*) FROM orders"))
	for _, column := range tried.Columns {
		require.NotNil(t, column.Suggested, column.Header)
		require.NotContains(t, strings.Join(column.Samples, ""), "0000 0001")
	}

	done := ended(t, admin, started(admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil)).ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, tried.Counts, done.Counts)
	require.Equal(t, int64(3), ask(t, app, "SELECT count(*) FROM orders"))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM order_returns WHERE total_amount = 1000"))
	require.Equal(t, int64(1), ask(t, app, `SELECT count(*) FROM orders o JOIN order_payments p ON p.order_id = o.id
		WHERE o.external_number = 'O-1' AND o.total_amount = 102550 AND o.paid_amount = 102550 AND p.method = 'wechat_pay' AND o.placed_at = '2024-03-01T18:30:00+08:00' AND o.status = 'completed'`))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.external_number = 'O-2' AND l.unit_price_amount = 1000 AND l.discount_amount = 1 AND l.total_amount = 2999"))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM orders WHERE external_number = 'O-4' AND discount_amount = 100 AND total_amount = 900"))
	m := metricsOf(admin, c.Id)
	require.Equal(t, int64(2), m.Orders)
	require.Equal(t, int64(105549), m.Spent)
	require.Equal(t, "2024-03-02", *m.Last)
	require.Zero(t, ask(t, app, "SELECT count(*) FROM outbox_events WHERE type LIKE 'order.%'"), "what happened years ago is no news")
	require.Zero(t, ask(t, app, "SELECT count(*) FROM stock_movements"))

	again := ended(t, admin, started(upload(t, admin, content, "kind", "orders")).ID)
	require.Equal(t, counts{Skipped: 6}, again.Counts)
	require.Equal(t, m, metricsOf(admin, c.Id))
	require.Equal(t, int64(3), ask(t, app, "SELECT count(*) FROM orders"))
}

func TestImportOfOrdersThatAreWrong(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	store := app.Store()
	admin.Do("POST", "/v1/products", map[string]any{"title": "A", "variants": []any{map[string]any{"sku": "A", "price_amount": 1000}}}).Want(201)
	head := "external_number,store,placed_at,customer_external_id,sku,quantity,unit_price_amount,line_amount,total_amount,currency\n"
	rows := []string{
		"W-1,{S},2024-03-01,,A,1,1O.00,,,", // 2: a letter in the amount
		"W-1,{S},2024-03-01,,A,1,10,,,",    // 3: left with it
		"W-2,nowhere,2024-03-01,,A,1,10,,,",
		"W-3,{S},2024-03-01,,NOPE,1,10,,,",
		"W-4,{S},31.02.2024,,A,1,10,,,",
		"W-5,{S},2027-03-01,,A,1,10,,,",
		"W-6,{S},2024-03-01,,A,1,10,,,USD",
		"W-7,{S},2024-03-01,,A,1,10,,,CNY", // 9
		"W-7,{S},2024-03-01,,A,1,10,,,USD", // 10: two currencies in one order
		"W-8,{S},2024-03-01,nobody,A,1,10,,,",
		"W-9,{S},2024-03-01,,A,0,10,,,",
		"W-10,{S},2024-03-01,,A,2,10,,19.99,",
		"W-11,{S},2024-03-01,,A,2,10.001,,,",
		"W-12,{S},2024-03-01,,A,2,10,20.01,,",
		"G-1,{S},2024-03-01,,A,1,10,,,", // 16: good
		"G-1,{S},2024-03-01,,A,2,10,,,", // 17: the same order, right
		"G-2,{S},2024-03-01,,A,1,10,,,",
		"G-1,{S},2024-03-01,,A,9,10,,,", // 19: another order with its number
		"G-3,{S},2024-03-01,,A,1,10,,,", // 20: the row behind it is nobody's
		",{S},2024-03-01,,A,1,10,,,",
		"G-4,{S},2024-03-01,,A,1,10,,,", // 22: nor may it be the first of this one
		"G-5,{S},2024-03-01,,A,1,10,,,",
		"W-13,{S},2024-03-01",
		"G-6,{S},2024-03-01,,A,1,10,,30,",
	}
	content := []byte(strings.ReplaceAll(head+strings.Join(rows, "\n")+"\n", "{S}", store.Code))
	want := map[int64]string{2: "imports.amount_invalid ", 3: "imports.order_left ", 4: "imports.store_unknown ", 5: "orders.sku_unknown ", 6: "imports.moment_invalid ",
		7: "orders.placed_in_future ", 8: "orders.currency_mismatch ", 9: "imports.order_left ", 10: "imports.order_differs ", 11: "orders.customer_not_found ",
		12: "orders.quantity_invalid ", 13: "imports.total_differs ", 14: "imports.amount_invalid ", 15: "imports.total_differs ", 19: "orders.external_number_reused ",
		20: "imports.order_left ", 21: "orders.field_required ", 22: "imports.order_left ", 24: "imports.row_ragged ", 25: "imports.total_differs "}
	tried := ended(t, admin, started(upload(t, admin, content, "kind", "orders", "dry_run", "true")).ID)
	require.Equal(t, want, faults(admin, tried.ID))
	require.Equal(t, counts{Created: 4, Failed: 20, Records: 3}, tried.Counts)
	done := ended(t, admin, started(admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil)).ID)
	require.Equal(t, want, faults(admin, done.ID))
	require.Equal(t, tried.Counts, done.Counts)
	require.Equal(t, int64(3), ask(t, app, "SELECT count(*) FROM orders"))
	text := string(admin.Do("GET", "/v1/imports/"+done.ID+"/errors?format=csv", nil, "Accept-Language", "en").Want(200).Body)
	require.Contains(t, text, `5,sku,orders.sku_unknown,There is no variant with this SKU.,W-3`)

	// Those of the file of errors that are right now come in; what is there stays.
	made := ended(t, admin, started(upload(t, admin, content, "kind", "orders", "create_missing", "true")).ID)
	require.Equal(t, counts{Created: 1, Skipped: 4, Failed: 19, Records: 1}, made.Counts)
}

func TestImportOfOrdersAsJSON(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	store := app.Store()
	var file strings.Builder
	for i := range 5 {
		raw, err := json.Marshal(map[string]any{"store_id": store.Id, "external_number": fmt.Sprint("J-", i), "placed_at": "2024-06-30T02:00:00Z",
			"lines": []any{map[string]any{"sku": "J", "quantity": i - 1, "unit_price_amount": 100}}})
		require.NoError(t, err)
		fmt.Fprintf(&file, "%s\n", raw)
	}
	file.WriteString("{\"external_number\":\"J-9\"}\n{\"what\":1}\nno json\n")
	done := ended(t, admin, started(upload(t, admin, []byte(file.String()), "kind", "orders", "create_missing", "true")).ID)
	require.Equal(t, counts{Created: 4, Failed: 4, Records: 4}, done.Counts)
	require.Equal(t, map[int64]string{2: "orders.quantity_invalid ", 6: "orders.field_required ", 7: "imports.line_not_json ", 8: "imports.line_not_json "}, faults(admin, done.ID))
	require.Equal(t, int64(3), ask(t, app, "SELECT count(*) FROM orders WHERE total_amount = line_count * unit_count * 100"))
}

func TestImportOfOrdersFromAWorkbook(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	store := app.Store()
	book := excelize.NewFile()
	for i, row := range [][]any{
		{"小票号", "门店编码", "销售时间", "货号", "数量", "单价"},
		{"X-1", store.Code, time.Date(2024, 3, 1, 18, 30, 0, 0, time.UTC), "X", 2, 12.3},
		{"X-1", store.Code, time.Date(2024, 3, 1, 18, 30, 0, 0, time.UTC), "Y", 1, 0.1 + 0.2},
		{"X-2", store.Code, "2024年3月2日", "X", 1.0, 9.9},
	} {
		require.NoError(t, book.SetSheetRow("Sheet1", fmt.Sprint("A", i+1), &row))
	}
	raw, err := book.WriteToBuffer()
	require.NoError(t, err)
	done := ended(t, admin, started(upload(t, admin, raw.Bytes(), "kind", "orders", "create_missing", "true")).ID)
	require.Equal(t, counts{Created: 3, Records: 2}, done.Counts, faults(admin, done.ID))
	require.Equal(t, int64(1), ask(t, app, "SELECT count(*) FROM orders WHERE external_number = 'X-1' AND total_amount = 2490 AND placed_at = '2024-03-01T18:30:00+08:00'"))
}

func TestWhoMayImportOrders(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	mine, other := app.Store(), app.Store()
	head := "external_number,store,placed_at,sku,quantity,unit_price_amount\n"
	assistant := app.Client("assistant", testkit.InStore(mine.Id))
	row := func(number, store string) string { return number + "," + store + ",2024-03-01,Z,1,10\n" }
	upload(t, assistant, []byte(head+row("P-1", mine.Code)), "kind", "orders", "create_missing", "true").WantProblem(403, "auth.forbidden")
	upload(t, admin, []byte(head+row("P-1", mine.Code)), "kind", "orders", "duplicates", "update").WantProblem(422, "imports.field_invalid")
	upload(t, admin, []byte("external_number,store,placed_at,sku\nP-1,a,b,c\n"), "kind", "orders").WantProblem(422, "imports.mapping_incomplete")
	upload(t, admin, []byte("name\nLi\n"), "move_stock", "true").WantProblem(422, "imports.field_invalid")
	admin.Do("POST", "/v1/products", map[string]any{"title": "Z", "variants": []any{map[string]any{"sku": "Z", "price_amount": 1000}}}).Want(201)
	done := ended(t, assistant, started(upload(t, assistant, []byte(head+row("P-1", mine.Code)+row("P-2", other.Code)), "kind", "orders")).ID)
	require.Equal(t, counts{Created: 1, Failed: 1, Records: 1}, done.Counts, faults(assistant, done.ID))
	require.Equal(t, http.StatusNotFound, admin.Do("GET", "/v1/imports/"+done.ID, nil).Status)
	require.NotEqual(t, uuid.Nil, mine.Id)
}

// Many orders in many batches beside each other, cancelled and taken up again, are
// each there once; customers' metrics are the sums.
func TestImportOfManyOrdersInSeveralAttempts(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(summer))
	admin := app.Admin()
	store := app.Store()
	var people []string
	for i := range 5 {
		people = append(people, fmt.Sprint("C-", i))
		app.Customer(map[string]any{"external_id": people[i]})
	}
	const many = 12_000
	var file strings.Builder
	file.WriteString("external_number,store,placed_at,customer_external_id,sku,quantity,unit_price_amount,type,original_external_number\n")
	for i := range many {
		fmt.Fprintf(&file, "M-%d,%s,2024-%02d-%02d,%s,S%d,1,10,,\nM-%d,%s,,,T%d,2,5,,\n", i, store.Code, 1+i%12, 1+i%28, people[i%5], i%50, i, store.Code, i%50)
		if i%4000 == 3999 {
			fmt.Fprintf(&file, "R-%d,%s,2025-01-01,%s,S%d,1,10,return,M-%d\n", i, store.Code, people[i%5], i%50, i)
		}
	}
	run := started(upload(t, admin, []byte(file.String()), "kind", "orders", "create_missing", "true"))
	require.Eventually(t, func() bool {
		var view importView
		admin.Do("GET", "/v1/imports/"+run.ID, nil).Want(200).JSON(&view)
		return view.Counts.Records > 0
	}, 30*time.Second, 5*time.Millisecond)
	admin.Do("POST", "/v1/jobs/"+run.JobID+"/cancel", nil)
	if stopped := ended(t, admin, run.ID); stopped.Status == "cancelled" {
		require.Equal(t, stopped.Counts.Records, ask(t, app, "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM order_returns)"))
		require.Equal(t, ask(t, app, "SELECT count(*) FROM orders"), ask(t, app, "SELECT coalesce(sum(order_count), 0) FROM customer_metrics"), "metrics are right after each attempt")
		started(admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil))
	}
	done := ended(t, admin, run.ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, counts{Created: 2*many + 3, Records: many + 3}, done.Counts)
	require.Equal(t, int64(many), ask(t, app, "SELECT count(*) FROM orders"))
	require.Equal(t, int64(many), ask(t, app, "SELECT sum(order_count) FROM customer_metrics"))
	require.Equal(t, int64(many*2000), ask(t, app, "SELECT sum(spent_amount) FROM customer_metrics"))
	require.Equal(t, int64(3), ask(t, app, "SELECT count(*) FROM order_returns r JOIN orders o ON o.id = r.order_id WHERE o.returned_amount = 1000"))
}
