package sms_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/fake"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/config"
	"github.com/shuke-crm/shuke/internal/platform/pgtest"
	"github.com/shuke-crm/shuke/internal/platform/sms"
)

type world struct {
	fake  *fake.Server
	clock *clock.Clock
	at    *atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{at: &atomic.Int64{}}
	w.at.Store(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).UnixNano())
	now := func() time.Time { return time.Unix(0, w.at.Load()) }
	w.clock = clock.Fake(time.UTC, now)
	var err error
	w.fake, err = fake.Start(fake.Options{Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.fake.Close()) })
	return w
}

func (w *world) advance(d time.Duration) { w.at.Add(int64(d)) }

func (w *world) config(provider string) sms.Config {
	c := w.fake.Settings(config.Outside{})
	if provider == "tencent" {
		c = w.fake.TencentSettings(config.Outside{})
	}
	return sms.Config{
		Provider: c.SMSProvider, KeyID: c.SMSKeyID, KeySecret: c.SMSKeySecret.Reveal(), AppID: c.SMSAppID,
		SignName: c.SMSSignName, Templates: c.Templates(), BaseURL: c.SMSURL,
	}
}

func (w *world) sender(t *testing.T, c sms.Config) sms.Sender {
	t.Helper()
	s, err := sms.New(c, w.clock, nil)
	require.NoError(t, err)
	return s
}

func message(to string) sms.Message {
	return sms.Message{To: to, Template: sms.SignInCode, Params: []sms.Param{{Name: "code", Value: "042137"}, {Name: "minutes", Value: "5"}}, Ref: "ref-1"}
}

func requireCode(t *testing.T, want *apperr.Definition, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, want.Is(err), "want %s, got %v", want.Code, err)
}

var providers = []string{"aliyun", "tencent"}

func TestSend(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			w := newWorld(t)
			s := w.sender(t, w.config(provider))
			for _, to := range []string{"+8613800138000", "+85251234567"} {
				receipt, err := s.Send(t.Context(), message(to))
				require.NoError(t, err)
				inbox := w.fake.Messages(to)
				require.Len(t, inbox, 1)
				require.Equal(t, sms.Receipt{Provider: provider, ID: inbox[0].ID}, receipt)
				require.Equal(t, "【书客】您的登录验证码为042137，5分钟内有效，请勿告知他人。", inbox[0].Text)
				require.Equal(t, "ref-1", inbox[0].Ref)
				require.Equal(t, "042137", w.fake.SMSCode(to))
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			w := newWorld(t)
			good := w.config(provider)
			altered := func(alter func(*sms.Config)) sms.Sender {
				c := good
				alter(&c)
				return w.sender(t, c)
			}
			_, err := w.sender(t, good).Send(t.Context(), message("+8610012345"))
			requireCode(t, sms.ErrNumber, err)
			if provider == "aliyun" { // which would take it for 13105551234
				_, err = w.sender(t, good).Send(t.Context(), message("+13105551234"))
				requireCode(t, sms.ErrNumber, err)
			}
			_, err = altered(func(c *sms.Config) { c.KeyID = "other" }).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrConfig, err)
			_, err = altered(func(c *sms.Config) { c.KeySecret = "hunter2" }).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrConfig, err)
			require.NotContains(t, err.Error(), "hunter2")
			_, err = altered(func(c *sms.Config) { c.SignName = "other" }).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrConfig, err)
			_, err = altered(func(c *sms.Config) { c.Templates = map[string]string{sms.SignInCode: "SMS_9"} }).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrConfig, err)
			_, err = altered(func(c *sms.Config) { c.Templates = nil }).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrConfig, err)
			short := message("+8613800138000")
			short.Params = short.Params[:1]
			_, err = w.sender(t, good).Send(t.Context(), short)
			requireCode(t, sms.ErrConfig, err)
			w.fake.SetSMSBalance(0)
			_, err = w.sender(t, good).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrBalance, err)
			require.Empty(t, w.fake.Messages(""))
			w.fake.SetSMSBalance(-1)

			w.fake.Fail(fake.Fault{Target: "sms", Kind: fake.Code, Code: "Novel.Code\n" + strings.Repeat("x", 500)})
			_, err = w.sender(t, good).Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrProvider, err)
			var raw sms.RawCode
			require.ErrorAs(t, err, &raw)
			require.True(t, strings.HasPrefix(raw.Code, "Novel.Code?xx"))
			require.LessOrEqual(t, len(raw.Code), 80)

			_, err = sms.New(sms.Config{Provider: "pigeon"}, w.clock, nil)
			require.ErrorContains(t, err, "pigeon")
		})
	}
}

func TestClockOfTheSignatureCounts(t *testing.T) {
	for _, provider := range providers {
		w := newWorld(t)
		late := clock.Fake(time.UTC, func() time.Time { return time.Unix(0, w.at.Load()).Add(-16 * time.Minute) })
		s, err := sms.New(w.config(provider), late, nil)
		require.NoError(t, err)
		_, err = s.Send(t.Context(), message("+8613800138000"))
		require.Error(t, err)
		require.Empty(t, w.fake.Messages(""))
	}
}

func TestLimitsOfANumber(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider, func(t *testing.T) {
			w := newWorld(t)
			s := w.sender(t, w.config(provider))
			for hour := range 2 {
				for n := range 5 {
					_, err := s.Send(t.Context(), message("+8613800138000"))
					require.NoError(t, err, "hour %d, message %d", hour, n)
					_, err = s.Send(t.Context(), message("+8613800138000"))
					requireCode(t, sms.ErrLimit, err)
					w.advance(time.Minute)
				}
				_, err := s.Send(t.Context(), message("+8613800138000"))
				requireCode(t, sms.ErrLimit, err)
				w.advance(time.Hour)
			}
			_, err := s.Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrLimit, err)
			_, err = s.Send(t.Context(), message("+8613800138001"))
			require.NoError(t, err)
			w.advance(24 * time.Hour)
			_, err = s.Send(t.Context(), message("+8613800138000"))
			require.NoError(t, err)
		})
	}
}

// One element may be refused inside a call that succeeded.
func TestMisbehaviour(t *testing.T) {
	cases := []struct {
		kind fake.Kind
		want *apperr.Definition
		sent int
	}{
		{fake.TimeoutBefore, sms.ErrUnknown, 0},
		{fake.TimeoutAfter, sms.ErrUnknown, 1},
		{fake.ResetBefore, sms.ErrUnknown, 0},
		{fake.ResetAfter, sms.ErrUnknown, 1},
		{fake.ErrorBefore, sms.ErrUnknown, 0},
		{fake.ErrorAfter, sms.ErrUnknown, 1},
		{fake.Garbage, sms.ErrUnknown, 0},
		{fake.Huge, sms.ErrUnknown, 0},
		{fake.Busy, sms.ErrDown, 0},
		{fake.RateLimit, sms.ErrLimit, 0},
	}
	for _, provider := range providers {
		for _, c := range cases {
			t.Run(provider+" "+string(c.kind), func(t *testing.T) {
				w := newWorld(t)
				w.fake.Fail(fake.Fault{Target: "sms.send", Kind: c.kind})
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, err := w.sender(t, w.config(provider)).Send(ctx, message("+8613800138000"))
				requireCode(t, c.want, err)
				require.Len(t, w.fake.Messages(""), c.sent)
				require.Equal(t, 1, w.fake.Calls("sms.send"), "never repeated")
			})
		}
		t.Run(provider+" away", func(t *testing.T) {
			w := newWorld(t)
			s := w.sender(t, w.config(provider))
			require.NoError(t, w.fake.Close())
			_, err := s.Send(t.Context(), message("+8613800138000"))
			requireCode(t, sms.ErrDown, err)
		})
	}
}

func TestDailyLimitOverReplicas(t *testing.T) {
	w := newWorld(t)
	w.fake.SetSMSLimits(false)
	pool := pgtest.NewDatabase(t).Open(t)
	var log bytes.Buffer
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))
	var replicas []*sms.Limited
	for _, provider := range providers {
		replicas = append(replicas, sms.NewLimited(w.sender(t, w.config(provider)), pool, w.clock, 10, logger, nil))
	}
	var sent, refused atomic.Int64
	var wg sync.WaitGroup
	for n := range 30 {
		wg.Go(func() {
			_, err := replicas[n%2].Send(context.Background(), message("+8613800138000"))
			switch {
			case err == nil:
				sent.Add(1)
			case sms.ErrDailyLimit.Is(err):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(10), sent.Load())
	require.Equal(t, int64(20), refused.Load())
	require.Len(t, w.fake.Messages(""), 10)
	n, err := replicas[0].SentToday(t.Context())
	require.NoError(t, err)
	require.Equal(t, 10, n)
	mu.Lock()
	require.Equal(t, 2, strings.Count(log.String(), "text messages of the day"), "at four fifths and at the end")
	mu.Unlock()

	w.advance(24 * time.Hour)
	_, err = replicas[0].Send(t.Context(), message("+8613800138000"))
	require.NoError(t, err, "another day")
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestOnlyWhatMayHaveBeenSentCounts(t *testing.T) {
	w := newWorld(t)
	pool := pgtest.NewDatabase(t).Open(t)
	l := sms.NewLimited(w.sender(t, w.config("aliyun")), pool, w.clock, 2, slog.New(slog.DiscardHandler), nil)
	for _, kind := range []fake.Kind{fake.Busy, fake.RateLimit} {
		w.fake.Fail(fake.Fault{Target: "sms.send", Kind: kind})
		_, err := l.Send(t.Context(), message("+8613800138000"))
		require.Error(t, err)
	}
	n, err := l.SentToday(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	w.fake.Fail(fake.Fault{Target: "sms.send", Kind: fake.ErrorBefore})
	_, err = l.Send(t.Context(), message("+8613800138000"))
	requireCode(t, sms.ErrUnknown, err)
	n, err = l.SentToday(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)

	require.NoError(t, pool.Close()) // nobody can count: nothing is sent
	_, err = l.Send(t.Context(), message("+8613800138001"))
	require.Error(t, err)
	require.Empty(t, w.fake.Messages("+8613800138001"))
}

// Settings name templates that the service sends, and no others.
func TestTemplateNamesAgree(t *testing.T) {
	require.Equal(t, config.SMSTemplateNames, sms.Templates)
}
