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

// VariantBarcode is a further barcode of a variant, besides its main one.
type VariantBarcode struct{ ent.Schema }

// Fields of the VariantBarcode.
func (VariantBarcode) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("gtin", "isbn", "weighed", "internal").Immutable(),
		field.String("code").NotEmpty().MaxLen(32).Immutable().Comment("of weighed goods the prefix and the item's digits"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the VariantBarcode.
func (VariantBarcode) Edges() []ent.Edge {
	return []ent.Edge{edge.From("variant", Variant.Type).Ref("barcodes").Field("variant_id").Unique().Required().Immutable()}
}

// Indexes of the VariantBarcode.
func (VariantBarcode) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("variant_id", "code").Unique().StorageKey("variant_barcodes_key"),
		index.Fields("code").StorageKey("variant_barcodes_code_idx"),
		index.Fields("code").Unique().Annotations(entsql.IndexWhere("kind = 'weighed'")).StorageKey("variant_barcodes_weighed_key"),
	}
}

// Policy of the VariantBarcode.
func (VariantBarcode) Policy() ent.Policy { return scope.Authenticated() }

// WeighedLayout is how scales of the business write a barcode of 13 digits:
// prefix, digits of the item, digits of what was weighed, check digit.
type WeighedLayout struct {
	Prefix     string `json:"prefix"` // 20 to 29
	ItemDigits int    `json:"item_digits"`
	Measures   string `json:"measures"` // weight or price
	Decimals   int    `json:"decimals"` // of kilograms, or of the currency's main unit
}

// CatalogSettings is one row: how the business keeps its catalogue.
type CatalogSettings struct{ ent.Schema }

// Fields of the CatalogSettings.
func (CatalogSettings) Fields() []ent.Field {
	return []ent.Field{
		field.Int("id").Immutable().Comment("always 1"),
		field.Int32("default_tax_rate").Default(0).Comment("in hundredths of a percent, where neither product nor category has one"),
		field.JSON("weighed_layouts", []WeighedLayout{}).Optional(),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Annotations of the CatalogSettings.
func (CatalogSettings) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Annotation{Table: "catalog_settings"}, entsql.Checks(map[string]string{
		"catalog_settings_one_check":      "id = 1",
		"catalog_settings_tax_rate_check": "default_tax_rate BETWEEN 0 AND 10000",
	})}
}

// Policy of the CatalogSettings.
func (CatalogSettings) Policy() ent.Policy { return scope.Authenticated() }
