package customers

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Bounds of free-form parts.
const (
	maxObject     = 16 << 10 // bytes of preferences or custom_fields as JSON
	maxChannels   = 50
	maxExternalID = 128
	maxTags       = 100
	maxTagName    = 64
)

var (
	genders = []string{"female", "male", "other", "unknown"}
	stages  = []string{"prospect", "new", "active", "loyal", "dormant", "lost"}

	sourcePattern   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$`)
	countryPattern  = regexp.MustCompile(`^[A-Z]{2}$`)

	earliestBirth = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
)

// apply changes c by what in says, with values brought to their normal form,
// and tells which fields differ now. Store, assistant, tags and custom fields are
// left to the service, which must ask the database about them. Pointers in faults are
// relative to the customer ("/phone").
func (c *Customer) apply(in *Input, today time.Time) (changed []string, bad faults) {
	before := *c
	c.applyPerson(in, &bad)
	if v, ok := text(in.ExternalID); ok {
		c.ExternalID = externalID(v, &bad)
	}
	choose(&c.Gender, in.Gender, genders, "/gender", &bad)
	choose(&c.LifecycleStage, in.LifecycleStage, stages, "/lifecycle_stage", &bad)
	if c.LifecycleStage != before.LifecycleStage {
		c.LifecyclePinned = true // said by somebody, and not derived until they let go of it
	}
	pattern(&c.Source, in.Source, sourcePattern, "/source", &bad)
	pattern(&c.Language, in.Language, languagePattern, "/language", &bad)
	if in.BirthDate.IsSpecified() {
		c.BirthDate = nil
		if v, err := in.BirthDate.Get(); err == nil {
			if v.Before(earliestBirth) || v.After(today) {
				bad.add("/birth_date", ErrBirthDate)
			}
			c.BirthDate = &v
		}
	}
	if in.Preferences != nil {
		c.Preferences = object(*in.Preferences, "/preferences", &bad)
	}
	if in.MarketingPreferences != nil {
		if c.MarketingPreferences = *in.MarketingPreferences; len(c.MarketingPreferences) > maxChannels {
			bad.add("/marketing_preferences", ErrTooBig, map[string]any{"max": maxChannels})
		}
	}
	return c.differences(&before), bad
}

func (c *Customer) applyPerson(in *Input, bad *faults) {
	if v, ok := text(in.Name); ok {
		c.Name = normal(v, pii.NormalizeName, "/name", bad)
	}
	if v, ok := text(in.Phone); ok {
		c.Phone, c.PhoneKind = "", ""
		if v != nil {
			p, err := pii.ParsePhone(*v, "")
			if err != nil {
				bad.add("/phone", fromPII(err))
			}
			c.Phone, c.PhoneKind = p.E164, string(p.Kind)
		}
	}
	if v, ok := text(in.Email); ok {
		c.Email = normal(v, func(raw string) (string, error) {
			e, err := pii.NormalizeEmail(raw)
			return e.Address, err
		}, "/email", bad)
	}
	if v, ok := text(in.CardNumber); ok {
		c.Card = normal(v, pii.NormalizeCard, "/card_number", bad)
	}
	if in.Address.IsSpecified() {
		c.Address = nil
		if a, err := in.Address.Get(); err == nil {
			c.Address = address(a, "/address", bad)
		}
		if c.Address == nil {
			c.About = AddressAbout{}
		}
	}
}

// text reads an optional string: specified or not, and nil for null.
func text(n nullable.Nullable[string]) (*string, bool) {
	if !n.IsSpecified() {
		return nil, false
	}
	if v, err := n.Get(); err == nil {
		return &v, true
	}
	return nil, true
}

func normal(raw *string, f func(string) (string, error), pointer string, bad *faults) string {
	if raw == nil {
		return ""
	}
	v, err := f(*raw)
	if err != nil {
		bad.add(pointer, fromPII(err))
	}
	return v
}

func externalID(raw *string, bad *faults) *string {
	if raw == nil {
		return nil
	}
	v := strings.TrimSpace(*raw)
	switch {
	case v == "" || strings.ContainsFunc(v, unicode.IsControl) || !utf8.ValidString(v):
		bad.add("/external_id", ErrValue)
	case utf8.RuneCountInString(v) > maxExternalID:
		bad.add("/external_id", ErrTooLong, map[string]any{"max": maxExternalID})
	}
	return &v
}

func choose(to *string, v *string, from []string, pointer string, bad *faults) {
	if v == nil {
		return
	}
	if !slices.Contains(from, *v) {
		bad.add(pointer, ErrValue)
	}
	*to = *v
}

func pattern(to *string, v *string, wanted *regexp.Regexp, pointer string, bad *faults) {
	if v == nil {
		return
	}
	if len(*v) > 64 || !wanted.MatchString(*v) {
		bad.add(pointer, ErrValue)
	}
	*to = *v
}

// address trims the parts; an address without any is none.
func address(a Address, pointer string, bad *faults) *Address {
	for _, p := range []struct {
		name string
		v    *string
		max  int
	}{
		{"region", &a.Region, 100}, {"city", &a.City, 100}, {"district", &a.District, 100},
		{"line1", &a.Line1, 200}, {"line2", &a.Line2, 200}, {"postal_code", &a.PostalCode, 20},
	} {
		*p.v = strings.TrimSpace(*p.v)
		switch {
		case utf8.RuneCountInString(*p.v) > p.max:
			bad.add(pointer+"/"+p.name, ErrTooLong, map[string]any{"max": p.max})
		case !utf8.ValidString(*p.v) || strings.ContainsRune(*p.v, 0):
			bad.add(pointer+"/"+p.name, ErrValue)
		}
	}
	if a.Country != "" && !countryPattern.MatchString(a.Country) {
		bad.add(pointer+"/country", ErrValue)
	}
	if a == (Address{}) {
		return nil
	}
	return &a
}

// object bounds a free-form object and refuses what PostgreSQL's jsonb cannot hold.
func object(m map[string]any, pointer string, bad *faults) map[string]any {
	if len(m) == 0 {
		return nil
	}
	raw, err := json.Marshal(m)
	switch {
	case err != nil || strings.Contains(string(raw), `\u0000`):
		bad.add(pointer, ErrValue)
	case len(raw) > maxObject:
		bad.add(pointer, ErrTooBig, map[string]any{"max": maxObject})
	}
	return m
}

// differences names the fields in which two states of a customer differ.
func (c *Customer) differences(old *Customer) []string {
	var out []string
	note := func(name string, differs bool) {
		if differs {
			out = append(out, name)
		}
	}
	note("external_id", deref(c.ExternalID) != deref(old.ExternalID))
	note("name", c.Name != old.Name)
	note("phone", c.Phone != old.Phone)
	note("email", c.Email != old.Email)
	note("card_number", c.Card != old.Card)
	note("address", !reflect.DeepEqual(c.Address, old.Address) || c.About != old.About)
	note("gender", c.Gender != old.Gender)
	note("birth_date", !sameTime(c.BirthDate, old.BirthDate))
	note("language", c.Language != old.Language)
	note("source", c.Source != old.Source)
	note("lifecycle_stage", c.LifecycleStage != old.LifecycleStage || c.LifecyclePinned != old.LifecyclePinned)
	note("home_store_id", c.storeID() != old.storeID())
	note("assigned_staff_id", c.staffID() != old.staffID())
	note("preferences", !sameJSON(c.Preferences, old.Preferences))
	note("marketing_preferences", !maps.Equal(c.MarketingPreferences, old.MarketingPreferences))
	note("custom_fields", !sameJSON(c.CustomFields, old.CustomFields) || !sameJSON(c.Custom, old.Custom))
	note("tags", !slices.Equal(c.TagIDs, old.TagIDs) || !maps.EqualFunc(c.TagExpiries, old.TagExpiries, time.Time.Equal))
	return out
}

// sameJSON compares by text: a number read from a request is not of the same
// Go type as one read from the database.
func sameJSON(a, b map[string]any) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// identified reports whether there is anything to know the customer by.
func (c *Customer) identified() bool {
	return c.Name != "" || c.Phone != "" || c.Email != "" || c.Card != "" || c.ExternalID != nil
}

// newCustomer is a customer with defaults only.
func newCustomer(id uuid.UUID, now time.Time) Customer {
	return Customer{ID: id, Gender: "unknown", Language: "zh-CN", Source: "staff", LifecycleStage: "prospect", Version: 1, CreatedAt: now, UpdatedAt: now, factsKnown: true}
}

// tagName is the normal form of a tag's name.
func tagName(raw string) (string, *apperr.Definition) {
	v := strings.Join(strings.Fields(raw), " ")
	if v == "" || utf8.RuneCountInString(v) > maxTagName || !utf8.ValidString(v) || strings.ContainsFunc(v, unicode.IsControl) {
		return "", ErrTagName
	}
	return v, nil
}

// prefix puts the faults of one customer below a place in the request.
func (f faults) under(base string) faults {
	for i := range f {
		f[i].Pointer = base + f[i].Pointer
	}
	return f
}
