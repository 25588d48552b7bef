package customers_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// rule makes a validation rule.
func rule(app *testkit.App, code, severity, expression, pointer string) client.ValidationRule {
	app.T.Helper()
	body := map[string]any{"code": code, "severity": severity, "expression": expression, "message": map[string]any{"en": "Broken: " + code, "zh": "违反：" + code}}
	if pointer != "" {
		body["pointer"] = pointer
	}
	var r client.ValidationRule
	app.Admin().Do(http.MethodPost, "/v1/validation-rules", body).Want(http.StatusCreated).JSON(&r)
	return r
}

// try tries a rule and returns what came of it.
func try(app *testkit.App, r client.ValidationRule) client.ValidationTrial {
	app.T.Helper()
	admin := app.Admin()
	var started client.ValidationRuleTry
	admin.Do(http.MethodPost, "/v1/validation-rules/"+r.Id.String()+"/try", nil).Want(http.StatusAccepted).JSON(&started)
	require.Eventually(app.T, func() bool {
		return admin.Do(http.MethodGet, "/v1/jobs/"+started.Job.Id.String(), nil).Want(http.StatusOK).Map()["status"] == "succeeded"
	}, 20*time.Second, 50*time.Millisecond)
	admin.Do(http.MethodGet, "/v1/validation-rules/"+r.Id.String(), nil).Want(http.StatusOK).JSON(&r)
	require.True(app.T, r.Tried)
	return r.Trial.MustGet()
}

func activate(app *testkit.App, r client.ValidationRule) {
	app.T.Helper()
	try(app, r)
	app.Admin().Do(http.MethodPost, "/v1/validation-rules/"+r.Id.String()+"/activate", nil).Want(http.StatusOK)
}

func TestValidationRules(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	define(app, "shoe_size", "number", nil)
	define(app, "wedding", "date", nil)
	old := app.Customer(map[string]any{"name": "老客", "birth_date": "1980-01-01", "tags": []string{"children's club"}})
	app.Customer(map[string]any{"name": "小客", "birth_date": "2019-01-01", "tags": []string{"children's club"}})
	app.Customer(map[string]any{"name": "某客", "tags": []string{"children's club"}})

	club := rule(app, "childrens_club", "error", `age < 14 || !("children's club" in tags)`, "/birth_date")
	at := "/v1/validation-rules/" + club.Id.String()
	admin.Do(http.MethodPost, at+"/activate", nil).WantProblem(http.StatusConflict, "validation_rules.untried")
	trial := try(app, club)
	assert.EqualValues(t, 3, trial.Checked)
	assert.EqualValues(t, 1, trial.Broken)
	assert.EqualValues(t, 1, trial.NotApplicable, "an unknown age, and in the club")
	assert.Equal(t, []uuid.UUID{old.Id}, trial.Samples)

	// Changed since: tried anew.
	admin.Do(http.MethodGet, at, nil).Want(http.StatusOK).JSON(&club)
	admin.Do(http.MethodPatch, at, map[string]any{"severity": "warning"}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPatch, at, map[string]any{"expression": `age == null || age <= 14 || !("children's club" in tags)`}, "If-Match", fmt.Sprintf(`"%d"`, club.Version)).Want(http.StatusOK).JSON(&club)
	assert.False(t, club.Tried)
	admin.Do(http.MethodPost, at+"/activate", nil).WantProblem(http.StatusConflict, "validation_rules.untried")
	activate(app, club)
	admin.Do(http.MethodGet, at, nil).Want(http.StatusOK).JSON(&club)
	tag := []string{"If-Match", fmt.Sprintf(`"%d"`, club.Version)}
	admin.Do(http.MethodPatch, at, map[string]any{"severity": "warning"}, tag...).WantProblem(http.StatusConflict, "validation_rules.active")

	size := rule(app, "odd_size", "warning", `custom.shoe_size < 50`, "/custom_fields/shoe_size")
	activate(app, size)

	// Refused with the rule's code, its pointer and its text in the caller's language.
	body := map[string]any{"name": "大客", "birth_date": "1990-01-01", "tags": []string{"children's club"}}
	p := admin.Do(http.MethodPost, "/v1/customers", body, "Accept-Language", "zh-CN")
	p.WantProblem(http.StatusUnprocessableEntity, "validation_rules.broken", "/birth_date")
	assert.Contains(t, string(p.Body), `"rule":"childrens_club"`)
	assert.Contains(t, string(p.Body), "违反：childrens_club")
	path := "/v1/customers/" + old.Id.String()
	admin.Do(http.MethodPatch, path, map[string]any{"language": "en"}).WantProblem(http.StatusUnprocessableEntity, "validation_rules.broken")
	admin.Do(http.MethodPatch, path, map[string]any{"language": "en", "tags": []string{}}).Want(http.StatusOK)
	admin.Do(http.MethodPost, path+"/tags", map[string]any{"tags": []string{"children's club"}}).WantProblem(http.StatusUnprocessableEntity, "validation_rules.broken")

	// Warnings come back with the write, and not when it is read.
	var c client.Customer
	admin.Do(http.MethodPatch, path, map[string]any{"custom_fields": map[string]any{"shoe_size": 51}}).Want(http.StatusOK).JSON(&c)
	require.NotNil(t, c.Warnings)
	assert.Equal(t, "odd_size", (*c.Warnings)[0].Rule)
	assert.Equal(t, "/custom_fields/shoe_size", (*c.Warnings)[0].Pointer)
	c = client.Customer{}
	admin.Do(http.MethodGet, path, nil).Want(http.StatusOK).JSON(&c)
	assert.Nil(t, c.Warnings)
	var out client.CustomerBulkResults
	admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "upsert", "items": []any{
		map[string]any{"external_id": "B-1", "name": "甲一", "custom_fields": map[string]any{"shoe_size": 60}},
		map[string]any{"external_id": "B-2", "name": "乙二", "birth_date": "1980-01-01", "tags": []string{"children's club"}},
		map[string]any{"external_id": "B-3", "name": "丙三"},
	}}).Want(http.StatusOK).JSON(&out)
	require.NotNil(t, out.Results[0].Warnings)
	assert.Equal(t, "odd_size", (*out.Results[0].Warnings)[0].Rule)
	assert.Equal(t, "validation_rules.broken", out.Results[1].Error.Code)
	assert.Equal(t, "childrens_club", *out.Results[1].Error.Rule)
	assert.Equal(t, "/items/1/birth_date", out.Results[1].Error.Pointer)
	assert.Equal(t, client.BulkItemCreated, out.Results[2].Status)
	admin.Do(http.MethodPost, "/v1/customers/bulk", map[string]any{"mode": "upsert", "items": []any{
		map[string]any{"external_id": "B-3", "birth_date": "1980-01-01", "tags": []string{"children's club"}},
	}}).Want(http.StatusOK).JSON(&out)
	assert.Equal(t, "validation_rules.broken", out.Results[0].Error.Code, "also when a batch changes somebody")

	// A field that an active rule names stays as the rule needs it.
	var fields client.CustomFieldList
	admin.Do(http.MethodGet, "/v1/custom-fields", nil).Want(http.StatusOK).JSON(&fields)
	shoes := fields.Items[0]
	p = admin.Do(http.MethodDelete, "/v1/custom-fields/"+shoes.Id.String(), nil, ifMatch(shoes)...)
	p.WantProblem(http.StatusConflict, "custom_fields.used_by_rule")

	// Out of force, and gone.
	admin.Do(http.MethodPost, at+"/deactivate", nil).Want(http.StatusOK).JSON(&club)
	assert.Equal(t, client.ValidationRuleInactive, club.Status)
	admin.Do(http.MethodPost, "/v1/customers", body).Want(http.StatusCreated)
	admin.Do(http.MethodDelete, at, nil, "If-Match", fmt.Sprintf(`"%d"`, club.Version)).Want(http.StatusNoContent)
	admin.Do(http.MethodGet, at, nil).WantProblem(http.StatusNotFound, "validation_rules.not_found")

	for _, bad := range []string{"age <", "nobody == 1", "age", `"x" + 1 == "x"`, "custom.hat > 1.0", "phone == '1'"} {
		admin.Do(http.MethodPost, "/v1/validation-rules", map[string]any{"code": "bad", "severity": "error", "expression": bad, "message": map[string]any{"en": "a", "zh": "a"}}).
			WantProblem(http.StatusUnprocessableEntity, "validation_rules.expression_invalid", "/expression")
	}
	admin.Do(http.MethodPost, "/v1/validation-rules", map[string]any{"code": "odd_size", "severity": "error", "expression": "true", "message": map[string]any{"en": "a", "zh": "a"}}).
		WantProblem(http.StatusConflict, "validation_rules.duplicate", "/code")
}
