package customers_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func entityField(entity string, more map[string]any) map[string]any {
	out := map[string]any{"entity": entity}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func TestFamilyMembersHaveCustomFields(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store := app.Store()
	define(app, "school", "text", entityField("family_member", nil))
	define(app, "allergy", "text", entityField("family_member", map[string]any{"personal": true}))
	define(app, "secret", "text", entityField("family_member", map[string]any{"visible_to": []string{"auditor"}}))
	define(app, "grade", "choice", entityField("family_member", map[string]any{"validation": map[string]any{"choices": choices("one", "two")}, "default": []string{"one"},
		"required": map[string]any{"all": false, "store_ids": []any{store.Id}}}))
	define(app, "school", "number", nil) // the customer's own, of another kind
	admin.Do(http.MethodPost, "/v1/custom-fields", map[string]any{"entity": "family_member", "key": "hat", "kind": "text", "labels": map[string]any{"en": "x", "zh": "x"}, "filterable": true}).
		WantProblem(http.StatusUnprocessableEntity, "custom_fields.definition_invalid", "/filterable")

	c := app.Customer(map[string]any{"home_store_id": store.Id})
	base := "/v1/customers/" + c.Id.String() + "/family-members"
	admin.Do(http.MethodPost, base, map[string]any{"relation": "child", "custom_fields": map[string]any{"school": 7}}).
		WantProblem(http.StatusUnprocessableEntity, "custom_fields.kind_mismatch", "/custom_fields/school")
	admin.Do(http.MethodPost, base, map[string]any{"relation": "child", "custom_fields": map[string]any{"grade": nil}}).
		WantProblem(http.StatusUnprocessableEntity, "custom_fields.required", "/custom_fields/grade")
	var child client.FamilyMember
	admin.Do(http.MethodPost, base, map[string]any{"relation": "child", "custom_fields": map[string]any{"school": " 第一小学 ", "allergy": "花生", "secret": "x"}}).Want(http.StatusCreated).JSON(&child)
	want := map[string]any{"school": "第一小学", "allergy": "***", "secret": "x", "grade": "one"}
	assert.Equal(t, want, map[string]any(child.CustomFields))
	path := base + "/" + child.Id.String()

	// What is hidden from a role is neither shown nor taken; the rest merges.
	assistant := app.Client("service_agent", testkit.All())
	delete(want, "secret")
	assert.Equal(t, want, assistant.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["custom_fields"])
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"school": nil, "grade": "two"}}).Want(http.StatusOK)
	got := admin.Do(http.MethodGet, base, nil).Want(http.StatusOK).Map()["items"].([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"allergy": "***", "secret": "x", "grade": "two"}, got["custom_fields"])
	revealed := admin.Do(http.MethodPost, "/v1/customers/"+c.Id.String()+"/reveal", map[string]any{"fields": []string{"family_members"}, "reason": "call back"}).Want(http.StatusOK).Map()
	assert.Equal(t, "花生", revealed["family_members"].([]any)[0].(map[string]any)["custom_fields"].(map[string]any)["allergy"])
	var raw []byte
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT details_sealed FROM family_members WHERE id = $1", child.Id).Scan(&raw))
	assert.NotContains(t, string(raw), "花生")

	// They follow a merge, sealed for the survivor, and go back.
	survivor := app.Customer(map[string]any{"home_store_id": store.Id})
	merge := admin.Do(http.MethodPost, "/v1/customer-merges", map[string]any{"survivor_id": survivor.Id, "merged_id": c.Id}).Want(http.StatusCreated).Map()
	assert.Equal(t, got["custom_fields"], admin.Do(http.MethodGet, "/v1/customers/"+survivor.Id.String()+"/family-members/"+child.Id.String(), nil).Want(http.StatusOK).Map()["custom_fields"])
	admin.Do(http.MethodPost, "/v1/customer-merges/"+merge["id"].(string)+"/undo", nil).Want(http.StatusOK)
	assert.Equal(t, got["custom_fields"], admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["custom_fields"])

	// Nobody can look whether anybody has a value: kinds and choices stay.
	grade := listedFields(admin, "family_member")["grade"]
	admin.Do(http.MethodPatch, "/v1/custom-fields/"+grade.Id.String(), map[string]any{"validation": map[string]any{"choices": choices("two")}, "default": []string{}}, ifMatch(grade)...).
		WantProblem(http.StatusConflict, "custom_fields.choice_in_use", "/validation/choices")
}

func listedFields(who *testkit.Client, entity string) map[string]client.CustomField {
	var list client.CustomFieldList
	who.Do(http.MethodGet, "/v1/custom-fields?entity="+entity+"&limit=200", nil).Want(http.StatusOK).JSON(&list)
	out := map[string]client.CustomField{}
	for _, f := range list.Items {
		out[f.Key] = f
	}
	return out
}

func TestProductsAndOrdersHaveCustomFields(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	store, other := app.Store(), app.Store()
	for _, entity := range []string{"product", "order"} {
		admin.Do(http.MethodPost, "/v1/custom-fields", map[string]any{"entity": entity, "key": "p", "kind": "text", "labels": map[string]any{"en": "x", "zh": "x"}, "personal": true}).
			WantProblem(http.StatusUnprocessableEntity, "custom_fields.personal_unsupported", "/personal")
	}
	admin.Do(http.MethodPost, "/v1/custom-fields", map[string]any{"entity": "product", "key": "p", "kind": "text", "labels": map[string]any{"en": "x", "zh": "x"}, "required": map[string]any{"all": false, "store_ids": []any{store.Id}}}).
		WantProblem(http.StatusUnprocessableEntity, "custom_fields.definition_invalid", "/required/store_ids")
	define(app, "season", "choice", entityField("product", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("spring", "autumn")}, "required": map[string]any{"all": true}}))
	define(app, "themes", "multi_choice", entityField("product", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("sea", "city", "farm")}}))
	define(app, "weight", "number", entityField("product", map[string]any{"filterable": true}))
	define(app, "supplier", "text", entityField("product", map[string]any{"visible_to": []string{"inventory_clerk"}}))

	product := func(fields map[string]any) client.Product {
		var p client.Product
		admin.Do(http.MethodPost, "/v1/products", map[string]any{"title": "衬衫", "custom_fields": fields}).Want(http.StatusCreated).JSON(&p)
		return p
	}
	admin.Do(http.MethodPost, "/v1/products", map[string]any{"title": "衬衫"}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.required", "/custom_fields/season")
	admin.Do(http.MethodPost, "/v1/products", map[string]any{"title": "衬衫", "custom_fields": map[string]any{"season": "spring", "weight": "x"}}).
		WantProblem(http.StatusUnprocessableEntity, "custom_fields.kind_mismatch", "/custom_fields/weight")
	one := product(map[string]any{"season": "spring", "themes": []string{"sea", "city"}, "weight": 1.5, "supplier": "甲"})
	two := product(map[string]any{"season": "autumn", "themes": []string{"city"}})
	assert.Equal(t, map[string]any{"season": "spring", "themes": []any{"city", "sea"}, "weight": 1.5, "supplier": "甲"}, map[string]any(one.CustomFields))
	path := "/v1/products/" + one.Id.String()
	analyst := app.Client("analyst", testkit.All())
	assert.NotContains(t, analyst.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["custom_fields"], "supplier")
	found := func(who *testkit.Client, path string) (ids []string) {
		for _, item := range who.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["items"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		return ids
	}
	for filter, want := range map[string][]string{"season:spring": {one.Id.String()}, "themes:city": {two.Id.String(), one.Id.String()}, "weight:1.50": {one.Id.String()}, "weight:2": nil, "themes:farm": nil} {
		assert.Equal(t, want, found(analyst, "/v1/products?custom_fields="+filter), filter)
	}
	first := admin.Do(http.MethodGet, "/v1/products?custom_fields=themes:city&limit=1&include=total_count", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 2, first["total_count"])
	assert.Equal(t, []string{one.Id.String()}, found(admin, "/v1/products?custom_fields=themes:city&limit=1&cursor="+first["next_cursor"].(string)))
	admin.Do(http.MethodGet, "/v1/products?custom_fields=themes:sea&limit=1&cursor="+first["next_cursor"].(string), nil).WantProblem(http.StatusBadRequest, "request.bad_cursor")
	analyst.Do(http.MethodGet, "/v1/products?custom_fields=supplier:x", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.unknown")
	admin.Do(http.MethodGet, "/v1/products?custom_fields=supplier:x", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.not_filterable")
	admin.Do(http.MethodGet, "/v1/products?custom_fields=weight:x", nil).WantProblem(http.StatusUnprocessableEntity, "custom_fields.filter_invalid")

	var changed client.Product
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"weight": nil, "themes": []string{"farm"}}}).Want(http.StatusOK).JSON(&changed)
	assert.Equal(t, map[string]any{"season": "spring", "themes": []any{"farm"}, "supplier": "甲"}, map[string]any(changed.CustomFields))
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"season": nil}}).WantProblem(http.StatusUnprocessableEntity, "custom_fields.required", "/custom_fields/season")
	admin.Do(http.MethodPatch, path, map[string]any{"title": "衬衣"}).Want(http.StatusOK) // the rest stays
	assert.Equal(t, map[string]any(changed.CustomFields), admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["custom_fields"])

	// A definition in use: its kind stays, its choices are replaced by a job.
	fields := listedFields(admin, "product")
	admin.Do(http.MethodPatch, "/v1/custom-fields/"+fields["season"].Id.String(), map[string]any{"validation": map[string]any{"choices": choices("autumn")}}, ifMatch(fields["season"])...).
		WantProblem(http.StatusConflict, "custom_fields.choice_in_use", "/validation/choices")
	kinds := fields["season"]
	admin.Do(http.MethodPatch, "/v1/custom-fields/"+kinds.Id.String(), map[string]any{"kind": "text", "validation": map[string]any{}}, ifMatch(kinds)...).
		WantProblem(http.StatusConflict, "custom_fields.kind_in_use", "/kind")
	replaced := func(entity, key string, all []any) {
		f := listedFields(admin, entity)[key]
		job := admin.Do(http.MethodPatch, "/v1/custom-fields/"+f.Id.String(), map[string]any{"validation": map[string]any{"choices": all}}, ifMatch(f)...).Want(http.StatusOK).Map()["job"].(map[string]any)
		require.Eventually(t, func() bool {
			job = admin.Do(http.MethodGet, "/v1/jobs/"+job["id"].(string), nil).Want(http.StatusOK).Map()
			return job["status"] == "succeeded"
		}, 20*time.Second, 30*time.Millisecond)
		assert.EqualValues(t, 1, job["result"].(map[string]any)["records"])
	}
	all := choices("sea", "city", "farm")
	all[2].(map[string]any)["replaced_by"] = "sea"
	replaced("product", "themes", all)
	assert.Equal(t, []any{"sea"}, admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).Map()["custom_fields"].(map[string]any)["themes"])

	// Orders: values of tickets, required by store, judged each by itself.
	define(app, "gift_wrap", "boolean", entityField("order", map[string]any{"filterable": true, "default": []string{"false"}}))
	define(app, "till", "choice", entityField("order", map[string]any{"filterable": true, "validation": map[string]any{"choices": choices("a", "b")}, "required": map[string]any{"all": false, "store_ids": []any{store.Id}}}))
	ticket := func(n int, store uuid.UUID, quantity int, fields map[string]any) map[string]any {
		out := map[string]any{"store_id": store, "external_number": "N" + strconv.Itoa(n), "placed_at": "2026-07-01T02:00:00Z",
			"lines": []any{map[string]any{"sku": "S", "quantity": quantity, "unit_price_amount": 100}}}
		if fields != nil {
			out["custom_fields"] = fields
		}
		return out
	}
	send := func(tickets ...any) []any {
		return admin.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"create_missing_variants": true, "orders": tickets}).Want(http.StatusOK).Map()["results"].([]any)
	}
	good := ticket(1, store.Id, 1, map[string]any{"till": "a", "gift_wrap": true})
	results := send(good, ticket(2, store.Id, 1, nil), ticket(3, other.Id, 1, nil), ticket(4, store.Id, 1, map[string]any{"till": "z"}), ticket(5, store.Id, -1, map[string]any{"till": "a"}), ticket(6, store.Id, -1, nil))
	var got []string
	for _, r := range results {
		m := r.(map[string]any)
		text := m["status"].(string)
		if e, ok := m["error"].(map[string]any); ok {
			text += fmt.Sprint(" ", e["code"], " ", e["pointer"])
		}
		got = append(got, text)
	}
	assert.Equal(t, []string{"created", "error custom_fields.required /orders/1/custom_fields/till", "created", "error custom_fields.choice_unknown /orders/3/custom_fields/till",
		"error orders.no_order /orders/4/custom_fields", "created"}, got)
	id := results[0].(map[string]any)["order_id"].(string)
	assert.Equal(t, map[string]any{"till": "a", "gift_wrap": true}, admin.Do(http.MethodGet, "/v1/orders/"+id, nil).Want(http.StatusOK).Map()["custom_fields"])
	assert.Equal(t, "duplicate", send(good)[0].(map[string]any)["status"])
	assert.Equal(t, "error", send(ticket(1, store.Id, 1, map[string]any{"till": "b"}))[0].(map[string]any)["status"], "another ticket under the same number")
	assert.Equal(t, []string{id}, found(admin, "/v1/orders?custom_fields=gift_wrap:true"))
	assert.Len(t, found(admin, "/v1/orders?custom_fields=gift_wrap:false"), 1)
	assert.Empty(t, found(admin, "/v1/orders?custom_fields=gift_wrap:true&custom_fields=till:b"))
	assert.Empty(t, found(app.Client("store_manager", testkit.InStore(other.Id)), "/v1/orders?custom_fields=till:a"))
	all = choices("a", "b")
	all[0].(map[string]any)["replaced_by"] = "b"
	replaced("order", "till", all)
	assert.Equal(t, []string{id}, found(admin, "/v1/orders?custom_fields=till:b"))
}
