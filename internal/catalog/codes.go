package catalog

import (
	"strings"

	"github.com/shuke-crm/shuke/ent/commerce/schema"
)

// plainCode is a code as scanners and people give it, without what does not
// count.
func plainCode(text string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", " ", "", "‐", "", "–", "", " ", "").Replace(strings.TrimSpace(text)))
}

// gtinLength reports whether a code could be a GTIN-8, -12, -13 or -14.
func gtinLength(code string) bool {
	switch len(code) {
	case 8, 12, 13, 14:
		return digits(code)
	}
	return false
}

// GTIN reports whether a code is a GTIN-8, -12, -13 or -14 with a right check
// digit: from the right, the digits weigh 1, 3, 1, 3, …
func GTIN(code string) bool {
	if !gtinLength(code) {
		return false
	}
	sum := 0
	for i := range len(code) {
		weight := 1
		if (len(code)-i)%2 == 0 {
			weight = 3
		}
		sum += weight * int(code[i]-'0')
	}
	return sum%10 == 0
}

// kindOfCode tells what a barcode to keep is. A code that has the length of a
// GTIN and the wrong check digit is refused: it is a slip of the pen far more
// often than a number of the house.
// Error: ErrCheckDigit.
func kindOfCode(code string) (string, error) {
	if _, ok := ParseISBN(code); ok && len(code) == 13 {
		return "isbn", nil
	}
	switch {
	case GTIN(code):
		return "gtin", nil
	case gtinLength(code):
		return "", ErrCheckDigit.New()
	}
	return "internal", nil
}

// sameCodes are all ways to write the article behind a code: an ISBN in both
// forms, a GTIN with and without leading zeros.
func sameCodes(code string) []string {
	out := []string{code}
	add := func(c string) {
		for _, known := range out {
			if known == c {
				return
			}
		}
		out = append(out, c)
	}
	if isbn, ok := ParseISBN(code); ok {
		add(isbn.Thirteen)
		if isbn.Ten != "" {
			add(isbn.Ten)
		}
	}
	if GTIN(code) {
		for _, length := range []int{8, 12, 13, 14} {
			if short := strings.TrimLeft(code, "0"); len(short) <= length {
				add(strings.Repeat("0", length-len(short)) + short)
			}
		}
	}
	return out
}

// Reading is what a barcode of weighed goods says besides the article.
type Reading struct {
	Item       string // prefix and item digits, as kept
	WeightGram *int64
	Price      *int64 // in minor units
}

// readWeighed reads a barcode that a scale has printed. decimals are those of
// the currency.
func readWeighed(code string, layouts []schema.WeighedLayout, decimals int) (Reading, bool) {
	if len(code) != 13 || !GTIN(code) {
		return Reading{}, false
	}
	for _, l := range layouts {
		if !strings.HasPrefix(code, l.Prefix) {
			continue
		}
		end := len(l.Prefix) + l.ItemDigits
		var n int64
		for _, d := range code[end:12] {
			n = n*10 + int64(d-'0')
		}
		r, to := Reading{Item: code[:end]}, decimals
		if l.Measures == "weight" {
			to = 3 // grams
		}
		for range to - l.Decimals {
			n *= 10
		}
		for range l.Decimals - to {
			n /= 10
		}
		if l.Measures == "weight" {
			r.WeightGram = &n
		} else {
			r.Price = &n
		}
		return r, true
	}
	return Reading{}, false
}

// checkLayouts holds layouts of scales against what a code has room for. Error:
// ErrLayout at the pointer of the first that does not fit.
func checkLayouts(layouts []schema.WeighedLayout, pointer func(int) string) error {
	seen := map[string]bool{}
	for i, l := range layouts {
		if len(l.Prefix) != 2 || l.Prefix < "20" || l.Prefix > "29" || seen[l.Prefix] || l.ItemDigits < 4 || l.ItemDigits > 6 || l.Decimals < 0 || l.Decimals > 3 {
			return ErrLayout.At(pointer(i))
		}
		seen[l.Prefix] = true
	}
	return nil
}
