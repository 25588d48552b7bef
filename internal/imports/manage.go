package imports

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

const (
	kindCustomers  = "customers"
	jobImport      = "imports.run"
	columnsPurpose = "imports.columns"
	cellsPurpose   = "imports.cells"
)

type jobParameters struct {
	ID uuid.UUID `json:"id"`
}

// Run is an import with what follows from its job.
type Run struct {
	*crm.ImportRun
	Columns []Column
	Reading reading
	Status  string // checking, checked, running, succeeded, failed, cancelled
	Failure string // code of what ended it
}

// statusOf tells where an import stands by its present or last job.
func statusOf(dryRun bool, of string) string {
	switch {
	case of == string(job.StatusSucceeded) && dryRun:
		return "checked"
	case of == string(job.StatusQueued), of == string(job.StatusRunning):
		if dryRun {
			return "checking"
		}
		return "running"
	}
	return of
}

// fill completes runs by their jobs.
func (s *Service) fill(ctx context.Context, rows []*crm.ImportRun) ([]*Run, error) {
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.JobID
	}
	found, err := s.DB.From(ctx).Platform.Job.Query().Where(job.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	byID := map[uuid.UUID]*platform.Job{}
	for _, j := range found {
		byID[j.ID] = j
	}
	out := make([]*Run, len(rows))
	for i, r := range rows {
		run := &Run{ImportRun: r, Status: "failed"}
		if j := byID[r.JobID]; j != nil {
			run.Status, run.Failure = statusOf(r.DryRun, string(j.Status)), j.ErrorCode
		}
		raw, err := s.Keys.OpenBlob(columnsPurpose, r.ID[:], r.ColumnsSealed)
		if err != nil {
			return nil, fmt.Errorf("columns of import %s: %w", r.ID, err)
		}
		if err := json.Unmarshal(raw, &run.Columns); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(r.Reading, &run.Reading); err != nil {
			return nil, err
		}
		out[i] = run
	}
	return out, nil
}

// position is the last run shown.
type position struct {
	ID uuid.UUID `json:"i"`
}

// Imports lists the caller's own, newest first. Errors: request.bad_cursor.
func (s *Service) Imports(ctx context.Context, l page.List, cursor *string, count bool) (out page.Of[*Run], err error) {
	var after position
	more, err := s.Pages.Decode(l.Name(), cursor, &after)
	if err != nil {
		return out, err
	}
	q := s.DB.From(ctx).CRM.ImportRun.Query().Where(importrun.RequestedBy(auth.Must(ctx).Principal()))
	if count {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return out, fmt.Errorf("count imports: %w", err)
		}
		total := int64(n)
		out.Total = &total
	}
	if more {
		q.Where(importrun.IDLT(after.ID))
	}
	rows, err := q.Order(crm.Desc(importrun.FieldID)).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return out, fmt.Errorf("list imports: %w", err)
	}
	rows, more = page.Cut(rows, l.Limit)
	if more {
		out.Next, out.Link = l.After(s.Pages, position{rows[len(rows)-1].ID})
	}
	out.Items, err = s.fill(ctx, rows)
	return out, err
}

// Get reads an import of the caller's. Error: ErrNotFound.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (*Run, error) {
	r, err := s.DB.From(ctx).CRM.ImportRun.Query().Where(importrun.ID(id), importrun.RequestedBy(auth.Must(ctx).Principal())).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrNotFound.New()
	}
	if err != nil {
		return nil, fmt.Errorf("read an import: %w", err)
	}
	filled, err := s.fill(ctx, []*crm.ImportRun{r})
	if err != nil {
		return nil, err
	}
	if at := filled[0].Status; at != "running" && at != "checking" {
		// Its last counts may have been written between the two statements.
		if r, err = s.DB.From(ctx).CRM.ImportRun.Get(ctx, id); err != nil {
			return nil, fmt.Errorf("read an import: %w", err)
		}
		filled[0].ImportRun = r
	}
	return filled[0], nil
}

// Start takes over what was tried, or goes on with what was cancelled or has
// failed, without another upload.
// Errors: ErrNotFound, ErrRunning, ErrFinished, ErrBegun, ErrGone, ErrRepeated,
// ErrMapping, ErrHeader, ErrMappingNeeds, ErrMappingLacks, auth.forbidden.
func (s *Service) Start(ctx context.Context, id uuid.UUID, asked []MappingEntry, duplicates *string, repeat bool) (*Run, *platform.Job, error) {
	var started *platform.Job
	err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		locked, err := tx.CRM.ImportRun.Query().Where(importrun.ID(id), importrun.RequestedBy(auth.Must(ctx).Principal())).ForUpdate().Only(ctx)
		if crm.IsNotFound(err) {
			return ErrNotFound.New()
		}
		if err != nil {
			return fmt.Errorf("lock an import: %w", err)
		}
		filled, err := s.fill(ctx, []*crm.ImportRun{locked})
		if err != nil {
			return err
		}
		run := filled[0]
		switch {
		case run.Status == "checking" || run.Status == "running":
			return ErrRunning.New()
		case run.Status == "succeeded":
			return ErrFinished.New()
		case run.FileDeletedAt != nil:
			return ErrGone.New()
		}
		change := tx.CRM.ImportRun.UpdateOne(locked).SetDryRun(false).AddVersion(1).SetUpdatedAt(s.Clock.Now())
		switch {
		case !run.DryRun && (asked != nil || duplicates != nil && *duplicates != string(run.Duplicates)):
			return ErrBegun.New()
		case run.DryRun:
			// What the trial counted and found is counted and found anew.
			change.SetPosition(run.Reading.Header).SetCreatedRows(0).SetUpdatedRows(0).SetSkippedRows(0).SetFailedRows(0).SetHeldRows(0).SetMadeRecords(0)
			if err := deleteErrors(ctx, tx, id); err != nil {
				return err
			}
			if !repeat && run.Kind == kindCustomers {
				if err := s.refuseRepeated(ctx, tx, id, run.Sha256); err != nil {
					return err
				}
			}
		}
		wanted := string(run.Duplicates)
		if duplicates != nil {
			wanted = *duplicates
			change.SetDuplicates(importrun.Duplicates(wanted))
		}
		if err := mayDo(ctx, run.Kind, wanted, optionsOf(run.ImportRun)); err != nil {
			return err
		}
		if !policyOf(run.Kind, wanted) {
			return ErrField.At("/duplicates")
		}
		as, err := s.layout(ctx, run.Kind)
		if err != nil {
			return err
		}
		if asked != nil {
			if run.Reading.Format != "" {
				return ErrField.At("/mapping")
			}
			m, err := resolveMapping(asked, run.Columns, as)
			if err != nil {
				return err
			}
			if err := as.complete(m); err != nil {
				return err
			}
			raw, err := json.Marshal(m)
			if err != nil {
				return err
			}
			change.SetMapping(raw)
		} else if string(run.Mapping) == "{}" {
			return ErrMappingNeeds.At("/mapping")
		} else if run.Reading.Format == "" {
			var m Mapping
			if err := json.Unmarshal(run.Mapping, &m); err != nil {
				return err
			}
			if err := as.complete(m); err != nil {
				return err
			}
		}
		if started, err = s.Queue.StartVisible(ctx, tx, jobImport, jobParameters{ID: id}); err != nil {
			return err
		}
		if err := change.SetJobID(started.ID).Exec(ctx); err != nil {
			return fmt.Errorf("start an import: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "imports.start", ObjectType: "import", ObjectID: id.String(),
			Changes: map[string]any{"duplicates": wanted, "from_row": run.Position, "after": run.Status}})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	run, err := s.Get(ctx, id)
	return run, started, err
}
