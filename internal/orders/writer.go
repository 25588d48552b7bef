package orders

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/segments"
)

// writer gathers rows column by column, so that each table takes one statement
// of constant text however many rows there are.
type writer struct {
	currency      string
	now           time.Time
	orders, backs heads
	lines, backed lines
	days          []segments.DayDelta
}

// heads are the columns of orders or returns.
type heads struct {
	ids, stores, assistants, staff, customers pgarray.UUIDs
	numbers, originals, channels, payments    []string
	at, days                                  []string
	lineCounts, unitCounts, totals            []int64
	fields                                    []string // JSON, empty for none; orders only
}

// lines are the columns of order lines or return lines.
type lines struct {
	ids, heads, variants, categories    pgarray.UUIDs
	skus, titles                        []string
	numbers, quantities, prices, totals []int64
	err                                 error
}

func newWriter(currency string, now time.Time) *writer { return &writer{currency: currency, now: now} }

// add splits a ticket into an order and a return.
func (w *writer) add(r *row, variants map[string]catalog.Variant) {
	t := r.ticket
	sold, back := lineSums{}, lineSums{}
	for i := range t.Lines {
		l := &t.Lines[i]
		if isBack, pieces := t.back(l); isBack {
			w.backed.add(r.returnID, back.next(pieces, l.UnitPrice), l, pieces, variants[l.SKU])
		} else {
			w.lines.add(r.orderID, sold.next(pieces, l.UnitPrice), l, pieces, variants[l.SKU])
		}
	}
	payments := ""
	if len(t.Payments) > 0 {
		raw, err := json.Marshal(t.Payments)
		if err != nil {
			w.lines.err = err
		}
		payments = string(raw)
	}
	delta := segments.DayDelta{CustomerID: r.customer.ID, Day: r.day}
	if r.orderID != uuid.Nil {
		w.orders.add(r.orderID, r, sold, payments)
		custom := ""
		if len(r.fields) > 0 {
			raw, err := json.Marshal(r.fields)
			if err != nil {
				w.lines.err = err
			}
			custom = string(raw)
		}
		w.orders.fields = append(w.orders.fields, custom)
		delta.Orders, delta.Units, delta.Spent = 1, sold.units, sold.total
	}
	if r.returnID != uuid.Nil {
		w.backs.add(r.returnID, r, back, "")
		delta.Returns, delta.Returned = 1, back.total
	}
	if r.customer.ID != uuid.Nil {
		w.days = append(w.days, delta)
	}
}

// lineSums adds up one head's lines.
type lineSums struct{ count, units, total int64 }

func (s *lineSums) next(pieces, price int64) (number int64) {
	s.count++
	s.units += pieces
	s.total += pieces * price
	return s.count
}

func (h *heads) add(id uuid.UUID, r *row, sums lineSums, payments string) {
	t := r.ticket
	h.ids, h.stores = append(h.ids, id), append(h.stores, t.StoreID)
	h.assistants, h.staff, h.customers = append(h.assistants, r.customer.AssignedStaffID), append(h.staff, t.StaffID), append(h.customers, r.customer.ID)
	h.numbers, h.originals, h.channels = append(h.numbers, t.Number), append(h.originals, t.Original), append(h.channels, t.Channel)
	h.payments, h.at, h.days = append(h.payments, payments), append(h.at, timeText(t.PlacedAt)), append(h.days, r.day.String())
	h.lineCounts, h.unitCounts, h.totals = append(h.lineCounts, sums.count), append(h.unitCounts, sums.units), append(h.totals, sums.total)
}

func (c *lines) add(head uuid.UUID, number int64, l *TicketLine, pieces int64, v catalog.Variant) {
	id, err := uuid.NewV7()
	if err != nil {
		c.err = err
	}
	title := l.Title
	if title == "" {
		title = v.Title
	}
	c.ids, c.heads = append(c.ids, id), append(c.heads, head)
	c.variants, c.categories = append(c.variants, v.ID), append(c.categories, v.CategoryID)
	c.skus, c.titles = append(c.skus, l.SKU), append(c.titles, title)
	c.numbers, c.quantities = append(c.numbers, number), append(c.quantities, pieces)
	c.prices, c.totals = append(c.prices, l.UnitPrice), append(c.totals, pieces*l.UnitPrice)
}

const none = "'00000000-0000-0000-0000-000000000000'"

const insertOrdersSQL = `
INSERT INTO orders (id, order_number, store_id, assigned_staff_id, staff_id, customer_id, channel, external_number, status, currency, placed_at, business_day,
                    line_count, unit_count, total_amount, returned_amount, payments, custom_fields, version, created_at, updated_at)
SELECT id, 'O' || lpad(nextval('order_numbers')::text, 10, '0'), store, NULLIF(assistant, ` + none + `), NULLIF(staff, ` + none + `), NULLIF(customer, ` + none + `),
       channel, number, 'completed', $13, at, day, line_count, unit_count, total, 0, NULLIF(payments, '')::jsonb, NULLIF(fields, '')::jsonb, 1, $14, $14
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[], $9::date[], $10::bigint[], $11::bigint[],
            $12::bigint[], $15::text[], $16::text[])
     AS t (id, store, assistant, staff, customer, channel, number, at, day, line_count, unit_count, total, payments, fields)`

const insertReturnsSQL = `
INSERT INTO order_returns (id, return_number, store_id, assigned_staff_id, staff_id, customer_id, external_number, original_external_number, status, currency,
                           returned_at, business_day, line_count, unit_count, total_amount, version, created_at, updated_at)
SELECT id, 'R' || lpad(nextval('return_numbers')::text, 10, '0'), store, NULLIF(assistant, ` + none + `), NULLIF(staff, ` + none + `), NULLIF(customer, ` + none + `),
       number, NULLIF(original, ''), 'refunded', $13, at, day, line_count, unit_count, total, 1, $14, $14
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::timestamptz[], $9::date[], $10::bigint[], $11::bigint[],
            $12::bigint[])
     AS t (id, store, assistant, staff, customer, original, number, at, day, line_count, unit_count, total)`

func insertLinesSQL(table, head string) string {
	return `
INSERT INTO ` + table + ` (id, ` + head + `, line_number, variant_id, category_id, sku, title, quantity, unit_price_amount, total_amount)
SELECT id, head, number, variant, NULLIF(category, ` + none + `), sku, title, quantity, price, total
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[])
     AS t (id, head, number, variant, category, sku, title, quantity, price, total)`
}

var (
	insertOrderLinesSQL  = insertLinesSQL("order_lines", "order_id")
	insertReturnLinesSQL = insertLinesSQL("order_return_lines", "order_return_id")
)

// insert writes everything gathered: at most four statements.
func (w *writer) insert(ctx context.Context, tx *db.Tx) error {
	if o := &w.orders; len(o.ids) > 0 {
		if _, err := tx.Exec(ctx, insertOrdersSQL, o.ids, o.stores, o.assistants, o.staff, o.customers, pq.Array(o.channels), pq.Array(o.numbers),
			pq.Array(o.at), pq.Array(o.days), pq.Array(o.lineCounts), pq.Array(o.unitCounts), pq.Array(o.totals), w.currency, w.now, pq.Array(o.payments), pq.Array(o.fields)); err != nil {
			return err
		}
	}
	if b := &w.backs; len(b.ids) > 0 {
		if _, err := tx.Exec(ctx, insertReturnsSQL, b.ids, b.stores, b.assistants, b.staff, b.customers, pq.Array(b.originals), pq.Array(b.numbers),
			pq.Array(b.at), pq.Array(b.days), pq.Array(b.lineCounts), pq.Array(b.unitCounts), pq.Array(b.totals), w.currency, w.now); err != nil {
			return err
		}
	}
	if err := w.lines.insert(ctx, tx, insertOrderLinesSQL); err != nil {
		return err
	}
	return w.backed.insert(ctx, tx, insertReturnLinesSQL)
}

func (c *lines) insert(ctx context.Context, tx *db.Tx, query string) error {
	if c.err != nil || len(c.ids) == 0 {
		return c.err
	}
	_, err := tx.Exec(ctx, query, c.ids, c.heads, pq.Array(c.numbers), c.variants, c.categories, pq.Array(c.skus), pq.Array(c.titles),
		pq.Array(c.quantities), pq.Array(c.prices), pq.Array(c.totals))
	return err
}
