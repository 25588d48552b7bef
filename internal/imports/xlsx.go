package imports

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Workbooks are read as a stream, straight from the sealed file: a library that
// unpacks sheets into memory or into temporary files would need memory by the
// size of the file, or write personal data to disk in clear.

// Bounds of a workbook. archive/zip refuses an entry that unpacks to more than
// it says, so what entries say is enough to judge by.
const (
	maxUnpacked = 4 << 30
	maxStrings  = 384 << 20 // shared strings are held in memory
	maxSmall    = 16 << 20  // any other part
	maxRatio    = 200
	ratioFrom   = 16 << 20 // below, a high ratio does no harm
	maxParts    = 2000
	maxCell     = 32767 // characters, as in Excel
)

type workbook struct {
	mac     bool // days count from 1904
	parts   map[string]*zip.File
	sheets  []sheetRef
	strings texts
}

type sheetRef struct{ name, part string }

// openWorkbook reads everything but the rows. Errors: ErrFormat, ErrBomb, ErrDamaged.
func openWorkbook(r io.ReaderAt, size int64) (*workbook, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, ErrFormat.Wrap(err)
	}
	if len(archive.File) > maxParts {
		return nil, ErrBomb.New().Arg("max", int64(maxUnpacked))
	}
	w := &workbook{parts: map[string]*zip.File{}}
	var total uint64
	for _, f := range archive.File {
		total += f.UncompressedSize64
		if f.UncompressedSize64 > maxUnpacked || total > maxUnpacked ||
			f.UncompressedSize64 > ratioFrom && f.UncompressedSize64/maxRatio > f.CompressedSize64 {
			return nil, ErrBomb.New().Arg("max", int64(maxUnpacked))
		}
		w.parts[strings.TrimPrefix(f.Name, "/")] = f
	}
	if err := w.readSheets(); err != nil {
		return nil, err
	}
	return w, w.readStrings()
}

func (w *workbook) parse(name string, limit uint64, to any) error {
	f := w.parts[name]
	if f == nil {
		return ErrFormat.New()
	}
	if f.UncompressedSize64 > limit {
		return ErrBomb.New().Arg("max", limit)
	}
	r, err := f.Open()
	if err != nil {
		return ErrFormat.Wrap(err)
	}
	defer r.Close()
	if err := decoder(r).Decode(to); err != nil {
		return ErrFormat.Wrap(err)
	}
	return nil
}

// decoder reads XML in any encoding it says it has: programs that fill in parts
// of a workbook themselves write GBK, too.
func decoder(r io.Reader) *xml.Decoder {
	d := xml.NewDecoder(r)
	d.CharsetReader = func(name string, in io.Reader) (io.Reader, error) {
		e, err := htmlindex.Get(name)
		if err != nil {
			return nil, err
		}
		return e.NewDecoder().Reader(in), nil
	}
	return d
}

func (w *workbook) readSheets() error {
	var book struct {
		Properties struct {
			Mac string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name string     `xml:"name,attr"`
			Attr []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	var links struct {
		Items []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if err := w.parse("xl/workbook.xml", maxSmall, &book); err != nil {
		return err
	}
	if err := w.parse("xl/_rels/workbook.xml.rels", maxSmall, &links); err != nil {
		return err
	}
	w.mac = book.Properties.Mac == "1" || book.Properties.Mac == "true"
	for _, s := range book.Sheets {
		for _, a := range s.Attr {
			for _, l := range links.Items {
				if a.Name.Local != "id" || a.Value != l.ID {
					continue
				}
				target := strings.TrimPrefix(l.Target, "/")
				if !strings.HasPrefix(l.Target, "/") {
					target = path.Join("xl", l.Target)
				}
				if w.parts[target] != nil {
					w.sheets = append(w.sheets, sheetRef{s.Name, target})
				}
			}
		}
	}
	if len(w.sheets) == 0 {
		return ErrFormat.New()
	}
	return nil
}

// texts are the shared strings, one after the other, so that a million of them
// are two allocations for the collector and not a million.
type texts struct {
	all  []byte
	ends []uint32
}

func (t *texts) at(i int) (string, bool) {
	if i < 0 || i >= len(t.ends) {
		return "", false
	}
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return string(t.all[from:t.ends[i]]), true
}

func (w *workbook) readStrings() error {
	f := w.parts["xl/sharedStrings.xml"]
	if f == nil {
		return nil
	}
	if f.UncompressedSize64 > maxStrings {
		return ErrBomb.New().Arg("max", int64(maxStrings))
	}
	r, err := f.Open()
	if err != nil {
		return ErrFormat.Wrap(err)
	}
	defer r.Close()
	d := decoder(bufio.NewReaderSize(r, 64<<10))
	inText, inPhonetic := false, 0
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return ErrFormat.Wrap(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "rPh": // how to pronounce it, not part of the text
				inPhonetic++
			case "t":
				inText = inPhonetic == 0
			}
		case xml.CharData:
			if inText {
				w.strings.all = append(w.strings.all, t...)
			}
		case xml.EndElement:
			switch t.Name.Local {
			case "rPh":
				inPhonetic--
			case "t":
				inText = false
			case "si":
				w.strings.ends = append(w.strings.ends, uint32(len(w.strings.all)))
			}
		}
	}
}

// sheet finds a sheet by name, the first one for an empty name.
func (w *workbook) sheet(name string) (sheetRef, error) {
	for _, s := range w.sheets {
		if name == "" || strings.EqualFold(s.name, name) {
			return s, nil
		}
	}
	return sheetRef{}, ErrSheet.At("/sheet")
}

// sheetRows reads the rows of a sheet.
type sheetRows struct {
	book   *workbook
	file   io.ReadCloser
	xml    *xml.Decoder
	number int64
	cells  []string
}

func (w *workbook) rows(s sheetRef) (*sheetRows, error) {
	r, err := w.parts[s.part].Open()
	if err != nil {
		return nil, ErrFormat.Wrap(err)
	}
	return &sheetRows{book: w, file: r, xml: decoder(bufio.NewReaderSize(r, 256<<10))}, nil
}

func attribute(e *xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (s *sheetRows) broken(err error) error {
	if e := apperr.From(err); e != nil {
		return e
	}
	return ErrDamaged.Wrap(err).Arg("row", s.number+1)
}

func (s *sheetRows) next() (row, error) {
	for {
		token, err := s.xml.RawToken()
		if errors.Is(err, io.EOF) {
			return row{}, io.EOF
		}
		if err != nil {
			return row{}, s.broken(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "row" {
			number := s.number + 1
			if n, err := strconv.ParseInt(attribute(&e, "r"), 10, 64); err == nil {
				if n < number {
					return row{}, s.broken(errors.New("rows out of order"))
				}
				number = n
			}
			s.number = number
			return s.row()
		}
	}
}

// row reads on to the end of a row.
func (s *sheetRows) row() (row, error) {
	out := row{number: s.number}
	s.cells = s.cells[:0]
	for {
		token, err := s.xml.RawToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return row{}, s.broken(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "c" {
				continue
			}
			column := len(s.cells)
			if at := columnOf(attribute(&t, "r")); at >= 0 {
				column = at
			}
			if column >= maxColumns {
				if err := s.skip(); err != nil {
					return row{}, s.broken(err)
				}
				continue
			}
			for len(s.cells) <= column {
				s.cells = append(s.cells, "")
			}
			text, fault, err := s.cell(attribute(&t, "t"))
			if err != nil {
				return row{}, s.broken(err)
			}
			s.cells[column] = text
			if fault != nil {
				out.fault(column, fault)
			}
		case xml.EndElement:
			if t.Name.Local == "row" {
				out.cells = s.cells
				return out, nil
			}
		}
	}
}

// skip reads on to the end of a cell.
func (s *sheetRows) skip() error {
	_, _, err := s.cell("")
	return err
}

// cell reads a cell to its end: its value as text, and what is wrong with it.
func (s *sheetRows) cell(kind string) (string, *apperr.Definition, error) {
	var text []byte
	formula, value, taking, phonetic := false, false, false, 0
	for {
		token, err := s.xml.RawToken()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "f":
				formula = true
			case "rPh":
				phonetic++
			case "v":
				value, taking = true, true
			case "t":
				value, taking = true, phonetic == 0
			}
		case xml.CharData:
			if taking {
				if len(text)+len(t) > 4*maxCell {
					return "", nil, ErrCellLong.New().Arg("row", s.number).Arg("max", maxCell)
				}
				text = append(text, t...)
			}
		case xml.EndElement:
			switch t.Name.Local {
			case "rPh":
				phonetic--
			case "v", "t":
				taking = false
			case "c":
				out, fault := s.value(kind, string(text))
				if formula && (!value || len(text) == 0) {
					fault = ErrFormula
				}
				return out, fault, nil
			}
		}
	}
}

func (s *sheetRows) value(kind, text string) (string, *apperr.Definition) {
	switch kind {
	case "s":
		n, err := strconv.Atoi(strings.TrimSpace(text))
		v, ok := s.book.strings.at(n)
		if err != nil || !ok {
			return "", ErrText
		}
		return v, nil
	case "e":
		return text, ErrCell
	case "b":
		if text == "1" {
			return "true", nil
		}
		return "false", nil
	case "", "n":
		return plainNumber(text), nil
	}
	return text, nil // str, inlineStr, d
}

// plainNumber writes whole numbers without exponent: 1.38E10 is a phone number.
func plainNumber(text string) string {
	if !strings.ContainsAny(text, "eE.") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != float64(int64(f)) || f > 1e15 || f < -1e15 {
		return text
	}
	return strconv.FormatInt(int64(f), 10)
}

// columnOf reads the column of a reference such as AB12, from 0; -1 for none.
func columnOf(ref string) int {
	n := 0
	for i := 0; i < len(ref); i++ {
		c := ref[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c < 'A' || c > 'Z' {
			break
		}
		if n = n*26 + int(c-'A') + 1; n > 1<<15 {
			return 1 << 15
		}
	}
	return n - 1
}

func (s *sheetRows) close() { _ = s.file.Close() }
