package rewards

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/predicate"
	"github.com/shuke-crm/shuke/ent/loyalty/reward"
	"github.com/shuke-crm/shuke/ent/loyalty/rewardcode"
	"github.com/shuke-crm/shuke/ent/loyalty/rewardredemption"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/scope"
	"github.com/shuke-crm/shuke/internal/points"
)

// Wish is a reward that a member asks for.
type Wish struct {
	RewardID, CustomerID uuid.UUID
	StoreID              *uuid.UUID // of a gift
}

// Redeemed is a redemption, and the code of a coupon that came with it.
type Redeemed struct {
	*loyalty.RewardRedemption
	CouponCode string
}

// margin is how long points and pieces stay locked after a redemption's time is
// over, so that its own end comes first.
const margin = 24 * time.Hour

// Redeem gives a member a reward: the points are locked, and a gift's piece; coupons
// and donations are handed out at once.
//
// Errors: ErrCustomer, ErrReward, ErrStore, ErrNotNow, ErrNotEligible, ErrGone, ErrMemberLimit,
// ErrPeriodLimit, points.ErrInsufficient, inventory.ErrInsufficient.
func (s *Service) Redeem(ctx context.Context, in Wish) (*Redeemed, error) {
	var made uuid.UUID
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		made, err = s.redeem(ctx, tx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.Redemption(ctx, made)
}

func (s *Service) redeem(ctx context.Context, tx *db.Tx, in Wish) (uuid.UUID, error) {
	if err := s.reach(ctx, in.CustomerID, ErrCustomer.At("/customer_id")); err != nil {
		return uuid.Nil, err
	}
	// The customer first, so that a merge comes before or after.
	var merged bool
	if err := tx.QueryRow(ctx, "SELECT merged_into_id IS NOT NULL FROM customers WHERE id = $1 FOR NO KEY UPDATE", in.CustomerID).Scan(&merged); err != nil {
		return uuid.Nil, err
	}
	if merged {
		return uuid.Nil, db.ErrAgain
	}
	seen, err := s.Get(ctx, in.RewardID)
	if ErrRewardNotFound.Is(err) {
		return uuid.Nil, ErrReward.At("/reward_id")
	}
	if err != nil {
		return uuid.Nil, err
	}
	now := s.clock.Now()
	ends := s.clock.Start(s.clock.DayOf(now) + clock.Day(seen.FulfilDays) + 1)
	reservation, err := s.reserve(ctx, seen, in.StoreID, ends.Add(margin).Sub(now))
	if err != nil {
		return uuid.Nil, err
	}
	r, err := lockReward(ctx, tx, in.RewardID, ErrReward.At("/reward_id"))
	if err != nil {
		return uuid.Nil, err
	}
	if err := s.judge(ctx, tx, r, in.CustomerID, now); err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	held := ends.Add(margin)
	hold, err := s.points.Block(ctx, points.Spending{CustomerID: in.CustomerID, Unit: r.Unit, Points: r.Points, Reason: r.Name, Reference: points.RewardReference + id.String(), Ends: &held})
	if err != nil {
		return uuid.Nil, err
	}
	create := tx.Loyalty.RewardRedemption.Create().SetID(id).SetRewardID(r.ID).SetCustomerID(in.CustomerID).SetPoints(r.Points).SetHoldID(hold.ID).SetNillableStoreID(in.StoreID).
		SetNillableReservationID(reservation).SetVoucher(newVoucher()).SetCreatedAt(now).SetUpdatedAt(now)
	atOnce := r.Kind == reward.KindCoupon || r.Kind == reward.KindDonation
	if atOnce {
		create.SetStatus(rewardredemption.StatusFulfilled).SetFulfilledAt(now)
	} else {
		create.SetExpiresAt(ends)
	}
	if err := create.Exec(ctx); err != nil {
		return uuid.Nil, err
	}
	counted := r.Update().AddRedeemed(1)
	if r.Kind == reward.KindCoupon {
		counted.AddCodesLeft(-1)
		if err := handOut(ctx, tx, r.ID, id); err != nil {
			return uuid.Nil, err
		}
	}
	if err := counted.Exec(ctx); err != nil {
		return uuid.Nil, err
	}
	if atOnce {
		if _, err := s.points.Capture(ctx, hold.ID, nil); err != nil {
			return uuid.Nil, err
		}
	}
	audit.Record(ctx, tx, audit.Entry{Action: "rewards.redeem", ObjectType: "reward_redemption", ObjectID: id.String(), StoreID: in.StoreID,
		Changes: map[string]any{"reward_id": r.ID, "customer_id": in.CustomerID, "points": r.Points}})
	tell(tx, EventRedeemed, id, in.CustomerID, r.ID, in.StoreID)
	if atOnce {
		tell(tx, EventFulfilled, id, in.CustomerID, r.ID, in.StoreID)
	}
	return id, nil
}

// reserve promises a gift's piece in the store that hands it out.
// Errors: ErrStore, inventory.ErrInsufficient.
func (s *Service) reserve(ctx context.Context, r *loyalty.Reward, store *uuid.UUID, within time.Duration) (*uuid.UUID, error) {
	if (r.Kind == reward.KindGift) != (store != nil) {
		return nil, ErrStore.At("/store_id")
	}
	if store == nil {
		return nil, nil
	}
	// Whoever may redeem need not work in the store.
	kept, err := s.inventory.Reserve(auth.System(ctx, "rewards"), inventory.Wish{StoreID: *store, For: within, Reference: "reward", Lines: []inventory.Line{{VariantID: r.VariantID, Quantity: 1}}})
	if inventory.ErrStore.Is(err) {
		return nil, ErrStore.At("/store_id")
	}
	if inventory.ErrInsufficient.Is(err) {
		return nil, ErrGone.New()
	}
	if err != nil {
		return nil, err
	}
	return &kept.ID, nil
}

// judge refuses what a member cannot have, under the locks of the customer and the
// reward.
// Errors: ErrNotNow, ErrNotEligible, ErrGone, ErrMemberLimit, ErrPeriodLimit.
func (s *Service) judge(ctx context.Context, tx *db.Tx, r *loyalty.Reward, customer uuid.UUID, now time.Time) error {
	switch {
	case r.Status != reward.StatusActive, r.ValidFrom != nil && r.ValidFrom.After(now), r.ValidUntil != nil && !r.ValidUntil.After(now):
		return ErrNotNow.New()
	case r.TotalLimit != nil && r.Redeemed >= *r.TotalLimit, r.Kind == reward.KindCoupon && r.CodesLeft == 0:
		return ErrGone.New()
	}
	if len(r.TierCodes) > 0 {
		tier, err := s.membership.Settle(ctx, tx, customer)
		if err != nil {
			return err
		}
		if !slices.Contains(r.TierCodes, tier) {
			return ErrNotEligible.New()
		}
	}
	if r.MemberLimit == nil && r.PeriodLimit == nil {
		return nil
	}
	var all, lately int
	err := tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE created_at >= $3) FROM reward_redemptions WHERE customer_id = $1 AND reward_id = $2 AND status IN ('issued', 'fulfilled')`,
		customer, r.ID, s.clock.Start(begins(r.Period, s.clock.DayOf(now)))).Scan(&all, &lately)
	switch {
	case err != nil:
		return err
	case r.MemberLimit != nil && all >= *r.MemberLimit:
		return ErrMemberLimit.New().Arg("limit", *r.MemberLimit)
	case r.PeriodLimit != nil && lately >= *r.PeriodLimit:
		return ErrPeriodLimit.New().Arg("limit", *r.PeriodLimit).Arg("period", string(r.Period))
	}
	return nil
}

// begins is the first business day of the period that a day is in; weeks begin on
// Monday.
func begins(p reward.Period, day clock.Day) clock.Day {
	date := day.Time()
	switch p {
	case reward.PeriodWeek:
		return day - clock.Day((int(date.Weekday())+6)%7)
	case reward.PeriodMonth:
		return clock.DayFromDate(time.Date(date.Year(), date.Month(), 1, 0, 0, 0, 0, time.UTC))
	case reward.PeriodYear:
		return clock.DayFromDate(time.Date(date.Year(), 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return day
}

// handOut gives the oldest free code of a coupon to a redemption, under the lock of
// the reward.
func handOut(ctx context.Context, tx *db.Tx, rewardID, redemption uuid.UUID) error {
	code, err := tx.Loyalty.RewardCode.Query().Where(rewardcode.RewardID(rewardID), rewardcode.RedemptionIDIsNil()).Order(rewardcode.ByID()).First(ctx)
	if loyalty.IsNotFound(err) {
		return ErrGone.New()
	}
	if err != nil {
		return err
	}
	return code.Update().SetRedemptionID(redemption).Exec(ctx)
}

// addSome writes codes that a coupon does not have yet.
func (s *Service) addSome(ctx context.Context, tx *db.Tx, r *loyalty.Reward, codes []string, known map[string]bool) (int, error) {
	hashes := make([][]byte, len(codes))
	for i, c := range codes {
		hashes[i] = s.keys.Index("reward_codes.code", r.ID.String()+" "+strings.TrimSpace(c))
	}
	there, err := tx.Loyalty.RewardCode.Query().Where(rewardcode.RewardID(r.ID), rewardcode.CodeHashIn(hashes...)).Select(rewardcode.FieldCodeHash).All(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range there {
		known[string(c.CodeHash)] = true
	}
	var creates []*loyalty.RewardCodeCreate
	for i, c := range codes {
		if known[string(hashes[i])] {
			continue
		}
		known[string(hashes[i])] = true
		id, err := uuid.NewV7()
		if err != nil {
			return 0, err
		}
		creates = append(creates, tx.Loyalty.RewardCode.Create().SetID(id).SetRewardID(r.ID).SetCodeHash(hashes[i]).SetCodeSealed(s.keys.SealBlob(codePurpose, id[:], []byte(strings.TrimSpace(c)))).
			SetCreatedAt(s.clock.Now()))
	}
	if len(creates) == 0 {
		return 0, nil
	}
	return len(creates), tx.Loyalty.RewardCode.CreateBulk(creates...).Exec(ctx)
}

// onRedemption runs a step of a redemption the caller may reach, under its lock.
// Errors: ErrRedemptionNotFound, ErrState, those of f.
func (s *Service) onRedemption(ctx context.Context, id uuid.UUID, action, event string, f func(ctx context.Context, tx *db.Tx, d *loyalty.RewardRedemption, u *loyalty.RewardRedemptionUpdateOne) error) (*Redeemed, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		seen, err := s.Redemption(ctx, id)
		if err != nil {
			return err
		}
		// Customer, then stock and reward by f, then the redemption: its status is judged
		// under the customer's lock.
		if _, err := tx.Exec(ctx, "SELECT FROM customers WHERE id = $1 FOR NO KEY UPDATE", seen.CustomerID); err != nil {
			return err
		}
		d, err := tx.Loyalty.RewardRedemption.Query().Where(rewardredemption.ID(id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if d.CustomerID != seen.CustomerID {
			return db.ErrAgain
		}
		if d.Status != rewardredemption.StatusIssued {
			return ErrState.New().Arg("status", string(d.Status))
		}
		u := d.Update().ClearExpiresAt().AddVersion(1).SetUpdatedAt(s.clock.Now())
		if err := f(ctx, tx, d, u); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "rewards." + action, ObjectType: "reward_redemption", ObjectID: id.String(), StoreID: d.StoreID})
		tell(tx, event, id, d.CustomerID, d.RewardID, d.StoreID)
		return u.Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return s.Redemption(ctx, id)
}

// Fulfil hands a reward out: the points are spent, and a gift's piece is gone.
//
// Errors: ErrRedemptionNotFound, ErrState, inventory.ErrInsufficient.
func (s *Service) Fulfil(ctx context.Context, id uuid.UUID) (*Redeemed, error) {
	by, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	return s.onRedemption(ctx, id, "fulfil", EventFulfilled, func(ctx context.Context, _ *db.Tx, d *loyalty.RewardRedemption, u *loyalty.RewardRedemptionUpdateOne) error {
		if !d.ExpiresAt.After(s.clock.Now()) { // no job has seen it yet
			return ErrState.New().Arg("status", string(rewardredemption.StatusExpired))
		}
		ctx = auth.System(ctx, "rewards") // the caller was judged; their scope need not hold customer and store both
		if d.ReservationID != nil {
			if _, err := s.inventory.Commit(ctx, *d.ReservationID); err != nil {
				return err
			}
		}
		if _, err := s.points.Capture(ctx, d.HoldID, nil); err != nil {
			return err
		}
		u.SetStatus(rewardredemption.StatusFulfilled).SetFulfilledAt(s.clock.Now())
		if by.ID != uuid.Nil {
			u.SetFulfilledBy(by.ID)
		}
		return nil
	})
}

// Cancel gives an issued reward back: points come back as the lots they were, and a
// gift's piece is free again.
//
// Errors: ErrRedemptionNotFound, ErrState.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID, reason string) (*Redeemed, error) {
	return s.onRedemption(ctx, id, "cancel", EventCancelled, func(ctx context.Context, tx *db.Tx, d *loyalty.RewardRedemption, u *loyalty.RewardRedemptionUpdateOne) error {
		u.SetStatus(rewardredemption.StatusCancelled).SetReason(strings.TrimSpace(reason))
		return s.giveBack(ctx, tx, d)
	})
}

// giveBack frees what a redemption has locked, whoever else may have by now.
func (s *Service) giveBack(ctx context.Context, tx *db.Tx, d *loyalty.RewardRedemption) error {
	system := auth.System(ctx, "rewards")
	if d.ReservationID != nil {
		if _, err := s.inventory.Release(system, *d.ReservationID); err != nil && !inventory.ErrEnded.Is(err) {
			return err
		}
	}
	if err := tx.Loyalty.Reward.UpdateOneID(d.RewardID).AddRedeemed(-1).Exec(ctx); err != nil {
		return err
	}
	if _, err := s.points.Release(system, d.HoldID); err != nil && !points.ErrHoldState.Is(err) {
		return err
	}
	return nil
}

// ExpireDue gives back what nobody has fetched in time, and says how many.
// Plan: reward_redemptions_due_idx.
func (s *Service) ExpireDue(ctx context.Context) (n int, err error) {
	ctx = auth.System(ctx, "rewards.expire")
	for {
		due, err := s.db.Loyalty.RewardRedemption.Query().Where(rewardredemption.ExpiresAtLTE(s.clock.Now())).Order(rewardredemption.ByExpiresAt(), rewardredemption.ByID()).Limit(100).IDs(ctx)
		if err != nil || len(due) == 0 {
			return n, err
		}
		for _, id := range due {
			_, err := s.onRedemption(ctx, id, "expire", EventExpired, func(ctx context.Context, tx *db.Tx, d *loyalty.RewardRedemption, u *loyalty.RewardRedemptionUpdateOne) error {
				u.SetStatus(rewardredemption.StatusExpired)
				return s.giveBack(ctx, tx, d)
			})
			switch {
			case err == nil:
				n++
			case !ErrState.Is(err): // somebody was faster
				return n, err
			}
		}
	}
}

func tell(tx *db.Tx, event string, id, customer, rewardID uuid.UUID, store *uuid.UUID) {
	events.Emit(tx, events.Event{Type: event, SubjectType: "reward_redemption", SubjectID: id, StoreID: store, Payload: map[string]any{"redemption_id": id, "customer_id": customer, "reward_id": rewardID}})
}

// letters are what vouchers are written in: none that is mistaken for another.
const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newVoucher draws what a member shows at the till: 60 bits.
func newVoucher() string {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[b[i]%byte(len(letters))]
	}
	return string(b)
}

// reach refuses customers beyond the caller's scope.
func (s *Service) reach(ctx context.Context, id uuid.UUID, refused *apperr.Error) error {
	_, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Select(customer.FieldID).Only(ctx)
	if crm.IsNotFound(err) {
		return refused
	}
	return err
}

// visible are redemptions of customers within the scope, and those that a store
// within it hands out.
func visible(ctx context.Context) (predicate.RewardRedemption, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	ofCustomers, err := scope.Through(ctx, rewardredemption.FieldCustomerID, "customers", scope.Columns{Member: "id", Store: "home_store_id", Staff: "assigned_staff_id"})
	if err != nil || actor.Scope.All || len(actor.Scope.StoreIDs) == 0 {
		return ofCustomers, err
	}
	return rewardredemption.Or(ofCustomers, rewardredemption.StoreIDIn(actor.Scope.StoreIDs...)), nil
}

// Redemption reads a redemption, with the code of a coupon.
//
// Error: ErrRedemptionNotFound.
func (s *Service) Redemption(ctx context.Context, id uuid.UUID) (*Redeemed, error) {
	return s.one(ctx, rewardredemption.ID(id))
}

// ByVoucher finds what a member shows at the till.
//
// Error: ErrRedemptionNotFound.
func (s *Service) ByVoucher(ctx context.Context, voucher string) (*Redeemed, error) {
	plain := strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(voucher))
	return s.one(ctx, rewardredemption.Voucher(plain))
}

func (s *Service) one(ctx context.Context, which predicate.RewardRedemption) (*Redeemed, error) {
	seen, err := visible(ctx)
	if err != nil {
		return nil, err
	}
	clients := s.db.From(ctx)
	d, err := clients.Loyalty.RewardRedemption.Query().Where(which, seen).WithReward().Only(ctx)
	if loyalty.IsNotFound(err) {
		return nil, ErrRedemptionNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	out := &Redeemed{RewardRedemption: d}
	if d.Edges.Reward.Kind != reward.KindCoupon {
		return out, nil
	}
	code, err := clients.Loyalty.RewardCode.Query().Where(rewardcode.RedemptionID(d.ID)).Only(ctx)
	if err != nil {
		return nil, err
	}
	plain, err := s.keys.OpenBlob(codePurpose, code.ID[:], code.CodeSealed)
	out.CouponCode = string(plain)
	return out, err
}

// Filter narrows a list of redemptions; empty parts do not.
type Filter struct {
	CustomerID, StoreID, RewardID *uuid.UUID
	Status                        string
}

// Redemptions lists redemptions that the caller sees, the newest first: of a store
// those that it has to hand out. Codes of coupons are read one by one.
// Plan: reward_redemptions_customer_idx, reward_redemptions_store_idx or
// reward_redemptions_pkey backwards, each row's customer by its key.
//
// Error: apperr.ErrBadCursor.
func (s *Service) Redemptions(ctx context.Context, path string, f Filter, asked page.Asked) (*page.Of[*loyalty.RewardRedemption], error) {
	l := page.NewList(path, asked.Limit)
	seen, err := visible(ctx)
	if err != nil {
		return nil, err
	}
	q := s.db.From(ctx).Loyalty.RewardRedemption.Query().Where(seen)
	for name, by := range map[string]struct {
		id    *uuid.UUID
		where func(uuid.UUID) predicate.RewardRedemption
	}{"customer_id": {f.CustomerID, rewardredemption.CustomerID}, "store_id": {f.StoreID, rewardredemption.StoreID}, "reward_id": {f.RewardID, rewardredemption.RewardID}} {
		if by.id != nil {
			l.Filters.Set(name, by.id.String())
			q.Where(by.where(*by.id))
		}
	}
	if f.Status != "" {
		l.Filters.Set("status", f.Status)
		q.Where(rewardredemption.StatusEQ(rewardredemption.Status(f.Status)))
	}
	return page.Fetch(ctx, s.pages, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*loyalty.RewardRedemption, error) {
		if after != nil {
			q.Where(rewardredemption.IDLT(*after))
		}
		return q.WithReward().Order(rewardredemption.ByID(sql.OrderDesc())).Limit(limit).All(ctx)
	}, func(d *loyalty.RewardRedemption) uuid.UUID { return d.ID })
}
