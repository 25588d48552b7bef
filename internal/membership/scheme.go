package membership

import (
	"cmp"
	"slices"
	"time"

	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// Window is over which days facts are summed.
type Window string

// The windows.
const (
	CalendarYear    Window = "calendar_year"
	CalendarQuarter Window = "calendar_quarter"
	RollingDays     Window = "rolling_days"
	SinceJoin       Window = "since_join" // all there ever was
)

// Validity is how long a tier lasts that somebody has reached.
type Validity string

// The validities.
const (
	ForEver          Validity = "for_ever"
	EndOfYear        Validity = "end_of_year"
	EndOfNextYear    Validity = "end_of_next_year"
	EndOfQuarter     Validity = "end_of_quarter"
	EndOfNextQuarter Validity = "end_of_next_quarter"
	ForDays          Validity = "days"
	ForMonths        Validity = "months"
)

// Downgrade is where somebody falls who has not kept a tier.
type Downgrade string

// The downgrades.
const (
	OneStep   Downgrade = "one_step"
	ByBalance Downgrade = "by_balance" // to the tier whose conditions are fulfilled
	ToBase    Downgrade = "to_base"    // out of all tiers
)

// Rules are what holds for all tiers of a scheme.
type Rules struct {
	Window        Window    `json:"window"`
	WindowDays    int       `json:"window_days,omitempty"` // of RollingDays
	Validity      Validity  `json:"validity"`
	ValidityCount int       `json:"validity_count,omitempty"` // of ForDays and ForMonths
	Downgrade     Downgrade `json:"downgrade"`
	GraceDays     int       `json:"grace_days,omitempty"`
}

// DefaultRules hold until somebody sets others.
func DefaultRules() Rules {
	return Rules{Window: CalendarYear, Validity: EndOfNextYear, Downgrade: OneStep}
}

// Condition is one of those that a tier is reached by.
type Condition = schema.TierCondition

// What conditions look at.
const (
	Spend  = "spend"
	Orders = "orders"
	Points = "points"
)

// keyOf is the name of what a condition looks at among facts.
func keyOf(c Condition) string {
	if c.Kind == Points {
		return pointsKey(c.Unit)
	}
	return c.Kind
}

func pointsKey(unit string) string { return Points + ":" + unit }

// Match is how many of a tier's conditions must be fulfilled.
type Match string

// The ways to match: whichever comes first, or all of them.
const (
	Any Match = "any"
	All Match = "all"
)

// Benefits are what a tier gives.
type Benefits = schema.TierBenefits

// BirthdayGift is points for a birthday.
type BirthdayGift = schema.TierBirthdayGift

// Tier is a tier of a scheme. One without conditions is reached by grants only.
type Tier struct {
	Code       string      `json:"code"`
	Name       string      `json:"name"`
	NameEN     string      `json:"name_en,omitempty"`
	Rank       int         `json:"rank"` // the higher, the better
	Match      Match       `json:"match"`
	Conditions []Condition `json:"conditions"`
	Benefits   Benefits    `json:"benefits"`
}

// Scheme is a snapshot of the rules and all tiers.
type Scheme struct {
	Number int64     `json:"-"` // of the snapshot, from 1 on
	From   time.Time `json:"-"` // in force from the business day of this instant on
	Rules  Rules     `json:"rules"`
	Tiers  []Tier    `json:"tiers"` // by rank
}

func (s *Scheme) sort() {
	slices.SortFunc(s.Tiers, func(a, b Tier) int { return cmp.Compare(a.Rank, b.Rank) })
}

// place is where a tier stands among those of the scheme; -1: it is not there.
func (s *Scheme) place(code string) int {
	return slices.IndexFunc(s.Tiers, func(t Tier) bool { return t.Code == code })
}

// Tier finds a tier; nil if the scheme has none of that code.
func (s *Scheme) Tier(code string) *Tier {
	if s == nil {
		return nil
	}
	if i := s.place(code); i >= 0 {
		return &s.Tiers[i]
	}
	return nil
}

// units are those of points that the scheme's conditions look at.
func (s *Scheme) units() []string {
	var out []string
	for _, t := range s.Tiers {
		for _, c := range t.Conditions {
			if c.Kind == Points && !slices.Contains(out, c.Unit) {
				out = append(out, c.Unit)
			}
		}
	}
	return out
}

// windowStart is the first day of the window that a day is the last of.
func (r Rules) windowStart(d clock.Day) clock.Day {
	switch r.Window {
	case CalendarYear:
		return yearStart(d, 0)
	case CalendarQuarter:
		return quarterStart(d, 0)
	case RollingDays:
		return d - clock.Day(r.WindowDays) + 1
	case SinceJoin:
	}
	return noDay
}

// windowEnd is the last day of a window that does not move on with the days; nil:
// it does.
func (r Rules) windowEnd(d clock.Day) *clock.Day {
	var end clock.Day
	switch r.Window {
	case CalendarYear:
		end = yearStart(d, 1) - 1
	case CalendarQuarter:
		end = quarterStart(d, 1) - 1
	case RollingDays, SinceJoin:
		return nil
	}
	return &end
}

// noDay is before all days.
const noDay = clock.Day(-1 << 30)

// lasts is the last day of a tier reached on a day; nil: it lasts for ever.
func (r Rules) lasts(d clock.Day) *clock.Day {
	var last clock.Day
	switch r.Validity {
	case EndOfYear:
		last = yearStart(d, 1) - 1
	case EndOfNextYear:
		last = yearStart(d, 2) - 1
	case EndOfQuarter:
		last = quarterStart(d, 1) - 1
	case EndOfNextQuarter:
		last = quarterStart(d, 2) - 1
	case ForDays:
		last = d + clock.Day(r.ValidityCount)
	case ForMonths:
		last = months(d, r.ValidityCount)
	case ForEver:
		return nil
	}
	return &last
}

// period is the last day of a tier that is kept, or fallen to, from a day on: it
// lasts one period more, to the end of that year and not of the one after.
func (r Rules) period(from clock.Day) *clock.Day {
	switch r.Validity {
	case EndOfNextYear:
		r.Validity = EndOfYear
	case EndOfNextQuarter:
		r.Validity = EndOfQuarter
	case ForDays, ForMonths:
		from--
	case ForEver, EndOfYear, EndOfQuarter:
	}
	return r.lasts(from)
}

func yearStart(d clock.Day, years int) clock.Day {
	return clock.DayFromDate(time.Date(d.Time().Year()+years, 1, 1, 0, 0, 0, 0, time.UTC))
}

func quarterStart(d clock.Day, quarters int) clock.Day {
	t := d.Time()
	month := (int(t.Month())-1)/3*3 + 1 + 3*quarters
	return clock.DayFromDate(time.Date(t.Year(), time.Month(month), 1, 0, 0, 0, 0, time.UTC))
}

// months is the same day some months later, or the last one of a shorter month.
func months(d clock.Day, n int) clock.Day {
	t := d.Time()
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	return clock.DayFromDate(first.AddDate(0, 0, min(t.Day(), first.AddDate(0, 1, -1).Day())-1))
}

// fulfilled tells whether facts between two days reach a tier.
func (t *Tier) fulfilled(f Facts, from, to clock.Day) bool {
	reached := 0
	for _, c := range t.Conditions {
		if f.sum(keyOf(c), from, to) >= c.Threshold {
			reached++
		}
	}
	if t.Match == All {
		return reached > 0 && reached == len(t.Conditions)
	}
	return reached > 0
}

// best is the highest tier below a place that facts between two days reach; -1: none.
func (s *Scheme) best(f Facts, from, to clock.Day, below int) int {
	for i := below - 1; i >= 0; i-- {
		if s.Tiers[i].fulfilled(f, from, to) {
			return i
		}
	}
	return -1
}
