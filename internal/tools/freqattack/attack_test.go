package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func byName(t *testing.T, name string) scheme {
	t.Helper()
	for _, s := range schemes {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no scheme %s", name)
	return scheme{}
}

func run(t *testing.T, name string, n int) result {
	t.Helper()
	s := byName(t, name)
	d, k := makeDump(s, n), learn(s, 4*n, 0)
	return d.score(k, attack(d, k, 200, 0), 2000)
}

// The tool must really attack: a program that guesses nothing would make any index look safe.
func TestAttackBeatsBlindGuessing(t *testing.T) {
	shipped := run(t, "shipped", 8000)
	require.Greater(t, shipped.surname, 2*shipped.blindSurname)
	require.Greater(t, shipped.full, 20*shipped.blindFull)
	require.Greater(t, shipped.tokens, 0.1)
	pairs := run(t, "pairs", 8000)
	require.Less(t, pairs.surname, shipped.surname/2, "pairs alone give less away than pinyin")
}

func TestDistortionChangesTheSample(t *testing.T) {
	s := byName(t, "pairs")
	exact, off := learn(s, 5000, 0), learn(s, 5000, 0.3)
	require.InDelta(t, 5000, exact.total, 0.5)
	require.Less(t, off.total, exact.total)
	require.Positive(t, off.total)
}

func TestDumpCarriesNoNames(t *testing.T) {
	d := makeDump(byName(t, "shipped"), 100)
	require.Len(t, d.rows, 100)
	require.NotEqual(t, d.rows, makeDump(byName(t, "shipped"), 100).rows, "other keys, other tokens")
}
