package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// DeadLetter is a job that was given up.
type DeadLetter struct {
	ID          int64
	Kind        string
	Args        json.RawMessage
	Attempts    int
	LastError   string // may be long; for operators
	CreatedAt   time.Time
	FinalizedAt time.Time
}

// DeadLetters lists jobs that were given up in the past 30 days, newest first,
// those with an id below before (0: all).
func (q *Queue) DeadLetters(ctx context.Context, before int64, limit int) ([]DeadLetter, error) {
	rows, err := q.o.DB.Query(ctx, `
		SELECT id, kind, args, attempt, coalesce(errors[array_upper(errors, 1)]->>'error', ''), created_at, finalized_at
		FROM river_job WHERE state = 'discarded' AND ($1 = 0 OR id < $1) ORDER BY id DESC LIMIT $2`, before, limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []DeadLetter
	for rows.Next() {
		var d DeadLetter
		if err := rows.Scan(&d.ID, &d.Kind, &d.Args, &d.Attempts, &d.LastError, &d.CreatedAt, &d.FinalizedAt); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// Retry makes a given-up job due again, with attempts left. A visible job is
// started anew by its own operation instead.
// Error: apperr.ErrNotFound.
func (q *Queue) Retry(ctx context.Context, tx *db.Tx, id int64) error {
	_, err := q.inserter.JobRetryTx(ctx, tx.SQL, id)
	if errors.Is(err, river.ErrNotFound) {
		return apperr.ErrNotFound.New()
	}
	return err
}

// Metrics are the queue's gauges.
func Metrics(d *db.DB) *telemetry.Sampler {
	return telemetry.NewSampler([]telemetry.Reading{
		{Name: "shuke_jobs", Help: "Jobs by state.", Labels: []string{"state"}},
		{Name: "shuke_jobs_lag_seconds", Help: "How long the oldest due job has been waiting for a worker, in seconds."},
	}, func(ctx context.Context) ([]telemetry.Sample, error) {
		rows, err := d.Query(ctx, `
			SELECT state, count(*), coalesce(extract(epoch FROM now() - min(scheduled_at)), 0)
			FROM river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled', 'discarded') GROUP BY state`)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		lag := 0.0
		var out []telemetry.Sample
		for rows.Next() {
			var state string
			var count, oldest float64
			if err := rows.Scan(&state, &count, &oldest); err != nil {
				return nil, err
			}
			out = append(out, telemetry.Sample{Reading: 0, Labels: []string{state}, Value: count})
			if state == "available" {
				lag = max(oldest, 0)
			}
		}
		return append(out, telemetry.Sample{Reading: 1, Value: lag}), rows.Err()
	})
}
