package catalog

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
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

// newVariant prepares a variant of a locked product.
// Errors: ErrOptionMissing, ErrOptionValue, ErrCheckDigit.
func (s *Service) newVariant(tx *db.Tx, p *commerce.Product, in VariantInput) (*commerce.VariantCreate, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	key, err := combination(p.Options, in.Options)
	if err != nil {
		return nil, err
	}
	if in.Barcode != nil {
		if err := checkBarcode(in.Barcode); err != nil {
			return nil, err
		}
	}
	now := s.clock.Now()
	c := tx.Commerce.Variant.Create().SetID(id).SetProductID(p.ID).SetNillableOptionKey(key).SetSku(in.SKU).SetNillableBarcode(in.Barcode).
		SetPriceAmount(in.PriceAmount).SetNillableCostAmount(in.CostAmount).SetStatus(variant.Status(orElse(in.Status, "active"))).
		SetCreatedAt(now).SetUpdatedAt(now)
	if len(in.Options) > 0 {
		c.SetOptions(in.Options)
	}
	return c, nil
}

// CreateVariant adds a variant to a product.
//
// Errors: ErrProductNotFound, ErrBlank, ErrSKUTaken, ErrTooManyVariants, ErrOptionMissing,
// ErrOptionValue, ErrCombinationTaken, ErrCheckDigit.
func (s *Service) CreateVariant(ctx context.Context, productID uuid.UUID, in VariantInput) (*commerce.Variant, error) {
	if in.SKU = strings.TrimSpace(in.SKU); in.SKU == "" {
		return nil, ErrBlank.At("/sku")
	}
	var out *commerce.Variant
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.lockProduct(ctx, tx, productID)
		if err != nil {
			return err
		}
		n, err := p.QueryVariants().Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxVariants {
			return ErrTooManyVariants.New().Arg("max", maxVariants)
		}
		if err := p.Update().AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
			return err
		}
		create, err := s.newVariant(tx, p, in)
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
// Errors: ErrVariantNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrSKUTaken,
// ErrOptionMissing, ErrOptionValue, ErrCombinationTaken, ErrCheckDigit.
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
		p, err := s.lockProduct(ctx, tx, v.ProductID)
		if err != nil {
			return err
		}
		if err := p.Update().AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
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
		update, fields, err := in.apply(p, v)
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
func (in VariantChange) apply(p *commerce.Product, v *commerce.Variant) (*commerce.VariantUpdateOne, map[string]any, error) {
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
			code := in.Barcode.MustGet()
			if err := checkBarcode(&code); err != nil {
				return nil, nil, err
			}
			u.SetBarcode(code)
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
		options, _ := in.Options.Get() // null empties
		key, err := combination(p.Options, options)
		if err != nil {
			return nil, nil, err
		}
		if key != nil {
			u.SetOptionKey(*key)
		} else {
			u.ClearOptionKey()
		}
		if in.Options.IsNull() {
			u.ClearOptions()
		} else {
			u.SetOptions(options)
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

// checkBarcode tidies the main barcode of a variant. Errors: ErrBlank, ErrCheckDigit.
func checkBarcode(code *string) error {
	if *code = strings.TrimSpace(*code); *code == "" {
		return ErrBlank.At("/barcode")
	}
	if _, err := kindOfCode(plainCode(*code)); err != nil {
		return ErrCheckDigit.At("/barcode")
	}
	return nil
}
