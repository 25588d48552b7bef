package pii

import (
	"testing"

	"github.com/stretchr/testify/require"
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
