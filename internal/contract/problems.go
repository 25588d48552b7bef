package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
)

// maxFields bounds the answer to a body with a thousand faulty rows.
const maxFields = 50

// faults gathers the single faults of one request.
type faults []apperr.Field

func (f *faults) add(pointer string, d *apperr.Definition, args map[string]any) {
	if len(*f) < maxFields {
		*f = append(*f, apperr.Field{Pointer: pointer, Code: d.Code, Args: args})
	}
}

func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	err := apperr.ErrInvalid.New()
	err.Fields = f
	return err
}

// addParameter reads what the validator says about one parameter.
func (f *faults) addParameter(p *openapi3.Parameter, err error) {
	pointer := parameterPointer(p)
	var schemaErr *openapi3.SchemaError
	switch {
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		f.add(pointer, errRequired, nil)
	case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		f.add(pointer, errEmpty, nil)
	case errors.As(err, &schemaErr):
		f.addSchema(pointer, err)
	default: // it could not be read as its type
		f.add(pointer, errType, map[string]any{"expected": typeName(p.Schema.Value)})
	}
}

func parameterPointer(p *openapi3.Parameter) string {
	switch p.In {
	case openapi3.ParameterInQuery:
		return "?" + p.Name
	case openapi3.ParameterInPath:
		return "{" + p.Name + "}"
	default:
		return p.Name + ":"
	}
}

// addSchema reads what the validator says about a value, below a pointer.
func (f *faults) addSchema(base string, err error) {
	switch e := err.(type) {
	case openapi3.MultiError:
		for _, one := range e {
			f.addSchema(base, one)
		}
	case *openapi3filter.RequestError:
		f.addSchema(base, e.Err)
	case *openapi3.SchemaError:
		f.addOne(base+pointerOf(e.JSONPointer()), e)
	default:
		f.add(base, errValue, nil)
	}
}

func (f *faults) addOne(pointer string, e *openapi3.SchemaError) {
	s := e.Schema
	switch e.SchemaField {
	case "properties":
		// The validator names the object only; the field is in its message.
		if name, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(e.Reason, "property "), " is unsupported")); err == nil {
			pointer += pointerOf([]string{name})
		}
		f.add(pointer, errUnknownField, nil)
	case "required":
		f.add(pointer, errRequired, nil)
	case "nullable":
		f.add(pointer, errNotNull, nil)
	case "type":
		f.add(pointer, errType, map[string]any{"expected": typeName(s)})
	case "enum":
		f.add(pointer, errEnum, map[string]any{"allowed": allowed(s)})
	case "minimum", "exclusiveMinimum":
		f.add(pointer, errMinimum, map[string]any{"min": number(s.Min)})
	case "maximum", "exclusiveMaximum":
		f.add(pointer, errMaximum, map[string]any{"max": number(s.Max)})
	case "minLength":
		f.add(pointer, errMinLength, map[string]any{"min": s.MinLength})
	case "maxLength":
		f.add(pointer, errMaxLength, map[string]any{"max": *s.MaxLength})
	case "pattern":
		f.add(pointer, errPattern, map[string]any{"pattern": s.Pattern})
	case "format":
		f.add(pointer, errFormatInvalid, map[string]any{"format": s.Format})
	case "minItems":
		f.add(pointer, errMinItems, map[string]any{"min": s.MinItems})
	case "maxItems":
		f.add(pointer, errMaxItems, map[string]any{"max": *s.MaxItems})
	case "uniqueItems":
		f.add(pointer, errUniqueItems, nil)
	case "multipleOf":
		f.add(pointer, errMultipleOf, map[string]any{"step": number(s.MultipleOf)})
	case "minProperties", "maxProperties":
		f.addCount(pointer, e)
	default:
		f.add(pointer, errValue, nil)
	}
}

// addCount tells how many fields an object needs, by name where it has names.
func (f *faults) addCount(pointer string, e *openapi3.SchemaError) {
	s := e.Schema
	fields := map[string]any{"fields": strings.Join(slices.Sorted(maps.Keys(s.Properties)), ", ")}
	switch {
	case len(s.Properties) > 0 && s.MinProps == 1 && s.MaxProps != nil && *s.MaxProps == 1:
		f.add(pointer, errExactlyOne, fields)
	case e.SchemaField == "maxProperties":
		f.add(pointer, errMaxProperties, map[string]any{"max": *s.MaxProps})
	case len(s.Properties) > 0 && s.MinProps == 1:
		f.add(pointer, errAtLeastOne, fields)
	default:
		f.add(pointer, errMinProperties, map[string]any{"min": s.MinProps})
	}
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointerOf(keys []string) string {
	var out strings.Builder
	for _, key := range keys {
		out.WriteByte('/')
		out.WriteString(escapePointer.Replace(key))
	}
	return out.String()
}

func typeName(s *openapi3.Schema) string {
	if s == nil || s.Type == nil || len(*s.Type) == 0 {
		return "object"
	}
	return (*s.Type)[0]
}

func allowed(s *openapi3.Schema) string {
	var names []string
	for _, v := range s.Enum {
		if v != nil {
			names = append(names, fmt.Sprint(v))
		}
	}
	return strings.Join(names, ", ")
}

func number(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', -1, 64)
}

// BindError turns what the generated wrappers report about a request that
// passed validation and still cannot be decoded (1.0 for an integer, a header
// sent twice) into the same kind of error as validation; nil if err is none.
func BindError(err error) *apperr.Error {
	// Only what Echo wrapped: JSON of our own that cannot be decoded is our fault.
	var he *echo.HTTPError
	if !errors.As(err, &he) || he.Code != http.StatusBadRequest {
		return nil
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(he.Internal, &mistyped) {
		pointer := ""
		if mistyped.Field != "" {
			pointer = "/" + strings.ReplaceAll(mistyped.Field, ".", "/")
		}
		return apperr.ErrInvalid.Wrap(err).Field(pointer, errType, map[string]any{"expected": jsonType(mistyped.Type.Kind())})
	}
	return apperr.ErrMalformed.Wrap(err)
}

func jsonType(kind reflect.Kind) string {
	switch kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return openapi3.TypeInteger
	case reflect.Float32, reflect.Float64:
		return openapi3.TypeNumber
	case reflect.Bool:
		return openapi3.TypeBoolean
	case reflect.Slice, reflect.Array:
		return openapi3.TypeArray
	case reflect.String:
		return openapi3.TypeString
	default:
		return openapi3.TypeObject
	}
}
