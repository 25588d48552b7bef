package customers

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// loadDays is how long ago an active customer bought last, in business days.
const loadDays = 90

// staffLoad is how many customers of the caller's scope an assistant looks after.
type staffLoad struct{ customers, active int64 }

// staffLoads counts the customers of some members of staff in one statement.
// Plan: customers_staff_idx, then customer_metrics_pkey.
func (s *Service) staffLoads(ctx context.Context, people []uuid.UUID, today clock.Day) (map[uuid.UUID]staffLoad, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	w := clause{`SELECT c.assigned_staff_id, count(*), count(*) FILTER (WHERE m.last_order_on > ?) FROM customers c LEFT JOIN customer_metrics m ON m.id = c.id
		WHERE c.assigned_staff_id = ANY (?::uuid[]) AND c.archived_at IS NULL`, []any{(today - loadDays).Time(), pgarray.UUIDs(people)}}
	within := scopeClause(actor.Scope)
	w.and(within.sql, within.args...)
	rows, err := s.db.From(ctx).Query(ctx, w.numbered()+" GROUP BY 1", w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]staffLoad, len(people))
	for rows.Next() {
		var id uuid.UUID
		var l staffLoad
		if err := rows.Scan(&id, &l.customers, &l.active); err != nil {
			return nil, err
		}
		out[id] = l
	}
	return out, rows.Err()
}
