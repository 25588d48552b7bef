package imports

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Bounds of what is read.
const (
	maxColumns = 500
	maxRows    = 5_000_000 // after the header
	maxRecord  = 1 << 20   // bytes of one row of a CSV file
)

// wholeRow is the place of a fault that belongs to no single cell.
const wholeRow = -1

// row is one row of a file, header and empty rows included. The cells are good
// until the next one is read.
type row struct {
	number int64 // as a spreadsheet or an editor counts, from 1
	cells  []string
	faults map[int]*apperr.Definition // of cells, by place
	ragged bool                       // its length says something: CSV
	record *catalog.Record            // of an ONIX message
}

func (r *row) empty() bool {
	for _, c := range r.cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return len(r.faults) == 0
}

// rows reads a file from its beginning; io.EOF after the last row.
type rows interface {
	next() (row, error)
}

// csvRows reads delimited text. A quotation mark that is never closed would
// take the rest of the file for one cell, so a row has a bounded length.
type csvRows struct {
	budget *budget
	reader *csv.Reader
	last   int64
}

type budget struct {
	r    io.Reader
	left int
}

var errBudget = errors.New("imports: a row is too long")

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBudget
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

func newCSVRows(r io.Reader, encoding string, delimiter byte) *csvRows {
	b := &budget{r: decoded(r, encoding), left: maxRecord}
	c := csv.NewReader(b)
	c.Comma = rune(delimiter)
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	return &csvRows{budget: b, reader: c}
}

func (c *csvRows) next() (row, error) {
	c.budget.left = maxRecord
	cells, err := c.reader.Read()
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return row{}, io.EOF
	case errors.Is(err, errBudget):
		return row{}, ErrQuote.New().Arg("row", c.last+1)
	case errors.As(err, &syntax):
		c.last = int64(syntax.StartLine)
		if errors.Is(err, csv.ErrQuote) && syntax.Line > syntax.StartLine {
			return row{}, ErrQuote.New().Arg("row", c.last) // it has taken the lines that follow
		}
		out := row{number: c.last, cells: cells}
		out.fault(wholeRow, ErrQuotes)
		return out, nil
	case err != nil:
		return row{}, err
	}
	line, _ := c.reader.FieldPos(0)
	c.last = int64(line)
	if len(cells) > maxColumns {
		return row{}, ErrColumns.New().Arg("max", maxColumns)
	}
	out := row{number: c.last, cells: cells, ragged: true}
	for i, cell := range cells {
		switch {
		case strings.ContainsRune(cell, '\uFFFD') || strings.ContainsRune(cell, 0):
			out.fault(i, ErrText)
		case len(cell) > 3 && strings.HasPrefix(cell, `="`) && strings.HasSuffix(cell, `"`):
			cells[i] = cell[2 : len(cell)-1] // how digits are kept from being taken for a number
		}
	}
	return out, nil
}

func (r *row) fault(column int, d *apperr.Definition) {
	if r.faults == nil {
		r.faults = map[int]*apperr.Definition{}
	}
	r.faults[column] = d
}
