package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// A refresh token is the audience's prefix and base64url of session id, 32
// random bytes and a MAC. The MAC tells one of ours from an invention: only a
// real, spent token may end a session, or knowing a session's id would be
// enough to end it.
const (
	refreshSecret = 32
	refreshMAC    = 16
	refreshSize   = 16 + refreshSecret + refreshMAC
)

// NewRefresh makes a refresh token of a session.
func (a Audience) NewRefresh(keys *crypto.Keyring, sessionID uuid.UUID) string {
	raw := make([]byte, 16+refreshSecret, refreshSize)
	copy(raw, sessionID[:])
	rand.Read(raw[16:]) // never fails
	return a.prefix + base64.RawURLEncoding.EncodeToString(append(raw, a.tag(keys, raw)...))
}

// ParseRefresh finds the session of a refresh token of ours.
func (a Audience) ParseRefresh(keys *crypto.Keyring, text string) (sessionID uuid.UUID, ok bool) {
	body, found := strings.CutPrefix(text, a.prefix)
	if !found {
		return uuid.Nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) != refreshSize {
		return uuid.Nil, false
	}
	signed := raw[:16+refreshSecret]
	if !hmac.Equal(raw[16+refreshSecret:], a.tag(keys, signed)) {
		return uuid.Nil, false
	}
	return uuid.UUID(raw[:16]), true
}

func (a Audience) tag(keys *crypto.Keyring, signed []byte) []byte {
	key := keys.Derive(a.domain)
	m := hmac.New(sha256.New, key[:])
	m.Write(signed)
	return m.Sum(nil)[:refreshMAC]
}

// Hash is what is stored of a token: 256 random bits need no slow hash.
func Hash(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// SameHash compares in constant time; an empty hash is never the same.
func SameHash(a, b []byte) bool { return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1 }

// Chain is what a session keeps of its refresh tokens.
type Chain struct {
	Current, Previous []byte     // hashes
	Successor         []byte     // the current token, sealed
	RefreshedAt       *time.Time // when Previous was spent
	UserAgent         string     // of the program that refreshed last
}

// Live reports whether a session that was made to last until expires may go on.
func Live(revoked *time.Time, expires, lastUsed, now time.Time) bool {
	return revoked == nil && now.Before(expires) && now.Sub(lastUsed) <= SessionIdleLife
}

// Next judges a refresh token of a session, whose row the caller holds locked.
//
// The current token rotates: rotated is what to store. The immediate
// predecessor gets the same successor for PredecessorLife if it comes from the
// same program: an answer was lost, or two calls ran side by side; nothing is
// to store then. For any other spent token text is empty: somebody else holds
// it too, and the session must end.
func (a Audience) Next(keys *crypto.Keyring, sessionID uuid.UUID, was Chain, presented, userAgent string, now time.Time) (text string, rotated *Chain) {
	hash := Hash(presented)
	if SameHash(was.Current, hash) {
		text = a.NewRefresh(keys, sessionID)
		return text, &Chain{Current: Hash(text), Previous: was.Current, Successor: keys.SealBlob(a.successorSealed, sessionID[:], []byte(text)),
			RefreshedAt: &now, UserAgent: userAgent}
	}
	if !SameHash(was.Previous, hash) || was.RefreshedAt == nil || now.Sub(*was.RefreshedAt) > PredecessorLife || was.UserAgent != userAgent {
		return "", nil
	}
	next, err := keys.OpenBlob(a.successorSealed, sessionID[:], was.Successor)
	if err != nil {
		return "", nil
	}
	return string(next), nil
}
