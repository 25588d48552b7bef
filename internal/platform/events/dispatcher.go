package events

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

const (
	batchSize = 200
	// MaxAttempts is how often an event is tried before it is left aside as dead;
	// that is after about an hour.
	MaxAttempts = 12
	// slowPoll finds events whose notification was lost.
	slowPoll = 5 * time.Second
	// lookAgain is how soon a woken dispatcher looks for events that were not
	// announced because another one had just been (see notifyEvery).
	lookAgain = 150 * time.Millisecond
	// deliverTimeout bounds one batch in its transaction.
	deliverTimeout = 30 * time.Second
	// keepDispatched is how long delivered events stay readable.
	keepDispatched = 7 * 24 * time.Hour
	purgeEvery     = 10 * time.Minute
	purgeBatch     = 5000
)

// subscriber is one receiver.
type subscriber struct {
	name  string
	types []string // none: all
	f     func(context.Context, []Stored) error
}

func (s *subscriber) wants(t string) bool { return len(s.types) == 0 || slices.Contains(s.types, t) }

// Dispatcher delivers events. Any number of processes may run one.
type Dispatcher struct {
	db        *db.DB
	listenURL string
	log       *slog.Logger
	subs      []subscriber
}

// NewDispatcher makes a dispatcher. listenURL is the address of the same
// database; when empty, new events are found by polling only.
func NewDispatcher(d *db.DB, listenURL string, log *slog.Logger) *Dispatcher {
	if log == nil {
		log = slog.Default()
	}
	return &Dispatcher{db: d, listenURL: listenURL, log: log}
}

// Subscribe adds a receiver of these types (none: all); call it before Run. The
// function gets a batch in order, acts as the system, and may be called again
// with events that it has seen (see the package's comment on delivery).
func (d *Dispatcher) Subscribe(name string, types []string, f func(context.Context, []Stored) error) {
	d.subs = append(d.subs, subscriber{name, types, f})
}

// Run delivers until ctx ends. A batch under way is finished first.
func (d *Dispatcher) Run(ctx context.Context) error {
	wake, closeListener := d.listen()
	defer closeListener()
	purge := time.NewTicker(purgeEvery)
	defer purge.Stop()
	wait := time.NewTimer(0)
	defer wait.Stop()
	quiet := 0 // empty looks since the last event or announcement
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			quiet = 0
		case <-wait.C:
		case <-purge.C:
			if err := d.Purge(ctx); err != nil && ctx.Err() == nil {
				d.log.Error("delivered events were not purged", "error", err)
			}
		}
		n, err := d.Drain(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			d.log.Error("events were not delivered", "error", err)
			quiet = 2
		case n > 0:
			quiet = 0
		default:
			quiet++
		}
		next := slowPoll
		if quiet < 2 {
			next = lookAgain
		}
		if !wait.Stop() {
			select {
			case <-wait.C:
			default:
			}
		}
		wait.Reset(next)
	}
}

// listen returns a channel that receives when events were announced.
func (d *Dispatcher) listen() (wake <-chan *pq.Notification, closeListener func()) {
	if d.listenURL == "" {
		return nil, func() {}
	}
	l := pq.NewListener(d.listenURL, time.Second, 15*time.Second, func(e pq.ListenerEventType, err error) {
		if err != nil {
			d.log.Warn("the listener for events lost its connection; polling until it is back", "event", int(e), "error", err)
		}
	})
	go func() {
		// Blocks until the server answers; polling serves meanwhile.
		if err := l.Listen(channel); err != nil && !errors.Is(err, pq.ErrChannelAlreadyOpen) {
			d.log.Warn("cannot listen for events; polling", "error", err)
		}
	}()
	return l.Notify, func() { _ = l.Close() }
}

// Drain delivers what is due now and reports how many events were handled.
func (d *Dispatcher) Drain(ctx context.Context) (int, error) {
	total := 0
	for ctx.Err() == nil {
		n, err := d.batch(ctx)
		total += n
		if err != nil || n < batchSize {
			return total, err
		}
	}
	return total, nil
}

// due selects what may be tried now. An event that failed n times is next tried
// 2^n seconds after it was made.
const claimSQL = `
SELECT id, seq, type, subject_type, subject_id, store_id, payload, created_at, attempts
FROM outbox_events
WHERE dispatched_at IS NULL AND attempts < $2
  AND (attempts = 0 OR created_at + make_interval(secs => power(2, attempts)) <= now())
  AND ($3::uuid IS NULL OR id = $3)
ORDER BY seq LIMIT $1
FOR UPDATE SKIP LOCKED`

// batch delivers one batch in one transaction. When that fails, each event of
// it gets a transaction of its own, so that one bad event holds up no other.
func (d *Dispatcher) batch(ctx context.Context) (int, error) {
	// Shutting down must not tear a delivery apart.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	ctx = auth.System(ctx, "events")
	claimed, err := d.deliver(ctx, batchSize, uuid.Nil)
	if err == nil {
		return len(claimed), nil
	}
	if len(claimed) == 0 {
		return 0, err // not even claimed: the database
	}
	for _, e := range claimed {
		one, err := d.deliver(ctx, 1, e.ID)
		if err == nil || len(one) == 0 { // delivered, or taken by another dispatcher
			continue
		}
		if ctx.Err() != nil {
			return 0, err
		}
		if err := d.noteFailure(ctx, e, err); err != nil {
			return 0, err
		}
	}
	return len(claimed), nil
}

// deliver claims events and hands them out; id restricts it to one event.
func (d *Dispatcher) deliver(ctx context.Context, limit int, id uuid.UUID) (claimed []Stored, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a subscriber panicked: %v", r)
		}
	}()
	err = d.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		claimed = nil
		var only any
		if id != uuid.Nil {
			only = id
		}
		var err error
		if claimed, err = claim(ctx, tx, limit, only); err != nil || len(claimed) == 0 {
			return err
		}
		for i := range d.subs {
			s := &d.subs[i]
			wanted := claimed
			if len(s.types) > 0 {
				wanted = slices.DeleteFunc(slices.Clone(claimed), func(e Stored) bool { return !s.wants(e.Type) })
			}
			if len(wanted) == 0 {
				continue
			}
			if err := s.f(ctx, wanted); err != nil {
				return fmt.Errorf("subscriber %s: %w", s.name, err)
			}
		}
		ids := make(pgarray.UUIDs, len(claimed))
		for i, e := range claimed {
			ids[i] = e.ID
		}
		_, err = tx.Exec(ctx, "UPDATE outbox_events SET dispatched_at = now() WHERE id = ANY($1::uuid[])", ids)
		return err
	})
	return claimed, err
}

func claim(ctx context.Context, tx *db.Tx, limit int, only any) ([]Stored, error) {
	rows, err := tx.Query(ctx, claimSQL, limit, MaxAttempts, only)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Stored
	for rows.Next() {
		var e Stored
		var store uuid.NullUUID
		if err := rows.Scan(&e.ID, &e.Seq, &e.Type, &e.SubjectType, &e.SubjectID, &store, &e.Payload, &e.CreatedAt, &e.Attempts); err != nil {
			return nil, err
		}
		if store.Valid {
			e.StoreID = &store.UUID
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// noteFailure counts a failed delivery, in a transaction that survives it.
func (d *Dispatcher) noteFailure(ctx context.Context, e Stored, cause error) error {
	var attempts int
	err := d.db.QueryRow(ctx, `UPDATE outbox_events SET attempts = attempts + 1
		WHERE id = $1 AND dispatched_at IS NULL RETURNING attempts`, e.ID).Scan(&attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // another dispatcher delivered it meanwhile
	}
	if err != nil {
		return err
	}
	if attempts >= MaxAttempts {
		d.log.Error("an event is given up; retry it when the cause is mended", "event_id", e.ID, "type", e.Type, "attempts", attempts, "error", cause)
	} else {
		d.log.Warn("an event was not delivered and will be tried again", "event_id", e.ID, "type", e.Type, "attempts", attempts, "error", cause)
	}
	return nil
}

// RetryDead makes events that were given up due again and reports how many.
func (d *Dispatcher) RetryDead(ctx context.Context) (int64, error) {
	res, err := d.db.Exec(ctx, "UPDATE outbox_events SET attempts = 0 WHERE dispatched_at IS NULL AND attempts >= $1", MaxAttempts)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Purge deletes events that were delivered a week ago or earlier. Run does it
// regularly; several processes at once are harmless.
func (d *Dispatcher) Purge(ctx context.Context) error {
	before := time.Now().Add(-keepDispatched)
	for {
		res, err := d.db.Exec(ctx, `DELETE FROM outbox_events WHERE id IN (
			SELECT id FROM outbox_events WHERE dispatched_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)`, before, purgeBatch)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n < purgeBatch {
			return err
		}
	}
}
