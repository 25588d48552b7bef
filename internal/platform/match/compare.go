package match

import "unicode/utf8"

// distance is Damerau and Levenshtein's (optimal string alignment): insertions,
// deletions, replacements and exchanges of neighbours, in letters. It stops
// counting above max and then returns max+1.
func distance(a, b string, max int) int {
	if a == b {
		return 0
	}
	var x, y [maxCompared]rune
	m, n := letters(a, &x), letters(b, &y)
	if m-n > max || n-m > max {
		return max + 1
	}
	var rows [3][maxCompared + 1]int
	before, last, now := &rows[0], &rows[1], &rows[2]
	for j := range n + 1 {
		last[j] = j
	}
	for i := 1; i <= m; i++ {
		now[0] = i
		best := i
		for j := 1; j <= n; j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d := min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d = min(d, before[j-2]+1)
			}
			now[j] = d
			best = min(best, d)
		}
		if best > max {
			return max + 1
		}
		before, last, now = last, now, before
	}
	return min(last[n], max+1)
}

// maxCompared is how many letters of a value are compared.
const maxCompared = 64

func letters(s string, to *[maxCompared]rune) int {
	n := 0
	for _, r := range s {
		if n == maxCompared {
			break
		}
		to[n] = r
		n++
	}
	return n
}

// jaroWinkler is 1 for equal texts and 0 for such that have nothing in common;
// a common beginning counts for more.
func jaroWinkler(a, b string) float64 {
	if a == b {
		return 1
	}
	var x, y [maxCompared]rune
	m, n := letters(a, &x), letters(b, &y)
	if m == 0 || n == 0 {
		return 0
	}
	reach := max(0, max(m, n)/2-1)
	var xs, ys [maxCompared]bool
	hits := 0
	for i := range m {
		for j := max(0, i-reach); j < min(n, i+reach+1); j++ {
			if !ys[j] && x[i] == y[j] {
				xs[i], ys[j] = true, true
				hits++
				break
			}
		}
	}
	if hits == 0 {
		return 0
	}
	moved, j := 0, 0
	for i := range m {
		if !xs[i] {
			continue
		}
		for !ys[j] {
			j++
		}
		if x[i] != y[j] {
			moved++
		}
		j++
	}
	h := float64(hits)
	jaro := (h/float64(m) + h/float64(n) + (h-float64(moved/2))/h) / 3
	prefix := 0
	for prefix < min(m, n, 4) && x[prefix] == y[prefix] {
		prefix++
	}
	return jaro + float64(prefix)*0.1*(1-jaro)
}

// phonetic is a coarse code of how a name sounds, for blocking only: the first
// sound and the next three consonants, with those merged that ears, dialects
// and spellings of Chinese confuse (zh/z, sh/s, n/ng, c/k, ph/f …).
func phonetic(s string) string {
	var out [4]byte
	n := 0
	var last byte
	for i := 0; i < len(s) && n < len(out); i++ {
		c := s[i]
		if c >= utf8.RuneSelf { // not spelled in letters: the first bytes must do
			return s[:min(len(s), 6)]
		}
		code := consonants[c&0x7f]
		if c == 'h' && i > 0 && last != 0 {
			if s[i-1] == 'p' {
				out[n-1], last = 'f', 'f'
			}
			continue
		}
		switch {
		case n == 0:
			if code == 0 {
				code = 'a' // any vowel
			}
			out[0], n, last = code, 1, code
		case code == 0:
			last = 0 // a vowel parts equal consonants
		case code != last:
			if code == 'k' && i > 0 && s[i-1] == 'n' && c == 'g' && (i+1 == len(s) || consonants[s[i+1]&0x7f] != 0) {
				continue // ng sounds like n
			}
			out[n] = code
			n++
			last = code
		}
	}
	return string(out[:n])
}

// consonants: 0 is a vowel or mute.
var consonants = func() (t [128]byte) {
	for group, code := range map[string]byte{"b": 'b', "p": 'b', "fv": 'f', "ckgq": 'k', "jzsx": 's', "dt": 't', "l": 'l', "mn": 'm', "r": 'r', "0123456789": '0'} {
		for _, c := range group {
			t[c] = code
		}
	}
	return t
}()
