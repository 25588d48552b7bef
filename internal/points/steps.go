package points

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Grant is points that a rule gives.
type Grant struct {
	CustomerID uuid.UUID
	Unit       string // code; empty: DefaultUnit
	Points     int64
	EarnedAt   time.Time // pending and expiry are counted from then
	OrderID    *uuid.UUID
	Reason     string
	// SourceKey is what it is given for where that gives points once only, such as
	// "sign_up:<customer>"; empty: may be given again.
	SourceKey string
}

// Give books a grant and reports whether it did: what has been given for its
// source key already is not given again, nor is anything beyond the unit's limit
// of a balance.
//
// Error: ErrUnit.
func (s *Service) Give(ctx context.Context, tx *db.Tx, g Grant) (bool, error) {
	u, err := s.unit(ctx, g.Unit, ErrUnit, "/unit")
	if err != nil {
		return false, err
	}
	j, err := s.journal(ctx)
	if err != nil {
		return false, err
	}
	if err := s.lock(ctx, tx, j, u, g.CustomerID); err != nil {
		return false, err
	}
	of := about{kind: "earn", reason: g.Reason, at: g.EarnedAt}
	l := lot{amount: g.Points, earned: g.EarnedAt, activeAt: activation(u, s.clock, g.EarnedAt)}
	if g.OrderID != nil {
		of.order = uuid.NullUUID{UUID: *g.OrderID, Valid: true}
		l.order = of.order
	}
	if g.SourceKey != "" {
		of.sourceKey = &g.SourceKey
		// Under the lock of the account: who asks for the same key waits here.
		var known bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM points_entries WHERE source_key = $1)", g.SourceKey).Scan(&known); err != nil {
			return false, err
		}
		if known {
			return false, s.write(ctx, tx, j) // what was due is settled
		}
	}
	if ErrBalanceLimit.Is(j.room(u, g.CustomerID, g.Points, "")) {
		return false, s.write(ctx, tx, j)
	}
	l.expires = expiry(u, s.clock, l.activeAt)
	if err := j.give(j.own(g.CustomerID), of, Issued, l); err != nil {
		return false, err
	}
	return true, s.write(ctx, tx, j)
}
