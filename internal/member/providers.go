package member

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customeridentity"
	"github.com/shuke-crm/shuke/ent/crm/membersession"
	"github.com/shuke-crm/shuke/internal/platform/oidc"
	"github.com/shuke-crm/shuke/internal/platform/otp"
	"github.com/shuke-crm/shuke/internal/platform/pii"
	"github.com/shuke-crm/shuke/internal/platform/sms"
	"github.com/shuke-crm/shuke/internal/platform/wechat"
)

// codePurposes are what codes by text message are for, as one_time_codes knows them.
var codePurposes = map[string]string{"sign_in": "member.sign_in", "link": "member.link"}

// mobile is the E.164 form of a number that can receive text messages.
// Error: member.phone_invalid.
func mobile(raw string) (string, error) {
	p, err := pii.ParsePhone(raw, "")
	if err != nil || p.Kind == "landline" {
		return "", ErrPhone.At("/phone")
	}
	return p.E164, nil
}

// SendCode sends a code by text message. Known and unknown numbers are treated
// alike: whoever has a number may become a member by it.
// Errors: member.phone_invalid, codes.too_many, those of package sms.
func (s *Service) SendCode(ctx context.Context, phone, purpose, deviceID string) (otp.Challenge, error) {
	number, err := mobile(phone)
	if err != nil {
		return otp.Challenge{}, err
	}
	sender, err := s.Outside.NeedSMS()
	if err != nil {
		return otp.Challenge{}, err
	}
	made, err := s.Codes.Issue(ctx, otp.Request{Purpose: codePurposes[purpose], Subject: number, Device: deviceID, IP: deviceOf(ctx).IP})
	if err != nil {
		return otp.Challenge{}, err
	}
	_, err = sender.Send(ctx, sms.Message{To: number, Template: sms.SignInCode, Ref: made.ID.String(),
		Params: []sms.Param{{Name: "code", Value: made.Code}, {Name: "minutes", Value: strconv.Itoa(int(otp.Life / time.Minute))}}})
	if err != nil && !sms.ErrUnknown.Is(err) { // it may still arrive
		return otp.Challenge{}, err
	}
	return made, nil
}

// phoneProof spends a code that was sent by text message.
// Errors: codes.wrong, codes.expired, member.phone_invalid, member.other_device.
func (s *Service) phoneProof(ctx context.Context, purpose string, challenge uuid.UUID, phone, code, deviceID string) (proof, error) {
	number, err := mobile(phone)
	if err != nil {
		return proof{}, err
	}
	return s.exchange(ctx, "sms", challenge.String()+" "+number+" "+code, deviceID, func(ctx context.Context) (proof, error) {
		if err := s.Codes.Check(ctx, challenge, codePurposes[purpose], number, code); err != nil {
			return proof{}, err
		}
		return proof{Provider: customeridentity.ProviderPhone, Subject: number, Phone: number}, nil
	})
}

// miniProof spends the code of wx.login.
func (s *Service) miniProof(ctx context.Context, code, deviceID string) (proof, error) {
	app, err := s.Outside.NeedMini()
	if err != nil {
		return proof{}, err
	}
	return s.exchange(ctx, "mini "+app.AppID(), code, deviceID, func(ctx context.Context) (proof, error) {
		who, err := app.CodeToSession(ctx, code)
		return proof{Provider: customeridentity.ProviderWechatMini, App: app.AppID(), Subject: who.OpenID, UnionID: who.UnionID}, err
	})
}

// officialProof spends the code that a browser inside WeChat came back with.
func (s *Service) officialProof(ctx context.Context, code, state, deviceID string) (proof, error) {
	app, err := s.Outside.NeedOfficial()
	if err != nil {
		return proof{}, err
	}
	if !s.ownState(app.AppID(), state, deviceID) {
		return proof{}, ErrState.At("/state")
	}
	return s.exchange(ctx, "official "+app.AppID(), code, deviceID, func(ctx context.Context) (proof, error) {
		who, err := app.OAuth(ctx, code)
		return proof{Provider: customeridentity.ProviderWechatOfficial, App: app.AppID(), Subject: who.OpenID, UnionID: who.UnionID}, err
	})
}

// oidcProof spends the code of an OpenID Connect provider.
func (s *Service) oidcProof(ctx context.Context, name, code, state, deviceID string) (proof, error) {
	provider, err := s.Outside.NeedOIDC(name)
	if err != nil {
		return proof{}, err
	}
	begun, err := s.readState("oidc "+name, state, deviceID)
	if err != nil {
		return proof{}, err
	}
	return s.exchange(ctx, "oidc "+name, code, deviceID, func(ctx context.Context) (proof, error) {
		who, err := provider.Exchange(ctx, code, begun.Nonce, begun.Verifier)
		p := proof{Provider: customeridentity.ProviderOidc, App: name, Subject: who.Subject, Name: who.Name}
		if who.EmailVerified {
			p.Email = who.Email
		}
		if who.PhoneVerified {
			p.Phone = who.Phone
		}
		return p, err
	})
}

// SignInByPhone signs in by a code from a text message.
func (s *Service) SignInByPhone(ctx context.Context, challenge uuid.UUID, phone, code string, in Entry) (SignedIn, error) {
	p, err := s.phoneProof(ctx, "sign_in", challenge, phone, code, in.DeviceID)
	if err != nil {
		return SignedIn{}, err
	}
	return s.enter(ctx, p, in)
}

// SignInByMini signs in by the code of wx.login.
func (s *Service) SignInByMini(ctx context.Context, code string, in Entry) (SignedIn, error) {
	p, err := s.miniProof(ctx, code, in.DeviceID)
	if err != nil {
		return SignedIn{}, err
	}
	return s.enter(ctx, p, in)
}

// SignInByOfficial signs in by an official account.
func (s *Service) SignInByOfficial(ctx context.Context, code, state string, in Entry) (SignedIn, error) {
	p, err := s.officialProof(ctx, code, state, in.DeviceID)
	if err != nil {
		return SignedIn{}, err
	}
	return s.enter(ctx, p, in)
}

// SignInByOIDC signs in by an OpenID Connect provider.
func (s *Service) SignInByOIDC(ctx context.Context, name, code, state string, in Entry) (SignedIn, error) {
	p, err := s.oidcProof(ctx, name, code, state, in.DeviceID)
	if err != nil {
		return SignedIn{}, err
	}
	return s.enter(ctx, p, in)
}

// BindMiniPhone spends the code of the mini-program's phone button for the
// signed-in member.
// Errors: those of linkProof and package wechat.
func (s *Service) BindMiniPhone(ctx context.Context, code string) (Linked, error) {
	app, err := s.Outside.NeedMini()
	if err != nil {
		return Linked{}, err
	}
	actor, err := self(ctx)
	if err != nil {
		return Linked{}, err
	}
	// The device is the session's: another member's session cannot pick it up.
	p, err := s.exchange(ctx, "mini phone "+app.AppID(), code, "session "+actor.SessionID.String(), func(ctx context.Context) (proof, error) {
		number, err := app.PhoneNumber(ctx, code)
		return proof{Provider: customeridentity.ProviderPhone, Subject: number, Phone: number}, err
	})
	if err != nil {
		return Linked{}, err
	}
	return s.linkProof(ctx, p)
}

// LinkInput is a proof of an identity that a signed-in member wants to link.
type LinkInput struct {
	Provider     Provider
	ProviderName string // of OpenID Connect
	Code         string
	State        string
	Challenge    uuid.UUID
	Phone        string
	DeviceID     string
}

// Link gives the signed-in member one more way to sign in.
// Errors: member.field_needed, those of linkProof and of the provider.
func (s *Service) Link(ctx context.Context, in LinkInput) (Linked, error) {
	var p proof
	var err error
	switch in.Provider {
	case customeridentity.ProviderPhone:
		if in.Challenge == uuid.Nil {
			return Linked{}, ErrFieldNeeded.At("/challenge_id")
		}
		if in.Phone == "" {
			return Linked{}, ErrFieldNeeded.At("/phone")
		}
		p, err = s.phoneProof(ctx, "link", in.Challenge, in.Phone, in.Code, in.DeviceID)
	case customeridentity.ProviderWechatMini:
		p, err = s.miniProof(ctx, in.Code, in.DeviceID)
	case customeridentity.ProviderWechatOfficial:
		p, err = s.officialProof(ctx, in.Code, in.State, in.DeviceID)
	default:
		if in.ProviderName == "" {
			return Linked{}, ErrFieldNeeded.At("/provider_name")
		}
		p, err = s.oidcProof(ctx, in.ProviderName, in.Code, in.State, in.DeviceID)
	}
	if err != nil {
		return Linked{}, err
	}
	return s.linkProof(ctx, p)
}

// stateLife is how long a sign-in at a provider may take.
const stateLife = 10 * time.Minute

// begun is what a sign-in at an OpenID Connect provider is bound to. It travels
// sealed in the state itself, so that any replica can go on with it.
type begun struct {
	Kind     string    `json:"k"`
	Device   []byte    `json:"d"`
	Nonce    string    `json:"n,omitempty"`
	Verifier string    `json:"v,omitempty"`
	Until    time.Time `json:"u"`
}

const statePurpose = "member.state"

func (s *Service) newState(kind, deviceID, nonce, verifier string) (string, error) {
	raw, err := json.Marshal(begun{kind, s.Keys.Index(indexDevice, deviceID), nonce, verifier, s.Clock.Now().Add(stateLife)})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.Keys.SealBlob(statePurpose, nil, raw)), nil
}

// readState opens a state of ours that the same device began with.
// Error: member.state_invalid.
func (s *Service) readState(kind, state, deviceID string) (begun, error) {
	var b begun
	sealed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		return b, ErrState.At("/state")
	}
	raw, err := s.Keys.OpenBlob(statePurpose, nil, sealed)
	if err != nil || json.Unmarshal(raw, &b) != nil || b.Kind != kind || string(b.Device) != string(s.Keys.Index(indexDevice, deviceID)) ||
		!s.Clock.Now().Before(b.Until) {
		return b, ErrState.At("/state")
	}
	return b, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// officialState is when the sign-in runs out, something random and a MAC, in
// hexadecimal: WeChat passes on 128 letters and digits at most.
func (s *Service) officialState(appID, deviceID string, until int64, random []byte) string {
	head := append(binary.BigEndian.AppendUint32(nil, uint32(until)), random...)
	key := s.Keys.Derive("member.official-state")
	m := hmac.New(sha256.New, key[:])
	m.Write(head)
	m.Write(s.Keys.Index(indexDevice, deviceID))
	m.Write([]byte(appID))
	return hex.EncodeToString(append(head, m.Sum(nil)[:16]...))
}

func (s *Service) ownState(appID, state, deviceID string) bool {
	raw, err := hex.DecodeString(state)
	if err != nil || len(raw) != 4+8+16 {
		return false
	}
	until := int64(binary.BigEndian.Uint32(raw))
	return hmac.Equal([]byte(s.officialState(appID, deviceID, until, raw[4:12])), []byte(state)) && s.Clock.Now().Unix() < until
}

// BeginOIDC makes the address at which a browser signs in with a provider.
// Errors: oidc.provider_not_found, oidc.provider_unavailable, oidc.misconfigured.
func (s *Service) BeginOIDC(ctx context.Context, name, deviceID string) (address, state string, err error) {
	provider, err := s.Outside.NeedOIDC(name)
	if err != nil {
		return "", "", err
	}
	nonce, verifier := base64.RawURLEncoding.EncodeToString(randomBytes(18)), oidc.NewVerifier()
	if state, err = s.newState("oidc "+name, deviceID, nonce, verifier); err != nil {
		return "", "", err
	}
	address, err = provider.AuthURL(ctx, state, nonce, oidc.Challenge(verifier))
	return address, state, err
}

// BeginOfficial makes the address at which a browser inside WeChat signs in
// with the official account. WeChat itself sends nobody back to other domains
// than the account's own.
// Errors: wechat.official_not_configured, member.redirect_invalid.
func (s *Service) BeginOfficial(_ context.Context, redirect, deviceID string) (address, state string, err error) {
	app, err := s.Outside.NeedOfficial()
	if err != nil {
		return "", "", err
	}
	u, err := url.Parse(redirect)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return "", "", ErrRedirect.At("?redirect_uri")
	}
	state = s.officialState(app.AppID(), deviceID, s.Clock.Now().Add(stateLife).Unix(), randomBytes(8))
	return app.AuthorizeURL(redirect, wechat.ScopeUserInfo, state), state, nil
}

func isLoopback(host string) bool { return host == "127.0.0.1" || host == "localhost" || host == "::1" }

// sessionOf reads the session in use.
func (s *Service) sessionOf(ctx context.Context, id uuid.UUID) (*crm.MemberSession, error) {
	se, err := s.DB.From(ctx).CRM.MemberSession.Query().Where(membersession.ID(id)).Only(ctx)
	if err != nil {
		return nil, fmt.Errorf("the session in use: %w", err)
	}
	return se, nil
}
