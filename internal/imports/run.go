package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// batch is how many rows one transaction takes over: long enough to be worth
// its commit, short enough to lose little and to hold up nobody.
const batch = 1000

// Under review each new customer is compared with those there are, some
// milliseconds each, up to so many; the rest of a larger file is left to a full
// search, which is quicker then.
const (
	reviewBatch = 200
	reviewMost  = 20_000
)

// Result is what a finished job reports.
type Result struct {
	ImportID uuid.UUID `json:"import_id"`
	DryRun   bool      `json:"dry_run"`
	Rows     int64     `json:"rows"`
	Created  int64     `json:"created"`
	Updated  int64     `json:"updated"`
	Skipped  int64     `json:"skipped"`
	Failed   int64     `json:"failed"`
	Held     int64     `json:"held"`
	Likely   int64     `json:"likely"`
}

func resultOf(r *crm.ImportRun) *Result {
	return &Result{ImportID: r.ID, DryRun: r.DryRun, Rows: r.CreatedRows + r.UpdatedRows + r.SkippedRows + r.FailedRows + r.HeldRows,
		Created: r.CreatedRows, Updated: r.UpdatedRows, Skipped: r.SkippedRows, Failed: r.FailedRows, Held: r.HeldRows, Likely: r.LikelyRows}
}

// work is one attempt at an import.
type work struct {
	s         *Service
	run       *Run // as the last committed batch left it
	id, job   uuid.UUID
	what      customers.Takeover
	actor     auth.Actor
	converter *converter
	batch     int
	abreast   int // batches at a time
}

// runImport reads a file from where the last committed batch ended.
func (s *Service) runImport(ctx context.Context, p jobParameters, progress *jobs.Progress) (any, error) {
	row, err := s.DB.CRM.ImportRun.Get(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	filled, err := s.fill(ctx, []*crm.ImportRun{row})
	if err != nil {
		return nil, err
	}
	w := &work{s: s, run: filled[0], id: row.ID, job: row.JobID, what: customers.Takeover{
		Update: row.Duplicates == importrun.DuplicatesUpdate, Review: row.Duplicates == importrun.DuplicatesReview, DryRun: row.DryRun}}
	if w.actor, err = s.Current(ctx, row.RequestedBy); err != nil {
		return nil, err
	}
	if !w.actor.Can(auth.CustomersCreate) {
		return nil, apperr.ErrForbidden.New().Arg("permission", auth.CustomersCreate)
	}
	w.actor = w.actor.Using(auth.CustomersCreate)
	ctx = customers.WithImport(auth.With(ctx, w.actor), row.ID)
	if err := mayDo(ctx, string(row.Duplicates)); err != nil {
		return nil, err
	}
	if row.DryRun {
		w.what.Seen = newBounded().add
		if err := w.restart(ctx); err != nil {
			return nil, err
		}
	}
	if w.converter, err = s.converterOf(ctx, w.run); err != nil {
		return nil, err
	}
	w.batch, w.abreast = batch, batchesAbreast
	if w.what.Review {
		w.batch = reviewBatch
	}
	if w.what.Review || w.what.DryRun {
		w.abreast = 1 // a batch must see what those before it did
	}
	source, closeFile, err := s.openRows(row.ID, &w.run.Reading)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, ErrGone.New()
	}
	if err != nil {
		return nil, err
	}
	defer closeFile()
	if err := w.all(ctx, source, progress); err != nil {
		return resultOf(w.run.ImportRun), err
	}
	return resultOf(w.run.ImportRun), nil
}

// restart begins a trial anew: what it has seen was in a process that is gone.
func (w *work) restart(ctx context.Context) error {
	return w.s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := deleteErrors(ctx, tx, w.run.ID); err != nil {
			return err
		}
		row, err := tx.CRM.ImportRun.UpdateOneID(w.run.ID).SetPosition(w.run.Reading.Header).SetCreatedRows(0).SetUpdatedRows(0).
			SetSkippedRows(0).SetFailedRows(0).SetHeldRows(0).Save(ctx)
		if err == nil {
			w.run.ImportRun = row
		}
		return err
	})
}

// converterOf prepares the reading of an import's rows, within the actor's reach.
func (s *Service) converterOf(ctx context.Context, run *Run) (*converter, error) {
	var m Mapping
	if err := json.Unmarshal(run.Mapping, &m); err != nil {
		return nil, fmt.Errorf("mapping of import %s: %w", run.ID, err)
	}
	p := places{stores: map[string]uuid.UUID{}, staff: map[string]uuid.UUID{}}
	for _, field := range m {
		switch field {
		case "home_store":
			found, err := s.DB.Platform.Store.Query().All(ctx)
			if err != nil {
				return nil, err
			}
			for _, st := range found {
				p.stores[strings.ToLower(st.Code)], p.stores[st.ID.String()] = st.ID, st.ID
			}
		case "assigned_staff":
			found, err := s.DB.Platform.Staff.Query().All(ctx) // within the caller's scope
			if err != nil {
				return nil, err
			}
			for _, st := range found {
				p.staff[strings.ToLower(st.Username)], p.staff[st.ID.String()] = st.ID, st.ID
			}
		}
	}
	c := newConverter(m, run.Reading.Columns, run.Format == importrun.FormatXlsx, p)
	c.mac = run.Reading.Mac
	return c, nil
}

// pending is a batch of rows as they were read.
type pending struct {
	items       []customers.BulkItem
	bad         []badRow // one for each item, with its cells
	after, last int64    // the rows' numbers: beyond the first, up to the second
	end         bool     // nothing follows
}

// all takes the file over, several batches at a time (line.go).
func (w *work) all(ctx context.Context, source rows, progress *jobs.Progress) error {
	total := w.run.TotalRows
	report := func() {
		done := resultOf(w.run.ImportRun).Rows
		if total > 0 {
			total = max(total, done)
		}
		progress.Set(done, total)
	}
	report()
	ctx, stop := context.WithCancel(ctx)
	l := &line{w: w, landed: report}
	defer func() { stop(); l.wait() }()
	read := w.run.Position
	for {
		if progress.Cancelled() {
			if err := l.settle(ctx, 0); err != nil {
				return err
			}
			return jobs.ErrCancelled
		}
		p, err := w.read(source, read)
		p.end = errors.Is(err, io.EOF)
		read = p.last
		// What came before a place where the file cannot be read is taken over.
		if len(p.items) > 0 || p.end {
			if err := l.add(ctx, p); err != nil {
				return err
			}
		}
		if err != nil {
			if err := l.settle(ctx, 0); err != nil {
				return err
			}
		}
		if p.end {
			total = resultOf(w.run.ImportRun).Rows
			report()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// read collects the next rows after one.
func (w *work) read(source rows, after int64) (pending, error) {
	p := pending{items: make([]customers.BulkItem, 0, w.batch), bad: make([]badRow, 0, w.batch), after: after, last: after}
	for len(p.items) < w.batch {
		r, err := source.next()
		if err != nil {
			return p, err
		}
		if r.number <= after || r.empty() {
			continue
		}
		if r.number-w.run.Reading.Header > maxRows {
			return p, ErrRows.New().Arg("max", maxRows)
		}
		in, faults := w.converter.convert(&r)
		item := customers.BulkItem{Input: in}
		if len(faults) > 0 {
			item.Err = errFaulty
		}
		p.items = append(p.items, item)
		p.bad = append(p.bad, badRow{Number: r.number, Faults: faults, Cells: slices.Clone(r.cells)})
		p.last = r.number
	}
	return p, nil
}

// errFaulty stands for the faults found before the customers domain saw a row.
var errFaulty = errors.New("imports: the row has faults")

// lockTimeout is how long a batch that has others beside it waits for a row
// that somebody else holds: it may be a batch that waits for this one's turn.
const lockTimeout = "SET LOCAL lock_timeout = '2s'"

// commit takes a batch over and, when its turn has come, writes how far the
// file has come, together. A batch without a turn is alone.
func (w *work) commit(ctx context.Context, p *pending, turn func(context.Context) error) (row *crm.ImportRun, err error) {
	err = w.s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if turn != nil {
			if _, err := tx.Exec(ctx, lockTimeout); err != nil {
				return err
			}
		}
		out, err := w.s.Customers.TakeOver(ctx, tx, w.what, p.items)
		if err != nil {
			return err
		}
		if turn != nil {
			if err := turn(ctx); err != nil {
				return err
			}
		}
		locked, err := tx.CRM.ImportRun.Query().Where(importrun.ID(w.id)).ForUpdate().Only(ctx)
		if err != nil {
			return err
		}
		if locked.Position != p.after || locked.JobID != w.job {
			return fmt.Errorf("import %s has been taken on by another process", w.id)
		}
		var created, updated, skipped, reviews int64
		var bad []badRow
		var held []heldRow
		var fresh []uuid.UUID
		for i, o := range out {
			switch o.Status {
			case "created":
				created++
				fresh = append(fresh, o.CustomerID)
			case "held":
				held = append(held, heldRow{Number: p.bad[i].Number, Cells: p.bad[i].Cells, Matches: o.Matches})
			case "updated":
				updated++
			case "skipped":
				skipped++
			default:
				b := p.bad[i]
				if len(b.Faults) == 0 {
					if b.Faults = w.converter.domainFaults(o.Err); b.Faults == nil {
						return o.Err
					}
				}
				bad = append(bad, b)
			}
		}
		if room := max(0, maxErrors-locked.FailedRows); int64(len(bad)) > room {
			err = w.s.writeErrors(ctx, tx, w.id, bad[:room])
		} else {
			err = w.s.writeErrors(ctx, tx, w.id, bad)
		}
		if err != nil {
			return err
		}
		var likely int64
		if w.what.Review && !w.what.DryRun {
			reviews = int64(len(held))
			if err := w.s.writeReviews(ctx, tx, w.id, held); err != nil {
				return err
			}
			if likely, err = w.s.compare(ctx, tx, locked.CreatedRows, fresh, p.end); err != nil {
				return err
			}
		}
		change := tx.CRM.ImportRun.UpdateOne(locked).SetPosition(p.last).AddCreatedRows(created).AddUpdatedRows(updated).AddSkippedRows(skipped).
			AddFailedRows(int64(len(bad))).AddHeldRows(int64(len(held))).AddLikelyRows(likely).AddOpenReviews(reviews).AddVersion(1).SetUpdatedAt(w.s.Clock.Now())
		if p.end {
			change.SetTotalRows(resultOf(locked).Rows + int64(len(out)))
		}
		row, err = change.Save(ctx)
		return err
	})
	return row, err
}

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

// bounded remembers keys, up to a number that fits into memory: beyond it, a
// trial may count a row as new whose twin came before.
type bounded struct {
	seed maphash.Seed
	keys map[uint64]struct{}
}

const maxSeen = 1 << 20

func newBounded() *bounded {
	return &bounded{seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}}
}

func (b *bounded) add(key string) bool {
	h := maphash.String(b.seed, key)
	if _, known := b.keys[h]; known {
		return true
	}
	if len(b.keys) < maxSeen {
		b.keys[h] = struct{}{}
	}
	return false
}
