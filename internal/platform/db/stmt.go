package db

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxStatements bounds prepared statements per process. ent emits varying SQL
// (IN lists), which would otherwise grow without end on the server.
const maxStatements = 500

// closeAfter is longer than it takes to begin using a statement.
const closeAfter = time.Minute

// stmtCache keeps prepared statements by their text. lib/pq prepares every
// parametrised query anew, a second round trip; a cached statement costs one.
type stmtCache struct {
	db  *sql.DB
	lru *lru.Cache[string, *sql.Stmt]
	mu  sync.Mutex // one preparation at a time per process: they are rare
}

func newStmtCache(db *sql.DB) *stmtCache {
	c, err := lru.NewWithEvict(maxStatements, func(_ string, s *sql.Stmt) {
		// Later: another goroutine may just have taken it from the cache and not
		// begun to use it. Closing itself waits for users.
		time.AfterFunc(closeAfter, func() { _ = s.Close() })
	})
	if err != nil {
		panic(err) // only for a size below one
	}
	return &stmtCache{db: db, lru: c}
}

func (c *stmtCache) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := c.lru.Get(query); ok {
		return s, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.lru.Get(query); ok {
		return s, nil
	}
	s, err := c.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.lru.Add(query, s)
	return s, nil
}

func (c *stmtCache) close() { c.lru.Purge() }

// conn runs queries over the pool or a transaction, through the cache when
// they have arguments.
type conn struct {
	db    *sql.DB
	tx    *sql.Tx
	cache *stmtCache
	met   []string // queries first met in this transaction
}

// stmt finds the statement for a query. Inside a transaction it is prepared on
// the transaction's own connection the first time that connection meets it: a
// second connection from the pool must not be needed, or a busy pool would
// wait for itself.
func (c *conn) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if c.tx == nil {
		return c.cache.get(ctx, query)
	}
	if s, ok := c.cache.lru.Get(query); ok {
		return c.tx.StmtContext(ctx, s), nil
	}
	return nil, nil
}

// unprepared runs queries past the cache.
func (c *conn) unprepared() interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
} {
	if c.tx != nil {
		return c.tx
	}
	return c.db
}

// QueryContext implements ent's ExecQuerier.
func (c *conn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if len(args) > 0 {
		s, err := c.stmt(ctx, query)
		if err != nil {
			return nil, err
		}
		if s != nil {
			rows, err := s.QueryContext(ctx, args...)
			if c.forget(query, err) {
				return c.db.QueryContext(ctx, query, args...)
			}
			return rows, err
		}
	}
	if c.tx != nil {
		c.learn(query, args)
		return c.tx.QueryContext(ctx, query, args...)
	}
	return c.db.QueryContext(ctx, query, args...)
}

// ExecContext implements ent's ExecQuerier.
func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if len(args) > 0 {
		s, err := c.stmt(ctx, query)
		if err != nil {
			return nil, err
		}
		if s != nil {
			res, err := s.ExecContext(ctx, args...)
			if c.forget(query, err) {
				return c.db.ExecContext(ctx, query, args...)
			}
			return res, err
		}
	}
	if c.tx != nil {
		c.learn(query, args)
		return c.tx.ExecContext(ctx, query, args...)
	}
	return c.db.ExecContext(ctx, query, args...)
}

func (c *conn) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	if len(args) > 0 {
		if s, err := c.stmt(ctx, query); err == nil && s != nil {
			row := s.QueryRowContext(ctx, args...)
			if c.forget(query, row.Err()) {
				return c.db.QueryRowContext(ctx, query, args...)
			}
			return row
		}
	}
	if c.tx != nil {
		c.learn(query, args)
		return c.tx.QueryRowContext(ctx, query, args...)
	}
	return c.db.QueryRowContext(ctx, query, args...)
}

// stalePlan reports that a migration changed a table under a prepared statement.
func stalePlan(err error) bool {
	return Code(err) == "0A000" && strings.Contains(err.Error(), "cached plan")
}

// forget drops a statement whose plan is stale, and reports whether the query
// can simply be run again: in a transaction it cannot, there InTx repeats all.
func (c *conn) forget(query string, err error) (again bool) {
	if err == nil || !stalePlan(err) {
		return false
	}
	c.cache.lru.Remove(query)
	return c.tx == nil
}

// learn remembers a query first met inside a transaction; it is prepared on
// the pool after that transaction ends, so that the next one finds it.
func (c *conn) learn(query string, args []any) {
	if len(args) > 0 {
		c.met = append(c.met, query)
	}
}
