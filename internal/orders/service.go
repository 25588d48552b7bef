package orders

import (
	"context"
	"log/slog"
	"time"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/segments"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// Deps is what the service works with.
type Deps struct {
	DB         *db.DB
	Clock      *clock.Clock
	Keys       *crypto.Keyring
	Cache      *cache.Client // carries live events; may be down
	Pages      *page.Codec
	Currency   string // ISO 4217 code of the business
	Customers  *customers.Service
	Catalog    *catalog.Service
	Segments   *segments.Service
	Inventory  *inventory.Service
	Points     *points.Service
	Membership *membership.Service
	Wallets    *wallets.Service
	Queue      *jobs.Queue // nil: nothing happens by the clock
	Outside    outside.Services
	Log        *slog.Logger // nil logs nothing
	BaseURL    string       // where payment and tracking providers reach this service, without a trailing slash

	ReturnWindow time.Duration // after completion; zero: 30 days
}

// Service owns orders and returns. It is safe for concurrent use.
type Service struct {
	db         *db.DB
	clock      *clock.Clock
	keys       *crypto.Keyring
	cache      *cache.Client
	pages      *page.Codec
	currency   string
	customers  *customers.Service
	catalog    *catalog.Service
	segments   *segments.Service
	inventory  *inventory.Service
	points     *points.Service
	membership *membership.Service
	wallets    *wallets.Service
	outside    outside.Services
	log        *slog.Logger
	baseURL    string

	returnWindow time.Duration
}

// New makes the service.
func New(d Deps) *Service {
	d.Customers.HoldFields(customers.OfOrder, "orders")
	s := &Service{
		db: d.DB, clock: d.Clock, keys: d.Keys, cache: d.Cache, pages: d.Pages, currency: d.Currency,
		customers: d.Customers, catalog: d.Catalog, segments: d.Segments, inventory: d.Inventory, points: d.Points, membership: d.Membership, wallets: d.Wallets, returnWindow: d.ReturnWindow, outside: d.Outside, log: d.Log, baseURL: d.BaseURL,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.returnWindow == 0 {
		s.returnWindow = 30 * 24 * time.Hour
	}
	if d.Queue != nil {
		d.Queue.Every("orders.cancel_unpaid", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.CancelUnpaid(ctx); return err })
		d.Queue.Every("orders.check_payments", jobs.Interval(10*time.Second), func(ctx context.Context) error { _, err := s.CheckPayments(ctx); return err })
		d.Queue.Every("orders.run_refunds", jobs.Interval(10*time.Second), func(ctx context.Context) error { _, err := s.RunRefunds(ctx); return err })
		d.Queue.Every("orders.check_parcels", jobs.Interval(10*time.Second), func(ctx context.Context) error { _, err := s.CheckParcels(ctx); return err })
	}
	return s
}

// Currency is the ISO 4217 code of all amounts.
func (s *Service) Currency() string { return s.currency }
