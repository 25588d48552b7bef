package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/ratelimit"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// requestLimit bounds the work for one request. Streams are exempt; long work
// belongs into jobs.
const requestLimit = 15 * time.Second

// edge is everything between the network and the generated handlers.
type edge struct {
	contract     *contract.Contract
	log          *slog.Logger
	db           *db.DB
	clock        *clock.Clock
	keys         *crypto.Keyring
	limiter      *ratelimit.Limiter
	rates        *rates
	publicURL    string // without a trailing slash; empty makes problem types relative
	secure       bool   // reached through https
	origins      map[string]bool
	address      echo.IPExtractor
	anyOrigin    bool
	authenticate func(ctx context.Context, bearer string) (auth.Actor, error)
	redeemTicket func(ctx context.Context, ticket, path string) (auth.Actor, error)
	survivor     func(ctx context.Context, id uuid.UUID) (uuid.UUID, error) // of a customer who was merged
	// What is asked of people beyond being signed in.
	demandOwnPassword func(ctx context.Context, actor auth.Actor) error
	demandProof       func(ctx context.Context, actor auth.Actor, ownAccount bool) error
	stopping          context.Context // ends when the process begins to stop; streams end with it
	metrics           *telemetry.Metrics
}

// newEcho makes a router with every shared middleware in place. Routes are
// added by the caller.
func (e *edge) newEcho() *echo.Echo {
	router := echo.New()
	router.HideBanner, router.HidePort = true, true
	router.HTTPErrorHandler = e.answerError
	router.IPExtractor = e.address
	router.Pre(e.requestID, e.observe, e.recoverPanic, e.cors, e.refuseOverride)
	router.Use(e.guard)
	return router
}

// addressBy finds the address of a caller: that of the connection, unless it
// is a trusted proxy's, which tells whom it forwards for. Without a trusted
// proxy the header is anybody's invention and not read.
func addressBy(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// guard takes one routed request through everything the contract says about
// its operation, in this order, before its handler runs.
func (e *edge) guard(handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := e.contract.Lookup(c.Request().Method, c.Path())
		if op == nil {
			// Nothing is served here but the assets of the documentation: New
			// refuses to start with any other route outside the contract.
			return handler(c)
		}
		release := e.bound(c, op)
		defer release()
		err := e.admit(c, op)
		if limited := e.limitRate(c, op); limited != nil {
			return limited // refused requests are counted too, and say less
		}
		if err != nil {
			return err
		}
		if slices.Contains(c.ParamValues(), "") {
			return apperr.ErrNotFound.New() // "/v1/customers//notes": a client without an id to ask for
		}
		if err := e.limitBody(c, op); err != nil {
			return err
		}
		inner := e.conditional(op, e.forMerged(op, handler))
		return e.validate(func(c echo.Context) error { return e.idempotent(c, op, inner) })(c)
	}
}

// bound gives the request its deadline; a stream instead lives until the
// client leaves or the process begins to stop.
func (e *edge) bound(c echo.Context, op *contract.Operation) (release func()) {
	req := c.Request()
	if !op.Stream {
		ctx, cancel := context.WithTimeout(req.Context(), requestLimit)
		c.SetRequest(req.WithContext(ctx))
		return cancel
	}
	ctx, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(e.stopping, cancel)
	// The connection's own time-outs would cut a stream off.
	control := http.NewResponseController(c.Response().Writer)
	_ = control.SetWriteDeadline(time.Time{}) // a writer without deadlines needs none lifted
	_ = control.SetReadDeadline(time.Time{})
	c.SetRequest(req.WithContext(ctx))
	return func() { stop(); cancel() }
}

// validate holds a request against the contract.
func (e *edge) validate(next echo.HandlerFunc) echo.HandlerFunc { return e.contract.Validate()(next) }
