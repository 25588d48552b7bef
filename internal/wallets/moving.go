package wallets

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/walletadjustment"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Transfer gives principal of one member to another. It has no source to go back
// to there.
//
// Errors: ErrCustomerNotFound, ErrRecipient, ErrToSelf, ErrNoTransfer, ErrFrozen, ErrInsufficient, ErrBalanceLimit, those of the PIN.
func (s *Service) Transfer(ctx context.Context, from, to uuid.UUID, amount int64, pin, reason string) (operation uuid.UUID, err error) {
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
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		if !p.Transferable {
			return ErrNoTransfer.New()
		}
		if err := s.checkPIN(ctx, p, from, amount, pin); err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, nil, from, now); err != nil {
			return err
		}
		if err := j.room(p, now, amount); err != nil {
			return err
		}
		into := j.own(now)
		if into.frozen {
			return ErrFrozen.At("/to_customer_id")
		}
		if err := j.takePart(ctx, tx, j.among(from), Principal, amount, Moved, about{kind: "transfer_out", reason: reason}); err != nil {
			return err
		}
		var wrong error
		j.enter(into, about{kind: "transfer_in", reason: reason}, func(e *entry) { _, wrong = j.give(e, Moved, lot{kind: Principal, amount: amount}) })
		if wrong != nil {
			return wrong
		}
		operation = j.operation
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.transfer", ObjectType: "customer", ObjectID: from.String(), Reason: reason, Changes: map[string]any{"to_customer_id": now, "amount": amount}})
		return s.write(ctx, tx, j)
	})
	return operation, err
}

// takePart takes principal, or bonus, out of accounts.
// Errors: ErrFrozen, ErrInsufficient.
func (j *journal) takePart(ctx context.Context, tx *db.Tx, accounts []*account, kind Book, n int64, to Book, why about) error {
	var has int64
	for _, a := range accounts {
		if a.frozen && why.kind != "adjust" {
			return ErrFrozen.New()
		}
		if kind == Bonus {
			has += a.bonus
		} else {
			has += a.principal
		}
	}
	if has < n {
		return ErrInsufficient.At("/amount").Arg("available", has)
	}
	parts, err := j.pick(ctx, tx, accounts, kind, n)
	if err != nil {
		return err
	}
	j.each(parts, why, func(e *entry, p part) { j.move(e, p.lot, kind, to, p.amount) })
	return nil
}

// Adjust gives stored value by hand, or takes it (an amount below zero). More than
// the programme's approval limit waits until somebody else approves.
//
// Errors: ErrCustomerNotFound, ErrReason, ErrInsufficient, ErrBalanceLimit, ErrOverflow.
func (s *Service) Adjust(ctx context.Context, customer uuid.UUID, kind walletadjustment.Part, amount int64, reason string) (*loyalty.WalletAdjustment, error) {
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
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		if made, err = uuid.NewV7(); err != nil {
			return err
		}
		now := s.clock.Now()
		create := tx.Loyalty.WalletAdjustment.Create().SetID(made).SetCustomerID(customer).SetPart(kind).SetAmount(amount).SetReason(reason).SetCreatedAt(now).SetUpdatedAt(now)
		if actor.ID != uuid.Nil {
			create.SetRequestedBy(actor.ID)
		}
		waits := p.ApprovalLimit != nil && max(amount, -amount) > *p.ApprovalLimit
		if waits {
			create.SetStatus(walletadjustment.StatusAwaitingApproval)
		} else {
			operation, err := s.book(ctx, tx, p, customer, kind, amount, reason)
			if err != nil {
				return err
			}
			create.SetOperationID(operation)
		}
		if err := create.Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.adjust", ObjectType: "wallet_adjustment", ObjectID: made.String(), Reason: reason,
			Changes: map[string]any{"customer_id": customer, "portion": kind, "amount": amount, "waits": waits}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Adjustment(ctx, made)
}

// book writes an adjustment into the ledger.
// Errors: ErrInsufficient, ErrBalanceLimit, ErrOverflow.
func (s *Service) book(ctx context.Context, tx *db.Tx, p *loyalty.WalletProgramme, customer uuid.UUID, kind walletadjustment.Part, amount int64, reason string) (uuid.UUID, error) {
	j, err := s.journal(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.lock(ctx, tx, j, nil, customer); err != nil {
		return uuid.Nil, err
	}
	l, against := lot{kind: Principal, amount: amount}, Adjusted
	if kind == walletadjustment.PartBonus {
		l, against = lot{kind: Bonus, amount: amount, expires: expiry(p, s.clock, j.now)}, Marketing
	}
	why := about{kind: "adjust", reason: reason}
	if amount < 0 {
		if err := j.takePart(ctx, tx, j.among(customer), l.kind, -amount, against, why); err != nil {
			return uuid.Nil, err
		}
		return j.operation, s.write(ctx, tx, j)
	}
	if err := j.room(p, customer, amount); err != nil {
		return uuid.Nil, err
	}
	var wrong error
	j.enter(j.own(customer), why, func(e *entry) { _, wrong = j.give(e, against, l) })
	if wrong != nil {
		return uuid.Nil, wrong
	}
	return j.operation, s.write(ctx, tx, j)
}

// Decide approves or rejects an adjustment that somebody else asked for.
//
// Errors: ErrAdjustmentNotFound, ErrDecided, ErrOwnRequest, ErrInsufficient, ErrBalanceLimit, ErrOverflow.
func (s *Service) Decide(ctx context.Context, id uuid.UUID, approve bool, note string) (*loyalty.WalletAdjustment, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.Adjustment(ctx, id)
		if err != nil {
			return err
		}
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		// Accounts before the adjustment, as everywhere.
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, nil, seen.CustomerID); err != nil {
			return err
		}
		if err := s.write(ctx, tx, j); err != nil { // what was due is settled
			return err
		}
		a, err := tx.Loyalty.WalletAdjustment.Query().Where(walletadjustment.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if a.Status != walletadjustment.StatusAwaitingApproval {
			return ErrDecided.New().Arg("status", string(a.Status))
		}
		if a.RequestedBy != nil && *a.RequestedBy == actor.ID {
			return ErrOwnRequest.New()
		}
		update := tx.Loyalty.WalletAdjustment.UpdateOne(a).SetStatus(walletadjustment.StatusRejected).SetDecidedAt(j.now).SetDecisionNote(strings.TrimSpace(note)).SetVersion(a.Version + 1).SetUpdatedAt(j.now)
		if actor.ID != uuid.Nil {
			update.SetDecidedBy(actor.ID)
		}
		if approve {
			operation, err := s.book(ctx, tx, p, a.CustomerID, a.Part, a.Amount, a.Reason)
			if err != nil {
				return err
			}
			update.SetStatus(walletadjustment.StatusBooked).SetOperationID(operation)
		}
		if err := update.Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.decide", ObjectType: "wallet_adjustment", ObjectID: id.String(), Reason: note, Changes: map[string]any{"approved": approve, "amount": a.Amount}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Adjustment(ctx, id)
}

// Freeze keeps a member's wallet from being used, or lets it be used again.
//
// Errors: ErrCustomerNotFound, ErrReason, ErrFrozen, ErrNotFrozen.
func (s *Service) Freeze(ctx context.Context, customer uuid.UUID, frozen bool, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" {
		return ErrReason.At("/reason")
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, nil, customer); err != nil {
			return err
		}
		action, was := "wallets.freeze", false
		for _, a := range j.accounts {
			was = was || a.frozen
		}
		switch {
		case frozen && was:
			return ErrFrozen.New()
		case !frozen && !was:
			return ErrNotFrozen.New()
		case !frozen:
			action = "wallets.unfreeze"
		}
		if err := s.write(ctx, tx, j); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE wallet_accounts SET frozen_at = CASE WHEN $2 THEN $3::timestamptz END, frozen_reason = CASE WHEN $2 THEN $4 ELSE '' END, version = version + 1, updated_at = $3
WHERE customer_id = $1`, customer, frozen, j.now, reason)
		if err != nil {
			return err
		}
		s.customers.Touch(ctx, tx, customer)
		audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "customer", ObjectID: customer.String(), Reason: reason})
		return nil
	})
}
