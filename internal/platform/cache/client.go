// Package cache is Redis as this service uses it: fast, allowed to be empty,
// and allowed to be down. PostgreSQL is of record; nothing here is.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Time limits. Redis answers in well under a millisecond; a request must not
// wait long for one that does not.
const (
	dialTimeout  = 200 * time.Millisecond
	readTimeout  = 150 * time.Millisecond
	writeTimeout = 150 * time.Millisecond
	probeEvery   = 100 * time.Millisecond
)

// ErrDown is returned at once, without touching the network, while Redis is
// known to be unreachable.
var ErrDown = errors.New("redis is down")

// Client is go-redis with a circuit: the first network failure opens it, calls
// then fail with ErrDown within a microsecond, and a probe closes it again.
// Commands answered by Redis with an error do not open it.
type Client struct {
	redis.UniversalClient
	down  atomic.Bool
	log   *slog.Logger
	stats Stats

	closing chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

// Stats counts what the cache did since the process started.
type Stats struct {
	Hits, Misses, Fills, RefusedFills, Failures, Outages atomic.Int64
}

// New makes a client. It does not fail when Redis is down: the service works
// without it. The URL is redis://, rediss:// or unix://; with ?addr=… more
// nodes, a cluster.
// Error: a URL that cannot be read.
func New(ctx context.Context, url string) (*Client, error) {
	c := &Client{log: slog.Default(), closing: make(chan struct{})}
	if err := c.open(url); err != nil {
		return nil, err
	}
	c.AddHook(circuit{c})
	// Finds out early whether Redis is there; the answer does not matter here.
	_ = c.Ping(ctx).Err()
	return c, nil
}

func (c *Client) open(url string) error {
	if strings.Contains(url, "addr=") {
		o, err := redis.ParseClusterURL(url)
		if err != nil {
			return fmt.Errorf("redis url: %w", err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, readTimeout, writeTimeout
		o.MaxRetries, o.DialerRetries, o.DisableIdentity = -1, 1, true
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		c.UniversalClient = redis.NewClusterClient(o)
		return nil
	}
	o, err := Options(url)
	if err != nil {
		return err
	}
	c.UniversalClient = redis.NewClient(o)
	return nil
}

// Options are the client options of a single Redis; the benchmark's reference
// handler uses the same.
func Options(url string) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis url: %w", err)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, readTimeout, writeTimeout
	// A retry would double what a dead Redis costs; callers go to PostgreSQL instead.
	o.MaxRetries, o.DialerRetries, o.DisableIdentity = -1, 1, true
	o.Protocol = 2 // version 3 adds a handshake and nothing that we use
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o, nil
}

// Down reports whether Redis was unreachable at the last attempt.
func (c *Client) Down() bool { return c.down.Load() }

// Stats are the counters of this process.
func (c *Client) Stats() *Stats { return &c.stats }

// Close ends probes, subscriptions' connections and the pool.
func (c *Client) Close() error {
	c.once.Do(func() { close(c.closing) })
	err := c.UniversalClient.Close()
	c.wg.Wait()
	return err
}

// background runs f until it returns; f must watch c.closing.
func (c *Client) background(f func()) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		f()
	}()
}

// pause waits and reports false when the client is being closed.
func (c *Client) pause(d time.Duration) bool {
	select {
	case <-c.closing:
		return false
	case <-time.After(d):
		return true
	}
}

// noteFailure opens the circuit after a failure of the network.
func (c *Client) noteFailure(err error) {
	c.stats.Failures.Add(1)
	if !c.down.CompareAndSwap(false, true) {
		return
	}
	c.stats.Outages.Add(1)
	select {
	case <-c.closing:
		return
	default:
	}
	c.log.Warn("redis is unreachable; working without it", "error", err)
	c.background(func() {
		begun := time.Now()
		for c.pause(probeEvery) {
			if c.probe() == nil {
				c.down.Store(false)
				c.log.Info("redis is back", "after", time.Since(begun).Round(time.Millisecond))
				return
			}
		}
	})
}

type probeKey struct{}

// probe asks past the open circuit.
func (c *Client) probe() error {
	ctx := context.WithValue(context.Background(), probeKey{}, true)
	return c.Ping(ctx).Err()
}

// networkFailure tells a connection that broke or timed out from an answer of
// Redis.
func networkFailure(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) || errors.Is(err, ErrDown) ||
		errors.Is(err, redis.ErrClosed) {
		return false
	}
	var answer redis.Error
	if errors.As(err, &answer) {
		// Starting up or moving: as good as absent.
		return strings.HasPrefix(answer.Error(), "LOADING") || strings.HasPrefix(answer.Error(), "MASTERDOWN")
	}
	return true
}

// circuit is the go-redis hook.
type circuit struct{ c *Client }

func (h circuit) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h circuit) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.c.down.Load() && ctx.Value(probeKey{}) == nil {
			cmd.SetErr(ErrDown)
			return ErrDown
		}
		err := next(ctx, cmd)
		if ctx.Err() == nil && networkFailure(err) {
			h.c.noteFailure(err)
		}
		return err
	}
}

func (h circuit) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if h.c.down.Load() && ctx.Value(probeKey{}) == nil {
			for _, cmd := range cmds {
				cmd.SetErr(ErrDown)
			}
			return ErrDown
		}
		err := next(ctx, cmds)
		if ctx.Err() == nil && networkFailure(err) {
			h.c.noteFailure(err)
		}
		return err
	}
}
