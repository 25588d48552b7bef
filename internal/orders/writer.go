package orders

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/inventory"
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
	paid, given   moneys // payments of orders, refunds of returns
	days          []segments.DayDelta
	stock         []inventory.Ticket
}

// heads are the columns of orders or returns.
type heads struct {
	ids, stores, assistants, staff, customers pgarray.UUIDs
	numbers, originals, channels              []string
	at, days                                  []string
	lineCounts, unitCounts, totals            []int64
	discounts, paid                           []int64  // orders only
	fields, coupons                           []string // JSON, empty for none; orders only
}

// lines are the columns of order lines or return lines.
type lines struct {
	ids, heads, variants, categories               pgarray.UUIDs
	skus, titles                                   []string
	numbers, quantities, prices, discounts, totals []int64
	err                                            error
}

// moneys are the columns of payments or refunds.
type moneys struct {
	ids, heads pgarray.UUIDs
	methods    []string
	amounts    []int64
	at         []string
	err        error
}

func newWriter(currency string, now time.Time) *writer { return &writer{currency: currency, now: now} }

// exchangeCredit is the payment by goods that come back on the same ticket.
const exchangeCredit = "exchange_credit"

// add splits a ticket into an order and a return.
func (w *writer) add(r *row, variants map[string]catalog.Variant) {
	t := r.ticket
	sold, back := lineSums{}, lineSums{}
	for i := range t.Lines {
		l := &t.Lines[i]
		if isBack, pieces := t.back(l); isBack {
			w.backed.add(r.returnID, back.next(pieces, l), l, pieces, variants[l.SKU])
		} else {
			w.lines.add(r.orderID, sold.next(pieces, l), l, pieces, variants[l.SKU])
		}
	}
	delta := segments.DayDelta{CustomerID: r.customer.ID, Day: r.day}
	at := timeText(t.PlacedAt)
	if r.orderID != uuid.Nil {
		// A till that does not say how has been paid all the same.
		paid := sold.total
		if len(t.Payments) > 0 {
			paid = 0
			for _, p := range t.Payments {
				paid += p.Amount
				w.paid.add(r.orderID, p.Method, p.Amount, at)
			}
			if r.returnID != uuid.Nil && back.total > 0 {
				paid += back.total
				w.paid.add(r.orderID, exchangeCredit, back.total, at)
			}
		}
		w.orders.add(r.orderID, r, sold)
		w.orders.discounts, w.orders.paid = append(w.orders.discounts, sold.discount), append(w.orders.paid, paid)
		w.orders.fields = append(w.orders.fields, w.json(len(r.fields), r.fields))
		w.orders.coupons = append(w.orders.coupons, w.json(len(t.CouponCodes), t.CouponCodes))
		delta.Orders, delta.Units, delta.Spent = 1, sold.units, sold.total
	}
	if r.returnID != uuid.Nil {
		w.backs.add(r.returnID, r, back)
		if r.orderID == uuid.Nil {
			for _, p := range t.Payments {
				if p.Amount != 0 { // tills write what they gave back with either sign
					w.given.add(r.returnID, p.Method, max(p.Amount, -p.Amount), at)
				}
			}
		}
		delta.Returns, delta.Returned = 1, back.total
	}
	if r.customer.ID != uuid.Nil {
		w.days = append(w.days, delta)
	}
	if r.moves {
		w.stock = append(w.stock, r.stock(variants))
	}
}

// json is a value as text, empty where there is none.
func (w *writer) json(n int, value any) string {
	if n == 0 {
		return ""
	}
	raw, err := json.Marshal(value)
	if err != nil {
		w.lines.err = err
	}
	return string(raw)
}

// stock is what a ticket does to the stock of its store.
func (r *row) stock(variants map[string]catalog.Variant) inventory.Ticket {
	out := inventory.Ticket{StoreID: r.ticket.StoreID, OrderID: r.orderID, ReturnID: r.returnID, At: r.ticket.PlacedAt}
	for i := range r.ticket.Lines {
		l := &r.ticket.Lines[i]
		back, pieces := r.ticket.back(l)
		if back {
			pieces = -pieces
		}
		out.Lines = append(out.Lines, inventory.Piece{VariantID: variants[l.SKU].ID, Quantity: pieces})
	}
	return out
}

// lineSums adds up one head's lines.
type lineSums struct{ count, units, total, discount int64 }

func (s *lineSums) next(pieces int64, l *TicketLine) (number int64) {
	s.count++
	s.units += pieces
	s.total += pieces*l.UnitPrice - l.Discount
	s.discount += l.Discount
	return s.count
}

func (h *heads) add(id uuid.UUID, r *row, sums lineSums) {
	t := r.ticket
	h.ids, h.stores = append(h.ids, id), append(h.stores, t.StoreID)
	h.assistants, h.staff, h.customers = append(h.assistants, r.customer.AssignedStaffID), append(h.staff, t.StaffID), append(h.customers, r.customer.ID)
	h.numbers, h.originals, h.channels = append(h.numbers, t.Number), append(h.originals, t.Original), append(h.channels, t.Channel)
	h.at, h.days = append(h.at, timeText(t.PlacedAt)), append(h.days, r.day.String())
	h.lineCounts, h.unitCounts, h.totals = append(h.lineCounts, sums.count), append(h.unitCounts, sums.units), append(h.totals, sums.total)
}

func (m *moneys) add(head uuid.UUID, method string, amount int64, at string) {
	id, err := uuid.NewV7()
	if err != nil {
		m.err = err
	}
	m.ids, m.heads = append(m.ids, id), append(m.heads, head)
	m.methods, m.amounts, m.at = append(m.methods, method), append(m.amounts, amount), append(m.at, at)
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
	c.prices, c.discounts, c.totals = append(c.prices, l.UnitPrice), append(c.discounts, l.Discount), append(c.totals, pieces*l.UnitPrice-l.Discount)
}

const none = "'00000000-0000-0000-0000-000000000000'"

var (
	insertOrders = db.NewBatch(`
INSERT INTO orders (id, order_number, store_id, assigned_staff_id, staff_id, customer_id, channel, external_number, status, fulfilment, currency, placed_at, business_day,
                    line_count, unit_count, discount_amount, total_amount, paid_amount, returned_amount, coupon_codes, custom_fields, paid_at, completed_at, version, created_at, updated_at)
SELECT id, 'O' || lpad(nextval('order_numbers')::text, 10, '0'), store, NULLIF(assistant, `+none+`), NULLIF(staff, `+none+`), NULLIF(customer, `+none+`),
       channel, number, 'completed', 'taken', $17, at, day, line_count, unit_count, discount, total, paid, 0, NULLIF(coupons, '')::jsonb, NULLIF(fields, '')::jsonb, at, at, 1, $18, $18
FROM {rows} ORDER BY n`,
		col("id", "uuid"), col("store", "uuid"), col("assistant", "uuid"), col("staff", "uuid"), col("customer", "uuid"), col("channel", "text"), col("number", "text"),
		col("at", "timestamptz"), col("day", "date"), col("line_count", "bigint"), col("unit_count", "bigint"), col("total", "bigint"), col("discount", "bigint"),
		col("paid", "bigint"), col("fields", "text"), col("coupons", "text"))

	insertReturns = db.NewBatch(`
INSERT INTO order_returns (id, return_number, store_id, assigned_staff_id, staff_id, customer_id, external_number, original_external_number, status, currency,
                           returned_at, business_day, line_count, unit_count, total_amount, refunded_at, version, created_at, updated_at)
SELECT id, 'R' || lpad(nextval('return_numbers')::text, 10, '0'), store, NULLIF(assistant, `+none+`), NULLIF(staff, `+none+`), NULLIF(customer, `+none+`),
       number, NULLIF(original, ''), 'refunded', $13, at, day, line_count, unit_count, total, at, 1, $14, $14
FROM {rows} ORDER BY n`,
		col("id", "uuid"), col("store", "uuid"), col("assistant", "uuid"), col("staff", "uuid"), col("customer", "uuid"), col("original", "text"), col("number", "text"),
		col("at", "timestamptz"), col("day", "date"), col("line_count", "bigint"), col("unit_count", "bigint"), col("total", "bigint"))

	insertOrderLines = db.NewBatch(`
INSERT INTO order_lines (id, order_id, line_number, variant_id, category_id, sku, title, quantity, unit_price_amount, discount_amount, total_amount, shipped_quantity)
SELECT id, head, number, variant, NULLIF(category, `+none+`), sku, title, quantity, price, discount, total, quantity FROM {rows} ORDER BY n`, lineColumns...)

	insertReturnLines = db.NewBatch(`
INSERT INTO order_return_lines (id, order_return_id, line_number, variant_id, category_id, sku, title, quantity, unit_price_amount, total_amount)
SELECT id, head, number, variant, NULLIF(category, `+none+`), sku, title, quantity, price, total FROM {rows} ORDER BY n`, lineColumns...)

	lineColumns = []db.BatchColumn{col("id", "uuid"), col("head", "uuid"), col("number", "bigint"), col("variant", "uuid"), col("category", "uuid"), col("sku", "text"),
		col("title", "text"), col("quantity", "bigint"), col("price", "bigint"), col("discount", "bigint"), col("total", "bigint")}

	insertPayments = db.NewBatch(`
INSERT INTO order_payments (id, order_id, method, status, amount, currency, paid_at, created_at, updated_at)
SELECT id, head, method, 'succeeded', amount, $6, at, $7, $7 FROM {rows} ORDER BY n`, moneyColumns...)

	insertRefunds = db.NewBatch(`
INSERT INTO order_refunds (id, order_return_id, method, status, amount, currency, refunded_at, created_at, updated_at)
SELECT id, head, method, 'succeeded', amount, $6, at, $7, $7 FROM {rows} ORDER BY n`, moneyColumns...)

	moneyColumns = []db.BatchColumn{col("id", "uuid"), col("head", "uuid"), col("method", "text"), col("amount", "bigint"), col("at", "timestamptz")}
)

func col(name, kind string) db.BatchColumn { return db.BatchColumn{Name: name, Type: kind} }

// insert writes everything gathered: at most six statements.
func (w *writer) insert(ctx context.Context, tx *db.Tx) error {
	if o := &w.orders; len(o.ids) > 0 {
		if _, err := tx.Exec(ctx, insertOrders.SQL(len(o.ids)), o.ids, o.stores, o.assistants, o.staff, o.customers, pq.Array(o.channels), pq.Array(o.numbers),
			pq.Array(o.at), pq.Array(o.days), pq.Array(o.lineCounts), pq.Array(o.unitCounts), pq.Array(o.totals), pq.Array(o.discounts), pq.Array(o.paid),
			pq.Array(o.fields), pq.Array(o.coupons), w.currency, w.now); err != nil {
			return err
		}
	}
	if b := &w.backs; len(b.ids) > 0 {
		if _, err := tx.Exec(ctx, insertReturns.SQL(len(b.ids)), b.ids, b.stores, b.assistants, b.staff, b.customers, pq.Array(b.originals), pq.Array(b.numbers),
			pq.Array(b.at), pq.Array(b.days), pq.Array(b.lineCounts), pq.Array(b.unitCounts), pq.Array(b.totals), w.currency, w.now); err != nil {
			return err
		}
	}
	if err := w.lines.insert(ctx, tx, insertOrderLines); err != nil {
		return err
	}
	if err := w.backed.insert(ctx, tx, insertReturnLines); err != nil {
		return err
	}
	if err := w.paid.insert(ctx, tx, insertPayments, w); err != nil {
		return err
	}
	return w.given.insert(ctx, tx, insertRefunds, w)
}

func (m *moneys) insert(ctx context.Context, tx *db.Tx, query db.Batch, w *writer) error {
	if m.err != nil || len(m.ids) == 0 {
		return m.err
	}
	_, err := tx.Exec(ctx, query.SQL(len(m.ids)), m.ids, m.heads, pq.Array(m.methods), pq.Array(m.amounts), pq.Array(m.at), w.currency, w.now)
	return err
}

func (c *lines) insert(ctx context.Context, tx *db.Tx, query db.Batch) error {
	if c.err != nil || len(c.ids) == 0 {
		return c.err
	}
	_, err := tx.Exec(ctx, query.SQL(len(c.ids)), c.ids, c.heads, pq.Array(c.numbers), c.variants, c.categories, pq.Array(c.skus), pq.Array(c.titles),
		pq.Array(c.quantities), pq.Array(c.prices), pq.Array(c.discounts), pq.Array(c.totals))
	return err
}
