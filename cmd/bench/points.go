package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	//go:embed points_spend.sql
	spendScript string
	//go:embed points_earn.sql
	earnScript string
)

// points: one purse that everybody spends from, earning one by one and in batches,
// each beside the bare statements run by pgbench, and tickets that earn.
func (w *world) points(ctx context.Context) error {
	type m = map[string]any
	people := min(10_000, len(w.customers))
	if err := w.ensureRules(ctx); err != nil {
		return err
	}
	company := w.customers[0]
	for at := 0; at < people; at += 1000 { // opens the accounts
		grants := make([]m, 0, 1000)
		for _, id := range w.customers[at:min(people, at+1000)] {
			grants = append(grants, m{"customer": m{"id": id}, "points": 10, "reason": "期初", "key": "open"})
		}
		if status, err := w.call(ctx, "POST", "/v1/points/grants", w.admin, m{"grants": grants}, nil); err != nil || status != http.StatusOK {
			return fmt.Errorf("open accounts: status %d, %w", status, err)
		}
	}
	lots := make([]m, 50)
	for i := range lots {
		lots[i] = m{"customer": m{"id": company}, "points": 1_000_000, "reason": "企业卡", "key": fmt.Sprintf("lot-%d", i)}
	}
	if status, err := w.call(ctx, "POST", "/v1/points/grants", w.admin, m{"grants": lots}, nil); err != nil || status != http.StatusOK {
		return fmt.Errorf("fill the company's card: status %d, %w", status, err)
	}
	if err := w.psql(ctx, `CREATE TABLE IF NOT EXISTS bench_accounts (n int PRIMARY KEY, account uuid, customer uuid);
TRUNCATE bench_accounts; INSERT INTO bench_accounts SELECT row_number() OVER (ORDER BY a.id), a.id, a.customer_id FROM points_accounts a JOIN points_units u ON u.id = a.unit_id AND u.code = 'points' ORDER BY a.id LIMIT 10000`); err != nil {
		return err
	}
	if err := w.psql(ctx, `VACUUM ANALYZE bench_accounts, points_accounts, points_lots, points_entries, points_postings, points_holds, points_events`); err != nil {
		return err
	}
	run1 := time.Now().UnixNano()

	heading("Points: 64 clients spend from one account (POST …/points/redeem)")
	body, err := json.Marshal(m{"points": 1})
	if err != nil {
		return err
	}
	var spends, events atomic.Int64
	nextSpend := func(int, int) []byte {
		return request("POST", "/v1/customers/"+company+"/points/redeem", w.admin, body, fmt.Sprintf("Idempotency-Key: spend-%d-%d", run1, spends.Add(1)))
	}
	account, err := w.one(ctx, "SELECT id FROM points_accounts WHERE customer_id = '"+company+"' LIMIT 1")
	if err != nil {
		return err
	}
	if err := w.versus("points spent", "the bare statements, pgbench, 64 clients",
		func() (result, error) { return run(w.addr, 64, w.o.round, nextSpend) },
		func() (result, error) {
			return w.pgbench(ctx, spendScript, 64, "account="+account, "customer="+company)
		}); err != nil {
		return err
	}

	counted, err := w.one(ctx, "SELECT count(*) FROM bench_accounts")
	if err != nil {
		return err
	}
	heading(fmt.Sprintf("Points: earned one by one on %d accounts (POST …/points/events)", people))
	nextEvent := func(int, int) []byte {
		n := events.Add(1)
		b := fmt.Sprintf(`{"type":"bench","key":"%d-%d"}`, run1, n)
		return request("POST", "/v1/customers/"+w.customers[int(uint64(n)*2654435761%uint64(people))]+"/points/events", w.admin, []byte(b))
	}
	if err := w.versus("points earned", "the bare statements, pgbench",
		func() (result, error) { return run(w.addr, w.o.conns, w.o.round, nextEvent) },
		func() (result, error) { return w.pgbench(ctx, earnScript, w.o.conns, "people="+counted) }); err != nil {
		return err
	}

	heading("Points: given to many (POST /v1/points/grants, 1,000 a request, 4 connections)")
	r := rand.New(rand.NewPCG(7, 8))
	var reqs [][]byte
	for b := range 200 {
		grants := make([]m, 1000)
		for i := range grants {
			grants[i] = m{"customer": m{"id": w.customers[r.IntN(people)]}, "points": 5, "reason": "活动赠送", "key": fmt.Sprintf("%d-%d-%d", run1, b, i)}
		}
		raw, err := json.Marshal(m{"grants": grants})
		if err != nil {
			return err
		}
		reqs = append(reqs, request("POST", "/v1/points/grants", w.admin, raw))
	}
	res, err := run(w.addr, 4, w.o.round, once(reqs))
	if err != nil {
		return err
	}
	fmt.Printf("  %-52s %9.0f grants/s, batch p50 %s%s\n", "points given in batches", res.rate()*1000, ms(res.quantile(.5)), failures(res))

	heading("Points: reading a balance")
	balances := make([][]byte, 2000)
	for i := range balances {
		balances[i] = request("GET", "/v1/customers/"+w.customers[r.IntN(people)]+"/points", w.admin, nil)
	}
	if res, err = run(w.addr, w.o.conns, w.o.round, cycle(balances)); err != nil {
		return err
	}
	row("balance with what expires", res)
	if err := w.stockShelves(ctx); err != nil {
		return err
	}
	return w.tickets(ctx, "Tickets that move stock and earn points", "SHELF", shelfSize)
}

// ensureRules makes the rules of the measures, once in the life of the database.
func (w *world) ensureRules(ctx context.Context) error {
	type m = map[string]any
	for _, rule := range []m{
		{"code": "bench-event", "name": "测试", "kind": "event", "event": m{"type": "bench", "points": 5}},
		{"code": "bench-spend", "name": "消费积分", "kind": "spend", "spend": m{"points": 1, "per_amount": 100}},
		{"code": "bench-weekend", "name": "周末双倍", "kind": "multiplier", "multiplier": m{"percent": 200}, "conditions": m{"weekdays": []int{6, 7}}},
	} {
		if status, err := w.call(ctx, "POST", "/v1/points/rules", w.admin, rule, nil); err != nil || status != http.StatusCreated && status != http.StatusConflict {
			return fmt.Errorf("make rule: status %d, %w", status, err)
		}
	}
	return nil
}

// one reads a single value.
func (w *world) one(ctx context.Context, query string) (string, error) {
	out, err := exec.CommandContext(ctx, "psql", "-qXAt", w.servers.OwnerURL, "-c", query).Output()
	return strings.TrimSpace(string(out)), err
}

// pgbenchProgram is the one in the path, or of the newest installed PostgreSQL.
func pgbenchProgram() string {
	if p, err := exec.LookPath("pgbench"); err == nil {
		return p
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench") // a constant pattern has no errors
	if len(found) == 0 {
		return "pgbench"
	}
	return found[len(found)-1]
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench runs a script for a round.
func (w *world) pgbench(ctx context.Context, script string, clients int, variables ...string) (result, error) {
	file := filepath.Join(w.dir, "bench.sql")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		return result{}, err
	}
	args := []string{"-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "2", "-T", strconv.Itoa(max(1, int(w.o.round.Seconds()))), "-f", file}
	for _, v := range variables {
		args = append(args, "-D", v)
	}
	cmd := exec.CommandContext(ctx, pgbenchProgram(), append(args, w.servers.OwnerURL)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	found := tps.FindSubmatch(out)
	if found == nil {
		return result{}, fmt.Errorf("pgbench said: %s", out)
	}
	rate, err := strconv.ParseFloat(string(found[1]), 64)
	return result{requests: int(rate * 1000), seconds: 1000}, err
}
