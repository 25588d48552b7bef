package orders

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/segments"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// shop is the service over a database of its own, with a clock that stands
// still until told.
type shop struct {
	*Service
	t        testing.TB
	db       *db.DB
	segments *segments.Service
	clock    *clock.Clock
	ctx      context.Context // the system: sees everything

	mu  sync.Mutex
	now time.Time
}

func (s *shop) at(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func open(t testing.TB, now time.Time) *shop {
	t.Helper()
	return openOn(t, pgtest.DB(t), now)
}

func openOn(t testing.TB, database *db.DB, now time.Time) *shop {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	s := &shop{t: t, db: database, now: now, ctx: auth.System(context.Background(), "test")}
	s.clock = clock.Fake(zone, func() time.Time {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now
	})
	redis, err := cache.New(s.ctx, pgtest.Redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = redis.Close() })
	keys := crypto.Generate()
	pages := page.NewCodec(keys.Derive("test"))
	people := customers.New(customers.Deps{DB: s.db, Clock: s.clock, Keys: keys, Cache: redis, Pages: pages})
	products := catalog.New(catalog.Deps{DB: s.db, Clock: s.clock, Pages: pages, Customers: people})
	s.segments = segments.New(segments.Deps{DB: s.db, Clock: s.clock, Customers: people})
	ledger := points.New(points.Deps{DB: s.db, Clock: s.clock, Pages: pages, Customers: people, Catalog: products})
	s.Service = New(Deps{
		DB: s.db, Clock: s.clock, Keys: keys, Cache: redis, Pages: pages, Currency: "CNY", Customers: people, Catalog: products, Segments: s.segments,
		Inventory: inventory.New(inventory.Deps{DB: s.db, Clock: s.clock, Pages: pages, Catalog: products}),
		Points:    ledger, Membership: membership.New(membership.Deps{DB: s.db, Clock: s.clock, Pages: pages, Customers: people, Points: ledger}),
		Wallets: wallets.New(wallets.Deps{DB: s.db, Clock: s.clock, Keys: keys, Pages: pages, Currency: "CNY", Customers: people}),
	})
	return s
}

func newID(t testing.TB) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	require.NoError(t, err)
	return id
}

func (s *shop) store() uuid.UUID {
	s.t.Helper()
	id := newID(s.t)
	_, err := s.db.Exec(s.ctx, "INSERT INTO stores (id, code, name, created_at, updated_at) VALUES ($1, $2, '店', $3, $3)", id, id.String()[24:], s.clock.Now())
	require.NoError(s.t, err)
	return id
}

func (s *shop) staff(store uuid.UUID) uuid.UUID {
	s.t.Helper()
	id := newID(s.t)
	_, err := s.db.Exec(s.ctx, `INSERT INTO staff (id, username, name, store_id, password_hash, created_at, updated_at)
		VALUES ($1, $2, '店员', $3, '', $4, $4)`, id, id.String()[24:], store, s.clock.Now())
	require.NoError(s.t, err)
	return id
}

// customer makes a bare customer known by an external id.
func (s *shop) customer(external string, assistant uuid.UUID) uuid.UUID {
	s.t.Helper()
	id := newID(s.t)
	_, err := s.db.Exec(s.ctx, `INSERT INTO customers (id, external_id, data_key, name_tokens, tag_ids, assigned_staff_id, created_at, updated_at)
		VALUES ($1, $2, '', '{}', '{}', $3, $4, $4)`, id, external, orNil(assistant), s.clock.Now())
	require.NoError(s.t, err)
	return id
}

func (s *shop) ingest(tickets ...Ticket) []Result {
	s.t.Helper()
	results, err := s.Ingest(s.ctx, tickets, true)
	require.NoError(s.t, err)
	require.Len(s.t, results, len(tickets))
	return results
}

func (s *shop) count(query string, args ...any) (n int64) {
	s.t.Helper()
	require.NoError(s.t, s.db.QueryRow(s.ctx, query, args...).Scan(&n))
	return n
}

func (s *shop) metrics(id uuid.UUID) *segments.Seen {
	s.t.Helper()
	m, err := s.segments.CustomerMetrics(s.ctx, id)
	require.NoError(s.t, err)
	return m
}

// sale is a ticket of one line.
func sale(store uuid.UUID, number string, at time.Time, customer uuid.UUID, sku string, quantity, price int64) Ticket {
	t := Ticket{StoreID: store, Number: number, PlacedAt: at, Lines: []TicketLine{{SKU: sku, Title: "商品 " + sku, Quantity: quantity, UnitPrice: price}}}
	if customer != uuid.Nil {
		t.Customer = &customers.Ref{ID: customer}
	}
	return t
}

func refund(store uuid.UUID, number, original string, at time.Time, customer uuid.UUID, sku string, quantity, price int64) Ticket {
	t := sale(store, number, at, customer, sku, quantity, price)
	t.Return, t.Original = true, original
	return t
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s%05d", prefix, i) }
