package points

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// EarnedDay is how many points of a unit a customer earned by what happened on a
// business day, less those of it that were taken back since. What an order earned
// counts on the day of the order.
type EarnedDay struct {
	CustomerID uuid.UUID
	Unit       string // code
	Day        clock.Day
	Points     int64
}

// earnedSQL sums what was earned and taken back by day.
// Plan: points_accounts_customer_idx, points_entries_member_idx, orders_pkey.
const earnedSQL = `
SELECT a.customer_id, u.code, coalesce(o.business_day, (e.occurred_at AT TIME ZONE $3)::date) AS day, sum(e.balance_change + e.pending_change + e.blocked_change)
FROM points_units u
JOIN points_accounts a ON a.unit_id = u.id AND a.customer_id = ANY((SELECT $1::uuid[])::uuid[])
JOIN points_entries e ON e.account_id = a.id AND e.kind IN ('earn', 'reverse')
LEFT JOIN orders o ON o.id = e.order_id
WHERE u.code = ANY($2::text[]) GROUP BY 1, 2, 3`

// Earned says what customers have earned of units, each day for itself; points
// given by hand or by other members are not among it.
func (s *Service) Earned(ctx context.Context, c *db.Clients, customers []uuid.UUID, units []string) ([]EarnedDay, error) {
	rows, err := c.Query(ctx, earnedSQL, ids(customers), pq.Array(units), s.clock.Location().String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []EarnedDay
	for rows.Next() {
		var e EarnedDay
		var day time.Time
		if err := rows.Scan(&e.CustomerID, &e.Unit, &day, &e.Points); err != nil {
			return nil, err
		}
		e.Day = clock.DayFromDate(day)
		out = append(out, e)
	}
	return out, rows.Err()
}
