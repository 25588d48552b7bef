package pii

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mozillazg/go-pinyin"
)

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

// maxReadings bounds the readings of one name; the customary ones come first.
const maxReadings = 4

// surnameReadings: surnames whose reading differs from the dictionary's first, or that are commonly
// typed in two ways. Both are indexed, the surname's proper reading first.
var surnameReadings = readingTable(`
单 shan dan|單 shan dan|曾 zeng ceng|仇 qiu chou|解 xie jie|查 zha cha|盖 ge gai|蓋 ge gai|区 ou qu|區 ou qu|任 ren|华 hua|華 hua
朴 piao pu|翟 zhai di|覃 qin tan|尉 wei yu|隗 wei kui|缪 miao mou|繆 miao mou|召 shao zhao|折 she zhe|繁 po fan|黑 he hei
秘 bi mi|冼 xian|洗 xian xi|员 yun yuan|員 yun yuan|乐 yue le|樂 yue le|种 chong zhong|柏 bai bo|燕 yan|宓 mi fu|能 nai neng
牟 mou mu|郗 xi chi|车 che|車 che|石 shi|葛 ge|薄 bo bao|谌 chen shen|諶 chen shen|郇 xun huan|费 fei bi|費 fei bi|祭 zhai ji
盛 sheng cheng|万 wan|萬 wan|粘 nian zhan|么 yao me|撒 sa|不 fou bu|相 xiang|曲 qu|应 ying|應 ying|纪 ji|紀 ji|过 guo|過 guo
都 du dou|强 qiang jiang|強 qiang jiang|藏 zang cang|那 na|汤 tang|湯 tang|晁 chao|鼂 chao|逄 pang|佘 she|长 chang zhang|長 chang zhang
重 chong zhong|行 xing hang|参 shen can|令 ling|教 jiao|沈 shen|瀋 shen|贾 jia|賈 jia|俞 yu|殷 yin|夏 xia|叶 ye|葉 ye
宁 ning|甯 ning|寧 ning|尹 yin|哈 ha|洪 hong|卜 bu|占 zhan|佴 nai er|句 gou ju|亓 qi|镡 chan tan|訾 zi|脱 tuo|乜 nie|呙 guo|咼 guo
莘 shen xin|褚 chu|阚 kan|闞 kan|郏 jia|邵 shao|臧 zang|鲍 bao|谭 tan|譚 tan|戴 dai|娄 lou|妫 gui|逯 lu|禚 zhuo|皮 pi|奇 qi ji`)

// givenReadings: characters of given names that are read in two ways, or customarily in another way
// than the dictionary has first.
var givenReadings = readingTable(`
乐 le yue|樂 le yue|晟 sheng cheng|盛 sheng cheng|茜 qian xi|朝 chao zhao|长 chang zhang|長 chang zhang|重 chong zhong|行 xing hang
曾 zeng ceng|柏 bai bo|娜 na nuo|阿 a e|单 dan shan|朴 pu piao|筠 yun jun|莘 xin shen|隽 jun juan|澄 cheng deng|蔓 man wan|都 du dou
石 shi|熙 xi|露 lu lou|子 zi|强 qiang|還 huan hai|还 huan hai|调 tiao diao|藏 zang cang|宿 su xiu|亲 qin|率 shuai lv|传 chuan zhuan|卡 ka
家 jia|夏 xia|仇 qiu chou|解 jie xie|什 shi shen|佛 fo|参 can shen|省 sheng xing|降 jiang xiang|尉 wei|焘 tao dao|祎 yi hui|婼 ruo chuo|瑱 tian zhen
卜 bu bo|扎 zha za|提 ti di|伯 bo bai|莎 sha suo|勒 le lei|杉 shan sha|浚 jun xun|靓 liang jing|莞 guan wan|颉 xie jie|那 na nuo|翟 zhai di|覃 qin tan
缪 miao mou|繆 miao mou|区 qu ou|區 qu ou|查 cha zha|种 zhong chong|大 da dai|薄 bo bao|盖 gai ge|召 zhao shao|宓 mi fu|粘 nian zhan|校 xiao jiao`)

// oneReading: characters common in names whose second reading in the dictionary is archaic or never
// met in a name; indexing it would find 王明 for "wangmeng". Others without an entry above are indexed
// in the dictionary's first two.
var oneReading = func() map[rune]bool {
	set := map[rune]bool{}
	for _, r := range commonOfOneReading {
		set[r] = true
	}
	return set
}()

const commonOfOneReading = "" +
	"王吴朱冯于董邓许沈彭蔡贾丁叶余潘杜汪任方姚陆郝白万汤尹殷施陶倪温芦俞焦邢路齐莫庄祝涂谷祁舒牟詹童甄游裴屈位霍隋甘景包司宁阮柴车冉房皇甫容令冼" +
	"晁逄池沙鞠干蓝臧戚匡褚封芮隗郗仰栗戎祖幸印怀蒲从咸籍蒿能逢姬扶堵尚瞿艾古慎暨居广蔚越冷阚毋乜明平胜援和立喜占俊才年信超波红洋浩鑫思昂承皓墨苑" +
	"英淑月腊莉洁倩可若桐羽昕予溪合哈斯肉塔次增格其娃约耶奥婕愉捷敦暖栩棋楷槿洵淳濡炎焱煦珞瑗稷絮菀萌蓁蕊虹蝶言豫赫达适鼎亲強馮吳鄧許賈葉陸湯溫蘆" +
	"莊塗寧陳鵬藍從廣紅勝潔約鄭達適靜麗"

// compoundSurnames with their readings; a name of three or more characters that starts with one
// keeps it whole.
var compoundSurnames = readingTable(`
欧阳 ou yang|歐陽 ou yang|司马 si ma|司馬 si ma|上官 shang guan|诸葛 zhu ge|諸葛 zhu ge|司徒 si tu|司空 si kong|东方 dong fang|東方 dong fang
皇甫 huang fu|慕容 mu rong|宇文 yu wen|公孙 gong sun|公孫 gong sun|令狐 ling hu|尉迟 yu chi|尉遲 yu chi|长孙 zhang sun|長孫 zhang sun
夏侯 xia hou|轩辕 xuan yuan|軒轅 xuan yuan|端木 duan mu|呼延 hu yan|南宫 nan gong|南宮 nan gong|独孤 du gu|獨孤 du gu|百里 bai li
东郭 dong guo|東郭 dong guo|西门 xi men|西門 xi men|申屠 shen tu|公冶 gong ye|濮阳 pu yang|濮陽 pu yang|淳于 chun yu|单于 chan yu|單于 chan yu
仲孙 zhong sun|仲孫 zhong sun|太史 tai shi|钟离 zhong li|鍾離 zhong li|闻人 wen ren|聞人 wen ren|赫连 he lian|赫連 he lian|鲜于 xian yu|鮮于 xian yu
闾丘 lv qiu|閭丘 lv qiu|澹台 tan tai|澹臺 tan tai|万俟 mo qi|萬俟 mo qi|拓跋 tuo ba|左丘 zuo qiu|梁丘 liang qiu|谷梁 gu liang|巫马 wu ma|巫馬 wu ma
乐正 yue zheng|樂正 yue zheng|漆雕 qi diao|完颜 wan yan|完顏 wan yan|纳兰 na lan|納蘭 na lan|富察 fu cha|叶赫 ye he|葉赫 ye he|公羊 gong yang|第五 di wu`)

// readingTable reads "char reading reading|…"; entries may also be split by line ends.
func readingTable(text string) map[string][]string {
	table := map[string][]string{}
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == '|' || r == '\n' }) {
		f := strings.Fields(entry)
		table[f[0]] = f[1:]
	}
	return table
}

// toneless maps the dictionary's accented vowels to what people type. ü is v on keyboards.
var toneless = strings.NewReplacer(
	"ā", "a", "á", "a", "ǎ", "a", "à", "a", "ē", "e", "é", "e", "ě", "e", "è", "e", "ê", "e", "ế", "e", "ề", "e",
	"ī", "i", "í", "i", "ǐ", "i", "ì", "i", "ō", "o", "ó", "o", "ǒ", "o", "ò", "o", "ū", "u", "ú", "u", "ǔ", "u", "ù", "u",
	"ü", "v", "ǖ", "v", "ǘ", "v", "ǚ", "v", "ǜ", "v", "ń", "n", "ň", "n", "ǹ", "n", "ḿ", "m",
)

// dictionaryReadings are a character's first distinct readings in the dictionary, at most n; {""}
// for one it lacks.
func dictionaryReadings(r rune, n int) []string {
	var out []string
	for accented := range strings.SplitSeq(pinyin.PinyinDict[int(r)], ",") {
		s := strings.Map(func(r rune) rune {
			if r < 'a' || r > 'z' {
				return -1 // a combining mark the table lacks
			}
			return r
		}, toneless.Replace(accented))
		if len(out) > 0 && (s == "" || slices.Contains(out, s)) {
			continue
		}
		if out = append(out, s); len(out) == n {
			break
		}
	}
	return out
}

// surnameSpellings are the ways a one-character surname is typed, the customary first; never empty,
// but possibly {""}.
func surnameSpellings(r rune) []string {
	if readings := surnameReadings[string(r)]; readings != nil {
		return withU(readings)
	}
	if readings := givenReadings[string(r)]; readings != nil {
		return withU(readings)
	}
	return withU(dictionaryReadings(r, 1))
}

// givenSpellings is surnameSpellings for all other characters.
func givenSpellings(r rune) []string {
	if readings := givenReadings[string(r)]; readings != nil {
		return withU(readings)
	}
	if oneReading[r] {
		return withU(dictionaryReadings(r, 1))
	}
	return withU(dictionaryReadings(r, 2))
}

// withU adds the spelling with u to lv and nv (吕, 女), which half of all people type.
func withU(readings []string) []string {
	for i, r := range readings {
		if strings.HasPrefix(r, "lv") || strings.HasPrefix(r, "nv") {
			out := append([]string{}, readings[:i+1]...)
			out = append(out, r[:1]+"u"+r[2:])
			return append(out, readings[i+1:]...)
		}
	}
	return readings
}
