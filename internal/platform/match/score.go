package match

import (
	"math"
	"strconv"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Threshold is the score from which a pair is reported as a likely duplicate.
const Threshold = 0.9

// Reason is what one field says: how it agrees, and by how many powers of two
// that makes one person likelier (negative: two persons). It holds no values.
type Reason struct {
	Field     string  `json:"field"`
	Agreement string  `json:"agreement"`
	Weight    float64 `json:"weight"`
}

// Fields of reasons.
const (
	FieldName       = "name"
	FieldGiven      = "given_name"
	FieldSurname    = "surname"
	FieldBirth      = "birth_date"
	FieldGender     = "gender"
	FieldPhone      = "phone"
	FieldEmail      = "email"
	FieldAddress    = "address"
	FieldIdentifier = "identifier"
	FieldHousehold  = "household"
)

// Kinds of agreement.
const (
	Exact      = "exact"
	Phonetic   = "phonetic" // the same in pinyin
	Close      = "close"    // one slip of the pen
	Similar    = "similar"
	Transposed = "transposed" // neighbours or day and month exchanged
	Swapped    = "swapped"    // surname and given name exchanged
	Initial    = "initial"
	Nickname   = "nickname"
	Partial    = "partial"
	Different  = "different"
	Shared     = "shared" // counted once for the household
)

type tally struct {
	total   float64
	reasons *[]Reason
}

func (t *tally) add(field, agreement string, weight float64) {
	t.total += weight
	if t.reasons != nil {
		*t.reasons = append(*t.reasons, Reason{field, agreement, math.Round(weight*10) / 10})
	}
}

// Score is the probability that two records are about one person.
func Score(a, b *Person, s *Stats) float64 { return probability(sum(a, b, s)) }

func sum(a, b *Person, s *Stats) float64 {
	t := tally{}
	t.compare(a, b, s)
	return t.total
}

// Explain is Score with its reasons. How rare duplicates are among pairs is
// part of the score without being a reason.
func Explain(a, b *Person, s *Stats) (float64, []Reason) {
	reasons := make([]Reason, 0, 8)
	t := tally{reasons: &reasons}
	t.compare(a, b, s)
	return probability(t.total), reasons
}

// relatives tells of two records that they are of two persons who live
// together: the same surname and address, but another name and birth date.
func relatives(a, b *Person) bool {
	return a.surname.Text != "" && a.surname.Text == b.surname.Text && a.street != "" && a.street == b.street && a.number == b.number &&
		nameLevel(a.given, b.given, ofGiven, nil).agreement == Different && birthLevel(a.birth, b.birth, nil).agreement == Different
}

func probability(bits float64) float64 { return 1 / (1 + math.Exp2(-bits)) }

const (
	mostOfAddress = 16.0
	mostOfName    = 12.4
	// hopeless is a sum so far below the threshold that nobody asks how far.
	hopeless = held
)

func (t *tally) compare(a, b *Person, s *Stats) {
	n := s.records()
	t.total = s.prior()
	t.identifiers(a, b, n)
	shared := t.phones(a, b, n)
	t.emails(a, b)
	if a.gender != 0 && b.gender != 0 {
		if a.gender == b.gender {
			t.add(FieldGender, Exact, 0.8)
		} else {
			t.add(FieldGender, Different, -4)
		}
	}
	birth := birthLevel(a.birth, b.birth, s)
	most := s.household()
	if t.reasons == nil && t.total+birth.weight+mostOfName+most < hopeless {
		t.total += birth.weight
		return
	}
	surname, given, whole := names(a, b, s)
	if sum := t.total + birth.weight + given.weight + whole.weight + min(0, surname.weight); t.reasons == nil &&
		sum+min(most, max(0, surname.weight)+mostOfAddress+shared) < hopeless {
		t.total = sum
		return
	}
	address := addresses(a, b, s)

	t.level(FieldName, whole)
	t.level(FieldGiven, given)
	t.level(FieldSurname, surname)
	t.level(FieldAddress, address)
	// Surname, address and telephone of a household come together.
	joint := max(0, surname.weight) + max(0, address.weight) + shared
	if joint > most {
		t.add(FieldHousehold, Shared, most-joint)
		joint = most
	}
	unlike := given.agreement == Different || given.agreement == Partial || given.agreement == Similar
	if unlike && joint >= 7 && birth.weight > 6 {
		birth.weight = 6 // twins
	}
	t.level(FieldBirth, birth)
}

type level struct {
	agreement string
	weight    float64
}

func (t *tally) level(field string, l level) {
	if l.agreement != "" {
		t.add(field, l.agreement, l.weight)
	}
}

// bits is the weight of an agreement with these probabilities among true and
// false pairs.
func bits(m, u float64) float64 { return math.Log2(m / u) }

func (t *tally) identifiers(a, b *Person, n float64) {
	for _, x := range a.ids {
		best, any := level{weight: math.Inf(-1)}, false
		for _, y := range b.ids {
			if x.Kind != y.Kind {
				continue
			}
			any = true
			l := level{Different, 0}
			if x.One && y.One {
				l.weight = -4
			}
			switch d := distance(x.Value, y.Value, 2); {
			case d == 0:
				l = level{Exact, min(20, bits(0.85, 1/n))}
			case d == 1:
				// A value has about forty neighbours at this distance.
				l = level{Close, max(l.weight, min(10, bits(0.1, 40*math.Pow(10, -float64(min(len(x.Value), 9))))))}
			}
			if l.weight > best.weight {
				best = l
			}
		}
		if any {
			t.level(FieldIdentifier, best)
		}
	}
}

// phones returns what an equal number says about the household; the rest is
// added.
func (t *tally) phones(a, b *Person, n float64) (shared float64) {
	if len(a.phones) == 0 || len(b.phones) == 0 {
		return 0
	}
	best := level{Different, -0.7} // people have several
	for _, x := range a.phones {
		for _, y := range b.phones {
			l := level{Different, -0.7}
			switch {
			case x == y, len(x) >= 8 && len(y) >= 8 && (strings.HasSuffix(x, y) || strings.HasSuffix(y, x)):
				l = level{Exact, min(15, bits(0.6, 3/n))}
			case len(x) >= 7 && distance(x, y, 1) == 1:
				l = level{Close, 7}
			}
			if l.weight > best.weight {
				best = l
			}
		}
	}
	t.level(FieldPhone, best)
	if best.agreement == Exact {
		return best.weight
	}
	return 0
}

func (t *tally) emails(a, b *Person) {
	if len(a.emails) == 0 || len(b.emails) == 0 {
		return
	}
	best := level{Different, -0.5}
	for _, x := range a.emails {
		for _, y := range b.emails {
			if l := emailLevel(x, y); l.weight > best.weight {
				best = l
			}
		}
	}
	t.level(FieldEmail, best)
}

func emailLevel(x, y string) level {
	userX, hostX, _ := strings.Cut(x, "@")
	userY, hostY, _ := strings.Cut(y, "@")
	switch d := distance(userX, userY, 1); {
	case x == y:
		return level{Exact, 14}
	case d == 0 && len(userX) >= 5:
		return level{Similar, 7}
	case d == 1 && hostX == hostY && min(len(userX), len(userY)) >= 6:
		return level{Close, 6}
	}
	return level{Different, -0.5}
}

func dateText(d uint32) string { return strconv.Itoa(int(d)) }

func birthLevel(a, b uint32, s *Stats) level {
	if a == 0 || b == 0 {
		return level{}
	}
	if a == b {
		return level{Exact, bits(0.85, s.frequency(ofBirth, dateText(a)))}
	}
	ya, ma, da := a/10000, a/100%100, a%100
	yb, mb, db := b/10000, b/100%100, b%100
	if ya == yb && ma == db && da == mb {
		return level{Transposed, 8}
	}
	switch wrong, exchanged := digits(a, b); {
	case wrong == 1:
		return level{Close, 4.5}
	case exchanged:
		return level{Transposed, 5.5}
	case ya == yb && ma == mb, ya == yb && da == db, ma == mb && da == db:
		return level{Partial, 2.5}
	case wrong == 2:
		return level{Similar, 0}
	case ya == yb:
		return level{Similar, -0.5}
	}
	return level{Different, -7} // a slip leaves more than this unchanged
}

// digits counts those that differ, and tells whether it is two neighbours
// exchanged.
func digits(a, b uint32) (wrong int, exchanged bool) {
	var x, y [8]uint32
	first := -1
	for i := 7; i >= 0; i-- {
		x[i], y[i] = a%10, b%10
		a, b = a/10, b/10
		if x[i] != y[i] {
			wrong++
			first = i
		}
	}
	return wrong, wrong == 2 && x[first] == y[first+1] && x[first+1] == y[first]
}

// names compares surnames and given names, also with each other, since they
// are often entered the wrong way round, and without a blank between.
func names(a, b *Person, s *Stats) (surname, given, whole level) {
	surname = nameLevel(a.surname, b.surname, ofSurname, s)
	given = nameLevel(a.given, b.given, ofGiven, s)
	if surname.agreement == Exact && given.agreement == Exact {
		return surname, given, whole
	}
	// A lone word, or letters beside Han characters, may be either.
	cost := 4.0
	if a.given.Text == "" || b.given.Text == "" || a.surname.Text == "" || b.surname.Text == "" {
		cost = 1
	} else if a.surname.Han != b.surname.Han {
		cost = 0
	}
	cross1 := nameLevel(a.surname, b.given, ofSurname, s)
	cross2 := nameLevel(a.given, b.surname, ofGiven, s)
	crossed := cross1.weight + cross2.weight - cost
	if crossed > surname.weight+given.weight && crossed > 0 {
		// Which is the surname nobody knows: the better one may be the family's.
		surname, given = cross1, cross2
		if given.weight > surname.weight {
			surname, given = given, surname
		}
		whole = level{Swapped, -cost}
	}
	if a.given.Text == "" || b.given.Text == "" {
		// 王小明 and "wangxiaoming", entered as one word.
		if x, y := a.surname.Spelling+a.given.Spelling, b.surname.Spelling+b.given.Spelling; x == y && (a.given.Text != "" || b.given.Text != "") {
			one, other := a.surname, a.given
			if other.Text == "" {
				one, other = b.surname, b.given
			}
			joined := [2]level{{Exact, bits(0.7, max(2e-4, s.frequency(ofSurname, one.Text)))}, {Exact, bits(0.7, max(2e-4, s.frequency(ofGiven, other.Text)))}}
			if joined[0].weight+joined[1].weight > surname.weight+given.weight+whole.weight {
				return joined[0], joined[1], level{}
			}
		}
	}
	return surname, given, whole
}

func nameLevel(a, b pii.NamePart, kind int, s *Stats) level {
	if a.Text == "" || b.Text == "" {
		return level{}
	}
	if a.Text == b.Text {
		return level{Exact, bits(0.85, max(2e-4, s.frequency(kind, a.Text)))}
	}
	if a.Spelling == b.Spelling && a.Han != b.Han {
		return level{Phonetic, bits(0.8, max(2e-4, s.frequency(kind, a.Spelling)))}
	}
	different := level{Different, -5}
	if kind == ofSurname {
		different.weight = -4.5 // marriage
	}
	if a.Han && b.Han {
		return hanLevel(a, b, kind, s, different)
	}
	x, y := a.Spelling, b.Spelling
	short, long := x, y
	if len(short) > len(long) {
		short, long = long, short
	}
	switch {
	case len(short) == 1:
		if short[0] == long[0] {
			return level{Initial, 3.5}
		}
		return different
	case kind == ofGiven && nicknames[x] != 0 && nicknames[x] == nicknames[y]:
		return level{Nickname, 4}
	}
	common := max(s.frequency(kind, a.Text), s.frequency(kind, b.Text))
	d := distance(x, y, 2)
	switch {
	case d == 1 && len(short) >= 3:
		return level{Close, bits(0.1, 0.0008+1.5*common)}
	case d == 2 && len(short) >= 5:
		return level{Similar, bits(0.04, 0.003+2*common)}
	}
	switch jw := jaroWinkler(x, y); {
	case jw >= 0.92:
		return level{Similar, bits(0.04, 0.004+2*common)}
	case len(short) >= 3 && strings.HasPrefix(long, short):
		return level{Partial, 2}
	case jw >= 0.84:
		return level{Partial, 0}
	case jw >= 0.75:
		return level{Different, different.weight / 2}
	}
	return different
}

// hanLevel compares names written in Han characters: each character is half a
// name, so a letter's difference in pinyin means nothing.
func hanLevel(a, b pii.NamePart, kind int, s *Stats, different level) level {
	if a.Spelling == b.Spelling {
		return level{Phonetic, bits(0.08, max(2e-4, s.frequency(kind, a.Spelling)))}
	}
	x, y := []rune(a.Text), []rune(b.Text)
	if len(x) == 2 && len(y) == 2 && x[0] == y[1] && x[1] == y[0] {
		return level{Transposed, 5}
	}
	common := 0
	for _, r := range x {
		if strings.ContainsRune(b.Text, r) {
			common++
		}
	}
	switch {
	case common == 0:
		return different
	case len(x) != len(y) && common == min(len(x), len(y)): // 小明 and 明
		return level{Partial, 1}
	}
	return level{Partial, -1}
}

func addresses(a, b *Person, s *Stats) level {
	var sum float64
	known := false
	add := func(w float64) { sum, known = sum+w, true }

	// A place and its postcode say the same twice.
	where, spoke := placeWeight(a, b, s)
	if spoke {
		add(where)
	}
	if a.region != "" && b.region != "" {
		switch {
		case a.region == b.region || distance(a.region, b.region, 1) <= 1:
			add(0.5)
		default:
			add(-1)
		}
	}
	if a.number != "" && b.number != "" {
		switch {
		case a.number == b.number:
			add(bits(0.75, max(1e-3, s.frequency(ofNumber, a.number))))
		case distance(a.number, b.number, 1) == 1:
			add(0.5)
		default:
			add(-1.5)
		}
	}
	if w, ok := streetWeight(a, b, s); ok {
		add(w)
	}
	if a.line2 != "" && b.line2 != "" && distance(a.line2, b.line2, 1) <= 1 {
		add(4)
	}
	if !known {
		return level{}
	}
	sum = max(-4, min(mostOfAddress, sum))
	switch {
	case sum >= 12:
		return level{Exact, sum}
	case sum >= 8:
		return level{Close, sum}
	case sum >= 3:
		return level{Similar, sum}
	case sum > -1:
		return level{Partial, sum}
	}
	return level{Different, sum}
}

func placeWeight(a, b *Person, s *Stats) (float64, bool) {
	var weights [2]float64
	n := 0
	if a.place != "" && b.place != "" {
		weights[n] = -1
		switch d := distance(a.place, b.place, 2); {
		case d == 0:
			weights[n] = min(8, bits(0.8, s.frequency(ofPlace, a.place)))
		case d <= 2 && len(a.place) >= 6 && len(b.place) >= 6, jaroWinkler(a.place, b.place) >= 0.93:
			weights[n] = max(0, min(6, bits(0.15, 0.001+s.frequency(ofPlace, a.place))))
		}
		n++
	}
	if a.postcode != "" && b.postcode != "" {
		weights[n] = -1
		switch distance(a.postcode, b.postcode, 1) {
		case 0:
			weights[n] = min(8, bits(0.8, s.frequency(ofPostcode, a.postcode)))
		case 1:
			weights[n] = 1.5
		}
		n++
	}
	switch n {
	case 0:
		return 0, false
	case 1:
		return weights[0], true
	}
	return max(weights[0], weights[1]) + 0.3*min(weights[0], weights[1]), true
}

func streetWeight(a, b *Person, s *Stats) (float64, bool) {
	best, any := -2.0, false
	for _, x := range [...]string{a.street, a.line2} {
		for _, y := range [...]string{b.street, b.line2} {
			if x == "" || y == "" || x == a.line2 && y == b.line2 && a.street != "" && b.street != "" {
				continue
			}
			any = true
			w := -2.0
			switch d := distance(x, y, 2); {
			case d == 0:
				w = min(10, bits(0.7, max(3e-4, s.frequency(ofStreet, x))))
			case d <= 2 && min(len(x), len(y)) >= 6:
				w = 6
			default:
				if jw := jaroWinkler(x, y); jw >= 0.92 {
					w = 4
				} else if jw >= 0.85 {
					w = 1
				}
			}
			best = max(best, w)
		}
	}
	return best, any
}
