package server_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

// A stopping process first says that it is not ready, lets a request under way
// finish, ends streams, and accepts nothing new.
func TestGracefulShutdown(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	// A second server on the same services, so that the test can stop it itself.
	second := testkit.New(t, testkit.Beside(app))
	_, job := startJob(t, second, "test.waits", func(ctx context.Context, _ *jobs.Progress) error { <-ctx.Done(); return nil })

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- second.Server.Run(ctx, server.Run{Listener: listener, Drain: 700 * time.Millisecond, Ready: func() { close(ready) }})
	}()
	<-ready
	client := &http.Client{Timeout: 10 * time.Second}
	get := func(path string) int {
		res, err := client.Get(url + path)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	require.Equal(t, 200, get("/readyz"))

	// A stream that would go on for ever.
	req, err := http.NewRequest("GET", url+"/v1/jobs/"+job+"/events", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+admin.Token)
	stream, err := (&http.Client{}).Do(req)
	require.NoError(t, err)
	defer stream.Body.Close()
	require.Equal(t, 200, stream.StatusCode)
	lines := bufio.NewScanner(stream.Body)
	require.True(t, lines.Scan())

	// A request under way: its body arrives only after the stop has begun.
	body, finish := io.Pipe()
	slow := make(chan int, 1)
	go func() {
		req, err := http.NewRequest("POST", url+"/v1/stores", body)
		if err != nil {
			slow <- 0
			return
		}
		req.Header.Set("Authorization", "Bearer "+admin.Token)
		req.Header.Set("Content-Type", "application/json")
		res, err := (&http.Client{}).Do(req)
		if err != nil {
			slow <- 0
			return
		}
		_ = res.Body.Close()
		slow <- res.StatusCode
	}()
	_, err = io.WriteString(finish, `{"code":"SLOW",`)
	require.NoError(t, err)
	time.Sleep(200 * time.Millisecond) // until the server has the head of it

	stop()
	time.Sleep(150 * time.Millisecond)
	require.Equal(t, 503, get("/readyz"), "unready while it still answers")
	require.Equal(t, 200, get("/healthz"))
	time.Sleep(900 * time.Millisecond)
	require.Zero(t, get("/healthz"), "no new connections")
	_, err = io.WriteString(finish, `"name":"慢"}`)
	require.NoError(t, err)
	require.NoError(t, finish.Close())
	require.Equal(t, 201, <-slow, "the request under way was cut off")
	for lines.Scan() { // until the stream ends
	}
	require.NoError(t, <-ended)
}

// startJob registers a kind of visible job on an application without a worker
// and adds a job of it as the administrator.
func startJob(t *testing.T, app *testkit.App, kind string, work func(context.Context, *jobs.Progress) error) (*testkit.Client, string) {
	t.Helper()
	jobs.RegisterVisible(app.Server.Jobs, kind, func(ctx context.Context, _ struct{}, p *jobs.Progress) (any, error) {
		return nil, work(ctx, p)
	})
	admin := app.Admin()
	actor, err := app.Server.Identity.Authenticate(t.Context(), admin.Token)
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
	return admin, id
}

func TestPanicIsAnswered(t *testing.T) {
	var log safeBuffer
	app := testkit.New(t, testkit.WithLog(&log))
	// A canceled pool makes every query fail in a way that no code expects.
	require.NoError(t, app.DB.SQL.Close())
	p := app.Do("GET", "/readyz", nil).WantProblem(503, "not_ready")
	require.NotContains(t, strings.ToLower(p.Detail), "sql")
	app.Do("POST", "/v1/auth/login", map[string]string{"username": "admin", "password": testkit.AdminPassword}).WantProblem(500, "internal")
	require.Contains(t, log.String(), "database is closed")
}
