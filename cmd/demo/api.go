package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// api speaks the public HTTP API, as any integrator would.
type api struct {
	base, key string
	http      *http.Client
}

// problem is an answer of application/problem+json.
type problem struct {
	Status     int    `json:"status"`
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	ExistingID string `json:"existing_id"`
	RequestID  string `json:"request_id"`
	Errors     []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
}

func (p *problem) Error() string {
	text := fmt.Sprintf("%d %s: %s (request %s)", p.Status, p.Code, p.Detail, p.RequestID)
	for _, e := range p.Errors {
		text += fmt.Sprintf("\n  %s: %s", e.Pointer, e.Detail)
	}
	return text
}

func isProblem(err error, code string) bool {
	var p *problem
	return errors.As(err, &p) && p.Code == code
}

// call sends in as JSON and reads the answer into out (either may be nil). A
// POST carries an idempotency key, so a repeat after a lost answer is safe: it
// is repeated while the service is away or says 429 or 503.
func (a *api) call(ctx context.Context, method, path, idempotencyKey string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	for attempt := 1; ; attempt++ {
		err := a.once(ctx, method, path, idempotencyKey, body, out)
		var p *problem
		retry := err != nil && ctx.Err() == nil &&
			(!errors.As(err, &p) || p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable)
		if !retry || attempt == 5 {
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *api) once(ctx context.Context, method, path, idempotencyKey string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(a.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Accept-Language", "en")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", idempotencyKey)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		p := &problem{Status: res.StatusCode}
		if err := json.Unmarshal(answer, p); err != nil {
			return fmt.Errorf("%s %s: %s", method, path, res.Status)
		}
		return p
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
