// Package clock is where time comes from, and where business days begin.
//
// A business day is a calendar day in the configured time zone; metrics,
// validity and "R" of RFM count business days, never 24-hour spans.
package clock

import "time"

// Clock tells the time and the business day. The zero value is not useful.
type Clock struct {
	now func() time.Time
	loc *time.Location
}

// New returns the system clock in a business time zone.
func New(loc *time.Location) *Clock { return &Clock{now: time.Now, loc: loc} }

// Fake returns a clock that calls now; for tests.
func Fake(loc *time.Location, now func() time.Time) *Clock { return &Clock{now: now, loc: loc} }

// Now is the present instant in UTC, cut to microseconds (what PostgreSQL keeps).
func (c *Clock) Now() time.Time { return c.now().UTC().Truncate(time.Microsecond) }

// Location is the business time zone.
func (c *Clock) Location() *time.Location { return c.loc }

// Today is the present business day.
func (c *Clock) Today() Day { return c.DayOf(c.Now()) }

// DayOf is the business day an instant falls in.
func (c *Clock) DayOf(t time.Time) Day {
	y, m, d := t.In(c.loc).Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Start is the instant a business day begins.
func (c *Clock) Start(d Day) time.Time {
	y, m, dd := d.Time().Date()
	return time.Date(y, m, dd, 0, 0, 0, 0, c.loc).UTC()
}

// UntilMidnight is how long the present business day still lasts.
func (c *Clock) UntilMidnight() time.Duration {
	return c.Start(c.Today() + 1).Sub(c.Now())
}

// Day is a calendar day as a number of days since 1970-01-01, so that days
// subtract like numbers.
type Day int32

// Time is the day as midnight UTC: the form in which DATE columns travel.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// String is YYYY-MM-DD.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// DayFromDate is the day of a DATE column's value.
func DayFromDate(t time.Time) Day {
	y, m, d := t.Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}
