package orders

import (
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/segments"
)

// Deps is what the service works with.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Keys      *crypto.Keyring
	Cache     *cache.Client // carries live events; may be down
	Pages     *page.Codec
	Currency  string // ISO 4217 code of the business
	Customers *customers.Service
	Catalog   *catalog.Service
	Segments  *segments.Service
}

// Service owns orders and returns. It is safe for concurrent use.
type Service struct {
	db        *db.DB
	clock     *clock.Clock
	keys      *crypto.Keyring
	cache     *cache.Client
	pages     *page.Codec
	currency  string
	customers *customers.Service
	catalog   *catalog.Service
	segments  *segments.Service
}

// New makes the service.
func New(d Deps) *Service {
	d.Customers.HoldFields(customers.OfOrder, "orders")
	return &Service{
		db: d.DB, clock: d.Clock, keys: d.Keys, cache: d.Cache, pages: d.Pages, currency: d.Currency,
		customers: d.Customers, catalog: d.Catalog, segments: d.Segments,
	}
}
