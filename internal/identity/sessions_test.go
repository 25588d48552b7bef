package identity

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/principals"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

func (w *world) refresh(presented string) (TokenPair, error) {
	return w.Refresh(w.from("192.0.2.1", "till"), presented)
}

func TestRefreshRotates(t *testing.T) {
	w := newWorld(t)
	first := w.login(AdminUsername, adminPassword)
	second, err := w.refresh(first.Refresh)
	require.NoError(t, err)
	assert.Equal(t, first.SessionID, second.SessionID)
	assert.NotEqual(t, first.Refresh, second.Refresh)
	_, err = w.Authenticate(t.Context(), second.Access)
	require.NoError(t, err)

	w.advance(5 * time.Second)
	again, err := w.refresh(first.Refresh)
	require.NoError(t, err, "an answer that got lost")
	assert.Equal(t, second.Refresh, again.Refresh, "the same successor")
	third, err := w.refresh(second.Refresh)
	require.NoError(t, err)

	_, err = w.refresh(first.Refresh)
	assert.True(t, ErrRefreshReused.Is(err), "not the immediate predecessor any more: %v", err)
	_, err = w.refresh(third.Refresh)
	assert.True(t, ErrSessionEnded.Is(err), "the session ended with it: %v", err)
	_, err = w.Authenticate(t.Context(), third.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.session_end' AND changes->>'reason' = 'refresh_reused'`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM outbox_events WHERE type = 'session.revoked'`))
}

func TestPredecessorWindow(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		agent string
		fine  bool
	}{
		"within ten seconds":                {token.PredecessorLife, "till", true},
		"later":                             {token.PredecessorLife + time.Second, "till", false},
		"in time, but from another program": {time.Second, "thief", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.login(AdminUsername, adminPassword)
			second, err := w.refresh(first.Refresh)
			require.NoError(t, err)
			w.advance(c.after)
			got, err := w.Refresh(w.from("198.51.100.1", c.agent), first.Refresh)
			if c.fine {
				require.NoError(t, err)
				assert.Equal(t, second.Refresh, got.Refresh)
				return
			}
			assert.True(t, ErrRefreshReused.Is(err), "%v", err)
			_, err = w.refresh(second.Refresh)
			assert.True(t, ErrSessionEnded.Is(err), "%v", err)
		})
	}
}

func TestParallelRefreshGivesOneSuccessor(t *testing.T) {
	w := newWorld(t)
	first := w.login(AdminUsername, adminPassword)
	release := w.hold(`SELECT id FROM sessions WHERE id = $1 FOR UPDATE`, first.SessionID)
	var wg sync.WaitGroup
	got := make([]string, 50)
	for i := range got {
		wg.Go(func() {
			p, err := w.refresh(first.Refresh)
			if assert.NoError(t, err) {
				got[i] = p.Refresh
			}
		})
	}
	release(4) // several are under way at the same moment
	wg.Wait()
	for _, text := range got {
		assert.Equal(t, got[0], text)
	}
	_, err := w.refresh(got[0])
	assert.NoError(t, err, "and it is the current one")
}

func TestForgedRefreshTokenEndsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.login(AdminUsername, adminPassword)
	for _, forged := range []string{"", "shr_", "shr_AAAA", p.Access, p.Refresh + "A", p.Refresh[:len(p.Refresh)-2] + "AA"} {
		_, err := w.refresh(forged)
		assert.True(t, ErrRefreshInvalid.Is(err), "%q: %v", forged, err)
	}
	_, err := w.refresh(token.Staff.NewRefresh(w.keys, uuid.New()))
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	_, err = w.refresh(p.Refresh)
	assert.NoError(t, err)
}

func TestSessionsEndByThemselves(t *testing.T) {
	w := newWorld(t)
	idle := w.login(AdminUsername, adminPassword)
	w.advance(token.SessionIdleLife + time.Second)
	_, err := w.refresh(idle.Refresh)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)

	busy := w.login(AdminUsername, adminPassword)
	text := busy.Refresh
	for range 5 {
		w.advance(token.SessionLife/5 - time.Minute)
		p, err := w.refresh(text)
		require.NoError(t, err)
		text, busy = p.Refresh, p
	}
	w.advance(6 * time.Minute)
	_, err = w.refresh(text)
	assert.True(t, ErrSessionEnded.Is(err), "thirty days are the end: %v", err)
	_, err = w.Authenticate(t.Context(), busy.Access)
	assert.True(t, ErrSessionEnded.Is(err), "for its access token too: %v", err)

	late := w.login(AdminUsername, adminPassword)
	w.advance(token.AccessLife + 3*time.Second)
	_, err = w.Authenticate(t.Context(), late.Access)
	assert.True(t, apperr.ErrTokenExpired.Is(err), "%v", err)

	w.advance(token.SessionLife + keepEnded)
	require.NoError(t, w.CleanSessions(w.system()))
	assert.Zero(t, w.count(`SELECT count(*) FROM sessions`))
}

func TestOwnSessions(t *testing.T) {
	w := newWorld(t)
	one, two, three := w.login(AdminUsername, adminPassword), w.login(AdminUsername, adminPassword), w.login(AdminUsername, adminPassword)
	w.person("li", nil, everywhere("auditor"))
	stranger := w.signedIn("li")
	ctx := w.as(two.Access)

	rows, err := w.OwnSessions(ctx, uuid.Nil, 2)
	require.NoError(t, err)
	require.Len(t, rows, 3, "one more than the limit tells that there are more")
	assert.Equal(t, []uuid.UUID{three.SessionID, two.SessionID, one.SessionID}, []uuid.UUID{rows[0].ID, rows[1].ID, rows[2].ID})
	rows, err = w.OwnSessions(stranger, uuid.Nil, 10)
	require.NoError(t, err)
	assert.Len(t, rows, 1, "only one's own, though the whole business is seen")

	err = w.EndOwn(stranger, &one.SessionID, uuid.Nil, "test")
	assert.True(t, ErrSessionNotFound.Is(err), "%v", err)
	require.NoError(t, w.EndOwn(ctx, &one.SessionID, uuid.Nil, "test"))
	require.NoError(t, w.EndOwn(ctx, &one.SessionID, uuid.Nil, "test"), "ending it twice is fine")
	_, err = w.Authenticate(t.Context(), one.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)

	require.NoError(t, w.EndOwn(ctx, nil, two.SessionID, "test"))
	_, err = w.Authenticate(t.Context(), three.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	require.NoError(t, w.Logout(ctx))
	_, err = w.Authenticate(t.Context(), two.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	_, err = w.refresh(two.Refresh)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	_, err = w.Authenticate(t.Context(), w.login("li", staffPassword).Access)
	assert.NoError(t, err)
}

// changes is the channel on which replicas tell each other whose rights changed.
const changes = "shuke:identity:changes"

// The clock stands still, so what a replica keeps would be fresh for ever: only
// the pushed message can make it forget.
func TestRevocationReachesOtherReplicasByMessage(t *testing.T) {
	w := newWorld(t)
	other := w.replica()
	p := w.login(AdminUsername, adminPassword)
	require.Eventually(t, func() bool { // until the replica listens, a message may come too early
		_, err := other.Authenticate(t.Context(), p.Access)
		return err == nil && w.Cache.PubSubNumSub(t.Context(), changes).Val()[changes] == 2
	}, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, w.Logout(w.as(p.Access)))
	_, err := w.Authenticate(t.Context(), p.Access)
	assert.True(t, ErrSessionEnded.Is(err), "at once in the same process: %v", err)
	assert.Eventually(t, func() bool {
		_, err := other.Authenticate(t.Context(), p.Access)
		return ErrSessionEnded.Is(err)
	}, time.Second, time.Millisecond, "within a second on another replica")
}

func TestNewSessionIsKnownEverywhereAtOnce(t *testing.T) {
	w := newWorld(t)
	other := w.replica()
	_, err := other.Authenticate(t.Context(), w.login(AdminUsername, adminPassword).Access)
	require.NoError(t, err)
	for range 5 { // the replica holds a fresh copy without these sessions
		_, err := other.Authenticate(t.Context(), w.login(AdminUsername, adminPassword).Access)
		require.NoError(t, err)
	}
}

// A reader that began before a change must not put back what it read.
func TestSlowReaderDoesNotRevive(t *testing.T) {
	w := newWorld(t)
	p := w.login(AdminUsername, adminPassword)
	admin := w.as(p.Access)
	id := auth.Must(admin).ID
	w.principals.DropAll()
	w.Cache.FlushDB(t.Context())

	reading, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := w.principals.Fetch(t.Context(), id, func(ctx context.Context) (*principals.Principal, error) {
			old, err := w.loadStaff(ctx, id)
			close(reading)
			<-goOn
			return old, err
		}, false)
		assert.NoError(t, err)
	}()
	<-reading
	require.NoError(t, w.Logout(admin))
	// A caller during the slow read does not wait for it, nor gets its answer.
	_, err := w.Authenticate(t.Context(), p.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	close(goOn)
	<-done
	w.tokens.Purge() // it remembers by itself that the session has ended
	for _, s := range []*Service{w.Service, w.replica()} {
		_, err = s.Authenticate(t.Context(), p.Access)
		assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	}
}

func TestWithoutRedis(t *testing.T) {
	server := pgtest.NewRedis(t)
	w := newWorldOn(t, server.URL)
	other := w.replica()
	before := w.login(AdminUsername, adminPassword)
	_, err := other.Authenticate(t.Context(), before.Access)
	require.NoError(t, err)
	server.Kill()

	p := w.login(AdminUsername, adminPassword)
	ctx := w.as(p.Access)
	assert.True(t, auth.Must(ctx).Can(auth.StaffManage))
	_, err = other.Authenticate(t.Context(), p.Access)
	require.NoError(t, err)
	next, err := w.refresh(p.Refresh)
	require.NoError(t, err)
	_, err = w.Login(w.from("192.0.2.1", ""), AdminUsername, "wrong")
	assert.True(t, ErrInvalidCredentials.Is(err), "nobody gains access: %v", err)

	_, err = w.CreateStreamTicket(ctx, "/v1/jobs/x/events")
	assert.True(t, apperr.ErrUnavailable.Is(err), "%v", err)

	require.NoError(t, w.Logout(ctx))
	_, err = w.Authenticate(t.Context(), next.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	w.advance(principals.LocalLife) // no message comes, so the other replica's copy must run out
	_, err = other.Authenticate(t.Context(), next.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)

	// What Redis held before must not come back to life with it.
	require.NoError(t, w.EndOwn(w.as(w.login(AdminUsername, adminPassword).Access), &before.SessionID, uuid.Nil, "test"))
	server.Start()
	require.Eventually(t, func() bool { return !w.Cache.Down() && !other.Cache.Down() }, 5*time.Second, 10*time.Millisecond)
	w.advance(principals.LocalLife)
	_, err = other.Authenticate(t.Context(), before.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	w.login(AdminUsername, adminPassword)
}

func TestRedisHoldsNothingReadable(t *testing.T) {
	w := newWorld(t)
	p := w.login(AdminUsername, adminPassword)
	w.admin()
	_, err := w.CreateStreamTicket(w.as(p.Access), "/v1/jobs/secret-path/events")
	require.NoError(t, err)
	_, err = w.Login(w.from("203.0.113.9", ""), AdminUsername, "wrong")
	require.Error(t, err)
	names, err := w.Cache.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, names)
	kinds := 0
	for _, name := range names {
		value, err := w.Cache.Get(t.Context(), name).Result()
		require.NoError(t, err)
		for _, secret := range []string{"admin", "203.0.113.9", "secret-path", p.Access, p.Refresh, "staff.manage"} {
			assert.NotContains(t, name+value, secret)
		}
		kinds++
	}
	assert.Greater(t, kinds, 2)
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	keep, other := w.login(AdminUsername, adminPassword), w.login(AdminUsername, adminPassword)
	ctx := w.as(keep.Access)
	for _, c := range []struct {
		current, next string
		want          *apperr.Definition
	}{
		{"wrong", "eleven purple tractors", ErrWrongPassword},
		{adminPassword, "short", ErrPasswordTooShort},
		{adminPassword, "password123", ErrPasswordTooCommon},
		{adminPassword, "12345678", ErrPasswordTooCommon},
	} {
		err := w.ChangePassword(ctx, c.current, c.next)
		require.True(t, c.want.Is(err), "%s: %v", c.next, err)
		assert.NotEmpty(t, apperr.From(err).Fields)
	}
	_, err := w.Authenticate(t.Context(), other.Access)
	require.NoError(t, err, "a refused change changes nothing")
	require.Empty(t, w.changed)

	require.True(t, ErrPasswordSame.Is(w.ChangePassword(ctx, adminPassword, adminPassword)))
	require.NoError(t, w.ChangePassword(ctx, adminPassword, "eleven purple tractors"))
	assert.Equal(t, []string{AdminUsername}, w.changed)
	_, err = w.Authenticate(t.Context(), keep.Access)
	assert.NoError(t, err)
	_, err = w.Authenticate(t.Context(), other.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	_, err = w.Login(w.from("192.0.2.1", ""), AdminUsername, adminPassword)
	assert.True(t, ErrInvalidCredentials.Is(err), "%v", err)
	w.login(AdminUsername, "eleven purple tractors")
	assert.Zero(t, w.count(`SELECT count(*) FROM audit_logs a WHERE a::text LIKE '%tractors%' OR a::text LIKE '%argon2%'`))
}

func TestResetPassword(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil, everywhere("analyst"))
	open := w.login("li", staffPassword)
	admin := w.admin()
	initial, err := w.ResetPassword(admin, p.ID, nil)
	require.NoError(t, err)
	require.NotEmpty(t, initial)
	_, err = w.Authenticate(t.Context(), open.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	again := w.login("li", initial)
	assert.True(t, again.MustChangePassword)
	require.NoError(t, w.ChangePassword(w.as(again.Access), initial, "eleven purple tractors"))
	assert.False(t, w.login("li", "eleven purple tractors").MustChangePassword)

	_, err = w.ResetPassword(admin, auth.Must(admin).ID, nil)
	assert.True(t, ErrOwnAccount.Is(err), "a stolen token must not set a password: %v", err)
	_, err = w.ResetPassword(w.signedInAs(p.ID), auth.Must(admin).ID, nil)
	assert.True(t, ErrBeyondOwn.Is(err), "nor may a lesser role take over an administrator: %v", err)
}

// signedInAs acts as somebody with the rights they have now.
func (w *world) signedInAs(id uuid.UUID) context.Context {
	w.t.Helper()
	p, err := w.loadStaff(w.t.Context(), id)
	require.NoError(w.t, err)
	a := p.Actor
	a.SessionID = uuid.New()
	return auth.With(w.t.Context(), a)
}

func TestStreamTickets(t *testing.T) {
	w := newWorld(t)
	p := w.login(AdminUsername, adminPassword)
	ctx := w.as(p.Access)
	const path = "/v1/jobs/0192f1a4-7c1e-7b52-9c55-3f3f7f0c2a11/events"
	issue := func(ctx context.Context) string {
		ticket, err := w.CreateStreamTicket(ctx, path)
		require.NoError(t, err)
		return ticket
	}
	good := issue(ctx)
	a, err := w.replica().RedeemStreamTicket(t.Context(), good, path)
	require.NoError(t, err)
	assert.Equal(t, auth.Must(ctx).Permissions, a.Permissions)
	assert.Equal(t, p.SessionID, a.SessionID)
	for name, try := range map[string]struct{ ticket, path string }{
		"twice":        {good, path},
		"another path": {issue(ctx), "/v1/stores/x/order-events"},
		"an invention": {"AAAA", path},
		"empty":        {"", path},
	} {
		_, err := w.RedeemStreamTicket(t.Context(), try.ticket, try.path)
		assert.True(t, ErrTicketInvalid.Is(err), "%s: %v", name, err)
	}
	issue(ctx)
	ttl := w.Cache.TTL(t.Context(), w.Cache.Keys(t.Context(), ticketKey+"*").Val()[0]).Val()
	assert.LessOrEqual(t, ttl, StreamTicketLife)
	assert.Positive(t, ttl)

	ended := issue(ctx)
	require.NoError(t, w.Logout(ctx))
	_, err = w.RedeemStreamTicket(t.Context(), ended, path)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)

	_, key, err := w.CreateKey(w.system(), CreateKeyInput{Name: "till", Permissions: []string{"orders.read"}, AllStores: true})
	require.NoError(t, err)
	a, err = w.RedeemStreamTicket(t.Context(), issue(w.as(key)), path)
	require.NoError(t, err)
	assert.Equal(t, auth.KindAPIKey, a.Kind)
}
