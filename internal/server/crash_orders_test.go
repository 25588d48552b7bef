package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
)

// TestCrashOfOrders kills the service and PostgreSQL at random while buyers place,
// pay, cancel, complete and return orders of the last pieces, and note every
// acknowledgement in a file. Afterwards every acknowledged step is there once,
// nothing is oversold, and all that is kept agrees with what it follows from. A part
// of the orders is paid and refunded through the stand-ins for WeChat Pay and
// Alipay, which lose answers besides: money moved there exactly once, and our book
// says the same.
// SHUKE_CRASHES says how often; four times where nothing is said.
func TestCrashOfOrders(t *testing.T) {
	t.Parallel() // much of it is waiting for processes to end and to begin
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("SHUKE_CRASHES")); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	s := newCrashing(t)
	fakes, err := fake.Start(fake.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = fakes.Close() })
	s.env = append(s.env, "SHUKE_FAKES="+strings.TrimPrefix(fakes.URL, "http://"))
	s.start()
	b := newBuyers(t, s)
	b.fakes = fakes
	b.begin()
	lost := []string{"wechatpay.prepay", "wechatpay.query", "wechatpay.refund", "alipay.prepay", "alipay.query", "alipay.refund"}
	for n := range kills {
		b.await(6)
		if n%4 == 1 {
			b.awaitRefund() // in the middle of giving money back
		}
		fakes.Fail(fake.Fault{Target: lost[chance.IntN(len(lost))], Kind: fake.ResetAfter})
		time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond)
		if chance.IntN(3) == 0 {
			s.killPostgres()
			s.waitReady()
			continue
		}
		s.kill()
		s.start()
	}
	b.await(6)
	b.awaitRefund()
	b.ending.Store(true)
	b.working.Wait()
	require.NoError(t, b.file.Close())
	s.kill()
	fakes.Heal()
	s.start()
	b.awaitMoney()

	steps := b.read()
	t.Logf("%d steps acknowledged, %d orders begun, %d kills", len(steps), b.next.Load(), kills+1)
	b.requireTrue(steps)
	s.requireVerified()
	// A client that has lost the answers asks again: the same ones, and nothing happens twice.
	for _, a := range steps {
		if a.Step == "prepay" { // knows a repetition by its pending payment, which is over
			continue
		}
		sent := []byte(a.Sent)
		if string(sent) == "null" { // there was no body
			sent = nil
		}
		status, answer, err := b.post(a.Path, a.Key, sent)
		require.NoError(t, err)
		require.Less(t, status, 300, "%s %s: %s", a.Path, a.Key, answer)
		require.Equal(t, object(a.Body)["id"], object(answer)["id"])
	}
	b.requireTrue(steps)
	b.requireMoney()
	s.requireVerified()
	s.stop()
}

// buyers are clients that take orders through their life.
type buyers struct {
	*tillClient
	sku   []string
	fakes *fake.Server
}

// acknowledgedStep is one line of the file.
type acknowledgedStep struct {
	Step string          `json:"step"` // place, order, prepay, cancel, complete, return, approve, receive, refund; redeem, block, capture, give-back
	Path string          `json:"path"`
	Key  string          `json:"key"`
	Sent json.RawMessage `json:"sent"`
	Body json.RawMessage `json:"body"`
}

const (
	crashPieces = 60
	crashPrice  = 700
)

func newBuyers(t *testing.T, s *crashing) *buyers {
	t.Helper()
	b := &buyers{tillClient: newTillClient(t, s)}
	for n := range 3 {
		sku := fmt.Sprint("LAST-", n)
		b.sku = append(b.sku, sku)
		b.must("/v1/products", map[string]any{"title": "最后几件", "variants": []any{map[string]any{"sku": sku, "price_amount": crashPrice}}})
		raw, err := json.Marshal(map[string]any{"store_id": b.stores[0], "kind": "receipt", "lines": []any{map[string]any{"sku": sku, "quantity": crashPieces}}})
		require.NoError(t, err)
		status, answer, err := b.post("/v1/stock-movements", "receipt-"+sku, raw)
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, status, "%s", answer)
	}
	b.must("/v1/points/rules", map[string]any{"code": "base", "name": "消费积分", "kind": "spend", "spend": map[string]any{"points": 3, "per_amount": 200}})
	var grants []any
	for _, p := range b.people {
		grants = append(grants, map[string]any{"customer": map[string]any{"id": p.id}, "points": 1_000_000, "reason": "期初", "key": "open"})
	}
	raw, err := json.Marshal(map[string]any{"grants": grants})
	require.NoError(t, err)
	status, answer, err := b.post("/v1/points/grants", "grants", raw)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", answer)
	return b
}

func (b *buyers) begin() {
	for worker := range 8 {
		b.working.Go(func() {
			for !b.ending.Load() {
				switch n := b.next.Add(1) - 1; {
				case worker < 4:
					b.live(n)
				case worker < 7:
					b.liveOnline(n)
				default:
					b.spendPoints(n)
				}
			}
		})
	}
}

// spendPoints spends points at once, or promises and spends them and has them come
// back.
func (b *buyers) spendPoints(n int64) {
	dice := rand.New(rand.NewPCG(uint64(n), 4))
	path := "/v1/customers/" + b.people[dice.IntN(len(b.people))].id.String() + "/points"
	body := map[string]any{"points": 1 + dice.IntN(50), "reference": fmt.Sprint("S-", n)}
	if dice.IntN(2) == 0 {
		b.step("redeem", n, path+"/redeem", body)
		return
	}
	held := b.step("block", n, path+"/block", body)
	if held == nil {
		return
	}
	path = "/v1/points/holds/" + held["id"].(string)
	if b.step("capture", n, path+"/capture", nil) != nil && dice.IntN(2) == 0 {
		b.step("give-back", n, path+"/give-back", nil)
	}
}

// liveOnline takes the n-th order through a provider: a third of the payments
// send no notice, so that they are asked for.
func (b *buyers) liveOnline(n int64) {
	dice := rand.New(rand.NewPCG(uint64(n), 3))
	placed := b.step("order", n, "/v1/orders", map[string]any{"store_id": b.stores[0], "channel": "web", "fulfilment": "pickup", "external_number": fmt.Sprint("W-", n),
		"customer_id": b.people[dice.IntN(len(b.people))].id, "lines": []any{map[string]any{"sku": b.sku[dice.IntN(3)], "quantity": 1}}})
	if placed == nil {
		return
	}
	path := "/v1/orders/" + placed["id"].(string)
	by := map[string]any{"method": "wechat_pay", "kind": "native"}
	if n%2 == 0 {
		by = map[string]any{"method": "alipay", "kind": "precreate"}
	}
	begun := b.step("prepay", n, path+"/online-payments", by)
	if begun == nil {
		return
	}
	if _, err := b.fakes.Pay(fake.Pay{Number: begun["number"].(string), Silent: dice.IntN(3) == 0}); err != nil {
		panic(err)
	}
	for b.state(path) != "paid" {
		if b.ending.Load() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	if dice.IntN(3) > 0 {
		b.step("cancel", n, path+"/cancel", map[string]any{"reason": "改变主意"})
		return
	}
	if b.step("complete", n, path+"/complete", nil) == nil {
		return
	}
	b.giveBack(n, path, placed["lines"].([]any)[0].(map[string]any)["id"])
}

// state reads an order's; nothing while nobody answers.
func (b *buyers) state(path string) string {
	req, err := http.NewRequest(http.MethodGet, "http://"+b.s.addr+path, nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.s.key)
	res, err := b.http.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	return object(raw)["status"].(string)
}

// awaitRefund waits until a provider gives more money back.
func (b *buyers) awaitRefund() {
	b.t.Helper()
	had := len(b.fakes.Refunds())
	require.Eventually(b.t, func() bool { return len(b.fakes.Refunds()) > had }, time.Minute, time.Millisecond, "no money is given back")
}

// awaitMoney lets the service find out what became of payments and refunds.
func (b *buyers) awaitMoney() {
	b.t.Helper()
	d := b.s.database()
	require.Eventually(b.t, func() bool {
		var open int
		err := d.QueryRow(`SELECT (SELECT count(*) FROM order_refunds WHERE provider IS NOT NULL AND status IN ('pending', 'processing')) +
			$1 - (SELECT count(*) FROM order_payments WHERE provider IS NOT NULL AND status = 'succeeded')`, len(b.fakes.Payments())).Scan(&open)
		return err == nil && open == 0
	}, 3*time.Minute, 500*time.Millisecond, "money that nobody finds")
}

// requireMoney compares our book with the stand-ins': each payment and refund is
// in both, once.
func (b *buyers) requireMoney() {
	b.t.Helper()
	book := func(query string) map[string]int64 {
		rows, err := b.s.database().Query(query)
		require.NoError(b.t, err)
		defer func() { _ = rows.Close() }()
		out := map[string]int64{}
		for rows.Next() {
			var number string
			var amount int64
			require.NoError(b.t, rows.Scan(&number, &amount))
			out[number] += amount
		}
		require.NoError(b.t, rows.Err())
		return out
	}
	paid, back := map[string]int64{}, map[string]int64{}
	for _, p := range b.fakes.Payments() {
		paid[p.Number] += p.Amount
	}
	for _, r := range b.fakes.Refunds() {
		if r.State == "SUCCESS" {
			back[r.Number] += r.Amount
		}
	}
	b.t.Logf("%d payments and %d refunds at the providers", len(paid), len(back))
	require.NotEmpty(b.t, paid)
	require.NotEmpty(b.t, back)
	require.Equal(b.t, paid, book("SELECT number, amount FROM order_payments WHERE provider IS NOT NULL AND status = 'succeeded'"))
	require.Equal(b.t, back, book("SELECT number, amount FROM order_refunds WHERE provider IS NOT NULL AND status = 'succeeded'"))
	require.Zero(b.t, number(b.t, b.s.database(), `SELECT count(*) FROM orders o WHERE
		o.paid_amount <> coalesce((SELECT sum(amount) FROM order_payments WHERE order_id = o.id AND status = 'succeeded'), 0) OR
		o.refunded_amount <> coalesce((SELECT sum(amount) FROM order_refunds WHERE order_id = o.id AND status <> 'failed'), 0)`), "an order's sums are those of its rows")
}

// live takes the n-th order as far as it goes; every step is sent until it is
// answered, as a client does that must know.
func (b *buyers) live(n int64) {
	dice := rand.New(rand.NewPCG(uint64(n), 2))
	first, second := b.sku[dice.IntN(3)], b.sku[dice.IntN(3)]
	lines := []any{map[string]any{"sku": first, "quantity": 1}}
	if first != second {
		lines = append(lines, map[string]any{"sku": second, "quantity": 1})
	}
	placed := b.step("place", n, "/v1/orders", map[string]any{"store_id": b.stores[0], "channel": "web", "fulfilment": "pickup", "external_number": fmt.Sprint("W-", n),
		"customer_id": b.people[dice.IntN(len(b.people))].id, "lines": lines, "points_to_redeem": 200, "payments": []any{map[string]any{"method": "cash", "amount": crashPrice*len(lines) - 200}}})
	if placed == nil {
		return
	}
	path := "/v1/orders/" + placed["id"].(string)
	if n%3 == 0 {
		b.step("cancel", n, path+"/cancel", map[string]any{"reason": "改变主意"})
		return
	}
	if b.step("complete", n, path+"/complete", nil) == nil || n%3 == 1 && dice.IntN(2) == 0 {
		return
	}
	b.giveBack(n, path, placed["lines"].([]any)[0].(map[string]any)["id"])
}

// giveBack returns a piece of a completed order.
func (b *buyers) giveBack(n int64, path string, line any) {
	back := b.step("return", n, path+"/returns", map[string]any{"lines": []any{map[string]any{"line_id": line, "quantity": 1, "reason_code": "other"}}})
	if back == nil {
		return
	}
	path = "/v1/returns/" + back["id"].(string)
	for _, step := range []string{"approve", "receive", "refund"} {
		var body any
		if step != "approve" {
			body = map[string]any{}
		}
		if b.step(step, n, path+"/"+step, body) == nil {
			return
		}
	}
}

// step sends a step until it is answered, and notes a good answer.
func (b *buyers) step(name string, n int64, path string, body any) map[string]any {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			panic(err)
		}
	}
	key := fmt.Sprintf("%s-%d", name, n)
	for {
		status, answer, err := b.post(path, key, raw)
		switch {
		case err == nil && status < 300:
			line, err := json.Marshal(acknowledgedStep{name, path, key, raw, answer})
			if err != nil {
				panic(err)
			}
			b.mu.Lock()
			_, err = b.file.Write(append(line, '\n'))
			b.mu.Unlock()
			if err != nil {
				panic(err)
			}
			b.done.Add(1)
			return object(answer)
		case err == nil && status == http.StatusConflict && object(answer)["code"] == "inventory.insufficient":
			b.done.Add(1) // an answer too
			time.Sleep(30 * time.Millisecond)
			return nil
		case err == nil && status < 500 && status != http.StatusConflict && status != http.StatusTooManyRequests:
			panic(fmt.Sprintf("%s: %d %s", path, status, answer))
		case b.ending.Load():
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (b *buyers) read() (out []acknowledgedStep) {
	b.t.Helper()
	raw, err := os.ReadFile(b.path)
	require.NoError(b.t, err)
	for line := range bytes.Lines(raw) {
		var a acknowledgedStep
		require.NoError(b.t, json.Unmarshal(line, &a))
		out = append(out, a)
	}
	require.Greater(b.t, len(out), 20)
	return out
}

// requireTrue compares the file with the database.
func (b *buyers) requireTrue(steps []acknowledgedStep) {
	t, d := b.t, b.s.database()
	t.Helper()
	for _, a := range steps {
		id := uuid.MustParse(object(a.Body)["id"].(string))
		query := map[string]string{
			"order":     "SELECT count(*) FROM orders WHERE id = $1",
			"prepay":    "SELECT count(*) FROM order_payments WHERE id = $1 AND status IN ('pending', 'succeeded')",
			"place":     "SELECT count(*) FROM orders WHERE id = $1 AND paid_amount = total_amount",
			"cancel":    "SELECT count(*) FROM orders o WHERE id = $1 AND status = 'cancelled' AND paid_amount = (SELECT sum(amount) FROM order_refunds r WHERE r.order_id = o.id)",
			"complete":  "SELECT count(*) FROM orders WHERE id = $1 AND status = 'completed'",
			"return":    "SELECT count(*) FROM order_returns WHERE id = $1",
			"redeem":    "SELECT count(*) FROM points_holds WHERE id = $1 AND captured = amount",
			"block":     "SELECT count(*) FROM points_holds WHERE id = $1",
			"capture":   "SELECT count(*) FROM points_holds WHERE id = $1 AND status = 'captured' AND captured = amount",
			"give-back": "SELECT count(*) FROM points_holds WHERE id = $1 AND given_back = captured",
			"approve":   "SELECT count(*) FROM order_returns WHERE id = $1 AND status <> 'requested'",
			"receive":   "SELECT count(*) FROM order_returns WHERE id = $1 AND status IN ('received', 'refunded')",
			"refund":    "SELECT count(*) FROM order_returns b WHERE id = $1 AND status = 'refunded' AND total_amount = (SELECT sum(amount) FROM order_refunds r WHERE r.order_return_id = b.id)",
		}[a.Step]
		require.Equal(t, 1, number(t, d, query, id), "%s %s was acknowledged", a.Step, id)
	}
	require.Zero(t, number(t, d, "SELECT count(*) FROM (SELECT external_number FROM orders GROUP BY 1 HAVING count(*) > 1) x"), "orders that are there twice")
	require.Zero(t, number(t, d, "SELECT count(*) FROM (SELECT reference FROM points_holds WHERE reference <> '' GROUP BY 1 HAVING count(*) > 1) x"), "points that are spent twice")
	// Of points that paid orders as much is spent as their payments say; what the verified ledger says of earnings is what is left of the orders.
	require.Zero(t, number(t, d, `SELECT count(*) FROM order_payments p LEFT JOIN (SELECT order_id, sum(captured - given_back) AS spent FROM points_holds WHERE order_id IS NOT NULL GROUP BY 1) h
		ON h.order_id = p.order_id WHERE p.method = 'points' AND p.amount - p.refunded_amount <> coalesce(h.spent, 0)`), "points that paid are not those that are spent")
	require.NotZero(t, number(t, d, "SELECT count(*) FROM points_earnings WHERE points > 0"))
	// Every piece is in one place only.
	for _, sku := range b.sku {
		const of = " FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE l.sku = $1"
		onHand := number(t, d, "SELECT l.on_hand FROM stock_levels l JOIN variants v ON v.id = l.variant_id WHERE v.sku = $1", sku)
		reserved := number(t, d, "SELECT l.reserved FROM stock_levels l JOIN variants v ON v.id = l.variant_id WHERE v.sku = $1", sku)
		sold := number(t, d, "SELECT coalesce(sum(l.shipped_quantity), 0)"+of, sku)
		back := number(t, d, "SELECT coalesce(sum(l.restocked_quantity), 0) FROM order_return_lines l WHERE l.sku = $1", sku)
		promised := number(t, d, "SELECT coalesce(sum(l.quantity), 0)"+of+" AND o.status IN ('placed', 'paid', 'ready')", sku)
		require.Equal(t, []int{crashPieces, promised}, []int{onHand + sold - back, reserved}, sku)
		require.GreaterOrEqual(t, onHand, reserved, sku)
	}
}
