package main

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// The attack matches tokens of the dump to terms by how often each occurs and how often each
// occurs together with others, in the manner of Cash et al. (CCS 2015) and of the refined score
// attack of Damie et al. (USENIX Security 2021): the most frequent tokens are first taken for the
// terms of their rank and exchanged as long as their co-occurrence fits better; all others are then
// compared by their co-occurrence with those, the most certain matches join the known ones, and so
// on until everything is matched.

// matrix holds, for the top tokens or terms, the shares of rows with one and with both.
type matrix struct {
	n    int
	both []float32 // n×n; the diagonal is the share of one
	rows float64
}

func (m *matrix) at(i, j int) float64 { return float64(m.both[i*m.n+j]) }

func dumpMatrix(d *dump, tokens []int32) *matrix {
	index := make(map[int32]int, len(tokens))
	for i, t := range tokens {
		index[t] = i
	}
	m := &matrix{n: len(tokens), both: make([]float32, len(tokens)*len(tokens)), rows: float64(len(d.rows))}
	var in []int
	for _, row := range d.rows {
		in = in[:0]
		for _, t := range row {
			if i, ok := index[t]; ok {
				in = append(in, i)
			}
		}
		m.count(in, 1)
	}
	m.scale()
	return m
}

func termMatrix(k *knowledge, terms []int32) *matrix {
	index := make(map[int32]int, len(terms))
	for i, t := range terms {
		index[t] = i
	}
	m := &matrix{n: len(terms), both: make([]float32, len(terms)*len(terms)), rows: k.total}
	var in []int
	for _, name := range k.names {
		in = in[:0]
		for _, t := range name.terms {
			if i, ok := index[t]; ok {
				in = append(in, i)
			}
		}
		m.count(in, float32(name.count))
	}
	m.scale()
	return m
}

func (m *matrix) count(in []int, by float32) {
	for _, a := range in {
		for _, b := range in {
			m.both[a*m.n+b] += by
		}
	}
}

func (m *matrix) scale() {
	for i := range m.both {
		m.both[i] /= float32(m.rows)
	}
}

type guess struct {
	term   int     // index among the top terms
	margin float64 // how much better than the second best
}

const (
	firstKnown = 60  // tokens matched by rank and exchange
	maxKnown   = 250 // references used for comparing
	growth     = 1.5
)

// attack returns the term id it takes each of the top tokens for.
func attack(d *dump, k *knowledge, top int, off float64) map[int32]int32 {
	tokens := make([]int32, 0, len(d.counts))
	for t := range d.counts {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b int32) int { return cmp.Or(cmp.Compare(d.counts[b], d.counts[a]), cmp.Compare(a, b)) })
	terms := make([]int32, len(k.terms))
	for i := range terms {
		terms[i] = int32(i)
	}
	slices.SortFunc(terms, func(a, b int32) int { return cmp.Or(cmp.Compare(k.weight[b], k.weight[a]), cmp.Compare(a, b)) })
	tokens, terms = tokens[:min(top, len(tokens))], terms[:min(top*5/4, len(terms))]

	a := &attacker{d: dumpMatrix(d, tokens), k: termMatrix(k, terms), off: off}
	a.run()
	out := make(map[int32]int32, len(tokens))
	for i, g := range a.guesses {
		if g.term >= 0 {
			out[tokens[i]] = terms[g.term]
		}
	}
	return out
}

type attacker struct {
	d, k    *matrix
	off     float64
	guesses []guess
}

func (a *attacker) run() {
	a.guesses = make([]guess, a.d.n)
	known := a.seed()
	order := make([]int, a.d.n)
	for want := firstKnown; ; want = int(float64(want) * growth) {
		// A few rounds at each size let early mistakes be revised.
		for range 2 {
			next := make([]guess, a.d.n)
			for i := range next {
				next[i] = a.best(i, known)
			}
			a.guesses = next
			for i := range order {
				order[i] = i
			}
			slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(next[y].margin, next[x].margin) })
			known = a.distinct(order, min(want, maxKnown))
		}
		if want >= min(maxKnown, a.d.n) {
			return
		}
	}
}

// seed matches the most frequent tokens: by rank, then moving or exchanging meanings while that
// makes the whole fit better.
func (a *attacker) seed() []int {
	n := min(firstKnown, a.d.n, a.k.n)
	pool := min(n*3/2, a.k.n)
	known, owner := make([]int, n), make([]int, pool)
	for t := range owner {
		owner[t] = -1
	}
	for i := range known {
		known[i], owner[i] = i, i
		a.guesses[i].term = i
	}
	cost := func(i, t, except int) float64 {
		c := a.distance(a.d.at(i, i), a.k.at(t, t))
		for _, j := range known {
			if j != i && j != except {
				c += a.compare(i, j, t, a.guesses[j].term)
			}
		}
		return c
	}
	for improved, round := true, 0; improved && round < 50; round++ {
		improved = false
		for i := range known {
			for t := range owner {
				j, from := owner[t], a.guesses[i].term
				if t == from {
					continue
				}
				gain := cost(i, from, j) - cost(i, t, j)
				if j >= 0 {
					gain += cost(j, t, i) - cost(j, from, i) + a.compare(i, j, from, t) - a.compare(i, j, t, from)
				}
				if gain > 1e-6 {
					owner[t], owner[from] = i, j
					a.guesses[i].term = t
					if j >= 0 {
						a.guesses[j].term = from
					}
					improved = true
				}
			}
		}
	}
	return known
}

// distinct takes the most certain guesses, no term twice.
func (a *attacker) distinct(order []int, n int) []int {
	used := map[int]bool{}
	known := make([]int, 0, n)
	for _, i := range order {
		if g := a.guesses[i]; g.term >= 0 && !used[g.term] && len(known) < n {
			used[g.term] = true
			known = append(known, i)
		}
	}
	return known
}

// best compares token i with each term of a similar frequency.
func (a *attacker) best(i int, known []int) guess {
	f := a.d.at(i, i)
	slack := 5*math.Sqrt(f*(1/a.d.rows+1/a.k.rows)) + f*2.5*a.off + 1e-9
	lo, hi := a.window(f-slack, f+slack)
	g := guess{term: -1}
	first, second := math.Inf(1), math.Inf(1)
	for t := lo; t < hi; t++ {
		cost := a.distance(f, a.k.at(t, t))
		for _, j := range known {
			cost += a.compare(i, j, t, a.guesses[j].term)
			if cost > second {
				break
			}
		}
		switch {
		case cost < first:
			first, second, g.term = cost, first, t
		case cost < second:
			second = cost
		}
	}
	if math.IsInf(second, 1) {
		second = first + 50
	}
	g.margin = (second - first) / (1 + first/float64(len(known)+1))
	return g
}

// window finds the terms with a share in [from, to]; they are sorted by falling share.
func (a *attacker) window(from, to float64) (lo, hi int) {
	lo = sort.Search(a.k.n, func(t int) bool { return a.k.at(t, t) <= to })
	return lo, lo + sort.Search(a.k.n-lo, func(t int) bool { return a.k.at(lo+t, lo+t) < from })
}

// compare scores how differently (i with j) and (t with u) occur together, given the one and given
// the other. Shares of 0 and 1, which follow from how terms are made, weigh most.
func (a *attacker) compare(i, j, t, u int) float64 {
	db, kb := a.d.at(i, j), a.k.at(t, u)
	c := a.conditional(db, a.d.at(i, i), kb, a.k.at(t, t))
	return c + a.conditional(db, a.d.at(j, j), kb, a.k.at(u, u))
}

func (a *attacker) conditional(db, df, kb, kf float64) float64 {
	p, q := db/df, kb/kf
	mean := (p + q) / 2
	spread := max(mean*(1-mean), 0.5/(df*a.d.rows))
	variance := spread*(1/(df*a.d.rows)+1/(kf*a.k.rows)) + sq(a.off*1.5*mean*(1-mean)) + 1e-8
	return min(sq(p-q)/variance, 25)
}

func (a *attacker) distance(p, q float64) float64 {
	return min(sq(p-q)/(p*(1/a.d.rows+1/a.k.rows)+sq(a.off*1.5*p)+1e-12), 25)
}

func sq(x float64) float64 { return x * x }
