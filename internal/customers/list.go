package customers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/page"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
	"github.com/shuke-crm/shuke/internal/platform/pii"
)

// Filter says which customers to list; zero parts do not filter.
type Filter struct {
	Phone, PhoneLast4, Email, CardNumber string // in any usual spelling
	Name                                 string // a fragment
	ExternalID, Tag                      string
	StoreID, AssignedStaffID, GroupID    uuid.UUID
	LifecycleStage, RFMBand, Tier        string // the tier by its code
	Archived                             bool   // archived customers instead of active ones
	CreatedAfter, CreatedBefore          *time.Time
	UpdatedAfter                         *time.Time
	Fields                               []FieldFilter // custom fields
	Quality                              QualityFilter // the zero value does not filter
	Sort                                 Sort

	led uuid.UUID // who goes on in place of the one that the identifiers name
}

// Personal reports whether the filter holds values that must not be repeated
// in a URL.
func (f *Filter) Personal() bool {
	return f.Phone != "" || f.PhoneLast4 != "" || f.Email != "" || f.CardNumber != "" || f.Name != ""
}

// order is the sort in effect: searches have an index in order of creation only.
func (f *Filter) order() Sort {
	switch {
	case f.Sort == "", f.Name != "":
		return Newest
	case (f.PhoneLast4 != "" || f.Tag != "") && f.Sort != Oldest:
		return Newest
	}
	return f.Sort
}

// Sort is the order of a list.
type Sort string

// Orders, beside those of custom fields: "custom_fields." and the key, with a
// minus for descending. Ids are UUIDv7, so creation order is id order.
const (
	Newest       Sort = "-created_at"
	Oldest       Sort = "created_at"
	LastChanged  Sort = "-updated_at"
	FirstChanged Sort = "updated_at"
)

// Paging asks for one page of a list.
type Paging struct {
	Limit  int
	Cursor *string
	Count  bool // also count all, up to countCap
}

// Page is one page of customers, in clear: mask before showing.
type Page struct {
	Items   []Customer
	Next    string // cursor of the next page, empty on the last
	HasMore bool
	Total   *int64
}

// countCap bounds what include=total_count costs.
const countCap = 10_000

// position is where a page ended: the last row shown, or for searches by name
// the last row looked at.
type position struct {
	ID    uuid.UUID  `json:"i"`
	At    *time.Time `json:"t,omitempty"` // updated_at, when sorted by it
	Value *string    `json:"v,omitempty"` // of the custom field, when sorted by one
	Block *int32     `json:"b,omitempty"` // of the name index, when found through it
}

// List finds customers of the caller's scope, a page at a time.
// Errors: ErrPhone, ErrEmail, ErrCard, ErrTooShort, ErrNeedle, ErrFieldUnknown,
// ErrFieldNotFilterable, ErrFieldFilter, request.bad_cursor.
func (s *Service) List(ctx context.Context, f Filter, p Paging) (*Page, error) {
	f.Sort = f.order()
	list := "customers " + fmt.Sprintf("%+v", f.printable())
	var at position
	more, err := s.pages.Decode(list, p.Cursor, &at)
	if err != nil {
		return nil, err
	}
	q, err := s.plan(ctx, &f)
	if err != nil || q == nil {
		return &Page{}, err
	}
	if more {
		q.from = &at
	}
	var out *Page
	if f.Name != "" {
		out, err = s.byName(ctx, q, list, p.Limit)
	} else {
		out, err = s.page(ctx, q, list, p.Limit)
	}
	if err != nil {
		return nil, err
	}
	if len(out.Items) == 0 && !more && f.led == uuid.Nil {
		switch f.led, err = s.ledBy(ctx, &f); {
		case err != nil:
			return nil, err
		case f.led != uuid.Nil:
			return s.List(ctx, f, p)
		}
	}
	if p.Count && f.Name == "" {
		if out.Total, err = s.count(ctx, q); err != nil {
			return nil, err
		}
	}
	if err := s.show(ctx, out.Items); err != nil {
		return nil, err
	}
	return out, s.nameTags(ctx, out.Items)
}

// ledBy finds who goes on in place of a merged customer with the identifiers of
// a filter; the zero id is nobody.
func (s *Service) ledBy(ctx context.Context, f *Filter) (uuid.UUID, error) {
	if f.Phone == "" && f.Email == "" && f.CardNumber == "" && f.ExternalID == "" {
		return uuid.Nil, nil
	}
	q := &query{where: clause{sql: "c.merged_into_id IS NOT NULL"}}
	if err := s.identifiers(&Filter{Phone: f.Phone, Email: f.Email, CardNumber: f.CardNumber, ExternalID: f.ExternalID}, q); err != nil {
		return uuid.Nil, err
	}
	var old uuid.UUID
	d := s.db.From(ctx)
	err := d.QueryRow(ctx, "SELECT c.id FROM customers c WHERE "+q.where.numbered(), q.where.args...).Scan(&old)
	if errors.Is(err, sql.ErrNoRows) {
		return uuid.Nil, nil
	}
	if err != nil {
		return uuid.Nil, err
	}
	found, err := survivors(ctx, d, old)
	return found[old].ID, err
}

// printable is the filter with times by value: it is part of the cursor's
// signature, so a cursor only works with the filters it was made for.
func (f Filter) printable() any {
	day := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	a, b, u := day(f.CreatedAfter), day(f.CreatedBefore), day(f.UpdatedAfter)
	f.CreatedAfter, f.CreatedBefore, f.UpdatedAfter = nil, nil, nil
	return []any{f, a, b, u}
}

// query is a list worked out: what rows must fulfil, and how to walk them.
type query struct {
	where  clause     // filters, without scope
	scope  auth.Scope // the caller's
	sort   Sort
	from   *position
	store  uuid.UUID // filter: home store
	staff  uuid.UUID // filter: assistant
	narrow bool      // by a unique identifier or the last four digits: few rows
	last4  bool      // by the last four digits, whose index also has the owners
	lead   clause    // over values v of a custom field, which is walked in order
	field  *Field    // the custom field to sort by, or nil
	skewed bool      // by custom fields: a good plan depends on the values

	terms   []string // of a name's fragment: a row has the tokens of all
	matcher pii.Matcher
}

// active is the condition of a query without filters.
const active = "c.archived_at IS NULL"

// plan turns a filter into a query; nil means that nothing can match.
func (s *Service) plan(ctx context.Context, f *Filter) (*query, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	q := &query{scope: actor.Scope, sort: f.Sort, store: f.StoreID, staff: f.AssignedStaffID}
	w := &q.where
	if f.Archived {
		w.and("c.archived_at IS NOT NULL AND c.merged_into_id IS NULL")
	} else {
		w.and(active)
	}
	if err := s.identifiers(f, q); err != nil {
		return nil, err
	}
	if f.Name != "" {
		terms, matcher, err := pii.QueryTokens(f.Name)
		if err != nil {
			return nil, fromPII(err).At("/name")
		}
		q.terms, q.matcher = terms, matcher
	}
	if f.Tag != "" {
		name, bad := tagName(f.Tag)
		if bad != nil {
			return nil, nil
		}
		w.and("c.tag_ids @> ARRAY(SELECT t.id FROM tags t WHERE t.name = ?) AND EXISTS (SELECT 1 FROM tags t WHERE t.name = ?)", name, name)
		// Who had it until a moment ago has it no more, whether or not it was taken off.
		w.and("(c.tag_expiries IS NULL OR coalesce((c.tag_expiries ->> (SELECT t.id::text FROM tags t WHERE t.name = ?))::timestamptz > ?, TRUE))", name, s.clock.Now())
	}
	if f.GroupID != uuid.Nil {
		w.and("c.id IN (SELECT g.customer_id FROM customer_group_members g WHERE g.group_id = ?)", f.GroupID)
	}
	if f.AssignedStaffID != uuid.Nil {
		w.and("c.assigned_staff_id = ?", f.AssignedStaffID)
	}
	if f.StoreID != uuid.Nil {
		w.and("c.home_store_id = ?", f.StoreID)
	}
	if f.LifecycleStage != "" {
		w.and("c.lifecycle_stage = ?", f.LifecycleStage)
	}
	if f.Tier != "" {
		w.and("c.tier_code = ?", f.Tier)
	}
	if f.RFMBand != "" {
		w.and("EXISTS (SELECT 1 FROM customer_metrics m WHERE m.id = c.id AND m.rfm_band = ?)", f.RFMBand)
	}
	if f.CreatedAfter != nil {
		w.and("c.created_at >= ? AND c.id >= ?", *f.CreatedAfter, idFloor(*f.CreatedAfter))
	}
	if f.CreatedBefore != nil {
		w.and("c.created_at < ? AND c.id < ?", *f.CreatedBefore, idFloor(f.CreatedBefore.Add(time.Millisecond)))
	}
	if f.UpdatedAfter != nil {
		w.and("c.updated_at >= ?", *f.UpdatedAfter)
	}
	if f.Quality != (QualityFilter{}) {
		if err := s.CheckQuality(ctx, f.Quality); err != nil {
			if e := apperr.From(err); e != nil {
				faults(e.Fields).under("/data_quality")
			}
			return nil, err
		}
		c, err := f.Quality.exists(s.clock.Today().Time())
		if err != nil {
			return nil, err
		}
		w.and(c.sql, c.args...)
	}
	if len(f.Fields) > 0 || strings.Contains(string(f.Sort), sortByField) {
		set, err := s.definitions(ctx)
		if err != nil {
			return nil, err
		}
		if err := q.byFields(set, &actor, f); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// idFloor is the smallest UUIDv7 of an instant. Ids are made of created_at, so
// the id's index bounds a range of creation times.
func idFloor(t time.Time) uuid.UUID {
	ms := uint64(max(t.UnixMilli(), 0))
	var id uuid.UUID
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

func (s *Service) identifiers(f *Filter, q *query) error {
	w := &q.where
	if f.led != uuid.Nil {
		w.and("c.id = ?", f.led)
		q.narrow = true
		return nil
	}
	if f.Phone != "" {
		p, err := pii.ParsePhone(f.Phone, "")
		if err != nil {
			return ErrPhone.At("/phone")
		}
		w.and("c.phone_index = ?", s.keys.Index(indexPhone, p.E164))
		q.narrow = true
	}
	if f.Email != "" {
		e, err := pii.NormalizeEmail(f.Email)
		if err != nil {
			return ErrEmail.At("/email")
		}
		w.and("c.email_index = ?", s.keys.Index(indexEmail, e.Key))
		q.narrow = true
	}
	if f.CardNumber != "" {
		n, err := pii.NormalizeCard(f.CardNumber)
		if err != nil {
			return ErrCard.At("/card_number")
		}
		w.and("c.card_number_index = ?", s.keys.Index(indexCard, n))
		q.narrow = true
	}
	if f.ExternalID != "" {
		w.and("c.external_id = ?", strings.TrimSpace(f.ExternalID))
		q.narrow = true
	}
	if f.PhoneLast4 != "" {
		w.and("c.phone_last4_token = ?", s.keys.Token(tokenLast4, f.PhoneLast4))
		q.last4, q.narrow = !q.narrow, true
	}
	return nil
}

// keyset is the condition and order that continue a list.
func (q *query) keyset() (clause, string) {
	var c clause
	desc := q.sort == Newest || q.sort == LastChanged
	sign, dir := ">", "ASC"
	if desc {
		sign, dir = "<", "DESC"
	}
	if q.sort == Newest || q.sort == Oldest {
		if q.from != nil {
			c.and("c.id "+sign+" ?", q.from.ID)
		}
		return c, "c.id " + dir
	}
	if q.field != nil { // see sorted
		return c, ""
	}
	if q.from != nil && q.from.At != nil {
		c.and("(c.updated_at, c.id) "+sign+" (?, ?)", *q.from.At, q.from.ID)
	}
	return c, "c.updated_at " + dir + ", c.id " + dir
}

// owners are the column and values of the index that holds all rows of a list
// by owner; no column means that there is none such.
func (q *query) owners() (string, []uuid.UUID) {
	switch sc := q.scope; {
	case q.staff != uuid.Nil:
		return "assigned_staff_id", []uuid.UUID{q.staff}
	case q.store != uuid.Nil:
		return "home_store_id", []uuid.UUID{q.store}
	case sc.All:
		return "", nil
	case len(sc.StoreIDs) == 0 && len(sc.OwnStaff) == 0:
		return "assigned_staff_id", []uuid.UUID{uuid.Nil} // nobody's rows: an empty scope sees nothing
	case len(sc.StoreIDs) == 0:
		return "assigned_staff_id", sc.OwnStaff
	case len(sc.OwnStaff) == 0:
		return "home_store_id", sc.StoreIDs
	}
	return "", nil
}

// driver is the column and value of the ordered index that a list walks when
// it has but one owner; none means the order of all customers.
func (q *query) driver() (string, uuid.UUID) {
	if column, ids := q.owners(); len(ids) == 1 {
		return column, ids[0]
	}
	return "", uuid.Nil
}

// next are the conditions that the next rows of a list fulfil, the ordered
// index to walk included, and their order, without scope.
func (q *query) next() (clause, string) {
	next, order := q.keyset()
	w := clause{q.where.sql, slices.Clip(q.where.args)}
	if next.sql != "" {
		w.and(next.sql, next.args...)
	}
	if column, owner := q.driver(); column != "" && q.byID() && (!q.narrow || q.last4) && q.lead.sql == "" {
		// Said beside the scope: "= ANY" of one store would keep PostgreSQL from
		// walking (store, id) in order.
		w.and("c."+column+" = ?", owner)
	}
	return w, order
}

func (q *query) byID() bool { return q.sort == Newest || q.sort == Oldest }

// branched reports a list over several owners, each with an index of its own.
func (q *query) branched() bool {
	column, _ := q.driver()
	return column == "" && !q.scope.All && q.byID() && !q.narrow && q.lead.sql == ""
}

// branches walks each store of a scope, and the customers of each assistant in
// it, in order and merges: an index walk each instead of a sort of them all.
func (q *query) branches(n int) clause {
	w, order := q.next()
	limit := fmt.Sprintf(" ORDER BY %s LIMIT %d", order, n)
	sc := q.scope
	out := clause{
		"SELECT c.id FROM ((SELECT x.id FROM unnest(?::uuid[]) s (id), LATERAL (SELECT c.id FROM customers c WHERE c.home_store_id = s.id AND " + w.sql + limit + ") x)",
		append([]any{pgarray.UUIDs(sc.StoreIDs)}, w.args...),
	}
	if len(sc.OwnStaff) > 0 {
		out.sql += " UNION (SELECT x.id FROM unnest(?::uuid[]) s (id), LATERAL (SELECT c.id FROM customers c WHERE c.assigned_staff_id = s.id AND " + w.sql + limit + ") x)"
		out.args = append(append(out.args, pgarray.UUIDs(sc.OwnStaff)), w.args...)
	}
	out.sql += ") c" + limit
	return out
}

// page reads one page of a list in one statement.
func (s *Service) page(ctx context.Context, q *query, list string, limit int) (*Page, error) {
	run := s.db.From(ctx).Query
	if q.skewed {
		run = s.db.From(ctx).QueryByValues
	}
	rows, err := s.readRows(ctx, run, q.rows(limit+1))
	if err != nil {
		return nil, err
	}
	out := &Page{}
	out.Items, out.HasMore = page.Cut(rows, limit)
	if out.HasMore {
		last := &out.Items[limit-1]
		at := position{ID: last.ID}
		if q.sort == LastChanged || q.sort == FirstChanged {
			at.At = &last.UpdatedAt
		}
		if q.field != nil {
			v := q.field.sortValue(last)
			at.Value = &v
		}
		out.Next = s.pages.Encode(list, at)
	}
	return out, nil
}

// rows is the statement of the next n rows in order. Limits are written into
// the text, since the planner must know them to walk an index.
func (q *query) rows(n int) clause {
	w, order := q.next()
	if q.branched() {
		ids := q.branches(n)
		w = clause{"c.id IN (" + ids.sql + ")", ids.args}
	}
	p := scopeClause(q.scope)
	w.and(p.sql, p.args...)
	switch {
	case q.field != nil:
		return q.sorted(w, n)
	case q.lead.sql != "":
		return q.leading(w, order, n)
	}
	return clause{fmt.Sprintf("SELECT %s FROM customers c WHERE %s ORDER BY %s LIMIT %d", columns, w.sql, order, n), w.args}
}

// load reads and opens the rows of a statement.
func (s *Service) load(ctx context.Context, c clause) ([]Customer, error) {
	return s.readRows(ctx, s.db.From(ctx).Query, c)
}

// readRows is load by another way to run the statement.
func (s *Service) readRows(ctx context.Context, run func(context.Context, string, ...any) (*sql.Rows, error), c clause) ([]Customer, error) {
	rows, err := run(ctx, c.numbered(), c.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Customer
	for scan := newScanner(); rows.Next(); {
		one, err := scan.customer(s.keys, rows)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

func (s *Service) count(ctx context.Context, q *query) (*int64, error) {
	w := clause{q.where.sql, slices.Clip(q.where.args)}
	if q.lead.sql != "" {
		e := q.lead.existing()
		w.and(e.sql, e.args...)
	}
	if q.field != nil {
		column, _ := q.field.Kind.column()
		e := clause{sql: "v.field_id = '" + q.field.ID.String() + "' AND v." + column + " IS NOT NULL"}.existing()
		w.and(e.sql)
	}
	p := scopeClause(q.scope)
	w.and(p.sql, p.args...)
	c := clause{fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM customers c WHERE %s LIMIT %d) n", w.sql, countCap), w.args}
	var n int64
	run := s.db.From(ctx).QueryRow
	if q.skewed {
		run = s.db.From(ctx).QueryRowByValues
	}
	err := run(ctx, c.numbered(), c.args...).Scan(&n)
	return &n, err
}

// CheckFilter refuses a filter that List would refuse, with the same errors.
func (s *Service) CheckFilter(ctx context.Context, f Filter) error {
	_, err := s.plan(ctx, &f)
	return err
}

// Count is how many customers of the caller's scope a filter has. Those of a
// search by name cannot be counted without opening them: it says 0.
func (s *Service) Count(ctx context.Context, f Filter) (n int64, err error) {
	q, err := s.plan(ctx, &f)
	if err != nil || q == nil || f.Name != "" {
		return 0, err
	}
	w := q.where
	if q.lead.sql != "" {
		e := q.lead.existing()
		w.and(e.sql, e.args...)
	}
	p := scopeClause(q.scope)
	w.and(p.sql, p.args...)
	c := clause{"SELECT count(*) FROM customers c WHERE " + w.sql, w.args}
	run := s.db.From(ctx).QueryRow
	if q.skewed {
		run = s.db.From(ctx).QueryRowByValues
	}
	err = run(ctx, c.numbered(), c.args...).Scan(&n)
	return n, err
}

// Walk hands out all customers of the caller's scope that a filter has, in
// clear, in pages: the longest known first, those of a search by name the newest
// first. It reads on until the end or the first error. Each page is a statement
// of its own, so that it holds up nothing; nobody is in two of them.
// Errors: as List.
func (s *Service) Walk(ctx context.Context, f Filter, size int, do func([]Customer) error) error {
	f.Sort = Oldest
	f.Sort = f.order()
	q, err := s.plan(ctx, &f)
	if err != nil || q == nil {
		return err
	}
	const list = "customers walk"
	for {
		read := s.page
		if f.Name != "" {
			read = s.byName
			size = min(size, page.MaxLimit)
		}
		found, err := read(ctx, q, list, size)
		if err != nil {
			return err
		}
		if err := s.nameTags(ctx, found.Items); err != nil {
			return err
		}
		if err := s.show(ctx, found.Items); err != nil {
			return err
		}
		if err := do(found.Items); err != nil || !found.HasMore {
			return err
		}
		var at position
		if _, err := s.pages.Decode(list, &found.Next, &at); err != nil {
			return err
		}
		q.from = &at
	}
}
