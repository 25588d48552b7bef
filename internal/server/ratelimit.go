package server

import (
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/ratelimit"
)

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

// limitRate counts the request against its caller: the signed-in principal, or
// the address where there is none.
func (e *edge) limitRate(c echo.Context, op *contract.Operation) error {
	if op.RateLimit == "" {
		return nil
	}
	class, err := rateClass(op.RateLimit)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	subject := c.RealIP()
	if class.Name != ratelimit.SignInByAddress.Name {
		if actor, err := auth.From(ctx); err == nil {
			subject = actor.Principal()
		}
	}
	result := e.limiter.Allow(ctx, class, subject)
	result.SetHeaders(c.Response().Header())
	if !result.Allowed {
		return apperr.ErrRateLimited.New().Arg("retry_after", result.RetryAfter.Seconds())
	}
	return nil
}
