package customers

import (
	"strconv"
	"strings"

	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// FieldFilter asks for customers by a custom field. Values are text.
type FieldFilter struct {
	Key    string
	Op     FieldOp
	Values []string
}

// FieldOp is how a filter compares.
type FieldOp string

// Operators. Of several values of a multi_choice one must fulfil it.
const (
	OpAnyOf   FieldOp = "any_of"
	OpGTE     FieldOp = "gte"
	OpGT      FieldOp = "gt"
	OpLTE     FieldOp = "lte"
	OpLT      FieldOp = "lt"
	OpPrefix  FieldOp = "prefix"
	OpPresent FieldOp = "present"
)

var comparisons = map[FieldOp]string{OpGTE: ">=", OpGT: ">", OpLTE: "<=", OpLT: "<"}

// sortByField is how a sort by a custom field begins.
const sortByField = "custom_fields."

// filterable finds a field that the caller may filter or sort by.
func (s *fieldSet) filterable(a *auth.Actor, key, pointer string) (*Field, error) {
	f := s.active(key)
	switch {
	case f == nil || !f.visible(a):
		return nil, ErrFieldUnknown.At(pointer)
	case !f.Filterable:
		return nil, ErrFieldNotFilterable.At(pointer)
	}
	return f, nil
}

// sortField is the custom field that a sort names, or nil for a built-in one.
func (s *fieldSet) sortField(a *auth.Actor, by Sort) (*Field, error) {
	key, ok := strings.CutPrefix(strings.TrimPrefix(string(by), "-"), sortByField)
	if !ok {
		return nil, nil
	}
	f, err := s.filterable(a, key, "/sort")
	if err != nil {
		return nil, err
	}
	if f.Kind == FieldMultiChoice {
		return nil, ErrFieldNotFilterable.At("/sort") // a customer would stand in several places
	}
	return f, nil
}

// condition is a filter over a row v of customer_field_values. The field's id is written into the text,
// since the planner must know it to tell how many rows there are; it is made by
// us and holds no question mark.
func (s *fieldSet) condition(a *auth.Actor, ff FieldFilter, pointer string) (c clause, err error) {
	f, err := s.filterable(a, ff.Key, pointer+"/key")
	if err != nil {
		return c, err
	}
	column, cast := f.Kind.column()
	c.and("v.field_id = '" + f.ID.String() + "'")
	column = "v." + column
	wrong := func(i int) error { return ErrFieldFilter.At(pointer + "/values/" + strconv.Itoa(i)) }
	values := make([]string, len(ff.Values))
	for i, raw := range ff.Values {
		if ff.Op == OpPrefix {
			values[i] = raw
			continue
		}
		v, ok := f.filterValue(raw)
		if !ok {
			return c, wrong(i)
		}
		values[i] = v
	}
	sign, compares := comparisons[ff.Op]
	switch {
	case ff.Op == OpPresent:
		if len(values) > 0 {
			return c, wrong(0)
		}
		c.and(column + " IS NOT NULL")
		return c, nil
	case ff.Op == OpAnyOf && len(values) == 1:
		c.and(column+" = ?::"+cast, values[0])
		return c, nil
	case ff.Op == OpAnyOf && len(values) > 1:
		c.and(column+" = ANY (?::text[]::"+cast+"[])", pq.Array(values))
		return c, nil
	case len(values) != 1:
		return c, ErrFieldFilter.At(pointer + "/values")
	case compares && (f.Kind == FieldNumber || f.Kind == FieldDate):
		c.and(column+" "+sign+" ?::"+cast, values[0])
		return c, nil
	case ff.Op == OpPrefix && f.Kind == FieldText && values[0] != "" && len(values[0]) <= 256:
		c.and(column+" >= ? AND "+column+" < ?", values[0], values[0]+"\U0010FFFF")
		return c, nil
	}
	return c, ErrFieldFilter.At(pointer + "/op")
}

// filterValue brings the text of a filter to the form of the index. Bounds of
// the field do not apply: values from before they were set may be looked for.
func (f *Field) filterValue(raw string) (string, bool) {
	switch f.Kind {
	case FieldNumber:
		n, err := strconv.ParseFloat(raw, 64)
		return strconv.FormatFloat(n+0, 'g', -1, 64), err == nil && n >= -maxNumber && n <= maxNumber
	case FieldDate:
		return raw, validDate(raw)
	case FieldBoolean:
		return raw, raw == "true" || raw == "false"
	case FieldReference:
		return strings.ToLower(raw), len(raw) == 36
	case FieldText:
		return strings.TrimSpace(raw), !strings.ContainsRune(raw, 0)
	}
	return raw, f.choice(raw) != nil
}

// sortValue is a customer's value in the form of the index.
func (f *Field) sortValue(c *Customer) string {
	switch v := c.CustomFields[f.Key].(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// existing is a condition over alias v as one over customers c.
func (c clause) existing() clause {
	return clause{"EXISTS (SELECT 1 FROM customer_field_values v WHERE v.customer_id = c.id AND " + c.sql + ")", c.args}
}

// byFields adds filters by custom fields and the sort by one to a query.
func (q *query) byFields(set *fieldSet, actor *auth.Actor, f *Filter) error {
	sort, err := set.sortField(actor, f.Sort)
	if err != nil {
		return err
	}
	q.field, q.skewed = sort, sort != nil || len(f.Fields) > 0
	for i, ff := range f.Fields {
		pointer := "/custom_fields/" + itoa(i)
		// The first one with a value of its own leads a list in order of creation:
		// its rows lie in the index in that order, so a page is a short walk.
		if q.lead.sql == "" && q.byID() && f.Name == "" && !q.narrow && ff.Op == OpAnyOf && len(ff.Values) == 1 {
			if q.lead, err = set.condition(actor, ff, pointer); err != nil {
				return err
			}
			continue
		}
		c, err := set.condition(actor, ff, pointer)
		if err != nil {
			return err
		}
		e := c.existing()
		q.where.and(e.sql, e.args...)
	}
	return nil
}

// leading are the rows of a list that a filter by a custom field leads.
func (q *query) leading(w clause, order string, n int) clause {
	lead := q.lead
	if q.from != nil {
		sign := ">"
		if q.sort == Newest {
			sign = "<"
		}
		lead = clause{lead.sql + " AND v.customer_id " + sign + " ?", append(lead.args[:len(lead.args):len(lead.args)], q.from.ID)}
	}
	return clause{"SELECT " + columns + " FROM customer_field_values v JOIN customers c ON c.id = v.customer_id WHERE " + lead.sql + " AND " + w.sql +
		" ORDER BY " + order + " LIMIT " + itoa(n), append(lead.args[:len(lead.args):len(lead.args)], w.args...)}
}

// sorted are the rows of a list in the order of a custom field. Customers
// without a value of it are not in the list: they have no place in the index,
// and to find those who lack it among a million would read all of them.
func (q *query) sorted(w clause, n int) clause {
	column, cast := q.field.Kind.column()
	sign, dir := ">", "ASC"
	if strings.HasPrefix(string(q.sort), "-") {
		sign, dir = "<", "DESC"
	}
	s := clause{sql: "s.field_id = '" + q.field.ID.String() + "' AND s." + column + " IS NOT NULL"}
	if q.from != nil && q.from.Value != nil {
		s.and("(s."+column+", s.customer_id) "+sign+" (?::"+cast+", ?::uuid)", *q.from.Value, q.from.ID)
	}
	return clause{"SELECT " + columns + " FROM customer_field_values s JOIN customers c ON c.id = s.customer_id WHERE " + s.sql + " AND " + w.sql +
		" ORDER BY s." + column + " " + dir + ", s.customer_id " + dir + " LIMIT " + itoa(n), append(s.args, w.args...)}
}
