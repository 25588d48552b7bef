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

// ImportRun is a file of records that somebody uploaded, and how far it has
// been taken over. The file itself is kept sealed beside the database.
type ImportRun struct{ ent.Schema }

// Fields of the ImportRun.
func (ImportRun) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("kind").MaxLen(32).Immutable(),
		field.String("file_name").MaxLen(200).Immutable(),
		field.Enum("format").Values("csv", "xlsx", "jsonl", "onix").Immutable(),
		field.Int64("size_bytes").Immutable(),
		field.Bytes("sha256").Immutable().Comment("of the file as uploaded"),
		field.JSON("reading", json.RawMessage{}).Immutable().Comment("encoding, delimiter, sheet, header row"),
		field.Bytes("columns_sealed").Immutable().Comment("headers and suggestions; headers are the uploader's own text"),
		field.JSON("mapping", json.RawMessage{}).Comment("column number to field"),
		field.Enum("duplicates").Values("skip", "update", "review").Default("skip"),
		field.JSON("options", json.RawMessage{}).Optional().Immutable().Comment("what else the upload asked for"),
		field.Bool("dry_run").Comment("what the present or last job does"),
		field.UUID("job_id", uuid.UUID{}).Comment("the present or last job"),
		field.Int64("position").Default(0).Comment("number of the last row dealt with, written with its effects"),
		field.Int64("total_rows").Default(0).Comment("an estimate until the file has been read to its end"),
		field.Int64("created_rows").Default(0),
		field.Int64("updated_rows").Default(0),
		field.Int64("skipped_rows").Default(0),
		field.Int64("failed_rows").Default(0),
		field.Int64("held_rows").Default(0).Comment("left to a person to decide about"),
		field.Int64("likely_rows").Default(0).Comment("of those created, pairs new in the queue of duplicates"),
		field.Int64("made_records").Default(0).Comment("orders or products made of the rows created"),
		field.Int64("open_reviews").Default(0).Comment("held rows nobody has decided about"),
		field.String("requested_by").MaxLen(80).Immutable().Comment("principal"),
		field.Time("file_deleted_at").Optional().Nillable(),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the ImportRun.
func (ImportRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("requested_by", "id").StorageKey("imports_requested_by_idx"),
		index.Fields("updated_at").StorageKey("imports_files_idx").Annotations(entsql.IndexWhere("file_deleted_at IS NULL")),
	}
}

// Annotations of the ImportRun.
func (ImportRun) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("imports")}
}

// Policy of the ImportRun: that people see their own is a rule of the domain.
func (ImportRun) Policy() ent.Policy { return scope.Authenticated() }

// ExportRun is a file of records made for somebody. The file itself is kept
// sealed beside the database.
type ExportRun struct{ ent.Schema }

// Fields of the ExportRun.
func (ExportRun) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("kind").MaxLen(32).Immutable(),
		field.Enum("format").Values("csv", "xlsx", "jsonl").Immutable(),
		field.String("language").MaxLen(2).Immutable().Comment("of the headings: zh, en"),
		field.JSON("fields", []string{}).Immutable().Comment("columns; empty for all"),
		field.Bytes("filter_sealed").Immutable().Comment("may name a phone"),
		field.Bool("clear").Immutable().Comment("personal fields whole"),
		field.String("reason").MaxLen(300).Optional().Immutable(),
		field.UUID("job_id", uuid.UUID{}).Immutable(),
		field.Int64("row_count").Default(0),
		field.Int64("size_bytes").Default(0),
		field.Bool("ready").Default(false).Comment("the file is there"),
		field.String("requested_by").MaxLen(80).Immutable().Comment("principal"),
		field.Time("expires_at").Immutable(),
		field.Time("file_deleted_at").Optional().Nillable(),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Int64("version").Default(1),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the ExportRun.
func (ExportRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("requested_by", "id").StorageKey("exports_requested_by_idx"),
		index.Fields("expires_at").StorageKey("exports_files_idx").Annotations(entsql.IndexWhere("file_deleted_at IS NULL")),
	}
}

// Annotations of the ExportRun.
func (ExportRun) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("exports")}
}

// Policy of the ExportRun: that people see their own is a rule of the domain.
func (ExportRun) Policy() ent.Policy { return scope.Authenticated() }
