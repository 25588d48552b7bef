package membership

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

const jobReviewAll = "membership.review_all"

type reviewAllParameters struct{}

// ReviewAllResult is what the visible job reports.
type ReviewAllResult struct {
	Marked   int64 `json:"marked"`   // had to be looked at
	Reviewed int64 `json:"reviewed"` // by this job; others may have been faster
}

// reviewEvery is how often the job looks for memberships that are due.
const reviewEvery = 5 * time.Second

// birthdaysAfter is how long after midnight birthdays are looked for: the reviews of
// those whose tier ended then come first.
const birthdaysAfter = 30 * time.Minute

func (s *Service) register(q *jobs.Queue) {
	q.Every("membership.review", jobs.Interval(reviewEvery), func(ctx context.Context) error { _, err := s.ReviewDue(ctx); return err })
	q.Every("membership.birthdays", jobs.DailyAt(s.clock, birthdaysAfter), func(ctx context.Context) error { _, err := s.Birthdays(ctx); return err })
	jobs.RegisterVisible(q, jobReviewAll, func(ctx context.Context, _ reviewAllParameters, p *jobs.Progress) (any, error) {
		return s.reviewAll(ctx, p)
	})
}

// everybodySQL finds whoever may be in a tier: who ever bought, has points, or was
// looked at before. Locked, so that they can be marked.
// Plan: customer_metrics_pkey, points_accounts_customer_idx, memberships_customer_key; customers_pkey.
const everybodySQL = `SELECT c.id FROM customers c WHERE c.merged_into_id IS NULL AND c.id IN (
    (SELECT id FROM customer_metrics WHERE id > $1 ORDER BY id LIMIT $2)
    UNION (SELECT customer_id FROM points_accounts WHERE customer_id > $1 ORDER BY customer_id LIMIT $2)
    UNION (SELECT customer_id FROM memberships WHERE customer_id > $1 ORDER BY customer_id LIMIT $2)
    UNION (SELECT customer_id FROM membership_grants WHERE customer_id > $1 ORDER BY customer_id LIMIT $2)
    ORDER BY 1 LIMIT $2) ORDER BY c.id FOR NO KEY UPDATE`

// reviewAll has everybody reviewed after a change of the scheme. A second attempt
// begins anew: it finds nothing where the first one has been.
func (s *Service) reviewAll(ctx context.Context, p *jobs.Progress) (*ReviewAllResult, error) {
	ctx = auth.System(ctx, jobReviewAll)
	out := &ReviewAllResult{}
	var total int64
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM customer_metrics").Scan(&total); err != nil {
		return nil, err
	}
	for after := uuid.Nil; ; {
		if p.Cancelled() {
			return out, jobs.ErrCancelled
		}
		var of []uuid.UUID
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			of = nil
			rows, err := tx.Query(ctx, everybodySQL, after, batch)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id uuid.UUID
				if err := rows.Scan(&id); err != nil {
					return err
				}
				of = append(of, id)
			}
			if err := rows.Err(); err != nil {
				return err
			}
			return s.Mark(ctx, tx, of...)
		})
		if err != nil {
			return out, err
		}
		out.Marked += int64(len(of))
		p.Set(out.Marked, max(total, out.Marked))
		if len(of) == 0 {
			break
		}
		after = of[len(of)-1]
	}
	n, err := s.ReviewDue(ctx)
	out.Reviewed = int64(n)
	return out, err
}
