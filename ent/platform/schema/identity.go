// Package schema declares the entities of the platform context: who may do
// what, settings and jobs.
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

	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

func uuids() map[string]string { return map[string]string{"postgres": "uuid[]"} }
func texts() map[string]string { return map[string]string{"postgres": "text[]"} }

// Region groups stores.
type Region struct{ ent.Schema }

// Fields of the Region.
func (Region) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32),
		field.String("name").NotEmpty().MaxLen(120),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Region.
func (Region) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("regions_code_key")}
}

// Policy of the Region.
func (Region) Policy() ent.Policy { return scope.Authenticated() }

// Merchant is a business of its own under one roof with others, in a mall: its
// stores are run by its people.
type Merchant struct{ ent.Schema }

// Fields of the Merchant.
func (Merchant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32),
		field.String("name").NotEmpty().MaxLen(120),
		field.String("category").Optional().MaxLen(64),
		field.String("place").Optional().MaxLen(120),
		field.Enum("status").Values("active", "left").Default("active"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Policy of the Merchant: staff know who is in the house.
func (Merchant) Policy() ent.Policy { return scope.Authenticated() }

// Store is a shop.
type Store struct{ ent.Schema }

// Fields of the Store.
func (Store) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(32),
		field.String("name").NotEmpty().MaxLen(120),
		field.UUID("region_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("merchant_id", uuid.UUID{}).Optional().Nillable(),
		field.String("phone").Optional().MaxLen(32),
		field.String("address").Optional().MaxLen(300),
		field.String("city").Optional().MaxLen(64),
		field.Enum("status").Values("open", "closed").Default("open"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Store.
func (Store) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("region", Region.Type).Field("region_id").Unique(),
		edge.To("merchant", Merchant.Type).Field("merchant_id").Unique().Annotations(entsql.OnDelete(entsql.Restrict)),
	}
}

// Indexes of the Store.
func (Store) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("code").Unique().StorageKey("stores_code_key"),
		index.Fields("region_id").StorageKey("stores_region_idx"),
		index.Fields("merchant_id").StorageKey("stores_merchant_idx"),
	}
}

// Policy of the Store: names and places of stores are known to everybody.
func (Store) Policy() ent.Policy { return scope.Everybody() }

// Role is a named set of permissions.
type Role struct{ ent.Schema }

// Fields of the Role.
func (Role) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("code").NotEmpty().MaxLen(64),
		field.String("name").NotEmpty().MaxLen(120),
		field.Bool("built_in").Default(false),
		field.Other("permissions", pgarray.Strings{}).SchemaType(texts()),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the Role.
func (Role) Indexes() []ent.Index {
	return []ent.Index{index.Fields("code").Unique().StorageKey("roles_code_key")}
}

// Policy of the Role.
func (Role) Policy() ent.Policy { return scope.Authenticated() }

// Staff is a person who works for the retailer and signs in.
type Staff struct{ ent.Schema }

// Fields of the Staff.
func (Staff) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("username").NotEmpty().MaxLen(64).Comment("lower case"),
		field.String("name").NotEmpty().MaxLen(120),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("home store"),
		field.String("password_hash").Sensitive(),
		field.Bool("must_change_password").Default(false),
		field.Bytes("email_sealed").Optional().Sensitive().Comment("where links to a new password go; nothing searches it"),
		field.Other("recovery_codes", pgarray.Strings{}).SchemaType(texts()).Optional().Comment("keyed hashes of the codes not used yet"),
		field.Enum("status").Values("active", "disabled").Default("active"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the Staff.
func (Staff) Edges() []ent.Edge {
	return []ent.Edge{edge.To("grants", RoleGrant.Type)}
}

// Indexes of the Staff.
func (Staff) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("username").Unique().StorageKey("staff_username_key"),
		index.Fields("store_id", "id").StorageKey("staff_store_idx"),
	}
}

// Annotations of the Staff.
func (Staff) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Table("staff")}
}

// Policy of the Staff: colleagues of the stores in scope, and oneself.
func (Staff) Policy() ent.Policy {
	return scope.Policy(scope.Columns{Store: "store_id", Staff: "id"})
}

// RoleGrant gives a staff member a role within a scope.
type RoleGrant struct{ ent.Schema }

// Fields of the RoleGrant.
func (RoleGrant) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("staff_id", uuid.UUID{}).Immutable(),
		field.UUID("role_id", uuid.UUID{}).Immutable(),
		field.Enum("scope").Values("own", "store", "region", "merchant", "all"),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("region_id", uuid.UUID{}).Optional().Nillable(),
		field.UUID("merchant_id", uuid.UUID{}).Optional().Nillable(),
		field.Time("expires_at").Optional().Nillable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Edges of the RoleGrant.
func (RoleGrant) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("staff", Staff.Type).Ref("grants").Field("staff_id").Unique().Required().Immutable(),
		edge.To("role", Role.Type).Field("role_id").Unique().Required().Immutable(),
		edge.To("merchant", Merchant.Type).Field("merchant_id").Unique().Annotations(entsql.OnDelete(entsql.Restrict)),
	}
}

// Indexes of the RoleGrant.
func (RoleGrant) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("staff_id").StorageKey("role_grants_staff_idx"),
		index.Fields("role_id").StorageKey("role_grants_role_idx"),
	}
}

// Annotations of the RoleGrant.
func (RoleGrant) Annotations() []schema.Annotation {
	return []schema.Annotation{entsql.Checks(map[string]string{
		"role_grants_scope_check": "(scope = 'store') = (store_id IS NOT NULL) AND (scope = 'region') = (region_id IS NOT NULL) AND (scope = 'merchant') = (merchant_id IS NOT NULL)",
	})}
}

// Policy of the RoleGrant: visible with its staff member.
func (RoleGrant) Policy() ent.Policy { return scope.Authenticated() }

// Session is one sign-in of a staff member; its refresh token rotates.
type Session struct{ ent.Schema }

// Fields of the Session.
func (Session) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("staff_id", uuid.UUID{}).Immutable(),
		field.Bytes("refresh_hash").Sensitive().Comment("SHA-256 of the current refresh token"),
		field.Bytes("previous_refresh_hash").Optional().Sensitive(),
		field.Bytes("successor_sealed").Optional().Sensitive().Comment("the current refresh token, sealed, so that the immediate predecessor can be answered with it for 10 s"),
		field.Time("refreshed_at").Optional().Nillable(),
		field.String("user_agent").Optional().MaxLen(300),
		field.String("ip").Optional().MaxLen(45),
		field.UUID("device_id", uuid.UUID{}).Optional().Nillable().Comment("the device signed in with, known by its token"),
		field.Time("factor_at").Optional().Nillable().Comment("when the person last proved who they are"),
		field.Enum("factor_level").Values("password", "second").Default("password").Comment("with what"),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("last_used_at").Default(time.Now),
		field.Time("expires_at"),
		field.Time("revoked_at").Optional().Nillable(),
		field.String("revoked_reason").Optional().MaxLen(64),
	}
}

// Indexes of the Session.
func (Session) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("staff_id", "id").StorageKey("sessions_staff_idx"),
		index.Fields("expires_at").StorageKey("sessions_expires_idx"),
	}
}

// Policy of the Session: one's own, unless acting as the system.
func (Session) Policy() ent.Policy { return scope.Policy(scope.Columns{Staff: "staff_id"}) }

// StaffFactor is a second factor of a member of staff: the secret of an
// authenticator app, or a phone that codes are sent to. It counts once confirmed.
type StaffFactor struct{ ent.Schema }

// Fields of the StaffFactor.
func (StaffFactor) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("staff_id", uuid.UUID{}).Immutable(),
		field.Enum("method").Values("totp", "sms").Immutable(),
		field.Bytes("secret_sealed").Sensitive().Comment("the shared secret, or the phone"),
		field.Int64("last_step").Default(0).Comment("the newest time step whose code was accepted: each counts once"),
		field.UUID("challenge_id", uuid.UUID{}).Optional().Nillable().Comment("the newest code sent"),
		field.Time("confirmed_at").Optional().Nillable(),
		field.Time("last_used_at").Optional().Nillable(),
		field.Time("created_at").Default(time.Now).Immutable(),
	}
}

// Indexes of the StaffFactor.
func (StaffFactor) Indexes() []ent.Index {
	return []ent.Index{index.Fields("staff_id", "method").Unique().StorageKey("staff_factors_staff_method_key")}
}

// Policy of the StaffFactor: one's own, unless acting as the system.
func (StaffFactor) Policy() ent.Policy { return scope.Policy(scope.Columns{Staff: "staff_id"}) }

// APIKey lets a machine act.
type APIKey struct{ ent.Schema }

// Fields of the APIKey.
func (APIKey) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.String("name").NotEmpty().MaxLen(120),
		field.String("key_id").Immutable().MaxLen(32).Comment("the public part of the key"),
		field.Bytes("secret_hash").Sensitive().Comment("SHA-256 of the whole key"),
		field.Time("secret_created_at").Optional().Nillable().Comment("of the current secret; null: with the key"),
		field.Int("rotations").Default(0).Comment("short tokens name the one they were made under"),
		field.Bytes("previous_secret_hash").Optional().Sensitive().Comment("the secret before, until previous_ends_at"),
		field.Time("previous_created_at").Optional().Nillable(),
		field.Time("previous_ends_at").Optional().Nillable(),
		field.Time("previous_used_at").Optional().Nillable(),
		field.String("previous_used_ip").Optional().MaxLen(45),
		field.Other("permissions", pgarray.Strings{}).SchemaType(texts()),
		field.Bool("all_stores").Default(false),
		field.Other("store_ids", pgarray.UUIDs{}).SchemaType(uuids()),
		field.UUID("created_by", uuid.UUID{}).Optional().Nillable().Immutable(),
		field.Time("expires_at").Optional().Nillable(),
		field.Time("last_used_at").Optional().Nillable(),
		field.String("last_used_ip").Optional().MaxLen(45),
		field.Other("allowed_ips", pgarray.Strings{}).SchemaType(texts()).Optional().Comment("CIDR ranges it may be used from; empty: from anywhere"),
		field.Int("requests_per_minute").Optional().Nillable().Comment("in place of the general limits"),
		field.Time("revoked_at").Optional().Nillable(),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now).Immutable(),
		field.Time("updated_at").Default(time.Now),
	}
}

// Indexes of the APIKey.
func (APIKey) Indexes() []ent.Index {
	return []ent.Index{index.Fields("key_id").Unique().StorageKey("api_keys_key_id_key")}
}

// Policy of the APIKey.
func (APIKey) Policy() ent.Policy { return scope.Authenticated() }
