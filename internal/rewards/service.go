package rewards

import (
	"context"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/reward"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/points"
)

// Deps is what the service is made of.
type Deps struct {
	DB         *db.DB
	Clock      *clock.Clock
	Keys       *crypto.Keyring
	Pages      *page.Codec
	Inventory  *inventory.Service
	Points     *points.Service
	Membership *membership.Service
	Queue      *jobs.Queue
}

// Service is what members get for points.
type Service struct {
	db         *db.DB
	clock      *clock.Clock
	keys       *crypto.Keyring
	pages      *page.Codec
	inventory  *inventory.Service
	points     *points.Service
	membership *membership.Service
}

// New makes the service.
func New(d Deps) *Service {
	s := &Service{db: d.DB, clock: d.Clock, keys: d.Keys, pages: d.Pages, inventory: d.Inventory, points: d.Points, membership: d.Membership}
	if d.Queue != nil {
		d.Queue.Every("rewards.expire", jobs.Interval(time.Minute), func(ctx context.Context) error { _, err := s.ExpireDue(ctx); return err })
	}
	return s
}

// Follower has redemptions follow merged customers.
func (s *Service) Follower() customers.Follower {
	return customers.Follower{Name: "rewards", Belongings: []customers.Belonging{{Table: "reward_redemptions", Kind: "reward_redemptions", Versioned: true}}}
}

// Terms are what a reward is made of, but for its kind and its variant.
type Terms struct {
	Name, NameEN, Description            string
	Unit                                 string
	Points                               int64
	Status                               reward.Status
	ValidFrom, ValidUntil                *time.Time
	TierCodes                            []string
	TotalLimit, MemberLimit, PeriodLimit *int
	Period                               reward.Period
	FulfilDays                           int
}

// check says what is wrong with terms.
// Errors: ErrUnit, ErrPeriod.
func (s *Service) check(ctx context.Context, t Terms) error {
	known, err := s.db.From(ctx).Loyalty.PointsUnit.Query().Where(pointsunit.Code(t.Unit), pointsunit.Spendable(true)).Exist(ctx)
	switch {
	case err != nil:
		return err
	case !known:
		return ErrUnit.At("/unit")
	case t.ValidFrom != nil && t.ValidUntil != nil && !t.ValidUntil.After(*t.ValidFrom):
		return ErrPeriod.At("/valid_until")
	}
	return nil
}

func (t Terms) into(m *loyalty.RewardMutation) {
	m.SetName(strings.TrimSpace(t.Name))
	m.SetNameEn(strings.TrimSpace(t.NameEN))
	m.SetDescription(t.Description)
	m.SetUnit(t.Unit)
	m.SetPoints(t.Points)
	m.SetStatus(t.Status)
	m.SetTierCodes(t.TierCodes)
	m.SetPeriod(t.Period)
	m.SetFulfilDays(t.FulfilDays)
	orClear(t.ValidFrom, m.SetValidFrom, m.ClearValidFrom)
	orClear(t.ValidUntil, m.SetValidUntil, m.ClearValidUntil)
	orClear(t.TotalLimit, m.SetTotalLimit, m.ClearTotalLimit)
	orClear(t.MemberLimit, m.SetMemberLimit, m.ClearMemberLimit)
	orClear(t.PeriodLimit, m.SetPeriodLimit, m.ClearPeriodLimit)
}

func orClear[T any](v *T, set func(T), clear func()) {
	if v == nil {
		clear()
	} else {
		set(*v)
	}
}

// Create makes a reward.
//
// Errors: ErrVariant, ErrUnit, ErrPeriod.
func (s *Service) Create(ctx context.Context, kind reward.Kind, variantID *uuid.UUID, t Terms) (*loyalty.Reward, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *loyalty.Reward
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if (kind == reward.KindGift) != (variantID != nil) {
			return ErrVariant.At("/variant_id")
		}
		if variantID != nil {
			if known, err := tx.Commerce.Variant.Query().Where(variant.ID(*variantID)).Exist(ctx); err != nil || !known {
				if err == nil {
					err = ErrVariant.At("/variant_id")
				}
				return err
			}
		}
		if err := s.check(ctx, t); err != nil {
			return err
		}
		now := s.clock.Now()
		create := tx.Loyalty.Reward.Create().SetID(id).SetKind(kind).SetNillableVariantID(variantID).SetCreatedAt(now).SetUpdatedAt(now)
		t.into(create.Mutation())
		audit.Record(ctx, tx, audit.Entry{Action: "rewards.create", ObjectType: "reward", ObjectID: id.String(), Changes: map[string]any{"kind": kind, "points": t.Points}})
		var err error
		out, err = create.Save(ctx)
		return err
	})
	return out, err
}

// Update changes a reward by what change makes of it. Redemptions keep what they
// cost.
//
// Errors: ErrRewardNotFound, apperr.ErrVersionMismatch, ErrUnit, ErrPeriod, ErrLimitBelow.
func (s *Service) Update(ctx context.Context, id uuid.UUID, ifMatch *string, change func(*Terms)) (*loyalty.Reward, error) {
	var out *loyalty.Reward
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		r, err := lockReward(ctx, tx, id, ErrRewardNotFound.New())
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, r.Version); err != nil {
			return err
		}
		was := Terms{r.Name, r.NameEn, r.Description, r.Unit, r.Points, r.Status, r.ValidFrom, r.ValidUntil, r.TierCodes, r.TotalLimit, r.MemberLimit, r.PeriodLimit, r.Period, r.FulfilDays}
		now := was
		change(&now)
		if err := s.check(ctx, now); err != nil {
			return err
		}
		if now.TotalLimit != nil && *now.TotalLimit < r.Redeemed {
			return ErrLimitBelow.At("/total_limit").Arg("redeemed", r.Redeemed)
		}
		u := r.Update().AddVersion(1).SetUpdatedAt(s.clock.Now())
		now.into(u.Mutation())
		audit.Record(ctx, tx, audit.Entry{Action: "rewards.update", ObjectType: "reward", ObjectID: id.String(), Changes: map[string]any{"from": was, "to": now}})
		out, err = u.Save(ctx)
		return err
	})
	return out, err
}

func lockReward(ctx context.Context, tx *db.Tx, id uuid.UUID, unknown error) (*loyalty.Reward, error) {
	r, err := tx.Loyalty.Reward.Query().Where(reward.ID(id)).ForUpdate().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, unknown
	}
	return r, err
}

// codePurpose seals codes of coupons.
const codePurpose = "reward_codes.code"

// AddCodes adds codes to a coupon, those that it does not have yet, and says how
// many.
//
// Errors: ErrRewardNotFound, ErrNoCoupon.
func (s *Service) AddCodes(ctx context.Context, id uuid.UUID, codes []string) (added int, out *loyalty.Reward, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		added = 0
		r, err := lockReward(ctx, tx, id, ErrRewardNotFound.New())
		if err != nil {
			return err
		}
		if r.Kind != reward.KindCoupon {
			return ErrNoCoupon.New()
		}
		known := map[string]bool{}
		for start := 0; start < len(codes); start += 500 {
			n, err := s.addSome(ctx, tx, r, codes[start:min(start+500, len(codes))], known)
			if err != nil {
				return err
			}
			added += n
		}
		if out, err = r.Update().AddCodesLeft(added).AddVersion(1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "rewards.add_codes", ObjectType: "reward", ObjectID: id.String(), Changes: map[string]any{"codes": added}})
		return nil
	})
	return added, out, err
}

// Get reads a reward.
//
// Error: ErrRewardNotFound.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (*loyalty.Reward, error) {
	r, err := s.db.From(ctx).Loyalty.Reward.Get(ctx, id)
	if loyalty.IsNotFound(err) {
		return nil, ErrRewardNotFound.New()
	}
	return r, err
}

// List lists rewards, the newest first; where now is true, only those that can be
// had now, but for tiers and limits of a member.
//
// Error: apperr.ErrBadCursor.
func (s *Service) List(ctx context.Context, path, kind, status string, now bool, asked page.Asked) (*page.Of[*loyalty.Reward], error) {
	l := page.NewList(path, asked.Limit)
	q := s.db.From(ctx).Loyalty.Reward.Query()
	if kind != "" {
		l.Filters.Set("kind", kind)
		q.Where(reward.KindEQ(reward.Kind(kind)))
	}
	if status != "" {
		l.Filters.Set("status", status)
		q.Where(reward.StatusEQ(reward.Status(status)))
	}
	if now {
		at := s.clock.Now()
		q.Where(reward.StatusEQ(reward.StatusActive), reward.Or(reward.ValidFromIsNil(), reward.ValidFromLTE(at)), reward.Or(reward.ValidUntilIsNil(), reward.ValidUntilGT(at)),
			reward.Or(reward.KindNEQ(reward.KindCoupon), reward.CodesLeftGT(0)),
			reward.Or(reward.TotalLimitIsNil(), func(q *sql.Selector) { q.Where(sql.ColumnsLT(q.C(reward.FieldRedeemed), q.C(reward.FieldTotalLimit))) }))
	}
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.Reward, error) {
		if after != nil {
			q.Where(reward.IDLT(*after))
		}
		return q.Order(reward.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(r *loyalty.Reward) uuid.UUID { return r.ID })
}
