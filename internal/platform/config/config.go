// Package config reads the service's settings from the environment and an
// optional file, checks them together, and prints them with secrets hidden.
//
// Precedence: environment, then the file named by SHUKE_CONFIG_FILE (dotenv
// format), then defaults. Loading fails with every problem at once, each
// message saying what to do.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the time zone must load on images without a zone database

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// Environment names the kind of deployment.
type Environment string

const (
	// Production is the default: it refuses settings that are unsafe to expose.
	Production Environment = "production"
	// Development relaxes the rules about origins, addresses and sample secrets.
	Development Environment = "development"
)

// Role is one of the things a process can do.
type Role string

const (
	// RoleServe answers HTTP requests.
	RoleServe Role = "serve"
	// RoleWorker runs background jobs.
	RoleWorker Role = "worker"
)

// FileVariable names the environment variable that points at the settings file.
const FileVariable = "SHUKE_CONFIG_FILE"

// Config holds every setting of a process. Values are final: paths absolute,
// defaults filled in, rules checked. Printing it never shows a secret.
type Config struct {
	// Env is the kind of deployment; production unless SHUKE_ENV or SHUKE_DEVELOPMENT says otherwise.
	Env Environment `env:"SHUKE_ENV"`
	// AllowUnsafe is the explicit development flag: a superuser connection or a
	// database that may lose commits is accepted with a warning.
	AllowUnsafe bool `env:"SHUKE_DEVELOPMENT"`
	// DataDir holds keys, the first administrator's password and, without
	// external servers, the private PostgreSQL and Redis. Absolute.
	DataDir string `env:"SHUKE_DATA_DIR" envDefault:"./data"`
	// KeyringFile holds the encryption keys; default keys/keyring.json below DataDir. Absolute.
	KeyringFile string `env:"SHUKE_KEYRING_FILE"`

	// DatabaseURL connects as the application role; empty means the private PostgreSQL.
	DatabaseURL string `env:"SHUKE_DATABASE_URL"`
	// DatabaseOwnerURL connects as the owner of the schema and is used for migrations only.
	DatabaseOwnerURL string `env:"SHUKE_DATABASE_OWNER_URL"`
	// DatabasePool is the largest number of open connections of this process.
	DatabasePool int `env:"SHUKE_DATABASE_POOL" envDefault:"16"`
	// RedisURL is the cache; empty means the private Redis.
	RedisURL string `env:"SHUKE_REDIS_URL"`

	// HTTPAddr is where the service listens.
	HTTPAddr string `env:"SHUKE_HTTP_ADDR" envDefault:"127.0.0.1:8080"`
	// PublicURL is the address clients use, without a trailing slash; empty means HTTPAddr.
	PublicURL string `env:"SHUKE_PUBLIC_URL"`
	// PasswordResetURL is the front end's page for choosing a new password; mails
	// link to it with #token=… behind. Without it they carry the bare token.
	PasswordResetURL string `env:"SHUKE_PASSWORD_RESET_URL"`
	// GeoIPFile is a database of cities in MaxMind's format; with it the list of
	// sessions names the city of an address.
	GeoIPFile string `env:"SHUKE_GEOIP_FILE"`
	// CORSOrigins are the web origins that browsers may call from; "*" means any (development only).
	CORSOrigins []string `env:"SHUKE_CORS_ORIGINS"`
	// TrustedProxies are the addresses and CIDR ranges of balancers whose
	// X-Forwarded-For is believed; none by default, so that no caller can claim
	// an address.
	TrustedProxies []string `env:"SHUKE_TRUSTED_PROXIES"`
	// RateLimits replace the general limits, in requests a minute:
	// "staff.read=1200,key.write=3000".
	RateLimits map[string]int `env:"SHUKE_RATE_LIMITS" envKeyValSeparator:"="`
	// Alerts replace the thresholds of suspicious access, in acts of one principal
	// within ten minutes: "reveals=60,lookups=300,misses=60".
	Alerts map[string]int `env:"SHUKE_ALERTS" envKeyValSeparator:"="`
	// Roles says what this process does.
	Roles []Role `env:"SHUKE_ROLES" envDefault:"serve,worker"`

	// TimeZone is the business time zone by its IANA name.
	TimeZone string `env:"SHUKE_TIME_ZONE" envDefault:"Asia/Shanghai"`
	// Currency is the ISO 4217 code of all amounts.
	Currency string `env:"SHUKE_CURRENCY" envDefault:"CNY"`
	// AdminPassword is given to the first administrator; empty means a random one.
	AdminPassword Secret `env:"SHUKE_ADMIN_PASSWORD"`

	// LogLevel is debug, info, warn or error.
	LogLevel string `env:"SHUKE_LOG_LEVEL" envDefault:"info"`
	// LogFormat is json or text.
	LogFormat string `env:"SHUKE_LOG_FORMAT" envDefault:"json"`

	Files
	Outside

	location *time.Location
	proxies  []netip.Prefix
	file     string
	sources  map[string]string
}

// Load reads and checks the settings of this process.
// Errors: an unreadable or malformed file, an unknown name in it, and every
// setting that breaks a rule.
func Load() (Config, error) { return load(os.Environ()) }

func load(environ []string) (Config, error) {
	fromEnv := env.ToMap(environ)
	values := map[string]string{}
	c := Config{sources: map[string]string{}}

	if c.file = fromEnv[FileVariable]; c.file != "" {
		fromFile, err := readFile(c.file)
		if err != nil {
			return Config{}, err
		}
		for name, value := range fromFile {
			values[name], c.sources[name] = value, "file"
		}
	}
	for name, value := range fromEnv {
		// An empty variable is how container tools spell "not set".
		if strings.HasPrefix(name, "SHUKE_") && value != "" {
			values[name], c.sources[name] = value, "environment"
		}
	}

	if err := env.ParseWithOptions(&c, env.Options{Environment: values}); err != nil {
		return Config{}, parseError(err)
	}
	c.OIDC = oidcFrom(c.OIDCProviders, values)
	if err := c.complete(); err != nil {
		return Config{}, err
	}
	if problems := c.problems(); len(problems) > 0 {
		return Config{}, fmt.Errorf("the settings cannot be used:\n  - %s", strings.Join(problems, "\n  - "))
	}
	return c, nil
}

// readFile returns the settings in a dotenv file; a name nobody reads is an
// error, since a misspelt safety setting would otherwise be silently ignored.
func readFile(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; correct the path or unset the variable", FileVariable, err)
	}
	values, err := godotenv.UnmarshalBytes(raw)
	if err != nil {
		// The parser's message quotes the line, which may hold a password.
		return nil, fmt.Errorf("%s is not in dotenv format (one NAME=value a line, values with spaces or # in single quotes)", path)
	}
	known := names()
	var unknown []string
	for name := range values {
		if !slices.Contains(known, name) && !isOIDC(name, values["SHUKE_OIDC_PROVIDERS"]) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("%s sets %s, which no setting is called; known are %s",
			path, strings.Join(unknown, ", "), strings.Join(known, ", "))
	}
	return values, nil
}

// names lists the settings in the order of the struct.
func names() []string {
	var all []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if tag := field.Tag.Get("env"); tag != "" {
			all = append(all, tag)
		}
	}
	return all
}

// parseError rewords the library's errors without the rejected value, which may be a secret.
func parseError(err error) error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return fmt.Errorf("the settings cannot be read: %w", err)
	}
	var lines []string
	for _, one := range all.Errors {
		var parse env.ParseError
		if errors.As(one, &parse) {
			name := parse.Name
			if field, ok := reflect.TypeFor[Config]().FieldByName(parse.Name); ok {
				name = field.Tag.Get("env")
			}
			lines = append(lines, fmt.Sprintf("%s must be a %s", name, plain(parse.Type)))
			continue
		}
		lines = append(lines, one.Error())
	}
	return fmt.Errorf("the settings cannot be used:\n  - %s", strings.Join(lines, "\n  - "))
}

func plain(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	default:
		return t.String()
	}
}

// complete fills in what depends on other settings.
func (c *Config) complete() error {
	if c.Env == "" {
		c.Env = Production
		if c.AllowUnsafe {
			c.Env = Development
		}
	}
	var err error
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return fmt.Errorf("SHUKE_DATA_DIR: %w", err)
	}
	if c.KeyringFile == "" {
		c.KeyringFile = filepath.Join(c.DataDir, "keys", "keyring.json")
	}
	if c.KeyringFile, err = filepath.Abs(c.KeyringFile); err != nil {
		return fmt.Errorf("SHUKE_KEYRING_FILE: %w", err)
	}
	for i, origin := range c.CORSOrigins {
		c.CORSOrigins[i] = strings.TrimSpace(origin)
	}
	for i, role := range c.Roles {
		c.Roles[i] = Role(strings.TrimSpace(string(role)))
	}
	if err := c.readKeys(); err != nil {
		return err
	}
	c.completeOutside()
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	c.Currency = strings.ToUpper(c.Currency)
	return nil
}

// Has reports whether this process plays the role.
func (c Config) Has(role Role) bool { return slices.Contains(c.Roles, role) }

// Location is the business time zone.
func (c Config) Location() *time.Location { return c.location }

// Proxies are the ranges of TrustedProxies.
func (c Config) Proxies() []netip.Prefix { return c.proxies }

// EmbeddedPostgres reports whether the process runs its own PostgreSQL.
func (c Config) EmbeddedPostgres() bool { return c.DatabaseURL == "" }

// EmbeddedRedis reports whether the process runs its own Redis.
func (c Config) EmbeddedRedis() bool { return c.RedisURL == "" }

// BaseURL is the address that links point at, without a trailing slash.
func (c Config) BaseURL() string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	host, port, err := net.SplitHostPort(c.HTTPAddr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + c.HTTPAddr
}
