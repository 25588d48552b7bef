package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

// Records with a known truth: people, households with twins and fathers whose
// sons bear their name, and several copies of a record or of a copy, with the
// mistakes that people and machines make. Nothing in here is taken from a file
// of labelled pairs.

type labelled struct {
	Record
	person int
}

type generator struct {
	r                              *rand.Rand
	given, surnames, roads, places []string
}

var (
	someGiven    = strings.Fields("james mary john patricia robert jennifer michael linda william elizabeth david barbara richard susan joseph jessica thomas sarah charles karen emily jack olivia lachlan chloe joshua isabella ethan mia thomas ruby noah grace oliver sophie liam hannah lucas zoe benjamin georgia samuel ella harrison charlotte nicholas lily mitchell amelia jacob alexandra matthew lauren daniel madison riley brianna angus caitlin hugo finn stella harry poppy tahlia jayden kiandra blake teagan")
	someSurnames = strings.Fields("smith jones williams brown wilson taylor nguyen johnson martin white anderson walker thompson thomas lee harris ryan robinson kelly king davis wright evans roberts green hall wood jackson clarke clark hughes edwards hill scott cooper ward murphy campbell mitchell watson bennett matthews russell stevens webb ryan reid")
	heads        = strings.Fields("al ber car dar el far gar hol in jar kel lin mar nor ol par quin ros sal tor ul ver wil yar zel bram cald dun esk fen glen har")
	tails        = strings.Fields("ton ley ford wick field son man er ing ham worth by well dale shaw mere stead bury gate more combe ridge")
	kinds        = strings.Fields("street road avenue drive place crescent circuit close court lane")
)

func newGenerator(seed uint64) *generator {
	g := &generator{r: rand.New(rand.NewPCG(seed, 7))}
	make := func(start []string, n int) []string {
		out := slices.Clone(start)
		for len(out) < n {
			w := g.one(heads) + g.one(tails)
			if g.r.IntN(3) == 0 {
				w = g.one(heads) + w
			}
			out = append(out, w)
		}
		return out
	}
	g.given, g.surnames = make(someGiven, 400), make(someSurnames, 2000)
	g.roads, g.places = make(nil, 1500), make(nil, 400)
	return g
}

func (g *generator) one(of []string) string { return of[g.r.IntN(len(of))] }

// skewed picks the first ones more often, as names are borne.
func (g *generator) skewed(of []string) string {
	x := g.r.Float64()
	return of[int(x*x*float64(len(of)))]
}

func (g *generator) address() Address {
	place := g.r.IntN(len(g.places))
	a := Address{Number: fmt.Sprint(1 + g.r.IntN(200)), Line1: g.one(g.roads) + " " + g.one(kinds), Place: g.places[place], Postcode: fmt.Sprint(2000 + place*7%1000), Region: g.one([]string{"nsw", "vic", "qld", "wa"})}
	if g.r.IntN(3) == 0 {
		a.Line2 = g.one(g.roads) + " " + g.one([]string{"village", "farm", "gardens", "towers"})
	}
	return a
}

func (g *generator) birth() string {
	return fmt.Sprintf("%04d%02d%02d", 1930+g.r.IntN(80), 1+g.r.IntN(12), 1+g.r.IntN(28))
}

func (g *generator) western() Record {
	return Record{Given: g.skewed(g.given), Surname: g.skewed(g.surnames), BirthDate: g.birth(), Address: g.address()}
}

// people makes families and singles.
func (g *generator) people(n int) []Record {
	var out []Record
	for len(out) < n {
		p := g.western()
		out = append(out, p)
		if g.r.IntN(6) != 0 {
			continue
		}
		for range 1 + g.r.IntN(3) {
			q := p
			q.Given, q.BirthDate = g.skewed(g.given), g.birth()
			switch g.r.IntN(20) {
			case 0:
				q.BirthDate = p.BirthDate // a twin
			case 1:
				q.Given = p.Given // named after the father
			}
			if q.Given == p.Given && q.BirthDate == p.BirthDate {
				continue
			}
			out = append(out, q)
		}
	}
	return out[:n]
}

func (g *generator) chinese(seed uint64, n int) []Record {
	from := fakepeople.New(seed)
	var out []Record
	for range n {
		p := from.Person()
		out = append(out, Record{Name: p.Name, BirthDate: p.BirthDate.Format("20060102"), Gender: string(p.Gender), Phones: []string{p.Phone}, Emails: []string{p.Email},
			Address: Address{Line1: p.Address.Line1, Place: p.Address.City, Postcode: p.Address.PostalCode, Region: p.Address.Region}})
	}
	return out
}

// typo makes one mistake in a text.
func (g *generator) typo(s string) string {
	r := []rune(s)
	if len(r) < 2 {
		return s
	}
	i := g.r.IntN(len(r))
	letter := rune('a' + g.r.IntN(26))
	if r[i] >= '0' && r[i] <= '9' {
		letter = rune('0' + g.r.IntN(10))
	}
	switch g.r.IntN(5) {
	case 0:
		return string(slices.Insert(r, i, letter))
	case 1:
		return string(slices.Delete(r, i, i+1))
	case 2:
		if i+1 < len(r) {
			r[i], r[i+1] = r[i+1], r[i]
		}
		return string(r)
	case 3:
		if heard := strings.NewReplacer("ph", "f", "ck", "k", "ie", "ei", "ll", "l", "y", "i", "ee", "ea", "s", "z", "c", "k").Replace(s); heard != s {
			return heard
		}
	}
	r[i] = letter
	return string(r)
}

func (g *generator) digit(s string) string {
	if s == "" {
		return s
	}
	r := []byte(s)
	i := g.r.IntN(len(r))
	if g.r.IntN(3) == 0 && i > 0 {
		r[i], r[i-1] = r[i-1], r[i]
	} else {
		r[i] = byte('0' + g.r.IntN(10))
	}
	return string(r)
}

// spoil copies a record with some mistakes.
func (g *generator) spoil(p Record) Record {
	for range 1 + g.r.IntN(3) {
		a := &p.Address
		switch g.r.IntN(22) {
		case 0, 1:
			p.Given = g.typo(p.Given)
		case 2, 3:
			p.Surname = g.typo(p.Surname)
		case 4:
			p.Given, p.Surname = p.Surname, p.Given
		case 5:
			p.Given = ""
		case 6:
			p.BirthDate = ""
		case 7, 8:
			p.BirthDate = g.digit(p.BirthDate)
		case 9:
			if len(p.BirthDate) == 8 {
				p.BirthDate = p.BirthDate[:4] + p.BirthDate[6:] + p.BirthDate[4:6]
			}
		case 10:
			if p.Given != "" {
				p.Given = p.Given[:1]
			}
		case 11:
			p.Given = g.nickname(p.Given)
		case 12:
			a.Number = g.digit(a.Number)
		case 13:
			a.Number = ""
		case 14, 15:
			a.Line1 = g.typo(a.Line1)
		case 16:
			a.Line1, a.Line2 = a.Line2, a.Line1
		case 17:
			a.Place = g.typo(a.Place)
		case 18:
			a.Postcode = g.digit(a.Postcode)
		case 19:
			a.Line1 = ""
		case 20:
			if g.r.IntN(2) == 0 {
				*a = g.address() // moved
			}
		case 21:
			if g.r.IntN(3) == 0 {
				p.Surname = g.skewed(g.surnames) // married
			}
		}
	}
	return p
}

func (g *generator) nickname(s string) string {
	for _, other := range slices.Sorted(maps.Keys(nicknames)) {
		if group := nicknames[other]; other != s && group == nicknames[s] && group != 0 && g.r.IntN(2) == 0 {
			return other
		}
	}
	return s
}

func (g *generator) spoilChinese(p Record) Record {
	for range 1 + g.r.IntN(3) {
		a := &p.Address
		switch g.r.IntN(12) {
		case 0:
			// In pinyin, in either order.
			s, given := pinyin(p.Name)
			p.Name = given + " " + s
			if g.r.IntN(2) == 0 {
				p.Name = s + " " + given
			}
		case 1:
			p.BirthDate = g.digit(p.BirthDate)
		case 2:
			p.BirthDate = ""
		case 3:
			a.Line1 = ""
		case 4, 5:
			a.Line1 = g.typo(a.Line1)
		case 6:
			p.Phones = []string{g.digit(p.Phones[0])}
		case 7, 8:
			p.Phones = []string{fmt.Sprintf("+861%010d", g.r.IntN(1e10))}
		case 9:
			p.Emails = nil
		case 10:
			p.Gender = ""
		case 11:
			a.Postcode = g.digit(a.Postcode)
		}
	}
	return p
}

// file makes n records, three of ten of them copies.
func file(people []Record, n int, r *rand.Rand, spoil func(Record) Record) []labelled {
	out := make([]labelled, 0, n)
	for i, p := range people {
		out = append(out, labelled{p, i})
	}
	for len(out) < n {
		of := out[r.IntN(len(out))] // may be a copy itself
		out = append(out, labelled{spoil(of.Record), of.person})
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
