package imports_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/testkit"
)

type reviewView struct {
	Row     int64
	Status  string
	Matches []struct {
		Field    string
		Customer *struct {
			ID         string
			ExternalID *string `json:"external_id"`
		}
	}
	Cells []struct {
		Column       int
		Field, Value string
	}
	CustomerID *string  `json:"customer_id"`
	LeftOff    []string `json:"left_off"`
	DecidedBy  *string  `json:"decided_by"`
}

func reviewsOf(who *testkit.Client, id, query string) map[int64]reviewView {
	var found struct {
		Items      []reviewView
		TotalCount int64 `json:"total_count"`
	}
	who.Do("GET", "/v1/imports/"+id+"/reviews?include=total_count&"+query, nil).Want(200).JSON(&found)
	out := map[int64]reviewView{}
	for _, r := range found.Items {
		out[r.Row] = r
	}
	if int(found.TotalCount) != len(found.Items) {
		out[0] = reviewView{}
	}
	return out
}

// Under review nobody is left alone or changed unseen: whoever has an identifier
// of somebody waits for a person, and whoever is likely there already comes in
// and into the queue of duplicates.
func TestImportForReview(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	old := app.Customer(map[string]any{"external_id": "V-1", "name": "欧阳明珠", "phone": "13900000001", "email": "ming@example.com", "birth_date": "1990-05-01", "tags": []string{"甲"},
		"address": map[string]any{"city": "上海市", "line1": "南京东路 100 号 5 楼"}})
	other := app.Customer(map[string]any{"external_id": "V-2", "name": "王芳", "phone": "13900000002"})
	file := "外部编号,姓名,手机,生日,标签,城市,地址\n" +
		"V-1,新名,,,乙,,\n" + // 2: the id of the one
		"V-9,陌生,13900000001,,,,\n" + // 3: the phone of the one
		"V-2,两人,13900000001,,,,\n" + // 4: of both
		"V-7,欧阳明珠,13900000077,1990-05-01,,上海市,南京东路100号5楼\n" + // 5: the one again, with another phone
		"V-8,新人,13900000008,,,,\n" + // 6: somebody new
		"V-8,新人的另一行,13900000088,,,,\n" + // 7: the row before
		",坏行,12,,,,\n"
	tried := ended(t, admin, started(upload(t, admin, []byte(file), "duplicates", "review", "dry_run", "true")).ID)
	require.Equal(t, counts{Created: 2, Held: 4, Failed: 1}, tried.Counts)
	require.Empty(t, reviewsOf(admin, tried.ID, ""))
	admin.Do("POST", "/v1/imports/"+tried.ID+"/start", nil).Want(202)
	done := ended(t, admin, tried.ID)
	require.Equal(t, "succeeded", done.Status)
	require.Equal(t, counts{Created: 2, Held: 4, Failed: 1, Likely: 1}, done.Counts)
	require.EqualValues(t, 4, done.OpenReviews)
	require.EqualValues(t, 7, *done.TotalRows)
	var queue struct {
		Items []struct {
			Left, Right struct {
				ExternalID string `json:"external_id"`
			}
		}
	}
	admin.Do("GET", "/v1/customer-duplicates", nil).Want(200).JSON(&queue)
	require.Len(t, queue.Items, 1)
	require.ElementsMatch(t, []string{"V-1", "V-7"}, []string{queue.Items[0].Left.ExternalID, queue.Items[0].Right.ExternalID})
	view := admin.Do("GET", "/v1/customers/"+old.Id.String(), nil).Want(200).Map()
	require.Equal(t, []any{"甲"}, view["tags"], "nothing has changed yet")

	held := reviewsOf(admin, tried.ID, "status=open")
	require.Len(t, held, 4)
	require.Equal(t, "external_id", held[2].Matches[0].Field)
	require.Equal(t, old.Id.String(), held[2].Matches[0].Customer.ID)
	require.Equal(t, "phone", held[3].Matches[0].Field)
	require.Len(t, held[4].Matches, 2)
	require.Equal(t, "V-8", *held[7].Matches[0].Customer.ExternalID)
	shown := fmt.Sprint(held)
	for _, secret := range []string{"13900000001", "新名", "陌生"} {
		require.NotContains(t, shown, secret)
	}
	require.Equal(t, "139****0001", held[3].Cells[2].Value)
	require.Len(t, reviewsOf(admin, tried.ID, "limit=2&status=open"), 3, "two, and the mark that there are more")

	decide := func(row int, body map[string]any) *testkit.Response {
		return admin.Do("POST", fmt.Sprintf("/v1/imports/%s/reviews/%d/decide", tried.ID, row), body)
	}
	var got reviewView
	decide(2, map[string]any{"decision": "update"}).Want(200).JSON(&got)
	require.Equal(t, []any{"updated", old.Id.String(), 0}, []any{got.Status, *got.CustomerID, len(got.LeftOff)})
	decide(2, map[string]any{"decision": "skip"}).WantProblem(409, "imports.review_decided")
	decide(6, map[string]any{"decision": "skip"}).WantProblem(404, "imports.review_not_found")
	got = reviewView{}
	decide(3, map[string]any{"decision": "create"}).Want(200).JSON(&got)
	require.Equal(t, []string{"phone"}, got.LeftOff)
	made := admin.Do("GET", "/v1/customers/"+*got.CustomerID, nil).Want(200).Map()
	require.Equal(t, []any{"V-9", nil, "import"}, []any{made["external_id"], made["phone"], made["source"]})
	decide(4, map[string]any{"decision": "update"}).WantProblem(409, "customers.several_match")
	decide(4, map[string]any{"decision": "update", "customer_id": *got.CustomerID}).WantProblem(422, "customers.match_unknown", "/customer_id")
	got = reviewView{}
	decide(4, map[string]any{"decision": "update", "customer_id": other.Id}).Want(200).JSON(&got)
	require.Equal(t, []any{other.Id.String(), "phone"}, []any{*got.CustomerID, got.LeftOff[0]})
	decide(7, map[string]any{"decision": "skip"}).Want(200)
	clear := admin.Do("POST", "/v1/customers/"+old.Id.String()+"/reveal", map[string]any{"fields": []string{"name", "phone", "address"}, "reason": "check"}).Want(200).Map()
	require.Equal(t, []any{"新名", "+8613900000001", map[string]any{"city": "上海市", "line1": "南京东路 100 号 5 楼"}}, []any{clear["name"], clear["phone"], clear["address"]})
	view = admin.Do("GET", "/v1/customers/"+old.Id.String(), nil).Want(200).Map()
	require.ElementsMatch(t, []any{"甲", "乙"}, view["tags"])
	require.EqualValues(t, 0, ended(t, admin, tried.ID).OpenReviews)
	require.Empty(t, reviewsOf(admin, tried.ID, "status=open"))
	var audited int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'imports.review_decide' AND object_id = $1", tried.ID).Scan(&audited))
	require.Equal(t, 4, audited)
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'customers.update' AND object_id = $1 AND changes->>'import_id' = $2", old.Id, tried.ID).Scan(&audited))
	require.Equal(t, 1, audited)

	// Decided, the file goes after seven days; with open rows it stays a month.
	age := func(days int) {
		_, err := app.DB.Exec(t.Context(), "UPDATE imports SET updated_at = now() - make_interval(days => $1), open_reviews = 1", days)
		require.NoError(t, err)
		require.NoError(t, app.Server.Imports.Clean(system(t)))
	}
	age(8)
	require.Len(t, reviewsOf(admin, tried.ID, ""), 4)
	age(31)
	require.Empty(t, reviewsOf(admin, tried.ID, ""))
}

// A held row is somebody's for whom its uploader may lack the reach: they see
// that it is taken, not by whom, and cannot change them. Two people's decisions
// about one row are one.
func TestReviewsWithinReach(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	there := app.Store()
	app.Customer(map[string]any{"external_id": "W-1", "home_store_id": there.Id})
	assistant := app.Client("assistant", testkit.Own())
	done := ended(t, assistant, started(upload(t, assistant, []byte("external_id,name,phone\nW-1,别人的,13900000005\n"), "duplicates", "review")).ID)
	require.Equal(t, counts{Held: 1}, done.Counts)
	held := reviewsOf(assistant, done.ID, "")
	require.Nil(t, held[2].Matches[0].Customer)
	path := "/v1/imports/" + done.ID + "/reviews/2/decide"
	app.Admin().Do("POST", path, map[string]any{"decision": "skip"}).WantProblem(404, "imports.not_found")
	assistant.Do("POST", path, map[string]any{"decision": "update"}).WantProblem(409, "customers.duplicate")
	answers := make([]int, 4)
	var all sync.WaitGroup
	for n := range answers {
		all.Go(func() { answers[n] = assistant.Do("POST", path, map[string]any{"decision": "create"}).Status })
	}
	all.Wait()
	require.ElementsMatch(t, []int{200, 409, 409, 409}, answers)
	var made int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM customers WHERE external_id IS NULL AND phone_index IS NOT NULL").Scan(&made))
	require.Equal(t, 1, made)

	// Whoever had the identifier has let go of it.
	again := ended(t, assistant, started(upload(t, assistant, []byte("external_id,name\nW-1,又来\n"), "duplicates", "review")).ID)
	_, err := app.DB.Exec(t.Context(), "UPDATE customers SET external_id = NULL WHERE external_id = 'W-1'")
	require.NoError(t, err)
	assistant.Do("POST", "/v1/imports/"+again.ID+"/reviews/2/decide", map[string]any{"decision": "update"}).WantProblem(409, "customers.match_gone")
	key := "once"
	assistant.Do("POST", "/v1/imports/"+again.ID+"/reviews/2/decide", map[string]any{"decision": "create"}, "Idempotency-Key", key).Want(200)
	assistant.Do("POST", "/v1/imports/"+again.ID+"/reviews/2/decide", map[string]any{"decision": "create"}, "Idempotency-Key", key).Want(200)
}

// Cancelled in the middle, a file under review goes on without holding a row twice.
func TestReviewCancelledInTheMiddle(t *testing.T) {
	const rows = 4_000
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	var first, second strings.Builder
	first.WriteString("external_id\n")
	second.WriteString("external_id,name\n")
	for n := range rows {
		if n%4 == 0 {
			fmt.Fprintf(&first, "Z-%d\n", n)
		}
		fmt.Fprintf(&second, "Z-%d,客人%d\n", n, n)
	}
	ended(t, admin, started(upload(t, admin, []byte(first.String()))).ID)
	run := started(upload(t, admin, []byte(second.String()), "duplicates", "review"))
	var view importView
	require.Eventually(t, func() bool {
		admin.Do("GET", "/v1/imports/"+run.ID, nil).Want(200).JSON(&view)
		return view.Counts.Held > 0
	}, 60*time.Second, 5*time.Millisecond)
	admin.Do("POST", "/v1/jobs/"+run.JobID+"/cancel", nil).Want(200)
	half := ended(t, admin, run.ID)
	require.Equal(t, "cancelled", half.Status)
	require.Less(t, half.Counts.Held, int64(rows/4))
	admin.Do("POST", "/v1/imports/"+run.ID+"/start", nil).Want(202)
	done := ended(t, admin, run.ID)
	require.Equal(t, []int64{rows * 3 / 4, rows / 4, rows / 4}, []int64{done.Counts.Created, done.Counts.Held, done.OpenReviews})
	var held int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM import_reviews").Scan(&held))
	require.Equal(t, rows/4, held)
}
