package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/currency"
)

// sampleSecrets are passwords that stand in manuals and examples, so anybody may try them.
var sampleSecrets = []string{"admin", "password", "changeme", "change-me", "secret", "shuke", "postgres", "123456", "12345678", "admin123", "password123"}

// shortestAdminPassword is in characters; the same floor holds when the password is changed.
const shortestAdminPassword = 8

// privatePool leaves room below the private PostgreSQL's 100 connections for
// listeners, migrations and commands run beside the service.
const privatePool = 80

// problems lists every broken rule, each with what to do about it.
func (c *Config) problems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	if c.Env != Production && c.Env != Development {
		add("SHUKE_ENV is %q; use production or development", c.Env)
	}
	if c.Env == Production && c.AllowUnsafe {
		add("SHUKE_DEVELOPMENT=true allows unsafe settings and SHUKE_ENV=production forbids them; unset one of the two")
	}
	for _, role := range c.Roles {
		if role != RoleServe && role != RoleWorker {
			add("SHUKE_ROLES names %q; use serve, worker or serve,worker", role)
		}
	}
	if c.DatabasePool < 2 || c.DatabasePool > 1000 {
		add("SHUKE_DATABASE_POOL is %d; use 2 to 1000 connections", c.DatabasePool)
	}
	if c.EmbeddedPostgres() && c.DatabasePool > privatePool {
		add("SHUKE_DATABASE_POOL is %d; the private PostgreSQL serves at most %d, so lower it or set SHUKE_DATABASE_URL", c.DatabasePool, privatePool)
	}
	var err error
	if c.location, err = time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
		add("SHUKE_TIME_ZONE is %q, which is no IANA time zone; use a name such as Asia/Shanghai", c.TimeZone)
	}
	if _, err := currency.ParseISO(c.Currency); err != nil {
		add("SHUKE_CURRENCY is %q, which is no ISO 4217 code; use a code such as CNY", c.Currency)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		add("SHUKE_LOG_LEVEL is %q; use debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != "json" && c.LogFormat != "text" {
		add("SHUKE_LOG_FORMAT is %q; use json or text", c.LogFormat)
	}
	found = append(found, c.serverProblems()...)
	found = append(found, c.webProblems()...)
	found = append(found, c.filesProblems()...)
	found = append(found, c.outsideProblems()...)
	return append(found, c.passwordProblems()...)
}

// serverProblems checks the addresses of PostgreSQL and Redis. Values are never
// repeated in a message: they carry passwords.
func (c *Config) serverProblems() []string {
	var found []string
	for name, value := range map[string]string{"SHUKE_DATABASE_URL": c.DatabaseURL, "SHUKE_DATABASE_OWNER_URL": c.DatabaseOwnerURL} {
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		isURL := err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
		if !isURL && (strings.Contains(value, "://") || !strings.Contains(value, "=")) {
			found = append(found, name+" is not a PostgreSQL address; write postgres://user:password@host:5432/database?sslmode=verify-full (special characters in the password percent-encoded)")
		}
	}
	if c.DatabaseURL == "" && c.DatabaseOwnerURL != "" {
		found = append(found, "SHUKE_DATABASE_OWNER_URL is set without SHUKE_DATABASE_URL; set both to use your own PostgreSQL, or neither to use the private one")
	}
	if c.DatabaseURL != "" && c.DatabaseURL == c.DatabaseOwnerURL && c.Env == Production {
		found = append(found, "SHUKE_DATABASE_URL and SHUKE_DATABASE_OWNER_URL are the same; the service must connect as a role that does not own the tables (see the roles script, `shuke migrate roles`)")
	}
	if c.RedisURL != "" {
		u, err := url.Parse(c.RedisURL)
		if err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
			found = append(found, "SHUKE_REDIS_URL is not a Redis address; write redis://:password@host:6379/0, rediss://… for TLS, or unix:///path/to/redis.sock")
		}
	}
	slices.Sort(found)
	return found
}

// webProblems checks what browsers and other machines can reach.
func (c *Config) webProblems() []string {
	var found []string
	host, port, err := net.SplitHostPort(c.HTTPAddr)
	number, numberErr := strconv.Atoi(port)
	if err != nil || numberErr != nil || number < 0 || number > 65535 {
		found = append(found, fmt.Sprintf("SHUKE_HTTP_ADDR is %q; write host:port, such as 127.0.0.1:8080, or :8080 for all interfaces", c.HTTPAddr))
	}

	public, err := url.Parse(c.PublicURL)
	switch {
	case c.PublicURL == "":
		if err == nil && c.Env == Production && number != 0 && !isLoopback(host) {
			found = append(found, "the service would answer plain http on "+c.HTTPAddr+"; put a TLS proxy before it and set SHUKE_PUBLIC_URL to its https address, or listen on 127.0.0.1, or set SHUKE_ENV=development")
		}
	case err != nil || (public.Scheme != "http" && public.Scheme != "https") || public.Host == "" || public.User != nil || public.RawQuery != "" || public.Fragment != "":
		found = append(found, "SHUKE_PUBLIC_URL must be the address clients use, such as https://crm.example.com")
	case public.Scheme == "http" && c.Env == Production && !isLoopback(public.Hostname()):
		found = append(found, "SHUKE_PUBLIC_URL is plain http; serve it through TLS and write https://, or set SHUKE_ENV=development")
	}

	if page, err := url.Parse(c.PasswordResetURL); err != nil || c.PasswordResetURL != "" && ((page.Scheme != "http" && page.Scheme != "https") || page.Host == "" || page.Fragment != "") {
		found = append(found, "SHUKE_PASSWORD_RESET_URL must be a page of your front end, such as https://admin.example.com/new-password, without a fragment")
	}

	c.proxies = nil
	for _, text := range c.TrustedProxies {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if a, single := netip.ParseAddr(text); err != nil && single == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			found = append(found, fmt.Sprintf("SHUKE_TRUSTED_PROXIES holds %q; use addresses or ranges such as 10.0.0.0/8", text))
			continue
		}
		c.proxies = append(c.proxies, p.Masked())
	}
	for _, origin := range c.CORSOrigins {
		if origin == "*" {
			if c.Env == Production {
				found = append(found, "SHUKE_CORS_ORIGINS=* lets every web site call with a user's cookie; list the origins of your front ends, such as https://admin.example.com")
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
			found = append(found, fmt.Sprintf("SHUKE_CORS_ORIGINS has %q; an origin is scheme and host without a path, such as https://admin.example.com", origin))
		}
	}
	return found
}

func (c *Config) passwordProblems() []string {
	password := c.AdminPassword.Reveal()
	if password == "" {
		return nil
	}
	if len([]rune(password)) < shortestAdminPassword {
		return []string{fmt.Sprintf("SHUKE_ADMIN_PASSWORD is too short; use at least %d characters, or unset it for a random one", shortestAdminPassword)}
	}
	if c.Env == Production && slices.Contains(sampleSecrets, strings.ToLower(password)) {
		return []string{"SHUKE_ADMIN_PASSWORD is a sample that anybody would try; choose another, or unset it for a random one"}
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
