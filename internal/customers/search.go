package customers

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Searching by name.
//
// There are two ways to the newest rows that have some tokens. The inverted
// index gives all of them, unordered: right for rare tokens. A walk along an
// ordered index (by id; by store or assistant and id for scoped callers) looks
// at row after row until the page is full: right for common ones, where 70,000
// hits would have to be read and sorted for a page of 50. Which one is cheaper
// follows from the frequency of the rarest token, which PostgreSQL's statistics
// know for the common ones; the text of the statement then leaves the planner
// no choice (docs/plans/customers-search.md).

const (
	// scanBound is how many rows the walks of one request look at.
	scanBound = 20_000
	// A request goes back for more after candidates turned out not to match, each
	// time for four times as many, until it asked for this many.
	maxCandidates = 500
)

// byName reads one page of a search by name: candidates by their tokens, opened
// and compared. When few of the rows looked at match, the page ends early and
// the cursor tells where to go on.
func (s *Service) byName(ctx context.Context, q *query, list string, limit int) (*Page, error) {
	walk, err := s.shouldWalk(ctx, q, limit)
	if err != nil {
		return nil, err
	}
	out := &Page{}
	budget := scanBound
	for n := limit + 1; ; n = min(4*n, maxCandidates) {
		ids, end, err := s.candidates(ctx, q, walk, n, &budget)
		if err != nil {
			return nil, err
		}
		found, err := s.load(ctx, q.byIDs(ids))
		if err != nil {
			return nil, err
		}
		for i := range found {
			if q.matcher.Match(found[i].Name) {
				out.Items = append(out.Items, found[i])
			}
		}
		if len(out.Items) > limit {
			out.Items = out.Items[:limit]
			out.HasMore, out.Next = true, s.pages.Encode(list, position{ID: out.Items[limit-1].ID})
			return out, nil
		}
		if end == nil {
			return out, nil
		}
		q.from = end
		if budget <= 0 || n == maxCandidates {
			out.HasMore, out.Next = true, s.pages.Encode(list, *end)
			return out, nil
		}
	}
}

// candidates returns at most n ids that have the tokens, newest first, and
// where to go on, nil at the end of the list.
func (s *Service) candidates(ctx context.Context, q *query, walk bool, n int, budget *int) ([]uuid.UUID, *position, error) {
	if !walk {
		ids, err := s.selectIDs(ctx, q.inverted(n))
		if err != nil || len(ids) < n {
			return ids, nil, err
		}
		return ids, &position{ID: ids[n-1]}, nil
	}
	bound := *budget
	ids, err := s.selectIDs(ctx, q.walking(n, bound))
	if err != nil {
		return nil, nil, err
	}
	if len(ids) == n {
		*budget -= min(bound, n*4) // an estimate is enough: the next round is the last or the budget ends
		return ids, &position{ID: ids[n-1]}, nil
	}
	*budget = 0
	// Not full: either the end was reached, or the bound.
	steps := q.steps(bound)
	last, err := s.selectIDs(ctx, clause{fmt.Sprintf("SELECT c.id FROM (%s) c ORDER BY c.id DESC OFFSET %d LIMIT 1", steps.sql, bound-1), steps.args})
	if err != nil || len(last) == 0 {
		return ids, nil, err
	}
	return ids, &position{ID: last[0]}, nil
}

// byIDs reads candidates; the scope is asked once more.
func (q *query) byIDs(ids []uuid.UUID) clause {
	p := scopeClause(q.scope)
	return clause{"SELECT " + columns + " FROM customers c WHERE c.id = ANY(?::uuid[]) AND " + p.sql + " ORDER BY c.id DESC", append([]any{pgarray.UUIDs(ids)}, p.args...)}
}

func (s *Service) selectIDs(ctx context.Context, c clause) ([]uuid.UUID, error) {
	rows, err := s.db.From(ctx).Query(ctx, c.numbered(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// fits is what a candidate must fulfil: tokens, filters, scope.
func (q *query) fits() clause {
	w := clause{"c.name_tokens @> ?::integer[]", []any{pgarray.Int32s(q.tokens)}}
	w.and(q.where.sql, q.where.args...)
	p := scopeClause(q.scope)
	w.and(p.sql, p.args...)
	return w
}

// inverted finds all rows with the tokens through the inverted index, then
// sorts. MATERIALIZED keeps the planner from walking in order instead, and
// "IS TRUE" from also fetching the 200,000 index entries of a store to combine
// them with 4,000 of a name.
func (q *query) inverted(n int) clause {
	w := q.fits()
	if next, _ := q.keyset(); next.sql != "" {
		w.and(next.sql, next.args...)
	}
	if !q.narrow {
		tokens, rest, _ := strings.Cut(w.sql, " AND ")
		w.sql = tokens + " AND (" + rest + ") IS TRUE"
	}
	return clause{fmt.Sprintf("WITH hits AS MATERIALIZED (SELECT c.id FROM customers c WHERE %s) SELECT c.id FROM hits c ORDER BY c.id DESC LIMIT %d", w.sql, n), w.args}
}

// steps are the next rows along the ordered index that suits the caller.
func (q *query) steps(bound int) clause {
	var w clause
	if column, id := q.driver(); column != "" {
		w.and("c."+column+" = ?", id)
	}
	if next, _ := q.keyset(); next.sql != "" {
		w.and(next.sql, next.args...)
	}
	if w.sql == "" {
		w.sql = "TRUE"
	}
	return clause{fmt.Sprintf("SELECT c.* FROM customers c WHERE %s ORDER BY c.id DESC LIMIT %d", w.sql, bound), w.args}
}

// walking takes steps until n candidates are found. The limit inside fences
// the steps off from the conditions outside, so the walk is the only plan.
func (q *query) walking(n, bound int) clause {
	steps, fits := q.steps(bound), q.fits()
	return clause{fmt.Sprintf("SELECT c.id FROM (%s) c WHERE %s ORDER BY c.id DESC LIMIT %d", steps.sql, fits.sql, n), append(steps.args, fits.args...)}
}
