package ratelimit

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// localSubjects bounds the memory of the fallback.
const localSubjects = 20_000

// local is the same algorithm in this process.
type local struct {
	mu  sync.Mutex
	tat *lru.Cache[string, time.Time] // theoretical arrival time by key
}

func newLocal() *local {
	c, err := lru.New[string, time.Time](localSubjects)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &local{tat: c}
}

func (l *local) allow(c Class, key string, now time.Time) Result {
	step := c.Window / time.Duration(c.Quota)
	// Half the quota: another replica counts apart, and this one began at nothing.
	quota := max(1, c.Quota/2)
	window := step * time.Duration(quota)
	l.mu.Lock()
	defer l.mu.Unlock()
	tat, ok := l.tat.Get(key)
	if !ok || tat.Before(now) {
		tat = now
	}
	after := tat.Add(step)
	if after.Sub(now) > window {
		return Result{Class: c, Reset: tat.Sub(now), RetryAfter: after.Add(-window).Sub(now)}
	}
	l.tat.Add(key, after)
	left := int((window - after.Sub(now)) / step)
	r := Result{Class: c, Allowed: true, Remaining: left, Reset: after.Sub(now)}
	if left == 0 {
		r.RetryAfter = after.Add(step - window).Sub(now)
	}
	return r
}
