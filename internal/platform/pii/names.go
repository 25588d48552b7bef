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
// a name with heteronyms has several spellings (at most maxReadings).
//
// A search by letters may start at the name's starts: the first unit, the given name of a Chinese
// name, each word, and each part of a name that a blank, a dot (阿卜杜拉·买买提) or a change of script
// sets apart (of many words and parts the first three and the last). A name with dots between its Han
// characters is a transcription and has no surname.
//
// Terms of a name, all in one index:
//
//	h:小明   each pair of adjacent Han characters, and the first with the last (王小明 also h:王明)
//	l:xiaom  from each start, the first 2 to 8 letters of the spelling run together
//	l:wxm    from each start, the first 2 to 8 initials (l:xm)
//	m:王x    a leading Han character with the initial that follows; any Han character with the first
//	         letter of the word that follows (刘德华Andy: m:华a)
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
	maxWords   = 4 // starts at words and parts: the first three and the last
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

// row is a string cut into units.
type row struct {
	units  []unit
	apart  []int // units that a separator or a change of script sets apart from the one before
	dotted bool  // a dot between two Han characters
}

func parseUnits(s string) row {
	var t row
	var word strings.Builder
	separated, dot := false, false
	add := func(u unit) {
		n := len(t.units)
		if n > 0 && (separated || t.units[n-1].han != u.han) {
			t.apart = append(t.apart, n)
		}
		t.dotted = t.dotted || n > 0 && dot && t.units[n-1].han && u.han
		t.units = append(t.units, u)
		separated, dot = false, false
	}
	flush := func() {
		if word.Len() > 0 {
			add(unit{text: word.String()})
			word.Reset()
		}
	}
	for _, r := range fold(s) {
		switch {
		case isHan(r):
			flush()
			add(unit{text: string(r), han: true})
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			word.WriteRune(r)
		default:
			flush()
			separated, dot = true, dot || strings.ContainsRune("·.•‧・∙⋅", r)
		}
	}
	flush()
	return t
}

// parsedName is a name ready for indexing or matching.
type parsedName struct {
	units     []unit
	starts    []int
	spellings [][]string // each: one spelling per unit, "" for a character without reading
}

func parseName(name string) parsedName {
	t := parseUnits(name)
	surname := surnameLength(t)
	return parsedName{units: t.units, starts: nameStarts(t, surname), spellings: nameSpellings(t.units, surname)}
}

// surnameLength is 0 for a name that is not Chinese, or is a lone character.
func surnameLength(t row) int {
	u := t.units
	if len(u) < 2 || !u[0].han || !u[1].han || t.dotted {
		return 0
	}
	if len(u) > 2 && !slices.Contains(t.apart, 1) && compoundSurnames[u[0].text+u[1].text] != nil {
		return 2
	}
	return 1
}

func nameStarts(t row, surname int) []int {
	if len(t.units) == 0 {
		return nil
	}
	parts := append([]int{0}, t.apart...)
	if len(parts) > maxWords {
		parts = append(parts[:maxWords-1], parts[len(parts)-1])
	}
	starts := append(parts, surname)
	slices.Sort(starts)
	return slices.Compact(starts)
}

func nameSpellings(units []unit, surname int) [][]string {
	options := make([][]string, len(units))
	customary := make([]string, len(units))
	for i, u := range units {
		switch {
		case !u.han:
			options[i] = []string{u.text}
		case surname == 2 && i < 2:
			options[i] = withU(compoundSurnames[units[0].text+units[1].text][i : i+1])
		case i < surname:
			options[i] = surnameSpellings([]rune(u.text)[0])
		default:
			options[i] = givenSpellings([]rune(u.text)[0])
		}
		customary[i] = options[i][0]
	}
	// From the customary spelling to those with one other reading, the surname's first, then to
	// those with two: the cap cuts what is least likely to be typed.
	out, next := [][]string{customary}, []int{0}
	for k := 0; k < len(out); k++ {
		for i := next[k]; i < len(units); i++ {
			for _, other := range options[i][1:] {
				if len(out) == maxReadings {
					return out
				}
				spelling := slices.Clone(out[k])
				spelling[i] = other
				out, next = append(out, spelling), append(next, i+1)
			}
		}
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

// NameTokens are the distinct search terms of a name, 18 on average for Chinese ones.
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
			prefixes(initials(spelling[s:]), func(l string) { add("l:" + l) })
		}
		for i := 1; i < len(units); i++ {
			if lettersMayFollow(units, i-1) && spelling[i] != "" {
				add("m:" + units[i-1].text + firstLetter(spelling[i]))
			}
		}
	}
	return out
}

// lettersMayFollow tells whether the index has a Han character with the initial that follows it.
func lettersMayFollow(units []unit, at int) bool {
	return at+1 < len(units) && units[at].han && (at == 0 || !units[at+1].han)
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
