package operations_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// start adds a job of a kind as somebody.
func start(t *testing.T, app *testkit.App, who *testkit.Client, kind string) string {
	t.Helper()
	actor, err := app.Server.Identity.Authenticate(t.Context(), who.Token)
	require.NoError(t, err)
	var id string
	err = app.DB.InTx(auth.With(t.Context(), actor), func(ctx context.Context, tx *db.Tx) error {
		j, err := app.Server.Jobs.StartVisible(ctx, tx, kind, struct{}{})
		if err == nil {
			id = j.ID.String()
		}
		return err
	})
	require.NoError(t, err)
	return id
}

type jobView struct {
	ID, Status      string
	CancelRequested bool `json:"cancel_requested"`
	Version         int64
	Progress        struct{ Done, Total int64 }
	Result          map[string]any
}

func TestJobsBelongToWhoAsked(t *testing.T) {
	app := testkit.New(t)
	marketer, other := app.Client("marketer", testkit.All()), app.Client("marketer", testkit.All())
	auditor, admin := app.Client("auditor", testkit.All()), app.Admin()
	id := start(t, app, marketer, "rfm.refresh")

	var page struct {
		Items []jobView
	}
	list := func(c *testkit.Client, query string) []jobView {
		page.Items = nil
		c.Do("GET", "/v1/jobs"+query, nil).Want(200).JSON(&page)
		return page.Items
	}
	require.Len(t, list(marketer, ""), 1)
	require.Empty(t, list(other, ""))
	require.Len(t, list(auditor, "?kind=rfm.refresh&status=queued&include=total_count"), 1)
	require.Empty(t, list(auditor, "?status=failed"))

	other.Do("GET", "/v1/jobs/"+id, nil).WantProblem(404, "jobs.not_found")
	other.Do("GET", "/v1/jobs/"+id+"/events", nil).WantProblem(404, "jobs.not_found")
	other.Do("POST", "/v1/jobs/"+id+"/cancel", nil).WantProblem(404, "jobs.not_found")
	auditor.Do("POST", "/v1/jobs/"+id+"/cancel", nil).WantProblem(403, "auth.forbidden")
	require.Equal(t, "queued", marketer.Do("GET", "/v1/jobs/"+id, nil).Want(200).Map()["status"])

	first := marketer.Do("GET", "/v1/jobs/"+id, nil)
	require.Equal(t, http.StatusNotModified, marketer.Do("GET", "/v1/jobs/"+id, nil, "If-None-Match", first.Header.Get("Etag")).Status)
	require.Equal(t, "cancelled", marketer.Do("POST", "/v1/jobs/"+id+"/cancel", nil, "Idempotency-Key", "c").Want(200).Map()["status"])
	// Cancelling what is cancelled changes nothing, for anybody who may.
	require.Equal(t, "cancelled", admin.Do("POST", "/v1/jobs/"+id+"/cancel", nil).Want(200).Map()["status"])
	marketer.Do("GET", "/v1/jobs/"+id, nil, "If-None-Match", first.Header.Get("Etag")).Want(200)

	var entries int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'jobs.cancel' AND object_id = $1", id).Scan(&entries))
	require.Equal(t, 1, entries)
}

func TestJobsPageByPage(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	made := map[string]bool{}
	for range 5 {
		made[start(t, app, admin, "rfm.refresh")] = true
	}
	path := "/v1/jobs?limit=2"
	for pages := 0; ; pages++ {
		require.Less(t, pages, 4)
		got := admin.Do("GET", path, nil).Want(200)
		var page struct {
			Items      []jobView
			NextCursor *string `json:"next_cursor"`
			HasMore    bool    `json:"has_more"`
		}
		got.JSON(&page)
		for _, j := range page.Items {
			require.True(t, made[j.ID], "shown twice or never made")
			delete(made, j.ID)
		}
		require.Equal(t, page.HasMore, page.NextCursor != nil)
		if !page.HasMore {
			require.Empty(t, got.Header.Get("Link"))
			break
		}
		path = strings.TrimPrefix(strings.SplitN(got.Header.Get("Link"), ">", 2)[0], "<")
		// A cursor belongs to its list.
		admin.Do("GET", "/v1/audit-logs?cursor="+*page.NextCursor, nil).WantProblem(400, "request.bad_cursor", "?cursor")
		admin.Do("GET", "/v1/jobs?status=failed&cursor="+*page.NextCursor, nil).WantProblem(400, "request.bad_cursor", "?cursor")
	}
	require.Empty(t, made)
}

// event is one server-sent event.
type event struct {
	id, name string
	job      jobView
}

// follow reads a stream to its end.
func follow(t *testing.T, app *testkit.App, path string, headers ...string) []event {
	t.Helper()
	req, err := http.NewRequest("GET", app.URL+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	var out []event
	var now event
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			now.id = value
		case "event":
			now.name = value
		case "data":
			require.NoError(t, json.Unmarshal([]byte(value), &now.job))
		case "":
			if now.id != "" {
				out = append(out, now)
			}
			now = event{}
		}
	}
	return out
}

func TestFollowAJobToItsEnd(t *testing.T) {
	app := testkit.New(t, testkit.WithWorker())
	admin := app.Admin()
	var id string
	admin.Do("POST", "/v1/rfm/refresh", nil).Want(202)
	var page struct{ Items []jobView }
	admin.Do("GET", "/v1/jobs?kind=rfm.refresh", nil).Want(200).JSON(&page)
	id = page.Items[0].ID

	events := follow(t, app, "/v1/jobs/"+id+"/events", "Authorization", "Bearer "+admin.Token)
	require.NotEmpty(t, events)
	last := events[len(events)-1]
	require.Equal(t, "job", last.name)
	require.Equal(t, "succeeded", last.job.Status)
	require.NotNil(t, last.job.Result)
	// Who has seen the end is told nothing more.
	require.Empty(t, follow(t, app, "/v1/jobs/"+id+"/events", "Authorization", "Bearer "+admin.Token, "Last-Event-ID", last.id))
	admin.Do("POST", "/v1/jobs/"+id+"/cancel", nil).WantProblem(409, "jobs.finished")

	// A browser comes with a ticket, good once and for this stream only.
	var ticket struct{ Ticket string }
	admin.Do("POST", "/v1/stream-tickets", map[string]string{"path": "/v1/jobs/" + id + "/events"}).Want(200).JSON(&ticket)
	require.NotEmpty(t, follow(t, app, "/v1/jobs/"+id+"/events?ticket="+ticket.Ticket))
	app.Do("GET", "/v1/jobs/"+id+"/events?ticket="+ticket.Ticket, nil).WantProblem(401, "auth.ticket_invalid")
}

func TestCancelARunningJob(t *testing.T) {
	app := testkit.New(t) // the queue starts below, once its kinds are known
	running := make(chan struct{})
	jobs.RegisterVisible(app.Server.Jobs, "test.slow", func(ctx context.Context, _ struct{}, p *jobs.Progress) (any, error) {
		close(running)
		for n := int64(0); !p.Cancelled(); n++ {
			p.Set(n, 0)
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
		return map[string]int{"kept": 1}, jobs.ErrCancelled
	})
	admin := app.Admin()
	id := start(t, app, admin, "test.slow")
	require.NoError(t, app.Server.Jobs.Start(t.Context()))
	t.Cleanup(func() { _ = app.Server.Jobs.Stop(context.Background()) })
	<-running
	got := admin.Do("POST", "/v1/jobs/"+id+"/cancel", nil).Want(200).Map()
	require.Equal(t, true, got["cancel_requested"])
	events := follow(t, app, "/v1/jobs/"+id+"/events", "Authorization", "Bearer "+admin.Token)
	require.Equal(t, "cancelled", events[len(events)-1].job.Status)
}

func TestAuditLog(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	store, other := app.Store(), app.Store()
	var page struct {
		Items []struct {
			ID, Action string
			ActorName  string `json:"actor_name"`
			ObjectID   string `json:"object_id"`
			RequestID  string `json:"request_id"`
			Details    map[string]any
			ObjectType string `json:"object_type"`
		}
		TotalCount *int64 `json:"total_count"`
	}
	read := func(c *testkit.Client, query string) {
		page.Items, page.TotalCount = nil, nil
		c.Do("GET", "/v1/audit-logs"+query, nil).Want(200).JSON(&page)
	}
	read(admin, "?action=stores.create&include=total_count")
	require.Len(t, page.Items, 2)
	require.EqualValues(t, 2, *page.TotalCount)
	require.Equal(t, other.Id.String(), page.Items[0].ObjectID, "newest first")
	require.Equal(t, "admin", page.Items[0].ActorName)
	require.NotEmpty(t, page.Items[0].RequestID)
	read(admin, "?object_type=store&object_id="+store.Id.String())
	require.Len(t, page.Items, 1)
	read(admin, "?created_after=2999-01-01T00:00:00Z")
	require.Empty(t, page.Items)

	auditor, manager := app.Client("auditor", testkit.All()), app.Client("store_manager", testkit.InStore(store.Id))
	read(auditor, "?limit=1")
	require.Len(t, page.Items, 1)
	manager.Do("GET", "/v1/audit-logs", nil).WantProblem(403, "auth.forbidden")
	// An auditor of one store sees what concerns that store.
	local := app.Client("auditor", testkit.InStore(store.Id))
	read(local, "?action=stores.create")
	for _, entry := range page.Items {
		require.Equal(t, store.Id.String(), entry.ObjectID)
	}
}

func TestVerifyAuditLog(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	app.Store()
	_, err := app.Server.Sealer.Seal(t.Context())
	require.NoError(t, err)
	var got struct {
		Valid         bool
		Checked       int64   `json:"entries_checked"`
		SealedThrough *string `json:"sealed_through"`
		FirstBad      *string `json:"first_bad_entry"`
	}
	admin.Do("GET", "/v1/audit-logs/verify", nil).Want(200).JSON(&got)
	require.True(t, got.Valid)
	require.Positive(t, got.Checked)
	require.NotNil(t, got.SealedThrough)

	// Only the superuser can do this, and it is found out.
	admins := app.Database.Admin(t)
	var id string
	require.NoError(t, admins.QueryRow("SELECT id FROM audit_logs WHERE action = 'stores.create'").Scan(&id))
	_, err = admins.Exec("ALTER TABLE audit_logs DISABLE TRIGGER ALL; UPDATE audit_logs SET actor_name = 'somebody else' WHERE action = 'stores.create'")
	require.NoError(t, err)
	admin.Do("GET", "/v1/audit-logs/verify", nil).Want(200).JSON(&got)
	require.False(t, got.Valid)
	require.Equal(t, id, *got.FirstBad)
}
