package customers_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// define makes a custom field; more are further parts of its definition.
func define(app *testkit.App, key, kind string, more map[string]any) client.CustomField {
	app.T.Helper()
	body := map[string]any{"key": key, "kind": kind, "labels": map[string]any{"en": key, "zh": key}}
	for k, v := range more {
		body[k] = v
	}
	var f client.CustomField
	app.Admin().Do(http.MethodPost, "/v1/custom-fields", body).Want(http.StatusCreated).JSON(&f)
	return f
}

func choices(values ...string) []any {
	var out []any
	for _, v := range values {
		out = append(out, map[string]any{"value": v, "labels": map[string]any{"en": v, "zh": v}})
	}
	return out
}

func ifMatch(f client.CustomField) []string {
	return []string{"If-Match", fmt.Sprintf(`"%d"`, f.Version)}
}

func TestCustomFieldsAreDefinedAndJudged(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store, other := app.Store(), app.Store()
	define(app, "shoe_size", "number", map[string]any{"filterable": true, "validation": map[string]any{"min": 15, "max": 55, "integer": true}})
	define(app, "wedding", "date", map[string]any{"filterable": true, "validation": map[string]any{"min_date": "1950-01-01"}})
	define(app, "fit", "choice", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("slim", "wide")}, "default": []string{"slim"}})
	define(app, "tastes", "multi_choice", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("novels", "comics", "poetry")}})
	define(app, "newsletter", "boolean", map[string]any{"filterable": true})
	define(app, "code", "text", map[string]any{"filterable": true, "validation": map[string]any{"pattern": "[A-Z]{2}[0-9]+", "max_length": 8}})
	define(app, "pickup", "reference", map[string]any{"reference_to": "store"})
	define(app, "teacher", "reference", map[string]any{"reference_to": "customer"})
	friend := app.Customer(map[string]any{"name": "友人"})

	var c client.Customer
	admin.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "李雷", "custom_fields": map[string]any{
		"shoe_size": 42, "wedding": "2020-05-20", "tastes": []string{"poetry", "comics", "poetry"}, "newsletter": true, "code": " AB12 ", "pickup": store.Id, "teacher": friend.Id,
	}}).Want(http.StatusCreated).JSON(&c)
	want := map[string]any{"shoe_size": 42.0, "wedding": "2020-05-20", "fit": "slim", "tastes": []any{"comics", "poetry"}, "newsletter": true, "code": "AB12",
		"pickup": store.Id.String(), "teacher": friend.Id.String()}
	assert.Equal(t, want, map[string]any(c.CustomFields), "in their normal form, with the default")
	path := "/v1/customers/" + c.Id.String()
	var profile client.CustomerProfile
	admin.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK).JSON(&profile)
	assert.Equal(t, want, map[string]any(profile.Customer.CustomFields))

	for name, bad := range map[string]struct {
		value map[string]any
		code  string
		at    string
	}{
		"unknown":           {map[string]any{"hat": 1}, "custom_fields.unknown", "/custom_fields/hat"},
		"odd key":           {map[string]any{"a/b": 1}, "custom_fields.unknown", "/custom_fields/a~1b"},
		"another kind":      {map[string]any{"shoe_size": "42"}, "custom_fields.kind_mismatch", "/custom_fields/shoe_size"},
		"too large":         {map[string]any{"shoe_size": 56}, "custom_fields.out_of_range", "/custom_fields/shoe_size"},
		"not whole":         {map[string]any{"shoe_size": 42.5}, "custom_fields.out_of_range", "/custom_fields/shoe_size"},
		"no date":           {map[string]any{"wedding": "2020-02-30"}, "custom_fields.kind_mismatch", "/custom_fields/wedding"},
		"too early":         {map[string]any{"wedding": "1949-12-31"}, "custom_fields.out_of_range", "/custom_fields/wedding"},
		"no choice":         {map[string]any{"fit": "huge"}, "custom_fields.choice_unknown", "/custom_fields/fit"},
		"one of several":    {map[string]any{"tastes": []string{"comics", "war"}}, "custom_fields.choice_unknown", "/custom_fields/tastes/1"},
		"yes":               {map[string]any{"newsletter": "yes"}, "custom_fields.kind_mismatch", "/custom_fields/newsletter"},
		"pattern":           {map[string]any{"code": "AB12x"}, "custom_fields.pattern_mismatch", "/custom_fields/code"},
		"length":            {map[string]any{"code": "AB1234567"}, "custom_fields.length_invalid", "/custom_fields/code"},
		"no such store":     {map[string]any{"pickup": uuid.NewString()}, "custom_fields.reference_unknown", "/custom_fields/pickup"},
		"a store, not them": {map[string]any{"teacher": store.Id}, "custom_fields.reference_unknown", "/custom_fields/teacher"},
	} {
		t.Run(name, func(t *testing.T) {
			app := app.In(t)
			p := app.Admin().Do(http.MethodPatch, path, map[string]any{"custom_fields": bad.value}).WantProblem(http.StatusUnprocessableEntity, bad.code)
			require.Len(t, p.Errors, 1)
			assert.Equal(t, bad.at, p.Errors[0].Pointer)
		})
	}

	// Several faults are told at once, and in a batch each item by itself.
	p := admin.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "韩梅", "custom_fields": map[string]any{"hat": 1, "fit": 3}}).Want(http.StatusUnprocessableEntity)
	assert.Contains(t, string(p.Body), "custom_fields.unknown")
	assert.Contains(t, string(p.Body), "custom_fields.kind_mismatch")
	var out client.CustomerBulkResults
	admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "create", "items": []any{
		map[string]any{"name": "甲一", "custom_fields": map[string]any{"shoe_size": 99}},
		map[string]any{"name": "乙二", "custom_fields": map[string]any{"shoe_size": 40}},
	}}).Want(http.StatusOK).JSON(&out)
	assert.Equal(t, "custom_fields.out_of_range", out.Results[0].Error.Code)
	assert.Equal(t, "/items/0/custom_fields/shoe_size", out.Results[0].Error.Pointer)
	assert.Equal(t, client.BulkItemCreated, out.Results[1].Status)

	// Required in one store: asked of new customers there, of those who move there,
	// and it cannot be emptied there.
	size := define(app, "size", "text", map[string]any{"required": map[string]any{"all": false, "store_ids": []any{store.Id}}})
	admin.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "王五", "home_store_id": store.Id}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.required", "/custom_fields/size")
	elsewhere := app.Customer(map[string]any{"home_store_id": other.Id})
	moved := "/v1/customers/" + elsewhere.Id.String()
	admin.Do(http.MethodPatch, moved, map[string]any{"home_store_id": store.Id}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.required")
	admin.Do(http.MethodPatch, moved, map[string]any{"home_store_id": store.Id, "custom_fields": map[string]any{"size": "M"}}).Want(http.StatusOK)
	admin.Do(http.MethodPatch, moved, map[string]any{"custom_fields": map[string]any{"size": nil}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.required")
	admin.Do(http.MethodPatch, moved, map[string]any{"language": "en"}).Want(http.StatusOK)

	// Definitions are changed with the tag they were read with.
	at := "/v1/custom-fields/" + size.Id.String()
	admin.Do(http.MethodPatch, at, map[string]any{"filterable": true}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPatch, at, map[string]any{"filterable": true}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	admin.Do(http.MethodDelete, at, nil).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPatch, at, map[string]any{"filterable": true}, ifMatch(size)...).Want(http.StatusOK)
	admin.Do(http.MethodPost, "/v1/custom-fields", map[string]any{"key": "size", "kind": "text", "labels": map[string]any{"en": "a", "zh": "a"}}).WantProblem(http.StatusConflict, "custom_fields.duplicate", "/key")
	for pointer, more := range map[string]map[string]any{
		"/validation/min":        {"kind": "text", "validation": map[string]any{"min": 1}},
		"/validation/max":        {"kind": "number", "validation": map[string]any{"min": 2, "max": 1}},
		"/validation/choices":    {"kind": "choice"},
		"/validation/pattern":    {"kind": "text", "validation": map[string]any{"pattern": "("}},
		"/validation/max_length": {"kind": "text", "filterable": true, "validation": map[string]any{"max_length": 1000}},
		"/filterable":            {"kind": "text", "filterable": true, "personal": true},
		"/default":               {"kind": "number", "default": []string{"many"}},
		"/reference_to":          {"kind": "reference"},
		"/visible_to/0":          {"kind": "text", "visible_to": []string{"nobody_has_this"}},
	} {
		body := map[string]any{"key": "bad", "labels": map[string]any{"en": "a", "zh": "a"}}
		for k, v := range more {
			body[k] = v
		}
		admin.Do(http.MethodPost, "/v1/custom-fields", body).WantProblem(http.StatusUnprocessableEntity, "custom_fields.definition_invalid", pointer)
	}
}

func TestCustomFieldsFilterAndSort(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	a, b := app.Store(), app.Store()
	define(app, "shoe_size", "number", map[string]any{"filterable": true})
	define(app, "wedding", "date", map[string]any{"filterable": true})
	define(app, "tastes", "multi_choice", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("novels", "comics", "poetry")}})
	define(app, "club", "text", map[string]any{"filterable": true})
	define(app, "plain", "text", nil)
	stores := []uuid.UUID{a.Id, b.Id}
	names := map[uuid.UUID]int{}
	for i := range 12 {
		fields := map[string]any{"shoe_size": 36 + (i*5)%12, "tastes": []string{[]string{"novels", "comics", "poetry"}[i%3]}, "club": fmt.Sprintf("Club %d", i%2), "plain": "x"}
		if i%4 != 0 {
			fields["wedding"] = fmt.Sprintf("20%02d-01-01", 10+i)
		}
		if i == 11 {
			delete(fields, "shoe_size")
		}
		c := app.Customer(map[string]any{"home_store_id": stores[i%2], "custom_fields": fields})
		names[c.Id] = i
	}
	manager := app.Client("store_manager", testkit.InStore(a.Id))

	search := func(c *testkit.Client, body map[string]any) (found []int) {
		t.Helper()
		body["limit"] = 2
		for {
			var page client.CustomerList
			c.Do(http.MethodPost, "/v1/customers/search", body).Want(http.StatusOK).JSON(&page)
			for _, one := range page.Items {
				found = append(found, names[one.Id])
			}
			if !page.HasMore {
				return found
			}
			body["cursor"] = page.NextCursor.MustGet()
		}
	}
	filter := func(key, op string, values ...string) map[string]any {
		values = append([]string{}, values...)
		return map[string]any{"custom_fields": []any{map[string]any{"key": key, "op": op, "values": values}}}
	}
	assert.Equal(t, []int{9, 6, 3, 0}, search(admin, filter("tastes", "any_of", "novels")), "the newest first, over pages")
	assert.Equal(t, []int{6, 0}, search(manager, filter("tastes", "any_of", "novels")), "of one's own store")
	assert.Equal(t, []int{10, 9, 7, 6, 4, 3, 1, 0}, search(admin, filter("tastes", "any_of", "novels", "comics")))
	assert.Equal(t, []int{9}, search(admin, filter("shoe_size", "any_of", "45")))
	assert.ElementsMatch(t, []int{7, 2, 9}, search(admin, filter("shoe_size", "gte", "45")))
	assert.ElementsMatch(t, []int{0}, search(admin, filter("shoe_size", "lt", "37")))
	assert.Equal(t, []int{11, 10, 9}, search(admin, filter("wedding", "gt", "2018-12-31")))
	assert.Len(t, search(admin, filter("wedding", "present")), 9)
	assert.Len(t, search(admin, filter("club", "prefix", "Club")), 12)
	assert.Len(t, search(admin, filter("club", "prefix", "Club 1")), 6)
	both := filter("club", "any_of", "Club 0")
	both["custom_fields"] = append(both["custom_fields"].([]any), map[string]any{"key": "tastes", "op": "any_of", "values": []string{"poetry"}})
	assert.Equal(t, []int{8, 2}, search(admin, both))
	oldest := filter("tastes", "any_of", "novels")
	oldest["sort"] = "created_at"
	assert.Equal(t, []int{0, 3, 6, 9}, search(admin, oldest))

	assert.Equal(t, []int{0, 5, 10, 3, 8, 1, 6, 4, 9, 2, 7}, search(admin, map[string]any{"sort": "custom_fields.shoe_size"}), "without the one who has none")
	assert.Equal(t, []int{7, 2, 9, 4, 6, 1, 8, 3, 10, 5, 0}, search(admin, map[string]any{"sort": "-custom_fields.shoe_size"}))
	assert.Equal(t, []int{2, 4, 6, 8, 10, 0}, search(manager, map[string]any{"sort": "-custom_fields.shoe_size"}))
	sorted := filter("club", "any_of", "Club 1")
	sorted["sort"] = "custom_fields.wedding"
	assert.Equal(t, []int{1, 3, 5, 7, 9, 11}, search(admin, sorted))

	// As query parameters, with the number of all.
	var page client.CustomerList
	r := admin.Do(http.MethodGet, "/v1/customers?limit=1&include=total_count&custom_fields=tastes:novels&custom_fields=club:Club%200", nil).Want(http.StatusOK)
	r.JSON(&page)
	assert.EqualValues(t, 2, *page.TotalCount)
	assert.Contains(t, r.Header.Get("Link"), "custom_fields=tastes%3Anovels")
	admin.Do(http.MethodGet, "/v1/customers?limit=3&include=total_count&sort=-custom_fields.shoe_size", nil).Want(http.StatusOK).JSON(&page)
	assert.EqualValues(t, 11, *page.TotalCount)

	admin.Do(http.MethodPost, "/v1/customers/search", filter("hat", "any_of", "1")).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown", "/custom_fields/0/key")
	admin.Do(http.MethodPost, "/v1/customers/search", filter("plain", "any_of", "1")).WantProblem(http.StatusUnprocessableEntity, "custom_fields.not_filterable", "/custom_fields/0/key")
	admin.Do(http.MethodPost, "/v1/customers/search", filter("shoe_size", "any_of", "big")).WantProblem(http.StatusUnprocessableEntity, "custom_fields.filter_invalid", "/custom_fields/0/values/0")
	admin.Do(http.MethodPost, "/v1/customers/search", filter("tastes", "gte", "comics")).WantProblem(http.StatusUnprocessableEntity, "custom_fields.filter_invalid", "/custom_fields/0/op")
	admin.Do(http.MethodGet, "/v1/customers?sort=custom_fields.tastes", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.not_filterable", "?sort")
	admin.Do(http.MethodGet, "/v1/customers?custom_fields=hat:1", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown", "?custom_fields/0/key")
}

func TestCustomFieldsByRole(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	define(app, "shown", "text", map[string]any{"filterable": true})
	define(app, "rank", "text", map[string]any{"filterable": true, "visible_to": []string{"assistant", "store_manager"}, "editable_by": []string{"store_manager"}})
	define(app, "secret", "text", map[string]any{"filterable": true, "visible_to": []string{"marketer"}})
	define(app, "id_card", "text", map[string]any{"personal": true})
	colleague := app.Client("assistant", testkit.Own())
	c := app.Customer(map[string]any{"home_store_id": store.Id, "custom_fields": map[string]any{"shown": "a", "rank": "gold", "secret": "s3cret", "id_card": "310101199001011234"}})
	path := "/v1/customers/" + c.Id.String()
	assert.Equal(t, map[string]any{"shown": "a", "rank": "gold", "secret": "s3cret", "id_card": "***"}, map[string]any(c.CustomFields), "personal values are masked")

	manager := app.Client("store_manager", testkit.InStore(store.Id))
	agent := app.Client("service_agent", testkit.InStore(store.Id))
	for _, who := range []struct {
		c    *testkit.Client
		want map[string]any
	}{
		{manager, map[string]any{"shown": "a", "rank": "gold", "id_card": "***"}},
		{agent, map[string]any{"shown": "a", "id_card": "***"}},
		{admin, map[string]any{"shown": "a", "rank": "gold", "secret": "s3cret", "id_card": "***"}},
	} {
		var one client.Customer
		var list client.CustomerList
		var cold, hot client.CustomerProfile
		who.c.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&one)
		who.c.Do(http.MethodGet, "/v1/customers", nil).Want(http.StatusOK).JSON(&list)
		who.c.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK).JSON(&cold)
		r := who.c.Do(http.MethodGet, path+"/profile", nil).Want(http.StatusOK)
		r.JSON(&hot)
		for _, got := range []client.CustomFields{one.CustomFields, list.Items[0].CustomFields, cold.Customer.CustomFields, hot.Customer.CustomFields} {
			assert.Equal(t, who.want, map[string]any(got))
		}
		who.c.Do(http.MethodGet, path+"/profile", nil, "If-None-Match", r.Header.Get("ETag")).Want(http.StatusNotModified)
	}
	agent.Do(http.MethodGet, "/v1/customers?custom_fields=secret:s3cret", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown")
	admin.Do(http.MethodGet, "/v1/customers?custom_fields=id_card:310101199001011234", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.not_filterable")
	var fields client.CustomFieldList
	agent.Do(http.MethodGet, "/v1/custom-fields?include=total_count", nil).Want(http.StatusOK).JSON(&fields)
	assert.EqualValues(t, 2, *fields.TotalCount)

	// Shown by the one call that shows personal data, as far as the role sees the field.
	var shown client.CustomerRevealed
	agent.Do(http.MethodPost, path+"/reveal", map[string]any{"fields": []string{"custom_fields"}, "reason": "来电核对"}).Want(http.StatusOK).JSON(&shown)
	assert.Equal(t, map[string]any{"id_card": "310101199001011234"}, map[string]any(*shown.CustomFields))

	// An assistant sees the rank and may not set it; the secret is not there for them.
	var own client.Customer
	colleague.Do(http.MethodPost, "/v1/customers", map[string]any{"name": "己客", "custom_fields": map[string]any{"shown": "b"}}).Want(http.StatusCreated).JSON(&own)
	mine := "/v1/customers/" + own.Id.String()
	colleague.Do(http.MethodPatch, mine, map[string]any{"custom_fields": map[string]any{"rank": "gold"}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.read_only")
	colleague.Do(http.MethodPatch, mine, map[string]any{"custom_fields": map[string]any{"secret": "x"}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown")
	admin.Do(http.MethodPatch, mine, map[string]any{"custom_fields": map[string]any{"secret": "kept", "id_card": "x1"}}).Want(http.StatusOK)
	colleague.Do(http.MethodPatch, mine, map[string]any{"custom_fields": map[string]any{"shown": "c"}}).Want(http.StatusOK)
	admin.Do(http.MethodGet, mine, nil).Want(http.StatusOK).JSON(&own)
	assert.Equal(t, map[string]any{"shown": "c", "secret": "kept", "id_card": "***"}, map[string]any(own.CustomFields), "what somebody cannot see survives their change")

	// Not in clear anywhere in the row.
	var row string
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT to_jsonb(c)::text FROM customers c WHERE id = $1", c.Id).Scan(&row))
	assert.NotContains(t, row, "310101199001011234")
	var indexed int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM customer_field_values WHERE customer_id = $1", c.Id).Scan(&indexed))
	assert.Equal(t, 3, indexed)
}

func TestDefinitionsChangeUnderValues(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	size := define(app, "size", "number", map[string]any{"filterable": true})
	fit := define(app, "fit", "choice", map[string]any{"validation": map[string]any{"choices": choices("slim", "wide", "huge", "tiny")}})
	many := define(app, "many", "multi_choice", map[string]any{"validation": map[string]any{"choices": choices("a", "b", "c")}})
	secret := define(app, "secret", "choice", map[string]any{"personal": true, "validation": map[string]any{"choices": choices("x", "y")}})
	c := app.Customer(map[string]any{"custom_fields": map[string]any{"size": 12, "fit": "huge", "many": []string{"a", "b"}, "secret": "x"}})
	path := "/v1/customers/" + c.Id.String()
	at := func(f client.CustomField) string { return "/v1/custom-fields/" + f.Id.String() }

	// The kind: not while anybody has a value, then yes.
	admin.Do(http.MethodPatch, at(size), map[string]any{"kind": "text"}, ifMatch(size)...).WantProblem(http.StatusConflict, "custom_fields.kind_in_use")
	admin.Do(http.MethodPatch, at(secret), map[string]any{"kind": "text", "validation": map[string]any{}}, ifMatch(secret)...).WantProblem(http.StatusConflict, "custom_fields.kind_in_use")
	// Tighter bounds leave what is there, and hold for what is written.
	admin.Do(http.MethodPatch, at(size), map[string]any{"validation": map[string]any{"max": 10}}, ifMatch(size)...).Want(http.StatusOK).JSON(&size)
	admin.Do(http.MethodPatch, path, map[string]any{"language": "en", "custom_fields": map[string]any{"fit": "wide"}}).Want(http.StatusOK)
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"size": 12}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.out_of_range")
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"fit": "huge"}}).Want(http.StatusOK)

	// A choice that nobody has can go, one in use cannot, nor one of a personal field.
	admin.Do(http.MethodPatch, at(fit), map[string]any{"validation": map[string]any{"choices": choices("slim", "wide", "huge")}}, ifMatch(fit)...).Want(http.StatusOK).JSON(&fit)
	admin.Do(http.MethodPatch, at(fit), map[string]any{"validation": map[string]any{"choices": choices("slim", "wide")}}, ifMatch(fit)...).WantProblem(http.StatusConflict, "custom_fields.choice_in_use")
	admin.Do(http.MethodPatch, at(secret), map[string]any{"validation": map[string]any{"choices": choices("x")}}, ifMatch(secret)...).WantProblem(http.StatusConflict, "custom_fields.choice_in_use")

	// Replaced: taken for the new one at once, and in all customers by a job.
	replace := choices("slim", "wide", "huge")
	replace[2].(map[string]any)["replaced_by"] = "wide"
	admin.Do(http.MethodPatch, at(fit), map[string]any{"validation": map[string]any{"choices": replace}}, ifMatch(fit)...).Want(http.StatusOK).JSON(&fit)
	require.NotNil(t, fit.Job)
	both := choices("a", "b", "c")
	both[0].(map[string]any)["replaced_by"] = "b"
	admin.Do(http.MethodPatch, at(many), map[string]any{"validation": map[string]any{"choices": both}}, ifMatch(many)...).Want(http.StatusOK).JSON(&many)
	fresh := app.Customer(map[string]any{"custom_fields": map[string]any{"fit": "huge"}})
	assert.Equal(t, "wide", fresh.CustomFields["fit"])
	for _, job := range []uuid.UUID{fit.Job.Id, many.Job.Id} {
		require.Eventually(t, func() bool {
			return admin.Do(http.MethodGet, "/v1/jobs/"+job.String(), nil).Want(http.StatusOK).Map()["status"] == "succeeded"
		}, 20*time.Second, 50*time.Millisecond)
	}
	var now client.Customer
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.Equal(t, "wide", now.CustomFields["fit"])
	assert.Equal(t, []any{"b"}, now.CustomFields["many"], "no choice twice")
	var origins client.CustomerProvenance
	admin.Do(http.MethodGet, path+"/provenance", nil).Want(http.StatusOK).JSON(&origins)
	by := map[string]string{}
	for _, f := range origins.Fields {
		by[f.Field] = f.Channel
	}
	assert.Equal(t, "staff", by["custom_fields.fit"], "whoever changed the definition")
	admin.Do(http.MethodPatch, at(fit), map[string]any{"validation": map[string]any{"choices": choices("slim", "wide")}}, ifMatch(fit)...).Want(http.StatusOK)

	// Deleting what somebody has archives: hidden, refused, and back with its value.
	admin.Do(http.MethodDelete, at(size), nil, ifMatch(size)...).Want(http.StatusNoContent)
	now = client.Customer{}
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.NotContains(t, now.CustomFields, "size")
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"size": 9}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown")
	admin.Do(http.MethodGet, at(size), nil).Want(http.StatusOK).JSON(&size)
	assert.Equal(t, client.CustomFieldArchived, size.Status)
	admin.Do(http.MethodPatch, at(size), map[string]any{"status": "active"}, ifMatch(size)...).Want(http.StatusOK).JSON(&size)
	now = client.Customer{}
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&now)
	assert.Equal(t, 12.0, now.CustomFields["size"])
	// Nobody has it any more: it is gone for good.
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"size": nil}}).Want(http.StatusOK)
	admin.Do(http.MethodPatch, at(size), map[string]any{"kind": "text", "validation": map[string]any{}}, ifMatch(size)...).Want(http.StatusOK).JSON(&size)
	admin.Do(http.MethodDelete, at(size), nil, ifMatch(size)...).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, at(size), nil).WantProblem(http.StatusNotFound, "custom_fields.not_found")
}

// Values written while the kind is being changed: whichever comes first, no
// value of the old kind is left under the new one.
func TestKindAndValuesRace(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	c := app.Customer(nil)
	for round := range 8 {
		f := define(app, fmt.Sprintf("f%d", round), "number", nil)
		var wrote, changed int
		var wg sync.WaitGroup
		wg.Go(func() {
			wrote = admin.Do(http.MethodPatch, "/v1/customers/"+c.Id.String(), map[string]any{"custom_fields": map[string]any{f.Key: 1}}).Status
		})
		wg.Go(func() {
			changed = admin.Do(http.MethodPatch, "/v1/custom-fields/"+f.Id.String(), map[string]any{"kind": "text"}, "If-Match", `"1"`).Status
		})
		wg.Wait()
		require.NotEqual(t, wrote == http.StatusOK, changed == http.StatusOK, "one of them: %d, %d", wrote, changed)
	}
}
