package catalog

import (
	"context"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is made of.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Pages *page.Codec
	// Currency is the ISO 4217 code of all prices.
	Currency string
	// Customers keeps the definitions of custom fields.
	Customers *customers.Service
	// Pictures stores the files of pictures; nil: there are none.
	Pictures Pictures
	// Renamed is called after the commit that changed the name of a category,
	// which cached answers of others show.
	Renamed func(context.Context)
}

// Service is the catalogue.
type Service struct {
	db    *db.DB
	clock *clock.Clock
	pages *page.Codec

	currency  string
	customers *customers.Service
	pictures  Pictures
	onRename  func(context.Context)
}

// New makes the service.
func New(d Deps) *Service {
	d.Customers.HoldFields(customers.OfProduct, "products")
	return &Service{db: d.DB, clock: d.Clock, pages: d.Pages, currency: d.Currency, customers: d.Customers, pictures: d.Pictures, onRename: d.Renamed}
}

func (s *Service) renamed(ctx context.Context) {
	if s.onRename != nil {
		s.onRename(ctx)
	}
}
