package orders

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// historySQL makes a history: twenty stores, of which the first sells every third
// order; two hundred thousand customers, of whom the first (a company's card)
// buys one order of a hundred; eight years, one in fifty cancelled, a few hundred
// still open. Triggers and keys are
// off meanwhile.
var historySQL = []string{
	"SET session_replication_role = replica",
	`INSERT INTO stores (id, code, name, created_at, updated_at) SELECT md5('store' || n)::uuid, 'P' || n, 'P' || n, now(), now() FROM generate_series(1, 20) n`,
	`INSERT INTO customers (id, external_id, data_key, name_tokens, tag_ids, created_at, updated_at) SELECT md5('customer' || n)::uuid, 'P' || n, '', '{}', '{}', now(), now()
		FROM generate_series(1, 200000) n`,
	`INSERT INTO orders (id, order_number, store_id, customer_id, channel, status, fulfilment, currency, placed_at, business_day, line_count, unit_count, total_amount, paid_amount, completed_at, cancelled_at, version, created_at, updated_at)
		SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5('o' || i), 1, 3) || '8' || substr(md5('o' || i), 4, 15))::uuid, 'P' || i,
			md5('store' || CASE WHEN i % 3 = 0 THEN 1 ELSE 2 + hashint8(i) & 15 END)::uuid, md5('customer' || CASE WHEN i % 100 = 0 THEN 1 ELSE 2 + (hashint8(i) & 131071) END)::uuid,
			CASE WHEN i % 4 = 0 THEN 'web' ELSE 'pos' END, CASE WHEN i % 50 = 7 THEN 'cancelled' WHEN i % 20000 = 1 THEN 'ready' ELSE 'completed' END, 'taken', 'CNY', at, at::date, 1, 1, 9900, 9900,
			CASE WHEN i % 50 = 7 OR i % 20000 = 1 THEN NULL ELSE at END, CASE WHEN i % 50 = 7 THEN at END, 1, at, at
		FROM (SELECT i, timestamptz '2018-01-01' + i * (interval '8 years' / $1::bigint) AS at FROM generate_series(1, $1::bigint) i) x`,
	"VACUUM ANALYZE orders", "VACUUM ANALYZE customers",
}

// TestListsAtScale prints the plans of lists of SHUKE_PLAN_ORDERS orders, kept in
// docs/plans/orders-lists.md, and what pages cost at the beginning and deep down.
func TestListsAtScale(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("SHUKE_PLAN_ORDERS"))
	if n == 0 {
		t.Skip("set SHUKE_PLAN_ORDERS, for example to 10000000")
	}
	clone := pgtest.NewDatabase(t)
	owner := clone.Admin(t)
	owner.SetMaxOpenConns(1) // the setting belongs to a connection
	s := openOn(t, clone.Open(t), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	start := time.Now()
	for _, q := range historySQL {
		var args []any
		if strings.Contains(q, "$1") {
			args = []any{n}
		}
		_, err := owner.Exec(q, args...)
		require.NoError(t, err, q)
	}
	t.Logf("%d orders made in %s", n, time.Since(start).Round(time.Second))
	var store, rare, company uuid.UUID
	require.NoError(t, owner.QueryRow("SELECT md5('store1')::uuid, md5('store4')::uuid, md5('customer1')::uuid").Scan(&store, &rare, &company))
	for _, list := range []struct {
		name  string
		f     Filter
		where string
	}{
		{"all", Filter{}, ""},
		{"a store, every third order", Filter{StoreID: &store}, "store_id = $1"},
		{"a store, one of fifty", Filter{StoreID: &rare}, "store_id = $1"},
		{"a customer with one of a hundred", Filter{CustomerID: &company}, "customer_id = $1"},
		{"ready in a store", Filter{StoreID: &store, Status: "ready"}, "store_id = $1 AND status = 'ready' AND completed_at IS NULL AND cancelled_at IS NULL"},
		{"ready everywhere", Filter{Status: "ready"}, "status = 'ready' AND completed_at IS NULL AND cancelled_at IS NULL"},
		{"cancelled in a store", Filter{StoreID: &store, Status: "cancelled"}, "store_id = $1 AND status = 'cancelled'"},
		{"a customer's at a store", Filter{StoreID: &rare, CustomerID: &company}, "store_id = $1 AND customer_id = $2"},
	} {
		cost := func(depth float64) time.Duration {
			f, limit := list.f, int32(50)
			f.Limit = &limit
			if depth > 0 {
				at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Duration(depth * float64(8*365*24*time.Hour)))
				l, _ := f.orders()
				f.Cursor, _ = l.After(s.pages, position{at, uuid.Max})
			}
			best := time.Hour
			for range 20 {
				begun := time.Now()
				_, err := s.ListOrders(s.ctx, f)
				require.NoError(t, err)
				best = min(best, time.Since(begun))
			}
			return best.Round(10 * time.Microsecond)
		}
		fmt.Printf("\n### %s\n\n50 of them: first page %s, after a tenth of the time %s, after nine tenths %s.\n", list.name, cost(0), cost(.1), cost(.9))
		s.explainList(t, list.where, list.f)
	}
}

// explainList prints how PostgreSQL answers a page nine tenths down.
func (s *shop) explainList(t *testing.T, where string, f Filter) {
	t.Helper()
	var args []any
	if f.StoreID != nil {
		args = append(args, *f.StoreID)
	}
	if f.CustomerID != nil {
		args = append(args, *f.CustomerID)
	}
	if where != "" {
		where += " AND "
	}
	query := "SELECT * FROM orders WHERE " + where + "(placed_at, id) < ('2018-10-20', 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY placed_at DESC, id DESC LIMIT 51"
	rows, err := s.db.QueryByValues(context.Background(), "EXPLAIN (ANALYZE, COSTS OFF, BUFFERS, SUMMARY OFF) "+query, args...)
	require.NoError(t, err)
	defer rows.Close()
	fmt.Printf("\n```\n%s\n\n", query)
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		fmt.Println(line)
		require.NotContains(t, line, "Seq Scan")
	}
	fmt.Println("```")
	require.NoError(t, rows.Err())
}
