package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

// Somebody leaves: every customer goes on to colleagues, evenly, with its
// history, and nobody else's customer moves.
func TestCustomersAreHandedOver(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	shop, elsewhere := app.Store(), app.Store()
	at := func(id uuid.UUID) map[string]any { return map[string]any{"store_id": id} }
	leaver := app.Staff("assistant", testkit.Own(), at(shop.Id))
	idle, busy := app.Staff("assistant", testkit.Own(), at(shop.Id)), app.Staff("assistant", testkit.Own(), at(shop.Id))
	app.Staff("inventory_clerk", testkit.InStore(shop.Id))     // of the store, looks after nobody
	app.Staff("assistant", testkit.Own(), at(elsewhere.Id))    // of another store
	gone := app.Staff("assistant", testkit.Own(), at(shop.Id)) // not active
	app.Admin().Do(http.MethodPatch, "/v1/staff/"+gone.Id.String(), map[string]any{"status": "disabled"}).Want(http.StatusOK)
	customer := func(staff uuid.UUID) uuid.UUID {
		return app.Customer(map[string]any{"home_store_id": shop.Id, "assigned_staff_id": staff}).Id
	}
	var theirs []uuid.UUID
	for range 7 {
		theirs = append(theirs, customer(leaver.Id))
	}
	for range 3 {
		customer(busy.Id)
	}
	archived := customer(leaver.Id)
	app.Admin().Do(http.MethodDelete, "/v1/customers/"+archived.String(), nil).Want(http.StatusNoContent)
	taker := app.SignIn(idle.Username, testkit.StaffPassword)
	taker.Do(http.MethodGet, "/v1/customers/"+theirs[0].String()+"/profile", nil).Want(http.StatusNotFound) // and the profile is cached now
	app.Admin().Do(http.MethodGet, "/v1/customers/"+theirs[0].String()+"/profile", nil).Want(http.StatusOK)

	// Before that, who has how many: archived ones do not count.
	loads := func() map[uuid.UUID]int64 {
		var body struct {
			Items []struct {
				Staff         struct{ ID uuid.UUID }
				CustomerCount int64 `json:"customer_count"`
			}
		}
		app.Admin().Do(http.MethodGet, "/v1/staff-loads?limit=200&store_id="+shop.Id.String(), nil).Want(http.StatusOK).JSON(&body)
		out := map[uuid.UUID]int64{}
		for _, one := range body.Items {
			out[one.Staff.ID] = one.CustomerCount
		}
		return out
	}
	before := loads()
	require.Len(t, before, 4, "the active staff of the store")
	require.EqualValues(t, 7, before[leaver.Id])
	require.EqualValues(t, 3, before[busy.Id])
	require.EqualValues(t, 0, before[idle.Id])

	ask := func(body map[string]any) *testkit.Response {
		return app.Admin().Do(http.MethodPost, "/v1/customers/hand-over", body)
	}
	ask(map[string]any{"from_staff_id": leaver.Id, "reason": "left"}).WantProblem(http.StatusUnprocessableEntity, "customers.hand_over_to")
	ask(map[string]any{"from_staff_id": leaver.Id, "to_staff_id": leaver.Id, "reason": "left"}).WantProblem(http.StatusUnprocessableEntity, "customers.staff_invalid")
	ask(map[string]any{"from_staff_id": leaver.Id, "to_staff_id": gone.Id, "reason": "left"}).WantProblem(http.StatusUnprocessableEntity, "customers.staff_invalid")

	var accepted struct {
		CustomerCount int64 `json:"customer_count"`
		Job           struct{ ID uuid.UUID }
	}
	ask(map[string]any{"from_staff_id": leaver.Id, "distribute_in_store": true, "reason": "left the company"}).Want(http.StatusAccepted).JSON(&accepted)
	require.EqualValues(t, 8, accepted.CustomerCount)
	var job struct {
		Status string
		Result struct{ Customers int64 }
	}
	require.Eventually(t, func() bool {
		app.Admin().Do(http.MethodGet, "/v1/jobs/"+accepted.Job.ID.String(), nil).Want(http.StatusOK).JSON(&job)
		return job.Status == "succeeded" || job.Status == "failed"
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, "succeeded", job.Status)
	require.EqualValues(t, 8, job.Result.Customers)

	count := func(query string, args ...any) (n int) {
		require.NoError(t, app.DB.QueryRow(t.Context(), query, args...).Scan(&n))
		return n
	}
	has := func(id uuid.UUID) int {
		return count("SELECT count(*) FROM customers WHERE assigned_staff_id = $1", id)
	}
	require.Zero(t, has(leaver.Id))
	require.Equal(t, 11, has(idle.Id)+has(busy.Id))
	require.InDelta(t, has(idle.Id), has(busy.Id), 1, "evenly, with what each had before")
	require.Equal(t, 8, count(`SELECT count(*) FROM audit_logs WHERE action = 'customers.hand_over' AND actor_name = 'admin' AND reason = 'left the company'`))
	require.Equal(t, 1, count(`SELECT count(*) FROM audit_logs WHERE action = 'customers.hand_over.start'`))
	seen := 0
	for _, id := range theirs {
		if taker.Do(http.MethodGet, "/v1/customers/"+id.String()+"/profile", nil).Status == http.StatusOK {
			seen++
		}
	}
	require.Equal(t, has(idle.Id), seen+countOf(archived, idle.Id, count))
}

func countOf(customer, staff uuid.UUID, count func(string, ...any) int) int {
	return count("SELECT count(*) FROM customers WHERE id = $1 AND assigned_staff_id = $2", customer, staff)
}
