package events

import (
	"context"

	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// Metrics are the outbox's gauges: how many events wait, how old the oldest is,
// how many were given up.
func Metrics(d *db.DB) *telemetry.Sampler {
	return telemetry.NewSampler([]telemetry.Reading{
		{Name: "shuke_outbox_waiting", Help: "Events not delivered yet."},
		{Name: "shuke_outbox_oldest_seconds", Help: "Age of the oldest event that waits for delivery, in seconds."},
		{Name: "shuke_outbox_dead", Help: "Events given up after repeated failures."},
	}, func(ctx context.Context) ([]telemetry.Sample, error) {
		var waiting, oldest, dead float64
		err := d.QueryRow(ctx, `
			SELECT count(*) FILTER (WHERE attempts < $1),
			       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE attempts < $1)), 0),
			       count(*) FILTER (WHERE attempts >= $1)
			FROM outbox_events WHERE dispatched_at IS NULL`, MaxAttempts).Scan(&waiting, &oldest, &dead)
		if err != nil {
			return nil, err
		}
		return []telemetry.Sample{{Reading: 0, Value: waiting}, {Reading: 1, Value: oldest}, {Reading: 2, Value: dead}}, nil
	})
}
