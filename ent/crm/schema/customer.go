// Package schema declares the entities of the customer context.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Customer is a person the retailer knows. Names, phones, e-mails, addresses
// and card numbers are sealed with the row's own data key; the *_index and
// *_tokens columns are blind indexes made with a separate key.
type Customer struct{ ent.Schema }

// Fields of the Customer.
func (Customer) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("external_id").Optional().Nillable().MaxLen(128).Comment("id of the customer in an outside system; unique"),
		field.Bytes("data_key").Sensitive().Comment("the row's data key, wrapped by the business key; destroying it erases the person"),
		field.Bytes("name_sealed").Optional().Sensitive(),
		field.Other("name_tokens", pgarray.Int32s{}).SchemaType(map[string]string{dialect.Postgres: "integer[]"}).Comment("blind search tokens of the name"),
		field.Int32("name_block").Default(0).Comment("the block of customers, in order of arrival, that the tokens are bound to"),
		field.Bytes("phone_sealed").Optional().Sensitive().Comment("E.164"),
		field.Bytes("phone_index").Optional().Nillable().Sensitive(),
		field.Int32("phone_last4_token").Optional().Nillable(),
		field.Enum("phone_kind").Values("mobile", "landline", "other").Optional().Nillable(),
		field.Bytes("email_sealed").Optional().Sensitive(),
		field.Bytes("email_index").Optional().Nillable().Sensitive(),
		field.Bytes("card_number_sealed").Optional().Sensitive(),
		field.Bytes("card_number_index").Optional().Nillable().Sensitive(),
		field.Bytes("address_sealed").Optional().Sensitive().Comment("the default address as JSON"),
		field.String("address_region").Optional().MaxLen(64).Comment("province or state in clear, for filters and statistics"),
		field.String("address_city").Optional().MaxLen(64),
		field.Enum("gender").Values("female", "male", "other", "unknown").Default("unknown"),
		field.Time("birth_date").Optional().Nillable().SchemaType(map[string]string{dialect.Postgres: "date"}),
		field.String("language").Default("zh-CN").MaxLen(16),
		field.String("source").Default("staff").MaxLen(64).Comment("channel of first contact, e.g. staff, pos, qr, web, import"),
		field.UUID("home_store_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable(),
		field.JSON("preferences", map[string]any{}).Optional().Comment("declared tastes"),
		field.JSON("marketing_preferences", map[string]bool{}).Optional().Comment("consent to channels, as declared"),
		field.JSON("custom_fields", map[string]any{}).Optional(),
		field.Bytes("custom_fields_sealed").Optional().Sensitive().Comment("those of the custom fields that are personal, as JSON"),
		field.Other("tag_ids", pgarray.UUIDs{}).SchemaType(map[string]string{dialect.Postgres: "uuid[]"}),
		field.JSON("tag_expiries", map[uuid.UUID]time.Time{}).Optional().Comment("when those of the tags end that end by themselves, by id"),
		field.Enum("lifecycle_stage").Values("prospect", "new", "active", "loyal", "dormant", "lost").Default("prospect"),
		field.String("tier_code").Optional().Nillable().MaxLen(32).Comment("the tier of membership; null: none. Package membership has it written"),
		field.Bool("lifecycle_pinned").Default(false).Comment("the stage was set by hand and is not derived"),
		field.JSON("provenance", &Provenance{}).Optional().Comment("where the values came from, without any"),
		field.Time("archived_at").Optional().Nillable(),
		field.UUID("merged_into_id", uuid.UUID{}).Optional().Nillable().
			Comment("the customer whom this one turned out to be; the row is kept for its identifiers and for undoing, and seen by nobody"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Customer. Lists are keyset-paged by (created_at, id) within a
// scope; id is UUIDv7, so id alone orders by creation.
func (Customer) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("external_id").Unique().StorageKey("customers_external_id_key"),
		index.Fields("phone_index").Unique().StorageKey("customers_phone_key"),
		index.Fields("email_index").Unique().StorageKey("customers_email_key"),
		index.Fields("card_number_index").Unique().StorageKey("customers_card_number_key"),
		index.Fields("phone_last4_token", "id", "home_store_id", "assigned_staff_id").StorageKey("customers_phone_last4_idx"),
		index.Fields("tag_ids").Annotations(entsql.IndexType("GIN")).StorageKey("customers_tag_ids_idx"),
		index.Fields("home_store_id", "id").StorageKey("customers_store_idx"),
		index.Fields("assigned_staff_id", "id").StorageKey("customers_staff_idx"),
		index.Fields("updated_at", "id").StorageKey("customers_updated_idx"),
		index.Fields("merged_into_id").StorageKey("customers_merged_into_idx").Annotations(entsql.IndexWhere("merged_into_id IS NOT NULL")),
		index.Fields("birth_date", "id").StorageKey("customers_birth_date_idx"),
		index.Fields("lifecycle_stage", "id").StorageKey("customers_stage_idx").Annotations(entsql.IndexWhere("lifecycle_stage <> 'prospect'")),
		index.Fields("tier_code", "id").StorageKey("customers_tier_idx").Annotations(entsql.IndexWhere("tier_code IS NOT NULL")),
	}
}

// Annotations of the Customer.
func (Customer) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"customers_version_check": "version > 0",
		"customers_merged_check":  "merged_into_id IS NULL OR archived_at IS NOT NULL",
	})}
}

// Policy of the Customer: home store and assigned assistant.
func (Customer) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id", Member: "id", Gone: "merged_into_id"})
}

// Tag is a label for customers.
type Tag struct{ ent.Schema }

// Fields of the Tag.
func (Tag) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("name").NotEmpty().MaxLen(64),
		field.String("category").Optional().MaxLen(64),
		field.String("color").Optional().MaxLen(16),
		field.String("description").Default("").MaxLen(300),
		field.Int32("lifetime_days").Optional().Nillable().Comment("how long the tag lasts on a customer unless the assignment says so"),
		field.String("condition").Optional().Nillable().SchemaType(map[string]string{dialect.Postgres: "text"}).
			Comment("an expression over the customer; those for whom it holds have the tag, nobody else"),
		field.UUID("job_id", uuid.UUID{}).Optional().Nillable().Comment("the job that applies the condition to everybody"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Tag.
func (Tag) Indexes() []ent.Index {
	return []ent.Index{index.Fields("name").Unique().StorageKey("tags_name_key")}
}

// Policy of the Tag.
func (Tag) Policy() ent.Policy { return scope.Authenticated() }
