package points

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsadjustment"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Adjust gives points by hand, or takes them (points below zero). More than the
// unit's approval limit waits until somebody else approves.
//
// Errors: ErrCustomerNotFound, ErrUnit, ErrReason, ErrInsufficient, ErrBalanceLimit, ErrPointsOverflow.
func (s *Service) Adjust(ctx context.Context, customer uuid.UUID, unit string, points int64, reason string) (*loyalty.PointsAdjustment, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var made uuid.UUID
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		u, err := s.unit(ctx, unit, ErrUnit, "/unit")
		if err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := s.clock.Now()
		create := tx.Loyalty.PointsAdjustment.Create().SetID(id).SetUnitID(u.ID).SetCustomerID(customer).SetPoints(points).SetReason(reason).SetCreatedAt(now).SetUpdatedAt(now)
		if actor.ID != uuid.Nil {
			create.SetRequestedBy(actor.ID)
		}
		waits := u.ApprovalLimit != nil && max(points, -points) > *u.ApprovalLimit
		if waits {
			create.SetStatus(pointsadjustment.StatusAwaitingApproval)
		} else {
			operation, err := s.book(ctx, tx, u, customer, points, reason)
			if err != nil {
				return err
			}
			create.SetOperationID(operation)
		}
		if err := create.Exec(ctx); err != nil {
			return err
		}
		made = id
		audit.Record(ctx, tx, audit.Entry{Action: "points.adjust", ObjectType: "points_adjustment", ObjectID: id.String(), Reason: reason,
			Changes: map[string]any{"customer_id": customer, "points": points, "waits": waits}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Adjustment(ctx, made)
}

// book writes an adjustment into the ledger.
// Errors: ErrInsufficient, ErrBalanceLimit, ErrPointsOverflow.
func (s *Service) book(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, customer uuid.UUID, points int64, reason string) (uuid.UUID, error) {
	j, err := s.journal(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.lock(ctx, tx, j, u, customer); err != nil {
		return uuid.Nil, err
	}
	of := about{kind: "adjust", reason: reason}
	if points < 0 {
		if _, err := j.spend(ctx, tx, -points, of, Reversed); err != nil {
			return uuid.Nil, err
		}
	} else {
		if err := j.room(u, customer, points, "/points"); err != nil {
			return uuid.Nil, err
		}
		if err := j.give(j.own(customer), of, Issued, lot{amount: points, earned: j.now, activeAt: j.now, expires: expiry(u, s.clock, j.now)}); err != nil {
			return uuid.Nil, err
		}
	}
	return j.operation, s.write(ctx, tx, j)
}

// room refuses points beyond what a member can have.
// Errors: ErrBalanceLimit, ErrPointsOverflow.
func (j *journal) room(u *loyalty.PointsUnit, customer uuid.UUID, points int64, pointer string) error {
	var has int64
	for _, a := range j.among(customer) {
		has += a.balance() + a.pending + a.blocked
	}
	if u.BalanceLimit != nil && has+points > *u.BalanceLimit {
		return ErrBalanceLimit.At(pointer).Arg("limit", *u.BalanceLimit)
	}
	if has+points > most {
		return ErrPointsOverflow.At(pointer)
	}
	return nil
}

// Decide approves or rejects an adjustment that somebody else asked for.
//
// Errors: ErrAdjustmentNotFound, ErrDecided, ErrOwnRequest, ErrInsufficient, ErrBalanceLimit.
func (s *Service) Decide(ctx context.Context, id uuid.UUID, approve bool, note string) (*loyalty.PointsAdjustment, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.Adjustment(ctx, id)
		if err != nil {
			return err
		}
		// Accounts before the adjustment, as everywhere.
		u, err := tx.Loyalty.PointsUnit.Get(ctx, seen.UnitID)
		if err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, u, seen.CustomerID); err != nil {
			return err
		}
		a, err := tx.Loyalty.PointsAdjustment.Query().Where(pointsadjustment.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if a.Status != pointsadjustment.StatusAwaitingApproval {
			return ErrDecided.New().Arg("status", string(a.Status))
		}
		if a.RequestedBy != nil && *a.RequestedBy == actor.ID {
			return ErrOwnRequest.New()
		}
		update := tx.Loyalty.PointsAdjustment.UpdateOne(a).SetStatus(pointsadjustment.StatusRejected).SetDecidedAt(s.clock.Now()).SetDecisionNote(strings.TrimSpace(note)).SetVersion(a.Version + 1).SetUpdatedAt(s.clock.Now())
		if actor.ID != uuid.Nil {
			update.SetDecidedBy(actor.ID)
		}
		if approve {
			operation, err := s.book(ctx, tx, u, a.CustomerID, a.Points, a.Reason)
			if err != nil {
				return err
			}
			update.SetStatus(pointsadjustment.StatusBooked).SetOperationID(operation)
		}
		if err := update.Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.decide", ObjectType: "points_adjustment", ObjectID: id.String(), Reason: note, Changes: map[string]any{"approved": approve, "points": a.Points}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Adjustment(ctx, id)
}

// Transfer gives points of one member to another, as lots that expire when they
// would have.
//
// Errors: ErrCustomerNotFound, ErrRecipient, ErrToSelf, ErrUnit, ErrNoTransfer, ErrInsufficient, ErrBalanceLimit.
func (s *Service) Transfer(ctx context.Context, from, to uuid.UUID, unit string, points int64, reason string) (operation uuid.UUID, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, from, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		now, err := s.customers.GoesOn(ctx, to)
		if err != nil {
			return err
		}
		if err := s.reach(ctx, now, ErrRecipient.At("/to_customer_id")); err != nil {
			return err
		}
		if now == from {
			return ErrToSelf.At("/to_customer_id")
		}
		u, err := s.unit(ctx, unit, ErrUnit, "/unit")
		if err != nil {
			return err
		}
		if !u.Transferable {
			return ErrNoTransfer.At("/unit")
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, u, from, now); err != nil {
			return err
		}
		if err := j.room(u, now, points, "/points"); err != nil {
			return err
		}
		all := j.accounts
		j.accounts = j.among(from)
		parts, err := j.spend(ctx, tx, points, about{kind: "transfer_out", reason: reason}, Transferred)
		if err != nil {
			return err
		}
		j.accounts = all
		for _, p := range parts {
			l := lot{amount: p.amount, earned: p.lot.earned, activeAt: j.now, expires: p.lot.expires}
			if err := j.give(j.own(now), about{kind: "transfer_in", reason: reason}, Transferred, l); err != nil {
				return err
			}
		}
		operation = j.operation
		audit.Record(ctx, tx, audit.Entry{Action: "points.transfer", ObjectType: "customer", ObjectID: from.String(), Reason: reason, Changes: map[string]any{"to_customer_id": now, "points": points}})
		return s.write(ctx, tx, j)
	})
	return operation, err
}
