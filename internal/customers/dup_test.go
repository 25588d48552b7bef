package customers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// scan searches everybody. The search of the night, which a worker makes up for
// when it starts, may be under way: then it comes after that.
func scan(t *testing.T, admin *testkit.Client) map[string]any {
	t.Helper()
	var accepted client.JobAccepted
	var made *testkit.Response
	require.Eventually(t, func() bool {
		made = admin.Do(http.MethodPost, "/v1/customer-duplicates/scan", nil)
		return made.Status != http.StatusConflict
	}, 20*time.Second, 50*time.Millisecond)
	made.Want(http.StatusAccepted).JSON(&accepted)
	require.Equal(t, "/v1/jobs/"+accepted.Job.Id.String(), made.Header.Get("Location"))
	var job map[string]any
	require.Eventually(t, func() bool {
		job = admin.Do(http.MethodGet, "/v1/jobs/"+accepted.Job.Id.String(), nil).Want(http.StatusOK).Map()
		return job["status"] == "succeeded" || job["status"] == "failed"
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, "succeeded", job["status"], "%v", job)
	return job["result"].(map[string]any)
}

func pairs(admin *testkit.Client, query string) client.CustomerDuplicateList {
	var list client.CustomerDuplicateList
	admin.Do(http.MethodGet, "/v1/customer-duplicates"+query, nil).Want(http.StatusOK).JSON(&list)
	return list
}

func TestDuplicatesAreFoundDecidedAndRemembered(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	home := map[string]any{"region": "上海市", "city": "上海市", "line1": "南京东路100号3栋201室", "postal_code": "200001"}
	person := func(external, name, birth string, address any) client.Customer {
		body := map[string]any{"external_id": external, "name": name, "birth_date": birth}
		if address != nil {
			body["address"] = address
		}
		return app.Customer(body)
	}
	a := person("C-1", "王晓明", "1990-05-17", home)
	b := person("C-2", "Wang Xiaoming", "1990-05-17", home)
	person("C-3", "李建国", "1988-02-03", home) // of the same household
	person("C-4", "王晓明", "1971-11-30", map[string]any{"region": "四川省", "city": "成都市", "line1": "人民路7号"})
	c := person("C-5", "John Smithson", "1979-03-04", map[string]any{"city": "Norton", "line1": "12 Farwick Street", "postal_code": "2343"})
	d := person("C-6", "Jhon Smithson", "1979-04-03", map[string]any{"city": "Norton", "line1": "12 Farwick St", "postal_code": "2343"})

	result := scan(t, admin)
	assert.EqualValues(t, 6, result["customers"])
	assert.EqualValues(t, 2, result["pairs"])

	list := pairs(admin, "")
	require.Len(t, list.Items, 2)
	require.GreaterOrEqual(t, list.Items[0].Score, list.Items[1].Score)
	found := map[string]client.CustomerDuplicate{}
	for _, p := range list.Items {
		assert.Less(t, p.Left.Id.String(), p.Right.Id.String())
		assert.GreaterOrEqual(t, p.Score, 0.9)
		assert.NotEmpty(t, p.Reasons)
		found[p.Left.ExternalId.MustGet()+" "+p.Right.ExternalId.MustGet()] = p
	}
	require.Contains(t, found, "C-1 C-2")
	require.Contains(t, found, "C-5 C-6")
	assert.Equal(t, c.Id, found["C-5 C-6"].Left.Id)

	// Paged, filtered.
	first := pairs(admin, "?limit=1")
	require.True(t, first.HasMore)
	second := pairs(admin, "?limit=1&cursor="+first.NextCursor.MustGet())
	require.Len(t, second.Items, 1)
	assert.NotEqual(t, first.Items[0].Id, second.Items[0].Id)
	assert.Empty(t, pairs(admin, "?min_score=1").Items)
	assert.Empty(t, pairs(admin, "?store_id="+app.Store().Id.String()).Items)
	admin.Do(http.MethodGet, "/v1/customer-duplicates?status=open&cursor="+first.NextCursor.MustGet(), nil).WantProblem(http.StatusBadRequest, "request.bad_cursor")

	// Decided, and not asked again.
	pair := found["C-1 C-2"]
	path := "/v1/customer-duplicates/" + pair.Id.String() + "/decide"
	admin.Do(http.MethodPost, path, map[string]any{"decision": "open"}).Want(http.StatusUnprocessableEntity)
	var decided client.CustomerDuplicate
	admin.Do(http.MethodPost, path, map[string]any{"decision": "not_duplicate", "note": "两位顾客"}, "Idempotency-Key", "decide-1").Want(http.StatusOK).JSON(&decided)
	assert.EqualValues(t, "not_duplicate", decided.Status)
	assert.Equal(t, "两位顾客", decided.Note.MustGet())
	assert.False(t, decided.DecidedBy.IsNull())
	assert.EqualValues(t, 2, decided.Version)
	again := admin.Do(http.MethodPost, path, map[string]any{"decision": "not_duplicate", "note": "两位顾客"}, "Idempotency-Key", "decide-1").Want(http.StatusOK)
	assert.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	admin.Do(http.MethodPost, "/v1/customer-duplicates/"+a.Id.String()+"/decide", map[string]any{"decision": "duplicate"}).WantProblem(http.StatusNotFound, "duplicates.not_found")

	result = scan(t, admin)
	assert.EqualValues(t, 0, result["new"])
	assert.Len(t, pairs(admin, "").Items, 1)
	kept := pairs(admin, "?status=not_duplicate")
	require.Len(t, kept.Items, 1)
	assert.Equal(t, decided, kept.Items[0], "a search leaves what was decided alone")

	var ofB client.CustomerDuplicateList
	admin.Do(http.MethodGet, "/v1/customers/"+b.Id.String()+"/duplicates", nil).Want(http.StatusOK).JSON(&ofB)
	require.Len(t, ofB.Items, 1)
	admin.Do(http.MethodGet, "/v1/customers/"+pair.Id.String()+"/duplicates", nil).WantProblem(http.StatusNotFound, "customers.not_found")

	// An open pair is withdrawn when its customers are no longer alike.
	admin.Do(http.MethodPatch, "/v1/customers/"+d.Id.String(), map[string]any{"name": "Mary Quentin", "birth_date": "1955-12-24"}).Want(http.StatusOK)
	result = scan(t, admin)
	assert.EqualValues(t, 1, result["withdrawn"])
	assert.Empty(t, pairs(admin, "").Items)

	// Who was archived is in no pair.
	admin.Do(http.MethodDelete, "/v1/customers/"+a.Id.String(), nil).Want(http.StatusNoContent)
	assert.Empty(t, pairs(admin, "?status=not_duplicate").Items)
}

func TestNewCustomersAreCompared(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	home := map[string]any{"city": "上海市", "line1": "南京东路100号3栋201室"}
	app.Customer(map[string]any{"external_id": "N-1", "name": "欧阳晓明", "birth_date": "1990-05-17", "address": home})
	app.Customer(map[string]any{"external_id": "N-2", "name": "赵丽", "birth_date": "1990-05-17"})
	app.Customer(map[string]any{"external_id": "N-3", "name": "欧阳小明", "birth_date": "1990-05-17"}) // the day and the sound
	app.Customer(map[string]any{"external_id": "N-4", "name": "欧阳晓明", "address": home})            // no day: the name
	var list client.CustomerDuplicateList
	require.Eventually(t, func() bool { list = pairs(admin, ""); return len(list.Items) >= 2 }, 10*time.Second, 50*time.Millisecond)
	got := map[string]bool{}
	for _, p := range list.Items {
		got[p.Left.ExternalId.MustGet()+" "+p.Right.ExternalId.MustGet()] = true
	}
	assert.Equal(t, map[string]bool{"N-1 N-3": true, "N-1 N-4": true}, got)
}

func TestOneSearchForDuplicatesAtATime(t *testing.T) {
	app := testkit.New(t) // nobody works the queue
	admin := app.Admin()
	admin.Do(http.MethodPost, "/v1/customer-duplicates/scan", nil).Want(http.StatusAccepted)
	admin.Do(http.MethodPost, "/v1/customer-duplicates/scan", nil).WantProblem(http.StatusConflict, "duplicates.scan_running")
	app.Client("store_manager", testkit.All()).Do(http.MethodPost, "/v1/customer-duplicates/scan", nil).WantProblem(http.StatusForbidden, "auth.forbidden")
}
