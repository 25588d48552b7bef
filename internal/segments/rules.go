package segments

import (
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// Metrics are what a customer's business days add up to on a day. Amounts are
// in minor units.
type Metrics struct {
	CustomerID   uuid.UUID
	FirstOrder   *clock.Day
	LastOrder    *clock.Day
	Orders       int64
	PurchaseDays int64
	Units        int64
	Spent        int64
	Returns      int64
	Returned     int64
	Frequency    int64 // F
	Monetary     int64 // M
	Band         string
	RebandOn     *clock.Day // next day on which F, M or the band can change by themselves

	oldest, future *clock.Day // first day inside the window, first day after today
}

// place sets the band on a day and when it can change.
func (m *Metrics) place(s rfm.Settings, today clock.Day) {
	m.Band = s.Band(rfm.Recency(m.LastOrder, today), m.Frequency, m.Monetary)
	m.RebandOn = nil
	if next, ok := s.NextChange(m.LastOrder, m.oldest, m.future, today); ok {
		m.RebandOn = &next
	}
}
