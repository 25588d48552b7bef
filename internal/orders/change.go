package orders

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/segments"
)

// changing is a step in the life of an order: the order, locked after its
// customer, with its lines, payments and refunds. A step changes the order in
// memory; finish writes what is different and tells everybody.
type changing struct {
	o        *commerce.Order
	customer buyer
	was      commerce.Order // as it was read
	action   string
	reason   string
	details  map[string]any
	back     *commerce.OrderReturn   // the return that the step is about
	parcel   *commerce.Shipment      // the parcel that the step is about
	days     []segments.DayDelta     // beside those that follow from the order
	emits    []string                // beside those that follow from the state
	refunds  []*commerce.OrderRefund // new ones
	payments []*commerce.OrderPayment
	lines    bool // lines have changed
}

// change runs a step of an order that the caller may reach.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, those of f.
func (s *Service) change(ctx context.Context, id uuid.UUID, ifMatch *string, action string, f func(context.Context, *db.Tx, *changing) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := s.lock(ctx, tx, id, action)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, c.o.Version); err != nil {
			return err
		}
		if err := f(ctx, tx, c); err != nil {
			return err
		}
		return s.finish(ctx, tx, c)
	})
}

// lock reads an order for a step: customer first, then the order.
func (s *Service) lock(ctx context.Context, tx *db.Tx, id uuid.UUID, action string) (*changing, error) {
	seen, err := tx.Commerce.Order.Query().Where(order.ID(id)).Select(order.FieldCustomerID).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrOrderNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	c := &changing{action: action, details: map[string]any{}}
	if seen.CustomerID != nil {
		if c.customer, err = lockBuyer(ctx, tx, *seen.CustomerID, s.clock.Now()); err != nil {
			return nil, err
		}
	}
	c.o, err = tx.Commerce.Order.Query().Where(order.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, err
	}
	if (c.o.CustomerID == nil) != (seen.CustomerID == nil) || c.o.CustomerID != nil && *c.o.CustomerID != *seen.CustomerID {
		return nil, db.ErrAgain
	}
	if c.o.Edges.Lines, err = c.o.QueryLines().Order(commerce.Asc("line_number")).All(ctx); err != nil {
		return nil, err
	}
	if c.o.Edges.Payments, err = c.o.QueryPayments().Order(orderpayment.ByID()).All(ctx); err != nil {
		return nil, err
	}
	c.was = *c.o
	return c, nil
}

// must refuses steps that an order in its state cannot take.
// Error: ErrState.
func (c *changing) must(in ...order.Status) error {
	if slices.Contains(in, c.o.Status) {
		return nil
	}
	allowed := make([]string, len(in))
	for i, st := range in {
		allowed[i] = string(st)
	}
	return ErrState.New().Arg("status", string(c.o.Status)).Arg("allowed", strings.Join(allowed, ", "))
}

// finish writes a step: order, lines, payments, refunds, history, metrics.
func (s *Service) finish(ctx context.Context, tx *db.Tx, c *changing) error {
	o, now := c.o, s.clock.Now()
	o.Version, o.UpdatedAt = o.Version+1, now
	u := tx.Commerce.Order.UpdateOneID(o.ID).SetStatus(o.Status).SetLineCount(o.LineCount).SetUnitCount(o.UnitCount).SetDiscountAmount(o.DiscountAmount).SetTotalAmount(o.TotalAmount).
		SetPaidAmount(o.PaidAmount).SetRefundedAmount(o.RefundedAmount).SetReturnedAmount(o.ReturnedAmount).SetVersion(o.Version).SetUpdatedAt(now)
	if u.SetNillablePaidAt(o.PaidAt).SetNillableCompletedAt(o.CompletedAt).SetNillableCancelledAt(o.CancelledAt).SetNillableStaffID(o.StaffID); o.StaffID == nil {
		u.ClearStaffID()
	}
	if u.SetNillablePayBy(o.PayBy); o.PayBy == nil {
		u.ClearPayBy()
	}
	if o.PrivateSealed != nil && len(*o.PrivateSealed) > 0 {
		u.SetPrivateSealed(*o.PrivateSealed)
	} else {
		u.ClearPrivateSealed()
	}
	if len(o.CustomFields) > 0 {
		u.SetCustomFields(o.CustomFields)
	} else {
		u.ClearCustomFields()
	}
	if err := u.Exec(ctx); err != nil {
		return err
	}
	if c.lines {
		if err := updateLines(ctx, tx, o.Edges.Lines); err != nil {
			return err
		}
	}
	if err := s.insertPaid(ctx, tx, c.payments); err != nil {
		return err
	}
	if err := s.insertRefunds(ctx, tx, c); err != nil {
		return err
	}
	if err := s.insertStep(ctx, tx, c); err != nil {
		return err
	}
	days := c.days
	if before, after := dayOf(&c.was), dayOf(o); before != after {
		before.Orders, before.Units, before.Spent = -before.Orders, -before.Units, -before.Spent
		for _, d := range []segments.DayDelta{before, after} {
			if d != (segments.DayDelta{}) {
				days = append(days, d)
			}
		}
	}
	if err := s.settlePoints(ctx, tx, c); err != nil {
		return err
	}
	if o.CustomerID != nil {
		if err := s.segments.ApplyDays(ctx, tx, days); err != nil {
			return err
		}
		s.customers.Touch(ctx, tx, *o.CustomerID)
	}
	audit.Record(ctx, tx, audit.Entry{Action: "orders." + c.action, ObjectType: "order", ObjectID: o.ID.String(), StoreID: &o.StoreID, StaffID: o.AssignedStaffID, Reason: c.reason, Changes: c.details})
	if c.was.Status != o.Status {
		if e, ok := eventOf[o.Status]; ok && !slices.Contains(c.emits, e) {
			c.emits = append(c.emits, e)
		}
	}
	for _, e := range c.emits {
		emitOrder(tx, e, o, c.back, c.parcel)
	}
	return nil
}

// updatePlacedLines writes what may change of lines.
var updatePlacedLines = db.NewBatch(`
UPDATE order_lines l SET quantity = t.quantity, unit_price_amount = t.price, discount_amount = t.discount, total_amount = t.total, line_number = t.number,
    reserved_quantity = t.reserved, shipped_quantity = t.shipped, returned_quantity = t.returned, tier_code = NULLIF(t.tier, '')
FROM {rows} WHERE l.id = t.id`,
	col("id", "uuid"), col("quantity", "bigint"), col("price", "bigint"), col("discount", "bigint"), col("total", "bigint"), col("number", "bigint"),
	col("reserved", "bigint"), col("shipped", "bigint"), col("returned", "bigint"), col("tier", "text"))

func updateLines(ctx context.Context, tx *db.Tx, all []*commerce.OrderLine) error {
	n := len(all)
	if n == 0 {
		return nil
	}
	ids := make(pgarray.UUIDs, n)
	quantities, prices, discounts, totals, numbers := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	reserved, shipped, returned, tiers := make([]int64, n), make([]int64, n), make([]int64, n), make([]string, n)
	for i, l := range all {
		ids[i], quantities[i], prices[i], discounts[i], totals[i], numbers[i] = l.ID, l.Quantity, l.UnitPriceAmount, l.DiscountAmount, l.TotalAmount, int64(l.LineNumber)
		reserved[i], shipped[i], returned[i], tiers[i] = l.ReservedQuantity, l.ShippedQuantity, l.ReturnedQuantity, opt.Value(l.TierCode)
	}
	_, err := tx.Exec(ctx, updatePlacedLines.SQL(n), ids, pq.Array(quantities), pq.Array(prices), pq.Array(discounts), pq.Array(totals), pq.Array(numbers), pq.Array(reserved),
		pq.Array(shipped), pq.Array(returned), pq.Array(tiers))
	return err
}

// insertStep writes the step to the order's history.
func (s *Service) insertStep(ctx context.Context, tx *db.Tx, c *changing) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	step := tx.Commerce.OrderChange.Create().SetID(id).SetOrderID(c.o.ID).SetAction(c.action).SetFromStatus(string(c.was.Status)).SetToStatus(string(c.o.Status)).SetActorKind(string(actor.Kind)).
		SetNillableActorID(orNil(actor.ID)).SetReason(c.reason).SetCreatedAt(s.clock.Now())
	if len(c.details) > 0 {
		step.SetDetails(c.details)
	}
	if c.back != nil {
		step.SetOrderReturnID(c.back.ID)
	}
	return step.Exec(ctx)
}

// emitOrder tells subscribers of a step: of an order, of a return of it, or of one of its parcels.
func emitOrder(tx *db.Tx, event string, o *commerce.Order, back *commerce.OrderReturn, parcel *commerce.Shipment) {
	e := OrderEvent{OrderID: &o.ID, StoreID: o.StoreID, CustomerID: o.CustomerID, StaffID: o.StaffID, AssignedStaffID: o.AssignedStaffID, Currency: o.Currency,
		TotalAmount: o.TotalAmount, UnitCount: o.UnitCount, PlacedAt: o.PlacedAt.UTC().Format("2006-01-02T15:04:05.999999Z07:00"), Status: string(o.Status)}
	subject, id := "order", o.ID
	if back != nil {
		e.OrderReturnID, e.TotalAmount, e.UnitCount, e.Status = &back.ID, back.TotalAmount, back.UnitCount, string(back.Status)
		subject, id = "order_return", back.ID
	}
	if parcel != nil {
		e.ShipmentID, e.ShipmentStatus = &parcel.ID, string(parcel.Status)
	}
	events.Emit(tx, events.Event{Type: event, SubjectType: subject, SubjectID: id, StoreID: &o.StoreID, Payload: e})
}

// Change is what to change of an order's head; nil leaves a part as it is.
type Change struct {
	Note      *string     // empty: none
	Recipient **Recipient // nil inside: none, which an order that is delivered cannot have
	StaffID   **uuid.UUID // nil inside: nobody
	Fields    map[string]any
}

// Update changes an order's remarks.
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, ErrRecipient, ErrStaffUnknown, those of customers.JudgeFields.
func (s *Service) Update(ctx context.Context, id uuid.UUID, ifMatch *string, in Change) error {
	return s.change(ctx, id, ifMatch, "update", func(ctx context.Context, tx *db.Tx, c *changing) error {
		var fields []string
		if in.Note != nil || in.Recipient != nil {
			private, err := s.openPrivate(c.o, c.customer)
			if err != nil {
				return err
			}
			if in.Note != nil {
				private.Note = strings.TrimSpace(*in.Note)
				fields = append(fields, "note")
			}
			if in.Recipient != nil {
				if err := c.must(order.StatusDraft, order.StatusPlaced, order.StatusPaid); err != nil {
					return err
				}
				if *in.Recipient == nil || c.o.Fulfilment != order.FulfilmentDelivery {
					return ErrRecipient.At("/recipient")
				}
				if private.Recipient, err = (**in.Recipient).tidy(); err != nil {
					return err
				}
				fields = append(fields, "recipient")
			}
			if c.o.PrivateSealed, err = s.sealPart("orders", c.o.ID, c.customer, private); err != nil {
				return err
			}
		}
		if in.StaffID != nil {
			if *in.StaffID != nil {
				if err := s.checkPlace(ctx, auth.Must(ctx), c.o.StoreID, *in.StaffID); err != nil {
					return err
				}
			}
			c.o.StaffID = *in.StaffID
			fields = append(fields, "staff_id")
		}
		if len(in.Fields) > 0 {
			if err := s.changeFields(ctx, tx, c.o, in.Fields); err != nil {
				return err
			}
			fields = append(fields, "custom_fields")
		}
		c.details["fields"] = fields
		return nil
	})
}

// ReplaceLines makes an order's lines those that shall be, before anything of it
// is shipped.
//
// Errors: ErrOrderNotFound, apperr.ErrVersionMismatch, ErrState, ErrOverride, ErrLine, ErrArticle, ErrNotForSale, ErrDiscount,
// ErrRefundPermission, inventory.ErrInsufficient.
func (s *Service) ReplaceLines(ctx context.Context, id uuid.UUID, ifMatch *string, in []LineInput, reason string) error {
	return s.change(ctx, id, ifMatch, "edit", func(ctx context.Context, tx *db.Tx, c *changing) error {
		if err := c.must(order.StatusDraft, order.StatusPlaced, order.StatusPaid, order.StatusReady); err != nil {
			return err
		}
		if err := mayOverride(auth.Must(ctx), in, nil); err != nil {
			return err
		}
		c.reason, c.lines = reason, true
		kept, gone, err := c.sort(in)
		if err != nil {
			return err
		}
		added, err := s.price(ctx, tx, c.o, &c.customer, fresh(in))
		if err != nil {
			return err
		}
		c.o.Edges.Lines = merged(in, kept, added)
		// What is not wanted any more is free first, so that it can be reserved again.
		var free []inventory.Piece
		for _, l := range gone {
			if l.ReservedQuantity > 0 {
				free = append(free, inventory.Piece{VariantID: l.VariantID, Quantity: l.ReservedQuantity})
			}
		}
		for _, l := range kept {
			if over := l.ReservedQuantity - l.Quantity; over > 0 {
				free = append(free, inventory.Piece{VariantID: l.VariantID, Quantity: over})
				l.ReservedQuantity = l.Quantity
			}
		}
		if err := s.inventory.Free(ctx, tx, c.o.StoreID, free); err != nil {
			return err
		}
		if c.o.Status != order.StatusDraft {
			more := slices.Clone(added)
			for _, l := range kept { // a line that was sold without stock stays so
				if l.ReservedQuantity > 0 {
					more = append(more, l)
				}
			}
			if err := s.reserve(ctx, tx, c.o, more); err != nil {
				return err
			}
		}
		if err := replaceRows(ctx, tx, c.o, gone, added); err != nil {
			return err
		}
		was := c.o.TotalAmount
		sumLines(c.o)
		c.details["lines"], c.details["total_amount"] = len(c.o.Edges.Lines), []int64{was, c.o.TotalAmount}
		c.emits = append(c.emits, EventChanged)
		if over := c.o.PaidAmount - c.o.RefundedAmount - c.o.TotalAmount; over > 0 {
			if err := mayRefund(ctx); err != nil {
				return err
			}
			if err := s.refund(c, over, reason); err != nil {
				return err
			}
		}
		if c.o.Status != order.StatusDraft {
			s.standing(c)
		}
		return nil
	})
}

// standing says whether a placed order is paid by now, or not any more.
func (s *Service) standing(c *changing) {
	now := s.clock.Now()
	switch {
	case due(c.o) > 0:
		if c.o.Status != order.StatusPlaced {
			c.o.Status = order.StatusPlaced
		}
	case c.o.Status == order.StatusPlaced:
		c.o.Status, c.o.PayBy = order.StatusPaid, nil
		if c.o.PaidAt == nil {
			c.o.PaidAt = &now
		}
	}
}

// sort finds the lines that stay, changed as asked, and those that go.
// Error: ErrLine.
func (c *changing) sort(in []LineInput) (kept, gone []*commerce.OrderLine, err error) {
	wrong := ErrLine.New()
	stay := map[uuid.UUID]bool{}
	for i, l := range in {
		if l.ID == nil {
			continue
		}
		at := slices.IndexFunc(c.o.Edges.Lines, func(o *commerce.OrderLine) bool { return o.ID == *l.ID })
		if at < 0 || stay[*l.ID] || l.VariantID != nil || l.SKU != nil {
			wrong.Field("/lines/"+strconv.Itoa(i)+"/id", ErrLine)
			continue
		}
		stay[*l.ID] = true
		line := *c.o.Edges.Lines[at]
		if l.UnitPrice != nil {
			line.UnitPriceAmount, line.PriceListID = *l.UnitPrice, nil
			if line.TierCode != nil { // what somebody sets is the price
				line.DiscountAmount, line.TierCode = 0, nil
			}
		}
		switch {
		case l.Discount != nil:
			line.DiscountAmount, line.TierCode = *l.Discount, nil
		case l.Quantity != line.Quantity: // the discount of a piece stays
			line.DiscountAmount = share(line.DiscountAmount, l.Quantity, line.Quantity)
		}
		line.Quantity = l.Quantity
		if line.TotalAmount = line.Quantity*line.UnitPriceAmount - line.DiscountAmount; line.TotalAmount < 0 {
			wrong.Field("/lines/"+strconv.Itoa(i)+"/discount_amount", ErrDiscount)
		}
		kept = append(kept, &line)
	}
	if len(wrong.Fields) > 0 {
		return nil, nil, wrong.OfFirst()
	}
	for _, l := range c.o.Edges.Lines {
		if !stay[l.ID] {
			gone = append(gone, l)
		}
	}
	return kept, gone, nil
}

// fresh are the lines that are not there yet.
func fresh(in []LineInput) []LineInput {
	return slices.DeleteFunc(slices.Clone(in), func(l LineInput) bool { return l.ID != nil })
}

// merged puts lines in the order of the request and numbers them.
func merged(in []LineInput, kept, added []*commerce.OrderLine) []*commerce.OrderLine {
	out := make([]*commerce.OrderLine, 0, len(in))
	for _, l := range in {
		from := &added
		if l.ID != nil {
			from = &kept
		}
		out, *from = append(out, (*from)[0]), (*from)[1:]
		out[len(out)-1].LineNumber = len(out)
	}
	return out
}

// replaceRows takes rows of lines away and adds others. Numbers are unique: those
// that stay make room first.
func replaceRows(ctx context.Context, tx *db.Tx, o *commerce.Order, gone, added []*commerce.OrderLine) error {
	ids := make(pgarray.UUIDs, len(gone))
	for i, l := range gone {
		ids[i] = l.ID
	}
	if _, err := tx.Exec(ctx, "DELETE FROM order_lines WHERE order_id = $1 AND id = ANY($2::uuid[])", o.ID, ids); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE order_lines SET line_number = -line_number WHERE order_id = $1", o.ID); err != nil {
		return err
	}
	return insertLines(ctx, tx, o.ID, added)
}

// changeFields judges and changes the custom fields of an order.
func (s *Service) changeFields(ctx context.Context, tx *db.Tx, o *commerce.Order, patch map[string]any) error {
	item := &customers.FieldItem{Store: o.StoreID, Values: o.CustomFields, Patch: patch}
	if err := s.customers.JudgeFields(ctx, tx, customers.OfOrder, []*customers.FieldItem{item}); err != nil {
		return err
	}
	if len(item.Faults()) > 0 {
		return item.Err()
	}
	o.CustomFields = item.Values
	return nil
}
