package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// ReferralCode is what a customer invites others by.
type ReferralCode struct{ ent.Schema }

// Fields of the ReferralCode.
func (ReferralCode) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.String("code").NotEmpty().MaxLen(16).Immutable(),
		field.Enum("status").Values("active", "disabled").Default("active"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the ReferralCode.
func (ReferralCode) Edges() []ent.Edge {
	return []ent.Edge{edge.From("referrals", Referral.Type).Ref("code")}
}

// Indexes of the ReferralCode.
func (ReferralCode) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code").Unique().StorageKey("referral_codes_code_key"),
		index.Fields("customer_id", "id").StorageKey("referral_codes_customer_idx"),
	}
}

// Policy of the ReferralCode: read through its customer, members' own by themselves.
func (ReferralCode) Policy() ent.Policy { return scope.Everybody() }

// Referral is a customer whom another one's code has brought.
type Referral struct{ ent.Schema }

// Fields of the Referral.
func (Referral) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("code_id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Comment("who came"),
		field.Enum("status").Values("registered", "qualifying", "held", "rewarded", "rejected", "reversed").Default("registered"),
		field.UUID("order_id", uuid.UUID{}).Optional().Nillable().Comment("the first one, which counts"),
		field.Time("due_at").Optional().Nillable().Comment("when that order's return window is over; null but while it is qualifying"),
		field.JSON("signals", []string{}).Optional().Comment("what speaks for somebody inviting themselves"),
		field.String("unit").Default("").MaxLen(32).Comment("code of the unit in which both were rewarded"),
		field.Int64("referrer_points").Default(0).Comment("given"),
		field.Int64("referee_points").Default(0).Comment("given"),
		field.String("reason").Default("").MaxLen(500).Comment("why it was rejected or reversed"),
		field.UUID("decided_by", uuid.UUID{}).Optional().Nillable(),
		field.Time("rewarded_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Referral.
func (Referral) Edges() []ent.Edge {
	return []ent.Edge{edge.To("code", ReferralCode.Type).Field("code_id").Unique().Required().Immutable()}
}

// Indexes of the Referral.
func (Referral) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id").StorageKey("referrals_customer_idx"),
		index.Fields("code_id", "id").StorageKey("referrals_code_idx"),
		index.Fields("status", "id").StorageKey("referrals_status_idx"),
		index.Fields("order_id").Annotations(entsql.IndexWhere("order_id IS NOT NULL")).StorageKey("referrals_order_idx"),
		index.Fields("due_at", "id").Annotations(entsql.IndexWhere("due_at IS NOT NULL")).StorageKey("referrals_due_idx"),
	}
}

// Policy of the Referral: read through its customer, members' own by themselves.
func (Referral) Policy() ent.Policy { return scope.Everybody() }
