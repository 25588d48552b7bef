package identity

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform/stafffactor"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// VerifySecondFactor (POST /v1/auth/mfa/verify)
func (a API) VerifySecondFactor(ctx context.Context, req identityapi.VerifySecondFactorRequestObject) (identityapi.VerifySecondFactorResponseObject, error) {
	in := ProofInput{Method: string(req.Body.Method), Secret: req.Body.Code, Challenge: req.Body.ChallengeId}
	p, err := a.Service.VerifySecondFactor(ctx, req.Body.MfaToken, in)
	if err != nil {
		return nil, err
	}
	return identityapi.VerifySecondFactor200JSONResponse(toAPISignIn(p)), nil
}

// GetSecondFactors (GET /v1/auth/mfa)
func (a API) GetSecondFactors(ctx context.Context, _ identityapi.GetSecondFactorsRequestObject) (identityapi.GetSecondFactorsResponseObject, error) {
	own, err := a.OwnFactors(ctx)
	if err != nil {
		return nil, err
	}
	body := identityapi.GetSecondFactors200JSONResponse{Required: a.RequireSecondFactor, RecoveryCodesLeft: int32(own.RecoveryCodes),
		Factors: make([]identityapi.SecondFactor, len(own.Factors)), Methods: make([]identityapi.ProofMethod, len(own.Methods)),
		FactorAt: orNullTime(own.Proof.At), FreshUntil: orNullTime(own.FreshUntil)}
	for i, f := range own.Factors {
		body.Factors[i] = identityapi.SecondFactor{Method: identityapi.EnrolledMethod(f.Method), Phone: orNullText(own.Phones[f.ID]),
			ConfirmedAt: *f.ConfirmedAt, LastUsedAt: opt.OrNull(f.LastUsedAt)}
	}
	for i, m := range own.Methods {
		body.Methods[i] = identityapi.ProofMethod(m)
	}
	return body, nil
}

// EnrolTotp (POST /v1/auth/mfa/totp)
func (a API) EnrolTotp(ctx context.Context, _ identityapi.EnrolTotpRequestObject) (identityapi.EnrolTotpResponseObject, error) {
	secret, url, err := a.Service.EnrolTotp(ctx)
	if err != nil {
		return nil, err
	}
	return identityapi.EnrolTotp200JSONResponse{Secret: secret, Url: url}, nil
}

// ConfirmTotp (POST /v1/auth/mfa/totp/confirm)
func (a API) ConfirmTotp(ctx context.Context, req identityapi.ConfirmTotpRequestObject) (identityapi.ConfirmTotpResponseObject, error) {
	codes, err := a.Confirm(ctx, stafffactor.MethodTotp, req.Body.Code, nil)
	if err != nil {
		return nil, err
	}
	return identityapi.ConfirmTotp200JSONResponse{RecoveryCodes: append([]string{}, codes...)}, nil
}

// EnrolSms (POST /v1/auth/mfa/sms)
func (a API) EnrolSms(ctx context.Context, req identityapi.EnrolSmsRequestObject) (identityapi.EnrolSmsResponseObject, error) {
	c, err := a.EnrolSMS(ctx, req.Body.Phone)
	if err != nil {
		return nil, err
	}
	return identityapi.EnrolSms200JSONResponse(toAPISentCode(c)), nil
}

// ConfirmSms (POST /v1/auth/mfa/sms/confirm)
func (a API) ConfirmSms(ctx context.Context, req identityapi.ConfirmSmsRequestObject) (identityapi.ConfirmSmsResponseObject, error) {
	codes, err := a.Confirm(ctx, stafffactor.MethodSms, req.Body.Code, req.Body.ChallengeId)
	if err != nil {
		return nil, err
	}
	return identityapi.ConfirmSms200JSONResponse{RecoveryCodes: append([]string{}, codes...)}, nil
}

// SendSecondFactorCode (POST /v1/auth/mfa/sms/send)
func (a API) SendSecondFactorCode(ctx context.Context, req identityapi.SendSecondFactorCodeRequestObject) (identityapi.SendSecondFactorCodeResponseObject, error) {
	c, err := a.SendCode(ctx, req.Body.MfaToken)
	if err != nil {
		return nil, err
	}
	return identityapi.SendSecondFactorCode200JSONResponse(toAPISentCode(c)), nil
}

// RenewRecoveryCodes (POST /v1/auth/mfa/recovery-codes)
func (a API) RenewRecoveryCodes(ctx context.Context, _ identityapi.RenewRecoveryCodesRequestObject) (identityapi.RenewRecoveryCodesResponseObject, error) {
	codes, err := a.Service.RenewRecoveryCodes(ctx)
	if err != nil {
		return nil, err
	}
	return identityapi.RenewRecoveryCodes200JSONResponse{RecoveryCodes: codes}, nil
}

// RemoveSecondFactor (DELETE /v1/auth/mfa/{method})
func (a API) RemoveSecondFactor(ctx context.Context, req identityapi.RemoveSecondFactorRequestObject) (identityapi.RemoveSecondFactorResponseObject, error) {
	if err := a.RemoveFactor(ctx, stafffactor.Method(req.Method)); err != nil {
		return nil, err
	}
	return identityapi.RemoveSecondFactor204Response{}, nil
}

// StepUp (POST /v1/auth/step-up)
func (a API) StepUp(ctx context.Context, req identityapi.StepUpRequestObject) (identityapi.StepUpResponseObject, error) {
	in := ProofInput{Method: string(req.Body.Method), Challenge: req.Body.ChallengeId}
	given := req.Body.Code
	if in.Method == MethodPassword {
		given = req.Body.Password
	}
	if given != nil {
		in.Secret = *given
	}
	at, err := a.Service.StepUp(ctx, in)
	if err != nil {
		return nil, err
	}
	return identityapi.StepUp200JSONResponse{FactorAt: at, FreshUntil: at.Add(ProofLife)}, nil
}

// RequestPasswordReset (POST /v1/auth/password-resets)
func (a API) RequestPasswordReset(ctx context.Context, req identityapi.RequestPasswordResetRequestObject) (identityapi.RequestPasswordResetResponseObject, error) {
	if err := a.RequestReset(ctx, req.Body.Username); err != nil {
		return nil, err
	}
	return identityapi.RequestPasswordReset202Response{}, nil
}

// ConfirmPasswordReset (POST /v1/auth/password-resets/confirm)
func (a API) ConfirmPasswordReset(ctx context.Context, req identityapi.ConfirmPasswordResetRequestObject) (identityapi.ConfirmPasswordResetResponseObject, error) {
	if err := a.ConfirmReset(ctx, req.Body.Token, req.Body.Password); err != nil {
		return nil, err
	}
	return identityapi.ConfirmPasswordReset204Response{}, nil
}

// ResetStaffFactors (DELETE /v1/staff/{id}/mfa)
func (a API) ResetStaffFactors(ctx context.Context, req identityapi.ResetStaffFactorsRequestObject) (identityapi.ResetStaffFactorsResponseObject, error) {
	if err := a.ResetFactors(ctx, req.Id); err != nil {
		return nil, err
	}
	return identityapi.ResetStaffFactors204Response{}, nil
}

func toAPISignIn(p SignIn) identityapi.LoginResult {
	if p.MFAToken != "" {
		methods := make([]identityapi.SecondMethod, len(p.Methods))
		for i, m := range p.Methods {
			methods[i] = identityapi.SecondMethod(m)
		}
		return identityapi.LoginResult{MfaRequired: true, MfaToken: &p.MFAToken, Methods: &methods}
	}
	bearer, seconds := identityapi.LoginTokenBearer, int32(p.ExpiresIn.Seconds())
	return identityapi.LoginResult{AccessToken: &p.Access, RefreshToken: &p.Refresh, TokenType: &bearer, ExpiresIn: &seconds,
		SessionId: &p.SessionID, MustChangePassword: &p.MustChangePassword, DeviceToken: &p.DeviceToken}
}

func toAPISentCode(c SentCode) identityapi.SentCode {
	return identityapi.SentCode{ChallengeId: c.Challenge, Phone: c.Phone, ExpiresAt: c.ExpiresAt, ResendAt: c.Another}
}

func orNullTime(t time.Time) nullable.Nullable[time.Time] {
	if t.IsZero() {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(t)
}

// kept is the session that signing out of the others leaves alone.
func kept(all *bool, current uuid.UUID) uuid.UUID {
	if all != nil && *all {
		return uuid.Nil
	}
	return current
}
