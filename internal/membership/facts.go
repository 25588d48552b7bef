package membership

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// boughtSQL sums what customers bought by the business day of the order, without
// postage and less what came back of it whenever that was. An order of which
// everything came back is none. What came back without its order being known
// counts on its own day.
//
// Plan: orders_customer_idx and order_returns_customer_idx, one range for each customer.
const boughtSQL = `
SELECT customer_id, business_day, sum(total_amount - shipping_amount - returned_amount), count(*) FILTER (WHERE returned_amount = 0 OR returned_amount < total_amount - shipping_amount)
FROM orders WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[]) AND status NOT IN ('draft', 'placed', 'cancelled') GROUP BY 1, 2
UNION ALL
SELECT customer_id, business_day, -sum(total_amount), 0
FROM order_returns WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[]) AND order_id IS NULL AND status = 'refunded' GROUP BY 1, 2`

// facts reads what is known of customers: what they bought, and what they earned
// of the units that conditions look at.
func (s *Service) facts(ctx context.Context, c *db.Clients, ids []uuid.UUID, all []reign) (map[uuid.UUID]Facts, error) {
	raw := make(map[uuid.UUID]map[string][]Figure, len(ids))
	for _, id := range ids {
		raw[id] = map[string][]Figure{}
	}
	rows, err := c.Query(ctx, boughtSQL, pgarray.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var day time.Time
		var spent, orders int64
		if err := rows.Scan(&id, &day, &spent, &orders); err != nil {
			return nil, err
		}
		d, of := clock.DayFromDate(day), raw[id]
		of[Spend] = append(of[Spend], Figure{Day: d, N: spent})
		of[Orders] = append(of[Orders], Figure{Day: d, N: orders})
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	units := map[string]bool{}
	for _, r := range all {
		for _, u := range r.scheme.units() {
			units[u] = true
		}
	}
	if len(units) > 0 {
		codes := make([]string, 0, len(units))
		for u := range units {
			codes = append(codes, u)
		}
		earned, err := s.points.Earned(ctx, c, ids, codes)
		if err != nil {
			return nil, err
		}
		for _, e := range earned {
			of := raw[e.CustomerID]
			of[pointsKey(e.Unit)] = append(of[pointsKey(e.Unit)], Figure{Day: e.Day, N: e.Points})
		}
	}
	out := make(map[uuid.UUID]Facts, len(ids))
	for id, of := range raw {
		out[id] = newFacts(of)
	}
	return out, nil
}

// grants reads the tiers given to customers by hand.
// Plan: membership_grants_customer_idx.
func (s *Service) grants(ctx context.Context, c *db.Clients, ids []uuid.UUID) (map[uuid.UUID][]Grant, error) {
	rows, err := c.Query(ctx, `SELECT customer_id, id, tier_code, from_at, least(until_at, revoked_at), revoked_at IS NOT NULL
FROM membership_grants WHERE customer_id = ANY((SELECT $1::uuid[])::uuid[])`, pgarray.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uuid.UUID][]Grant{}
	for rows.Next() {
		var id uuid.UUID
		var g Grant
		if err := rows.Scan(&id, &g.ID, &g.Tier, &g.From, &g.Until, &g.Revoked); err != nil {
			return nil, err
		}
		g.From, g.Until = g.From.UTC(), utc(g.Until)
		out[id] = append(out[id], g)
	}
	return out, rows.Err()
}
