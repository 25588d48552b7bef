package crypto

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

var (
	rowA = uuid.MustParse("0197a1b2-0000-7000-8000-00000000000a")
	rowB = uuid.MustParse("0197a1b2-0000-7000-8000-00000000000b")
)

func mustKey(t testing.TB, k *Keyring, row uuid.UUID) (DataKey, []byte) {
	t.Helper()
	d, wrapped, err := k.NewDataKey(row)
	require.NoError(t, err)
	return d, wrapped
}

func TestSealedFieldOpensOnlyInItsPlace(t *testing.T) {
	k := Generate()
	d, _ := mustKey(t, k, rowA)
	other, _ := mustKey(t, k, rowB)
	sealed := d.Seal("customers", "phone", rowA, []byte("+8613800000000"))
	require.Len(t, sealed, len("+8613800000000")+Overhead)

	plain, err := d.Open("customers", "phone", rowA, sealed)
	require.NoError(t, err)
	require.Equal(t, "+8613800000000", string(plain))

	for name, open := range map[string]func() ([]byte, error){
		"other row":      func() ([]byte, error) { return d.Open("customers", "phone", rowB, sealed) },
		"other column":   func() ([]byte, error) { return d.Open("customers", "email", rowA, sealed) },
		"other table":    func() ([]byte, error) { return d.Open("staff", "phone", rowA, sealed) },
		"shifted border": func() ([]byte, error) { return d.Open("customersp", "hone", rowA, sealed) },
		"other data key": func() ([]byte, error) { return other.Open("customers", "phone", rowA, sealed) },
		"child's key":    func() ([]byte, error) { return d.Derive("addresses", rowA).Open("customers", "phone", rowA, sealed) },
		"flipped bit": func() ([]byte, error) {
			c := bytes.Clone(sealed)
			c[len(c)-1] ^= 1
			return d.Open("customers", "phone", rowA, c)
		},
		"shortened by 1":  func() ([]byte, error) { return d.Open("customers", "phone", rowA, sealed[:len(sealed)-1]) },
		"appended a byte": func() ([]byte, error) { return d.Open("customers", "phone", rowA, append(bytes.Clone(sealed), 0)) },
	} {
		_, err := open()
		require.ErrorIs(t, err, ErrOpen, name)
	}
	for n := range Overhead {
		_, err := d.Open("customers", "phone", rowA, sealed[:n])
		require.ErrorIs(t, err, ErrFormat, "%d bytes", n)
	}
	sealed[0] = 9
	_, err = d.Open("customers", "phone", rowA, sealed)
	require.ErrorIs(t, err, ErrFormat)
}

func TestTwoSealsOfOneValueDiffer(t *testing.T) {
	d, _ := mustKey(t, Generate(), rowA)
	require.NotEqual(t, d.Seal("t", "c", rowA, []byte("x")), d.Seal("t", "c", rowA, []byte("x")))
}

func TestEmptyPlaintext(t *testing.T) {
	d, _ := mustKey(t, Generate(), rowA)
	plain, err := d.Open("t", "c", rowA, d.Seal("t", "c", rowA, nil))
	require.NoError(t, err)
	require.Empty(t, plain)
}

func TestWrappedKeyOpensOnItsRowOnly(t *testing.T) {
	k := Generate()
	d, wrapped := mustKey(t, k, rowA)
	require.Len(t, wrapped, WrappedSize)
	require.EqualValues(t, 1, WrappedVersion(wrapped))

	again, err := k.UnwrapDataKey(rowA, wrapped)
	require.NoError(t, err)
	plain, err := again.Open("t", "c", rowA, d.Seal("t", "c", rowA, []byte("李小明")))
	require.NoError(t, err)
	require.Equal(t, "李小明", string(plain))

	_, err = k.UnwrapDataKey(rowB, wrapped)
	require.ErrorIs(t, err, ErrOpen, "a wrapped key moved to another row")
	_, err = Generate().UnwrapDataKey(rowA, wrapped)
	require.ErrorIs(t, err, ErrOpen, "another business")
	_, err = k.UnwrapDataKey(rowA, nil)
	require.ErrorIs(t, err, ErrDestroyed)
	_, err = k.UnwrapDataKey(rowA, wrapped[:10])
	require.ErrorIs(t, err, ErrFormat)

	_, err = DataKey{}.Open("t", "c", rowA, wrapped)
	require.ErrorIs(t, err, ErrDestroyed)
	require.True(t, DataKey{}.Derive("t", rowA).IsZero())
}

func TestRotationKeepsFieldsReadable(t *testing.T) {
	k := Generate()
	d, wrapped := mustKey(t, k, rowA)
	sealed := d.Seal("t", "c", rowA, []byte("x"))

	version, err := k.RotateBusinessKey()
	require.NoError(t, err)
	require.EqualValues(t, 2, version)
	_, err = k.UnwrapDataKey(rowA, wrapped)
	require.NoError(t, err, "the old version still opens")

	moved, changed, err := k.Rewrap(rowA, wrapped)
	require.NoError(t, err)
	require.True(t, changed)
	require.EqualValues(t, 2, WrappedVersion(moved))
	same, changed, err := k.Rewrap(rowA, moved)
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, moved, same)

	require.Error(t, k.DropBusinessKey(2), "the current version stays")
	require.NoError(t, k.DropBusinessKey(1))
	var unknown *UnknownKeyError
	_, err = k.UnwrapDataKey(rowA, wrapped)
	require.ErrorAs(t, err, &unknown, "an old backup is unreadable once its key is dropped")
	require.EqualValues(t, 1, unknown.Version)
	require.ErrorAs(t, k.DropBusinessKey(1), &unknown)

	again, err := k.UnwrapDataKey(rowA, moved)
	require.NoError(t, err)
	plain, err := again.Open("t", "c", rowA, sealed)
	require.NoError(t, err)
	require.Equal(t, "x", string(plain))
}

func TestStagedKeyIsKnownBeforeItIsUsed(t *testing.T) {
	k := Generate()
	version, err := k.StageBusinessKey()
	require.NoError(t, err)
	require.EqualValues(t, 1, k.BusinessKeyVersion())
	replica, err := Parse(k.marshal())
	require.NoError(t, err)

	require.NoError(t, k.ActivateBusinessKey(version))
	_, wrapped := mustKey(t, k, rowA)
	require.EqualValues(t, 2, WrappedVersion(wrapped))
	_, err = replica.UnwrapDataKey(rowA, wrapped)
	require.NoError(t, err, "a replica that loaded the staged key reads rows written with it")
	require.Error(t, k.ActivateBusinessKey(77))
}

func TestRotationUnderLoad(t *testing.T) {
	k := Generate()
	d, wrapped := mustKey(t, k, rowA)
	sealed := d.Seal("t", "c", rowA, []byte("x"))
	done := make(chan error, 4)
	for range 4 {
		go func() {
			for range 2000 {
				key, err := k.UnwrapDataKey(rowA, wrapped)
				if err == nil {
					_, err = key.Open("t", "c", rowA, sealed)
				}
				if err != nil {
					done <- err
					return
				}
				k.Token("customers.name", "h:王小")
			}
			done <- nil
		}()
	}
	for range 20 {
		_, err := k.RotateBusinessKey()
		require.NoError(t, err)
	}
	for range 4 {
		require.NoError(t, <-done)
	}
}

func TestChildKeys(t *testing.T) {
	k := Generate()
	d, _ := mustKey(t, k, rowA)
	sealed := d.Derive("addresses", rowB).Seal("addresses", "line1", rowB, []byte("x"))
	_, err := d.Derive("addresses", rowB).Open("addresses", "line1", rowB, sealed)
	require.NoError(t, err)
	_, err = d.Derive("consents", rowB).Open("addresses", "line1", rowB, sealed)
	require.ErrorIs(t, err, ErrOpen)
	_, err = d.Derive("addresses", rowA).Open("addresses", "line1", rowB, sealed)
	require.ErrorIs(t, err, ErrOpen)
}

func TestKeysNeverPrint(t *testing.T) {
	k := Generate()
	d, _ := mustKey(t, k, rowA)
	signing := k.SigningKeys()
	type nested struct {
		K *Keyring
		D DataKey
		s SigningKeys
		d DataKey
		k *Keyring
	}
	var out bytes.Buffer
	for _, v := range []any{k, d, signing.Current, *d.k.secret, nested{K: k, D: d, d: d, k: k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "k", k, "d", d, "s", signing.Current)
	text := out.String()
	for _, key := range [][]byte{signing.Current.Key, d.k.secret[:], k.state.Load().index[:]} {
		for _, form := range []string{"%x", "%d", "%s", "%v", "% x"} {
			printed := strings.Trim(fmt.Sprintf(form, key), "[]")
			require.NotContains(t, text, printed)
		}
	}
	_, err := json.Marshal(k)
	require.Error(t, err)
}

func TestErrorsCarryNoPlaintext(t *testing.T) {
	k := Generate()
	d, _ := mustKey(t, k, rowA)
	sealed := d.Seal("t", "c", rowA, []byte("canary-13800000000"))
	_, err := d.Open("t", "other", rowA, sealed)
	require.NotContains(t, err.Error(), "13800000000")
	require.False(t, errors.Is(err, ErrDestroyed))
}

func FuzzOpen(f *testing.F) {
	k := Generate()
	d, wrapped, _ := k.NewDataKey(rowA)
	sealed := d.Seal("t", "c", rowA, []byte("seed"))
	blob := k.SealBlob("p", nil, []byte("seed"))
	for _, seed := range [][]byte{nil, {1}, sealed, wrapped, blob} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := d.Open("t", "c", rowA, in); err == nil && !bytes.Equal(in, sealed) {
			t.Fatalf("opened a forged field %x", in)
		}
		if _, err := k.UnwrapDataKey(rowA, in); err == nil && !bytes.Equal(in, wrapped) {
			t.Fatalf("opened a forged key %x", in)
		}
		if _, err := k.OpenBlob("p", nil, in); err == nil && !bytes.Equal(in, blob) {
			t.Fatalf("opened a forged blob %x", in)
		}
	})
}

// BenchmarkReadRow is a row read: unwrap the data key, open three fields.
func BenchmarkReadRow(b *testing.B) {
	k := Generate()
	d, wrapped, _ := k.NewDataKey(rowA)
	name := d.Seal("customers", "name", rowA, []byte("欧阳小明"))
	phone := d.Seal("customers", "phone", rowA, []byte("+8613800000000"))
	email := d.Seal("customers", "email", rowA, []byte("someone@example.com"))
	b.ReportAllocs()
	for b.Loop() {
		key, err := k.UnwrapDataKey(rowA, wrapped)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range []struct {
			column string
			sealed []byte
		}{{"name", name}, {"phone", phone}, {"email", email}} {
			if _, err := key.Open("customers", f.column, rowA, f.sealed); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkWriteRow(b *testing.B) {
	k := Generate()
	b.ReportAllocs()
	for b.Loop() {
		d, _, _ := k.NewDataKey(rowA)
		d.Seal("customers", "name", rowA, []byte("欧阳小明"))
		d.Seal("customers", "phone", rowA, []byte("+8613800000000"))
		d.Seal("customers", "email", rowA, []byte("someone@example.com"))
	}
}

func BenchmarkToken(b *testing.B) {
	k := Generate()
	b.ReportAllocs()
	for b.Loop() {
		k.Token("customers.name", "h:王小")
	}
}
