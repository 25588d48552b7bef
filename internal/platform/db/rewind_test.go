package db_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

var testEvent = events.Define("test.happened", "测试", "Test")

// What a rolled-back part left for the commit must not happen either, or the
// audit log would tell of rows that do not exist.
func TestSavepointTakesBackWhatWasLeftForTheCommit(t *testing.T) {
	for _, early := range []bool{false, true} { // is anything recorded before the savepoint?
		d := pgtest.DB(t)
		hooks := 0
		note := func(ctx context.Context, tx *db.Tx, id string) {
			audit.Record(ctx, tx, audit.Entry{Action: "a", ObjectType: "b", ObjectID: id})
			events.Emit(tx, events.Event{Type: testEvent, SubjectType: id, SubjectID: uuid.New()})
		}
		require.NoError(t, d.InTx(auth.System(context.Background(), "test"), func(ctx context.Context, tx *db.Tx) error {
			if early {
				note(ctx, tx, "early")
			}
			require.ErrorIs(t, tx.Savepoint(ctx, func() error {
				note(ctx, tx, "undone")
				tx.BeforeCommit(func(context.Context) error { hooks++; return nil })
				tx.AfterCommit(func(context.Context) { hooks++ })
				require.NoError(t, tx.Savepoint(ctx, func() error { note(ctx, tx, "undone too"); return nil }))
				require.ErrorIs(t, tx.Savepoint(ctx, func() error { return put(ctx, tx, "inner") }), nil)
				return errBoom
			}), errBoom)
			note(ctx, tx, "kept")
			return nil
		}))
		require.Zero(t, hooks)
		require.Empty(t, keys(t, d))
		want := 1
		if early {
			want = 2
		}
		var logs, outbox, undone int
		require.NoError(t, d.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM audit_logs), (SELECT count(*) FROM outbox_events),
			(SELECT count(*) FROM audit_logs WHERE object_id LIKE 'undone%')`).Scan(&logs, &outbox, &undone))
		require.Equal(t, []int{want, want, 0}, []int{logs, outbox, undone})
	}
}

func TestNestedSavepointsGoBackToTheirOwn(t *testing.T) {
	d := pgtest.DB(t)
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		require.ErrorIs(t, tx.Savepoint(ctx, func() error {
			require.NoError(t, put(ctx, tx, "outer"))
			require.ErrorIs(t, tx.Savepoint(ctx, func() error { require.NoError(t, put(ctx, tx, "inner")); return errBoom }), errBoom)
			return errBoom
		}), errBoom)
		return put(ctx, tx, "kept")
	}))
	require.Equal(t, []string{"kept"}, keys(t, d))
}

// A statement prepared before a migration must work after it.
func TestStatementsSurviveAChangedTable(t *testing.T) {
	base := pgtest.NewDatabase(t)
	d := base.Open(t)
	ctx := context.Background()
	_, err := base.Owner(t).Exec("CREATE TABLE changing (id int, v int); INSERT INTO changing VALUES (1, 7)")
	require.NoError(t, err)
	read := func(c *db.Clients) (string, error) {
		var v string
		err := c.QueryRow(ctx, "SELECT v FROM changing WHERE id = $1", 1).Scan(&v)
		return v, err
	}
	readInTx := func() (v string, err error) {
		err = d.InTx(ctx, func(_ context.Context, tx *db.Tx) (err error) { v, err = read(tx.Clients); return err })
		return v, err
	}
	for range 3 {
		_, err = read(d.Clients)
		require.NoError(t, err)
		_, err = readInTx()
		require.NoError(t, err)
	}
	_, err = base.Owner(t).Exec("ALTER TABLE changing ALTER COLUMN v TYPE text USING 'was ' || v")
	require.NoError(t, err)
	v, err := readInTx()
	require.NoError(t, err)
	require.Equal(t, "was 7", v)
	for range 10 {
		v, err = read(d.Clients)
		require.NoError(t, err)
		require.Equal(t, "was 7", v)
	}
}
