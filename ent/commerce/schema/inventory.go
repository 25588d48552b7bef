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

// stockScope: stock belongs to a store, and whoever works there sees it.
var stockScope = scope.Columns{Store: "store_id", Workplace: true}

// StockLevel is how many pieces of a variant a store has. It is the sum of the
// movements and of the open reservations, kept with them.
type StockLevel struct{ ent.Schema }

// Fields of the StockLevel. Quantities are pieces.
func (StockLevel) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Int64("on_hand").Default(0).Comment("fit for sale, on the shelf and in the stock room"),
		field.Int64("reserved").Default(0).Comment("of them promised"),
		field.Int64("incoming").Default(0).Comment("sent by another store and not arrived"),
		field.Int64("damaged").Default(0).Comment("in the store, not fit for sale"),
		field.Time("counted_at").Optional().Nillable().Comment("when an approved count last looked at it: late tickets from before are in the count already"),
		field.Int64("low_stock_threshold").Optional().Nillable().Comment("an alert from this many available pieces down"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the StockLevel.
func (StockLevel) Edges() []ent.Edge {
	return []ent.Edge{edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable()}
}

// Indexes of the StockLevel.
func (StockLevel) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("store_id", "variant_id").Unique().StorageKey("stock_levels_store_variant_key"),
		index.Fields("store_id", "id").StorageKey("stock_levels_store_idx"),
		index.Fields("variant_id", "id").StorageKey("stock_levels_variant_idx"),
		index.Fields("store_id", "id").Annotations(entsql.IndexWhere("low_stock_threshold IS NOT NULL")).StorageKey("stock_levels_watched_idx"),
	}
}

// Annotations of the StockLevel.
func (StockLevel) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"stock_levels_quantity_check":  "on_hand >= 0 AND reserved >= 0 AND incoming >= 0 AND damaged >= 0",
		"stock_levels_threshold_check": "low_stock_threshold IS NULL OR low_stock_threshold >= 0",
	})}
}

// Policy of the StockLevel.
func (StockLevel) Policy() ent.Policy { return scope.Policy(stockScope) }

// StockMovement is one line of the stock ledger, which only grows: by how much
// which quantities of a variant changed in a store, and why. Lines written
// together are a document.
type StockMovement struct{ ent.Schema }

// Fields of the StockMovement. Quantities are pieces, amounts minor currency
// units.
func (StockMovement) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("document_id", uuid.UUID{}).Immutable(),
		field.Int("line_number").Immutable(),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("receipt", "sale", "return", "damage", "repair", "disposal", "adjustment", "transfer_out", "transfer_in", "count").Immutable(),
		field.Int64("on_hand_change").Default(0).Immutable(),
		field.Int64("damaged_change").Default(0).Immutable(),
		field.Int64("incoming_change").Default(0).Immutable(),
		field.Int64("on_hand_after").Immutable().Comment("what the level was then"),
		field.Int64("unit_cost_amount").Optional().Nillable().Immutable(),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.Time("occurred_at").Immutable().Comment("when it happened in the store"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the StockMovement.
func (StockMovement) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("document", StockDocument.Type).Ref("movements").Field("document_id").Unique().Required().Immutable(),
		edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable(),
	}
}

// Indexes of the StockMovement.
func (StockMovement) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("document_id", "line_number").Unique().StorageKey("stock_movements_document_key"),
		index.Fields("store_id", "id").StorageKey("stock_movements_store_idx"),
		index.Fields("variant_id", "store_id", "id").StorageKey("stock_movements_variant_idx"),
	}
}

// Policy of the StockMovement.
func (StockMovement) Policy() ent.Policy { return scope.Policy(stockScope) }

// StockDocument is what movements were written together for: a delivery, a
// breakage, a ticket, a transfer, a count.
type StockDocument struct{ ent.Schema }

// Fields of the StockDocument.
func (StockDocument) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.String("external_number").Optional().Nillable().MaxLen(64).Immutable().Comment("the sender's number: a second document of it is the first"),
		field.Enum("origin").Values("manual", "sync", "reservation", "transfer", "count", "order", "return").Immutable(),
		field.UUID("origin_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("actor").MaxLen(120).Immutable().Comment("user name of staff, name of a key or job"),
		field.Int("line_count").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the StockDocument.
func (StockDocument) Edges() []ent.Edge {
	return []ent.Edge{edge.To("movements", StockMovement.Type)}
}

// Indexes of the StockDocument.
func (StockDocument) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("external_number", "store_id").Unique().StorageKey("stock_documents_external_number_key"),
		index.Fields("origin_id").StorageKey("stock_documents_origin_idx"),
	}
}

// Policy of the StockDocument: visible with its movements.
func (StockDocument) Policy() ent.Policy { return scope.Authenticated() }

// StockReservation promises pieces of a store to somebody until an instant.
type StockReservation struct{ ent.Schema }

// Fields of the StockReservation.
func (StockReservation) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.Enum("status").Values("open", "committed", "released", "expired").Default("open"),
		field.Time("expires_at"),
		field.String("reference").Default("").MaxLen(120).Comment("what it is for, in the caller's words: no personal data"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the StockReservation.
func (StockReservation) Edges() []ent.Edge {
	return []ent.Edge{edge.To("lines", StockReservationLine.Type)}
}

// Indexes of the StockReservation.
func (StockReservation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("store_id", "id").StorageKey("stock_reservations_store_idx"),
		index.Fields("expires_at", "id").Annotations(entsql.IndexWhere("status = 'open'")).StorageKey("stock_reservations_due_idx"),
	}
}

// Policy of the StockReservation.
func (StockReservation) Policy() ent.Policy { return scope.Policy(stockScope) }

// StockReservationLine is one variant of a reservation. Read through it only.
type StockReservationLine struct{ ent.Schema }

// Fields of the StockReservationLine.
func (StockReservationLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("reservation_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Int64("quantity").Immutable(),
	}
}

// Edges of the StockReservationLine.
func (StockReservationLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("reservation", StockReservation.Type).Ref("lines").Field("reservation_id").Unique().Required().Immutable(),
		edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable(),
	}
}

// Indexes of the StockReservationLine.
func (StockReservationLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("reservation_id", "variant_id").Unique().StorageKey("stock_reservation_lines_reservation_key"),
		index.Fields("variant_id").StorageKey("stock_reservation_lines_variant_idx"),
	}
}

// Annotations of the StockReservationLine.
func (StockReservationLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"stock_reservation_lines_quantity_check": "quantity > 0"})}
}

// Policy of the StockReservationLine: visible with its reservation.
func (StockReservationLine) Policy() ent.Policy { return scope.Authenticated() }

// StockTransfer is goods that one store sends to another.
type StockTransfer struct{ ent.Schema }

// Fields of the StockTransfer.
func (StockTransfer) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("from_store_id", uuid.UUID{}).Immutable(),
		field.UUID("to_store_id", uuid.UUID{}).Immutable(),
		field.Enum("status").Values("draft", "in_transit", "received", "cancelled").Default("draft"),
		field.String("note").Default("").MaxLen(500),
		field.Time("shipped_at").Optional().Nillable(),
		field.Time("received_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the StockTransfer.
func (StockTransfer) Edges() []ent.Edge {
	return []ent.Edge{edge.To("lines", StockTransferLine.Type)}
}

// Indexes of the StockTransfer.
func (StockTransfer) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("from_store_id", "id").StorageKey("stock_transfers_from_idx"),
		index.Fields("to_store_id", "id").StorageKey("stock_transfers_to_idx"),
	}
}

// Annotations of the StockTransfer.
func (StockTransfer) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"stock_transfers_stores_check": "from_store_id <> to_store_id"})}
}

// Policy of the StockTransfer: both stores see it.
func (StockTransfer) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "from_store_id", OtherStore: "to_store_id", Workplace: true})
}

// StockTransferLine is one variant of a transfer. Read through it only.
type StockTransferLine struct{ ent.Schema }

// Fields of the StockTransferLine. What is neither received nor damaged on the
// way was lost.
func (StockTransferLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("transfer_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Int64("quantity").Immutable(),
		field.Int64("received_quantity").Default(0),
		field.Int64("damaged_quantity").Default(0),
	}
}

// Edges of the StockTransferLine.
func (StockTransferLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("transfer", StockTransfer.Type).Ref("lines").Field("transfer_id").Unique().Required().Immutable(),
		edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable(),
	}
}

// Indexes of the StockTransferLine.
func (StockTransferLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("transfer_id", "variant_id").Unique().StorageKey("stock_transfer_lines_transfer_key"),
		index.Fields("variant_id").StorageKey("stock_transfer_lines_variant_idx"),
	}
}

// Annotations of the StockTransferLine.
func (StockTransferLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"stock_transfer_lines_quantity_check": "quantity > 0 AND received_quantity >= 0 AND damaged_quantity >= 0 AND received_quantity + damaged_quantity <= quantity",
	})}
}

// Policy of the StockTransferLine: visible with its transfer.
func (StockTransferLine) Policy() ent.Policy { return scope.Authenticated() }

// StockCount is a count of what a store really has.
type StockCount struct{ ent.Schema }

// Fields of the StockCount.
func (StockCount) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Immutable(),
		field.Enum("status").Values("open", "submitted", "approved", "cancelled").Default("open"),
		field.String("note").Default("").MaxLen(500),
		field.String("submitted_by").Optional().Nillable().MaxLen(120).Comment("user name of staff, name of a key"),
		field.Time("submitted_at").Optional().Nillable(),
		field.String("approved_by").Optional().Nillable().MaxLen(120),
		field.Time("approved_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the StockCount.
func (StockCount) Edges() []ent.Edge {
	return []ent.Edge{edge.To("lines", StockCountLine.Type)}
}

// Indexes of the StockCount.
func (StockCount) Indexes() []ent.Index {
	return []ent.Index{index.Fields("store_id", "id").StorageKey("stock_counts_store_idx")}
}

// Policy of the StockCount.
func (StockCount) Policy() ent.Policy { return scope.Policy(stockScope) }

// StockCountLine is how many pieces of a variant were found, beside how many
// there should have been at that moment. Read through its count only.
type StockCountLine struct{ ent.Schema }

// Fields of the StockCountLine.
func (StockCountLine) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("count_id", uuid.UUID{}).Immutable(),
		field.UUID("variant_id", uuid.UUID{}).Immutable(),
		field.Int64("expected_quantity").Comment("on hand by the book when the line was written"),
		field.Int64("counted_quantity"),
		field.Time("counted_at"),
	}
}

// Edges of the StockCountLine.
func (StockCountLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("count", StockCount.Type).Ref("lines").Field("count_id").Unique().Required().Immutable(),
		edge.To("variant", Variant.Type).Field("variant_id").Unique().Required().Immutable(),
	}
}

// Indexes of the StockCountLine.
func (StockCountLine) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("count_id", "variant_id").Unique().StorageKey("stock_count_lines_count_key"),
		index.Fields("variant_id").StorageKey("stock_count_lines_variant_idx"),
	}
}

// Annotations of the StockCountLine.
func (StockCountLine) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"stock_count_lines_quantity_check": "counted_quantity >= 0"})}
}

// Policy of the StockCountLine: visible with its count.
func (StockCountLine) Policy() ent.Policy { return scope.Authenticated() }
