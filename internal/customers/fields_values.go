package customers

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Bounds of values.
const (
	defaultTextLength = 256 // also the longest text that is indexed whole
	maxTextLength     = 4000
	maxNumber         = 1e15
)

// fieldUse judges and takes over the custom fields of inputs.
type fieldUse struct {
	set   *fieldSet
	actor auth.Actor
	known map[string]bool // target and id of the references that exist, within the caller's scope
}

// assign changes a customer's custom fields by an input, by all rules; old is
// the customer before, nil for a new one.
func (u *fieldUse) assign(c *Customer, in *Input, old *Customer, bad *faults) {
	w := fieldWrite{plain: &c.CustomFields, personal: &c.Custom, store: c.storeID(), made: old == nil, lenient: in.nameless}
	if in.CustomFields != nil {
		w.patch = *in.CustomFields
	}
	w.moved = old != nil && old.storeID() != c.storeID()
	u.judge(&w, bad)
	if len(w.patch) > 0 || old == nil {
		c.CustomFields = object(c.CustomFields, "/custom_fields", bad)
		c.Custom = object(c.Custom, "/custom_fields", bad)
	}
}

// fieldWrite is a change of the custom fields of one record.
type fieldWrite struct {
	plain, personal *map[string]any // by all rules; both may be the same
	patch           map[string]any  // nil members are removed
	store           uuid.UUID       // whose records must have what is required there
	made            bool            // a new record, which gets defaults
	moved           bool            // to that store
	lenient         bool            // defaults and required fields are not for it
}

// judge does a change, and says what is wrong with it.
func (u *fieldUse) judge(w *fieldWrite, bad *faults) {
	if len(w.patch) > 0 {
		shared := w.plain == w.personal
		if *w.plain = maps.Clone(*w.plain); !shared {
			*w.personal = maps.Clone(*w.personal)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.patch)) {
		pointer := "/custom_fields/" + escapePointer(key)
		f := u.set.active(key)
		switch {
		case f == nil || !f.visible(&u.actor):
			bad.add(pointer, ErrFieldUnknown)
		case !f.editable(&u.actor):
			bad.add(pointer, ErrFieldReadOnly)
		default:
			v, fault := f.normalize(w.patch[key])
			if fault == nil && f.Kind == FieldReference && v != nil && !u.known[f.ReferenceTo+v.(string)] {
				fault = &apperr.Field{Code: ErrFieldReference.Code}
			}
			if fault != nil {
				fault.Pointer = pointer + fault.Pointer
				*bad = append(*bad, *fault)
				continue
			}
			w.set(f, v)
		}
	}
	for _, key := range u.set.keys {
		f := u.set.active(key)
		if f == nil {
			continue
		}
		_, given := w.patch[key]
		if w.made && !given && len(f.Default) > 0 && !w.lenient {
			if v, fault := f.parse(f.Default); fault == nil {
				w.set(f, v)
			}
		}
		// Records from before the rule may be changed in other respects.
		if (w.made && !w.lenient || given || w.moved) && f.Required.in(w.store) && !w.has(f) &&
			!slices.ContainsFunc(*bad, func(b apperr.Field) bool { return b.Pointer == "/custom_fields/"+escapePointer(key) }) {
			bad.add("/custom_fields/"+escapePointer(key), ErrFieldRequired)
		}
	}
}

func (w *fieldWrite) values(f *Field) *map[string]any {
	if f.Personal {
		return w.personal
	}
	return w.plain
}

func (w *fieldWrite) set(f *Field, v any) {
	m := w.values(f)
	if v == nil {
		delete(*m, f.Key)
		return
	}
	if *m == nil {
		*m = map[string]any{}
	}
	(*m)[f.Key] = v
}

func (w *fieldWrite) has(f *Field) bool { return (*w.values(f))[f.Key] != nil }

func fault(d *apperr.Definition, args ...any) *apperr.Field {
	out := &apperr.Field{Code: d.Code}
	for i := 0; i+1 < len(args); i += 2 {
		if out.Args == nil {
			out.Args = map[string]any{}
		}
		out.Args[args[i].(string)] = args[i+1]
	}
	return out
}

// normalize brings a value of a request to the form it is kept in: text,
// float64, bool, or a sorted list of texts. nil means none.
func (f *Field) normalize(raw any) (any, *apperr.Field) {
	if raw == nil {
		return nil, nil
	}
	if c, ok := raw.(Cell); ok {
		return f.cell(c)
	}
	wrong := fault(ErrFieldKind, "kind", string(f.Kind))
	switch f.Kind {
	case FieldText:
		v, ok := raw.(string)
		if !ok {
			return nil, wrong
		}
		return f.text(v)
	case FieldNumber:
		return f.number(raw)
	case FieldBoolean:
		v, ok := raw.(bool)
		if !ok {
			return nil, wrong
		}
		return v, nil
	case FieldMultiChoice:
		list, ok := raw.([]any)
		if !ok {
			return nil, wrong
		}
		return f.choices(list)
	}
	v, ok := raw.(string)
	if !ok {
		return nil, wrong
	}
	switch f.Kind {
	case FieldDate:
		return f.date(v)
	case FieldChoice:
		return f.chosen(v)
	case FieldReference:
		id, err := uuid.Parse(v)
		if err != nil || len(v) != 36 {
			return nil, fault(ErrFieldReference)
		}
		return id.String(), nil
	}
	return nil, wrong
}

func (f *Field) text(v string) (any, *apperr.Field) {
	v = strings.TrimSpace(v)
	if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return nil, fault(ErrFieldPattern)
	}
	n, least, most := utf8.RuneCountInString(v), 1, defaultTextLength
	if p := f.Validation.MinLength; p != nil {
		least = max(*p, 1)
	}
	if p := f.Validation.MaxLength; p != nil {
		most = *p
	}
	if n < least || n > most {
		return nil, fault(ErrFieldLength, "min", least, "max", most)
	}
	if f.pattern != nil && !f.pattern.MatchString(v) {
		return nil, fault(ErrFieldPattern)
	}
	return v, nil
}

func (f *Field) number(raw any) (any, *apperr.Field) {
	var v float64
	switch n := raw.(type) {
	case float64:
		v = n
	case json.Number:
		var err error
		if v, err = n.Float64(); err != nil {
			return nil, fault(ErrFieldRange)
		}
	case int64:
		v = float64(n)
	case int:
		v = float64(n)
	default:
		return nil, fault(ErrFieldKind, "kind", string(f.Kind))
	}
	w := f.Validation
	if math.IsNaN(v) || math.Abs(v) > maxNumber || w.Integer && v != math.Trunc(v) || w.Min != nil && v < *w.Min || w.Max != nil && v > *w.Max {
		return nil, fault(ErrFieldRange)
	}
	return v + 0, nil // no negative zero
}

func (f *Field) date(v string) (any, *apperr.Field) {
	if !validDate(v) {
		return nil, fault(ErrFieldKind, "kind", string(f.Kind))
	}
	if w := f.Validation; w.MinDate != nil && v < *w.MinDate || w.MaxDate != nil && v > *w.MaxDate {
		return nil, fault(ErrFieldRange)
	}
	return v, nil
}

// validDate reports a date of the years 1000 to 2999.
func validDate(v string) bool {
	t, err := time.Parse(time.DateOnly, v)
	return err == nil && t.Year() >= 1000 && t.Year() < 3000
}

func (f *Field) chosen(v string) (any, *apperr.Field) {
	c := f.choice(v)
	switch {
	case c == nil:
		return nil, fault(ErrFieldChoice)
	case c.ReplacedBy != "":
		return c.ReplacedBy, nil
	}
	return c.Value, nil
}

func (f *Field) choices(list []any) (any, *apperr.Field) {
	seen := map[string]bool{}
	for i, raw := range list {
		v, ok := raw.(string)
		if !ok {
			return nil, fault(ErrFieldKind, "kind", string(f.Kind))
		}
		one, bad := f.chosen(v)
		if bad != nil {
			bad.Pointer = "/" + itoa(i)
			return nil, bad
		}
		seen[one.(string)] = true
	}
	if len(seen) == 0 {
		return nil, nil
	}
	out := make([]any, 0, len(seen))
	for _, v := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, v)
	}
	return out, nil
}

// parse reads values given as text (defaults, filters) and judges them.
func (f *Field) parse(values []string) (any, *apperr.Field) {
	if f.Kind == FieldMultiChoice {
		list := make([]any, len(values))
		for i := range values {
			list[i] = values[i]
		}
		return f.normalize(list)
	}
	if len(values) != 1 {
		return nil, fault(ErrFieldKind, "kind", string(f.Kind))
	}
	switch v := values[0]; f.Kind {
	case FieldNumber:
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return nil, fault(ErrFieldKind, "kind", string(f.Kind))
		}
		return f.normalize(n)
	case FieldBoolean:
		if v != "true" && v != "false" {
			return nil, fault(ErrFieldKind, "kind", string(f.Kind))
		}
		return v == "true", nil
	default:
		return f.normalize(v)
	}
}

// refer asks which of the things that patches refer to exist, set-based and as
// far as the caller sees.
func (u *fieldUse) refer(ctx context.Context, tx *db.Clients, patches []map[string]any) error {
	wanted := map[string][]uuid.UUID{}
	for _, patch := range patches {
		for key, raw := range patch {
			f := u.set.active(key)
			v, ok := raw.(string)
			if c, from := raw.(Cell); from {
				v, ok = strings.TrimSpace(c.Text), true
			}
			if ok && f != nil && f.Kind == FieldReference {
				if id, err := uuid.Parse(v); err == nil {
					wanted[f.ReferenceTo] = append(wanted[f.ReferenceTo], id)
				}
			}
		}
	}
	u.known = map[string]bool{}
	for target, ids := range wanted {
		ids = unique(ids)
		var found []uuid.UUID
		var err error
		switch target {
		case "customer":
			found, err = tx.CRM.Customer.Query().Where(customer.IDIn(ids...)).IDs(ctx)
		case "store":
			found, err = tx.Platform.Store.Query().Where(store.IDIn(ids...)).IDs(ctx)
		case "staff":
			found, err = tx.Platform.Staff.Query().Where(staff.IDIn(ids...)).IDs(ctx)
		case "product":
			found, err = tx.Commerce.Product.Query().Where(product.IDIn(ids...)).IDs(ctx)
		}
		if err != nil {
			return err
		}
		for _, id := range found {
			u.known[target+id.String()] = true
		}
	}
	return nil
}
