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

// MergeField tells from which customer a merge took a field.
type MergeField struct {
	Field  string `json:"field"`
	Choice string `json:"choice"` // survivor, merged, both
}

// MergeCount is how many rows of a kind a merge moved.
type MergeCount struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// MergeKept is a field that undoing a merge did not put back as it was.
type MergeKept struct {
	Customer string `json:"customer"` // survivor, merged
	Field    string `json:"field"`
	Reason   string `json:"reason"` // edited_since, taken
}

// CustomerMerge is the record of two customers becoming one: enough to make
// them two again. What the rows were is sealed with each customer's own key.
type CustomerMerge struct{ ent.Schema }

// Fields of the CustomerMerge.
func (CustomerMerge) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("survivor_id", uuid.UUID{}).Immutable(),
		field.UUID("merged_id", uuid.UUID{}).Immutable(),
		field.Enum("status").Values("done", "undone").Default("done"),
		field.JSON("fields", []MergeField{}).Immutable(),
		field.JSON("moved", []MergeCount{}).Immutable(),
		field.JSON("kept", []MergeKept{}).Optional().Comment("of undoing"),
		field.Bytes("survivor_sealed").Sensitive().Immutable().Comment("the survivor before and after"),
		field.Bytes("merged_sealed").Sensitive().Immutable().Comment("the other one before and after, and which rows moved"),
		field.UUID("merged_by", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("merged_at").Immutable(),
		field.UUID("undone_by", uuid.UUID{}).Optional().Nillable(),
		field.Time("undone_at").Optional().Nillable(),
		field.Int64("version").Default(1),
	}
}

// Indexes of the CustomerMerge: a customer is merged away once at a time.
func (CustomerMerge) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("merged_id").Unique().StorageKey("customer_merges_live_key").Annotations(entsql.IndexWhere("status = 'done'")),
		index.Fields("merged_id", "id").StorageKey("customer_merges_merged_idx"),
		index.Fields("survivor_id", "id").StorageKey("customer_merges_survivor_idx"),
	}
}

// Policy of the CustomerMerge: for those who may see the survivor, which no
// column can say; its queries join and ask.
func (CustomerMerge) Policy() ent.Policy { return scope.Authenticated() }
