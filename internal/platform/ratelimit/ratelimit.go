// Package ratelimit limits how often a caller may do something, over all
// replicas, by the generic cell rate algorithm: a burst at once, then one
// request each period/quota.
package ratelimit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/cache"
)

// Class is a kind of request with its own limit, named in the contract by
// x-rate-limit.
type Class struct {
	Name   string        // of lower-case letters, digits and "_"
	Quota  int           // requests a window, and at once
	Window time.Duration // in which the quota grows back
}

// Classes of this service.
var (
	// SignInByAddress: an office shares an address, a guesser uses many.
	SignInByAddress = Class{Name: "sign_in_address", Quota: 60, Window: time.Minute}
	// SignInByAccount counts attempts on one account, from anywhere.
	SignInByAccount = Class{Name: "sign_in", Quota: 10, Window: 5 * time.Minute}
	// Lookup lets a till serve one customer after the other, but not walk through numbers.
	Lookup = Class{Name: "lookup", Quota: 60, Window: time.Minute}
	// Reveal shows clear phones and addresses.
	Reveal = Class{Name: "reveal", Quota: 30, Window: time.Minute}
)

// ByName finds the class of an x-rate-limit extension ("sign_in", "lookup", "reveal").
func ByName(name string) (Class, bool) {
	for _, c := range []Class{SignInByAddress, SignInByAccount, Lookup, Reveal} {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// Result says whether a request may go ahead.
type Result struct {
	Class      Class
	Allowed    bool
	Remaining  int           // requests that would be allowed right now
	Reset      time.Duration // until the quota is whole again
	RetryAfter time.Duration // until the next request would be allowed; 0 when Remaining > 0
}

// SetHeaders writes RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11)
// and, on a refusal, Retry-After. Seconds are rounded up.
func (r Result) SetHeaders(h http.Header) {
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", r.Class.Name, r.Class.Quota, seconds(r.Class.Window)))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", r.Class.Name, r.Remaining, seconds(r.Reset)))
	if !r.Allowed {
		h.Set("Retry-After", strconv.FormatInt(max(1, seconds(r.RetryAfter)), 10))
	}
}

func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

// Limiter counts in Redis and, while that is down, in this process.
type Limiter struct {
	cache  *cache.Client
	secret []byte
	local  *local
}

// New makes a limiter. The secret keys the hash of subjects, so that Redis never
// holds an address or account in a form that could be guessed back.
func New(c *cache.Client, secret []byte) *Limiter {
	return &Limiter{cache: c, secret: secret, local: newLocal()}
}

// One key an account holds the theoretical arrival time in microseconds of
// Redis' own clock: replicas need not agree on the time.
// ARGV: microseconds per request, quota. Answers: allowed, remaining,
// microseconds until whole, until the next.
var gcra = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local step, quota = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = step * quota
local tat = tonumber(redis.call('GET', KEYS[1]) or now)
if tat < now then tat = now end
local after = tat + step
if after - now > window then
  return {0, 0, tat - now, after - window - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
local left = math.floor((window - (after - now)) / step)
local wait = 0
if left == 0 then wait = after + step - window - now end
return {1, left, after - now, wait}`)

// Allow counts one request of a subject (an address, an account, a principal)
// and says whether it may go ahead. A refused request is not counted.
//
// While Redis is down each process counts on its own with half the quota:
// guessing passwords must not become easier by an outage.
func (l *Limiter) Allow(ctx context.Context, c Class, subject string) Result {
	step := c.Window / time.Duration(c.Quota)
	if !l.cache.Down() {
		v, err := gcra.Run(ctx, l.cache, []string{l.key(c, subject)}, step.Microseconds(), c.Quota).Int64Slice()
		if err == nil && len(v) == 4 {
			return Result{
				Class: c, Allowed: v[0] == 1, Remaining: int(v[1]),
				Reset: time.Duration(v[2]) * time.Microsecond, RetryAfter: time.Duration(v[3]) * time.Microsecond,
			}
		}
	}
	return l.local.allow(c, l.key(c, subject), time.Now())
}

func (l *Limiter) key(c Class, subject string) string {
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(c.Name))
	mac.Write([]byte{0})
	mac.Write([]byte(subject))
	return "rate:" + c.Name + ":" + hex.EncodeToString(mac.Sum(nil)[:12])
}
