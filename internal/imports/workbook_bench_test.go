package imports

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
)

// peak is the highest heap seen while f runs, over what was in use before.
func peak(b *testing.B, f func()) float64 {
	b.Helper()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapInuse, m.HeapInuse
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
	}()
	f()
	close(done)
	<-watched
	return float64(most-before) / 1e6
}

// BenchmarkWorkbooks compares with the well-known library: docs/adr/0004-workbooks.md.
func BenchmarkWorkbooks(b *testing.B) {
	const rows, columns = 200_000, 8
	heads := make([]heading, columns)
	for i := range heads {
		heads[i] = heading{"k", fmt.Sprint("列", i)}
	}
	values := func(n int) []any {
		out := make([]any, columns)
		for i := range out {
			out[i] = fmt.Sprintf("客户 %d 的第 %d 列", n, i)
		}
		return out
	}
	var content bytes.Buffer
	ours := newBook(&content, "客户", time.Now())
	require.NoError(b, ours.head(heads))
	for n := range rows {
		require.NoError(b, ours.row(values(n)))
	}
	require.NoError(b, ours.close())
	measure := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(peak(b, f), "MB-heap")
			}
			b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
	measure("read/ours", func() {
		w, err := openWorkbook(bytes.NewReader(content.Bytes()), int64(content.Len()))
		require.NoError(b, err)
		sheet, err := w.sheet("")
		require.NoError(b, err)
		r, err := w.rows(sheet)
		require.NoError(b, err)
		n := 0
		for ; err == nil; n++ {
			_, err = r.next()
		}
		require.ErrorIs(b, err, io.EOF)
		require.Equal(b, rows+2, n)
	})
	measure("read/excelize", func() {
		f, err := excelize.OpenReader(bytes.NewReader(content.Bytes()), excelize.Options{RawCellValue: true})
		require.NoError(b, err)
		r, err := f.Rows("客户")
		require.NoError(b, err)
		n := 0
		for ; r.Next(); n++ {
			_, err := r.Columns()
			require.NoError(b, err)
		}
		require.Equal(b, rows+1, n)
		require.NoError(b, r.Close())
		require.NoError(b, f.Close())
	})
	measure("write/ours", func() {
		w := newBook(io.Discard, "客户", time.Now())
		require.NoError(b, w.head(heads))
		for n := range rows {
			require.NoError(b, w.row(values(n)))
		}
		require.NoError(b, w.close())
	})
	measure("write/excelize", func() {
		f := excelize.NewFile()
		w, err := f.NewStreamWriter("Sheet1")
		require.NoError(b, err)
		for n := range rows {
			require.NoError(b, w.SetRow(fmt.Sprint("A", n+1), values(n)))
		}
		require.NoError(b, w.Flush())
		_, err = f.WriteTo(io.Discard)
		require.NoError(b, err)
		require.NoError(b, f.Close())
	})
}
