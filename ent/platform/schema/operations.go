package schema

import (
	"encoding/json"
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Setting is one configurable part of the business, by key; its owner is the
// domain that defines the key.
type Setting struct{ ent.Schema }

// Fields of the Setting.
func (Setting) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("key").MaxLen(64).Immutable(),
		field.JSON("value", json.RawMessage{}),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Policy of the Setting.
func (Setting) Policy() ent.Policy { return scope.Authenticated() }

// Job is long work somebody asked for, with its progress.
type Job struct{ ent.Schema }

// Fields of the Job.
func (Job) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("kind").NotEmpty().MaxLen(64).Immutable(),
		field.Enum("status").Values("queued", "running", "succeeded", "failed", "cancelled").Default("queued"),
		field.Int64("progress_done").Default(0),
		field.Int64("progress_total").Default(0).Comment("0 while unknown"),
		field.JSON("parameters", json.RawMessage{}).Optional(),
		field.JSON("result", json.RawMessage{}).Optional(),
		field.String("error_code").Optional().MaxLen(64),
		field.Bool("cancel_requested").Default(false),
		field.String("requested_by").Immutable().MaxLen(80).Comment("principal"),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("started_at").Optional().Nillable(),
		field.Time("finished_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Job.
func (Job) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("requested_by", "id").StorageKey("jobs_requested_by_idx"),
		index.Fields("status", "id").StorageKey("jobs_status_idx"),
	}
}

// Policy of the Job: who sees whose is a rule of the operations domain.
func (Job) Policy() ent.Policy { return scope.Authenticated() }
