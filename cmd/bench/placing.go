package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sort"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	_ "github.com/lib/pq" // the driver of the reference
)

// shelfSize is how many variants are sold; each store has plenty of each.
const shelfSize = 2000

// place: orders of three lines, paid in cash: priced, reserved in the store's
// stock, counted in the customer's metrics, audited, announced, idempotent.
func (w *world) place(ctx context.Context) error {
	heading("Orders: POST /v1/orders, 3 lines, paid, stock reserved, metrics, audit, event, idempotent, durable")
	if err := w.stockShelves(ctx); err != nil {
		return err
	}
	const most = 30_000
	run1 := time.Now().UnixNano()
	ours, bare := make([][]byte, most), make([][]byte, most)
	type m = map[string]any
	r := rand.New(rand.NewPCG(5, 6))
	for i := range ours {
		lines := make([]m, 3)
		first := r.IntN(shelfSize / 3)
		for k := range lines {
			lines[k] = m{"sku": fmt.Sprintf("SHELF-%d", first*3+k), "quantity": 1}
		}
		body, err := json.Marshal(m{"store_id": w.stores[r.IntN(storeCount)], "channel": "mini_program", "fulfilment": "pickup", "customer_id": w.customers[r.IntN(len(w.customers))],
			"lines": lines, "payments": []m{{"method": "cash", "amount": 3000}}})
		if err != nil {
			return err
		}
		ours[i] = request("POST", "/v1/orders", w.admin, body, fmt.Sprintf("Idempotency-Key: place-%d-%d", run1, i))
		bare[i] = request("POST", "/place", "", body, fmt.Sprintf("Idempotency-Key: bare-%d-%d", run1, i))
	}
	nextOurs, nextBare := once(ours), once(bare)
	// Into empty tables at first, unmeasured: a session that has met an empty table
	// looks its rows up by reading it whole until the next ANALYZE.
	for _, into := range []func() (result, error){
		func() (result, error) { return run(w.addr, w.o.conns, 2*time.Second, nextOurs) },
		func() (result, error) { return run(w.bareAdr, w.o.conns, 2*time.Second, nextBare) },
	} {
		if _, err := into(); err != nil {
			return err
		}
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	return w.versus("order placed", "bare Echo, the same writes by prepared SQL",
		func() (result, error) { return run(w.addr, w.o.conns, w.o.round, nextOurs) },
		func() (result, error) { return run(w.bareAdr, w.o.conns, w.o.round, nextBare) })
}

// stockShelves makes the variants and receives pieces of each in every store,
// once in the life of the bench's database.
func (w *world) stockShelves(ctx context.Context) error {
	send := func(path, key string, body any) error {
		raw, err := json.Marshal(body)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.addr+path, bytes.NewReader(raw))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+w.admin)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if res.StatusCode == http.StatusConflict && path == "/v1/products" { // from an earlier run
			return errStocked
		}
		if res.StatusCode >= 300 {
			return fmt.Errorf("POST %s: %s: %.500s", path, res.Status, answer)
		}
		return nil
	}
	type m = map[string]any
	for at := 0; at < shelfSize; at += 100 {
		variants := make([]m, 100)
		for i := range variants {
			variants[i] = m{"sku": fmt.Sprintf("SHELF-%d", at+i), "price_amount": 1000}
		}
		err := send("/v1/products", fmt.Sprintf("shelf-%d", at), m{"title": fmt.Sprintf("货架 %d", at), "variants": variants})
		if errors.Is(err, errStocked) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	for s, store := range w.stores {
		for at := 0; at < shelfSize; at += 200 {
			lines := make([]m, 200)
			for i := range lines {
				lines[i] = m{"sku": fmt.Sprintf("SHELF-%d", at+i), "quantity": 1_000_000}
			}
			if err := send("/v1/stock-movements", fmt.Sprintf("receipt-%d-%d", s, at), m{"store_id": store, "kind": "receipt", "lines": lines}); err != nil {
				return err
			}
		}
	}
	return nil
}

var errStocked = errors.New("stocked before")

// bareOrder is the reference that placing is measured against: the same rows by
// prepared statements, nothing else. It checks nothing but what the statements
// do: no permission, scope, contract, bad input, fields, price lists, or errors
// that say what to do.
func bareOrder(databaseURL string) (echo.HandlerFunc, error) {
	pool, err := sql.Open("postgres", databaseURL)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(16)
	pool.SetMaxIdleConns(16)
	prepare := func(query string) *sql.Stmt {
		if err != nil {
			return nil
		}
		var s *sql.Stmt
		s, err = pool.Prepare(query)
		return s
	}
	buyer := prepare("SELECT assigned_staff_id FROM customers WHERE id = $1 AND merged_into_id IS NULL FOR NO KEY UPDATE")
	price := prepare("SELECT v.id, p.title, p.category_id, v.price_amount FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = $1 AND v.status = 'active'")
	day := prepare(`INSERT INTO customer_days AS d (customer_id, day, order_count, unit_count, spent_amount, return_count, returned_amount) VALUES ($1, current_date, 1, $2, $3, 0, 0)
		ON CONFLICT (customer_id, day) DO UPDATE SET order_count = d.order_count + 1, unit_count = d.unit_count + $2, spent_amount = d.spent_amount + $3`)
	metrics := prepare(`INSERT INTO customer_metrics AS m (id, assigned_staff_id, first_order_on, last_order_on, order_count, purchase_days, unit_count, spent_amount, updated_at)
		VALUES ($1, $2, current_date, current_date, 1, 1, $3, $4, now())
		ON CONFLICT (id) DO UPDATE SET last_order_on = current_date, order_count = m.order_count + 1, unit_count = m.unit_count + $3, spent_amount = m.spent_amount + $4, updated_at = now()`)
	lock := prepare("SELECT on_hand - reserved FROM stock_levels WHERE store_id = $1 AND variant_id = $2 FOR UPDATE")
	reserve := prepare("UPDATE stock_levels SET reserved = reserved + $3, version = version + 1, updated_at = now() WHERE store_id = $1 AND variant_id = $2")
	head := prepare(`INSERT INTO orders (id, order_number, store_id, assigned_staff_id, customer_id, channel, status, fulfilment, currency, placed_at, business_day, line_count, unit_count,
		total_amount, paid_amount, paid_at, version, created_at, updated_at)
		VALUES ($1, 'O' || lpad(nextval('order_numbers')::text, 10, '0'), $2, $3, $4, 'mini_program', 'paid', 'pickup', 'CNY', now(), current_date, $5, $6, $7, $7, now(), 1, now(), now())`)
	line := prepare(`INSERT INTO order_lines (id, order_id, line_number, variant_id, category_id, sku, title, quantity, unit_price_amount, total_amount, reserved_quantity)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8)`)
	payment := prepare(`INSERT INTO order_payments (id, order_id, method, status, amount, currency, paid_at, created_at, updated_at) VALUES ($1, $2, 'cash', 'succeeded', $3, 'CNY', now(), now(), now())`)
	step := prepare(`INSERT INTO order_changes (id, order_id, action, to_status, actor_kind, details, created_at) VALUES ($1, $2, 'place', 'paid', 'system', '{}', now())`)
	note := prepare(`INSERT INTO audit_logs (id, created_at, actor_kind, actor_name, action, object_type, object_id, store_id) VALUES ($1, now(), 'system', 'bare', 'orders.place', 'order', $2, $3)`)
	event := prepare(`INSERT INTO outbox_events (id, type, subject_type, subject_id, store_id, payload, created_at, dispatched_at)
		SELECT gen_random_uuid(), t, 'order', $1, $2, $3::jsonb, now(), now() FROM unnest(ARRAY['order.placed', 'order.paid']) t`)
	answer := prepare(`INSERT INTO idempotency_keys (principal, key, fingerprint, status, response, created_at, expires_at) VALUES ('bare', $1, $2, 201, $3, now(), now() + interval '1 day')`)
	if err != nil {
		return nil, err
	}
	type body struct {
		StoreID    uuid.UUID `json:"store_id"`
		CustomerID uuid.UUID `json:"customer_id"`
		Lines      []struct {
			SKU      string `json:"sku"`
			Quantity int64  `json:"quantity"`
		}
	}
	type article struct {
		ID        uuid.UUID
		Category  uuid.NullUUID
		SKU       string
		Title     string
		Price, Of int64
	}
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		var in body
		if err := c.Bind(&in); err != nil {
			return err
		}
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
		do := func(s *sql.Stmt, args ...any) {
			if err == nil {
				_, err = tx.Stmt(s).ExecContext(ctx, args...)
			}
		}
		var assistant uuid.NullUUID
		if err := tx.Stmt(buyer).QueryRowContext(ctx, in.CustomerID).Scan(&assistant); err != nil {
			return err
		}
		all := make([]article, len(in.Lines))
		var units, total int64
		for i, l := range in.Lines {
			a := article{SKU: l.SKU, Of: l.Quantity}
			if err := tx.Stmt(price).QueryRowContext(ctx, l.SKU).Scan(&a.ID, &a.Title, &a.Category, &a.Price); err != nil {
				return err
			}
			all[i] = a
			units += l.Quantity
			total += l.Quantity * a.Price
		}
		do(day, in.CustomerID, units, total)
		do(metrics, in.CustomerID, assistant, units, total)
		sorted := append([]article(nil), all...)
		sort.Slice(sorted, func(i, k int) bool { return bytes.Compare(sorted[i].ID[:], sorted[k].ID[:]) < 0 })
		for _, a := range sorted {
			var available int64
			if err := tx.Stmt(lock).QueryRowContext(ctx, in.StoreID, a.ID).Scan(&available); err != nil {
				return err
			}
			if available < a.Of {
				return c.NoContent(http.StatusConflict)
			}
			do(reserve, in.StoreID, a.ID, a.Of)
		}
		id := uuid.Must(uuid.NewV7())
		do(head, id, in.StoreID, assistant, in.CustomerID, len(all), units, total)
		for i, a := range all {
			do(line, uuid.Must(uuid.NewV7()), id, i+1, a.ID, a.Category, a.SKU, a.Title, a.Of, a.Price, a.Of*a.Price)
		}
		do(payment, uuid.Must(uuid.NewV7()), id, total)
		do(step, uuid.Must(uuid.NewV7()), id)
		do(note, uuid.Must(uuid.NewV7()), id.String(), in.StoreID)
		out, _ := json.Marshal(map[string]any{"id": id, "total_amount": total, "lines": all}) // plain values
		do(event, id, in.StoreID, string(out))
		do(answer, c.Request().Header.Get("Idempotency-Key"), id[:], out)
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			return err
		}
		return c.JSONBlob(http.StatusCreated, out)
	}, nil
}
