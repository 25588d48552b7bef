package identity

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// RFC 6238, appendix B, the rows for SHA-1.
func TestTotpVectors(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		step := totpStep(time.Unix(at, 0))
		assert.Equal(t, want, totp(secret, step, 8), "%d", at)
		assert.Equal(t, want[2:], totp(secret, step, totpDigits), "%d", at)
	}
}

func TestTotpSkewAndOrder(t *testing.T) {
	secret := newTotpSecret()
	now := time.Date(2026, 3, 1, 8, 0, 15, 0, time.UTC)
	step := totpStep(now)
	for off := int64(-3); off <= 3; off++ {
		got, ok := matchTotp(secret, totp(secret, step+off, totpDigits), now, 0)
		assert.Equal(t, off >= -1 && off <= 1, ok, "%d steps off", off)
		if ok {
			assert.Equal(t, step+off, got)
		}
	}
	_, ok := matchTotp(secret, totp(secret, step, totpDigits), now, step)
	assert.False(t, ok, "a step counts once")
	_, ok = matchTotp(secret, totp(secret, step-1, totpDigits), now, step)
	assert.False(t, ok, "nor one before it")
	_, ok = matchTotp(secret, "", now, 0)
	assert.False(t, ok)
}

func TestTotpURL(t *testing.T) {
	u, err := url.Parse(totpURL("li@head office", "JBSWY3DP"))
	require.NoError(t, err)
	assert.Equal(t, "otpauth", u.Scheme)
	assert.Equal(t, "totp", u.Host)
	assert.Equal(t, "/Shuke:li@head office", u.Path)
	assert.Equal(t, "JBSWY3DP", u.Query().Get("secret"))
	assert.Equal(t, "Shuke", u.Query().Get("issuer"))
}
