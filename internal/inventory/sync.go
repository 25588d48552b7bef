package inventory

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Snapshot is what another stock system says a store had at an instant.
type Snapshot struct {
	StoreID uuid.UUID
	AsOf    time.Time
	Lines   []Line // Quantity: pieces on hand
}

// What became of a line of a snapshot.
const (
	Adjusted  = "adjusted"
	Unchanged = "unchanged"
	Stale     = "stale" // a count or another snapshot is as new
)

// Synced is what became of a line of a snapshot.
type Synced struct {
	VariantID uuid.UUID
	Status    string
	Change    int64 // pieces
	OnHand    int64 // now
}

// bookedSinceSQL is what is known of a level that a snapshot cannot know.
// Plan: stock_movements_variant_idx.
const bookedSinceSQL = `SELECT v, l.counted_at, coalesce((SELECT sum(m.on_hand_change) FROM stock_movements m WHERE m.variant_id = v AND m.store_id = $1 AND m.occurred_at > $3), 0)
FROM unnest($2::uuid[]) AS v JOIN stock_levels l ON l.store_id = $1 AND l.variant_id = v`

// Sync makes a store's levels what another system says they were, and what has
// happened since; the differences are adjustments. A line that is not newer than
// the last count or snapshot of its variant changes nothing, so that snapshots may
// come twice and in any order. Late tickets from before a snapshot are taken to be
// in it, as with a count. Returns the document, if any level changed.
//
// Errors: ErrStore, ErrFuture, ErrNamed, ErrVariant, ErrRepeated.
func (s *Service) Sync(ctx context.Context, in Snapshot) (doc uuid.NullUUID, out []Synced, err error) {
	if in.AsOf.After(s.clock.Now().Add(clockSkew)) {
		return doc, nil, ErrFuture.At("/as_of")
	}
	asOf := in.AsOf.UTC().Truncate(time.Microsecond)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		doc, out = uuid.NullUUID{}, make([]Synced, len(in.Lines))
		if err := s.reaches(ctx, tx, in.StoreID); err != nil {
			return err
		}
		variants, err := s.variants(ctx, tx, in.Lines)
		if err != nil {
			return err
		}
		levels, err := s.lock(ctx, tx, in.StoreID, variants)
		if err != nil {
			return err
		}
		known := map[uuid.UUID]int64{} // what is booked since; of fresh lines only
		rows, err := tx.Query(ctx, bookedSinceSQL, in.StoreID, pgarray.UUIDs(variants), asOf)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			var counted pq.NullTime
			var since int64
			if err := rows.Scan(&id, &counted, &since); err != nil {
				return err
			}
			if !counted.Valid || counted.Time.Before(asOf) {
				known[id] = since
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		var changes []change
		var fresh pgarray.UUIDs
		for i, v := range variants {
			was := levels[v].onHand
			out[i] = Synced{VariantID: v, Status: Stale, OnHand: was}
			since, ok := known[v]
			if !ok {
				continue
			}
			fresh = append(fresh, v)
			out[i].Status, out[i].OnHand = Unchanged, max(0, in.Lines[i].Quantity+since)
			if out[i].Change = out[i].OnHand - was; out[i].Change != 0 {
				out[i].Status = Adjusted
				changes = append(changes, change{variant: v, onHand: out[i].Change, pointer: "/lines/" + strconv.Itoa(i)})
			}
		}
		if len(changes) > 0 {
			id, err := s.post(ctx, tx, document{store: in.StoreID, kind: KindAdjustment, origin: "sync", reason: "snapshot of another system", at: asOf}, changes)
			if err != nil {
				return err
			}
			doc = uuid.NullUUID{UUID: id, Valid: true}
		}
		_, err = tx.Exec(ctx, "UPDATE stock_levels SET counted_at = $3 WHERE store_id = $1 AND variant_id = ANY($2::uuid[])", in.StoreID, fresh, asOf)
		return err
	})
	return doc, out, err
}
