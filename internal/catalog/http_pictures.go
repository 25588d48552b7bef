package catalog

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListProductPictures implements listProductPictures.
func (a API) ListProductPictures(ctx context.Context, r catalogapi.ListProductPicturesRequestObject) (catalogapi.ListProductPicturesResponseObject, error) {
	found, err := a.ListPictures(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListProductPictures200JSONResponse{
		Body:    catalogapi.ProductPictureList{Items: each(found.Items, toAPIPicture), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListProductPictures200ResponseHeaders{Link: found.Link},
	}, nil
}

// AddProductPicture implements addProductPicture.
func (a API) AddProductPicture(ctx context.Context, r catalogapi.AddProductPictureRequestObject) (catalogapi.AddProductPictureResponseObject, error) {
	p, err := a.AddPicture(ctx, r.Id, r.Body)
	if err != nil {
		return nil, err
	}
	location := "/v1/products/" + r.Id.String() + "/pictures/" + p.ID.String()
	return catalogapi.AddProductPicture201JSONResponse{Body: toAPIPicture(p), Headers: catalogapi.AddProductPicture201ResponseHeaders{ETag: etag.Header(p.Version), Location: &location}}, nil
}

// UpdateProductPicture implements updateProductPicture.
func (a API) UpdateProductPicture(ctx context.Context, r catalogapi.UpdateProductPictureRequestObject) (catalogapi.UpdateProductPictureResponseObject, error) {
	p, err := a.UpdatePicture(ctx, r.Id, r.PictureId, r.Params.IfMatch, PictureChange{AltZH: r.Body.AltZh, AltEN: r.Body.AltEn, Variant: r.Body.VariantId})
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdateProductPicture200JSONResponse{Body: toAPIPicture(p), Headers: catalogapi.UpdateProductPicture200ResponseHeaders{ETag: etag.Header(p.Version)}}, nil
}

// DeleteProductPicture implements deleteProductPicture.
func (a API) DeleteProductPicture(ctx context.Context, r catalogapi.DeleteProductPictureRequestObject) (catalogapi.DeleteProductPictureResponseObject, error) {
	if err := a.DeletePicture(ctx, r.Id, r.PictureId, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return catalogapi.DeleteProductPicture204Response{}, nil
}

// OrderProductPictures implements orderProductPictures.
func (a API) OrderProductPictures(ctx context.Context, r catalogapi.OrderProductPicturesRequestObject) (catalogapi.OrderProductPicturesResponseObject, error) {
	if err := a.OrderPictures(ctx, r.Id, r.Body.PictureIds); err != nil {
		return nil, err
	}
	return catalogapi.OrderProductPictures204Response{}, nil
}

// GetPicture implements getPicture.
func (a API) GetPicture(ctx context.Context, r catalogapi.GetPictureRequestObject) (catalogapi.GetPictureResponseObject, error) {
	small := r.Params.Size != nil && *r.Params.Size == catalogapi.PictureThumbnail
	tag := `"` + r.Hash + `"`
	if small {
		tag = `"` + r.Hash + `-thumbnail"`
	}
	p, f, err := a.OpenPicture(ctx, r.Hash, small)
	if err != nil {
		return nil, err
	}
	if r.Params.IfNoneMatch != nil && strings.Contains(*r.Params.IfNoneMatch, tag) {
		return catalogapi.GetPicture304Response{}, f.Close()
	}
	return pictureContents{p, f, small, tag}, nil
}

// pictureContents is the answer that holds a picture. It never changes under its
// hash, so that anybody may keep it for good.
type pictureContents struct {
	p     *commerce.ProductPicture
	f     *blob.Reader
	small bool
	tag   string
}

// VisitGetPictureResponse implements the answer of getPicture.
func (c pictureContents) VisitGetPictureResponse(w http.ResponseWriter) error {
	defer func() { _ = c.f.Close() }()
	h := w.Header()
	h.Set("Content-Type", c.p.ContentType)
	if c.small {
		h.Set("Content-Type", "image/jpeg")
	}
	h.Set("Content-Length", strconv.FormatInt(c.f.Size(), 10))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", c.tag)
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, c.f); err != nil {
		return fmt.Errorf("picture %s: %w", c.p.ID, err)
	}
	return nil
}

func pictureURL(hash string, small bool) nullable.Nullable[string] {
	switch {
	case hash == "":
		return nullable.NewNullNullable[string]()
	case small:
		return nullable.NewNullableWithValue("/v1/pictures/" + hash + "?size=thumbnail")
	}
	return nullable.NewNullableWithValue("/v1/pictures/" + hash)
}

func toAPIPicture(p *commerce.ProductPicture) catalogapi.ProductPicture {
	variant := nullable.NewNullNullable[uuid.UUID]()
	if p.VariantID != nil {
		variant.Set(*p.VariantID)
	}
	return catalogapi.ProductPicture{
		Id: p.ID, ProductId: p.ProductID, VariantId: variant, Place: int32(p.Place), ContentHash: p.ContentHash, ContentType: p.ContentType, SizeBytes: p.SizeBytes,
		Width: int32(p.Width), Height: int32(p.Height), AltZh: p.AltZh, AltEn: p.AltEn, Url: "/v1/pictures/" + p.ContentHash, ThumbnailUrl: "/v1/pictures/" + p.ContentHash + "?size=thumbnail",
		Version: p.Version, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}
