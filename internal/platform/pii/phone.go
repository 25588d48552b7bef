package pii

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// DefaultRegion is assumed for numbers written without a country code.
const DefaultRegion = "CN"

// PhoneKind tells which numbers can receive a text message.
type PhoneKind string

const (
	// PhoneMobile is the only kind text messages are sent to.
	PhoneMobile PhoneKind = "mobile"
	// PhoneLandline is a fixed line with an area code.
	PhoneLandline PhoneKind = "landline"
	// PhoneOther is a valid number of another kind: 400 and 800 services, and the plans that do
	// not tell mobile from fixed (North America).
	PhoneOther PhoneKind = "other"
)

// Phone is a valid number.
type Phone struct {
	E164 string // "+8613800000000"
	Kind PhoneKind
}

const maxPhoneInput = 40

// ParsePhone reads a number as people write it: full-width digits, spaces, hyphens, brackets, and
// +86, 0086 or a bare 86 in front are all fine. Letters and extensions are not. An empty region
// means DefaultRegion. Error: ErrPhoneInvalid.
func ParsePhone(raw, defaultRegion string) (Phone, error) {
	if defaultRegion == "" {
		defaultRegion = DefaultRegion
	}
	digits, ok := dialable(raw)
	if !ok {
		return Phone{}, ErrPhoneInvalid
	}
	if national := mainland(digits, defaultRegion); national != "" && plainMobile(national) {
		return Phone{E164: "+86" + national, Kind: PhoneMobile}, nil
	}
	return parsePhone(digits, defaultRegion)
}

// parsePhone asks the library, which takes tens of microseconds.
func parsePhone(digits, defaultRegion string) (Phone, error) {
	number, err := phonenumbers.Parse(digits, defaultRegion)
	if (err != nil || !phonenumbers.IsValidNumber(number)) && defaultRegion == "CN" && strings.HasPrefix(digits, "86") {
		number, err = phonenumbers.Parse("+"+digits, defaultRegion)
	}
	if err != nil || !phonenumbers.IsValidNumber(number) {
		return Phone{}, ErrPhoneInvalid
	}
	p := Phone{E164: phonenumbers.Format(number, phonenumbers.E164), Kind: PhoneOther}
	switch phonenumbers.GetNumberType(number) {
	case phonenumbers.MOBILE:
		p.Kind = PhoneMobile
	case phonenumbers.FIXED_LINE:
		p.Kind = PhoneLandline
	}
	return p, nil
}

// dialable keeps digits and a leading plus, drops separators and refuses all else, since the
// library would turn letters into digits ("1-800-FLOWERS").
func dialable(raw string) (string, bool) {
	if len(raw) > maxPhoneInput*3 {
		return "", false
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(raw) {
		switch {
		case r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '+' && b.Len() == 0:
			b.WriteRune(r)
		case strings.ContainsRune(" \t-()[]./·", r), r >= 0x2010 && r <= 0x2015, r == 0x2212: // dashes and the minus sign
		case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r == 0x2060, r == 0xfeff: // invisible marks from copied contacts
		default:
			return "", false
		}
	}
	return b.String(), b.Len() >= 5 && b.Len() <= maxPhoneInput
}

// Last4 is the last four digits of a number, "" when it has fewer.
func Last4(e164 string) string {
	d := strings.TrimPrefix(e164, "+")
	if len(d) < 4 {
		return ""
	}
	return d[len(d)-4:]
}
