package timeline

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/note"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// Mention is a note that names the actor.
type Mention struct {
	ID        uuid.UUID
	Note      *Note
	SeenAt    *time.Time
	CreatedAt time.Time

	noteID uuid.UUID
}

// ListMentions returns notes of the caller's scope that mention them, the
// newest mention first.
// Error: request.bad_cursor.
func (s *Service) ListMentions(ctx context.Context, seen *bool, limit *int32, cursor *string, counted bool) (*page.Of[*Mention], error) {
	l := page.NewList("/v1/me/mentions", limit)
	if seen != nil {
		l.Filters.Set("seen", strconv.FormatBool(*seen))
	}
	var after *uuid.UUID
	var at uuid.UUID
	if ok, err := s.Pages.Decode(l.Name(), cursor, &at); err != nil {
		return nil, err
	} else if ok {
		after = &at
	}
	out := &page.Of[*Mention]{}
	if auth.Must(ctx).Kind != auth.KindStaff {
		if counted {
			out.Total = new(int64)
		}
		return out, nil
	}
	if counted {
		n, err := s.countMentions(ctx, seen)
		if err != nil {
			return nil, err
		}
		out.Total = &n
	}
	found, err := s.mentions(ctx, seen, after, l.Limit+1)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(found, l.Limit); more {
		out.Next, out.Link = l.After(s.Pages, out.Items[len(out.Items)-1].ID)
	}
	return out, s.fillMentions(ctx, out.Items)
}

// fillMentions reads the notes of mentions, whom the caller may see.
func (s *Service) fillMentions(ctx context.Context, all []*Mention) error {
	if len(all) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(all))
	for i, m := range all {
		ids[i] = m.noteID
	}
	c := s.DB.From(ctx).CRM
	rows, err := withMentions(c.Note.Query().Where(note.IDIn(ids...))).All(ctx)
	if err != nil {
		return err
	}
	owners := make([]uuid.UUID, len(rows))
	for i, n := range rows {
		owners[i] = n.CustomerID
	}
	people, err := c.Customer.Query().Where(customer.IDIn(owners...)).Select(customer.FieldID, customer.FieldDataKey).All(ctx)
	if err != nil {
		return err
	}
	keys := make(map[uuid.UUID]crypto.DataKey, len(people))
	for _, p := range people {
		if keys[p.ID], err = s.Keys.UnwrapDataKey(p.ID, p.DataKey); err != nil {
			return err
		}
	}
	notes := make(map[uuid.UUID]*Note, len(rows))
	for _, n := range rows {
		if notes[n.ID], err = openNote(keys[n.CustomerID], n); err != nil {
			return err
		}
	}
	for _, m := range all {
		if m.Note = notes[m.noteID]; m.Note == nil {
			return db.ErrAgain // deleted, or out of reach, a moment ago
		}
	}
	return nil
}

// MarkSeen marks mentions of the caller as seen, all of them for nil, and says
// how many were not.
func (s *Service) MarkSeen(ctx context.Context, ids *[]uuid.UUID) (marked int64, err error) {
	actor := auth.Must(ctx)
	if actor.Kind != auth.KindStaff {
		return 0, nil
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		marked, err = markSeen(ctx, tx, actor.ID, ids, s.Clock.Now())
		return err
	})
	return marked, err
}
