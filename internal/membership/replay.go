package membership

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// Figure is how much there was of a measure on a business day.
type Figure struct {
	Day clock.Day
	N   int64
	sum int64 // of all days up to this one
}

// Facts are figures by what they measure, in the order of days; made by newFacts.
type Facts map[string][]Figure

// newFacts sorts figures and sums those of a day. Any order gives the same.
func newFacts(raw map[string][]Figure) Facts {
	out := Facts{}
	for key, all := range raw {
		all = slices.Clone(all)
		slices.SortFunc(all, func(a, b Figure) int { return cmp.Compare(a.Day, b.Day) })
		var sum int64
		days := all[:0]
		for _, f := range all {
			sum += f.N
			if n := len(days); n > 0 && days[n-1].Day == f.Day {
				days[n-1].N, days[n-1].sum = days[n-1].N+f.N, sum
				continue
			}
			days = append(days, Figure{f.Day, f.N, sum})
		}
		out[key] = days
	}
	return out
}

// sum adds a measure up over days, both included.
func (f Facts) sum(key string, from, to clock.Day) int64 {
	all := f[key]
	upTo := func(d clock.Day) int64 {
		i, _ := slices.BinarySearchFunc(all, d+1, func(f Figure, d clock.Day) int { return cmp.Compare(f.Day, d) })
		if i == 0 {
			return 0
		}
		return all[i-1].sum
	}
	if to < from {
		return 0
	}
	return upTo(to) - upTo(from-1)
}

// Grant is a tier given by hand: at least that tier, from an instant until another.
type Grant struct {
	ID      uuid.UUID
	Tier    string
	From    time.Time
	Until   *time.Time // nil: for ever
	Revoked bool       // Until is when
}

// Reason is why a tier changed, or was kept.
type Reason string

// The reasons.
const (
	Reached      Reason = "reached"
	Renewed      Reason = "renewed"
	GraceBegan   Reason = "grace"
	Downgraded   Reason = "downgraded"
	TierRemoved  Reason = "tier_removed"
	Granted      Reason = "granted"
	GrantEnded   Reason = "grant_ended"
	GrantRevoked Reason = "grant_revoked"
	Recalculated Reason = "recalculated" // facts changed afterwards
)

// Step is something that became of a member's tier.
type Step struct {
	At       time.Time
	From, To string // codes; empty: none
	Reason   Reason
	Scheme   int64
	Facts    map[string]int64 // within the window
	Ends     *time.Time
	GrantID  *uuid.UUID
}

// State is where a member stands.
type State struct {
	Tier      string // code; empty: none
	Since     time.Time
	Ends      *time.Time // no longer valid from then on; nil: for ever
	GraceEnds *time.Time // within the grace period
	GrantID   *uuid.UUID // held by hand
	Scheme    int64      // number of the one in force
	Review    *time.Time // nothing changes before, unless facts do; nil: never
}

// earned is the tier that facts give, apart from grants.
type earned struct {
	place     int // in the scheme in force; -1: none
	tier      string
	last      *clock.Day // of validity
	graceLast *clock.Day
}

// turn is a step of the earned tier, with what it was made by.
type turn struct {
	Step
	now earned
}

// period of time in which a scheme is in force, from the day on.
type reign struct {
	from   clock.Day
	scheme *Scheme
}

// reigns says which scheme is in force when: of those whose day has come, the one
// made last.
func reigns(c *clock.Clock, schemes []*Scheme) []reign {
	days := map[clock.Day]bool{}
	for _, s := range schemes {
		days[c.DayOf(s.From)] = true
	}
	var out []reign
	for _, d := range slices.Sorted(maps.Keys(days)) {
		var in *Scheme
		for _, s := range schemes {
			if c.DayOf(s.From) <= d && (in == nil || s.Number > in.Number) {
				in = s
			}
		}
		out = append(out, reign{d, in})
	}
	return out
}

func inForce(all []reign, d clock.Day) *Scheme {
	var s *Scheme
	for _, r := range all {
		if r.from <= d {
			s = r.scheme
		}
	}
	return s
}

// replay tells what became of a member up to an instant, and where they stand
// then. It depends on nothing but its arguments, and not on their order.
func replay(c *clock.Clock, all []reign, f Facts, grants []Grant, now time.Time) (State, []Step) {
	if len(all) == 0 {
		return State{}, nil
	}
	changes, at, next := fold(c, all, f, c.DayOf(now))
	return overlay(c, all, f, changes, at, grants, now, next)
}

// fold goes through the days on which the earned tier may change, and says when
// the next one is.
func fold(c *clock.Clock, all []reign, f Facts, today clock.Day) (out []turn, at earned, next *clock.Day) {
	days := agenda(all, f)
	at = earned{place: -1}
	was := all[0].scheme
	for i := 0; ; {
		var d clock.Day
		deadline := at.deadline()
		switch {
		case deadline != nil && (i == len(days) || *deadline <= days[i]):
			d = *deadline
		case i < len(days):
			d = days[i]
		default:
			return out, at, nil
		}
		if d > today {
			return out, at, &d
		}
		for i < len(days) && days[i] <= d {
			i++
		}
		s := inForce(all, d)
		step := func(reason Reason, window clock.Day, to clock.Day, next earned) {
			next.tier = ""
			if next.place >= 0 {
				next.tier = s.Tiers[next.place].Code
			}
			made := turn{Step: Step{At: c.Start(d), From: at.tier, To: next.tier, Reason: reason, Scheme: s.Number, Facts: measured(s, f, window, to)}, now: next}
			if next.last != nil {
				ends := c.Start(*next.last + 1)
				made.Ends = &ends
			}
			out, at = append(out, made), next
		}
		if s != was {
			was = s
			at.place = s.place(at.tier)
			if at.tier != "" && at.place < 0 {
				place := s.best(f, s.Rules.windowStart(d), d, len(s.Tiers))
				next := earned{place: place}
				if place >= 0 {
					next.last = s.Rules.lasts(d)
				}
				step(TierRemoved, s.Rules.windowStart(d), d, next)
			}
		}
		at.review(s, f, d, step)
		if best := s.best(f, s.Rules.windowStart(d), d, len(s.Tiers)); best > at.place {
			step(Reached, s.Rules.windowStart(d), d, earned{place: best, last: s.Rules.lasts(d)})
		}
	}
}

// deadline is the day on which the validity or the grace period is over.
func (e earned) deadline() *clock.Day {
	last := e.last
	if e.graceLast != nil {
		last = e.graceLast
	}
	if last == nil {
		return nil
	}
	d := *last + 1
	return &d
}

// review says on a day whether the tier is kept: whose validity is over must have
// reached it again within the window that its last day ends, which the grace
// period prolongs.
func (e earned) review(s *Scheme, f Facts, d clock.Day, step func(Reason, clock.Day, clock.Day, earned)) {
	if e.place < 0 || e.last == nil || d <= *e.last {
		return
	}
	window, to := s.Rules.windowStart(*e.last), *e.last
	if e.graceLast != nil {
		to = min(d, *e.graceLast)
	}
	tier := &s.Tiers[e.place]
	switch {
	case tier.fulfilled(f, window, to):
		last := s.Rules.period(*e.last + 1)
		if last != nil && *last < d { // short periods, long grace
			last = s.Rules.period(d)
		}
		step(Renewed, window, to, earned{place: e.place, last: last})
	case e.graceLast == nil && s.Rules.GraceDays > 0:
		last := *e.last + clock.Day(s.Rules.GraceDays)
		begun := earned{place: e.place, last: e.last, graceLast: &last}
		step(GraceBegan, window, to, begun)
		begun.review(s, f, d, step)
	case e.graceLast == nil || d > *e.graceLast:
		next := earned{place: -1}
		switch s.Rules.Downgrade {
		case ByBalance:
			next.place = s.best(f, window, to, e.place)
		case OneStep:
			for next.place = e.place - 1; next.place >= 0 && len(s.Tiers[next.place].Conditions) == 0; next.place-- {
			}
		case ToBase:
		}
		if next.place >= 0 {
			next.last = s.Rules.period(d)
		}
		step(Downgraded, window, to, next)
	}
}

// agenda are the days on which more may be reached than the day before: those of
// facts, those from which a scheme is in force, and those on which something
// that was taken off leaves a rolling window. Days before the first scheme count
// when it comes.
func agenda(all []reign, f Facts) []clock.Day {
	days := map[clock.Day]bool{}
	rolling := map[int]bool{}
	for _, r := range all {
		days[r.from] = true
		if r.scheme.Rules.Window == RollingDays {
			rolling[r.scheme.Rules.WindowDays] = true
		}
	}
	for _, figures := range f {
		for _, one := range figures {
			days[one.Day] = true
			if one.N < 0 {
				for n := range rolling {
					days[one.Day+clock.Day(n)] = true
				}
			}
		}
	}
	out := slices.Sorted(maps.Keys(days))
	first, _ := slices.BinarySearch(out, all[0].from)
	return out[first:]
}

// measured are the facts within a window that the scheme's conditions look at.
func measured(s *Scheme, f Facts, from, to clock.Day) map[string]int64 {
	out := map[string]int64{Spend: f.sum(Spend, from, to), Orders: f.sum(Orders, from, to)}
	for _, u := range s.units() {
		out[pointsKey(u)] = f.sum(pointsKey(u), from, to)
	}
	return out
}

// overlay lays grants over the earned tier: the higher one counts.
func overlay(c *clock.Clock, all []reign, f Facts, changes []turn, last earned, grants []Grant, now time.Time, nextDay *clock.Day) (State, []Step) {
	instants := map[time.Time]bool{}
	later := func(at *time.Time, t time.Time) *time.Time {
		if t.After(now) && (at == nil || t.Before(*at)) {
			return &t
		}
		return at
	}
	var review *time.Time
	note := func(t time.Time) {
		if t = t.UTC(); t.After(now) {
			review = later(review, t)
		} else {
			instants[t] = true
		}
	}
	for _, ch := range changes {
		note(ch.At)
	}
	grants = slices.Clone(grants)
	slices.SortFunc(grants, func(a, b Grant) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	for _, g := range grants {
		note(g.From)
		if g.Until != nil {
			note(*g.Until)
		}
	}
	for _, r := range all { // a grant of a tier that comes, or goes
		if len(grants) > 0 {
			note(c.Start(r.from))
		}
	}
	if nextDay != nil {
		review = later(review, c.Start(*nextDay))
	}
	st := State{}
	var steps []Step
	var e earned
	e.place = -1
	i := 0
	for _, t := range slices.SortedFunc(maps.Keys(instants), time.Time.Compare) {
		s := inForce(all, c.DayOf(t))
		if s == nil {
			continue
		}
		settle := func(cause *Step) {
			was := st
			st.Tier, st.Ends, st.GraceEnds, st.GrantID = e.tier, nil, nil, nil
			if e.last != nil {
				ends := c.Start(*e.last + 1)
				st.Ends = &ends
			}
			if e.graceLast != nil {
				ends := c.Start(*e.graceLast + 1)
				st.GraceEnds = &ends
			}
			place := s.place(e.tier)
			if e.tier == "" {
				place = -1
			}
			for _, g := range grants {
				if g.From.After(t) || g.Until != nil && !g.Until.After(t) {
					continue
				}
				at := s.place(g.Tier)
				if at < 0 || at < place || at == place && (st.Ends == nil || st.GraceEnds == nil && g.Until != nil && !g.Until.After(*st.Ends)) {
					continue
				}
				place, st.Tier, st.Ends, st.GraceEnds, st.GrantID = at, g.Tier, g.Until, nil, &g.ID
			}
			if st.Tier != was.Tier {
				st.Since = t
			}
			if st.Tier == was.Tier && (cause == nil || cause.To != st.Tier || st.GrantID != nil || sameTime(st.Ends, was.Ends) && sameTime(st.GraceEnds, was.GraceEnds)) && sameID(st.GrantID, was.GrantID) {
				return
			}
			made := Step{At: t, From: was.Tier, To: st.Tier, Scheme: s.Number, Ends: st.Ends, GrantID: st.GrantID}
			switch {
			case cause != nil && was.GrantID == nil:
				made.Reason, made.Facts = cause.Reason, cause.Facts
			case st.GrantID != nil && !sameID(st.GrantID, was.GrantID):
				made.Reason = Granted
			case cause != nil:
				made.Reason, made.Facts = cause.Reason, cause.Facts
			case was.GrantID != nil:
				made.Reason, made.GrantID = GrantEnded, was.GrantID
				for _, g := range grants {
					if g.ID == *was.GrantID && g.Revoked {
						made.Reason = GrantRevoked
					}
				}
			default:
				made.Reason = TierRemoved
			}
			if made.Facts == nil {
				d := c.DayOf(t)
				made.Facts = measured(s, f, s.Rules.windowStart(d), d)
			}
			steps = append(steps, made)
		}
		changed := false
		for ; i < len(changes) && !changes[i].At.After(t); i++ {
			e = changes[i].now
			settle(&changes[i].Step)
			changed = true
		}
		if len(grants) > 0 || !changed {
			settle(nil)
		}
	}
	if s := inForce(all, c.DayOf(now)); s != nil {
		st.Scheme = s.Number
	}
	st.Review = review
	return st, steps
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func sameID(a, b *uuid.UUID) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
