package segments

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/settings"
)

const (
	jobRefresh = "rfm.refresh"
	jobStages  = "lifecycle.apply"
	// batch is how many customers one transaction recomputes: long enough to be
	// worth its commit, short enough not to hold up a till.
	batch = 500
)

type refreshParameters struct{}

// RefreshResult is what the visible jobs report.
type RefreshResult struct {
	Customers int64 `json:"customers"` // looked at
	Changed   int64 `json:"changed"`   // whose metrics or band are others now
	Stages    int64 `json:"stages"`    // who are in another stage now
}

func (s *Service) register(q *jobs.Queue) {
	for _, kind := range []string{jobRefresh, jobStages} {
		jobs.RegisterVisible(q, kind, func(ctx context.Context, _ refreshParameters, p *jobs.Progress) (any, error) {
			// By then no replica derives stages of new customers by the rules before.
			if err := s.customers.AwaitRules(ctx); err != nil {
				return nil, err
			}
			return s.refreshAll(ctx, p)
		})
	}
	// The second catches what was written across midnight by the day before.
	due := func(ctx context.Context) error {
		_, err := s.RebandDue(ctx)
		return errors.Join(err, s.Age(ctx))
	}
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

// refreshAll goes through all customers who ever bought by id, and then through
// the others whose stage is not what it should be. A second attempt begins anew:
// it changes only what is not right already.
func (s *Service) refreshAll(ctx context.Context, p *jobs.Progress) (*RefreshResult, error) {
	var total int64
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM customer_metrics").Scan(&total); err != nil {
		return nil, err
	}
	out := &RefreshResult{}
	bought := func(ctx context.Context, tx *db.Tx, after uuid.UUID) (*sql.Rows, error) {
		return tx.Query(ctx, `SELECT c.id FROM customers c WHERE c.id IN (SELECT m.id FROM customer_metrics m WHERE m.id > $1 ORDER BY m.id LIMIT $2)
ORDER BY c.id FOR NO KEY UPDATE`, after, batch)
	}
	never := func(ctx context.Context, tx *db.Tx, after uuid.UUID) (*sql.Rows, error) {
		settings, err := loadBanding(ctx, tx.Clients)
		if err != nil {
			return nil, err
		}
		args := []any{after}
		stage := settings.stages.SQL(s.clock.Today(), s.clock.Start, func(v any) string { args = append(args, v); return "$" + strconv.Itoa(len(args)) })
		return tx.Query(ctx, `SELECT c.id FROM customers c WHERE c.id IN (SELECT c.id FROM customers c LEFT JOIN customer_metrics m ON m.id = c.id
WHERE c.id > $1 AND m.id IS NULL AND NOT c.lifecycle_pinned AND c.merged_into_id IS NULL AND c.lifecycle_stage <> `+stage+`
ORDER BY c.id LIMIT `+strconv.Itoa(batch)+`) ORDER BY c.id FOR NO KEY UPDATE`, args...)
	}
	for _, pick := range []func(context.Context, *db.Tx, uuid.UUID) (*sql.Rows, error){bought, never} {
		for after := uuid.Nil; ; {
			if p.Cancelled() {
				return out, jobs.ErrCancelled
			}
			done, err := s.recomputeBatch(ctx, customers.CauseRules, func(ctx context.Context, tx *db.Tx) (*sql.Rows, error) { return pick(ctx, tx, after) })
			if err != nil {
				return out, err
			}
			out.Customers += int64(len(done.ids))
			out.Changed += int64(done.changed)
			out.Stages += int64(done.stages)
			p.Set(out.Customers, max(total, out.Customers))
			if len(done.ids) < batch {
				break
			}
			after = done.ids[len(done.ids)-1]
		}
	}
	return out, nil
}

// RebandDue recomputes the customers whose F, M, band or stage can have changed
// with the calendar, and reports how many there were. Several processes at once
// share the work: customers whom another one (or a till) holds are left to it.
func (s *Service) RebandDue(ctx context.Context) (int, error) {
	total := 0
	for {
		done, err := s.recomputeBatch(ctx, customers.CauseCalendar, func(ctx context.Context, tx *db.Tx) (*sql.Rows, error) {
			return tx.Query(ctx, `SELECT c.id FROM customers c
WHERE c.id IN (SELECT m.id FROM customer_metrics m WHERE m.reband_on <= $1 ORDER BY m.reband_on LIMIT $2) ORDER BY c.id FOR NO KEY UPDATE SKIP LOCKED`,
				s.clock.Today().Time(), batch)
		})
		total += len(done.ids)
		if err != nil || len(done.ids) < batch {
			return total, err
		}
	}
}

// CatchUp recomputes all who are due, after AddDays. It goes through them by id.
func (s *Service) CatchUp(ctx context.Context) error {
	for after := uuid.Nil; ; {
		done, err := s.recomputeBatch(ctx, customers.CauseOrder, func(ctx context.Context, tx *db.Tx) (*sql.Rows, error) {
			return tx.Query(ctx, `SELECT c.id FROM customers c
WHERE c.id IN (SELECT m.id FROM customer_metrics m WHERE m.reband_on <= $1 AND m.id > $3 ORDER BY m.id LIMIT $2) ORDER BY c.id FOR NO KEY UPDATE`,
				s.clock.Today().Time(), batch, after)
		})
		if err != nil || len(done.ids) < batch {
			return err
		}
		after = done.ids[len(done.ids)-1]
	}
}

// batchDone is what one transaction of a job did.
type batchDone struct {
	ids             []uuid.UUID
	changed, stages int
}

// recomputeBatch recomputes the customers whom a query selects and locks.
func (s *Service) recomputeBatch(ctx context.Context, cause string, pick func(context.Context, *db.Tx) (*sql.Rows, error)) (done batchDone, err error) {
	ctx = auth.System(ctx, jobRefresh) // stages and tags change on nobody's behalf
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		done = batchDone{}
		rows, err := pick(ctx, tx)
		if err != nil {
			return err
		}
		if done.ids, err = scanIDs(rows); err != nil || len(done.ids) == 0 {
			return err
		}
		settings, err := lockSettings(ctx, tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockMetricsSQL, pgarray.UUIDs(done.ids)); err != nil {
			return err
		}
		moved, err := s.recompute(ctx, tx, done.ids, settings, s.clock.Today(), cause)
		if err != nil {
			return err
		}
		done.changed, done.stages = len(moved.metrics), moved.stages
		s.customers.Touch(ctx, tx, moved.metrics...)
		return nil
	})
	return done, err
}

// agedKey is the setting that says through which day Age has looked.
const agedKey = "lifecycle_aged"

// Age derives the stages of customers who never bought and whose record has
// reached, since the last time, an age that a rule names. Records are found by
// their ids, which begin with the moment they were made.
func (s *Service) Age(ctx context.Context) error {
	ctx = auth.System(ctx, jobStages)
	bands, err := loadBanding(ctx, s.db.Clients)
	if err != nil {
		return err
	}
	today := s.clock.Today()
	last, err := s.agedThrough(ctx, today)
	if err != nil || last >= today {
		return err
	}
	for _, age := range bands.stages.Ages() {
		from, to := idAt(s.clock.Start(last+1-clock.Day(age))), idAt(s.clock.Start(today+1-clock.Day(age)))
		for {
			done, err := s.recomputeBatch(ctx, customers.CauseCalendar, func(ctx context.Context, tx *db.Tx) (*sql.Rows, error) {
				return tx.Query(ctx, `SELECT c.id FROM customers c WHERE c.id > $1 AND c.id < $2 AND NOT c.lifecycle_pinned AND c.merged_into_id IS NULL
AND NOT EXISTS (SELECT FROM customer_metrics m WHERE m.id = c.id) ORDER BY c.id LIMIT $3 FOR NO KEY UPDATE`, from, to, batch)
			})
			if err != nil {
				return err
			}
			if len(done.ids) < batch {
				break
			}
			from = done.ids[batch-1]
		}
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return settings.Save(ctx, tx, agedKey, agedDay{today.String()}, 1, s.clock.Now())
	})
}

// agedDay is the setting's value.
type agedDay struct {
	Day string `json:"day"`
}

// agedThrough is the last day that Age was done for; the first time, yesterday.
func (s *Service) agedThrough(ctx context.Context, today clock.Day) (clock.Day, error) {
	var v agedDay
	version, _, err := settings.Load(ctx, s.db.From(ctx), agedKey, &v)
	if err != nil || version == 0 {
		return today - 1, err
	}
	day, err := time.Parse(time.DateOnly, v.Day)
	return clock.DayFromDate(day), err
}

// idAt lies before the ids of records made at an instant or later.
func idAt(t time.Time) (id uuid.UUID) {
	ms := uint64(max(t.UnixMilli(), 0))
	for k := range 6 {
		id[k] = byte(ms >> (40 - 8*k))
	}
	return id
}
