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
