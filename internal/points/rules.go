package points

import (
	"math"
	"math/big"
	"time"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// most is up to how many points are counted: sums of a million members stay far
// below what an int64 holds.
const most = 1_000_000_000_000

// expiry is when points that become active at an instant expire; nil: never.
// They can be spent throughout the last day, by business days.
func expiry(u *loyalty.PointsUnit, c *clock.Clock, active time.Time) *time.Time {
	day := c.DayOf(active)
	var last clock.Day // the first on which they are gone
	date := day.Time()
	switch u.ExpiryMethod {
	case pointsunit.ExpiryMethodDays:
		last = day + clock.Day(u.ExpiryCount) + 1
	case pointsunit.ExpiryMethodMonthEnd:
		last = clock.DayFromDate(time.Date(date.Year(), date.Month()+time.Month(u.ExpiryCount)+1, 1, 0, 0, 0, 0, time.UTC))
	case pointsunit.ExpiryMethodYearEnd:
		last = clock.DayFromDate(time.Date(date.Year()+u.ExpiryCount+1, 1, 1, 0, 0, 0, 0, time.UTC))
	default:
		return nil
	}
	at := c.Start(last)
	return &at
}

// activation is when points earned at an instant can be spent: at once, or at the
// beginning of the business day so many days later.
func activation(u *loyalty.PointsUnit, c *clock.Clock, earned time.Time) time.Time {
	if u.PendingDays == 0 {
		return earned
	}
	return c.Start(c.DayOf(earned) + clock.Day(u.PendingDays))
}

// mulDiv is a * b / c, rounded down, whatever the product.
func mulDiv(a, b, c int64) int64 {
	n := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	n.Div(n, big.NewInt(c))
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}
