package outgoing

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcome is the class of a call's result, for metrics. The list is closed, so
// that label values are bounded whatever a provider answers.
type Outcome string

// Outcomes.
const (
	OutcomeOK            Outcome = "ok"
	OutcomeRefused       Outcome = "refused"        // this request: a spent code, a number that cannot be reached
	OutcomeLimited       Outcome = "limited"        // the provider's quota, or our own ceiling
	OutcomeMisconfigured Outcome = "misconfigured"  // credentials, templates, an empty balance: an operator must act
	OutcomeUnavailable   Outcome = "unavailable"    // busy or failing, certainly without effect
	OutcomeNotSent       Outcome = "not_sent"       // no connection
	OutcomeUnknown       Outcome = "unknown"        // the effect may have happened
	OutcomeProviderError Outcome = "provider_error" // a code that we do not know
)

// Metrics counts calls to outside services by provider, operation and outcome.
// A nil *Metrics counts nothing.
type Metrics struct {
	calls *prometheus.CounterVec
	took  *prometheus.HistogramVec
	last  *prometheus.GaugeVec
}

// NewMetrics makes the collectors; Collectors hands them to a registry.
func NewMetrics() *Metrics {
	return &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shuke_outside_calls_total", Help: "Calls to outside services, by provider, operation and outcome.",
		}, []string{"provider", "operation", "outcome"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "shuke_outside_call_duration_seconds", Help: "Time an outside service took, by provider and operation.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"provider", "operation"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shuke_outside_last_success_timestamp_seconds", Help: "When a provider last did what it was asked.",
		}, []string{"provider"}),
	}
}

// Observe counts one call.
func (m *Metrics) Observe(provider, operation string, outcome Outcome, took time.Duration) {
	if m == nil {
		return
	}
	m.calls.WithLabelValues(provider, operation, string(outcome)).Inc()
	m.took.WithLabelValues(provider, operation).Observe(took.Seconds())
	if outcome == OutcomeOK {
		m.last.WithLabelValues(provider).SetToCurrentTime()
	}
}

// Collectors are what a registry takes.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.took, m.last}
}

// Observe counts one call of this client.
func (c *Client) Observe(operation string, outcome Outcome, took time.Duration) {
	c.metrics.Observe(c.provider, operation, outcome, took)
}
