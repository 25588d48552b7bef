package imports_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/unicode/norm"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// faults are the codes by row.
func faults(who *testkit.Client, id string) map[int64]string {
	var found struct {
		Items []struct {
			Row    int64
			Errors []struct{ Code string }
		}
		TotalCount int `json:"total_count"`
	}
	who.Do("GET", "/v1/imports/"+id+"/errors?limit=200&include=total_count", nil).Want(200).JSON(&found)
	out := map[int64]string{}
	for _, e := range found.Items {
		for _, f := range e.Errors {
			out[e.Row] += f.Code + " "
		}
	}
	if len(found.Items) != found.TotalCount {
		out[0] = fmt.Sprint(found.TotalCount, " in all ")
	}
	return out
}

func TestImportInTheWrongEncoding(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := append([]byte("external_id,name\nE-1,"), gbk(t, "李明")...)
	file = append(file, "\nE-2,Anna\n"...)
	done := ended(t, admin, started(upload(t, admin, file, "encoding", "utf-8")).ID)
	require.Equal(t, counts{Created: 1, Failed: 1}, done.Counts)
	require.Equal(t, map[int64]string{2: "imports.text_unreadable "}, faults(admin, done.ID))
	// Read rightly, only the row that failed is new.
	again := ended(t, admin, started(upload(t, admin, file, "repeat", "true")).ID)
	require.Equal(t, "gb18030", *again.Encoding)
	require.Equal(t, counts{Created: 1, Skipped: 1}, again.Counts)
}

func TestImportOfFormulas(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := "external_id,name,address,phone\n" +
		"F-1,\"=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",,\n" +
		"=1+1,李,,\n" +
		"F-3,王,=cmd|' /C calc'!A0,\n" +
		"F-4,'=A1,'+1 路,\"=\"\"13800000004\"\"\"\n" // texts, as our own files write them
	done := ended(t, admin, started(upload(t, admin, []byte(file))).ID)
	require.Equal(t, counts{Created: 1, Failed: 3}, done.Counts)
	require.Equal(t, map[int64]string{2: "imports.formula ", 3: "imports.formula ", 4: "imports.formula "}, faults(admin, done.ID))
	var found struct{ Items []struct{ ID string } }
	admin.Do("POST", "/v1/customers/search", map[string]any{"external_id": "F-4"}).Want(200).JSON(&found)
	require.Len(t, found.Items, 1)
	clear := admin.Do("POST", "/v1/customers/"+found.Items[0].ID+"/reveal", map[string]any{"fields": []string{"name", "phone", "address"}, "reason": "check"}).Want(200).Map()
	require.Equal(t, "=A1", clear["name"])
	require.Equal(t, "+8613800000004", clear["phone"])
	require.Equal(t, map[string]any{"line1": "+1 路"}, clear["address"])
	// The file of errors shows what came, and calculates nothing.
	text := string(admin.Do("GET", "/v1/imports/"+done.ID+"/errors?format=csv", nil).Want(200).Body)
	require.Contains(t, text, "'=1+1,李")
	require.NotContains(t, text, ",=")
}

func TestImportOfColumnsOfAnotherKind(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := []byte("姓名,手机,性别\n13800000001,李明,女\n13800000002,王芳,女\n13800000003,张伟,男\n")
	upload(t, admin, file).WantProblem(422, "imports.mapping_needed")
	tried := started(upload(t, admin, file, "dry_run", "true"))
	for _, c := range tried.Columns {
		require.Equal(t, c.Header != "性别", c.Ambiguous, c.Header)
	}
	// Said to be so, each row fails by itself.
	wrong := ended(t, admin, started(upload(t, admin, file, "mapping", `[{"column":1,"field":"name"},{"column":2,"field":"phone"},{"column":3,"field":"birth_date"}]`)).ID)
	require.Equal(t, counts{Failed: 3}, wrong.Counts)
	require.Equal(t, "imports.date_invalid ", faults(admin, wrong.ID)[2][:len("imports.date_invalid ")])
	right := ended(t, admin, started(upload(t, admin, file, "mapping", `[{"column":1,"field":"phone"},{"column":2,"field":"name"},{"column":3,"field":"gender"}]`)).ID)
	require.Equal(t, counts{Created: 3}, right.Counts)
}

// archive packs parts; a part that begins with "lie:" says that it is empty.
func archive(t testing.TB, parts map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, content := range parts {
		honest := strings.TrimPrefix(name, "lie:")
		if honest == name {
			w, err := z.Create(name)
			require.NoError(t, err)
			_, err = io.WriteString(w, content)
			require.NoError(t, err)
			continue
		}
		var packed bytes.Buffer
		f, err := flate.NewWriter(&packed, flate.BestSpeed)
		require.NoError(t, err)
		_, err = io.WriteString(f, content)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		w, err := z.CreateRaw(&zip.FileHeader{Name: honest, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte(content)),
			CompressedSize64: uint64(packed.Len()), UncompressedSize64: 10})
		require.NoError(t, err)
		_, err = w.Write(packed.Bytes())
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

func sheetParts(sheet string) map[string]string {
	return map[string]string{
		"[Content_Types].xml":        `<Types/>`,
		"xl/workbook.xml":            `<workbook xmlns:r="r"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml":   sheet,
	}
}

const head = `<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c></row>`

func TestImportOfBombs(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	upload(t, admin, archive(t, sheetParts(head+strings.Repeat(" ", 64<<20)))).WantProblem(422, "imports.archive_bomb")
	strings64 := sheetParts(head + `</sheetData></worksheet>`)
	strings64["xl/sharedStrings.xml"] = "<sst>" + strings.Repeat("<si><t/></si>", 5<<20)
	upload(t, admin, archive(t, strings64)).WantProblem(422, "imports.archive_bomb")
	many := sheetParts(head)
	for n := range 2100 {
		many[fmt.Sprint("x/", n)] = ""
	}
	upload(t, admin, archive(t, many)).WantProblem(422, "imports.archive_bomb")
	// An entry that unpacks to more than it says ends where it said.
	lying := sheetParts("")
	delete(lying, "xl/worksheets/sheet1.xml")
	lying["lie:xl/worksheets/sheet1.xml"] = head + strings.Repeat(`<row><c t="inlineStr"><is><t>李</t></is></c></row>`, 1<<20)
	upload(t, admin, archive(t, lying)).WantProblem(422, "imports.file_damaged")
	// Entities are not expanded.
	laughs := sheetParts(`<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><worksheet><sheetData><row r="1"><c t="inlineStr"><is><t>&b;</t></is></c></row></sheetData></worksheet>`)
	upload(t, admin, archive(t, laughs)).WantProblem(422, "imports.file_damaged")
	// A cell longer than Excel can make.
	long := sheetParts(head + `<row r="2"><c t="inlineStr"><is><t>` + strings.Repeat("王", 50_000) + `</t></is></c></row></sheetData></worksheet>`)
	upload(t, admin, archive(t, long)).WantProblem(422, "imports.cell_too_long")
	long["xl/worksheets/sheet1.xml"] = head + `<row r="2"><c t="inlineStr"><is><t>` + strings.Repeat("王", 32_767) + `</t></is></c></row></sheetData></worksheet>`
	done := ended(t, admin, started(upload(t, admin, archive(t, long))).ID)
	require.Equal(t, counts{Failed: 1}, done.Counts, "as long as Excel has them, a cell is read: it is the name that is too long")
}

func TestImportOfTooMuch(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	upload(t, admin, append([]byte("name\n"), bytes.Repeat([]byte("x\n"), 5_000_300)...)).WantProblem(422, "imports.too_many_rows")
	upload(t, admin, []byte(strings.Repeat("a,", 600)+"\n1\n")).WantProblem(422, "imports.too_many_columns")
	upload(t, admin, []byte("name\n"+strings.Repeat("x", 2<<20)+"\n")).WantProblem(422, "imports.quote_unclosed")

	// Refused by what it says of its length, before a byte of the file is read.
	req, err := http.NewRequest(http.MethodPost, app.URL+"/v1/imports", io.LimitReader(zeros{}, 513<<20))
	require.NoError(t, err)
	req.ContentLength = 513 << 20
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Authorization", "Bearer "+app.SignIn(testkit.AdminUsername, testkit.AdminPassword).Token)
	res, err := (&http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}).Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// An upload that breaks off leaves nothing behind.
func TestImportThatBreaksOff(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("kind", "customers"))
	file, err := form.CreateFormFile("file", "a.csv")
	require.NoError(t, err)
	_, err = file.Write([]byte("name\nx\n"))
	require.NoError(t, err)
	admin.Do("POST", "/v1/imports", &body, "Content-Type", form.FormDataContentType()).WantProblem(400, "request.malformed")
	var kept int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM imports").Scan(&kept))
	require.Zero(t, kept)
	require.Empty(t, stored(t, app))
}

// A file is taken over once, whoever sends it again, and sent again on purpose
// it finds its customers.
func TestImportOfTheSameFile(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	file := []byte("external_id,name\nR-1,李\n,只有名字\n")
	tried := ended(t, admin, started(upload(t, admin, file, "dry_run", "true")).ID)
	other := ended(t, admin, started(upload(t, admin, file, "dry_run", "true")).ID)
	admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil).Want(202)
	require.Equal(t, counts{Created: 2}, ended(t, admin, tried.ID).Counts)
	admin.Do("POST", "/v1/imports/"+other.ID+"/start", nil).WantProblem(409, "imports.file_repeated")
	upload(t, admin, file).WantProblem(409, "imports.file_repeated")
	colleague := app.Client("assistant", testkit.Own())
	upload(t, colleague, file).WantProblem(409, "imports.file_repeated")
	admin.Do("POST", "/v1/imports/"+other.ID+"/start", map[string]any{"repeat": true}).Want(202)
	require.Equal(t, counts{Created: 1, Skipped: 1}, ended(t, admin, other.ID).Counts, "the row without an identifier is somebody new")
	third := ended(t, admin, started(upload(t, admin, file, "repeat", "true", "duplicates", "update")).ID)
	require.Equal(t, counts{Created: 1, Updated: 1}, third.Counts)
}

// Cancelled between two batches and gone on with, a file is as if it had never
// been stopped.
func TestImportCancelledInTheMiddle(t *testing.T) {
	const rows = 30_000
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	var file strings.Builder
	file.WriteString("姓名,外部编号\n")
	for n := range rows {
		fmt.Fprintf(&file, "客人%d,", n)
		if n%2 == 0 {
			fmt.Fprintf(&file, "C-%d", n)
		}
		file.WriteString("\n")
	}
	run := started(upload(t, admin, []byte(file.String())))
	var view importView
	require.Eventually(t, func() bool {
		admin.Do("GET", "/v1/imports/"+run.ID, nil).Want(200).JSON(&view)
		return view.Counts.Created > 0
	}, 30*time.Second, 5*time.Millisecond)
	admin.Do("POST", "/v1/jobs/"+run.JobID+"/cancel", nil).Want(200)
	half := ended(t, admin, run.ID)
	require.Equal(t, "cancelled", half.Status)
	require.Less(t, half.Counts.Created, int64(rows))
	require.Positive(t, half.Counts.Created)
	require.Zero(t, half.Counts.Created%1000, "whole batches")
	admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil).Want(202)
	done := ended(t, admin, run.ID)
	require.Equal(t, counts{Created: rows}, done.Counts)
	var customers, named int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*), count(DISTINCT external_id) FROM customers").Scan(&customers, &named))
	require.Equal(t, []int{rows, rows / 2}, []int{customers, named})
}

// Workbooks whose parts are in GBK, days counted from 1904, rich text, a cell
// without place, a sheet of another name.
func TestImportOfOddWorkbooks(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	sheet, err := simplifiedchinese.GBK.NewEncoder().String(`<?xml version="1.0" encoding="GBK"?><worksheet><sheetData>` +
		`<row r="1"><c t="inlineStr"><is><t>姓名</t></is></c><c t="inlineStr"><is><t>手机</t></is></c><c t="inlineStr"><is><t>生日</t></is></c></row>` +
		`<row r="3"><c t="inlineStr"><is><r><t>李</t></r><r><t>小明</t></r><rPh><t>りー</t></rPh></is></c><c><v>1.3800000001E10</v></c><c r="C3"><v>31532</v></c></row>` +
		`</sheetData></worksheet>`)
	require.NoError(t, err)
	parts := sheetParts(sheet)
	parts["xl/workbook.xml"] = strings.Replace(parts["xl/workbook.xml"], "<sheets>", `<workbookPr date1904="1"/><sheets>`, 1)
	run := started(upload(t, admin, archive(t, parts)))
	require.Equal(t, counts{Created: 1}, ended(t, admin, run.ID).Counts)
	var found struct {
		Items []struct {
			ID        string
			BirthDate string `json:"birth_date"`
		}
	}
	admin.Do("POST", "/v1/customers/search", map[string]any{"phone": "13800000001"}).Want(200).JSON(&found)
	require.Len(t, found.Items, 1)
	require.Equal(t, "1990-05-01", found.Items[0].BirthDate)
	clear := admin.Do("POST", "/v1/customers/"+found.Items[0].ID+"/reveal", map[string]any{"fields": []string{"name"}, "reason": "check"}).Want(200).Map()
	require.Equal(t, "李小明", clear["name"])
}

// What the well-known library reads of its own workbooks, we read too.
func TestOurReaderAgreesWithTheLibrary(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	names := []string{"李 明", "  王芳  ", "O'Neill & <Söhne>", "张\u3000伟", "ｗｉｄｅ", "😀 emoji", "tab\tin", "line\nbreak"}
	table := [][]any{{"external_id", "name"}}
	for n, name := range names {
		table = append(table, []any{fmt.Sprint("L-", n), name})
	}
	content := book(t, "S", table, nil)
	f, err := excelize.OpenReader(bytes.NewReader(content))
	require.NoError(t, err)
	rows, err := f.GetRows("S")
	require.NoError(t, err)
	done := ended(t, admin, started(upload(t, admin, content)).ID)
	require.Len(t, rows, len(names)+1)
	refused := faults(admin, done.ID)
	for n, row := range rows[1:] {
		var found struct{ Items []struct{ ID string } }
		admin.Do("POST", "/v1/customers/search", map[string]any{"external_id": row[0]}).Want(200).JSON(&found)
		if refused[int64(n+2)] != "" {
			require.True(t, strings.ContainsAny(row[1], "\t\n"), "%q is refused: %s", row[1], refused[int64(n+2)])
			continue
		}
		require.Len(t, found.Items, 1, row[0])
		clear := admin.Do("POST", "/v1/customers/"+found.Items[0].ID+"/reveal", map[string]any{"fields": []string{"name"}, "reason": "check"}).Want(200).Map()
		require.Equal(t, strings.Join(strings.Fields(norm.NFKC.String(row[1])), " "), strings.Join(strings.Fields(clear["name"].(string)), " "))
	}
}
