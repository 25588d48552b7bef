package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// Lifetimes.
const (
	AccessLife       = 15 * time.Minute
	SessionLife      = 30 * 24 * time.Hour
	SessionIdleLife  = 7 * 24 * time.Hour
	PredecessorLife  = 10 * time.Second // how long a spent refresh token still gets its successor
	StreamTicketLife = 30 * time.Second
)

const (
	tokenIssuer   = "shuke"
	tokenAudience = "shuke-api"
	tokenType     = "at+jwt" // RFC 9068: no other kind of JWT passes for an access token
	maxBearer     = 2048
)

// accessClaims are the claims of an access token: it names a session, and
// rights are looked up.
type accessClaims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
}

// signAccess makes an access token.
func signAccess(key crypto.SigningKey, staffID, sessionID uuid.UUID, now time.Time) (string, error) {
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: tokenIssuer, Audience: jwt.ClaimStrings{tokenAudience}, Subject: staffID.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessLife)),
		},
		SessionID: sessionID.String(),
	})
	t.Header["typ"], t.Header["kid"] = tokenType, key.ID
	return t.SignedString(key.Key)
}

// access is a verified access token.
type access struct {
	staffID, sessionID uuid.UUID
	kid                string
	expires            time.Time
}

var errTokenShape = errors.New("identity: token of another kind")

// verifyAccess accepts HS256 by one of our own keys, with exactly the header
// and claims that signAccess writes (RFC 8725 §3.1 to §3.12).
// Errors: auth.token_expired for a token that was good, auth.unauthenticated.
func verifyAccess(keys crypto.SigningKeys, text string, now time.Time) (access, error) {
	var a access
	var claims accessClaims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenAudience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithLeeway(2*time.Second)) // clocks of replicas
	_, err := parser.ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		if typ, _ := t.Header["typ"].(string); typ != tokenType {
			return nil, errTokenShape
		}
		kid, _ := t.Header["kid"].(string)
		key, ok := keys.ByID(kid)
		if !ok || kid == "" {
			return nil, errTokenShape
		}
		a.kid = kid
		return key.Key, nil
	})
	if err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return access{}, apperr.ErrTokenExpired.Wrap(err)
		}
		return access{}, apperr.ErrUnauthenticated.Wrap(err)
	}
	a.staffID, err = uuid.Parse(claims.Subject)
	if err == nil {
		a.sessionID, err = uuid.Parse(claims.SessionID)
	}
	if err != nil || claims.IssuedAt == nil || claims.ExpiresAt.Sub(claims.IssuedAt.Time) > AccessLife {
		return access{}, apperr.ErrUnauthenticated.Wrap(errTokenShape)
	}
	a.expires = claims.ExpiresAt.Time
	return a, nil
}

// A refresh token is "shr_" and base64url of session id, 32 random bytes and a
// MAC. The MAC tells one of ours from an invention: only a real, spent token
// may end a session, or knowing a session's id would be enough to end it.
const (
	refreshPrefix = "shr_"
	refreshSecret = 32
	refreshMAC    = 16
	refreshSize   = 16 + refreshSecret + refreshMAC
	refreshDomain = "identity.refresh"
)

func newRefresh(keys *crypto.Keyring, sessionID uuid.UUID) string {
	raw := make([]byte, 16+refreshSecret, refreshSize)
	copy(raw, sessionID[:])
	rand.Read(raw[16:]) // never fails
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(append(raw, refreshTag(keys, raw)...))
}

// parseRefresh finds the session of a refresh token of ours.
func parseRefresh(keys *crypto.Keyring, token string) (sessionID uuid.UUID, ok bool) {
	body, found := strings.CutPrefix(token, refreshPrefix)
	if !found {
		return uuid.Nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) != refreshSize {
		return uuid.Nil, false
	}
	signed := raw[:16+refreshSecret]
	if !hmac.Equal(raw[16+refreshSecret:], refreshTag(keys, signed)) {
		return uuid.Nil, false
	}
	return uuid.UUID(raw[:16]), true
}

func refreshTag(keys *crypto.Keyring, signed []byte) []byte {
	key := keys.Derive(refreshDomain)
	m := hmac.New(sha256.New, key[:])
	m.Write(signed)
	return m.Sum(nil)[:refreshMAC]
}

// hashToken is what is stored of a token: 256 random bits need no slow hash.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func sameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

// An API key is shk_live_<id>_<secret><checksum> in base32, lower case: 60
// bits of id, 256 of secret, and CRC-32 over all before it, by which scanners
// recognise a key and typing errors cost no look-up.
const (
	keyPrefix      = "shk_"
	keyLive        = "shk_live_"
	keyIDSize      = 12
	keySecretSize  = 52
	keyChecksum    = 7
	keyLength      = len(keyLive) + keyIDSize + 1 + keySecretSize + keyChecksum
	keyIDNamespace = "shuke:api-key:"
)

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newKey() (keyID, key string) {
	raw := make([]byte, 8+32)
	rand.Read(raw) // never fails
	keyID = base32Lower.EncodeToString(raw[:8])[:keyIDSize]
	head := keyLive + keyID + "_" + base32Lower.EncodeToString(raw[8:])
	return keyID, head + checksum(head)
}

func checksum(head string) string {
	return base32Lower.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(head))))
}

// parseKey finds the public id of a well-formed key.
func parseKey(key string) (keyID string, ok bool) {
	if len(key) != keyLength || !strings.HasPrefix(key, keyLive) || key[len(keyLive)+keyIDSize] != '_' {
		return "", false
	}
	head := key[:keyLength-keyChecksum]
	if checksum(head) != key[len(head):] {
		return "", false
	}
	return key[len(keyLive) : len(keyLive)+keyIDSize], true
}

// keyPrincipal is the id under which a key's rights are cached.
func keyPrincipal(keyID string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(keyIDNamespace+keyID))
}

// Characters that nobody mistakes for another when reading them out.
const passwordAlphabet = "abcdefghjkmnpqrstuvwxyz23456789"

// newPassword makes an initial password of 99 bits: kqm3v-h7xwp-….
func newPassword() string {
	var b strings.Builder
	for i := range 20 {
		if i > 0 && i%5 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passwordAlphabet[randomBelow(len(passwordAlphabet))])
	}
	return b.String()
}

// randomBelow is uniform: bytes that would favour small numbers are drawn again.
func randomBelow(n int) int {
	limit := 256 - 256%n
	var b [1]byte
	for {
		rand.Read(b[:])
		if int(b[0]) < limit {
			return int(b[0]) % n
		}
	}
}

// TokenPair is what a sign-in or refresh gives.
type TokenPair struct {
	Access, Refresh    string
	SessionID          uuid.UUID
	ExpiresIn          time.Duration
	MustChangePassword bool
}

func (s *Service) pair(staffID, sessionID uuid.UUID, refresh string, mustChange bool) (TokenPair, error) {
	signed, err := signAccess(s.Keys.SigningKeys().Current, staffID, sessionID, s.Clock.Now())
	if err != nil {
		return TokenPair{}, fmt.Errorf("sign an access token: %w", err)
	}
	return TokenPair{Access: signed, Refresh: refresh, SessionID: sessionID, ExpiresIn: AccessLife, MustChangePassword: mustChange}, nil
}
