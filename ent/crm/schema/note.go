package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Note is what somebody wrote about a customer. The text is sealed with a key
// derived from the customer's.
type Note struct{ ent.Schema }

// Fields of the Note.
func (Note) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("kind").Values("general", "visit", "call", "fitting", "taste", "complaint", "follow_up").Default("general"),
		field.Bytes("text_sealed").Sensitive(),
		field.Bool("pinned").Default(false),
		field.Enum("author_kind").Values("staff", "api_key", "system").Immutable(),
		field.UUID("author_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Immutable(),
		field.Time("updated_at"),
	}
}

// Edges of the Note.
func (Note) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("customer", Customer.Type).Field("customer_id").Unique().Required(),
		edge.To("mentions", NoteMention.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of the Note: those of a customer, the newest first.
func (Note) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "created_at", "id").StorageKey("notes_customer_idx"),
		index.Fields("customer_id", "created_at", "id").StorageKey("notes_pinned_idx").Annotations(entsql.IndexWhere("pinned")),
	}
}

// Annotations of the Note.
func (Note) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"notes_author_check": "author_kind = 'system' OR author_id IS NOT NULL",
	})}
}

// Policy of the Note: seen with its customer, by staff only.
func (Note) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "assigned_staff_id"})
}

// NoteMention is a member of staff whom a note names, and whether they have
// seen it. It is read with its note, which says who may.
type NoteMention struct{ ent.Schema }

// Fields of the NoteMention.
func (NoteMention) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("note_id", uuid.UUID{}).Immutable(),
		field.UUID("staff_id", uuid.UUID{}).Immutable(),
		field.Time("seen_at").Optional().Nillable(),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the NoteMention.
func (NoteMention) Edges() []ent.Edge {
	return []ent.Edge{edge.From("note", Note.Type).Ref("mentions").Field("note_id").Unique().Required().Immutable()}
}

// Indexes of the NoteMention: a person once in a note; whom one is asked by.
func (NoteMention) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("note_id", "staff_id").Unique().StorageKey("note_mentions_note_key"),
		index.Fields("staff_id", "id").StorageKey("note_mentions_staff_idx"),
		index.Fields("staff_id", "id").StorageKey("note_mentions_unseen_idx").Annotations(entsql.IndexWhere("seen_at IS NULL")),
	}
}

// Policy of the NoteMention.
func (NoteMention) Policy() ent.Policy { return scope.Authenticated() }
