package imports

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf8"
)

// jsonRows reads a file with a JSON value a line; each is a row of one cell.
type jsonRows struct {
	in   *bufio.Reader
	last int64
}

func newJSONRows(r io.Reader) *jsonRows { return &jsonRows{in: bufio.NewReaderSize(r, maxRecord)} }

func (j *jsonRows) next() (row, error) {
	line, err := j.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return row{}, ErrLineLong.New().Arg("row", j.last+1)
	case errors.Is(err, io.EOF) && len(line) == 0:
		return row{}, io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return row{}, err
	}
	j.last++
	out := row{number: j.last, cells: []string{string(line)}}
	if !utf8.Valid(line) {
		out.fault(wholeRow, ErrText)
	}
	return out, nil
}
