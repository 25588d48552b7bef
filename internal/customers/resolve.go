package customers

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/predicate"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Ref names a customer by the first of its parts that is not empty.
type Ref struct {
	ID         uuid.UUID
	ExternalID string
	CardNumber string
	Phone      string // in any usual spelling
}

// Resolved is a customer as a ticket needs it; the zero value is nobody.
type Resolved struct {
	ID              uuid.UUID
	HomeStoreID     uuid.UUID // zero for none
	AssignedStaffID uuid.UUID // zero for none
	Archived        bool
}

// The arrays stand in queries of their own, so that it is planned once.
const resolveSQL = `
SELECT 'i' || id, id, home_store_id, assigned_staff_id, archived_at IS NOT NULL, merged_into_id IS NOT NULL FROM customers WHERE id = ANY((SELECT $1::uuid[])::uuid[])
UNION ALL SELECT 'e' || external_id, id, home_store_id, assigned_staff_id, archived_at IS NOT NULL, merged_into_id IS NOT NULL FROM customers WHERE external_id = ANY((SELECT $2::text[])::text[])
UNION ALL SELECT 'c' || encode(card_number_index, 'hex'), id, home_store_id, assigned_staff_id, archived_at IS NOT NULL, merged_into_id IS NOT NULL FROM customers WHERE card_number_index = ANY((SELECT $3::bytea[])::bytea[])
UNION ALL SELECT 'p' || encode(phone_index, 'hex'), id, home_store_id, assigned_staff_id, archived_at IS NOT NULL, merged_into_id IS NOT NULL FROM customers WHERE phone_index = ANY((SELECT $4::bytea[])::bytea[])`

// Resolve finds the customers that tickets name, in one statement, in the order
// of the references; unknown ones are zero. Like a till's look-up it reaches
// beyond the caller's scope, since any customer may buy anywhere; what names
// somebody who was merged finds the survivor. Callers hold
// a permission of their own (orders.ingest) and must show nothing of a person.
func (s *Service) Resolve(ctx context.Context, tx *db.Tx, refs []Ref) ([]Resolved, error) {
	keys := make([]string, len(refs))
	var ids pgarray.UUIDs
	var externals []string
	var cards, phones pq.ByteaArray
	for i, r := range refs {
		switch {
		case r.ID != uuid.Nil:
			keys[i] = "i" + r.ID.String()
			ids = append(ids, r.ID)
		case r.ExternalID != "":
			v := strings.TrimSpace(r.ExternalID)
			keys[i] = "e" + v
			externals = append(externals, v)
		case r.CardNumber != "":
			if n, err := pii.NormalizeCard(r.CardNumber); err == nil {
				b := s.keys.Index(indexCard, n)
				keys[i] = "c" + hex.EncodeToString(b)
				cards = append(cards, b)
			}
		case r.Phone != "":
			if p, err := pii.ParsePhone(r.Phone, ""); err == nil {
				b := s.keys.Index(indexPhone, p.E164)
				keys[i] = "p" + hex.EncodeToString(b)
				phones = append(phones, b)
			}
		}
	}
	out := make([]Resolved, len(refs))
	if len(ids)+len(externals)+len(cards)+len(phones) == 0 {
		return out, nil
	}
	rows, err := tx.Query(ctx, resolveSQL, ids, pq.Array(externals), cards, phones)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[string]Resolved, len(refs))
	var merged []string // keys that led to somebody who has been merged into another
	for rows.Next() {
		var key string
		var r Resolved
		var store, staff *uuid.UUID
		var gone bool
		if err := rows.Scan(&key, &r.ID, &store, &staff, &r.Archived, &gone); err != nil {
			return nil, err
		}
		r.HomeStoreID, r.AssignedStaffID = orNil(store), orNil(staff)
		found[key] = r
		if gone {
			merged = append(merged, key)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(merged) > 0 {
		_ = rows.Close()
		ids := make([]uuid.UUID, len(merged))
		for i, key := range merged {
			ids[i] = found[key].ID
		}
		led, err := survivors(ctx, tx.Clients, ids...)
		if err != nil {
			return nil, err
		}
		for i, key := range merged {
			found[key] = led[ids[i]]
		}
	}
	for i, key := range keys {
		if key != "" {
			out[i] = found[key]
		}
	}
	return out, nil
}

// Lookup finds any active customer by one full identifier, beyond the caller's
// scope, and audits it. Errors: ErrNotFound, ErrPhone, ErrCard.
func (s *Service) Lookup(ctx context.Context, ref Ref) (*Customer, error) {
	// Only the holder of the permission comes here; the row itself is read as the
	// system, since the scope does not apply, and noted under the caller's name.
	q := customer.Or(customer.ArchivedAtIsNil(), customer.MergedIntoIDNotNil())
	by := ""
	switch {
	case ref.Phone != "":
		p, err := pii.ParsePhone(ref.Phone, "")
		if err != nil {
			return nil, ErrPhone.At("/phone")
		}
		q, by = customer.And(q, customer.PhoneIndex(s.keys.Index(indexPhone, p.E164))), "phone"
	case ref.CardNumber != "":
		n, err := pii.NormalizeCard(ref.CardNumber)
		if err != nil {
			return nil, ErrCard.At("/card_number")
		}
		q, by = customer.And(q, customer.CardNumberIndex(s.keys.Index(indexCard, n))), "card_number"
	case ref.ExternalID != "":
		q, by = customer.And(q, customer.ExternalID(strings.TrimSpace(ref.ExternalID))), "external_id"
	default:
		return nil, ErrNoKey.New()
	}
	found := make([]Customer, 1)
	missing := false
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := s.lookedUp(auth.System(ctx, "customers.lookup"), tx, q)
		if crm.IsNotFound(err) {
			// Misses are audited too: guessing numbers must show.
			missing = true
			audit.Record(ctx, tx, audit.Entry{Action: "customers.lookup", ObjectType: "customer", Changes: map[string]any{"by": by, "found": false}})
			return nil
		}
		if err != nil {
			return err
		}
		if found[0], err = open(s.keys, row); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.lookup", ObjectType: "customer", ObjectID: row.ID.String(), StoreID: row.HomeStoreID,
			Changes: map[string]any{"by": by, "found": true}})
		return s.nameTags(ctx, found)
	})
	if err != nil {
		return nil, err
	}
	if missing {
		return nil, ErrNotFound.New()
	}
	return &found[0], nil
}

// lookedUp finds a row, or the survivor if it was merged.
func (s *Service) lookedUp(ctx context.Context, tx *db.Tx, q predicate.Customer) (*crm.Customer, error) {
	row, err := tx.CRM.Customer.Query().Where(q).Select(append(viewed, customer.FieldMergedIntoID)...).Only(scope.WithGone(ctx))
	if err != nil || row.MergedIntoID == nil {
		return row, err
	}
	led, err := survivors(ctx, tx.Clients, row.ID)
	if err != nil {
		return nil, err
	}
	return tx.CRM.Customer.Query().Where(customer.ID(led[row.ID].ID), customer.ArchivedAtIsNil()).Select(viewed...).Only(ctx)
}

// Revealed is a customer in clear, with what belongs to them and was asked for.
type Revealed struct {
	*Customer
	Addresses []CustomerAddress
	Family    []FamilyMember
}

// Reveal returns a customer of the caller's scope in clear, and audits which
// fields were asked for and why. Error: ErrNotFound.
func (s *Service) Reveal(ctx context.Context, id uuid.UUID, fields []string, reason string) (*Revealed, error) {
	if reason = strings.TrimSpace(reason); utf8.RuneCountInString(reason) < 2 {
		return nil, ErrReason.At("/reason")
	}
	var out Revealed
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := tx.CRM.Customer.Query().Where(customer.ID(id)).Select(viewed...).Only(ctx)
		if crm.IsNotFound(err) {
			return ErrNotFound.New()
		}
		if err != nil {
			return err
		}
		c, err := open(s.keys, row)
		if err != nil {
			return err
		}
		out = Revealed{Customer: &c}
		if slices.Contains(fields, "addresses") {
			if out.Addresses, err = s.addressesOf(ctx, tx.Clients, &c); err != nil {
				return err
			}
		}
		if slices.Contains(fields, "family_members") {
			if out.Family, err = s.familyOf(ctx, tx.Clients, &c); err != nil {
				return err
			}
		}
		audit.Record(ctx, tx, audit.Entry{Action: "customers.reveal", ObjectType: "customer", ObjectID: id.String(), StoreID: row.HomeStoreID, StaffID: row.AssignedStaffID,
			Reason: reason, Changes: map[string]any{"fields": fields}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Customer, err = s.shown(ctx, out.Customer)
	return &out, err
}
