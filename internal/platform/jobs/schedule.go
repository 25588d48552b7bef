package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/riverqueue/river"

	"github.com/shuke-crm/shuke/internal/platform/clock"
)

// Schedule says when regular work is due. Interval and DailyAt make one.
type Schedule struct {
	next func(time.Time) time.Time
	// slot names the run that is due at an instant, so that each is done once;
	// nil when runs are alike.
	slot func(time.Time) string
}

// Next implements River's schedule.
func (s Schedule) Next(t time.Time) time.Time { return s.next(t) }

// Interval is due every d, and once when a worker starts. A run is skipped while
// the one before still waits or runs. Every run leaves a row for two days: let d
// be ten seconds or more.
func Interval(d time.Duration) Schedule {
	return Schedule{next: func(t time.Time) time.Time { return t.Add(d) }}
}

// DailyAt is due once each business day, so long after its midnight. A day on
// which no worker ran at that time is made up for when one starts.
func DailyAt(c *clock.Clock, afterMidnight time.Duration) Schedule {
	return Schedule{
		next: func(t time.Time) time.Time {
			day := c.DayOf(t)
			for due := c.Start(day).Add(afterMidnight); ; due = c.Start(day).Add(afterMidnight) {
				if due.After(t) {
					return due
				}
				day++
			}
		},
		slot: func(t time.Time) string { return c.DayOf(t.Add(-afterMidnight)).String() },
	}
}

// Every runs f by a schedule, in one process of all that work jobs. Call it
// before Start. The name is also the kind in lists of jobs.
func (q *Queue) Every(name string, s Schedule, f func(context.Context) error) {
	q.register(name, defaultTimeout, func(ctx context.Context, _ *river.Job[payload]) error { return f(ctx) })
	q.periodic = append(q.periodic, river.NewPeriodicJob(s, func() (river.JobArgs, *river.InsertOpts) {
		o := &river.InsertOpts{Queue: queueDefault, MaxAttempts: 3}
		args := struct {
			Slot string `json:"slot,omitempty"`
		}{}
		if s.slot != nil {
			args.Slot = s.slot(time.Now())
			o.MaxAttempts = defaultMaxAttempts
			Once()(o)
		} else {
			Unique()(o)
		}
		raw, err := json.Marshal(args)
		if err != nil {
			return nil, nil // a string always marshals
		}
		return payload{name, raw}, o
	}, &river.PeriodicJobOpts{ID: name, RunOnStart: true}))
}
