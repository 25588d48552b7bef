package server

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/ratelimit"
)

// rates are the limits of all operations, looked up once at start.
type rates struct {
	named   map[*contract.Operation]ratelimit.Class
	general map[auth.Kind][2]ratelimit.Class // of reading and writing; "" are callers by address
}

// newRates finds the class of each operation.
// Errors: an x-rate-limit that names none, limits that cannot be.
func newRates(operations []*contract.Operation, changed map[string]int) (*rates, error) {
	limits, err := ratelimit.NewLimits(changed)
	if err != nil {
		return nil, err
	}
	r := &rates{named: map[*contract.Operation]ratelimit.Class{}, general: map[auth.Kind][2]ratelimit.Class{}}
	for kind, name := range map[auth.Kind]string{auth.KindStaff: "staff", auth.KindAPIKey: "key", auth.KindMember: "member", "": "address"} {
		r.general[kind] = [2]ratelimit.Class{limits[name+".read"], limits[name+".write"]}
	}
	for _, op := range operations {
		if op.RateLimit == "" {
			continue
		}
		if r.named[op], err = rateClass(op.RateLimit); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// rateClass is the class that an operation's x-rate-limit names. Sign-in is
// counted by address here; attempts on one account are identity's to count,
// since only it knows the account.
func rateClass(name string) (ratelimit.Class, error) {
	if name == ratelimit.SignInByAccount.Name {
		return ratelimit.SignInByAddress, nil
	}
	class, ok := ratelimit.ByName(name)
	if !ok {
		return class, fmt.Errorf("server: x-rate-limit names no class: %s", name)
	}
	return class, nil
}

// of is the class of an operation for a caller.
func (r *rates) of(op *contract.Operation, actor auth.Actor) ratelimit.Class {
	if class, ok := r.named[op]; ok {
		return class
	}
	if actor.RequestsPerMinute > 0 {
		return ratelimit.PerMinute("requests", actor.RequestsPerMinute)
	}
	general := r.general[actor.Kind]
	if op.Method == http.MethodGet {
		return general[0]
	}
	return general[1]
}

// limitRate counts the request against its caller: the signed-in principal, or
// the address where there is none, so that guesses at tokens are counted too.
func (e *edge) limitRate(c echo.Context, op *contract.Operation) error {
	ctx := c.Request().Context()
	actor, err := auth.From(ctx)
	class := e.rates.of(op, actor)
	var subject ratelimit.Subject
	if err == nil && class.Name != ratelimit.SignInByAddress.Name {
		subject = ratelimit.Principal(string(actor.Kind), actor.ID)
	} else {
		address, _ := netip.ParseAddr(c.RealIP()) // the zero one, which all share, when it cannot be read
		subject = ratelimit.Address(address)
	}
	result := e.limiter.Allow(ctx, class, subject)
	result.SetHeaders(c.Response().Header())
	if !result.Allowed {
		return apperr.ErrRateLimited.New().Arg("retry_after", result.RetryAfter.Seconds())
	}
	return nil
}
