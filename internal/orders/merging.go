package orders

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Follower has orders and returns follow merged customers.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{
		Name: "orders",
		Belongings: []customers.Belonging{
			{Table: "orders", Kind: "orders", Sealed: []string{"private"}, Staff: true, Versioned: true},
			{Table: "order_returns", Kind: "returns", Sealed: []string{"private"}, Staff: true, Versioned: true},
			{Table: trackingTable, Kind: "tracking_events", Sealed: []string{"private"}},
		},
		Undone: s.laterFollow,
	}
}

// laterFollow takes what was brought back, and what carriers told, since the merge
// of orders that have gone back along with them.
func (s *Service) laterFollow(ctx context.Context, tx *db.Tx, m *customers.Merging, _ json.RawMessage) error {
	for _, one := range []struct{ table, more string }{{"order_returns", ", assigned_staff_id = $4, version = t.version + 1"}, {trackingTable, ""}} {
		ids, sealed, err := later(ctx, tx, one.table, m)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if sealed[i] == nil {
				continue
			}
			var content json.RawMessage
			if err := s.unseal(one.table, id, buyer{id: m.Survivor.ID, wrapped: m.Survivor.DataKey}, sealed[i], &content); err != nil {
				return err
			}
			if sealed[i], err = s.seal(one.table, id, buyer{id: m.Merged.ID, wrapped: m.Merged.DataKey}, content); err != nil {
				return err
			}
		}
		args := []any{m.Merged.ID, pgarray.UUIDs(ids), pq.ByteaArray(sealed)}
		if one.more != "" {
			args = append(args, m.Merged.AssignedStaffID)
		}
		if _, err := tx.Exec(ctx, "UPDATE "+one.table+" t SET customer_id = $1, private_sealed = u.sealed"+one.more+
			" FROM unnest($2::uuid[], $3::bytea[]) AS u (id, sealed) WHERE t.id = u.id", args...); err != nil {
			return err
		}
	}
	return nil
}

// later are rows that came since a merge to orders that it had moved.
func later(ctx context.Context, tx *db.Tx, table string, m *customers.Merging) (ids []uuid.UUID, sealed [][]byte, err error) {
	rows, err := tx.Query(ctx, "SELECT id, private_sealed FROM "+table+" WHERE customer_id = $1 AND created_at > $2 AND order_id = ANY($3::uuid[]) ORDER BY id FOR UPDATE",
		m.Survivor.ID, m.MergedAt, pgarray.UUIDs(m.Moved["orders"]))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		var one []byte
		if err := rows.Scan(&id, &one); err != nil {
			return nil, nil, err
		}
		ids, sealed = append(ids, id), append(sealed, one)
	}
	return ids, sealed, rows.Err()
}
