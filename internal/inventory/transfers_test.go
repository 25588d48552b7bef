package inventory_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestTransfers(t *testing.T) {
	app := testkit.New(t)
	admin, from, to := app.Admin(), app.Store(), app.Store()
	variant(app, "T-1")
	variant(app, "T-2")
	move(admin, from.Id, "receipt", []any{line("T-1", 10), line("T-2", 2)}).Want(201)
	plan := func(lines ...any) *testkit.Response {
		return admin.Do("POST", "/v1/stock-transfers", map[string]any{"from_store_id": from.Id, "to_store_id": to.Id, "lines": lines}, key()...)
	}
	do := func(id any, verb string, body any) *testkit.Response {
		return admin.Do("POST", "/v1/stock-transfers/"+id.(string)+"/"+verb, body, key()...)
	}
	plan(line("T-1", 11)).WantProblem(409, "inventory.insufficient", "/lines/0/quantity")
	one := plan(line("T-1", 6), line("T-2", 2)).Want(201).Map()
	v := levelOf(admin, from.Id, "T-1")
	require.Equal(t, [2]int64{10, 6}, [2]int64{v.OnHand, v.Reserved})
	sound(t, app)
	do(one["id"], "receive", map[string]any{}).WantProblem(409, "inventory.transfer_state")
	do(one["id"], "ship", nil).Want(200)
	do(one["id"], "ship", nil).WantProblem(409, "inventory.transfer_state")
	do(one["id"], "cancel", nil).WantProblem(409, "inventory.transfer_state")
	v = levelOf(admin, from.Id, "T-1")
	require.Equal(t, [2]int64{4, 0}, [2]int64{v.OnHand, v.Reserved})
	require.EqualValues(t, 6, levelOf(admin, to.Id, "T-1").Incoming)

	do(one["id"], "receive", map[string]any{"lines": []any{map[string]any{"sku": "T-1", "received_quantity": 7}}}).WantProblem(422, "inventory.more_than_sent", "/lines/0/received_quantity")
	variant(app, "T-3")
	do(one["id"], "receive", map[string]any{"lines": []any{map[string]any{"sku": "T-3", "received_quantity": 1}}}).WantProblem(422, "inventory.not_sent", "/lines/0")
	// Of six, one came broken and one was lost; the other variant came in full.
	got := do(one["id"], "receive", map[string]any{"lines": []any{map[string]any{"sku": "T-1", "received_quantity": 4, "damaged_quantity": 1}}}).Want(200).Map()
	require.Equal(t, "received", got["status"])
	v = levelOf(admin, to.Id, "T-1")
	require.Equal(t, [3]int64{4, 1, 0}, [3]int64{v.OnHand, v.Damaged, v.Incoming})
	require.EqualValues(t, 2, levelOf(admin, to.Id, "T-2").OnHand)

	two := plan(line("T-1", 4)).Want(201).Map()
	do(two["id"], "cancel", nil).Want(200)
	require.Zero(t, levelOf(admin, from.Id, "T-1").Reserved)
	admin.Do("POST", "/v1/stock-transfers", map[string]any{"from_store_id": from.Id, "to_store_id": from.Id, "lines": []any{line("T-1", 1)}}, key()...).WantProblem(422, "inventory.same_store", "/to_store_id")
	require.Len(t, admin.Do("GET", "/v1/stock-transfers?status=received&store_id="+to.Id.String(), nil).Want(200).Map()["items"], 1)
	sound(t, app)

	// Each store does its part.
	sender, receiver := app.Client("inventory_clerk", testkit.InStore(from.Id)), app.Client("inventory_clerk", testkit.InStore(to.Id))
	three := sender.Do("POST", "/v1/stock-transfers", map[string]any{"from_store_id": from.Id, "to_store_id": to.Id, "lines": []any{line("T-1", 1)}}, key()...).Want(201).Map()
	at := "/v1/stock-transfers/" + three["id"].(string)
	receiver.Do("POST", at+"/ship", nil, key()...).WantProblem(422, "inventory.store_unknown")
	sender.Do("POST", at+"/ship", nil, key()...).Want(200)
	sender.Do("POST", at+"/receive", map[string]any{}, key()...).WantProblem(422, "inventory.store_unknown")
	receiver.Do("GET", at, nil).Want(200)
	receiver.Do("POST", at+"/receive", map[string]any{}, key()...).Want(200)
	app.Client("inventory_clerk", testkit.InStore(app.Store().Id)).Do("GET", at, nil).WantProblem(404, "inventory.transfer_not_found")
	sound(t, app)
}

// Two stores send each other goods at the same time; everything arrives.
func TestTransfersBothWays(t *testing.T) {
	app := testkit.New(t)
	admin, a, b := app.Admin(), app.Store(), app.Store()
	variant(app, "U-1")
	variant(app, "U-2")
	for _, s := range []uuid.UUID{a.Id, b.Id} {
		move(admin, s, "receipt", []any{line("U-1", 20), line("U-2", 20)}).Want(201)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			from, to := a.Id, b.Id
			if i%2 == 0 {
				from, to = to, from
			}
			made := admin.Do("POST", "/v1/stock-transfers", map[string]any{"from_store_id": from, "to_store_id": to, "lines": []any{line("U-2", 1), line("U-1", 2)}}, key()...).Want(201).Map()
			at := "/v1/stock-transfers/" + made["id"].(string)
			admin.Do("POST", at+"/ship", nil, key()...).Want(200)
			admin.Do("POST", at+"/receive", map[string]any{}, key()...).Want(200)
		})
	}
	wg.Wait()
	for _, s := range []uuid.UUID{a.Id, b.Id} {
		v := levelOf(admin, s, "U-1")
		require.Equal(t, [3]int64{20, 0, 0}, [3]int64{v.OnHand, v.Reserved, v.Incoming})
	}
	sound(t, app)
}

func TestCounts(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	variant(app, "V-1")
	variant(app, "V-2")
	move(admin, store.Id, "receipt", []any{line("V-1", 10), line("V-2", 10)}).Want(201)
	clerk, manager := app.Client("inventory_clerk", testkit.InStore(store.Id)), app.Client("store_manager", testkit.InStore(store.Id))
	begun := clerk.Do("POST", "/v1/stock-counts", map[string]any{"store_id": store.Id, "note": "月末"}, key()...).Want(201).Map()
	at := "/v1/stock-counts/" + begun["id"].(string)
	clerk.Do("POST", at+"/submit", nil, key()...).WantProblem(409, "inventory.count_empty")
	counted := func(sku string, n int) any { return map[string]any{"sku": sku, "counted_quantity": n} }
	clerk.Do("POST", at+"/lines", map[string]any{"lines": []any{counted("V-1", 7), counted("V-2", 10)}}).Want(200)
	got := clerk.Do("POST", at+"/lines", map[string]any{"lines": []any{counted("V-1", 8)}}).Want(200).Map() // counted again
	require.EqualValues(t, 2, got["line_count"])
	require.EqualValues(t, 1, got["differing_count"])
	require.EqualValues(t, -2, got["variance_quantity"])

	// What is sold between counting and approval is not missing.
	move(admin, store.Id, "sale", []any{line("V-1", 3), line("V-2", 3)}).Want(201)
	manager.Do("POST", at+"/approve", nil, key()...).WantProblem(409, "inventory.count_state")
	clerk.Do("POST", at+"/submit", nil, key()...).Want(200)
	clerk.Do("POST", at+"/approve", nil, key()...).WantProblem(403, "auth.forbidden")
	clerk.Do("POST", at+"/lines", map[string]any{"lines": []any{counted("V-1", 1)}}).WantProblem(409, "inventory.count_state")
	manager.Do("POST", at+"/reopen", nil, key()...).Want(200)
	clerk.Do("POST", at+"/submit", nil, key()...).Want(200)
	require.Len(t, manager.Do("GET", at+"/lines?differing=true", nil).Want(200).Map()["items"], 1)
	require.Equal(t, "approved", manager.Do("POST", at+"/approve", nil, key()...).Want(200).Map()["status"])
	require.EqualValues(t, 5, levelOf(admin, store.Id, "V-1").OnHand)
	require.EqualValues(t, 7, levelOf(admin, store.Id, "V-2").OnHand)
	manager.Do("POST", at+"/approve", nil, key()...).WantProblem(409, "inventory.count_state")
	admin.Do("POST", at+"/cancel", nil, key()...).WantProblem(409, "inventory.count_state")

	// Nobody approves their own.
	own := admin.Do("POST", "/v1/stock-counts", map[string]any{"store_id": store.Id}, key()...).Want(201).Map()
	at = "/v1/stock-counts/" + own["id"].(string)
	admin.Do("POST", at+"/lines", map[string]any{"lines": []any{counted("V-1", 0)}}).Want(200)
	admin.Do("POST", at+"/submit", nil, key()...).Want(200)
	admin.Do("POST", at+"/approve", nil, key()...).WantProblem(409, "inventory.own_count")
	admin.Do("POST", at+"/cancel", nil, key()...).Want(200)
	app.Client("inventory_clerk", testkit.InStore(app.Store().Id)).Do("GET", at, nil).WantProblem(404, "inventory.count_not_found")
	sound(t, app)
}
