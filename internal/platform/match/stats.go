package match

import (
	"math"
	"slices"
	"strings"
)

// What values are counted as.
const (
	ofSurname = iota + 1
	ofGiven
	ofBirth
	ofPlace
	ofPostcode
	ofStreet
	ofNumber
)

// Stats are the frequencies of values among the records to be compared, in a
// sketch of constant size: a frequency may come out too high, never too low.
// Fill it before comparing; then it may be read by many at once.
type Stats struct {
	n         int64
	uncounted bool
	rate      float64 // duplicates for each record; 0 is usualRate
	family    float64 // pairs of one household that are two persons, for each record; 0 is usualFamily
	counts    *[sketchRows][sketchWidth]uint32
}

const (
	sketchRows  = 4
	sketchWidth = 1 << 19
)

func hashOf(kind int, s string) uint64 {
	h := uint64(14695981039346656037) ^ uint64(kind)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h ^= h >> 32
	return h * 0x9e3779b97f4a7c15
}

// NewStats makes empty ones (8 MB).
func NewStats() *Stats { return &Stats{counts: new([sketchRows][sketchWidth]uint32)} }

// Usual are statistics for comparing single records with n others whose values
// have not been counted.
func Usual(n int64) *Stats { return &Stats{n: n, uncounted: true} }

// Add counts the values of a record.
func (s *Stats) Add(p *Person) {
	s.n++
	s.count(ofSurname, p.surname.Text)
	s.count(ofGiven, p.given.Text)
	if p.surname.Han {
		s.count(ofSurname, p.surname.Spelling)
	}
	if p.given.Han {
		s.count(ofGiven, p.given.Spelling)
	}
	if p.birth != 0 {
		s.count(ofBirth, dateText(p.birth))
	}
	s.count(ofPlace, p.place)
	s.count(ofPostcode, p.postcode)
	s.count(ofStreet, p.street)
	s.count(ofNumber, p.number)
}

func (s *Stats) count(kind int, v string) {
	if v == "" {
		return
	}
	h := hashOf(kind, v)
	for row := range sketchRows {
		s.counts[row][place(h, row)]++
	}
}

func place(h uint64, row int) uint32 {
	return uint32((h + uint64(row)*(h>>32|1)*0x9e3779b97f4a7c15) >> 20 & (sketchWidth - 1))
}

// usual are the frequencies assumed while there are too few records to tell.
var usual = [...]float64{ofSurname: 0.01, ofGiven: 0.003, ofBirth: 1. / 18000, ofPlace: 0.01, ofPostcode: 0.005, ofStreet: 0.001, ofNumber: 0.01}

// strength is how many records' worth the usual frequencies count.
const strength = 500

// frequency of a value among non-duplicates.
func (s *Stats) frequency(kind int, v string) float64 {
	if s == nil || s.n == 0 || s.uncounted {
		return usual[kind]
	}
	least := uint32(math.MaxUint32)
	h := hashOf(kind, v)
	for row := range sketchRows {
		least = min(least, s.counts[row][place(h, row)])
	}
	return (float64(least) + strength*usual[kind]) / (float64(s.n) + strength)
}

// records are how many the prior reckons with.
func (s *Stats) records() float64 {
	if s == nil {
		return leastRecords
	}
	return max(leastRecords, float64(s.n))
}

// leastRecords keeps a handful of records from making a duplicate look likely.
const leastRecords = 1000

// usualRate is how many duplicates there are for each record, until Find has
// estimated it.
const usualRate = 0.1

// usualFamily and leastFamily bound how many pairs of relatives under one roof
// there are for each record.
const (
	usualFamily = 1.5
	leastFamily = 0.1
)

// household is the most, in bits, that all what a household shares can say.
func (s *Stats) household() float64 {
	family := usualFamily
	if s != nil && s.family > 0 {
		family = s.family
	}
	return math.Log2(s.records() / (2 * family))
}

// prior is how likely a pair is one person before it is looked at, in bits.
func (s *Stats) prior() float64 {
	rate := usualRate
	if s != nil && s.rate > 0 {
		rate = s.rate
	}
	return math.Log2(2 * rate / s.records()) // n·rate of n²/2 pairs
}

// estimate sets the rate to the one that the pairs' own weights speak for, by
// expectation and maximisation. No labels are needed: at each rate the scores
// say how many duplicates to expect, which gives the next rate.
func (s *Stats) estimate(bits []float32) {
	rate := usualRate
	for range 30 {
		shift := math.Log2(rate / usualRate)
		expected := 0.0
		for _, b := range bits {
			expected += probability(float64(b) + shift)
		}
		rate = min(1, max(0.02, expected/s.records()))
	}
	s.rate = rate
}

// Interner keeps one copy of each of the values that many records have: names,
// places. A million records fit into half the memory.
type Interner map[string]string

// Compact makes a person share its common values with those before it.
func (in Interner) Compact(p *Person) {
	for _, v := range [...]*string{&p.surname.Text, &p.surname.Spelling, &p.given.Text, &p.given.Spelling, &p.place, &p.postcode, &p.region} {
		if old, ok := in[*v]; ok {
			*v = old
			continue
		}
		*v = strings.Clone(*v) // not a part of a longer text
		in[*v] = *v
	}
	p.ids, p.phones, p.emails = slices.Clip(p.ids), slices.Clip(p.phones), slices.Clip(p.emails)
}
