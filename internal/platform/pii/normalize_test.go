package pii

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNormalizeEmail(t *testing.T) {
	for raw, want := range map[string]Email{
		"Li.Ming@Example.COM":     {"Li.Ming@example.com", "li.ming@example.com"},
		" a+b@sub.example.cn ":    {"a+b@sub.example.cn", "a+b@sub.example.cn"},
		"user@例子.中国":              {"user@例子.中国", "user@xn--fsqu00a.xn--fiqs8s"},
		"10001@qq.com":            {"10001@qq.com", "10001@qq.com"},
		"张三@example.com":          {"张三@example.com", "张三@example.com"},
		"ａ＠ｅｘａｍｐｌｅ．ｃｏｍ":           {"a@example.com", "a@example.com"},
		"\u3000Ｌｉ.ming＠qq.com ":   {"Li.ming@qq.com", "li.ming@qq.com"},
		"o'brien_x@example.co.uk": {"o'brien_x@example.co.uk", "o'brien_x@example.co.uk"},
	} {
		got, err := NormalizeEmail(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got, raw)
	}
	for _, raw := range []string{
		"", "a", "a@", "@b.cn", "a@b", "a@b.", "a b@c.cn", "Li <a@b.cn>", "<a@b.cn>", "a@b.cn,c@d.cn", "a@b.cn\r\nBcc: x@y.cn", "a\n@b.cn",
		`"a b"@c.cn`, "a@[127.0.0.1]", "a..b@c.cn", "a@-b.cn", "a@b..cn", "a@b.cn(x)", "a\u202e@b.cn", "Li ＜a@b.cn＞", "a＠＠b.cn", "a@b．", "a@b.cn，c@d.cn", "\xff@b.cn",
		strings.Repeat("a", 65) + "@b.cn", "a@" + strings.Repeat("b.", 130) + "cn",
	} {
		_, err := NormalizeEmail(raw)
		require.ErrorIs(t, err, ErrEmailInvalid, "%q", raw)
	}
}

func TestNormalizeCard(t *testing.T) {
	for raw, want := range map[string]string{"6688-0001 234": "66880001234", "ａ１２３４": "A1234", "vip_0001": "VIP0001"} {
		got, err := NormalizeCard(raw)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, raw := range []string{"", "123", "卡1234", "12;34", strings.Repeat("1", 33), strings.Repeat(" ", 300)} {
		_, err := NormalizeCard(raw)
		require.ErrorIs(t, err, ErrCardInvalid, "%q", raw)
	}
}

func TestNormalizeName(t *testing.T) {
	for raw, want := range map[string]string{
		"  王 小明 ":                           "王 小明",
		"Ｊｏｈｎ　 Smith":                       "John Smith",
		"李\u202e明\u200b":                    "李明",
		"阿卜杜拉•买买提":                          "阿卜杜拉·买买提",
		"a\x00b\tc":                         "ab c",
		"\ufeff欧阳\n小明":                      "欧阳 小明",
		"O'Brien":                           "O'Brien",
		strings.Repeat("王", MaxName) + "  ": strings.Repeat("王", MaxName),
	} {
		got, err := NormalizeName(raw)
		require.NoError(t, err, "%q", raw)
		require.Equal(t, want, got)
		again, err := NormalizeName(got)
		require.NoError(t, err)
		require.Equal(t, got, again, "normalising twice changes nothing")
	}
	for raw, want := range map[string]error{
		"": ErrNameEmpty, " \t\u200b": ErrNameEmpty, "123": ErrNameInvalid, "***": ErrNameInvalid, "王\xff": ErrNameInvalid,
		strings.Repeat("王", MaxName+1): ErrNameTooLong, strings.Repeat("a", 5000): ErrNameTooLong,
	} {
		_, err := NormalizeName(raw)
		require.ErrorIs(t, err, want, "%q", raw)
	}
}

func FuzzNormalizeName(f *testing.F) {
	f.Add("王 小明")
	f.Add("ﬁ\u0301\u202e•")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := NormalizeName(raw)
		if err != nil {
			return
		}
		if again, err := NormalizeName(got); err != nil || again != got {
			t.Fatalf("%q → %q → %q (%v)", raw, got, again, err)
		}
		MaskName(got)
		NameTokens(got)
	})
}
