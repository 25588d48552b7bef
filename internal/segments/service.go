package segments

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// Deps is what the service works with.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Queue     *jobs.Queue
	Customers *customers.Service
	Tell      Tell // nil tells nobody
}

// Tell leaves a member of staff a note about a customer.
type Tell func(ctx context.Context, customerID, staffID uuid.UUID, text string) error

// Service owns metrics and RFM settings. It is safe for concurrent use.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	queue     *jobs.Queue
	customers *customers.Service
	tell      Tell
}

// New makes the service and registers its jobs.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, queue: d.Queue, customers: d.Customers, tell: d.Tell}
	d.Customers.OnRetag(s.retagged)
	if d.Queue != nil {
		s.register(d.Queue)
	}
	return s
}
