package geo

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/geo/geotest"
)

func TestName(t *testing.T) {
	p, err := Open(geotest.File(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	for ip, want := range map[string]string{
		"192.0.2.7": "上海, 中国", "::ffff:192.0.2.7": "上海, 中国", "2001:db8::1": "Iceland", "fe80::1%eth0": "",
		"198.51.100.1": "", "nonsense": "", "": "",
	} {
		require.Equal(t, want, p.Name(ip), ip)
	}
}

func TestWithoutAFile(t *testing.T) {
	p, err := Open("")
	require.NoError(t, err)
	require.Empty(t, p.Name("192.0.2.7"))
	require.NoError(t, p.Close())

	_, err = Open(filepath.Join(t.TempDir(), "missing.mmdb"))
	require.ErrorContains(t, err, "places of addresses")
	broken := filepath.Join(t.TempDir(), "broken.mmdb")
	require.NoError(t, os.WriteFile(broken, []byte("no database"), 0o600))
	_, err = Open(broken)
	require.Error(t, err)
}
