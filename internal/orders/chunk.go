package orders

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Domain events. Their payload is OrderEvent.
var (
	EventPlaced    = events.Define("order.placed", "订单已下单", "An order was placed.")
	EventPaid      = events.Define("order.paid", "订单已付清", "An order was paid in full.")
	EventChanged   = events.Define("order.changed", "订单商品已变更", "The lines of an order were changed.")
	EventShipped   = events.Define("order.shipped", "订单已发货", "Pieces of an order were sent.")
	EventReady     = events.Define("order.ready", "订单可自提", "An order can be picked up.")
	EventCompleted = events.Define("order.completed", "订单已完成", "An order was completed.")
	EventCancelled = events.Define("order.cancelled", "订单已取消", "An order was cancelled.")

	EventReturnRequested = events.Define("return.requested", "申请退货", "Goods are to be returned.")
	EventReturnApproved  = events.Define("return.approved", "退货已批准", "A return was approved.")
	EventReturnRejected  = events.Define("return.rejected", "退货被拒绝", "A return was rejected.")
	EventReturnReceived  = events.Define("return.received", "退货已收到", "Returned goods have arrived.")
	EventReturned        = events.Define("order.returned", "商品已退回", "Goods were brought back, and their worth given back or credited.")

	EventOutForDelivery = events.Define("shipment.out_for_delivery", "包裹派送中", "A parcel is being brought to the recipient.")
	EventDelivered      = events.Define("shipment.delivered", "包裹已签收", "A parcel was delivered.")
	EventException      = events.Define("shipment.exception", "包裹异常", "A parcel is delayed, refused, lost or on its way back.")
	EventParcelReturned = events.Define("shipment.returned", "包裹已退回", "A parcel came back to the sender.")
)

// eventOf is what it is called when an order comes into a state.
var eventOf = map[order.Status]string{order.StatusPlaced: EventPlaced, order.StatusPaid: EventPaid, order.StatusReady: EventReady, order.StatusCompleted: EventCompleted,
	order.StatusCancelled: EventCancelled}

// liveEvents are those that streams carry.
var liveEvents = []string{EventPlaced, EventPaid, EventChanged, EventShipped, EventReady, EventCompleted, EventCancelled, EventReturnRequested, EventReturnApproved,
	EventReturnRejected, EventReturnReceived, EventReturned, EventOutForDelivery, EventDelivered, EventException, EventParcelReturned}

// OrderEvent is the payload of all of them: ids, state and amounts in minor units. Where a
// return is concerned, state, amount and pieces are its; where a parcel is, shipment_status is the parcel's.
type OrderEvent struct {
	OrderID         *uuid.UUID `json:"order_id,omitempty"`
	OrderReturnID   *uuid.UUID `json:"order_return_id,omitempty"`
	ShipmentID      *uuid.UUID `json:"shipment_id,omitempty"`
	ShipmentStatus  string     `json:"shipment_status,omitempty"`
	StoreID         uuid.UUID  `json:"store_id"`
	CustomerID      *uuid.UUID `json:"customer_id,omitempty"`
	StaffID         *uuid.UUID `json:"staff_id,omitempty"`
	AssignedStaffID *uuid.UUID `json:"assigned_staff_id,omitempty"`
	Status          string     `json:"status"`
	Currency        string     `json:"currency"`
	TotalAmount     int64      `json:"total_amount"`
	UnitCount       int64      `json:"unit_count"`
	PlacedAt        string     `json:"placed_at"`
}

// chunk takes in tickets with distinct keys, in the caller's transaction. It
// may be run again from the start with the same rows.
func (s *Service) chunk(ctx context.Context, tx *db.Tx, rows []*row, create bool) error {
	for _, r := range rows {
		*r.result = Result{}
	}
	// Twins first: a repetition must be recognised even if a customer or SKU that
	// it names is gone by now.
	if err := s.findTwins(ctx, tx, rows); err != nil {
		return err
	}
	if err := s.findCustomers(ctx, tx, stillOpen(rows), "KEY SHARE"); err != nil {
		return err
	}
	variants, err := s.findVariants(ctx, tx, stillOpen(rows), create)
	if err != nil {
		return err
	}
	if err := s.judgeFields(ctx, tx, stillOpen(rows)); err != nil {
		return err
	}
	fresh := stillOpen(rows)
	if len(fresh) == 0 {
		return nil
	}
	if err := s.lockStores(ctx, tx, fresh); err != nil {
		return err
	}
	if fresh, err = s.claim(ctx, tx, fresh); err != nil || len(fresh) == 0 {
		return err
	}
	w := newWriter(s.currency, s.clock.Now())
	for _, r := range fresh {
		w.add(r, variants)
	}
	if err := w.insert(ctx, tx); err != nil {
		return err
	}
	if err := lockCustomers(ctx, tx, fresh); err != nil {
		return err
	}
	linked, err := s.link(ctx, tx, fresh)
	if err != nil {
		return err
	}
	if err := s.earnTickets(ctx, tx, fresh, linked); err != nil {
		return err
	}
	if err := s.segments.ApplyDays(ctx, tx, w.days); err != nil {
		return err
	}
	if err := s.inventory.TakeTickets(ctx, tx, w.stock); err != nil {
		return err
	}
	s.note(ctx, tx, fresh, w)
	return nil
}

func stillOpen(rows []*row) []*row {
	out := make([]*row, 0, len(rows))
	for _, r := range rows {
		if r.open() {
			out = append(out, r)
		}
	}
	return out
}

// findTwins settles the tickets whose number was used before.
// Plan: nested loop over pos_tickets_pkey.
func (s *Service) findTwins(ctx context.Context, tx *db.Tx, rows []*row) error {
	byKey := make(map[key]*row, len(rows))
	stores, numbers := make(pgarray.UUIDs, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		byKey[r.ticket.key()] = r
		stores[i], numbers[i] = r.ticket.StoreID, r.ticket.Number
	}
	found, err := tx.Query(ctx, `
SELECT p.store_id, p.external_number, p.fingerprint, p.order_id, p.order_return_id
FROM unnest($1::uuid[], $2::text[]) AS k (store_id, external_number)
JOIN pos_tickets p ON p.store_id = k.store_id AND p.external_number = k.external_number`, stores, pq.Array(numbers))
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var k key
		var print []byte
		var order, back uuid.NullUUID
		if err := found.Scan(&k.store, &k.number, &print, &order, &back); err != nil {
			return err
		}
		r := byKey[k]
		if !bytes.Equal(print, r.print) {
			r.fail(ErrNumberReused.At(r.at + "/external_number"))
			continue
		}
		*r.result = Result{Status: Duplicate, OrderID: order.UUID, ReturnID: back.UUID}
	}
	return found.Err()
}

// findCustomers resolves whom tickets name, and keeps those customers from being
// merged until commit. What orders copy of them may still change: lockCustomers
// looks again, so that tickets of the same customers wait for each other only from
// there on. The lock is of that strength or SHARE.
func (s *Service) findCustomers(ctx context.Context, tx *db.Tx, rows []*row, lock string) error {
	var named []*row
	var refs []customers.Ref
	for _, r := range rows {
		r.customer = customers.Resolved{}
		if r.ticket.Customer != nil {
			named = append(named, r)
			refs = append(refs, *r.ticket.Customer)
		}
	}
	if len(named) == 0 {
		return nil
	}
	resolved, err := s.customers.Resolve(ctx, tx, refs)
	if err != nil {
		return err
	}
	seen := make(map[uuid.UUID]bool, len(named))
	var ids pgarray.UUIDs
	for i, r := range named {
		if r.customer = resolved[i]; r.customer.ID == uuid.Nil {
			r.fail(ErrCustomer.At(r.at + "/customer"))
		} else if !seen[r.customer.ID] {
			seen[r.customer.ID] = true
			ids = append(ids, r.customer.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, "SELECT id, assigned_staff_id, merged_into_id IS NOT NULL FROM customers WHERE id = ANY($1::uuid[]) ORDER BY id FOR "+lock, ids)
	if err != nil {
		return err
	}
	defer found.Close()
	assistants := make(map[uuid.UUID]uuid.UUID, len(ids))
	for found.Next() {
		var id uuid.UUID
		var assistant uuid.NullUUID
		var merged bool
		if err := found.Scan(&id, &assistant, &merged); err != nil {
			return err
		}
		if merged { // since it was resolved: the next attempt finds the survivor
			return db.ErrAgain
		}
		assistants[id] = assistant.UUID
	}
	for _, r := range named {
		r.customer.AssignedStaffID = assistants[r.customer.ID]
	}
	return found.Err()
}

// lockCustomers locks customers in the order of their ids, before their orders and
// metrics: their lifecycle stage and automatic tags follow from what they bought.
// What was written has copied their assistants; it follows those that have
// changed since.
func lockCustomers(ctx context.Context, tx *db.Tx, rows []*row) error {
	now := make(map[uuid.UUID]uuid.UUID, len(rows))
	var ids pgarray.UUIDs
	for _, r := range rows {
		if id := r.customer.ID; id != uuid.Nil {
			if _, seen := now[id]; !seen {
				ids = append(ids, id)
			}
			now[id] = r.customer.AssignedStaffID
		}
	}
	if len(ids) == 0 {
		return nil
	}
	found, err := tx.Query(ctx, "SELECT id, assigned_staff_id FROM customers WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var id uuid.UUID
		var assistant uuid.NullUUID
		if err := found.Scan(&id, &assistant); err != nil {
			return err
		}
		now[id] = assistant.UUID
	}
	if err := found.Err(); err != nil {
		return err
	}
	_ = found.Close()
	var written pgarray.UUIDs
	for _, r := range rows {
		if r.customer.ID != uuid.Nil && r.customer.AssignedStaffID != now[r.customer.ID] {
			r.customer.AssignedStaffID = now[r.customer.ID]
			written = append(written, r.orderID, r.returnID)
		}
	}
	if len(written) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "UPDATE orders o SET assigned_staff_id = c.assigned_staff_id FROM customers c WHERE o.id = ANY ($1::uuid[]) AND c.id = o.customer_id", written); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE order_returns r SET assigned_staff_id = c.assigned_staff_id FROM customers c WHERE r.id = ANY ($1::uuid[]) AND c.id = r.customer_id", written)
	return err
}

// findVariants resolves SKUs, making those unknown when that is wanted.
func (s *Service) findVariants(ctx context.Context, tx *db.Tx, rows []*row, create bool) (map[string]catalog.Variant, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	needs := make([]catalog.Need, 0, len(rows)*3)
	for _, r := range rows {
		for _, l := range r.ticket.Lines {
			needs = append(needs, catalog.Need{SKU: l.SKU, Title: l.Title, Category: l.Category, UnitPrice: l.UnitPrice})
		}
	}
	variants, err := s.catalog.ResolveSKUs(ctx, tx, needs, create)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		for i, l := range r.ticket.Lines {
			if _, ok := variants[l.SKU]; !ok {
				r.fail(ErrSKUUnknown.At(r.at + "/lines/" + strconv.Itoa(i) + "/sku"))
				break
			}
		}
	}
	return variants, nil
}

// judgeFields judges the custom fields of the orders that tickets make.
func (s *Service) judgeFields(ctx context.Context, tx *db.Tx, rows []*row) error {
	items := make([]*customers.FieldItem, 0, len(rows))
	var makers []*row
	for _, r := range rows {
		if r.fields = nil; r.ticket.sells() {
			makers = append(makers, r)
			items = append(items, &customers.FieldItem{Store: r.ticket.StoreID, New: true, Patch: r.ticket.Fields})
		} else if len(r.ticket.Fields) > 0 {
			r.fail(ErrNoOrder.At(r.at + "/custom_fields"))
		}
	}
	if err := s.customers.JudgeFields(ctx, tx, customers.OfOrder, items); err != nil {
		return err
	}
	for i, r := range makers {
		r.fields = items[i].Values
		if bad := items[i].Faults(); len(bad) > 0 {
			e := items[i].Err().(*apperr.Error)
			for n := range e.Fields {
				e.Fields[n].Pointer = r.at + e.Fields[n].Pointer
			}
			r.fail(e)
		}
	}
	return nil
}

// claim writes the rows of pos_tickets. Of several transactions with the same
// ticket one writes it; the others wait here for its commit and find a twin.
func (s *Service) claim(ctx context.Context, tx *db.Tx, rows []*row) ([]*row, error) {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b *row) int {
		if c := bytes.Compare(a.ticket.StoreID[:], b.ticket.StoreID[:]); c != 0 {
			return c
		}
		return strings.Compare(a.ticket.Number, b.ticket.Number)
	})
	n := len(rows)
	stores, orders, returns := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	numbers, prints := make([]string, n), make(pq.ByteaArray, n)
	byKey := make(map[key]*row, n)
	for i, r := range rows {
		if err := r.makeIDs(); err != nil {
			return nil, err
		}
		byKey[r.ticket.key()] = r
		stores[i], numbers[i], prints[i], orders[i], returns[i] = r.ticket.StoreID, r.ticket.Number, r.print, r.orderID, r.returnID
	}
	written, err := tx.Query(ctx, `
INSERT INTO pos_tickets (store_id, external_number, fingerprint, order_id, order_return_id, created_at)
SELECT store_id, number, print, NULLIF(order_id, '00000000-0000-0000-0000-000000000000'), NULLIF(return_id, '00000000-0000-0000-0000-000000000000'), $6
FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::uuid[]) AS t (store_id, number, print, order_id, return_id)
ON CONFLICT (store_id, external_number) DO NOTHING
RETURNING store_id, external_number`, stores, pq.Array(numbers), prints, orders, returns, s.clock.Now())
	if err != nil {
		return nil, err
	}
	defer written.Close()
	for written.Next() {
		var k key
		if err := written.Scan(&k.store, &k.number); err != nil {
			return nil, err
		}
		r := byKey[k]
		*r.result = Result{Status: Created, OrderID: r.orderID, ReturnID: r.returnID}
	}
	if err := written.Err(); err != nil {
		return nil, err
	}
	_ = written.Close()
	if lost := stillOpen(rows); len(lost) > 0 {
		if err := s.findTwins(ctx, tx, lost); err != nil {
			return nil, err
		}
		rows = slices.DeleteFunc(rows, func(r *row) bool { return r.result.Status != Created })
	}
	return rows, nil
}

// makeIDs decides what the ticket becomes.
func (r *row) makeIDs() (err error) {
	r.orderID, r.returnID = uuid.Nil, uuid.Nil
	for i := range r.ticket.Lines {
		back, _ := r.ticket.back(&r.ticket.Lines[i])
		switch {
		case back && r.returnID == uuid.Nil:
			r.returnID, err = uuid.NewV7()
		case !back && r.orderID == uuid.Nil:
			r.orderID, err = uuid.NewV7()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// note tells everybody who wants to know: profiles, the audit log, subscribers.
func (s *Service) note(ctx context.Context, tx *db.Tx, rows []*row, w *writer) {
	touched := make([]uuid.UUID, 0, len(w.days))
	for _, d := range w.days {
		touched = append(touched, d.CustomerID)
	}
	s.customers.Touch(ctx, tx, touched...)
	for _, r := range rows {
		e := OrderEvent{
			StoreID: r.ticket.StoreID, CustomerID: orNil(r.customer.ID), StaffID: orNil(r.ticket.StaffID),
			AssignedStaffID: orNil(r.customer.AssignedStaffID), Status: "completed", Currency: r.ticket.Currency, PlacedAt: r.ticket.PlacedAt.Format("2006-01-02T15:04:05.999999Z07:00"),
		}
		for _, l := range r.ticket.Lines {
			if back, pieces := r.ticket.back(&l); !back {
				e.TotalAmount += pieces*l.UnitPrice - l.Discount
				e.UnitCount += pieces
			}
		}
		if r.orderID != uuid.Nil {
			e.OrderID = &r.orderID
			s.record(ctx, tx, r, EventCompleted, "order", r.orderID, e)
		}
		if r.returnID != uuid.Nil {
			e.OrderID, e.OrderReturnID, e.Status, e.TotalAmount, e.UnitCount = nil, &r.returnID, "refunded", 0, 0
			for _, l := range r.ticket.Lines {
				if back, pieces := r.ticket.back(&l); back {
					e.TotalAmount += pieces*l.UnitPrice - l.Discount
					e.UnitCount += pieces
				}
			}
			s.record(ctx, tx, r, EventReturned, "order_return", r.returnID, e)
		}
	}
}

func (s *Service) record(ctx context.Context, tx *db.Tx, r *row, eventType, subject string, id uuid.UUID, e OrderEvent) {
	audit.Record(ctx, tx, audit.Entry{Action: "orders.ingest", ObjectType: subject, ObjectID: id.String(), StoreID: &r.ticket.StoreID})
	events.Emit(tx, events.Event{Type: eventType, SubjectType: subject, SubjectID: id, StoreID: &r.ticket.StoreID, Payload: e})
}

func orNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
