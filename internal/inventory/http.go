package inventory

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	inventoryapi "github.com/shuke-crm/shuke/api/inventory"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers the operations of stock.
type API struct{ *Service }

var _ inventoryapi.StrictServerInterface = API{}

// ListStockLevels implements listStockLevels.
func (a API) ListStockLevels(ctx context.Context, r inventoryapi.ListStockLevelsRequestObject) (inventoryapi.ListStockLevelsResponseObject, error) {
	p := r.Params
	found, err := a.Levels(ctx, LevelFilter{StoreID: p.StoreId, VariantID: p.VariantId, ProductID: p.ProductId, SKU: opt.Value(p.Sku), Barcode: opt.Value(p.Barcode), Low: opt.Value(p.Low)},
		Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockLevels200JSONResponse{
		Body:    inventoryapi.StockLevelList{Items: each(found.Items, toAPILevel), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockLevels200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetStockLevel implements getStockLevel.
func (a API) GetStockLevel(ctx context.Context, r inventoryapi.GetStockLevelRequestObject) (inventoryapi.GetStockLevelResponseObject, error) {
	v, err := a.Level(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockLevel200JSONResponse{Body: toAPILevel(v), Headers: inventoryapi.GetStockLevel200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// UpdateStockLevel implements updateStockLevel.
func (a API) UpdateStockLevel(ctx context.Context, r inventoryapi.UpdateStockLevelRequestObject) (inventoryapi.UpdateStockLevelResponseObject, error) {
	var threshold *int64
	if v, err := r.Body.LowStockThreshold.Get(); err == nil {
		threshold = &v
	}
	v, err := a.Watch(ctx, r.Id, r.Params.IfMatch, threshold)
	if err != nil {
		return nil, err
	}
	return inventoryapi.UpdateStockLevel200JSONResponse{Body: toAPILevel(v), Headers: inventoryapi.UpdateStockLevel200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// SyncStockLevels implements syncStockLevels.
func (a API) SyncStockLevels(ctx context.Context, r inventoryapi.SyncStockLevelsRequestObject) (inventoryapi.SyncStockLevelsResponseObject, error) {
	doc, out, err := a.Sync(ctx, Snapshot{StoreID: r.Body.StoreId, AsOf: r.Body.AsOf, Lines: each(r.Body.Lines, func(l inventoryapi.StockSyncLine) Line {
		return Line{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.OnHand}
	})})
	if err != nil {
		return nil, err
	}
	body := inventoryapi.StockSyncResult{DocumentId: nullable.NewNullNullable[uuid.UUID](), Results: each(out, func(o Synced) inventoryapi.StockSynced {
		return inventoryapi.StockSynced{VariantId: o.VariantID, Status: inventoryapi.StockSyncedStatus(o.Status), Change: o.Change, OnHand: o.OnHand}
	})}
	if doc.Valid {
		body.DocumentId.Set(doc.UUID)
	}
	return inventoryapi.SyncStockLevels200JSONResponse(body), nil
}

// ListStockMovements implements listStockMovements.
func (a API) ListStockMovements(ctx context.Context, r inventoryapi.ListStockMovementsRequestObject) (inventoryapi.ListStockMovementsResponseObject, error) {
	p := r.Params
	found, err := a.Movements(ctx, MovementFilter{StoreID: p.StoreId, VariantID: p.VariantId, DocumentID: p.DocumentId, ExternalNumber: opt.Value(p.ExternalNumber),
		Kind: string(opt.Value(p.Kind)), After: p.OccurredAfter, Before: p.OccurredBefore}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	cost := readsCost(ctx)
	return inventoryapi.ListStockMovements200JSONResponse{
		Body: inventoryapi.StockMovementList{Items: each(found.Items, func(m *commerce.StockMovement) inventoryapi.StockMovement {
			return toAPIMovement(m, m.Edges.Document, cost)
		}),
			NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockMovements200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateStockMovements implements createStockMovements.
func (a API) CreateStockMovements(ctx context.Context, r inventoryapi.CreateStockMovementsRequestObject) (inventoryapi.CreateStockMovementsResponseObject, error) {
	b := r.Body
	doc, known, err := a.Record(ctx, Facts{StoreID: b.StoreId, Kind: string(b.Kind), ExternalNumber: b.ExternalNumber, Reason: opt.Value(b.Reason), OccurredAt: b.OccurredAt,
		Lines: each(b.Lines, func(l inventoryapi.StockMovementLine) Line {
			return Line{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity, UnitCost: l.UnitCostAmount}
		})})
	if err != nil {
		return nil, err
	}
	cost, status := readsCost(ctx), inventoryapi.Created
	if known {
		status = inventoryapi.Duplicate
	}
	at := "/v1/stock-movements?document_id=" + doc.ID.String()
	return inventoryapi.CreateStockMovements201JSONResponse{
		Body: inventoryapi.StockDocument{Id: doc.ID, Status: status, StoreId: doc.StoreID,
			Movements: each(doc.Edges.Movements, func(m *commerce.StockMovement) inventoryapi.StockMovement { return toAPIMovement(m, doc, cost) })},
		Headers: inventoryapi.CreateStockMovements201ResponseHeaders{Location: &at},
	}, nil
}

// ListStockReservations implements listStockReservations.
func (a API) ListStockReservations(ctx context.Context, r inventoryapi.ListStockReservationsRequestObject) (inventoryapi.ListStockReservationsResponseObject, error) {
	p := r.Params
	found, err := a.Reservations(ctx, p.StoreId, string(opt.Value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockReservations200JSONResponse{
		Body:    inventoryapi.StockReservationList{Items: each(found.Items, toAPIReservation), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockReservations200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateStockReservation implements createStockReservation.
func (a API) CreateStockReservation(ctx context.Context, r inventoryapi.CreateStockReservationRequestObject) (inventoryapi.CreateStockReservationResponseObject, error) {
	b := r.Body
	seconds := 900
	if b.ExpiresInSeconds != nil {
		seconds = int(*b.ExpiresInSeconds)
	}
	v, err := a.Reserve(ctx, Wish{StoreID: b.StoreId, For: time.Duration(seconds) * time.Second, Reference: opt.Value(b.Reference),
		Lines: each(b.Lines, toWish)})
	if err != nil {
		return nil, err
	}
	at := "/v1/stock-reservations/" + v.ID.String()
	return inventoryapi.CreateStockReservation201JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.CreateStockReservation201ResponseHeaders{ETag: etag.Header(v.Version), Location: &at}}, nil
}

// GetStockReservation implements getStockReservation.
func (a API) GetStockReservation(ctx context.Context, r inventoryapi.GetStockReservationRequestObject) (inventoryapi.GetStockReservationResponseObject, error) {
	v, err := a.Reservation(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.GetStockReservation200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ReleaseStockReservation implements releaseStockReservation.
func (a API) ReleaseStockReservation(ctx context.Context, r inventoryapi.ReleaseStockReservationRequestObject) (inventoryapi.ReleaseStockReservationResponseObject, error) {
	v, err := a.Release(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.ReleaseStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.ReleaseStockReservation200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// CommitStockReservation implements commitStockReservation.
func (a API) CommitStockReservation(ctx context.Context, r inventoryapi.CommitStockReservationRequestObject) (inventoryapi.CommitStockReservationResponseObject, error) {
	v, err := a.Commit(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.CommitStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.CommitStockReservation200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

func toAPILevel(v *commerce.StockLevel) inventoryapi.StockLevel {
	sku, title := named(v.Edges.Variant)
	return inventoryapi.StockLevel{Id: v.ID, StoreId: v.StoreID, VariantId: v.VariantID, Sku: sku, Title: title, OnHand: v.OnHand, Reserved: v.Reserved,
		Available: v.OnHand - v.Reserved, Incoming: v.Incoming, Damaged: v.Damaged, LowStockThreshold: opt.OrNull(v.LowStockThreshold),
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}
}

func toAPIMovement(m *commerce.StockMovement, d *commerce.StockDocument, cost bool) inventoryapi.StockMovement {
	sku, title := named(m.Edges.Variant)
	out := inventoryapi.StockMovement{Id: m.ID, DocumentId: m.DocumentID, LineNumber: int32(m.LineNumber), StoreId: m.StoreID, VariantId: m.VariantID, Sku: sku, Title: title,
		Kind: inventoryapi.StockMovementKind(m.Kind), OnHandChange: m.OnHandChange, DamagedChange: m.DamagedChange, IncomingChange: m.IncomingChange, OnHandAfter: m.OnHandAfter,
		Reason: m.Reason, ExternalNumber: opt.OrNull(d.ExternalNumber), Actor: d.Actor, OccurredAt: m.OccurredAt, CreatedAt: m.CreatedAt}
	if cost {
		out.UnitCostAmount = opt.OrNull(m.UnitCostAmount)
	}
	return out
}

func toAPIReservation(v *commerce.StockReservation) inventoryapi.StockReservation {
	return inventoryapi.StockReservation{Id: v.ID, StoreId: v.StoreID, Status: inventoryapi.StockReservationStatus(v.Status), ExpiresAt: v.ExpiresAt, Reference: v.Reference,
		Lines: each(v.Edges.Lines, func(l *commerce.StockReservationLine) inventoryapi.StockReservationLine {
			sku, title := named(l.Edges.Variant)
			return inventoryapi.StockReservationLine{VariantId: l.VariantID, Sku: sku, Title: title, Quantity: l.Quantity}
		}),
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}
}

// named is what people know a variant by.
func named(v *commerce.Variant) (sku, title string) {
	if v == nil {
		return "", ""
	}
	if v.Edges.Product != nil {
		title = v.Edges.Product.Title
	}
	return v.Sku, title
}

func readsCost(ctx context.Context) bool {
	actor, err := auth.From(ctx)
	return err == nil && actor.Can(auth.CatalogReadCost)
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

// ListStockTransfers implements listStockTransfers.
func (a API) ListStockTransfers(ctx context.Context, r inventoryapi.ListStockTransfersRequestObject) (inventoryapi.ListStockTransfersResponseObject, error) {
	p := r.Params
	found, err := a.Transfers(ctx, p.StoreId, string(opt.Value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockTransfers200JSONResponse{
		Body:    inventoryapi.StockTransferList{Items: each(found.Items, toAPITransfer), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockTransfers200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateStockTransfer implements createStockTransfer.
func (a API) CreateStockTransfer(ctx context.Context, r inventoryapi.CreateStockTransferRequestObject) (inventoryapi.CreateStockTransferResponseObject, error) {
	b := r.Body
	v, err := a.Plan(ctx, Sending{From: b.FromStoreId, To: b.ToStoreId, Note: opt.Value(b.Note), Lines: each(b.Lines, toWish)})
	if err != nil {
		return nil, err
	}
	at := "/v1/stock-transfers/" + v.ID.String()
	return inventoryapi.CreateStockTransfer201JSONResponse{Body: toAPITransfer(v), Headers: inventoryapi.CreateStockTransfer201ResponseHeaders{ETag: etag.Header(v.Version), Location: &at}}, nil
}

// GetStockTransfer implements getStockTransfer.
func (a API) GetStockTransfer(ctx context.Context, r inventoryapi.GetStockTransferRequestObject) (inventoryapi.GetStockTransferResponseObject, error) {
	v, err := a.Transfer(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockTransfer200JSONResponse{Body: toAPITransfer(v), Headers: inventoryapi.GetStockTransfer200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ShipStockTransfer implements shipStockTransfer.
func (a API) ShipStockTransfer(ctx context.Context, r inventoryapi.ShipStockTransferRequestObject) (inventoryapi.ShipStockTransferResponseObject, error) {
	v, err := a.Ship(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.ShipStockTransfer200JSONResponse{Body: toAPITransfer(v), Headers: inventoryapi.ShipStockTransfer200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ReceiveStockTransfer implements receiveStockTransfer.
func (a API) ReceiveStockTransfer(ctx context.Context, r inventoryapi.ReceiveStockTransferRequestObject) (inventoryapi.ReceiveStockTransferResponseObject, error) {
	v, err := a.Receive(ctx, r.Id, each(opt.Value(r.Body.Lines), func(l inventoryapi.StockTransferArrival) Arrival {
		return Arrival{VariantID: l.VariantId, SKU: l.Sku, Received: l.ReceivedQuantity, Damaged: opt.Value(l.DamagedQuantity)}
	}))
	if err != nil {
		return nil, err
	}
	return inventoryapi.ReceiveStockTransfer200JSONResponse{Body: toAPITransfer(v), Headers: inventoryapi.ReceiveStockTransfer200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// CancelStockTransfer implements cancelStockTransfer.
func (a API) CancelStockTransfer(ctx context.Context, r inventoryapi.CancelStockTransferRequestObject) (inventoryapi.CancelStockTransferResponseObject, error) {
	v, err := a.CancelTransfer(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.CancelStockTransfer200JSONResponse{Body: toAPITransfer(v), Headers: inventoryapi.CancelStockTransfer200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ListStockCounts implements listStockCounts.
func (a API) ListStockCounts(ctx context.Context, r inventoryapi.ListStockCountsRequestObject) (inventoryapi.ListStockCountsResponseObject, error) {
	p := r.Params
	found, err := a.Counts(ctx, p.StoreId, string(opt.Value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockCounts200JSONResponse{
		Body:    inventoryapi.StockCountList{Items: each(found.Items, toAPICount), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockCounts200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateStockCount implements createStockCount.
func (a API) CreateStockCount(ctx context.Context, r inventoryapi.CreateStockCountRequestObject) (inventoryapi.CreateStockCountResponseObject, error) {
	v, err := a.BeginCount(ctx, r.Body.StoreId, opt.Value(r.Body.Note))
	if err != nil {
		return nil, err
	}
	at := "/v1/stock-counts/" + v.ID.String()
	return inventoryapi.CreateStockCount201JSONResponse{Body: toAPICount(v), Headers: inventoryapi.CreateStockCount201ResponseHeaders{ETag: etag.Header(v.Version), Location: &at}}, nil
}

// GetStockCount implements getStockCount.
func (a API) GetStockCount(ctx context.Context, r inventoryapi.GetStockCountRequestObject) (inventoryapi.GetStockCountResponseObject, error) {
	v, err := a.Count(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockCount200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.GetStockCount200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ListStockCountLines implements listStockCountLines.
func (a API) ListStockCountLines(ctx context.Context, r inventoryapi.ListStockCountLinesRequestObject) (inventoryapi.ListStockCountLinesResponseObject, error) {
	p := r.Params
	found, err := a.CountLines(ctx, r.Id, opt.Value(p.Differing), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockCountLines200JSONResponse{
		Body:    inventoryapi.StockCountLineList{Items: each(found.Items, toAPICountLine), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockCountLines200ResponseHeaders{Link: found.Link},
	}, nil
}

// AddStockCountLines implements addStockCountLines.
func (a API) AddStockCountLines(ctx context.Context, r inventoryapi.AddStockCountLinesRequestObject) (inventoryapi.AddStockCountLinesResponseObject, error) {
	v, err := a.AddLines(ctx, r.Id, each(r.Body.Lines, func(l inventoryapi.StockCountEntry) Line {
		return Line{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.CountedQuantity}
	}))
	if err != nil {
		return nil, err
	}
	return inventoryapi.AddStockCountLines200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.AddStockCountLines200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// SubmitStockCount implements submitStockCount.
func (a API) SubmitStockCount(ctx context.Context, r inventoryapi.SubmitStockCountRequestObject) (inventoryapi.SubmitStockCountResponseObject, error) {
	v, err := a.Submit(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.SubmitStockCount200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.SubmitStockCount200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ApproveStockCount implements approveStockCount.
func (a API) ApproveStockCount(ctx context.Context, r inventoryapi.ApproveStockCountRequestObject) (inventoryapi.ApproveStockCountResponseObject, error) {
	v, err := a.Approve(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.ApproveStockCount200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.ApproveStockCount200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ReopenStockCount implements reopenStockCount.
func (a API) ReopenStockCount(ctx context.Context, r inventoryapi.ReopenStockCountRequestObject) (inventoryapi.ReopenStockCountResponseObject, error) {
	v, err := a.Reopen(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.ReopenStockCount200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.ReopenStockCount200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// CancelStockCount implements cancelStockCount.
func (a API) CancelStockCount(ctx context.Context, r inventoryapi.CancelStockCountRequestObject) (inventoryapi.CancelStockCountResponseObject, error) {
	v, err := a.CancelCount(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.CancelStockCount200JSONResponse{Body: toAPICount(v), Headers: inventoryapi.CancelStockCount200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

func toWish(l inventoryapi.StockReservationWish) Line {
	return Line{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity}
}

func toAPITransfer(v *commerce.StockTransfer) inventoryapi.StockTransfer {
	return inventoryapi.StockTransfer{Id: v.ID, FromStoreId: v.FromStoreID, ToStoreId: v.ToStoreID, Status: inventoryapi.StockTransferStatus(v.Status), Note: v.Note,
		Lines: each(v.Edges.Lines, func(l *commerce.StockTransferLine) inventoryapi.StockTransferLine {
			sku, title := named(l.Edges.Variant)
			return inventoryapi.StockTransferLine{VariantId: l.VariantID, Sku: sku, Title: title, Quantity: l.Quantity, ReceivedQuantity: l.ReceivedQuantity, DamagedQuantity: l.DamagedQuantity}
		}),
		ShippedAt: opt.OrNull(v.ShippedAt), ReceivedAt: opt.OrNull(v.ReceivedAt), Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}
}

func toAPICount(v *Count) inventoryapi.StockCount {
	return inventoryapi.StockCount{Id: v.ID, StoreId: v.StoreID, Status: inventoryapi.StockCountStatus(v.Status), Note: v.Note, LineCount: v.Lines, DifferingCount: v.Differing,
		VarianceQuantity: v.Variance, SubmittedBy: opt.OrNull(v.SubmittedBy), SubmittedAt: opt.OrNull(v.SubmittedAt), ApprovedBy: opt.OrNull(v.ApprovedBy), ApprovedAt: opt.OrNull(v.ApprovedAt),
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}
}

func toAPICountLine(l *commerce.StockCountLine) inventoryapi.StockCountLine {
	sku, title := named(l.Edges.Variant)
	return inventoryapi.StockCountLine{VariantId: l.VariantID, Sku: sku, Title: title, ExpectedQuantity: l.ExpectedQuantity, CountedQuantity: l.CountedQuantity,
		VarianceQuantity: l.CountedQuantity - l.ExpectedQuantity, CountedAt: l.CountedAt}
}

// ListStockAlerts implements listStockAlerts.
func (a API) ListStockAlerts(ctx context.Context, r inventoryapi.ListStockAlertsRequestObject) (inventoryapi.ListStockAlertsResponseObject, error) {
	p := r.Params
	days := given(p.Days, 90)
	found, err := a.Alerts(ctx, DemandFilter{StoreID: p.StoreId, Days: days, Kind: string(opt.Value(p.Kind))}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	window := a.Window(days)
	return inventoryapi.ListStockAlerts200JSONResponse{
		Body: inventoryapi.StockAlertList{Items: each(found.Items, func(d Demand) inventoryapi.StockAlert {
			return inventoryapi.StockAlert{LevelId: d.LevelID, VariantId: d.VariantID, Sku: d.SKU, Title: d.Title, OnHand: d.OnHand, Available: d.Available(), Incoming: d.Incoming,
				SoldQuantity: d.Sold, LowStockThreshold: opt.OrNull(d.Threshold), LastSoldAt: opt.OrNull(d.LastSoldAt),
				Kinds: each(d.Kinds(days, window), func(k string) inventoryapi.StockAlertKind { return inventoryapi.StockAlertKind(k) })}
		}), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockAlerts200ResponseHeaders{Link: found.Link},
	}, nil
}

// ListReorderSuggestions implements listReorderSuggestions.
func (a API) ListReorderSuggestions(ctx context.Context, r inventoryapi.ListReorderSuggestionsRequestObject) (inventoryapi.ListReorderSuggestionsResponseObject, error) {
	p := r.Params
	found, err := a.Suggestions(ctx, DemandFilter{StoreID: p.StoreId, Days: given(p.Days, 28)}, Supply{given(p.LeadDays, 7), given(p.CoverDays, 14)}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListReorderSuggestions200JSONResponse{
		Body: inventoryapi.ReorderSuggestionList{Items: each(found.Items, func(o Suggestion) inventoryapi.ReorderSuggestion {
			return inventoryapi.ReorderSuggestion{LevelId: o.LevelID, VariantId: o.VariantID, Sku: o.SKU, Title: o.Title, OnHand: o.OnHand, Available: o.Available(), Incoming: o.Incoming,
				SoldQuantity: o.Sold, ReorderPoint: o.ReorderPoint, SuggestedQuantity: o.Quantity}
		}), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListReorderSuggestions200ResponseHeaders{Link: found.Link},
	}, nil
}

// given is a number of a request, or what the contract says where it is left out.
func given(n *int32, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return int(*n)
}
