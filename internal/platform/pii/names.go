package pii

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// The index of names.
//
// A name is a row of units: each Han character is one, each run of other letters or digits (a word)
// is one, folded to lower case without accents. A unit's spelling is its pinyin or the word itself;
// a name with heteronyms has several spellings (at most maxReadings). A search may start at the
// first unit, at the given name of a Chinese name, and at each word (of many words the first three
// and the last): the name's starts.
//
// Terms of a name, all in one index:
//
//	h:小明   each pair of adjacent Han characters, and the first with the last (王小明 also h:王明)
//	l:xiaom  from each start, the first 2 to 8 letters of the spelling run together
//	l:wxm    the first 2 to 8 initials of the whole name
//	m:王x    a leading Han character with the initial that follows
//
// No term stands for a single character: those are frequent enough to be recognised in a dump. What
// the others give away is measured in docs/adr/0002-blind-index.md.
//
// A fragment that QueryTokens accepts finds every name it matches: its terms are terms of the name
// (proved by TestNoFalseNegatives). The reverse does not hold, since long fragments are cut and
// terms are hashed to 32 bits, so candidates are opened and re-checked with Matcher.Match.

const (
	minLetters = 2
	maxLetters = 8 // longer fragments are cut and re-checked after decryption
	maxWords   = 4 // starts at words: the first three and the last
)

type unit struct {
	text string // one Han character, or a folded word
	han  bool
}

// latinFolds are letters that do not decompose into a base letter and a mark.
var latinFolds = map[rune]string{'ß': "ss", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'æ': "ae", 'œ': "oe", 'ı': "i", 'ŋ': "n"}

// fold lowers and drops accents: É → e, ü → u. Hangul and kana are put together again afterwards.
func fold(s string) string {
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] < 0x80
	}
	if ascii {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(s) {
		r = unicode.ToLower(r)
		if unicode.Is(unicode.Mn, r) {
			continue
		}
		if f, ok := latinFolds[r]; ok {
			b.WriteString(f)
			continue
		}
		b.WriteRune(r)
	}
	return norm.NFC.String(b.String())
}

func parseUnits(s string) []unit {
	var units []unit
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			units = append(units, unit{text: word.String()})
			word.Reset()
		}
	}
	for _, r := range fold(s) {
		switch {
		case isHan(r):
			flush()
			units = append(units, unit{text: string(r), han: true})
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word.WriteRune(r)
		default:
			flush()
		}
	}
	flush()
	return units
}

// parsedName is a name ready for indexing or matching.
type parsedName struct {
	units     []unit
	starts    []int
	spellings [][]string // each: one spelling per unit, "" for a character without reading
}

func parseName(name string) parsedName {
	p := parsedName{units: parseUnits(name)}
	surname := 0
	if len(p.units) > 1 && p.units[0].han && p.units[1].han {
		surname = 1
		if len(p.units) > 2 && p.units[2].han && compoundSurnames[p.units[0].text+p.units[1].text] != nil {
			surname = 2
		}
	}
	p.starts = nameStarts(p.units, surname)
	p.spellings = nameSpellings(p.units, surname)
	return p
}

func nameStarts(units []unit, surname int) []int {
	if len(units) == 0 {
		return nil
	}
	starts := []int{0}
	if surname > 0 {
		starts = append(starts, surname)
	}
	var words []int
	for i, u := range units {
		if !u.han {
			words = append(words, i)
		}
	}
	if len(words) > maxWords {
		words = append(words[:maxWords-1:maxWords-1], words[len(words)-1])
	}
	starts = append(starts, words...)
	slices.Sort(starts)
	return slices.Compact(starts)
}

func nameSpellings(units []unit, surname int) [][]string {
	options := make([][]string, len(units))
	for i, u := range units {
		if u.han {
			options[i] = hanReadings([]rune(u.text)[0], i < surname)
		} else {
			options[i] = []string{u.text}
		}
	}
	if surname == 2 {
		for i, r := range compoundSurnames[units[0].text+units[1].text] {
			options[i] = withU([]string{r})
		}
	}
	// Count through the combinations with the surname as the fastest digit, so that the cap cuts
	// rare readings of given names first.
	var out [][]string
	for n := 0; n < maxReadings; n++ {
		rest := n
		spelling := make([]string, len(units))
		for i, o := range options {
			spelling[i] = o[rest%len(o)]
			rest /= len(o)
		}
		if rest > 0 {
			break
		}
		out = append(out, spelling)
	}
	return out
}

// prefixes calls f with the first minLetters … maxLetters letters of s.
func prefixes(s string, f func(string)) {
	n := 0
	for i := range s {
		if n >= minLetters && n <= maxLetters {
			f(s[:i])
		}
		n++
		if n > maxLetters {
			return
		}
	}
	if n >= minLetters {
		f(s)
	}
}

func cut(s string) string {
	n := 0
	for i := range s {
		if n == maxLetters {
			return s[:i]
		}
		n++
	}
	return s
}

func initials(spelling []string) string {
	var b strings.Builder
	for _, s := range spelling {
		b.WriteString(firstLetter(s))
	}
	return b.String()
}

func firstLetter(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}

// NameTokens are the distinct search terms of a name, about 20 for a usual Chinese one.
func NameTokens(name string) []string {
	p := parseName(name)
	seen := make(map[string]struct{}, 32)
	out := make([]string, 0, 32)
	add := func(term string) {
		if _, ok := seen[term]; !ok {
			seen[term] = struct{}{}
			out = append(out, term)
		}
	}
	units := p.units
	for i := 1; i < len(units); i++ {
		if units[i-1].han && units[i].han {
			add("h:" + units[i-1].text + units[i].text)
		}
	}
	if n := len(units); n > 2 && units[0].han && units[n-1].han {
		add("h:" + units[0].text + units[n-1].text)
	}
	for _, spelling := range p.spellings {
		for _, s := range p.starts {
			prefixes(strings.Join(spelling[s:], ""), func(l string) { add("l:" + l) })
		}
		prefixes(initials(spelling), func(l string) { add("l:" + l) })
		if len(units) > 1 && units[0].han && spelling[1] != "" {
			add("m:" + units[0].text + firstLetter(spelling[1]))
		}
	}
	return out
}

// HashTokens turns terms into the sorted distinct values of an index column.
func HashTokens(tokens []string, f func(string) int32) []int32 {
	out := make([]int32, len(tokens))
	for i, t := range tokens {
		out[i] = f(t)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
