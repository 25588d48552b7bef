package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

const headerRequestID = "X-Request-Id"

// requestID names the request: by the caller's own id if that is short and
// harmless in a log, else by a new one.
func (e *edge) requestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := c.Request()
		id := req.Header.Get(headerRequestID)
		if !harmless(id) {
			id = uuid.Must(uuid.NewV7()).String()
		}
		h := c.Response().Header()
		h.Set(headerRequestID, id)
		e.secureHeaders(h)
		c.SetRequest(req.WithContext(telemetry.WithRequestID(req.Context(), id)))
		return next(c)
	}
}

func harmless(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// recoverPanic turns a panic into an internal error, so that it is answered,
// counted and logged like any other.
func (e *edge) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler {
					panic(r) // net/http's own way to drop a connection
				}
				e.log.LogAttrs(c.Request().Context(), slog.LevelError, "panic",
					slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return next(c)
	}
}

// observe answers errors, then logs and counts the request by its route
// template: paths and query values may name people.
func (e *edge) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		e.metrics.RequestStarted()
		if err := next(c); err != nil {
			c.Error(err)
		}
		took := time.Since(began)
		route, status, method := c.Path(), c.Response().Status, c.Request().Method
		if !isStandardMethod(method) {
			method = "other" // what is counted must not be the caller's to invent
		}
		e.metrics.RequestDone(method, route, status, took)

		// A log line costs as much as a cached read, so those that went well are
		// left to the metrics unless debugging is on.
		level := slog.LevelInfo
		if status < 400 && (method == http.MethodGet || method == http.MethodHead) && took < time.Second {
			level = slog.LevelDebug
		}
		ctx := c.Request().Context()
		if !e.log.Enabled(ctx, level) {
			return nil
		}
		attrs := []slog.Attr{
			slog.String("method", method), slog.String("route", route), slog.Int("status", status),
			slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int64("bytes", c.Response().Size),
		}
		if actor, err := auth.From(ctx); err == nil {
			attrs = append(attrs, slog.String("actor", actor.Principal()))
		}
		e.log.LogAttrs(ctx, level, "request", attrs...)
		return nil
	}
}

func isStandardMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}
