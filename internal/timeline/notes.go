package timeline

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/note"
	"github.com/shuke-crm/shuke/ent/crm/notemention"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// tableNotes and columnText are the place that texts are bound to.
const (
	tableNotes = "notes"
	columnText = "text"
)

// Note is a note with its text in clear and its mentions.
type Note struct {
	*crm.Note
	Text string
}

// NoteInput is a note as it is to be; what is nil stays, or takes its default.
type NoteInput struct {
	Text     *string
	Kind     *note.Kind
	Pinned   *bool
	Mentions *[]uuid.UUID
}

// NoteFilter narrows a list; nil parts do not.
type NoteFilter struct {
	Kind          *note.Kind
	Pinned        *bool
	AuthorID      *uuid.UUID
	After, Before *time.Time // inclusive, exclusive
}

func openNote(key crypto.DataKey, n *crm.Note) (*Note, error) {
	plain, err := key.Derive(tableNotes, n.ID).Open(tableNotes, columnText, n.ID, n.TextSealed)
	if err != nil {
		return nil, fmt.Errorf("note %s: %w", n.ID, err)
	}
	return &Note{Note: n, Text: string(plain)}, nil
}

func withMentions(q *crm.NoteQuery) *crm.NoteQuery {
	return q.WithMentions(func(q *crm.NoteMentionQuery) { q.Order(notemention.ByID()) })
}

// position is the last row of a page.
type position struct {
	At time.Time `json:"t"`
	ID uuid.UUID `json:"i"`
}

// before is the keyset condition as a row comparison, which an index on (time,
// id) answers by one range.
func (p position) before(field string) func(*sql.Selector) {
	return func(sel *sql.Selector) {
		sel.Where(sql.P(func(b *sql.Builder) {
			b.WriteString("(" + sel.C(field) + ", " + sel.C("id") + ") < (").Arg(p.At).WriteString(", ").Arg(p.ID).WriteString(")")
		}))
	}
}

// ListNotes returns notes about a customer, the newest first. Plan:
// notes_customer_idx, or notes_pinned_idx, backwards.
// Errors: customers.ErrNotFound, request.bad_cursor.
func (s *Service) ListNotes(ctx context.Context, customerID uuid.UUID, f NoteFilter, limit *int32, cursor *string, counted bool) (*page.Of[*Note], error) {
	o, err := s.read(ctx, customerID)
	if err != nil {
		return nil, err
	}
	l := page.NewList("/v1/customers/"+customerID.String()+"/notes", limit)
	q := s.DB.From(ctx).CRM.Note.Query().Where(note.CustomerID(customerID))
	if f.Kind != nil {
		l.Filters.Set("kind", string(*f.Kind))
		q.Where(note.KindEQ(*f.Kind))
	}
	if f.Pinned != nil {
		l.Filters.Set("pinned", strconv.FormatBool(*f.Pinned))
		q.Where(note.Pinned(*f.Pinned))
	}
	if f.AuthorID != nil {
		l.Filters.Set("author_id", f.AuthorID.String())
		q.Where(note.AuthorID(*f.AuthorID))
	}
	if f.After != nil {
		l.Filters.Set("created_after", timeParam(*f.After))
		q.Where(note.CreatedAtGTE(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("created_before", timeParam(*f.Before))
		q.Where(note.CreatedAtLT(*f.Before))
	}
	out := &page.Of[*Note]{}
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
		q.Where(at.before(note.FieldCreatedAt))
	}
	rows, err := withMentions(q).Order(note.ByCreatedAt(sql.OrderDesc()), note.ByID(sql.OrderDesc())).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.Limit)
	for _, row := range rows {
		n, err := openNote(o.key, row)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, n)
	}
	if more {
		last := rows[len(rows)-1]
		out.Next, out.Link = l.After(s.Pages, position{last.CreatedAt, last.ID})
	}
	return out, nil
}

// Note reads a note about a customer.
// Errors: customers.ErrNotFound, ErrNoteNotFound.
func (s *Service) Note(ctx context.Context, customerID, id uuid.UUID) (*Note, error) {
	o, err := s.read(ctx, customerID)
	if err != nil {
		return nil, err
	}
	row, err := withMentions(s.DB.From(ctx).CRM.Note.Query().Where(note.ID(id), note.CustomerID(customerID))).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrNoteNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return openNote(o.key, row)
}

// CreateNote writes a note about a customer.
// Errors: customers.ErrNotFound, customers.ErrArchived, ErrBlank, ErrMention.
func (s *Service) CreateNote(ctx context.Context, customerID uuid.UUID, in NoteInput) (*Note, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	readers, err := s.readers(ctx, in.Mentions)
	if err != nil {
		return nil, err
	}
	var made *Note
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, err := s.lock(ctx, tx, customerID)
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		kind, by := author(ctx)
		create := tx.CRM.Note.Create().SetID(id).SetCustomerID(o.ID).SetNillableStoreID(o.HomeStoreID).SetNillableAssignedStaffID(o.AssignedStaffID).
			SetAuthorKind(note.AuthorKind(kind)).SetNillableAuthorID(by).SetNillableKind(in.Kind).SetNillablePinned(in.Pinned).SetCreatedAt(now).SetUpdatedAt(now)
		sealed, err := sealText(o.key, id, *in.Text)
		if err != nil {
			return err
		}
		row, err := create.SetTextSealed(sealed).Save(ctx)
		if err != nil {
			return fmt.Errorf("write a note: %w", err)
		}
		var asked []uuid.UUID
		if in.Mentions != nil {
			if asked, err = mention(ctx, tx, o, row, *in.Mentions, readers, now); err != nil {
				return err
			}
		}
		if made, err = openNote(o.key, row); err != nil {
			return err
		}
		s.noted(ctx, tx, eventNoteCreated, "notes.create", o, row, nil, asked)
		return nil
	})
	return made, err
}

// Tell leaves a note of the system's about a customer that names a member of
// staff, if they may read it.
// Errors: customers.ErrNotFound, customers.ErrArchived.
func (s *Service) Tell(ctx context.Context, customerID, staffID uuid.UUID, text string) error {
	ctx = auth.System(ctx, "timeline.tell")
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, err := s.lock(ctx, tx, customerID)
		if err != nil {
			return err
		}
		in := NoteInput{Text: &text, Mentions: &[]uuid.UUID{staffID}}
		readers, err := s.readers(ctx, in.Mentions)
		if err != nil {
			return err
		}
		if reach, ok := readers[staffID]; !ok || !reach.Sees(orNil(o.HomeStoreID), orNil(o.AssignedStaffID)) {
			in.Mentions = nil
		}
		_, err = s.CreateNote(ctx, customerID, in)
		return err
	})
}

// UpdateNote changes a note.
// Errors: those of CreateNote, ErrNoteNotFound, ErrNotYours, request.version_mismatch.
func (s *Service) UpdateNote(ctx context.Context, customerID, id uuid.UUID, ifMatch *string, in NoteInput) (*Note, error) {
	readers, err := s.readers(ctx, in.Mentions)
	if err != nil {
		return nil, err
	}
	var changed *Note
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, row, err := s.lockNote(ctx, tx, customerID, id, ifMatch)
		if err != nil {
			return err
		}
		before, err := openNote(o.key, row)
		if err != nil {
			return err
		}
		now := s.Clock.Now()
		u := tx.CRM.Note.UpdateOne(row)
		var fields []string
		if in.Text != nil && strings.TrimSpace(*in.Text) != before.Text {
			sealed, err := sealText(o.key, id, *in.Text)
			if err != nil {
				return err
			}
			u.SetTextSealed(sealed)
			fields = append(fields, "text")
		}
		if in.Kind != nil && *in.Kind != row.Kind {
			u.SetKind(*in.Kind)
			fields = append(fields, "kind")
		}
		if in.Pinned != nil && *in.Pinned != row.Pinned {
			u.SetPinned(*in.Pinned)
			fields = append(fields, "pinned")
		}
		mentions := row.Edges.Mentions
		var asked []uuid.UUID
		if in.Mentions != nil && !sameMentions(mentions, *in.Mentions) {
			if asked, err = mention(ctx, tx, o, row, *in.Mentions, readers, now); err != nil {
				return err
			}
			mentions = row.Edges.Mentions
			fields = append(fields, "mentions")
		}
		if len(fields) == 0 {
			changed = before
			return nil
		}
		after, err := u.AddVersion(1).SetUpdatedAt(now).Save(ctx)
		if err != nil {
			return fmt.Errorf("change a note: %w", err)
		}
		after.Edges.Mentions = mentions
		if changed, err = openNote(o.key, after); err != nil {
			return err
		}
		s.noted(ctx, tx, eventNoteUpdated, "notes.update", o, after, fields, asked)
		return nil
	})
	return changed, err
}

// DeleteNote removes a note for good.
// Errors: customers.ErrNotFound, customers.ErrArchived, ErrNoteNotFound,
// ErrNotYours, request.version_mismatch.
func (s *Service) DeleteNote(ctx context.Context, customerID, id uuid.UUID, ifMatch *string) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		o, row, err := s.lockNote(ctx, tx, customerID, id, ifMatch)
		if err != nil {
			return err
		}
		if err := tx.CRM.Note.DeleteOne(row).Exec(ctx); err != nil {
			return fmt.Errorf("delete a note: %w", err)
		}
		s.noted(ctx, tx, eventNoteDeleted, "notes.delete", o, row, nil, nil)
		return nil
	})
}

// lockNote reads a note for a change by the actor.
func (s *Service) lockNote(ctx context.Context, tx *db.Tx, customerID, id uuid.UUID, ifMatch *string) (*owner, *crm.Note, error) {
	o, err := s.lock(ctx, tx, customerID)
	if err != nil {
		return nil, nil, err
	}
	row, err := withMentions(tx.CRM.Note.Query().Where(note.ID(id), note.CustomerID(customerID)).ForUpdate()).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, nil, ErrNoteNotFound.New()
	}
	if err != nil {
		return nil, nil, err
	}
	if !mayChange(ctx, string(row.AuthorKind), row.AuthorID, o) {
		return nil, nil, ErrNotYours.New()
	}
	return o, row, etag.Check(ifMatch, row.Version)
}

func sealText(key crypto.DataKey, id uuid.UUID, text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }) {
		return nil, ErrBlank.At("/text")
	}
	return key.Derive(tableNotes, id).Seal(tableNotes, columnText, id, []byte(text)), nil
}

func sameMentions(have []*crm.NoteMention, want []uuid.UUID) bool {
	return !slices.ContainsFunc(have, func(m *crm.NoteMention) bool { return !slices.Contains(want, m.StaffID) }) &&
		!slices.ContainsFunc(want, func(id uuid.UUID) bool {
			return !slices.ContainsFunc(have, func(m *crm.NoteMention) bool { return m.StaffID == id })
		})
}

// readers are how far those of some people who are active see notes, whose ids
// are missing for the others. It is worked out for each of the few one by one,
// as for requests: who stands in for whom, grants of regions and when they end
// have one place in the code.
func (s *Service) readers(ctx context.Context, people *[]uuid.UUID) (map[uuid.UUID]auth.Scope, error) {
	if people == nil {
		return nil, nil
	}
	out := make(map[uuid.UUID]auth.Scope, len(*people))
	for _, id := range *people {
		reader, err := s.Current(ctx, string(auth.KindStaff)+":"+id.String())
		switch {
		case apperr.ErrForbidden.Is(err):
		case err != nil:
			return nil, err
		case reader.Can(auth.NotesRead):
			out[id] = reader.ScopeOf(auth.NotesRead)
		}
	}
	return out, nil
}

// mention makes a note name these people, and leaves it with its mentions. Who
// was named before stays named, with what they have seen. It returns those who
// are named anew.
func mention(ctx context.Context, tx *db.Tx, o *owner, n *crm.Note, people []uuid.UUID, readers map[uuid.UUID]auth.Scope, now time.Time) (asked []uuid.UUID, err error) {
	var keep, gone []*crm.NoteMention
	for _, m := range n.Edges.Mentions {
		if slices.Contains(people, m.StaffID) {
			keep = append(keep, m)
		} else {
			gone = append(gone, m)
		}
	}
	for _, m := range gone {
		if err := tx.CRM.NoteMention.DeleteOne(m).Exec(ctx); err != nil {
			return nil, fmt.Errorf("take a mention back: %w", err)
		}
	}
	var create []*crm.NoteMentionCreate
	for i, id := range people {
		if slices.Contains(people[:i], id) || slices.ContainsFunc(keep, func(m *crm.NoteMention) bool { return m.StaffID == id }) {
			continue
		}
		if reach, ok := readers[id]; !ok || !reach.Sees(orNil(o.HomeStoreID), orNil(o.AssignedStaffID)) {
			return nil, ErrMention.At("/mentions/" + strconv.Itoa(i))
		}
		mid, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		create = append(create, tx.CRM.NoteMention.Create().SetID(mid).SetNoteID(n.ID).SetStaffID(id).SetCreatedAt(now))
		asked = append(asked, id)
	}
	made, err := tx.CRM.NoteMention.CreateBulk(create...).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("mention somebody: %w", err)
	}
	n.Edges.Mentions = append(keep, made...)
	return asked, nil
}

// noteEvent is the payload of events of notes.
type noteEvent struct {
	CustomerID uuid.UUID   `json:"customer_id"`
	Fields     []string    `json:"fields,omitempty"`
	Mentioned  []uuid.UUID `json:"mentioned,omitempty"` // named anew
}

func (s *Service) noted(ctx context.Context, tx *db.Tx, event, action string, o *owner, n *crm.Note, fields []string, asked []uuid.UUID) {
	changes := map[string]any{"customer_id": o.ID, "kind": n.Kind}
	if len(fields) > 0 {
		changes["fields"] = fields
	}
	if len(asked) > 0 {
		changes["mentioned"] = asked
	}
	audit.Record(ctx, tx, audit.Entry{Action: action, ObjectType: "note", ObjectID: n.ID.String(), StoreID: o.HomeStoreID, StaffID: o.AssignedStaffID, Changes: changes})
	events.Emit(tx, events.Event{Type: event, SubjectType: "note", SubjectID: n.ID, StoreID: o.HomeStoreID,
		Payload: noteEvent{CustomerID: o.ID, Fields: fields, Mentioned: asked}})
}
