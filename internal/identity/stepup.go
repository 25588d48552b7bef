package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/stafffactor"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/password"
	"github.com/shuke-crm/shuke/internal/platform/principals"
)

// ProofLife is how long a proof of who is there is fresh.
const ProofLife = 5 * time.Minute

// A guess at an app's code is right with 3e-6, since the codes of three steps
// count. So 30 guesses an hour keep the chance below 1e-4, however many are
// made. A device that the account has been used on has guesses of its own:
// whoever has learnt the password and guesses elsewhere does not use them up.
const (
	triesWindow  = time.Hour
	triesUnknown = 20
	triesKnown   = 10
)

// proofMethods are the ways for somebody to prove again who they are.
func proofMethods(actor auth.Actor) []string {
	if len(actor.Factors) == 0 {
		return []string{MethodPassword}
	}
	return append(append([]string{}, actor.Factors...), MethodRecovery)
}

// freshProof reports whether a session's proof counts now. For one's own
// account the password does where there is no second factor, even if the
// business demands one: else nobody could set up the first.
func (s *Service) freshProof(actor auth.Actor, ownAccount bool) bool {
	p := actor.Proof
	if p.At.IsZero() || s.Clock.Now().Sub(p.At) > ProofLife {
		return false
	}
	return p.Second || len(actor.Factors) == 0 && (ownAccount || !s.RequireSecondFactor)
}

// DemandProof refuses an operation that asks for a fresh proof to a person
// whose session has none. Machines have no person to ask: their rights were
// given to them under a fresh proof.
// Errors: auth.step_up_required, auth.second_factor_required.
func (s *Service) DemandProof(ctx context.Context, actor auth.Actor, ownAccount bool) error {
	if actor.Kind != auth.KindStaff || s.freshProof(actor, ownAccount) {
		return nil
	}
	actor, err := s.renewed(ctx, actor) // the proof may be younger than what this process remembers
	if err != nil {
		return err
	}
	if s.freshProof(actor, ownAccount) {
		return nil
	}
	if len(actor.Factors) == 0 && s.RequireSecondFactor && !ownAccount {
		return ErrSecondFactorRequired.New()
	}
	return ErrStepUpRequired.New().With("methods", proofMethods(actor))
}

// DemandOwnPassword refuses everything to a person whose password somebody
// else has set, until they have chosen one.
// Error: auth.password_change_required.
func (s *Service) DemandOwnPassword(ctx context.Context, actor auth.Actor) error {
	if actor.Kind != auth.KindStaff || !actor.MustChangePassword {
		return nil
	}
	actor, err := s.renewed(ctx, actor)
	if err != nil {
		return err
	}
	if actor.MustChangePassword {
		return ErrPasswordChangeRequired.New()
	}
	return nil
}

// renewed is a person as PostgreSQL knows them now.
// Error: auth.session_ended.
func (s *Service) renewed(ctx context.Context, actor auth.Actor) (auth.Actor, error) {
	load := func(ctx context.Context) (*principals.Principal, error) { return s.loadStaff(ctx, actor.ID) }
	if _, err := s.principals.Fetch(ctx, actor.ID, load, true); err != nil {
		return auth.Actor{}, err
	}
	now, _, err := s.principals.OfSession(ctx, actor.ID, actor.SessionID, load)
	if err != nil {
		return auth.Actor{}, err
	}
	if now.Kind == "" {
		return auth.Actor{}, ErrSessionEnded.New()
	}
	return now, nil
}

// ProofInput is how somebody proves who they are.
type ProofInput struct {
	Method    string
	Secret    string     // code or password
	Challenge *uuid.UUID // which code sent is meant; nil for the newest
}

// StepUp takes a proof and makes the session fresh.
// Errors: auth.session_needed, auth.method_not_counted, auth.wrong_password,
// auth.code_wrong, codes.expired, auth.too_many_attempts.
func (s *Service) StepUp(ctx context.Context, in ProofInput) (time.Time, error) {
	system, actor, account, err := s.own(ctx)
	if err != nil {
		return time.Time{}, err
	}
	factors, err := s.factors(ctx, account.ID)
	if err != nil {
		return time.Time{}, err
	}
	if (in.Method == MethodPassword) != (len(factors) == 0) {
		return time.Time{}, ErrMethodNotCounted.At("/method")
	}
	if in.Method == MethodPassword {
		err = s.provePassword(ctx, account, in.Secret)
	} else {
		err = s.prove(system, account, factors, in, true)
	}
	if err != nil {
		return time.Time{}, err
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "auth.step_up", ObjectType: "session", ObjectID: actor.SessionID.String(), StoreID: account.StoreID,
			Changes: map[string]any{"method": in.Method}})
		return s.proved(ctx, tx, account.ID, actor.SessionID, len(factors) > 0)
	})
	return s.Clock.Now(), err
}

// provePassword checks the password of somebody who is signed in: a stolen
// access token must not become a way to guess it.
func (s *Service) provePassword(ctx context.Context, account *platform.Staff, secret string) error {
	counts, err := s.admitSession(ctx, account)
	if err != nil {
		return err
	}
	good, _, err := password.Verify(ctx, account.PasswordHash, secret)
	if err != nil {
		return fmt.Errorf("check a password: %w", err)
	}
	if !good {
		return s.refuse(auth.System(ctx, "step-up"), account, "wrong_password", ErrWrongPassword.At("/password"))
	}
	s.throttle.forget(ctx, counts...)
	return nil
}

// prove judges a second factor. The guess is written down before it is looked
// at, so that parallel ones and lost caches gain nothing.
func (s *Service) prove(ctx context.Context, account *platform.Staff, factors []*platform.StaffFactor, in ProofInput, known bool) error {
	try, wait, err := s.writeTry(ctx, account.ID, known)
	if err != nil {
		return fmt.Errorf("count a guess: %w", err)
	}
	if wait > 0 {
		return tooMany(wait)
	}
	err = s.judge(ctx, account, factors, in)
	switch {
	case err == nil:
		return s.takeBack(ctx, try)
	case errors.Is(err, errNotThis):
		if err := s.takeBack(ctx, try); err != nil { // nothing was guessed at
			return err
		}
		return ErrMethodNotCounted.At("/method")
	case ErrCodeWrong.Is(err):
		return s.refuse(ctx, account, "wrong_code", err)
	}
	return err
}

func (s *Service) judge(ctx context.Context, account *platform.Staff, factors []*platform.StaffFactor, in ProofInput) error {
	if in.Method == MethodRecovery {
		if len(factors) == 0 {
			return errNotThis
		}
		used, err := s.spendRecoveryCode(ctx, account.ID, s.recoveryHash(account.ID, in.Secret))
		if err == nil && !used {
			err = ErrCodeWrong.At("/code")
		}
		return err
	}
	f, err := find(factors, in.Method)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	if f.Method == stafffactor.MethodSms {
		if err := s.checkSent(ctx, f, in.Secret, in.Challenge); err != nil {
			return err
		}
		return s.DB.From(ctx).Platform.StaffFactor.Update().Where(stafffactor.ID(f.ID)).SetLastUsedAt(now).Exec(ctx)
	}
	secret, err := s.openFactor(f)
	if err != nil {
		return err
	}
	step, ok := matchTotp(secret, typed(in.Secret), now, f.LastStep)
	if !ok {
		return ErrCodeWrong.At("/code")
	}
	// Of two requests with one code the row lets one through.
	n, err := s.DB.From(ctx).Platform.StaffFactor.Update().Where(stafffactor.ID(f.ID), stafffactor.LastStepLT(step)).
		SetLastStep(step).SetLastUsedAt(now).Save(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrCodeWrong.At("/code")
	}
	return nil
}
