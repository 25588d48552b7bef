package fake

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Account of the mail server, where it wants one.
const (
	MailUser     = "shuke"
	MailPassword = "stand-in-mail-secret"
)

// Mail is an e-mail that the stand-in took.
type Mail struct {
	From    string              `json:"from"` // the envelope's
	To      string              `json:"to"`
	Subject string              `json:"subject"`
	Text    string              `json:"text"`
	Header  map[string][]string `json:"header"`
	At      time.Time           `json:"at"`
}

type mailServer struct {
	s       *Server
	addr    string
	server  *smtp.Server
	locked  bool // a password is wanted
	network net.Listener

	mu    sync.Mutex
	inbox []Mail
}

// startMail listens for mail on this machine, without TLS.
func (s *Server) startMail(addr string) (*mailServer, error) { return s.mailServer(addr, nil, false) }

// SecureMail starts a second mail server as the real ones are: with TLS and a
// password. Implicit is TLS from the first byte (port 465), else STARTTLS. It
// shares the first one's inbox and faults; roots verify its certificate.
func (s *Server) SecureMail(implicit bool) (addr string, roots *x509.CertPool, err error) {
	certificate, roots, err := selfSigned(s.now())
	if err != nil {
		return "", nil, err
	}
	m, err := s.mailServer("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, implicit)
	if err != nil {
		return "", nil, err
	}
	go func() { <-s.stop; _ = m.close() }()
	return m.addr, roots, nil
}

func (s *Server) mailServer(addr string, secure *tls.Config, implicit bool) (*mailServer, error) {
	m := &mailServer{s: s, locked: secure != nil}
	var err error
	if m.network, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	m.addr = m.network.Addr().String()
	m.server = smtp.NewServer(m)
	m.server.Domain, m.server.MaxMessageBytes, m.server.MaxRecipients = "stand-in.example", bodyLimit, 10
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.ErrorLog = log.New(io.Discard, "", 0)
	if !implicit {
		m.server.TLSConfig = secure // offers STARTTLS
	}
	listener := m.network
	if implicit {
		listener = tls.NewListener(listener, secure)
	}
	go func() { _ = m.server.Serve(listener) }() // returns when closed
	return m, nil
}

// close also ends a listener that is not served yet.
func (m *mailServer) close() error {
	err := errors.Join(m.server.Close(), m.network.Close())
	if errors.Is(err, net.ErrClosed) || errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// NewSession implements smtp.Backend.
func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{m: m, conn: c, open: !m.locked}, nil
}

type mailSession struct {
	m    *mailServer
	conn *smtp.Conn
	open bool
	from string
	to   []string
}

func (c *mailSession) AuthMechanisms() []string {
	if !c.m.locked {
		return nil
	}
	return []string{sasl.Plain}
}

func (c *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != MailUser || password != MailPassword {
			return smtp.ErrAuthFailed
		}
		c.open = true
		return nil
	}), nil
}

func (c *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if !c.open {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	c.from = from
	return nil
}

// Rcpt takes every address but those of the domain refused.example.
func (c *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasSuffix(to, "@refused.example") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	}
	c.to = append(c.to, to)
	return nil
}

// Data takes the message, or misbehaves with it.
func (c *mailSession) Data(r io.Reader) error {
	const target = "mail.send"
	s := c.m.s
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	f := s.faults.take(target)
	take := func() error {
		s.faults.happened(target)
		return c.take(raw)
	}
	code := f.Code
	switch f.Kind {
	case TimeoutBefore, TimeoutAfter:
		if f.Kind == TimeoutAfter {
			_ = take() // the sender is not told
		}
		select {
		case <-s.stop:
		case <-time.After(time.Minute):
		}
		return c.conn.Conn().Close()
	case ResetBefore, ResetAfter, ErrorAfter:
		if f.Kind != ResetBefore {
			_ = take()
		}
		return c.conn.Conn().Close()
	case Busy, ErrorBefore, Garbage, Huge:
		code = "451"
	case RateLimit:
		code = "452"
	case Code:
	default:
		return take()
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		n = 451
	}
	return &smtp.SMTPError{Code: n, EnhancedCode: smtp.EnhancedCode{n / 100, 3, 0}, Message: "Stand-in refuses"}
}

// take reads the message as a mail program would.
func (c *mailSession) take(raw []byte) error {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Not a message"}
	}
	body := message.Body
	switch strings.ToLower(message.Header.Get("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "Unreadable text"}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		subject = message.Header.Get("Subject")
	}
	first := c.m.s.mail // all servers share the first one's inbox
	first.mu.Lock()
	defer first.mu.Unlock()
	for _, to := range c.to {
		first.inbox = append(first.inbox, Mail{
			From: c.from, To: to, Subject: subject, Text: strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"),
			Header: message.Header, At: c.m.s.now(),
		})
	}
	return nil
}

func (c *mailSession) Reset()        { c.from, c.to = "", nil }
func (c *mailSession) Logout() error { return nil }

// Mails lists what was sent to an address, or to all when it is empty.
func (s *Server) Mails(to string) []Mail {
	s.mail.mu.Lock()
	defer s.mail.mu.Unlock()
	list := []Mail{}
	for _, m := range s.mail.inbox {
		if to == "" || strings.EqualFold(m.To, to) {
			list = append(list, m)
		}
	}
	return list
}

// selfSigned makes a certificate for this machine, and the roots that trust it.
func selfSigned(now time.Time) (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots, nil
}
