// Command bench measures a service of this checkout on the machine at hand,
// beside committed references in the same run: a bare Echo handler that does
// one Redis GET of the same bytes, and one that does the same ent Get. Absolute
// figures depend on the machine; the ratios are what to compare.
//
//	go run ./cmd/bench                       100,000 customers
//	BENCH_CUSTOMERS=1000000 go run ./cmd/bench
//
// It starts a PostgreSQL, a Redis and a service of its own in a temporary
// folder and removes them when it ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "reference" {
		if err := reference(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "reference:", err)
			os.Exit(1)
		}
		return
	}
	customers := 100_000
	if v := os.Getenv("BENCH_CUSTOMERS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1000 {
			fmt.Fprintln(os.Stderr, "BENCH_CUSTOMERS must be a number of at least 1000")
			os.Exit(2)
		}
		customers = n
	}
	o := options{}
	flag.IntVar(&o.customers, "customers", customers, "customers to load")
	flag.DurationVar(&o.round, "round", 10*time.Second, "length of one measured round")
	flag.IntVar(&o.rounds, "rounds", 5, "interleaved rounds of measure and reference; the median counts")
	flag.IntVar(&o.conns, "connections", 16, "connections of the load generator")
	flag.StringVar(&o.only, "only", "", "measure only this: start, overhead, hot, get, cold, search, list, create, pos, place, points, night (only when named), import, export, orders-import, duplicates")
	flag.IntVar(&o.orders, "orders", 100_000, "orders of the file that orders-import loads")
	flag.IntVar(&o.members, "members", 1_000_000, "members of the night")
	flag.StringVar(&o.dir, "dir", "", "keep servers and data in this folder and use it again (default: a temporary one)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	customers, rounds, conns int
	orders, members          int
	round                    time.Duration
	only, dir                string
}

func (o options) wants(name string) bool { return o.only == "" || o.only == name }

func bench(ctx context.Context, o options) error {
	fmt.Printf("%d cores, %s, %d customers, %d connections, %d rounds of %s\n", runtime.NumCPU(), runtime.Version(), o.customers, o.conns, o.rounds, o.round)
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	if o.wants("start") {
		if err := w.startUp(ctx); err != nil {
			return fmt.Errorf("start-up: %w", err)
		}
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"overhead", w.overhead}, {"pos", w.pos}, {"hot", w.hot}, {"cold", w.cold}, {"get", w.get}, {"search", w.search}, {"list", w.list}, {"create", w.create}, {"place", w.place},
		{"points", w.points}, {"night", w.night},
		{"import", w.importFile}, {"export", w.exportFile}, {"orders-import", w.importOrders}, {"duplicates", w.duplicates},
	} {
		if !o.wants(m.name) || m.name == "night" && o.only == "" { // makes a database of its own size
			continue
		}
		if err := w.settle(ctx); err != nil {
			return err
		}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// heading and row print the report.
func heading(name string) { fmt.Printf("\n%s\n", name) }

func row(label string, r result) {
	fmt.Printf("  %-52s %9.0f/s   p50 %7s  p95 %7s  p99 %7s%s\n", label, r.rate(), ms(r.quantile(.5)), ms(r.quantile(.95)), ms(r.quantile(.99)), failures(r))
}

func failures(r result) string {
	if len(r.failures) == 0 {
		return ""
	}
	return fmt.Sprintf("   FAILED %v", r.failures)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2fms", float64(d.Microseconds())/1000) }

// versus runs a and b in turn and prints the median rates and their ratio.
func (w *world) versus(labelA, labelB string, a, b func() (result, error)) error {
	var as, bs []result
	var ratios []float64
	for range w.o.rounds {
		ra, err := a()
		if err != nil {
			return err
		}
		rb, err := b()
		if err != nil {
			return err
		}
		as, bs = append(as, ra), append(bs, rb)
		ratios = append(ratios, ra.rate()/rb.rate())
	}
	row(labelA, median(as))
	row(labelB, median(bs))
	slices.Sort(ratios)
	fmt.Printf("  ratio, median of %d interleaved rounds: %.0f %% (%.0f to %.0f)\n", len(ratios), 100*ratios[len(ratios)/2], 100*ratios[0], 100*ratios[len(ratios)-1])
	return nil
}

func median(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.rate() - b.rate()) })
	return rs[len(rs)/2]
}
