package customers

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// Custom fields as columns of files: what package imports reads and writes.

// FileField is a custom field that the caller sees.
type FileField struct {
	Key      string
	Labels   Labels
	Kind     FieldKind
	Editable bool // by the caller
}

// FileFields are the custom fields that a caller sees, by key, at most a second
// old.
func (s *Service) FileFields(ctx context.Context) ([]FileField, error) {
	set, err := s.definitions(ctx)
	if err != nil {
		return nil, err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var out []FileField
	for _, key := range set.keys {
		if f := set.active(key); f != nil && f.visible(&actor) {
			out = append(out, FileField{f.Key, f.Labels, f.Kind, f.editable(&actor)})
		}
	}
	return out, nil
}

// Cell is a value of a custom field as a file has it, in Input.CustomFields. It
// is read by the definition in force when its row is taken over.
type Cell struct {
	Text string
	Day  func(string) (time.Time, bool) // reads a date as the file writes it
}

var (
	cellSeparators = func(r rune) bool { return strings.ContainsRune(",，;；|、", r) }
	thousands      = regexp.MustCompile(`^[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)
	booleanWords   = map[string]string{
		"true": "true", "yes": "true", "y": "true", "1": "true", "是": "true", "有": "true", "对": "true", "√": "true",
		"false": "false", "no": "false", "n": "false", "0": "false", "否": "false", "无": "false", "不是": "false", "×": "false",
	}
)

// cell reads a value as people write it: choices by value or label, several of
// them separated, numbers with thousands, days and booleans in their usual words.
func (f *Field) cell(c Cell) (any, *apperr.Field) {
	text := strings.TrimSpace(c.Text)
	switch f.Kind {
	case FieldMultiChoice:
		if v := f.named(text); f.choice(v) != nil {
			return f.parse([]string{v})
		}
		values := strings.FieldsFunc(text, cellSeparators)
		for i, v := range values {
			values[i] = f.named(strings.TrimSpace(v))
		}
		return f.parse(values)
	case FieldChoice:
		text = f.named(text)
	case FieldBoolean:
		if word, ok := booleanWords[strings.ToLower(text)]; ok {
			text = word
		}
	case FieldNumber:
		if thousands.MatchString(text) {
			text = strings.ReplaceAll(text, ",", "")
		}
	case FieldDate:
		if c.Day != nil {
			if day, ok := c.Day(text); ok {
				text = day.Format(time.DateOnly)
			}
		}
	}
	return f.parse([]string{text})
}

// named is the value of the one choice that has a text as its label; the text
// itself when it is a value, or no label, or that of several.
func (f *Field) named(text string) string {
	if f.choice(text) != nil {
		return text
	}
	found := -1
	for i, c := range f.Validation.Choices {
		if strings.EqualFold(c.Labels.ZH, text) || strings.EqualFold(c.Labels.EN, text) || strings.EqualFold(c.Value, text) {
			if found >= 0 {
				return text
			}
			found = i
		}
	}
	if found < 0 {
		return text
	}
	return f.Validation.Choices[found].Value
}

// Value is a customer's value of a custom field, nil for none: a text, float64,
// bool, or a list of texts.
func (c *Customer) Value(key string) any {
	v, ok := c.CustomFields[key]
	if !ok {
		v = c.Custom[key]
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]string, 0, len(list))
	for _, one := range list {
		if text, ok := one.(string); ok {
			out = append(out, text)
		}
	}
	return slices.Clip(out)
}
