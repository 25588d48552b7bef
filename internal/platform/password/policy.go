package password

import (
	_ "embed"
	"errors"
	"strings"
	"sync"
	"unicode/utf8"
)

// Errors of Check; the text is the stable code.
var (
	ErrTooShort   = errors.New("password.too_short")
	ErrTooLong    = errors.New("password.too_long")
	ErrTooCommon  = errors.New("password.too_common")
	ErrIsUsername = errors.New("password.is_username")
	ErrInvalid    = errors.New("password.invalid") // not UTF-8, or a NUL byte
)

// Lengths in characters. No composition rules and no forced change: NIST SP 800-63B §3.1.1.2.
const (
	MinLength = 8
	MaxLength = 128
)

//go:embed common.txt
var commonText string

var common = sync.OnceValue(func() map[string]struct{} {
	set := make(map[string]struct{}, 4096)
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			set[line] = struct{}{}
		}
	}
	return set
})

// Check applies the policy to a new password. Errors: those above.
func Check(password, username string) error {
	if !utf8.ValidString(password) || strings.ContainsRune(password, 0) {
		return ErrInvalid
	}
	switch n := utf8.RuneCount(normal(password)); {
	case n < MinLength:
		return ErrTooShort
	case n > MaxLength:
		return ErrTooLong
	}
	lower := strings.ToLower(strings.TrimSpace(password))
	name := strings.ToLower(strings.TrimSpace(username))
	local, _, _ := strings.Cut(name, "@")
	if name != "" && (lower == name || lower == local) {
		return ErrIsUsername
	}
	if _, ok := common()[lower]; ok || fewCharacters(lower) || oneRun(lower) {
		return ErrTooCommon
	}
	return nil
}

// fewCharacters: one or two different characters only, such as 11111111 or abababab.
func fewCharacters(s string) bool {
	seen := map[rune]struct{}{}
	for _, r := range s {
		if seen[r] = struct{}{}; len(seen) > 2 {
			return false
		}
	}
	return true
}

// oneRun: each character follows the one before, up or down: 23456789, hgfedcba.
func oneRun(s string) bool {
	r := []rune(s)
	if len(r) < 2 {
		return true
	}
	step := r[1] - r[0]
	if step != 1 && step != -1 {
		return false
	}
	for i := 1; i < len(r); i++ {
		if r[i]-r[i-1] != step {
			return false
		}
	}
	return true
}
