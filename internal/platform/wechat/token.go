package wechat

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// tokens is the app token as all instances share it.
//
// The row in outside_tokens is of record: sealed token, when it ends, and a
// lease. Whoever takes the lease fetches; the others use the old token while
// it lasts and else wait for the row to change. A lease ends by itself, so an
// instance that dies while fetching delays the others and does not stop them.
//
// It is kept in PostgreSQL and not in Redis: a lock in Redis can be lost with
// Redis, and then every instance would fetch. Here one instance fetches as
// long as requests can be answered at all. The row is read once in two hours
// per instance, for between that the token is held in memory.
type tokens struct {
	name  string
	db    *db.DB
	keys  *crypto.Keyring
	clock *clock.Clock
	log   *slog.Logger
	fetch func(context.Context) (string, time.Duration, error)

	flights singleflight.Group // one look at the row per instance and refused token
	mu      sync.Mutex
	now     held
	failed  failure
}

// held is a token and its times by our clock.
type held struct {
	token     string
	refreshAt time.Time // from here on a new one is wanted
	expiresAt time.Time // from here on this one is useless
}

// failure remembers a fetch that failed, so that requests do not queue up to
// fail one after the other.
type failure struct {
	err   error
	until time.Time
}

const (
	// WeChat renews a token five minutes before it ends and then accepts both:
	// asked earlier it answers with the old one.
	refreshAhead = 4 * time.Minute
	// A token that WeChat gives out with less than that left is not asked for
	// again at once.
	refreshPause = 30 * time.Second
	leaseLasts   = 20 * time.Second // longer than a fetch with its repetitions
	fetchWithin  = 18 * time.Second
	waitPoll     = 50 * time.Millisecond
	busyHold     = time.Second      // a failed fetch is not repeated sooner
	configHold   = 15 * time.Second // one that an operator must mend
)

const tokenPurpose = "wechat.app_token"

func newTokens(name string, d *db.DB, keys *crypto.Keyring, c *clock.Clock, log *slog.Logger, fetch func(context.Context) (string, time.Duration, error)) *tokens {
	return &tokens{name: name, db: d, keys: keys, clock: c, log: log, fetch: fetch}
}

// get returns a token that is not the refused one.
// Errors: those of the fetch, ErrBusy when another instance's fetch takes too
// long, the context's.
func (t *tokens) get(ctx context.Context, refused string) (string, error) {
	t.mu.Lock()
	now, failed := t.now, t.failed
	t.mu.Unlock()
	at := t.clock.Now()
	usable := now.token != "" && now.token != refused && at.Before(now.expiresAt)
	if usable && at.Before(now.refreshAt) {
		return now.token, nil
	}
	if failed.err != nil && at.Before(failed.until) {
		if usable {
			return now.token, nil
		}
		return "", failed.err
	}
	// The result is for all who wait, so it must not end with the first one's request.
	flight := t.flights.DoChan(refused, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin)
		defer cancel()
		return t.renew(ctx, refused)
	})
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return "", r.Err
		}
		return r.Val.(held).token, nil
	}
}

// renew finds a good token in the row, or fetches one, or waits for who does.
func (t *tokens) renew(ctx context.Context, refused string) (held, error) {
	lease := uuid.New()
	for {
		row, err := t.read(ctx)
		if err != nil {
			return held{}, err
		}
		at := t.clock.Now()
		usable := row.token != "" && row.token != refused && at.Before(row.expiresAt)
		if usable && at.Before(row.refreshAt) {
			t.keep(row)
			return row, nil
		}
		won, err := t.lease(ctx, lease)
		if err != nil {
			return held{}, err
		}
		if won {
			return t.fetchLeased(ctx, lease, refused)
		}
		if usable {
			return row, nil // somebody else is fetching the next one
		}
		select {
		case <-ctx.Done():
			return held{}, ErrBusy.Wrap(errors.New("another instance has not fetched the app token in time"))
		case <-time.After(waitPoll):
		}
	}
}

// fetchLeased fetches for everybody. Between reading the row and the lease
// another instance may have finished, hence the second look.
func (t *tokens) fetchLeased(ctx context.Context, lease uuid.UUID, refused string) (held, error) {
	row, err := t.read(ctx)
	if err != nil {
		t.release(ctx, lease)
		return held{}, err
	}
	at := t.clock.Now()
	usable := row.token != "" && row.token != refused && at.Before(row.expiresAt)
	if usable && at.Before(row.refreshAt) {
		t.release(ctx, lease)
		t.keep(row)
		return row, nil
	}
	token, lasts, err := t.fetch(ctx)
	if err != nil {
		t.release(ctx, lease)
		hold := busyHold
		if ErrConfig.Is(err) {
			hold = configHold
		}
		t.mu.Lock()
		t.failed = failure{err, at.Add(hold)}
		t.mu.Unlock()
		t.log.WarnContext(ctx, "the WeChat app token was not refreshed", "error", err, "old_one_lasts", usable)
		if usable {
			return row, nil
		}
		return held{}, err
	}
	fresh := held{token: token, expiresAt: at.Add(lasts), refreshAt: at.Add(lasts - refreshAhead)}
	if soonest := at.Add(refreshPause); fresh.refreshAt.Before(soonest) {
		fresh.refreshAt = soonest
	}
	if err := t.store(ctx, lease, fresh); err != nil {
		// The token is good all the same; the others fetch it when the lease ends.
		t.log.WarnContext(ctx, "the WeChat app token was not stored", "error", err)
	}
	t.keep(fresh)
	return fresh, nil
}

func (t *tokens) keep(h held) {
	t.mu.Lock()
	t.now, t.failed = h, failure{}
	t.mu.Unlock()
}

// read returns the row's token, or nothing. One that cannot be opened (its key
// is gone) counts as none.
func (t *tokens) read(ctx context.Context) (held, error) {
	var sealed []byte
	var expires, refresh sql.NullTime
	err := t.db.QueryRow(ctx, `SELECT sealed, expires_at, refresh_at FROM outside_tokens WHERE name = $1`, t.name).Scan(&sealed, &expires, &refresh)
	if errors.Is(err, sql.ErrNoRows) || err == nil && sealed == nil {
		return held{}, nil
	}
	if err != nil {
		return held{}, fmt.Errorf("read the app token: %w", err)
	}
	token, err := t.keys.OpenBlob(tokenPurpose, []byte(t.name), sealed)
	if err != nil {
		t.log.WarnContext(ctx, "the stored WeChat app token cannot be opened; fetching another", "error", err)
		return held{}, nil
	}
	return held{token: string(token), expiresAt: expires.Time, refreshAt: refresh.Time}, nil
}

// lease takes the right to fetch. Its time is the database's: instances need
// not agree on the clock.
func (t *tokens) lease(ctx context.Context, id uuid.UUID) (won bool, err error) {
	result, err := t.db.Exec(ctx, `
		INSERT INTO outside_tokens AS o (name, lease, leased_until) VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
		ON CONFLICT (name) DO UPDATE SET lease = excluded.lease, leased_until = excluded.leased_until
		WHERE o.leased_until IS NULL OR o.leased_until < clock_timestamp()`, t.name, id, leaseLasts.Milliseconds())
	if err != nil {
		return false, fmt.Errorf("lease the app token: %w", err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// store writes a fetched token and ends the lease. Whoever lost the lease
// meanwhile was too slow and must not overwrite a newer token.
func (t *tokens) store(ctx context.Context, lease uuid.UUID, h held) error {
	_, err := t.db.Exec(ctx, `
		UPDATE outside_tokens SET sealed = $3, expires_at = $4, refresh_at = $5, lease = NULL, leased_until = NULL
		WHERE name = $1 AND lease = $2`,
		t.name, lease, t.keys.SealBlob(tokenPurpose, []byte(t.name), []byte(h.token)), h.expiresAt, h.refreshAt)
	return err
}

func (t *tokens) release(ctx context.Context, lease uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := t.db.Exec(ctx, `UPDATE outside_tokens SET lease = NULL, leased_until = NULL WHERE name = $1 AND lease = $2`, t.name, lease); err != nil {
		t.log.WarnContext(ctx, "the lease on the WeChat app token ends by itself", "error", err)
	}
}
