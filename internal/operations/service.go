package operations

import (
	"log/slog"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Deps is what the service is built from.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Pages *page.Codec
	Jobs  *jobs.Queue
	Keys  *crypto.Keyring // for rotations
	Log   *slog.Logger
}

// Service answers questions about jobs and the audit log.
type Service struct {
	db    *db.DB
	clock *clock.Clock
	pages *page.Codec
	jobs  *jobs.Queue
	keys  *crypto.Keyring
	log   *slog.Logger
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{db: d.DB, clock: d.Clock, pages: d.Pages, jobs: d.Jobs, keys: d.Keys, log: d.Log}
}
