package orders

import (
	"bytes"
	"context"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/inventory"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/segments"
)

// History takes in tickets of former times from a file: by the rules of Ingest,
// and known again by the same numbers, but as what has long happened. Nobody is
// told of each (there is one audit entry for a batch and no event), stock stays
// as it is unless asked for, and metrics are summed once at the end.
type History struct {
	s *Service
	HistoryOptions
	seen map[key]uint64 // of a trial: start of the fingerprint
}

// HistoryOptions are how a file is taken in.
type HistoryOptions struct {
	CreateMissing bool // unknown SKUs become products, if the caller may change the catalogue
	MoveStock     bool // goods leave and reach the stock of their stores
	Trial         bool // nothing is written
}

// Load begins to take in a file.
func (s *Service) Load(o HistoryOptions) *History {
	h := &History{s: s, HistoryOptions: o}
	if o.Trial {
		h.seen = map[key]uint64{}
	}
	return h
}

// maxSeen is how many tickets a trial remembers: beyond it, a twin in the same
// file may count as new.
const maxSeen = 1 << 20

// Past is a batch that has been written but for what it does to customers and to
// stock.
type Past struct {
	Results []Result
	days    []segments.DayDelta
	stock   []inventory.Ticket
}

// Take writes a batch of tickets in the caller's transaction and holds their
// customers until its end. Settle must follow. Errors of single tickets are their
// results, as with Ingest.
func (h *History) Take(ctx context.Context, tx *db.Tx, tickets []Ticket) (*Past, error) {
	s := h.s
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	p := &Past{Results: make([]Result, len(tickets))}
	rows := make([]*row, 0, len(tickets))
	now := s.clock.Now()
	for i := range tickets {
		r := &row{ticket: &tickets[i], result: &p.Results[i], moves: h.MoveStock}
		if s.read(r, now) {
			rows = append(rows, r)
		}
	}
	if err := s.checkPlaces(ctx, actor, rows); err != nil {
		return nil, err
	}
	if h.Trial {
		return p, h.try(ctx, tx, stillOpen(rows))
	}
	create := h.CreateMissing && actor.Can(auth.CatalogManage)
	for len(rows) > 0 {
		first, later := distinct(rows)
		if len(first) == 0 {
			break
		}
		err := tx.Savepoint(ctx, func() error { return h.chunk(ctx, tx, p, first, create) })
		if err != nil && dataFault(err) {
			err = s.oneByOne(ctx, tx, first, func(one []*row) error { return h.chunk(ctx, tx, p, one, create) })
		}
		if err != nil {
			return nil, err
		}
		rows = later
	}
	return p, nil
}

// chunk writes tickets with distinct numbers.
func (h *History) chunk(ctx context.Context, tx *db.Tx, p *Past, rows []*row, create bool) error {
	s := h.s
	for _, r := range rows {
		*r.result = Result{}
	}
	if err := s.findTwins(ctx, tx, rows); err != nil {
		return err
	}
	// Held still: what orders copy of them stays right until commit.
	if err := s.findCustomers(ctx, tx, stillOpen(rows), "SHARE"); err != nil {
		return err
	}
	variants, err := s.findVariants(ctx, tx, stillOpen(rows), create)
	if err != nil {
		return err
	}
	if err := s.judgeFields(ctx, tx, stillOpen(rows)); err != nil {
		return err
	}
	fresh := stillOpen(rows)
	if len(fresh) == 0 {
		return nil
	}
	if err := s.lockStores(ctx, tx, fresh); err != nil {
		return err
	}
	if fresh, err = s.claim(ctx, tx, fresh); err != nil || len(fresh) == 0 {
		return err
	}
	w := newWriter(s.currency, s.clock.Now())
	for _, r := range fresh {
		w.add(r, variants)
	}
	if err := w.insert(ctx, tx); err != nil {
		return err
	}
	// Former orders earn nothing; of others that earned, something may have come back.
	linked, err := s.link(ctx, tx, fresh)
	if err != nil {
		return err
	}
	if err := s.markBuyers(ctx, tx, fresh, linked); err != nil {
		return err
	}
	if err := s.earn(ctx, tx, linked, earner{kept: true}); err != nil {
		return err
	}
	p.days, p.stock = append(p.days, w.days...), append(p.stock, w.stock...)
	return nil
}

// try says what would become of tickets.
func (h *History) try(ctx context.Context, tx *db.Tx, rows []*row) error {
	s := h.s
	for _, r := range rows {
		print := firstBytes(r.print)
		switch before, known := h.seen[r.ticket.key()]; {
		case known && before == print:
			r.result.Status = Duplicate
		case known:
			r.fail(ErrNumberReused.At(r.at + "/external_number"))
		}
	}
	fresh := stillOpen(rows)
	for first, later := distinct(fresh); len(first) > 0; first, later = distinct(later) {
		if err := s.findTwins(ctx, tx, first); err != nil {
			return err
		}
		for _, r := range first {
			if r.open() {
				h.see(r, later)
			}
		}
	}
	if err := s.findCustomers(ctx, tx, stillOpen(fresh), "KEY SHARE"); err != nil {
		return err
	}
	if !h.CreateMissing {
		if _, err := s.findVariants(ctx, tx, stillOpen(fresh), false); err != nil {
			return err
		}
	}
	if err := s.judgeFields(ctx, tx, stillOpen(fresh)); err != nil {
		return err
	}
	for _, r := range stillOpen(fresh) {
		r.result.Status = Created
	}
	return nil
}

// see remembers a ticket and settles its twins behind it.
func (h *History) see(r *row, later []*row) {
	if len(h.seen) < maxSeen {
		h.seen[r.ticket.key()] = firstBytes(r.print)
	}
	for _, twin := range later {
		switch {
		case twin.ticket.key() != r.ticket.key():
		case bytes.Equal(twin.print, r.print):
			twin.result.Status = Duplicate
		default:
			twin.fail(ErrNumberReused.At(twin.at + "/external_number"))
		}
	}
}

func firstBytes(print []byte) (out uint64) {
	for _, b := range print[:min(8, len(print))] {
		out = out<<8 | uint64(b)
	}
	return out
}

// Settle books what a batch did to customers' days and, if that was asked for, to
// stock, and notes it in the audit log under the run of the import. Batches that
// are written beside each other settle one after the other.
func (h *History) Settle(ctx context.Context, tx *db.Tx, p *Past, run uuid.UUID) error {
	if err := h.s.segments.AddDays(ctx, tx, p.days); err != nil {
		return err
	}
	if err := h.s.inventory.TakeTickets(ctx, tx, p.stock); err != nil {
		return err
	}
	made := map[string]int{}
	for _, r := range p.Results {
		if r.Status == Created && !h.Trial {
			if r.OrderID != uuid.Nil {
				made["orders"]++
			}
			if r.ReturnID != uuid.Nil {
				made["returns"]++
			}
		}
	}
	if len(made) > 0 {
		audit.Record(ctx, tx, audit.Entry{Action: "orders.load", ObjectType: "import", ObjectID: run.String(), Changes: map[string]any{"made": made}})
	}
	return nil
}

// Finish brings the metrics of the customers concerned up to date.
func (h *History) Finish(ctx context.Context) error {
	if h.Trial {
		return nil
	}
	return h.s.segments.CatchUp(ctx)
}
