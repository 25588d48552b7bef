package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

const (
	// superuser maintains the cluster. It has no password: the server admits it by
	// the operating-system identity of the service alone.
	superuser = "shuke_super"
	// databaseName is the service's database.
	databaseName = "shuke"
	// port only names the socket; nothing listens on the network.
	port = "5432"
)

func startPostgres(ctx context.Context, l *layout, o Options) (*child, error) {
	wanted, err := clusterVersion(l.clusterDir())
	if err != nil {
		return nil, err
	}
	bin, err := findPostgres(wanted)
	if err != nil {
		return nil, err
	}
	// Before anything is written: an earlier run's server may still be at work.
	prepare := func() error { return clearPostgres(l, o) }
	if err := prepare(); err != nil {
		return nil, err
	}
	if wanted == 0 {
		o.Logger.Info("creating the private PostgreSQL", "folder", l.clusterDir(), "programs", bin)
		if err := initCluster(ctx, l, bin, o.Unsafe); err != nil {
			return nil, err
		}
	}
	if err := writeConfig(l, bin, o.Unsafe); err != nil {
		return nil, err
	}
	return launch(ctx, program{
		name: "PostgreSQL",
		path: filepath.Join(bin, "postgres"),
		// On the command line, where custom.conf and ALTER SYSTEM cannot change them:
		// sockets only, and closed to others.
		args: []string{
			"-D", l.clusterDir(), "-k", l.sockets, "-p", port,
			"-c", "listen_addresses=", "-c", "unix_socket_permissions=0700",
			"-c", "config_file=" + filepath.Join(l.configDir(), "postgresql.conf"),
			"-c", "hba_file=" + filepath.Join(l.configDir(), "pg_hba.conf"),
			"-c", "ident_file=" + filepath.Join(l.configDir(), "pg_ident.conf"),
		},
		dir:     l.clusterDir(),
		env:     environment(librariesFor(bin)),
		output:  filepath.Join(l.dataDir, "postgres.out"),
		account: l.account,
		// SIGINT ends sessions and writes a checkpoint; SIGTERM would wait for clients.
		stop: syscall.SIGINT, deathSignal: syscall.SIGINT,
		prepare: prepare,
		ready:   func(ctx context.Context) error { return ping(ctx, l.dsn(superuser, "", "postgres")) },
	}, o.Logger)
}

// clusterVersion is the major version that wrote the cluster, 0 when there is none.
func clusterVersion(dir string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION is damaged: %w", dir, err)
	}
	return major, nil
}

// clearPostgres removes what a crash leaves behind. PostgreSQL itself refuses to
// start while the process of postmaster.pid exists in any form, even as a dead
// process that nobody has reaped or as another program with the same id. We hold
// the data folder's lock and look for living processes in the cluster first, so
// removing the file is safe: no backend still writes there.
func clearPostgres(l *layout, o Options) error {
	if !exists("/proc/self/exe") {
		return nil // cannot look; leave it to PostgreSQL's own checks
	}
	pidFile := filepath.Join(l.clusterDir(), "postmaster.pid")
	main := 0
	if raw, err := os.ReadFile(pidFile); err == nil {
		first, _, _ := strings.Cut(string(raw), "\n")
		main, _ = strconv.Atoi(strings.TrimSpace(first)) // 0 when damaged
	}
	if err := stopLeftovers(l.clusterDir(), main, syscall.SIGINT, o.Logger); err != nil {
		return err
	}
	socket := filepath.Join(l.sockets, ".s.PGSQL."+port)
	for _, path := range []string{pidFile, socket, socket + ".lock"} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// initCluster builds the cluster aside and renames it, so that a crash half-way
// leaves nothing that looks like a cluster.
func initCluster(ctx context.Context, l *layout, bin string, unsafe bool) error {
	fresh := l.clusterDir() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := l.private(fresh); err != nil {
		return err
	}
	args := []string{
		"-D", fresh, "-U", superuser, "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
		"--auth-local=peer", "--auth-host=scram-sha-256",
	}
	if unsafe {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.Dir, cmd.Env = fresh, environment(librariesFor(bin))
	cmd.SysProcAttr = childAttributes(l.account, syscall.SIGKILL)
	runtime.LockOSThread() // the death signal is bound to this thread
	out, err := cmd.CombinedOutput()
	runtime.UnlockOSThread()
	if err != nil {
		return fmt.Errorf("initdb failed: %w\n%s", err, out)
	}
	// A folder without PG_VERSION is no cluster; the rename needs it out of the way.
	if err := os.RemoveAll(l.clusterDir()); err != nil {
		return err
	}
	return os.Rename(fresh, l.clusterDir())
}

// dsn addresses the private server. Values need no quoting: names and passwords
// are ours, and paths are quoted.
func (l *layout) dsn(user, password, database string) string {
	quote := func(s string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	dsn := fmt.Sprintf("host=%s port=%s dbname=%s user=%s sslmode=disable", quote(l.sockets), port, database, user)
	if password != "" {
		dsn += " password=" + quote(password)
	}
	return dsn
}

// systemUser is the name under which the kernel presents this process to PostgreSQL.
func systemUser() (string, error) {
	u, err := user.LookupId(strconv.Itoa(os.Geteuid()))
	if err != nil {
		return "", fmt.Errorf("the user %d that runs the service has no name, so PostgreSQL cannot recognise it; add it to /etc/passwd or set SHUKE_DATABASE_URL: %w", os.Geteuid(), err)
	}
	return u.Username, nil
}
