package server

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/contract"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/errors.md")

// Clients decide on codes and statuses: a change of either is a change of the
// contract and must be seen in this file.
func TestCodesKeepTheirStatus(t *testing.T) {
	var b strings.Builder
	for _, d := range apperr.Definitions() {
		fmt.Fprintf(&b, "%d %s\n", Status(d.Kind), d.Code)
	}
	path := filepath.Join("testdata", "codes.golden")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "run: go test ./internal/server -run TestCodes -update")
}

func TestErrorDocsAreCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "errors.md")
	if *update {
		require.NoError(t, os.WriteFile(path, ErrorDocs(), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(ErrorDocs()), string(have), "run: go run ./internal/tools/errordocs")
}

func TestEveryKindHasAStatusAndTexts(t *testing.T) {
	seen := map[int]bool{}
	for k := apperr.Internal; k <= apperr.Timeout; k++ {
		c, ok := classes[k]
		require.True(t, ok, "kind %d", k)
		require.False(t, seen[c.status], "status %d is used by two kinds", c.status)
		seen[c.status] = true
		require.NotEmpty(t, c.en)
		require.NotEmpty(t, c.zh)
	}
	for _, d := range apperr.Definitions() {
		require.NotEmpty(t, d.EN, d.Code)
		require.NotEmpty(t, d.ZH, d.Code)
		require.NotEqual(t, d.EN, d.ZH, d.Code)
	}
}

func TestKnown(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"ours, wrapped":      {fmt.Errorf("while doing: %w", apperr.ErrBadCursor.New()), "request.bad_cursor"},
		"no route":           {echo.ErrNotFound, "not_found"},
		"no method":          {echo.ErrMethodNotAllowed, "method_not_allowed"},
		"bind":               {echo.NewHTTPError(400, "Invalid format for parameter id"), "request.malformed"},
		"type while binding": {echo.NewHTTPError(400).SetInternal(&json.UnmarshalTypeError{Value: "number", Field: "a.b", Type: reflect.TypeFor[int]()}), "request.invalid"},
		"deadline":           {fmt.Errorf("query: %w", context.DeadlineExceeded), "timeout"},
		"unique":             {&pq.Error{Code: "23505", Constraint: "x_key"}, "conflict"},
		"deadlock":           {&pq.Error{Code: "40P01"}, "unavailable.busy"},
		"server away":        {&pq.Error{Code: "57P01"}, "unavailable"},
		"anything else":      {errors.New("boom"), "internal"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.code, known(ctx, c.err).Def.Code) })
	}
}

func TestProblemDocument(t *testing.T) {
	e := &edge{log: slog.New(slog.NewTextHandler(io.Discard, nil)), publicURL: "https://crm.example.com"}
	router := echo.New()
	answer := func(err error, acceptLanguage string) (map[string]any, http.Header) {
		req := httptest.NewRequest(http.MethodGet, "/v1/things/1?secret=x", nil)
		req.Header.Set("Accept-Language", acceptLanguage)
		req = req.WithContext(telemetry.WithRequestID(req.Context(), "request-1"))
		rec := httptest.NewRecorder()
		e.answerError(err, router.NewContext(req, rec))
		var doc map[string]any
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &doc))
		require.EqualValues(t, rec.Code, doc["status"])
		require.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
		return doc, rec.Header()
	}

	doc, h := answer(apperr.ErrTooLarge.New().Arg("limit", 10), "de, zh-CN;q=0.8, en;q=0.5")
	require.Equal(t, map[string]any{
		"type": "https://crm.example.com/docs/errors/request.too_large", "title": "请求过大", "status": 413.0,
		"detail": "请求体超过此处允许的 10 字节。", "instance": "/v1/things/1", "code": "request.too_large", "request_id": "request-1",
	}, doc)
	require.Equal(t, "zh-CN", h.Get("Content-Language"))

	doc, _ = answer(apperr.ErrBadCursor.At("?cursor").With("existing_id", "7"), "")
	require.Equal(t, "The request cannot be read", doc["title"])
	require.Equal(t, "7", doc["existing_id"])
	field := doc["errors"].([]any)[0].(map[string]any)
	require.Equal(t, "?cursor", field["pointer"])
	require.Equal(t, "request.bad_cursor", field["code"])
	require.NotEmpty(t, field["detail"])

	// A cause may hold anything, so none of it leaves.
	doc, _ = answer(fmt.Errorf("dial 10.0.0.7: password wrong"), "en")
	require.Equal(t, "internal", doc["code"])
	require.NotContains(t, fmt.Sprint(doc), "password")

	_, h = answer(apperr.ErrRateLimited.New().Arg("retry_after", 2.4), "en")
	require.Equal(t, "3", h.Get("Retry-After"))
	_, h = answer(apperr.ErrUnauthenticated.New(), "en")
	require.Contains(t, h.Get("WWW-Authenticate"), "Bearer")
}

func TestRequiredKey(t *testing.T) {
	e := &edge{}
	router := echo.New()
	ran := false
	next := func(echo.Context) error { ran = true; return nil }
	call := func(idempotency contract.Idempotency, keys ...string) error {
		ran = false
		req := httptest.NewRequest(http.MethodPost, "/v1/points", nil)
		for _, key := range keys {
			req.Header.Add("Idempotency-Key", key)
		}
		return e.idempotent(router.NewContext(req, httptest.NewRecorder()), &contract.Operation{Idempotency: idempotency}, next)
	}
	require.True(t, apperr.ErrIdempotencyNeeded.Is(call(contract.IdempotencyRequired)))
	require.False(t, ran, "the handler ran without the key it needs")
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyRequired, `""`)))
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyOptional, "a b")))
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyOptional, "")), "sent and empty: the caller thinks to be protected")
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyOptional, " ")))
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyRequired, "")))
	require.True(t, apperr.ErrIdempotencyKey.Is(call(contract.IdempotencyOptional, "a", "b")), "which of the two?")
	require.False(t, ran)
	require.NoError(t, call(contract.IdempotencyOptional))
	require.True(t, ran)
	require.NoError(t, call(contract.IdempotencyNone, "ignored where none is kept"))
	require.True(t, ran)
}
