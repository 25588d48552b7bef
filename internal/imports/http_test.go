package imports_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"github.com/shuke-crm/shuke/internal/testkit"
)

type counts struct{ Created, Updated, Skipped, Failed, Held, Likely, Records int64 }

type importView struct {
	ID        string
	Status    string
	ErrorCode *string `json:"error_code"`
	Encoding  *string
	Delimiter *string
	Sheet     *string
	Columns   []struct {
		Column    int
		Header    string
		Suggested *string `json:"suggested_field"`
		Ambiguous bool
		Samples   []string
	}
	Counts      counts
	OpenReviews int64  `json:"open_reviews"`
	TotalRows   *int64 `json:"total_rows"`
	LastRow     int64  `json:"last_row"`
	JobID       string `json:"job_id"`
}

// upload sends a file with further fields of the form.
func upload(t testing.TB, who *testkit.Client, content []byte, fields ...string) *testkit.Response {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if !slices.Contains(fields, "kind") {
		require.NoError(t, form.WriteField("kind", "customers"))
	}
	for i := 0; i < len(fields); i += 2 {
		require.NoError(t, form.WriteField(fields[i], fields[i+1]))
	}
	file, err := form.CreateFormFile("file", "会员.csv")
	require.NoError(t, err)
	_, err = file.Write(content)
	require.NoError(t, err)
	require.NoError(t, form.Close())
	return who.Do("POST", "/v1/imports", &body, "Content-Type", form.FormDataContentType())
}

func started(r *testkit.Response) importView {
	var out struct{ Import importView }
	r.Want(202).JSON(&out)
	return out.Import
}

// ended waits for the end of an import's job.
func ended(t testing.TB, who *testkit.Client, id string) importView {
	t.Helper()
	var out importView
	require.Eventually(t, func() bool {
		out = importView{}
		who.Do("GET", "/v1/imports/"+id, nil).Want(200).JSON(&out)
		return out.Status != "checking" && out.Status != "running"
	}, 60*time.Second, 50*time.Millisecond)
	return out
}

func gbk(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
	require.NoError(t, err)
	return raw
}

// messy is what people send: GBK, a blank line, a column twice, odd spellings,
// wrong values, rows cut short.
const messy = "\r\n会员编号,姓名,手机号码,性别,生日,备注,备注,标签,详细地址\r\n" +
	"M-1,李小明,138 0000 0001,男,1990年5月1日,a,b,VIP；老客,南京东路1号\r\n" +
	"M-2,王芳,\"=\"\"13800000002\"\"\",女士,1985/12/31,,,,\r\n" +
	"\r\n" +
	"M-3,张伟,1380000,男,1990-05-01,,,,\r\n" + // phone
	"M-4,赵敏,13800000004,妖,03/04/1990,,,,\r\n" + // gender and date
	"M-5,钱多,13800000001,,,,,,\r\n" + // the phone of M-1
	"M-6,孙丽\r\n" + // ragged
	"M-7,\"周\"杰\",13800000007,,,,,,\r\n" + // a quotation mark inside
	"M-8,吴亦,1.38E+10,,,,,,\r\n" +
	",,,,,,,,\r\n" +
	",,,,,只有备注,,,\r\n" + // nothing to know anybody by
	"M-9,郑爽,,保密,19910809,,,,\r\n"

func TestImportOfAMessyFile(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	tried := started(upload(t, admin, gbk(t, messy), "dry_run", "true"))
	require.Equal(t, "gb18030", *tried.Encoding)
	require.Equal(t, ",", *tried.Delimiter)
	want := map[string]string{"会员编号": "external_id", "姓名": "name", "手机号码": "phone", "性别": "gender", "生日": "birth_date", "标签": "tags", "详细地址": "address.line1"}
	for _, c := range tried.Columns {
		if c.Header == "备注" {
			require.True(t, c.Ambiguous)
			continue
		}
		require.NotNil(t, c.Suggested, c.Header)
		require.Equal(t, want[c.Header], *c.Suggested)
		require.False(t, c.Ambiguous)
		require.NotContains(t, strings.Join(c.Samples, "|"), "李小明")
		require.NotContains(t, strings.Join(c.Samples, "|"), "0000 0001")
	}
	checked := ended(t, admin, tried.ID)
	require.Equal(t, "checked", checked.Status)
	require.Equal(t, counts{Created: 3, Skipped: 1, Failed: 6}, checked.Counts)
	var customers int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers").Scan(&customers))
	require.Zero(t, customers, "a dry run writes nothing")

	again := started(admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil))
	require.Equal(t, tried.ID, again.ID)
	done := ended(t, admin, tried.ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, counts{Created: 3, Skipped: 1, Failed: 6}, done.Counts)
	require.Equal(t, int64(10), *done.TotalRows)
	admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil).WantProblem(409, "imports.finished")

	var errors struct {
		Items []struct {
			Row    int64
			Errors []struct{ Code, Detail string }
		}
	}
	admin.Do("GET", "/v1/imports/"+tried.ID+"/errors", nil, "Accept-Language", "zh-CN").Want(200).JSON(&errors)
	got := map[int64]string{}
	for _, e := range errors.Items {
		for _, f := range e.Errors {
			got[e.Row] += f.Code + " "
			require.NotEmpty(t, f.Detail)
		}
	}
	require.Equal(t, map[int64]string{
		6: "customers.phone_invalid ", 7: "imports.gender_unknown imports.date_ambiguous ", 9: "imports.row_ragged ",
		10: "imports.row_quotes ", 11: "imports.number_rounded ", 13: "customers.identity_required ",
	}, got)

	file := admin.Do("GET", "/v1/imports/"+tried.ID+"/errors?format=csv", nil, "Accept-Language", "zh-CN").Want(200)
	require.Equal(t, "text/csv", file.Header.Get("Content-Type"))
	text := string(file.Body)
	require.True(t, strings.HasPrefix(text, "\ufeffrow,column,code,message,会员编号,姓名,"))
	require.Contains(t, text, "6,手机号码,customers.phone_invalid,电话号码无效。,M-3,张伟,1380000,男,")

	// Corrected, the file of errors is a file to import.
	fixed := strings.ReplaceAll(text, "1380000,", "13800000003,")
	fixed = strings.Join(strings.Split(fixed, "\r\n")[:2], "\r\n") + "\r\n"
	second := ended(t, admin, started(upload(t, admin, []byte(fixed))).ID)
	require.Equal(t, counts{Created: 1}, second.Counts)

	// Who came in, and how it is known.
	var found struct {
		Items []struct {
			ID        string
			Source    string
			Gender    string
			BirthDate string `json:"birth_date"`
			Tags      []string
		}
	}
	admin.Do("POST", "/v1/customers/search", map[string]any{"external_id": "M-1"}).Want(200).JSON(&found)
	require.Len(t, found.Items, 1)
	require.Equal(t, "import", found.Items[0].Source)
	require.Equal(t, "male", found.Items[0].Gender)
	require.Equal(t, "1990-05-01", found.Items[0].BirthDate)
	require.ElementsMatch(t, []string{"VIP", "老客"}, found.Items[0].Tags)
	var importID string
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT changes->>'import_id' FROM audit_logs WHERE action = 'customers.create' AND object_id = $1", found.Items[0].ID).Scan(&importID))
	require.Equal(t, tried.ID, importID)
}

func TestImportUpdates(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	old := app.Customer(map[string]any{"external_id": "U-1", "phone": "13900000001", "name": "旧名", "tags": []string{"甲"},
		"address": map[string]any{"city": "上海市", "line1": "旧路"}, "source": "pos"})
	app.Customer(map[string]any{"external_id": "U-2", "phone": "13900000002"})
	file := "外部编号,姓名,手机,标签,地址\n" +
		"U-1,新名,,乙,新路\n" + // by external id; the phone stays
		",再新,13900000001,,\n" + // the same customer again, by phone
		"U-2,,13900000001,,\n" + // two customers
		"U-3,新人,13900000003,,\n" +
		"U-3,新人改,,,\n"
	tried := ended(t, admin, started(upload(t, admin, []byte(file), "duplicates", "update", "dry_run", "true")).ID)
	require.Equal(t, counts{Created: 1, Updated: 3, Failed: 1}, tried.Counts)
	admin.Do("POST", "/v1/imports/"+tried.ID+"/start", map[string]any{}).Want(202)
	done := ended(t, admin, tried.ID)
	require.Equal(t, counts{Created: 1, Updated: 3, Failed: 1}, done.Counts)
	got := admin.Do("POST", "/v1/customers/"+old.Id.String()+"/reveal", map[string]any{"fields": []string{"name", "phone", "address"}, "reason": "check"}).Want(200).Map()
	require.Equal(t, "再新", got["name"])
	require.Equal(t, "+8613900000001", got["phone"])
	require.Equal(t, map[string]any{"city": "上海市", "line1": "新路"}, got["address"])
	view := admin.Do("GET", "/v1/customers/"+old.Id.String(), nil).Want(200).Map()
	require.ElementsMatch(t, []any{"甲", "乙"}, view["tags"])
	require.Equal(t, "pos", view["source"])
}

func TestImportWithinReach(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	here, there := app.Store(map[string]any{"code": "HERE"}), app.Store(map[string]any{"code": "THERE"})
	assistant := app.Client("assistant", testkit.Own())
	manager := app.Client("store_manager", testkit.InStore(here.Id))
	app.Customer(map[string]any{"external_id": "T-1", "home_store_id": there.Id})
	file := []byte("external_id,name,门店\nT-1,别人的,\nT-2,我的,\nT-3,远的,THERE\nT-4,无此店,NOWHERE\n")
	upload(t, manager, file).WantProblem(403, "auth.forbidden")
	done := ended(t, assistant, started(upload(t, assistant, file, "duplicates", "update")).ID)
	require.Equal(t, counts{Created: 1, Failed: 3}, done.Counts)
	app.Admin().Do("GET", "/v1/imports/"+done.ID, nil).WantProblem(404, "imports.not_found")
	require.Empty(t, app.Admin().Do("GET", "/v1/imports", nil).Want(200).Map()["items"])
}

func TestImportRefusesFiles(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes([]byte("姓名,手机\n李,13800000000\n"))
	require.NoError(t, err)
	ok := started(upload(t, admin, utf16, "dry_run", "true"))
	require.Equal(t, "utf-16le", *ok.Encoding)
	semi := started(upload(t, admin, []byte("\ufeff姓名;手机\n\"李;王\";13800000000\n"), "dry_run", "true"))
	require.Equal(t, ";", *semi.Delimiter)

	for name, c := range map[string]struct {
		content string
		fields  []string
		code    string
	}{
		"nothing":         {"", nil, "imports.file_empty"},
		"header only":     {"姓名,手机\n", nil, "imports.file_empty"},
		"blank":           {"\n\n , \n", nil, "imports.file_empty"},
		"old Excel":       {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 binary", nil, "imports.format_unsupported"},
		"picture":         {"\x89PNG\r\n\x1a\n", nil, "imports.format_unsupported"},
		"broken archive":  {"PK\x03\x04 but nothing of the kind", nil, "imports.format_unsupported"},
		"two encodings":   {"name,phone\n李,1\n\xc0\xee\xff,2\n", nil, "imports.encoding_unknown"},
		"unclosed quote":  {"name,phone\n\"李,1\n王,2\n赵,3\n", nil, "imports.quote_unclosed"},
		"two phones":      {"手机,电话\n13800000000,13800000001\n", nil, "imports.mapping_needed"},
		"unknown columns": {"a,b\n1,2\n", nil, "imports.mapping_needed"},
		"same header":     {"姓名,姓名\n1,2\n", []string{"mapping", `[{"header":"姓名","field":"name"}]`}, "imports.header_ambiguous"},
		"field twice":     {"a,b\n1,2\n", []string{"mapping", `[{"column":1,"field":"name"},{"column":2,"field":"name"}]`}, "imports.mapping_invalid"},
		"no such column":  {"a,b\n1,2\n", []string{"mapping", `[{"column":3,"field":"name"}]`}, "imports.mapping_invalid"},
		"no such field":   {"a,b\n1,2\n", []string{"mapping", `[{"column":1,"field":"salary"}]`}, "imports.mapping_invalid"},
		"mapping no JSON": {"a,b\n1,2\n", []string{"mapping", `name`}, "imports.field_invalid"},
		"other kind":      {"name\n李\n", []string{"kind", "shelves"}, "imports.field_invalid"},
		"unknown policy":  {"name\n李\n", []string{"duplicates", "merge"}, "imports.field_invalid"},
		"unknown part":    {"name\n李\n", []string{"colour", "red"}, "imports.field_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			app := app.In(t)
			admin := app.Admin()
			upload(t, admin, []byte(c.content), c.fields...).WantProblem(422, c.code)
		})
	}
	admin.Do("POST", "/v1/imports", map[string]any{"kind": "customers"}).WantProblem(415, "request.unsupported_media_type")
	admin.Do("POST", "/v1/imports", "--x--\r\n", "Content-Type", "multipart/form-data; boundary=x").WantProblem(422, "imports.file_required")
	var kept int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM imports").Scan(&kept))
	require.Equal(t, 2, kept)
}

// book makes a workbook as Excel would.
func book(t testing.TB, sheet string, table [][]any, more func(*excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	require.NoError(t, f.SetSheetName("Sheet1", sheet))
	for i, r := range table {
		for j, v := range r {
			if v == nil {
				continue
			}
			at, err := excelize.CoordinatesToCellName(j+1, i+1)
			require.NoError(t, err)
			require.NoError(t, f.SetCellValue(sheet, at, v))
		}
	}
	if more != nil {
		more(f)
	}
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	return out.Bytes()
}

func TestImportOfAWorkbook(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	content := book(t, "会员", [][]any{
		{"会员导出"}, {nil}, // a header of one cell is none to import by
	}, nil)
	upload(t, admin, content).WantProblem(422, "imports.file_empty")

	content = book(t, "会员", [][]any{
		{nil},
		{"姓名", "手机", "生日", "性别"},
		{"李明", 13800000001, time.Date(1990, 5, 1, 0, 0, 0, 0, time.UTC), "女"},
		{"王芳", "13800000002", "1985-12-31", "男"},
		{nil, nil, nil, nil},
		{"公式", nil, nil, nil},
		{"错误", nil, nil, nil},
		{"短"},
	}, func(f *excelize.File) {
		require.NoError(t, f.SetCellFormula("会员", "B6", "A1+1"))
		require.NoError(t, f.SetCellStr("会员", "D7", "妖"))
		_, err := f.NewSheet("别的")
		require.NoError(t, err)
	})
	upload(t, admin, content, "sheet", "没有").WantProblem(422, "imports.sheet_unknown")
	run := started(upload(t, admin, content))
	require.Equal(t, "会员", *run.Sheet)
	done := ended(t, admin, run.ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, counts{Created: 3, Failed: 2}, done.Counts)
	var got []string
	var errors struct {
		Items []struct {
			Row    int64
			Errors []struct{ Code string }
		}
	}
	admin.Do("GET", "/v1/imports/"+run.ID+"/errors", nil).Want(200).JSON(&errors)
	for _, e := range errors.Items {
		got = append(got, fmt.Sprint(e.Row, " ", e.Errors[0].Code))
	}
	require.Equal(t, []string{"6 imports.formula", "7 imports.gender_unknown"}, got)
	var found struct {
		Items []struct {
			BirthDate string `json:"birth_date"`
		}
	}
	admin.Do("POST", "/v1/customers/search", map[string]any{"phone": "13800000001"}).Want(200).JSON(&found)
	require.Len(t, found.Items, 1)
	require.Equal(t, "1990-05-01", found.Items[0].BirthDate)
}

func TestImportCancelAndGoOn(t *testing.T) {
	app := testkit.New(t) // nobody works jobs here
	admin := app.Admin()
	run := started(upload(t, admin, []byte("姓名,手机\n李,13800000001\n王,13800000002\n")))
	admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil).WantProblem(409, "imports.running")
	admin.Do("POST", "/v1/jobs/"+run.JobID+"/cancel", nil).Want(200)
	require.Equal(t, "cancelled", ended(t, admin, run.ID).Status)
	admin.Do("POST", "/v1/imports/"+run.ID+"/start", map[string]any{"duplicates": "update"}).WantProblem(409, "imports.begun")
	admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil, "Idempotency-Key", "again").Want(202)
	replay := admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil, "Idempotency-Key", "again").Want(202)
	require.Equal(t, "true", replay.Header.Get("Idempotency-Replayed"))
	worker := testkit.New(t, testkit.Beside(app), testkit.WithWorker())
	done := ended(t, worker.Admin(), run.ID)
	require.Equal(t, counts{Created: 2}, done.Counts)

	// Old files go, what is known of the run stays.
	_, err := app.DB.Exec(t.Context(), "UPDATE imports SET updated_at = updated_at - interval '8 days'")
	require.NoError(t, err)
	require.NoError(t, app.Server.Imports.Clean(system(t)))
	var view map[string]any
	require.NoError(t, json.Unmarshal(admin.Do("GET", "/v1/imports/"+run.ID, nil).Want(200).Body, &view))
	require.Equal(t, true, view["file_deleted"])
}
