package orders_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// BenchmarkIngestOverHTTP sends batches of 1,000 tickets of three lines to the
// running application, answers checked against the contract.
func BenchmarkIngestOverHTTP(b *testing.B) {
	app := testkit.New(b)
	admin := app.Admin()
	store := app.Store()
	var people []uuid.UUID
	for range 200 {
		people = append(people, app.Customer().Id)
	}
	const size = 1000
	n := 0
	for b.Loop() {
		orders := make([]any, size)
		for i := range orders {
			n++
			orders[i] = ticket(store.Id, fmt.Sprintf("N%d", n), map[string]any{
				"customer":  map[string]any{"id": people[n%len(people)]},
				"placed_at": time.Now().UTC().Add(-time.Duration(n%10000) * time.Hour),
			}, line(fmt.Sprintf("S%d", n*31%2000), 1, 995), line(fmt.Sprintf("S%d", n*17%2000), 2, 1995), line(fmt.Sprintf("S%d", n*7%2000), 1, 500))
		}
		res := post(admin, orders...)
		require.Equal(b, http.StatusOK, res.Status)
		require.NotContains(b, string(res.Body), `"error"`)
	}
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "tickets/s")
}
