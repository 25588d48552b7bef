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

// autoMergeWorld is a business with people entered several times.
type autoMergeWorld struct {
	*testkit.App
	t     *testing.T
	admin *testkit.Client
}

func newAutoMergeWorld(t *testing.T) *autoMergeWorld {
	app := testkit.New(t, testkit.WithWorker())
	return &autoMergeWorld{app, t, app.Admin()}
}

// people enters one person n times, by external ids of their own.
func (w *autoMergeWorld) people(n int, name, birth, street string, more ...body) (ids []uuid.UUID) {
	for i := range n {
		b := body{"external_id": fmt.Sprint(name, i), "name": name, "birth_date": birth, "gender": "female", "address": body{"region": "上海市", "city": "上海市", "line1": street}}
		for k := range more {
			if k == i {
				for f, v := range more[k] {
					b[f] = v
				}
			}
		}
		c := w.Customer(b)
		_, err := w.DB.Exec(w.t.Context(), "UPDATE customers SET phone_index = NULL, phone_sealed = NULL, phone_kind = NULL, phone_last4_token = NULL WHERE id = $1 AND $2", c.Id, b["phone"] == nil)
		require.NoError(w.t, err)
		ids = append(ids, c.Id)
	}
	return ids
}

func (w *autoMergeWorld) set(b body) {
	w.t.Helper()
	was := w.admin.Do(http.MethodGet, "/v1/customer-duplicates/auto-merge", nil).Want(http.StatusOK)
	w.admin.Do(http.MethodPut, "/v1/customer-duplicates/auto-merge", b, "If-Match", was.Header.Get("ETag")).Want(http.StatusOK)
}

// search searches everybody and waits for the merges that follow; nil when none do.
func (w *autoMergeWorld) search() map[string]any {
	w.t.Helper()
	id, ok := scan(w.t, w.admin)["auto_merge_job_id"].(string)
	if !ok {
		return nil
	}
	var job map[string]any
	require.Eventually(w.t, func() bool {
		job = w.admin.Do(http.MethodGet, "/v1/jobs/"+id, nil).Want(http.StatusOK).Map()
		return job["status"] == "succeeded" || job["status"] == "failed"
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(w.t, "succeeded", job["status"], "%v", job)
	return job["result"].(map[string]any)
}

func (w *autoMergeWorld) merges(query string) []client.CustomerMerge {
	var list client.CustomerMergeList
	w.admin.Do(http.MethodGet, "/v1/customer-merges"+query, nil).Want(http.StatusOK).JSON(&list)
	return list.Items
}

func TestAutoMerge(t *testing.T) {
	w := newAutoMergeWorld(t)
	same := w.people(2, "欧阳明珠", "1990-05-17", "南京东路100号3栋201室")
	w.people(2, "司徒建华", "1971-11-30", "人民路7号2栋101室", body{"email": "a@example.com"}, body{"email": "b@example.com"})
	three := w.people(3, "诸葛文静", "1985-01-02", "淮海中路8号1栋301室")
	five := w.people(5, "上官晓云", "1999-09-09", "四川北路9号1栋302室")
	// One who is likely, and less so.
	w.people(1, "端木晓明", "1977-03-04", "延安西路10号4栋5室")
	w.people(1, "端木小明", "1977-04-03", "延安西路10号4栋")

	setting := w.admin.Do(http.MethodGet, "/v1/customer-duplicates/auto-merge", nil).Want(http.StatusOK).Map()
	require.Equal(t, body{"enabled": false, "threshold": 0.99, "survivor": "oldest", "may_differ": []any{}, "version": 0.0, "updated_at": nil}, setting)
	require.Nil(t, w.search(), "switched off does nothing")
	require.Empty(t, w.merges(""))
	list := pairs(w.admin, "?limit=200")
	scores := map[string]float64{}
	for _, p := range list.Items {
		scores[p.Left.ExternalId.MustGet()+" "+p.Right.ExternalId.MustGet()] = p.Score
	}
	require.Len(t, list.Items, 1+1+3+10+1, "%v", scores)
	sure, doubtful := scores["欧阳明珠0 欧阳明珠1"], scores["端木晓明0 端木小明0"]
	require.Greater(t, sure, 0.97)
	require.Less(t, doubtful, sure)
	threshold := max(0.95, (sure+doubtful)/2)

	w.admin.Do(http.MethodPut, "/v1/customer-duplicates/auto-merge", body{"enabled": true, "threshold": threshold, "survivor": "oldest"}).WantProblem(http.StatusPreconditionRequired, "request.version_required")
	w.admin.Do(http.MethodPut, "/v1/customer-duplicates/auto-merge", body{"enabled": true, "threshold": threshold, "survivor": "oldest"}, "If-Match", `"7"`).WantProblem(http.StatusPreconditionFailed, "request.version_mismatch")
	w.admin.Do(http.MethodPut, "/v1/customer-duplicates/auto-merge", body{"enabled": true, "threshold": 0.5, "survivor": "oldest"}, "If-Match", `"0"`).Want(http.StatusUnprocessableEntity)
	w.set(body{"enabled": true, "threshold": threshold, "survivor": "oldest"})
	result := w.search()
	require.EqualValues(t, 0, result["merged"], "external ids that differ speak against it")
	require.EqualValues(t, 5, result["blocked"].(map[string]any)["different_external_id"])

	w.set(body{"enabled": true, "threshold": threshold, "survivor": "oldest", "may_differ": []string{"external_id"}})
	result = w.search()
	require.EqualValues(t, 2, result["merged"], "%v", result)
	require.Equal(t, map[string]any{"different_email": 1.0, "merged_already": 2.0}, result["blocked"])
	merged := w.merges("")
	require.Len(t, merged, 2)
	for _, m := range merged {
		assert.True(t, m.Automatic)
		assert.True(t, m.MergedBy.IsNull())
	}
	first := w.merges("?customer_id=" + same[0].String())
	require.Equal(t, []uuid.UUID{same[0], same[1]}, []uuid.UUID{first[0].SurvivorId, first[0].MergedId}, "the oldest goes on")
	var audited int
	require.NoError(t, w.DB.QueryRow(t.Context(), `SELECT count(*) FROM audit_logs WHERE action = 'customers.merge' AND changes->>'automatic' = 'true' AND (changes->>'score')::float8 >= $1
		AND object_id IN ($2, $3) AND actor_kind = 'system'`, threshold, same[0], same[1]).Scan(&audited))
	require.Equal(t, 2, audited)

	// Compared anew, the third of three follows; those who are too many stay.
	result = w.search()
	require.EqualValues(t, 1, result["merged"], "%v", result)
	require.Len(t, w.merges("?status=done"), 3)
	var left int
	require.NoError(t, w.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers WHERE archived_at IS NULL AND id = ANY($1::uuid[])", "{"+three[0].String()+","+three[1].String()+","+three[2].String()+"}").Scan(&left))
	require.Equal(t, 1, left)
	for _, id := range five {
		w.admin.Do(http.MethodGet, "/v1/customers/"+id.String(), nil).Want(http.StatusOK)
	}
	require.Empty(t, w.merges("?customer_id="+five[0].String()))

	// Whoever undoes it has decided: the pair is alike as before and stays two.
	w.admin.Do(http.MethodPost, "/v1/customer-merges/"+first[0].Id.String()+"/undo", nil).Want(http.StatusOK)
	result = w.search()
	require.EqualValues(t, 0, result["merged"])
	require.Equal(t, client.MergeUndone, w.merges("?customer_id=" + same[0].String())[0].Status)
	require.Len(t, w.merges("?customer_id="+same[0].String()), 1)
	again := pairs(w.admin, "?limit=200&min_score=0.9")
	found := false
	for _, p := range again.Items {
		found = found || p.Left.Id == same[0] && p.Right.Id == same[1]
	}
	require.True(t, found, "a person may still decide about them")

	// Somebody new is compared at once, and merged.
	fresh := w.people(2, "夏侯子涵", "2001-02-03", "西藏中路11号6栋7室")
	require.Eventually(t, func() bool { return len(w.merges("?customer_id="+fresh[0].String())) == 1 }, 20*time.Second, 50*time.Millisecond)
	// Switched off, nobody is.
	w.set(body{"enabled": false, "threshold": threshold, "survivor": "oldest", "may_differ": []string{"external_id"}})
	off := w.people(2, "慕容思远", "2002-03-04", "北京西路12号8栋9室")
	require.Eventually(t, func() bool {
		var of client.CustomerDuplicateList
		w.admin.Do(http.MethodGet, "/v1/customers/"+off[0].String()+"/duplicates", nil).Want(http.StatusOK).JSON(&of)
		return len(of.Items) == 1
	}, 20*time.Second, 50*time.Millisecond)
	require.Nil(t, w.search())
	require.Empty(t, w.merges("?customer_id="+off[0].String()))
	w.admin.Do(http.MethodGet, "/v1/customers/"+off[1].String(), nil).Want(http.StatusOK)
}

func TestWhoGoesOnByItself(t *testing.T) {
	for strategy, want := range map[string]int{"oldest": 0, "latest_changed": 0, "most_complete": 1} {
		t.Run(strategy, func(t *testing.T) {
			w := newAutoMergeWorld(t)
			ids := w.people(2, "欧阳明珠", "1990-05-17", "南京东路100号3栋201室", body{}, body{"email": "o@example.com", "language": "en"})
			w.admin.Do(http.MethodPatch, "/v1/customers/"+ids[0].String(), body{"source": "pos"}).Want(http.StatusOK)
			w.set(body{"enabled": true, "threshold": 0.95, "survivor": strategy, "may_differ": []string{"external_id"}})
			w.search() // or the comparison of the new ones, which may come after the switch
			require.Eventually(t, func() bool { return len(w.merges("")) == 1 }, 20*time.Second, 50*time.Millisecond)
			require.Equal(t, ids[want], w.merges("")[0].SurvivorId)
		})
	}
}

// A merge whose result breaks a rule of severity error is refused, by people and
// by itself; what the survivor breaks already and what only warns is named.
func TestMergesUnderValidationRules(t *testing.T) {
	w := newAutoMergeWorld(t)
	ids := w.people(2, "欧阳明珠", "1990-05-17", "南京东路100号3栋201室", body{"tags": []string{"甲"}}, body{"tags": []string{"乙"}})
	activate(w.App, rule(w.App, "not_both", "error", `!("甲" in tags && "乙" in tags)`, "/tags"))
	activate(w.App, rule(w.App, "one_tag", "warning", `size(tags) < 2`, "/tags"))

	preview := func(more body) (p client.MergePreview) {
		b := body{"survivor_id": ids[0], "merged_id": ids[1]}
		for k, v := range more {
			b[k] = v
		}
		w.admin.Do(http.MethodPost, "/v1/customer-merges/preview", b, "Accept-Language", "zh-CN").Want(http.StatusOK).JSON(&p)
		return p
	}
	p := preview(nil)
	require.Len(t, p.Blockers, 1)
	require.Equal(t, []string{"validation_rules.broken", "违反：not_both"}, []string{p.Blockers[0].Code, p.Blockers[0].Detail})
	require.Len(t, p.Warnings, 1)
	require.Equal(t, "one_tag", p.Warnings[0].Rule)
	refused := w.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": ids[0], "merged_id": ids[1]})
	refused.WantProblem(http.StatusUnprocessableEntity, "validation_rules.broken", "/field_choices/tags")
	require.Contains(t, string(refused.Body), `"rule":"not_both"`)
	w.set(body{"enabled": true, "threshold": 0.95, "survivor": "oldest", "may_differ": []string{"external_id"}})
	require.Equal(t, map[string]any{"validation_rules.broken": 1.0}, w.search()["blocked"])

	// Another choice mends it.
	choice := body{"field_choices": body{"tags": "survivor"}}
	p = preview(choice)
	require.Empty(t, p.Blockers)
	require.Empty(t, p.Warnings)
	// What the survivor breaks as it is hinders no merge.
	old := rule(w.App, "adult", "error", `age < 18`, "/birth_date")
	activate(w.App, old)
	p = preview(choice)
	require.Empty(t, p.Blockers)
	require.Len(t, p.Warnings, 1)
	require.Equal(t, []string{"adult", "违反：adult"}, []string{p.Warnings[0].Rule, p.Warnings[0].Detail.Zh})
	var m client.CustomerMerge
	w.admin.Do(http.MethodPost, "/v1/customer-merges", body{"survivor_id": ids[0], "merged_id": ids[1], "field_choices": body{"tags": "survivor"}}).Want(http.StatusCreated).JSON(&m)
	require.False(t, m.Automatic)
	// Undoing is never refused: it gives back what was, rules or not.
	activate(w.App, rule(w.App, "nobody", "error", `gender == "male"`, "/gender"))
	w.admin.Do(http.MethodPost, "/v1/customer-merges/"+m.Id.String()+"/undo", nil).Want(http.StatusOK)
	var back client.Customer
	w.admin.Do(http.MethodGet, "/v1/customers/"+ids[1].String(), nil).Want(http.StatusOK).JSON(&back)
	require.Equal(t, []string{"乙"}, back.Tags)
}
