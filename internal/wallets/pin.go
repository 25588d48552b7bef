package wallets

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/walletaccount"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

// mostWrong is how many wrong PINs in a row lock a wallet or card.
const mostWrong = 5

// account reads the account a customer's PIN is kept with: the oldest they have;
// nil where they have none.
func (s *Service) account(ctx context.Context, customer uuid.UUID) (*loyalty.WalletAccount, error) {
	a, err := s.db.From(ctx).Loyalty.WalletAccount.Query().Where(walletaccount.CustomerID(customer)).Order(walletaccount.ByID()).First(ctx)
	if loyalty.IsNotFound(err) {
		return nil, nil
	}
	return a, err
}

// SetPIN sets the PIN of a member's wallet; one that is locked works again. Where
// current is not nil, the PIN until now must be it.
//
// Errors: ErrCustomerNotFound, ErrPINWeak, ErrPINWrong, ErrPINLocked.
func (s *Service) SetPIN(ctx context.Context, customer uuid.UUID, pin string, current *string) error {
	if easy(pin) {
		return ErrPINWeak.At("/pin")
	}
	if current != nil {
		a, err := s.account(ctx, customer)
		if err != nil {
			return err
		}
		if a != nil && a.PinHash != "" {
			if err := s.tryPIN(ctx, a, *current, "/current_pin"); err != nil {
				return err
			}
		}
	}
	hash, err := password.Hash(ctx, pin)
	if err != nil {
		return err
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
		if err := s.write(ctx, tx, j); err != nil { // what was due is settled
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE wallet_accounts SET pin_hash = $2, pin_failures = 0, version = version + 1, updated_at = $3 WHERE id = $1", j.own(customer).id, hash, j.now)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "wallets.set_pin", ObjectType: "customer", ObjectID: customer.String()})
		return nil
	})
}

// checkPIN refuses a payment that needs the wallet's PIN and has none, or a wrong
// one. Nothing is locked yet: wrong ones are counted apart.
// Errors: ErrPINNeeded, ErrPINNotSet, ErrPINWrong, ErrPINLocked.
func (s *Service) checkPIN(ctx context.Context, p *loyalty.WalletProgramme, customer uuid.UUID, amount int64, pin string) error {
	needed := p.PinAboveAmount != nil && amount > *p.PinAboveAmount
	if !needed && pin == "" {
		return nil
	}
	a, err := s.account(ctx, customer)
	switch {
	case err != nil:
		return err
	case a == nil || a.PinHash == "":
		if needed {
			return ErrPINNotSet.New()
		}
		return nil
	case pin == "":
		return ErrPINNeeded.At("/pin")
	}
	return s.tryPIN(ctx, a, pin, "/pin")
}

// tryPIN compares a PIN with a wallet's. Each try takes its turn on the account's
// row, whatever becomes of the caller's transaction: however many come at once,
// only the first five can be right.
// Errors: ErrPINWrong, ErrPINLocked.
func (s *Service) tryPIN(ctx context.Context, a *loyalty.WalletAccount, pin, pointer string) error {
	if a.PinFailures >= mostWrong {
		return ErrPINLocked.New()
	}
	right, _, err := password.Verify(ctx, a.PinHash, pin)
	if err != nil {
		return err
	}
	var failures int
	err = s.db.Apart(ctx, `UPDATE wallet_accounts SET pin_failures = CASE WHEN pin_failures >= $2 THEN pin_failures WHEN $3 THEN 0 ELSE pin_failures + 1 END
WHERE id = $1 RETURNING pin_failures`, []any{a.ID, mostWrong, right}, &failures)
	switch {
	case err != nil:
		return err
	case failures >= mostWrong:
		return ErrPINLocked.New()
	case !right:
		return ErrPINWrong.At(pointer)
	}
	return nil
}
