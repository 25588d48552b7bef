package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

type nArgs struct {
	N int `json:"n"`
}

func newQueue(t testing.TB, base pgtest.Database) *jobs.Queue {
	t.Helper()
	q, err := jobs.New(jobs.Options{DB: base.Open(t), ListenURL: base.AppURL})
	require.NoError(t, err)
	return q
}

func start(t testing.TB, q *jobs.Queue) {
	t.Helper()
	require.NoError(t, q.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, q.Stop(ctx))
	})
}

func eventually(t testing.TB, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 10*time.Second, 5*time.Millisecond)
}

func TestEnqueueGoesWithTheTransactionAndWakesOtherProcesses(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	worker := newQueue(t, base)
	got := make(chan int, 10)
	jobs.Register(worker, "test.n", func(ctx context.Context, a nArgs) error {
		if actor := auth.Must(ctx); actor.Kind != auth.KindSystem || actor.Name != "test.n" {
			return errors.New("not the system")
		}
		got <- a.N
		return nil
	})
	start(t, worker)
	time.Sleep(500 * time.Millisecond) // idle by now

	inserter := newQueue(t, base) // another process: it only inserts
	d := base.Open(t)
	boom := errors.New("boom")
	require.ErrorIs(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		require.NoError(t, inserter.Enqueue(ctx, tx, "test.n", nArgs{1}))
		return boom
	}), boom)
	time.Sleep(200 * time.Millisecond) // past the spacing of notifications
	begun := time.Now()
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		return inserter.Enqueue(ctx, tx, "test.n", nArgs{2})
	}))
	require.Equal(t, 2, <-got)
	t.Logf("begun after %v", time.Since(begun))
	require.Less(t, time.Since(begun), time.Second, "woken, not polled")

	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		return jobs.EnqueueMany(ctx, inserter, tx, "test.n", []nArgs{{3}, {4}, {5}})
	}))
	require.ElementsMatch(t, []int{3, 4, 5}, []int{<-got, <-got, <-got})
}

func TestUniqueJobsRunOnce(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	q := newQueue(t, base)
	var runs atomic.Int64
	jobs.Register(q, "test.unique", func(context.Context, nArgs) error { runs.Add(1); return nil })
	for range 5 {
		require.NoError(t, q.Enqueue(context.Background(), nil, "test.unique", nArgs{1}, jobs.Unique()))
		require.NoError(t, q.Enqueue(context.Background(), nil, "test.unique", nArgs{2}, jobs.Once()))
	}
	start(t, q)
	eventually(t, func() bool { return runs.Load() == 2 })
	require.NoError(t, q.Enqueue(context.Background(), nil, "test.unique", nArgs{2}, jobs.Once()))
	time.Sleep(300 * time.Millisecond)
	require.Equal(t, int64(2), runs.Load(), "done once, done")
}

func TestFailuresAndPanicsAreRetriedThenDead(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	q := newQueue(t, base)
	var tries atomic.Int64
	jobs.Register(q, "test.panics", func(context.Context, nArgs) error { panic("oh") })
	jobs.Register(q, "test.second", func(context.Context, nArgs) error {
		if tries.Add(1) < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	start(t, q)
	ctx := context.Background()
	require.NoError(t, q.Enqueue(ctx, nil, "test.panics", nArgs{3}, jobs.MaxAttempts(1)))
	require.NoError(t, q.Enqueue(ctx, nil, "test.second", nArgs{1}))
	var dead []jobs.DeadLetter
	eventually(t, func() bool {
		var err error
		dead, err = q.DeadLetters(ctx, 0, 10)
		require.NoError(t, err)
		return len(dead) == 1
	})
	require.Equal(t, "test.panics", dead[0].Kind)
	require.JSONEq(t, `{"n":3}`, string(dead[0].Args))
	require.Contains(t, dead[0].LastError, "oh")
	eventually(t, func() bool { return tries.Load() == 2 })

	d := base.Open(t)
	require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Retry(ctx, tx, dead[0].ID) }))
	require.ErrorContains(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error { return q.Retry(ctx, tx, 1<<40) }), "not_found")
}

func TestSchedulesRunInOneProcess(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	var ticks, days atomic.Int64
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	begun := time.Now()
	for range 2 {
		q := newQueue(t, base)
		q.Every("test.tick", jobs.Interval(time.Second), func(context.Context) error { ticks.Add(1); return nil })
		q.Every("test.day", jobs.DailyAt(clock.New(shanghai), 0), func(context.Context) error { days.Add(1); return nil })
		start(t, q)
	}
	time.Sleep(4500 * time.Millisecond)
	most := int64(time.Since(begun).Seconds()) + 2
	require.GreaterOrEqual(t, ticks.Load(), int64(2))
	require.LessOrEqual(t, ticks.Load(), most)
	require.Equal(t, int64(1), days.Load(), "once a day, though a worker started twice")
}

func TestDailyAtIsTheBusinessDay(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	s := jobs.DailyAt(clock.New(shanghai), 5*time.Minute)
	at := func(v string) time.Time {
		p, err := time.Parse(time.RFC3339, v)
		require.NoError(t, err)
		return p
	}
	require.True(t, at("2026-03-02T00:05:00+08:00").Equal(s.Next(at("2026-03-01T12:00:00+08:00"))))
	require.True(t, at("2026-03-01T00:05:00+08:00").Equal(s.Next(at("2026-03-01T00:04:59+08:00"))))
	require.True(t, at("2026-03-02T00:05:00+08:00").Equal(s.Next(at("2026-03-01T00:05:00+08:00"))))
}

type params struct {
	Total int64 `json:"total"`
}

func startVisible(t *testing.T, d *db.DB, q *jobs.Queue, kind string, p any) *platform.Job {
	t.Helper()
	var j *platform.Job
	ctx := auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: uuid.New(), Name: "wang"})
	require.NoError(t, d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		var err error
		j, err = q.StartVisible(ctx, tx, kind, p)
		return err
	}))
	return j
}

func load(t testing.TB, d *db.DB, id uuid.UUID) *platform.Job {
	t.Helper()
	j, err := d.Platform.Job.Get(auth.System(context.Background(), "test"), id)
	require.NoError(t, err)
	return j
}

func TestVisibleJobShowsProgressAndResult(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	d, q := base.Open(t), newQueue(t, base)
	goOn := make(chan struct{})
	jobs.RegisterVisible(q, "test.visible", func(_ context.Context, p params, progress *jobs.Progress) (any, error) {
		progress.Set(p.Total/2, p.Total)
		<-goOn
		progress.Set(p.Total, p.Total)
		return map[string]int64{"changed": p.Total}, nil
	})
	start(t, q)
	j := startVisible(t, d, q, "test.visible", params{10})
	require.Equal(t, job.StatusQueued, j.Status)
	eventually(t, func() bool { j = load(t, d, j.ID); return j.ProgressDone == 5 })
	require.Equal(t, job.StatusRunning, j.Status)
	require.NotNil(t, j.StartedAt)
	require.Equal(t, int64(10), j.ProgressTotal)
	close(goOn)
	eventually(t, func() bool { j = load(t, d, j.ID); return j.Status == job.StatusSucceeded })
	require.Equal(t, int64(10), j.ProgressDone)
	require.JSONEq(t, `{"changed":10}`, string(j.Result))
	require.NotNil(t, j.FinishedAt)
	require.Contains(t, j.RequestedBy, "staff:")
}

func TestVisibleJobsAreCancelled(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	d, q := base.Open(t), newQueue(t, base)
	running := make(chan struct{})
	jobs.RegisterVisible(q, "test.endless", func(ctx context.Context, _ params, p *jobs.Progress) (any, error) {
		close(running)
		for !p.Cancelled() {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
		return map[string]bool{"half": true}, jobs.ErrCancelled
	})
	ctx := auth.System(context.Background(), "test")
	cancel := func(id uuid.UUID) error {
		return d.InTx(ctx, func(ctx context.Context, tx *db.Tx) error { _, err := q.Cancel(ctx, tx, id); return err })
	}
	waiting := startVisible(t, d, q, "test.endless", params{})
	require.NoError(t, cancel(waiting.ID))
	require.Equal(t, job.StatusCancelled, load(t, d, waiting.ID).Status)
	require.True(t, jobs.ErrFinished.Is(cancel(waiting.ID)))

	start(t, q)
	j := startVisible(t, d, q, "test.endless", params{})
	<-running
	require.NoError(t, cancel(j.ID))
	eventually(t, func() bool { j = load(t, d, j.ID); return j.Status == job.StatusCancelled })
	require.JSONEq(t, `{"half":true}`, string(j.Result))
	require.Nil(t, load(t, d, waiting.ID).StartedAt, "a job cancelled while it waited never runs")
}

func TestVisibleJobThatCannotSucceedFailsAtOnce(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	d, q := base.Open(t), newQueue(t, base)
	var runs atomic.Int64
	jobs.RegisterVisible(q, "test.invalid", func(context.Context, params, *jobs.Progress) (any, error) {
		runs.Add(1)
		return nil, apperr.ErrInvalid.New()
	})
	jobs.RegisterVisible(q, "test.panics", func(context.Context, params, *jobs.Progress) (any, error) { panic("oh") })
	start(t, q)
	a, b := startVisible(t, d, q, "test.invalid", params{}), startVisible(t, d, q, "test.panics", params{})
	eventually(t, func() bool { return load(t, d, a.ID).Status == job.StatusFailed })
	require.Equal(t, "request.invalid", load(t, d, a.ID).ErrorCode)
	require.Equal(t, int64(1), runs.Load())
	eventually(t, func() bool { j := load(t, d, b.ID); return j.Status == job.StatusFailed && j.ErrorCode == "internal" })
}

// A worker that is killed loses nothing: another one takes its jobs over soon.
func TestKilledWorkerLosesNoJob(t *testing.T) {
	if raw := os.Getenv("SHUKE_TEST_WORKER"); raw != "" {
		workUntilKilled(t, raw)
		return
	}
	t.Parallel()
	base := pgtest.NewDatabase(t)
	d, q := base.Open(t), newQueue(t, base)
	require.NoError(t, q.Enqueue(context.Background(), nil, "test.plain", nArgs{1}))
	j := startVisible(t, d, q, "test.visible", params{3})

	raw, err := json.Marshal(base)
	require.NoError(t, err)
	child := exec.Command(os.Args[0], "-test.run=^TestKilledWorkerLosesNoJob$")
	child.Env = append(os.Environ(), "SHUKE_TEST_WORKER="+string(raw))
	require.NoError(t, child.Start())
	eventually(t, func() bool {
		var n int
		require.NoError(t, d.QueryRow(context.Background(), "SELECT count(*) FROM river_job WHERE state = 'running'").Scan(&n))
		return n == 2
	})
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()

	var plain atomic.Int64
	jobs.Register(q, "test.plain", func(context.Context, nArgs) error { plain.Add(1); return nil })
	jobs.RegisterVisible(q, "test.visible", func(context.Context, params, *jobs.Progress) (any, error) { return nArgs{9}, nil })
	begun := time.Now()
	start(t, q)
	require.Eventually(t, func() bool { return plain.Load() == 1 && load(t, d, j.ID).Status == job.StatusSucceeded }, 20*time.Second, 20*time.Millisecond)
	t.Logf("taken over after %v", time.Since(begun).Round(time.Millisecond))
	require.JSONEq(t, `{"n":9}`, string(load(t, d, j.ID).Result))
}

func workUntilKilled(t *testing.T, raw string) {
	var base pgtest.Database
	require.NoError(t, json.Unmarshal([]byte(raw), &base))
	q := newQueue(t, base)
	jobs.Register(q, "test.plain", func(context.Context, nArgs) error { select {} })
	jobs.RegisterVisible(q, "test.visible", func(context.Context, params, *jobs.Progress) (any, error) { select {} })
	require.NoError(t, q.Start(context.Background()))
	time.Sleep(time.Minute)
}

// A job that takes long in a living process is left alone.
func TestLongJobOfALivingWorkerIsNotRepeated(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	q1, q2 := newQueue(t, base), newQueue(t, base)
	var runs atomic.Int64
	for _, q := range []*jobs.Queue{q1, q2} {
		jobs.Register(q, "test.long", func(ctx context.Context, _ nArgs) error {
			runs.Add(1)
			time.Sleep(12 * time.Second)
			return nil
		})
	}
	require.NoError(t, q1.Enqueue(context.Background(), nil, "test.long", nArgs{1}))
	start(t, q1)
	start(t, q2)
	time.Sleep(11 * time.Second)
	require.Equal(t, int64(1), runs.Load())
}

func TestStopWaitsThenCancels(t *testing.T) {
	t.Parallel()
	base := pgtest.NewDatabase(t)
	d, q := base.Open(t), newQueue(t, base)
	begun := make(chan struct{}, 2)
	finished := atomic.Bool{}
	jobs.Register(q, "test.quick", func(context.Context, nArgs) error {
		begun <- struct{}{}
		time.Sleep(300 * time.Millisecond)
		finished.Store(true)
		return nil
	})
	jobs.Register(q, "test.stubborn", func(ctx context.Context, _ nArgs) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	require.NoError(t, q.Start(context.Background()))
	require.NoError(t, q.Enqueue(context.Background(), nil, "test.quick", nArgs{1}))
	require.NoError(t, q.Enqueue(context.Background(), nil, "test.stubborn", nArgs{1}))
	<-begun
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	at := time.Now()
	require.NoError(t, q.Stop(ctx))
	require.True(t, finished.Load(), "what can end, ends")
	require.Less(t, time.Since(at), 4*time.Second)
	var state string
	var left int
	require.NoError(t, d.QueryRow(context.Background(), "SELECT state, max_attempts - attempt FROM river_job WHERE kind = 'test.stubborn'").Scan(&state, &left))
	require.Contains(t, []string{"available", "scheduled"}, state, "cut short, done again later")
	require.Equal(t, 12, left, "and not held against it")
}

func BenchmarkEnqueueInTransaction(b *testing.B) {
	base := pgtest.NewDatabase(b)
	d, q := base.Open(b), newQueue(b, base)
	for b.Loop() {
		if err := d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
			return q.Enqueue(ctx, tx, "test.bench", nArgs{1})
		}); err != nil {
			b.Fatal(fmt.Errorf("enqueue: %w", err))
		}
	}
}
