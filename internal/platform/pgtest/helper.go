package pgtest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/embedded"
	"github.com/shuke-crm/shuke/internal/platform/migrate"
)

// idleLimit is how long the servers outlive the last test process: long enough
// for the next package to be compiled.
const idleLimit = 45 * time.Second

// The helper is the test's own program. It becomes one here, before the test's
// main, so that every package that imports this one can start it.
func init() {
	dir := os.Getenv(serveVariable)
	if dir == "" {
		return
	}
	_ = os.Unsetenv(serveVariable)
	if err := serve(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(dir string) error {
	hold, err := lock(dir, "server", syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return err
	}
	defer func() { _ = hold.Close() }()
	old, err := filepath.Glob(filepath.Join(dir, "data-*"))
	if err != nil {
		return err
	}
	for _, d := range old {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	data := dataFolder(dir)
	if err := settings(data); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyLimit)
	defer cancel()
	servers, err := embedded.Start(ctx, embedded.Options{
		DataDir: data, Postgres: true, Unsafe: true, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	defer func() {
		servers.Stop()
		_ = os.RemoveAll(data)
	}()
	// The service's own database serves as the template; nobody connects to it.
	if _, err := migrate.Up(ctx, servers.OwnerURL); err != nil {
		return err
	}
	raw, err := json.Marshal(server{AppURL: servers.AppURL, OwnerURL: servers.OwnerURL, AdminURL: servers.AdminURL})
	if err != nil {
		return err
	}
	ready := filepath.Join(dir, "servers.json")
	if err := os.WriteFile(ready+".new", raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(ready+".new", ready); err != nil {
		return err
	}
	return waitUntilUnused(dir, ready, servers.Err())
}

// settings make room for many test processes; read by the server at its start.
func settings(data string) error {
	config := filepath.Join(data, "postgres-config")
	for _, d := range []string{data, config} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(config, "custom.conf"), []byte("max_connections = 400\nautovacuum_naptime = 1h\n"), 0o644)
}

// waitUntilUnused returns when no test process has held the use lock for a
// while. The lock is then held until this process ends: a test process that
// arrives meanwhile waits for that and starts a new helper.
func waitUntilUnused(dir, ready string, failed <-chan error) error {
	idle := time.Now()
	for {
		select {
		case err := <-failed:
			_ = os.Remove(ready)
			return err
		case <-time.After(time.Second):
		}
		use, err := lock(dir, "use", syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			idle = time.Now()
			continue
		}
		if time.Since(idle) > idleLimit {
			return os.Remove(ready) // use stays locked: see above
		}
		_ = use.Close()
	}
}
