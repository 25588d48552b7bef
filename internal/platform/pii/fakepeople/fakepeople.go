// Package fakepeople invents Chinese customers for demos, tests and benchmarks: names with the skew
// of real ones (one in fourteen is a Wang, popular given names by sex and decade), mobile numbers,
// addresses. The same seed and index give the same person on every machine.
//
// Phone numbers are valid and may by chance be somebody's; nothing must ever be sent to them.
// E-mail addresses are under example.com and reach nobody.
package fakepeople

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/mozillazg/go-pinyin"
)

// Gender is "male" or "female".
type Gender string

const (
	Male   Gender = "male"
	Female Gender = "female"
)

// Address is a place in one of a dozen large cities.
type Address struct {
	Region, City, District, Line1, PostalCode string
}

// Person is one invented customer. Phone and Email are unique within a generator.
type Person struct {
	Index          int
	Name           string
	Surname, Given string
	Gender         Gender
	Phone          string // E.164, a mainland mobile number
	Email          string // "" for two in five, as in real member lists
	BirthDate      time.Time
	Address        Address
}

// Generator makes people. At may be called concurrently, Person may not.
type Generator struct {
	seed   uint64
	offset uint64
	next   int
}

// New makes a generator.
func New(seed uint64) *Generator {
	return &Generator{seed: seed, offset: rand.New(rand.NewPCG(seed, 0x70686f6e65)).Uint64N(phoneSpace)}
}

// Person gives the next person, starting with At(0).
func (g *Generator) Person() Person {
	p := g.At(g.next)
	g.next++
	return p
}

const (
	phoneSpace = 100_000_000 // eight digits after the prefix
	phoneStep  = 61_803_399  // coprime to phoneSpace: walks through every number once
)

// At gives person number i; phones repeat only after a hundred million.
func (g *Generator) At(i int) Person {
	r := rand.New(rand.NewPCG(g.seed, uint64(i)))
	p := Person{Index: i, Gender: Male}
	if r.IntN(100) < 58 { // more women than men join a shop's club
		p.Gender = Female
	}
	year := birthYears.pick(r)
	p.BirthDate = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.IntN(365))
	p.Surname = surnames().pick(r)
	p.Given = given(r, p.Gender, year)
	p.Name = p.Surname + p.Given
	p.Phone = fmt.Sprintf("+86%s%08d", mobilePrefixes[r.IntN(len(mobilePrefixes))], (uint64(i)*phoneStep+g.offset)%phoneSpace)
	if r.IntN(5) < 3 {
		p.Email = email(r, p)
	}
	p.Address = address(r)
	return p
}

// choice draws values by weight.
type choice[T any] struct {
	values []T
	upTo   []float64 // running sum of weights
}

func (c *choice[T]) add(v T, weight float64) {
	if n := len(c.upTo); n > 0 {
		weight += c.upTo[n-1]
	}
	c.values = append(c.values, v)
	c.upTo = append(c.upTo, weight)
}

func (c *choice[T]) pick(r *rand.Rand) T {
	x := r.Float64() * c.upTo[len(c.upTo)-1]
	return c.values[sort.SearchFloat64s(c.upTo, x)]
}

// zipf weighs values given in order of popularity.
func zipf(values []string, exponent float64) *choice[string] {
	c := &choice[string]{}
	for i, v := range values {
		c.add(v, math.Pow(float64(i+2), -exponent))
	}
	return c
}

var birthYears = func() *choice[int] {
	c := &choice[int]{}
	for y := 1946; y <= 2008; y++ {
		w := 1.0
		switch {
		case y < 1965:
			w = 0.35
		case y >= 1980 && y < 2000:
			w = 1.7
		case y > 2003:
			w = 0.4
		}
		c.add(y, w)
	}
	return c
}()

var surnames = sync.OnceValue(func() *choice[string] {
	c := &choice[string]{}
	for _, entry := range strings.Fields(surnameWeights) {
		var name string
		var weight float64
		if _, err := fmt.Sscanf(strings.ReplaceAll(entry, ":", " "), "%s %f", &name, &weight); err != nil {
			panic("fakepeople: surname list: " + entry)
		}
		c.add(name, weight)
	}
	for _, name := range strings.Fields(rareSurnames) {
		c.add(name, rareWeight)
	}
	return c
})

// era holds the given names of one sex and time.
type era struct {
	until              int // last birth year
	whole, first, last *choice[string]
	single             *choice[string]
	singles            int // one-character given names per hundred
}

var eras = sync.OnceValue(func() map[Gender][]era {
	build := func(rows []eraText) (out []era) {
		for _, row := range rows {
			out = append(out, era{
				until: row.until, singles: row.singles,
				whole: zipf(strings.Fields(row.whole), 0.5), first: zipf(strings.Split(row.first, ""), 0.8),
				last: zipf(strings.Split(row.last, ""), 0.8), single: zipf(strings.Split(row.single, ""), 0.7),
			})
		}
		return out
	}
	return map[Gender][]era{Male: build(maleNames), Female: build(femaleNames)}
})

// given draws a given name: one in eight from the most popular whole names of its time, the rest
// from characters popular in first and second place.
func given(r *rand.Rand, g Gender, year int) string {
	list := eras()[g]
	i := 0
	for i < len(list)-1 && year > list[i].until {
		i++
	}
	e := list[i]
	switch n := r.IntN(100); {
	case n < e.singles:
		return e.single.pick(r)
	case n < e.singles+12:
		return e.whole.pick(r)
	}
	first := e.first.pick(r)
	if r.IntN(40) == 0 {
		return first + first // 明明, 婷婷
	}
	return first + e.last.pick(r)
}

// email builds an address as people choose them; the index makes it unique.
func email(r *rand.Rand, p Person) string {
	syllables := pinyin.LazyPinyin(p.Name, pinyin.NewArgs())
	local := strings.Join(syllables, "")
	switch r.IntN(3) {
	case 0:
		local = syllables[0]
		for _, s := range syllables[1:] {
			local += s[:1]
		}
	case 1:
		local = strings.Join(syllables[1:], "") + "." + syllables[0]
	}
	return fmt.Sprintf("%s%d@%s.example.com", local, p.Index, mailHosts[r.IntN(len(mailHosts))])
}

func address(r *rand.Rand) Address {
	c := cities[r.IntN(len(cities))]
	d := c.districts[r.IntN(len(c.districts))]
	line := fmt.Sprintf("%s%d号", roads[r.IntN(len(roads))], 1+r.IntN(998))
	if r.IntN(4) > 0 {
		line += fmt.Sprintf("%s%d幢%d0%d室", estates[r.IntN(len(estates))], 1+r.IntN(30), 1+r.IntN(28), 1+r.IntN(6))
	}
	return Address{Region: c.region, City: c.name, District: d, Line1: line, PostalCode: c.postal}
}
