// Package migrate brings a database to the schema this binary was built for.
package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"

	"github.com/lib/pq"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/shuke-crm/shuke/ent/migrations"
	"github.com/shuke-crm/shuke/ent/views"
)

// lockKey is the advisory lock that lets one starter migrate while others wait.
const lockKey = 0x7368756b65 // "shuke"

// Up applies what is missing, as the owner of the schema, and reports how many
// migrations ran. Several starters at once are safe: one works, the others wait.
func Up(ctx context.Context, ownerURL string) (applied int, err error) {
	pool, err := open(ctx, ownerURL)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	lock, err := pool.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer lock.Close() // ends the session and with it the lock
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return 0, fmt.Errorf("wait for the migration lock: %w", err)
	}
	defer lock.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(lockKey))

	provider, err := newProvider(pool)
	if err != nil {
		return 0, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	applied = len(results)
	queue, err := rivermigrate.New(riverdatabasesql.New(pool), nil)
	if err != nil {
		return 0, err
	}
	river, err := queue.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return 0, fmt.Errorf("migrate the job queue: %w", err)
	}
	applied += len(river.Versions)
	if err := makeViews(ctx, pool, applied > 0); err != nil {
		return 0, fmt.Errorf("make the reporting views: %w", err)
	}
	if _, err := pool.ExecContext(ctx, "GRANT SELECT ON goose_db_version TO shuke_app"); err != nil {
		return 0, err
	}
	return applied, nil
}

// Check fails unless the database has every migration of this binary. It needs
// no more than the service's own role.
func Check(ctx context.Context, db *sql.DB) error {
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		return err
	}
	rows, err := db.QueryContext(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied")
	if err != nil {
		return fmt.Errorf("the database has no schema yet; run: shuke migrate (%w)", err)
	}
	defer rows.Close()
	var have []int64
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return err
		}
		have = append(have, v)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, f := range files {
		v, err := goose.NumericComponent(f)
		if err != nil {
			return err
		}
		if !slices.Contains(have, v) {
			return fmt.Errorf("the database lacks migration %s; run: shuke migrate", f)
		}
	}
	return nil
}

func open(ctx context.Context, url string) (*sql.DB, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return nil, fmt.Errorf("owner url: %w", err)
	}
	pool := sql.OpenDB(connector)
	if err := pool.PingContext(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect as the schema's owner: %w", err)
	}
	return pool, nil
}

func newProvider(pool *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, pool, migrations.FS)
}

// makeViews runs when tables changed or the views' own text did.
func makeViews(ctx context.Context, pool *sql.DB, tablesChanged bool) error {
	sum := sha256.Sum256([]byte(views.BI))
	mark := hex.EncodeToString(sum[:])
	var have sql.NullString
	err := pool.QueryRowContext(ctx, "SELECT obj_description(to_regnamespace('bi'), 'pg_namespace')").Scan(&have)
	if err != nil || (!tablesChanged && have.String == mark) {
		return err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, views.BI); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "COMMENT ON SCHEMA bi IS "+pq.QuoteLiteral(mark)); err != nil {
		return err
	}
	return tx.Commit()
}
