package orders

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// lockStores keeps a return and the sale it names from passing each other
// unseen, each in a transaction that does not see the other's. Sales lock their
// store shared; a transaction with a return whose sale is not there yet locks
// it alone before it looks again. One of the two then comes entirely before
// the other, and the later one links them. Sales never wait for each other, and
// a return whose sale has arrived, the usual case, waits for nobody.
func (s *Service) lockStores(ctx context.Context, tx *db.Tx, rows []*row) error {
	alone := map[uuid.UUID]bool{}
	var waiting []key
	for _, r := range rows {
		if !r.ticket.Return {
			alone[r.ticket.StoreID] = alone[r.ticket.StoreID] || false
		}
		if r.ticket.Original != "" {
			waiting = append(waiting, key{r.ticket.StoreID, r.ticket.Original})
		}
	}
	missing, err := s.withoutSale(ctx, tx, waiting)
	if err != nil {
		return err
	}
	for _, k := range missing {
		alone[k.store] = true
	}
	stores := make([]uuid.UUID, 0, len(alone))
	for id := range alone {
		stores = append(stores, id)
	}
	slices.SortFunc(stores, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range stores {
		lock := "SELECT pg_advisory_xact_lock_shared($1)"
		if alone[id] {
			lock = "SELECT pg_advisory_xact_lock($1)"
		}
		if _, err := tx.Exec(ctx, lock, storeLock(id)); err != nil {
			return err
		}
	}
	return nil
}

// storeLock is the key of a store's advisory lock: the random half of its id.
func storeLock(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[8:])) }

// withoutSale returns the keys under which no order has arrived.
func (s *Service) withoutSale(ctx context.Context, tx *db.Tx, keys []key) ([]key, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	stores, numbers := columns(keys)
	rows, err := tx.Query(ctx, `
SELECT k.store_id, k.number FROM unnest($1::uuid[], $2::text[]) AS k (store_id, number)
WHERE NOT EXISTS (SELECT FROM orders o WHERE o.store_id = k.store_id AND o.external_number = k.number)`, stores, pq.Array(numbers))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []key
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.store, &k.number); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// link joins the chunk's returns to their sales and the chunk's sales to
// returns that came before them, then recounts the orders concerned and warns
// of sales that have had more brought back than they had. It returns the orders of
// which something came back.
// Plan: orders_external_number_key and order_returns_original_idx, one probe a key.
func (s *Service) link(ctx context.Context, tx *db.Tx, rows []*row) ([]uuid.UUID, error) {
	keys := make([]key, 0, len(rows))
	for _, r := range rows {
		if r.orderID != uuid.Nil {
			keys = append(keys, r.ticket.key())
		}
		if r.ticket.Original != "" {
			keys = append(keys, key{r.ticket.StoreID, r.ticket.Original})
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	now := s.clock.Now()
	stores, numbers := columns(keys)
	found, err := tx.Query(ctx, `
UPDATE order_returns r SET order_id = o.id, version = r.version + 1, updated_at = $3
FROM unnest($1::uuid[], $2::text[]) AS k (store_id, number)
JOIN orders o ON o.store_id = k.store_id AND o.external_number = k.number
WHERE r.store_id = k.store_id AND r.original_external_number = k.number AND r.order_id IS NULL
RETURNING o.id, o.store_id, o.external_number`, stores, pq.Array(numbers), now)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var orders pgarray.UUIDs
	sales := map[uuid.UUID]key{}
	for found.Next() {
		var id uuid.UUID
		var k key
		if err := found.Scan(&id, &k.store, &k.number); err != nil {
			return nil, err
		}
		orders, sales[id] = append(orders, id), k
	}
	if err := found.Err(); err != nil || len(orders) == 0 {
		return nil, err
	}
	_ = found.Close()
	// Locked before they are counted: the statements below then see the returns
	// of whoever held the lock before.
	if _, err := tx.Exec(ctx, "SELECT FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", orders); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `
UPDATE orders o SET returned_amount = b.total, version = o.version + 1, updated_at = $2
FROM (SELECT order_id, sum(total_amount) AS total FROM order_returns WHERE order_id = ANY($1::uuid[]) AND status = 'refunded' GROUP BY order_id) b
WHERE o.id = b.order_id`, orders, now); err != nil {
		return nil, err
	}
	// Pieces brought back to a till fill what is left of the order's lines of the same
	// SKU, from the first on; other returns name their lines.
	if _, err = tx.Exec(ctx, `
UPDATE order_lines l SET returned_quantity = d.returned
FROM (
    SELECT l.id, l.direct + least(l.free, greatest(0, coalesce(b.pieces, 0)
               - (sum(l.free) OVER (PARTITION BY l.order_id, l.sku ORDER BY l.line_number) - l.free))) AS returned
    FROM (
        SELECT l.id, l.order_id, l.sku, l.line_number, n.direct, greatest(0, l.quantity - n.direct) AS free
        FROM order_lines l, LATERAL (
            SELECT coalesce(sum(rl.quantity), 0) AS direct FROM order_returns r JOIN order_return_lines rl ON rl.order_return_id = r.id
            WHERE r.order_id = l.order_id AND rl.order_line_id = l.id AND r.status <> 'rejected') n
        WHERE l.order_id = ANY($1::uuid[])
    ) l
    LEFT JOIN (
        SELECT r.order_id, rl.sku, sum(rl.quantity) AS pieces
        FROM order_returns r JOIN order_return_lines rl ON rl.order_return_id = r.id
        WHERE r.order_id = ANY($1::uuid[]) AND rl.order_line_id IS NULL GROUP BY r.order_id, rl.sku
    ) b ON b.order_id = l.order_id AND b.sku = l.sku
) d WHERE l.id = d.id AND l.returned_quantity <> d.returned`, orders); err != nil {
		return nil, err
	}
	exceeded, err := s.exceeded(ctx, tx, orders)
	if err != nil {
		return nil, err
	}
	for _, id := range exceeded {
		for _, r := range rows {
			t := r.ticket
			if k := sales[id]; k == t.key() || k == (key{t.StoreID, t.Original}) {
				r.result.ReturnExceeds = true
			}
		}
	}
	return orders, nil
}

// exceeded are those orders of which more money, or more pieces of some SKU,
// have come back than were sold.
func (s *Service) exceeded(ctx context.Context, tx *db.Tx, orders pgarray.UUIDs) ([]uuid.UUID, error) {
	rows, err := tx.Query(ctx, `
SELECT o.id FROM orders o
WHERE o.id = ANY($1::uuid[]) AND (o.returned_amount > o.total_amount OR EXISTS (
    SELECT FROM (
        SELECT rl.sku, sum(rl.quantity) AS pieces
        FROM order_returns r JOIN order_return_lines rl ON rl.order_return_id = r.id
        WHERE r.order_id = o.id GROUP BY rl.sku
    ) b WHERE b.pieces > (SELECT coalesce(sum(l.quantity), 0) FROM order_lines l WHERE l.order_id = o.id AND l.sku = b.sku)))`, orders)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

func columns(keys []key) (pgarray.UUIDs, []string) {
	stores, numbers := make(pgarray.UUIDs, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		stores[i], numbers[i] = k.store, k.number
	}
	return stores, numbers
}
