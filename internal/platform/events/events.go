// Package events carries what happened from the transaction in which it
// happened to those who want to know.
//
// Emit keeps events in the transaction; one INSERT writes them to the outbox
// just before commit. A Dispatcher hands committed events to its subscribers.
//
// Delivery: the dispatcher opens a transaction, claims events, calls the
// subscribers with a context that carries it, and marks the events dispatched.
// What a subscriber writes through db.InTx therefore happens exactly once per
// event. Anything else it does (a message, a call) happens at least once: it
// must bear repetition, and long work belongs into a job enqueued there.
// If any subscriber fails, nothing of that event is kept and all of them see it
// again later. Events of one transaction keep their order within a batch;
// nothing else is ordered, since replicas dispatch side by side.
package events

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Event is something that happened. It carries ids, never personal data.
type Event struct {
	Type        string // of the catalogue
	SubjectType string // "order"
	SubjectID   uuid.UUID
	StoreID     *uuid.UUID // where, if anywhere
	Payload     any        // marshalled to JSON; nil becomes {}
}

// Stored is an event read from the outbox.
type Stored struct {
	ID          uuid.UUID
	Seq         int64 // grows, with gaps; not the order of commits
	Type        string
	SubjectType string
	SubjectID   uuid.UUID
	StoreID     *uuid.UUID
	Payload     json.RawMessage
	CreatedAt   time.Time
	Attempts    int // failed deliveries before this one
}

type buffer struct{ events []Event }

// Mark implements db's rewinding of buffered work: events emitted inside a
// savepoint that is rolled back vanish with its changes.
func (b *buffer) Mark() (rewind func()) {
	n := len(b.events)
	return func() { b.events = b.events[:n] }
}

type bufferKey struct{}

// Emit adds an event to the transaction. It is stored with the transaction or
// not at all; a type outside the catalogue or a payload that cannot be
// marshalled fails the transaction.
func Emit(tx *db.Tx, e Event) {
	b := db.Value(tx, bufferKey{}, func() *buffer {
		b := &buffer{}
		tx.BeforeCommit(func(ctx context.Context) error { return write(ctx, tx, b.events) })
		return b
	})
	b.events = append(b.events, e)
}

// channel is where waiting dispatchers are told about new events.
const channel = "shuke_outbox"

// notifyEvery spaces notifications of one process. PostgreSQL lets transactions
// that notify commit only one after the other, so at a thousand writes a second
// one NOTIFY each would halve throughput; a dispatcher that was woken keeps
// looking for longer than this.
const notifyEvery = 100 * time.Millisecond

var lastNotified atomic.Int64 // unix nanoseconds of the last committed NOTIFY of this process

var insert = db.NewBatch(`
INSERT INTO outbox_events (id, type, subject_type, subject_id, store_id, payload, created_at)
SELECT id, type, subject_type, subject_id, NULLIF(store_id, '00000000-0000-0000-0000-000000000000'), payload::jsonb, $7
FROM {rows} ORDER BY n`,
	db.BatchColumn{Name: "id", Type: "uuid"}, db.BatchColumn{Name: "type", Type: "text"}, db.BatchColumn{Name: "subject_type", Type: "text"},
	db.BatchColumn{Name: "subject_id", Type: "uuid"}, db.BatchColumn{Name: "store_id", Type: "uuid"}, db.BatchColumn{Name: "payload", Type: "text"})

func write(ctx context.Context, tx *db.Tx, all []Event) error {
	if len(all) == 0 {
		return nil
	}
	n := len(all)
	ids, subjects, stores := make(pgarray.UUIDs, n), make(pgarray.UUIDs, n), make(pgarray.UUIDs, n)
	types, subjectTypes, payloads := make([]string, n), make([]string, n), make([]string, n)
	for i, e := range all {
		if !defined(e.Type) {
			return fmt.Errorf("events: %q is not in the catalogue", e.Type)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		payloads[i] = "{}"
		if e.Payload != nil {
			raw, err := json.Marshal(e.Payload)
			if err != nil {
				return fmt.Errorf("events: payload of %s: %w", e.Type, err)
			}
			payloads[i] = string(raw)
		}
		ids[i], types[i], subjectTypes[i], subjects[i] = id, e.Type, e.SubjectType, e.SubjectID
		if e.StoreID != nil {
			stores[i] = *e.StoreID
		}
	}
	_, err := tx.Exec(ctx, insert.SQL(n), ids, pq.Array(types), pq.Array(subjectTypes), subjects, stores, pq.Array(payloads),
		time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	now := time.Now().UnixNano()
	if now-lastNotified.Load() < int64(notifyEvery) {
		return nil
	}
	if _, err := tx.Exec(ctx, "NOTIFY "+channel); err != nil {
		return fmt.Errorf("announce events: %w", err)
	}
	// Only a commit announces anything: a rollback must not use up the turn.
	tx.AfterCommit(func(context.Context) { lastNotified.Store(now) })
	return nil
}
