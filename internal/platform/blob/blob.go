// Package blob keeps files of the business outside the database: uploads,
// exports, pictures. They hold personal data, so every object is sealed with
// the keyring, piece by piece: it can be written and read as a stream of any
// length in constant memory, and read at any place.
//
// Objects lie in a local folder, which replicas that share the work share, or in
// a bucket of an object store (S3).
package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

const (
	piece    = 64 << 10 // bytes of clear text sealed at once
	purpose  = "blob.object"
	unnamed  = "tmp"
	maxPiece = piece + 128
)

// Errors of this package.
var (
	ErrNotFound = errors.New("blob: no such object")
	ErrName     = errors.New("blob: a name is folder/name of small letters, digits and dashes")
	ErrDamaged  = errors.New("blob: the object is damaged or cut short")
)

var names = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}/[a-z0-9][a-z0-9-]{0,63}$`)

// nobody is the row that objects with a key of their own are bound to: their
// names bind them.
var nobody uuid.UUID

// Store keeps objects by name. It is safe for concurrent use.
type Store struct {
	place place
	dir   string // where objects are put together
	keys  byKeyring
}

// Open makes a store in a folder, which is made if missing.
func Open(dir string, keys *crypto.Keyring) (*Store, error) { return openStore(folder{dir}, dir, keys) }

func openStore(at place, dir string, keys *crypto.Keyring) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, unnamed), 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Store{place: at, dir: dir, keys: byKeyring{keys}}, nil
}

// aad binds a piece to its object, its place and whether another one follows:
// pieces cannot be swapped, moved to another object or cut off unnoticed.
func aad(name string, n int64, last bool) []byte {
	b := binary.BigEndian.AppendUint64(append([]byte(name), 0), uint64(n))
	if last {
		return append(b, 1)
	}
	return append(b, 0)
}

// Writer writes one object. It appears under its name with Commit and not
// before; Abort after Commit does nothing.
type Writer struct {
	s    *Store
	how  sealing
	name string
	f    *os.File
	buf  []byte
	n    int64
	size int64
	done bool
	err  error
}

// Create begins an object; one of that name is replaced.
func (s *Store) Create(name string) (*Writer, error) { return s.create(name, s.keys) }

// CreateWith begins an object that is sealed with a key of its own.
func (s *Store) CreateWith(name string, key crypto.DataKey) (*Writer, error) {
	return s.create(name, byKey{key})
}

func (s *Store) create(name string, how sealing) (*Writer, error) {
	if !names.MatchString(name) {
		return nil, ErrName
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, unnamed), "object-*")
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	return &Writer{s: s, how: how, name: name, f: f, buf: make([]byte, 0, piece)}, nil
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		// A full buffer waits until more comes: only then it is not the last piece.
		if len(w.buf) == piece {
			if err := w.flush(false); err != nil {
				return 0, err
			}
		}
		n := min(piece-len(w.buf), len(p))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
	}
	w.size += int64(total)
	return total, nil
}

func (w *Writer) flush(last bool) error {
	if w.err != nil {
		return w.err
	}
	_, w.err = w.f.Write(w.how.seal(aad(w.name, w.n, last), w.buf))
	w.n++
	w.buf = w.buf[:0]
	return w.err
}

// Size is how much has been written, in clear text.
func (w *Writer) Size() int64 { return w.size }

// Commit makes the object durable and names it.
func (w *Writer) Commit() error {
	err := w.flush(true)
	if err == nil {
		err = w.f.Sync()
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		err = fmt.Errorf("blob: %w", err)
	} else {
		err = w.s.place.put(w.name, w.f.Name())
	}
	w.done = true
	if err != nil {
		_ = os.Remove(w.f.Name())
	}
	return err
}

// Abort leaves nothing behind.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.f.Close()
	_ = os.Remove(w.f.Name())
}

// Reader reads an object from its beginning or at any place; not concurrently.
type Reader struct {
	how    sealing
	sealed int64 // bytes that a whole piece takes
	name   string
	f      sealedObject
	size   int64
	pieces int64
	at     int64 // of Read
	have   int64 // number of the piece in clear, -1 for none
	clear  []byte
	raw    []byte
}

// Open reads an object. Errors: ErrNotFound, ErrDamaged.
func (s *Store) Open(name string) (*Reader, error) { return s.open(name, s.keys) }

// OpenWith reads an object that was sealed with a key of its own.
// Errors: ErrNotFound, ErrDamaged, also for another key.
func (s *Store) OpenWith(name string, key crypto.DataKey) (*Reader, error) {
	return s.open(name, byKey{key})
}

func (s *Store) open(name string, how sealing) (*Reader, error) {
	if !names.MatchString(name) {
		return nil, ErrName
	}
	f, err := s.place.open(name)
	if err != nil {
		return nil, err
	}
	overhead := how.overhead()
	r := &Reader{how: how, sealed: piece + overhead, name: name, f: f, have: -1, raw: make([]byte, maxPiece)}
	r.pieces = (f.size() + r.sealed - 1) / r.sealed
	r.size = f.size() - r.pieces*overhead
	if r.pieces == 0 || r.size < (r.pieces-1)*piece {
		_ = f.Close()
		return nil, ErrDamaged
	}
	return r, nil
}

// Size of the object in clear text.
func (r *Reader) Size() int64 { return r.size }

// Close ends reading.
func (r *Reader) Close() error { return r.f.Close() }

func (r *Reader) load(n int64) error {
	if r.have == n {
		return nil
	}
	got, err := r.f.ReadAt(r.raw[:r.sealed], n*r.sealed)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("blob: %w", err)
	}
	clear, err := r.how.open(aad(r.name, n, n == r.pieces-1), r.raw[:got])
	if err != nil {
		return errors.Join(ErrDamaged, err)
	}
	r.clear, r.have = clear, n
	return nil
}

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for len(p) > 0 {
		if off >= r.size {
			if r.size == 0 { // even nothing must be the nothing that was written
				if err := r.load(0); err != nil {
					return 0, err
				}
			}
			return total, io.EOF
		}
		if err := r.load(off / piece); err != nil {
			return total, err
		}
		n := copy(p, r.clear[off%piece:])
		p, off, total = p[n:], off+int64(n), total+n
	}
	return total, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if left := r.sealed; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := r.ReadAt(p, r.at)
	r.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Delete removes an object; one that does not exist is no error.
func (s *Store) Delete(name string) error {
	if !names.MatchString(name) {
		return ErrName
	}
	return s.place.remove(name)
}

// CleanUnfinished removes what writers that died have left.
func (s *Store) CleanUnfinished(olderThan time.Time) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, unnamed))
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.ModTime().Before(olderThan) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, unnamed, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
