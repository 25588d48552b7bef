package orders

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	ordersapi "github.com/shuke-crm/shuke/api/orders"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// reading turns a ticket of the contract into ours and keeps the first part
// that cannot be read, so that one bad ticket does not refuse a whole batch.
type reading struct {
	at  string // "/orders/3"
	err *apperr.Error
}

func (r *reading) fail(d *apperr.Definition, pointer string) *apperr.Error {
	e := d.At(r.at + pointer)
	if r.err == nil {
		r.err = e
	}
	return e
}

// id reads a UUID in its usual form; nil is none.
func (r *reading) id(text *string, pointer string) uuid.UUID {
	if text == nil {
		return uuid.Nil
	}
	id, err := uuid.Parse(*text)
	if err != nil || len(*text) != 36 || id == uuid.Nil {
		r.fail(ErrID, pointer)
		return uuid.Nil
	}
	return id
}

// ParseTicket reads a ticket from JSON, in the form of POST /v1/pos/orders. What
// cannot be read of it shows when it is taken in.
// Errors: apperr.ErrMalformed.
func ParseTicket(raw []byte) (Ticket, error) {
	var t ordersapi.POSTicket
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Ticket{}, apperr.ErrMalformed.Wrap(err)
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return Ticket{}, apperr.ErrMalformed.Wrap(err)
	}
	return readTicket("", &t), nil
}

func readTicket(at string, t *ordersapi.POSTicket) Ticket {
	r := &reading{at: at}
	out := Ticket{
		Number: opt.Value(t.ExternalNumber), Original: opt.Value(t.OriginalExternalNumber), Currency: opt.Value(t.Currency), Channel: opt.Value(t.Channel),
	}
	if out.StoreID = r.id(t.StoreId, "/store_id"); t.StoreId == nil {
		r.fail(ErrRequired, "/store_id")
	}
	if t.ExternalNumber == nil {
		r.fail(ErrRequired, "/external_number")
	}
	switch opt.Value(t.Type) {
	case "return":
		out.Return = true
	case "sale":
	default:
		if t.Type != nil {
			r.fail(ErrType, "/type")
		}
	}
	if t.PlacedAt == nil {
		r.fail(ErrRequired, "/placed_at")
	} else if at, err := time.Parse(time.RFC3339, *t.PlacedAt); err != nil {
		r.fail(ErrPlacedAt, "/placed_at")
	} else {
		out.PlacedAt = at
	}
	out.StaffID = r.id(given(t.StaffId), "/staff_id")
	out.Customer = r.customer(t)
	if t.Lines == nil {
		r.fail(ErrRequired, "/lines")
	}
	lines := opt.Value(t.Lines)
	out.Lines = make([]TicketLine, len(lines))
	for i := range lines {
		out.Lines[i] = r.line(&lines[i], i)
	}
	for i, p := range opt.Value(t.Payments) {
		at := "/payments/" + strconv.Itoa(i)
		if p.Method == nil {
			r.fail(ErrRequired, at+"/method")
		}
		if p.Amount == nil {
			r.fail(ErrRequired, at+"/amount")
		}
		out.Payments = append(out.Payments, Payment{Method: opt.Value(p.Method), Amount: opt.Value(p.Amount)})
	}
	if out.CouponCodes = opt.Value(t.CouponCodes); len(out.CouponCodes) == 0 {
		out.CouponCodes = nil
	}
	if out.Fields = opt.Value(t.CustomFields); len(out.Fields) == 0 {
		out.Fields = nil
	}
	out.unread = r.err
	return out
}

func (r *reading) line(l *ordersapi.POSLine, i int) TicketLine {
	switch {
	case l.Sku == nil:
		r.fail(ErrRequired, "/lines/"+strconv.Itoa(i)+"/sku")
	case l.Quantity == nil:
		r.fail(ErrRequired, "/lines/"+strconv.Itoa(i)+"/quantity")
	case l.UnitPriceAmount == nil:
		r.fail(ErrRequired, "/lines/"+strconv.Itoa(i)+"/unit_price_amount")
	}
	return TicketLine{SKU: opt.Value(l.Sku), Title: opt.Value(l.Title), Category: opt.Value(l.Category), Quantity: opt.Value(l.Quantity), UnitPrice: opt.Value(l.UnitPriceAmount),
		Discount: opt.Value(l.DiscountAmount)}
}

// customer reads whom a ticket names, which it may do in one way only.
func (r *reading) customer(t *ordersapi.POSTicket) *customers.Ref {
	c, err := t.Customer.Get()
	named := err == nil
	short := given(t.CustomerId)
	switch {
	case !named && short == nil:
		return nil
	case !named:
		return &customers.Ref{ID: r.id(short, "/customer_id")}
	case short != nil:
		r.fail(ErrCustomerKeys, "/customer_id")
		return nil
	}
	ref := &customers.Ref{ID: r.id(c.Id, "/customer/id")}
	keys := 0
	if c.Id != nil {
		keys++
	}
	for _, k := range []struct {
		name  string
		text  *string
		into  *string
		limit int
	}{
		{"external_id", c.ExternalId, &ref.ExternalID, maxExternalID},
		{"card_number", c.CardNumber, &ref.CardNumber, maxCard},
		{"phone", c.Phone, &ref.Phone, maxPhone},
	} {
		if k.text == nil {
			continue
		}
		keys++
		if *k.into = *k.text; !visible(*k.text, k.limit) {
			r.fail(ErrText, "/customer/"+k.name).Arg("max", k.limit)
		}
	}
	if keys != 1 {
		r.fail(ErrCustomerKeys, "/customer")
	}
	return ref
}

// given is what a nullable field holds; nil when it is absent or null.
func given[T any](n nullable.Nullable[T]) *T {
	v, err := n.Get()
	if err != nil {
		return nil
	}
	return &v
}
