package customers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// MemberAccess is what members may do with a field of their own record.
type MemberAccess string

// Accesses. Of addresses and families, once means that members add entries and
// leave the others to the shop.
const (
	MemberEditable MemberAccess = "editable"
	MemberOnce     MemberAccess = "once" // give it while it is empty; then it is the shop's to change
	MemberReadOnly MemberAccess = "read_only"
	MemberHidden   MemberAccess = "hidden"
)

// MemberField is a field with what members may do with it.
type MemberField struct {
	Field  string // of the record, family_members, or custom_fields. with a key
	Access MemberAccess
}

// memberFields are the fields that rules can be made for, with what holds
// without one and what may be chosen. Phones are bound by a code and have none.
var memberFields = []struct {
	MemberField
	choices []MemberAccess
}{
	{MemberField{"name", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly}},
	{MemberField{"email", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"gender", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"birth_date", MemberOnce}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"address", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"language", MemberEditable}, []MemberAccess{MemberEditable, MemberReadOnly}},
	{MemberField{"preferences", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"marketing_preferences", MemberEditable}, []MemberAccess{MemberEditable}}, // refusing messages is the customer's right
	{MemberField{"family_members", MemberEditable}, []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}},
	{MemberField{"card_number", MemberReadOnly}, []MemberAccess{MemberReadOnly, MemberHidden}},
	{MemberField{"home_store_id", MemberReadOnly}, []MemberAccess{MemberReadOnly, MemberHidden}},
}

const customPrefix = "custom_fields."

// MemberRules are the rules in force.
type MemberRules struct {
	chosen    map[string]MemberAccess
	Version   int64
	UpdatedAt time.Time
}

// Of is what members may do with a field. Custom fields are hidden unless a
// rule says otherwise.
func (r *MemberRules) Of(field string) MemberAccess {
	if a, ok := r.chosen[field]; ok {
		return a
	}
	for _, f := range memberFields {
		if f.Field == field {
			return f.Access
		}
	}
	return MemberHidden
}

// All lists every field of the record and the custom fields that have a rule.
func (r *MemberRules) All() []MemberField {
	var out []MemberField
	for _, f := range memberFields {
		out = append(out, MemberField{f.Field, r.Of(f.Field)})
	}
	for _, field := range slices.Sorted(maps.Keys(r.chosen)) {
		if strings.HasPrefix(field, customPrefix) {
			out = append(out, MemberField{field, r.chosen[field]})
		}
	}
	return out
}

const memberRulesSQL = "SELECT rules, version, updated_at FROM member_field_rules"

func readMemberRules(ctx context.Context, c *db.Clients, tail string) (*MemberRules, error) {
	r := &MemberRules{}
	var raw []byte
	if err := c.QueryRow(ctx, memberRulesSQL+tail).Scan(&raw, &r.Version, &r.UpdatedAt); err != nil {
		return nil, fmt.Errorf("rules for members: %w", err)
	}
	r.UpdatedAt = r.UpdatedAt.UTC()
	return r, json.Unmarshal(raw, &r.chosen)
}

// MemberRules reads the rules in force.
func (s *Service) MemberRules(ctx context.Context) (*MemberRules, error) {
	return readMemberRules(ctx, s.db.From(ctx), "")
}

// SetMemberRules replaces all rules; a field that is not named has its default.
// Errors: ErrMemberField, ErrMemberAccess, request.version_required,
// request.version_mismatch.
func (s *Service) SetMemberRules(ctx context.Context, fields []MemberField, ifMatch *string) (*MemberRules, error) {
	var out *MemberRules
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := readMemberRules(ctx, tx.Clients, " FOR UPDATE")
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, before.Version); err != nil {
			return err
		}
		set, err := s.currentFields(ctx, tx.Clients)
		if err != nil {
			return err
		}
		out = &MemberRules{chosen: map[string]MemberAccess{}, Version: before.Version + 1, UpdatedAt: s.clock.Now()}
		var bad faults
		for i, f := range fields {
			pointer := "/fields/" + itoa(i)
			choices := memberChoices(set, f.Field)
			_, twice := out.chosen[f.Field]
			switch {
			case choices == nil || twice:
				bad.add(pointer+"/field", ErrMemberField)
			case !slices.Contains(choices, f.Access):
				bad.add(pointer+"/access", ErrMemberAccess)
			}
			out.chosen[f.Field] = f.Access
		}
		if err := bad.err(); err != nil {
			return err
		}
		raw, err := json.Marshal(out.chosen)
		if err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "member_field_rules.update", ObjectType: "member_field_rules", Changes: map[string]any{"before": before.chosen, "after": out.chosen}})
		_, err = tx.Exec(ctx, "UPDATE member_field_rules SET rules = $1, version = $2, updated_at = $3", string(raw), out.Version, out.UpdatedAt)
		return err
	})
	return out, err
}

// memberChoices are the accesses that a field can be given; none for a field
// that is unknown. Fields that only some roles see are not for members.
func memberChoices(set *fieldSet, field string) []MemberAccess {
	if key, ok := strings.CutPrefix(field, customPrefix); ok {
		f := set.active(key)
		switch {
		case f == nil:
			return nil
		case len(f.VisibleTo) > 0:
			return []MemberAccess{MemberHidden}
		case len(f.EditableBy) > 0:
			return []MemberAccess{MemberReadOnly, MemberHidden}
		}
		return []MemberAccess{MemberEditable, MemberOnce, MemberReadOnly, MemberHidden}
	}
	for _, f := range memberFields {
		if f.Field == field {
			return f.choices
		}
	}
	return nil
}

// MayAdd and MayChange judge entries of a list that members keep: addresses
// ("address"), family_members. Error: ErrMemberReadOnly.
func (r *MemberRules) MayAdd(field string) error {
	if a := r.Of(field); a != MemberEditable && a != MemberOnce {
		return ErrMemberReadOnly.New().Arg("field", field)
	}
	return nil
}

// MayChange judges a change of an entry that is there already. Errors:
// ErrMemberReadOnly, ErrMemberOnce.
func (r *MemberRules) MayChange(field string) error {
	switch r.Of(field) {
	case MemberEditable:
		return nil
	case MemberOnce:
		return ErrMemberOnce.New().Arg("field", field)
	}
	return ErrMemberReadOnly.New().Arg("field", field)
}

// judge holds what a member changed of their record against the rules.
func (r *MemberRules) judge(in *Input, before, after *Customer, bad *faults) {
	one := func(field, pointer string, changed, empty bool) {
		switch a := r.Of(field); {
		case a == MemberHidden, a == MemberReadOnly && changed:
			*bad = append(*bad, apperr.Field{Pointer: pointer, Code: ErrMemberReadOnly.Code, Args: map[string]any{"field": field}})
		case a == MemberOnce && changed && !empty:
			*bad = append(*bad, apperr.Field{Pointer: pointer, Code: ErrMemberOnce.Code, Args: map[string]any{"field": field}})
		}
	}
	changed := after.differences(before)
	for _, field := range in.given() {
		empty := true
		for i := range mergeFields {
			if mergeFields[i].name == field {
				empty = mergeFields[i].empty(before)
			}
		}
		one(field, "/"+field, slices.Contains(changed, field), empty)
	}
	if in.CustomFields != nil {
		for _, key := range slices.Sorted(maps.Keys(*in.CustomFields)) {
			was, is := before.customValue(key), after.customValue(key)
			one(customPrefix+key, "/custom_fields/"+escapePointer(key), !sameText(was, is), was == nil)
		}
	}
}

func (c *Customer) customValue(key string) any {
	if v, ok := c.CustomFields[key]; ok {
		return v
	}
	return c.Custom[key]
}

// given names the fields of their record that a member sent.
func (in *Input) given() []string {
	var out []string
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"name", in.Name.IsSpecified()}, {"email", in.Email.IsSpecified()}, {"gender", in.Gender != nil}, {"birth_date", in.BirthDate.IsSpecified()},
		{"address", in.Address.IsSpecified()}, {"language", in.Language != nil}, {"preferences", in.Preferences != nil},
		{"marketing_preferences", in.MarketingPreferences != nil},
	} {
		if f.given {
			out = append(out, f.name)
		}
	}
	return out
}

// Hide empties what members do not see of their own record, and leaves of custom
// fields what they do.
func (r *MemberRules) Hide(c *Customer) {
	if r.Of("email") == MemberHidden {
		c.Email = ""
	}
	if r.Of("gender") == MemberHidden {
		c.Gender = "unknown"
	}
	if r.Of("birth_date") == MemberHidden {
		c.BirthDate = nil
	}
	if r.Of("address") == MemberHidden {
		c.Address, c.About = nil, AddressAbout{}
	}
	if r.Of("preferences") == MemberHidden {
		c.Preferences = nil
	}
	if r.Of("card_number") == MemberHidden {
		c.Card = ""
	}
	if r.Of("home_store_id") == MemberHidden {
		c.HomeStoreID = nil
	}
	shown := map[string]any{}
	for _, values := range []map[string]any{c.CustomFields, c.Custom} {
		for key, v := range values {
			if r.Of(customPrefix+key) != MemberHidden {
				shown[key] = v
			}
		}
	}
	c.CustomFields, c.Custom = shown, nil
}
