package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAccessTokenIsStrict(t *testing.T) {
	ring := crypto.Generate()
	keys, staffID, sessionID := ring.SigningKeys(), uuid.New(), uuid.New()
	good, err := Staff.Sign(keys.Current, staffID, sessionID, noon)
	require.NoError(t, err)
	a, err := Verify(keys, good, noon.Add(time.Minute))
	require.NoError(t, err)
	assert.Equal(t, staffID, a.Subject)
	assert.Equal(t, sessionID, a.SessionID)
	assert.True(t, a.Expires.Equal(noon.Add(AccessLife)))

	_, err = Verify(keys, good, noon.Add(AccessLife+time.Minute))
	assert.True(t, apperr.ErrTokenExpired.Is(err), "%v", err)

	with := func(change func(*claims)) claims {
		c := claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Audience: jwt.ClaimStrings{Staff.Name}, Subject: staffID.String(),
			IssuedAt: jwt.NewNumericDate(noon), ExpiresAt: jwt.NewNumericDate(noon.Add(AccessLife))}, SessionID: sessionID.String()}
		change(&c)
		return c
	}
	same := func(*claims) {}
	sign := func(method jwt.SigningMethod, key any, typ, kid string, c claims) string {
		tok := jwt.NewWithClaims(method, c)
		tok.Header["typ"], tok.Header["kid"] = typ, kid
		text, err := tok.SignedString(key)
		require.NoError(t, err)
		return text
	}
	key, kid := keys.Current.Key, keys.Current.ID
	parts := strings.Split(good, ".")
	other := crypto.Generate().SigningKeys().Current
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"alg none":                    sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, typ, kid, with(same)),
		"alg HS512":                   sign(jwt.SigningMethodHS512, key, typ, kid, with(same)),
		"alg HS384":                   sign(jwt.SigningMethodHS384, key, typ, kid, with(same)),
		"alg RS256":                   sign(jwt.SigningMethodRS256, rsaKey, typ, kid, with(same)),
		"alg EdDSA":                   sign(jwt.SigningMethodEdDSA, edKey, typ, kid, with(same)),
		"public key as HMAC secret":   sign(jwt.SigningMethodHS256, x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), typ, kid, with(same)),
		"another type":                sign(jwt.SigningMethodHS256, key, "JWT", kid, with(same)),
		"no kid":                      sign(jwt.SigningMethodHS256, key, typ, "", with(same)),
		"unknown kid":                 sign(jwt.SigningMethodHS256, key, typ, "0123456789ab", with(same)),
		"our kid, foreign key":        sign(jwt.SigningMethodHS256, other.Key, typ, kid, with(same)),
		"another issuer":              sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Issuer = "other" })),
		"another audience":            sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Audience = jwt.ClaimStrings{"other"} })),
		"no audience":                 sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Audience = nil })),
		"no expiry":                   sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.ExpiresAt = nil })),
		"no issue time":               sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.IssuedAt = nil })),
		"issued in the future":        sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.IssuedAt = jwt.NewNumericDate(noon.Add(time.Hour)) })),
		"lives too long":              sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(noon.Add(24 * time.Hour)) })),
		"subject is no id":            sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Subject = "admin" })),
		"no session":                  sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.SessionID = "" })),
		"a machine's and a session's": sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.ClientID = "till" })),
		"two audiences":               sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Audience = append(c.Audience, Member.Name) })),
		"a machine among members":     sign(jwt.SigningMethodHS256, key, typ, kid, with(func(c *claims) { c.Audience, c.SessionID, c.ClientID = jwt.ClaimStrings{Member.Name}, "", "till" })),
		"no signature":                parts[0] + "." + parts[1] + ".",
		"payload changed":             parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"signature not canonical":     parts[0] + "." + parts[1] + "." + flipLastBits(parts[2]),
		"empty":                       "",
		"not a token":                 "hello",
	} {
		_, err := Verify(keys, text, noon)
		assert.True(t, apperr.ErrUnauthenticated.Is(err), "%s: %v", name, err)
	}

	ring.RotateSigningKey()
	_, err = Verify(ring.SigningKeys(), good, noon)
	assert.NoError(t, err, "the key before is still accepted")
	ring.RotateSigningKey()
	_, err = Verify(ring.SigningKeys(), good, noon)
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
	text := Staff.NewRefresh(keys, id)
	got, ok := Staff.ParseRefresh(keys, text)
	require.True(t, ok)
	assert.Equal(t, id, got)
	assert.NotEqual(t, text, Staff.NewRefresh(keys, id), "each is random")
	for i := range text {
		changed := []byte(text)
		changed[i] ^= 1
		_, ok := Staff.ParseRefresh(keys, string(changed))
		assert.False(t, ok, "changed at %d", i)
	}
	_, ok = Member.ParseRefresh(keys, text)
	assert.False(t, ok, "another side's")
	_, ok = Member.ParseRefresh(keys, "shm_"+strings.TrimPrefix(text, "shr_"))
	assert.False(t, ok, "another side's with the prefix changed")
	_, ok = Staff.ParseRefresh(crypto.Generate(), text)
	assert.False(t, ok, "another business' token")
}

func TestAudiencesAndMachines(t *testing.T) {
	keys, subject, session := crypto.Generate().SigningKeys(), uuid.New(), uuid.New()
	text, err := Member.Sign(keys.Current, subject, session, noon)
	require.NoError(t, err)
	a, err := Verify(keys, text, noon)
	require.NoError(t, err)
	assert.Equal(t, Access{Audience: "shuke-member", Subject: subject, SessionID: session, KeyID: keys.Current.ID, Expires: a.Expires}, a)

	text, err = Staff.SignClient(keys.Current, subject, Client{"abc", 2, "orders.read"}, noon)
	require.NoError(t, err)
	a, err = Verify(keys, text, noon)
	require.NoError(t, err)
	assert.Equal(t, Access{Audience: "shuke-api", Subject: subject, Client: Client{"abc", 2, "orders.read"}, KeyID: keys.Current.ID, Expires: a.Expires}, a)
}

func TestRotation(t *testing.T) {
	keys, id := crypto.Generate(), uuid.New()
	first := Member.NewRefresh(keys, id)
	was := Chain{Current: Hash(first), UserAgent: "sign-in"}
	second, rotated := Member.Next(keys, id, was, first, "app", noon)
	require.NotNil(t, rotated)
	require.NotEqual(t, first, second)

	for name, c := range map[string]struct {
		presented, agent string
		after            time.Duration
		want             string
	}{
		"the predecessor at once":          {first, "app", 0, second},
		"the predecessor in time":          {first, "app", PredecessorLife, second},
		"the predecessor too late":         {first, "app", PredecessorLife + 1, ""},
		"the predecessor, another program": {first, "other", 0, ""},
		"an older one":                     {Member.NewRefresh(keys, id), "app", 0, ""},
	} {
		text, again := Member.Next(keys, id, *rotated, c.presented, c.agent, noon.Add(c.after))
		assert.Equal(t, c.want, text, name)
		assert.Nil(t, again, name)
	}
	third, rotated := Member.Next(keys, id, *rotated, second, "app", noon)
	require.NotNil(t, rotated)
	text, _ := Member.Next(keys, id, *rotated, first, "app", noon)
	assert.Empty(t, text, "two behind")
	text, _ = Member.Next(keys, id, *rotated, second, "app", noon)
	assert.Equal(t, third, text)
}
