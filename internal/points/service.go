package points

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is made of.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Pages     *page.Codec
	Customers *customers.Service
	Catalog   *catalog.Service
	Queue     *jobs.Queue
}

// Service is the points of all members.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	pages     *page.Codec
	customers *customers.Service
	catalog   *catalog.Service
	tiers     Tiers // nil: none multiplies
	cache     bookCache
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, pages: d.Pages, customers: d.Customers, catalog: d.Catalog}
	if d.Queue != nil {
		d.Queue.Every("points.settle", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.SettleDue(ctx); return err })
		d.Queue.Every("points.warn_expiring", jobs.Interval(10*time.Minute), func(ctx context.Context) error { _, err := s.WarnExpiring(ctx); return err })
		d.Queue.Every("points.release_holds", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.ReleaseHolds(ctx); return err })
	}
	return s
}

// DefaultUnit is the code of the unit that is meant where none is named.
const DefaultUnit = "points"

// unit finds a unit by its code; empty: DefaultUnit.
func (s *Service) unit(ctx context.Context, code string, unknown *apperr.Definition, pointer string) (*loyalty.PointsUnit, error) {
	if code == "" {
		code = DefaultUnit
	}
	u, err := s.db.From(ctx).Loyalty.PointsUnit.Query().Where(pointsunit.Code(code)).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, unknown.At(pointer)
	}
	return u, err
}

// reach refuses customers beyond the caller's scope.
func (s *Service) reach(ctx context.Context, id uuid.UUID, refused *apperr.Error) error {
	_, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return refused
	}
	return err
}
