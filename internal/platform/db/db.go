// Package db opens PostgreSQL and gives every domain the same three things: the
// ent clients of all contexts over one connection pool, one transaction helper,
// and a statement cache that spares lib/pq its second round trip.
package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	_ "github.com/shuke-crm/shuke/ent/commerce/runtime" // policies and defaults
	"github.com/shuke-crm/shuke/ent/crm"
	_ "github.com/shuke-crm/shuke/ent/crm/runtime"
	"github.com/shuke-crm/shuke/ent/loyalty"
	_ "github.com/shuke-crm/shuke/ent/loyalty/runtime"
	"github.com/shuke-crm/shuke/ent/platform"
	_ "github.com/shuke-crm/shuke/ent/platform/runtime"
)

// Clients are the ent clients of all contexts, and plain SQL, over one pool or
// one transaction.
type Clients struct {
	CRM      *crm.Client
	Commerce *commerce.Client
	Loyalty  *loyalty.Client
	Platform *platform.Client
	exec     *conn
}

// Query runs hand-written SQL. The privacy layer does not see it: the caller
// adds scope.SQL where rows are scoped.
func (c *Clients) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.exec.QueryContext(ctx, query, args...)
}

// QueryRow runs hand-written SQL that returns at most one row.
func (c *Clients) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return c.exec.queryRow(ctx, query, args...)
}

// QueryByValues runs a query without preparing it, so that PostgreSQL plans it
// for the values at hand: one round trip more, for queries whose good plan
// depends on how common a value is.
func (c *Clients) QueryByValues(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.exec.unprepared().QueryContext(ctx, query, args...)
}

// QueryRowByValues is QueryByValues for at most one row.
func (c *Clients) QueryRowByValues(ctx context.Context, query string, args ...any) *sql.Row {
	return c.exec.unprepared().QueryRowContext(ctx, query, args...)
}

// Exec runs hand-written SQL that returns no rows.
func (c *Clients) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.exec.ExecContext(ctx, query, args...)
}

// DB is the pool.
type DB struct {
	SQL *sql.DB
	*Clients
	cache *stmtCache
	apart *sql.DB // of Apart; nil: the pool's
}

// Options for Open.
type Options struct {
	URL      string
	PoolSize int // connections; also how many stay open when idle
}

// Open connects and checks that the server answers.
func Open(ctx context.Context, o Options) (*DB, error) {
	connector, err := pq.NewConnector(o.URL)
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err)
	}
	pool := sql.OpenDB(connector)
	if o.PoolSize <= 0 {
		o.PoolSize = 16
	}
	// Fewer idle than open connections would mean reconnecting under load.
	pool.SetMaxOpenConns(o.PoolSize)
	pool.SetMaxIdleConns(o.PoolSize)
	pool.SetConnMaxLifetime(time.Hour)
	if err := pool.PingContext(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	d := New(pool)
	d.apart = sql.OpenDB(connector)
	d.apart.SetMaxOpenConns(apartConnections)
	d.apart.SetMaxIdleConns(1)
	d.apart.SetConnMaxIdleTime(time.Minute)
	return d, nil
}

// apartConnections are beside the pool's; what they are for is rare.
const apartConnections = 2

// New wraps an open pool.
func New(pool *sql.DB) *DB {
	d := &DB{SQL: pool, cache: newStmtCache(pool)}
	d.Clients = clients(&conn{db: pool, cache: d.cache}, nil)
	return d
}

// Close closes the statements and the pool.
func (d *DB) Close() error {
	d.cache.close()
	if d.apart != nil {
		_ = d.apart.Close()
	}
	return d.SQL.Close()
}

func clients(c *conn, tx dialect.Driver) *Clients {
	var drv dialect.Driver = &poolDriver{entsql.NewDriver(dialect.Postgres, entsql.Conn{ExecQuerier: c}), c}
	if tx != nil {
		drv = tx
	}
	return &Clients{
		CRM:      crm.NewClient(crm.Driver(drv)),
		Commerce: commerce.NewClient(commerce.Driver(drv)),
		Loyalty:  loyalty.NewClient(loyalty.Driver(drv)),
		Platform: platform.NewClient(platform.Driver(drv)),
		exec:     c,
	}
}

// poolDriver lets ent open its own small transactions (it does for graph
// writes outside ours) over the cached connection.
type poolDriver struct {
	*entsql.Driver
	c *conn
}

func (p *poolDriver) Tx(ctx context.Context) (dialect.Tx, error) {
	tx, err := p.c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &entsql.Tx{Conn: entsql.Conn{ExecQuerier: &conn{db: p.c.db, tx: tx, cache: p.c.cache}}, Tx: tx}, nil
}

func (p *poolDriver) BeginTx(ctx context.Context, _ *entsql.TxOptions) (dialect.Tx, error) {
	return p.Tx(ctx)
}

// txDriver makes ent join our transaction where it would open a nested one
// (UpdateOne, graph creates); without it ent panics on a *sql.Tx.
type txDriver struct{ *entsql.Driver }

func (d txDriver) Tx(context.Context) (dialect.Tx, error) { return dialect.NopTx(d.Driver), nil }
func (d txDriver) BeginTx(context.Context, *entsql.TxOptions) (dialect.Tx, error) {
	return dialect.NopTx(d.Driver), nil
}
