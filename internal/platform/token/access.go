// Package token makes and checks the tokens that people and machines sign in
// with: short access tokens (JWT), and the opaque refresh tokens of sessions,
// which rotate. Staff and members have their own audience and their own
// refresh tokens; neither is ever taken for the other.
package token

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
)

// Lifetimes.
const (
	AccessLife      = 15 * time.Minute
	SessionLife     = 30 * 24 * time.Hour
	SessionIdleLife = 7 * 24 * time.Hour
	PredecessorLife = 10 * time.Second // how long a spent refresh token still gets its successor
)

// MaxBearer bounds a bearer text before anything is done with it.
const MaxBearer = 2048

const (
	issuer = "shuke"
	typ    = "at+jwt" // RFC 9068: no other kind of JWT passes for an access token
	leeway = 2 * time.Second
)

// Audience is a side of the API with tokens of its own.
type Audience struct {
	Name                            string // the claim aud
	prefix, domain, successorSealed string // of refresh tokens
}

// The two sides of the API.
var (
	Staff  = Audience{"shuke-api", "shr_", "identity.refresh", "identity.successor"} // staff, and machines
	Member = Audience{"shuke-member", "shm_", "member.refresh", "member.successor"}  // customers on their own side
)

// claims of an access token: it names a session or a machine, and rights are
// looked up.
type claims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid,omitempty"`
	ClientID  string `json:"cid,omitempty"`
	Rotation  int    `json:"rot,omitempty"`
	Scope     string `json:"scope,omitempty"` // as RFC 9068 has it: permissions, separated by spaces
}

// Access is a verified access token.
type Access struct {
	Audience  string
	Subject   uuid.UUID // staff, customer or API key
	SessionID uuid.UUID // zero in a machine's token
	Client    Client    // of a machine's token, else empty
	KeyID     string    // of the key it is signed with
	Expires   time.Time
}

// Client is the machine that a token was made for.
type Client struct {
	ID       string // public id of its API key
	Rotation int    // of the key's secret: the token ends with the next one
	Scope    string // narrower than what the key may do, or empty
}

// Sign makes the access token of a session.
func (a Audience) Sign(key crypto.SigningKey, subject, sessionID uuid.UUID, now time.Time) (string, error) {
	return a.sign(key, claims{SessionID: sessionID.String()}, subject, now)
}

// SignClient makes the access token of a machine, which has no session.
func (a Audience) SignClient(key crypto.SigningKey, subject uuid.UUID, c Client, now time.Time) (string, error) {
	return a.sign(key, claims{ClientID: c.ID, Rotation: c.Rotation, Scope: c.Scope}, subject, now)
}

func (a Audience) sign(key crypto.SigningKey, c claims, subject uuid.UUID, now time.Time) (string, error) {
	c.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: issuer, Audience: jwt.ClaimStrings{a.Name}, Subject: subject.String(),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessLife)),
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
	t.Header["typ"], t.Header["kid"] = typ, key.ID
	return t.SignedString(key.Key)
}

var errShape = errors.New("token: of another kind")

// Verify accepts HS256 by one of our own keys, with exactly the header and
// claims that Sign and SignClient write (RFC 8725 §3.1 to §3.12). The caller
// looks at the audience.
// Errors: auth.token_expired for a token that was good, auth.unauthenticated.
func Verify(keys crypto.SigningKeys, text string, now time.Time) (Access, error) {
	var a Access
	var c claims
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithLeeway(leeway)) // clocks of replicas
	_, err := parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		if is, _ := t.Header["typ"].(string); is != typ {
			return nil, errShape
		}
		kid, _ := t.Header["kid"].(string)
		key, ok := keys.ByID(kid)
		if !ok || kid == "" {
			return nil, errShape
		}
		a.KeyID = kid
		return key.Key, nil
	})
	if err == nil || errors.Is(err, jwt.ErrTokenExpired) {
		if shape := a.read(c); shape != nil {
			err = shape
		}
	}
	if err != nil {
		if errors.Is(err, jwt.ErrTokenExpired) {
			return Access{}, apperr.ErrTokenExpired.Wrap(err)
		}
		return Access{}, apperr.ErrUnauthenticated.Wrap(err)
	}
	return a, nil
}

// read takes the claims over, if they are what we write.
func (a *Access) read(c claims) (err error) {
	if len(c.Audience) != 1 || c.IssuedAt == nil || c.ExpiresAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) > AccessLife {
		return errShape
	}
	a.Audience, a.Client, a.Expires = c.Audience[0], Client{c.ClientID, c.Rotation, c.Scope}, c.ExpiresAt.Time
	switch {
	case a.Audience != Staff.Name && a.Audience != Member.Name,
		(c.SessionID == "") == (c.ClientID == ""),
		c.ClientID != "" && a.Audience != Staff.Name:
		return errShape
	}
	if a.Subject, err = uuid.Parse(c.Subject); err == nil && c.SessionID != "" {
		a.SessionID, err = uuid.Parse(c.SessionID)
	}
	return err
}
