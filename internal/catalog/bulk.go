package catalog

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// BulkItem is a product to take over.
type BulkItem struct {
	ProductInput
	NoPrice bool  // what it says of prices counts for nothing: new variants are free drafts, others keep theirs
	Err     error // found before: the item fails with it

	NewOptions []OptionInput // options of the product if it is new
}

// Clone is a copy that can be taken over without a trace on the item.
func (in *BulkItem) Clone() BulkItem {
	out := *in
	out.Variants = slices.Clone(in.Variants)
	if in.Book != nil {
		book := *in.Book
		out.Book = &book
	}
	if in.Apparel != nil {
		apparel := *in.Apparel
		out.Apparel = &apparel
	}
	return out
}

// BulkOutcome is what became of an item.
type BulkOutcome struct {
	Status    string // created, updated or error
	ProductID uuid.UUID
	Err       error
}

// errTrial takes a trial back.
var errTrial = errors.New("catalog: a trial")

// TakeOver makes products and, with update, changes those that there are: known
// by the SKU of their first variant, or else by their ISBN. Each item takes
// effect or fails by itself. What an item does not name stays; variants are
// known by their SKU, and none goes. A trial changes nothing.
func (s *Service) TakeOver(ctx context.Context, items []BulkItem, update, trial bool) ([]BulkOutcome, error) {
	out := make([]BulkOutcome, len(items))
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		err := tx.Savepoint(ctx, func() error {
			for i := range items {
				o := &out[i]
				*o = BulkOutcome{}
				if o.Err = items[i].Err; o.Err == nil {
					o.Err = tx.Savepoint(ctx, func() (err error) {
						o.Status, o.ProductID, err = s.takeOver(ctx, tx, &items[i], update)
						return err
					})
				}
				if o.Err == nil {
					continue
				}
				if apperr.From(o.Err) == nil {
					return o.Err // ours, or a conflict that a new attempt solves
				}
				o.Status, o.ProductID = "error", uuid.Nil
			}
			if trial {
				return errTrial
			}
			return nil
		})
		if errors.Is(err, errTrial) {
			err = nil
		}
		return err
	})
	return out, err
}

func (s *Service) takeOver(ctx context.Context, tx *db.Tx, in *BulkItem, update bool) (status string, id uuid.UUID, err error) {
	known, err := s.knownAs(ctx, tx, in)
	if err != nil {
		return "", uuid.Nil, err
	}
	if known == nil {
		made := in.ProductInput // what follows is tidied in place
		if made.Options == nil {
			made.Options = in.NewOptions
		}
		if in.NoPrice {
			made.Status = orElse(made.Status, "draft")
		}
		p, err := s.CreateProduct(ctx, made)
		if err != nil {
			return "", uuid.Nil, err
		}
		return "created", p.ID, nil
	}
	if !update {
		return "", uuid.Nil, ErrProductKnown.New().With("existing_id", known.ID)
	}
	return "updated", known.ID, s.bring(ctx, known, in)
}

// knownAs finds the product that an item means; nil if it is new.
func (s *Service) knownAs(ctx context.Context, tx *db.Tx, in *BulkItem) (*commerce.Product, error) {
	q := tx.Commerce.Product.Query().WithVariants().Order(product.ByID()).Limit(1)
	switch {
	case len(in.Variants) > 0:
		found, err := q.Clone().Where(product.HasVariantsWith(variant.Sku(in.Variants[0].SKU))).All(ctx)
		if err != nil || len(found) > 0 {
			return first(found), err
		}
	case in.Book == nil:
		return nil, ErrBulkUnnamed.At("/variants")
	}
	if in.Book == nil {
		return nil, nil
	}
	isbn, ok := ParseISBN(orElse(in.Book.ISBN13, in.Book.ISBN10))
	if !ok {
		return nil, nil // whoever makes it says what is wrong
	}
	found, err := q.Where(product.Isbn13(isbn.Thirteen)).All(ctx)
	return first(found), err
}

func first(found []*commerce.Product) *commerce.Product {
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

// bring changes a product to what an item says.
func (s *Service) bring(ctx context.Context, p *commerce.Product, in *BulkItem) error {
	c := ProductChange{Fields: in.Fields, Reason: "bulk"}
	if in.Kind != "" {
		c.Kind = &in.Kind
	}
	if in.Title != "" {
		c.Title = &in.Title
	}
	if in.Description != "" {
		c.Description = nullable.NewNullableWithValue(in.Description)
	}
	if in.Brand != "" {
		c.Brand = nullable.NewNullableWithValue(in.Brand)
	}
	if in.BrandID != nil {
		c.BrandID = nullable.NewNullableWithValue(*in.BrandID)
	}
	if in.CategoryID != nil {
		c.CategoryID = nullable.NewNullableWithValue(*in.CategoryID)
	}
	if in.Status != "" {
		c.Status = &in.Status
	}
	if in.TaxRate != nil {
		c.TaxRate = nullable.NewNullableWithValue(*in.TaxRate)
	}
	if in.Book != nil {
		c.Book = nullable.NewNullableWithValue[schema.Book](*in.Book)
	}
	if in.Apparel != nil {
		c.Apparel = nullable.NewNullableWithValue[schema.Apparel](*in.Apparel)
	}
	if in.Attributes != nil {
		c.Attributes = nullable.NewNullableWithValue(in.Attributes)
	}
	if _, err := s.UpdateProduct(ctx, p.ID, nil, c); err != nil {
		return err
	}
	if in.Options != nil {
		if _, err := s.SetOptions(ctx, p.ID, nil, in.Options); err != nil {
			return err
		}
	}
	bySKU := map[string]*commerce.Variant{}
	for _, v := range p.Edges.Variants {
		bySKU[v.Sku] = v
	}
	for i, v := range in.Variants {
		pointer := "/variants/" + strconv.Itoa(i)
		old := bySKU[v.SKU]
		if old == nil {
			if _, err := s.CreateVariant(ctx, p.ID, v); err != nil {
				return at(pointer, err)
			}
			continue
		}
		change := VariantChange{Reason: "bulk"}
		if !in.NoPrice {
			change.PriceAmount = &in.Variants[i].PriceAmount
		}
		if v.Barcode != nil {
			change.Barcode = nullable.NewNullableWithValue(*v.Barcode)
		}
		if v.CostAmount != nil {
			change.CostAmount = nullable.NewNullableWithValue(*v.CostAmount)
		}
		if v.Options != nil {
			change.Options = nullable.NewNullableWithValue(v.Options)
		}
		if v.Status != "" {
			change.Status = &in.Variants[i].Status
		}
		if _, err := s.UpdateVariant(ctx, old.ID, nil, change); err != nil {
			return at(pointer, err)
		}
	}
	return nil
}
