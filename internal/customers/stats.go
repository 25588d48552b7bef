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

// shouldWalk compares the rows that a walk along the index of the caller's or
// the filter's owners would look at with those that the inverted index would
// hand out, by the expected share of rows with all terms.
func (s *Service) shouldWalk(ctx context.Context, q *query, limit int, last int32) (bool, error) {
	column, ids := q.owners()
	if column == "" && (!q.scope.All || q.where.sql != active || q.lead.sql != "") {
		return false, nil // how many of all customers fit is not known
	}
	t := s.stats
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.renew(ctx, s); err != nil {
		return false, err
	}
	// Tokens cost a hash each, so the newest full blocks speak for all.
	newest := max(last-blocksAhead-1, 0)
	sample := min(newest+1, 16)
	hits := 1.0
	for _, tokens := range q.tokens(s.keys, newest-sample+1, newest) {
		hits *= t.share(tokens, float64(newest+1)/float64(sample))
	}
	own, step := 1.0, 1.0 // along all customers
	if column != "" {
		of := t.stores
		own, step = 0, storeRow
		if column == "assigned_staff_id" {
			of, step = t.staff, ownRow
		}
		for _, id := range ids {
			own += of.of(id)
		}
	}
	n := float64(limit)
	walk := t.rows * own
	if len(ids) <= 1 { // in order, so the walk ends when the page is full
		walk = math.Min(walk, n/hits)
	}
	inverted := math.Max(math.Min(n/own, t.rows*hits), math.Min(t.rows, blockSize)*hits)
	return walk*step < randomRow*inverted, nil
}

// What a row costs, in rows of a walk over all customers: those lie side by
// side; a store's are some of them, an assistant's and those of the inverted
// index lie anywhere (docs/plans/customers-search.md).
const (
	storeRow  = 1.5
	ownRow    = 3
	randomRow = 3
)
