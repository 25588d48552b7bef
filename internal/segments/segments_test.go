package segments

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// desk is the service over a database of its own, on a clock that is set.
type desk struct {
	*Service
	t   testing.TB
	db  *db.DB
	ctx context.Context
	mu  sync.Mutex
	now time.Time
}

var zone = time.FixedZone("CST", 8*3600)

func open(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t, db: pgtest.DB(t), ctx: auth.System(context.Background(), "test"), now: time.Date(2026, 7, 1, 12, 0, 0, 0, zone)}
	c := clock.Fake(zone, func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.now
	})
	redis, err := cache.New(d.ctx, pgtest.Redis(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = redis.Close() })
	keys := crypto.Generate()
	queue, err := jobs.New(jobs.Options{DB: d.db})
	require.NoError(t, err)
	people := customers.New(customers.Deps{DB: d.db, Clock: c, Keys: keys, Cache: redis, Pages: page.NewCodec(keys.Derive("test"))})
	d.Service = New(Deps{DB: d.db, Clock: c, Queue: queue, Customers: people})
	return d
}

func (d *desk) set(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = now
}

func (d *desk) customer(store, assistant *uuid.UUID) uuid.UUID {
	d.t.Helper()
	id, err := uuid.NewV7()
	require.NoError(d.t, err)
	_, err = d.db.Exec(d.ctx, `INSERT INTO customers (id, data_key, name_tokens, tag_ids, home_store_id, assigned_staff_id, created_at, updated_at)
		VALUES ($1, '', '{}', '{}', $2, $3, now(), now())`, id, store, assistant)
	require.NoError(d.t, err)
	return id
}

func (d *desk) apply(deltas ...DayDelta) {
	d.t.Helper()
	require.NoError(d.t, d.ordered(deltas))
}

// ordered applies days as package orders does: customers are locked first.
func (d *desk) ordered(deltas []DayDelta) error {
	return d.db.InTx(d.ctx, func(ctx context.Context, tx *db.Tx) error {
		var ids pgarray.UUIDs
		for _, delta := range deltas {
			ids = append(ids, delta.CustomerID)
		}
		if _, err := tx.Exec(ctx, "SELECT FROM customers WHERE id = ANY ($1::uuid[]) ORDER BY id FOR NO KEY UPDATE", ids); err != nil {
			return err
		}
		return d.ApplyDays(ctx, tx, deltas)
	})
}

// bought is one order on a day, so many days before the desk's first.
func (d *desk) bought(c uuid.UUID, daysAgo int, amount int64) DayDelta {
	day := clock.DayFromDate(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)) - clock.Day(daysAgo)
	return DayDelta{CustomerID: c, Day: day, Orders: 1, Units: 1, Spent: amount}
}

// stored is the band as the row has it, not as a reader computes it.
func (d *desk) stored(c uuid.UUID) (band string, f, m int64) {
	d.t.Helper()
	require.NoError(d.t, d.db.QueryRow(d.ctx, "SELECT rfm_band, frequency, monetary_amount FROM customer_metrics WHERE id = $1", c).Scan(&band, &f, &m))
	return band, f, m
}

func TestWindowEdges(t *testing.T) {
	d := open(t)
	c := d.customer(nil, nil)
	d.apply(d.bought(c, 366, 1), d.bought(c, 365, 10), d.bought(c, 364, 100), d.bought(c, 0, 1000), d.bought(c, -1, 10000))
	m, err := d.CustomerMetrics(d.ctx, c)
	require.NoError(t, err)
	assert.Equal(t, int64(2), m.Frequency, "the window is 365 days with today the last of them")
	assert.Equal(t, int64(1100), m.Monetary)
	assert.Equal(t, int64(11111), m.Spent)
	assert.Equal(t, int64(5), m.PurchaseDays)
	assert.Equal(t, 0, *m.Recency, "a till that runs ahead makes nobody more recent than today")
	require.NotNil(t, m.RebandOn)
	assert.Equal(t, "2026-07-02", m.RebandOn.String(), "tomorrow one day leaves the window and another enters")

	d.set(time.Date(2026, 7, 1, 23, 59, 59, 0, zone))
	n, err := d.RebandDue(d.ctx)
	require.NoError(t, err)
	assert.Zero(t, n, "not before midnight of the business")
	d.set(time.Date(2026, 7, 2, 0, 0, 0, 0, zone))
	live, err := d.CustomerMetrics(d.ctx, c)
	require.NoError(t, err)
	assert.Equal(t, int64(11000), live.Monetary, "readers are right before the job has run")
	n, err = d.RebandDue(d.ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	_, f, money := d.stored(c)
	assert.Equal(t, []int64{2, 11000}, []int64{f, money})
	n, err = d.RebandDue(d.ctx)
	require.NoError(t, err)
	assert.Zero(t, n)
}

// Loyal for 15 days after the last purchase, dormant after 90; nothing happens
// but midnights.
func TestBandsMoveWithTheCalendar(t *testing.T) {
	d := open(t)
	loyal, dormant := d.customer(nil, nil), d.customer(nil, nil)
	for i := range 5 {
		d.apply(d.bought(loyal, i, 10000))
	}
	d.apply(d.bought(dormant, 0, 29999))
	changes := map[int]string{}
	last := ""
	for day := range 500 {
		d.set(time.Date(2026, 7, 1, 0, 0, 1, 0, zone).AddDate(0, 0, day))
		_, err := d.RebandDue(d.ctx)
		require.NoError(t, err)
		a, _, _ := d.stored(loyal)
		b, _, _ := d.stored(dormant)
		if now := a + "/" + b; now != last {
			changes[day], last = now, now
		}
	}
	assert.Equal(t, map[int]string{
		0:   "loyal/",
		15:  "/",        // R 15 is no longer below 15
		91:  "/dormant", // R 91 is above 90
		363: "dormant/dormant",
	}, changes, "the loyal one's five purchases leave the window from day 361 on: two of 100 yuan are left on day 363")
}

func TestSettings(t *testing.T) {
	d := open(t)
	c := d.customer(nil, nil)
	d.apply(d.bought(c, 3, 100))
	s, err := d.LoadSettings(d.ctx)
	require.NoError(t, err)
	assert.Equal(t, int64(0), s.Version)
	assert.Equal(t, rfm.Default(), s.Settings)

	one := int64(1)
	in := rfm.Settings{WindowDays: 30, Bands: []rfm.Rule{{Code: "any", FrequencyAtLeast: &one}}}
	_, err = d.UpdateSettings(d.ctx, nil, in, nil)
	assert.True(t, apperr.ErrVersionRequired.Is(err))
	stale, right := etag.Of(4), etag.Of(0)
	_, err = d.UpdateSettings(d.ctx, &stale, in, nil)
	assert.True(t, apperr.ErrVersionMismatch.Is(err))
	_, err = d.UpdateSettings(d.ctx, &right, rfm.Settings{WindowDays: 30, Bands: []rfm.Rule{{Code: "any"}}}, nil)
	require.True(t, ErrSettings.Is(err))
	assert.Equal(t, "/bands/0", apperr.From(err).Fields[0].Pointer)

	s, err = d.UpdateSettings(d.ctx, &right, in, map[string]string{"any": "全部"})
	require.NoError(t, err)
	assert.Equal(t, int64(1), s.Version)
	require.NotNil(t, s.JobID)
	job, err := d.db.Platform.Job.Get(d.ctx, *s.JobID)
	require.NoError(t, err)
	assert.Equal(t, jobRefresh, job.Kind)
	band, _, _ := d.stored(c)
	assert.Equal(t, "", band, "the job has not run yet")
	result, err := d.refreshAll(d.ctx, &jobs.Progress{})
	require.NoError(t, err)
	assert.Equal(t, RefreshResult{Customers: 1, Changed: 1}, *result)
	band, _, _ = d.stored(c)
	assert.Equal(t, "any", band)
	again, err := d.LoadSettings(d.ctx)
	require.NoError(t, err)
	assert.Equal(t, in, again.Settings)
	assert.Equal(t, "全部", again.Names["any"])

	var raw []byte
	require.NoError(t, d.db.QueryRow(d.ctx, "SELECT value FROM settings WHERE key = $1", rfm.SettingKey).Scan(&raw))
	var plain rfm.Settings
	require.NoError(t, json.Unmarshal(raw, &plain))
	assert.Equal(t, in, plain, "others read the value as plain settings")
}

// Twenty transactions add days of the same customers in different orders.
func TestApplyDaysAtTheSameTime(t *testing.T) {
	d := open(t)
	people := []uuid.UUID{d.customer(nil, nil), d.customer(nil, nil), d.customer(nil, nil)}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			var deltas []DayDelta
			for j := range people {
				deltas = append(deltas, d.bought(people[(i+j)%3], i%10, 100), d.bought(people[(i+j)%3], (i+5)%10, 1))
			}
			assert.NoError(t, d.ordered(deltas))
		})
	}
	wg.Wait()
	for _, c := range people {
		m, err := d.CustomerMetrics(d.ctx, c)
		require.NoError(t, err)
		assert.Equal(t, []int64{40, 10, 2020, 10, 2020}, []int64{m.Orders, m.PurchaseDays, m.Spent, m.Frequency, m.Monetary})
	}
}

func TestMetricsKeepToTheScope(t *testing.T) {
	d := open(t)
	store, person, stranger := uuid.New(), uuid.New(), uuid.New()
	_, err := d.db.Exec(d.ctx, "INSERT INTO stores (id, code, name, created_at, updated_at) VALUES ($1, 's', 's', now(), now())", store)
	require.NoError(t, err)
	_, err = d.db.Exec(d.ctx, `INSERT INTO staff (id, username, name, password_hash, created_at, updated_at) VALUES ($1, 'a', 'a', '', now(), now()), ($2, 'b', 'b', '', now(), now())`, person, stranger)
	require.NoError(t, err)
	mine, shops, nobodys := d.customer(nil, &person), d.customer(&store, nil), d.customer(nil, nil)
	d.apply(d.bought(mine, 1, 100), d.bought(shops, 1, 100))
	as := func(scope auth.Scope) context.Context {
		return auth.With(context.Background(), auth.Actor{Kind: auth.KindStaff, ID: person, Scope: scope})
	}
	for _, c := range []struct {
		ctx  context.Context
		sees []uuid.UUID
		not  []uuid.UUID
	}{
		{as(auth.Scope{OwnStaff: []uuid.UUID{person}}), []uuid.UUID{mine}, []uuid.UUID{shops, nobodys}},
		{as(auth.Scope{StoreIDs: []uuid.UUID{store}}), []uuid.UUID{shops}, []uuid.UUID{mine, nobodys}},
		{as(auth.Scope{OwnStaff: []uuid.UUID{stranger}}), nil, []uuid.UUID{mine, shops, nobodys}},
		{as(auth.Scope{All: true}), []uuid.UUID{mine, shops, nobodys}, nil},
	} {
		counted := int64(0)
		for _, id := range c.sees {
			m, err := d.CustomerMetrics(c.ctx, id)
			require.NoError(t, err)
			counted += m.Orders
		}
		for _, id := range c.not {
			_, err := d.CustomerMetrics(c.ctx, id)
			assert.True(t, customers.ErrNotFound.Is(err), "%v", err)
		}
		dist, err := d.RFMDistribution(c.ctx)
		require.NoError(t, err)
		assert.Equal(t, counted, dist.Total)
	}
	_, err = d.RFMDistribution(context.Background())
	assert.ErrorIs(t, err, auth.ErrNoActor)
}
