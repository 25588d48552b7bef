package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// CustomerAddress is an address of a customer beside the default one, which is
// part of the customer's own row.
type CustomerAddress struct{ ent.Schema }

// Fields of the CustomerAddress.
func (CustomerAddress) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Bytes("address_sealed").Sensitive().Comment("label, recipient and address as JSON"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the CustomerAddress.
func (CustomerAddress) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable()}
}

// Indexes of the CustomerAddress.
func (CustomerAddress) Indexes() []ent.Index {
	return []ent.Index{index.Fields("customer_id", "id").StorageKey("customer_addresses_customer_idx")}
}

// Policy of the CustomerAddress: seen with its customer.
func (CustomerAddress) Policy() ent.Policy { return scope.Policy(ofCustomer) }

// FamilyMember is somebody of a customer's family, as the customer tells of
// them: for whom they buy. They are no customers themselves.
type FamilyMember struct{ ent.Schema }

// Fields of the FamilyMember.
func (FamilyMember) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", uuid.UUID{}).Immutable(),
		field.UUID("customer_id", uuid.UUID{}).Immutable(),
		field.UUID("store_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.UUID("assigned_staff_id", uuid.UUID{}).Optional().Nillable().Comment("the customer's, kept in step by a trigger"),
		field.Enum("relation").Values("spouse", "child", "parent", "sibling", "grandparent", "grandchild", "other"),
		field.Bytes("details_sealed").Sensitive().Comment("name, gender, birth date, sizes and notes as JSON"),
		field.Int64("version").Default(1),
		field.Time("created_at").Default(time.Now),
		field.Time("updated_at").Default(time.Now),
	}
}

// Edges of the FamilyMember.
func (FamilyMember) Edges() []ent.Edge {
	return []ent.Edge{edge.To("customer", Customer.Type).Field("customer_id").Unique().Required().Immutable()}
}

// Indexes of the FamilyMember.
func (FamilyMember) Indexes() []ent.Index {
	return []ent.Index{index.Fields("customer_id", "id").StorageKey("family_members_customer_idx")}
}

// Policy of the FamilyMember: seen with its customer.
func (FamilyMember) Policy() ent.Policy { return scope.Policy(ofCustomer) }
