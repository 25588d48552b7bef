package catalog

import (
	"context"
	"strconv"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"golang.org/x/text/currency"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/schema"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/ent/commerce/variantbarcode"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// AddBarcode gives a variant a further barcode. Without a kind it is a GTIN or an
// ISBN if it reads as one, else a number of the house.
//
// Errors: ErrVariantNotFound, ErrBlank, ErrCheckDigit, ErrBarcodeKind, ErrBarcodeTaken,
// ErrTooManyBarcodes.
func (s *Service) AddBarcode(ctx context.Context, variantID uuid.UUID, code, kind string) (*commerce.VariantBarcode, error) {
	if code = plainCode(code); code == "" {
		return nil, ErrBlank.At("/code")
	}
	if kind == "" {
		var err error
		if kind, err = kindOfCode(code); err != nil {
			return nil, ErrCheckDigit.At("/code")
		}
	}
	isbn, isISBN := ParseISBN(code)
	switch kind {
	case "gtin":
		if !GTIN(code) {
			return nil, ErrCheckDigit.At("/code")
		}
	case "isbn":
		if !isISBN {
			return nil, ErrISBN.At("/code")
		}
		code = isbn.Thirteen
	case "weighed":
		settings, err := s.Settings(ctx)
		if err != nil {
			return nil, err
		}
		if !fitsLayout(code, settings.WeighedLayouts) {
			return nil, ErrBarcodeKind.At("/code")
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var out *commerce.VariantBarcode
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		v, err := tx.Commerce.Variant.Query().Where(variant.ID(variantID)).ForUpdate().Only(ctx)
		if commerce.IsNotFound(err) {
			return ErrVariantNotFound.New()
		}
		if err != nil {
			return err
		}
		n, err := v.QueryBarcodes().Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxBarcodes {
			return ErrTooManyBarcodes.New().Arg("max", maxBarcodes)
		}
		out, err = tx.Commerce.VariantBarcode.Create().SetID(id).SetVariantID(variantID).SetKind(variantbarcode.Kind(kind)).SetCode(code).SetCreatedAt(s.clock.Now()).Save(ctx)
		if err != nil {
			return translate(err, "/code")
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.add_barcode", ObjectType: "variant", ObjectID: variantID.String(), Changes: map[string]any{"code": code, "kind": kind}})
		return nil
	})
	return out, err
}

// maxBarcodes is how many barcodes a variant has besides its main one.
const maxBarcodes = 50

func fitsLayout(code string, layouts []schema.WeighedLayout) bool {
	for _, l := range layouts {
		if strings.HasPrefix(code, l.Prefix) && len(code) == len(l.Prefix)+l.ItemDigits && digits(code) {
			return true
		}
	}
	return false
}

// RemoveBarcode takes a further barcode off a variant.
//
// Errors: ErrVariantNotFound, ErrBarcodeNotFound.
func (s *Service) RemoveBarcode(ctx context.Context, variantID, id uuid.UUID) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if ok, err := tx.Commerce.Variant.Query().Where(variant.ID(variantID)).Exist(ctx); err != nil {
			return err
		} else if !ok {
			return ErrVariantNotFound.New()
		}
		n, err := tx.Commerce.VariantBarcode.Delete().Where(variantbarcode.ID(id), variantbarcode.VariantID(variantID)).Exec(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrBarcodeNotFound.New()
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.variant.remove_barcode", ObjectType: "variant", ObjectID: variantID.String(), Changes: map[string]any{"barcode_id": id}})
		return nil
	})
}

// ListBarcodes returns the further barcodes of a variant, the oldest first.
//
// Errors: ErrVariantNotFound, apperr.ErrBadCursor.
func (s *Service) ListBarcodes(ctx context.Context, variantID uuid.UUID, limit *int32, cursor *string, total bool) (*page.Of[*commerce.VariantBarcode], error) {
	clients := s.db.From(ctx).Commerce
	if ok, err := clients.Variant.Query().Where(variant.ID(variantID)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrVariantNotFound.New()
	}
	l := page.NewList("/v1/variants/"+variantID.String()+"/barcodes", limit)
	q := clients.VariantBarcode.Query().Where(variantbarcode.VariantID(variantID))
	out := &page.Of[*commerce.VariantBarcode]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var at position
	if ok, err := s.pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(variantbarcode.IDGT(at.ID))
	}
	rows, err := q.Order(variantbarcode.ByID()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		next(s.pages, l, out, more, position{out.Items[len(out.Items)-1].ID})
	}
	return out, nil
}

// codesSQL finds the variants that carry one of some codes, whichever way.
// Plan: variants_barcode_idx, variant_barcodes_code_idx, products_isbn13_idx.
const codesSQL = `
SELECT id FROM variants WHERE barcode = ANY($1::text[])
UNION SELECT variant_id FROM variant_barcodes WHERE code = ANY($1::text[])
UNION SELECT v.id FROM products p JOIN variants v ON v.product_id = p.id WHERE $2 <> '' AND p.isbn13 = $2
LIMIT 1000`

// Coded are the variants behind a code as it was scanned or typed.
func (s *Service) Coded(ctx context.Context, code string) ([]uuid.UUID, error) {
	ids, _, err := s.byCode(ctx, code)
	return ids, err
}

// byCode finds the variants behind a code as it was scanned or typed. Of weighed
// goods it also says what the scale had measured.
func (s *Service) byCode(ctx context.Context, text string) ([]uuid.UUID, *Reading, error) {
	code := plainCode(text)
	codes := sameCodes(code)
	if trimmed := strings.TrimSpace(text); trimmed != code {
		codes = append(codes, trimmed)
	}
	isbn, _ := ParseISBN(code)
	var read *Reading
	if strings.HasPrefix(code, "2") && len(code) == 13 {
		settings, err := s.Settings(ctx)
		if err != nil {
			return nil, nil, err
		}
		if r, ok := readWeighed(code, settings.WeighedLayouts, s.decimals()); ok {
			read, codes = &r, append(codes, r.Item)
		}
	}
	rows, err := s.db.From(ctx).Query(ctx, codesSQL, pgarray.Strings(codes), isbn.Thirteen)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	ids := []uuid.UUID{}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
	}
	return ids, read, rows.Err()
}

// decimals of the currency's minor unit.
func (s *Service) decimals() int {
	unit, err := currency.ParseISO(s.currency)
	if err != nil {
		return 2
	}
	scale, _ := currency.Standard.Rounding(unit)
	return scale
}

// Settings returns how the business keeps its catalogue.
func (s *Service) Settings(ctx context.Context) (*commerce.CatalogSettings, error) {
	return s.db.From(ctx).Commerce.CatalogSettings.Get(ctx, 1)
}

// SetSettings replaces the settings.
//
// Errors: apperr.ErrVersionMismatch, ErrLayout.
func (s *Service) SetSettings(ctx context.Context, ifMatch *string, taxRate int32, layouts []schema.WeighedLayout) (*commerce.CatalogSettings, error) {
	if err := checkLayouts(layouts, func(i int) string { return "/weighed_layouts/" + strconv.Itoa(i) }); err != nil {
		return nil, err
	}
	var out *commerce.CatalogSettings
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		c, err := tx.Commerce.CatalogSettings.Query().ForUpdate(sql.WithLockTables("catalog_settings")).Only(ctx)
		if err != nil {
			return err
		}
		if err := etag.Check(ifMatch, c.Version); err != nil {
			return err
		}
		if out, err = c.Update().SetDefaultTaxRate(taxRate).SetWeighedLayouts(layouts).AddVersion(1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.settings.update", ObjectType: "catalog_settings", ObjectID: "1",
			Changes: map[string]any{"default_tax_rate": taxRate, "weighed_layouts": len(layouts)}})
		return nil
	})
	return out, err
}
