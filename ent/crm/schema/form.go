package schema

import (
	"encoding/json"
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Form is a questionnaire: a draft, and what of it is asked now.
type Form struct{ ent.Schema }

// Fields of the Form.
func (Form) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(64).Immutable(),
		field.JSON("title", map[string]string{}).Comment("by language"),
		field.Enum("status").Values("draft", "published", "archived").Default("draft"),
		field.String("channel").MaxLen(32),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("home store of customers whom it makes"),
		field.JSON("definition", json.RawMessage{}).Comment("the draft"),
		field.Int("published_version").Default(0).Comment("number of what is asked; 0: nothing was ever published"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Form.
func (Form) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("forms_code_key")}
}

// Policy of the Form: everybody reads what is asked; whether members are asked
// is part of the definition.
func (Form) Policy() ent.Policy { return scope.Everybody() }

// FormVersion is what a form asked, from its publishing until the next one's.
type FormVersion struct{ ent.Schema }

// Fields of the FormVersion.
func (FormVersion) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("form_id", uuid.UUID{}).Immutable(),
		field.Int("number").Positive().Immutable(),
		field.JSON("definition", json.RawMessage{}).Immutable(),
		field.Time("published_at").Immutable(),
	}
}

// Edges of the FormVersion.
func (FormVersion) Edges() []ent.Edge {
	return []ent.Edge{edge.To("form", Form.Type).Field("form_id").Unique().Required().Immutable()}
}

// Indexes of the FormVersion.
func (FormVersion) Indexes() []ent.Index {
	return []ent.Index{index.Fields("form_id", "number").Unique().StorageKey("form_versions_number_key")}
}

// Policy of the FormVersion: as the form's.
func (FormVersion) Policy() ent.Policy { return scope.Everybody() }

// FormSubmission is a form that was handed in about a customer.
type FormSubmission struct{ ent.Schema }

// Fields of the FormSubmission.
func (FormSubmission) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("form_id", uuid.UUID{}).Immutable(),
		field.Int("form_version").Positive().Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("outcome").Values("created", "updated").Immutable(),
		field.String("channel").MaxLen(32).Immutable(),
		field.String("submitted_by_kind").MaxLen(16).Immutable(),
		field.UUID("submitted_by_id", uuid.UUID{}).Immutable(),
		field.Bytes("answers_sealed").Sensitive().Comment("all answers as JSON"),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the FormSubmission.
func (FormSubmission) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("form", Form.Type).Field("form_id").Unique().Required().Immutable(),
		edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable(),
	}
}

// Indexes of the FormSubmission.
func (FormSubmission) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("form_id", "id").StorageKey("form_submissions_form_idx"),
		index.Fields("customer_id", "id").StorageKey("form_submissions_customer_idx"),
	}
}

// Policy of the FormSubmission: seen with its customer.
func (FormSubmission) Policy() ent.Policy { return scope.Policy(ofCustomer) }
