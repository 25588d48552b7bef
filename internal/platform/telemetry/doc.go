// Package telemetry is what operators see of a running service: structured
// logs without personal data, and Prometheus metrics.
package telemetry
