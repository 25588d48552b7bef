package pii

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Matcher re-checks a decrypted name against the fragment searched for.
type Matcher struct{ parts []part }

// part is one Han character, or a run of letters (blanks between words are ignored).
type part struct {
	text string
	han  bool
}

// QueryTokens reads a fragment typed into a search box. It may be
//
//	小明, 王小, 王明   two or more Han characters: adjacent in the name, or exactly its first and last
//	wangxiao, xiaom    pinyin of the whole or of the given name, from the beginning
//	aizezi             the same of a part set apart by a dot or a blank (热合曼·艾则孜)
//	wxm, xm            initials of the whole name, of the given name or of such a part on
//	john s, smith      the beginning of a word, running on into the next
//	王xiao, 王xm, 王x  the name's beginning in Han characters, then the pinyin or initials of what follows
//	小明x              two or more Han characters anywhere, then likewise
//	华andy, 华a        a Han character and the word after it
//
// Heteronyms are found in the readings readings.go gives them; of a name with several, in the
// customary spelling and the three nearest to it.
//
// A candidate has all the terms; Match then decides. Errors: ErrTooShort for a single Han character
// or letter (or nothing), ErrNeedleTooLong.
func QueryTokens(needle string) ([]string, Matcher, error) {
	if utf8.RuneCountInString(needle) > MaxName {
		return nil, Matcher{}, ErrNeedleTooLong
	}
	var parts []part
	for _, u := range parseUnits(needle).units {
		if n := len(parts); n > 0 && !u.han && !parts[n-1].han {
			parts[n-1].text += u.text
			continue
		}
		parts = append(parts, part(u))
	}
	var terms []string
	for i := 1; i < len(parts); i++ {
		if parts[i-1].han && parts[i].han {
			terms = append(terms, "h:"+parts[i-1].text+parts[i].text)
		}
	}
	switch {
	case len(parts) == 0:
	case !parts[0].han && utf8.RuneCountInString(parts[0].text) >= minLetters:
		terms = append(terms, "l:"+cut(parts[0].text))
	case len(parts) > 1 && parts[0].han && !parts[1].han:
		terms = append(terms, "m:"+parts[0].text+firstLetter(parts[1].text))
	}
	if len(terms) == 0 {
		return nil, Matcher{}, ErrTooShort
	}
	slices.Sort(terms)
	return slices.Compact(terms), Matcher{parts}, nil
}

// Match tells whether the fragment is found in a name.
func (m Matcher) Match(name string) bool {
	if len(m.parts) == 0 {
		return false
	}
	if !slices.ContainsFunc(m.parts, func(p part) bool { return !p.han }) {
		return m.matchHan(parseUnits(name).units)
	}
	p := parseName(name)
	for _, spelling := range p.spellings {
		for at := range p.units {
			if m.mayStart(p, at) && matchFrom(p.units, spelling, at, m.parts) {
				return true
			}
		}
	}
	return false
}

// matchHan is Match for fragments of Han characters alone, the commonest; it needs no readings.
func (m Matcher) matchHan(units []unit) bool {
	k, n := len(m.parts), len(units)
	for at := 0; at+k <= n; at++ {
		if m.hanAt(units[at : at+k]) {
			return true
		}
	}
	return k == 2 && n > 2 && units[0] == unit(m.parts[0]) && units[n-1] == unit(m.parts[1])
}

func (m Matcher) hanAt(units []unit) bool {
	for i, u := range units {
		if u != unit(m.parts[i]) {
			return false
		}
	}
	return true
}

// mayStart keeps Match to what the terms promise: Han pairs are indexed everywhere, letters from the
// starts, a lone Han character before letters only at the beginning and before a word.
func (m Matcher) mayStart(p parsedName, at int) bool {
	switch {
	case !m.parts[0].han:
		return slices.Contains(p.starts, at)
	case len(m.parts) > 1 && !m.parts[1].han:
		return lettersMayFollow(p.units, at)
	}
	return true
}

// matchFrom matches parts against the units from at on. Letters are the spelling of whole units
// (the last run: its beginning), or their initials.
func matchFrom(units []unit, spelling []string, at int, parts []part) bool {
	if len(parts) == 0 {
		return true
	}
	if at >= len(units) {
		return false
	}
	head, rest := parts[0], parts[1:]
	if head.han {
		if !units[at].han || units[at].text != head.text {
			return false
		}
		if len(rest) > 0 && !rest[0].han && at+1 < len(units) && spelling[at+1] == "" {
			return false // the index has no initial for a character without a reading
		}
		return matchFrom(units, spelling, at+1, rest)
	}
	if len(rest) == 0 {
		return strings.HasPrefix(strings.Join(spelling[at:], ""), head.text) ||
			strings.HasPrefix(initials(spelling[at:]), head.text)
	}
	joined, first := "", ""
	for end := at + 1; end <= len(units); end++ {
		joined += spelling[end-1]
		first += firstLetter(spelling[end-1])
		if joined == head.text || first == head.text {
			if matchFrom(units, spelling, end, rest) {
				return true
			}
		}
	}
	return false
}
