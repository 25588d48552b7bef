package orders

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturn"
	"github.com/shuke-crm/shuke/ent/commerce/returnreason"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/segments"
)

// ReturnLine is some pieces of an order's line to return, and why.
type ReturnLine struct {
	LineID     uuid.UUID
	Quantity   int64
	ReasonCode string
}

// ReturnInput is goods to return.
type ReturnInput struct {
	Lines        []ReturnLine
	Note         *string
	BeyondWindow bool // needs orders.refund
}

// RequestReturn announces goods of an order that come back. Their pieces are
// taken from what can be returned at once.
//
// Errors: ErrOrderNotFound, ErrState, ErrWindow, ErrLine, ErrTooMany, ErrReasonCode, ErrRefundPermission.
func (s *Service) RequestReturn(ctx context.Context, orderID uuid.UUID, in ReturnInput) (*commerce.OrderReturn, error) {
	var id uuid.UUID
	err := s.change(ctx, orderID, nil, "request_return", func(ctx context.Context, tx *db.Tx, c *changing) error {
		b, err := s.announce(ctx, tx, c, in, orderreturn.KindRefund)
		if err != nil {
			return err
		}
		id = b.ID
		c.emits = append(c.emits, EventReturnRequested)
		return s.insertReturn(ctx, tx, c, b)
	})
	if err != nil {
		return nil, err
	}
	return s.Return(ctx, id)
}

// announce makes a return of some pieces of an order's lines.
func (s *Service) announce(ctx context.Context, tx *db.Tx, c *changing, in ReturnInput, kind orderreturn.Kind) (*commerce.OrderReturn, error) {
	if err := c.must(order.StatusPartlyShipped, order.StatusShipped, order.StatusCompleted); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if c.o.CompletedAt != nil && now.After(c.o.CompletedAt.Add(s.returnWindow)) {
		if !in.BeyondWindow {
			return nil, ErrWindow.New().Arg("days", int(s.returnWindow/(24*time.Hour)))
		}
		if err := mayRefund(ctx); err != nil {
			return nil, err
		}
	}
	if err := knownReasons(ctx, tx, in.Lines); err != nil {
		return nil, err
	}
	worth, err := worthSoFar(ctx, tx, c.o.ID)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	b := &commerce.OrderReturn{ID: id, OrderID: &c.o.ID, StoreID: c.o.StoreID, CustomerID: c.o.CustomerID, AssignedStaffID: c.o.AssignedStaffID, Kind: kind,
		Status: orderreturn.StatusRequested, Currency: c.o.Currency, ReturnedAt: now, BusinessDay: s.clock.DayOf(now).Time(), Version: 1, CreatedAt: now, UpdatedAt: now}
	wrong := ErrLine.New()
	for i, in := range in.Lines {
		at := "/lines/" + strconv.Itoa(i)
		n := slices.IndexFunc(c.o.Edges.Lines, func(l *lineRow) bool { return l.ID == in.LineID })
		if n < 0 || slices.ContainsFunc(b.Edges.Lines, func(l *commerce.OrderReturnLine) bool { return *l.OrderLineID == in.LineID }) {
			wrong.Field(at+"/line_id", ErrLine)
			continue
		}
		l := c.o.Edges.Lines[n]
		if open := l.ShippedQuantity - l.ReturnedQuantity; in.Quantity > open {
			wrong.Field(at+"/quantity", ErrTooMany, map[string]any{"max": open})
			continue
		}
		lineID, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		// Its part of what is left of the line's price: over all returns of the line the
		// parts add up to the price, to the last minor unit.
		part := share(max(0, l.TotalAmount-worth[l.ID]), in.Quantity, l.Quantity-l.ReturnedQuantity)
		l.ReturnedQuantity += in.Quantity
		b.Edges.Lines = append(b.Edges.Lines, &commerce.OrderReturnLine{ID: lineID, OrderReturnID: id, LineNumber: i + 1, OrderLineID: &l.ID, VariantID: l.VariantID, CategoryID: l.CategoryID,
			Sku: l.Sku, Title: l.Title, ReasonCode: &in.ReasonCode, Quantity: in.Quantity, UnitPriceAmount: l.UnitPriceAmount, TotalAmount: part})
	}
	if len(wrong.Fields) > 0 {
		e := wrong.OfFirst()
		e.Args = wrong.Fields[0].Args
		return nil, e
	}
	sumReturn(b)
	if c.o.CustomerID != nil {
		_, given, err := s.tierOf(ctx, tx, &c.customer)
		if err != nil {
			return nil, err
		}
		b.FreePostage = given.FreeReturnPostage
	}
	if in.Note != nil {
		if b.PrivateSealed, err = s.sealPart("order_returns", b.ID, c.customer, Private{Note: strings.TrimSpace(*in.Note)}); err != nil {
			return nil, err
		}
	}
	c.back, c.lines = b, true
	c.details["total_amount"], c.details["unit_count"] = b.TotalAmount, b.UnitCount
	return b, nil
}

func sumReturn(b *commerce.OrderReturn) {
	b.LineCount, b.UnitCount, b.TotalAmount = len(b.Edges.Lines), 0, 0
	for _, l := range b.Edges.Lines {
		b.UnitCount += l.Quantity
		b.TotalAmount += l.TotalAmount
	}
}

// worthSoFar is what has been returned, or announced, of each line of an order.
func worthSoFar(ctx context.Context, tx *db.Tx, orderID uuid.UUID) (map[uuid.UUID]int64, error) {
	rows, err := tx.Query(ctx, `SELECT l.order_line_id, sum(l.total_amount) FROM order_returns r JOIN order_return_lines l ON l.order_return_id = r.id
WHERE r.order_id = $1 AND r.status <> 'rejected' AND l.order_line_id IS NOT NULL GROUP BY 1`, orderID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uuid.UUID]int64{}
	for rows.Next() {
		var id uuid.UUID
		var sum int64
		if err := rows.Scan(&id, &sum); err != nil {
			return nil, err
		}
		out[id] = sum
	}
	return out, rows.Err()
}

// knownReasons refuses reasons that are not in the retailer's list.
// Error: ErrReasonCode.
func knownReasons(ctx context.Context, tx *db.Tx, lines []ReturnLine) error {
	codes := make([]string, len(lines))
	for i, l := range lines {
		codes[i] = l.ReasonCode
	}
	known, err := tx.Commerce.ReturnReason.Query().Where(returnreason.CodeIn(codes...), returnreason.StatusEQ(returnreason.StatusActive)).All(ctx)
	if err != nil {
		return err
	}
	wrong := ErrReasonCode.New()
	for i, code := range codes {
		if !slices.ContainsFunc(known, func(r *commerce.ReturnReason) bool { return r.Code == code }) {
			wrong.Field("/lines/"+strconv.Itoa(i)+"/reason_code", ErrReasonCode)
		}
	}
	if len(wrong.Fields) > 0 {
		return wrong
	}
	return nil
}

// insertReturn writes a new return and its lines.
func (s *Service) insertReturn(ctx context.Context, tx *db.Tx, c *changing, b *commerce.OrderReturn) error {
	err := tx.QueryRow(ctx, `INSERT INTO order_returns (id, return_number, order_id, store_id, assigned_staff_id, staff_id, customer_id, status, kind, currency, returned_at, business_day,
    line_count, unit_count, total_amount, private_sealed, refunded_at, free_postage, version, created_at, updated_at)
VALUES ($1, 'R' || lpad(nextval('return_numbers')::text, 10, '0'), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $18, 1, $17, $17) RETURNING return_number`,
		b.ID, b.OrderID, b.StoreID, b.AssignedStaffID, b.StaffID, b.CustomerID, string(b.Status), string(b.Kind), b.Currency, b.ReturnedAt, b.BusinessDay.Format(time.DateOnly),
		b.LineCount, b.UnitCount, b.TotalAmount, b.PrivateSealed, b.RefundedAt, b.CreatedAt, b.FreePostage).Scan(&b.ReturnNumber)
	if err != nil {
		return err
	}
	lines := make([]*commerce.OrderReturnLineCreate, len(b.Edges.Lines))
	for i, l := range b.Edges.Lines {
		lines[i] = tx.Commerce.OrderReturnLine.Create().SetID(l.ID).SetOrderReturnID(b.ID).SetLineNumber(l.LineNumber).SetNillableOrderLineID(l.OrderLineID).SetVariantID(l.VariantID).
			SetNillableCategoryID(l.CategoryID).SetSku(l.Sku).SetTitle(l.Title).SetNillableReasonCode(l.ReasonCode).SetQuantity(l.Quantity).SetRestockedQuantity(l.RestockedQuantity).
			SetDamagedQuantity(l.DamagedQuantity).SetUnitPriceAmount(l.UnitPriceAmount).SetTotalAmount(l.TotalAmount)
	}
	c.details["return_number"] = b.ReturnNumber
	return tx.Commerce.OrderReturnLine.CreateBulk(lines...).Exec(ctx)
}

// changeReturn runs a step of a return that the caller may reach; its order is
// locked first. Returns of tills, which are refunded, take no more steps.
// Errors: ErrReturnNotFound, apperr.ErrVersionMismatch, ErrReturnState, those of f.
func (s *Service) changeReturn(ctx context.Context, id uuid.UUID, ifMatch *string, action string, in []orderreturn.Status, f func(context.Context, *db.Tx, *changing) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := tx.Commerce.OrderReturn.Query().Where(orderreturn.ID(id)).Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrReturnNotFound.New()
		}
		if err != nil {
			return err
		}
		if seen.OrderID == nil {
			return returnState(seen, in)
		}
		c, err := s.lock(ctx, tx, *seen.OrderID, action)
		if ErrOrderNotFound.Is(err) {
			return ErrReturnNotFound.New()
		}
		if err != nil {
			return err
		}
		b, err := tx.Commerce.OrderReturn.Query().Where(orderreturn.ID(id)).WithLines(func(q *commerce.OrderReturnLineQuery) { q.Order(commerce.Asc("line_number")) }).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, b.Version); err != nil {
			return err
		}
		if !slices.Contains(in, b.Status) {
			return returnState(b, in)
		}
		c.back = b
		if err := f(ctx, tx, c); err != nil {
			return err
		}
		b.Version, b.UpdatedAt = b.Version+1, s.clock.Now()
		u := tx.Commerce.OrderReturn.UpdateOneID(b.ID).SetStatus(b.Status).SetLineCount(b.LineCount).SetUnitCount(b.UnitCount).SetTotalAmount(b.TotalAmount).SetReturnedAt(b.ReturnedAt).
			SetBusinessDay(b.BusinessDay).SetNillableRefundedAt(b.RefundedAt).SetVersion(b.Version).SetUpdatedAt(b.UpdatedAt)
		if err := u.Exec(ctx); err != nil {
			return err
		}
		return s.finish(ctx, tx, c)
	})
}

func returnState(b *commerce.OrderReturn, in []orderreturn.Status) error {
	allowed := make([]string, len(in))
	for i, st := range in {
		allowed[i] = string(st)
	}
	return ErrReturnState.New().Arg("status", string(b.Status)).Arg("allowed", strings.Join(allowed, ", "))
}

// Approve lets the goods of a return come.
func (s *Service) Approve(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.changeReturn(ctx, id, ifMatch, "approve_return", []orderreturn.Status{orderreturn.StatusRequested}, func(_ context.Context, _ *db.Tx, c *changing) error {
		c.back.Status = orderreturn.StatusApproved
		c.emits = append(c.emits, EventReturnApproved)
		return nil
	})
}

// Reject refuses a return: its pieces can be returned again.
func (s *Service) Reject(ctx context.Context, id uuid.UUID, ifMatch *string, reason string) error {
	return s.changeReturn(ctx, id, ifMatch, "reject_return", []orderreturn.Status{orderreturn.StatusRequested, orderreturn.StatusApproved}, func(_ context.Context, _ *db.Tx, c *changing) error {
		for _, l := range c.back.Edges.Lines {
			c.giveUp(l, l.Quantity)
		}
		c.reason, c.back.Status = strings.TrimSpace(reason), orderreturn.StatusRejected
		c.emits = append(c.emits, EventReturnRejected)
		return nil
	})
}

// giveUp makes pieces of a line returnable again.
func (c *changing) giveUp(l *commerce.OrderReturnLine, pieces int64) {
	for _, o := range c.o.Edges.Lines {
		if l.OrderLineID != nil && o.ID == *l.OrderLineID {
			o.ReturnedQuantity -= pieces
			c.lines = true
		}
	}
}

// Receipt is what came of a line of a return.
type Receipt struct {
	ReturnLineID      uuid.UUID
	Restocked, Damage int64
}

// Receive takes goods of a return into the stock of a store. Lines of which
// nothing is said came whole and fit for the shelf, unless something is said of
// others: then they did not come. What did not come is taken off the return.
//
// Errors: ErrReturnNotFound, apperr.ErrVersionMismatch, ErrReturnState, ErrStoreUnknown, ErrLine, ErrTooMany, ErrNothingCame.
func (s *Service) Receive(ctx context.Context, id uuid.UUID, ifMatch *string, store *uuid.UUID, came []Receipt) error {
	return s.changeReturn(ctx, id, ifMatch, "receive_return", []orderreturn.Status{orderreturn.StatusApproved}, func(ctx context.Context, tx *db.Tx, c *changing) error {
		b := c.back
		into := b.StoreID
		if store != nil && *store != into {
			if err := s.checkPlace(ctx, auth.Must(ctx), *store, nil); err != nil {
				return err
			}
			into = *store
			c.details["received_in"] = into
		}
		if err := c.take(came); err != nil {
			return err
		}
		var back []inventory.Return
		var stay []*commerce.OrderReturnLine
		for _, l := range b.Edges.Lines {
			pieces := l.RestockedQuantity + l.DamagedQuantity
			if missing := l.Quantity - pieces; missing > 0 {
				c.giveUp(l, missing)
				l.TotalAmount = share(l.TotalAmount, pieces, l.Quantity)
				l.Quantity = pieces
			}
			if pieces == 0 {
				if err := tx.Commerce.OrderReturnLine.DeleteOneID(l.ID).Exec(ctx); err != nil {
					return err
				}
				continue
			}
			if err := tx.Commerce.OrderReturnLine.UpdateOneID(l.ID).SetQuantity(l.Quantity).SetTotalAmount(l.TotalAmount).SetRestockedQuantity(l.RestockedQuantity).
				SetDamagedQuantity(l.DamagedQuantity).Exec(ctx); err != nil {
				return err
			}
			stay = append(stay, l)
			back = append(back, inventory.Return{VariantID: l.VariantID, Restock: l.RestockedQuantity, Damage: l.DamagedQuantity})
		}
		if len(stay) == 0 {
			return ErrNothingCame.At("/lines")
		}
		b.Edges.Lines = stay
		sumReturn(b)
		b.Status = orderreturn.StatusReceived
		c.details["unit_count"] = b.UnitCount
		c.emits = append(c.emits, EventReturnReceived)
		return s.inventory.TakeBack(ctx, tx, into, b.ID, back)
	})
}

// take notes what came of each line.
// Errors: ErrLine, ErrTooMany.
func (c *changing) take(came []Receipt) error {
	if len(came) == 0 {
		for _, l := range c.back.Edges.Lines {
			l.RestockedQuantity = l.Quantity
		}
		return nil
	}
	wrong := ErrLine.New()
	for i, r := range came {
		at := "/lines/" + strconv.Itoa(i)
		n := slices.IndexFunc(c.back.Edges.Lines, func(l *commerce.OrderReturnLine) bool { return l.ID == r.ReturnLineID })
		if n < 0 {
			wrong.Field(at+"/return_line_id", ErrLine)
			continue
		}
		l := c.back.Edges.Lines[n]
		if r.Restocked+r.Damage > l.Quantity {
			wrong.Field(at+"/restocked_quantity", ErrTooMany, map[string]any{"max": l.Quantity})
			continue
		}
		l.RestockedQuantity, l.DamagedQuantity = r.Restocked, r.Damage
	}
	if len(wrong.Fields) > 0 {
		e := wrong.OfFirst()
		e.Args = wrong.Fields[0].Args
		return e
	}
	return nil
}

// Refund gives back what a return is worth, and a part of the shipping if asked.
// With kept, an approved return is refunded though nothing comes back.
//
// Errors: ErrReturnNotFound, apperr.ErrVersionMismatch, ErrReturnState, ErrRefundExceeds.
func (s *Service) Refund(ctx context.Context, id uuid.UUID, ifMatch *string, kept bool, shipping int64) error {
	in := []orderreturn.Status{orderreturn.StatusReceived}
	if kept {
		in = append(in, orderreturn.StatusApproved)
	}
	return s.changeReturn(ctx, id, ifMatch, "refund_return", in, func(_ context.Context, _ *db.Tx, c *changing) error {
		if shipping > c.o.ShippingAmount {
			return ErrRefundExceeds.At("/shipping_amount").Arg("max", c.o.ShippingAmount)
		}
		if c.back.TotalAmount+c.o.ReturnedAmount > c.o.TotalAmount {
			return ErrRefundExceeds.New().Arg("max", max(0, c.o.TotalAmount-c.o.ReturnedAmount))
		}
		if amount := c.back.TotalAmount + shipping; amount > 0 {
			if err := s.refund(c, amount, ""); err != nil {
				return err
			}
		}
		s.settleReturn(c)
		return nil
	})
}

// settleReturn has a return count, from now on.
func (s *Service) settleReturn(c *changing) {
	b, now := c.back, s.clock.Now()
	day := s.clock.DayOf(now)
	b.Status, b.RefundedAt, b.ReturnedAt, b.BusinessDay = orderreturn.StatusRefunded, &now, now, day.Time()
	c.o.ReturnedAmount += b.TotalAmount
	if b.CustomerID != nil {
		c.days = append(c.days, segments.DayDelta{CustomerID: *b.CustomerID, Day: day, Returns: 1, Returned: b.TotalAmount})
	}
	c.emits = append(c.emits, EventReturned)
}

// Exchange is goods that come back, and others that are handed over for them.
type Exchange struct {
	Return     []ReturnLine
	Damaged    bool       // what comes back is not fit for the shelf
	StoreID    *uuid.UUID // where it happens; nil: the order's store
	Lines      []LineInput
	Fulfilment string
	Payments   []PaymentInput

	BeyondWindow bool
}

// ExchangeGoods takes goods of an order back and places another order that their
// worth pays, in one transaction. What is left of the worth is refunded.
//
// Errors: those of RequestReturn and Place.
func (s *Service) ExchangeGoods(ctx context.Context, orderID uuid.UUID, in Exchange) (*commerce.Order, error) {
	var made *commerce.Order
	err := s.change(ctx, orderID, nil, "exchange", func(ctx context.Context, tx *db.Tx, c *changing) error {
		b, err := s.announce(ctx, tx, c, ReturnInput{Lines: in.Return, BeyondWindow: in.BeyondWindow}, orderreturn.KindExchange)
		if err != nil {
			return fieldsOf(err, "/lines/", "/return_lines/")
		}
		if b.TotalAmount+c.o.ReturnedAmount > c.o.TotalAmount || b.TotalAmount > c.o.PaidAmount-c.o.RefundedAmount {
			return ErrRefundExceeds.New().Arg("max", max(0, min(c.o.TotalAmount-c.o.ReturnedAmount, c.o.PaidAmount-c.o.RefundedAmount)))
		}
		if in.StoreID != nil {
			if err := s.checkPlace(ctx, auth.Must(ctx), *in.StoreID, nil); err != nil {
				return err
			}
			b.StoreID = *in.StoreID
		}
		back := make([]inventory.Return, len(b.Edges.Lines))
		for i, l := range b.Edges.Lines {
			if back[i].VariantID = l.VariantID; in.Damaged {
				l.DamagedQuantity, back[i].Damage = l.Quantity, l.Quantity
			} else {
				l.RestockedQuantity, back[i].Restock = l.Quantity, l.Quantity
			}
		}
		s.settleReturn(c)
		if err := s.insertReturn(ctx, tx, c, b); err != nil {
			return err
		}
		if err := s.inventory.TakeBack(ctx, tx, b.StoreID, b.ID, back); err != nil {
			return err
		}
		if made, err = s.replace(ctx, tx, c, in); err != nil {
			return err
		}
		c.details["new_order_id"] = made.ID
		return nil
	})
	return made, err
}

// replace places the order of an exchange.
func (s *Service) replace(ctx context.Context, tx *db.Tx, c *changing, in Exchange) (*commerce.Order, error) {
	b := c.back
	input := Input{StoreID: b.StoreID, Channel: string(c.o.Channel), Lines: in.Lines, Fulfilment: in.Fulfilment, Payments: in.Payments, exchangeOf: &b.ID, credit: b.TotalAmount}
	if input.Fulfilment == "" {
		input.Fulfilment = string(order.FulfilmentTaken)
	}
	if b.CustomerID != nil {
		input.Customer = &customers.Ref{ID: *b.CustomerID}
	}
	if input.Fulfilment == string(order.FulfilmentDelivery) {
		private, err := s.openPrivate(c.o, c.customer)
		if err != nil {
			return nil, err
		}
		input.Recipient = private.Recipient
	}
	next, err := s.place(ctx, tx, input)
	if err != nil {
		return nil, err
	}
	// The worth pays the new order first; what is left goes back to where it came from.
	credit := min(b.TotalAmount, next.TotalAmount)
	if credit > 0 {
		if err := s.addRefund(c, nil, credit, ""); err != nil {
			return nil, err
		}
		c.refunds[len(c.refunds)-1].Method = exchangeCredit
		c.o.RefundedAmount += credit
	}
	if left := b.TotalAmount - credit; left > 0 {
		if err := s.refund(c, left, ""); err != nil {
			return nil, err
		}
	}
	return next, nil
}
