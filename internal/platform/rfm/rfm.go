// Package rfm is the pure rule behind RFM bands: which band a customer is in on
// a business day, given recency, frequency and value, and when that can change
// by the mere passing of days. It knows no database and no clock.
//
//   - R: business days since the last purchase (0 on the day itself)
//   - F: days with a purchase inside the window
//   - M: spent less returned inside the window, in minor units
//
// The window of n days that ends on a day d is [d-n+1 … d].
package rfm

import (
	"fmt"
	"math"
	"regexp"

	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// SettingKey is the key under which Settings are kept among the settings.
const SettingKey = "rfm"

// Settings are the business's thresholds.
type Settings struct {
	WindowDays int    `json:"window_days"` // 1 to 3650
	Bands      []Rule `json:"bands"`       // the first that matches wins
}

// Rule describes one band. Conditions given must all hold; a rule without any
// is not valid.
type Rule struct {
	Code             string `json:"code"`
	RecencyBelow     *int   `json:"recency_below,omitempty"`      // R < n days
	RecencyAbove     *int   `json:"recency_above,omitempty"`      // R > n days
	FrequencyAtLeast *int64 `json:"frequency_at_least,omitempty"` // F ≥ n
	FrequencyAtMost  *int64 `json:"frequency_at_most,omitempty"`  // F ≤ n
	MonetaryAtLeast  *int64 `json:"monetary_at_least,omitempty"`  // M ≥ n minor units
	MonetaryBelow    *int64 `json:"monetary_below,omitempty"`     // M < n minor units
}

// Codes of the default bands.
const (
	Loyal   = "loyal"
	Dormant = "dormant"
)

// Default settings: loyal R < 15 days, F ≥ 5, M ≥ 500.00; dormant R > 90 days,
// F ≤ 2, M < 300.00; over 365 days.
func Default() Settings {
	return Settings{WindowDays: 365, Bands: []Rule{
		{Code: Loyal, RecencyBelow: ptr(15), FrequencyAtLeast: ptr(int64(5)), MonetaryAtLeast: ptr(int64(50000))},
		{Code: Dormant, RecencyAbove: ptr(90), FrequencyAtMost: ptr(int64(2)), MonetaryBelow: ptr(int64(30000))},
	}}
}

func ptr[T any](v T) *T { return &v }

const maxBands = 20

var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// Fault is what can be wrong with settings. Its text is for logs: people read
// that of the caller's error, in their language.
type Fault string

// Faults.
const (
	FaultWindow     Fault = "the window is not 1 to 3650 days"
	FaultTooMany    Fault = "more than 20 bands"
	FaultCode       Fault = "a code is malformed or repeated"
	FaultEmpty      Fault = "a band without condition"
	FaultNegative   Fault = "negative days or counts"
	FaultImpossible Fault = "a band nobody can be in"
)

// Problem is why settings cannot be used, with a JSON pointer to the part.
type Problem struct {
	Pointer string
	Fault   Fault
}

func (p *Problem) Error() string { return fmt.Sprintf("rfm: %s: %s", p.Pointer, p.Fault) }

// Check reports the first fault of the settings as a *Problem, or nil.
func (s Settings) Check() error {
	if s.WindowDays < 1 || s.WindowDays > 3650 {
		return &Problem{"/window_days", FaultWindow}
	}
	if len(s.Bands) > maxBands {
		return &Problem{"/bands", FaultTooMany}
	}
	seen := map[string]bool{}
	for i, b := range s.Bands {
		at := fmt.Sprintf("/bands/%d", i)
		if !code.MatchString(b.Code) || seen[b.Code] {
			return &Problem{at + "/code", FaultCode}
		}
		seen[b.Code] = true
		if fault := b.fault(); fault != "" {
			return &Problem{at, fault}
		}
	}
	return nil
}

func (b Rule) fault() Fault {
	if b.RecencyBelow == nil && b.RecencyAbove == nil && b.FrequencyAtLeast == nil && b.FrequencyAtMost == nil && b.MonetaryAtLeast == nil && b.MonetaryBelow == nil {
		return FaultEmpty
	}
	negative := func(n *int64) bool { return n != nil && *n < 0 }
	if b.RecencyBelow != nil && *b.RecencyBelow < 1 || b.RecencyAbove != nil && *b.RecencyAbove < 0 || negative(b.FrequencyAtLeast) || negative(b.FrequencyAtMost) {
		return FaultNegative
	}
	// R above a and below b leaves a whole day only if b is two or more past a.
	if b.RecencyBelow != nil && b.RecencyAbove != nil && *b.RecencyBelow-*b.RecencyAbove < 2 ||
		b.FrequencyAtLeast != nil && b.FrequencyAtMost != nil && *b.FrequencyAtLeast > *b.FrequencyAtMost ||
		b.MonetaryAtLeast != nil && b.MonetaryBelow != nil && *b.MonetaryAtLeast >= *b.MonetaryBelow {
		return FaultImpossible
	}
	return ""
}

// Band is the code of the first band that r, f and m fall in, "" for none. A
// customer who never bought (r nil) is in none.
func (s Settings) Band(r *int, f, m int64) string {
	if r == nil {
		return ""
	}
	for _, b := range s.Bands {
		if b.matches(*r, f, m) {
			return b.Code
		}
	}
	return ""
}

func (b Rule) matches(r int, f, m int64) bool {
	return (b.RecencyBelow == nil || r < *b.RecencyBelow) &&
		(b.RecencyAbove == nil || r > *b.RecencyAbove) &&
		(b.FrequencyAtLeast == nil || f >= *b.FrequencyAtLeast) &&
		(b.FrequencyAtMost == nil || f <= *b.FrequencyAtMost) &&
		(b.MonetaryAtLeast == nil || m >= *b.MonetaryAtLeast) &&
		(b.MonetaryBelow == nil || m < *b.MonetaryBelow)
}

// Recency is R on a day: nil for a customer who never bought, 0 when the last
// purchase lies on that day or (a clock that ran ahead) after it.
func Recency(last *clock.Day, today clock.Day) *int {
	if last == nil {
		return nil
	}
	r := max(int(today-*last), 0)
	return &r
}

// ReturnRate is the share of what was spent that came back, to four digits; nil
// where nothing was spent. More than all comes back where it was bought earlier.
func ReturnRate(returned, spent int64) *float64 {
	if spent <= 0 {
		return nil
	}
	rate := math.Round(float64(returned)/float64(spent)*1e4) / 1e4
	return &rate
}

// AverageOrder is the mean order in minor units, rounded half up; 0 without
// orders. Spent must not be negative.
func AverageOrder(spent, orders int64) int64 {
	if orders == 0 {
		return 0
	}
	return spent/orders + (spent%orders+orders/2)/orders
}

// WindowStart is the first day of the window that ends today.
func (s Settings) WindowStart(today clock.Day) clock.Day { return today - clock.Day(s.WindowDays) + 1 }

// NextChange is the first day after today on which F, M or the band can differ
// without a new order or return; ok is false when none is in sight. Last is
// the day of the last purchase; oldest is the first day inside the present
// window with a purchase or return; future is the first such day after today
// (tickets of a till whose clock runs ahead). Nil means there is none.
func (s Settings) NextChange(last, oldest, future *clock.Day, today clock.Day) (next clock.Day, ok bool) {
	consider := func(d clock.Day) {
		if d > today && (!ok || d < next) {
			next, ok = d, true
		}
	}
	if oldest != nil {
		consider(*oldest + clock.Day(s.WindowDays)) // leaves the window
	}
	if future != nil {
		consider(*future) // enters it
	}
	if last != nil {
		for _, b := range s.Bands {
			if b.RecencyBelow != nil {
				consider(*last + clock.Day(*b.RecencyBelow))
			}
			if b.RecencyAbove != nil {
				consider(*last + clock.Day(*b.RecencyAbove) + 1)
			}
		}
	}
	return next, ok
}
