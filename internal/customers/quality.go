package customers

import (
	"context"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// What is wrong with customers as they are, by the rules that hold for writes
// today: records may be older than a rule, or come from before a field was
// required. Package analytics keeps what Judge finds and counts it.

// Problems is a set of problems, a bit each. The bits stand in a table: new ones
// go to the end.
type Problems int64

// problemNames are the problems in the order of their bits: kind, then field.
var problemNames = []string{
	"missing.name", "missing.phone", "missing.email", "missing.contact", "missing.birth_date", "missing.gender", "missing.address",
	"missing.home_store_id", "missing.assigned_staff_id", "missing.card_number", "missing.external_id", "missing.marketing_preferences",
	"missing.consent", "missing.provenance", "missing.custom_fields",
	"invalid.name", "invalid.phone", "invalid.email", "invalid.card_number", "invalid.address", "invalid.birth_date", "invalid.language",
	"invalid.source", "invalid.custom_fields", "invalid.rules", "invalid.warnings", "invalid.unreadable",
	"duplicate.suspected",
}

// Problems that are no bits: they depend on the day, and on how many days somebody asks for.
const (
	staleUnchanged = "stale.unchanged"
	staleInactive  = "stale.inactive"
)

// Parts of Judged.Details, each followed by the key of a field or the code of a rule.
const (
	missingField = "missing.custom_fields."
	invalidField = "invalid.custom_fields."
	brokenRule   = "invalid.rules."
)

// SuspectedDuplicate is set from the queue of pairs, not by Judge.
var SuspectedDuplicate = problem("duplicate.suspected")

// ProblemNames lists what the bits of Problems stand for.
func ProblemNames() []string { return slices.Clone(problemNames) }

// ProblemsOf are all problems of a kind: missing, invalid, duplicate.
func ProblemsOf(kind string) (p Problems) {
	for i, name := range problemNames {
		if strings.HasPrefix(name, kind+".") {
			p |= 1 << i
		}
	}
	return p
}

// Names lists the problems of a set.
func (p Problems) Names() []string {
	out := make([]string, 0, bits.OnesCount64(uint64(p)))
	for i, name := range problemNames {
		if p&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

func problem(name string) Problems { return 1 << slices.Index(problemNames, name) }

// Judged is what is wrong with a customer.
type Judged struct {
	ID       uuid.UUID
	StoreID  *uuid.UUID
	StaffID  *uuid.UUID
	Source   string
	Gone     bool // archived
	Problems Problems
	Details  []string  // problems with a custom field or a rule, by name
	Changed  time.Time // business day of the last change of the record
	Active   time.Time // business day of the last sign of life: bought, signed in, or came to be known
}

// JudgeAfter judges the next customers in the order of their ids, as the system;
// those who are archived are left out.
func (s *Service) JudgeAfter(ctx context.Context, after uuid.UUID, limit int) ([]Judged, error) {
	return s.judgeThose(ctx, clause{"c.archived_at IS NULL AND c.id > ? ORDER BY c.id LIMIT " + itoa(limit), []any{after}})
}

// JudgeThese judges some customers, as the system.
func (s *Service) JudgeThese(ctx context.Context, ids []uuid.UUID) ([]Judged, error) {
	return s.judgeThose(ctx, clause{"c.id = ANY (?::uuid[])", []any{pgarray.UUIDs(ids)}})
}

func (s *Service) judgeThose(ctx context.Context, which clause) ([]Judged, error) {
	ctx = auth.System(ctx, "customers.judge")
	rules, err := s.activeRules(ctx)
	if err != nil {
		return nil, err
	}
	d := s.db.From(ctx)
	set, err := s.currentFields(ctx, d)
	if err != nil {
		return nil, err
	}
	q := clause{"SELECT " + columns + `, c.provenance IS NOT NULL, EXISTS (SELECT FROM consents k WHERE k.customer_id = c.id AND k.withdrawn_at IS NULL),
		(SELECT m.last_order_on FROM customer_metrics m WHERE m.id = c.id), (SELECT max(z.last_used_at) FROM member_sessions z WHERE z.customer_id = c.id)
		FROM customers c WHERE ` + which.sql, which.args}
	rows, err := d.Query(ctx, q.numbered(), q.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var traced, consented bool
	var bought, seen *time.Time
	var people []Customer
	var out []Judged
	for scan := newScanner(&traced, &consented, &bought, &seen); rows.Next(); {
		c, err := scan.customer(s.keys, rows)
		if err != nil && c.ID == uuid.Nil {
			return nil, err
		}
		one := Judged{ID: c.ID, StoreID: c.HomeStoreID, StaffID: c.AssignedStaffID, Source: c.Source, Gone: c.ArchivedAt != nil,
			Changed: s.clock.DayOf(c.UpdatedAt).Time(), Active: s.clock.DayOf(c.CreatedAt).Time()}
		if err != nil {
			one.Problems |= problem("invalid.unreadable")
		}
		if bought != nil && bought.After(one.Active) {
			one.Active = bought.UTC()
		}
		if seen != nil {
			if day := s.clock.DayOf(*seen).Time(); day.After(one.Active) {
				one.Active = day
			}
		}
		if !traced {
			one.Problems |= problem("missing.provenance")
		}
		if !consented {
			one.Problems |= problem("missing.consent")
		}
		people, out = append(people, c), append(out, one)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(rules.active) > 0 {
		if err := s.nameTags(ctx, people); err != nil {
			return nil, err
		}
	}
	use := &fieldUse{set: set}
	if err := use.refer(ctx, d, references(set, people)); err != nil {
		return nil, err
	}
	today := s.clock.Today().Time()
	for i := range out {
		out[i].Problems |= people[i].missing() | people[i].invalid(today)
		use.flaws(&people[i], &out[i])
		rules.flaws(&people[i], &out[i], today)
	}
	return out, nil
}

// missing are the built-in fields that a customer lacks.
func (c *Customer) missing() (p Problems) {
	for _, f := range []struct {
		name   string
		filled bool
	}{
		{"name", c.Name != ""}, {"phone", c.Phone != ""}, {"email", c.Email != ""}, {"contact", c.Phone != "" || c.Email != ""},
		{"birth_date", c.BirthDate != nil}, {"gender", c.Gender != "unknown"}, {"address", c.Address != nil}, {"home_store_id", c.HomeStoreID != nil},
		{"assigned_staff_id", c.AssignedStaffID != nil}, {"card_number", c.Card != ""}, {"external_id", c.ExternalID != nil},
		{"marketing_preferences", len(c.MarketingPreferences) > 0},
	} {
		if !f.filled {
			p |= problem("missing." + f.name)
		}
	}
	return p
}

// invalid are the built-in fields whose values a write would refuse today.
func (c *Customer) invalid(today time.Time) (p Problems) {
	note := func(name string, bad bool) {
		if bad {
			p |= problem("invalid." + name)
		}
	}
	if c.Name != "" {
		_, err := pii.NormalizeName(c.Name)
		note("name", err != nil)
	}
	if c.Phone != "" {
		_, err := pii.ParsePhone(c.Phone, "")
		note("phone", err != nil)
	}
	if c.Email != "" {
		_, err := pii.NormalizeEmail(c.Email)
		note("email", err != nil)
	}
	if c.Card != "" {
		_, err := pii.NormalizeCard(c.Card)
		note("card_number", err != nil)
	}
	if c.Address != nil {
		var bad faults
		address(*c.Address, "", &bad)
		note("address", len(bad) > 0)
	}
	note("birth_date", c.BirthDate != nil && (c.BirthDate.Before(earliestBirth) || c.BirthDate.After(today)))
	note("language", !languagePattern.MatchString(c.Language))
	note("source", !sourcePattern.MatchString(c.Source))
	return p
}

// references are the values of reference fields, as patches that refer reads.
func references(set *fieldSet, people []Customer) []map[string]any {
	var keys []string
	for _, key := range set.keys {
		if f := set.active(key); f != nil && f.Kind == FieldReference {
			keys = append(keys, key)
		}
	}
	var out []map[string]any
	for i := range people {
		for _, key := range keys {
			if v := people[i].customValue(key); v != nil {
				out = append(out, map[string]any{key: v})
			}
		}
	}
	return out
}

// flaws notes the custom fields that are required and lacking, or whose values
// their definitions would refuse today.
func (u *fieldUse) flaws(c *Customer, to *Judged) {
	for _, key := range u.set.keys {
		f := u.set.active(key)
		if f == nil {
			continue
		}
		v := c.CustomFields[key]
		if f.Personal {
			v = c.Custom[key]
		}
		if v == nil {
			if f.Required.in(c.storeID()) {
				to.Problems |= problem("missing.custom_fields")
				to.Details = append(to.Details, missingField+key)
			}
			continue
		}
		normal, bad := f.normalize(v)
		if id, ok := normal.(string); bad != nil || f.Kind == FieldReference && (!ok || !u.known[f.ReferenceTo+id]) {
			to.Problems |= problem("invalid.custom_fields")
			to.Details = append(to.Details, invalidField+key)
		}
	}
}

// flaws notes the active validation rules that a customer breaks.
func (r *ruleSet) flaws(c *Customer, to *Judged, today time.Time) {
	if len(r.active) == 0 {
		return
	}
	vars := r.variables(subjectOf(c), today)
	for _, rule := range r.active {
		if rule.holds(vars) != broken {
			continue
		}
		which := problem("invalid.rules")
		if rule.Severity == SeverityWarning {
			which = problem("invalid.warnings")
		}
		to.Problems |= which
		to.Details = append(to.Details, brokenRule+rule.Code)
	}
}

// QualityFilter asks for customers by what is wrong with them, as judged last.
// Without Kind and Problem it is anything.
type QualityFilter struct {
	Kind      string // missing, invalid, duplicate, stale
	Problem   string // as in ProblemNames, or with the key of a field or the code of a rule behind
	Source    string // channel of first contact, as judged
	StaleDays int    // 0: the usual
}

// DefaultStaleDays is after how many days without change, or without a sign of
// life, a record is stale.
const DefaultStaleDays = 365

var detailPattern = regexp.MustCompile(`^(missing\.custom_fields|invalid\.custom_fields|invalid\.rules)\.[a-z][a-z0-9_]{0,63}$`)

// Condition is what Kind and Problem ask for, as SQL over customer_quality q
// without arguments: it is made of numbers, days and checked names, and partial
// indexes need them in the text. Errors: ErrProblem.
func (f QualityFilter) Condition(today time.Time) (string, error) {
	days := f.StaleDays
	if days == 0 {
		days = DefaultStaleDays
	}
	before := "'" + today.AddDate(0, 0, -days).Format(time.DateOnly) + "'"
	unchanged, inactive := "q.changed_on < "+before, "q.active_on < "+before
	mask := func(p Problems) string { return "q.problems & " + itoa(int(p)) + " <> 0" }
	var parts []string
	switch f.Kind {
	case "":
	case "missing", "invalid", "duplicate":
		parts = append(parts, mask(ProblemsOf(f.Kind)))
	case "stale":
		parts = append(parts, "("+unchanged+" OR "+inactive+")")
	default:
		return "", ErrProblem.At("/kind")
	}
	switch {
	case f.Problem == "" && f.Kind == "":
		parts = append(parts, "(q.problems <> 0 OR "+unchanged+" OR "+inactive+")")
	case f.Problem == "":
	case f.Problem == staleUnchanged:
		parts = append(parts, unchanged)
	case f.Problem == staleInactive:
		parts = append(parts, inactive)
	case slices.Contains(problemNames, f.Problem):
		parts = append(parts, mask(problem(f.Problem)))
		if all := ProblemsOf("invalid"); problem(f.Problem)&all != 0 {
			parts = append(parts, mask(all)) // says that the index of those will do
		}
	case detailPattern.MatchString(f.Problem):
		parts = append(parts, "q.details @> ARRAY['"+f.Problem+"']")
	default:
		return "", ErrProblem.At("/problem")
	}
	return strings.Join(parts, " AND "), nil
}

// exists is the filter over customers c.
func (f QualityFilter) exists(today time.Time) (clause, error) {
	where, err := f.Condition(today)
	c := clause{sql: "q.id = c.id AND NOT q.gone AND " + where}
	if f.Source != "" {
		c.and("q.source = ?", f.Source)
	}
	return clause{"EXISTS (SELECT 1 FROM customer_quality q WHERE " + c.sql + ")", c.args}, err
}

// Stale names what is stale about a record.
func Stale(changed, active, today time.Time, days int) (out []string) {
	before := today.AddDate(0, 0, -days)
	if changed.Before(before) {
		out = append(out, staleUnchanged)
	}
	if active.Before(before) {
		out = append(out, staleInactive)
	}
	return out
}

// ShownDetails are those of a customer's details that the caller may see: of
// the custom fields in seen (see FieldKeys), and all rules.
func ShownDetails(details []string, seen map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(details), func(d string) bool {
		for _, prefix := range []string{missingField, invalidField} {
			if key, ok := strings.CutPrefix(d, prefix); ok {
				return !seen[key]
			}
		}
		return false
	})
}

// CheckQuality refuses a filter by a custom field that the caller does not see.
// Errors: ErrProblem.
func (s *Service) CheckQuality(ctx context.Context, f QualityFilter) error {
	if _, err := f.Condition(s.clock.Today().Time()); err != nil {
		return err
	}
	if !detailPattern.MatchString(f.Problem) {
		return nil
	}
	seen, err := s.FieldKeys(ctx)
	if err != nil {
		return err
	}
	if len(ShownDetails([]string{f.Problem}, seen)) == 0 {
		return ErrProblem.At("/problem")
	}
	return nil
}

// Mentioned are active customers of the caller's scope by id, masked. What
// cannot be opened is left empty: whoever mends records must find those too.
func (s *Service) Mentioned(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Customer, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	w := clause{"c.id = ANY (?::uuid[]) AND " + active, []any{pgarray.UUIDs(ids)}}
	sc := scopeClause(actor.Scope)
	w.and(sc.sql, sc.args...)
	rows, err := s.db.From(ctx).Query(ctx, "SELECT "+columns+" FROM customers c WHERE "+w.numbered(), w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]Customer, len(ids))
	for scan := newScanner(); rows.Next(); {
		c, err := scan.customer(s.keys, rows)
		if err != nil && c.ID == uuid.Nil {
			return nil, err
		}
		out[c.ID] = c.Masked()
	}
	return out, rows.Err()
}
