package customers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func provenanceOf(app *testkit.App, id uuid.UUID) map[string]client.FieldProvenance {
	app.T.Helper()
	var p client.CustomerProvenance
	app.Admin().Do(http.MethodGet, "/v1/customers/"+id.String()+"/provenance", nil).Want(http.StatusOK).JSON(&p)
	out := map[string]client.FieldProvenance{}
	for _, f := range p.Fields {
		out[f.Field] = f
	}
	return out
}

func TestEachFieldHasAProvenance(t *testing.T) {
	start := time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)
	app := testkit.New(t, testkit.At(start))
	admin := app.Admin()
	define(app, "shoe", "text", nil)
	define(app, "allergy", "text", body{"personal": true})
	c := app.Customer(body{"external_id": "C-1", "name": "李雷", "phone": "13800001111", "source": "qr", "custom_fields": body{"shoe": "42"}, "collection": body{"consent_shown": true}})
	path := "/v1/customers/" + c.Id.String()
	all := provenanceOf(app, c.Id)
	for _, field := range []string{"external_id", "name", "phone", "custom_fields.shoe"} {
		f := all[field]
		assert.Equal(t, "qr", f.Channel, field)
		assert.True(t, f.ConsentShown)
		assert.Equal(t, start, f.CollectedAt)
		assert.Equal(t, "staff", f.CollectedByKind.MustGet())
		assert.False(t, f.CollectedById.IsNull())
	}
	assert.NotContains(t, all, "email", "it has no value")

	app.Advance(time.Minute)
	admin.Do(http.MethodPatch, path, body{"name": "李雷", "email": "li@example.com", "custom_fields": body{"shoe": "43", "allergy": "nuts"}, "collection": body{"channel": "hotline"}}).Want(http.StatusOK)
	app.Advance(time.Minute)
	admin.Do(http.MethodPost, "/v1/customers/bulk", body{"mode": "upsert", "items": []any{body{"external_id": "C-1", "gender": "male", "collection": body{"channel": "erp"}}}}).Want(http.StatusOK)
	admin.Do(http.MethodPost, path+"/addresses", body{"address": body{"city": "上海市"}}).Want(http.StatusCreated)
	all = provenanceOf(app, c.Id)
	assert.Equal(t, "qr", all["name"].Channel, "the same value was sent")
	assert.Equal(t, "hotline", all["email"].Channel)
	assert.Equal(t, start.Add(time.Minute), all["email"].CollectedAt)
	assert.False(t, all["email"].ConsentShown)
	assert.Equal(t, "hotline", all["custom_fields.shoe"].Channel)
	assert.Equal(t, "hotline", all["custom_fields.allergy"].Channel)
	assert.Equal(t, "erp", all["gender"].Channel)
	assert.Equal(t, "staff", all["address"].Channel)

	// Compact, and without any value.
	var raw string
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT provenance::text FROM customers WHERE id = $1", c.Id).Scan(&raw))
	for _, secret := range []string{"李雷", "1111", "example", "上海", "nuts", "43"} {
		assert.NotContains(t, raw, secret)
	}
	assert.Less(t, len(raw), 700)
	other := app.Customer(body{"name": "韩梅"})
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT provenance::text FROM customers WHERE id = $1", other.Id).Scan(&raw))
	assert.Less(t, len(raw), 130)

	// From before it was kept: what the record says.
	_, err := app.DB.Exec(t.Context(), "UPDATE customers SET provenance = NULL WHERE id = $1", other.Id)
	require.NoError(t, err)
	f := provenanceOf(app, other.Id)["name"]
	assert.Equal(t, other.Source, f.Channel)
	assert.True(t, f.CollectedByKind.IsNull())
	admin.Do(http.MethodPatch, "/v1/customers/"+other.Id.String(), body{"language": "en"}).Want(http.StatusOK)
	all = provenanceOf(app, other.Id)
	assert.True(t, all["name"].CollectedByKind.IsNull())
	assert.Equal(t, "staff", all["language"].CollectedByKind.MustGet())
}

func TestMergesKeepTheProvenanceOfWhatSurvives(t *testing.T) {
	w := newPairWorld(t)
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.other.Id.String(), body{"email": "da@example.com", "collection": body{"channel": "hotline", "consent_shown": true}}).Want(http.StatusOK)
	before, theirs := provenanceOf(w.App, w.one.Id), provenanceOf(w.App, w.other.Id)
	sums := checksums(t, w.App)
	m := w.merge(body{"phone": "merged"})
	after := provenanceOf(w.App, w.one.Id)
	assert.Equal(t, before["name"], after["name"])
	for _, field := range []string{"email", "phone", "birth_date", "address", "custom_fields.shoe", "custom_fields.allergy"} {
		assert.Equal(t, theirs[field], after[field], field)
	}
	assert.Equal(t, before["custom_fields.size"], after["custom_fields.size"])
	assert.Equal(t, "hotline", after["email"].Channel)
	w.undo(m.Id)
	assert.Equal(t, sums, checksums(t, w.App))

	// What was changed since keeps what it has.
	m = w.merge()
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"name": "王大明", "custom_fields": body{"shoe": "44"}, "collection": body{"channel": "visit"}}).Want(http.StatusOK)
	w.undo(m.Id)
	after = provenanceOf(w.App, w.one.Id)
	assert.Equal(t, "visit", after["name"].Channel)
	assert.Equal(t, "visit", after["custom_fields.shoe"].Channel)
	assert.Equal(t, before["custom_fields.size"], after["custom_fields.size"])
	assert.Equal(t, theirs, provenanceOf(w.App, w.other.Id))
}
