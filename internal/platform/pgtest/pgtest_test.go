package pgtest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestDatabaseIsMigratedAndUsedAsTheServicesRole(t *testing.T) {
	d := DB(t)
	var role string
	var super bool
	require.NoError(t, d.QueryRow(context.Background(), "SELECT session_user, rolsuper FROM pg_roles WHERE rolname = session_user").Scan(&role, &super))
	require.Equal(t, "shuke_app", role)
	require.False(t, super)
	var n int
	require.NoError(t, d.QueryRow(context.Background(), "SELECT count(*) FROM customers").Scan(&n))
	require.Zero(t, n)
}

func TestClonesAreApart(t *testing.T) {
	a, b := DB(t), DB(t)
	_, err := a.Exec(context.Background(), "INSERT INTO settings (key, value, updated_at) VALUES ('x', '{}', now())")
	require.NoError(t, err)
	var n int
	require.NoError(t, b.QueryRow(context.Background(), "SELECT count(*) FROM settings").Scan(&n))
	require.Zero(t, n)
}

// A process that is killed leaves nothing that stops the next one.
func TestKilledTestProcessHoldsNothing(t *testing.T) {
	if os.Getenv("SHUKE_PGTEST_HANG") != "" {
		NewDatabase(t)
		os.Stdout.WriteString("ready\n")
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestKilledTestProcessHoldsNothing")
	cmd.Env = append(os.Environ(), "SHUKE_PGTEST_HANG=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 6)
	_, err = out.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "ready\n", string(buf))
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	DB(t)
}

func TestRedisCanBeKilledAndStarted(t *testing.T) {
	r := NewRedis(t)
	o, err := redis.ParseURL(r.URL)
	require.NoError(t, err)
	o.MaxRetries = -1
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.Set(t.Context(), "k", 1, time.Minute).Err())
	r.Kill()
	require.Error(t, c.Ping(t.Context()).Err())
	r.Start()
	require.ErrorIs(t, c.Get(t.Context(), "k").Err(), redis.Nil)
	require.NotEqual(t, Redis(t), Redis(t))
}
