package imports_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func labels(zh, en string) map[string]any { return map[string]any{"zh": zh, "en": en} }

// defined makes a custom field of each kind and returns their ids by key.
func defined(app *testkit.App) map[string]string {
	ids := map[string]string{}
	choices := []map[string]any{{"value": "s", "labels": labels("小号", "Small")}, {"value": "m", "labels": labels("中号", "Medium")}, {"value": "xl", "labels": labels("加大", "Extra large"), "replaced_by": "m"}}
	for _, f := range []map[string]any{
		{"key": "shoe_size", "kind": "number", "labels": labels("鞋码", "Shoe size"), "filterable": true, "validation": map[string]any{"min": 20, "max": 50}},
		{"key": "joined_on", "kind": "date", "labels": labels("入会日期", "Joined")},
		{"key": "fit", "kind": "choice", "labels": labels("版型", "Fit"), "filterable": true, "validation": map[string]any{"choices": choices}},
		{"key": "sizes", "kind": "multi_choice", "labels": labels("常穿尺码", "Sizes"), "validation": map[string]any{"choices": choices}},
		{"key": "reads", "kind": "boolean", "labels": labels("爱读书", "Reads")},
		{"key": "hobby", "kind": "text", "labels": labels("爱好", "Hobby"), "personal": true},
		{"key": "introducer", "kind": "reference", "labels": labels("介绍人", "Introduced by"), "reference_to": "customer"},
		{"key": "channel_note", "kind": "text", "labels": labels("来源", "Source")}, // as a field of the house
		{"key": "secret", "kind": "text", "labels": labels("评级", "Rating"), "editable_by": []string{"store_manager"}},
	} {
		ids[f["key"].(string)] = app.Admin().Do("POST", "/v1/custom-fields", f).Want(201).Map()["id"].(string)
	}
	return ids
}

// customOf are a customer's custom fields, personal ones included.
func customOf(t testing.TB, admin *testkit.Client, externalID string) map[string]any {
	t.Helper()
	var found struct {
		Items []struct {
			ID           string
			CustomFields map[string]any `json:"custom_fields"`
		}
	}
	admin.Do("POST", "/v1/customers/search", map[string]any{"external_id": externalID}).Want(200).JSON(&found)
	require.Len(t, found.Items, 1, externalID)
	out := found.Items[0].CustomFields
	personal, _ := admin.Do("POST", "/v1/customers/"+found.Items[0].ID+"/reveal", map[string]any{"fields": []string{"custom_fields"}, "reason": "check"}).Want(200).Map()["custom_fields"].(map[string]any)
	maps.Copy(out, personal)
	return out
}

func TestImportOfCustomFields(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	defined(app)
	friend := app.Customer(map[string]any{"external_id": "FRIEND"}).Id.String()
	file := "外部编号,鞋码,入会日期,版型,sizes,Reads,custom_fields.hobby,介绍人,备注\n" +
		"K-1,42.5,2020年5月1日,中号,小号；Medium,是,登山," + friend + ",x\n" +
		"K-2,\"1,042\",1990-13-01,特大,s;q,maybe,,nobody,x\n" +
		"K-3,,,加大,xl,否,,,x\n" + // a choice that another one has replaced
		"K-4,42,31532,,,,,,x\n" // a number is no day in CSV
	tried := started(upload(t, admin, []byte(file), "dry_run", "true"))
	suggested := map[string]string{}
	for _, c := range tried.Columns {
		require.False(t, c.Ambiguous, c.Header)
		if c.Suggested != nil {
			suggested[c.Header] = *c.Suggested
		}
		require.NotContains(t, strings.Join(c.Samples, ""), "登山")
	}
	require.Equal(t, map[string]string{"外部编号": "external_id", "鞋码": "custom_fields.shoe_size", "入会日期": "custom_fields.joined_on", "版型": "custom_fields.fit", "sizes": "custom_fields.sizes",
		"Reads": "custom_fields.reads", "custom_fields.hobby": "custom_fields.hobby", "介绍人": "custom_fields.introducer"}, suggested)
	require.Equal(t, counts{Created: 2, Failed: 2}, ended(t, admin, tried.ID).Counts)
	admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil).Want(202)
	require.Equal(t, counts{Created: 2, Failed: 2}, ended(t, admin, tried.ID).Counts)

	var errors struct {
		Items []struct {
			Row    int64
			Errors []struct {
				Column      *int
				Field, Code string
			}
		}
	}
	admin.Do("GET", "/v1/imports/"+tried.ID+"/errors", nil).Want(200).JSON(&errors)
	got := map[string]string{}
	for _, e := range errors.Items {
		for _, f := range e.Errors {
			got[fmt.Sprint(e.Row, " ", *f.Column, " ", f.Field)] = f.Code
		}
	}
	require.Equal(t, map[string]string{
		"3 2 custom_fields.shoe_size": "custom_fields.out_of_range", "3 3 custom_fields.joined_on": "custom_fields.kind_mismatch", "3 4 custom_fields.fit": "custom_fields.choice_unknown",
		"3 5 custom_fields.sizes": "custom_fields.choice_unknown", "3 6 custom_fields.reads": "custom_fields.kind_mismatch", "3 8 custom_fields.introducer": "custom_fields.reference_unknown",
		"5 3 custom_fields.joined_on": "custom_fields.kind_mismatch",
	}, got)
	require.Contains(t, string(admin.Do("GET", "/v1/imports/"+tried.ID+"/errors?format=csv", nil).Want(200).Body), "3,鞋码; 入会日期; 版型; sizes; Reads; 介绍人,", "columns by their headers")

	require.Equal(t, map[string]any{"shoe_size": 42.5, "joined_on": "2020-05-01", "fit": "m", "sizes": []any{"m", "s"}, "reads": true, "hobby": "登山", "introducer": friend}, customOf(t, admin, "K-1"))
	require.Equal(t, map[string]any{"fit": "m", "sizes": []any{"m"}, "reads": false}, customOf(t, admin, "K-3"))

	// In a workbook days are numbers.
	content := book(t, "S", [][]any{{"external_id", "入会日期", "鞋码"}, {"K-5", time.Date(1990, 5, 1, 0, 0, 0, 0, time.UTC), 41}}, nil)
	require.Equal(t, counts{Created: 1}, ended(t, admin, started(upload(t, admin, content)).ID).Counts)
	require.Equal(t, map[string]any{"joined_on": "1990-05-01", "shoe_size": 41.0}, customOf(t, admin, "K-5"))

	// Fields that are not there or not for the uploader cannot be mapped; a header
	// that two fields have is for a person to decide.
	assistant := app.Client("assistant", testkit.Own())
	for _, field := range []string{"custom_fields.nothing", "custom_fields.secret"} {
		upload(t, assistant, []byte("a,b\n1,2\n"), "mapping", `[{"column":1,"field":"`+field+`"}]`).WantProblem(422, "imports.mapping_invalid", "/mapping/0/field")
	}
	upload(t, admin, []byte("姓名,来源\n李,店\n")).WantProblem(422, "imports.mapping_needed")
	done := ended(t, admin, started(upload(t, admin, []byte("external_id,来源\nK-6,店\n"), "mapping", `[{"column":1,"field":"external_id"},{"column":2,"field":"custom_fields.channel_note"}]`)).ID)
	require.Equal(t, counts{Created: 1}, done.Counts)
	require.Equal(t, map[string]any{"channel_note": "店"}, customOf(t, admin, "K-6"))

	// An update changes the fields that the row has.
	done = ended(t, admin, started(upload(t, admin, []byte("external_id,鞋码,爱好\nK-1,43,\n"), "duplicates", "update")).ID)
	require.Equal(t, counts{Updated: 1}, done.Counts)
	changed := customOf(t, admin, "K-1")
	require.Equal(t, []any{43.0, "登山"}, []any{changed["shoe_size"], changed["hobby"]})
}

// A definition that changes while a file is being taken over holds from the next
// batch on: every row is judged by the one in force when it was written.
func TestDefinitionChangedInTheMiddleOfAnImport(t *testing.T) {
	const rows = 16_000
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	ids := defined(app)
	var file strings.Builder
	file.WriteString("外部编号,鞋码,版型\n")
	for n := range rows {
		fmt.Fprintf(&file, "D-%d,42,m\n", n)
	}
	run := started(upload(t, admin, []byte(file.String())))
	var view importView
	require.Eventually(t, func() bool {
		admin.Do("GET", "/v1/imports/"+run.ID, nil).Want(200).JSON(&view)
		return view.Counts.Created > 0
	}, 60*time.Second, 5*time.Millisecond)
	field := admin.Do("GET", "/v1/custom-fields/"+ids["shoe_size"], nil).Want(200)
	admin.Do("PATCH", "/v1/custom-fields/"+ids["shoe_size"], map[string]any{"validation": map[string]any{"min": 20, "max": 41}}, "If-Match", field.Header.Get("ETag")).Want(200)
	field = admin.Do("GET", "/v1/custom-fields/"+ids["fit"], nil).Want(200)
	admin.Do("PATCH", "/v1/custom-fields/"+ids["fit"], map[string]any{"status": "archived"}, "If-Match", field.Header.Get("ETag")).Want(200)
	var then int64
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers").Scan(&then))
	done := ended(t, admin, run.ID)
	require.Equal(t, "succeeded", done.Status)
	require.Less(t, then, int64(rows), "the file was through before the change")
	require.Equal(t, int64(rows), done.Counts.Created+done.Counts.Failed, "no row is lost")
	require.Positive(t, done.Counts.Failed)
	require.LessOrEqual(t, done.Counts.Created, then, "nobody came in after the change with a value that it forbids")
	refused := faults(admin, run.ID)
	delete(refused, 0)
	for row, codes := range refused {
		require.Contains(t, codes, "custom_fields.out_of_range", row)
	}
	require.Contains(t, refused[int64(rows)+1]+"custom_fields.unknown", "custom_fields.unknown")
	var kept, values int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*), count(custom_fields->'shoe_size') FROM customers").Scan(&kept, &values))
	require.Equal(t, []int{int(done.Counts.Created), int(done.Counts.Created)}, []int{kept, values})
}

func TestExportOfCustomFields(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	ids := defined(app)
	app.Customer(map[string]any{"external_id": "X-1", "tags": []string{"VIP"}, "custom_fields": map[string]any{"shoe_size": -0.5 + 42, "joined_on": "2020-05-01", "fit": "m", "sizes": []string{"s", "m"}, "reads": true, "hobby": "登山"}})
	app.Customer(map[string]any{"external_id": "X-2", "custom_fields": map[string]any{"shoe_size": 36, "fit": "s"}})
	app.Customer(map[string]any{"external_id": "X-3", "tags": []string{"VIP"}})

	_, file := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "language": "zh-CN",
		"fields": []string{"external_id", "custom_fields.shoe_size", "custom_fields.fit", "custom_fields.sizes", "custom_fields.reads", "custom_fields.hobby", "custom_fields.joined_on", "custom_fields.channel_note"},
		"filter": map[string]any{"custom_fields": []map[string]any{{"key": "shoe_size", "op": "present"}}}})
	require.Equal(t, [][]string{{"外部编号", "鞋码", "版型", "常穿尺码", "爱读书", "爱好", "入会日期", "custom_fields.channel_note"},
		{"X-1", "41.5", "m", "m;s", "true", "***", "2020-05-01", ""}, {"X-2", "36", "s", "", "", "", "", ""}}, table(t, file.Body))

	// Filters of the customers' list, custom fields and tags together.
	for want, filter := range map[string]map[string]any{
		"X-1":     {"tag": "VIP", "custom_fields": []map[string]any{{"key": "fit", "op": "any_of", "values": []string{"m"}}}},
		"X-2":     {"custom_fields": []map[string]any{{"key": "shoe_size", "op": "lt", "values": []string{"40"}}}},
		"X-1 X-3": {"tag": "VIP"},
	} {
		done, file := exportOf(t, admin, "/v1/exports", map[string]any{"kind": "customers", "format": "jsonl", "fields": []string{"external_id", "custom_fields.shoe_size"}, "filter": filter})
		var got []string
		for line := range strings.Lines(string(file.Body)) {
			var one map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &one))
			got = append(got, one["external_id"].(string))
			require.Contains(t, one, "custom_fields.shoe_size")
		}
		require.ElementsMatch(t, strings.Fields(want), got)
		var job struct{ Progress struct{ Total int64 } }
		admin.Do("GET", "/v1/jobs/"+done.JobID, nil).Want(200).JSON(&job)
		require.EqualValues(t, len(got), job.Progress.Total, "what was to be done was counted by the filter")
	}
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "filter": map[string]any{"custom_fields": []map[string]any{{"key": "hobby", "op": "present"}}}}).
		WantProblem(422, "custom_fields.not_filterable", "/filter/custom_fields/0/key")
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "orders", "format": "csv", "filter": map[string]any{"custom_fields": []map[string]any{{"key": "fit", "op": "present"}}}}).
		WantProblem(422, "exports.filter_unfit", "/filter/custom_fields")
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "fields": []string{"custom_fields.nothing"}}).WantProblem(422, "exports.field_unknown", "/fields/0")

	// Whole, with every column, the workbook brings the same values back.
	_, whole := exportOf(t, admin, "/v1/exports/clear", map[string]any{"kind": "customers", "format": "xlsx", "language": "en", "reason": "check"})
	book, err := excelize.OpenReader(strings.NewReader(string(whole.Body)))
	require.NoError(t, err)
	rows, err := book.GetRows("Customers")
	require.NoError(t, err)
	require.NoError(t, book.Close())
	require.Contains(t, rows[0], "Shoe size")
	require.Contains(t, rows[0], "custom_fields.channel_note", "another column is called Source")
	require.NotContains(t, rows[0], "Custom fields")
	before := customOf(t, admin, "X-1")
	_, err = app.DB.Exec(t.Context(), "UPDATE customers SET external_id = 'OLD-' || id, phone_index = NULL, email_index = NULL, card_number_index = NULL")
	require.NoError(t, err)
	run := started(upload(t, admin, whole.Body))
	for _, c := range run.Columns {
		require.False(t, c.Ambiguous, c.Header)
	}
	require.Equal(t, counts{Created: 3}, ended(t, admin, run.ID).Counts, faults(admin, run.ID))
	require.Equal(t, before, customOf(t, admin, "X-1"))

	// A field archived meanwhile is left out, and has no column any more.
	tag := admin.Do("GET", "/v1/custom-fields/"+ids["fit"], nil).Want(200).Header.Get("ETag")
	admin.Do("PATCH", "/v1/custom-fields/"+ids["fit"], map[string]any{"status": "archived"}, "If-Match", tag).Want(200)
	admin.Do("POST", "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "fields": []string{"custom_fields.fit"}}).WantProblem(422, "exports.field_unknown")
}
