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

// Attachment is a picture or document about a customer. Its contents lie in the
// store of files, encrypted with a key of their own, which is sealed here with a
// key derived from the customer's, as are caption and file name.
type Attachment struct{ ent.Schema }

// Fields of the Attachment.
func (Attachment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("kind").Values("outfit", "document", "other").Default("other"),
		field.Bytes("caption_sealed").Optional().Sensitive(),
		field.Bytes("file_name_sealed").Optional().Sensitive().Comment("as uploaded"),
		field.Bytes("file_key_sealed").Sensitive().Comment("the key of the contents; destroying the customer's key erases them"),
		field.String("content_type").MaxLen(64).Immutable().Comment("found out from the contents"),
		field.Int64("size_bytes").Immutable(),
		field.Int("width").Optional().Nillable().Immutable().Comment("pixels, of pictures"),
		field.Int("height").Optional().Nillable().Immutable(),
		field.Enum("author_kind").Values("staff", "api_key", "system").Immutable(),
		field.UUID("author_id", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Immutable(),
		field.Time("updated_at"),
	}
}

// Edges of the Attachment.
func (Attachment) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required()}
}

// Indexes of the Attachment: those of a customer, the newest first.
func (Attachment) Indexes() []ent.Index {
	return []ent.Index{index.Fields("customer_id", "created_at", "id").StorageKey("attachments_customer_idx")}
}

// Annotations of the Attachment.
func (Attachment) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"attachments_author_check":  "author_kind = 'system' OR author_id IS NOT NULL",
		"attachments_picture_check": "(width IS NULL) = (height IS NULL)",
	})}
}

// Policy of the Attachment: seen with its customer, by staff only.
func (Attachment) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "assigned_staff_id"})
}
