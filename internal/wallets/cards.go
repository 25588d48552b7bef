package wallets

import (
	"context"
	"crypto/hmac"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/giftcard"
	"github.com/shuke-crm/shuke/ent/loyalty/giftcardbatch"
	"github.com/shuke-crm/shuke/ent/loyalty/walletaccount"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// inHand finds a card by its code and PIN. Wrong PINs are counted apart, each try
// in its turn on the card's row: however many come at once, only the first five can
// be right.
// Errors: ErrCard, ErrCardLocked.
func (s *Service) inHand(ctx context.Context, raw, pin string) (*loyalty.GiftCard, error) {
	code, ok := tidyCode(raw)
	if !ok {
		return nil, ErrCard.At("/code")
	}
	card, err := s.db.From(ctx).Loyalty.GiftCard.Query().Where(giftcard.CodeHash(s.codeHash(code))).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrCard.At("/code")
	}
	switch {
	case err != nil:
		return nil, err
	case card.PinHash == nil || len(*card.PinHash) == 0: // it has none
		return card, nil
	case pin == "":
		return nil, ErrCard.At("/code")
	}
	right := hmac.Equal(*card.PinHash, s.pinHash(card.ID, pin))
	var failures int
	err = s.db.Apart(ctx, `UPDATE gift_cards SET pin_failures = CASE WHEN pin_failures >= $2 THEN pin_failures WHEN $3 THEN 0 ELSE pin_failures + 1 END
WHERE id = $1 RETURNING pin_failures`, []any{card.ID, mostWrong, right}, &failures)
	switch {
	case err != nil:
		return nil, err
	case failures >= mostWrong:
		return nil, ErrCardLocked.New()
	case !right:
		return nil, ErrCard.At("/code")
	}
	return card, nil
}

// CardBalance says what is on a card that somebody holds.
//
// Errors: ErrCard, ErrCardLocked.
func (s *Service) CardBalance(ctx context.Context, code, pin string) (*loyalty.GiftCard, error) {
	card, err := s.inHand(ctx, code, pin)
	if err != nil {
		return nil, err
	}
	return s.Card(ctx, card.ID)
}

// lockCard locks what is on a card and then the card, both as they are to be used:
// sold, not frozen, still valid.
// Errors: ErrCardState, ErrCardOver.
func (s *Service) lockCard(ctx context.Context, tx *db.Tx, j *journal, card *loyalty.GiftCard, customers ...uuid.UUID) error {
	if card.AccountID == nil {
		return ErrCardState.New().Arg("status", string(card.Status))
	}
	if err := s.lock(ctx, tx, j, ids{*card.AccountID}, customers...); err != nil {
		return err
	}
	now, err := tx.Loyalty.GiftCard.Query().Where(giftcard.ID(card.ID)).ForUpdate().Only(ctx)
	switch {
	case err != nil:
		return err
	case now.Status != giftcard.StatusActive:
		return ErrCardState.New().Arg("status", string(now.Status))
	case now.ValidUntil != nil && !now.ValidUntil.After(j.now):
		return ErrCardOver.New()
	}
	return nil
}

// PayByCard spends what is on a card, or a part of it.
//
// Errors: ErrCard, ErrCardLocked, ErrCardState, ErrCardOver, ErrInsufficient.
func (s *Service) PayByCard(ctx context.Context, code, pin string, in Spending) (*loyalty.WalletPayment, error) {
	var made uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		made, err = s.payByCard(ctx, tx, code, pin, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.PaymentOf(ctx, made)
}

func (s *Service) payByCard(ctx context.Context, tx *db.Tx, code, pin string, in Spending) (uuid.UUID, error) {
	card, err := s.inHand(ctx, code, pin)
	if err != nil {
		return uuid.Nil, err
	}
	j, err := s.journal(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.lockCard(ctx, tx, j, card); err != nil {
		return uuid.Nil, err
	}
	return s.pay(ctx, tx, j, in, walletprogramme.SpendOrderPrincipalFirst, &card.ID)
}

// Redeemed is what went from a card into a wallet.
type Redeemed struct {
	Operation, CardID, CustomerID uuid.UUID
	Amount                        int64
}

// RedeemCard puts what is on a card into a member's wallet, as principal that has
// no source to go back to, or so much of it.
//
// Errors: ErrCustomerNotFound, ErrFrozen, ErrBalanceLimit, those of PayByCard.
func (s *Service) RedeemCard(ctx context.Context, customer uuid.UUID, code, pin string, amount *int64) (out Redeemed, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		card, err := s.inHand(ctx, code, pin)
		if err != nil {
			return err
		}
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lockCard(ctx, tx, j, card, customer); err != nil {
			return err
		}
		var from *account
		for _, a := range j.accounts {
			if a.id == *card.AccountID {
				from = a
			}
		}
		into := j.own(customer)
		if into.frozen {
			return ErrFrozen.New()
		}
		n := from.principal
		if amount != nil {
			n = *amount
		}
		if n > from.principal || n == 0 {
			return ErrInsufficient.At("/amount").Arg("available", from.principal)
		}
		if err := j.room(p, customer, n); err != nil {
			return err
		}
		if err := j.takePart(ctx, tx, []*account{from}, Principal, n, Moved, about{kind: "card_out"}); err != nil {
			return err
		}
		var wrong error
		j.enter(into, about{kind: "card_in"}, func(e *entry) { _, wrong = j.give(e, Moved, lot{kind: Principal, amount: n}) })
		if wrong != nil {
			return wrong
		}
		out = Redeemed{j.operation, card.ID, customer, n}
		audit.Record(ctx, tx, audit.Entry{Action: "gift_cards.redeem", ObjectType: "gift_card", ObjectID: card.ID.String(), Changes: map[string]any{"customer_id": customer, "amount": n}})
		return s.write(ctx, tx, j)
	})
	return out, err
}

// changeCard runs a step of a card under its lock.
// Errors: ErrCardNotFound, those of f.
func (s *Service) changeCard(ctx context.Context, id uuid.UUID, action, reason string, f func(ctx context.Context, tx *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error) (*loyalty.GiftCard, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.Loyalty.GiftCard.Query().Where(giftcard.ID(id)).ForUpdate().Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrCardNotFound.New()
		}
		if err != nil {
			return err
		}
		u := c.Update().AddVersion(1).SetUpdatedAt(s.clock.Now())
		if reason != "" {
			u.SetReason(reason)
		}
		if err := f(ctx, tx, c, u); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "gift_cards." + action, ObjectType: "gift_card", ObjectID: id.String(), Reason: reason})
		return u.Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.Card(ctx, id)
}

// Sale is how a card was paid for, outside of this service.
type Sale struct {
	Method, Reference string
	StoreID           *uuid.UUID
}

// SellCard has a card carry its amount from now on.
//
// Errors: ErrCardNotFound, ErrCardState, ErrStore.
func (s *Service) SellCard(ctx context.Context, id uuid.UUID, in Sale) (*loyalty.GiftCard, error) {
	return s.changeCard(ctx, id, "sell", "", func(ctx context.Context, tx *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error {
		if c.Status != giftcard.StatusIssued {
			return ErrCardState.New().Arg("status", string(c.Status))
		}
		if err := s.knownStore(ctx, in.StoreID); err != nil {
			return err
		}
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		b, err := tx.Loyalty.GiftCardBatch.Query().Where(giftcardbatch.ID(c.BatchID)).Only(ctx)
		if err != nil {
			return err
		}
		account, err := uuid.NewV7()
		if err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := tx.Loyalty.WalletAccount.Create().SetID(account).SetKind(walletaccount.KindGiftCard).SetCreatedAt(j.now).SetUpdatedAt(j.now).Exec(ctx); err != nil {
			return err
		}
		if err := s.lockByID(ctx, tx, j, ids{account}); err != nil {
			return err
		}
		var wrong error
		j.enter(j.accounts[0], about{kind: "card_sold"}, func(e *entry) { _, wrong = j.give(e, CashIn, lot{kind: Principal, amount: b.FaceAmount}) })
		if wrong != nil {
			return wrong
		}
		u.SetStatus(giftcard.StatusActive).SetAccountID(account).SetSaleMethod(in.Method).SetSaleReference(in.Reference).SetNillableStoreID(in.StoreID).SetActivatedAt(j.now).
			SetNillableValidUntil(lasting(s.clock, j.now, p.CardDays))
		return s.write(ctx, tx, j)
	})
}

// FreezeCard keeps a card from paying.
//
// Errors: ErrCardNotFound, ErrCardState, ErrReason.
func (s *Service) FreezeCard(ctx context.Context, id uuid.UUID, reason string) (*loyalty.GiftCard, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	return s.changeCard(ctx, id, "freeze", reason, func(_ context.Context, _ *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error {
		if c.Status != giftcard.StatusActive {
			return ErrCardState.New().Arg("status", string(c.Status))
		}
		u.SetStatus(giftcard.StatusFrozen)
		return nil
	})
}

// UnfreezeCard has a frozen card pay again, or one whose PIN is locked.
//
// Errors: ErrCardNotFound, ErrCardState, ErrReason.
func (s *Service) UnfreezeCard(ctx context.Context, id uuid.UUID, reason string) (*loyalty.GiftCard, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	return s.changeCard(ctx, id, "unfreeze", reason, func(_ context.Context, _ *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error {
		if c.Status != giftcard.StatusFrozen && (c.Status != giftcard.StatusActive || c.PinFailures < mostWrong) {
			return ErrCardState.New().Arg("status", string(c.Status))
		}
		u.SetStatus(giftcard.StatusActive).SetPinFailures(0)
		return nil
	})
}

// ExtendCard changes until when a sold card pays; nil: for ever.
//
// Errors: ErrCardNotFound, ErrCardState, ErrCardUntil, ErrReason.
func (s *Service) ExtendCard(ctx context.Context, id uuid.UUID, until *time.Time, reason string) (*loyalty.GiftCard, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	if until != nil && !until.After(s.clock.Now()) {
		return nil, ErrCardUntil.At("/valid_until")
	}
	return s.changeCard(ctx, id, "extend", reason, func(_ context.Context, _ *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error {
		if c.Status != giftcard.StatusActive && c.Status != giftcard.StatusFrozen {
			return ErrCardState.New().Arg("status", string(c.Status))
		}
		if u.SetNillableValidUntil(until); until == nil {
			u.ClearValidUntil()
		}
		return nil
	})
}

// CancelCard takes a card out of use for good. What is on it counts as given back
// to who bought it.
//
// Errors: ErrCardNotFound, ErrCardState, ErrCardHeld, ErrReason.
func (s *Service) CancelCard(ctx context.Context, id uuid.UUID, reason string) (*loyalty.GiftCard, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.Card(ctx, id)
		if err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if seen.AccountID != nil { // the account before the card, as everywhere
			if err := s.lockByID(ctx, tx, j, ids{*seen.AccountID}); err != nil {
				return err
			}
		}
		_, err = s.changeCard(ctx, id, "cancel", reason, func(ctx context.Context, tx *db.Tx, c *loyalty.GiftCard, u *loyalty.GiftCardUpdateOne) error {
			switch {
			case c.Status == giftcard.StatusCancelled:
				return ErrCardState.New().Arg("status", string(c.Status))
			case c.AccountID != nil && seen.AccountID == nil: // sold since we looked
				return db.ErrAgain
			}
			u.SetStatus(giftcard.StatusCancelled).ClearSecretSealed()
			for _, a := range j.accounts {
				if a.blocked() > 0 {
					return ErrCardHeld.New()
				}
				if a.principal == 0 {
					continue
				}
				if err := j.takePart(ctx, tx, j.accounts, Principal, a.principal, Refunded, about{kind: "card_cancelled", reason: reason}); err != nil {
					return err
				}
			}
			return s.write(ctx, tx, j)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Card(ctx, id)
}

// Card reads a gift card with what is on it.
//
// Error: ErrCardNotFound.
func (s *Service) Card(ctx context.Context, id uuid.UUID) (*loyalty.GiftCard, error) {
	c, err := s.db.From(ctx).Loyalty.GiftCard.Query().Where(giftcard.ID(id)).WithBatch().WithAccount().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrCardNotFound.New()
	}
	return c, err
}

// CardFilter narrows a list of cards; empty parts do not.
type CardFilter struct {
	BatchID       *uuid.UUID
	Status, Last4 string
}

// Cards lists gift cards, the newest first.
// Plan: gift_cards_pkey backwards, gift_cards_number_key or gift_cards_last4_idx.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Cards(ctx context.Context, f CardFilter, asked page.Asked) (*page.Of[*loyalty.GiftCard], error) {
	l := page.NewList("/v1/gift-cards", asked.Limit)
	q := s.db.From(ctx).Loyalty.GiftCard.Query()
	if f.BatchID != nil {
		l.Filters.Set("batch_id", f.BatchID.String())
		q.Where(giftcard.BatchID(*f.BatchID))
	}
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.Where(giftcard.StatusEQ(giftcard.Status(f.Status)))
	}
	if f.Last4 != "" {
		l.Filters.Set("last4", f.Last4)
		q.Where(giftcard.Last4(strings.ToUpper(f.Last4)))
	}
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.GiftCard, error) {
		if after != nil {
			q.Where(giftcard.IDLT(*after))
		}
		return q.WithBatch().WithAccount().Order(giftcard.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(c *loyalty.GiftCard) uuid.UUID { return c.ID })
}

// CardEntries is the statement of a card, the newest first.
//
// Errors: ErrCardNotFound, apperr.ErrBadCursor.
func (s *Service) CardEntries(ctx context.Context, id uuid.UUID, asked page.Asked) (*page.Of[*loyalty.WalletEntry], error) {
	c, err := s.Card(ctx, id)
	if err != nil {
		return nil, err
	}
	var accounts []uuid.UUID
	if c.AccountID != nil {
		accounts = append(accounts, *c.AccountID)
	}
	return s.statement(ctx, page.NewList("/v1/gift-cards/"+id.String()+"/entries", asked.Limit), accounts, EntryFilter{}, asked)
}

// Batch reads a batch of gift cards.
//
// Error: ErrBatchNotFound.
func (s *Service) Batch(ctx context.Context, id uuid.UUID) (*loyalty.GiftCardBatch, error) {
	b, err := s.db.From(ctx).Loyalty.GiftCardBatch.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrBatchNotFound.New()
	}
	return b, err
}

// Batches lists batches of gift cards, the newest first.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Batches(ctx context.Context, asked page.Asked) (*page.Of[*loyalty.GiftCardBatch], error) {
	q := s.db.From(ctx).Loyalty.GiftCardBatch.Query()
	return page.Fetch(ctx, s.pages, page.NewList("/v1/gift-card-batches", asked.Limit), asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.GiftCardBatch, error) {
		if after != nil {
			q.Where(giftcardbatch.IDLT(*after))
		}
		return q.Order(giftcardbatch.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(b *loyalty.GiftCardBatch) uuid.UUID { return b.ID })
}
