package customers

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// keptPairs is what a merge did to the queue of likely duplicates.
type keptPairs struct {
	Changed []json.RawMessage `json:"changed,omitempty"` // rows as they were
	Added   []uuid.UUID       `json:"added,omitempty"`
}

// followPairs takes the pairs of the merged customer over to the survivor: what
// was decided about one of them holds for the person, so a decision goes before
// an open pair. The old rows stay, unseen, with the merged record; the pair of
// the two themselves is decided with the merge.
func (s *Service) followPairs(ctx context.Context, tx *db.Tx, m *Merging) (any, error) {
	var kept keptPairs
	one, other := m.Survivor.ID, m.Merged.ID
	if compareIDs(one, other) > 0 {
		one, other = other, one
	}
	const changed = `WITH was AS (SELECT to_jsonb(d) AS row, d.id FROM duplicate_candidates d WHERE d.left_id = $1 AND d.right_id = $2 AND d.status <> 'duplicate' FOR UPDATE),
done AS (UPDATE duplicate_candidates d SET status = 'duplicate', decided_by = $3, decided_at = $4, updated_at = $4, version = d.version + 1
         FROM was WHERE d.id = was.id)
SELECT row FROM was`
	if err := kept.take(ctx, tx, changed, one, other, actorID(ctx), m.MergedAt); err != nil {
		return nil, err
	}
	// Pairs of both with the same third customer: a decision of the merged one's
	// goes into an open one of the survivor's.
	const decided = `WITH theirs AS (SELECT d.*, CASE WHEN d.left_id = $2 THEN d.right_id ELSE d.left_id END AS third FROM duplicate_candidates d
                WHERE $2 IN (d.left_id, d.right_id) AND $1 NOT IN (d.left_id, d.right_id)),
was AS (SELECT to_jsonb(o) AS row, o.id, t.status, t.note, t.decided_by, t.decided_at FROM theirs t
        JOIN duplicate_candidates o ON o.left_id = least($1::uuid, t.third) AND o.right_id = greatest($1::uuid, t.third)
        WHERE o.status = 'open' AND t.status <> 'open' FOR UPDATE OF o),
done AS (UPDATE duplicate_candidates d SET status = was.status, note = was.note, decided_by = was.decided_by, decided_at = was.decided_at,
                updated_at = $3, version = d.version + 1 FROM was WHERE d.id = was.id)
SELECT row FROM was`
	if err := kept.take(ctx, tx, decided, m.Survivor.ID, m.Merged.ID, m.MergedAt); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `INSERT INTO duplicate_candidates (id, left_id, right_id, score, reasons, status, note, decided_by, decided_at, version, created_at, updated_at)
SELECT gen_random_uuid(), least($1::uuid, t.third), greatest($1::uuid, t.third), t.score, t.reasons, t.status, t.note, t.decided_by, t.decided_at, 1, $3, $3
FROM (SELECT d.*, CASE WHEN d.left_id = $2 THEN d.right_id ELSE d.left_id END AS third FROM duplicate_candidates d
      WHERE $2 IN (d.left_id, d.right_id) AND $1 NOT IN (d.left_id, d.right_id)) t
ON CONFLICT (left_id, right_id) DO NOTHING RETURNING id`, m.Survivor.ID, m.Merged.ID, m.MergedAt)
	if err != nil {
		return nil, err
	}
	kept.Added, err = scanIDs(rows)
	return kept, err
}

func actorID(ctx context.Context) *uuid.UUID {
	if a := auth.Must(ctx); a.ID != uuid.Nil {
		return &a.ID
	}
	return nil
}

func (k *keptPairs) take(ctx context.Context, tx *db.Tx, query string, args ...any) error {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		k.Changed = append(k.Changed, raw)
	}
	return rows.Err()
}

// unfollowPairs puts the queue back, but for what has been decided since.
func (s *Service) unfollowPairs(ctx context.Context, tx *db.Tx, raw json.RawMessage) error {
	var kept keptPairs
	if err := json.Unmarshal(raw, &kept); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DELETE FROM duplicate_candidates WHERE id = ANY($1::uuid[]) AND version = 1", pgarray.UUIDs(kept.Added)); err != nil {
		return err
	}
	if len(kept.Changed) == 0 {
		return nil
	}
	all, err := json.Marshal(kept.Changed)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE duplicate_candidates d SET (status, note, decided_by, decided_at) = (w.status, w.note, w.decided_by, w.decided_at), version = d.version + 1
FROM jsonb_populate_recordset(NULL::duplicate_candidates, $1::jsonb) w WHERE d.id = w.id AND d.version = w.version + 1`, string(all))
	return err
}
