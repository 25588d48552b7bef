package analytics

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

const (
	jobRefresh  = "analytics.refresh_data_quality"
	refreshLock = 0x71756c79 // "quly": one refresh is started at a time

	passBatch = 1000
	// mostChanged is from how many changed customers on a walk over all of them is
	// the shorter way.
	mostChanged = 100_000
	// hold is for how long a batch may take before another pass begins: the
	// process is dead then.
	hold = time.Minute
	// margin is by how much the clocks of replicas may differ.
	margin = time.Minute
	// walkEvery is after how long everybody is judged anew, changed or not.
	walkEvery = 24 * time.Hour
)

// PassResult is what the visible job reports.
type PassResult struct {
	Customers int64     `json:"customers"` // judged
	Changed   int64     `json:"changed"`   // of them with another judgement than before
	AsOf      time.Time `json:"as_of"`
}

// Refresh starts the visible job that judges everybody anew.
// Errors: ErrRefreshRunning.
func (s *Service) Refresh(ctx context.Context) (out *platform.Job, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(refreshLock)); err != nil {
			return err
		}
		running, err := tx.Platform.Job.Query().Where(job.Kind(jobRefresh), job.StatusIn(job.StatusQueued, job.StatusRunning)).Exist(auth.System(ctx, jobRefresh))
		if err != nil {
			return err
		}
		if running {
			return ErrRefreshRunning.New()
		}
		if out, err = s.queue.StartVisible(ctx, tx, jobRefresh, struct{}{}); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "analytics.data_quality.refresh", ObjectType: "job", ObjectID: out.ID.String()})
		return nil
	})
	return out, err
}

// runRefresh waits for a pass that is under way, then makes one over everybody.
func (s *Service) runRefresh(ctx context.Context, _ struct{}, p *jobs.Progress) (any, error) {
	for {
		out, err := s.pass(ctx, true, p)
		if out != nil || err != nil {
			return out, err
		}
		if p.Cancelled() {
			return nil, jobs.ErrCancelled
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// CatchUp judges those who changed since the last pass, or everybody where that
// is due. nil: another pass is under way.
func (s *Service) CatchUp(ctx context.Context) (*PassResult, error) { return s.pass(ctx, false, nil) }

// passState is the row of quality_passes.
type passState struct {
	asOf, since, completeAt *time.Time
	definitions             sql.NullInt64
	walkAfter               uuid.NullUUID
	walkBegan, walkSince    *time.Time
	walkBy                  sql.NullInt64
}

// pass judges those who changed since the last one, or everybody if asked for,
// if definitions have changed, or if it is time for it. nil: another pass is
// under way. Progress may be nil.
func (s *Service) pass(ctx context.Context, everybody bool, p *jobs.Progress) (*PassResult, error) {
	ctx = auth.System(ctx, jobRefresh)
	now := s.clock.Now()
	var st passState
	// Values of the last one that are not ours are read with the row held.
	err := s.db.QueryRow(ctx, `UPDATE quality_passes SET held_until = now() + $1 * interval '1 second' WHERE held_until IS NULL OR held_until < now()
		RETURNING as_of, judged_since, complete_at, definitions, walk_after, walk_began, walk_since, walk_by`, hold.Seconds()).
		Scan(&st.asOf, &st.since, &st.completeAt, &st.definitions, &st.walkAfter, &st.walkBegan, &st.walkSince, &st.walkBy)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		// Unreleased, it ends by itself.
		_, _ = s.db.Exec(ctx, "UPDATE quality_passes SET held_until = NULL")
	}()
	// Whoever began before this and commits after it wrote an earlier time of change.
	var open float64
	var definitions int64
	if err := s.db.QueryRow(ctx, `SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0), (SELECT sum(revision)::bigint FROM definition_revisions)
		FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL`).Scan(&open, &definitions); err != nil {
		return nil, err
	}
	since := now.Add(-margin - time.Duration(open*float64(time.Second)))
	w := &work{s: s, progress: p, out: &PassResult{AsOf: now}}
	if !everybody && st.asOf != nil && st.definitions.Int64 == definitions && st.completeAt != nil && now.Sub(*st.completeAt) < walkEvery {
		ids, err := changedSince(ctx, s.db, *st.since, mostChanged+1)
		if err != nil {
			return nil, err
		}
		if len(ids) <= mostChanged {
			if err := w.these(ctx, ids); err != nil {
				return w.out, err
			}
			return w.out, w.finish(ctx, now, since, definitions, false)
		}
	}
	began, from := now, uuid.Nil
	if st.walkAfter.Valid && st.walkBy.Int64 == definitions && now.Sub(*st.walkBegan) < walkEvery {
		began, since, from = *st.walkBegan, *st.walkSince, st.walkAfter.UUID
	}
	if w.out.AsOf = began; from == uuid.Nil {
		if _, err := s.db.Exec(ctx, "UPDATE quality_passes SET walk_after = $1, walk_began = $2, walk_since = $3, walk_by = $4", from, began, since, definitions); err != nil {
			return nil, err
		}
	}
	if err := w.everybody(ctx, from); err != nil {
		return w.out, err
	}
	return w.out, w.finish(ctx, began, since, definitions, true)
}

// work is a pass under way.
type work struct {
	s        *Service
	progress *jobs.Progress
	out      *PassResult
}

func (w *work) these(ctx context.Context, ids []uuid.UUID) error {
	for total := len(ids); len(ids) > 0; {
		n := min(passBatch, len(ids))
		judged, err := w.s.customers.JudgeThese(ctx, ids[:n])
		if err != nil {
			return err
		}
		if err := w.keep(ctx, judged, nil, int64(total)); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (w *work) everybody(ctx context.Context, after uuid.UUID) error {
	var total int64
	if err := w.s.db.QueryRow(ctx, "SELECT count(*) FROM customers WHERE archived_at IS NULL AND id > $1", after).Scan(&total); err != nil {
		return err
	}
	for {
		judged, err := w.s.customers.JudgeAfter(ctx, after, passBatch)
		if err != nil || len(judged) == 0 {
			return err
		}
		after = judged[len(judged)-1].ID
		if err := w.keep(ctx, judged, &after, total); err != nil {
			return err
		}
	}
}

// kept is a judgement as it is sent to the database.
type kept struct {
	ID        uuid.UUID  `json:"id"`
	StoreID   *uuid.UUID `json:"home_store_id"`
	StaffID   *uuid.UUID `json:"assigned_staff_id"`
	Problems  int64      `json:"problems"`
	ChangedOn string     `json:"changed_on"`
	ActiveOn  string     `json:"active_on"`
	Gone      bool       `json:"gone"`
	Source    string     `json:"source"`
	Details   []string   `json:"details"`
}

// keep writes a batch of judgements that differ from those there are, renews the
// hold, and remembers how far a walk has come.
func (w *work) keep(ctx context.Context, judged []customers.Judged, walked *uuid.UUID, total int64) error {
	rows := make([]kept, len(judged))
	for i, j := range judged {
		rows[i] = kept{j.ID, j.StoreID, j.StaffID, int64(j.Problems), j.Changed.Format(time.DateOnly), j.Active.Format(time.DateOnly), j.Gone, j.Source, j.Details}
	}
	raw, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	err = w.s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec(ctx, `
			INSERT INTO customer_quality AS q (id, home_store_id, assigned_staff_id, problems, changed_on, active_on, gone, source, details)
			SELECT r.id, r.home_store_id, r.assigned_staff_id, r.problems, r.changed_on, r.active_on, r.gone, r.source, r.details
			FROM jsonb_to_recordset($1::jsonb) r (id uuid, home_store_id uuid, assigned_staff_id uuid, problems bigint, changed_on date, active_on date, gone boolean, source text, details text[])
			ORDER BY r.id
			ON CONFLICT (id) DO UPDATE SET home_store_id = excluded.home_store_id, assigned_staff_id = excluded.assigned_staff_id,
			    problems = excluded.problems | (q.problems & $2), changed_on = excluded.changed_on, active_on = excluded.active_on,
			    gone = excluded.gone, source = excluded.source, details = excluded.details
			WHERE (q.home_store_id, q.assigned_staff_id, q.problems & ~$2, q.changed_on, q.active_on, q.gone, q.source, q.details) IS DISTINCT FROM
			      (excluded.home_store_id, excluded.assigned_staff_id, excluded.problems, excluded.changed_on, excluded.active_on, excluded.gone, excluded.source, excluded.details)`,
			string(raw), int64(customers.SuspectedDuplicate))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		w.out.Changed += n
		_, err = tx.Exec(ctx, "UPDATE quality_passes SET held_until = now() + $1 * interval '1 second', walk_after = coalesce($2::uuid, walk_after)", hold.Seconds(), walked)
		return err
	})
	if err != nil {
		return err
	}
	w.out.Customers += int64(len(judged))
	if w.progress == nil {
		return nil
	}
	w.progress.Set(w.out.Customers, max(total, w.out.Customers))
	if w.progress.Cancelled() {
		return jobs.ErrCancelled
	}
	return nil
}

// finish marks the suspected duplicates and says as of when everything is.
func (w *work) finish(ctx context.Context, began, since time.Time, definitions int64, complete bool) error {
	return w.s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `
			WITH suspects AS MATERIALIZED (
			    SELECT unnest(ARRAY[d.left_id, d.right_id]) AS id FROM duplicate_candidates d
			    JOIN customers l ON l.id = d.left_id AND l.archived_at IS NULL JOIN customers r ON r.id = d.right_id AND r.archived_at IS NULL
			    WHERE d.status = 'open')
			UPDATE customer_quality q SET problems = q.problems # $1
			WHERE (q.problems & $1 <> 0) <> (q.id IN (SELECT id FROM suspects))`, int64(customers.SuspectedDuplicate)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE quality_passes SET as_of = greatest(as_of, $1), judged_since = $2, definitions = $3,
			complete_at = CASE WHEN $4 THEN $1 ELSE complete_at END, walk_after = CASE WHEN $4 THEN NULL ELSE walk_after END`, began, since, definitions, complete)
		return err
	})
}

// changedSince are customers of whom something may have become different, as
// far as those who are judged by it say when: at most so many.
func changedSince(ctx context.Context, d *db.DB, since time.Time, most int) ([]uuid.UUID, error) {
	rows, err := d.Query(ctx, `
		SELECT id FROM customers WHERE updated_at >= $1
		UNION SELECT id FROM customer_metrics WHERE updated_at >= $1
		UNION SELECT customer_id FROM consents WHERE granted_at >= $1 OR withdrawn_at >= $1
		UNION SELECT customer_id FROM member_sessions WHERE last_used_at >= $1
		ORDER BY 1 LIMIT $2`, since, most)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
