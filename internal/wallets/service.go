package wallets

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is made of.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Keys      *crypto.Keyring
	Pages     *page.Codec
	Currency  string // ISO 4217
	Customers *customers.Service
	Queue     *jobs.Queue
}

// Service is the stored value of all members and gift cards.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	keys      *crypto.Keyring
	pages     *page.Codec
	currency  string
	customers *customers.Service
	queue     *jobs.Queue
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, keys: d.Keys, pages: d.Pages, currency: d.Currency, customers: d.Customers, queue: d.Queue}
	if d.Queue != nil {
		jobs.RegisterVisible(d.Queue, jobIssue, s.issue)
		d.Queue.Every("wallets.settle", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.SettleDue(ctx); return err })
		d.Queue.Every("wallets.release", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.ReleaseDue(ctx); return err })
		d.Queue.Every("wallets.warn", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.WarnDue(ctx); return err })
	}
	return s
}

// reach refuses customers beyond the caller's scope.
func (s *Service) reach(ctx context.Context, id uuid.UUID, refused *apperr.Error) error {
	_, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return refused
	}
	return err
}

func whole(ctx context.Context) error {
	actor, err := auth.From(ctx)
	if err == nil && !actor.Scope.All {
		err = ErrWhole.New()
	}
	return err
}
