package pii

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

// Masks are what a person without the reveal permission sees. They take normalised values and
// show nothing of a value too short to hide anything in.

// MaskPhone keeps what a till needs to recognise a number, the last four digits:
//
//	+8613800000000 → 138****0000   mainland mobile: the public prefix too
//	+861062345678  → 010****5678   mainland landline: the area code too
//	+85291234567   → +852****4567  elsewhere: the country code too
//	+864001234567  → ****4567      400 and other services
func MaskPhone(e164 string) string {
	if strings.HasPrefix(e164, "+86") && isDigits(e164[1:]) {
		if national := mainland(e164, ""); national != "" && plainMobile(national) {
			return national[:3] + "****" + national[mobileLength-4:]
		}
	}
	return maskPhone(e164)
}

func maskPhone(e164 string) string {
	last := Last4(e164)
	number, err := phonenumbers.Parse(e164, "ZZ")
	if err != nil || last == "" {
		return "****"
	}
	national := phonenumbers.GetNationalSignificantNumber(number)
	if number.GetCountryCode() != 86 {
		return phonePrefix(number) + "****" + last
	}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE:
		return national[:3] + "****" + last
	case phonenumbers.FIXED_LINE:
		area := phonenumbers.GetLengthOfGeographicalAreaCode(number)
		return "0" + national[:min(area, len(national)-4)] + "****" + last
	}
	return "****" + last
}

func isDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func phonePrefix(n *phonenumbers.PhoneNumber) string {
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	return e164[:len(e164)-len(phonenumbers.GetNationalSignificantNumber(n))]
}

// MaskEmail keeps the first character and the domain: li.ming@example.com → l***@example.com. A
// local part of one character is hidden whole.
func MaskEmail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "***"
	}
	local := address[:at]
	first, size := utf8.DecodeRuneInString(local)
	if size == len(local) {
		return "***" + address[at:]
	}
	return string(first) + "***" + address[at:]
}

// MaskName keeps the surname of a Chinese name and the first letter of each other word:
// 李明 → 李*, 李小明 → 李**, 欧阳小明 → 欧阳**, 阿卜杜拉·买买提 → 阿***·***,
// Anne-Marie Smith → A***-M**** S****. A single character is hidden.
func MaskName(name string) string {
	runes := []rune(name)
	keep := make([]bool, len(runes))
	stars := make([]bool, len(runes))
	if len(runes) > 1 {
		keepSurname(runes, keep)
	}
	for i, r := range runes {
		stars[i] = !keep[i] && !unicode.IsSpace(r) && r != '·' && r != '-'
	}
	for i := range runes {
		if stars[i] {
			runes[i] = '*'
		}
	}
	return string(runes)
}

func keepSurname(runes []rune, keep []bool) {
	inWord, first := false, true
	for i, r := range runes {
		switch {
		case isHan(r):
			if first {
				keep[i] = true
				if i+2 < len(runes) && isHan(runes[i+1]) && isHan(runes[i+2]) && compoundSurnames[string(runes[i:i+2])] != nil {
					keep[i+1] = true
				}
			}
			first, inWord = false, false
		case unicode.IsLetter(r) || unicode.IsMark(r):
			// A word of one letter would be shown whole; an initial is hidden instead.
			if !inWord && i+1 < len(runes) && continuesWord(runes[i+1]) {
				keep[i] = true
			}
			first, inWord = false, true
		default:
			inWord = inWord && (r == '\'' || r == '’')
		}
	}
}

func continuesWord(r rune) bool {
	return unicode.IsLetter(r) && !isHan(r) || r == '\'' || r == '’'
}

// MaskCard keeps the last four of a number of eight or more characters, the last two of a shorter
// one: 6688001234 → ****1234, A12345 → ****45.
func MaskCard(number string) string {
	switch n := len(number); {
	case n >= 8:
		return "****" + number[n-4:]
	case n >= 4:
		return "****" + number[n-2:]
	}
	return "****"
}

// MaskAddressLine keeps the text before the first number, at most six characters of it and never
// more than half the line, which leaves the road and hides the house: 中山路123号5栋 → 中山路***.
func MaskAddressLine(line string) string {
	runes := []rune(strings.TrimSpace(line))
	keep := min(6, len(runes)/2)
	for i, r := range runes[:keep] {
		if unicode.IsNumber(r) || strings.ContainsRune("一二三四五六七八九十百零〇", r) {
			keep = i
			break
		}
	}
	return strings.TrimSpace(string(runes[:keep])) + "***"
}
