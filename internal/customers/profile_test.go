package customers

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

// profile reads a profile as the HTTP edge would send it.
func (w *world) profile(ctx context.Context, id uuid.UUID) (customersapi.CustomerProfile, string, error) {
	w.t.Helper()
	answer, err := API{w.Service}.GetCustomerProfile(ctx, customersapi.GetCustomerProfileRequestObject{Id: id})
	if err != nil {
		return customersapi.CustomerProfile{}, "", err
	}
	rec := httptest.NewRecorder()
	require.NoError(w.t, answer.VisitGetCustomerProfileResponse(rec))
	var p customersapi.CustomerProfile
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &p))
	return p, rec.Header().Get("ETag"), nil
}

// bought writes what the orders and segments domains would.
func (w *world) bought(id uuid.UUID, day clock.Day, amount int64, category uuid.UUID) {
	w.t.Helper()
	err := w.pg.InTx(auth.System(w.t.Context(), "test"), func(ctx context.Context, tx *db.Tx) error {
		order, variant, product := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
		tx.Commerce.Product.Create().SetID(product).SetTitle("书").SaveX(ctx)
		tx.Commerce.Variant.Create().SetID(variant).SetProductID(product).SetSku(variant.String()).SaveX(ctx)
		tx.Commerce.Order.Create().SetID(order).SetOrderNumber(order.String()[4:]).SetStoreID(w.storeA).SetCustomerID(id).SetCurrency("CNY").
			SetPlacedAt(day.Time().Add(4 * time.Hour)).SetBusinessDay(day.Time()).SetTotalAmount(amount).SetUnitCount(2).SaveX(ctx)
		tx.Commerce.OrderLine.Create().SetID(uuid.Must(uuid.NewV7())).SetOrderID(order).SetLineNumber(1).SetVariantID(variant).SetCategoryID(category).
			SetSku("x").SetTitle("书").SetQuantity(2).SetUnitPriceAmount(amount / 2).SetTotalAmount(amount).SaveX(ctx)
		for _, q := range []string{
			`INSERT INTO customer_days (customer_id, day, order_count, unit_count, spent_amount) VALUES ($1, $2::date, 1, 2, $3)
			 ON CONFLICT (customer_id, day) DO UPDATE SET order_count = customer_days.order_count + 1, spent_amount = customer_days.spent_amount + excluded.spent_amount`,
			`INSERT INTO customer_metrics (id, first_order_on, last_order_on, order_count, spent_amount, unit_count, updated_at) VALUES ($1, $2::date, $2::date, 1, $3, 2, now())
			 ON CONFLICT (id) DO UPDATE SET last_order_on = greatest(customer_metrics.last_order_on, excluded.last_order_on), first_order_on = least(customer_metrics.first_order_on, excluded.first_order_on),
			 order_count = customer_metrics.order_count + 1, spent_amount = customer_metrics.spent_amount + excluded.spent_amount`,
		} {
			if _, err := tx.Exec(ctx, q, id, day.Time(), amount); err != nil {
				return err
			}
		}
		w.Touch(ctx, tx, id)
		return nil
	})
	require.NoError(w.t, err)
}

func TestProfileShowsWhatWasBought(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	c := w.add(func() Input {
		in := everything()
		in.HomeStoreID, in.AssignedStaffID = some(w.storeA), some(w.ann)
		return in
	}())
	p, tag, err := w.profile(ctx, c.ID)
	require.NoError(t, err)
	assert.Equal(t, `"1-`, tag[:3])
	assert.Equal(t, "欧阳**", p.Customer.Name.MustGet())
	assert.True(t, p.Rfm.RecencyDays.IsNull())
	assert.Empty(t, p.RecentOrders)
	assert.Equal(t, "店A", p.HomeStore.MustGet().Name)
	assert.Equal(t, w.ann, p.AssignedStaff.MustGet().Id)
	assert.Len(t, p.Tags, 2)

	category := uuid.Must(uuid.NewV7())
	w.pg.Commerce.Category.Create().SetID(category).SetName("文学").SaveX(auth.System(ctx, "test"))
	today := w.clock.Today()
	for i := range 6 {
		w.bought(c.ID, today-clock.Day(10*i), 10000, category)
	}
	p, later, err := w.profile(ctx, c.ID)
	require.NoError(t, err)
	assert.NotEqual(t, tag, later)
	assert.Equal(t, "loyal", p.Rfm.Band.MustGet())
	assert.Equal(t, int32(0), p.Rfm.RecencyDays.MustGet())
	assert.Equal(t, int64(6), p.Rfm.Frequency)
	assert.Equal(t, int64(60000), p.Rfm.MonetaryAmount)
	assert.Equal(t, int64(10000), p.Metrics.AverageOrderAmount)
	require.Len(t, p.RecentOrders, 5)
	assert.True(t, p.RecentOrders[0].PlacedAt.After(p.RecentOrders[4].PlacedAt))
	require.Len(t, p.FavouriteCategories, 1)
	assert.Equal(t, int64(12), p.FavouriteCategories[0].UnitCount)

	// Fifteen midnights later the customer is loyal no more, without any job.
	w.now = w.now.Add(14 * 24 * time.Hour)
	p, _, err = w.profile(ctx, c.ID)
	require.NoError(t, err)
	assert.Equal(t, "loyal", p.Rfm.Band.MustGet())
	w.now = w.now.Add(24 * time.Hour)
	p, _, err = w.profile(ctx, c.ID)
	require.NoError(t, err)
	assert.True(t, p.Rfm.Band.IsNull())
	assert.Equal(t, int32(15), p.Rfm.RecencyDays.MustGet())
}

func TestProfileScopeHoldsWhenHot(t *testing.T) {
	w := newWorld(t)
	c := w.add(Input{Name: some("李雷"), HomeStoreID: some(w.storeA), AssignedStaffID: some(w.ann)})
	for range 3 { // cold, then hot
		for name, one := range map[string]struct {
			ctx  context.Context
			sees bool
		}{
			"administrator": {w.admin(), true}, "own": {w.assistant(w.ann), true}, "other assistant": {w.assistant(w.bob), false},
			"manager": {w.manager(w.storeA), true}, "other manager": {w.manager(w.storeB), false}, "no scope": {w.manager(), false},
		} {
			_, _, err := w.profile(one.ctx, c.ID)
			if one.sees {
				assert.NoError(t, err, name)
			} else {
				assert.True(t, ErrNotFound.Is(err), name)
			}
		}
	}
	_, _, err := w.profile(context.Background(), c.ID)
	assert.ErrorIs(t, err, auth.ErrNoActor)
	_, _, err = w.profile(w.admin(), uuid.New())
	assert.True(t, ErrNotFound.Is(err))
}

// Every change is seen by the next read, here and on another replica; a reader
// that was filling while the writer committed must not bring the old back.
func TestProfileIsExact(t *testing.T) {
	w := newWorld(t)
	ctx := w.admin()
	redis := pgtest.NewRedis(t)
	url := redis.URL
	replica := func() *Service {
		client, err := cache.New(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		return New(Deps{DB: w.pg, Clock: w.clock, Keys: w.keys, Cache: client, Pages: page.NewCodec([32]byte{1})})
	}
	a, b := replica(), replica()
	c, err := a.Create(ctx, Input{Name: some("李雷"), Tags: &[]string{"VIP"}})
	require.NoError(t, err)
	seen := func(s *Service) customersapi.CustomerProfile {
		t.Helper()
		p, _, err := (&world{Service: s, t: t}).profile(ctx, c.ID)
		require.NoError(t, err)
		return p
	}
	for i := range 20 {
		require.Equal(t, int64(i+1), seen(b).Customer.Version)
		require.Equal(t, int64(i+1), seen(b).Customer.Version)
		_, err := a.Update(ctx, c.ID, Input{Preferences: &map[string]any{"n": i}}, nil)
		require.NoError(t, err)
	}

	// b has read the old row and is about to fill; a commits meanwhile.
	_, lease := b.profiles.Get(ctx, c.ID)
	doc, old, err := b.readProfileDocument(ctx, c.ID, b.clock.Today())
	require.NoError(t, err)
	value, err := packProfile(old, b.clock.Today(), doc)
	require.NoError(t, err)
	changed, err := a.Update(ctx, c.ID, Input{Gender: ptr("female")}, nil)
	require.NoError(t, err)
	assert.False(t, b.profiles.Fill(ctx, lease, value, time.Minute), "the fill is refused")
	assert.Equal(t, changed.Version, seen(b).Customer.Version)

	_, err = a.UpdateTag(ctx, changed.TagIDs[0], TagInput{Name: ptr("金卡")}, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"金卡"}, seen(b).Customer.Tags)

	redis.Kill()
	_, err = a.Update(ctx, c.ID, Input{Gender: ptr("male")}, nil)
	require.NoError(t, err, "a dead cache fails no write")
	assert.Equal(t, changed.Version+1, seen(a).Customer.Version)
	assert.Equal(t, changed.Version+1, seen(b).Customer.Version)
}
