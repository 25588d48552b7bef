package identity

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform/role"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
)

func TestConcurrentStartersMakeOneAdministrator(t *testing.T) {
	w := newWorld(t)
	_, err := w.db.Exec(t.Context(), `DELETE FROM role_grants`)
	require.NoError(t, err)
	_, err = w.db.Exec(t.Context(), `DELETE FROM staff`)
	require.NoError(t, err)
	_, err = w.db.Exec(t.Context(), `DELETE FROM roles WHERE code = 'auditor'`)
	require.NoError(t, err)
	var wg sync.WaitGroup
	initials := make([]string, 6)
	for i := range initials {
		wg.Go(func() {
			assert.NoError(t, w.EnsureBuiltInRoles(t.Context()))
			var err error
			initials[i], err = w.EnsureAdmin(t.Context(), "")
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM staff`))
	assert.Equal(t, len(auth.BuiltInRoles), w.count(`SELECT count(*) FROM roles WHERE built_in`))
	secret := ""
	for _, s := range initials {
		if s != "" {
			assert.Empty(t, secret, "two starters were told a password")
			secret = s
		}
	}
	a, err := w.Authenticate(t.Context(), w.login(AdminUsername, secret).Access)
	require.NoError(t, err)
	assert.True(t, a.Scope.All)
	assert.Len(t, a.Permissions, len(auth.All()))
}

func TestBuiltInRolesFollowTheRelease(t *testing.T) {
	w := newWorld(t)
	before, err := w.db.Platform.Role.Query().Where(role.Code("auditor")).Only(w.system())
	require.NoError(t, err)
	require.NoError(t, w.EnsureBuiltInRoles(t.Context()))
	same, err := w.db.Platform.Role.Get(w.system(), before.ID)
	require.NoError(t, err)
	assert.Equal(t, before.Version, same.Version, "an unchanged role is left alone")

	w.person("zhou", nil, everywhere("auditor"))
	ctx := w.signedIn("zhou")
	_, err = w.db.Exec(t.Context(), `UPDATE roles SET permissions = '{audit.read}' WHERE code = 'auditor'`)
	require.NoError(t, err)
	require.NoError(t, w.EnsureBuiltInRoles(t.Context()))
	restored, err := w.db.Platform.Role.Get(w.system(), before.ID)
	require.NoError(t, err)
	assert.Equal(t, before.Permissions, restored.Permissions)
	assert.True(t, auth.Must(ctx).Can(auth.JobsRead))
}

func TestLoginAnswersAlikeForUnknownAndWrong(t *testing.T) {
	w := newWorld(t)
	_, wrong := w.Login(w.from("192.0.2.1", ""), AdminUsername, "not the password")
	_, unknown := w.Login(w.from("192.0.2.1", ""), "nobody", "not the password")
	assert.True(t, ErrInvalidCredentials.Is(wrong), "%v", wrong)
	assert.Equal(t, wrong, unknown)
	// Names in any case, with blanks around them.
	_, err := w.Login(w.from("192.0.2.1", ""), "  ADMIN ", adminPassword)
	assert.NoError(t, err)

	// The costly part is done for unknown names too. The fastest of several, so
	// that a busy machine does not matter.
	fastest := func(username string) time.Duration {
		best := time.Hour
		for i := range 4 {
			began := time.Now()
			_, err := w.Login(w.from("198.51.100."+string(rune('1'+i)), ""), username, "not the password")
			best = min(best, time.Since(began))
			assert.True(t, ErrInvalidCredentials.Is(err), "%v", err)
		}
		return best
	}
	known, nobody := fastest(AdminUsername), fastest("somebody-else")
	assert.Greater(t, nobody, known/3)
	assert.Greater(t, known, nobody/3)
}

func TestFailedSignInIsAuditedWithoutWhatWasTyped(t *testing.T) {
	w := newWorld(t)
	_, err := w.Login(w.from("192.0.2.7", "curl"), "Hunter2-typed-as-name", "hunter2-secret")
	require.Error(t, err)
	_, err = w.Login(w.from("192.0.2.7", "curl"), AdminUsername, "hunter2-secret")
	require.Error(t, err)
	w.login(AdminUsername, adminPassword)
	assert.Equal(t, 2, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.sign_in_failed' AND changes->>'ip' = '192.0.2.7' AND changes->>'user_agent' = 'curl'`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.sign_in' AND actor_name = 'admin'`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM outbox_events WHERE type = 'session.created'`))
	assert.Zero(t, w.count(`SELECT count(*) FROM audit_logs a WHERE a::text ILIKE '%hunter2%'`))
	assert.Zero(t, w.count(`SELECT count(*) FROM sessions s WHERE s::text LIKE '%shr_%'`), "refresh tokens are stored as hashes")
}

func TestDisabledStaffAreRefused(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil, everywhere("analyst"))
	access := w.login("li", staffPassword).Access
	disabled := staff.StatusDisabled
	_, err := w.UpdateStaff(w.admin(), p.ID, nil, UpdateStaffInput{Status: &disabled})
	require.NoError(t, err)
	_, err = w.Authenticate(t.Context(), access)
	assert.True(t, ErrSessionEnded.Is(err), "open sessions end at once: %v", err)
	_, err = w.Login(w.from("192.0.2.1", ""), "li", staffPassword)
	assert.True(t, ErrDisabled.Is(err), "%v", err)
	_, err = w.Login(w.from("192.0.2.1", ""), "li", "wrong password")
	assert.True(t, ErrInvalidCredentials.Is(err), "who does not know the password learns nothing: %v", err)

	active := staff.StatusActive
	_, err = w.UpdateStaff(w.admin(), p.ID, nil, UpdateStaffInput{Status: &active})
	require.NoError(t, err)
	_, err = w.Authenticate(t.Context(), access)
	assert.True(t, ErrSessionEnded.Is(err), "sessions do not come back: %v", err)
	w.login("li", staffPassword)
}

func TestGuessingIsPutOff(t *testing.T) {
	for name, redisURL := range map[string]func() string{
		"counted in Redis":   func() string { return pgtest.Redis(t) },
		"counted in process": func() string { r := pgtest.NewRedis(t); r.Kill(); return r.URL },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorldOn(t, redisURL())
			w.login(AdminUsername, adminPassword) // 192.0.2.1 is a known address now
			attacker := w.from("203.0.113.9", "")
			for range perAddress.free {
				_, err := w.Login(attacker, AdminUsername, "guess")
				require.True(t, ErrInvalidCredentials.Is(err), "%v", err)
			}
			_, err := w.Login(attacker, AdminUsername, adminPassword)
			require.True(t, ErrTooManyAttempts.Is(err), "even the right password waits: %v", err)
			assert.Equal(t, 1, apperr.From(err).Args["retry_after"])

			// Guessing from many addresses slows the account down, but not its owner.
			for i := range perAccount.free + 5 {
				_, err := w.Login(w.from("203.0.113."+string(rune('a'+i)), ""), AdminUsername, "guess")
				require.Error(t, err)
			}
			_, err = w.Login(w.from("203.0.113.200", ""), AdminUsername, adminPassword)
			assert.True(t, ErrTooManyAttempts.Is(err), "a new address waits: %v", err)
			w.login(AdminUsername, adminPassword)

			// A success takes the counts back.
			_, err = w.Login(w.from("203.0.113.201", ""), AdminUsername, adminPassword)
			assert.NoError(t, err)
			// Waiting is enough: nothing is for good.
			w.advance(2 * time.Second)
			time.Sleep(1100 * time.Millisecond)
			_, err = w.Login(attacker, AdminUsername, adminPassword)
			assert.NoError(t, err)
		})
	}
}

func TestOldestSessionsGiveWay(t *testing.T) {
	w := newWorld(t)
	first := w.login(AdminUsername, adminPassword)
	_, err := w.db.Exec(t.Context(), `
		INSERT INTO sessions (id, staff_id, refresh_hash, created_at, last_used_at, expires_at)
		SELECT ('ffffffff-ffff-7fff-8fff-' || lpad(i::text, 12, '0'))::uuid, staff_id, refresh_hash, created_at, last_used_at, expires_at
		FROM sessions, generate_series(1, $1::int) i WHERE id = $2`, maxSessions-1, first.SessionID)
	require.NoError(t, err)
	w.login(AdminUsername, adminPassword)
	assert.Equal(t, maxSessions, w.count(`SELECT count(*) FROM sessions WHERE revoked_at IS NULL`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM sessions WHERE revoked_reason = 'too_many'`))
	_, err = w.Authenticate(t.Context(), first.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
}

// A hash takes 19 MiB, so 1,000 sign-ins that come at once would take 19 GiB.
// They wait for one another instead, and whoever has waited too long goes away.
func TestAStormOfSignInsKeepsWithinMemory(t *testing.T) {
	w := newWorld(t)
	w.login(AdminUsername, adminPassword)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtime.GC()
	metrics.Read(sample)
	before, peak := sample[0].Value.Uint64(), uint64(0)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				metrics.Read(sample)
				peak = max(peak, sample[0].Value.Uint64())
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var judged, gone atomic.Int32
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			from := WithClient(ctx, Client{IP: fmt.Sprintf("198.51.%d.%d", i/250, i%250)})
			// Each of another name, so that no limit on an account spares the work;
			// an unknown name costs as much as a known one.
			if _, err := w.Login(from, fmt.Sprint("user", i), adminPassword); ErrInvalidCredentials.Is(err) {
				judged.Add(1)
			} else {
				assert.Error(t, err)
				gone.Add(1)
			}
		})
	}
	wg.Wait()
	close(done)
	watching.Wait()
	t.Logf("%d judged, %d gone; the heap grew by at most %d MiB", judged.Load(), gone.Load(), (peak-min(before, peak))>>20)
	assert.Greater(t, judged.Load(), int32(4))
	assert.Less(t, peak, uint64(512<<20))
	w.login(AdminUsername, adminPassword) // and all is well again
}
