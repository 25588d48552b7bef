package imports_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/testkit"
)

func system(t testing.TB) context.Context { return auth.System(t.Context(), "test") }

// stored are the objects in an application's file store.
func stored(t testing.TB, app *testkit.App) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(app.Files, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	return raw
}
