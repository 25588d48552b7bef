package wallets

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/wallettopup"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// PaidIn is money for a wallet, received outside of this service.
type PaidIn struct {
	CustomerID uuid.UUID
	Amount     int64
	Bonus      *int64 // nil: what the rules say
	Method     string
	Reference  string
	StoreID    *uuid.UUID
}

// TopUp pays money into a wallet and gives the bonus for it.
//
// Errors: ErrCustomerNotFound, ErrStore, ErrMinimum, ErrBonusDenied, ErrFrozen, ErrBalanceLimit, ErrOverflow.
func (s *Service) TopUp(ctx context.Context, in PaidIn) (*loyalty.WalletTopUp, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if in.Bonus != nil && !actor.Can(auth.WalletsAdjust) {
		return nil, ErrBonusDenied.At("/bonus_amount")
	}
	var made uuid.UUID
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, in.CustomerID, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		if err := s.knownStore(ctx, in.StoreID); err != nil {
			return err
		}
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		if in.Amount < p.TopUpMinimum {
			return ErrMinimum.At("/amount").Arg("minimum", p.TopUpMinimum)
		}
		bonus := bonusOf(p.TopUpRules, in.Amount)
		if in.Bonus != nil {
			bonus = *in.Bonus
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, nil, in.CustomerID); err != nil {
			return err
		}
		if err := j.room(p, in.CustomerID, in.Amount+bonus); err != nil {
			return err
		}
		a := j.own(in.CustomerID)
		if a.frozen {
			return ErrFrozen.New()
		}
		if made, err = uuid.NewV7(); err != nil {
			return err
		}
		topUp := uuid.NullUUID{UUID: made, Valid: true}
		var wrong error
		j.enter(a, about{kind: "top_up", topUp: topUp}, func(e *entry) {
			if _, wrong = j.give(e, CashIn, lot{kind: Principal, amount: in.Amount, topUp: topUp}); wrong == nil && bonus > 0 {
				_, wrong = j.give(e, Marketing, lot{kind: Bonus, amount: bonus, topUp: topUp, expires: expiry(p, s.clock, j.now)})
			}
		})
		if wrong != nil {
			return wrong
		}
		err = tx.Loyalty.WalletTopUp.Create().SetID(made).SetCustomerID(in.CustomerID).SetAccountID(a.id).SetAmount(in.Amount).SetBonus(bonus).SetMethod(in.Method).SetReference(in.Reference).
			SetNillableStoreID(in.StoreID).SetCreatedAt(j.now).SetUpdatedAt(j.now).Exec(ctx)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.top_up", ObjectType: "wallet_top_up", ObjectID: made.String(), StoreID: in.StoreID,
			Changes: map[string]any{"customer_id": in.CustomerID, "amount": in.Amount, "bonus_amount": bonus, "method": in.Method}})
		return s.write(ctx, tx, j)
	})
	if err != nil {
		return nil, err
	}
	return s.TopUpOf(ctx, made)
}

// knownStore refuses stores that there are not.
// Error: ErrStore.
func (s *Service) knownStore(ctx context.Context, id *uuid.UUID) error {
	if id == nil {
		return nil
	}
	known, err := s.db.From(ctx).Platform.Store.Query().Where(store.ID(*id)).Exist(ctx)
	if err == nil && !known {
		err = ErrStore.At("/store_id")
	}
	return err
}

// RefundTopUp gives what is left of a top-up's principal back to where it came
// from, or so much of it, and takes the same part of its bonus back. What of that
// was spent already is kept from what is paid out.
//
// Errors: ErrTopUpNotFound, ErrReason, ErrTooMuch.
func (s *Service) RefundTopUp(ctx context.Context, id uuid.UUID, amount *int64, reason string) (*loyalty.WalletTopUp, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.TopUpOf(ctx, id)
		if err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lockByID(ctx, tx, j, ids{seen.AccountID}); err != nil {
			return err
		}
		t, err := tx.Loyalty.WalletTopUp.Query().Where(wallettopup.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		lots, err := j.load(ctx, tx, "WHERE top_up_id = $1", id)
		if err != nil {
			return err
		}
		var paid, given *lot
		for _, l := range lots {
			if l.kind == Principal {
				paid = l
			} else {
				given = l
			}
		}
		n := paid.available
		if amount != nil && *amount > n || n == 0 {
			return ErrTooMuch.At("/amount").Arg("available", n)
		}
		if amount != nil {
			n = *amount
		}
		back := refundOf(t, n, available(given))
		of := about{kind: "top_up_refund", topUp: uuid.NullUUID{UUID: id, Valid: true}, reason: reason}
		j.enter(paid.account, of, func(e *entry) {
			j.move(e, paid, Principal, Refunded, back.paidOut)
			j.move(e, paid, Principal, Marketing, n-back.paidOut)
			if given != nil {
				j.move(e, given, Bonus, Marketing, back.bonus)
			}
		})
		err = tx.Loyalty.WalletTopUp.UpdateOne(t).AddRefunded(n).AddPaidOut(back.paidOut).AddBonusTaken(back.bonus).AddVersion(1).SetUpdatedAt(j.now).Exec(ctx)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.refund_top_up", ObjectType: "wallet_top_up", ObjectID: id.String(), StoreID: t.StoreID, Reason: reason,
			Changes: map[string]any{"amount": n, "paid_out_amount": back.paidOut, "bonus_taken_amount": back.bonus}})
		return s.write(ctx, tx, j)
	})
	if err != nil {
		return nil, err
	}
	return s.TopUpOf(ctx, id)
}

func available(l *lot) int64 {
	if l == nil {
		return 0
	}
	return l.available
}

// goingBack is what a refund of a top-up moves.
type goingBack struct{ paidOut, bonus int64 }

// refundOf says what giving n of a top-up back pays out and takes of its bonus, of
// which so much is left. Over any parts the bonus owed adds up to the whole one.
func refundOf(t *loyalty.WalletTopUp, n, left int64) goingBack {
	owed := shareUp(t.Bonus, t.Refunded+n, t.Amount) - shareUp(t.Bonus, t.Refunded, t.Amount)
	bonus := min(owed, left)
	return goingBack{paidOut: n - min(n, owed-bonus), bonus: bonus}
}
