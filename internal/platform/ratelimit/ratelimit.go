// Package ratelimit limits how often a caller may do something, over all
// replicas, by the generic cell rate algorithm: a burst at once, then one
// request each period/quota.
//
// Redis keeps the count. So that a request of a busy caller costs no round
// trip, a replica takes several requests' worth at a time, a lease, the bigger
// the busier the caller, and spends it within a second; what it does not spend
// is lost to the caller, never gained. Together the replicas let through at
// most the quota and what leases were out when the window began. A refusal is
// remembered until the next request would be let through.
//
// While Redis is down each replica counts on its own with half the quota, on
// top of what it knows to be spent: guessing must not become easier by an
// outage.
package ratelimit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/cache"
)

// Class is a kind of request with its own limit.
type Class struct {
	Name   string        // of lower-case letters, digits and "_"
	Quota  int           // requests a window, and at once
	Window time.Duration // in which the quota grows back
	// Leased lets a replica take more than one request's worth at a time, up to a
	// twentieth of the quota. What guesses and secrets are counted by is not.
	Leased bool
	// Alone is counted by each process for itself, for what must work when nothing
	// else does.
	Alone bool
}

// Classes that the contract names by x-rate-limit.
var (
	// SignInByAddress: an office shares an address, a guesser uses many.
	SignInByAddress = Class{Name: "sign_in_address", Quota: 60, Window: time.Minute}
	// SignInByAccount counts attempts on one account, from anywhere.
	SignInByAccount = Class{Name: "sign_in", Quota: 10, Window: 5 * time.Minute}
	// MemberSignIn is for codes of WeChat and other providers, which nobody guesses:
	// the customers of a whole mobile network may share an address.
	MemberSignIn = Class{Name: "member_sign_in", Quota: 600, Window: time.Minute, Leased: true}
	// Lookup lets a till serve one customer after the other, but not walk through numbers.
	Lookup = Class{Name: "lookup", Quota: 60, Window: time.Minute}
	// Reveal shows clear phones and addresses.
	Reveal = Class{Name: "reveal", Quota: 30, Window: time.Minute}
	// Token exchanges an API key for a short token.
	Token = Class{Name: "token", Quota: 60, Window: time.Minute}
	// Probe is for those who watch the service: balancers and monitoring.
	Probe = Class{Name: "probe", Quota: 6000, Window: time.Minute, Alone: true}
)

// ByName finds the class of an x-rate-limit extension.
func ByName(name string) (Class, bool) {
	for _, c := range []Class{SignInByAddress, SignInByAccount, MemberSignIn, Lookup, Reveal, Token, Probe} {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// leaseLife bounds how long a replica may spend what it took.
const leaseLife = time.Second

// most is the largest lease of a class.
func (c Class) most() int {
	if !c.Leased {
		return 1
	}
	return min(max(1, c.Quota/20), 500)
}

func (c Class) step() time.Duration { return c.Window / time.Duration(c.Quota) }

// Subject is whom requests are counted for. It is comparable and made without
// allocating: it is looked up with every request.
type Subject struct {
	kind byte
	id   [16]byte
}

// Principal is somebody signed in, or a key; kind tells apart kinds whose ids
// may be the same.
func Principal(kind string, id uuid.UUID) Subject {
	var first byte
	if kind != "" {
		first = kind[0]
	}
	return Subject{first, id}
}

// Address is where a request comes from. An IPv6 network counts as one: its
// 2^64 addresses are one customer's of a provider.
func Address(a netip.Addr) Subject {
	a = a.Unmap()
	if a.Is4() {
		v4 := a.As4()
		var id [16]byte
		copy(id[:], v4[:])
		return Subject{'4', id}
	}
	id := a.As16()
	clear(id[8:])
	return Subject{'6', id}
}

// Text is any other subject, such as an account's name.
func Text(s string) Subject {
	sum := sha256.Sum256([]byte(s))
	return Subject{'t', [16]byte(sum[:16])}
}

// Result says whether a request may go ahead.
type Result struct {
	Class      Class
	Allowed    bool
	Remaining  int           // requests that would be allowed right now
	Reset      time.Duration // until the quota is whole again
	RetryAfter time.Duration // until the next request would be allowed; 0 when Remaining > 0

	policy []string // the header, made once for a caller
}

// SetHeaders writes RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11)
// and, on a refusal, Retry-After. Seconds are rounded up.
func (r Result) SetHeaders(h http.Header) {
	policy := r.policy
	if policy == nil {
		policy = r.Class.policy()
	}
	h["Ratelimit-Policy"] = policy // the canonical spelling, as Set would make it
	b := make([]byte, 0, 40)
	b = append(append(append(b, '"'), r.Class.Name...), `";r=`...)
	b = strconv.AppendInt(b, int64(r.Remaining), 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, seconds(r.Reset), 10)
	h["Ratelimit"] = []string{string(b)}
	if !r.Allowed {
		h.Set("Retry-After", strconv.FormatInt(max(1, seconds(r.RetryAfter)), 10))
	}
}

func (c Class) policy() []string {
	return []string{`"` + c.Name + `";q=` + strconv.Itoa(c.Quota) + `;w=` + strconv.FormatInt(seconds(c.Window), 10)}
}

func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// account is what one replica knows of one subject in one class. Its lock is
// held while Redis is asked, so that callers at the same time share the answer.
type account struct {
	mu      sync.Mutex
	class   Class
	policy  []string
	tokens  int       // of the lease, not spent yet
	left    int       // what Redis had beyond the lease when it was taken
	took    time.Time // when the lease was taken
	size    int       // of the lease
	wholeAt time.Time // when the quota is whole again, as far as known
	refused time.Time // until then there is nothing
}

// shards keep callers of different subjects out of each other's way.
const (
	shards   = 16
	accounts = 4096 // of each shard
)

type key struct {
	class   string
	subject Subject
}

// Limiter counts in Redis and, while that is down, in this process.
type Limiter struct {
	cache  *cache.Client
	secret []byte
	shards [shards]*lru.Cache[key, *account]
	now    func() time.Time
}

// New makes a limiter. The secret keys the hash of subjects, so that Redis never
// holds an address or account in a form that could be guessed back.
func New(c *cache.Client, secret []byte) *Limiter {
	l := &Limiter{cache: c, secret: secret, now: time.Now}
	for i := range l.shards {
		shard, err := lru.New[key, *account](accounts)
		if err != nil {
			panic(err) // only for a size below one
		}
		l.shards[i] = shard
	}
	return l
}

func (l *Limiter) account(c Class, s Subject) *account {
	k := key{c.Name, s}
	shard := l.shards[(s.id[15]^s.id[0]^s.id[3])%shards]
	if a, ok := shard.Get(k); ok {
		return a
	}
	a := &account{}
	if twin, ok, _ := shard.PeekOrAdd(k, a); ok {
		return twin
	}
	return a
}

// Allow counts one request of a subject and says whether it may go ahead. A
// refused request is not counted.
func (l *Limiter) Allow(ctx context.Context, c Class, s Subject) Result {
	a := l.account(c, s)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := l.now()
	if a.class != c { // new, or the limit was changed
		a.class, a.policy, a.tokens, a.refused = c, c.policy(), 0, time.Time{}
	}
	if a.tokens > 0 && now.Sub(a.took) < leaseLife {
		a.tokens--
		return a.allowed(now)
	}
	if now.Before(a.refused) {
		return a.refusal(now)
	}
	if c.Alone || l.cache.Down() || !l.lease(ctx, a, s, now) {
		return a.alone(now)
	}
	if a.tokens == 0 {
		return a.refusal(now)
	}
	a.tokens--
	return a.allowed(now)
}

func (a *account) allowed(now time.Time) Result {
	r := Result{Class: a.class, Allowed: true, Remaining: a.left + a.tokens, Reset: max(0, a.wholeAt.Sub(now)), policy: a.policy}
	if r.Remaining == 0 {
		r.RetryAfter = a.class.step()
	}
	return r
}

func (a *account) refusal(now time.Time) Result {
	return Result{Class: a.class, Reset: max(0, a.wholeAt.Sub(now)), RetryAfter: a.refused.Sub(now), policy: a.policy}
}

// wanted is the size of the next lease: twice the last one when that was spent
// in a hurry, down to one when it was not spent at all.
func (a *account) wanted(now time.Time) int {
	switch {
	case a.size == 0:
		return 1
	case a.tokens > 0: // the rest is lost
		return max(1, a.size/2)
	case now.Sub(a.took) < leaseLife/2:
		return min(2*a.size, a.class.most())
	}
	return a.size
}

// One key a subject holds the theoretical arrival time in microseconds of
// Redis' own clock: replicas need not agree on the time.
// ARGV: microseconds per request, quota, requests wanted. Of what is left a
// replica gets half at most, so that near the limit all get some. Answers:
// requests taken, requests left, microseconds until whole, until the next.
var gcra = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local step, quota, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local window = step * quota
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local left = math.floor((window - (tat - now)) / step)
if left < 1 then
  return {0, 0, tat - now, tat + step - now - window}
end
local take = math.min(want, math.max(1, math.floor(left / 2)))
tat = tat + take * step
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
return {take, left - take, tat - now, 0}`)

// lease takes requests from Redis, or notes a refusal; false when Redis did
// not answer.
func (l *Limiter) lease(ctx context.Context, a *account, s Subject, now time.Time) bool {
	want := a.wanted(now)
	ctx = context.WithoutCancel(ctx) // a caller who leaves must not be counted less
	v, err := gcra.Run(ctx, l.cache, []string{l.key(a.class, s)}, a.class.step().Microseconds(), a.class.Quota, want).Int64Slice()
	if err != nil || len(v) != 4 {
		return false
	}
	a.tokens, a.size, a.left, a.took = int(v[0]), max(1, int(v[0])), int(v[1]), now
	a.wholeAt = now.Add(time.Duration(v[2]) * time.Microsecond)
	if a.tokens == 0 {
		a.refused = now.Add(time.Duration(v[3]) * time.Microsecond)
	}
	return true
}

// alone counts in this process: a class of its own, or without Redis, then
// with half the quota since another replica counts apart.
func (a *account) alone(now time.Time) Result {
	step, quota := a.class.step(), a.class.Quota
	if !a.class.Alone {
		quota = max(1, quota/2)
	}
	window := step * time.Duration(quota)
	tat := a.wholeAt
	if tat.Before(now) {
		tat = now
	}
	after := tat.Add(step)
	a.tokens, a.size, a.left = 0, 0, 0
	if over := after.Sub(now) - window; over > 0 {
		// Not remembered: Redis may be back before.
		return Result{Class: a.class, Reset: tat.Sub(now), RetryAfter: over, policy: a.policy}
	}
	a.wholeAt = after
	r := Result{Class: a.class, Allowed: true, Remaining: int((window - after.Sub(now)) / step), Reset: after.Sub(now), policy: a.policy}
	if r.Remaining == 0 {
		r.RetryAfter = step
	}
	return r
}

func (l *Limiter) key(c Class, s Subject) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(c.Name))
	mac.Write([]byte{0, s.kind})
	mac.Write(s.id[:])
	return "rate:" + c.Name + ":" + hex.EncodeToString(mac.Sum(nil)[:12])
}
