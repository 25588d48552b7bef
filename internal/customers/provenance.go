package customers

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/schema"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// Where the value of each field came from is kept on the customer's row, written
// with it and by nothing else. What the business itself decides (store,
// assistant, stage, tags) is in the audit log only.

// collected are the fields that have a provenance; each custom field has its own.
var collected = []string{"external_id", "name", "phone", "email", "card_number", "address", "gender", "birth_date", "language", "preferences", "marketing_preferences"}

// Collection is how a caller got what they write about a customer.
type Collection struct {
	Channel      string // none: the source of a new customer, else what the caller is
	ConsentShown bool   // a text to consent to was shown to the customer
}

// By is where a whole operation's values come from.
type By struct {
	Collection
	Via  string // import:… or form:… with an id
	Self bool   // the customer said it themselves, whoever writes it down
}

type byKey struct{}

// WithProvenance marks what is written in a context with where it comes from.
func WithProvenance(ctx context.Context, by By) context.Context {
	return context.WithValue(ctx, byKey{}, by)
}

// origin is that of a write of a customer; made says that it makes them.
func originOf(ctx context.Context, in *Input, c *Customer, now time.Time, made bool) schema.Origin {
	by, _ := ctx.Value(byKey{}).(By)
	if in != nil && in.Collection != nil {
		by.Collection = *in.Collection
	}
	out := schema.Origin{Channel: by.Channel, At: now.Unix(), Via: by.Via, Consent: by.ConsentShown}
	actor, err := auth.From(ctx)
	if err == nil {
		out.By = string(actor.Kind)
		if actor.ID != uuid.Nil {
			out.By = actor.Principal()
		}
	}
	if by.Self {
		out.By = string(auth.KindMember) + ":" + c.ID.String()
	}
	if id := importOf(ctx); id != uuid.Nil {
		out.Via = "import:" + id.String()
	}
	switch {
	case out.Channel != "":
	case made:
		out.Channel = c.Source
	case importOf(ctx) != uuid.Nil:
		out.Channel = "import"
	case by.Self:
		out.Channel = string(auth.KindMember)
	default:
		out.Channel = string(actor.Kind)
	}
	return out
}

// record is the origin of a row from before there was provenance.
func (c *Customer) record() schema.Origin {
	return schema.Origin{Channel: c.Source, At: c.CreatedAt.Unix()}
}

// origin is where a field's value came from.
func (c *Customer) origin(field string) schema.Origin {
	if c.provenance == nil || len(c.provenance.Origins) == 0 {
		return c.record()
	}
	n := c.provenance.Fields[field]
	if n < 0 || n >= len(c.provenance.Origins) {
		n = 0
	}
	return c.provenance.Origins[n]
}

// stamp gives fields an origin. The customer's provenance is replaced, never
// changed: states of a customer share it.
func (c *Customer) stamp(o schema.Origin, fields ...string) {
	if len(fields) == 0 {
		return
	}
	next := schema.Provenance{Fields: map[string]int{}}
	add := func(o schema.Origin) int {
		if i := slices.Index(next.Origins, o); i >= 0 {
			return i
		}
		next.Origins = append(next.Origins, o)
		return len(next.Origins) - 1
	}
	add(c.first())
	if c.provenance != nil {
		for field := range c.provenance.Fields {
			if !slices.Contains(fields, field) {
				next.Fields[field] = 0
			}
		}
	}
	for field := range next.Fields {
		next.Fields[field] = add(c.origin(field))
	}
	for _, field := range fields {
		next.Fields[field] = add(o)
	}
	for field, n := range next.Fields {
		if n == 0 {
			delete(next.Fields, field)
		}
	}
	c.provenance = &next
}

func (c *Customer) first() schema.Origin {
	if c.provenance == nil || len(c.provenance.Origins) == 0 {
		return c.record()
	}
	return c.provenance.Origins[0]
}

// sourced are the fields of a change that have a provenance: of custom fields
// those whose values differ.
func (c *Customer) sourced(old *Customer, changed []string) []string {
	var out []string
	for _, field := range changed {
		switch {
		case slices.Contains(collected, field):
			out = append(out, field)
		case field == "custom_fields":
			out = append(out, differing(old.CustomFields, c.CustomFields)...)
			out = append(out, differing(old.Custom, c.Custom)...)
		}
	}
	return out
}

// differing names the custom fields in which two states differ.
func differing(old, now map[string]any) []string {
	var out []string
	for key, v := range now {
		if w, ok := old[key]; !ok || !sameText(v, w) {
			out = append(out, customPrefix+key)
		}
	}
	for key := range old {
		if _, ok := now[key]; !ok {
			out = append(out, customPrefix+key)
		}
	}
	return out
}

// adopt takes over where another customer's values of a field came from. Of a
// field that holds several things those it has from the other one.
func (c *Customer) adopt(f *mergeField, side Side, before, other *Customer) {
	switch {
	case f.name == "custom_fields":
		for _, pair := range [][2]map[string]any{{before.CustomFields, other.CustomFields}, {before.Custom, other.Custom}} {
			for key := range pair[1] {
				if _, own := pair[0][key]; !own || side == OfMerged {
					c.stamp(other.origin(customPrefix+key), customPrefix+key)
				}
			}
		}
	case side == OfMerged && slices.Contains(collected, f.name):
		c.stamp(other.origin(f.name), f.name)
	}
}

// FieldOrigin is where the value of one field came from.
type FieldOrigin struct {
	Field string
	schema.Origin
}

// ProvenanceOf tells where the values of a customer's fields came from: those
// that have one and that the caller may see. Error: ErrNotFound.
func (s *Service) ProvenanceOf(ctx context.Context, id uuid.UUID) ([]FieldOrigin, error) {
	row, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	whole, err := open(s.keys, row)
	if err != nil {
		return nil, err
	}
	c, err := s.shown(ctx, &whole)
	if err != nil {
		return nil, err
	}
	var out []FieldOrigin
	for i := range mergeFields {
		f := &mergeFields[i]
		if slices.Contains(collected, f.name) && !f.empty(c) {
			out = append(out, FieldOrigin{f.name, c.origin(f.name)})
		}
	}
	var custom []FieldOrigin
	for _, values := range []map[string]any{c.CustomFields, c.Custom} {
		for key := range values {
			custom = append(custom, FieldOrigin{customPrefix + key, c.origin(customPrefix + key)})
		}
	}
	slices.SortFunc(custom, func(a, b FieldOrigin) int { return strings.Compare(a.Field, b.Field) })
	return append(out, custom...), nil
}
