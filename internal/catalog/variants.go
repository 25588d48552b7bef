package catalog

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// VariantInput describes a variant to create. Amounts are in minor units.
type VariantInput struct {
	SKU         string
	Barcode     *string
	PriceAmount int64
	CostAmount  *int64
	Options     map[string]string
	Status      string // empty means active
}

func (s *Service) newVariant(tx *db.Tx, productID uuid.UUID, in VariantInput) (*commerce.VariantCreate, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	c := tx.Commerce.Variant.Create().SetID(id).SetProductID(productID).SetSku(in.SKU).SetNillableBarcode(in.Barcode).
		SetPriceAmount(in.PriceAmount).SetNillableCostAmount(in.CostAmount).SetStatus(variant.Status(orElse(in.Status, "active"))).
		SetCreatedAt(now).SetUpdatedAt(now)
	if len(in.Options) > 0 {
		c.SetOptions(in.Options)
	}
	return c, nil
}

// CreateVariant adds a variant to a product.
//
// Errors: ErrProductNotFound, ErrBlank, ErrSKUTaken.
func (s *Service) CreateVariant(ctx context.Context, productID uuid.UUID, in VariantInput) (*commerce.Variant, error) {
	if in.SKU = strings.TrimSpace(in.SKU); in.SKU == "" {
		return nil, ErrBlank.At("/sku")
	}
	var out *commerce.Variant
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.touchProduct(ctx, tx, productID); err != nil {
			return err
		}
		create, err := s.newVariant(tx, productID, in)
		if err != nil {
			return err
		}
		if out, err = create.Save(ctx); err != nil {
			return translate(err, "/sku")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.create", ObjectType: "variant", ObjectID: out.ID.String(),
			Changes: map[string]any{"product_id": productID, "sku": in.SKU}})
		return nil
	})
	return out, err
}

// VariantChange says what to change of a variant; what is not specified stays.
type VariantChange struct {
	SKU         *string
	Barcode     nullable.Nullable[string]
	PriceAmount *int64
	CostAmount  nullable.Nullable[int64]
	Options     nullable.Nullable[map[string]string]
	Status      *string
	Reason      string // why, for the histories of prices and states
}

// UpdateVariant changes a variant, and raises the version of its product, whose
// view it is part of.
//
// Errors: ErrVariantNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrSKUTaken.
func (s *Service) UpdateVariant(ctx context.Context, id uuid.UUID, ifMatch *string, in VariantChange) (*commerce.Variant, error) {
	var out *commerce.Variant
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		v, err := tx.Commerce.Variant.Query().Where(variant.ID(id)).Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrVariantNotFound.New()
		}
		if err != nil {
			return err
		}
		// The product first: CreateVariant and UpdateProduct lock it too.
		if err := s.touchProduct(ctx, tx, v.ProductID); err != nil {
			return err
		}
		if v, err = tx.Commerce.Variant.Query().Where(variant.ID(id)).ForUpdate().Only(ctx); err != nil {
			return err
		}
		if err := etag.Check(ifMatch, v.Version); err != nil {
			return err
		}
		if err := s.because(ctx, tx, in.Reason); err != nil {
			return err
		}
		update, fields, err := in.apply(v)
		if err != nil {
			return err
		}
		if out, err = update.SetVersion(v.Version + 1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return translate(err, "/sku")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.update", ObjectType: "variant", ObjectID: id.String(), Reason: in.Reason, Changes: fields})
		return nil
	})
	return out, err
}

// apply prepares the update of v and notes the fields it touches; prices with
// what they were and are, since they decide about money.
func (in VariantChange) apply(v *commerce.Variant) (*commerce.VariantUpdateOne, map[string]any, error) {
	u := v.Update()
	var fields []string
	changes := map[string]any{}
	if in.SKU != nil {
		sku := strings.TrimSpace(*in.SKU)
		if sku == "" {
			return nil, nil, ErrBlank.At("/sku")
		}
		u.SetSku(sku)
		fields = append(fields, "sku")
	}
	if in.Barcode.IsSpecified() {
		if in.Barcode.IsNull() {
			u.ClearBarcode()
		} else {
			u.SetBarcode(in.Barcode.MustGet())
		}
		fields = append(fields, "barcode")
	}
	if in.PriceAmount != nil {
		u.SetPriceAmount(*in.PriceAmount)
		changes["price_amount"] = []int64{v.PriceAmount, *in.PriceAmount}
		fields = append(fields, "price_amount")
	}
	if in.CostAmount.IsSpecified() {
		if in.CostAmount.IsNull() {
			u.ClearCostAmount()
		} else {
			u.SetCostAmount(in.CostAmount.MustGet())
		}
		fields = append(fields, "cost_amount")
	}
	if in.Options.IsSpecified() {
		if in.Options.IsNull() {
			u.ClearOptions()
		} else {
			u.SetOptions(in.Options.MustGet())
		}
		fields = append(fields, "options")
	}
	if in.Status != nil {
		u.SetStatus(variant.Status(*in.Status))
		fields = append(fields, "status")
	}
	changes["fields"] = fields
	return u, changes, nil
}

// touchProduct locks a product and raises its version.
func (s *Service) touchProduct(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	n, err := tx.Commerce.Product.Update().Where(product.ID(id)).AddVersion(1).SetUpdatedAt(s.clock.Now()).Save(ctx)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrProductNotFound.New()
	}
	return nil
}
