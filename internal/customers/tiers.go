package customers

import (
	"context"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// SetTiers is what package membership calls, in the transaction in which it has
// locked the customers, to have them be in tiers; an empty code is none.
func (s *Service) SetTiers(ctx context.Context, tx *db.Tx, ids []uuid.UUID, codes []string) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
UPDATE customers c SET tier_code = NULLIF(t.code, ''), version = c.version + 1, updated_at = $3
FROM unnest($1::uuid[], $2::text[]) AS t (id, code) WHERE c.id = t.id AND c.tier_code IS DISTINCT FROM NULLIF(t.code, '')`,
		pgarray.UUIDs(ids), pq.Array(codes), s.clock.Now())
	s.Touch(ctx, tx, ids...)
	return err
}
