package rfm_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

func p[T any](v T) *T { return &v }

func TestDefaultBandsAtTheirEdges(t *testing.T) {
	s := rfm.Default()
	require.NoError(t, s.Check())
	for _, c := range []struct {
		r    int
		f, m int64
		want string
	}{
		{14, 5, 50000, rfm.Loyal},
		{15, 5, 50000, ""},
		{14, 4, 50000, ""},
		{14, 5, 49999, ""},
		{91, 2, 29999, rfm.Dormant},
		{90, 2, 29999, ""},
		{91, 3, 29999, ""},
		{91, 2, 30000, ""},
		{400, 0, 0, rfm.Dormant},
		{91, 1, -500, rfm.Dormant},
	} {
		assert.Equal(t, c.want, s.Band(&c.r, c.f, c.m), "%+v", c)
	}
	assert.Empty(t, s.Band(nil, 0, 0), "who never bought is in no band")
}

func TestBandsNobodyCanBeIn(t *testing.T) {
	for _, c := range []struct {
		rule rfm.Rule
		want rfm.Fault
	}{
		{rfm.Rule{RecencyBelow: p(5), RecencyAbove: p(50)}, rfm.FaultImpossible},
		{rfm.Rule{RecencyBelow: p(51), RecencyAbove: p(50)}, rfm.FaultImpossible},
		{rfm.Rule{RecencyBelow: p(52), RecencyAbove: p(50)}, ""},
		{rfm.Rule{FrequencyAtLeast: p(int64(3)), FrequencyAtMost: p(int64(2))}, rfm.FaultImpossible},
		{rfm.Rule{FrequencyAtLeast: p(int64(3)), FrequencyAtMost: p(int64(3))}, ""},
		{rfm.Rule{MonetaryAtLeast: p(int64(100)), MonetaryBelow: p(int64(100))}, rfm.FaultImpossible},
		{rfm.Rule{MonetaryAtLeast: p(int64(100)), MonetaryBelow: p(int64(101))}, ""},
	} {
		c.rule.Code = "a"
		err := rfm.Settings{WindowDays: 1, Bands: []rfm.Rule{c.rule}}.Check()
		if c.want == "" {
			assert.NoError(t, err)
			continue
		}
		var problem *rfm.Problem
		require.ErrorAs(t, err, &problem)
		assert.Equal(t, c.want, problem.Fault)
	}
}

func TestAverageOrderRoundsHalfUp(t *testing.T) {
	for _, c := range [][3]int64{{0, 0, 0}, {10, 4, 3}, {9, 4, 2}, {11, 4, 3}, {10, 3, 3}, {11, 3, 4}, {89000, 7, 12714}, {1<<63 - 1, 1, 1<<63 - 1}} {
		assert.Equal(t, c[2], rfm.AverageOrder(c[0], c[1]), "%v", c)
	}
}

func TestCheckNamesTheFault(t *testing.T) {
	for pointer, s := range map[string]rfm.Settings{
		"/window_days":  {WindowDays: 0},
		"/bands/0/code": {WindowDays: 1, Bands: []rfm.Rule{{Code: "Bad", RecencyBelow: p(1)}}},
		"/bands/0":      {WindowDays: 1, Bands: []rfm.Rule{{Code: "a"}}},
		"/bands/1/code": {WindowDays: 1, Bands: []rfm.Rule{{Code: "a", RecencyBelow: p(1)}, {Code: "a", RecencyBelow: p(1)}}},
	} {
		var problem *rfm.Problem
		require.ErrorAs(t, s.Check(), &problem)
		assert.Equal(t, pointer, problem.Pointer)
	}
}

// Days pass one by one: F, M and the band change only on days NextChange named.
func TestNothingChangesBeforeNextChange(t *testing.T) {
	s := rfm.Default()
	s.WindowDays = 30
	s.Bands[1].RecencyAbove = p(20)
	rapid.Check(t, func(t *rapid.T) {
		spent := map[clock.Day]int64{}
		for range rapid.IntRange(0, 6).Draw(t, "days") {
			spent[clock.Day(rapid.IntRange(950, 1010).Draw(t, "day"))] = rapid.Int64Range(1, 60000).Draw(t, "spent")
		}
		type view struct {
			f, m int64
			band string
		}
		look := func(today clock.Day) (v view, last, oldest, future *clock.Day) {
			for d, m := range spent {
				if last == nil || d > *last {
					last = p(d)
				}
				if d > today && (future == nil || d < *future) {
					future = p(d)
				}
				if d >= s.WindowStart(today) && d <= today {
					v.f++
					v.m += m
					if oldest == nil || d < *oldest {
						oldest = p(d)
					}
				}
			}
			v.band = s.Band(rfm.Recency(last, today), v.f, v.m)
			return v, last, oldest, future
		}
		today := clock.Day(1000)
		now, last, oldest, future := look(today)
		next, ok := s.NextChange(last, oldest, future, today)
		for d := today + 1; d < 1120 && (!ok || d < next); d++ {
			then, _, _, _ := look(d)
			require.Equal(t, now, then, "changed on %d, next change was said to be %d %v", d, next, ok)
		}
	})
}
