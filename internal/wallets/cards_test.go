package wallets_test

import (
	"net/http"
	"strings"
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

// cards issues gift cards and takes their codes.
func (p *shop) cards(quantity, face int) []client.GiftCardSecret {
	p.t.Helper()
	return p.issue(body{"name": "新年礼品卡", "quantity": quantity, "face_amount": face})
}

func (p *shop) issue(b body) []client.GiftCardSecret {
	p.t.Helper()
	var batch client.GiftCardBatch
	p.post("/v1/gift-cards", b).Want(http.StatusAccepted).JSON(&batch)
	on := "/v1/gift-card-batches/" + batch.Id.String()
	require.Eventually(p.t, func() bool {
		p.admin.Do(http.MethodGet, on, nil).Want(http.StatusOK).JSON(&batch)
		return batch.Status == client.BatchReady
	}, 20*time.Second, 20*time.Millisecond)
	require.EqualValues(p.t, b["quantity"], batch.Issued)
	var codes client.GiftCardExport
	p.admin.Do(http.MethodPost, on+"/export", nil).Want(http.StatusOK).JSON(&codes)
	require.Len(p.t, codes.Cards, int(batch.Quantity))
	p.admin.Do(http.MethodPost, on+"/export", nil).WantProblem(http.StatusConflict, "gift_cards.batch_state")
	return codes.Cards
}

func (p *shop) balance(c client.GiftCardSecret) (out client.GiftCardBalance) {
	p.t.Helper()
	p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", key(c, nil)).Want(http.StatusOK).JSON(&out)
	return out
}

func key(c client.GiftCardSecret, more body) body {
	pin, _ := c.Pin.Get()
	b := body{"code": c.Code, "pin": pin}
	for k, v := range more {
		b[k] = v
	}
	return b
}

func TestGiftCardsAndOrders(t *testing.T) {
	app := testkit.New(t, testkit.At(start), testkit.WithWorker())
	p := &shop{App: app, t: t, admin: app.Admin()}
	p.programme(body{"card_days": 1095, "card_limit_amount": 100000, "top_up_rules": []body{{"amount": 10000, "bonus_amount": 1000}}})
	for _, c := range []struct {
		name string
		run  func(p *shop)
	}{{"life of a card", lifeOfACard}, {"stored value pays orders", paysOrders}, {"the last of a card", theLastOfACard}, {"a thousand cards", aThousandCards}} {
		t.Run(c.name, func(t *testing.T) {
			one := &shop{App: p.In(t), t: t, admin: p.In(t).Admin()}
			one.keys.Store(time.Now().UnixNano())
			c.run(one)
			one.addsUp()
		})
	}
}

func lifeOfACard(p *shop) {
	t, m := p.t, p.member()
	p.post("/v1/gift-cards", body{"name": "大额卡", "quantity": 1, "face_amount": 100001}).WantProblem(http.StatusUnprocessableEntity, "gift_cards.amount_limit", "/face_amount")
	made := p.cards(3, 20000)
	card := made[0]
	at := "/v1/gift-cards/" + card.CardId.String()
	assert.Zero(t, p.balance(card).BalanceAmount)
	p.post("/v1/gift-cards/payments", key(card, body{"amount": 5})).WantProblem(http.StatusConflict, "gift_cards.state")
	var sold client.GiftCard
	p.post(at+"/activate", body{"method": "wechat_pay"}).Want(http.StatusOK).JSON(&sold)
	until, err := sold.ValidUntil.Get()
	require.NoError(t, err)
	assert.Equal(t, time.Date(2029, 6, 30, 16, 0, 0, 0, time.UTC), until.UTC(), "1095 days after the first of July, that day whole")
	p.post(at+"/activate", body{"method": "cash"}).WantProblem(http.StatusConflict, "gift_cards.state")
	assert.EqualValues(t, 20000, p.balance(card).BalanceAmount)

	// As people type it; a wrong character is told by the check character, a wrong PIN is as unknown.
	typed := key(card, body{"code": strings.ToLower(strings.ReplaceAll(card.Code, "-", " "))})
	p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", typed).Want(http.StatusOK)
	p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", key(card, body{"code": "0000-0000-0000-0001"})).WantProblem(http.StatusUnprocessableEntity, "gift_cards.unknown", "/code")
	p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", body{"code": card.Code}).WantProblem(http.StatusUnprocessableEntity, "gift_cards.unknown", "/code")

	// Partly used, given back, put into a wallet.
	var paid client.WalletPayment
	p.post("/v1/gift-cards/payments", key(card, body{"amount": 20001})).WantProblem(http.StatusConflict, "wallets.insufficient", "/amount")
	p.post("/v1/gift-cards/payments", key(card, body{"amount": 5000})).Want(http.StatusCreated).JSON(&paid)
	p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", body{"amount": 2000}).Want(http.StatusOK)
	assert.EqualValues(t, 17000, p.balance(card).BalanceAmount)
	p.post("/v1/gift-cards/redeem", key(card, body{"customer_id": m, "amount": 7000})).Want(http.StatusOK)
	p.has(m, 7000, 0, 0)
	p.post("/v1/gift-cards/redeem", key(card, body{"customer_id": m, "amount": 10001})).WantProblem(http.StatusConflict, "wallets.insufficient", "/amount")
	p.post(at+"/freeze", body{"reason": "挂失"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/redeem", key(card, body{"customer_id": m})).WantProblem(http.StatusConflict, "gift_cards.state")
	p.post(at+"/unfreeze", body{"reason": "找回"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/redeem", key(card, body{"customer_id": m})).Want(http.StatusOK)
	p.has(m, 17000, 0, 0)
	p.post("/v1/wallets/payments/"+paid.Id.String()+"/refund", nil).Want(http.StatusOK) // goes back to the card, empty or not
	assert.EqualValues(t, 3000, p.balance(card).BalanceAmount)
	var lines client.WalletEntryList
	p.admin.Do(http.MethodGet, at+"/entries", nil).Want(http.StatusOK).JSON(&lines)
	require.Len(t, lines.Items, 6)
	assert.EqualValues(t, 6, lines.Items[0].Number)

	// Five wrong PINs lock it, whatever the time of day.
	pin, _ := card.Pin.Get()
	wrong := "402913"
	if wrong == pin {
		wrong = "402914"
	}
	for range 4 {
		p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", key(card, body{"pin": wrong})).WantProblem(http.StatusUnprocessableEntity, "gift_cards.unknown", "/code")
	}
	p.admin.Do(http.MethodPost, "/v1/gift-cards/balance", key(card, body{"pin": wrong})).WantProblem(http.StatusConflict, "gift_cards.pin_locked")
	p.post("/v1/gift-cards/payments", key(card, body{"amount": 1})).WantProblem(http.StatusConflict, "gift_cards.pin_locked")
	p.post(at+"/unfreeze", body{"reason": "本人核实"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/payments", key(card, body{"amount": 1})).Want(http.StatusCreated)

	// Cancelled, what is on it has been given back.
	var liability client.WalletLiability
	p.admin.Do(http.MethodGet, "/v1/wallets/liability?kind=gift_card", nil).Want(http.StatusOK).JSON(&liability)
	assert.EqualValues(t, 2999, liability.LiabilityAmount)
	p.post(at+"/cancel", body{"reason": "退卡"}).Want(http.StatusOK).JSON(&sold)
	assert.Equal(t, []any{client.CardCancelled, int64(0)}, []any{sold.Status, sold.BalanceAmount})
	p.post(at+"/cancel", body{"reason": "退卡"}).WantProblem(http.StatusConflict, "gift_cards.state")
	p.admin.Do(http.MethodGet, "/v1/wallets/liability?kind=gift_card", nil).Want(http.StatusOK).JSON(&liability)
	assert.Equal(t, []int64{0, 2999}, []int64{liability.LiabilityAmount, liability.RefundedAmount})

	// A card without a PIN pays by its code alone.
	bare := p.issue(body{"name": "无密码卡", "quantity": 1, "face_amount": 500, "with_pin": false})[0]
	require.True(t, bare.Pin.IsNull())
	p.post("/v1/gift-cards/"+bare.CardId.String()+"/activate", body{"method": "cash"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/payments", body{"code": bare.Code, "amount": 500}).Want(http.StatusCreated)

	// A card of the past pays nothing until it is extended.
	old := "/v1/gift-cards/" + made[1].CardId.String()
	p.post(old+"/activate", body{"method": "cash"}).Want(http.StatusOK)
	p.post(old+"/extend", body{"valid_until": start.Add(-time.Hour), "reason": "x"}).WantProblem(http.StatusUnprocessableEntity, "gift_cards.valid_until_invalid", "/valid_until")
	_, err = p.DB.Exec(t.Context(), "UPDATE gift_cards SET valid_until = $2 WHERE id = $1", made[1].CardId, start.Add(-time.Hour))
	require.NoError(t, err)
	p.post("/v1/gift-cards/payments", key(made[1], body{"amount": 1})).WantProblem(http.StatusConflict, "gift_cards.expired")
	p.post(old+"/extend", body{"valid_until": nil, "reason": "顾客申请延期"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/payments", key(made[1], body{"amount": 1})).Want(http.StatusCreated)

	// Nobody has the codes any more.
	var kept int
	require.NoError(t, p.DB.QueryRow(t.Context(), "SELECT count(*) FROM gift_cards WHERE secret_sealed IS NOT NULL").Scan(&kept))
	require.Zero(t, kept)
	var list client.GiftCardList
	p.admin.Do(http.MethodGet, "/v1/gift-cards?status=issued&include=total_count&last4="+made[2].Code[15:], nil).Want(http.StatusOK).JSON(&list)
	require.EqualValues(t, 1, *list.TotalCount)
	batch := "/v1/gift-card-batches/" + list.Items[0].BatchId.String()
	p.post(batch+"/cancel", body{"reason": "作废"}).Want(http.StatusOK)
	p.post("/v1/gift-cards/"+made[2].CardId.String()+"/activate", body{"method": "cash"}).WantProblem(http.StatusConflict, "gift_cards.state")
}

// goods makes an article that a new store has pieces of.
func (p *shop) goods(sku string, price int) (store uuid.UUID) {
	p.t.Helper()
	store = p.Store().Id
	p.admin.Do(http.MethodPost, "/v1/products", body{"title": "商品 " + sku, "variants": []any{body{"sku": sku, "price_amount": price}}}).Want(http.StatusCreated)
	p.post("/v1/stock-movements", body{"store_id": store, "kind": "receipt", "lines": []any{body{"sku": sku, "quantity": 100}}}).Want(http.StatusCreated)
	return store
}

func paysOrders(p *shop) {
	t, m := p.t, p.member()
	store := p.goods("B-1", 4000)
	p.topUp(m, 10000) // and 1000 on top
	card := p.cards(1, 3000)[0]
	p.post("/v1/gift-cards/"+card.CardId.String()+"/activate", body{"method": "cash"}).Want(http.StatusOK)
	order := func(quantity int, payments ...body) *testkit.Response {
		return p.post("/v1/orders", body{"store_id": store, "channel": "web", "fulfilment": "pickup", "customer_id": m, "lines": []any{body{"sku": "B-1", "quantity": quantity}}, "payments": payments})
	}
	order(1, body{"method": "stored_value", "amount": 4001}).WantProblem(http.StatusConflict, "orders.nothing_due", "/payments/0/amount")
	order(4, body{"method": "stored_value", "amount": 11001}).WantProblem(http.StatusConflict, "wallets.insufficient", "/payments/0/amount")
	order(1, body{"method": "gift_card", "amount": 5}).WantProblem(http.StatusUnprocessableEntity, "orders.gift_card_code", "/payments/0/code")
	order(1, key(card, body{"method": "gift_card", "amount": 3001})).WantProblem(http.StatusConflict, "wallets.insufficient", "/payments/0/amount")
	p.post("/v1/orders", body{"store_id": store, "channel": "web", "fulfilment": "pickup", "lines": []any{body{"sku": "B-1", "quantity": 1}}, "payments": []body{{"method": "stored_value", "amount": 5}}}).
		WantProblem(http.StatusUnprocessableEntity, "orders.stored_value_of_nobody", "/payments/0/method")
	p.has(m, 10000, 1000, 0) // nothing moved

	// An order paid in three ways; the wallet and the card really pay.
	var o client.Order
	order(3, key(card, body{"method": "gift_card", "amount": 3000}), body{"method": "cash", "amount": 500}).Want(http.StatusCreated).JSON(&o)
	on := "/v1/orders/" + o.Id.String()
	assert.Zero(t, p.balance(card).BalanceAmount)
	p.post(on+"/payments", body{"method": "stored_value", "amount": 8501}).WantProblem(http.StatusConflict, "orders.nothing_due", "/amount")
	p.post(on+"/payments", body{"method": "stored_value", "amount": 8500}).Want(http.StatusCreated).JSON(&o)
	require.Equal(t, client.OrderPaid, o.Status)
	p.has(m, 1500, 1000, 0)
	require.Len(t, p.entries(m, "?kind=pay&order_id="+o.Id.String()), 1)
	var paid client.WalletPaymentList
	p.admin.Do(http.MethodGet, at(m)+"/payments", nil).Want(http.StatusOK).JSON(&paid)
	p.post("/v1/wallets/payments/"+paid.Items[0].Id.String()+"/refund", nil).WantProblem(http.StatusConflict, "wallets.payment_of_order")

	// Fewer pieces: the last payment comes back first, to the wallet.
	p.admin.Do(http.MethodGet, on, nil).Want(http.StatusOK).JSON(&o)
	p.admin.Do(http.MethodPut, on+"/lines", body{"lines": []any{body{"id": (*o.Lines)[0].Id, "quantity": 2}}}).Want(http.StatusOK)
	p.has(m, 5500, 1000, 0)
	p.addsUp()
	// Cancelled: the rest goes where it came from.
	p.post(on+"/cancel", body{"reason": "不要了"}).Want(http.StatusOK)
	p.has(m, 10000, 1000, 0)
	assert.EqualValues(t, 3000, p.balance(card).BalanceAmount)
	p.addsUp()

	// Who may place orders, but not use wallets, cannot.
	clerk := p.roleOf("orders.place", "orders.read", "customers.read", "catalog.read")
	clerk.Do(http.MethodPost, "/v1/orders", body{"store_id": store, "channel": "web", "fulfilment": "pickup", "customer_id": m, "lines": []any{body{"sku": "B-1", "quantity": 1}},
		"payments": []body{{"method": "stored_value", "amount": 4000}}}, p.key()...).WantProblem(http.StatusForbidden, "orders.stored_value_not_yours", "/payments/0/method")

	// A return gives back what its goods were paid with, in parts.
	p.post("/v1/orders", body{"store_id": store, "channel": "pos", "customer_id": m, "lines": []any{body{"sku": "B-1", "quantity": 2}}, "payments": []body{{"method": "stored_value", "amount": 8000}}}).
		Want(http.StatusCreated).JSON(&o)
	require.Equal(t, client.OrderCompleted, o.Status)
	p.has(m, 2000, 1000, 0)
	for i := range 2 {
		var back client.OrderReturn
		p.post("/v1/orders/"+o.Id.String()+"/returns", body{"lines": []any{body{"line_id": (*o.Lines)[0].Id, "quantity": 1, "reason_code": "unwanted"}}}).Want(http.StatusCreated).JSON(&back)
		step := "/v1/returns/" + back.Id.String()
		p.post(step+"/approve", nil).Want(http.StatusOK)
		p.post(step+"/receive", body{}).Want(http.StatusOK)
		p.post(step+"/refund", body{}).Want(http.StatusOK)
		p.has(m, 2000+4000*int64(i+1), 1000, 0)
	}
}

// roleOf is somebody with a role of these permissions over everything.
func (p *shop) roleOf(permissions ...string) *testkit.Client {
	p.t.Helper()
	name := "role_" + strings.ReplaceAll(uuid.NewString()[:8], "-", "")
	p.admin.Do(http.MethodPost, "/v1/roles", body{"code": name, "name": name, "permissions": permissions}).Want(http.StatusCreated)
	return p.Client(name, testkit.All())
}

// Sixty-four hands on one card: it pays what is on it, no more.
func theLastOfACard(p *shop) {
	card := p.cards(1, 1000)[0]
	p.post("/v1/gift-cards/"+card.CardId.String()+"/activate", body{"method": "cash"}).Want(http.StatusOK)
	var paid atomic.Int64
	var wg sync.WaitGroup
	for range 30 { // as many as the limit of look-ups lets through
		headers := p.key()
		wg.Add(1)
		go func() {
			defer wg.Done()
			if r := p.admin.Do(http.MethodPost, "/v1/gift-cards/payments", key(card, body{"amount": 100}), headers...); r.Status == http.StatusCreated {
				paid.Add(100)
			}
		}()
	}
	wg.Wait()
	require.EqualValues(p.t, 1000, paid.Load())
}

func aThousandCards(p *shop) {
	codes := p.cards(1200, 100)
	seen := map[string]bool{}
	for _, c := range codes {
		seen[c.Code] = true
	}
	require.Len(p.t, seen, 1200)
}
