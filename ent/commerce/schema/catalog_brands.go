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

// Brand is under whose name products are sold.
type Brand struct{ ent.Schema }

// Fields of the Brand.
func (Brand) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("name").NotEmpty().MaxLen(120),
		field.String("description").Default("").MaxLen(2000),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Brand.
func (Brand) Edges() []ent.Edge { return []ent.Edge{edge.To("products", Product.Type)} }

// Indexes of the Brand.
func (Brand) Indexes() []ent.Index {
	return []ent.Index{index.Fields("name").Unique().StorageKey("brands_name_key")}
}

// Policy of the Brand.
func (Brand) Policy() ent.Policy { return scope.Authenticated() }

// SizeSystem is how sizes are written, and in which order.
type SizeSystem struct{ ent.Schema }

// Fields of the SizeSystem.
func (SizeSystem) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(64).Comment("which products name"),
		field.String("name").NotEmpty().MaxLen(120),
		field.JSON("labels", []string{}).Comment("from the smallest"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the SizeSystem.
func (SizeSystem) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("size_systems_code_key")}
}

// Policy of the SizeSystem.
func (SizeSystem) Policy() ent.Policy { return scope.Authenticated() }
