package catalog

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// maxVariants is how many variants a product has at most.
const maxVariants = 250

// OptionInput is an option as it shall be. Was names the option, or the value,
// that it was until now: it is renamed, for all variants.
type OptionInput struct {
	Name, Was string
	Values    []ValueInput
}

// ValueInput is a value as it shall be.
type ValueInput struct{ Value, Code, Was string }

// SetOptions says by what the variants of a product differ. Variants follow new
// names; a value that a variant has cannot go. Variants that name a value for
// each option are in the matrix, which has each combination once.
//
// Errors: ErrProductNotFound, apperr.ErrVersionMismatch, ErrBlank, ErrOptionRepeated,
// ErrOptionWas, ErrOptionInUse, ErrCombinationTaken.
func (s *Service) SetOptions(ctx context.Context, id uuid.UUID, ifMatch *string, in []OptionInput) (*commerce.Product, error) {
	options, err := tidyOptions(in)
	if err != nil {
		return nil, err
	}
	var out *commerce.Product
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.lockProduct(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, p.Version); err != nil {
			return err
		}
		variants, err := p.QueryVariants().Order(variant.ByID()).All(ctx)
		if err != nil {
			return err
		}
		if err := checkWas(in, p.Options); err != nil {
			return err
		}
		moved, err := carry(in, options, p.Options, variants)
		if err != nil {
			return err
		}
		if err := s.moveVariants(ctx, tx, id, moved); err != nil {
			return err
		}
		u := p.Update().AddVersion(1).SetUpdatedAt(s.clock.Now())
		if len(options) > 0 {
			u.SetOptions(options)
		} else {
			u.ClearOptions()
		}
		if out, err = u.Save(ctx); err != nil {
			return err
		}
		names := make([]string, len(options))
		for i, o := range options {
			names[i] = o.Name
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.product.set_options", ObjectType: "product", ObjectID: id.String(),
			Changes: map[string]any{"options": names, "variants": len(moved)}})
		out.Edges.Variants, err = out.QueryVariants().Order(variant.ByID()).All(ctx)
		return err
	})
	return out, err
}

// lockProduct locks a product before its variants are written.
func (s *Service) lockProduct(ctx context.Context, tx *db.Tx, id uuid.UUID) (*commerce.Product, error) {
	p, err := tx.Commerce.Product.Query().Where(product.ID(id)).ForUpdate().Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrProductNotFound.New()
	}
	return p, err
}

// tidyOptions checks names and values.
func tidyOptions(in []OptionInput) ([]schema.Option, error) {
	options, names := make([]schema.Option, len(in)), map[string]bool{}
	for i := range in {
		o := &in[i]
		at := "/options/" + strconv.Itoa(i)
		switch o.Name = strings.TrimSpace(o.Name); {
		case o.Name == "":
			return nil, ErrBlank.At(at + "/name")
		case names[o.Name]:
			return nil, ErrOptionRepeated.At(at + "/name")
		}
		names[o.Name] = true
		options[i] = schema.Option{Name: o.Name, Values: make([]schema.OptionValue, len(o.Values))}
		values := map[string]bool{}
		for j := range o.Values {
			v := &o.Values[j]
			switch v.Value = strings.TrimSpace(v.Value); {
			case v.Value == "":
				return nil, ErrBlank.At(at + "/values/" + strconv.Itoa(j) + "/value")
			case values[v.Value]:
				return nil, ErrOptionRepeated.At(at + "/values/" + strconv.Itoa(j) + "/value")
			}
			values[v.Value] = true
			options[i].Values[j] = schema.OptionValue{Value: v.Value, Code: strings.TrimSpace(v.Code)}
		}
	}
	return options, nil
}

// checkWas holds names that something had against what there is; none of them
// becomes two.
func checkWas(in []OptionInput, old []schema.Option) error {
	taken := map[string]bool{}
	for i, o := range in {
		at := "/options/" + strconv.Itoa(i)
		before := find(old, orElse(o.Was, o.Name))
		if o.Was != "" && (before == nil || taken[o.Was]) {
			return ErrOptionWas.At(at + "/was")
		}
		taken[orElse(o.Was, o.Name)] = true
		values := map[string]bool{}
		for j, v := range o.Values {
			if v.Was != "" && (before == nil || !hasValue(before, v.Was) || values[v.Was]) {
				return ErrOptionWas.At(at + "/values/" + strconv.Itoa(j) + "/was")
			}
			values[orElse(v.Was, v.Value)] = true
		}
	}
	return nil
}

func find(options []schema.Option, name string) *schema.Option {
	if i := slices.IndexFunc(options, func(o schema.Option) bool { return o.Name == name }); i >= 0 {
		return &options[i]
	}
	return nil
}

func hasValue(o *schema.Option, value string) bool {
	return slices.ContainsFunc(o.Values, func(v schema.OptionValue) bool { return v.Value == value })
}

// movedVariant is a variant whose options change.
type movedVariant struct {
	id      uuid.UUID
	options map[string]string
	key     *string
}

// carry finds what the options of each variant become. Error: ErrOptionInUse,
// ErrCombinationTaken.
func carry(in []OptionInput, options, old []schema.Option, variants []*commerce.Variant) ([]movedVariant, error) {
	out, seen := make([]movedVariant, 0, len(variants)), map[string]bool{}
	for _, v := range variants {
		now := make(map[string]string, len(v.Options))
		for name, value := range v.Options {
			if find(old, name) == nil && find(options, name) == nil {
				now[name] = value // the variant's own, no option of the product
			}
		}
		for i, o := range in {
			value, ok := v.Options[orElse(o.Was, o.Name)]
			if !ok {
				continue
			}
			at := slices.IndexFunc(o.Values, func(n ValueInput) bool { return orElse(n.Was, n.Value) == value })
			if at < 0 {
				return nil, ErrOptionInUse.At("/options/"+strconv.Itoa(i)+"/values").Arg("value", value).Arg("sku", v.Sku)
			}
			now[o.Name] = o.Values[at].Value
		}
		key, err := combination(options, now)
		if err != nil {
			key = nil // it does not name all of them, and stays outside the matrix
		}
		if key != nil {
			if seen[*key] {
				return nil, ErrCombinationTaken.At("/options")
			}
			seen[*key] = true
		}
		out = append(out, movedVariant{v.ID, now, key})
	}
	return out, nil
}

// combination is what tells a variant from its siblings: its value of each
// option, in order. Nil for a product without options. Errors: ErrOptionMissing,
// ErrOptionValue.
func combination(options []schema.Option, values map[string]string) (*string, error) {
	if len(options) == 0 {
		return nil, nil
	}
	parts := make([]string, len(options))
	for i := range options {
		value, ok := values[options[i].Name]
		switch {
		case !ok:
			return nil, ErrOptionMissing.At("/options").Arg("option", options[i].Name)
		case !hasValue(&options[i], value):
			return nil, ErrOptionValue.At("/options").Arg("option", options[i].Name)
		}
		parts[i] = value
	}
	raw, err := json.Marshal(parts)
	key := string(raw)
	return &key, err
}

// moveVariants writes the options of variants. Keys go first, since two variants
// may exchange theirs.
func (s *Service) moveVariants(ctx context.Context, tx *db.Tx, product uuid.UUID, moved []movedVariant) error {
	if len(moved) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "UPDATE variants SET option_key = NULL WHERE product_id = $1 AND option_key IS NOT NULL", product); err != nil {
		return err
	}
	ids, options, keys := make(pgarray.UUIDs, len(moved)), make([]string, len(moved)), make([]string, len(moved))
	for i, m := range moved {
		raw, err := json.Marshal(m.options)
		if err != nil {
			return err
		}
		ids[i], options[i] = m.id, string(raw)
		if m.key != nil {
			keys[i] = *m.key
		}
	}
	_, err := tx.Exec(ctx, `
UPDATE variants v SET options = g.options::jsonb, option_key = NULLIF(g.key, ''), updated_at = $5,
       version = v.version + (coalesce(v.options, '{}') <> g.options::jsonb)::int
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS g (id, options, key) WHERE v.id = g.id AND v.product_id = $1`,
		product, ids, pq.Array(options), pq.Array(keys), s.clock.Now())
	return err
}

// Generation says how missing variants are made.
type Generation struct {
	SKUPrefix   string
	PriceAmount int64
	CostAmount  *int64
	Only        map[string][]string // some values of an option; nil: all
	Status      string              // empty means active
}

// Generated is what became of a matrix.
type Generated struct {
	Made  []*commerce.Variant
	Known int // combinations that had a variant
}

// GenerateVariants makes the variants that a product's matrix lacks, in the
// order of its options. A SKU is the prefix with the codes, or else the values,
// of the combination behind it.
//
// Errors: ErrProductNotFound, apperr.ErrVersionMismatch, ErrNoOptions,
// ErrOptionValue, ErrTooManyVariants, ErrSKULong, ErrSKUTaken.
func (s *Service) GenerateVariants(ctx context.Context, id uuid.UUID, in Generation) (*Generated, error) {
	var out *Generated
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.lockProduct(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(p.Options) == 0 {
			return ErrNoOptions.New()
		}
		for name, values := range in.Only {
			o := find(p.Options, name)
			if o == nil {
				return ErrOptionMissing.At("/only").Arg("option", name)
			}
			for _, v := range values {
				if !hasValue(o, v) {
					return ErrOptionValue.At("/only").Arg("option", name)
				}
			}
		}
		present, err := p.QueryVariants().Select(variant.FieldID, variant.FieldOptionKey).All(ctx)
		if err != nil {
			return err
		}
		known := map[string]bool{}
		for _, v := range present {
			if v.OptionKey != nil {
				known[*v.OptionKey] = true
			}
		}
		out = &Generated{}
		var rows []*commerce.VariantCreate
		var skus []string
		for _, c := range matrix(p.Options, in.Only) {
			key, err := combination(p.Options, c.values)
			if err != nil {
				return err
			}
			if known[*key] {
				out.Known++
				continue
			}
			if len(present)+len(rows) >= maxVariants {
				return ErrTooManyVariants.New().Arg("max", maxVariants)
			}
			sku := strings.TrimSpace(in.SKUPrefix) + c.suffix
			if len([]rune(sku)) > 64 {
				return ErrSKULong.At("/sku_prefix")
			}
			row, err := s.newVariant(tx, p, VariantInput{SKU: sku, PriceAmount: in.PriceAmount, CostAmount: in.CostAmount, Options: c.values, Status: in.Status})
			if err != nil {
				return err
			}
			rows, skus = append(rows, row), append(skus, sku)
		}
		if i := repeated(skus); i >= 0 {
			return ErrSKURepeated.At("/sku_prefix")
		}
		if len(rows) == 0 {
			return nil
		}
		taken, err := tx.Commerce.Variant.Query().Where(variant.SkuIn(skus...)).Select(variant.FieldSku).Strings(ctx)
		if err != nil {
			return err
		}
		if len(taken) > 0 {
			return ErrSKUTaken.At("/sku_prefix")
		}
		if out.Made, err = tx.Commerce.Variant.CreateBulk(rows...).Save(ctx); err != nil {
			return translate(err, "/sku_prefix")
		}
		if err := p.Update().AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.generate", ObjectType: "product", ObjectID: id.String(), Changes: map[string]any{"skus": skus}})
		return nil
	})
	return out, err
}

// cell is a place of the matrix.
type cell struct {
	values map[string]string
	suffix string // of the SKU
}

// matrix is every combination of the options' values, the last option the
// fastest.
func matrix(options []schema.Option, only map[string][]string) []cell {
	out := []cell{{map[string]string{}, ""}}
	for _, o := range options {
		var wider []cell
		for _, c := range out {
			for _, v := range o.Values {
				if some := only[o.Name]; some != nil && !slices.Contains(some, v.Value) {
					continue
				}
				values := map[string]string{o.Name: v.Value}
				for name, value := range c.values {
					values[name] = value
				}
				wider = append(wider, cell{values, c.suffix + "-" + strings.ReplaceAll(orElse(v.Code, v.Value), " ", "")})
			}
		}
		out = wider
	}
	return out
}

// at moves a refusal of a variant's options to where they stand in a request.
func at(pointer string, err error) error {
	if e := apperr.From(err); e != nil {
		for i := range e.Fields {
			e.Fields[i].Pointer = pointer + e.Fields[i].Pointer
		}
	}
	return err
}
