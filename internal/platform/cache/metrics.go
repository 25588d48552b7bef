package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Collectors are the cache's metrics.
func (c *Client) Collectors() []prometheus.Collector {
	counter := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(v.Load()) })
	}
	return []prometheus.Collector{
		counter("shuke_cache_hits_total", "Hot objects served from Redis.", &c.stats.Hits),
		counter("shuke_cache_misses_total", "Hot objects not found in Redis.", &c.stats.Misses),
		counter("shuke_cache_fills_total", "Hot objects stored.", &c.stats.Fills),
		counter("shuke_cache_refused_fills_total", "Hot objects not stored because they were written meanwhile.", &c.stats.RefusedFills),
		counter("shuke_redis_failures_total", "Calls to Redis that failed by the network.", &c.stats.Failures),
		counter("shuke_redis_outages_total", "Times that Redis became unreachable.", &c.stats.Outages),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "shuke_redis_up", Help: "1 while Redis can be reached."}, func() float64 {
			if c.Down() {
				return 0
			}
			return 1
		}),
	}
}
