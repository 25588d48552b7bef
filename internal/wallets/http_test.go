package wallets_test

import (
	"context"
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
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

type body = map[string]any

// shop is a business whose members have stored value.
type shop struct {
	*testkit.App
	t     *testing.T
	admin *testkit.Client
	keys  atomic.Int64
}

var start = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func newShop(t *testing.T) *shop {
	app := testkit.New(t, testkit.At(start))
	return &shop{App: app, t: t, admin: app.Admin()}
}

func (p *shop) member() uuid.UUID {
	p.t.Helper()
	var made client.Customer
	p.admin.Do(http.MethodPost, "/v1/customers", body{"name": "会员", "external_id": uuid.NewString()}).Want(http.StatusCreated).JSON(&made)
	return made.Id
}

func (p *shop) key() []string {
	return []string{"Idempotency-Key", fmt.Sprint("wallets-", p.keys.Add(1))}
}

func (p *shop) post(path string, b any) *testkit.Response {
	p.t.Helper()
	return p.admin.Do(http.MethodPost, path, b, p.key()...)
}

func (p *shop) programme(b body) {
	p.t.Helper()
	p.admin.Do(http.MethodPut, "/v1/wallet-programme", b).Want(http.StatusOK)
}

func (p *shop) topUp(id uuid.UUID, amount int) (t client.WalletTopUp) {
	p.t.Helper()
	p.post(at(id)+"/top-ups", body{"amount": amount, "method": "cash"}).Want(http.StatusCreated).JSON(&t)
	return t
}

func (p *shop) pay(id uuid.UUID, amount int) (w client.WalletPayment) {
	p.t.Helper()
	p.post(at(id)+"/payments", body{"amount": amount}).Want(http.StatusCreated).JSON(&w)
	return w
}

// wait lets time go by, and signs in anew.
func (p *shop) wait(d time.Duration) {
	p.Advance(d)
	p.admin = p.SignIn(testkit.AdminUsername, testkit.AdminPassword)
}

func at(id uuid.UUID) string { return "/v1/customers/" + id.String() + "/wallet" }

func (p *shop) has(id uuid.UUID, principal, bonus, blocked int64) client.Wallet {
	p.t.Helper()
	var w client.Wallet
	p.admin.Do(http.MethodGet, at(id), nil).Want(http.StatusOK).JSON(&w)
	require.Equal(p.t, []int64{principal, bonus, blocked}, []int64{w.PrincipalAmount, w.BonusAmount, w.BlockedAmount})
	return w
}

// addsUp checks the whole ledger.
func (p *shop) addsUp() {
	p.t.Helper()
	var found client.WalletIntegrity
	p.admin.Do(http.MethodGet, "/v1/wallets/integrity", nil).Want(http.StatusOK).JSON(&found)
	require.Empty(p.t, found.Differences)
	require.True(p.t, found.Ok)
}

func (p *shop) entries(id uuid.UUID, query string) []client.WalletEntry {
	p.t.Helper()
	var list client.WalletEntryList
	p.admin.Do(http.MethodGet, at(id)+"/entries"+query, nil).Want(http.StatusOK).JSON(&list)
	return list.Items
}

// One world for what happens to wallets one after the other: a world costs seconds.
func TestWallets(t *testing.T) {
	p := newShop(t)
	for _, c := range []struct {
		name string
		run  func(p *shop)
	}{
		{"top up, pay, give back", payAndGiveBack}, {"order of spending", orderOfSpending}, {"top-ups go back", topUpsGoBack},
		{"frozen, PIN, limits", guards}, {"adjustments", adjustments}, {"transfers and merges", transfersAndMerges}, {"many spend one", manySpendOne},
		{"holds", holds}, {"bonus expires", bonusExpires}, {"the ledger only grows", onlyGrows},
	} {
		t.Run(c.name, func(t *testing.T) {
			one := &shop{App: p.In(t), t: t}
			one.admin = one.SignIn(testkit.AdminUsername, testkit.AdminPassword)
			one.keys.Store(time.Now().UnixNano())
			one.programme(body{"top_up_rules": []body{{"amount": 50000, "bonus_amount": 5000}, {"amount": 100000, "bonus_amount": 15000}}, "transferable": true})
			c.run(one)
			one.addsUp()
		})
	}
}

func payAndGiveBack(p *shop) {
	t, m := p.t, p.member()
	p.has(m, 0, 0, 0)
	p.post(at(m)+"/payments", body{"amount": 1}).WantProblem(http.StatusConflict, "wallets.insufficient", "/amount")
	assert.Zero(t, p.topUp(m, 49999).BonusAmount)
	assert.EqualValues(t, 15000, p.topUp(m, 120000).BonusAmount, "the highest rule that is reached")
	w := p.has(m, 169999, 15000, 0)
	require.Len(t, w.Expiring, 1)
	assert.Equal(t, "CNY", w.Currency)
	paid := p.pay(m, 180000)
	p.has(m, 0, 4999, 0)
	on := "/v1/wallets/payments/" + paid.Id.String()
	p.post(on+"/capture", nil).WantProblem(http.StatusConflict, "wallets.payment_state")
	p.post(on+"/refund", body{"amount": 180001}).WantProblem(http.StatusConflict, "wallets.more_than_paid", "/amount")
	// The bonus was spent last: it comes back first.
	p.post(on+"/refund", body{"amount": 10000, "reason": "退货"}).Want(http.StatusOK)
	p.has(m, 0, 14999, 0)
	p.post(on+"/refund", body{"amount": 10}).Want(http.StatusOK)
	p.has(m, 9, 15000, 0)
	p.post(on+"/refund", nil).Want(http.StatusOK).JSON(&paid)
	assert.EqualValues(t, 180000, paid.RefundedAmount)
	p.has(m, 169999, 15000, 0)
	p.post(on+"/refund", nil).WantProblem(http.StatusConflict, "wallets.more_than_paid", "/amount")

	// The statement: each line says what there was then, without gaps.
	lines := p.entries(m, "?limit=50")
	require.Len(t, lines, 6)
	var principal, bonus int64
	for i := len(lines) - 1; i >= 0; i-- {
		l := lines[i]
		principal, bonus = principal+l.PrincipalChangeAmount, bonus+l.BonusChangeAmount
		assert.EqualValues(t, len(lines)-i, l.Number)
		assert.Equal(t, []int64{principal, bonus}, []int64{l.PrincipalAfterAmount, l.BonusAfterAmount})
	}
	require.Len(t, p.entries(m, "?kind=refund"), 3)
	var detail client.WalletEntryDetail
	p.admin.Do(http.MethodGet, "/v1/wallets/entries/"+lines[4].Id.String(), nil).Want(http.StatusOK).JSON(&detail)
	require.Len(t, detail.Postings, 2)
	assert.Equal(t, []any{client.WalletBookCashIn, client.WalletBookPrincipal, int64(120000)}, []any{detail.Postings[0].FromBook, detail.Postings[0].ToBook, detail.Postings[0].Amount})
	assert.Equal(t, []any{client.WalletBookMarketing, client.WalletBookBonus, int64(15000)}, []any{detail.Postings[1].FromBook, detail.Postings[1].ToBook, detail.Postings[1].Amount})

	// What is owed, now and before, is what anybody can add up from the postings.
	var l client.WalletLiability
	p.admin.Do(http.MethodGet, "/v1/wallets/liability?kind=wallet", nil).Want(http.StatusOK).JSON(&l)
	assert.Equal(t, []int64{184999, -169999, -15000, 0}, []int64{l.LiabilityAmount, l.CashInAmount, l.MarketingAmount, l.SpentAmount})
	p.admin.Do(http.MethodGet, "/v1/wallets/liability?at=2026-06-30T00:00:00Z", nil).Want(http.StatusOK).JSON(&l)
	assert.Zero(t, l.LiabilityAmount)
	p.admin.Do(http.MethodGet, "/v1/wallets/liability?at=2030-01-01T00:00:00Z", nil).WantProblem(http.StatusUnprocessableEntity, "wallets.instant_in_the_future", "?at")
	var postings client.WalletPostingList
	p.admin.Do(http.MethodGet, "/v1/wallets/postings?limit=200", nil).Want(http.StatusOK).JSON(&postings)
	var owed int64
	for _, x := range postings.Items {
		for book, n := range map[client.WalletBook]int64{x.FromBook: -x.Amount, x.ToBook: x.Amount} {
			if book == client.WalletBookPrincipal || book == client.WalletBookBonus {
				owed += n
			}
		}
	}
	assert.EqualValues(t, 184999, owed)

	// Bad input moves nothing.
	for _, b := range []body{{"amount": 0}, {"amount": -5}, {"amount": 1.5}, {"amount": int64(1_000_000_000_001)}, {}} {
		p.post(at(m)+"/payments", b).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	}
	p.admin.Do(http.MethodPost, at(m)+"/payments", body{"amount": 5}).WantProblem(http.StatusBadRequest, "idempotency.key_required")
	p.post(at(uuid.New())+"/payments", body{"amount": 5}).WantProblem(http.StatusNotFound, "wallets.customer_not_found")
	p.has(m, 169999, 15000, 0)

	// The same key, the same payment.
	key := p.key()
	first := p.admin.Do(http.MethodPost, at(m)+"/payments", body{"amount": 9}, key...).Want(http.StatusCreated)
	again := p.admin.Do(http.MethodPost, at(m)+"/payments", body{"amount": 9}, key...).Want(http.StatusCreated)
	assert.Equal(t, first.Body, again.Body)
	p.has(m, 169990, 15000, 0)
}

func orderOfSpending(p *shop) {
	for order, want := range map[string][2]int64{"principal_first": {0, 5000 - 5000}, "bonus_first": {0, 0}, "pro_rata": {0, 0}} {
		p.programme(body{"spend_order": order, "top_up_rules": []body{{"amount": 10000, "bonus_amount": 5000}}})
		m := p.member()
		p.topUp(m, 10000)
		paid := p.pay(m, 6001)
		switch order {
		case "principal_first":
			p.has(m, 3999, 5000, 0)
		case "bonus_first":
			p.has(m, 8999, 0, 0)
		default:
			p.has(m, 5999, 3000, 0) // of 6001, a third rounded down is bonus
			// In thirds, whatever the parts.
			for range 3 {
				p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", body{"amount": 1000}).Want(http.StatusOK)
			}
			p.has(m, 8000, 3999, 0)
		}
		p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", nil).Want(http.StatusOK)
		p.has(m, 10000, 5000, 0)
		all := p.pay(m, 15000)
		p.has(m, want[0], want[1], 0)
		p.post("/v1/wallets/payments/"+all.Id.String()+"/refund", nil).Want(http.StatusOK)
		p.has(m, 10000, 5000, 0)
	}
}

func topUpsGoBack(p *shop) {
	t, m := p.t, p.member()
	first, second := p.topUp(m, 50000), p.topUp(m, 50000) // 5000 bonus each
	on := "/v1/wallets/top-ups/" + first.Id.String()
	p.post(on+"/refund", body{"reason": " "}).WantProblem(http.StatusUnprocessableEntity, "wallets.reason_needed", "/reason")
	p.pay(m, 30000) // of the first
	p.post(on+"/refund", body{"amount": 20001, "reason": "退款"}).WantProblem(http.StatusConflict, "wallets.more_than_paid", "/amount")
	p.post(on+"/refund", body{"amount": 10000, "reason": "退款"}).Want(http.StatusOK).JSON(&first)
	assert.Equal(t, []int64{10000, 10000, 1000}, []int64{first.RefundedAmount, first.PaidOutAmount, first.BonusTakenAmount})
	p.has(m, 60000, 9000, 0)
	p.post("/v1/wallets/top-ups/"+second.Id.String()+"/refund", body{"reason": "误充"}).Want(http.StatusOK).JSON(&second)
	assert.Equal(t, []int64{50000, 50000, 5000}, []int64{second.RefundedAmount, second.PaidOutAmount, second.BonusTakenAmount})
	p.has(m, 10000, 4000, 0)
	p.post("/v1/wallets/top-ups/"+second.Id.String()+"/refund", body{"reason": "再退"}).WantProblem(http.StatusConflict, "wallets.more_than_paid", "/amount")

	// A bonus that is spent is deducted from what is paid out.
	p.programme(body{"spend_order": "bonus_first", "top_up_rules": []body{{"amount": 50000, "bonus_amount": 5000}}})
	sly := p.member()
	paidIn := p.topUp(sly, 50000)
	p.pay(sly, 5000)
	p.post("/v1/wallets/top-ups/"+paidIn.Id.String()+"/refund", body{"reason": "退款"}).Want(http.StatusOK).JSON(&paidIn)
	assert.Equal(t, []int64{50000, 45000, 0}, []int64{paidIn.RefundedAmount, paidIn.PaidOutAmount, paidIn.BonusTakenAmount})
	p.has(sly, 0, 0, 0)
	var list client.WalletTopUpList
	p.admin.Do(http.MethodGet, at(m)+"/top-ups?limit=1&include=total_count", nil).Want(http.StatusOK).JSON(&list)
	require.True(t, list.HasMore)
	assert.EqualValues(t, 2, *list.TotalCount)
	p.post(at(m)+"/top-ups", body{"amount": 100, "method": "cash", "store_id": uuid.New()}).WantProblem(http.StatusUnprocessableEntity, "wallets.store_unknown", "/store_id")
	p.post(at(m)+"/top-ups", body{"amount": 100, "method": "cash", "bonus_amount": 77}).Want(http.StatusCreated)
	p.has(m, 10100, 4077, 0)
}

func holds(p *shop) {
	t, m := p.t, p.member()
	p.topUp(m, 50000)
	var hold client.WalletPayment
	p.post(at(m)+"/payments", body{"amount": 52000, "hold": true, "reference": "购物车"}).Want(http.StatusCreated).JSON(&hold)
	assert.Equal(t, client.WalletPaymentBlocked, hold.Status)
	p.has(m, 0, 3000, 52000)
	on := "/v1/wallets/payments/" + hold.Id.String()
	p.post(on+"/refund", nil).WantProblem(http.StatusConflict, "wallets.payment_state")
	p.post(on+"/capture", body{"amount": 52001}).WantProblem(http.StatusConflict, "wallets.more_than_paid", "/amount")
	p.post(on+"/capture", body{"amount": 20000}).Want(http.StatusOK)
	p.has(m, 30000, 5000, 0)
	p.post(on+"/capture", nil).WantProblem(http.StatusConflict, "wallets.payment_state")
	p.post(on+"/release", nil).WantProblem(http.StatusConflict, "wallets.payment_state")
	p.post(at(m)+"/payments", body{"amount": 100, "hold": true, "expires_at": start.AddDate(1, 0, 0)}).WantProblem(http.StatusUnprocessableEntity, "wallets.hold_ends_invalid", "/expires_at")
	p.post(at(m)+"/payments", body{"amount": 100, "expires_at": p.Clock.Now().Add(time.Hour)}).WantProblem(http.StatusUnprocessableEntity, "wallets.hold_ends_invalid", "/expires_at")
	p.post(at(m)+"/payments", body{"amount": 35000, "hold": true}).Want(http.StatusCreated).JSON(&hold)
	p.wait(31 * time.Minute)
	p.post("/v1/wallets/payments/"+hold.Id.String()+"/capture", nil).WantProblem(http.StatusConflict, "wallets.payment_state")
	n, err := p.Server.Wallets.ReleaseDue(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	p.has(m, 30000, 5000, 0)
	var list client.WalletPaymentList
	p.admin.Do(http.MethodGet, at(m)+"/payments?status=expired", nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
}

func guards(p *shop) {
	t, m := p.t, p.member()
	p.topUp(m, 50000)
	paid := p.pay(m, 100)
	p.post(at(m)+"/freeze", body{"reason": "挂失"}).Want(http.StatusOK)
	p.post(at(m)+"/freeze", body{"reason": "挂失"}).WantProblem(http.StatusConflict, "wallets.frozen")
	w := p.has(m, 49900, 5000, 0)
	assert.Equal(t, []any{true, "挂失"}, []any{w.Frozen, w.FrozenReason})
	p.post(at(m)+"/payments", body{"amount": 1}).WantProblem(http.StatusConflict, "wallets.frozen")
	p.post(at(m)+"/payments", body{"amount": 1, "hold": true}).WantProblem(http.StatusConflict, "wallets.frozen")
	p.post(at(m)+"/transfers", body{"amount": 1, "to_customer_id": p.member()}).WantProblem(http.StatusConflict, "wallets.frozen")
	p.post(at(m)+"/top-ups", body{"amount": 1, "method": "cash"}).WantProblem(http.StatusConflict, "wallets.frozen")
	p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", nil).Want(http.StatusOK) // what comes back comes back
	p.post(at(m)+"/unfreeze", body{"reason": "找回"}).Want(http.StatusOK)
	p.post(at(m)+"/unfreeze", body{"reason": "找回"}).WantProblem(http.StatusConflict, "wallets.not_frozen")
	p.has(m, 50000, 5000, 0)

	// Above an amount the PIN is asked for; five wrong ones lock it.
	p.programme(body{"pin_above_amount": 1000, "balance_limit_amount": 60000, "top_up_minimum_amount": 100})
	p.pay(m, 1000)
	p.post(at(m)+"/payments", body{"amount": 1001}).WantProblem(http.StatusConflict, "wallets.pin_not_set")
	for _, weak := range []string{"111111", "123456", "987654"} {
		p.admin.Do(http.MethodPut, at(m)+"/pin", body{"pin": weak}).WantProblem(http.StatusUnprocessableEntity, "wallets.pin_weak", "/pin")
	}
	p.admin.Do(http.MethodPut, at(m)+"/pin", body{"pin": "271828"}).Want(http.StatusNoContent)
	p.post(at(m)+"/payments", body{"amount": 1001}).WantProblem(http.StatusUnprocessableEntity, "wallets.pin_needed", "/pin")
	p.post(at(m)+"/payments", body{"amount": 1001, "pin": "271828"}).Want(http.StatusCreated)
	for range 4 {
		p.post(at(m)+"/payments", body{"amount": 1001, "pin": "314159"}).WantProblem(http.StatusUnprocessableEntity, "wallets.pin_wrong", "/pin")
	}
	p.post(at(m)+"/payments", body{"amount": 1001, "pin": "314159"}).WantProblem(http.StatusConflict, "wallets.pin_locked")
	p.post(at(m)+"/payments", body{"amount": 1001, "pin": "271828"}).WantProblem(http.StatusConflict, "wallets.pin_locked")
	w = p.has(m, 47999, 5000, 0)
	assert.Equal(t, []bool{true, true}, []bool{w.PinSet, w.PinLocked})
	p.admin.Do(http.MethodPut, at(m)+"/pin", body{"pin": "161803"}).Want(http.StatusNoContent)
	p.post(at(m)+"/payments", body{"amount": 1001, "pin": "161803"}).Want(http.StatusCreated)

	p.post(at(m)+"/top-ups", body{"amount": 99, "method": "cash"}).WantProblem(http.StatusUnprocessableEntity, "wallets.top_up_minimum", "/amount")
	p.post(at(m)+"/top-ups", body{"amount": 50000, "method": "cash"}).WantProblem(http.StatusConflict, "wallets.balance_limit", "/amount")
	p.admin.Do(http.MethodPut, "/v1/wallet-programme", body{"top_up_rules": []body{{"amount": 5, "bonus_amount": 1}, {"amount": 5, "bonus_amount": 2}}}).
		WantProblem(http.StatusUnprocessableEntity, "wallets.rules_invalid", "/top_up_rules")
	p.admin.Do(http.MethodPut, "/v1/wallet-programme", body{}, "If-Match", `"0-x"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	p.has(m, 46998, 5000, 0)
}

func adjustments(p *shop) {
	t, m := p.t, p.member()
	p.programme(body{"approval_limit_amount": 500})
	p.post(at(m)+"/adjustments", body{"portion": "bonus", "amount": 500, "reason": "补偿"}).Want(http.StatusCreated)
	p.post(at(m)+"/adjustments", body{"portion": "bonus", "amount": 5}).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	p.post(at(m)+"/adjustments", body{"portion": "bonus", "amount": 5, "reason": "  "}).WantProblem(http.StatusUnprocessableEntity, "wallets.reason_needed", "/reason")
	p.post(at(m)+"/adjustments", body{"portion": "principal", "amount": -1, "reason": "误记"}).WantProblem(http.StatusConflict, "wallets.insufficient", "/amount")
	p.has(m, 0, 500, 0)
	var waiting client.WalletAdjustment
	p.post(at(m)+"/adjustments", body{"portion": "principal", "amount": 600, "reason": "迁移余额"}).Want(http.StatusCreated).JSON(&waiting)
	require.Equal(t, client.WalletAdjustmentAwaitingApproval, waiting.Status)
	p.has(m, 0, 500, 0)
	on := "/v1/wallets/adjustments/" + waiting.Id.String()
	p.post(on+"/approve", nil).WantProblem(http.StatusConflict, "wallets.own_adjustment")
	other := p.Client("administrator", testkit.All())
	other.Do(http.MethodPost, on+"/approve", body{"note": "已核实"}, p.key()...).Want(http.StatusOK).JSON(&waiting)
	require.Equal(t, client.WalletAdjustmentBooked, waiting.Status)
	p.has(m, 600, 500, 0)
	other.Do(http.MethodPost, on+"/reject", nil, p.key()...).WantProblem(http.StatusConflict, "wallets.adjustment_decided")
	p.post(at(m)+"/adjustments", body{"portion": "bonus", "amount": -200, "reason": "误发"}).Want(http.StatusCreated)
	p.has(m, 600, 300, 0)
	var list client.WalletAdjustmentList
	p.admin.Do(http.MethodGet, "/v1/wallets/adjustments?status=booked&customer_id="+m.String(), nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 3)
}

func transfersAndMerges(p *shop) {
	t, a, b := p.t, p.member(), p.member()
	p.topUp(a, 50000)
	p.topUp(b, 1000)
	p.post(at(a)+"/transfers", body{"to_customer_id": a, "amount": 5}).WantProblem(http.StatusUnprocessableEntity, "wallets.transfer_to_self", "/to_customer_id")
	p.post(at(a)+"/transfers", body{"to_customer_id": uuid.New(), "amount": 5}).WantProblem(http.StatusUnprocessableEntity, "wallets.recipient_unknown", "/to_customer_id")
	p.post(at(a)+"/transfers", body{"to_customer_id": b, "amount": 50001}).WantProblem(http.StatusConflict, "wallets.insufficient", "/amount") // the bonus stays
	var moved client.WalletTransfer
	p.post(at(a)+"/transfers", body{"to_customer_id": b, "amount": 20000}).Want(http.StatusCreated).JSON(&moved)
	p.has(a, 30000, 5000, 0)
	p.has(b, 21000, 0, 0)
	require.Equal(t, moved.OperationId, p.entries(b, "?kind=transfer_in")[0].OperationId)

	// A merge has the survivor spend both wallets; undone, each has what is left of its own.
	var hold client.WalletPayment
	p.post(at(b)+"/payments", body{"amount": 1000, "hold": true, "expires_at": p.Clock.Now().Add(24 * time.Hour)}).Want(http.StatusCreated).JSON(&hold)
	var merge struct {
		ID uuid.UUID `json:"id"`
	}
	p.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": a, "merged_id": b}).Want(http.StatusCreated).JSON(&merge)
	p.has(a, 50000, 5000, 1000)
	p.addsUp()
	paid := p.pay(a, 45000)
	p.has(a, 5000, 5000, 1000)
	p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", body{"amount": 1000}).Want(http.StatusOK)
	p.has(a, 6000, 5000, 1000)
	p.post("/v1/wallets/payments/"+hold.Id.String()+"/capture", nil).Want(http.StatusOK)
	p.admin.Do(http.MethodPost, "/v1/customer-merges/"+merge.ID.String()+"/undo", nil).Want(http.StatusOK)
	var wa, wb client.Wallet
	p.admin.Do(http.MethodGet, at(a), nil).Want(http.StatusOK).JSON(&wa)
	p.admin.Do(http.MethodGet, at(b), nil).Want(http.StatusOK).JSON(&wb)
	assert.EqualValues(t, 6000, wa.PrincipalAmount+wb.PrincipalAmount)
	assert.EqualValues(t, 5000, wa.BonusAmount)
	assert.Zero(t, wb.BonusAmount+wa.BlockedAmount+wb.BlockedAmount)
	p.addsUp()
}

// Sixty-four clients spend one wallet (a shared company card): no update is lost,
// nothing is spent that is not there.
func manySpendOne(p *shop) {
	t, m := p.t, p.member()
	p.topUp(m, 50000)
	var paid atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := range 5 {
				r := p.admin.Do(http.MethodPost, at(m)+"/payments", body{"amount": 200 + i}, "Idempotency-Key", fmt.Sprint("many-", m, "-", i, "-", k))
				switch r.Status {
				case http.StatusCreated:
					paid.Add(int64(200 + i))
				case http.StatusConflict:
				default:
					t.Errorf("status %d: %s", r.Status, r.Body)
				}
			}
		}()
	}
	wg.Wait()
	t.Logf("320 attempts at one wallet in %v", time.Since(began).Round(time.Millisecond))
	var w client.Wallet
	p.admin.Do(http.MethodGet, at(m), nil).Want(http.StatusOK).JSON(&w)
	assert.Equal(t, 55000-paid.Load(), w.BalanceAmount)
	assert.Less(t, w.BalanceAmount, int64(263), "what is left would not have paid another one")
	assert.EqualValues(t, p.entries(m, "?limit=1")[0].Number, len(p.entries(m, "?limit=200"))+later(p, m))
}

// later counts entries beyond the first page of 200.
func later(p *shop, m uuid.UUID) int {
	var list client.WalletEntryList
	p.admin.Do(http.MethodGet, at(m)+"/entries?limit=200&include=total_count", nil).Want(http.StatusOK).JSON(&list)
	return int(*list.TotalCount) - len(list.Items)
}

func bonusExpires(p *shop) {
	t, m := p.t, p.member()
	p.programme(body{"bonus_days": 60, "give_back_days": 10, "spend_order": "bonus_first", "top_up_rules": []body{{"amount": 10000, "bonus_amount": 1000}}})
	p.topUp(m, 10000)
	paid := p.pay(m, 300)
	ctx := auth.System(t.Context(), "test")
	told := func() (out []string) {
		rows, err := p.DB.Query(ctx, "SELECT payload ->> 'days', payload ->> 'amount' FROM outbox_events WHERE type = 'wallet.bonus_expiring' AND subject_id = $1 ORDER BY seq", m)
		require.NoError(t, err)
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var days, amount string
			require.NoError(t, rows.Scan(&days, &amount))
			out = append(out, days+":"+amount)
		}
		require.NoError(t, rows.Err())
		return out
	}
	warn := func() {
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				_, err := p.Server.Wallets.WarnDue(context.WithoutCancel(ctx))
				assert.NoError(t, err)
			}()
		}
		wg.Wait()
	}
	warn()
	require.Empty(t, told())
	p.wait(32 * 24 * time.Hour)
	warn()
	warn()
	require.Equal(t, []string{"30:700"}, told())
	// Down for a week and more: both warnings come, once each.
	p.wait(28*24*time.Hour + 10*time.Hour)
	warn()
	require.Equal(t, []string{"30:700", "7:700", "1:700"}, told())
	p.has(m, 10000, 700, 0)
	p.wait(24 * time.Hour)
	p.has(m, 10000, 0, 0) // gone, booked or not
	warn()
	require.Len(t, told(), 3)
	_, err := p.Server.Wallets.SettleDue(ctx)
	require.NoError(t, err)
	expired := p.entries(m, "?kind=expire")
	require.Len(t, expired, 1)
	assert.EqualValues(t, -700, expired[0].BonusChangeAmount)
	// What was spent comes back as the same lot, for ten days, of which the member is told.
	p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", nil).Want(http.StatusOK)
	p.has(m, 10000, 300, 0)
	p.wait(10 * 24 * time.Hour)
	warn()
	require.Equal(t, []string{"7:300", "1:300"}, told()[3:])
	p.wait(2 * 24 * time.Hour)
	p.pay(m, 10000) // settles what is due before it spends
	p.has(m, 0, 0, 0)
}

func onlyGrows(p *shop) {
	p.topUp(p.member(), 10)
	for _, q := range []string{"UPDATE wallet_entries SET bonus_change = 0", "DELETE FROM wallet_entries", "UPDATE wallet_postings SET amount = 1", "DELETE FROM wallet_postings", "DELETE FROM wallet_lots", "DELETE FROM wallet_accounts", "DELETE FROM gift_cards"} {
		_, err := p.DB.Exec(p.t.Context(), q)
		require.ErrorContains(p.t, err, "permission denied", q)
	}
}
