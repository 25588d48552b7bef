package catalog

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// viewer is what the caller may see of products.
type viewer struct {
	cost   bool
	fields func(map[string]any) map[string]any
}

func (a API) viewer(ctx context.Context) (v viewer, err error) {
	v.cost = readsCost(ctx)
	v.fields, err = a.customers.ShownFields(ctx, customers.OfProduct)
	return v, err
}

func (v viewer) product(p *commerce.Product) catalogapi.Product {
	out := catalogapi.Product{
		Id: p.ID, Kind: catalogapi.ProductKind(p.Kind), Title: p.Title, Description: opt.OrNull(nonEmpty(p.Description)), Brand: opt.OrNull(nonEmpty(p.Brand)), BrandId: opt.OrNull(p.BrandID),
		CategoryId: opt.OrNull(p.CategoryID), Status: catalogapi.ProductStatus(p.Status), TaxRate: opt.OrNull(p.TaxRate), Options: each(p.Options, toAPIOption), Source: p.Source,
		Book: nullable.NewNullNullable[catalogapi.Book](), Apparel: nullable.NewNullNullable[catalogapi.Apparel](),
		Attributes: nullable.NewNullNullable[catalogapi.ProductAttributes](), CustomFields: v.fields(p.CustomFields),
		PictureUrl: pictureURL(p.PictureHash, false), PictureThumbnailUrl: pictureURL(p.PictureHash, true),
		Variants: make([]catalogapi.Variant, len(p.Edges.Variants)),
		Version:  p.Version, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
	if p.Book != nil {
		out.Book.Set(toAPIBook(*p.Book))
	}
	if p.Apparel != nil {
		out.Apparel.Set(toAPIApparel(*p.Apparel))
	}
	if p.Attributes != nil {
		out.Attributes.Set(p.Attributes)
	}
	for i, one := range p.Edges.Variants {
		out.Variants[i] = toAPIVariant(one, v.cost)
	}
	return out
}

func toAPIBook(b schema.Book) catalogapi.Book {
	out := catalogapi.Book{
		Isbn13: nonEmpty(b.ISBN13), Isbn10: nonEmpty(b.ISBN10), Publisher: nonEmpty(b.Publisher), PublishedOn: nonEmpty(b.PublishedOn),
		Format: nonEmpty(b.Format), ClcCode: nonEmpty(b.CLCCode), WorkId: nonEmpty(b.WorkID), Language: nonEmpty(b.Language),
		Series: nonEmpty(b.Series), Volume: nonEmpty(b.Volume), Audience: nonEmpty(b.Audience),
	}
	if len(b.Authors) > 0 {
		out.Authors = &b.Authors
	}
	if len(b.Contributors) > 0 {
		all := each(b.Contributors, func(c schema.Contributor) catalogapi.Contributor {
			return catalogapi.Contributor{Name: c.Name, Role: catalogapi.ContributorRole(c.Role)}
		})
		out.Contributors = &all
	}
	if len(b.SubjectCodes) > 0 {
		all := each(b.SubjectCodes, func(c schema.SubjectCode) catalogapi.SubjectCode {
			return catalogapi.SubjectCode{Scheme: c.Scheme, Code: c.Code, Text: nonEmpty(c.Text)}
		})
		out.SubjectCodes = &all
	}
	if len(b.Subjects) > 0 {
		out.Subjects = &b.Subjects
	}
	return out
}

func fromAPIProduct(b *catalogapi.ProductCreate) ProductInput {
	in := ProductInput{
		Kind: string(opt.Value(b.Kind)), Title: b.Title, Description: opt.Value(b.Description), Brand: opt.Value(b.Brand), BrandID: b.BrandId, CategoryID: b.CategoryId, TaxRate: b.TaxRate,
		Status: string(opt.Value(b.Status)), Attributes: opt.Value(b.Attributes), Fields: opt.Value(b.CustomFields),
		Options: each(opt.Value(b.Options), fromAPIOption),
	}
	if b.Book != nil {
		book := fromAPIBook(*b.Book)
		in.Book = &book
	}
	if b.Apparel != nil {
		apparel := fromAPIApparel(*b.Apparel)
		in.Apparel = &apparel
	}
	for _, v := range opt.Value(b.Variants) {
		in.Variants = append(in.Variants, fromAPIVariant(v))
	}
	return in
}

func fromAPIBook(b catalogapi.Book) schema.Book {
	return schema.Book{
		ISBN13: opt.Value(b.Isbn13), ISBN10: opt.Value(b.Isbn10), Authors: opt.Value(b.Authors), Publisher: opt.Value(b.Publisher), PublishedOn: opt.Value(b.PublishedOn),
		Format: opt.Value(b.Format), CLCCode: opt.Value(b.ClcCode), Subjects: opt.Value(b.Subjects), WorkID: opt.Value(b.WorkId), Language: opt.Value(b.Language),
		Series: opt.Value(b.Series), Volume: opt.Value(b.Volume), Audience: opt.Value(b.Audience),
		Contributors: each(opt.Value(b.Contributors), func(c catalogapi.Contributor) schema.Contributor {
			return schema.Contributor{Name: c.Name, Role: string(c.Role)}
		}),
		SubjectCodes: each(opt.Value(b.SubjectCodes), func(c catalogapi.SubjectCode) schema.SubjectCode {
			return schema.SubjectCode{Scheme: c.Scheme, Code: c.Code, Text: opt.Value(c.Text)}
		}),
	}
}

func fromAPIApparel(a catalogapi.Apparel) schema.Apparel {
	out := schema.Apparel{Season: opt.Value(a.Season), Style: opt.Value(a.Style), Fabric: opt.Value(a.Fabric), SizeSystem: opt.Value(a.SizeSystem),
		Colours: each(opt.Value(a.Colours), func(c catalogapi.ApparelColour) schema.Colour {
			return schema.Colour{Name: c.Name, Code: opt.Value(c.Code), Family: opt.Value(c.Family)}
		})}
	if c := a.SizeChart; c != nil {
		out.SizeChart = &schema.SizeChart{Columns: c.Columns, Rows: each(c.Rows, func(r catalogapi.SizeRow) schema.SizeRow { return schema.SizeRow{Size: r.Size, Values: r.Values} })}
	}
	return out
}

func toAPIVariants(ctx context.Context, p *page.Of[*commerce.Variant]) catalogapi.VariantList {
	cost := readsCost(ctx)
	items := make([]catalogapi.Variant, len(p.Items))
	for i, v := range p.Items {
		items[i] = toAPIVariant(v, cost)
	}
	return catalogapi.VariantList{Items: items, NextCursor: opt.OrNull(p.Next), HasMore: p.Next != nil, TotalCount: p.Total}
}

func toAPIVariant(v *commerce.Variant, cost bool) catalogapi.Variant {
	out := catalogapi.Variant{
		Id: v.ID, ProductId: v.ProductID, Sku: v.Sku, Barcode: opt.OrNull(v.Barcode), PriceAmount: v.PriceAmount,
		Options: v.Options, Status: catalogapi.VariantStatus(v.Status), Version: v.Version, CreatedAt: v.CreatedAt.UTC(), UpdatedAt: v.UpdatedAt.UTC(),
	}
	if out.Options == nil {
		out.Options = catalogapi.VariantOptions{}
	}
	if cost {
		out.CostAmount = opt.OrNull(v.CostAmount)
	}
	return out
}

func fromAPIVariant(v catalogapi.VariantCreate) VariantInput {
	return VariantInput{SKU: v.Sku, Barcode: v.Barcode, PriceAmount: v.PriceAmount, CostAmount: v.CostAmount, Options: opt.Value(v.Options), Status: string(opt.Value(v.Status))}
}

func toAPICategory(c *commerce.Category) catalogapi.Category {
	return catalogapi.Category{Id: c.ID, Name: c.Name, ParentId: opt.OrNull(c.ParentID), TaxRate: opt.OrNull(c.TaxRate), EffectiveTaxRate: opt.OrNull(c.EffectiveTaxRate), Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC()}
}

// readsCost tells whether the caller may see cost prices.
func readsCost(ctx context.Context) bool {
	actor, err := auth.From(ctx)
	return err == nil && actor.Can(auth.CatalogReadCost)
}

func location(things string, id uuid.UUID) *string {
	l := "/v1/" + things + "/" + id.String()
	return &l
}

// convert maps the value of a nullable field and keeps null and absence.
func convert[A, B any](n nullable.Nullable[A], f func(A) B) nullable.Nullable[B] {
	if !n.IsSpecified() {
		return nil
	}
	if n.IsNull() {
		return nullable.NewNullNullable[B]()
	}
	return nullable.NewNullableWithValue(f(n.MustGet()))
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func nonZero(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
