package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Delegation lets a colleague see the customers of somebody on leave. It holds
// by its two times alone; no job switches it on or off.
type Delegation struct{ ent.Schema }

// Fields of the Delegation.
func (Delegation) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("staff_id", uuid.UUID{}).Immutable().Comment("who is away"),
		field.UUID("to_staff_id", uuid.UUID{}).Immutable().Comment("who stands in"),
		field.Time("starts_at").Immutable(),
		field.Time("ends_at").Comment("brought forward when it is ended early"),
		field.String("reason").NotEmpty().MaxLen(300).Immutable(),
		field.UUID("created_by", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Bool("cancelled").Default(false).Comment("ended before its time"),
		field.Bool("start_noted").Default(false).Comment("its beginning is in the audit log"),
		field.Bool("end_noted").Default(false).Comment("its end is in the audit log"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Indexes of the Delegation.
func (Delegation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("staff_id", "id").StorageKey("delegations_staff_idx"),
		index.Fields("to_staff_id", "ends_at").StorageKey("delegations_to_staff_idx"),
		index.Fields("starts_at").StorageKey("delegations_unnoted_idx").Annotations(entsql.IndexWhere("NOT end_noted")),
	}
}

// Annotations of the Delegation.
func (Delegation) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"delegations_times_check": "ends_at >= starts_at AND staff_id <> to_staff_id",
	})}
}

// Policy of the Delegation: visible with its member of staff.
func (Delegation) Policy() ent.Policy { return scope.Authenticated() }
