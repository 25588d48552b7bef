package crypto

import (
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Keyring holds every key of one business. All methods are safe for concurrent use; a rotation or
// reload swaps an immutable state, so readers never wait.
type Keyring struct {
	mu    sync.Mutex // writers only
	state atomic.Pointer[state]
}

// state is immutable after build, except for its caches of derived keys.
type state struct {
	business keySet
	general  keySet
	signing  []SigningKey // newest first
	index    secret
	derive   secret

	columns sync.Map // "i/"+column or "t/"+column -> *macPool
	blobs   sync.Map // blobKey -> cipher.AEAD
}

// keySet is one kind of key by version.
type keySet struct {
	current uint16
	keys    map[uint16]secret
	aeads   map[uint16]cipher.AEAD
}

func newKeySet(current uint16, keys map[uint16]secret) keySet {
	set := keySet{current: current, keys: keys, aeads: make(map[uint16]cipher.AEAD, len(keys))}
	for v, s := range keys {
		set.aeads[v] = s.aead()
	}
	return set
}

func (s keySet) with(version uint16, key secret) keySet {
	keys := make(map[uint16]secret, len(s.keys)+1)
	for v, k := range s.keys {
		keys[v] = k
	}
	keys[version] = key
	return newKeySet(s.current, keys)
}

func (s keySet) newest() (v uint16) {
	for n := range s.keys {
		v = max(v, n)
	}
	return v
}

// SigningKey signs access tokens (HMAC-SHA256); ID is the token's kid.
type SigningKey struct {
	ID  string
	Key []byte
}

// Format keeps the key out of every fmt verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("SigningKey[" + k.ID + "]")) }

// LogValue keeps the key out of logs.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue("SigningKey[" + k.ID + "]") }

func newSigningKey() SigningKey {
	id, key := newSecret(), newSecret()
	return SigningKey{ID: hex.EncodeToString(id[:6]), Key: key[:]}
}

// SigningKeys are the key to sign with and those still accepted.
type SigningKeys struct {
	Current  SigningKey
	Previous []SigningKey // newest first
}

// ByID finds the key a token names.
func (s SigningKeys) ByID(kid string) (SigningKey, bool) {
	if kid == s.Current.ID {
		return s.Current, true
	}
	for _, k := range s.Previous {
		if k.ID == kid {
			return k, true
		}
	}
	return SigningKey{}, false
}

// Generate makes a keyring with fresh random keys.
func Generate() *Keyring {
	k := &Keyring{}
	k.state.Store(&state{
		business: newKeySet(1, map[uint16]secret{1: newSecret()}),
		general:  newKeySet(1, map[uint16]secret{1: newSecret()}),
		signing:  []SigningKey{newSigningKey()},
		index:    newSecret(),
		derive:   newSecret(),
	})
	return k
}

// change swaps in an altered copy of the state; its caches start empty.
func (k *Keyring) change(alter func(*state) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.state.Load()
	next := &state{business: old.business, general: old.general, signing: old.signing, index: old.index, derive: old.derive}
	if err := alter(next); err != nil {
		return err
	}
	k.state.Store(next)
	return nil
}

// BusinessKeyVersion is the version new data keys are wrapped with.
func (k *Keyring) BusinessKeyVersion() uint16 { return k.state.Load().business.current }

// StageBusinessKey adds a business key without using it yet. With several replicas stage first,
// let each load the keyring, then activate: no replica then meets a version it does not know.
func (k *Keyring) StageBusinessKey() (version uint16, err error) {
	err = k.change(func(s *state) error {
		version = s.business.newest() + 1
		if version == 0 {
			return errors.New("crypto: out of business key versions")
		}
		s.business = s.business.with(version, newSecret())
		return nil
	})
	return version, err
}

// ActivateBusinessKey wraps new data keys with a staged version. Error: *UnknownKeyError.
func (k *Keyring) ActivateBusinessKey(version uint16) error {
	return k.change(func(s *state) error {
		if _, ok := s.business.keys[version]; !ok {
			return &UnknownKeyError{Set: "business", Version: version}
		}
		s.business.current = version
		return nil
	})
}

// RotateBusinessKey adds a version and uses it at once; Rewrap then moves each row. Save the
// keyring before the first row is written with it.
func (k *Keyring) RotateBusinessKey() (version uint16, err error) {
	version, err = k.StageBusinessKey()
	if err != nil {
		return 0, err
	}
	return version, k.ActivateBusinessKey(version)
}

// DropBusinessKey forgets a version for good: rows still wrapped with it, also those in old
// backups, can never be read again. The current version is refused.
func (k *Keyring) DropBusinessKey(version uint16) error {
	return k.change(func(s *state) error {
		if version == s.business.current {
			return errors.New("crypto: the current business key cannot be dropped")
		}
		if _, ok := s.business.keys[version]; !ok {
			return &UnknownKeyError{Set: "business", Version: version}
		}
		keys := make(map[uint16]secret, len(s.business.keys))
		for v, key := range s.business.keys {
			if v != version {
				keys[v] = key
			}
		}
		s.business = newKeySet(s.business.current, keys)
		return nil
	})
}

// RotateGeneralKey seals new blobs with a fresh key; older ones stay readable.
func (k *Keyring) RotateGeneralKey() error {
	return k.change(func(s *state) error {
		version := s.general.newest() + 1
		if version == 0 {
			return errors.New("crypto: out of general key versions")
		}
		s.general = s.general.with(version, newSecret())
		s.general.current = version
		return nil
	})
}

// RotateSigningKey signs with a fresh key and accepts the one before for tokens still alive.
func (k *Keyring) RotateSigningKey() {
	_ = k.change(func(s *state) error {
		s.signing = []SigningKey{newSigningKey(), s.signing[0]}
		return nil
	})
}

// SigningKeys gives the keys for access tokens. Do not change the slices.
func (k *Keyring) SigningKeys() SigningKeys {
	s := k.state.Load().signing
	return SigningKeys{Current: s[0], Previous: s[1:]}
}

// Derive gives a key for another purpose (cursor signing, one-time code hashes). It depends on the
// purpose alone and survives every rotation.
func (k *Keyring) Derive(purpose string) [32]byte {
	st := k.state.Load()
	return st.derive.derive("shuke/derive/v1", purpose)
}

// Fingerprint names the keyring without revealing it: stored beside the data, it lets start-up
// notice that the database belongs to other keys. It is constant under rotation.
func (k *Keyring) Fingerprint() string {
	st := k.state.Load()
	s := st.index.derive("shuke/fingerprint/v1")
	return hex.EncodeToString(s[:8])
}

// Format keeps the keys out of every fmt verb.
func (k *Keyring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Keyring[hidden]")) }

// LogValue keeps the keys out of logs.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue("Keyring[hidden]") }

// MarshalJSON refuses: only Save writes a keyring.
func (k *Keyring) MarshalJSON() ([]byte, error) {
	return nil, errors.New("crypto: a keyring is written by Save only")
}
