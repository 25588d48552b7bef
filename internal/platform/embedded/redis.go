package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startRedis runs a cache that keeps nothing on disk: everything of record is in
// PostgreSQL, so losing or evicting any key is harmless.
func startRedis(ctx context.Context, l *layout, o Options) (*child, error) {
	path, err := findRedis()
	if err != nil {
		return nil, err
	}
	return launch(ctx, program{
		name: "Redis",
		path: path,
		args: []string{
			"--port", "0", "--unixsocket", l.redisSocket(), "--unixsocketperm", "700",
			"--dir", l.redisDir(), "--save", "", "--appendonly", "no",
			"--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru",
			"--daemonize", "no", "--loglevel", "notice",
		},
		dir:     l.redisDir(),
		env:     environment(librariesFor(path)),
		output:  filepath.Join(l.dataDir, "redis.out"),
		account: l.account,
		stop:    syscall.SIGTERM, deathSignal: syscall.SIGTERM,
		prepare: func() error { return clearRedis(l, o) },
		ready:   func(ctx context.Context) error { return pingRedis(ctx, l.redisSocket()) },
	}, o.Logger)
}

// clearRedis ends a server of an earlier run; there is only one process to it.
func clearRedis(l *layout, o Options) error {
	for _, pid := range processesIn(l.redisDir()) {
		if err := stopLeftovers(l.redisDir(), pid, syscall.SIGTERM, o.Logger); err != nil {
			return err
		}
	}
	if err := os.Remove(l.redisSocket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// pingRedis speaks the protocol's inline form, which needs no client.
func pingRedis(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "+PONG" {
		return fmt.Errorf("unexpected answer %q", answer)
	}
	return nil
}
