package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/delegation"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// longestDelegation bounds a leave: whoever goes for longer hands over.
const longestDelegation = 366 * 24 * time.Hour

// DelegateInput says who stands in, when and why.
type DelegateInput struct {
	To     uuid.UUID
	Starts *time.Time // nil: now
	Ends   time.Time
	Reason string
}

// Delegate lets a colleague see and serve somebody's customers for a time.
// Errors: staff.not_found, staff.deputy_unknown, staff.delegation_times,
// staff.delegation_exists, staff.delegation_chain, staff.own_account for
// standing in oneself, staff.beyond_own_rights.
func (s *Service) Delegate(ctx context.Context, staffID uuid.UUID, in DelegateInput) (*platform.Delegation, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	starts := now
	if in.Starts != nil && in.Starts.After(now) {
		starts = *in.Starts
	}
	switch {
	case !in.Ends.After(starts), in.Ends.Sub(starts) > longestDelegation:
		return nil, ErrDelegationTimes.At("/ends_at")
	case actor.Kind == auth.KindStaff && actor.ID == in.To:
		return nil, ErrOwnAccount.At("/to_staff_id")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.Delegation
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		away, err := s.lockBoth(ctx, tx, staffID, in.To)
		if err != nil {
			return err
		}
		if err := s.mayLend(ctx, tx, away); err != nil {
			return err
		}
		if err := refuseClash(ctx, tx, staffID, in.To, starts, in.Ends); err != nil {
			return err
		}
		c := tx.Platform.Delegation.Create().SetID(id).SetStaffID(staffID).SetToStaffID(in.To).SetStartsAt(starts).SetEndsAt(in.Ends).
			SetReason(in.Reason).SetStartNoted(!starts.After(now)).SetCreatedAt(now)
		if actor.Kind == auth.KindStaff {
			c.SetCreatedBy(actor.ID)
		}
		if made, err = c.Save(ctx); err != nil {
			return fmt.Errorf("delegate: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "staff.delegate", ObjectType: "staff", ObjectID: staffID.String(), StoreID: away.StoreID, Reason: in.Reason,
			Changes: delegationChanges(made)})
		if made.StartNoted {
			noteDelegation(ctx, tx, made, away.StoreID, "staff.delegation_begin", eventDelegationBegan)
		}
		s.invalidate(ctx, tx, in.To)
		return nil
	})
	return made, err
}

// lockBoth locks the one who goes and the one who stands in, in the order of
// their ids, so that two arrangements never wait for each other.
func (s *Service) lockBoth(ctx context.Context, tx *db.Tx, staffID, to uuid.UUID) (away *platform.Staff, err error) {
	both, err := tx.Platform.Staff.Query().Where(staff.IDIn(staffID, to)).Order(staff.ByID()).ForUpdate().All(ctx)
	if err != nil {
		return nil, err
	}
	ready := false
	for _, p := range both {
		if p.ID == staffID {
			away = p
		}
		ready = ready || p.ID == to && to != staffID && p.Status == staff.StatusActive
	}
	switch {
	case away == nil:
		return nil, ErrStaffNotFound.New()
	case !ready:
		return nil, ErrDeputyUnknown.At("/to_staff_id")
	}
	return away, nil
}

// mayLend refuses to lend what the caller could not grant.
// Error: staff.beyond_own_rights.
func (s *Service) mayLend(ctx context.Context, tx *db.Tx, away *platform.Staff) error {
	own, err := s.holdingOf(ctx, tx)
	if err != nil {
		return err
	}
	grants, err := tx.Platform.RoleGrant.Query().
		Where(rolegrant.StaffID(away.ID), rolegrant.ScopeEQ(rolegrant.ScopeOwn), inForce(s.Clock.Now())).WithRole().All(ctx)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := own.mayHandle(g.Edges.Role, reachOf(g, away), ""); err != nil {
			return err
		}
	}
	return nil
}

// refuseClash refuses the same stand-in twice, and chains. The locks on both
// people keep a second caller out.
func refuseClash(ctx context.Context, tx *db.Tx, staffID, to uuid.UUID, starts, ends time.Time) error {
	overlapping, err := tx.Platform.Delegation.Query().Where(delegation.StartsAtLT(ends), delegation.EndsAtGT(starts), delegation.Or(
		delegation.And(delegation.StaffID(staffID), delegation.ToStaffID(to)), delegation.StaffID(to), delegation.ToStaffID(staffID),
	)).All(ctx)
	if err != nil {
		return err
	}
	for _, d := range overlapping {
		if d.StaffID == staffID {
			return ErrDelegationExists.New()
		}
	}
	if len(overlapping) > 0 {
		return ErrDelegationChain.New()
	}
	return nil
}

// EndDelegation ends a delegation before its time; one that has ended stays.
// Errors: staff.not_found, staff.delegation_not_found, staff.beyond_own_rights.
func (s *Service) EndDelegation(ctx context.Context, staffID, id uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		away, err := tx.Platform.Staff.Query().Where(staff.ID(staffID)).ForUpdate().Only(ctx)
		if err != nil {
			return staffError(err)
		}
		d, err := tx.Platform.Delegation.Query().Where(delegation.ID(id), delegation.StaffID(staffID)).ForUpdate().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrDelegationNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := s.mayLend(ctx, tx, away); err != nil {
			return err
		}
		now := s.Clock.Now()
		if d.EndsAt.After(now) {
			ends := now
			if d.StartsAt.After(now) {
				ends = d.StartsAt // it never begins
			}
			if d, err = tx.Platform.Delegation.UpdateOne(d).SetEndsAt(ends).SetCancelled(true).SetStartNoted(true).SetEndNoted(true).Save(ctx); err != nil {
				return err
			}
			noteDelegation(ctx, tx, d, away.StoreID, "staff.delegation_end", eventDelegationEnded)
			s.invalidate(ctx, tx, d.ToStaffID)
		}
		return nil
	})
}

// NoteDelegations writes the beginnings and ends that time has brought into
// the audit log; a job runs it regularly. Access does not wait for it.
func (s *Service) NoteDelegations(ctx context.Context) error {
	const batch = 200
	for {
		n := 0
		err := s.DB.InTx(auth.System(ctx, "delegations"), func(ctx context.Context, tx *db.Tx) error {
			now := s.Clock.Now()
			due, err := tx.Platform.Delegation.Query().Where(delegation.EndNoted(false), delegation.Or(
				delegation.And(delegation.StartNoted(false), delegation.StartsAtLTE(now)), delegation.EndsAtLTE(now),
			)).Order(delegation.ByID()).Limit(batch).ForUpdate().All(ctx)
			if err != nil {
				return err
			}
			n = len(due)
			for _, d := range due {
				away, err := tx.Platform.Staff.Get(ctx, d.StaffID)
				if err != nil {
					return err
				}
				if !d.StartNoted {
					noteDelegation(ctx, tx, d, away.StoreID, "staff.delegation_begin", eventDelegationBegan)
				}
				over := !d.EndsAt.After(now)
				if over {
					noteDelegation(ctx, tx, d, away.StoreID, "staff.delegation_end", eventDelegationEnded)
				}
				if err := tx.Platform.Delegation.UpdateOne(d).SetStartNoted(true).SetEndNoted(over).Exec(ctx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || n < batch {
			return err
		}
	}
}

func noteDelegation(ctx context.Context, tx *db.Tx, d *platform.Delegation, storeID *uuid.UUID, action, event string) {
	happened(ctx, tx, event, audit.Entry{Action: action, ObjectType: "staff", StoreID: storeID, Reason: d.Reason, Changes: delegationChanges(d)}, d.StaffID,
		map[string]any{"delegation_id": d.ID, "to_staff_id": d.ToStaffID})
}

func delegationChanges(d *platform.Delegation) map[string]any {
	return map[string]any{"delegation_id": d.ID, "to_staff_id": d.ToStaffID, "starts_at": d.StartsAt, "ends_at": d.EndsAt}
}

// delegationsOf is the query of a list: of whom others stand in for, or of
// those they stand in for.
func (s *Service) delegationsOf(ctx context.Context, staffID uuid.UUID, held bool) (*platform.DelegationQuery, error) {
	c := s.DB.From(ctx).Platform
	if _, err := c.Staff.Query().Where(staff.ID(staffID)).OnlyID(ctx); err != nil {
		return nil, staffError(err)
	}
	if held {
		return c.Delegation.Query().Where(delegation.ToStaffID(staffID)), nil
	}
	return c.Delegation.Query().Where(delegation.StaffID(staffID)), nil
}
