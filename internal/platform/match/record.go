package match

import (
	"strings"
	"unicode"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Record is what is known about a person, in any spelling; empty is unknown.
type Record struct {
	Name           string // whole; or
	Surname, Given string // in parts
	BirthDate      string // YYYY-MM-DD or YYYYMMDD
	Gender         string // female, male; anything else is unknown
	Phones, Emails []string
	Address        Address
	IDs            []ID
}

// Address is a place to live; parts may be missing or in each other's place.
type Address struct{ Number, Line1, Line2, Place, Postcode, Region string }

// ID is an identifier that outsiders gave, such as a social security number.
type ID struct {
	Kind, Value string
	// One says that a person has only one of this kind, so that two different
	// values speak against one person.
	One bool
}

// Person is a record prepared for comparison.
type Person struct {
	surname, given pii.NamePart
	birth          uint32 // yyyymmdd, 0 unknown
	gender         byte
	phones, emails []string
	ids            []ID

	number, street, line2, place, postcode, region string
}

// Prepare brings a record to its compared form.
func Prepare(r Record) Person {
	p := Person{birth: date(r.BirthDate)}
	switch {
	case r.Name != "":
		p.surname, p.given = pii.SplitName(r.Name)
	default:
		p.surname, p.given = pii.Part(r.Surname), pii.Part(r.Given)
	}
	switch strings.ToLower(r.Gender) {
	case "female", "f":
		p.gender = 'f'
	case "male", "m":
		p.gender = 'm'
	}
	for _, v := range r.Phones {
		if d := keep(v, unicode.IsDigit); len(d) >= 5 {
			p.phones = append(p.phones, d)
		}
	}
	for _, v := range r.Emails {
		if v = strings.ToLower(strings.TrimSpace(v)); strings.Contains(v, "@") {
			p.emails = append(p.emails, v)
		}
	}
	for _, id := range r.IDs {
		if id.Value = strings.ToLower(keep(id.Value, letterOrDigit)); len(id.Value) >= 4 {
			p.ids = append(p.ids, id)
		}
	}
	number1, street := line(r.Address.Line1)
	number2, second := line(r.Address.Line2)
	if r.Address.Number != "" {
		n, _ := line(r.Address.Number)
		number1 = joinNumbers(n, number1)
	}
	p.number, p.street, p.line2 = joinNumbers(number1, number2), street, second
	p.place = pii.Part(r.Address.Place).Text
	p.postcode = strings.ToLower(keep(r.Address.Postcode, letterOrDigit))
	p.region = pii.Part(r.Address.Region).Text
	return p
}

func joinNumbers(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "-" + b
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func keep(s string, f func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if f(r) {
			return r
		}
		return -1
	}, s)
}

func date(s string) uint32 {
	d := keep(s, unicode.IsDigit)
	if len(d) != 8 {
		return 0
	}
	var n uint32
	for i := range 8 {
		if d[i] < '0' || d[i] > '9' {
			return 0
		}
		n = n*10 + uint32(d[i]-'0')
	}
	return n
}

// shortForms are words of addresses that are written in several ways.
var shortForms = map[string]string{
	"street": "st", "str": "st", "road": "rd", "avenue": "ave", "av": "ave", "drive": "dr", "place": "pl", "court": "ct", "crt": "ct", "crescent": "cres", "cr": "cres",
	"circuit": "cct", "close": "cl", "lane": "ln", "terrace": "tce", "ter": "tce", "parade": "pde", "boulevard": "bvd", "blvd": "bvd", "highway": "hwy", "grove": "gr",
	"square": "sq", "apartment": "apt", "north": "n", "south": "s", "east": "e", "west": "w", "mount": "mt", "saint": "st",
}

// line takes the numbers out of a line of an address and brings its words to
// their short forms. A letter that belongs to a number stays with it: 12a.
func line(s string) (number, text string) {
	var words, numbers []string
	for _, w := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !letterOrDigit(r) }) {
		// In 南京东路100号3栋201室 numbers and text have no blanks between.
		start, digits := 0, false
		flush := func(end int) {
			if start == end {
				return
			}
			if digits {
				numbers = append(numbers, w[start:end])
			} else {
				words = append(words, w[start:end])
			}
			start = end
		}
		for i, r := range w {
			if d := unicode.IsDigit(r); d != digits && !(digits && r < 0x80 && i+1 == len(w)) {
				flush(i)
				digits = d
			}
		}
		flush(len(w))
	}
	for i, w := range words {
		if short := shortForms[w]; short != "" {
			words[i] = short
		}
	}
	return strings.Join(numbers, "-"), strings.Join(words, " ")
}
