package catalog

import (
	"context"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListBrands implements listBrands.
func (a API) ListBrands(ctx context.Context, r catalogapi.ListBrandsRequestObject) (catalogapi.ListBrandsResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListBrands(ctx, opt.Value(p.Q), p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListBrands200JSONResponse{
		Body:    catalogapi.BrandList{Items: each(found.Items, toAPIBrand), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListBrands200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateBrand implements createBrand.
func (a API) CreateBrand(ctx context.Context, r catalogapi.CreateBrandRequestObject) (catalogapi.CreateBrandResponseObject, error) {
	b, err := a.Service.CreateBrand(ctx, r.Body.Name, opt.Value(r.Body.Description))
	if err != nil {
		return nil, err
	}
	return catalogapi.CreateBrand201JSONResponse{Body: toAPIBrand(b), Headers: catalogapi.CreateBrand201ResponseHeaders{ETag: etag.Header(b.Version), Location: location("brands", b.ID)}}, nil
}

// GetBrand implements getBrand.
func (a API) GetBrand(ctx context.Context, r catalogapi.GetBrandRequestObject) (catalogapi.GetBrandResponseObject, error) {
	b, err := a.db.From(ctx).Commerce.Brand.Get(ctx, r.Id)
	if commerce.IsNotFound(err) {
		return nil, ErrBrandNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return catalogapi.GetBrand200JSONResponse{Body: toAPIBrand(b), Headers: catalogapi.GetBrand200ResponseHeaders{ETag: etag.Header(b.Version)}}, nil
}

// UpdateBrand implements updateBrand.
func (a API) UpdateBrand(ctx context.Context, r catalogapi.UpdateBrandRequestObject) (catalogapi.UpdateBrandResponseObject, error) {
	b, err := a.Service.UpdateBrand(ctx, r.Id, r.Params.IfMatch, r.Body.Name, r.Body.Description)
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateBrand200JSONResponse{Body: toAPIBrand(b), Headers: catalogapi.UpdateBrand200ResponseHeaders{ETag: etag.Header(b.Version)}}, nil
}

// DeleteBrand implements deleteBrand.
func (a API) DeleteBrand(ctx context.Context, r catalogapi.DeleteBrandRequestObject) (catalogapi.DeleteBrandResponseObject, error) {
	if err := a.Service.DeleteBrand(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return catalogapi.DeleteBrand204Response{}, nil
}

// ListSizeSystems implements listSizeSystems.
func (a API) ListSizeSystems(ctx context.Context, r catalogapi.ListSizeSystemsRequestObject) (catalogapi.ListSizeSystemsResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListSizeSystems(ctx, p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListSizeSystems200JSONResponse{
		Body:    catalogapi.ApparelSizeSystemList{Items: each(found.Items, toAPISizes), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListSizeSystems200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateSizeSystem implements createSizeSystem.
func (a API) CreateSizeSystem(ctx context.Context, r catalogapi.CreateSizeSystemRequestObject) (catalogapi.CreateSizeSystemResponseObject, error) {
	z, err := a.Service.CreateSizeSystem(ctx, SizeSystemInput{Code: &r.Body.Code, Name: &r.Body.Name, Labels: r.Body.Labels})
	if err != nil {
		return nil, err
	}
	return catalogapi.CreateSizeSystem201JSONResponse{Body: toAPISizes(z), Headers: catalogapi.CreateSizeSystem201ResponseHeaders{ETag: etag.Header(z.Version), Location: location("size-systems", z.ID)}}, nil
}

// GetSizeSystem implements getSizeSystem.
func (a API) GetSizeSystem(ctx context.Context, r catalogapi.GetSizeSystemRequestObject) (catalogapi.GetSizeSystemResponseObject, error) {
	z, err := a.db.From(ctx).Commerce.SizeSystem.Get(ctx, r.Id)
	if commerce.IsNotFound(err) {
		return nil, ErrSizeSystemNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return catalogapi.GetSizeSystem200JSONResponse{Body: toAPISizes(z), Headers: catalogapi.GetSizeSystem200ResponseHeaders{ETag: etag.Header(z.Version)}}, nil
}

// UpdateSizeSystem implements updateSizeSystem.
func (a API) UpdateSizeSystem(ctx context.Context, r catalogapi.UpdateSizeSystemRequestObject) (catalogapi.UpdateSizeSystemResponseObject, error) {
	z, err := a.Service.UpdateSizeSystem(ctx, r.Id, r.Params.IfMatch, SizeSystemInput{Code: r.Body.Code, Name: r.Body.Name, Labels: opt.Value(r.Body.Labels)})
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateSizeSystem200JSONResponse{Body: toAPISizes(z), Headers: catalogapi.UpdateSizeSystem200ResponseHeaders{ETag: etag.Header(z.Version)}}, nil
}

// DeleteSizeSystem implements deleteSizeSystem.
func (a API) DeleteSizeSystem(ctx context.Context, r catalogapi.DeleteSizeSystemRequestObject) (catalogapi.DeleteSizeSystemResponseObject, error) {
	if err := a.Service.DeleteSizeSystem(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return catalogapi.DeleteSizeSystem204Response{}, nil
}

// GetProductMatrix implements getProductMatrix.
func (a API) GetProductMatrix(ctx context.Context, r catalogapi.GetProductMatrixRequestObject) (catalogapi.GetProductMatrixResponseObject, error) {
	m, err := a.Matrix(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	cost := readsCost(ctx)
	columns := []schema.OptionValue{{}}
	out := catalogapi.ProductMatrix{ProductId: m.Product.ID, Title: m.Product.Title, RowOption: opt.OrNull(nonEmpty(m.Rows.Name)), ColumnOption: opt.OrNull[string](nil), Columns: []string{}}
	if m.Columns != nil {
		columns = m.Columns.Values
		out.ColumnOption = opt.OrNull(&m.Columns.Name)
		out.Columns = each(columns, func(v schema.OptionValue) string { return v.Value })
	}
	out.Rows = each(m.Rows.Values, func(row schema.OptionValue) catalogapi.MatrixRow {
		return catalogapi.MatrixRow{Value: row.Value, Cells: each(columns, func(c schema.OptionValue) catalogapi.MatrixCell {
			return catalogapi.MatrixCell{Column: c.Value, Variants: each(m.Cells[[2]string{row.Value, c.Value}], func(v *commerce.Variant) catalogapi.Variant { return toAPIVariant(v, cost) })}
		})}
	})
	return catalogapi.GetProductMatrix200JSONResponse(out), nil
}

func toAPIBrand(b *commerce.Brand) catalogapi.Brand {
	return catalogapi.Brand{Id: b.ID, Name: b.Name, Description: b.Description, Version: b.Version, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC()}
}

func toAPISizes(z *commerce.SizeSystem) catalogapi.ApparelSizeSystem {
	return catalogapi.ApparelSizeSystem{Id: z.ID, Code: z.Code, Name: z.Name, Labels: z.Labels, Version: z.Version, CreatedAt: z.CreatedAt.UTC(), UpdatedAt: z.UpdatedAt.UTC()}
}

func toAPIApparel(a schema.Apparel) catalogapi.Apparel {
	out := catalogapi.Apparel{Season: nonEmpty(a.Season), Style: nonEmpty(a.Style), Fabric: nonEmpty(a.Fabric), SizeSystem: nonEmpty(a.SizeSystem)}
	if len(a.Colours) > 0 {
		colours := each(a.Colours, func(c schema.Colour) catalogapi.ApparelColour {
			return catalogapi.ApparelColour{Name: c.Name, Code: nonEmpty(c.Code), Family: nonEmpty(c.Family)}
		})
		out.Colours = &colours
	}
	if a.SizeChart != nil {
		out.SizeChart = &catalogapi.SizeChart{Columns: a.SizeChart.Columns, Rows: each(a.SizeChart.Rows, func(r schema.SizeRow) catalogapi.SizeRow {
			return catalogapi.SizeRow{Size: r.Size, Values: r.Values}
		})}
	}
	return out
}
