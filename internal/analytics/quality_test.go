package analytics_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

const qualityPath = "/v1/analytics/data-quality"

// refresh judges everybody anew and waits for it.
func refresh(t *testing.T, admin *testkit.Client) map[string]any {
	t.Helper()
	location := admin.Do(http.MethodPost, qualityPath+"/refresh", nil).Want(http.StatusAccepted).Header.Get("Location")
	var job map[string]any
	require.Eventually(t, func() bool {
		job = admin.Do(http.MethodGet, location, nil).Want(http.StatusOK).Map()
		return job["status"] == "succeeded"
	}, 30*time.Second, 30*time.Millisecond)
	return job
}

func figures(who *testkit.Client, query string) client.DataQuality {
	var out client.DataQuality
	who.Do(http.MethodGet, qualityPath+query, nil).Want(http.StatusOK).JSON(&out)
	return out
}

// all are the figures by problem, those of kind missing and the details included.
func all(q client.DataQuality, f client.QualityFigures) map[string]int64 {
	out := map[string]int64{}
	for _, c := range f.Completeness {
		out[c.Problem] = c.Missing
	}
	for _, p := range f.Problems {
		out[p.Problem] = p.Customers
	}
	for _, p := range q.Details {
		out[p.Problem] = p.Customers
	}
	return out
}

// listed walks a fix-list in small pages and returns who is in it, with what.
func listed(t *testing.T, who *testkit.Client, query string) (map[uuid.UUID][]string, int64) {
	t.Helper()
	out := map[uuid.UUID][]string{}
	var total int64 = -1
	for path := qualityPath + "/issues?limit=2&include=total_count&" + query; ; {
		var page client.DataQualityIssueList
		who.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&page)
		for _, i := range page.Items {
			require.NotContains(t, out, i.Customer.Id)
			out[i.Customer.Id] = i.Problems
		}
		total = *page.TotalCount
		if !page.HasMore {
			return out, total
		}
		path = qualityPath + "/issues?limit=2&include=total_count&" + query + "&cursor=" + page.NextCursor.MustGet()
	}
}

func exec(t *testing.T, app *testkit.App, query string, args ...any) {
	t.Helper()
	_, err := app.DB.Exec(t.Context(), query, args...)
	require.NoError(t, err)
}

func TestDataQualityCountsWhatItLists(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	north, south := app.Store(), app.Store()
	define := func(key, kind string, more map[string]any) client.CustomField {
		body := map[string]any{"key": key, "kind": kind, "labels": map[string]any{"en": key, "zh": key}}
		for k, v := range more {
			body[k] = v
		}
		var f client.CustomField
		admin.Do(http.MethodPost, "/v1/custom-fields", body).Want(http.StatusCreated).JSON(&f)
		return f
	}
	shoe := define("shoe_size", "number", nil)
	define("secret", "text", map[string]any{"visible_to": []string{"auditor"}})
	whole := app.Customer(map[string]any{"name": "王小明", "home_store_id": north.Id, "source": "web", "external_id": "E1", "card_number": "77001", "email": "a@example.com",
		"birth_date": "1990-05-01", "gender": "male", "address": map[string]any{"city": "上海"}, "marketing_preferences": map[string]any{"sms": true},
		"custom_fields": map[string]any{"shoe_size": 42}})
	bare := app.Customer(map[string]any{"external_id": "E2", "name": nil, "phone": nil, "home_store_id": south.Id, "source": "import"})
	future := app.Customer(map[string]any{"name": "李雷", "home_store_id": south.Id, "source": "import"})
	app.Customer(map[string]any{"name": "韩梅梅", "home_store_id": north.Id, "custom_fields": map[string]any{"shoe_size": 60}})
	idle := app.Customer(map[string]any{"name": "赵六", "home_store_id": north.Id})
	twin := app.Customer(map[string]any{"name": "王小朋", "home_store_id": north.Id})
	gone := app.Customer(map[string]any{"name": "钱七", "home_store_id": north.Id})
	admin.Do(http.MethodDelete, "/v1/customers/"+gone.Id.String(), nil).Want(http.StatusNoContent)
	none := app.Customer(map[string]any{"name": "孙八"}) // of no store

	exec(t, app, "UPDATE customers SET birth_date = current_date + 10 WHERE id = $1", future.Id)
	exec(t, app, "UPDATE customers SET created_at = created_at - interval '500 days', updated_at = updated_at - interval '400 days' WHERE id = $1", idle.Id)
	exec(t, app, "UPDATE customers SET email_sealed = phone_sealed WHERE id = $1", twin.Id) // bound to its column: it cannot be opened
	exec(t, app, `INSERT INTO duplicate_candidates (id, left_id, right_id, score, reasons, created_at, updated_at) VALUES (gen_random_uuid(), $1, $2, 0.9, '[]', now(), now()),
		(gen_random_uuid(), $1, $3, 0.9, '[]', now(), now())`, whole.Id, twin.Id, gone.Id)
	// From now on: sizes up to 50, and everybody of the north has one.
	admin.Do(http.MethodPatch, "/v1/custom-fields/"+shoe.Id.String(), map[string]any{"validation": map[string]any{"max": 50}, "required": map[string]any{"all": false, "store_ids": []any{north.Id}}},
		"If-Match", fmt.Sprintf(`"%d"`, shoe.Version)).Want(http.StatusOK)
	rule := admin.Do(http.MethodPost, "/v1/validation-rules", map[string]any{"code": "gender_known", "severity": "warning", "expression": `gender != "unknown"`,
		"message": map[string]any{"en": "Ask", "zh": "请询问"}}).Want(http.StatusCreated).Map()
	try := admin.Do(http.MethodPost, "/v1/validation-rules/"+rule["id"].(string)+"/try", nil).Want(http.StatusAccepted)
	require.Eventually(t, func() bool {
		return admin.Do(http.MethodGet, try.Header.Get("Location"), nil).Map()["status"] == "succeeded"
	}, 20*time.Second, 30*time.Millisecond)
	admin.Do(http.MethodPost, "/v1/validation-rules/"+rule["id"].(string)+"/activate", nil).Want(http.StatusOK)

	begun := time.Now()
	assert.EqualValues(t, 7, refresh(t, admin)["result"].(map[string]any)["customers"])
	q := figures(admin, "?group_by=store")
	require.WithinDuration(t, begun, q.AsOf.MustGet(), 30*time.Second)
	assert.EqualValues(t, 7, q.Total.Customers)
	got := all(q, q.Total)
	for problem, want := range map[string]int64{
		"missing.name": 1, "missing.contact": 1, "missing.birth_date": 5, "missing.gender": 6, "missing.address": 6, "missing.home_store_id": 1, "missing.consent": 7,
		"missing.provenance": 0, "missing.custom_fields": 2, "missing.custom_fields.shoe_size": 2, "invalid.custom_fields": 1, "invalid.custom_fields.shoe_size": 1,
		"invalid.birth_date": 1, "invalid.phone": 0, "invalid.unreadable": 1, "invalid.warnings": 6, "invalid.rules.gender_known": 6, "invalid.rules": 0,
		"stale.unchanged": 1, "stale.inactive": 1, "duplicate.suspected": 2,
	} {
		assert.Equal(t, want, got[problem], problem)
	}
	for problem, n := range got {
		found, total := listed(t, admin, "problem="+problem)
		assert.Equal(t, n, total, problem)
		assert.Len(t, found, int(n), problem)
		for id, problems := range found {
			assert.Contains(t, problems, problem, id)
		}
	}
	for kind, n := range map[string]int64{"missing": q.Total.Missing, "invalid": q.Total.Invalid, "stale": q.Total.Stale, "duplicate": q.Total.Duplicate} {
		found, total := listed(t, admin, "kind="+kind)
		assert.Equal(t, n, total, kind)
		assert.Len(t, found, int(n), kind)
	}
	_, total := listed(t, admin, "")
	assert.Equal(t, q.Total.WithProblems, total)
	assert.EqualValues(t, 7, total)

	// By group: the same sums, and the same lists.
	var sum int64
	for _, by := range []string{"store", "source", "assistant"} {
		sum = 0
		for _, g := range figures(admin, "?group_by="+by).Groups {
			sum += g.Figures.Customers
			filter := ""
			if id, err := g.StoreId.Get(); err == nil {
				filter = "&store_id=" + id.String()
			} else if g.Source != nil {
				filter = "&source=" + *g.Source
			} else {
				continue
			}
			_, total := listed(t, admin, "kind=missing"+filter)
			assert.Equal(t, g.Figures.Missing, total, by+filter)
			assert.Equal(t, g.Figures.Customers, figures(admin, "?"+filter[1:]).Total.Customers)
		}
		assert.EqualValues(t, 7, sum, by)
	}
	assert.EqualValues(t, 2, figures(admin, "?source=import").Total.Customers)
	assert.Zero(t, all(q, figures(admin, "?stale_days=450").Total)["stale.unchanged"])
	assert.EqualValues(t, 1, all(q, figures(admin, "?stale_days=450").Total)["stale.inactive"])

	// A manager counts and lists their own store, and learns no hidden field.
	manager := app.Client("store_manager", testkit.InStore(north.Id))
	mine := figures(manager, "?group_by=source")
	assert.EqualValues(t, 4, mine.Total.Customers)
	found, total := listed(t, manager, "problem=missing.birth_date")
	assert.EqualValues(t, 3, total)
	assert.NotContains(t, found, bare.Id)
	assert.Zero(t, figures(manager, "?store_id="+south.Id.String()).Total.Customers)
	manager.Do(http.MethodGet, qualityPath+"/issues?problem=invalid.custom_fields.secret", nil).WantProblem(http.StatusUnprocessableEntity, "customers.problem_unknown", "?problem")
	manager.Do(http.MethodGet, qualityPath+"/issues?problem=missing.hat", nil).WantProblem(http.StatusUnprocessableEntity, "customers.problem_unknown", "?problem")
	app.Client("assistant", testkit.Own()).Do(http.MethodGet, qualityPath, nil).WantProblem(http.StatusForbidden, "auth.forbidden")
	app.Client("store_manager", testkit.InStore(north.Id)).Do(http.MethodPost, qualityPath+"/refresh", nil).WantProblem(http.StatusForbidden, "auth.forbidden")

	// The same list as a file.
	exec(t, app, "UPDATE customers SET email_sealed = NULL WHERE id = $1", twin.Id)
	for body, want := range map[string]int{`{"problem":"missing.birth_date"}`: 5, `{"problem":"missing.birth_date","source":"import"}`: 1, `{"kind":"stale","stale_days":450}`: 1, `{"problem":"missing.custom_fields.shoe_size"}`: 2} {
		accepted := admin.Do(http.MethodPost, "/v1/exports", []byte(`{"kind":"customers","format":"csv","fields":["external_id","name"],"filter":{"data_quality":`+body+`}}`), "Content-Type", "application/json").Want(http.StatusAccepted)
		id := accepted.Map()["export"].(map[string]any)["id"].(string)
		require.Eventually(t, func() bool { return admin.Do(http.MethodGet, "/v1/exports/"+id, nil).Map()["status"] == "succeeded" }, 20*time.Second, 30*time.Millisecond)
		file := string(admin.Do(http.MethodGet, "/v1/exports/"+id+"/file", nil).Want(http.StatusOK).Body)
		assert.Equal(t, want+1, strings.Count(strings.TrimSpace(file), "\n")+1, body+"\n"+file)
	}
	admin.Do(http.MethodPost, "/v1/exports", map[string]any{"kind": "customers", "format": "csv", "filter": map[string]any{"data_quality": map[string]any{"problem": "missing.hat"}}}).
		WantProblem(http.StatusUnprocessableEntity, "customers.problem_unknown", "/filter/data_quality/problem")
	admin.Do(http.MethodPost, "/v1/exports", map[string]any{"kind": "orders", "format": "csv", "filter": map[string]any{"data_quality": map[string]any{"problem": "missing.name"}}}).
		WantProblem(http.StatusUnprocessableEntity, "exports.filter_unfit", "/filter/data_quality")

	// Mended, moved, archived, decided: the next pass, or at once.
	admin.Do(http.MethodPatch, "/v1/customers/"+future.Id.String(), map[string]any{"birth_date": "1985-01-01"}).Want(http.StatusOK)
	admin.Do(http.MethodPatch, "/v1/customers/"+none.Id.String(), map[string]any{"home_store_id": north.Id, "custom_fields": map[string]any{"shoe_size": 40}}).Want(http.StatusOK)
	assert.EqualValues(t, 5, figures(manager, "").Total.Customers, "moved at once")
	admin.Do(http.MethodDelete, "/v1/customers/"+idle.Id.String(), nil).Want(http.StatusNoContent)
	assert.EqualValues(t, 4, figures(manager, "").Total.Customers, "archived at once")
	exec(t, app, "UPDATE duplicate_candidates SET status = 'not_duplicate', decided_at = now() WHERE right_id = $1 OR left_id = $1", twin.Id)
	before := q.AsOf.MustGet()
	require.Eventually(t, func() bool { // a pass of the schedule may be under way
		out, err := app.Server.Analytics.CatchUp(t.Context())
		require.NoError(t, err)
		return out != nil
	}, 20*time.Second, 20*time.Millisecond)
	q = figures(admin, "")
	assert.True(t, q.AsOf.MustGet().After(before))
	got = all(q, q.Total)
	assert.EqualValues(t, 6, q.Total.Customers)
	assert.Zero(t, got["invalid.birth_date"])
	assert.EqualValues(t, 5, got["missing.gender"], "what is still missing stays")
	assert.EqualValues(t, 4, got["missing.birth_date"])
	assert.EqualValues(t, 6, got["missing.consent"])
	assert.Zero(t, got["missing.home_store_id"])
	assert.Zero(t, got["duplicate.suspected"])
	assert.Zero(t, got["stale.inactive"])
	assert.EqualValues(t, 1, got["missing.custom_fields.shoe_size"], "the twin's")

	// Another definition: everybody is judged by it in the next pass.
	var defined client.CustomField
	admin.Do(http.MethodGet, "/v1/custom-fields/"+fieldID(t, app, "shoe_size"), nil).Want(http.StatusOK).JSON(&defined)
	admin.Do(http.MethodPatch, "/v1/custom-fields/"+defined.Id.String(), map[string]any{"validation": map[string]any{"max": 30}}, "If-Match", fmt.Sprintf(`"%d"`, defined.Version)).Want(http.StatusOK)
	require.Eventually(t, func() bool {
		out, err := app.Server.Analytics.CatchUp(t.Context())
		require.NoError(t, err)
		return out != nil
	}, 20*time.Second, 20*time.Millisecond)
	q = figures(admin, "")
	assert.EqualValues(t, 3, all(q, q.Total)["invalid.custom_fields.shoe_size"])

	// Restored, the customer is back as judged.
	admin.Do(http.MethodPost, "/v1/customers/"+idle.Id.String()+"/restore", nil).Want(http.StatusOK)
	assert.EqualValues(t, 7, figures(admin, "").Total.Customers)
}

func fieldID(t *testing.T, app *testkit.App, key string) (id string) {
	t.Helper()
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT id FROM custom_fields WHERE key = $1", key).Scan(&id))
	return id
}

// A walk that was cut short goes on where it was, and says as of when it began.
func TestWalkGoesOnWhereItWas(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	var made []uuid.UUID
	for range 3 {
		made = append(made, app.Customer().Id)
	}
	empty := figures(admin, "")
	assert.True(t, empty.AsOf.IsNull(), "nothing was judged yet")
	assert.Zero(t, empty.Total.Customers)
	began := time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)
	exec(t, app, `UPDATE quality_passes SET walk_after = $1, walk_began = $2, walk_since = $2, walk_by = (SELECT sum(revision) FROM definition_revisions)`, made[1], began)
	out, err := app.Server.Analytics.CatchUp(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, out.Customers)
	assert.Equal(t, began, figures(admin, "").AsOf.MustGet().UTC())
	// One that another process holds is left to it; a dead process's ends by itself.
	exec(t, app, "UPDATE quality_passes SET held_until = now() + interval '1 minute'")
	out, err = app.Server.Analytics.CatchUp(t.Context())
	require.NoError(t, err)
	assert.Nil(t, out)
	exec(t, app, "UPDATE quality_passes SET held_until = now() - interval '1 second'")
	out, err = app.Server.Analytics.CatchUp(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3, out.Customers, "those who changed since it began: all")
	assert.EqualValues(t, 2, out.Changed)
}
