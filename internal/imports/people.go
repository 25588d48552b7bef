package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Under review each new customer is compared with those there are, some
// milliseconds each, up to so many; the rest of a larger file is left to a full
// search, which is quicker then.
const (
	reviewBatch = 200
	reviewMost  = 20_000
)

// people is the import of customers.
type people struct {
	w         *work
	what      customers.Takeover
	converter *converter
	batch     int
}

// peopleWork is a batch of customers.
type peopleWork struct {
	items []customers.BulkItem // one for each row
	out   []customers.BulkOutcome
}

func (s *Service) newPeople(ctx context.Context, w *work) (*people, error) {
	k := &people{w: w, batch: batch, what: customers.Takeover{Update: w.run.Duplicates == importrun.DuplicatesUpdate,
		Review: w.run.Duplicates == importrun.DuplicatesReview, DryRun: w.run.DryRun}}
	if w.run.DryRun {
		k.what.Seen = newBounded().add
	}
	if k.what.Review {
		k.batch, w.abreast = reviewBatch, 1
	}
	var err error
	k.converter, err = s.converterOf(ctx, w.run)
	return k, err
}

// converterOf prepares the reading of an import's rows, within the actor's reach.
func (s *Service) converterOf(ctx context.Context, run *Run) (*converter, error) {
	m, p, err := s.placesOf(ctx, run)
	if err != nil {
		return nil, err
	}
	c := newConverter(m, run.Reading.Columns, run.Format == importrun.FormatXlsx, p)
	c.mac = run.Reading.Mac
	return c, nil
}

// placesOf reads an import's mapping, and the stores and staff that its rows may
// name within the actor's reach.
func (s *Service) placesOf(ctx context.Context, run *Run) (m Mapping, p places, err error) {
	if err := json.Unmarshal(run.Mapping, &m); err != nil {
		return nil, p, fmt.Errorf("mapping of import %s: %w", run.ID, err)
	}
	p = places{stores: map[string]uuid.UUID{}, staff: map[string]uuid.UUID{}}
	for _, field := range m {
		switch field {
		case "home_store", "store":
			found, err := s.DB.Platform.Store.Query().All(ctx)
			if err != nil {
				return nil, p, err
			}
			for _, st := range found {
				p.stores[strings.ToLower(st.Code)], p.stores[st.ID.String()] = st.ID, st.ID
			}
		case "assigned_staff", "staff":
			found, err := s.DB.Platform.Staff.Query().All(ctx) // within the caller's scope
			if err != nil {
				return nil, p, err
			}
			for _, st := range found {
				p.staff[strings.ToLower(st.Username)], p.staff[st.ID.String()] = st.ID, st.ID
			}
		}
	}
	return m, p, nil
}

// read collects the next rows after one.
func (k *people) read(source rows, after int64) (pending, error) {
	batch := &peopleWork{items: make([]customers.BulkItem, 0, k.batch)}
	p := pending{rows: make([]badRow, 0, k.batch), last: after, work: batch}
	for len(p.rows) < k.batch {
		r, err := source.next()
		if err != nil {
			return p, err
		}
		if r.number <= after || r.empty() {
			continue
		}
		if r.number-k.w.run.Reading.Header > maxRows {
			return p, ErrRows.New().Arg("max", maxRows)
		}
		in, faults := k.converter.convert(&r)
		item := customers.BulkItem{Input: in}
		if len(faults) > 0 {
			item.Err = errFaulty
		}
		batch.items = append(batch.items, item)
		p.rows = append(p.rows, badRow{Number: r.number, Faults: faults, Cells: slices.Clone(r.cells)})
		p.last = r.number
	}
	return p, nil
}

// errFaulty stands for the faults found before the customers domain saw a row.
var errFaulty = errors.New("imports: the row has faults")

func (k *people) keys(p *pending) []string {
	var out []string
	items := p.work.(*peopleWork).items
	for i := range items {
		out = append(out, k.w.s.Customers.Identifiers(&items[i].Input)...)
	}
	return out
}

func (k *people) take(ctx context.Context, tx *db.Tx, p *pending) (err error) {
	batch := p.work.(*peopleWork)
	batch.out, err = k.w.s.Customers.TakeOver(ctx, tx, k.what, batch.items)
	return err
}

func (k *people) settle(ctx context.Context, tx *db.Tx, run *crm.ImportRun, p *pending) (t tally, err error) {
	var held []heldRow
	var fresh []uuid.UUID
	for i, o := range p.work.(*peopleWork).out {
		switch o.Status {
		case "created":
			t.created++
			fresh = append(fresh, o.CustomerID)
		case "held":
			held = append(held, heldRow{Number: p.rows[i].Number, Cells: p.rows[i].Cells, Matches: o.Matches})
		case "updated":
			t.updated++
		case "skipped":
			t.skipped++
		default:
			b := p.rows[i]
			if len(b.Faults) == 0 {
				if b.Faults = k.converter.domainFaults(o.Err); b.Faults == nil {
					return t, o.Err
				}
			}
			t.bad = append(t.bad, b)
		}
	}
	t.held = int64(len(held))

	if k.what.Review && !k.what.DryRun {
		t.reviews = t.held
		if err := k.w.s.writeReviews(ctx, tx, k.w.id, held); err != nil {
			return t, err
		}
		t.likely, err = k.w.s.compare(ctx, tx, run.CreatedRows, fresh, p.end)
	}
	return t, err
}

func (k *people) finish(context.Context) error { return nil }

// compare looks for people among those who were made of a batch. After a file
// too large for that a full search begins with its end.
func (s *Service) compare(ctx context.Context, tx *db.Tx, before int64, fresh []uuid.UUID, end bool) (int64, error) {
	if before < reviewMost {
		return s.Customers.CompareNew(ctx, tx, fresh)
	}
	if !end {
		return 0, nil
	}
	_, err := s.Customers.ScanDuplicates(auth.System(ctx, jobImport))
	if customers.ErrScanRunning.Is(err) {
		err = nil
	}
	return 0, err
}
