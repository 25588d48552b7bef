package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/token"
)

// StreamTicketLife is how long a ticket for a stream may be redeemed.
const StreamTicketLife = 30 * time.Second

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
	var raw [8]byte
	rand.Read(raw[:]) // never fails
	keyID = base32Lower.EncodeToString(raw[:])[:keyIDSize]
	return keyID, newSecret(keyID)
}

// newSecret is a whole key with a new secret for an id.
func newSecret(keyID string) string {
	var raw [32]byte
	rand.Read(raw[:]) // never fails
	head := keyLive + keyID + "_" + base32Lower.EncodeToString(raw[:])
	return head + checksum(head)
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
	signed, err := token.Staff.Sign(s.Keys.SigningKeys().Current, staffID, sessionID, s.Clock.Now())
	if err != nil {
		return TokenPair{}, fmt.Errorf("sign an access token: %w", err)
	}
	return TokenPair{Access: signed, Refresh: refresh, SessionID: sessionID, ExpiresIn: token.AccessLife, MustChangePassword: mustChange}, nil
}
