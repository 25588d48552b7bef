package catalog

import (
	"context"
	"strings"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers the catalogue's operations.
type API struct{ *Service }

var _ catalogapi.StrictServerInterface = API{}

// ListProducts implements listProducts.
func (a API) ListProducts(ctx context.Context, r catalogapi.ListProductsRequestObject) (catalogapi.ListProductsResponseObject, error) {
	p := r.Params
	found, facets, err := a.Service.ListProducts(ctx, ProductFilter{
		Text: strings.TrimSpace(opt.Value(p.Q)), CategoryID: p.CategoryId, Below: opt.Value(p.IncludeSubcategories), BrandID: p.BrandId,
		MinPrice: p.MinPriceAmount, MaxPrice: p.MaxPriceAmount, Season: opt.Value(p.Season), Fabric: opt.Value(p.Fabric), Colour: opt.Value(p.Colour), Size: opt.Value(p.Size), Author: opt.Value(p.Author),
		Language: opt.Value(p.Language), CLC: opt.Value(p.Clc), WorkID: opt.Value(p.WorkId), Sort: string(opt.Value(p.Sort)), Facets: opt.Value(p.Facets), Kind: string(opt.Value(p.Kind)), ISBN: opt.Value(p.Isbn), Status: string(opt.Value(p.Status)),
		Fields: opt.Value(p.CustomFields), Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil,
	})
	if err != nil {
		return nil, err
	}
	v, err := a.viewer(ctx)
	if err != nil {
		return nil, err
	}
	items := make([]catalogapi.Product, len(found.Items))
	for i, item := range found.Items {
		items[i] = v.product(item)
	}
	body := catalogapi.ProductList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
	if facets != nil {
		body.Facets = &catalogapi.ProductFacets{Complete: facets.Complete, Counts: each(facets.Counts, func(f Facet) catalogapi.ProductFacet {
			return catalogapi.ProductFacet{Property: catalogapi.ProductFacetProperty(f.Property), Value: f.Value, Label: f.Label, Count: f.Count}
		})}
	}
	return catalogapi.ListProducts200JSONResponse{
		Body:    body,
		Headers: catalogapi.ListProducts200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateProduct implements createProduct.
func (a API) CreateProduct(ctx context.Context, r catalogapi.CreateProductRequestObject) (catalogapi.CreateProductResponseObject, error) {
	p, err := a.Service.CreateProduct(ctx, fromAPIProduct(r.Body))
	if err != nil {
		return nil, err
	}
	v, err := a.viewer(ctx)
	if err != nil {
		return nil, err
	}
	return catalogapi.CreateProduct201JSONResponse{
		Body:    v.product(p),
		Headers: catalogapi.CreateProduct201ResponseHeaders{ETag: etag.Header(p.Version), Location: location("products", p.ID)},
	}, nil
}

// GetProduct implements getProduct.
func (a API) GetProduct(ctx context.Context, r catalogapi.GetProductRequestObject) (catalogapi.GetProductResponseObject, error) {
	p, err := a.db.From(ctx).Commerce.Product.Query().Where(product.ID(r.Id)).
		WithVariants(func(q *commerce.VariantQuery) { q.Order(variant.ByID()) }).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrProductNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	v, err := a.viewer(ctx)
	if err != nil {
		return nil, err
	}
	return catalogapi.GetProduct200JSONResponse{
		Body: v.product(p), Headers: catalogapi.GetProduct200ResponseHeaders{ETag: etag.Header(p.Version)},
	}, nil
}

// UpdateProduct implements updateProduct.
func (a API) UpdateProduct(ctx context.Context, r catalogapi.UpdateProductRequestObject) (catalogapi.UpdateProductResponseObject, error) {
	b := r.Body
	p, err := a.Service.UpdateProduct(ctx, r.Id, r.Params.IfMatch, ProductChange{
		Kind: (*string)(b.Kind), Title: b.Title, Description: b.Description, Brand: b.Brand, BrandID: b.BrandId, CategoryID: b.CategoryId, Status: (*string)(b.Status), TaxRate: b.TaxRate, Reason: opt.Value(b.Reason),
		Book: convert(b.Book, fromAPIBook), Apparel: convert(b.Apparel, fromAPIApparel),
		Fields: opt.Value(b.CustomFields), Attributes: convert(b.Attributes, func(m catalogapi.ProductAttributes) map[string]any { return m }),
	})
	if err != nil {
		return nil, err
	}
	v, err := a.viewer(ctx)
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateProduct200JSONResponse{
		Body: v.product(p), Headers: catalogapi.UpdateProduct200ResponseHeaders{ETag: etag.Header(p.Version)},
	}, nil
}

// ListProductVariants implements listProductVariants.
func (a API) ListProductVariants(ctx context.Context, r catalogapi.ListProductVariantsRequestObject) (catalogapi.ListProductVariantsResponseObject, error) {
	found, _, err := a.Service.ListVariants(ctx, VariantFilter{ProductID: &r.Id, Limit: r.Params.Limit, Cursor: r.Params.Cursor, Total: r.Params.Include != nil})
	if err != nil {
		return nil, err
	}
	return catalogapi.ListProductVariants200JSONResponse{
		Body: toAPIVariants(ctx, found), Headers: catalogapi.ListProductVariants200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateVariant implements createVariant.
func (a API) CreateVariant(ctx context.Context, r catalogapi.CreateVariantRequestObject) (catalogapi.CreateVariantResponseObject, error) {
	v, err := a.Service.CreateVariant(ctx, r.Id, fromAPIVariant(*r.Body))
	if err != nil {
		return nil, err
	}
	return catalogapi.CreateVariant201JSONResponse{
		Body:    toAPIVariant(v, readsCost(ctx)),
		Headers: catalogapi.CreateVariant201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("variants", v.ID)},
	}, nil
}

// ListVariants implements listVariants.
func (a API) ListVariants(ctx context.Context, r catalogapi.ListVariantsRequestObject) (catalogapi.ListVariantsResponseObject, error) {
	p := r.Params
	found, read, err := a.Service.ListVariants(ctx, VariantFilter{SKU: opt.Value(p.Sku), Barcode: opt.Value(p.Barcode), ISBN: opt.Value(p.Isbn), Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	body := toAPIVariants(ctx, found)
	if read != nil {
		body.Reading = &catalogapi.WeighedReading{ItemCode: read.Item, WeightGrams: opt.OrNull(read.WeightGram), PriceAmount: opt.OrNull(read.Price)}
	}
	return catalogapi.ListVariants200JSONResponse{
		Body: body, Headers: catalogapi.ListVariants200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetVariant implements getVariant.
func (a API) GetVariant(ctx context.Context, r catalogapi.GetVariantRequestObject) (catalogapi.GetVariantResponseObject, error) {
	v, err := a.db.From(ctx).Commerce.Variant.Get(ctx, r.Id)
	if commerce.IsNotFound(err) {
		return nil, ErrVariantNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return catalogapi.GetVariant200JSONResponse{
		Body: toAPIVariant(v, readsCost(ctx)), Headers: catalogapi.GetVariant200ResponseHeaders{ETag: etag.Header(v.Version)},
	}, nil
}

// UpdateVariant implements updateVariant.
func (a API) UpdateVariant(ctx context.Context, r catalogapi.UpdateVariantRequestObject) (catalogapi.UpdateVariantResponseObject, error) {
	b := r.Body
	v, err := a.Service.UpdateVariant(ctx, r.Id, r.Params.IfMatch, VariantChange{
		SKU: b.Sku, Barcode: b.Barcode, PriceAmount: b.PriceAmount, CostAmount: b.CostAmount, Status: (*string)(b.Status), Reason: opt.Value(b.Reason),
		Options: convert(b.Options, func(m catalogapi.VariantOptions) map[string]string { return m }),
	})
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateVariant200JSONResponse{
		Body: toAPIVariant(v, readsCost(ctx)), Headers: catalogapi.UpdateVariant200ResponseHeaders{ETag: etag.Header(v.Version)},
	}, nil
}

// ListCategories implements listCategories.
func (a API) ListCategories(ctx context.Context, r catalogapi.ListCategoriesRequestObject) (catalogapi.ListCategoriesResponseObject, error) {
	found, err := a.Service.ListCategories(ctx, r.Params.ParentId, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	items := make([]catalogapi.Category, len(found.Items))
	for i, c := range found.Items {
		items[i] = toAPICategory(c)
	}
	return catalogapi.ListCategories200JSONResponse{
		Body:    catalogapi.CategoryList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListCategories200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateCategory implements createCategory.
func (a API) CreateCategory(ctx context.Context, r catalogapi.CreateCategoryRequestObject) (catalogapi.CreateCategoryResponseObject, error) {
	c, err := a.Service.CreateCategory(ctx, r.Body.Name, r.Body.ParentId, r.Body.TaxRate)
	if err != nil {
		return nil, err
	}
	return catalogapi.CreateCategory201JSONResponse{
		Body: toAPICategory(c), Headers: catalogapi.CreateCategory201ResponseHeaders{ETag: etag.Header(c.Version), Location: location("categories", c.ID)},
	}, nil
}

// GetCategory implements getCategory.
func (a API) GetCategory(ctx context.Context, r catalogapi.GetCategoryRequestObject) (catalogapi.GetCategoryResponseObject, error) {
	c, err := a.db.From(ctx).Commerce.Category.Get(ctx, r.Id)
	if commerce.IsNotFound(err) {
		return nil, ErrCategoryNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return catalogapi.GetCategory200JSONResponse{Body: toAPICategory(c), Headers: catalogapi.GetCategory200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// UpdateCategory implements updateCategory.
func (a API) UpdateCategory(ctx context.Context, r catalogapi.UpdateCategoryRequestObject) (catalogapi.UpdateCategoryResponseObject, error) {
	c, err := a.Service.UpdateCategory(ctx, r.Id, r.Params.IfMatch, r.Body.Name, r.Body.ParentId, r.Body.TaxRate)
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateCategory200JSONResponse{Body: toAPICategory(c), Headers: catalogapi.UpdateCategory200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// DeleteCategory implements deleteCategory.
func (a API) DeleteCategory(ctx context.Context, r catalogapi.DeleteCategoryRequestObject) (catalogapi.DeleteCategoryResponseObject, error) {
	if err := a.Service.DeleteCategory(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return catalogapi.DeleteCategory204Response{}, nil
}
