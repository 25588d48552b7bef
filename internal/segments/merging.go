package segments

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Follower has metrics follow merged customers. They are summed anew from the
// orders and returns that each of the two has then: nothing that happened in
// between can make them wrong. It comes after the orders.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{
		Name:  "segments",
		After: s.resum,
		Undone: func(ctx context.Context, tx *db.Tx, m *customers.Merging, _ json.RawMessage) error {
			return s.resum(ctx, tx, m)
		},
	}
}

// resum sums the days and metrics of the two customers of a merge. Who has none
// left has no metrics. Customers are locked: no order of theirs can come between.
func (s *Service) resum(ctx context.Context, tx *db.Tx, m *customers.Merging) error {
	ids := []uuid.UUID{m.Survivor.ID, m.Merged.ID}
	settings, err := lockSettings(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.lockMetrics(ctx, tx, ids); err != nil {
		return err
	}
	for _, query := range []string{
		"DELETE FROM customer_days WHERE customer_id = ANY($1::uuid[])",
		`INSERT INTO customer_days (customer_id, day, order_count, unit_count, spent_amount, return_count, returned_amount)
SELECT customer_id, day, sum(orders), sum(units), sum(spent), sum(returns), sum(returned) FROM (
    SELECT customer_id, business_day AS day, count(*) AS orders, sum(unit_count) AS units, sum(total_amount - shipping_amount) AS spent, 0 AS returns, 0 AS returned
    FROM orders WHERE customer_id = ANY($1::uuid[]) AND status NOT IN ('draft', 'placed', 'cancelled') GROUP BY 1, 2
    UNION ALL
    SELECT customer_id, business_day, 0, 0, 0, count(*), sum(total_amount)
    FROM order_returns WHERE customer_id = ANY($1::uuid[]) AND status = 'refunded' GROUP BY 1, 2
) d GROUP BY customer_id, day`,
		"DELETE FROM customer_metrics WHERE id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM customer_days d WHERE d.customer_id = customer_metrics.id)",
	} {
		if _, err := tx.Exec(ctx, query, pgarray.UUIDs(ids)); err != nil {
			return err
		}
	}
	cause := customers.CauseMerge
	if m.Undoing {
		cause = customers.CauseMergeUndo
	}
	_, err = s.recompute(ctx, tx, ids, settings, s.clock.Today(), cause)
	return err
}
