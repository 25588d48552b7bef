package points

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointshold"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Worth says what points pay of an order of so much, in minor currency units.
//
// Errors: ErrNoPaying, ErrPointsStep, ErrPointsShare.
func (s *Service) Worth(ctx context.Context, tx *db.Tx, points, total int64) (int64, error) {
	u, err := s.unit(ctx, DefaultUnit, ErrUnit, "/points_to_redeem")
	if err != nil {
		return 0, err
	}
	if !u.Spendable || u.RedeemPoints == 0 {
		return 0, ErrNoPaying.At("/points_to_redeem")
	}
	amount := mulDiv(points, u.RedeemAmount, u.RedeemPoints)
	if amount == 0 || mulDiv(amount, u.RedeemPoints, u.RedeemAmount) != points {
		return 0, ErrPointsStep.At("/points_to_redeem").Arg("points", u.RedeemPoints).Arg("amount", u.RedeemAmount)
	}
	if limit := mulDiv(total, int64(u.RedeemSharePercent), 100); amount > limit {
		return 0, ErrPointsShare.At("/points_to_redeem").Arg("most", mulDiv(limit, u.RedeemPoints, u.RedeemAmount)).Arg("percent", u.RedeemSharePercent)
	}
	return amount, nil
}

// PayOrder has points pay an order: blocked until it is paid, spent at once if it is.
// The order's steps settle them (SettlePayments).
//
// Error: ErrInsufficient.
func (s *Service) PayOrder(ctx context.Context, tx *db.Tx, customer, order uuid.UUID, points int64, paid bool) error {
	u, err := s.unit(ctx, DefaultUnit, ErrUnit, "/points_to_redeem")
	if err != nil {
		return err
	}
	in := Spending{CustomerID: customer, Points: points, OrderID: &order, pointer: "/points_to_redeem"}
	if paid {
		_, err = s.hold(ctx, tx, u, in, "redeem", Spent, pointshold.StatusCaptured)
	} else {
		_, err = s.hold(ctx, tx, u, in, "block", Blocked, pointshold.StatusBlocked)
	}
	return err
}

// SettlePayments brings the points that pay an order to where the order stands:
// spent where it counts as paid, free again where it is called off before, and given
// back in proportion to what of their amount has been refunded.
func (s *Service) SettlePayments(ctx context.Context, tx *db.Tx, order uuid.UUID, paid bool, amount, refunded int64) error {
	found, err := tx.Loyalty.PointsHold.Query().Where(pointshold.OrderID(order)).Order(pointshold.ByID()).All(ctx)
	if err != nil {
		return err
	}
	for _, h := range found {
		if h.Status == pointshold.StatusBlocked && !paid && refunded >= amount {
			err = s.onLocked(ctx, tx, h, "release", func(_ context.Context, _ *db.Tx, j *journal, h *loyalty.PointsHold) error {
				return j.releaseHold(h, pointshold.StatusReleased)
			})
			if err != nil {
				return err
			}
			continue
		}
		if h.Status == pointshold.StatusBlocked && paid {
			if err := s.onLocked(ctx, tx, h, "capture", func(_ context.Context, _ *db.Tx, j *journal, h *loyalty.PointsHold) error {
				return j.capture(h, h.Amount)
			}); err != nil {
				return err
			}
			if h, err = tx.Loyalty.PointsHold.Get(ctx, h.ID); err != nil {
				return err
			}
		}
		if h.Status != pointshold.StatusCaptured || amount == 0 {
			continue
		}
		if back := mulDiv(h.Captured, min(refunded, amount), amount) - h.GivenBack; back > 0 {
			err := s.onLocked(ctx, tx, h, "give_back", func(ctx context.Context, tx *db.Tx, j *journal, h *loyalty.PointsHold) error {
				return s.giveBack(ctx, tx, j, h, back, "")
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
