package identity

import (
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/outside"
)

// asked asks for a link and gives the token of the mail, or nothing if none came.
func (w *world) asked(username string) string {
	w.t.Helper()
	before := len(w.sent.allMails())
	require.NoError(w.t, w.RequestReset(w.from("192.0.2.1", ""), username))
	w.Close() // what is done afterwards has been done
	mails := w.sent.allMails()
	if len(mails) == before {
		return ""
	}
	return regexp.MustCompile(`shp_[\w-]+`).FindString(mails[len(mails)-1].Text)
}

func TestResetByMail(t *testing.T) {
	w := newWorld(t)
	w.PasswordResetURL = "https://admin.example.com/new-password"
	email := "Li@Example.com"
	p, _, err := w.CreateStaff(w.system(), CreateStaffInput{Username: "li", Name: "李", Email: &email, Password: ref(staffPassword), MustChangePassword: true})
	require.NoError(t, err)
	w.person("zhou", nil) // without an address
	assert.Zero(t, w.count(`SELECT count(*) FROM staff s WHERE s::text ILIKE '%example.com%'`), "sealed")
	session := w.login("li", staffPassword)
	assert.Empty(t, w.asked("nobody"))
	assert.Empty(t, w.asked("zhou"))
	token := w.asked(" LI ")
	require.NotEmpty(t, token)
	mail := w.sent.allMails()[0]
	assert.Equal(t, "Li@example.com", mail.To)
	assert.Contains(t, mail.Text, "https://admin.example.com/new-password#token="+token)
	assert.Zero(t, w.count(`SELECT count(*) FROM password_resets r WHERE r::text LIKE '%' || $1 || '%'`, token), "only a hash is kept")
	later := w.asked("li")
	require.NotEqual(t, token, later)

	at := w.from("198.51.100.7", "browser")
	assert.True(t, ErrPasswordTooShort.Is(w.ConfirmReset(at, token, "short")), "and the token is not spent on it")
	assert.True(t, ErrResetInvalid.Is(w.ConfirmReset(at, token[:len(token)-2]+"xx", "thirteen iron gates")))
	var set atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.ConfirmReset(at, token, "thirteen iron gates"); err == nil {
				set.Add(1)
			} else {
				assert.True(t, ErrResetInvalid.Is(err), "%v", err)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, set.Load(), "good once")
	assert.True(t, ErrResetInvalid.Is(w.ConfirmReset(at, later, "fourteen iron gates")), "other links are void")
	_, err = w.Authenticate(t.Context(), session.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	full, err := w.Login(at, "li", "thirteen iron gates")
	require.NoError(t, err)
	assert.False(t, full.MustChangePassword, "it is one's own")
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'staff.change_password' AND object_id = $1`, p.ID.String()))

	// Half an hour, and three an hour.
	third := w.asked("li")
	require.NotEmpty(t, third)
	assert.Empty(t, w.asked("li"))
	w.advance(resetLife)
	assert.True(t, ErrResetInvalid.Is(w.ConfirmReset(at, third, "fourteen iron gates")), "too late")
	w.advance(31 * time.Minute)
	fourth := w.asked("li")
	require.NotEmpty(t, fourth)

	// A link that went to a former address, or to somebody disabled, is worth nothing.
	_, err = w.UpdateStaff(w.admin(), p.ID, nil, UpdateStaffInput{Email: emailOf("other@example.com")})
	require.NoError(t, err)
	assert.True(t, ErrResetInvalid.Is(w.ConfirmReset(at, fourth, "fourteen iron gates")))
	fifth := w.asked("li")
	require.NotEmpty(t, fifth)
	disabled := staff.StatusDisabled
	_, err = w.UpdateStaff(w.admin(), p.ID, nil, UpdateStaffInput{Status: &disabled})
	require.NoError(t, err)
	assert.True(t, ErrResetInvalid.Is(w.ConfirmReset(at, fifth, "fourteen iron gates")))
	assert.Empty(t, w.asked("li"))
}

func TestResetLeavesTheSecondFactor(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	require.NoError(t, w.db.Platform.Staff.UpdateOneID(p.ID).SetEmailSealed(w.sealEmail(p.ID, "li@example.com")).Exec(w.system()))
	w.withTotp(w.signedIn("li"))
	require.NoError(t, w.ConfirmReset(w.system(), w.asked("li"), staffPassword+" two"))
	half, err := w.Login(w.from("192.0.2.1", ""), "li", staffPassword+" two")
	require.NoError(t, err)
	assert.NotEmpty(t, half.MFAToken, "whoever reads somebody's mail is not in yet")
}

func TestEmailDecidesWhoGetsIn(t *testing.T) {
	w := newWorld(t)
	boss := w.person("boss", nil, everywhere("administrator"))
	w.role("hr", "staff.read", "staff.manage")
	hr := w.person("hr", nil, everywhere("hr"))
	ctx := w.signedIn("hr")
	_, err := w.UpdateStaff(ctx, boss.ID, nil, UpdateStaffInput{Email: emailOf("hr@example.com")})
	assert.True(t, ErrBeyondOwn.Is(err), "%v", err)
	_, err = w.UpdateStaff(ctx, hr.ID, nil, UpdateStaffInput{Email: emailOf("hr@example.com")})
	assert.NoError(t, err)
	_, err = w.UpdateStaff(ctx, hr.ID, nil, UpdateStaffInput{Email: emailOf("no address")})
	assert.True(t, ErrEmailInvalid.Is(err), "%v", err)
}

// Nothing about an account is looked at before the caller is answered, so the
// answer takes as long for one as for none. The fastest of several, so that a
// busy machine does not matter.
func TestAskingForALinkTellsNothing(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	require.NoError(t, w.db.Platform.Staff.UpdateOneID(p.ID).SetEmailSealed(w.sealEmail(p.ID, "li@example.com")).Exec(w.system()))
	fastest := func(username string) time.Duration {
		best := time.Hour
		for range 10 {
			began := time.Now()
			require.NoError(t, w.RequestReset(w.system(), username))
			best = min(best, time.Since(began))
			w.Close()
		}
		return best
	}
	known, nobody := fastest("li"), fastest("nobody")
	assert.Less(t, known, 5*time.Millisecond)
	assert.Less(t, nobody, 5*time.Millisecond)
	w.Outside = outside.Services{}
	assert.True(t, outside.ErrNoMail.Is(w.RequestReset(w.system(), "li")))
}

func emailOf(address string) nullable.Nullable[string] { return nullable.NewNullableWithValue(address) }
