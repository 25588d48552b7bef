package catalog

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// foldText is the function catalog_text of the database.
func foldText(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, norm.NFKC.String(s))
}

// han and gap are the classes of characters of the function catalog_terms.
func han(r rune) bool {
	return r >= 0x2e80 && r <= 0x2fdf || r == '々' || r == '〇' || r >= 0x3400 && r <= 0x4dbf || r >= 0x4e00 && r <= 0x9fff || r >= 0xf900 && r <= 0xfaff || r >= 0x20000 && r <= 0x3ffff
}

func gap(r rune) bool {
	return r <= 0x2f || r >= 0x3a && r <= 0x60 || r >= 0x7b && r <= 0xbf || r >= 0x2000 && r <= 0x206f || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xff0f
}

// runs cuts folded text into pieces of one class, without what lies between.
func runs(s string) (out []string) {
	class := func(r rune) int {
		switch {
		case han(r):
			return 1
		case gap(r):
			return 0
		}
		return 2
	}
	start, last := 0, 0
	for i, r := range s {
		if c := class(r); c != last {
			if last != 0 {
				out = append(out, s[start:i])
			}
			start, last = i, c
		}
	}
	if last != 0 {
		out = append(out, s[start:])
	}
	return out
}

// fragmentTerms are the terms that a text has which contains the fragment: of
// Han characters the pairs, or the one there is; of other characters the threes,
// or the two there are. None for a single letter or digit.
func fragmentTerms(folded string) (out []string) {
	for _, run := range runs(folded) {
		rs := []rune(run)
		n := 3
		if han(rs[0]) {
			n = 2
		}
		switch {
		case len(rs) >= n:
			for i := range len(rs) - n + 1 {
				out = append(out, string(rs[i:i+n]))
			}
		case len(rs) == n-1:
			out = append(out, run)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// like is a pattern for texts that contain a fragment.
func like(fragment string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(fragment) + "%"
}
