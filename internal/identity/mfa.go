package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/session"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/ent/platform/stafffactor"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/sms"
)

// Ways of proving who one is.
const (
	MethodPassword = "password"
	MethodTotp     = string(stafffactor.MethodTotp)
	MethodSMS      = string(stafffactor.MethodSms)
	MethodRecovery = "recovery_code"
)

const (
	recoveryCodes   = 10
	factorSecret    = "identity.factor"
	factorCode      = "staff.second_factor" // purpose of codes sent
	recoveryDomain  = "identity.recovery-code"
	defaultRegion   = "CN"
	recoveryLetters = 12
)

// own reads the signed-in person's account, whatever their scope.
// Error: auth.session_needed.
func (s *Service) own(ctx context.Context) (context.Context, auth.Actor, *platform.Staff, error) {
	actor, err := self(ctx)
	if err != nil {
		return nil, auth.Actor{}, nil, err
	}
	system := auth.System(ctx, "own-factors")
	account, err := s.DB.From(ctx).Platform.Staff.Get(system, actor.ID)
	return system, actor, account, err
}

func (s *Service) factors(ctx context.Context, staffID uuid.UUID) ([]*platform.StaffFactor, error) {
	return s.DB.From(ctx).Platform.StaffFactor.Query().
		Where(stafffactor.StaffID(staffID), stafffactor.ConfirmedAtNotNil()).Order(stafffactor.ByConfirmedAt()).All(auth.System(ctx, "second-factors"))
}

// secondMethods are the ways to go on with a sign-in.
func secondMethods(factors []*platform.StaffFactor, account *platform.Staff) []string {
	var out []string
	for _, f := range factors {
		out = append(out, string(f.Method))
	}
	if len(out) > 0 && len(account.RecoveryCodes) > 0 {
		out = append(out, MethodRecovery)
	}
	return out
}

// openFactor gives a factor's secret: the key of an app, or a phone.
func (s *Service) openFactor(f *platform.StaffFactor) ([]byte, error) {
	return s.Keys.OpenBlob(factorSecret, f.ID[:], f.SecretSealed)
}

// OwnFactors is what somebody has set up.
type OwnFactors struct {
	Factors       []*platform.StaffFactor
	Phones        map[uuid.UUID]string // masked, by factor
	RecoveryCodes int
	Methods       []string // what StepUp takes
	Proof         auth.Proof
	FreshUntil    time.Time // zero if the session is not fresh
}

// OwnFactors lists the caller's second factors.
// Error: auth.session_needed.
func (s *Service) OwnFactors(ctx context.Context) (OwnFactors, error) {
	_, actor, account, err := s.own(ctx)
	if err != nil {
		return OwnFactors{}, err
	}
	if actor, err = s.renewed(ctx, actor); err != nil {
		return OwnFactors{}, err
	}
	out := OwnFactors{RecoveryCodes: len(account.RecoveryCodes), Proof: actor.Proof, Methods: proofMethods(actor), Phones: map[uuid.UUID]string{}}
	if out.Factors, err = s.factors(ctx, account.ID); err != nil {
		return OwnFactors{}, err
	}
	for _, f := range out.Factors {
		if f.Method == stafffactor.MethodSms {
			phone, err := s.openFactor(f)
			if err != nil {
				return OwnFactors{}, err
			}
			out.Phones[f.ID] = pii.MaskPhone(string(phone))
		}
	}
	if s.freshProof(actor, true) {
		out.FreshUntil = actor.Proof.At.Add(ProofLife)
	}
	return out, nil
}

// EnrolTotp makes a secret for an authenticator app; it counts once confirmed.
// Errors: auth.session_needed, auth.factor_exists.
func (s *Service) EnrolTotp(ctx context.Context) (secret, url string, err error) {
	ctx, _, account, err := s.own(ctx)
	if err != nil {
		return "", "", err
	}
	raw := newTotpSecret()
	if _, err := s.enrol(ctx, account, stafffactor.MethodTotp, raw, nil); err != nil {
		return "", "", err
	}
	secret = base32Upper.EncodeToString(raw)
	return secret, totpURL(account.Username, secret), nil
}

// enrol keeps a factor that is not confirmed yet, in place of another such.
func (s *Service) enrol(ctx context.Context, account *platform.Staff, method stafffactor.Method, secret []byte, challenge *uuid.UUID) (*platform.StaffFactor, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *platform.StaffFactor
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx); err != nil {
			return err
		}
		exists, err := tx.Platform.StaffFactor.Query().
			Where(stafffactor.StaffID(account.ID), stafffactor.MethodEQ(method), stafffactor.ConfirmedAtNotNil()).Exist(ctx)
		if err != nil {
			return err
		}
		if exists {
			return ErrFactorExists.New()
		}
		_, err = tx.Platform.StaffFactor.Delete().Where(stafffactor.StaffID(account.ID), stafffactor.MethodEQ(method)).Exec(ctx)
		if err != nil {
			return err
		}
		made, err = tx.Platform.StaffFactor.Create().SetID(id).SetStaffID(account.ID).SetMethod(method).
			SetSecretSealed(s.Keys.SealBlob(factorSecret, id[:], secret)).SetNillableChallengeID(challenge).SetCreatedAt(s.Clock.Now()).Save(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("set up a second factor: %w", err)
	}
	return made, nil
}

// EnrolSMS sends a code to a phone, which counts once it was typed back.
// Errors: auth.session_needed, auth.factor_exists, auth.phone_invalid,
// codes.too_many, sms.*.
func (s *Service) EnrolSMS(ctx context.Context, phone string) (SentCode, error) {
	ctx, _, account, err := s.own(ctx)
	if err != nil {
		return SentCode{}, err
	}
	if _, err := s.Outside.NeedSMS(); err != nil {
		return SentCode{}, err // before anything is kept
	}
	parsed, err := pii.ParsePhone(phone, defaultRegion)
	if err != nil || parsed.Kind != pii.PhoneMobile {
		return SentCode{}, ErrPhoneInvalid.At("/phone")
	}
	f, err := s.enrol(ctx, account, stafffactor.MethodSms, []byte(parsed.E164), nil)
	if err != nil {
		return SentCode{}, err
	}
	return s.sendTo(ctx, account, f)
}

// SentCode is a code on its way.
type SentCode struct {
	Challenge          uuid.UUID
	Phone              string // masked
	ExpiresAt, Another time.Time
}

// sendTo sends a code to the phone of a factor. Its challenge becomes the one
// that is meant where none is named.
func (s *Service) sendTo(ctx context.Context, account *platform.Staff, f *platform.StaffFactor) (SentCode, error) {
	sender, err := s.Outside.NeedSMS()
	if err != nil {
		return SentCode{}, err
	}
	phone, err := s.openFactor(f)
	if err != nil {
		return SentCode{}, err
	}
	c, err := s.Codes.Issue(ctx, otp.Request{Purpose: factorCode, Subject: codeSubject(account.ID), IP: clientOf(ctx).IP})
	if err != nil {
		return SentCode{}, err
	}
	err = s.DB.From(ctx).Platform.StaffFactor.Update().Where(stafffactor.ID(f.ID)).SetChallengeID(c.ID).Exec(auth.System(ctx, "second-factors"))
	if err != nil {
		return SentCode{}, err
	}
	_, err = sender.Send(ctx, sms.Message{To: string(phone), Template: sms.SecondFactorCode, Ref: c.ID.String(),
		Params: []sms.Param{{Name: "code", Value: c.Code}, {Name: "minutes", Value: fmt.Sprint(int(otp.Life.Minutes()))}}})
	if err != nil && !sms.ErrUnknown.Is(err) { // it may well arrive then
		return SentCode{}, err
	}
	return SentCode{Challenge: c.ID, Phone: pii.MaskPhone(string(phone)), ExpiresAt: c.ExpiresAt, Another: c.ResendAt}, nil
}

// codeSubject keeps the limits of codes by account, not by phone: others who
// ask for codes to that phone do not use them up.
func codeSubject(staffID uuid.UUID) string { return "staff:" + staffID.String() }

// Confirm makes a factor count, by a code that it made or got, and is a proof
// for the session. The first factor brings recovery codes.
// Errors: auth.session_needed, auth.factor_not_found, auth.code_wrong, codes.expired.
func (s *Service) Confirm(ctx context.Context, method stafffactor.Method, code string, challenge *uuid.UUID) (recovery []string, err error) {
	ctx, actor, account, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	f, err := s.DB.From(ctx).Platform.StaffFactor.Query().
		Where(stafffactor.StaffID(account.ID), stafffactor.MethodEQ(method), stafffactor.ConfirmedAtIsNil()).Only(ctx)
	if platform.IsNotFound(err) {
		return nil, ErrFactorNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	var step int64
	if method == stafffactor.MethodTotp {
		secret, err := s.openFactor(f)
		if err != nil {
			return nil, err
		}
		var ok bool
		if step, ok = matchTotp(secret, typed(code), s.Clock.Now(), 0); !ok {
			return nil, ErrCodeWrong.At("/code")
		}
	} else if err := s.checkSent(ctx, f, code, challenge); err != nil {
		return nil, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		recovery = nil
		current, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		n, err := tx.Platform.StaffFactor.Update().Where(stafffactor.ID(f.ID), stafffactor.ConfirmedAtIsNil()).
			SetConfirmedAt(now).SetLastStep(step).SetLastUsedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrFactorNotFound.New() // another request was faster
		}
		if len(current.RecoveryCodes) == 0 {
			if recovery, err = s.newRecoveryCodes(ctx, tx, account.ID); err != nil {
				return err
			}
		}
		err = s.proved(ctx, tx, account.ID, actor.SessionID, true)
		if err != nil {
			return err
		}
		s.factorChanged(auth.With(ctx, actor), tx, account, "auth.factor_add", string(method))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("confirm a second factor: %w", err)
	}
	return recovery, nil
}

func (s *Service) factorChanged(ctx context.Context, tx *db.Tx, account *platform.Staff, action, method string) {
	happened(ctx, tx, eventStaffUpdated, audit.Entry{Action: action, ObjectType: "staff", StoreID: account.StoreID,
		Changes: map[string]any{"method": method}}, account.ID, map[string]any{"fields": []string{"second_factors"}})
	s.invalidate(ctx, tx, account.ID)
}

// RenewRecoveryCodes makes new recovery codes and voids the former ones.
// Errors: auth.session_needed, auth.factor_not_found without a second factor.
func (s *Service) RenewRecoveryCodes(ctx context.Context) (codes []string, err error) {
	ctx, actor, account, err := s.own(ctx)
	if err != nil {
		return nil, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx); err != nil {
			return err
		}
		has, err := tx.Platform.StaffFactor.Query().Where(stafffactor.StaffID(account.ID), stafffactor.ConfirmedAtNotNil()).Exist(ctx)
		if err != nil {
			return err
		}
		if !has {
			return ErrFactorNotFound.New()
		}
		if codes, err = s.newRecoveryCodes(ctx, tx, account.ID); err != nil {
			return err
		}
		s.factorChanged(auth.With(ctx, actor), tx, account, "auth.recovery_codes_renew", MethodRecovery)
		return nil
	})
	return codes, err
}

func (s *Service) newRecoveryCodes(ctx context.Context, tx *db.Tx, staffID uuid.UUID) ([]string, error) {
	codes, hashes := make([]string, recoveryCodes), make(pgarray.Strings, recoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		hashes[i] = s.recoveryHash(staffID, codes[i])
	}
	return codes, tx.Platform.Staff.Update().Where(staff.ID(staffID)).SetRecoveryCodes(hashes).Exec(ctx)
}

// newRecoveryCode has 59 random bits: k3vq-m7xw-pd2h.
func newRecoveryCode() string {
	var b strings.Builder
	for i := range recoveryLetters {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passwordAlphabet[randomBelow(len(passwordAlphabet))])
	}
	return b.String()
}

func (s *Service) recoveryHash(staffID uuid.UUID, code string) string {
	key := s.Keys.Derive(recoveryDomain)
	m := hmac.New(sha256.New, key[:])
	m.Write(staffID[:])
	m.Write([]byte(typed(code)))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// typed is a code without what people type around it.
func typed(code string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '-':
			return -1
		case r >= '０' && r <= '９':
			return r - '０' + '0' // an input method's full-width digits
		}
		return unicode.ToLower(r)
	}, code)
}

// RemoveFactor takes an own second factor away; the recovery codes go with the
// last one.
// Errors: auth.session_needed, auth.factor_not_found.
func (s *Service) RemoveFactor(ctx context.Context, method stafffactor.Method) error {
	ctx, actor, account, err := s.own(ctx)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Platform.Staff.Query().Where(staff.ID(account.ID)).ForUpdate().Only(ctx); err != nil {
			return err
		}
		n, err := tx.Platform.StaffFactor.Delete().
			Where(stafffactor.StaffID(account.ID), stafffactor.MethodEQ(method), stafffactor.ConfirmedAtNotNil()).Exec(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrFactorNotFound.New()
		}
		left, err := tx.Platform.StaffFactor.Query().Where(stafffactor.StaffID(account.ID), stafffactor.ConfirmedAtNotNil()).Exist(ctx)
		if err != nil {
			return err
		}
		if !left {
			if err := tx.Platform.Staff.Update().Where(staff.ID(account.ID)).ClearRecoveryCodes().Exec(ctx); err != nil {
				return err
			}
		}
		s.factorChanged(auth.With(ctx, actor), tx, account, "auth.factor_remove", string(method))
		return nil
	})
}

// ResetFactors takes all second factors of somebody else away, who has lost
// them, and ends their sessions.
// Errors: staff.not_found, staff.own_account, staff.beyond_own_rights.
func (s *Service) ResetFactors(ctx context.Context, id uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		target, err := s.lockForeign(ctx, tx, id)
		if err != nil {
			return err
		}
		system := auth.System(ctx, "second-factors")
		if _, err := tx.Platform.StaffFactor.Delete().Where(stafffactor.StaffID(id)).Exec(system); err != nil {
			return err
		}
		if err := tx.Platform.Staff.UpdateOne(target).ClearRecoveryCodes().Exec(ctx); err != nil {
			return err
		}
		s.factorChanged(ctx, tx, target, "staff.reset_factors", "all")
		return s.end(ctx, tx, target, nil, uuid.Nil, "factors_reset")
	})
}

// proved notes that a session's person has just proved who they are.
func (s *Service) proved(ctx context.Context, tx *db.Tx, staffID, sessionID uuid.UUID, second bool) error {
	level := session.FactorLevelPassword
	if second {
		level = session.FactorLevelSecond
	}
	err := tx.Platform.Session.Update().Where(session.ID(sessionID), session.StaffID(staffID)).
		SetFactorAt(s.Clock.Now()).SetFactorLevel(level).Exec(auth.System(ctx, "own-factors"))
	if err != nil {
		return err
	}
	s.invalidate(ctx, tx, staffID)
	return nil
}

// checkSent judges a code that was sent to a factor's phone.
func (s *Service) checkSent(ctx context.Context, f *platform.StaffFactor, code string, challenge *uuid.UUID) error {
	if challenge == nil {
		challenge = f.ChallengeID
	}
	if challenge == nil {
		return otp.ErrSpent.At("/code")
	}
	err := s.Codes.Check(ctx, *challenge, factorCode, codeSubject(f.StaffID), typed(code))
	switch {
	case otp.ErrWrong.Is(err):
		return ErrCodeWrong.At("/code")
	case otp.ErrSpent.Is(err):
		return otp.ErrSpent.At("/code")
	}
	return err
}

// errNotThis: the account has no such factor.
var errNotThis = errors.New("identity: no such factor")

// find gives the confirmed factor of a method.
func find(factors []*platform.StaffFactor, method string) (*platform.StaffFactor, error) {
	i := slices.IndexFunc(factors, func(f *platform.StaffFactor) bool { return string(f.Method) == method })
	if i < 0 {
		return nil, errNotThis
	}
	return factors[i], nil
}
