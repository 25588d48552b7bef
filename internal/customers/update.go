package customers

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

func itoa(n int) string { return strconv.Itoa(n) }

// lock reads rows of the caller's scope for a change, in the order of their ids.
func (s *Service) lock(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) ([]*crm.Customer, error) {
	return tx.CRM.Customer.Query().Where(customer.IDIn(ids...)).Order(customer.ByID()).ForUpdate().All(ctx)
}

// change opens, alters and writes one customer, whole. f tells which action and
// event it is, with the names of the changed fields; none means nothing to do.
func (s *Service) change(ctx context.Context, id uuid.UUID, ifMatch *string, f func(context.Context, *db.Tx, *Customer) (change, error)) (*Customer, error) {
	var out Customer
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := s.lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return ErrNotFound.New()
		}
		if err := etag.Check(ifMatch, rows[0].Version); err != nil {
			return err
		}
		opened := make([]Customer, 1)
		if opened[0], err = open(s.keys, rows[0]); err != nil {
			return err
		}
		if err := s.ready(ctx, tx, &opened[0]); err != nil {
			return err
		}
		out = opened[0]
		old := out
		what, err := f(ctx, tx, &out)
		if err != nil || len(what.fields) == 0 {
			return err
		}
		out.Version++
		out.UpdatedAt = s.clock.Now()
		out.stamp(originOf(ctx, what.in, &out, out.UpdatedAt, false), out.sourced(&old, what.fields)...)
		if slices.ContainsFunc(what.fields, func(f string) bool { return slices.Contains(uniqueFields, f) }) {
			taken, err := s.taken(ctx, tx, []*Customer{&out})
			if err != nil {
				return err
			}
			if err := taken.clash(&out); err != nil {
				return err
			}
			if err := s.letGo(ctx, tx, taken, &out); err != nil {
				return err
			}
		}
		if _, err := s.write(withStageRule(ctx, out.stageRule), tx, updateRows, []*Customer{&out}, map[uuid.UUID][]byte{id: rows[0].DataKey}); err != nil {
			return err
		}
		s.note(ctx, tx, what.action, what.event, &out, what.fields)
		noteStage(ctx, tx, &out, old.LifecycleStage)
		return nil
	})
	if err != nil {
		return nil, constraint(err)
	}
	return s.shown(ctx, &out)
}

// change is what was done to a customer.
type change struct {
	action, event string
	fields        []string
	in            *Input // what asked for it, if anything did
}

var uniqueFields = []string{"external_id", "phone", "email", "card_number"}

// Update changes a customer of the caller's scope.
// Errors: ErrNotFound, ErrArchived, ErrDuplicate, ErrUnknownTag, ErrStore,
// ErrStaff, those of single fields, request.version_mismatch.
func (s *Service) Update(ctx context.Context, id uuid.UUID, in Input, ifMatch *string) (*Customer, error) {
	return s.change(ctx, id, ifMatch, func(ctx context.Context, tx *db.Tx, c *Customer) (change, error) {
		r, err := s.reach(ctx, tx, []*Input{&in})
		if err != nil {
			return change{}, err
		}
		names, err := s.resolveTags(ctx, tx, []*Input{&in})
		if err != nil {
			return change{}, err
		}
		fields, err := s.alter(c, &in, r, names)
		return change{"customers.update", EventUpdated, fields, &in}, err
	})
}

// alter applies an input to an existing customer by all rules.
func (s *Service) alter(c *Customer, in *Input, r *reach, names *tagNames) ([]string, error) {
	if c.ArchivedAt != nil {
		return nil, ErrArchived.New()
	}
	old := *c
	_, bad := c.apply(in, s.clock.Today().Time())
	r.place(c, in, &bad)
	r.fields.assign(c, in, &old, &bad)
	names.assign(c, in, &bad)
	if len(bad) == 0 && !c.identified() && old.identified() {
		bad.add("", ErrNoIdentity)
	}
	r.rules.judge(c, s.clock.Today().Time(), &bad)
	return c.differences(&old), bad.err()
}

// Archive takes a customer out of lists, searches and tills; again, it changes
// nothing. Errors: ErrNotFound, request.version_mismatch.
func (s *Service) Archive(ctx context.Context, id uuid.UUID, ifMatch *string) (*Customer, error) {
	return s.change(ctx, id, ifMatch, func(_ context.Context, _ *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, nil
		}
		now := s.clock.Now()
		c.ArchivedAt = &now
		return change{action: "customers.archive", event: EventArchived, fields: []string{"archived_at"}}, nil
	})
}

// Restore undoes Archive. Errors: ErrNotFound, request.version_mismatch.
func (s *Service) Restore(ctx context.Context, id uuid.UUID, ifMatch *string) (*Customer, error) {
	return s.change(ctx, id, ifMatch, func(_ context.Context, _ *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt == nil {
			return change{}, nil
		}
		c.ArchivedAt = nil
		return change{action: "customers.restore", event: EventRestored, fields: []string{"archived_at"}}, nil
	})
}

// AddTags gives a customer tags by name, beside those it has, until an instant;
// nil is as long as each lasts by itself. One that the customer has already
// lasts anew.
// Errors: ErrNotFound, ErrArchived, ErrUnknownTag, ErrTagName, ErrTagCount,
// ErrTagAutomatic, ErrTagExpiry.
func (s *Service) AddTags(ctx context.Context, id uuid.UUID, names []string, until *time.Time) (*Customer, error) {
	if until != nil && !until.After(s.clock.Now()) {
		return nil, ErrTagExpiry.At("/expires_at")
	}
	return s.change(ctx, id, nil, func(ctx context.Context, tx *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, ErrArchived.New()
		}
		known, err := s.resolveTags(ctx, tx, []*Input{{Tags: &names}})
		if err != nil {
			return change{}, err
		}
		rules, err := s.activeRules(ctx)
		if err != nil {
			return change{}, err
		}
		old := *c
		var bad faults
		known.extend(c, names, until, &bad)
		rules.judge(c, s.clock.Today().Time(), &bad)
		return change{action: "customers.tag", event: EventUpdated, fields: c.differences(&old)}, bad.err()
	})
}

// RemoveTag takes a tag off a customer; one that it lacks changes nothing.
// Errors: ErrNotFound, ErrArchived, ErrTagAutomatic.
func (s *Service) RemoveTag(ctx context.Context, id, tagID uuid.UUID) error {
	_, err := s.change(ctx, id, nil, func(ctx context.Context, _ *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, ErrArchived.New()
		}
		rules, err := s.activeRules(ctx)
		if err != nil {
			return change{}, err
		}
		old := *c
		if slices.Contains(c.TagIDs, tagID) && rules.automatic(tagID) {
			return change{}, ErrTagAutomatic.New()
		}
		c.withoutTags(func(t uuid.UUID) bool { return t == tagID })
		left := []Customer{*c}
		if err := s.nameTags(ctx, left); err != nil {
			return change{}, err
		}
		c.Tags = left[0].Tags
		var bad faults
		rules.judge(c, s.clock.Today().Time(), &bad)
		return change{action: "customers.untag", event: EventUpdated, fields: c.differences(&old)}, bad.err()
	})
	return err
}

// viewed are the columns an answer is made of; index columns stay behind.
var viewed = []string{
	customer.FieldID, customer.FieldExternalID, customer.FieldDataKey, customer.FieldNameSealed, customer.FieldPhoneSealed, customer.FieldPhoneKind,
	customer.FieldEmailSealed, customer.FieldCardNumberSealed, customer.FieldAddressSealed, customer.FieldGender, customer.FieldBirthDate,
	customer.FieldLanguage, customer.FieldSource, customer.FieldHomeStoreID, customer.FieldAssignedStaffID, customer.FieldPreferences,
	customer.FieldMarketingPreferences, customer.FieldCustomFields, customer.FieldCustomFieldsSealed, customer.FieldTagIds, customer.FieldTagExpiries, customer.FieldLifecycleStage, customer.FieldLifecyclePinned, customer.FieldTierCode, customer.FieldArchivedAt,
	customer.FieldVersion, customer.FieldCreatedAt, customer.FieldUpdatedAt,
}

// Get reads one customer of the caller's scope, in clear: mask before showing.
// Error: ErrNotFound.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (*Customer, error) {
	row, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(viewed...).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	out := make([]Customer, 1)
	if out[0], err = open(s.keys, row); err != nil {
		return nil, apperr.ErrInternal.Wrap(err)
	}
	if err := s.nameTags(ctx, out); err != nil {
		return nil, err
	}
	return s.shown(ctx, &out[0])
}
