package customers

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// table is the place that sealed fields are bound to, with column and row.
const table = "customers"

// Names of the blind indexes: a key of its own each.
const (
	indexPhone = "customers.phone"
	indexEmail = "customers.email"
	indexCard  = "customers.card_number"
	tokenLast4 = "customers.phone_last4"
	tokenName  = "customers.name"
)

// sealed is the part of a row that seal makes of a Person.
type sealed struct {
	name, phone, email, card, address []byte // ciphertexts, nil when unknown
	custom                            []byte
	phoneIndex, emailIndex, cardIndex []byte
	last4                             *int32
	nameTokens                        []int32
	addressRegion, addressCity        string
}

// seal is the only way personal data gets into a row: create, update, bulk and
// import all write what it returns. It has no effects; ciphertexts differ from
// call to call (nonces), index values do not.
//
// Name tokens are bound to the block of the row (blocks.go).
func seal(keys *crypto.Keyring, key crypto.DataKey, id uuid.UUID, p *Person, block int32) sealed {
	var s sealed
	if p.Name != "" {
		s.name = key.Seal(table, "name", id, []byte(p.Name))
		s.nameTokens = nameTokens(keys, block, pii.NameTokens(p.Name))
	}
	if p.Phone != "" {
		s.phone = key.Seal(table, "phone", id, []byte(p.Phone))
		s.phoneIndex = keys.Index(indexPhone, p.Phone)
		if last := pii.Last4(p.Phone); last != "" {
			t := keys.Token(tokenLast4, last)
			s.last4 = &t
		}
	}
	if p.Email != "" {
		s.email = key.Seal(table, "email", id, []byte(p.Email))
		s.emailIndex = keys.Index(indexEmail, emailKey(p.Email))
	}
	if p.Card != "" {
		s.card = key.Seal(table, "card_number", id, []byte(p.Card))
		s.cardIndex = keys.Index(indexCard, p.Card)
	}
	if p.Address != nil {
		raw, err := json.Marshal(storedAddress{*p.Address, p.About})
		if err != nil {
			panic(err) // texts, an id and a time
		}
		s.address = key.Seal(table, "address", id, raw)
		s.addressRegion, s.addressCity = cutRunes(p.Address.Region, 64), cutRunes(p.Address.City, 64)
	}
	if len(p.Custom) > 0 {
		raw, err := json.Marshal(p.Custom)
		if err != nil {
			panic(err) // made of texts, numbers and lists of texts
		}
		s.custom = key.Seal(table, "custom_fields", id, raw)
	}
	return s
}

// emailKey is the form of an accepted address that is indexed.
func emailKey(address string) string {
	e, err := pii.NormalizeEmail(address)
	if err != nil {
		return address // unreachable for an accepted address; still deterministic
	}
	return e.Key
}

func cutRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// open is the only way personal data gets out of a row. Columns that were not
// selected stay empty. Errors: those of crypto, for a row damaged or erased.
func open(keys *crypto.Keyring, row *crm.Customer) (Customer, error) {
	c := Customer{
		ID: row.ID, ExternalID: row.ExternalID, Gender: string(row.Gender), BirthDate: row.BirthDate,
		Language: row.Language, Source: row.Source, LifecycleStage: string(row.LifecycleStage), TierCode: row.TierCode,
		HomeStoreID: row.HomeStoreID, AssignedStaffID: row.AssignedStaffID, Preferences: row.Preferences,
		MarketingPreferences: row.MarketingPreferences, CustomFields: row.CustomFields, TagIDs: row.TagIds,
		TagExpiries: row.TagExpiries, LifecyclePinned: row.LifecyclePinned,
		block: row.NameBlock, wrapped: row.DataKey, provenance: row.Provenance, ArchivedAt: utc(row.ArchivedAt), Version: row.Version, CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
	if row.PhoneKind != nil {
		c.PhoneKind = string(*row.PhoneKind)
	}
	if len(row.NameSealed)+len(row.PhoneSealed)+len(row.EmailSealed)+len(row.CardNumberSealed)+len(row.AddressSealed)+len(row.CustomFieldsSealed) == 0 {
		return c, nil
	}
	key, err := keys.UnwrapDataKey(row.ID, row.DataKey)
	if err != nil {
		return c, fmt.Errorf("customer %s: data key: %w", row.ID, err)
	}
	var firstErr error
	field := func(column string, ciphertext []byte) []byte {
		if len(ciphertext) == 0 {
			return nil
		}
		plain, err := key.Open(table, column, row.ID, ciphertext)
		if err != nil && firstErr == nil {
			firstErr = fmt.Errorf("customer %s: %s: %w", row.ID, column, err)
		}
		return plain
	}
	c.Name = string(field("name", row.NameSealed))
	c.Phone = string(field("phone", row.PhoneSealed))
	c.Email = string(field("email", row.EmailSealed))
	c.Card = string(field("card_number", row.CardNumberSealed))
	if raw := field("address", row.AddressSealed); raw != nil {
		var a storedAddress
		if err := json.Unmarshal(raw, &a); err != nil && firstErr == nil {
			firstErr = fmt.Errorf("customer %s: address: %w", row.ID, err)
		}
		c.Address, c.About = &a.Address, a.AddressAbout
	}
	if raw := field("custom_fields", row.CustomFieldsSealed); raw != nil {
		if err := json.Unmarshal(raw, &c.Custom); err != nil && firstErr == nil {
			firstErr = fmt.Errorf("customer %s: custom fields: %w", row.ID, err)
		}
	}
	return c, firstErr
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
