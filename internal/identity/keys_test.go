package identity

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

func TestKeysWorkUntilTheyEnd(t *testing.T) {
	w := newWorld(t)
	st := w.store("SH01", nil)
	soon := w.time().Add(time.Hour)
	made, key, err := w.CreateKey(w.admin(), CreateKeyInput{Name: "till 3", Permissions: []string{"orders.ingest", "customers.lookup"},
		StoreIDs: []uuid.UUID{st.ID}, ExpiresAt: &soon})
	require.NoError(t, err)
	a, err := w.Authenticate(t.Context(), key)
	require.NoError(t, err)
	assert.Equal(t, auth.KindAPIKey, a.Kind)
	assert.Equal(t, made.ID, a.ID)
	assert.Equal(t, "till 3", a.Name)
	assert.Equal(t, []auth.Permission{auth.CustomersLookup, auth.OrdersIngest}, a.Permissions.List())
	assert.Equal(t, auth.Scope{StoreIDs: []uuid.UUID{st.ID}}, a.Scope)
	assert.NotNil(t, made.CreatedBy)

	// The right id with another secret, checksum and all.
	_, other := newKey()
	head := key[:len(keyLive)+keyIDSize+1] + other[len(keyLive)+keyIDSize+1:keyLength-keyChecksum]
	for name, bad := range map[string]string{"another secret": head + checksum(head), "unknown": other, "mistyped": key[:len(key)-1] + "0", "cut": key[:20]} {
		_, err := w.Authenticate(t.Context(), bad)
		assert.True(t, apperr.ErrUnauthenticated.Is(err), "%s: %v", name, err)
	}
	assert.Zero(t, w.count(`SELECT count(*) FROM api_keys k, audit_logs a, outbox_events e
		WHERE k::text LIKE '%' || $1 || '%' OR a::text LIKE '%' || $1 || '%' OR e::text LIKE '%' || $1 || '%'`, key[len(keyLive)+keyIDSize+1:]), "the key is nowhere")

	w.advance(time.Hour)
	_, err = w.Authenticate(t.Context(), key)
	assert.True(t, apperr.ErrUnauthenticated.Is(err), "it has run out: %v", err)

	_, lasting, err := w.CreateKey(w.admin(), CreateKeyInput{Name: "till 4", Permissions: []string{"orders.ingest"}, AllStores: true})
	require.NoError(t, err)
	replica := w.replica()
	a, err = replica.Authenticate(t.Context(), lasting)
	require.NoError(t, err)
	assert.True(t, a.Scope.All)
	require.Eventually(t, func() bool { return w.Cache.PubSubNumSub(t.Context(), changes).Val()[changes] == 2 }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, w.RevokeKey(w.admin(), a.ID))
	require.NoError(t, w.RevokeKey(w.admin(), a.ID), "twice changes nothing")
	_, err = w.Authenticate(t.Context(), lasting)
	assert.True(t, apperr.ErrUnauthenticated.Is(err), "%v", err)
	assert.Eventually(t, func() bool {
		_, err := replica.Authenticate(t.Context(), lasting)
		return apperr.ErrUnauthenticated.Is(err)
	}, time.Second, time.Millisecond)
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'api_keys.revoke'`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM outbox_events WHERE type = 'api_key.revoked'`))
}

func TestKeyUseIsNotedByTheMinute(t *testing.T) {
	w := newWorld(t)
	made, key, err := w.CreateKey(w.system(), CreateKeyInput{Name: "till", Permissions: []string{"orders.read"}, AllStores: true})
	require.NoError(t, err)
	used := func() time.Time {
		w.notes.Wait()
		k, err := w.db.Platform.APIKey.Get(w.system(), made.ID)
		require.NoError(t, err)
		require.NotNil(t, k.LastUsedAt)
		return k.LastUsedAt.UTC()
	}
	first := w.time()
	for range 3 {
		w.as(key)
		assert.Equal(t, first, used())
		w.advance(20*time.Second - time.Millisecond)
	}
	w.advance(time.Second)
	w.as(key)
	assert.Equal(t, w.time(), used())
}

func TestKeysAreChecked(t *testing.T) {
	w := newWorld(t)
	st := w.store("SH01", nil)
	past := w.time()
	for name, c := range map[string]struct {
		in   CreateKeyInput
		want *apperr.Definition
	}{
		"unknown permission":  {CreateKeyInput{Permissions: []string{"magic.cast"}, AllStores: true}, ErrPermissionUnknown},
		"run out":             {CreateKeyInput{Permissions: []string{"orders.read"}, AllStores: true, ExpiresAt: &past}, ErrAPIKeyExpired},
		"no stores at all":    {CreateKeyInput{Permissions: []string{"orders.read"}}, ErrAPIKeyScope},
		"all stores and some": {CreateKeyInput{Permissions: []string{"orders.read"}, AllStores: true, StoreIDs: []uuid.UUID{st.ID}}, ErrAPIKeyScope},
		"a store that isn't":  {CreateKeyInput{Permissions: []string{"orders.read"}, StoreIDs: []uuid.UUID{uuid.New()}}, ErrStoreUnknown},
	} {
		c.in.Name = name
		_, _, err := w.CreateKey(w.system(), c.in)
		assert.True(t, c.want.Is(err), "%s: %v", name, err)
	}
	assert.Zero(t, w.count(`SELECT count(*) FROM api_keys`))
}

func TestKeysHaveNoSession(t *testing.T) {
	w := newWorld(t)
	_, key, err := w.CreateKey(w.system(), CreateKeyInput{Name: "till", Permissions: []string{"orders.read"}, AllStores: true})
	require.NoError(t, err)
	ctx := w.as(key)
	_, err = w.OwnSessions(ctx, uuid.Nil, 1)
	for name, err := range map[string]error{
		"list":     err,
		"logout":   w.Logout(ctx),
		"end":      w.EndOwn(ctx, nil, uuid.Nil, "test"),
		"password": w.ChangePassword(ctx, adminPassword, "eleven purple tractors"),
	} {
		assert.True(t, ErrSessionNeeded.Is(err), "%s: %v", name, err)
	}
}

func TestKeysBeyondTheScopeAreOutOfSight(t *testing.T) {
	w := newWorld(t)
	shanghai, beijing := w.store("SH01", nil), w.store("BJ01", nil)
	w.role("keeper", auth.APIKeysManage, auth.OrdersRead)
	w.person("keeper", &shanghai.ID, inStore("keeper", shanghai.ID))
	ctx := w.signedIn("keeper")
	issue := func(name string, all bool, stores ...uuid.UUID) uuid.UUID {
		k, _, err := w.CreateKey(w.system(), CreateKeyInput{Name: name, Permissions: []string{"orders.read"}, AllStores: all, StoreIDs: stores})
		require.NoError(t, err)
		return k.ID
	}
	near, far, both, all := issue("near", false, shanghai.ID), issue("far", false, beijing.ID), issue("both", false, shanghai.ID, beijing.ID), issue("all", true)
	visible, err := visibleKeys(ctx)
	require.NoError(t, err)
	ids, err := w.db.Platform.APIKey.Query().Where(visible...).IDs(ctx)
	require.NoError(t, err)
	assert.Equal(t, []uuid.UUID{near}, ids)
	for _, id := range []uuid.UUID{far, both, all} {
		assert.True(t, ErrAPIKeyNotFound.Is(w.RevokeKey(ctx, id)))
	}
	assert.NoError(t, w.RevokeKey(ctx, near))
}

func BenchmarkAuthenticate(b *testing.B) {
	w := benchWorld(b)
	for name, bearer := range map[string]string{"token": w.token, "key": w.key} {
		b.Run(name, func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Authenticate(ctx, bearer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
