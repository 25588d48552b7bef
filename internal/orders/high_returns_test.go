package orders_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestCustomersWhoReturnMuchAreTagged(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)))
	ctx, admin, store := auth.System(t.Context(), "test"), app.Admin(), app.Store().Id
	assistant := app.Staff("assistant", testkit.Own(), map[string]any{"store_id": store})
	who := app.Customer(map[string]any{"assigned_staff_id": assistant.Id, "home_store_id": store})
	twin := app.Customer(map[string]any{"assigned_staff_id": assistant.Id, "home_store_id": store})
	n := 0
	send := func(to client.Customer, kind, original, at string, amount int) string {
		n++
		number := fmt.Sprint("T", n)
		more := map[string]any{"type": kind, "customer_id": to.Id, "placed_at": at}
		if original != "" {
			more["original_external_number"] = original
		}
		var results client.POSResults
		post(admin, ticket(store, number, more, line("A", 1, amount))).Want(http.StatusOK).JSON(&results)
		require.Equal(t, client.POSCreated, results.Results[0].Status)
		return number
	}
	tagged := func(id uuid.UUID) bool {
		for _, tag := range admin.Do(http.MethodGet, "/v1/customers/"+id.String(), nil).Want(http.StatusOK).Map()["tags"].([]any) {
			if tag == "退货多" {
				return true
			}
		}
		return false
	}
	count := func(query string, args ...any) (n int) {
		require.NoError(t, app.DB.QueryRow(ctx, query, args...).Scan(&n))
		return n
	}
	const june = "2026-06-30T02:00:00Z"

	rule := admin.Do(http.MethodGet, "/v1/return-rule", nil).Want(http.StatusOK).Map()
	require.Equal(t, []any{false, 3.0, 40.0, 0.0, 365.0}, []any{rule["enabled"], rule["min_orders"], rule["min_rate_percent"], rule["version"], rule["window_days"]})
	in := map[string]any{"enabled": true, "min_orders": 3, "min_rate_percent": 40, "tag_name": "退货多"}
	admin.Do(http.MethodPut, "/v1/return-rule", in).WantProblem(428, "request.version_required")
	rule = admin.Do(http.MethodPut, "/v1/return-rule", in, "If-Match", `"0"`).Want(http.StatusOK).Map()
	require.NotNil(t, rule["tag_id"])
	admin.Do(http.MethodPut, "/v1/return-rule", in, "If-Match", `"0"`).WantProblem(412, "request.version_mismatch")

	first := send(who, "sale", "", june, 1000)
	send(who, "return", first, june, 1000)
	require.False(t, tagged(who.Id), "all of one order: too few")
	send(who, "sale", "", june, 500)
	send(who, "sale", "", june, 1000)
	require.True(t, tagged(who.Id), "1,000 of 2,500 are 40 %")
	require.Equal(t, 1, count("SELECT count(*) FROM outbox_events WHERE type = 'customer.high_returns' AND payload->>'customer_id' = $1", who.Id.String()))
	mentions := app.SignIn(assistant.Username, testkit.StaffPassword).Do(http.MethodGet, "/v1/me/mentions", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.Len(t, mentions, 1, "the assistant is told")
	require.Contains(t, fmt.Sprint(mentions[0]), "退货金额占 40%")
	metrics := admin.Do(http.MethodGet, "/v1/customers/"+who.Id.String()+"/metrics", nil).Want(http.StatusOK).Map()
	require.Equal(t, []any{0.4, 3.0, 2500.0, 1000.0}, []any{metrics["return_rate"], metrics["window_order_count"], metrics["window_spent_amount"], metrics["window_returned_amount"]})
	profile := admin.Do(http.MethodGet, "/v1/customers/"+who.Id.String()+"/profile", nil).Want(http.StatusOK).Map()
	require.EqualValues(t, 0.4, profile["metrics"].(map[string]any)["return_rate"])
	timeline := admin.Do(http.MethodGet, "/v1/customers/"+who.Id.String()+"/timeline?kind=tag_added", nil).Want(http.StatusOK).Map()["items"].([]any)
	require.Equal(t, "rule", timeline[0].(map[string]any)["details"].(map[string]any)["origin"])

	send(who, "sale", "", june, 100)
	require.False(t, tagged(who.Id), "1,000 of 2,600 are not")

	// Two who return little each, or too few orders, may do so as one.
	send(twin, "return", send(twin, "sale", "", june, 400), june, 400)
	require.False(t, tagged(twin.Id))
	merge := admin.Do(http.MethodPost, "/v1/customer-merges", map[string]any{"survivor_id": who.Id, "merged_id": twin.Id}, "Idempotency-Key", "m").Want(http.StatusCreated).Map()
	require.True(t, tagged(who.Id), "1,400 of 3,000")
	admin.Do(http.MethodPost, "/v1/customer-merges/"+merge["id"].(string)+"/undo", nil, "Idempotency-Key", "u").Want(http.StatusOK)
	require.False(t, tagged(who.Id))
	require.False(t, tagged(twin.Id))

	// A window passes, also for those who do nothing.
	send(who, "return", "", june, 900)
	require.True(t, tagged(who.Id))
	app.Advance(366 * 24 * time.Hour)
	_, err := app.Server.Segments.RebandDue(ctx)
	require.NoError(t, err)
	admin = app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	require.False(t, tagged(who.Id))
	metrics = admin.Do(http.MethodGet, "/v1/customers/"+who.Id.String()+"/metrics", nil).Want(http.StatusOK).Map()
	require.Equal(t, []any{nil, 0.0, 0.0}, []any{metrics["return_rate"], metrics["window_order_count"], metrics["window_returned_amount"]})

	in["enabled"] = false
	admin.Do(http.MethodPut, "/v1/return-rule", in, "If-Match", `"1"`).Want(http.StatusOK)
	require.Equal(t, 1, count("SELECT count(*) FROM tags WHERE condition = 'false'"))
	in["tag_name"] = " "
	admin.Do(http.MethodPut, "/v1/return-rule", in, "If-Match", `"2"`).WantProblem(422, "tags.name_invalid")
}
