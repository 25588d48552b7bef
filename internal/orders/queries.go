package orders

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderchange"
	"github.com/shuke-crm/shuke/ent/commerce/orderline"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/ent/commerce/orderrefund"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturn"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturnline"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/returnreason"
	"github.com/shuke-crm/shuke/ent/commerce/shipment"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// position is the last row of a page: both lists are ordered by time and id.
type position struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"id"`
}

// Filter narrows a list of orders or returns; empty parts do not.
type Filter struct {
	StoreID        *uuid.UUID
	CustomerID     *uuid.UUID
	StaffID        *uuid.UUID
	OrderID        *uuid.UUID // returns only
	Channel        string     // orders only
	Status         string     // orders only
	After          *time.Time // inclusive
	Before         *time.Time // exclusive
	ExternalNumber string
	OrderNumber    string   // orders only
	Fields         []string // orders only: custom fields, as "key:value"
	Limit          *int32
	Cursor         *string
	Total          bool
}

// column adds a condition where a filter is set.
func column[T, P any](l page.List, name string, v *T, text func(T) string, where *[]P, is func(T) P) {
	if v != nil {
		l.Filters.Set(name, text(*v))
		*where = append(*where, is(*v))
	}
}

func filled(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func same(s string) string { return s }

// follow has a filter by the old id of a merged customer find what is the
// survivor's now.
func (s *Service) follow(ctx context.Context, f *Filter) error {
	if f.CustomerID == nil {
		return nil
	}
	now, err := s.customers.GoesOn(ctx, *f.CustomerID)
	f.CustomerID = &now
	return err
}

// ListOrders returns orders within the caller's scope, the newest first.
// Plan: orders_placed_idx, orders_store_idx, orders_customer_idx or
// orders_staff_idx backwards; the cost does not depend on the depth. By custom
// fields orders_custom_fields_idx where few have the value.
//
// Errors: apperr.ErrBadCursor, those of customers.FieldsContain.
func (s *Service) ListOrders(ctx context.Context, f Filter) (*page.Of[*commerce.Order], error) {
	if err := s.follow(ctx, &f); err != nil {
		return nil, err
	}
	l, where := f.orders()
	contained, err := s.customers.FieldsContain(ctx, customers.OfOrder, f.Fields)
	if err != nil {
		return nil, err
	}
	for i, one := range contained {
		l.Filters.Add("custom_fields", f.Fields[i])
		where = append(where, order.And(order.CustomFieldsNotNil(), func(s *sql.Selector) {
			s.Where(sql.P(func(b *sql.Builder) { b.WriteString(s.C(order.FieldCustomFields)).WriteString(" @> ").Arg(one) }))
		}))
	}
	q := s.db.From(ctx).Commerce.Order.Query().Where(where...)
	out := &page.Of[*commerce.Order]{}
	if f.Total {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		total := int64(n)
		out.Total = &total
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), f.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(before(order.FieldPlacedAt, at))
	}
	rows, err := q.Order(order.ByPlacedAt(sql.OrderDesc()), order.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		out.Next, out.Link = l.After(s.pages, position{last.PlacedAt, last.ID})
	}
	return out, nil
}

// orders is a list of orders and its conditions.
func (f Filter) orders() (page.List, []predicate.Order) {
	l := page.NewList("/v1/orders", f.Limit)
	var where []predicate.Order
	column(l, "store_id", f.StoreID, uuid.UUID.String, &where, order.StoreID)
	column(l, "customer_id", f.CustomerID, uuid.UUID.String, &where, order.CustomerID)
	column(l, "staff_id", f.StaffID, uuid.UUID.String, &where, order.StaffID)
	column(l, "channel", filled(f.Channel), same, &where, func(v string) predicate.Order { return order.ChannelEQ(order.Channel(v)) })
	column(l, "status", filled(f.Status), same, &where, func(v string) predicate.Order {
		is := order.StatusEQ(order.Status(v))
		if v == "completed" || v == "cancelled" {
			return is
		}
		return order.And(is, order.CompletedAtIsNil(), order.CancelledAtIsNil()) // which orders_open_idx and orders_open_placed_idx have alone
	})
	column(l, "placed_after", f.After, timeParam, &where, order.PlacedAtGTE)
	column(l, "placed_before", f.Before, timeParam, &where, order.PlacedAtLT)
	column(l, "external_number", filled(f.ExternalNumber), same, &where, order.ExternalNumber)
	column(l, "order_number", filled(f.OrderNumber), same, &where, order.OrderNumber)
	return l, where
}

// Count is how many orders of the caller's scope a filter has.
func (s *Service) Count(ctx context.Context, f Filter) (int64, error) {
	if err := s.follow(ctx, &f); err != nil {
		return 0, err
	}
	_, where := f.orders()
	n, err := s.db.From(ctx).Commerce.Order.Query().Where(where...).Count(ctx)
	return int64(n), err
}

// Walk hands out all orders of the caller's scope that a filter has, the newest
// first, in pages, until the end or the first error. Each page is a statement of
// its own; no order is in two of them.
func (s *Service) Walk(ctx context.Context, f Filter, size int, do func([]*commerce.Order) error) error {
	if err := s.follow(ctx, &f); err != nil {
		return err
	}
	_, where := f.orders()
	var at *position
	for {
		q := s.db.From(ctx).Commerce.Order.Query().Where(where...)
		if at != nil {
			q.Where(before(order.FieldPlacedAt, *at))
		}
		rows, err := q.Order(order.ByPlacedAt(sql.OrderDesc()), order.ByID(sql.OrderDesc())).Limit(size).All(ctx)
		if err != nil {
			return err
		}
		if err := do(rows); err != nil || len(rows) < size {
			return err
		}
		last := rows[len(rows)-1]
		at = &position{last.PlacedAt, last.ID}
	}
}

// ListReturns returns returns within the caller's scope, the newest first.
// Plan: as ListOrders, over order_returns.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) ListReturns(ctx context.Context, f Filter) (*page.Of[*commerce.OrderReturn], error) {
	if err := s.follow(ctx, &f); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/returns", f.Limit)
	var where []predicate.OrderReturn
	column(l, "store_id", f.StoreID, uuid.UUID.String, &where, orderreturn.StoreID)
	column(l, "customer_id", f.CustomerID, uuid.UUID.String, &where, orderreturn.CustomerID)
	column(l, "order_id", f.OrderID, uuid.UUID.String, &where, orderreturn.OrderID)
	column(l, "returned_after", f.After, timeParam, &where, orderreturn.ReturnedAtGTE)
	column(l, "returned_before", f.Before, timeParam, &where, orderreturn.ReturnedAtLT)
	column(l, "external_number", filled(f.ExternalNumber), same, &where, orderreturn.ExternalNumber)
	q := s.db.From(ctx).Commerce.OrderReturn.Query().Where(where...)
	out := &page.Of[*commerce.OrderReturn]{}
	if f.Total {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		total := int64(n)
		out.Total = &total
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), f.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(before(orderreturn.FieldReturnedAt, at))
	}
	rows, err := q.Order(orderreturn.ByReturnedAt(sql.OrderDesc()), orderreturn.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		out.Next, out.Link = l.After(s.pages, position{last.ReturnedAt, last.ID})
	}
	return out, nil
}

// before is the keyset condition as a row comparison, which an index on (time,
// id) answers by one range.
func before(field string, at position) func(*sql.Selector) {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.WriteString("(" + s.C(field) + ", " + s.C("id") + ") < (").Arg(at.At).WriteString(", ").Arg(at.ID).WriteString(")")
		}))
	}
}

func timeParam(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Order reads one order whole: lines, payments, refunds, shipments, and the
// returns linked to it. A return to a store beyond the caller's scope is not
// among them.
//
// Errors: ErrOrderNotFound.
func (s *Service) Order(ctx context.Context, id uuid.UUID) (*commerce.Order, error) {
	o, err := s.db.From(ctx).Commerce.Order.Query().Where(order.ID(id)).
		WithLines(func(q *commerce.OrderLineQuery) { q.Order(orderline.ByLineNumber()) }).
		WithPayments(func(q *commerce.OrderPaymentQuery) { q.Order(orderpayment.ByID()) }).
		WithRefunds(func(q *commerce.OrderRefundQuery) { q.Order(orderrefund.ByID()) }).
		WithShipments(func(q *commerce.ShipmentQuery) { q.Order(shipment.ByID()).WithLines() }).
		WithReturns(func(q *commerce.OrderReturnQuery) { q.Order(orderreturn.ByReturnedAt(), orderreturn.ByID()) }).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrOrderNotFound.New()
	}
	return o, err
}

// Return reads one return with its lines and refunds.
//
// Errors: ErrReturnNotFound.
func (s *Service) Return(ctx context.Context, id uuid.UUID) (*commerce.OrderReturn, error) {
	r, err := s.db.From(ctx).Commerce.OrderReturn.Query().Where(orderreturn.ID(id)).
		WithRefunds(func(q *commerce.OrderRefundQuery) { q.Order(orderrefund.ByID()) }).
		WithLines(func(q *commerce.OrderReturnLineQuery) { q.Order(orderreturnline.ByLineNumber()) }).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrReturnNotFound.New()
	}
	return r, err
}

// History lists the steps of an order, the newest first.
// Plan: order_changes_order_idx backwards.
//
// Errors: ErrOrderNotFound, apperr.ErrBadCursor.
func (s *Service) History(ctx context.Context, id uuid.UUID, limit *int32, cursor *string, count bool) (*page.Of[*commerce.OrderChange], error) {
	if ok, err := s.db.From(ctx).Commerce.Order.Query().Where(order.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrOrderNotFound.New()
	}
	l := page.NewList("/v1/orders/"+id.String()+"/history", limit)
	q := s.db.From(ctx).Commerce.OrderChange.Query().Where(orderchange.OrderID(id))
	out := &page.Of[*commerce.OrderChange]{}
	if count {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		total := int64(n)
		out.Total = &total
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(orderchange.IDLT(at.ID))
	}
	rows, err := q.Order(orderchange.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{ID: out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}

// Reasons lists the reasons of returns by their codes, as the list of a path; the
// active ones only where that is wanted.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) Reasons(ctx context.Context, path string, active bool, limit *int32, cursor *string, count bool) (*page.Of[*commerce.ReturnReason], error) {
	l := page.NewList(path, limit)
	q := s.db.From(ctx).Commerce.ReturnReason.Query()
	if active {
		q.Where(returnreason.StatusEQ(returnreason.StatusActive))
	}
	out := &page.Of[*commerce.ReturnReason]{}
	if count {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		total := int64(n)
		out.Total = &total
	}
	var at struct {
		Code string `json:"c"`
	}
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(returnreason.CodeGT(at.Code))
	}
	rows, err := q.Order(returnreason.ByCode()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		at.Code = out.Items[len(out.Items)-1].Code
		out.Next, out.Link = l.After(s.pages, at)
	}
	return out, nil
}
