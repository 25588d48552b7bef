package member

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

// errChanged: the password changed between the look at it and the session.
var errChanged = errors.New("member: the password changed during sign-in")

// attempt counts a try for a number, before the password is looked at. Whoever
// keeps somebody out by guessing keeps them out of this way only: a code by text
// message still works.
// Error: member.too_many_attempts.
func (s *Service) attempt(ctx context.Context, subject string) error {
	if wait := s.Attempt(ctx, subject); wait > 0 {
		return ErrTooMany.New().Arg("retry_after", int(math.Ceil(wait.Seconds())))
	}
	return nil
}

// SignInByPassword signs in by phone and password. A number that nobody has
// costs the same time and gets the same answer as a wrong password.
// Errors: member.invalid_credentials, member.too_many_attempts,
// member.account_closed, member.consent_needed.
func (s *Service) SignInByPassword(ctx context.Context, phone, secret string, in Entry) (SignedIn, error) {
	ctx = auth.System(ctx, "member.sign_in") // nobody is signed in yet
	number, err := mobile(phone)
	if err != nil {
		number = "" // as wrong as any other
	}
	index := s.subjectIndex(customeridentity.ProviderPhone, "", number)
	if err := s.attempt(ctx, "member.password:"+string(index)); err != nil {
		return SignedIn{}, err
	}
	owner, row, err := s.passwordOf(ctx, index)
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign a member in: %w", err)
	}
	good := false
	if row == nil {
		err = password.Dummy(ctx, secret)
	} else {
		good, _, err = password.Verify(ctx, row.PasswordHash, secret)
	}
	switch {
	case err != nil:
		return SignedIn{}, fmt.Errorf("check a password: %w", err)
	case !good:
		return SignedIn{}, ErrCredentials.New()
	}
	var out SignedIn
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := lockCustomers(ctx, tx, owner)
		if err != nil {
			return err
		}
		if rows[owner].ArchivedAt != nil {
			return ErrClosed.New()
		}
		now, err := tx.CRM.CustomerIdentity.Query().Where(customeridentity.ID(row.ID)).Only(ctx)
		if crm.IsNotFound(err) || err == nil && now.PasswordHash != row.PasswordHash {
			return errChanged
		}
		if err != nil {
			return err
		}
		out, err = s.admit(ctx, tx, placed{customer: rows[owner], identity: now}, proof{Provider: customeridentity.ProviderPassword}, in)
		return err
	})
	if errors.Is(err, errChanged) {
		return SignedIn{}, ErrCredentials.Wrap(err)
	}
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign a member in: %w", err)
	}
	return out, nil
}

// passwordOf finds the password that goes with a phone; nil is none.
func (s *Service) passwordOf(ctx context.Context, phone []byte) (uuid.UUID, *crm.CustomerIdentity, error) {
	d := s.DB.From(ctx)
	by, err := d.CRM.CustomerIdentity.Query().
		Where(customeridentity.ProviderEQ(customeridentity.ProviderPhone), customeridentity.App(""), customeridentity.SubjectIndex(phone)).Only(ctx)
	if crm.IsNotFound(err) {
		return uuid.Nil, nil, nil
	}
	if err != nil {
		return uuid.Nil, nil, err
	}
	row, err := d.CRM.CustomerIdentity.Query().
		Where(customeridentity.CustomerID(by.CustomerID), customeridentity.ProviderEQ(customeridentity.ProviderPassword)).Only(ctx)
	if crm.IsNotFound(err) {
		return by.CustomerID, nil, nil
	}
	return by.CustomerID, row, err
}

// SetPassword sets or changes the password of the signed-in member and ends
// their other sessions. It takes the current password, or a sign-in of the last
// five minutes, which is also the way for somebody who forgot theirs.
// Errors: member.phone_needed, member.password_proof_needed,
// member.password_wrong, member.too_many_attempts, those of the policy.
func (s *Service) SetPassword(ctx context.Context, next string, current *string) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	if err := identity.CheckPassword(next, "/password"); err != nil {
		return err
	}
	se, err := s.sessionOf(ctx, actor.SessionID)
	if err != nil {
		return err
	}
	fresh := s.Clock.Now().Sub(se.CreatedAt) <= freshFor
	own, err := identitiesOf(ctx, s.DB.From(ctx).CRM.CustomerIdentity, actor.ID)
	if err != nil {
		return err
	}
	var old *crm.CustomerIdentity
	phone := false
	for _, row := range own {
		switch row.Provider {
		case customeridentity.ProviderPassword:
			old = row
		case customeridentity.ProviderPhone:
			phone = true
		}
	}
	switch {
	case !phone:
		return ErrPhoneNeeded.New()
	case current != nil && old != nil:
		if err := s.attempt(ctx, "member.password-change:"+actor.ID.String()); err != nil {
			return err
		}
		good, _, err := password.Verify(ctx, old.PasswordHash, *current)
		if err != nil {
			return fmt.Errorf("check a password: %w", err)
		}
		if !good {
			return ErrPasswordWrong.At("/current_password")
		}
	case !fresh:
		return ErrPasswordProof.New()
	}
	hash, err := password.Hash(ctx, next)
	if err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return s.writePassword(ctx, tx, actor, hash, s.Clock.Now())
	})
}

func (s *Service) writePassword(ctx context.Context, tx *db.Tx, actor auth.Actor, hash string, now time.Time) error {
	rows, err := lockCustomers(ctx, tx, actor.ID)
	if err != nil {
		return err
	}
	c := rows[actor.ID]
	index := s.subjectIndex(customeridentity.ProviderPassword, "", c.ID.String())
	row, err := findIdentity(ctx, tx, customeridentity.ProviderPassword, "", index)
	if err != nil {
		return err
	}
	if row != nil {
		err = tx.CRM.CustomerIdentity.UpdateOne(row).SetPasswordHash(hash).SetVerifiedAt(now).Exec(ctx)
	} else {
		_, err = s.link(ctx, tx, c, proof{Provider: customeridentity.ProviderPassword, Subject: c.ID.String(), password: hash})
	}
	if err != nil {
		return err
	}
	return s.end(ctx, tx, c.ID, c.HomeStoreID, ending{except: actor.SessionID}, "password_changed")
}
