package catalog

import (
	"context"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func open(t *testing.T) (*Service, context.Context) {
	t.Helper()
	return openOn(t, pgtest.DB(t))
}

func openOn(t *testing.T, d *db.DB) (*Service, context.Context) {
	t.Helper()
	c, pages := clock.New(time.UTC), page.NewCodec([32]byte{1})
	people := customers.New(customers.Deps{DB: d, Clock: c, Keys: crypto.Generate(), Pages: pages})
	return New(Deps{DB: d, Clock: c, Pages: pages, Currency: "CNY", Customers: people}), auth.System(context.Background(), "test")
}

func refused(t *testing.T, err error, want *apperr.Definition, pointer string) {
	t.Helper()
	require.True(t, want.Is(err), "%v", err)
	require.NotEmpty(t, apperr.From(err).Fields)
	assert.Equal(t, pointer, apperr.From(err).Fields[0].Pointer)
}

func TestProductWithVariants(t *testing.T) {
	s, ctx := open(t)
	c, err := s.CreateCategory(ctx, " 小说 ", nil, nil)
	require.NoError(t, err)
	p, err := s.CreateProduct(ctx, ProductInput{
		Kind: "book", Title: "红楼梦", CategoryID: &c.ID, Book: &schema.Book{ISBN10: "702000220X"},
		Variants: []VariantInput{{SKU: "A", PriceAmount: 5970}, {SKU: "B", PriceAmount: 0, Options: map[string]string{"format": "精装"}}},
	})
	require.NoError(t, err)
	assert.Len(t, p.Edges.Variants, 2)
	assert.Equal(t, "9787020002207", *p.Isbn13)

	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", Variants: []VariantInput{{SKU: "C"}, {SKU: "A"}}})
	refused(t, err, ErrSKUTaken, "/variants/1/sku")
	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", Variants: []VariantInput{{SKU: "C"}, {SKU: "C"}}})
	refused(t, err, ErrSKURepeated, "/variants/1/sku")
	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", Book: &schema.Book{}})
	refused(t, err, ErrKindMismatch, "/book")
	nowhere := uuid.New()
	_, err = s.CreateProduct(ctx, ProductInput{Title: "x", CategoryID: &nowhere})
	refused(t, err, ErrCategoryUnknown, "/category_id")
	var n int
	require.NoError(t, s.db.QueryRow(ctx, "SELECT count(*) FROM products").Scan(&n))
	assert.Equal(t, 1, n, "nothing is half made")

	stale := `"7"`
	title := "红楼梦（下）"
	_, err = s.UpdateProduct(ctx, p.ID, &stale, ProductChange{Title: &title})
	assert.True(t, apperr.ErrVersionMismatch.Is(err))
	general := "general"
	changed, err := s.UpdateProduct(ctx, p.ID, nil, ProductChange{Title: &title, Kind: &general, CategoryID: nullable.NewNullNullable[uuid.UUID]()})
	require.NoError(t, err)
	assert.Equal(t, title, changed.Title)
	assert.Nil(t, changed.Book, "the part of the old kind goes")
	assert.Nil(t, changed.Isbn13)
	assert.Nil(t, changed.CategoryID)
	assert.Equal(t, p.Version+1, changed.Version)
	assert.Len(t, changed.Edges.Variants, 2)

	price := int64(4990)
	v, err := s.UpdateVariant(ctx, p.Edges.Variants[0].ID, nil, VariantChange{PriceAmount: &price, Barcode: nullable.NewNullableWithValue("6901234567892")})
	require.NoError(t, err)
	assert.Equal(t, price, v.PriceAmount)
	taken := "B"
	_, err = s.UpdateVariant(ctx, v.ID, nil, VariantChange{SKU: &taken})
	refused(t, err, ErrSKUTaken, "/sku")
	p, err = s.db.Commerce.Product.Get(ctx, p.ID)
	require.NoError(t, err)
	assert.Equal(t, changed.Version+1, p.Version, "a variant is part of its product's view")
}

func TestFindingProductsAndVariants(t *testing.T) {
	s, ctx := open(t)
	for i, title := range []string{"红楼梦", "水浒传", "Go 语言圣经", "红与黑", "100% Cotton"} {
		in := ProductInput{Title: title, Variants: []VariantInput{{SKU: title, Barcode: &title}}}
		if i == 0 {
			in.Kind, in.Book = "book", &schema.Book{ISBN13: "978-7-02-000220-7"}
		}
		_, err := s.CreateProduct(ctx, in)
		require.NoError(t, err)
	}
	titles := func(f ProductFilter) (out []string) {
		p, _, err := s.ListProducts(ctx, f)
		require.NoError(t, err)
		for _, item := range p.Items {
			out = append(out, item.Title)
		}
		return out
	}
	assert.Equal(t, []string{"红楼梦"}, titles(ProductFilter{Text: "红楼"}))
	assert.Equal(t, []string{"Go 语言圣经"}, titles(ProductFilter{Text: "go 语"}))
	assert.Equal(t, []string{"100% Cotton"}, titles(ProductFilter{Text: "00% c"}), "a per cent sign stands for itself")
	assert.Equal(t, []string{"红楼梦"}, titles(ProductFilter{ISBN: "702000220X"}))
	_, _, err := s.ListProducts(ctx, ProductFilter{ISBN: "9787020002208"})
	refused(t, err, ErrISBN, "?isbn")

	limit := int32(2)
	f := ProductFilter{Limit: &limit, Total: true}
	var all []string
	for {
		p, _, err := s.ListProducts(ctx, f)
		require.NoError(t, err)
		assert.Equal(t, int64(5), *p.Total)
		for _, item := range p.Items {
			all = append(all, item.Title)
			assert.Len(t, item.Edges.Variants, 1)
		}
		if f.Cursor = p.Next; p.Next == nil {
			break
		}
	}
	assert.Equal(t, []string{"100% Cotton", "红与黑", "Go 语言圣经", "水浒传", "红楼梦"}, all)

	for _, f := range []VariantFilter{{SKU: "红楼梦"}, {Barcode: "红楼梦"}, {ISBN: "9787020002207"}} {
		p, _, err := s.ListVariants(ctx, f)
		require.NoError(t, err)
		require.Len(t, p.Items, 1)
		assert.Equal(t, "红楼梦", p.Items[0].Sku)
	}
	one := int32(1)
	p, _, err := s.ListVariants(ctx, VariantFilter{Limit: &one, Total: true})
	require.NoError(t, err)
	assert.Len(t, p.Items, 1)
	assert.Equal(t, int64(5), *p.Total)
	p, _, err = s.ListVariants(ctx, VariantFilter{Limit: &one})
	require.NoError(t, err)
	assert.Nil(t, p.Total, "not asked for")
	nobody := uuid.New()
	_, _, err = s.ListVariants(ctx, VariantFilter{ProductID: &nobody})
	assert.True(t, ErrProductNotFound.Is(err))
}

func TestCategoryTree(t *testing.T) {
	s, ctx := open(t)
	made := map[string]*commerce.Category{}
	for _, c := range []struct{ name, parent string }{{"a", ""}, {"b", "a"}, {"c", "b"}} {
		var parent *uuid.UUID
		if c.parent != "" {
			parent = &made[c.parent].ID
		}
		var err error
		made[c.name], err = s.CreateCategory(ctx, c.name, parent, nil)
		require.NoError(t, err)
	}
	_, err := s.CreateCategory(ctx, "b", nil, nil)
	refused(t, err, ErrCategoryTaken, "/name")
	_, err = s.UpdateCategory(ctx, made["a"].ID, nil, nil, nullable.NewNullableWithValue(made["c"].ID), nil)
	refused(t, err, ErrCategoryCycle, "/parent_id")
	_, err = s.UpdateCategory(ctx, made["a"].ID, nil, nil, nullable.NewNullableWithValue(made["a"].ID), nil)
	refused(t, err, ErrCategoryCycle, "/parent_id")
	assert.True(t, ErrCategoryInUse.Is(s.DeleteCategory(ctx, made["b"].ID, nil)))
	moved, err := s.UpdateCategory(ctx, made["c"].ID, nil, nil, nullable.NewNullNullable[uuid.UUID](), nil)
	require.NoError(t, err)
	assert.Nil(t, moved.ParentID)
	require.NoError(t, s.DeleteCategory(ctx, made["b"].ID, nil))
	assert.True(t, ErrCategoryNotFound.Is(s.DeleteCategory(ctx, made["b"].ID, nil)))
}

// Eight transactions at once make the same unknown SKUs in different orders:
// one product each, and everybody gets the same variant.
func TestResolveSKUsIsRaceSafe(t *testing.T) {
	s, ctx := open(t)
	skus := []string{"S1", "S2", "S3", "S4", "S5"}
	var wg sync.WaitGroup
	results := make([]map[string]Variant, 8)
	for i := range results {
		wg.Go(func() {
			var needs []Need
			for j := range skus {
				needs = append(needs, Need{SKU: skus[(i+j)%len(skus)], Title: "T", Category: []string{"甲", "乙"}[j%2], UnitPrice: 100})
			}
			assert.NoError(t, s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
				results[i], err = s.ResolveSKUs(ctx, tx, needs, true)
				return err
			}))
		})
	}
	wg.Wait()
	for _, r := range results {
		assert.Len(t, r, len(skus))
		assert.Equal(t, results[0], r)
	}
	var products, variants, categories int
	require.NoError(t, s.db.QueryRow(ctx, "SELECT (SELECT count(*) FROM products), (SELECT count(*) FROM variants), (SELECT count(*) FROM categories)").Scan(&products, &variants, &categories))
	assert.Equal(t, []int{5, 5, 2}, []int{products, variants, categories})

	require.NoError(t, s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		found, err := s.ResolveSKUs(ctx, tx, []Need{{SKU: "S1"}, {SKU: "S9"}}, false)
		assert.Contains(t, found, "S1")
		assert.NotContains(t, found, "S9")
		return err
	}))
}
