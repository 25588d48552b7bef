package timeline

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	timelineapi "github.com/shuke-crm/shuke/api/timeline"
	"github.com/shuke-crm/shuke/ent/crm/attachment"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListAttachments implements listAttachments.
func (a API) ListAttachments(ctx context.Context, r timelineapi.ListAttachmentsRequestObject) (timelineapi.ListAttachmentsResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListAttachments(ctx, r.Id, AttachmentFilter{Kind: (*attachment.Kind)(p.Kind), After: p.CreatedAfter, Before: p.CreatedBefore}, p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	items, err := a.toAPIAttachments(ctx, found.Items...)
	if err != nil {
		return nil, err
	}
	return timelineapi.ListAttachments200JSONResponse{
		Body:    timelineapi.AttachmentList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: timelineapi.ListAttachments200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateAttachment implements createAttachment.
func (a API) CreateAttachment(ctx context.Context, r timelineapi.CreateAttachmentRequestObject) (timelineapi.CreateAttachmentResponseObject, error) {
	made, err := a.Attach(ctx, r.Id, r.Body)
	if err != nil {
		return nil, err
	}
	out, err := a.toAPIAttachments(ctx, made)
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/customers/"+r.Id.String()+"/attachments/"+made.ID.String(), etag.Of(made.Version)
	return timelineapi.CreateAttachment201JSONResponse{Body: out[0], Headers: timelineapi.CreateAttachment201ResponseHeaders{ETag: &tag, Location: &location}}, nil
}

// GetAttachment implements getAttachment.
func (a API) GetAttachment(ctx context.Context, r timelineapi.GetAttachmentRequestObject) (timelineapi.GetAttachmentResponseObject, error) {
	found, err := a.Attachment(ctx, r.Id, r.AttachmentId)
	if err != nil {
		return nil, err
	}
	out, err := a.toAPIAttachments(ctx, found)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(found.Version)
	return timelineapi.GetAttachment200JSONResponse{Body: out[0], Headers: timelineapi.GetAttachment200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateAttachment implements updateAttachment.
func (a API) UpdateAttachment(ctx context.Context, r timelineapi.UpdateAttachmentRequestObject) (timelineapi.UpdateAttachmentResponseObject, error) {
	changed, err := a.Service.UpdateAttachment(ctx, r.Id, r.AttachmentId, r.Params.IfMatch, AttachmentInput{Kind: (*attachment.Kind)(r.Body.Kind), Caption: r.Body.Caption})
	if err != nil {
		return nil, err
	}
	out, err := a.toAPIAttachments(ctx, changed)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(changed.Version)
	return timelineapi.UpdateAttachment200JSONResponse{Body: out[0], Headers: timelineapi.UpdateAttachment200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteAttachment implements deleteAttachment.
func (a API) DeleteAttachment(ctx context.Context, r timelineapi.DeleteAttachmentRequestObject) (timelineapi.DeleteAttachmentResponseObject, error) {
	if err := a.Service.DeleteAttachment(ctx, r.Id, r.AttachmentId, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return timelineapi.DeleteAttachment204Response{}, nil
}

// GetAttachmentFile implements getAttachmentFile.
func (a API) GetAttachmentFile(ctx context.Context, r timelineapi.GetAttachmentFileRequestObject) (timelineapi.GetAttachmentFileResponseObject, error) {
	found, f, err := a.OpenFile(ctx, r.Id, r.AttachmentId, Whole)
	if err != nil {
		return nil, err
	}
	return contents{a: found, f: f, variant: Whole}, nil
}

// GetAttachmentThumbnail implements getAttachmentThumbnail.
func (a API) GetAttachmentThumbnail(ctx context.Context, r timelineapi.GetAttachmentThumbnailRequestObject) (timelineapi.GetAttachmentThumbnailResponseObject, error) {
	found, f, err := a.OpenFile(ctx, r.Id, r.AttachmentId, Thumbnail)
	if err != nil {
		return nil, err
	}
	return contents{a: found, f: f, variant: Thumbnail}, nil
}

// GetLinkedFile implements getLinkedFile.
func (a API) GetLinkedFile(ctx context.Context, r timelineapi.GetLinkedFileRequestObject) (timelineapi.GetLinkedFileResponseObject, error) {
	found, f, v, ends, err := a.OpenLink(ctx, r.Link)
	if err != nil {
		return nil, err
	}
	return contents{a: found, f: f, variant: v, fresh: ends.Sub(a.Clock.Now())}, nil
}

// contents is the answer that holds a file: its type is the one found out when
// it came, and a browser is told to believe nothing else.
type contents struct {
	a       *Attachment
	f       *blob.Reader
	variant Variant
	fresh   time.Duration // how long a browser may keep it; zero: not at all
}

func (c contents) send(w http.ResponseWriter) error {
	defer func() { _ = c.f.Close() }()
	h := w.Header()
	kind, name, how := c.a.ContentType, c.a.FileName, "attachment"
	if c.variant == Thumbnail {
		kind, name = "image/jpeg", "thumbnail.jpg"
	}
	if c.a.Picture() {
		how = "inline"
	}
	if name == "" {
		name = c.a.ID.String()
	}
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.FormatInt(c.f.Size(), 10))
	h.Set("Content-Disposition", mime.FormatMediaType(how, map[string]string{"filename": name}))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Cache-Control", "private, no-store")
	if c.fresh > 0 {
		h.Set("Cache-Control", "private, immutable, max-age="+strconv.Itoa(int(c.fresh.Seconds())))
	}
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, c.f); err != nil {
		return fmt.Errorf("attachment %s: %w", c.a.ID, err)
	}
	return nil
}

// VisitGetAttachmentFileResponse implements the answer of getAttachmentFile.
func (c contents) VisitGetAttachmentFileResponse(w http.ResponseWriter) error { return c.send(w) }

// VisitGetAttachmentThumbnailResponse implements the answer of getAttachmentThumbnail.
func (c contents) VisitGetAttachmentThumbnailResponse(w http.ResponseWriter) error { return c.send(w) }

// VisitGetLinkedFileResponse implements the answer of getLinkedFile.
func (c contents) VisitGetLinkedFileResponse(w http.ResponseWriter) error { return c.send(w) }

func (a API) toAPIAttachments(ctx context.Context, all ...*Attachment) ([]timelineapi.Attachment, error) {
	var ids []uuid.UUID
	for _, f := range all {
		if f.AuthorID != nil {
			ids = append(ids, *f.AuthorID)
		}
	}
	known, err := a.names(ctx, ids)
	if err != nil {
		return nil, err
	}
	ends := a.linksEnd()
	out := make([]timelineapi.Attachment, len(all))
	for i, f := range all {
		one := timelineapi.Attachment{
			Id: f.ID, CustomerId: f.CustomerID, Kind: timelineapi.AttachmentKind(f.Kind), Caption: textOrNull(f.Caption), FileName: textOrNull(f.FileName),
			ContentType: f.ContentType, SizeBytes: f.SizeBytes, Width: narrow(f.Width), Height: narrow(f.Height), Author: toAPIActor(string(f.AuthorKind), f.AuthorID, known),
			Url: "/v1/files/" + a.link(f.ID, Whole, ends), ThumbnailUrl: nullable.NewNullNullable[string](), UrlsExpireAt: ends,
			Version: f.Version, CreatedAt: f.CreatedAt.UTC(), UpdatedAt: f.UpdatedAt.UTC(),
		}
		if f.Picture() {
			one.ThumbnailUrl.Set("/v1/files/" + a.link(f.ID, Thumbnail, ends))
		}
		out[i] = one
	}
	return out, nil
}

func textOrNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

func narrow(n *int) nullable.Nullable[int32] {
	if n == nil {
		return nullable.NewNullNullable[int32]()
	}
	return nullable.NewNullableWithValue(int32(*n))
}
