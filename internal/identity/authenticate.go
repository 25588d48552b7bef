package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/principals"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// credential is what a bearer text was verified to be, kept so that a busy
// client's token is checked once and not with every request.
type credential struct {
	principal uuid.UUID
	access    token.Access       // of an access token
	keyID     string             // of an API key, or of one that an access token was got with
	keyHash   []byte             // of an API key
	narrowed  auth.PermissionSet // of a machine's access token that may do less than its key; else nil
	dead      atomic.Bool        // its session has ended for good
}

// Authenticate finds out who sends an access token or an API key. It costs
// about a microsecond when both are known to this process.
// Errors: auth.unauthenticated, auth.token_expired, auth.session_ended.
func (s *Service) Authenticate(ctx context.Context, bearer string) (auth.Actor, error) {
	c, ok := s.tokens.Get(bearer)
	if !ok {
		var err error
		if c, err = s.verify(bearer); err != nil {
			return auth.Actor{}, err
		}
		s.tokens.Add(strings.Clone(bearer), c)
	}
	if c.keyHash != nil {
		return s.authenticateKey(ctx, c)
	}
	if !s.Clock.Now().Before(c.access.Expires) {
		return auth.Actor{}, apperr.ErrTokenExpired.New()
	}
	if _, ours := s.Keys.SigningKeys().ByID(c.access.KeyID); !ours {
		return auth.Actor{}, apperr.ErrUnauthenticated.New() // the key was dropped since
	}
	if c.keyID != "" {
		return s.authenticateClient(ctx, c)
	}
	return s.authenticateSession(ctx, c)
}

func (s *Service) verify(bearer string) (*credential, error) {
	if len(bearer) > token.MaxBearer {
		return nil, apperr.ErrUnauthenticated.New()
	}
	if strings.HasPrefix(bearer, keyPrefix) {
		keyID, ok := parseKey(bearer)
		if !ok {
			return nil, apperr.ErrUnauthenticated.New()
		}
		return &credential{principal: keyPrincipal(keyID), keyID: strings.Clone(keyID), keyHash: token.Hash(bearer)}, nil
	}
	a, err := token.Verify(s.Keys.SigningKeys(), bearer, s.Clock.Now())
	if err != nil {
		return nil, err
	}
	if a.Audience != token.Staff.Name && (a.Audience != token.Member.Name || s.Members == nil) {
		return nil, apperr.ErrUnauthenticated.New()
	}
	if a.Client.ID != "" {
		c := &credential{principal: keyPrincipal(a.Client.ID), access: a, keyID: a.Client.ID}
		if a.Client.Scope != "" {
			c.narrowed = auth.PermissionSet{}
			for p := range strings.FieldsSeq(a.Client.Scope) {
				c.narrowed[auth.Permission(p)] = struct{}{}
			}
		}
		return c, nil
	}
	return &credential{principal: a.Subject, access: a}, nil
}

func (s *Service) authenticateSession(ctx context.Context, c *credential) (auth.Actor, error) {
	if c.dead.Load() {
		return auth.Actor{}, ErrSessionEnded.New()
	}
	var actor auth.Actor
	var gone bool
	var err error
	if c.access.Audience == token.Member.Name {
		actor, gone, err = s.Members(ctx, c.access)
	} else {
		load := func(ctx context.Context) (*principals.Principal, error) { return s.loadStaff(ctx, c.principal) }
		actor, gone, err = s.principals.OfSession(ctx, c.principal, c.access.SessionID, load)
	}
	if err != nil {
		return auth.Actor{}, err
	}
	if gone {
		c.dead.Store(true) // sessions never come back
	}
	if actor.Kind == "" {
		return auth.Actor{}, ErrSessionEnded.New()
	}
	return actor, nil
}

func (s *Service) authenticateKey(ctx context.Context, c *credential) (auth.Actor, error) {
	p, err := s.liveKey(ctx, c.keyID, c.principal)
	if err != nil {
		return auth.Actor{}, err
	}
	now := s.Clock.Now()
	if !p.Key.Opens(c.keyHash, now) {
		return auth.Actor{}, apperr.ErrUnauthenticated.New()
	}
	s.noteUse(ctx, p.Actor.ID, c.keyHash, now)
	return p.Actor, nil
}

// authenticateClient takes the short token that a machine got for its key. It
// is good as long as the key, and no longer than the secret it was got with is
// the newest.
func (s *Service) authenticateClient(ctx context.Context, c *credential) (auth.Actor, error) {
	p, err := s.liveKey(ctx, c.keyID, c.principal)
	if err != nil {
		return auth.Actor{}, err
	}
	if p.Key.Rotation != c.access.Client.Rotation || p.Actor.ID != c.access.Subject {
		return auth.Actor{}, apperr.ErrUnauthenticated.New()
	}
	actor := p.Actor
	if c.narrowed != nil {
		actor.Permissions = auth.PermissionSet{}
		for permission := range c.narrowed {
			if p.Actor.Permissions.Has(permission) {
				actor.Permissions[permission] = struct{}{}
			}
		}
	}
	return actor, nil
}

// liveKey is a key that exists, has not ended and may be used from where the
// request comes.
func (s *Service) liveKey(ctx context.Context, keyID string, id uuid.UUID) (*principals.Principal, error) {
	p, err := s.principals.Get(ctx, id, func(ctx context.Context) (*principals.Principal, error) { return s.loadKey(ctx, keyID) })
	if err != nil {
		return nil, err
	}
	if !p.Alive || (!p.Ends.IsZero() && !s.Clock.Now().Before(p.Ends)) || len(p.Key.From) > 0 && !p.Key.Allows(clientOf(ctx).addr()) {
		return nil, apperr.ErrUnauthenticated.New()
	}
	return p, nil
}

// useEvery is how exact the last use of an API key is.
const (
	useEvery  = time.Minute
	noteLimit = 5 * time.Second
)

// noteUse writes when and from where a secret of a key was used, at most once
// a minute and process, outside the request.
func (s *Service) noteUse(ctx context.Context, id uuid.UUID, hash []byte, now time.Time) {
	secret := [sha256.Size]byte(hash)
	last, seen := s.used.Load(secret)
	if seen && now.Sub(last.(time.Time)) < useEvery {
		return
	}
	if seen {
		if !s.used.CompareAndSwap(secret, last, now) {
			return // another request notes it
		}
	} else if _, raced := s.used.LoadOrStore(secret, now); raced {
		return
	}
	from := ""
	if at := clientOf(ctx).addr(); at.IsValid() {
		from = at.String()
	}
	s.notes.Go(func() {
		ctx, cancel := context.WithTimeout(auth.System(context.Background(), "api-keys"), noteLimit)
		defer cancel()
		if err := s.writeUse(ctx, id, hash, from, now); err != nil {
			s.Log.Warn("the use of an API key was not noted", "error", err)
		}
	})
}

// streamTicket is what Redis keeps of a ticket, sealed.
type streamTicket struct {
	Path      string    `json:"path"`
	Principal uuid.UUID `json:"principal"`
	Session   uuid.UUID `json:"session,omitzero"`
	KeyID     string    `json:"key_id,omitempty"`
}

const (
	ticketKey     = "shuke:identity:ticket:"
	ticketPurpose = "identity.stream-ticket"
)

// CreateStreamTicket lets the caller open one stream without a header.
// Errors: auth.no_stream, unavailable while Redis is down.
func (s *Service) CreateStreamTicket(ctx context.Context, path string) (string, error) {
	if s.Operations != nil && !slices.ContainsFunc(s.Operations(), func(op Operation) bool { return op.Stream && op.at(path) }) {
		return "", ErrNoStream.At("/path")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return "", err
	}
	t := streamTicket{Path: path, Principal: actor.ID, Session: actor.SessionID}
	if actor.Kind == auth.KindAPIKey {
		if t.KeyID, err = s.keyIDOf(ctx, actor.ID); err != nil {
			return "", err
		}
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	var random [24]byte
	rand.Read(random[:]) // never fails
	ticket := base64.RawURLEncoding.EncodeToString(random[:])
	hash := token.Hash(ticket)
	if err := s.Cache.Set(ctx, ticketKey+string(hash), s.Keys.SealBlob(ticketPurpose, hash, raw), StreamTicketLife).Err(); err != nil {
		return "", apperr.ErrUnavailable.Wrap(err)
	}
	return ticket, nil
}

// at reports whether a path is one of the operation's.
func (o Operation) at(path string) bool {
	want, have := strings.Split(o.Path, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(w, h string) bool {
		return w == h || strings.HasPrefix(w, "{") && h != ""
	})
}

// RedeemStreamTicket spends a ticket for the stream at path and gives the
// actor it was made for, with the rights of now.
// Errors: auth.ticket_invalid, auth.session_ended, unavailable while Redis is down.
func (s *Service) RedeemStreamTicket(ctx context.Context, ticket, path string) (auth.Actor, error) {
	hash := token.Hash(ticket)
	sealed, err := s.Cache.GetDel(ctx, ticketKey+string(hash)).Bytes()
	if errors.Is(err, redis.Nil) {
		return auth.Actor{}, ErrTicketInvalid.New()
	}
	if err != nil {
		return auth.Actor{}, apperr.ErrUnavailable.Wrap(err)
	}
	raw, err := s.Keys.OpenBlob(ticketPurpose, hash, sealed)
	if err != nil {
		return auth.Actor{}, ErrTicketInvalid.Wrap(err)
	}
	var t streamTicket
	if err := json.Unmarshal(raw, &t); err != nil || t.Path != path {
		return auth.Actor{}, ErrTicketInvalid.Wrap(err)
	}
	if t.KeyID == "" {
		return s.authenticateSession(ctx, &credential{principal: t.Principal, access: token.Access{Subject: t.Principal, SessionID: t.Session}})
	}
	p, err := s.liveKey(ctx, t.KeyID, keyPrincipal(t.KeyID))
	if apperr.ErrUnauthenticated.Is(err) {
		return auth.Actor{}, ErrTicketInvalid.Wrap(err)
	}
	if err != nil {
		return auth.Actor{}, err
	}
	return p.Actor, nil
}
