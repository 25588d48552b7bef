package points

import (
	"context"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsaccount"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsentry"
	"github.com/shuke-crm/shuke/ent/loyalty/pointspartner"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/platform/apikey"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Partner is what can be said of a partner. What its keys booked is told apart by
// who did it, so that a key that becomes a partner's brings its past.
type Partner struct {
	Name   string
	Status pointspartner.Status
	Keys   []uuid.UUID
	Rates  []schema.PartnerRate
}

// checkPartner refuses keys and rates that cannot be. Rates that hold already cannot
// change, since they have been settled by.
// Errors: ErrPartnerKey, ErrPartnerRate.
func (s *Service) checkPartner(ctx context.Context, tx *db.Tx, id uuid.UUID, was []schema.PartnerRate, p *Partner) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('points.partners'))"); err != nil { // no key is two partners'
		return err
	}
	others, err := tx.Loyalty.PointsPartner.Query().Where(pointspartner.IDNEQ(id)).All(ctx)
	if err != nil {
		return err
	}
	known, err := tx.Platform.APIKey.Query().Where(apikey.IDIn(p.Keys...)).IDs(ctx)
	if err != nil {
		return err
	}
	wrong := ErrPartnerKey.New()
	for i, key := range p.Keys {
		taken := slices.ContainsFunc(others, func(o *loyalty.PointsPartner) bool { return slices.Contains(o.APIKeyIds, key) })
		if taken || !slices.Contains(known, key) || slices.Index(p.Keys, key) != i {
			wrong.Field("/api_key_ids/"+strconv.Itoa(i), ErrPartnerKey)
		}
	}
	if len(wrong.Fields) > 0 {
		return wrong
	}
	units, err := tx.Loyalty.PointsUnit.Query().Select(pointsunit.FieldCode).Strings(ctx)
	if err != nil {
		return err
	}
	today := s.clock.Today().String()
	for i, r := range p.Rates {
		if slices.ContainsFunc(p.Rates[:i], func(o schema.PartnerRate) bool { return o.Unit == r.Unit && o.From == r.From }) || !slices.Contains(units, r.Unit) ||
			r.From < today && !slices.Contains(was, r) && len(was) > 0 {
			wrong = ErrPartnerRate.At("/rates/" + strconv.Itoa(i))
			return wrong
		}
	}
	for _, r := range was {
		if r.From < today && !slices.Contains(p.Rates, r) {
			return ErrPartnerRate.At("/rates")
		}
	}
	slices.SortFunc(p.Rates, func(a, b schema.PartnerRate) int { return strings.Compare(a.Unit+a.From, b.Unit+b.From) })
	return nil
}

// CreatePartner makes a partner.
//
// Errors: ErrPartnerTaken, ErrPartnerKey, ErrPartnerRate.
func (s *Service) CreatePartner(ctx context.Context, code string, in Partner) (out *loyalty.PointsPartner, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.checkPartner(ctx, tx, id, nil, &in); err != nil {
			return err
		}
		now := s.clock.Now()
		out, err = tx.Loyalty.PointsPartner.Create().SetID(id).SetCode(code).SetName(strings.TrimSpace(in.Name)).SetAPIKeyIds(in.Keys).SetRates(in.Rates).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if db.Violated(err) == "points_partners_code_key" {
			return ErrPartnerTaken.At("/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.create_partner", ObjectType: "points_partner", ObjectID: id.String(), Changes: map[string]any{"code": code, "partner": in}})
		return err
	})
	return out, err
}

// UpdatePartner changes a partner by what change makes of it.
//
// Errors: ErrPartnerNotFound, apperr.ErrVersionMismatch, ErrPartnerKey, ErrPartnerRate.
func (s *Service) UpdatePartner(ctx context.Context, id uuid.UUID, ifMatch *string, change func(*Partner)) (out *loyalty.PointsPartner, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := tx.Loyalty.PointsPartner.Query().Where(pointspartner.ID(id)).ForUpdate().Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrPartnerNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, p.Version); err != nil {
			return err
		}
		was := Partner{Name: p.Name, Status: p.Status, Keys: p.APIKeyIds, Rates: p.Rates}
		now := Partner{Name: p.Name, Status: p.Status, Keys: slices.Clone(p.APIKeyIds), Rates: slices.Clone(p.Rates)}
		change(&now)
		if err := s.checkPartner(ctx, tx, id, was.Rates, &now); err != nil {
			return err
		}
		out, err = tx.Loyalty.PointsPartner.UpdateOne(p).SetName(strings.TrimSpace(now.Name)).SetStatus(now.Status).SetAPIKeyIds(now.Keys).SetRates(now.Rates).SetVersion(p.Version + 1).SetUpdatedAt(s.clock.Now()).Save(ctx)
		audit.Record(ctx, tx, audit.Entry{Action: "points.update_partner", ObjectType: "points_partner", ObjectID: id.String(), Changes: map[string]any{"from": was, "to": now}})
		return err
	})
	return out, err
}

// Partner reads a partner.
//
// Error: ErrPartnerNotFound.
func (s *Service) Partner(ctx context.Context, id uuid.UUID) (*loyalty.PointsPartner, error) {
	p, err := s.db.From(ctx).Loyalty.PointsPartner.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrPartnerNotFound.New()
	}
	return p, err
}

// Partners are all partners, the newest first.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Partners(ctx context.Context, asked Asked) (*page.Of[*loyalty.PointsPartner], error) {
	l := page.NewList("/v1/points/partners", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsPartner.Query()
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsPartner, error) {
		if after != nil {
			q.Where(pointspartner.IDLT(*after))
		}
		return q.Order(pointspartner.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(p *loyalty.PointsPartner) uuid.UUID { return p.ID })
}

// Booked is what a partner's keys booked within a time.
type Booked struct {
	Issued, TakenBack, Redeemed, GivenBack int64
}

// SettledPeriod is the part of a settlement to which one rate applies. Amounts are
// in minor currency units: IssueAmount the partner owes us for what it gave,
// RedeemAmount we owe the partner for what members spent with it; each is rounded
// half up once.
type SettledPeriod struct {
	From, To clock.Day
	Rate     schema.PartnerRate // zero: none holds, nothing is owed
	Booked
	IssueAmount, RedeemAmount int64
}

// Settlement is what a partner and we owe each other for a time.
type Settlement struct {
	Partner  *loyalty.PointsPartner
	Unit     *loyalty.PointsUnit
	From, To clock.Day // both within
	Periods  []SettledPeriod
}

// bookedSQL sums what keys booked of a unit, by business day.
// Plan: points_entries_key_idx, points_postings_entry_idx.
const bookedSQL = `
SELECT (e.created_at AT TIME ZONE $5)::date, sum(p.amount) FILTER (WHERE p.from_book = 'issued'), sum(p.amount) FILTER (WHERE p.to_book = 'reversed'),
       sum(p.amount) FILTER (WHERE p.to_book = 'spent'), sum(p.amount) FILTER (WHERE p.from_book = 'spent')
FROM points_entries e JOIN points_accounts a ON a.id = e.account_id AND a.unit_id = $2 JOIN points_postings p ON p.entry_id = e.id
WHERE e.actor_kind = 'api_key' AND e.actor_id = ANY($1::uuid[]) AND e.created_at >= $3 AND e.created_at < $4 GROUP BY 1`

// SettlementOf says what a partner and we owe each other for the business days from one to
// another, both within, by when it was booked.
//
// Errors: ErrWhole, ErrPartnerNotFound, ErrUnit, ErrPeriod.
func (s *Service) SettlementOf(ctx context.Context, id uuid.UUID, unit string, from, to clock.Day) (*Settlement, error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	p, err := s.Partner(ctx, id)
	if err != nil {
		return nil, err
	}
	u, err := s.unit(ctx, unit, ErrUnit, "?unit")
	if err != nil {
		return nil, err
	}
	if to < from || to-from > 366 {
		return nil, ErrPeriod.At("?to")
	}
	out := &Settlement{Partner: p, Unit: u, From: from, To: to, Periods: periods(p.Rates, u.Code, from, to)}
	rows, err := s.db.From(ctx).Query(ctx, bookedSQL, pgarray.UUIDs(p.APIKeyIds), u.ID, s.clock.Start(from), s.clock.Start(to+1), s.clock.Location().String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var on time.Time
		var sums [4]*int64
		if err := rows.Scan(&on, &sums[0], &sums[1], &sums[2], &sums[3]); err != nil {
			return nil, err
		}
		day := clock.DayFromDate(on)
		n := slices.IndexFunc(out.Periods, func(p SettledPeriod) bool { return day >= p.From && day <= p.To })
		b := &out.Periods[n].Booked
		for i, into := range []*int64{&b.Issued, &b.TakenBack, &b.Redeemed, &b.GivenBack} {
			if sums[i] != nil {
				*into += *sums[i]
			}
		}
	}
	for i := range out.Periods {
		v := &out.Periods[i]
		v.IssueAmount = owed(v.Issued-v.TakenBack, v.Rate.IssueAmount)
		v.RedeemAmount = owed(v.Redeemed-v.GivenBack, v.Rate.RedeemAmount)
	}
	return out, rows.Err()
}

// periods divides days by the rates that hold on them.
func periods(rates []schema.PartnerRate, unit string, from, to clock.Day) []SettledPeriod {
	out := []SettledPeriod{{From: from, To: to}}
	for _, r := range rates { // by unit and day
		day, err := time.Parse(time.DateOnly, r.From)
		if r.Unit != unit || err != nil || clock.DayFromDate(day) > to {
			continue
		}
		if start := clock.DayFromDate(day); start > from {
			out[len(out)-1].To = start - 1
			out = append(out, SettledPeriod{From: start, To: to})
		}
		out[len(out)-1].Rate = r
	}
	return out
}

// owed is points at a rate for each 100, rounded half up, away from zero below it.
func owed(points, rate int64) int64 {
	n := new(big.Int).Mul(big.NewInt(points), big.NewInt(rate))
	negative := n.Sign() < 0
	n.Abs(n).Add(n, big.NewInt(50)).Quo(n, big.NewInt(100))
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() {
		return most
	}
	return n.Int64()
}

// PartnerEntries are the entries that a partner's keys booked, the newest first: what
// a settlement is made of.
// Plan: points_entries_key_idx backwards.
//
// Errors: ErrWhole, ErrPartnerNotFound, apperr.ErrBadCursor.
func (s *Service) PartnerEntries(ctx context.Context, id uuid.UUID, after, before *time.Time, asked Asked) (*page.Of[*loyalty.PointsEntry], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	p, err := s.Partner(ctx, id)
	if err != nil {
		return nil, err
	}
	l := page.NewList("/v1/points/partners/"+id.String()+"/entries", asked.Limit)
	q := s.db.From(ctx).Loyalty.PointsEntry.Query().Where(pointsentry.ActorKind("api_key"), pointsentry.ActorIDIn(p.APIKeyIds...)).
		WithAccount(func(q *loyalty.PointsAccountQuery) {
			q.Select(pointsaccount.FieldID, pointsaccount.FieldUnitID, pointsaccount.FieldCustomerID)
		})
	if after != nil {
		l.Filters.Set("created_after", after.UTC().Format(time.RFC3339Nano))
		q.Where(pointsentry.CreatedAtGTE(*after))
	}
	if before != nil {
		l.Filters.Set("created_before", before.UTC().Format(time.RFC3339Nano))
		q.Where(pointsentry.CreatedAtLT(*before))
	}
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.PointsEntry, error) {
		if after != nil {
			q.Where(pointsentry.IDLT(*after))
		}
		return q.Order(pointsentry.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(e *loyalty.PointsEntry) uuid.UUID { return e.ID })
}
