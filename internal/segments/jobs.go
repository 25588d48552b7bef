package segments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

const (
	jobRefresh = "rfm.refresh"
	// batch is how many customers one transaction recomputes: long enough to be
	// worth its commit, short enough not to hold up a till.
	batch = 500
)

type refreshParameters struct{}

// RefreshResult is what the visible job reports.
type RefreshResult struct {
	Customers int64 `json:"customers"` // looked at
	Changed   int64 `json:"changed"`
}

func (s *Service) register(q *jobs.Queue) {
	jobs.RegisterVisible(q, jobRefresh, func(ctx context.Context, _ refreshParameters, p *jobs.Progress) (any, error) {
		return s.refreshAll(ctx, p)
	})
	// The second catches what was written across midnight by the day before.
	due := func(ctx context.Context) error { _, err := s.RebandDue(ctx); return err }
	q.Every("rfm.reband", jobs.DailyAt(s.clock, time.Second), due)
	q.Every("rfm.reband_late", jobs.Interval(10*time.Minute), due)
}

// Refresh starts the visible job that recomputes everybody.
func (s *Service) Refresh(ctx context.Context) (*platform.Job, error) {
	var out *platform.Job
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if out, err = s.queue.StartVisible(ctx, tx, jobRefresh, refreshParameters{}); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "segments.rfm.refresh", ObjectType: "job", ObjectID: out.ID.String()})
		return nil
	})
	return out, err
}

// refreshAll goes through all customers by id.
func (s *Service) refreshAll(ctx context.Context, p *jobs.Progress) (*RefreshResult, error) {
	var total int64
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM customer_metrics").Scan(&total); err != nil {
		return nil, err
	}
	out := &RefreshResult{}
	for after := uuid.Nil; ; {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		ids, changed, err := s.recomputeBatch(ctx, `
SELECT id FROM customer_metrics WHERE id > $1 ORDER BY id LIMIT $2 FOR NO KEY UPDATE`, after)
		if err != nil {
			return out, err
		}
		out.Customers += int64(len(ids))
		out.Changed += int64(changed)
		p.Set(out.Customers, max(total, out.Customers))
		if len(ids) < batch {
			return out, nil
		}
		after = ids[len(ids)-1]
	}
}

// RebandDue recomputes the customers whose F, M or band can have changed with
// the calendar, and reports how many there were. Several processes at once
// share the work: rows that another one (or a till) holds are left to it.
func (s *Service) RebandDue(ctx context.Context) (int, error) {
	total := 0
	for {
		ids, _, err := s.recomputeBatch(ctx, `
SELECT id FROM customer_metrics WHERE reband_on <= $1 ORDER BY reband_on LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED`, s.clock.Today().Time())
		total += len(ids)
		if err != nil || len(ids) < batch {
			return total, err
		}
	}
}

// recomputeBatch locks the rows that a query selects and recomputes them.
func (s *Service) recomputeBatch(ctx context.Context, query string, from any) (ids []uuid.UUID, changed int, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		settings, err := lockSettings(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, query, from, batch)
		if err != nil {
			return err
		}
		if ids, err = scanIDs(rows); err != nil || len(ids) == 0 {
			return err
		}
		moved, err := s.recompute(ctx, tx, ids, settings, s.clock.Today())
		if err != nil {
			return err
		}
		changed = len(moved)
		s.customers.Touch(ctx, tx, moved...)
		return nil
	})
	return ids, changed, err
}
