package crypto

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/vectors.json")

func TestIndexIsStableAndSeparated(t *testing.T) {
	k := Generate()
	a := k.Index("customers.phone", "+8613800000000")
	require.Len(t, a, IndexSize)
	require.Equal(t, a, k.Index("customers.phone", "+8613800000000"))
	require.NotEqual(t, a, k.Index("customers.phone", "+8613800000001"))
	require.NotEqual(t, a, k.Index("staff.phone", "+8613800000000"), "columns do not match each other")
	require.NotEqual(t, a, Generate().Index("customers.phone", "+8613800000000"))
	token := k.Token("customers.phone", "+8613800000000")
	require.Equal(t, token, k.Token("customers.phone", "+8613800000000"))
	require.NotEqual(t, hex.EncodeToString(a[:4]), hex.EncodeToString([]byte{byte(token >> 24), byte(token >> 16), byte(token >> 8), byte(token)}),
		"a search token is not the head of the exact index")

	_, err := k.RotateBusinessKey()
	require.NoError(t, err)
	require.NoError(t, k.RotateGeneralKey())
	k.RotateSigningKey()
	require.Equal(t, a, k.Index("customers.phone", "+8613800000000"), "rotation does not touch indexes")
}

func TestBlobs(t *testing.T) {
	k := Generate()
	sealed := k.SealBlob("idempotency", []byte("principal-1"), []byte("body"))
	plain, err := k.OpenBlob("idempotency", []byte("principal-1"), sealed)
	require.NoError(t, err)
	require.Equal(t, "body", string(plain))
	_, err = k.OpenBlob("idempotency", []byte("principal-2"), sealed)
	require.ErrorIs(t, err, ErrOpen)
	_, err = k.OpenBlob("cache", []byte("principal-1"), sealed)
	require.ErrorIs(t, err, ErrOpen)
	_, err = k.OpenBlob("idempotency", []byte("principal-1"), sealed[:20])
	require.ErrorIs(t, err, ErrFormat)

	require.NoError(t, k.RotateGeneralKey())
	plain, err = k.OpenBlob("idempotency", []byte("principal-1"), sealed)
	require.NoError(t, err, "blobs of the version before stay readable")
	require.Equal(t, "body", string(plain))
	sealed[2] = 99
	var unknown *UnknownKeyError
	_, err = k.OpenBlob("idempotency", []byte("principal-1"), sealed)
	require.ErrorAs(t, err, &unknown)
}

func TestSigningKeys(t *testing.T) {
	k := Generate()
	first := k.SigningKeys().Current
	require.Len(t, first.Key, 32)
	k.RotateSigningKey()
	keys := k.SigningKeys()
	require.NotEqual(t, first.ID, keys.Current.ID)
	old, ok := keys.ByID(first.ID)
	require.True(t, ok)
	require.Equal(t, first.Key, old.Key)
	k.RotateSigningKey()
	_, ok = k.SigningKeys().ByID(first.ID)
	require.False(t, ok, "two rotations retire a key")
	_, ok = k.SigningKeys().ByID("")
	require.False(t, ok)
}

func TestDeriveDependsOnPurposeOnly(t *testing.T) {
	k := Generate()
	a := k.Derive("cursor")
	require.NotEqual(t, a, k.Derive("ticket"))
	require.NoError(t, k.RotateGeneralKey())
	require.Equal(t, a, k.Derive("cursor"))
}

func TestLoadOrCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "keyring.json")
	var wg sync.WaitGroup
	prints := make([]string, 16)
	for i := range prints {
		wg.Go(func() {
			k, err := LoadOrCreate(path)
			if err == nil {
				prints[i] = k.Fingerprint() + k.SigningKeys().Current.ID
			}
		})
	}
	wg.Wait()
	for _, p := range prints {
		require.NotEmpty(t, p)
		require.Equal(t, prints[0], p, "all starters get the same keys")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	info, err = os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file stays")

	require.NoError(t, os.Chmod(path, 0o644))
	_, err = LoadOrCreate(path)
	require.ErrorIs(t, err, ErrPermissions)
	require.NoError(t, os.Chmod(path, 0o640))
	_, err = Load(path)
	require.NoError(t, err, "a secret mounted for a group is fine")

	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = LoadOrCreate(path)
	require.ErrorIs(t, err, ErrKeyring, "a damaged keyring is never replaced by a fresh one")
}

func TestUpdateAndReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring.json")
	running, err := LoadOrCreate(path)
	require.NoError(t, err)

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := Update(path, func(k *Keyring) error { _, err := k.RotateBusinessKey(); return err })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh, err := Load(path)
	require.NoError(t, err)
	require.EqualValues(t, 9, fresh.BusinessKeyVersion(), "no rotation was lost")

	_, wrapped, err := fresh.NewDataKey(rowA)
	require.NoError(t, err)
	var unknown *UnknownKeyError
	_, err = running.UnwrapDataKey(rowA, wrapped)
	require.ErrorAs(t, err, &unknown)
	require.NoError(t, running.Reload(path))
	_, err = running.UnwrapDataKey(rowA, wrapped)
	require.NoError(t, err)

	require.NoError(t, Generate().Save(path))
	require.ErrorIs(t, running.Reload(path), ErrKeyring, "another database's keys are refused")
}

func TestParseRefuses(t *testing.T) {
	good := Generate().marshal()
	k, err := Parse(good)
	require.NoError(t, err)
	require.Equal(t, good, k.marshal(), "a document survives a round trip")

	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		require.NoError(t, json.Unmarshal(good, &m))
		change(m)
		out, err := json.Marshal(m)
		require.NoError(t, err)
		return out
	}
	zero := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, doc := range map[string][]byte{
		"empty":           nil,
		"not json":        []byte("secret-canary"),
		"two documents":   append(bytes.Clone(good), good...),
		"format":          edit(func(m map[string]any) { m["format"] = 2 }),
		"unknown field":   edit(func(m map[string]any) { m["extra"] = 1 }),
		"short index":     edit(func(m map[string]any) { m["index"] = "c2hvcnQ=" }),
		"zero derive":     edit(func(m map[string]any) { m["derive"] = zero }),
		"no signing":      edit(func(m map[string]any) { m["signing"] = []any{} }),
		"missing current": edit(func(m map[string]any) { m["business"].(map[string]any)["current"] = 5 }),
		"no general":      edit(func(m map[string]any) { delete(m, "general") }),
		"same kid twice":  edit(func(m map[string]any) { s := m["signing"].([]any); m["signing"] = append(s, s[0]) }),
		"huge":            []byte(strings.Repeat(" ", maxDocument+1)),
	} {
		_, err := Parse(doc)
		require.ErrorIs(t, err, ErrKeyring, name)
		require.NotContains(t, err.Error(), "canary")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Generate().marshal())
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		k, err := Parse(doc)
		if err != nil {
			return
		}
		again, err := Parse(k.marshal())
		if err != nil || again.Fingerprint() != k.Fingerprint() {
			t.Fatalf("an accepted document does not survive saving: %v", err)
		}
	})
}

// vectors pin the stored formats: a change that cannot read yesterday's rows fails here.
type vectors struct {
	Keyring     json.RawMessage `json:"keyring"`
	Fingerprint string          `json:"fingerprint"`
	Wrapped     string          `json:"wrapped"`
	Field       string          `json:"field"`
	Child       string          `json:"child"`
	Blob        string          `json:"blob"`
	Index       string          `json:"index"`
	Token       int32           `json:"token"`
	Derive      string          `json:"derive"`
}

func TestVectors(t *testing.T) {
	const path = "testdata/vectors.json"
	if *update {
		k := Generate()
		d, wrapped := mustKey(t, k, rowA)
		derived := k.Derive("cursor")
		v := vectors{
			Keyring: k.marshal(), Fingerprint: k.Fingerprint(), Wrapped: hex.EncodeToString(wrapped),
			Field: hex.EncodeToString(d.Seal("customers", "name", rowA, []byte("王小明"))),
			Child: hex.EncodeToString(d.Derive("addresses", rowB).Seal("addresses", "line1", rowB, []byte("中山路1号"))),
			Blob:  hex.EncodeToString(k.SealBlob("idempotency", []byte("aad"), []byte("body"))),
			Index: hex.EncodeToString(k.Index("customers.phone", "+8613800000000")),
			Token: k.Token("customers.name", "h:王小"), Derive: hex.EncodeToString(derived[:]),
		}
		out, err := json.MarshalIndent(v, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, append(out, '\n'), 0o644))
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var v vectors
	require.NoError(t, json.Unmarshal(raw, &v))
	unhex := func(s string) []byte { b, err := hex.DecodeString(s); require.NoError(t, err); return b }

	k, err := Parse(v.Keyring)
	require.NoError(t, err)
	require.Equal(t, v.Fingerprint, k.Fingerprint())
	d, err := k.UnwrapDataKey(rowA, unhex(v.Wrapped))
	require.NoError(t, err)
	name, err := d.Open("customers", "name", rowA, unhex(v.Field))
	require.NoError(t, err)
	require.Equal(t, "王小明", string(name))
	line, err := d.Derive("addresses", rowB).Open("addresses", "line1", rowB, unhex(v.Child))
	require.NoError(t, err)
	require.Equal(t, "中山路1号", string(line))
	body, err := k.OpenBlob("idempotency", []byte("aad"), unhex(v.Blob))
	require.NoError(t, err)
	require.Equal(t, "body", string(body))
	require.Equal(t, unhex(v.Index), k.Index("customers.phone", "+8613800000000"))
	require.Equal(t, v.Token, k.Token("customers.name", "h:王小"))
	derived := k.Derive("cursor")
	require.Equal(t, unhex(v.Derive), derived[:])
}
