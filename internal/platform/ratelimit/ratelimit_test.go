package ratelimit

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
		r := l.Allow(t.Context(), class, "a")
		require.True(t, r.Allowed)
		require.Equal(t, left, r.Remaining)
	}
	r := l.Allow(t.Context(), class, "a")
	require.False(t, r.Allowed)
	require.Positive(t, r.RetryAfter)
	require.LessOrEqual(t, r.RetryAfter, 200*time.Millisecond)
	require.LessOrEqual(t, r.Reset, 800*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, "b").Allowed, "another subject")
	other := class
	other.Name = "other"
	require.True(t, l.Allow(t.Context(), other, "a").Allowed, "another class")
	time.Sleep(r.RetryAfter + 5*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, "a").Allowed)
	require.False(t, l.Allow(t.Context(), class, "a").Allowed)
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
				if l.Allow(context.Background(), class, "x").Allowed {
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
		if l.Allow(t.Context(), class, "x").Allowed {
			allowed++
		}
	}
	require.True(t, c.Down())
	require.Equal(t, 5, allowed)
	r.Start()
	require.Eventually(t, func() bool { return !c.Down() }, 3*time.Second, 5*time.Millisecond)
	require.True(t, l.Allow(t.Context(), class, "x").Allowed)
}

func TestRedisHoldsNoSubject(t *testing.T) {
	l, c := newLimiter(t, pgtest.Redis(t))
	l.Allow(t.Context(), Lookup, "13800138000")
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
	require.Equal(t, `"sign_in";q=10;w=300`, h.Get("RateLimit-Policy"))
	require.Equal(t, `"sign_in";r=0;t=91`, h.Get("RateLimit"))
	require.Equal(t, "2", h.Get("Retry-After"))
	h = http.Header{}
	Result{Class: Reveal, Allowed: true, Remaining: 29, Reset: time.Second}.SetHeaders(h)
	require.Empty(t, h.Get("Retry-After"))
	for _, name := range []string{"sign_in", "lookup", "reveal"} {
		c, ok := ByName(name)
		require.True(t, ok)
		require.Equal(t, name, c.Name)
	}
	_, ok := ByName("unheard")
	require.False(t, ok)
}
