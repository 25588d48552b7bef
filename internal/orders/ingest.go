package orders

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/clock"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// chunkSize is how many tickets one transaction takes in: enough to spread the
// cost of its statements, few enough not to hold locks for long.
const chunkSize = 250

// row is a ticket on its way in.
type row struct {
	at       string // "/orders/3"
	ticket   *Ticket
	result   *Result
	print    []byte // fingerprint of its content
	customer customers.Resolved
	day      clock.Day
	orderID  uuid.UUID // made before insert; zero: no order
	returnID uuid.UUID
	fields   map[string]any // custom fields of the order, judged
	moves    bool           // its goods leave or reach the stock of its store
}

func (r *row) fail(err *apperr.Error) { *r.result = Result{Status: Failed, Err: err} }

func (r *row) open() bool { return r.result.Status == "" }

// Ingest takes in tickets and tells what became of each, in their order. Faults
// of one ticket are its result and leave the others alone; an error is returned
// only when the service itself failed, and repeating the whole call is safe
// then: what was taken in comes back as a duplicate.
//
// Tickets go through in chunks, one transaction each, with no query per ticket.
// Where a chunk fails, its tickets are tried one by one under savepoints.
//
// Unknown SKUs become products only if createMissing is set and the caller may
// change the catalogue.
//
// Results carry: ErrNumber, ErrNumberReused, ErrNoLines, ErrSKU, ErrSKUUnknown,
// ErrText, ErrQuantity, ErrPrice, ErrCustomer, ErrCustomerKeys, ErrStoreUnknown,
// ErrStaffUnknown, ErrInFuture, ErrTooOld, ErrCurrency, ErrChannel, ErrOriginal,
// ErrPayments, ErrPaymentAmount, ErrTicketRejected, and for what cannot be read
// ErrRequired, ErrID, ErrPlacedAt, ErrType.
func (s *Service) Ingest(ctx context.Context, tickets []Ticket, createMissing bool) ([]Result, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	createMissing = createMissing && actor.Can(auth.CatalogManage)
	results := make([]Result, len(tickets))
	rows := make([]*row, 0, len(tickets))
	now := s.clock.Now()
	for i := range tickets {
		r := &row{at: "/orders/" + strconv.Itoa(i), ticket: &tickets[i], result: &results[i], moves: true}
		if s.read(r, now) {
			rows = append(rows, r)
		}
	}
	if err := s.checkPlaces(ctx, actor, rows); err != nil {
		return nil, err
	}
	for len(rows) > 0 {
		first, later := distinct(rows)
		for len(first) > 0 {
			n := min(chunkSize, len(first))
			if err := s.takeIn(ctx, first[:n], createMissing); err != nil {
				return nil, err
			}
			first = first[n:]
		}
		rows = later
	}
	return results, nil
}

// read tidies a ticket and reports whether it is one, as far as shows without the
// database.
func (s *Service) read(r *row, now time.Time) bool {
	r.ticket.tidy(s.currency)
	if err := r.ticket.check(r.at, now, s.currency); err != nil {
		r.fail(err)
		return false
	}
	r.print = s.keys.Index("pos_tickets.fingerprint", r.ticket.content())
	r.day = s.clock.DayOf(r.ticket.PlacedAt)
	return true
}

// distinct parts open tickets by number: of one given twice in a batch, the later
// one waits until it is known what became of the earlier one.
func distinct(rows []*row) (first, later []*row) {
	seen := make(map[key]bool, len(rows))
	for _, r := range rows {
		switch k := r.ticket.key(); {
		case !r.open():
		case seen[k]:
			later = append(later, r)
		default:
			seen[k] = true
			first = append(first, r)
		}
	}
	return first, later
}

// takeIn runs a chunk, and each of its tickets alone if that fails by its data.
func (s *Service) takeIn(ctx context.Context, rows []*row, create bool) error {
	joins := db.CurrentTx(ctx) != nil
	err := s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if !joins {
			return s.chunk(ctx, tx, rows, create)
		}
		// Within a request's transaction a failure must not spoil what went before.
		return tx.Savepoint(ctx, func() error { return s.chunk(ctx, tx, rows, create) })
	})
	if err == nil || !dataFault(err) {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		return s.oneByOne(ctx, tx, rows, func(one []*row) error { return s.chunk(ctx, tx, one, create) })
	})
}

// oneByOne tries each ticket alone; those that fail by their data have that as
// their result.
func (s *Service) oneByOne(ctx context.Context, tx *db.Tx, rows []*row, try func([]*row) error) error {
	for i, r := range rows {
		err := tx.Savepoint(ctx, func() error { return try(rows[i : i+1]) })
		switch {
		case err == nil:
		case db.Violated(err) == "orders_external_number_key" || db.Violated(err) == "order_returns_external_number_key":
			r.fail(ErrNumberReused.At(r.at + "/external_number"))
		case dataFault(err):
			e := ErrTicketRejected.Wrap(err)
			e.Fields = []apperr.Field{{Pointer: r.at, Code: ErrTicketRejected.Code}}
			r.fail(e)
		default:
			return err
		}
	}
	return nil
}

// dataFault reports an error that the values sent have caused: SQLSTATE classes
// 22 (a value that cannot be stored) and 23 (a broken constraint).
func dataFault(err error) bool {
	code := db.Code(err)
	return len(code) == 5 && (code[:2] == "22" || code[:2] == "23")
}

// checkPlaces refuses tickets of unknown stores, of stores beyond the caller's
// reach, and of staff who are neither the store's nor within it.
func (s *Service) checkPlaces(ctx context.Context, actor auth.Actor, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	stores, people := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, r := range rows {
		stores[r.ticket.StoreID] = true
		if r.ticket.StaffID != uuid.Nil {
			people[r.ticket.StaffID] = true
		}
	}
	known, err := s.storesOf(ctx, storesSQL, stores)
	if err != nil {
		return err
	}
	worksAt, err := s.storesOf(ctx, "SELECT id, store_id FROM staff WHERE id = ANY((SELECT $1::uuid[])::uuid[])", people)
	if err != nil {
		return err
	}
	home, err := s.homeStore(ctx, actor)
	if err != nil {
		return err
	}
	for _, r := range rows {
		t := r.ticket
		if _, ok := known[t.StoreID]; !ok || !actor.Scope.SeesStore(t.StoreID) && t.StoreID != home {
			r.fail(ErrStoreUnknown.At(r.at + "/store_id"))
			continue
		}
		if t.StaffID == uuid.Nil {
			continue
		}
		if at, ok := worksAt[t.StaffID]; !ok || at != t.StoreID && !actor.Scope.Sees(at, t.StaffID) {
			r.fail(ErrStaffUnknown.At(r.at + "/staff_id"))
		}
	}
	return nil
}

// storesSQL finds the stores that exist.
const storesSQL = "SELECT id, id FROM stores WHERE id = ANY((SELECT $1::uuid[])::uuid[])"

// storesOf reads a store (zero for none) for each id that exists.
func (s *Service) storesOf(ctx context.Context, query string, ids map[uuid.UUID]bool) (map[uuid.UUID]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	list := make(pgarray.UUIDs, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	rows, err := s.db.From(ctx).Query(ctx, query, list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := make(map[uuid.UUID]uuid.UUID, len(ids))
	for rows.Next() {
		var id uuid.UUID
		var store uuid.NullUUID
		if err := rows.Scan(&id, &store); err != nil {
			return nil, err
		}
		out[id] = store.UUID
	}
	return out, rows.Err()
}

// homeStore is the store an assistant works in: a scope of own customers names
// no store, but their till stands in one.
func (s *Service) homeStore(ctx context.Context, actor auth.Actor) (uuid.UUID, error) {
	if actor.Scope.All || !actor.Scope.Owns(actor.ID) {
		return uuid.Nil, nil
	}
	all, err := s.db.From(ctx).Platform.Staff.Query().Where(staff.ID(actor.ID)).All(ctx)
	if err != nil || len(all) == 0 || all[0].StoreID == nil {
		return uuid.Nil, err
	}
	return *all[0].StoreID, nil
}

// timeText is an instant as timestamptz reads it.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.999999Z07:00") }
