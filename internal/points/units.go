package points

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// Unit is what a unit of points is made of.
type Unit struct {
	Name, NameEN       string
	Rounding           pointsunit.Rounding
	PendingDays        int
	ExpiryMethod       pointsunit.ExpiryMethod
	ExpiryCount        int
	BalanceLimit       *int64
	DailyLimit         *int64
	ReturnPolicy       pointsunit.ReturnPolicy
	Spendable          bool
	Transferable       bool
	RedeemPoints       int64
	RedeemAmount       int64
	RedeemSharePercent int
	ApprovalLimit      *int64
	GiveBackDays       int
}

// check says what is wrong with a unit.
// Errors: ErrExpiry, ErrRedeemRate.
func (u Unit) check() error {
	if u.ExpiryMethod == pointsunit.ExpiryMethodDays && u.ExpiryCount < 1 {
		return ErrExpiry.At("/expiry_count")
	}
	if (u.RedeemPoints == 0) != (u.RedeemAmount == 0) {
		return ErrRedeemRate.At("/redeem_points")
	}
	return nil
}

func (u Unit) into(m *loyalty.PointsUnitMutation) {
	m.SetName(strings.TrimSpace(u.Name))
	m.SetNameEn(strings.TrimSpace(u.NameEN))
	m.SetRounding(u.Rounding)
	m.SetPendingDays(u.PendingDays)
	m.SetExpiryMethod(u.ExpiryMethod)
	m.SetExpiryCount(u.ExpiryCount)
	m.SetReturnPolicy(u.ReturnPolicy)
	m.SetSpendable(u.Spendable)
	m.SetTransferable(u.Transferable)
	m.SetRedeemPoints(u.RedeemPoints)
	m.SetRedeemAmount(u.RedeemAmount)
	m.SetRedeemSharePercent(u.RedeemSharePercent)
	m.SetGiveBackDays(u.GiveBackDays)
	for _, limit := range []struct {
		v     *int64
		set   func(int64)
		clear func()
	}{{u.BalanceLimit, m.SetBalanceLimit, m.ClearBalanceLimit}, {u.DailyLimit, m.SetDailyLimit, m.ClearDailyLimit}, {u.ApprovalLimit, m.SetApprovalLimit, m.ClearApprovalLimit}} {
		if limit.v != nil {
			limit.set(*limit.v)
		} else {
			limit.clear()
		}
	}
}

// CreateUnit makes a unit of points. Its code never changes.
//
// Errors: ErrCodeTaken, ErrExpiry, ErrRedeemRate.
func (s *Service) CreateUnit(ctx context.Context, code string, in Unit) (*loyalty.PointsUnit, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var made *loyalty.PointsUnit
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.clock.Now()
		create := tx.Loyalty.PointsUnit.Create().SetID(id).SetCode(code).SetCreatedAt(now).SetUpdatedAt(now)
		in.into(create.Mutation())
		var err error
		if made, err = create.Save(ctx); db.Violated(err) == "points_units_code_key" {
			return ErrCodeTaken.At("/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.create_unit", ObjectType: "points_unit", ObjectID: id.String(), Changes: map[string]any{"code": code}})
		return err
	})
	return made, err
}

// UpdateUnit changes a unit by what change makes of it. Lots that are there keep
// their instants.
//
// Errors: ErrUnitNotFound, apperr.ErrVersionMismatch, ErrExpiry, ErrRedeemRate.
func (s *Service) UpdateUnit(ctx context.Context, id uuid.UUID, ifMatch *string, change func(*Unit)) (*loyalty.PointsUnit, error) {
	var done *loyalty.PointsUnit
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := tx.Loyalty.PointsUnit.Query().Where(pointsunit.ID(id)).ForUpdate().Only(ctx)
		if loyalty.IsNotFound(err) {
			return ErrUnitNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, u.Version); err != nil {
			return err
		}
		was := unitOf(u)
		now := was
		change(&now)
		if err := now.check(); err != nil {
			return err
		}
		update := tx.Loyalty.PointsUnit.UpdateOne(u).SetVersion(u.Version + 1).SetUpdatedAt(s.clock.Now())
		now.into(update.Mutation())
		if done, err = update.Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "points.update_unit", ObjectType: "points_unit", ObjectID: id.String(), Changes: map[string]any{"from": was, "to": now}})
		return nil
	})
	return done, err
}

func unitOf(u *loyalty.PointsUnit) Unit {
	return Unit{Name: u.Name, NameEN: u.NameEn, Rounding: u.Rounding, PendingDays: u.PendingDays, ExpiryMethod: u.ExpiryMethod, ExpiryCount: u.ExpiryCount, BalanceLimit: u.BalanceLimit,
		DailyLimit: u.DailyLimit, ReturnPolicy: u.ReturnPolicy, Spendable: u.Spendable, Transferable: u.Transferable, RedeemPoints: u.RedeemPoints, RedeemAmount: u.RedeemAmount,
		RedeemSharePercent: u.RedeemSharePercent, ApprovalLimit: u.ApprovalLimit, GiveBackDays: u.GiveBackDays}
}
