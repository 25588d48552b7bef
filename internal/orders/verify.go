package orders

import (
	"context"

	"github.com/google/uuid"
)

// Difference is an order whose kept sums are not those of its parts.
type Difference struct {
	OrderID uuid.UUID
	What    string // total, discount, paid, refunded, returned, payment (its refunds), returned pieces
	Kept    int64
	Summed  int64
}

// Verified is what a check of all orders found.
type Verified struct {
	Orders      int64
	Differences []Difference // at most most
}

// An order of a till that has not told its payments has none, and is paid.
const moneySQL = `
WITH l AS (
    SELECT order_id, sum(total_amount) AS total, sum(discount_amount) AS discount FROM order_lines GROUP BY order_id
), p AS (
    SELECT order_id, sum(amount) AS paid FROM order_payments WHERE status = 'succeeded' GROUP BY order_id
), f AS (
    SELECT order_id, sum(amount) AS refunded FROM order_refunds WHERE status <> 'failed' AND order_id IS NOT NULL GROUP BY order_id
), b AS (
    SELECT order_id, sum(total_amount) AS returned FROM order_returns WHERE status = 'refunded' AND order_id IS NOT NULL GROUP BY order_id
), pieces AS (
    SELECT l.order_line_id AS id, sum(l.quantity) AS returned FROM order_returns r JOIN order_return_lines l ON l.order_return_id = r.id
    WHERE r.status <> 'rejected' AND l.order_line_id IS NOT NULL GROUP BY 1
), compared AS (
    SELECT o.id, c.what, c.kept, c.summed FROM orders o LEFT JOIN l ON l.order_id = o.id LEFT JOIN p ON p.order_id = o.id LEFT JOIN f ON f.order_id = o.id LEFT JOIN b ON b.order_id = o.id,
        LATERAL (VALUES ('total', o.total_amount, coalesce(l.total, 0) + o.shipping_amount), ('discount', o.discount_amount, coalesce(l.discount, 0)),
                        ('paid', o.paid_amount, coalesce(p.paid, CASE WHEN o.fulfilment = 'taken' AND o.status = 'completed' THEN o.total_amount ELSE 0 END)),
                        ('refunded', o.refunded_amount, coalesce(f.refunded, 0)), ('returned', o.returned_amount, coalesce(b.returned, 0))) AS c (what, kept, summed)
    UNION ALL
    SELECT p.order_id, 'payment', p.refunded_amount, coalesce(sum(r.amount) FILTER (WHERE r.status <> 'failed'), 0)
    FROM order_payments p LEFT JOIN order_refunds r ON r.order_payment_id = p.id GROUP BY p.id
    UNION ALL
    SELECT l.order_id, 'returned pieces', l.returned_quantity, pieces.returned FROM pieces JOIN order_lines l ON l.id = pieces.id WHERE l.returned_quantity < pieces.returned
)
SELECT id, what, kept, summed FROM compared WHERE kept <> summed ORDER BY id, what LIMIT $1`

// Verify compares what orders keep of their money and returns with the sum of
// their parts, in one snapshot.
func (s *Service) Verify(ctx context.Context, most int) (out Verified, err error) {
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM orders").Scan(&out.Orders); err != nil {
		return out, err
	}
	rows, err := s.db.Query(ctx, moneySQL, most)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Difference
		if err := rows.Scan(&d.OrderID, &d.What, &d.Kept, &d.Summed); err != nil {
			return out, err
		}
		out.Differences = append(out.Differences, d)
	}
	return out, rows.Err()
}
