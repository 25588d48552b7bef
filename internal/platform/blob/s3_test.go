package blob

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// bucketStore is a store in a stand-in that verifies every signature with code
// of its own, over TLS or without.
func bucketStore(t *testing.T, tls bool) (*Store, *fake.S3, Bucket) {
	t.Helper()
	s3 := fake.NewS3("files", "cn-north-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	web := httptest.NewUnstartedServer(s3)
	if tls {
		web.StartTLS()
	} else {
		web.Start()
	}
	t.Cleanup(web.Close)
	b := Bucket{Endpoint: web.Listener.Addr().String(), Insecure: !tls, Region: s3.Region, Name: s3.Bucket, AccessKey: s3.AccessKey, SecretKey: s3.SecretKey, Prefix: "shuke/"}
	b.Transport = web.Client().Transport
	s, err := OpenBucket(b, t.TempDir(), crypto.Generate())
	require.NoError(t, err)
	return s, s3, b
}

func TestObjectsInABucket(t *testing.T) {
	for name, tls := range map[string]bool{"signed in chunks": false, "over TLS": true} {
		t.Run(name, func(t *testing.T) {
			s, s3, _ := bucketStore(t, tls)
			for _, n := range []int{0, 1, piece, piece + 1, 3*piece + 17} {
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
				if n > 2*piece {
					for _, at := range []int64{2 * piece, 5, piece - 10} { // forth and back
						part := make([]byte, 20)
						_, err = r.ReadAt(part, at)
						require.NoError(t, err)
						require.Equal(t, content[at:at+20], part)
					}
					require.False(t, bytes.Contains(s3.Objects()["shuke/imports/a-1"], content[:32]), "in clear")
				}
				require.NoError(t, r.Close())
			}
			require.Len(t, s3.Objects(), 1)
			require.NoError(t, s.Delete("imports/a-1"))
			require.NoError(t, s.Delete("imports/a-1"), "again")
			require.Empty(t, s3.Objects())
			_, err := s.Open("imports/a-1")
			require.ErrorIs(t, err, ErrNotFound)
			left, err := os.ReadDir(filepath.Join(s.dir, unnamed))
			require.NoError(t, err)
			require.Empty(t, left)
			require.Zero(t, s3.Refused())
		})
	}
}

func TestLargeObjectsGoToABucketInParts(t *testing.T) {
	s, s3, _ := bucketStore(t, true)
	content := bytes.Repeat([]byte("0123456789abcdef"), (70<<20)/16)
	w, err := s.Create("exports/big")
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	require.Len(t, s3.Objects(), 1)
	r, err := s.Open("exports/big")
	require.NoError(t, err)
	defer func() { _ = r.Close() }()
	tail := make([]byte, 32)
	_, err = r.ReadAt(tail, int64(len(content))-32)
	require.NoError(t, err)
	require.Equal(t, content[len(content)-32:], tail)
}

func TestABucketThatRefuses(t *testing.T) {
	s, s3, b := bucketStore(t, false)
	put(t, s, "imports/a-1", []byte("kept"))
	wrong := func(change func(*Bucket)) error {
		other := b
		change(&other)
		s, err := OpenBucket(other, t.TempDir(), crypto.Generate())
		require.NoError(t, err)
		_, err = s.Open("imports/a-1")
		return err
	}
	for name, change := range map[string]func(*Bucket){
		"secret": func(b *Bucket) { b.SecretKey = "another" }, "key": func(b *Bucket) { b.AccessKey = "AKIDOTHER" }, "bucket": func(b *Bucket) { b.Name = "others" },
	} {
		err := wrong(change)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, ErrNotFound, name)
		require.NotContains(t, err.Error(), "wJalrXUtnFEMI", name)
	}
	require.Positive(t, s3.Refused())
	// An object that was changed there is damaged, one that was cut short too.
	key := "shuke/imports/a-1"
	spoil := func(f func([]byte) []byte) { s3.Put(key, f(s3.Objects()[key])) }
	spoil(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	r, err := s.Open("imports/a-1")
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, r.Close())
	spoil(func(b []byte) []byte { return b[:10] })
	_, err = s.Open("imports/a-1")
	require.ErrorIs(t, err, ErrDamaged)

	// While it is away nothing is written, and nothing is left behind here.
	s3.SetDown(true)
	began := time.Now()
	w, err := s.Create("imports/b")
	require.NoError(t, err)
	_, err = w.Write([]byte("x"))
	require.NoError(t, err)
	require.Error(t, w.Commit())
	require.Less(t, time.Since(began), 50*time.Second)
	left, err := os.ReadDir(filepath.Join(s.dir, unnamed))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestObjectsWithAKeyOfTheirOwn(t *testing.T) {
	s := store(t)
	key, secret := crypto.NewContentKey()
	content := bytes.Repeat([]byte("outfit "), piece/3)
	w, err := s.CreateWith("attachments/a", key)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Commit())
	again, err := crypto.ContentKey(secret)
	require.NoError(t, err)
	r, err := s.OpenWith("attachments/a", again)
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.NoError(t, r.Close())
	other, _ := crypto.NewContentKey()
	r, err = s.OpenWith("attachments/a", other)
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, ErrDamaged)
	require.NoError(t, r.Close())
	_, err = crypto.ContentKey(secret[1:])
	require.ErrorIs(t, err, crypto.ErrFormat)
}
