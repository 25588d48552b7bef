package inventory_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

var keys struct {
	sync.Mutex
	n int
}

// key is a fresh Idempotency-Key header.
func key() []string {
	keys.Lock()
	defer keys.Unlock()
	keys.n++
	return []string{"Idempotency-Key", fmt.Sprintf("k-%d", keys.n)}
}

func system(t testing.TB) context.Context { return auth.System(t.Context(), "test") }

// variant makes a product with one variant.
func variant(app *testkit.App, sku string) string {
	p := app.Admin().Do("POST", "/v1/products", map[string]any{"title": "书 " + sku, "variants": []any{map[string]any{"sku": sku, "price_amount": 4500, "barcode": "69" + sku}}}).Want(201).Map()
	return p["variants"].([]any)[0].(map[string]any)["id"].(string)
}

func move(who *testkit.Client, store uuid.UUID, kind string, lines []any, more ...any) *testkit.Response {
	body := map[string]any{"store_id": store, "kind": kind, "lines": lines}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return who.Do("POST", "/v1/stock-movements", body, key()...)
}

func line(sku string, quantity int) any { return map[string]any{"sku": sku, "quantity": quantity} }

type levelView struct {
	ID                                              string
	Sku, Title                                      string
	OnHand                                          int64 `json:"on_hand"`
	Reserved, Available, Incoming, Damaged, Version int64
	LowStockThreshold                               *int64 `json:"low_stock_threshold"`
}

func levelOf(who *testkit.Client, store uuid.UUID, sku string) (out levelView) {
	var page struct{ Items []levelView }
	who.Do("GET", "/v1/stock-levels?store_id="+store.String()+"&sku="+sku, nil).Want(200).JSON(&page)
	if len(page.Items) == 1 {
		out = page.Items[0]
	}
	return out
}

// sound fails the test when a level is not the sum of its movements and open
// reservations.
func sound(t testing.TB, app *testkit.App) {
	t.Helper()
	found, err := app.Server.Inventory.Verify(system(t), 10)
	require.NoError(t, err)
	require.Empty(t, found.Differences)
}

func TestFacts(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	variant(app, "A-1")
	variant(app, "A-2")
	got := move(admin, store.Id, "receipt", []any{map[string]any{"sku": "A-1", "quantity": 10, "unit_cost_amount": 3200}, line("A-2", 5)}, "external_number", "GR-1").Want(201).Map()
	require.Equal(t, "created", got["status"])
	first := got["movements"].([]any)[0].(map[string]any)
	require.EqualValues(t, 10, first["on_hand_after"])
	require.EqualValues(t, 3200, first["unit_cost_amount"])
	require.Equal(t, "书 A-1", first["title"])

	// The same document again changes nothing.
	again := move(admin, store.Id, "receipt", []any{line("A-1", 99)}, "external_number", "GR-1").Want(201).Map()
	require.Equal(t, "duplicate", again["status"])
	require.Equal(t, got["id"], again["id"])
	require.Len(t, again["movements"], 2)

	move(admin, store.Id, "sale", []any{line("A-1", 3)}).Want(201)
	move(admin, store.Id, "damage", []any{line("A-1", 2)}).Want(201)
	move(admin, store.Id, "repair", []any{line("A-1", 1)}).Want(201)
	move(admin, store.Id, "return", []any{line("A-1", 1)}).Want(201)
	move(admin, store.Id, "adjustment", []any{line("A-1", -2)}, "reason", "盘亏").Want(201)
	v := levelOf(admin, store.Id, "A-1")
	require.EqualValues(t, 5, v.OnHand)
	require.EqualValues(t, 1, v.Damaged)
	move(admin, store.Id, "disposal", []any{line("A-1", 1)}).Want(201)

	// Nothing takes more than there is, and one line that lacks stops all.
	p := move(admin, store.Id, "sale", []any{line("A-2", 1), line("A-1", 6)}).WantProblem(409, "inventory.insufficient", "/lines/1/quantity")
	require.Contains(t, p.Errors[0].Detail, "5")
	move(admin, store.Id, "disposal", []any{line("A-2", 1)}).WantProblem(409, "inventory.insufficient", "/lines/0/quantity")
	require.EqualValues(t, 5, levelOf(admin, store.Id, "A-2").OnHand)

	var ledger struct {
		Items []struct {
			Kind         string
			OnHandChange int64 `json:"on_hand_change"`
		}
		TotalCount int64 `json:"total_count"`
	}
	admin.Do("GET", "/v1/stock-movements?include=total_count&limit=2&store_id="+store.Id.String(), nil).Want(200).JSON(&ledger)
	require.EqualValues(t, 8, ledger.TotalCount)
	require.Equal(t, "disposal", ledger.Items[0].Kind)
	admin.Do("GET", "/v1/stock-movements?external_number=GR-1", nil).Want(200).JSON(&ledger)
	require.Len(t, ledger.Items, 2)
	sound(t, app)
}

func TestFactsThatCannotBe(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	id := variant(app, "B-1")
	for name, c := range map[string]struct {
		kind    string
		line    any
		more    []any
		code    string
		pointer string
	}{
		"no pieces":         {"sale", line("B-1", 0), nil, "inventory.quantity_invalid", "/lines/0/quantity"},
		"less than none":    {"receipt", line("B-1", -1), nil, "inventory.quantity_invalid", "/lines/0/quantity"},
		"adjusted by none":  {"adjustment", line("B-1", 0), []any{"reason", "x"}, "inventory.quantity_zero", "/lines/0/quantity"},
		"without a reason":  {"adjustment", line("B-1", 1), []any{"reason", " "}, "inventory.reason_needed", "/reason"},
		"unknown SKU":       {"receipt", line("B-9", 1), nil, "inventory.variant_unknown", "/lines/0"},
		"named twice":       {"receipt", map[string]any{"sku": "B-1", "variant_id": id, "quantity": 1}, nil, "inventory.variant_unnamed", "/lines/0"},
		"not named":         {"receipt", map[string]any{"quantity": 1}, nil, "inventory.variant_unnamed", "/lines/0"},
		"cost of a sale":    {"sale", map[string]any{"sku": "B-1", "quantity": 1, "unit_cost_amount": 1}, nil, "inventory.cost_of_receipts", "/lines/0/unit_cost_amount"},
		"tomorrow":          {"receipt", line("B-1", 1), []any{"occurred_at", time.Now().Add(26 * time.Hour).Format(time.RFC3339)}, "inventory.in_the_future", "/occurred_at"},
		"more than numbers": {"receipt", map[string]any{"sku": "B-1", "quantity": 1_000_000_001}, nil, "request.invalid", "/lines/0/quantity"},
	} {
		t.Run(name, func(t *testing.T) {
			move(app.In(t).Admin(), store.Id, c.kind, []any{c.line}, c.more...).WantProblem(422, c.code, c.pointer)
		})
	}
	move(admin, store.Id, "receipt", []any{line("B-1", 1), map[string]any{"variant_id": id, "quantity": 1}}).WantProblem(422, "inventory.variant_repeated", "/lines/1")
	move(admin, uuid.New(), "receipt", []any{line("B-1", 1)}).WantProblem(422, "inventory.store_unknown", "/store_id")
	require.Zero(t, levelOf(admin, store.Id, "B-1").Version, "something was written")
	admin.Do("POST", "/v1/stock-movements", map[string]any{"store_id": store.Id, "kind": "receipt", "lines": []any{line("B-1", 1)}}).WantProblem(400, "idempotency.key_required")
}

func TestReservations(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)))
	admin, store := app.Admin(), app.Store()
	variant(app, "C-1")
	variant(app, "C-2")
	move(admin, store.Id, "receipt", []any{line("C-1", 5), line("C-2", 1)}).Want(201)
	reserve := func(seconds int, lines ...any) *testkit.Response {
		return admin.Do("POST", "/v1/stock-reservations", map[string]any{"store_id": store.Id, "lines": lines, "expires_in_seconds": seconds, "reference": "篮子"}, key()...)
	}
	one := reserve(60, line("C-1", 3), line("C-2", 1)).Want(201).Map()
	require.Equal(t, "open", one["status"])
	p := reserve(60, line("C-1", 3)).WantProblem(409, "inventory.insufficient", "/lines/0/quantity")
	require.Contains(t, p.Errors[0].Detail, "2")
	two := reserve(600, line("C-1", 2)).Want(201).Map()
	v := levelOf(admin, store.Id, "C-1")
	require.Equal(t, [3]int64{5, 5, 0}, [3]int64{v.OnHand, v.Reserved, v.Available})

	// A till has sold what was promised: a fact.
	move(admin, store.Id, "sale", []any{line("C-1", 1)}).Want(201)
	require.EqualValues(t, -1, levelOf(admin, store.Id, "C-1").Available)

	admin.Do("POST", "/v1/stock-reservations/"+two["id"].(string)+"/release", nil, key()...).Want(200)
	admin.Do("POST", "/v1/stock-reservations/"+two["id"].(string)+"/commit", nil, key()...).WantProblem(409, "inventory.reservation_ended")

	// When the time of the first is over, its pieces serve the next, job or no job.
	app.Advance(2 * time.Minute)
	admin.Do("POST", "/v1/stock-reservations/"+one["id"].(string)+"/commit", nil, key()...).WantProblem(409, "inventory.reservation_ended")
	three := reserve(60, line("C-1", 4)).Want(201).Map()
	admin.Do("GET", "/v1/stock-reservations/"+one["id"].(string), nil).Want(200).JSON(&one)
	require.Equal(t, "expired", one["status"])
	require.Zero(t, levelOf(admin, store.Id, "C-2").Reserved)
	done := admin.Do("POST", "/v1/stock-reservations/"+three["id"].(string)+"/commit", nil, key()...).Want(200).Map()
	require.Equal(t, "committed", done["status"])
	v = levelOf(admin, store.Id, "C-1")
	require.Equal(t, [2]int64{0, 0}, [2]int64{v.OnHand, v.Reserved})

	last := reserve(10, line("C-2", 1)).Want(201).Map()
	app.Advance(time.Minute)
	n, err := app.Server.Inventory.ExpireReservations(system(t))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	admin.Do("GET", "/v1/stock-reservations/"+last["id"].(string), nil).Want(200).JSON(&last)
	require.Equal(t, "expired", last["status"])
	require.Len(t, admin.Do("GET", "/v1/stock-reservations?status=expired", nil).Want(200).Map()["items"], 2)
	sound(t, app)
}

func TestLowStock(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	variant(app, "D-1")
	move(admin, store.Id, "receipt", []any{line("D-1", 5)}).Want(201)
	v := levelOf(admin, store.Id, "D-1")
	admin.Do("PATCH", "/v1/stock-levels/"+v.ID, map[string]any{"low_stock_threshold": 3}, "If-Match", `"1"`).WantProblem(412, "request.version_mismatch")
	admin.Do("PATCH", "/v1/stock-levels/"+v.ID, map[string]any{"low_stock_threshold": 3}).Want(200)
	low := func() []any {
		return admin.Do("GET", "/v1/stock-levels?low=true", nil).Want(200).Map()["items"].([]any)
	}
	warned := func() (n int) {
		require.NoError(t, app.DB.QueryRow(system(t), "SELECT count(*) FROM outbox_events WHERE type = 'inventory.low_stock'").Scan(&n))
		return n
	}
	require.Empty(t, low())
	move(admin, store.Id, "sale", []any{line("D-1", 2)}).Want(201)
	require.Len(t, low(), 1)
	move(admin, store.Id, "sale", []any{line("D-1", 1)}).Want(201)
	require.Equal(t, 1, warned(), "once, when it crosses the threshold")
	admin.Do("PATCH", "/v1/stock-levels/"+v.ID, map[string]any{"low_stock_threshold": nil}).Want(200)
	require.Empty(t, low())
}

func TestStockWithinReach(t *testing.T) {
	app := testkit.New(t)
	here, there := app.Store(map[string]any{"code": "HERE"}), app.Store(map[string]any{"code": "THERE"})
	variant(app, "E-1")
	admin := app.Admin()
	move(admin, here.Id, "receipt", []any{line("E-1", 5)}).Want(201)
	move(admin, there.Id, "receipt", []any{line("E-1", 5)}).Want(201)
	clerk := app.Client("inventory_clerk", testkit.InStore(here.Id))
	move(clerk, here.Id, "sale", []any{line("E-1", 1)}).Want(201)
	move(clerk, there.Id, "sale", []any{line("E-1", 1)}).WantProblem(422, "inventory.store_unknown", "/store_id")
	require.Len(t, clerk.Do("GET", "/v1/stock-levels", nil).Want(200).Map()["items"], 1)
	clerk.Do("GET", "/v1/stock-levels/"+levelOf(admin, there.Id, "E-1").ID, nil).WantProblem(404, "inventory.level_not_found")
	assistant := app.SignIn(app.Staff("assistant", testkit.Own(), map[string]any{"username": "dao.gou", "password": "Correct-Horse-9", "store_id": here.Id}).Username, "Correct-Horse-9")
	require.Len(t, assistant.Do("GET", "/v1/stock-levels", nil).Want(200).Map()["items"], 1)
	require.EqualValues(t, 4, levelOf(assistant, here.Id, "E-1").OnHand)
	move(assistant, here.Id, "sale", []any{line("E-1", 1)}).WantProblem(403, "auth.forbidden")
}

// Two hundred buyers want the last fifty pieces, each of several variants in
// another order: exactly fifty get them.
func TestLastPieces(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	const variants, pieces, buyers = 3, 50, 200
	var receipt []any
	for i := range variants {
		sku := fmt.Sprintf("F-%d", i)
		variant(app, sku)
		receipt = append(receipt, line(sku, pieces))
	}
	move(admin, store.Id, "receipt", receipt).Want(201)
	statuses := make([]int, buyers)
	var wg sync.WaitGroup
	for b := range buyers {
		wg.Go(func() {
			lines := make([]any, 0, variants)
			for i := range variants {
				lines = append(lines, line(fmt.Sprintf("F-%d", (b+i*(1+b%2))%variants), 1))
			}
			if b%3 == 0 { // facts and promises compete
				statuses[b] = move(admin, store.Id, "sale", lines).Status
				return
			}
			r := admin.Do("POST", "/v1/stock-reservations", map[string]any{"store_id": store.Id, "lines": lines}, key()...)
			if statuses[b] = r.Status; r.Status == http.StatusCreated && b%2 == 0 {
				admin.Do("POST", "/v1/stock-reservations/"+r.Map()["id"].(string)+"/release", nil, key()...).Want(200)
				statuses[b] = 0
			}
		})
	}
	wg.Wait()
	sold, promised := 0, 0
	for b, status := range statuses {
		switch {
		case status == http.StatusCreated && b%3 == 0:
			sold++
		case status == http.StatusCreated:
			promised++
		case status != http.StatusConflict && status != 0:
			t.Errorf("buyer %d: status %d", b, status)
		}
	}
	for i := range variants {
		v := levelOf(admin, store.Id, fmt.Sprintf("F-%d", i))
		require.EqualValues(t, pieces-sold, v.OnHand)
		require.EqualValues(t, promised, v.Reserved)
	}
	sound(t, app)
	_, err := app.DB.Exec(system(t), "UPDATE stock_movements SET on_hand_change = 0")
	require.Error(t, err, "the ledger only grows")
}

// Everybody wants one piece, and nobody gives it back: exactly as many get one
// as there are.
func TestNoPieceIsPromisedTwice(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	variant(app, "G-1")
	move(admin, store.Id, "receipt", []any{line("G-1", 50)}).Want(201)
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			r := admin.Do("POST", "/v1/stock-reservations", map[string]any{"store_id": store.Id, "lines": []any{line("G-1", 1)}}, key()...)
			mu.Lock()
			defer mu.Unlock()
			got[r.Status]++
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{201: 50, 409: 150}, got)
	sound(t, app)
}

func TestAlertsAndSuggestions(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store().Id
	for _, sku := range []string{"1001", "1002", "1003", "1004"} {
		variant(app, sku)
	}
	move(admin, store, "receipt", []any{line("1001", 10), line("1002", 500), line("1003", 5), line("1004", 40)}).Want(201)
	admin.Do("PATCH", "/v1/stock-levels/"+levelOf(admin, store, "1001").ID, map[string]any{"low_stock_threshold": 4}).Want(200)
	move(admin, store, "sale", []any{line("1001", 7), line("1002", 1), line("1004", 20)}).Want(201)
	_, err := app.DB.Exec(system(t), "UPDATE stock_levels SET created_at = now() - interval '200 days'") // they are here for long
	require.NoError(t, err)
	alerts := func(query string) map[string][]any {
		out := map[string][]any{}
		for next := "/v1/stock-alerts?limit=1&store_id=" + store.String() + query; next != ""; {
			page := admin.Do("GET", next, nil).Want(200).Map()
			for _, i := range page["items"].([]any) {
				out[i.(map[string]any)["sku"].(string)] = i.(map[string]any)["kinds"].([]any)
			}
			if next = ""; page["next_cursor"] != nil {
				next = "/v1/stock-alerts?limit=1&store_id=" + store.String() + query + "&cursor=" + page["next_cursor"].(string)
			}
		}
		return out
	}
	require.Equal(t, map[string][]any{"1001": {"low"}, "1002": {"slow"}, "1003": {"dead"}}, alerts(""))
	require.Equal(t, map[string][]any{"1003": {"dead"}}, alerts("&kind=dead"))
	require.Empty(t, alerts("&kind=dead&days=365"))
	var suggested struct {
		Items []struct {
			SKU               string
			ReorderPoint      int64 `json:"reorder_point"`
			SuggestedQuantity int64 `json:"suggested_quantity"`
		}
		TotalCount int64 `json:"total_count"`
	}
	admin.Do("GET", "/v1/reorder-suggestions?include=total_count&store_id="+store.String(), nil).Want(200).JSON(&suggested)
	require.EqualValues(t, 2, suggested.TotalCount)
	require.Equal(t, []string{"1004", "1001"}, []string{suggested.Items[0].SKU, suggested.Items[1].SKU}, "the fastest sellers first")
	require.Positive(t, suggested.Items[1].SuggestedQuantity)
	app.Client("store_manager", testkit.InStore(app.Store().Id)).Do("GET", "/v1/stock-alerts?store_id="+store.String(), nil).WantProblem(404, "inventory.store_not_found")
	admin.Do("GET", "/v1/stock-alerts", nil).Want(422)
}
