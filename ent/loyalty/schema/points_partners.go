package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// PartnerRate is what points of a unit cost between a partner and us, from a
// business day on, in minor currency units for each 100 points.
type PartnerRate struct {
	Unit         string `json:"unit"` // its code
	From         string `json:"from"` // the day, as 2006-01-02
	IssueAmount  int64  `json:"issue_amount"`
	RedeemAmount int64  `json:"redeem_amount"`
}

// PointsPartner is another business whose systems give and take members' points, by
// API keys of its own.
type PointsPartner struct{ ent.Schema }

// Fields of the PointsPartner.
func (PointsPartner) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(40).Immutable(),
		field.String("name").NotEmpty().MaxLen(80),
		field.Enum("status").Values("active", "archived").Default("active"),
		field.JSON("api_key_ids", []uuid.UUID{}),
		field.JSON("rates", []PartnerRate{}).Comment("by unit and day"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the PointsPartner.
func (PointsPartner) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("points_partners_code_key")}
}

// Policy of the PointsPartner.
func (PointsPartner) Policy() ent.Policy { return scope.Authenticated() }
