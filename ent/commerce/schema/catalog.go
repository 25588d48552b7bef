// Package schema declares the entities of the commerce context.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Category is a node of the category tree.
type Category struct{ ent.Schema }

// Fields of the Category.
func (Category) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("parent_id", uuid.UUID{}).Optional().Nillable(),
		field.String("name").NotEmpty().MaxLen(120).Comment("unique, so that tills can name a category"),
		field.Int32("tax_rate").Optional().Nillable().Comment("in hundredths of a percent, of this category and those below it without one"),
		field.Int32("effective_tax_rate").Optional().Nillable().Comment("its own or that of the nearest category above, kept with both"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Category.
func (Category) Edges() []ent.Edge {
	return []ent.Edge{edge.To("children", Category.Type).From("parent").Field("parent_id").Unique()}
}

// Indexes of the Category.
func (Category) Indexes() []ent.Index {
	return []ent.Index{index.Fields("name").Unique().StorageKey("categories_name_key")}
}

// Annotations of the Category.
func (Category) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"categories_tax_rate_check": "tax_rate BETWEEN 0 AND 10000"})}
}

// Policy of the Category.
func (Category) Policy() ent.Policy { return scope.Authenticated() }

// Book is the bibliographic part of a product of kind book.
type Book struct {
	ISBN13      string   `json:"isbn13,omitempty"` // 13 digits, no hyphens
	ISBN10      string   `json:"isbn10,omitempty"`
	Authors     []string `json:"authors,omitempty"`
	Publisher   string   `json:"publisher,omitempty"`
	PublishedOn string   `json:"published_on,omitempty"` // YYYY, YYYY-MM or YYYY-MM-DD
	Format      string   `json:"format,omitempty"`
	CLCCode     string   `json:"clc_code,omitempty"` // Chinese Library Classification
	Subjects    []string `json:"subjects,omitempty"`
	WorkID      string   `json:"work_id,omitempty"`
	Language    string   `json:"language,omitempty"`

	Contributors []Contributor `json:"contributors,omitempty"` // in order; authors are those of this role
	Series       string        `json:"series,omitempty"`
	Volume       string        `json:"volume,omitempty"`
	Audience     string        `json:"audience,omitempty"`
	SubjectCodes []SubjectCode `json:"subject_codes,omitempty"`
}

// Contributor is somebody who made a book, and as what.
type Contributor struct {
	Name string `json:"name"`
	Role string `json:"role"` // author, editor, translator, illustrator, compiler, other
}

// SubjectCode is a subject by a scheme, such as BISAC or Thema.
type SubjectCode struct {
	Scheme string `json:"scheme"`
	Code   string `json:"code"`
	Text   string `json:"text,omitempty"`
}

// Apparel is the clothing part of a product of kind apparel.
type Apparel struct {
	Season     string `json:"season,omitempty"`
	Style      string `json:"style,omitempty"`
	Fabric     string `json:"fabric,omitempty"`
	SizeSystem string `json:"size_system,omitempty"` // code

	Colours   []Colour   `json:"colours,omitempty"`
	SizeChart *SizeChart `json:"size_chart,omitempty"`
}

// Colour says more about a colour that variants come in.
type Colour struct {
	Name   string `json:"name"` // as in the variants' options
	Code   string `json:"code,omitempty"`
	Family string `json:"family,omitempty"`
}

// SizeChart says what sizes measure.
type SizeChart struct {
	Columns []string  `json:"columns"`
	Rows    []SizeRow `json:"rows"`
}

// SizeRow is what one size measures, a value for each column.
type SizeRow struct {
	Size   string   `json:"size"`
	Values []string `json:"values"`
}

// Option is something that the variants of a product differ by, with the values
// it has, in order.
type Option struct {
	Name   string        `json:"name"`
	Values []OptionValue `json:"values"`
}

// OptionValue is one value of an option.
type OptionValue struct {
	Value string `json:"value"`
	Code  string `json:"code,omitempty"` // stands for it in generated SKUs
}

// Product is what is sold, in one or more variants.
type Product struct{ ent.Schema }

// Fields of the Product.
func (Product) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("general", "book", "apparel").Default("general"),
		field.String("title").NotEmpty().MaxLen(300),
		field.Text("description").Optional(),
		field.String("brand").Optional().MaxLen(120).Comment("the brand's name, kept with it"),
		field.UUID("brand_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("category_id", uuid.UUID{}).Optional().Nillable(),
		field.Enum("status").Values("draft", "active", "archived").Default("active"),
		field.JSON("book", &Book{}).Optional(),
		field.JSON("apparel", &Apparel{}).Optional(),
		field.JSON("options", []Option{}).Optional().Comment("what variants differ by, in order; none: each variant says what it likes"),
		field.JSON("attributes", map[string]any{}).Optional(),
		field.Int32("tax_rate").Optional().Nillable().Comment("in hundredths of a percent; none: that of the category"),
		field.JSON("custom_fields", map[string]any{}).Optional().Comment("the retailer's own fields, as defined for products"),
		field.String("isbn13").Optional().Nillable().MaxLen(13).Comment("copied from book for the index; several products may share a misused ISBN"),
		field.String("picture_hash").Default("").MaxLen(64).Comment("of the main picture, kept with the pictures"),
		field.String("source").Default("staff").MaxLen(32).Comment("staff, import, pos (made from an unknown SKU on a ticket)"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Product.
func (Product) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("variants", Variant.Type),
		edge.To("pictures", ProductPicture.Type),
		edge.To("category", Category.Type).Field("category_id").Unique(),
		edge.From("brand_of", Brand.Type).Ref("products").Field("brand_id").Unique(),
	}
}

// Indexes of the Product.
func (Product) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("category_id", "id").StorageKey("products_category_idx"),
		index.Fields("brand_id", "id").StorageKey("products_brand_idx"),
		index.Fields("isbn13").StorageKey("products_isbn13_idx"),
		index.Fields("custom_fields").Annotations(entsql.IndexType("GIN"), entsql.IndexWhere("custom_fields IS NOT NULL")).StorageKey("products_custom_fields_idx"),
	}
}

// Annotations of the Product.
func (Product) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"products_tax_rate_check": "tax_rate BETWEEN 0 AND 10000"})}
}

// Policy of the Product.
func (Product) Policy() ent.Policy { return scope.Authenticated() }

// Variant is the unit of sale, known by its SKU.
type Variant struct{ ent.Schema }

// Fields of the Variant. Amounts are in minor currency units.
func (Variant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("product_id", uuid.UUID{}).Immutable(),
		field.String("sku").NotEmpty().MaxLen(64),
		field.String("barcode").Optional().Nillable().MaxLen(32),
		field.Int64("price_amount").Default(0),
		field.Int64("cost_amount").Optional().Nillable(),
		field.JSON("options", map[string]string{}).Optional().Comment("e.g. {\"size\": \"M\", \"colour\": \"red\"}"),
		field.String("option_key").Optional().Nillable().Comment("the combination of the product's options, as a JSON array; none: it names not all of them"),
		field.Enum("status").Values("active", "archived").Default("active"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Variant.
func (Variant) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("barcodes", VariantBarcode.Type),
		edge.To("pictures", ProductPicture.Type),
		edge.From("product", Product.Type).Ref("variants").Field("product_id").Unique().Required().Immutable(),
	}
}

// Indexes of the Variant.
func (Variant) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("sku").Unique().StorageKey("variants_sku_key"),
		index.Fields("product_id", "option_key").Unique().StorageKey("variants_option_key"),
		index.Fields("barcode").StorageKey("variants_barcode_idx"),
		index.Fields("product_id", "id").StorageKey("variants_product_idx"),
	}
}

// Annotations of the Variant.
func (Variant) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"variants_price_check": "price_amount >= 0",
		"variants_cost_check":  "cost_amount IS NULL OR cost_amount >= 0",
	})}
}

// Policy of the Variant.
func (Variant) Policy() ent.Policy { return scope.Authenticated() }
