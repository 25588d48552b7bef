package points

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsaccount"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsadjustment"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsentry"
	"github.com/shuke-crm/shuke/ent/loyalty/pointshold"
	"github.com/shuke-crm/shuke/ent/loyalty/pointslot"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsposting"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/predicate"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Asked is which page of a list is wanted.
type Asked struct {
	Limit  *int32
	Cursor *string
	Total  bool
}

// position is the last row of a page.
type position struct {
	ID uuid.UUID `json:"id"`
}

// fetch reads a page, the newest first: rows reads at most so many after an id.
func fetch[R any](ctx context.Context, s *Service, l page.List, asked Asked, total func(context.Context) (int, error), rows func(after *uuid.UUID, limit int) ([]R, error), id func(R) uuid.UUID) (*page.Of[R], error) {
	out := &page.Of[R]{}
	if asked.Total {
		n, err := total(ctx)
		if err != nil {
			return nil, err
		}
		all := int64(n)
		out.Total = &all
	}
	var at position
	var after *uuid.UUID
	if ok, err := s.pages.Decode(l.Name(), asked.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		after = &at.ID
	}
	found, err := rows(after, l.Limit+1)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{id(out.Items[len(out.Items)-1])})
	}
	return out, nil
}

// Balance is what a member has of a unit.
type Balance struct {
	Unit                      *loyalty.PointsUnit
	Balance, Pending, Blocked int64 // Balance is below zero where points are owed
	Expiring                  []Expiring
}

// Expiring is how many points of the balance are gone from an instant on.
type Expiring struct {
	At     time.Time
	Points int64
}

// balanceSQL reads the accounts as of an instant: lots that have become active or
// have expired by then count as such, whether or not that is booked yet. Where
// points are owed it says so: what becomes active settles debt first, in the order
// of time, so that is booked before it is told.
// Plan: points_accounts_customer_idx; the index of due lots only where some are.
const balanceSQL = `
SELECT coalesce(sum(a.active - a.debt + d.activated - d.expired), 0), coalesce(sum(a.pending - d.activated), 0), coalesce(sum(a.blocked), 0),
       coalesce(bool_or(a.debt > 0 AND a.due_at <= $3), false)
FROM points_accounts a CROSS JOIN LATERAL (
    SELECT coalesce(sum(pending) FILTER (WHERE active_at <= $3), 0) AS activated,
           coalesce(sum(active + CASE WHEN active_at <= $3 THEN pending ELSE 0 END) FILTER (WHERE expires_at <= $3), 0) AS expired
    FROM points_lots l WHERE a.due_at <= $3 AND l.account_id = a.id AND (l.pending > 0 OR l.active > 0)
) d WHERE a.customer_id = $1 AND a.unit_id = $2`

// expiringSQL sums what is active up by when it expires.
// Plan: points_lots_active_idx.
const expiringSQL = `SELECT l.expires_at, sum(l.active) FROM points_accounts a JOIN points_lots l ON l.account_id = a.id
WHERE a.customer_id = $1 AND a.unit_id = $2 AND l.active > 0 AND l.expires_at > $3 AND l.expires_at <= $4 GROUP BY l.expires_at ORDER BY l.expires_at LIMIT 50`

// expiringWithin is how far ahead expiring points are told.
const expiringWithin = 731 * 24 * time.Hour

// Of says what a member has of a unit now.
//
// Errors: ErrCustomerNotFound, ErrUnit.
func (s *Service) Of(ctx context.Context, customer uuid.UUID, unit string) (*Balance, error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	u, err := s.unit(ctx, unit, ErrUnit, "?unit")
	if err != nil {
		return nil, err
	}
	now, b := s.clock.Now(), &Balance{Unit: u}
	clients := s.db.From(ctx)
	var owing bool
	if err := clients.QueryRow(ctx, balanceSQL, customer, u.ID, now).Scan(&b.Balance, &b.Pending, &b.Blocked, &owing); err != nil {
		return nil, err
	}
	if owing {
		if err := s.settleOf(ctx, u, customer); err != nil {
			return nil, err
		}
		if err := clients.QueryRow(ctx, balanceSQL, customer, u.ID, now).Scan(&b.Balance, &b.Pending, &b.Blocked, &owing); err != nil {
			return nil, err
		}
	}
	rows, err := clients.Query(ctx, expiringSQL, customer, u.ID, now, now.Add(expiringWithin))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Expiring
		if err := rows.Scan(&e.At, &e.Points); err != nil {
			return nil, err
		}
		b.Expiring = append(b.Expiring, e)
	}
	return b, rows.Err()
}

// settleOf books what is due on a customer's accounts.
func (s *Service) settleOf(ctx context.Context, u *loyalty.PointsUnit, customer uuid.UUID) error {
	return s.db.InTx(auth.System(ctx, "points.settle"), func(ctx context.Context, tx *db.Tx) error {
		j, err := s.journal(ctx)
		if err != nil {
			return err
		}
		if err := s.lock(ctx, tx, j, u, customer); err != nil {
			return err
		}
		return s.write(ctx, tx, j)
	})
}

// accounts are the accounts that a customer within the scope has, of one unit or
// of all.
// Errors: ErrCustomerNotFound, ErrUnit.
func (s *Service) accounts(ctx context.Context, l page.List, customer uuid.UUID, unit string) (ids, error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	where := []predicate.PointsAccount{pointsaccount.CustomerID(customer)}
	if unit != "" {
		u, err := s.unit(ctx, unit, ErrUnit, "?unit")
		if err != nil {
			return nil, err
		}
		l.Filters.Set("unit", unit)
		where = append(where, pointsaccount.UnitID(u.ID))
	}
	found, err := s.db.From(ctx).Loyalty.PointsAccount.Query().Where(where...).IDs(ctx)
	return found, err
}

// EntryFilter narrows a statement; empty parts do not.
type EntryFilter struct {
	Unit, Kind    string
	OrderID       *uuid.UUID
	After, Before *time.Time // by when it was booked
}

// Entries is the statement of a member, the newest first; the path is that of the
// list, for the link to the next page.
// Plan: points_entries_member_idx backwards.
//
// Errors: ErrCustomerNotFound, ErrUnit, apperr.ErrBadCursor.
func (s *Service) Entries(ctx context.Context, path string, customer uuid.UUID, f EntryFilter, asked Asked) (*page.Of[*loyalty.PointsEntry], error) {
	l := page.NewList(path, asked.Limit)
	accounts, err := s.accounts(ctx, l, customer, f.Unit)
	if err != nil {
		return nil, err
	}
	where := []predicate.PointsEntry{pointsentry.AccountIDIn(accounts...)}
	if f.Kind != "" {
		l.Filters.Set("kind", f.Kind)
		where = append(where, pointsentry.KindEQ(pointsentry.Kind(f.Kind)))
	}
	if f.OrderID != nil {
		l.Filters.Set("order_id", f.OrderID.String())
		where = append(where, pointsentry.OrderID(*f.OrderID))
	}
	if f.After != nil {
		l.Filters.Set("created_after", f.After.UTC().Format(time.RFC3339Nano))
		where = append(where, pointsentry.CreatedAtGTE(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("created_before", f.Before.UTC().Format(time.RFC3339Nano))
		where = append(where, pointsentry.CreatedAtLT(*f.Before))
	}
	q := s.db.From(ctx).Loyalty.PointsEntry.Query().Where(where...).WithAccount(func(q *loyalty.PointsAccountQuery) { q.WithUnit() })
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsEntry, error) {
		if after != nil {
			q.Where(pointsentry.IDLT(*after))
		}
		return q.Order(pointsentry.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(e *loyalty.PointsEntry) uuid.UUID { return e.ID })
}

// Entry reads one entry with its postings.
//
// Errors: ErrEntryNotFound.
func (s *Service) Entry(ctx context.Context, id uuid.UUID) (*loyalty.PointsEntry, error) {
	e, err := s.db.From(ctx).Loyalty.PointsEntry.Query().Where(pointsentry.ID(id)).WithAccount().
		WithPostings(func(q *loyalty.PointsPostingQuery) { q.Order(loyalty.Asc("id")) }).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrEntryNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return e, s.reach(ctx, e.Edges.Account.CustomerID, ErrEntryNotFound.New())
}

// Lots are the lots of a member, the newest first; open ones have points left.
// Plan: points_lots_account_idx.
//
// Errors: ErrCustomerNotFound, ErrUnit, apperr.ErrBadCursor.
func (s *Service) Lots(ctx context.Context, customer uuid.UUID, unit string, open bool, asked Asked) (*page.Of[*loyalty.PointsLot], error) {
	l := page.NewList("/v1/customers/"+customer.String()+"/points/lots", asked.Limit)
	accounts, err := s.accounts(ctx, l, customer, unit)
	if err != nil {
		return nil, err
	}
	where := []predicate.PointsLot{pointslot.AccountIDIn(accounts...)}
	if open {
		l.Filters.Set("open", "true")
		where = append(where, pointslot.Or(pointslot.PendingGT(0), pointslot.ActiveGT(0), pointslot.BlockedGT(0)))
	}
	q := s.db.From(ctx).Loyalty.PointsLot.Query().Where(where...)
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsLot, error) {
		if after != nil {
			q.Where(pointslot.IDLT(*after))
		}
		return q.Order(pointslot.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(e *loyalty.PointsLot) uuid.UUID { return e.ID })
}

// Holds are the holds of a member's points, the newest first.
// Plan: points_holds_customer_idx backwards.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) Holds(ctx context.Context, customer uuid.UUID, status string, asked Asked) (*page.Of[*loyalty.PointsHold], error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/customers/"+customer.String()+"/points/holds", asked.Limit)
	where := []predicate.PointsHold{pointshold.CustomerID(customer)}
	if status != "" {
		l.Filters.Set("status", status)
		where = append(where, pointshold.StatusEQ(pointshold.Status(status)))
	}
	q := s.db.From(ctx).Loyalty.PointsHold.Query().Where(where...).WithUnit()
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsHold, error) {
		if after != nil {
			q.Where(pointshold.IDLT(*after))
		}
		return q.Order(pointshold.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(h *loyalty.PointsHold) uuid.UUID { return h.ID })
}

// Hold reads a hold.
//
// Errors: ErrHoldNotFound.
func (s *Service) Hold(ctx context.Context, id uuid.UUID) (*loyalty.PointsHold, error) {
	h, err := s.db.From(ctx).Loyalty.PointsHold.Query().Where(pointshold.ID(id)).WithUnit().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrHoldNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return h, s.reach(ctx, h.CustomerID, ErrHoldNotFound.New())
}

// Adjustments are those of customers within the scope, the newest first.
// Plan: points_adjustments_awaiting_idx, points_adjustments_customer_idx or
// points_adjustments_pkey backwards, each row's customer by its key.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Adjustments(ctx context.Context, customer *uuid.UUID, status string, asked Asked) (*page.Of[*loyalty.PointsAdjustment], error) {
	l := page.NewList("/v1/points/adjustments", asked.Limit)
	visible, err := scope.Through(ctx, pointsadjustment.FieldCustomerID, "customers", scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id"})
	if err != nil {
		return nil, err
	}
	where := []predicate.PointsAdjustment{visible}
	if customer != nil {
		l.Filters.Set("customer_id", customer.String())
		now, err := s.customers.GoesOn(ctx, *customer)
		if err != nil {
			return nil, err
		}
		where = append(where, pointsadjustment.CustomerID(now))
	}
	if status != "" {
		l.Filters.Set("status", status)
		where = append(where, pointsadjustment.StatusEQ(pointsadjustment.Status(status)))
	}
	q := s.db.From(ctx).Loyalty.PointsAdjustment.Query().Where(where...).WithUnit()
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsAdjustment, error) {
		if after != nil {
			q.Where(pointsadjustment.IDLT(*after))
		}
		return q.Order(pointsadjustment.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(a *loyalty.PointsAdjustment) uuid.UUID { return a.ID })
}

// Postings are the postings of the whole ledger in the order in which they were
// written, from which anybody can add up what the books hold.
// Plan: points_postings_pkey.
//
// Errors: ErrWhole, apperr.ErrBadCursor.
func (s *Service) Postings(ctx context.Context, asked Asked) (*page.Of[*loyalty.PointsPosting], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/points/postings", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsPosting.Query().WithAccount()
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsPosting, error) {
		if after != nil {
			q.Where(pointsposting.IDGT(*after))
		}
		return q.Order(pointsposting.ByID()).Limit(limit).All(ctx)
	}, func(p *loyalty.PointsPosting) uuid.UUID { return p.ID })
}

// Adjustment reads an adjustment.
//
// Errors: ErrAdjustmentNotFound.
func (s *Service) Adjustment(ctx context.Context, id uuid.UUID) (*loyalty.PointsAdjustment, error) {
	a, err := s.db.From(ctx).Loyalty.PointsAdjustment.Query().Where(pointsadjustment.ID(id)).WithUnit().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrAdjustmentNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return a, s.reach(ctx, a.CustomerID, ErrAdjustmentNotFound.New())
}

// Units are all units, the newest first.
// Error: apperr.ErrBadCursor.
func (s *Service) Units(ctx context.Context, asked Asked) (*page.Of[*loyalty.PointsUnit], error) {
	l := page.NewList("/v1/points/units", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsUnit.Query()
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsUnit, error) {
		if after != nil {
			q.Where(pointsunit.IDLT(*after))
		}
		return q.Order(pointsunit.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(u *loyalty.PointsUnit) uuid.UUID { return u.ID })
}
