package catalog

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/category"
	"github.com/shuke-crm/shuke/ent/commerce/orderline"
	"github.com/shuke-crm/shuke/ent/commerce/orderreturnline"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// treeSQL is held by whoever changes the tree: two moves at once could close a
// ring that neither sees, and tax rates follow the tree.
const treeSQL = "SELECT pg_advisory_xact_lock(hashtext('catalog.category_tree'))"

// ratesSQL has a category and all below it take their tax rate again: their own,
// or that of the nearest one above.
const ratesSQL = `
WITH RECURSIVE down AS (
    SELECT c.id, coalesce(c.tax_rate, p.effective_tax_rate) AS rate FROM categories c LEFT JOIN categories p ON p.id = c.parent_id WHERE c.id = $1
    UNION ALL SELECT c.id, coalesce(c.tax_rate, down.rate) FROM categories c JOIN down ON c.parent_id = down.id
)
UPDATE categories c SET effective_tax_rate = down.rate FROM down WHERE c.id = down.id AND c.effective_tax_rate IS DISTINCT FROM down.rate`

// CreateCategory makes a node of the tree.
//
// Errors: ErrBlank, ErrCategoryTaken, ErrCategoryUnknown for the parent.
func (s *Service) CreateCategory(ctx context.Context, name string, parent *uuid.UUID, taxRate *int32) (*commerce.Category, error) {
	if name = strings.TrimSpace(name); name == "" {
		return nil, ErrBlank.At("/name")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *commerce.Category
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(ctx, treeSQL); err != nil {
			return err
		}
		effective := taxRate
		if effective == nil && parent != nil {
			above, err := tx.Commerce.Category.Get(ctx, *parent)
			if err != nil && !commerce.IsNotFound(err) {
				return err
			}
			if above != nil {
				effective = above.EffectiveTaxRate
			}
		}
		now := s.clock.Now()
		c, err := tx.Commerce.Category.Create().SetID(id).SetName(name).SetNillableParentID(parent).SetNillableTaxRate(taxRate).SetNillableEffectiveTaxRate(effective).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return translateCategory(err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.category.create", ObjectType: "category", ObjectID: id.String()})
		out = c
		return nil
	})
	return out, err
}

// CategoryAt finds a category by its path from above; its name alone is enough, as
// it is unique. With create, what the path lacks is made.
// Error: ErrCategoryUnknown.
func (s *Service) CategoryAt(ctx context.Context, path []string, create bool) (*uuid.UUID, error) {
	known, err := s.db.From(ctx).Commerce.Category.Query().Where(category.NameIn(path...)).All(ctx)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]uuid.UUID, len(known))
	for _, c := range known {
		byName[c.Name] = c.ID
	}
	if id, ok := byName[path[len(path)-1]]; ok {
		return &id, nil
	}
	if !create {
		return nil, ErrCategoryUnknown.At("/category_id")
	}
	var above *uuid.UUID
	for _, name := range path {
		id, ok := byName[name]
		if !ok {
			made, err := s.CreateCategory(ctx, name, above, nil)
			if err != nil {
				return nil, err
			}
			id = made.ID
			byName[name] = id
		}
		above = &id
	}
	return above, nil
}

// UpdateCategory renames or moves a category.
//
// Errors: ErrCategoryNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrCategoryTaken,
// ErrCategoryUnknown, ErrCategoryCycle.
func (s *Service) UpdateCategory(ctx context.Context, id uuid.UUID, ifMatch, name *string, parent nullable.Nullable[uuid.UUID], taxRate nullable.Nullable[int32]) (*commerce.Category, error) {
	var out *commerce.Category
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		moved := parent.IsSpecified() || taxRate.IsSpecified()
		if moved {
			if _, err := tx.Exec(ctx, treeSQL); err != nil {
				return err
			}
		}
		c, err := tx.Commerce.Category.Query().Where(category.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrCategoryNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, c.Version); err != nil {
			return err
		}
		u := c.Update().SetVersion(c.Version + 1).SetUpdatedAt(s.clock.Now())
		var fields []string
		if name != nil {
			trimmed := strings.TrimSpace(*name)
			if trimmed == "" {
				return ErrBlank.At("/name")
			}
			u.SetName(trimmed)
			fields = append(fields, "name")
			tx.AfterCommit(s.renamed)
		}
		if parent.IsSpecified() {
			fields = append(fields, "parent_id")
			if parent.IsNull() {
				u.ClearParentID()
			} else {
				above := parent.MustGet()
				if err := refuseCycle(ctx, tx, id, above); err != nil {
					return err
				}
				u.SetParentID(above)
			}
		}
		if taxRate.IsSpecified() {
			fields = append(fields, "tax_rate")
			if taxRate.IsNull() {
				u.ClearTaxRate()
			} else {
				u.SetTaxRate(taxRate.MustGet())
			}
		}
		if out, err = u.Save(ctx); err != nil {
			return translateCategory(err)
		}
		if moved {
			if _, err := tx.Exec(ctx, ratesSQL, id); err != nil {
				return err
			}
			if out, err = tx.Commerce.Category.Get(ctx, id); err != nil {
				return err
			}
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.category.update", ObjectType: "category", ObjectID: id.String(),
			Changes: map[string]any{"fields": fields}})
		return nil
	})
	return out, err
}

// refuseCycle walks up from the new parent; UNION ends it even on a ring.
func refuseCycle(ctx context.Context, tx *db.Tx, id, parent uuid.UUID) error {
	var below bool
	err := tx.QueryRow(ctx, `
WITH RECURSIVE up AS (
    SELECT id, parent_id FROM categories WHERE id = $1
    UNION SELECT c.id, c.parent_id FROM categories c JOIN up ON c.id = up.parent_id
) SELECT EXISTS (SELECT FROM up WHERE id = $2)`, parent, id).Scan(&below)
	if err != nil {
		return err
	}
	if below {
		return ErrCategoryCycle.At("/parent_id")
	}
	return nil
}

// DeleteCategory removes an empty category.
//
// Errors: ErrCategoryNotFound, apperr.ErrVersionMismatch, ErrCategoryInUse.
func (s *Service) DeleteCategory(ctx context.Context, id uuid.UUID, ifMatch *string) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.Commerce.Category.Query().Where(category.ID(id)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrCategoryNotFound.New()
		}
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, c.Version); err != nil {
			return err
		}
		for _, used := range []func(context.Context) (bool, error){
			tx.Commerce.Product.Query().Where(product.CategoryID(id)).Exist,
			tx.Commerce.Category.Query().Where(category.ParentID(id)).Exist,
			tx.Commerce.OrderLine.Query().Where(orderline.CategoryID(id)).Exist,
			tx.Commerce.OrderReturnLine.Query().Where(orderreturnline.CategoryID(id)).Exist,
		} {
			if yes, err := used(ctx); err != nil {
				return err
			} else if yes {
				return ErrCategoryInUse.New()
			}
		}
		if err := tx.Commerce.Category.DeleteOne(c).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.category.delete", ObjectType: "category", ObjectID: id.String()})
		return nil
	})
}

func translateCategory(err error) error {
	if db.Violated(err) == "categories_name_key" {
		return translate(err, "/name")
	}
	return translate(err, "/parent_id")
}
