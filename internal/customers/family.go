package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/familymember"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

const (
	tableFamily  = "family_members"
	maxFamily    = 20
	maxNotes     = 1000
	maxSizeValue = 16
)

var (
	sizeKinds   = []string{"top", "bottom", "dress", "outerwear", "underwear", "shoe", "hat", "glove", "ring", "belt"}
	sizeSystems = []string{"cn", "eu", "uk", "us", "fr", "it", "jp", "kr", "letter", "cm"}
)

// FamilyMember is somebody of a customer's family, in clear.
type FamilyMember struct {
	ID       uuid.UUID
	Relation string // spouse, child, parent, sibling, grandparent, grandchild, other
	FamilyDetails
	CustomFields map[string]any // those that the caller may see, in clear
	Version      int64

	personal             []string // those of them that are masked
	CreatedAt, UpdatedAt time.Time
}

// FamilyDetails is the sealed part.
type FamilyDetails struct {
	Name      string          `json:"name,omitempty"`
	Gender    string          `json:"gender,omitempty"` // empty: unknown
	BirthDate *time.Time      `json:"birth_date,omitempty"`
	Sizes     map[string]Size `json:"sizes,omitempty"` // by what they are of
	Notes     string          `json:"notes,omitempty"`
	Custom    map[string]any  `json:"custom_fields,omitempty"` // all of them; none leaves the service this way
}

// Size is one size.
type Size struct {
	Value  string `json:"value"`
	System string `json:"system"`
}

// FamilyInput is what a caller says about a member of the family.
type FamilyInput struct {
	Relation  *string
	Name      nullable.Nullable[string]
	Gender    *string
	BirthDate nullable.Nullable[time.Time]
	Sizes     map[string]*Size // merged; nil removes one
	Notes     nullable.Nullable[string]
	// CustomFields are merged; a nil member is removed.
	CustomFields map[string]any
}

// Age is the age in whole years on a day; -1 when it is unknown.
func (f *FamilyMember) Age(today time.Time) int {
	if f.BirthDate == nil {
		return -1
	}
	years := today.Year() - f.BirthDate.Year()
	if today.Before(f.BirthDate.AddDate(years, 0, 0)) { // born on 29 February, one is a year older on 1 March
		years--
	}
	return max(years, 0)
}

func (f FamilyMember) masked() FamilyMember {
	if f.Name != "" {
		f.Name = pii.MaskName(f.Name)
	}
	if f.Notes != "" {
		f.Notes = hiddenValue
	}
	f.BirthDate = nil
	if len(f.personal) > 0 {
		f.CustomFields = maps.Clone(f.CustomFields)
		for _, key := range f.personal {
			f.CustomFields[key] = hiddenValue
		}
	}
	return f
}

// Family lists a customer's family, in clear, the oldest entry first.
// Error: ErrNotFound.
func (s *Service) Family(ctx context.Context, customerID uuid.UUID) ([]FamilyMember, error) {
	c, err := s.Get(ctx, customerID)
	if err != nil {
		return nil, err
	}
	return s.familyOf(ctx, s.db.From(ctx), c)
}

func (s *Service) familyOf(ctx context.Context, d *db.Clients, c *Customer) ([]FamilyMember, error) {
	rows, err := d.CRM.FamilyMember.Query().Where(familymember.CustomerID(c.ID)).Order(familymember.ByID()).All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	key, err := s.keys.UnwrapDataKey(c.ID, c.wrapped)
	if err != nil {
		return nil, fmt.Errorf("customer %s: data key: %w", c.ID, err)
	}
	out := make([]FamilyMember, len(rows))
	for i, row := range rows {
		if out[i], err = openFamily(key, row); err != nil {
			return nil, err
		}
	}
	return out, s.showFamily(ctx, out)
}

// showFamily tells which custom fields the caller may see. Members see none:
// what they may see of custom fields is said for their own record only.
func (s *Service) showFamily(ctx context.Context, all []FamilyMember) error {
	actor, err := auth.From(ctx)
	if err != nil || actor.Kind == auth.KindMember || !slices.ContainsFunc(all, func(f FamilyMember) bool { return len(f.Custom) > 0 }) {
		return err
	}
	set, err := s.definitions(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		one := &all[i]
		for key, v := range one.Custom {
			f := set.of(OfFamily).active(key)
			if f == nil || !f.visible(&actor) {
				continue
			}
			if one.CustomFields == nil {
				one.CustomFields = map[string]any{}
			}
			if one.CustomFields[key] = v; f.Personal {
				one.personal = append(one.personal, key)
			}
		}
	}
	return nil
}

// familyFields changes custom fields of one of a customer's family, all of which
// are sealed with the rest. Members neither see nor send any; what is required
// is asked of staff.
func (s *Service) familyFields(ctx context.Context, tx *db.Tx, c *Customer, f *FamilyMember, patch map[string]any, made bool) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	member := actor.Kind == auth.KindMember
	var patches []map[string]any
	if len(patch) > 0 {
		patches = append(patches, patch)
	}
	use, err := s.useFieldsOf(ctx, tx, OfFamily, actor, patches)
	if err != nil {
		return err
	}
	var bad faults
	if member {
		for key := range patch {
			bad.add("/custom_fields/"+escapePointer(key), ErrFieldUnknown)
		}
		return bad.err()
	}
	use.judge(&fieldWrite{plain: &f.Custom, personal: &f.Custom, patch: patch, store: c.storeID(), made: made}, &bad)
	f.Custom = object(f.Custom, "/custom_fields", &bad)
	return bad.err()
}

func openFamily(key crypto.DataKey, row *crm.FamilyMember) (FamilyMember, error) {
	out := FamilyMember{ID: row.ID, Relation: string(row.Relation), Version: row.Version, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC()}
	raw, err := key.Derive(tableFamily, row.ID).Open(tableFamily, "details", row.ID, row.DetailsSealed)
	if err == nil {
		err = json.Unmarshal(raw, &out.FamilyDetails)
	}
	if err != nil {
		return out, fmt.Errorf("family member %s: %w", row.ID, err)
	}
	return out, nil
}

func sealFamily(key crypto.DataKey, f *FamilyMember) []byte {
	raw, err := json.Marshal(f.FamilyDetails)
	if err != nil {
		panic(err) // texts and a day
	}
	return key.Derive(tableFamily, f.ID).Seal(tableFamily, "details", f.ID, raw)
}

// FamilyMember reads one of a customer's family, in clear.
// Errors: ErrNotFound, ErrFamilyNotFound.
func (s *Service) FamilyMember(ctx context.Context, customerID, id uuid.UUID) (*FamilyMember, error) {
	all, err := s.Family(ctx, customerID)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(f FamilyMember) bool { return f.ID == id })
	if i < 0 {
		return nil, ErrFamilyNotFound.New()
	}
	return &all[i], nil
}

// changeFamily locks a customer of the caller's scope for a change of the family.
func (s *Service) changeFamily(ctx context.Context, customerID uuid.UUID, guard Guard, f func(context.Context, *db.Tx, *Customer, crypto.DataKey) (changed bool, err error)) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err := s.lock(ctx, tx, customerID)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return ErrNotFound.New()
		}
		c, err := open(s.keys, rows[0])
		if err != nil {
			return err
		}
		if c.ArchivedAt != nil {
			return ErrArchived.New()
		}
		if guard != nil {
			if err := guard(&c); err != nil {
				return err
			}
		}
		key, err := s.keys.UnwrapDataKey(c.ID, c.wrapped)
		if err != nil {
			return err
		}
		changed, err := f(ctx, tx, &c, key)
		if err != nil || !changed {
			return err
		}
		s.note(ctx, tx, "customers.family", EventUpdated, &c, []string{"family_members"})
		return nil
	})
}

// AddFamilyMember gives a customer's family one more member.
// Errors: ErrNotFound, ErrArchived, ErrFamilyCount, those of single fields.
func (s *Service) AddFamilyMember(ctx context.Context, customerID uuid.UUID, in FamilyInput, guard Guard) (*FamilyMember, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	out := FamilyMember{ID: id, Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := out.apply(&in, s.clock.Today().Time()); err != nil {
		return nil, err
	}
	err = s.changeFamily(ctx, customerID, guard, func(ctx context.Context, tx *db.Tx, c *Customer, key crypto.DataKey) (bool, error) {
		n, err := tx.CRM.FamilyMember.Query().Where(familymember.CustomerID(customerID)).Count(ctx)
		if err != nil {
			return false, err
		}
		if n >= maxFamily {
			return false, ErrFamilyCount.New().Arg("max", maxFamily)
		}
		if err := s.familyFields(ctx, tx, c, &out, in.CustomFields, true); err != nil {
			return false, err
		}
		return true, tx.CRM.FamilyMember.Create().SetID(id).SetCustomerID(customerID).SetNillableStoreID(c.HomeStoreID).SetNillableAssignedStaffID(c.AssignedStaffID).
			SetRelation(familymember.Relation(out.Relation)).SetDetailsSealed(sealFamily(key, &out)).SetCreatedAt(now).SetUpdatedAt(now).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.shownFamily(ctx, out)
}

func (s *Service) shownFamily(ctx context.Context, f FamilyMember) (*FamilyMember, error) {
	one := []FamilyMember{f}
	return &one[0], s.showFamily(ctx, one)
}

// UpdateFamilyMember changes one of a customer's family. Errors: ErrNotFound,
// ErrArchived, ErrFamilyNotFound, those of single fields, request.version_mismatch.
func (s *Service) UpdateFamilyMember(ctx context.Context, customerID, id uuid.UUID, in FamilyInput, ifMatch *string, guard Guard) (*FamilyMember, error) {
	var out FamilyMember
	err := s.changeFamily(ctx, customerID, guard, func(ctx context.Context, tx *db.Tx, c *Customer, key crypto.DataKey) (bool, error) {
		row, err := familyRow(ctx, tx, customerID, id, ifMatch)
		if err != nil {
			return false, err
		}
		if out, err = openFamily(key, row); err != nil {
			return false, err
		}
		before := out
		if err := out.apply(&in, s.clock.Today().Time()); err != nil {
			return false, err
		}
		if err := s.familyFields(ctx, tx, c, &out, in.CustomFields, false); err != nil {
			return false, err
		}
		if out.Relation == before.Relation && sameText(out.FamilyDetails, before.FamilyDetails) {
			return false, nil
		}
		out.Version, out.UpdatedAt = row.Version+1, s.clock.Now()
		return true, tx.CRM.FamilyMember.UpdateOneID(id).SetRelation(familymember.Relation(out.Relation)).SetDetailsSealed(sealFamily(key, &out)).
			SetVersion(out.Version).SetUpdatedAt(out.UpdatedAt).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.shownFamily(ctx, out)
}

// DeleteFamilyMember takes one of the family away. Errors: ErrNotFound,
// ErrArchived, ErrFamilyNotFound, request.version_mismatch.
func (s *Service) DeleteFamilyMember(ctx context.Context, customerID, id uuid.UUID, ifMatch *string, guard Guard) error {
	return s.changeFamily(ctx, customerID, guard, func(ctx context.Context, tx *db.Tx, _ *Customer, _ crypto.DataKey) (bool, error) {
		if _, err := familyRow(ctx, tx, customerID, id, ifMatch); err != nil {
			return false, err
		}
		return true, tx.CRM.FamilyMember.DeleteOneID(id).Exec(ctx)
	})
}

func familyRow(ctx context.Context, tx *db.Tx, customerID, id uuid.UUID, ifMatch *string) (*crm.FamilyMember, error) {
	row, err := tx.CRM.FamilyMember.Query().Where(familymember.ID(id), familymember.CustomerID(customerID)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrFamilyNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return row, etag.Check(ifMatch, row.Version)
}

// apply changes a member of the family by what an input says.
func (f *FamilyMember) apply(in *FamilyInput, today time.Time) error {
	var bad faults
	if in.Relation != nil {
		f.Relation = *in.Relation // the contract lists them
	}
	if v, ok := text(in.Name); ok {
		f.Name = normal(v, pii.NormalizeName, "/name", &bad)
	}
	choose(&f.Gender, in.Gender, genders, "/gender", &bad)
	if in.BirthDate.IsSpecified() {
		f.BirthDate = nil
		if v, err := in.BirthDate.Get(); err == nil {
			if v.Before(earliestBirth) || v.After(today) {
				bad.add("/birth_date", ErrBirthDate)
			}
			f.BirthDate = &v
		}
	}
	if len(in.Sizes) > 0 {
		f.Sizes = maps.Clone(f.Sizes)
	}
	for _, kind := range slices.Sorted(maps.Keys(in.Sizes)) {
		pointer := "/sizes/" + escapePointer(kind)
		v := in.Sizes[kind]
		switch {
		case !slices.Contains(sizeKinds, kind):
			bad.add(pointer, ErrSizeKind)
		case v == nil:
			delete(f.Sizes, kind)
		default:
			one := *v
			one.Value = line(&one.Value, maxSizeValue, pointer+"/value", &bad)
			if one.Value == "" || !slices.Contains(sizeSystems, one.System) {
				bad.add(pointer, ErrValue)
			}
			if f.Sizes == nil {
				f.Sizes = map[string]Size{}
			}
			f.Sizes[kind] = one
		}
	}
	if v, ok := text(in.Notes); ok {
		f.Notes = ""
		if v != nil {
			f.Notes = strings.TrimSpace(*v)
			switch {
			case !utf8.ValidString(f.Notes) || strings.ContainsRune(f.Notes, 0):
				bad.add("/notes", ErrValue)
			case utf8.RuneCountInString(f.Notes) > maxNotes:
				bad.add("/notes", ErrTooLong, map[string]any{"max": maxNotes})
			}
		}
	}
	return bad.err()
}
