package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func countStores(t *testing.T, app *testkit.App) (n int) {
	t.Helper()
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM stores").Scan(&n))
	return n
}

func TestReplay(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	body := `{"code":"SH01","name":"上海一店"}`
	first := admin.Do("POST", "/v1/stores", body, "Idempotency-Key", "k-1").Want(201)
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	require.NotEmpty(t, first.Header.Get("Location"))

	again := admin.Do("POST", "/v1/stores", body, "Idempotency-Key", `"k-1"`).Want(201)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.Equal(t, string(first.Body), string(again.Body))
	for _, name := range []string{"Location", "Etag", "Content-Type"} {
		require.Equal(t, first.Header.Get(name), again.Header.Get(name), name)
	}
	require.NotEqual(t, first.Header.Get("X-Request-Id"), again.Header.Get("X-Request-Id"))
	require.Equal(t, 1, countStores(t, app))

	admin.Do("POST", "/v1/stores", `{"code":"SH02","name":"上海二店"}`, "Idempotency-Key", "k-1").
		WantProblem(422, "idempotency.key_reused", "Idempotency-Key:")
	admin.Do("POST", "/v1/regions", `{"code":"E","name":"华东"}`, "Idempotency-Key", "k-1").WantProblem(422, "idempotency.key_reused")

	// A key belongs to its principal.
	other := app.Client("administrator", testkit.All())
	other.Do("POST", "/v1/stores", `{"code":"SH03","name":"上海三店"}`, "Idempotency-Key", "k-1").Want(201)
	require.Equal(t, 2, countStores(t, app))
}

func TestFailureLeavesTheKeyFree(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	admin.Do("POST", "/v1/stores", `{"code":"SH01","name":"一"}`).Want(201)
	clash := `{"code":"SH01","name":"二"}`
	admin.Do("POST", "/v1/stores", clash, "Idempotency-Key", "k").WantProblem(409, "stores.code_taken")
	admin.Do("POST", "/v1/stores", clash, "Idempotency-Key", "k").WantProblem(409, "stores.code_taken")
	var entries int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'stores.create'").Scan(&entries))
	require.Equal(t, 1, entries, "what failed left a trace")
	// Corrected, it goes through under the same key.
	admin.Do("POST", "/v1/stores", `{"code":"SH02","name":"二"}`, "Idempotency-Key", "k").Want(201)
	admin.Do("POST", "/v1/stores", `{"code":"SH02","name":"二"}`, "Idempotency-Key", "k").Want(201)
	require.Equal(t, 2, countStores(t, app))
}

func TestKeyFormAndNeed(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	body := `{"code":"SH01","name":"一"}`
	for _, key := range []string{"a b", `""`, strings.Repeat("x", 300), "键"} {
		got := admin.Do("POST", "/v1/stores", body, "Idempotency-Key", key)
		require.GreaterOrEqual(t, got.Status, 400, "%q", key)
		require.Less(t, got.Status, 500, "%q", key)
	}
	require.Zero(t, countStores(t, app))
}

func TestKeysExpireAndAreCleaned(t *testing.T) {
	app := testkit.New(t, testkit.At(time.Date(2026, 7, 1, 2, 0, 0, 0, time.UTC)))
	admin := app.Admin()
	admin.Do("POST", "/v1/regions", `{"code":"E","name":"华东"}`, "Idempotency-Key", "k").Want(201)
	app.Advance(25 * time.Hour)
	admin = app.SignIn(testkit.AdminUsername, testkit.AdminPassword)
	// The key is free again, and its old row is taken over.
	got := admin.Do("POST", "/v1/regions", `{"code":"S","name":"华南"}`, "Idempotency-Key", "k").Want(201)
	require.Empty(t, got.Header.Get("Idempotency-Replayed"))
	got = admin.Do("POST", "/v1/regions", `{"code":"S","name":"华南"}`, "Idempotency-Key", "k").Want(201)
	require.Equal(t, "true", got.Header.Get("Idempotency-Replayed"))
}

// The stored answer may hold personal data: nobody reads it in the database.
func TestStoredAnswersAreSealed(t *testing.T) {
	app := testkit.New(t)
	app.Admin().Do("POST", "/v1/stores", `{"code":"SH01","name":"CANARY-NAME"}`, "Idempotency-Key", "k").Want(201)
	var raw []byte
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT response FROM idempotency_keys").Scan(&raw))
	require.NotContains(t, string(raw), "CANARY")
	require.NotContains(t, string(raw), "application/json")
}

func TestFiftyTwins(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	const twins = 50
	statuses := make([]*testkit.Response, twins)
	var wg sync.WaitGroup
	for i := range twins {
		wg.Go(func() {
			statuses[i] = admin.Do("POST", "/v1/stores", `{"code":"SH01","name":"一"}`, "Idempotency-Key", "twins")
		})
	}
	wg.Wait()
	var created string
	for _, got := range statuses {
		switch got.Status {
		case 201:
			if created == "" {
				created = string(got.Body)
			}
			require.Equal(t, created, string(got.Body))
		case 409:
			got.WantProblem(409, "idempotency.in_progress")
			require.Equal(t, "1", got.Header.Get("Retry-After"))
		default:
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
	}
	require.NotEmpty(t, created)
	require.Equal(t, 1, countStores(t, app))
	var audited int
	require.NoError(t, app.DB.QueryRow(t.Context(), "SELECT count(*) FROM audit_logs WHERE action = 'stores.create'").Scan(&audited))
	require.Equal(t, 1, audited)
}

// A process is killed after the commit and before a byte of the answer. Asking
// another process again gets the answer that was lost.
func TestCrashBetweenEffectAndAnswer(t *testing.T) {
	app := testkit.New(t)
	admin := app.Admin()
	ring := filepath.Join(t.TempDir(), "keyring.json")
	require.NoError(t, app.Keys.Save(ring))

	child := exec.Command(os.Args[0], "-test.run=^TestCrashingChild$", "-test.v")
	child.Env = append(os.Environ(), crashVariable+"="+ring, "CRASH_DATABASE="+app.Database.AppURL, "CRASH_REDIS="+app.RedisURL())
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	address := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			address = rest
			break
		}
	}
	require.NotEmpty(t, address, "the child did not start")

	body := `{"code":"SH01","name":"一"}`
	req, err := http.NewRequest("POST", "http://"+address+"/v1/stores", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+admin.Token)
	req.Header.Set("Idempotency-Key", "crash")
	_, err = http.DefaultTransport.RoundTrip(req)
	require.Error(t, err, "the child should have died before it answered")
	_ = child.Wait() // killed
	require.Equal(t, syscall.SIGKILL, child.ProcessState.Sys().(syscall.WaitStatus).Signal())
	require.Equal(t, 1, countStores(t, app), "the effect was committed")

	got := admin.Do("POST", "/v1/stores", body, "Idempotency-Key", "crash").Want(201)
	require.Equal(t, "true", got.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "SH01", got.Map()["code"])
	require.Equal(t, 1, countStores(t, app))
}

const crashVariable = "SHUKE_TEST_CRASH"

// TestCrashingChild is the process that dies.
func TestCrashingChild(t *testing.T) {
	ring := os.Getenv(crashVariable)
	if ring == "" {
		t.Skip("only as a child of TestCrashBetweenEffectAndAnswer")
	}
	ctx := context.Background()
	pool, err := db.Open(ctx, db.Options{URL: os.Getenv("CRASH_DATABASE"), PoolSize: 4})
	require.NoError(t, err)
	keys, err := crypto.Load(ring)
	require.NoError(t, err)
	redis, err := cache.New(ctx, os.Getenv("CRASH_REDIS"))
	require.NoError(t, err)
	log, err := telemetry.NewLogger(os.Stderr, "text", nil)
	require.NoError(t, err)
	s, err := server.New(server.Config{Currency: "CNY"}, server.Deps{
		DB: pool, Cache: redis, Keys: keys, Clock: clock.New(time.UTC), Log: log, Metrics: telemetry.NewMetrics(),
	})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	fmt.Println("listening on " + listener.Addr().String())
	_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Handler().ServeHTTP(deadly{w}, r)
	}))
}

// deadly kills the process at the first byte of an answer.
type deadly struct{ http.ResponseWriter }

func (deadly) WriteHeader(int)           { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
func (deadly) Write([]byte) (int, error) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }
