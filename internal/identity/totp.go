package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238 as every authenticator app has it; HMAC does not need collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

// One-time passwords by time, RFC 6238 with the parameters that authenticator
// apps take for granted.
const (
	totpPeriod = 30 // seconds
	totpDigits = 6
	totpSecret = 20 // bytes, as long as SHA-1's output (RFC 4226 §4)
	totpSkew   = 1  // steps that a clock may be off, either way
	totpIssuer = "Shuke"
)

var base32Upper = base32.StdEncoding.WithPadding(base32.NoPadding)

func newTotpSecret() []byte {
	secret := make([]byte, totpSecret)
	rand.Read(secret) // never fails
	return secret
}

// totp is the code of a time step (RFC 4226 §5.3).
func totp(secret []byte, step int64, digits int) string {
	m := hmac.New(sha1.New, secret)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	sum := m.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & 0x7fffffff
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, n%modulus)
}

func totpStep(at time.Time) int64 { return at.Unix() / totpPeriod }

// matchTotp finds the step near now that a code belongs to, if it is newer than
// the last one accepted.
func matchTotp(secret []byte, code string, now time.Time, last int64) (step int64, ok bool) {
	for s := totpStep(now) - totpSkew; s <= totpStep(now)+totpSkew; s++ {
		if subtle.ConstantTimeCompare([]byte(totp(secret, s, totpDigits)), []byte(code)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// totpURL is what a QR code carries (Google Authenticator's key URI format).
func totpURL(username, secret string) string {
	q := url.Values{}
	q.Set("secret", secret)
	q.Set("issuer", totpIssuer)
	q.Set("algorithm", "SHA1")
	q.Set("digits", fmt.Sprint(totpDigits))
	q.Set("period", fmt.Sprint(totpPeriod))
	return (&url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + totpIssuer + ":" + username, RawQuery: q.Encode()}).String()
}
