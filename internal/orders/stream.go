package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

const (
	// heartbeat keeps proxies from closing a stream on which nothing happens.
	heartbeat = 15 * time.Second
	// subscribeWithin bounds the wait for Redis when a stream opens.
	subscribeWithin = 2 * time.Second
	// backlog is how many events a slow reader may lag behind before the stream
	// ends; the client connects again and reads the list.
	backlog = 256
)

// live is one event on its way from the dispatcher to the streams.
type live struct {
	ID   uuid.UUID       `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func liveChannel(storeID uuid.UUID) string { return "orders:live:" + storeID.String() }

// Subscribe makes the dispatcher hand orders and returns to the streams of all
// replicas, through Redis. Without Redis live events are lost, which streams
// say openly by refusing to open.
func (s *Service) Subscribe(d *events.Dispatcher) {
	d.Subscribe("orders.live", liveEvents, func(ctx context.Context, all []events.Stored) error {
		if s.cache == nil || s.cache.Down() {
			return nil
		}
		for _, e := range all {
			if e.StoreID == nil {
				continue
			}
			raw, err := json.Marshal(live{e.ID, e.Type, e.Payload})
			if err != nil {
				return err
			}
			if s.cache.Publish(ctx, liveChannel(*e.StoreID), string(raw)) != nil {
				return nil // Redis just went away; the rest would be lost too
			}
		}
		return nil
	})
}

// Stream is which events somebody follows: of a store, or of one order.
type Stream struct {
	StoreID uuid.UUID // zero: that of the order
	OrderID uuid.UUID // zero: all of the store
	After   string    // id of the last event that was seen; empty: from now on
}

// Follow opens a stream: server-sent events until ctx ends or the reader is
// closed. Each event comes at least once; what was missed for up to replayFor is
// read from the outbox, and where more was missed an event "gap" says so.
//
// Errors: ErrStoreNotFound, ErrOrderNotFound, ErrNotLive.
func (s *Service) Follow(ctx context.Context, in Stream) (io.ReadCloser, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if in.OrderID != uuid.Nil {
		o, err := s.db.From(ctx).Commerce.Order.Query().Where(order.ID(in.OrderID)).Only(ctx)
		if commerce.IsNotFound(err) {
			return nil, ErrOrderNotFound.New()
		}
		if err != nil {
			return nil, err
		}
		in.StoreID = o.StoreID
	} else if ok, err := s.db.From(ctx).Platform.Store.Query().Where(store.ID(in.StoreID)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok || !actor.Scope.SeesStore(in.StoreID) && len(actor.Scope.OwnStaff) == 0 {
		return nil, ErrStoreNotFound.New()
	}
	if s.cache == nil || s.cache.Down() {
		return nil, ErrNotLive.New()
	}
	ctx, stop := context.WithCancel(ctx)
	messages, listening := make(chan string, backlog), make(chan struct{}, 1)
	s.cache.Subscribe(ctx, liveChannel(in.StoreID), func(payload string) {
		select {
		case messages <- payload:
		default:
			stop() // too slow
		}
	}, func() {
		select {
		case listening <- struct{}{}:
		default:
		}
	})
	select {
	case <-listening:
	case <-time.After(subscribeWithin):
		stop()
		return nil, ErrNotLive.New()
	case <-ctx.Done():
		stop()
		return nil, ctx.Err()
	}
	r, w := io.Pipe()
	f := &follower{s: s, in: in, scope: actor.Scope, w: w, since: s.clock.Now(), sent: map[uuid.UUID]bool{}}
	go func() {
		defer stop()
		_ = w.CloseWithError(f.pump(ctx, messages, listening))
	}()
	return r, nil
}

const (
	// replayFor is how far back a stream goes for what was missed.
	replayFor = 10 * time.Minute
	// overlap covers events that another dispatcher was delivering at the same time.
	overlap = 5 * time.Second
	// replayMost is how many missed events are read at once.
	replayMost = 1000
	// remembered is how many events a stream knows it has sent.
	remembered = 4 * replayMost
)

// follower is one open stream.
type follower struct {
	s     *Service
	in    Stream
	scope auth.Scope
	w     io.Writer
	since time.Time // what was delivered before has been sent
	sent  map[uuid.UUID]bool
}

// pump writes events until ctx ends (nil: a clean end) or the reader is gone.
func (f *follower) pump(ctx context.Context, messages <-chan string, listening <-chan struct{}) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	if err := f.write(": open\n\n"); err != nil {
		return err
	}
	if f.in.After != "" {
		if err := f.resume(ctx); err != nil {
			return err
		}
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			err = f.write(": alive\n\n")
		case <-listening: // Redis was away
			err = f.replay(ctx, f.since.Add(-overlap))
		case m := <-messages:
			var e live
			if json.Unmarshal([]byte(m), &e) == nil {
				err = f.send(e)
				f.since = f.s.clock.Now()
			}
		}
		if err != nil {
			return err
		}
	}
}

func (f *follower) write(text string) error {
	_, err := io.WriteString(f.w, text)
	return err
}

// resume sends what was delivered since the event that the client saw last.
func (f *follower) resume(ctx context.Context) error {
	var at *time.Time
	id, err := uuid.Parse(f.in.After)
	if err == nil {
		err = f.s.db.QueryRow(ctx, "SELECT dispatched_at FROM outbox_events WHERE id = $1", id).Scan(&at)
	}
	if err != nil || at == nil || at.Before(f.s.clock.Now().Add(-replayFor)) {
		return f.write("event: gap\ndata: {}\n\n")
	}
	f.sent[id] = true
	return f.replay(ctx, at.Add(-overlap))
}

// replay sends what was delivered since an instant and not sent yet.
// Plan: outbox_events_done_idx from there on.
func (f *follower) replay(ctx context.Context, since time.Time) error {
	rows, err := f.s.db.Query(ctx, `SELECT id, type, payload FROM outbox_events WHERE dispatched_at >= $1 AND store_id = $2 AND type = ANY($3::text[])
AND ($4::uuid IS NULL OR payload ->> 'order_id' = $4::text) ORDER BY dispatched_at, seq LIMIT $5`, since, f.in.StoreID, pq.Array(liveEvents), orNil(f.in.OrderID), replayMost)
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var e live
		if err := rows.Scan(&e.ID, &e.Type, &e.Data); err != nil {
			return err
		}
		if err := f.send(e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	f.since = f.s.clock.Now()
	if n == replayMost {
		return f.write("event: gap\ndata: {}\n\n")
	}
	return nil
}

// send writes an event that the reader may see and has not had.
func (f *follower) send(e live) error {
	var about struct {
		OrderID         uuid.UUID `json:"order_id"`
		AssignedStaffID uuid.UUID `json:"assigned_staff_id"`
	}
	if f.sent[e.ID] || json.Unmarshal(e.Data, &about) != nil || !f.scope.Sees(f.in.StoreID, about.AssignedStaffID) || f.in.OrderID != uuid.Nil && about.OrderID != f.in.OrderID {
		return nil
	}
	if len(f.sent) >= remembered {
		clear(f.sent)
	}
	f.sent[e.ID] = true
	var b bytes.Buffer
	b.WriteString("id: " + e.ID.String() + "\nevent: " + e.Type + "\ndata: ")
	if json.Compact(&b, e.Data) != nil {
		return nil
	}
	b.WriteString("\n\n")
	return f.write(b.String())
}
