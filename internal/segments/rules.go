package segments

import (
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// Metrics are what a customer's business days add up to on a day. Amounts are
// in minor units.
type Metrics struct {
	CustomerID                   uuid.UUID
	FirstOrder                   *clock.Day
	LastOrder                    *clock.Day
	Orders                       int64
	PurchaseDays                 int64
	Units                        int64
	Spent                        int64
	Returns                      int64
	Returned                     int64
	Frequency                    int64 // F
	Monetary                     int64 // M
	WindowOrders, WindowReturned int64 // within the window of F and M
	Band                         string
	RebandOn                     *clock.Day // next day on which F, M, the band or the stage can change by themselves

	oldest, future *clock.Day // first day inside the window, first day after today
	days           bool       // whether the customer has any
	record         standing
}

// standing is what the customer's record says beside the metrics.
type standing struct {
	created            clock.Day
	card, free         bool // free: the stage follows from the rules
	stage              string
	storeID, staffID   *uuid.UUID
	derived, derivedBy string // the stage that it should be, and the rule that says so
}

// banding is what places customers: the RFM settings and the rules of stages.
type banding struct {
	rfm.Settings
	stages lifecycle.Settings
}

// place sets the band and the stage on a day and when they can change.
func (m *Metrics) place(s *banding, today clock.Day) {
	m.Band = s.Band(rfm.Recency(m.LastOrder, today), m.Frequency, m.Monetary)
	facts := &lifecycle.Facts{Created: m.record.created, First: m.FirstOrder, Last: m.LastOrder, Orders: m.Orders, NetSpent: m.Spent - m.Returned,
		Band: m.Band, HasCard: m.record.card}
	m.record.derived, m.record.derivedBy = s.stages.Stage(facts, today)
	m.RebandOn = nil
	if next, ok := s.NextChange(m.LastOrder, m.oldest, m.future, today); ok {
		m.RebandOn = &next
	}
	if next, ok := s.stages.NextChange(facts, today); ok && (m.RebandOn == nil || next < *m.RebandOn) {
		m.RebandOn = &next
	}
}
