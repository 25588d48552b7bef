package cache

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	subscriptionPing  = 5 * time.Second
	subscriptionRetry = 200 * time.Millisecond
)

// Subscribe calls onMessage for each message of a channel, one at a time, until
// ctx ends. Messages sent while the connection was lost never arrive: onGap is
// called each time listening begins (anew), and the caller drops what it keeps
// by trust in messages. It returns at once.
func (c *Client) Subscribe(ctx context.Context, channel string, onMessage func(payload string), onGap func()) {
	ctx, cancel := context.WithCancel(ctx)
	c.background(func() {
		select {
		case <-c.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	c.background(func() {
		defer cancel()
		for ctx.Err() == nil {
			c.listen(ctx, channel, onMessage, onGap)
			if !c.pause(subscriptionRetry) {
				return
			}
		}
	})
}

// listen serves one connection until it breaks.
func (c *Client) listen(ctx context.Context, channel string, onMessage func(string), onGap func()) {
	sub := c.UniversalClient.Subscribe(ctx, channel)
	defer func() { _ = sub.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	pinged := false
	for ctx.Err() == nil {
		msg, err := sub.ReceiveTimeout(ctx, subscriptionPing)
		var netErr net.Error
		switch {
		case err == nil:
			pinged = false
		case errors.As(err, &netErr) && netErr.Timeout() && !pinged:
			// Silence: is the other end still there? Two silent periods in a row say no.
			if sub.Ping(ctx) != nil {
				return
			}
			pinged = true
			continue
		default:
			return
		}
		switch m := msg.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				onGap()
			}
		case *redis.Message:
			onMessage(m.Payload)
		}
	}
}

// Publish sends a message to the present subscribers of a channel. It is lost
// to those who are not connected.
func (c *Client) Publish(ctx context.Context, channel, payload string) error {
	return c.UniversalClient.Publish(ctx, channel, payload).Err()
}
