package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLogsCarryTheRequestIDAndHidePersons(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "json", slog.LevelInfo)
	require.NoError(t, err)
	ctx := WithRequestID(context.Background(), "req-7")
	require.Equal(t, "req-7", RequestID(ctx))
	log.With("customer_name", "王小明").WithGroup("g").InfoContext(ctx, "hello", "phone", "13800138000", "homePhone", "1", "e-mail", "a@b.cn",
		"Authorization", "Bearer x", "route", "/v1/customers/:id", "status", 200,
		slog.Group("in", "password", "p", "count", 3), "table_name", "customers", "query", "王")
	line := out.String()
	for _, secret := range []string{"王", "13800138000", "a@b.cn", "Bearer", `"p"`} {
		require.NotContains(t, line, secret)
	}
	var got map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, "[hidden]", got["customer_name"])
	g := got["g"].(map[string]any)
	require.Equal(t, "/v1/customers/:id", g["route"])
	require.Equal(t, "customers", g["table_name"])
	require.Equal(t, float64(3), g["in"].(map[string]any)["count"])
	require.Contains(t, line, "req-7")

	out.Reset()
	text, err := NewLogger(&out, "text", slog.LevelWarn)
	require.NoError(t, err)
	text.Info("not shown")
	require.Empty(t, out.String())
	text.Warn("shown", "token", "t0k")
	require.Contains(t, out.String(), "token=[hidden]")
	_, err = NewLogger(io.Discard, "xml", slog.LevelInfo)
	require.Error(t, err)
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, rec.Code)
	return rec.Body.String()
}

func TestMetricsCountByRoute(t *testing.T) {
	m := NewMetrics()
	m.RequestStarted()
	m.RequestStarted()
	m.RequestDone("GET", "/v1/customers/:id", 200, 3*time.Millisecond)
	require.Contains(t, scrape(t, m), "shuke_http_requests_in_flight 1")
	m.RequestDone("BREW", "", 404, time.Millisecond)
	out := scrape(t, m)
	require.Contains(t, out, `shuke_http_requests_total{method="GET",route="/v1/customers/:id",status="200"} 1`)
	require.Contains(t, out, `shuke_http_requests_total{method="other",route="unmatched",status="404"} 1`)
	require.Contains(t, out, `shuke_http_request_duration_seconds_bucket{method="GET",route="/v1/customers/:id",le="0.005"} 1`)
	require.Contains(t, out, "go_goroutines")
}

func TestSamplerAsksSeldomAndLeavesOutWhatFails(t *testing.T) {
	asked, fail := 0, false
	s := NewSampler([]Reading{{Name: "shuke_test", Help: "Test.", Labels: []string{"state"}}}, func(ctx context.Context) ([]Sample, error) {
		asked++
		if fail {
			return nil, errors.New("no database")
		}
		return []Sample{{Labels: []string{"waiting"}, Value: 4}}, nil
	})
	m := NewMetrics()
	m.Register(s)
	for range 3 {
		require.Contains(t, scrape(t, m), `shuke_test{state="waiting"} 4`)
	}
	require.Equal(t, 1, asked)
	fail, s.at = true, time.Time{}
	require.NotContains(t, scrape(t, m), "shuke_test{")
}

func BenchmarkRequestDone(b *testing.B) {
	m := NewMetrics()
	b.ReportAllocs()
	for b.Loop() {
		m.RequestStarted()
		m.RequestDone("GET", "/v1/customers/:id", 200, time.Millisecond)
	}
}
