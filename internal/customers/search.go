package customers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Searching by name.
//
// There are two ways to the newest rows that have some tokens. The inverted
// index gives those of some blocks (see blocks.go) that belong to some owners,
// the newest first, until the page is full. A walk along the index of the owner
// (store or assistant, and id) looks at row after row: right for callers with few
// customers, among whom a common name would be a needle in all the blocks, and
// for names so common that the newest customers fill a page. Which one looks at
// fewer rows follows from PostgreSQL's statistics (stats.go); the text of the
// statement then leaves the planner no choice (docs/plans/customers-search.md).

const (
	// scanBound is how many rows the walks of one request look at.
	scanBound = 20_000
	// A request goes back for more after candidates turned out not to match, each
	// time for four times as many, until it asked for this many.
	maxCandidates = 500
)

// candidate is a row that has the tokens.
type candidate struct {
	Customer
	block *int32 // nil when found by a walk
}

func (c *candidate) position() *position { return &position{ID: c.ID, Block: c.block} }

// byName reads one page of a search by name: candidates by their tokens, opened
// and compared. When few of the rows looked at match, the page ends early and
// the cursor tells where to go on.
func (s *Service) byName(ctx context.Context, q *query, list string, limit int) (*Page, error) {
	last, err := s.blocks.last(ctx, s.db.SQL)
	if err != nil {
		return nil, err
	}
	e, err := s.expect(ctx, q, last)
	if err != nil {
		return nil, err
	}
	walk := e.shouldWalk(q, limit)
	if q.from != nil {
		walk = q.from.Block == nil // a list goes on the way it began
	}
	out := &Page{}
	var end *position // of the last match
	budget := scanBound
	for n := limit + 1; ; n = min(4*n, maxCandidates) {
		found, next, err := s.candidates(ctx, q, walk, e, n, &budget)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if !q.matcher.Match(found[i].Name) {
				continue
			}
			if len(out.Items) == limit {
				out.HasMore, out.Next = true, s.pages.Encode(list, *end)
				return out, nil
			}
			out.Items, end = append(out.Items, found[i].Customer), found[i].position()
		}
		if next == nil {
			return out, nil
		}
		q.from = next
		if budget <= 0 || n == maxCandidates {
			out.HasMore, out.Next = true, s.pages.Encode(list, *next)
			return out, nil
		}
	}
}

// candidates returns at most n rows that have the tokens, newest first, and
// where to go on, nil at the end of the list.
func (s *Service) candidates(ctx context.Context, q *query, walk bool, e expected, n int, budget *int) ([]candidate, *position, error) {
	if !walk {
		return s.fromBlocks(ctx, q, e, n)
	}
	bound := *budget
	found, err := s.selectCandidates(ctx, q.walking(s.keys, e.last, n, bound))
	if err != nil {
		return nil, nil, err
	}
	if len(found) == n {
		*budget -= min(bound, n*4) // an estimate is enough: the next round is the last or the budget ends
		return found, found[n-1].position(), nil
	}
	*budget = 0
	// Not full: either the end was reached, or the bound.
	steps := q.steps(bound)
	beyond := clause{fmt.Sprintf("SELECT c.id FROM (%s) c ORDER BY c.id DESC OFFSET %d LIMIT 1", steps.sql, bound-1), steps.args}
	var end position
	switch err := s.db.From(ctx).QueryRow(ctx, beyond.numbered(), beyond.args...).Scan(&end.ID); {
	case errors.Is(err, sql.ErrNoRows):
		return found, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return found, &end, nil
}

// fromBlocks asks for as many of the newest blocks as should fill the page and
// a half, then again, judging by those before.
func (s *Service) fromBlocks(ctx context.Context, q *query, e expected, n int) ([]candidate, *position, error) {
	from := e.last
	if q.from != nil && q.from.Block != nil {
		from = min(from, *q.from.Block)
	}
	var found []candidate
	for count, asked := e.blocks(n)+blocksAhead, int32(0); from >= 0; {
		to := max(from-count+1, 0)
		more, err := s.selectCandidates(ctx, q.inverted(s.keys, to, from, n-len(found)))
		if err != nil {
			return nil, nil, err
		}
		found = append(found, more...)
		if len(found) >= n {
			return found, found[n-1].position(), nil
		}
		asked += from - to + 1
		from = to - 1
		if len(found) == 0 {
			count = e.last + 1 // rare, so all the rest costs little
		} else {
			count = max(2, int32(min(int64(e.last)+1, 3*int64(n-len(found))*int64(asked)/int64(2*len(found)))))
		}
	}
	return found, nil, nil
}

func (s *Service) selectCandidates(ctx context.Context, c clause) ([]candidate, error) {
	rows, err := s.db.From(ctx).Query(ctx, c.numbered(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []candidate
	var block sql.NullInt32
	for scan := newScanner(&block); rows.Next(); {
		one, err := scan.customer(s.keys, rows)
		if err != nil {
			return nil, err
		}
		found := candidate{Customer: one}
		if block.Valid {
			b := block.Int32
			found.block = &b
		}
		out = append(out, found)
	}
	return out, rows.Err()
}

// tokens are those of each term in a range of blocks: a row has one of them.
func (q *query) tokens(keys *crypto.Keyring, from, to int32) []pgarray.Int32s {
	out := make([]pgarray.Int32s, len(q.terms))
	for b := from; b <= to; b++ {
		for i := range q.terms {
			out[i] = append(out[i], nameTokens(keys, b, q.terms[i:i+1])...)
		}
	}
	return out
}

// fits is what a candidate must fulfil besides its tokens: filters and scope.
func (q *query) fits() clause {
	w := clause{q.where.sql, slices.Clip(q.where.args)}
	p := scopeClause(q.scope)
	w.and(p.sql, p.args...)
	return w
}

// maxOwnerTokens bounds the tokens of owners in a statement: each hit of the
// index is compared with all of them.
const maxOwnerTokens = 512

// owned says in terms of the index that rows belong to an owner of the list, so
// that it hands out only those. It is a part of what fits says, except that two
// owners may share a token.
func (q *query) owned(from, to int32) clause {
	_, ids := q.owners()
	if len(ids) == 0 && !q.scope.All {
		ids = append(slices.Clone(q.scope.StoreIDs), q.scope.OwnStaff...)
	}
	if len(ids) == 0 || len(ids)*int(to-from+1) > maxOwnerTokens {
		return clause{}
	}
	return clause{"ARRAY[owner_token(c.name_block, c.home_store_id), owner_token(c.name_block, c.assigned_staff_id)] && (SELECT ARRAY(SELECT owner_token(b, o) FROM generate_series((SELECT ?::integer), (SELECT ?::integer)) b, unnest((SELECT ?::uuid[])) o))",
		[]any{from, to, pgarray.UUIDs(ids)}}
}

// inverted finds all rows of some blocks with the tokens through the inverted
// index, sorts, and reads the first. MATERIALIZED keeps the planner from walking
// in order instead, CASE from also fetching the index entries of a whole store.
// It need not know how common tokens and owners are to choose this plan, and
// looking that up takes longer than most of these statements: hence CASE and the
// sub-selects, into which it does not look, so that it keeps a generic plan.
func (q *query) inverted(keys *crypto.Keyring, from, to int32, n int) clause {
	w := clause{}
	for _, tokens := range q.tokens(keys, from, to) {
		w.and("c.name_tokens && (SELECT ?::integer[])", tokens)
	}
	fits := q.fits()
	if q.from != nil && q.from.Block != nil {
		fits.and("(c.name_block, c.id) < (?, ?)", *q.from.Block, q.from.ID)
	}
	if q.narrow {
		w.and(fits.sql, fits.args...)
	} else {
		if o := q.owned(from, to); o.sql != "" {
			w.and(o.sql, o.args...)
		}
		w.and("CASE WHEN "+fits.sql+" THEN TRUE ELSE FALSE END", fits.args...)
	}
	return clause{fmt.Sprintf("WITH hits AS MATERIALIZED (SELECT c.id, c.name_block FROM customers c WHERE %s) SELECT %s, c.name_block FROM (SELECT h.id FROM hits h ORDER BY h.name_block DESC, h.id DESC LIMIT %d) h JOIN customers c ON c.id = h.id ORDER BY c.name_block DESC, c.id DESC", w.sql, columns, n), w.args}
}

// steps are the next rows along the ordered index that suits the caller.
func (q *query) steps(bound int) clause {
	var w clause
	switch column, ids := q.owners(); len(ids) {
	case 0:
	case 1:
		w.and("c."+column+" = ?", ids[0])
	default:
		w.and("c."+column+" = ANY(?::uuid[])", pgarray.UUIDs(ids))
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
func (q *query) walking(keys *crypto.Keyring, last int32, n, bound int) clause {
	steps := q.steps(bound)
	w := q.fits()
	for _, tokens := range q.tokens(keys, 0, last) {
		w.and("(?::integer[])[c.name_block + 1] = ANY (c.name_tokens)", tokens)
	}
	return clause{fmt.Sprintf("SELECT %s, NULL::integer FROM (%s) c WHERE %s ORDER BY c.id DESC LIMIT %d", columns, steps.sql, w.sql, n), append(steps.args, w.args...)}
}
