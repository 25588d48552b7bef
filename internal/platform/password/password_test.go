package password

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
)

func TestHashAndVerify(t *testing.T) {
	ctx := context.Background()
	phc, err := Hash(ctx, "书客-correct horse")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$"), phc)
	again, err := Hash(ctx, "书客-correct horse")
	require.NoError(t, err)
	require.NotEqual(t, phc, again, "each hash has its salt")

	ok, rehash, err := Verify(ctx, phc, "书客-correct horse")
	require.NoError(t, err)
	require.True(t, ok)
	require.False(t, rehash)
	ok, rehash, err = Verify(ctx, phc, "书客-correct horsf")
	require.NoError(t, err)
	require.False(t, ok)
	require.False(t, rehash)
	require.NoError(t, Dummy(ctx, "x"))
}

func TestComposedAndDecomposedTextIsOnePassword(t *testing.T) {
	phc, err := Hash(context.Background(), "caf\u00e9-caf\u00e9")
	require.NoError(t, err)
	ok, _, err := Verify(context.Background(), phc, "cafe\u0301-cafe\u0301")
	require.NoError(t, err)
	require.True(t, ok)
}

// foreign makes a PHC string without this package's code.
func foreign(m, t uint32, p uint8, password string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(password), salt, t, m, p, 32)
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", m, t, p, base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

func TestRehashWhenParametersDiffer(t *testing.T) {
	ok, rehash, err := Verify(context.Background(), foreign(8192, 1, 2, "long enough"), "long enough")
	require.NoError(t, err)
	require.True(t, ok)
	require.True(t, rehash)
	ok, rehash, err = Verify(context.Background(), foreign(8192, 1, 2, "long enough"), "other")
	require.NoError(t, err)
	require.False(t, ok)
	require.False(t, rehash, "a wrong password never leads to a rehash")
}

func TestDamagedHashes(t *testing.T) {
	good := foreign(64, 1, 1, "x")
	_, _, err := Verify(context.Background(), good, "x")
	require.NoError(t, err)
	for _, phc := range []string{
		"", "x", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "m=64", "m=4194304", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "t=1", "t=99", 1), strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=300", 1),
		strings.Replace(good, "m=64", "m=+64", 1), strings.Replace(good, "m=64,", "m=64,x,", 1), good + "$", good[:len(good)-30], good + strings.Repeat("A", 600), strings.Replace(good, "$MDEy", "$!DEy", 1),
	} {
		_, _, err := Verify(context.Background(), phc, "x")
		require.ErrorIs(t, err, ErrHash, phc)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	for range cap(slots) {
		slots <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := Hash(ctx, "x")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for range cap(slots) {
		<-slots
	}
	_, _, err = Verify(ctx, foreign(64, 1, 1, "x"), "x")
	require.ErrorIs(t, err, context.DeadlineExceeded, "a dead request does not hash")
	_, err = Hash(context.Background(), "x")
	require.NoError(t, err)
}

// TestUnknownUserCostsTheSame compares medians, with room for a busy machine.
func TestUnknownUserCostsTheSame(t *testing.T) {
	ctx := context.Background()
	phc, err := Hash(ctx, "right password")
	require.NoError(t, err)
	fastest := func(f func()) time.Duration {
		best := time.Hour
		for range 7 {
			start := time.Now()
			f()
			best = min(best, time.Since(start))
		}
		return best
	}
	wrong := fastest(func() { _, _, _ = Verify(ctx, phc, "wrong password") })
	unknown := fastest(func() { _ = Dummy(ctx, "wrong password") })
	ratio := float64(unknown) / float64(wrong)
	require.InDelta(t, 1, ratio, 0.5, "wrong %v, unknown %v", wrong, unknown)
}

func TestPolicy(t *testing.T) {
	for password, want := range map[string]error{
		"short":                  ErrTooShort,
		"七个汉字不够长":                ErrTooShort,
		"1234567":                ErrTooShort,
		strings.Repeat("长", 129): ErrTooLong,
		"Password1234":           ErrTooCommon,
		"a123456789":             ErrTooCommon,
		"WoAiNi1314":             ErrTooCommon,
		"1qaz2wsx":               ErrTooCommon,
		"aaaaaaaaaaaaaaaa":       ErrTooCommon,
		"abababababab":           ErrTooCommon,
		"mlkjihgfedc":            ErrTooCommon,
		"Assistant-7":            ErrIsUsername,
		"bad\xff utf8 here":      ErrInvalid,
		"nul\x00 in the middle":  ErrInvalid,
	} {
		require.ErrorIs(t, Check(password, "assistant-7"), want, "%q", password)
	}
	for _, password := range []string{"青山一道同云雨明月何曾", "tall ships sail", "x7#kQ9!v", strings.Repeat("长短", 3) + "句子", strings.Repeat("ab3", 42)} {
		require.NoError(t, Check(password, "assistant-7"), password)
	}
	require.ErrorIs(t, Check("li.xiaoming", "li.xiaoming@example.com"), ErrIsUsername)
	require.NoError(t, Check("tall ships sail", ""))
}

func TestCommonListIsUsable(t *testing.T) {
	require.Greater(t, len(common()), 3000)
	for p := range common() {
		require.GreaterOrEqual(t, len(p), MinLength, p)
		require.Equal(t, strings.ToLower(p), p)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(foreign(64, 1, 1, "x"))
	f.Fuzz(func(t *testing.T, phc string) {
		p, err := parse(phc)
		if err == nil && (p.memory > maxMemoryKiB || len(p.hash) == 0 || len(p.salt) == 0) {
			t.Fatalf("accepted %q", phc)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	phc, err := Hash(context.Background(), "x")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _, _ = Verify(context.Background(), phc, "y")
	}
}
