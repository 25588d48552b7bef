package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// principal is what somebody may do, as resolved from PostgreSQL: for staff
// their rights and live sessions, for an API key its rights and hash. Entries
// are shared and never changed.
type principal struct {
	Actor    auth.Actor              `json:"actor"`
	Alive    bool                    `json:"alive"` // active staff; a key that exists and is not revoked
	Sessions map[uuid.UUID]time.Time `json:"sessions,omitempty"`
	KeyHash  []byte                  `json:"key_hash,omitempty"`
	Ends     time.Time               `json:"ends,omitzero"`  // the key dies then
	Until    time.Time               `json:"until,omitzero"` // rights change by themselves then (a grant runs out)

	read time.Time // when this process began to get hold of it
}

const (
	// localLife bounds how long a change made elsewhere may go unseen here when
	// its message is lost.
	localLife = time.Second
	// remoteLife is short since a replica that cannot reach Redis cannot void
	// what others read there.
	remoteLife       = 15 * time.Second
	loadLimit        = 5 * time.Second
	changesChannel   = "shuke:identity:changes"
	everybody        = "*"
	manyChanges      = 64
	principalPurpose = "identity.principal"
)

// fresh reports whether the entry may still be served.
func (p *principal) fresh(now time.Time) bool {
	age := now.Sub(p.read)
	return age >= 0 && age < localLife && (p.Until.IsZero() || now.Before(p.Until))
}

// loader reads a principal from PostgreSQL.
type loader func(context.Context) (*principal, error)

// principal gives the rights under an id: this process's copy if it is younger
// than a second, else Redis' copy, else PostgreSQL.
func (s *Service) principal(ctx context.Context, id uuid.UUID, load loader) (*principal, error) {
	if p, ok := s.local.Get(id); ok && p.fresh(s.Clock.Now()) {
		return p, nil
	}
	return s.fetch(ctx, id, load, false)
}

// fetch gets a principal past the process's own copy; with anew also past
// Redis. Callers at the same time share one fetch, but never one that began
// before the latest change.
func (s *Service) fetch(ctx context.Context, id uuid.UUID, load loader, anew bool) (*principal, error) {
	drops := s.drops.Load()
	flight := fmt.Sprint(id, drops, anew)
	v, err, _ := s.flight.Do(flight, func() (any, error) {
		// The first caller must not take the others down with it when it leaves.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
		defer cancel()
		p, err := s.read(ctx, id, load, anew)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.drops.Load() == drops {
			s.local.Add(id, p)
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*principal), nil
}

func (s *Service) read(ctx context.Context, id uuid.UUID, load loader, anew bool) (*principal, error) {
	began := s.Clock.Now()
	sealed, lease := s.hot.Get(ctx, id)
	if sealed != nil && !anew {
		if p := s.open(id, sealed); p != nil && (p.Until.IsZero() || began.Before(p.Until)) {
			p.read = began
			return p, nil
		}
	}
	p, err := load(ctx)
	if err != nil {
		return nil, err
	}
	p.read = began
	ttl := remoteLife
	if !p.Until.IsZero() {
		ttl = min(ttl, p.Until.Sub(began))
	}
	if p.Alive {
		s.hot.Fill(ctx, lease, s.seal(id, p), ttl)
	}
	return p, nil
}

// What lies in Redis decides who may do what, so it is sealed: writing there
// gains nobody anything.
func (s *Service) seal(id uuid.UUID, p *principal) []byte {
	raw, err := json.Marshal(p)
	if err != nil {
		panic(err) // a plain struct of ours
	}
	return s.Keys.SealBlob(principalPurpose, id[:], raw)
}

func (s *Service) open(id uuid.UUID, sealed []byte) *principal {
	raw, err := s.Keys.OpenBlob(principalPurpose, id[:], sealed)
	if err != nil {
		return nil
	}
	p := &principal{}
	if json.Unmarshal(raw, p) != nil {
		return nil
	}
	return p
}

// changed collects whom a transaction affects.
type changed struct{ ids map[uuid.UUID]struct{} }

type changedKey struct{}

// invalidate says that the transaction changes the rights or sessions of these
// principals: with the commit every layer forgets them, in this process before
// the caller is answered.
func (s *Service) invalidate(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) {
	s.hot.Touch(ctx, tx, ids...)
	c := db.Value(tx, changedKey{}, func() *changed {
		c := &changed{ids: map[uuid.UUID]struct{}{}}
		tx.AfterCommit(func(ctx context.Context) { s.tell(ctx, c) })
		return c
	})
	for _, id := range ids {
		c.ids[id] = struct{}{}
	}
}

// tell forgets the changed principals here, then lets the other replicas know.
func (s *Service) tell(ctx context.Context, c *changed) {
	payload := everybody
	if len(c.ids) <= manyChanges {
		names := make([]string, 0, len(c.ids))
		for id := range c.ids {
			names = append(names, id.String())
		}
		payload = strings.Join(names, " ")
	}
	s.hear(payload)
	if s.Cache.Down() {
		return // the others are without it too, or see it within localLife
	}
	if err := s.Cache.Publish(ctx, changesChannel, payload); err != nil {
		s.Log.WarnContext(ctx, "changed rights were not announced", "error", err)
	}
}

// hear forgets the principals a message names.
func (s *Service) hear(payload string) {
	if payload == everybody {
		s.dropAll()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops.Add(1)
	for name := range strings.FieldsSeq(payload) {
		if id, err := uuid.Parse(name); err == nil {
			s.local.Remove(id)
		}
	}
}

func (s *Service) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops.Add(1)
	s.local.Purge()
}
