package orders

import (
	"context"
	"strconv"
	"strings"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/wallets"
)

// The payments that this service carries out itself: the money is on a wallet or
// gift card here, and is taken in the transaction of the order. A till's tickets
// say the same words of stored value that it keeps; those are recorded.
const (
	storedValue = "stored_value"
	giftCard    = "gift_card"
)

func stored(method string) bool { return method == storedValue || method == giftCard }

// mayPayStored refuses payments by stored value that nobody could carry out.
// Errors: ErrStoredOfNobody, ErrStoredNotYours, ErrCardCode.
func mayPayStored(ctx context.Context, o *commerce.Order, in PaymentInput, pointer string) error {
	if (in.Code != "") != (in.Method == giftCard) {
		return ErrCardCode.At(pointer + "/code")
	}
	if !stored(in.Method) {
		if in.PIN != "" {
			return ErrCardCode.At(pointer + "/pin")
		}
		return nil
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	needed := auth.WalletsPay
	if in.Method == giftCard {
		needed = auth.GiftCardsUse
	}
	switch {
	case actor.Kind != auth.KindMember && !actor.Can(needed):
		return ErrStoredNotYours.At(pointer + "/method")
	case in.Method == storedValue && o.CustomerID == nil:
		return ErrStoredOfNobody.At(pointer + "/method")
	}
	return nil
}

// payStored takes a payment from the wallet of the order's customer, or from the
// gift card it names. Stock comes before, as everywhere.
// Errors: those of wallets.PayOrder and wallets.PayOrderByCard.
func (s *Service) payStored(ctx context.Context, tx *db.Tx, o *commerce.Order, p *commerce.OrderPayment, in PaymentInput, pointer string) error {
	of := wallets.OfOrder{OrderID: o.ID, PaymentID: p.ID, Amount: p.Amount, Code: in.Code, PIN: in.PIN}
	switch in.Method {
	case storedValue:
		of.CustomerID = *o.CustomerID
		return under(pointer, s.wallets.PayOrder(ctx, tx, of))
	case giftCard:
		return under(pointer, s.wallets.PayOrderByCard(ctx, tx, of))
	}
	return nil
}

// payAllStored takes those payments of a new order that are by stored value.
func (s *Service) payAllStored(ctx context.Context, tx *db.Tx, p *placing) error {
	first := len(p.o.Edges.Payments) - len(p.in.Payments) // what goods and points pay comes before
	for i, in := range p.in.Payments {
		if err := s.payStored(ctx, tx, p.o, p.o.Edges.Payments[first+i], in, "/payments/"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// refundStored gives what a step refunds of stored value back to the wallets and
// cards it came from, as the lots it was.
func (s *Service) refundStored(ctx context.Context, tx *db.Tx, c *changing) error {
	for _, r := range c.refunds {
		if r.OrderPaymentID == nil || !stored(r.Method) {
			continue
		}
		if _, err := s.wallets.RefundOrder(ctx, tx, *r.OrderPaymentID, r.Amount, r.Reason); err != nil {
			return err
		}
	}
	return nil
}

// under has an error about a part of a request point at it within the whole.
func under(pointer string, err error) error {
	if e := apperr.From(err); e != nil {
		for i, f := range e.Fields {
			if strings.HasPrefix(f.Pointer, "/") {
				e.Fields[i].Pointer = pointer + f.Pointer
			}
		}
	}
	return err
}
