package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// TestEveryListCounts asks each list for a page of one and for the number of all
// items, and for both in one page: the number is the same, and the items in it.
func TestEveryListCounts(t *testing.T) {
	w := newWorld(t)
	b := w.customer(w.a, nil)
	w.purchase(&b, w.a, nil)
	admin, member := w.fresh("administrator"), w.member()
	lists, filled := 0, 0
	for _, op := range w.Server.Contract.Operations() {
		if op.Method != http.MethodGet || !strings.HasPrefix(op.ID, "list") || strings.Contains(op.Path, "{") || op.Public {
			continue
		}
		lists++
		token := admin.token
		if op.Permission == string(auth.Member) {
			token = member.token
		}
		var one, most struct {
			Items      []any  `json:"items"`
			HasMore    bool   `json:"has_more"`
			TotalCount *int64 `json:"total_count"`
		}
		path := op.Path + "?"
		if op.ID == "listStockAlerts" || op.ID == "listReorderSuggestions" { // of one store
			path += "store_id=" + w.a.String() + "&"
		}
		for query, page := range map[string]any{"limit=1": &one, "limit=200": &most} {
			w.Do(http.MethodGet, path+"include=total_count&"+query, nil, "Authorization", "Bearer "+token).Want(http.StatusOK).JSON(page)
		}
		require.NotNil(t, one.TotalCount, op.ID)
		require.Equal(t, *one.TotalCount > 1, one.HasMore, op.ID)
		require.NotNil(t, most.TotalCount, op.ID)
		if !most.HasMore {
			require.EqualValues(t, *most.TotalCount, len(most.Items), op.ID)
		}
		if len(most.Items) > 0 {
			filled++
		}
	}
	require.Greater(t, lists, 15)
	require.Greater(t, filled, 10)
}
