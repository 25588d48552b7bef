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

// OrderPayment is money for an order, from one means of payment. Amounts are in
// minor currency units. Read through its order only.
type OrderPayment struct{ ent.Schema }

// Fields of the OrderPayment.
func (OrderPayment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.String("method").MaxLen(32).Immutable().Comment("cash, card, wechat_pay, alipay, stored_value, points, exchange_credit, other"),
		field.Enum("provider").Values("wechat_pay", "alipay").Optional().Nillable().Immutable().Comment("who moves the money; null: recorded, as at the till"),
		field.Enum("status").Values("pending", "succeeded", "failed", "closed").Default("pending"),
		field.Int64("amount").Immutable().Comment("tills report change given as an amount below zero"),
		field.String("currency").MinLen(3).MaxLen(3).Immutable(),
		field.Int64("refunded_amount").Default(0).Comment("given back or on its way"),
		field.String("reference").Optional().Nillable().MaxLen(64).Comment("of the terminal or bank"),
		field.String("number").Optional().Nillable().MaxLen(32).Immutable().Comment("by which the provider knows it; stored before the provider is asked"),
		field.String("provider_transaction_id").Optional().Nillable().MaxLen(64),
		field.JSON("client", map[string]any{}).Optional().Comment("what the customer's device needs to pay"),
		field.String("error_code").Optional().Nillable().MaxLen(64).Comment("the provider's"),
		field.Time("expires_at").Optional().Nillable(),
		field.Time("paid_at").Optional().Nillable(),
		field.Int("attempts").Default(0).Comment("how often the provider was asked what became of it"),
		field.Time("next_check_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the OrderPayment.
func (OrderPayment) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("payments").Field("order_id").Unique().Required().Immutable(),
		edge.To("refunds", OrderRefund.Type),
	}
}

// Indexes of the OrderPayment.
func (OrderPayment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "id").StorageKey("order_payments_order_idx"),
		index.Fields("number").Unique().Annotations(entsql.IndexWhere("number IS NOT NULL")).StorageKey("order_payments_number_key"),
		index.Fields("next_check_at", "id").Annotations(entsql.IndexWhere("next_check_at IS NOT NULL")).StorageKey("order_payments_due_idx"),
	}
}

// Annotations of the OrderPayment.
func (OrderPayment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"order_payments_amount_check":   "(amount >= 0 OR provider IS NULL) AND refunded_amount >= 0 AND refunded_amount <= greatest(amount, 0)",
		"order_payments_provider_check": "(provider IS NULL) = (number IS NULL)",
	})}
}

// Policy of the OrderPayment: visible with its order.
func (OrderPayment) Policy() ent.Policy { return scope.Everybody() }

// OrderRefund is money given back, to one means of payment. Read through its
// order or return only.
type OrderRefund struct{ ent.Schema }

// Fields of the OrderRefund.
func (OrderRefund) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Comment("null while the sale that a till names has not arrived"),
		field.UUID("order_return_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("null: the order was cancelled or edited, or paid in excess"),
		field.UUID("order_payment_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("null where a till says only how it gave money back"),
		field.String("method").MaxLen(32).Immutable(),
		field.Enum("provider").Values("wechat_pay", "alipay").Optional().Nillable().Immutable(),
		field.Enum("status").Values("pending", "processing", "succeeded", "failed").Default("pending"),
		field.Int64("amount").Immutable(),
		field.String("currency").MinLen(3).MaxLen(3).Immutable(),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.String("number").Optional().Nillable().MaxLen(32).Immutable().Comment("by which the provider knows it; stored before the provider is asked"),
		field.String("provider_refund_id").Optional().Nillable().MaxLen(64),
		field.String("error_code").Optional().Nillable().MaxLen(64).Comment("the provider's"),
		field.Time("refunded_at").Optional().Nillable(),
		field.Int("attempts").Default(0),
		field.Time("next_attempt_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the OrderRefund.
func (OrderRefund) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("refunds").Field("order_id").Unique(),
		edge.From("order_return", OrderReturn.Type).Ref("refunds").Field("order_return_id").Unique().Immutable(),
		edge.From("payment", OrderPayment.Type).Ref("refunds").Field("order_payment_id").Unique().Immutable(),
	}
}

// Indexes of the OrderRefund.
func (OrderRefund) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "id").StorageKey("order_refunds_order_idx"),
		index.Fields("order_return_id", "id").StorageKey("order_refunds_return_idx"),
		index.Fields("order_payment_id", "id").StorageKey("order_refunds_payment_idx"),
		index.Fields("number").Unique().Annotations(entsql.IndexWhere("number IS NOT NULL")).StorageKey("order_refunds_number_key"),
		index.Fields("id").Annotations(entsql.IndexWhere("provider IS NOT NULL")).StorageKey("order_refunds_provider_idx"),
		index.Fields("next_attempt_at", "id").Annotations(entsql.IndexWhere("next_attempt_at IS NOT NULL")).StorageKey("order_refunds_due_idx"),
	}
}

// Annotations of the OrderRefund.
func (OrderRefund) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"order_refunds_amount_check":   "amount > 0",
		"order_refunds_provider_check": "(provider IS NULL) = (number IS NULL)",
	})}
}

// Policy of the OrderRefund: visible with its order.
func (OrderRefund) Policy() ent.Policy { return scope.Everybody() }

// PaymentCallback is what a provider told us, as it came. It only grows but for
// its outcome.
type PaymentCallback struct{ ent.Schema }

// Fields of the PaymentCallback.
func (PaymentCallback) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("provider").MaxLen(16).Immutable(),
		field.String("notice_id").MaxLen(128).Immutable().Comment("the provider's number of the message: a second one of it is the first"),
		field.String("kind").MaxLen(32).Immutable().Comment("payment, refund"),
		field.String("number").MaxLen(64).Immutable().Comment("our number of the payment or refund"),
		field.Bytes("raw_sealed").Immutable(),
		field.String("outcome").MaxLen(32).Comment("applied, known, unknown_number, amount_differs, …"),
		field.Time("received_at").Default(time.Now).Immutable(),
	}
}

// Indexes of the PaymentCallback.
func (PaymentCallback) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("provider", "notice_id").Unique().StorageKey("payment_callbacks_notice_key"),
		index.Fields("number").StorageKey("payment_callbacks_number_idx"),
	}
}

// Policy of the PaymentCallback.
func (PaymentCallback) Policy() ent.Policy { return scope.Authenticated() }

// Shipment is a parcel of an order. Read through its order only.
type Shipment struct{ ent.Schema }

// Fields of the Shipment.
func (Shipment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.String("carrier").Optional().Nillable().MaxLen(32).Comment("the carrier's code, such as sf or yuantong"),
		field.String("tracking_number").Optional().Nillable().MaxLen(64),
		field.Enum("status").Values("sent", "in_transit", "out_for_delivery", "delivered", "exception", "returned").Default("sent"),
		field.Time("sent_at"),
		field.Time("delivered_at").Optional().Nillable(),
		field.Enum("tracker").Values("kuaidi100", "sf").Optional().Nillable().Comment("who follows the parcel; null: nobody"),
		field.Enum("tracking").Values("pending", "followed", "ended", "refused").Optional().Nillable().Comment("pending: the provider is being asked to follow it"),
		field.String("tracking_error").Optional().Nillable().MaxLen(64).Comment("why it is not followed"),
		field.String("carrier_was").Optional().Nillable().MaxLen(64).Comment("as the provider wrote it before it corrected the carrier"),
		field.Int("aborts").Default(0).Comment("how often the provider gave up"),
		field.Int("attempts").Default(0).Comment("how often the provider was asked since it last answered"),
		field.Time("next_check_at").Optional().Nillable(),
		field.Time("last_event_at").Optional().Nillable().Comment("the newest step of its way"),
		field.Time("last_heard_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Shipment.
func (Shipment) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("order", Order.Type).Ref("shipments").Field("order_id").Unique().Required().Immutable(),
		edge.To("lines", ShipmentLine.Type),
		edge.To("events", TrackingEvent.Type),
	}
}

// Annotations of the Shipment.
func (Shipment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"shipments_tracker_check": "(tracker IS NULL) = (tracking IS NULL) AND (tracker IS NULL OR carrier IS NOT NULL AND tracking_number IS NOT NULL)",
	})}
}

// Indexes of the Shipment.
func (Shipment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "id").StorageKey("shipments_order_idx"),
		index.Fields("tracking_number", "carrier").StorageKey("shipments_tracking_idx"),
		index.Fields("next_check_at", "id").Annotations(entsql.IndexWhere("next_check_at IS NOT NULL")).StorageKey("shipments_due_idx"),
	}
}

// Policy of the Shipment: visible with its order.
func (Shipment) Policy() ent.Policy { return scope.Everybody() }

// ShipmentLine is how many pieces of an order line are in a parcel.
type ShipmentLine struct{ ent.Schema }

// Fields of the ShipmentLine.
func (ShipmentLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("shipment_id", uuid.UUID{}).Immutable(),
		field.UUID("order_line_id", uuid.UUID{}).Immutable(),
		field.Int64("quantity").Immutable(),
	}
}

// Edges of the ShipmentLine.
func (ShipmentLine) Edges() []ent.Edge {
	return []ent.Edge{edge.From("shipment", Shipment.Type).Ref("lines").Field("shipment_id").Unique().Required().Immutable()}
}

// Indexes of the ShipmentLine.
func (ShipmentLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("shipment_id", "order_line_id").Unique().StorageKey("shipment_lines_shipment_key"),
		index.Fields("order_line_id").StorageKey("shipment_lines_order_line_idx"),
	}
}

// Annotations of the ShipmentLine.
func (ShipmentLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"shipment_lines_quantity_check": "quantity > 0"})}
}

// Policy of the ShipmentLine: visible with its shipment.
func (ShipmentLine) Policy() ent.Policy { return scope.Everybody() }

// TrackingEvent is one step of a parcel's way, as the carrier tells it.
type TrackingEvent struct{ ent.Schema }

// Fields of the TrackingEvent.
func (TrackingEvent) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.UUID("shipment_id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Optional().Nillable().Comment("the order's"),
		field.String("event_key").MaxLen(64).Immutable().Comment("a keyed hash of time and text: providers tell the same step many times"),
		field.Time("occurred_at").Immutable(),
		field.Enum("status").Values("in_transit", "out_for_delivery", "delivered", "exception", "returned").Optional().Nillable().Immutable().Comment("where the carrier says it of this step"),
		field.Bytes("private_sealed").Comment("what the carrier writes, which may name people; sealed as what is private of the order"),
		field.Time("superseded_at").Optional().Nillable().Comment("when the carrier took it back"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the TrackingEvent.
func (TrackingEvent) Edges() []ent.Edge {
	return []ent.Edge{edge.From("shipment", Shipment.Type).Ref("events").Field("shipment_id").Unique().Required().Immutable()}
}

// Indexes of the TrackingEvent.
func (TrackingEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("shipment_id", "event_key").Unique().StorageKey("tracking_events_shipment_key"),
		index.Fields("order_id", "occurred_at", "id").StorageKey("tracking_events_order_idx"),
		index.Fields("customer_id", "occurred_at", "id").StorageKey("tracking_events_customer_idx"),
	}
}

// Policy of the TrackingEvent: visible with its order.
func (TrackingEvent) Policy() ent.Policy { return scope.Everybody() }

// TrackingPush is what a tracking provider told us, as it came. It only grows
// but for its outcome.
type TrackingPush struct{ ent.Schema }

// Fields of the TrackingPush.
func (TrackingPush) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("provider").MaxLen(16).Immutable(),
		field.String("digest").MaxLen(64).Immutable().Comment("a keyed hash of the content: a second push of it is the first"),
		field.Bytes("raw_sealed").Immutable(),
		field.String("outcome").MaxLen(32).Comment("applied, known, unknown_number; pending while it is taken in"),
		field.Time("received_at").Default(time.Now).Immutable(),
	}
}

// Indexes of the TrackingPush.
func (TrackingPush) Indexes() []ent.Index {
	return []ent.Index{index.Fields("provider", "digest").Unique().StorageKey("tracking_pushes_digest_key")}
}

// Policy of the TrackingPush.
func (TrackingPush) Policy() ent.Policy { return scope.Authenticated() }
