package identity

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// knows reports whether a bearer from an address is let in by a replica.
func (w *world) knows(s *Service, ip, bearer string) bool {
	_, err := s.Authenticate(w.from(ip, "till"), bearer)
	if err != nil {
		require.True(w.t, apperr.ErrUnauthenticated.Is(err), "%v", err)
	}
	return err == nil
}

func TestRotationKeepsMachinesRunning(t *testing.T) {
	w := newWorld(t)
	made, first, err := w.CreateKey(w.admin(), CreateKeyInput{Name: "erp", Permissions: []string{"orders.read"}, AllStores: true})
	require.NoError(t, err)
	require.True(t, w.knows(w.Service, "198.51.100.7", first))
	w.notes.Wait()
	w.advance(time.Hour)
	after, second, err := w.RotateKey(w.admin(), made.ID, 24*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, made.KeyID, after.KeyID)
	assert.NotEqual(t, first, second)
	other := w.replica()
	for _, s := range []*Service{w.Service, other} {
		assert.True(t, w.knows(s, "198.51.100.7", first))
		assert.True(t, w.knows(s, "198.51.100.8", second))
	}
	_, _, err = w.RotateKey(w.admin(), made.ID, time.Hour)
	assert.True(t, ErrAPIKeyTwoLive.Is(err), "two live, no third: %v", err)

	w.notes.Wait()
	other.notes.Wait()
	k, err := w.db.Platform.APIKey.Get(w.system(), made.ID)
	require.NoError(t, err)
	shown := toAPIKey(k, w.time())
	require.Len(t, shown.Secrets, 2)
	assert.Equal(t, "198.51.100.8", shown.Secrets[0].LastUsedIp.MustGet())
	assert.Equal(t, w.time(), shown.Secrets[0].CreatedAt.UTC())
	assert.Equal(t, "198.51.100.7", shown.Secrets[1].LastUsedIp.MustGet())
	assert.Equal(t, w.time().Add(24*time.Hour), shown.Secrets[1].EndsAt.MustGet().UTC())
	assert.Equal(t, made.CreatedAt.UTC(), shown.Secrets[1].CreatedAt.UTC())

	w.advance(24*time.Hour - time.Second)
	assert.True(t, w.knows(other, "198.51.100.7", first))
	w.advance(time.Second)
	assert.False(t, w.knows(w.Service, "198.51.100.7", first), "the grace is over")
	assert.False(t, w.knows(other, "198.51.100.7", first))
	assert.True(t, w.knows(other, "198.51.100.7", second))

	// In a hurry: the old one ends with the rotation.
	_, third, err := w.RotateKey(w.admin(), made.ID, 0)
	require.NoError(t, err)
	assert.False(t, w.knows(w.Service, "", second))
	assert.True(t, w.knows(w.Service, "", third))
	// And one that was kept is ended early.
	_, fourth, err := w.RotateKey(w.admin(), made.ID, time.Hour)
	require.NoError(t, err)
	assert.True(t, w.knows(w.Service, "", third))
	_, err = w.UpdateKey(w.admin(), made.ID, nil, UpdateKeyInput{EndPrevious: true})
	require.NoError(t, err)
	assert.False(t, w.knows(w.Service, "", third))
	assert.True(t, w.knows(w.Service, "", fourth))

	require.NoError(t, w.RevokeKey(w.admin(), made.ID))
	for _, key := range []string{first, second, third, fourth} {
		assert.False(t, w.knows(w.Service, "", key))
	}
	_, _, err = w.RotateKey(w.admin(), made.ID, 0)
	assert.True(t, ErrAPIKeyEnded.Is(err), "%v", err)
	assert.Zero(t, w.count(`SELECT count(*) FROM audit_logs a, outbox_events e WHERE a::text LIKE '%' || $1 || '%' OR e::text LIKE '%' || $1 || '%'`, fourth[len(keyLive)+keyIDSize+1:]))
}

func TestKeysAreUsedFromWhereTheyMay(t *testing.T) {
	w := newWorld(t)
	made, key, err := w.CreateKey(w.admin(), CreateKeyInput{Name: "erp", Permissions: []string{"orders.read"}, AllStores: true,
		AllowedIPs: []string{"203.0.113.0/24", "198.51.100.9", "2001:db8:5::/48", "::ffff:192.0.2.128/121"}})
	require.NoError(t, err)
	assert.Equal(t, []string{"192.0.2.128/25", "198.51.100.9/32", "2001:db8:5::/48", "203.0.113.0/24"}, []string(made.AllowedIps))
	other := w.replica()
	for ip, want := range map[string]bool{
		"203.0.113.77": true, "::ffff:203.0.113.77": true, "203.0.114.1": false, "198.51.100.9": true, "198.51.100.10": false,
		"2001:db8:5:1::9": true, "2001:db8:6::1": false, "192.0.2.129": true, "192.0.2.127": false, "": false, "nonsense": false,
	} {
		assert.Equal(t, want, w.knows(w.Service, ip, key), ip)
		assert.Equal(t, want, w.knows(other, ip, key), ip)
	}
	_, err = w.UpdateKey(w.admin(), made.ID, nil, UpdateKeyInput{AllowedIPs: &[]string{"10.0.0.0/8"}, PerMinute: nullable.NewNullableWithValue[int32](90)})
	require.NoError(t, err)
	assert.False(t, w.knows(w.Service, "203.0.113.77", key), "felt at once")
	a, err := w.Authenticate(w.from("10.2.3.4", ""), key)
	require.NoError(t, err)
	assert.Equal(t, 90, a.RequestsPerMinute)
	_, err = w.UpdateKey(w.admin(), made.ID, nil, UpdateKeyInput{AllowedIPs: &[]string{}, PerMinute: nullable.NewNullNullable[int32]()})
	require.NoError(t, err)
	a, err = w.Authenticate(w.from("203.0.113.77", ""), key)
	require.NoError(t, err)
	assert.Zero(t, a.RequestsPerMinute)

	for _, bad := range []string{"somewhere", "203.0.113.0/33", "fe80::1%eth0", "::ffff:0:0/64", ""} {
		_, err := w.UpdateKey(w.admin(), made.ID, nil, UpdateKeyInput{AllowedIPs: &[]string{"10.0.0.0/8", bad}})
		assert.True(t, ErrAPIKeyAddress.Is(err), "%q: %v", bad, err)
	}
	everything, err := addressRange("0.0.0.0/0")
	require.NoError(t, err)
	assert.Equal(t, netip.MustParsePrefix("0.0.0.0/0"), everything)
}

// Whoever is shown a secret has the key's rights, so nobody rotates a key that
// may do more than they may.
func TestNobodyRotatesAKeyBeyondTheirRights(t *testing.T) {
	w := newWorld(t)
	shop := w.store("SH01", nil)
	w.role("keeper", auth.APIKeysManage, auth.OrdersRead)
	w.person("keeper", &shop.ID, inStore("keeper", shop.ID))
	ctx := w.signedIn("keeper")
	issue := func(permissions ...string) uuid.UUID {
		k, _, err := w.CreateKey(w.system(), CreateKeyInput{Name: "k", Permissions: permissions, StoreIDs: []uuid.UUID{shop.ID}})
		require.NoError(t, err)
		return k.ID
	}
	within, beyond := issue("orders.read"), issue("orders.read", "customers.read")
	_, _, err := w.RotateKey(ctx, within, time.Hour)
	require.NoError(t, err)
	_, _, err = w.RotateKey(ctx, beyond, time.Hour)
	assert.True(t, ErrBeyondOwn.Is(err), "%v", err)
	_, err = w.UpdateKey(ctx, beyond, nil, UpdateKeyInput{AllowedIPs: &[]string{}})
	assert.True(t, ErrBeyondOwn.Is(err), "%v", err)
	require.NoError(t, w.RevokeKey(ctx, beyond), "ending it needs no more than to see it")
}

// A new signing key ends nobody's session: tokens under the one before are good
// to their end, and refreshing gives tokens under the new one, however often
// keys change meanwhile.
func TestNewSigningKeysSignNobodyOut(t *testing.T) {
	w := newWorld(t)
	pair := w.login(AdminUsername, adminPassword)
	other := w.replica()
	w.keys.RotateSigningKey()
	for _, s := range []*Service{w.Service, other} {
		_, err := s.Authenticate(t.Context(), pair.Access)
		require.NoError(t, err)
	}
	w.keys.RotateSigningKey()
	_, err := w.Authenticate(t.Context(), pair.Access)
	assert.True(t, apperr.ErrUnauthenticated.Is(err), "two keys later, long after its end in practice: %v", err)
	next, err := other.Refresh(w.from("192.0.2.1", "till"), pair.Refresh)
	require.NoError(t, err)
	assert.Equal(t, pair.SessionID, next.SessionID)
	_, err = w.Authenticate(t.Context(), next.Access)
	require.NoError(t, err)
}
