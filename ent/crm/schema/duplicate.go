package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/match"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// DuplicateCandidate is a pair of customers who may be one person, and what was
// decided about them. Reasons name fields and never values.
type DuplicateCandidate struct{ ent.Schema }

// Fields of the DuplicateCandidate.
func (DuplicateCandidate) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("left_id", uuid.UUID{}).Immutable().Comment("the customer with the lower id"),
		field.UUID("right_id", uuid.UUID{}).Immutable(),
		field.Float("score").Comment("probability that the two are one person"),
		field.JSON("reasons", []match.Reason{}),
		field.Enum("status").Values("open", "not_duplicate", "duplicate").Default("open"),
		field.String("note").Optional().MaxLen(500),
		field.UUID("decided_by", uuid.UUID{}).Optional().Nillable(),
		field.Time("decided_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the DuplicateCandidate: a pair once; the queue by score; the pairs
// of one customer on either side.
func (DuplicateCandidate) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("left_id", "right_id").Unique().StorageKey("duplicate_candidates_pair_key"),
		index.Fields("right_id").StorageKey("duplicate_candidates_right_idx"),
		index.Fields("status", "score", "id").StorageKey("duplicate_candidates_queue_idx"),
	}
}

// Annotations of the DuplicateCandidate.
func (DuplicateCandidate) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"duplicate_candidates_order_check": "left_id < right_id",
		"duplicate_candidates_score_check": "score BETWEEN 0 AND 1",
	})}
}

// Policy of the DuplicateCandidate: a pair is for those who may see both
// customers, which no column can say; its queries join them and ask.
func (DuplicateCandidate) Policy() ent.Policy { return scope.Authenticated() }
