package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// A hot profile shows names that belong to others; a rename is seen at once.
func TestProfileFollowsRenames(t *testing.T) {
	app := testkit.New(t)
	store := app.Store()
	who := app.Staff("assistant", testkit.Own(), map[string]any{"store_id": store.Id})
	customer := app.Customer(map[string]any{"home_store_id": store.Id, "assigned_staff_id": who.Id})
	admin := app.Admin()
	profile := func() map[string]any {
		return admin.Do(http.MethodGet, "/v1/customers/"+customer.Id.String()+"/profile", nil).Want(http.StatusOK).Map()
	}
	name := func(of string) any { return profile()[of].(map[string]any)["name"] }
	assert.Equal(t, store.Name, name("home_store"))
	admin.Do(http.MethodPatch, "/v1/stores/"+store.Id.String(), map[string]any{"name": "新店名"}).Want(http.StatusOK)
	assert.Equal(t, "新店名", name("home_store"))
	admin.Do(http.MethodPatch, "/v1/staff/"+who.Id.String(), map[string]any{"name": "新名字"}).Want(http.StatusOK)
	assert.Equal(t, "新名字", name("assigned_staff"))
}
