package identity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/predicate"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// CreateStaffInput describes a new member of staff.
type CreateStaffInput struct {
	Username, Name     string
	Email              *string
	StoreID            *uuid.UUID
	Password           *string // nil: one is made
	MustChangePassword bool
	Grants             []GrantInput
}

// CreateStaff makes an account with its first grants. The password is returned
// if it was made here.
// Errors: staff.username_taken, stores.unknown, auth.out_of_scope, password.*
// and those of CreateGrant.
func (s *Service) CreateStaff(ctx context.Context, in CreateStaffInput) (created *platform.Staff, initial string, err error) {
	username := normalUsername(in.Username)
	email, err := staffEmail(in.Email)
	if err != nil {
		return nil, "", err
	}
	initial, hash, err := initialPassword(ctx, in.Password, username)
	if err != nil {
		return nil, "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, "", err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := homeStore(ctx, tx, in.StoreID); err != nil {
			return err
		}
		now := s.Clock.Now()
		made, err := tx.Platform.Staff.Create().SetID(id).SetUsername(username).SetName(in.Name).SetNillableStoreID(in.StoreID).
			SetEmailSealed(s.sealEmail(id, email)).SetPasswordHash(hash).SetMustChangePassword(in.MustChangePassword).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return staffError(err)
		}
		own, err := s.holdingOf(ctx, tx)
		if err != nil {
			return err
		}
		for i, g := range in.Grants {
			if err := s.give(ctx, tx, own, made, g, "/grants/"+strconv.Itoa(i)); err != nil {
				return err
			}
		}
		happened(ctx, tx, eventStaffCreated, audit.Entry{Action: "staff.create", ObjectType: "staff", StoreID: in.StoreID}, id, nil)
		created, err = staffWithGrants(tx.Platform.Staff.Query().Where(staff.ID(id))).Only(ctx)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if in.Password != nil {
		initial = ""
	}
	return created, initial, nil
}

// homeStore checks that the caller may put somebody into a store; head office
// (nil) belongs to those who see the whole business.
func homeStore(ctx context.Context, tx *db.Tx, id *uuid.UUID) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if id == nil {
		if !actor.Scope.All {
			return ErrOutOfScope.At("/store_id")
		}
		return nil
	}
	found, err := tx.Platform.Store.Query().Where(store.ID(*id)).Exist(ctx)
	if err != nil {
		return err
	}
	if !found || !actor.Scope.SeesStore(*id) {
		return ErrStoreUnknown.At("/store_id")
	}
	return nil
}

// UpdateStaffInput holds the fields to change.
type UpdateStaffInput struct {
	Name    *string
	Email   nullable.Nullable[string]    // null: none
	StoreID nullable.Nullable[uuid.UUID] // null: head office
	Status  *staff.Status
}

// UpdateStaff changes an account. Disabling it ends all its sessions.
// Errors: staff.not_found, request.version_mismatch, staff.own_account,
// staff.beyond_own_rights, staff.last_administrator, stores.unknown,
// auth.out_of_scope.
func (s *Service) UpdateStaff(ctx context.Context, id uuid.UUID, ifMatch *string, in UpdateStaffInput) (*platform.Staff, error) {
	var after *platform.Staff
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		disabling := in.Status != nil && *in.Status == staff.StatusDisabled
		if disabling {
			if err := lockAdministrators(ctx, tx); err != nil {
				return err
			}
		}
		before, err := s.lockForUpdate(ctx, tx, id, in)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, before.Version); err != nil {
			return err
		}
		u := tx.Platform.Staff.Update().Where(staff.ID(id)).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		var fields []string
		if in.Name != nil {
			u.SetName(*in.Name)
			fields = append(fields, "name")
			tx.AfterCommit(s.renamed)
		}
		if in.Email.IsSpecified() {
			email, err := staffEmail(value(in.Email))
			if err != nil {
				return err
			}
			if u.SetEmailSealed(s.sealEmail(id, email)); email == "" {
				u.ClearEmailSealed()
			}
			if err := s.voidResets(ctx, tx, id); err != nil { // links went to the former address
				return err
			}
			fields = append(fields, "email")
		}
		if in.StoreID.IsSpecified() {
			home := value(in.StoreID)
			if err := homeStore(ctx, tx, home); err != nil {
				return err
			}
			if home != nil {
				u.SetStoreID(*home)
			} else {
				u.ClearStoreID()
			}
			fields = append(fields, "store_id")
		}
		if in.Status != nil {
			u.SetStatus(*in.Status)
			fields = append(fields, "status")
		}
		if _, err := u.Save(ctx); err != nil {
			return err
		}
		if disabling {
			if err := s.end(ctx, tx, before, nil, uuid.Nil, "disabled"); err != nil {
				return err
			}
			if err := administratorRemains(ctx, tx); err != nil {
				return err
			}
		}
		changes := map[string]any{"fields": fields}
		if in.Status != nil {
			changes["status"] = []any{before.Status, *in.Status}
		}
		happened(ctx, tx, eventStaffUpdated, audit.Entry{Action: "staff.update", ObjectType: "staff", StoreID: before.StoreID, Changes: changes}, id,
			map[string]any{"fields": fields})
		s.invalidate(ctx, tx, id)
		after, err = staffWithGrants(tx.Platform.Staff.Query().Where(staff.ID(id))).Only(ctx)
		return staffError(err)
	})
	return after, err
}

// lockForUpdate locks the account. A name may be changed by anybody who sees
// it, the own one included; where somebody belongs and whether they may sign
// in only by others who hold as much. Who reads somebody's mail can choose a
// new password for them: an address is changed by oneself or by those others.
func (s *Service) lockForUpdate(ctx context.Context, tx *db.Tx, id uuid.UUID, in UpdateStaffInput) (*platform.Staff, error) {
	if in.Status != nil || in.StoreID.IsSpecified() || in.Email.IsSpecified() && auth.Must(ctx).ID != id {
		return s.lockForeign(ctx, tx, id)
	}
	target, err := tx.Platform.Staff.Query().Where(staff.ID(id)).ForUpdate().Only(ctx)
	return target, staffError(err)
}

// DeleteStaff removes an account that was never used.
// Errors: staff.not_found, request.version_mismatch, staff.in_use and those of UpdateStaff.
func (s *Service) DeleteStaff(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockAdministrators(ctx, tx); err != nil {
			return err
		}
		target, err := s.lockForeign(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, target.Version); err != nil {
			return err
		}
		if _, err := tx.Platform.RoleGrant.Delete().Where(rolegrant.StaffID(id)).Exec(ctx); err != nil {
			return err
		}
		if err := administratorRemains(ctx, tx); err != nil {
			return err
		}
		if err := tx.Platform.Staff.DeleteOne(target).Exec(ctx); err != nil {
			if db.Violated(err) != "" { // a session, customer or order refers to it
				return ErrStaffInUse.Wrap(err)
			}
			return err
		}
		happened(ctx, tx, eventStaffDeleted, audit.Entry{Action: "staff.delete", ObjectType: "staff", StoreID: target.StoreID}, id, nil)
		s.invalidate(ctx, tx, id)
		return nil
	})
}

// EndSessions signs somebody out everywhere.
// Errors: staff.not_found, staff.own_account, staff.beyond_own_rights.
func (s *Service) EndSessions(ctx context.Context, id uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		target, err := s.lockForeign(ctx, tx, id)
		if err != nil {
			return err
		}
		return s.end(ctx, tx, target, nil, uuid.Nil, "ended_by_administrator")
	})
}

// StaffFilter narrows a list of staff.
type StaffFilter struct {
	Status  *staff.Status
	StoreID *uuid.UUID
	Role    *string
	Prefix  *string // of user name or name
}

func (f StaffFilter) predicates(now time.Time) []predicate.Staff {
	var out []predicate.Staff
	if f.Status != nil {
		out = append(out, staff.StatusEQ(*f.Status))
	}
	if f.StoreID != nil {
		out = append(out, staff.StoreID(*f.StoreID))
	}
	if f.Role != nil {
		out = append(out, staff.HasGrantsWith(inForce(now), hasRole(*f.Role)))
	}
	if f.Prefix != nil {
		out = append(out, staff.Or(staff.UsernameHasPrefix(normalUsername(*f.Prefix)), prefixFold(staff.FieldName, *f.Prefix)))
	}
	return out
}

// staffWithGrants loads grants and their roles along.
func staffWithGrants(q *platform.StaffQuery) *platform.StaffQuery {
	return q.WithGrants(func(g *platform.RoleGrantQuery) { g.WithRole().Order(rolegrant.ByID()) })
}

// inForce are the grants that have not run out.
func inForce(now time.Time) predicate.RoleGrant {
	return rolegrant.Or(rolegrant.ExpiresAtIsNil(), rolegrant.ExpiresAtGT(now))
}

func announceGrants(tx *db.Tx, target *platform.Staff) {
	events.Emit(tx, events.Event{Type: eventGrantsChanged, SubjectType: "staff", SubjectID: target.ID, StoreID: target.StoreID})
}

// staffError gives a database failure its meaning.
func staffError(err error) error {
	switch {
	case err == nil:
		return nil
	case platform.IsNotFound(err):
		return ErrStaffNotFound.New()
	case db.Violated(err) == "staff_username_key":
		return ErrUsernameTaken.At("/username")
	default:
		return fmt.Errorf("staff: %w", err)
	}
}

// value is what a nullable holds, or nil.
func value[T any](n nullable.Nullable[T]) *T {
	v, err := n.Get()
	if err != nil {
		return nil
	}
	return &v
}

// sqlDesc orders backwards.
var sqlDesc = entsql.OrderDesc()
