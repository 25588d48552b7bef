package orders

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

const insertOrderSQL = `
WITH o AS (
    INSERT INTO orders (id, order_number, store_id, assigned_staff_id, staff_id, customer_id, channel, external_number, status, fulfilment, currency, placed_at, business_day,
                        line_count, unit_count, discount_amount, shipping_amount, total_amount, paid_amount, coupon_codes, private_sealed, custom_fields, pay_by, paid_at, completed_at,
                        exchange_of_id, version, created_at, updated_at)
    VALUES ($1, 'O' || lpad(nextval('order_numbers')::text, 10, '0'), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, 1, $26, $26)
    RETURNING id, order_number
), h AS (
    INSERT INTO order_changes (id, order_id, action, to_status, actor_kind, actor_id, reason, details, created_at)
    SELECT $27, id, 'place', $8, $28, $29, '', jsonb_build_object('total_amount', $17::bigint), $26 FROM o
)
SELECT order_number FROM o`

var insertPlacedLines = db.NewBatch(`
INSERT INTO order_lines (id, order_id, line_number, variant_id, category_id, sku, title, quantity, unit_price_amount, discount_amount, total_amount, tax_rate, price_list_id,
                         reserved_quantity, shipped_quantity, tier_code)
SELECT id, $16, number, variant, NULLIF(category, `+none+`), sku, title, quantity, price, discount, total, tax, NULLIF(list, `+none+`), reserved, shipped, NULLIF(tier, '') FROM {rows} ORDER BY n`,
	col("id", "uuid"), col("number", "bigint"), col("variant", "uuid"), col("category", "uuid"), col("sku", "text"), col("title", "text"), col("quantity", "bigint"), col("price", "bigint"),
	col("discount", "bigint"), col("total", "bigint"), col("tax", "bigint"), col("list", "uuid"), col("reserved", "bigint"), col("shipped", "bigint"), col("tier", "text"))

// insertOrder writes a new order with its lines, payments and first step.
func (s *Service) insertOrder(ctx context.Context, tx *db.Tx, p *placing) error {
	o := p.o
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	step, err := uuid.NewV7()
	if err != nil {
		return err
	}
	coupons, err := jsonOrNull(len(o.CouponCodes), o.CouponCodes)
	if err != nil {
		return err
	}
	fields, err := jsonOrNull(len(o.CustomFields), o.CustomFields)
	if err != nil {
		return err
	}
	err = tx.QueryRow(ctx, insertOrderSQL, o.ID, o.StoreID, o.AssignedStaffID, o.StaffID, o.CustomerID, string(o.Channel), o.ExternalNumber, string(o.Status), string(o.Fulfilment), o.Currency,
		o.PlacedAt, o.BusinessDay.Format(time.DateOnly), o.LineCount, o.UnitCount, o.DiscountAmount, o.ShippingAmount, o.TotalAmount, o.PaidAmount, coupons, o.PrivateSealed, fields,
		o.PayBy, o.PaidAt, o.CompletedAt, o.ExchangeOfID, o.CreatedAt, step, string(actor.Kind), orNil(actor.ID)).Scan(&o.OrderNumber)
	if err != nil {
		return err
	}
	if err := insertLines(ctx, tx, o.ID, o.Edges.Lines); err != nil {
		return err
	}
	return s.insertPaid(ctx, tx, o.Edges.Payments)
}

func insertLines(ctx context.Context, tx *db.Tx, orderID uuid.UUID, all []*commerce.OrderLine) error {
	if len(all) == 0 {
		return nil
	}
	n := len(all)
	ids, variants, categories, lists := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	skus, titles, tiers := make([]string, n), make([]string, n), make([]string, n)
	numbers, quantities, prices, discounts := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	totals, taxes, reserved, shipped := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, l := range all {
		ids[i], variants[i], skus[i], titles[i], tiers[i] = l.ID, l.VariantID, l.Sku, l.Title, opt.Value(l.TierCode)
		if l.CategoryID != nil {
			categories[i] = *l.CategoryID
		}
		if l.PriceListID != nil {
			lists[i] = *l.PriceListID
		}
		numbers[i], quantities[i], prices[i], discounts[i] = int64(l.LineNumber), l.Quantity, l.UnitPriceAmount, l.DiscountAmount
		totals[i], taxes[i], reserved[i], shipped[i] = l.TotalAmount, int64(l.TaxRate), l.ReservedQuantity, l.ShippedQuantity
	}
	_, err := tx.Exec(ctx, insertPlacedLines.SQL(n), ids, pq.Array(numbers), variants, categories, pq.Array(skus), pq.Array(titles), pq.Array(quantities), pq.Array(prices),
		pq.Array(discounts), pq.Array(totals), pq.Array(taxes), lists, pq.Array(reserved), pq.Array(shipped), pq.Array(tiers), orderID)
	return err
}

// insertPaid writes payments that were recorded.
func (s *Service) insertPaid(ctx context.Context, tx *db.Tx, all []*commerce.OrderPayment) error {
	n := len(all)
	if n == 0 {
		return nil
	}
	ids, orders := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	methods, references, amounts := make([]string, n), make([]string, n), make([]int64, n)
	for i, p := range all {
		ids[i], orders[i], methods[i], amounts[i] = p.ID, p.OrderID, p.Method, p.Amount
		if p.Reference != nil {
			references[i] = *p.Reference
		}
	}
	_, err := tx.Exec(ctx, insertRecorded.SQL(n), ids, orders, pq.Array(methods), pq.Array(amounts), pq.Array(references), s.currency, s.clock.Now())
	return err
}

var insertRecorded = db.NewBatch(`
INSERT INTO order_payments (id, order_id, method, status, amount, currency, reference, paid_at, created_at, updated_at)
SELECT id, head, method, 'succeeded', amount, $6, NULLIF(reference, ''), $7, $7, $7 FROM {rows} ORDER BY n`,
	col("id", "uuid"), col("head", "uuid"), col("method", "text"), col("amount", "bigint"), col("reference", "text"))
