package identity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/stafffactor"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/otp"
)

// app is somebody's authenticator.
type app struct {
	w      *world
	secret []byte
}

func (a app) code() string { return totp(a.secret, totpStep(a.w.time()), totpDigits) }

// withTotp sets an app up in a session and gives the recovery codes.
func (w *world) withTotp(ctx context.Context) (app, []string) {
	w.t.Helper()
	text, _, err := w.EnrolTotp(ctx)
	require.NoError(w.t, err)
	secret, err := base32Upper.DecodeString(text)
	require.NoError(w.t, err)
	a := app{w, secret}
	codes, err := w.Confirm(ctx, stafffactor.MethodTotp, a.code(), nil)
	require.NoError(w.t, err)
	w.advance(totpPeriod * time.Second) // the next code is another
	return a, codes
}

// halfway signs somebody in as far as the second factor.
func (w *world) halfway(ctx context.Context, username string) SignIn {
	w.t.Helper()
	p, err := w.Login(ctx, username, staffPassword)
	require.NoError(w.t, err)
	require.Empty(w.t, p.Access)
	require.NotEmpty(w.t, p.MFAToken)
	return p
}

func TestSignInWithAnApp(t *testing.T) {
	w := newWorld(t)
	w.person("li", nil, everywhere("analyst"))
	ctx := w.signedIn("li")
	_, err := w.Confirm(ctx, stafffactor.MethodTotp, "123456", nil)
	assert.True(t, ErrFactorNotFound.Is(err), "nothing to confirm: %v", err)
	text, _, err := w.EnrolTotp(ctx)
	require.NoError(t, err)
	w.login("li", staffPassword) // an app that is not confirmed asks for nothing
	_, err = w.Confirm(ctx, stafffactor.MethodTotp, "abc", nil)
	assert.True(t, ErrCodeWrong.Is(err), "%v", err)
	phone, recovery := w.withTotp(ctx)
	assert.NotEqual(t, text, base32Upper.EncodeToString(phone.secret), "setting up anew makes another secret")
	assert.Len(t, recovery, recoveryCodes)
	_, _, err = w.EnrolTotp(ctx)
	assert.True(t, ErrFactorExists.Is(err), "%v", err)

	at := w.from("192.0.2.1", "till")
	half := w.halfway(at, "li")
	assert.Equal(t, []string{MethodTotp, MethodRecovery}, half.Methods)
	_, err = w.VerifySecondFactor(at, half.MFAToken, ProofInput{Method: MethodSMS, Secret: "123456"})
	assert.True(t, ErrMethodNotCounted.Is(err), "%v", err)
	_, err = w.VerifySecondFactor(at, half.MFAToken, ProofInput{Method: MethodTotp, Secret: "000000x"})
	assert.True(t, ErrCodeWrong.Is(err), "%v", err)
	code := phone.code()
	full, err := w.VerifySecondFactor(at, half.MFAToken, ProofInput{Method: MethodTotp, Secret: code[:3] + " " + code[3:]})
	require.NoError(t, err)
	assert.NotEmpty(t, full.DeviceToken)
	actor := auth.Must(w.as(full.Access))
	assert.True(t, actor.Proof.Second)
	assert.Equal(t, []string{MethodTotp}, actor.Factors)
	_, err = w.VerifySecondFactor(at, w.halfway(at, "li").MFAToken, ProofInput{Method: MethodTotp, Secret: code})
	assert.True(t, ErrCodeWrong.Is(err), "a code counts once: %v", err)

	// Recovery codes count once each, however they are typed.
	typedIn := strings.ToUpper(strings.ReplaceAll(recovery[3], "-", " "))
	_, err = w.VerifySecondFactor(at, w.halfway(at, "li").MFAToken, ProofInput{Method: MethodRecovery, Secret: typedIn})
	require.NoError(t, err)
	_, err = w.VerifySecondFactor(at, w.halfway(at, "li").MFAToken, ProofInput{Method: MethodRecovery, Secret: recovery[3]})
	assert.True(t, ErrCodeWrong.Is(err), "%v", err)
	own, err := w.OwnFactors(w.as(full.Access))
	require.NoError(t, err)
	assert.Equal(t, recoveryCodes-1, own.RecoveryCodes)
	renewed, err := w.RenewRecoveryCodes(w.as(full.Access))
	require.NoError(t, err)
	_, err = w.VerifySecondFactor(at, w.halfway(at, "li").MFAToken, ProofInput{Method: MethodRecovery, Secret: recovery[4]})
	assert.True(t, ErrCodeWrong.Is(err), "former ones are void: %v", err)
	_, err = w.VerifySecondFactor(at, w.halfway(at, "li").MFAToken, ProofInput{Method: MethodRecovery, Secret: renewed[0]})
	require.NoError(t, err)

	// Nothing of it can be read in the database.
	for _, secret := range append(renewed, fmt.Sprintf("%x", phone.secret), base32Upper.EncodeToString(phone.secret)) {
		assert.Zero(t, w.count(`SELECT count(*) FROM staff s LEFT JOIN staff_factors f ON f.staff_id = s.id WHERE position($1 IN s::text || f::text) > 0`, secret))
	}

	require.NoError(t, w.RemoveFactor(w.as(full.Access), stafffactor.MethodTotp))
	assert.True(t, ErrFactorNotFound.Is(w.RemoveFactor(w.as(full.Access), stafffactor.MethodTotp)))
	own, err = w.OwnFactors(w.as(full.Access))
	require.NoError(t, err)
	assert.Zero(t, own.RecoveryCodes)
	w.login("li", staffPassword)
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.factor_add' AND actor_name = 'li'`))
	assert.Equal(t, 1, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.factor_remove' AND actor_name = 'li'`))
}

func TestOneCodeOneSession(t *testing.T) {
	w := newWorld(t)
	w.person("li", nil)
	phone, recovery := w.withTotp(w.signedIn("li"))
	at := w.from("192.0.2.1", "till")
	half := w.halfway(at, "li")
	for _, in := range []ProofInput{{Method: MethodTotp, Secret: phone.code()}, {Method: MethodRecovery, Secret: recovery[0]}} {
		var opened atomic.Int32
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if _, err := w.VerifySecondFactor(at, half.MFAToken, in); err == nil {
					opened.Add(1)
				} else {
					assert.True(t, ErrCodeWrong.Is(err) || ErrTooManyAttempts.Is(err), "%v", err)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, opened.Load(), in.Method)
		w.advance(triesWindow)
		half = w.halfway(at, "li")
	}
}

func TestHalfwayIsBound(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	phone, _ := w.withTotp(w.signedIn("li"))
	at := w.from("192.0.2.1", "till")
	refused := func(ctx context.Context, token, why string) {
		t.Helper()
		_, err := w.VerifySecondFactor(ctx, token, ProofInput{Method: MethodTotp, Secret: phone.code()})
		assert.True(t, ErrMFATokenInvalid.Is(err), "%s: %v", why, err)
		_, err = w.SendCode(ctx, &token)
		assert.True(t, ErrMFATokenInvalid.Is(err), "%s: %v", why, err)
	}
	half := w.halfway(at, "li")
	refused(w.from("192.0.2.1", "another program"), half.MFAToken, "another program")
	refused(at, half.MFAToken[:len(half.MFAToken)-2]+"AA", "a forgery")
	refused(at, "", "nothing")
	w.advance(mfaLife)
	refused(at, half.MFAToken, "too late")
	half = w.halfway(at, "li")
	require.NoError(t, w.ResetFactors(w.admin(), p.ID))
	secret := "thirteen iron gates"
	_, err := w.ResetPassword(w.admin(), p.ID, &secret)
	require.NoError(t, err)
	refused(at, half.MFAToken, "the password was replaced")
	_, err = w.Authenticate(t.Context(), half.MFAToken)
	assert.Error(t, err, "it is no access token")
}

// An attacker who has learnt the password makes 10,000 guesses at the app's
// code within an hour, on a device that the account knows and on one that it
// does not, after an hour of the same. In no hour are more than 30 looked at; a
// guess is right with at most 3e-6, since the codes of three steps count.
func TestTenThousandGuessesAtASecondFactor(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	phone, recovery := w.withTotp(w.signedIn("li"))
	account, err := w.db.Platform.Staff.Get(w.system(), p.ID)
	require.NoError(t, err)
	factors, err := w.factors(w.system(), p.ID)
	require.NoError(t, err)
	const guesses = 10_000
	ctx, start := w.system(), w.time()
	var looked []time.Duration
	for i := range guesses + guesses/2 {
		at := time.Duration(i) * time.Hour / guesses
		w.advance(start.Add(at).Sub(w.time()))
		err := w.prove(ctx, account, factors, ProofInput{Method: MethodTotp, Secret: fmt.Sprintf("%06d", rand.N(1_000_000))}, i%2 == 0)
		if ErrTooManyAttempts.Is(err) {
			continue
		}
		require.True(t, err == nil || ErrCodeWrong.Is(err), "%v", err)
		looked = append(looked, at)
	}
	most := 0
	for i := range looked {
		n := 0
		for _, at := range looked[i:] {
			if at-looked[i] < time.Hour {
				n++
			}
		}
		most = max(most, n)
	}
	t.Logf("%d guesses looked at, at most %d in an hour", len(looked), most)
	assert.LessOrEqual(t, most, 30)
	assert.GreaterOrEqual(t, most, 20, "the attack makes use of what it is given")
	assert.Less(t, float64(most)*3e-6, 1e-4)

	// Guesses on devices the account does not know leave the owner's alone.
	w.advance(2 * time.Hour)
	for range triesUnknown {
		assert.True(t, ErrCodeWrong.Is(w.prove(ctx, account, factors, ProofInput{Method: MethodRecovery, Secret: "guess"}, false)))
	}
	err = w.prove(ctx, account, factors, ProofInput{Method: MethodRecovery, Secret: recovery[0]}, false)
	require.True(t, ErrTooManyAttempts.Is(err), "even the right code waits: %v", err)
	assert.InDelta(t, 3600, apperr.From(err).Args["retry_after"], 1)
	assert.NoError(t, w.prove(ctx, account, factors, ProofInput{Method: MethodTotp, Secret: phone.code()}, true))
	w.advance(time.Hour)
	assert.NoError(t, w.prove(ctx, account, factors, ProofInput{Method: MethodRecovery, Secret: recovery[0]}, false), "nothing is for good")
}

func TestPhoneAsSecondFactor(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	ctx := w.signedIn("li")
	for _, bad := range []string{"12345", "02062221111", "4008123123"} {
		_, err := w.EnrolSMS(ctx, bad)
		assert.True(t, ErrPhoneInvalid.Is(err), "%s: %v", bad, err)
	}
	sent, err := w.EnrolSMS(ctx, "138 0013 8000")
	require.NoError(t, err)
	assert.Equal(t, "138****8000", sent.Phone)
	text := w.sent.text()
	assert.Equal(t, "+8613800138000", text.To)
	code := text.Params[0].Value
	_, err = w.Confirm(ctx, stafffactor.MethodSms, wrongCode(code), nil)
	assert.True(t, ErrCodeWrong.Is(err), "%v", err)
	recovery, err := w.Confirm(ctx, stafffactor.MethodSms, code, &sent.Challenge)
	require.NoError(t, err)
	assert.Len(t, recovery, recoveryCodes)
	own, err := w.OwnFactors(ctx)
	require.NoError(t, err)
	require.Len(t, own.Factors, 1)
	assert.Equal(t, "138****8000", own.Phones[own.Factors[0].ID])
	assert.Equal(t, []string{MethodSMS, MethodRecovery}, own.Methods)

	at := w.from("192.0.2.1", "till")
	half := w.halfway(at, "li")
	_, err = w.VerifySecondFactor(at, half.MFAToken, ProofInput{Method: MethodSMS, Secret: code})
	assert.True(t, otp.ErrSpent.Is(err), "the code that was used: %v", err)
	_, err = w.SendCode(at, &half.MFAToken)
	assert.True(t, otp.ErrTooMany.Is(err), "one a minute: %v", err)
	w.advance(time.Minute)
	sent, err = w.SendCode(at, &half.MFAToken)
	require.NoError(t, err)
	full, err := w.VerifySecondFactor(at, half.MFAToken, ProofInput{Method: MethodSMS, Secret: w.sent.text().Params[0].Value, Challenge: &sent.Challenge})
	require.NoError(t, err)

	// An app beside it brings no further recovery codes and leaves when it must.
	_, more := w.withTotp(w.as(full.Access))
	assert.Empty(t, more)
	require.NoError(t, w.RemoveFactor(w.as(full.Access), stafffactor.MethodSms))
	own, err = w.OwnFactors(w.as(full.Access))
	require.NoError(t, err)
	assert.Equal(t, recoveryCodes, own.RecoveryCodes)

	// An administrator takes them all away.
	require.NoError(t, w.ResetFactors(w.admin(), p.ID))
	_, err = w.Authenticate(t.Context(), full.Access)
	assert.True(t, ErrSessionEnded.Is(err), "%v", err)
	w.login("li", staffPassword)
	assert.Zero(t, w.count(`SELECT count(*) FROM staff_factors`))
	assert.Zero(t, w.count(`SELECT coalesce(cardinality(recovery_codes), 0) FROM staff WHERE id = $1`, p.ID))
	require.NoError(t, w.ResetFactors(w.system(), p.ID), "the command line does it for the last administrator")
	admin, err := w.db.Platform.Staff.Query().Where(staff.Username(AdminUsername)).Only(w.system())
	require.NoError(t, err)
	assert.True(t, ErrOwnAccount.Is(w.ResetFactors(w.admin(), admin.ID)))
	w.person("weak", nil, everywhere("assistant"))
	assert.True(t, ErrBeyondOwn.Is(w.ResetFactors(w.signedIn("weak"), admin.ID)), "nobody takes a superior's away")
}

func wrongCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestFreshProof(t *testing.T) {
	w := newWorld(t)
	w.person("li", nil)
	ctx := w.signedIn("li")
	li := func() auth.Actor { return auth.Must(ctx) }
	assert.NoError(t, w.DemandProof(ctx, li(), false), "signing in counts")
	w.advance(6 * time.Minute)
	err := w.DemandProof(ctx, li(), false)
	require.True(t, ErrStepUpRequired.Is(err), "%v", err)
	assert.Equal(t, []string{MethodPassword}, apperr.From(err).Extra["methods"])
	_, err = w.StepUp(ctx, ProofInput{Method: MethodPassword, Secret: "not the password"})
	assert.True(t, ErrWrongPassword.Is(err), "%v", err)
	_, err = w.StepUp(ctx, ProofInput{Method: MethodTotp, Secret: "123456"})
	assert.True(t, ErrMethodNotCounted.Is(err), "%v", err)
	other := w.replica()
	require.Error(t, other.DemandProof(ctx, li(), false)) // remembered there
	_, err = w.StepUp(ctx, ProofInput{Method: MethodPassword, Secret: staffPassword})
	require.NoError(t, err)
	assert.NoError(t, w.DemandProof(ctx, li(), false))
	assert.NoError(t, other.DemandProof(ctx, li(), false), "on every replica at once")

	// With a second factor only that counts.
	w.RequireSecondFactor = true
	err = w.DemandProof(ctx, li(), false)
	assert.True(t, ErrSecondFactorRequired.Is(err), "%v", err)
	assert.NoError(t, w.DemandProof(ctx, li(), true), "else nobody could set up the first")
	phone, recovery := w.withTotp(ctx)
	assert.NoError(t, w.DemandProof(ctx, li(), false), "setting it up proves it")
	w.advance(6 * time.Minute)
	err = w.DemandProof(ctx, li(), false)
	require.True(t, ErrStepUpRequired.Is(err), "%v", err)
	assert.Equal(t, []string{MethodTotp, MethodRecovery}, apperr.From(err).Extra["methods"])
	_, err = w.StepUp(ctx, ProofInput{Method: MethodPassword, Secret: staffPassword})
	assert.True(t, ErrMethodNotCounted.Is(err), "%v", err)
	_, err = w.StepUp(ctx, ProofInput{Method: MethodTotp, Secret: phone.code()})
	require.NoError(t, err)
	assert.NoError(t, w.DemandProof(ctx, li(), false))
	w.advance(ProofLife)
	assert.NoError(t, w.DemandProof(ctx, li(), false), "to the last moment")
	w.advance(time.Microsecond)
	assert.Error(t, w.DemandProof(ctx, li(), false))
	_, err = w.StepUp(ctx, ProofInput{Method: MethodRecovery, Secret: recovery[0]})
	require.NoError(t, err)
	assert.NoError(t, w.DemandProof(ctx, li(), false))

	assert.NoError(t, w.DemandProof(ctx, auth.Actor{Kind: auth.KindAPIKey}, false), "machines are not asked")
	assert.Equal(t, 3, w.count(`SELECT count(*) FROM audit_logs WHERE action = 'auth.step_up'`))
}

func TestPasswordOfAnotherOpensOnlyTheOwnAccount(t *testing.T) {
	w := newWorld(t)
	p := w.person("li", nil)
	_, err := w.ResetPassword(w.admin(), p.ID, ref("thirteen iron gates"))
	require.NoError(t, err)
	ctx := w.as(w.login("li", "thirteen iron gates").Access)
	assert.True(t, ErrPasswordChangeRequired.Is(w.DemandOwnPassword(ctx, auth.Must(ctx))))
	require.NoError(t, w.ChangePassword(ctx, "thirteen iron gates", staffPassword))
	assert.NoError(t, w.DemandOwnPassword(ctx, auth.Must(ctx)), "the same session goes on")
	admin := w.admin()
	assert.NoError(t, w.DemandOwnPassword(admin, auth.Must(admin)), "the first administrator's password was given by the operator")
}
