package schema

import (
	"encoding/json"
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// TierCondition is reached when a measure within the window is at least a
// threshold: spend (money less what came back, in minor units), orders (of which
// something was kept) or points (of a unit, earned less those taken back).
type TierCondition struct {
	Kind      string `json:"kind"`
	Unit      string `json:"unit,omitempty"` // code; of points
	Threshold int64  `json:"threshold"`
}

// TierBirthdayGift is points for a birthday.
type TierBirthdayGift struct {
	Unit   string `json:"unit"`
	Points int64  `json:"points"`
}

// TierBenefits are what a tier gives.
type TierBenefits struct {
	DiscountBasisPoints     int64             `json:"discount_basis_points,omitempty"`     // off prices; 1000: 10 %
	PointsMultiplierPercent int64             `json:"points_multiplier_percent,omitempty"` // of what an order earns; 0: as it is
	FreeReturnPostage       bool              `json:"free_return_postage,omitempty"`
	ExclusiveService        string            `json:"exclusive_service,omitempty"` // in words
	BirthdayGift            *TierBirthdayGift `json:"birthday_gift,omitempty"`
}

// Tier is a tier of the scheme as it is now; what it was is in TierScheme.
type Tier struct{ ent.Schema }

// Fields of the Tier.
func (Tier) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32).Immutable(),
		field.String("name").NotEmpty().MaxLen(60),
		field.String("name_en").Default("").MaxLen(60),
		field.Int("rank").Comment("the higher, the better"),
		field.Enum("match").Values("any", "all").Default("any").Comment("how many of the conditions must be fulfilled"),
		field.JSON("conditions", []TierCondition{}).Comment("none: reached by grants only"),
		field.JSON("benefits", TierBenefits{}),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Tier.
func (Tier) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code").Unique().StorageKey("tiers_code_key"),
		index.Fields("rank").Unique().StorageKey("tiers_rank_key"),
	}
}

// Annotations of the Tier.
func (Tier) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"tiers_rank_check": "rank > 0"})}
}

// Policy of the Tier: of the whole business.
func (Tier) Policy() ent.Policy { return scope.Everybody() }

// TierScheme is a snapshot of the rules and all tiers. Snapshots only grow in
// number and never change.
type TierScheme struct{ ent.Schema }

// Fields of the TierScheme.
func (TierScheme) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Int64("number").Immutable().Comment("from 1 on, without gaps"),
		field.JSON("document", json.RawMessage{}).Immutable().Comment("rules and tiers"),
		field.Time("in_force_at").Immutable().Comment("it holds from the business day of this instant on"),
		field.String("actor_kind").MaxLen(20).Immutable(),
		field.UUID("actor_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Indexes of the TierScheme.
func (TierScheme) Indexes() []ent.Index {
	return []ent.Index{index.Fields("number").Unique().StorageKey("tier_schemes_number_key")}
}

// Policy of the TierScheme: of the whole business.
func (TierScheme) Policy() ent.Policy { return scope.Everybody() }

// Membership is where a customer stands. It follows from facts and grants.
type Membership struct{ ent.Schema }

// Fields of the Membership.
func (Membership) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.String("tier_code").Optional().Nillable().MaxLen(32).Comment("null: in no tier"),
		field.Time("since_at").Optional().Nillable(),
		field.Time("ends_at").Optional().Nillable().Comment("no longer valid from then on; null: for ever"),
		field.Time("grace_ends_at").Optional().Nillable().Comment("within the grace period"),
		field.UUID("grant_id", uuid.UUID{}).Optional().Nillable().Comment("held by hand"),
		field.Int64("scheme_number").Default(0).Comment("of the scheme of the last review; 0: none yet"),
		field.Time("review_at").Optional().Nillable().Comment("due then; null: only when facts change"),
		field.Time("reviewed_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Membership.
func (Membership) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id").Unique().StorageKey("memberships_customer_key"),
		index.Fields("review_at", "customer_id").Annotations(entsql.IndexWhere("review_at IS NOT NULL")).StorageKey("memberships_due_idx"),
		index.Fields("tier_code", "customer_id").Annotations(entsql.IndexWhere("tier_code IS NOT NULL")).StorageKey("memberships_tier_idx"),
	}
}

// Policy of the Membership: read through its customer, members' own by themselves.
func (Membership) Policy() ent.Policy { return scope.Everybody() }

// MembershipChange is what a review found to have become of a membership. Rows
// only grow in number.
type MembershipChange struct{ ent.Schema }

// Fields of the MembershipChange.
func (MembershipChange) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("membership_id", uuid.UUID{}).Immutable(),
		field.String("from_tier").Optional().Nillable().MaxLen(32).Immutable(),
		field.String("to_tier").Optional().Nillable().MaxLen(32).Immutable(),
		field.Enum("reason").Values("reached", "renewed", "grace", "downgraded", "tier_removed", "granted", "grant_ended", "grant_revoked", "recalculated").Immutable(),
		field.Int64("scheme_number").Immutable(),
		field.JSON("facts", map[string]int64{}).Immutable().Comment("within the window, as they were known"),
		field.UUID("grant_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("ends_at").Optional().Nillable().Immutable().Comment("until when the tier lasts then"),
		field.Time("effective_at").Immutable(),
		field.Time("created_at").Default(time.Now).Immutable().Comment("when it was found"),
	}
}

// Indexes of the MembershipChange.
func (MembershipChange) Indexes() []ent.Index {
	return []ent.Index{index.Fields("membership_id", "id").StorageKey("membership_changes_membership_idx")}
}

// Policy of the MembershipChange: read through its customer, members' own by themselves.
func (MembershipChange) Policy() ent.Policy { return scope.Everybody() }

// MembershipGrant is a tier given by hand.
type MembershipGrant struct{ ent.Schema }

// Fields of the MembershipGrant.
func (MembershipGrant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.String("tier_code").NotEmpty().MaxLen(32).Immutable(),
		field.Time("from_at").Immutable(),
		field.Time("until_at").Optional().Nillable().Immutable().Comment("null: for ever"),
		field.String("reason").NotEmpty().MaxLen(500).Immutable(),
		field.UUID("granted_by", uuid.UUID{}).Optional().Nillable().Immutable().Comment("staff or key"),
		field.Time("revoked_at").Optional().Nillable(),
		field.UUID("revoked_by", uuid.UUID{}).Optional().Nillable(),
		field.String("revoke_reason").Default("").MaxLen(500),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the MembershipGrant.
func (MembershipGrant) Indexes() []ent.Index {
	return []ent.Index{index.Fields("customer_id", "id").StorageKey("membership_grants_customer_idx")}
}

// Policy of the MembershipGrant: read through its customer.
func (MembershipGrant) Policy() ent.Policy { return scope.Everybody() }
