package points

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// NewGrant is points to give to a customer, one of many: a bonus, or what they had
// in a former system.
type NewGrant struct {
	Customer  customers.Ref
	Unit      string // code; empty: DefaultUnit
	Points    int64
	Reason    string
	Key       string     // of this grant among the customer's: sent again it is known
	EarnedAt  *time.Time // nil: now
	ExpiresAt *time.Time // nil: as the unit says
}

// Granted is what became of a grant.
type Granted struct {
	CustomerID uuid.UUID // zero where it failed
	Known      bool      // given before
	Err        *apperr.Error
}

// grantChunk is how many grants one transaction books.
const grantChunk = 500

// Grants gives points to many, each once for its key, to be spent at once, and tells
// what became of each. Faults of one leave the others alone. An error says that the
// service itself failed; sending all again is safe then.
//
// Results carry: ErrGrantCustomer, ErrUnit, ErrReason, ErrNeedsApproval, ErrInstant,
// ErrLongExpired, ErrBalanceLimit, ErrPointsOverflow.
func (s *Service) Grants(ctx context.Context, all []NewGrant) ([]Granted, error) {
	out := make([]Granted, len(all))
	for from := 0; from < len(all); from += grantChunk {
		to := min(len(all), from+grantChunk)
		err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error { return s.grants(ctx, tx, all[from:to], out[from:to]) })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) grants(ctx context.Context, tx *db.Tx, all []NewGrant, out []Granted) error {
	b, err := s.rules(ctx, tx.Clients)
	if err != nil {
		return err
	}
	refs := make([]customers.Ref, len(all))
	for i, g := range all {
		refs[i], out[i] = g.Customer, Granted{}
	}
	found, err := s.customers.Resolve(ctx, tx, refs)
	if err != nil {
		return err
	}
	visible, err := s.visible(ctx, tx, found)
	if err != nil {
		return err
	}
	known := b.ordered()
	now, byUnit, at := s.clock.Now(), map[uuid.UUID][]Grant{}, map[uuid.UUID][]int{}
	for i, g := range all {
		if !visible[found[i].ID] || found[i].Archived {
			out[i].Err = ErrGrantCustomer.At("/customer")
			continue
		}
		n := slices.IndexFunc(known, func(u *loyalty.PointsUnit) bool { return u.Code == g.Unit || g.Unit == "" && u.Code == DefaultUnit })
		if n < 0 {
			out[i].Err = ErrUnit.At("/unit")
			continue
		}
		u, reason, earned := known[n], strings.TrimSpace(g.Reason), now
		if g.EarnedAt != nil {
			earned = g.EarnedAt.UTC()
		}
		switch {
		case reason == "":
			out[i].Err = ErrReason.At("/reason")
		case u.ApprovalLimit != nil && g.Points > *u.ApprovalLimit:
			out[i].Err = ErrNeedsApproval.At("/points").Arg("limit", *u.ApprovalLimit)
		case earned.After(now):
			out[i].Err = ErrInstant.At("/earned_at")
		case g.ExpiresAt != nil && !g.ExpiresAt.After(now):
			out[i].Err = ErrLongExpired.At("/expires_at")
		default:
			byUnit[u.ID] = append(byUnit[u.ID], Grant{CustomerID: found[i].ID, Points: g.Points, EarnedAt: earned, Reason: reason, AtOnce: true, Expires: g.ExpiresAt,
				SourceKey: "grant:" + found[i].ID.String() + ":" + g.Key})
			at[u.ID] = append(at[u.ID], i)
		}
	}
	units := make([]uuid.UUID, 0, len(byUnit))
	for id := range byUnit {
		units = append(units, id)
	}
	slices.SortFunc(units, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	given := map[string]int64{}
	for _, id := range units {
		results, err := s.giveAll(ctx, tx, b.units[id], byUnit[id])
		if err != nil {
			return err
		}
		for k, i := range at[id] {
			g := byUnit[id][k]
			if out[i].CustomerID, out[i].Known = g.CustomerID, results[k] == errGiven; results[k] != nil && !out[i].Known {
				out[i] = Granted{Err: results[k]}
			}
			if results[k] == nil {
				given[b.units[id].Code] += g.Points
			}
		}
	}
	if len(given) > 0 {
		audit.Record(ctx, tx, audit.Entry{Action: "points.grant", ObjectType: "points", Changes: map[string]any{"given": given, "grants": len(all)}})
	}
	return nil
}

// visible are those of the customers that lie within the caller's scope.
func (s *Service) visible(ctx context.Context, tx *db.Tx, all []customers.Resolved) (map[uuid.UUID]bool, error) {
	named := make([]uuid.UUID, 0, len(all))
	for _, r := range all {
		if r.ID != uuid.Nil {
			named = append(named, r.ID)
		}
	}
	seen, err := tx.CRM.Customer.Query().Where(customer.IDIn(distinct(named)...)).IDs(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]bool, len(seen))
	for _, id := range seen {
		out[id] = true
	}
	return out, nil
}
