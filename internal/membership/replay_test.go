package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/clock"
)

var shanghai = func() *time.Location {
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	return loc
}()

var testClock = clock.Fake(shanghai, time.Now)

func day(s string) clock.Day {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return clock.DayFromDate(t)
}

func instant(s string) time.Time { return testClock.Start(day(s)) }

func instantOrNil(s string) *time.Time {
	if s == "" {
		return nil
	}
	t := instant(s)
	return &t
}

// tiersOf are silver from 1,000 yuan, gold from 5,000 yuan or 6,000 points, and a
// tier that is given by hand only.
func tiersOf(r Rules) *Scheme {
	s := &Scheme{Number: 1, From: instant("2026-01-01"), Rules: r, Tiers: []Tier{
		{Code: "silver", Rank: 1, Match: Any, Conditions: []Condition{{Kind: Spend, Threshold: 1000_00}}},
		{Code: "friend", Rank: 2, Match: Any},
		{Code: "gold", Rank: 3, Match: Any, Conditions: []Condition{{Kind: Spend, Threshold: 5000_00}, {Kind: Points, Unit: "points", Threshold: 6000}}},
	}}
	s.sort()
	return s
}

// told writes steps as "2026-03-01 >gold reached until 2028-01-01; …".
func told(steps []Step) string {
	var out []string
	for _, s := range steps {
		line := testClock.DayOf(s.At).String() + " " + s.From + ">" + s.To + " " + string(s.Reason)
		if s.Ends != nil {
			line += " until " + testClock.DayOf(*s.Ends).String()
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func TestReplay(t *testing.T) {
	calendar := Rules{Window: CalendarYear, Validity: EndOfNextYear, Downgrade: OneStep}
	with := func(r Rules, change func(*Rules)) Rules { change(&r); return r }
	rolling := Rules{Window: RollingDays, WindowDays: 90, Validity: ForDays, ValidityCount: 30, Downgrade: ByBalance}
	spent := func(days map[string]int64) map[string][]Figure {
		out := map[string][]Figure{}
		for d, n := range days {
			out[Spend] = append(out[Spend], Figure{Day: day(d), N: n * 100})
		}
		return out
	}
	points := func(facts map[string][]Figure, d string, n int64) map[string][]Figure {
		facts["points:points"] = append(facts["points:points"], Figure{Day: day(d), N: n})
		return facts
	}
	granted := []Grant{{ID: uuid.New(), Tier: "gold", From: instant("2026-02-01"), Until: instantOrNil("2026-05-01")}}
	stricter := tiersOf(calendar)
	stricter.Number, stricter.From = 2, instant("2026-06-01")
	stricter.Tiers[2].Conditions[0].Threshold = 9000_00
	backdated := tiersOf(calendar)
	backdated.Number = 3
	backdated.Tiers[2].Conditions[0].Threshold = 9000_00
	without := tiersOf(calendar)
	without.Number, without.From = 2, instant("2026-06-01")
	without.Tiers = without.Tiers[:1]
	for name, c := range map[string]struct {
		schemes []*Scheme
		facts   map[string][]Figure
		grants  []Grant
		now     string
		steps   string
		tier    string
		ends    string // first day on which it is over
		grace   string
		review  string
	}{
		"nothing yet": {
			schemes: []*Scheme{tiersOf(calendar)}, now: "2026-05-01"},
		"no scheme": {facts: spent(map[string]int64{"2026-02-01": 9000}), now: "2026-05-01"},
		"a calendar year does not look back": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2025-12-31": 4000, "2026-03-01": 4000}), now: "2026-05-01",
			steps: "2026-03-01 >silver reached until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"what came before the scheme counts when it comes": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.Window = SinceJoin; r.Validity = ForEver }))}, facts: spent(map[string]int64{"2025-12-31": 4000, "2026-03-01": 1000}), now: "2026-05-01",
			steps: "2026-01-01 >silver reached; 2026-03-01 silver>gold reached", tier: "gold"},
		"whichever comes first": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: points(spent(map[string]int64{"2026-03-01": 1500}), "2026-04-01", 6000), now: "2026-05-01",
			steps: "2026-03-01 >silver reached until 2028-01-01; 2026-04-01 silver>gold reached until 2028-01-01", tier: "gold", ends: "2028-01-01", review: "2028-01-01"},
		"kept by the second year, one step down after the third": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 5000, "2027-06-01": 5000, "2028-02-01": 1200}), now: "2029-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>gold renewed until 2029-01-01; 2029-01-01 gold>silver downgraded until 2030-01-01",
			tier:  "silver", ends: "2030-01-01", review: "2030-01-01"},
		"one step down leaves out tiers given by hand, and then out": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2030-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>silver downgraded until 2029-01-01; 2029-01-01 silver> downgraded"},
		"to the base": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.Downgrade = ToBase }))}, facts: spent(map[string]int64{"2026-03-01": 5000, "2027-04-01": 1500}), now: "2028-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold> downgraded"},
		"by balance": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.Downgrade = ByBalance }))}, facts: spent(map[string]int64{"2026-03-01": 5000, "2027-04-01": 1500}), now: "2028-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>silver downgraded until 2029-01-01", tier: "silver", ends: "2029-01-01", review: "2029-01-01"},
		"kept within the grace period, as if in time": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.GraceDays = 31 }))}, facts: spent(map[string]int64{"2026-03-01": 5000, "2027-06-01": 4000, "2028-01-20": 1000}), now: "2028-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>gold grace until 2028-01-01; 2028-01-20 gold>gold renewed until 2029-01-01",
			tier:  "gold", ends: "2029-01-01", review: "2029-01-01"},
		"within the grace period": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.GraceDays = 31 }))}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2028-01-10",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>gold grace until 2028-01-01", tier: "gold", ends: "2028-01-01", grace: "2028-02-01", review: "2028-02-01"},
		"after the grace period": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.GraceDays = 31 }))}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2028-02-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>gold grace until 2028-01-01; 2028-02-01 gold>silver downgraded until 2029-01-01",
			tier:  "silver", ends: "2029-01-01", review: "2029-01-01"},
		"rolling": {
			schemes: []*Scheme{tiersOf(rolling)}, facts: spent(map[string]int64{"2026-01-10": 600, "2026-03-01": 600}), now: "2026-06-15",
			steps: "2026-03-01 >silver reached until 2026-04-01; 2026-04-01 silver>silver renewed until 2026-05-01; 2026-05-01 silver> downgraded"},
		"rolling misses by a day": {
			schemes: []*Scheme{tiersOf(rolling)}, facts: spent(map[string]int64{"2026-01-10": 600, "2026-04-10": 600}), now: "2026-06-15"},
		"what was taken off leaves a rolling window": {
			schemes: []*Scheme{tiersOf(rolling)}, facts: spent(map[string]int64{"2026-01-10": -500, "2026-04-01": 1000}), now: "2026-04-12",
			steps: "2026-04-10 >silver reached until 2026-05-11", tier: "silver", ends: "2026-05-11", review: "2026-05-11"},
		"what leaves the window is due": {
			schemes: []*Scheme{tiersOf(rolling)}, facts: spent(map[string]int64{"2026-01-10": -500, "2026-04-01": 1000}), now: "2026-04-05", review: "2026-04-10"},
		"quarters": {
			schemes: []*Scheme{tiersOf(Rules{Window: CalendarQuarter, Validity: EndOfNextQuarter, Downgrade: ByBalance})}, facts: spent(map[string]int64{"2026-03-31": 800, "2026-04-01": 1000}), now: "2026-10-01",
			steps: "2026-04-01 >silver reached until 2026-10-01; 2026-10-01 silver> downgraded"},
		"months end with the month": {
			schemes: []*Scheme{tiersOf(Rules{Window: SinceJoin, Validity: ForMonths, ValidityCount: 1, Downgrade: ToBase})}, facts: spent(map[string]int64{"2026-01-31": 1000}), now: "2026-03-01",
			steps: "2026-01-31 >silver reached until 2026-03-01; 2026-03-01 silver>silver renewed until 2026-03-29", tier: "silver", ends: "2026-03-29", review: "2026-03-29"},
		"to the end of the year": {
			schemes: []*Scheme{tiersOf(with(calendar, func(r *Rules) { r.Validity = EndOfYear }))}, facts: spent(map[string]int64{"2026-03-01": 1000}), now: "2027-03-01",
			steps: "2026-03-01 >silver reached until 2027-01-01; 2027-01-01 silver>silver renewed until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"a part that came back": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 4999}), now: "2026-05-01",
			steps: "2026-03-01 >silver reached until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"by hand, and over": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 1500}), grants: granted, now: "2026-06-01",
			steps: "2026-02-01 >gold granted until 2026-05-01; 2026-05-01 gold>silver grant_ended until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"by hand, and still": {
			schemes: []*Scheme{tiersOf(calendar)}, grants: granted, now: "2026-04-01",
			steps: "2026-02-01 >gold granted until 2026-05-01", tier: "gold", ends: "2026-05-01", review: "2026-05-01"},
		"by hand, then earned": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 5000}), grants: granted, now: "2026-06-01",
			steps: "2026-02-01 >gold granted until 2026-05-01; 2026-03-01 gold>gold reached until 2028-01-01", tier: "gold", ends: "2028-01-01", review: "2028-01-01"},
		"by hand and taken away": {
			schemes: []*Scheme{tiersOf(calendar)}, grants: []Grant{{ID: uuid.New(), Tier: "friend", From: instant("2026-02-01"), Until: instantOrNil("2026-03-01"), Revoked: true}}, now: "2026-06-01",
			steps: "2026-02-01 >friend granted until 2026-03-01; 2026-03-01 friend> grant_revoked"},
		"by hand holds who falls": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 5000}), grants: []Grant{{ID: uuid.New(), Tier: "friend", From: instant("2027-02-01")}}, now: "2028-06-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2028-01-01 gold>friend downgraded", tier: "friend", review: "2029-01-01"},
		"what was reached before the scheme changed stays": {
			schemes: []*Scheme{tiersOf(calendar), stricter}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2026-07-01",
			steps: "2026-03-01 >gold reached until 2028-01-01", tier: "gold", ends: "2028-01-01", review: "2028-01-01"},
		"after the scheme changed": {
			schemes: []*Scheme{stricter, tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-01": 4000, "2026-06-01": 4000, "2026-08-01": 1000}), now: "2026-09-01",
			steps: "2026-03-01 >silver reached until 2028-01-01; 2026-08-01 silver>gold reached until 2028-01-01", tier: "gold", ends: "2028-01-01", review: "2028-01-01"},
		"as if the scheme had always been so": {
			schemes: []*Scheme{tiersOf(calendar), stricter, backdated}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2026-07-01",
			steps: "2026-03-01 >silver reached until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"the tier is gone": {
			schemes: []*Scheme{tiersOf(calendar), without}, facts: spent(map[string]int64{"2026-03-01": 5000}), now: "2026-07-01",
			steps: "2026-03-01 >gold reached until 2028-01-01; 2026-06-01 gold>silver tier_removed until 2028-01-01", tier: "silver", ends: "2028-01-01", review: "2028-01-01"},
		"tomorrow's order": {
			schemes: []*Scheme{tiersOf(calendar)}, facts: spent(map[string]int64{"2026-03-02": 5000}), now: "2026-03-01", review: "2026-03-02"},
	} {
		t.Run(name, func(t *testing.T) {
			st, steps := replay(testClock, reigns(testClock, c.schemes), newFacts(c.facts), c.grants, instant(c.now).Add(time.Hour))
			assert.Equal(t, c.steps, told(steps))
			assert.Equal(t, c.tier, st.Tier)
			assert.Equal(t, instantOrNil(c.ends), st.Ends)
			assert.Equal(t, instantOrNil(c.grace), st.GraceEnds)
			assert.Equal(t, instantOrNil(c.review), st.Review)
			if n := len(steps); n > 0 {
				assert.Equal(t, steps[n-1].To, st.Tier)
			}
		})
	}
}

// Who was born on 29 February has their birthday on the 28th in other years.
func TestCelebrations(t *testing.T) {
	on := func(born int64, today string) (days []string) {
		for _, b := range celebrations(day(today), 31) {
			if b.born == born {
				days = append(days, b.on.String())
			}
		}
		return days
	}
	assert.Equal(t, []string{"2027-02-28"}, on(229, "2027-02-28"))
	assert.Equal(t, []string{"2027-02-28"}, on(229, "2027-03-10"))
	assert.Empty(t, on(229, "2028-02-28"))
	assert.Equal(t, []string{"2028-02-29"}, on(229, "2028-02-29"))
	assert.Equal(t, []string{"2027-12-31"}, on(1231, "2028-01-15"))
	assert.Equal(t, []string{"2028-01-15"}, on(115, "2028-01-15"))
	assert.Empty(t, on(116, "2028-01-15"))
}

// Whatever the order in which facts become known, the outcome is the same, and it
// is the same whether or not somebody looked in between: until its review instant,
// a state stays what it is.
func TestReplayDependsOnFactsAlone(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, seed))
	pick := func(all ...Rules) Rules { return all[random.IntN(len(all))] }
	for range 400 {
		var schemes []*Scheme
		for n := range 1 + random.IntN(3) {
			s := tiersOf(pick(
				Rules{Window: CalendarYear, Validity: EndOfNextYear, Downgrade: OneStep, GraceDays: random.IntN(40)},
				Rules{Window: RollingDays, WindowDays: 1 + random.IntN(200), Validity: ForDays, ValidityCount: 1 + random.IntN(100), Downgrade: ByBalance, GraceDays: random.IntN(40)},
				Rules{Window: SinceJoin, Validity: ForMonths, ValidityCount: 1 + random.IntN(5), Downgrade: ToBase},
				Rules{Window: CalendarQuarter, Validity: EndOfQuarter, Downgrade: ByBalance, GraceDays: random.IntN(100)}))
			s.Number, s.From = int64(n+1), instant("2026-01-01").AddDate(0, 0, n*random.IntN(100))
			schemes = append(schemes, s)
		}
		var figures []Figure
		for range random.IntN(30) {
			figures = append(figures, Figure{Day: day("2025-10-01") + clock.Day(random.IntN(700)), N: int64(random.IntN(3000_00) - 500_00)})
		}
		var grants []Grant
		for range random.IntN(3) {
			g := Grant{ID: uuid.New(), Tier: []string{"silver", "friend", "gold"}[random.IntN(3)], From: instant("2026-01-01").Add(time.Duration(random.IntN(700*24)) * time.Hour)}
			if random.IntN(2) == 0 {
				until := g.From.Add(time.Duration(1+random.IntN(200*24)) * time.Hour)
				g.Until = &until
			}
			grants = append(grants, g)
		}
		at := func(now time.Time) (State, []Step) {
			mixed, others := slices.Clone(figures), slices.Clone(grants)
			random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			random.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
			other := slices.Clone(schemes)
			random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
			return replay(testClock, reigns(testClock, other), newFacts(map[string][]Figure{Spend: mixed}), others, now)
		}
		said := fmt.Sprint("seed ", seed)
		end := instant("2028-03-01")
		last, all := at(end)
		again, same := at(end)
		require.Equal(t, last, again, said)
		require.Equal(t, told(all), told(same), said)
		// From one review to the next, and nothing in between.
		for now, looked := instant("2026-01-01"), 0; !now.After(end); looked++ {
			require.Less(t, looked, 5000, said)
			st, steps := at(now)
			require.Equal(t, told(all[:len(steps)]), told(steps), said)
			if st.Review == nil || st.Review.After(end) {
				require.Equal(t, last.Tier, st.Tier, said)
				require.Equal(t, last.Ends, st.Ends, said)
				break
			}
			require.True(t, st.Review.After(now), said)
			before, _ := at(st.Review.Add(-time.Microsecond))
			require.Equal(t, []any{st.Tier, st.Ends, st.GraceEnds, st.GrantID}, []any{before.Tier, before.Ends, before.GraceEnds, before.GrantID}, said)
			now = *st.Review
		}
	}
}
