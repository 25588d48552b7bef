package timeline

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/crypto"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/scope"
)

// Item is something that happened with a customer.
type Item struct {
	Kind      string
	ID        uuid.UUID // of the row it stands for
	At        time.Time
	ActorKind *string
	ActorID   *uuid.UUID
	StoreID   *uuid.UUID
	Details   map[string]any

	source int
}

// TimelineFilter narrows a timeline; zero parts do not.
type TimelineFilter struct {
	Kinds         []string
	After, Before *time.Time // inclusive, exclusive
}

// place is the last item of a page. Source breaks the tie of two items that
// stand for one row and one moment.
type place struct {
	At     time.Time `json:"t"`
	ID     uuid.UUID `json:"i"`
	Source int       `json:"s"`
}

// endOfTime lies behind everything that can have happened.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Timeline returns what happened with a customer, the newest first, as far as
// the caller may read each kind.
//
// It is one statement that reads a page from each source by its own index and
// sorts those few rows: nothing is written twice, rows that follow a merge or
// go back take their place in the timeline along, and the cost is that of a page
// of each source, at any depth.
//
// Errors: customers.ErrNotFound, request.bad_cursor.
func (s *Service) Timeline(ctx context.Context, customerID uuid.UUID, f TimelineFilter, limit *int32, cursor *string, counted bool) (*page.Of[*Item], error) {
	o, err := s.read(ctx, customerID)
	if err != nil {
		return nil, err
	}
	l := page.NewList("/v1/customers/"+customerID.String()+"/timeline", limit)
	for _, k := range slices.Compact(slices.Sorted(slices.Values(f.Kinds))) {
		l.Filters.Add("kind", k)
	}
	start := place{At: endOfTime}
	if f.After != nil {
		l.Filters.Set("occurred_after", timeParam(*f.After))
	}
	if f.Before != nil {
		l.Filters.Set("occurred_before", timeParam(*f.Before))
		start.At = *f.Before
	}
	from := start
	if _, err := s.Pages.Decode(l.Name(), cursor, &from); err != nil {
		return nil, err
	}
	records, err := s.records(ctx, customerID)
	if err != nil {
		return nil, err
	}
	out := &page.Of[*Item]{}
	if counted {
		q, err := s.query(ctx, records, f, start, 0) // the cursor does not narrow what is counted
		if err != nil {
			return nil, err
		}
		n, err := s.countItems(ctx, q)
		if err != nil {
			return nil, err
		}
		out.Total = &n
	}
	q, err := s.query(ctx, records, f, from, l.Limit+1)
	if err != nil {
		return nil, err
	}
	items, err := s.items(ctx, q)
	if err != nil {
		return nil, err
	}
	var more bool
	if out.Items, more = page.Cut(items, l.Limit); more {
		last := out.Items[len(out.Items)-1]
		out.Next, out.Link = l.After(s.Pages, place{last.At, last.ID, last.source})
	}
	for _, i := range out.Items {
		if open := s.sources[i.source].Open; open != nil {
			if err := open(o.key, i.ID, i.Details); err != nil {
				return nil, fmt.Errorf("timeline: %s %s: %w", i.Kind, i.ID, err)
			}
		}
	}
	return out, nil
}

// query is the statement for items, over all sources that the caller may read;
// an empty text means none of them. Without a limit it is for counting.
type query struct {
	parts []string
	args  []any
	limit int
}

func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// query puts the statement together. Records are the customer's id and those
// of records that were merged into them.
func (s *Service) query(ctx context.Context, records []uuid.UUID, f TimelineFilter, from place, limit int) (*query, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{limit: limit}
	for n, src := range s.sources {
		wanted := src.Kinds
		if len(f.Kinds) > 0 {
			wanted = slices.DeleteFunc(slices.Clone(src.Kinds), func(k string) bool { return !slices.Contains(f.Kinds, k) })
		}
		if len(wanted) == 0 || !actor.Can(src.Permission) {
			continue
		}
		where := []string{}
		if src.Where != "" {
			where = append(where, src.Where)
		}
		if len(wanted) < len(src.Kinds) {
			where = append(where, src.Kind+" = ANY("+q.arg(pgarray.Strings(wanted))+"::text[])")
		}
		if src.Scope != (scope.Columns{}) {
			seen, args, err := scope.SQL(auth.With(ctx, actor.Using(src.Permission)), src.Scope, "r", len(q.args)+1)
			if err != nil {
				return nil, err
			}
			q.args = append(q.args, args...)
			// IS TRUE keeps PostgreSQL from gathering a store's or an assistant's rows by
			// another index: those of one customer are walked in order.
			where = append(where, "("+seen+") IS TRUE")
		}
		order := src.At + " DESC, r.id DESC"
		until := "<" // what comes after the cursor
		if n < from.Source {
			until = "<="
		}
		if src.ByID {
			order = "r.id DESC"
			where = append(where, "r.id "+until+" "+q.arg(idBound(from)))
			if f.After != nil {
				where = append(where, "r.id >= "+q.arg(firstID(ceilMilli(*f.After))))
			}
		} else {
			where = append(where, "("+src.At+", r.id) "+until+" ("+q.arg(from.At)+", "+q.arg(from.ID)+")")
			if f.After != nil {
				where = append(where, src.At+" >= "+q.arg(*f.After))
			}
		}
		q.add(n, &src, records, where, order)
	}
	return q, nil
}

// add puts in one source. Of several records each is walked by itself, so that
// the index gives its rows in order.
func (q *query) add(n int, src *Source, records []uuid.UUID, where []string, order string) {
	from := src.From
	if src.Past {
		owner := "own.id"
		if src.Text {
			owner += "::text"
		}
		where = append([]string{src.Owner + " = " + owner}, where...)
		from = "unnest(" + q.arg(pgarray.UUIDs(records)) + "::uuid[]) AS own (id) CROSS JOIN LATERAL (SELECT * FROM " + src.From +
			" WHERE " + strings.Join(where, " AND ") + q.tail(order) + ") AS r"
	} else {
		where = append([]string{src.Owner + " = " + q.arg(records[0])}, where...)
		from += " WHERE " + strings.Join(where, " AND ")
	}
	q.parts = append(q.parts, "(SELECT "+strconv.Itoa(n)+" AS source, "+src.Kind+" AS kind, r.id, "+src.At+" AS at, "+src.ActorKind+"::text AS actor_kind, "+
		src.ActorID+"::uuid AS actor_id, "+src.Store+"::uuid AS store_id, "+src.Details+" AS details FROM "+from+q.tail(order)+")")
}

func (q *query) tail(order string) string {
	if q.limit == 0 {
		return ""
	}
	return " ORDER BY " + order + " LIMIT " + strconv.Itoa(q.limit)
}

// firstID is the lowest UUIDv7 of a millisecond.
func firstID(ms int64) (id uuid.UUID) {
	ms = max(ms, 0)
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// idBound is the cursor for a source whose rows happened when their ids say:
// those below it are what comes after.
func idBound(p place) uuid.UUID {
	ms := p.At.UnixMilli()
	if ceilMilli(p.At) != ms { // between two milliseconds: all of the first one is older
		return firstID(ms + 1)
	}
	low, high := firstID(ms), firstID(ms+1)
	if slices.Compare(p.ID[:], low[:]) < 0 {
		return low
	}
	if slices.Compare(p.ID[:], high[:]) >= 0 {
		return high
	}
	return p.ID
}

// unseal replaces a sealed column in the details of an item by its text.
func unseal(key crypto.DataKey, table, column string, id uuid.UUID, details map[string]any) error {
	text, _ := details[column].(string)
	if text == "" {
		delete(details, column)
		return nil
	}
	sealed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(text, "\n", "")) // encode() breaks lines
	if err != nil {
		return err
	}
	plain, err := key.Derive(table, id).Open(table, column, id, sealed)
	if err != nil {
		return err
	}
	details[column] = string(plain)
	return nil
}

// readDetails keeps numbers as they are.
func readDetails(raw []byte) (out map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return out, d.Decode(&out)
}
