package customers

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// tokenStats holds what PostgreSQL's statistics know about the columns that
// searches by name run over, renewed every minute.
type tokenStats struct {
	mu     sync.Mutex
	read   time.Time
	rows   float64
	tokens map[int32]float64 // share of rows with a common token
	stores owners
	staff  owners
}

// owners tells how many of all rows belong to one owner.
type owners struct {
	share map[uuid.UUID]float64
	rest  float64 // share of an owner that is not listed
}

func (o owners) of(id uuid.UUID) float64 {
	if v, ok := o.share[id]; ok {
		return v
	}
	return o.rest
}

const statsAge = time.Minute

const statsSQL = `
SELECT greatest(c.reltuples, 0),
       coalesce(n.most_common_elems::text::integer[], '{}'), coalesce(n.most_common_elem_freqs, '{}')::float8[],
       coalesce(h.most_common_vals::text::uuid[], '{}'), coalesce(h.most_common_freqs, '{}')::float8[], coalesce(h.n_distinct, 1),
       coalesce(a.most_common_vals::text::uuid[], '{}'), coalesce(a.most_common_freqs, '{}')::float8[], coalesce(a.n_distinct, 1)
FROM pg_class c
LEFT JOIN pg_stats n ON n.schemaname = 'public' AND n.tablename = 'customers' AND n.attname = 'name_tokens'
LEFT JOIN pg_stats h ON h.schemaname = 'public' AND h.tablename = 'customers' AND h.attname = 'home_store_id'
LEFT JOIN pg_stats a ON a.schemaname = 'public' AND a.tablename = 'customers' AND a.attname = 'assigned_staff_id'
WHERE c.oid = 'public.customers'::regclass`

// renew reads the statistics when they are old. The caller holds mu.
func (t *tokenStats) renew(ctx context.Context, s *Service) error {
	if time.Since(t.read) < statsAge {
		return nil
	}
	var tokens pq.Int32Array
	var stores, staff pgarray.UUIDs
	var tokenFreqs, storeFreqs, staffFreqs pq.Float64Array
	var storeCount, staffCount float64
	// By the pool, not the request's transaction: a failure must not abort that.
	err := s.db.SQL.QueryRowContext(ctx, statsSQL).Scan(&t.rows, &tokens, &tokenFreqs, &stores, &storeFreqs, &storeCount, &staff, &staffFreqs, &staffCount)
	if err != nil {
		return err
	}
	t.tokens = make(map[int32]float64, len(tokens))
	for i, token := range tokens {
		t.tokens[token] = tokenFreqs[i] // the list of shares goes on with their minimum, maximum and the share of nulls
	}
	t.stores, t.staff = makeOwners(stores, storeFreqs, storeCount, t.rows), makeOwners(staff, staffFreqs, staffCount, t.rows)
	t.read = time.Now()
	return nil
}

func makeOwners(ids pgarray.UUIDs, freqs []float64, distinct, rows float64) owners {
	if distinct < 0 { // PostgreSQL's way to say: a share of the rows
		distinct *= -rows
	}
	o := owners{share: make(map[uuid.UUID]float64, len(ids)), rest: 1 / math.Max(distinct, 1)}
	rest := 1.0
	for i, id := range ids {
		o.share[id] = freqs[i]
		rest -= freqs[i]
	}
	if others := distinct - float64(len(ids)); others >= 1 {
		o.rest = math.Max(rest, 0) / others
	}
	return o
}

// unlisted is the share of rows supposed of a term that PostgreSQL does not
// list among the common ones of its block.
const unlisted = 0.002

// share is the share of rows with a term, by its tokens in one of so many
// blocks.
func (t *tokenStats) share(tokens []int32, oneOf float64) float64 {
	sum, known := 0.0, false
	for _, token := range tokens {
		share, ok := t.tokens[token]
		sum += share
		known = known || ok
	}
	if !known {
		return unlisted
	}
	return math.Min(sum*oneOf, 1)
}

// expected is what to expect of a search by name.
type expected struct {
	last int32 // the newest block
	rows float64
	hits float64 // share of rows with all terms
	own  float64 // share of rows that belong to the owners of the list, 1 if it has none
	step float64 // what a row of a walk costs
}

// expect reads from the statistics what to expect of a search by name.
func (s *Service) expect(ctx context.Context, q *query, last int32) (expected, error) {
	e := expected{last: last, hits: 1, own: 1, step: 1}
	t := s.stats
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.renew(ctx, s); err != nil {
		return e, err
	}
	e.rows = t.rows
	// Tokens cost a hash each, so the newest full blocks speak for all.
	newest := max(last-blocksAhead-1, 0)
	sample := min(newest+1, 16)
	for _, tokens := range q.tokens(s.keys, newest-sample+1, newest) {
		e.hits *= t.share(tokens, float64(newest+1)/float64(sample))
	}
	if column, ids := q.owners(); column != "" {
		of := t.stores
		e.own, e.step = 0, storeRow
		if column == "assigned_staff_id" {
			of, e.step = t.staff, ownRow
		}
		for _, id := range ids {
			e.own += of.of(id)
		}
		e.own = math.Max(e.own, 1e-9) // it divides
	}
	return e, nil
}

// blocks is how many blocks should hold a page of n and a half.
func (e expected) blocks(n int) int32 {
	all := float64(e.last + 1)
	return int32(max(2, min(all, 1.5*float64(n)/(e.hits*e.own*blockSize+1/all))))
}

// shouldWalk compares the rows that a walk along the index of the caller's or
// the filter's owners would look at with those that the inverted index would
// hand out.
func (e expected) shouldWalk(q *query, limit int) bool {
	column, ids := q.owners()
	if column == "" && (!q.scope.All || q.where.sql != active || q.lead.sql != "") {
		return false // how many of all customers fit is not known
	}
	n := float64(limit)
	walk := e.rows * e.own
	if len(ids) <= 1 { // in order, so the walk ends when the page is full
		walk = math.Min(walk, n/e.hits)
	}
	// The index hands out the owners' rows of at least one block, having looked at
	// everybody's entries there.
	rows := math.Max(math.Min(n, e.rows*e.hits*e.own), math.Min(e.rows, blockSize)*e.hits*e.own)
	return walk*e.step < (randomRow+entry/e.own)*rows
}

// What a row costs, in rows of a walk over all customers: those lie side by
// side; a store's are some of them, an assistant's and those of the inverted
// index lie anywhere (docs/plans/customers-search.md).
const (
	storeRow  = 1.5
	ownRow    = 3
	randomRow = 3
	entry     = 0.2 // of the inverted index
)
