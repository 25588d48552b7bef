package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Outside are the settings of services that are not ours. A service without
// settings is off: operations that need it answer 503 and say which is missing.
type Outside struct {
	// SMSProvider is aliyun or tencent; empty means that no text messages are sent.
	SMSProvider string `env:"SHUKE_SMS_PROVIDER"`
	// SMSKeyID and SMSKeySecret are the provider's access key (Tencent: SecretId and SecretKey).
	SMSKeyID     string `env:"SHUKE_SMS_ACCESS_KEY_ID"`
	SMSKeySecret Secret `env:"SHUKE_SMS_ACCESS_KEY_SECRET"`
	// SMSAppID is Tencent's SmsSdkAppId.
	SMSAppID string `env:"SHUKE_SMS_APP_ID"`
	// SMSRegion is Tencent's region.
	SMSRegion string `env:"SHUKE_SMS_REGION"`
	// SMSSignName is the approved signature.
	SMSSignName string `env:"SHUKE_SMS_SIGN_NAME"`
	// SMSTemplates give our templates the provider's approved ones: name=code,…
	SMSTemplates []string `env:"SHUKE_SMS_TEMPLATES"`
	// SMSURL replaces the provider's address.
	SMSURL string `env:"SHUKE_SMS_URL"`
	// SMSDailyLimit is the most messages of a business day, over all replicas.
	SMSDailyLimit int `env:"SHUKE_SMS_DAILY_LIMIT" envDefault:"10000"`

	// SMTPURL is the mail server; empty means that no e-mail is sent.
	SMTPURL string `env:"SHUKE_SMTP_URL"`
	// MailFrom is the sender of e-mails.
	MailFrom string `env:"SHUKE_MAIL_FROM"`

	// WeChatURL replaces WeChat's address.
	WeChatURL string `env:"SHUKE_WECHAT_URL"`
	// MiniAppID and MiniSecret are the mini-program's.
	MiniAppID  string `env:"SHUKE_WECHAT_MINI_APP_ID"`
	MiniSecret Secret `env:"SHUKE_WECHAT_MINI_SECRET"`
	// OfficialAppID and OfficialSecret are the official account's.
	OfficialAppID  string `env:"SHUKE_WECHAT_OFFICIAL_APP_ID"`
	OfficialSecret Secret `env:"SHUKE_WECHAT_OFFICIAL_SECRET"`

	// OIDCProviders names the OpenID Connect providers; each has settings of its own.
	OIDCProviders []string `env:"SHUKE_OIDC_PROVIDERS"`
	// OIDC are those providers, from SHUKE_OIDC_<NAME>_ISSUER and so on.
	OIDC []OIDCProvider

	Payments

	// RequireSecondFactor asks staff without a second factor to enrol one before
	// operations that need a fresh factor.
	RequireSecondFactor bool `env:"SHUKE_REQUIRE_SECOND_FACTOR"`

	// Fakes starts stand-ins for the outside services that are not configured:
	// an address to listen on, or auto.
	Fakes string `env:"SHUKE_FAKES"`
}

// FakesAuto starts stand-ins where no real service is configured and nobody
// outside this machine could be let in by them, and else nothing.
const FakesAuto = "auto"

// OIDCProvider is one OpenID Connect provider.
type OIDCProvider struct {
	Name         string // lower-case, part of paths
	Issuer       string
	ClientID     string
	ClientSecret Secret
	RedirectURL  string
	Scopes       []string
}

// oidcParts are the settings of each provider, after SHUKE_OIDC_<NAME>_.
var oidcParts = []string{"ISSUER", "CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URL", "SCOPES"}

// oidcVariable is the setting of a provider.
func oidcVariable(name, part string) string {
	return "SHUKE_OIDC_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_" + part
}

// isOIDC reports whether a variable is a setting of one of the named providers.
func isOIDC(variable, providers string) bool {
	for name := range strings.SplitSeq(providers, ",") {
		for _, part := range oidcParts {
			if variable == oidcVariable(strings.TrimSpace(name), part) {
				return true
			}
		}
	}
	return false
}

func oidcFrom(names []string, values map[string]string) []OIDCProvider {
	var all []OIDCProvider
	for _, name := range names {
		name = strings.TrimSpace(name)
		p := OIDCProvider{
			Name: name, Issuer: values[oidcVariable(name, "ISSUER")], ClientID: values[oidcVariable(name, "CLIENT_ID")],
			ClientSecret: Secret(values[oidcVariable(name, "CLIENT_SECRET")]), RedirectURL: values[oidcVariable(name, "REDIRECT_URL")],
		}
		p.Scopes = strings.FieldsFunc(values[oidcVariable(name, "SCOPES")], func(r rune) bool { return r == ',' || r == ' ' })
		all = append(all, p)
	}
	return all
}

// Templates gives our names of templates the provider's codes.
func (o Outside) Templates() map[string]string {
	codes := map[string]string{}
	for _, pair := range o.SMSTemplates {
		name, code, _ := strings.Cut(pair, "=")
		codes[strings.TrimSpace(name)] = strings.TrimSpace(code)
	}
	return codes
}

// RealServices names the outside services that are configured, for people.
func (o Outside) RealServices() []string {
	var real []string
	if o.SMSProvider != "" {
		real = append(real, "SMS")
	}
	if o.SMTPURL != "" {
		real = append(real, "e-mail")
	}
	if o.MiniAppID != "" {
		real = append(real, "WeChat mini-program")
	}
	if o.OfficialAppID != "" {
		real = append(real, "WeChat official account")
	}
	for _, p := range o.OIDC {
		real = append(real, "OpenID Connect "+p.Name)
	}
	return append(real, o.Payments.realServices()...)
}

// StandIn takes over settings that stand-ins completed; the summary says so.
func (c *Config) StandIn(o Outside) {
	before, after := reflect.ValueOf(c.Outside), reflect.ValueOf(o)
	for _, field := range reflect.VisibleFields(after.Type()) {
		if !reflect.DeepEqual(before.FieldByIndex(field.Index).Interface(), after.FieldByIndex(field.Index).Interface()) {
			c.sources[field.Tag.Get("env")] = "stand-in"
		}
	}
	if len(c.OIDC) == 0 {
		for _, p := range o.OIDC {
			for _, part := range oidcParts {
				c.sources[oidcVariable(p.Name, part)] = "stand-in"
			}
		}
	}
	c.Outside = o
}

func (c *Config) completeOutside() {
	c.SMSProvider = strings.ToLower(c.SMSProvider)
	if c.WeChatPayMchID != "" && c.WeChatPayAppID == "" {
		c.WeChatPayAppID = c.MiniAppID
	}
	c.SMSURL, c.WeChatURL = strings.TrimRight(c.SMSURL, "/"), strings.TrimRight(c.WeChatURL, "/")
	if c.Fakes == FakesAuto && (len(c.RealServices()) > 0 || c.open() != "") {
		c.Fakes = ""
	}
}

// open says why somebody beyond this machine might be let in, or nothing.
func (c *Config) open() string {
	if c.Env == Development {
		return ""
	}
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	switch {
	case c.sources["SHUKE_ENV"] != "":
		return "SHUKE_ENV=production is set"
	case err != nil || !isLoopback(host):
		return "the service listens on " + c.HTTPAddr
	}
	if public, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || !isLoopback(public.Hostname())) {
		return "SHUKE_PUBLIC_URL is an address of others"
	}
	return ""
}

// SMSTemplateNames are the templates that the service sends; settings that name
// others are mistakes. The SMS package's test keeps both lists the same.
var SMSTemplateNames = []string{"sign_in_code", "second_factor_code"}

var oidcName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)

// outsideProblems checks each service as a whole: half a configuration is
// worse than none. Secrets are never repeated.
func (c *Config) outsideProblems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	found = append(found, c.smsProblems()...)

	if (c.SMTPURL == "") != (c.MailFrom == "") {
		add("SHUKE_SMTP_URL and SHUKE_MAIL_FROM belong together; set both to send e-mail, or neither")
	}
	if c.SMTPURL != "" {
		if u, err := url.Parse(c.SMTPURL); err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" {
			add("SHUKE_SMTP_URL is not a mail server's address; write smtp://user:password@host:587 or smtps://user:password@host:465 (special characters in the password percent-encoded)")
		}
	}
	pairs := []struct{ id, secret, names string }{
		{c.MiniAppID, c.MiniSecret.Reveal(), "SHUKE_WECHAT_MINI_APP_ID and SHUKE_WECHAT_MINI_SECRET"},
		{c.OfficialAppID, c.OfficialSecret.Reveal(), "SHUKE_WECHAT_OFFICIAL_APP_ID and SHUKE_WECHAT_OFFICIAL_SECRET"},
	}
	for _, p := range pairs {
		if (p.id == "") != (p.secret == "") {
			add("%s belong together; set both or neither", p.names)
		}
	}
	if why := c.addressProblem(c.WeChatURL); why != "" {
		add("SHUKE_WECHAT_URL %s", why)
	}
	for n, p := range c.OIDC {
		if !oidcName.MatchString(p.Name) {
			add("SHUKE_OIDC_PROVIDERS names %q; use lower-case letters, digits and hyphens, such as keycloak", p.Name)
			continue
		}
		if slices.ContainsFunc(c.OIDC[:n], func(q OIDCProvider) bool {
			return oidcVariable(q.Name, "") == oidcVariable(p.Name, "")
		}) {
			add("SHUKE_OIDC_PROVIDERS names %q twice", p.Name)
			continue
		}
		var missing []string
		for part, value := range map[string]string{"ISSUER": p.Issuer, "CLIENT_ID": p.ClientID, "CLIENT_SECRET": p.ClientSecret.Reveal(), "REDIRECT_URL": p.RedirectURL} {
			if value == "" {
				missing = append(missing, oidcVariable(p.Name, part))
			}
		}
		slices.Sort(missing)
		if len(missing) > 0 {
			add("SHUKE_OIDC_PROVIDERS names %s, and %s is not set", p.Name, strings.Join(missing, ", "))
		}
		for _, part := range []string{"ISSUER", "REDIRECT_URL"} {
			value := map[string]string{"ISSUER": p.Issuer, "REDIRECT_URL": p.RedirectURL}[part]
			if why := c.addressProblem(value); why != "" {
				add("%s %s", oidcVariable(p.Name, part), why)
			}
		}
	}
	found = append(found, c.paymentProblems()...)
	return append(found, c.fakesProblems()...)
}

func (c *Config) smsProblems() []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if c.SMSDailyLimit < 1 {
		add("SHUKE_SMS_DAILY_LIMIT is %d; use at least 1", c.SMSDailyLimit)
	}
	if why := c.addressProblem(c.SMSURL); why != "" {
		add("SHUKE_SMS_URL %s", why)
	}
	needed := map[string]string{
		"SHUKE_SMS_ACCESS_KEY_ID": c.SMSKeyID, "SHUKE_SMS_ACCESS_KEY_SECRET": c.SMSKeySecret.Reveal(),
		"SHUKE_SMS_SIGN_NAME": c.SMSSignName, "SHUKE_SMS_TEMPLATES": strings.Join(c.SMSTemplates, ","),
	}
	switch c.SMSProvider {
	case "":
		for _, name := range sortedKeys(needed) {
			if needed[name] != "" {
				add("%s is set without SHUKE_SMS_PROVIDER; use aliyun or tencent, or unset it", name)
			}
		}
		return found
	case "tencent":
		needed["SHUKE_SMS_APP_ID"] = c.SMSAppID
	case "aliyun":
	default:
		add("SHUKE_SMS_PROVIDER is %q; use aliyun or tencent", c.SMSProvider)
		return found
	}
	for _, name := range sortedKeys(needed) {
		if needed[name] == "" {
			add("SHUKE_SMS_PROVIDER=%s needs %s", c.SMSProvider, name)
		}
	}
	codes := c.Templates()
	for _, name := range sortedKeys(codes) {
		if !slices.Contains(SMSTemplateNames, name) || codes[name] == "" {
			add("SHUKE_SMS_TEMPLATES has %q; write name=code with the names %s", name, strings.Join(SMSTemplateNames, ", "))
		}
	}
	for _, name := range SMSTemplateNames {
		if len(c.SMSTemplates) > 0 && codes[name] == "" {
			add("SHUKE_SMS_TEMPLATES has no code for %s", name)
		}
	}
	return found
}

func (c *Config) fakesProblems() []string {
	if c.Fakes == "" || c.Fakes == FakesAuto {
		return nil
	}
	var found []string
	host, port, err := net.SplitHostPort(c.Fakes)
	if number, numberErr := strconv.Atoi(port); err != nil || numberErr != nil || number < 0 || number > 65535 || !isLoopback(host) {
		found = append(found, fmt.Sprintf("SHUKE_FAKES is %q; write an address of this machine, such as 127.0.0.1:8090, or auto", c.Fakes))
	}
	// Whoever reaches a stand-in can sign in as anybody.
	if why := c.open(); why != "" {
		found = append(found, "SHUKE_FAKES would let anybody sign in as anybody, and "+why+"; unset it and configure the real services, or set SHUKE_ENV=development")
	}
	return found
}

// addressProblem checks the address of a service; plain http only on this
// machine or in development.
func (c *Config) addressProblem(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "":
		return "must be an address such as https://service.example.com"
	case u.Scheme == "http" && c.Env == Production && !isLoopback(u.Hostname()):
		return "is plain http; write https://, or set SHUKE_ENV=development"
	}
	return ""
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// oidcSummary lists the providers' settings.
func (c Config) oidcSummary() []Setting {
	var list []Setting
	for _, p := range c.OIDC {
		values := []string{p.Issuer, p.ClientID, p.ClientSecret.String(), p.RedirectURL, strings.Join(p.Scopes, ",")}
		for n, part := range oidcParts {
			name := oidcVariable(p.Name, part)
			source, shown := c.sources[name], values[n]
			if source == "" {
				source = "default"
			}
			if shown == "" {
				shown = "(none)"
			}
			list = append(list, Setting{name, shown, source})
		}
	}
	return list
}
