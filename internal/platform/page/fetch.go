package page

import (
	"context"

	"github.com/google/uuid"
)

// Asked is which page of a list is wanted.
type Asked struct {
	Limit  *int32
	Cursor *string
	Total  bool
}

// byID is the last row of a page of a list ordered by ids.
type byID struct {
	ID uuid.UUID `json:"id"`
}

// Fetch reads a page of a list that is ordered by ids: rows reads at most so many
// after an id.
//
// Error: apperr.ErrBadCursor, those of total and rows.
func Fetch[R any](ctx context.Context, pages *Codec, l List, asked Asked, total func(context.Context) (int, error), rows func(after *uuid.UUID, limit int) ([]R, error), id func(R) uuid.UUID) (*Of[R], error) {
	out := &Of[R]{}
	if asked.Total {
		n, err := total(ctx)
		if err != nil {
			return nil, err
		}
		all := int64(n)
		out.Total = &all
	}
	var at byID
	var after *uuid.UUID
	if ok, err := pages.Decode(l.Name(), asked.Cursor, &at); err != nil {
		return nil, err
	} else if ok {
		after = &at.ID
	}
	found, err := rows(after, l.Limit+1)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = Cut(found, l.Limit); more {
		out.Next, out.Link = l.After(pages, byID{id(out.Items[len(out.Items)-1])})
	}
	return out, nil
}
