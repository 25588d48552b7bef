package identity

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/ent/platform/rolegrant"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/password"
)

var noon = time.Date(2026, 7, 1, 4, 0, 0, 0, time.UTC)

func TestResolveAddsUpGrantsInForce(t *testing.T) {
	me, a, b, c := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	past, soon, later := noon.Add(-time.Second), noon.Add(time.Hour), noon.Add(2*time.Hour)
	permissions, scope, reach, until := resolve(me, []grantedRole{
		{scope: rolegrant.ScopeStore, store: &a, permissions: []string{"orders.read"}, expires: &later},
		{scope: rolegrant.ScopeRegion, regionStores: []uuid.UUID{b, a}, permissions: []string{"stores.read"}, expires: &soon},
		{scope: rolegrant.ScopeOwn, permissions: []string{"customers.read"}},
		{scope: rolegrant.ScopeAll, permissions: []string{"staff.manage"}, expires: &past},
		{scope: rolegrant.ScopeStore, store: &c, permissions: []string{"audit.read"}, expires: &noon}, // runs out this instant
	}, noon)
	assert.Equal(t, []auth.Permission{"customers.read", "orders.read", "stores.read"}, permissions.List())
	assert.False(t, scope.All)
	assert.Equal(t, me, scope.OwnStaff)
	assert.ElementsMatch(t, []uuid.UUID{a, b}, scope.StoreIDs)
	assert.Equal(t, auth.Scope{OwnStaff: me}, reach["customers.read"], "each permission goes as far as its own grants")
	assert.Equal(t, auth.Scope{StoreIDs: []uuid.UUID{a}}, reach["orders.read"])
	assert.NotContains(t, reach, auth.Permission("staff.manage"))
	assert.Equal(t, soon, until, "rights change when the first grant runs out")

	_, scope, reach, until = resolve(me, nil, noon)
	assert.Nil(t, reach)
	assert.Equal(t, auth.Scope{}, scope, "without grants nothing is seen")
	assert.True(t, until.IsZero())
}

func TestNobodyHandsOnWhatTheyLack(t *testing.T) {
	mine, other, region, otherRegion := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	manager := holding{
		actor:   auth.Actor{Permissions: auth.NewPermissionSet(auth.StaffManage, auth.OrdersRead), Scope: auth.Scope{StoreIDs: []uuid.UUID{mine}}},
		regions: map[uuid.UUID]auth.PermissionSet{region: auth.NewPermissionSet(auth.OrdersRead)},
	}
	system := holding{actor: auth.Actor{Kind: auth.KindSystem}}
	assert.Empty(t, manager.lacks([]string{"orders.read"}))
	assert.Equal(t, "audit.read", manager.lacks([]string{"orders.read", "audit.read"}))
	assert.Empty(t, system.lacks([]string{"audit.read"}))

	for name, c := range map[string]struct {
		reach reach
		want  bool
	}{
		"own store":                {reach{scope: rolegrant.ScopeStore, store: &mine}, true},
		"another store":            {reach{scope: rolegrant.ScopeStore, store: &other}, false},
		"everything":               {reach{scope: rolegrant.ScopeAll}, false},
		"own region":               {reach{scope: rolegrant.ScopeRegion, region: &region}, true},
		"another region":           {reach{scope: rolegrant.ScopeRegion, region: &otherRegion}, false},
		"own rows, same store":     {reach{scope: rolegrant.ScopeOwn, home: &mine}, true},
		"own rows, other store":    {reach{scope: rolegrant.ScopeOwn, home: &other}, false},
		"own rows, head office":    {reach{scope: rolegrant.ScopeOwn}, false},
		"store scope without id":   {reach{scope: rolegrant.ScopeStore}, false},
		"a scope that is no scope": {reach{scope: "galaxy"}, false},
	} {
		assert.Equal(t, c.want, manager.covers(auth.OrdersRead, c.reach), name)
		assert.True(t, holding{actor: auth.Actor{Scope: auth.Scope{All: true}}}.covers(auth.OrdersRead, c.reach), "who sees everything covers %s", name)
		assert.False(t, holding{}.covers(auth.OrdersRead, c.reach), "who has nothing does not cover %s", name)
	}
}

func TestEachPermissionIsHandedOnAsFarAsItIsHeld(t *testing.T) {
	store, region := uuid.New(), uuid.New()
	// Staff manager of a store, reader of the whole business, customers of their own.
	mixed := holding{
		actor: auth.Actor{
			Permissions: auth.NewPermissionSet(auth.StaffManage, auth.OrdersRead, auth.CustomersUpdate),
			Scope:       auth.Scope{All: true},
			Reach: map[auth.Permission]auth.Scope{
				auth.StaffManage: {StoreIDs: []uuid.UUID{store}}, auth.OrdersRead: {All: true}, auth.CustomersUpdate: {OwnStaff: uuid.New()},
			},
		},
		regions: map[uuid.UUID]auth.PermissionSet{region: auth.NewPermissionSet(auth.StaffManage)},
	}
	inStore, everywhere, inRegion := reach{scope: rolegrant.ScopeStore, store: &store}, reach{scope: rolegrant.ScopeAll}, reach{scope: rolegrant.ScopeRegion, region: &region}
	assert.True(t, mixed.covers(auth.StaffManage, inStore))
	assert.False(t, mixed.covers(auth.StaffManage, everywhere), "seeing everything elsewhere does not widen this permission")
	assert.True(t, mixed.covers(auth.StaffManage, inRegion))
	assert.True(t, mixed.covers(auth.OrdersRead, everywhere))
	assert.False(t, mixed.covers(auth.CustomersUpdate, inStore), "own customers are not a store")
	assert.Empty(t, mixed.lacksEverywhere([]string{"orders.read"}))
	assert.Equal(t, "staff.manage", mixed.lacksEverywhere([]string{"orders.read", "staff.manage"}))
}

func TestGrantShape(t *testing.T) {
	id := uuid.New()
	assert.True(t, reach{scope: rolegrant.ScopeStore, store: &id}.wellFormed())
	assert.True(t, reach{scope: rolegrant.ScopeRegion, region: &id}.wellFormed())
	assert.True(t, reach{scope: rolegrant.ScopeOwn}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeAll, store: &id}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeStore}.wellFormed())
	assert.False(t, reach{scope: rolegrant.ScopeRegion, store: &id, region: &id}.wellFormed())
}

func TestWaitGrowsAndIsNeverForGood(t *testing.T) {
	assert.Zero(t, perAddress.wait(perAddress.free-1))
	assert.Equal(t, time.Second, perAddress.wait(perAddress.free))
	assert.Equal(t, 4*time.Second, perAddress.wait(perAddress.free+2))
	assert.Equal(t, perAddress.longest, perAddress.wait(1000))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 10_000).Draw(t, "n")
		a := rapid.SampledFrom([]attempts{perAddress, perAccount}).Draw(t, "kind")
		assert.LessOrEqual(t, a.wait(n), a.wait(n+1))
		assert.LessOrEqual(t, a.wait(n+1), a.longest)
	})
}

func TestAccessTokenIsStrict(t *testing.T) {
	ring := crypto.Generate()
	keys, staffID, sessionID := ring.SigningKeys(), uuid.New(), uuid.New()
	good, err := signAccess(keys.Current, staffID, sessionID, noon)
	require.NoError(t, err)
	a, err := verifyAccess(keys, good, noon.Add(time.Minute))
	require.NoError(t, err)
	assert.Equal(t, staffID, a.staffID)
	assert.Equal(t, sessionID, a.sessionID)
	assert.True(t, a.expires.Equal(noon.Add(AccessLife)))

	_, err = verifyAccess(keys, good, noon.Add(AccessLife+time.Minute))
	assert.True(t, apperr.ErrTokenExpired.Is(err), "%v", err)

	claims := func(change func(*accessClaims)) accessClaims {
		c := accessClaims{RegisteredClaims: jwt.RegisteredClaims{Issuer: tokenIssuer, Audience: jwt.ClaimStrings{tokenAudience}, Subject: staffID.String(),
			IssuedAt: jwt.NewNumericDate(noon), ExpiresAt: jwt.NewNumericDate(noon.Add(AccessLife))}, SessionID: sessionID.String()}
		change(&c)
		return c
	}
	same := func(*accessClaims) {}
	sign := func(method jwt.SigningMethod, key any, typ, kid string, c accessClaims) string {
		tok := jwt.NewWithClaims(method, c)
		tok.Header["typ"], tok.Header["kid"] = typ, kid
		text, err := tok.SignedString(key)
		require.NoError(t, err)
		return text
	}
	key, kid := keys.Current.Key, keys.Current.ID
	parts := strings.Split(good, ".")
	other := crypto.Generate().SigningKeys().Current
	for name, text := range map[string]string{
		"alg none":                sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, tokenType, kid, claims(same)),
		"alg HS512":               sign(jwt.SigningMethodHS512, key, tokenType, kid, claims(same)),
		"alg HS384":               sign(jwt.SigningMethodHS384, key, tokenType, kid, claims(same)),
		"another type":            sign(jwt.SigningMethodHS256, key, "JWT", kid, claims(same)),
		"no kid":                  sign(jwt.SigningMethodHS256, key, tokenType, "", claims(same)),
		"unknown kid":             sign(jwt.SigningMethodHS256, key, tokenType, "0123456789ab", claims(same)),
		"our kid, foreign key":    sign(jwt.SigningMethodHS256, other.Key, tokenType, kid, claims(same)),
		"another issuer":          sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.Issuer = "other" })),
		"another audience":        sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.Audience = jwt.ClaimStrings{"other"} })),
		"no audience":             sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.Audience = nil })),
		"no expiry":               sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.ExpiresAt = nil })),
		"no issue time":           sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.IssuedAt = nil })),
		"issued in the future":    sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.IssuedAt = jwt.NewNumericDate(noon.Add(time.Hour)) })),
		"lives too long":          sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.ExpiresAt = jwt.NewNumericDate(noon.Add(24 * time.Hour)) })),
		"subject is no id":        sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.Subject = "admin" })),
		"no session":              sign(jwt.SigningMethodHS256, key, tokenType, kid, claims(func(c *accessClaims) { c.SessionID = "" })),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"payload changed":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"signature not canonical": parts[0] + "." + parts[1] + "." + flipLastBits(parts[2]),
		"empty":                   "",
		"not a token":             "hello",
	} {
		_, err := verifyAccess(keys, text, noon)
		assert.True(t, apperr.ErrUnauthenticated.Is(err), "%s: %v", name, err)
	}

	ring.RotateSigningKey()
	_, err = verifyAccess(ring.SigningKeys(), good, noon)
	assert.NoError(t, err, "the key before is still accepted")
	ring.RotateSigningKey()
	_, err = verifyAccess(ring.SigningKeys(), good, noon)
	assert.Error(t, err, "older ones are not")
}

// flipLastBits changes bits of the last base64 character that decode to nothing.
func flipLastBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i^1])
}

func TestRefreshTokenNamesItsSession(t *testing.T) {
	keys, id := crypto.Generate(), uuid.New()
	token := newRefresh(keys, id)
	got, ok := parseRefresh(keys, token)
	require.True(t, ok)
	assert.Equal(t, id, got)
	assert.NotEqual(t, token, newRefresh(keys, id), "each is random")
	for i := range token {
		changed := []byte(token)
		changed[i] ^= 1
		_, ok := parseRefresh(keys, string(changed))
		assert.False(t, ok, "changed at %d", i)
	}
	_, ok = parseRefresh(crypto.Generate(), token)
	assert.False(t, ok, "another business' token")
}

func TestKeyFormat(t *testing.T) {
	id, key := newKey()
	assert.Regexp(t, `^shk_live_[a-z2-7]{12}_[a-z2-7]{59}$`, key)
	got, ok := parseKey(key)
	require.True(t, ok)
	assert.Equal(t, id, got)
	for i := range key {
		changed := []byte(key)
		if changed[i] == 'a' {
			changed[i] = 'b'
		} else {
			changed[i] = 'a'
		}
		_, ok := parseKey(string(changed))
		assert.False(t, ok, "a typing error at %d is noticed", i)
	}
	_, ok = parseKey(key[:len(key)-1])
	assert.False(t, ok)
	_, ok = parseKey(key + "a")
	assert.False(t, ok)
}

func TestInitialPasswordsPassThePolicy(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := newPassword()
		require.NoError(t, password.Check(p, "wang"))
		assert.Regexp(t, `^([a-z2-9]{5}-){3}[a-z2-9]{5}$`, p)
		assert.False(t, seen[p])
		seen[p] = true
	}
}

func TestClientHeadersFitTheirColumns(t *testing.T) {
	c := clientOf(WithClient(t.Context(), Client{IP: strings.Repeat("1", 100), UserAgent: "a\x00" + strings.Repeat("数", 200) + "\xff"}))
	assert.Len(t, c.IP, 45)
	assert.LessOrEqual(t, len(c.UserAgent), 300)
	assert.True(t, strings.HasPrefix(c.UserAgent, "a数"))
	assert.Equal(t, Client{}, clientOf(t.Context()))
}
