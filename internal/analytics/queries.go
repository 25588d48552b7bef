package analytics

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Filter says whose records to look at; zero parts do not filter.
type Filter struct {
	customers.QualityFilter
	StoreID, StaffID uuid.UUID
}

// rows is whose records are looked at, whatever is wrong with them: the filter
// within the caller's scope, over customer_quality q.
func (f *Filter) rows(ctx context.Context) (string, []any, error) {
	where, args := "NOT q.gone", []any{}
	add := func(column string, v any) {
		args = append(args, v)
		where += " AND q." + column + " = $" + strconv.Itoa(len(args))
	}
	if f.StoreID != uuid.Nil {
		add("home_store_id", f.StoreID)
	}
	if f.StaffID != uuid.Nil {
		add("assigned_staff_id", f.StaffID)
	}
	if f.Source != "" {
		add("source", f.Source)
	}
	within, more, err := scope.SQL(ctx, scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id"}, "q", len(args)+1)
	return where + " AND " + within, append(args, more...), err
}

// Figures are the counts of some customers.
type Figures struct {
	StoreID, StaffID *uuid.UUID // of a group, if it is grouped by that
	Source           string
	Customers        int64
	WithProblems     int64
	Missing, Invalid int64
	Stale, Duplicate int64
	Problems         []int64 // in the order of customers.ProblemNames, then unchanged and inactive
}

// Quality is how good records are.
type Quality struct {
	AsOf      *time.Time
	StaleDays int
	Total     Figures
	Groups    []Figures // the largest first
	Details   []Detail  // by name
}

// Detail counts customers with a problem of one custom field or rule.
type Detail struct {
	Problem   string
	Customers int64
}

// groupings are the columns that figures can be had by.
var groupings = map[string]string{"": "NULL::text", "store": "q.home_store_id", "assistant": "q.assigned_staff_id", "source": "q.source"}

// DataQuality counts the records that a filter asks for; kind and problem of it
// say nothing here. One walk over the narrow rows counts each set of problems;
// the sums over the sets cost little then (docs/plans/data-quality.md).
func (s *Service) DataQuality(ctx context.Context, f Filter, by string) (*Quality, error) {
	out := &Quality{StaleDays: f.StaleDays}
	if out.StaleDays == 0 {
		out.StaleDays = customers.DefaultStaleDays
	}
	var err error
	if out.AsOf, err = s.asOf(ctx); err != nil {
		return nil, err
	}
	where, args, err := f.rows(ctx)
	if err != nil {
		return nil, err
	}
	before := s.clock.Today().Time().AddDate(0, 0, -out.StaleDays)
	if out.Groups, err = s.figures(ctx, by, where, append(args, before)); err != nil {
		return nil, err
	}
	out.Total = sum(out.Groups)
	if by == "" {
		out.Groups = nil
	}
	out.Details, err = s.details(ctx, where, args)
	return out, err
}

// figures counts by group; the last argument is the day before which records are stale.
func (s *Service) figures(ctx context.Context, by, where string, args []any) ([]Figures, error) {
	day := "$" + strconv.Itoa(len(args)) + "::date"
	count := func(condition string) string { return "coalesce(sum(n) FILTER (WHERE " + condition + "), 0)::bigint" }
	mask := func(p customers.Problems) string { return "problems & " + strconv.FormatInt(int64(p), 10) + " <> 0" }
	parts := []string{"sum(n)::bigint", count("problems <> 0 OR unchanged OR inactive"), count(mask(customers.ProblemsOf("missing"))),
		count(mask(customers.ProblemsOf("invalid"))), count("unchanged OR inactive"), count(mask(customers.ProblemsOf("duplicate")))}
	names := customers.ProblemNames()
	for i := range names {
		parts = append(parts, count(mask(1<<i)))
	}
	parts = append(parts, count("unchanged"), count("inactive"))
	rows, err := s.db.From(ctx).Query(ctx, `WITH sets AS MATERIALIZED (
		    SELECT `+groupings[by]+` AS g, q.problems, q.changed_on < `+day+` AS unchanged, q.active_on < `+day+` AS inactive, count(*) AS n
		    FROM customer_quality q WHERE `+where+` GROUP BY 1, 2, 3, 4)
		SELECT g::text, ARRAY[`+strings.Join(parts, ", ")+`] FROM sets GROUP BY g ORDER BY sum(n) DESC, g`, args...)
	if err != nil {
		return nil, fmt.Errorf("count problems: %w", err)
	}
	defer rows.Close()
	var out []Figures
	for rows.Next() {
		var group *string
		var n pq.Int64Array
		if err := rows.Scan(&group, &n); err != nil {
			return nil, err
		}
		one := Figures{Customers: n[0], WithProblems: n[1], Missing: n[2], Invalid: n[3], Stale: n[4], Duplicate: n[5], Problems: n[6:]}
		switch {
		case group == nil:
		case by == "source":
			one.Source = *group
		default:
			id, err := uuid.Parse(*group)
			if err != nil {
				return nil, err
			}
			if by == "store" {
				one.StoreID = &id
			} else {
				one.StaffID = &id
			}
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

func sum(groups []Figures) Figures {
	out := Figures{Problems: make([]int64, len(customers.ProblemNames())+2)}
	for _, g := range groups {
		out.Customers += g.Customers
		out.WithProblems += g.WithProblems
		out.Missing += g.Missing
		out.Invalid += g.Invalid
		out.Stale += g.Stale
		out.Duplicate += g.Duplicate
		for i, n := range g.Problems {
			out.Problems[i] += n
		}
	}
	return out
}

// details counts by custom field and rule those that the caller may see.
func (s *Service) details(ctx context.Context, where string, args []any) ([]Detail, error) {
	rows, err := s.db.From(ctx).Query(ctx, `SELECT d.name, count(*) FROM customer_quality q, unnest(q.details) d (name)
		WHERE q.details IS NOT NULL AND `+where+` GROUP BY d.name ORDER BY d.name`, args...)
	if err != nil {
		return nil, fmt.Errorf("count details: %w", err)
	}
	defer rows.Close()
	var out []Detail
	var names []string
	for rows.Next() {
		var d Detail
		if err := rows.Scan(&d.Problem, &d.Customers); err != nil {
			return nil, err
		}
		out, names = append(out, d), append(names, d.Problem)
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		return nil, err
	}
	seen, err := s.customers.FieldKeys(ctx)
	if err != nil {
		return nil, err
	}
	names = customers.ShownDetails(names, seen)
	return slices.DeleteFunc(out, func(d Detail) bool { return !slices.Contains(names, d.Problem) }), nil
}

func (s *Service) asOf(ctx context.Context) (at *time.Time, err error) {
	err = s.db.From(ctx).QueryRow(ctx, "SELECT as_of FROM quality_passes").Scan(&at)
	return at, err
}

// Issue is a customer with what is wrong with their record.
type Issue struct {
	customers.Customer // masked
	Problems           []string
	ChangedOn          time.Time
	ActiveOn           time.Time
}

// Issues are the next customers behind a figure, the newest first, and where the
// next page begins: nil on the last. Customers who left the scope or were
// archived this very moment are left out of the page.
// Errors: customers.ErrProblem.
func (s *Service) Issues(ctx context.Context, f Filter, before *uuid.UUID, limit int) ([]Issue, *uuid.UUID, error) {
	where, args, err := s.problems(ctx, &f)
	if err != nil {
		return nil, nil, err
	}
	if before != nil {
		args = append(args, *before)
		where += " AND q.id < $" + strconv.Itoa(len(args))
	}
	rows, err := s.db.From(ctx).Query(ctx, fmt.Sprintf(`SELECT q.id, q.problems, q.details, q.changed_on, q.active_on
		FROM customer_quality q WHERE %s ORDER BY q.id DESC LIMIT %d`, where, limit+1), args...)
	if err != nil {
		return nil, nil, fmt.Errorf("list problems: %w", err)
	}
	defer rows.Close()
	type found struct {
		id              uuid.UUID
		problems        int64
		details         pq.StringArray
		changed, active time.Time
	}
	var all []found
	for rows.Next() {
		var one found
		if err := rows.Scan(&one.id, &one.problems, &one.details, &one.changed, &one.active); err != nil {
			return nil, nil, err
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, err
	}
	var next *uuid.UUID
	if len(all) > limit {
		all = all[:limit]
		next = &all[limit-1].id
	}
	ids := make([]uuid.UUID, len(all))
	for i := range all {
		ids[i] = all[i].id
	}
	people, err := s.customers.Mentioned(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	seen, err := s.customers.FieldKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	days := f.StaleDays
	if days == 0 {
		days = customers.DefaultStaleDays
	}
	var out []Issue
	for _, one := range all {
		c, here := people[one.id]
		if !here {
			continue
		}
		problems := customers.Problems(one.problems).Names()
		problems = append(problems, customers.ShownDetails(one.details, seen)...)
		problems = append(problems, customers.Stale(one.changed, one.active, s.clock.Today().Time(), days)...)
		out = append(out, Issue{c, problems, one.changed, one.active})
	}
	return out, next, nil
}

// CountIssues counts what Issues lists.
func (s *Service) CountIssues(ctx context.Context, f Filter) (n int, err error) {
	where, args, err := s.problems(ctx, &f)
	if err != nil {
		return 0, err
	}
	err = s.db.From(ctx).QueryRow(ctx, "SELECT count(*) FROM customer_quality q WHERE "+where, args...).Scan(&n)
	return n, err
}

// problems is whose records are looked at, with what is asked to be wrong with them.
func (s *Service) problems(ctx context.Context, f *Filter) (string, []any, error) {
	if err := s.customers.CheckQuality(ctx, f.QualityFilter); err != nil {
		return "", nil, err
	}
	wrong, err := f.Condition(s.clock.Today().Time())
	if err != nil {
		return "", nil, err
	}
	where, args, err := f.rows(ctx)
	return wrong + " AND " + where, args, err
}
