package orders

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/google/uuid"

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

// Follow opens the stream of a store's orders and returns: server-sent events
// until ctx ends or the reader is closed.
//
// Errors: ErrStoreNotFound, ErrNotLive.
func (s *Service) Follow(ctx context.Context, storeID uuid.UUID) (io.ReadCloser, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if ok, err := s.db.From(ctx).Platform.Store.Query().Where(store.ID(storeID)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok || !actor.Scope.SeesStore(storeID) && len(actor.Scope.OwnStaff) == 0 {
		return nil, ErrStoreNotFound.New()
	}
	if s.cache == nil || s.cache.Down() {
		return nil, ErrNotLive.New()
	}
	ctx, stop := context.WithCancel(ctx)
	messages, listening := make(chan string, backlog), make(chan struct{}, 1)
	s.cache.Subscribe(ctx, liveChannel(storeID), func(payload string) {
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
	go func() {
		defer stop()
		_ = w.CloseWithError(pump(ctx, w, actor.Scope, storeID, messages, listening))
	}()
	return r, nil
}

// pump writes events until ctx ends (nil: a clean end) or the reader is gone.
func pump(ctx context.Context, w io.Writer, scope auth.Scope, storeID uuid.UUID, messages <-chan string, listening <-chan struct{}) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	if _, err := io.WriteString(w, ": open\n\n"); err != nil {
		return err
	}
	for {
		var text []byte
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			text = []byte(": alive\n\n")
		case <-listening:
			// Redis was away; what happened meanwhile never arrives.
			text = []byte("event: gap\ndata: {}\n\n")
		case m := <-messages:
			text = format(m, scope, storeID)
		}
		if len(text) == 0 {
			continue
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
}

// format makes a message an event, or nothing when the reader may not see it.
func format(message string, scope auth.Scope, storeID uuid.UUID) []byte {
	var e live
	var seen struct {
		AssignedStaffID uuid.UUID `json:"assigned_staff_id"`
	}
	if json.Unmarshal([]byte(message), &e) != nil || json.Unmarshal(e.Data, &seen) != nil || !scope.Sees(storeID, seen.AssignedStaffID) {
		return nil
	}
	var b bytes.Buffer
	b.WriteString("id: " + e.ID.String() + "\nevent: " + e.Type + "\ndata: ")
	if json.Compact(&b, e.Data) != nil {
		return nil
	}
	b.WriteString("\n\n")
	return b.Bytes()
}
