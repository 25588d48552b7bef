// Package jobs runs work after the request: rows inserted in the caller's
// transaction, claimed by workers, retried with backoff.
//
// It is a narrow layer over River, so that River's version can move without
// anybody noticing. A job runs at least once: work functions bear repetition.
// A job whose process died is given back within seconds (see rescue.go).
//
// Long work that a person started and watches is a visible job (see
// visible.go): it has a row in the jobs table with progress and result.
package jobs

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivertype"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

const (
	queueDefault = river.QueueDefault
	// queueLong keeps visible jobs, which may run for hours, from filling the
	// places of short work.
	queueLong = "long"

	defaultTimeout     = 10 * time.Minute
	defaultMaxAttempts = 12
	longestBackoff     = 15 * time.Minute
	// pollEvery is the fallback: an insert wakes the workers of all processes,
	// unless another one has just done so.
	pollEvery = time.Second
)

// Options for New.
type Options struct {
	DB *db.DB
	// ListenURL is the address of the same database for the connection that
	// waits for notifications and the one that shows that this process lives.
	// When empty, jobs are found by polling.
	ListenURL string
	// Workers is how many short jobs run at once in this process; default 6. Visible
	// jobs have two places of their own.
	Workers int
	Logger  *slog.Logger
}

// Queue takes jobs and, once started, works them.
type Queue struct {
	o        Options
	log      *slog.Logger
	id       string // names this process in the rows it works on
	inserter *river.Client[*sql.Tx]
	workers  *river.Workers
	kinds    map[string]bool
	periodic []*river.PeriodicJob

	mu      sync.Mutex
	client  *river.Client[*sql.Tx]
	stopped context.CancelFunc
	wg      sync.WaitGroup
}

// New makes a queue that can take jobs; Start makes it work them.
func New(o Options) (*Queue, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Workers <= 0 {
		o.Workers = 6
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	q := &Queue{
		o: o, log: o.Logger, workers: river.NewWorkers(), kinds: map[string]bool{},
		id: fmt.Sprintf("%.40s-%d-%s", host, os.Getpid(), uuid.NewString()[:8]),
	}
	// Without workers a client only inserts, and asks for no known kinds: a
	// process that serves requests need not be one that works.
	q.inserter, err = river.NewClient(riverdatabasesql.New(o.DB.SQL), &river.Config{Logger: quiet(o.Logger)})
	if err != nil {
		return nil, fmt.Errorf("job queue: %w", err)
	}
	return q, nil
}

// payload is what River stores: our arguments as they are, under our kind.
type payload struct {
	kind string
	raw  json.RawMessage
}

func (p payload) Kind() string                 { return p.kind }
func (p payload) MarshalJSON() ([]byte, error) { return p.raw, nil }
func (p *payload) UnmarshalJSON(b []byte) error {
	p.raw = append(json.RawMessage(nil), b...)
	return nil
}

func newPayload(kind string, args any) (payload, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return payload{}, fmt.Errorf("arguments of job %s: %w", kind, err)
	}
	if len(raw) == 0 || raw[0] != '{' {
		return payload{}, fmt.Errorf("arguments of job %s must be a JSON object", kind)
	}
	return payload{kind, raw}, nil
}

// Register sets the work function of a kind ("segments.reband"). Call it before
// Start. The function acts as the system under the kind's name; ctx ends after
// ten minutes or when the process must stop. An error or panic is recorded and
// the job tried again, twelve times over some hours; then it is a dead letter.
func Register[T any](q *Queue, kind string, f func(ctx context.Context, args T) error) {
	q.register(kind, defaultTimeout, func(ctx context.Context, job *river.Job[payload]) error {
		var args T
		if err := json.Unmarshal(job.Args.raw, &args); err != nil {
			return river.JobCancel(fmt.Errorf("arguments cannot be read: %w", err))
		}
		return f(ctx, args)
	})
}

func (q *Queue) register(kind string, timeout time.Duration, run func(context.Context, *river.Job[payload]) error) {
	if q.kinds[kind] {
		panic("jobs: kind registered twice: " + kind)
	}
	q.kinds[kind] = true
	river.AddWorkerArgs(q.workers, payload{kind: kind}, &worker{kind: kind, timeout: timeout, run: run})
}

type worker struct {
	river.WorkerDefaults[payload]
	kind    string
	timeout time.Duration
	run     func(context.Context, *river.Job[payload]) error
}

// Timeout implements river.Worker; -1 means none.
func (w *worker) Timeout(*river.Job[payload]) time.Duration { return w.timeout }

// NextRetry implements river.Worker: 1, 2, 4 … seconds, at most 15 minutes.
func (w *worker) NextRetry(job *river.Job[payload]) time.Time {
	return time.Now().Add(backoff(job.Attempt))
}

func backoff(attempt int) time.Duration {
	return min(time.Second<<min(attempt-1, 20), longestBackoff)
}

// Work implements river.Worker.
func (w *worker) Work(ctx context.Context, job *river.Job[payload]) error {
	err := w.run(auth.System(ctx, w.kind), job)
	if err != nil && stopping(ctx) {
		return river.JobSnooze(time.Second) // a deployment does not count as a failure
	}
	return err
}

// stopping tells a process that ends from a job that took too long.
func stopping(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) }

// Option changes how a job is enqueued.
type Option func(*river.InsertOpts)

// At delays a job until an instant.
func At(t time.Time) Option { return func(o *river.InsertOpts) { o.ScheduledAt = t } }

// In delays a job.
func In(d time.Duration) Option { return At(time.Now().Add(d)) }

// MaxAttempts sets how often a job is tried in all.
func MaxAttempts(n int) Option { return func(o *river.InsertOpts) { o.MaxAttempts = n } }

// waitingStates are those of a job that is still to end.
var waitingStates = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// Unique skips the insert while a job of the same kind and arguments waits or
// runs.
func Unique() Option {
	return func(o *river.InsertOpts) { o.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: waitingStates} }
}

// Once skips the insert also when such a job succeeded in the past two days.
func Once() Option {
	return func(o *river.InsertOpts) {
		o.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: rivertype.UniqueOptsByStateDefault()}
	}
}

// Enqueue adds a job. With a transaction, it exists when that commits; without
// (nil), at once. Args marshal to a JSON object and hold no personal data.
func (q *Queue) Enqueue(ctx context.Context, tx *db.Tx, kind string, args any, opts ...Option) error {
	p, err := newPayload(kind, args)
	if err != nil {
		return err
	}
	o := insertOpts(opts)
	if tx != nil {
		_, err = q.inserter.InsertTx(ctx, tx.SQL, p, o)
	} else {
		_, err = q.inserter.Insert(ctx, p, o)
	}
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", kind, err)
	}
	return nil
}

// EnqueueMany adds jobs of one kind with one statement.
func EnqueueMany[T any](ctx context.Context, q *Queue, tx *db.Tx, kind string, args []T, opts ...Option) error {
	if len(args) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		p, err := newPayload(kind, a)
		if err != nil {
			return err
		}
		params[i] = river.InsertManyParams{Args: p, InsertOpts: insertOpts(opts)}
	}
	// Never InsertManyFast: it panics on this driver in River 0.40.0.
	_, err := q.inserter.InsertManyTx(ctx, tx.SQL, params)
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", kind, err)
	}
	return nil
}

func insertOpts(opts []Option) *river.InsertOpts {
	o := &river.InsertOpts{Queue: queueDefault, MaxAttempts: defaultMaxAttempts}
	for _, f := range opts {
		f(o)
	}
	return o
}

// Start begins to work jobs in this process. Every kind and schedule must be
// registered by then.
func (q *Queue) Start(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.client != nil {
		return errors.New("jobs: started twice")
	}
	var schema string
	if err := q.o.DB.QueryRow(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		return fmt.Errorf("job queue: %w", err)
	}
	client, err := river.NewClient(&driver{riverdatabasesql.New(q.o.DB.SQL), q.o.ListenURL, schema}, &river.Config{
		ID:      q.id,
		Logger:  quiet(q.log),
		Workers: q.workers,
		Queues: map[string]river.QueueConfig{
			queueDefault: {MaxWorkers: q.o.Workers},
			queueLong:    {MaxWorkers: 2},
		},
		PeriodicJobs:                q.periodic,
		FetchPollInterval:           pollEvery,
		MaxAttempts:                 defaultMaxAttempts,
		JobTimeout:                  defaultTimeout,
		CompletedJobRetentionPeriod: 48 * time.Hour, // Once and DailyAt rely on it
		DiscardedJobRetentionPeriod: 30 * 24 * time.Hour,
		// Ours is quicker (rescue.go); River's would repeat work that merely takes long.
		RescueStuckJobsAfter: 7 * 24 * time.Hour,
		ErrorHandler:         errorLog{q.log},
	})
	if err != nil {
		return fmt.Errorf("job queue: %w", err)
	}
	// Both end with Stop, not with the caller's context: running jobs are to finish.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	alive, err := q.keepAlive(background)
	if err != nil {
		cancel()
		return err
	}
	if err := client.Start(background); err != nil {
		cancel()
		return fmt.Errorf("start the job queue: %w", err)
	}
	q.client, q.stopped = client, cancel
	q.wg.Go(alive)
	q.wg.Go(func() { q.rescueLoop(background) })
	return nil
}

// Stop takes no more jobs and waits for the running ones until ctx ends; then
// their contexts are cancelled, and they are done again elsewhere.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	client, cancel := q.client, q.stopped
	q.client = nil
	q.mu.Unlock()
	if client == nil {
		return nil
	}
	err := client.Stop(ctx)
	if err != nil {
		hard, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer stop()
		err = client.StopAndCancel(hard)
	}
	cancel()
	q.wg.Wait()
	return err
}

// quiet leaves out what River says about its daily life: failures are told by
// errorLog.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }

// errorLog writes failures to the log; River keeps them in the job's row.
type errorLog struct{ log *slog.Logger }

func (e errorLog) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	level := slog.LevelWarn
	if job.Attempt >= job.MaxAttempts {
		level = slog.LevelError
	}
	e.log.Log(ctx, level, "a job failed", "kind", job.Kind, "job", job.ID, "attempt", strconv.Itoa(job.Attempt)+"/"+strconv.Itoa(job.MaxAttempts), "error", err)
	return nil
}

func (e errorLog) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, trace string) *river.ErrorHandlerResult {
	e.log.ErrorContext(ctx, "a job panicked", "kind", job.Kind, "job", job.ID, "attempt", job.Attempt, "panic", fmt.Sprint(value), "trace", trace)
	return nil
}
