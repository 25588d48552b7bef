package rewards_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

// desk is a business that gives rewards.
type desk struct {
	*testkit.App
	t     *testing.T
	admin *testkit.Client
	keys  *atomic.Int64
}

var start = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func (d *desk) post(path string, b any) *testkit.Response {
	d.t.Helper()
	return d.admin.Do(http.MethodPost, path, b, "Idempotency-Key", fmt.Sprint("rewards-", d.keys.Add(1)))
}

func (d *desk) member(points int) uuid.UUID {
	d.t.Helper()
	var c client.Customer
	d.admin.Do(http.MethodPost, "/v1/customers", body{"name": "会员", "external_id": uuid.NewString()}).Want(http.StatusCreated).JSON(&c)
	d.post("/v1/customers/"+c.Id.String()+"/points/adjust", body{"points": points, "reason": "补偿"}).Want(http.StatusCreated)
	return c.Id
}

func (d *desk) reward(b body) (r client.Reward) {
	d.t.Helper()
	d.admin.Do(http.MethodPost, "/v1/rewards", b).Want(http.StatusCreated).JSON(&r)
	return r
}

func (d *desk) redeem(b body) *testkit.Response {
	d.t.Helper()
	return d.post("/v1/reward-redemptions", b)
}

func (d *desk) points(id uuid.UUID, balance, blocked int64) {
	d.t.Helper()
	var b client.PointsBalance
	d.admin.Do(http.MethodGet, "/v1/customers/"+id.String()+"/points", nil).Want(http.StatusOK).JSON(&b)
	require.Equal(d.t, []int64{balance, blocked}, []int64{b.Balance, b.Blocked})
}

func (d *desk) stock(store uuid.UUID, sku string) (onHand, reserved int64) {
	d.t.Helper()
	var page struct {
		Items []struct {
			OnHand   int64 `json:"on_hand"`
			Reserved int64 `json:"reserved"`
		}
	}
	d.admin.Do(http.MethodGet, "/v1/stock-levels?store_id="+store.String()+"&sku="+sku, nil).Want(http.StatusOK).JSON(&page)
	require.Len(d.t, page.Items, 1)
	return page.Items[0].OnHand, page.Items[0].Reserved
}

func TestRewards(t *testing.T) {
	app := testkit.New(t, testkit.At(start))
	keys := &atomic.Int64{}
	for _, c := range []struct {
		name string
		run  func(d *desk)
	}{{"coupons", coupons}, {"gifts", gifts}, {"limits", limits}, {"the last piece", theLastPiece}, {"time", inTime}} {
		t.Run(c.name, func(t *testing.T) {
			one := &desk{App: app.In(t), t: t, admin: app.In(t).Admin(), keys: keys}
			c.run(one)
			var found client.PointsIntegrity
			one.admin.Do(http.MethodGet, "/v1/points/integrity", nil).Want(http.StatusOK).JSON(&found)
			require.Empty(t, found.Differences)
		})
	}
}

func coupons(d *desk) {
	t, m := d.t, d.member(1000)
	r := d.reward(body{"kind": "coupon", "name": "满 100 减 10", "points": 300})
	on := "/v1/rewards/" + r.Id.String()
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.gone")
	var added client.RewardCodesAdded
	d.post(on+"/codes", body{"codes": []string{"A-1", "A-2", "A-1"}}).Want(http.StatusOK).JSON(&added)
	assert.EqualValues(t, 2, added.Added)
	d.post(on+"/codes", body{"codes": []string{"A-2"}}).Want(http.StatusOK).JSON(&added)
	assert.Equal(t, []int32{0, 2}, []int32{added.Added, added.CodesLeft})
	seen := map[string]bool{}
	for range 2 {
		var got client.RewardRedemptionDetail
		d.redeem(body{"reward_id": r.Id, "customer_id": m}).Want(http.StatusCreated).JSON(&got)
		code, err := got.CouponCode.Get()
		require.NoError(t, err)
		seen[code] = true
		require.Equal(t, client.RedemptionFulfilled, got.Status)
		d.post("/v1/reward-redemptions/"+got.Id.String()+"/cancel", nil).WantProblem(http.StatusConflict, "rewards.redemption_state")
	}
	require.Equal(t, map[string]bool{"A-1": true, "A-2": true}, seen)
	d.points(m, 400, 0)
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.gone")
	d.points(m, 400, 0)
	var kept int
	require.NoError(t, d.DB.QueryRow(t.Context(), "SELECT count(*) FROM reward_codes WHERE position('A-1'::bytea IN code_sealed) > 0").Scan(&kept))
	require.Zero(t, kept)
	gift := d.reward(body{"kind": "donation", "name": "公益捐书", "points": 401})
	d.redeem(body{"reward_id": gift.Id, "customer_id": m}).WantProblem(http.StatusConflict, "points.insufficient")
	d.post("/v1/rewards/"+gift.Id.String()+"/codes", body{"codes": []string{"x"}}).WantProblem(http.StatusConflict, "rewards.no_coupon")
}

// bags are tote bags that a new store has so many of.
func (d *desk) bags(sku string, pieces int) (store, variant uuid.UUID) {
	d.t.Helper()
	store = d.Store().Id
	var p client.Product
	d.admin.Do(http.MethodPost, "/v1/products", body{"title": "帆布袋", "variants": []any{body{"sku": sku, "price_amount": 1000}}}).Want(http.StatusCreated).JSON(&p)
	d.post("/v1/stock-movements", body{"store_id": store, "kind": "receipt", "lines": []any{body{"sku": sku, "quantity": pieces}}}).Want(http.StatusCreated)
	return store, p.Variants[0].Id
}

func gifts(d *desk) {
	t, m := d.t, d.member(1000)
	store, variant := d.bags("BAG-1", 2)
	d.admin.Do(http.MethodPost, "/v1/rewards", body{"kind": "gift", "name": "x", "points": 1}).WantProblem(http.StatusUnprocessableEntity, "rewards.variant_invalid", "/variant_id")
	d.admin.Do(http.MethodPost, "/v1/rewards", body{"kind": "service", "name": "x", "points": 1, "unit": "gold"}).WantProblem(http.StatusUnprocessableEntity, "rewards.unit_unknown", "/unit")
	r := d.reward(body{"kind": "gift", "variant_id": variant, "name": "帆布袋", "points": 400})
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).WantProblem(http.StatusUnprocessableEntity, "rewards.store_invalid", "/store_id")
	d.redeem(body{"reward_id": uuid.New(), "customer_id": m}).WantProblem(http.StatusUnprocessableEntity, "rewards.unknown", "/reward_id")
	d.redeem(body{"reward_id": r.Id, "customer_id": uuid.New(), "store_id": store}).WantProblem(http.StatusUnprocessableEntity, "rewards.customer_unknown", "/customer_id")
	var one, two client.RewardRedemptionDetail
	d.redeem(body{"reward_id": r.Id, "customer_id": m, "store_id": store}).Want(http.StatusCreated).JSON(&one)
	d.redeem(body{"reward_id": r.Id, "customer_id": m, "store_id": store}).Want(http.StatusCreated).JSON(&two)
	d.redeem(body{"reward_id": r.Id, "customer_id": d.member(1000), "store_id": store}).WantProblem(http.StatusConflict, "rewards.gone")
	d.points(m, 200, 800)
	onHand, reserved := d.stock(store, "BAG-1")
	require.Equal(t, []int64{2, 2}, []int64{onHand, reserved})

	// The store sees what it has to hand out, finds it by the voucher, hands it out once.
	var list client.RewardRedemptionList
	d.admin.Do(http.MethodGet, "/v1/reward-redemptions?status=issued&include=total_count&store_id="+store.String(), nil).Want(http.StatusOK).JSON(&list)
	require.EqualValues(t, 2, *list.TotalCount)
	manager := d.Client("store_manager", testkit.InStore(store))
	var found client.RewardRedemptionDetail
	manager.Do(http.MethodPost, "/v1/reward-redemptions/lookup", body{"voucher": one.Voucher[:4] + "-" + one.Voucher[4:]}).Want(http.StatusOK).JSON(&found)
	require.Equal(t, one.Id, found.Id)
	on := "/v1/reward-redemptions/" + one.Id.String()
	manager.Do(http.MethodPost, on+"/fulfil", nil, "Idempotency-Key", uuid.NewString()).Want(http.StatusOK).JSON(&found)
	require.Equal(t, client.RedemptionFulfilled, found.Status)
	d.post(on+"/fulfil", nil).WantProblem(http.StatusConflict, "rewards.redemption_state")
	d.points(m, 200, 400)
	d.post("/v1/reward-redemptions/"+two.Id.String()+"/cancel", body{"reason": "不要了"}).Want(http.StatusOK)
	d.post("/v1/reward-redemptions/"+two.Id.String()+"/cancel", nil).WantProblem(http.StatusConflict, "rewards.redemption_state")
	d.points(m, 600, 0)
	onHand, reserved = d.stock(store, "BAG-1")
	require.Equal(t, []int64{1, 0}, []int64{onHand, reserved})
	var now client.Reward
	d.admin.Do(http.MethodGet, "/v1/rewards/"+r.Id.String(), nil).Want(http.StatusOK).JSON(&now)
	require.EqualValues(t, 1, now.Redeemed)

	// A merge takes redemptions along.
	survivor := d.member(1)
	d.redeem(body{"reward_id": r.Id, "customer_id": m, "store_id": store}).Want(http.StatusCreated).JSON(&two)
	d.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": survivor, "merged_id": m}).Want(http.StatusCreated)
	d.points(survivor, 201, 400)
	d.post("/v1/reward-redemptions/"+two.Id.String()+"/cancel", nil).Want(http.StatusOK)
	d.points(survivor, 601, 0)
}

func limits(d *desk) {
	t, m := d.t, d.member(10000)
	r := d.reward(body{"kind": "service", "name": "包装", "points": 10, "member_limit": 3, "period_limit": 2, "period": "month", "total_limit": 4})
	on := "/v1/rewards/" + r.Id.String()
	var got client.RewardRedemptionDetail
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).Want(http.StatusCreated).JSON(&got)
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).Want(http.StatusCreated)
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.period_limit")
	d.post("/v1/reward-redemptions/"+got.Id.String()+"/cancel", nil).Want(http.StatusOK) // what came back does not count
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).Want(http.StatusCreated)
	d.admin.Do(http.MethodPatch, on, body{"period_limit": nil}).Want(http.StatusOK)
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).Want(http.StatusCreated)
	d.redeem(body{"reward_id": r.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.member_limit")
	d.redeem(body{"reward_id": r.Id, "customer_id": d.member(100)}).Want(http.StatusCreated)
	d.redeem(body{"reward_id": r.Id, "customer_id": d.member(100)}).WantProblem(http.StatusConflict, "rewards.gone")
	d.admin.Do(http.MethodPatch, on, body{"total_limit": 3}).WantProblem(http.StatusConflict, "rewards.limit_below_redeemed", "/total_limit")
	d.admin.Do(http.MethodPatch, on, body{"total_limit": nil, "status": "paused"}).Want(http.StatusOK)
	d.redeem(body{"reward_id": r.Id, "customer_id": d.member(100)}).WantProblem(http.StatusConflict, "rewards.not_available")
	tiered := d.reward(body{"kind": "service", "name": "贵宾厅", "points": 10, "tier_codes": []string{"gold"}})
	d.redeem(body{"reward_id": tiered.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.not_eligible")
	later := d.reward(body{"kind": "service", "name": "将来", "points": 10, "valid_from": start.AddDate(1, 0, 0)})
	d.redeem(body{"reward_id": later.Id, "customer_id": m}).WantProblem(http.StatusConflict, "rewards.not_available")
	assert.Equal(t, client.RewardActive, later.Status)

	// Sixty-four at once: no more than a member may have.
	mine := d.reward(body{"kind": "service", "name": "限兑", "points": 10, "member_limit": 5})
	var had atomic.Int64
	d.many(func(i int) {
		r := d.admin.Do(http.MethodPost, "/v1/reward-redemptions", body{"reward_id": mine.Id, "customer_id": m}, "Idempotency-Key", fmt.Sprint("limit-", i))
		if r.Status == http.StatusCreated {
			had.Add(1)
		} else {
			assert.Equal(t, http.StatusConflict, r.Status, "%s", r.Body)
		}
	})
	require.EqualValues(t, 5, had.Load())
}

func (d *desk) many(f func(i int)) {
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}

// Sixty-four members want the last three pieces.
func theLastPiece(d *desk) {
	store, variant := d.bags("BAG-2", 3)
	r := d.reward(body{"kind": "gift", "variant_id": variant, "name": "限量袋", "points": 10})
	members := make([]uuid.UUID, 64)
	for i := range members {
		members[i] = d.member(10)
	}
	var had atomic.Int64
	d.many(func(i int) {
		r := d.admin.Do(http.MethodPost, "/v1/reward-redemptions", body{"reward_id": r.Id, "customer_id": members[i], "store_id": store}, "Idempotency-Key", fmt.Sprint("last-", i))
		if r.Status == http.StatusCreated {
			had.Add(1)
		} else {
			assert.Equal(d.t, http.StatusConflict, r.Status, "%s", r.Body)
		}
	})
	require.EqualValues(d.t, 3, had.Load())
	onHand, reserved := d.stock(store, "BAG-2")
	require.Equal(d.t, []int64{3, 3}, []int64{onHand, reserved})
}

func inTime(d *desk) {
	t, m := d.t, d.member(100)
	store, variant := d.bags("BAG-3", 1)
	r := d.reward(body{"kind": "gift", "variant_id": variant, "name": "限时袋", "points": 60, "fulfil_days": 7})
	var got client.RewardRedemptionDetail
	d.redeem(body{"reward_id": r.Id, "customer_id": m, "store_id": store}).Want(http.StatusCreated).JSON(&got)
	ends, err := got.ExpiresAt.Get()
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 7, 8, 16, 0, 0, 0, time.UTC), ends.UTC())
	d.Advance(8 * 24 * time.Hour)
	d.admin = d.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	d.post("/v1/reward-redemptions/"+got.Id.String()+"/fulfil", nil).WantProblem(http.StatusConflict, "rewards.redemption_state")
	n, err := d.Server.Rewards.ExpireDue(t.Context())
	require.NoError(t, err)
	require.Positive(t, n)
	d.points(m, 100, 0)
	_, reserved := d.stock(store, "BAG-3")
	require.Zero(t, reserved)
	d.admin.Do(http.MethodGet, "/v1/reward-redemptions/"+got.Id.String(), nil).Want(http.StatusOK).JSON(&got)
	require.Equal(t, client.RedemptionExpired, got.Status)
}
