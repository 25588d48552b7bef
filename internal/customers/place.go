package customers

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// reach is where a caller may put customers: stores and assistants, of those
// that a request names.
type reach struct {
	actor    auth.Actor
	trusted  bool // nothing was asked of the database: foreign keys will tell
	stores   map[uuid.UUID]bool
	staff    map[uuid.UUID]bool
	ownStore *uuid.UUID // home store of a caller whose scope is their own customers
	fields   *fieldUse
	rules    *ruleSet
}

// reach reads what is needed to place customers by these inputs, set-based. A
// single customer placed by somebody who sees everything needs no query.
func (s *Service) reach(ctx context.Context, tx *db.Tx, inputs []*Input) (*reach, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	r := &reach{actor: actor, stores: map[uuid.UUID]bool{}, staff: map[uuid.UUID]bool{}}
	if r.fields, err = s.useFields(ctx, tx, actor, inputs); err != nil {
		return nil, err
	}
	if r.rules, err = s.activeRules(ctx); err != nil {
		return nil, err
	}
	if actor.Scope.All && len(inputs) == 1 {
		r.trusted = true
		return r, nil
	}
	var stores, people []uuid.UUID
	for _, in := range inputs {
		if id, err := in.HomeStoreID.Get(); err == nil {
			stores = append(stores, id)
		}
		if id, err := in.AssignedStaffID.Get(); err == nil {
			people = append(people, id)
		}
	}
	if !actor.Scope.All && actor.Scope.Owns(actor.ID) {
		people = append(people, actor.ID)
	}
	if len(people) > 0 {
		// The policy of staff leaves those whom the caller may see.
		rows, err := tx.Platform.Staff.Query().Where(staff.IDIn(unique(people)...)).Select(staff.FieldID, staff.FieldStoreID).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			r.staff[p.ID] = true
			if p.ID == actor.ID && actor.Scope.Owns(p.ID) {
				r.ownStore = p.StoreID
			}
		}
	}
	if len(stores) > 0 {
		ids, err := tx.Platform.Store.Query().Where(store.IDIn(unique(stores)...)).IDs(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			r.stores[id] = actor.Scope.SeesStore(id) || (r.ownStore != nil && *r.ownStore == id)
		}
	}
	return r, nil
}

func unique(ids []uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(ids))
	out := ids[:0:0]
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// defaults puts a new customer where its maker works: an assistant's own, the
// one store of a caller who has one.
func (r *reach) defaults(c *Customer, in *Input, bad *faults) {
	sc := r.actor.Scope
	if sc.All {
		return
	}
	if !in.AssignedStaffID.IsSpecified() && sc.Owns(r.actor.ID) {
		c.AssignedStaffID = &r.actor.ID
	}
	if in.HomeStoreID.IsSpecified() {
		return
	}
	switch {
	case r.ownStore != nil:
		c.HomeStoreID = r.ownStore
	case len(sc.StoreIDs) == 1:
		c.HomeStoreID = &sc.StoreIDs[0]
	case len(sc.StoreIDs) > 1 && !sc.Owns(r.actor.ID):
		bad.add("/home_store_id", ErrStoreNeeded)
	}
}

// place sets store and assistant as asked, and refuses a place out of reach: a
// customer must not leave the scope of the one who moves it.
func (r *reach) place(c *Customer, in *Input, bad *faults) {
	if in.HomeStoreID.IsSpecified() {
		c.HomeStoreID = nil
		if id, err := in.HomeStoreID.Get(); err == nil {
			if !r.trusted && !r.stores[id] {
				bad.add("/home_store_id", ErrStore)
			}
			c.HomeStoreID = &id
		} else if !r.actor.Scope.All {
			// Without a store the customer would vanish from those who look after it.
			bad.add("/home_store_id", ErrLeaves)
		}
	}
	if in.AssignedStaffID.IsSpecified() {
		c.AssignedStaffID = nil
		if id, err := in.AssignedStaffID.Get(); err == nil {
			if !r.trusted && !r.staff[id] {
				bad.add("/assigned_staff_id", ErrStaff)
			}
			c.AssignedStaffID = &id
		}
	}
	if len(*bad) == 0 && !r.actor.Scope.Sees(c.storeID(), c.staffID()) {
		pointer := "/home_store_id"
		if len(r.actor.Scope.StoreIDs) == 0 {
			pointer = "/assigned_staff_id"
		}
		bad.add(pointer, ErrLeaves)
	}
}
