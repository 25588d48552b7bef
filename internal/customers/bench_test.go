package customers

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

// BenchmarkListPage is a page of 50 from PostgreSQL to JSON.
func BenchmarkListPage(b *testing.B) {
	w := newWorld(b)
	w.small(300)
	ctx := w.admin()
	b.ReportAllocs()
	for b.Loop() {
		p, err := w.List(ctx, Filter{}, Paging{Limit: 50})
		require.NoError(b, err)
		require.NotEmpty(b, newListAnswer(p, "").body)
	}
}

// BenchmarkCreate is one customer, audited and announced, without HTTP.
func BenchmarkCreate(b *testing.B) {
	w := newWorld(b)
	ctx := w.admin()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		_, err := w.Create(ctx, Input{Name: some("王小明"), Phone: some(phoneOf(n)), HomeStoreID: some(w.storeA)})
		require.NoError(b, err)
	}
}

// BenchmarkHotProfile is a profile from Redis.
func BenchmarkHotProfile(b *testing.B) {
	w := newWorld(b)
	ctx := w.admin()
	c := w.add(everything())
	_, _, err := w.profile(ctx, c.ID)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err := w.answerProfile(ctx, c.ID)
		require.NoError(b, err)
	}
}

func phoneOf(n int) string {
	digits := []byte("13900000000")
	for i := len(digits) - 1; n > 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return string(digits)
}

// BenchmarkBulk is one batch of a thousand new customers.
func BenchmarkBulk(b *testing.B) {
	w := newWorld(b)
	ctx := w.admin()
	gen := fakepeople.New(11)
	b.ReportAllocs()
	for b.Loop() {
		items := make([]BulkItem, 1000)
		for i := range items {
			p := gen.Person()
			items[i].Input = Input{Name: some(p.Name), Phone: some(p.Phone), HomeStoreID: some(w.storeA)}
			if p.Email != "" {
				items[i].Input.Email = some(p.Email)
			}
		}
		out, err := w.Bulk(ctx, BulkCreate, items)
		require.NoError(b, err)
		require.NoError(b, out[999].Err)
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "customers/s")
}
