package inventory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// change is what one line of a document does to a variant's level.
type change struct {
	variant                          uuid.UUID
	onHand, damaged, incoming, freed int64 // freed: pieces no longer promised
	unitCost                         *int64
	pointer                          string // of the line in the request
}

// document is what changes are written together for.
type document struct {
	store    uuid.UUID
	kind     string
	external *string
	origin   string
	originID *uuid.UUID
	reason   string
	at       time.Time // when it happened
}

// level is a locked row of stock_levels.
type level struct {
	variant                             uuid.UUID
	onHand, reserved, incoming, damaged int64
	threshold                           *int64
}

func (l *level) available() int64 { return l.onHand - l.reserved }

func byVariant[T any](of func(T) uuid.UUID) func(a, b T) int {
	return func(a, b T) int { x, y := of(a), of(b); return slices.Compare(x[:], y[:]) }
}

// lock locks the levels of some variants in a store, making those that are
// missing, always in the order of the variants' ids, so that two transactions
// wait for each other and do not lock up.
func (s *Service) lock(ctx context.Context, tx *db.Tx, store uuid.UUID, variants []uuid.UUID) (map[uuid.UUID]*level, error) {
	found, err := lockLevels(ctx, tx, store, variants)
	if err != nil || len(found) == len(variants) {
		return found, err
	}
	missing := slices.DeleteFunc(slices.Clone(variants), func(id uuid.UUID) bool { return found[id] != nil })
	slices.SortFunc(missing, byVariant(func(id uuid.UUID) uuid.UUID { return id }))
	ids := make(pgarray.UUIDs, len(missing))
	for i := range ids {
		if ids[i], err = uuid.NewV7(); err != nil {
			return nil, err
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO stock_levels (id, store_id, variant_id, on_hand, reserved, incoming, damaged, version, created_at, updated_at)
SELECT t.id, $1, t.variant_id, 0, 0, 0, 0, 1, $4, $4 FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS t (id, variant_id, n) ORDER BY t.n
ON CONFLICT (store_id, variant_id) DO NOTHING`, store, ids, pgarray.UUIDs(missing), s.clock.Now())
	if err != nil {
		return nil, err
	}
	found, err = lockLevels(ctx, tx, store, variants)
	if err == nil && len(found) != len(variants) {
		return nil, fmt.Errorf("inventory: %d levels of %d in store %s", len(found), len(variants), store)
	}
	return found, err
}

func lockLevels(ctx context.Context, tx *db.Tx, store uuid.UUID, variants []uuid.UUID) (map[uuid.UUID]*level, error) {
	rows, err := tx.Query(ctx, `SELECT variant_id, on_hand, reserved, incoming, damaged, low_stock_threshold FROM stock_levels
WHERE store_id = $1 AND variant_id = ANY((SELECT $2::uuid[])::uuid[]) ORDER BY variant_id FOR UPDATE`, store, pgarray.UUIDs(variants))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[uuid.UUID]*level, len(variants))
	for rows.Next() {
		var l level
		if err := rows.Scan(&l.variant, &l.onHand, &l.reserved, &l.incoming, &l.damaged, &l.threshold); err != nil {
			return nil, err
		}
		found[l.variant] = &l
	}
	return found, rows.Err()
}

var (
	updateLevels = db.NewBatch(`UPDATE stock_levels l SET on_hand = l.on_hand + t.on_hand, damaged = l.damaged + t.damaged, incoming = l.incoming + t.incoming,
reserved = l.reserved + t.reserved, version = l.version + 1, updated_at = $7 FROM {rows} WHERE l.store_id = $6 AND l.variant_id = t.variant_id`,
		db.BatchColumn{Name: "variant_id", Type: "uuid"}, db.BatchColumn{Name: "on_hand", Type: "bigint"}, db.BatchColumn{Name: "damaged", Type: "bigint"},
		db.BatchColumn{Name: "incoming", Type: "bigint"}, db.BatchColumn{Name: "reserved", Type: "bigint"})

	insertMovements = db.NewBatch(`INSERT INTO stock_movements (id, document_id, line_number, store_id, variant_id, kind, on_hand_change, damaged_change, incoming_change,
on_hand_after, unit_cost_amount, reason, occurred_at, created_at)
SELECT t.id, $8, t.n, $9, t.variant_id, $10, t.on_hand, t.damaged, t.incoming, t.after, t.cost, $11, $12, $13 FROM {rows} ORDER BY t.n`,
		db.BatchColumn{Name: "id", Type: "uuid"}, db.BatchColumn{Name: "variant_id", Type: "uuid"}, db.BatchColumn{Name: "on_hand", Type: "bigint"},
		db.BatchColumn{Name: "damaged", Type: "bigint"}, db.BatchColumn{Name: "incoming", Type: "bigint"}, db.BatchColumn{Name: "after", Type: "bigint"},
		db.BatchColumn{Name: "cost", Type: "bigint"})
)

const insertDocumentSQL = `INSERT INTO stock_documents (id, store_id, external_number, origin, origin_id, actor, line_count, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

// post writes a document: levels, ledger lines, audit entry and events. Each
// variant stands in it once.
// Error: ErrInsufficient, with all lines that lack pieces.
func (s *Service) post(ctx context.Context, tx *db.Tx, d document, changes []change) (uuid.UUID, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	n := len(changes)
	variants := make(pgarray.UUIDs, n)
	for i, c := range changes {
		variants[i] = c.variant
	}
	levels, err := s.lock(ctx, tx, d.store, variants)
	if err != nil {
		return uuid.Nil, err
	}
	short := ErrInsufficient.New()
	for _, c := range changes {
		l := levels[c.variant]
		switch {
		case l.onHand+c.onHand < 0:
			lacks(short, c.pointer, l.onHand)
		case l.damaged+c.damaged < 0:
			lacks(short, c.pointer, l.damaged)
		case l.incoming+c.incoming < 0:
			lacks(short, c.pointer, l.incoming)
		}
	}
	if len(short.Fields) > 0 {
		return uuid.Nil, short
	}
	now := s.clock.Now()
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	if _, err := tx.Exec(ctx, insertDocumentSQL, id, d.store, d.external, d.origin, d.originID, actor.Name, n, now); err != nil {
		return uuid.Nil, err
	}
	ids, onHand, damaged, incoming, freed := make(pgarray.UUIDs, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	after, costs := make([]int64, n), make([]*int64, n)
	for i, c := range changes {
		if ids[i], err = uuid.NewV7(); err != nil {
			return uuid.Nil, err
		}
		l := levels[c.variant]
		was := l.available()
		l.onHand, l.damaged, l.incoming, l.reserved = l.onHand+c.onHand, l.damaged+c.damaged, l.incoming+c.incoming, l.reserved-c.freed
		onHand[i], damaged[i], incoming[i], freed[i], after[i], costs[i] = c.onHand, c.damaged, c.incoming, -c.freed, l.onHand, c.unitCost
		warn(tx, d.store, l, was)
	}
	if _, err := tx.Exec(ctx, updateLevels.SQL(n), variants, pq.Array(onHand), pq.Array(damaged), pq.Array(incoming), pq.Array(freed), d.store, now); err != nil {
		return uuid.Nil, err
	}
	if _, err := tx.Exec(ctx, insertMovements.SQL(n), ids, variants, pq.Array(onHand), pq.Array(damaged), pq.Array(incoming), pq.Array(after), pq.Array(costs),
		id, d.store, d.kind, d.reason, d.at, now); err != nil {
		return uuid.Nil, err
	}
	audit.Record(ctx, tx, audit.Entry{Action: "inventory." + d.kind, ObjectType: "stock_document", ObjectID: id.String(), StoreID: &d.store, Reason: d.reason,
		Changes: map[string]any{"lines": n}})
	events.Emit(tx, events.Event{Type: EventMoved, SubjectType: "store", SubjectID: d.store, StoreID: &d.store,
		Payload: map[string]any{"document_id": id, "kind": d.kind, "lines": n}})
	return id, nil
}

// lacks adds a line to what there is too little for.
func lacks(short *apperr.Error, pointer string, available int64) {
	args := map[string]any{"available": max(0, available)}
	short.Field(pointer, ErrInsufficient, args)
	short.Arg("available", max(0, available))
}

// promise reserves pieces (more) or frees them (less), of each variant once.
// Error: ErrInsufficient.
func (s *Service) promise(ctx context.Context, tx *db.Tx, store uuid.UUID, changes []change) error {
	n := len(changes)
	variants, zero, reserved := make(pgarray.UUIDs, n), make([]int64, n), make([]int64, n)
	for i, c := range changes {
		variants[i], reserved[i] = c.variant, -c.freed
	}
	levels, err := s.lock(ctx, tx, store, variants)
	if err != nil {
		return err
	}
	short := ErrInsufficient.New()
	for _, c := range changes {
		l := levels[c.variant]
		if was := l.available(); c.freed < 0 && was+c.freed < 0 {
			lacks(short, c.pointer, was)
		} else {
			l.reserved -= c.freed
			warn(tx, store, l, was)
		}
	}
	if len(short.Fields) > 0 {
		return short
	}
	_, err = tx.Exec(ctx, updateLevels.SQL(n), variants, pq.Array(zero), pq.Array(zero), pq.Array(zero), pq.Array(reserved), store, s.clock.Now())
	return err
}

// warn says once that a variant has become scarce: when it crosses its threshold.
func warn(tx *db.Tx, store uuid.UUID, l *level, was int64) {
	if l.threshold == nil || was <= *l.threshold || l.available() > *l.threshold {
		return
	}
	events.Emit(tx, events.Event{Type: EventLow, SubjectType: "store", SubjectID: store, StoreID: &store,
		Payload: map[string]any{"variant_id": l.variant, "available": l.available(), "threshold": *l.threshold}})
}
