package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
)

//go:embed night.sql
var nightSQL string

// night: the lots of all members of which one expires, and the tiers of a tenth of
// them, half of whom lose theirs, settled by one worker while balances are read.
func (w *world) night(ctx context.Context) error {
	heading(fmt.Sprintf("A night of %d members with ten lots each: one lot expires, a tenth is reviewed, half of those lose their tier", w.o.members))
	type m = map[string]any
	if status, err := w.call(ctx, "POST", "/v1/tiers", w.admin, m{"code": "night_gold", "name": "金卡", "rank": 9, "match": "any", "conditions": []m{{"kind": "spend", "threshold": 500000}},
		"benefits": m{"discount_basis_points": 0, "points_multiplier_percent": 100, "free_return_postage": false}}, nil); err != nil || status != http.StatusCreated && status != http.StatusConflict {
		return fmt.Errorf("make tier: status %d, %w", status, err)
	}
	if err := w.putScheme(ctx); err != nil {
		return err
	}
	// Without a worker in the service, so that the night is this one's.
	if err := stop(w.service); err != nil {
		return err
	}
	began := time.Now()
	if err := w.super(ctx, nightSQL, "-v", "members="+strconv.Itoa(w.o.members)); err != nil {
		return err
	}
	if err := w.super(ctx, "VACUUM ANALYZE customers, points_accounts, points_lots, memberships, orders"); err != nil {
		return err
	}
	fmt.Printf("  made in %s\n", time.Since(began).Round(time.Second))
	w.service = w.command(w.addr, append(w.serverEnv(), "SHUKE_ROLES=serve")...)
	if err := w.service.Start(); err != nil {
		return err
	}
	if err := ready(ctx, "http://"+w.addr+"/readyz"); err != nil {
		return err
	}
	ps, ms1, closeAll, err := w.loyalty(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	some, err := w.many(ctx, "SELECT customer_id FROM points_accounts LIMIT 20000")
	if err != nil {
		return err
	}
	reqs := make([][]byte, len(some))
	for i, id := range some {
		reqs[i] = request("GET", "/v1/customers/"+id+"/points", w.admin, nil)
	}
	over := make(chan struct{})
	var reads result
	var group errgroup.Group
	next := cycle(reqs)
	group.Go(func() (err error) {
		// As many as a busy evening has: 100 a second on two connections.
		reads, err = run(w.addr, 2, 20*time.Minute, func(c, i int) []byte {
			select {
			case <-over:
				return nil
			case <-time.After(20 * time.Millisecond):
				return next(c, i)
			}
		})
		return err
	})
	began = time.Now()
	accounts, err := ps.SettleDue(ctx)
	settled := time.Since(began)
	if err == nil {
		var reviewed int
		if reviewed, err = ms1.ReviewDue(ctx); err == nil {
			fmt.Printf("  %d accounts settled in %s, %d memberships reviewed in %s: %s together\n", accounts, settled.Round(time.Second), reviewed, (time.Since(began) - settled).Round(time.Second), time.Since(began).Round(time.Second))
		}
	}
	close(over)
	if e := group.Wait(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	row("balances read meanwhile, as administrator", reads)
	lost, err := w.many(ctx, "SELECT count(*) FROM customers WHERE tier_code IS NULL AND id IN (SELECT customer_id FROM memberships) UNION ALL SELECT count(*) FROM points_lots WHERE active = 0 AND expires_at < now()")
	if err == nil {
		fmt.Printf("  %s members lost their tier, %s lots are gone\n", lost[0], lost[len(lost)-1])
	}
	return err
}

// putScheme has tiers last a year by what was spent in the last 300 days, as if that
// had always been so.
func (w *world) putScheme(ctx context.Context) error {
	read, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/v1/tier-scheme", nil)
	if err != nil {
		return err
	}
	read.Header.Set("Authorization", "Bearer "+w.admin)
	res, err := http.DefaultClient.Do(read)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+w.addr+"/v1/tier-scheme",
		strings.NewReader(`{"window":"rolling_days","window_days":300,"validity":"days","validity_count":365,"downgrade":"to_base","grace_days":0,"retroactive":true}`))
	if err != nil {
		return err
	}
	put.Header = http.Header{"Authorization": {"Bearer " + w.admin}, "Content-Type": {"application/json"}, "If-Match": {res.Header.Get("ETag")}}
	if res, err = http.DefaultClient.Do(put); err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode >= 300 {
		return fmt.Errorf("set the rules of tiers: %s", res.Status)
	}
	return nil
}

// loyalty is the services of points and tiers, on the bench's database.
func (w *world) loyalty(ctx context.Context) (*points.Service, *membership.Service, func(), error) {
	d, err := db.Open(ctx, db.Options{URL: w.servers.AppURL, PoolSize: 4})
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := cache.New(ctx, w.servers.RedisURL)
	if err != nil {
		return nil, nil, nil, err
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		return nil, nil, nil, err
	}
	now, keys := clock.New(zone), crypto.Generate()
	pages := page.NewCodec(keys.Derive("bench"))
	people := customers.New(customers.Deps{DB: d, Clock: now, Keys: keys, Cache: c, Pages: pages})
	ps := points.New(points.Deps{DB: d, Clock: now, Pages: pages, Customers: people})
	return ps, membership.New(membership.Deps{DB: d, Clock: now, Pages: pages, Customers: people, Points: ps}), func() { _, _ = d.Close(), c.Close() }, nil
}

// super runs statements as the owner of the cluster.
func (w *world) super(ctx context.Context, statements string, variables ...string) error {
	args := append([]string{"-qX", "-v", "ON_ERROR_STOP=1", "-h", filepath.Join(w.dir, "servers", "run"), "-U", "shuke_super"}, append(variables, "shuke")...)
	cmd := exec.CommandContext(ctx, "psql", args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(statements), os.Stderr
	return cmd.Run()
}

// many reads a column.
func (w *world) many(ctx context.Context, query string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "psql", "-qXAt", w.servers.OwnerURL, "-c", query).Output()
	return strings.Fields(string(out)), err
}
