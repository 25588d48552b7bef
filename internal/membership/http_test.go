package membership_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

// club is a business with tiers: silver from 1,000 yuan, gold from 5,000 yuan or
// 6,000 points.
type club struct {
	*testkit.App
	t       *testing.T
	ctx     context.Context
	admin   *testkit.Client
	store   uuid.UUID
	numbers int
}

var start = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func newClub(t *testing.T) *club {
	app := testkit.New(t, testkit.At(start))
	c := &club{App: app, t: t, ctx: auth.System(t.Context(), "test"), admin: app.Admin()}
	c.store = app.Store().Id
	return c
}

func (c *club) key() []string {
	c.numbers++
	return []string{"Idempotency-Key", fmt.Sprint("club-", c.numbers)}
}

func (c *club) tier(code string, rank int, benefits body, conditions ...any) client.Tier {
	c.t.Helper()
	var out client.Tier
	c.admin.Do(http.MethodPost, "/v1/tiers", body{"code": code, "name": code + "卡", "rank": rank, "conditions": conditions, "benefits": benefits}).Want(http.StatusCreated).JSON(&out)
	return out
}

func (c *club) rules(change body) client.TierScheme {
	c.t.Helper()
	was := c.admin.Do(http.MethodGet, "/v1/tier-scheme", nil).Want(http.StatusOK)
	rules := body{"window": "calendar_year", "validity": "end_of_next_year", "downgrade": "one_step"}
	for k, v := range change {
		rules[k] = v
	}
	var out client.TierScheme
	c.admin.Do(http.MethodPut, "/v1/tier-scheme", rules, "If-Match", was.Header.Get("ETag")).Want(http.StatusOK).JSON(&out)
	return out
}

func (c *club) usual() (silver, gold client.Tier) {
	silver = c.tier("silver", 1, body{"discount_basis_points": 1000}, body{"kind": "spend", "threshold": 1000_00})
	gold = c.tier("gold", 2, body{"discount_basis_points": 1000, "free_return_postage": true, "exclusive_service": "私人定制"},
		body{"kind": "spend", "threshold": 5000_00}, body{"kind": "points", "threshold": 6000})
	return silver, gold
}

func (c *club) member() uuid.UUID {
	var out client.Customer
	c.admin.Do(http.MethodPost, "/v1/customers", body{"name": "会员", "external_id": uuid.NewString()}).Want(http.StatusCreated).JSON(&out)
	return out.Id
}

// buys sends a ticket of so many yuan; below zero it is a return, of a ticket if one is named.
func (c *club) buys(of uuid.UUID, at time.Time, yuan int, original string) (number string) {
	c.t.Helper()
	c.numbers++
	number = fmt.Sprint("T", c.numbers)
	ticket := body{"store_id": c.store, "external_number": number, "placed_at": at, "customer": body{"id": of},
		"lines": []any{body{"sku": "A", "title": "商品", "quantity": max(yuan, -yuan), "unit_price_amount": 100}}}
	if yuan < 0 {
		ticket["type"] = "return"
		if original != "" {
			ticket["original_external_number"] = original
		}
	}
	r := c.admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{ticket}}).Want(http.StatusOK)
	require.Equal(c.t, "created", r.Map()["results"].([]any)[0].(body)["status"], string(r.Body))
	c.mark(of)
	return number
}

func (c *club) mark(of ...uuid.UUID) {
	c.t.Helper()
	require.NoError(c.t, c.DB.InTx(c.ctx, func(ctx context.Context, tx *db.Tx) error { return c.Server.Membership.Mark(ctx, tx, of...) }))
}

func (c *club) review() int {
	c.t.Helper()
	n, err := c.Server.Membership.ReviewDue(c.ctx)
	require.NoError(c.t, err)
	return n
}

func (c *club) of(id uuid.UUID) client.MembershipDetail {
	c.t.Helper()
	var out client.MembershipDetail
	c.admin.Do(http.MethodGet, at(id), nil).Want(http.StatusOK).JSON(&out)
	return out
}

func orNone(n nullable.Nullable[string]) string {
	v, _ := n.Get()
	return v
}

func (c *club) changes(id uuid.UUID) (told []string) {
	c.t.Helper()
	var list client.MembershipChangeList
	c.admin.Do(http.MethodGet, at(id)+"/changes?include=total_count", nil).Want(http.StatusOK).JSON(&list)
	require.EqualValues(c.t, len(list.Items), *list.TotalCount)
	for i := len(list.Items) - 1; i >= 0; i-- {
		ch := list.Items[i]
		told = append(told, fmt.Sprintf("%s>%s %s", orNone(ch.From), orNone(ch.To), ch.Reason))
	}
	return told
}

// written is what the row and the customer say, without a replay.
func (c *club) written(id uuid.UUID) (tier string) {
	c.t.Helper()
	var row string
	require.NoError(c.t, c.DB.QueryRow(c.ctx, "SELECT coalesce(m.tier_code, ''), coalesce(c.tier_code, '') FROM memberships m JOIN customers c ON c.id = m.customer_id WHERE c.id = $1", id).Scan(&row, &tier))
	require.Equal(c.t, row, tier)
	return tier
}

// wait lets time go by, and signs in anew.
func (c *club) wait(d time.Duration) {
	c.Advance(d)
	c.admin = c.SignIn(testkit.AdminUsername, testkit.AdminPassword)
}

func at(id uuid.UUID) string { return "/v1/customers/" + id.String() + "/membership" }

func TestMembershipOfAMember(t *testing.T) {
	c := newClub(t)
	m := c.member()
	none := c.of(m)
	assert.True(t, none.Tier.IsNull())
	assert.EqualValues(t, 0, none.SchemeNumber)
	c.buys(m, start.AddDate(0, 0, -3), 400, "") // before there are tiers: it counts when they come

	// The scheme is edited by whoever has seen it.
	silver, gold := c.usual()
	c.admin.Do(http.MethodPost, "/v1/tiers", body{"code": "gold", "name": "金", "rank": 9}).WantProblem(http.StatusConflict, "membership.tier_code_taken", "/code")
	c.admin.Do(http.MethodPost, "/v1/tiers", body{"code": "gold2", "name": "金", "rank": 2}).WantProblem(http.StatusConflict, "membership.rank_taken", "/rank")
	c.admin.Do(http.MethodPost, "/v1/tiers", body{"code": "gold2", "name": "金", "rank": 3, "conditions": []any{body{"kind": "points", "unit": "growth", "threshold": 1}}}).
		WantProblem(http.StatusUnprocessableEntity, "membership.unit_unknown", "/conditions/0/unit")
	c.admin.Do(http.MethodPost, "/v1/tiers", body{"code": "gold2", "name": "金", "rank": 3, "conditions": []any{body{"kind": "spend", "unit": "points", "threshold": 1}}}).
		WantProblem(http.StatusUnprocessableEntity, "membership.unit_of_points_only", "/conditions/0/unit")
	c.admin.Do(http.MethodPatch, "/v1/tiers/"+gold.Id.String(), body{"name": "金卡"}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	c.admin.Do(http.MethodPatch, "/v1/tiers/"+gold.Id.String(), body{"name": "金卡"}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	c.admin.Do(http.MethodPut, "/v1/tier-scheme", body{"window": "rolling_days", "validity": "for_ever", "downgrade": "one_step"}, "If-Match", "*").WantProblem(http.StatusUnprocessableEntity, "membership.window_days_invalid", "/window_days")
	c.admin.Do(http.MethodPut, "/v1/tier-scheme", body{"window": "since_join", "validity": "days", "downgrade": "one_step"}, "If-Match", "*").WantProblem(http.StatusUnprocessableEntity, "membership.validity_count_invalid", "/validity_count")
	c.admin.Do(http.MethodPut, "/v1/tier-scheme", body{"window": "since_join", "validity": "for_ever", "downgrade": "one_step"}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	assert.EqualValues(t, 3, c.rules(nil).Number)

	c.mark(m) // as the job does that follows the change
	d := c.of(m)
	assert.True(t, d.Tier.IsNull())
	require.Len(t, d.Next, 2)
	assert.Equal(t, "silver", d.Next[0].Tier)
	assert.EqualValues(t, 600_00, d.Next[0].Conditions[0].Missing)
	assert.EqualValues(t, 6000, d.Next[1].Conditions[1].Missing)
	assert.Equal(t, "2026-12-31", d.Next[0].UntilOn.MustGet().String())

	// A purchase reaches silver; the answer knows before the review has been written.
	first := c.buys(m, start, 600, "")
	d = c.of(m)
	assert.Equal(t, "silver", d.Tier.MustGet())
	assert.Equal(t, time.Date(2027, 12, 31, 16, 0, 0, 0, time.UTC), d.EndsAt.MustGet())
	assert.Equal(t, "silver卡", d.TierName.MustGet())
	assert.EqualValues(t, 1000, *d.Benefits.MustGet().DiscountBasisPoints)
	assert.Equal(t, "silver", d.Keep.MustGet().Tier)
	assert.Equal(t, "2027-01-01", d.Keep.MustGet().FromOn.MustGet().String())
	assert.True(t, d.ExpectedTier.IsNull(), "nothing bought next year")
	assert.Equal(t, 1, c.review())
	assert.Equal(t, 0, c.review())
	assert.Equal(t, "silver", c.written(m))
	assert.Equal(t, []string{">silver reached"}, c.changes(m))

	// A part of it comes back, long after: it was never silver.
	c.wait(40 * 24 * time.Hour)
	c.buys(m, start.AddDate(0, 0, 40), -100, first)
	c.review()
	assert.Equal(t, "", c.written(m))
	assert.True(t, c.of(m).Tier.IsNull())
	// A late ticket mends it, as of its own day.
	c.buys(m, start.AddDate(0, 0, 1), 100, "")
	c.review()
	assert.Equal(t, "silver", c.written(m))
	assert.Equal(t, "2026-07-02", c.of(m).SinceAt.MustGet().In(time.FixedZone("", 8*3600)).Format(time.DateOnly))
	assert.Equal(t, []string{">silver reached", "silver> recalculated", ">silver recalculated"}, c.changes(m))

	// Whichever comes first: points. What is taken back is none.
	require.NoError(t, c.DB.InTx(c.ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := c.Server.Points.Give(ctx, tx, points.Grant{CustomerID: m, Points: 6000, EarnedAt: c.Clock.Now(), Reason: "推荐"})
		return err
	}))
	c.mark(m)
	c.review()
	assert.Equal(t, "gold", c.written(m))
	d = c.of(m)
	assert.Equal(t, "私人定制", d.Benefits.MustGet().ExclusiveService.MustGet())
	assert.Empty(t, d.Next)

	// By hand: at least that, until it is over or taken back.
	other := c.member()
	path := at(other) + "/grant"
	c.admin.Do(http.MethodPost, path, body{"tier": "gold", "reason": "  "}, c.key()...).WantProblem(http.StatusUnprocessableEntity, "membership.reason_needed", "/reason")
	c.admin.Do(http.MethodPost, path, body{"tier": "black", "reason": "周年庆"}, c.key()...).WantProblem(http.StatusUnprocessableEntity, "membership.tier_unknown", "/tier")
	c.admin.Do(http.MethodPost, path, body{"tier": "gold", "reason": "周年庆", "until": start}, c.key()...).WantProblem(http.StatusUnprocessableEntity, "membership.until_in_the_past", "/until")
	until := c.Clock.Now().Add(72 * time.Hour)
	key := c.key()
	var g client.MembershipGrant
	c.admin.Do(http.MethodPost, path, body{"tier": "silver", "reason": "周年庆", "until": until}, key...).Want(http.StatusCreated).JSON(&g)
	assert.Equal(t, "true", c.admin.Do(http.MethodPost, path, body{"tier": "silver", "reason": "周年庆", "until": until}, key...).Want(http.StatusCreated).Header.Get("Idempotency-Replayed"))
	assert.Equal(t, "silver", c.written(other))
	d = c.of(other)
	assert.True(t, d.Granted)
	assert.Equal(t, until, d.EndsAt.MustGet())
	assert.True(t, d.ExpectedTier.IsNull())
	var gold2 client.MembershipGrant
	c.admin.Do(http.MethodPost, path, body{"tier": "gold", "reason": "投诉补偿"}, c.key()...).Want(http.StatusCreated).JSON(&gold2)
	assert.Equal(t, "gold", c.written(other))
	revoke := at(other) + "/grants/" + gold2.Id.String() + "/revoke"
	c.admin.Do(http.MethodPost, revoke, body{"reason": "发放有误"}, c.key()...).Want(http.StatusOK)
	c.admin.Do(http.MethodPost, revoke, body{"reason": "发放有误"}, c.key()...).WantProblem(http.StatusConflict, "membership.grant_over")
	c.admin.Do(http.MethodPost, at(m)+"/grants/"+gold2.Id.String()+"/revoke", body{"reason": "发放有误"}, c.key()...).WantProblem(http.StatusNotFound, "membership.grant_not_found")
	assert.Equal(t, "silver", c.written(other))
	c.wait(72 * time.Hour)
	assert.Equal(t, 1, c.review(), "a grant's end is due by itself")
	assert.Equal(t, "", c.written(other))
	assert.Equal(t, []string{">silver granted", "silver>gold granted", "gold>silver granted", "silver> grant_ended"}, c.changes(other))
	var grants client.MembershipGrantList
	c.admin.Do(http.MethodGet, at(other)+"/grants?include=total_count&limit=1", nil).Want(http.StatusOK).JSON(&grants)
	assert.EqualValues(t, 2, *grants.TotalCount)
	assert.Equal(t, "发放有误", grants.Items[0].RevokeReason.MustGet())

	// Lists.
	var list client.MembershipList
	c.admin.Do(http.MethodGet, "/v1/memberships?tier=gold&include=total_count", nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	assert.Equal(t, m, list.Items[0].CustomerId)
	assert.EqualValues(t, 1, *list.TotalCount)

	// After the second year nobody has bought anything: one step down, and then out.
	c.wait(time.Date(2028, 1, 2, 0, 0, 0, 0, time.UTC).Sub(c.Clock.Now()))
	c.review()
	assert.Equal(t, "silver", c.written(m))
	c.wait(366 * 24 * time.Hour)
	c.review()
	assert.Equal(t, "", c.written(m))
	assert.Equal(t, []string{"silver>gold reached", "gold>silver downgraded", "silver> downgraded"}, c.changes(m)[3:])

	// What was decided is explained by what was in force then.
	c.admin.Do(http.MethodPatch, "/v1/tiers/"+silver.Id.String(), body{"conditions": []any{body{"kind": "spend", "threshold": 300_00}}}, "If-Match", `"1"`).Want(http.StatusOK)
	var v client.TierScheme
	c.admin.Do(http.MethodGet, "/v1/tier-scheme/versions/3", nil).Want(http.StatusOK).JSON(&v)
	assert.EqualValues(t, 1000_00, v.Tiers[0].Conditions[0].Threshold)
	var versions client.TierSchemeList
	c.admin.Do(http.MethodGet, "/v1/tier-scheme/versions?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&versions)
	assert.EqualValues(t, 4, *versions.TotalCount)
	assert.EqualValues(t, 4, versions.Items[0].Number)
	c.admin.Do(http.MethodGet, "/v1/tier-scheme/versions/9", nil).WantProblem(http.StatusNotFound, "membership.scheme_version_not_found")
	_, err := c.DB.Exec(c.ctx, "UPDATE tier_schemes SET number = 9")
	require.Error(t, err)
	_, err = c.DB.Exec(c.ctx, "DELETE FROM membership_changes")
	require.Error(t, err)
	assert.True(t, c.of(m).Tier.IsNull(), "from now on only")
	c.rules(body{"retroactive": true, "window": "since_join", "validity": "for_ever"})
	c.mark(m)
	c.review()
	assert.Equal(t, "gold", c.written(m), "as if it had always been so")
	c.admin.Do(http.MethodDelete, "/v1/tiers/"+gold.Id.String(), nil, "If-Match", "*").Want(http.StatusNoContent)
	c.mark(m)
	c.review()
	assert.Equal(t, "silver", c.written(m))
}

// A tier's benefits act by themselves: its discount where nobody has set a price,
// free postage of what is sent back; records and lists show it.
func TestBenefitsActByThemselves(t *testing.T) {
	c := newClub(t)
	c.usual()
	m := c.member()
	c.buys(m, start, 1000, "")
	// The review is still to be written: pricing does not wait for it.
	order := func(more body, lines ...any) client.Order {
		t.Helper()
		b := body{"store_id": c.store, "channel": "pos", "customer_id": m, "lines": lines}
		for k, v := range more {
			b[k] = v
		}
		var o client.Order
		c.admin.Do(http.MethodPost, "/v1/orders", b, c.key()...).Want(http.StatusCreated).JSON(&o)
		return o
	}
	line := func(more body) body {
		b := body{"sku": "A", "quantity": 3}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	o := order(body{"payments": []any{body{"method": "cash", "amount": 1000}}}, line(nil), line(body{"unit_price_amount": 200}), line(body{"discount_amount": 170}))
	assert.Equal(t, "silver", c.written(m))
	lines := *o.Lines
	assert.EqualValues(t, []int64{30, 0, 170}, []int64{lines[0].DiscountAmount, lines[1].DiscountAmount, lines[2].DiscountAmount})
	assert.Equal(t, []string{"silver", "", ""}, []string{orNone(lines[0].Tier), orNone(lines[1].Tier), orNone(lines[2].Tier)})
	assert.EqualValues(t, 270+600+130, o.TotalAmount)
	require.Equal(t, client.OrderCompleted, o.Status)
	giveBack := func(o client.Order) client.OrderReturn {
		t.Helper()
		var b client.OrderReturn
		c.admin.Do(http.MethodPost, "/v1/orders/"+o.Id.String()+"/returns", body{"lines": []any{body{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "other"}}}, c.key()...).Want(http.StatusCreated).JSON(&b)
		return b
	}
	assert.False(t, giveBack(o).FreePostage)

	// A list for tiers has the tier's price; a list for all does not.
	variant := lines[0].VariantId
	list := func(code, tier string, price int) {
		t.Helper()
		b := body{"code": code, "name": code, "priority": 5, "status": "active"}
		if tier != "" {
			b["tier"] = tier
		}
		r := c.admin.Do(http.MethodPost, "/v1/price-lists", b).Want(http.StatusCreated)
		id := r.Map()["id"].(string)
		c.admin.Do(http.MethodPut, "/v1/price-lists/"+id+"/entries", body{"entries": []any{body{"variant_id": variant, "price_amount": price}}}).Want(http.StatusOK)
	}
	list("all", "", 90)
	o = order(nil, line(nil))
	assert.EqualValues(t, 243, o.TotalAmount)
	list("silver", "silver", 80)
	o = order(nil, line(nil))
	assert.EqualValues(t, 240, o.TotalAmount)
	assert.Equal(t, "", orNone((*o.Lines)[0].Tier))

	// Lines keep their tier's discount by the piece, unless somebody sets a price.
	changed := func(o client.Order, with body) client.Order {
		t.Helper()
		var out client.Order
		with["id"] = (*o.Lines)[0].Id
		c.admin.Do(http.MethodPut, "/v1/orders/"+o.Id.String()+"/lines", body{"lines": []any{with}}).Want(http.StatusOK).JSON(&out)
		return out
	}
	c.admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{body{"store_id": c.store, "external_number": "B", "placed_at": start, "lines": []any{body{"sku": "B", "title": "书", "quantity": 1, "unit_price_amount": 50}}}}}).Want(http.StatusOK)
	o = changed(order(nil, body{"sku": "B", "quantity": 4}), body{"quantity": 2})
	assert.EqualValues(t, 90, o.TotalAmount)
	assert.Equal(t, "silver", orNone((*o.Lines)[0].Tier))
	o = changed(o, body{"quantity": 2, "unit_price_amount": 50})
	assert.EqualValues(t, 100, o.TotalAmount)
	assert.Equal(t, "", orNone((*o.Lines)[0].Tier))

	c.admin.Do(http.MethodPost, at(m)+"/grant", body{"tier": "gold", "reason": "周年庆"}, c.key()...).Want(http.StatusCreated)
	o = order(body{"payments": []any{body{"method": "cash", "amount": 45}}}, body{"sku": "B", "quantity": 1})
	assert.True(t, giveBack(o).FreePostage)

	var shown client.Customer
	c.admin.Do(http.MethodGet, "/v1/customers/"+m.String(), nil).Want(http.StatusOK).JSON(&shown)
	assert.Equal(t, "gold", orNone(shown.Tier))
	var profile client.CustomerProfile
	c.admin.Do(http.MethodGet, "/v1/customers/"+m.String()+"/profile", nil).Want(http.StatusOK).JSON(&profile)
	assert.Equal(t, "gold卡", profile.Tier.MustGet().Name)
	for query, want := range map[string]int{"?tier=gold": 1, "?tier=silver": 0} {
		var found client.CustomerList
		c.admin.Do(http.MethodGet, "/v1/customers"+query, nil).Want(http.StatusOK).JSON(&found)
		assert.Len(t, found.Items, want, query)
	}

	// Points for birthdays, once a year, also for one that nobody saw to in time; not
	// for one from before the tier.
	var tiers client.TierList
	c.admin.Do(http.MethodGet, "/v1/tiers", nil).Want(http.StatusOK).JSON(&tiers)
	require.Len(t, tiers.Items, 2)
	c.admin.Do(http.MethodPatch, "/v1/tiers/"+tiers.Items[1].Id.String(), body{"benefits": body{"birthday_gift": body{"points": 200}}}, "If-Match", "*").Want(http.StatusOK)
	c.mark(m)
	c.review()
	before := c.member()
	c.admin.Do(http.MethodPost, at(before)+"/grant", body{"tier": "gold", "reason": "周年庆"}, c.key()...).Want(http.StatusCreated)
	for id, born := range map[uuid.UUID]string{m: "1990-07-03", before: "1990-06-30"} {
		c.admin.Do(http.MethodPatch, "/v1/customers/"+id.String(), body{"birth_date": born}).Want(http.StatusOK)
	}
	gifts := func(want int) {
		t.Helper()
		n, err := c.Server.Membership.Birthdays(c.ctx)
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	gifts(0)
	c.wait(7 * 24 * time.Hour) // on 8 July
	gifts(1)
	gifts(0)
	var entries client.PointsEntryList
	c.admin.Do(http.MethodGet, "/v1/customers/"+m.String()+"/points/entries", nil).Want(http.StatusOK).JSON(&entries)
	require.Len(t, entries.Items, 1)
	assert.EqualValues(t, 200, entries.Items[0].PendingChange+entries.Items[0].BalanceChange)
	c.admin.Do(http.MethodPatch, "/v1/customers/"+m.String(), body{"birth_date": "1990-07-08"}).Want(http.StatusOK)
	gifts(0)
	c.wait(365 * 24 * time.Hour)
	gifts(2)

	// Two records of one person: what both bought counts together, and not afterwards.
	one, other := c.member(), c.member()
	c.buys(one, start, 600, "")
	c.buys(other, start, 500, "")
	var merge client.CustomerMerge
	c.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": one, "merged_id": other}, c.key()...).Want(http.StatusCreated).JSON(&merge)
	c.review()
	assert.Equal(t, "silver", c.written(one))
	c.admin.Do(http.MethodPost, "/v1/customer-merges/"+merge.Id.String()+"/undo", nil, c.key()...).Want(http.StatusOK)
	c.review()
	assert.Equal(t, "", c.written(one))
	assert.True(t, c.of(other).Tier.IsNull())
}

// However tickets and returns arrive, and whenever somebody looks in between, a
// member ends where they would have ended had all come in time.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	c := newClub(t)
	c.usual()
	c.rules(body{"window": "rolling_days", "window_days": 60, "validity": "days", "validity_count": 45, "downgrade": "by_balance", "grace_days": 10})
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, seed))
	c.wait(300 * 24 * time.Hour)
	type fact struct{ at, yuan, back int }
	var facts []fact
	for range 12 {
		f := fact{at: random.IntN(300), yuan: 200 + random.IntN(2500)}
		f.back = random.IntN(3) * f.yuan / 4
		facts = append(facts, f)
	}
	var members []uuid.UUID
	for round := range 3 {
		m := c.member()
		members = append(members, m)
		if round > 0 {
			random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		}
		for _, f := range facts {
			number := c.buys(m, start.AddDate(0, 0, f.at), f.yuan, "")
			if round == 2 {
				c.review()
			}
			if f.back > 0 {
				c.buys(m, c.Clock.Now(), -f.back, number)
			}
			if round == 2 {
				c.review()
			}
		}
	}
	c.review()
	first := c.of(members[0])
	for _, m := range members {
		d := c.of(m)
		d.CustomerId = first.CustomerId
		require.Equal(t, first, d, "seed %d", seed)
		require.Equal(t, orNone(first.Tier), c.written(m), "seed %d", seed)
	}
}

// Two workers and a till share the same due memberships: each change is found once.
func TestTwoWorkersReviewOnce(t *testing.T) {
	c := newClub(t)
	c.usual()
	var members []uuid.UUID
	for range 40 {
		m := c.member()
		members = append(members, m)
		c.buys(m, start, 1500, "")
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	total := make([]int, 2)
	for i := range 2 {
		wg.Go(func() { total[i], errs[i] = c.Server.Membership.ReviewDue(c.ctx) })
	}
	wg.Go(func() {
		errs[2] = c.DB.InTx(c.ctx, func(ctx context.Context, tx *db.Tx) error {
			for _, m := range members[:5] {
				if _, err := tx.Exec(ctx, "SELECT FROM customers WHERE id = $1 FOR NO KEY UPDATE", m); err != nil {
					return err
				}
				if _, err := c.Server.Membership.Settle(ctx, tx, m); err != nil {
					return err
				}
			}
			return nil
		})
	})
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	c.review()
	for _, m := range members {
		require.Equal(t, "silver", c.written(m))
		require.Equal(t, []string{">silver reached"}, c.changes(m))
	}
	require.LessOrEqual(t, total[0]+total[1], 40)
}
