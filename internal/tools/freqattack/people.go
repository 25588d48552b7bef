package main

import (
	"cmp"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

const (
	dumpSeed   = 11
	sampleSeed = 22 // other people of the same population
)

// dump is what the thief holds, rows, and what he does not: who they are.
type dump struct {
	rows    [][]int32
	counts  map[int32]int
	names   []string
	surname []string
	truth   map[int32]string
}

func makeDump(s scheme, n int) *dump {
	keys, people := crypto.Generate(), fakepeople.New(dumpSeed)
	d := &dump{counts: map[int32]int{}, truth: map[int32]string{}}
	cache := map[string]int32{}
	token := func(term string) int32 {
		t, ok := cache[term]
		if !ok {
			t = keys.Token("customers.name", term)
			cache[term], d.truth[t] = t, term
		}
		return t
	}
	for range n {
		p := people.Person()
		row := pii.HashTokens(s.terms(p.Name), token)
		for _, t := range row {
			d.counts[t]++
		}
		d.rows = append(d.rows, row)
		d.names, d.surname = append(d.names, p.Name), append(d.surname, p.Surname)
	}
	return d
}

// knowledge is the thief's: names with their frequency, and the terms the (public) program makes of them.
type knowledge struct {
	names   []knownName
	terms   []string // by id
	weight  []float64
	byTerm  [][]int32 // names having a term, commonest first
	total   float64
	surname map[string]float64
}

type knownName struct {
	name, surname string
	count         float64
	terms         []int32 // sorted ids
}

// learn draws a sample of the population. Off distorts it: each surname and each first character
// of a given name is over- or under-represented by a factor with that spread (log-normal).
func learn(s scheme, n int, off float64) *knowledge {
	people, keep := fakepeople.New(sampleSeed), rand.New(rand.NewPCG(5, 5))
	count, surname := map[string]float64{}, map[string]string{}
	for range n {
		p := people.Person()
		if off > 0 && keep.Float64() > bias(p.Surname, off)*bias("+"+string([]rune(p.Given)[0]), off)/math.Exp(4*off) {
			continue
		}
		count[p.Name]++
		surname[p.Name] = p.Surname
	}
	k := &knowledge{surname: map[string]float64{}}
	ids := map[string]int32{}
	for name, c := range count {
		k.names = append(k.names, knownName{name: name, surname: surname[name], count: c})
		k.total += c
		k.surname[surname[name]] += c
	}
	slices.SortFunc(k.names, func(a, b knownName) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name)) })
	for i := range k.names {
		kn := &k.names[i]
		for _, term := range s.terms(kn.name) {
			id, ok := ids[term]
			if !ok {
				id = int32(len(k.terms))
				ids[term] = id
				k.terms, k.weight, k.byTerm = append(k.terms, term), append(k.weight, 0), append(k.byTerm, nil)
			}
			kn.terms = append(kn.terms, id)
			k.weight[id] += kn.count
			k.byTerm[id] = append(k.byTerm[id], int32(i))
		}
		slices.Sort(kn.terms)
	}
	return k
}

// bias is a fixed log-normal factor for a name part, between its limits of two spreads.
func bias(part string, off float64) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part))
	z := rand.New(rand.NewPCG(h.Sum64(), 9)).NormFloat64()
	return math.Exp(off * max(-2, min(2, z)))
}
