package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// duplicates: the full search, and how long after its creation a customer's
// likely duplicate stands in the queue.
func (w *world) duplicates(ctx context.Context) error {
	heading("Duplicates: POST /v1/customer-duplicates/scan and its job; then new customers, one after another, who resemble one there is")
	var started struct{ Job struct{ ID string } }
	var job struct {
		Status string
		Result struct {
			Customers int64
			Compared  int64 `json:"compared_pairs"`
			Pairs     int64
		}
	}
	if status, err := w.call(ctx, "POST", "/v1/customer-duplicates/scan", w.key, map[string]any{}, &started); err != nil || status != http.StatusAccepted {
		return errors.Join(err, fmt.Errorf("search for duplicates: status %d", status))
	}
	for job.Status == "" || job.Status == "queued" {
		time.Sleep(50 * time.Millisecond)
		if _, err := w.call(ctx, "GET", "/v1/jobs/"+started.Job.ID, w.key, nil, &job); err != nil {
			return err
		}
	}
	took, used, err := w.await(ctx, "/v1/jobs/"+started.Job.ID, &job.Status, &job, &started.Job.ID)
	if err != nil {
		return err
	}
	if job.Status != "succeeded" {
		return fmt.Errorf("search for duplicates %s", job.Status)
	}
	fmt.Printf("  %-52s %9.0f/s   %d customers in %.1f s, %d pairs compared, %d likely, heap ≤ %.0f MB, resident ≤ %.0f MB\n", "full search",
		float64(job.Result.Customers)/took.Seconds(), job.Result.Customers, took.Seconds(), job.Result.Compared, job.Result.Pairs, used.heap, used.resident)

	const planted = 200
	base := 5_000_000 + int(time.Now().Unix()/15%100_000)*planted
	var waited []time.Duration
	for i := range planted {
		item := w.person(w.people.At((base + i) % w.o.customers))
		item["external_id"] = "D-" + strconv.Itoa(base+i)
		item["phone"] = w.people.At(100_000_000 + base + i).Phone
		delete(item, "email")
		var made struct{ ID string }
		if status, err := w.call(ctx, "POST", "/v1/customers", w.key, item, &made); err != nil || status != http.StatusCreated {
			return errors.Join(err, fmt.Errorf("create a customer twice: status %d", status))
		}
		began := time.Now()
		for {
			var page struct{ Items []any }
			if _, err := w.call(ctx, "GET", "/v1/customers/"+made.ID+"/duplicates", w.key, nil, &page); err != nil {
				return err
			}
			if len(page.Items) > 0 {
				break
			}
			if time.Since(began) > time.Minute {
				return fmt.Errorf("customer %s resembles another and is not in the queue after a minute", made.ID)
			}
			time.Sleep(time.Millisecond)
		}
		waited = append(waited, time.Since(began))
		time.Sleep(120 * time.Millisecond) // a till, not a flood; notifications of one process are 100 ms apart
	}
	slices.Sort(waited)
	r := result{latency: waited}
	fmt.Printf("  %-52s             p50 %7s  p95 %7s  p99 %7s\n", "in the queue after the answer to the creation", ms(r.quantile(.5)), ms(r.quantile(.95)), ms(r.quantile(.99)))
	return nil
}
