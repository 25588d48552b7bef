package imports

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// table is a file being written: its header, row by row, its end. It does not
// close what it writes to.
type table interface {
	head(columns []heading) error
	row(values []any) error
	close() error
}

func newTable(format string, w io.Writer, title string, now time.Time) table {
	switch format {
	case "xlsx":
		return newBook(w, title, now)
	case "jsonl":
		return &lines{w: w}
	}
	return &csvTable{w: newCSVWriter(w)}
}

func itoa(n int) string { return strconv.Itoa(n) }

// plain is a value as people read it, and whether it is a number by nature,
// which no spreadsheet takes for a formula.
func plain(v any) (shown string, number bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, false
	case calendarDay:
		return string(v), false
	case moment:
		return v.at.In(v.zone).Format(time.DateTime), false
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case money:
		return v.String(), true
	case []string:
		return strings.Join(v, ";"), false
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "", false
	}
	return string(raw), false
}

func (m money) String() string {
	digits, sign := strconv.FormatUint(uint64(max(m.amount, -m.amount)), 10), ""
	if m.amount < 0 {
		sign = "-"
	}
	if m.decimals == 0 {
		return sign + digits
	}
	if missing := m.decimals + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	cut := len(digits) - m.decimals
	return sign + digits[:cut] + "." + digits[cut:]
}

// csvTable writes CSV as RFC 4180 has it, with a byte order mark.
type csvTable struct {
	w     *csvWriter
	cells []string
}

func (t *csvTable) head(columns []heading) error {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = c.shown
	}
	return t.w.row(cells)
}

func (t *csvTable) row(values []any) error {
	t.cells = t.cells[:0]
	for _, v := range values {
		shown, number := plain(v)
		if !number {
			shown = harmless(shown)
		}
		t.cells = append(t.cells, shown)
	}
	return t.w.w.Write(t.cells)
}

func (t *csvTable) close() error { return t.w.flush() }

// lines writes one JSON object a line, for programs: instants in UTC, amounts in
// the minor unit, columns by their keys.
type lines struct {
	w    io.Writer
	keys [][]byte
	buf  bytes.Buffer
}

func (t *lines) head(columns []heading) error {
	for i, c := range columns {
		key := `,"` + c.key + `":`
		if i == 0 {
			key = `{"` + c.key + `":`
		}
		t.keys = append(t.keys, []byte(key))
	}
	return nil
}

func (t *lines) row(values []any) error {
	t.buf.Reset()
	for i, v := range values {
		t.buf.Write(t.keys[i])
		switch one := v.(type) {
		case moment:
			v = one.at.UTC().Format(time.RFC3339Nano)
		case money:
			v = one.amount
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		t.buf.Write(raw)
	}
	t.buf.WriteString("}\n")
	_, err := t.w.Write(t.buf.Bytes())
	return err
}

func (t *lines) close() error { return nil }

// book writes a workbook as a stream: nothing is kept but the present row, and
// nothing goes to a temporary file, where personal data would lie in clear
// (docs/adr/0004-workbooks.md). Every text is a text cell, which is never
// calculated; one that begins like a formula is marked as quoted, so that it
// stays a text when somebody edits it.
type book struct {
	zip    *zip.Writer
	title  string
	now    time.Time
	sheet  *bufio.Writer
	sheets int
	rows   int // of the present sheet
	most   int // rows of a sheet
	heads  []heading
	names  []string // of columns: A, B, …
	buf    []byte
}

const sheetRowLimit = 1_048_576 // of Excel

func newBook(w io.Writer, title string, now time.Time) *book {
	z := zip.NewWriter(w)
	// Half the time of the default level for a tenth more bytes.
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	return &book{zip: z, title: title, now: now, most: sheetRowLimit}
}

func (b *book) part(name string) (io.Writer, error) {
	return b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.now})
}

func (b *book) head(columns []heading) error {
	b.heads = columns
	for i := range columns {
		b.names = append(b.names, columnName(i))
	}
	return b.nextSheet()
}

// columnName is A, B, … Z, AA, … from 0.
func columnName(n int) string {
	name := ""
	for n++; n > 0; n = (n - 1) / 26 {
		name = string(rune('A'+(n-1)%26)) + name
	}
	return name
}

func (b *book) nextSheet() error {
	if err := b.endSheet(); err != nil {
		return err
	}
	b.sheets++
	w, err := b.part("xl/worksheets/sheet" + itoa(b.sheets) + ".xml")
	if err != nil {
		return err
	}
	b.sheet, b.rows = bufio.NewWriterSize(w, 64<<10), 0
	b.buf = append(b.buf[:0], xml.Header+`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>`...)
	if _, err := b.sheet.Write(b.buf); err != nil {
		return err
	}
	shown := make([]any, len(b.heads))
	for i, h := range b.heads {
		shown[i] = h.shown
	}
	return b.write(shown, styleHead)
}

func (b *book) endSheet() error {
	if b.sheet == nil {
		return nil
	}
	if _, err := b.sheet.WriteString("</sheetData></worksheet>"); err != nil {
		return err
	}
	return b.sheet.Flush()
}

// Styles of cells, by their place in styles.xml.
const (
	styleText   = "1"
	styleQuoted = "2"
	styleHead   = "3"
)

func (b *book) row(values []any) error {
	if b.rows >= b.most {
		if err := b.nextSheet(); err != nil {
			return err
		}
	}
	return b.write(values, styleText)
}

func (b *book) write(values []any, style string) error {
	b.rows++
	number := itoa(b.rows)
	b.buf = append(append(append(b.buf[:0], `<row r="`...), number...), `">`...)
	for i, v := range values {
		shown, isNumber := plain(v)
		if shown == "" {
			continue
		}
		b.buf = append(append(append(append(b.buf, `<c r="`...), b.names[i]...), number...), '"')
		if isNumber {
			b.buf = append(append(append(b.buf, "><v>"...), shown...), "</v></c>"...)
			continue
		}
		s := style
		if style == styleText && harmless(shown) != shown {
			s = styleQuoted
		}
		b.buf = append(append(append(b.buf, ` t="inlineStr" s="`...), s...), `"><is><t xml:space="preserve">`...)
		b.buf = appendXML(b.buf, clipCell(shown))
		b.buf = append(b.buf, "</t></is></c>"...)
	}
	b.buf = append(b.buf, "</row>"...)
	_, err := b.sheet.Write(b.buf)
	return err
}

// clipCell keeps a text within what a cell may hold, in UTF-16 units.
func clipCell(v string) string {
	if len(v) <= maxCell {
		return v
	}
	units := 0
	for i, r := range v {
		if units++; r > 0xffff {
			units++
		}
		if units > maxCell {
			return v[:i]
		}
	}
	return v
}

// appendXML escapes a text; characters that XML cannot hold become U+FFFD.
func appendXML(to []byte, v string) []byte {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c < 0x20 || c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' || c >= 0x80 {
			buf := bytes.NewBuffer(to)
			_ = xml.EscapeText(buf, []byte(v)) // a buffer takes everything
			return buf.Bytes()
		}
	}
	return append(to, v...)
}

func (b *book) close() error {
	if err := b.endSheet(); err != nil {
		return err
	}
	for _, p := range b.parts() {
		w, err := b.part(p[0])
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, xml.Header+p[1]); err != nil {
			return err
		}
	}
	return b.zip.Close()
}

// parts are the parts of a workbook beside its sheets.
func (b *book) parts() [][2]string {
	const (
		types     = "http://schemas.openxmlformats.org/package/2006/content-types"
		relations = "http://schemas.openxmlformats.org/package/2006/relationships"
		office    = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
		main      = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
		media     = "application/vnd.openxmlformats-officedocument.spreadsheetml."
	)
	var overrides, sheets, links strings.Builder
	for n := 1; n <= b.sheets; n++ {
		name := b.title
		if n > 1 {
			name += " " + itoa(n)
		}
		fmt.Fprintf(&overrides, `<Override PartName="/xl/worksheets/sheet%d.xml" ContentType="%sworksheet+xml"/>`, n, media)
		fmt.Fprintf(&sheets, `<sheet name="%s" sheetId="%d" r:id="rId%d"/>`, appendXML(nil, name), n, n)
		fmt.Fprintf(&links, `<Relationship Id="rId%d" Type="%s/worksheet" Target="worksheets/sheet%d.xml"/>`, n, office, n)
	}
	return [][2]string{
		{"[Content_Types].xml", `<Types xmlns="` + types + `"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="` + media + `sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="` + media + `styles+xml"/>` + overrides.String() + `</Types>`},
		{"_rels/.rels", `<Relationships xmlns="` + relations + `"><Relationship Id="rId1" Type="` + office + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`},
		{"xl/workbook.xml", `<workbook xmlns="` + main + `" xmlns:r="` + office + `"><sheets>` + sheets.String() + `</sheets></workbook>`},
		{"xl/_rels/workbook.xml.rels", `<Relationships xmlns="` + relations + `">` + links.String() + `<Relationship Id="rIdStyles" Type="` + office + `/styles" Target="styles.xml"/></Relationships>`},
		{"xl/styles.xml", `<styleSheet xmlns="` + main + `"><fonts count="2"><font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="4"><xf xfId="0"/><xf xfId="0" numFmtId="49" applyNumberFormat="1"/><xf xfId="0" numFmtId="49" applyNumberFormat="1" quotePrefix="1"/><xf xfId="0" fontId="1" applyFont="1" numFmtId="49" applyNumberFormat="1"/></cellXfs></styleSheet>`},
	}
}
