package telemetry

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the registry of one process. Label values come from lists of ours
// (route templates, never paths), so that their number is bounded.
type Metrics struct {
	Registry *prometheus.Registry

	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	series   sync.Map // requestKey → *requestSeries: looking labels up costs more than counting
}

type requestKey struct {
	method, route string
	status        int
}

type requestSeries struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

// NewMetrics makes a registry with the Go runtime's and the process's metrics.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "shuke_http_requests_in_flight", Help: "Requests being answered."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shuke_http_requests_total", Help: "Requests answered, by method, route template and status."},
			[]string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shuke_http_request_duration_seconds", Help: "Time to answer, by method and route template.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
	}
	m.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.inFlight, m.requests, m.duration)
	return m
}

// RequestStarted counts a request in flight until RequestDone.
func (m *Metrics) RequestStarted() { m.inFlight.Inc() }

// RequestDone counts an answered request. Route is the template
// ("/v1/customers/:id"), empty when none matched.
func (m *Metrics) RequestDone(method, route string, status int, took time.Duration) {
	m.inFlight.Dec()
	key := requestKey{method, route, status}
	s, ok := m.series.Load(key)
	if !ok {
		if route == "" {
			route = "unmatched"
		}
		s, _ = m.series.LoadOrStore(key, &requestSeries{
			count:    m.requests.WithLabelValues(knownMethod(method), route, strconv.Itoa(status)),
			duration: m.duration.WithLabelValues(knownMethod(method), route),
		})
	}
	series := s.(*requestSeries)
	series.count.Inc()
	series.duration.Observe(took.Seconds())
}

// knownMethod keeps invented methods of strangers out of the label values.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Register adds collectors of other packages; it panics on a duplicate name.
func (m *Metrics) Register(c ...prometheus.Collector) { m.Registry.MustRegister(c...) }

// WatchDB adds the connection pool's metrics.
func (m *Metrics) WatchDB(pool *sql.DB) { m.Register(collectors.NewDBStatsCollector(pool, "shuke")) }

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Reading is one value that a Sampler reads at a scrape.
type Reading struct {
	Name, Help string
	Labels     []string // label names
}

// Sample is one value of a reading.
type Sample struct {
	Reading int // index into the sampler's readings
	Labels  []string
	Value   float64
}

// Sampler turns a query into gauges. It asks at most once in five seconds and
// for at most one, however often it is scraped; when the query fails, the
// gauges are absent from that scrape rather than wrong.
type Sampler struct {
	readings []*prometheus.Desc
	query    func(context.Context) ([]Sample, error)

	mu   sync.Mutex
	at   time.Time
	last []Sample
}

// NewSampler makes a collector of the readings that query returns.
func NewSampler(readings []Reading, query func(context.Context) ([]Sample, error)) *Sampler {
	s := &Sampler{query: query}
	for _, r := range readings {
		s.readings = append(s.readings, prometheus.NewDesc(r.Name, r.Help, r.Labels, nil))
	}
	return s
}

const (
	sampleEvery   = 5 * time.Second
	sampleTimeout = time.Second
)

// Describe implements prometheus.Collector.
func (s *Sampler) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.readings {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Sampler) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) > sampleEvery {
		ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
		defer cancel()
		samples, err := s.query(ctx)
		if err != nil {
			slog.Warn("a metric cannot be read", "metric", s.readings[0].String(), "error", err)
			samples = nil
		}
		s.at, s.last = time.Now(), samples
	}
	for _, v := range s.last {
		ch <- prometheus.MustNewConstMetric(s.readings[v.Reading], prometheus.GaugeValue, v.Value, v.Labels...)
	}
}
