package pii

import "strings"

// NamePart is a surname or a given name, for comparing: as written without
// blanks, case and accents, and as spelled in letters (Han characters by their
// customary reading).
type NamePart struct {
	Text, Spelling string
	Han            bool // written in Han characters
}

// particles belong to the surname that follows them.
var particles = map[string]bool{"van": true, "von": true, "der": true, "den": true, "de": true, "da": true, "di": true, "del": true, "la": true, "le": true, "du": true, "dos": true, "bin": true, "al": true, "ter": true}

// joiners stand inside a part of a name: O'Neill, Smith-Jones, Xiao-Ming.
var joiners = strings.NewReplacer("'", "", "’", "", "-", "", "‐", "")

// SplitName takes a name apart. A Chinese name has its surname first. Of a name
// in words the last is the surname, or what stands before a comma; a lone word
// is taken for a surname. Names in words may follow another order, so whoever
// compares should try both.
func SplitName(name string) (surname, given NamePart) {
	name = joiners.Replace(name)
	if before, after, ok := strings.Cut(name, ","); ok {
		s, g := Part(before), Part(after)
		if s.Text != "" && !s.Han && !g.Han {
			return s, g
		}
	}
	t := parseUnits(name)
	at := surnameLength(t)
	switch {
	case at > 0:
	case t.dotted: // a transcription: the parts in their order, the last like a surname
		at = t.apart[len(t.apart)-1]
		return partOf(t.units[at:]), partOf(t.units[:at])
	case len(t.units) < 2:
		return partOf(t.units), NamePart{}
	default:
		at = len(t.units) - 1
		for at > 1 && particles[t.units[at-1].text] {
			at--
		}
		return partOf(t.units[at:]), partOf(t.units[:at])
	}
	spelling := nameSpellings(t.units, at)[0]
	return join(t.units[:at], spelling[:at]), join(t.units[at:], spelling[at:])
}

// Part is one part of a name that is known to be one.
func Part(s string) NamePart { return partOf(parseUnits(joiners.Replace(s)).units) }

func partOf(units []unit) NamePart { return join(units, nameSpellings(units, 0)[0]) }

func join(units []unit, spelling []string) NamePart {
	if len(units) == 0 {
		return NamePart{}
	}
	if len(units) == 1 && !units[0].han {
		return NamePart{Text: units[0].text, Spelling: units[0].text}
	}
	p := NamePart{Han: units[0].han}
	var text strings.Builder
	for _, u := range units {
		text.WriteString(u.text)
	}
	p.Text = text.String()
	if p.Han {
		p.Spelling = strings.Join(spelling, "")
	} else {
		p.Spelling = p.Text
	}
	return p
}
