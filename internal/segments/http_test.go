package segments_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

func TestSegmentsOverHTTP(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	store := app.Store()
	buyer, nobody := app.Customer(), app.Customer()
	var tickets []any
	for day := range 5 {
		tickets = append(tickets, map[string]any{
			"store_id": store.Id, "external_number": time.Now().AddDate(0, 0, -day).Format(time.DateOnly), "placed_at": time.Now().UTC().AddDate(0, 0, -day),
			"customer": map[string]any{"id": buyer.Id}, "lines": []any{map[string]any{"sku": "A", "quantity": 1, "unit_price_amount": 10000}},
		})
	}
	admin.Do(http.MethodPost, "/v1/pos/orders", map[string]any{"create_missing_variants": true, "orders": tickets}).Want(http.StatusOK)

	m := admin.Do(http.MethodGet, "/v1/customers/"+buyer.Id.String()+"/metrics", nil).Want(http.StatusOK)
	assert.Equal(t, "loyal", m.Map()["rfm_band"])
	assert.EqualValues(t, 50000, m.Map()["monetary_amount"])
	assert.EqualValues(t, 10000, m.Map()["average_order_amount"])
	admin.Do(http.MethodGet, "/v1/customers/"+buyer.Id.String()+"/metrics", nil, "If-None-Match", m.Header.Get("ETag")).Want(http.StatusNotModified)
	zero := admin.Do(http.MethodGet, "/v1/customers/"+nobody.Id.String()+"/metrics", nil).Want(http.StatusOK).Map()
	assert.Nil(t, zero["rfm_band"])
	assert.Nil(t, zero["recency_days"])
	assert.EqualValues(t, 0, zero["order_count"])
	app.Client("assistant", testkit.Own()).Do(http.MethodGet, "/v1/customers/"+buyer.Id.String()+"/metrics", nil).WantProblem(http.StatusNotFound, "customers.not_found")

	settings := admin.Do(http.MethodGet, "/v1/rfm/settings", nil).Want(http.StatusOK)
	assert.EqualValues(t, 0, settings.Map()["version"])
	body := map[string]any{"window_days": 90, "bands": []any{map[string]any{"code": "vip", "name": "贵宾", "monetary_at_least_amount": 40000}}}
	admin.Do(http.MethodPut, "/v1/rfm/settings", body).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPut, "/v1/rfm/settings", map[string]any{"window_days": 90, "bands": []any{map[string]any{"code": "vip", "name": "贵宾"}}}, "If-Match", settings.Header.Get("ETag")).
		WantProblem(http.StatusUnprocessableEntity, "segments.rfm_settings_invalid", "/bands/0")
	impossible := admin.Do(http.MethodPut, "/v1/rfm/settings", map[string]any{"window_days": 90, "bands": []any{map[string]any{"code": "vip", "name": "贵宾", "recency_below": 5, "recency_above": 50}}},
		"If-Match", settings.Header.Get("ETag"), "Accept-Language", "zh-CN").WantProblem(http.StatusUnprocessableEntity, "segments.rfm_settings_invalid", "/bands/0")
	assert.Contains(t, fmt.Sprint(impossible), "条件互相矛盾")
	changed := admin.Do(http.MethodPut, "/v1/rfm/settings", body, "If-Match", settings.Header.Get("ETag")).Want(http.StatusOK).Map()
	admin.Do(http.MethodPut, "/v1/rfm/settings", body, "If-Match", settings.Header.Get("ETag")).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	job := "/v1/jobs/" + changed["refresh_job_id"].(string)
	require.Eventually(t, func() bool { return admin.Do(http.MethodGet, job, nil).Map()["status"] == "succeeded" }, 20*time.Second, 50*time.Millisecond)
	assert.Equal(t, "vip", admin.Do(http.MethodGet, "/v1/customers/"+buyer.Id.String()+"/metrics", nil).Map()["rfm_band"])

	distribution := admin.Do(http.MethodGet, "/v1/rfm/distribution", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1, distribution["total"])
	assert.EqualValues(t, 1, distribution["bands"].([]any)[0].(map[string]any)["customers"])
	accepted := admin.Do(http.MethodPost, "/v1/rfm/refresh", nil).Want(http.StatusAccepted)
	admin.Do(http.MethodGet, accepted.Header.Get("Location"), nil).Want(http.StatusOK)
}

func TestLifecycleOverHTTP(t *testing.T) {
	type body = map[string]any
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	store := app.Store()
	buyer := app.Customer(body{"home_store_id": store.Id})
	rules := admin.Do(http.MethodGet, "/v1/lifecycle-rules", nil).Want(http.StatusOK)
	assert.EqualValues(t, 0, rules.Map()["version"])
	assert.Len(t, rules.Map()["rules"], 4)
	admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{body{
		"store_id": store.Id, "external_number": "1", "placed_at": time.Now().UTC(), "customer": body{"id": buyer.Id},
		"lines": []any{body{"sku": "A", "quantity": 1, "unit_price_amount": 10000}}}}}).Want(http.StatusOK)
	at := "/v1/customers/" + buyer.Id.String()
	stage := func() any {
		profile := admin.Do(http.MethodGet, at+"/profile", nil).Want(http.StatusOK).Map()["customer"].(body)["lifecycle_stage"]
		assert.Equal(t, profile, admin.Do(http.MethodGet, at, nil).Map()["lifecycle_stage"])
		return profile
	}
	assert.Equal(t, "new", stage(), "the cached profile too")
	listed := admin.Do(http.MethodGet, "/v1/customers?lifecycle_stage=new&include=total_count", nil).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1, listed["total_count"])

	in := body{"rules": []any{body{"code": "once", "stage": "active", "order_count_at_least": 1, "created_below": 1000}, body{"code": "all", "stage": "lost", "created_above": 0}}}
	preview := admin.Do(http.MethodPost, "/v1/lifecycle-rules/preview", in).Want(http.StatusOK).Map()
	assert.EqualValues(t, 1, preview["moved_count"])
	assert.Equal(t, []any{body{"from": "new", "to": "active", "customer_count": 1.0}}, preview["moves"])
	assert.Equal(t, "new", stage(), "a preview changes nothing")
	app.Client("analyst", testkit.All()).Do(http.MethodPost, "/v1/lifecycle-rules/preview", in).WantProblem(http.StatusForbidden, "auth.forbidden")
	admin.Do(http.MethodPut, "/v1/lifecycle-rules", in).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	admin.Do(http.MethodPost, "/v1/lifecycle-rules/preview", body{"rules": []any{body{"code": "x", "stage": "lost"}}}, "Accept-Language", "zh-CN").
		WantProblem(http.StatusUnprocessableEntity, "lifecycle.rules_invalid", "/rules/0")
	changed := admin.Do(http.MethodPut, "/v1/lifecycle-rules", in, "If-Match", rules.Header.Get("ETag")).Want(http.StatusOK).Map()
	admin.Do(http.MethodPut, "/v1/lifecycle-rules", in, "If-Match", rules.Header.Get("ETag")).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	job := "/v1/jobs/" + changed["refresh_job_id"].(string)
	require.Eventually(t, func() bool { return admin.Do(http.MethodGet, job, nil).Map()["status"] == "succeeded" }, 20*time.Second, 50*time.Millisecond)
	assert.EqualValues(t, 1, admin.Do(http.MethodGet, job, nil).Map()["result"].(body)["stages"])
	assert.Equal(t, "active", stage())

	admin.Do(http.MethodPatch, at, body{"lifecycle_stage": "loyal"}).Want(http.StatusOK)
	page := admin.Do(http.MethodGet, at+"/lifecycle?limit=2&include=total_count", nil).Want(http.StatusOK)
	assert.Equal(t, true, page.Map()["pinned"])
	assert.EqualValues(t, 3, page.Map()["total_count"])
	items := page.Map()["items"].([]any)
	assert.Equal(t, "manual", items[0].(body)["cause"])
	assert.Contains(t, items[0].(body)["changed_by"], "staff:")
	assert.Equal(t, []any{"rules", "once"}, []any{items[1].(body)["cause"], items[1].(body)["rule"]})
	rest := admin.Do(http.MethodGet, at+"/lifecycle?limit=2&cursor="+page.Map()["next_cursor"].(string), nil).Want(http.StatusOK).Map()
	assert.Equal(t, "order", rest["items"].([]any)[0].(body)["cause"])
	assert.Equal(t, false, rest["has_more"])

	admin.Do(http.MethodPost, at+"/lifecycle/release", nil, "If-Match", `"1"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	for range 2 {
		released := admin.Do(http.MethodPost, at+"/lifecycle/release", nil, "Idempotency-Key", "release-it-once").Want(http.StatusOK).Map()
		assert.Equal(t, "active", released["lifecycle_stage"])
	}
	manager, assistant := app.Client("store_manager", testkit.InStore(store.Id)), app.Client("assistant", testkit.Own())
	assert.EqualValues(t, "active", manager.Do(http.MethodGet, at+"/lifecycle", nil).Want(http.StatusOK).Map()["stage"])
	manager.Do(http.MethodPost, at+"/lifecycle/release", nil).WantProblem(http.StatusForbidden, "auth.forbidden")
	assistant.Do(http.MethodGet, at+"/lifecycle", nil).WantProblem(http.StatusNotFound, "customers.not_found")
	assistant.Do(http.MethodPost, at+"/lifecycle/release", nil).WantProblem(http.StatusNotFound, "customers.not_found")
}
