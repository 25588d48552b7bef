package identity

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// AdminUsername is the first administrator's.
const AdminUsername = "admin"

// EnsureBuiltInRoles makes the built-in roles what this release says. Any
// number of processes may start at once.
func (s *Service) EnsureBuiltInRoles(ctx context.Context) error {
	ctx = auth.System(ctx, "start-up")
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for _, r := range auth.BuiltInRoles {
			permissions := make([]string, len(r.Permissions))
			for i, p := range r.Permissions {
				permissions[i] = string(p)
			}
			id, isChanged, err := putRole(ctx, tx, r.Code, r.ZH, sorted(permissions), s.Clock.Now())
			if err != nil {
				return err
			}
			if !isChanged {
				continue
			}
			affected, err := holders(ctx, tx, id)
			if err != nil {
				return err
			}
			happened(ctx, tx, eventRoleUpdated, audit.Entry{Action: "roles.update", ObjectType: "role",
				Changes: map[string]any{"code": r.Code, "permissions": permissions, "built_in": true}}, id, nil)
			s.invalidate(ctx, tx, affected...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("built-in roles: %w", err)
	}
	return nil
}

// errStaffed: there is somebody already.
var errStaffed = errors.New("identity: there are staff already")

// EnsureAdmin creates the user admin, administrator of the whole business, if
// there are no staff at all, and returns the password: the one given, or a
// random one in place of an empty one. It returns an empty password when there
// were staff. The built-in roles must be there.
// Errors: password.* if the password given breaks the policy.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (initial string, err error) {
	ctx = auth.System(ctx, "start-up")
	// Looked at first without a lock: every start but the first ends here.
	staffed, err := s.DB.From(ctx).Platform.Staff.Query().Exist(ctx)
	if err != nil || staffed {
		return "", err
	}
	if password == "" {
		password = newPassword()
	}
	hash, err := hashNew(ctx, password, AdminUsername, "")
	if err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockAdministrators(ctx, tx); err != nil {
			return err
		}
		staffed, err := tx.Platform.Staff.Query().Exist(ctx)
		if err != nil {
			return err
		}
		if staffed {
			return errStaffed
		}
		now := s.Clock.Now()
		made, err := tx.Platform.Staff.Create().SetID(id).SetUsername(AdminUsername).SetName("Administrator").SetPasswordHash(hash).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		happened(ctx, tx, eventStaffCreated, audit.Entry{Action: "staff.create", ObjectType: "staff"}, id, nil)
		return s.give(ctx, tx, holding{actor: auth.Actor{Kind: auth.KindSystem}}, made, GrantInput{Role: administratorCode, Scope: rolegrant.ScopeAll}, "")
	})
	if errors.Is(err, errStaffed) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("create the first administrator: %w", err)
	}
	return password, nil
}
