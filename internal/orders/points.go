package orders

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturn"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/points"
)

// pointsMethod is the payment by points.
const pointsMethod = "points"

// payByPoints has a new order's points pay their part.
// Errors: ErrPointsNotYours, ErrPointsOfNobody, ErrDraftPaid, those of points.Worth.
func (s *Service) payByPoints(ctx context.Context, tx *db.Tx, p *placing) error {
	n := p.in.Points
	switch {
	case n == 0:
		return nil
	case p.o.CustomerID == nil:
		return ErrPointsOfNobody.At("/points_to_redeem")
	case p.in.Draft:
		return ErrDraftPaid.At("/points_to_redeem")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	if actor.Kind != auth.KindMember && !actor.Can(auth.PointsRedeem) {
		return ErrPointsNotYours.At("/points_to_redeem")
	}
	worth, err := s.points.Worth(ctx, tx, n, p.o.TotalAmount)
	if err != nil {
		return err
	}
	return addPayment(p.o, pointsMethod, worth, nil, s.clock.Now())
}

// byPoints is what points have paid of an order, and how much of that has been
// given back.
func byPoints(o *commerce.Order) (paid, back int64) {
	for _, p := range o.Edges.Payments {
		if p.Method == pointsMethod {
			paid += p.Amount
			back += p.RefundedAmount
		}
	}
	return paid, back
}

// settlePoints brings points to where a step has left an order: those that pay it,
// and those that it earns.
func (s *Service) settlePoints(ctx context.Context, tx *db.Tx, c *changing) error {
	o := c.o
	if o.CustomerID == nil {
		return nil
	}
	if dayOf(&c.was) != dayOf(o) || c.was.ReturnedAmount != o.ReturnedAmount { // what tiers go by
		if err := s.membership.Mark(ctx, tx, *o.CustomerID); err != nil {
			return err
		}
	}
	before, after := countsAs(c.was.Status), countsAs(o.Status)
	if paid, back := byPoints(o); paid > 0 && (before != after || len(c.refunds) > 0 || o.Status != c.was.Status) {
		if err := s.points.SettlePayments(ctx, tx, o.ID, after, paid, back); err != nil {
			return err
		}
	}
	settled := c.back != nil && c.back.Status == orderreturn.StatusRefunded
	if before == after && (!after || !c.lines && !settled && len(c.refunds) == 0) {
		return nil
	}
	as := earner{kept: before && settled} // former orders earn nothing because something comes back
	as.fresh = !before && c.was.PaidAt == nil
	return s.earn(ctx, tx, []uuid.UUID{o.ID}, as)
}

// earner says how orders come to earn: fresh ones for the first time, kept ones no
// more than they have.
type earner struct{ fresh, kept bool }

// purchasesSQL reads orders as far as they earn: what is left of their lines after
// what was refunded, by line where returns name one and else by pieces. Orders that
// do not count have no lines.
// Plan: orders_pkey, the lines by order; returns only where something came back.
const purchasesSQL = `
SELECT o.id, o.customer_id, o.store_id, o.channel, o.placed_at, coalesce(o.paid_at, o.placed_at), o.status,
       coalesce((SELECT sum(amount - refunded_amount) FROM order_payments p WHERE p.order_id = o.id AND p.method = 'points'), 0),
       coalesce(c.tier_code, ''), l.id, coalesce(l.category_id, ` + none + `), l.sku, l.total_amount, l.quantity, coalesce(b.worth, 0), greatest(0, l.returned_quantity - coalesce(b.pieces, 0))
FROM orders o JOIN customers c ON c.id = o.customer_id JOIN order_lines l ON l.order_id = o.id
LEFT JOIN LATERAL (
    SELECT sum(rl.total_amount) FILTER (WHERE r.status = 'refunded') AS worth, sum(rl.quantity) AS pieces
    FROM order_returns r JOIN order_return_lines rl ON rl.order_return_id = r.id
    WHERE r.order_id = o.id AND rl.order_line_id = l.id AND r.status <> 'rejected'
) b ON l.returned_quantity > 0
WHERE o.id = ANY((SELECT $1::uuid[])::uuid[]) ORDER BY o.id, l.line_number`

// earn has orders earn their points as they stand, all of whose customers are locked.
func (s *Service) earn(ctx context.Context, tx *db.Tx, ids []uuid.UUID, as earner) error {
	if len(ids) == 0 {
		return nil
	}
	if some, err := s.points.Earns(ctx, tx); err != nil || !some {
		return err
	}
	rows, err := tx.Query(ctx, purchasesSQL, pgarray.UUIDs(ids))
	if err != nil {
		return err
	}
	defer rows.Close()
	var all []points.Purchase
	for rows.Next() {
		var p points.Purchase
		var l points.PurchaseLine
		var status string
		var placed, earned time.Time
		var total, quantity, worth, pieces int64
		if err := rows.Scan(&p.OrderID, &p.CustomerID, &p.StoreID, &p.Channel, &placed, &earned, &status, &p.Paid, &p.Tier, &l.ID, &l.CategoryID, &l.SKU, &total, &quantity, &worth, &pieces); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].OrderID != p.OrderID {
			p.At, p.EarnedAt, p.New, p.Kept = placed, earned, as.fresh, as.kept
			all = append(all, p)
		}
		if countsAs(order.Status(status)) {
			l.Amount = max(0, total-worth-share(max(0, total), pieces, max(1, quantity)))
			last := &all[len(all)-1]
			last.Lines = append(last.Lines, l)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_ = rows.Close()
	return s.points.Earn(ctx, tx, all)
}

// earnTickets has tickets earn: sales that came in, and those of which something
// came back.
func (s *Service) earnTickets(ctx context.Context, tx *db.Tx, rows []*row, linked []uuid.UUID) error {
	if err := s.markBuyers(ctx, tx, rows, linked); err != nil {
		return err
	}
	sold := make([]uuid.UUID, 0, len(rows))
	for _, r := range rows {
		if r.orderID != uuid.Nil && r.customer.ID != uuid.Nil {
			sold = append(sold, r.orderID)
		}
	}
	if err := s.earn(ctx, tx, sold, earner{fresh: true}); err != nil {
		return err
	}
	return s.earn(ctx, tx, slices.DeleteFunc(linked, func(id uuid.UUID) bool { return slices.Contains(sold, id) }), earner{kept: true})
}

// markBuyers has the tiers of those reviewed who bought or brought back. Whose sale
// something is brought back of may not be who brings it; they are not locked, since who
// holds them may be waiting for their order, which this transaction has.
func (s *Service) markBuyers(ctx context.Context, tx *db.Tx, rows []*row, linked []uuid.UUID) error {
	buyers, err := customersOf(ctx, tx, linked)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.customer.ID != uuid.Nil {
			buyers = append(buyers, r.customer.ID)
		}
	}
	return s.membership.Mark(ctx, tx, buyers...)
}

// customersOf are those whose orders these are.
func customersOf(ctx context.Context, tx *db.Tx, orders []uuid.UUID) ([]uuid.UUID, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, "SELECT DISTINCT customer_id FROM orders WHERE id = ANY($1::uuid[]) AND customer_id IS NOT NULL", pgarray.UUIDs(orders))
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
