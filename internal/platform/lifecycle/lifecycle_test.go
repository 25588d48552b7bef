package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

func p[T any](v T) *T { return &v }

func TestDefaultStages(t *testing.T) {
	s := lifecycle.Default()
	require.NoError(t, s.Check(rfm.Default()))
	today := clock.Day(20000)
	for _, c := range []struct {
		first, last int // days ago; -1: never
		band        string
		stage, rule string
	}{
		{-1, -1, "", lifecycle.Prospect, ""},
		{0, 0, "", lifecycle.New, "new"},
		{30, 3, "", lifecycle.New, "new"},
		{31, 3, "", lifecycle.Active, ""},
		{12, 3, rfm.Loyal, lifecycle.Loyal, "loyal"},
		{200, 91, rfm.Dormant, lifecycle.Dormant, "dormant"},
		{400, 365, rfm.Dormant, lifecycle.Dormant, "dormant"},
		{400, 366, rfm.Dormant, lifecycle.Lost, "lost"},
		{0, -2, "", lifecycle.New, "new"}, // a fast till
	} {
		f := &lifecycle.Facts{Created: today - 500, Band: c.band}
		if c.first >= 0 {
			f.First, f.Last, f.Orders = p(today-clock.Day(c.first)), p(today-clock.Day(c.last)), 1
		}
		stage, rule := s.Stage(f, today)
		assert.Equal(t, []string{c.stage, c.rule}, []string{stage, rule}, "%+v", c)
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	many := make([]lifecycle.Rule, 21)
	for _, c := range []struct {
		rules   []lifecycle.Rule
		pointer string
		fault   lifecycle.Fault
	}{
		{many, "/rules", lifecycle.FaultTooMany},
		{[]lifecycle.Rule{{Code: "A", Stage: "lost", RecencyAbove: p(1)}}, "/rules/0/code", lifecycle.FaultCode},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", RecencyAbove: p(1)}, {Code: "a", Stage: "new", RecencyAbove: p(1)}}, "/rules/1/code", lifecycle.FaultCode},
		{[]lifecycle.Rule{{Code: "a", Stage: "gone", RecencyAbove: p(1)}}, "/rules/0/stage", lifecycle.FaultStage},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost"}}, "/rules/0", lifecycle.FaultEmpty},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", Band: p("gold")}}, "/rules/0/rfm_band", lifecycle.FaultBand},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", CreatedBelow: p(0)}}, "/rules/0", lifecycle.FaultNegative},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", OrdersAtMost: p(int64(-1))}}, "/rules/0", lifecycle.FaultNegative},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", FirstBelow: p(6), FirstAbove: p(5)}}, "/rules/0", lifecycle.FaultImpossible},
		{[]lifecycle.Rule{{Code: "a", Stage: "lost", NetSpentAtLeast: p(int64(5)), NetSpentBelow: p(int64(5))}}, "/rules/0", lifecycle.FaultImpossible},
	} {
		var problem *lifecycle.Problem
		require.ErrorAs(t, lifecycle.Settings{Rules: c.rules}.Check(rfm.Default()), &problem)
		assert.Equal(t, lifecycle.Problem{Pointer: c.pointer, Fault: c.fault}, *problem)
	}
	require.NoError(t, lifecycle.Settings{}.Check(rfm.Default()), "no rules: who bought is active")
}

// Days pass one by one: the stage changes only on days NextChange named, and for
// somebody who never bought only at one of the Ages.
func TestNothingChangesBeforeNextChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maybe := func(name string) *int {
			if rapid.Bool().Draw(t, name+"?") {
				return p(rapid.IntRange(1, 40).Draw(t, name))
			}
			return nil
		}
		var s lifecycle.Settings
		for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
			s.Rules = append(s.Rules, lifecycle.Rule{Code: "r", Stage: []string{"lost", "new", "loyal", "dormant"}[i], RecencyBelow: maybe("rb"), RecencyAbove: maybe("ra"),
				FirstBelow: maybe("fb"), FirstAbove: maybe("fa"), CreatedBelow: maybe("cb"), CreatedAbove: maybe("ca")})
		}
		today := clock.Day(1000)
		f := &lifecycle.Facts{Created: today - clock.Day(rapid.IntRange(0, 60).Draw(t, "created"))}
		bought := rapid.Bool().Draw(t, "bought")
		if bought {
			first := today - clock.Day(rapid.IntRange(-2, 60).Draw(t, "first"))
			f.First, f.Last, f.Orders = p(first), p(first+clock.Day(rapid.IntRange(0, 30).Draw(t, "more"))), 2
		}
		now, _ := s.Stage(f, today)
		next, ok := s.NextChange(f, today)
		for d := today + 1; d < today+120 && (!ok || d < next); d++ {
			then, _ := s.Stage(f, d)
			require.Equal(t, now, then, "changed on %d, next change was said to be %d %v", d, next, ok)
		}
		if bought {
			return
		}
		ages := s.Ages()
		for d := today + 1; d < today+120; d++ {
			before, _ := s.Stage(f, d-1)
			if after, _ := s.Stage(f, d); after != before {
				require.Contains(t, ages, int(d-f.Created))
			}
		}
	})
}
