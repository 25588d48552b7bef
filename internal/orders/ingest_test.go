package orders

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

var noon = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC) // 12:00 in Shanghai

func TestSaleAndReturnShareATicket(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	c := s.customer("C1", uuid.Nil)
	ticket := sale(store, "T1", noon, c, "A", 3, 1000)
	ticket.Lines = append(ticket.Lines, TicketLine{SKU: "B", Quantity: -1, UnitPrice: 250}, TicketLine{SKU: "C", Quantity: 2, UnitPrice: 0})
	r := s.ingest(ticket)[0]
	require.Nil(t, r.Err)
	assert.Equal(t, Created, r.Status)

	o, err := s.Order(s.ctx, r.OrderID)
	require.NoError(t, err)
	assert.Equal(t, int64(3000), o.TotalAmount)
	assert.Equal(t, int64(5), o.UnitCount)
	assert.Len(t, o.Edges.Lines, 2)
	assert.Regexp(t, `^O\d{10}$`, o.OrderNumber)
	b, err := s.Return(s.ctx, r.ReturnID)
	require.NoError(t, err)
	assert.Equal(t, int64(250), b.TotalAmount)
	assert.Nil(t, b.OrderID, "goods taken in exchange were not bought on this ticket")
	require.Len(t, b.Edges.Lines, 1)
	assert.Equal(t, int64(1), b.Edges.Lines[0].Quantity)

	m := s.metrics(c)
	assert.Equal(t, []int64{1, 1, 5, 3000, 1, 250, 1, 2750}, []int64{m.Orders, m.PurchaseDays, m.Units, m.Spent, m.Returns, m.Returned, m.Frequency, m.Monetary})
	assert.Equal(t, int64(2), s.count("SELECT count(*) FROM audit_logs WHERE action = 'orders.ingest'"))
	assert.Equal(t, int64(2), s.count("SELECT count(*) FROM outbox_events WHERE type LIKE 'order.%'"))
}

func TestFaultsOfOneTicketLeaveTheOthersAlone(t *testing.T) {
	s := open(t, noon)
	store, other := s.store(), newID(t)
	c := s.customer("C1", uuid.Nil)
	good := func(number string) Ticket { return sale(store, number, noon, c, "KNOWN", 1, 100) }
	s.ingest(good("T0"))
	with := func(number string, change func(*Ticket)) Ticket {
		ticket := good(number)
		change(&ticket)
		return ticket
	}
	for name, c := range map[string]struct {
		ticket  Ticket
		want    *apperr.Definition
		pointer string
	}{
		"unknown SKU":       {with("T1", func(t *Ticket) { t.Lines[0].SKU = "NEW" }), ErrSKUUnknown, "/orders/1/lines/0/sku"},
		"blank SKU":         {with("T1", func(t *Ticket) { t.Lines[0].SKU = "  " }), ErrSKU, "/orders/1/lines/0/sku"},
		"zero quantity":     {with("T1", func(t *Ticket) { t.Lines[0].Quantity = 0 }), ErrQuantity, "/orders/1/lines/0/quantity"},
		"huge quantity":     {with("T1", func(t *Ticket) { t.Lines[0].Quantity = maxQuantity + 1 }), ErrQuantity, "/orders/1/lines/0/quantity"},
		"negative price":    {with("T1", func(t *Ticket) { t.Lines[0].UnitPrice = -1 }), ErrPrice, "/orders/1/lines/0/unit_price_amount"},
		"no lines":          {with("T1", func(t *Ticket) { t.Lines = nil }), ErrNoLines, "/orders/1/lines"},
		"NUL in a title":    {with("T1", func(t *Ticket) { t.Lines[0].Title = "a\x00b" }), ErrText, "/orders/1/lines/0/title"},
		"unknown store":     {with("T1", func(t *Ticket) { t.StoreID = other }), ErrStoreUnknown, "/orders/1/store_id"},
		"unknown staff":     {with("T1", func(t *Ticket) { t.StaffID = other }), ErrStaffUnknown, "/orders/1/staff_id"},
		"unknown customer":  {with("T1", func(t *Ticket) { t.Customer = &customers.Ref{ExternalID: "nobody"} }), ErrCustomer, "/orders/1/customer"},
		"future":            {with("T1", func(t *Ticket) { t.PlacedAt = noon.Add(24*time.Hour + time.Second) }), ErrInFuture, "/orders/1/placed_at"},
		"currency":          {with("T1", func(t *Ticket) { t.Currency = "USD" }), ErrCurrency, "/orders/1/currency"},
		"no number":         {with(" ", func(t *Ticket) {}), ErrNumber, "/orders/1/external_number"},
		"sale of a sale":    {with("T1", func(t *Ticket) { t.Original = "T0" }), ErrOriginal, "/orders/1/original_external_number"},
		"return of itself":  {with("T1", func(t *Ticket) { t.Return, t.Original = true, "T1" }), ErrOriginal, "/orders/1/original_external_number"},
		"other under a key": {with("T0", func(t *Ticket) { t.Lines[0].UnitPrice++ }), ErrNumberReused, "/orders/1/external_number"},
	} {
		before, after := good("B-"+name), good("A-"+name)
		results, err := s.Ingest(s.ctx, []Ticket{before, c.ticket, after}, false)
		require.NoError(t, err, name)
		assert.Equal(t, Created, results[0].Status, name)
		assert.Equal(t, Created, results[2].Status, name)
		require.NotNil(t, results[1].Err, name)
		assert.Equal(t, Failed, results[1].Status, name)
		assert.Equal(t, c.want.Code, results[1].Err.Def.Code, name)
		assert.Equal(t, c.pointer, results[1].Err.Fields[0].Pointer, name)
		assert.Equal(t, uuid.Nil, results[1].OrderID, name)
	}
	assert.Equal(t, int64(1+2*16), s.count("SELECT count(*) FROM orders"))
	assert.Equal(t, int64(1), s.count("SELECT count(*) FROM variants"), "nothing is made where that was not asked for")
	assert.Equal(t, Created, s.ingest(sale(store, "T1", noon.Add(24*time.Hour), c, "KNOWN", 1, 0))[0].Status, "24 hours ahead and a price of zero are fine")
}

// A fault that only the database sees sends the chunk through ticket by ticket.
func TestAFailingChunkIsReplayedTicketByTicket(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	c := s.customer("C1", uuid.Nil)
	s.ingest(sale(store, "SEED", noon, uuid.Nil, "A", 1, 1))
	// An order from elsewhere uses a number that no ticket has used.
	_, err := s.db.Exec(s.ctx, `INSERT INTO orders (id, order_number, store_id, external_number, currency, placed_at, business_day, created_at, updated_at)
		VALUES ($1, 'X1', $2, 'T7', 'CNY', $3::timestamptz, '2026-07-01', $3, $3)`, newID(t), store, noon)
	require.NoError(t, err)
	var tickets []Ticket
	for i := range 20 {
		tickets = append(tickets, sale(store, "T"+string(rune('0'+i%10))+map[bool]string{true: "x"}[i >= 10], noon, c, "N"+string(rune('a'+i)), 1, 100))
	}
	for range 2 { // the second time over everything but the bad one is a twin
		results := s.ingest(tickets...)
		for i, r := range results {
			if i == 7 {
				require.NotNil(t, r.Err)
				assert.Equal(t, ErrNumberReused.Code, r.Err.Def.Code)
				continue
			}
			assert.Nil(t, r.Err, i)
		}
	}
	m := s.metrics(c)
	assert.Equal(t, int64(19), m.Orders)
	assert.Equal(t, int64(1900), m.Spent)
	assert.Equal(t, int64(20), s.count("SELECT count(*) FROM variants"), "the failed ticket's product was not made")
	assert.Equal(t, int64(20), s.count("SELECT count(*) FROM pos_tickets"))
	assert.Equal(t, int64(20), s.count("SELECT count(*) FROM audit_logs WHERE action = 'orders.ingest'"))
}

// The same with everything inside one idempotent request's transaction.
func TestAFailingChunkLeavesTheRequestsTransactionUsable(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	_, err := s.db.Exec(s.ctx, `INSERT INTO orders (id, order_number, store_id, external_number, currency, placed_at, business_day, created_at, updated_at)
		VALUES ($1, 'X1', $2, 'T1', 'CNY', $3::timestamptz, '2026-07-01', $3, $3)`, newID(t), store, noon)
	require.NoError(t, err)
	var results []Result
	require.NoError(t, s.db.InTx(s.ctx, func(ctx context.Context, _ *db.Tx) (err error) {
		results, err = s.Ingest(ctx, []Ticket{sale(store, "T0", noon, uuid.Nil, "A", 1, 1), sale(store, "T1", noon, uuid.Nil, "B", 1, 1), sale(store, "T2", noon, uuid.Nil, "C", 1, 1)}, true)
		return err
	}))
	assert.Equal(t, []Status{Created, Failed, Created}, []Status{results[0].Status, results[1].Status, results[2].Status})
	assert.Equal(t, int64(2), s.count("SELECT count(*) FROM pos_tickets"))
}

func TestTwins(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	c := s.customer("C1", uuid.Nil)
	batch := func() []Ticket {
		var out []Ticket
		for i := range 300 { // more than a chunk
			out = append(out, sale(store, numbered("T", i), noon.Add(-time.Duration(i)*time.Hour), c, numbered("S", i%7), 2, 150))
			if i%3 == 0 {
				out = append(out, refund(store, numbered("R", i), numbered("T", i), noon, c, numbered("S", i%7), 1, 150))
			}
		}
		return out
	}
	var wg sync.WaitGroup
	all := make([][]Result, 8)
	for i := range all {
		wg.Go(func() {
			var err error
			all[i], err = s.Ingest(s.ctx, batch(), true)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for i := range all[0] {
		created := 0
		for _, results := range all {
			require.Nil(t, results[i].Err)
			assert.Equal(t, all[0][i].OrderID, results[i].OrderID)
			assert.Equal(t, all[0][i].ReturnID, results[i].ReturnID)
			if results[i].Status == Created {
				created++
			}
		}
		assert.Equal(t, 1, created, "ticket %d", i)
	}
	m := s.metrics(c)
	assert.Equal(t, []int64{300, 600, 90000, 100, 15000}, []int64{m.Orders, m.Units, m.Spent, m.Returns, m.Returned})
	assert.Equal(t, int64(15000), s.count("SELECT sum(returned_amount) FROM orders"))
	assert.Equal(t, int64(100), s.count("SELECT sum(returned_quantity) FROM order_lines"))
	assert.Equal(t, int64(7), s.count("SELECT count(*) FROM products"))

	for i, r := range s.ingest(batch()...) {
		assert.Equal(t, Duplicate, r.Status, i)
	}
	assert.Equal(t, int64(400), s.count("SELECT count(*) FROM pos_tickets"))
}

func TestTheSameNumberTwiceInOneBatch(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	a, b := sale(store, "T", noon, uuid.Nil, "A", 1, 100), sale(store, "T", noon, uuid.Nil, "A", 1, 100)
	c := sale(store, "T", noon, uuid.Nil, "A", 1, 101)
	bad := sale(store, "U", noon, uuid.Nil, "A", 0, 100)
	r := s.ingest(a, b, c, bad, sale(store, "U", noon, uuid.Nil, "A", 1, 100))
	assert.Equal(t, []Status{Created, Duplicate, Failed, Failed, Created}, []Status{r[0].Status, r[1].Status, r[2].Status, r[3].Status, r[4].Status})
	assert.Equal(t, r[0].OrderID, r[1].OrderID)
	assert.Equal(t, ErrNumberReused.Code, r[2].Err.Def.Code)
	assert.Equal(t, "/orders/2/external_number", r[2].Err.Fields[0].Pointer)
}

func TestReturnsFindTheirSaleInAnyOrder(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	bought := func(number string) Ticket {
		ticket := sale(store, number, noon, uuid.Nil, "A", 2, 100)
		ticket.Lines = append(ticket.Lines, TicketLine{SKU: "B", Quantity: 1, UnitPrice: 70}, TicketLine{SKU: "A", Quantity: 3, UnitPrice: 100})
		return ticket
	}
	back := func(number, original string, quantity int64) Ticket {
		return refund(store, number, original, noon, uuid.Nil, "A", quantity, 100)
	}
	for name, batches := range map[string][][]Ticket{
		"after":  {{bought("after")}, {back("after-1", "after", 1)}, {back("after-2", "after", -2)}},
		"before": {{back("before-1", "before", 1)}, {back("before-2", "before", 2)}, {bought("before")}},
		"with":   {{back("with-1", "with", 1), bought("with"), back("with-2", "with", 2)}},
	} {
		for _, batch := range batches {
			for _, r := range s.ingest(batch...) {
				require.Nil(t, r.Err, name)
			}
		}
		page, err := s.ListOrders(s.ctx, Filter{ExternalNumber: name})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
		o, err := s.Order(s.ctx, page.Items[0].ID)
		require.NoError(t, err)
		assert.Equal(t, int64(300), o.ReturnedAmount, name)
		assert.Len(t, o.Edges.Returns, 2, name)
		returned := []int64{o.Edges.Lines[0].ReturnedQuantity, o.Edges.Lines[1].ReturnedQuantity, o.Edges.Lines[2].ReturnedQuantity}
		assert.Equal(t, []int64{2, 0, 1}, returned, "%s: three pieces of A fill its first line, then the next", name)
	}
}

// A return and its sale in two transactions at once must not miss each other.
func TestReturnAndSaleAtTheSameTime(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	s.ingest(sale(store, "SEED", noon, uuid.Nil, "A", 1, 1))
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		for _, ticket := range []Ticket{
			sale(store, numbered("T", i), noon, uuid.Nil, "A", 1, 100),
			refund(store, numbered("R", i), numbered("T", i), noon, uuid.Nil, "A", 1, 100),
		} {
			wg.Go(func() {
				r, err := s.Ingest(s.ctx, []Ticket{ticket}, false)
				assert.NoError(t, err)
				assert.Equal(t, Created, r[0].Status)
			})
		}
	}
	wg.Wait()
	assert.Equal(t, int64(n), s.count("SELECT count(*) FROM order_returns WHERE order_id IS NOT NULL"))
	assert.Equal(t, int64(n*100), s.count("SELECT sum(returned_amount) FROM orders"))
}

func TestTillsPostForTheirOwnStoreOnly(t *testing.T) {
	s := open(t, noon)
	mine, other := s.store(), s.store()
	person := s.staff(mine)
	own := s.customer("own", person)
	foreign := s.customer("foreign", uuid.Nil)
	assistant := auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: person, Permissions: auth.NewPermissionSet(auth.OrdersIngest, auth.CatalogManage), Scope: auth.Scope{OwnStaff: []uuid.UUID{person}}})
	r, err := s.Ingest(assistant, []Ticket{sale(mine, "T1", noon, own, "A", 1, 100), sale(other, "T1", noon, own, "A", 1, 100), sale(mine, "T2", noon, foreign, "A", 1, 100)}, true)
	require.NoError(t, err)
	assert.Equal(t, []Status{Created, Failed, Created}, []Status{r[0].Status, r[1].Status, r[2].Status})
	assert.Equal(t, ErrStoreUnknown.Code, r[1].Err.Def.Code)

	seen, err := s.ListOrders(assistant, Filter{})
	require.NoError(t, err)
	require.Len(t, seen.Items, 1, "an assistant sees the orders of own customers")
	assert.Equal(t, r[0].OrderID, seen.Items[0].ID)
	_, err = s.Order(assistant, r[2].OrderID)
	assert.True(t, ErrOrderNotFound.Is(err))

	keeper := auth.With(context.Background(), auth.Actor{Kind: auth.KindAPIKey, ID: newID(t), Scope: auth.Scope{StoreIDs: []uuid.UUID{other}}})
	r, err = s.Ingest(keeper, []Ticket{sale(mine, "T3", noon, uuid.Nil, "A", 1, 100), sale(other, "T3", noon, uuid.Nil, "A", 1, 100)}, false)
	require.NoError(t, err)
	assert.Equal(t, []Status{Failed, Created}, []Status{r[0].Status, r[1].Status})

	_, err = s.Ingest(context.Background(), []Ticket{sale(mine, "T4", noon, uuid.Nil, "A", 1, 100)}, false)
	assert.ErrorIs(t, err, auth.ErrNoActor)
}

func TestListsArePagedByTime(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	c := s.customer("C1", uuid.Nil)
	var tickets []Ticket
	for i := range 25 {
		tickets = append(tickets, sale(store, numbered("T", i), noon.Add(-time.Duration(i/2)*time.Minute), c, "A", 1, 100))
	}
	s.ingest(tickets...)
	limit := int32(10)
	f := Filter{StoreID: &store, CustomerID: &c, Limit: &limit, Total: true}
	var seen []uuid.UUID
	for {
		p, err := s.ListOrders(s.ctx, f)
		require.NoError(t, err)
		assert.Equal(t, int64(25), *p.Total)
		for i, o := range p.Items {
			if i > 0 {
				assert.False(t, o.PlacedAt.After(p.Items[i-1].PlacedAt))
			}
			seen = append(seen, o.ID)
		}
		if f.Cursor = p.Next; p.Next == nil {
			break
		}
		assert.Contains(t, *p.Link, "store_id="+store.String())
	}
	assert.Len(t, seen, 25)
	assert.Len(t, unique(seen), 25)
	p, err := s.ListOrders(s.ctx, Filter{Limit: &limit})
	require.NoError(t, err)
	_, err = s.ListOrders(s.ctx, Filter{StoreID: &store, Cursor: p.Next})
	assert.True(t, apperr.ErrBadCursor.Is(err), "a cursor is good for its own filters only")
}

func unique(ids []uuid.UUID) map[uuid.UUID]bool {
	out := map[uuid.UUID]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out
}

// A caller who gives up in the middle and sends the same batch again ends where
// one undisturbed call would have.
func TestABatchCutShortIsCompletedByRepetition(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	c := s.customer("C1", uuid.Nil)
	batch := func() []Ticket {
		var out []Ticket
		for i := range 3 * chunkSize {
			out = append(out, sale(store, numbered("T", i), noon, c, numbered("S", i%9), 1, 100))
		}
		return out
	}
	cut := 0
	for wait := 5 * time.Millisecond; ; wait *= 2 {
		ctx, cancel := context.WithTimeout(s.ctx, wait)
		_, err := s.Ingest(ctx, batch(), true)
		cancel()
		var taken, counted int64
		require.NoError(t, s.db.QueryRow(s.ctx, "SELECT (SELECT count(*) FROM pos_tickets), coalesce((SELECT sum(order_count) FROM customer_metrics), 0)").Scan(&taken, &counted))
		require.Equal(t, taken, counted, "nothing is half written")
		if err == nil {
			break
		}
		cut++
	}
	assert.Positive(t, cut)
	assert.Equal(t, int64(3*chunkSize), s.metrics(c).Orders)
	assert.Equal(t, int64(3*chunkSize), s.count("SELECT count(*) FROM orders"))
}

// Customers change hands while their tickets come in: nothing locks up, orders go
// along, and stages follow.
func TestTicketsWhileCustomersChangeHands(t *testing.T) {
	s := open(t, noon)
	store := s.store()
	one, two := s.staff(store), s.staff(store)
	var people []uuid.UUID
	for i := range 10 {
		people = append(people, s.customer(numbered("C", i), one))
	}
	stop := make(chan struct{})
	var wg, moving sync.WaitGroup
	moving.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			assert.NoError(t, s.db.InTx(s.ctx, func(ctx context.Context, tx *db.Tx) error { // as a hand-over does it
				if _, err := tx.Exec(ctx, "SELECT FROM customers WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", pgarray.UUIDs(people)); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "UPDATE customers SET assigned_staff_id = $2 WHERE id = ANY ($1::uuid[])", pgarray.UUIDs(people), []uuid.UUID{one, two}[n%2])
				return err
			}))
		}
	})
	for i := range 4 {
		wg.Go(func() {
			for n := range 15 {
				var batch []Ticket
				for j := range people {
					number := numbered(numbered("T", i*100+n), j)
					batch = append(batch, sale(store, number, noon, people[(i+j)%10], "A", 1, 10000), refund(store, "R"+number, number, noon, people[(i+j+1)%10], "A", 1, 10000))
				}
				results, err := s.Ingest(s.ctx, batch, true)
				assert.NoError(t, err)
				for _, r := range results {
					assert.Equal(t, Created, r.Status)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	moving.Wait()
	assert.Zero(t, s.count("SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.assigned_staff_id IS DISTINCT FROM c.assigned_staff_id"))
	assert.Equal(t, int64(10), s.count("SELECT count(*) FROM customers WHERE lifecycle_stage = 'new'"))
	for _, c := range people {
		m := s.metrics(c)
		assert.Equal(t, []int64{60, 60}, []int64{m.Orders, m.Returns})
	}
}
