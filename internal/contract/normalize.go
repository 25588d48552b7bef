package contract

import (
	"errors"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
)

// normalize lets the validator accept null where the document means it.
//
// OpenAPI 3.0 has no other way to write a nullable reference than
// {nullable: true, allOf: [ref]}, and generators read it so; taken literally,
// null still fails the referenced schema, and a nullable enum without null in
// its list never accepts null. Each such schema becomes a copy of what it
// refers to that accepts null. A reference wrapped for its default alone becomes
// a copy too: of an allOf the validator says no more than that it does not match.
// It changes only the copy in memory.
func normalize(spec *openapi3.T) {
	seen := map[*openapi3.Schema]bool{}
	var schema func(ref *openapi3.SchemaRef)
	content := func(c openapi3.Content) {
		for _, media := range c {
			schema(media.Schema)
		}
	}
	schema = func(ref *openapi3.SchemaRef) {
		if ref == nil || ref.Value == nil || seen[ref.Value] {
			return
		}
		s := ref.Value
		seen[s] = true
		if len(s.AllOf) == 1 && len(s.Properties) == 0 {
			nullable, standard := s.Nullable, s.Default
			*s = *s.AllOf[0].Value
			s.Nullable = s.Nullable || nullable
			s.Enum = slices.Clone(s.Enum)
			if standard != nil {
				s.Default = standard
			}
		}
		if s.Nullable && len(s.Enum) > 0 && !slices.Contains(s.Enum, nil) {
			s.Enum = append(s.Enum, nil)
		}
		for _, p := range s.Properties {
			schema(p)
		}
		schema(s.Items)
		schema(s.AdditionalProperties.Schema)
		for _, list := range []openapi3.SchemaRefs{s.AllOf, s.OneOf, s.AnyOf} {
			for _, p := range list {
				schema(p)
			}
		}
	}
	if spec.Components == nil {
		spec.Components = &openapi3.Components{}
	}
	for _, s := range spec.Components.Schemas {
		schema(s)
	}
	for _, p := range spec.Components.Parameters {
		schema(p.Value.Schema)
	}
	for _, r := range spec.Components.Responses {
		content(r.Value.Content)
	}
	for _, r := range spec.Components.RequestBodies {
		content(r.Value.Content)
	}
	for _, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			for _, p := range op.Parameters {
				schema(p.Value.Schema)
			}
			if op.RequestBody != nil {
				content(op.RequestBody.Value.Content)
			}
			for _, r := range op.Responses.Map() {
				content(r.Value.Content)
			}
		}
	}
}

var errFormat = errors.New("not of this format")

// formats are those that the generated code parses, checked here as strictly as
// there, so that a value which passes never fails while it is being bound.
var formats = openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
	"uuid": format(func(v string) bool { return len(v) == 36 && uuid.Validate(v) == nil }),
	"date-time": format(func(v string) bool {
		t, err := time.Parse(time.RFC3339, v)
		return err == nil && t.Year() >= 1
	}),
	"date": format(func(v string) bool {
		t, err := time.Parse(time.DateOnly, v)
		return err == nil && t.Year() >= 1
	}),
})

func format(valid func(string) bool) openapi3.StringFormatValidator {
	return openapi3.NewCallbackValidator(func(v string) error {
		if valid(v) {
			return nil
		}
		return errFormat
	})
}
