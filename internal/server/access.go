package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// admit finds out who is calling and whether the operation's permission is
// theirs, before anything of the body is read. An operation that is neither
// public nor names a permission is closed to everybody.
func (e *edge) admit(c echo.Context, op *contract.Operation) error {
	from := c.Request()
	client := identity.Client{IP: c.RealIP(), UserAgent: from.UserAgent()}
	if op.Public {
		client.User, client.Password, _ = from.BasicAuth()
	}
	c.SetRequest(from.WithContext(identity.WithClient(from.Context(), client)))
	if op.Stream && isHead(c.Request()) {
		return apperr.ErrMethodNotAllowed.New() // a stream has no end to measure
	}
	h := c.Response().Header()
	if op.Public {
		if op.Method == http.MethodPost {
			h["Cache-Control"] = noStore
		}
		if op.Optional && c.Request().Header.Get(echo.HeaderAuthorization) != "" {
			req := c.Request()
			actor, err := e.whoCalls(req, op)
			if err != nil {
				return err
			}
			c.SetRequest(req.WithContext(auth.With(req.Context(), actor)))
		}
		return nil
	}
	h["Cache-Control"] = privateNoCache
	if op.Method == http.MethodPost {
		h["Cache-Control"] = noStore // tokens, tickets, new keys, revealed numbers: shown once, kept nowhere
	}
	h["Vary"] = append(h["Vary"], varyView...)
	h["Content-Security-Policy"] = apiPolicy
	if op.Permission == "" {
		return apperr.ErrForbidden.New().Arg("permission", "")
	}
	req := c.Request()
	actor, err := e.whoCalls(req, op)
	if err != nil {
		return err
	}
	p := auth.Permission(op.Permission)
	ctx := auth.With(req.Context(), actor.Using(p))
	if op.StepUp == contract.StepUpPartly {
		ctx = auth.WithProofDemand(ctx, func(ctx context.Context) error { return e.demandProof(ctx, actor, false) })
	}
	c.SetRequest(req.WithContext(ctx))
	if !permits(actor, p) {
		return apperr.ErrForbidden.New().Arg("permission", op.Permission)
	}
	return e.demand(c.Request(), op, actor)
}

// demand asks more of people than to be signed in: a password of their own for
// anything but their account, and a fresh proof of who is there for what the
// contract marks.
func (e *edge) demand(req *http.Request, op *contract.Operation, actor auth.Actor) error {
	ownAccount := op.Tag == "auth"
	if !ownAccount {
		if err := e.demandOwnPassword(req.Context(), actor); err != nil {
			return err
		}
	}
	if op.StepUp != contract.StepUpAlways {
		return nil
	}
	return e.demandProof(req.Context(), actor, ownAccount)
}

// permits reports whether an operation is open to an actor. Members and the
// business have operations of their own, and neither may use the other's.
func permits(actor auth.Actor, p auth.Permission) bool {
	if (actor.Kind == auth.KindMember) != (p == auth.Member) {
		return false
	}
	return p == auth.Self || actor.Can(p)
}

// whoCalls reads the bearer token. Streams that are read also take a ticket from the query,
// since a browser's EventSource sends no headers; nothing else does, because
// addresses end up in logs.
func (e *edge) whoCalls(req *http.Request, op *contract.Operation) (auth.Actor, error) {
	header := req.Header.Get(echo.HeaderAuthorization)
	if header == "" && op.Stream && op.Method == http.MethodGet {
		if ticket := req.URL.Query().Get("ticket"); ticket != "" {
			return e.redeemTicket(req.Context(), ticket, req.URL.Path)
		}
	}
	const scheme = "Bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return auth.Actor{}, apperr.ErrUnauthenticated.New()
	}
	return e.authenticate(req.Context(), strings.TrimSpace(header[len(scheme):]))
}

// limitBody bounds what is read of a body, whatever its length header claims.
func (e *edge) limitBody(c echo.Context, op *contract.Operation) error {
	req := c.Request()
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	if req.ContentLength > op.BodyLimit {
		return apperr.ErrTooLarge.New().Arg("limit", op.BodyLimit)
	}
	req.Body = http.MaxBytesReader(c.Response().Writer, req.Body, op.BodyLimit)
	return nil
}
