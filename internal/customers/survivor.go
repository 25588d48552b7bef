package customers

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// A customer who was merged into another is kept as a row that nobody sees: its
// identifiers stay taken, and whoever comes by one of them, or by the old id,
// is led to the survivor. The survivor may have been merged too; the path ends
// with somebody who was not.

const survivorsSQL = `
WITH RECURSIVE path (old, id) AS (
    SELECT c.id, c.merged_into_id FROM customers c WHERE c.id = ANY($1::uuid[]) AND c.merged_into_id IS NOT NULL
    UNION ALL
    SELECT p.old, c.merged_into_id FROM path p JOIN customers c ON c.id = p.id WHERE c.merged_into_id IS NOT NULL
)
SELECT p.old, c.id, c.home_store_id, c.assigned_staff_id, c.archived_at IS NOT NULL
FROM path p JOIN customers c ON c.id = p.id WHERE c.merged_into_id IS NULL`

// survivors finds who goes on in place of customers that were merged, by their
// old ids and beyond the caller's scope; the others are not in it.
func survivors(ctx context.Context, c *db.Clients, ids ...uuid.UUID) (map[uuid.UUID]Resolved, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := c.Query(ctx, survivorsSQL, pgarray.UUIDs(ids))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]Resolved, len(ids))
	for rows.Next() {
		var old uuid.UUID
		var r Resolved
		var store, staff *uuid.UUID
		if err := rows.Scan(&old, &r.ID, &store, &staff, &r.Archived); err != nil {
			return nil, err
		}
		r.HomeStoreID, r.AssignedStaffID = orNil(store), orNil(staff)
		out[old] = r
	}
	return out, rows.Err()
}

// Survivor finds who goes on in place of a customer that was merged, if the
// caller may see them; the zero id says nobody.
func (s *Service) Survivor(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	d := s.db.From(ctx)
	found, err := survivors(ctx, d, id)
	if err != nil || len(found) == 0 {
		return uuid.Nil, err
	}
	seen, err := d.CRM.Customer.Query().Where(customer.ID(found[id].ID)).Exist(ctx)
	if err != nil || !seen {
		return uuid.Nil, err
	}
	return found[id].ID, nil
}

// GoesOn is who goes on in place of a customer that was merged, beyond the
// caller's scope: for filters of lists that have a scope of their own. The id
// itself when nobody does.
func (s *Service) GoesOn(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	found, err := survivors(ctx, s.db.From(ctx), id)
	if by, ok := found[id]; ok {
		return by.ID, err
	}
	return id, err
}

// letGoSQL takes identifiers off rows that were merged away.
const letGoSQL = `
UPDATE customers SET
    external_id = CASE WHEN $2 = 'external_id' THEN NULL ELSE external_id END,
    phone_sealed = CASE WHEN $2 = 'phone' THEN NULL ELSE phone_sealed END, phone_index = CASE WHEN $2 = 'phone' THEN NULL ELSE phone_index END,
    phone_last4_token = CASE WHEN $2 = 'phone' THEN NULL ELSE phone_last4_token END, phone_kind = CASE WHEN $2 = 'phone' THEN NULL ELSE phone_kind END,
    email_sealed = CASE WHEN $2 = 'email' THEN NULL ELSE email_sealed END, email_index = CASE WHEN $2 = 'email' THEN NULL ELSE email_index END,
    card_number_sealed = CASE WHEN $2 = 'card_number' THEN NULL ELSE card_number_sealed END,
    card_number_index = CASE WHEN $2 = 'card_number' THEN NULL ELSE card_number_index END
WHERE id = $1 AND merged_into_id IS NOT NULL`

// letGo gives a customer the identifiers that records merged into them hold.
func (s *Service) letGo(ctx context.Context, tx *db.Tx, h *holders, c *Customer) error {
	for _, u := range h.values(c) {
		if one, ok := h.by[u.key]; ok && one.survivor == c.ID {
			if _, err := tx.Exec(ctx, letGoSQL, one.id, u.pointer[1:]); err != nil {
				return err
			}
		}
	}
	return nil
}
