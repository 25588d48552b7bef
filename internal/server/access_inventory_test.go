package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// shelf is a stock level of the cell's store, or of another one, with a
// reservation of one of its twenty pieces.
type shelf struct{ store, to, level, reservation, document, transfer, sent, count, handedIn uuid.UUID }

func (c *cell) shelf() shelf {
	switch c.object {
	case "store":
		return once(c.world, "shelf here", func() shelf { return c.newShelf(c.a) })
	case "other":
		return once(c.world, "shelf there", func() shelf { return c.newShelf(c.b) })
	default:
		return shelf{uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	}
}

func (w *world) newShelf(store uuid.UUID) shelf {
	s, p := shelf{store, w.store(w.region()), w.id(), w.id(), w.id(), w.id(), w.id(), w.id(), w.id()}, w.article()
	w.exec(`INSERT INTO stock_levels (id, store_id, variant_id, on_hand, reserved, incoming, damaged, version, created_at, updated_at)
		VALUES ($1, $2, $3, 20, 2, 5, 0, 1, now(), now())`, s.level, store, p.variant)
	w.exec("INSERT INTO stock_documents (id, store_id, origin, actor, line_count, created_at) VALUES ($1, $2, 'manual', 'x', 1, now())", s.document, store)
	w.exec(`INSERT INTO stock_movements (id, document_id, line_number, store_id, variant_id, kind, on_hand_change, on_hand_after, reason, occurred_at, created_at)
		VALUES ($1, $2, 1, $3, $4, 'receipt', 20, 20, '', now(), now())`, s.document, s.document, store, p.variant)
	w.exec(`INSERT INTO stock_reservations (id, store_id, status, expires_at, reference, version, created_at, updated_at)
		VALUES ($1, $2, 'open', now() + interval '1 day', '', 1, now(), now())`, s.reservation, store)
	w.exec(`INSERT INTO stock_transfers (id, from_store_id, to_store_id, status, note, version, created_at, updated_at)
		VALUES ($1, $2, $3, 'draft', '', 1, now(), now()), ($4, $3, $2, 'in_transit', '', 1, now(), now())`, s.transfer, store, s.to, s.sent)
	w.exec("INSERT INTO stock_transfer_lines (id, transfer_id, variant_id, quantity) VALUES ($1, $1, $3, 1), ($2, $2, $3, 1)", s.transfer, s.sent, p.variant)
	w.exec(`INSERT INTO stock_counts (id, store_id, status, note, version, created_at, updated_at)
		VALUES ($1, $2, 'open', '', 1, now(), now()), ($3, $2, 'submitted', '', 1, now(), now())`, s.count, store, s.handedIn)
	w.exec(`INSERT INTO stock_count_lines (id, count_id, variant_id, expected_quantity, counted_quantity, counted_at)
		VALUES ($1, $1, $3, 5, 6, now()), ($2, $2, $3, 5, 6, now())`, s.count, s.handedIn, p.variant)
	w.exec("INSERT INTO stock_reservation_lines (id, reservation_id, variant_id, quantity) VALUES ($1, $1, $2, 1)", s.reservation, p.variant)
	return s
}

// fresh is a shelf that nobody else touches.
func (c *cell) freshShelf() shelf {
	switch c.object {
	case "store":
		return c.newShelf(c.a)
	case "other":
		return c.newShelf(c.b)
	default:
		return c.shelf()
	}
}

func (c *cell) stockKey() []string { return []string{"Idempotency-Key", c.word("stock")} }

var inventoryProbes = map[string]probe{
	"listStockLevels": func(c *cell) byte {
		s := c.shelf()
		return among(c.do(http.MethodGet, "/v1/stock-levels?limit=200&store_id="+s.store.String(), nil), s.level)
	},
	"getStockLevel": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-levels/"+c.shelf().level.String(), nil))
	},
	"updateStockLevel": func(c *cell) byte {
		return judge(c.do(http.MethodPatch, "/v1/stock-levels/"+c.shelf().level.String(), map[string]any{"low_stock_threshold": 3}))
	},
	"listStockMovements": func(c *cell) byte {
		s := c.shelf()
		return among(c.do(http.MethodGet, "/v1/stock-movements?document_id="+s.document.String(), nil), s.document)
	},
	"createStockMovements": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-movements", map[string]any{"store_id": c.shelf().store, "kind": "receipt",
			"lines": []any{map[string]any{"sku": c.goods().sku, "quantity": 1}}}, c.stockKey()...))
	},
	"syncStockLevels": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-levels/sync", map[string]any{"store_id": c.shelf().store, "as_of": "2026-01-01T00:00:00Z",
			"lines": []any{map[string]any{"sku": c.goods().sku, "on_hand": 1}}}, c.stockKey()...))
	},
	"listStockReservations": func(c *cell) byte {
		s := c.freshShelf()
		return among(c.do(http.MethodGet, "/v1/stock-reservations?limit=200&store_id="+s.store.String(), nil), s.reservation)
	},
	"getStockReservation": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-reservations/"+c.shelf().reservation.String(), nil))
	},
	"createStockReservation": func(c *cell) byte {
		s := c.freshShelf()
		var sku string
		c.one(&sku, "SELECT coalesce((SELECT v.sku FROM stock_levels l JOIN variants v ON v.id = l.variant_id WHERE l.id = $1), $2)", s.level, c.goods().sku)
		return judge(c.do(http.MethodPost, "/v1/stock-reservations", map[string]any{"store_id": s.store, "lines": []any{map[string]any{"sku": sku, "quantity": 1}}}, c.stockKey()...))
	},
	"releaseStockReservation": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-reservations/"+c.freshShelf().reservation.String()+"/release", nil, c.stockKey()...))
	},
	"commitStockReservation": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-reservations/"+c.freshShelf().reservation.String()+"/commit", nil, c.stockKey()...))
	},
	"listStockTransfers": func(c *cell) byte {
		s := c.shelf()
		return among(c.do(http.MethodGet, "/v1/stock-transfers?limit=200&store_id="+s.to.String(), nil), s.sent)
	},
	"createStockTransfer": func(c *cell) byte {
		s := c.freshShelf()
		var sku string
		c.one(&sku, "SELECT coalesce((SELECT v.sku FROM stock_levels l JOIN variants v ON v.id = l.variant_id WHERE l.id = $1), $2)", s.level, c.goods().sku)
		return judge(c.do(http.MethodPost, "/v1/stock-transfers", map[string]any{"from_store_id": s.store, "to_store_id": c.a2, "lines": []any{map[string]any{"sku": sku, "quantity": 1}}}, c.stockKey()...))
	},
	"getStockTransfer": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-transfers/"+c.shelf().sent.String(), nil))
	},
	"shipStockTransfer": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-transfers/"+c.freshShelf().transfer.String()+"/ship", nil, c.stockKey()...))
	},
	"receiveStockTransfer": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-transfers/"+c.freshShelf().sent.String()+"/receive", map[string]any{}, c.stockKey()...))
	},
	"cancelStockTransfer": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-transfers/"+c.freshShelf().transfer.String()+"/cancel", nil, c.stockKey()...))
	},
	"listStockCounts": func(c *cell) byte {
		s := c.freshShelf()
		return among(c.do(http.MethodGet, "/v1/stock-counts?limit=200&store_id="+s.store.String(), nil), s.count)
	},
	"createStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts", map[string]any{"store_id": c.shelf().store}, c.stockKey()...))
	},
	"getStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-counts/"+c.shelf().count.String(), nil))
	},
	"listStockCountLines": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-counts/"+c.shelf().count.String()+"/lines", nil))
	},
	"addStockCountLines": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts/"+c.freshShelf().count.String()+"/lines", map[string]any{"lines": []any{map[string]any{"sku": c.goods().sku, "counted_quantity": 1}}}, c.stockKey()...))
	},
	"submitStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts/"+c.freshShelf().count.String()+"/submit", nil, c.stockKey()...))
	},
	"listStockAlerts": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/stock-alerts?store_id="+c.storeAt().String(), nil))
	},
	"listReorderSuggestions": func(c *cell) byte {
		return judge(c.do(http.MethodGet, "/v1/reorder-suggestions?store_id="+c.storeAt().String(), nil))
	},
	"approveStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts/"+c.freshShelf().handedIn.String()+"/approve", nil, c.stockKey()...))
	},
	"reopenStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts/"+c.freshShelf().handedIn.String()+"/reopen", nil, c.stockKey()...))
	},
	"cancelStockCount": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/stock-counts/"+c.freshShelf().count.String()+"/cancel", nil, c.stockKey()...))
	},
}
