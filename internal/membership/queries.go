package membership

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/membership"
	"github.com/shuke-crm/shuke/ent/loyalty/membershipchange"
	"github.com/shuke-crm/shuke/ent/loyalty/membershipgrant"
	"github.com/shuke-crm/shuke/ent/loyalty/tier"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Asked is which page of a list is wanted.
type Asked struct {
	Limit  *int32
	Cursor *string
	Total  bool
}

// fetch reads a page: rows reads at most so many after a position, at says where
// a row stands.
func fetch[R, P any](ctx context.Context, s *Service, l page.List, asked Asked, total func(context.Context) (int, error), rows func(after *P, limit int) ([]R, error), at func(R) P) (*page.Of[R], error) {
	out := &page.Of[R]{}
	if asked.Total {
		n, err := total(ctx)
		if err != nil {
			return nil, err
		}
		all := int64(n)
		out.Total = &all
	}
	var position P
	var after *P
	if ok, err := s.pages.Decode(l.Name(), asked.Cursor, &position); err != nil {
		return nil, err
	} else if ok {
		after = &position
	}
	found, err := rows(after, l.Limit+1)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, at(out.Items[len(out.Items)-1]))
	}
	return out, nil
}

// byID is the last row of a page.
type byID struct {
	ID uuid.UUID `json:"id"`
}

type byNumber struct {
	N int64 `json:"n"`
}

// Tiers are all tiers, the lowest rank first.
// Error: apperr.ErrBadCursor.
func (s *Service) Tiers(ctx context.Context, asked Asked) (*page.Of[*loyalty.Tier], error) {
	q := s.db.From(ctx).Loyalty.Tier.Query()
	return fetch(ctx, s, page.NewList("/v1/tiers", asked.Limit), asked, q.Clone().Count, func(after *byNumber, limit int) ([]*loyalty.Tier, error) {
		if after != nil {
			q.Where(tier.RankGT(int(after.N)))
		}
		return q.Order(tier.ByRank()).Limit(limit).All(ctx)
	}, func(t *loyalty.Tier) byNumber { return byNumber{int64(t.Rank)} })
}

// Versions are the versions of the scheme, the newest first.
// Error: apperr.ErrBadCursor.
func (s *Service) Versions(ctx context.Context, asked Asked) (*page.Of[*Version], error) {
	c := s.db.From(ctx)
	return fetch(ctx, s, page.NewList("/v1/tier-scheme/versions", asked.Limit), asked, c.Loyalty.TierScheme.Query().Count, func(after *byNumber, limit int) ([]*Version, error) {
		var before *int64
		if after != nil {
			before = &after.N
		}
		rows, err := c.Query(ctx, versionSQL+"WHERE number < coalesce($1, number + 1) ORDER BY number DESC LIMIT $2", before, limit)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var out []*Version
		for rows.Next() {
			v, err := scanVersion(rows.Scan)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, rows.Err()
	}, func(v *Version) byNumber { return byNumber{v.Number} })
}

// Memberships are those of customers within the scope who are in a tier, or in
// this one, by the customers' ids.
// Plan: customers_tier_idx for one tier, customers_pkey for all, then memberships_customer_key.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Memberships(ctx context.Context, code string, asked Asked) (*page.Of[*loyalty.Membership], error) {
	l := page.NewList("/v1/memberships", asked.Limit)
	c := s.db.From(ctx)
	q := c.CRM.Customer.Query().Where(customer.TierCodeNotNil())
	if code != "" {
		l.Filters.Set("tier", code)
		q.Where(customer.TierCode(code))
	}
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *byID, limit int) ([]*loyalty.Membership, error) {
		if after != nil {
			q.Where(customer.IDGT(after.ID))
		}
		of, err := q.Order(customer.ByID()).Limit(limit).IDs(ctx)
		if err != nil {
			return nil, err
		}
		return c.Loyalty.Membership.Query().Where(membership.CustomerIDIn(of...)).Order(membership.ByCustomerID()).All(ctx)
	}, func(m *loyalty.Membership) byID { return byID{m.CustomerID} })
}

// Changes is the history of a membership, the newest first.
// Plan: memberships_customer_key, membership_changes_membership_idx backwards.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) Changes(ctx context.Context, path string, of uuid.UUID, asked Asked) (*page.Of[*loyalty.MembershipChange], error) {
	if err := s.reach(ctx, of); err != nil {
		return nil, err
	}
	c := s.db.From(ctx)
	ids, err := c.Loyalty.Membership.Query().Where(membership.CustomerID(of)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	q := c.Loyalty.MembershipChange.Query().Where(membershipchange.MembershipIDIn(ids...))
	return fetch(ctx, s, page.NewList(path, asked.Limit), asked, q.Clone().Count, func(after *byID, limit int) ([]*loyalty.MembershipChange, error) {
		if after != nil {
			q.Where(membershipchange.IDLT(after.ID))
		}
		return q.Order(membershipchange.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(m *loyalty.MembershipChange) byID { return byID{m.ID} })
}

// Grants are the tiers that a customer was given by hand, the newest first.
// Plan: membership_grants_customer_idx backwards.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) Grants(ctx context.Context, of uuid.UUID, asked Asked) (*page.Of[*loyalty.MembershipGrant], error) {
	if err := s.reach(ctx, of); err != nil {
		return nil, err
	}
	q := s.db.From(ctx).Loyalty.MembershipGrant.Query().Where(membershipgrant.CustomerID(of))
	return fetch(ctx, s, page.NewList("/v1/customers/"+of.String()+"/membership/grants", asked.Limit), asked, q.Clone().Count, func(after *byID, limit int) ([]*loyalty.MembershipGrant, error) {
		if after != nil {
			q.Where(membershipgrant.IDLT(after.ID))
		}
		return q.Order(membershipgrant.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(m *loyalty.MembershipGrant) byID { return byID{m.ID} })
}

// Standing is where a member stands, and what is to come.
type Standing struct {
	State
	CustomerID uuid.UUID
	In         *Tier // of the scheme in force; nil: none
	Next       []Progress
	Keep       *Progress  // at the next review; nil: for ever, or by hand
	Expected   string     // the tier after the present one is over, if nothing more happens
	ExpectedAt *time.Time // nil: no change is due
}

// Progress is how far a member is with a tier.
type Progress struct {
	Tier        *Tier
	Fulfilled   bool
	From, Until *clock.Day // of what counts; nil: open
	Reached     []int64    // for each condition
}

// Standing says where a member stands now, whether or not a review of it has been
// written.
//
// Error: ErrCustomerNotFound.
func (s *Service) Standing(ctx context.Context, of uuid.UUID) (*Standing, error) {
	if err := s.reach(ctx, of); err != nil {
		return nil, err
	}
	c := s.db.From(ctx)
	all, err := s.reigns(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &Standing{CustomerID: of}
	now := s.clock.Now()
	today := s.clock.DayOf(now)
	scheme := inForce(all, today)
	if scheme == nil {
		return out, nil
	}
	facts, err := s.facts(ctx, c, []uuid.UUID{of}, all)
	if err != nil {
		return nil, err
	}
	grants, err := s.grants(ctx, c, []uuid.UUID{of})
	if err != nil {
		return nil, err
	}
	f := facts[of]
	out.State, _ = replay(s.clock, all, f, grants[of], now)
	out.In = scheme.Tier(out.Tier)
	place := -1
	if out.In != nil {
		place = scheme.place(out.Tier)
	}
	rules := scheme.Rules
	for i := place + 1; i < len(scheme.Tiers); i++ {
		if t := &scheme.Tiers[i]; len(t.Conditions) > 0 {
			out.Next = append(out.Next, progress(f, t, rules.windowStart(today), today, rules.windowEnd(today)))
		}
	}
	if out.Ends == nil {
		return out, nil
	}
	at := *out.Ends
	if out.GrantID == nil {
		last := s.clock.DayOf(*out.Ends) - 1
		until := last + clock.Day(rules.GraceDays)
		if out.GraceEnds != nil {
			until = s.clock.DayOf(*out.GraceEnds) - 1
		}
		if out.In != nil {
			keep := progress(f, out.In, rules.windowStart(last), min(today, until), &until)
			out.Keep = &keep
		}
		at = s.clock.Start(until + 1)
	}
	then, _ := replay(s.clock, all, f, grants[of], at)
	out.Expected, out.ExpectedAt = then.Tier, &at
	return out, nil
}

func progress(f Facts, t *Tier, from, to clock.Day, until *clock.Day) Progress {
	p := Progress{Tier: t, Fulfilled: t.fulfilled(f, from, to), Until: until}
	if from != noDay {
		p.From = &from
	}
	for _, c := range t.Conditions {
		p.Reached = append(p.Reached, f.sum(keyOf(c), from, to))
	}
	return p
}
