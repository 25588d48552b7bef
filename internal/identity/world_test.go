package identity

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/mail"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/sms"
)

const (
	adminPassword = "seven brass lanterns"
	staffPassword = "nine quiet harbours"
)

// world is a service on a database, a Redis and a clock of its own. The clock
// stands still, so that nothing expires unless a test says so.
type world struct {
	*Service
	t       testing.TB
	db      *db.DB
	keys    *crypto.Keyring
	redis   string
	mu      sync.Mutex
	now     time.Time
	changed []string // user names handed to PasswordChanged
	sent    outbox
}

func newWorld(t testing.TB) *world { return newWorldOn(t, pgtest.Redis(t)) }

func newWorldOn(t testing.TB, redisURL string) *world {
	t.Helper()
	w := &world{t: t, db: pgtest.DB(t), keys: crypto.Generate(), redis: redisURL, now: time.Now().UTC().Truncate(time.Second)}
	w.Service = w.replica()
	require.NoError(t, w.EnsureBuiltInRoles(t.Context()))
	initial, err := w.EnsureAdmin(t.Context(), adminPassword)
	require.NoError(t, err)
	require.Equal(t, adminPassword, initial)
	return w
}

// replica is another process on the same database and Redis.
func (w *world) replica() *Service {
	w.t.Helper()
	c, err := cache.New(w.t.Context(), w.redis)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(w.t, err)
	s := New(Deps{DB: w.db, Clock: clock.Fake(zone, w.time), Keys: w.keys, Cache: c, Pages: page.NewCodec(w.keys.Derive("page")),
		Log: slog.New(slog.DiscardHandler), PasswordChanged: func(_ context.Context, name string) { w.changed = append(w.changed, name) },
		Codes: otp.New(w.db, clock.Fake(zone, w.time), w.keys), Outside: outside.Services{SMS: texting{&w.sent}, Mail: mailing{&w.sent}}})
	ctx, stop := context.WithCancel(context.Background())
	w.t.Cleanup(func() { stop(); s.Close() })
	s.Start(ctx)
	return s
}

// outbox is what was sent to people.
type outbox struct {
	mu    sync.Mutex
	texts []sms.Message
	mails []mail.Message
}

type texting struct{ to *outbox }

func (s texting) Send(_ context.Context, m sms.Message) (sms.Receipt, error) {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.texts = append(s.to.texts, m)
	return sms.Receipt{}, nil
}

type mailing struct{ to *outbox }

func (s mailing) Send(_ context.Context, m mail.Message) error {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.mails = append(s.to.mails, m)
	return nil
}

func (o *outbox) text() sms.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.texts[len(o.texts)-1]
}

func (o *outbox) allMails() []mail.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.mails)
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) system() context.Context { return auth.System(w.t.Context(), "test") }

// from is a context of a caller at an address.
func (w *world) from(ip, agent string) context.Context {
	return WithClient(w.t.Context(), Client{IP: ip, UserAgent: agent})
}

func (w *world) login(username, secret string) TokenPair {
	w.t.Helper()
	p, err := w.Login(w.from("192.0.2.1", "till"), username, secret)
	require.NoError(w.t, err)
	return p.TokenPair
}

// as is the context of a request with a bearer.
func (w *world) as(bearer string) context.Context {
	w.t.Helper()
	a, err := w.Authenticate(w.t.Context(), bearer)
	require.NoError(w.t, err)
	return auth.With(w.from("192.0.2.1", "till"), a)
}

func (w *world) admin() context.Context { return w.as(w.login(AdminUsername, adminPassword).Access) }

func (w *world) store(code string, region *uuid.UUID) *platform.Store {
	w.t.Helper()
	st, err := w.CreateStore(w.system(), CreateStoreInput{Code: code, Name: "门店 " + code, RegionID: region})
	require.NoError(w.t, err)
	return st
}

func (w *world) person(username string, home *uuid.UUID, grants ...GrantInput) *platform.Staff {
	w.t.Helper()
	secret := staffPassword
	made, _, err := w.CreateStaff(w.system(), CreateStaffInput{Username: username, Name: "店员 " + username, StoreID: home, Password: &secret, Grants: grants})
	require.NoError(w.t, err)
	return made
}

// signedIn is the context of somebody made by person.
func (w *world) signedIn(username string) context.Context {
	return w.as(w.login(username, staffPassword).Access)
}

// role is a role of the test's own with some permissions.
func (w *world) role(code string, permissions ...auth.Permission) {
	w.t.Helper()
	names := make([]string, len(permissions))
	for i, p := range permissions {
		names[i] = string(p)
	}
	_, err := w.CreateRole(w.system(), code, code, names)
	require.NoError(w.t, err)
}

func everywhere(role string) GrantInput { return GrantInput{Role: role, Scope: rolegrant.ScopeAll} }

func inStore(role string, id uuid.UUID) GrantInput {
	return GrantInput{Role: role, Scope: rolegrant.ScopeStore, StoreID: &id}
}

// hold takes row locks in a transaction of its own. Release gives them up once
// so many others wait for a lock.
func (w *world) hold(query string, args ...any) (release func(waiting int)) {
	w.t.Helper()
	tx, err := w.db.SQL.BeginTx(w.t.Context(), nil)
	require.NoError(w.t, err)
	_, err = tx.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
	return func(waiting int) {
		w.t.Helper()
		assert.Eventually(w.t, func() bool {
			// Else the transaction sees the same activity for ever.
			if _, err := tx.ExecContext(w.t.Context(), `SELECT pg_stat_clear_snapshot()`); err != nil {
				return false
			}
			var n int
			err := tx.QueryRowContext(w.t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
			return err == nil && n >= waiting
		}, 10*time.Second, 5*time.Millisecond)
		require.NoError(w.t, tx.Rollback())
	}
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.db.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

type bench struct {
	*world
	token, key string
}

// benchWorld has somebody signed in and a key.
func benchWorld(b *testing.B) bench {
	w := newWorld(b)
	token := w.login(AdminUsername, adminPassword).Access
	_, key, err := w.CreateKey(w.system(), CreateKeyInput{Name: "till", Permissions: []string{"orders.read"}, AllStores: true})
	require.NoError(b, err)
	return bench{w, token, key}
}
