package catalog

import (
	"context"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// SetProductOptions implements setProductOptions.
func (a API) SetProductOptions(ctx context.Context, r catalogapi.SetProductOptionsRequestObject) (catalogapi.SetProductOptionsResponseObject, error) {
	p, err := a.SetOptions(ctx, r.Id, r.Params.IfMatch, each(r.Body.Options, func(o catalogapi.ProductOptionInput) OptionInput {
		return OptionInput{Name: o.Name, Was: opt.Value(o.Was), Values: each(o.Values, func(v catalogapi.ProductOptionValueInput) ValueInput {
			return ValueInput{Value: v.Value, Code: opt.Value(v.Code), Was: opt.Value(v.Was)}
		})}
	}))
	if err != nil {
		return nil, err
	}
	v, err := a.viewer(ctx)
	if err != nil {
		return nil, err
	}
	return catalogapi.SetProductOptions200JSONResponse{Body: v.product(p), Headers: catalogapi.SetProductOptions200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// GenerateVariants implements generateVariants.
func (a API) GenerateVariants(ctx context.Context, r catalogapi.GenerateVariantsRequestObject) (catalogapi.GenerateVariantsResponseObject, error) {
	b := r.Body
	done, err := a.Service.GenerateVariants(ctx, r.Id, Generation{SKUPrefix: b.SkuPrefix, PriceAmount: b.PriceAmount, CostAmount: b.CostAmount, Only: opt.Value(b.Only), Status: string(opt.Value(b.Status))})
	if err != nil {
		return nil, err
	}
	cost := readsCost(ctx)
	return catalogapi.GenerateVariants200JSONResponse{
		Created: each(done.Made, func(v *commerce.Variant) catalogapi.Variant { return toAPIVariant(v, cost) }), ExistingCount: int64(done.Known),
	}, nil
}

// ListVariantBarcodes implements listVariantBarcodes.
func (a API) ListVariantBarcodes(ctx context.Context, r catalogapi.ListVariantBarcodesRequestObject) (catalogapi.ListVariantBarcodesResponseObject, error) {
	found, err := a.ListBarcodes(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListVariantBarcodes200JSONResponse{
		Body:    catalogapi.VariantBarcodeList{Items: each(found.Items, toAPIBarcode), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListVariantBarcodes200ResponseHeaders{Link: found.Link},
	}, nil
}

// AddVariantBarcode implements addVariantBarcode.
func (a API) AddVariantBarcode(ctx context.Context, r catalogapi.AddVariantBarcodeRequestObject) (catalogapi.AddVariantBarcodeResponseObject, error) {
	b, err := a.AddBarcode(ctx, r.Id, r.Body.Code, string(opt.Value(r.Body.Kind)))
	if err != nil {
		return nil, err
	}
	at := "/v1/variants/" + r.Id.String() + "/barcodes/" + b.ID.String()
	return catalogapi.AddVariantBarcode201JSONResponse{Body: toAPIBarcode(b), Headers: catalogapi.AddVariantBarcode201ResponseHeaders{Location: &at}}, nil
}

// RemoveVariantBarcode implements removeVariantBarcode.
func (a API) RemoveVariantBarcode(ctx context.Context, r catalogapi.RemoveVariantBarcodeRequestObject) (catalogapi.RemoveVariantBarcodeResponseObject, error) {
	if err := a.RemoveBarcode(ctx, r.Id, r.BarcodeId); err != nil {
		return nil, err
	}
	return catalogapi.RemoveVariantBarcode204Response{}, nil
}

// GetCatalogSettings implements getCatalogSettings.
func (a API) GetCatalogSettings(ctx context.Context, _ catalogapi.GetCatalogSettingsRequestObject) (catalogapi.GetCatalogSettingsResponseObject, error) {
	c, err := a.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return catalogapi.GetCatalogSettings200JSONResponse{Body: toAPISettings(c), Headers: catalogapi.GetCatalogSettings200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

// SetCatalogSettings implements setCatalogSettings.
func (a API) SetCatalogSettings(ctx context.Context, r catalogapi.SetCatalogSettingsRequestObject) (catalogapi.SetCatalogSettingsResponseObject, error) {
	c, err := a.SetSettings(ctx, r.Params.IfMatch, r.Body.DefaultTaxRate, each(r.Body.WeighedLayouts, func(l catalogapi.WeighedLayout) schema.WeighedLayout {
		return schema.WeighedLayout{Prefix: l.Prefix, ItemDigits: int(l.ItemDigits), Measures: string(l.Measures), Decimals: int(l.Decimals)}
	}))
	if err != nil {
		return nil, err
	}
	return catalogapi.SetCatalogSettings200JSONResponse{Body: toAPISettings(c), Headers: catalogapi.SetCatalogSettings200ResponseHeaders{ETag: etag.Header(c.Version)}}, nil
}

func toAPIBarcode(b *commerce.VariantBarcode) catalogapi.VariantBarcode {
	return catalogapi.VariantBarcode{Id: b.ID, VariantId: b.VariantID, Kind: catalogapi.BarcodeKind(b.Kind), Code: b.Code, CreatedAt: b.CreatedAt.UTC()}
}

func toAPISettings(c *commerce.CatalogSettings) catalogapi.CatalogSettings {
	return catalogapi.CatalogSettings{DefaultTaxRate: c.DefaultTaxRate, WeighedLayouts: each(c.WeighedLayouts, func(l schema.WeighedLayout) catalogapi.WeighedLayout {
		return catalogapi.WeighedLayout{Prefix: l.Prefix, ItemDigits: int32(l.ItemDigits), Measures: catalogapi.WeighedLayoutMeasures(l.Measures), Decimals: int32(l.Decimals)}
	}), Version: c.Version, UpdatedAt: c.UpdatedAt.UTC()}
}

func toAPIOption(o schema.Option) catalogapi.ProductOption {
	return catalogapi.ProductOption{Name: o.Name, Values: each(o.Values, func(v schema.OptionValue) catalogapi.ProductOptionValue {
		return catalogapi.ProductOptionValue{Value: v.Value, Code: nonEmpty(v.Code)}
	})}
}

func fromAPIOption(o catalogapi.ProductOptionCreate) OptionInput {
	return OptionInput{Name: o.Name, Values: each(o.Values, func(v catalogapi.ProductOptionValue) ValueInput {
		return ValueInput{Value: v.Value, Code: opt.Value(v.Code)}
	})}
}
