package orders

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// LineQuantity is some pieces of an order's line.
type LineQuantity struct {
	LineID   uuid.UUID
	Quantity int64
}

// Parcel is what to send.
type Parcel struct {
	Carrier, TrackingNumber *string
	Lines                   []LineQuantity // empty: everything that is not sent yet
}

// PlaceDraft reserves the pieces of a draft; its money is due from now on.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, inventory.ErrInsufficient.
func (s *Service) PlaceDraft(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.change(ctx, id, ifMatch, "place", func(ctx context.Context, tx *db.Tx, c *changing) error {
		if err := c.must(order.StatusDraft); err != nil {
			return err
		}
		if err := s.reserve(ctx, tx, c.o, c.o.Edges.Lines); err != nil {
			return err
		}
		c.lines, c.o.Status = true, order.StatusPlaced
		by := s.clock.Now().Add(payWithin)
		c.o.PayBy = &by
		s.standing(c)
		return nil
	})
}

// Pay records money received, or takes it from a wallet or gift card. What is due is never exceeded: paying twice is an
// error.
// Errors: ErrOrderNotFound, ErrState, ErrNothingDue, ErrStoredOfNobody, ErrStoredNotYours, ErrCardCode, those of wallets.
func (s *Service) Pay(ctx context.Context, id uuid.UUID, in PaymentInput) error {
	return s.change(ctx, id, nil, "pay", func(ctx context.Context, tx *db.Tx, c *changing) error {
		if c.o.Status == order.StatusPaid || countsAs(c.o.Status) {
			return ErrNothingDue.At("/amount").Arg("due", 0)
		}
		if err := c.must(order.StatusPlaced); err != nil {
			return err
		}
		if in.Amount > due(c.o) {
			return ErrNothingDue.At("/amount").Arg("due", due(c.o))
		}
		if err := mayPayStored(ctx, c.o, in, ""); err != nil {
			return err
		}
		n := len(c.o.Edges.Payments)
		if err := addPayment(c.o, in.Method, in.Amount, in.Reference, s.clock.Now()); err != nil {
			return err
		}
		c.payments = c.o.Edges.Payments[n:]
		c.details["method"], c.details["amount"] = in.Method, in.Amount
		s.standing(c)
		if err := s.takenAlong(ctx, tx, c); err != nil {
			return err
		}
		return s.payStored(ctx, tx, c.o, c.payments[0], in, "")
	})
}

// takenAlong completes a paid order whose customer takes the goods along.
func (s *Service) takenAlong(ctx context.Context, tx *db.Tx, c *changing) error {
	if c.o.Status != order.StatusPaid || c.o.Fulfilment != order.FulfilmentTaken {
		return nil
	}
	now := s.clock.Now()
	c.lines, c.o.Status, c.o.CompletedAt = true, order.StatusCompleted, &now
	c.emits = append(c.emits, EventPaid)
	return s.handOver(ctx, tx, c.o)
}

// Ship sends pieces of a paid order: they leave the stock of its store.
// Errors: ErrOrderNotFound, ErrState, ErrFulfilment, ErrLine, ErrTooMany, inventory.ErrInsufficient.
func (s *Service) Ship(ctx context.Context, id uuid.UUID, in Parcel) error {
	return s.change(ctx, id, nil, "ship", func(ctx context.Context, tx *db.Tx, c *changing) error {
		if err := c.must(order.StatusPaid, order.StatusPartlyShipped); err != nil {
			return err
		}
		if c.o.Fulfilment != order.FulfilmentDelivery {
			return ErrFulfilment.New().Arg("fulfilment", string(c.o.Fulfilment))
		}
		sent := in.Lines
		if len(sent) == 0 {
			for _, l := range c.o.Edges.Lines {
				if q := l.Quantity - l.ShippedQuantity; q > 0 {
					sent = append(sent, LineQuantity{l.ID, q})
				}
			}
		}
		pieces, err := c.send(sent)
		if err != nil {
			return err
		}
		if err := s.inventory.HandOut(ctx, tx, c.o.StoreID, c.o.ID, pieces); err != nil {
			return err
		}
		shipment, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := s.clock.Now()
		create := tx.Commerce.Shipment.Create().SetID(shipment).SetOrderID(c.o.ID).SetNillableCarrier(in.Carrier).SetNillableTrackingNumber(in.TrackingNumber).SetSentAt(now).
			SetCreatedAt(now).SetUpdatedAt(now)
		s.track(create, in, now)
		if err := create.Exec(ctx); err != nil {
			return err
		}
		for _, l := range sent {
			line, err := uuid.NewV7()
			if err != nil {
				return err
			}
			if err := tx.Commerce.ShipmentLine.Create().SetID(line).SetShipmentID(shipment).SetOrderLineID(l.LineID).SetQuantity(l.Quantity).Exec(ctx); err != nil {
				return err
			}
		}
		c.lines, c.o.Status = true, order.StatusShipped
		if slices.ContainsFunc(c.o.Edges.Lines, isOpen) {
			c.o.Status = order.StatusPartlyShipped
		}
		c.details["shipment_id"], c.details["lines"] = shipment, len(sent)
		c.emits = append(c.emits, EventShipped)
		return nil
	})
}

// send marks pieces as sent and returns those that leave the stock.
// Errors: ErrLine, ErrTooMany.
func (c *changing) send(sent []LineQuantity) ([]inventory.Piece, error) {
	wrong := ErrLine.New()
	var pieces []inventory.Piece
	seen := map[uuid.UUID]bool{}
	for i, q := range sent {
		at := "/lines/" + strconv.Itoa(i)
		n := slices.IndexFunc(c.o.Edges.Lines, func(l *lineRow) bool { return l.ID == q.LineID })
		if n < 0 || seen[q.LineID] {
			wrong.Field(at+"/line_id", ErrLine)
			continue
		}
		seen[q.LineID] = true
		l := c.o.Edges.Lines[n]
		if open := l.Quantity - l.ShippedQuantity; q.Quantity > open {
			wrong.Field(at+"/quantity", ErrTooMany, map[string]any{"max": open})
			continue
		}
		l.ShippedQuantity += q.Quantity
		if held := min(l.ReservedQuantity, q.Quantity); held > 0 {
			l.ReservedQuantity -= held
			pieces = append(pieces, inventory.Piece{VariantID: l.VariantID, Quantity: held, Pointer: at + "/quantity"})
		}
	}
	if len(wrong.Fields) > 0 {
		e := wrong.OfFirst()
		e.Args = wrong.Fields[0].Args
		return nil, e
	}
	return pieces, nil
}

func isOpen(l *lineRow) bool { return l.ShippedQuantity < l.Quantity }

// Ready says that a paid order can be picked up.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, ErrFulfilment.
func (s *Service) Ready(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.change(ctx, id, ifMatch, "ready", func(_ context.Context, _ *db.Tx, c *changing) error {
		if err := c.must(order.StatusPaid); err != nil {
			return err
		}
		if c.o.Fulfilment != order.FulfilmentPickup {
			return ErrFulfilment.New().Arg("fulfilment", string(c.o.Fulfilment))
		}
		c.o.Status = order.StatusReady
		return nil
	})
}

// Complete says that the customer has the goods.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, inventory.ErrInsufficient.
func (s *Service) Complete(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.change(ctx, id, ifMatch, "complete", func(ctx context.Context, tx *db.Tx, c *changing) error {
		allowed := []order.Status{order.StatusPaid, order.StatusReady}
		if c.o.Fulfilment == order.FulfilmentDelivery {
			allowed = []order.Status{order.StatusShipped}
		}
		if err := c.must(allowed...); err != nil {
			return err
		}
		now := s.clock.Now()
		c.o.Status, c.o.CompletedAt = order.StatusCompleted, &now
		if c.o.Fulfilment == order.FulfilmentDelivery {
			return nil
		}
		c.lines = true
		return s.handOver(ctx, tx, c.o)
	})
}

// Cancel gives an order up before anything of it was handed out: its pieces are
// free again and what was paid goes back.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, ErrRefundPermission.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID, ifMatch *string, reason string) error {
	return s.change(ctx, id, ifMatch, "cancel", func(ctx context.Context, tx *db.Tx, c *changing) error {
		points, back := byPoints(c.o)
		if money := c.o.PaidAmount - c.o.RefundedAmount - (points - back); money > 0 {
			if err := mayRefund(ctx); err != nil {
				return err
			}
		}
		return s.cancel(ctx, tx, c, strings.TrimSpace(reason))
	})
}

func (s *Service) cancel(ctx context.Context, tx *db.Tx, c *changing, reason string) error {
	if err := c.must(order.StatusDraft, order.StatusPlaced, order.StatusPaid, order.StatusReady); err != nil {
		return err
	}
	var free []inventory.Piece
	for _, l := range c.o.Edges.Lines {
		if l.ReservedQuantity > 0 {
			free = append(free, inventory.Piece{VariantID: l.VariantID, Quantity: l.ReservedQuantity})
			l.ReservedQuantity = 0
		}
	}
	if err := s.inventory.Free(ctx, tx, c.o.StoreID, free); err != nil {
		return err
	}
	now := s.clock.Now()
	c.reason, c.lines = reason, len(free) > 0
	if paid := c.o.PaidAmount - c.o.RefundedAmount; paid > 0 {
		if err := s.refund(c, paid, reason); err != nil {
			return err
		}
	}
	c.o.Status, c.o.CancelledAt, c.o.PayBy = order.StatusCancelled, &now, nil
	// Payments under way at a provider are closed, or given back if they come through.
	return tx.Commerce.OrderPayment.Update().Where(orderpayment.StatusEQ(orderpayment.StatusPending), func(q *sql.Selector) { q.Where(sql.EQ(q.C("order_id"), c.o.ID)) }).
		SetNextCheckAt(now).Exec(ctx)
}

// CancelUnpaid cancels placed orders whose money has not come in time and
// returns how many. The clock runs it each minute.
func (s *Service) CancelUnpaid(ctx context.Context) (total int, err error) {
	for {
		ids, err := s.db.From(ctx).Commerce.Order.Query().Where(order.PayByLTE(s.clock.Now())).Order(order.ByPayBy(), order.ByID()).Limit(100).IDs(ctx)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		for _, id := range ids {
			err := s.change(ctx, id, nil, "expire", func(ctx context.Context, tx *db.Tx, c *changing) error {
				if c.o.PayBy == nil || c.o.PayBy.After(s.clock.Now()) { // paid, or given more time, since we looked
					return nil
				}
				if c.o.Status != order.StatusPlaced {
					c.o.PayBy = nil
					return nil
				}
				return s.cancel(ctx, tx, c, "not paid in time")
			})
			if err != nil {
				return total, err
			}
			total++
		}
	}
}
