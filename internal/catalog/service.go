package catalog

import (
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is made of.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Pages *page.Codec
}

// Service is the catalogue.
type Service struct {
	db    *db.DB
	clock *clock.Clock
	pages *page.Codec
}

// New makes the service.
func New(d Deps) *Service { return &Service{db: d.DB, clock: d.Clock, pages: d.Pages} }
