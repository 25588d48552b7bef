package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	analyticsapi "github.com/shuke-crm/shuke/api/analytics"
	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	formsapi "github.com/shuke-crm/shuke/api/forms"
	identityapi "github.com/shuke-crm/shuke/api/identity"
	importsapi "github.com/shuke-crm/shuke/api/imports"
	inventoryapi "github.com/shuke-crm/shuke/api/inventory"
	memberapi "github.com/shuke-crm/shuke/api/member"
	membershipapi "github.com/shuke-crm/shuke/api/membership"
	merchantsapi "github.com/shuke-crm/shuke/api/merchants"
	operationsapi "github.com/shuke-crm/shuke/api/operations"
	ordersapi "github.com/shuke-crm/shuke/api/orders"
	pointsapi "github.com/shuke-crm/shuke/api/points"
	referralsapi "github.com/shuke-crm/shuke/api/referrals"
	rewardsapi "github.com/shuke-crm/shuke/api/rewards"
	segmentsapi "github.com/shuke-crm/shuke/api/segments"
	timelineapi "github.com/shuke-crm/shuke/api/timeline"
	walletsapi "github.com/shuke-crm/shuke/api/wallets"
	"github.com/shuke-crm/shuke/internal/analytics"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/forms"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/imports"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/member"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/merchants"
	"github.com/shuke-crm/shuke/internal/operations"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/geo"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/ratelimit"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
	"github.com/shuke-crm/shuke/internal/platform/token"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/referrals"
	"github.com/shuke-crm/shuke/internal/rewards"
	"github.com/shuke-crm/shuke/internal/segments"
	"github.com/shuke-crm/shuke/internal/timeline"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// Deps is what a server is built from. All fields but the last three are needed.
type Deps struct {
	DB      *db.DB
	Cache   *cache.Client
	Keys    *crypto.Keyring
	Clock   *clock.Clock
	Log     *slog.Logger
	Metrics *telemetry.Metrics
	Files   *blob.Store // uploads and exports; replicas share it
	// ListenURL is the database's address once more, for the connection that
	// waits for notifications. Without it jobs and events are found by polling.
	ListenURL string
	// PasswordChanged hears of people who changed their own password.
	PasswordChanged func(ctx context.Context, username string)
	// Outside are the services that are not ours; the zero value has none.
	Outside outside.Services
	// Places names the city of an address; the zero value knows none.
	Places geo.Places
}

// Config is what a server may be told.
type Config struct {
	PublicURL   string   // address that clients use; problem types are relative without it
	BaseURL     string   // address that payment providers send to: PublicURL, or where the service listens
	CORSOrigins []string // web origins that browsers may call from; "*" means any
	Currency    string   // ISO 4217
	// RequireSecondFactor demands one of people for what asks for a fresh proof.
	RequireSecondFactor bool
	PasswordResetURL    string // the front end's page for a new password; mails add #token=…
	// RateLimits replace general limits, in requests a minute: "staff.read".
	RateLimits map[string]int
	// Alerts replace thresholds of suspicious access: "reveals", "lookups", "misses".
	Alerts map[string]int
	// Attachments are the limits of files attached to customers.
	Attachments timeline.Limits
	// TrustedProxies may say in X-Forwarded-For where a request comes from.
	TrustedProxies []netip.Prefix
}

// Server is the whole application. The services are there for commands and
// tests; requests go through Handler.
type Server struct {
	Identity   *identity.Service
	Customers  *customers.Service
	Timeline   *timeline.Service
	Imports    *imports.Service
	Catalog    *catalog.Service
	Inventory  *inventory.Service
	Points     *points.Service
	Wallets    *wallets.Service
	Rewards    *rewards.Service
	Membership *membership.Service
	Referrals  *referrals.Service
	Merchants  *merchants.Service
	Segments   *segments.Service
	Orders     *orders.Service
	Member     *member.Service
	Forms      *forms.Service
	Analytics  *analytics.Service
	Operations *operations.Service
	Jobs       *jobs.Queue
	Events     *events.Dispatcher
	Sealer     *audit.Sealer
	Contract   *contract.Contract

	deps   Deps
	edge   *edge
	health *health
	router *echo.Echo
	stop   context.CancelFunc // ends streams
}

// New builds every service and the router, and starts nothing.
// Errors: a contract that cannot be read; a route outside the contract, which
// nothing would guard.
func New(cfg Config, d Deps) (*Server, error) {
	spec, err := contract.Load()
	if err != nil {
		return nil, err
	}
	s := &Server{Contract: spec, deps: d}
	secret := d.Keys.Derive("ratelimit.subject")
	limiter := ratelimit.New(d.Cache, secret[:])
	if err := s.buildServices(cfg, limiter); err != nil {
		return nil, err
	}
	if err := identity.CheckThresholds(cfg.Alerts); err != nil {
		return nil, err
	}
	rates, err := newRates(spec.Operations(), cfg.RateLimits)
	if err != nil {
		return nil, err
	}
	stopping, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.health = &health{db: d.DB, cache: d.Cache}
	s.edge = &edge{
		contract: spec, log: d.Log, db: d.DB, clock: d.Clock, keys: d.Keys, metrics: d.Metrics,
		limiter: limiter, rates: rates,
		publicURL: strings.TrimRight(cfg.PublicURL, "/"), secure: strings.HasPrefix(cfg.PublicURL, "https://"),
		origins:      map[string]bool{},
		address:      addressBy(cfg.TrustedProxies),
		authenticate: s.Identity.Authenticate, redeemTicket: s.Identity.RedeemStreamTicket,
		survivor:          s.Customers.Survivor,
		demandOwnPassword: s.Identity.DemandOwnPassword, demandProof: s.Identity.DemandProof,
		stopping: stopping,
	}
	for _, origin := range cfg.CORSOrigins {
		if origin == "*" {
			s.edge.anyOrigin = true
		}
		s.edge.origins[origin] = true
	}
	s.router = s.edge.newEcho()
	s.register()
	if err := s.checkRoutes(); err != nil {
		return nil, err
	}
	s.schedule()
	d.Metrics.WatchDB(d.DB.SQL)
	d.Metrics.Register(jobs.Metrics(d.DB), events.Metrics(d.DB))
	d.Metrics.Register(d.Cache.Collectors()...)
	return s, nil
}

func (s *Server) buildServices(cfg Config, limiter *ratelimit.Limiter) error {
	d := s.deps
	pages := page.NewCodec(d.Keys.Derive("page.cursor"))
	var err error
	if s.Jobs, err = jobs.New(jobs.Options{DB: d.DB, ListenURL: d.ListenURL, Logger: slog.New(quiet{d.Log.Handler()})}); err != nil {
		return err
	}
	s.Events = events.NewDispatcher(d.DB, d.ListenURL, d.Log)
	s.Sealer = audit.NewSealer(d.DB, d.Log)
	codes := otp.New(d.DB, d.Clock, d.Keys)
	s.Identity = identity.New(identity.Deps{
		DB: d.DB, Clock: d.Clock, Keys: d.Keys, Cache: d.Cache, Pages: pages, Log: d.Log,
		Codes: codes, Outside: d.Outside,
		RequireSecondFactor: cfg.RequireSecondFactor, PasswordResetURL: cfg.PasswordResetURL, Places: d.Places,
		PublicURL: strings.TrimRight(cfg.PublicURL, "/"), Alerts: cfg.Alerts, Operations: s.operations, PasswordChanged: d.PasswordChanged,
		Members: func(ctx context.Context, a token.Access) (auth.Actor, bool, error) {
			return s.Member.Authenticate(ctx, a)
		},
		Renamed: func(ctx context.Context) { s.Customers.ClearProfiles(ctx) },
	})
	s.Customers = customers.New(customers.Deps{DB: d.DB, Clock: d.Clock, Keys: d.Keys, Cache: d.Cache, Pages: pages, Queue: s.Jobs})
	s.Customers.Subscribe(s.Events)
	s.Timeline = timeline.New(timeline.Deps{DB: d.DB, Clock: d.Clock, Keys: d.Keys, Pages: pages, Log: d.Log, Queue: s.Jobs, Files: d.Files,
		Limits: cfg.Attachments, Current: s.Identity.Current})
	s.Catalog = catalog.New(catalog.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Currency: cfg.Currency, Customers: s.Customers, Pictures: s.Timeline, Renamed: s.Customers.ClearProfiles})
	s.Inventory = inventory.New(inventory.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Catalog: s.Catalog, Queue: s.Jobs})
	s.Merchants = &merchants.Service{DB: d.DB, Clock: d.Clock, Pages: pages}
	s.Segments = segments.New(segments.Deps{DB: d.DB, Clock: d.Clock, Queue: s.Jobs, Customers: s.Customers, Tell: s.Timeline.Tell})
	s.Points = points.New(points.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Customers: s.Customers, Catalog: s.Catalog, Queue: s.Jobs})
	s.Points.Subscribe(s.Events)
	s.Wallets = wallets.New(wallets.Deps{DB: d.DB, Clock: d.Clock, Keys: d.Keys, Pages: pages, Currency: cfg.Currency, Customers: s.Customers, Queue: s.Jobs})
	s.Membership = membership.New(membership.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Customers: s.Customers, Points: s.Points, Queue: s.Jobs})
	s.Points.SetTiers(s.Membership)
	s.Rewards = rewards.New(rewards.Deps{DB: d.DB, Clock: d.Clock, Keys: d.Keys, Pages: pages, Inventory: s.Inventory, Points: s.Points, Membership: s.Membership, Queue: s.Jobs})
	s.Orders = orders.New(orders.Deps{
		DB: d.DB, Clock: d.Clock, Keys: d.Keys, Cache: d.Cache, Pages: pages, Currency: cfg.Currency,
		Customers: s.Customers, Catalog: s.Catalog, Segments: s.Segments, Inventory: s.Inventory, Points: s.Points, Membership: s.Membership, Wallets: s.Wallets, Queue: s.Jobs,
		Outside: d.Outside, Log: d.Log, BaseURL: strings.TrimRight(cfg.BaseURL, "/"),
	})
	s.Orders.Subscribe(s.Events)
	s.Referrals = referrals.New(referrals.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Customers: s.Customers, Points: s.Points, Queue: s.Jobs})
	s.Referrals.Subscribe(s.Events)
	s.Imports = imports.New(imports.Deps{
		DB: d.DB, Clock: d.Clock, Keys: d.Keys, Pages: pages, Log: d.Log, Queue: s.Jobs, Files: d.Files,
		Customers: s.Customers, Orders: s.Orders, Catalog: s.Catalog, Current: s.Identity.Current,
	})
	s.Forms = &forms.Service{DB: d.DB, Clock: d.Clock, Keys: d.Keys, Pages: pages, Customers: s.Customers,
		Agree: func(ctx context.Context, tx *db.Tx, customerID uuid.UUID, purpose string, version int, channel, pointer string) error {
			return s.Member.Agree(ctx, tx, customerID, member.Purpose(purpose), version, channel, pointer)
		}}
	s.Member = member.New(member.Deps{
		DB: d.DB, Clock: d.Clock, Keys: d.Keys, Cache: d.Cache, Pages: pages, Log: d.Log, Customers: s.Customers, Orders: s.Orders, Points: s.Points, Membership: s.Membership, Wallets: s.Wallets, Rewards: s.Rewards, Referrals: s.Referrals, Forms: s.Forms,
		Codes: codes, Outside: d.Outside,
		Attempt: func(ctx context.Context, subject string) time.Duration {
			if r := limiter.Allow(ctx, ratelimit.SignInByAccount, ratelimit.Text(subject)); !r.Allowed {
				return r.RetryAfter
			}
			return 0
		},
	})
	s.Customers.UseMembers(s.Member)
	for _, f := range []customers.Follower{s.Customers.Follower(), s.Orders.Follower(), s.Points.Follower(), s.Wallets.Follower(), s.Rewards.Follower(), s.Referrals.Follower(), s.Segments.Follower(), s.Membership.Follower(), s.Member.Follower(), s.Forms.Follower(), s.Timeline.Follower()} {
		s.Customers.Follow(f)
	}
	s.Timeline.Use(slices.Concat(orders.TimelineSources(), member.TimelineSources())...) // every domain's; the contract's TimelineKind names the kinds
	s.Analytics = analytics.New(analytics.Deps{DB: d.DB, Clock: d.Clock, Queue: s.Jobs, Pages: pages, Customers: s.Customers})
	s.Operations = operations.New(operations.Deps{DB: d.DB, Clock: d.Clock, Pages: pages, Jobs: s.Jobs, Keys: d.Keys, Log: d.Log})
	return nil
}

// operations tells identity what each permission opens.
func (s *Server) operations() []identity.Operation {
	var out []identity.Operation
	for _, op := range s.Contract.Operations() {
		out = append(out, identity.Operation{ID: op.ID, Method: op.Method, Path: op.Path, Permission: op.Permission, Stream: op.Stream, StepUp: op.StepUp != contract.StepUpNever})
	}
	return out
}

// register adds the routes of every domain, and those of the server itself.
func (s *Server) register() {
	r := s.router
	identityapi.RegisterHandlers(r, identityapi.NewStrictHandler(identity.API{Service: s.Identity}, nil))
	customersapi.RegisterHandlers(r, customersapi.NewStrictHandler(customers.API{Service: s.Customers}, nil))
	timelineapi.RegisterHandlers(r, timelineapi.NewStrictHandler(timeline.API{Service: s.Timeline}, nil))
	catalogapi.RegisterHandlers(r, catalogapi.NewStrictHandler(catalog.API{Service: s.Catalog}, nil))
	inventoryapi.RegisterHandlers(r, inventoryapi.NewStrictHandler(inventory.API{Service: s.Inventory}, nil))
	referralsapi.RegisterHandlers(r, referralsapi.NewStrictHandler(referrals.API{Service: s.Referrals}, nil))
	pointsapi.RegisterHandlers(r, pointsapi.NewStrictHandler(points.API{Service: s.Points}, nil))
	rewardsapi.RegisterHandlers(r, rewardsapi.NewStrictHandler(rewards.API{Service: s.Rewards}, nil))
	walletsapi.RegisterHandlers(r, walletsapi.NewStrictHandler(wallets.API{Service: s.Wallets}, nil))
	membershipapi.RegisterHandlers(r, membershipapi.NewStrictHandler(membership.API{Service: s.Membership}, nil))
	merchantsapi.RegisterHandlers(r, merchantsapi.NewStrictHandler(merchants.API{Service: s.Merchants}, nil))
	segmentsapi.RegisterHandlers(r, segmentsapi.NewStrictHandler(segments.API{Service: s.Segments}, nil))
	ordersapi.RegisterHandlers(r, ordersapi.NewStrictHandler(orders.API{Service: s.Orders}, nil))
	importsapi.RegisterHandlers(r, importsapi.NewStrictHandler(imports.API{Service: s.Imports}, nil))
	memberapi.RegisterHandlers(r, memberapi.NewStrictHandler(member.API{Service: s.Member}, nil))
	formsapi.RegisterHandlers(r, formsapi.NewStrictHandler(forms.API{Service: s.Forms}, nil))
	analyticsapi.RegisterHandlers(r, analyticsapi.NewStrictHandler(analytics.API{Service: s.Analytics}, nil))
	operationsapi.RegisterHandlers(r, operationsapi.NewStrictHandler(operations.API{Service: s.Operations}, nil))
	s.health.register(r)
	metrics := s.deps.Metrics.Handler()
	r.GET("/metrics", func(c echo.Context) error {
		metrics.ServeHTTP(c.Response(), c.Request())
		return nil
	})
	s.Contract.Register(r)
}

// assets are the routes that serve parts of the documentation's page and
// nothing else; the contract names the page itself.
var assets = map[string]bool{"/docs/*": true}

// checkRoutes refuses a route that the contract does not describe: middleware
// would find no permission for it and let it pass.
func (s *Server) checkRoutes() error {
	for _, r := range s.router.Routes() {
		if r.Method == echo.RouteNotFound || assets[r.Path] || s.Contract.Lookup(r.Method, r.Path) != nil {
			continue
		}
		return fmt.Errorf("server: %s %s is served and not in the contract", r.Method, r.Path)
	}
	return nil
}

// Handler answers requests.
func (s *Server) Handler() http.Handler { return rewriteMethod(s.router) }

// Routes lists what is served as "METHOD /template".
func (s *Server) Routes() []string {
	var out []string
	for _, r := range s.router.Routes() {
		if r.Method != echo.RouteNotFound {
			out = append(out, r.Method+" "+r.Path)
		}
	}
	return out
}
