package customers

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// MemberSide is the customers' own side of the API, which keeps how they sign
// in. It comes after this domain, so the composition root hands it in.
type MemberSide interface {
	// Closed is told in the transaction that archives or restores customers.
	Closed(ctx context.Context, tx *db.Tx, ids ...uuid.UUID)
	// Identities lists how a customer of the caller's scope signs in.
	Identities(ctx context.Context, customerID uuid.UUID) ([]Identity, error)
	// Unlink takes one of them away and ends the sessions it opened.
	// Error: ErrIdentityNotFound.
	Unlink(ctx context.Context, customerID, id uuid.UUID) error
}

// SignUp makes a customer who signs in on their own side of the API. Unlike
// other customers they may have nothing to be known by but that. The caller has
// verified the phone and acts as the system.
// Errors: ErrDuplicate, and those of single fields.
func (s *Service) SignUp(ctx context.Context, tx *db.Tx, in Input) (*Customer, error) {
	in.nameless = true
	out, err := s.CreateMany(ctx, tx, []*Input{&in})
	if err != nil {
		return nil, err
	}
	return out[0].Customer, out[0].Err
}

// ChangeOwn changes a customer on their own behalf, as far as the rules for
// members allow; nil rules allow everything. Check sees the record as it
// is, locked, and may refuse. Store, assistant, tags and whatever else the
// business decides must not be in the input.
// Errors: ErrNotFound, ErrArchived, ErrDuplicate, ErrMemberReadOnly,
// ErrMemberOnce, those of single fields, request.version_mismatch.
func (s *Service) ChangeOwn(ctx context.Context, id uuid.UUID, in Input, ifMatch *string, allowed *MemberRules, check Guard) (*Customer, error) {
	return s.change(ctx, id, ifMatch, func(ctx context.Context, tx *db.Tx, c *Customer) (change, error) {
		if c.ArchivedAt != nil {
			return change{}, ErrArchived.New()
		}
		if check != nil {
			if err := check(c); err != nil {
				return change{}, err
			}
		}
		rules, err := s.activeRules(ctx)
		if err != nil {
			return change{}, err
		}
		actor, err := auth.From(ctx)
		if err != nil {
			return change{}, err
		}
		fields, err := s.useFields(ctx, tx, actor, []*Input{&in})
		if err != nil {
			return change{}, err
		}
		old := *c
		_, bad := c.apply(&in, s.clock.Today().Time())
		fields.assign(c, &in, &old, &bad)
		if allowed != nil {
			allowed.judge(&in, &old, c, &bad)
		}
		rules.judge(c, s.clock.Today().Time(), &bad)
		return change{"customers.update", EventUpdated, c.differences(&old), &in}, bad.err()
	})
}

// Missing is an input without what a customer has already.
func (in Input) Missing(c *Customer) Input {
	none := nullable.Nullable[string]{}
	for _, f := range []struct {
		in  *nullable.Nullable[string]
		has bool
	}{{&in.ExternalID, c.ExternalID != nil}, {&in.Name, c.Name != ""}, {&in.Phone, c.Phone != ""}, {&in.Email, c.Email != ""}, {&in.CardNumber, c.Card != ""}} {
		if f.has {
			*f.in = none
		}
	}
	if c.BirthDate != nil {
		in.BirthDate = nullable.Nullable[time.Time]{}
	}
	if c.Address != nil {
		in.Address = nullable.Nullable[Address]{}
	}
	if c.Gender != "unknown" {
		in.Gender = nil
	}
	in.Language = nil // everybody has one
	if in.CustomFields != nil {
		left := map[string]any{}
		for key, v := range *in.CustomFields {
			if c.customValue(key) == nil {
				left[key] = v
			}
		}
		in.CustomFields = &left
	}
	return in
}

// Identity is a way in which a customer signs in, as others see it.
type Identity struct {
	ID         uuid.UUID
	Provider   string // phone, password, wechat_mini, wechat_official, oidc
	App        string // app id at WeChat, name of an OpenID Connect provider
	Subject    string // masked
	VerifiedAt time.Time
	LastUsedAt time.Time
}
