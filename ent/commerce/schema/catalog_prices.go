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

// PriceList gives variants other prices than their own: in a store, on a
// channel, to a tier, for a time.
type PriceList struct{ ent.Schema }

// Fields of the PriceList. What it does not name it holds for all of.
func (PriceList) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(64),
		field.String("name").NotEmpty().MaxLen(120),
		field.String("currency").MinLen(3).MaxLen(3).Immutable().Comment("that of the business"),
		field.Int32("priority").Default(0).Comment("the higher one wins"),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable(),
		field.Enum("channel").Values("pos", "web", "mini_program", "marketplace", "live").Optional().Nillable(),
		field.String("tier").Optional().Nillable().MaxLen(64).Comment("code of a membership tier"),
		field.Time("starts_at").Optional().Nillable().Comment("from this instant"),
		field.Time("ends_at").Optional().Nillable().Comment("before this instant"),
		field.Enum("status").Values("draft", "active", "archived").Default("draft"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PriceList.
func (PriceList) Edges() []ent.Edge {
	return []ent.Edge{edge.To("entries", PriceListEntry.Type)}
}

// Indexes of the PriceList.
func (PriceList) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code").Unique().StorageKey("price_lists_code_key"),
		index.Fields("store_id", "id").StorageKey("price_lists_store_idx"),
		index.Fields("store_id").Annotations(entsql.IndexWhere("status = 'active'")).StorageKey("price_lists_active_idx"),
	}
}

// Annotations of the PriceList.
func (PriceList) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"price_lists_time_check": "starts_at < ends_at"})}
}

// Policy of the PriceList: who reads the catalogue reads all prices; writes
// check the store.
func (PriceList) Policy() ent.Policy { return scope.Authenticated() }

// PriceListEntry is the price of a variant in a list, from a quantity on.
type PriceListEntry struct{ ent.Schema }

// Fields of the PriceListEntry. The amount is in minor currency units.
func (PriceListEntry) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("price_list_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Int64("min_quantity").Default(1).Immutable().Comment("holds for lines of this many pieces and more"),
		field.Int64("price_amount"),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PriceListEntry.
func (PriceListEntry) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("price_list", PriceList.Type).Ref("entries").Field("price_list_id").Unique().Required().Immutable(),
		edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable(),
	}
}

// Indexes of the PriceListEntry.
func (PriceListEntry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("price_list_id", "variant_id", "min_quantity").Unique().StorageKey("price_list_entries_key"),
		index.Fields("variant_id", "price_list_id").StorageKey("price_list_entries_variant_idx"),
	}
}

// Annotations of the PriceListEntry.
func (PriceListEntry) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"price_list_entries_price_check":    "price_amount >= 0",
		"price_list_entries_quantity_check": "min_quantity >= 1",
	})}
}

// Policy of the PriceListEntry: visible with its list.
func (PriceListEntry) Policy() ent.Policy { return scope.Authenticated() }

// VariantPriceChange is one line of the history of prices, which triggers keep
// and which only grows.
type VariantPriceChange struct{ ent.Schema }

// Fields of the VariantPriceChange. Amounts are in minor currency units.
func (VariantPriceChange) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.UUID("price_list_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("none: the variant's own price; the list may be gone"),
		field.String("price_list_code").Optional().Nillable().MaxLen(64).Immutable(),
		field.Int64("min_quantity").Default(1).Immutable(),
		field.Int64("old_amount").Optional().Nillable().Immutable().Comment("none: there was no price"),
		field.Int64("new_amount").Optional().Nillable().Immutable().Comment("none: the price was taken off the list"),
		field.String("changed_by").Default("").MaxLen(120).Immutable().Comment("user name of staff, name of a key or job"),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.Time("changed_at").Immutable(),
	}
}

// Indexes of the VariantPriceChange.
func (VariantPriceChange) Indexes() []ent.Index {
	return []ent.Index{index.Fields("variant_id", "id").StorageKey("variant_price_changes_variant_idx")}
}

// Policy of the VariantPriceChange: visible with its variant.
func (VariantPriceChange) Policy() ent.Policy { return scope.Authenticated() }

// ProductStatusChange is one line of the history of what was on sale, which
// triggers keep and which only grows.
type ProductStatusChange struct{ ent.Schema }

// Fields of the ProductStatusChange.
func (ProductStatusChange) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.UUID("product_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("none: the product itself"),
		field.String("old_status").MaxLen(16).Immutable(),
		field.String("new_status").MaxLen(16).Immutable(),
		field.String("changed_by").Default("").MaxLen(120).Immutable().Comment("user name of staff, name of a key or job"),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.Time("changed_at").Immutable(),
	}
}

// Indexes of the ProductStatusChange.
func (ProductStatusChange) Indexes() []ent.Index {
	return []ent.Index{index.Fields("product_id", "id").StorageKey("product_status_changes_product_idx")}
}

// Policy of the ProductStatusChange: visible with its product.
func (ProductStatusChange) Policy() ent.Policy { return scope.Authenticated() }
