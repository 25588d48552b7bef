package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

const (
	keySize = 32
	// gcmOverhead is nonce and tag.
	gcmOverhead = 12 + 16
	// Overhead is what Seal adds to a plaintext, in bytes: format, nonce, tag.
	Overhead = 1 + gcmOverhead

	formatField   = 0x01
	formatWrapped = 0x01
	formatBlob    = 0x01
)

type secret [keySize]byte

// Format keeps keys out of every fmt verb.
func (secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[hidden]")) }

func newSecret() secret {
	var s secret
	rand.Read(s[:]) // never fails: the runtime aborts the process when there is no entropy
	return s
}

// derive is HKDF-SHA256; info is built from length-prefixed parts, so no two differ in meaning only.
func (s *secret) derive(parts ...string) secret {
	var info []byte
	for _, p := range parts {
		info = appendPart(info, p)
	}
	out, err := hkdf.Key(sha256.New, s[:], nil, string(info), keySize)
	if err != nil {
		panic("crypto: hkdf: " + err.Error()) // only for lengths over 255 hashes
	}
	return secret(out)
}

// aead makes an AES-256-GCM that draws a random nonce for each Seal and puts it in front. With 96
// random bits one key may seal 2^32 values; a data key seals a few dozen, a business key one per customer.
func (s *secret) aead() cipher.AEAD {
	block, err := aes.NewCipher(s[:])
	if err != nil {
		panic("crypto: aes: " + err.Error()) // only for wrong key sizes
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("crypto: gcm: " + err.Error()) // only for wrong block sizes
	}
	return a
}

func appendPart(b []byte, p string) []byte {
	b = binary.AppendUvarint(b, uint64(len(p)))
	return append(b, p...)
}

// fieldAAD binds a value to its place. Length prefixes keep ("ab","c") and ("a","bc") apart.
func fieldAAD(b []byte, table, column string, row uuid.UUID) []byte {
	b = append(b, 'f', formatField)
	b = appendPart(b, table)
	b = appendPart(b, column)
	return append(b, row[:]...)
}
