package orders

import (
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Ticket is one ticket as a till sends it. Amounts are in minor units.
type Ticket struct {
	StoreID  uuid.UUID
	Number   string // the till's, unique within the store
	Return   bool   // all lines are goods brought back
	Original string // number of the sale they belong to; empty when not known
	PlacedAt time.Time
	Customer *customers.Ref // nil: nobody named
	Currency string         // empty: the business's
	Channel  string         // empty: pos
	StaffID  uuid.UUID      // who sold; zero when not known
	Lines    []TicketLine
	Payments []Payment
	// CouponCodes are those the till has taken; it judged them itself.
	CouponCodes []string
	Fields      map[string]any // custom fields of the order

	unread *apperr.Error // the first part that could not be read; nil when all could
}

// TicketLine is one article on a ticket.
type TicketLine struct {
	SKU       string
	Title     string // empty: the product's
	Category  string // of a product that has to be made
	Quantity  int64  // not zero; below zero is brought back
	UnitPrice int64
	Discount  int64 // off the line, not more than it costs
}

// Payment is one means a ticket was paid with, as the till reports it.
type Payment struct {
	Method string // cash, card, wechat_pay, alipay, stored_value, points, other, or the till's own word
	Amount int64
}

// Status is what became of a ticket.
type Status string

// What can become of a ticket.
const (
	Created   Status = "created"
	Duplicate Status = "duplicate"
	Failed    Status = "error"
)

// Result is what became of one ticket.
type Result struct {
	Status   Status
	OrderID  uuid.UUID // zero: no order
	ReturnID uuid.UUID // zero: no return
	Err      *apperr.Error

	// ReturnExceeds is a warning: more was brought back of a sale than it had.
	ReturnExceeds bool
}

// key is what a ticket is known by.
type key struct {
	store  uuid.UUID
	number string
}

func (t *Ticket) key() key { return key{t.StoreID, t.Number} }
