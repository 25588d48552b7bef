package timeline

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	timelineapi "github.com/shuke-crm/shuke/api/timeline"
	"github.com/shuke-crm/shuke/ent/crm/note"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers this domain's operations.
type API struct{ *Service }

var _ timelineapi.StrictServerInterface = API{}

// ListTimeline implements listTimeline.
func (a API) ListTimeline(ctx context.Context, r timelineapi.ListTimelineRequestObject) (timelineapi.ListTimelineResponseObject, error) {
	p := r.Params
	f := TimelineFilter{After: p.OccurredAfter, Before: p.OccurredBefore}
	if p.Kind != nil {
		for _, k := range *p.Kind {
			f.Kinds = append(f.Kinds, string(k))
		}
	}
	found, err := a.Timeline(ctx, r.Id, f, p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	for _, i := range found.Items {
		if i.ActorID != nil {
			ids = append(ids, *i.ActorID)
		}
	}
	known, err := a.names(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := timelineapi.ListTimeline200JSONResponse{
		Body:    timelineapi.TimelineItemList{Items: make([]timelineapi.TimelineItem, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: timelineapi.ListTimeline200ResponseHeaders{Link: found.Link},
	}
	for n, i := range found.Items {
		item := timelineapi.TimelineItem{Id: i.ID, Kind: timelineapi.TimelineKind(i.Kind), OccurredAt: i.At.UTC(), StoreId: opt.OrNull(i.StoreID), Details: i.Details,
			Actor: nullable.NewNullNullable[timelineapi.TimelineActor]()}
		if i.ActorKind != nil {
			item.Actor.Set(toAPIActor(*i.ActorKind, i.ActorID, known))
		}
		out.Body.Items[n] = item
	}
	return out, nil
}

// ListNotes implements listNotes.
func (a API) ListNotes(ctx context.Context, r timelineapi.ListNotesRequestObject) (timelineapi.ListNotesResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListNotes(ctx, r.Id, NoteFilter{Kind: (*note.Kind)(p.Kind), Pinned: p.Pinned, AuthorID: p.AuthorId, After: p.CreatedAfter, Before: p.CreatedBefore},
		p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	known, err := a.namesOf(ctx, found.Items)
	if err != nil {
		return nil, err
	}
	out := timelineapi.ListNotes200JSONResponse{
		Body:    timelineapi.NoteList{Items: make([]timelineapi.Note, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: timelineapi.ListNotes200ResponseHeaders{Link: found.Link},
	}
	for i, n := range found.Items {
		out.Body.Items[i] = toAPINote(n, known)
	}
	return out, nil
}

// CreateNote implements createNote.
func (a API) CreateNote(ctx context.Context, r timelineapi.CreateNoteRequestObject) (timelineapi.CreateNoteResponseObject, error) {
	b := r.Body
	n, err := a.Service.CreateNote(ctx, r.Id, NoteInput{Text: &b.Text, Kind: (*note.Kind)(b.Kind), Pinned: b.Pinned, Mentions: b.Mentions})
	if err != nil {
		return nil, err
	}
	known, err := a.namesOf(ctx, []*Note{n})
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/customers/"+r.Id.String()+"/notes/"+n.ID.String(), etag.Of(n.Version)
	return timelineapi.CreateNote201JSONResponse{Body: toAPINote(n, known), Headers: timelineapi.CreateNote201ResponseHeaders{ETag: &tag, Location: &location}}, nil
}

// GetNote implements getNote.
func (a API) GetNote(ctx context.Context, r timelineapi.GetNoteRequestObject) (timelineapi.GetNoteResponseObject, error) {
	n, err := a.Note(ctx, r.Id, r.NoteId)
	if err != nil {
		return nil, err
	}
	known, err := a.namesOf(ctx, []*Note{n})
	if err != nil {
		return nil, err
	}
	tag := etag.Of(n.Version)
	return timelineapi.GetNote200JSONResponse{Body: toAPINote(n, known), Headers: timelineapi.GetNote200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateNote implements updateNote.
func (a API) UpdateNote(ctx context.Context, r timelineapi.UpdateNoteRequestObject) (timelineapi.UpdateNoteResponseObject, error) {
	b := r.Body
	n, err := a.Service.UpdateNote(ctx, r.Id, r.NoteId, r.Params.IfMatch, NoteInput{Text: b.Text, Kind: (*note.Kind)(b.Kind), Pinned: b.Pinned, Mentions: b.Mentions})
	if err != nil {
		return nil, err
	}
	known, err := a.namesOf(ctx, []*Note{n})
	if err != nil {
		return nil, err
	}
	tag := etag.Of(n.Version)
	return timelineapi.UpdateNote200JSONResponse{Body: toAPINote(n, known), Headers: timelineapi.UpdateNote200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteNote implements deleteNote.
func (a API) DeleteNote(ctx context.Context, r timelineapi.DeleteNoteRequestObject) (timelineapi.DeleteNoteResponseObject, error) {
	if err := a.Service.DeleteNote(ctx, r.Id, r.NoteId, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return timelineapi.DeleteNote204Response{}, nil
}

// ListMentions implements listMentions.
func (a API) ListMentions(ctx context.Context, r timelineapi.ListMentionsRequestObject) (timelineapi.ListMentionsResponseObject, error) {
	found, err := a.Service.ListMentions(ctx, r.Params.Seen, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	notes := make([]*Note, len(found.Items))
	for i, m := range found.Items {
		notes[i] = m.Note
	}
	known, err := a.namesOf(ctx, notes)
	if err != nil {
		return nil, err
	}
	out := timelineapi.ListMentions200JSONResponse{
		Body:    timelineapi.MentionList{Items: make([]timelineapi.Mention, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: timelineapi.ListMentions200ResponseHeaders{Link: found.Link},
	}
	for i, m := range found.Items {
		out.Body.Items[i] = timelineapi.Mention{Id: m.ID, Note: toAPINote(m.Note, known), SeenAt: opt.OrNull(utc(m.SeenAt)), CreatedAt: m.CreatedAt.UTC()}
	}
	return out, nil
}

// MarkMentionsSeen implements markMentionsSeen.
func (a API) MarkMentionsSeen(ctx context.Context, r timelineapi.MarkMentionsSeenRequestObject) (timelineapi.MarkMentionsSeenResponseObject, error) {
	n, err := a.MarkSeen(ctx, r.Body.Ids)
	if err != nil {
		return nil, err
	}
	return timelineapi.MarkMentionsSeen200JSONResponse{Marked: n}, nil
}

// namesOf reads the names of those who wrote notes or are named in them.
func (a API) namesOf(ctx context.Context, notes []*Note) (map[uuid.UUID]string, error) {
	var ids []uuid.UUID
	for _, n := range notes {
		if n.AuthorID != nil {
			ids = append(ids, *n.AuthorID)
		}
		for _, m := range n.Edges.Mentions {
			ids = append(ids, m.StaffID)
		}
	}
	return a.names(ctx, ids)
}

func toAPINote(n *Note, known map[uuid.UUID]string) timelineapi.Note {
	out := timelineapi.Note{
		Id: n.ID, CustomerId: n.CustomerID, Kind: timelineapi.NoteKind(n.Kind), Text: n.Text, Pinned: n.Pinned, Author: toAPIActor(string(n.AuthorKind), n.AuthorID, known),
		Mentions: make([]timelineapi.Mentioned, len(n.Edges.Mentions)), Version: n.Version, CreatedAt: n.CreatedAt.UTC(), UpdatedAt: n.UpdatedAt.UTC(),
	}
	for i, m := range n.Edges.Mentions {
		out.Mentions[i] = timelineapi.Mentioned{Id: m.StaffID, Name: known[m.StaffID], SeenAt: opt.OrNull(utc(m.SeenAt))}
	}
	return out
}

func toAPIActor(kind string, id *uuid.UUID, known map[uuid.UUID]string) timelineapi.TimelineActor {
	return timelineapi.TimelineActor{Kind: timelineapi.TimelineActorKind(kind), Id: opt.OrNull(id), Name: known[orNil(id)]}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
