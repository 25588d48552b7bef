package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Errors of visible jobs.
var (
	ErrFinished = apperr.Define(apperr.Conflict, "jobs.already_finished", "This job has already ended.", "该任务已结束。")
	// ErrCancelled is what a work function returns when it stopped on request.
	ErrCancelled = errors.New("jobs: cancelled on request")
)

// progressEvery spaces the writes of progress and the looks for a cancel request.
const progressEvery = 500 * time.Millisecond

// Progress is a running job's line to those who watch it.
type Progress struct {
	JobID       uuid.UUID // for natural keys of what the job writes
	done, total atomic.Int64
	cancelled   atomic.Bool
}

// Set says how much is done of how much, 0 while unknown. It is cheap: it is
// written at most twice a second.
func (p *Progress) Set(done, total int64) {
	p.done.Store(done)
	p.total.Store(total)
}

// Add says that n more are done.
func (p *Progress) Add(n int64) { p.done.Add(n) }

// Cancelled reports that somebody asked the job to stop. The work function then
// returns ErrCancelled at a point where nothing is half done.
func (p *Progress) Cancelled() bool { return p.cancelled.Load() }

// RegisterVisible sets the work function of a kind of visible job. Call it before
// Start. Its result becomes the job's result as JSON. An error with a code that
// repetition cannot mend (invalid, not found, forbidden) ends the job; another
// one has it tried again, three times in all. There is no time limit.
func RegisterVisible[P any](q *Queue, kind string, f func(ctx context.Context, parameters P, progress *Progress) (result any, err error)) {
	q.register(kind, -1, func(ctx context.Context, rj *river.Job[payload]) error {
		return q.runVisible(ctx, rj, func(ctx context.Context, raw json.RawMessage, p *Progress) (any, error) {
			var parameters P
			if err := json.Unmarshal(raw, &parameters); err != nil {
				return nil, fmt.Errorf("parameters cannot be read: %w", err)
			}
			return f(ctx, parameters, p)
		})
	})
}

const visibleAttempts = 3

type visibleArgs struct {
	JobID uuid.UUID `json:"job_id"`
}

// StartVisible adds a job that the context's actor can watch. It begins when the
// transaction commits. Parameters hold no personal data.
func (q *Queue) StartVisible(ctx context.Context, tx *db.Tx, kind string, parameters any) (*platform.Job, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("parameters of job %s: %w", kind, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	j, err := tx.Platform.Job.Create().SetID(id).SetKind(kind).SetParameters(raw).SetRequestedBy(actor.Principal()).
		SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
	if err != nil {
		return nil, err
	}
	return j, q.Enqueue(ctx, tx, kind, visibleArgs{id}, func(o *river.InsertOpts) {
		o.Queue, o.MaxAttempts = queueLong, visibleAttempts
	})
}

// Cancel asks a job to stop: a waiting one ends at once, a running one when its
// work function looks. Whether the actor may is the caller's rule.
// Errors: ErrFinished; ent's not-found error.
func (q *Queue) Cancel(ctx context.Context, tx *db.Tx, id uuid.UUID) (*platform.Job, error) {
	j, err := tx.Platform.Job.Query().Where(job.ID(id)).ForUpdate().Only(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	change := tx.Platform.Job.UpdateOne(j).SetCancelRequested(true).AddVersion(1).SetUpdatedAt(now)
	switch j.Status {
	case job.StatusQueued:
		change.SetStatus(job.StatusCancelled).SetFinishedAt(now)
	case job.StatusRunning:
	default:
		return nil, ErrFinished.New()
	}
	return change.Save(ctx)
}

func (q *Queue) runVisible(ctx context.Context, rj *river.Job[payload], f func(context.Context, json.RawMessage, *Progress) (any, error)) error {
	var args visibleArgs
	if err := json.Unmarshal(rj.Args.raw, &args); err != nil {
		return river.JobCancel(fmt.Errorf("arguments cannot be read: %w", err))
	}
	var parameters []byte
	var cancelRequested bool
	p := &Progress{JobID: args.JobID}
	rows, err := q.o.DB.Query(ctx, `UPDATE jobs SET status = 'running', started_at = coalesce(started_at, now()), error_code = NULL,
			updated_at = now(), version = version + 1
		WHERE id = $1 AND status IN ('queued', 'running') RETURNING parameters, cancel_requested`, args.JobID)
	if err != nil {
		return err
	}
	begun := rows.Next()
	if begun {
		err = rows.Scan(&parameters, &cancelRequested)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	if !begun {
		return nil // cancelled while it waited, or done before a crash of the worker
	}
	if cancelRequested {
		_, err := q.finish(ctx, args.JobID, "cancelled", nil, "")
		return err
	}

	watched, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { q.watch(watched, p) })
	result, workErr := q.guard(rj, func() (any, error) { return f(ctx, parameters, p) })
	stopWatching()
	watcher.Wait()

	// What happened is recorded also when the process is being stopped.
	interrupted := stopping(ctx) && workErr != nil && !errors.Is(workErr, ErrCancelled)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := q.report(ctx, p); err != nil && workErr == nil {
		return err
	}
	if interrupted {
		return errors.Join(workErr, q.requeue(ctx, args.JobID, ""))
	}
	return q.settle(ctx, rj, args.JobID, result, workErr)
}

// guard turns a panic into an error, so that the job's row tells of it too.
func (q *Queue) guard(rj *river.Job[payload], f func() (any, error)) (result any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			q.log.Error("a job panicked", "kind", rj.Kind, "job", rj.ID, "attempt", rj.Attempt, "panic", fmt.Sprint(r), "trace", string(debug.Stack()))
		}
	}()
	return f()
}

// settle writes how an attempt ended.
func (q *Queue) settle(ctx context.Context, rj *river.Job[payload], id uuid.UUID, result any, workErr error) error {
	switch {
	case workErr == nil:
		_, err := q.finish(ctx, id, "succeeded", result, "")
		return err
	case errors.Is(workErr, ErrCancelled):
		_, err := q.finish(ctx, id, "cancelled", result, "")
		return err
	case rj.Attempt >= rj.MaxAttempts:
		_, err := q.finish(ctx, id, "failed", nil, codeOf(workErr))
		return errors.Join(workErr, err)
	case permanent(workErr):
		_, err := q.finish(ctx, id, "failed", nil, codeOf(workErr))
		if err != nil {
			return err
		}
		return river.JobCancel(workErr)
	}
	return errors.Join(workErr, q.requeue(ctx, id, codeOf(workErr)))
}

// requeue shows a job as waiting for its next attempt.
func (q *Queue) requeue(ctx context.Context, id uuid.UUID, code string) error {
	_, err := q.o.DB.Exec(ctx, `UPDATE jobs SET status = 'queued', error_code = NULLIF($2, ''), updated_at = now(), version = version + 1
		WHERE id = $1 AND status = 'running'`, id, code)
	return err
}

func codeOf(err error) string {
	if e := apperr.From(err); e != nil {
		return e.Def.Code
	}
	return apperr.ErrInternal.Code
}

// permanent reports an error that trying again cannot mend.
func permanent(err error) bool {
	e := apperr.From(err)
	if e == nil {
		return false
	}
	switch e.Def.Kind {
	case apperr.Malformed, apperr.Unauthenticated, apperr.Forbidden, apperr.NotFound, apperr.Invalid, apperr.TooLarge, apperr.UnsupportedMedia:
		return true
	}
	return false
}

// watch writes progress while the work runs and learns of a cancel request.
func (q *Queue) watch(ctx context.Context, p *Progress) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := q.report(ctx, p); err != nil && ctx.Err() == nil {
				q.log.Warn("the progress of a job was not written", "job_id", p.JobID, "error", err)
			}
		}
	}
}

func (q *Queue) report(ctx context.Context, p *Progress) error {
	done, total := p.done.Load(), p.total.Load()
	// The row changes only when there is something new to see.
	var cancelRequested bool
	err := q.o.DB.QueryRow(ctx, `
		WITH moved AS (
		    UPDATE jobs SET progress_done = $2, progress_total = $3, updated_at = now(), version = version + 1
		    WHERE id = $1 AND status = 'running' AND (progress_done, progress_total) IS DISTINCT FROM ($2, $3))
		SELECT cancel_requested FROM jobs WHERE id = $1`, p.JobID, done, total).Scan(&cancelRequested)
	if err == nil && cancelRequested {
		p.cancelled.Store(true)
	}
	return err
}

// finish ends a job that has not ended.
func (q *Queue) finish(ctx context.Context, id uuid.UUID, status string, result any, code string) (bool, error) {
	var raw any
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			return false, fmt.Errorf("the result cannot be stored: %w", err)
		}
		raw = string(b)
	}
	res, err := q.o.DB.Exec(ctx, `UPDATE jobs SET status = $2, result = $3::jsonb, error_code = NULLIF($4, ''), finished_at = now(),
			updated_at = now(), version = version + 1
		WHERE id = $1 AND status IN ('queued', 'running')`, id, status, raw, code)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}
