package customers_test

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/tablesum"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// checksums sums up every table but for what undoing a merge need not put back.
func checksums(t *testing.T, app *testkit.App) map[string]string {
	t.Helper()
	out, err := tablesum.Of(t.Context(), app.DB, tablesum.MergeUndone)
	require.NoError(t, err)
	require.Contains(t, out, "customers")
	require.Greater(t, len(out), 25)
	return out
}

type body = map[string]any

// pairWorld is a business with two records of one person, who bought by both,
// signs in by both and agreed to things by both.
type pairWorld struct {
	*testkit.App
	t           *testing.T
	admin       *testkit.Client
	store       uuid.UUID
	one, other  client.Customer
	tickets     int
	otherMember string // access token
}

const (
	phoneOne, phoneOther = "13800001111", "13900002222"
)

func newPairWorld(t *testing.T) *pairWorld {
	w := &pairWorld{App: testkit.New(t, testkit.At(time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC))), t: t}
	w.admin, w.store = w.Admin(), w.Store().Id
	define(w.App, "size", "text", nil)
	define(w.App, "shoe", "text", nil)
	define(w.App, "id_card", "text", body{"personal": true})
	define(w.App, "allergy", "text", body{"personal": true})
	ann, bob := w.Staff("assistant", testkit.Own(), body{"store_id": w.store}), w.Staff("assistant", testkit.Own(), body{"store_id": w.store})
	w.one = w.Customer(body{"external_id": "C-1", "name": "王晓明", "phone": phoneOne, "home_store_id": w.store, "assigned_staff_id": ann.Id,
		"tags": []any{"老客", "读书会"}, "preferences": body{"genre": "history", "format": "paper"}, "marketing_preferences": body{"sms": true, "email": true},
		"custom_fields": body{"size": "M", "id_card": "A123"}})
	w.Advance(time.Minute)
	w.other = w.Customer(body{"external_id": "C-2", "name": "王小明", "phone": phoneOther, "email": "ming@example.com", "card_number": "88002222", "birth_date": "1990-05-17",
		"home_store_id": w.store, "assigned_staff_id": bob.Id, "tags": []any{"读书会", "童书"}, "preferences": body{"genre": "novels", "size": 42},
		"marketing_preferences": body{"sms": false, "wechat": true}, "address": body{"city": "上海市", "line1": "南京东路100号3栋201室"}, "gender": "male",
		"custom_fields": body{"size": "L", "shoe": "42", "id_card": "B456", "allergy": "nuts"}})
	for _, c := range []client.Customer{w.one, w.other} {
		w.admin.Do(http.MethodPost, "/v1/customers/"+c.Id.String()+"/family-members", body{"relation": "child", "name": "王小宝", "birth_date": "2020-02-29"}).Want(http.StatusCreated)
	}
	w.admin.Do(http.MethodPost, "/v1/customers/"+w.other.Id.String()+"/addresses", body{"label": "公司", "address": body{"city": "杭州市", "line1": "文三路9号"}}).Want(http.StatusCreated)
	w.buys(body{"external_id": "C-1"}, "2026-06-01T03:00:00Z", 3000)
	w.buys(body{"external_id": "C-1"}, "2026-06-02T03:00:00Z", 1000)
	w.buys(body{"phone": phoneOther}, "2026-06-02T05:00:00Z", 500)
	w.buys(body{"card_number": "88002222"}, "2026-06-20T05:00:00Z", 700)
	w.ticket(body{"type": "return", "original_external_number": "T-4", "placed_at": "2026-06-21T05:00:00Z", "customer": body{"card_number": "88002222"},
		"lines": []any{body{"sku": "B-1", "quantity": 1, "unit_price_amount": 700}}})
	w.signIn(phoneOne, "a")
	w.otherMember = w.signIn(phoneOther, "b")
	w.member(w.otherMember, http.MethodPut, "/v1/member/password", body{"password": "a long walk home"})
	w.otherMember = w.signIn(phoneOther, "b")
	w.noted(w.one.Id, "喜欢历史书")
	w.noted(w.other.Id, "常买童书")
	return w
}

func (w *pairWorld) ticket(t body) map[string]any {
	w.t.Helper()
	w.tickets++
	t["store_id"], t["external_number"] = w.store, fmt.Sprintf("T-%d", w.tickets)
	r := w.admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{t}}).Want(http.StatusOK).Map()["results"].([]any)[0].(map[string]any)
	require.Equal(w.t, "created", r["status"], "%v", r)
	return r
}

func (w *pairWorld) buys(customer body, at string, amount int) string {
	w.t.Helper()
	return w.ticket(body{"type": "sale", "placed_at": at, "customer": customer,
		"lines": []any{body{"sku": "B-1", "title": "书", "quantity": 1, "unit_price_amount": amount}}})["order_id"].(string)
}

func (w *pairWorld) signIn(phone, device string) string {
	w.t.Helper()
	from := []string{"X-Forwarded-For", fmt.Sprintf("203.0.113.%d", w.tickets)}
	w.tickets++
	w.Advance(61 * time.Second)
	var sent client.MemberCodeSent
	w.Do(http.MethodPost, "/v1/member/auth/sms-codes", body{"phone": phone, "purpose": "sign_in", "device_id": "device-" + device}, from...).Want(http.StatusOK).JSON(&sent)
	var pair client.MemberTokens
	w.Do(http.MethodPost, "/v1/member/auth/sms", body{"challenge_id": sent.ChallengeId, "phone": phone, "code": w.Outside.SMSCode("+86" + phone), "device_id": "device-" + device,
		"consent": body{"text_version": 1}}, from...).Want(http.StatusOK).JSON(&pair)
	return pair.AccessToken
}

func (w *pairWorld) member(token, method, path string, b any) *testkit.Response {
	w.t.Helper()
	return w.Do(method, path, b, "Authorization", "Bearer "+token)
}

// noted writes a note that mentions an administrator, and attaches a file.
func (w *pairWorld) noted(id uuid.UUID, text string) {
	w.t.Helper()
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	require.NoError(w.t, parts.WriteField("caption", text))
	file, err := parts.CreateFormFile("file", "a.pdf")
	require.NoError(w.t, err)
	_, err = file.Write([]byte("%PDF-1.7\n"))
	require.NoError(w.t, err)
	require.NoError(w.t, parts.Close())
	w.admin.Do(http.MethodPost, "/v1/customers/"+id.String()+"/attachments", &form, "Content-Type", parts.FormDataContentType()).Want(http.StatusCreated)
	n := w.admin.Do(http.MethodPost, "/v1/customers/"+id.String()+"/notes", body{"text": text}).Want(http.StatusCreated).Map()
	me := n["author"].(map[string]any)["id"]
	w.admin.Do(http.MethodPatch, "/v1/customers/"+id.String()+"/notes/"+n["id"].(string), body{"mentions": []any{me}}).Want(http.StatusOK)
}

func (w *pairWorld) merge(more ...body) client.CustomerMerge {
	w.t.Helper()
	return w.mergeOf(w.one.Id, w.other.Id, more...)
}

func (w *pairWorld) mergeOf(survivor, merged uuid.UUID, more ...body) (m client.CustomerMerge) {
	w.t.Helper()
	in := body{"survivor_id": survivor, "merged_id": merged}
	for _, b := range more {
		in["field_choices"] = b
	}
	w.admin = w.Admin()
	r := w.admin.Do(http.MethodPost, "/v1/customer-merges", in).Want(http.StatusCreated)
	r.JSON(&m)
	require.Equal(w.t, "/v1/customer-merges/"+m.Id.String(), r.Header.Get("Location"))
	return m
}

func (w *pairWorld) undo(id uuid.UUID) (m client.CustomerMerge) {
	w.t.Helper()
	w.admin = w.Admin()
	w.admin.Do(http.MethodPost, "/v1/customer-merges/"+id.String()+"/undo", nil).Want(http.StatusOK).JSON(&m)
	require.EqualValues(w.t, "undone", m.Status)
	return m
}

func (w *pairWorld) get(id uuid.UUID) (c client.Customer) {
	w.t.Helper()
	w.admin.Do(http.MethodGet, "/v1/customers/"+id.String(), nil).Want(http.StatusOK).JSON(&c)
	return c
}

func (w *pairWorld) metrics(id uuid.UUID) map[string]any {
	w.t.Helper()
	return w.admin.Do(http.MethodGet, "/v1/customers/"+id.String()+"/profile", nil).Want(http.StatusOK).Map()["metrics"].(map[string]any)
}

// right fails the test unless metrics are what orders and returns add up to.
func (w *pairWorld) right() {
	w.t.Helper()
	report, err := w.Server.Operations.VerifyMetrics(auth.System(w.t.Context(), "test"))
	require.NoError(w.t, err)
	require.Empty(w.t, report.Differences)
}

func TestMergeAndUndoLeaveAllTablesAsBefore(t *testing.T) {
	for name, choices := range map[string]body{
		"by strategy": {},
		"all of the merged one": {"external_id": "merged", "name": "merged", "phone": "merged", "email": "merged", "card_number": "merged", "gender": "merged",
			"birth_date": "merged", "address": "merged", "language": "merged", "source": "merged", "home_store_id": "merged", "assigned_staff_id": "merged",
			"lifecycle_stage": "merged", "preferences": "merged", "marketing_preferences": "merged", "custom_fields": "merged", "tags": "merged"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newPairWorld(t)
			third := w.Customer(body{"external_id": "C-3"})
			w.pair(w.one.Id, w.other.Id, "open")
			w.pair(w.other.Id, third.Id, "not_duplicate")
			// Together they have a stage and a tag that neither has alone.
			w.admin.Do(http.MethodPut, "/v1/lifecycle-rules", body{"rules": []any{body{"code": "often", "stage": "loyal", "order_count_at_least": 6}}}, "If-Match", `"0"`).Want(http.StatusOK)
			w.admin.Do(http.MethodPost, "/v1/tags", body{"name": "多单", "condition": "order_count >= 6 && lifecycle_stage == 'loyal'"}).Want(http.StatusCreated)
			for _, c := range []string{"C-1", "C-2"} {
				w.buys(body{"external_id": c}, "2026-06-22T03:00:00Z", 100)
			}
			require.EqualValues(t, "active", w.get(w.one.Id).LifecycleStage)
			w.Advance(time.Minute)
			before := checksums(t, w.App)
			m := w.merge(choices)
			assert.NotEqual(t, before, checksums(t, w.App))
			both := w.get(w.one.Id)
			assert.EqualValues(t, "loyal", both.LifecycleStage)
			assert.Contains(t, both.Tags, "多单")
			w.Advance(time.Minute)
			undone := w.undo(m.Id)
			assert.Empty(t, undone.Kept)
			assert.Equal(t, before, checksums(t, w.App))
			w.right()
			// And once more, the other way round.
			m = w.mergeOf(w.other.Id, w.one.Id, choices)
			w.right()
			w.undo(m.Id)
			assert.Equal(t, before, checksums(t, w.App))
			assert.Equal(t, w.one.ExternalId, w.get(w.one.Id).ExternalId)
		})
	}
}

func (w *pairWorld) pair(a, b uuid.UUID, status string) {
	w.t.Helper()
	_, err := w.DB.Exec(w.t.Context(), `INSERT INTO duplicate_candidates (id, left_id, right_id, score, reasons, status, created_at, updated_at)
		VALUES ($1, least($2::uuid, $3::uuid), greatest($2::uuid, $3::uuid), 0.95, '[]', $4, $5, $5)`, uuid.Must(uuid.NewV7()), a, b, status, w.Clock.Now())
	require.NoError(w.t, err)
}

func TestMergedCustomersAreOne(t *testing.T) {
	w := newPairWorld(t)
	third := w.Customer(body{"external_id": "C-3"})
	w.pair(w.other.Id, third.Id, "not_duplicate")
	w.metrics(w.one.Id)
	w.metrics(w.other.Id) // both cached

	var p client.MergePreview
	w.admin.Do(http.MethodPost, "/v1/customer-merges/preview", body{"survivor_id": w.one.Id, "merged_id": w.other.Id, "field_choices": body{"name": "merged"}}).Want(http.StatusOK).JSON(&p)
	assert.Empty(t, p.Blockers)
	moves := map[string]int64{}
	for _, c := range p.Moves {
		moves[c.Kind] = c.Count
	}
	assert.Equal(t, map[string]int64{"addresses": 1, "family_members": 1, "form_submissions": 0, "orders": 2, "returns": 1, "identities": 1, "consents": 1, "notes": 1, "attachments": 1, "tag_history": 0, "groups": 0, "tracking_events": 0,
		"points_accounts": 0, "points_adjustments": 0, "points_holds": 0,
		"wallet_accounts": 0, "wallet_adjustments": 0, "wallet_payments": 0, "wallet_top_ups": 0, "reward_redemptions": 0,
		"membership_grants": 0, "referral_codes": 0, "referrals": 0}, moves)
	fields := map[string]client.MergePreviewField{}
	for _, f := range p.Fields {
		fields[f.Field] = f
	}
	side := func(field, choice, reason string) {
		t.Helper()
		assert.EqualValues(t, choice, fields[field].Choice, field)
		assert.EqualValues(t, reason, fields[field].Reason, field)
	}
	side("name", "merged", "asked")
	side("phone", "survivor", "survivor")
	side("email", "merged", "only_value")
	side("address", "merged", "only_value")
	side("source", "survivor", "same")
	side("tags", "both", "both")
	side("marketing_preferences", "both", "both")
	assert.Equal(t, "138****1111", fields["phone"].SurvivorValue.MustGet())
	assert.NotContains(t, fmt.Sprint(p), "南京东路100号3栋201室")
	assert.NotContains(t, fmt.Sprint(p), phoneOther)
	assert.True(t, fields["email"].SurvivorValue.IsNull())

	m := w.merge(body{"phone": "merged"})
	assert.EqualValues(t, "done", m.Status)
	assert.False(t, m.MergedBy.IsNull())
	one := w.get(w.one.Id)
	assert.Equal(t, one, w.get(w.other.Id), "the old id leads to the survivor")
	assert.Equal(t, "139****2222", one.Phone.MustGet())
	assert.Equal(t, "88002222", one.CardNumber.MustGet())
	assert.Equal(t, "C-1", one.ExternalId.MustGet())
	assert.ElementsMatch(t, []string{"老客", "读书会", "童书"}, one.Tags)
	assert.Equal(t, client.MarketingPreferences{"sms": false, "email": true, "wechat": true}, one.MarketingPreferences)
	assert.Equal(t, client.CustomerPreferences{"genre": "history", "format": "paper", "size": float64(42)}, one.Preferences)

	assert.Equal(t, client.CustomFields{"size": "M", "shoe": "42", "id_card": "***", "allergy": "***"}, one.CustomFields)
	revealed := w.admin.Do(http.MethodPost, "/v1/customers/"+w.one.Id.String()+"/reveal", body{"fields": []any{"custom_fields"}, "reason": "test of merging"}).Want(http.StatusOK).Map()
	assert.Equal(t, map[string]any{"id_card": "A123", "allergy": "nuts"}, revealed["custom_fields"])

	// Metrics, orders, scope columns.
	assert.EqualValues(t, 4, w.metrics(w.one.Id)["order_count"])
	assert.EqualValues(t, 4, w.metrics(w.other.Id)["order_count"])
	w.right()
	var elsewhere int
	require.NoError(t, w.DB.QueryRow(t.Context(), "SELECT count(*) FROM orders WHERE assigned_staff_id IS DISTINCT FROM $1", w.one.AssignedStaffId.MustGet()).Scan(&elsewhere))
	assert.Zero(t, elsewhere)

	// Lists of orders and returns follow the old id, page by page.
	for _, list := range []string{"/v1/orders", "/v1/returns"} {
		now := w.admin.Do(http.MethodGet, list+"?customer_id="+w.one.Id.String()+"&include=total_count", nil).Want(http.StatusOK).Map()
		then := w.admin.Do(http.MethodGet, list+"?customer_id="+w.other.Id.String()+"&include=total_count", nil).Want(http.StatusOK).Map()
		assert.NotEmpty(t, now["items"], list)
		assert.Equal(t, now, then, list)
	}
	firstOrders := w.admin.Do(http.MethodGet, "/v1/orders?limit=1&customer_id="+w.other.Id.String(), nil).Want(http.StatusOK).Map()
	require.Equal(t, true, firstOrders["has_more"])
	w.admin.Do(http.MethodGet, "/v1/orders?limit=1&customer_id="+w.other.Id.String()+"&cursor="+firstOrders["next_cursor"].(string), nil).Want(http.StatusOK)
	// Every old identifier leads to the survivor: lists, tills, tickets, upserts.
	for _, ref := range []body{{"phone": phoneOne}, {"phone": phoneOther}, {"external_id": "C-1"}, {"external_id": "C-2"}, {"card_number": "88002222"}} {
		var found client.CustomerList
		w.admin.Do(http.MethodPost, "/v1/customers/search", ref).Want(http.StatusOK).JSON(&found)
		require.Len(t, found.Items, 1, ref)
		assert.Equal(t, w.one.Id, found.Items[0].Id, ref)
		assert.Equal(t, w.one.Id.String(), w.admin.Do(http.MethodPost, "/v1/customers/lookup", ref).Want(http.StatusOK).Map()["id"], ref)
		w.buys(ref, "2026-06-25T05:00:00Z", 100)
	}
	w.buys(body{"id": w.other.Id}, "2026-06-25T05:00:00Z", 100)
	assert.EqualValues(t, 10, w.metrics(w.one.Id)["order_count"])
	results := w.admin.Do(http.MethodPost, "/v1/customers/bulk", body{"mode": "upsert", "items": []any{
		body{"external_id": "C-2", "gender": "female"}, body{"external_id": "C-9", "name": "新人"}, body{"external_id": "C-1", "gender": "other"},
	}}).Want(http.StatusOK).Map()["results"].([]any)
	assert.Equal(t, []any{"error", "created", "updated"}, []any{results[0].(map[string]any)["status"], results[1].(map[string]any)["status"], results[2].(map[string]any)["status"]})
	w.admin.Do(http.MethodPost, "/v1/customers/bulk", body{"mode": "upsert", "items": []any{body{"external_id": "C-2", "gender": "female"}}}).Want(http.StatusOK)
	one = w.get(w.one.Id)
	assert.EqualValues(t, "female", one.Gender)
	assert.Equal(t, "C-1", one.ExternalId.MustGet())
	for _, name := range []string{"王晓明", "wangxiao"} {
		var found client.CustomerList
		w.admin.Do(http.MethodPost, "/v1/customers/search", body{"name": name}).Want(http.StatusOK).JSON(&found)
		require.Len(t, found.Items, 1)
		assert.Equal(t, w.one.Id, found.Items[0].Id)
	}
	var archived client.CustomerList
	w.admin.Do(http.MethodGet, "/v1/customers?status=archived", nil).Want(http.StatusOK).JSON(&archived)
	assert.Empty(t, archived.Items)

	// Nobody else can have them, and a refusal names the survivor.
	for _, taken := range []body{{"phone": phoneOne}, {"external_id": "C-2"}} {
		r := w.admin.Do(http.MethodPost, "/v1/customers", taken)
		r.WantProblem(http.StatusConflict, "customers.duplicate")
		assert.Equal(t, w.one.Id.String(), r.Map()["existing_id"])
	}
	// The survivor can: its old phone comes back to it.
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"phone": phoneOne}).Want(http.StatusOK)

	// Members: the merged one's session has ended, both ways to sign in lead to
	// the survivor, the password does not.
	w.member(w.otherMember, http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	for _, phone := range []string{phoneOne, phoneOther} {
		profile := w.member(w.signIn(phone, "c"), http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK).Map()
		assert.Equal(t, w.one.Id.String(), profile["id"])
	}
	w.Do(http.MethodPost, "/v1/member/auth/password", body{"phone": phoneOther, "password": "a long walk home", "device_id": "device-x"}, "X-Forwarded-For", "203.0.113.250").
		WantProblem(http.StatusUnauthorized, "member.invalid_credentials")
	identities := w.admin.Do(http.MethodGet, "/v1/customers/"+w.one.Id.String()+"/identities", nil).Want(http.StatusOK).Map()["items"].([]any)
	assert.Len(t, identities, 2)

	// The queue: what was decided about the merged one holds for the survivor.
	var decided client.CustomerDuplicateList
	w.admin = w.Admin()
	w.admin.Do(http.MethodGet, "/v1/customers/"+third.Id.String()+"/duplicates", nil).Want(http.StatusOK).JSON(&decided)
	require.Len(t, decided.Items, 1)
	assert.Equal(t, w.one.Id, decided.Items[0].Left.Id)
	w.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": w.one.Id, "merged_id": third.Id}).WantProblem(http.StatusConflict, "merges.decided_apart")

	// Lists of merges, and what both customers' audit trails say.
	var list client.CustomerMergeList
	w.admin.Do(http.MethodGet, "/v1/customer-merges?customer_id="+w.other.Id.String()+"&status=done", nil).Want(http.StatusOK).JSON(&list)
	require.Len(t, list.Items, 1)
	assert.Equal(t, m.Id, list.Items[0].Id)
	for _, id := range []uuid.UUID{w.one.Id, w.other.Id} {
		var noted int
		require.NoError(t, w.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'customers.merge' AND object_id = $1", id.String()).Scan(&noted))
		assert.Equal(t, 1, noted)
	}
}

func TestWhatHappenedSinceAMergeStaysWhenItIsUndone(t *testing.T) {
	w := newPairWorld(t)
	m := w.merge(body{"phone": "merged"})
	w.Advance(time.Minute)
	// A customer edits, buys, brings back.
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"name": "王大明", "phone": "13700007777", "preferences": body{"genre": "comics", "size": 42},
		"custom_fields": body{"id_card": "C789", "shoe": nil}}).Want(http.StatusOK)
	w.admin.Do(http.MethodPost, "/v1/customers/"+w.one.Id.String()+"/tags", body{"tags": []any{"新标签"}}).Want(http.StatusOK)
	w.buys(body{"external_id": "C-2"}, "2026-06-26T05:00:00Z", 900)
	w.ticket(body{"type": "return", "original_external_number": "T-3", "placed_at": "2026-06-27T05:00:00Z", "customer": body{"external_id": "C-1"},
		"lines": []any{body{"sku": "B-1", "quantity": 1, "unit_price_amount": 500}}})
	token := w.signIn(phoneOther, "z")
	taker := w.Customer(body{"external_id": "C-5", "phone": nil, "name": "抢号"})
	w.admin = w.Admin()
	w.admin.Do(http.MethodPatch, "/v1/customers/"+taker.Id.String(), body{"email": "taker@example.com"}).Want(http.StatusOK)
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.one.Id.String(), body{"card_number": nil}).Want(http.StatusOK)
	w.admin.Do(http.MethodPatch, "/v1/customers/"+taker.Id.String(), body{"card_number": "88002222"}).Want(http.StatusOK)

	undone := w.undo(m.Id)
	kept := map[string]string{}
	for _, k := range undone.Kept {
		kept[string(k.Customer)+" "+k.Field] = string(k.Reason)
	}
	assert.Equal(t, map[string]string{"survivor name": "edited_since", "survivor phone": "edited_since", "survivor preferences": "edited_since", "survivor tags": "edited_since", "survivor custom_fields": "edited_since",
		"survivor card_number": "edited_since", "merged card_number": "taken"}, kept)
	one, other := w.get(w.one.Id), w.get(w.other.Id)
	assert.Equal(t, w.other.Id, other.Id)
	assert.Equal(t, "137****7777", one.Phone.MustGet())
	assert.Equal(t, "139****2222", other.Phone.MustGet())
	assert.ElementsMatch(t, []string{"老客", "读书会", "新标签"}, one.Tags)
	assert.ElementsMatch(t, []string{"读书会", "童书"}, other.Tags)
	assert.Equal(t, client.CustomerPreferences{"genre": "comics"}, one.Preferences, "changed and removed since; the other one's size goes")
	assert.Equal(t, client.CustomerPreferences{"genre": "novels", "size": float64(42)}, other.Preferences)
	assert.Equal(t, client.CustomFields{"size": "M", "id_card": "***"}, one.CustomFields)
	for id, want := range map[uuid.UUID]map[string]any{w.one.Id: {"id_card": "C789"}, w.other.Id: {"id_card": "B456", "allergy": "nuts"}} {
		revealed := w.admin.Do(http.MethodPost, "/v1/customers/"+id.String()+"/reveal", body{"fields": []any{"custom_fields"}, "reason": "test of merging"}).Want(http.StatusOK).Map()
		assert.Equal(t, want, revealed["custom_fields"])
	}
	assert.True(t, other.CardNumber.IsNull())
	assert.True(t, one.Email.IsNull())
	w.right()
	assert.EqualValues(t, 3, w.metrics(w.one.Id)["order_count"], "what was bought since stays")
	assert.EqualValues(t, 2, w.metrics(w.other.Id)["order_count"])
	assert.EqualValues(t, 2, w.metrics(w.other.Id)["return_count"], "what was brought back of theirs goes along")
	// The way to sign in goes back, and its sessions end.
	w.member(token, http.MethodGet, "/v1/member/profile", nil).Want(http.StatusUnauthorized)
	back := w.signIn(phoneOther, "z")
	assert.Equal(t, w.other.Id.String(), w.member(back, http.MethodGet, "/v1/member/profile", nil).Want(http.StatusOK).Map()["id"])
	w.Do(http.MethodPost, "/v1/member/auth/password", body{"phone": phoneOther, "password": "a long walk home", "device_id": "device-x"}, "X-Forwarded-For", "203.0.113.250").Want(http.StatusOK)

	w.admin = w.Admin()
	w.admin.Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).WantProblem(http.StatusConflict, "merges.undone")
}

func TestWhatCannotBeMerged(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	a, b, c := app.Customer(), app.Customer(), app.Customer()
	try := func(survivor, merged uuid.UUID, more ...body) *testkit.Response {
		in := body{"survivor_id": survivor, "merged_id": merged}
		for _, m := range more {
			in["field_choices"] = m
		}
		return admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", uuid.NewString())
	}
	try(a.Id, a.Id).WantProblem(http.StatusUnprocessableEntity, "merges.same_customer", "/merged_id")
	try(a.Id, uuid.New()).WantProblem(http.StatusNotFound, "customers.not_found", "/merged_id")
	try(uuid.New(), a.Id).WantProblem(http.StatusNotFound, "customers.not_found", "/survivor_id")
	try(a.Id, b.Id, body{"name": "both"}).Want(http.StatusUnprocessableEntity)
	try(a.Id, b.Id, body{"nickname": "merged"}).Want(http.StatusUnprocessableEntity)

	admin.Do(http.MethodPost, "/v1/customers/"+b.Id.String()+"/archive", nil).Want(http.StatusOK)
	try(a.Id, b.Id).WantProblem(http.StatusConflict, "merges.archived", "/merged_id")
	var p client.MergePreview
	admin.Do(http.MethodPost, "/v1/customer-merges/preview", body{"survivor_id": b.Id, "merged_id": a.Id}, "Accept-Language", "zh-CN").Want(http.StatusOK).JSON(&p)
	require.Len(t, p.Blockers, 1)
	assert.Equal(t, "merges.archived", p.Blockers[0].Code)
	assert.Contains(t, p.Blockers[0].Detail, "已归档")
	admin.Do(http.MethodPost, "/v1/customers/"+b.Id.String()+"/restore", nil).Want(http.StatusOK)

	// Twice under one key is once; without a key the second time is refused.
	in := body{"survivor_id": a.Id, "merged_id": b.Id}
	var first, again client.CustomerMerge
	admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", "m-1").Want(http.StatusCreated).JSON(&first)
	repeated := admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", "m-1").Want(http.StatusCreated)
	repeated.JSON(&again)
	assert.Equal(t, first, again)
	assert.Equal(t, "true", repeated.Header.Get("Idempotency-Replayed"))
	for _, r := range []*testkit.Response{try(a.Id, b.Id), try(c.Id, b.Id), try(b.Id, c.Id)} {
		r.WantProblem(http.StatusConflict, "customers.merged")
		assert.Equal(t, a.Id.String(), r.Map()["survivor_id"])
	}
	admin.Do(http.MethodPost, "/v1/customer-merges/preview", in).WantProblem(http.StatusConflict, "customers.merged")

	// A merge whose survivor was merged in turn is undone after that.
	var later client.CustomerMerge
	try(c.Id, a.Id).Want(http.StatusCreated).JSON(&later)
	r := admin.Do(http.MethodPost, "/v1/customer-merges/"+first.Id.String()+"/undo", nil)
	r.WantProblem(http.StatusConflict, "merges.merged_later")
	assert.Equal(t, later.Id.String(), r.Map()["merge_id"])
	for _, m := range []client.CustomerMerge{later, first} {
		admin.Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil, "Idempotency-Key", "u-"+m.Id.String()).Want(http.StatusOK)
	}
	admin.Do(http.MethodGet, "/v1/customer-merges/"+uuid.NewString(), nil).WantProblem(http.StatusNotFound, "merges.not_found")
	admin.Do(http.MethodPost, "/v1/customer-merges/"+uuid.NewString()+"/undo", nil).WantProblem(http.StatusNotFound, "merges.not_found")
	for _, x := range []client.Customer{a, b, c} {
		var got client.Customer
		admin.Do(http.MethodGet, "/v1/customers/"+x.Id.String(), nil).Want(http.StatusOK).JSON(&got)
		assert.Equal(t, x.Phone, got.Phone)
	}
}

// TestMergesAtOnce lets people merge the same and overlapping pairs at the same
// moment, while tickets come in for all of them.
func TestMergesAtOnce(t *testing.T) {
	w := newPairWorld(t)
	ctx := auth.System(context.Background(), "test")
	for round := range 6 {
		var all [3]client.Customer
		for i := range all {
			all[i] = w.Customer(body{"external_id": fmt.Sprintf("R-%d-%d", round, i)})
		}
		a, b, c := all[0].Id, all[1].Id, all[2].Id
		tries := [][2]uuid.UUID{{b, a}, {b, a}, {a, b}, {c, b}, {b, c}, {c, a}}
		errs := make([]error, len(tries))
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i, pair := range tries {
			wg.Go(func() {
				<-start
				_, errs[i] = w.Server.Customers.Merge(ctx, pair[0], pair[1], nil)
			})
		}
		for i := range 6 {
			wg.Go(func() {
				<-start
				r := w.admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{body{"store_id": w.store,
					"external_number": fmt.Sprintf("R-%d-%d", round, i), "type": "sale", "placed_at": "2026-06-26T05:00:00Z", "customer": body{"external_id": fmt.Sprintf("R-%d-%d", round, i%3)},
					"lines": []any{body{"sku": "B-1", "quantity": 1, "unit_price_amount": 100}}}}})
				if !assert.Equal(t, http.StatusOK, r.Status, string(r.Body)) {
					return
				}
				assert.Equal(t, "created", r.Map()["results"].([]any)[0].(map[string]any)["status"], string(r.Body))
			})
		}
		close(start)
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			require.ErrorContains(t, err, "customers.merged")
		}
		require.Equal(t, 2, done, "three become one by two merges, whoever comes first")
		var left, strays int
		require.NoError(t, w.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers WHERE external_id LIKE $1 AND merged_into_id IS NULL", fmt.Sprintf("R-%d-%%", round)).Scan(&left))
		assert.Equal(t, 1, left)
		require.NoError(t, w.DB.QueryRow(t.Context(), "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.merged_into_id IS NOT NULL").Scan(&strays))
		assert.Zero(t, strays, "no order stays with somebody who is another now")
		assert.EqualValues(t, 6, w.metrics(a)["order_count"])
		w.right()
		// All undone, the later one first, by two people at once.
		var list client.CustomerMergeList
		w.admin.Do(http.MethodGet, "/v1/customer-merges?status=done&limit=2", nil).Want(http.StatusOK).JSON(&list)
		for _, m := range list.Items {
			var both [2]error
			for i := range both {
				wg.Go(func() { _, both[i] = w.Server.Customers.UndoMerge(ctx, m.Id) })
			}
			wg.Wait()
			require.True(t, (both[0] == nil) != (both[1] == nil), "%v", both)
		}
		w.right()
	}
}

// TestAMergeIsAllOrNothing breaks merges and undoings at their last statement:
// by an error, and by the end of the connection.
func TestAMergeIsAllOrNothing(t *testing.T) {
	w := newPairWorld(t)
	owner := w.Database.Owner(t)
	run := func(sql string) {
		t.Helper()
		_, err := owner.ExecContext(t.Context(), sql)
		require.NoError(t, err)
	}
	run(`CREATE FUNCTION break_merge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_setting('application_name') IS NOT NULL AND (SELECT count(*) FROM orders WHERE customer_id = NEW.merged_id) >= 0 THEN
			PERFORM 1 / 0;
		END IF; RETURN NEW; END $$`)
	run(`CREATE TRIGGER break_merge BEFORE INSERT OR UPDATE ON customer_merges FOR EACH ROW EXECUTE FUNCTION break_merge()`)
	before := checksums(t, w.App)
	in := body{"survivor_id": w.one.Id, "merged_id": w.other.Id}
	w.admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", "k").Want(http.StatusInternalServerError)
	assert.Equal(t, before, checksums(t, w.App))
	run(`CREATE OR REPLACE FUNCTION break_merge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$`)
	kill := func(do func()) {
		t.Helper()
		ended := make(chan struct{})
		go func() { defer close(ended); do() }()
		super := w.Database.Admin(t)
		require.Eventually(t, func() bool {
			var n int
			require.NoError(t, super.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE wait_event = 'PgSleep' AND datname = (SELECT datname FROM pg_database WHERE datname = $1)`, w.databaseName()).Scan(&n))
			return n > 0
		}, 20*time.Second, 50*time.Millisecond)
		<-ended
		assert.Equal(t, before, checksums(t, w.App))
	}
	kill(func() {
		assert.GreaterOrEqual(t, w.admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", "k").Status, 500)
	})
	run(`DROP TRIGGER break_merge ON customer_merges`)
	var m client.CustomerMerge
	w.admin.Do(http.MethodPost, "/v1/customer-merges", in, "Idempotency-Key", "k").Want(http.StatusCreated).JSON(&m)
	after := checksums(t, w.App)
	run(`CREATE TRIGGER break_merge BEFORE UPDATE ON customer_merges FOR EACH ROW EXECUTE FUNCTION break_merge()`)
	before = after
	kill(func() {
		assert.GreaterOrEqual(t, w.admin.Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).Status, 500)
	})
	run(`DROP TRIGGER break_merge ON customer_merges`)
	w.undo(m.Id)
	w.right()
}

func (w *pairWorld) databaseName() (name string) {
	w.t.Helper()
	require.NoError(w.t, w.DB.QueryRow(w.t.Context(), "SELECT current_database()").Scan(&name))
	return name
}

// TestMergeOfTenThousandOrders is about time: such a merge must not keep a
// person waiting.
func TestMergeOfTenThousandOrders(t *testing.T) {
	w := newPairWorld(t)
	_, err := w.DB.Exec(t.Context(), `
		INSERT INTO orders (id, order_number, store_id, assigned_staff_id, customer_id, external_number, currency, placed_at, business_day, unit_count, total_amount, created_at, updated_at)
		SELECT gen_random_uuid(), 'M' || n, $1, $3, $2, 'M-' || n, 'CNY', $4::timestamptz - n * interval '1 hour', ($4::timestamptz - n * interval '1 hour')::date, 1, 100, $4, $4
		FROM generate_series(1, 10000) n`, w.store, w.other.Id, w.other.AssignedStaffId.MustGet(), w.Clock.Now())
	require.NoError(t, err)
	begun := time.Now()
	m := w.merge()
	merged := time.Since(begun)
	assert.EqualValues(t, 10_004, w.metrics(w.one.Id)["order_count"])
	begun = time.Now()
	w.undo(m.Id)
	undone := time.Since(begun)
	t.Logf("merged in %s, undone in %s", merged, undone)
	assert.EqualValues(t, 10_002, w.metrics(w.other.Id)["order_count"])
	w.right()
	assert.Less(t, merged, 2*time.Second)
	assert.Less(t, undone, 2*time.Second)
}
