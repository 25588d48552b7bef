package inventory_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestSnapshotsOfAnotherSystem(t *testing.T) {
	now := time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)
	app := testkit.New(t, testkit.At(now))
	admin, store := app.Admin(), app.Store()
	for _, sku := range []string{"A", "B", "C"} {
		variant(app, sku)
	}
	move(admin, store.Id, "receipt", []any{line("A", 10), line("B", 5)}, "occurred_at", now.Add(-3*time.Hour)).Want(201)
	// Sold after the snapshot was taken, and before it arrives.
	move(admin, store.Id, "sale", []any{line("A", 2)}, "occurred_at", now.Add(-time.Hour)).Want(201)
	type result struct {
		DocumentID *string `json:"document_id"`
		Results    []struct {
			Status string
			Change int64
			OnHand int64 `json:"on_hand"`
		}
	}
	send := func(asOf time.Time, pieces map[string]int64) (out result) {
		t.Helper()
		var lines []any
		for _, sku := range []string{"A", "B", "C"} {
			if n, ok := pieces[sku]; ok {
				lines = append(lines, map[string]any{"sku": sku, "on_hand": n})
			}
		}
		admin.Do(http.MethodPost, "/v1/stock-levels/sync", map[string]any{"store_id": store.Id, "as_of": asOf, "lines": lines}, key()...).Want(200).JSON(&out)
		return out
	}
	taken := now.Add(-2 * time.Hour)
	got := send(taken, map[string]int64{"A": 12, "B": 5, "C": 3})
	require.NotNil(t, got.DocumentID)
	require.Equal(t, "adjusted unchanged adjusted", got.Results[0].Status+" "+got.Results[1].Status+" "+got.Results[2].Status)
	require.EqualValues(t, 10, levelOf(admin, store.Id, "A").OnHand, "twelve, less the two sold since")
	require.EqualValues(t, 3, levelOf(admin, store.Id, "C").OnHand)

	// The same again, and an older one, change nothing.
	for _, asOf := range []time.Time{taken, taken.Add(-time.Minute)} {
		got = send(asOf, map[string]int64{"A": 99, "B": 99})
		require.Nil(t, got.DocumentID)
		require.Equal(t, "stale", got.Results[0].Status)
		require.Equal(t, "stale", got.Results[1].Status)
	}
	// A newer one does; what was sold after it cannot make less than none.
	got = send(now.Add(-90*time.Minute), map[string]int64{"A": 1})
	require.Equal(t, "adjusted", got.Results[0].Status)
	require.Zero(t, levelOf(admin, store.Id, "A").OnHand)
	// A ticket that comes late, from before the snapshot, is in it.
	admin.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"orders": []any{map[string]any{"store_id": store.Id, "external_number": "T-1", "placed_at": taken.Add(-time.Hour),
		"lines": []any{map[string]any{"sku": "C", "quantity": 1, "unit_price_amount": 4500}}}}}, key()...).Want(200)
	require.EqualValues(t, 3, levelOf(admin, store.Id, "C").OnHand)
	sound(t, app)

	bad := func(body map[string]any, code, pointer string) {
		t.Helper()
		admin.Do(http.MethodPost, "/v1/stock-levels/sync", body, key()...).WantProblem(http.StatusUnprocessableEntity, code, pointer)
	}
	one := []any{map[string]any{"sku": "A", "on_hand": 1}}
	bad(map[string]any{"store_id": store.Id, "as_of": now.Add(time.Hour), "lines": one}, "inventory.in_the_future", "/as_of")
	bad(map[string]any{"store_id": store.Id, "as_of": now, "lines": []any{map[string]any{"sku": "A", "on_hand": 1}, map[string]any{"sku": "A", "on_hand": 2}}}, "inventory.variant_repeated", "/lines/1")
	bad(map[string]any{"store_id": store.Id, "as_of": now, "lines": []any{map[string]any{"sku": "Z", "on_hand": 1}}}, "inventory.variant_unknown", "/lines/0")
	require.Equal(t, 422, admin.Do(http.MethodPost, "/v1/stock-levels/sync", map[string]any{"store_id": store.Id, "as_of": now, "lines": []any{map[string]any{"sku": "A", "on_hand": -1}}}, key()...).Status)
}

// A level is found by any barcode of its variant.
func TestLevelsByAnyBarcode(t *testing.T) {
	app := testkit.New(t)
	admin, store := app.Admin(), app.Store()
	id := variant(app, "A1")
	move(admin, store.Id, "receipt", []any{line("A1", 1)}).Want(201)
	admin.Do(http.MethodPost, "/v1/variants/"+id+"/barcodes", map[string]any{"kind": "internal", "code": "IN-77"}).Want(201)
	for _, code := range []string{"69A1", "IN-77"} {
		var page struct{ Items []levelView }
		admin.Do(http.MethodGet, "/v1/stock-levels?barcode="+code, nil).Want(200).JSON(&page)
		require.Len(t, page.Items, 1, code)
	}
}
