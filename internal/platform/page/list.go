package page

import (
	"net/url"
	"strconv"
)

// Of is a page of a list and where the next one begins.
type Of[T any] struct {
	Items []T
	Next  *string // cursor, nil on the last page
	Link  *string // Link header
	Total *int64  // when asked for
}

// List is a list with its filters under their names in the contract. A cursor
// is good only for the filters it was made with.
type List struct {
	Path    string
	Filters url.Values // none of them personal: they are repeated in the Link header
	Limit   int
}

// NewList starts a list without filters.
func NewList[N ~int | ~int32](path string, limit *N) List {
	return List{path, url.Values{}, Limit(limit)}
}

// Name is what cursors of this list are signed with.
func (l List) Name() string { return l.Path + "?" + l.Filters.Encode() }

// After makes the cursor and the Link header of the page that follows a position.
func (l List) After(pages *Codec, position any) (cursor, link *string) {
	next := pages.Encode(l.Name(), position)
	text := Link(l.Path, l.Filters, l.Limit, next)
	return &next, &text
}

// Link is the Link header that names the next page.
func Link(path string, filters url.Values, limit int, cursor string) string {
	q := url.Values{}
	for name, values := range filters {
		q[name] = values
	}
	q.Set("limit", strconv.Itoa(limit))
	q.Set("cursor", cursor)
	return "<" + path + "?" + q.Encode() + `>; rel="next"`
}
