package catalog

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/commerce/sizesystem"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// SizeSystemInput is a size system as it shall be; what is nil stays.
type SizeSystemInput struct {
	Code, Name *string
	Labels     []string
}

func (in *SizeSystemInput) tidy() error {
	for name, text := range map[string]*string{"code": in.Code, "name": in.Name} {
		if text == nil {
			continue
		}
		if *text = strings.TrimSpace(*text); *text == "" {
			return ErrBlank.At("/" + name)
		}
	}
	for i := range in.Labels {
		switch in.Labels[i] = strings.TrimSpace(in.Labels[i]); {
		case in.Labels[i] == "":
			return ErrBlank.At("/labels/" + strconv.Itoa(i))
		case slices.Contains(in.Labels[:i], in.Labels[i]):
			return ErrSizeRepeated.At("/labels/" + strconv.Itoa(i))
		}
	}
	return nil
}

// CreateSizeSystem makes a size system. Errors: ErrBlank, ErrSizeRepeated, ErrSizeCodeTaken.
func (s *Service) CreateSizeSystem(ctx context.Context, in SizeSystemInput) (*commerce.SizeSystem, error) {
	if err := in.tidy(); err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *commerce.SizeSystem
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := s.clock.Now()
		if out, err = tx.Commerce.SizeSystem.Create().SetID(id).SetCode(*in.Code).SetName(*in.Name).SetLabels(in.Labels).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx); err != nil {
			return translate(err, "/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.size_system.create", ObjectType: "size_system", ObjectID: id.String(), Changes: map[string]any{"code": *in.Code}})
		return nil
	})
	return out, err
}

// UpdateSizeSystem changes a size system. Products name it by its code.
//
// Errors: ErrSizeSystemNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrSizeRepeated, ErrSizeCodeTaken.
func (s *Service) UpdateSizeSystem(ctx context.Context, id uuid.UUID, ifMatch *string, in SizeSystemInput) (*commerce.SizeSystem, error) {
	if err := in.tidy(); err != nil {
		return nil, err
	}
	var out *commerce.SizeSystem
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		z, err := lockSizes(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		u := z.Update().SetNillableCode(in.Code).SetNillableName(in.Name).AddVersion(1).SetUpdatedAt(s.clock.Now())
		if in.Labels != nil {
			u.SetLabels(in.Labels)
		}
		if out, err = u.Save(ctx); err != nil {
			return translate(err, "/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.size_system.update", ObjectType: "size_system", ObjectID: id.String()})
		return nil
	})
	return out, err
}

// DeleteSizeSystem removes a size system; products that name it keep its code.
//
// Errors: ErrSizeSystemNotFound, apperr.ErrVersionMismatch.
func (s *Service) DeleteSizeSystem(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		z, err := lockSizes(ctx, tx, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.Commerce.SizeSystem.DeleteOne(z).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.size_system.delete", ObjectType: "size_system", ObjectID: id.String(), Changes: map[string]any{"code": z.Code}})
		return nil
	})
}

func lockSizes(ctx context.Context, tx *db.Tx, id uuid.UUID, ifMatch *string) (*commerce.SizeSystem, error) {
	z, err := tx.Commerce.SizeSystem.Query().Where(sizesystem.ID(id)).ForUpdate().Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrSizeSystemNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return z, etag.Check(ifMatch, z.Version)
}

// ListSizeSystems returns size systems by code. Errors: apperr.ErrBadCursor.
func (s *Service) ListSizeSystems(ctx context.Context, limit *int32, cursor *string, total bool) (*page.Of[*commerce.SizeSystem], error) {
	l := page.NewList("/v1/size-systems", limit)
	q := s.db.From(ctx).Commerce.SizeSystem.Query()
	out := &page.Of[*commerce.SizeSystem]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at byName
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(sizesystem.CodeGT(at.Name))
	}
	found, err := q.Order(sizesystem.ByCode()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		next(s.pages, l, out, more, byName{out.Items[len(out.Items)-1].Code})
	}
	return out, nil
}

// Matrix is a product's variants by their first and second option.
type Matrix struct {
	Product *commerce.Product
	Rows    schema.Option  // without a name: the product has no option
	Columns *schema.Option // nil: the product has one option
	Cells   map[[2]string][]*commerce.Variant
}

// Matrix lays out the variants of a product: colours down and sizes across,
// whatever the order of the options; sizes in the order of their system.
//
// Errors: ErrProductNotFound.
func (s *Service) Matrix(ctx context.Context, id uuid.UUID) (*Matrix, error) {
	clients := s.db.From(ctx).Commerce
	p, err := clients.Product.Query().Where(product.ID(id)).WithVariants(func(q *commerce.VariantQuery) { q.Order(variant.ByID()) }).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrProductNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	var labels []string
	if p.Apparel != nil && p.Apparel.SizeSystem != "" {
		z, err := clients.SizeSystem.Query().Where(sizesystem.Code(p.Apparel.SizeSystem)).Only(ctx)
		if err != nil && !commerce.IsNotFound(err) {
			return nil, err
		}
		if z != nil {
			labels = z.Labels
		}
	}
	out := layOut(p, labels)
	return out, nil
}
