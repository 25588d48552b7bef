package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultsAreSafeAndComplete(t *testing.T) {
	c, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, Production, c.Env)
	require.False(t, c.AllowUnsafe)
	require.True(t, filepath.IsAbs(c.DataDir))
	require.Equal(t, filepath.Join(c.DataDir, "keys", "keyring.json"), c.KeyringFile)
	require.Equal(t, "127.0.0.1:8080", c.HTTPAddr)
	require.Equal(t, "http://127.0.0.1:8080", c.BaseURL())
	require.Equal(t, 16, c.DatabasePool)
	require.True(t, c.Has(RoleServe))
	require.True(t, c.Has(RoleWorker))
	require.Equal(t, "Asia/Shanghai", c.Location().String())
	require.True(t, c.EmbeddedPostgres())
	require.True(t, c.EmbeddedRedis())
}

func TestBaseURLOfAllInterfacesIsReachable(t *testing.T) {
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080"} {
		c, err := load([]string{"SHUKE_ENV=development", "SHUKE_HTTP_ADDR=" + addr})
		require.NoError(t, err)
		require.Equal(t, "http://127.0.0.1:8080", c.BaseURL())
	}
}

func TestEnvironmentWinsOverFileAndEmptyMeansUnset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shuke.env")
	require.NoError(t, os.WriteFile(path, []byte("# shop\nSHUKE_CURRENCY=usd\nSHUKE_LOG_LEVEL=debug\nSHUKE_ROLES=worker\n"), 0o600))
	c, err := load([]string{"SHUKE_CONFIG_FILE=" + path, "SHUKE_LOG_LEVEL=warn", "SHUKE_ROLES="})
	require.NoError(t, err)
	require.Equal(t, "USD", c.Currency)
	require.Equal(t, "warn", c.LogLevel)
	require.Equal(t, []Role{RoleWorker}, c.Roles)

	var out strings.Builder
	require.NoError(t, c.WriteSummary(&out))
	require.Regexp(t, `SHUKE_CURRENCY +USD  \[file\]`, out.String())
	require.Regexp(t, `SHUKE_LOG_LEVEL +warn  \[environment\]`, out.String())
	require.Regexp(t, `SHUKE_TIME_ZONE +Asia/Shanghai  \[default\]`, out.String())
}

func TestFileMistakesAreNamedWithoutTheirValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shuke.env")
	require.NoError(t, os.WriteFile(path, []byte("SHUKE_ADMIN_PASSWROD=hunter2hunter2\n"), 0o600))
	_, err := load([]string{"SHUKE_CONFIG_FILE=" + path})
	require.ErrorContains(t, err, "SHUKE_ADMIN_PASSWROD")
	require.ErrorContains(t, err, "SHUKE_ADMIN_PASSWORD")
	require.NotContains(t, err.Error(), "hunter2")

	require.NoError(t, os.WriteFile(path, []byte("'hunter2 = {\n"), 0o600))
	_, err = load([]string{"SHUKE_CONFIG_FILE=" + path})
	require.ErrorContains(t, err, "dotenv")
	require.NotContains(t, err.Error(), "hunter2")

	_, err = load([]string{"SHUKE_CONFIG_FILE=" + path + ".missing"})
	require.ErrorContains(t, err, "SHUKE_CONFIG_FILE")
}

func TestRules(t *testing.T) {
	cases := []struct {
		name string
		env  []string
		want string // "" means accepted
	}{
		{"unknown environment", []string{"SHUKE_ENV=staging"}, "SHUKE_ENV"},
		{"development flag in production", []string{"SHUKE_ENV=production", "SHUKE_DEVELOPMENT=true"}, "SHUKE_DEVELOPMENT"},
		{"development flag alone", []string{"SHUKE_DEVELOPMENT=true"}, ""},
		{"flag is not a boolean", []string{"SHUKE_DEVELOPMENT=perhaps"}, "SHUKE_DEVELOPMENT must be a true or false"},
		{"pool is not a number", []string{"SHUKE_DATABASE_POOL=many"}, "SHUKE_DATABASE_POOL must be a whole number"},
		{"pool too large", []string{"SHUKE_DATABASE_POOL=5000"}, "SHUKE_DATABASE_POOL"},
		{"pool too large for the private server", []string{"SHUKE_DATABASE_POOL=100"}, "at most 80"},
		{"large pool on another server", []string{"SHUKE_DATABASE_POOL=100", "SHUKE_DATABASE_URL=postgres://a@h/d"}, ""},
		{"role", []string{"SHUKE_ROLES=serve,cook"}, "SHUKE_ROLES"},
		{"time zone", []string{"SHUKE_TIME_ZONE=Mars/Olympus"}, "SHUKE_TIME_ZONE"},
		{"currency", []string{"SHUKE_CURRENCY=YUAN"}, "SHUKE_CURRENCY"},
		{"log level", []string{"SHUKE_LOG_LEVEL=loud"}, "SHUKE_LOG_LEVEL"},
		{"log format", []string{"SHUKE_LOG_FORMAT=xml"}, "SHUKE_LOG_FORMAT"},
		{"database address", []string{"SHUKE_DATABASE_URL=mysql://u:hunter2@h/d"}, "SHUKE_DATABASE_URL"},
		{"database password with a raw percent", []string{"SHUKE_DATABASE_URL=postgres://u:hunter2%zz@h/d"}, "percent-encoded"},
		{"database pairs", []string{"SHUKE_DATABASE_URL=host=/run/pg user=shuke_app password=x"}, ""},
		{"owner without database", []string{"SHUKE_DATABASE_OWNER_URL=postgres://o@h/d"}, "set both"},
		{"service as owner", []string{"SHUKE_DATABASE_URL=postgres://o@h/d", "SHUKE_DATABASE_OWNER_URL=postgres://o@h/d"}, "does not own"},
		{"redis address", []string{"SHUKE_REDIS_URL=localhost:6379"}, "SHUKE_REDIS_URL"},
		{"redis socket", []string{"SHUKE_REDIS_URL=unix:///run/redis.sock"}, ""},
		{"http address", []string{"SHUKE_HTTP_ADDR=8080"}, "SHUKE_HTTP_ADDR"},
		{"open plain http", []string{"SHUKE_HTTP_ADDR=0.0.0.0:8080"}, "plain http"},
		{"open plain http in development", []string{"SHUKE_HTTP_ADDR=:8080", "SHUKE_ENV=development"}, ""},
		{"behind TLS", []string{"SHUKE_HTTP_ADDR=:8080", "SHUKE_PUBLIC_URL=https://crm.example.com/"}, ""},
		{"public plain http", []string{"SHUKE_PUBLIC_URL=http://crm.example.com"}, "plain http"},
		{"public address", []string{"SHUKE_PUBLIC_URL=crm.example.com"}, "SHUKE_PUBLIC_URL"},
		{"any origin in production", []string{"SHUKE_CORS_ORIGINS=*"}, "SHUKE_CORS_ORIGINS"},
		{"any origin in development", []string{"SHUKE_CORS_ORIGINS=*", "SHUKE_ENV=development"}, ""},
		{"origin with a path", []string{"SHUKE_CORS_ORIGINS=https://a.example.com/app"}, "SHUKE_CORS_ORIGINS"},
		{"two origins", []string{"SHUKE_CORS_ORIGINS=https://a.example.com, http://localhost:5173"}, ""},
		{"short password", []string{"SHUKE_ADMIN_PASSWORD=hunter2"}, "too short"},
		{"sample password", []string{"SHUKE_ADMIN_PASSWORD=ChangeMe"}, "sample"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load(tc.env)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := load([]string{"SHUKE_CURRENCY=?", "SHUKE_LOG_LEVEL=loud", "SHUKE_TIME_ZONE=x"})
	require.ErrorContains(t, err, "SHUKE_CURRENCY")
	require.ErrorContains(t, err, "SHUKE_LOG_LEVEL")
	require.ErrorContains(t, err, "SHUKE_TIME_ZONE")
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	c, err := load([]string{
		"SHUKE_DATABASE_URL=postgres://app:hunter2@db/shuke?sslmode=require&sslpassword=hunter2",
		"SHUKE_DATABASE_OWNER_URL=host=db user=o password='hunter2 \\' hunter2' dbname=shuke",
		"SHUKE_REDIS_URL=redis://:hunter2@cache:6379/0",
		"SHUKE_ADMIN_PASSWORD=hunter2hunter2",
	})
	require.NoError(t, err)
	var table strings.Builder
	require.NoError(t, c.WriteSummary(&table))
	secret, err := json.Marshal(map[string]any{"p": c.AdminPassword})
	require.NoError(t, err)
	for _, printed := range []string{
		table.String(), c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c),
		fmt.Sprintf("%v %+v %#v %q", c.AdminPassword, c.AdminPassword, c.AdminPassword, c.AdminPassword),
		c.LogValue().String(), c.AdminPassword.LogValue().String(), string(secret),
	} {
		require.NotContains(t, printed, "hunter2")
		require.Contains(t, printed, hidden)
	}
	require.Equal(t, "hunter2hunter2", c.AdminPassword.Reveal())
	require.Contains(t, table.String(), "postgres://app:********@db/shuke")
}

func TestRedactAddress(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"postgres://u@h/d":          "postgres://u@h/d",
		"postgres://u:p%40@h/d?x=1": "postgres://u:********@h/d?x=1",
		"postgres://u:p%zz@h/d":     hidden,
		"host=h password=p":         "host=h password=********",
		"just a password":           hidden,
		"unix:///run/redis.sock":    "unix:///run/redis.sock",
	} {
		require.Equal(t, want, RedactAddress(in), in)
	}
}
