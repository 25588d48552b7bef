package orders

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"net/http"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/orderrefund"
	"github.com/shuke-crm/shuke/ent/commerce/paymentcallback"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

const noticePurpose = "payment_callbacks.raw"

// channelToken is the secret part of the address that a provider sends to. It
// follows from the keyring: all replicas and every restart have the same.
func (s *Service) channelToken(provider string) string {
	key := s.keys.Derive("callbacks." + provider)
	return hex.EncodeToString(key[:16])
}

// CallbackURL is where a provider sends its notices; a secret.
func (s *Service) CallbackURL(provider string) string {
	return s.baseURL + "/v1/callbacks/" + provider + "/" + s.channelToken(provider)
}

// CheckChannel refuses addresses without the secret as if there were none.
// Error: ErrCallbackNotFound.
func (s *Service) CheckChannel(provider, token string) error {
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.channelToken(provider))) != 1 {
		return ErrCallbackNotFound.New()
	}
	return nil
}

// TakeNotice verifies a payment provider's notice and books what it says. The
// notice, sealed, and its effect commit together: a repetition, also one that
// comes at the same time, finds both or neither.
//
// Errors: outside.ErrNoPayments, those of pay.Provider.ParseCallback.
func (s *Service) TakeNotice(ctx context.Context, name string, header http.Header, body []byte) (pay.Reply, error) {
	provider, err := s.outside.NeedPay(name)
	if err != nil {
		return pay.Reply{}, err
	}
	notice, err := provider.ParseCallback(ctx, header, body)
	if err != nil {
		return pay.Reply{}, err
	}
	outcome := outcomeKnown
	err = s.db.InTx(auth.System(ctx, "payments.notice"), func(ctx context.Context, tx *db.Tx) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		kind, number := about(notice)
		written, err := tx.Exec(ctx, `INSERT INTO payment_callbacks (id, provider, notice_id, kind, number, raw_sealed, outcome, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (provider, notice_id) DO NOTHING`, id, name, notice.ID, kind, number, s.keys.SealBlob(noticePurpose, id[:], body), outcomePending, s.clock.Now())
		if err != nil {
			return err
		}
		if n, err := written.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if outcome, err = s.applyNotice(ctx, tx, name, notice); err != nil {
			return err
		}
		if outcome == outcomeUnknown || outcome == outcomeDiffers {
			audit.Record(ctx, tx, audit.Entry{Action: "payments.notice_" + outcome, ObjectType: "payment_notice", ObjectID: id.String(), Changes: map[string]any{"provider": name, "number": number}})
		}
		return tx.Commerce.PaymentCallback.UpdateOneID(id).SetOutcome(outcome).Exec(ctx)
	})
	if err != nil {
		return pay.Reply{}, err
	}
	if outcome == outcomeUnknown || outcome == outcomeDiffers {
		s.log.WarnContext(ctx, "a payment provider's notice needs a look", "provider", name, "outcome", outcome)
	}
	return provider.Answer(true), nil
}

// about says what a notice is about.
func about(n pay.Notice) (kind, number string) {
	switch {
	case n.Refund != nil:
		return "refund", n.Refund.Number
	case n.Payment != nil:
		return "payment", n.Payment.Number
	}
	return "other", ""
}

// applyNotice books what a notice says. Where it only hints at a refund, the
// runner asks.
func (s *Service) applyNotice(ctx context.Context, tx *db.Tx, provider string, n pay.Notice) (outcome string, err error) {
	outcome = outcomeIgnored
	if n.Payment != nil {
		if outcome, err = s.bookPayment(ctx, tx, provider, *n.Payment, ""); err != nil {
			return "", err
		}
	}
	if n.Refund == nil {
		return outcome, nil
	}
	if n.Refund.State != pay.RefundPending {
		return s.bookRefund(ctx, tx, provider, *n.Refund, "")
	}
	asked, err := tx.Commerce.OrderRefund.Update().Where(orderrefund.Number(n.Refund.Number), orderrefund.ProviderEQ(orderrefund.Provider(provider)),
		orderrefund.StatusIn(orderrefund.StatusPending, orderrefund.StatusProcessing)).SetNextAttemptAt(s.clock.Now()).Save(ctx)
	if err != nil {
		return "", err
	}
	if asked > 0 {
		outcome = outcomePending
	}
	return outcome, nil
}

// Notices lists what payment providers told, the newest first.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) Notices(ctx context.Context, outcome, number string, limit *int32, cursor *string, include *string) (*page.Of[*commerce.PaymentCallback], error) {
	l := page.NewList("/v1/payment-notices", limit)
	q := s.db.From(ctx).Commerce.PaymentCallback.Query()
	if outcome != "" {
		l.Filters.Set("outcome", outcome)
		q.Where(paymentcallback.Outcome(outcome))
	}
	if number != "" {
		l.Filters.Set("number", number)
		q.Where(paymentcallback.Number(number))
	}
	out := &page.Of[*commerce.PaymentCallback]{}
	var err error
	if out.Total, err = page.Total(ctx, include, q.Clone().Count); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(paymentcallback.IDLT(at.ID))
	}
	rows, err := q.Order(paymentcallback.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{ID: out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}
