package blob

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

func store(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), crypto.Generate())
	require.NoError(t, err)
	return s
}

func put(t *testing.T, s *Store, name string, content []byte) {
	t.Helper()
	w, err := s.Create(name)
	require.NoError(t, err)
	defer w.Abort()
	_, err = io.Copy(w, iotest.OneByteReader(bytes.NewReader(content[:min(len(content), 10)])))
	require.NoError(t, err)
	_, err = w.Write(content[min(len(content), 10):])
	require.NoError(t, err)
	require.Equal(t, int64(len(content)), w.Size())
	require.NoError(t, w.Commit())
}

func TestObjectsComeBackAtEveryLength(t *testing.T) {
	s := store(t)
	for _, n := range []int{0, 1, piece - 1, piece, piece + 1, 3*piece + 17} {
		content := make([]byte, n)
		for i := range content {
			content[i] = byte(rand.Uint32())
		}
		put(t, s, "imports/a-1", content)
		r, err := s.Open("imports/a-1")
		require.NoError(t, err)
		require.Equal(t, int64(n), r.Size())
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), "length %d", n)
		if n > piece+10 {
			part := make([]byte, 20)
			_, err = r.ReadAt(part, int64(piece-10))
			require.NoError(t, err)
			require.Equal(t, content[piece-10:piece+10], part)
		}
		require.NoError(t, r.Close())
	}
	require.NoError(t, s.Delete("imports/a-1"))
	_, err := s.Open("imports/a-1")
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, s.Delete("imports/a-1"))
}

func TestTamperingIsNoticed(t *testing.T) {
	s := store(t)
	content := bytes.Repeat([]byte("13800000000,"), 20000)
	put(t, s, "imports/a", content)
	path := filepath.Join(s.dir, "imports", "a")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "13800000000", "the file holds clear text")
	whole := func(b []byte) error {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		r, err := s.Open("imports/a")
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	}
	require.NoError(t, whole(raw))
	require.ErrorIs(t, whole(raw[:(piece+s.keys.overhead())]), ErrDamaged, "cut at a piece")
	require.ErrorIs(t, whole(raw[:len(raw)-1]), ErrDamaged, "cut inside a piece")
	require.ErrorIs(t, whole(nil), ErrDamaged)
	swapped := append(append(append([]byte{}, raw[(piece+s.keys.overhead()):2*(piece+s.keys.overhead())]...), raw[:(piece+s.keys.overhead())]...), raw[2*(piece+s.keys.overhead()):]...)
	require.ErrorIs(t, whole(swapped), ErrDamaged, "pieces swapped")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "imports", "b"), raw, 0o600))
	r, err := s.Open("imports/b")
	require.NoError(t, err)
	defer r.Close()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, ErrDamaged, "under another name")
}

func TestUnfinishedObjects(t *testing.T) {
	s := store(t)
	w, err := s.Create("exports/x")
	require.NoError(t, err)
	_, err = w.Write([]byte("half"))
	require.NoError(t, err)
	_, err = s.Open("exports/x")
	require.ErrorIs(t, err, ErrNotFound)
	w.Abort()
	died, err := s.Create("exports/y")
	require.NoError(t, err)
	require.NoError(t, s.CleanUnfinished(time.Now().Add(-time.Hour)))
	left, err := os.ReadDir(filepath.Join(s.dir, unnamed))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoError(t, s.CleanUnfinished(time.Now().Add(time.Hour)))
	left, err = os.ReadDir(filepath.Join(s.dir, unnamed))
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, died.f.Close())
	for _, bad := range []string{"", "a", "../x", "imports/../x", "imports/X", "imports/a/b"} {
		_, err := s.Create(bad)
		require.ErrorIs(t, err, ErrName, bad)
	}
}
