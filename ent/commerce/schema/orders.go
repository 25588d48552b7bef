package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

var date = map[string]string{dialect.Postgres: "date"}

// Order is a purchase. Amounts are in minor currency units.
type Order struct{ ent.Schema }

// Fields of the Order.
func (Order) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("order_number").Immutable().MaxLen(32),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's assistant, kept in step by a trigger: the scope column"),
		field.UUID("staff_id", uuid.UUID{}).Optional().Nillable().Comment("who sold"),
		field.UUID("customer_id", uuid.UUID{}).Optional().Nillable(),
		field.Enum("channel").Values("pos", "web", "mini_program", "marketplace", "live").Default("pos"),
		field.String("external_number").Optional().Nillable().MaxLen(64),
		field.Enum("status").Values("draft", "placed", "paid", "shipped", "ready", "completed", "cancelled").Default("completed"),
		field.String("currency").MinLen(3).MaxLen(3),
		field.Time("placed_at"),
		field.Time("business_day").SchemaType(date),
		field.Int("line_count").Default(0),
		field.Int64("unit_count").Default(0),
		field.Int64("total_amount").Default(0).Comment("what the customer pays"),
		field.Int64("returned_amount").Default(0).Comment("sum of linked returns"),
		field.JSON("payments", []Payment{}).Optional(),
		field.JSON("custom_fields", map[string]any{}).Optional().Comment("the retailer's own fields, as defined for orders"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Payment is one means a ticket was paid with, as the till reported it.
type Payment struct {
	Method string `json:"method"` // cash, card, wechat_pay, alipay, stored_value, points, other
	Amount int64  `json:"amount"`
}

// Edges of the Order.
func (Order) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("lines", OrderLine.Type),
		edge.To("returns", OrderReturn.Type),
	}
}

// Indexes of the Order.
func (Order) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_number").Unique().StorageKey("orders_order_number_key"),
		index.Fields("store_id", "external_number").Unique().StorageKey("orders_external_number_key"),
		index.Fields("customer_id", "placed_at", "id").StorageKey("orders_customer_idx"),
		index.Fields("store_id", "placed_at", "id").StorageKey("orders_store_idx"),
		index.Fields("assigned_staff_id", "placed_at", "id").StorageKey("orders_staff_idx"),
		index.Fields("placed_at", "id").StorageKey("orders_placed_idx"),
		index.Fields("custom_fields").Annotations(entsql.IndexType("GIN"), entsql.IndexWhere("custom_fields IS NOT NULL")).StorageKey("orders_custom_fields_idx"),
	}
}

// Policy of the Order.
func (Order) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "assigned_staff_id", Member: "customer_id"})
}

// OrderLine is one variant on an order. Read through its order only.
type OrderLine struct{ ent.Schema }

// Fields of the OrderLine.
func (OrderLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.Int("line_number").Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.UUID("category_id", uuid.UUID{}).Optional().Nillable().Comment("category at the time of sale"),
		field.String("sku").Immutable().MaxLen(64),
		field.String("title").MaxLen(300),
		field.Int64("quantity"),
		field.Int64("unit_price_amount"),
		field.Int64("total_amount"),
		field.Int64("returned_quantity").Default(0),
	}
}

// Edges of the OrderLine.
func (OrderLine) Edges() []ent.Edge {
	return []ent.Edge{edge.From("order", Order.Type).Ref("lines").Field("order_id").Unique().Required().Immutable()}
}

// Indexes of the OrderLine.
func (OrderLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "line_number").Unique().StorageKey("order_lines_order_key"),
		index.Fields("variant_id").StorageKey("order_lines_variant_idx"),
	}
}

// Annotations of the OrderLine.
func (OrderLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"order_lines_quantity_check": "quantity > 0",
		"order_lines_price_check":    "unit_price_amount >= 0 AND total_amount >= 0",
	})}
}

// Policy of the OrderLine: visible with its order.
func (OrderLine) Policy() ent.Policy { return scope.Everybody() }

// OrderReturn is goods brought back, with or without a known source order.
type OrderReturn struct{ ent.Schema }

// Fields of the OrderReturn.
func (OrderReturn) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("return_number").Immutable().MaxLen(32),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Comment("the source order; set later when it arrives later"),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("staff_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("customer_id", uuid.UUID{}).Optional().Nillable(),
		field.String("external_number").Optional().Nillable().MaxLen(64),
		field.String("original_external_number").Optional().Nillable().MaxLen(64),
		field.Enum("status").Values("requested", "approved", "received", "refunded", "rejected").Default("refunded"),
		field.String("currency").MinLen(3).MaxLen(3),
		field.Time("returned_at"),
		field.Time("business_day").SchemaType(date),
		field.Int("line_count").Default(0),
		field.Int64("unit_count").Default(0),
		field.Int64("total_amount").Default(0).Comment("refunded, as a positive number"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the OrderReturn.
func (OrderReturn) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("lines", OrderReturnLine.Type),
		edge.From("order", Order.Type).Ref("returns").Field("order_id").Unique(),
	}
}

// Indexes of the OrderReturn.
func (OrderReturn) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("return_number").Unique().StorageKey("order_returns_return_number_key"),
		index.Fields("store_id", "external_number").Unique().StorageKey("order_returns_external_number_key"),
		index.Fields("store_id", "original_external_number").StorageKey("order_returns_original_idx"),
		index.Fields("order_id").StorageKey("order_returns_order_idx"),
		index.Fields("customer_id", "returned_at", "id").StorageKey("order_returns_customer_idx"),
		index.Fields("store_id", "returned_at", "id").StorageKey("order_returns_store_idx"),
		index.Fields("assigned_staff_id", "returned_at", "id").StorageKey("order_returns_staff_idx"),
		index.Fields("returned_at", "id").StorageKey("order_returns_returned_idx"),
	}
}

// Policy of the OrderReturn.
func (OrderReturn) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "assigned_staff_id", Member: "customer_id"})
}

// OrderReturnLine is one variant on a return. Read through its return only.
type OrderReturnLine struct{ ent.Schema }

// Fields of the OrderReturnLine.
func (OrderReturnLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_return_id", uuid.UUID{}).Immutable(),
		field.Int("line_number").Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.UUID("category_id", uuid.UUID{}).Optional().Nillable(),
		field.String("sku").Immutable().MaxLen(64),
		field.String("title").MaxLen(300),
		field.Int64("quantity").Comment("positive"),
		field.Int64("unit_price_amount"),
		field.Int64("total_amount"),
	}
}

// Edges of the OrderReturnLine.
func (OrderReturnLine) Edges() []ent.Edge {
	return []ent.Edge{edge.From("order_return", OrderReturn.Type).Ref("lines").Field("order_return_id").Unique().Required().Immutable()}
}

// Indexes of the OrderReturnLine.
func (OrderReturnLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_return_id", "line_number").Unique().StorageKey("order_return_lines_return_key"),
		index.Fields("variant_id").StorageKey("order_return_lines_variant_idx"),
	}
}

// Annotations of the OrderReturnLine.
func (OrderReturnLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"order_return_lines_quantity_check": "quantity > 0",
		"order_return_lines_price_check":    "unit_price_amount >= 0 AND total_amount >= 0",
	})}
}

// Policy of the OrderReturnLine: visible with its return.
func (OrderReturnLine) Policy() ent.Policy { return scope.Everybody() }
