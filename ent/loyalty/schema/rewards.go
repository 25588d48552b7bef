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

// Reward is something that members get for points.
type Reward struct{ ent.Schema }

// Fields of the Reward.
func (Reward) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("coupon", "gift", "service", "donation").Immutable(),
		field.String("name").NotEmpty().MaxLen(60),
		field.String("name_en").Default("").MaxLen(60),
		field.String("description").Default("").MaxLen(2000),
		field.UUID("variant_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("of a gift"),
		field.String("unit").Default("points").MaxLen(32).Comment("code of the unit of points it costs"),
		field.Int64("points").Positive(),
		field.Enum("status").Values("active", "paused").Default("active"),
		field.Time("valid_from").Optional().Nillable(),
		field.Time("valid_until").Optional().Nillable(),
		field.JSON("tier_codes", []string{}).Optional().Comment("of members who can have it; empty: all"),
		field.Int("total_limit").Optional().Nillable(),
		field.Int("member_limit").Optional().Nillable().Comment("of a member, in all"),
		field.Int("period_limit").Optional().Nillable().Comment("of a member, in a period"),
		field.Enum("period").Values("day", "week", "month", "year").Default("month"),
		field.Int("fulfil_days").Default(30).Comment("business days in which it is handed out"),
		field.Int("redeemed").Default(0).Comment("issued and fulfilled, less what came back"),
		field.Int("codes_left").Default(0).Comment("of a coupon: codes that nobody has yet"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Annotations of the Reward.
func (Reward) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"rewards_variant_check": "(kind = 'gift') = (variant_id IS NOT NULL)",
		"rewards_limits_check":  "redeemed >= 0 AND codes_left >= 0 AND (total_limit IS NULL OR redeemed <= total_limit) AND fulfil_days BETWEEN 1 AND 88",
	})}
}

// Policy of the Reward: members see what they can have.
func (Reward) Policy() ent.Policy { return scope.Everybody() }

// RewardCode is a code of a coupon that is handed out to one member.
type RewardCode struct{ ent.Schema }

// Fields of the RewardCode.
func (RewardCode) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("reward_id", uuid.UUID{}).Immutable(),
		field.Bytes("code_hash").Sensitive().Immutable().Comment("keyed hash, so that each is there once"),
		field.Bytes("code_sealed").Sensitive().Immutable(),
		field.UUID("redemption_id", uuid.UUID{}).Optional().Nillable().Comment("who has it; null: nobody yet"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the RewardCode.
func (RewardCode) Edges() []ent.Edge {
	return []ent.Edge{edge.To("reward", Reward.Type).Field("reward_id").Unique().Required().Immutable()}
}

// Indexes of the RewardCode.
func (RewardCode) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("reward_id", "code_hash").Unique().StorageKey("reward_codes_code_key"),
		index.Fields("reward_id", "id").Annotations(entsql.IndexWhere("redemption_id IS NULL")).StorageKey("reward_codes_free_idx"),
		index.Fields("redemption_id").Unique().Annotations(entsql.IndexWhere("redemption_id IS NOT NULL")).StorageKey("reward_codes_redemption_key"),
	}
}

// Policy of the RewardCode: read with its redemption.
func (RewardCode) Policy() ent.Policy { return scope.Everybody() }

// RewardRedemption is a reward that a member asked for, and what became of it.
type RewardRedemption struct{ ent.Schema }

// Fields of the RewardRedemption.
func (RewardRedemption) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("reward_id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.Enum("status").Values("issued", "fulfilled", "cancelled", "expired").Default("issued"),
		field.Int64("points").Immutable(),
		field.UUID("hold_id", uuid.UUID{}).Immutable().Comment("of the points"),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("where a gift is handed out"),
		field.UUID("reservation_id", uuid.UUID{}).Optional().Nillable().Immutable().Comment("of a gift's piece"),
		field.String("voucher").MaxLen(16).Immutable().Comment("to show at the till"),
		field.Time("expires_at").Optional().Nillable().Comment("when what is not handed out comes back; null once that is settled"),
		field.Time("fulfilled_at").Optional().Nillable(),
		field.UUID("fulfilled_by", uuid.UUID{}).Optional().Nillable(),
		field.String("reason").Default("").MaxLen(500).Comment("of the cancellation"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the RewardRedemption.
func (RewardRedemption) Edges() []ent.Edge {
	return []ent.Edge{edge.To("reward", Reward.Type).Field("reward_id").Unique().Required().Immutable()}
}

// Indexes of the RewardRedemption.
func (RewardRedemption) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("voucher").Unique().StorageKey("reward_redemptions_voucher_key"),
		index.Fields("customer_id", "reward_id", "id").StorageKey("reward_redemptions_customer_idx"),
		index.Fields("store_id", "id").Annotations(entsql.IndexWhere("store_id IS NOT NULL")).StorageKey("reward_redemptions_store_idx"),
		index.Fields("expires_at", "id").Annotations(entsql.IndexWhere("expires_at IS NOT NULL")).StorageKey("reward_redemptions_due_idx"),
	}
}

// Policy of the RewardRedemption: read through its customer, or by the store that
// hands it out.
func (RewardRedemption) Policy() ent.Policy { return scope.Everybody() }
