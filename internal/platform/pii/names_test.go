package pii

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/shuke-crm/shuke/internal/platform/pii/fakepeople"
)

func TestNameTokens(t *testing.T) {
	for name, want := range map[string]string{
		"王小明":   "h:王小 h:小明 h:王明 m:王x l:wa l:wan l:wang l:wangx l:wangxi l:wangxia l:wangxiao l:xi l:xia l:xiao l:xiaom l:xiaomi l:xiaomin l:xiaoming l:wx l:wxm l:xm",
		"李丽":    "h:李丽 m:李l l:li l:lil l:lili l:ll",
		"单丽":    "h:单丽 m:单l l:sh l:sha l:shan l:shanl l:shanli l:li l:sl l:da l:dan l:danl l:danli l:dl",
		"吕芳":    "h:吕芳 m:吕f l:lv l:lvf l:lvfa l:lvfan l:lvfang l:fa l:fan l:fang l:lf l:lu l:luf l:lufa l:lufan l:lufang",
		"丹":     "l:da l:dan",
		"É Li":  "l:el l:eli l:li",
		"华Andy": "m:华a l:hu l:hua l:huaa l:huaan l:huaand l:huaandy l:an l:and l:andy l:ha",
		"阿May":  "m:阿m l:am l:ama l:amay l:ma l:may l:em l:ema l:emay",
		"欧阳娜":   "h:欧阳 h:阳娜 h:欧娜 m:欧y l:ou l:ouy l:ouya l:ouyan l:ouyang l:ouyangn l:ouyangna l:na l:oy l:oyn l:ouyangnu l:nu l:nuo",
		"·":     "",
		"Anna2": "l:an l:ann l:anna l:anna2",
	} {
		got := NameTokens(name)
		require.ElementsMatch(t, strings.Fields(want), got, name)
	}
}

func TestNoTermForOneCharacter(t *testing.T) {
	for _, name := range append(slices.Clone(sampleNames), "王", "A", "王 A") {
		for _, term := range NameTokens(name) {
			require.GreaterOrEqual(t, utf8.RuneCountInString(term[2:]), 2, "%s: %s", name, term)
		}
	}
}

var sampleNames = []string{
	"王小明", "王明", "王明明", "欧阳小明", "单于丹", "曾国藩", "仇英", "吕布", "乐嘉", "朴素", "John Smith", "Élodie de la Cruz y Santos", "O'Brien",
	"阿卜杜拉·买买提", "阿May", "Lucy王", "李 Ming 华", "司马懿", "长孙无忌", "查理", "丹", "爱新觉罗·溥仪", "某某科技有限公司", "Straße", "田中ひろし", "김철수", "㐂某人", "鄭秀文",
	"阿卜杜拉·买买提江", "热合曼·艾则孜", "刘德华Andy", "欧阳震华",
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		needle string
		hit    []string
		miss   []string
	}{
		{"小明", []string{"王小明", "欧阳小明", "小明"}, []string{"王明", "明小", "小 明"[:3]}},
		{"王明", []string{"王明", "王小明", "王明明", "王大小明"}, []string{"李王小明", "明王"}},
		{"王小明", []string{"王小明", "小王小明"}, []string{"王明", "王晓明"}},
		{"wangxiao", []string{"王小明", "汪晓东"}, []string{"黄小明"}},
		{"Wang Xiaoming", []string{"王小明", "Wang Xiaoming"}, []string{"王小华"}},
		{"xiaom", []string{"王小明", "欧阳小明"}, []string{"小王"}},
		{"wxm", []string{"王小明", "吴晓梅"}, []string{"王明"}},
		{"wx", []string{"王小明", "王雪"}, []string{"小王"}},
		{"dan", []string{"单丽", "丹"}, []string{"王丽"}},
		{"shanli", []string{"单丽"}, []string{"丹丽"}},
		{"cengguo", []string{"曾国藩"}, nil},
		{"lvbu", []string{"吕布"}, []string{"卢布"}},
		{"lü bu", []string{"吕布"}, nil},
		{"ouyang", []string{"欧阳小明"}, []string{"阳小明"}},
		{"oyx", []string{"欧阳小明"}, nil},
		{"zhangsun", []string{"长孙无忌", "张孙"}, nil},
		{"王xiao", []string{"王小明"}, []string{"汪小明", "王明"}},
		{"王x", []string{"王小明", "王雪"}, []string{"王明"}},
		{"王xm", []string{"王小明"}, []string{"王小华"}},
		{"王小m", []string{"王小明"}, []string{"王小华"}},
		{"smith", []string{"John Smith"}, []string{"Smithson J."[5:]}},
		{"john s", []string{"John Smith"}, []string{"John Doe"}},
		{"JOHNSM", []string{"John Smith"}, nil},
		{"js", []string{"John Smith"}, nil},
		{"elodie", []string{"Élodie de la Cruz y Santos"}, nil},
		{"santos", []string{"Élodie de la Cruz y Santos"}, nil},
		{"brien", []string{"O'Brien"}, nil},
		{"obr", []string{"O'Brien"}, nil},
		{"lucy王", []string{"Lucy王"}, []string{"Lucy李"}},
		{"阿m", []string{"阿May"}, nil},
		{"买买提", []string{"阿卜杜拉·买买提"}, nil},
		{"拉买", []string{"阿卜杜拉·买买提"}, nil},
		{"abudula", []string{"阿卜杜拉·买买提江"}, []string{"阿布拉"}},
		{"maimaiti", []string{"阿卜杜拉·买买提江", "阿卜杜拉.买买提", "阿卜杜拉 买买提"}, []string{"阿卜杜拉买买提"}},
		{"maimaitij", []string{"阿卜杜拉•买买提江"}, nil},
		{"mmtj", []string{"阿卜杜拉·买买提江"}, nil},
		{"bobo", []string{"王卜卜"}, nil},
		{"aizezi", []string{"热合曼·艾则孜"}, []string{"热合曼·艾力"}},
		{"rehemanai", []string{"热合曼·艾则孜"}, nil},
		{"azz", []string{"热合曼·艾则孜"}, nil},
		{"xiaolong", []string{"李小龙"}, []string{"李小明", "李龙"}},
		{"xi", []string{"李小龙"}, nil},
		{"xl", []string{"李小龙"}, []string{"李龙"}},
		{"jianguo", []string{"王建国"}, nil},
		{"jg", []string{"王建国"}, nil},
		{"建g", []string{"建国"}, []string{"王建国"}},
		{"华andy", []string{"刘德华Andy", "刘德华 Andy", "华Andy"}, []string{"刘德华", "刘华德Andy"}},
		{"德华andy", []string{"刘德华Andy"}, nil},
		{"andy", []string{"刘德华Andy", "Andy刘德华"}, nil},
		{"andy刘", []string{"Andy刘德华"}, nil},
		{"liudehua", []string{"刘德华Andy", "Andy刘德华"}, nil},
		{"zhenhua", []string{"欧阳震华"}, []string{"欧阳华"}},
		{"zh", []string{"欧阳震华"}, nil},
		{"yangzhenhua", []string{"杨震华"}, []string{"欧阳震华"}},
		{"yuchi", []string{"尉迟Andy"}, nil},
		{"wangmeng", []string{"王萌"}, []string{"王明"}},
		{"wangxiaomingming", []string{"王小明明"}, []string{"王小明"}},
	} {
		terms, m, err := QueryTokens(c.needle)
		require.NoError(t, err, c.needle)
		for _, name := range c.hit {
			require.True(t, m.Match(name), "%s finds %s", c.needle, name)
			require.Subset(t, NameTokens(name), terms, "%s finds %s", c.needle, name)
		}
		for _, name := range c.miss {
			require.False(t, m.Match(name), "%s does not find %s", c.needle, name)
		}
	}
	for _, needle := range []string{"", " ", "王", "w", "·", "王·", " 王 ", "w王"[:1], "w明"} {
		_, _, err := QueryTokens(needle)
		require.ErrorIs(t, err, ErrTooShort, "%q", needle)
	}
	_, _, err := QueryTokens(strings.Repeat("王", MaxName+1))
	require.ErrorIs(t, err, ErrNeedleTooLong)
	require.False(t, Matcher{}.Match("王小明"), "no fragment matches nothing")
}

const drawnHan = "王李张单曾仇解吕欧阳司马单于长孙小明丽芳乐晟茜行重女略㐂龘国华子安恩娥阿卜提·• ."

func drawName(t *rapid.T) string {
	han := rapid.StringOfN(rapid.SampledFrom([]rune(drawnHan)), 1, 6, -1)
	words := rapid.StringOfN(rapid.SampledFrom([]rune("abzéüßŁo'-. ·2의が")), 1, 24, -1)
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return han.Draw(t, "han")
	case 1:
		return words.Draw(t, "words")
	case 2:
		return han.Draw(t, "han") + words.Draw(t, "words") + han.Draw(t, "han2")
	}
	return rapid.StringN(0, 20, -1).Draw(t, "any")
}

// fragment builds a fragment that the definition in QueryTokens promises to find.
func fragment(t *rapid.T, name string) string {
	p := parseName(name)
	n := len(p.units)
	if n == 0 {
		return ""
	}
	spelling := rapid.SampledFrom(p.spellings).Draw(t, "spelling")
	head := func(s string) string {
		r := []rune(s)
		if len(r) == 0 {
			return ""
		}
		return string(r[:rapid.IntRange(1, len(r)).Draw(t, "length")])
	}
	switch rapid.IntRange(0, 5).Draw(t, "fragment") {
	case 0: // adjacent units as they stand
		from := rapid.IntRange(0, n-1).Draw(t, "from")
		to := rapid.IntRange(from+1, n).Draw(t, "to")
		var b strings.Builder
		for _, u := range p.units[from:to] {
			if !u.han {
				return ""
			}
			b.WriteString(u.text)
		}
		return b.String()
	case 1: // first and last
		if n > 1 && p.units[0].han && p.units[n-1].han {
			return p.units[0].text + p.units[n-1].text
		}
		return ""
	case 2: // spelling from a start
		return head(strings.Join(spelling[rapid.SampledFrom(p.starts).Draw(t, "start"):], ""))
	case 3: // initials from a start
		return head(initials(spelling[rapid.SampledFrom(p.starts).Draw(t, "start"):]))
	case 4: // a Han character and the word after it
		var before []int
		for i := 1; i < n; i++ {
			if p.units[i-1].han && !p.units[i].han {
				before = append(before, i-1)
			}
		}
		if len(before) == 0 {
			return ""
		}
		at := rapid.SampledFrom(before).Draw(t, "before")
		return p.units[at].text + head(strings.Join(spelling[at+1:], ""))
	}
	// Han characters at the beginning, then spelling or initials
	k := 0
	for k < n && p.units[k].han {
		k++
	}
	if k == 0 || k >= n && n < 2 {
		return ""
	}
	k = rapid.IntRange(1, k).Draw(t, "han part")
	if k >= n || spelling[k] == "" {
		return ""
	}
	var b strings.Builder
	for _, u := range p.units[:k] {
		b.WriteString(u.text)
	}
	if rapid.Bool().Draw(t, "as initials") {
		return b.String() + head(initials(spelling[k:]))
	}
	return b.String() + head(strings.Join(spelling[k:], ""))
}

func TestNoFalseNegatives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := drawName(t)
		needle := fragment(t, name)
		terms, m, err := QueryTokens(needle)
		if err != nil {
			return // one character, or nothing to draw from
		}
		have := NameTokens(name)
		for _, term := range terms {
			if !slices.Contains(have, term) {
				t.Fatalf("%q for %q: term %s is not among %v", needle, name, term, have)
			}
		}
		if !m.Match(name) {
			t.Fatalf("%q does not match %q", needle, name)
		}
	})
}

// TestMatchImpliesTerms takes any two strings: whatever matches must be found through the index.
func TestMatchImpliesTerms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, needle := drawName(t), drawName(t)
		if rapid.Bool().Draw(t, "related") {
			r := []rune(name)
			if len(r) > 0 {
				needle = string(r[rapid.IntRange(0, len(r)-1).Draw(t, "cut"):])
			}
		}
		terms, m, err := QueryTokens(needle)
		if err != nil || !m.Match(name) {
			return
		}
		have := NameTokens(name)
		for _, term := range terms {
			if !slices.Contains(have, term) {
				t.Fatalf("%q matches %q, but term %s is not among %v", needle, name, term, have)
			}
		}
	})
}

func TestSpellingsAreBounded(t *testing.T) {
	p := parseName("单乐晟茜朝长重行")
	require.Len(t, p.spellings, maxReadings)
	require.Equal(t, "shan", p.spellings[0][0])
	require.Equal(t, "dan", p.spellings[1][0], "the surname's readings come first")
	require.Equal(t, []string{"a", "bu", "du", "la", "mai", "mai", "ti"}, parseName("阿卜杜拉·买买提").spellings[0])
}

func TestStarts(t *testing.T) {
	for name, want := range map[string][]int{
		"王小明": {0, 1}, "欧阳震华": {0, 2}, "欧阳": {0, 1}, "丹": {0}, "王 小明": {0, 1}, "阿卜杜拉·买买提江": {0, 4}, "热合曼 艾则孜": {0, 1, 3},
		"刘德华Andy": {0, 1, 3}, "Andy刘德华": {0, 1}, "司马 Andy": {0, 2}, "a b c d e f": {0, 1, 2, 5}, "": nil,
	} {
		require.Equal(t, want, parseName(name).starts, name)
	}
}

// TestTermsPerName holds the size of the index: a GIN entry is written for each term of each name.
func TestTermsPerName(t *testing.T) {
	people, sum := fakepeople.New(1), 0
	const n = 5000
	for range n {
		terms := len(NameTokens(people.Person().Name))
		require.LessOrEqual(t, terms, 60)
		sum += terms
	}
	require.Less(t, float64(sum)/n, 20.0)
}

func TestHashTokens(t *testing.T) {
	got := HashTokens([]string{"a", "bb", "c", "dddd"}, func(s string) int32 { return int32(len(s)) })
	require.Equal(t, []int32{1, 2, 4}, got)
}

func BenchmarkNameTokens(b *testing.B) {
	for b.Loop() {
		NameTokens(sampleNames[rand.IntN(4)])
	}
}

func BenchmarkMatchPinyin(b *testing.B) {
	_, m, err := QueryTokens("wangxiaom")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Match("王小明")
	}
}

func BenchmarkMatchHan(b *testing.B) {
	_, m, err := QueryTokens("小明")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m.Match("王小明")
	}
}
