package membership

import (
	"context"
	"encoding/json"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Follower has grants follow merged customers. Memberships stay with the records:
// the survivor's is what follows from the facts of both, the other one's rests
// until the merge is undone. It comes after orders and points.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{
		Name:       "membership",
		Belongings: []customers.Belonging{{Table: "membership_grants", Kind: "membership_grants", Versioned: true}},
		After: func(ctx context.Context, tx *db.Tx, m *customers.Merging) error {
			if _, err := tx.Exec(ctx, "UPDATE memberships SET review_at = NULL WHERE customer_id = $1", m.Merged.ID); err != nil {
				return err
			}
			return s.Mark(ctx, tx, m.Survivor.ID)
		},
		Undone: func(ctx context.Context, tx *db.Tx, m *customers.Merging, _ json.RawMessage) error {
			return s.Mark(ctx, tx, m.Survivor.ID, m.Merged.ID)
		},
	}
}
