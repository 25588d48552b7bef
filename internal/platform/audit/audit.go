// Package audit writes who did what to which object, and proves later that
// nobody touched what was written.
//
// Record keeps entries in the transaction; one INSERT writes them all just
// before commit, so that a batch of a thousand changes costs one statement.
// The table only grows: the service's role may insert and read. A Sealer links
// committed entries into a hash chain; Verify recomputes it.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// Entry is one act. It holds no personal data: Changes names fields and carries
// masked or coded values only.
type Entry struct {
	Action     string         // "customers.update"
	ObjectType string         // "customer"
	ObjectID   string         // id of the object, or a natural key
	StoreID    *uuid.UUID     // the store it concerns, for scoped reading
	StaffID    *uuid.UUID     // to whom the object is assigned: tells when somebody acts for a colleague on leave
	Reason     string         // given by the actor; optional
	Changes    map[string]any // optional
}

// row is an entry with the principal who was acting when it was recorded.
type row struct {
	Entry
	actor     auth.Actor
	requestID string
	err       error
}

type buffer struct{ rows []row }

// Mark implements db's rewinding of buffered work: entries recorded inside a
// savepoint that is rolled back vanish with its changes.
func (b *buffer) Mark() (rewind func()) {
	n := len(b.rows)
	return func() { b.rows = b.rows[:n] }
}

type bufferKey struct{}

// Record notes an act of the context's actor. It is written with the
// transaction or not at all; without an actor the transaction fails.
func Record(ctx context.Context, tx *db.Tx, e Entry) {
	b := db.Value(tx, bufferKey{}, func() *buffer {
		b := &buffer{}
		tx.BeforeCommit(func(ctx context.Context) error { return write(ctx, tx, b.rows) })
		return b
	})
	actor, err := auth.From(ctx)
	if e.StaffID != nil && *e.StaffID != actor.ID && actor.Scope.Owns(*e.StaffID) {
		changes := map[string]any{"on_behalf_of": *e.StaffID}
		maps.Copy(changes, e.Changes)
		e.Changes = changes
	}
	b.rows = append(b.rows, row{Entry: e, actor: actor, requestID: telemetry.RequestID(ctx), err: err})
}

var insert = db.NewBatch(`
INSERT INTO audit_logs (id, created_at, actor_kind, actor_id, actor_name, action, object_type, object_id, store_id, request_id, reason, changes)
SELECT id, $12, actor_kind, NULLIF(actor_id, '00000000-0000-0000-0000-000000000000'), actor_name, action, object_type, object_id,
       NULLIF(store_id, '00000000-0000-0000-0000-000000000000'), request_id, reason, NULLIF(changes, '')::jsonb
FROM {rows}`,
	db.BatchColumn{Name: "id", Type: "uuid"}, db.BatchColumn{Name: "actor_kind", Type: "text"}, db.BatchColumn{Name: "actor_id", Type: "uuid"},
	db.BatchColumn{Name: "actor_name", Type: "text"}, db.BatchColumn{Name: "action", Type: "text"}, db.BatchColumn{Name: "object_type", Type: "text"},
	db.BatchColumn{Name: "object_id", Type: "text"}, db.BatchColumn{Name: "store_id", Type: "uuid"}, db.BatchColumn{Name: "request_id", Type: "text"},
	db.BatchColumn{Name: "reason", Type: "text"}, db.BatchColumn{Name: "changes", Type: "text"})

// write inserts the rows. Ids are made here, just before commit, because the
// sealer looks for new rows by the time in their ids.
func write(ctx context.Context, tx *db.Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	ids, actorIDs, storeIDs := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	kinds, names, actions := make([]string, n), make([]string, n), make([]string, n)
	types, objects, requests := make([]string, n), make([]string, n), make([]string, n)
	reasons, changes := make([]string, n), make([]string, n)
	for i, r := range rows {
		if r.err != nil {
			return fmt.Errorf("audit %s: %w", r.Action, r.err)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		ids[i], actorIDs[i] = id, r.actor.ID
		if r.StoreID != nil {
			storeIDs[i] = *r.StoreID
		}
		kinds[i], names[i], actions[i] = string(r.actor.Kind), r.actor.Name, r.Action
		types[i], objects[i], requests[i], reasons[i] = r.ObjectType, r.ObjectID, r.requestID, r.Reason
		if len(r.Changes) > 0 {
			raw, err := json.Marshal(r.Changes)
			if err != nil {
				return fmt.Errorf("audit %s: changes: %w", r.Action, err)
			}
			changes[i] = string(raw)
		}
	}
	_, err := tx.Exec(ctx, insert.SQL(n), ids, pq.Array(kinds), actorIDs, pq.Array(names), pq.Array(actions), pq.Array(types), pq.Array(objects),
		storeIDs, pq.Array(requests), pq.Array(reasons), pq.Array(changes), time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}
