package imports

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// batch is how many rows one transaction takes over: long enough to be worth
// its commit, short enough to lose little and to hold up nobody.
const batch = 1000

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
	Records  int64     `json:"records"`
}

func resultOf(r *crm.ImportRun) *Result {
	return &Result{ImportID: r.ID, DryRun: r.DryRun, Rows: r.CreatedRows + r.UpdatedRows + r.SkippedRows + r.FailedRows + r.HeldRows,
		Created: r.CreatedRows, Updated: r.UpdatedRows, Skipped: r.SkippedRows, Failed: r.FailedRows, Held: r.HeldRows, Likely: r.LikelyRows, Records: r.MadeRecords}
}

// work is one attempt at an import.
type work struct {
	s       *Service
	run     *Run // as the last committed batch left it
	id, job uuid.UUID
	actor   auth.Actor
	kind    kind
	abreast int // batches at a time
}

// kind is what imports of different things differ by.
type kind interface {
	// read collects the next rows after one into a batch. What came before an
	// error is in it; io.EOF when nothing follows.
	read(source rows, after int64) (pending, error)
	// keys name what a batch must not share with those on their way beside it.
	keys(p *pending) []string
	// take does a batch's work, but for what must come in the order of the file.
	take(ctx context.Context, tx *db.Tx, p *pending) error
	// settle does the rest and says what became of the rows. Run is locked.
	settle(ctx context.Context, tx *db.Tx, run *crm.ImportRun, p *pending) (tally, error)
	// finish is called when the last batch has been committed, also of an attempt
	// that was cancelled or has failed.
	finish(ctx context.Context) error
}

// tally is what became of a batch.
type tally struct {
	created, updated, skipped, held, likely, reviews int64 // rows
	records                                          int64 // orders or products made
	bad                                              []badRow
}

// kindOf prepares what an import is for, as far as the actor of now may.
func (s *Service) kindOf(ctx context.Context, w *work) (kind, error) {
	switch w.run.Kind {
	case kindOrders:
		return s.newOrders(ctx, w)
	case kindProducts:
		return s.newProducts(w)
	}
	return s.newPeople(ctx, w)
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
	w := &work{s: s, run: filled[0], id: row.ID, job: row.JobID, abreast: batchesAbreast}
	if w.actor, err = s.Current(ctx, row.RequestedBy); err != nil {
		return nil, err
	}
	if err := may(w.actor, auth.CustomersCreate, needed(row.Kind)); err != nil {
		return nil, err
	}
	w.actor = w.actor.Using(needed(row.Kind))
	ctx = customers.WithImport(auth.With(ctx, w.actor), row.ID)
	if err := mayDo(ctx, row.Kind, string(row.Duplicates), optionsOf(row)); err != nil {
		return nil, err
	}
	if row.DryRun {
		w.abreast = 1 // a batch must see what those before it did
		if err := w.restart(ctx); err != nil {
			return nil, err
		}
	}
	if w.kind, err = s.kindOf(ctx, w); err != nil {
		return nil, err
	}
	source, closeFile, err := s.openRows(row.ID, &w.run.Reading)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, ErrGone.New()
	}
	if err != nil {
		return nil, err
	}
	defer closeFile()
	err = w.all(ctx, source, progress)
	if ctx.Err() == nil {
		err = errors.Join(err, w.kind.finish(ctx))
	}
	return resultOf(w.run.ImportRun), err
}

// restart begins a trial anew: what it has seen was in a process that is gone.
func (w *work) restart(ctx context.Context) error {
	return w.s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := deleteErrors(ctx, tx, w.run.ID); err != nil {
			return err
		}
		row, err := tx.CRM.ImportRun.UpdateOneID(w.run.ID).SetPosition(w.run.Reading.Header).SetCreatedRows(0).SetUpdatedRows(0).
			SetSkippedRows(0).SetFailedRows(0).SetHeldRows(0).SetMadeRecords(0).Save(ctx)
		if err == nil {
			w.run.ImportRun = row
		}
		return err
	})
}

// pending is a batch of rows as they were read.
type pending struct {
	rows        []badRow // with their cells and the faults found while reading
	after, last int64    // the rows' numbers: beyond the first, up to the second
	end         bool     // nothing follows
	alone       bool     // nothing may be on its way beside it
	work        any      // of the kind: what the rows mean, and what became of it
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
		p, err := w.kind.read(source, read)
		p.after, p.end = read, errors.Is(err, io.EOF)
		p.last = max(p.last, read)
		read = p.last
		// What came before a place where the file cannot be read is taken over.
		if len(p.rows) > 0 || p.end {
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
		if err := w.kind.take(ctx, tx, p); err != nil {
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
		t, err := w.kind.settle(ctx, tx, locked, p)
		if err != nil {
			return err
		}
		kept := t.bad[:min(int64(len(t.bad)), max(0, maxErrors-locked.FailedRows))]
		if err := w.s.writeErrors(ctx, tx, w.id, kept); err != nil {
			return err
		}
		change := tx.CRM.ImportRun.UpdateOne(locked).SetPosition(p.last).AddCreatedRows(t.created).AddUpdatedRows(t.updated).AddSkippedRows(t.skipped).
			AddFailedRows(int64(len(t.bad))).AddHeldRows(t.held).AddLikelyRows(t.likely).AddOpenReviews(t.reviews).AddMadeRecords(t.records).
			AddVersion(1).SetUpdatedAt(w.s.Clock.Now())
		if p.end {
			change.SetTotalRows(resultOf(locked).Rows + int64(len(p.rows)))
		}
		row, err = change.Save(ctx)
		return err
	})
	return row, err
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
