package identity

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/merchant"
	"github.com/shuke-crm/shuke/ent/platform/predicate"
	"github.com/shuke-crm/shuke/ent/platform/region"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// CreateStoreInput describes a new store.
type CreateStoreInput struct {
	Code, Name           string
	RegionID, MerchantID *uuid.UUID
	Phone, Address, City *string
}

// CreateStore opens a store.
// Errors: auth.out_of_scope, stores.code_taken, regions.unknown,
// merchants.unknown.
func (s *Service) CreateStore(ctx context.Context, in CreateStoreInput) (*platform.Store, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.Store
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := WholeBusiness(ctx); err != nil {
			return err
		}
		affected, err := move(ctx, tx, placing{}, placing{in.RegionID, in.MerchantID})
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		made, err = tx.Platform.Store.Create().SetID(id).SetCode(in.Code).SetName(in.Name).SetNillableRegionID(in.RegionID).SetNillableMerchantID(in.MerchantID).
			SetNillablePhone(in.Phone).SetNillableAddress(in.Address).SetNillableCity(in.City).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return storeError(err)
		}
		happened(ctx, tx, eventStoreCreated, audit.Entry{Action: "stores.create", ObjectType: "store", StoreID: &id,
			Changes: map[string]any{"code": in.Code}}, id, nil)
		s.invalidate(ctx, tx, affected...)
		return nil
	})
	return made, err
}

// WholeBusiness passes callers who see everything.
// Error: auth.out_of_scope.
func WholeBusiness(ctx context.Context) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if !actor.Scope.All {
		return ErrOutOfScope.New()
	}
	return nil
}

// placing is the region and the merchant a store belongs to, if any.
type placing struct{ region, merchant *uuid.UUID }

// move locks the regions and merchants a store leaves and joins, and names the
// staff whose rights that changes.
// Errors: regions.unknown, merchants.unknown.
func move(ctx context.Context, tx *db.Tx, from, to placing) ([]uuid.UUID, error) {
	affected, err := lockRegions(ctx, tx, present(from.region, to.region))
	if err != nil {
		return nil, err
	}
	more, err := lockMerchants(ctx, tx, present(from.merchant, to.merchant))
	if err != nil {
		return nil, err
	}
	// Looked for under the lock: they can no longer be deleted.
	if to.region != nil {
		found, err := tx.Platform.Region.Query().Where(region.ID(*to.region)).Exist(ctx)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, ErrRegionUnknown.At("/region_id")
		}
	}
	if to.merchant != nil {
		found, err := tx.Platform.Merchant.Query().Where(merchant.ID(*to.merchant)).Exist(ctx)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, ErrMerchantUnknown.At("/merchant_id")
		}
	}
	return append(affected, more...), nil
}

func present(all ...*uuid.UUID) []uuid.UUID {
	var out []uuid.UUID
	for _, id := range all {
		if id != nil {
			out = append(out, *id)
		}
	}
	return out
}

// UpdateStoreInput holds the fields to change.
type UpdateStoreInput struct {
	Code, Name           *string
	RegionID, MerchantID nullable.Nullable[uuid.UUID]
	Phone, Address, City nullable.Nullable[string]
	Status               *store.Status
}

// UpdateStore changes a store in the caller's scope; its region and merchant
// only those who see the whole business.
// Errors: stores.not_found, auth.out_of_scope, request.version_mismatch,
// stores.code_taken, regions.unknown, merchants.unknown.
func (s *Service) UpdateStore(ctx context.Context, id uuid.UUID, ifMatch *string, in UpdateStoreInput) (*platform.Store, error) {
	var after *platform.Store
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lockStore(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		u := tx.Platform.Store.UpdateOne(before).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		fields := in.apply(u)
		tx.AfterCommit(s.renamed)
		if in.RegionID.IsSpecified() || in.MerchantID.IsSpecified() {
			if err := WholeBusiness(ctx); err != nil {
				return err
			}
			from := placing{before.RegionID, before.MerchantID}
			to := from
			if in.RegionID.IsSpecified() {
				to.region = value(in.RegionID)
				fields = append(fields, "region_id")
			}
			if in.MerchantID.IsSpecified() {
				to.merchant = value(in.MerchantID)
				fields = append(fields, "merchant_id")
			}
			affected, err := move(ctx, tx, from, to)
			if err != nil {
				return err
			}
			u.ClearRegion().ClearMerchant()
			if to.region != nil {
				u.SetRegionID(*to.region)
			}
			if to.merchant != nil {
				u.SetMerchantID(*to.merchant)
			}
			s.invalidate(ctx, tx, affected...)
		}
		if after, err = u.Save(ctx); err != nil {
			return storeError(err)
		}
		happened(ctx, tx, eventStoreUpdated, audit.Entry{Action: "stores.update", ObjectType: "store", StoreID: &id,
			Changes: map[string]any{"fields": fields}}, id, map[string]any{"fields": fields})
		return nil
	})
	return after, err
}

// apply sets the plain fields and names them.
func (in UpdateStoreInput) apply(u *platform.StoreUpdateOne) (fields []string) {
	if in.Code != nil {
		u.SetCode(*in.Code)
		fields = append(fields, "code")
	}
	if in.Name != nil {
		u.SetName(*in.Name)
		fields = append(fields, "name")
	}
	if in.Status != nil {
		u.SetStatus(*in.Status)
		fields = append(fields, "status")
	}
	for _, f := range []struct {
		name  string
		value nullable.Nullable[string]
		set   func(string) *platform.StoreUpdateOne
		clear func() *platform.StoreUpdateOne
	}{
		{"phone", in.Phone, u.SetPhone, u.ClearPhone},
		{"address", in.Address, u.SetAddress, u.ClearAddress},
		{"city", in.City, u.SetCity, u.ClearCity},
	} {
		if !f.value.IsSpecified() {
			continue
		}
		if v := value(f.value); v != nil {
			f.set(*v)
		} else {
			f.clear()
		}
		fields = append(fields, f.name)
	}
	return fields
}

// DeleteStore removes a store that nothing refers to.
// Errors: stores.in_use and those of UpdateStore.
func (s *Service) DeleteStore(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lockStore(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		if err := WholeBusiness(ctx); err != nil {
			return err
		}
		affected, err := move(ctx, tx, placing{before.RegionID, before.MerchantID}, placing{})
		if err != nil {
			return err
		}
		if err := tx.Platform.Store.DeleteOne(before).Exec(ctx); err != nil {
			if db.Violated(err) != "" {
				return ErrStoreInUse.Wrap(err)
			}
			return storeError(err)
		}
		happened(ctx, tx, eventStoreDeleted, audit.Entry{Action: "stores.delete", ObjectType: "store", StoreID: &id,
			Changes: map[string]any{"code": before.Code}}, id, nil)
		s.invalidate(ctx, tx, affected...)
		return nil
	})
}

func lockStore(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*platform.Store, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	st, err := tx.Platform.Store.Query().Where(store.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, storeError(err)
	}
	if !actor.Scope.SeesStore(id) {
		return nil, ErrOutOfScope.New()
	}
	return st, etag.Check(ifMatch, st.Version)
}

// StoreFilter narrows a list of stores.
type StoreFilter struct {
	Status   *store.Status
	RegionID *uuid.UUID
	Merchant *uuid.UUID
	Prefix   *string // of code or name
}

func (f StoreFilter) predicates() []predicate.Store {
	var out []predicate.Store
	if f.Status != nil {
		out = append(out, store.StatusEQ(*f.Status))
	}
	if f.RegionID != nil {
		out = append(out, store.RegionID(*f.RegionID))
	}
	if f.Merchant != nil {
		out = append(out, store.MerchantID(*f.Merchant))
	}
	if f.Prefix != nil {
		out = append(out, store.Or(prefixFold(store.FieldCode, *f.Prefix), prefixFold(store.FieldName, *f.Prefix)))
	}
	return out
}

// CreateRegion makes a region.
// Errors: auth.out_of_scope, regions.code_taken.
func (s *Service) CreateRegion(ctx context.Context, code, name string) (*platform.Region, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.Region
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := WholeBusiness(ctx); err != nil {
			return err
		}
		now := s.Clock.Now()
		made, err = tx.Platform.Region.Create().SetID(id).SetCode(code).SetName(name).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return regionError(err)
		}
		happened(ctx, tx, eventRegionCreated, audit.Entry{Action: "regions.create", ObjectType: "region", Changes: map[string]any{"code": code}}, id, nil)
		return nil
	})
	return made, err
}

// UpdateRegion renames a region.
// Errors: regions.not_found, auth.out_of_scope, request.version_mismatch, regions.code_taken.
func (s *Service) UpdateRegion(ctx context.Context, id uuid.UUID, ifMatch *string, code, name *string) (*platform.Region, error) {
	var after *platform.Region
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lockRegion(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		u := tx.Platform.Region.UpdateOne(before).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		var fields []string
		if code != nil {
			u.SetCode(*code)
			fields = append(fields, "code")
		}
		if name != nil {
			u.SetName(*name)
			fields = append(fields, "name")
		}
		if after, err = u.Save(ctx); err != nil {
			return regionError(err)
		}
		happened(ctx, tx, eventRegionUpdated, audit.Entry{Action: "regions.update", ObjectType: "region", Changes: map[string]any{"fields": fields}}, id,
			map[string]any{"fields": fields})
		return nil
	})
	return after, err
}

// DeleteRegion removes a region without stores and grants. The lock makes
// stores and grants that want to join it wait, and then fail.
// Errors: regions.in_use and those of UpdateRegion.
func (s *Service) DeleteRegion(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := lockRegion(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		stores, err := tx.Platform.Store.Query().Where(store.RegionID(id)).Exist(ctx)
		if err != nil {
			return err
		}
		grants, err := tx.Platform.RoleGrant.Query().Where(rolegrant.RegionID(id)).Exist(ctx)
		if err != nil {
			return err
		}
		if stores || grants {
			return ErrRegionInUse.New()
		}
		if err := tx.Platform.Region.DeleteOne(before).Exec(ctx); err != nil {
			return regionError(err)
		}
		happened(ctx, tx, eventRegionDeleted, audit.Entry{Action: "regions.delete", ObjectType: "region", Changes: map[string]any{"code": before.Code}}, id, nil)
		return nil
	})
}

func lockRegion(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*platform.Region, error) {
	if err := WholeBusiness(ctx); err != nil {
		return nil, err
	}
	re, err := tx.Platform.Region.Query().Where(region.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, regionError(err)
	}
	return re, etag.Check(ifMatch, re.Version)
}

func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case platform.IsNotFound(err):
		return ErrStoreNotFound.New()
	case db.Violated(err) == "stores_code_key", db.Violated(err) == "stores_code_expr_key":
		return ErrStoreCodeTaken.At("/code")
	default:
		return fmt.Errorf("store: %w", err)
	}
}

func regionError(err error) error {
	switch {
	case err == nil:
		return nil
	case platform.IsNotFound(err):
		return ErrRegionNotFound.New()
	case db.Violated(err) == "regions_code_key", db.Violated(err) == "regions_code_expr_key":
		return ErrRegionCodeTaken.At("/code")
	default:
		return fmt.Errorf("region: %w", err)
	}
}
