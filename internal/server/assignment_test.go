package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// Customers of a store get assistants by its rules as they come, those who were
// there by a job, and everything can be seen before and after.
func TestAssistantsByRules(t *testing.T) {
	type body = map[string]any
	app := testkit.New(t, testkit.WithWorker())
	admin, shop, elsewhere := app.Admin(), app.Store(), app.Store()
	at := func(id uuid.UUID) body { return body{"store_id": id} }
	one, two := app.Staff("assistant", testkit.Own(), at(shop.Id)), app.Staff("assistant", testkit.Own(), at(shop.Id))
	app.Staff("inventory_clerk", testkit.InStore(shop.Id)) // of the store, looks after nobody
	stranger := app.Staff("assistant", testkit.Own(), at(elsewhere.Id))
	var waiting []uuid.UUID
	for range 5 {
		waiting = append(waiting, app.Customer(body{"home_store_id": shop.Id}).Id)
	}

	rule := body{"store_id": shop.Id, "name": "新客轮流", "position": 10, "method": "round_robin"}
	admin.Do(http.MethodPost, "/v1/assignment-rules", body{"store_id": shop.Id, "name": "x", "position": 1, "staff_ids": []any{stranger.Id}}).
		WantProblem(http.StatusUnprocessableEntity, "customers.staff_invalid", "/staff_ids")
	admin.Do(http.MethodPost, "/v1/assignment-rules", body{"store_id": uuid.New(), "name": "x", "position": 1}).
		WantProblem(http.StatusUnprocessableEntity, "customers.store_invalid", "/store_id")
	first := admin.Do(http.MethodPost, "/v1/assignment-rules", rule, "Idempotency-Key", "rule-1").Want(http.StatusCreated)
	again := admin.Do(http.MethodPost, "/v1/assignment-rules", rule, "Idempotency-Key", "rule-1").Want(http.StatusCreated)
	require.Equal(t, first.Map()["id"], again.Map()["id"])
	path := first.Header.Get("Location")
	manager := app.Client("store_manager", testkit.InStore(shop.Id))
	manager.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	manager.Do(http.MethodPatch, path, body{"active": false}).WantProblem(http.StatusForbidden, "auth.forbidden")
	app.Client("store_manager", testkit.InStore(elsewhere.Id)).Do(http.MethodGet, path, nil).WantProblem(http.StatusNotFound, "assignment_rules.not_found")
	listed := manager.Do(http.MethodGet, "/v1/assignment-rules?include=total_count&active=true", nil).Want(http.StatusOK).Map()
	require.EqualValues(t, 1, listed["total_count"])

	// New ones take turns; the assistant sees them at once.
	assistant := func(id uuid.UUID) uuid.UUID {
		var c struct {
			AssignedStaffID *uuid.UUID `json:"assigned_staff_id"`
		}
		admin.Do(http.MethodGet, "/v1/customers/"+id.String(), nil).Want(http.StatusOK).JSON(&c)
		if c.AssignedStaffID == nil {
			return uuid.Nil
		}
		return *c.AssignedStaffID
	}
	got := map[uuid.UUID]int{}
	for range 4 {
		id := app.Customer(body{"home_store_id": shop.Id}).Id
		got[assistant(id)]++
		items := admin.Do(http.MethodGet, "/v1/customers/"+id.String()+"/timeline?kind=handed_over", nil).Want(http.StatusOK).Map()["items"].([]any)
		require.Len(t, items, 1)
		require.Equal(t, first.Map()["id"], items[0].(body)["details"].(body)["rule_id"])
	}
	require.Equal(t, map[uuid.UUID]int{one.Id: 2, two.Id: 2}, got)
	require.Equal(t, uuid.Nil, assistant(waiting[0]), "rules are for new customers, and for the job")

	preview := admin.Do(http.MethodPost, "/v1/assignment-rules/preview", at(shop.Id)).Want(http.StatusOK).Map()
	require.EqualValues(t, 5, preview["customer_count"])
	shares := preview["rules"].([]any)[0].(body)["shares"].([]any)
	require.Len(t, shares, 2, "assistants only")
	accepted := admin.Do(http.MethodPost, "/v1/assignment-rules/apply", at(shop.Id)).Want(http.StatusAccepted)
	done := func(job string) (out body) {
		require.Eventually(t, func() bool {
			out = admin.Do(http.MethodGet, job, nil).Want(http.StatusOK).Map()
			return out["status"] == "succeeded"
		}, 20*time.Second, 50*time.Millisecond)
		return out["result"].(body)
	}
	require.Equal(t, body{"customers": 5.0, "assigned": 5.0}, done(accepted.Header.Get("Location")))
	for _, id := range waiting {
		got[assistant(id)]++
	}
	for _, share := range shares {
		id := uuid.MustParse(share.(body)["staff"].(body)["id"].(string))
		require.EqualValues(t, got[id]-2, share.(body)["customer_count"], "as foreseen")
	}
	app.SignIn(one.Username, testkit.StaffPassword).Do(http.MethodPost, "/v1/assignment-rules/apply", at(shop.Id)).WantProblem(http.StatusForbidden, "auth.forbidden")

	// Off, and gone.
	admin.Do(http.MethodPatch, path, body{"active": false}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	off := admin.Do(http.MethodPatch, path, body{"active": false}, "If-Match", first.Header.Get("ETag")).Want(http.StatusOK)
	require.Equal(t, false, off.Map()["active"])
	require.Equal(t, uuid.Nil, assistant(app.Customer(body{"home_store_id": shop.Id}).Id))
	admin.Do(http.MethodDelete, path, nil).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, path, nil).WantProblem(http.StatusNotFound, "assignment_rules.not_found")

	// One leaves: two others share the customers by a given proportion.
	left := got[one.Id]
	hand := body{"from_staff_id": one.Id, "reason": "离职", "to": []any{body{"staff_id": two.Id, "share": 1}, body{"staff_id": stranger.Id}}}
	admin.Do(http.MethodPost, "/v1/customers/hand-over", hand).WantProblem(http.StatusUnprocessableEntity, "customers.hand_over_shares", "/to/1/share")
	hand["to"] = []any{body{"staff_id": two.Id, "share": 1}, body{"staff_id": stranger.Id, "share": 3}}
	moved := admin.Do(http.MethodPost, "/v1/customers/hand-over", hand).Want(http.StatusAccepted)
	require.EqualValues(t, left, moved.Map()["customer_count"])
	require.EqualValues(t, left, done(moved.Header.Get("Location"))["customers"])
	page := admin.Do(http.MethodGet, "/v1/customers?include=total_count&assigned_staff_id="+stranger.Id.String(), nil).Want(http.StatusOK).Map()
	require.InDelta(t, float64(left)*3/4, page["total_count"], 1)
}
