package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func newClient(t testing.TB, url string) *cache.Client {
	t.Helper()
	c, err := cache.New(context.Background(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// store is a table of one value per id, read through the cache as services do.
type store struct {
	t   testing.TB
	db  *db.DB
	hot *cache.Hot
}

func newStore(t testing.TB, d *db.DB, c *cache.Client) *store {
	return &store{t, d, cache.NewHot(c, "thing")}
}

func (s *store) fromDB(id uuid.UUID) string {
	var v string
	err := s.db.QueryRow(context.Background(), "SELECT value->>'v' FROM settings WHERE key = $1", id.String()).Scan(&v)
	require.NoError(s.t, err)
	return v
}

// read returns the value and whether it came from Redis.
func (s *store) read(id uuid.UUID) (string, bool) {
	ctx := context.Background()
	v, lease := s.hot.Get(ctx, id)
	if v != nil {
		return string(v), true
	}
	fresh := s.fromDB(id)
	s.hot.Fill(ctx, lease, []byte(fresh), cache.MaxTTL)
	return fresh, false
}

func (s *store) write(id uuid.UUID, v string) error { return s.writeThen(id, v, nil) }

// writeThen calls then inside the transaction, before the cache is marked.
func (s *store) writeThen(id uuid.UUID, v string, then func()) error {
	return s.db.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO settings (key, value, updated_at) VALUES ($1, jsonb_build_object('v', $2::text), now())
			ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value`, id.String(), v)
		s.hot.Touch(ctx, tx, id)
		if then != nil {
			then()
		}
		return err
	})
}

func TestHotServesWhatWasFilled(t *testing.T) {
	s := newStore(t, pgtest.DB(t), newClient(t, pgtest.Redis(t)))
	id := uuid.New()
	require.NoError(t, s.write(id, "one"))
	v, hot := s.read(id)
	require.Equal(t, "one", v)
	require.False(t, hot)
	v, hot = s.read(id)
	require.Equal(t, "one", v)
	require.True(t, hot)
	require.NoError(t, s.write(id, "two"))
	v, hot = s.read(id)
	require.Equal(t, "two", v)
	require.False(t, hot)
	v, hot = s.read(id)
	require.Equal(t, "two", v)
	require.True(t, hot)
}

func TestRolledBackWriteKeepsTheCache(t *testing.T) {
	s := newStore(t, pgtest.DB(t), newClient(t, pgtest.Redis(t)))
	id := uuid.New()
	require.NoError(t, s.write(id, "one"))
	s.read(id)
	boom := errors.New("boom")
	err := s.db.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		s.hot.Touch(ctx, tx, id)
		return boom
	})
	require.ErrorIs(t, err, boom)
	v, hot := s.read(id)
	require.Equal(t, "one", v)
	require.True(t, hot)
}

// The race that the cache exists to win: a reader reads the old row, pauses, a
// writer commits, the reader goes on to fill.
func TestPausedReaderCannotStoreWhatAWriterReplaced(t *testing.T) {
	url := pgtest.Redis(t)
	d := pgtest.DB(t)
	reader, writer := newStore(t, d, newClient(t, url)), newStore(t, d, newClient(t, url)) // two replicas
	id := uuid.New()
	require.NoError(t, writer.write(id, "old"))
	ctx := context.Background()

	t.Run("writer begins and commits during the pause", func(t *testing.T) {
		_, lease := reader.hot.Get(ctx, id)
		stale := reader.fromDB(id)
		require.NoError(t, writer.write(id, "new"))
		require.False(t, reader.hot.Fill(ctx, lease, []byte(stale), cache.MaxTTL))
		v, hot := reader.read(id)
		require.Equal(t, "new", v)
		require.False(t, hot)
	})
	t.Run("reader comes while the writer is about to commit", func(t *testing.T) {
		var lease cache.Lease
		var stale string
		require.NoError(t, writer.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE settings SET value = jsonb_build_object('v', $2::text) WHERE key = $1", id.String(), "newer")
			writer.hot.Touch(ctx, tx, id)
			tx.BeforeCommit(func(context.Context) error { // runs before the cache is marked
				tx.BeforeCommit(func(context.Context) error { // and after it
					var v []byte
					v, lease = reader.hot.Get(context.Background(), id)
					require.Nil(t, v)
					stale = reader.fromDB(id)
					return nil
				})
				return nil
			})
			return err
		}))
		require.Equal(t, "new", stale)
		require.False(t, reader.hot.Fill(ctx, lease, []byte(stale), cache.MaxTTL))
		v, _ := reader.read(id)
		require.Equal(t, "newer", v)
	})
	t.Run("everything is flushed during the pause", func(t *testing.T) {
		require.NoError(t, writer.write(id, "a"))
		_, lease := reader.hot.Get(ctx, id)
		stale := reader.fromDB(id)
		c := newClient(t, url)
		require.NoError(t, writer.writeThen(id, "b", nil))
		require.NoError(t, c.FlushDB(ctx).Err())
		require.False(t, reader.hot.Fill(ctx, lease, []byte(stale), cache.MaxTTL))
		v, _ := reader.read(id)
		require.Equal(t, "b", v)
	})
}

// Two writers that do not lock each other out: the first to finish must not
// clear the second one's mark.
func TestMarksOfTwoWritersAddUp(t *testing.T) {
	url := pgtest.Redis(t)
	d := pgtest.DB(t)
	s := newStore(t, d, newClient(t, url))
	id := uuid.New()
	require.NoError(t, s.write(id, "one"))
	inner := make(chan error, 1)
	require.NoError(t, d.InTx(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		s.hot.Touch(ctx, tx, id)
		tx.BeforeCommit(func(context.Context) error {
			tx.BeforeCommit(func(context.Context) error { // we are marked; another writer comes and goes
				inner <- s.write(id, "two")
				v, lease := s.hot.Get(context.Background(), id)
				require.Nil(t, v)
				require.Equal(t, cache.Lease{}, lease, "still dirty")
				return nil
			})
			return nil
		})
		return nil
	}))
	require.NoError(t, <-inner)
	s.read(id)
	v, hot := s.read(id)
	require.Equal(t, "two", v)
	require.True(t, hot)
}

func TestWithoutRedisReadsAreFreshAndCheap(t *testing.T) {
	r := pgtest.NewRedis(t)
	c := newClient(t, r.URL)
	s := newStore(t, pgtest.DB(t), c)
	id := uuid.New()
	require.NoError(t, s.write(id, "one"))
	s.read(id)
	r.Kill()
	_ = c.Ping(context.Background()) // the first call finds out
	require.True(t, c.Down())
	begun := time.Now()
	for range 1000 {
		v, _ := s.hot.Get(context.Background(), id)
		require.Nil(t, v)
	}
	require.Less(t, time.Since(begun), 50*time.Millisecond, "a dead Redis costs microseconds")
	require.NoError(t, s.write(id, "two"))
	v, _ := s.read(id)
	require.Equal(t, "two", v)
	r.Start()
	require.Eventually(t, func() bool { return !c.Down() }, 3*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { _, hot := s.read(id); return hot }, 3*time.Second, 5*time.Millisecond)
	v, _ = s.read(id)
	require.Equal(t, "two", v)
}

// A writer that is cut off from a Redis that lives on: other replicas may serve
// the old value, the writer's own process never, and after the writer is back
// nobody.
func TestWriterCutOffFromRedis(t *testing.T) {
	r := pgtest.NewRedis(t)
	d := pgtest.DB(t)
	c := newClient(t, r.URL)
	writer := newStore(t, d, c)
	id := uuid.New()
	require.NoError(t, writer.write(id, "old"))
	writer.read(id)
	_, hot := writer.read(id)
	require.True(t, hot)

	resume := r.Pause() // Redis hangs, with all it holds
	begun := time.Now()
	require.NoError(t, writer.write(id, "new"))
	require.Less(t, time.Since(begun), time.Second, "one timeout, not one a command")
	v, hot := writer.read(id)
	require.Equal(t, "new", v)
	require.False(t, hot)
	resume()
	// From here on Redis answers, and holds the old value until the epoch changes.
	deadline := time.Now().Add(3 * time.Second)
	for time.Now().Before(deadline) {
		v, hot := writer.read(id)
		require.Equal(t, "new", v, "the writer's process never serves the old value")
		if hot {
			break
		}
	}
	other := newStore(t, d, newClient(t, r.URL))
	v, _ = other.read(id)
	require.Equal(t, "new", v)
}

// Writers, readers and somebody who keeps flushing or killing Redis: no reader
// may see a value older than the last one committed before it began to read.
func TestNoStaleReadsUnderTraffic(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(r *pgtest.RedisServer, c *cache.Client)
	}{
		{"quiet", func(*pgtest.RedisServer, *cache.Client) {}},
		{"flushed", func(_ *pgtest.RedisServer, c *cache.Client) { _ = c.FlushAll(context.Background()).Err() }},
		{"killed", func(r *pgtest.RedisServer, _ *cache.Client) { r.Kill(); time.Sleep(30 * time.Millisecond); r.Start() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := pgtest.NewRedis(t)
			client := newClient(t, r.URL) // one process: the guarantee in an outage is per process
			s := newStore(t, pgtest.DB(t), client)
			ids := []uuid.UUID{uuid.New(), uuid.New()}
			committed := make([]atomic.Int64, len(ids))
			for _, id := range ids {
				require.NoError(t, s.write(id, "0"))
			}
			var wg sync.WaitGroup
			stop := make(chan struct{})
			running := func() bool {
				select {
				case <-stop:
					return false
				default:
					return true
				}
			}
			var reads, hits, stale atomic.Int64
			for i, id := range ids {
				wg.Go(func() {
					for n := int64(1); running(); n++ {
						if err := s.write(id, fmt.Sprint(n)); err != nil {
							t.Error(err)
							return
						}
						committed[i].Store(n)
						time.Sleep(time.Duration(n%4) * time.Millisecond)
					}
				})
				for range 2 {
					wg.Go(func() {
						for running() {
							least := committed[i].Load()
							v, hot := s.read(id)
							var got int64
							_, _ = fmt.Sscan(v, &got)
							reads.Add(1)
							if hot {
								hits.Add(1)
							}
							if got < least {
								stale.Add(1)
							}
						}
					})
				}
			}
			for range 15 {
				time.Sleep(100 * time.Millisecond)
				c.harm(r, client)
			}
			close(stop)
			wg.Wait()
			t.Logf("%d reads, %d hot", reads.Load(), hits.Load())
			require.Zero(t, stale.Load())
			require.Positive(t, hits.Load())
		})
	}
}

func TestFillKeepsToTheTimeToLive(t *testing.T) {
	c := newClient(t, pgtest.Redis(t))
	h := cache.NewHot(c, "short")
	ctx, id := context.Background(), uuid.New()
	_, lease := h.Get(ctx, id)
	require.True(t, h.Fill(ctx, lease, []byte("x"), 50*time.Millisecond))
	v, _ := h.Get(ctx, id)
	require.Equal(t, "x", string(v))
	time.Sleep(80 * time.Millisecond)
	v, lease = h.Get(ctx, id)
	require.Nil(t, v)
	require.False(t, h.Fill(ctx, lease, []byte("x"), 0), "the day is over")
	require.False(t, h.Fill(ctx, lease, nil, time.Hour), "nothing is not a value")
}

func TestClearVoidsEverything(t *testing.T) {
	c := newClient(t, pgtest.Redis(t))
	h := cache.NewHot(c, "all")
	ctx := context.Background()
	for range 20 {
		id := uuid.New()
		_, lease := h.Get(ctx, id)
		_, pending := h.Get(ctx, uuid.New())
		require.True(t, h.Fill(ctx, lease, []byte("x"), time.Minute))
		h.Clear(ctx)
		v, _ := h.Get(ctx, id)
		require.Nil(t, v)
		require.False(t, h.Fill(ctx, pending, []byte("x"), time.Minute), "read before the clearing")
	}
}

func TestSubscribeSurvivesAnOutage(t *testing.T) {
	r := pgtest.NewRedis(t)
	c := newClient(t, r.URL)
	var gaps atomic.Int64
	got := make(chan string, 10)
	c.Subscribe(t.Context(), "ch", func(m string) { got <- m }, func() { gaps.Add(1) })
	require.Eventually(t, func() bool { return gaps.Load() == 1 }, 2*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Publish(t.Context(), "ch", "one"))
	require.Equal(t, "one", <-got)
	r.Kill()
	r.Start()
	require.Eventually(t, func() bool { return gaps.Load() == 2 }, 5*time.Second, 5*time.Millisecond, "what was missed is announced")
	require.Eventually(t, func() bool { return c.Publish(t.Context(), "ch", "two") == nil }, 3*time.Second, 5*time.Millisecond)
	require.Equal(t, "two", <-got)
}

func TestHangingRedisCostsOneTimeout(t *testing.T) {
	r := pgtest.NewRedis(t)
	c := newClient(t, r.URL)
	require.NoError(t, c.Ping(t.Context()).Err())
	resume := r.Pause()
	defer resume()
	begun := time.Now()
	require.Error(t, c.Get(t.Context(), "x").Err())
	require.Less(t, time.Since(begun), 400*time.Millisecond)
	begun = time.Now()
	require.ErrorIs(t, c.Get(t.Context(), "x").Err(), cache.ErrDown)
	require.Less(t, time.Since(begun), 20*time.Millisecond)
	resume()
	require.Eventually(t, func() bool { return c.Get(t.Context(), "x").Err() != cache.ErrDown }, 3*time.Second, 10*time.Millisecond)
}

func BenchmarkHotGet(b *testing.B) {
	c := newClient(b, pgtest.Redis(b))
	h := cache.NewHot(c, "bench")
	ctx, id := context.Background(), uuid.New()
	value := make([]byte, 1500)
	_, lease := h.Get(ctx, id)
	require.True(b, h.Fill(ctx, lease, value, time.Minute))
	b.Run("hot", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if v, _ := h.Get(ctx, id); v == nil {
					b.Error("miss")
				}
			}
		})
	})
	require.NoError(b, c.Set(ctx, "plain", value, time.Minute).Err())
	b.Run("bare GET", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if _, err := c.Get(ctx, "plain").Bytes(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
