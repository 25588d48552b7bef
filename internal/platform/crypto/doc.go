// Package crypto holds the service's keys and the few primitives built on them:
// envelope encryption of customer fields, blind indexes, sealed blobs and derived keys.
//
// It uses the standard library only: AES-256-GCM with random nonces, HKDF-SHA256 and
// HMAC-SHA256. docs/adr/0003-encryption.md explains the choice, docs/adr/0002-blind-index.md
// what the indexes give away.
//
// Layers:
//
//	Keyring ── business keys (by version) ── wrap ──▶ DataKey, one per customer, stored wrapped on the row
//	        │                                          └─ Derive ▶ keys of the customer's child rows
//	        ├─ index key    ▶ one HMAC key per column  ▶ Index (exact look-ups), Token (search terms)
//	        ├─ general keys (by version) ▶ one key per purpose ▶ SealBlob, OpenBlob
//	        ├─ derive key   ▶ Derive (cursor signing and the like)
//	        └─ signing keys (by id) ▶ SigningKeys (access tokens)
//
// Destroying the wrapped key of a row makes all that it sealed unreadable, in every backup
// taken with the old row too once the business key version it was wrapped with is gone.
//
// Nothing here logs, and no error carries plaintext or key material.
package crypto
