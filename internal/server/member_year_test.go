package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// year is a member's year in a bookstore, by a clock that the test moves.
type year struct {
	*testkit.App
	t      *testing.T
	admin  *testkit.Client
	store  uuid.UUID
	member uuid.UUID
	keys   int

	auditor string // username
}

// TestAMembersYear goes through a year of one member: sign-up, purchases, birthday, a
// tier reached, a partial return, points that pay, points that expire, the tier kept
// and lost. It prints the statement as the member sees it, with what each line is for
// (go test ./internal/server -run TestAMembersYear -v), and has an auditor add the
// liability up from the postings alone.
func TestAMembersYear(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)))
	y := &year{App: app, t: t, admin: app.Admin()}
	y.store, y.auditor = app.Store().Id, app.Client("auditor", testkit.All()).Username
	y.admin.Do(http.MethodPost, "/v1/products", anyMap{"title": "三体", "variants": []any{anyMap{"sku": "B", "price_amount": 10000}}}).Want(http.StatusCreated)
	y.programme()

	// January: she signs up.
	y.member = app.Customer(anyMap{"name": "韩梅梅", "phone": "13800138000", "birth_date": "1990-03-08", "external_id": "HMM"}).Id
	y.told()
	y.has(100, 0)
	require.Nil(t, y.tier())
	// She buys on a Saturday, which counts double: 600 yuan, pending for a week.
	y.until(2026, 1, 10)
	first, line := y.buys(6, 0)
	y.has(100, 1200)
	y.until(2026, 1, 18)
	y.has(1300, 0)
	// February: with another 500 yuan she has spent more than 1,000 and is silver.
	y.until(2026, 2, 4)
	y.buys(5, 0)
	require.Equal(t, "silver", y.tier())
	// March: her birthday. Silver pays 10 % less and earns half as much again.
	y.until(2026, 3, 9)
	_, err := y.Server.Membership.Birthdays(context.Background())
	require.NoError(t, err)
	y.has(1300+500+66, 0)
	second, _ := y.buys(1, 0)
	require.EqualValues(t, 9000, y.order(second)["total_amount"])
	y.until(2026, 3, 20)
	y.has(1866+135, 0) // 90 yuan at 150 %
	// April: one of the six books comes back, late: 200 points go with it, and she has
	// spent less than 1,000 yuan by then, had she not bought since.
	y.returns(first, line, 1)
	y.has(1801, 0)
	require.Equal(t, "silver", y.tier())
	// May: 1,000 points pay 10 yuan of 90. She cancels another such order; they come back.
	y.until(2026, 5, 6)
	_, _ = y.buys(1, 1000)
	cancelled := y.places(1, 500)
	y.has(1801-1500, 120)
	y.post("/v1/orders/"+cancelled+"/cancel", anyMap{"reason": "买重了"}).Want(http.StatusOK)
	y.told()
	y.until(2026, 5, 20)
	y.has(1801-1000+120, 0) // 80 yuan of money earn at 150 %
	// August: her tier was for half a year; what she bought since is not enough to keep it.
	y.until(2026, 8, 20)
	require.Nil(t, y.tier())
	// December: what came in January lasts until the end of the year, if nobody spends it.
	y.until(2026, 12, 2)
	warned, err := y.Server.Points.WarnExpiring(context.Background())
	require.NoError(t, err)
	require.Equal(t, 1, warned)
	y.until(2027, 1, 2)
	y.has(0, 0)

	y.statement()
	y.audited()
}

type anyMap = map[string]any

// programme is the shop's: a point for a yuan, double on weekends, 100 for signing up;
// silver from 1,000 yuan within half a year, for half a year.
func (y *year) programme() {
	for _, r := range []anyMap{
		{"code": "base", "name": "消费积分", "kind": "spend", "spend": anyMap{"points": 1, "per_amount": 100}},
		{"code": "weekend", "name": "周末双倍", "kind": "multiplier", "multiplier": anyMap{"percent": 200}, "conditions": anyMap{"weekdays": []int{6, 7}}},
		{"code": "welcome", "name": "注册礼", "kind": "event", "event": anyMap{"type": "sign_up", "points": 100}},
	} {
		y.admin.Do(http.MethodPost, "/v1/points/rules", r).Want(http.StatusCreated)
	}
	unit := y.admin.Do(http.MethodGet, "/v1/points/units", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(anyMap)["id"].(string)
	y.admin.Do(http.MethodPatch, "/v1/points/units/"+unit, anyMap{"pending_days": 7, "expiry_method": "year_end", "expiry_count": 0, "return_policy": "may_go_negative"}).Want(http.StatusOK)
	y.admin.Do(http.MethodPost, "/v1/tiers", anyMap{"code": "silver", "name": "银卡", "rank": 1, "match": "any", "conditions": []any{anyMap{"kind": "spend", "threshold": 100000}},
		"benefits": anyMap{"discount_basis_points": 1000, "points_multiplier_percent": 150, "free_return_postage": false, "birthday_gift": anyMap{"unit": "points", "points": 66}}}).Want(http.StatusCreated)
	now := y.admin.Do(http.MethodGet, "/v1/tier-scheme", nil).Want(http.StatusOK)
	y.admin.Do(http.MethodPut, "/v1/tier-scheme", anyMap{"window": "rolling_days", "window_days": 180, "validity": "days", "validity_count": 180, "downgrade": "one_step", "grace_days": 0},
		"If-Match", now.Header.Get("ETag")).Want(http.StatusOK)
}

// until moves the clock to noon of a day, with the jobs of the night in between.
func (y *year) until(on int, month time.Month, day int) {
	y.t.Helper()
	y.Advance(time.Date(on, month, day, 4, 0, 0, 0, time.UTC).Sub(y.Clock.Now()))
	y.admin = y.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	y.told()
}

// told has everything that happened be told, and everything that is due be done.
func (y *year) told() {
	y.t.Helper()
	_, err := y.Server.Events.Drain(y.t.Context())
	require.NoError(y.t, err)
	_, err = y.Server.Membership.ReviewDue(context.Background())
	require.NoError(y.t, err)
	_, err = y.Server.Points.SettleDue(context.Background())
	require.NoError(y.t, err)
}

func (y *year) post(path string, b any) *testkit.Response {
	y.t.Helper()
	y.keys++
	return y.admin.Do(http.MethodPost, path, b, "Idempotency-Key", fmt.Sprint("year-", y.keys))
}

func (y *year) order(id string) anyMap {
	y.t.Helper()
	return y.admin.Do(http.MethodGet, "/v1/orders/"+id, nil).Want(http.StatusOK).Map()
}

// places an order of books at 100 yuan each, of which points pay a part.
func (y *year) places(books, points int) string {
	y.t.Helper()
	b := anyMap{"store_id": y.store, "channel": "web", "fulfilment": "pickup", "customer_id": y.member, "lines": []any{anyMap{"sku": "B", "quantity": books}}}
	if points > 0 {
		b["points_to_redeem"] = points
	}
	return y.post("/v1/orders", b).Want(http.StatusCreated).Map()["id"].(string)
}

// buys places, pays and picks up an order.
func (y *year) buys(books, points int) (order, line string) {
	y.t.Helper()
	order = y.places(books, points)
	o := y.order(order)
	y.post("/v1/orders/"+order+"/payments", anyMap{"method": "cash", "amount": o["total_amount"].(float64) - o["paid_amount"].(float64)}).Want(http.StatusCreated)
	y.post("/v1/orders/"+order+"/complete", anyMap{}).Want(http.StatusOK)
	y.told()
	return order, o["lines"].([]any)[0].(anyMap)["id"].(string)
}

func (y *year) returns(order, line string, books int) {
	y.t.Helper()
	r := y.post("/v1/orders/"+order+"/returns", anyMap{"beyond_window": true, "lines": []any{anyMap{"line_id": line, "quantity": books, "reason_code": "unwanted"}}}).Want(http.StatusCreated).Map()
	for _, step := range []string{"approve", "receive", "refund"} {
		y.post("/v1/returns/"+r["id"].(string)+"/"+step, anyMap{}).Want(http.StatusOK)
	}
	y.told()
}

func (y *year) has(balance, pending int) {
	y.t.Helper()
	b := y.admin.Do(http.MethodGet, "/v1/customers/"+y.member.String()+"/points", nil).Want(http.StatusOK).Map()
	require.Equal(y.t, []any{float64(balance), float64(pending)}, []any{b["balance"], b["pending"]})
}

// tier is the code of hers.
func (y *year) tier() any {
	y.t.Helper()
	m := y.admin.Do(http.MethodGet, "/v1/customers/"+y.member.String()+"/membership", nil).Want(http.StatusOK).Map()
	if m["tier"] == nil {
		return nil
	}
	return m["tier"]
}

// statement prints the entries, the oldest first, and explains each.
func (y *year) statement() {
	y.t.Helper()
	items := y.admin.Do(http.MethodGet, "/v1/customers/"+y.member.String()+"/points/entries?limit=200", nil).Want(http.StatusOK).Map()["items"].([]any)
	names := map[string]string{"earn": "获得", "activate": "生效", "block": "冻结", "release": "解冻", "capture": "抵现", "redeem": "抵现", "give_back": "退还", "expire": "过期", "reverse": "退货扣回", "adjust": "调整"}
	var out strings.Builder
	var balance, pending, blocked float64
	for i := len(items) - 1; i >= 0; i-- {
		e := items[i].(anyMap)
		balance, pending, blocked = balance+e["balance_change"].(float64), pending+e["pending_change"].(float64), blocked+e["blocked_change"].(float64)
		require.Equal(y.t, []any{balance, pending, blocked}, []any{e["balance_after"], e["pending_after"], e["blocked_after"]}, "each line says what there was after it")
		fmt.Fprintf(&out, "%s  %-4s  可用 %+6.0f = %5.0f  待生效 %+6.0f = %5.0f  %s\n", e["occurred_at"].(string)[:10], names[e["kind"].(string)], e["balance_change"], e["balance_after"],
			e["pending_change"], e["pending_after"], y.why(e))
	}
	y.t.Logf("the statement of the year:\n%s", out.String())
}

// why says what an entry is for: the rule and its version, or the order and what each
// of its lines earns.
func (y *year) why(e anyMap) string {
	y.t.Helper()
	rule := func(id any, version any) string {
		for _, v := range y.admin.Do(http.MethodGet, "/v1/points/rules/"+id.(string)+"/versions", nil).Want(http.StatusOK).Map()["items"].([]any) {
			if v := v.(anyMap); v["version"] == version {
				return v["name"].(string)
			}
		}
		y.t.Fatalf("no version %v of rule %v", version, id)
		return ""
	}
	switch {
	case e["rule_id"] != nil:
		return rule(e["rule_id"], e["rule_version"])
	case e["order_id"] != nil && (e["kind"] == "earn" || e["kind"] == "reverse"):
		var parts []string
		for _, u := range y.admin.Do(http.MethodGet, "/v1/orders/"+e["order_id"].(string)+"/points", nil).Want(http.StatusOK).Map()["earnings"].([]any) {
			for _, l := range u.(anyMap)["lines"].([]any) {
				l := l.(anyMap)
				var rules []string
				for _, r := range l["rules"].([]any) {
					rules = append(rules, rule(r.(anyMap)["rule_id"], r.(anyMap)["version"]))
				}
				parts = append(parts, fmt.Sprintf("现余 %.2f 元 × %.0f%% = %s（%s）", l["amount"].(float64)/100, l["percent"], l["earned"], strings.Join(rules, "、")))
			}
		}
		require.NotEmpty(y.t, parts)
		return "订单 " + y.order(e["order_id"].(string))["order_number"].(string) + "：" + strings.Join(parts, "；")
	case e["order_id"] != nil:
		return "订单 " + y.order(e["order_id"].(string))["order_number"].(string)
	}
	if e["kind"] != "expire" && e["kind"] != "activate" {
		require.NotEmpty(y.t, e["reason"])
	}
	return e["reason"].(string)
}

// audited has an auditor recompute the liability from the postings.
func (y *year) audited() {
	y.t.Helper()
	auditor := y.SignIn(y.auditor, testkit.StaffPassword)
	books := map[string]float64{}
	for path := "/v1/points/postings?limit=50"; path != ""; {
		page := auditor.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()
		for _, p := range page["items"].([]any) {
			p := p.(anyMap)
			books[p["from_book"].(string)] -= p["amount"].(float64)
			books[p["to_book"].(string)] += p["amount"].(float64)
		}
		if path = ""; page["next_cursor"] != nil {
			path = "/v1/points/postings?limit=50&cursor=" + page["next_cursor"].(string)
		}
	}
	var all float64
	for _, n := range books {
		all += n
	}
	require.Zero(y.t, all)
	liability := auditor.Do(http.MethodGet, "/v1/points/liability", nil).Want(http.StatusOK).Map()
	require.Equal(y.t, liability["liability"], books["pending"]+books["active"]+books["blocked"]+books["debt"])
	found, err := y.Server.Points.Verify(auth.System(y.t.Context(), "test"), 10)
	require.NoError(y.t, err)
	require.Empty(y.t, found.Differences)
}
