package customers

import (
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm/schema"
)

// Customer is a row opened: everything known about a customer, in clear. It
// must not leave the service unmasked; the HTTP edge answers Masked ones.
type Customer struct {
	ID         uuid.UUID
	ExternalID *string
	Person
	Gender               string
	BirthDate            *time.Time // a day, midnight UTC
	Language             string
	Source               string
	LifecycleStage       string
	TierCode             *string // of membership; nil: in no tier
	HomeStoreID          *uuid.UUID
	AssignedStaffID      *uuid.UUID
	Preferences          map[string]any
	MarketingPreferences map[string]bool
	CustomFields         map[string]any
	LifecyclePinned      bool // the stage was set by hand
	TagIDs               []uuid.UUID
	TagExpiries          map[uuid.UUID]time.Time // of those that end by themselves
	ArchivedAt           *time.Time
	Version              int64
	CreatedAt            time.Time
	UpdatedAt            time.Time
	Tags                 []string  // names of TagIDs, sorted
	Warnings             []Warning // of the write that made or changed the customer

	bought     *purchases // nil: nothing
	factsKnown bool       // bought has been read
	stageRule  string     // the rule by which the stage was derived just now
	assignedBy uuid.UUID  // the rule by which the assistant was chosen just now
	block      int32      // of its name tokens; set at creation, never changed
	wrapped    []byte     // data key of the row; nil for a new one

	provenance *schema.Provenance // nil: from before it was kept; of rows read whole
}

// Person is the sealed part of a customer; empty parts are unknown.
type Person struct {
	Name      string
	Phone     string // E.164
	PhoneKind string // mobile, landline, other; empty without a phone
	Email     string
	Card      string
	Address   *Address
	About     AddressAbout   // what is known of the address beside it
	Custom    map[string]any // custom fields that are personal
}

// Address is the default address.
type Address struct {
	Country    string `json:"country,omitempty"` // ISO 3166-1 alpha-2
	Region     string `json:"region,omitempty"`
	City       string `json:"city,omitempty"`
	District   string `json:"district,omitempty"`
	Line1      string `json:"line1,omitempty"`
	Line2      string `json:"line2,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
}

// AddressAbout is what a customer's addresses have beside the postal parts. An
// address written with the customer's record has none of it but the id, and one
// from before ids were given has none at all.
type AddressAbout struct {
	ID             uuid.UUID `json:"id,omitzero"`
	Label          string    `json:"label,omitempty"`
	RecipientName  string    `json:"recipient_name,omitempty"`
	RecipientPhone string    `json:"recipient_phone,omitempty"` // E.164
	CreatedAt      time.Time `json:"created_at,omitzero"`
}

// storedAddress is an address as it is sealed.
type storedAddress struct {
	Address
	AddressAbout
}

// Input is what a caller says about a customer. A part not specified stays as
// it is (in a new customer: gets its default); null empties it.
type Input struct {
	ExternalID           nullable.Nullable[string]
	Name                 nullable.Nullable[string]
	Phone                nullable.Nullable[string]
	Email                nullable.Nullable[string]
	CardNumber           nullable.Nullable[string]
	Gender               *string
	BirthDate            nullable.Nullable[time.Time]
	Source               *string
	HomeStoreID          nullable.Nullable[uuid.UUID]
	AssignedStaffID      nullable.Nullable[uuid.UUID]
	Address              nullable.Nullable[Address]
	Language             *string
	Preferences          *map[string]any
	MarketingPreferences *map[string]bool
	CustomFields         *map[string]any // merged one level deep; a nil member is removed
	Tags                 *[]string       // names; replaces all tags
	LifecycleStage       *string
	Collection           *Collection // how the caller got it; nil: as the context says

	nameless bool // may be known by nothing but how they sign in
}

func (c *Customer) storeID() uuid.UUID { return orNil(c.HomeStoreID) }
func (c *Customer) staffID() uuid.UUID { return orNil(c.AssignedStaffID) }

func orNil(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}
