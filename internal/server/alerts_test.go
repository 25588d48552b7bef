package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestBurstsOfRevealsAreReported(t *testing.T) {
	app := testkit.New(t, testkit.WithConfig(server.Config{Alerts: map[string]int{"reveals": 5, "misses": 3}}))
	shop := app.Store()
	curious, busy := app.Client("service_agent", testkit.InStore(shop.Id)), app.Client("service_agent", testkit.InStore(shop.Id))
	customer := app.Customer(map[string]any{"home_store_id": shop.Id})
	reveal := func(c *testkit.Client, times int) {
		for range times {
			c.Do(http.MethodPost, "/v1/customers/"+customer.Id.String()+"/reveal", map[string]any{"fields": []string{"phone"}, "reason": "call"}).Want(http.StatusOK)
		}
	}
	reveal(curious, 4)
	reveal(busy, 4)
	watch := func() []any {
		require.NoError(t, app.Server.Identity.WatchAccess(t.Context()))
		items, _ := app.Admin().Do(http.MethodGet, "/v1/security-alerts", nil).Want(http.StatusOK).Map()["items"].([]any)
		return items
	}
	require.Empty(t, watch())
	reveal(curious, 2)
	for i := range 3 {
		busy.Do(http.MethodPost, "/v1/customers/lookup", map[string]any{"phone": fmt.Sprintf("1391111000%d", i)}).Want(http.StatusNotFound)
	}
	items := watch()
	require.Len(t, items, 2)
	byKind := map[string]map[string]any{}
	for _, item := range items {
		byKind[item.(map[string]any)["kind"].(string)] = item.(map[string]any)
	}
	require.Equal(t, curious.StaffID.String(), byKind["reveals"]["principal_id"])
	require.EqualValues(t, 6, byKind["reveals"]["count"])
	require.Equal(t, busy.StaffID.String(), byKind["misses"]["principal_id"])
	require.Len(t, watch(), 2, "not again within the hour")
	var events int
	require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT count(*) FROM outbox_events WHERE type = 'security.alert' AND subject_id = $1`, curious.StaffID).Scan(&events))
	require.Equal(t, 1, events)
}
