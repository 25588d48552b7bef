package referrals

import (
	"context"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/predicate"
	"github.com/shuke-crm/shuke/ent/loyalty/referral"
	"github.com/shuke-crm/shuke/ent/loyalty/referralcode"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Referral reads a referral whose customer lies within the scope.
//
// Error: ErrNotFound.
func (s *Service) Referral(ctx context.Context, id uuid.UUID) (*loyalty.Referral, error) {
	r, err := s.db.From(ctx).Loyalty.Referral.Query().Where(referral.ID(id)).WithCode().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return r, s.reach(ctx, r.CustomerID, ErrNotFound.New())
}

// Filter narrows the list of referrals; empty parts do not.
type Filter struct {
	Status               string
	Customer, ReferredBy *uuid.UUID
}

// Referrals are those of customers within the scope, the newest first; the path is
// that of the list.
// Plan: referrals_pkey backwards, or an index of what is filtered by.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Referrals(ctx context.Context, path string, f Filter, asked page.Asked) (*page.Of[*loyalty.Referral], error) {
	l := page.NewList(path, asked.Limit)
	q := s.db.From(ctx).Loyalty.Referral.Query().WithCode()
	switch {
	case f.ReferredBy != nil: // through the code, whose customer the caller has to reach
		if err := s.reach(ctx, *f.ReferredBy, ErrCustomerNotFound.New()); err != nil {
			return nil, err
		}
		q.Where(referral.HasCodeWith(referralcode.CustomerID(*f.ReferredBy)))
	default:
		visible, err := scope.Through(ctx, referral.FieldCustomerID, "customers", scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id"})
		if err != nil {
			return nil, err
		}
		q.Where(visible)
	}
	if f.ReferredBy != nil {
		l.Filters.Set("referred_by", f.ReferredBy.String())
	}
	if f.Customer != nil {
		l.Filters.Set("customer_id", f.Customer.String())
		now, err := s.customers.GoesOn(ctx, *f.Customer)
		if err != nil {
			return nil, err
		}
		q.Where(referral.CustomerID(now))
	}
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.Where(referral.StatusEQ(referral.Status(f.Status)))
	}
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.Referral, error) {
		if after != nil {
			q.Where(referral.IDLT(*after))
		}
		return q.Order(referral.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(r *loyalty.Referral) uuid.UUID { return r.ID })
}

// Codes are those of customers within the scope, the newest first.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Codes(ctx context.Context, customer *uuid.UUID, code string, asked page.Asked) (*page.Of[*loyalty.ReferralCode], error) {
	l := page.NewList("/v1/referral-codes", asked.Limit)
	visible, err := scope.Through(ctx, referralcode.FieldCustomerID, "customers", scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id"})
	if err != nil {
		return nil, err
	}
	where := []predicate.ReferralCode{visible}
	if customer != nil {
		l.Filters.Set("customer_id", customer.String())
		now, err := s.customers.GoesOn(ctx, *customer)
		if err != nil {
			return nil, err
		}
		where = append(where, referralcode.CustomerID(now))
	}
	if code != "" {
		l.Filters.Set("code", code)
		where = append(where, referralcode.Code(code))
	}
	q := s.db.From(ctx).Loyalty.ReferralCode.Query().Where(where...)
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.ReferralCode, error) {
		if after != nil {
			q.Where(referralcode.IDLT(*after))
		}
		return q.Order(referralcode.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(c *loyalty.ReferralCode) uuid.UUID { return c.ID })
}
