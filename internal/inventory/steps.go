package inventory

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Piece is a quantity of a variant.
type Piece struct {
	VariantID uuid.UUID
	Quantity  int64
	Pointer   string // of the line in the request, for errors
}

// Return is what became of goods that came back.
type Return struct {
	VariantID       uuid.UUID
	Restock, Damage int64
}

// Promise reserves pieces of a store for an order, all or none, and returns the
// variants it has reserved: those that no store keeps a stock of are sold
// without. The caller keeps what is reserved (order_lines.reserved_quantity).
//
// Error: ErrInsufficient, with the lines that lack pieces.
func (s *Service) Promise(ctx context.Context, tx *db.Tx, store uuid.UUID, pieces []Piece) (map[uuid.UUID]bool, error) {
	changes := changesOf(pieces, func(c *change, q int64) { c.freed -= q })
	levels, err := lockLevels(ctx, tx, store, variantsOf(changes))
	if err != nil {
		return nil, err
	}
	short := ErrInsufficient.New()
	held := make(map[uuid.UUID]bool, len(changes))
	var missing []change
	var variants pgarray.UUIDs
	var reserved []int64
	for _, c := range changes {
		l := levels[c.variant]
		if l == nil {
			missing = append(missing, c)
			continue
		}
		was := l.available()
		if was+c.freed < 0 {
			lacks(short, c.pointer, was)
			continue
		}
		l.reserved -= c.freed
		held[c.variant] = true
		variants, reserved = append(variants, c.variant), append(reserved, -c.freed)
		warn(tx, store, l, was)
	}
	if len(missing) > 0 { // here; who keeps them elsewhere has none here
		kept, err := keptAnywhere(ctx, tx, variantsOf(missing))
		if err != nil {
			return nil, err
		}
		for _, c := range missing {
			if kept[c.variant] {
				lacks(short, c.pointer, 0)
			}
		}
	}
	if len(short.Fields) > 0 {
		return nil, short
	}
	if len(variants) == 0 {
		return held, nil
	}
	zero := make([]int64, len(variants))
	_, err = tx.Exec(ctx, updateLevels.SQL(len(variants)), variants, pq.Array(zero), pq.Array(zero), pq.Array(zero), pq.Array(reserved), store, s.clock.Now())
	return held, err
}

// Free gives pieces that Promise has reserved free again.
func (s *Service) Free(ctx context.Context, tx *db.Tx, store uuid.UUID, pieces []Piece) error {
	if len(pieces) == 0 {
		return nil
	}
	return s.promise(ctx, tx, store, changesOf(pieces, func(c *change, q int64) { c.freed += q }))
}

// HandOut takes pieces that Promise has reserved out of the store: sold.
// Error: ErrInsufficient, where facts have used reserved pieces up.
func (s *Service) HandOut(ctx context.Context, tx *db.Tx, store, orderID uuid.UUID, pieces []Piece) error {
	if len(pieces) == 0 {
		return nil
	}
	changes := changesOf(pieces, func(c *change, q int64) { c.freed += q; c.onHand -= q })
	_, err := s.post(ctx, tx, document{store: store, kind: KindSale, origin: "order", originID: &orderID, at: s.clock.Now()}, changes)
	return err
}

// TakeBack puts goods of a return into the stock of a store: on the shelf or
// among the damaged. Variants that no store keeps a stock of are left out.
func (s *Service) TakeBack(ctx context.Context, tx *db.Tx, store, returnID uuid.UUID, back []Return) error {
	changes := make([]change, 0, len(back))
	for _, b := range back {
		at := slices.IndexFunc(changes, func(c change) bool { return c.variant == b.VariantID })
		if at < 0 {
			at = len(changes)
			changes = append(changes, change{variant: b.VariantID})
		}
		changes[at].onHand += b.Restock
		changes[at].damaged += b.Damage
	}
	kept, err := keptAnywhere(ctx, tx, variantsOf(changes))
	if err != nil {
		return err
	}
	changes = slices.DeleteFunc(changes, func(c change) bool { return !kept[c.variant] || c.onHand == 0 && c.damaged == 0 })
	if len(changes) == 0 {
		return nil
	}
	_, err = s.post(ctx, tx, document{store: store, kind: KindReturn, origin: "return", originID: &returnID, at: s.clock.Now()}, changes)
	return err
}

// changesOf sums pieces up by variant, as each stands in a document once. The
// pointer of a variant is that of its last line.
func changesOf(pieces []Piece, add func(*change, int64)) []change {
	out := make([]change, 0, len(pieces))
	for _, p := range pieces {
		at := slices.IndexFunc(out, func(c change) bool { return c.variant == p.VariantID })
		if at < 0 {
			at = len(out)
			out = append(out, change{variant: p.VariantID})
		}
		out[at].pointer = p.Pointer
		add(&out[at], p.Quantity)
	}
	return out
}

func variantsOf(changes []change) []uuid.UUID {
	out := make([]uuid.UUID, len(changes))
	for i, c := range changes {
		out[i] = c.variant
	}
	return out
}

// keptAnywhere are those variants of which some store keeps a stock.
// Plan: index only scans on stock_levels_variant_idx.
func keptAnywhere(ctx context.Context, tx *db.Tx, variants []uuid.UUID) (map[uuid.UUID]bool, error) {
	kept := make(map[uuid.UUID]bool, len(variants))
	rows, err := tx.Query(ctx, `SELECT v FROM unnest($1::uuid[]) AS v WHERE EXISTS (SELECT FROM stock_levels l WHERE l.variant_id = v)`, pgarray.UUIDs(variants))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		kept[id] = true
	}
	return kept, rows.Err()
}

// Ticket is what a till has sold and taken back, which is a fact.
type Ticket struct {
	StoreID           uuid.UUID
	OrderID, ReturnID uuid.UUID // zero: none
	At                time.Time // by the till's clock
	Lines             []Piece   // quantities below zero were brought back
}

// soldBeyond is the reason of the correction that comes before a sale of more
// than there was by the book.
const soldBeyond = "sold beyond the book"

// place is one variant in one store.
type place struct{ store, variant uuid.UUID }

func (p place) compare(o place) int {
	if c := bytes.Compare(p.store[:], o.store[:]); c != 0 {
		return c
	}
	return bytes.Compare(p.variant[:], o.variant[:])
}

// booked is a level that tickets change, and by how much so far.
type booked struct {
	level
	countedAt        *time.Time
	changed, damaged int64
}

// TakeTickets books what tills have sold and taken back, in the caller's
// transaction, for variants that the till's store keeps a stock of. A till is
// right even if the book is not: what it sells beyond the book is found first,
// by an adjustment. Tickets from before the last approved count of a variant
// leave it alone, as the count has seen their effect.
//
// Any number of tickets takes five statements. Levels are locked in the order of
// stores and variants.
func (s *Service) TakeTickets(ctx context.Context, tx *db.Tx, tickets []Ticket) error {
	if len(tickets) == 0 {
		return nil
	}
	levels, err := lockPlaces(ctx, tx, tickets)
	if err != nil || len(levels) == 0 {
		return err
	}
	actor, err := auth.From(ctx)
	if err != nil {
		return err
	}
	var b ledgerRows
	for i := range tickets {
		if err := b.book(&tickets[i], levels); err != nil {
			return err
		}
	}
	if len(b.documents) == 0 {
		return nil
	}
	now := s.clock.Now()
	if _, err := tx.Exec(ctx, insertTicketDocuments.SQL(len(b.documents)), b.documents, b.documentStores, pq.Array(b.origins), b.originIDs, pq.Array(b.lineCounts), actor.Name, now); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertTicketMovements.SQL(len(b.ids)), b.ids, b.of, b.stores, b.variants, pq.Array(b.numbers), pq.Array(b.kinds), pq.Array(b.changes),
		pq.Array(b.after), pq.Array(b.reasons), pq.Array(b.at), now); err != nil {
		return err
	}
	var stores, variants pgarray.UUIDs
	var changed []int64
	for p, l := range levels {
		if l.changed != 0 {
			stores, variants, changed = append(stores, p.store), append(variants, p.variant), append(changed, l.changed)
			warn(tx, p.store, &l.level, l.available()-l.changed)
		}
	}
	if len(stores) > 0 {
		if _, err := tx.Exec(ctx, updatePlaces.SQL(len(stores)), stores, variants, pq.Array(changed), now); err != nil {
			return err
		}
	}
	for i, id := range b.documents {
		events.Emit(tx, events.Event{Type: EventMoved, SubjectType: "store", SubjectID: b.documentStores[i], StoreID: &b.documentStores[i],
			Payload: map[string]any{"document_id": id, "kind": b.firstKinds[i], "lines": b.lineCounts[i]}})
	}
	return nil
}

// lockPlaces locks the levels that tickets are about; variants without one there
// are left out.
func lockPlaces(ctx context.Context, tx *db.Tx, tickets []Ticket) (map[place]*booked, error) {
	seen := map[place]bool{}
	var all []place
	for i := range tickets {
		for _, l := range tickets[i].Lines {
			if p := (place{tickets[i].StoreID, l.VariantID}); !seen[p] {
				seen[p] = true
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, place.compare)
	stores, variants := make(pgarray.UUIDs, len(all)), make(pgarray.UUIDs, len(all))
	for i, p := range all {
		stores[i], variants[i] = p.store, p.variant
	}
	rows, err := tx.Query(ctx, lockPlacesBatch.SQL(len(all)), stores, variants)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[place]*booked, len(all))
	for rows.Next() {
		var l booked
		var store uuid.UUID
		if err := rows.Scan(&store, &l.variant, &l.onHand, &l.reserved, &l.threshold, &l.countedAt); err != nil {
			return nil, err
		}
		found[place{store, l.variant}] = &l
	}
	return found, rows.Err()
}

// ledgerRows are the columns of documents and movements.
type ledgerRows struct {
	documents, documentStores, originIDs pgarray.UUIDs
	origins, firstKinds                  []string
	lineCounts                           []int64

	ids, of, stores, variants pgarray.UUIDs
	numbers, changes, after   []int64
	kinds, reasons, at        []string
}

// book adds a ticket's documents: one for what was sold, one for what came back.
func (b *ledgerRows) book(t *Ticket, levels map[place]*booked) error {
	for _, back := range []bool{false, true} {
		sums := changesOf(t.Lines, func(c *change, q int64) {
			if q < 0 == back {
				c.onHand -= q
			}
		})
		document, n := uuid.Nil, int64(0)
		for _, c := range sums {
			l := levels[place{t.StoreID, c.variant}]
			if c.onHand == 0 || l == nil || l.countedAt != nil && t.At.Before(*l.countedAt) {
				continue
			}
			if document == uuid.Nil {
				var err error
				if document, err = uuid.NewV7(); err != nil {
					return err
				}
			}
			kind := KindSale
			if back {
				kind = KindReturn
			}
			if beyond := -(l.onHand + c.onHand); beyond > 0 {
				n++
				if err := b.line(document, t, n, l, KindAdjustment, beyond, soldBeyond); err != nil {
					return err
				}
			}
			n++
			if err := b.line(document, t, n, l, kind, c.onHand, ""); err != nil {
				return err
			}
		}
		if document == uuid.Nil {
			continue
		}
		origin, id, first := "order", t.OrderID, KindSale
		if back {
			origin, id, first = "return", t.ReturnID, KindReturn
		}
		b.documents, b.documentStores, b.originIDs = append(b.documents, document), append(b.documentStores, t.StoreID), append(b.originIDs, id)
		b.origins, b.firstKinds, b.lineCounts = append(b.origins, origin), append(b.firstKinds, first), append(b.lineCounts, n)
	}
	return nil
}

func (b *ledgerRows) line(document uuid.UUID, t *Ticket, number int64, l *booked, kind string, change int64, reason string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	l.onHand += change
	l.changed += change
	b.ids, b.of, b.stores, b.variants = append(b.ids, id), append(b.of, document), append(b.stores, t.StoreID), append(b.variants, l.variant)
	b.numbers, b.changes, b.after = append(b.numbers, number), append(b.changes, change), append(b.after, l.onHand)
	b.kinds, b.reasons, b.at = append(b.kinds, kind), append(b.reasons, reason), append(b.at, t.At.UTC().Format("2006-01-02 15:04:05.999999Z07:00"))
	return nil
}

func column(name, kind string) db.BatchColumn { return db.BatchColumn{Name: name, Type: kind} }

var (
	lockPlacesBatch = db.NewBatch(`SELECT l.store_id, l.variant_id, l.on_hand, l.reserved, l.low_stock_threshold, l.counted_at
FROM {rows} JOIN stock_levels l ON l.store_id = t.store_id AND l.variant_id = t.variant_id ORDER BY l.store_id, l.variant_id FOR UPDATE OF l`,
		column("store_id", "uuid"), column("variant_id", "uuid"))

	updatePlaces = db.NewBatch(`UPDATE stock_levels l SET on_hand = l.on_hand + t.change, version = l.version + 1, updated_at = $4
FROM {rows} WHERE l.store_id = t.store_id AND l.variant_id = t.variant_id`,
		column("store_id", "uuid"), column("variant_id", "uuid"), column("change", "bigint"))

	insertTicketDocuments = db.NewBatch(`INSERT INTO stock_documents (id, store_id, origin, origin_id, line_count, actor, created_at)
SELECT t.id, t.store_id, t.origin, t.origin_id, t.line_count, $6, $7 FROM {rows} ORDER BY t.n`,
		column("id", "uuid"), column("store_id", "uuid"), column("origin", "text"), column("origin_id", "uuid"), column("line_count", "bigint"))

	insertTicketMovements = db.NewBatch(`INSERT INTO stock_movements (id, document_id, line_number, store_id, variant_id, kind, on_hand_change, damaged_change, incoming_change,
on_hand_after, reason, occurred_at, created_at)
SELECT t.id, t.document_id, t.line_number, t.store_id, t.variant_id, t.kind, t.change, 0, 0, t.after, t.reason, t.at, $11 FROM {rows} ORDER BY t.n`,
		column("id", "uuid"), column("document_id", "uuid"), column("store_id", "uuid"), column("variant_id", "uuid"), column("line_number", "bigint"),
		column("kind", "text"), column("change", "bigint"), column("after", "bigint"), column("reason", "text"), column("at", "timestamptz"))
)
