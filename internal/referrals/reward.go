package referrals

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/referral"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/points"
)

// Signals that somebody invites themselves.
const (
	SignalDevice = "same_device"
	SignalSpeed  = "too_many_a_day"
	SignalLimit  = "referrer_limit"
	SignalSame   = "same_customer"
)

// Subscribe has orders qualify those who came by a code, and goods that come back
// take a reward with them.
func (s *Service) Subscribe(d *events.Dispatcher) {
	d.Subscribe("referrals.orders", []string{orders.EventPaid, orders.EventCompleted, orders.EventReturned, orders.EventCancelled}, func(ctx context.Context, all []events.Stored) error {
		for _, e := range all {
			var o orders.OrderEvent
			if err := json.Unmarshal(e.Payload, &o); err != nil {
				return err
			}
			if o.CustomerID == nil {
				continue
			}
			if err := s.follow(auth.System(ctx, "referrals.follow"), *o.CustomerID); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow brings a customer's referral to where their orders stand.
func (s *Service) follow(ctx context.Context, customerID uuid.UUID) error {
	seen, err := s.db.From(ctx).Loyalty.Referral.Query().Where(referral.CustomerID(customerID), referral.StatusIn(referral.StatusRegistered, referral.StatusRewarded)).FirstID(ctx)
	if loyalty.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.step(ctx, seen, func(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) error {
		switch r.Status {
		case referral.StatusRegistered:
			return s.qualify(ctx, tx, p, r)
		case referral.StatusRewarded:
			kept, err := s.keeps(ctx, tx, p, r)
			if err != nil || kept {
				return err
			}
			return s.reverse(ctx, tx, r, "order_returned")
		}
		return nil
	})
}

// step runs a step of a referral: both customers locked, then the referral. What it
// changes of the row is written.
func (s *Service) step(ctx context.Context, id uuid.UUID, f func(context.Context, *db.Tx, *Programme, *loyalty.Referral) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.LoadProgramme(ctx)
		if err != nil {
			return err
		}
		seen, err := tx.Loyalty.Referral.Query().Where(referral.ID(id)).WithCode().Only(ctx)
		if err != nil {
			return err
		}
		if err := lockCustomers(ctx, tx, seen.CustomerID, seen.Edges.Code.CustomerID); err != nil {
			return err
		}
		r, err := tx.Loyalty.Referral.Query().Where(referral.ID(id)).WithCode().ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		was := r.Status
		if err := f(ctx, tx, p, r); err != nil {
			return err
		}
		u := tx.Loyalty.Referral.UpdateOneID(id).SetStatus(r.Status).SetSignals(r.Signals).SetUnit(r.Unit).SetReferrerPoints(r.ReferrerPoints).SetRefereePoints(r.RefereePoints).
			SetReason(r.Reason).SetNillableDecidedBy(r.DecidedBy).SetNillableRewardedAt(r.RewardedAt).SetVersion(r.Version + 1).SetUpdatedAt(s.clock.Now())
		if r.OrderID != nil {
			u.SetOrderID(*r.OrderID)
		} else {
			u.ClearOrderID()
		}
		if r.DueAt != nil {
			u.SetDueAt(*r.DueAt)
		} else {
			u.ClearDueAt()
		}
		if err := u.Exec(ctx); err != nil {
			return err
		}
		if was != r.Status {
			audit.Record(ctx, tx, audit.Entry{Action: "referrals." + string(r.Status), ObjectType: "referral", ObjectID: id.String(), Reason: r.Reason, Changes: map[string]any{"from": was, "signals": r.Signals}})
			if e := map[referral.Status]string{referral.StatusRewarded: EventRewarded, referral.StatusHeld: EventHeld, referral.StatusReversed: EventReversed}[r.Status]; e != "" {
				events.Emit(tx, events.Event{Type: e, SubjectType: "customer", SubjectID: r.CustomerID, Payload: map[string]any{"referral_id": id, "customer_id": r.CustomerID,
					"referrer_id": r.Edges.Code.CustomerID, "referrer_points": r.ReferrerPoints, "referee_points": r.RefereePoints}})
			}
		}
		return nil
	})
}

// worth is what is left of an order that counts: its goods less what came back.
func worth(o *commerce.Order) int64 {
	if o.PaidAt == nil || o.CancelledAt != nil {
		return 0
	}
	return o.TotalAmount - o.ShippingAmount - o.ReturnedAmount
}

// enough tells whether that is enough for a reward.
func (p *Programme) enough(o *commerce.Order) bool { return worth(o) > 0 && worth(o) >= p.MinAmount }

// qualify finds the first order of a customer that is large enough.
// Plan: the orders of the customer.
func (s *Service) qualify(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) error {
	found, err := tx.Commerce.Order.Query().Where(order.CustomerID(r.CustomerID), order.PaidAtNotNil(), order.CancelledAtIsNil()).Order(order.ByPaidAt(), order.ByID()).Limit(50).All(ctx)
	if err != nil {
		return err
	}
	for _, o := range found {
		if p.enough(o) {
			due := s.clock.Start(s.clock.DayOf(*o.PaidAt)).AddDate(0, 0, p.WindowDays)
			if p.WindowDays == 0 {
				due = *o.PaidAt
			}
			r.Status, r.OrderID, r.DueAt = referral.StatusQualifying, &o.ID, &due
			return nil
		}
	}
	return nil
}

// keeps tells whether enough is left of the order that a referral was rewarded for.
func (s *Service) keeps(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) (bool, error) {
	if r.OrderID == nil {
		return true, nil
	}
	o, err := tx.Commerce.Order.Get(ctx, *r.OrderID)
	return err == nil && p.enough(o), err
}

// RewardDue rewards referrals whose order's return window is over, or holds them, and
// says how many it looked at. Any number of workers share them.
//
// Plan: referrals_due_idx.
func (s *Service) RewardDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "referrals.reward")
	for {
		due, err := s.db.From(ctx).Loyalty.Referral.Query().Where(referral.DueAtLTE(s.clock.Now())).Order(referral.ByDueAt(), referral.ByID()).Limit(100).IDs(ctx)
		if err != nil || len(due) == 0 {
			return n, err
		}
		for _, id := range due {
			err := s.step(ctx, id, func(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) error {
				if r.Status != referral.StatusQualifying || r.DueAt == nil || r.DueAt.After(s.clock.Now()) { // somebody was faster
					return nil
				}
				r.DueAt = nil
				kept, err := s.keeps(ctx, tx, p, r)
				if err != nil {
					return err
				}
				if !kept { // another order may do
					r.Status, r.OrderID = referral.StatusRegistered, nil
					return s.qualify(ctx, tx, p, r)
				}
				if r.Signals, err = s.signals(ctx, tx, p, r); err != nil {
					return err
				}
				if len(r.Signals) > 0 {
					r.Status = referral.StatusHeld
					return nil
				}
				return s.reward(ctx, tx, p, r)
			})
			if err != nil {
				return n, err
			}
			n++
		}
	}
}

// signals are what speaks for a person to look at a referral first.
func (s *Service) signals(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) ([]string, error) {
	var out []string
	referrer := r.Edges.Code.CustomerID
	if referrer == r.CustomerID {
		return []string{SignalSame}, nil
	}
	var monthly, total, daily int64
	var device bool
	now := s.clock.Now()
	month := s.clock.DayOf(now).Time()
	first := s.clock.Start(s.clock.DayOf(now)).AddDate(0, 0, 1-month.Day())
	err := tx.QueryRow(ctx, `
SELECT (SELECT count(*) FROM referrals o JOIN referral_codes c ON c.id = o.code_id WHERE c.customer_id = $1 AND o.status = 'rewarded' AND o.rewarded_at >= $3),
       (SELECT count(*) FROM referrals o JOIN referral_codes c ON c.id = o.code_id WHERE c.customer_id = $1 AND o.status = 'rewarded'),
       (SELECT count(*) FROM referrals o WHERE o.code_id = $4 AND o.created_at BETWEEN $5::timestamptz - interval '1 day' AND $5::timestamptz + interval '1 day'),
       EXISTS (SELECT FROM member_sessions a JOIN member_sessions b ON b.device_hash = a.device_hash WHERE a.customer_id = $1 AND b.customer_id = $2)`,
		referrer, r.CustomerID, first, r.Edges.Code.ID, r.CreatedAt).Scan(&monthly, &total, &daily, &device)
	if err != nil {
		return nil, err
	}
	if p.MonthlyLimit > 0 && monthly >= p.MonthlyLimit || p.TotalLimit > 0 && total >= p.TotalLimit {
		out = append(out, SignalLimit)
	}
	if p.DailySpeed > 0 && daily > p.DailySpeed {
		out = append(out, SignalSpeed)
	}
	if !p.HoldSignals {
		return out, nil
	}
	if device {
		out = append(out, SignalDevice)
	}
	alike, err := s.customers.Alike(ctx, tx, referrer, r.CustomerID)
	return append(out, alike...), err
}

// reward gives both sides their points.
func (s *Service) reward(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) error {
	now := s.clock.Now()
	r.Unit = p.Unit
	for _, side := range []struct {
		customer uuid.UUID
		name     string
		points   int64
		given    *int64
	}{{r.Edges.Code.CustomerID, "referrer", p.ReferrerPoints, &r.ReferrerPoints}, {r.CustomerID, "referee", p.RefereePoints, &r.RefereePoints}} {
		if side.points == 0 {
			continue
		}
		given, err := s.points.Give(ctx, tx, points.Grant{CustomerID: side.customer, Unit: p.Unit, Points: side.points, EarnedAt: now, AtOnce: true, Reason: "referral",
			SourceKey: "referral:" + r.ID.String() + ":" + side.name})
		if err != nil {
			return err
		}
		if given {
			*side.given = side.points
		}
	}
	r.Status, r.RewardedAt = referral.StatusRewarded, &now
	return nil
}

// reverse takes both sides' points back, as far as the unit lets returns do.
func (s *Service) reverse(ctx context.Context, tx *db.Tx, r *loyalty.Referral, reason string) error {
	for _, side := range []struct {
		customer uuid.UUID
		points   int64
	}{{r.Edges.Code.CustomerID, r.ReferrerPoints}, {r.CustomerID, r.RefereePoints}} {
		if side.points == 0 {
			continue
		}
		if _, err := s.points.TakeBack(ctx, tx, points.Grant{CustomerID: side.customer, Unit: r.Unit, Points: side.points, Reason: "referral"}); err != nil {
			return err
		}
	}
	r.Status, r.Reason = referral.StatusReversed, reason
	return nil
}

// Decision is what somebody makes of a referral.
type Decision string

// The decisions: reward one that is held, refuse one that is not rewarded, take a
// reward back.
const (
	Approve Decision = "approve"
	Reject  Decision = "reject"
	Reverse Decision = "reverse"
)

// Decide does what somebody decided.
//
// Errors: ErrNotFound, ErrState, ErrReason.
func (s *Service) Decide(ctx context.Context, id uuid.UUID, d Decision, reason string) (*loyalty.Referral, error) {
	if reason = strings.TrimSpace(reason); reason == "" && d != Approve {
		return nil, ErrReason.At("/reason")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Referral(ctx, id); err != nil {
		return nil, err
	}
	err = s.step(ctx, id, func(ctx context.Context, tx *db.Tx, p *Programme, r *loyalty.Referral) error {
		if actor.ID != uuid.Nil {
			r.DecidedBy = &actor.ID
		}
		switch {
		case d == Approve && r.Status == referral.StatusHeld:
			return s.reward(ctx, tx, p, r)
		case d == Reject && (r.Status == referral.StatusHeld || r.Status == referral.StatusQualifying || r.Status == referral.StatusRegistered):
			r.Status, r.Reason, r.DueAt = referral.StatusRejected, reason, nil
			return nil
		case d == Reverse && r.Status == referral.StatusRewarded:
			return s.reverse(ctx, tx, r, reason)
		}
		return ErrState.New().Arg("status", string(r.Status))
	})
	if err != nil {
		return nil, err
	}
	return s.Referral(ctx, id)
}
