package points

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Grant is points that are given for something.
type Grant struct {
	CustomerID uuid.UUID
	Unit       string // code; empty: DefaultUnit
	Points     int64
	EarnedAt   time.Time // pending and expiry are counted from then
	OrderID    *uuid.UUID
	Reason     string
	// SourceKey is what it is given for where that gives points once only, such as
	// "reward:<redemption>". Empty: may be given again.
	SourceKey string
	AtOnce    bool       // can be spent at once, whatever the unit says
	Expires   *time.Time // nil: as the unit says
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
	out, err := s.giveAll(ctx, tx, u, []Grant{g})
	return err == nil && out[0] == nil, err
}

// errGiven is the outcome of a grant whose source key has been given for.
var errGiven = &apperr.Error{}

// giveAll books grants of a unit and says what is wrong with each; nil: given.
func (s *Service) giveAll(ctx context.Context, tx *db.Tx, u *loyalty.PointsUnit, grants []Grant) ([]*apperr.Error, error) {
	j, err := s.journal(ctx)
	if err != nil {
		return nil, err
	}
	customers := make([]uuid.UUID, len(grants))
	var sources []string
	for i, g := range grants {
		if customers[i] = g.CustomerID; g.SourceKey != "" {
			sources = append(sources, g.SourceKey)
		}
	}
	if err := s.lock(ctx, tx, j, u, distinct(customers)...); err != nil {
		return nil, err
	}
	// Under the locks: who asks for the same keys of these customers waits there.
	known, err := givenFor(ctx, tx, sources)
	if err != nil {
		return nil, err
	}
	out := make([]*apperr.Error, len(grants))
	for i, g := range grants {
		of := about{kind: "earn", reason: g.Reason, at: g.EarnedAt}
		l := lot{amount: g.Points, earned: g.EarnedAt, activeAt: g.EarnedAt, expires: g.Expires}
		if !g.AtOnce {
			l.activeAt = activation(u, s.clock, g.EarnedAt)
		}
		if g.OrderID != nil {
			of.order = uuid.NullUUID{UUID: *g.OrderID, Valid: true}
			l.order = of.order
		}
		if g.SourceKey != "" {
			if known[g.SourceKey] {
				out[i] = errGiven
				continue
			}
			known[g.SourceKey] = true
			of.sourceKey = &g.SourceKey
		}
		if err := j.room(u, g.CustomerID, g.Points, "/points"); err != nil {
			out[i] = err.(*apperr.Error)
			continue
		}
		if l.expires == nil {
			l.expires = expiry(u, s.clock, l.activeAt)
		}
		if err := j.give(j.own(g.CustomerID), of, Issued, l); err != nil {
			return nil, err
		}
	}
	return out, s.write(ctx, tx, j)
}

// givenFor says for which source keys points have been given.
// Plan: points_entries_source_key.
func givenFor(ctx context.Context, tx *db.Tx, sources []string) (map[string]bool, error) {
	known := map[string]bool{}
	if len(sources) == 0 {
		return known, nil
	}
	rows, err := tx.Query(ctx, "SELECT source_key FROM points_entries WHERE source_key = ANY((SELECT $1::text[])::text[])", pq.Array(sources))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var k string
		if err := rows.Scan(&k); err != nil {
			return nil, err
		}
		known[k] = true
	}
	return known, rows.Err()
}

// TakeBack takes points back that were given for something which turned out not to
// be: from the lots that expire first, and, where the unit lets returns go so far, as
// a debt. It reports how many. The caller knows that it is done once.
//
// Error: ErrUnit.
func (s *Service) TakeBack(ctx context.Context, tx *db.Tx, g Grant) (taken int64, err error) {
	u, err := s.unit(ctx, g.Unit, ErrUnit, "/unit")
	if err != nil {
		return 0, err
	}
	j, err := s.journal(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.lock(ctx, tx, j, u, g.CustomerID); err != nil {
		return 0, err
	}
	moves, err := s.takeOthers(ctx, tx, j, u, g.CustomerID, g.Points, nil)
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		taken += m.amount
	}
	j.reverse(about{kind: "reverse", reason: g.Reason}, moves, g.CustomerID)
	return taken, s.write(ctx, tx, j)
}

// reverse books what is taken back: an entry for each account, what is owed being the
// customer's own.
func (j *journal) reverse(of about, moves []posting, customer uuid.UUID) {
	for _, a := range j.accounts {
		j.enter(a, of, func(e *entry) {
			for _, m := range moves {
				if m.lot != nil && m.lot.account == a || m.lot == nil && a == j.own(customer) {
					j.move(e, m.lot, m.from, Reversed, m.amount)
				}
			}
		})
	}
}
