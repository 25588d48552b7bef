package catalog

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/brand"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// ProductInput describes a product to create.
type ProductInput struct {
	Kind        string // general, book, apparel; empty means general
	Title       string
	Description string
	Brand       string     // a name; unknown ones become brands
	BrandID     *uuid.UUID // instead of the name
	CategoryID  *uuid.UUID
	Status      string // empty means active
	TaxRate     *int32 // in hundredths of a percent; nil: that of the category
	Book        *schema.Book
	Apparel     *schema.Apparel
	Attributes  map[string]any
	Options     []OptionInput  // by what variants differ; none: each says what it likes
	Fields      map[string]any // custom fields
	Source      string         // empty means staff
	Variants    []VariantInput
}

// CreateProduct makes a product with its first variants, all or none, and
// returns it with them.
//
// Errors: ErrBlank, ErrKindMismatch, ErrISBN, ErrISBNsDiffer, ErrPublishedOn,
// ErrCLC, ErrCategoryUnknown, ErrSKURepeated, ErrSKUTaken, ErrOptionRepeated, ErrOptionMissing,
// ErrOptionValue, ErrCombinationTaken, ErrCheckDigit, ErrBrandUnknown, ErrBrandTwice, ErrSizeChart,
// ErrSizeRepeated, those of customers.JudgeFields.
func (s *Service) CreateProduct(ctx context.Context, in ProductInput) (*commerce.Product, error) {
	in.Kind, in.Status, in.Source = orElse(in.Kind, "general"), orElse(in.Status, "active"), orElse(in.Source, "staff")
	if in.Title = strings.TrimSpace(in.Title); in.Title == "" {
		return nil, ErrBlank.At("/title")
	}
	if err := checkKind(in.Kind, in.Book != nil, in.Apparel != nil); err != nil {
		return nil, err
	}
	if in.Book != nil {
		if err := completeBook(in.Book, "/book"); err != nil {
			return nil, err
		}
	}
	if in.Apparel != nil {
		if err := completeApparel(in.Apparel, "/apparel"); err != nil {
			return nil, err
		}
	}
	if in.Brand != "" && in.BrandID != nil {
		return nil, ErrBrandTwice.At("/brand_id")
	}
	options, err := tidyOptions(in.Options)
	if err != nil {
		return nil, err
	}
	skus := make([]string, len(in.Variants))
	for i := range in.Variants {
		v := &in.Variants[i]
		if v.SKU = strings.TrimSpace(v.SKU); v.SKU == "" {
			return nil, ErrBlank.At(variantPointer(i))
		}
		skus[i] = v.SKU
	}
	if i := repeated(skus); i >= 0 {
		return nil, ErrSKURepeated.At(variantPointer(i))
	}
	var out *commerce.Product
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if len(skus) > 0 {
			taken, err := tx.Commerce.Variant.Query().Where(variant.SkuIn(skus...)).Select(variant.FieldSku).Strings(ctx)
			if err != nil {
				return err
			}
			if len(taken) > 0 {
				return ErrSKUTaken.At(variantPointer(slices.Index(skus, taken[0])))
			}
		}
		now := s.clock.Now()
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		brand, err := s.theBrand(ctx, tx, in.Brand, in.BrandID)
		if err != nil {
			return err
		}
		create := tx.Commerce.Product.Create().SetID(id).SetKind(product.Kind(in.Kind)).SetTitle(in.Title).SetDescription(in.Description).
			SetNillableCategoryID(in.CategoryID).SetNillableTaxRate(in.TaxRate).SetStatus(product.Status(in.Status)).SetSource(in.Source).
			SetCreatedAt(now).SetUpdatedAt(now)
		if brand != nil {
			create.SetBrand(brand.Name).SetBrandID(brand.ID)
		}
		if in.Book != nil {
			create.SetBook(in.Book).SetNillableIsbn13(nonEmpty(in.Book.ISBN13))
		}
		if in.Apparel != nil {
			create.SetApparel(in.Apparel)
		}
		if len(options) > 0 {
			create.SetOptions(options)
		}
		if in.Attributes != nil {
			create.SetAttributes(in.Attributes)
		}
		fields := customers.FieldItem{New: true, Patch: in.Fields}
		if err := s.judge(ctx, tx, &fields); err != nil {
			return err
		}
		if len(fields.Values) > 0 {
			create.SetCustomFields(fields.Values)
		}
		p, err := create.Save(ctx)
		if err != nil {
			return translate(err, "/category_id")
		}
		rows := make([]*commerce.VariantCreate, len(in.Variants))
		for i, v := range in.Variants {
			if rows[i], err = s.newVariant(tx, p, v); err != nil {
				return at("/variants/"+strconv.Itoa(i), err)
			}
		}
		if len(rows) > 0 {
			if p.Edges.Variants, err = tx.Commerce.Variant.CreateBulk(rows...).Save(ctx); err != nil {
				return translate(err, "/variants")
			}
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.product.create", ObjectType: "product", ObjectID: p.ID.String(),
			Changes: map[string]any{"kind": in.Kind, "skus": skus}})
		out = p
		return nil
	})
	return out, err
}

// ProductChange says what to change of a product; what is not specified stays.
type ProductChange struct {
	Kind        *string
	Title       *string
	Description nullable.Nullable[string]
	Brand       nullable.Nullable[string]
	BrandID     nullable.Nullable[uuid.UUID]
	CategoryID  nullable.Nullable[uuid.UUID]
	Status      *string
	TaxRate     nullable.Nullable[int32]
	Reason      string // why, for the history of states
	Book        nullable.Nullable[schema.Book]
	Apparel     nullable.Nullable[schema.Apparel]
	Attributes  nullable.Nullable[map[string]any]
	Fields      map[string]any // custom fields; nil members are removed
}

// UpdateProduct changes a product. When its kind changes, the part of the old
// kind goes.
//
// Errors: ErrProductNotFound, apperr.ErrVersionMismatch, and those of CreateProduct
// about fields.
func (s *Service) UpdateProduct(ctx context.Context, id uuid.UUID, ifMatch *string, in ProductChange) (*commerce.Product, error) {
	var out *commerce.Product
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := tx.Commerce.Product.Query().Where(product.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrProductNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, p.Version); err != nil {
			return err
		}
		if err := s.because(ctx, tx, in.Reason); err != nil {
			return err
		}
		update, fields, err := in.apply(p)
		if err != nil {
			return err
		}
		if in.Brand.IsSpecified() || in.BrandID.IsSpecified() {
			name, _ := in.Brand.Get() // null takes the brand off
			var id *uuid.UUID
			if given, err := in.BrandID.Get(); err == nil {
				id = &given
			}
			if name != "" && id != nil {
				return ErrBrandTwice.At("/brand_id")
			}
			brand, err := s.theBrand(ctx, tx, name, id)
			if err != nil {
				return err
			}
			if fields = append(fields, "brand"); brand != nil {
				update.SetBrand(brand.Name).SetBrandID(brand.ID)
			} else {
				update.SetBrand("").ClearBrandID()
			}
		}
		if len(in.Fields) > 0 {
			custom := customers.FieldItem{Values: p.CustomFields, Patch: in.Fields}
			if err := s.judge(ctx, tx, &custom); err != nil {
				return err
			}
			if fields = append(fields, "custom_fields"); len(custom.Values) > 0 {
				update.SetCustomFields(custom.Values)
			} else {
				update.ClearCustomFields()
			}
		}
		if p, err = update.SetVersion(p.Version + 1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return translate(err, "/category_id")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.product.update", ObjectType: "product", ObjectID: id.String(), Reason: in.Reason,
			Changes: map[string]any{"fields": fields}})
		p.Edges.Variants, err = p.QueryVariants().Order(variant.ByID()).All(ctx)
		out = p
		return err
	})
	return out, err
}

// apply prepares the update of p and names the fields it touches.
func (in ProductChange) apply(p *commerce.Product) (*commerce.ProductUpdateOne, []string, error) {
	u := p.Update()
	var fields []string
	kind := string(p.Kind)
	if in.Kind != nil && *in.Kind != kind {
		kind = *in.Kind
		u.SetKind(product.Kind(kind))
		fields = append(fields, "kind")
	}
	book, bookErr := in.Book.Get()
	apparel, apparelErr := in.Apparel.Get()
	if err := checkKind(kind, bookErr == nil, apparelErr == nil); err != nil {
		return nil, nil, err
	}
	switch {
	case bookErr == nil:
		if err := completeBook(&book, "/book"); err != nil {
			return nil, nil, err
		}
		u.SetBook(&book)
		if book.ISBN13 != "" {
			u.SetIsbn13(book.ISBN13)
		} else {
			u.ClearIsbn13()
		}
		fields = append(fields, "book")
	case in.Book.IsNull() || kind != "book" && p.Book != nil:
		u.ClearBook().ClearIsbn13()
		fields = append(fields, "book")
	}
	switch {
	case apparelErr == nil:
		if err := completeApparel(&apparel, "/apparel"); err != nil {
			return nil, nil, err
		}
		u.SetApparel(&apparel)
		fields = append(fields, "apparel")
	case in.Apparel.IsNull() || kind != "apparel" && p.Apparel != nil:
		u.ClearApparel()
		fields = append(fields, "apparel")
	}
	if in.Title != nil {
		title := strings.TrimSpace(*in.Title)
		if title == "" {
			return nil, nil, ErrBlank.At("/title")
		}
		u.SetTitle(title)
		fields = append(fields, "title")
	}
	if in.Description.IsSpecified() {
		text, _ := in.Description.Get() // null empties
		u.SetDescription(text)
		fields = append(fields, "description")
	}
	if in.CategoryID.IsSpecified() {
		if in.CategoryID.IsNull() {
			u.ClearCategoryID()
		} else {
			u.SetCategoryID(in.CategoryID.MustGet())
		}
		fields = append(fields, "category_id")
	}
	if in.Status != nil {
		u.SetStatus(product.Status(*in.Status))
		fields = append(fields, "status")
	}
	if in.TaxRate.IsSpecified() {
		if in.TaxRate.IsNull() {
			u.ClearTaxRate()
		} else {
			u.SetTaxRate(in.TaxRate.MustGet())
		}
		fields = append(fields, "tax_rate")
	}
	if in.Attributes.IsSpecified() {
		if in.Attributes.IsNull() {
			u.ClearAttributes()
		} else {
			u.SetAttributes(in.Attributes.MustGet())
		}
		fields = append(fields, "attributes")
	}
	return u, fields, nil
}

// theBrand is the brand of a product, by its name or its id; nil without both.
// Error: ErrBrandUnknown.
func (s *Service) theBrand(ctx context.Context, tx *db.Tx, name string, id *uuid.UUID) (*commerce.Brand, error) {
	if id == nil {
		return s.brandOf(ctx, tx, name)
	}
	b, err := tx.Commerce.Brand.Query().Where(brand.ID(*id)).ForShare().Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrBrandUnknown.At("/brand_id")
	}
	return b, err
}

func (s *Service) judge(ctx context.Context, tx *db.Tx, fields *customers.FieldItem) error {
	if err := s.customers.JudgeFields(ctx, tx, customers.OfProduct, []*customers.FieldItem{fields}); err != nil {
		return err
	}
	return fields.Err()
}

func variantPointer(i int) string { return "/variants/" + strconv.Itoa(i) + "/sku" }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// translate names broken constraints; pointer is where the fault lies.
func translate(err error, pointer string) error {
	switch db.Violated(err) {
	case "variants_sku_key":
		return ErrSKUTaken.At(pointer)
	case "variants_option_key":
		return ErrCombinationTaken.At(strings.TrimSuffix(pointer, "/sku") + "/options")
	case "variant_barcodes_key", "variant_barcodes_weighed_key":
		return ErrBarcodeTaken.At(pointer)
	case "brands_name_key":
		return ErrBrandTaken.At(pointer)
	case "size_systems_code_key":
		return ErrSizeCodeTaken.At(pointer)
	case "categories_name_key":
		return ErrCategoryTaken.At(pointer)
	case "products_categories_category", "categories_categories_children":
		return ErrCategoryUnknown.At(pointer)
	}
	return err
}
