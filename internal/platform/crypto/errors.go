package crypto

import (
	"errors"
	"fmt"
)

var (
	// ErrOpen: the ciphertext is damaged, or was sealed for another row, column or key.
	ErrOpen = errors.New("crypto: cannot open: damaged, or sealed for another place or key")
	// ErrFormat: too short, or an unknown format byte.
	ErrFormat = errors.New("crypto: not a sealed value of a known format")
	// ErrDestroyed: there is no data key any more (the person was erased).
	ErrDestroyed = errors.New("crypto: the data key was destroyed")
	// ErrKeyring: the keyring document is malformed or incomplete.
	ErrKeyring = errors.New("crypto: bad keyring document")
	// ErrPermissions: the keyring file may be read by others.
	ErrPermissions = errors.New("crypto: the keyring file must not be readable by others: chmod 600")
)

// UnknownKeyError reports a value sealed with a key version this keyring lacks: the keyring is
// older than the data (reload it) or the version was dropped on purpose.
type UnknownKeyError struct {
	Set     string // "business" or "general"
	Version uint16
}

func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("crypto: no %s key of version %d in the keyring", e.Set, e.Version)
}
