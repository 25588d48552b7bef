package orders

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// truth is what a customer's metrics must be, from the plain list of tickets.
type truth struct {
	orders, days, units, spent, returns, returned, f, m int64
	first, last                                         *clock.Day
	band                                                string
}

func (s *shop) truthOf(tickets map[key]Ticket, customer uuid.UUID) truth {
	var out truth
	today := s.clock.Today()
	settings := rfm.Default()
	bought := map[clock.Day]bool{}
	for _, t := range tickets {
		if t.Customer == nil || t.Customer.ID != customer {
			continue
		}
		day := s.clock.DayOf(t.PlacedAt)
		var sold, back, units int64
		isSale, isReturn := false, false
		for _, l := range t.Lines {
			if t.Return || l.Quantity < 0 {
				isReturn = true
				back += max(l.Quantity, -l.Quantity) * l.UnitPrice
			} else {
				isSale = true
				units += l.Quantity
				sold += l.Quantity * l.UnitPrice
			}
		}
		if isSale {
			out.orders++
			bought[day] = true
		}
		if isReturn {
			out.returns++
		}
		out.units += units
		out.spent += sold
		out.returned += back
		if day <= today && day >= settings.WindowStart(today) {
			out.m += sold - back
		}
	}
	for day := range bought {
		out.days++
		if day <= today && day >= settings.WindowStart(today) {
			out.f++
		}
		if out.first == nil || day < *out.first {
			out.first = &day
		}
		if out.last == nil || day > *out.last {
			out.last = &day
		}
	}
	out.band = settings.Band(rfm.Recency(out.last, today), out.f, out.m)
	return out
}

func (s *shop) seen(customer uuid.UUID) truth {
	m := s.metrics(customer)
	return truth{m.Orders, m.PurchaseDays, m.Units, m.Spent, m.Returns, m.Returned, m.Frequency, m.Monetary, m.FirstOrder, m.LastOrder, m.Band}
}

// Whatever the order of arrival, however the tickets are split into batches,
// repeated and sent at the same time: the metrics are those of the plain list,
// and every return whose sale exists is linked to it.
func TestMetricsEqualTheModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		require.NoError(t, flag.Set("rapid.checks", "25")) // each one is hundreds of transactions
	}
	s := open(t, noon)
	rapid.Check(t, func(t *rapid.T) {
		stores := []uuid.UUID{s.store(), s.store()}
		people := []uuid.UUID{uuid.Nil}
		for range rapid.IntRange(1, 4).Draw(t, "customers") {
			people = append(people, s.customer(newID(s.t).String(), uuid.Nil))
		}
		tickets := map[key]Ticket{}
		var list []Ticket
		for i := range rapid.IntRange(1, 60).Draw(t, "tickets") {
			ticket := draw(t, i, stores, people, list)
			tickets[ticket.key()] = ticket
			list = append(list, ticket)
		}
		// Overlapping batches in random order: every ticket at least once.
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 1))
		sent := append(clone(list), clone(list[:rapid.IntRange(0, len(list)).Draw(t, "repeated")])...)
		random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		size := rapid.IntRange(1, 20).Draw(t, "batch")
		senders := rapid.IntRange(1, 4).Draw(t, "senders")
		batches := make(chan []Ticket, len(sent))
		for len(sent) > 0 {
			n := min(size, len(sent))
			batches <- sent[:n]
			sent = sent[n:]
		}
		close(batches)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for batch := range batches {
					results, err := s.Ingest(s.ctx, batch, true)
					if err != nil {
						t.Errorf("ingest: %v", err)
						return
					}
					for i, r := range results {
						if r.Err != nil {
							t.Errorf("ticket %s: %v", batch[i].Number, r.Err)
						}
					}
				}
			})
		}
		wg.Wait()
		for _, c := range people[1:] {
			require.Equal(t, s.truthOf(tickets, c), s.seen(c))
		}
		s.checkLinks(t, tickets, stores)
	})
}

func draw(t *rapid.T, i int, stores, people []uuid.UUID, before []Ticket) Ticket {
	day := rapid.SampledFrom([]int{-1, 0, 1, 13, 14, 15, 89, 90, 91, 363, 364, 365, 366, 700}).Draw(t, "days ago")
	at := noon.AddDate(0, 0, -day).Add(time.Duration(rapid.IntRange(-11, 11).Draw(t, "hours")) * time.Hour)
	if at.After(noon.Add(ahead)) {
		at = noon.Add(ahead)
	}
	ticket := sale(rapid.SampledFrom(stores).Draw(t, "store"), numbered("T", i), at, rapid.SampledFrom(people).Draw(t, "customer"), "", 0, 0)
	ticket.Lines = nil
	ticket.Return = rapid.IntRange(0, 3).Draw(t, "kind") == 0
	for range rapid.IntRange(1, 3).Draw(t, "lines") {
		q := rapid.Int64Range(1, 5).Draw(t, "quantity")
		if rapid.IntRange(0, 5).Draw(t, "sign") == 0 {
			q = -q
		}
		ticket.Lines = append(ticket.Lines, TicketLine{SKU: numbered("S", rapid.IntRange(0, 5).Draw(t, "sku")), Quantity: q, UnitPrice: rapid.Int64Range(0, 30000).Draw(t, "price")})
	}
	if ticket.takesBack() && len(before) > 0 && rapid.Bool().Draw(t, "names its sale") {
		original := rapid.SampledFrom(before).Draw(t, "original")
		ticket.StoreID, ticket.Original = original.StoreID, original.Number
	}
	return ticket
}

func clone(list []Ticket) []Ticket {
	out := make([]Ticket, len(list))
	for i, t := range list {
		t.Lines = append([]TicketLine(nil), t.Lines...) // Ingest tidies in place
		out[i] = t
	}
	return out
}

func (s *shop) checkLinks(t *rapid.T, tickets map[key]Ticket, stores []uuid.UUID) {
	var want int64
	for _, ticket := range tickets {
		original, ok := tickets[key{ticket.StoreID, ticket.Original}]
		if ticket.Original == "" || !ok || !sells(original) {
			continue
		}
		for _, l := range ticket.Lines {
			if ticket.Return || l.Quantity < 0 {
				want += max(l.Quantity, -l.Quantity) * l.UnitPrice
			}
		}
	}
	var linked, noted int64
	for _, store := range stores {
		linked += s.count("SELECT coalesce(sum(total_amount), 0)::bigint FROM order_returns WHERE store_id = $1 AND order_id IS NOT NULL", store)
		noted += s.count("SELECT coalesce(sum(returned_amount), 0)::bigint FROM orders WHERE store_id = $1", store)
	}
	require.Equal(t, want, linked, "linked returns")
	require.Equal(t, want, noted, "returned amounts of orders")
}

func sells(t Ticket) bool {
	for _, l := range t.Lines {
		if !t.Return && l.Quantity > 0 {
			return true
		}
	}
	return false
}
