package match

import (
	"cmp"
	"context"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// How many records may share a key and all be compared, and how many
// neighbours a record is compared with where more do.
const (
	maxBlock  = 80
	neighbour = 12
	// held is the least sum of a pair that is kept until the rate of duplicates is
	// known, and mostHeld how many such are kept (64 bytes each) before only those
	// that reach the least score at the usual rate are.
	held     = -3.0
	mostHeld = 4_000_000
)

// Pair is two records by their numbers, Left < Right.
type Pair struct {
	Left, Right int32
	Score       float64
}

// Report tells what a search for duplicates did.
type Report struct {
	Compared int64 // pairs
	// Divided are blocks too large to compare whole: they were divided by further
	// values, and what was still too large was sorted and each record compared with
	// its neighbours.
	Divided  int64
	Windowed int64 // blocks that were sorted
	// Rate and Family are how many duplicates and how many relatives under one
	// roof there seem to be for each record.
	Rate, Family float64
}

type entry struct {
	key    uint64
	record int32
}

// A pass makes keys; records with the same one are proposed as pairs.
type pass func(p *Person, add func(parts ...string))

// passes stand each for a kind of mistake that the others miss. Both parts of
// a name go into one space of keys, so that exchanged ones still meet.
var passes = []pass{
	// Another address, given name mistyped: a part of the name and the year.
	func(p *Person, add func(...string)) {
		if p.birth != 0 {
			year := dateText(p.birth / 10000)
			each(p, func(name string) { add(phonetic(name), year) })
		}
	},
	// Name mistyped beyond recognition: the birth date, day and month in either order.
	func(p *Person, add func(...string)) {
		if p.birth != 0 {
			m, d := p.birth/100%100, p.birth%100
			add(dateText(p.birth/10000), dateText(min(m, d)), dateText(max(m, d)))
		}
	},
	// Year mistyped: day, month and the initials.
	func(p *Person, add func(...string)) {
		if p.birth != 0 && p.given.Spelling != "" && p.surname.Spelling != "" {
			m, d := p.birth/100%100, p.birth%100
			x, y := p.given.Spelling[:1], p.surname.Spelling[:1]
			add(min(x, y), max(x, y), dateText(min(m, d)), dateText(max(m, d)))
		}
	},
	// No birth date: both parts of the name by sound.
	func(p *Person, add func(...string)) {
		if p.given.Spelling != "" {
			x, y := phonetic(p.given.Spelling), phonetic(p.surname.Spelling)
			add(min(x, y), max(x, y))
		}
	},
	// No birth date, name entered as one word.
	func(p *Person, add func(...string)) { add(p.surname.Spelling + p.given.Spelling) },
	// Part of the name mistyped, no birth date: the other part and the postcode, or the place.
	func(p *Person, add func(...string)) {
		if p.postcode != "" {
			each(p, func(name string) { add(phonetic(name), p.postcode) })
		}
	},
	func(p *Person, add func(...string)) {
		if p.place != "" {
			each(p, func(name string) { add(name, p.place) })
		}
	},
	// Name and birth date unusable: house and postcode, house and street.
	houses,
	func(p *Person, add func(...string)) {
		if p.number != "" {
			for _, street := range [...]string{p.street, p.line2} {
				if street != "" {
					add(p.number, street)
				}
			}
		}
	},
	// No house number either.
	func(p *Person, add func(...string)) {
		for _, street := range [...]string{p.street, p.line2} {
			if street != "" && p.postcode != "" {
				add(street, p.postcode)
			}
			if street != "" && p.place != "" {
				add(street, p.place)
			}
		}
	},
	// What outsiders gave.
	func(p *Person, add func(...string)) {
		for _, id := range p.ids {
			add("id", id.Kind, id.Value)
		}
		for _, v := range p.phones {
			add("phone", v[max(0, len(v)-8):])
		}
		for _, v := range p.emails {
			if user, _, _ := strings.Cut(v, "@"); len(user) >= 5 {
				add("mail", user)
			}
		}
	},
	// The same with one digit wrong: half the number and an initial.
	func(p *Person, add func(...string)) {
		initial := p.surname.Spelling
		if initial == "" {
			return
		}
		for _, v := range p.phones {
			if len(v) >= 8 {
				add("a", v[len(v)-8:len(v)-4], initial)
				add("b", v[len(v)-4:], initial)
			}
		}
	},
}

func houses(p *Person, add func(...string)) {
	if p.number != "" && p.postcode != "" {
		add(p.number, p.postcode)
	}
}

// each calls f with the parts of a name that are there.
func each(p *Person, f func(name string)) {
	for _, part := range [...]*pii.NamePart{&p.surname, &p.given} {
		if part.Spelling != "" {
			f(part.Spelling)
		}
	}
}

// Find compares the pairs of records that share a key and returns those that
// reach the least score, in order. The statistics must be of all the records;
// Find adds to them how many duplicates and how many relatives there seem to
// be, which the scores depend on. It needs 32 bytes of memory for each record besides the records and
// 64 for each likely pair, and runs on all processors. It stops when ctx ends.
// done is told how much of all passes over all records is done.
func Find(ctx context.Context, all []Person, s *Stats, least float64, done func(part, of int64)) ([]Pair, Report, error) {
	f := finder{ctx: ctx, all: all, stats: s, pairs: map[[2]int32]float32{}, least: held, strict: -math.Log2(1/least - 1)}
	s.rate, s.family = 0, 0
	entries := make([]entry, 0, 2*len(all))
	of := int64(len(passes)) * int64(len(all))
	f.each = f.countRelatives
	f.run(houses, &entries)
	s.family = max(leastFamily, min(usualFamily, float64(f.related.Load())/s.records()))
	f.each = f.compare
	for i, keys := range passes {
		if err := ctx.Err(); err != nil {
			return nil, f.report(), err
		}
		f.run(keys, &entries)
		if done != nil {
			done(int64(i+1)*int64(len(all)), of)
		}
	}
	sums := make([]float32, 0, len(f.pairs))
	for _, sum := range f.pairs {
		sums = append(sums, sum)
	}
	slices.Sort(sums) // the same result whatever the order of the map
	s.estimate(sums)
	var out []Pair
	for p := range f.pairs {
		if score := Score(&all[p[0]], &all[p[1]], s); score >= least {
			out = append(out, Pair{p[0], p[1], score})
		}
	}
	slices.SortFunc(out, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.Left, b.Left), cmp.Compare(a.Right, b.Right)) })
	return out, f.report(), ctx.Err()
}

func key(parts []string) uint64 {
	h := uint64(14695981039346656037)
	for i, p := range parts {
		for j := range len(p) {
			h = (h ^ uint64(p[j])) * 1099511628211
		}
		h = (h ^ uint64(0x100+i)) * 1099511628211
	}
	return h
}

type finder struct {
	ctx    context.Context
	all    []Person
	stats  *Stats
	strict float64 // the least score as a sum

	mu    sync.Mutex
	pairs map[[2]int32]float32 // and their sums
	least float64

	each func(a, b int32)

	compared, divided, windowed, related atomic.Int64
}

func (f *finder) report() Report {
	return Report{Compared: f.compared.Load(), Divided: f.divided.Load(), Windowed: f.windowed.Load(), Rate: f.stats.rate, Family: f.stats.family}
}

// run makes the entries of a pass and goes through them.
func (f *finder) run(keys pass, entries *[]entry) {
	*entries = (*entries)[:0]
	for r := range f.all {
		keys(&f.all[r], func(parts ...string) { *entries = append(*entries, entry{key(parts), int32(r)}) })
	}
	f.pass(*entries)
}

// pass sorts the entries and compares within each run of equal keys.
func (f *finder) pass(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(a.record, b.record)
	})
	var workers sync.WaitGroup
	var next atomic.Int64
	const share = 1 << 14
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var records []int32
			for f.ctx.Err() == nil {
				from := int(next.Add(share)) - share
				if from >= len(entries) {
					return
				}
				to := min(from+share, len(entries))
				for from > 0 && from < to && entries[from].key == entries[from-1].key {
					from++ // the worker before takes the run that began there
				}
				for from < to {
					records = records[:0]
					k := entries[from].key
					for from < len(entries) && entries[from].key == k {
						if n := len(records); n == 0 || records[n-1] != entries[from].record {
							records = append(records, entries[from].record)
						}
						from++
					}
					f.block(records, 0)
				}
			}
		})
	}
	workers.Wait()
}

// divisions are further values by which a large block is divided, one after
// the other; a record without one goes with those that lack it too.
var divisions = []func(p *Person) string{
	func(p *Person) string { return p.given.Spelling },
	func(p *Person) string { return dateText(p.birth % 10000) },
	func(p *Person) string { return p.number },
}

func (f *finder) block(records []int32, divided int) {
	switch {
	case len(records) < 2:
		return
	case len(records) <= maxBlock:
		for i, a := range records {
			for _, b := range records[i+1:] {
				f.each(a, b)
			}
		}
		return
	case divided == 0:
		f.divided.Add(1)
	}
	if divided == 0 {
		// By each value on its own: a pair needs to agree in one of them.
		for _, value := range divisions {
			groups := map[string][]int32{}
			for _, r := range records {
				v := value(&f.all[r])
				groups[v] = append(groups[v], r)
			}
			for _, group := range groups {
				f.block(group, divided+1)
			}
		}
		return
	}
	f.windowed.Add(1)
	sorted := slices.Clone(records)
	for _, order := range [...]func(a, b *Person) int{
		func(a, b *Person) int {
			return cmp.Or(cmp.Compare(a.given.Spelling, b.given.Spelling), cmp.Compare(a.birth, b.birth), cmp.Compare(a.street, b.street))
		},
		func(a, b *Person) int {
			return cmp.Or(cmp.Compare(a.birth, b.birth), cmp.Compare(a.surname.Spelling, b.surname.Spelling), cmp.Compare(a.given.Spelling, b.given.Spelling))
		},
		func(a, b *Person) int {
			return cmp.Or(cmp.Compare(a.street, b.street), cmp.Compare(a.number, b.number), cmp.Compare(a.given.Spelling, b.given.Spelling))
		},
	} {
		slices.SortFunc(sorted, func(a, b int32) int { return order(&f.all[a], &f.all[b]) })
		for i := range sorted {
			for _, b := range sorted[i+1 : min(len(sorted), i+1+neighbour)] {
				f.each(sorted[i], b)
			}
		}
	}
}

func (f *finder) countRelatives(a, b int32) {
	if relatives(&f.all[a], &f.all[b]) {
		f.related.Add(1)
	}
}

func (f *finder) compare(a, b int32) {
	f.compared.Add(1)
	sum := sum(&f.all[a], &f.all[b], f.stats)
	if sum < held {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if sum < f.least {
		return
	}
	f.pairs[[2]int32{min(a, b), max(a, b)}] = float32(sum)
	if len(f.pairs) >= mostHeld && f.least < f.strict {
		f.least = f.strict
		maps.DeleteFunc(f.pairs, func(_ [2]int32, sum float32) bool { return float64(sum) < f.strict })
	}
}
