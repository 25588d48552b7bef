package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SHUKE_TEST_SERVE"); dir != "" {
		os.Exit(serveUntilKilled(dir))
	}
	os.Exit(m.Run())
}

func both(t *testing.T, dir string) Options {
	return Options{DataDir: dir, Postgres: true, Redis: true, Logger: testLogger(t)}
}

func start(t *testing.T, o Options) *Servers {
	t.Helper()
	begun := time.Now()
	s, err := Start(t.Context(), o)
	require.NoError(t, err)
	t.Logf("started in %v", time.Since(begun).Round(time.Millisecond))
	t.Cleanup(s.Stop)
	return s
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), query)
	require.NoError(t, err, query)
}

func one[T any](t *testing.T, db *sql.DB, query string) T {
	t.Helper()
	var v T
	require.NoError(t, db.QueryRowContext(context.Background(), query).Scan(&v), query)
	return v
}

// running lists the living processes of both servers of a data folder.
func running(dir string) []int {
	l := &layout{dataDir: dir}
	if err := l.readFolders(); err != nil {
		return nil
	}
	return append(processesIn(l.clusterDir()), processesIn(l.redisDir())...)
}

func TestFirstStartThenSecondStartKeepsDataAndStopLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, both(t, dir))
	owner := open(t, s.OwnerURL)
	execute(t, owner, "CREATE TABLE kept (id int PRIMARY KEY)")
	execute(t, owner, "INSERT INTO kept VALUES (7)")

	cache, err := redis.ParseURL(s.RedisURL)
	require.NoError(t, err)
	client := redis.NewClient(cache)
	require.NoError(t, client.Set(t.Context(), "k", "v", time.Minute).Err())
	require.NoError(t, client.Close())

	require.NotEmpty(t, running(dir))
	s.Stop()
	s.Stop() // harmless
	require.Empty(t, running(dir))

	begun := time.Now()
	again := start(t, both(t, dir))
	require.Less(t, time.Since(begun), 5*time.Second, "a second start creates nothing")
	require.Equal(t, 7, one[int](t, open(t, again.OwnerURL), "SELECT id FROM kept"))
	require.Equal(t, s.AppURL, again.AppURL, "passwords are kept")
}

func TestRolesMayDoNoMoreThanTheyNeed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, both(t, dir))
	owner, app, bi, admin := open(t, s.OwnerURL), open(t, s.AppURL), open(t, s.BIURL), open(t, s.AdminURL)

	for db, role := range map[*sql.DB]string{owner: OwnerRole, app: AppRole, bi: BIRole} {
		require.Equal(t, role, one[string](t, db, "SELECT current_user::text"))
		require.False(t, one[bool](t, db, "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR rolreplication FROM pg_roles WHERE rolname = current_user"))
	}
	execute(t, owner, "CREATE EXTENSION pg_trgm") // what migrations need
	execute(t, owner, "CREATE TABLE t (id int)")
	_, err := app.ExecContext(t.Context(), "CREATE TABLE mine (id int)")
	require.ErrorContains(t, err, "permission denied")
	_, err = bi.ExecContext(t.Context(), "SELECT * FROM t")
	require.ErrorContains(t, err, "permission denied")

	require.NoError(t, CheckSafety(t.Context(), app, false))
	require.ErrorContains(t, CheckSafety(t.Context(), admin, false), "is a superuser")
	require.NoError(t, CheckSafety(t.Context(), admin, true), "the development flag accepts it")
	ownerProblem := CheckSafety(t.Context(), owner, false)
	require.ErrorContains(t, ownerProblem, "owns the database")
	require.ErrorContains(t, ownerProblem, "owns tables")
	require.ErrorContains(t, ownerProblem, AppRole)

	// Indirect ownership and other powers count as well.
	execute(t, admin, "GRANT shuke_owner TO shuke_bi")
	require.ErrorContains(t, CheckSafety(t.Context(), bi, false), "owns tables")
	execute(t, admin, "ALTER ROLE shuke_app BYPASSRLS")
	require.ErrorContains(t, CheckSafety(t.Context(), app, false), "bypasses row security")
	execute(t, admin, "ALTER ROLE shuke_app NOBYPASSRLS")
	execute(t, admin, "ALTER ROLE shuke_app SET synchronous_commit = off")
	require.ErrorContains(t, CheckSafety(t.Context(), open(t, s.AppURL), false), "synchronous_commit is off")

	// No way in without the password, and none for the superuser's name with one.
	l := &layout{dataDir: dir}
	require.NoError(t, l.readFolders())
	require.Error(t, ping(t.Context(), l.dsn(AppRole, "wrong", databaseName)))
	require.Equal(t, "scram-sha-256", one[string](t, admin, "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules WHERE user_name = '{all}'"))
	require.Equal(t, "on", one[string](t, admin, "SELECT current_setting('data_checksums')"))
	require.Empty(t, one[string](t, admin, "SELECT current_setting('listen_addresses')"))
}

func TestUnsafeServersAreForTestsOnly(t *testing.T) {
	o := both(t, filepath.Join(t.TempDir(), "data"))
	o.Redis, o.Unsafe = false, true
	s := start(t, o)
	require.Empty(t, s.RedisURL)
	err := CheckSafety(t.Context(), open(t, s.AppURL), false)
	require.ErrorContains(t, err, "fsync is off")
	require.ErrorContains(t, err, "full_page_writes is off")
	require.ErrorContains(t, err, "synchronous_commit is off")
	require.ErrorContains(t, err, "SHUKE_DEVELOPMENT")
}

func TestNothingIsOpenToOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, both(t, dir))
	l := &layout{dataDir: dir}
	require.NoError(t, l.readFolders())
	for _, private := range []string{l.sockets, l.clusterDir(), l.logDir(), l.redisDir()} {
		info, err := os.Stat(private)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm(), private)
		if st := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 {
			require.NotZero(t, st.Uid, "%s belongs to root, so the server runs as root", private)
		}
	}
	info, err := os.Stat(l.passwordFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	for _, pid := range running(dir) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // a short-lived helper that has ended
		}
		p, err := readPasswords(l.passwordFile())
		require.NoError(t, err)
		require.NotContains(t, string(raw), p.App, "a password shows in the process list")
	}
}

func TestSecondServiceIsRefusedAndCommandsAttach(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Attach(dir)
	require.ErrorIs(t, err, ErrNotRunning)
	s := start(t, both(t, dir))

	_, err = Start(t.Context(), both(t, dir))
	require.ErrorContains(t, err, fmt.Sprintf("process %d", os.Getpid()))
	require.ErrorContains(t, err, "SHUKE_DATA_DIR")

	attached, err := StartOrAttach(t.Context(), both(t, dir))
	require.NoError(t, err)
	require.Equal(t, s.AppURL, attached.AppURL)
	require.Equal(t, s.RedisURL, attached.RedisURL)
	attached.Stop()
	require.NoError(t, open(t, s.AppURL).Ping(), "stopping an attached command leaves the servers alone")

	s.Stop()
	_, err = Attach(dir)
	require.ErrorIs(t, err, ErrNotRunning)
}

func TestLongPathsGetShortSockets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 25), "data")
	s := start(t, both(t, dir))
	require.NoError(t, open(t, s.AppURL).Ping())
	s.Stop()
	again := start(t, both(t, dir))
	require.Equal(t, s.AppURL, again.AppURL, "the recorded folder is used again")
	l := &layout{dataDir: dir}
	require.NoError(t, l.readFolders())
	t.Cleanup(func() { _ = os.RemoveAll(l.sockets) })
	require.NotContains(t, l.sockets, dir)
}

func TestUnreachableDataFolderMovesTheServersFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root runs the servers as another user")
	}
	closed, err := os.MkdirTemp("/var/lib", "shuke-test-") // not a temporary folder, which would be opened
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(closed) })
	dir := filepath.Join(closed, "data")
	s := start(t, both(t, dir))
	l := &layout{dataDir: dir}
	require.NoError(t, l.readFolders())
	t.Cleanup(func() { _ = os.RemoveAll(l.state) })
	require.NotContains(t, l.state, closed)
	execute(t, open(t, s.OwnerURL), "CREATE TABLE kept (id int)")
	s.Stop()
	again := start(t, both(t, dir))
	require.Equal(t, 0, one[int](t, open(t, again.OwnerURL), "SELECT count(*) FROM kept"))
	again.Stop()
}

func TestDataOfAnotherMajorVersionIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "postgres"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := Start(t.Context(), both(t, dir))
	require.ErrorContains(t, err, "PostgreSQL 9, which is not installed")
	require.Empty(t, running(dir), "Redis was started first and must be gone")
	s, err := lockFolder(dir)
	require.NoError(t, err, "a failed start frees the data folder")
	require.NoError(t, s.Close())
}
