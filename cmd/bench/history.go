package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	"golang.org/x/sync/errgroup"
)

// importOrders: orders of former times, three lines each, by customers and of
// articles that there are, as a CSV through an upload and its job; and beside it
// the bare rows by COPY.
func (w *world) importOrders(ctx context.Context) error {
	heading(fmt.Sprintf("Orders of former times: a CSV of %d orders of 3 lines through POST /v1/imports and its job", w.o.orders))
	for at := 0; at < shelfSize; at += 100 {
		variants := make([]map[string]any, 100)
		for i := range variants {
			variants[i] = map[string]any{"sku": fmt.Sprintf("PAST-%d", at+i), "price_amount": 1000}
		}
		status, err := w.call(ctx, "POST", "/v1/products", w.key, map[string]any{"title": fmt.Sprintf("旧货 %d", at), "variants": variants}, nil)
		if err != nil || status != http.StatusCreated && status != http.StatusConflict { // of an earlier run
			return errors.Join(err, fmt.Errorf("products: status %d", status))
		}
	}
	batch := time.Now().Unix()
	r := rand.New(rand.NewPCG(7, uint64(batch)))
	var file bytes.Buffer
	file.WriteString("订单号,门店,下单时间,客户编号,SKU,数量,单价,支付方式\n")
	for i := range w.o.orders {
		store, number := r.IntN(storeCount), fmt.Sprintf("H%d-%d", batch, i)
		at := time.Now().Add(-time.Duration(r.IntN(3*365*24*60)) * time.Minute).Format(time.DateTime)
		for range 3 {
			fmt.Fprintf(&file, "%s,BENCH-%02d,%s,B-%d,PAST-%d,%d,%d.50,微信\n", number, store, at, i*7919%w.o.customers, r.IntN(shelfSize), 1+r.IntN(3), 10+r.IntN(90))
		}
	}
	for _, m := range []struct{ name, dryRun string }{{"dry run", "true"}, {"import", "false"}, {"the same again: all duplicates", "false"}} {
		if err := w.settle(ctx); err != nil {
			return err
		}
		id, uploaded, err := w.upload(ctx, map[string]string{"kind": "orders", "dry_run": m.dryRun}, file.Bytes())
		if err != nil {
			return err
		}
		var view struct {
			Status string
			Counts struct{ Records, Skipped, Failed int }
			JobID  string `json:"job_id"`
		}
		took, used, err := w.await(ctx, "/v1/imports/"+id, &view.Status, &view, &view.JobID)
		if err != nil {
			return err
		}
		if c := view.Counts; c.Records+c.Skipped/3 != w.o.orders {
			return fmt.Errorf("import %s: %+v", view.Status, c)
		}
		fmt.Printf("  %-52s %9.0f/s   %.1f s, upload %.2f s, heap ≤ %.0f MB, resident ≤ %.0f MB\n", m.name, float64(w.o.orders)/took.Seconds(), took.Seconds(), uploaded.Seconds(), used.heap, used.resident)
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	took, err := w.copyOrders(ctx, fmt.Sprintf("C%d", batch), min(w.o.orders, 100_000))
	if err != nil {
		return err
	}
	fmt.Printf("  %-52s %9.0f/s   %.1f s\n", "the bare rows by COPY, 1,000 orders a commit, twice", float64(min(w.o.orders, 100_000))/took.Seconds(), took.Seconds())
	return nil
}

// copyOrders writes the rows that orders are: order, lines, number, payment and
// day, over two connections. It looks nothing up and judges nothing.
func (w *world) copyOrders(ctx context.Context, prefix string, count int) (time.Duration, error) {
	pool, err := sql.Open("postgres", w.servers.AppURL)
	if err != nil {
		return 0, err
	}
	defer func() { _ = pool.Close() }()
	ids := func(query string) (out []string, err error) {
		rows, err := pool.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return nil, err
			}
			out = append(out, id)
		}
		return out, rows.Err()
	}
	variants, err := ids("SELECT id FROM variants WHERE sku LIKE 'PAST-%'")
	if err != nil {
		return 0, err
	}
	people, err := ids(fmt.Sprintf("SELECT id FROM customers ORDER BY external_id LIMIT %d", w.o.customers))
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range 2 {
		g.Go(func() error {
			for {
				from := int(next.Add(1000)) - 1000
				if from >= count {
					return nil
				}
				if err := w.copyBatch(ctx, pool, prefix, from, min(from+1000, count), variants, people); err != nil {
					return err
				}
			}
		})
	}
	err = g.Wait()
	return time.Since(began), err
}

func (w *world) copyBatch(ctx context.Context, pool *sql.DB, prefix string, from, to int, variants, people []string) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var orders, lines, tickets, payments [][]any
	days := [2][]string{}
	now := time.Now()
	for i := from; i < to; i++ {
		id, number := uuid.Must(uuid.NewV7()), fmt.Sprintf("%s-%d", prefix, i)
		store, buyer := w.stores[i%len(w.stores)], people[i*7919%len(people)]
		at := now.Add(-time.Duration(i*7919%(3*365*24*60)) * time.Minute)
		day := at.Format(time.DateOnly)
		orders = append(orders, []any{id, "X" + number, store, buyer, "pos", number, "completed", "taken", "CNY", at, day, 3, 6, 30000, 30000, at, at, 1, now, now})
		for n := 1; n <= 3; n++ {
			lines = append(lines, []any{uuid.Must(uuid.NewV7()), id, n, variants[(i*3+n*577)%len(variants)], fmt.Sprintf("PAST-%d", n), "旧货", 2, 5000, 0, 10000, 2})
		}
		tickets = append(tickets, []any{store, number, id[:], id, now})
		payments = append(payments, []any{uuid.Must(uuid.NewV7()), id, "wechat_pay", "succeeded", 30000, "CNY", at, now, now})
		days[0], days[1] = append(days[0], buyer), append(days[1], day)
	}
	for _, t := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"orders", []string{"id", "order_number", "store_id", "customer_id", "channel", "external_number", "status", "fulfilment", "currency", "placed_at", "business_day", "line_count",
			"unit_count", "total_amount", "paid_amount", "paid_at", "completed_at", "version", "created_at", "updated_at"}, orders},
		{"order_lines", []string{"id", "order_id", "line_number", "variant_id", "sku", "title", "quantity", "unit_price_amount", "discount_amount", "total_amount", "shipped_quantity"}, lines},
		{"pos_tickets", []string{"store_id", "external_number", "fingerprint", "order_id", "created_at"}, tickets},
		{"order_payments", []string{"id", "order_id", "method", "status", "amount", "currency", "paid_at", "created_at", "updated_at"}, payments},
	} {
		copying, err := tx.PrepareContext(ctx, pq.CopyIn(t.table, t.columns...))
		if err != nil {
			return err
		}
		for _, row := range t.rows {
			if _, err := copying.ExecContext(ctx, row...); err != nil {
				return err
			}
		}
		if _, err := copying.ExecContext(ctx); err != nil {
			return err
		}
		if err := copying.Close(); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO customer_days AS d (customer_id, day, order_count, unit_count, spent_amount)
		SELECT c, day, count(*), count(*) * 6, count(*) * 30000 FROM unnest($1::uuid[], $2::date[]) AS t (c, day) GROUP BY c, day ORDER BY c, day
		ON CONFLICT (customer_id, day) DO UPDATE SET order_count = d.order_count + EXCLUDED.order_count, unit_count = d.unit_count + EXCLUDED.unit_count,
			spent_amount = d.spent_amount + EXCLUDED.spent_amount`, pq.Array(days[0]), pq.Array(days[1])); err != nil {
		return err
	}
	return tx.Commit()
}
