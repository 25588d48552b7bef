package orders

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/customers"
)

// BenchmarkIngest measures the service method with batches of 1,000 tickets of
// three lines, 90 % with a customer, by two senders.
func BenchmarkIngest(b *testing.B) {
	s := open(b, noon)
	store := s.store()
	var people []uuid.UUID
	for i := range 5000 {
		people = append(people, s.customer("B"+strconv.Itoa(i), uuid.Nil))
	}
	const size = 1000
	var number atomic.Int64
	batch := func() []Ticket {
		first := int(number.Add(size))
		out := make([]Ticket, size)
		for i := range out {
			n := first + i
			t := Ticket{StoreID: store, Number: "N" + strconv.Itoa(n), PlacedAt: noon.Add(-time.Duration(n%10000) * time.Hour)}
			if n%10 > 0 {
				t.Customer = &customers.Ref{ID: people[n*7919%len(people)]}
			}
			for l := range 3 {
				t.Lines = append(t.Lines, TicketLine{SKU: "S" + strconv.Itoa((n*31+l*17)%2000), Title: "商品", Quantity: int64(1 + l), UnitPrice: 995})
			}
			out[i] = t
		}
		return out
	}
	s.ingest(batch()...)
	b.ResetTimer()
	b.SetParallelism(1)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Ingest(s.ctx, batch(), true); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)*size/b.Elapsed().Seconds(), "tickets/s")
}
