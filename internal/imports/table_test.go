package imports

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"
)

func TestBookGoesOnOnAnotherSheet(t *testing.T) {
	var out bytes.Buffer
	b := newBook(&out, "客户", time.Now())
	b.most = 3
	require.NoError(t, b.head([]heading{{"a", "甲"}, {"b", "乙"}}))
	for n := range 5 {
		require.NoError(t, b.row([]any{int64(n), strings.Repeat("😀", 20_000)}))
	}
	require.NoError(t, b.close())
	f, err := excelize.OpenReader(&out)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	require.Equal(t, []string{"客户", "客户 2", "客户 3"}, f.GetSheetList())
	for i, want := range []int{3, 3, 2} {
		rows, err := f.GetRows(f.GetSheetList()[i])
		require.NoError(t, err)
		require.Len(t, rows, want)
		require.Equal(t, []string{"甲", "乙"}, rows[0])
		require.Equal(t, strings.Repeat("😀", maxCell/2), rows[1][1], "a cell holds so much and no more")
	}
}

func TestColumnNames(t *testing.T) {
	for n, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA"} {
		require.Equal(t, want, columnName(n))
		require.Equal(t, n, columnOf(want+"7"))
	}
}

func TestMoneyIsWrittenWithItsDecimals(t *testing.T) {
	for want, m := range map[string]money{"0.00": {0, 2}, "0.05": {5, 2}, "-0.05": {-5, 2}, "12.34": {1234, 2}, "-1200.00": {-120000, 2}, "1234": {1234, 0}, "1.234": {1234, 3}} {
		require.Equal(t, want, m.String())
	}
	require.Equal(t, []int{2, 0, 3, 2}, []int{decimals("CNY"), decimals("JPY"), decimals("KWD"), decimals("???")})
}

func TestCellsThatLookLikeFormulas(t *testing.T) {
	for _, v := range []string{"=1", "+1", "-1", "@x", "\tx", "\rx"} {
		require.Equal(t, "'"+v, harmless(v))
	}
	for _, v := range []string{"", "1", "a=1", "'=1", " =1", "李"} {
		require.Equal(t, v, harmless(v))
	}
	var out bytes.Buffer
	c := &csvTable{w: newCSVWriter(&out)}
	require.NoError(t, c.head([]heading{{"a", "=A"}, {"b", "B"}, {"c", "C"}}))
	require.NoError(t, c.row([]any{"=1+1", money{-5, 2}, "a\nb\"c,d"}))
	require.NoError(t, c.close())
	require.Equal(t, "\ufeff'=A,B,C\r\n'=1+1,-0.05,\"a\r\nb\"\"c,d\"\r\n", out.String())
}
