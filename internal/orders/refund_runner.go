package orders

import (
	"context"
	"errors"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/orderrefund"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pay"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// abnormalAgain is when a refund that waits for somebody at the provider is
// asked about again.
const abnormalAgain = 6 * time.Hour

// The provider's words for refunds that need somebody.
const (
	codeAbnormal = "ABNORMAL"
	codeClosed   = "CLOSED"
)

// RunRefunds has providers give money back. A refund's number is committed
// before the first call and is the same in every call, so that however often it
// is asked for (a crash, a lost answer), the money goes back once. The clock
// runs it every ten seconds.
func (s *Service) RunRefunds(ctx context.Context) (total int, err error) {
	for {
		ids, err := s.claimDue(ctx, `
UPDATE order_refunds SET attempts = attempts + 1, next_attempt_at = $1::timestamptz + least(interval '10 seconds' * (1 << least(attempts, 9)::int), interval '1 hour')
WHERE id IN (SELECT id FROM order_refunds WHERE next_attempt_at <= $1 ORDER BY next_attempt_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id`)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		for _, id := range ids {
			if err := s.runRefund(ctx, id); err != nil {
				s.log.WarnContext(ctx, "a refund has not succeeded yet", "refund_id", id, "error", err)
			}
			total++
		}
	}
}

// runRefund asks for one refund, or what became of it.
func (s *Service) runRefund(ctx context.Context, id uuid.UUID) error {
	r, err := s.db.Commerce.OrderRefund.Query().Where(orderrefund.ID(id)).WithPayment().Only(ctx)
	if err != nil {
		return err
	}
	p := r.Edges.Payment
	if r.Provider == nil || r.Number == nil || p == nil || p.Number == nil {
		return errors.New("a refund that no provider can carry out")
	}
	provider, err := s.outside.NeedPay(string(*r.Provider))
	if err != nil {
		return err
	}
	var said pay.Refund
	if r.Status == orderrefund.StatusPending {
		said, err = provider.Refund(ctx, pay.Refunding{Number: *r.Number, PaymentNumber: *p.Number, Amount: r.Amount, Total: p.Amount, Currency: r.Currency, Reason: r.Reason,
			NotifyURL: s.CallbackURL(string(*r.Provider))})
	} else {
		said, err = provider.QueryRefund(ctx, *r.Number, *p.Number)
		if pay.ErrNotFound.Is(err) { // it was not taken after all
			return s.db.Commerce.OrderRefund.UpdateOneID(id).SetStatus(orderrefund.StatusPending).SetUpdatedAt(s.clock.Now()).Exec(ctx)
		}
	}
	if pay.Final(err) {
		return errors.Join(err, s.settleRefund(ctx, string(*r.Provider), pay.Refund{Number: *r.Number, State: pay.RefundClosed}, errorCode(err)))
	}
	if err != nil { // unknown, or not now: asked again with the same number
		return errors.Join(err, s.db.Commerce.OrderRefund.UpdateOneID(id).SetErrorCode(errorCode(err)).SetUpdatedAt(s.clock.Now()).Exec(ctx))
	}
	return s.settleRefund(ctx, string(*r.Provider), said, "")
}

func (s *Service) settleRefund(ctx context.Context, provider string, said pay.Refund, code string) error {
	return s.db.InTx(auth.System(ctx, "payments"), func(ctx context.Context, tx *db.Tx) error {
		_, err := s.bookRefund(ctx, tx, provider, said, code)
		return err
	})
}

// bookRefund books what a provider says of a refund, once.
func (s *Service) bookRefund(ctx context.Context, tx *db.Tx, provider string, said pay.Refund, code string) (outcome string, err error) {
	seen, err := tx.Commerce.OrderRefund.Query().Where(orderrefund.Number(said.Number), orderrefund.ProviderEQ(orderrefund.Provider(provider))).Only(ctx)
	if commerce.IsNotFound(err) || err == nil && seen.OrderID == nil {
		return outcomeUnknown, nil
	}
	if err != nil {
		return "", err
	}
	c, err := s.lock(ctx, tx, *seen.OrderID, "refund_succeeded")
	if err != nil {
		return "", err
	}
	r, err := tx.Commerce.OrderRefund.Query().Where(orderrefund.ID(seen.ID)).Only(ctx)
	if err != nil {
		return "", err
	}
	now := s.clock.Now()
	u := tx.Commerce.OrderRefund.UpdateOneID(r.ID).SetUpdatedAt(now)
	if said.ProviderID != "" {
		u.SetProviderRefundID(said.ProviderID)
	}
	c.details["refund_id"], c.details["amount"] = r.ID, r.Amount
	switch {
	case r.Status == orderrefund.StatusSucceeded:
		return outcomeKnown, nil
	case said.Amount != 0 && (said.Amount != r.Amount || said.Currency != r.Currency):
		if r.ErrorCode != nil && *r.ErrorCode == outcomeDiffers {
			return outcomeDiffers, nil
		}
		u.SetErrorCode(outcomeDiffers)
		c.action = "refund_differs"
		c.details["said_amount"], c.details["said_currency"] = said.Amount, said.Currency
		outcome = outcomeDiffers
	case said.State == pay.RefundPending:
		next := now.Add(firstCheck)
		if r.NextAttemptAt != nil && r.NextAttemptAt.Before(next) {
			next = *r.NextAttemptAt
		}
		return outcomePending, u.SetStatus(orderrefund.StatusProcessing).SetNextAttemptAt(next).Exec(ctx)
	case said.State == pay.RefundSucceeded:
		at := said.At
		if at.IsZero() {
			at = now
		}
		u.SetStatus(orderrefund.StatusSucceeded).SetRefundedAt(at).ClearNextAttemptAt().ClearErrorCode()
		outcome = outcomeApplied
	default:
		if code == "" {
			code = codeClosed
			if said.State == pay.RefundAbnormal {
				code = codeAbnormal
			}
		}
		if said.State == pay.RefundAbnormal {
			u.SetNextAttemptAt(now.Add(abnormalAgain)) // somebody may put it right at the provider
		} else {
			u.ClearNextAttemptAt()
		}
		if r.Status == orderrefund.StatusFailed && r.ErrorCode != nil && *r.ErrorCode == code {
			return outcomeKnown, u.Exec(ctx)
		}
		u.SetStatus(orderrefund.StatusFailed).SetErrorCode(code)
		c.action, c.details["error_code"] = "refund_failed", code
		outcome = outcomeApplied
	}
	if err := u.AddVersion(1).Exec(ctx); err != nil {
		return "", err
	}
	return outcome, s.finish(ctx, tx, c)
}

// RetryRefund asks for a failed refund again, with the same number.
// Errors: ErrRefundNotFound, ErrRefundNotFailed.
func (s *Service) RetryRefund(ctx context.Context, id uuid.UUID) (out *commerce.OrderRefund, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := tx.Commerce.OrderRefund.Query().Where(orderrefund.ID(id), orderrefund.ProviderNotNil()).Only(ctx)
		if commerce.IsNotFound(err) || err == nil && seen.OrderID == nil {
			return ErrRefundNotFound.New()
		}
		if err != nil {
			return err
		}
		c, err := s.lock(ctx, tx, *seen.OrderID, "retry_refund")
		if ErrOrderNotFound.Is(err) {
			return ErrRefundNotFound.New()
		}
		if err != nil {
			return err
		}
		now := s.clock.Now()
		n, err := tx.Commerce.OrderRefund.Update().Where(orderrefund.ID(id), orderrefund.StatusEQ(orderrefund.StatusFailed)).SetStatus(orderrefund.StatusPending).
			SetNextAttemptAt(now).SetAttempts(0).AddVersion(1).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrRefundNotFailed.New().Arg("status", string(seen.Status))
		}
		c.details["refund_id"], c.details["amount"] = id, seen.Amount
		if err := s.finish(ctx, tx, c); err != nil {
			return err
		}
		out, err = tx.Commerce.OrderRefund.Get(ctx, id)
		return err
	})
	return out, err
}

// ProviderRefunds lists refunds that providers carry out, of orders that the
// caller sees, the newest first.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) ProviderRefunds(ctx context.Context, status string, limit *int32, cursor *string, include *string) (*page.Of[*commerce.OrderRefund], error) {
	l := page.NewList("/v1/order-refunds", limit)
	visible, err := scope.Through(ctx, orderrefund.FieldOrderID, "orders", scope.Columns{Store: "store_id", Staff: "assigned_staff_id"})
	if err != nil {
		return nil, err
	}
	q := s.db.From(ctx).Commerce.OrderRefund.Query().Where(orderrefund.ProviderNotNil(), orderrefund.OrderIDNotNil(), visible)
	if status != "" {
		l.Filters.Set("status", status)
		q.Where(orderrefund.StatusEQ(orderrefund.Status(status)))
	}
	out := &page.Of[*commerce.OrderRefund]{}
	if out.Total, err = page.Total(ctx, include, q.Clone().Count); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(orderrefund.IDLT(at.ID))
	}
	rows, err := q.Order(orderrefund.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{ID: out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}
