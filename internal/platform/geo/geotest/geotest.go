// Package geotest makes databases of places for tests.
package geotest

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"
)

// File makes one with two networks: 192.0.2.0/24 is in Shanghai, 2001:db8::/32
// in Iceland, which has no Chinese name there.
func File(t *testing.T) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "City", IncludeReservedNetworks: true})
	require.NoError(t, err)
	put := func(network string, record mmdbtype.Map) {
		_, n, err := net.ParseCIDR(network)
		require.NoError(t, err)
		require.NoError(t, tree.Insert(n, record))
	}
	named := func(zh, en string) mmdbtype.Map {
		out := mmdbtype.Map{"en": mmdbtype.String(en)}
		if zh != "" {
			out["zh-CN"] = mmdbtype.String(zh)
		}
		return mmdbtype.Map{"names": out}
	}
	put("192.0.2.0/24", mmdbtype.Map{"city": named("上海", "Shanghai"), "country": named("中国", "China")})
	put("2001:db8::/32", mmdbtype.Map{"country": named("", "Iceland")})
	path := filepath.Join(t.TempDir(), "city.mmdb")
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = tree.WriteTo(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return path
}
