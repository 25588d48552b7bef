package imports

import (
	"context"
	"log/slog"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service works with.
type Deps struct {
	DB        *db.DB
	Clock     *clock.Clock
	Keys      *crypto.Keyring
	Pages     *page.Codec
	Log       *slog.Logger
	Queue     *jobs.Queue
	Files     *blob.Store
	Customers *customers.Service
	Orders    *orders.Service
	Catalog   *catalog.Service
	// Current gives the rights of now of whoever asked for a run.
	Current func(ctx context.Context, principal string) (auth.Actor, error)
}

// Service owns runs of imports and exports. It is safe for concurrent use.
type Service struct{ Deps }

// New makes the service and registers its jobs.
func New(d Deps) *Service {
	s := &Service{d}
	s.register()
	return s
}
