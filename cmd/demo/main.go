// Command demo loads a real retailer's year and a book catalogue into a
// running service through its public API, checks that the service's sums equal
// the file's to the minor unit, and says what to try.
//
//	SHUKE_API_KEY=$(bin/shuke admin api-key --name demo) go run ./cmd/demo
//
// With -messy DIR it makes files of the same customers as people send them (GBK,
// odd spellings, wrong values), imports the workbook and keeps what was refused.
// Then it looks for people who were entered twice, merges two records, undoes
// that, and shows by a checksum of all tables that nothing is left of it.
//
// With -day it takes a shop through a day: goods come in, are sold at the till and
// in the mini-program, paid by the stand-in of WeChat Pay, sent, brought back,
// exchanged and counted; at the end the service's own check finds no difference.
//
// It may be run again: stores, staff and customers are found by their codes,
// tickets by their numbers, and the same totals come out.
package main

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"
)

func main() {
	url := flag.String("url", env("SHUKE_URL", "http://127.0.0.1:8080"), "address of the service")
	key := flag.String("key", os.Getenv("SHUKE_API_KEY"), "API key of an administrator (default $SHUKE_API_KEY)")
	zone := flag.String("time-zone", env("SHUKE_TIME_ZONE", "Asia/Shanghai"), "time zone of the shops")
	report := flag.String("duplicates", "demo-duplicates.csv", "file that lists the recognised duplicate rows")
	books := flag.Int("books", 0, "load only so many books (0: all)")
	program := flag.String("shuke", "bin/shuke", "the service's program, which sums up the tables")
	messy := flag.String("messy", "", "make messy files of the demo customers in this folder and import one, instead of loading")
	day := flag.Bool("day", false, "take a new shop through a day, instead of loading")
	fakes := flag.String("fakes", env("SHUKE_FAKES", "http://127.0.0.1:8090"), "address of the stand-ins, for -day")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *day {
		if err := aDay(ctx, &api{base: *url, key: *key, http: &http.Client{Timeout: time.Minute}}, *fakes, *program); err != nil {
			fmt.Fprintln(os.Stderr, "\ndemo:", err)
			os.Exit(1)
		}
		return
	}
	if *messy != "" {
		if err := importMessy(ctx, *url, *key, *zone, *messy, *program); err != nil {
			fmt.Fprintln(os.Stderr, "\ndemo:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, *url, *key, *zone, *report, *books); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, key, zone, report string, bookLimit int) error {
	if key == "" {
		return errors.New("set SHUKE_API_KEY, for example to the output of: bin/shuke admin api-key --name demo")
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	history, err := readHistory(time.Now(), loc)
	if err != nil {
		return err
	}
	if err := listDuplicates(report, history); err != nil {
		return err
	}
	d := &demo{api: &api{base: url, key: key, http: &http.Client{Timeout: 2 * time.Minute}}, password: rand.Text()}
	fmt.Printf("Loading into %s\n", url)
	if err := d.shops(ctx); err != nil {
		return fmt.Errorf("stores and staff: %w", err)
	}
	if err := d.books(ctx, bookLimit); err != nil {
		return fmt.Errorf("books: %w", err)
	}
	if err := d.customers(ctx, history); err != nil {
		return fmt.Errorf("customers: %w", err)
	}
	if err := d.tickets(ctx, history); err != nil {
		return fmt.Errorf("tickets: %w", err)
	}
	if err := d.bridge(ctx, history, report); err != nil {
		return err
	}
	return d.tryThis(ctx, history)
}

// listDuplicates writes every row that repeats an earlier one, so that the
// rule can be checked by eye.
func listDuplicates(path string, history []line) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := csv.NewWriter(f)
	if err := w.Write([]string{"row", "invoice_no", "stock_code", "quantity", "unit_price_fen", "customer_id"}); err != nil {
		return err
	}
	for _, l := range history {
		if l.rule != ruleDuplicate {
			continue
		}
		if err := w.Write([]string{fmt.Sprint(l.row), l.invoice, l.sku, fmt.Sprint(l.quantity), fmt.Sprint(l.unitPrice), l.customer}); err != nil {
			return err
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
