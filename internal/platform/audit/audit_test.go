package audit_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

func record(t *testing.T, d *db.DB, n int) {
	t.Helper()
	ctx := auth.System(telemetry.WithRequestID(context.Background(), "req-1"), "test")
	require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		for i := range n {
			store := uuid.New()
			audit.Record(ctx, tx, audit.Entry{Action: "customers.update", ObjectType: "customer", ObjectID: fmt.Sprint(i),
				StoreID: &store, Reason: "because", Changes: map[string]any{"fields": []string{"phone"}, "n": i}})
		}
		return nil
	}))
}

func seal(t *testing.T, d *db.DB) int {
	t.Helper()
	n, err := audit.NewSealer(d, nil).Seal(context.Background())
	require.NoError(t, err)
	return n
}

func verify(t *testing.T, d *db.DB, anchors ...audit.Anchor) audit.Result {
	t.Helper()
	r, err := audit.Verify(context.Background(), d, anchors...)
	require.NoError(t, err)
	return r
}

func TestRecordWritesActorAndRequest(t *testing.T) {
	d := pgtest.DB(t)
	staff, store := uuid.New(), uuid.New()
	ctx := auth.With(telemetry.WithRequestID(context.Background(), "req-9"), auth.Actor{Kind: auth.KindStaff, ID: staff, Name: "wang"})
	require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "stores.create", ObjectType: "store", ObjectID: store.String(), StoreID: &store, Changes: map[string]any{"code": "A1"}})
		audit.Record(ctx, tx, audit.Entry{Action: "roles.update", ObjectType: "role", ObjectID: "x"})
		return nil
	}))
	var kind, name, request, changes string
	var actor, at uuid.UUID
	require.NoError(t, d.QueryRow(ctx, "SELECT actor_kind, actor_id, actor_name, request_id, store_id, changes::text FROM audit_logs WHERE action = 'stores.create'").
		Scan(&kind, &actor, &name, &request, &at, &changes))
	require.Equal(t, []any{"staff", staff, "wang", "req-9", store, `{"code": "A1"}`}, []any{kind, actor, name, request, at, changes})
	var noStore, noChanges bool
	require.NoError(t, d.QueryRow(ctx, "SELECT store_id IS NULL, changes IS NULL FROM audit_logs WHERE action = 'roles.update'").Scan(&noStore, &noChanges))
	require.True(t, noStore && noChanges)
}

func TestRecordGoesWithTheTransaction(t *testing.T) {
	d := pgtest.DB(t)
	boom := errors.New("boom")
	require.ErrorIs(t, d.InTx(auth.System(context.Background(), "test"), func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "a", ObjectType: "b", ObjectID: "c"})
		return boom
	}), boom)
	require.ErrorIs(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "a", ObjectType: "b", ObjectID: "c"})
		return nil
	}), auth.ErrNoActor, "an act without an actor")
	var n int
	require.NoError(t, d.QueryRow(context.Background(), "SELECT count(*) FROM audit_logs").Scan(&n))
	require.Zero(t, n)
}

func TestServiceCannotTouchTheLog(t *testing.T) {
	d := pgtest.DB(t)
	record(t, d, 1)
	seal(t, d)
	for _, table := range []string{"audit_logs", "audit_seals"} {
		for _, statement := range []string{"UPDATE " + table + " SET ", "DELETE FROM " + table, "TRUNCATE " + table, "ALTER TABLE " + table + " DISABLE TRIGGER ALL", "DROP TABLE " + table} {
			if statement == "UPDATE "+table+" SET " {
				statement += map[string]string{"audit_logs": "reason = ''", "audit_seals": "seq = 9"}[table]
			}
			_, err := d.Exec(context.Background(), statement)
			require.Equal(t, "42501", db.Code(err), statement)
		}
	}
	require.Nil(t, verify(t, d).Bad)
}

func TestOwnerIsRefusedByTheTrigger(t *testing.T) {
	base := pgtest.NewDatabase(t)
	record(t, base.Open(t), 1)
	for _, statement := range []string{"UPDATE audit_logs SET reason = ''", "DELETE FROM audit_logs", "TRUNCATE audit_logs CASCADE"} {
		_, err := base.Owner(t).Exec(statement)
		require.Equal(t, "42501", db.Code(err), statement)
	}
}

func TestChainIsWholeOverBatchesAndSealers(t *testing.T) {
	d := pgtest.DB(t)
	require.Equal(t, int64(0), verify(t, d).Sealed)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				record(t, d, 30)
			}
		})
		wg.Go(func() {
			s := audit.NewSealer(d, nil)
			for range 20 {
				if _, err := s.Seal(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seal(t, d)
	r := verify(t, d)
	require.Nil(t, r.Bad)
	require.Equal(t, int64(4*20*30), r.Sealed)
	require.Equal(t, r.Sealed, r.HeadSeq)
	require.Zero(t, r.Waiting)
	record(t, d, 2)
	require.Equal(t, int64(2), verify(t, d).Waiting)
}

func TestBacklogLargerThanABatchIsSealedAtOnce(t *testing.T) {
	base := pgtest.NewDatabase(t)
	d := base.Open(t)
	// Entries of the past two hours, as after a sealer that did not run.
	_, err := d.Exec(context.Background(), `INSERT INTO audit_logs (id, created_at, actor_kind, action, object_type, object_id)
		SELECT (lpad(to_hex((extract(epoch FROM now() - make_interval(secs => n * 3)) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
		       now(), 'system', 'x', 'y', n::text FROM generate_series(1, 2400) n`)
	require.NoError(t, err)
	require.Equal(t, 2400, seal(t, d))
	r := verify(t, d)
	require.Nil(t, r.Bad)
	require.Equal(t, int64(2400), r.Sealed)
}

// tamper works as somebody who holds the whole server.
func tamper(t *testing.T, base pgtest.Database, statements ...string) {
	t.Helper()
	admin := base.Admin(t)
	admin.SetMaxOpenConns(1)
	for _, s := range append([]string{"SET session_replication_role = replica"}, statements...) { // no triggers, no foreign keys
		_, err := admin.Exec(s)
		require.NoError(t, err, s)
	}
}

func auditID(t *testing.T, d *db.DB, seq int) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	err := d.QueryRow(context.Background(), "SELECT audit_id FROM audit_seals WHERE seq = $1", seq).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(t, err)
	}
	return id
}

func TestVerifyNamesWhatWasDone(t *testing.T) {
	for _, c := range []struct {
		name       string
		statements []string
		seq        int64
		named      int // the entry at this place before the tampering is named
		problem    string
	}{
		{"a word altered", []string{"UPDATE audit_logs SET actor_name = 'li' WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 4)"}, 4, 4, "altered"},
		{"a change altered", []string{`UPDATE audit_logs SET changes = '{"n": 0}' WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 4)`}, 4, 4, "altered"},
		{"the time altered", []string{"UPDATE audit_logs SET created_at = created_at - interval '1 day' WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 9)"}, 9, 9, "altered"},
		{"the time of sealing altered", []string{"UPDATE audit_seals SET sealed_at = sealed_at - interval '1 day' WHERE seq = 9"}, 9, 9, "altered"},
		{"deleted", []string{"DELETE FROM audit_logs WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 5)"}, 5, 5, "deleted"},
		{"deleted with its seal", []string{"DELETE FROM audit_logs WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 5)", "DELETE FROM audit_seals WHERE seq = 5"}, 5, 0, "seal_missing"},
		{"deleted and the seals moved up", []string{"DELETE FROM audit_logs WHERE id = (SELECT audit_id FROM audit_seals WHERE seq = 5)", "DELETE FROM audit_seals WHERE seq = 5",
			"UPDATE audit_seals SET seq = seq - 1000000 WHERE seq > 5", "UPDATE audit_seals SET seq = seq + 999999 WHERE seq < 0"}, 5, 6, "seal_altered"},
		{"the end of the log deleted, seals left", []string{"DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_seals WHERE seq > 8)"}, 9, 9, "deleted"},
		{"two entries exchanged", []string{"CREATE TEMP TABLE t AS SELECT * FROM audit_seals WHERE seq IN (3, 7)", "DELETE FROM audit_seals WHERE seq IN (3, 7)",
			"INSERT INTO audit_seals SELECT s.seq, o.audit_id, s.prev_hash, s.hash, s.sealed_at FROM t s, t o WHERE s.seq <> o.seq"}, 3, 7, "altered"},
		{"two seals exchanged", []string{"UPDATE audit_seals SET seq = -seq WHERE seq IN (3, 4)", "UPDATE audit_seals SET seq = CASE seq WHEN -3 THEN 4 ELSE 3 END WHERE seq < 0"}, 3, 4, "seal_altered"},
		{"a forged hash", []string{"UPDATE audit_seals SET hash = sha256('x') WHERE seq = 10"}, 10, 10, "altered"},
		{"an entry put in long before", []string{`INSERT INTO audit_logs (id, created_at, actor_kind, action, object_type, object_id)
			VALUES ('01800000-0000-7000-8000-000000000000', now() - interval '2 years', 'staff', 'x', 'y', 'z')`}, 0, -1, "unsealed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := pgtest.NewDatabase(t)
			d := base.Open(t)
			record(t, d, 10)
			require.Equal(t, 10, seal(t, d))
			require.Nil(t, verify(t, d).Bad)
			named := auditID(t, d, c.named)
			if c.named == -1 {
				named = uuid.MustParse("01800000-0000-7000-8000-000000000000")
			}
			tamper(t, base, c.statements...)
			bad := verify(t, d).Bad
			require.NotNil(t, bad)
			require.Equal(t, audit.Bad{Seq: c.seq, AuditID: named, Problem: c.problem}, *bad)
		})
	}
}

func TestAnchorShowsAnEndThatWasCutOff(t *testing.T) {
	base := pgtest.NewDatabase(t)
	d := base.Open(t)
	record(t, d, 10)
	seal(t, d)
	r := verify(t, d)
	anchor := audit.Anchor{Seq: r.HeadSeq, Hash: r.HeadHash}
	tamper(t, base, "DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_seals WHERE seq > 8)", "DELETE FROM audit_seals WHERE seq > 8")
	require.Nil(t, verify(t, d).Bad, "nothing inside the database can show it")
	require.Equal(t, &audit.Bad{Seq: 9, Problem: "cut_off"}, verify(t, d, anchor).Bad)
	record(t, d, 5) // covered up by new entries
	seal(t, d)
	require.Equal(t, "seal_altered", verify(t, d, anchor).Bad.Problem)
}

func TestSealerRunsByItself(t *testing.T) {
	d := pgtest.DB(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := audit.NewSealer(d, nil)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	record(t, d, 3)
	s.Wake()
	require.Eventually(t, func() bool { return verify(t, d).Sealed == 3 }, 5*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func BenchmarkRecord(b *testing.B) {
	d := pgtest.DB(b)
	ctx := auth.System(context.Background(), "bench")
	for b.Loop() {
		if err := d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			for range 100 {
				audit.Record(ctx, tx, audit.Entry{Action: "a.b", ObjectType: "c", ObjectID: "d", Changes: map[string]any{"f": 1}})
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}
