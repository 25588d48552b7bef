package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// ProductPicture is a picture of a product, or of one of its variants. The file
// lies beside the database, under the row's id.
type ProductPicture struct{ ent.Schema }

// Fields of the ProductPicture.
func (ProductPicture) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("product_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Optional().Nillable(),
		field.Int("place").Comment("in the product's order; the first is the main one"),
		field.String("content_hash").MaxLen(64).Immutable().Comment("SHA-256 in hexadecimal; what links name"),
		field.String("content_type").MaxLen(32).Immutable(),
		field.Int64("size_bytes").Immutable(),
		field.Int("width").Immutable(),
		field.Int("height").Immutable(),
		field.String("alt_zh").Default("").MaxLen(300),
		field.String("alt_en").Default("").MaxLen(300),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the ProductPicture.
func (ProductPicture) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("product", Product.Type).Ref("pictures").Field("product_id").Unique().Required().Immutable(),
		edge.From("variant", Variant.Type).Ref("pictures").Field("variant_id").Unique(),
	}
}

// Indexes of the ProductPicture.
func (ProductPicture) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("product_id", "place", "id").StorageKey("product_pictures_product_idx"),
		index.Fields("content_hash").StorageKey("product_pictures_hash_idx"),
		index.Fields("variant_id").StorageKey("product_pictures_variant_idx"),
	}
}

// Policy of the ProductPicture.
func (ProductPicture) Policy() ent.Policy { return scope.Authenticated() }
