package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// ofCustomer are the scope columns of what belongs to a customer.
var ofCustomer = scope.Columns{Store: "store_id", Staff: "assigned_staff_id", Member: "customer_id"}

// CustomerIdentity is a way in which a customer signs in on their own side of
// the API. What it is known by outside (phone, open id, subject) is sealed with
// a key derived from the customer's.
type CustomerIdentity struct{ ent.Schema }

// Fields of the CustomerIdentity.
func (CustomerIdentity) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("provider").Values("phone", "password", "wechat_mini", "wechat_official", "oidc").Immutable(),
		field.String("app").Default("").MaxLen(64).Immutable().Comment("app id at WeChat, name of the OpenID Connect provider, else empty"),
		field.Bytes("subject_sealed").Sensitive().Immutable(),
		field.Bytes("subject_index").Sensitive().Immutable(),
		field.Bytes("union_index").Optional().Sensitive().Comment("blind index of the union id, within its open-platform account"),
		field.String("password_hash").Optional().Sensitive().Comment("of provider password only"),
		field.Time("verified_at"),
		field.Time("last_used_at"),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the CustomerIdentity.
func (CustomerIdentity) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable()}
}

// Indexes of the CustomerIdentity.
func (CustomerIdentity) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("provider", "app", "subject_index").Unique().StorageKey("customer_identities_subject_key"),
		index.Fields("customer_id", "id").StorageKey("customer_identities_customer_idx"),
		index.Fields("union_index").StorageKey("customer_identities_union_idx"),
	}
}

// Annotations of the CustomerIdentity.
func (CustomerIdentity) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"customer_identities_password_check": "(provider = 'password') = (coalesce(password_hash, '') <> '')",
	})}
}

// Policy of the CustomerIdentity: seen with its customer.
func (CustomerIdentity) Policy() ent.Policy { return scope.Policy(ofCustomer) }

// MemberSession is one sign-in of a customer on a device; its refresh token rotates.
type MemberSession struct{ ent.Schema }

// Fields of the MemberSession.
func (MemberSession) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("identity_id", uuid.UUID{}).Immutable().Comment("what the customer signed in by; it may be gone since"),
		field.Bytes("refresh_hash").Sensitive().Comment("SHA-256 of the current refresh token"),
		field.Bytes("previous_refresh_hash").Optional().Sensitive(),
		field.Bytes("successor_sealed").Optional().Sensitive().Comment("the current refresh token, sealed, so that the immediate predecessor can be answered with it for 10 s"),
		field.Time("refreshed_at").Optional().Nillable(),
		field.Bytes("device_hash").Sensitive().Immutable().Comment("keyed hash of the device's id"),
		field.Bytes("program_hash").Sensitive().Comment("keyed hash of the program that refreshed last"),
		field.Bytes("client_sealed").Sensitive().Comment("device label, program and address as JSON"),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("last_used_at").Default(time.Now),
		field.Time("expires_at"),
		field.Time("revoked_at").Optional().Nillable(),
		field.String("revoked_reason").Optional().MaxLen(64),
	}
}

// Edges of the MemberSession.
func (MemberSession) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable()}
}

// Indexes of the MemberSession.
func (MemberSession) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").StorageKey("member_sessions_customer_idx"),
		index.Fields("expires_at").StorageKey("member_sessions_expires_idx"),
	}
}

// Policy of the MemberSession: one's own.
func (MemberSession) Policy() ent.Policy { return scope.Policy(scope.Columns{Member: "customer_id"}) }

// ConsentText is one version of what customers agree to, for one purpose.
type ConsentText struct{ ent.Schema }

// Wording is a text in one language.
type Wording struct {
	Title string `json:"title"`
	Body  string `json:"body"`
}

// Fields of the ConsentText.
func (ConsentText) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.Enum("purpose").Values("terms", "guardian", "marketing", "profiling").Immutable(),
		field.Int("version").Positive().Immutable(),
		field.JSON("wordings", map[string]Wording{}).Immutable().Comment("by language: zh-CN, en"),
		field.Bytes("hash").Immutable().Comment("SHA-256 over the wordings"),
		field.Time("published_at").Immutable(),
	}
}

// Indexes of the ConsentText.
func (ConsentText) Indexes() []ent.Index {
	return []ent.Index{index.Fields("purpose", "version").Unique().StorageKey("consent_texts_version_key")}
}

// Policy of the ConsentText: everybody may read what they are asked to agree to.
func (ConsentText) Policy() ent.Policy { return scope.Everybody() }

// Consent is what a customer agreed to, and when that ended. Rows are kept as
// evidence: nothing but withdrawn_at changes.
type Consent struct{ ent.Schema }

// Fields of the Consent.
func (Consent) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("purpose").Values("terms", "guardian", "marketing", "profiling").Immutable(),
		field.Int("text_version").Positive().Immutable(),
		field.Bytes("text_hash").Immutable(),
		field.String("channel").MaxLen(32).Immutable().Comment("where it was given: wechat_mini, wechat_official, member_app, member_oidc"),
		field.Bytes("evidence_sealed").Sensitive().Immutable().Comment("address, program and device as JSON"),
		field.Time("granted_at").Immutable(),
		field.Time("withdrawn_at").Optional().Nillable(),
	}
}

// Edges of the Consent.
func (Consent) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable()}
}

// Indexes of the Consent. One consent for a purpose counts at a time.
func (Consent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("customer_id", "id").StorageKey("consents_customer_idx"),
		index.Fields("customer_id", "purpose").Unique().StorageKey("consents_live_key").Annotations(entsql.IndexWhere("withdrawn_at IS NULL")),
	}
}

// Annotations of the Consent.
func (Consent) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"consents_withdrawn_check": "withdrawn_at IS NULL OR withdrawn_at >= granted_at",
	})}
}

// Policy of the Consent: seen with its customer.
func (Consent) Policy() ent.Policy { return scope.Policy(ofCustomer) }
