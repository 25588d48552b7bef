package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// ProductFilter narrows the list of products; empty parts do not.
type ProductFilter struct {
	Text       string // an identifier, or fragments of title, author, publisher, series, brand
	CategoryID *uuid.UUID
	Below      bool // and the categories below it
	BrandID    *uuid.UUID
	Kind       string
	ISBN       string
	Status     string
	MinPrice   *int64 // of any active variant
	MaxPrice   *int64
	Season     string
	Fabric     string
	Colour     string
	Size       string
	Author     string
	Language   string
	CLC        string // beginning of a code
	WorkID     string
	Fields     []string // custom fields, as "key:value"
	Sort       string   // -created_at (the default), created_at, price, -price
	Facets     bool
	Limit      *int32
	Cursor     *string
	Total      bool
}

// Facet counts products by one value of one property.
type Facet struct {
	Property, Value, Label string
	Count                  int64
}

// Facets are counts over what a search finds.
type Facets struct {
	Counts   []Facet
	Complete bool // else only the first facetsOver were counted
}

// facetsOver bounds over how many products facets are counted, and facetValues
// how many values of a property are told.
const (
	facetsOver  = 20_000
	facetValues = 20
)

// query is a search put together: conditions on product_search s.
type query struct {
	where []string
	args  []any
	terms bool // some of them by terms
}

// arg adds a value and names it.
func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *query) and(condition string) { q.where = append(q.where, condition) }

func (q *query) sql() string {
	if len(q.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(q.where, " AND ")
}

// sought is where a list of products stands.
type sought struct {
	ID    uuid.UUID `json:"id"`
	Price int64     `json:"p,omitempty"`
}

// ListProducts finds products with their variants.
//
// Terms of a text and of what is filtered by stand in one index, product_search_terms_idx.
// Statements are planned for their values, since PostgreSQL knows which terms are
// common (docs/plans/catalog-search.md).
//
// Errors: ErrISBN, ErrSearchShort, apperr.ErrBadCursor, those of customers.FieldsContain.
func (s *Service) ListProducts(ctx context.Context, f ProductFilter) (*page.Of[*commerce.Product], *Facets, error) {
	l := page.NewList("/v1/products", f.Limit)
	q, err := s.search(ctx, f, &l)
	if err != nil {
		return nil, nil, err
	}
	clients := s.db.From(ctx)
	out := &page.Of[*commerce.Product]{}
	if f.Total {
		var n int64
		if err := clients.QueryRowByValues(ctx, "SELECT count(*) FROM product_search s"+q.sql(), q.args...).Scan(&n); err != nil {
			return nil, nil, err
		}
		out.Total = &n
	}
	var facets *Facets
	if f.Facets {
		if facets, err = s.facets(ctx, q); err != nil {
			return nil, nil, err
		}
	}
	f.Sort = orElse(f.Sort, "-created_at")
	byPrice, down := strings.HasSuffix(f.Sort, "price"), strings.HasPrefix(f.Sort, "-")
	direction, beyond := "", ">"
	if down {
		direction, beyond = " DESC", "<"
	}
	var from sought
	more, err := s.pages.Decode(l.Name(), f.Cursor, &from)
	if err != nil {
		return nil, nil, err
	}
	order, window := " ORDER BY s.product_id"+direction, "product_search s"
	if byPrice {
		q.and("s.low_price IS NOT NULL")
		order = " ORDER BY s.low_price" + direction + ", s.product_id" + direction
	}
	if more && byPrice {
		q.and("(s.low_price, s.product_id) " + beyond + " (" + q.arg(from.Price) + ", " + q.arg(from.ID) + "::uuid)")
	} else if more {
		next := "s.product_id " + beyond + " " + q.arg(from.ID) + "::uuid"
		q.and(next)
		window += " WHERE " + next
	}
	limit := " LIMIT " + q.arg(l.Limit+1)
	var found []sought
	if q.terms && !byPrice {
		// What is common fills a page from the next few thousand products; for what
		// does not, the index of terms has few rows.
		window = fmt.Sprintf("(SELECT s.* FROM %s%s LIMIT %d) s", window, order, near)
		if found, err = seek(ctx, clients, "SELECT s.product_id, 0 FROM "+window+q.sql()+order+limit, q.args); err != nil {
			return nil, nil, err
		}
	}
	if len(found) <= l.Limit {
		if found, err = seek(ctx, clients, "SELECT s.product_id, coalesce(s.low_price, 0) FROM product_search s"+q.sql()+order+limit, q.args); err != nil {
			return nil, nil, err
		}
	}
	if found, more = page.Cut(found, l.Limit); more {
		last := found[len(found)-1]
		if !byPrice {
			last.Price = 0
		}
		next(s.pages, l, out, more, last)
	}
	ids := make([]uuid.UUID, len(found))
	for i, one := range found {
		ids[i] = one.ID
	}
	out.Items, err = clients.Commerce.Product.Query().Where(product.IDIn(ids...)).WithVariants(func(v *commerce.VariantQuery) { v.Order(variant.ByID()) }).All(ctx)
	if err != nil {
		return nil, nil, err
	}
	place := make(map[uuid.UUID]int, len(ids))
	for i, id := range ids {
		place[id] = i
	}
	slices.SortFunc(out.Items, func(a, b *commerce.Product) int { return place[a.ID] - place[b.ID] })
	return out, facets, nil
}

// near is how many products a search by terms looks at before it asks the index.
const near = 5000

func seek(ctx context.Context, clients *db.Clients, statement string, args []any) (out []sought, err error) {
	rows, err := clients.QueryByValues(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one sought
		if err := rows.Scan(&one.ID, &one.Price); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// belowSQL are the ids of a category and of all below it.
const belowSQL = `WITH RECURSIVE down AS (SELECT id FROM categories WHERE id = $1 UNION SELECT c.id FROM categories c JOIN down ON c.parent_id = down.id) SELECT id FROM down`

// search puts the conditions of a filter together and names them in the list.
func (s *Service) search(ctx context.Context, f ProductFilter, l *page.List) (*query, error) {
	q := &query{}
	var terms []string
	tag := func(name, prefix, value string) {
		if value != "" {
			l.Filters.Set(name, value)
			terms = append(terms, prefix+"="+foldText(value))
		}
	}
	if f.Text != "" {
		l.Filters.Set("q", f.Text)
		ids, err := s.identified(ctx, f.Text)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			q.and("s.product_id = ANY(" + q.arg(pgarray.UUIDs(ids)) + "::uuid[])")
		} else {
			words := strings.Fields(foldText(f.Text))
			for _, w := range words {
				terms = append(terms, fragmentTerms(w)...)
				q.and("s.text LIKE " + q.arg(like(w)))
			}
			if len(terms) == 0 {
				return nil, ErrSearchShort.At("?q")
			}
		}
	}
	tag("season", "s", f.Season)
	tag("fabric", "m", f.Fabric)
	tag("colour", "c", f.Colour)
	tag("size", "z", f.Size)
	tag("author", "a", f.Author)
	tag("language", "l", f.Language)
	if f.CLC != "" {
		l.Filters.Set("clc", f.CLC)
		terms = append(terms, "f="+f.CLC)
	}
	if f.WorkID != "" {
		l.Filters.Set("work_id", f.WorkID)
		terms = append(terms, "w="+f.WorkID)
	}
	if q.terms = len(terms) > 0; q.terms {
		q.and("s.terms @> " + q.arg(pgarray.Strings(terms)) + "::text[]")
	}
	if f.CategoryID != nil {
		l.Filters.Set("category_id", f.CategoryID.String())
		ids := pgarray.UUIDs{*f.CategoryID}
		if f.Below {
			l.Filters.Set("include_subcategories", "true")
			rows, err := s.db.From(ctx).Query(ctx, belowSQL, *f.CategoryID)
			if err != nil {
				return nil, err
			}
			defer rows.Close()
			for rows.Next() {
				var id uuid.UUID
				if err := rows.Scan(&id); err != nil {
					return nil, err
				}
				ids = append(ids, id)
			}
			if err := rows.Err(); err != nil {
				return nil, err
			}
		}
		q.and("s.category_id = ANY(" + q.arg(ids) + "::uuid[])")
	}
	if f.BrandID != nil {
		l.Filters.Set("brand_id", f.BrandID.String())
		q.and("s.brand_id = " + q.arg(*f.BrandID))
	}
	if f.Kind != "" {
		l.Filters.Set("kind", f.Kind)
		q.and("s.kind = " + q.arg(f.Kind))
	}
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.and("s.status = " + q.arg(f.Status))
	}
	if f.MinPrice != nil {
		l.Filters.Set("min_price_amount", fmt.Sprint(*f.MinPrice))
		q.and("s.high_price >= " + q.arg(*f.MinPrice))
	}
	if f.MaxPrice != nil {
		l.Filters.Set("max_price_amount", fmt.Sprint(*f.MaxPrice))
		q.and("s.low_price <= " + q.arg(*f.MaxPrice))
	}
	if f.ISBN != "" {
		isbn, ok := ParseISBN(f.ISBN)
		if !ok {
			return nil, ErrISBN.At("?isbn")
		}
		l.Filters.Set("isbn", isbn.Thirteen)
		q.and("s.product_id IN (SELECT id FROM products WHERE isbn13 = " + q.arg(isbn.Thirteen) + ")")
	}
	contained, err := s.customers.FieldsContain(ctx, customers.OfProduct, f.Fields)
	if err != nil {
		return nil, err
	}
	for i, one := range contained {
		l.Filters.Add("custom_fields", f.Fields[i])
		q.and("s.product_id IN (SELECT id FROM products WHERE custom_fields IS NOT NULL AND custom_fields @> " + q.arg(one) + "::jsonb)")
	}
	if f.Sort != "" {
		l.Filters.Set("sort", f.Sort)
	}
	return q, nil
}

// identified finds the products that a text names by a SKU, a barcode or an ISBN.
func (s *Service) identified(ctx context.Context, text string) ([]uuid.UUID, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsFunc(text, han) {
		return nil, nil
	}
	ids, _, err := s.byCode(ctx, text)
	if err != nil {
		return nil, err
	}
	var out []uuid.UUID
	err = s.db.From(ctx).Commerce.Variant.Query().Where(variant.Or(variant.Sku(text), variant.IDIn(ids...))).Unique(true).Limit(1000).
		Select(variant.FieldProductID).Scan(ctx, &out)
	return out, err
}

// facets counts what a search finds by what it can be narrowed by.
func (s *Service) facets(ctx context.Context, q *query) (*Facets, error) {
	rows, err := s.db.From(ctx).QueryByValues(ctx, `
WITH found AS MATERIALIZED (SELECT s.kind, s.category_id, s.brand_id, s.terms FROM product_search s`+q.sql()+` LIMIT `+fmt.Sprint(facetsOver)+`),
counted AS (
    SELECT 'kind' AS property, kind AS value, count(*) AS n FROM found GROUP BY kind
    UNION ALL SELECT 'category', category_id::text, count(*) FROM found WHERE category_id IS NOT NULL GROUP BY category_id
    UNION ALL SELECT 'brand', brand_id::text, count(*) FROM found WHERE brand_id IS NOT NULL GROUP BY brand_id
    UNION ALL SELECT CASE left(term, 1) WHEN 's' THEN 'season' WHEN 'm' THEN 'fabric' WHEN 'c' THEN 'colour' WHEN 'z' THEN 'size' WHEN 'a' THEN 'author' ELSE 'language' END, substr(term, 3), count(*)
    FROM found, unnest(terms) term WHERE substr(term, 2, 1) = '=' AND left(term, 1) IN ('s', 'm', 'c', 'z', 'a', 'l') GROUP BY term
), ranked AS (SELECT *, row_number() OVER (PARTITION BY property ORDER BY n DESC, value) AS place FROM counted)
SELECT property, value, coalesce(b.name, c.name, value), n, (SELECT count(*) FROM found)
FROM ranked LEFT JOIN brands b ON property = 'brand' AND b.id::text = value LEFT JOIN categories c ON property = 'category' AND c.id::text = value
WHERE place <= `+fmt.Sprint(facetValues)+` ORDER BY property, place`, q.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := &Facets{Complete: true}
	for rows.Next() {
		var f Facet
		var over int64
		if err := rows.Scan(&f.Property, &f.Value, &f.Label, &f.Count, &over); err != nil {
			return nil, err
		}
		out.Counts, out.Complete = append(out.Counts, f), over < facetsOver
	}
	return out, rows.Err()
}
