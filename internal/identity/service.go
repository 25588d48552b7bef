package identity

import (
	"context"
	"log/slog"
	"sync"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/geo"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/principals"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// Operation is one line of the API, for the explanation of permissions.
type Operation struct {
	ID, Method, Path, Permission string
	Stream                       bool
	StepUp                       bool // people need a fresh proof for it, at least in some cases
}

// Deps is what the service is made of. Only the functions may be nil.
type Deps struct {
	DB    *db.DB
	Clock *clock.Clock
	Keys  *crypto.Keyring
	Cache *cache.Client
	Pages *page.Codec
	Log   *slog.Logger
	// Codes are sent to phones by Outside.
	Codes   *otp.Service
	Outside outside.Services
	// Places names the city of an address; the zero value knows none.
	Places geo.Places
	// PasswordResetURL is the front end's page for a new password; mails carry the
	// bare token without it.
	PasswordResetURL string
	// RequireSecondFactor refuses operations that ask for a fresh proof to whoever
	// has no second factor.
	RequireSecondFactor bool
	// Alerts replace thresholds of AlertThresholds.
	Alerts map[string]int
	// PublicURL is the address clients use, without a trailing slash.
	PublicURL string
	// Operations lists the operations of the contract.
	Operations func() []Operation
	// Members judges the access tokens of members, who are another domain's;
	// without it they are refused.
	Members func(ctx context.Context, a token.Access) (actor auth.Actor, gone bool, err error)
	// PasswordChanged is called after somebody changed their own password.
	PasswordChanged func(ctx context.Context, username string)
	// Renamed is called after the commit that changed the name or code of a store
	// or of a member of staff, which cached answers of others show.
	Renamed func(context.Context)
}

// Service is the identity domain. Safe for concurrent use.
type Service struct {
	Deps
	throttle *throttle

	principals *principals.Store
	tokens     *lru.Cache[string, *credential] // bearer text → what it was verified to be
	used       sync.Map                        // hash of a key's secret → time its use was last noted
	notes      sync.WaitGroup
	mails      chan struct{} // mails on their way
}

// maxTokens bounds the in-process cache: entries, not bytes; a token is some 400 bytes.
const maxTokens = 8192

// New makes the service; Start connects it to the other replicas.
func New(d Deps) *Service {
	tokens, err := lru.New[string, *credential](maxTokens)
	if err != nil {
		panic(err) // only for a size below one
	}
	if d.Log == nil {
		d.Log = slog.Default()
	}
	return &Service{Deps: d, throttle: newThrottle(d.Cache, d.Clock, d.Keys), tokens: tokens, mails: make(chan struct{}, mailsAtOnce),
		principals: principals.New("identity", d.Cache, d.Clock, d.Keys, d.Log)}
}

// Start listens for changes made by other replicas until ctx ends. Without it,
// or while Redis is down, they are seen within a second.
func (s *Service) Start(ctx context.Context) { s.principals.Start(ctx) }

// invalidate says that the transaction changes the rights or sessions of these
// principals.
func (s *Service) invalidate(ctx context.Context, tx *db.Tx, ids ...uuid.UUID) {
	s.principals.Invalidate(ctx, tx, ids...)
}

// Close waits for mails and for notes of API key use still being written.
func (s *Service) Close() { s.notes.Wait() }
