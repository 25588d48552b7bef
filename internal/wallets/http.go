package wallets

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	walletsapi "github.com/shuke-crm/shuke/api/wallets"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/ent/loyalty/walletadjustment"
	"github.com/shuke-crm/shuke/ent/loyalty/walletprogramme"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers the operations of wallets.
type API struct{ *Service }

var _ walletsapi.StrictServerInterface = API{}

// GetWalletProgramme implements getWalletProgramme.
func (a API) GetWalletProgramme(ctx context.Context, _ walletsapi.GetWalletProgrammeRequestObject) (walletsapi.GetWalletProgrammeResponseObject, error) {
	p, err := a.programme(ctx)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWalletProgramme200JSONResponse{Body: a.toAPIProgramme(p), Headers: walletsapi.GetWalletProgramme200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// SetWalletProgramme implements setWalletProgramme.
func (a API) SetWalletProgramme(ctx context.Context, r walletsapi.SetWalletProgrammeRequestObject) (walletsapi.SetWalletProgrammeResponseObject, error) {
	b := r.Body
	in := Programme{SpendOrder: walletprogramme.DefaultSpendOrder, TopUpMinimum: walletprogramme.DefaultTopUpMinimum, BonusDays: walletprogramme.DefaultBonusDays,
		GiveBackDays: walletprogramme.DefaultGiveBackDays, CardDays: walletprogramme.DefaultCardDays, Transferable: opt.Value(b.Transferable),
		BalanceLimit: limit(b.BalanceLimitAmount), ApprovalLimit: limit(b.ApprovalLimitAmount), PINAboveAmount: limit(b.PinAboveAmount), CardLimit: limit(b.CardLimitAmount),
		TopUpRules: each(opt.Value(b.TopUpRules), func(t walletsapi.WalletTopUpRule) schema.TopUpRule {
			return schema.TopUpRule{Amount: t.Amount, Bonus: t.BonusAmount}
		})}
	if b.SpendOrder != nil {
		in.SpendOrder = walletprogramme.SpendOrder(*b.SpendOrder)
	}
	if b.TopUpMinimumAmount != nil {
		in.TopUpMinimum = *b.TopUpMinimumAmount
	}
	number(b.BonusDays, &in.BonusDays)
	number(b.GiveBackDays, &in.GiveBackDays)
	number(b.CardDays, &in.CardDays)
	p, err := a.SetProgramme(ctx, r.Params.IfMatch, in)
	if err != nil {
		return nil, err
	}
	return walletsapi.SetWalletProgramme200JSONResponse{Body: a.toAPIProgramme(p), Headers: walletsapi.SetWalletProgramme200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// GetWallet implements getWallet.
func (a API) GetWallet(ctx context.Context, r walletsapi.GetWalletRequestObject) (walletsapi.GetWalletResponseObject, error) {
	w, err := a.Of(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWallet200JSONResponse(ToAPIWallet(w)), nil
}

// ToAPIWallet is a wallet as the contract has it, for members too.
func ToAPIWallet(w *Wallet) walletsapi.Wallet {
	return walletsapi.Wallet{CustomerId: w.CustomerID, Currency: w.Currency, BalanceAmount: w.Principal + w.Bonus, PrincipalAmount: w.Principal, BonusAmount: w.Bonus, BlockedAmount: w.Blocked,
		Expiring: each(w.Expiring, func(e Expiring) walletsapi.WalletExpiring {
			return walletsapi.WalletExpiring{At: e.At.UTC(), Amount: e.Amount}
		}), Frozen: w.FrozenAt != nil, FrozenAt: opt.OrNull(w.FrozenAt), FrozenReason: w.FrozenReason, PinSet: w.PINSet, PinLocked: w.PINLocked}
}

// ListWalletEntries implements listWalletEntries.
func (a API) ListWalletEntries(ctx context.Context, r walletsapi.ListWalletEntriesRequestObject) (walletsapi.ListWalletEntriesResponseObject, error) {
	p := r.Params
	found, err := a.Entries(ctx, "/v1/customers/"+r.Id.String()+"/wallet/entries", r.Id, EntryFilter{Kind: string(opt.Value(p.Kind)), OrderID: p.OrderId, After: p.CreatedAfter, Before: p.CreatedBefore},
		page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListWalletEntries200JSONResponse{Body: ToAPIEntries(found), Headers: walletsapi.ListWalletEntries200ResponseHeaders{Link: found.Link}}, nil
}

// ToAPIEntries is a page of a statement as the contract has it, for members too.
func ToAPIEntries(found *page.Of[*loyalty.WalletEntry]) walletsapi.WalletEntryList {
	return walletsapi.WalletEntryList{Items: each(found.Items, toAPIEntry), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
}

// ListWalletTopUps implements listWalletTopUps.
func (a API) ListWalletTopUps(ctx context.Context, r walletsapi.ListWalletTopUpsRequestObject) (walletsapi.ListWalletTopUpsResponseObject, error) {
	p := r.Params
	found, err := a.TopUps(ctx, r.Id, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListWalletTopUps200JSONResponse{
		Body:    walletsapi.WalletTopUpList{Items: each(found.Items, toAPITopUp), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListWalletTopUps200ResponseHeaders{Link: found.Link},
	}, nil
}

// TopUpWallet implements topUpWallet.
func (a API) TopUpWallet(ctx context.Context, r walletsapi.TopUpWalletRequestObject) (walletsapi.TopUpWalletResponseObject, error) {
	b := r.Body
	t, err := a.TopUp(ctx, PaidIn{CustomerID: r.Id, Amount: b.Amount, Bonus: b.BonusAmount, Method: b.Method, Reference: opt.Value(b.Reference), StoreID: b.StoreId})
	if err != nil {
		return nil, err
	}
	return walletsapi.TopUpWallet201JSONResponse{Body: toAPITopUp(t), Headers: walletsapi.TopUpWallet201ResponseHeaders{ETag: etag.Header(t.Version), Location: location("top-ups", t.ID)}}, nil
}

// ListWalletPayments implements listWalletPayments.
func (a API) ListWalletPayments(ctx context.Context, r walletsapi.ListWalletPaymentsRequestObject) (walletsapi.ListWalletPaymentsResponseObject, error) {
	p := r.Params
	found, err := a.Payments(ctx, r.Id, string(opt.Value(p.Status)), page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListWalletPayments200JSONResponse{
		Body:    walletsapi.WalletPaymentList{Items: each(found.Items, toAPIPayment), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListWalletPayments200ResponseHeaders{Link: found.Link},
	}, nil
}

// PayByWallet implements payByWallet.
func (a API) PayByWallet(ctx context.Context, r walletsapi.PayByWalletRequestObject) (walletsapi.PayByWalletResponseObject, error) {
	b := r.Body
	p, err := a.Pay(ctx, Spending{CustomerID: r.Id, Amount: b.Amount, Hold: opt.Value(b.Hold), Ends: b.ExpiresAt, PIN: opt.Value(b.Pin), Reason: opt.Value(b.Reason), Reference: opt.Value(b.Reference)})
	if err != nil {
		return nil, err
	}
	return walletsapi.PayByWallet201JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.PayByWallet201ResponseHeaders{ETag: etag.Header(p.Version), Location: location("payments", p.ID)}}, nil
}

// TransferFromWallet implements transferFromWallet.
func (a API) TransferFromWallet(ctx context.Context, r walletsapi.TransferFromWalletRequestObject) (walletsapi.TransferFromWalletResponseObject, error) {
	b := r.Body
	operation, err := a.Transfer(ctx, r.Id, b.ToCustomerId, b.Amount, opt.Value(b.Pin), opt.Value(b.Reason))
	if err != nil {
		return nil, err
	}
	at := "/v1/customers/" + r.Id.String() + "/wallet/entries"
	return walletsapi.TransferFromWallet201JSONResponse{Body: walletsapi.WalletTransfer{OperationId: operation, CustomerId: r.Id, ToCustomerId: b.ToCustomerId, Amount: b.Amount},
		Headers: walletsapi.TransferFromWallet201ResponseHeaders{Location: &at}}, nil
}

// AdjustWallet implements adjustWallet.
func (a API) AdjustWallet(ctx context.Context, r walletsapi.AdjustWalletRequestObject) (walletsapi.AdjustWalletResponseObject, error) {
	b := r.Body
	v, err := a.Adjust(ctx, r.Id, walletadjustment.Part(b.Portion), b.Amount, b.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.AdjustWallet201JSONResponse{Body: toAPIAdjustment(v), Headers: walletsapi.AdjustWallet201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("adjustments", v.ID)}}, nil
}

// FreezeWallet implements freezeWallet.
func (a API) FreezeWallet(ctx context.Context, r walletsapi.FreezeWalletRequestObject) (walletsapi.FreezeWalletResponseObject, error) {
	if err := a.Freeze(ctx, r.Id, true, r.Body.Reason); err != nil {
		return nil, err
	}
	w, err := a.Of(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.FreezeWallet200JSONResponse(ToAPIWallet(w)), nil
}

// UnfreezeWallet implements unfreezeWallet.
func (a API) UnfreezeWallet(ctx context.Context, r walletsapi.UnfreezeWalletRequestObject) (walletsapi.UnfreezeWalletResponseObject, error) {
	if err := a.Freeze(ctx, r.Id, false, r.Body.Reason); err != nil {
		return nil, err
	}
	w, err := a.Of(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.UnfreezeWallet200JSONResponse(ToAPIWallet(w)), nil
}

// SetWalletPin implements setWalletPin.
func (a API) SetWalletPin(ctx context.Context, r walletsapi.SetWalletPinRequestObject) (walletsapi.SetWalletPinResponseObject, error) {
	if err := a.SetPIN(ctx, r.Id, r.Body.Pin, nil); err != nil {
		return nil, err
	}
	return walletsapi.SetWalletPin204Response{}, nil
}

// GetWalletTopUp implements getWalletTopUp.
func (a API) GetWalletTopUp(ctx context.Context, r walletsapi.GetWalletTopUpRequestObject) (walletsapi.GetWalletTopUpResponseObject, error) {
	t, err := a.TopUpOf(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWalletTopUp200JSONResponse{Body: toAPITopUp(t), Headers: walletsapi.GetWalletTopUp200ResponseHeaders{ETag: etag.Header(t.Version)}}, nil
}

// RefundWalletTopUp implements refundWalletTopUp.
func (a API) RefundWalletTopUp(ctx context.Context, r walletsapi.RefundWalletTopUpRequestObject) (walletsapi.RefundWalletTopUpResponseObject, error) {
	t, err := a.RefundTopUp(ctx, r.Id, r.Body.Amount, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.RefundWalletTopUp200JSONResponse{Body: toAPITopUp(t), Headers: walletsapi.RefundWalletTopUp200ResponseHeaders{ETag: etag.Header(t.Version)}}, nil
}

// GetWalletPayment implements getWalletPayment.
func (a API) GetWalletPayment(ctx context.Context, r walletsapi.GetWalletPaymentRequestObject) (walletsapi.GetWalletPaymentResponseObject, error) {
	p, err := a.PaymentOf(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWalletPayment200JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.GetWalletPayment200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// CaptureWalletPayment implements captureWalletPayment.
func (a API) CaptureWalletPayment(ctx context.Context, r walletsapi.CaptureWalletPaymentRequestObject) (walletsapi.CaptureWalletPaymentResponseObject, error) {
	var amount *int64
	if r.Body != nil {
		amount = r.Body.Amount
	}
	p, err := a.Capture(ctx, r.Id, amount)
	if err != nil {
		return nil, err
	}
	return walletsapi.CaptureWalletPayment200JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.CaptureWalletPayment200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// ReleaseWalletPayment implements releaseWalletPayment.
func (a API) ReleaseWalletPayment(ctx context.Context, r walletsapi.ReleaseWalletPaymentRequestObject) (walletsapi.ReleaseWalletPaymentResponseObject, error) {
	p, err := a.Release(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.ReleaseWalletPayment200JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.ReleaseWalletPayment200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// RefundWalletPayment implements refundWalletPayment.
func (a API) RefundWalletPayment(ctx context.Context, r walletsapi.RefundWalletPaymentRequestObject) (walletsapi.RefundWalletPaymentResponseObject, error) {
	var amount *int64
	var reason string
	if r.Body != nil {
		amount, reason = r.Body.Amount, opt.Value(r.Body.Reason)
	}
	p, err := a.Refund(ctx, r.Id, amount, reason)
	if err != nil {
		return nil, err
	}
	return walletsapi.RefundWalletPayment200JSONResponse{Body: toAPIPayment(p), Headers: walletsapi.RefundWalletPayment200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// GetWalletEntry implements getWalletEntry.
func (a API) GetWalletEntry(ctx context.Context, r walletsapi.GetWalletEntryRequestObject) (walletsapi.GetWalletEntryResponseObject, error) {
	e, err := a.Entry(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	l := toAPIEntry(e)
	return walletsapi.GetWalletEntry200JSONResponse{Id: l.Id, OperationId: l.OperationId, Number: l.Number, Kind: l.Kind, PrincipalChangeAmount: l.PrincipalChangeAmount, BonusChangeAmount: l.BonusChangeAmount,
		BlockedChangeAmount: l.BlockedChangeAmount, PrincipalAfterAmount: l.PrincipalAfterAmount, BonusAfterAmount: l.BonusAfterAmount, BlockedAfterAmount: l.BlockedAfterAmount, PaymentId: l.PaymentId,
		TopUpId: l.TopUpId, OrderId: l.OrderId, Reason: l.Reason, ActorKind: l.ActorKind, ActorId: l.ActorId, OccurredAt: l.OccurredAt, CreatedAt: l.CreatedAt,
		AccountId: e.AccountID, CustomerId: opt.OrNull(e.Edges.Account.CustomerID), Postings: each(e.Edges.Postings, toAPIPosting)}, nil
}

// ListWalletAdjustments implements listWalletAdjustments.
func (a API) ListWalletAdjustments(ctx context.Context, r walletsapi.ListWalletAdjustmentsRequestObject) (walletsapi.ListWalletAdjustmentsResponseObject, error) {
	p := r.Params
	found, err := a.Adjustments(ctx, p.CustomerId, string(opt.Value(p.Status)), page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListWalletAdjustments200JSONResponse{
		Body:    walletsapi.WalletAdjustmentList{Items: each(found.Items, toAPIAdjustment), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListWalletAdjustments200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetWalletAdjustment implements getWalletAdjustment.
func (a API) GetWalletAdjustment(ctx context.Context, r walletsapi.GetWalletAdjustmentRequestObject) (walletsapi.GetWalletAdjustmentResponseObject, error) {
	v, err := a.Adjustment(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWalletAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: walletsapi.GetWalletAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ApproveWalletAdjustment implements approveWalletAdjustment.
func (a API) ApproveWalletAdjustment(ctx context.Context, r walletsapi.ApproveWalletAdjustmentRequestObject) (walletsapi.ApproveWalletAdjustmentResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, true, note(r.Body))
	if err != nil {
		return nil, err
	}
	return walletsapi.ApproveWalletAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: walletsapi.ApproveWalletAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// RejectWalletAdjustment implements rejectWalletAdjustment.
func (a API) RejectWalletAdjustment(ctx context.Context, r walletsapi.RejectWalletAdjustmentRequestObject) (walletsapi.RejectWalletAdjustmentResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, false, note(r.Body))
	if err != nil {
		return nil, err
	}
	return walletsapi.RejectWalletAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: walletsapi.RejectWalletAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GetWalletLiability implements getWalletLiability.
func (a API) GetWalletLiability(ctx context.Context, r walletsapi.GetWalletLiabilityRequestObject) (walletsapi.GetWalletLiabilityResponseObject, error) {
	l, err := a.LiabilityAt(ctx, string(opt.Value(r.Params.Kind)), r.Params.At)
	if err != nil {
		return nil, err
	}
	b := l.Books
	return walletsapi.GetWalletLiability200JSONResponse{At: l.At.UTC(), Currency: a.currency, LiabilityAmount: l.Total(), PrincipalAmount: b[Principal], BonusAmount: b[Bonus], PrincipalBlockedAmount: b[PrincipalBlocked],
		BonusBlockedAmount: b[BonusBlocked], CashInAmount: b[CashIn], RefundedAmount: b[Refunded], MarketingAmount: b[Marketing], AdjustedAmount: b[Adjusted], SpentAmount: b[Spent], ExpiredAmount: b[Expired],
		MovedAmount: b[Moved]}, nil
}

// GetWalletIntegrity implements getWalletIntegrity.
func (a API) GetWalletIntegrity(ctx context.Context, _ walletsapi.GetWalletIntegrityRequestObject) (walletsapi.GetWalletIntegrityResponseObject, error) {
	v, err := a.Verify(ctx, 100)
	if err != nil {
		return nil, err
	}
	return walletsapi.GetWalletIntegrity200JSONResponse{Ok: len(v.Differences) == 0, CheckedAt: a.clock.Now(), AccountCount: v.Accounts, LotCount: v.Lots, EntryCount: v.Entries, PostingCount: v.Postings,
		Differences: each(v.Differences, func(d Difference) walletsapi.WalletDifference {
			return walletsapi.WalletDifference{Check: d.Check, AccountId: valid(d.AccountID), LotId: valid(d.LotID), Expected: d.Expected, Found: d.Found}
		})}, nil
}

// ListWalletPostings implements listWalletPostings.
func (a API) ListWalletPostings(ctx context.Context, r walletsapi.ListWalletPostingsRequestObject) (walletsapi.ListWalletPostingsResponseObject, error) {
	p := r.Params
	found, err := a.Postings(ctx, page.Asked{Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return walletsapi.ListWalletPostings200JSONResponse{
		Body:    walletsapi.WalletPostingList{Items: each(found.Items, toAPIPosting), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: walletsapi.ListWalletPostings200ResponseHeaders{Link: found.Link},
	}, nil
}

func number(from *int32, to *int) {
	if from != nil {
		*to = int(*from)
	}
}

// limit reads a number that null takes away.
func limit(from nullable.Nullable[int64]) *int64 {
	v, err := from.Get()
	if err != nil { // null, or not there
		return nil
	}
	return &v
}

func note(b *walletsapi.WalletDecision) string {
	if b == nil {
		return ""
	}
	return opt.Value(b.Note)
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func location(things string, id uuid.UUID) *string {
	l := "/v1/wallets/" + things + "/" + id.String()
	return &l
}

func valid(id uuid.NullUUID) nullable.Nullable[uuid.UUID] {
	if !id.Valid {
		return nullable.NewNullNullable[uuid.UUID]()
	}
	return nullable.NewNullableWithValue(id.UUID)
}

func (a API) toAPIProgramme(p *loyalty.WalletProgramme) walletsapi.WalletProgramme {
	return walletsapi.WalletProgramme{Currency: a.currency, SpendOrder: walletsapi.WalletSpendOrder(p.SpendOrder),
		TopUpRules: each(p.TopUpRules, func(t schema.TopUpRule) walletsapi.WalletTopUpRule {
			return walletsapi.WalletTopUpRule{Amount: t.Amount, BonusAmount: t.Bonus}
		}),
		TopUpMinimumAmount: p.TopUpMinimum, BalanceLimitAmount: opt.OrNull(p.BalanceLimit), BonusDays: int32(p.BonusDays), GiveBackDays: int32(p.GiveBackDays), Transferable: p.Transferable,
		ApprovalLimitAmount: opt.OrNull(p.ApprovalLimit), PinAboveAmount: opt.OrNull(p.PinAboveAmount), CardDays: int32(p.CardDays), CardLimitAmount: opt.OrNull(p.CardLimit),
		Version: p.Version, UpdatedAt: p.UpdatedAt.UTC()}
}

func toAPIEntry(e *loyalty.WalletEntry) walletsapi.WalletEntry {
	return walletsapi.WalletEntry{Id: e.ID, OperationId: e.OperationID, Number: e.Number, Kind: walletsapi.WalletEntryKind(e.Kind), PrincipalChangeAmount: e.PrincipalChange, BonusChangeAmount: e.BonusChange,
		BlockedChangeAmount: e.BlockedChange, PrincipalAfterAmount: e.PrincipalAfter, BonusAfterAmount: e.BonusAfter, BlockedAfterAmount: e.BlockedAfter, PaymentId: opt.OrNull(e.PaymentID),
		TopUpId: opt.OrNull(e.TopUpID), OrderId: opt.OrNull(e.OrderID), Reason: e.Reason, ActorKind: e.ActorKind, ActorId: opt.OrNull(e.ActorID), OccurredAt: e.OccurredAt.UTC(), CreatedAt: e.CreatedAt.UTC()}
}

func toAPIPosting(p *loyalty.WalletPosting) walletsapi.WalletPosting {
	return walletsapi.WalletPosting{Id: p.ID, EntryId: p.EntryID, AccountId: p.AccountID, LotId: p.LotID, FromBook: walletsapi.WalletBook(p.FromBook), ToBook: walletsapi.WalletBook(p.ToBook), Amount: p.Amount,
		CreatedAt: p.CreatedAt.UTC()}
}

func toAPITopUp(t *loyalty.WalletTopUp) walletsapi.WalletTopUp {
	return walletsapi.WalletTopUp{Id: t.ID, CustomerId: t.CustomerID, Amount: t.Amount, BonusAmount: t.Bonus, Method: t.Method, Reference: t.Reference, StoreId: opt.OrNull(t.StoreID), RefundedAmount: t.Refunded,
		PaidOutAmount: t.PaidOut, BonusTakenAmount: t.BonusTaken, Version: t.Version, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC()}
}

func toAPIPayment(p *loyalty.WalletPayment) walletsapi.WalletPayment {
	return walletsapi.WalletPayment{Id: p.ID, CustomerId: opt.OrNull(p.CustomerID), GiftCardId: opt.OrNull(p.GiftCardID), Status: walletsapi.WalletPaymentStatus(p.Status), Amount: p.Amount, CapturedAmount: p.Captured,
		RefundedAmount: p.Refunded, Lots: each(p.Lots, func(l schema.PaidLot) walletsapi.WalletPaidLot {
			return walletsapi.WalletPaidLot{LotId: l.LotID, Portion: walletsapi.WalletPortion(l.Kind), Amount: l.Amount, CapturedAmount: l.Captured, RefundedAmount: l.Refunded}
		}), Reason: p.Reason, Reference: p.Reference, OrderId: opt.OrNull(p.OrderID), ExpiresAt: opt.OrNull(p.ExpiresAt), Version: p.Version, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC()}
}

func toAPIAdjustment(d *loyalty.WalletAdjustment) walletsapi.WalletAdjustment {
	return walletsapi.WalletAdjustment{Id: d.ID, CustomerId: d.CustomerID, Portion: walletsapi.WalletPortion(d.Part), Amount: d.Amount, Reason: d.Reason, Status: walletsapi.WalletAdjustmentStatus(d.Status),
		RequestedBy: opt.OrNull(d.RequestedBy), DecidedBy: opt.OrNull(d.DecidedBy), DecidedAt: opt.OrNull(d.DecidedAt), DecisionNote: d.DecisionNote, OperationId: opt.OrNull(d.OperationID),
		Version: d.Version, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC()}
}
