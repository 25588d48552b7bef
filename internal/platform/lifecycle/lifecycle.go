// Package lifecycle is the pure rule behind lifecycle stages: in which stage a
// customer is on a business day, given what they bought and since when they are
// known, and when that can change by the mere passing of days. It knows no
// database and no clock; SQL says the same to PostgreSQL.
package lifecycle

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// SettingKey is the key under which Settings are kept among the settings.
const SettingKey = "lifecycle"

// Stages.
const (
	Prospect = "prospect"
	New      = "new"
	Active   = "active"
	Loyal    = "loyal"
	Dormant  = "dormant"
	Lost     = "lost"
)

var stages = []string{Prospect, New, Active, Loyal, Dormant, Lost}

// Settings are the business's rules: the first that fits decides. Whom none
// fits is active if they ever bought, else a prospect.
type Settings struct {
	Rules []Rule `json:"rules"`
}

// Rule puts customers who meet every condition given into a stage; a rule
// without any is not valid. Conditions on purchase days do not hold for those
// who never bought.
type Rule struct {
	Code            string  `json:"code"`
	Stage           string  `json:"stage"`
	Band            *string `json:"rfm_band,omitempty"`           // code of the RFM band
	RecencyBelow    *int    `json:"recency_below,omitempty"`      // days since the last purchase < n
	RecencyAbove    *int    `json:"recency_above,omitempty"`      // > n
	FirstBelow      *int    `json:"first_order_below,omitempty"`  // days since the first purchase < n
	FirstAbove      *int    `json:"first_order_above,omitempty"`  // > n
	CreatedBelow    *int    `json:"created_below,omitempty"`      // days since the record was made < n
	CreatedAbove    *int    `json:"created_above,omitempty"`      // > n
	OrdersAtLeast   *int64  `json:"orders_at_least,omitempty"`    // orders ever ≥ n
	OrdersAtMost    *int64  `json:"orders_at_most,omitempty"`     // ≤ n
	NetSpentAtLeast *int64  `json:"net_spent_at_least,omitempty"` // spent less returned, ever ≥ n minor units
	NetSpentBelow   *int64  `json:"net_spent_below,omitempty"`    // < n
	HasCard         *bool   `json:"has_card_number,omitempty"`
}

// Default rules: lost after 365 days without a purchase, loyal and dormant as
// the RFM bands say, new within 30 days of the first purchase.
func Default() Settings {
	return Settings{Rules: []Rule{
		{Code: "lost", Stage: Lost, RecencyAbove: ptr(365)},
		{Code: "loyal", Stage: Loyal, Band: ptr(rfm.Loyal)},
		{Code: "dormant", Stage: Dormant, Band: ptr(rfm.Dormant)},
		{Code: "new", Stage: New, FirstBelow: ptr(31)},
	}}
}

func ptr[T any](v T) *T { return &v }

const maxRules = 20

var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// Fault is what can be wrong with settings. Its text is for logs.
type Fault string

// Faults.
const (
	FaultTooMany    Fault = "more than 20 rules"
	FaultCode       Fault = "a code is malformed or repeated"
	FaultStage      Fault = "no such stage"
	FaultEmpty      Fault = "a rule without condition"
	FaultNegative   Fault = "negative days or counts"
	FaultImpossible Fault = "a rule nobody can meet"
	FaultBand       Fault = "no such RFM band"
)

// Problem is why settings cannot be used, with a JSON pointer to the part.
type Problem struct {
	Pointer string
	Fault   Fault
}

func (p *Problem) Error() string { return fmt.Sprintf("lifecycle: %s: %s", p.Pointer, p.Fault) }

// Check reports the first fault of the settings as a *Problem, or nil. Bands are
// those that rules may name.
func (s Settings) Check(bands rfm.Settings) error {
	if len(s.Rules) > maxRules {
		return &Problem{"/rules", FaultTooMany}
	}
	seen := map[string]bool{}
	for i, r := range s.Rules {
		at := fmt.Sprintf("/rules/%d", i)
		if !code.MatchString(r.Code) || seen[r.Code] {
			return &Problem{at + "/code", FaultCode}
		}
		seen[r.Code] = true
		if !slices.Contains(stages, r.Stage) {
			return &Problem{at + "/stage", FaultStage}
		}
		if r.Band != nil && !slices.ContainsFunc(bands.Bands, func(b rfm.Rule) bool { return b.Code == *r.Band }) {
			return &Problem{at + "/rfm_band", FaultBand}
		}
		if fault := r.fault(); fault != "" {
			return &Problem{at, fault}
		}
	}
	return nil
}

func (r Rule) fault() Fault {
	empty := true
	for _, b := range [][2]*int{{r.RecencyBelow, r.RecencyAbove}, {r.FirstBelow, r.FirstAbove}, {r.CreatedBelow, r.CreatedAbove}} {
		below, above := b[0], b[1]
		empty = empty && below == nil && above == nil
		switch {
		case below != nil && *below < 1 || above != nil && *above < 0:
			return FaultNegative
		case below != nil && above != nil && *below-*above < 2: // no whole day in between
			return FaultImpossible
		}
	}
	switch {
	case empty && r.Band == nil && r.OrdersAtLeast == nil && r.OrdersAtMost == nil && r.NetSpentAtLeast == nil && r.NetSpentBelow == nil && r.HasCard == nil:
		return FaultEmpty
	case r.OrdersAtLeast != nil && *r.OrdersAtLeast < 0 || r.OrdersAtMost != nil && *r.OrdersAtMost < 0:
		return FaultNegative
	case r.OrdersAtLeast != nil && r.OrdersAtMost != nil && *r.OrdersAtLeast > *r.OrdersAtMost,
		r.NetSpentAtLeast != nil && r.NetSpentBelow != nil && *r.NetSpentAtLeast >= *r.NetSpentBelow:
		return FaultImpossible
	}
	return ""
}

// Facts are what stages follow from. Nil days: there was no purchase.
type Facts struct {
	Created          clock.Day
	First, Last      *clock.Day
	Orders, NetSpent int64
	Band             string // RFM band on the day; empty for none
	HasCard          bool
}

// Stage is the stage on a day, and the code of the rule that says so; empty when
// none fits.
func (s Settings) Stage(f *Facts, today clock.Day) (stage, rule string) {
	for i := range s.Rules {
		if r := &s.Rules[i]; r.fits(f, today) {
			return r.Stage, r.Code
		}
	}
	if f.Last == nil {
		return Prospect, ""
	}
	return Active, ""
}

func (r *Rule) fits(f *Facts, today clock.Day) bool {
	return (r.Band == nil || *r.Band == f.Band) &&
		within(f.Last, r.RecencyBelow, r.RecencyAbove, today) &&
		within(f.First, r.FirstBelow, r.FirstAbove, today) &&
		within(&f.Created, r.CreatedBelow, r.CreatedAbove, today) &&
		(r.OrdersAtLeast == nil || f.Orders >= *r.OrdersAtLeast) &&
		(r.OrdersAtMost == nil || f.Orders <= *r.OrdersAtMost) &&
		(r.NetSpentAtLeast == nil || f.NetSpent >= *r.NetSpentAtLeast) &&
		(r.NetSpentBelow == nil || f.NetSpent < *r.NetSpentBelow) &&
		(r.HasCard == nil || f.HasCard == *r.HasCard)
}

// within reports whether so many days have passed since a day; one that lies
// ahead (a till whose clock is fast) counts as today.
func within(since *clock.Day, below, above *int, today clock.Day) bool {
	if below == nil && above == nil {
		return true
	}
	if since == nil {
		return false
	}
	days := max(int(today-*since), 0)
	return (below == nil || days < *below) && (above == nil || days > *above)
}

// NextChange is the first day after today on which the stage can differ without
// a new order or return, changes of the band apart.
func (s Settings) NextChange(f *Facts, today clock.Day) (next clock.Day, ok bool) {
	consider := func(since *clock.Day, below, above *int) {
		for _, n := range []*int{below, plusOne(above)} {
			if since == nil || n == nil {
				continue
			}
			if d := *since + clock.Day(*n); d > today && (!ok || d < next) {
				next, ok = d, true
			}
		}
	}
	for _, r := range s.Rules {
		consider(f.Last, r.RecencyBelow, r.RecencyAbove)
		consider(f.First, r.FirstBelow, r.FirstAbove)
		consider(&f.Created, r.CreatedBelow, r.CreatedAbove)
	}
	return next, ok
}

func plusOne(n *int) *int {
	if n == nil {
		return nil
	}
	v := *n + 1
	return &v
}

// Ages are the numbers of days since a record was made on which the stage of
// somebody who never bought can change, ascending.
func (s Settings) Ages() []int {
	var out []int
	for _, r := range s.Rules {
		for _, n := range []*int{r.CreatedBelow, plusOne(r.CreatedAbove)} {
			if n != nil && !slices.Contains(out, *n) {
				out = append(out, *n)
			}
		}
	}
	slices.Sort(out)
	return out
}

// UsesCard reports whether some rule looks at the membership card, which changes
// with the customer's record.
func (s Settings) UsesCard() bool {
	return slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.HasCard != nil })
}

// SQL is Stage as an expression over the aliases c (customers) and m
// (customer_metrics, perhaps missing). Start is the instant at which a business
// day begins; arg adds an argument to the statement and returns its placeholder.
func (s Settings) SQL(today clock.Day, start func(clock.Day) time.Time, arg func(any) string) string {
	var b strings.Builder
	b.WriteString("CASE")
	for _, r := range s.Rules {
		var all []string
		day := func(column string, below, above *int) {
			if below != nil {
				all = append(all, column+" > "+arg((today-clock.Day(*below)).Time())+"::date")
			}
			if above != nil {
				all = append(all, column+" < "+arg((today-clock.Day(*above)).Time())+"::date")
			}
		}
		day("m.last_order_on", r.RecencyBelow, r.RecencyAbove)
		day("m.first_order_on", r.FirstBelow, r.FirstAbove)
		if r.CreatedBelow != nil {
			all = append(all, "c.created_at >= "+arg(start(today-clock.Day(*r.CreatedBelow)+1))+"::timestamptz")
		}
		if r.CreatedAbove != nil {
			all = append(all, "c.created_at < "+arg(start(today-clock.Day(*r.CreatedAbove)))+"::timestamptz")
		}
		if r.Band != nil {
			all = append(all, "m.rfm_band = "+arg(*r.Band)+"::text")
		}
		number := func(column, op string, n *int64) {
			if n != nil {
				all = append(all, "coalesce("+column+", 0) "+op+" "+arg(*n)+"::bigint")
			}
		}
		number("m.order_count", ">=", r.OrdersAtLeast)
		number("m.order_count", "<=", r.OrdersAtMost)
		number("m.spent_amount - m.returned_amount", ">=", r.NetSpentAtLeast)
		number("m.spent_amount - m.returned_amount", "<", r.NetSpentBelow)
		if r.HasCard != nil {
			all = append(all, "(c.card_number_index IS NOT NULL) = "+arg(*r.HasCard)+"::boolean")
		}
		b.WriteString(" WHEN " + strings.Join(all, " AND ") + " THEN " + arg(r.Stage) + "::text")
	}
	if len(s.Rules) == 0 {
		b.WriteString(" WHEN FALSE THEN NULL")
	}
	b.WriteString(" ELSE CASE WHEN m.last_order_on IS NULL THEN 'prospect' ELSE 'active' END END")
	return b.String()
}
