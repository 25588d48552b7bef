package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/pricelist"
	"github.com/shuke-crm/shuke/ent/commerce/pricelistentry"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// PriceContext is where, to whom and when something is sold. What is empty is
// unknown: no list that asks for it holds.
type PriceContext struct {
	StoreID uuid.UUID
	Channel string
	Tier    string // code
	At      time.Time
}

// PriceWant is how many pieces of a variant somebody wants, named by its id or,
// without one, by its SKU.
type PriceWant struct {
	VariantID uuid.UUID
	SKU       string
	Quantity  int64 // decides about prices from a quantity on
}

// Price is what a piece costs, with what a line copies. Amounts are in minor
// units of the business's currency.
type Price struct {
	VariantID   uuid.UUID // zero: there is no such variant, and all the rest is empty
	ProductID   uuid.UUID
	CategoryID  uuid.UUID // zero without category
	SKU         string
	Title       string
	Status      string // active; else it cannot be sold: draft, archived, of the variant or its product
	TaxRate     int32  // in hundredths of a percent: of the product, its category, or all
	Amount      int64
	OwnAmount   int64     // the variant's own price, where no list holds
	PriceListID uuid.UUID // zero: the own price
}

// Sellable tells whether a line may be made of it now.
func (p Price) Sellable() bool { return p.Status == "active" }

// pricesSQL finds the lists that hold here once, and for each variant the best
// entry in them: of the list with the highest priority, then of the one that
// asks for most, then the cheapest. Of several entries of one list the one from
// the largest quantity that is reached counts.
//
// Plan: price_lists_active_idx once (nothing of it is left without lists), for
// each want variants_pkey or variants_sku_key, products_pkey, categories_pkey and
// price_list_entries_key once a list. The arrays stand in queries of their own so
// that the planner cannot count them: plans for any number and for this one cost
// the same to it then, and it keeps the one that it need not make again.
const pricesSQL = `
WITH held AS MATERIALIZED (
    SELECT id, priority, (store_id IS NOT NULL)::int + (channel IS NOT NULL)::int + (tier IS NOT NULL)::int AS asks
    FROM price_lists
    WHERE status = 'active' AND (store_id IS NULL OR store_id = $4) AND (channel IS NULL OR channel = $5) AND (tier IS NULL OR tier = $6)
      AND (starts_at IS NULL OR starts_at <= $7) AND (ends_at IS NULL OR ends_at > $7)
)
SELECT w.n, v.id, v.product_id, coalesce(p.category_id, '00000000-0000-0000-0000-000000000000'), v.sku, p.title,
       CASE WHEN p.status = 'active' THEN v.status ELSE p.status END, coalesce(p.tax_rate, c.effective_tax_rate, (SELECT default_tax_rate FROM catalog_settings)), v.price_amount,
       coalesce(best.price_amount, v.price_amount), coalesce(best.id, '00000000-0000-0000-0000-000000000000')
FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::bigint[])) WITH ORDINALITY AS w (variant_id, sku, quantity, n)
CROSS JOIN LATERAL (
    SELECT id, product_id, sku, status, price_amount FROM variants WHERE id = w.variant_id
    UNION ALL
    SELECT id, product_id, sku, status, price_amount FROM variants WHERE w.sku <> '' AND variants.sku = w.sku
) v
JOIN products p ON p.id = v.product_id
LEFT JOIN categories c ON c.id = p.category_id
LEFT JOIN LATERAL (
    SELECT h.id, e.price_amount
    FROM held h CROSS JOIN LATERAL (
        SELECT price_amount FROM price_list_entries
        WHERE price_list_id = h.id AND variant_id = v.id AND min_quantity <= w.quantity
        ORDER BY min_quantity DESC LIMIT 1
    ) e
    ORDER BY h.priority DESC, h.asks DESC, e.price_amount, h.id LIMIT 1
) best ON true`

// Prices says what pieces cost in a context, by one statement, in the order of
// the wants. It locks nothing: a line keeps the price it was made with.
func (s *Service) Prices(ctx context.Context, tx *db.Tx, at PriceContext, wants []PriceWant) ([]Price, error) {
	return prices(ctx, tx.Clients, at, wants)
}

func prices(ctx context.Context, c *db.Clients, at PriceContext, wants []PriceWant) ([]Price, error) {
	at.At = at.At.Truncate(time.Microsecond) // PostgreSQL would round, and sell a moment too early
	n := len(wants)
	ids, skus, quantities := make(pgarray.UUIDs, n), make([]string, n), make([]int64, n)
	for i, w := range wants {
		if ids[i], quantities[i] = w.VariantID, w.Quantity; w.VariantID == uuid.Nil {
			skus[i] = w.SKU
		}
	}
	rows, err := c.Query(ctx, pricesSQL, ids, pq.Array(skus), pq.Array(quantities), at.StoreID, at.Channel, at.Tier, at.At)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make([]Price, n)
	for rows.Next() {
		var i int
		var p Price
		if err := rows.Scan(&i, &p.VariantID, &p.ProductID, &p.CategoryID, &p.SKU, &p.Title, &p.Status, &p.TaxRate, &p.OwnAmount, &p.Amount, &p.PriceListID); err != nil {
			return nil, err
		}
		out[i-1] = p
	}
	return out, rows.Err()
}

// Considered is a list that has a price of a variant, and what became of it.
type Considered struct {
	List    *commerce.PriceList
	Entry   *commerce.PriceListEntry
	Outcome string // won, outranked, or why it does not hold: inactive, not_yet, ended, other_store, other_channel, other_tier, quantity
}

// explainAtMost bounds how many entries an explanation names.
const explainAtMost = 500

// ExplainPrice says what a variant costs in a context and which lists were
// looked at, those that count first.
//
// Errors: ErrVariantNotFound.
func (s *Service) ExplainPrice(ctx context.Context, id uuid.UUID, quantity int64, at PriceContext) (Price, []Considered, error) {
	at.At = at.At.Truncate(time.Microsecond)
	clients := s.db.From(ctx)
	found, err := prices(ctx, clients, at, []PriceWant{{VariantID: id, Quantity: quantity}})
	if err != nil {
		return Price{}, nil, err
	}
	price := found[0]
	if price.VariantID == uuid.Nil {
		return Price{}, nil, ErrVariantNotFound.New()
	}
	entries, err := clients.Commerce.PriceListEntry.Query().Where(pricelistentry.VariantID(id)).WithPriceList().
		Order(pricelistentry.ByPriceListField(pricelist.FieldPriority), pricelistentry.ByID()).Limit(explainAtMost).All(ctx)
	if err != nil {
		return Price{}, nil, err
	}
	best := map[uuid.UUID]*commerce.PriceListEntry{}
	for _, e := range entries {
		if b := best[e.PriceListID]; b == nil || reaches(e, b, quantity) {
			best[e.PriceListID] = e
		}
	}
	out := make([]Considered, 0, len(best))
	for _, e := range best {
		c := Considered{e.Edges.PriceList, e, outcome(e.Edges.PriceList, e, quantity, at)}
		if c.Outcome == "" {
			c.Outcome = "outranked"
			if e.PriceListID == price.PriceListID {
				c.Outcome = "won"
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, byRank)
	return price, out, nil
}
