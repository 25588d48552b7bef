package events_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

var (
	typeA = events.Define("test.a", "测试甲", "Test A")
	typeB = events.Define("test.b", "测试乙", "Test B")
)

func emit(t testing.TB, d *db.DB, types ...string) {
	t.Helper()
	require.NoError(t, d.InTx(context.Background(), func(_ context.Context, tx *db.Tx) error {
		for i, ty := range types {
			events.Emit(tx, events.Event{Type: ty, SubjectType: "thing", SubjectID: uuid.New(), Payload: map[string]int{"i": i}})
		}
		return nil
	}))
}

func repeat(ty string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = ty
	}
	return out
}

func scalar[T any](t testing.TB, d *db.DB, query string, args ...any) T {
	t.Helper()
	var v T
	require.NoError(t, d.QueryRow(context.Background(), query, args...).Scan(&v))
	return v
}

func run(t testing.TB, disp *events.Dispatcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- disp.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
}

func TestEmitGoesWithTheTransactionAndKnowsItsTypes(t *testing.T) {
	d := pgtest.DB(t)
	boom := errors.New("boom")
	require.ErrorIs(t, d.InTx(context.Background(), func(_ context.Context, tx *db.Tx) error {
		events.Emit(tx, events.Event{Type: typeA, SubjectType: "thing", SubjectID: uuid.New()})
		return boom
	}), boom)
	require.ErrorContains(t, d.InTx(context.Background(), func(_ context.Context, tx *db.Tx) error {
		events.Emit(tx, events.Event{Type: "test.unheard", SubjectType: "thing", SubjectID: uuid.New()})
		return nil
	}), "catalogue")
	require.Zero(t, scalar[int](t, d, "SELECT count(*) FROM outbox_events"))
	emit(t, d, typeA, typeB)
	require.Equal(t, 2, scalar[int](t, d, "SELECT count(*) FROM outbox_events"))
	require.Contains(t, events.Definitions(), events.Definition{Type: "test.a", ZH: "测试甲", EN: "Test A"})
}

func TestDeliversByTypeInOrderOnce(t *testing.T) {
	base := pgtest.NewDatabase(t)
	d := base.Open(t)
	disp := events.NewDispatcher(d, base.AppURL, nil)
	var mu sync.Mutex
	var onlyA, all []events.Stored
	store := uuid.New()
	disp.Subscribe("a", []string{typeA}, func(ctx context.Context, b []events.Stored) error {
		actor, err := auth.From(ctx)
		if err != nil || actor.Kind != auth.KindSystem {
			return errors.New("not the system")
		}
		mu.Lock()
		defer mu.Unlock()
		onlyA = append(onlyA, b...)
		return nil
	})
	disp.Subscribe("all", nil, func(_ context.Context, b []events.Stored) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, b...)
		return nil
	})
	require.NoError(t, d.InTx(context.Background(), func(_ context.Context, tx *db.Tx) error {
		events.Emit(tx, events.Event{Type: typeA, SubjectType: "thing", SubjectID: store, StoreID: &store, Payload: map[string]int{"n": 7}})
		events.Emit(tx, events.Event{Type: typeB, SubjectType: "thing", SubjectID: store})
		return nil
	}))
	n, err := disp.Drain(context.Background())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = disp.Drain(context.Background())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Len(t, onlyA, 1)
	require.Len(t, all, 2)
	require.Equal(t, []string{typeA, typeB}, []string{all[0].Type, all[1].Type})
	require.JSONEq(t, `{"n":7}`, string(onlyA[0].Payload))
	require.Equal(t, &store, onlyA[0].StoreID)
	require.Nil(t, all[1].StoreID)
}

func TestRunIsWokenAndSeveralShareTheWork(t *testing.T) {
	base := pgtest.NewDatabase(t)
	d := base.Open(t)
	var got atomic.Int64
	var late atomic.Int64
	seen := sync.Map{}
	for range 3 { // three replicas
		disp := events.NewDispatcher(d, base.AppURL, nil)
		disp.Subscribe("count", nil, func(_ context.Context, b []events.Stored) error {
			for _, e := range b {
				if _, twice := seen.LoadOrStore(e.ID, true); twice {
					t.Error("delivered twice")
				}
				if w := time.Since(e.CreatedAt).Milliseconds(); w > late.Load() {
					late.Store(w)
				}
			}
			got.Add(int64(len(b)))
			return nil
		})
		run(t, disp)
	}
	time.Sleep(700 * time.Millisecond) // all are idle by now
	for range 30 {
		emit(t, d, repeat(typeA, 20)...)
		time.Sleep(5 * time.Millisecond)
	}
	require.Eventually(t, func() bool { return got.Load() == 600 }, 4*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { // the last batch commits after its subscribers
		return scalar[int](t, d, "SELECT count(*) FROM outbox_events WHERE dispatched_at IS NULL") == 0
	}, 2*time.Second, 5*time.Millisecond)
	t.Logf("latest delivery after %d ms", late.Load())
	require.Less(t, late.Load(), int64(2000), "found by notification, not by the slow poll")
}

func TestOneBadEventHoldsUpNoOther(t *testing.T) {
	d := pgtest.DB(t)
	disp := events.NewDispatcher(d, "", nil)
	var good atomic.Int64
	broken := atomic.Bool{}
	broken.Store(true)
	// Writes of a subscriber that ran before the failing one are undone with it.
	disp.Subscribe("writes", nil, func(ctx context.Context, b []events.Stored) error {
		return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			for _, e := range b {
				if _, err := tx.Exec(ctx, "INSERT INTO settings (key, value, updated_at) VALUES ($1, '{}', now())", e.ID.String()); err != nil {
					return err
				}
			}
			return nil
		})
	})
	disp.Subscribe("fails", nil, func(_ context.Context, b []events.Stored) error {
		for _, e := range b {
			if e.Type == typeB && broken.Load() {
				panic("cannot bear b")
			}
		}
		good.Add(int64(len(b)))
		return nil
	})
	emit(t, d, append(repeat(typeA, 5), typeB, typeA)...)
	_, err := disp.Drain(context.Background())
	require.NoError(t, err)
	require.Equal(t, 6, scalar[int](t, d, "SELECT count(*) FROM outbox_events WHERE dispatched_at IS NOT NULL"))
	require.Equal(t, 6, scalar[int](t, d, "SELECT count(*) FROM settings"), "exactly once, the bad one not at all")
	require.Equal(t, int64(6), good.Load())
	require.Equal(t, 1, scalar[int](t, d, "SELECT attempts FROM outbox_events WHERE dispatched_at IS NULL"))

	n, err := disp.Drain(context.Background())
	require.NoError(t, err)
	require.Zero(t, n, "not due yet")
	broken.Store(false)
	_, err = d.Exec(context.Background(), "UPDATE outbox_events SET created_at = now() - interval '3 seconds' WHERE dispatched_at IS NULL")
	require.NoError(t, err)
	n, err = disp.Drain(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, 7, scalar[int](t, d, "SELECT count(*) FROM settings"))
}

func TestGivenUpEventsAreSeenAndCanBeRetried(t *testing.T) {
	d := pgtest.DB(t)
	disp := events.NewDispatcher(d, "", nil)
	fail := true
	disp.Subscribe("fails", nil, func(context.Context, []events.Stored) error {
		if fail {
			return errors.New("no")
		}
		return nil
	})
	emit(t, d, typeA)
	_, err := d.Exec(context.Background(), "UPDATE outbox_events SET attempts = $1, created_at = now() - interval '2 days'", events.MaxAttempts-1)
	require.NoError(t, err)
	for range 3 {
		_, err = disp.Drain(context.Background())
		require.NoError(t, err)
	}
	require.Equal(t, events.MaxAttempts, scalar[int](t, d, "SELECT attempts FROM outbox_events"))
	fail = false
	n, err := disp.RetryDead(context.Background())
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	_, err = disp.Drain(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, scalar[int](t, d, "SELECT count(*) FROM outbox_events WHERE dispatched_at IS NOT NULL"))
}

func TestPurgeKeepsAWeekAndWhatWaits(t *testing.T) {
	d := pgtest.DB(t)
	emit(t, d, repeat(typeA, 4)...)
	_, err := d.Exec(context.Background(), "UPDATE outbox_events SET dispatched_at = now() - make_interval(days => CASE seq % 2 WHEN 0 THEN 8 ELSE 6 END) WHERE seq IN (SELECT seq FROM outbox_events ORDER BY seq LIMIT 2)")
	require.NoError(t, err)
	require.NoError(t, events.NewDispatcher(d, "", nil).Purge(context.Background()))
	require.Equal(t, 3, scalar[int](t, d, "SELECT count(*) FROM outbox_events"))
}
