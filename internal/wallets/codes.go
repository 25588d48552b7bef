package wallets

import (
	"crypto/rand"
	"math/big"
	"strings"
)

// alphabet is what codes are written in: no letter that is mistaken for a digit.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeLength is that of a code with its check character: 75 bits that nobody guesses.
const codeLength = 16

// newCode draws a code.
func newCode() string {
	b := make([]byte, codeLength-1)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = alphabet[b[i]%byte(len(alphabet))] // 256 is a multiple of 32
	}
	return string(b) + string(checkOf(string(b)))
}

// newPIN draws six digits.
func newPIN() string {
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			panic(err) // never happens
		}
		pin := n.String()
		if pin = strings.Repeat("0", 6-len(pin)) + pin; !easy(pin) {
			return pin
		}
	}
}

// checkOf is the check character of a code by Luhn's rule for an alphabet of this
// size: it tells any one wrong character, and nearly all that changed places.
func checkOf(code string) byte {
	n, factor, sum := len(alphabet), 2, 0
	for i := len(code) - 1; i >= 0; i-- {
		at := strings.IndexByte(alphabet, code[i]) * factor
		sum += at/n + at%n
		factor = 3 - factor
	}
	return alphabet[(n-sum%n)%n]
}

// tidyCode reads a code as people type it; not ok: it is none.
func tidyCode(raw string) (code string, ok bool) {
	code = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-':
			return -1
		case 'O', 'o':
			return '0'
		case 'I', 'i', 'L', 'l':
			return '1'
		}
		return r
	}, raw)
	code = strings.ToUpper(code)
	if len(code) != codeLength || strings.Trim(code, alphabet) != "" {
		return "", false
	}
	return code, checkOf(code[:codeLength-1]) == code[codeLength-1]
}

// printed is a code as it stands on a card.
func printed(code string) string {
	return code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:]
}
