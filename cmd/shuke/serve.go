package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shuke-crm/shuke/internal/identity"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/geo"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
	"github.com/shuke-crm/shuke/internal/server"
	"github.com/shuke-crm/shuke/internal/timeline"
)

// began is when the process started, for the time to ready.
var began = time.Now()

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Long: `Brings the schema up to date, makes the first administrator, and answers
requests on SHUKE_HTTP_ADDR until SIGINT or SIGTERM.

It also works background jobs unless SHUKE_ROLES says otherwise. At the first
start the user admin is made with SHUKE_ADMIN_PASSWORD or with a random password,
which is printed once and kept in SHUKE_DATA_DIR/admin-password until it is changed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), nil) },
	}
}

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Work background jobs only",
		Long: `Works jobs, delivers domain events and seals the audit log until SIGINT or
SIGTERM, without answering requests. Any number of workers may run.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), []config.Role{config.RoleWorker})
		},
	}
}

// serve runs a process with these roles, nil for those of the settings.
func serve(ctx context.Context, roles []config.Role) error {
	workerOnly := roles != nil
	i, err := boot(ctx, bootOptions{attach: workerOnly, migrate: true})
	if err != nil {
		return err
	}
	defer i.close()
	if roles != nil {
		i.cfg.Roles = roles
	}
	if err := i.standIns(ctx); err != nil {
		return err
	}
	if err := i.cfg.WriteSummary(os.Stderr); err != nil {
		return err
	}
	app, err := i.application()
	if err != nil {
		return err
	}
	if err := i.firstStart(ctx, app); err != nil {
		return err
	}
	run := server.Run{Worker: i.cfg.Has(config.RoleWorker)}
	if i.cfg.Has(config.RoleServe) {
		if run.Listener, err = net.Listen("tcp", i.cfg.HTTPAddr); err != nil {
			return fmt.Errorf("listen on SHUKE_HTTP_ADDR: %w", err)
		}
	}
	if i.cfg.PublicURL != "" {
		run.Drain = 2 * time.Second // behind a balancer, which must notice first
	}
	if i.servers != nil {
		run.Failed = i.servers.Err()
	}
	run.Ready = func() { i.announce(run.Listener) }
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go i.watchKeys(watching)
	return app.Run(ctx, run)
}

// application builds the server on an installation.
func (i *installation) application() (*server.Server, error) {
	metrics, calls := telemetry.NewMetrics(), outgoing.NewMetrics()
	metrics.Register(calls.Collectors()...)
	services, err := outside.Build(i.cfg.Outside, outside.Deps{DB: i.db, Keys: i.keys, Clock: i.clock, Log: i.log, Metrics: calls})
	if err != nil {
		return nil, err
	}
	files, err := i.files()
	if err != nil {
		return nil, err
	}
	places, err := geo.Open(i.cfg.GeoIPFile)
	if err != nil {
		return nil, err
	}
	return server.New(
		server.Config{PublicURL: i.cfg.PublicURL, BaseURL: i.cfg.BaseURL(), CORSOrigins: i.cfg.CORSOrigins, Currency: i.cfg.Currency,
			RequireSecondFactor: i.cfg.RequireSecondFactor, PasswordResetURL: i.cfg.PasswordResetURL, TrustedProxies: i.cfg.Proxies(), RateLimits: i.cfg.RateLimits, Alerts: i.cfg.Alerts,
			Attachments: timeline.Limits{Bytes: int64(i.cfg.AttachmentMiB) << 20, Pixels: int64(i.cfg.AttachmentMegapixels) * 1_000_000}},
		server.Deps{
			DB: i.db, Cache: i.cache, Keys: i.keys, Clock: i.clock, Log: i.log, Metrics: metrics, Files: files,
			ListenURL: i.dbURL, PasswordChanged: i.passwordChanged, Outside: services, Places: places,
		})
}

// files is where uploads, exports and attachments lie.
func (i *installation) files() (*blob.Store, error) {
	dir, c := filepath.Join(i.cfg.DataDir, "files"), i.cfg.Files
	if c.S3URL == "" {
		return blob.Open(dir, i.keys)
	}
	u, err := url.Parse(c.S3URL)
	if err != nil {
		return nil, err
	}
	return blob.OpenBucket(blob.Bucket{Endpoint: u.Host, Insecure: u.Scheme == "http", Region: c.S3Region, Name: c.S3Bucket, AccessKey: c.S3AccessKey,
		SecretKey: c.S3SecretKey.Reveal(), Prefix: c.S3Prefix, VirtualHosts: c.S3VirtualHosts}, dir, i.keys)
}

func (i *installation) announce(listener net.Listener) {
	took := time.Since(began).Round(time.Millisecond)
	if listener == nil {
		fmt.Fprintf(os.Stderr, "shuke %s works jobs; ready after %s\n", buildVersion(), took)
		return
	}
	base := i.cfg.BaseURL()
	if i.cfg.PublicURL == "" {
		base = "http://" + listener.Addr().String()
	}
	fmt.Fprintf(os.Stderr, "shuke %s listens on %s; documentation: %s/docs; ready after %s\n", buildVersion(), listener.Addr(), base, took)
	if i.standInURL != "" {
		fmt.Fprintf(os.Stderr, "STAND-INS are in use for outside services; see %s\n", i.standInURL)
	}
}

// firstStart makes the built-in roles what this release says and, in an empty
// installation, the first administrator.
func (i *installation) firstStart(ctx context.Context, app *server.Server) error {
	if err := app.Identity.EnsureBuiltInRoles(ctx); err != nil {
		return err
	}
	if err := app.Member.EnsureTexts(ctx); err != nil {
		return err
	}
	if given := i.cfg.AdminPassword.Reveal(); given != "" {
		made, err := app.Identity.EnsureAdmin(ctx, given)
		if made != "" {
			fmt.Fprintf(os.Stderr, "\nFirst start: user %s, password as set in SHUKE_ADMIN_PASSWORD.\n\n", identity.AdminUsername)
		}
		return err
	}
	return i.firstPassword(ctx, app)
}

// firstPassword makes the administrator with a random password. It is on disk
// before the account exists: a crash in between loses nothing.
func (i *installation) firstPassword(ctx context.Context, app *server.Server) error {
	staffed, err := i.db.Platform.Staff.Query().Exist(auth.System(ctx, "start-up"))
	if err != nil || staffed {
		return err
	}
	path := i.passwordFile()
	kept, err := os.ReadFile(path)
	wrote := errors.Is(err, fs.ErrNotExist)
	if err != nil && !wrote {
		return err
	}
	password := strings.TrimSpace(string(kept))
	if wrote {
		password = randomPassword()
		if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
			return fmt.Errorf("keep the first password: %w", err)
		}
	}
	made, err := app.Identity.EnsureAdmin(ctx, password)
	if err != nil || made == "" {
		if wrote {
			err = errors.Join(err, os.Remove(path))
		}
		return err
	}
	fmt.Fprintf(os.Stderr, "\nFirst start: user %s, password %s\nIt is kept in %s until you change it.\n\n", identity.AdminUsername, password, path)
	return nil
}

// randomPassword has 100 bits in letters and digits that are not mistaken for
// each other.
func randomPassword() string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	var raw [20]byte
	_, _ = rand.Read(raw[:]) // never fails; the runtime aborts instead
	out := make([]byte, 0, len(raw)+3)
	for n, b := range raw {
		if n > 0 && n%5 == 0 {
			out = append(out, '-')
		}
		out = append(out, letters[int(b)%len(letters)])
	}
	return string(out)
}

// passwordChanged removes the first password's file once it opens nothing.
func (i *installation) passwordChanged(ctx context.Context, username string) {
	if username != identity.AdminUsername {
		return
	}
	if err := os.Remove(i.passwordFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		i.log.WarnContext(ctx, "the file with the first password was not deleted", "error", err)
	}
}

// keyringPoll is how soon a running service notices a changed keyring; "shuke
// keys rotate" waits longer than that between adding a key and using it.
const keyringPoll = 2 * time.Second

// watchKeys takes over keys that a rotation added to the file.
func (i *installation) watchKeys(ctx context.Context) {
	path := i.cfg.KeyringFile
	var last time.Time
	if info, err := os.Stat(path); err == nil {
		last = info.ModTime()
	}
	tick := time.NewTicker(keyringPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Equal(last) {
			continue
		}
		if err := i.keys.Reload(path); err != nil {
			i.log.Error("the keyring changed and cannot be read", "error", err)
			continue
		}
		last = info.ModTime()
		i.log.Info("keyring reloaded", "business_key_version", i.keys.BusinessKeyVersion())
	}
}
