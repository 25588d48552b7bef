package operations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestVerifyMetrics(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store, customer := app.Store(), app.Customer()
	ticket := func(number, kind, day string, quantity int) map[string]any {
		return map[string]any{
			"store_id": store.Id, "external_number": number, "type": kind, "placed_at": day + "T02:00:00Z",
			"customer": map[string]any{"id": customer.Id},
			"lines":    []any{map[string]any{"sku": "A", "quantity": quantity, "unit_price_amount": 1000}},
		}
	}
	admin.Do("POST", "/v1/pos/orders", map[string]any{"create_missing_variants": true, "orders": []any{
		ticket("1", "sale", "2026-07-01", 3), ticket("2", "sale", "2026-07-02", 1), ticket("3", "return", "2026-07-03", 1),
	}}).Want(200)

	ctx := auth.System(t.Context(), "test")
	report, err := app.Server.Operations.VerifyMetrics(ctx)
	require.NoError(t, err)
	require.Empty(t, report.Differences)
	require.EqualValues(t, 1, report.Customers)
	require.EqualValues(t, 2, report.Orders)
	require.EqualValues(t, 4000, report.Spent)
	require.EqualValues(t, 1, report.Returns)
	require.EqualValues(t, 1000, report.Returned)

	_, err = app.DB.Exec(ctx, "UPDATE customer_metrics SET spent_amount = spent_amount + 1 WHERE id = $1", customer.Id)
	require.NoError(t, err)
	report, err = app.Server.Operations.VerifyMetrics(ctx)
	require.NoError(t, err)
	require.Len(t, report.Differences, 1)
	require.Equal(t, "spent_amount is 4001, should be 4000", report.Differences[0].Text())
}

func TestRotation(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	customer := app.Customer(map[string]any{"phone": "13912345678"})
	app.Customer()
	ctx := auth.System(t.Context(), "test")
	version, err := app.Keys.RotateBusinessKey()
	require.NoError(t, err)
	moved, err := app.Server.Operations.RewrapDataKeys(ctx, func(done, total int64) { require.LessOrEqual(t, done, total) })
	require.NoError(t, err)
	require.EqualValues(t, 2, moved)
	versions, err := app.Server.Operations.DataKeyVersions(ctx)
	require.NoError(t, err)
	require.Len(t, versions, 1)
	require.Equal(t, version, versions[0].Version)
	require.EqualValues(t, 2, versions[0].Customers)
	// With the old key gone everything still opens.
	require.NoError(t, app.Keys.DropBusinessKey(version-1))
	got := admin.Do("POST", "/v1/customers/"+customer.Id.String()+"/reveal", `{"fields":["phone"],"reason":"test of rotation"}`).Want(200)
	require.Contains(t, string(got.Body), "13912345678")
	moved, err = app.Server.Operations.RewrapDataKeys(ctx, func(int64, int64) {})
	require.NoError(t, err)
	require.Zero(t, moved, "a second run has nothing to do")
}
