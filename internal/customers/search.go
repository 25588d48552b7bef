package customers

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Searching by name.
//
// There are two ways to the newest rows that have some tokens. The inverted
// index gives those of some blocks (see blocks.go), the newest first, until the
// page is full. A walk along the index of the owner (store or assistant, and
// id) looks at row after row: right for callers with few customers, among
// whom a common name would be a needle in all the blocks, and for names so
// common that the newest customers fill a page. Which one looks at fewer rows
// follows from PostgreSQL's statistics (stats.go); the text of the
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
	id    uuid.UUID
	block *int32 // nil when found by a walk
}

func (c candidate) position() *position { return &position{ID: c.id, Block: c.block} }

// byName reads one page of a search by name: candidates by their tokens, opened
// and compared. When few of the rows looked at match, the page ends early and
// the cursor tells where to go on.
func (s *Service) byName(ctx context.Context, q *query, list string, limit int) (*Page, error) {
	last, err := s.blocks.last(ctx, s.db.SQL)
	if err != nil {
		return nil, err
	}
	walk := q.from != nil && q.from.Block == nil // a list goes on the way it began
	if q.from == nil {
		if walk, err = s.shouldWalk(ctx, q, limit, last); err != nil {
			return nil, err
		}
	}
	out := &Page{}
	var end *position // of the last match
	budget := scanBound
	for n := limit + 1; ; n = min(4*n, maxCandidates) {
		found, next, err := s.candidates(ctx, q, walk, last, n, &budget)
		if err != nil {
			return nil, err
		}
		rows, err := s.load(ctx, q.byIDs(found))
		if err != nil {
			return nil, err
		}
		byID := make(map[uuid.UUID]*Customer, len(rows))
		for i := range rows {
			byID[rows[i].ID] = &rows[i]
		}
		for _, one := range found {
			c := byID[one.id]
			if c == nil || !q.matcher.Match(c.Name) {
				continue
			}
			if len(out.Items) == limit {
				out.HasMore, out.Next = true, s.pages.Encode(list, *end)
				return out, nil
			}
			out.Items, end = append(out.Items, *c), one.position()
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
func (s *Service) candidates(ctx context.Context, q *query, walk bool, last int32, n int, budget *int) ([]candidate, *position, error) {
	if !walk {
		return s.fromBlocks(ctx, q, last, n)
	}
	bound := *budget
	found, err := s.selectCandidates(ctx, q.walking(s.keys, last, n, bound))
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
	end, err := s.selectCandidates(ctx, clause{fmt.Sprintf("SELECT c.id, NULL::integer FROM (%s) c ORDER BY c.id DESC OFFSET %d LIMIT 1", steps.sql, bound-1), steps.args})
	if err != nil || len(end) == 0 {
		return found, nil, err
	}
	return found, end[0].position(), nil
}

// fromBlocks asks for the newest blocks, then for as many more as should fill
// the page and a half, judging by those before.
func (s *Service) fromBlocks(ctx context.Context, q *query, last int32, n int) ([]candidate, *position, error) {
	from := last
	if q.from != nil && q.from.Block != nil {
		from = min(last, *q.from.Block)
	}
	var found []candidate
	for count, asked := int32(blocksAhead+2), int32(0); from >= 0; {
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
			count = last + 1 // rare, so all the rest costs little
		} else {
			count = max(2, int32(min(int64(last)+1, 3*int64(n-len(found))*int64(asked)/int64(2*len(found)))))
		}
	}
	return found, nil, nil
}

// byIDs reads candidates; the scope is asked once more.
func (q *query) byIDs(found []candidate) clause {
	ids := make(pgarray.UUIDs, len(found))
	for i := range found {
		ids[i] = found[i].id
	}
	p := scopeClause(q.scope)
	return clause{"SELECT " + columns + " FROM customers c WHERE c.id = ANY(?::uuid[]) AND " + p.sql, append([]any{ids}, p.args...)}
}

func (s *Service) selectCandidates(ctx context.Context, c clause) ([]candidate, error) {
	rows, err := s.db.From(ctx).Query(ctx, c.numbered(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []candidate
	for rows.Next() {
		var one candidate
		if err := rows.Scan(&one.id, &one.block); err != nil {
			return nil, err
		}
		out = append(out, one)
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

// inverted finds all rows of some blocks with the tokens through the inverted
// index, then sorts. MATERIALIZED keeps the planner from walking in order
// instead, and "IS TRUE" from also fetching the 200,000 index entries of a
// store to combine them with 4,000 of a name.
func (q *query) inverted(keys *crypto.Keyring, from, to int32, n int) clause {
	w := clause{}
	for _, tokens := range q.tokens(keys, from, to) {
		w.and("c.name_tokens && ?::integer[]", tokens)
	}
	fits := q.fits()
	if q.from != nil && q.from.Block != nil {
		fits.and("(c.name_block, c.id) < (?, ?)", *q.from.Block, q.from.ID)
	}
	if q.narrow {
		w.and(fits.sql, fits.args...)
	} else {
		w.and("("+fits.sql+") IS TRUE", fits.args...)
	}
	return clause{fmt.Sprintf("WITH hits AS MATERIALIZED (SELECT c.id, c.name_block FROM customers c WHERE %s) SELECT c.id, c.name_block FROM hits c ORDER BY c.name_block DESC, c.id DESC LIMIT %d", w.sql, n), w.args}
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
	return clause{fmt.Sprintf("SELECT c.id, NULL::integer FROM (%s) c WHERE %s ORDER BY c.id DESC LIMIT %d", steps.sql, w.sql, n), append(steps.args, w.args...)}
}
