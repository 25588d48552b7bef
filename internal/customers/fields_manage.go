package customers

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// What may be changed while customers have values:
//
//   - key, entity and personal never;
//   - the kind only while no customer has a value, of a personal field never,
//     since nobody can look;
//   - of what is said of customers, all holds for other entities too; values of
//     family members are sealed, so they count as personal ones;
//   - a choice that customers have stays, or is replaced by another one, which a
//     job then does to all of them; those of personal fields stay;
//   - bounds, patterns and required apply to values written from then on; those
//     that are there stay as they are;
//   - deleting removes a field that nobody has; any other is archived: its
//     values stay, are not shown, and come back with it.

// Domain events of definitions.
var (
	EventFieldCreated = events.Define("custom_field.created", "新建了自定义字段", "A custom field was defined.")
	EventFieldUpdated = events.Define("custom_field.updated", "修改了自定义字段", "A custom field's definition was changed.")
	EventFieldDeleted = events.Define("custom_field.deleted", "删除了自定义字段", "A custom field was deleted.")
)

const (
	maxFields  = 200
	maxChoices = 500
)

var (
	fieldKeyPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	targets         = []string{"customer", "store", "staff", "product"}
)

// FieldInput is a new definition.
type FieldInput struct {
	Entity     string // empty: customer
	Key        string
	Kind       FieldKind
	Personal   bool
	Filterable bool
	FieldRules
}

// FieldChange is what to change of a definition; nil parts stay.
type FieldChange struct {
	Kind        *FieldKind
	Filterable  *bool
	Labels      *Labels
	Validation  *Validation
	ReferenceTo *string
	Default     *[]string
	Required    *FieldRequired
	VisibleTo   *[]string
	EditableBy  *[]string
	Archived    *bool
}

// CreateField defines a field. Values that stand in customers under its key
// from before count as its own.
// Errors: ErrFieldDuplicate, ErrFieldDefinition, ErrFieldCount, ErrStore.
func (s *Service) CreateField(ctx context.Context, in FieldInput) (*Field, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now().UTC().Truncate(time.Microsecond)
	if in.Entity == "" {
		in.Entity = OfCustomer
	}
	f := &Field{ID: id, Entity: in.Entity, Key: in.Key, Kind: in.Kind, Personal: in.Personal, Filterable: in.Filterable, FieldRules: in.FieldRules,
		Version: 1, CreatedAt: now, UpdatedAt: now}
	if err := f.check(); err != nil {
		return nil, err
	}
	err = s.changeFields(ctx, func(ctx context.Context, tx *db.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM custom_fields WHERE archived_at IS NULL AND entity = $1", f.Entity).Scan(&n); err != nil {
			return err
		}
		if n >= maxFields {
			return ErrFieldCount.New().Arg("max", maxFields)
		}
		if err := f.checkNames(ctx, tx); err != nil {
			return err
		}
		raw, err := json.Marshal(f.FieldRules)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO custom_fields (id, entity, key, kind, personal, filterable, definition, version, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, 1, $8, $8)`, f.ID, f.Entity, f.Key, string(f.Kind), f.Personal, f.Filterable, string(raw), now); err != nil {
			return err
		}
		if !f.Personal && f.Entity == OfCustomer {
			// From before there were definitions. A walk over all customers, under the
			// lock; fields are defined seldom.
			if _, err := tx.Exec(ctx, `
				INSERT INTO customer_field_values (customer_id, field_id, position, text, number, day)
				SELECT c.id, r.field_id, r.position, r.text, r.number, r.day
				FROM customers c CROSS JOIN LATERAL customer_field_rows(jsonb_build_object($1::text, c.custom_fields -> $1::text)) r
				WHERE jsonb_exists(c.custom_fields, $1::text)`, f.Key); err != nil {
				return err
			}
		}
		noteField(ctx, tx, "custom_fields.create", EventFieldCreated, f, nil)
		return nil
	})
	if db.Violated(err) == "custom_fields_key_key" {
		return nil, ErrFieldDuplicate.At("/key")
	}
	return f, err
}

// changeFields runs a change of definitions alone: writers of values wait, and
// afterwards everybody reads the definitions anew.
func (s *Service) changeFields(ctx context.Context, f func(context.Context, *db.Tx) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(fieldsLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE definition_revisions SET revision = revision + 1 WHERE name = 'custom_fields'"); err != nil {
			return err
		}
		tx.AfterCommit(func(ctx context.Context) {
			s.fields.stale()
			s.ClearProfiles(ctx)
		})
		return f(ctx, tx)
	})
}

// UpdateField changes a definition; what may be changed is told above. When a
// choice is replaced, the job that does it is returned too.
// Errors: ErrFieldNotFound, request.version_required, request.version_mismatch,
// ErrFieldDefinition, ErrFieldKindUsed, ErrFieldChoiceUsed, ErrStore.
func (s *Service) UpdateField(ctx context.Context, id uuid.UUID, ch FieldChange, ifMatch *string) (f *Field, job *platform.Job, err error) {
	err = s.changeFields(ctx, func(ctx context.Context, tx *db.Tx) error {
		job = nil
		if f, err = fieldOf(ctx, tx.Clients, id); err != nil {
			return err
		}
		if err := etag.Require(ifMatch, f.Version); err != nil {
			return err
		}
		old := *f
		now := s.clock.Now().UTC().Truncate(time.Microsecond)
		changed := f.apply(ch, now)
		if err := f.check(); err != nil {
			return err
		}
		if err := f.checkNames(ctx, tx); err != nil {
			return err
		}
		if err := s.checkUse(ctx, tx, f, &old); err != nil {
			return err
		}
		if len(changed) == 0 {
			return nil
		}
		raw, err := json.Marshal(f.FieldRules)
		if err != nil {
			return err
		}
		f.Version, f.UpdatedAt = f.Version+1, now
		if _, err := tx.Exec(ctx, `UPDATE custom_fields SET kind = $2, filterable = $3, definition = $4::jsonb, archived_at = $5, version = $6, updated_at = $7 WHERE id = $1`,
			id, string(f.Kind), f.Filterable, string(raw), f.ArchivedAt, f.Version, now); err != nil {
			return err
		}
		if err := rulesStillCompile(ctx, tx); err != nil {
			return err
		}
		if len(f.replaced()) > 0 && slices.Contains(changed, "validation") {
			actor, err := auth.From(ctx)
			if err != nil {
				return err
			}
			if job, err = s.queue.StartVisible(ctx, tx, jobReplaceChoices, replaceChoices{FieldID: id, Kind: actor.Kind, Actor: actor.ID, Name: actor.Name}); err != nil {
				return err
			}
		}
		noteField(ctx, tx, "custom_fields.update", EventFieldUpdated, f, changed)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return f, job, nil
}

// DeleteField removes a field that no customer has, and archives any other.
// Errors: ErrFieldNotFound, ErrFieldInRule, request.version_required,
// request.version_mismatch.
func (s *Service) DeleteField(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.changeFields(ctx, func(ctx context.Context, tx *db.Tx) error {
		f, err := fieldOf(ctx, tx.Clients, id)
		if err != nil {
			return err
		}
		if err := etag.Require(ifMatch, f.Version); err != nil {
			return err
		}
		used := f.sealed() // somebody may have it
		if !used {
			if used, err = s.fieldUsed(ctx, tx, f); err != nil {
				return err
			}
		}
		if !used {
			noteField(ctx, tx, "custom_fields.delete", EventFieldDeleted, f, nil)
			if _, err = tx.Exec(ctx, "DELETE FROM custom_fields WHERE id = $1", id); err != nil {
				return err
			}
			return rulesStillCompile(ctx, tx)
		}
		if f.ArchivedAt != nil {
			return nil
		}
		noteField(ctx, tx, "custom_fields.archive", EventFieldUpdated, f, []string{"status"})
		if _, err = tx.Exec(ctx, "UPDATE custom_fields SET archived_at = $2, updated_at = $2, version = version + 1 WHERE id = $1", id, s.clock.Now()); err != nil {
			return err
		}
		return rulesStillCompile(ctx, tx)
	})
}

func noteField(ctx context.Context, tx *db.Tx, action, event string, f *Field, changed []string) {
	changes := map[string]any{"key": f.Key, "entity": f.Entity}
	if len(changed) > 0 {
		changes["fields"] = changed
	}
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "custom_field", ObjectID: f.ID.String(), Changes: changes})
	events.Emit(tx, events.Event{Type: event, SubjectType: "custom_field", SubjectID: f.ID})
}

// apply takes a change over and names what differs.
func (f *Field) apply(ch FieldChange, now time.Time) []string {
	before := *f
	set(&f.Kind, ch.Kind)
	set(&f.Filterable, ch.Filterable)
	set(&f.Labels, ch.Labels)
	set(&f.Validation, ch.Validation)
	set(&f.ReferenceTo, ch.ReferenceTo)
	set(&f.Default, ch.Default)
	set(&f.Required, ch.Required)
	set(&f.VisibleTo, ch.VisibleTo)
	set(&f.EditableBy, ch.EditableBy)
	if ch.Archived != nil {
		switch {
		case !*ch.Archived:
			f.ArchivedAt = nil
		case f.ArchivedAt == nil:
			f.ArchivedAt = &now
		}
	}
	var out []string
	for _, p := range []struct {
		name string
		a, b any
	}{
		{"kind", f.Kind, before.Kind}, {"filterable", f.Filterable, before.Filterable}, {"labels", f.Labels, before.Labels},
		{"validation", f.Validation, before.Validation}, {"reference_to", f.ReferenceTo, before.ReferenceTo},
		{"default", f.Default, before.Default}, {"required", f.Required, before.Required},
		{"visible_to", f.VisibleTo, before.VisibleTo}, {"editable_by", f.EditableBy, before.EditableBy},
		{"status", f.ArchivedAt != nil, before.ArchivedAt != nil},
	} {
		x, _ := json.Marshal(p.a)
		y, _ := json.Marshal(p.b)
		if string(x) != string(y) {
			out = append(out, p.name)
		}
	}
	return out
}

func set[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

// check holds a definition against itself.
func (f *Field) check() error {
	var bad faults
	wrong := func(pointer string) { bad.add(pointer, ErrFieldDefinition) }
	if !fieldKeyPattern.MatchString(f.Key) {
		wrong("/key")
	}
	if f.sealed() && f.Filterable {
		wrong("/filterable")
	}
	if f.Personal && !f.keyed() {
		bad.add("/personal", ErrFieldPersonal, map[string]any{"entity": f.Entity})
	}
	if f.Entity == OfProduct && len(f.Required.StoreIDs) > 0 {
		wrong("/required/store_ids")
	}
	for _, l := range []struct{ pointer, text string }{{"/labels/en", f.Labels.EN}, {"/labels/zh", f.Labels.ZH}} {
		if v := strings.TrimSpace(l.text); v == "" || utf8.RuneCountInString(v) > 64 {
			wrong(l.pointer)
		}
	}
	f.checkValidation(wrong)
	if (f.Kind == FieldReference) != (f.ReferenceTo != "") || f.ReferenceTo != "" && !slices.Contains(targets, f.ReferenceTo) {
		wrong("/reference_to")
	}
	if err := f.compile(); err != nil {
		wrong("/validation/pattern")
	}
	if len(f.Default) > 0 && len(bad) == 0 {
		if v, fault := f.parse(f.Default); f.Kind == FieldReference || fault != nil || v == nil {
			wrong("/default")
		}
	}
	return bad.err()
}

// checkValidation refuses bounds that are not of the field's kind or admit
// nothing.
func (f *Field) checkValidation(wrong func(pointer string)) {
	v, kind := f.Validation, f.Kind
	chooses := kind == FieldChoice || kind == FieldMultiChoice
	for _, p := range []struct {
		name string
		bad  bool
	}{
		{"min", v.Min != nil && kind != FieldNumber},
		{"max", v.Max != nil && (kind != FieldNumber || v.Min != nil && *v.Max < *v.Min)},
		{"integer", v.Integer && kind != FieldNumber},
		{"min_date", v.MinDate != nil && (kind != FieldDate || !validDate(*v.MinDate))},
		{"max_date", v.MaxDate != nil && (kind != FieldDate || !validDate(*v.MaxDate) || v.MinDate != nil && *v.MaxDate < *v.MinDate)},
		{"min_length", v.MinLength != nil && (kind != FieldText || *v.MinLength < 0)},
		{"max_length", v.MaxLength != nil && (kind != FieldText || *v.MaxLength < 1 || *v.MaxLength > maxTextLength ||
			v.MinLength != nil && *v.MaxLength < *v.MinLength || f.Filterable && *v.MaxLength > defaultTextLength)},
		{"pattern", v.Pattern != "" && (kind != FieldText || len(v.Pattern) > 300)},
		{"choices", chooses != (len(v.Choices) > 0) || len(v.Choices) > maxChoices},
	} {
		if p.bad {
			wrong("/validation/" + p.name)
		}
	}
	seen := map[string]bool{}
	for i, c := range v.Choices {
		at := "/validation/choices/" + itoa(i)
		if c.Value == "" || c.Value != strings.TrimSpace(c.Value) || utf8.RuneCountInString(c.Value) > 64 || seen[c.Value] {
			wrong(at + "/value")
		}
		seen[c.Value] = true
		if c.ReplacedBy == "" {
			continue
		}
		if other := f.choice(c.ReplacedBy); f.sealed() || other == nil || other.ReplacedBy != "" {
			wrong(at + "/replaced_by")
		}
	}
}

// checkNames looks up the roles and stores that a definition names.
func (f *Field) checkNames(ctx context.Context, tx *db.Tx) error {
	var bad faults
	named := slices.Concat(f.VisibleTo, f.EditableBy)
	if len(named) > 0 {
		var known []string
		if err := tx.Platform.Role.Query().Where(role.CodeIn(named...)).Select(role.FieldCode).Scan(ctx, &known); err != nil {
			return err
		}
		known = append(known, keyRole)
		for i, code := range f.VisibleTo {
			if !slices.Contains(known, code) {
				bad.add("/visible_to/"+itoa(i), ErrFieldDefinition)
			}
		}
		for i, code := range f.EditableBy {
			if !slices.Contains(known, code) {
				bad.add("/editable_by/"+itoa(i), ErrFieldDefinition)
			}
		}
	}
	if ids := f.Required.StoreIDs; len(ids) > 0 {
		known, err := tx.Platform.Store.Query().Where(store.IDIn(unique(ids)...)).IDs(ctx)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if !slices.Contains(known, id) {
				bad.add("/required/store_ids/"+itoa(i), ErrStore)
			}
		}
	}
	return bad.err()
}

// checkUse refuses changes that values which records have would not survive.
func (s *Service) checkUse(ctx context.Context, tx *db.Tx, f, old *Field) error {
	if f.Kind != old.Kind || f.ReferenceTo != old.ReferenceTo {
		used := f.sealed()
		var err error
		if !used {
			used, err = s.fieldUsed(ctx, tx, old)
		}
		if used {
			return ErrFieldKindUsed.At("/kind")
		}
		return err
	}
	var gone []string
	for _, c := range old.Validation.Choices {
		if f.choice(c.Value) == nil {
			gone = append(gone, c.Value)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if f.sealed() {
		return ErrFieldChoiceUsed.At("/validation/choices").Arg("value", gone[0])
	}
	for _, v := range gone {
		used, err := s.choiceUsed(ctx, tx, f, v)
		if err != nil {
			return err
		}
		if used {
			return ErrFieldChoiceUsed.At("/validation/choices").Arg("value", v)
		}
	}
	return nil
}

// sealed reports that nobody can look who has a value of the field.
func (f *Field) sealed() bool { return f.Personal || f.Entity == OfFamily }

// keyed reports that the field's entity has a key to seal values with.
func (f *Field) keyed() bool { return f.Entity == OfCustomer || f.Entity == OfFamily }

// fieldUsed reports whether any record has a value, beyond the caller's scope.
func (s *Service) fieldUsed(ctx context.Context, tx *db.Tx, f *Field) (used bool, err error) {
	if f.Entity != OfCustomer {
		return s.heldValue(ctx, tx, f)
	}
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT 1 FROM customer_field_values WHERE field_id = $1 AND text IS NOT NULL)
		    OR EXISTS (SELECT 1 FROM customer_field_values WHERE field_id = $1 AND number IS NOT NULL)
		    OR EXISTS (SELECT 1 FROM customer_field_values WHERE field_id = $1 AND day IS NOT NULL)`, f.ID).Scan(&used)
	return used, err
}

// choiceUsed reports whether any record has a choice, beyond the caller's scope.
func (s *Service) choiceUsed(ctx context.Context, tx *db.Tx, f *Field, v string) (used bool, err error) {
	if f.Entity != OfCustomer {
		return s.heldChoice(ctx, tx, f, v)
	}
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM customer_field_values WHERE field_id = $1 AND text = $2)", f.ID, v).Scan(&used)
	return used, err
}

// replaced are the choices to be replaced, with by what.
func (f *Field) replaced() map[string]string {
	out := map[string]string{}
	for _, c := range f.Validation.Choices {
		if c.ReplacedBy != "" {
			out[c.Value] = c.ReplacedBy
		}
	}
	return out
}
