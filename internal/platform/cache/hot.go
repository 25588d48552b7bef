package cache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Hot caches one object a key so that a stale one is never served after a
// write, on any replica, without a lock and with one round trip a read.
//
// The key of an object holds one of three things:
//
//	V epoch content   the cached bytes
//	L epoch token     a lease: the reader with this token may fill
//	D count           dirty: as many writers are about to commit
//
// A reader that finds nothing takes a lease, reads PostgreSQL and fills; the
// fill is refused unless the key still holds its lease. A writer marks the key
// dirty before it commits, which ends every lease, and deletes it afterwards.
// Tokens never repeat, so losing all keys (a restart, FLUSHALL) loses leases
// too and cannot let an old fill pass.
//
// A writer that cannot reach Redis remembers it: its process serves nothing
// from this cache until it has set a new epoch, which makes every older value
// void everywhere. Until then other processes may serve values up to MaxTTL
// old; that is the only staleness there is.
//
// Keys lie in 64 buckets with a hash tag each, so that a value and its epoch
// share a slot of a Redis Cluster.
type Hot struct {
	c       *Client
	name    string
	buckets [bucketCount]bucket

	failed   atomic.Int64 // writes whose mark may be missing in Redis
	repaired atomic.Int64 // value of failed that the present epoch covers
	mending  atomic.Bool
}

const (
	bucketCount = 64
	epochBytes  = 8
	headerBytes = 1 + epochBytes
	// MaxTTL bounds how long a value is served without being read anew.
	MaxTTL   = 60 * time.Second
	leaseTTL = 5 * time.Second
	// dirtyTTL must outlast the commit that follows the mark; if a writer dies in
	// between, the object is merely read from PostgreSQL for that long.
	dirtyTTL = 10 * time.Second
	// epochTTL must be longer than MaxTTL; a lost epoch voids values, never revives them.
	epochTTL = time.Hour
)

type bucket struct{ prefix, epochKey string }

// NewHot makes a cache of objects under a name ("profile").
func NewHot(c *Client, name string) *Hot {
	h := &Hot{c: c, name: name}
	for i := range h.buckets {
		tag := "{" + name + ":" + strconv.Itoa(i) + "}:"
		h.buckets[i] = bucket{prefix: tag, epochKey: tag + "epoch"}
	}
	return h
}

func (h *Hot) bucketOf(id uuid.UUID) *bucket { return &h.buckets[id[15]%bucketCount] }

func (b *bucket) key(id uuid.UUID) string {
	var buf [64]byte
	k := append(buf[:0], b.prefix...)
	k = hex.AppendEncode(k, id[:])
	return string(k)
}

// Lease is the right to fill one object once. The zero value fills nothing.
type Lease struct {
	id    uuid.UUID
	token string // what the key holds: "L", epoch, random
}

// Get returns the cached bytes of an object: one round trip, no decoding. They
// must not be changed. When there are none, value is nil and the caller reads
// PostgreSQL and hands the lease to Fill; that costs a second round trip here.
// A Redis that is down is the same as an empty one.
func (h *Hot) Get(ctx context.Context, id uuid.UUID) (value []byte, lease Lease) {
	if h.c.down.Load() || h.broken() {
		h.c.stats.Misses.Add(1)
		return nil, Lease{}
	}
	b := h.bucketOf(id)
	key := b.key(id)
	res, err := h.c.MGet(ctx, b.epochKey, key).Result()
	if err != nil || len(res) != 2 {
		h.c.stats.Misses.Add(1)
		return nil, Lease{}
	}
	epoch, _ := res[0].(string)
	held, _ := res[1].(string)
	if len(held) >= headerBytes && held[0] == 'V' && held[1:headerBytes] == epoch && !h.broken() {
		h.c.stats.Hits.Add(1)
		return readOnlyBytes(held[headerBytes:]), Lease{}
	}
	h.c.stats.Misses.Add(1)
	if held != "" && held[0] != 'V' {
		return nil, Lease{} // being written, or another reader fills
	}
	return nil, h.lease(ctx, b, key, id)
}

// readOnlyBytes views a string as bytes without copying it; go-redis makes a
// string of its own for each answer.
func readOnlyBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// A lease may replace nothing or a value of an older epoch. An epoch that was
// lost is made anew at random, so that no value is ever valid without one.
var leaseScript = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
local epoch = redis.call('GET', KEYS[2])
if not epoch then
  epoch = string.sub(ARGV[1], 1, 8)
  redis.call('SET', KEYS[2], epoch, 'PX', ARGV[3])
end
if held then
  local kind = string.sub(held, 1, 1)
  if kind ~= 'V' or string.sub(held, 2, 9) == epoch then return false end
end
local token = 'L' .. epoch .. string.sub(ARGV[1], 9)
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token`)

func (h *Hot) lease(ctx context.Context, b *bucket, key string, id uuid.UUID) Lease {
	token, err := leaseScript.Run(ctx, h.c, []string{key, b.epochKey}, randomToken(), leaseTTL.Milliseconds(), epochTTL.Milliseconds()).Text()
	if err != nil {
		return Lease{} // also when another reader was faster
	}
	return Lease{id: id, token: token}
}

func randomToken() string {
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // never fails; the runtime aborts instead
	return hex.EncodeToString(raw[:])
}

// ARGV[1] is the lease's token, whose epoch must still be the present one.
var fillScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local epoch = redis.call('GET', KEYS[2])
if string.sub(ARGV[1], 2, 9) ~= epoch then return 0 end
redis.call('SET', KEYS[1], 'V' .. epoch .. ARGV[2], 'PX', ARGV[3])
return 1`)

// Fill stores what was read from PostgreSQL after Get returned the lease, for
// ttl (cut to MaxTTL; callers end it at the next business midnight). It reports
// whether the bytes were stored: not when the object was written meanwhile, and
// never when there are none.
func (h *Hot) Fill(ctx context.Context, lease Lease, value []byte, ttl time.Duration) bool {
	if lease.token == "" || len(value) == 0 || h.c.down.Load() || h.broken() {
		return false
	}
	ttl = min(ttl, MaxTTL)
	if ttl < time.Millisecond {
		return false // the day is just ending
	}
	b := h.bucketOf(lease.id)
	stored, err := fillScript.Run(ctx, h.c, []string{b.key(lease.id), b.epochKey}, lease.token, value, ttl.Milliseconds()).Int()
	if err != nil || stored == 0 {
		h.c.stats.RefusedFills.Add(1)
		return false
	}
	h.c.stats.Fills.Add(1)
	return true
}

// touched are the objects that one transaction writes.
type touched struct {
	ids    map[uuid.UUID]struct{}
	marked bool // Redis has our marks
}

type touchKey struct{ h *Hot }

// Touch says that the transaction changes these objects. Just before commit
// they are marked dirty, afterwards deleted. It may be called any number of
// times; failures of Redis never fail the transaction.
func (h *Hot) Touch(_ context.Context, tx *db.Tx, ids ...uuid.UUID) {
	if len(ids) == 0 {
		return
	}
	t := db.Value(tx, touchKey{h}, func() *touched {
		t := &touched{ids: map[uuid.UUID]struct{}{}}
		tx.BeforeCommit(func(context.Context) error {
			// Once more to the end of the queue: other hooks write to the database
			// first, so that the mark directly precedes the commit.
			tx.BeforeCommit(func(ctx context.Context) error { return h.before(ctx, t) })
			return nil
		})
		tx.AfterCommit(func(ctx context.Context) { h.after(ctx, t) })
		return t
	})
	for _, id := range ids {
		t.ids[id] = struct{}{}
	}
}

var markScript = redis.NewScript(`
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  local n = 1
  if held and string.sub(held, 1, 1) == 'D' then n = tonumber(string.sub(held, 2)) + 1 end
  redis.call('SET', KEYS[i], 'D' .. n, 'PX', ARGV[1])
end
return #KEYS`)

// ARGV[1] is 1 when this writer's marks are in place.
var clearScript = redis.NewScript(`
for i = 1, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if held then
    if string.sub(held, 1, 1) ~= 'D' then
      redis.call('DEL', KEYS[i])
    elseif ARGV[1] == '1' then
      local n = tonumber(string.sub(held, 2)) - 1
      if n > 0 then redis.call('SET', KEYS[i], 'D' .. n, 'KEEPTTL') else redis.call('DEL', KEYS[i]) end
    end
  end
end
return #KEYS`)

func (h *Hot) before(ctx context.Context, t *touched) error {
	if err := ctx.Err(); err != nil {
		return err // the commit would fail too
	}
	if err := h.each(ctx, t, markScript, dirtyTTL.Milliseconds()); err != nil {
		h.remember(err)
		return nil
	}
	t.marked = true
	return nil
}

func (h *Hot) after(ctx context.Context, t *touched) {
	marked := 0
	if t.marked {
		marked = 1
	}
	if err := h.each(ctx, t, clearScript, marked); err != nil {
		h.remember(err)
	}
}

// each runs a script over the objects' keys, one call a bucket, in one pipeline.
func (h *Hot) each(ctx context.Context, t *touched, script *redis.Script, arg any) error {
	if h.c.Down() {
		return ErrDown
	}
	if len(t.ids) == 1 {
		for id := range t.ids {
			return script.Run(ctx, h.c, []string{h.bucketOf(id).key(id)}, arg).Err()
		}
	}
	keys := map[*bucket][]string{}
	for id := range t.ids {
		b := h.bucketOf(id)
		keys[b] = append(keys[b], b.key(id))
	}
	// EVAL and not EVALSHA: a pipeline cannot fall back when the script is unknown.
	_, err := h.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys {
			script.Eval(ctx, p, k, arg)
		}
		return nil
	})
	return err
}

// broken reports that a write of this process may be unknown to Redis.
func (h *Hot) broken() bool { return h.failed.Load() != h.repaired.Load() }

// remember notes such a write and has a new epoch set as soon as Redis can be
// reached; until then this process reads past the cache.
func (h *Hot) remember(err error) {
	if h.failed.Add(1) == h.repaired.Load()+1 {
		slog.Warn("a write could not reach the cache; it is bypassed until a new epoch is set", "cache", h.name, "error", err)
	}
	h.mend()
}

// mend starts the repair unless it runs.
func (h *Hot) mend() {
	if !h.mending.CompareAndSwap(false, true) {
		return
	}
	h.c.background(func() {
		for h.broken() {
			n := h.failed.Load()
			if !h.c.Down() && h.newEpoch(context.Background()) == nil {
				h.repaired.Store(n)
			} else if !h.c.pause(probeEvery / 2) {
				return
			}
		}
		h.mending.Store(false)
		if h.broken() { // a failure between the last look and the line above
			h.mend()
		}
	})
}

// newEpoch makes every value of this cache void, on all replicas.
func (h *Hot) newEpoch(ctx context.Context) error {
	epoch := randomToken()[:epochBytes]
	_, err := h.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range h.buckets {
			p.Set(ctx, h.buckets[i].epochKey, epoch, epochTTL)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set a new cache epoch: %w", err)
	}
	return nil
}

// Clear makes every value void, for changes that touch all objects (settings).
// Call it after the commit of the change.
func (h *Hot) Clear(ctx context.Context) {
	if err := h.newEpoch(ctx); err != nil {
		h.remember(err)
	}
}
