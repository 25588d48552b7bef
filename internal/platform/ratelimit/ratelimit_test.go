package ratelimit

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func newLimiter(t testing.TB, url string) (*Limiter, *cache.Client) {
	t.Helper()
	c, err := cache.New(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return New(c, []byte("secret")), c
}

func TestQuotaAtOnceThenOneAStep(t *testing.T) {
	l, _ := newLimiter(t, pgtest.Redis(t))
	class := Class{Name: "test", Quota: 4, Window: 800 * time.Millisecond} // a step is 200 ms
	for left := 3; left >= 0; left-- {
		r := l.Allow(t.Context(), class, Text("a"))
		require.True(t, r.Allowed)
		require.Equal(t, left, r.Remaining)
	}
	r := l.Allow(t.Context(), class, Text("a"))
	require.False(t, r.Allowed)
	require.Positive(t, r.RetryAfter)
	require.LessOrEqual(t, r.RetryAfter, 200*time.Millisecond)
	require.LessOrEqual(t, r.Reset, 800*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, Text("b")).Allowed, "another subject")
	other := class
	other.Name = "other"
	require.True(t, l.Allow(t.Context(), other, Text("a")).Allowed, "another class")
	time.Sleep(r.RetryAfter + 5*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, Text("a")).Allowed)
	require.False(t, l.Allow(t.Context(), class, Text("a")).Allowed)
}

func TestReplicasShareAQuota(t *testing.T) {
	url := pgtest.Redis(t)
	class := Class{Name: "shared", Quota: 25, Window: time.Hour}
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		l, _ := newLimiter(t, url)
		wg.Go(func() {
			for range 20 {
				if l.Allow(context.Background(), class, Text("x")).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(25), allowed.Load())
}

func TestOutageMakesLimitsStricter(t *testing.T) {
	r := pgtest.NewRedis(t)
	l, c := newLimiter(t, r.URL)
	class := Class{Name: "outage", Quota: 10, Window: time.Hour}
	r.Kill()
	allowed := 0
	for range 20 {
		if l.Allow(t.Context(), class, Text("x")).Allowed {
			allowed++
		}
	}
	require.True(t, c.Down())
	require.Equal(t, 5, allowed)
	r.Start()
	require.Eventually(t, func() bool { return !c.Down() }, 3*time.Second, 5*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, Text("x")).Allowed)
}

func TestRedisHoldsNoSubject(t *testing.T) {
	l, c := newLimiter(t, pgtest.Redis(t))
	l.Allow(t.Context(), Lookup, Text("13800138000"))
	keys, err := c.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NotContains(t, keys[0], "13800138000")
	ttl, err := c.PTTL(t.Context(), keys[0]).Result()
	require.NoError(t, err)
	require.Positive(t, ttl)
}

func TestHeaders(t *testing.T) {
	h := http.Header{}
	Result{Class: SignInByAccount, Remaining: 0, Reset: 90500 * time.Millisecond, RetryAfter: 1200 * time.Millisecond}.SetHeaders(h)
	require.Equal(t, `"sign_in";q=10;w=300`, h.Get("RateLimit-Policy"), "by its usual name too")
	require.Equal(t, `"sign_in";r=0;t=91`, h.Get("RateLimit"))
	require.Equal(t, "2", h.Get("Retry-After"))
	h = http.Header{}
	Result{Class: Reveal, Allowed: true, Remaining: 29, Reset: time.Second}.SetHeaders(h)
	require.Empty(t, h.Get("Retry-After"))
	for _, name := range []string{"sign_in", "lookup", "reveal", "token", "probe"} {
		c, ok := ByName(name)
		require.True(t, ok)
		require.Equal(t, name, c.Name)
	}
	_, ok := ByName("unheard")
	require.False(t, ok)
}

// Replicas that take several requests' worth at a time let through no more
// than the quota and one lease each, however they are driven.
func TestLeasesStayWithinTheQuota(t *testing.T) {
	url := pgtest.Redis(t)
	class := Class{Name: "leased", Quota: 400, Window: time.Hour, Leased: true}
	const replicas = 3
	var allowed [replicas]atomic.Int64
	var limiters [replicas]*Limiter
	for i := range limiters { // all have asked before the rush begins: a late one would find nothing left
		limiters[i], _ = newLimiter(t, url)
		if limiters[i].Allow(context.Background(), class, Text("x")).Allowed {
			allowed[i].Add(1)
		}
	}
	var wg sync.WaitGroup
	for i, l := range limiters {
		for range 4 {
			wg.Go(func() {
				for range 300 {
					if l.Allow(context.Background(), class, Text("x")).Allowed {
						allowed[i].Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	total := int64(0)
	for i := range allowed {
		total += allowed[i].Load()
		require.Positive(t, allowed[i].Load(), "replica %d got nothing", i)
	}
	require.LessOrEqual(t, total, int64(class.Quota+replicas*class.most()))
	require.GreaterOrEqual(t, total, int64(class.Quota-replicas*class.most()), "little is lost")
}

// One who floods the limiter takes nothing from others, and two replicas that
// both want more than there is both get a good part of what comes back.
func TestFairness(t *testing.T) {
	url := pgtest.Redis(t)
	a, _ := newLimiter(t, url)
	b, _ := newLimiter(t, url)
	class := Class{Name: "fair", Quota: 200, Window: 2 * time.Second, Leased: true}
	for range 1000 {
		a.Allow(t.Context(), class, Text("flood"))
	}
	require.True(t, a.Allow(t.Context(), class, Text("quiet")).Allowed)

	var got [2]int
	until := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(until) {
		for i, l := range []*Limiter{a, b} {
			if l.Allow(t.Context(), class, Text("both")).Allowed {
				got[i]++
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	total := got[0] + got[1]
	require.LessOrEqual(t, total, 200+160+2*class.most())
	require.Greater(t, total, 200, "what grows back is given out")
	for _, n := range got {
		require.Greater(t, n, total/5, "%v", got)
	}
}

func TestUnspentLeasesExpire(t *testing.T) {
	l, _ := newLimiter(t, pgtest.Redis(t))
	now := time.Now()
	l.now = func() time.Time { return now }
	class := Class{Name: "expiry", Quota: 1000, Window: time.Hour, Leased: true}
	for range 40 { // in a hurry: leases of 1, 2, 4, 8, 16, 32
		require.True(t, l.Allow(t.Context(), class, Text("x")).Allowed)
	}
	a := l.account(class, Text("x"))
	require.Equal(t, 32, a.size)
	unspent := a.tokens
	require.Equal(t, 63-40, unspent)
	now = now.Add(leaseLife)
	r := l.Allow(t.Context(), class, Text("x"))
	require.True(t, r.Allowed)
	require.Equal(t, 16, a.size, "less is taken after some was lost")
	require.Equal(t, 1000-63-1, r.Remaining, "what was not spent is gone")
}

// A refusal costs Redis nothing until the next request would be let through.
func TestRefusalsAreRemembered(t *testing.T) {
	l, c := newLimiter(t, pgtest.Redis(t))
	class := Class{Name: "refusals", Quota: 1, Window: time.Hour}
	require.True(t, l.Allow(t.Context(), class, Text("x")).Allowed)
	require.False(t, l.Allow(t.Context(), class, Text("x")).Allowed)
	require.NoError(t, c.FlushAll(t.Context()).Err())
	require.False(t, l.Allow(t.Context(), class, Text("x")).Allowed)
}

// What was spent before an outage is not forgotten with it.
func TestOutageForgivesNothing(t *testing.T) {
	r := pgtest.NewRedis(t)
	l, _ := newLimiter(t, r.URL)
	class := Class{Name: "outage", Quota: 100, Window: time.Hour, Leased: true}
	spent := 0
	for l.Allow(t.Context(), class, Text("x")).Allowed {
		spent++
	}
	require.Equal(t, 100, spent)
	r.Kill()
	for range 20 {
		require.False(t, l.Allow(t.Context(), class, Text("x")).Allowed)
	}
	for range 50 {
		require.True(t, l.Allow(t.Context(), class, Text("another")).Allowed)
	}
	require.False(t, l.Allow(t.Context(), class, Text("another")).Allowed, "half the quota")
	require.True(t, l.Allow(t.Context(), Probe, Text("balancer")).Allowed)
}

func TestSubjects(t *testing.T) {
	at := func(s string) Subject { return Address(netip.MustParseAddr(s)) }
	require.Equal(t, at("203.0.113.7"), at("::ffff:203.0.113.7"))
	require.NotEqual(t, at("203.0.113.7"), at("203.0.113.8"))
	require.Equal(t, at("2001:db8:1:2::1"), at("2001:db8:1:2:ffff::9"), "one network of one customer")
	require.NotEqual(t, at("2001:db8:1:2::1"), at("2001:db8:1:3::1"))
	id := uuid.New()
	require.NotEqual(t, Principal("staff", id), Principal("api_key", id))
	require.Equal(t, Address(netip.Addr{}), Address(netip.Addr{}))
}

func TestLimitsByName(t *testing.T) {
	l, err := NewLimits(map[string]int{"key.read": 90})
	require.NoError(t, err)
	require.Equal(t, Class{Name: "read", Quota: 90, Window: time.Minute, Leased: true}, l["key.read"])
	require.Equal(t, Defaults["staff.write"], l["staff.write"].Quota)
	for _, bad := range []map[string]int{{"staff.reed": 1}, {"staff.read": 0}, {"staff.read": mostPerMinute + 1}} {
		_, err := NewLimits(bad)
		require.Error(t, err)
	}
}

func BenchmarkAllow(b *testing.B) {
	l, _ := newLimiter(b, pgtest.Redis(b))
	class, subject, h := PerMinute("key.read", mostPerMinute), Principal("staff", uuid.New()), http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(b.Context(), class, subject).SetHeaders(h)
	}
}
