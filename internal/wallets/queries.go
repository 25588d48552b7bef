package wallets

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/predicate"
	"github.com/shuke-crm/shuke/ent/loyalty/walletaccount"
	"github.com/shuke-crm/shuke/ent/loyalty/walletadjustment"
	"github.com/shuke-crm/shuke/ent/loyalty/walletentry"
	"github.com/shuke-crm/shuke/ent/loyalty/walletpayment"
	"github.com/shuke-crm/shuke/ent/loyalty/walletposting"
	"github.com/shuke-crm/shuke/ent/loyalty/wallettopup"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Wallet is what a member has of stored value.
type Wallet struct {
	CustomerID                uuid.UUID
	Currency                  string
	Principal, Bonus, Blocked int64
	Expiring                  []Expiring
	FrozenAt                  *time.Time
	FrozenReason              string
	PINSet, PINLocked         bool
}

// Expiring is how much of the bonus is gone from an instant on.
type Expiring struct {
	At     time.Time
	Amount int64
}

// walletSQL reads a member's wallet as of an instant: a bonus that has expired by
// then is gone, whether or not that is booked yet.
// Plan: wallet_accounts_customer_idx; the index of lots only where some are due.
const walletSQL = `
SELECT coalesce(sum(a.principal), 0), coalesce(sum(a.bonus - d.expired), 0), coalesce(sum(a.principal_blocked + a.bonus_blocked), 0), max(a.frozen_at), coalesce(max(a.frozen_reason), '')
FROM wallet_accounts a CROSS JOIN LATERAL (
    SELECT coalesce(sum(available), 0) AS expired FROM wallet_lots l WHERE a.due_at <= $2 AND l.account_id = a.id AND l.kind = 'bonus' AND l.available > 0 AND l.expires_at <= $2
) d WHERE a.customer_id = $1`

// expiringSQL sums the bonus by when it expires.
// Plan: wallet_lots_available_idx.
const expiringSQL = `SELECT l.expires_at, sum(l.available) FROM wallet_accounts a JOIN wallet_lots l ON l.account_id = a.id
WHERE a.customer_id = $1 AND l.kind = 'bonus' AND l.available > 0 AND l.expires_at > $2 GROUP BY l.expires_at ORDER BY l.expires_at LIMIT 50`

// Of says what a member has of stored value now.
//
// Error: ErrCustomerNotFound.
func (s *Service) Of(ctx context.Context, customer uuid.UUID) (*Wallet, error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	a, err := s.account(ctx, customer)
	out := &Wallet{CustomerID: customer, Currency: s.currency}
	if err != nil || a == nil {
		return out, err
	}
	out.PINSet, out.PINLocked = a.PinHash != "", a.PinFailures >= mostWrong
	now, clients := s.clock.Now(), s.db.From(ctx)
	if err := clients.QueryRow(ctx, walletSQL, customer, now).Scan(&out.Principal, &out.Bonus, &out.Blocked, &out.FrozenAt, &out.FrozenReason); err != nil {
		return nil, err
	}
	rows, err := clients.Query(ctx, expiringSQL, customer, now)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Expiring
		if err := rows.Scan(&e.At, &e.Amount); err != nil {
			return nil, err
		}
		out.Expiring = append(out.Expiring, e)
	}
	return out, rows.Err()
}

// EntryFilter narrows a statement; empty parts do not.
type EntryFilter struct {
	Kind          string
	OrderID       *uuid.UUID
	After, Before *time.Time // by when it was booked
}

// Entries is the statement of a member, the newest first; the path is that of the
// list, for the link to the next page.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) Entries(ctx context.Context, path string, customer uuid.UUID, f EntryFilter, asked page.Asked) (*page.Of[*loyalty.WalletEntry], error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	accounts, err := s.db.From(ctx).Loyalty.WalletAccount.Query().Where(walletaccount.CustomerID(customer)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	return s.statement(ctx, page.NewList(path, asked.Limit), accounts, f, asked)
}

// statement lists entries of accounts, the newest first.
// Plan: wallet_entries_statement_idx backwards.
func (s *Service) statement(ctx context.Context, l page.List, accounts []uuid.UUID, f EntryFilter, asked page.Asked) (*page.Of[*loyalty.WalletEntry], error) {
	where := []predicate.WalletEntry{walletentry.AccountIDIn(accounts...)}
	if f.Kind != "" {
		l.Filters.Set("kind", f.Kind)
		where = append(where, walletentry.KindEQ(walletentry.Kind(f.Kind)))
	}
	if f.OrderID != nil {
		l.Filters.Set("order_id", f.OrderID.String())
		where = append(where, walletentry.OrderID(*f.OrderID))
	}
	if f.After != nil {
		l.Filters.Set("created_after", f.After.UTC().Format(time.RFC3339Nano))
		where = append(where, walletentry.CreatedAtGTE(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("created_before", f.Before.UTC().Format(time.RFC3339Nano))
		where = append(where, walletentry.CreatedAtLT(*f.Before))
	}
	q := s.db.From(ctx).Loyalty.WalletEntry.Query().Where(where...)
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.WalletEntry, error) {
		if after != nil {
			q.Where(walletentry.IDLT(*after))
		}
		return q.Order(walletentry.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(e *loyalty.WalletEntry) uuid.UUID { return e.ID })
}

// Entry reads one entry with its postings.
//
// Errors: ErrEntryNotFound.
func (s *Service) Entry(ctx context.Context, id uuid.UUID) (*loyalty.WalletEntry, error) {
	e, err := s.db.From(ctx).Loyalty.WalletEntry.Query().Where(walletentry.ID(id)).WithAccount().
		WithPostings(func(q *loyalty.WalletPostingQuery) { q.Order(loyalty.Asc("id")) }).Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrEntryNotFound.New()
	}
	if err != nil || e.Edges.Account.CustomerID == nil {
		return e, err
	}
	return e, s.reach(ctx, *e.Edges.Account.CustomerID, ErrEntryNotFound.New())
}

// TopUps are those of a member, the newest first.
// Plan: wallet_top_ups_customer_idx backwards.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) TopUps(ctx context.Context, customer uuid.UUID, asked page.Asked) (*page.Of[*loyalty.WalletTopUp], error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	q := s.db.From(ctx).Loyalty.WalletTopUp.Query().Where(wallettopup.CustomerID(customer))
	return page.Fetch(ctx, s.pages, page.NewList("/v1/customers/"+customer.String()+"/wallet/top-ups", asked.Limit), asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.WalletTopUp, error) {
		if after != nil {
			q.Where(wallettopup.IDLT(*after))
		}
		return q.Order(wallettopup.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(t *loyalty.WalletTopUp) uuid.UUID { return t.ID })
}

// TopUpOf reads a top-up.
//
// Error: ErrTopUpNotFound.
func (s *Service) TopUpOf(ctx context.Context, id uuid.UUID) (*loyalty.WalletTopUp, error) {
	t, err := s.db.From(ctx).Loyalty.WalletTopUp.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrTopUpNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return t, s.reach(ctx, t.CustomerID, ErrTopUpNotFound.New())
}

// Payments are those of a member, the newest first.
// Plan: wallet_payments_customer_idx backwards.
//
// Errors: ErrCustomerNotFound, apperr.ErrBadCursor.
func (s *Service) Payments(ctx context.Context, customer uuid.UUID, status string, asked page.Asked) (*page.Of[*loyalty.WalletPayment], error) {
	if err := s.reach(ctx, customer, ErrCustomerNotFound.New()); err != nil {
		return nil, err
	}
	l := page.NewList("/v1/customers/"+customer.String()+"/wallet/payments", asked.Limit)
	q := s.db.From(ctx).Loyalty.WalletPayment.Query().Where(walletpayment.CustomerID(customer))
	if status != "" {
		l.Filters.Set("status", status)
		q.Where(walletpayment.StatusEQ(walletpayment.Status(status)))
	}
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.WalletPayment, error) {
		if after != nil {
			q.Where(walletpayment.IDLT(*after))
		}
		return q.Order(walletpayment.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(p *loyalty.WalletPayment) uuid.UUID { return p.ID })
}

// PaymentOf reads a payment. What a gift card paid is nobody's in particular.
//
// Error: ErrPaymentNotFound.
func (s *Service) PaymentOf(ctx context.Context, id uuid.UUID) (*loyalty.WalletPayment, error) {
	p, err := s.db.From(ctx).Loyalty.WalletPayment.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrPaymentNotFound.New()
	}
	if err != nil || p.CustomerID == nil {
		return p, err
	}
	return p, s.reach(ctx, *p.CustomerID, ErrPaymentNotFound.New())
}

// Adjustments are those of customers within the scope, the newest first.
// Plan: wallet_adjustments_awaiting_idx, wallet_adjustments_customer_idx or
// wallet_adjustments_pkey backwards, each row's customer by its key.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Adjustments(ctx context.Context, customer *uuid.UUID, status string, asked page.Asked) (*page.Of[*loyalty.WalletAdjustment], error) {
	l := page.NewList("/v1/wallets/adjustments", asked.Limit)
	visible, err := scope.Through(ctx, walletadjustment.FieldCustomerID, "customers", scope.Columns{Store: "home_store_id", Staff: "assigned_staff_id"})
	if err != nil {
		return nil, err
	}
	where := []predicate.WalletAdjustment{visible}
	if customer != nil {
		l.Filters.Set("customer_id", customer.String())
		now, err := s.customers.GoesOn(ctx, *customer)
		if err != nil {
			return nil, err
		}
		where = append(where, walletadjustment.CustomerID(now))
	}
	if status != "" {
		l.Filters.Set("status", status)
		where = append(where, walletadjustment.StatusEQ(walletadjustment.Status(status)))
	}
	q := s.db.From(ctx).Loyalty.WalletAdjustment.Query().Where(where...)
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.WalletAdjustment, error) {
		if after != nil {
			q.Where(walletadjustment.IDLT(*after))
		}
		return q.Order(walletadjustment.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(a *loyalty.WalletAdjustment) uuid.UUID { return a.ID })
}

// Adjustment reads an adjustment.
//
// Error: ErrAdjustmentNotFound.
func (s *Service) Adjustment(ctx context.Context, id uuid.UUID) (*loyalty.WalletAdjustment, error) {
	a, err := s.db.From(ctx).Loyalty.WalletAdjustment.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrAdjustmentNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return a, s.reach(ctx, a.CustomerID, ErrAdjustmentNotFound.New())
}

// Postings are the postings of the whole ledger in the order in which they were
// written, from which anybody can add up what the books hold.
// Plan: wallet_postings_pkey.
//
// Errors: ErrWhole, apperr.ErrBadCursor.
func (s *Service) Postings(ctx context.Context, asked page.Asked) (*page.Of[*loyalty.WalletPosting], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	q := s.db.From(ctx).Loyalty.WalletPosting.Query()
	return page.Fetch(ctx, s.pages, page.NewList("/v1/wallets/postings", asked.Limit), asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.WalletPosting, error) {
		if after != nil {
			q.Where(walletposting.IDGT(*after))
		}
		return q.Order(walletposting.ByID()).Limit(limit).All(ctx)
	}, func(p *loyalty.WalletPosting) uuid.UUID { return p.ID })
}
