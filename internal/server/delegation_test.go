package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// A week of leave, from the second it begins to the second it ends, with a
// second replica that never heard of it by message.
func TestLeaveIsCoveredToTheSecond(t *testing.T) {
	start := time.Now().UTC().Truncate(time.Second)
	app := testkit.New(t, testkit.At(start))
	second := testkit.New(t, testkit.Beside(app))
	shop := app.Store()
	home := map[string]any{"store_id": shop.Id}
	away, deputy, third := app.Staff("assistant", testkit.Own(), home), app.Staff("assistant", testkit.Own(), home), app.Staff("assistant", testkit.Own(), home)
	theirs := app.Customer(map[string]any{"home_store_id": shop.Id, "assigned_staff_id": away.Id})
	path := "/v1/customers/" + theirs.Id.String()
	boss := func() *testkit.Client { return app.SignIn(testkit.AdminUsername, testkit.AdminPassword) } // tokens do not outlive the leaps in time
	advance := func(d time.Duration) { app.Advance(d); second.Advance(d) }
	signIn := func(name string) *testkit.Client { return app.SignIn(name, testkit.StaffPassword) }

	begins, ends := start.Add(time.Minute), start.Add(time.Minute+7*24*time.Hour)
	arrange := func(who, to uuid.UUID, from, until time.Time) *testkit.Response {
		return boss().Do(http.MethodPost, "/v1/staff/"+who.String()+"/delegations",
			map[string]any{"to_staff_id": to, "starts_at": from, "ends_at": until, "reason": "annual leave"})
	}
	me := signIn(deputy.Username)
	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	var made struct {
		ID     uuid.UUID
		Status string
	}
	arrange(away.Id, deputy.Id, begins, ends).Want(http.StatusCreated).JSON(&made)
	require.Equal(t, "planned", made.Status)
	arrange(away.Id, deputy.Id, begins.Add(time.Hour), ends).WantProblem(http.StatusConflict, "staff.delegation_exists")
	arrange(deputy.Id, third.Id, begins.Add(time.Hour), ends).WantProblem(http.StatusConflict, "staff.delegation_chain")
	arrange(third.Id, away.Id, begins.Add(time.Hour), ends).WantProblem(http.StatusConflict, "staff.delegation_chain")
	arrange(third.Id, third.Id, begins, ends).WantProblem(http.StatusUnprocessableEntity, "staff.deputy_unknown")
	arrange(third.Id, deputy.Id, begins, begins).WantProblem(http.StatusUnprocessableEntity, "staff.delegation_times")

	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound) // not yet, and now it is cached
	advance(time.Minute - time.Second)
	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	advance(time.Second)
	me.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	me.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK)
	second.Bearer(me.Token).Do(http.MethodGet, path, nil).Want(http.StatusOK)
	require.Contains(t, string(me.Do(http.MethodGet, "/v1/customers", nil).Want(http.StatusOK).Body), theirs.Id.String())
	require.Contains(t, string(me.Do(http.MethodGet, "/v1/me/staff", nil).Body), `"stands_in_for":["`+away.Id.String()+`"]`)

	// What is done for the one on leave says so.
	me.Do(http.MethodPatch, path, map[string]any{"lifecycle_stage": "active"}).Want(http.StatusOK)
	me.Do(http.MethodPost, path+"/reveal", map[string]any{"fields": []string{"phone"}, "reason": "call back"}).Want(http.StatusOK)
	for _, action := range []string{"customers.update", "customers.reveal"} {
		var behalf string
		require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT changes ->> 'on_behalf_of' FROM audit_logs WHERE action = $1 AND actor_id = $2`, action, deputy.Id).Scan(&behalf))
		require.Equal(t, away.Id.String(), behalf, action)
	}
	// The account of the one on leave is not lent.
	me.Do(http.MethodGet, "/v1/staff/"+away.Id.String(), nil).Want(http.StatusForbidden)

	advance(7*24*time.Hour - time.Second)
	me = signIn(deputy.Username)
	me.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	advance(time.Second)
	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	second.Bearer(me.Token).Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	require.NoError(t, app.Server.Identity.NoteDelegations(auth.System(t.Context(), "test")))
	require.NoError(t, app.Server.Identity.NoteDelegations(auth.System(t.Context(), "test")))
	for _, action := range []string{"staff.delegate", "staff.delegation_begin", "staff.delegation_end"} {
		var n int
		require.NoError(t, app.DB.QueryRow(t.Context(), `SELECT count(*) FROM audit_logs WHERE action = $1 AND object_id = $2`, action, away.Id).Scan(&n))
		require.Equal(t, 1, n, action)
	}

	// The next leave begins at once and is ended early.
	now := start.Add(8 * 24 * time.Hour)
	advance(now.Sub(ends))
	me = signIn(deputy.Username)
	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	arrange(away.Id, deputy.Id, now, now.Add(time.Hour)).Want(http.StatusCreated).JSON(&made)
	require.Equal(t, "active", made.Status)
	me.Do(http.MethodGet, path, nil).Want(http.StatusOK)
	list := "/v1/staff/" + away.Id.String() + "/delegations"
	require.Contains(t, string(boss().Do(http.MethodGet, list, nil).Want(http.StatusOK).Body), `"status":"active"`)
	require.Contains(t, string(boss().Do(http.MethodGet, "/v1/staff/"+deputy.Id.String()+"/delegations?held=true", nil).Body), made.ID.String())
	for range 2 {
		boss().Do(http.MethodDelete, list+"/"+made.ID.String(), nil).Want(http.StatusNoContent)
	}
	me.Do(http.MethodGet, path, nil).Want(http.StatusNotFound)
	boss().Do(http.MethodDelete, list+"/"+uuid.NewString(), nil).WantProblem(http.StatusNotFound, "staff.delegation_not_found")
}
