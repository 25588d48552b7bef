package main

import (
	"context"
	"flag"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// reference serves the bare handlers that the service is measured against:
// nothing but Echo, and one Redis GET, one ent Get or the rows of an order.
func reference(args []string) error {
	flags := flag.NewFlagSet("reference", flag.ExitOnError)
	addr := flags.String("addr", "", "address to listen on")
	databaseURL := flags.String("database", "", "PostgreSQL")
	redisURL := flags.String("redis", "", "Redis")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx := context.Background()
	opts, err := cache.Options(*redisURL)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(opts)
	database, err := db.Open(ctx, db.Options{URL: *databaseURL, PoolSize: 16})
	if err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/redis/:id", func(c echo.Context) error {
		body, err := rdb.Get(c.Request().Context(), "bench:"+c.Param("id")).Bytes()
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/json", body)
	})
	e.GET("/ent/:id", func(c echo.Context) error {
		id, err := uuid.Parse(c.Param("id"))
		if err != nil {
			return err
		}
		row, err := database.CRM.Customer.Get(auth.System(c.Request().Context(), "bench"), id)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, row)
	})
	place, err := bareOrder(*databaseURL)
	if err != nil {
		return err
	}
	e.POST("/place", place)
	return e.Start(*addr)
}
