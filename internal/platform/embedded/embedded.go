// Package embedded runs a private PostgreSQL and a private Redis for a service
// that was given no server addresses.
//
// Both are the real servers, started as child processes below the data folder,
// reachable only through unix sockets in a folder closed to others, and stopped
// with the service. As root they run as an unprivileged user.
//
// A child receives SIGINT or SIGTERM from the kernel when the service dies in any
// way, so nothing is left behind; should it survive all the same, the next start
// finds and stops it, then recovers. A child that dies alone is started again.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options says what to run and where.
type Options struct {
	// DataDir holds the servers' data and the generated passwords; created if missing.
	DataDir string
	// Postgres and Redis choose the servers.
	Postgres, Redis bool
	// Unsafe trades durability for speed (no fsync). For tests only.
	Unsafe bool
	// Logger receives progress; nil means slog.Default().
	Logger *slog.Logger
}

// Servers are the running children. Addresses of servers not asked for are empty.
type Servers struct {
	// AdminURL connects as the cluster's superuser, by the identity of this
	// operating-system user. For maintenance and tests, never for the service.
	AdminURL string
	// OwnerURL connects as shuke_owner, for migrations.
	OwnerURL string
	// AppURL connects as shuke_app, for the service.
	AppURL string
	// BIURL connects as shuke_bi, which reads reporting views only.
	BIURL string
	// RedisURL is the cache.
	RedisURL string

	lock     *os.File
	children []*child // in the order they were started
	errs     chan error
	stop     sync.Once
}

// Start brings the servers up and returns when they answer. The context bounds
// the start only; the servers run until Stop, so that requests still in flight
// can finish after the service was told to end.
//
// Errors: another service uses the data folder; server programs are missing; the
// data was written by another major version; a server refuses to start.
func Start(ctx context.Context, o Options) (*Servers, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	l, err := prepareLayout(o.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Servers{errs: make(chan error, 1)}
	if s.lock, err = lockFolder(l.dataDir); err != nil {
		return nil, err
	}
	sign(s.lock)
	if err = s.start(ctx, o, l); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Servers) start(ctx context.Context, o Options, l *layout) error {
	if err := l.chooseFolders(o.Logger); err != nil {
		return err
	}
	if o.Redis {
		c, err := startRedis(ctx, l, o)
		if err != nil {
			return fmt.Errorf("private Redis: %w", err)
		}
		s.adopt(c, o.Logger)
	}
	if o.Postgres {
		c, err := startPostgres(ctx, l, o)
		if err != nil {
			return fmt.Errorf("private PostgreSQL: %w", err)
		}
		s.adopt(c, o.Logger)
		if err := ensureCluster(ctx, l); err != nil {
			return fmt.Errorf("private PostgreSQL: %w", err)
		}
	}
	return s.setAddresses(l, o.Postgres, o.Redis)
}

// adopt hands a started child to supervision.
func (s *Servers) adopt(c *child, log *slog.Logger) {
	s.children = append(s.children, c)
	go func() {
		if err := c.supervise(log); err != nil {
			select {
			case s.errs <- err:
			default: // one failure is enough to end the service
			}
		}
	}()
}

// Err delivers an error when a server keeps dying and is given up; the service
// should then end. It never delivers after Stop.
func (s *Servers) Err() <-chan error { return s.errs }

// Stop ends the servers, the last started first, and frees the data folder. It
// returns when no process is left, within about a minute, and may be called
// more than once.
func (s *Servers) Stop() {
	s.stop.Do(func() {
		for i := len(s.children) - 1; i >= 0; i-- {
			s.children[i].halt()
		}
		if s.lock != nil {
			_ = s.lock.Close() // closing releases the lock
		}
	})
}

// ErrNotRunning is returned by Attach when no service runs the servers of a data folder.
var ErrNotRunning = errors.New("no service is running on this data folder")

// Attach returns the addresses of the servers that another process runs on the
// data folder. Stop does nothing on the result.
// Errors: ErrNotRunning; unreadable passwords (another operating-system user).
func Attach(dataDir string) (*Servers, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err == nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w (%s)", ErrNotRunning, dir)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (%s)", ErrNotRunning, dir)
	}
	if !errors.Is(err, errLocked) {
		return nil, err
	}
	l := &layout{dataDir: dir}
	if err := l.readFolders(); err != nil {
		return nil, err
	}
	s := &Servers{errs: make(chan error, 1)}
	_, pgErr := os.Stat(l.passwordFile())
	_, redisErr := os.Stat(l.redisSocket())
	return s, s.setAddresses(l, pgErr == nil, redisErr == nil)
}

// StartOrAttach starts the servers, or attaches to those that a running service
// has started on the same data folder. Commands beside the service use it.
func StartOrAttach(ctx context.Context, o Options) (*Servers, error) {
	for {
		s, err := Start(ctx, o)
		if !errors.Is(err, errLocked) {
			return s, err
		}
		if s, err = Attach(o.DataDir); !errors.Is(err, ErrNotRunning) {
			return s, err
		}
		select { // the other service ended between the two calls
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Servers) setAddresses(l *layout, postgres, redis bool) error {
	if redis {
		s.RedisURL = "unix://" + l.redisSocket()
	}
	if !postgres {
		return nil
	}
	p, err := readPasswords(l.passwordFile())
	if err != nil {
		return err
	}
	s.AdminURL = l.dsn(superuser, "", databaseName)
	s.OwnerURL = l.dsn(OwnerRole, p.Owner, databaseName)
	s.AppURL = l.dsn(AppRole, p.App, databaseName)
	s.BIURL = l.dsn(BIRole, p.BI, databaseName)
	return nil
}
