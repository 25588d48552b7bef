package server

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/migrate"
)

var errNotReady = apperr.Define(apperr.Unavailable, "not_ready", "The service is not ready: {check}.", "服务尚未就绪：{check}。")

// readyWithin bounds the questions a readiness probe asks.
const readyWithin = 2 * time.Second

// health answers supervisors and load balancers.
type health struct {
	db       *db.DB
	cache    *cache.Client
	draining atomic.Bool // set first when the process stops, so that balancers look elsewhere
}

func (h *health) register(e *echo.Echo) {
	e.GET("/healthz", h.live)
	e.GET("/readyz", h.ready)
}

func (h *health) live(c echo.Context) error {
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

type readiness struct {
	Status string           `json:"status"`
	Checks []readinessCheck `json:"checks"`
}

type readinessCheck struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}

// ready fails while draining and when the database is away or lacks a
// migration. A cache that is away only makes the service slower.
func (h *health) ready(c echo.Context) error {
	if h.draining.Load() {
		return errNotReady.New().Arg("check", "stopping")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyWithin)
	defer cancel()
	if err := h.db.SQL.PingContext(ctx); err != nil {
		return errNotReady.Wrap(err).Arg("check", "database")
	}
	if err := migrate.Check(ctx, h.db.SQL); err != nil {
		return errNotReady.Wrap(err).Arg("check", "migrations")
	}
	cacheStatus := "ok"
	if err := h.cache.Ping(ctx).Err(); err != nil {
		cacheStatus = "degraded"
	}
	return c.JSON(http.StatusOK, readiness{Status: "ready", Checks: []readinessCheck{
		{"database", "ok"}, {"migrations", "ok"}, {"cache", cacheStatus},
	}})
}
