package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

// ChangePassword replaces the caller's own password and ends their other
// sessions.
// Errors: auth.session_needed, auth.wrong_password, auth.too_many_attempts, password.*.
func (s *Service) ChangePassword(ctx context.Context, current, next string) error {
	actor, err := self(ctx)
	if err != nil {
		return err
	}
	own := auth.System(ctx, "own-password") // one's own account, whatever the scope
	account, err := s.DB.From(ctx).Platform.Staff.Get(own, actor.ID)
	if err != nil {
		return err
	}
	// A stolen access token must not become a way to guess the password.
	counts, err := s.admitSession(ctx, account)
	if err != nil {
		return err
	}
	good, _, err := password.Verify(ctx, account.PasswordHash, current)
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	if !good {
		return s.refuse(ctx, account, "wrong_password", ErrWrongPassword.At("/current_password"))
	}
	s.throttle.forget(ctx, counts...)
	if next == current {
		return ErrPasswordSame.At("/new_password")
	}
	hash, err := hashNew(ctx, next, account.Username, "/new_password")
	if err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		system := auth.System(ctx, "own-password")
		n, err := tx.Platform.Staff.Update().Where(staff.ID(account.ID), staff.PasswordHash(account.PasswordHash)).
			SetPasswordHash(hash).SetMustChangePassword(false).AddVersion(1).SetUpdatedAt(s.Clock.Now()).Save(system)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrWrongPassword.At("/current_password") // replaced meanwhile
		}
		if err := s.voidResets(ctx, tx, account.ID); err != nil {
			return err
		}
		happened(ctx, tx, eventStaffUpdated, audit.Entry{Action: "staff.change_password", ObjectType: "staff", StoreID: account.StoreID,
			Changes: map[string]any{"fields": []string{"password"}}}, account.ID, map[string]any{"fields": []string{"password"}})
		if err := s.end(ctx, tx, account, nil, actor.SessionID, "password_changed"); err != nil {
			return err
		}
		if s.PasswordChanged != nil {
			tx.AfterCommit(func(ctx context.Context) { s.PasswordChanged(ctx, account.Username) })
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("change a password: %w", err)
	}
	return nil
}

// ResetPassword gives somebody a new initial password and ends their sessions.
// Without one given, one is made and returned.
// Errors: staff.not_found, staff.own_account, staff.beyond_own_rights, password.*.
func (s *Service) ResetPassword(ctx context.Context, id uuid.UUID, given *string) (initial string, err error) {
	target, err := s.DB.From(ctx).Platform.Staff.Get(ctx, id)
	if err != nil {
		return "", staffError(err)
	}
	initial, hash, err := initialPassword(ctx, given, target.Username)
	if err != nil {
		return "", err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		target, err := s.lockForeign(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := s.voidResets(ctx, tx, id); err != nil {
			return err
		}
		err = tx.Platform.Staff.UpdateOne(target).SetPasswordHash(hash).SetMustChangePassword(true).AddVersion(1).SetUpdatedAt(s.Clock.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		happened(ctx, tx, eventStaffUpdated, audit.Entry{Action: "staff.reset_password", ObjectType: "staff", StoreID: target.StoreID,
			Changes: map[string]any{"fields": []string{"password"}}}, id, map[string]any{"fields": []string{"password"}})
		return s.end(ctx, tx, target, nil, uuid.Nil, "password_reset")
	})
	if err != nil {
		return "", err
	}
	if given != nil {
		return "", nil
	}
	return initial, nil
}

// initialPassword hashes the password given, or one made here.
func initialPassword(ctx context.Context, given *string, username string) (initial, hash string, err error) {
	if given != nil {
		initial = *given
	} else {
		initial = newPassword()
	}
	hash, err = hashNew(ctx, initial, username, "/password")
	return initial, hash, err
}

// hashNew hashes a password that the policy accepts.
// Errors: password.*, pointing at pointer.
func hashNew(ctx context.Context, secret, username, pointer string) (string, error) {
	if err := password.Check(secret, username); err != nil {
		return "", policyError(err, pointer)
	}
	hash, err := password.Hash(ctx, secret)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// lockForeign reads and locks a member of staff for a change that only
// somebody else with at least their rights may make.
// Errors: staff.not_found, staff.own_account, staff.beyond_own_rights.
func (s *Service) lockForeign(ctx context.Context, tx *db.Tx, id uuid.UUID) (*platform.Staff, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	target, err := tx.Platform.Staff.Query().Where(staff.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, staffError(err)
	}
	if actor.Kind == auth.KindStaff && actor.ID == id {
		return nil, ErrOwnAccount.New()
	}
	own, err := s.holdingOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	return target, s.outranked(ctx, tx, own, target)
}
