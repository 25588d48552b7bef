package pay

import (
	"errors"
	"strconv"
	"strings"
)

// MaxAmount is the most one payment may be: 100,000,000.00 yuan in fen.
const MaxAmount = 10_000_000_000

// errYuan: a text that is no amount.
var errYuan = errors.New("not an amount in yuan with at most two decimals")

// Yuan writes fen as yuan with two decimals: 1234 is "12.34".
func Yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	rest := strconv.FormatInt(fen%100, 10)
	if len(rest) == 1 {
		rest = "0" + rest
	}
	return sign + strconv.FormatInt(fen/100, 10) + "." + rest
}

// ParseYuan reads yuan with at most two decimals as fen, exactly. It takes
// neither signs, exponents, spaces nor more than MaxAmount.
func ParseYuan(s string) (int64, error) {
	whole, rest, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 9 || len(rest) > 2 || point && rest == "" {
		return 0, errYuan
	}
	for len(rest) < 2 {
		rest += "0"
	}
	for _, c := range []byte(whole + rest) {
		if c < '0' || c > '9' {
			return 0, errYuan
		}
	}
	fen, err := strconv.ParseInt(whole+rest, 10, 64)
	if err != nil || fen > MaxAmount {
		return 0, errYuan
	}
	return fen, nil
}
