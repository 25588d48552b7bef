package identity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// ExchangeInput is what a machine sends for a short token.
type ExchangeInput struct {
	GrantType        string
	ClientID, Secret string // in the form; HTTP Basic is in the context
	Scope            string
}

// ShortToken is a machine's access token.
type ShortToken struct {
	Access    string
	ExpiresIn time.Duration
	Scope     string
}

// Exchange gives a machine an access token for its API key (RFC 6749, 4.4). It
// ends with the key, with the key's next secret, or after a quarter of an hour.
// Errors: oauth.*.
func (s *Service) Exchange(ctx context.Context, in ExchangeInput) (ShortToken, error) {
	if in.GrantType != "client_credentials" {
		return ShortToken{}, ErrOAuthGrant.New()
	}
	id, secret := in.ClientID, in.Secret
	if c := clientOf(ctx); c.User != "" || c.Password != "" {
		if secret != "" || id != "" && id != c.User {
			return ShortToken{}, ErrOAuthRequest.New() // two ways at once
		}
		id, secret = c.User, c.Password
	}
	keyID, wellFormed := parseKey(secret)
	if !wellFormed || keyID != id {
		return ShortToken{}, ErrOAuthClient.New()
	}
	p, err := s.liveKey(ctx, keyID, keyPrincipal(keyID))
	if apperr.ErrUnauthenticated.Is(err) {
		return ShortToken{}, ErrOAuthClient.Wrap(err)
	}
	if err != nil {
		return ShortToken{}, err
	}
	now := s.Clock.Now()
	hash := token.Hash(secret)
	if !p.Key.Opens(hash, now) {
		return ShortToken{}, ErrOAuthClient.New()
	}
	s.noteUse(ctx, p.Actor.ID, hash, now)
	scope, err := narrowed(p.Actor.Permissions, in.Scope)
	if err != nil {
		return ShortToken{}, err
	}
	client := token.Client{ID: keyID, Rotation: p.Key.Rotation}
	if in.Scope != "" {
		client.Scope = scope
	}
	signed, err := token.Staff.SignClient(s.Keys.SigningKeys().Current, p.Actor.ID, client, now)
	if err != nil {
		return ShortToken{}, err
	}
	life := token.AccessLife
	if !p.Ends.IsZero() {
		life = min(life, p.Ends.Sub(now))
	}
	return ShortToken{Access: signed, ExpiresIn: life, Scope: scope}, nil
}

// narrowed are the permissions asked for, or all of them.
// Error: oauth.invalid_scope.
func narrowed(held auth.PermissionSet, scope string) (string, error) {
	var out []string
	for name := range strings.FieldsSeq(scope) {
		if !held.Has(auth.Permission(name)) {
			return "", ErrOAuthScope.New()
		}
		out = append(out, name)
	}
	if scope != "" && len(out) == 0 {
		return "", ErrOAuthScope.New()
	}
	if scope == "" {
		out = texts(held.List())
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " "), nil
}
