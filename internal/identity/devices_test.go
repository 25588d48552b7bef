package identity

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/geo"
	"github.com/shuke-crm/shuke/internal/platform/geo/geotest"
)

func TestDeviceTokens(t *testing.T) {
	keys, id := crypto.Generate(), uuid.New()
	text := deviceToken(keys, id)
	assert.Equal(t, id, parseDevice(keys, text))
	for _, bad := range []string{"", "shd_", text[4:], text + "A", text[:len(text)-3] + "AAA", deviceToken(crypto.Generate(), id)} {
		assert.Equal(t, uuid.Nil, parseDevice(keys, bad), bad)
	}
}

func TestDeviceLabels(t *testing.T) {
	for userAgent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                                                                                                 "Chrome on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":                                                                         "Safari on iOS",
		"Mozilla/5.0 (Linux; Android 14; 2201123C Build/UKQ1) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36 MicroMessenger/8.0.60(0x28003C35) WeChat/arm64 MiniProgramEnv/android": "WeChat on Android",
		"curl/8.5.0":          "curl",
		"Go-http-client/1.1":  "Go-http-client",
		"till":                "till",
		"":                    "",
		"<script>alert(1)":    "<script>alert",
		"\xff\xfe broken/1.0": "broken",
	} {
		assert.Equal(t, want, deviceLabel(storable(userAgent, 300)), "%s", userAgent)
	}
}

func TestPlaces(t *testing.T) {
	for ip, want := range map[string]string{"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3": "2001:db8:1::/48", "": "", "x": ""} {
		assert.Equal(t, want, place(ip), ip)
	}
}

// 1,000 hostile failures from as many addresses hold up whoever comes from
// elsewhere, and not the owner on a device that the account has signed in on,
// wherever that is now.
func TestNobodyLocksAKnownDeviceOut(t *testing.T) {
	w := newWorld(t)
	w.person("li", nil)
	home := w.from("192.0.2.1", "till")
	first, err := w.Login(home, "li", staffPassword)
	require.NoError(t, err)
	require.NotEmpty(t, first.DeviceToken)
	foreign, err := w.Login(home, AdminUsername, adminPassword)
	require.NoError(t, err)

	var judged, putOff atomic.Int32
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := range 250 {
				n := part*250 + i
				ctx := w.from(fmt.Sprintf("203.0.%d.%d", n/250, n%250), "attacker")
				if n%3 == 0 { // some claim to be a device: of another account, or an invented one
					ctx = withDevice(ctx, &foreign.DeviceToken)
				}
				_, err := w.Login(ctx, "li", "guess")
				switch {
				case ErrInvalidCredentials.Is(err):
					judged.Add(1)
				case ErrTooManyAttempts.Is(err):
					putOff.Add(1)
				default:
					assert.Fail(t, "neither refused nor put off", "%v", err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d guesses judged, %d put off", judged.Load(), putOff.Load())
	assert.EqualValues(t, 1000, judged.Load()+putOff.Load())
	assert.Less(t, judged.Load(), int32(100), "guessing from many addresses is slowed down")

	elsewhere := w.from("198.51.100.7", "till")
	_, err = w.Login(elsewhere, "li", staffPassword)
	assert.True(t, ErrTooManyAttempts.Is(err), "a stranger with the right password waits: %v", err)
	_, err = w.Login(withDevice(elsewhere, &foreign.DeviceToken), "li", staffPassword)
	assert.True(t, ErrTooManyAttempts.Is(err), "a device of another account is no known one: %v", err)
	again, err := w.Login(withDevice(elsewhere, &first.DeviceToken), "li", staffPassword)
	require.NoError(t, err)
	assert.Equal(t, first.DeviceToken, again.DeviceToken, "it is the same device")

	// A known device is put off by its own failures only.
	for range perAddress.free {
		_, err = w.Login(withDevice(elsewhere, &first.DeviceToken), "li", "guess")
		require.True(t, ErrInvalidCredentials.Is(err), "%v", err)
	}
	_, err = w.Login(withDevice(elsewhere, &first.DeviceToken), "li", staffPassword)
	assert.True(t, ErrTooManyAttempts.Is(err), "%v", err)
}

func TestSignInFromSomewhereNewIsTold(t *testing.T) {
	w := newWorld(t)
	var err error
	w.Places, err = geo.Open(geotest.File(t))
	require.NoError(t, err)
	p := w.person("li", nil)
	require.NoError(t, w.db.Platform.Staff.UpdateOneID(p.ID).SetEmailSealed(w.sealEmail(p.ID, "li@example.com")).Exec(w.system()))
	chrome := "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	in := func(ip, agent, device string) string {
		t.Helper()
		full, err := w.Login(withDevice(w.from(ip, agent), &device), "li", staffPassword)
		require.NoError(t, err)
		return full.DeviceToken
	}
	told := func() int {
		return w.count(`SELECT count(*) FROM outbox_events WHERE type = 'staff.signed_in_from_new_device'`)
	}
	device := in("192.0.2.1", chrome, "")
	assert.Zero(t, told(), "the first sign-in is compared with nothing")
	in("192.0.2.99", chrome, device)
	in("192.0.2.98", chrome, "")
	assert.Zero(t, told(), "the same device; the same program in the same network")
	in("198.51.100.7", chrome, device)
	assert.Equal(t, 1, told(), "another network")
	in("192.0.2.1", "curl/8.5.0", "")
	assert.Equal(t, 2, told(), "another program")
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.sign_in_from_new_device' AND changes->>'device' = 'curl'
		AND changes->'new' = '["device"]' AND changes->>'place' = '上海, 中国 (192.0.2.0/24)' AND object_id = $1`, p.ID.String()))
	require.Eventually(t, func() bool { return len(w.sent.allMails()) == 2 }, 10*time.Second, 5*time.Millisecond)
	for _, m := range w.sent.allMails() {
		assert.Equal(t, "li@example.com", m.To)
		assert.Contains(t, m.Text, "li")
		assert.Regexp(t, `198\.51\.100\.0/24|上海, 中国 \(192\.0\.2\.0/24\)`, m.Text)
	}
	in("192.0.2.1", "curl/8.5.0", "")
	assert.Equal(t, 2, told(), "known by now")
}
