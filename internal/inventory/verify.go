package inventory

import (
	"context"

	"github.com/google/uuid"
)

// Difference is a level that is not the sum of what it derives from.
type Difference struct {
	StoreID, VariantID uuid.UUID
	Level, Ledger      [4]int64 // on_hand, damaged, incoming, reserved
}

// Verified is what a check of all stock found.
type Verified struct {
	Levels, Movements int64
	Differences       []Difference // at most most
}

const differencesSQL = `
WITH moved AS (
    SELECT store_id, variant_id, sum(on_hand_change) AS on_hand, sum(damaged_change) AS damaged, sum(incoming_change) AS incoming, count(*) AS n
    FROM stock_movements GROUP BY store_id, variant_id
), promised AS (
    SELECT store_id, variant_id, sum(quantity) AS reserved FROM (
        SELECT r.store_id, l.variant_id, l.quantity FROM stock_reservations r JOIN stock_reservation_lines l ON l.reservation_id = r.id WHERE r.status = 'open'
        UNION ALL
        SELECT t.from_store_id, l.variant_id, l.quantity FROM stock_transfers t JOIN stock_transfer_lines l ON l.transfer_id = t.id WHERE t.status = 'draft'
        UNION ALL
        SELECT o.store_id, l.variant_id, l.reserved_quantity FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.reserved_quantity > 0
    ) p GROUP BY store_id, variant_id
), held AS (
    SELECT coalesce(v.store_id, m.store_id, p.store_id) AS store_id, coalesce(v.variant_id, m.variant_id, p.variant_id) AS variant_id, v.id,
           coalesce(v.on_hand, 0) AS on_hand, coalesce(v.damaged, 0) AS damaged, coalesce(v.incoming, 0) AS incoming, coalesce(v.reserved, 0) AS reserved,
           coalesce(m.on_hand, 0) AS m_on_hand, coalesce(m.damaged, 0) AS m_damaged, coalesce(m.incoming, 0) AS m_incoming, coalesce(p.reserved, 0) AS p_reserved,
           coalesce(m.n, 0) AS n
    FROM stock_levels v FULL JOIN moved m ON m.store_id = v.store_id AND m.variant_id = v.variant_id
    FULL JOIN promised p ON p.store_id = coalesce(v.store_id, m.store_id) AND p.variant_id = coalesce(v.variant_id, m.variant_id)
)
SELECT store_id, variant_id, on_hand, damaged, incoming, reserved, m_on_hand, m_damaged, m_incoming, p_reserved, count(id) OVER (), sum(n) OVER (),
       (on_hand, damaged, incoming, reserved) IS DISTINCT FROM (m_on_hand, m_damaged, m_incoming, p_reserved) AS differs
FROM held ORDER BY differs DESC, store_id, variant_id LIMIT $1`

// Verify compares every level with the ledger and what is promised, in
// one snapshot.
func (s *Service) Verify(ctx context.Context, most int) (out Verified, err error) {
	rows, err := s.db.Query(ctx, differencesSQL, most)
	if err != nil {
		return out, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Difference
		var differs bool
		v, m := &d.Level, &d.Ledger
		if err := rows.Scan(&d.StoreID, &d.VariantID, &v[0], &v[1], &v[2], &v[3], &m[0], &m[1], &m[2], &m[3], &out.Levels, &out.Movements, &differs); err != nil {
			return out, err
		}
		if differs {
			out.Differences = append(out.Differences, d)
		}
	}
	return out, rows.Err()
}
