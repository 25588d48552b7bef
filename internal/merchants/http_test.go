package merchants_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestMerchants(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	made := admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": "CG-2F018", "name": " 晨光书屋 ", "category": "书店", "place": "2F-018"}).Want(http.StatusCreated)
	var m client.Merchant
	made.JSON(&m)
	require.Equal(t, "晨光书屋", m.Name)
	require.Equal(t, "active", string(m.Status))
	path := "/v1/merchants/" + m.Id.String()
	require.Equal(t, path, made.Header.Get("Location"))

	// Codes are one whatever the case; names need something to read.
	admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": "cg-2f018", "name": "另一家"}).WantProblem(http.StatusConflict, "merchants.code_taken", "/code")
	admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": "B", "name": "   "}).WantProblem(http.StatusUnprocessableEntity, "merchants.blank", "/name")
	admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": "有 空格", "name": "x"}).WantProblem(http.StatusUnprocessableEntity, "request.invalid", "/code")

	// A change raises the version; null empties; a stale ETag changes nothing.
	tag := made.Header.Get("ETag")
	var after client.Merchant
	admin.Do(http.MethodPatch, path, map[string]any{"place": nil, "status": "left"}, "If-Match", tag).Want(http.StatusOK).JSON(&after)
	require.True(t, after.Place.IsNull())
	require.Equal(t, "left", string(after.Status))
	require.EqualValues(t, 2, after.Version)
	admin.Do(http.MethodPatch, path, map[string]any{"name": "旧"}, "If-Match", tag).Want(http.StatusPreconditionFailed)
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&after)
	require.Equal(t, "晨光书屋", after.Name)

	// Each change is in the audit log.
	var actions int
	require.NoError(t, app.DB.SQL.QueryRow("SELECT count(*) FROM audit_logs WHERE object_id = $1 AND action IN ('merchants.create', 'merchants.update')", m.Id.String()).Scan(&actions))
	require.Equal(t, 2, actions)

	admin.StepUp(testkit.AdminPassword)
	admin.Do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, path, nil).WantProblem(http.StatusNotFound, "merchants.not_found")
}

func TestListOfMerchants(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	for i := range 7 {
		admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": fmt.Sprintf("M%d", i), "name": fmt.Sprintf("店铺%d", i)}).Want(http.StatusCreated)
	}
	seen, cursor := []string{}, ""
	for {
		var page client.MerchantList
		admin.Do(http.MethodGet, "/v1/merchants?limit=3&q=m&status=active&include=total_count"+cursor, nil).Want(http.StatusOK).JSON(&page)
		require.EqualValues(t, 7, *page.TotalCount)
		for _, m := range page.Items {
			seen = append(seen, m.Code)
		}
		if !page.HasMore {
			break
		}
		cursor = "&cursor=" + page.NextCursor.MustGet()
	}
	require.Equal(t, []string{"M0", "M1", "M2", "M3", "M4", "M5", "M6"}, seen)
	var none client.MerchantList
	admin.Do(http.MethodGet, "/v1/merchants?status=left", nil).Want(http.StatusOK).JSON(&none)
	require.Empty(t, none.Items)
	admin.Do(http.MethodGet, "/v1/merchants?cursor=nonsense", nil).WantProblem(http.StatusBadRequest, "request.bad_cursor", "?cursor")
}

// A grant over a merchant needs the merchant, and gives no more than its giver has.
func TestGrantsOverAMerchant(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	var m client.Merchant
	admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": "G1", "name": "商户"}).Want(http.StatusCreated).JSON(&m)
	who := app.Staff("assistant", testkit.Own())
	grants := "/v1/staff/" + who.Id.String() + "/grants"
	admin.StepUp(testkit.AdminPassword)
	admin.Do(http.MethodPost, grants, map[string]any{"role": "store_manager", "scope": "merchant"}).WantProblem(http.StatusUnprocessableEntity, "staff.grant_scope", "/scope")
	admin.Do(http.MethodPost, grants, map[string]any{"role": "store_manager", "scope": "region", "merchant_id": m.Id}).WantProblem(http.StatusUnprocessableEntity, "staff.grant_scope", "/scope")
	admin.Do(http.MethodPost, grants, map[string]any{"role": "store_manager", "scope": "merchant", "merchant_id": who.Id}).WantProblem(http.StatusUnprocessableEntity, "merchants.unknown", "/merchant_id")
	body := map[string]any{"role": "store_manager", "scope": "merchant", "merchant_id": m.Id}
	given := admin.Do(http.MethodPost, grants, body)
	require.Less(t, given.Status, 300, string(given.Body))
	require.Contains(t, string(given.Body), m.Id.String())
	admin.Do(http.MethodPost, grants, body).WantProblem(http.StatusConflict, "staff.grant_exists")
}

// A merchant that is deleted while a store joins it: one of the two is refused,
// and no store points to nothing.
func TestDeletingWhileAStoreJoins(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	admin.StepUp(testkit.AdminPassword)
	for i := range 10 {
		var m client.Merchant
		admin.Do(http.MethodPost, "/v1/merchants", map[string]any{"code": fmt.Sprintf("R%d", i), "name": "商户"}).Want(http.StatusCreated).JSON(&m)
		store := app.Store()
		var wg sync.WaitGroup
		var joined, deleted int
		wg.Go(func() {
			joined = admin.Do(http.MethodPatch, "/v1/stores/"+store.Id.String(), map[string]any{"merchant_id": m.Id}).Status
		})
		wg.Go(func() { deleted = admin.Do(http.MethodDelete, "/v1/merchants/"+m.Id.String(), nil).Status })
		wg.Wait()
		if joined == http.StatusOK {
			require.Equal(t, http.StatusConflict, deleted)
		} else {
			require.Equal(t, http.StatusUnprocessableEntity, joined)
			require.Equal(t, http.StatusNoContent, deleted)
		}
	}
}
