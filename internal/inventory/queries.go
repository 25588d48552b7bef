package inventory

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/stockdocument"
	"github.com/shuke-crm/shuke/ent/commerce/stocklevel"
	"github.com/shuke-crm/shuke/ent/commerce/stockmovement"
	"github.com/shuke-crm/shuke/ent/commerce/stockreservation"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// position is the last row of a page: all lists are by id, the newest first.
type position struct {
	ID uuid.UUID `json:"id"`
}

// Asked is which page of a list is wanted.
type Asked struct {
	Limit  *int32
	Cursor *string
	Total  bool
}

// fetch reads a page: total counts the filtered list, rows reads at most so
// many of it after an id, if there is one.
func fetch[R any](ctx context.Context, s *Service, l page.List, asked Asked, total func(context.Context) (int, error), rows func(after *uuid.UUID, limit int) ([]R, error), id func(R) uuid.UUID) (*page.Of[R], error) {
	out := &page.Of[R]{}
	if asked.Total {
		n, err := total(ctx)
		if err != nil {
			return nil, err
		}
		all := int64(n)
		out.Total = &all
	}
	var at position
	var after *uuid.UUID
	if ok, err := s.pages.Decode(l.Name(), asked.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		after = &at.ID
	}
	found, err := rows(after, l.Limit+1)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		out.Next, out.Link = l.After(s.pages, position{id(out.Items[len(out.Items)-1])})
	}
	return out, nil
}

// LevelFilter narrows the list of levels; empty parts do not.
type LevelFilter struct {
	StoreID, VariantID, ProductID *uuid.UUID
	SKU, Barcode                  string
	Low                           bool
}

// Levels lists levels within the scope.
// Plan: stock_levels_pkey backwards, stock_levels_store_idx or
// stock_levels_variant_idx.
// Error: apperr.ErrBadCursor.
func (s *Service) Levels(ctx context.Context, f LevelFilter, asked Asked) (*page.Of[*commerce.StockLevel], error) {
	l := page.NewList("/v1/stock-levels", asked.Limit)
	var where []predicate.StockLevel
	if f.StoreID != nil {
		l.Filters.Set("store_id", f.StoreID.String())
		where = append(where, stocklevel.StoreID(*f.StoreID))
	}
	if f.VariantID != nil {
		l.Filters.Set("variant_id", f.VariantID.String())
		where = append(where, stocklevel.VariantID(*f.VariantID))
	}
	if f.ProductID != nil {
		l.Filters.Set("product_id", f.ProductID.String())
		where = append(where, stocklevel.HasVariantWith(variant.ProductID(*f.ProductID)))
	}
	if f.SKU != "" {
		l.Filters.Set("sku", f.SKU)
		where = append(where, stocklevel.HasVariantWith(variant.Sku(f.SKU)))
	}
	if f.Barcode != "" {
		l.Filters.Set("barcode", f.Barcode)
		ids, err := s.catalog.Coded(ctx, f.Barcode)
		if err != nil {
			return nil, err
		}
		where = append(where, stocklevel.VariantIDIn(ids...))
	}
	if f.Low {
		l.Filters.Set("low", "true")
		where = append(where, func(s *sql.Selector) {
			s.Where(sql.ExprP(s.C(stocklevel.FieldOnHand) + " - " + s.C(stocklevel.FieldReserved) + " <= " + s.C(stocklevel.FieldLowStockThreshold)))
		})
	}
	q := s.db.From(ctx).Commerce.StockLevel.Query().Where(where...)
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*commerce.StockLevel, error) {
		if after != nil {
			q.Where(stocklevel.IDLT(*after))
		}
		return q.Order(stocklevel.ByID(sql.OrderDesc())).Limit(limit).WithVariant(withTitle).All(ctx)
	}, func(v *commerce.StockLevel) uuid.UUID { return v.ID })
}

// Level reads one level. Error: ErrLevelNotFound.
func (s *Service) Level(ctx context.Context, id uuid.UUID) (*commerce.StockLevel, error) {
	v, err := s.db.From(ctx).Commerce.StockLevel.Query().Where(stocklevel.ID(id)).WithVariant(withTitle).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrLevelNotFound.New()
	}
	return v, err
}

// Watch sets what a level is watched by; nil: no threshold.
// Errors: ErrLevelNotFound, apperr.ErrVersionMismatch, apperr.ErrForbidden for a
// store one only works in.
func (s *Service) Watch(ctx context.Context, id uuid.UUID, ifMatch *string, threshold *int64) (*commerce.StockLevel, error) {
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		v, err := tx.Commerce.StockLevel.Query().Where(stocklevel.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrLevelNotFound.New()
		}
		if err != nil {
			return err
		}
		if s.reaches(ctx, tx, v.StoreID) != nil {
			return apperr.ErrForbidden.New()
		}
		if err := etag.Check(ifMatch, v.Version); err != nil {
			return err
		}
		u := v.Update().SetNillableLowStockThreshold(threshold)
		if threshold == nil {
			u.ClearLowStockThreshold()
		}
		if err := u.AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "inventory.watch", ObjectType: "stock_level", ObjectID: id.String(), StoreID: &v.StoreID,
			Changes: map[string]any{"low_stock_threshold": threshold}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.Level(ctx, id)
}

// MovementFilter narrows the ledger; empty parts do not.
type MovementFilter struct {
	StoreID, VariantID, DocumentID *uuid.UUID
	ExternalNumber, Kind           string
	After, Before                  *time.Time // of when it happened: from, and before
}

// Movements lists the ledger within the scope.
// Plan: stock_movements_pkey backwards, stock_movements_store_idx or
// stock_movements_variant_idx.
// Error: apperr.ErrBadCursor.
func (s *Service) Movements(ctx context.Context, f MovementFilter, asked Asked) (*page.Of[*commerce.StockMovement], error) {
	l := page.NewList("/v1/stock-movements", asked.Limit)
	var where []predicate.StockMovement
	if f.StoreID != nil {
		l.Filters.Set("store_id", f.StoreID.String())
		where = append(where, stockmovement.StoreID(*f.StoreID))
	}
	if f.VariantID != nil {
		l.Filters.Set("variant_id", f.VariantID.String())
		where = append(where, stockmovement.VariantID(*f.VariantID))
	}
	if f.DocumentID != nil {
		l.Filters.Set("document_id", f.DocumentID.String())
		where = append(where, stockmovement.DocumentID(*f.DocumentID))
	}
	if f.ExternalNumber != "" {
		l.Filters.Set("external_number", f.ExternalNumber)
		where = append(where, stockmovement.HasDocumentWith(stockdocument.ExternalNumber(f.ExternalNumber)))
	}
	if f.Kind != "" {
		l.Filters.Set("kind", f.Kind)
		where = append(where, stockmovement.KindEQ(stockmovement.Kind(f.Kind)))
	}
	if f.After != nil {
		l.Filters.Set("occurred_after", f.After.Format(time.RFC3339Nano))
		where = append(where, stockmovement.OccurredAtGTE(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("occurred_before", f.Before.Format(time.RFC3339Nano))
		where = append(where, stockmovement.OccurredAtLT(*f.Before))
	}
	q := s.db.From(ctx).Commerce.StockMovement.Query().Where(where...)
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*commerce.StockMovement, error) {
		if after != nil {
			q.Where(stockmovement.IDLT(*after))
		}
		return q.Order(stockmovement.ByID(sql.OrderDesc())).Limit(limit).WithDocument().WithVariant(withTitle).All(ctx)
	}, func(v *commerce.StockMovement) uuid.UUID { return v.ID })
}

// Reservations lists reservations within the scope; empty parts do not filter.
// Error: apperr.ErrBadCursor.
func (s *Service) Reservations(ctx context.Context, store *uuid.UUID, status string, asked Asked) (*page.Of[*commerce.StockReservation], error) {
	l := page.NewList("/v1/stock-reservations", asked.Limit)
	q := s.db.From(ctx).Commerce.StockReservation.Query()
	if store != nil {
		l.Filters.Set("store_id", store.String())
		q.Where(stockreservation.StoreID(*store))
	}
	if status != "" {
		l.Filters.Set("status", status)
		q.Where(stockreservation.StatusEQ(stockreservation.Status(status)))
	}
	return fetch(ctx, s, l, asked, q.Clone().Count, func(after *uuid.UUID, limit int) ([]*commerce.StockReservation, error) {
		if after != nil {
			q.Where(stockreservation.IDLT(*after))
		}
		return q.Order(stockreservation.ByID(sql.OrderDesc())).Limit(limit).WithLines(withVariants).All(ctx)
	}, func(v *commerce.StockReservation) uuid.UUID { return v.ID })
}

// Reservation reads one with its lines. Error: ErrReservationNotFound.
func (s *Service) Reservation(ctx context.Context, id uuid.UUID) (*commerce.StockReservation, error) {
	v, err := s.db.From(ctx).Commerce.StockReservation.Query().Where(stockreservation.ID(id)).WithLines(withVariants).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrReservationNotFound.New()
	}
	return v, err
}

func withVariants(q *commerce.StockReservationLineQuery) {
	q.Order(commerce.Asc("id")).WithVariant(withTitle)
}
