package wallets

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletpayment"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Spending is stored value to spend, or to promise. Who pays is a customer, or a
// gift card.
type Spending struct {
	CustomerID     uuid.UUID
	Amount         int64
	Hold           bool // only promise it
	Ends           *time.Time
	PIN            string
	Reason         string
	Reference      string
	OrderID        *uuid.UUID
	OrderPaymentID *uuid.UUID
}

// longestHold bounds how long money can be promised, and usualHold is how long it
// is where nothing is said.
const (
	longestHold = 90 * 24 * time.Hour
	usualHold   = 30 * time.Minute
)

// Pay spends stored value of a member at once, or promises it: nobody else can
// spend it then, and it is not spent yet. Without an end it is free again in half
// an hour.
//
// Errors: ErrCustomerNotFound, ErrHoldEnds, ErrFrozen, ErrInsufficient, those of the PIN.
func (s *Service) Pay(ctx context.Context, in Spending) (*loyalty.WalletPayment, error) {
	var made uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if err := s.reach(ctx, in.CustomerID, ErrCustomerNotFound.New()); err != nil {
			return err
		}
		p, err := s.programme(ctx)
		if err != nil {
			return err
		}
		if err := s.checkPIN(ctx, p, in.CustomerID, in.Amount, in.PIN); err != nil {
			return err
		}
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, nil, in.CustomerID); err != nil {
			return err
		}
		made, err = s.pay(ctx, tx, j, in, p.SpendOrder, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.PaymentOf(ctx, made)
}

// pay takes money out of the journal's accounts, which are all of the payer's.
// Errors: ErrHoldEnds, ErrFrozen, ErrInsufficient.
func (s *Service) pay(ctx context.Context, tx *db.Tx, j *journal, in Spending, order walletprogramme.SpendOrder, card *uuid.UUID) (uuid.UUID, error) {
	kind, status := "pay", walletpayment.StatusCaptured
	var ends *time.Time
	if in.Hold {
		kind, status = "block", walletpayment.StatusBlocked
		at := j.now.Add(usualHold)
		if in.Ends != nil {
			at = in.Ends.UTC().Truncate(time.Microsecond)
		}
		if !at.After(j.now) || at.After(j.now.Add(longestHold)) {
			return uuid.Nil, ErrHoldEnds.At("/expires_at")
		}
		ends = &at
	} else if in.Ends != nil {
		return uuid.Nil, ErrHoldEnds.At("/expires_at")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	parts, err := j.take(ctx, tx, j.accounts, in.Amount, order)
	if err != nil {
		return uuid.Nil, err
	}
	of := about{kind: kind, payment: uuid.NullUUID{UUID: id, Valid: true}, reason: in.Reason}
	if in.OrderID != nil {
		of.order = uuid.NullUUID{UUID: *in.OrderID, Valid: true}
	}
	paid := make([]schema.PaidLot, len(parts))
	for i, p := range parts {
		paid[i] = schema.PaidLot{LotID: p.lot.id, AccountID: p.lot.account.id, Kind: string(p.lot.kind), Amount: p.amount}
		if !in.Hold {
			paid[i].Captured = p.amount
		}
	}
	j.each(parts, of, func(e *entry, p part) {
		if in.Hold {
			j.move(e, p.lot, p.lot.kind, p.lot.held(), p.amount)
		} else {
			j.move(e, p.lot, p.lot.kind, Spent, p.amount)
		}
	})
	create := tx.Loyalty.WalletPayment.Create().SetID(id).SetStatus(status).SetProRata(order == walletprogramme.SpendOrderProRata).SetAmount(in.Amount).SetLots(paid).SetReason(in.Reason).
		SetReference(in.Reference).SetNillableOrderID(in.OrderID).SetNillableOrderPaymentID(in.OrderPaymentID).SetNillableGiftCardID(card).SetNillableExpiresAt(ends).SetCreatedAt(j.now).SetUpdatedAt(j.now)
	if card == nil {
		create.SetCustomerID(in.CustomerID)
	}
	if !in.Hold {
		create.SetCaptured(in.Amount)
	}
	if err := create.Exec(ctx); err != nil {
		return uuid.Nil, err
	}
	changes := map[string]any{"amount": in.Amount}
	if card == nil {
		changes["customer_id"] = in.CustomerID
	} else {
		changes["gift_card_id"] = *card
	}
	audit.Record(ctx, tx, audit.Entry{Action: "wallets." + kind, ObjectType: "wallet_payment", ObjectID: id.String(), Reason: in.Reason, Changes: changes})
	return id, s.write(ctx, tx, j)
}

// onPayment runs a step of a payment the caller may reach: the accounts and then
// the payment locked, its lots loaded. A payment's lots never change accounts.
// Errors: ErrPaymentNotFound, those of f.
func (s *Service) onPayment(ctx context.Context, id uuid.UUID, action string, f func(ctx context.Context, tx *db.Tx, j *journal, p *loyalty.WalletPayment) error) (*loyalty.WalletPayment, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.PaymentOf(ctx, id)
		if err != nil {
			return err
		}
		return s.step(ctx, tx, seen, action, f)
	})
	if err != nil {
		return nil, err
	}
	return s.PaymentOf(ctx, id)
}

// step is onPayment for a payment whose caller has been judged.
func (s *Service) step(ctx context.Context, tx *db.Tx, seen *loyalty.WalletPayment, action string, f func(ctx context.Context, tx *db.Tx, j *journal, p *loyalty.WalletPayment) error) error {
	j, err := s.journal(ctx)
	if err != nil {
		return err
	}
	accounts, lots := make(ids, 0, 1), make(ids, 0, len(seen.Lots))
	for _, l := range seen.Lots {
		lots = append(lots, l.LotID)
		if !slices.Contains(accounts, l.AccountID) {
			accounts = append(accounts, l.AccountID)
		}
	}
	if err := s.lockByID(ctx, tx, j, accounts); err != nil {
		return err
	}
	if _, err := j.load(ctx, tx, "WHERE id = ANY($1::uuid[])", lots); err != nil {
		return err
	}
	p, err := tx.Loyalty.WalletPayment.Query().Where(walletpayment.ID(seen.ID)).ForUpdate().Only(ctx)
	if err != nil {
		return err
	}
	if err := f(ctx, tx, j, p); err != nil {
		return err
	}
	u := tx.Loyalty.WalletPayment.UpdateOne(p).SetStatus(p.Status).SetCaptured(p.Captured).SetRefunded(p.Refunded).SetLots(p.Lots).SetVersion(p.Version + 1).SetUpdatedAt(j.now)
	if p.Status != walletpayment.StatusBlocked {
		u.ClearExpiresAt()
	}
	if err := u.Exec(ctx); err != nil {
		return err
	}
	audit.Record(ctx, tx, audit.Entry{Action: "wallets." + action, ObjectType: "wallet_payment", ObjectID: p.ID.String(), Changes: map[string]any{"captured_amount": p.Captured, "refunded_amount": p.Refunded}})
	return s.write(ctx, tx, j)
}

// Capture spends what is promised: all of it, or so much, and the rest is free
// again.
//
// Errors: ErrPaymentNotFound, ErrPaymentState, ErrTooMuch.
func (s *Service) Capture(ctx context.Context, id uuid.UUID, amount *int64) (*loyalty.WalletPayment, error) {
	return s.onPayment(ctx, id, "capture", func(_ context.Context, _ *db.Tx, j *journal, p *loyalty.WalletPayment) error {
		if p.Status == walletpayment.StatusBlocked && p.ExpiresAt != nil && !p.ExpiresAt.After(j.now) { // no job has seen it yet
			return ErrPaymentState.New().Arg("status", string(walletpayment.StatusExpired))
		}
		if p.Status != walletpayment.StatusBlocked {
			return ErrPaymentState.New().Arg("status", string(p.Status))
		}
		n := p.Amount
		if amount != nil {
			n = *amount
		}
		if n > p.Amount {
			return ErrTooMuch.At("/amount").Arg("available", p.Amount)
		}
		captured, rest := split(j, p, n)
		j.each(captured, of(p, "capture"), func(e *entry, x part) { j.move(e, x.lot, x.lot.held(), Spent, x.amount) })
		j.free(p, rest)
		p.Status, p.Captured = walletpayment.StatusCaptured, n
		return nil
	})
}

// Release gives what is promised free again.
//
// Errors: ErrPaymentNotFound, ErrPaymentState.
func (s *Service) Release(ctx context.Context, id uuid.UUID) (*loyalty.WalletPayment, error) {
	return s.release(ctx, id, walletpayment.StatusReleased)
}

func (s *Service) release(ctx context.Context, id uuid.UUID, to walletpayment.Status) (*loyalty.WalletPayment, error) {
	return s.onPayment(ctx, id, "release", func(_ context.Context, _ *db.Tx, j *journal, p *loyalty.WalletPayment) error {
		if p.Status != walletpayment.StatusBlocked {
			return ErrPaymentState.New().Arg("status", string(p.Status))
		}
		_, rest := split(j, p, 0)
		j.free(p, rest)
		p.Status = to
		return nil
	})
}

// ReleaseDue releases what is promised and whose time is over, and says of how many
// payments.
func (s *Service) ReleaseDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "wallets.release")
	for {
		due, err := s.db.Loyalty.WalletPayment.Query().Where(walletpayment.ExpiresAtLTE(s.clock.Now())).Order(walletpayment.ByExpiresAt(), walletpayment.ByID()).Limit(100).IDs(ctx)
		if err != nil || len(due) == 0 {
			return n, err
		}
		for _, id := range due {
			_, err := s.release(ctx, id, walletpayment.StatusExpired)
			if err != nil && !ErrPaymentState.Is(err) { // somebody was faster
				return n, err
			}
			n++
		}
	}
}

// Refund lets a payment come back as what it was, all of it or so much: what was
// spent last first, or in the proportion in which it was spent. A bonus whose time is
// over lasts so many days more as the programme says; without, it expires at once.
// Payments of an order come back with its refunds.
//
// Errors: ErrPaymentNotFound, ErrPaymentState, ErrTooMuch, ErrOfOrder.
func (s *Service) Refund(ctx context.Context, id uuid.UUID, amount *int64, reason string) (*loyalty.WalletPayment, error) {
	return s.onPayment(ctx, id, "refund", func(ctx context.Context, _ *db.Tx, j *journal, p *loyalty.WalletPayment) error {
		if p.OrderPaymentID != nil {
			return ErrOfOrder.New()
		}
		return s.refund(ctx, j, p, amount, reason)
	})
}

func (s *Service) refund(ctx context.Context, j *journal, p *loyalty.WalletPayment, amount *int64, reason string) error {
	if p.Status != walletpayment.StatusCaptured {
		return ErrPaymentState.New().Arg("status", string(p.Status))
	}
	n := p.Captured - p.Refunded
	if amount != nil && *amount > n || n == 0 {
		return ErrTooMuch.At("/amount").Arg("available", n)
	}
	if amount != nil {
		n = *amount
	}
	programme, err := s.programme(ctx)
	if err != nil {
		return err
	}
	parts := comeBack(j, p, n)
	why := of(p, "refund")
	why.reason = reason
	var back []*lot
	j.each(parts, why, func(e *entry, x part) {
		if l := x.lot; l.expires != nil && !l.expires.After(j.now) && programme.GiveBackDays > 0 {
			last := s.clock.Start(s.clock.DayOf(j.now) + clock.Day(programme.GiveBackDays) + 1)
			l.expires = &last
		}
		j.move(e, x.lot, Spent, x.lot.kind, x.amount)
		back = append(back, x.lot)
	})
	j.settle(back...)
	p.Refunded += n
	return nil
}

// comeBack says which lots n of a payment goes back to, and notes it in the payment.
func comeBack(j *journal, p *loyalty.WalletPayment, n int64) []part {
	rest := map[string]int64{"": n} // of each kind, or of both
	kind := func(string) string { return "" }
	if p.ProRata {
		var captured, refunded int64 // of the bonus
		for _, l := range p.Lots {
			if l.Kind == string(Bonus) {
				captured, refunded = captured+l.Captured, refunded+l.Refunded
			}
		}
		bonus := share(p.Refunded+n, captured, p.Captured) - refunded
		rest = map[string]int64{string(Bonus): bonus, string(Principal): n - bonus}
		kind = func(k string) string { return k }
	}
	var parts []part
	for i := len(p.Lots) - 1; i >= 0; i-- {
		l := &p.Lots[i]
		if k := min(rest[kind(l.Kind)], l.Captured-l.Refunded); k > 0 {
			l.Refunded += k
			rest[kind(l.Kind)] -= k
			parts = append(parts, part{j.known[l.LotID], k})
		}
	}
	return parts
}

func of(p *loyalty.WalletPayment, kind string) about {
	out := about{kind: kind, payment: uuid.NullUUID{UUID: p.ID, Valid: true}, reason: p.Reason}
	if p.OrderID != nil {
		out.order = uuid.NullUUID{UUID: *p.OrderID, Valid: true}
	}
	return out
}

// split divides a payment's lots into what is captured, those taken first, and the
// rest, and notes it in the payment. Where it was spent pro rata, so is what is
// captured.
func split(j *journal, p *loyalty.WalletPayment, n int64) (captured, rest []part) {
	left := map[string]int64{"": n}
	kind := func(string) string { return "" }
	if p.ProRata {
		var held int64
		for _, l := range p.Lots {
			if l.Kind == string(Bonus) {
				held += l.Amount
			}
		}
		bonus := share(n, held, p.Amount)
		left = map[string]int64{string(Bonus): bonus, string(Principal): n - bonus}
		kind = func(k string) string { return k }
	}
	for i := range p.Lots {
		l := &p.Lots[i]
		l.Captured = min(left[kind(l.Kind)], l.Amount)
		left[kind(l.Kind)] -= l.Captured
		if l.Captured > 0 {
			captured = append(captured, part{j.known[l.LotID], l.Captured})
		}
		if more := l.Amount - l.Captured; more > 0 {
			rest = append(rest, part{j.known[l.LotID], more})
		}
	}
	return captured, rest
}

// free makes what was promised free again; a bonus whose time is over expires.
func (j *journal) free(p *loyalty.WalletPayment, parts []part) {
	var lots []*lot
	j.each(parts, of(p, "release"), func(e *entry, x part) {
		j.move(e, x.lot, x.lot.held(), x.lot.kind, x.amount)
		lots = append(lots, x.lot)
	})
	j.settle(lots...)
}
