package inventory

import (
	"context"
	"time"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is made of.
type Deps struct {
	DB      *db.DB
	Clock   *clock.Clock
	Pages   *page.Codec
	Catalog *catalog.Service
	Queue   *jobs.Queue
}

// Service is the stock of all stores.
type Service struct {
	db      *db.DB
	clock   *clock.Clock
	pages   *page.Codec
	catalog *catalog.Service
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, pages: d.Pages, catalog: d.Catalog}
	if d.Queue != nil {
		d.Queue.Every("inventory.expire_reservations", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.ExpireReservations(ctx); return err })
	}
	return s
}
