package catalog

import (
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/category"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
)

// Range is a part of the catalogue; empty parts do not narrow it.
type Range struct {
	CategoryID *uuid.UUID `json:"category_id,omitempty"`
	BrandID    *uuid.UUID `json:"brand_id,omitempty"`
	Kind       string     `json:"kind,omitempty"`
	Status     string     `json:"status,omitempty"`
}

func (r Range) where() (out []predicate.Product) {
	if r.CategoryID != nil {
		out = append(out, product.CategoryID(*r.CategoryID))
	}
	if r.BrandID != nil {
		out = append(out, product.BrandID(*r.BrandID))
	}
	if r.Kind != "" {
		out = append(out, product.KindEQ(product.Kind(r.Kind)))
	}
	if r.Status != "" {
		out = append(out, product.StatusEQ(product.Status(r.Status)))
	}
	return out
}

// Count is how many products a range has.
func (s *Service) Count(ctx context.Context, r Range) (int64, error) {
	n, err := s.db.From(ctx).Commerce.Product.Query().Where(r.where()...).Count(ctx)
	return int64(n), err
}

// Walk hands out the products of a range with their variants, the oldest first,
// some at a time, each statement by itself: nothing is locked or held meanwhile.
func (s *Service) Walk(ctx context.Context, r Range, size int, do func([]*commerce.Product) error) error {
	after := uuid.Nil
	for {
		found, err := s.db.From(ctx).Commerce.Product.Query().Where(append(r.where(), product.IDGT(after))...).Order(product.ByID()).Limit(size).
			WithVariants(func(q *commerce.VariantQuery) { q.Order(variant.ByID()) }).All(ctx)
		if err != nil || len(found) == 0 {
			return err
		}
		if err := do(found); err != nil {
			return err
		}
		if len(found) < size {
			return nil
		}
		after = found[len(found)-1].ID
	}
}

// CategoryNames are the names of all categories.
func (s *Service) CategoryNames(ctx context.Context) (map[uuid.UUID]string, error) {
	all, err := s.db.From(ctx).Commerce.Category.Query().Select(category.FieldID, category.FieldName).All(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[uuid.UUID]string, len(all))
	for _, c := range all {
		out[c.ID] = c.Name
	}
	return out, nil
}

// Currency is that of all prices.
func (s *Service) Currency() string { return s.currency }
