package pii

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParsePhone(t *testing.T) {
	for raw, want := range map[string]Phone{
		"13800138000":          {"+8613800138000", PhoneMobile},
		" 138 0013-8000 ":      {"+8613800138000", PhoneMobile},
		"１３８００１３８０００":          {"+8613800138000", PhoneMobile},
		"8613800138000":        {"+8613800138000", PhoneMobile},
		"+86 138-0013-8000":    {"+8613800138000", PhoneMobile},
		"＋86（138）00138000":     {"+8613800138000", PhoneMobile},
		"008613800138000":      {"+8613800138000", PhoneMobile},
		"+86\u202d13800138000": {"+8613800138000", PhoneMobile},
		"16600001111":          {"+8616600001111", PhoneMobile},
		"19912345678":          {"+8619912345678", PhoneMobile},
		"010-62345678":         {"+861062345678", PhoneLandline},
		"(0755) 2345 6789":     {"+8675523456789", PhoneLandline},
		"400-800-1234":         {"+864008001234", PhoneOther},
		"+852 9123 4567":       {"+85291234567", PhoneMobile},
		"00852 91234567":       {"+85291234567", PhoneMobile},
		"+853 66123456":        {"+85366123456", PhoneMobile},
		"+886 912 345 678":     {"+886912345678", PhoneMobile},
		"+886 2 2345 6789":     {"+886223456789", PhoneLandline},
		"+1 201 555 0123":      {"+12015550123", PhoneOther},
	} {
		got, err := ParsePhone(raw, "")
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
	}
	hk, err := ParsePhone("91234567", "HK")
	require.NoError(t, err)
	require.Equal(t, "+85291234567", hk.E164)

	for _, raw := range []string{
		"", "1", "12345", "1380013800", "138001380001", "14000138000", "91234567", "abc", "1-800-FLOWERS",
		"13800138000 ext 5", "13800138000;phone-context=x", "+", "++8613800138000", "138+00138000", "tel:13800138000",
		"13800138000\n13800138001", "０", string(make([]byte, 1000)),
	} {
		_, err := ParsePhone(raw, "CN")
		require.ErrorIs(t, err, ErrPhoneInvalid, "%q", raw)
	}
}

// TestFastPathEqualsLibrary: the shortcut for mainland mobiles changes no result.
func TestFastPathEqualsLibrary(t *testing.T) {
	equal := func(t require.TestingT, raw, region string) {
		got, err := ParsePhone(raw, region)
		var want Phone
		wantErr := ErrPhoneInvalid
		if digits, ok := dialable(raw); ok {
			want, wantErr = parsePhone(digits, region)
		}
		require.Equal(t, want, got, "%q in %s", raw, region)
		require.Equal(t, wantErr, err, "%q in %s", raw, region)
		if err == nil {
			require.Equal(t, maskPhone(got.E164), MaskPhone(got.E164))
		}
	}
	for prefix := range 1000 {
		r := rand.New(rand.NewPCG(1, uint64(prefix)))
		equal(t, fmt.Sprintf("1%03d%07d", prefix, r.IntN(10_000_000)), "CN")
	}
	for next := range 10 {
		equal(t, fmt.Sprintf("1740%d123456", next), "CN")
	}
	before := rapid.SampledFrom([]string{"", "", "+86", "0086", "86", "+", "00", "0", "+8686", "+086", "+85", "＋86"})
	mark := rapid.SampledFrom([]string{"", "", "", "", "-", " ", "（", "·", "\u202d", "x"})
	digit := rapid.SampledFrom([]rune("0123456789０９"))
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString(before.Draw(t, "before"))
		if rapid.IntRange(0, 4).Draw(t, "mobile") > 0 {
			b.WriteByte('1')
		}
		for range rapid.SampledFrom([]int{10, 10, 10, 10, 9, 11, 7}).Draw(t, "length") {
			b.WriteRune(digit.Draw(t, "digit"))
			b.WriteString(mark.Draw(t, "mark"))
		}
		equal(t, b.String(), rapid.SampledFrom([]string{"CN", "CN", "HK", "US", "ZZ", "cn"}).Draw(t, "region"))
	})
}

func TestMaskPhoneOfNonsense(t *testing.T) {
	for _, raw := range []string{"+86", "+861380013800x", "+86138００138000", "138", "+8613800138"} {
		require.Equal(t, maskPhone(raw), MaskPhone(raw), raw)
	}
}

func BenchmarkParsePhone(b *testing.B) {
	for b.Loop() {
		if _, err := ParsePhone("138 0013-8000", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePhoneByLibrary(b *testing.B) {
	for b.Loop() {
		if _, err := parsePhone("13800138000", "CN"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLast4(t *testing.T) {
	require.Equal(t, "8000", Last4("+8613800138000"))
	require.Empty(t, Last4("+86"))
}

func FuzzParsePhone(f *testing.F) {
	f.Add("+86 138-0013-8000")
	f.Add("００８６13800138000")
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := ParsePhone(raw, "CN")
		if err != nil {
			return
		}
		again, err := ParsePhone(p.E164, "US")
		if err != nil || again != p {
			t.Fatalf("%q → %v does not parse to itself: %v %v", raw, p, again, err)
		}
	})
}
