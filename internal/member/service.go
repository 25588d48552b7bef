package member

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/forms"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/principals"
	"github.com/shuke-crm/shuke/internal/platform/token"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/referrals"
	"github.com/shuke-crm/shuke/internal/rewards"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// Deps is what the service works with.
type Deps struct {
	DB         *db.DB
	Clock      *clock.Clock
	Keys       *crypto.Keyring
	Cache      *cache.Client // principals; may be down
	Pages      *page.Codec
	Log        *slog.Logger
	Customers  *customers.Service
	Orders     *orders.Service
	Points     *points.Service
	Membership *membership.Service
	Wallets    *wallets.Service
	Rewards    *rewards.Service
	Referrals  *referrals.Service
	Forms      *forms.Service
	Codes      *otp.Service
	Outside    outside.Services // what is not configured answers which setting is missing
	// Attempt counts a try at a password, or tells how long to wait first.
	Attempt func(ctx context.Context, subject string) time.Duration
}

// Service is the customers' own side. Safe for concurrent use.
type Service struct {
	Deps
	principals *principals.Store
}

// New makes the service; Start connects it to the other replicas.
func New(d Deps) *Service {
	return &Service{Deps: d, principals: principals.New("member", d.Cache, d.Clock, d.Keys, d.Log)}
}

// Start listens for sessions ended by other replicas until ctx ends. Without
// it, or while Redis is down, that is seen within a second.
func (s *Service) Start(ctx context.Context) { s.principals.Start(ctx) }

// Authenticate gives the member of a verified access token. Gone says that the
// session has ended for good; an actor without a kind has no live session.
func (s *Service) Authenticate(ctx context.Context, a token.Access) (actor auth.Actor, gone bool, err error) {
	load := func(ctx context.Context) (*principals.Principal, error) { return s.load(ctx, a.Subject) }
	return s.principals.OfSession(ctx, a.Subject, a.SessionID, load)
}

// Closed is told by the customers domain who was archived or restored: their
// sessions stop and go on counting with it.
func (s *Service) Closed(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) {
	s.principals.Invalidate(ctx, tx, ids...)
}

// self is the signed-in member.
func self(ctx context.Context) (auth.Actor, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return auth.Actor{}, err
	}
	if actor.Kind != auth.KindMember || actor.SessionID == uuid.Nil {
		return auth.Actor{}, auth.ErrNoActor // the edge lets nobody else in
	}
	return actor, nil
}
