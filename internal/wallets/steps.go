package wallets

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/walletpayment"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// OfOrder is a payment of an order by stored value. Who may have the order paid was
// judged there; its customer is locked.
type OfOrder struct {
	CustomerID uuid.UUID // not for cards
	OrderID    uuid.UUID
	PaymentID  uuid.UUID // of the order
	Amount     int64
	Code, PIN  string
}

// PayOrder has a member's wallet pay an order.
//
// Errors: ErrFrozen, ErrInsufficient, those of the PIN.
func (s *Service) PayOrder(ctx context.Context, tx *db.Tx, in OfOrder) error {
	p, err := s.programme(ctx)
	if err != nil {
		return err
	}
	if err := s.checkPIN(ctx, p, in.CustomerID, in.Amount, in.PIN); err != nil {
		return err
	}
	j, err := s.journal(ctx)
	if err != nil {
		return err
	}
	if err := s.lock(ctx, tx, j, nil, in.CustomerID); err != nil {
		return err
	}
	_, err = s.pay(ctx, tx, j, Spending{CustomerID: in.CustomerID, Amount: in.Amount, OrderID: &in.OrderID, OrderPaymentID: &in.PaymentID}, p.SpendOrder, nil)
	return err
}

// PayOrderByCard has a gift card pay an order.
//
// Errors: ErrCard, ErrCardLocked, ErrCardState, ErrCardOver, ErrInsufficient.
func (s *Service) PayOrderByCard(ctx context.Context, tx *db.Tx, in OfOrder) error {
	_, err := s.payByCard(ctx, tx, in.Code, in.PIN, Spending{Amount: in.Amount, OrderID: &in.OrderID, OrderPaymentID: &in.PaymentID})
	return err
}

// RefundOrder gives so much of an order's payment back to the wallet or card it
// came from, and reports whether it came from one: a till's own stored value did
// not.
func (s *Service) RefundOrder(ctx context.Context, tx *db.Tx, payment uuid.UUID, amount int64, reason string) (bool, error) {
	p, err := tx.Loyalty.WalletPayment.Query().Where(walletpayment.OrderPaymentID(payment)).Only(ctx)
	if loyalty.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.step(ctx, tx, p, "refund", func(ctx context.Context, _ *db.Tx, j *journal, p *loyalty.WalletPayment) error {
		return s.refund(ctx, j, p, &amount, reason)
	})
}
