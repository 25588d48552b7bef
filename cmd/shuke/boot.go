package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/embedded"
	"github.com/shuke-crm/shuke/internal/platform/migrate"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
)

// installation is what every command works on: settings, keys, servers and
// the connections to them.
type installation struct {
	cfg     config.Config
	log     *slog.Logger
	servers *embedded.Servers // nil when both servers are somebody else's
	dbURL   string            // as the application's role
	owner   string            // as the schema's owner; empty when not known
	db      *db.DB
	cache   *cache.Client
	keys    *crypto.Keyring
	clock   *clock.Clock
	fakes   *fake.Server // stand-ins that this process started, or nil

	standInURL string // where stand-ins are that this process uses
}

// bootOptions say how a command starts.
type bootOptions struct {
	attach  bool // work beside a running service, on its private servers
	migrate bool // bring the schema up to date first
	log     io.Writer
}

// boot reads the settings and brings up whatever is needed to work on the
// data. The caller closes the installation.
func boot(ctx context.Context, o bootOptions) (_ *installation, err error) {
	cfg, err := config.Load()
	if err != nil {
		return nil, err
	}
	i := &installation{cfg: cfg, clock: clock.New(cfg.Location())}
	if i.log, err = newLogger(cfg, o.log); err != nil {
		return nil, err
	}
	slog.SetDefault(i.log)
	defer func() {
		if err != nil {
			i.close()
		}
	}()
	if err := i.startServers(ctx, o.attach); err != nil {
		return nil, err
	}
	if o.migrate {
		if err := i.migrate(ctx); err != nil {
			return nil, err
		}
	}
	if err := i.connect(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

func newLogger(cfg config.Config, w io.Writer) (*slog.Logger, error) {
	if w == nil {
		w = os.Stderr
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, err
	}
	return telemetry.NewLogger(w, cfg.LogFormat, level)
}

// startServers starts the private servers that the settings leave to us.
func (i *installation) startServers(ctx context.Context, attach bool) error {
	i.dbURL, i.owner = i.cfg.DatabaseURL, i.cfg.DatabaseOwnerURL
	if !i.cfg.EmbeddedPostgres() && !i.cfg.EmbeddedRedis() {
		return nil
	}
	start := embedded.Start
	if attach {
		start = embedded.StartOrAttach
	}
	var err error
	i.servers, err = start(ctx, embedded.Options{
		DataDir: i.cfg.DataDir, Postgres: i.cfg.EmbeddedPostgres(), Redis: i.cfg.EmbeddedRedis(), Logger: i.log,
	})
	if err != nil {
		return err
	}
	if i.cfg.EmbeddedPostgres() {
		i.dbURL, i.owner = i.servers.AppURL, i.servers.OwnerURL
	}
	return nil
}

func (i *installation) redisURL() string {
	if i.cfg.EmbeddedRedis() {
		return i.servers.RedisURL
	}
	return i.cfg.RedisURL
}

// migrate applies what is missing when the owner's address is known; without
// it somebody else migrates and connect checks that they have.
func (i *installation) migrate(ctx context.Context) error {
	if i.owner == "" {
		return nil
	}
	applied, err := migrate.Up(ctx, i.owner)
	if err != nil {
		return err
	}
	if applied > 0 {
		i.log.Info("schema brought up to date", "migrations", applied)
	}
	return nil
}

// connect opens the database as the application's role, refusing what is not
// safe, and the cache and the keys.
func (i *installation) connect(ctx context.Context) error {
	var err error
	if i.db, err = db.Open(ctx, db.Options{URL: i.dbURL, PoolSize: i.cfg.DatabasePool}); err != nil {
		return err
	}
	if err := migrate.Check(ctx, i.db.SQL); err != nil {
		return err
	}
	if err := embedded.CheckSafety(ctx, i.db.SQL, i.cfg.AllowUnsafe); err != nil {
		return err
	}
	if i.cfg.AllowUnsafe {
		findings, err := embedded.Findings(ctx, i.db.SQL)
		if err != nil {
			return err
		}
		for _, f := range findings {
			i.log.Warn("unsafe database connection, accepted for development", "finding", f)
		}
	}
	if i.keys, err = crypto.LoadOrCreate(i.cfg.KeyringFile); err != nil {
		return fmt.Errorf("keyring %s: %w", i.cfg.KeyringFile, err)
	}
	if i.cache, err = cache.New(ctx, i.redisURL()); err != nil {
		return err
	}
	return nil
}

// close ends connections first, then the servers behind them.
func (i *installation) close() {
	var errs []error
	if i.fakes != nil {
		errs = append(errs, i.fakes.Close())
	}
	if i.cache != nil {
		errs = append(errs, i.cache.Close())
	}
	if i.db != nil {
		errs = append(errs, i.db.Close())
	}
	if i.servers != nil {
		i.servers.Stop()
	}
	if err := errors.Join(errs...); err != nil {
		i.log.Warn("closing", "error", err)
	}
}

// passwordFile is where the first administrator's password waits until it is changed.
func (i *installation) passwordFile() string { return filepath.Join(i.cfg.DataDir, "admin-password") }
