package analytics

import (
	"context"
	"time"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service works with.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Queue     *jobs.Queue
	Pages     *page.Codec
	Customers *customers.Service
}

// Service owns figures. It is safe for concurrent use.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	queue     *jobs.Queue
	pages     *page.Codec
	customers *customers.Service
}

// New makes the service and registers its jobs.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, queue: d.Queue, pages: d.Pages, customers: d.Customers}
	jobs.RegisterVisible(d.Queue, jobRefresh, s.runRefresh)
	d.Queue.Every("analytics.data_quality", jobs.Interval(passEvery), func(ctx context.Context) error { _, err := s.CatchUp(ctx); return err })
	return s
}

// passEvery is how old a judgement of a changed record is at most, but for the
// time that a pass takes; the contract names it.
const passEvery = 5 * time.Minute
