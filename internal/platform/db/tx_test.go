package db_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

var errBoom = errors.New("boom")

func put(ctx context.Context, tx *db.Tx, key string) error {
	_, err := tx.Exec(ctx, "INSERT INTO settings (key, value, updated_at) VALUES ($1, '{}', now())", key)
	return err
}

func keys(t testing.TB, d *db.DB) []string {
	t.Helper()
	rows, err := d.Query(context.Background(), "SELECT key FROM settings ORDER BY key")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	out := []string{}
	for rows.Next() {
		var k string
		require.NoError(t, rows.Scan(&k))
		out = append(out, k)
	}
	require.NoError(t, rows.Err())
	return out
}

func TestInTxCommitsAndRunsHooksInOrder(t *testing.T) {
	d := pgtest.DB(t)
	var order []string
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		tx.AfterCommit(func(ctx context.Context) {
			order = append(order, "after")
			require.NoError(t, ctx.Err())
			require.Nil(t, db.CurrentTx(ctx), "an after-commit hook reads from the pool")
			require.Equal(t, []string{"a", "late"}, keys(t, d))
		})
		tx.BeforeCommit(func(ctx context.Context) error {
			order = append(order, "before")
			tx.BeforeCommit(func(ctx context.Context) error { order = append(order, "added"); return put(ctx, tx, "late") })
			return nil
		})
		tx.BeforeCommit(func(context.Context) error { order = append(order, "before2"); return nil })
		return put(ctx, tx, "a")
	}))
	require.Equal(t, []string{"before", "before2", "added", "after"}, order)
}

func TestInTxRollsBack(t *testing.T) {
	d := pgtest.DB(t)
	after := func(tx *db.Tx) { tx.AfterCommit(func(context.Context) { t.Error("after commit of a rollback") }) }
	require.ErrorIs(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		after(tx)
		require.NoError(t, put(ctx, tx, "error"))
		return errBoom
	}), errBoom)
	require.ErrorIs(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		after(tx)
		tx.BeforeCommit(func(context.Context) error { return errBoom })
		return put(ctx, tx, "hook")
	}), errBoom)
	require.PanicsWithValue(t, "oh", func() {
		_ = d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
			after(tx)
			require.NoError(t, put(ctx, tx, "panic"))
			panic("oh")
		})
	})
	ctx, cancel := context.WithCancel(context.Background())
	require.Error(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		after(tx)
		require.NoError(t, put(ctx, tx, "cancelled"))
		cancel()
		return nil
	}))
	require.Empty(t, keys(t, d))
	require.Zero(t, d.SQL.Stats().InUse, "every connection is given back")
}

func TestInTxJoinsTheContextsTransaction(t *testing.T) {
	d := pgtest.DB(t)
	var inner atomic.Int64
	err := d.InTx(context.Background(), func(ctx context.Context, outer *db.Tx) error {
		require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			require.Same(t, outer, tx)
			tx.AfterCommit(func(context.Context) { inner.Add(1) })
			return put(ctx, tx, "inner")
		}))
		var n int
		require.NoError(t, d.From(ctx).QueryRow(ctx, "SELECT count(*) FROM settings").Scan(&n))
		require.Equal(t, 1, n, "reads see the open transaction")
		require.Empty(t, keys(t, d), "nobody else does")
		require.Zero(t, inner.Load())
		return errBoom
	})
	require.ErrorIs(t, err, errBoom)
	require.Empty(t, keys(t, d))
	require.Zero(t, inner.Load())
}

func TestEntWorksInsideATransaction(t *testing.T) {
	d := pgtest.DB(t)
	ctx := auth.System(context.Background(), "test")
	require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		region, err := tx.Platform.Region.Create().SetID(uuid.New()).SetCode("N").SetName("North").Save(ctx)
		require.NoError(t, err)
		store, err := tx.Platform.Store.Create().SetID(uuid.New()).SetCode("A1").SetName("First").SetRegion(region).Save(ctx)
		require.NoError(t, err)
		_, err = tx.Platform.Store.UpdateOne(store).SetName("Second").Save(ctx) // ent opens a nested transaction here
		return err
	}))
	store, err := d.Platform.Store.Query().WithRegion().Only(ctx)
	require.NoError(t, err)
	require.Equal(t, "Second", store.Name)
	require.Equal(t, "N", store.Edges.Region.Code)
	_, err = d.Platform.Store.Query().All(context.Background())
	require.ErrorIs(t, err, auth.ErrNoActor)
}

func TestInTxRetriesSerializationFailures(t *testing.T) {
	d := pgtest.DB(t)
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (key, value, updated_at) VALUES ($1, '0', now())`, "n")
		return err
	}))
	var runs atomic.Int64
	var wg sync.WaitGroup
	const writers = 3
	for range writers {
		wg.Go(func() {
			err := d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
				runs.Add(1)
				if _, err := tx.Exec(ctx, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
					return err
				}
				var n int
				if err := tx.QueryRow(ctx, "SELECT value::int FROM settings WHERE key = $1", "n").Scan(&n); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "UPDATE settings SET value = to_jsonb($2::int) WHERE key = $1", "n", n+1)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var n int
	require.NoError(t, d.QueryRow(context.Background(), "SELECT value::int FROM settings WHERE key = $1", "n").Scan(&n))
	require.Equal(t, writers, n, "no update is lost")

	runs.Store(0)
	err := d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		runs.Add(1)
		_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$")
		return err
	})
	require.True(t, db.Retryable(err))
	require.Equal(t, int64(4), runs.Load(), "a bounded number of times")
}

func TestSavepointUndoesOnlyItsPart(t *testing.T) {
	d := pgtest.DB(t)
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		require.NoError(t, put(ctx, tx, "a"))
		err := tx.Savepoint(ctx, func() error {
			require.NoError(t, put(ctx, tx, "b"))
			return put(ctx, tx, "a") // twice: the transaction is broken up to the savepoint
		})
		require.Equal(t, "23505", db.Code(err))
		require.Equal(t, "settings_pkey", db.Violated(err))
		require.NoError(t, tx.Savepoint(ctx, func() error { return put(ctx, tx, "c") }))
		return put(ctx, tx, "d")
	}))
	require.Equal(t, []string{"a", "c", "d"}, keys(t, d))
}

func TestErrorsAreRead(t *testing.T) {
	require.Empty(t, db.Code(errBoom))
	require.Empty(t, db.Violated(errBoom))
	require.Empty(t, db.Violated(&pq.Error{Code: "40001", Constraint: "x"}))
	require.True(t, db.Retryable(&pq.Error{Code: "40P01"}))
	require.False(t, db.Retryable(&pq.Error{Code: "23505"}))
}
