// Package pii knows the shape of personal data: how a phone number, e-mail address, card number or
// name is normalised before it is sealed and indexed, how it is masked, and which search terms a
// name has. It holds no keys and does no I/O.
//
// Sentinel errors carry the stable code as their text; the domain maps them to its own errors.
package pii

import "errors"

var (
	ErrPhoneInvalid  = errors.New("phone.invalid")
	ErrEmailInvalid  = errors.New("email.invalid")
	ErrCardInvalid   = errors.New("card.invalid")
	ErrNameEmpty     = errors.New("name.empty")
	ErrNameInvalid   = errors.New("name.invalid") // no letter in it, or broken text
	ErrNameTooLong   = errors.New("name.too_long")
	ErrTooShort      = errors.New("search.too_short") // one Han character or one letter finds too many
	ErrNeedleTooLong = errors.New("search.too_long")
)
