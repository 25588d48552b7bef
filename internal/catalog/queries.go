package catalog

import (
	"context"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/category"
	"github.com/shuke-crm/shuke/ent/commerce/predicate"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// position is where a list by id stands; byName where the categories' list does.
type position struct {
	ID uuid.UUID `json:"id"`
}
type byName struct {
	Name string `json:"n"`
}

// next fills in where the page after this one begins.
func next[T any](pages *page.Codec, l page.List, p *page.Of[T], more bool, position any) {
	if more {
		p.Next, p.Link = l.After(pages, position)
	}
}

// count fills in how many items a list has in all, when asked for.
func count[T any](ctx context.Context, p *page.Of[T], wanted bool, q interface {
	Count(context.Context) (int, error)
}) error {
	if !wanted {
		return nil
	}
	n, err := q.Count(ctx)
	total := int64(n)
	p.Total = &total
	return err
}

// VariantFilter narrows the list of variants; empty parts do not.
type VariantFilter struct {
	ProductID *uuid.UUID // then oldest first, as made
	SKU       string
	Barcode   string
	ISBN      string
	Limit     *int32
	Cursor    *string
	Total     bool
}

// ListVariants finds variants, the newest first, or those of one product in
// the order they were made. Of a barcode that a scale has printed it also says
// what it had measured.
//
// Errors: ErrProductNotFound, ErrISBN, apperr.ErrBadCursor.
func (s *Service) ListVariants(ctx context.Context, f VariantFilter) (*page.Of[*commerce.Variant], *Reading, error) {
	l := page.NewList("/v1/variants", f.Limit)
	var where []predicate.Variant
	order, after := variant.ByID(sql.OrderDesc()), variant.IDLT
	clients := s.db.From(ctx).Commerce
	if f.ProductID != nil {
		if ok, err := clients.Product.Query().Where(product.ID(*f.ProductID)).Exist(ctx); err != nil {
			return nil, nil, err
		} else if !ok {
			return nil, nil, ErrProductNotFound.New()
		}
		l.Path = "/v1/products/" + f.ProductID.String() + "/variants"
		where = append(where, variant.ProductID(*f.ProductID))
		order, after = variant.ByID(), variant.IDGT
	}
	if f.SKU != "" {
		l.Filters.Set("sku", f.SKU)
		where = append(where, variant.Sku(f.SKU))
	}
	var read *Reading
	if f.Barcode != "" {
		l.Filters.Set("barcode", f.Barcode)
		ids, weighed, err := s.byCode(ctx, f.Barcode)
		if err != nil {
			return nil, nil, err
		}
		read, where = weighed, append(where, variant.IDIn(ids...))
	}
	if f.ISBN != "" {
		isbn, ok := ParseISBN(f.ISBN)
		if !ok {
			return nil, nil, ErrISBN.At("?isbn")
		}
		l.Filters.Set("isbn", isbn.Thirteen)
		where = append(where, variant.HasProductWith(product.Isbn13(isbn.Thirteen)))
	}
	q := clients.Variant.Query().Where(where...)
	out := &page.Of[*commerce.Variant]{}
	if err := count(ctx, out, f.Total, q.Clone()); err != nil {
		return nil, nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), f.Cursor, &at); err != nil {
		return nil, nil, err
	} else if ok {
		q.Where(after(at.ID))
	}
	rows, err := q.Order(order).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, position{out.Items[len(out.Items)-1].ID})
	}
	return out, read, nil
}

// ListCategories returns categories by name.
//
// Errors: apperr.ErrBadCursor.
func (s *Service) ListCategories(ctx context.Context, parent *uuid.UUID, limit *int32, cursor *string, total bool) (*page.Of[*commerce.Category], error) {
	l := page.NewList("/v1/categories", limit)
	q := s.db.From(ctx).Commerce.Category.Query()
	if parent != nil {
		l.Filters.Set("parent_id", parent.String())
		q.Where(category.ParentID(*parent))
	}
	out := &page.Of[*commerce.Category]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at byName
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(category.NameGT(at.Name))
	}
	rows, err := q.Order(category.ByName()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, byName{out.Items[len(out.Items)-1].Name})
	}
	return out, nil
}
