package referrals_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

var start = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

// world is a shop whose members bring others.
type world struct {
	*testkit.App
	t     *testing.T
	admin *testkit.Client
	store uuid.UUID
	keys  int
}

func newWorld(t *testing.T) *world {
	app := testkit.New(t, testkit.At(start))
	w := &world{App: app, t: t, admin: app.Admin()}
	w.store = app.Store().Id
	w.admin.Do(http.MethodPost, "/v1/products", body{"title": "书", "variants": []any{body{"sku": "B", "price_amount": 3000}}}).Want(http.StatusCreated)
	w.terms(nil)
	return w
}

func (w *world) terms(change body) {
	w.t.Helper()
	now := w.admin.Do(http.MethodGet, "/v1/referral-programme", nil).Want(http.StatusOK)
	b := now.Map()
	delete(b, "version")
	delete(b, "updated_at")
	b["enabled"], b["min_amount"], b["window_days"], b["referee_points"] = true, 5000, 7, 100
	for k, v := range change {
		b[k] = v
	}
	w.admin.Do(http.MethodPut, "/v1/referral-programme", b, "If-Match", now.Header.Get("ETag")).Want(http.StatusOK)
}

func (w *world) post(path string, b any) *testkit.Response {
	w.t.Helper()
	w.keys++
	return w.admin.Do(http.MethodPost, path, b, "Idempotency-Key", fmt.Sprint("referral-", w.keys))
}

func (w *world) person(extra ...body) uuid.UUID {
	b := body{"external_id": uuid.NewString(), "name": "顾客"}
	for _, e := range extra {
		for k, v := range e {
			b[k] = v
		}
	}
	return w.Customer(b).Id
}

func (w *world) code(id uuid.UUID) string {
	w.t.Helper()
	return w.post("/v1/referral-codes", body{"customer_id": id}).Want(http.StatusCreated).Map()["code"].(string)
}

func (w *world) bring(code string, id uuid.UUID) string {
	w.t.Helper()
	return w.post("/v1/referrals", body{"code": code, "customer_id": id}).Want(http.StatusCreated).Map()["id"].(string)
}

func (w *world) status(id string) string {
	w.t.Helper()
	return w.admin.Do(http.MethodGet, "/v1/referrals/"+id, nil).Want(http.StatusOK).Map()["status"].(string)
}

// buys has a customer buy pieces of 30 yuan, at the till.
func (w *world) buys(id uuid.UUID, pieces int) (order string, line string) {
	w.t.Helper()
	r := w.post("/v1/orders", body{"store_id": w.store, "channel": "pos", "customer_id": id, "lines": []any{body{"sku": "B", "quantity": pieces}},
		"payments": []any{body{"method": "cash", "amount": 3000 * pieces}}}).Want(http.StatusCreated).Map()
	w.heard()
	return r["id"].(string), r["lines"].([]any)[0].(map[string]any)["id"].(string)
}

func (w *world) returns(order, line string, pieces int) {
	w.t.Helper()
	r := w.post("/v1/orders/"+order+"/returns", body{"lines": []any{body{"line_id": line, "quantity": pieces, "reason_code": "unwanted"}}}).Want(http.StatusCreated).Map()
	for _, step := range []string{"approve", "receive", "refund"} {
		w.post("/v1/returns/"+r["id"].(string)+"/"+step, body{}).Want(http.StatusOK)
	}
	w.heard()
}

// heard has everything that happened be told.
func (w *world) heard() {
	w.t.Helper()
	_, err := w.Server.Events.Drain(w.t.Context())
	require.NoError(w.t, err)
}

// wait lets time go by, and four workers reward what is due.
func (w *world) wait(d time.Duration) {
	w.t.Helper()
	w.Advance(d)
	w.admin = w.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			_, err := w.Server.Referrals.RewardDue(context.Background())
			assert.NoError(w.t, err)
		})
	}
	all.Wait()
}

func (w *world) has(id uuid.UUID, points int) {
	w.t.Helper()
	require.EqualValues(w.t, points, w.admin.Do(http.MethodGet, "/v1/customers/"+id.String()+"/points", nil).Want(http.StatusOK).Map()["balance"])
}

const day = 24 * time.Hour

func TestBothSidesAreRewarded(t *testing.T) {
	w := newWorld(t)
	old, fresh, third := w.person(), w.person(), w.person()
	code := w.code(old)
	require.Equal(t, code, w.code(old))
	r := w.bring(" "+code, fresh)
	require.Equal(t, "registered", w.status(r))
	w.buys(fresh, 1) // too little
	require.Equal(t, "registered", w.status(r))
	order, line := w.buys(fresh, 3)
	require.Equal(t, "qualifying", w.status(r))
	w.wait(6 * day)
	w.has(old, 0)
	w.wait(2 * day)
	require.Equal(t, "rewarded", w.status(r))
	w.has(old, 200)
	w.has(fresh, 100)
	w.wait(day)
	w.has(old, 200)
	// So much comes back later that it would not have been enough.
	w.returns(order, line, 1)
	require.Equal(t, "rewarded", w.status(r))
	w.returns(order, line, 1)
	require.Equal(t, "reversed", w.status(r))
	w.has(old, 0)
	w.has(fresh, 0)

	// What comes back within the window does not count; a later order does.
	r = w.bring(code, third)
	order, line = w.buys(third, 2)
	w.returns(order, line, 1)
	w.wait(8 * day)
	require.Equal(t, "registered", w.status(r))
	w.buys(third, 4)
	w.wait(8 * day)
	require.Equal(t, "rewarded", w.status(r))
	w.has(old, 200)
	list := w.admin.Do(http.MethodGet, "/v1/referrals?referred_by="+old.String()+"&include=total_count", nil).Want(http.StatusOK).Map()
	require.EqualValues(t, 2, list["total_count"])
	found, err := w.Server.Points.Verify(auth.System(t.Context(), "test"), 10)
	require.NoError(t, err)
	require.Empty(t, found.Differences)
}

func TestWhoCannotCome(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.person(), w.person(), w.person()
	try := func(code string, who uuid.UUID) *testkit.Response {
		return w.post("/v1/referrals", body{"code": code, "customer_id": who})
	}
	ofA := w.code(a)
	try(ofA, a).WantProblem(http.StatusUnprocessableEntity, "referrals.self", "/code")
	try("NOBODYS2", b).WantProblem(http.StatusUnprocessableEntity, "referrals.code_unknown", "/code")
	try(ofA, uuid.New()).WantProblem(http.StatusUnprocessableEntity, "referrals.customer_unknown", "/customer_id")
	w.bring(ofA, b)
	try(ofA, b).WantProblem(http.StatusConflict, "referrals.already_referred")
	w.bring(w.code(b), c)
	try(w.code(c), a).WantProblem(http.StatusUnprocessableEntity, "referrals.cyclic", "/code")
	buyer := w.person()
	w.buys(buyer, 1)
	try(ofA, buyer).WantProblem(http.StatusUnprocessableEntity, "referrals.not_new")
	id := w.admin.Do(http.MethodGet, "/v1/referral-codes?code="+ofA, nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)["id"].(string)
	w.admin.Do(http.MethodPatch, "/v1/referral-codes/"+id, body{"status": "disabled"}).Want(http.StatusOK)
	late := w.person()
	try(ofA, late).WantProblem(http.StatusUnprocessableEntity, "referrals.code_unknown", "/code")
	w.wait(40 * day)
	try(w.code(b), late).WantProblem(http.StatusUnprocessableEntity, "referrals.not_new")
	w.terms(body{"enabled": false})
	try(w.code(b), late).WantProblem(http.StatusUnprocessableEntity, "referrals.programme_off")
	current := w.admin.Do(http.MethodGet, "/v1/referral-programme", nil)
	b2 := current.Map()
	delete(b2, "version")
	delete(b2, "updated_at")
	b2["link_template"] = "https://shop.example/"
	w.admin.Do(http.MethodPut, "/v1/referral-programme", b2, "If-Match", current.Header.Get("ETag")).WantProblem(http.StatusUnprocessableEntity, "referrals.link_without_code", "/link_template")
	b2["link_template"] = ""
	w.admin.Do(http.MethodPut, "/v1/referral-programme", b2).WantProblem(http.StatusPreconditionRequired, "request.version_required")
}

func TestSuspiciousReferralsAreHeld(t *testing.T) {
	w := newWorld(t)
	w.terms(body{"monthly_limit": 1})
	home := body{"address": body{"city": "上海市", "line1": "淮海中路 1 号"}}
	old, same, other, one := w.person(home), w.person(home), w.person(), w.person()
	code := w.code(old)
	held, fine, beyond := w.bring(code, same), w.bring(code, other), w.bring(code, one)
	w.buys(same, 2)
	w.buys(other, 2)
	w.wait(8 * day)
	require.Equal(t, "held", w.status(held))
	require.Equal(t, []any{"same_address", "likely_duplicate"}, w.admin.Do(http.MethodGet, "/v1/referrals/"+held, nil).Map()["signals"])
	require.Equal(t, "rewarded", w.status(fine))
	w.buys(one, 2)
	w.wait(8 * day)
	require.Equal(t, "held", w.status(beyond))
	require.Equal(t, []any{"referrer_limit"}, w.admin.Do(http.MethodGet, "/v1/referrals/"+beyond, nil).Map()["signals"])
	w.has(old, 200)

	w.post("/v1/referrals/"+held+"/reject", body{}).WantProblem(http.StatusUnprocessableEntity, "referrals.reason_needed", "/reason")
	w.post("/v1/referrals/"+held+"/reject", body{"reason": "同一家庭"}).Want(http.StatusOK)
	w.post("/v1/referrals/"+held+"/approve", body{}).WantProblem(http.StatusConflict, "referrals.state")
	w.post("/v1/referrals/"+beyond+"/approve", body{}).Want(http.StatusOK)
	w.has(old, 400)
	w.post("/v1/referrals/"+beyond+"/reverse", body{"reason": "误操作"}).Want(http.StatusOK)
	w.post("/v1/referrals/"+beyond+"/reverse", body{"reason": "误操作"}).WantProblem(http.StatusConflict, "referrals.state")
	w.has(old, 200)
	w.has(one, 0)
}
