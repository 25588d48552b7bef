package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// CustomerMetrics is what a customer's completed orders and returns add up to.
// Derived from customer_days, one row per customer who ever bought; its id is
// the customer's. Store and assistant are copied by a trigger.
type CustomerMetrics struct{ ent.Schema }

// Fields of the CustomerMetrics. Amounts are in minor currency units.
func (CustomerMetrics) Fields() []ent.Field {
	date := map[string]string{dialect.Postgres: "date"}
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable(),
		field.Time("first_order_on").Optional().Nillable().SchemaType(date),
		field.Time("last_order_on").Optional().Nillable().SchemaType(date).Comment("business day of the last completed purchase"),
		field.Int64("order_count").Default(0),
		field.Int64("purchase_days").Default(0).Comment("distinct business days with a purchase, ever"),
		field.Int64("unit_count").Default(0),
		field.Int64("spent_amount").Default(0).Comment("sum of completed orders, before returns"),
		field.Int64("return_count").Default(0),
		field.Int64("returned_amount").Default(0),
		field.Int64("frequency").Default(0).Comment("F: purchase days within the RFM window"),
		field.Int64("monetary_amount").Default(0).Comment("M: net spend within the RFM window"),
		field.Int64("window_order_count").Default(0).Comment("orders within the RFM window"),
		field.Int64("window_returned_amount").Default(0).Comment("what came back within the RFM window"),
		field.String("rfm_band").Default("").MaxLen(32).Comment("code of the band, empty when none matches"),
		field.Time("reband_on").Optional().Nillable().SchemaType(date).Comment("next business day on which F, M or the band can change without a new order"),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the CustomerMetrics.
func (CustomerMetrics) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("reband_on").StorageKey("customer_metrics_reband_idx"),
		index.Fields("rfm_band", "id").StorageKey("customer_metrics_band_idx"),
	}
}

// Annotations of the CustomerMetrics.
func (CustomerMetrics) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("customer_metrics")}
}

// Policy of the CustomerMetrics.
func (CustomerMetrics) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "assigned_staff_id", Member: "id"})
}
