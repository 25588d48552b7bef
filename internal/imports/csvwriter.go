package imports

import (
	"encoding/csv"
	"io"
	"strings"
)

// csvWriter writes text that spreadsheets open rightly: with a byte order mark,
// CRLF, and no cell that would be taken for a formula.
type csvWriter struct {
	w     *csv.Writer
	raw   io.Writer
	begun bool
}

func newCSVWriter(w io.Writer) *csvWriter {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return &csvWriter{w: c, raw: w}
}

func (c *csvWriter) row(cells []string) error {
	if !c.begun {
		c.begun = true
		if _, err := io.WriteString(c.raw, "\ufeff"); err != nil {
			return err
		}
	}
	for i, v := range cells {
		cells[i] = harmless(v)
	}
	return c.w.Write(cells)
}

func (c *csvWriter) flush() error {
	c.w.Flush()
	return c.w.Error()
}

// harmless puts an apostrophe before what a spreadsheet would calculate;
// imports take it off again.
func harmless(v string) string {
	if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
		return "'" + v
	}
	return v
}
