package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// throttle counts sign-in attempts. Each attempt is counted before the
// password is looked at, so that a burst of parallel guesses gains nothing; a
// success takes the count back. Counts lie in Redis for all replicas, and in
// process while Redis is down.
type throttle struct {
	cache *cache.Client
	clock *clock.Clock
	key   [32]byte
	mu    sync.Mutex
	local *lru.Cache[string, tries]
}

type tries struct {
	n           int
	ends, until time.Time
}

const maxLocalTries = 10_000

func newThrottle(c *cache.Client, cl *clock.Clock, keys *crypto.Keyring) *throttle {
	local, err := lru.New[string, tries](maxLocalTries)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &throttle{cache: c, clock: cl, key: keys.Derive("identity.throttle"), local: local}
}

// name is a key that holds neither user name nor address.
func (t *throttle) name(parts ...string) string {
	m := hmac.New(sha256.New, t.key[:])
	for _, p := range parts {
		m.Write([]byte(p))
		m.Write([]byte{0})
	}
	return "{shuke:try:" + base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16]) + "}"
}

// KEYS: count, wait. ARGV: free attempts, longest wait and window in ms.
// Answers the ms still to wait, or counts the attempt and answers 0.
var attemptScript = redis.NewScript(`
local left = redis.call('PTTL', KEYS[2])
if left > 0 then return left end
local n = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local over = n - tonumber(ARGV[1])
if over >= 0 then
  local wait = tonumber(ARGV[2])
  if over <= 20 then wait = math.min(1000 * 2 ^ over, wait) end
  redis.call('SET', KEYS[2], '1', 'PX', math.floor(wait))
end
return 0`)

// attempt counts one try under a name, or tells how long to wait first.
func (t *throttle) attempt(ctx context.Context, name string, a attempts) time.Duration {
	if !t.cache.Down() {
		left, err := attemptScript.Run(ctx, t.cache, []string{name + "n", name + "w"},
			a.free, a.longest.Milliseconds(), a.window.Milliseconds()).Int64()
		if err == nil {
			return time.Duration(left) * time.Millisecond
		}
	}
	now := t.clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	b, _ := t.local.Get(name)
	if left := b.until.Sub(now); left > 0 {
		return left
	}
	if now.After(b.ends) {
		b.n = 0
	}
	b.n++
	b.ends, b.until = now.Add(a.window), now.Add(a.wait(b.n))
	t.local.Add(name, b)
	return 0
}

// forget takes the counts back after a success.
func (t *throttle) forget(ctx context.Context, names ...string) {
	t.mu.Lock()
	for _, n := range names {
		t.local.Remove(n)
	}
	t.mu.Unlock()
	if t.cache.Down() {
		return // the counts there run out by themselves
	}
	for _, n := range names {
		// A failure leaves a count that runs out by itself.
		_ = t.cache.Del(ctx, n+"n", n+"w").Err()
	}
}
