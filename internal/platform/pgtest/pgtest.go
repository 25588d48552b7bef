// Package pgtest gives tests real servers: a migrated PostgreSQL database of
// their own and a Redis, within a fraction of a second.
//
// All test processes of a user share one private PostgreSQL. The first to need
// it starts it as a helper process (the test's own program, run again); the
// helper ends by itself when no test process has been there for a while. Every
// hold is a file lock, which the kernel drops when its process ends in any way,
// so nothing has to be cleaned up after a crash.
//
// It is imported by tests only.
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// poolSize is small: many tests share the server's connections.
const poolSize = 8

// Database is one clone of the migrated template.
type Database struct {
	Name     string
	AppURL   string // as shuke_app, the service's role
	OwnerURL string // as shuke_owner
	AdminURL string // as the superuser, for tests that do what nobody may
}

var clones atomic.Int64

// NewDatabase clones the migrated template; it is dropped when the test ends.
func NewDatabase(t testing.TB) Database {
	t.Helper()
	return clone(t, templateName)
}

// NewEmptyDatabase makes a database without tables, owned by shuke_owner, for
// tests of migrations.
func NewEmptyDatabase(t testing.TB) Database {
	t.Helper()
	return clone(t, "template0")
}

func clone(t testing.TB, template string) Database {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("the servers for tests did not start: %v", err)
	}
	name := fmt.Sprintf("test_%s_%d", strings.ReplaceAll(uuid.NewString()[:13], "-", ""), clones.Add(1))
	ctx := context.Background()
	err = s.asAdmin(ctx, func(admin *sql.DB) error {
		id := pq.QuoteIdentifier(name)
		if _, err := admin.ExecContext(ctx, "CREATE DATABASE "+id+" OWNER shuke_owner TEMPLATE "+template); err != nil {
			return err
		}
		// A clone takes over the contents, not the rights on the database itself.
		_, err := admin.ExecContext(ctx, "REVOKE ALL ON DATABASE "+id+" FROM PUBLIC; GRANT CONNECT, TEMPORARY ON DATABASE "+id+" TO shuke_app; GRANT CONNECT ON DATABASE "+id+" TO shuke_bi")
		return err
	})
	if err != nil {
		t.Fatalf("clone a database: %v", err)
	}
	t.Cleanup(func() {
		_ = s.asAdmin(ctx, func(admin *sql.DB) error {
			_, err := admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pq.QuoteIdentifier(name)+" WITH (FORCE)")
			return err
		})
	})
	return Database{
		Name: name, AppURL: withDatabase(s.AppURL, name), OwnerURL: withDatabase(s.OwnerURL, name), AdminURL: withDatabase(s.AdminURL, name),
	}
}

// withDatabase changes the database of an address; a later key wins.
func withDatabase(dsn, name string) string { return dsn + " dbname=" + name }

// Open connects to a clone as the service does; closed when the test ends.
func (d Database) Open(t testing.TB) *db.DB {
	t.Helper()
	pool, err := db.Open(context.Background(), db.Options{URL: d.AppURL, PoolSize: poolSize})
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// Admin connects as the superuser; closed when the test ends.
func (d Database) Admin(t testing.TB) *sql.DB {
	t.Helper()
	return openSQL(t, d.AdminURL)
}

// Owner connects as the owner of the schema; closed when the test ends.
func (d Database) Owner(t testing.TB) *sql.DB {
	t.Helper()
	return openSQL(t, d.OwnerURL)
}

func openSQL(t testing.TB, url string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// DB is a fresh clone, opened as the service's role.
func DB(t testing.TB) *db.DB {
	t.Helper()
	return NewDatabase(t).Open(t)
}
