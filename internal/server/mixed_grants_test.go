package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// An assistant of their own customers who is also analyst of the whole business
// reads everybody and changes only their own: a permission goes as far as the
// grants that hold it, not as far as all grants together.
func TestGrantsDoNotLendEachOtherTheirScope(t *testing.T) {
	app := testkit.New(t)
	store := app.Store()
	const password = "a password of some length"
	who := app.Staff("assistant", testkit.Own(), map[string]any{
		"store_id": store.Id, "username": "both", "password": password, "must_change_password": false,
		"grants": []map[string]any{{"role": "assistant", "scope": "own"}, {"role": "analyst", "scope": "all"}},
	})
	own := app.Customer(map[string]any{"home_store_id": store.Id, "assigned_staff_id": who.Id})
	other := app.Customer(map[string]any{"home_store_id": app.Store().Id})
	both := app.SignIn("both", password)

	both.Do(http.MethodGet, "/v1/customers/"+other.Id.String(), nil).Want(http.StatusOK)
	both.Do(http.MethodPatch, "/v1/customers/"+own.Id.String(), map[string]any{"language": "en"}).Want(http.StatusOK)
	both.Do(http.MethodPatch, "/v1/customers/"+other.Id.String(), map[string]any{"language": "en"}).WantProblem(http.StatusNotFound, "customers.not_found")
	both.Do(http.MethodPost, "/v1/customers/"+other.Id.String()+"/reveal", map[string]any{"fields": []string{"name"}, "reason": "test"}).
		WantProblem(http.StatusNotFound, "customers.not_found")
	after := app.Admin().Do(http.MethodGet, "/v1/customers/"+other.Id.String(), nil).Want(http.StatusOK).Map()
	assert.Equal(t, "zh-CN", after["language"])
}
