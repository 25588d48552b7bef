package catalog

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/brand"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// CreateBrand makes a brand. Errors: ErrBlank, ErrBrandTaken.
func (s *Service) CreateBrand(ctx context.Context, name, description string) (*commerce.Brand, error) {
	if name = strings.TrimSpace(name); name == "" {
		return nil, ErrBlank.At("/name")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *commerce.Brand
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.clock.Now()
		if out, err = tx.Commerce.Brand.Create().SetID(id).SetName(name).SetDescription(description).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx); err != nil {
			return translate(err, "/name")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.brand.create", ObjectType: "brand", ObjectID: id.String()})
		return nil
	})
	return out, err
}

// UpdateBrand changes a brand; its products show the new name.
//
// Errors: ErrBrandNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrBrandTaken.
func (s *Service) UpdateBrand(ctx context.Context, id uuid.UUID, ifMatch, name, description *string) (*commerce.Brand, error) {
	var out *commerce.Brand
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		b, err := lockBrand(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		now := s.clock.Now()
		u := b.Update().AddVersion(1).SetUpdatedAt(now)
		var fields []string
		if name != nil {
			trimmed := strings.TrimSpace(*name)
			if trimmed == "" {
				return ErrBlank.At("/name")
			}
			u.SetName(trimmed)
			fields = append(fields, "name")
		}
		if description != nil {
			u.SetDescription(*description)
			fields = append(fields, "description")
		}
		if out, err = u.Save(ctx); err != nil {
			return translate(err, "/name")
		}
		if out.Name != b.Name {
			if err := tx.Commerce.Product.Update().Where(product.BrandID(id)).SetBrand(out.Name).AddVersion(1).SetUpdatedAt(now).Exec(ctx); err != nil {
				return err
			}
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.brand.update", ObjectType: "brand", ObjectID: id.String(), Changes: map[string]any{"fields": fields}})
		return nil
	})
	return out, err
}

// DeleteBrand removes a brand without products.
//
// Errors: ErrBrandNotFound, apperr.ErrVersionMismatch, ErrBrandInUse.
func (s *Service) DeleteBrand(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		b, err := lockBrand(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		if used, err := tx.Commerce.Product.Query().Where(product.BrandID(id)).Exist(ctx); err != nil {
			return err
		} else if used {
			return ErrBrandInUse.New()
		}
		if err := tx.Commerce.Brand.DeleteOne(b).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.brand.delete", ObjectType: "brand", ObjectID: id.String(), Changes: map[string]any{"name": b.Name}})
		return nil
	})
}

func lockBrand(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*commerce.Brand, error) {
	b, err := tx.Commerce.Brand.Query().Where(brand.ID(id)).ForUpdate().Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrBrandNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return b, etag.Check(ifMatch, b.Version)
}

// brandOf finds or makes the brand of a name, held until the transaction ends.
// Nil for none.
func (s *Service) brandOf(ctx context.Context, tx *db.Tx, name string) (*commerce.Brand, error) {
	if name = strings.TrimSpace(name); name == "" {
		return nil, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	r, err := tx.Exec(ctx, "INSERT INTO brands (id, name, created_at, updated_at) VALUES ($1, $2, $3, $3) ON CONFLICT (name) DO NOTHING", id, name, s.clock.Now())
	if err != nil {
		return nil, err
	}
	if n, err := r.RowsAffected(); err != nil {
		return nil, err
	} else if n > 0 {
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.brand.create", ObjectType: "brand", ObjectID: id.String(), Reason: "named on a product"})
	}
	return tx.Commerce.Brand.Query().Where(brand.Name(name)).ForShare().Only(ctx)
}

// ListBrands returns brands by name. Errors: apperr.ErrBadCursor.
func (s *Service) ListBrands(ctx context.Context, q string, limit *int32, cursor *string, total bool) (*page.Of[*commerce.Brand], error) {
	l := page.NewList("/v1/brands", limit)
	rows := s.db.From(ctx).Commerce.Brand.Query()
	if q = strings.TrimSpace(q); q != "" {
		l.Filters.Set("q", q)
		rows.Where(brand.NameContainsFold(q))
	}
	out := &page.Of[*commerce.Brand]{}
	if err := count(ctx, out, total, rows.Clone()); err != nil {
		return nil, err
	}
	var at byName
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		rows.Where(brand.NameGT(at.Name))
	}
	found, err := rows.Order(brand.ByName()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		next(s.pages, l, out, more, byName{out.Items[len(out.Items)-1].Name})
	}
	return out, nil
}
