package mail_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/mail"
)

const from = "书客 <no-reply@shop.example>"

func start(t *testing.T) *fake.Server {
	t.Helper()
	s, err := fake.Start(fake.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func sender(t *testing.T, c mail.Config) *mail.SMTP {
	t.Helper()
	s, err := mail.New(c, clock.New(time.UTC), nil)
	require.NoError(t, err)
	return s
}

func plain(s *fake.Server) mail.Config {
	return mail.Config{URL: "smtp://" + s.MailAddr + "?tls=off", From: from}
}

func requireCode(t *testing.T, want *apperr.Definition, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, want.Is(err), "want %s, got %v", want.Code, err)
}

var letter = mail.Message{To: "li@example.com", Subject: "重置密码 — Shuke", Text: "请在 30 分钟内打开：\nhttps://crm.example/reset?t=abc\n"}

func TestSend(t *testing.T) {
	s := start(t)
	require.NoError(t, sender(t, plain(s)).Send(t.Context(), letter))
	inbox := s.Mails("li@example.com")
	require.Len(t, inbox, 1)
	m := inbox[0]
	require.Equal(t, letter.Subject, m.Subject)
	require.Equal(t, strings.TrimSpace(letter.Text), m.Text)
	require.Equal(t, "no-reply@shop.example", m.From)
	require.Len(t, m.Header["Message-Id"], 1)
	require.Regexp(t, `^<[0-9a-f-]{36}@shop\.example>$`, m.Header["Message-Id"][0])
	require.Equal(t, []string{"auto-generated"}, m.Header["Auto-Submitted"])
	require.Len(t, m.Header["Date"], 1)
	for name, values := range m.Header {
		for _, v := range values {
			for _, r := range v {
				require.Less(t, r, rune(128), "%s is not encoded", name)
			}
		}
	}
}

func TestTLSAndPassword(t *testing.T) {
	s := start(t)
	for _, implicit := range []bool{false, true} {
		addr, roots, err := s.SecureMail(implicit)
		require.NoError(t, err)
		scheme := map[bool]string{false: "smtp", true: "smtps"}[implicit]
		host, _, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		trusted := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}

		c := mail.Config{URL: scheme + "://" + fake.MailUser + ":" + fake.MailPassword + "@" + addr, From: from, TLS: trusted}
		require.NoError(t, sender(t, c).Send(t.Context(), letter))

		wrong := c
		wrong.URL = scheme + "://" + fake.MailUser + ":hunter2@" + addr
		err = sender(t, wrong).Send(t.Context(), letter)
		requireCode(t, mail.ErrConfig, err)
		require.NotContains(t, err.Error(), "hunter2")

		nobody := c
		nobody.URL = scheme + "://" + addr
		requireCode(t, mail.ErrConfig, sender(t, nobody).Send(t.Context(), letter))

		stranger := c
		stranger.TLS = nil
		requireCode(t, mail.ErrConfig, sender(t, stranger).Send(t.Context(), letter)) // its certificate does not verify
	}
	require.Len(t, s.Mails(""), 2)
}

// A server that offers no TLS gets neither password nor message.
func TestNoTLSNoMail(t *testing.T) {
	s := start(t)
	for _, url := range []string{"smtp://u:hunter2@" + s.MailAddr, "smtp://" + s.MailAddr} {
		err := sender(t, mail.Config{URL: url, From: from}).Send(t.Context(), letter)
		require.Error(t, err)
		require.False(t, mail.ErrUnknown.Is(err))
	}
	require.Empty(t, s.Mails(""))
}

func TestSettingsThatCannotBeUsed(t *testing.T) {
	for _, c := range []mail.Config{
		{URL: "smtp://mail.example:587", From: "nobody"},
		{URL: "smtp://mail.example:587", From: "a@b.example\r\nBcc: c@d.example"},
		{URL: "http://mail.example", From: from},
		{URL: "smtp://", From: from},
		{URL: "smtp://mail.example:587?tls=off", From: from},
		{URL: "smtp://u:hunter2@127.0.0.1:587?tls=off", From: from},
		{URL: "smtp://u:hunter2@mail.example:99999", From: from},
		{URL: "smtp://u:hunter2%zz@mail.example", From: from},
	} {
		_, err := mail.New(c, clock.New(time.UTC), nil)
		require.Error(t, err, c.From+" "+c.URL)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAddressesAndHeaders(t *testing.T) {
	s := start(t)
	m := sender(t, plain(s))
	for _, to := range []string{"", "nobody", "Li <li@example.com>", "li@example.com\r\nBcc: x@example.com", "a@b.example, c@d.example"} {
		requireCode(t, mail.ErrAddress, m.Send(t.Context(), mail.Message{To: to, Subject: "x", Text: "x"}))
	}
	requireCode(t, mail.ErrRefused, m.Send(t.Context(), mail.Message{To: "li@example.com", Subject: "x\r\nBcc: y@example.com", Text: "x"}))
	requireCode(t, mail.ErrAddress, m.Send(t.Context(), mail.Message{To: "x@refused.example", Subject: "x", Text: "x"}))
	require.Empty(t, s.Mails(""))
}

func TestMisbehaviour(t *testing.T) {
	cases := []struct {
		fault fake.Fault
		want  *apperr.Definition
		sent  int
	}{
		{fake.Fault{Kind: fake.Busy}, mail.ErrTemporary, 0},
		{fake.Fault{Kind: fake.RateLimit}, mail.ErrTemporary, 0},
		{fake.Fault{Kind: fake.Code, Code: "554"}, mail.ErrRefused, 0},
		{fake.Fault{Kind: fake.ResetBefore}, mail.ErrUnknown, 0},
		{fake.Fault{Kind: fake.ResetAfter}, mail.ErrUnknown, 1},
	}
	for _, c := range cases {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			s := start(t)
			c.fault.Target = "mail.send"
			s.Fail(c.fault)
			requireCode(t, c.want, sender(t, plain(s)).Send(t.Context(), letter))
			require.Len(t, s.Mails(""), c.sent)
			require.Equal(t, 1, s.Calls("mail.send"), "never repeated")
			require.NoError(t, sender(t, plain(s)).Send(t.Context(), letter))
		})
	}
	for _, kind := range []fake.Kind{fake.TimeoutBefore, fake.TimeoutAfter} {
		t.Run(string(kind), func(t *testing.T) {
			s := start(t)
			s.Fail(fake.Fault{Target: "mail.send", Kind: kind})
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			begun := time.Now()
			requireCode(t, mail.ErrUnknown, sender(t, plain(s)).Send(ctx, letter))
			require.Less(t, time.Since(begun), 5*time.Second)
		})
	}
	t.Run("away", func(t *testing.T) {
		s := start(t)
		m := sender(t, plain(s))
		require.NoError(t, s.Close())
		requireCode(t, mail.ErrTemporary, m.Send(t.Context(), letter))
	})
}
