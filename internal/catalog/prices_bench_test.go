package catalog

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// BenchmarkPrices is what an order of three lines pays for its prices, without
// price lists and with fifty in force.
func BenchmarkPrices(b *testing.B) {
	s := &Service{db: pgtest.DB(b), clock: clock.New(time.UTC)}
	ctx := auth.System(context.Background(), "bench")
	run := func(query string, args ...any) {
		_, err := s.db.Exec(ctx, query, args...)
		require.NoError(b, err)
	}
	run(`INSERT INTO products (id, kind, title, status, source, version, created_at, updated_at)
		SELECT md5('p' || i)::uuid, 'general', 'p' || i, 'active', 'staff', 1, now(), now() FROM generate_series(1, 20000) i`)
	run(`INSERT INTO variants (id, product_id, sku, price_amount, status, version, created_at, updated_at)
		SELECT md5('v' || i)::uuid, md5('p' || i)::uuid, 'S' || i, i, 'active', 1, now(), now() FROM generate_series(1, 20000) i`)
	run("ANALYZE")
	var wants []PriceWant
	for _, name := range []string{"v17", "v1700", "v19000"} {
		var id uuid.UUID
		require.NoError(b, s.db.QueryRow(ctx, "SELECT md5($1)::uuid", name).Scan(&id))
		wants = append(wants, PriceWant{VariantID: id, Quantity: 2})
	}
	at := PriceContext{Channel: "web", At: time.Now()}
	measure := func(b *testing.B) {
		for b.Loop() { // on the pool, where the statement is prepared as it is in later transactions
			if _, err := prices(ctx, s.db.Clients, at, wants); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("none", measure)
	run(`INSERT INTO price_lists (id, code, name, currency, channel, status, created_at, updated_at)
		SELECT md5('l' || i)::uuid, 'l' || i, 'l', 'CNY', 'web', 'active', now(), now() FROM generate_series(1, 50) i`)
	run(`INSERT INTO price_list_entries (id, price_list_id, variant_id, price_amount, created_at, updated_at)
		SELECT md5(l || '-' || v)::uuid, md5('l' || l)::uuid, md5('v' || v)::uuid, v, now(), now() FROM generate_series(1, 50) l, generate_series(1, 2000) v`)
	run("ANALYZE")
	b.Run("fifty", measure)
}
