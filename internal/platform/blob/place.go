package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// place is where sealed objects lie: a folder, or a bucket of an object store.
type place interface {
	// put makes a finished file durable under a name and takes it away.
	put(name, file string) error
	// open reads an object. Error: ErrNotFound.
	open(name string) (sealedObject, error)
	// remove removes an object; one that does not exist is no error.
	remove(name string) error
}

// sealedObject is an object as it lies there.
type sealedObject interface {
	io.ReaderAt
	io.Closer
	size() int64
}

// folder is a local one. Replicas that share the work share it.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f folder) put(name, file string) error {
	path := f.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if err := os.Rename(file, path); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

type localObject struct {
	*os.File
	n int64
}

func (o localObject) size() int64 { return o.n }

func (f folder) open(name string) (sealedObject, error) {
	file, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("blob: %w", err)
	}
	return localObject{file, info.Size()}, nil
}

func (f folder) remove(name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// sealing is how the pieces of an object are sealed.
type sealing interface {
	seal(aad, clear []byte) []byte
	open(aad, sealed []byte) ([]byte, error)
	overhead() int64
}

// byKeyring seals with the keyring's general key: what belongs to no customer.
type byKeyring struct{ keys *crypto.Keyring }

func (k byKeyring) seal(aad, clear []byte) []byte { return k.keys.SealBlob(purpose, aad, clear) }
func (k byKeyring) open(aad, sealed []byte) ([]byte, error) {
	return k.keys.OpenBlob(purpose, aad, sealed)
}
func (k byKeyring) overhead() int64 { return int64(len(k.keys.SealBlob(purpose, nil, nil))) }

// byKey seals with the object's own key, which somebody else keeps.
type byKey struct{ key crypto.DataKey }

func (k byKey) seal(aad, clear []byte) []byte {
	return k.key.Seal(purpose, string(aad), nobody, clear)
}
func (k byKey) open(aad, sealed []byte) ([]byte, error) {
	return k.key.Open(purpose, string(aad), nobody, sealed)
}
func (byKey) overhead() int64 { return crypto.Overhead }
