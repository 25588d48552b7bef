package catalog

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Need is a SKU somebody sells, with what to make of it if it is unknown.
type Need struct {
	SKU       string
	Title     string // empty: the SKU
	Category  string // name; empty: none
	UnitPrice int64  // minor units
}

// Variant is a variant with what a line copies from its product.
type Variant struct {
	ID         uuid.UUID
	CategoryID uuid.UUID // zero without category
	SKU        string
	Title      string
}

// ResolveSKUs finds the variants of all SKUs by one query. With create it makes
// products and variants for the unknown ones (the first need of a SKU decides
// their title, category and price); without, those are absent from the result.
//
// It is set-based and safe against another transaction that makes the same SKU
// at the same time: rows are inserted in SKU order, so two such transactions
// wait for each other but do not lock up, and the loser reads what won.
func (s *Service) ResolveSKUs(ctx context.Context, tx *db.Tx, needs []Need, create bool) (map[string]Variant, error) {
	found := make(map[string]Variant, len(needs))
	unknown := make(map[string]Need, len(needs))
	for _, n := range needs {
		if _, ok := unknown[n.SKU]; !ok {
			unknown[n.SKU] = n
		}
	}
	if err := findSKUs(ctx, tx, unknown, found); err != nil || !create || len(unknown) == 0 {
		return found, err
	}
	made, err := s.makeVariants(ctx, tx, unknown)
	if err != nil {
		return nil, err
	}
	if len(made) > 0 {
		// One entry for all: the products name their source themselves.
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.create_missing", ObjectType: "variant", ObjectID: made[0].String(),
			Changes: map[string]any{"variant_ids": made}})
	}
	return found, findSKUs(ctx, tx, unknown, found)
}

// findSKUs moves what exists from unknown to found.
// Plan: index scan on variants_sku_key, then on products_pkey.
func findSKUs(ctx context.Context, tx *db.Tx, unknown map[string]Need, found map[string]Variant) error {
	skus := make(pgarray.Strings, 0, len(unknown))
	for sku := range unknown {
		skus = append(skus, sku)
	}
	rows, err := tx.Query(ctx, `
SELECT v.sku, v.id, coalesce(p.category_id, '00000000-0000-0000-0000-000000000000'), p.title
FROM variants v JOIN products p ON p.id = v.product_id WHERE v.sku = ANY($1::text[])`, skus)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var v Variant
		if err := rows.Scan(&v.SKU, &v.ID, &v.CategoryID, &v.Title); err != nil {
			return err
		}
		found[v.SKU] = v
		delete(unknown, v.SKU)
	}
	return rows.Err()
}

// makeVariants inserts variants and their products in one statement: the
// foreign key is checked at its end, so variants go first and only those whose
// SKU was still free get a product.
const makeVariantsSQL = `
WITH need AS (
    SELECT n.*, c.id AS category_id
    FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::bigint[])
         AS n (sku, variant_id, product_id, title, category, price)
    LEFT JOIN categories c ON c.name = n.category
), won AS (
    INSERT INTO variants (id, product_id, sku, price_amount, status, version, created_at, updated_at)
    SELECT variant_id, product_id, sku, price, 'active', 1, $7, $7 FROM need ORDER BY sku
    ON CONFLICT (sku) DO NOTHING
    RETURNING id, product_id
), made AS (
    INSERT INTO products (id, kind, title, category_id, status, source, version, created_at, updated_at)
    SELECT product_id, 'general', title, category_id, 'active', 'pos', 1, $7, $7 FROM need JOIN won USING (product_id)
)
SELECT id FROM won`

func (s *Service) makeVariants(ctx context.Context, tx *db.Tx, unknown map[string]Need) ([]uuid.UUID, error) {
	needs := make([]Need, 0, len(unknown))
	for _, n := range unknown {
		needs = append(needs, n)
	}
	slices.SortFunc(needs, func(a, b Need) int { return strings.Compare(a.SKU, b.SKU) })
	if err := s.makeCategories(ctx, tx, needs); err != nil {
		return nil, err
	}
	n := len(needs)
	skus, titles, categories, prices := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	variantIDs, productIDs := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	for i, need := range needs {
		var err error
		if variantIDs[i], err = uuid.NewV7(); err != nil {
			return nil, err
		}
		if productIDs[i], err = uuid.NewV7(); err != nil {
			return nil, err
		}
		skus[i], titles[i], categories[i], prices[i] = need.SKU, orElse(need.Title, need.SKU), need.Category, need.UnitPrice
	}
	rows, err := tx.Query(ctx, makeVariantsSQL, pq.Array(skus), variantIDs, productIDs, pq.Array(titles), pq.Array(categories), pq.Array(prices), s.clock.Now())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var made []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		made = append(made, id)
	}
	return made, rows.Err()
}

// makeCategories inserts those named that do not exist, in name order.
func (s *Service) makeCategories(ctx context.Context, tx *db.Tx, needs []Need) error {
	seen := map[string]bool{"": true}
	var names []string
	for _, n := range needs {
		if !seen[n.Category] {
			seen[n.Category] = true
			names = append(names, n.Category)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	ids := make(pgarray.UUIDs, len(names))
	for i := range ids {
		var err error
		if ids[i], err = uuid.NewV7(); err != nil {
			return err
		}
	}
	rows, err := tx.Query(ctx, `
INSERT INTO categories (id, name, version, created_at, updated_at)
SELECT id, name, 1, $3, $3 FROM unnest($1::uuid[], $2::text[]) AS c (id, name)
WHERE NOT EXISTS (SELECT FROM categories o WHERE o.name = c.name) ORDER BY name
ON CONFLICT (name) DO NOTHING RETURNING id`, ids, pq.Array(names), s.clock.Now())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.category.create", ObjectType: "category", ObjectID: id.String(), Reason: "named on a ticket"})
	}
	return rows.Err()
}
