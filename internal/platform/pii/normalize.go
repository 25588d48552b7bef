package pii

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Email is a valid address.
type Email struct {
	Address string // as written, its domain in lower case
	Key     string // for the index: all in lower case, the domain in its ASCII form
}

const maxEmail = 254 // RFC 5321 §4.5.3.1.3, the path without its brackets

// NormalizeEmail checks one bare address: no display name, no quoting, no comment, no line break, a
// dot in the domain. Full-width characters become half width first. Error: ErrEmailInvalid.
func NormalizeEmail(raw string) (Email, error) {
	s := strings.TrimSpace(norm.NFKC.String(raw))
	if s == "" || len(s) > maxEmail || !utf8.ValidString(s) || strings.ContainsAny(s, "<>\"(),:;[]\\ \t\r\n\x00") {
		return Email{}, ErrEmailInvalid
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Address != s || parsed.Name != "" {
		return Email{}, ErrEmailInvalid
	}
	at := strings.LastIndexByte(s, '@')
	local, domain := s[:at], strings.ToLower(s[at+1:])
	if len(local) > 64 || strings.IndexFunc(s, unprintable) >= 0 {
		return Email{}, ErrEmailInvalid
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || strings.HasSuffix(ascii, ".") {
		return Email{}, ErrEmailInvalid
	}
	key := strings.ToLower(local) + "@" + ascii
	if len(key) > maxEmail {
		return Email{}, ErrEmailInvalid
	}
	return Email{Address: local + "@" + domain, Key: key}, nil
}

// NormalizeCard brings a member card number to the form that is stored and indexed: half width,
// upper case, without separators, 4 to 32 letters and digits. Error: ErrCardInvalid.
func NormalizeCard(raw string) (string, error) {
	if len(raw) > 256 {
		return "", ErrCardInvalid
	}
	var b strings.Builder
	for _, r := range norm.NFKC.String(raw) {
		switch {
		case r >= '0' && r <= '9', r >= 'A' && r <= 'Z':
			b.WriteRune(r)
		case r >= 'a' && r <= 'z':
			b.WriteRune(r - 'a' + 'A')
		case r == ' ', r == '-', r == '_':
		default:
			return "", ErrCardInvalid
		}
	}
	if b.Len() < 4 || b.Len() > 32 {
		return "", ErrCardInvalid
	}
	return b.String(), nil
}

// MaxName is the longest name, in characters.
const MaxName = 64

// NormalizeName cleans a personal or company name: full-width letters become half width, runs of
// white space one blank, the middle dot of minority names one character (·), and control, bidi and
// zero-width characters go. Errors: ErrNameEmpty, ErrNameInvalid, ErrNameTooLong.
func NormalizeName(raw string) (string, error) {
	if !utf8.ValidString(raw) {
		return "", ErrNameInvalid
	}
	if len(raw) > 16*MaxName {
		return "", ErrNameTooLong
	}
	var b strings.Builder
	letters, count, gap := false, 0, false
	for _, r := range norm.NFKC.String(raw) {
		switch {
		case unicode.IsSpace(r):
			gap = count > 0
			continue
		case unprintable(r):
			continue
		case r == '•' || r == '‧' || r == '・' || r == '∙' || r == '⋅':
			r = '·'
		}
		if gap {
			b.WriteByte(' ')
			count++
			gap = false
		}
		b.WriteRune(r)
		count++
		letters = letters || unicode.IsLetter(r)
	}
	switch {
	case count == 0:
		return "", ErrNameEmpty
	case !letters:
		return "", ErrNameInvalid
	case count > MaxName:
		return "", ErrNameTooLong
	}
	return b.String(), nil
}

// unprintable is true for characters that hide or reorder text: controls, format characters (bidi,
// zero width), private use and non-characters. Unicode's variation selectors are marks, not these.
func unprintable(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}
