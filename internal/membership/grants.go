package membership

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/membershipgrant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// lock locks a customer within the scope.
// Error: ErrCustomerNotFound.
func (s *Service) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	_, err := tx.CRM.Customer.Query().Where(customer.ID(id)).ForUpdate().Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return ErrCustomerNotFound.New()
	}
	return err
}

// Grant gives a tier by hand: at least that one, from now on until an instant; nil
// is for ever.
//
// Errors: ErrCustomerNotFound, ErrTier, ErrUntil, ErrReason.
func (s *Service) Grant(ctx context.Context, of uuid.UUID, code string, until *time.Time, reason string) (*loyalty.MembershipGrant, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if until = utc(until); until != nil {
		if *until = until.Truncate(time.Microsecond); !until.After(now) {
			return nil, ErrUntil.At("/until")
		}
	}
	var made *loyalty.MembershipGrant
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.lock(ctx, tx, of); err != nil {
			return err
		}
		scheme, err := s.inForceNow(ctx, tx.Clients)
		if err != nil {
			return err
		}
		if scheme.Tier(code) == nil {
			return ErrTier.At("/tier")
		}
		create := tx.Loyalty.MembershipGrant.Create().SetID(id).SetCustomerID(of).SetTierCode(code).SetFromAt(now).SetNillableUntilAt(until).SetReason(reason).SetCreatedAt(now).SetUpdatedAt(now)
		if actor.ID != uuid.Nil {
			create.SetGrantedBy(actor.ID)
		}
		if made, err = create.Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.grant", ObjectType: "customer", ObjectID: of.String(), Reason: reason, Changes: map[string]any{"grant_id": id, "tier": code, "until": until}})
		return s.now(ctx, tx, of)
	})
	return made, err
}

// now reviews a locked customer at once.
func (s *Service) now(ctx context.Context, tx *db.Tx, of uuid.UUID) error {
	if err := s.Mark(ctx, tx, of); err != nil {
		return err
	}
	_, err := s.Settle(ctx, tx, of)
	return err
}

// Revoke takes a grant back, from now on.
//
// Errors: ErrCustomerNotFound, ErrGrantNotFound, ErrGrantOver, ErrReason.
func (s *Service) Revoke(ctx context.Context, of, id uuid.UUID, reason string) (*loyalty.MembershipGrant, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return nil, ErrReason.At("/reason")
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var done *loyalty.MembershipGrant
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.lock(ctx, tx, of); err != nil {
			return err
		}
		g, err := tx.Loyalty.MembershipGrant.Query().Where(membershipgrant.ID(id), membershipgrant.CustomerID(of)).Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrGrantNotFound.New()
		}
		if err != nil {
			return err
		}
		now := s.clock.Now()
		if g.RevokedAt != nil || g.UntilAt != nil && !g.UntilAt.After(now) {
			return ErrGrantOver.New()
		}
		update := tx.Loyalty.MembershipGrant.UpdateOne(g).SetRevokedAt(now).SetRevokeReason(reason).SetVersion(g.Version + 1).SetUpdatedAt(now)
		if actor.ID != uuid.Nil {
			update.SetRevokedBy(actor.ID)
		}
		if done, err = update.Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "membership.revoke_grant", ObjectType: "customer", ObjectID: of.String(), Reason: reason, Changes: map[string]any{"grant_id": id, "tier": g.TierCode}})
		return s.now(ctx, tx, of)
	})
	return done, err
}
