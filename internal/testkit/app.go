// Package testkit starts the whole application for a test: a database of its
// own, real PostgreSQL and Redis, an HTTP server, and the generated Go client
// signed in as anybody. Every answer that passes through it is held against
// the contract, and the test fails where one does not fit.
//
// It is imported by tests only.
package testkit

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // business days need the zone wherever tests run

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/cache"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/outside"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/ratelimit"
	"github.com/shuke-crm/shuke/internal/platform/telemetry"
	"github.com/shuke-crm/shuke/internal/server"
)

// AdminUsername and AdminPassword sign in the first administrator.
const (
	AdminUsername = "admin"
	AdminPassword = "seven brass lanterns"
)

// App is a running application.
type App struct {
	T        testing.TB
	URL      string
	Server   *server.Server
	Database pgtest.Database
	DB       *db.DB // as the service's role
	Cache    *cache.Client
	Keys     *crypto.Keyring
	Clock    *clock.Clock
	HTTP     *http.Client // checks every answer against the contract
	Files    string       // folder of uploads and exports
	Outside  *fake.Server // stand-ins for the outside services: what was sent, and how to make them misbehave

	fake *fakeTime
	made *atomic.Int64 // numbers what factories make
	root *adminToken
}

// adminToken is the administrator's session, opened when first needed.
type adminToken struct {
	mu     sync.Mutex
	client *Client
	proved time.Time // by the application's clock
}

// In is the same application for a subtest, whose failures are its own.
func (a *App) In(t testing.TB) *App {
	sub := *a
	sub.T = t
	return &sub
}

type options struct {
	start    time.Time
	redisURL string
	worker   bool
	server   server.Config
	keys     *crypto.Keyring
	database *pgtest.Database
	files    string
	store    func(dir string, keys *crypto.Keyring) (*blob.Store, error)
	fakes    *fake.Server
	outside  func(config.Outside) config.Outside
	log      io.Writer
	level    slog.Level
}

// Option changes how an application starts.
type Option func(*options)

// At stops the clock at an instant; Advance moves it.
func At(t time.Time) Option { return func(o *options) { o.start = t } }

// WithRedis uses a Redis of the test's own, which it may kill.
func WithRedis(url string) Option { return func(o *options) { o.redisURL = url } }

// WithWorker also works jobs, delivers events and seals the audit log.
func WithWorker() Option { return func(o *options) { o.worker = true } }

// WithConfig sets what the server is told, such as the origins of browsers.
func WithConfig(c server.Config) Option { return func(o *options) { o.server = c } }

// WithOutside changes the settings of outside services, which are those of the
// stand-ins before; to return config.Outside{} is to have none.
func WithOutside(alter func(config.Outside) config.Outside) Option {
	return func(o *options) { o.outside = alter }
}

// WithFiles keeps files somewhere else than in a folder.
func WithFiles(open func(dir string, keys *crypto.Keyring) (*blob.Store, error)) Option {
	return func(o *options) { o.store = open }
}

// Beside starts a second replica on the database, Redis, keys, clock and
// stand-ins of the first.
func Beside(first *App) Option {
	return func(o *options) {
		o.keys, o.database, o.files, o.redisURL, o.fakes = first.Keys, &first.Database, first.Files, first.RedisURL(), first.Outside
		if first.fake != nil {
			o.start = first.fake.now()
		}
	}
}

// WithLog writes the service's log somewhere, debug lines included.
func WithLog(w io.Writer) Option {
	return func(o *options) { o.log, o.level = w, slog.LevelDebug }
}

// New starts an application; it ends with the test.
func New(t testing.TB, opts ...Option) *App {
	t.Helper()
	o := options{level: slog.LevelError, server: server.Config{Currency: "CNY"}}
	for _, f := range opts {
		f(&o)
	}
	if o.server.Currency == "" {
		o.server.Currency = "CNY"
	}
	if o.server.RateLimits == nil {
		o.server.RateLimits = map[string]int{} // a test may well ask more than a person does
		for name := range ratelimit.Defaults {
			o.server.RateLimits[name] = 1_000_000
		}
	}
	if o.server.TrustedProxies == nil {
		// Tests come from one address and say where they want to come from.
		o.server.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	a := &App{T: t, Keys: o.keys, made: &atomic.Int64{}, root: &adminToken{}}
	if a.Keys == nil {
		a.Keys = crypto.Generate()
	}
	if o.database != nil {
		a.Database = *o.database
	} else {
		a.Database = pgtest.NewDatabase(t)
	}
	a.DB = a.Database.Open(t)
	if o.redisURL == "" {
		o.redisURL = pgtest.Redis(t)
	}
	ctx := context.Background()
	var err error
	a.Cache, err = cache.New(ctx, o.redisURL)
	require.NoError(t, err)
	redisURLs.Store(a.Cache, o.redisURL)
	t.Cleanup(func() { _ = a.Cache.Close(); redisURLs.Delete(a.Cache) })
	a.startClock(o.start)
	if a.Outside = o.fakes; a.Outside == nil {
		a.Outside, err = fake.Start(fake.Options{Now: a.Clock.Now})
		require.NoError(t, err)
		t.Cleanup(func() { _ = a.Outside.Close() })
	}
	a.start(ctx, o)
	return a
}

func (a *App) startClock(start time.Time) {
	zone, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(a.T, err)
	if start.IsZero() {
		a.Clock = clock.New(zone)
		return
	}
	a.fake = &fakeTime{at: start}
	a.Clock = clock.Fake(zone, a.fake.now)
}

func (a *App) start(ctx context.Context, o options) {
	t := a.T
	if o.log == nil {
		o.log = testLog{t}
	}
	log, err := telemetry.NewLogger(o.log, "text", o.level)
	require.NoError(t, err)
	deps := server.Deps{DB: a.DB, Cache: a.Cache, Keys: a.Keys, Clock: a.Clock, Log: log, Metrics: telemetry.NewMetrics()}
	if a.Files = o.files; a.Files == "" {
		a.Files = t.TempDir()
	}
	if o.store == nil {
		o.store = blob.Open
	}
	deps.Files, err = o.store(a.Files, a.Keys)
	require.NoError(t, err)
	settings := a.Outside.Settings(config.Outside{SMSDailyLimit: 1000})
	if o.outside != nil {
		settings = o.outside(settings)
	}
	deps.Outside, err = outside.Build(settings, outside.Deps{DB: a.DB, Keys: a.Keys, Clock: a.Clock, Log: log})
	require.NoError(t, err)
	if o.worker {
		deps.ListenURL = a.Database.AppURL
	}
	web := httptest.NewUnstartedServer(nil)
	a.URL = "http://" + web.Listener.Addr().String()
	if o.server.BaseURL == "" {
		o.server.BaseURL = a.URL
	}
	a.Server, err = server.New(o.server, deps)
	require.NoError(t, err)
	// As the service starts: acting for nobody.
	require.NoError(t, a.Server.Identity.EnsureBuiltInRoles(ctx))
	require.NoError(t, a.Server.Member.EnsureTexts(ctx))
	_, err = a.Server.Identity.EnsureAdmin(ctx, AdminPassword)
	require.NoError(t, err)

	running, stop := context.WithCancel(ctx)
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- a.Server.Run(running, server.Run{Listener: web.Listener, Worker: o.worker, Ready: func() { close(ready) }})
	}()
	select {
	case <-ready:
	case err := <-ended:
		require.NoError(t, err, "the application did not start")
	}
	t.Cleanup(func() {
		a.HTTP.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the application did not stop cleanly: %v", err)
		}
	})
	a.HTTP = &http.Client{
		Transport:     &checked{app: a, next: &http.Transport{MaxIdleConnsPerHost: 64}},
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Advance moves a stopped clock.
func (a *App) Advance(d time.Duration) {
	require.NotNil(a.T, a.fake, "the clock runs by itself: start the application with testkit.At")
	a.fake.advance(d)
}

// redisURLs remembers where each application's cache is, for replicas.
var redisURLs sync.Map

// RedisURL is where the application keeps its cache.
func (a *App) RedisURL() string {
	url, _ := redisURLs.Load(a.Cache)
	s, _ := url.(string)
	return s
}

type fakeTime struct {
	mu sync.Mutex
	at time.Time
}

func (f *fakeTime) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *fakeTime) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = f.at.Add(d)
}

// testLog hands the log to the test, so that it shows where a test fails.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Helper()
	l.t.Log(string(b[:max(0, len(b)-1)]))
	return len(b), nil
}
