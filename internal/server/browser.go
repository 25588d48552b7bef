package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// Header values sent with every answer, made once: a header is a slice, and
// making it anew for each request is garbage.
var (
	nosniff        = []string{"nosniff"}
	noReferrer     = []string{"no-referrer"}
	denyFrame      = []string{"DENY"}
	apiPolicy      = []string{"default-src 'none'; frame-ancestors 'none'"}
	strictly       = []string{"max-age=31536000"}
	varyView       = []string{"Authorization, Accept-Language"}
	noStore        = []string{"no-store"}
	privateNoCache = []string{"private, no-cache"}
)

const (
	allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	allowedHeaders = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Accept-Language, Last-Event-ID, X-Request-Id, X-HTTP-Method-Override"
	exposedHeaders = "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, Idempotency-Replayed"

	headerMethodOverride = "X-Http-Method-Override"
)

func (e *edge) secureHeaders(h http.Header) {
	h["X-Content-Type-Options"] = nosniff
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = denyFrame
	if e.secure {
		h["Strict-Transport-Security"] = strictly
	}
}

// cors lets the configured origins call from a browser. A preflight is
// answered here, before routing and sign-in; from another origin it gets no
// permission and the browser refuses.
func (e *edge) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req, h := c.Request(), c.Response().Header()
		origin := req.Header.Get(echo.HeaderOrigin)
		if origin == "" {
			return next(c)
		}
		h.Add(echo.HeaderVary, echo.HeaderOrigin)
		preflight := req.Method == http.MethodOptions && req.Header.Get(echo.HeaderAccessControlRequestMethod) != ""
		allowed := e.anyOrigin || e.origins[origin]
		if allowed {
			if e.anyOrigin {
				h.Set(echo.HeaderAccessControlAllowOrigin, "*")
			} else {
				h.Set(echo.HeaderAccessControlAllowOrigin, origin)
				h.Set(echo.HeaderAccessControlAllowCredentials, "true") // the refresh cookie
			}
			h.Set(echo.HeaderAccessControlExposeHeaders, exposedHeaders)
		}
		if !preflight {
			return next(c)
		}
		if allowed {
			h.Set(echo.HeaderAccessControlAllowMethods, allowedMethods)
			h.Set(echo.HeaderAccessControlAllowHeaders, allowedHeaders)
			h.Set(echo.HeaderAccessControlMaxAge, "7200") // the longest that browsers keep
			h.Add(echo.HeaderVary, "Access-Control-Request-Method, Access-Control-Request-Headers")
		}
		return c.NoContent(http.StatusNoContent)
	}
}

// rewriteMethod stands before the router, which goes by the method of the
// request as it came in.
//
// HEAD is answered as GET; net/http drops the body because the connection's own
// request still says HEAD. POST with X-HTTP-Method-Override lets clients that
// know GET and POST only (WeChat's wx.request) use the whole API.
func rewriteMethod(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.Method {
		case http.MethodHead:
			req = req.WithContext(context.WithValue(req.Context(), askedHead{}, true))
			req.Method = http.MethodGet
		case http.MethodPost:
			if method := strings.ToUpper(req.Header.Get(headerMethodOverride)); overridable[method] {
				changed := *req
				changed.Method = method
				req = &changed
			}
		}
		next.ServeHTTP(w, req)
	})
}

type askedHead struct{}

func isHead(req *http.Request) bool { return req.Context().Value(askedHead{}) != nil }

var overridable = map[string]bool{http.MethodPatch: true, http.MethodDelete: true, http.MethodPut: true}

// refuseOverride answers what rewriteMethod did not understand: taken as a
// plain POST it would do something else than the caller meant.
func (e *edge) refuseOverride(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		if req.Method == http.MethodPost {
			if override := req.Header.Get(headerMethodOverride); override != "" && !strings.EqualFold(override, http.MethodPost) {
				return errOverride.At("X-HTTP-Method-Override:")
			}
		}
		return next(c)
	}
}
