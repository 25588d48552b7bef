package pgtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/embedded"
)

// databasesPerServer is Redis' default.
const databasesPerServer = 16

var (
	redisMu   sync.Mutex
	redisNow  *embedded.Servers
	redisNext = databasesPerServer
	redisDirs atomic.Int64
)

// Redis is the address of an empty Redis database of the test's own. Tests of
// one process share servers; use NewRedis for FLUSHALL or an outage. The server
// ends with the process.
func Redis(t testing.TB) string {
	t.Helper()
	redisMu.Lock()
	defer redisMu.Unlock()
	if redisNext == databasesPerServer {
		removeAbandoned()
		s, err := startRedis(redisFolder())
		if err != nil {
			t.Fatalf("the Redis for tests did not start: %v", err)
		}
		redisNow, redisNext = s, 0
	}
	u := redisNow.RedisURL + "?db=" + strconv.Itoa(redisNext)
	redisNext++
	return u
}

// redisFolder is short, for the socket's path, and reusable after a crash.
func redisFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("shuke-redis-%d-%d-%d", os.Geteuid(), os.Getpid(), redisDirs.Add(1)))
}

// removeAbandoned deletes the folders of test processes that are gone.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("shuke-redis-%d-*", os.Geteuid()))) // the pattern is well formed
	for _, dir := range dirs {
		parts := strings.Split(filepath.Base(dir), "-")
		pid, err := strconv.Atoi(parts[len(parts)-2])
		if err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(dir)
		}
	}
}

func startRedis(dir string) (*embedded.Servers, error) {
	return embedded.Start(context.Background(), embedded.Options{DataDir: dir, Redis: true, Unsafe: true, Logger: slog.New(slog.DiscardHandler)})
}

// RedisServer is a real server of one test, which may kill and start it.
type RedisServer struct {
	URL string

	t       testing.TB
	dir     string
	servers *embedded.Servers
}

// NewRedis starts a server of the test's own.
func NewRedis(t testing.TB) *RedisServer {
	t.Helper()
	r := &RedisServer{t: t, dir: redisFolder()}
	r.Start()
	t.Cleanup(func() {
		r.servers.Stop()
		_ = os.RemoveAll(r.dir)
	})
	return r
}

// Start starts the server again, empty, at the same address.
func (r *RedisServer) Start() {
	r.t.Helper()
	s, err := startRedis(r.dir)
	if err != nil {
		r.t.Fatalf("redis: %v", err)
	}
	r.servers, r.URL = s, s.RedisURL
}

// Kill ends the server with SIGKILL and keeps it down until Start.
func (r *RedisServer) Kill() {
	r.t.Helper()
	pid, err := serverProcess(r.URL)
	if err != nil {
		r.t.Fatalf("redis: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatalf("kill redis: %v", err)
	}
	r.servers.Stop()
}

// Pause stops the process without closing connections: a server that hangs.
func (r *RedisServer) Pause() (resume func()) {
	r.t.Helper()
	pid, err := serverProcess(r.URL)
	if err != nil {
		r.t.Fatalf("redis: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		r.t.Fatal(err)
	}
	return func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
}

func serverProcess(address string) (int, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return 0, err
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	info, err := c.Info(context.Background(), "server").Result()
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(info, "\r\n") {
		if v, ok := strings.CutPrefix(line, "process_id:"); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, fmt.Errorf("no process id in the answer")
}
