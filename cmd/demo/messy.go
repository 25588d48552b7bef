package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// importMessy writes demo-customers.csv and demo-customers.xlsx, both in GBK,
// tries the workbook, imports it, and writes the refused rows beside them. Some
// people are in the workbook twice; who they are is found, merged and undone.
func importMessy(ctx context.Context, base, key, zone, dir, program string) error {
	if key == "" {
		return errors.New("set SHUKE_API_KEY, for example to the output of: bin/shuke admin api-key --name demo")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	history, err := readHistory(time.Now(), loc)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	people := identities(history)
	rows, planted := plant(messyRows(people), people)
	gbk := encoding.HTMLEscapeUnsupported(simplifiedchinese.GBK.NewEncoder())
	text, err := gbk.String(messyCSV(rows))
	if err != nil {
		return err
	}
	book, err := messyBook(rows, gbk)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"demo-customers.csv": []byte(text), "demo-customers.xlsx": book} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	fmt.Printf("  %d rows in %s and .csv, both GBK\n", len(rows), filepath.Join(dir, "demo-customers.xlsx"))

	a := &api{base: base, key: key, http: &http.Client{Timeout: 2 * time.Minute}}
	run, err := a.upload(ctx, "demo-customers.xlsx", book, map[string]string{"kind": "customers", "dry_run": "true"})
	if err != nil {
		return err
	}
	for _, c := range run.Columns {
		fmt.Printf("  column %2d %-10s → %s %v\n", c.Column, c.Header, or(c.Field, "not taken over"), c.Samples)
	}
	if run, err = a.ended(ctx, run.ID); err != nil {
		return err
	}
	fmt.Printf("  dry run:  %s\n", run.Counts)
	if err := a.call(ctx, "POST", "/v1/imports/"+run.ID+"/start", "", map[string]any{"repeat": true}, nil); err != nil {
		return err
	}
	if run, err = a.ended(ctx, run.ID); err != nil {
		return err
	}
	fmt.Printf("  import:   %s\n", run.Counts)
	refused := filepath.Join(dir, "demo-customers-refused.csv")
	if err := a.fetch(ctx, "/v1/imports/"+run.ID+"/errors?format=csv", refused); err != nil {
		return err
	}
	fmt.Printf("  refused rows with their reasons are in %s; correct them there and import that file\n", refused)
	return a.twice(ctx, planted, program)
}

func or(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}

var messyHead = []string{"会员编号", "客户姓名", "手机号码（必填）", "性别", "出生日期", "E-mail", "省份", "城市", "区县", "详细地址", "备注", "备注", "标签"}

// messyRows spells the customers as many hands would; about one in ten has a
// value that cannot be taken over.
func messyRows(people []identity) (rows [][]string) {
	for n, p := range people {
		phone := strings.TrimPrefix(p.Phone, "+86")
		row := []string{externalID(p.id), p.Name, phone, "女", p.BirthDate.Format(time.DateOnly), p.Email, p.Address.Region, p.Address.City, p.Address.District, p.Address.Line1, "", "老系统导出", ""}
		if string(p.Gender) == "male" {
			row[3] = "先生"
		}
		switch n % 7 {
		case 0:
			row[2] = phone[:3] + " " + phone[3:7] + " " + phone[7:]
		case 1:
			row[2], row[4] = "+86-"+phone, p.BirthDate.Format("2006年1月2日")
		case 2:
			row[2], row[1] = wide(phone), "　"+p.Name+" "
		case 3:
			row[4], row[12] = p.BirthDate.Format("2006/01/02"), "VIP；老客"
		case 4:
			row[3], row[4] = "保密", ""
		}
		switch n % 60 {
		case 5:
			row[2] = phone[:8] // cut short
		case 13:
			row[4] = "03/04/1990" // which is the day?
		case 21:
			row[3] = "不知道"
		case 29:
			row[2] = "1.38E+10" // a spreadsheet was here
		case 37:
			row[4] = "1990-02-30"
		case 45:
			row[2] = strings.TrimPrefix(people[n-1].Phone, "+86") // somebody else's
		case 53:
			row[5] = "无"
		}
		rows = append(rows, row)
		if n%50 == 49 {
			rows = append(rows, make([]string, len(row)), row) // a blank line, and the row once more
		}
	}
	return rows
}

// wide writes digits as an input method for Chinese does.
func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r + 0xfee0
		}
		return r
	}, s)
}

func messyCSV(rows [][]string) string {
	var out strings.Builder
	write := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				out.WriteByte(',')
			}
			if strings.ContainsAny(c, "\",\n") {
				c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
			}
			out.WriteString(c)
		}
		out.WriteString("\r\n")
	}
	write(messyHead)
	for i, r := range rows {
		if i%100 == 99 {
			r = r[:6] // torn off
		}
		write(r)
	}
	return out.String()
}

// messyBook is a workbook as programs write it that fill in parts themselves:
// the sheet in GBK, numbers as numbers, one formula without a value.
func messyBook(rows [][]string, gbk *encoding.Encoder) ([]byte, error) {
	var sheet strings.Builder
	sheet.WriteString(`<?xml version="1.0" encoding="GBK"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>`)
	for i, r := range append([][]string{messyHead}, rows...) {
		fmt.Fprintf(&sheet, `<row r="%d">`, i+2) // the first line is empty
		for n, c := range r {
			at := string(rune('A'+n)) + strconv.Itoa(i+2)
			_, notNumber := strconv.ParseUint(c, 10, 64)
			switch {
			case i == 77 && n == 9:
				fmt.Fprintf(&sheet, `<c r="%s"><f>A1</f></c>`, at)
			case c == "":
			case notNumber == nil:
				fmt.Fprintf(&sheet, `<c r="%s"><v>%s</v></c>`, at, c)
			default:
				fmt.Fprintf(&sheet, `<c r="%s" t="inlineStr"><is><t xml:space="preserve">`, at)
				if err := xml.EscapeText(&sheet, []byte(c)); err != nil {
					return nil, err
				}
				sheet.WriteString(`</t></is></c>`)
			}
		}
		sheet.WriteString(`</row>`)
	}
	sheet.WriteString(`</sheetData></worksheet>`)
	encoded, err := gbk.String(sheet.String())
	if err != nil {
		return nil, err
	}
	const office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, part := range [][2]string{
		{"[Content_Types].xml", `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>`},
		{"_rels/.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + office + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="` + office + `"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="` + office + `/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`},
		{"xl/worksheets/sheet1.xml", encoded},
	} {
		w, err := z.Create(part[0])
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, part[1]); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// importRun is what the service tells of an import.
type importRun struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Failure string `json:"error_code"`
	Columns []struct {
		Column  int      `json:"column"`
		Header  string   `json:"header"`
		Field   *string  `json:"suggested_field"`
		Samples []string `json:"samples"`
	} `json:"columns"`
	Counts importCounts `json:"counts"`
}

type importCounts struct{ Created, Updated, Skipped, Failed, Held int }

func (c importCounts) String() string {
	return fmt.Sprintf("%d created, %d updated, %d skipped, %d refused", c.Created, c.Updated, c.Skipped, c.Failed)
}

func (a *api) upload(ctx context.Context, name string, content []byte, fields map[string]string) (*importRun, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for k, v := range fields {
		if err := form.WriteField(k, v); err != nil {
			return nil, err
		}
	}
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(content); err != nil {
		return nil, err
	}
	if err := form.Close(); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/v1/imports", &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+a.key)
	res, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var started struct {
		problem
		Import importRun `json:"import"`
	}
	if err := json.NewDecoder(res.Body).Decode(&started); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusAccepted {
		return nil, &started.problem
	}
	return &started.Import, nil
}

// ended waits for the job of an import.
func (a *api) ended(ctx context.Context, id string) (*importRun, error) {
	for {
		var run importRun
		if err := a.call(ctx, "GET", "/v1/imports/"+id, "", nil, &run); err != nil {
			return nil, err
		}
		switch run.Status {
		case "checked", "succeeded":
			return &run, nil
		case "failed", "cancelled":
			return nil, fmt.Errorf("the import %s: %s", run.Status, run.Failure)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *api) fetch(ctx context.Context, path, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Accept-Language", "zh-CN")
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, res.Body)
	return errors.Join(err, f.Close())
}
