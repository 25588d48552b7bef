package imports_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/shuke-crm/shuke/internal/testkit"
)

type exportView struct {
	ID          string
	Status      string
	ErrorCode   *string `json:"error_code"`
	Clear       bool
	RowCount    *int64 `json:"row_count"`
	SizeBytes   *int64 `json:"size_bytes"`
	File        *string
	FileDeleted bool      `json:"file_deleted"`
	JobID       string    `json:"job_id"`
	ExpiresAt   time.Time `json:"expires_at"`
	CreatedAt   time.Time `json:"created_at"`
}

func exporting(r *testkit.Response) exportView {
	var out struct{ Export exportView }
	r.Want(202).JSON(&out)
	return out.Export
}

func exported(t testing.TB, who *testkit.Client, id string) exportView {
	t.Helper()
	var out exportView
	require.Eventually(t, func() bool {
		out = exportView{}
		who.Do("GET", "/v1/exports/"+id, nil).Want(200).JSON(&out)
		return out.Status != "running"
	}, 60*time.Second, 50*time.Millisecond)
	return out
}

// exportOf asks for a file and fetches it.
func exportOf(t testing.TB, who *testkit.Client, path string, want map[string]any) (exportView, *testkit.Response) {
	t.Helper()
	done := exported(t, who, exporting(who.Do("POST", path, want)).ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, "/v1/exports/"+done.ID+"/file", *done.File)
	return done, who.Do("GET", *done.File, nil).Want(200)
}

// table reads a CSV file of ours: a byte order mark, CRLF after every row.
func table(t testing.TB, raw []byte) [][]string {
	t.Helper()
	text, marked := bytes.CutPrefix(raw, []byte("\ufeff"))
	require.True(t, marked, "a byte order mark")
	require.True(t, bytes.HasSuffix(text, []byte("\r\n")))
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	require.NoError(t, err)
	return rows
}

// people are customers with everything that could go wrong in a file.
func people(app *testkit.App) {
	labels := map[string]any{"zh": "字段", "en": "field"}
	for _, f := range []map[string]any{
		{"key": "size", "kind": "text", "labels": labels},
		{"key": "hobby", "kind": "text", "labels": labels, "personal": true},
		{"key": "rank", "kind": "text", "labels": labels, "visible_to": []string{"store_manager"}},
	} {
		app.Admin().Do("POST", "/v1/custom-fields", f).Want(201)
	}
	app.Customer(map[string]any{"external_id": "E-1", "name": "=HYPERLINK(\"x\")", "phone": "13800000001", "email": "a.b@example.com", "birth_date": "1990-05-01", "gender": "female",
		"tags": []string{"VIP", "老客"}, "address": map[string]any{"country": "CN", "city": "上海市", "line1": "-1 弄, \"后楼\""}, "custom_fields": map[string]any{"size": "M", "hobby": "登山", "rank": "7"}})
	app.Customer(map[string]any{"external_id": "@E-2", "name": "王芳", "card_number": "0012345678"})
	app.Customer(map[string]any{"external_id": "+E-3", "name": "Anna <Ω> & Söhne"})
}

func TestExportMasked(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	people(app)
	_, file := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "language": "zh-CN"})
	require.Equal(t, "text/csv", file.Header.Get("Content-Type"))
	require.Equal(t, `attachment; filename="customers-20260302-120000.csv"`, file.Header.Get("Content-Disposition"))
	rows := table(t, file.Body)
	require.Len(t, rows, 4)
	require.Equal(t, []string{"系统编号", "外部编号", "姓名", "手机", "邮箱", "会员卡号", "性别", "生日"}, rows[0][:8])
	slices.SortFunc(rows[1:], func(a, b []string) int { // the clock stands still, so all were made at once
		return strings.Compare(strings.TrimLeft(a[1], "'@+"), strings.TrimLeft(b[1], "'@+"))
	})
	require.Equal(t, []string{"E-1", "138****0001"}, []string{rows[1][1], rows[1][3]})
	require.Equal(t, "1990-05-01", rows[1][7])
	require.Equal(t, []string{"'@E-2", "王*"}, rows[2][1:3])
	require.Equal(t, "'+E-3", rows[3][1])
	require.Equal(t, "VIP;老客", rows[1][20])
	require.Equal(t, []string{"custom_fields.hobby", "custom_fields.rank", "custom_fields.size"}, rows[0][21:24], "labels that are the same name no column")
	require.Equal(t, []string{"***", "7", "M"}, rows[1][21:24])
	require.Equal(t, "2026-03-02 12:00:00", rows[1][24], "in the business's time zone")
	for _, row := range rows {
		for _, cell := range row {
			require.False(t, cell != "" && strings.Contains("=+-@\t\r", cell[:1]), "%q is calculated", cell)
		}
	}
	for _, secret := range []string{"13800000001", "a.b@example.com", "HYPERLINK", "王芳", "后楼", "登山"} {
		require.NotContains(t, string(file.Body), secret)
	}

	// Chosen columns, in another order and language; as JSON lines with keys.
	_, file = exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "fields": []string{"phone", "external_id"}, "language": "en",
		"filter": map[string]any{"phone": "138 0000 0001"}})
	require.Equal(t, [][]string{{"Phone", "External id"}, {"138****0001", "E-1"}}, table(t, file.Body))
	_, file = exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "jsonl", "fields": []string{"external_id", "name", "tags", "created_at", "custom_fields"},
		"filter": map[string]any{"tag": "VIP"}})
	require.Equal(t, "application/x-ndjson", file.Header.Get("Content-Type"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(file.Body, &line))
	require.Equal(t, "E-1", line["external_id"])
	require.Equal(t, []any{"VIP", "老客"}, line["tags"])
	require.Equal(t, map[string]any{"size": "M", "hobby": "***", "rank": "7"}, line["custom_fields"])
	require.Equal(t, "2026-03-02T04:00:00Z", line["created_at"])
	_, file = exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "filter": map[string]any{"name": "anna"}})
	require.Len(t, table(t, file.Body), 2)
	_, file = exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "jsonl", "filter": map[string]any{"status": "archived"}})
	require.Empty(t, file.Body)

	for name, c := range map[string]struct {
		body          map[string]any
		code, pointer string
	}{
		"unknown field":   {map[string]any{"kind": "customers", "format": "csv", "fields": []string{"name", "salary"}}, "exports.field_unknown", "/fields/1"},
		"field twice":     {map[string]any{"kind": "customers", "format": "csv", "fields": []string{"name", "name"}}, "exports.field_unknown", "/fields/1"},
		"foreign filter":  {map[string]any{"kind": "orders", "format": "csv", "filter": map[string]any{"phone": "1"}}, "exports.filter_unfit", "/filter/phone"},
		"foreign filter2": {map[string]any{"kind": "customers", "format": "csv", "filter": map[string]any{"channel": "pos"}}, "exports.filter_unfit", "/filter/channel"},
		"bad phone":       {map[string]any{"kind": "customers", "format": "csv", "filter": map[string]any{"phone": "12"}}, "customers.phone_invalid", "/filter/phone"},
	} {
		t.Run(name, func(t *testing.T) {
			app.In(t).Admin().Do("POST", "/v1/exports", c.body).WantProblem(422, c.code, c.pointer)
		})
	}
}

// A workbook of ours is read by the well-known library and by our own import;
// texts that look like formulas are texts, marked as quoted.
func TestExportWorkbook(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	people(app)
	done, file := exportOf(t, admin, "/v1/exports/clear", map[string]any{"kind": "customers", "format": "xlsx", "language": "zh-CN", "reason": "周年庆礼品邮寄"})
	require.True(t, done.Clear)
	require.EqualValues(t, 3, *done.RowCount)
	require.EqualValues(t, len(file.Body), *done.SizeBytes)
	require.Equal(t, fmt.Sprint(len(file.Body)), file.Header.Get("Content-Length"))
	book, err := excelize.OpenReader(bytes.NewReader(file.Body))
	require.NoError(t, err)
	defer func() { require.NoError(t, book.Close()) }()
	require.Equal(t, []string{"客户"}, book.GetSheetList())
	rows, err := book.GetRows("客户")
	require.NoError(t, err)
	require.Len(t, rows, 4)
	require.Equal(t, []string{"姓名", "手机"}, rows[0][2:4])
	require.Equal(t, []string{"=HYPERLINK(\"x\")", "+8613800000001", "a.b@example.com"}, rows[1][2:5])
	require.Equal(t, "Anna <Ω> & Söhne", rows[3][2])
	formula, err := book.GetCellFormula("客户", "C2")
	require.NoError(t, err)
	require.Empty(t, formula)
	style, err := book.GetCellStyle("客户", "C2")
	require.NoError(t, err)
	require.Equal(t, 2, style, "quoted")

	// The same file brings the same people back.
	_, err = app.DB.Exec(t.Context(), "UPDATE customers SET external_id = 'OLD-' || id, phone_index = NULL, email_index = NULL, card_number_index = NULL")
	require.NoError(t, err)
	run := started(upload(t, admin, file.Body))
	for _, c := range run.Columns {
		require.False(t, c.Ambiguous, c.Header)
	}
	back := ended(t, admin, run.ID)
	require.Equal(t, counts{Created: 3}, back.Counts, faults(admin, run.ID))
	var audited int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action IN ('exports.create', 'exports.finish', 'exports.download') AND object_id = $1", done.ID).Scan(&audited))
	require.Equal(t, 3, audited)
	var reason string
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT reason FROM audit_logs WHERE action = 'exports.create' AND object_id = $1", done.ID).Scan(&reason))
	require.Equal(t, "周年庆礼品邮寄", reason)
	var values int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action LIKE 'exports.%' AND changes::text LIKE '%1380000%'").Scan(&values))
	require.Zero(t, values)
}

func TestExportOfOrders(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	here, there := app.Store(map[string]any{"code": "HERE"}), app.Store(map[string]any{"code": "THERE"})
	buyer := app.Customer(map[string]any{"external_id": "B-1", "home_store_id": here.Id})
	var tickets []map[string]any
	for n := range 30 {
		store := here.Id
		if n%3 == 0 {
			store = there.Id
		}
		tickets = append(tickets, map[string]any{"store_id": store, "external_number": fmt.Sprint("T-", n), "type": "sale", "placed_at": fmt.Sprintf("2026-03-%02dT02:00:00Z", n+1),
			"customer": map[string]any{"external_id": "B-1"}, "lines": []map[string]any{{"sku": "S", "title": "书", "quantity": 2, "unit_price_amount": 1205}}})
	}
	admin.Do("POST", "/v1/pos/orders", map[string]any{"create_missing_variants": true, "orders": tickets}).Want(200)
	_, file := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "orders", "format": "csv", "language": "en", "filter": map[string]any{"store_id": there.Id, "placed_after": "2026-03-05T00:00:00Z"},
		"fields": []string{"external_number", "store", "customer_id", "unit_count", "total_amount", "currency", "business_on"}})
	rows := table(t, file.Body)
	require.Equal(t, []string{"Till number", "Store code", "Customer id", "Units", "Total", "Currency", "Business day"}, rows[0])
	require.Len(t, rows, 1+8)
	require.Equal(t, []string{"T-27", "THERE", buyer.Id.String(), "2", "24.10", "CNY", "2026-03-28"}, rows[1])
	manager := app.Client("store_manager", testkit.InStore(here.Id))
	done, file := exportOf(t, manager, "/v1/exports", map[string]any{"kind": "orders", "format": "jsonl"})
	require.EqualValues(t, 20, *done.RowCount)
	require.Equal(t, 20, bytes.Count(file.Body, []byte("\n")))
	require.NotContains(t, string(file.Body), "THERE")
	require.Contains(t, string(file.Body), `"total_amount":2410`)
}

// What is exported is what its owner may see when the job runs, and the file is
// theirs and the administrators'.
func TestExportWithinReach(t *testing.T) {
	app := testkit.New(t) // nobody works jobs here
	admin := app.Admin()
	here, there := app.Store(), app.Store()
	for n := range 5 {
		app.Customer(map[string]any{"external_id": fmt.Sprint("H-", n), "home_store_id": here.Id})
		app.Customer(map[string]any{"external_id": fmt.Sprint("T-", n), "home_store_id": there.Id})
	}
	manager := app.Client("store_manager", testkit.InStore(here.Id))
	gone := app.Client("store_manager", testkit.InStore(here.Id))
	want := map[string]any{"kind": "customers", "format": "jsonl", "fields": []string{"external_id"}}
	first, last := exporting(manager.Do("POST", "/v1/exports", want)), exporting(gone.Do("POST", "/v1/exports", want))
	manager.Do("POST", "/v1/exports/clear", map[string]any{"kind": "customers", "format": "csv", "reason": "so"}).WantProblem(403, "auth.forbidden")
	app.Client("assistant", testkit.Own()).Do("POST", "/v1/exports", want).WantProblem(403, "auth.forbidden")
	manager.Do("GET", "/v1/exports/"+first.ID+"/file", nil).WantProblem(409, "exports.not_ready")
	manager.Do("DELETE", "/v1/exports/"+first.ID, nil).WantProblem(409, "exports.running")
	for range 2 {
		exporting(manager.Do("POST", "/v1/exports", want))
	}
	manager.Do("POST", "/v1/exports", want).WantProblem(409, "exports.too_many_running")

	// Somebody who may nothing any more when the job runs gets nothing.
	grants := admin.Do("GET", "/v1/staff/"+gone.StaffID.String(), nil).Want(200).Map()["grants"].([]any)
	admin.Do("DELETE", "/v1/staff/"+gone.StaffID.String()+"/grants/"+grants[0].(map[string]any)["id"].(string), nil).Want(204)
	worker := testkit.New(t, testkit.Beside(app), testkit.WithWorker())
	done := exported(t, manager, first.ID)
	require.Equal(t, "succeeded", done.Status)
	lost := exported(t, worker.Admin(), last.ID)
	require.Equal(t, "failed", lost.Status)
	require.Equal(t, "auth.forbidden", *lost.ErrorCode)
	text := string(manager.Do("GET", *done.File, nil).Want(200).Body)
	require.Equal(t, 5, strings.Count(text, "H-"))
	require.NotContains(t, text, "T-")

	colleague := app.Client("store_manager", testkit.InStore(here.Id))
	colleague.Do("GET", "/v1/exports/"+first.ID, nil).WantProblem(404, "exports.not_found")
	colleague.Do("GET", "/v1/exports/"+first.ID+"/file", nil).WantProblem(404, "exports.not_found")
	require.Empty(t, colleague.Do("GET", "/v1/exports", nil).Want(200).Map()["items"])
	require.Equal(t, text, string(admin.Do("GET", *done.File, nil).Want(200).Body))
	// A browser's link.
	ticket := manager.Do("POST", "/v1/stream-tickets", map[string]any{"path": *done.File}).Want(200).Map()["ticket"].(string)
	require.Equal(t, text, string(app.Do("GET", *done.File+"?ticket="+ticket, nil).Want(200).Body))
	app.Do("GET", *done.File+"?ticket="+ticket, nil).WantProblem(401, "auth.ticket_invalid")
}

func TestExportExpires(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	people(app)
	masked, _ := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "csv"})
	whole, file := exportOf(t, admin, "/v1/exports/clear", map[string]any{"kind": "customers", "format": "csv", "reason": "核对"})
	require.Contains(t, string(file.Body), "13800000001")
	require.Contains(t, string(file.Body), "登山")
	// What a role may not see of the custom fields is not in its files.
	marketer := app.Client("marketer", testkit.All())
	_, partial := exportOf(t, marketer, "/v1/exports", map[string]any{"kind": "customers", "format": "jsonl", "filter": map[string]any{"tag": "VIP"}, "fields": []string{"custom_fields"}})
	require.JSONEq(t, `{"custom_fields":{"size":"M","hobby":"***"}}`, string(partial.Body))
	// At rest nothing is in clear.
	for _, name := range stored(t, app) {
		require.NotContains(t, string(read(t, name)), "13800000001")
	}
	require.Len(t, stored(t, app), 3)
	app.Advance(24*time.Hour + time.Second)
	admin = app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	admin.Do("GET", *whole.File, nil).WantProblem(409, "exports.file_deleted")
	admin.Do("GET", *masked.File, nil).Want(200)
	require.NoError(t, app.Server.Imports.Clean(system(t)))
	require.Len(t, stored(t, app), 2)
	var view exportView
	admin.Do("GET", "/v1/exports/"+whole.ID, nil).Want(200).JSON(&view)
	require.True(t, view.FileDeleted)
	require.Nil(t, view.File)
	require.EqualValues(t, 3, *view.RowCount)
	admin.Do("DELETE", "/v1/exports/"+masked.ID, nil).Want(204)
	admin.Do("DELETE", "/v1/exports/"+masked.ID, nil).Want(204)
	admin.Do("GET", *masked.File, nil).WantProblem(409, "exports.file_deleted")
	require.Len(t, stored(t, app), 1, "the marketer's")
	admin.Do("GET", "/v1/exports/"+uuid.NewString()+"/file", nil).WantProblem(404, "exports.not_found")
}

// The same request again with its key is one export; a cancelled job leaves no
// file.
func TestExportOnceAndCancelled(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	people(app)
	want := map[string]any{"kind": "customers", "format": "csv"}
	one := exporting(admin.Do("POST", "/v1/exports", want, "Idempotency-Key", "once"))
	two := exporting(admin.Do("POST", "/v1/exports", want, "Idempotency-Key", "once"))
	require.Equal(t, one.ID, two.ID)
	admin.Do("POST", "/v1/jobs/"+one.JobID+"/cancel", nil).Want(http.StatusOK)
	require.Equal(t, "cancelled", exported(t, admin, one.ID).Status)
	admin.Do("GET", "/v1/exports/"+one.ID+"/file", nil).WantProblem(409, "exports.not_ready")
	admin.Do("DELETE", "/v1/exports/"+one.ID, nil).Want(204)
	require.Empty(t, stored(t, app))
}

func TestExportProducts(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker(), testkit.At(time.Date(2026, 3, 2, 4, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	category := admin.Do("POST", "/v1/categories", map[string]any{"name": "小说"}).Want(201).Map()["id"]
	admin.Do("POST", "/v1/products", map[string]any{"kind": "book", "title": "=红楼梦", "category_id": category, "book": map[string]any{"isbn13": "9787020002207", "authors": []string{"曹雪芹", "高鹗"}},
		"variants": []any{map[string]any{"sku": "B-1", "price_amount": 5970, "cost_amount": 3000}, map[string]any{"sku": "B-2", "price_amount": 100, "options": map[string]any{"format": "精装"}}}}).Want(201)
	admin.Do("POST", "/v1/products", map[string]any{"title": "空", "status": "draft"}).Want(201)

	_, file := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "products", "format": "csv", "language": "zh-CN", "fields": []string{"title", "category", "sku", "price_amount", "cost_amount", "options", "authors", "status"}})
	require.Equal(t, [][]string{
		{"商品名称", "分类", "SKU", "售价", "成本价", "选项", "作者", "商品状态"},
		{"'=红楼梦", "小说", "B-1", "59.70", "30.00", "", "曹雪芹;高鹗", "active"},
		{"'=红楼梦", "小说", "B-2", "1.00", "", `{"format":"精装"}`, "曹雪芹;高鹗", "active"},
		{"空", "", "", "", "", "", "", "draft"},
	}, table(t, file.Body))

	_, file = exportOf(t, admin, "/v1/exports", map[string]any{"kind": "products", "format": "jsonl", "filter": map[string]any{"product_kind": "book", "category_id": category}})
	require.Equal(t, 2, bytes.Count(file.Body, []byte("\n")))
	require.Contains(t, string(file.Body), `"cost_amount":3000`)
	// Who may not see costs gets none.
	marketer := app.Client("marketer", testkit.All())
	_, file = exportOf(t, marketer, "/v1/exports", map[string]any{"kind": "products", "format": "jsonl"})
	require.Contains(t, string(file.Body), `"cost_amount":null`)
	require.NotContains(t, string(file.Body), "3000")

	admin.Do("POST", "/v1/exports", map[string]any{"kind": "products", "format": "csv", "filter": map[string]any{"tag": "VIP"}}).WantProblem(422, "exports.filter_unfit", "/filter/tag")
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "orders", "format": "csv", "filter": map[string]any{"product_kind": "book"}}).WantProblem(422, "exports.filter_unfit", "/filter/product_kind")
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "products", "format": "csv", "fields": []string{"phone"}}).WantProblem(422, "exports.field_unknown", "/fields/0")
}
