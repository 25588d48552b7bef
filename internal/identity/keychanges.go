package identity

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/apikey"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// ranges are addresses and CIDR ranges in their shortest form.
// Error: api_keys.address.
func ranges(texts []string) (pgarray.Strings, error) {
	out := make(pgarray.Strings, len(texts))
	for i, text := range texts {
		p, err := addressRange(text)
		if err != nil {
			return nil, ErrAPIKeyAddress.At("/allowed_ips/" + strconv.Itoa(i))
		}
		out[i] = p.String()
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

var errAddress = errors.New("identity: no address range")

// addressRange reads "203.0.113.7" and "2001:db8::/48". IPv4 written as IPv6 is
// IPv4: that is how addresses of callers are compared.
func addressRange(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errAddress
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errAddress
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, errAddress
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// addresses reads what ranges wrote.
func addresses(texts []string) (out []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func wide(n *int32) *int {
	if n == nil {
		return nil
	}
	w := int(*n)
	return &w
}

// lockKey locks a key within the caller's reach and rights: whoever may change
// it, or is shown a secret of it, could do all that it may.
// Errors: api_keys.not_found, api_keys.ended, staff.beyond_own_rights.
func (s *Service) lockKey(ctx context.Context, tx *db.Tx, id uuid.UUID) (*platform.APIKey, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	reachable, err := visibleKeys(ctx)
	if err != nil {
		return nil, err
	}
	k, err := tx.Platform.APIKey.Query().Where(apikey.ID(id)).Where(reachable...).ForUpdate().Only(ctx)
	if err != nil {
		return nil, keyError(err)
	}
	if statusOf(k, s.Clock.Now()) != KeyActive {
		return nil, ErrAPIKeyEnded.New()
	}
	own, err := s.holdingOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	lacking := own.lacks(k.Permissions)
	if lacking == "" && k.AllStores {
		lacking = own.lacksEverywhere(k.Permissions)
	}
	if lacking != "" {
		return nil, ErrBeyondOwn.New().Arg("right", lacking)
	}
	if ErrStoreUnknown.Is(keyStores(ctx, tx, actor, k.Permissions, k.StoreIds)) {
		return nil, ErrBeyondOwn.New().Arg("right", "scope:store")
	}
	return k, nil
}

// UpdateKeyInput holds the fields to change.
type UpdateKeyInput struct {
	Name        *string
	ExpiresAt   nullable.Nullable[time.Time]
	AllowedIPs  *[]string
	PerMinute   nullable.Nullable[int32]
	EndPrevious bool
}

// UpdateKey changes how a key may be used, everywhere within a second.
// Errors: those of lockKey, request.version_mismatch, api_keys.expired,
// api_keys.address.
func (s *Service) UpdateKey(ctx context.Context, id uuid.UUID, ifMatch *string, in UpdateKeyInput) (*platform.APIKey, error) {
	var after *platform.APIKey
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := s.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, before.Version); err != nil {
			return err
		}
		now := s.Clock.Now()
		u := tx.Platform.APIKey.UpdateOne(before).AddVersion(1).SetUpdatedAt(now)
		changes := map[string]any{"key_id": before.KeyID}
		if in.Name != nil {
			u.SetName(*in.Name)
			changes["name"] = *in.Name
		}
		if in.ExpiresAt.IsSpecified() {
			at := value(in.ExpiresAt)
			switch {
			case at == nil:
				u.ClearExpiresAt()
			case !now.Before(*at):
				return ErrAPIKeyExpired.At("/expires_at")
			default:
				u.SetExpiresAt(*at)
			}
			changes["expires_at"] = at
		}
		if in.AllowedIPs != nil {
			from, err := ranges(*in.AllowedIPs)
			if err != nil {
				return err
			}
			u.SetAllowedIps(from)
			changes["allowed_ips"] = []any{before.AllowedIps, from}
		}
		if in.PerMinute.IsSpecified() {
			if n := wide(value(in.PerMinute)); n != nil {
				u.SetRequestsPerMinute(*n)
			} else {
				u.ClearRequestsPerMinute()
			}
			changes["requests_per_minute"] = value(in.PerMinute)
		}
		if in.EndPrevious {
			u.ClearPreviousSecretHash().ClearPreviousCreatedAt().ClearPreviousEndsAt().ClearPreviousUsedAt().ClearPreviousUsedIP().
				AddRotations(1) // short tokens got with it end too
			changes["end_previous"] = true
		}
		if after, err = u.Save(ctx); err != nil {
			return err
		}
		happened(ctx, tx, eventAPIKeyUpdated, audit.Entry{Action: "api_keys.update", ObjectType: "api_key", Changes: changes}, id, nil)
		s.invalidate(ctx, tx, keyPrincipal(before.KeyID))
		return nil
	})
	return after, err
}

// RotateKey gives a key a new secret, returned once. The one before goes on
// for a grace.
// Errors: those of lockKey, api_keys.two_live.
func (s *Service) RotateKey(ctx context.Context, id uuid.UUID, grace time.Duration) (after *platform.APIKey, key string, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := s.lockKey(ctx, tx, id)
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		if previousLives(before, now) {
			return ErrAPIKeyTwoLive.New()
		}
		key = newSecret(before.KeyID)
		u := tx.Platform.APIKey.UpdateOne(before).SetSecretHash(token.Hash(key)).SetSecretCreatedAt(now).AddRotations(1).
			ClearLastUsedAt().ClearLastUsedIP().AddVersion(1).SetUpdatedAt(now)
		if grace > 0 {
			u.SetPreviousSecretHash(before.SecretHash).SetPreviousEndsAt(now.Add(grace)).SetPreviousCreatedAt(madeAt(before))
			if before.LastUsedAt != nil {
				u.SetPreviousUsedAt(*before.LastUsedAt).SetPreviousUsedIP(before.LastUsedIP)
			} else {
				u.ClearPreviousUsedAt().ClearPreviousUsedIP()
			}
		} else {
			u.ClearPreviousSecretHash().ClearPreviousCreatedAt().ClearPreviousEndsAt().ClearPreviousUsedAt().ClearPreviousUsedIP()
		}
		if after, err = u.Save(ctx); err != nil {
			return err
		}
		happened(ctx, tx, eventAPIKeyRotated, audit.Entry{Action: "api_keys.rotate", ObjectType: "api_key",
			Changes: map[string]any{"key_id": before.KeyID, "grace_hours": int(grace / time.Hour)}}, id, nil)
		s.invalidate(ctx, tx, keyPrincipal(before.KeyID))
		return nil
	})
	return after, key, err
}

// madeAt is when the current secret of a key was made.
func madeAt(k *platform.APIKey) time.Time {
	if k.SecretCreatedAt != nil {
		return *k.SecretCreatedAt
	}
	return k.CreatedAt
}

// previousLives reports whether the secret from before a rotation still works.
func previousLives(k *platform.APIKey, now time.Time) bool {
	return len(k.PreviousSecretHash) > 0 && k.PreviousEndsAt != nil && now.Before(*k.PreviousEndsAt)
}
