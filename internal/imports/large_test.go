package imports

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// generated is a file that exists only while it is read.
type generated struct {
	n    int
	left []byte
	line func(n int) string // empty at the end
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.left) < len(p) {
		text := g.line(g.n)
		if text == "" {
			break
		}
		g.left = append(g.left, text...)
		g.n++
	}
	if len(g.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.left)
	g.left = append(g.left[:0], g.left[n:]...)
	return n, nil
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Two million rows are read in the memory that a few of them take, from a CSV
// file and from a workbook with one sheet of that length; each comes once.
func TestTwoMillionRowsInConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a hundred megabytes")
	}
	const many = 2_000_000
	read := func(t *testing.T, source rows, first int64) {
		before, most, last := heap(), uint64(0), first-1
		for n := 0; ; n++ {
			r, err := source.next()
			if errors.Is(err, io.EOF) {
				require.Equal(t, many+1, n)
				break
			}
			require.NoError(t, err)
			require.Equal(t, last+1, r.number)
			last = r.number
			if n > 0 && n%500_000 == 0 {
				require.Equal(t, fmt.Sprint("客人", n), r.cells[1])
				most = max(most, heap())
			}
		}
		require.Less(t, most, before+16<<20)
	}
	t.Run("csv", func(t *testing.T) {
		file := &generated{line: func(n int) string {
			if n > many {
				return ""
			}
			return fmt.Sprintf("%d,客人%d,1380000%04d\n", n, n, n%10_000)
		}}
		read(t, newCSVRows(file, encodingUTF8, ','), 1)
	})
	t.Run("xlsx", func(t *testing.T) {
		var file bytes.Buffer
		out := newBook(&file, "S", time.Now())
		out.most = many + 1
		require.NoError(t, out.head([]heading{{"a", "0"}, {"b", "客人0"}}))
		for n := 1; n <= many; n++ {
			require.NoError(t, out.row([]any{int64(n), fmt.Sprint("客人", n)}))
		}
		require.NoError(t, out.close())
		book, err := openWorkbook(bytes.NewReader(file.Bytes()), int64(file.Len()))
		require.NoError(t, err)
		sheet, err := book.sheet("")
		require.NoError(t, err)
		source, err := book.rows(sheet)
		require.NoError(t, err)
		defer source.close()
		read(t, source, 1)
	})
}
