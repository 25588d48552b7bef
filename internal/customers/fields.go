package customers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// FieldKind is what the values of a custom field are.
type FieldKind string

// Kinds of custom fields.
const (
	FieldText        FieldKind = "text"
	FieldNumber      FieldKind = "number"
	FieldDate        FieldKind = "date"
	FieldChoice      FieldKind = "choice"
	FieldMultiChoice FieldKind = "multi_choice"
	FieldBoolean     FieldKind = "boolean"
	FieldReference   FieldKind = "reference"
)

// What has custom fields. Those of products and orders are kept by the domains
// after this one (see fields_held.go); the definitions of all of them are here.
const (
	OfCustomer = "customer"
	OfFamily   = "family_member"
	OfProduct  = "product"
	OfOrder    = "order"
)

// Field is a custom field: its definition, ready to judge values by.
type Field struct {
	ID         uuid.UUID
	Entity     string
	Key        string
	Kind       FieldKind
	Personal   bool // sealed, masked, never filtered by
	Filterable bool
	FieldRules
	ArchivedAt *time.Time
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time

	pattern *regexp.Regexp // of the whole value; nil for none
}

// FieldRules is the part of a definition that is kept as JSON.
type FieldRules struct {
	Labels      Labels        `json:"labels"`
	Validation  Validation    `json:"validation"`
	ReferenceTo string        `json:"reference_to,omitempty"` // customer, store, staff, product
	Default     []string      `json:"default,omitempty"`      // as text; one, or several of a multi_choice
	Required    FieldRequired `json:"required"`
	VisibleTo   []string      `json:"visible_to,omitempty"`  // codes of roles, and api_key; none: everybody
	EditableBy  []string      `json:"editable_by,omitempty"` // those, of who sees it
}

// Labels is a text for people in both languages.
type Labels struct {
	EN string `json:"en"`
	ZH string `json:"zh"`
}

// Validation bounds the values of a field; parts that do not fit its kind are
// refused.
type Validation struct {
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	Integer   bool     `json:"integer,omitempty"`
	MinDate   *string  `json:"min_date,omitempty"`
	MaxDate   *string  `json:"max_date,omitempty"`
	MinLength *int     `json:"min_length,omitempty"` // in characters
	MaxLength *int     `json:"max_length,omitempty"`
	Pattern   string   `json:"pattern,omitempty"` // RE2, of the whole value
	Choices   []Choice `json:"choices,omitempty"`
}

// Choice is one value of a choice or multi_choice.
type Choice struct {
	Value      string `json:"value"`
	Labels     Labels `json:"labels"`
	ReplacedBy string `json:"replaced_by,omitempty"` // values of it are taken as this one
}

// FieldRequired says in which stores' customers the field must be there.
type FieldRequired struct {
	All      bool        `json:"all,omitempty"`
	StoreIDs []uuid.UUID `json:"store_ids,omitempty"`
}

// in reports whether a customer of a store must have the field.
func (r FieldRequired) in(store uuid.UUID) bool {
	return r.All || (store != uuid.Nil && slices.Contains(r.StoreIDs, store))
}

// keyRole is how visible_to and editable_by name machines.
const keyRole = "api_key"

// visible reports whether an actor may see the field at all. Whoever defines
// fields sees them all.
func (f *Field) visible(a *auth.Actor) bool { return listed(f.VisibleTo, a) }

func (f *Field) editable(a *auth.Actor) bool { return f.visible(a) && listed(f.EditableBy, a) }

func listed(roles []string, a *auth.Actor) bool {
	switch {
	case len(roles) == 0, a.Can(auth.CustomFieldsManage):
		return true
	case a.Kind == auth.KindAPIKey:
		return slices.Contains(roles, keyRole)
	}
	return slices.ContainsFunc(a.Roles, func(code string) bool { return slices.Contains(roles, code) })
}

func (f *Field) choice(value string) *Choice {
	for i := range f.Validation.Choices {
		if c := &f.Validation.Choices[i]; c.Value == value {
			return c
		}
	}
	return nil
}

// column is the column of customer_field_values that holds values of a kind,
// and its type.
func (k FieldKind) column() (name, cast string) {
	switch k {
	case FieldNumber:
		return "number", "double precision"
	case FieldDate:
		return "day", "date"
	}
	return "text", "text"
}

// fieldSet are all definitions of an entity as of one revision. It is shared and
// never changed.
type fieldSet struct {
	revision   int64
	others     map[string]*fieldSet // in the set of customers: those of all entities
	byKey      map[string]*Field
	keys       []string // sorted
	restricted bool     // somebody may not see all of them
}

// active is the definition that values of a key are judged by, or nil.
func (s *fieldSet) active(key string) *Field {
	if f := s.byKey[key]; f != nil && f.ArchivedAt == nil {
		return f
	}
	return nil
}

// fieldCache is this process's copy of the definitions.
type fieldCache struct {
	mu   sync.Mutex
	set  *fieldSet
	read time.Time
}

func (c *fieldCache) get() (*fieldSet, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set, c.read
}

func (c *fieldCache) put(set *fieldSet, read time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil || set.revision >= c.set.revision {
		c.set, c.read = set, read
	}
}

// stale makes the next reader look whether there is something newer.
func (c *fieldCache) stale() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = time.Time{}
}

// definitionsAge bounds how long a change of definitions made on another
// replica may go unseen by readers; writers of values always look.
const definitionsAge = time.Second

// definitions are those in force, at most a second old.
func (s *Service) definitions(ctx context.Context) (*fieldSet, error) {
	set, read := s.fields.get()
	if set != nil && time.Since(read) < definitionsAge {
		return set, nil
	}
	return s.currentFields(ctx, s.db.From(ctx))
}

// of are the definitions of an entity, from those of customers.
func (s *fieldSet) of(entity string) *fieldSet { return s.others[entity] }

// currentFields compares revisions and reads the definitions if they changed:
// those of customers, which lead to the others.
func (s *Service) currentFields(ctx context.Context, c *db.Clients) (*fieldSet, error) {
	now := time.Now()
	var revision int64
	if err := c.QueryRow(ctx, "SELECT revision FROM definition_revisions WHERE name = 'custom_fields'").Scan(&revision); err != nil {
		return nil, err
	}
	if set, _ := s.fields.get(); set != nil && set.revision == revision {
		s.fields.put(set, now)
		return set, nil
	}
	all, err := queryFields(ctx, c, "TRUE ORDER BY key")
	if err != nil {
		return nil, err
	}
	sets := map[string]*fieldSet{}
	for _, entity := range []string{OfCustomer, OfFamily, OfProduct, OfOrder} {
		sets[entity] = &fieldSet{revision: revision, byKey: map[string]*Field{}}
	}
	for _, f := range all {
		set := sets[f.Entity]
		set.byKey[f.Key] = f
		set.keys = append(set.keys, f.Key)
		set.restricted = set.restricted || len(f.VisibleTo) > 0
	}
	set := sets[OfCustomer]
	set.others = sets
	s.fields.put(set, now)
	return set, nil
}

const fieldColumns = "id, entity, key, kind, personal, filterable, definition, archived_at, version, created_at, updated_at"

// readFields reads definitions of customers; tail is what follows the WHERE clause.
func readFields(ctx context.Context, c *db.Clients, tail string, args ...any) ([]*Field, error) {
	return queryFields(ctx, c, "entity = 'customer' "+tail, args...)
}

// queryFields reads definitions of all entities by a condition.
func queryFields(ctx context.Context, c *db.Clients, where string, args ...any) ([]*Field, error) {
	rows, err := c.Query(ctx, "SELECT "+fieldColumns+" FROM custom_fields WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Field
	for rows.Next() {
		f, err := scanField(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

func scanField(rows *sql.Rows) (*Field, error) {
	f := &Field{}
	var raw []byte
	if err := rows.Scan(&f.ID, &f.Entity, &f.Key, &f.Kind, &f.Personal, &f.Filterable, &raw, &f.ArchivedAt, &f.Version, &f.CreatedAt, &f.UpdatedAt); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &f.FieldRules); err != nil {
		return nil, fmt.Errorf("custom field %s: %w", f.ID, err)
	}
	f.ArchivedAt, f.CreatedAt, f.UpdatedAt = utc(f.ArchivedAt), f.CreatedAt.UTC(), f.UpdatedAt.UTC()
	return f, f.compile()
}

func (f *Field) compile() (err error) {
	f.pattern = nil
	if f.Validation.Pattern != "" {
		f.pattern, err = regexp.Compile(`\A(?:` + f.Validation.Pattern + `)\z`)
	}
	return err
}

// fieldsLock is the advisory lock that the triggers on customers know too.
const fieldsLock = 0x63666c64 // "cfld"

// useFields prepares the custom fields of some inputs: the definitions in force
// until commit, who is asking, and which of the things referred to exist.
func (s *Service) useFields(ctx context.Context, tx *db.Tx, actor auth.Actor, inputs []*Input) (*fieldUse, error) {
	var patches []map[string]any
	for _, in := range inputs {
		if in.CustomFields != nil && len(*in.CustomFields) > 0 {
			patches = append(patches, *in.CustomFields)
		}
	}
	return s.useFieldsOf(ctx, tx, OfCustomer, actor, patches)
}

// useFieldsOf is useFields for any entity: patches are what the inputs say of
// custom fields, those that say something.
func (s *Service) useFieldsOf(ctx context.Context, tx *db.Tx, entity string, actor auth.Actor, patches []map[string]any) (*fieldUse, error) {
	if len(patches) == 0 {
		set, err := s.definitions(ctx)
		if err != nil {
			return nil, err
		}
		return &fieldUse{set: set.of(entity), actor: actor}, nil
	}
	// A change of a definition waits for this transaction, and this one for a
	// change that is being made.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared($1)", int64(fieldsLock)); err != nil {
		return nil, err
	}
	set, err := s.currentFields(ctx, tx.Clients)
	if err != nil {
		return nil, err
	}
	use := &fieldUse{set: set.of(entity), actor: actor}
	return use, use.refer(ctx, tx.Clients, patches)
}

// shown leaves of a customer's custom fields what the caller may see.
func (s *Service) shown(ctx context.Context, c *Customer) (*Customer, error) {
	one := []Customer{*c}
	if err := s.show(ctx, one); err != nil {
		return nil, err
	}
	return &one[0], nil
}

// show leaves of customers' custom fields what the caller may see: fields that
// are defined, not archived, and visible to one of the caller's roles.
func (s *Service) show(ctx context.Context, cs []Customer) error {
	if !slices.ContainsFunc(cs, func(c Customer) bool { return len(c.CustomFields)+len(c.Custom) > 0 }) {
		return nil
	}
	set, err := s.definitions(ctx)
	if err != nil {
		return err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	for i := range cs {
		cs[i].CustomFields = set.visible(&actor, cs[i].CustomFields, false)
		cs[i].Custom = set.visible(&actor, cs[i].Custom, true)
	}
	return nil
}

// visible are the values that an actor may see; m itself when that is all.
func (s *fieldSet) visible(a *auth.Actor, m map[string]any, personal bool) map[string]any {
	hidden := 0
	for key := range m {
		if f := s.active(key); f == nil || f.Personal != personal || !f.visible(a) {
			hidden++
		}
	}
	if hidden == 0 {
		return m
	}
	out := make(map[string]any, len(m)-hidden)
	for key, v := range m {
		if f := s.active(key); f != nil && f.Personal == personal && f.visible(a) {
			out[key] = v
		}
	}
	return out
}

// fieldOf reads one definition. Error: ErrFieldNotFound.
func fieldOf(ctx context.Context, c *db.Clients, id uuid.UUID) (*Field, error) {
	found, err := queryFields(ctx, c, "id = $1", id)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, ErrFieldNotFound.New()
	}
	return found[0], nil
}

// errNoRow reports an empty answer to a query of one row.
func errNoRow(err error) bool { return errors.Is(err, sql.ErrNoRows) }

// escapePointer writes a key as a part of a JSON pointer.
func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// FieldKeys are the keys of the custom fields that there are and that the caller
// may see.
func (s *Service) FieldKeys(ctx context.Context) (map[string]bool, error) {
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, key := range set.keys {
		if f := set.active(key); f != nil && f.visible(&actor) {
			out[key] = true
		}
	}
	return out, nil
}
