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

// Order is a purchase. Amounts are in minor currency units and gross: tax is
// part of them.
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
		field.Enum("status").Values("draft", "placed", "paid", "partly_shipped", "shipped", "ready", "completed", "cancelled").Default("completed"),
		field.Enum("fulfilment").Values("taken", "pickup", "delivery").Default("taken").Comment("how the goods reach the customer; taken: at the till"),
		field.String("currency").MinLen(3).MaxLen(3),
		field.Time("placed_at"),
		field.Time("business_day").SchemaType(date),
		field.Int("line_count").Default(0),
		field.Int64("unit_count").Default(0),
		field.Int64("discount_amount").Default(0).Comment("sum over the lines"),
		field.Int64("shipping_amount").Default(0),
		field.Int64("total_amount").Default(0).Comment("what the customer pays: lines after discounts, and shipping"),
		field.Int64("paid_amount").Default(0).Comment("sum of the succeeded payments"),
		field.Int64("refunded_amount").Default(0).Comment("sum of the refunds that have not failed"),
		field.Int64("returned_amount").Default(0).Comment("sum of linked returns that are refunded"),
		field.JSON("coupon_codes", []string{}).Optional(),
		field.Bytes("private_sealed").Optional().Nillable().Comment("to whom and where it is sent, and remarks; sealed with the customer's key, if there is a customer"),
		field.Time("pay_by").Optional().Nillable().Comment("a placed order that is not paid by then is cancelled; null once that is settled"),
		field.Time("paid_at").Optional().Nillable().Comment("when it was paid in full: from then on it counts as a purchase"),
		field.Time("completed_at").Optional().Nillable(),
		field.Time("cancelled_at").Optional().Nillable(),
		field.UUID("exchange_of_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("the return whose goods this order replaces"),
		field.JSON("custom_fields", map[string]any{}).Optional().Comment("the retailer's own fields, as defined for orders"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Order.
func (Order) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("lines", OrderLine.Type),
		edge.To("returns", OrderReturn.Type),
		edge.To("payments", OrderPayment.Type),
		edge.To("refunds", OrderRefund.Type),
		edge.To("shipments", Shipment.Type),
		edge.To("changes", OrderChange.Type),
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
		index.Fields("store_id", "placed_at", "id").Annotations(entsql.IndexWhere("completed_at IS NULL AND cancelled_at IS NULL")).StorageKey("orders_open_idx"),
		index.Fields("placed_at", "id").Annotations(entsql.IndexWhere("completed_at IS NULL AND cancelled_at IS NULL")).StorageKey("orders_open_placed_idx"),
		index.Fields("pay_by", "id").Annotations(entsql.IndexWhere("pay_by IS NOT NULL")).StorageKey("orders_unpaid_idx"),
		index.Fields("exchange_of_id").Annotations(entsql.IndexWhere("exchange_of_id IS NOT NULL")).StorageKey("orders_exchange_idx"),
		index.Fields("custom_fields").Annotations(entsql.IndexType("GIN"), entsql.IndexWhere("custom_fields IS NOT NULL")).StorageKey("orders_custom_fields_idx"),
	}
}

// Annotations of the Order.
func (Order) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"orders_amounts_check": "discount_amount >= 0 AND shipping_amount >= 0 AND total_amount >= 0 AND refunded_amount >= 0",
	})}
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
		field.Int64("discount_amount").Default(0),
		field.Int64("total_amount").Comment("quantity by unit price, less the discount"),
		field.Int("tax_rate").Default(0).Comment("in basis points, contained in the amounts; for invoices"),
		field.UUID("price_list_id", uuid.UUID{}).Optional().Nillable().Comment("where the price came from; null: the variant, a till or a person"),
		field.String("tier_code").Optional().Nillable().MaxLen(32).Comment("the customer's tier of membership, where the discount is that tier's"),
		field.Int64("reserved_quantity").Default(0).Comment("promised from the store's stock; zero where no stock is kept"),
		field.Int64("shipped_quantity").Default(0).Comment("sent, or handed over"),
		field.Int64("returned_quantity").Default(0).Comment("brought back, or announced and not refused"),
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
		index.Fields("variant_id", "order_id").Annotations(entsql.IndexWhere("reserved_quantity > 0")).StorageKey("order_lines_reserved_idx"),
	}
}

// Annotations of the OrderLine.
func (OrderLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"order_lines_quantity_check": "quantity > 0",
		"order_lines_price_check":    "unit_price_amount >= 0 AND total_amount >= 0 AND discount_amount >= 0",
		"order_lines_moved_check":    "reserved_quantity >= 0 AND shipped_quantity >= 0 AND shipped_quantity <= quantity AND reserved_quantity <= quantity - shipped_quantity AND returned_quantity >= 0 AND returned_quantity <= quantity",
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
		field.Enum("kind").Values("refund", "exchange").Default("refund"),
		field.String("currency").MinLen(3).MaxLen(3),
		field.Time("returned_at"),
		field.Time("business_day").SchemaType(date),
		field.Int("line_count").Default(0),
		field.Int64("unit_count").Default(0),
		field.Int64("total_amount").Default(0).Comment("what the goods are worth to the customer, as a positive number"),
		field.Bytes("private_sealed").Optional().Nillable().Comment("remarks; sealed as those of an order"),
		field.Bool("free_postage").Default(false).Comment("sending it back costs the customer nothing, by their tier when they asked"),
		field.Time("refunded_at").Optional().Nillable().Comment("when the money was given back or credited; from then on it counts"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the OrderReturn.
func (OrderReturn) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("lines", OrderReturnLine.Type),
		edge.To("refunds", OrderRefund.Type),
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
		field.UUID("order_line_id", uuid.UUID{}).Optional().Nillable().Comment("null on tickets of tills, which name SKUs"),
		field.String("reason_code").Optional().Nillable().MaxLen(32),
		field.Int64("quantity").Comment("positive"),
		field.Int64("restocked_quantity").Default(0).Comment("put back on the shelf"),
		field.Int64("damaged_quantity").Default(0),
		field.Int64("unit_price_amount"),
		field.Int64("total_amount").Comment("its part of what was really paid for the line"),
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

// ReturnReason is why goods are brought back, as the retailer counts it.
type ReturnReason struct{ ent.Schema }

// Fields of the ReturnReason.
func (ReturnReason) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32).Immutable(),
		field.String("name").NotEmpty().MaxLen(120),
		field.Bool("customer_fault").Default(false).Comment("counts towards a customer's return rate"),
		field.Enum("status").Values("active", "archived").Default("active"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the ReturnReason.
func (ReturnReason) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("return_reasons_code_key")}
}

// Policy of the ReturnReason: members give them too.
func (ReturnReason) Policy() ent.Policy { return scope.Everybody() }

// OrderChange is one step in the life of an order or a return. It only grows.
type OrderChange struct{ ent.Schema }

// Fields of the OrderChange.
func (OrderChange) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.UUID("order_return_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("action").MaxLen(32).Immutable().Comment("place, pay, ship, ready, complete, cancel, edit, …"),
		field.String("from_status").Optional().Nillable().MaxLen(16).Immutable(),
		field.String("to_status").MaxLen(16).Immutable(),
		field.String("actor_kind").MaxLen(16).Immutable(),
		field.UUID("actor_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.JSON("details", map[string]any{}).Optional().Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the OrderChange.
func (OrderChange) Edges() []ent.Edge {
	return []ent.Edge{edge.From("order", Order.Type).Ref("changes").Field("order_id").Unique().Required().Immutable()}
}

// Indexes of the OrderChange.
func (OrderChange) Indexes() []ent.Index {
	return []ent.Index{index.Fields("order_id", "id").StorageKey("order_changes_order_idx")}
}

// Policy of the OrderChange: visible with its order.
func (OrderChange) Policy() ent.Policy { return scope.Everybody() }
