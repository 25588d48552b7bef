package db_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// prepared counts the statements that connections of this database hold; only a
// session can see its own, so every connection of the pool is asked.
func prepared(t testing.TB, d *db.DB, like string) int {
	t.Helper()
	var n int
	require.NoError(t, d.QueryRow(context.Background(), "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '"+like+"'").Scan(&n))
	return n
}

func one(t testing.TB, base pgtest.Database) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), db.Options{URL: base.AppURL, PoolSize: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestStatementsArePreparedOnce(t *testing.T) {
	d := one(t, pgtest.NewDatabase(t))
	for i := range 20 {
		var v int
		require.NoError(t, d.QueryRow(context.Background(), "SELECT $1::int + 1 AS once", i).Scan(&v))
		require.Equal(t, i+1, v)
	}
	require.Equal(t, 1, prepared(t, d, "%AS once%"))
}

// With one connection in the pool, a transaction that needed a second one to
// prepare a statement would wait for ever.
func TestATransactionNeedsOneConnectionOnly(t *testing.T) {
	d := one(t, pgtest.NewDatabase(t))
	for i := range 3 {
		require.NoError(t, d.InTx(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			var v int
			if err := tx.QueryRow(ctx, "SELECT $1::int AS intx", 7).Scan(&v); err != nil {
				return err
			}
			require.Equal(t, 7, v)
			return put(ctx, tx, fmt.Sprint(i))
		}))
	}
	require.Equal(t, 1, prepared(t, d, "%AS intx%"), "learned by the first, used by the next")
}

// Statements come and go while others use them: dropping one from the cache
// must not break a query that has just taken it.
func TestManyDifferentStatementsAtOnce(t *testing.T) {
	d := pgtest.DB(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 600 {
				n := (i*7 + w*113) % 900 // more than are kept
				query := fmt.Sprintf("SELECT $1::int + %d", n)
				var v int
				if err := d.QueryRow(context.Background(), query, 1).Scan(&v); err != nil || v != n+1 {
					t.Errorf("%s: %d, %v", query, v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
