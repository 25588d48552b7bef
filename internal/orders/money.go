package orders

import (
	"context"
	"math/bits"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/ent/commerce/orderrefund"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// lineRow is a line of an order.
type lineRow = commerce.OrderLine

// share is amount × pieces / of, rounded down, for values that are not negative. The
// product may be larger than an int64: a million pieces of a line that cost a
// million each.
func share(amount, pieces, of int64) int64 {
	high, low := bits.Mul64(uint64(amount), uint64(pieces))
	out, _ := bits.Div64(high, low, uint64(of)) // panics only where the share itself is no int64, which prices cannot reach
	return int64(out)
}

// mayRefund refuses callers who may not give money back. The clock, and members
// who cancel what is not on its way yet, may.
// Error: ErrRefundPermission.
func mayRefund(ctx context.Context) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if actor.Kind == auth.KindSystem || actor.Kind == auth.KindMember || actor.Can(auth.OrdersRefund) {
		return nil
	}
	return ErrRefundPermission.New()
}

// refund gives money of an order back to where it came from, the last payment
// first. What a provider has moved is moved back by it (the row waits for the
// runner, with its number); stored value goes back to its wallet or card with the
// step; what was recorded is recorded. Goods cannot be paid
// out, so what goods have paid for, and what a till did not tell, is cash.
//
// Error: ErrRefundExceeds.
func (s *Service) refund(c *changing, amount int64, reason string) error {
	if amount > c.o.PaidAmount-c.o.RefundedAmount {
		return ErrRefundExceeds.New().Arg("max", c.o.PaidAmount-c.o.RefundedAmount)
	}
	left := amount
	for _, p := range slices.Backward(c.o.Edges.Payments) {
		if p.Status != orderpayment.StatusSucceeded || left == 0 {
			continue
		}
		part := min(left, p.Amount-p.RefundedAmount)
		if part <= 0 {
			continue
		}
		if err := s.addRefund(c, p, part, reason); err != nil {
			return err
		}
		p.RefundedAmount += part
		left -= part
	}
	if left > 0 {
		if err := s.addRefund(c, nil, left, reason); err != nil {
			return err
		}
	}
	c.o.RefundedAmount += amount
	c.details["refunded_amount"] = amount
	return nil
}

// addRefund adds a refund to a step.
func (s *Service) addRefund(c *changing, p *commerce.OrderPayment, amount int64, reason string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	now := s.clock.Now()
	r := &commerce.OrderRefund{ID: id, OrderID: &c.o.ID, Method: "cash", Status: orderrefund.StatusSucceeded, Amount: amount, Currency: c.o.Currency, Reason: reason, RefundedAt: &now,
		Version: 1, CreatedAt: now, UpdatedAt: now}
	if c.back != nil {
		r.OrderReturnID = &c.back.ID
	}
	if p != nil {
		r.OrderPaymentID = &p.ID
		if p.Method != exchangeCredit {
			r.Method = p.Method
		}
		if p.Provider != nil {
			provider, number := orderrefund.Provider(*p.Provider), refundNumber(id)
			r.Provider, r.Number, r.Status, r.RefundedAt, r.NextAttemptAt = &provider, &number, orderrefund.StatusPending, nil, &now
		}
	}
	c.refunds = append(c.refunds, r)
	return nil
}

// refundNumber is the number by which a provider knows a refund: of the row, so
// that it is there before the provider is asked and the same each time.
func refundNumber(id uuid.UUID) string { return strings.ReplaceAll(id.String(), "-", "") }

// insertRefunds writes a step's refunds and what they take of payments.
func (s *Service) insertRefunds(ctx context.Context, tx *db.Tx, c *changing) error {
	if len(c.refunds) == 0 {
		return nil
	}
	creates := make([]*commerce.OrderRefundCreate, len(c.refunds))
	for i, r := range c.refunds {
		creates[i] = tx.Commerce.OrderRefund.Create().SetID(r.ID).SetNillableOrderID(r.OrderID).SetNillableOrderReturnID(r.OrderReturnID).SetNillableOrderPaymentID(r.OrderPaymentID).
			SetMethod(r.Method).SetNillableProvider(r.Provider).SetStatus(r.Status).SetAmount(r.Amount).SetCurrency(r.Currency).SetReason(r.Reason).SetNillableNumber(r.Number).
			SetNillableRefundedAt(r.RefundedAt).SetNillableNextAttemptAt(r.NextAttemptAt).SetCreatedAt(r.CreatedAt).SetUpdatedAt(r.UpdatedAt)
		if r.OrderPaymentID == nil {
			continue
		}
		if err := tx.Commerce.OrderPayment.UpdateOneID(*r.OrderPaymentID).AddRefundedAmount(r.Amount).AddVersion(1).SetUpdatedAt(r.UpdatedAt).Exec(ctx); err != nil {
			return err
		}
	}
	if err := tx.Commerce.OrderRefund.CreateBulk(creates...).Exec(ctx); err != nil {
		return err
	}
	return s.refundStored(ctx, tx, c)
}
