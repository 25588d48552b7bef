package orders

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

// Online asks for a payment that a provider moves.
type Online struct {
	Provider  string
	Kind      pay.Kind
	Amount    *int64 // nil: all that is due
	OpenID    string // jsapi
	ReturnURL string // page
}

const (
	// leastTime is how long a customer has to pay at least; providers refuse less than a minute.
	leastTime = 2 * time.Minute
	// askedFor is how long nobody else asks about a payment that is being made.
	askedFor = 30 * time.Second
	// firstCheck is when a provider is first asked what became of a payment, if no notice came.
	firstCheck = 10 * time.Second
	// claimed is how many rows one process takes to ask about.
	claimed = 20
)

// Parts of a payment's client column that are not for the client.
const (
	clientKind  = "kind"
	clientPayer = "payer" // a keyed hash: the open id is personal
)

// errThere ends a step that found what it was to make.
var errThere = errors.New("orders: the payment is there already")

// StartPayment begins a payment by a provider. Its number is committed before
// the provider hears of it. A payment of the same content that is pending is the
// answer to asking again, whatever became of the first answer.
//
// Errors: outside.ErrNoPayments, ErrPaymentKind, ErrOpenID, ErrOrderNotFound, ErrState, ErrNothingDue, ErrPaymentCurrency, those of pay.Provider.
func (s *Service) StartPayment(ctx context.Context, orderID uuid.UUID, in Online) (*commerce.OrderPayment, error) {
	provider, err := s.outside.NeedPay(in.Provider)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(provider.Kinds(), in.Kind) {
		kinds := make([]string, len(provider.Kinds()))
		for i, k := range provider.Kinds() {
			kinds[i] = string(k)
		}
		return nil, ErrPaymentKind.At("/kind").Arg("allowed", strings.Join(kinds, ", "))
	}
	if (in.Kind == pay.JSAPI) != (in.OpenID != "") {
		return nil, ErrOpenID.At("/openid")
	}
	p, title, err := s.pendingPayment(ctx, orderID, in)
	if err != nil || len(clientParts(p)) > 0 {
		return p, err
	}
	return s.prepay(context.WithoutCancel(ctx), provider, p, in, title)
}

// payer is a keyed hash of who pays, to know them again.
func (s *Service) payer(openID string) string {
	if openID == "" {
		return ""
	}
	return hex.EncodeToString(s.keys.Index("order_payments.payer", openID))
}

// clientParts are what a customer's device needs to pay.
func clientParts(p *commerce.OrderPayment) map[string]any {
	out := map[string]any{}
	for name, v := range p.Client {
		if name != clientKind && name != clientPayer {
			out[name] = v
		}
	}
	return out
}

// pendingPayment finds the payment that was asked for before, or makes it.
func (s *Service) pendingPayment(ctx context.Context, orderID uuid.UUID, in Online) (p *commerce.OrderPayment, title string, err error) {
	now, payer := s.clock.Now(), s.payer(in.OpenID)
	err = s.change(ctx, orderID, nil, "start_payment", func(ctx context.Context, tx *db.Tx, c *changing) error {
		if c.o.Status == order.StatusPaid || countsAs(c.o.Status) {
			return ErrNothingDue.At("/amount").Arg("due", 0)
		}
		if err := c.must(order.StatusPlaced); err != nil {
			return err
		}
		if c.o.Currency != "CNY" {
			return ErrPaymentCurrency.New().Arg("currency", c.o.Currency)
		}
		title = c.o.OrderNumber
		if len(c.o.Edges.Lines) > 0 {
			title = c.o.Edges.Lines[0].Title + " " + title
		}
		amount := due(c.o)
		if in.Amount != nil {
			if *in.Amount > amount {
				return ErrNothingDue.At("/amount").Arg("due", amount)
			}
			amount = *in.Amount
		}
		if amount == 0 {
			return ErrNothingDue.At("/amount").Arg("due", 0)
		}
		for _, one := range c.o.Edges.Payments {
			if one.Status == orderpayment.StatusPending && one.Provider != nil && string(*one.Provider) == in.Provider && one.Amount == amount &&
				one.Client[clientKind] == string(in.Kind) && one.Client[clientPayer] == payer && one.ExpiresAt != nil && one.ExpiresAt.After(now.Add(time.Minute)) {
				p = one
				return errThere
			}
		}
		if err := askAbout(ctx, tx, orderID, now); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		expires := now.Add(leastTime)
		if c.o.PayBy != nil && c.o.PayBy.After(expires) {
			expires = *c.o.PayBy
		}
		c.details["payment_id"], c.details["method"], c.details["amount"] = id, in.Provider, amount
		p, err = tx.Commerce.OrderPayment.Create().SetID(id).SetOrderID(orderID).SetMethod(in.Provider).SetProvider(orderpayment.Provider(in.Provider)).SetAmount(amount).
			SetCurrency(c.o.Currency).SetNumber(providerNumber(id)).SetClient(map[string]any{clientKind: string(in.Kind), clientPayer: payer}).SetExpiresAt(expires).
			SetNextCheckAt(now.Add(askedFor)).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		return err
	})
	if errors.Is(err, errThere) {
		err = nil
	}
	return p, title, err
}

// providerNumber is the number by which a provider knows a row.
func providerNumber(id uuid.UUID) string { return refundNumber(id) }

// askAbout has the clock ask about an order's pending payments now: those that
// nobody waits for any more are closed.
func askAbout(ctx context.Context, tx *db.Tx, orderID uuid.UUID, now time.Time) error {
	return tx.Commerce.OrderPayment.Update().Where(orderpayment.StatusEQ(orderpayment.StatusPending), func(q *sql.Selector) { q.Where(sql.EQ(q.C("order_id"), orderID)) }).
		SetNextCheckAt(now).Exec(ctx)
}

// prepay asks the provider. What it does not answer is asked again once, with
// the same number; then the payment stays pending for whoever asks next.
func (s *Service) prepay(ctx context.Context, provider pay.Provider, p *commerce.OrderPayment, in Online, title string) (*commerce.OrderPayment, error) {
	ask := pay.Prepayment{Kind: in.Kind, Number: *p.Number, Amount: p.Amount, Currency: p.Currency, Title: title, NotifyURL: s.CallbackURL(in.Provider), ReturnURL: in.ReturnURL,
		ExpiresAt: *p.ExpiresAt, OpenID: in.OpenID}
	prepaid, err := provider.Prepay(ctx, ask)
	if err != nil && !pay.Certain(err) {
		prepaid, err = provider.Prepay(ctx, ask)
	}
	now := s.clock.Now()
	switch {
	case err == nil:
		client := p.Client
		for name, v := range map[string]string{"code_url": prepaid.CodeURL, "page_url": prepaid.PageURL, "order_string": prepaid.OrderString} {
			if v != "" {
				client[name] = v
			}
		}
		if len(prepaid.Params) > 0 {
			client["params"] = prepaid.Params
		}
		return s.db.Commerce.OrderPayment.UpdateOneID(p.ID).SetClient(client).SetNextCheckAt(now.Add(firstCheck)).SetUpdatedAt(now).Save(ctx)
	case pay.ErrPaid.Is(err) || pay.ErrClosed.Is(err):
		// Known there though not here: what is so is asked for, and the caller asks again.
		return nil, errors.Join(err, s.checkPayment(auth.System(ctx, "payments.check"), p.ID))
	case pay.Certain(err):
		failed := s.settlePayment(ctx, in.Provider, pay.Payment{Number: *p.Number, State: pay.Failed}, errorCode(err))
		return nil, errors.Join(err, failed)
	}
	return nil, errors.Join(err, s.db.Commerce.OrderPayment.UpdateOneID(p.ID).SetNextCheckAt(now.Add(firstCheck)).SetErrorCode(errorCode(err)).SetUpdatedAt(now).Exec(ctx))
}

// errorCode is a provider's word for a row, or ours where it gave none.
func errorCode(err error) string {
	var raw pay.RawCode
	if errors.As(err, &raw) {
		return pay.Clip(raw.Code)
	}
	if e := apperr.From(err); e != nil {
		return e.Def.Code
	}
	return "unknown"
}

// What became of what a provider said.
const (
	outcomeApplied = "applied"
	outcomeKnown   = "known"
	outcomePending = "pending"
	outcomeDiffers = "amount_differs"
	outcomeUnknown = "unknown_number"
	outcomeIgnored = "ignored"
)

// settlePayment books what a provider says of a payment, in a transaction of its
// own; code is the provider's word for a failure.
func (s *Service) settlePayment(ctx context.Context, provider string, said pay.Payment, code string) error {
	return s.db.InTx(auth.System(ctx, "payments"), func(ctx context.Context, tx *db.Tx) error {
		_, err := s.bookPayment(ctx, tx, provider, said, code)
		return err
	})
}

// bookPayment books what a provider says of a payment: once, whoever brings it
// (a notice, a repetition, the clock) and in whatever order.
func (s *Service) bookPayment(ctx context.Context, tx *db.Tx, provider string, said pay.Payment, code string) (outcome string, err error) {
	row, err := tx.Commerce.OrderPayment.Query().Where(orderpayment.Number(said.Number), orderpayment.ProviderEQ(orderpayment.Provider(provider))).Only(ctx)
	if commerce.IsNotFound(err) {
		return outcomeUnknown, nil
	}
	if err != nil {
		return "", err
	}
	c, err := s.lock(ctx, tx, row.OrderID, "pay")
	if err != nil {
		return "", err
	}
	n := slices.IndexFunc(c.o.Edges.Payments, func(p *commerce.OrderPayment) bool { return p.ID == row.ID })
	if n < 0 {
		return "", db.ErrAgain
	}
	p := c.o.Edges.Payments[n]
	c.details["payment_id"], c.details["method"] = p.ID, p.Method
	switch {
	case said.State == pay.Pending:
		return outcomePending, nil
	case said.State != pay.Succeeded:
		return s.endPayment(ctx, tx, c, p, said.State, code)
	case p.Status == orderpayment.StatusSucceeded:
		return outcomeKnown, nil
	case said.Amount != p.Amount || said.Currency != p.Currency:
		return s.flagPayment(ctx, tx, c, p, said)
	}
	return s.bookMoney(ctx, tx, c, p, said)
}

// bookMoney books money that came. What an order does not need (it was
// cancelled, or paid otherwise meanwhile) goes back: it is never lost.
func (s *Service) bookMoney(ctx context.Context, tx *db.Tx, c *changing, p *commerce.OrderPayment, said pay.Payment) (string, error) {
	now := s.clock.Now()
	at := said.PaidAt
	if at.IsZero() {
		at = now
	}
	if err := tx.Commerce.OrderPayment.UpdateOneID(p.ID).SetStatus(orderpayment.StatusSucceeded).SetProviderTransactionID(said.ProviderID).SetPaidAt(at).ClearNextCheckAt().ClearErrorCode().
		AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
		return "", err
	}
	p.Status = orderpayment.StatusSucceeded
	c.o.PaidAmount += p.Amount
	c.details["amount"] = p.Amount
	back, reason := int64(0), ""
	switch c.o.Status {
	case order.StatusPlaced:
		if back = max(0, c.o.PaidAmount-c.o.RefundedAmount-c.o.TotalAmount); back > 0 {
			reason = "paid in excess"
		}
	case order.StatusCancelled, order.StatusDraft:
		c.action, back, reason = "late_payment", p.Amount, "paid after the order was cancelled"
	default:
		c.action, back, reason = "late_payment", p.Amount, "paid twice"
	}
	if back > 0 {
		if err := s.addRefund(c, p, back, reason); err != nil {
			return "", err
		}
		p.RefundedAmount += back
		c.o.RefundedAmount += back
		c.reason, c.details["refunded_amount"] = reason, back
	}
	if c.o.Status == order.StatusPlaced {
		s.standing(c)
		if err := s.takenAlong(ctx, tx, c); err != nil {
			return "", err
		}
		if err := askAbout(ctx, tx, c.o.ID, now); err != nil { // the others are not needed any more
			return "", err
		}
	}
	return outcomeApplied, s.finish(ctx, tx, c)
}

// endPayment ends a payment that did not come about. One that has succeeded
// stays so: money goes back by refunds.
func (s *Service) endPayment(ctx context.Context, tx *db.Tx, c *changing, p *commerce.OrderPayment, state pay.State, code string) (string, error) {
	if p.Status != orderpayment.StatusPending {
		return outcomeKnown, nil
	}
	status := orderpayment.StatusClosed
	if state == pay.Failed {
		status = orderpayment.StatusFailed
	}
	u := tx.Commerce.OrderPayment.UpdateOneID(p.ID).SetStatus(status).ClearNextCheckAt().AddVersion(1).SetUpdatedAt(s.clock.Now())
	if code != "" {
		u.SetErrorCode(code)
		c.details["error_code"] = code
	}
	if err := u.Exec(ctx); err != nil {
		return "", err
	}
	c.action = "payment_" + string(status)
	return outcomeApplied, s.finish(ctx, tx, c)
}

// flagPayment notes an amount or currency that is not ours: nothing is booked,
// and the order's history and the audit log say so, once.
func (s *Service) flagPayment(ctx context.Context, tx *db.Tx, c *changing, p *commerce.OrderPayment, said pay.Payment) (string, error) {
	if p.ErrorCode != nil && *p.ErrorCode == outcomeDiffers {
		return outcomeDiffers, nil
	}
	if err := tx.Commerce.OrderPayment.UpdateOneID(p.ID).SetErrorCode(outcomeDiffers).AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
		return "", err
	}
	c.action = "payment_differs"
	c.details["amount"], c.details["said_amount"], c.details["said_currency"] = p.Amount, said.Amount, said.Currency
	return outcomeDiffers, s.finish(ctx, tx, c)
}

// CheckPayments asks providers about payments of which no notice came, and
// closes those that nobody waits for. The clock runs it every ten seconds; what
// one process has taken, others leave alone until the next time is due.
func (s *Service) CheckPayments(ctx context.Context) (total int, err error) {
	for {
		ids, err := s.claimDue(ctx, `
UPDATE order_payments SET attempts = attempts + 1, next_check_at = $1::timestamptz + least(interval '5 seconds' * (1 << least(attempts, 7)::int), interval '5 minutes')
WHERE id IN (SELECT id FROM order_payments WHERE next_check_at <= $1 ORDER BY next_check_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id`)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		for _, id := range ids {
			// One payment's trouble is not the others': it is asked about again.
			if err := s.checkPayment(ctx, id); err != nil {
				s.log.WarnContext(ctx, "a payment could not be checked", "payment_id", id, "error", err)
			}
			total++
		}
	}
}

// claimDue runs a statement that takes rows that are due and returns their ids.
func (s *Service) claimDue(ctx context.Context, statement string) (ids []uuid.UUID, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		ids = nil
		rows, err := tx.Query(ctx, statement, s.clock.Now(), claimed)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id uuid.UUID
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}

// checkPayment asks about one payment, or closes it.
func (s *Service) checkPayment(ctx context.Context, id uuid.UUID) error {
	p, err := s.db.Commerce.OrderPayment.Query().Where(orderpayment.ID(id)).Only(ctx)
	if err != nil {
		return err
	}
	if p.Status != orderpayment.StatusPending || p.Provider == nil {
		return s.db.Commerce.OrderPayment.UpdateOneID(id).ClearNextCheckAt().Exec(ctx)
	}
	name := string(*p.Provider)
	provider, err := s.outside.NeedPay(name)
	if err != nil {
		return err
	}
	wanted, err := s.wanted(ctx, p)
	if err != nil {
		return err
	}
	over := p.ExpiresAt == nil || s.clock.Now().After(*p.ExpiresAt)
	closed := pay.Payment{Number: *p.Number, State: pay.Closed}
	if !wanted {
		err := provider.Close(ctx, *p.Number)
		switch {
		case err == nil, pay.ErrClosed.Is(err):
			return s.settlePayment(ctx, name, closed, "")
		case pay.ErrNotFound.Is(err) && (name != pay.Alipay || over):
			return s.settlePayment(ctx, name, closed, "")
		case pay.ErrNotFound.Is(err): // a code that nobody has scanned yet: it may still be
			return nil
		case !pay.ErrPaid.Is(err):
			return err
		}
	}
	said, err := provider.Query(ctx, *p.Number)
	if pay.ErrNotFound.Is(err) {
		if over {
			return s.settlePayment(ctx, name, closed, "")
		}
		return nil
	}
	if err != nil {
		return err
	}
	return s.settlePayment(ctx, name, said, "")
}

// wanted reports whether somebody still waits for a pending payment: its order
// needs the money, and the customer was not given another way to pay.
func (s *Service) wanted(ctx context.Context, p *commerce.OrderPayment) (bool, error) {
	o, err := s.db.Commerce.Order.Query().Where(order.ID(p.OrderID)).Only(ctx)
	if err != nil || o.Status != order.StatusPlaced {
		return false, err
	}
	newer, err := s.db.Commerce.OrderPayment.Query().Where(orderpayment.OrderID(p.OrderID), orderpayment.StatusEQ(orderpayment.StatusPending), orderpayment.IDGT(p.ID)).Exist(ctx)
	return !newer, err
}
