package inventory

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	inventoryapi "github.com/shuke-crm/shuke/api/inventory"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// API answers the operations of stock.
type API struct{ *Service }

var _ inventoryapi.StrictServerInterface = API{}

// ListStockLevels implements listStockLevels.
func (a API) ListStockLevels(ctx context.Context, r inventoryapi.ListStockLevelsRequestObject) (inventoryapi.ListStockLevelsResponseObject, error) {
	p := r.Params
	found, err := a.Levels(ctx, LevelFilter{StoreID: p.StoreId, VariantID: p.VariantId, ProductID: p.ProductId, SKU: value(p.Sku), Barcode: value(p.Barcode), Low: value(p.Low)},
		Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockLevels200JSONResponse{
		Body:    inventoryapi.StockLevelList{Items: each(found.Items, toAPILevel), NextCursor: orNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockLevels200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetStockLevel implements getStockLevel.
func (a API) GetStockLevel(ctx context.Context, r inventoryapi.GetStockLevelRequestObject) (inventoryapi.GetStockLevelResponseObject, error) {
	v, err := a.Level(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockLevel200JSONResponse{Body: toAPILevel(v), Headers: inventoryapi.GetStockLevel200ResponseHeaders{ETag: tag(v.Version)}}, nil
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
	return inventoryapi.UpdateStockLevel200JSONResponse{Body: toAPILevel(v), Headers: inventoryapi.UpdateStockLevel200ResponseHeaders{ETag: tag(v.Version)}}, nil
}

// ListStockMovements implements listStockMovements.
func (a API) ListStockMovements(ctx context.Context, r inventoryapi.ListStockMovementsRequestObject) (inventoryapi.ListStockMovementsResponseObject, error) {
	p := r.Params
	found, err := a.Movements(ctx, MovementFilter{StoreID: p.StoreId, VariantID: p.VariantId, DocumentID: p.DocumentId, ExternalNumber: value(p.ExternalNumber),
		Kind: string(value(p.Kind)), After: p.OccurredAfter, Before: p.OccurredBefore}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	cost := readsCost(ctx)
	return inventoryapi.ListStockMovements200JSONResponse{
		Body: inventoryapi.StockMovementList{Items: each(found.Items, func(m *commerce.StockMovement) inventoryapi.StockMovement {
			return toAPIMovement(m, m.Edges.Document, cost)
		}),
			NextCursor: orNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: inventoryapi.ListStockMovements200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateStockMovements implements createStockMovements.
func (a API) CreateStockMovements(ctx context.Context, r inventoryapi.CreateStockMovementsRequestObject) (inventoryapi.CreateStockMovementsResponseObject, error) {
	b := r.Body
	doc, known, err := a.Record(ctx, Facts{StoreID: b.StoreId, Kind: string(b.Kind), ExternalNumber: b.ExternalNumber, Reason: value(b.Reason), OccurredAt: b.OccurredAt,
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
	found, err := a.Reservations(ctx, p.StoreId, string(value(p.Status)), Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return inventoryapi.ListStockReservations200JSONResponse{
		Body:    inventoryapi.StockReservationList{Items: each(found.Items, toAPIReservation), NextCursor: orNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
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
	v, err := a.Reserve(ctx, Wish{StoreID: b.StoreId, For: time.Duration(seconds) * time.Second, Reference: value(b.Reference),
		Lines: each(b.Lines, func(l inventoryapi.StockReservationWish) Line {
			return Line{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity}
		})})
	if err != nil {
		return nil, err
	}
	at := "/v1/stock-reservations/" + v.ID.String()
	return inventoryapi.CreateStockReservation201JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.CreateStockReservation201ResponseHeaders{ETag: tag(v.Version), Location: &at}}, nil
}

// GetStockReservation implements getStockReservation.
func (a API) GetStockReservation(ctx context.Context, r inventoryapi.GetStockReservationRequestObject) (inventoryapi.GetStockReservationResponseObject, error) {
	v, err := a.Reservation(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.GetStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.GetStockReservation200ResponseHeaders{ETag: tag(v.Version)}}, nil
}

// ReleaseStockReservation implements releaseStockReservation.
func (a API) ReleaseStockReservation(ctx context.Context, r inventoryapi.ReleaseStockReservationRequestObject) (inventoryapi.ReleaseStockReservationResponseObject, error) {
	v, err := a.Release(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.ReleaseStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.ReleaseStockReservation200ResponseHeaders{ETag: tag(v.Version)}}, nil
}

// CommitStockReservation implements commitStockReservation.
func (a API) CommitStockReservation(ctx context.Context, r inventoryapi.CommitStockReservationRequestObject) (inventoryapi.CommitStockReservationResponseObject, error) {
	v, err := a.Commit(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return inventoryapi.CommitStockReservation200JSONResponse{Body: toAPIReservation(v), Headers: inventoryapi.CommitStockReservation200ResponseHeaders{ETag: tag(v.Version)}}, nil
}

func toAPILevel(v *commerce.StockLevel) inventoryapi.StockLevel {
	sku, title := named(v.Edges.Variant)
	return inventoryapi.StockLevel{Id: v.ID, StoreId: v.StoreID, VariantId: v.VariantID, Sku: sku, Title: title, OnHand: v.OnHand, Reserved: v.Reserved,
		Available: v.OnHand - v.Reserved, Incoming: v.Incoming, Damaged: v.Damaged, LowStockThreshold: orNull(v.LowStockThreshold),
		Version: v.Version, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}
}

func toAPIMovement(m *commerce.StockMovement, d *commerce.StockDocument, cost bool) inventoryapi.StockMovement {
	sku, title := named(m.Edges.Variant)
	out := inventoryapi.StockMovement{Id: m.ID, DocumentId: m.DocumentID, LineNumber: int32(m.LineNumber), StoreId: m.StoreID, VariantId: m.VariantID, Sku: sku, Title: title,
		Kind: inventoryapi.StockMovementKind(m.Kind), OnHandChange: m.OnHandChange, DamagedChange: m.DamagedChange, IncomingChange: m.IncomingChange, OnHandAfter: m.OnHandAfter,
		Reason: m.Reason, ExternalNumber: orNull(d.ExternalNumber), Actor: d.Actor, OccurredAt: m.OccurredAt, CreatedAt: m.CreatedAt}
	if cost {
		out.UnitCostAmount = orNull(m.UnitCostAmount)
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

func tag(version int64) *string {
	t := etag.Of(version)
	return &t
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func orNull[T any](p *T) nullable.Nullable[T] {
	if p == nil {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(*p)
}
