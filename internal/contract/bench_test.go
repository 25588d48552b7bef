package contract

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// BenchmarkValidate measures what validation adds to a request; "none" is the
// same loop without the middleware.
func BenchmarkValidate(b *testing.B) {
	c, err := parse([]byte(shop))
	require.NoError(b, err)
	e := echo.New()
	next := func(echo.Context) error { return nil }
	batch := `{"name":"a","extra":{"rows":[` + strings.TrimSuffix(strings.Repeat(`{"sku":"A-1","quantity":2,"unit_price_amount":1999},`, 3000), ",") + `]}}`
	for _, bc := range []struct{ name, method, route, path, body string }{
		{"none", "GET", "/outside", "/outside", ""},
		{"get", "GET", "/v1/things/:id", "/v1/things/" + anID, ""},
		{"list", "GET", "/v1/things", "/v1/things", ""},
		{"list with query", "GET", "/v1/things", "/v1/things?limit=50&created_after=2026-07-01T00:00:00Z", ""},
		{"post", "POST", "/v1/things", "/v1/things", `{"name":"a","code":"ABC","born_on":"2026-07-01","colour":"red","size":{"width":3},"sizes":[{"width":1}]}`},
		{"post 150 kB", "POST", "/v1/things", "/v1/things", batch},
	} {
		b.Run(bc.name, func(b *testing.B) {
			req := httptest.NewRequest(bc.method, bc.path, nil)
			req.Header.Set("Content-Type", "application/json")
			ctx := e.NewContext(req, httptest.NewRecorder())
			ctx.SetPath(bc.route)
			ctx.SetParamNames("id")
			ctx.SetParamValues(anID)
			handler := c.Validate()(next)
			b.ReportAllocs()
			for b.Loop() {
				if bc.body != "" {
					req.Body = io.NopCloser(strings.NewReader(bc.body))
					req.ContentLength = int64(len(bc.body))
				}
				if err := handler(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse is the contract's share of the start-up time.
func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		c, err := parse(document)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(document)))
		b.ReportMetric(float64(len(c.operations)), "operations")
	}
}

// BenchmarkValidateTickets is the largest batch a till sends: 1,000 tickets of
// three lines.
func BenchmarkValidateTickets(b *testing.B) {
	c, err := Load()
	require.NoError(b, err)
	line := `{"sku":"85123A","title":"白色心形吊灯","category":"lamps","quantity":6,"unit_price_amount":255}`
	ticket := `{"store_id":"` + anID + `","external_number":"536365","placed_at":"2026-07-01T02:00:00Z","customer":{"external_id":"17850"},"lines":[` + line + "," + line + "," + line + `]}`
	body := `{"create_missing_variants":true,"orders":[` + strings.TrimSuffix(strings.Repeat(ticket+",", 1000), ",") + `]}`
	handler := c.Validate()(func(echo.Context) error { return nil })
	req := httptest.NewRequest("POST", "/v1/pos/orders", nil)
	req.Header.Set("Content-Type", "application/json")
	ctx := echo.New().NewContext(req, httptest.NewRecorder())
	ctx.SetPath("/v1/pos/orders")
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.ContentLength = int64(len(body))
		if err := handler(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
