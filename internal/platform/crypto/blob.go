package crypto

import (
	"crypto/cipher"
	"encoding/binary"
)

const blobHeader = 1 + 2

type blobKey struct {
	version uint16
	purpose string
}

func (s *state) blobAEAD(version uint16, purpose string) (cipher.AEAD, bool) {
	id := blobKey{version, purpose}
	if a, ok := s.blobs.Load(id); ok {
		return a.(cipher.AEAD), true
	}
	key, ok := s.general.keys[version]
	if !ok {
		return nil, false
	}
	sub := key.derive("shuke/blob/v1", purpose)
	a, _ := s.blobs.LoadOrStore(id, sub.aead())
	return a.(cipher.AEAD), true
}

func blobAAD(version uint16, purpose string, aad []byte) []byte {
	b := make([]byte, 0, 8+len(purpose)+len(aad))
	b = append(b, 'b', formatBlob)
	b = binary.BigEndian.AppendUint16(b, version)
	b = appendPart(b, purpose)
	return append(b, aad...)
}

// SealBlob encrypts data that belongs to no customer's row: stored idempotent answers, cache
// entries. It opens only with the same purpose and aad. Purpose is a constant of the code: a key
// is derived and kept for each.
func (k *Keyring) SealBlob(purpose string, aad, plaintext []byte) []byte {
	st := k.state.Load()
	version := st.general.current
	a, _ := st.blobAEAD(version, purpose) // the current version is always there
	out := make([]byte, 0, blobHeader+len(plaintext)+gcmOverhead)
	out = append(out, formatBlob)
	out = binary.BigEndian.AppendUint16(out, version)
	return a.Seal(out, nil, plaintext, blobAAD(version, purpose, aad))
}

// OpenBlob decrypts what SealBlob made. Errors: ErrFormat, ErrOpen, *UnknownKeyError.
func (k *Keyring) OpenBlob(purpose string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < blobHeader+gcmOverhead || sealed[0] != formatBlob {
		return nil, ErrFormat
	}
	version := binary.BigEndian.Uint16(sealed[1:])
	a, ok := k.state.Load().blobAEAD(version, purpose)
	if !ok {
		return nil, &UnknownKeyError{Set: "general", Version: version}
	}
	out, err := a.Open(nil, nil, sealed[blobHeader:], blobAAD(version, purpose, aad))
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}
