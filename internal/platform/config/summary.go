package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const hidden = "********"

// Secret is a string that no formatting verb, log or encoder prints.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the value and tells only whether there is one.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the value from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Setting is one line of the summary.
type Setting struct {
	Name   string // the variable that sets it
	Value  string // as used, secrets hidden
	Source string // environment, file or default
}

// addresses are the settings whose values may carry a password.
var addresses = []string{"SHUKE_DATABASE_URL", "SHUKE_DATABASE_OWNER_URL", "SHUKE_REDIS_URL", "SHUKE_SMTP_URL"}

// Summary lists every setting as used, with secrets hidden, in a fixed order.
func (c Config) Summary() []Setting {
	list := []Setting{}
	if c.file != "" {
		list = append(list, Setting{FileVariable, c.file, "environment"})
	}
	value := reflect.ValueOf(c)
	for _, field := range reflect.VisibleFields(value.Type()) {
		name := field.Tag.Get("env")
		if name == "" {
			continue
		}
		shown := show(value.FieldByIndex(field.Index))
		if slices.Contains(keyFields, field.Name) && shown != "" && shown != hidden {
			shown = "(a key)" // long and of no use here
		}
		if slices.Contains(addresses, name) {
			shown = RedactAddress(shown)
		}
		if shown == "" {
			shown = unset(name)
		}
		source := c.sources[name]
		if source == "" {
			source = "default"
		}
		list = append(list, Setting{name, shown, source})
	}
	return append(list, c.oidcSummary()...)
}

func show(value reflect.Value) string {
	if value.Kind() == reflect.Map {
		var parts []string
		for _, key := range value.MapKeys() {
			parts = append(parts, fmt.Sprintf("%v=%v", key, value.MapIndex(key)))
		}
		slices.Sort(parts)
		return strings.Join(parts, ",")
	}
	if value.Kind() != reflect.Slice {
		return fmt.Sprint(value.Interface())
	}
	parts := make([]string, value.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(value.Index(i).Interface())
	}
	return strings.Join(parts, ",")
}

// unset says what happens without the setting.
func unset(name string) string {
	switch name {
	case "SHUKE_DATABASE_URL":
		return "(private PostgreSQL in the data folder)"
	case "SHUKE_REDIS_URL":
		return "(private Redis in the data folder)"
	case "SHUKE_ADMIN_PASSWORD":
		return "(random at the first start)"
	case "SHUKE_SMS_URL", "SHUKE_WECHAT_URL", "SHUKE_WECHAT_PAY_URL", "SHUKE_ALIPAY_URL", "SHUKE_KUAIDI100_URL", "SHUKE_SF_URL":
		return "(the provider's own)"
	case "SHUKE_RATE_LIMITS":
		return "(the general limits)"
	case "SHUKE_FAKES":
		return "(no stand-ins)"
	case "SHUKE_PUBLIC_URL":
		return "(as SHUKE_HTTP_ADDR)"
	default:
		return "(none)"
	}
}

// WriteSummary prints the summary as an aligned table.
func (c Config) WriteSummary(w io.Writer) error {
	list := c.Summary()
	width := 0
	for _, s := range list {
		width = max(width, len(s.Name))
	}
	for _, s := range list {
		if _, err := fmt.Fprintf(w, "%-*s  %s  [%s]\n", width, s.Name, s.Value, s.Source); err != nil {
			return err
		}
	}
	return nil
}

// String is the summary on one line, so that a Config printed by accident shows no secret.
func (c Config) String() string {
	var parts []string
	for _, s := range c.Summary() {
		parts = append(parts, s.Name+"="+s.Value)
	}
	return strings.Join(parts, " ")
}

// GoString hides secrets from %#v.
func (c Config) GoString() string { return c.String() }

// LogValue gives structured logs the summary.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range c.Summary() {
		attrs = append(attrs, slog.String(s.Name, s.Value))
	}
	return slog.GroupValue(attrs...)
}

var secretPair = regexp.MustCompile(`(?i)\b(\w*(?:password|passwd|secret|token)\w*)\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)`)

// RedactAddress hides the password in a server address, given as a URL or as
// key=value pairs. What cannot be parsed is hidden altogether.
func RedactAddress(address string) string {
	if !strings.Contains(address, "://") {
		if address != "" && !strings.Contains(address, "=") {
			return hidden
		}
		return secretPair.ReplaceAllString(address, "${1}="+hidden)
	}
	u, err := url.Parse(address)
	if err != nil {
		return hidden
	}
	if u.User != nil {
		if _, has := u.User.Password(); has {
			// url.UserPassword would percent-encode the stars.
			user := u.User.Username()
			u.User = nil
			return secretPair.ReplaceAllString(strings.Replace(u.String(), "://", "://"+url.User(user).String()+":"+hidden+"@", 1), "${1}="+hidden)
		}
	}
	return secretPair.ReplaceAllString(u.String(), "${1}="+hidden)
}
