package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/merchant"
	"github.com/shuke-crm/shuke/ent/platform/region"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// GrantInput is a role to give, with its scope.
type GrantInput struct {
	Role      string
	Scope     rolegrant.Scope
	StoreID   *uuid.UUID
	RegionID  *uuid.UUID
	Merchant  *uuid.UUID
	ExpiresAt *time.Time
}

// CreateGrant gives a role to a member of staff and returns them as they are then.
// Errors: staff.not_found, staff.own_account, staff.beyond_own_rights,
// staff.grant_scope, staff.grant_expired, staff.grant_exists, roles.unknown,
// stores.unknown, regions.unknown, merchants.unknown.
func (s *Service) CreateGrant(ctx context.Context, staffID uuid.UUID, in GrantInput) (*platform.Staff, error) {
	var after *platform.Staff
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		target, own, err := s.lockForGrants(ctx, tx, staffID)
		if err != nil {
			return err
		}
		if err := s.give(ctx, tx, own, target, in, ""); err != nil {
			return err
		}
		after, err = s.grantsChanged(ctx, tx, target)
		return err
	})
	return after, err
}

// DeleteGrant takes a role away.
// Errors: staff.not_found, staff.own_account, staff.grant_not_found,
// staff.beyond_own_rights, staff.last_administrator.
func (s *Service) DeleteGrant(ctx context.Context, staffID, grantID uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lockAdministrators(ctx, tx); err != nil {
			return err
		}
		target, own, err := s.lockForGrants(ctx, tx, staffID)
		if err != nil {
			return err
		}
		g, err := tx.Platform.RoleGrant.Query().Where(rolegrant.ID(grantID), rolegrant.StaffID(staffID)).WithRole().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrGrantNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := own.mayHandle(g.Edges.Role, reachOf(g, target), ""); err != nil {
			return err
		}
		if err := tx.Platform.RoleGrant.DeleteOne(g).Exec(ctx); err != nil {
			return err
		}
		if err := administratorRemains(ctx, tx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "staff.revoke_role", ObjectType: "staff", ObjectID: staffID.String(), StoreID: target.StoreID,
			Changes: grantChanges(g.Edges.Role.Code, reachOf(g, target), g.ExpiresAt)})
		_, err = s.grantsChanged(ctx, tx, target)
		return err
	})
}

// lockForGrants locks somebody whose grants are about to change.
func (s *Service) lockForGrants(ctx context.Context, tx *db.Tx, staffID uuid.UUID) (*platform.Staff, holding, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, holding{}, err
	}
	target, err := tx.Platform.Staff.Query().Where(staff.ID(staffID)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, holding{}, staffError(err)
	}
	if actor.Kind == auth.KindStaff && actor.ID == staffID {
		return nil, holding{}, ErrOwnAccount.New()
	}
	own, err := s.holdingOf(ctx, tx)
	return target, own, err
}

// grantsChanged raises the version of somebody whose grants changed, announces
// it and makes it felt at once.
func (s *Service) grantsChanged(ctx context.Context, tx *db.Tx, target *platform.Staff) (*platform.Staff, error) {
	n, err := tx.Platform.Staff.Update().Where(staff.ID(target.ID)).AddVersion(1).SetUpdatedAt(s.Clock.Now()).Save(ctx)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, ErrStaffNotFound.New()
	}
	announceGrants(tx, target)
	affected, err := deputies(ctx, tx, target.ID, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	s.invalidate(ctx, tx, append(affected, target.ID)...)
	return staffWithGrants(tx.Platform.Staff.Query().Where(staff.ID(target.ID))).Only(ctx)
}

// give checks one grant and writes it; pointer is where it stands in the request.
func (s *Service) give(ctx context.Context, tx *db.Tx, own holding, target *platform.Staff, in GrantInput, pointer string) error {
	r := reach{scope: in.Scope, store: in.StoreID, region: in.RegionID, merchant: in.Merchant, home: target.StoreID}
	now := s.Clock.Now()
	switch {
	case !r.wellFormed():
		return ErrGrantShape.At(pointer + "/scope")
	case in.ExpiresAt != nil && !now.Before(*in.ExpiresAt):
		return ErrGrantExpired.At(pointer + "/expires_at")
	}
	// The lock makes a change of the role wait, so that it sees this grant.
	ro, err := tx.Platform.Role.Query().Where(role.Code(in.Role)).ForShare().Only(ctx)
	if platform.IsNotFound(err) {
		return ErrRoleUnknown.At(pointer + "/role")
	}
	if err != nil {
		return err
	}
	if err := referred(ctx, tx, in, pointer); err != nil {
		return err
	}
	if err := own.mayHandle(ro, r, pointer+"/role"); err != nil {
		return err
	}
	if err := s.refuseTwin(ctx, tx, target.ID, ro.ID, in); err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	err = tx.Platform.RoleGrant.Create().SetID(id).SetStaffID(target.ID).SetRoleID(ro.ID).SetScope(in.Scope).
		SetNillableStoreID(in.StoreID).SetNillableRegionID(in.RegionID).SetNillableMerchantID(in.Merchant).SetNillableExpiresAt(in.ExpiresAt).SetCreatedAt(now).Exec(ctx)
	if err != nil {
		return fmt.Errorf("grant a role: %w", err)
	}
	audit.Record(ctx, tx, audit.Entry{Action: "staff.grant_role", ObjectType: "staff", ObjectID: target.ID.String(), StoreID: target.StoreID,
		Changes: grantChanges(ro.Code, r, in.ExpiresAt)})
	return nil
}

// referred checks that what a grant names exists, and makes a move of stores
// between regions or merchants wait so that it sees this grant.
func referred(ctx context.Context, tx *db.Tx, in GrantInput, pointer string) error {
	if in.StoreID != nil {
		found, err := tx.Platform.Store.Query().Where(store.ID(*in.StoreID)).Exist(ctx)
		if err != nil {
			return err
		}
		if !found {
			return ErrStoreUnknown.At(pointer + "/store_id")
		}
	}
	if in.RegionID != nil {
		_, err := tx.Platform.Region.Query().Where(region.ID(*in.RegionID)).ForShare().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrRegionUnknown.At(pointer + "/region_id")
		}
		if err != nil {
			return err
		}
	}
	if in.Merchant != nil {
		_, err := tx.Platform.Merchant.Query().Where(merchant.ID(*in.Merchant)).ForShare().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrMerchantUnknown.At(pointer + "/merchant_id")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseTwin refuses a grant that somebody has already. The lock on them keeps
// a second caller out.
func (s *Service) refuseTwin(ctx context.Context, tx *db.Tx, staffID, roleID uuid.UUID, in GrantInput) error {
	q := tx.Platform.RoleGrant.Query().Where(rolegrant.StaffID(staffID), rolegrant.RoleID(roleID), rolegrant.ScopeEQ(in.Scope), inForce(s.Clock.Now()))
	if in.StoreID != nil {
		q.Where(rolegrant.StoreID(*in.StoreID))
	}
	if in.RegionID != nil {
		q.Where(rolegrant.RegionID(*in.RegionID))
	}
	if in.Merchant != nil {
		q.Where(rolegrant.MerchantID(*in.Merchant))
	}
	twin, err := q.Exist(ctx)
	if err != nil {
		return err
	}
	if twin {
		return ErrGrantDuplicate.New()
	}
	return nil
}

// holdingOf is what the caller has and so may hand on.
func (s *Service) holdingOf(ctx context.Context, tx *db.Tx) (holding, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return holding{}, err
	}
	h := holding{actor: actor, groups: map[uuid.UUID]auth.PermissionSet{}}
	if actor.Kind != auth.KindStaff {
		return h, nil
	}
	grants, err := tx.Platform.RoleGrant.Query().
		Where(rolegrant.StaffID(actor.ID), rolegrant.ScopeIn(rolegrant.ScopeRegion, rolegrant.ScopeMerchant), inForce(s.Clock.Now())).WithRole().All(ctx)
	if err != nil {
		return holding{}, err
	}
	for _, g := range grants {
		group := g.RegionID
		if g.Scope == rolegrant.ScopeMerchant {
			group = g.MerchantID
		}
		held := h.groups[*group]
		if held == nil {
			held = auth.PermissionSet{}
			h.groups[*group] = held
		}
		for _, p := range g.Edges.Role.Permissions {
			held[auth.Permission(p)] = struct{}{}
		}
	}
	return h, nil
}

// mayHandle refuses a grant that reaches beyond the holding.
// Error: staff.beyond_own_rights.
func (h holding) mayHandle(ro *platform.Role, r reach, pointer string) error {
	right := h.lacks(ro.Permissions)
	for _, p := range ro.Permissions {
		if right == "" && !h.covers(auth.Permission(p), r) {
			right = "scope:" + string(r.scope)
		}
	}
	switch {
	case right == "":
		return nil
	case pointer == "":
		return ErrBeyondOwn.New().Arg("right", right)
	default:
		return ErrBeyondOwn.At(pointer).Arg("right", right)
	}
}

// outranked refuses when the target holds, at present, anything that lies
// beyond the holding: whoever could reset a superior's password would have
// their rights.
func (s *Service) outranked(ctx context.Context, tx *db.Tx, own holding, target *platform.Staff) error {
	grants, err := tx.Platform.RoleGrant.Query().Where(rolegrant.StaffID(target.ID), inForce(s.Clock.Now())).WithRole().All(ctx)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := own.mayHandle(g.Edges.Role, reachOf(g, target), ""); err != nil {
			return err
		}
	}
	return nil
}

func reachOf(g *platform.RoleGrant, target *platform.Staff) reach {
	return reach{scope: g.Scope, store: g.StoreID, region: g.RegionID, merchant: g.MerchantID, home: target.StoreID}
}

func grantChanges(code string, r reach, expires *time.Time) map[string]any {
	out := map[string]any{"role": code, "scope": r.scope}
	for name, id := range map[string]*uuid.UUID{"store_id": r.store, "region_id": r.region, "merchant_id": r.merchant} {
		if id != nil {
			out[name] = id
		}
	}
	if expires != nil {
		out["expires_at"] = expires
	}
	return out
}
