package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	_ "github.com/lib/pq" // the connection that shows that we live
)

// A process that works jobs holds an advisory lock for as long as it lives: the
// server drops it with the connection, also after kill -9 or a pulled plug.
// Jobs whose process has no such lock, twice in a row, are given back. Nothing
// is guessed from how long a job takes.

const (
	aliveClass  = 0x73686b // with the hash of the process's name: the lock's key
	rescueEvery = 5 * time.Second
)

// keepAlive takes the lock and returns the loop that keeps it.
func (q *Queue) keepAlive(ctx context.Context) (loop func(), err error) {
	pool := q.o.DB.SQL
	own := q.o.ListenURL != ""
	if own {
		if pool, err = sql.Open("postgres", q.o.ListenURL); err != nil {
			return nil, err
		}
		pool.SetMaxOpenConns(1)
	}
	take := func() (*sql.Conn, error) {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock_shared($1, hashtext($2))", aliveClass, q.id); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
	conn, err := take()
	if err != nil {
		return nil, fmt.Errorf("show that this worker lives: %w", err)
	}
	return func() {
		defer func() {
			if conn != nil {
				// A pooled connection would keep the lock: end its session's hold.
				_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock_all()")
				_ = conn.Close()
			}
			if own {
				_ = pool.Close()
			}
		}()
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(rescueEvery / 5):
			}
			if conn != nil {
				if _, err := conn.ExecContext(ctx, "SELECT 1"); err == nil {
					continue
				}
				_ = conn.Close()
				conn = nil
			}
			if conn, err = take(); err != nil && ctx.Err() == nil {
				q.log.Warn("cannot show that this worker lives; its jobs may be given to another", "error", err)
			}
		}
	}, nil
}

const deadWorkersSQL = `
SELECT DISTINCT worker FROM (
    SELECT attempted_by[array_upper(attempted_by, 1)] AS worker FROM river_job WHERE state = 'running'
) running
WHERE worker IS NOT NULL AND worker <> $2 AND NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND classid = $1::int8::oid
      AND objid = (hashtext(worker)::int8 & 4294967295)::oid
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`

const giveBackSQL = `
UPDATE river_job SET
    state = (CASE WHEN attempt >= max_attempts THEN 'discarded' WHEN attempt <= 1 THEN 'available' ELSE 'retryable' END)::river_job_state,
    finalized_at = CASE WHEN attempt >= max_attempts THEN now() END,
    scheduled_at = CASE WHEN attempt <= 1 OR attempt >= max_attempts THEN now()
                        ELSE now() + make_interval(secs => least(power(2, attempt - 1), $2)) END,
    errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', 'the worker''s process ended', 'trace', ''))
WHERE state = 'running' AND attempted_by[array_upper(attempted_by, 1)] = $1
RETURNING id, kind, state, queue, args->>'job_id'`

func (q *Queue) rescueLoop(ctx context.Context) {
	suspects := map[string]bool{} // without a lock at the last look
	for {
		var err error
		if suspects, err = q.rescue(ctx, suspects); err != nil && ctx.Err() == nil {
			q.log.Warn("jobs of dead workers were not looked for", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rescueEvery):
		}
	}
}

// rescue gives back the jobs of workers that were dead at the last look too, and
// returns those dead now.
func (q *Queue) rescue(ctx context.Context, suspects map[string]bool) (map[string]bool, error) {
	rows, err := q.o.DB.Query(ctx, deadWorkersSQL, aliveClass, q.id)
	if err != nil {
		return suspects, err
	}
	defer func() { _ = rows.Close() }()
	dead := map[string]bool{}
	for rows.Next() {
		var worker string
		if err := rows.Scan(&worker); err != nil {
			return suspects, err
		}
		dead[worker] = true
	}
	if err := rows.Err(); err != nil {
		return suspects, err
	}
	for worker := range dead {
		if suspects[worker] {
			if err := q.giveBack(ctx, worker); err != nil {
				return dead, err
			}
			delete(dead, worker)
		}
	}
	return dead, nil
}

func (q *Queue) giveBack(ctx context.Context, worker string) error {
	rows, err := q.o.DB.Query(ctx, giveBackSQL, worker, longestBackoff.Seconds())
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var lost []uuid.UUID // visible jobs that are not tried again
	for rows.Next() {
		var id int64
		var kind, state, queue string
		var visible uuid.NullUUID
		if err := rows.Scan(&id, &kind, &state, &queue, &visible); err != nil {
			return err
		}
		q.log.Warn("a job of a dead worker was given back", "job", id, "kind", kind, "state", state, "worker", worker)
		if state == "discarded" && queue == queueLong && visible.Valid {
			lost = append(lost, visible.UUID)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range lost {
		if _, err := q.finish(ctx, id, "failed", nil, "jobs.worker_lost"); err != nil {
			return err
		}
	}
	return nil
}
