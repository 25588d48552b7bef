package catalog

import (
	"context"
	"encoding/json"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/productstatuschange"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/ent/commerce/variantpricechange"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// because tells the triggers that keep histories who writes, and why. Call it
// before the first write of a transaction that may change prices or states.
func (s *Service) because(ctx context.Context, tx *db.Tx, reason string) error {
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	said, err := json.Marshal(map[string]any{"name": actor.Name, "reason": reason, "at": s.clock.Now()})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "SELECT set_config('shuke.change', $1, true)", string(said))
	return err
}

// seq is where a history stands.
type seq struct {
	ID int64 `json:"i"`
}

// PriceHistory returns what happened to the prices of a variant, its own and
// those in lists, the newest first. Plan: variant_price_changes_variant_idx.
//
// Errors: ErrVariantNotFound, apperr.ErrBadCursor.
func (s *Service) PriceHistory(ctx context.Context, id uuid.UUID, limit *int32, cursor *string, total bool) (*page.Of[*commerce.VariantPriceChange], error) {
	clients := s.db.From(ctx).Commerce
	if ok, err := clients.Variant.Query().Where(variant.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrVariantNotFound.New()
	}
	l := page.NewList("/v1/variants/"+id.String()+"/price-history", limit)
	q := clients.VariantPriceChange.Query().Where(variantpricechange.VariantID(id))
	out := &page.Of[*commerce.VariantPriceChange]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at seq
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(variantpricechange.IDLT(at.ID))
	}
	rows, err := q.Order(variantpricechange.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, seq{out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}

// StatusHistory returns when a product and its variants went on and off sale,
// the newest first. Plan: product_status_changes_product_idx.
//
// Errors: ErrProductNotFound, apperr.ErrBadCursor.
func (s *Service) StatusHistory(ctx context.Context, id uuid.UUID, limit *int32, cursor *string, total bool) (*page.Of[*commerce.ProductStatusChange], error) {
	clients := s.db.From(ctx).Commerce
	if ok, err := clients.Product.Query().Where(product.ID(id)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrProductNotFound.New()
	}
	l := page.NewList("/v1/products/"+id.String()+"/status-history", limit)
	q := clients.ProductStatusChange.Query().Where(productstatuschange.ProductID(id))
	out := &page.Of[*commerce.ProductStatusChange]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at seq
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(productstatuschange.IDLT(at.ID))
	}
	rows, err := q.Order(productstatuschange.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, seq{out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}
