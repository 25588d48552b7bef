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
	floor  float64           // share of a token that is not among them, at most
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
	t.tokens, t.floor = make(map[int32]float64, len(tokens)), 0
	for i, token := range tokens {
		t.tokens[token] = tokenFreqs[i]
	}
	if len(tokenFreqs) > len(tokens) {
		t.floor = tokenFreqs[len(tokens)] // the list ends with its minimum, its maximum and the share of nulls
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

// shouldWalk compares the rows that a walk would look at with those that the
// inverted index would hand out, by the expected share of rows with all tokens.
func (s *Service) shouldWalk(ctx context.Context, q *query, limit int) (bool, error) {
	t := s.stats
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.renew(ctx, s); err != nil {
		return false, err
	}
	hits := 1.0
	for _, token := range q.tokens {
		share, ok := t.tokens[token]
		if !ok {
			share = t.floor
		}
		hits *= share
	}
	if hits == 0 {
		return false, nil // no statistics yet: the table is small or new
	}
	length, seen, step := t.rows, 1.0, 1.0 // rows of the walk, the share of them in scope, what one costs
	switch column, id := q.driver(); {
	case column == "home_store_id":
		length, step = length*t.stores.of(id), storeRow
	case column == "assigned_staff_id":
		length, step = length*t.staff.of(id), randomRow
	case !q.scope.All:
		seen = 0
		for _, id := range q.scope.OwnStaff {
			seen += t.staff.of(id)
		}
		for _, id := range q.scope.StoreIDs {
			seen += t.stores.of(id)
		}
	}
	walk := math.Min(float64(limit)/(hits*math.Max(seen, 1e-6)), length)
	return walk*step < randomRow*hits*t.rows, nil
}

// What a row costs, in rows of a walk over all customers: those lie side by side
// and everybody reads them; a store's are some of them, an assistant's and those
// of the inverted index lie anywhere (docs/plans/customers-search.md).
const (
	storeRow  = 1.5
	randomRow = 3
)
