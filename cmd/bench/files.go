package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fileRows is how many rows the measured files have.
const fileRows = 100_000

// importFile: customers nobody knows, through an upload and its job.
func (w *world) importFile(ctx context.Context) error {
	heading("Import: a CSV of 100,000 customers through POST /v1/imports and its job")
	base := 10_000_000 + int(time.Now().Unix()/15%100_000)*fileRows // people no recent run has made
	var file bytes.Buffer
	rows := csv.NewWriter(&file)
	if err := rows.Write([]string{"外部编号", "姓名", "性别", "生日", "手机", "邮箱", "门店", "省份", "城市", "区县", "详细地址"}); err != nil {
		return err
	}
	for i := range fileRows {
		p := w.people.At(base + i)
		if err := rows.Write([]string{"B-" + strconv.Itoa(p.Index), p.Name, string(p.Gender), p.BirthDate.Format(time.DateOnly), p.Phone, p.Email,
			fmt.Sprintf("BENCH-%02d", i%storeCount), p.Address.Region, p.Address.City, p.Address.District, p.Address.Line1}); err != nil {
			return err
		}
	}
	rows.Flush()
	content := file.Bytes()
	for _, m := range []struct{ name, dryRun, duplicates string }{
		{"dry run", "true", "skip"}, {"import, all new, duplicates skipped", "false", "skip"}, {"the same again, duplicates updated", "false", "update"},
	} {
		if err := w.settle(ctx); err != nil {
			return err
		}
		id, uploaded, err := w.upload(ctx, map[string]string{"kind": "customers", "dry_run": m.dryRun, "duplicates": m.duplicates, "repeat": "true"}, content)
		if err != nil {
			return err
		}
		var view struct {
			Status string
			Counts struct{ Created, Updated, Skipped, Failed int }
			JobID  string `json:"job_id"`
		}
		took, used, err := w.await(ctx, "/v1/imports/"+id, &view.Status, &view, &view.JobID)
		if err != nil {
			return err
		}
		c := view.Counts
		done := c.Created + c.Updated + c.Skipped
		if done != fileRows {
			return fmt.Errorf("import %s: %+v", view.Status, c)
		}
		fmt.Printf("  %-52s %9.0f/s   %.1f s, upload %.2f s, heap ≤ %.0f MB, resident ≤ %.0f MB\n", m.name, float64(done)/took.Seconds(), took.Seconds(), uploaded.Seconds(), used.heap, used.resident)
	}
	return nil
}

// upload sends a file to be imported and tells how long that took.
func (w *world) upload(ctx context.Context, fields map[string]string, content []byte) (id string, took time.Duration, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			return "", 0, err
		}
	}
	part, err := form.CreateFormFile("file", "bench.csv")
	if err != nil {
		return "", 0, err
	}
	if _, err := part.Write(content); err != nil {
		return "", 0, err
	}
	if err := form.Close(); err != nil {
		return "", 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.addr+"/v1/imports", &body)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Authorization", "Bearer "+w.key)
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", 0, err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusAccepted {
		return "", 0, errors.Join(err, fmt.Errorf("import: %s: %s", res.Status, answer))
	}
	var started struct{ Import struct{ ID string } }
	err = json.Unmarshal(answer, &started)
	return started.Import.ID, time.Since(began), err
}

// exportFile: all customers as a file of each kind, masked.
func (w *world) exportFile(ctx context.Context) error {
	heading("Export: all customers through POST /v1/exports and its job, masked, sealed at rest")
	for _, format := range []string{"csv", "xlsx", "jsonl"} {
		var started struct{ Export struct{ ID string } }
		if status, err := w.call(ctx, "POST", "/v1/exports", w.key, map[string]any{"kind": "customers", "format": format}, &started); err != nil || status != http.StatusAccepted {
			return errors.Join(err, fmt.Errorf("export: status %d", status))
		}
		var view struct {
			Status    string
			RowCount  int64  `json:"row_count"`
			SizeBytes int64  `json:"size_bytes"`
			JobID     string `json:"job_id"`
		}
		took, used, err := w.await(ctx, "/v1/exports/"+started.Export.ID, &view.Status, &view, &view.JobID)
		if err != nil {
			return err
		}
		if view.Status != "succeeded" {
			return fmt.Errorf("export of %s %s", format, view.Status)
		}
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/v1/exports/"+started.Export.ID+"/file", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+w.key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err != nil || n != view.SizeBytes {
			return errors.Join(err, fmt.Errorf("%d of %d bytes came", n, view.SizeBytes))
		}
		fmt.Printf("  %-52s %9.0f/s   %d rows in %.1f s, %.1f MB fetched in %.2f s, heap ≤ %.0f MB, resident ≤ %.0f MB\n", format, float64(view.RowCount)/took.Seconds(),
			view.RowCount, took.Seconds(), float64(n)/1e6, time.Since(began).Seconds(), used.heap, used.resident)
	}
	return nil
}

// memory of the service, in MB.
type memory struct{ heap, resident float64 }

// await asks for a resource until its job is over and tells how long that took,
// by the job's own times, and how much memory the service used at most.
func (w *world) await(ctx context.Context, path string, status *string, view any, job *string) (took time.Duration, used memory, err error) {
	for {
		if _, err := w.call(ctx, "GET", path, w.key, nil, view); err != nil {
			return 0, used, err
		}
		now, err := w.memory(ctx)
		if err != nil {
			return 0, used, err
		}
		used = memory{math.Max(used.heap, now.heap), math.Max(used.resident, now.resident)}
		if *status != "running" && *status != "checking" {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	var done struct {
		StartedAt  time.Time `json:"started_at"`
		FinishedAt time.Time `json:"finished_at"`
	}
	_, err = w.call(ctx, "GET", "/v1/jobs/"+*job, w.key, nil, &done)
	return done.FinishedAt.Sub(done.StartedAt), used, err
}

// memory asks the service for its heap and the kernel for the rest.
func (w *world) memory(ctx context.Context) (m memory, err error) {
	if m.resident, err = resident(w.service.Process.Pid); err != nil {
		return m, err
	}
	body, err := w.body(ctx, "/metrics", w.key)
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, "go_memstats_heap_inuse_bytes "); ok {
			bytes, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			m.heap = bytes / 1e6
			return m, err
		}
	}
	return m, errors.New("the service's metrics do not tell its heap")
}
