package timeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/attachment"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// tableAttachments and the columns are the places that sealed texts are bound to.
const (
	tableAttachments = "attachments"
	columnCaption    = "caption"
	columnFileName   = "file_name"
	columnFileKey    = "file_key"
)

// Longest texts of an attachment, in characters.
const (
	maxCaption  = 500
	maxFileName = 200
)

// Attachment is an attachment with its texts in clear.
type Attachment struct {
	*crm.Attachment
	Caption, FileName string
}

// Picture reports whether there is a thumbnail.
func (a *Attachment) Picture() bool { return a.Width != nil }

// Variant is what of an attachment is asked for.
type Variant byte

// Variants.
const (
	Whole     Variant = 'f'
	Thumbnail Variant = 't'
)

// objectName is where the contents of an attachment lie.
func objectName(id uuid.UUID, v Variant) string {
	if v == Thumbnail {
		return "thumbnails/" + id.String()
	}
	return "attachments/" + id.String()
}

func openAttachment(key crypto.DataKey, row *crm.Attachment) (*Attachment, error) {
	a := &Attachment{Attachment: row}
	key = key.Derive(tableAttachments, row.ID)
	for column, f := range map[string]struct {
		sealed []byte
		to     *string
	}{columnCaption: {row.CaptionSealed, &a.Caption}, columnFileName: {row.FileNameSealed, &a.FileName}} {
		if len(f.sealed) == 0 {
			continue
		}
		plain, err := key.Open(tableAttachments, column, row.ID, f.sealed)
		if err != nil {
			return nil, fmt.Errorf("attachment %s: %s: %w", row.ID, column, err)
		}
		*f.to = string(plain)
	}
	return a, nil
}

// AttachmentFilter narrows a list; nil parts do not.
type AttachmentFilter struct {
	Kind          *attachment.Kind
	After, Before *time.Time // inclusive, exclusive
}

// ListAttachments returns what is attached to a customer, the newest first.
// Plan: attachments_customer_idx backwards.
// Errors: customers.ErrNotFound, request.bad_cursor.
func (s *Service) ListAttachments(ctx context.Context, customerID uuid.UUID, f AttachmentFilter, limit *int32, cursor *string, counted bool) (*page.Of[*Attachment], error) {
	o, err := s.read(ctx, customerID)
	if err != nil {
		return nil, err
	}
	l := page.NewList("/v1/customers/"+customerID.String()+"/attachments", limit)
	q := s.DB.From(ctx).CRM.Attachment.Query().Where(attachment.CustomerID(customerID))
	if f.Kind != nil {
		l.Filters.Set("kind", string(*f.Kind))
		q.Where(attachment.KindEQ(*f.Kind))
	}
	if f.After != nil {
		l.Filters.Set("created_after", timeParam(*f.After))
		q.Where(attachment.CreatedAtGTE(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("created_before", timeParam(*f.Before))
		q.Where(attachment.CreatedAtLT(*f.Before))
	}
	out := &page.Of[*Attachment]{}
	if counted {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return nil, err
		}
		wide := int64(n)
		out.Total = &wide
	}
	var at position
	if ok, err := s.Pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		q.Where(at.before(attachment.FieldCreatedAt))
	}
	rows, err := q.Order(attachment.ByCreatedAt(sql.OrderDesc()), attachment.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	for _, row := range rows {
		a, err := openAttachment(o.key, row)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, a)
	}
	if more {
		last := rows[len(rows)-1]
		out.Next, out.Link = l.After(s.Pages, position{last.CreatedAt, last.ID})
	}
	return out, nil
}

// attachmentOf reads an attachment of a customer.
// Errors: customers.ErrNotFound, ErrAttachmentNotFound.
func (s *Service) attachmentOf(ctx context.Context, customerID, id uuid.UUID) (*owner, *Attachment, error) {
	o, err := s.read(ctx, customerID)
	if err != nil {
		return nil, nil, err
	}
	row, err := s.DB.From(ctx).CRM.Attachment.Query().Where(attachment.ID(id), attachment.CustomerID(customerID)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil, ErrAttachmentNotFound.New()
	}
	if err != nil {
		return nil, nil, err
	}
	a, err := openAttachment(o.key, row)
	return o, a, err
}

// Attachment reads an attachment of a customer.
// Errors: customers.ErrNotFound, ErrAttachmentNotFound.
func (s *Service) Attachment(ctx context.Context, customerID, id uuid.UUID) (*Attachment, error) {
	_, a, err := s.attachmentOf(ctx, customerID, id)
	return a, err
}

// Upload is what came with a file.
type Upload struct {
	Kind     attachment.Kind
	Caption  string
	fileName string
	contents []byte
	got      bool
}

// receive reads the parts of an upload. The file is kept in memory: it is at
// most as large as a picture may be, and looked at whole.
func (s *Service) receive(parts *multipart.Reader) (*Upload, error) {
	up := &Upload{Kind: attachment.KindOther}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, unreadable(err)
		}
		name, limit := part.FormName(), int64(maxCaption*utf8.UTFMax)
		if name == "file" {
			limit = s.Limits.Bytes
		}
		raw, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return nil, unreadable(err)
		}
		switch {
		case name == "file" && up.got:
			return nil, ErrFilePart.At("/file")
		case name == "file" && int64(len(raw)) > limit:
			e := ErrFileSize.At("/file")
			return nil, e.Arg("max", limit)
		case name == "file":
			up.got, up.contents, up.fileName = true, raw, fileName(part.FileName())
		case name == "kind" && attachment.KindValidator(attachment.Kind(raw)) == nil:
			up.Kind = attachment.Kind(raw)
		case name == "caption":
			if up.Caption, err = caption(string(raw)); err != nil {
				return nil, err
			}
		default:
			return nil, ErrPart.At("/" + name)
		}
	}
	if !up.got {
		return nil, ErrFilePart.At("/file")
	}
	return up, nil
}

// unreadable tells an upload that is too large from one that broke off.
func unreadable(err error) error {
	if e := apperr.From(err); e != nil {
		return e
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return apperr.ErrTooLarge.New().Arg("limit", large.Limit)
	}
	return apperr.ErrMalformed.Wrap(err)
}

func caption(text string) (string, error) {
	if text = strings.TrimSpace(text); !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxCaption || strings.ContainsRune(text, 0) {
		return "", ErrCaption.At("/caption").Arg("max", maxCaption)
	}
	return text, nil
}

// fileName is what people see again, without a path and characters that fool.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError || strings.ContainsRune(`"\/<>:|?*`, r) {
			return -1
		}
		return r
	}, filepath.Base(strings.ReplaceAll(name, `\`, "/")))
	if runes := []rune(name); len(runes) > maxFileName {
		name = string(runes[:maxFileName])
	}
	return strings.TrimLeft(strings.TrimSpace(name), ".")
}

// Attach keeps a file about a customer.
//
// The contents are written before the row: a note in file_removals, made first
// and taken back with the row, has them removed should the row never come.
//
// Errors: customers.ErrNotFound, customers.ErrArchived, those of the upload and
// of its contents.
func (s *Service) Attach(ctx context.Context, customerID uuid.UUID, parts *multipart.Reader) (*Attachment, error) {
	if o, err := s.read(ctx, customerID); err != nil {
		return nil, err
	} else if o.ArchivedAt != nil {
		return nil, customers.ErrArchived.New()
	}
	up, err := s.receive(parts)
	if err != nil {
		return nil, err
	}
	file, err := s.inspect(ctx, up.contents)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	now := s.Clock.Now()
	objects := []string{objectName(id, Whole)}
	if file.thumbnail != nil {
		objects = append(objects, objectName(id, Thumbnail))
	}
	if err := s.plan(ctx, objects, now.Add(uploadTime)); err != nil {
		return nil, err
	}
	key, secret := crypto.NewContentKey()
	for i, content := range [][]byte{file.content, file.thumbnail}[:len(objects)] {
		if err := s.store(objects[i], key, content); err != nil {
			return nil, err
		}
	}
	var made *Attachment
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, err := s.lock(ctx, tx, customerID)
		if err != nil {
			return err
		}
		if err := keep(ctx, tx, objects); err != nil {
			return err
		}
		own := o.key.Derive(tableAttachments, id)
		kind, by := author(ctx)
		create := tx.CRM.Attachment.Create().SetID(id).SetCustomerID(o.ID).SetNillableStoreID(o.HomeStoreID).SetNillableAssignedStaffID(o.AssignedStaffID).
			SetKind(up.Kind).SetContentType(file.contentType).SetSizeBytes(int64(len(file.content))).SetNillableWidth(file.width).SetNillableHeight(file.height).
			SetFileKeySealed(own.Seal(tableAttachments, columnFileKey, id, secret)).
			SetAuthorKind(attachment.AuthorKind(kind)).SetNillableAuthorID(by).SetCreatedAt(now).SetUpdatedAt(now)
		if up.Caption != "" {
			create.SetCaptionSealed(own.Seal(tableAttachments, columnCaption, id, []byte(up.Caption)))
		}
		if up.fileName != "" {
			create.SetFileNameSealed(own.Seal(tableAttachments, columnFileName, id, []byte(up.fileName)))
		}
		row, err := create.Save(ctx)
		if err != nil {
			return fmt.Errorf("write an attachment: %w", err)
		}
		attached(ctx, tx, eventAttachmentCreated, "attachments.create", o, row, nil)
		made, err = openAttachment(o.key, row)
		return err
	})
	if err != nil {
		s.removeSoon(ctx, objects)
	}
	return made, err
}

func (s *Service) store(name string, key crypto.DataKey, content []byte) error {
	w, err := s.Files.CreateWith(name, key)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return ErrStorage.Wrap(err)
	}
	return nil
}

// AttachmentInput is how an attachment is to be changed; what is nil or not
// specified stays.
type AttachmentInput struct {
	Kind    *attachment.Kind
	Caption nullable.Nullable[string]
}

// UpdateAttachment changes what is said about a file.
// Errors: those of Attachment, customers.ErrArchived, ErrNotYours, ErrCaption,
// request.version_mismatch.
func (s *Service) UpdateAttachment(ctx context.Context, customerID, id uuid.UUID, ifMatch *string, in AttachmentInput) (*Attachment, error) {
	var changed *Attachment
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, row, err := s.lockAttachment(ctx, tx, customerID, id, ifMatch)
		if err != nil {
			return err
		}
		if changed, err = openAttachment(o.key, row); err != nil {
			return err
		}
		u := tx.CRM.Attachment.UpdateOne(row)
		var fields []string
		if in.Kind != nil && *in.Kind != row.Kind {
			u.SetKind(*in.Kind)
			fields = append(fields, "kind")
		}
		if in.Caption.IsSpecified() {
			text := ""
			if v, err := in.Caption.Get(); err == nil {
				if text, err = caption(v); err != nil {
					return err
				}
			}
			if text != changed.Caption {
				if text == "" {
					u.ClearCaptionSealed()
				} else {
					u.SetCaptionSealed(o.key.Derive(tableAttachments, id).Seal(tableAttachments, columnCaption, id, []byte(text)))
				}
				fields = append(fields, "caption")
			}
		}
		if len(fields) == 0 {
			return nil
		}
		after, err := u.AddVersion(1).SetUpdatedAt(s.Clock.Now()).Save(ctx)
		if err != nil {
			return fmt.Errorf("change an attachment: %w", err)
		}
		attached(ctx, tx, eventAttachmentUpdated, "attachments.update", o, after, fields)
		changed, err = openAttachment(o.key, after)
		return err
	})
	return changed, err
}

// DeleteAttachment removes an attachment, and its contents after the commit.
// Errors: those of Attachment, customers.ErrArchived, ErrNotYours,
// request.version_mismatch.
func (s *Service) DeleteAttachment(ctx context.Context, customerID, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, row, err := s.lockAttachment(ctx, tx, customerID, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.CRM.Attachment.DeleteOne(row).Exec(ctx); err != nil {
			return fmt.Errorf("delete an attachment: %w", err)
		}
		objects := []string{objectName(id, Whole)}
		if row.Width != nil {
			objects = append(objects, objectName(id, Thumbnail))
		}
		if err := planIn(ctx, tx, objects, s.Clock.Now()); err != nil {
			return err
		}
		tx.AfterCommit(func(ctx context.Context) { s.removeNow(ctx, objects) })
		attached(ctx, tx, eventAttachmentDeleted, "attachments.delete", o, row, nil)
		return nil
	})
}

// lockAttachment reads an attachment for a change by the actor.
func (s *Service) lockAttachment(ctx context.Context, tx *db.Tx, customerID, id uuid.UUID, ifMatch *string) (*owner, *crm.Attachment, error) {
	o, err := s.lock(ctx, tx, customerID)
	if err != nil {
		return nil, nil, err
	}
	row, err := tx.CRM.Attachment.Query().Where(attachment.ID(id), attachment.CustomerID(customerID)).ForUpdate().Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil, ErrAttachmentNotFound.New()
	}
	if err != nil {
		return nil, nil, err
	}
	if !mayChange(ctx, string(row.AuthorKind), row.AuthorID, o) {
		return nil, nil, ErrNotYours.New()
	}
	return o, row, etag.Check(ifMatch, row.Version)
}

// OpenFile reads the contents of an attachment, or its thumbnail.
// Errors: those of Attachment, ErrNoThumbnail, ErrStorage.
func (s *Service) OpenFile(ctx context.Context, customerID, id uuid.UUID, v Variant) (*Attachment, *blob.Reader, error) {
	o, a, err := s.attachmentOf(ctx, customerID, id)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.openFile(o.key, a, v)
	return a, f, err
}

func (s *Service) openFile(key crypto.DataKey, a *Attachment, v Variant) (*blob.Reader, error) {
	if v == Thumbnail && !a.Picture() {
		return nil, ErrNoThumbnail.New()
	}
	secret, err := key.Derive(tableAttachments, a.ID).Open(tableAttachments, columnFileKey, a.ID, a.FileKeySealed)
	if err != nil {
		return nil, fmt.Errorf("attachment %s: %w", a.ID, err)
	}
	own, err := crypto.ContentKey(secret)
	if err != nil {
		return nil, err
	}
	f, err := s.Files.OpenWith(objectName(a.ID, v), own)
	if errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDamaged) {
		return nil, fmt.Errorf("attachment %s: %w", a.ID, err) // a row without its file is our fault
	}
	if err != nil {
		return nil, ErrStorage.Wrap(err)
	}
	return f, nil
}

// attachmentEvent is the payload of events of attachments.
type attachmentEvent struct {
	CustomerID uuid.UUID       `json:"customer_id"`
	Kind       attachment.Kind `json:"kind"`
	Fields     []string        `json:"fields,omitempty"`
}

func attached(ctx context.Context, tx *db.Tx, event, action string, o *owner, a *crm.Attachment, fields []string) {
	changes := map[string]any{"customer_id": o.ID, "kind": a.Kind, "content_type": a.ContentType, "size_bytes": json.Number(fmt.Sprint(a.SizeBytes))}
	if len(fields) > 0 {
		changes["fields"] = fields
	}
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "attachment", ObjectID: a.ID.String(), StoreID: o.HomeStoreID, StaffID: o.AssignedStaffID, Changes: changes})
	events.Emit(tx, events.Event{Type: event, SubjectType: "attachment", SubjectID: a.ID, StoreID: o.HomeStoreID,
		Payload: attachmentEvent{CustomerID: o.ID, Kind: a.Kind, Fields: fields}})
}
