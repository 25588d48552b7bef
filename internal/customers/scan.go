package customers

import (
	"database/sql"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// columns are what an answer is made of, in the order of scanner.into, for hand
// SQL that calls the table c.
const columns = `c.id, c.external_id, c.data_key, c.name_sealed, c.phone_sealed, c.phone_kind, c.email_sealed, c.card_number_sealed, c.address_sealed,
c.gender, c.birth_date, c.language, c.source, c.home_store_id, c.assigned_staff_id, c.preferences, c.marketing_preferences, c.custom_fields,
c.custom_fields_sealed, c.tag_ids, c.tag_expiries, c.lifecycle_stage, c.lifecycle_pinned, c.tier_code, c.archived_at, c.version, c.created_at, c.updated_at`

// scanner reads rows of columns one after the other. Ciphertexts are opened
// straight from the driver's buffer: half of what a page costs in Go would be
// copies of them.
type scanner struct {
	row                                        crm.Customer
	dataKey, name, phone, email, card, address sql.RawBytes
	customSealed                               sql.RawBytes
	kind, gender, stage                        sql.NullString
	preferences, marketing, custom, tags       sql.RawBytes
	expiries                                   sql.RawBytes
	birth, archived                            sql.NullTime
	external, tier                             sql.NullString
	store, staff                               uuid.NullUUID
	into                                       []any
}

func newScanner(more ...any) *scanner {
	s := &scanner{}
	r := &s.row
	s.into = append([]any{&r.ID, &s.external, &s.dataKey, &s.name, &s.phone, &s.kind, &s.email, &s.card, &s.address,
		&s.gender, &s.birth, &r.Language, &r.Source, &s.store, &s.staff, &s.preferences, &s.marketing, &s.custom,
		&s.customSealed, &s.tags, &s.expiries, &s.stage, &r.LifecyclePinned, &s.tier, &s.archived, &r.Version, &r.CreatedAt, &r.UpdatedAt}, more...)
	return s
}

// customer scans the present row and opens it.
func (s *scanner) customer(keys *crypto.Keyring, rows *sql.Rows) (Customer, error) {
	if err := rows.Scan(s.into...); err != nil {
		return Customer{}, err
	}
	r := &s.row
	r.DataKey, r.NameSealed, r.PhoneSealed, r.EmailSealed, r.CardNumberSealed, r.AddressSealed = s.dataKey, s.name, s.phone, s.email, s.card, s.address
	r.CustomFieldsSealed = s.customSealed
	r.Gender, r.LifecycleStage = customer.Gender(s.gender.String), customer.LifecycleStage(s.stage.String)
	r.ExternalID, r.PhoneKind, r.BirthDate, r.ArchivedAt, r.HomeStoreID, r.AssignedStaffID, r.TierCode = nil, nil, nil, nil, nil, nil, nil
	if s.external.Valid {
		v := s.external.String
		r.ExternalID = &v
	}
	if s.tier.Valid {
		v := s.tier.String
		r.TierCode = &v
	}
	if s.kind.Valid {
		v := customer.PhoneKind(s.kind.String)
		r.PhoneKind = &v
	}
	if s.birth.Valid {
		v := s.birth.Time
		r.BirthDate = &v
	}
	if s.archived.Valid {
		v := s.archived.Time
		r.ArchivedAt = &v
	}
	if s.store.Valid {
		v := s.store.UUID
		r.HomeStoreID = &v
	}
	if s.staff.Valid {
		v := s.staff.UUID
		r.AssignedStaffID = &v
	}
	r.TagIds = nil
	if len(s.tags) > len("{}") {
		var ids pgarray.UUIDs
		if err := ids.Scan([]byte(s.tags)); err != nil {
			return Customer{}, err
		}
		r.TagIds = ids
	}
	r.Preferences, r.MarketingPreferences, r.CustomFields, r.TagExpiries = nil, nil, nil, nil
	for _, o := range [...]struct {
		raw sql.RawBytes
		to  any
	}{{s.preferences, &r.Preferences}, {s.marketing, &r.MarketingPreferences}, {s.custom, &r.CustomFields}, {s.expiries, &r.TagExpiries}} {
		if len(o.raw) > 0 {
			if err := json.Unmarshal(o.raw, o.to); err != nil {
				return Customer{}, err
			}
		}
	}
	return open(keys, r)
}
