// Package principals remembers who may do what, as resolved from PostgreSQL, so
// that a request of a busy caller costs no look-up and a revocation is seen
// everywhere within a second.
//
// There are three layers: this process's copy for a second, Redis for seconds,
// PostgreSQL. A write that changes somebody's rights or sessions names them to
// Invalidate, which voids all layers with the commit, in this process before
// the caller is answered. Without Redis everything comes from PostgreSQL, and
// other replicas see a change within a second.
package principals

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// Principal is what somebody may do: for people their rights and live
// sessions, for an API key its rights and secrets. Entries are shared and never
// changed.
type Principal struct {
	Actor    auth.Actor            `json:"actor"`
	Alive    bool                  `json:"alive"` // an active person; a key that exists and is not revoked
	Sessions map[uuid.UUID]Session `json:"sessions,omitempty"`
	Key      *Key                  `json:"key,omitempty"`
	Ends     time.Time             `json:"ends,omitzero"`  // the key dies then
	Until    time.Time             `json:"until,omitzero"` // rights change by themselves then (a grant runs out)

	read time.Time // when this process began to get hold of it
}

// Key is how an API key is recognised.
type Key struct {
	Hash         []byte         `json:"hash"`
	Previous     []byte         `json:"previous,omitempty"` // of the secret before, until PreviousEnds
	PreviousEnds time.Time      `json:"previous_ends,omitzero"`
	Rotation     int            `json:"rotation,omitempty"` // short tokens are good under the one they were made in
	From         []netip.Prefix `json:"from,omitempty"`     // where it may be used; empty: anywhere
}

// Opens reports whether the hash of a secret is one of the key's.
func (k *Key) Opens(hash []byte, now time.Time) bool {
	return token.SameHash(k.Hash, hash) || now.Before(k.PreviousEnds) && token.SameHash(k.Previous, hash)
}

// Allows reports whether the key may be used from an address; one that is not
// known is nowhere.
func (k *Key) Allows(from netip.Addr) bool {
	from = from.Unmap()
	return len(k.From) == 0 || slices.ContainsFunc(k.From, func(p netip.Prefix) bool { return p.Contains(from) })
}

// Session is a live session of a person.
type Session struct {
	Expires time.Time  `json:"expires"`
	Proof   auth.Proof `json:"proof,omitzero"`
}

const (
	// LocalLife bounds how long a change made elsewhere may go unseen here when
	// its message is lost.
	LocalLife = time.Second
	// remoteLife is short since a replica that cannot reach Redis cannot void
	// what others read there.
	remoteLife  = 15 * time.Second
	loadLimit   = 5 * time.Second
	everybody   = "*"
	manyChanges = 64
	// most bounds the process's copies: entries, not bytes.
	most = 8192
)

// fresh reports whether the entry may still be served.
func (p *Principal) fresh(now time.Time) bool {
	age := now.Sub(p.read)
	return age >= 0 && age < LocalLife && (p.Until.IsZero() || now.Before(p.Until))
}

// Loader reads a principal from PostgreSQL.
type Loader func(context.Context) (*Principal, error)

// Store keeps the principals of one side of the API. Safe for concurrent use.
type Store struct {
	names names
	cache *cache.Client
	clock *clock.Clock
	keys  *crypto.Keyring
	log   *slog.Logger

	hot    *cache.Hot
	local  *lru.Cache[uuid.UUID, *Principal] // the process's layer
	flight singleflight.Group
	mu     sync.Mutex    // orders drops and stores of local
	drops  atomic.Uint64 // rises with every drop
}

type names struct{ channel, purpose string }

// New makes a store; domain ("identity", "member") keeps what it holds in Redis
// apart from others'.
func New(domain string, c *cache.Client, clk *clock.Clock, keys *crypto.Keyring, log *slog.Logger) *Store {
	local, err := lru.New[uuid.UUID, *Principal](most)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Store{names: names{"shuke:" + domain + ":changes", domain + ".principal"}, cache: c, clock: clk, keys: keys, log: log,
		hot: cache.NewHot(c, domain+".principal"), local: local}
}

// Start listens for changes made by other replicas until ctx ends. Without it,
// or while Redis is down, they are seen within a second.
func (s *Store) Start(ctx context.Context) {
	s.cache.Subscribe(ctx, s.names.channel, s.hear, s.DropAll)
}

// Get gives the rights under an id: this process's copy if it is younger than
// a second, else Redis' copy, else PostgreSQL.
func (s *Store) Get(ctx context.Context, id uuid.UUID, load Loader) (*Principal, error) {
	if p, ok := s.local.Get(id); ok && p.fresh(s.clock.Now()) {
		return p, nil
	}
	return s.Fetch(ctx, id, load, false)
}

// OfSession gives the actor of a live session. A session that is not known has
// ended for good: sessions never come back, so gone may be remembered. An actor
// without live session, gone or not, has no kind.
func (s *Store) OfSession(ctx context.Context, id, sessionID uuid.UUID, load Loader) (actor auth.Actor, gone bool, err error) {
	p, err := s.Get(ctx, id, load)
	if err != nil {
		return auth.Actor{}, false, err
	}
	if _, known := p.Sessions[sessionID]; !known {
		// A session younger than the cached copy, or one that has ended: PostgreSQL knows.
		if p, err = s.Fetch(ctx, id, load, true); err != nil {
			return auth.Actor{}, false, err
		}
	}
	session, known := p.Sessions[sessionID]
	if !known {
		return auth.Actor{}, true, nil
	}
	if !p.Alive || !s.clock.Now().Before(session.Expires) {
		return auth.Actor{}, false, nil
	}
	actor = p.Actor
	actor.SessionID, actor.Proof = sessionID, session.Proof
	return actor, false, nil
}

// Fetch gets a principal past the process's own copy; with anew also past
// Redis. Callers at the same time share one fetch, but never one that began
// before the latest change.
func (s *Store) Fetch(ctx context.Context, id uuid.UUID, load Loader, anew bool) (*Principal, error) {
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
	return v.(*Principal), nil
}

func (s *Store) read(ctx context.Context, id uuid.UUID, load Loader, anew bool) (*Principal, error) {
	began := s.clock.Now()
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
func (s *Store) seal(id uuid.UUID, p *Principal) []byte {
	raw, err := json.Marshal(p)
	if err != nil {
		panic(err) // a plain struct of ours
	}
	return s.keys.SealBlob(s.names.purpose, id[:], raw)
}

func (s *Store) open(id uuid.UUID, sealed []byte) *Principal {
	raw, err := s.keys.OpenBlob(s.names.purpose, id[:], sealed)
	if err != nil {
		return nil
	}
	p := &Principal{}
	if json.Unmarshal(raw, p) != nil {
		return nil
	}
	return p
}

// changed collects whom a transaction affects.
type changed struct{ ids map[uuid.UUID]struct{} }

type changedKey struct{ s *Store }

// Invalidate says that the transaction changes the rights or sessions of these
// principals: with the commit every layer forgets them, in this process before
// the caller is answered.
func (s *Store) Invalidate(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) {
	s.hot.Touch(ctx, tx, ids...)
	c := db.Value(tx, changedKey{s}, func() *changed {
		c := &changed{ids: map[uuid.UUID]struct{}{}}
		tx.AfterCommit(func(ctx context.Context) { s.tell(ctx, c) })
		return c
	})
	for _, id := range ids {
		c.ids[id] = struct{}{}
	}
}

// tell forgets the changed principals here, then lets the other replicas know.
func (s *Store) tell(ctx context.Context, c *changed) {
	payload := everybody
	if len(c.ids) <= manyChanges {
		ids := make([]string, 0, len(c.ids))
		for id := range c.ids {
			ids = append(ids, id.String())
		}
		payload = strings.Join(ids, " ")
	}
	s.hear(payload)
	if s.cache.Down() {
		return // the others are without it too, or see it within LocalLife
	}
	if err := s.cache.Publish(ctx, s.names.channel, payload); err != nil {
		s.log.WarnContext(ctx, "changed rights were not announced", "error", err)
	}
}

// hear forgets the principals a message names.
func (s *Store) hear(payload string) {
	if payload == everybody {
		s.DropAll()
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

// DropAll forgets this process's copies.
func (s *Store) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops.Add(1)
	s.local.Purge()
}
