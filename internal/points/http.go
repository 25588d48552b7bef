package points

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	pointsapi "github.com/shuke-crm/shuke/api/points"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsunit"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers the operations of points.
type API struct{ *Service }

var _ pointsapi.StrictServerInterface = API{}

// ListPointsUnits implements listPointsUnits.
func (a API) ListPointsUnits(ctx context.Context, r pointsapi.ListPointsUnitsRequestObject) (pointsapi.ListPointsUnitsResponseObject, error) {
	p := r.Params
	found, err := a.Units(ctx, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsUnits200JSONResponse{
		Body:    pointsapi.PointsUnitList{Items: each(found.Items, toAPIUnit), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsUnits200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreatePointsUnit implements createPointsUnit.
func (a API) CreatePointsUnit(ctx context.Context, r pointsapi.CreatePointsUnitRequestObject) (pointsapi.CreatePointsUnitResponseObject, error) {
	b := r.Body
	in := Unit{Name: b.Name, Rounding: pointsunit.DefaultRounding, ExpiryMethod: pointsunit.DefaultExpiryMethod, ReturnPolicy: pointsunit.DefaultReturnPolicy, Spendable: true, RedeemSharePercent: 100}
	change(pointsapi.PointsUnitUpdate{ApprovalLimit: b.ApprovalLimit, BalanceLimit: b.BalanceLimit, DailyLimit: b.DailyLimit, ExpiryCount: b.ExpiryCount, ExpiryMethod: b.ExpiryMethod,
		GiveBackDays: b.GiveBackDays, NameEn: b.NameEn, PendingDays: b.PendingDays, RedeemAmount: b.RedeemAmount, RedeemPoints: b.RedeemPoints, RedeemSharePercent: b.RedeemSharePercent,
		ReturnPolicy: b.ReturnPolicy, Rounding: b.Rounding, Spendable: b.Spendable, Transferable: b.Transferable}, &in)
	v, err := a.CreateUnit(ctx, b.Code, in)
	if err != nil {
		return nil, err
	}
	return pointsapi.CreatePointsUnit201JSONResponse{Body: toAPIUnit(v), Headers: pointsapi.CreatePointsUnit201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("units", v.ID)}}, nil
}

// GetPointsUnit implements getPointsUnit.
func (a API) GetPointsUnit(ctx context.Context, r pointsapi.GetPointsUnitRequestObject) (pointsapi.GetPointsUnitResponseObject, error) {
	v, err := a.db.From(ctx).Loyalty.PointsUnit.Get(ctx, r.Id)
	if loyalty.IsNotFound(err) {
		return nil, ErrUnitNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsUnit200JSONResponse{Body: toAPIUnit(v), Headers: pointsapi.GetPointsUnit200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// UpdatePointsUnit implements updatePointsUnit.
func (a API) UpdatePointsUnit(ctx context.Context, r pointsapi.UpdatePointsUnitRequestObject) (pointsapi.UpdatePointsUnitResponseObject, error) {
	v, err := a.UpdateUnit(ctx, r.Id, r.Params.IfMatch, func(u *Unit) { change(*r.Body, u) })
	if err != nil {
		return nil, err
	}
	return pointsapi.UpdatePointsUnit200JSONResponse{Body: toAPIUnit(v), Headers: pointsapi.UpdatePointsUnit200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GetPointsBalance implements getPointsBalance.
func (a API) GetPointsBalance(ctx context.Context, r pointsapi.GetPointsBalanceRequestObject) (pointsapi.GetPointsBalanceResponseObject, error) {
	b, err := a.Of(ctx, r.Id, opt.Value(r.Params.Unit))
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsBalance200JSONResponse(ToAPIBalance(b)), nil
}

// ToAPIBalance is a balance as the contract has it, for members too.
func ToAPIBalance(b *Balance) pointsapi.PointsBalance {
	return pointsapi.PointsBalance{Unit: b.Unit.Code, Balance: b.Balance, Pending: b.Pending, Blocked: b.Blocked, ValueAmount: worth(b.Unit, max(0, b.Balance)),
		Expiring: each(b.Expiring, func(e Expiring) pointsapi.PointsExpiring {
			return pointsapi.PointsExpiring{At: e.At.UTC(), Points: e.Points}
		})}
}

// ListPointsEntries implements listPointsEntries.
func (a API) ListPointsEntries(ctx context.Context, r pointsapi.ListPointsEntriesRequestObject) (pointsapi.ListPointsEntriesResponseObject, error) {
	p := r.Params
	found, err := a.Entries(ctx, "/v1/customers/"+r.Id.String()+"/points/entries", r.Id, EntryFilter{Unit: opt.Value(p.Unit), Kind: string(opt.Value(p.Kind)), OrderID: p.OrderId, After: p.CreatedAfter, Before: p.CreatedBefore}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsEntries200JSONResponse{
		Body:    pointsapi.PointsEntryList{Items: each(found.Items, toAPIEntry), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsEntries200ResponseHeaders{Link: found.Link},
	}, nil
}

// ListPointsLots implements listPointsLots.
func (a API) ListPointsLots(ctx context.Context, r pointsapi.ListPointsLotsRequestObject) (pointsapi.ListPointsLotsResponseObject, error) {
	p := r.Params
	found, err := a.Lots(ctx, r.Id, opt.Value(p.Unit), opt.Value(p.Open), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsLots200JSONResponse{
		Body:    pointsapi.PointsLotList{Items: each(found.Items, toAPILot), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsLots200ResponseHeaders{Link: found.Link},
	}, nil
}

// AdjustPoints implements adjustPoints.
func (a API) AdjustPoints(ctx context.Context, r pointsapi.AdjustPointsRequestObject) (pointsapi.AdjustPointsResponseObject, error) {
	v, err := a.Adjust(ctx, r.Id, opt.Value(r.Body.Unit), r.Body.Points, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return pointsapi.AdjustPoints201JSONResponse{Body: toAPIAdjustment(v), Headers: pointsapi.AdjustPoints201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("adjustments", v.ID)}}, nil
}

// RedeemPoints implements redeemPoints.
func (a API) RedeemPoints(ctx context.Context, r pointsapi.RedeemPointsRequestObject) (pointsapi.RedeemPointsResponseObject, error) {
	b := r.Body
	v, err := a.Redeem(ctx, Spending{CustomerID: r.Id, Unit: opt.Value(b.Unit), Points: b.Points, Reason: opt.Value(b.Reason), Reference: opt.Value(b.Reference)})
	if err != nil {
		return nil, err
	}
	return pointsapi.RedeemPoints201JSONResponse{Body: toAPIHold(v), Headers: pointsapi.RedeemPoints201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("holds", v.ID)}}, nil
}

// BlockPoints implements blockPoints.
func (a API) BlockPoints(ctx context.Context, r pointsapi.BlockPointsRequestObject) (pointsapi.BlockPointsResponseObject, error) {
	b := r.Body
	v, err := a.Block(ctx, Spending{CustomerID: r.Id, Unit: opt.Value(b.Unit), Points: b.Points, Reason: opt.Value(b.Reason), Reference: opt.Value(b.Reference), Ends: b.ExpiresAt})
	if err != nil {
		return nil, err
	}
	return pointsapi.BlockPoints201JSONResponse{Body: toAPIHold(v), Headers: pointsapi.BlockPoints201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("holds", v.ID)}}, nil
}

// TransferPoints implements transferPoints.
func (a API) TransferPoints(ctx context.Context, r pointsapi.TransferPointsRequestObject) (pointsapi.TransferPointsResponseObject, error) {
	b := r.Body
	operation, err := a.Transfer(ctx, r.Id, b.ToCustomerId, opt.Value(b.Unit), b.Points, opt.Value(b.Reason))
	if err != nil {
		return nil, err
	}
	at := "/v1/customers/" + r.Id.String() + "/points/entries"
	return pointsapi.TransferPoints201JSONResponse{Body: pointsapi.PointsTransferred{OperationId: operation, CustomerId: r.Id, ToCustomerId: b.ToCustomerId, Points: b.Points},
		Headers: pointsapi.TransferPoints201ResponseHeaders{Location: &at}}, nil
}

// ListPointsHolds implements listPointsHolds.
func (a API) ListPointsHolds(ctx context.Context, r pointsapi.ListPointsHoldsRequestObject) (pointsapi.ListPointsHoldsResponseObject, error) {
	p := r.Params
	found, err := a.Holds(ctx, r.Id, string(opt.Value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsHolds200JSONResponse{
		Body:    pointsapi.PointsHoldList{Items: each(found.Items, toAPIHold), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsHolds200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetPointsHold implements getPointsHold.
func (a API) GetPointsHold(ctx context.Context, r pointsapi.GetPointsHoldRequestObject) (pointsapi.GetPointsHoldResponseObject, error) {
	v, err := a.Hold(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsHold200JSONResponse{Body: toAPIHold(v), Headers: pointsapi.GetPointsHold200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// CapturePoints implements capturePoints.
func (a API) CapturePoints(ctx context.Context, r pointsapi.CapturePointsRequestObject) (pointsapi.CapturePointsResponseObject, error) {
	var points *int64
	if r.Body != nil {
		points = r.Body.Points
	}
	if err := a.byHand(ctx, r.Id); err != nil {
		return nil, err
	}
	v, err := a.Capture(ctx, r.Id, points)
	if err != nil {
		return nil, err
	}
	return pointsapi.CapturePoints200JSONResponse{Body: toAPIHold(v), Headers: pointsapi.CapturePoints200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ReleasePoints implements releasePoints.
func (a API) ReleasePoints(ctx context.Context, r pointsapi.ReleasePointsRequestObject) (pointsapi.ReleasePointsResponseObject, error) {
	if err := a.byHand(ctx, r.Id); err != nil {
		return nil, err
	}
	v, err := a.Release(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.ReleasePoints200JSONResponse{Body: toAPIHold(v), Headers: pointsapi.ReleasePoints200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GiveBackPoints implements giveBackPoints.
func (a API) GiveBackPoints(ctx context.Context, r pointsapi.GiveBackPointsRequestObject) (pointsapi.GiveBackPointsResponseObject, error) {
	var points *int64
	var reason string
	if r.Body != nil {
		points, reason = r.Body.Points, opt.Value(r.Body.Reason)
	}
	if err := a.byHand(ctx, r.Id); err != nil {
		return nil, err
	}
	v, err := a.GiveBack(ctx, r.Id, points, reason)
	if err != nil {
		return nil, err
	}
	return pointsapi.GiveBackPoints200JSONResponse{Body: toAPIHold(v), Headers: pointsapi.GiveBackPoints200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GetPointsEntry implements getPointsEntry.
func (a API) GetPointsEntry(ctx context.Context, r pointsapi.GetPointsEntryRequestObject) (pointsapi.GetPointsEntryResponseObject, error) {
	e, err := a.Entry(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	line := toAPIEntry(e)
	return pointsapi.GetPointsEntry200JSONResponse{Id: line.Id, OperationId: line.OperationId, Number: line.Number, UnitId: line.UnitId, Kind: line.Kind, BalanceChange: line.BalanceChange,
		PendingChange: line.PendingChange, BlockedChange: line.BlockedChange, BalanceAfter: line.BalanceAfter, PendingAfter: line.PendingAfter, BlockedAfter: line.BlockedAfter, OrderId: line.OrderId,
		HoldId: line.HoldId, RuleId: line.RuleId, RuleVersion: line.RuleVersion, Reason: line.Reason, ActorKind: line.ActorKind, ActorId: line.ActorId, OccurredAt: line.OccurredAt, CreatedAt: line.CreatedAt,
		AccountId: e.AccountID, CustomerId: e.Edges.Account.CustomerID, Postings: each(e.Edges.Postings, func(p *loyalty.PointsPosting) pointsapi.PointsPosting {
			return toAPIPosting(p, e.Edges.Account.UnitID)
		})}, nil
}

// ListPointsAdjustments implements listPointsAdjustments.
func (a API) ListPointsAdjustments(ctx context.Context, r pointsapi.ListPointsAdjustmentsRequestObject) (pointsapi.ListPointsAdjustmentsResponseObject, error) {
	p := r.Params
	found, err := a.Adjustments(ctx, p.CustomerId, string(opt.Value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsAdjustments200JSONResponse{
		Body:    pointsapi.PointsAdjustmentList{Items: each(found.Items, toAPIAdjustment), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsAdjustments200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetPointsAdjustment implements getPointsAdjustment.
func (a API) GetPointsAdjustment(ctx context.Context, r pointsapi.GetPointsAdjustmentRequestObject) (pointsapi.GetPointsAdjustmentResponseObject, error) {
	v, err := a.Adjustment(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: pointsapi.GetPointsAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ApprovePointsAdjustment implements approvePointsAdjustment.
func (a API) ApprovePointsAdjustment(ctx context.Context, r pointsapi.ApprovePointsAdjustmentRequestObject) (pointsapi.ApprovePointsAdjustmentResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, true, note(r.Body))
	if err != nil {
		return nil, err
	}
	return pointsapi.ApprovePointsAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: pointsapi.ApprovePointsAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// RejectPointsAdjustment implements rejectPointsAdjustment.
func (a API) RejectPointsAdjustment(ctx context.Context, r pointsapi.RejectPointsAdjustmentRequestObject) (pointsapi.RejectPointsAdjustmentResponseObject, error) {
	v, err := a.Decide(ctx, r.Id, false, note(r.Body))
	if err != nil {
		return nil, err
	}
	return pointsapi.RejectPointsAdjustment200JSONResponse{Body: toAPIAdjustment(v), Headers: pointsapi.RejectPointsAdjustment200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// GetPointsLiability implements getPointsLiability.
func (a API) GetPointsLiability(ctx context.Context, r pointsapi.GetPointsLiabilityRequestObject) (pointsapi.GetPointsLiabilityResponseObject, error) {
	l, err := a.LiabilityAt(ctx, opt.Value(r.Params.Unit), r.Params.At)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsLiability200JSONResponse{Unit: l.Unit.Code, At: l.At.UTC(), Liability: l.Total(), Pending: l.Pending, Active: l.Active, Blocked: l.Blocked, Debt: l.Debt,
		Issued: l.Issued, Reversed: l.Reversed, Spent: l.Spent, Expired: l.Expired, Transferred: l.Transferred, ValueAmount: worth(l.Unit, l.Total())}, nil
}

// GetPointsIntegrity implements getPointsIntegrity.
func (a API) GetPointsIntegrity(ctx context.Context, _ pointsapi.GetPointsIntegrityRequestObject) (pointsapi.GetPointsIntegrityResponseObject, error) {
	v, err := a.Verify(ctx, 100)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsIntegrity200JSONResponse{Ok: len(v.Differences) == 0, CheckedAt: a.clock.Now(), AccountCount: v.Accounts, LotCount: v.Lots, EntryCount: v.Entries, PostingCount: v.Postings,
		Differences: each(v.Differences, func(d Difference) pointsapi.PointsDifference {
			return pointsapi.PointsDifference{Check: d.Check, AccountId: valid(d.AccountID), LotId: valid(d.LotID), Expected: d.Expected, Found: d.Found}
		})}, nil
}

// ListPointsPostings implements listPointsPostings.
func (a API) ListPointsPostings(ctx context.Context, r pointsapi.ListPointsPostingsRequestObject) (pointsapi.ListPointsPostingsResponseObject, error) {
	p := r.Params
	found, err := a.Postings(ctx, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsPostings200JSONResponse{
		Body:    pointsapi.PointsPostingList{Items: each(found.Items, func(v *loyalty.PointsPosting) pointsapi.PointsPosting { return toAPIPosting(v, v.Edges.Account.UnitID) }), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsPostings200ResponseHeaders{Link: found.Link},
	}, nil
}

// change puts what a request names into a unit.
func change(b pointsapi.PointsUnitUpdate, u *Unit) {
	set(b.Name, &u.Name)
	set(b.NameEn, &u.NameEN)
	set((*pointsunit.Rounding)(b.Rounding), &u.Rounding)
	number(b.PendingDays, &u.PendingDays)
	set((*pointsunit.ExpiryMethod)(b.ExpiryMethod), &u.ExpiryMethod)
	number(b.ExpiryCount, &u.ExpiryCount)
	limit(b.BalanceLimit, &u.BalanceLimit)
	limit(b.DailyLimit, &u.DailyLimit)
	set((*pointsunit.ReturnPolicy)(b.ReturnPolicy), &u.ReturnPolicy)
	set(b.Spendable, &u.Spendable)
	set(b.Transferable, &u.Transferable)
	set(b.RedeemPoints, &u.RedeemPoints)
	set(b.RedeemAmount, &u.RedeemAmount)
	number(b.RedeemSharePercent, &u.RedeemSharePercent)
	limit(b.ApprovalLimit, &u.ApprovalLimit)
	number(b.GiveBackDays, &u.GiveBackDays)
}

func set[T any](from *T, to *T) {
	if from != nil {
		*to = *from
	}
}

func number(from *int32, to *int) {
	if from != nil {
		*to = int(*from)
	}
}

// limit takes over a limit; null takes it away, what is left out stays.
func limit(from nullable.Nullable[int64], to **int64) {
	if !from.IsSpecified() {
		return
	}
	*to = nil
	if v, err := from.Get(); err == nil {
		*to = &v
	}
}

func note(b *pointsapi.PointsDecision) string {
	if b == nil {
		return ""
	}
	return opt.Value(b.Note)
}

// worth is what points pay of an order, rounded down.
func worth(u *loyalty.PointsUnit, points int64) int64 {
	if u.RedeemPoints == 0 {
		return 0
	}
	return mulDiv(points, u.RedeemAmount, u.RedeemPoints)
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func location(things string, id uuid.UUID) *string {
	l := "/v1/points/" + things + "/" + id.String()
	return &l
}

func valid(id uuid.NullUUID) nullable.Nullable[uuid.UUID] {
	if !id.Valid {
		return nullable.NewNullNullable[uuid.UUID]()
	}
	return nullable.NewNullableWithValue(id.UUID)
}

func toAPIUnit(u *loyalty.PointsUnit) pointsapi.PointsUnit {
	return pointsapi.PointsUnit{Id: u.ID, Code: u.Code, Name: u.Name, NameEn: u.NameEn, Rounding: pointsapi.PointsRounding(u.Rounding), PendingDays: int32(u.PendingDays),
		ExpiryMethod: pointsapi.PointsExpiryMethod(u.ExpiryMethod), ExpiryCount: int32(u.ExpiryCount), BalanceLimit: opt.OrNull(u.BalanceLimit), DailyLimit: opt.OrNull(u.DailyLimit),
		ReturnPolicy: pointsapi.PointsReturnPolicy(u.ReturnPolicy), Spendable: u.Spendable, Transferable: u.Transferable, RedeemPoints: u.RedeemPoints, RedeemAmount: u.RedeemAmount,
		RedeemSharePercent: int32(u.RedeemSharePercent), ApprovalLimit: opt.OrNull(u.ApprovalLimit), GiveBackDays: int32(u.GiveBackDays), Version: u.Version, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC()}
}

func toAPIEntry(e *loyalty.PointsEntry) pointsapi.PointsEntry {
	return pointsapi.PointsEntry{Id: e.ID, OperationId: e.OperationID, Number: e.Number, UnitId: e.Edges.Account.UnitID, Kind: pointsapi.PointsEntryKind(e.Kind), BalanceChange: e.BalanceChange,
		PendingChange: e.PendingChange, BlockedChange: e.BlockedChange, BalanceAfter: e.BalanceAfter, PendingAfter: e.PendingAfter, BlockedAfter: e.BlockedAfter, OrderId: opt.OrNull(e.OrderID),
		HoldId: opt.OrNull(e.HoldID), RuleId: opt.OrNull(e.RuleID), RuleVersion: opt.OrNull(e.RuleVersion), Reason: e.Reason, ActorKind: e.ActorKind, ActorId: opt.OrNull(e.ActorID), OccurredAt: e.OccurredAt.UTC(), CreatedAt: e.CreatedAt.UTC()}
}

func toAPIPosting(p *loyalty.PointsPosting, unit uuid.UUID) pointsapi.PointsPosting {
	return pointsapi.PointsPosting{Id: p.ID, EntryId: p.EntryID, AccountId: p.AccountID, UnitId: unit, LotId: opt.OrNull(p.LotID), FromBook: pointsapi.PointsBook(p.FromBook),
		ToBook: pointsapi.PointsBook(p.ToBook), Amount: p.Amount, CreatedAt: p.CreatedAt.UTC()}
}

func toAPILot(l *loyalty.PointsLot) pointsapi.PointsLot {
	return pointsapi.PointsLot{Id: l.ID, AccountId: l.AccountID, Amount: l.Amount, Pending: l.Pending, Active: l.Active, Blocked: l.Blocked, EarnedAt: l.EarnedAt.UTC(), ActiveAt: l.ActiveAt.UTC(),
		ExpiresAt: opt.OrNull(l.ExpiresAt), OrderId: opt.OrNull(l.OrderID)}
}

func toAPIHold(h *loyalty.PointsHold) pointsapi.PointsHold {
	return pointsapi.PointsHold{Id: h.ID, Unit: h.Edges.Unit.Code, CustomerId: h.CustomerID, Status: pointsapi.PointsHoldStatus(h.Status), Points: h.Amount, Captured: h.Captured, GivenBack: h.GivenBack,
		Lots: each(h.Lots, func(l schema.HeldLot) pointsapi.PointsHeldLot {
			return pointsapi.PointsHeldLot{LotId: l.LotID, Amount: l.Amount, Captured: l.Captured, GivenBack: l.GivenBack}
		}), Reason: h.Reason, Reference: h.Reference, OrderId: opt.OrNull(h.OrderID), ExpiresAt: opt.OrNull(h.ExpiresAt), Version: h.Version, CreatedAt: h.CreatedAt.UTC(), UpdatedAt: h.UpdatedAt.UTC()}
}

func toAPIAdjustment(d *loyalty.PointsAdjustment) pointsapi.PointsAdjustment {
	return pointsapi.PointsAdjustment{Id: d.ID, Unit: d.Edges.Unit.Code, CustomerId: d.CustomerID, Points: d.Points, Reason: d.Reason, Status: pointsapi.PointsAdjustmentStatus(d.Status),
		RequestedBy: opt.OrNull(d.RequestedBy), DecidedBy: opt.OrNull(d.DecidedBy), DecidedAt: opt.OrNull(d.DecidedAt), DecisionNote: d.DecisionNote, OperationId: opt.OrNull(d.OperationID),
		Version: d.Version, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC()}
}
