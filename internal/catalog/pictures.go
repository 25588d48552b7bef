package catalog

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/product"
	"github.com/shuke-crm/shuke/ent/commerce/productpicture"
	"github.com/shuke-crm/shuke/ent/commerce/variant"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/timeline"
)

const (
	maxPictures = 50 // of a product
	maxAlt      = 300
)

// Pictures stores files of pictures.
type Pictures interface {
	MaxPicture() int64
	StorePicture(ctx context.Context, content []byte) (*timeline.KeptPicture, error)
	KeepPicture(ctx context.Context, tx *db.Tx, p *timeline.KeptPicture) error
	DropPicture(ctx context.Context, p *timeline.KeptPicture)
	RemovePicture(ctx context.Context, tx *db.Tx, id uuid.UUID) error
	OpenPicture(id uuid.UUID, thumbnail bool) (*blob.Reader, error)
}

// pictureUpload is what came with a picture.
type pictureUpload struct {
	content      []byte
	altZH, altEN string
	variant      *uuid.UUID
}

// receivePicture reads the parts of an upload. Errors: ErrPicturePart, ErrAlt, ErrVariantUnknown.
func (s *Service) receivePicture(parts *multipart.Reader) (*pictureUpload, error) {
	up := &pictureUpload{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		name, limit := part.FormName(), int64(maxAlt*utf8.UTFMax)
		if name == "file" {
			limit = s.pictures.MaxPicture()
		}
		raw, err := io.ReadAll(io.LimitReader(part, limit+1)) // one more tells that it is too large
		if err != nil {
			return nil, unreadable(err)
		}
		switch {
		case name == "file" && up.content == nil:
			up.content = raw
		case name == "alt_zh":
			up.altZH, err = altText(string(raw), "/alt_zh")
		case name == "alt_en":
			up.altEN, err = altText(string(raw), "/alt_en")
		case name == "variant_id":
			id, bad := uuid.ParseBytes(raw)
			if up.variant = &id; bad != nil {
				err = ErrPictureVariant.At("/variant_id")
			}
		default:
			err = ErrPicturePart.At("/" + name)
		}
		if err != nil {
			return nil, err
		}
	}
	if up.content == nil {
		return nil, ErrPicturePart.At("/file")
	}
	return up, nil
}

func altText(text, pointer string) (string, error) {
	if text = strings.TrimSpace(text); !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxAlt || strings.ContainsRune(text, 0) {
		return "", ErrAlt.At(pointer).Arg("max", maxAlt)
	}
	return text, nil
}

// AddPicture adds a picture behind those that a product has.
// Errors: ErrProductNotFound, ErrPictureVariant, ErrTooManyPictures, those of the
// upload and of timeline.StorePicture.
func (s *Service) AddPicture(ctx context.Context, productID uuid.UUID, parts *multipart.Reader) (*commerce.ProductPicture, error) {
	if ok, err := s.db.From(ctx).Commerce.Product.Query().Where(product.ID(productID)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrProductNotFound.New()
	}
	up, err := s.receivePicture(parts)
	if err != nil {
		return nil, err
	}
	file, err := s.pictures.StorePicture(ctx, up.content)
	if err != nil {
		return nil, err
	}
	var out *commerce.ProductPicture
	err = s.changePictures(ctx, productID, func(ctx context.Context, tx *db.Tx, all []*commerce.ProductPicture) error {
		if len(all) >= maxPictures {
			return ErrTooManyPictures.New().Arg("max", maxPictures)
		}
		if err := variantOf(ctx, tx, productID, up.variant); err != nil {
			return err
		}
		if err := s.pictures.KeepPicture(ctx, tx, file); err != nil {
			return err
		}
		place := 1
		if len(all) > 0 {
			place = all[len(all)-1].Place + 1
		}
		now := s.clock.Now()
		var err error
		out, err = tx.Commerce.ProductPicture.Create().SetID(file.ID).SetProductID(productID).SetNillableVariantID(up.variant).SetPlace(place).
			SetContentHash(file.Hash).SetContentType(file.ContentType).SetSizeBytes(file.Size).SetWidth(file.Width).SetHeight(file.Height).
			SetAltZh(up.altZH).SetAltEn(up.altEN).SetCreatedAt(now).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return err
		}
		noted(ctx, tx, "create", out, nil)
		return nil
	})
	if err != nil {
		s.pictures.DropPicture(ctx, file)
	}
	return out, err
}

// changePictures locks a product, gives its pictures in order to a change, and has
// the product know its main one.
// Error: ErrProductNotFound.
func (s *Service) changePictures(ctx context.Context, productID uuid.UUID, change func(context.Context, *db.Tx, []*commerce.ProductPicture) error) error {
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		p, err := s.lockProduct(ctx, tx, productID)
		if err != nil {
			return err
		}
		inOrder := func() ([]*commerce.ProductPicture, error) {
			return tx.Commerce.ProductPicture.Query().Where(productpicture.ProductID(productID)).Order(productpicture.ByPlace(), productpicture.ByID()).All(ctx)
		}
		all, err := inOrder()
		if err != nil {
			return err
		}
		if err := change(ctx, tx, all); err != nil {
			return err
		}
		if all, err = inOrder(); err != nil {
			return err
		}
		main := ""
		if len(all) > 0 {
			main = all[0].ContentHash
		}
		return p.Update().SetPictureHash(main).AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx)
	})
}

// variantOf refuses a variant of another product. Error: ErrPictureVariant.
func variantOf(ctx context.Context, tx *db.Tx, productID uuid.UUID, id *uuid.UUID) error {
	if id == nil {
		return nil
	}
	if ok, err := tx.Commerce.Variant.Query().Where(variant.ID(*id), variant.ProductID(productID)).Exist(ctx); err != nil || ok {
		return err
	}
	return ErrPictureVariant.At("/variant_id")
}

func noted(ctx context.Context, tx *db.Tx, what string, p *commerce.ProductPicture, fields []string) {
	changes := map[string]any{"product_id": p.ProductID, "content_hash": p.ContentHash}
	if fields != nil {
		changes["fields"] = fields
	}
	audit.Record(ctx, tx, audit.Entry{Action: "catalog.picture." + what, ObjectType: "product_picture", ObjectID: p.ID.String(), Changes: changes})
}

// PictureChange says what to change of a picture; what is not specified stays.
type PictureChange struct {
	AltZH, AltEN *string
	Variant      nullable.Nullable[uuid.UUID]
}

// UpdatePicture changes what is said about a picture.
// Errors: ErrProductNotFound, ErrPictureNotFound, ErrAlt, ErrPictureVariant,
// apperr.ErrVersionMismatch.
func (s *Service) UpdatePicture(ctx context.Context, productID, id uuid.UUID, ifMatch *string, in PictureChange) (*commerce.ProductPicture, error) {
	var out *commerce.ProductPicture
	err := s.changePictures(ctx, productID, func(ctx context.Context, tx *db.Tx, all []*commerce.ProductPicture) error {
		p, err := among(all, id, ifMatch)
		if err != nil {
			return err
		}
		u := p.Update()
		var fields []string
		if in.AltZH != nil {
			text, err := altText(*in.AltZH, "/alt_zh")
			if err != nil {
				return err
			}
			u.SetAltZh(text)
			fields = append(fields, "alt_zh")
		}
		if in.AltEN != nil {
			text, err := altText(*in.AltEN, "/alt_en")
			if err != nil {
				return err
			}
			u.SetAltEn(text)
			fields = append(fields, "alt_en")
		}
		if in.Variant.IsSpecified() {
			fields = append(fields, "variant_id")
			if v, err := in.Variant.Get(); err != nil { // null
				u.ClearVariantID()
			} else if err := variantOf(ctx, tx, productID, &v); err != nil {
				return err
			} else {
				u.SetVariantID(v)
			}
		}
		if out, err = u.AddVersion(1).SetUpdatedAt(s.clock.Now()).Save(ctx); err != nil {
			return err
		}
		noted(ctx, tx, "update", out, fields)
		return nil
	})
	return out, err
}

func among(all []*commerce.ProductPicture, id uuid.UUID, ifMatch *string) (*commerce.ProductPicture, error) {
	for _, p := range all {
		if p.ID == id {
			return p, etag.Check(ifMatch, p.Version)
		}
	}
	return nil, ErrPictureNotFound.New()
}

// DeletePicture takes a picture off a product; its file goes after the commit.
// Errors: ErrProductNotFound, ErrPictureNotFound, apperr.ErrVersionMismatch.
func (s *Service) DeletePicture(ctx context.Context, productID, id uuid.UUID, ifMatch *string) error {
	return s.changePictures(ctx, productID, func(ctx context.Context, tx *db.Tx, all []*commerce.ProductPicture) error {
		p, err := among(all, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.Commerce.ProductPicture.DeleteOne(p).Exec(ctx); err != nil {
			return err
		}
		noted(ctx, tx, "delete", p, nil)
		return s.pictures.RemovePicture(ctx, tx, id)
	})
}

// OrderPictures puts a product's pictures in order, the main one first. Each must
// be named once.
// Errors: ErrProductNotFound, ErrPictureOrder.
func (s *Service) OrderPictures(ctx context.Context, productID uuid.UUID, ids []uuid.UUID) error {
	return s.changePictures(ctx, productID, func(ctx context.Context, tx *db.Tx, all []*commerce.ProductPicture) error {
		places := make(map[uuid.UUID]int, len(ids))
		for i, id := range ids {
			places[id] = i + 1
		}
		if len(places) != len(ids) || len(ids) != len(all) {
			return ErrPictureOrder.At("/picture_ids")
		}
		for _, p := range all {
			place, ok := places[p.ID]
			if !ok {
				return ErrPictureOrder.At("/picture_ids")
			}
			if place == p.Place {
				continue
			}
			if err := p.Update().SetPlace(place).AddVersion(1).SetUpdatedAt(s.clock.Now()).Exec(ctx); err != nil {
				return err
			}
		}
		audit.Record(ctx, tx, audit.Entry{Action: "catalog.picture.order", ObjectType: "product", ObjectID: productID.String(), Changes: map[string]any{"picture_ids": ids}})
		return nil
	})
}

// pictureAt is the last picture shown.
type pictureAt struct {
	Place int       `json:"p"`
	ID    uuid.UUID `json:"i"`
}

// ListPictures lists a product's pictures in order.
// Plan: product_pictures_product_idx. Errors: ErrProductNotFound, request.bad_cursor.
func (s *Service) ListPictures(ctx context.Context, productID uuid.UUID, limit *int32, cursor *string, total bool) (*page.Of[*commerce.ProductPicture], error) {
	clients := s.db.From(ctx).Commerce
	if ok, err := clients.Product.Query().Where(product.ID(productID)).Exist(ctx); err != nil {
		return nil, err
	} else if !ok {
		return nil, ErrProductNotFound.New()
	}
	l := page.NewList("/v1/products/"+productID.String()+"/pictures", limit)
	q := clients.ProductPicture.Query().Where(productpicture.ProductID(productID))
	out := &page.Of[*commerce.ProductPicture]{}
	if err := count(ctx, out, total, q.Clone()); err != nil {
		return nil, err
	}
	var after pictureAt
	if ok, err := s.pages.Decode(l.Name(), cursor, &after); err != nil {
		return nil, err
	} else if ok {
		q.Where(func(sel *sql.Selector) {
			sel.Where(sql.CompositeGT([]string{sel.C(productpicture.FieldPlace), sel.C(productpicture.FieldID)}, after.Place, after.ID))
		})
	}
	rows, err := q.Order(productpicture.ByPlace(), productpicture.ByID()).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(rows, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		next(s.pages, l, out, more, pictureAt{last.Place, last.ID})
	}
	return out, nil
}

// OpenPicture reads a picture by the hash of its contents. Anybody may: pictures
// of goods are for everybody, and only who was shown a link knows the hash.
// Errors: ErrPictureNotFound, timeline.ErrStorage.
func (s *Service) OpenPicture(ctx context.Context, hash string, thumbnail bool) (*commerce.ProductPicture, *blob.Reader, error) {
	found, err := s.db.From(ctx).Commerce.ProductPicture.Query().Where(productpicture.ContentHash(hash)).Order(productpicture.ByID()).Limit(1).All(auth.System(ctx, "catalog.pictures"))
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		return nil, nil, ErrPictureNotFound.New()
	}
	f, err := s.pictures.OpenPicture(found[0].ID, thumbnail)
	return found[0], f, err
}
