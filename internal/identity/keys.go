package identity

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/apikey"
	"github.com/shuke-crm/shuke/ent/platform/predicate"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/token"
)

// CreateKeyInput describes a new API key.
type CreateKeyInput struct {
	Name        string
	Permissions []string
	AllStores   bool
	StoreIDs    []uuid.UUID
	ExpiresAt   *time.Time
	AllowedIPs  []string
	PerMinute   *int32 // a limit of its own
}

// CreateKey issues an API key within the caller's own rights. The key is
// returned once; only its hash is kept.
// Errors: roles.permission_unknown, staff.beyond_own_rights, stores.unknown,
// api_keys.scope, api_keys.expired, api_keys.address.
func (s *Service) CreateKey(ctx context.Context, in CreateKeyInput) (made *platform.APIKey, key string, err error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, "", err
	}
	now := s.Clock.Now()
	switch {
	case in.AllStores == (len(in.StoreIDs) > 0):
		return nil, "", ErrAPIKeyScope.At("/store_ids")
	case in.ExpiresAt != nil && !now.Before(*in.ExpiresAt):
		return nil, "", ErrAPIKeyExpired.At("/expires_at")
	case in.AllStores && slices.ContainsFunc(in.Permissions, func(p string) bool { return !actor.ScopeOf(auth.Permission(p)).All }):
		return nil, "", ErrBeyondOwn.At("/all_stores").Arg("right", "scope:all")
	}
	from, err := ranges(in.AllowedIPs)
	if err != nil {
		return nil, "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, "", err
	}
	keyID, key := newKey()
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayDefine(ctx, tx, in.Permissions); err != nil {
			return err
		}
		if err := keyStores(ctx, tx, actor, in.Permissions, in.StoreIDs); err != nil {
			return err
		}
		c := tx.Platform.APIKey.Create().SetID(id).SetName(in.Name).SetKeyID(keyID).SetSecretHash(token.Hash(key)).
			SetPermissions(pgarray.Strings(sorted(in.Permissions))).SetAllStores(in.AllStores).SetStoreIds(pgarray.UUIDs(in.StoreIDs)).
			SetNillableExpiresAt(in.ExpiresAt).SetAllowedIps(from).SetNillableRequestsPerMinute(wide(in.PerMinute)).SetCreatedAt(now).SetUpdatedAt(now)
		if actor.Kind == auth.KindStaff {
			c.SetCreatedBy(actor.ID)
		}
		if made, err = c.Save(ctx); err != nil {
			return fmt.Errorf("create an API key: %w", err)
		}
		happened(ctx, tx, eventAPIKeyCreated, audit.Entry{Action: "api_keys.create", ObjectType: "api_key",
			Changes: map[string]any{"key_id": keyID, "permissions": made.Permissions, "all_stores": in.AllStores, "store_ids": append([]uuid.UUID{}, in.StoreIDs...)}}, id, nil)
		s.invalidate(ctx, tx, keyPrincipal(keyID))
		return nil
	})
	return made, key, err
}

// keyStores checks that the stores of a key exist and that the caller holds
// every permission of the key there.
func keyStores(ctx context.Context, tx *db.Tx, actor auth.Actor, permissions []string, stores []uuid.UUID) error {
	if len(stores) == 0 {
		return nil
	}
	known, err := tx.Platform.Store.Query().Where(store.IDIn(stores...)).IDs(ctx)
	if err != nil {
		return err
	}
	for i, id := range stores {
		beyond := func(p string) bool { return !actor.ScopeOf(auth.Permission(p)).SeesStore(id) }
		if !slices.Contains(known, id) || slices.ContainsFunc(permissions, beyond) {
			return ErrStoreUnknown.At("/store_ids/" + strconv.Itoa(i))
		}
	}
	return nil
}

// RevokeKey ends an API key for good; ending it again changes nothing.
// Error: api_keys.not_found.
func (s *Service) RevokeKey(ctx context.Context, id uuid.UUID) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		reachable, err := visibleKeys(ctx)
		if err != nil {
			return err
		}
		k, err := tx.Platform.APIKey.Query().Where(apikey.ID(id)).Where(reachable...).ForUpdate().Only(ctx)
		if err != nil {
			return keyError(err)
		}
		if k.RevokedAt != nil {
			return nil
		}
		now := s.Clock.Now()
		if err := tx.Platform.APIKey.UpdateOne(k).SetRevokedAt(now).SetUpdatedAt(now).AddVersion(1).Exec(ctx); err != nil {
			return err
		}
		happened(ctx, tx, eventAPIKeyRevoked, audit.Entry{Action: "api_keys.revoke", ObjectType: "api_key",
			Changes: map[string]any{"key_id": k.KeyID}}, id, nil)
		s.invalidate(ctx, tx, keyPrincipal(k.KeyID))
		return nil
	})
}

// visibleKeys are the keys that reach no further than the caller.
func visibleKeys(ctx context.Context) ([]predicate.APIKey, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	if actor.Scope.All {
		return nil, nil
	}
	return []predicate.APIKey{apikey.AllStores(false), func(sel *entsql.Selector) {
		sel.Where(entsql.P(func(b *entsql.Builder) {
			b.WriteString(sel.C(apikey.FieldStoreIds)).WriteString(" <@ ").Arg(pgarray.UUIDs(actor.Scope.StoreIDs)).WriteString("::uuid[]")
		}))
	}}, nil
}

// KeyStatus is whether a key works.
type KeyStatus string

// States of a key.
const (
	KeyActive  KeyStatus = "active"
	KeyExpired KeyStatus = "expired"
	KeyRevoked KeyStatus = "revoked"
)

func statusOf(k *platform.APIKey, now time.Time) KeyStatus {
	switch {
	case k.RevokedAt != nil:
		return KeyRevoked
	case k.ExpiresAt != nil && !now.Before(*k.ExpiresAt):
		return KeyExpired
	default:
		return KeyActive
	}
}

// keysIn are the keys in a state.
func keysIn(status KeyStatus, now time.Time) []predicate.APIKey {
	switch status {
	case KeyRevoked:
		return []predicate.APIKey{apikey.RevokedAtNotNil()}
	case KeyExpired:
		return []predicate.APIKey{apikey.RevokedAtIsNil(), apikey.ExpiresAtLTE(now)}
	default:
		return []predicate.APIKey{apikey.RevokedAtIsNil(), apikey.Or(apikey.ExpiresAtIsNil(), apikey.ExpiresAtGT(now))}
	}
}

func keyError(err error) error {
	if platform.IsNotFound(err) {
		return ErrAPIKeyNotFound.New()
	}
	return err
}
