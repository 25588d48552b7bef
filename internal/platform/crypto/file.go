package crypto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// document is the keyring as stored. Keys are 32 bytes in base64.
type document struct {
	Format   int           `json:"format"`
	Business documentSet   `json:"business"`
	General  documentSet   `json:"general"`
	Signing  []documentKey `json:"signing"` // newest first
	Index    []byte        `json:"index"`
	Derive   []byte        `json:"derive"`
}

type documentSet struct {
	Current uint16            `json:"current"`
	Keys    map[uint16][]byte `json:"keys"`
}

type documentKey struct {
	ID  string `json:"id"`
	Key []byte `json:"key"`
}

const (
	documentFormat = 1
	// maxDocument is far above any real keyring; a larger file is not one.
	maxDocument = 1 << 20
)

func badKeyring(what string) error { return fmt.Errorf("%w: %s", ErrKeyring, what) }

func parseSecret(b []byte, what string) (secret, error) {
	if len(b) != keySize {
		return secret{}, badKeyring(what + " must be 32 bytes")
	}
	s := secret(b)
	if s == (secret{}) {
		return secret{}, badKeyring(what + " is all zero")
	}
	return s, nil
}

func (d documentSet) parse(what string) (keySet, error) {
	keys := make(map[uint16]secret, len(d.Keys))
	for v, b := range d.Keys {
		s, err := parseSecret(b, what+" key")
		if err != nil {
			return keySet{}, err
		}
		keys[v] = s
	}
	if _, ok := keys[0]; ok {
		return keySet{}, badKeyring(what + " key versions start at 1")
	}
	if _, ok := keys[d.Current]; !ok {
		return keySet{}, badKeyring(what + " has no current key")
	}
	return newKeySet(d.Current, keys), nil
}

// Parse reads a keyring document. Every fault is ErrKeyring and names the field, never its content.
func Parse(doc []byte) (*Keyring, error) {
	if len(doc) > maxDocument {
		return nil, badKeyring("too large")
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, badKeyring("not valid JSON") // the decoder's own message may quote key text
	}
	if dec.More() {
		return nil, badKeyring("more than one document")
	}
	if d.Format != documentFormat {
		return nil, badKeyring("unknown format")
	}
	st := &state{}
	var err error
	if st.business, err = d.Business.parse("business"); err != nil {
		return nil, err
	}
	if st.general, err = d.General.parse("general"); err != nil {
		return nil, err
	}
	if st.index, err = parseSecret(d.Index, "index key"); err != nil {
		return nil, err
	}
	if st.derive, err = parseSecret(d.Derive, "derive key"); err != nil {
		return nil, err
	}
	if len(d.Signing) == 0 {
		return nil, badKeyring("no signing key")
	}
	seen := map[string]bool{}
	for _, s := range d.Signing {
		key, err := parseSecret(s.Key, "signing key")
		if err != nil {
			return nil, err
		}
		if s.ID == "" || seen[s.ID] {
			return nil, badKeyring("signing key ids must be set and distinct")
		}
		seen[s.ID] = true
		st.signing = append(st.signing, SigningKey{ID: s.ID, Key: key[:]})
	}
	k := &Keyring{}
	k.state.Store(st)
	return k, nil
}

func (k *Keyring) marshal() []byte {
	st := k.state.Load()
	set := func(s keySet) documentSet {
		d := documentSet{Current: s.current, Keys: make(map[uint16][]byte, len(s.keys))}
		for v, key := range s.keys {
			d.Keys[v] = bytes.Clone(key[:])
		}
		return d
	}
	d := document{Format: documentFormat, Business: set(st.business), General: set(st.general), Index: st.index[:], Derive: st.derive[:]}
	for _, s := range st.signing {
		d.Signing = append(d.Signing, documentKey(s))
	}
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic("crypto: keyring: " + err.Error()) // no type in document can fail
	}
	return append(out, '\n')
}

// Load reads a keyring file. Errors: fs.ErrNotExist, ErrPermissions when others may read it (group
// read is allowed, for mounted secrets), ErrKeyring.
func Load(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o027 != 0 {
		return nil, fmt.Errorf("%w %s", ErrPermissions, path)
	}
	if info.Size() > maxDocument {
		return nil, badKeyring("too large")
	}
	doc := make([]byte, 0, info.Size()+1)
	buf := bytes.NewBuffer(doc)
	if _, err := buf.ReadFrom(f); err != nil {
		return nil, err
	}
	return Parse(buf.Bytes())
}

// LoadOrCreate reads the keyring file, or makes it: folder 0700, file 0600, on disk before it is
// used. Of several starters at once exactly one creates it and all get the same keys.
func LoadOrCreate(path string) (*Keyring, error) {
	k, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tmp, err := writeTemp(dir, Generate().marshal())
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp)
	// A hard link appears whole or fails because another starter was first; its keys then win.
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return Load(path)
}

// Save writes the keyring in place of the file at path, atomically and on disk on return. Use
// Update when another process may write it too.
func (k *Keyring) Save(path string) error {
	dir := filepath.Dir(path)
	tmp, err := writeTemp(dir, k.marshal())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(dir)
}

// Update changes a keyring file under a lock, so that two operators' rotations both survive.
func Update(path string, alter func(*Keyring) error) (*Keyring, error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // closing releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("crypto: lock keyring: %w", err)
	}
	k, err := Load(path)
	if err != nil {
		return nil, err
	}
	if err := alter(k); err != nil {
		return nil, err
	}
	return k, k.Save(path)
}

// Reload takes over the keys now in the file, under load and without failing a reader. A keyring
// of other origin (another Fingerprint) is refused.
func (k *Keyring) Reload(path string) error {
	fresh, err := Load(path)
	if err != nil {
		return err
	}
	if fresh.Fingerprint() != k.Fingerprint() {
		return badKeyring("the file belongs to another database")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Store(fresh.state.Load())
	return nil
}

func writeTemp(dir string, doc []byte) (name string, err error) {
	f, err := os.CreateTemp(dir, ".keyring-*") // 0600
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(doc); err != nil {
		return "", err
	}
	if err = f.Sync(); err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
