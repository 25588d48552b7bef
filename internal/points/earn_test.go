package points_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/points"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// till is a programme whose shop sells three articles: B at 25.50 below the
// category of books, C at 199.90 that are none, D at 10.00.
type till struct {
	*programme
	store, books, novels uuid.UUID
	member               uuid.UUID
}

func newTill(t *testing.T) *till {
	p := newProgramme(t)
	s := &till{programme: p, store: p.Store().Id, member: p.member()}
	category := func(name string, parent any) uuid.UUID {
		b := body{"name": name}
		if parent != nil {
			b["parent_id"] = parent
		}
		return uuid.MustParse(p.admin.Do(http.MethodPost, "/v1/categories", b).Want(http.StatusCreated).Map()["id"].(string))
	}
	s.books = category("图书", nil)
	s.novels = category("小说", s.books)
	article := func(sku string, price int, category any) {
		b := body{"title": "商品 " + sku, "variants": []any{body{"sku": sku, "price_amount": price}}}
		if category != nil {
			b["category_id"] = category
		}
		p.admin.Do(http.MethodPost, "/v1/products", b).Want(http.StatusCreated)
	}
	article("B", 2550, s.novels)
	article("C", 19990, nil)
	article("D", 1000, nil)
	return s
}

func (s *till) rule(b body) uuid.UUID {
	s.t.Helper()
	if b["code"] == nil {
		b["code"] = "r-" + uuid.NewString()[:8]
	}
	if b["name"] == nil {
		b["name"] = "规则"
	}
	return uuid.MustParse(s.admin.Do(http.MethodPost, "/v1/points/rules", b).Want(http.StatusCreated).Map()["id"].(string))
}

func (s *till) base() uuid.UUID {
	return s.rule(body{"code": "base", "kind": "spend", "name": "消费积分", "spend": body{"points": 1, "per_amount": 100}})
}

type line struct {
	sku    string
	pieces int
}

// order places an order of the member and says its id, its total and its lines.
func (s *till) order(extra body, lines ...line) (id uuid.UUID, total int64, made []map[string]any) {
	s.t.Helper()
	b := body{"store_id": s.store, "channel": "web", "customer_id": s.member, "fulfilment": "pickup"}
	items := []any{}
	for _, l := range lines {
		items = append(items, body{"sku": l.sku, "quantity": l.pieces})
	}
	b["lines"] = items
	for k, v := range extra {
		b[k] = v
	}
	r := s.post("/v1/orders", b).Want(http.StatusCreated).Map()
	for _, l := range r["lines"].([]any) {
		made = append(made, l.(map[string]any))
	}
	return uuid.MustParse(r["id"].(string)), int64(r["total_amount"].(float64)), made
}

// bought is an order that is paid and picked up.
func (s *till) bought(lines ...line) (id uuid.UUID, made []map[string]any) {
	s.t.Helper()
	id, total, made := s.order(nil, lines...)
	s.pay(id, total)
	s.post("/v1/orders/"+id.String()+"/complete", body{}).Want(http.StatusOK)
	return id, made
}

func (s *till) pay(id uuid.UUID, amount int64) {
	s.t.Helper()
	s.post("/v1/orders/"+id.String()+"/payments", body{"method": "cash", "amount": amount}).Want(http.StatusCreated)
}

// back has pieces of a line returned and refunded.
func (s *till) back(order uuid.UUID, line map[string]any, pieces int) {
	s.t.Helper()
	r := s.post("/v1/orders/"+order.String()+"/returns", body{"lines": []any{body{"line_id": line["id"], "quantity": pieces, "reason_code": "unwanted"}}}).Want(http.StatusCreated).Map()
	at := "/v1/returns/" + r["id"].(string)
	s.post(at+"/approve", body{}).Want(http.StatusOK)
	s.post(at+"/receive", body{}).Want(http.StatusOK)
	s.post(at+"/refund", body{}).Want(http.StatusOK)
}

func (s *till) earned(order uuid.UUID) (points, withheld int64, lines []any) {
	s.t.Helper()
	for _, e := range s.admin.Do(http.MethodGet, "/v1/orders/"+order.String()+"/points", nil).Want(http.StatusOK).Map()["earnings"].([]any) {
		m := e.(map[string]any)
		if m["unit"] == "points" {
			return int64(m["points"].(float64)), int64(m["withheld_points"].(float64)), m["lines"].([]any)
		}
	}
	return 0, 0, nil
}

func (s *till) unit(change body) {
	s.t.Helper()
	for _, u := range s.admin.Do(http.MethodGet, "/v1/points/units", nil).Want(http.StatusOK).Map()["items"].([]any) {
		if m := u.(map[string]any); m["code"] == "points" {
			s.admin.Do(http.MethodPatch, "/v1/points/units/"+m["id"].(string), change).Want(http.StatusOK)
		}
	}
}

// addsUp checks the whole ledger.
func (s *till) addsUp() {
	s.t.Helper()
	found, err := s.Server.Points.Verify(auth.System(s.t.Context(), "test"), 10)
	require.NoError(s.t, err)
	require.Empty(s.t, found.Differences)
}

func TestOrdersEarnByRules(t *testing.T) {
	s := newTill(t)
	base := s.base()
	novels := s.rule(body{"kind": "spend", "spend": body{"points": 3, "per_amount": 200, "priority": 1}, "conditions": body{"category_ids": []any{s.books}}})
	weekend := s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 200}, "conditions": body{"weekdays": []int{3}}}) // the first of July 2026 is a Wednesday
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 150}, "conditions": body{"store_ids": []any{s.store}}})     // less than the one above
	more := s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 110, "combinable": true}, "conditions": body{"skus": []any{"D"}, "channels": []any{"web"}}})
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 900}, "conditions": body{"tiers": []any{"gold"}}})
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 900}, "conditions": body{"min_amount": 1000000}})
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 900}, "conditions": body{"starts_at": start.Add(time.Hour)}})
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 900}, "status": "paused"})
	s.unit(body{"rounding": "half_up"})

	// 2 × 25.50 by 3 for 2 yuan, doubled: 153; 199.90 doubled: 399.8; 10.00 by 210 %: 21.
	preview := s.post("/v1/points/preview", body{"store_id": s.store, "channel": "web", "customer_id": s.member,
		"lines": []any{body{"sku": "B", "quantity": 2}, body{"sku": "C", "quantity": 1}, body{"sku": "D", "quantity": 1}}}).Want(http.StatusOK).Map()["earnings"].([]any)
	require.Len(t, preview, 1)
	require.EqualValues(t, 574, preview[0].(map[string]any)["points"])
	s.has(s.member, 0, 0, 0)

	id, total, made := s.order(nil, line{"B", 2}, line{"C", 1}, line{"D", 1})
	s.has(s.member, 0, 0, 0) // nothing is paid
	s.pay(id, total)
	s.has(s.member, 0, 574, 0)
	n, withheld, lines := s.earned(id)
	require.EqualValues(t, []int64{574, 0}, []int64{n, withheld})
	require.Len(t, lines, 3)
	first, last := lines[0].(map[string]any), lines[2].(map[string]any)
	require.Equal(t, []any{made[0]["id"], 5100.0, 3.0, 200.0, 200.0, "153.00"}, []any{first["line_id"], first["amount"], first["points"], first["per_amount"], first["percent"], first["earned"]})
	require.Equal(t, []any{body{"rule_id": novels.String(), "version": 1.0}, body{"rule_id": weekend.String(), "version": 1.0}}, first["rules"])
	require.Equal(t, []any{body{"rule_id": base.String(), "version": 1.0}, body{"rule_id": more.String(), "version": 1.0}, body{"rule_id": weekend.String(), "version": 1.0}}, last["rules"])
	e := s.entries(s.member)
	require.Len(t, e, 1)
	require.Equal(t, []any{"earn", id.String()}, []any{e[0]["kind"], e[0]["order_id"]})

	// A rule that changes leaves what was earned alone; the next order earns by the new one.
	s.admin.Do(http.MethodPatch, "/v1/points/rules/"+base.String(), body{"spend": body{"points": 2, "per_amount": 100}}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	s.admin.Do(http.MethodPatch, "/v1/points/rules/"+base.String(), body{"spend": body{"points": 2, "per_amount": 100}}, "If-Match", `"1"`).Want(http.StatusOK)
	s.post("/v1/orders/"+id.String()+"/complete", body{}).Want(http.StatusOK)
	s.back(id, made[1], 1)
	s.has(s.member, 0, 574-400, 0) // 573.8 less 399.8 is 174
	s.addsUp()
	versions := s.admin.Do(http.MethodGet, "/v1/points/rules/"+base.String()+"/versions", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.Len(t, versions, 2)
}

func (s *till) entries(id uuid.UUID) (out []map[string]any) {
	s.t.Helper()
	for _, e := range s.admin.Do(http.MethodGet, at(id)+"/entries?limit=200", nil).Want(http.StatusOK).Map()["items"].([]any) {
		out = append(out, e.(map[string]any))
	}
	return out
}

func TestReturnsTakePointsBack(t *testing.T) {
	s := newTill(t)
	s.base()
	members := make([]uuid.UUID, 5)
	for i := range members {
		members[i] = s.programme.member()
	}
	fresh := func(policy string, pending int) {
		s.unit(body{"return_policy": policy, "pending_days": pending})
		s.member, members = members[0], members[1:]
	}
	run := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			all := s.programme
			mine := *all
			mine.t = t
			s.programme = &mine
			defer func() { s.programme, all.admin, all.keys = all, mine.admin, mine.keys }()
			f(t)
		})
	}
	run("piece by piece, to the last point", func(t *testing.T) {
		fresh("within_balance", 30)
		id, made := s.bought(line{"B", 3}, line{"D", 1}) // 76.50 + 10.00: 86
		s.has(s.member, 0, 86, 0)
		s.back(id, made[0], 1) // 61.00 is left
		s.has(s.member, 0, 61, 0)
		s.back(id, made[0], 1) // 35.50
		s.has(s.member, 0, 35, 0)
		s.back(id, made[1], 1)
		s.has(s.member, 0, 25, 0)
		s.back(id, made[0], 1)
		s.has(s.member, 0, 0, 0)
	})
	run("only what is pending", func(t *testing.T) {
		fresh("only_pending", 0)
		id, made := s.bought(line{"D", 2})
		s.has(s.member, 20, 0, 0)
		s.back(id, made[0], 1)
		s.has(s.member, 20, 0, 0)
		n, withheld, _ := s.earned(id)
		require.Equal(t, []int64{10, -10}, []int64{n, withheld})
	})
	run("no more than there is", func(t *testing.T) {
		fresh("within_balance", 0)
		id, made := s.bought(line{"D", 3})
		s.give(s.member, 5)
		s.post(at(s.member)+"/redeem", body{"points": 25}).Want(http.StatusCreated) // 10 are left, of either lot
		s.back(id, made[0], 2)
		s.has(s.member, 0, 0, 0)
		n, withheld, _ := s.earned(id)
		require.Equal(t, []int64{10, -10}, []int64{n, withheld})
		s.back(id, made[0], 1) // nothing is there to take
		n, withheld, _ = s.earned(id)
		require.Equal(t, []int64{0, -20}, []int64{n, withheld})
	})
	run("into debt, which the next points settle", func(t *testing.T) {
		fresh("may_go_negative", 0)
		id, made := s.bought(line{"D", 3})
		s.post(at(s.member)+"/redeem", body{"points": 25}).Want(http.StatusCreated)
		s.back(id, made[0], 3)
		s.has(s.member, -25, 0, 0)
		s.post(at(s.member)+"/redeem", body{"points": 1}).WantProblem(http.StatusConflict, "points.insufficient", "/points")
		s.unit(body{"pending_days": 7})
		s.bought(line{"D", 2})
		s.has(s.member, -25, 20, 0)
		s.wait(8 * 24 * time.Hour)
		s.has(s.member, -5, 0, 0)
		s.give(s.member, 7)
		s.has(s.member, 2, 0, 0)
	})
	run("what has expired is not taken twice", func(t *testing.T) {
		fresh("may_go_negative", 0)
		s.unit(body{"expiry_method": "days", "expiry_count": 5})
		id, made := s.bought(line{"D", 3})
		s.wait(7 * 24 * time.Hour)
		s.has(s.member, 0, 0, 0)
		s.give(s.member, 100)
		s.back(id, made[0], 1)
		s.back(id, made[0], 2)
		s.has(s.member, 100, 0, 0)
	})
	s.addsUp()
}

func TestTicketsEarn(t *testing.T) {
	s := newTill(t)
	rule := s.base()
	ticket := func(number string, extra body) body {
		b := body{"store_id": s.store, "external_number": number, "type": "sale", "placed_at": s.Clock.Now(), "customer": body{"id": s.member},
			"lines": []any{body{"sku": "D", "quantity": 3, "unit_price_amount": 1000}, body{"sku": "B", "quantity": 1, "unit_price_amount": 2550}}}
		for k, v := range extra {
			b[k] = v
		}
		return b
	}
	send := func(tickets ...body) {
		t.Helper()
		r := s.post("/v1/pos/orders", body{"orders": tickets}).Want(http.StatusOK).Map()
		for _, one := range r["results"].([]any) {
			require.NotEqual(t, "error", one.(map[string]any)["status"], "%v", one)
		}
	}
	send(ticket("T-1", nil))
	s.has(s.member, 0, 55, 0)
	send(ticket("T-1", nil)) // again: known
	s.has(s.member, 0, 55, 0)
	back := func(number, original string, pieces int) body {
		return ticket(number, body{"type": "return", "original_external_number": original, "lines": []any{body{"sku": "D", "quantity": pieces, "unit_price_amount": 1000}}})
	}
	send(back("T-2", "T-1", 1))
	s.has(s.member, 0, 45, 0)
	// Somebody else brings goods back: the points of who bought them go.
	other := back("T-2b", "T-1", 1)
	delete(other, "customer")
	send(other)
	s.has(s.member, 0, 35, 0)
	send(ticket("T-1b", body{"lines": []any{body{"sku": "D", "quantity": 1, "unit_price_amount": 1000}}}))
	s.has(s.member, 0, 45, 0)
	// A return that comes before its sale, and one in the same batch.
	send(back("T-4", "T-3", 2))
	s.has(s.member, 0, 45, 0)
	send(ticket("T-3", nil), back("T-5", "T-3", 1))
	s.has(s.member, 0, 45+25, 0)
	// A ticket comes late: it earns by the rules of its time.
	when := s.Clock.Now()
	s.wait(48 * time.Hour)
	s.admin.Do(http.MethodPatch, "/v1/points/rules/"+rule.String(), body{"status": "paused"}, "If-Match", `"1"`).Want(http.StatusOK)
	send(ticket("T-6", nil))
	s.has(s.member, 0, 70, 0)
	send(ticket("T-7", body{"placed_at": when}))
	s.has(s.member, 0, 125, 0)
	send(ticket("T-8", body{"placed_at": start.Add(-time.Hour)})) // there was no rule
	s.has(s.member, 0, 125, 0)
	s.addsUp()
}

func TestPointsPay(t *testing.T) {
	s := newTill(t)
	s.base()
	s.unit(body{"pending_days": 0, "redeem_points": 100, "redeem_amount": 100, "redeem_share_percent": 50})
	s.give(s.member, 1500)
	s.post("/v1/orders", body{"store_id": s.store, "channel": "web", "customer_id": s.member, "lines": []any{body{"sku": "D", "quantity": 2}}, "points_to_redeem": 1100}).
		WantProblem(http.StatusUnprocessableEntity, "points.redeem_share", "/points_to_redeem")
	s.post("/v1/orders", body{"store_id": s.store, "channel": "web", "lines": []any{body{"sku": "D", "quantity": 2}}, "points_to_redeem": 100}).
		WantProblem(http.StatusUnprocessableEntity, "orders.points_of_nobody", "/points_to_redeem")
	s.post("/v1/orders", body{"store_id": s.store, "channel": "web", "customer_id": s.member, "lines": []any{body{"sku": "C", "quantity": 1}}, "points_to_redeem": 9000}).
		WantProblem(http.StatusConflict, "points.insufficient", "/points_to_redeem")
	s.has(s.member, 1500, 0, 0)

	// Blocked until it is paid; free again where it is cancelled.
	id, _, _ := s.order(body{"points_to_redeem": 1000}, line{"D", 2})
	s.has(s.member, 500, 0, 1000)
	s.post("/v1/orders/"+id.String()+"/cancel", body{"reason": "不要了"}).Want(http.StatusOK)
	s.has(s.member, 1500, 0, 0)

	// Paid: they are spent, and what they paid earns nothing: 10 of 20 yuan.
	id, _, made := s.order(body{"points_to_redeem": 1000}, line{"D", 2})
	s.pay(id, 1000)
	s.has(s.member, 500+10, 0, 0)
	s.post("/v1/orders/"+id.String()+"/complete", body{}).Want(http.StatusOK)
	// The money goes back first: 10 yuan of cash. What is left was paid by points.
	s.back(id, made[0], 1)
	s.has(s.member, 500, 0, 0)
	s.back(id, made[0], 1)
	s.has(s.member, 1500, 0, 0)

	// What pays an order follows the order, and nobody's hand: neither free before it is
	// paid nor given back while it stays bought.
	held := func() string {
		return s.admin.Do(http.MethodGet, at(s.member)+"/holds?limit=1", nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)["id"].(string)
	}
	id, _, _ = s.order(body{"points_to_redeem": 500}, line{"D", 2})
	for _, step := range []string{"release", "capture"} {
		s.post("/v1/points/holds/"+held()+"/"+step, nil).WantProblem(http.StatusConflict, "points.hold_owned")
	}
	s.pay(id, 1500)
	s.post("/v1/points/holds/"+held()+"/give-back", nil).WantProblem(http.StatusConflict, "points.hold_owned")
	s.post("/v1/orders/"+id.String()+"/cancel", body{"reason": "不要了"}).Want(http.StatusOK)
	s.has(s.member, 1500, 0, 0)
	// Who may place orders may not spend members' points by that alone.
	key := s.admin.Do(http.MethodPost, "/v1/api-keys", body{"name": "网店", "all_stores": true, "permissions": []any{"orders.place", "orders.read"}}).Want(http.StatusCreated).Map()["key"].(string)
	s.Bearer(key).Do(http.MethodPost, "/v1/orders", body{"store_id": s.store, "channel": "web", "customer_id": s.member, "lines": []any{body{"sku": "D", "quantity": 2}}, "points_to_redeem": 500}, "Idempotency-Key", "not-theirs").
		WantProblem(http.StatusForbidden, "orders.points_not_yours", "/points_to_redeem")

	// Not paid in time.
	s.order(body{"points_to_redeem": 500}, line{"D", 2})
	s.wait(31 * time.Minute)
	_, err := s.Server.Orders.CancelUnpaid(auth.System(t.Context(), "test"))
	require.NoError(t, err)
	s.has(s.member, 1500, 0, 0)
	s.addsUp()
}

func TestEventsGivePoints(t *testing.T) {
	s := newTill(t)
	members := []uuid.UUID{s.programme.member(), s.programme.member(), s.programme.member(), s.programme.member()}
	report := func(kind, key string, want ...string) {
		t.Helper()
		var got []string
		for _, o := range s.post(at(s.member)+"/events", body{"type": kind, "key": key}).Want(http.StatusOK).Map()["outcomes"].([]any) {
			got = append(got, o.(map[string]any)["result"].(string))
		}
		require.Equal(t, want, got)
	}
	report("vote", "nobody-cares")
	rule := s.rule(body{"kind": "event", "name": "投票", "event": body{"type": "vote", "points": 50, "daily_times": 2, "member_times": 3}})
	report("vote", "1", "given")
	report("vote", "1", "already_reported")
	report("vote", "2", "given")
	report("vote", "3", "daily_cap")
	s.has(s.member, 100, 0, 0)
	e := s.entries(s.member)[0]
	require.Equal(t, []any{"earn", rule.String(), 1.0, "投票"}, []any{e["kind"], e["rule_id"], e["rule_version"], e["reason"]})
	s.wait(24 * time.Hour)
	report("vote", "4", "given")
	report("vote", "5", "member_cap")
	s.has(s.member, 150, 0, 0)

	s.rule(body{"kind": "event", "event": body{"type": "book_finished", "points": 20, "every_count": 3}})
	for i, want := range []string{"not_yet", "not_yet", "given", "not_yet", "not_yet", "given"} {
		report("book_finished", fmt.Sprint(i), want)
	}
	s.has(s.member, 190, 0, 0)

	s.rule(body{"kind": "event", "event": body{"type": "check_in", "points": 10, "streak_days": 3}})
	for day, want := range []string{"not_yet", "not_yet", "given", "not_yet", "not_yet", "given"} {
		report("check_in", fmt.Sprint(day), want)
		s.wait(24 * time.Hour)
	}
	s.wait(24 * time.Hour) // a day without
	report("check_in", "later", "not_yet")
	s.has(s.member, 210, 0, 0)

	s.post(at(s.member)+"/events", body{"type": "vote", "key": "x", "occurred_at": s.Clock.Now().Add(time.Hour)}).WantProblem(http.StatusUnprocessableEntity, "points.instant_in_the_future", "/occurred_at")
	s.post(at(s.member)+"/events", body{"type": "vote", "key": "x", "occurred_at": s.Clock.Now().Add(-400 * 24 * time.Hour)}).WantProblem(http.StatusUnprocessableEntity, "points.instant_too_old", "/occurred_at")

	// A budget is never exceeded, whoever comes at the same time, and no key counts twice.
	bounded := s.rule(body{"kind": "event", "event": body{"type": "review", "points": 30, "total_points": 100}})
	var given atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			out, err := s.Server.Points.Report(auth.System(context.Background(), "test"), points.Happening{CustomerID: members[i%4], Type: "review", Key: fmt.Sprint(i / 8)})
			assert.NoError(t, err)
			for _, o := range out {
				given.Add(o.Points)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 90, given.Load())
	require.EqualValues(t, 90, s.admin.Do(http.MethodGet, "/v1/points/rules/"+bounded.String(), nil).Map()["given_points"])
	s.addsUp()
}

func TestSignUpsGivePoints(t *testing.T) {
	s := newTill(t)
	s.rule(body{"kind": "event", "event": body{"type": "sign_up", "points": 100}})
	s.rule(body{"kind": "event", "event": body{"type": "profile_completed", "points": 30}})
	s.member = s.programme.member()
	_, err := s.Server.Events.Drain(t.Context())
	require.NoError(t, err)
	s.has(s.member, 100, 0, 0)
	s.admin.Do(http.MethodPatch, "/v1/customers/"+s.member.String(), body{"phone": "13800138011", "gender": "female", "birth_date": "1990-05-04"}).Want(http.StatusOK)
	s.admin.Do(http.MethodPatch, "/v1/customers/"+s.member.String(), body{"gender": "other"}).Want(http.StatusOK)
	_, err = s.Server.Events.Drain(t.Context())
	require.NoError(t, err)
	s.has(s.member, 130, 0, 0)
}

func TestPartnersSettle(t *testing.T) {
	s := newTill(t)
	key := s.admin.Do(http.MethodPost, "/v1/api-keys", body{"name": "航空公司", "all_stores": true, "permissions": []any{"points.read", "points.redeem", "points.adjust", "customers.read"}}).Want(http.StatusCreated).Map()
	theirs := s.Bearer(key["key"].(string))
	id := key["id"].(string)
	rate := func(from string, issue, redeem int) body {
		return body{"unit": "points", "from": from, "issue_amount": issue, "redeem_amount": redeem}
	}
	partner := s.post("/v1/points/partners", body{"code": "airline", "name": "航空里程", "api_key_ids": []any{id}, "rates": []any{rate("2026-06-01", 80, 95), rate("2026-07-03", 81, 100)}}).Want(http.StatusCreated).Map()["id"].(string)
	s.post("/v1/points/partners", body{"code": "other", "name": "其他", "api_key_ids": []any{id}}).WantProblem(http.StatusUnprocessableEntity, "points.partner_key", "/api_key_ids/0")
	s.post("/v1/points/partners", body{"code": "airline", "name": "其他"}).WantProblem(http.StatusConflict, "points.partner_code_taken", "/code")

	n := 0
	do := func(path string, b body) *testkit.Response {
		n++
		return theirs.Do(http.MethodPost, path, b, "Idempotency-Key", fmt.Sprint("partner-", n))
	}
	give := func(points int, key string) {
		t.Helper()
		do("/v1/points/grants", body{"grants": []any{body{"customer": body{"id": s.member}, "points": points, "reason": "里程兑换", "key": key}}}).Want(http.StatusOK)
	}
	give(1001, "flight-1")
	s.give(s.member, 5000) // ours
	spent := do(at(s.member)+"/redeem", body{"points": 333}).Want(http.StatusCreated).Map()
	do("/v1/points/holds/"+spent["id"].(string)+"/give-back", body{"points": 33}).Want(http.StatusOK)
	s.post(at(s.member)+"/redeem", body{"points": 50}).Want(http.StatusCreated) // with us
	s.wait(72 * time.Hour)                                                      // another rate by now
	give(100, "flight-2")

	got := s.admin.Do(http.MethodGet, "/v1/points/partners/"+partner+"/settlement?from=2026-07-01&to=2026-07-31", nil).Want(http.StatusOK).Map()
	periods := got["periods"].([]any)
	require.Len(t, periods, 2)
	first, second := periods[0].(map[string]any), periods[1].(map[string]any)
	// 1,001 at 80 for each hundred: 800.8; 300 at 95: 285.
	require.Equal(t, []any{"2026-07-01", "2026-07-02", 1001.0, 333.0, 33.0, 801.0, 285.0},
		[]any{first["from"], first["to"], first["issued_points"], first["redeemed_points"], first["given_back_points"], first["issue_amount"], first["redeem_amount"]})
	require.Equal(t, []any{"2026-07-03", "2026-07-31", 100.0, 0.0, 81.0}, []any{second["from"], second["to"], second["issued_points"], second["redeemed_points"], second["issue_amount"]})
	require.EqualValues(t, 801+81-285, got["net_amount"])
	entries := s.admin.Do(http.MethodGet, "/v1/points/partners/"+partner+"/entries?include=total_count", nil).Want(http.StatusOK).Map()
	require.EqualValues(t, 4, entries["total_count"])
	s.admin.Do(http.MethodGet, "/v1/points/partners/"+partner+"/settlement?from=2026-07-31&to=2026-07-01", nil).WantProblem(http.StatusUnprocessableEntity, "points.period", "?to")
	// What has been settled by stays.
	s.admin.Do(http.MethodPatch, "/v1/points/partners/"+partner, body{"rates": []any{rate("2026-06-01", 1, 1), rate("2026-07-03", 81, 100)}}).WantProblem(http.StatusUnprocessableEntity, "points.partner_rate", "/rates/0")
	s.admin.Do(http.MethodPatch, "/v1/points/partners/"+partner, body{"rates": []any{rate("2026-06-01", 80, 95), rate("2026-07-03", 81, 100), rate("2026-08-01", 90, 90)}}).Want(http.StatusOK)
	s.addsUp()
}

func TestGrantsToMany(t *testing.T) {
	s := newTill(t)
	other := s.Customer(body{"external_id": "E-9", "name": "另一位"}).Id
	s.unit(body{"approval_limit": 1000})
	one := func(customer body, points int, key string, extra ...body) body {
		b := body{"customer": customer, "points": points, "reason": "期初余额", "key": key}
		for _, e := range extra {
			for k, v := range e {
				b[k] = v
			}
		}
		return b
	}
	send := func(grants ...body) (out []string) {
		t.Helper()
		for _, r := range s.post("/v1/points/grants", body{"grants": grants}).Want(http.StatusOK).Map()["results"].([]any) {
			m := r.(map[string]any)
			if e, ok := m["error"].(map[string]any); ok {
				out = append(out, e["code"].(string)+" "+e["pointer"].(string))
			} else {
				out = append(out, m["status"].(string))
			}
		}
		return out
	}
	me := body{"id": s.member}
	all := []body{
		one(me, 100, "a"), one(body{"external_id": "E-9"}, 50, "a"), one(me, 100, "a"), one(me, 10, "b", body{"expires_at": start.Add(48 * time.Hour)}),
		one(body{"external_id": "nobody"}, 1, "a"), one(me, 1001, "c"), one(me, 1, "d", body{"unit": "nothing"}), one(me, 1, "e", body{"earned_at": start.Add(time.Hour)}),
		one(me, 1, "f", body{"expires_at": start}),
	}
	wrong := []string{"points.grant_customer_unknown /grants/4/customer", "points.needs_approval /grants/5/points", "points.unit_unknown /grants/6/unit",
		"points.instant_in_the_future /grants/7/earned_at", "points.expired_already /grants/8/expires_at"}
	require.Equal(t, append([]string{"granted", "granted", "known", "granted"}, wrong...), send(all...))
	require.Equal(t, append([]string{"known", "known", "known", "known"}, wrong...), send(all...))
	s.has(s.member, 110, 0, 0)
	s.has(other, 50, 0, 0)
	s.wait(72 * time.Hour)
	s.has(s.member, 100, 0, 0)
	s.addsUp()
}

func TestRulesThatCannotBe(t *testing.T) {
	s := newTill(t)
	spend := body{"points": 1, "per_amount": 100}
	for name, one := range map[string]struct {
		rule          body
		code, pointer string
	}{
		"no terms":          {body{"kind": "spend"}, "points.rule_terms", "/spend"},
		"another kind's":    {body{"kind": "spend", "spend": spend, "multiplier": body{"percent": 200}}, "points.rule_terms", "/spend"},
		"both":              {body{"kind": "event", "spend": spend, "event": body{"type": "vote", "points": 1}}, "points.rule_terms", "/event"},
		"ends before":       {body{"kind": "spend", "spend": spend, "conditions": body{"starts_at": start, "ends_at": start}}, "points.rule_period", "/conditions/ends_at"},
		"no such store":     {body{"kind": "spend", "spend": spend, "conditions": body{"store_ids": []any{s.store, uuid.New()}}}, "points.rule_condition", "/conditions/store_ids/1"},
		"no such SKU":       {body{"kind": "spend", "spend": spend, "conditions": body{"skus": []any{"X"}}}, "points.rule_condition", "/conditions/skus/0"},
		"goods of an event": {body{"kind": "event", "event": body{"type": "vote", "points": 1}, "conditions": body{"skus": []any{"B"}}}, "points.rule_condition_unmeant", "/conditions"},
		"streak and count":  {body{"kind": "event", "event": body{"type": "vote", "points": 1, "every_count": 2, "streak_days": 2}}, "points.rule_terms", "/event/streak_days"},
		"no such unit":      {body{"kind": "spend", "spend": spend, "unit": "nothing"}, "points.unit_unknown", "/unit"},
	} {
		t.Run(name, func(t *testing.T) {
			one.rule["code"], one.rule["name"] = "x", "规则"
			s.admin.Do(http.MethodPost, "/v1/points/rules", one.rule).WantProblem(http.StatusUnprocessableEntity, one.code, one.pointer)
		})
	}
	for name, b := range map[string]body{
		"a fraction": {"code": "x", "name": "规则", "kind": "spend", "spend": body{"points": 0.5, "per_amount": 100}},
		"negative":   {"code": "x", "name": "规则", "kind": "spend", "spend": body{"points": -1, "per_amount": 100}},
	} {
		t.Run(name, func(t *testing.T) {
			s.admin.Do(http.MethodPost, "/v1/points/rules", b).Want(http.StatusUnprocessableEntity)
		})
	}
	s.base()
	s.admin.Do(http.MethodPost, "/v1/points/rules", body{"code": "base", "name": "规则", "kind": "spend", "spend": spend}).WantProblem(http.StatusConflict, "points.rule_code_taken", "/code")
}

// TestPointsFollowOrders has random orders, of several members at once, bought and
// brought back in pieces. Whatever happened: what an order has earned is what is
// left of it, and everything adds up.
func TestPointsFollowOrders(t *testing.T) {
	s := newTill(t)
	s.base()
	s.rule(body{"kind": "multiplier", "multiplier": body{"percent": 133}, "conditions": body{"category_ids": []any{s.books}}})
	s.unit(body{"return_policy": "may_go_negative", "rounding": "half_up"})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for w := range 4 {
		member := s.programme.member()
		all.Go(func() {
			chance := rand.New(rand.NewPCG(seed, uint64(w)))
			c := &till{programme: &programme{App: s.App, t: t, admin: s.admin, keys: (w + 1) * 100000}, store: s.store, member: member}
			var expected int64
			for range 5 {
				quantities := []int{1 + chance.IntN(4), 1 + chance.IntN(3), 1 + chance.IntN(2)}
				id, made := c.bought(line{"B", quantities[0]}, line{"D", quantities[1]}, line{"C", quantities[2]})
				left := []int{quantities[0], quantities[1], quantities[2]}
				var points int64
				for range chance.IntN(4) {
					n := chance.IntN(3)
					if left[n] == 0 {
						continue
					}
					k := 1 + chance.IntN(left[n])
					c.back(id, made[n], k)
					left[n] -= k
					// Half a point up, of 133 % of books and all else: in ten-thousandths.
					points = (int64(left[0])*2550*133 + int64(left[1])*1000*100 + int64(left[2])*19990*100 + 5000) / 10000
					got, withheld, _ := c.earned(id)
					assert.Equal(t, []int64{points, 0}, []int64{got, withheld})
				}
				points = (int64(left[0])*2550*133 + int64(left[1])*1000*100 + int64(left[2])*19990*100 + 5000) / 10000
				expected += points
			}
			c.has(member, 0, expected, 0)
		})
	}
	all.Wait()
	s.addsUp()
}
