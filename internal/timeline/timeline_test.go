package timeline_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/api/client"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
	"github.com/shuke-crm/shuke/internal/timeline"
)

func (w *shop) timeline(c *testkit.Client, query string) (l client.TimelineItemList) {
	w.t.Helper()
	c.Do(http.MethodGet, strings.TrimSuffix(w.notes, "/notes")+"/timeline"+query, nil).Want(http.StatusOK).JSON(&l)
	return l
}

// walk reads a timeline page by page.
func (w *shop) walk(c *testkit.Client, query string, limit int) (all []client.TimelineItem) {
	w.t.Helper()
	for path := fmt.Sprintf("%s/timeline?limit=%d%s", strings.TrimSuffix(w.notes, "/notes"), limit, query); path != ""; {
		r := c.Do(http.MethodGet, path, nil).Want(http.StatusOK)
		var l client.TimelineItemList
		r.JSON(&l)
		all = append(all, l.Items...)
		path, _, _ = strings.Cut(strings.TrimPrefix(r.Header.Get("Link"), "<"), ">")
		require.Less(w.t, len(all), 20_000)
	}
	return all
}

func kinds(items []client.TimelineItem) (out []string) {
	for _, i := range items {
		out = append(out, string(i.Kind))
	}
	return out
}

func (w *shop) sells(number, at string, kind string) {
	w.t.Helper()
	ticket := body{"store_id": w.store.Id, "external_number": number, "type": kind, "placed_at": at, "customer": body{"id": w.customer.Id},
		"lines": []any{body{"sku": "B-1", "title": "书", "quantity": 1, "unit_price_amount": 900}}}
	r := w.admin.Do(http.MethodPost, "/v1/pos/orders", body{"create_missing_variants": true, "orders": []any{ticket}}).Want(http.StatusOK)
	require.Contains(w.t, string(r.Body), `"created"`)
}

// The test's clock is that of the machine here: entries of the audit log are
// made at the time of their commit.
func TestTimeline(t *testing.T) {
	w := newShop(t, testkit.At(time.Now().UTC().Truncate(time.Second)))
	path := "/v1/customers/" + w.customer.Id.String()
	now := time.Now().UTC()
	day := func(n int) string { return now.AddDate(0, 0, n).Format(time.RFC3339) }
	w.sells("T-1", day(-30), "sale")
	w.sells("T-2", day(-20), "return")
	w.sells("T-3", day(-10), "sale")
	n := w.write(w.assistant, body{"text": "偏爱推理小说", "kind": "taste"})
	w.assistant.Do(http.MethodPatch, path, body{"gender": "female"}).Want(http.StatusOK)
	w.admin.Do(http.MethodPost, path+"/tags", body{"tags": []any{"常客"}}).Want(http.StatusOK)
	w.admin.Do(http.MethodPost, path+"/reveal", body{"fields": []any{"phone"}, "reason": "客户来电核对"}).Want(http.StatusOK)
	other := w.Customer(body{"home_store_id": w.store.Id})
	w.admin.Do(http.MethodPatch, "/v1/customers/"+other.Id.String(), body{"gender": "male"}).Want(http.StatusOK)

	all := w.timeline(w.admin, "?include=total_count")
	assert.ElementsMatch(t, []string{"tag_added", "changed", "note", "created", "lifecycle", "order", "return", "order"}, kinds(all.Items))
	assert.EqualValues(t, len(all.Items), *all.TotalCount)
	require.True(t, slices.IsSortedFunc(all.Items, func(a, b client.TimelineItem) int { return b.OccurredAt.Compare(a.OccurredAt) }))
	of := func(kind string) client.TimelineItem {
		i := slices.IndexFunc(all.Items, func(i client.TimelineItem) bool { return string(i.Kind) == kind })
		require.GreaterOrEqual(t, i, 0, kind)
		return all.Items[i]
	}
	note := of("note")
	assert.Equal(t, n.Id, note.Id)
	assert.Equal(t, client.TimelineDetails{"kind": "taste", "text": "偏爱推理小说", "pinned": false, "edited": false}, note.Details)
	assert.Equal(t, w.assistantName, note.Actor.MustGet().Name)
	assert.EqualValues(t, 900, of("order").Details["total_amount"])
	assert.Equal(t, w.store.Id, of("return").StoreId.MustGet())
	assert.Equal(t, []any{"gender"}, of("changed").Details["fields"])
	assert.Equal(t, "常客", of("tag_added").Details["tag"])
	assert.EqualValues(t, "staff", of("tag_added").Actor.MustGet().Kind)
	assert.Equal(t, of("tag_added").Actor.MustGet().Name, of("created").Actor.MustGet().Name, "an administrator did both")

	// The same, however it is cut.
	for limit := 1; limit <= 9; limit++ {
		require.Equal(t, all.Items, w.walk(w.admin, "", limit), limit)
	}
	// Filters.
	assert.Equal(t, []string{"order", "order"}, kinds(w.walk(w.admin, "&kind=order", 1)))
	assert.ElementsMatch(t, []string{"note", "tag_added"}, kinds(w.walk(w.admin, "&kind=note&kind=tag_added", 1)))
	assert.Equal(t, []string{"return"}, kinds(w.walk(w.admin, "&occurred_after="+day(-20)+"&occurred_before="+day(-10), 1)))
	assert.Equal(t, []string{"order", "return", "order"}, kinds(w.timeline(w.admin, "?occurred_before="+day(-9)).Items))
	edge := of("changed").OccurredAt
	from := kinds(w.timeline(w.admin, "?kind=changed&occurred_after="+edge.Format(time.RFC3339Nano)).Items)
	assert.Equal(t, []string{"changed"}, from, "inclusive")
	assert.Empty(t, w.timeline(w.admin, "?kind=changed&occurred_before="+edge.Format(time.RFC3339Nano)).Items, "exclusive")
	w.admin.Do(http.MethodGet, path+"/timeline?kind=gossip", nil).WantProblem(http.StatusUnprocessableEntity, "request.invalid")
	cursor := w.timeline(w.admin, "?limit=1").NextCursor.MustGet()
	w.admin.Do(http.MethodGet, path+"/timeline?limit=1&kind=note&cursor="+cursor, nil).WantProblem(http.StatusBadRequest, "request.bad_cursor")

	// Each as far as they may read: an order of another store, and kinds without the permission.
	elsewhere := w.Store()
	w.store, elsewhere = elsewhere, w.store
	w.sells("E-1", day(-5), "sale")
	w.store = elsewhere
	assert.Len(t, w.timeline(w.admin, "?kind=order").Items, 3)
	seen := w.timeline(w.manager, "?kind=order&include=total_count")
	assert.Len(t, seen.Items, 2)
	assert.EqualValues(t, 2, *seen.TotalCount)
	assert.Len(t, w.timeline(w.assistant, "?kind=order").Items, 3, "an assistant sees all of their customer's")
	assert.Empty(t, w.timeline(w.Client("marketer", testkit.All()), "?kind=note").Items)
	key := w.admin.Do(http.MethodPost, "/v1/api-keys", body{"name": "k", "permissions": []string{"customers.read"}, "all_stores": true}).Want(http.StatusCreated).Map()
	limited := w.timeline(w.Bearer(key["key"].(string)), "?include=total_count")
	assert.ElementsMatch(t, []string{"tag_added", "changed", "created", "lifecycle"}, kinds(limited.Items))
	assert.EqualValues(t, 4, *limited.TotalCount)
	assert.Empty(t, w.timeline(w.Bearer(key["key"].(string)), "?kind=note&kind=order").Items)

	// The other record's past comes along, and goes back.
	old := w.notes
	w.notes = "/v1/customers/" + other.Id.String() + "/notes"
	w.write(w.admin, body{"text": "旧档案"})
	theirs := w.timeline(w.admin, "").Items
	w.notes = old
	before := w.timeline(w.admin, "").Items
	var m client.CustomerMerge
	w.Admin().Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": w.customer.Id, "merged_id": other.Id}).Want(http.StatusCreated).JSON(&m)
	merged := w.walk(w.admin, "", 3)
	assert.Len(t, merged, len(before)+len(theirs)+1)
	assert.ElementsMatch(t, append(append(kinds(before), kinds(theirs)...), "merged"), kinds(merged))
	w.notes = "/v1/customers/" + other.Id.String() + "/notes"
	assert.Equal(t, merged, w.timeline(w.admin, "").Items, "the old id leads there")
	w.notes = old
	w.Admin().Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).Want(http.StatusOK)
	after := w.timeline(w.admin, "")
	assert.ElementsMatch(t, append(kinds(before), "merged", "merge_undone"), kinds(after.Items))
	assert.EqualValues(t, len(before)+2, *w.timeline(w.admin, "?include=total_count").TotalCount)
	w.notes = "/v1/customers/" + other.Id.String() + "/notes"
	assert.Equal(t, kinds(theirs), kinds(w.timeline(w.admin, "").Items))
}

func TestTimelineOfMembers(t *testing.T) {
	w := newShop(t)
	const phone = "13800001111"
	sent := w.Do(http.MethodPost, "/v1/member/auth/sms-codes", body{"phone": phone, "purpose": "sign_in", "device_id": "device-a"}).Want(http.StatusOK).Map()
	in := w.Do(http.MethodPost, "/v1/member/auth/sms", body{"challenge_id": sent["challenge_id"], "phone": phone, "code": w.Outside.SMSCode("+86" + phone),
		"device_id": "device-a", "consent": body{"text_version": 1}}).Want(http.StatusOK).Map()
	id := w.Do(http.MethodGet, "/v1/member/profile", nil, "Authorization", "Bearer "+in["access_token"].(string)).Want(http.StatusOK).Map()["id"].(string)
	w.notes = "/v1/customers/" + id + "/notes"
	items := w.timeline(w.admin, "?kind=identity_linked&kind=consent_given").Items
	require.ElementsMatch(t, []string{"identity_linked", "consent_given"}, kinds(items))
	for _, i := range items {
		assert.EqualValues(t, "member", i.Actor.MustGet().Kind)
		assert.Equal(t, id, i.Actor.MustGet().Id.MustGet().String())
	}
}

func TestTimelineOfTags(t *testing.T) {
	w := newShop(t)
	tags := "/v1/customers/" + w.customer.Id.String() + "/tags"
	w.admin.Do(http.MethodPost, tags, body{"tags": []any{"常客"}}).Want(http.StatusOK)
	added := w.timeline(w.manager, "?kind=tag_added&kind=tag_removed").Items
	require.Len(t, added, 1)
	w.Advance(time.Minute)
	w.admin.Do(http.MethodDelete, tags+"/"+added[0].Details["tag_id"].(string), nil).Want(http.StatusNoContent)
	items := w.walk(w.manager, "&kind=tag_added&kind=tag_removed", 1) // one row, twice
	require.Equal(t, []string{"tag_removed", "tag_added"}, kinds(items))
	assert.Equal(t, items[0].Id, items[1].Id)
	assert.Equal(t, "常客", items[0].Details["tag"])
	assert.Equal(t, "manual", items[0].Details["origin"])
	assert.EqualValues(t, "staff", items[0].Actor.MustGet().Kind)
	assert.NotEmpty(t, items[0].Actor.MustGet().Name)
}

func TestTimelineOfStages(t *testing.T) {
	w := newShop(t)
	w.admin.Do(http.MethodPatch, "/v1/customers/"+w.customer.Id.String(), body{"lifecycle_stage": "lost"}).Want(http.StatusOK)
	w.Advance(time.Minute)
	w.admin.Do(http.MethodPost, "/v1/customers/"+w.customer.Id.String()+"/lifecycle/release", nil).Want(http.StatusOK)
	items := w.walk(w.manager, "&kind=lifecycle", 1)
	require.GreaterOrEqual(t, len(items), 2)
	assert.Equal(t, "release", items[0].Details["cause"])
	assert.Equal(t, false, items[0].Details["pinned"])
	assert.Equal(t, "lost", items[1].Details["to"])
	assert.Equal(t, true, items[1].Details["pinned"])
	assert.EqualValues(t, "staff", items[1].Actor.MustGet().Kind)
}

// The kinds of the contract are those of the sources.
func TestTimelineKinds(t *testing.T) {
	w := newShop(t)
	spec, err := openapi3.NewLoader().LoadFromFile("../contract/openapi.yaml")
	require.NoError(t, err)
	var named []string
	for _, v := range spec.Components.Schemas["TimelineKind"].Value.Enum {
		named = append(named, v.(string))
	}
	assert.ElementsMatch(t, named, w.Server.Timeline.TimelineKinds())
	described := spec.Paths.Find("/v1/customers/{id}/timeline").Get.Description
	for _, k := range named {
		assert.Contains(t, described, "`"+k+"`")
	}
	assert.Panics(t, func() { timeline.New(timeline.Deps{}).Use(timeline.Source{Kinds: []string{"note"}}) })
}

// A page of a customer with 10,000 orders reads a page of rows, wherever it lies.
func TestTimelineCostsAPageAtAnyDepth(t *testing.T) {
	w := newShop(t)
	_, err := w.DB.Exec(t.Context(), `
INSERT INTO orders (id, order_number, store_id, assigned_staff_id, customer_id, external_number, currency, placed_at, business_day, created_at, updated_at)
SELECT gen_random_uuid(), 'N' || i, $1, $2, $3, 'X' || i, 'CNY', '2026-06-30'::timestamptz - i * interval '1 minute', '2026-06-30'::date, now(), now()
FROM generate_series(1, 10000) i`, w.store.Id, w.assistant.StaffID, w.customer.Id)
	require.NoError(t, err)
	_, err = w.DB.Exec(t.Context(), `
INSERT INTO order_returns (id, return_number, store_id, assigned_staff_id, customer_id, external_number, currency, returned_at, business_day, created_at, updated_at)
SELECT gen_random_uuid(), 'R' || i, $1, $2, $3, 'Y' || i, 'CNY', '2026-06-30'::timestamptz - i * interval '1 hour', '2026-06-30'::date, now(), now()
FROM generate_series(1, 150) i`, w.store.Id, w.assistant.StaffID, w.customer.Id)
	require.NoError(t, err)
	_, err = w.DB.Exec(t.Context(), "ANALYZE orders, order_returns, audit_logs")
	require.NoError(t, err)
	items := w.walk(w.admin, "&kind=order&kind=return", 200)
	require.Len(t, items, 10_150)
	seen := map[uuid.UUID]bool{}
	for i := range items {
		require.False(t, seen[items[i].Id])
		seen[items[i].Id] = true
		require.False(t, i > 0 && items[i].OccurredAt.After(items[i-1].OccurredAt))
	}
	read := regexp.MustCompile(`Index Scan Backward using orders_customer_idx.*actual time.* rows=(\d+)`)
	var plans []string
	for _, at := range []time.Time{time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 23, 12, 0, 0, 0, time.UTC)} {
		for name, ctx := range map[string]auth.Scope{"all": {All: true}, "store": {StoreIDs: []uuid.UUID{w.store.Id}}, "own": auth.Own(w.assistant.StaffID)} {
			actor := auth.Actor{Kind: auth.KindStaff, ID: w.assistant.StaffID, Permissions: auth.NewPermissionSet(auth.All()...), Scope: ctx}
			text, args, err := w.Server.Timeline.PageSQL(auth.With(t.Context(), actor), w.customer.Id, at, 51)
			require.NoError(t, err)
			rows, err := w.DB.Query(t.Context(), "EXPLAIN (ANALYZE, COSTS OFF) "+text, args...)
			require.NoError(t, err)
			var plan strings.Builder
			for rows.Next() {
				var line string
				require.NoError(t, rows.Scan(&line))
				plan.WriteString(line + "\n")
			}
			require.NoError(t, rows.Err())
			m := read.FindStringSubmatch(plan.String())
			require.NotNil(t, m, "%s at %s:\n%s", name, at, plan.String())
			var n int
			_, err = fmt.Sscan(m[1], &n)
			require.NoError(t, err)
			require.LessOrEqual(t, n, 51, "%s at %s:\n%s", name, at, plan.String())
			plans = append(plans, plan.String())
		}
	}
	t.Log(plans[len(plans)-1])
}

func TestIDBound(t *testing.T) {
	at := time.UnixMilli(1_780_000_000_123).UTC()
	id := uuid.Must(uuid.Parse("019e6fc1-0c7b-7fff-8000-000000000001")) // of that very millisecond
	low, next := timeline.IDBound(at, uuid.Nil), timeline.IDBound(at.Add(time.Microsecond), uuid.Nil)
	assert.Equal(t, fmt.Sprintf("%012x", at.UnixMilli()), strings.ReplaceAll(low.String(), "-", "")[:12])
	assert.Equal(t, fmt.Sprintf("%012x", at.UnixMilli()+1), strings.ReplaceAll(next.String(), "-", "")[:12])
	copy(id[:6], low[:6])
	assert.Equal(t, id, timeline.IDBound(at, id), "an id of that millisecond bounds itself")
	assert.Equal(t, next, timeline.IDBound(at, uuid.Max), "ids of other tables that sort behind")
	assert.Equal(t, low, timeline.IDBound(at, uuid.UUID{0, 1}), "and before")
}
