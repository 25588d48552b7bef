package operations

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Difference is a customer whose metrics are not the sum of their orders and
// returns. Amounts are in minor units.
type Difference struct {
	CustomerID             uuid.UUID
	Kept, Summed           Figures
	FirstKept, FirstSummed string // business days, empty for none
	LastKept, LastSummed   string
}

// Figures are what orders and returns add up to.
type Figures struct {
	Orders, PurchaseDays, Units, Spent, Returns, Returned int64
}

// Text names the figures that differ.
func (d Difference) Text() string {
	var parts []string
	add := func(name string, kept, summed any) {
		if kept != summed {
			parts = append(parts, fmt.Sprintf("%s is %v, should be %v", name, kept, summed))
		}
	}
	add("order_count", d.Kept.Orders, d.Summed.Orders)
	add("purchase_days", d.Kept.PurchaseDays, d.Summed.PurchaseDays)
	add("unit_count", d.Kept.Units, d.Summed.Units)
	add("spent_amount", d.Kept.Spent, d.Summed.Spent)
	add("return_count", d.Kept.Returns, d.Summed.Returns)
	add("returned_amount", d.Kept.Returned, d.Summed.Returned)
	add("first_order_on", d.FirstKept, d.FirstSummed)
	add("last_order_on", d.LastKept, d.LastSummed)
	return strings.Join(parts, ", ")
}

// MetricsReport is what VerifyMetrics found.
type MetricsReport struct {
	Customers                        int64 // with metrics
	Orders, Spent, Returns, Returned int64 // sums over all orders and returns that belong to a customer
	Differences                      []Difference
	More                             int64 // customers that differ beyond those listed
}

// shownDifferences bounds the report.
const shownDifferences = 20

// VerifyMetrics compares every customer's metrics with the sum of their
// paid orders and refunded returns. One statement sees one moment, and an
// order commits together with its metrics: a difference is a defect, also while
// the service is busy.
func (s *Service) VerifyMetrics(ctx context.Context) (MetricsReport, error) {
	var out MetricsReport
	err := s.db.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM customer_metrics), o.n, o.amount, r.n, r.amount
		FROM (SELECT count(*) AS n, coalesce(sum(total_amount - shipping_amount), 0) AS amount FROM orders WHERE customer_id IS NOT NULL AND status NOT IN ('draft', 'placed', 'cancelled')) o,
		     (SELECT count(*) AS n, coalesce(sum(total_amount), 0) AS amount FROM order_returns WHERE customer_id IS NOT NULL AND status = 'refunded') r`,
	).Scan(&out.Customers, &out.Orders, &out.Spent, &out.Returns, &out.Returned)
	if err != nil {
		return out, fmt.Errorf("sum orders and returns: %w", err)
	}
	rows, err := s.db.Query(ctx, `
		WITH o AS (
		    SELECT customer_id AS id, count(*) AS orders, count(DISTINCT business_day) AS days, sum(unit_count) AS units, sum(total_amount - shipping_amount) AS spent,
		           min(business_day)::text AS first, max(business_day)::text AS last
		    FROM orders WHERE customer_id IS NOT NULL AND status NOT IN ('draft', 'placed', 'cancelled') GROUP BY customer_id
		), r AS (
		    SELECT customer_id AS id, count(*) AS returns, sum(total_amount) AS returned
		    FROM order_returns WHERE customer_id IS NOT NULL AND status = 'refunded' GROUP BY customer_id
		), k AS (
		    SELECT id, order_count, purchase_days, unit_count, spent_amount, return_count, returned_amount,
		           coalesce(first_order_on::text, '') AS first, coalesce(last_order_on::text, '') AS last FROM customer_metrics
		), compared AS (
		    SELECT id, coalesce(k.order_count, 0) AS a1, coalesce(o.orders, 0) AS b1, coalesce(k.purchase_days, 0) AS a2, coalesce(o.days, 0) AS b2,
		           coalesce(k.unit_count, 0) AS a3, coalesce(o.units, 0) AS b3, coalesce(k.spent_amount, 0) AS a4, coalesce(o.spent, 0) AS b4,
		           coalesce(k.return_count, 0) AS a5, coalesce(r.returns, 0) AS b5, coalesce(k.returned_amount, 0) AS a6, coalesce(r.returned, 0) AS b6,
		           coalesce(k.first, '') AS a7, coalesce(o.first, '') AS b7, coalesce(k.last, '') AS a8, coalesce(o.last, '') AS b8
		    FROM k FULL JOIN o USING (id) FULL JOIN r USING (id)
		)
		SELECT *, count(*) OVER () FROM compared
		WHERE (a1, a2, a3, a4, a5, a6, a7, a8) IS DISTINCT FROM (b1, b2, b3, b4, b5, b6, b7, b8) ORDER BY id LIMIT $1`, shownDifferences)
	if err != nil {
		return out, fmt.Errorf("compare metrics: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d Difference
		var all int64
		k, o := &d.Kept, &d.Summed
		if err := rows.Scan(&d.CustomerID, &k.Orders, &o.Orders, &k.PurchaseDays, &o.PurchaseDays, &k.Units, &o.Units, &k.Spent, &o.Spent,
			&k.Returns, &o.Returns, &k.Returned, &o.Returned, &d.FirstKept, &d.FirstSummed, &d.LastKept, &d.LastSummed, &all); err != nil {
			return out, err
		}
		out.Differences = append(out.Differences, d)
		out.More = all - int64(len(out.Differences))
	}
	return out, rows.Err()
}
