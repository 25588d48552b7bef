package forms

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// Definition is what a form asks, as it is kept and as the contract writes it.
type Definition struct {
	Fields     []Field   `json:"fields"`
	Consents   []Consent `json:"consents,omitempty"`
	MatchBy    []string  `json:"match_by"`
	OnMatch    string    `json:"on_match"` // update, fill_empty, refuse
	ForMembers bool      `json:"for_members,omitempty"`
}

// Field is one thing that is asked.
type Field struct {
	Key      string            `json:"key"`
	Kind     string            `json:"kind"` // customer_field, custom_field, question
	Target   string            `json:"target,omitempty"`
	Answer   string            `json:"answer,omitempty"` // of a question: text, number, boolean, date, choice, multi_choice
	Choices  []string          `json:"choices,omitempty"`
	Required bool              `json:"required,omitempty"`
	Label    map[string]string `json:"label"`
	Help     map[string]string `json:"help,omitempty"`
}

// Consent is a consent that is asked for.
type Consent struct {
	Purpose  string `json:"purpose"`
	Required bool   `json:"required,omitempty"`
}

const (
	customerField = "customer_field"
	customField   = "custom_field"
	question      = "question"

	maxAnswer = 4000 // characters of a text
)

var customerTargets = []string{"name", "phone", "email", "card_number", "external_id", "gender", "birth_date", "language", "address"}

func invalid(pointer string, d *apperr.Definition) apperr.Field {
	return apperr.Field{Pointer: pointer, Code: d.Code}
}

// check tells what of a definition does not fit; custom are the keys of the
// custom fields there are.
func (d *Definition) check(custom map[string]bool) error {
	var bad []apperr.Field
	keys, taken := map[string]bool{}, map[string]bool{}
	for i, f := range d.Fields {
		at := "/definition/fields/" + itoa(i)
		if keys[f.Key] {
			bad = append(bad, invalid(at+"/key", ErrDefinition))
		}
		keys[f.Key] = true
		choice := f.Answer == "choice" || f.Answer == "multi_choice"
		switch {
		case f.Kind == question && (f.Target != "" || f.Answer == ""),
			f.Kind != question && (f.Answer != "" || len(f.Choices) > 0),
			f.Kind == question && choice != (len(f.Choices) > 0):
			bad = append(bad, invalid(at, ErrDefinition))
		case f.Kind == customerField && !slices.Contains(customerTargets, f.Target), f.Kind == customField && !custom[f.Target]:
			bad = append(bad, invalid(at+"/target", ErrDefinition))
		}
		if f.Kind != question {
			if taken[f.Kind+f.Target] {
				bad = append(bad, invalid(at+"/target", ErrDefinition))
			}
			taken[f.Kind+f.Target] = true
		}
	}
	for i, m := range d.MatchBy {
		if !taken[customerField+m] {
			bad = append(bad, invalid("/definition/match_by/"+itoa(i), ErrDefinition))
		}
	}
	purposes := map[string]bool{}
	for i, c := range d.Consents {
		if purposes[c.Purpose] {
			bad = append(bad, invalid("/definition/consents/"+itoa(i)+"/purpose", ErrDefinition))
		}
		purposes[c.Purpose] = true
	}
	return faulty(bad)
}

func faulty(bad []apperr.Field) error {
	switch len(bad) {
	case 0:
		return nil
	case 1:
		return &apperr.Error{Def: apperr.Lookup(bad[0].Code), Args: bad[0].Args, Fields: bad}
	}
	err := apperr.ErrInvalid.New()
	err.Fields = bad
	return err
}

// read makes of answers what is written about the customer.
func (d *Definition) read(answers map[string]any) (customers.Input, error) {
	var in customers.Input
	var bad []apperr.Field
	known := map[string]bool{}
	custom := map[string]any{}
	for _, f := range d.Fields {
		known[f.Key] = true
		v, given := answers[f.Key]
		at := "/answers/" + f.Key
		if !given || v == nil || v == "" {
			if f.Required {
				bad = append(bad, invalid(at, ErrAnswerNeeded))
			}
			continue
		}
		switch {
		case f.Kind == customField:
			custom[f.Target] = v
		case f.Kind == customerField && !assign(&in, f.Target, v), f.Kind == question && !f.answers(v):
			bad = append(bad, invalid(at, ErrAnswer))
		}
	}
	for key := range answers {
		if !known[key] {
			bad = append(bad, invalid("/answers/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), ErrAnswerUnknown))
		}
	}
	if len(custom) > 0 {
		in.CustomFields = &custom
	}
	slices.SortFunc(bad, func(a, b apperr.Field) int { return strings.Compare(a.Pointer, b.Pointer) })
	return in, faulty(bad)
}

// assign puts an answer into a field of the customer; what it must look like is
// for the rules of customers to say.
func assign(in *customers.Input, target string, v any) bool {
	if target == "address" {
		parts, ok := v.(map[string]any)
		if !ok {
			return false
		}
		var a customers.Address
		to := map[string]*string{"country": &a.Country, "region": &a.Region, "city": &a.City, "district": &a.District, "line1": &a.Line1, "line2": &a.Line2, "postal_code": &a.PostalCode}
		for name, raw := range parts {
			text, ok := raw.(string)
			if !ok || to[name] == nil {
				return false
			}
			*to[name] = text
		}
		in.Address = nullable.NewNullableWithValue(a)
		return true
	}
	text, ok := v.(string)
	if !ok {
		return false
	}
	some := nullable.NewNullableWithValue(text)
	switch target {
	case "name":
		in.Name = some
	case "phone":
		in.Phone = some
	case "email":
		in.Email = some
	case "card_number":
		in.CardNumber = some
	case "external_id":
		in.ExternalID = some
	case "gender":
		in.Gender = &text
	case "language":
		in.Language = &text
	case "birth_date":
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return false
		}
		in.BirthDate = nullable.NewNullableWithValue(day)
	}
	return true
}

// answers reports whether a value answers a question.
func (f *Field) answers(v any) bool {
	text, isText := v.(string)
	switch f.Answer {
	case "text":
		return isText && utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxAnswer
	case "number":
		n, ok := v.(float64)
		return ok && !math.IsNaN(n) && !math.IsInf(n, 0)
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "date":
		_, err := time.Parse(time.DateOnly, text)
		return isText && err == nil
	case "choice":
		return isText && slices.Contains(f.Choices, text)
	case "multi_choice":
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(one any) bool {
			text, ok := one.(string)
			return !ok || !slices.Contains(f.Choices, text)
		})
	}
	return false
}

// refs are the identifiers that the customer may be found by, in order, with the
// key of the answer each came from.
func (d *Definition) refs(in *customers.Input) (refs []customers.Ref, keys []string) {
	for _, m := range d.MatchBy {
		var r customers.Ref
		switch m {
		case "phone":
			r.Phone, _ = in.Phone.Get()
		case "card_number":
			r.CardNumber, _ = in.CardNumber.Get()
		case "external_id":
			r.ExternalID, _ = in.ExternalID.Get()
		}
		if r != (customers.Ref{ID: uuid.Nil}) {
			refs, keys = append(refs, r), append(keys, d.key(customerField, m))
		}
	}
	return refs, keys
}

// key is that of the answer which a field is filled from.
func (d *Definition) key(kind, target string) string {
	for _, f := range d.Fields {
		if f.Kind == kind && f.Target == target {
			return f.Key
		}
	}
	return ""
}

// pointAtAnswers lets an error about a customer name the answers it is about.
func (d *Definition) pointAtAnswers(err error) error {
	e := apperr.From(err)
	if e == nil {
		return err
	}
	for i := range e.Fields {
		field, rest, _ := strings.Cut(strings.TrimPrefix(e.Fields[i].Pointer, "/"), "/")
		key := d.key(customerField, field)
		if field == "custom_fields" {
			target, deeper, _ := strings.Cut(rest, "/")
			key, rest = d.key(customField, target), deeper
		}
		if key == "" {
			continue
		}
		e.Fields[i].Pointer = "/answers/" + key
		if rest != "" {
			e.Fields[i].Pointer += "/" + rest
		}
	}
	return err
}

// agreed checks the consents that were given against those that were asked for.
func (d *Definition) agreed(given []Given) error {
	var bad []apperr.Field
	have := map[string]bool{}
	for i, g := range given {
		if have[g.Purpose] || !slices.ContainsFunc(d.Consents, func(c Consent) bool { return c.Purpose == g.Purpose }) {
			bad = append(bad, invalid("/consents/"+itoa(i)+"/purpose", ErrConsentUnknown))
		}
		have[g.Purpose] = true
	}
	for _, c := range d.Consents {
		if c.Required && !have[c.Purpose] {
			bad = append(bad, apperr.Field{Pointer: "/consents", Code: ErrConsentNeeded.Code, Args: map[string]any{"purpose": c.Purpose}})
		}
	}
	return faulty(bad)
}
