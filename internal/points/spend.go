package points

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointshold"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Spending is points to spend, or to promise.
type Spending struct {
	CustomerID uuid.UUID
	Unit       string // code; empty: DefaultUnit
	Points     int64
	Reason     string
	Reference  string
	OrderID    *uuid.UUID
	Ends       *time.Time // Block only: when they are released

	pointer string // what says how many, in errors; empty: /points
}

// longestHold bounds how long points can be promised, and usualHold is how long
// they are where nothing is said.
const (
	longestHold = 90 * 24 * time.Hour
	usualHold   = 30 * time.Minute
)

// Redeem spends points at once.
//
// Errors: ErrCustomerNotFound, ErrUnit, ErrNotSpendable, ErrInsufficient.
func (s *Service) Redeem(ctx context.Context, in Spending) (*loyalty.PointsHold, error) {
	return s.holdNamed(ctx, in, "redeem", Spent, pointshold.StatusCaptured)
}

// Block promises points: nobody else can spend them, and they are not spent yet.
// Without an end it ends in half an hour.
//
// Errors: ErrCustomerNotFound, ErrUnit, ErrNotSpendable, ErrInsufficient, ErrHoldEnds.
func (s *Service) Block(ctx context.Context, in Spending) (*loyalty.PointsHold, error) {
	now := s.clock.Now()
	ends := now.Add(usualHold)
	if in.Ends != nil {
		ends = in.Ends.UTC().Truncate(time.Microsecond)
	}
	if !ends.After(now) || ends.After(now.Add(longestHold)) {
		return nil, ErrHoldEnds.At("/expires_at")
	}
	in.Ends = &ends
	return s.holdNamed(ctx, in, "block", Blocked, pointshold.StatusBlocked)
}

// holdNamed holds points of a customer the caller may reach.
func (s *Service) holdNamed(ctx context.Context, in Spending, kind string, to Book, status pointshold.Status) (*loyalty.PointsHold, error) {
	var made uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, in.CustomerID, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		u, err := s.unit(ctx, in.Unit, ErrUnit, "/unit")
		if err != nil {
			return err
		}
		if !u.Spendable {
			return ErrNotSpendable.At("/unit")
		}
		made, err = s.hold(ctx, tx, u, in, kind, to, status)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Hold(ctx, made)
}

// hold takes points of the lots that expire first and notes which they are.
// Error: ErrInsufficient.
func (s *Service) hold(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, in Spending, kind string, to Book, status pointshold.Status) (uuid.UUID, error) {
	j, err := s.journal(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.lock(ctx, tx, j, u, in.CustomerID); err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	of := about{kind: kind, hold: uuid.NullUUID{UUID: id, Valid: true}, reason: in.Reason}
	if in.OrderID != nil {
		of.order = uuid.NullUUID{UUID: *in.OrderID, Valid: true}
	}
	parts, err := j.spend(ctx, tx, in.Points, of, to)
	if err != nil {
		if e, ok := err.(*apperr.Error); ok && in.pointer != "" {
			e.Fields[0].Pointer = in.pointer
		}
		return uuid.Nil, err
	}
	held := make([]schema.HeldLot, len(parts))
	for i, p := range parts {
		held[i] = schema.HeldLot{LotID: p.lot.id, AccountID: p.lot.account.id, Amount: p.amount}
		if to == Spent {
			held[i].Captured = p.amount
		}
	}
	create := tx.Loyalty.PointsHold.Create().SetID(id).SetUnitID(u.ID).SetCustomerID(in.CustomerID).SetStatus(status).SetAmount(in.Points).SetLots(held).
		SetReason(in.Reason).SetReference(in.Reference).SetNillableOrderID(in.OrderID).SetNillableExpiresAt(in.Ends).SetCreatedAt(j.now).SetUpdatedAt(j.now)
	if to == Spent {
		create.SetCaptured(in.Points)
	}
	if err := create.Exec(ctx); err != nil {
		return uuid.Nil, err
	}
	audit.Record(ctx, tx, audit.Entry{Action: "points." + kind, ObjectType: "points_hold", ObjectID: id.String(), Reason: in.Reason, Changes: map[string]any{"customer_id": in.CustomerID, "points": in.Points}})
	return id, s.write(ctx, tx, j)
}

// spend takes points out of the lots that expire first.
// Error: ErrInsufficient.
func (j *journal) spend(ctx context.Context, tx *db.Tx, n int64, of about, to Book) ([]part, error) {
	var available int64
	for _, a := range j.accounts {
		available += a.balance()
	}
	if available < n {
		return nil, ErrInsufficient.At("/points").Arg("available", max(0, available))
	}
	lots, err := j.spendable(ctx, tx, j.accounts, n)
	if err != nil {
		return nil, err
	}
	parts := take(lots, n)
	j.each(parts, of, func(e *entry, p part) { j.move(e, p.lot, Active, to, p.amount) })
	return parts, nil
}

// onHold runs a step of a hold the caller may reach.
// Errors: ErrHoldNotFound, those of f.
func (s *Service) onHold(ctx context.Context, id uuid.UUID, action string, f holdStep) (*loyalty.PointsHold, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.Hold(ctx, id)
		if err != nil {
			return err
		}
		return s.onLocked(ctx, tx, seen, action, f)
	})
	if err != nil {
		return nil, err
	}
	return s.Hold(ctx, id)
}

// byHand refuses holds that pay an order or a reward: those have steps of their own,
// which the points follow.
//
// Errors: ErrHoldNotFound, ErrHoldOwned.
func (s *Service) byHand(ctx context.Context, id uuid.UUID) error {
	h, err := s.Hold(ctx, id)
	if err != nil {
		return err
	}
	if h.OrderID != nil || strings.HasPrefix(h.Reference, RewardReference) {
		return ErrHoldOwned.New()
	}
	return nil
}

// RewardReference begins the references of holds that pay a reward.
const RewardReference = "reward:"

type holdStep = func(ctx context.Context, tx *db.Tx, j *journal, h *loyalty.PointsHold) error

// onLocked runs a step of a hold: the accounts and then the hold locked, its lots
// loaded.
func (s *Service) onLocked(ctx context.Context, tx *db.Tx, seen *loyalty.PointsHold, action string, f holdStep) error {
	j, err := s.journal(ctx)
	if err != nil {
		return err
	}
	if err := s.lockHeld(ctx, tx, j, seen); err != nil {
		return err
	}
	h, err := tx.Loyalty.PointsHold.Query().Where(pointshold.ID(seen.ID)).ForUpdate().Only(ctx)
	if err != nil {
		return err
	}
	if err := f(ctx, tx, j, h); err != nil {
		return err
	}
	u := tx.Loyalty.PointsHold.UpdateOne(h).SetStatus(h.Status).SetCaptured(h.Captured).SetGivenBack(h.GivenBack).SetLots(h.Lots).SetVersion(h.Version + 1).SetUpdatedAt(j.now)
	if h.Status != pointshold.StatusBlocked {
		u.ClearExpiresAt()
	}
	if err := u.Exec(ctx); err != nil {
		return err
	}
	audit.Record(ctx, tx, audit.Entry{Action: "points." + action, ObjectType: "points_hold", ObjectID: h.ID.String(), Changes: map[string]any{"captured": h.Captured, "given_back": h.GivenBack}})
	return s.write(ctx, tx, j)
}

// lockHeld locks the accounts that a hold has lots of, settles what is due on
// them and loads those lots. A hold's lots never change accounts.
func (s *Service) lockHeld(ctx context.Context, tx *db.Tx, j *journal, h *loyalty.PointsHold) error {
	accounts, lots := make(ids, 0, 1), make(ids, 0, len(h.Lots))
	for _, l := range h.Lots {
		lots = append(lots, l.LotID)
		if !slices.Contains(accounts, l.AccountID) {
			accounts = append(accounts, l.AccountID)
		}
	}
	if err := s.lockByID(ctx, tx, j, h.UnitID, accounts); err != nil {
		return err
	}
	if err := s.settleDue(ctx, tx, j); err != nil {
		return err
	}
	_, err := j.load(ctx, tx, "WHERE id = ANY($1::uuid[])", lots)
	return err
}

// Capture spends blocked points: all of them, or so many, and the rest is free
// again.
//
// Errors: ErrHoldNotFound, ErrHoldState, ErrTooMuch.
func (s *Service) Capture(ctx context.Context, id uuid.UUID, points *int64) (*loyalty.PointsHold, error) {
	return s.onHold(ctx, id, "capture", func(_ context.Context, _ *db.Tx, j *journal, h *loyalty.PointsHold) error {
		if h.Status == pointshold.StatusBlocked && h.ExpiresAt != nil && !h.ExpiresAt.After(j.now) { // no job has seen it yet
			return ErrHoldState.New().Arg("status", string(pointshold.StatusExpired))
		}
		if h.Status != pointshold.StatusBlocked {
			return ErrHoldState.New().Arg("status", string(h.Status))
		}
		n := h.Amount
		if points != nil {
			n = *points
		}
		if n > h.Amount {
			return ErrTooMuch.At("/points").Arg("available", h.Amount)
		}
		return j.capture(h, n)
	})
}

// capture spends so many of a hold's blocked points and frees the rest.
func (j *journal) capture(h *loyalty.PointsHold, n int64) error {
	captured, rest := split(j, h, n)
	j.each(captured, j.of(h, "capture"), func(e *entry, p part) { j.move(e, p.lot, Blocked, Spent, p.amount) })
	j.free(h, rest, "release")
	h.Status, h.Captured = pointshold.StatusCaptured, n
	return nil
}

// Release gives blocked points free again.
//
// Errors: ErrHoldNotFound, ErrHoldState.
func (s *Service) Release(ctx context.Context, id uuid.UUID) (*loyalty.PointsHold, error) {
	return s.release(ctx, id, pointshold.StatusReleased)
}

func (s *Service) release(ctx context.Context, id uuid.UUID, to pointshold.Status) (*loyalty.PointsHold, error) {
	return s.onHold(ctx, id, "release", func(_ context.Context, _ *db.Tx, j *journal, h *loyalty.PointsHold) error {
		return j.releaseHold(h, to)
	})
}

// releaseHold frees a hold's blocked points.
// Error: ErrHoldState.
func (j *journal) releaseHold(h *loyalty.PointsHold, to pointshold.Status) error {
	if h.Status != pointshold.StatusBlocked {
		return ErrHoldState.New().Arg("status", string(h.Status))
	}
	_, rest := split(j, h, 0)
	j.free(h, rest, "release")
	h.Status = to
	return nil
}

// GiveBack lets spent points come back as the lots they were: those last that
// were spent first, since they expire first. Lots whose time is over last so many
// days more as the unit says; without, they expire at once.
//
// Errors: ErrHoldNotFound, ErrHoldState, ErrTooMuch.
func (s *Service) GiveBack(ctx context.Context, id uuid.UUID, points *int64, reason string) (*loyalty.PointsHold, error) {
	return s.onHold(ctx, id, "give_back", func(ctx context.Context, tx *db.Tx, j *journal, h *loyalty.PointsHold) error {
		if h.Status != pointshold.StatusCaptured {
			return ErrHoldState.New().Arg("status", string(h.Status))
		}
		n := h.Captured - h.GivenBack
		if points != nil && *points > n || n == 0 {
			return ErrTooMuch.At("/points").Arg("available", n)
		}
		if points != nil {
			n = *points
		}
		return s.giveBack(ctx, tx, j, h, n, reason)
	})
}

// giveBack has so many of a hold's spent points come back.
func (s *Service) giveBack(ctx context.Context, tx *db.Tx, j *journal, h *loyalty.PointsHold, n int64, reason string) error {
	u, err := tx.Loyalty.PointsUnit.Get(ctx, h.UnitID)
	if err != nil {
		return err
	}
	var parts []part
	rest := n
	for i := len(h.Lots) - 1; i >= 0 && rest > 0; i-- {
		l := &h.Lots[i]
		if k := min(rest, l.Captured-l.GivenBack); k > 0 {
			l.GivenBack += k
			rest -= k
			parts = append(parts, part{j.known[l.LotID], k})
		}
	}
	of := j.of(h, "give_back")
	of.reason = reason
	var back []*lot
	j.each(parts, of, func(e *entry, p part) {
		if l := p.lot; l.expires != nil && !l.expires.After(j.now) && u.GiveBackDays > 0 {
			last := s.clock.Start(s.clock.DayOf(j.now) + clock.Day(u.GiveBackDays) + 1)
			l.expires = &last
		}
		j.into(e, p.lot, Spent, p.amount)
		back = append(back, p.lot)
	})
	j.settle(back...)
	h.GivenBack += n
	return nil
}

func (j *journal) of(h *loyalty.PointsHold, kind string) about {
	of := about{kind: kind, hold: uuid.NullUUID{UUID: h.ID, Valid: true}, reason: h.Reason}
	if h.OrderID != nil {
		of.order = uuid.NullUUID{UUID: *h.OrderID, Valid: true}
	}
	return of
}

// split divides a hold's lots into what is captured, first those that expire
// first, and the rest, and notes it in the hold.
func split(j *journal, h *loyalty.PointsHold, n int64) (captured, rest []part) {
	for i := range h.Lots {
		l := &h.Lots[i]
		l.Captured = min(n, l.Amount)
		n -= l.Captured
		if l.Captured > 0 {
			captured = append(captured, part{j.known[l.LotID], l.Captured})
		}
		if left := l.Amount - l.Captured; left > 0 {
			rest = append(rest, part{j.known[l.LotID], left})
		}
	}
	return captured, rest
}

// free makes blocked points active again; those whose time is over expire.
func (j *journal) free(h *loyalty.PointsHold, parts []part, kind string) {
	var lots []*lot
	j.each(parts, j.of(h, kind), func(e *entry, p part) {
		j.into(e, p.lot, Blocked, p.amount)
		lots = append(lots, p.lot)
	})
	j.settle(lots...)
}

// ReleaseHolds releases blocked points whose time is over, and says of how many
// holds.
func (s *Service) ReleaseHolds(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "points.release_holds")
	for {
		due, err := s.db.Loyalty.PointsHold.Query().Where(pointshold.ExpiresAtLTE(s.clock.Now())).Order(pointshold.ByExpiresAt(), pointshold.ByID()).Limit(100).IDs(ctx)
		if err != nil || len(due) == 0 {
			return n, err
		}
		for _, id := range due {
			_, err := s.release(ctx, id, pointshold.StatusExpired)
			if err != nil && !ErrHoldState.Is(err) { // somebody was faster
				return n, err
			}
			n++
		}
	}
}
