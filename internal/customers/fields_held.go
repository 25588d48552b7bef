package customers

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Custom fields of other entities: definitions are here, values stand with the
// records in the domains that own them, in a column custom_fields whose index
// (GIN, of the rows that have any) serves filters and the questions below.

// HoldFields says which table keeps the custom fields of an entity: one with the
// columns id, custom_fields, version and updated_at. Its owner calls it before
// serving, and leaves the replacing of choices in it to this package.
func (s *Service) HoldFields(entity, table string) { s.holders[entity] = table }

// FieldItem is the custom fields of one record to be written.
type FieldItem struct {
	Store  uuid.UUID      // whose records must have what is required there
	New    bool           // gets defaults, and must have what is required
	Values map[string]any // as they are kept; changed by JudgeFields
	Patch  map[string]any // what to change; nil members are removed

	bad faults
}

// Faults are what is wrong with the item, with pointers below "/custom_fields".
func (i *FieldItem) Faults() []apperr.Field { return i.bad }

// Err is an error with the faults, nil for none.
func (i *FieldItem) Err() error { return i.bad.err() }

// JudgeFields changes the custom fields of records by what callers say of them
// and by the definitions in force until commit, set-based. Look at each item's
// faults: ErrFieldUnknown, ErrFieldReadOnly, ErrFieldRequired, and those of single kinds.
func (s *Service) JudgeFields(ctx context.Context, tx *db.Tx, entity string, items []*FieldItem) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	var patches []map[string]any
	for _, i := range items {
		if len(i.Patch) > 0 {
			patches = append(patches, i.Patch)
		}
	}
	use, err := s.useFieldsOf(ctx, tx, entity, actor, patches)
	if err != nil {
		return err
	}
	for _, i := range items {
		i.bad = nil
		use.judge(&fieldWrite{plain: &i.Values, personal: &i.Values, patch: i.Patch, store: i.Store, made: i.New}, &i.bad)
		i.Values = object(i.Values, "/custom_fields", &i.bad)
	}
	return nil
}

// ShownFields leaves of the custom fields of an entity what the caller may see;
// never nil, so that an answer has an object.
func (s *Service) ShownFields(ctx context.Context, entity string) (func(map[string]any) map[string]any, error) {
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	set = set.of(entity)
	return func(m map[string]any) map[string]any {
		if out := set.visible(&actor, m, false); out != nil {
			return out
		}
		return map[string]any{}
	}, nil
}

// FieldsContain reads filters "key:value" of a list as what custom_fields must
// contain, as JSON. Errors: ErrFieldUnknown, ErrFieldNotFilterable, ErrFieldFilter.
func (s *Service) FieldsContain(ctx context.Context, entity string, filters []string) ([]string, error) {
	if len(filters) == 0 {
		return nil, nil
	}
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(filters))
	for i, raw := range filters {
		pointer := "?custom_fields/" + strconv.Itoa(i)
		key, text, _ := strings.Cut(raw, ":")
		f, err := set.of(entity).filterable(&actor, key, pointer)
		if err != nil {
			return nil, err
		}
		value, ok := f.filterValue(text)
		if !ok {
			return nil, ErrFieldFilter.At(pointer)
		}
		var v any = value
		switch f.Kind {
		case FieldNumber:
			v = json.RawMessage(value)
		case FieldBoolean:
			v = value == "true"
		case FieldMultiChoice:
			v = []string{value}
		}
		one, err := json.Marshal(map[string]any{key: v})
		if err != nil {
			return nil, ErrFieldFilter.At(pointer)
		}
		out[i] = string(one)
	}
	return out, nil
}

// heldValue reports whether any record has a value of a field.
func (s *Service) heldValue(ctx context.Context, tx *db.Tx, f *Field) (used bool, err error) {
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.holders[f.Entity]+" WHERE custom_fields IS NOT NULL AND custom_fields ? $1)", f.Key).Scan(&used)
	return used, err
}

// heldChoice reports whether any record has a choice.
func (s *Service) heldChoice(ctx context.Context, tx *db.Tx, f *Field, v string) (used bool, err error) {
	err = tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+s.holders[f.Entity]+` WHERE custom_fields IS NOT NULL
		AND (custom_fields @> jsonb_build_object($1::text, $2::text) OR custom_fields @> jsonb_build_object($1::text, jsonb_build_array($2::text))))`, f.Key, v).Scan(&used)
	return used, err
}

// replaceHeld is runReplaceChoices for records of another entity.
func (s *Service) replaceHeld(ctx context.Context, id uuid.UUID, p *jobs.Progress, out *ReplacedChoices) error {
	for after := uuid.Nil; ; {
		if p.Cancelled() {
			return jobs.ErrCancelled
		}
		ids, err := s.replaceHeldBatch(ctx, id, after)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		out.Records += int64(len(ids))
		p.Set(out.Records, 0)
	}
}

func (s *Service) replaceHeldBatch(ctx context.Context, id, after uuid.UUID) (ids []uuid.UUID, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		f, err := fieldOf(ctx, tx.Clients, id)
		if err != nil {
			return err
		}
		var from, to []string
		by := f.replaced()
		for old := range maps.Keys(by) {
			from, to = append(from, old), append(to, by[old])
		}
		table := s.holders[f.Entity]
		rows, err := tx.Query(ctx, "SELECT r.id FROM "+table+` r WHERE r.custom_fields IS NOT NULL AND r.custom_fields ? $1 AND (r.custom_fields -> $1) ?| $2::text[] AND r.id > $3
			ORDER BY r.id LIMIT $4 FOR NO KEY UPDATE`, f.Key, pq.Array(from), after, replaceBatch)
		if err != nil {
			return err
		}
		if ids, err = scanIDs(rows); err != nil || len(ids) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "WITH by AS (SELECT * FROM unnest($3::text[], $4::text[]) AS b (old, new)) UPDATE "+table+` r
			SET version = r.version + 1, updated_at = $5, custom_fields = `+replacedChoices("r")+" WHERE r.id = ANY ($1::uuid[])",
			pgarray.UUIDs(ids), f.Key, pq.Array(from), pq.Array(to), s.clock.Now().UTC().Truncate(time.Microsecond)); err != nil {
			return err
		}
		for _, id := range ids {
			audit.Record(ctx, tx, audit.Entry{Action: "custom_fields.replace_choice", ObjectType: f.Entity, ObjectID: id.String(),
				Changes: map[string]any{"fields": []string{"custom_fields"}, "key": f.Key}})
		}
		return nil
	})
	return ids, err
}

// replacedChoices are the custom fields of a row with the choices of the field $2
// replaced, by the rows of a CTE by (old, new).
func replacedChoices(row string) string {
	fields := row + ".custom_fields"
	return `jsonb_set(` + fields + `, ARRAY[$2::text],
	    CASE WHEN jsonb_typeof(` + fields + ` -> $2::text) = 'array'
	         THEN (SELECT jsonb_agg(u.v ORDER BY u.v COLLATE "C") FROM (
	                   SELECT DISTINCT coalesce(by.new, e.v) AS v
	                   FROM jsonb_array_elements_text(` + fields + ` -> $2::text) AS e (v) LEFT JOIN by ON by.old = e.v) u)
	         ELSE (SELECT to_jsonb(coalesce((SELECT by.new FROM by WHERE by.old = ` + fields + ` ->> $2::text), ` + fields + ` ->> $2::text))) END)`
}
