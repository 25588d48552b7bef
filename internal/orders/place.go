package orders

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/commerce/orderpayment"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/membership"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/segments"
)

// LineInput is one article of an order, by exactly one of its ways to name it.
type LineInput struct {
	ID        *uuid.UUID // of a line there is; where lines are replaced
	VariantID *uuid.UUID
	SKU       *string
	Quantity  int64
	UnitPrice *int64 // needs orders.override_price
	Discount  *int64 // off the whole line; needs orders.override_price
}

// PaymentInput is money received outside of this service, or to be taken from a
// wallet or gift card.
type PaymentInput struct {
	Method    string
	Amount    int64
	Reference *string
	Code, PIN string // of stored value and gift cards
}

// Input is an order to place. Amounts are in minor units.
type Input struct {
	StoreID        uuid.UUID
	Channel        string
	Customer       *customers.Ref // nil: nobody named
	ExternalNumber *string
	Draft          bool
	Fulfilment     string // empty: taken in the shop; elsewhere delivery to a recipient, else pickup
	Recipient      *Recipient
	Shipping       *int64 // needs orders.override_price
	Lines          []LineInput
	CouponCodes    []string
	Payments       []PaymentInput
	StaffID        *uuid.UUID
	Note           *string
	PlacedAt       *time.Time
	Points         int64 // that pay a part
	Fields         map[string]any

	// AnyStore lets members order from stores, which are in nobody's scope of theirs.
	AnyStore bool

	exchangeOf *uuid.UUID
	credit     int64 // paid by goods that came back
}

// payWithin is how long a placed order's pieces wait for their money.
const payWithin = 30 * time.Minute

// placing is an order on its way into the database.
type placing struct {
	in       Input
	o        *commerce.Order
	customer buyer
	content  []byte // fingerprint; of orders with an external number
}

// buyer is the customer of an order, locked.
type buyer struct {
	id, assistant uuid.UUID
	wrapped       []byte // data key
	archived      bool
	tier          string // of membership; empty: none
	review        bool   // the tier is to be looked at anew
}

// Place takes an order in: prices it, reserves its pieces, books what has been
// paid. The caller gets the order whole, even if it is out of their sight from now
// on, as those of colleagues' customers are. An order with an external number that its store has already is the first
// one sent again.
//
// Errors: ErrStoreUnknown, ErrStaffUnknown, ErrOverride, ErrInFuture, ErrTooOld, ErrCustomer,
// ErrArticle, ErrNotForSale, ErrDiscount, ErrRecipient, ErrTaken, ErrNothingDue,
// ErrNumberReused, inventory.ErrInsufficient, those of customers.JudgeFields.
func (s *Service) Place(ctx context.Context, in Input) (out *commerce.Order, err error) {
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		out, err = s.place(ctx, tx, in)
		return err
	})
	return out, err
}

// place is Place within a transaction.
func (s *Service) place(ctx context.Context, tx *db.Tx, in Input) (*commerce.Order, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	p := &placing{in: in}
	if err := s.admit(ctx, actor, p); err != nil {
		return nil, err
	}
	if in.ExternalNumber != nil {
		if known, err := s.claimOrder(ctx, tx, p); err != nil || known != nil {
			return known, err
		}
	}
	if err := s.lockBuyer(ctx, tx, p); err != nil {
		return nil, err
	}
	if p.o.Edges.Lines, err = s.price(ctx, tx, p.o, &p.customer, in.Lines); err != nil {
		return nil, err
	}
	sumLines(p.o)
	if err := s.sealPrivate(p); err != nil {
		return nil, err
	}
	if err := s.orderFields(ctx, tx, p); err != nil {
		return nil, err
	}
	if err := s.settle(ctx, tx, p); err != nil {
		return nil, err
	}
	if d := dayOf(p.o); d != (segments.DayDelta{}) {
		if err := s.segments.ApplyDays(ctx, tx, []segments.DayDelta{d}); err != nil {
			return nil, err
		}
	}
	if err := s.stockOfNew(ctx, tx, p.o); err != nil {
		return nil, err
	}
	if err := s.insertOrder(ctx, tx, p); err != nil {
		return nil, err
	}
	if err := s.payAllStored(ctx, tx, p); err != nil {
		return nil, err
	}
	if p.in.Points > 0 {
		if err := s.points.PayOrder(ctx, tx, *p.o.CustomerID, p.o.ID, p.in.Points, countsAs(p.o.Status)); err != nil {
			return nil, err
		}
	}
	if p.o.CustomerID != nil && countsAs(p.o.Status) {
		if err := s.membership.Mark(ctx, tx, *p.o.CustomerID); err != nil {
			return nil, err
		}
		if err := s.earn(ctx, tx, []uuid.UUID{p.o.ID}, earner{fresh: true}); err != nil {
			return nil, err
		}
	}
	if p.o.CustomerID != nil {
		s.customers.Touch(ctx, tx, *p.o.CustomerID)
	}
	audit.Record(ctx, tx, audit.Entry{Action: "orders.place", ObjectType: "order", ObjectID: p.o.ID.String(), StoreID: &p.o.StoreID, StaffID: p.o.AssignedStaffID,
		Changes: map[string]any{"status": p.o.Status, "total_amount": p.o.TotalAmount}})
	emitOrder(tx, EventPlaced, p.o, nil, nil)
	if countsAs(p.o.Status) {
		emitOrder(tx, EventPaid, p.o, nil, nil)
	}
	if p.o.Status == order.StatusCompleted {
		emitOrder(tx, EventCompleted, p.o, nil, nil)
	}
	return p.o, nil
}

// admit makes the order's head of what may be taken without looking at goods.
func (s *Service) admit(ctx context.Context, actor auth.Actor, p *placing) error {
	in, now := &p.in, s.clock.Now()
	if in.AnyStore {
		known, err := s.storesOf(ctx, storesSQL, map[uuid.UUID]bool{in.StoreID: true})
		if err != nil {
			return err
		}
		if _, ok := known[in.StoreID]; !ok {
			return ErrStoreUnknown.At("/store_id")
		}
	} else if err := s.checkPlace(ctx, actor, in.StoreID, in.StaffID); err != nil {
		return err
	}
	if err := mayOverride(actor, in.Lines, in.Shipping); err != nil {
		return err
	}
	at := now
	if in.PlacedAt != nil {
		if at = in.PlacedAt.UTC().Truncate(time.Microsecond); at.After(now.Add(ahead)) {
			return ErrInFuture.At("/placed_at")
		} else if at.Unix() < 0 {
			return ErrTooOld.At("/placed_at")
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	o := &commerce.Order{ID: id, StoreID: in.StoreID, Channel: order.Channel(in.Channel), ExternalNumber: in.ExternalNumber, Status: order.StatusPlaced, Fulfilment: order.Fulfilment(in.Fulfilment),
		Currency: s.currency, PlacedAt: at, BusinessDay: s.clock.DayOf(at).Time(), CouponCodes: in.CouponCodes, StaffID: in.StaffID, ExchangeOfID: in.exchangeOf,
		Version: 1, CreatedAt: now, UpdatedAt: now}
	if in.Shipping != nil {
		o.ShippingAmount = *in.Shipping
	}
	if in.Draft {
		o.Status = order.StatusDraft
	}
	switch {
	case o.Fulfilment != "":
	case in.Channel == "pos":
		o.Fulfilment = order.FulfilmentTaken
	case in.Recipient != nil:
		o.Fulfilment = order.FulfilmentDelivery
	default:
		o.Fulfilment = order.FulfilmentPickup
	}
	switch {
	case (in.Recipient != nil) != (o.Fulfilment == order.FulfilmentDelivery):
		return ErrRecipient.At("/recipient")
	case in.Recipient != nil && in.Customer == nil:
		return ErrRecipientOfNobody.At("/customer_id")
	case in.Draft && len(in.Payments) > 0:
		return ErrDraftPaid.At("/payments")
	}
	p.o = o
	return nil
}

// checkPlace refuses a store beyond the caller's reach, and staff who are neither
// the store's nor within it.
// Errors: ErrStoreUnknown, ErrStaffUnknown.
func (s *Service) checkPlace(ctx context.Context, actor auth.Actor, store uuid.UUID, who *uuid.UUID) error {
	r := &row{ticket: &Ticket{StoreID: store}, result: &Result{}}
	if who != nil {
		r.ticket.StaffID = *who
	}
	if err := s.checkPlaces(ctx, actor, []*row{r}); err != nil {
		return err
	}
	if r.result.Err != nil {
		return r.result.Err
	}
	return nil
}

// mayOverride refuses prices from callers who have to take the catalogue's.
func mayOverride(actor auth.Actor, lines []LineInput, shipping *int64) error {
	if actor.Can(auth.OrdersOverridePrice) {
		return nil
	}
	wrong := ErrOverride.New()
	for i, l := range lines {
		if l.UnitPrice != nil {
			wrong.Field("/lines/"+strconv.Itoa(i)+"/unit_price_amount", ErrOverride)
		}
		if l.Discount != nil {
			wrong.Field("/lines/"+strconv.Itoa(i)+"/discount_amount", ErrOverride)
		}
	}
	if shipping != nil {
		wrong.Field("/shipping_amount", ErrOverride)
	}
	if len(wrong.Fields) > 0 {
		return wrong
	}
	return nil
}

// claimOrder writes the row of pos_tickets that keeps a number of a store from
// being used twice, as tickets do; an order sent again is returned.
func (s *Service) claimOrder(ctx context.Context, tx *db.Tx, p *placing) (*commerce.Order, error) {
	p.in.ExternalNumber = trimmed(p.in.ExternalNumber)
	number := *p.in.ExternalNumber
	if !visible(number, maxNumber) {
		return nil, ErrNumber.At("/external_number")
	}
	raw, err := json.Marshal(p.in)
	if err != nil {
		return nil, err
	}
	t := &Ticket{StoreID: p.in.StoreID, Number: number}
	r := &row{ticket: t, result: &Result{}, print: s.keys.Index("pos_tickets.fingerprint", "order "+string(raw)), orderID: p.o.ID}
	written, err := tx.Exec(ctx, `INSERT INTO pos_tickets (store_id, external_number, fingerprint, order_id, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (store_id, external_number) DO NOTHING`, t.StoreID, number, r.print, p.o.ID, s.clock.Now())
	if err != nil {
		return nil, err
	}
	if n, err := written.RowsAffected(); err != nil || n == 1 {
		return nil, err
	}
	if err := s.findTwins(ctx, tx, []*row{r}); err != nil {
		return nil, err
	}
	if r.result.Err != nil {
		return nil, r.result.Err
	}
	known, err := s.Order(ctx, r.result.OrderID)
	if ErrOrderNotFound.Is(err) { // somebody else's, whom the caller does not see
		return nil, ErrNumberReused.At("/external_number")
	}
	return known, err
}

// lockBuyer finds and locks whom the order names.
// Errors: ErrCustomer, ErrArchived.
func (s *Service) lockBuyer(ctx context.Context, tx *db.Tx, p *placing) error {
	if p.in.Customer == nil {
		return nil
	}
	ref := *p.in.Customer
	err := db.ErrAgain
	if ref.ID != uuid.Nil { // nearly always the record that it was
		p.customer, err = lockBuyer(ctx, tx, ref.ID, s.clock.Now())
	}
	if errors.Is(err, db.ErrAgain) {
		found, resolveErr := s.customers.Resolve(ctx, tx, []customers.Ref{ref})
		if resolveErr != nil {
			return resolveErr
		}
		if found[0].ID == uuid.Nil {
			return ErrCustomer.At("/customer")
		}
		p.customer, err = lockBuyer(ctx, tx, found[0].ID, s.clock.Now())
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrCustomer.At("/customer")
	}
	if err != nil {
		return err
	}
	if p.customer.archived {
		return ErrArchived.At("/customer")
	}
	p.o.CustomerID, p.o.AssignedStaffID = &p.customer.id, orNil(p.customer.assistant)
	return nil
}

// lockBuyer locks a customer, before any order of theirs.
func lockBuyer(ctx context.Context, tx *db.Tx, id uuid.UUID, now time.Time) (buyer, error) {
	b := buyer{id: id}
	var assistant uuid.NullUUID
	var merged bool
	err := tx.QueryRow(ctx, `SELECT c.assigned_staff_id, c.data_key, c.archived_at IS NOT NULL, c.merged_into_id IS NOT NULL, coalesce(c.tier_code, ''), m.review_at IS NOT NULL
FROM customers c LEFT JOIN memberships m ON m.customer_id = c.id AND m.review_at <= $2 WHERE c.id = $1 FOR NO KEY UPDATE OF c`, id, now).
		Scan(&assistant, &b.wrapped, &b.archived, &merged, &b.tier, &b.review)
	if err == nil && merged { // since we looked: the next attempt finds the survivor
		err = db.ErrAgain
	}
	b.assistant = assistant.UUID
	return b, err
}

// tierOf is what tier a locked buyer is in now, and what it gives.
func (s *Service) tierOf(ctx context.Context, tx *db.Tx, b *buyer) (string, membership.Benefits, error) {
	if b.review {
		var err error
		if b.tier, err = s.membership.Settle(ctx, tx, b.id); err != nil {
			return "", membership.Benefits{}, err
		}
		b.review = false
	}
	given, err := s.membership.BenefitsOf(ctx, tx.Clients, b.tier)
	return b.tier, given, err
}

// forTiers are those of price lists that are for a tier.
func forTiers(ctx context.Context, tx *db.Tx, found []catalog.Price) (map[uuid.UUID]bool, error) {
	used := pgarray.UUIDs{}
	for _, p := range found {
		if p.PriceListID != uuid.Nil {
			used = append(used, p.PriceListID)
		}
	}
	out := map[uuid.UUID]bool{}
	if len(used) == 0 {
		return out, nil
	}
	rows, err := tx.Query(ctx, "SELECT id FROM price_lists WHERE id = ANY($1::uuid[]) AND tier IS NOT NULL", used)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out[id] = true
	}
	return out, rows.Err()
}

// price makes lines of what is ordered. The discount of the buyer's tier comes off
// by itself, but where somebody has set a price or a discount, and where the price
// is that of a list for tiers: that one is the tier's already.
// Errors: ErrArticle, ErrNotForSale, ErrDiscount.
func (s *Service) price(ctx context.Context, tx *db.Tx, o *commerce.Order, b *buyer, in []LineInput) ([]*commerce.OrderLine, error) {
	wants := make([]catalog.PriceWant, len(in))
	for i, l := range in {
		wants[i].Quantity = l.Quantity
		switch {
		case l.VariantID != nil && l.SKU == nil:
			wants[i].VariantID = *l.VariantID
		case l.SKU != nil && l.VariantID == nil:
			wants[i].SKU = strings.TrimSpace(*l.SKU)
		}
	}
	tier, given, err := s.tierOf(ctx, tx, b)
	if err != nil {
		return nil, err
	}
	found, err := s.catalog.Prices(ctx, tx, catalog.PriceContext{StoreID: o.StoreID, Channel: string(o.Channel), Tier: tier, At: o.PlacedAt}, wants)
	if err != nil {
		return nil, err
	}
	var ofTiers map[uuid.UUID]bool
	if given.DiscountBasisPoints > 0 {
		if ofTiers, err = forTiers(ctx, tx, found); err != nil {
			return nil, err
		}
	}
	wrong := ErrArticle.New()
	out := make([]*commerce.OrderLine, len(in))
	for i, l := range in {
		at := "/lines/" + strconv.Itoa(i)
		a := found[i]
		switch {
		case a.VariantID == uuid.Nil:
			wrong.Field(at, ErrArticle)
			continue
		case !a.Sellable():
			wrong.Field(at, ErrNotForSale)
			continue
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		line := &commerce.OrderLine{ID: id, OrderID: o.ID, LineNumber: i + 1, VariantID: a.VariantID, CategoryID: orNil(a.CategoryID), Sku: a.SKU, Title: a.Title,
			Quantity: l.Quantity, UnitPriceAmount: a.Amount, TaxRate: int(a.TaxRate), PriceListID: orNil(a.PriceListID)}
		if l.UnitPrice != nil {
			line.UnitPriceAmount, line.PriceListID = *l.UnitPrice, nil
		}
		if l.Discount != nil {
			line.DiscountAmount = *l.Discount
		} else if given.DiscountBasisPoints > 0 && l.UnitPrice == nil && !ofTiers[a.PriceListID] {
			line.DiscountAmount, line.TierCode = share(line.Quantity*line.UnitPriceAmount, given.DiscountBasisPoints, 10000), &tier
		}
		if line.TotalAmount = line.Quantity*line.UnitPriceAmount - line.DiscountAmount; line.TotalAmount < 0 {
			wrong.Field(at+"/discount_amount", ErrDiscount)
		}
		out[i] = line
	}
	if len(wrong.Fields) > 0 {
		return nil, wrong.OfFirst()
	}
	return out, nil
}

// sumLines sets an order's sums to those of its lines.
func sumLines(o *commerce.Order) {
	o.LineCount, o.UnitCount, o.DiscountAmount, o.TotalAmount = len(o.Edges.Lines), 0, 0, o.ShippingAmount
	for _, l := range o.Edges.Lines {
		o.UnitCount += l.Quantity
		o.DiscountAmount += l.DiscountAmount
		o.TotalAmount += l.TotalAmount
	}
}

// settle books what has been paid and says where the order stands then.
// Errors: ErrNothingDue, those of payByPoints.
func (s *Service) settle(ctx context.Context, tx *db.Tx, p *placing) error {
	o, now := p.o, s.clock.Now()
	if credit := min(p.in.credit, o.TotalAmount); credit > 0 {
		if err := addPayment(o, exchangeCredit, credit, nil, now); err != nil {
			return err
		}
	}
	if err := s.payByPoints(ctx, tx, p); err != nil {
		return err
	}
	for i, in := range p.in.Payments {
		if in.Amount > due(o) {
			return ErrNothingDue.At("/payments/"+strconv.Itoa(i)+"/amount").Arg("due", due(o))
		}
		if err := mayPayStored(ctx, o, in, "/payments/"+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := addPayment(o, in.Method, in.Amount, in.Reference, now); err != nil {
			return err
		}
	}
	if o.Status == order.StatusDraft {
		return nil
	}
	if due(o) > 0 {
		by := now.Add(payWithin)
		o.PayBy = &by
		return nil
	}
	o.Status, o.PaidAt = order.StatusPaid, &now
	if o.Fulfilment == order.FulfilmentTaken {
		o.Status, o.CompletedAt = order.StatusCompleted, &now
	}
	return nil
}

// addPayment adds money received to an order in memory.
func addPayment(o *commerce.Order, method string, amount int64, reference *string, now time.Time) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	o.Edges.Payments = append(o.Edges.Payments, &commerce.OrderPayment{ID: id, OrderID: o.ID, Method: method, Status: orderpayment.StatusSucceeded, Amount: amount, Currency: o.Currency,
		Reference: reference, PaidAt: &now, Version: 1, CreatedAt: now, UpdatedAt: now})
	o.PaidAmount += amount
	return nil
}

// due is what is still to be paid of an order of which nothing came back.
func due(o *commerce.Order) int64 { return max(0, o.TotalAmount-(o.PaidAmount-o.RefundedAmount)) }

// countsAs reports whether orders in a state count as purchases.
func countsAs(st order.Status) bool {
	return st != order.StatusDraft && st != order.StatusPlaced && st != order.StatusCancelled
}

// dayOf is what an order adds to its customer's day; zero where it does not count.
func dayOf(o *commerce.Order) segments.DayDelta {
	if o.CustomerID == nil || !countsAs(o.Status) {
		return segments.DayDelta{}
	}
	return segments.DayDelta{CustomerID: *o.CustomerID, Day: clock.DayFromDate(o.BusinessDay), Orders: 1, Units: o.UnitCount, Spent: o.TotalAmount - o.ShippingAmount}
}

// stockOfNew reserves the pieces of a new order, or hands them out at once.
// Error: inventory.ErrInsufficient.
func (s *Service) stockOfNew(ctx context.Context, tx *db.Tx, o *commerce.Order) error {
	if o.Status == order.StatusDraft {
		return nil
	}
	if err := s.reserve(ctx, tx, o, o.Edges.Lines); err != nil {
		return err
	}
	if o.Status == order.StatusCompleted {
		return s.handOver(ctx, tx, o)
	}
	return nil
}

// reserve promises the pieces of lines that are not reserved yet.
func (s *Service) reserve(ctx context.Context, tx *db.Tx, o *commerce.Order, lines []*commerce.OrderLine) error {
	pieces := make([]inventory.Piece, 0, len(lines))
	for _, l := range lines {
		if q := l.Quantity - l.ReservedQuantity; q > 0 {
			pieces = append(pieces, inventory.Piece{VariantID: l.VariantID, Quantity: q, Pointer: "/lines/" + strconv.Itoa(l.LineNumber-1) + "/quantity"})
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	held, err := s.inventory.Promise(ctx, tx, o.StoreID, pieces)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if held[l.VariantID] {
			l.ReservedQuantity = l.Quantity
		}
	}
	return nil
}

// handOver hands all pieces of an order out.
func (s *Service) handOver(ctx context.Context, tx *db.Tx, o *commerce.Order) error {
	var pieces []inventory.Piece
	for i, l := range o.Edges.Lines {
		if l.ReservedQuantity > 0 {
			pieces = append(pieces, inventory.Piece{VariantID: l.VariantID, Quantity: l.ReservedQuantity, Pointer: "/lines/" + strconv.Itoa(i) + "/quantity"})
		}
		l.ReservedQuantity, l.ShippedQuantity = 0, l.Quantity
	}
	return s.inventory.HandOut(ctx, tx, o.StoreID, o.ID, pieces)
}

// orderFields judges the custom fields of a new order.
func (s *Service) orderFields(ctx context.Context, tx *db.Tx, p *placing) error {
	item := &customers.FieldItem{Store: p.o.StoreID, New: true, Patch: p.in.Fields}
	if err := s.customers.JudgeFields(ctx, tx, customers.OfOrder, []*customers.FieldItem{item}); err != nil {
		return err
	}
	if len(item.Faults()) > 0 {
		return item.Err()
	}
	p.o.CustomFields = item.Values
	return nil
}

func jsonOrNull(n int, v any) (*string, error) {
	if n == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	text := string(raw)
	return &text, err
}

func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	t := strings.TrimSpace(*s)
	return &t
}

// fieldsOf puts what is wrong with lines below another part of a request.
func fieldsOf(err error, from, to string) error {
	e, ok := err.(*apperr.Error)
	if !ok {
		return err
	}
	e.Fields = slices.Clone(e.Fields)
	for i := range e.Fields {
		e.Fields[i].Pointer = strings.Replace(e.Fields[i].Pointer, from, to, 1)
	}
	return e
}
