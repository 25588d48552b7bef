package main

import (
	"math"
	"slices"
	"strings"
)

type result struct {
	tokens                  float64 // share of the attacked tokens taken for the right term
	surname, full           float64 // share of customers guessed right
	blindSurname, blindFull float64 // by always saying the commonest
}

// score guesses the name behind evenly spread rows and compares with the truth.
func (d *dump) score(k *knowledge, meaning map[int32]int32, n int) result {
	var r result
	for t, id := range meaning {
		if d.truth[t] == k.terms[id] {
			r.tokens++
		}
	}
	r.tokens /= float64(len(meaning))

	commonest, best := "", 0.0
	for s, c := range k.surname {
		if c > best {
			commonest, best = s, c
		}
	}
	matched := make([]bool, len(k.terms))
	for _, id := range meaning {
		matched[id] = true
	}
	step := max(1, len(d.rows)/n)
	rows := 0.0
	for i := 0; i < len(d.rows); i += step {
		rows++
		surname, name := k.guess(d.rows[i], meaning, matched)
		if surname == "" {
			surname, name = commonest, k.names[0].name
		}
		if surname == d.surname[i] {
			r.surname++
		}
		if name == d.names[i] {
			r.full++
		}
		if commonest == d.surname[i] {
			r.blindSurname++
		}
		if k.names[0].name == d.names[i] {
			r.blindFull++
		}
	}
	r.surname, r.full, r.blindSurname, r.blindFull = r.surname/rows, r.full/rows, r.blindSurname/rows, r.blindFull/rows
	return r
}

const perTerm = 400 // names considered for each recognised term

// guess finds the known name that explains a row best: it has the recognised terms, lacks those
// not there, and has as many terms; of equals the commoner. Names outside the thief's statistics
// are pieced together from three pairs that fit (王小, 小明, 王明).
func (k *knowledge) guess(row []int32, meaning map[int32]int32, matched []bool) (surname, name string) {
	var have []int32
	for _, t := range row {
		if id, ok := meaning[t]; ok {
			have = append(have, id)
		}
	}
	if len(have) == 0 {
		return "", ""
	}
	slices.SortFunc(have, func(a, b int32) int { return len(k.byTerm[a]) - len(k.byTerm[b]) })
	bySize := slices.Clone(have)
	slices.Sort(have)
	best := math.Inf(-1)
	seen := map[int32]bool{}
	for _, id := range bySize[:min(4, len(bySize))] {
		names := k.byTerm[id]
		for _, n := range names[:min(perTerm, len(names))] {
			if seen[n] {
				continue
			}
			seen[n] = true
			kn := k.names[n]
			s := fit(kn.terms, have, matched) - 2*math.Abs(float64(len(kn.terms)-len(row))) + 0.3*math.Log(kn.count)
			if s > best {
				best, surname, name = s, kn.surname, kn.name
			}
		}
	}
	if s, n := k.assemble(have); n != "" && best < float64(len(have))-2 {
		return s, n
	}
	return surname, name
}

// fit is the number of recognised terms a name explains, less those it cannot.
func fit(terms, have []int32, matched []bool) float64 {
	s := 0.0
	for _, t := range terms {
		if _, ok := slices.BinarySearch(have, t); ok {
			s++
		} else if matched[t] {
			s--
		}
	}
	return s
}

func (k *knowledge) assemble(have []int32) (surname, name string) {
	var pairs [][2]rune
	for _, id := range have {
		if p, ok := strings.CutPrefix(k.terms[id], "h:"); ok {
			r := []rune(p)
			pairs = append(pairs, [2]rune{r[0], r[1]})
		}
	}
	for _, x := range pairs {
		for _, y := range pairs {
			if x[1] == y[0] && slices.Contains(pairs, [2]rune{x[0], y[1]}) && k.surname[string(x[0])] > 0 {
				return string(x[0]), string([]rune{x[0], x[1], y[1]})
			}
		}
	}
	return "", ""
}
