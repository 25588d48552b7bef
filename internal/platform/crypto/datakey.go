package crypto

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
)

// DataKey seals the fields of one row. The zero value has no key: Open answers ErrDestroyed and
// Seal panics. It is a small handle, safe to copy and for concurrent use; do not keep it longer
// than the request.
type DataKey struct{ k *dataKey }

// dataKey points to its secret: fmt prints what an unexported field points to, but only one level deep.
type dataKey struct {
	secret *secret
	aead   cipher.AEAD
}

func newDataKey(s secret) DataKey { return DataKey{&dataKey{secret: &s, aead: s.aead()}} }

// IsZero tells a key that was never made or has been destroyed.
func (d DataKey) IsZero() bool { return d.k == nil }

// Seal encrypts a field for its place: it opens only under the same table, column and row. The
// result is Overhead bytes longer than the plaintext; the length is not hidden.
func (d DataKey) Seal(table, column string, row uuid.UUID, plaintext []byte) []byte {
	if d.k == nil {
		panic("crypto: Seal with a zero DataKey")
	}
	var buf [96]byte
	aad := fieldAAD(buf[:0], table, column, row)
	out := make([]byte, 1, len(plaintext)+Overhead)
	out[0] = formatField
	return d.k.aead.Seal(out, nil, plaintext, aad)
}

// Open decrypts what Seal made. Errors: ErrDestroyed, ErrFormat, ErrOpen.
func (d DataKey) Open(table, column string, row uuid.UUID, sealed []byte) ([]byte, error) {
	if d.k == nil {
		return nil, ErrDestroyed
	}
	if len(sealed) < Overhead || sealed[0] != formatField {
		return nil, ErrFormat
	}
	var buf [96]byte
	out, err := d.k.aead.Open(nil, nil, sealed[1:], fieldAAD(buf[:0], table, column, row))
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// Derive makes the key of a child row (an address, a consent), so that it needs no wrapped key of
// its own and dies with the parent's. Context names the child's table.
func (d DataKey) Derive(context string, row uuid.UUID) DataKey {
	if d.k == nil {
		return DataKey{}
	}
	return newDataKey(d.k.secret.derive("shuke/child/v1", context, string(row[:])))
}

// Format keeps the key out of every fmt verb.
func (DataKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("DataKey[hidden]")) }

// LogValue keeps the key out of logs.
func (DataKey) LogValue() slog.Value { return slog.StringValue("DataKey[hidden]") }

// wrappedHeader is format and business key version.
const (
	wrappedHeader = 1 + 2
	// WrappedSize is the length of a wrapped data key, in bytes.
	WrappedSize = wrappedHeader + keySize + gcmOverhead
)

func wrapAAD(b []byte, version uint16, row uuid.UUID) []byte {
	b = append(b, 'w', formatWrapped)
	b = binary.BigEndian.AppendUint16(b, version)
	return append(b, row[:]...)
}

// NewDataKey makes the key of a new row and its wrapped form for storage on that row. Make the
// row's id first: the wrapped key opens for this row only.
func (k *Keyring) NewDataKey(row uuid.UUID) (DataKey, []byte, error) {
	s := newSecret()
	return newDataKey(s), k.wrap(row, s), nil
}

func (k *Keyring) wrap(row uuid.UUID, s secret) []byte {
	st := k.state.Load()
	out := make([]byte, 0, WrappedSize)
	out = append(out, formatWrapped)
	out = binary.BigEndian.AppendUint16(out, st.business.current)
	var buf [32]byte
	return st.business.aeads[st.business.current].Seal(out, nil, s[:], wrapAAD(buf[:0], st.business.current, row))
}

func (k *Keyring) unwrap(row uuid.UUID, wrapped []byte) (secret, error) {
	if len(wrapped) == 0 {
		return secret{}, ErrDestroyed
	}
	if len(wrapped) != WrappedSize || wrapped[0] != formatWrapped {
		return secret{}, ErrFormat
	}
	version := binary.BigEndian.Uint16(wrapped[1:])
	a, ok := k.state.Load().business.aeads[version]
	if !ok {
		return secret{}, &UnknownKeyError{Set: "business", Version: version}
	}
	var aad [32]byte
	plain, err := a.Open(nil, nil, wrapped[wrappedHeader:], wrapAAD(aad[:0], version, row))
	if err != nil {
		return secret{}, ErrOpen
	}
	return secret(plain), nil
}

// UnwrapDataKey opens the key stored on a row. Errors: ErrDestroyed when there is none, ErrFormat,
// ErrOpen (another row's key, or damage), *UnknownKeyError.
func (k *Keyring) UnwrapDataKey(row uuid.UUID, wrapped []byte) (DataKey, error) {
	s, err := k.unwrap(row, wrapped)
	if err != nil {
		return DataKey{}, err
	}
	return newDataKey(s), nil
}

// Rewrap moves a wrapped key to the current business key; the fields it sealed stay as they are.
// Changed is false when it is already there. Errors as UnwrapDataKey.
func (k *Keyring) Rewrap(row uuid.UUID, wrapped []byte) (out []byte, changed bool, err error) {
	s, err := k.unwrap(row, wrapped)
	if err != nil {
		return nil, false, err
	}
	if binary.BigEndian.Uint16(wrapped[1:]) == k.BusinessKeyVersion() {
		return wrapped, false, nil
	}
	return k.wrap(row, s), true, nil
}

// WrappedVersion tells which business key version wrapped a data key; 0 when it is none.
func WrappedVersion(wrapped []byte) uint16 {
	if len(wrapped) != WrappedSize || wrapped[0] != formatWrapped {
		return 0
	}
	return binary.BigEndian.Uint16(wrapped[1:])
}
