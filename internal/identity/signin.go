package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/session"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// maxSessions bounds the live sessions of one account; the oldest end first.
const maxSessions = 100

// errChanged: the account changed between the look at the password and the
// session; the caller is told the same as for a wrong password.
var errChanged = errors.New("identity: the account changed during sign-in")

// SignIn is what signing in gives: tokens, or what to go on with.
type SignIn struct {
	TokenPair
	DeviceToken string   // with tokens: for the next sign-ins on this device
	MFAToken    string   // instead of tokens: for VerifySecondFactor
	Methods     []string // with MFAToken
}

// Login checks a password and opens a session, or asks for a second factor. An
// unknown user name costs the same time and gets the same answer as a wrong
// password.
// Errors: auth.invalid_credentials, auth.too_many_attempts, auth.account_disabled.
func (s *Service) Login(ctx context.Context, username, secret string) (SignIn, error) {
	ctx = auth.System(ctx, "sign-in") // nobody is signed in yet
	username = normalUsername(username)
	account, err := s.DB.From(ctx).Platform.Staff.Query().Where(staff.Username(username)).Only(ctx)
	if err != nil && !platform.IsNotFound(err) {
		return SignIn{}, fmt.Errorf("sign in: %w", err)
	}
	counts, err := s.admitAttempt(ctx, username, account)
	if err != nil {
		return SignIn{}, err
	}
	good, weak, err := checkPassword(ctx, account, secret)
	switch {
	case err != nil:
		return SignIn{}, fmt.Errorf("check a password: %w", err)
	case !good:
		return SignIn{}, s.refuse(ctx, account, "wrong_password", ErrInvalidCredentials.New())
	case account.Status != staff.StatusActive:
		return SignIn{}, s.refuse(ctx, account, "disabled", ErrDisabled.New())
	}
	s.throttle.forget(ctx, counts...)
	if weak { // hashed with lesser parameters than today's
		if err := s.rehash(ctx, account, secret); err != nil {
			return SignIn{}, err
		}
	}
	factors, err := s.factors(ctx, account.ID)
	if err != nil {
		return SignIn{}, err
	}
	if len(factors) > 0 {
		return SignIn{MFAToken: s.mfaToken(ctx, account), Methods: secondMethods(factors, account)}, nil
	}
	return s.open(ctx, account, parseDevice(s.Keys, clientOf(ctx).Device), false)
}

// rehash stores a password with today's parameters, unless it was replaced
// meanwhile.
func (s *Service) rehash(ctx context.Context, account *platform.Staff, secret string) error {
	better, err := password.Hash(ctx, secret)
	if err != nil {
		return fmt.Errorf("hash a password: %w", err)
	}
	n, err := s.DB.From(ctx).Platform.Staff.Update().Where(staff.ID(account.ID), staff.PasswordHash(account.PasswordHash)).SetPasswordHash(better).Save(ctx)
	if err == nil && n > 0 {
		account.PasswordHash = better
	}
	return err
}

// open opens the session of somebody who has proved who they are.
func (s *Service) open(ctx context.Context, account *platform.Staff, device uuid.UUID, second bool) (SignIn, error) {
	if device == uuid.Nil {
		device = uuid.New()
	}
	pair, err := s.openSession(ctx, account, device, second)
	if errors.Is(err, errChanged) {
		return SignIn{}, s.refuse(ctx, account, "changed", ErrInvalidCredentials.Wrap(err))
	}
	if err != nil {
		return SignIn{}, err
	}
	return SignIn{TokenPair: pair, DeviceToken: deviceToken(s.Keys, device)}, nil
}

// mfaLife is how long a sign-in waits for its second factor.
const (
	mfaLife    = 5 * time.Minute
	mfaPurpose = "identity.mfa-token"
)

// halfway is a sign-in that waits for its second factor. It holds for one
// account with this very password, and for the program that began it.
type halfway struct {
	Staff    uuid.UUID `json:"s"`
	Until    time.Time `json:"t"`
	Password []byte    `json:"p"`
	Program  []byte    `json:"u"`
	Device   uuid.UUID `json:"d,omitzero"`
}

func (s *Service) mfaToken(ctx context.Context, account *platform.Staff) string {
	client := clientOf(ctx)
	raw, err := json.Marshal(halfway{Staff: account.ID, Until: s.Clock.Now().Add(mfaLife), Password: token.Hash(account.PasswordHash)[:16],
		Program: token.Hash(client.UserAgent)[:16], Device: parseDevice(s.Keys, client.Device)})
	if err != nil {
		panic(err) // a plain struct of ours
	}
	return base64.RawURLEncoding.EncodeToString(s.Keys.SealBlob(mfaPurpose, nil, raw))
}

// goOn reads an mfa token and its account.
// Errors: auth.mfa_token_invalid, auth.account_disabled.
func (s *Service) goOn(ctx context.Context, text string) (*platform.Staff, halfway, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, halfway{}, ErrMFATokenInvalid.Wrap(err)
	}
	raw, err := s.Keys.OpenBlob(mfaPurpose, nil, sealed)
	if err != nil {
		return nil, halfway{}, ErrMFATokenInvalid.Wrap(err)
	}
	var h halfway
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, halfway{}, ErrMFATokenInvalid.Wrap(err)
	}
	if !s.Clock.Now().Before(h.Until) || !token.SameHash(h.Program, token.Hash(clientOf(ctx).UserAgent)[:16]) {
		return nil, halfway{}, ErrMFATokenInvalid.New()
	}
	account, err := s.DB.From(ctx).Platform.Staff.Get(ctx, h.Staff)
	switch {
	case platform.IsNotFound(err):
		return nil, halfway{}, ErrMFATokenInvalid.New()
	case err != nil:
		return nil, halfway{}, err
	case !token.SameHash(h.Password, token.Hash(account.PasswordHash)[:16]):
		return nil, halfway{}, ErrMFATokenInvalid.New()
	case account.Status != staff.StatusActive:
		return nil, halfway{}, ErrDisabled.New()
	}
	return account, h, nil
}

// VerifySecondFactor completes a sign-in.
// Errors: auth.mfa_token_invalid, auth.account_disabled, auth.code_wrong,
// codes.expired, auth.method_not_counted, auth.too_many_attempts.
func (s *Service) VerifySecondFactor(ctx context.Context, mfaToken string, in ProofInput) (SignIn, error) {
	ctx = auth.System(ctx, "sign-in") // nobody is signed in yet
	account, h, err := s.goOn(ctx, mfaToken)
	if err != nil {
		return SignIn{}, err
	}
	factors, err := s.factors(ctx, account.ID)
	if err != nil {
		return SignIn{}, err
	}
	known := false
	if h.Device != uuid.Nil {
		if known, err = s.knowsDevice(ctx, account.ID, h.Device); err != nil {
			return SignIn{}, err
		}
	}
	if err := s.prove(ctx, account, factors, in, known); err != nil {
		return SignIn{}, err
	}
	return s.open(ctx, account, h.Device, true)
}

// SendCode sends a code to the phone that somebody has set up: to go on with a
// sign-in by its token, or within a session without one.
// Errors: auth.mfa_token_invalid, auth.unauthenticated, auth.session_needed,
// auth.factor_not_found, codes.too_many, sms.*.
func (s *Service) SendCode(ctx context.Context, mfaToken *string) (SentCode, error) {
	var account *platform.Staff
	var err error
	if mfaToken != nil {
		ctx = auth.System(ctx, "sign-in")
		account, _, err = s.goOn(ctx, *mfaToken)
	} else {
		if _, err := auth.From(ctx); err != nil {
			return SentCode{}, apperr.ErrUnauthenticated.New()
		}
		ctx, _, account, err = s.own(ctx)
	}
	if err != nil {
		return SentCode{}, err
	}
	factors, err := s.factors(ctx, account.ID)
	if err != nil {
		return SentCode{}, err
	}
	f, err := find(factors, MethodSMS)
	if err != nil {
		return SentCode{}, ErrFactorNotFound.New()
	}
	return s.sendTo(ctx, account, f)
}

// admitAttempt counts an attempt and puts it off when there were too many. It
// returns the counts that a success takes back.
//
// A device that the account has signed in on is counted by itself: nothing that
// others do puts it off. Any other attempt counts for the address with the
// account, and for the account from everywhere; the latter does not hold up an
// address that the account has signed in from.
func (s *Service) admitAttempt(ctx context.Context, username string, account *platform.Staff) ([]string, error) {
	var id uuid.UUID // of nobody
	if account != nil {
		id = account.ID
	}
	device, known, err := s.device(ctx, id)
	if err != nil {
		return nil, err
	}
	if known {
		return s.admitKnown(ctx, s.throttle.name("device", username, device.String()))
	}
	ip := clientOf(ctx).IP
	counts := []string{s.throttle.name("address", username, ip), s.throttle.name("account", username)}
	if wait := s.throttle.attempt(ctx, counts[0], perAddress); wait > 0 {
		return nil, tooMany(wait)
	}
	wait := s.throttle.attempt(ctx, counts[1], perAccount)
	if wait == 0 {
		return counts, nil
	}
	if account != nil && ip != "" {
		known, err := s.knowsAddress(ctx, account.ID, ip)
		if err != nil {
			return nil, err
		}
		if known {
			return counts, nil // a stranger's guesses do not keep the owner out
		}
	}
	return nil, tooMany(wait)
}

// admitSession counts an attempt at the password of somebody who is signed in,
// by the session's account and nothing that others could use up.
func (s *Service) admitSession(ctx context.Context, account *platform.Staff) ([]string, error) {
	return s.admitKnown(ctx, s.throttle.name("session", account.ID.String()))
}

func (s *Service) admitKnown(ctx context.Context, count string) ([]string, error) {
	if wait := s.throttle.attempt(ctx, count, perAddress); wait > 0 {
		return nil, tooMany(wait)
	}
	return []string{count}, nil
}

func tooMany(wait time.Duration) error {
	return ErrTooManyAttempts.New().Arg("retry_after", int(math.Ceil(wait.Seconds())))
}

func checkPassword(ctx context.Context, account *platform.Staff, secret string) (good, weak bool, err error) {
	if account == nil {
		return false, false, password.Dummy(ctx, secret)
	}
	return password.Verify(ctx, account.PasswordHash, secret)
}

// refuse notes a failed sign-in and returns the answer. The user name typed is
// not noted: people type passwords there.
func (s *Service) refuse(ctx context.Context, account *platform.Staff, reason string, answer error) error {
	client := clientOf(ctx)
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		e := audit.Entry{Action: "auth.sign_in_failed", ObjectType: "staff", ObjectID: "unknown",
			Changes: map[string]any{"reason": reason, "ip": client.IP, "user_agent": client.UserAgent}}
		if account != nil {
			e.ObjectID, e.StoreID = account.ID.String(), account.StoreID
		}
		audit.Record(ctx, tx, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("note a failed sign-in: %w", err)
	}
	return answer
}

// openSession writes the session if the account is still as it was when its
// password was checked.
func (s *Service) openSession(ctx context.Context, account *platform.Staff, device uuid.UUID, second bool) (TokenPair, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return TokenPair{}, err
	}
	refresh := token.Staff.NewRefresh(s.Keys, id)
	client, now := clientOf(ctx), s.Clock.Now()
	level := session.FactorLevelPassword
	if second {
		level = session.FactorLevelSecond
	}
	var strange []string
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		current, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if current.PasswordHash != account.PasswordHash || current.Status != staff.StatusActive {
			return errChanged
		}
		earlier, err := tracesOf(ctx, tx, account.ID)
		if err != nil {
			return err
		}
		strange = unfamiliar(earlier, trace{device, client.UserAgent, client.IP})
		err = tx.Platform.Session.Create().SetID(id).SetStaffID(account.ID).SetRefreshHash(token.Hash(refresh)).
			SetUserAgent(client.UserAgent).SetIP(client.IP).SetDeviceID(device).SetFactorAt(now).SetFactorLevel(level).
			SetCreatedAt(now).SetLastUsedAt(now).SetExpiresAt(now.Add(token.SessionLife)).Exec(ctx)
		if err != nil {
			return err
		}
		surplus, err := surplusSessions(ctx, tx, account.ID, maxSessions, now)
		if err != nil {
			return err
		}
		ctx = auth.With(ctx, auth.Actor{Kind: auth.KindStaff, ID: account.ID, Name: account.Username, SessionID: id})
		sessionsEnded(ctx, tx, account.ID, account.StoreID, surplus, "too_many")
		happened(ctx, tx, eventSessionCreated, audit.Entry{Action: "auth.sign_in", ObjectType: "session", StoreID: account.StoreID,
			Changes: map[string]any{"ip": client.IP, "user_agent": client.UserAgent, "second_factor": second}}, id, map[string]any{"staff_id": account.ID})
		if len(strange) > 0 {
			happened(ctx, tx, eventNewDevice, audit.Entry{Action: "auth.sign_in_from_new_device", ObjectType: "staff", StoreID: account.StoreID,
				Changes: map[string]any{"new": strange, "device": deviceLabel(client.UserAgent), "place": s.where(client.IP), "session_id": id}}, account.ID,
				map[string]any{"session_id": id, "new": strange})
			tx.AfterCommit(func(context.Context) { s.warnOfSignIn(account, client, now) })
		}
		s.invalidate(ctx, tx, account.ID)
		return nil
	})
	if err != nil {
		return TokenPair{}, fmt.Errorf("open a session: %w", err)
	}
	return s.pair(account.ID, id, refresh, account.MustChangePassword)
}
