package orders

import (
	"context"
	"encoding/json"

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
		},
		Undone: returnsFollow,
	}
}

// returnsFollow takes what was brought back since the merge of orders that have
// gone back along with them.
func returnsFollow(ctx context.Context, tx *db.Tx, m *customers.Merging, _ json.RawMessage) error {
	_, err := tx.Exec(ctx, `
UPDATE order_returns SET customer_id = $2, assigned_staff_id = $3, version = version + 1
WHERE customer_id = $1 AND created_at > $4 AND order_id = ANY($5::uuid[])`,
		m.Survivor.ID, m.Merged.ID, m.Merged.AssignedStaffID, m.MergedAt, pgarray.UUIDs(m.Moved["orders"]))
	return err
}
