package contract

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// addNumbers looks at the numbers of a value that matches its schema. Two
// things a schema cannot say: an integer is written as one, since the generated
// types read no 1.0; and a number in a free-form object must survive being kept
// as a float64, or the caller would read another one than was sent.
func (f *faults) addNumbers(value any, s *openapi3.Schema, path []string) {
	switch v := value.(type) {
	case json.Number:
		switch {
		case s == nil || s.Type == nil:
			if !exact(string(v)) {
				f.add(pointerOf(path), errInexact, nil)
			}
		case s.Type.Is(openapi3.TypeInteger) && strings.ContainsAny(string(v), ".eE"):
			f.add(pointerOf(path), errIntegerForm, nil)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			f.addNumbers(v[name], member(s, name), append(path, name))
		}
	case []any:
		var items *openapi3.Schema
		if s != nil && s.Items != nil {
			items = s.Items.Value
		}
		for i, child := range v {
			f.addNumbers(child, items, append(path, strconv.Itoa(i)))
		}
	}
}

// member is the schema of an object's member, nil where anything goes.
func member(s *openapi3.Schema, name string) *openapi3.Schema {
	switch {
	case s == nil:
		return nil
	case s.Properties[name] != nil:
		return s.Properties[name].Value
	case s.AdditionalProperties.Schema != nil:
		return s.AdditionalProperties.Schema.Value
	default:
		return nil
	}
}

// exact says whether a JSON number comes out of a float64 as the same number:
// 0.1 does, 9007199254740993 does not.
func exact(text string) bool {
	if len(text) <= exactDigits && !strings.ContainsAny(text, "eE") {
		return true
	}
	kept, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	digits, exponent, ok := decimal(text)
	keptDigits, keptExponent, _ := decimal(strconv.FormatFloat(kept, 'e', -1, 64))
	return ok && digits == keptDigits && (exponent == keptExponent || digits == "")
}

// decimal takes a number apart: its digits without zeros at either end, and
// the power of ten of the last one. It forgets the sign. An exponent beyond an
// int is not ok.
func decimal(text string) (digits string, exponent int, ok bool) {
	mantissa, power := strings.TrimPrefix(text, "-"), ""
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		mantissa, power = mantissa[:i], mantissa[i+1:]
		n, err := strconv.Atoi(power)
		if err != nil {
			return "", 0, false
		}
		exponent = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	return trimmed, exponent + len(digits) - len(trimmed), true
}
