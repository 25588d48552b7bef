// Package schema declares the entities of the loyalty context.
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

// PointsUnit is a kind of points with rules of its own: those that members spend,
// a growth value, the points of a partner.
type PointsUnit struct{ ent.Schema }

// Fields of the PointsUnit.
func (PointsUnit) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32).Immutable(),
		field.String("name").NotEmpty().MaxLen(60),
		field.String("name_en").Default("").MaxLen(60),
		field.Enum("rounding").Values("down", "half_up", "up").Default("down").Comment("of what an order earns as a whole"),
		field.Int("pending_days").Default(0).Comment("business days until what is earned by orders can be spent"),
		field.Enum("expiry_method").Values("never", "days", "month_end", "year_end").Default("never"),
		field.Int("expiry_count").Default(0).Comment("so many days after it can be spent; at the end of the n-th month, of the n-th year, 0 being the present one"),
		field.Int64("balance_limit").Optional().Nillable().Comment("what a member can have at most, pending points included"),
		field.Int64("daily_limit").Optional().Nillable().Comment("what rules give a member at most on a business day"),
		field.Enum("return_policy").Values("only_pending", "within_balance", "may_go_negative").Default("within_balance").Comment("how far points earned by goods that come back are taken back"),
		field.Bool("spendable").Default(true).Comment("else it only counts, such as a growth value"),
		field.Bool("transferable").Default(false),
		field.Int64("redeem_points").Default(0).Comment("so many points pay redeem_amount of an order; 0: none"),
		field.Int64("redeem_amount").Default(0).Comment("in minor currency units"),
		field.Int("redeem_share_percent").Default(100).Comment("of an order, at most"),
		field.Int64("approval_limit").Optional().Nillable().Comment("adjustments of more need somebody else's approval"),
		field.Int("give_back_days").Default(0).Comment("points that come back after their time last so many days more"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the PointsUnit.
func (PointsUnit) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("points_units_code_key")}
}

// Annotations of the PointsUnit.
func (PointsUnit) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"points_units_numbers_check": "pending_days >= 0 AND expiry_count >= 0 AND redeem_points >= 0 AND redeem_amount >= 0 AND give_back_days >= 0 AND redeem_share_percent >= 0 AND redeem_share_percent <= 100",
	})}
}

// Policy of the PointsUnit.
func (PointsUnit) Policy() ent.Policy { return scope.Everybody() }

// PointsAccount holds a customer's points of a unit. Its quantities are the sums
// of its lots and of its entries. A customer who took over another one's record
// has that one's accounts beside the own.
type PointsAccount struct{ ent.Schema }

// Fields of the PointsAccount. Quantities are points.
func (PointsAccount) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("unit_id", uuid.UUID{}).Immutable(),
		field.UUID("opened_for", uuid.UUID{}).Immutable().Comment("the customer it was opened for; customer_id follows merges"),
		field.UUID("customer_id", uuid.UUID{}),
		field.Int64("pending").Default(0).Comment("earned, not to be spent yet"),
		field.Int64("active").Default(0).Comment("to be spent now"),
		field.Int64("blocked").Default(0).Comment("promised to a redemption"),
		field.Int64("debt").Default(0).Comment("taken back beyond what there was; the next points settle it"),
		field.Int64("entry_count").Default(0).Comment("the number of the last entry"),
		field.Time("due_at").Optional().Nillable().Comment("no lot becomes active or expires before"),
		field.Time("warn_at").Optional().Nillable().Comment("no warning that points expire is due before"),
		field.Time("warned_at").Optional().Nillable().Comment("warnings due until then are given"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PointsAccount.
func (PointsAccount) Edges() []ent.Edge {
	return []ent.Edge{edge.To("unit", PointsUnit.Type).Field("unit_id").Unique().Required().Immutable()}
}

// Indexes of the PointsAccount.
func (PointsAccount) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("opened_for", "unit_id").Unique().StorageKey("points_accounts_opened_for_key"),
		index.Fields("customer_id", "unit_id").StorageKey("points_accounts_customer_idx"),
		index.Fields("warn_at", "id").Annotations(entsql.IndexWhere("warn_at IS NOT NULL")).StorageKey("points_accounts_warn_idx"),
		index.Fields("due_at", "id").Annotations(entsql.IndexWhere("due_at IS NOT NULL")).StorageKey("points_accounts_due_idx"),
	}
}

// Annotations of the PointsAccount.
func (PointsAccount) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"points_accounts_quantities_check": "pending >= 0 AND active >= 0 AND blocked >= 0 AND debt >= 0 AND (debt = 0 OR active = 0)",
	})}
}

// Policy of the PointsAccount: read through its customer, members' own by themselves.
func (PointsAccount) Policy() ent.Policy { return scope.Everybody() }

// PointsLot is points that came together: they become active and expire on the
// same instants.
type PointsLot struct{ ent.Schema }

// Fields of the PointsLot. Quantities are points.
func (PointsLot) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Int64("amount").Comment("that came in all"),
		field.Int64("pending").Default(0),
		field.Int64("active").Default(0),
		field.Int64("blocked").Default(0),
		field.Time("earned_at").Immutable().Comment("when that was earned which they are for"),
		field.Time("active_at").Immutable(),
		field.Time("expires_at").Optional().Nillable(),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the PointsLot.
func (PointsLot) Edges() []ent.Edge {
	return []ent.Edge{edge.To("account", PointsAccount.Type).Field("account_id").Unique().Required().Immutable()}
}

// Indexes of the PointsLot.
func (PointsLot) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "id").StorageKey("points_lots_account_idx"),
		index.Fields("account_id", "expires_at", "id").Annotations(entsql.IndexWhere("active > 0")).StorageKey("points_lots_active_idx"),
		index.Fields("account_id", "active_at").Annotations(entsql.IndexWhere("pending > 0")).StorageKey("points_lots_pending_idx"),
		index.Fields("order_id").Annotations(entsql.IndexWhere("order_id IS NOT NULL")).StorageKey("points_lots_order_idx"),
	}
}

// Annotations of the PointsLot.
func (PointsLot) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"points_lots_quantities_check": "amount >= 0 AND pending >= 0 AND active >= 0 AND blocked >= 0 AND pending + active + blocked <= amount",
	})}
}

// Policy of the PointsLot: read through its customer, members' own by themselves.
func (PointsLot) Policy() ent.Policy { return scope.Everybody() }

// PointsEntry is a line of an account's statement: what happened to its points
// and what it had then. Entries only grow; their numbers in an account have no gaps.
type PointsEntry struct{ ent.Schema }

// Fields of the PointsEntry. Quantities are points.
func (PointsEntry) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("operation_id", uuid.UUID{}).Immutable().Comment("entries of one operation over several accounts share it"),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Int64("number").Immutable().Comment("in its account, from 1"),
		field.Enum("kind").Values("earn", "activate", "block", "release", "capture", "redeem", "give_back", "expire", "reverse", "adjust", "transfer_out", "transfer_in").Immutable(),
		field.Int64("balance_change").Immutable().Comment("of what can be spent: active less debt"),
		field.Int64("pending_change").Immutable(),
		field.Int64("blocked_change").Immutable(),
		field.Int64("balance_after").Immutable(),
		field.Int64("pending_after").Immutable(),
		field.Int64("blocked_after").Immutable(),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("hold_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.String("source_key").Optional().Nillable().MaxLen(200).Immutable().Comment("of what is earned once only"),
		field.UUID("rule_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("the rule that gave it; of orders the earning says it by line"),
		field.Int64("rule_version").Optional().Nillable().Immutable(),
		field.String("reason").Default("").MaxLen(500).Immutable(),
		field.String("actor_kind").MaxLen(20).Immutable(),
		field.UUID("actor_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("occurred_at").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the PointsEntry.
func (PointsEntry) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("account", PointsAccount.Type).Field("account_id").Unique().Required().Immutable(),
		edge.From("postings", PointsPosting.Type).Ref("entry"),
	}
}

// Indexes of the PointsEntry.
func (PointsEntry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "number").Unique().StorageKey("points_entries_account_key"),
		index.Fields("account_id", "id").StorageKey("points_entries_member_idx"),
		index.Fields("source_key").Unique().Annotations(entsql.IndexWhere("source_key IS NOT NULL")).StorageKey("points_entries_source_key"),
		index.Fields("order_id").Annotations(entsql.IndexWhere("order_id IS NOT NULL")).StorageKey("points_entries_order_idx"),
		index.Fields("hold_id").Annotations(entsql.IndexWhere("hold_id IS NOT NULL")).StorageKey("points_entries_hold_idx"),
		// What partners' keys booked: few of all entries.
		index.Fields("actor_id", "id").Annotations(entsql.IndexWhere("actor_kind = 'api_key'")).StorageKey("points_entries_key_idx"),
	}
}

// Policy of the PointsEntry: read through its customer, members' own by themselves.
func (PointsEntry) Policy() ent.Policy { return scope.Everybody() }

// PointsPosting moves points from one book to another: double entry, whose two
// sides are equal by construction. Postings only grow.
type PointsPosting struct{ ent.Schema }

var (
	books   = []string{"pending", "active", "blocked", "debt", "issued", "reversed", "spent", "expired", "transferred"}
	differs = "amount > 0 AND from_book <> to_book"
)

// Fields of the PointsPosting.
func (PointsPosting) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("entry_id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.UUID("lot_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("null: debt"),
		field.Enum("from_book").Values(books...).Immutable(),
		field.Enum("to_book").Values(books...).Immutable(),
		field.Int64("amount").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the PointsPosting.
func (PointsPosting) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("entry", PointsEntry.Type).Field("entry_id").Unique().Required().Immutable(),
		edge.To("account", PointsAccount.Type).Field("account_id").Unique().Required().Immutable(),
		edge.To("lot", PointsLot.Type).Field("lot_id").Unique().Immutable(),
	}
}

// Indexes of the PointsPosting.
func (PointsPosting) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("entry_id").StorageKey("points_postings_entry_idx"),
		index.Fields("lot_id").StorageKey("points_postings_lot_idx"),
	}
}

// Annotations of the PointsPosting.
func (PointsPosting) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"points_postings_amount_check": differs})}
}

// Policy of the PointsPosting: read with its entry.
func (PointsPosting) Policy() ent.Policy { return scope.Authenticated() }

// HeldLot is how many points of a lot a hold has.
type HeldLot struct {
	LotID     uuid.UUID `json:"lot_id"`
	AccountID uuid.UUID `json:"account_id"`
	Amount    int64     `json:"amount"`               // blocked
	Captured  int64     `json:"captured,omitempty"`   // of them spent
	GivenBack int64     `json:"given_back,omitempty"` // of those come back
}

// PointsHold is points that are promised to something or spent on it, and which
// lots they are of, so that they can come back as the same.
type PointsHold struct{ ent.Schema }

// Fields of the PointsHold. Quantities are points.
func (PointsHold) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("unit_id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.Enum("status").Values("blocked", "captured", "released", "expired").Default("blocked"),
		field.Int64("amount").Immutable(),
		field.Int64("captured").Default(0),
		field.Int64("given_back").Default(0),
		field.JSON("lots", []HeldLot{}),
		field.String("reason").Default("").MaxLen(500),
		field.String("reference").Default("").MaxLen(120).Comment("the caller's word for what they are for"),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("expires_at").Optional().Nillable().Comment("blocked points are released then; null once that is settled"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PointsHold.
func (PointsHold) Edges() []ent.Edge {
	return []ent.Edge{edge.To("unit", PointsUnit.Type).Field("unit_id").Unique().Required().Immutable()}
}

// Indexes of the PointsHold.
func (PointsHold) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").StorageKey("points_holds_customer_idx"),
		index.Fields("expires_at", "id").Annotations(entsql.IndexWhere("expires_at IS NOT NULL")).StorageKey("points_holds_due_idx"),
		index.Fields("order_id").Annotations(entsql.IndexWhere("order_id IS NOT NULL")).StorageKey("points_holds_order_idx"),
	}
}

// Annotations of the PointsHold.
func (PointsHold) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"points_holds_quantities_check": "amount > 0 AND captured >= 0 AND captured <= amount AND given_back >= 0 AND given_back <= captured",
	})}
}

// Policy of the PointsHold: read through its customer; members redeem rewards by
// themselves.
func (PointsHold) Policy() ent.Policy { return scope.Everybody() }

// PointsAdjustment is points given or taken by hand.
type PointsAdjustment struct{ ent.Schema }

// Fields of the PointsAdjustment.
func (PointsAdjustment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("unit_id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.Int64("points").Immutable().Comment("below zero: taken"),
		field.String("reason").NotEmpty().MaxLen(500).Immutable(),
		field.Enum("status").Values("awaiting_approval", "booked", "rejected").Default("booked"),
		field.UUID("requested_by", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.UUID("decided_by", uuid.UUID{}).Optional().Nillable(),
		field.Time("decided_at").Optional().Nillable(),
		field.String("decision_note").Default("").MaxLen(500),
		field.UUID("operation_id", uuid.UUID{}).Optional().Nillable().Comment("of the entries that booked it"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PointsAdjustment.
func (PointsAdjustment) Edges() []ent.Edge {
	return []ent.Edge{edge.To("unit", PointsUnit.Type).Field("unit_id").Unique().Required().Immutable()}
}

// Indexes of the PointsAdjustment.
func (PointsAdjustment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").StorageKey("points_adjustments_customer_idx"),
		index.Fields("id").Annotations(entsql.IndexWhere("status = 'awaiting_approval'")).StorageKey("points_adjustments_awaiting_idx"),
	}
}

// Annotations of the PointsAdjustment.
func (PointsAdjustment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"points_adjustments_points_check": "points <> 0"})}
}

// Policy of the PointsAdjustment: read through its customer.
func (PointsAdjustment) Policy() ent.Policy { return scope.Authenticated() }
