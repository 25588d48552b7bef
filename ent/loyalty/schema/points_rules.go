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

// RuleTerms is what a rule gives, and when. Empty conditions hold for all.
type RuleTerms struct {
	Name   string `json:"name"`
	NameEN string `json:"name_en,omitempty"`

	Points    int64 `json:"points,omitempty"`     // spend: for each PerAmount; event: each time it gives
	PerAmount int64 `json:"per_amount,omitempty"` // minor currency units
	Priority  int   `json:"priority,omitempty"`   // of spend rules: the highest that holds for a line counts

	Percent    int64 `json:"percent,omitempty"`    // multiplier: of what the spend rule gives; above 100
	Combinable bool  `json:"combinable,omitempty"` // added to others; else only the best of its kind counts

	Event       string `json:"event,omitempty"`
	EveryCount  int64  `json:"every_count,omitempty"`  // gives each n-th time
	StreakDays  int64  `json:"streak_days,omitempty"`  // gives on each n-th day in a row
	DailyTimes  int64  `json:"daily_times,omitempty"`  // gives at most so often to a member on a business day; 0: any
	MemberTimes int64  `json:"member_times,omitempty"` // in all; 0: any

	TotalPoints int64 `json:"total_points,omitempty"` // what an event rule gives to all together at most; 0: any

	Stores     []uuid.UUID `json:"stores,omitempty"`
	Merchants  []uuid.UUID `json:"merchants,omitempty"`
	Categories []uuid.UUID `json:"categories,omitempty"` // and those below them
	SKUs       []string    `json:"skus,omitempty"`
	Channels   []string    `json:"channels,omitempty"`
	Tiers      []string    `json:"tiers,omitempty"`
	Weekdays   []int       `json:"weekdays,omitempty"` // 1: Monday
	From       *time.Time  `json:"from,omitempty"`
	Until      *time.Time  `json:"until,omitempty"`
	MinAmount  int64       `json:"min_amount,omitempty"` // of the goods of an order
	Campaign   string      `json:"campaign,omitempty"`   // what it belongs to, for reports
}

// PointsRule says what earns points.
type PointsRule struct{ ent.Schema }

// Fields of the PointsRule.
func (PointsRule) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(40).Immutable(),
		field.UUID("unit_id", uuid.UUID{}).Immutable(),
		field.Enum("kind").Values("spend", "multiplier", "event").Immutable(),
		field.Enum("status").Values("active", "paused", "archived").Default("active"),
		field.JSON("terms", RuleTerms{}),
		field.Int64("given_points").Default(0).Comment("by an event rule that is bounded in all"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PointsRule.
func (PointsRule) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("unit", PointsUnit.Type).Field("unit_id").Unique().Required().Immutable(),
		edge.From("versions", PointsRuleVersion.Type).Ref("rule"),
	}
}

// Indexes of the PointsRule.
func (PointsRule) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("points_rules_code_key")}
}

// Annotations of the PointsRule.
func (PointsRule) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"points_rules_given_check": "given_points >= 0"})}
}

// Policy of the PointsRule.
func (PointsRule) Policy() ent.Policy { return scope.Everybody() }

// PointsRuleVersion is what a rule was from an instant on. Versions only grow, so
// that what was given by them can be explained, and late tickets earn what they
// would have earned.
type PointsRuleVersion struct{ ent.Schema }

// Fields of the PointsRuleVersion.
func (PointsRuleVersion) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("rule_id", uuid.UUID{}).Immutable(),
		field.Int64("version").Immutable(),
		field.Enum("status").Values("active", "paused", "archived").Immutable(),
		field.JSON("terms", RuleTerms{}).Immutable(),
		field.String("actor_kind").MaxLen(20).Immutable(),
		field.UUID("actor_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("effective_at").Immutable(),
	}
}

// Edges of the PointsRuleVersion.
func (PointsRuleVersion) Edges() []ent.Edge {
	return []ent.Edge{edge.To("rule", PointsRule.Type).Field("rule_id").Unique().Required().Immutable()}
}

// Indexes of the PointsRuleVersion.
func (PointsRuleVersion) Indexes() []ent.Index {
	return []ent.Index{index.Fields("rule_id", "version").Unique().StorageKey("points_rule_versions_key")}
}

// Policy of the PointsRuleVersion.
func (PointsRuleVersion) Policy() ent.Policy { return scope.Everybody() }

// PointsEvent is something that happened to a member which a rule is about, once
// for each of its keys: reported again it changes nothing. What rules give up to
// so many times, or each n-th time, is counted here.
type PointsEvent struct{ ent.Schema }

// Fields of the PointsEvent.
func (PointsEvent) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.UUID("rule_id", uuid.UUID{}).Immutable(),
		field.String("key").NotEmpty().MaxLen(120).Immutable().Comment("of what happened"),
		field.Time("day").SchemaType(map[string]string{dialect.Postgres: "date"}).Immutable().Comment("the business day on which it happened"),
		field.Int64("points").Immutable().Comment("that it gave; 0: none"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the PointsEvent.
func (PointsEvent) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("rule", PointsRule.Type).Field("rule_id").Unique().Required().Immutable(),
		edge.To("account", PointsAccount.Type).Field("account_id").Unique().Required().Immutable(),
	}
}

// Indexes of the PointsEvent.
func (PointsEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "rule_id", "key").Unique().StorageKey("points_events_key"),
		index.Fields("account_id", "rule_id", "day").StorageKey("points_events_day_idx"),
	}
}

// Policy of the PointsEvent.
func (PointsEvent) Policy() ent.Policy { return scope.Authenticated() }

// RuleRef names a version of a rule.
type RuleRef struct {
	RuleID  uuid.UUID `json:"rule_id"`
	Version int64     `json:"version"`
}

// EarnedLine is what a line of an order earns: its amount by points for so much by
// a percentage, and by which rules.
type EarnedLine struct {
	LineID  uuid.UUID `json:"line_id"`
	Amount  int64     `json:"amount"` // what earns, now: left of the line, and not paid by points
	Points  int64     `json:"points"`
	Per     int64     `json:"per"`
	Percent int64     `json:"percent"`
	Rules   []RuleRef `json:"rules"`
}

// PointsEarning is what an order earns of a unit: always the points of what is left
// of it, so that each step of an order books the difference.
type PointsEarning struct{ ent.Schema }

// Fields of the PointsEarning.
func (PointsEarning) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("order_id", uuid.UUID{}).Immutable(),
		field.UUID("unit_id", uuid.UUID{}).Immutable(),
		field.UUID("account_id", uuid.UUID{}).Immutable(),
		field.Int64("points").Comment("what is left of the order earns"),
		field.Int64("withheld").Default(0).Comment("of them not given for a limit; below zero: left to the member although the goods came back"),
		field.String("tier").Default("").MaxLen(40).Comment("of the member when it was earned"),
		field.JSON("lines", []EarnedLine{}),
		field.Time("earned_on").SchemaType(map[string]string{dialect.Postgres: "date"}).Immutable().Comment("the order's business day"),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the PointsEarning.
func (PointsEarning) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("unit", PointsUnit.Type).Field("unit_id").Unique().Required().Immutable(),
		edge.To("account", PointsAccount.Type).Field("account_id").Unique().Required().Immutable(),
	}
}

// Indexes of the PointsEarning.
func (PointsEarning) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("order_id", "unit_id").Unique().StorageKey("points_earnings_key"),
		index.Fields("account_id", "earned_on").StorageKey("points_earnings_account_idx"),
	}
}

// Annotations of the PointsEarning.
func (PointsEarning) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{"points_earnings_points_check": "points >= 0"})}
}

// Policy of the PointsEarning: read through its customer.
func (PointsEarning) Policy() ent.Policy { return scope.Authenticated() }
