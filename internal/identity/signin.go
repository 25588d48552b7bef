package identity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// maxSessions bounds the live sessions of one account; the oldest end first.
const maxSessions = 100

// errChanged: the account changed between the look at the password and the
// session; the caller is told the same as for a wrong password.
var errChanged = errors.New("identity: the account changed during sign-in")

// Login checks a password and opens a session. An unknown user name costs the
// same time and gets the same answer as a wrong password.
// Errors: auth.invalid_credentials, auth.too_many_attempts, auth.account_disabled.
func (s *Service) Login(ctx context.Context, username, secret string) (TokenPair, error) {
	ctx = auth.System(ctx, "sign-in") // nobody is signed in yet
	username = normalUsername(username)
	account, err := s.DB.From(ctx).Platform.Staff.Query().Where(staff.Username(username)).Only(ctx)
	if err != nil && !platform.IsNotFound(err) {
		return TokenPair{}, fmt.Errorf("sign in: %w", err)
	}
	counts, err := s.admitAttempt(ctx, username, account)
	if err != nil {
		return TokenPair{}, err
	}
	good, weak, err := checkPassword(ctx, account, secret)
	switch {
	case err != nil:
		return TokenPair{}, fmt.Errorf("check a password: %w", err)
	case !good:
		return TokenPair{}, s.refuse(ctx, account, "wrong_password", ErrInvalidCredentials.New())
	case account.Status != staff.StatusActive:
		return TokenPair{}, s.refuse(ctx, account, "disabled", ErrDisabled.New())
	}
	s.throttle.forget(ctx, counts...)
	better := ""
	if weak { // hashed with lesser parameters than today's
		if better, err = password.Hash(ctx, secret); err != nil {
			return TokenPair{}, fmt.Errorf("hash a password: %w", err)
		}
	}
	pair, err := s.openSession(ctx, account, better)
	if errors.Is(err, errChanged) {
		return TokenPair{}, s.refuse(ctx, account, "changed", ErrInvalidCredentials.Wrap(err))
	}
	return pair, err
}

// admitAttempt counts an attempt and puts it off when there were too many. It
// returns the counts that a success takes back.
func (s *Service) admitAttempt(ctx context.Context, username string, account *platform.Staff) ([]string, error) {
	ip := clientOf(ctx).IP
	counts := []string{s.throttle.name("address", username, ip), s.throttle.name("account", username)}
	if wait := s.throttle.attempt(ctx, counts[0], perAddress); wait > 0 {
		return nil, tooMany(wait)
	}
	wait := s.throttle.attempt(ctx, counts[1], perAccount)
	if wait == 0 {
		return counts, nil
	}
	if account != nil && ip != "" {
		known, err := s.knowsAddress(ctx, account.ID, ip)
		if err != nil {
			return nil, err
		}
		if known {
			return counts, nil // a stranger's guesses do not keep the owner out
		}
	}
	return nil, tooMany(wait)
}

func tooMany(wait time.Duration) error {
	return ErrTooManyAttempts.New().Arg("retry_after", int(math.Ceil(wait.Seconds())))
}

func checkPassword(ctx context.Context, account *platform.Staff, secret string) (good, weak bool, err error) {
	if account == nil {
		return false, false, password.Dummy(ctx, secret)
	}
	return password.Verify(ctx, account.PasswordHash, secret)
}

// refuse notes a failed sign-in and returns the answer. The user name typed is
// not noted: people type passwords there.
func (s *Service) refuse(ctx context.Context, account *platform.Staff, reason string, answer error) error {
	client := clientOf(ctx)
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		e := audit.Entry{Action: "auth.sign_in_failed", ObjectType: "staff", ObjectID: "unknown",
			Changes: map[string]any{"reason": reason, "ip": client.IP, "user_agent": client.UserAgent}}
		if account != nil {
			e.ObjectID, e.StoreID = account.ID.String(), account.StoreID
		}
		audit.Record(ctx, tx, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("note a failed sign-in: %w", err)
	}
	return answer
}

// openSession writes the session if the account is still as it was when its
// password was checked.
func (s *Service) openSession(ctx context.Context, account *platform.Staff, better string) (TokenPair, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return TokenPair{}, err
	}
	refresh := token.Staff.NewRefresh(s.Keys, id)
	client, now := clientOf(ctx), s.Clock.Now()
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		current, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if current.PasswordHash != account.PasswordHash || current.Status != staff.StatusActive {
			return errChanged
		}
		if better != "" {
			if err := tx.Platform.Staff.UpdateOne(current).SetPasswordHash(better).Exec(ctx); err != nil {
				return err
			}
		}
		err = tx.Platform.Session.Create().SetID(id).SetStaffID(account.ID).SetRefreshHash(token.Hash(refresh)).
			SetUserAgent(client.UserAgent).SetIP(client.IP).SetCreatedAt(now).SetLastUsedAt(now).SetExpiresAt(now.Add(token.SessionLife)).Exec(ctx)
		if err != nil {
			return err
		}
		surplus, err := surplusSessions(ctx, tx, account.ID, maxSessions, now)
		if err != nil {
			return err
		}
		ctx = auth.With(ctx, auth.Actor{Kind: auth.KindStaff, ID: account.ID, Name: account.Username, SessionID: id})
		sessionsEnded(ctx, tx, account.ID, account.StoreID, surplus, "too_many")
		happened(ctx, tx, eventSessionCreated, audit.Entry{Action: "auth.sign_in", ObjectType: "session", StoreID: account.StoreID,
			Changes: map[string]any{"ip": client.IP, "user_agent": client.UserAgent}}, id, map[string]any{"staff_id": account.ID})
		s.invalidate(ctx, tx, account.ID)
		return nil
	})
	if err != nil {
		return TokenPair{}, fmt.Errorf("open a session: %w", err)
	}
	return s.pair(account.ID, id, refresh, account.MustChangePassword)
}
