// Package mail sends e-mail by SMTP submission: STARTTLS on port 587 or TLS on
// 465, never a password over a plain connection.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	gomail "github.com/wneessen/go-mail"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/outgoing"
)

// Errors of sending. Only ErrUnknown leaves open whether the message goes out.
var (
	ErrAddress   = apperr.Define(apperr.Invalid, "mail.address_refused", "No e-mail can be sent to this address.", "无法向该邮箱地址发送邮件。")
	ErrTemporary = apperr.Define(apperr.Unavailable, "mail.temporarily_unavailable", "The e-mail was not sent: the mail server cannot take it at present. Try again.", "邮件服务器暂时无法处理，邮件未发送，请稍后重试。")
	ErrConfig    = apperr.Define(apperr.Unavailable, "mail.misconfigured", "The e-mail was not sent: the mail server refuses the service's settings.", "邮件服务器拒绝了本服务的配置，邮件未发送。")
	ErrUnknown   = apperr.Define(apperr.Unavailable, "mail.result_unknown", "Whether the e-mail was sent is unknown; it may still arrive.", "邮件发送结果未知，邮件可能仍会送达。")
	ErrRefused   = apperr.Define(apperr.Unavailable, "mail.refused", "The mail server refused the e-mail.", "邮件服务器拒绝了该邮件。")
)

// Message is a plain text e-mail to one person.
type Message struct {
	To      string // an address, without a name
	Subject string
	Text    string
}

// Sender sends messages. It never tries twice: a 4xx answer (ErrTemporary) may
// be tried again later by whoever asked, a 5xx may not.
// Errors: those of the package.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Config of a mail server.
type Config struct {
	// URL is smtp://user:password@host:587 (STARTTLS is required) or
	// smtps://user:password@host:465. On a loopback address ?tls=off is allowed,
	// without a password.
	URL  string
	From string      // "Shop <no-reply@shop.example>" or an address
	TLS  *tls.Config // nil means the system's roots
}

const sendTimeout = 15 * time.Second

// SMTP sends through one server.
type SMTP struct {
	client  *gomail.Client
	from    *mail.Address
	clock   *clock.Clock
	metrics *outgoing.Metrics
}

// New makes a sender and connects to nothing yet.
// Errors: an address that cannot be used; the message never repeats it.
func New(c Config, clk *clock.Clock, m *outgoing.Metrics) (*SMTP, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil || breaksHeader(c.From) {
		return nil, errors.New("the sender is no e-mail address")
	}
	host, options, err := parse(c)
	if err != nil {
		return nil, err
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, errors.New("the mail server's settings cannot be used")
	}
	return &SMTP{client: client, from: from, clock: clk, metrics: m}, nil
}

// Check says what is wrong with the settings, without repeating their values.
func Check(c Config) error {
	_, err := New(c, nil, nil)
	return err
}

func parse(c Config) (string, []gomail.Option, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return "", nil, errors.New("it must be smtp://user:password@host:587 or smtps://user:password@host:465 (special characters percent-encoded)")
	}
	options := []gomail.Option{gomail.WithTimeout(sendTimeout), gomail.WithoutNoop()}
	port := 587
	plain := u.Query().Get("tls") == "off"
	switch {
	case u.Scheme == "smtps" && !plain:
		port = 465
		options = append(options, gomail.WithSSL())
	case u.Scheme == "smtp" && plain:
		if !loopback(u.Hostname()) {
			return "", nil, errors.New("tls=off is for a server on this machine only")
		}
		if u.User != nil {
			return "", nil, errors.New("a password is never sent without TLS: remove it or tls=off")
		}
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case u.Scheme == "smtp":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	default:
		return "", nil, errors.New("its scheme must be smtp or smtps")
	}
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return "", nil, errors.New("its port is no port")
		}
	}
	options = append(options, gomail.WithPort(port))
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	if c.TLS != nil {
		options = append(options, gomail.WithTLSConfig(c.TLS))
	}
	return u.Hostname(), options, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// breaksHeader finds what would begin another header.
func breaksHeader(header string) bool { return strings.ContainsAny(header, "\r\n\x00") }

// Send implements Sender.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	begun := time.Now()
	err := s.send(ctx, m)
	s.metrics.Observe("smtp", "send", outcomeOf(err), time.Since(begun))
	return err
}

func (s *SMTP) send(ctx context.Context, m Message) error {
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Name != "" || breaksHeader(m.To) {
		return ErrAddress.Wrap(errors.New("not an address"))
	}
	if breaksHeader(m.Subject) {
		return ErrRefused.Wrap(errors.New("a line break in the subject"))
	}
	message := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingB64))
	message.FromMailAddress(s.from)
	message.ToMailAddress(to)
	message.Subject(m.Subject)
	message.SetDateWithValue(s.clock.Now().In(s.clock.Location()))
	_, domain, _ := strings.Cut(s.from.Address, "@")
	message.SetMessageIDWithValue(uuid.NewString() + "@" + domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday notes in answer
	message.SetBodyString(gomail.TypeTextPlain, m.Text)

	client, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return dialError(err)
	}
	// The library looks at the context while it dials only.
	stop := context.AfterFunc(ctx, func() { _ = client.Text.Close() })
	defer stop()
	err = s.client.SendWithSMTPClient(client, message)
	// The server has taken or refused the message by now; how the connection ends changes nothing.
	_ = s.client.CloseWithSMTPClient(client)
	return sendError(err)
}

// dialError is for a conversation that ended before the message was named.
func dialError(err error) error {
	code := replyCode(err)
	switch {
	case code >= 500, errors.Is(err, gomail.ErrPlainAuthNotSupported), errors.Is(err, gomail.ErrNoSupportedAuthDiscovered):
		return ErrConfig.Wrap(fmt.Errorf("the server answered %d before the message", code))
	case code >= 400:
		return ErrTemporary.Wrap(fmt.Errorf("the server answered %d before the message", code))
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return ErrConfig.Wrap(errors.New("the server's certificate does not verify"))
	}
	var network net.Error
	if errors.As(err, &network) {
		return ErrTemporary.Wrap(errors.New("the server cannot be reached"))
	}
	return ErrTemporary.Wrap(errors.New("no session with the server"))
}

// sendError maps the server's word on the message.
func sendError(err error) error {
	if err == nil {
		return nil
	}
	var failed *gomail.SendError
	if !errors.As(err, &failed) {
		return ErrUnknown.Wrap(errors.New("the connection broke"))
	}
	code := failed.ErrorCode()
	cause := fmt.Errorf("the server answered %d (%s)", code, failed.EnhancedStatusCode())
	switch {
	case failed.Reason == gomail.ErrSMTPReset:
		return nil // after the message was taken
	case code >= 500 && failed.Reason == gomail.ErrSMTPRcptTo:
		return ErrAddress.Wrap(cause)
	case code >= 500 && (failed.Reason == gomail.ErrSMTPMailFrom || code == 530 || code == 535):
		return ErrConfig.Wrap(cause)
	case code >= 500:
		return ErrRefused.Wrap(cause)
	case code >= 400:
		return ErrTemporary.Wrap(cause)
	case failed.Reason == gomail.ErrSMTPDataClose || failed.Reason == gomail.ErrWriteContent || failed.Reason == gomail.ErrAmbiguous:
		return ErrUnknown.Wrap(errors.New("the connection broke while the message was handed over"))
	}
	return ErrTemporary.Wrap(errors.New("the connection broke before the message was handed over"))
}

// replyCode finds the server's number in an error of the library.
func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

func outcomeOf(err error) outgoing.Outcome {
	switch {
	case err == nil:
		return outgoing.OutcomeOK
	case ErrAddress.Is(err), ErrRefused.Is(err):
		return outgoing.OutcomeRefused
	case ErrConfig.Is(err):
		return outgoing.OutcomeMisconfigured
	case ErrTemporary.Is(err):
		return outgoing.OutcomeUnavailable
	}
	return outgoing.OutcomeUnknown
}
