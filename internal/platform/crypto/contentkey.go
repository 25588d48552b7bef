package crypto

import "bytes"

// NewContentKey makes the key of one file's contents and the secret it is made
// of, which the owner keeps sealed in a field of its own: whoever cannot open
// that field cannot read the file, and sealing the field anew for another owner
// leaves the contents as they are.
func NewContentKey() (DataKey, []byte) {
	s := newSecret()
	return newDataKey(s), bytes.Clone(s[:])
}

// ContentKey is the key that NewContentKey made. Error: ErrFormat.
func ContentKey(raw []byte) (DataKey, error) {
	if len(raw) != keySize {
		return DataKey{}, ErrFormat
	}
	return newDataKey(secret(raw)), nil
}
