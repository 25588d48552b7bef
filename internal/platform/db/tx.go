package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// Tx is one transaction seen by all contexts. Use cases open it with InTx;
// steps of other domains take it as an argument.
type Tx struct {
	SQL *sql.Tx
	*Clients
	beforeCommit []func(context.Context) error
	afterCommit  []func(context.Context)
	values       map[any]any
}

// BeforeCommit adds work done last inside the transaction (audit rows and
// outbox events are written there, set-based; cache keys are marked dirty).
// A failure rolls back.
func (t *Tx) BeforeCommit(f func(context.Context) error) { t.beforeCommit = append(t.beforeCommit, f) }

// AfterCommit adds work done when the outermost transaction has committed. It
// must not fail the request: effects are durable by then.
func (t *Tx) AfterCommit(f func(context.Context)) { t.afterCommit = append(t.afterCommit, f) }

// Value returns what a package keeps for the life of this transaction, making
// it the first time.
func Value[T any](t *Tx, key any, make func() T) T {
	if v, ok := t.values[key]; ok {
		return v.(T)
	}
	v := make()
	t.values[key] = v
	return v
}

type txKey struct{}

// CurrentTx returns the transaction that an idempotent request runs in, or nil.
func CurrentTx(ctx context.Context) *Tx {
	t, _ := ctx.Value(txKey{}).(*Tx)
	return t
}

// apartWithin bounds how long a statement apart waits, for its connection or a row.
const apartWithin = 3 * time.Second

// Apart runs a statement that returns one row outside of any transaction that the
// context carries: what it writes stays even if that one is rolled back, such as a
// count of wrong guesses. It has connections of its own, so that callers who hold one
// of the pool never wait for each other; the caller holds no lock that it needs.
func (d *DB) Apart(ctx context.Context, query string, args []any, into ...any) error {
	ctx, cancel := context.WithTimeout(ctx, apartWithin)
	defer cancel()
	pool := d.apart
	if pool == nil {
		pool = d.SQL
	}
	return pool.QueryRowContext(ctx, query, args...).Scan(into...)
}

// From returns the clients to read with: those of the request's transaction
// when it has one, else the pool's. Reading past an open transaction would
// take a second connection and miss its writes.
func (d *DB) From(ctx context.Context) *Clients {
	if t := CurrentTx(ctx); t != nil {
		return t.Clients
	}
	return d.Clients
}

const maxAttempts = 4

// InTx runs f in a transaction: begins, commits, rolls back on error or panic,
// and runs f again (at most three times) after a serialization failure or a
// deadlock. If the context already carries a transaction (an idempotent
// request), f joins it and commit and retry are left to the outer one.
func (d *DB) InTx(ctx context.Context, f func(context.Context, *Tx) error) error {
	if t := CurrentTx(ctx); t != nil {
		return f(ctx, t)
	}
	for attempt := 1; ; attempt++ {
		t, err := d.once(ctx, f)
		if err == nil {
			for _, hook := range t.afterCommit {
				hook(context.WithoutCancel(ctx))
			}
			return nil
		}
		if attempt == maxAttempts || !Retryable(err) {
			return err
		}
		wait := time.Duration(attempt) * (time.Millisecond + rand.N(5*time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *DB) once(ctx context.Context, f func(context.Context, *Tx) error) (t *Tx, err error) {
	stx, err := d.SQL.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() {
		if !committed {
			// Also on panic, which goes on to the recover middleware.
			_ = stx.Rollback()
		}
	}()
	c := &conn{db: d.SQL, tx: stx, cache: d.cache}
	t = &Tx{SQL: stx, values: map[any]any{}}
	t.Clients = clients(c, txDriver{entsql.NewDriver(dialect.Postgres, entsql.Conn{ExecQuerier: c})})
	inner := context.WithValue(ctx, txKey{}, t)
	if err := f(inner, t); err != nil {
		return nil, err
	}
	for i := 0; i < len(t.beforeCommit); i++ { // a hook may add another
		if err := t.beforeCommit[i](inner); err != nil {
			return nil, err
		}
	}
	if err := stx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	committed = true
	d.prepareMet(ctx, c.met)
	return t, nil
}

// prepareMet prepares queries that a finished transaction met for the first
// time. A failure only means that the next transaction pays the round trip.
func (d *DB) prepareMet(ctx context.Context, queries []string) {
	for _, q := range queries {
		_, _ = d.cache.get(ctx, q)
	}
}

// Savepoint runs f so that its failure undoes only f's work and leaves the
// transaction usable. Work that f left for the commit (hooks, audit entries,
// events) is undone with it.
func (t *Tx) Savepoint(ctx context.Context, f func() error) error {
	if _, err := t.SQL.ExecContext(ctx, "SAVEPOINT row"); err != nil {
		return err
	}
	rewind := t.mark()
	if err := f(); err != nil {
		// Released too: a savepoint that stays would hide an outer one of its name.
		if _, rerr := t.SQL.ExecContext(ctx, "ROLLBACK TO SAVEPOINT row; RELEASE SAVEPOINT row"); rerr != nil {
			return errors.Join(err, rerr)
		}
		rewind()
		return err
	}
	_, err := t.SQL.ExecContext(ctx, "RELEASE SAVEPOINT row")
	return err
}

// rewinder is a Value that can go back to what it held.
type rewinder interface{ Mark() (rewind func()) }

// mark remembers what is left for the commit.
func (t *Tx) mark() (rewind func()) {
	before, after, known := len(t.beforeCommit), len(t.afterCommit), maps.Clone(t.values)
	var parts []func()
	for _, v := range known {
		if r, ok := v.(rewinder); ok {
			parts = append(parts, r.Mark())
		}
	}
	return func() {
		t.beforeCommit, t.afterCommit, t.values = t.beforeCommit[:before], t.afterCommit[:after], known
		for _, rewind := range parts {
			rewind()
		}
	}
}

// ErrAgain is returned, wrapped, by work that found what it had read to be out
// of date once it held the lock: running the transaction again cures that.
var ErrAgain = errors.New("db: read before it changed")

// Retryable reports a failure that running the transaction again may cure: a
// serialization failure, a deadlock, a plan older than its table, ErrAgain.
func Retryable(err error) bool {
	code := Code(err)
	return errors.Is(err, ErrAgain) || code == "40001" || code == "40P01" || stalePlan(err)
}

// Code is PostgreSQL's SQLSTATE of an error, or empty.
func Code(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

// Violated names the constraint that an error says was broken (unique, foreign
// key or check), or is empty. Domains map names to their own errors.
func Violated(err error) string {
	var e *pq.Error
	if errors.As(err, &e) && e.Code.Class() == "23" {
		return e.Constraint
	}
	return ""
}
