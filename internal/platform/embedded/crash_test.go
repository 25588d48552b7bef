package embedded

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// serveUntilKilled is the service in a process of its own.
func serveUntilKilled(dir string) int {
	s, err := Start(context.Background(), Options{DataDir: dir, Postgres: true, Redis: true})
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // a closed standard input asks for a clean end
	s.Stop()
	return 0
}

type service struct {
	cmd   *osexec.Cmd
	input io.WriteCloser
}

// startService runs the service as a child process, optionally as another user.
func startService(t *testing.T, dir string, as *account) *service {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	if as != nil { // the test binary lies in a folder closed to others
		program = copyProgram(t, program)
	}
	cmd := osexec.Command(program, "-test.run=^$")
	cmd.Env = append(os.Environ(), "SHUKE_TEST_SERVE="+dir)
	cmd.Dir = filepath.Dir(program)
	cmd.Stderr = t.Output()
	if as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: as.uid, Gid: as.gid}}
	}
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return &service{cmd, input}
}

func copyProgram(t *testing.T, from string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "shuke-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	raw, err := os.ReadFile(from)
	require.NoError(t, err)
	to := filepath.Join(dir, "service")
	require.NoError(t, os.WriteFile(to, raw, 0o755))
	return to
}

func (s *service) kill9(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGKILL))
	_ = s.cmd.Wait()
}

func write(t *testing.T, dir, query string) {
	t.Helper()
	s, err := Attach(dir)
	require.NoError(t, err)
	db, err := sql.Open("postgres", s.OwnerURL)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	execute(t, db, query)
}

func requireKept(t *testing.T, dir string, want int) {
	t.Helper()
	s := start(t, both(t, dir))
	require.Equal(t, want, one[int](t, open(t, s.OwnerURL), "SELECT count(*) FROM kept"))
	s.Stop()
	require.Empty(t, running(dir))
}

func TestKilledServiceLeavesNoServersAndRestartsWithItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startService(t, dir, nil)
	write(t, dir, "CREATE TABLE kept AS SELECT generate_series(1, 3) AS id")
	s.kill9(t)
	require.Eventually(t, func() bool { return len(running(dir)) == 0 }, 20*time.Second, 20*time.Millisecond)
	requireKept(t, dir, 3)
}

func TestKilledServiceAndKilledServersRecover(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startService(t, dir, nil)
	write(t, dir, "CREATE TABLE kept AS SELECT generate_series(1, 4) AS id")
	left := running(dir)
	for _, pid := range left { // at once, so that no server sees the service die first
		_ = syscall.Kill(pid, syscall.SIGSTOP) // a short-lived helper may have ended
	}
	s.kill9(t)
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	// No waiting: the dead may not have been reaped when the next start looks.
	requireKept(t, dir, 4)
}

func TestServersThatOutliveTheirServiceAreStopped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := startService(t, dir, nil)
	write(t, dir, "CREATE TABLE kept AS SELECT generate_series(1, 5) AS id")
	// A stopped process keeps the death signal pending, as if it had never come.
	left := running(dir)
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGSTOP) // a short-lived helper may have ended
	}
	s.kill9(t)
	require.NotEmpty(t, running(dir))
	go func() {
		time.Sleep(300 * time.Millisecond)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}()
	requireKept(t, dir, 5)
}

func TestStalePidFileOfAnotherProgramIsIgnored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, both(t, dir))
	execute(t, open(t, s.OwnerURL), "CREATE TABLE kept AS SELECT 1 AS id")
	s.Stop()
	// The id now belongs to this test, which is alive and no PostgreSQL.
	stale := filepath.Join(dir, "postgres", "postmaster.pid")
	require.NoError(t, os.WriteFile(stale, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600))
	requireKept(t, dir, 1)
}

func TestServersThatDieAreStartedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, both(t, dir))
	execute(t, open(t, s.OwnerURL), "CREATE TABLE kept AS SELECT generate_series(1, 6) AS id")
	before := map[int]bool{}
	for _, c := range s.children {
		before[c.process.Pid] = true
		require.NoError(t, c.process.Kill())
	}
	require.Eventually(t, func() bool {
		db := open(t, s.OwnerURL)
		defer func() { _ = db.Close() }()
		var count int
		err := db.QueryRow("SELECT count(*) FROM kept").Scan(&count)
		return err == nil && count == 6 && pingRedis(t.Context(), strings.TrimPrefix(s.RedisURL, "unix://")) == nil
	}, 20*time.Second, 50*time.Millisecond)
	select {
	case err := <-s.Err():
		t.Fatal(err)
	default:
	}
	s.Stop()
	require.Empty(t, running(dir))
}

func TestServerThatKeepsDyingIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o := both(t, dir)
	o.Postgres = false
	s := start(t, o)
	// A folder in the socket's place: no later start can succeed.
	socket := strings.TrimPrefix(s.RedisURL, "unix://")
	require.NoError(t, os.Remove(socket))
	require.NoError(t, os.MkdirAll(filepath.Join(socket, "in-the-way"), 0o700))
	require.NoError(t, s.children[0].process.Kill())
	select {
	case err := <-s.Err():
		require.ErrorContains(t, err, "Redis died")
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was reported")
	}
	s.Stop()
}

func TestRunsWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests already run without root")
	}
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(u.Gid)
	require.NoError(t, err)
	home, err := os.MkdirTemp("", "shuke-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	require.NoError(t, os.Chown(home, uid, gid))
	dir := filepath.Join(home, "data")

	as := &account{name: "nobody", uid: uint32(uid), gid: uint32(gid)}
	s := startService(t, dir, as)
	for _, pid := range running(dir) {
		info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		if err != nil {
			continue // a short-lived helper that has ended
		}
		require.Equal(t, uint32(uid), info.Sys().(*syscall.Stat_t).Uid)
	}
	s.kill9(t)
	s = startService(t, dir, as)
	require.NoError(t, s.input.Close())
	require.NoError(t, s.cmd.Wait())
	require.Empty(t, running(dir))
}
