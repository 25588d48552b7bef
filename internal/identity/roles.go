package identity

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/predicate"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// administratorCode is the built-in role that holds every permission.
const administratorCode = "administrator"

// CreateRole makes a role from permissions that the caller holds.
// Errors: roles.code_taken, roles.permission_unknown, staff.beyond_own_rights.
func (s *Service) CreateRole(ctx context.Context, code, name string, permissions []string) (*platform.Role, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.Role
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayDefine(ctx, tx, permissions); err != nil {
			return err
		}
		now := s.Clock.Now()
		made, err = tx.Platform.Role.Create().SetID(id).SetCode(code).SetName(name).SetPermissions(pgarray.Strings(sorted(permissions))).
			SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return roleError(err)
		}
		happened(ctx, tx, eventRoleCreated, audit.Entry{Action: "roles.create", ObjectType: "role",
			Changes: map[string]any{"code": code, "permissions": made.Permissions}}, id, nil)
		return nil
	})
	return made, err
}

// mayDefine checks a role's permissions: known, and held by the caller.
func (s *Service) mayDefine(ctx context.Context, tx *db.Tx, permissions []string) error {
	if i := unknownPermission(permissions); i >= 0 {
		return ErrPermissionUnknown.At("/permissions/" + strconv.Itoa(i))
	}
	own, err := s.holdingOf(ctx, tx)
	if err != nil {
		return err
	}
	if lacking := own.lacks(permissions); lacking != "" {
		return ErrBeyondOwn.At("/permissions").Arg("right", lacking)
	}
	return nil
}

// UpdateRole changes name or permissions; whoever holds the role has the new
// ones at once.
// Errors: roles.not_found, roles.built_in, request.version_required,
// request.version_mismatch, roles.permission_unknown, auth.out_of_scope,
// staff.beyond_own_rights.
func (s *Service) UpdateRole(ctx context.Context, id uuid.UUID, ifMatch *string, name *string, permissions *[]string) (*platform.Role, error) {
	var after *platform.Role
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := s.lockRole(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		u := tx.Platform.Role.UpdateOne(before).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		changes := map[string]any{}
		if name != nil {
			u.SetName(*name)
			changes["fields"] = []string{"name"}
		}
		if permissions != nil {
			if err := s.mayDefine(ctx, tx, *permissions); err != nil {
				return err
			}
			if err := s.holdsEverywhere(ctx, tx, *permissions); err != nil {
				return err
			}
			next := sorted(*permissions)
			u.SetPermissions(pgarray.Strings(next))
			changes["added"], changes["removed"] = without(next, before.Permissions), without(before.Permissions, next)
		}
		if after, err = u.Save(ctx); err != nil {
			return roleError(err)
		}
		affected, err := holders(ctx, tx, id)
		if err != nil {
			return err
		}
		happened(ctx, tx, eventRoleUpdated, audit.Entry{Action: "roles.update", ObjectType: "role", Changes: changes}, id, nil)
		s.invalidate(ctx, tx, affected...)
		return nil
	})
	return after, err
}

// DeleteRole removes a role that nobody holds.
// Errors: roles.in_use and those of UpdateRole.
func (s *Service) DeleteRole(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := s.lockRole(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		held, err := tx.Platform.RoleGrant.Query().Where(rolegrant.RoleID(id)).Exist(ctx)
		if err != nil {
			return err
		}
		if held {
			return ErrRoleInUse.New()
		}
		if err := tx.Platform.Role.DeleteOne(before).Exec(ctx); err != nil {
			return roleError(err)
		}
		happened(ctx, tx, eventRoleDeleted, audit.Entry{Action: "roles.delete", ObjectType: "role",
			Changes: map[string]any{"code": before.Code, "permissions": before.Permissions}}, id, nil)
		return nil
	})
}

// lockRole locks a role for a change. The lock makes new grants of it wait.
// Roles hold everywhere, so their change needs a scope over everything, and
// every permission the role has now.
func (s *Service) lockRole(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*platform.Role, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	ro, err := tx.Platform.Role.Query().Where(role.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, roleError(err)
	}
	if ro.BuiltIn {
		return nil, ErrRoleBuiltIn.New()
	}
	if err := etag.Require(ifMatch, ro.Version); err != nil {
		return nil, err
	}
	if !actor.Scope.All {
		return nil, ErrOutOfScope.New()
	}
	return ro, s.holdsEverywhere(ctx, tx, ro.Permissions)
}

// holdsEverywhere refuses a change of permissions that the caller does not hold
// over the whole business: the role may be granted anywhere.
func (s *Service) holdsEverywhere(ctx context.Context, tx *db.Tx, permissions []string) error {
	own, err := s.holdingOf(ctx, tx)
	if err != nil {
		return err
	}
	if lacking := own.lacksEverywhere(permissions); lacking != "" {
		return ErrBeyondOwn.New().Arg("right", lacking)
	}
	return nil
}

// builtInNames are the names of a built-in role in both languages.
func builtInNames(code string) (en, zh string, ok bool) {
	i := slices.IndexFunc(auth.BuiltInRoles, func(r auth.BuiltInRole) bool { return r.Code == code })
	if i < 0 {
		return "", "", false
	}
	return auth.BuiltInRoles[i].EN, auth.BuiltInRoles[i].ZH, true
}

func hasRole(code string) predicate.RoleGrant { return rolegrant.HasRoleWith(role.Code(code)) }

// without is a minus b.
func without(a, b []string) []string {
	out := []string{}
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}

func roleError(err error) error {
	switch {
	case err == nil:
		return nil
	case platform.IsNotFound(err):
		return ErrRoleNotFound.New()
	case db.Violated(err) == "roles_code_key":
		return ErrRoleCodeTaken.At("/code")
	default:
		return fmt.Errorf("role: %w", err)
	}
}
