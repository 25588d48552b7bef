package imports

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/exportrun"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/orders"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/blob"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

const (
	kindOrders    = "orders"
	kindProducts  = "products"
	jobExport     = "exports.run"
	filterPurpose = "exports.filter"

	// How long a file is kept. Whole phone numbers of many people lie about no
	// longer than it takes to fetch them.
	keepMasked = 7 * 24 * time.Hour
	keepClear  = 24 * time.Hour

	// maxRunning is how many exports somebody may have under way.
	maxRunning = 3
)

// ExportRequest says what somebody wants as a file.
type ExportRequest struct {
	Kind, Format, Language string
	Fields                 []string // nil for all
	Filter                 ExportFilter
	Clear                  bool // personal fields whole
	Reason                 string
}

// ExportFilter is the filter of the kind exported.
type ExportFilter struct {
	Customers *customers.Filter `json:"customers,omitempty"`
	Orders    *orders.Filter    `json:"orders,omitempty"`
	Products  *catalog.Range    `json:"products,omitempty"`
}

// Exported is an export with what follows from its job.
type Exported struct {
	*crm.ExportRun
	Status  string // running, succeeded, failed, cancelled
	Failure string // code of what ended it
}

func exportFile(id uuid.UUID) string { return "exports/" + id.String() }

// readsOf is the permission that shows the records of a kind one by one.
func readsOf(kind string) auth.Permission {
	switch kind {
	case kindOrders:
		return auth.OrdersRead
	case kindProducts:
		return auth.CatalogRead
	}
	return auth.CustomersRead
}

// may refuses those who lack a permission. Error: auth.forbidden.
func may(actor auth.Actor, needed ...auth.Permission) error {
	for _, p := range needed {
		if !actor.Can(p) {
			return apperr.ErrForbidden.New().Arg("permission", p)
		}
	}
	return nil
}

// everybodys reports whether an actor may have what others asked for.
func everybodys(actor auth.Actor) bool {
	return actor.Can(auth.ExportsManage) && actor.ScopeOf(auth.ExportsManage).All
}

// Export starts the job that writes a file.
// Errors: auth.forbidden; ErrExportField; ErrExportBusy; customers.reason_required;
// those of the filter.
func (s *Service) Export(ctx context.Context, in ExportRequest) (*Exported, *platform.Job, error) {
	actor := auth.Must(ctx)
	// Of the operation's own permission the edge has made sure.
	needed := []auth.Permission{readsOf(in.Kind)}
	if in.Clear {
		needed = append(needed, auth.ExportsCreate)
	}
	if err := may(actor, needed...); err != nil {
		return nil, nil, err
	}
	if in.Reason = strings.TrimSpace(in.Reason); in.Clear && utf8.RuneCountInString(in.Reason) < 2 {
		return nil, nil, customers.ErrReason.At("/reason")
	}
	defined, err := s.Customers.FileFields(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := checkFields(in.Kind, in.Fields, defined); err != nil {
		return nil, nil, err
	}
	if in.Filter.Customers != nil {
		if err := s.Customers.CheckFilter(ctx, *in.Filter.Customers); err != nil {
			return nil, nil, under("/filter", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, err
	}
	filter, err := json.Marshal(in.Filter)
	if err != nil {
		return nil, nil, err
	}
	keep := keepMasked
	if in.Clear {
		keep = keepClear
	}
	if in.Fields == nil {
		in.Fields = []string{}
	}
	now := s.Clock.Now()
	var row *crm.ExportRun
	var started *platform.Job
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.refuseBusy(ctx, tx, actor.Principal()); err != nil {
			return err
		}
		if started, err = s.Queue.StartVisible(ctx, tx, jobExport, jobParameters{ID: id}); err != nil {
			return err
		}
		change := tx.CRM.ExportRun.Create().SetID(id).SetKind(in.Kind).SetFormat(exportrun.Format(in.Format)).SetLanguage(in.Language).SetFields(in.Fields).
			SetFilterSealed(s.Keys.SealBlob(filterPurpose, id[:], filter)).SetClear(in.Clear).SetJobID(started.ID).SetRequestedBy(actor.Principal()).
			SetExpiresAt(now.Add(keep)).SetCreatedAt(now).SetUpdatedAt(now)
		if in.Reason != "" {
			change.SetReason(in.Reason)
		}
		if row, err = change.Save(ctx); err != nil {
			return fmt.Errorf("write an export: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{Action: "exports.create", ObjectType: "export", ObjectID: id.String(), Reason: in.Reason,
			Changes: map[string]any{"kind": in.Kind, "format": in.Format, "clear": in.Clear, "fields": in.Fields, "filters": in.Filter.names(), "job_id": started.ID}})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return &Exported{ExportRun: row, Status: statusOf(false, string(started.Status))}, started, nil
}

// names tells which filters are set, for the audit log: values may be personal.
func (f ExportFilter) names() []string {
	set := map[string]any{}
	for _, one := range []any{f.Customers, f.Orders} {
		raw, err := json.Marshal(one)
		if err != nil || string(raw) == "null" {
			continue
		}
		_ = json.Unmarshal(raw, &set)
	}
	out := []string{}
	for name, v := range set {
		if v != nil && v != "" && v != false && v != uuid.Nil.String() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// under moves the pointers of an error into a part of the body.
func under(base string, err error) error {
	if e := apperr.From(err); e != nil {
		for i := range e.Fields {
			e.Fields[i].Pointer = base + e.Fields[i].Pointer
		}
		return e
	}
	return err
}

// refuseBusy bounds what one person can have the workers do. Error: ErrExportBusy.
func (s *Service) refuseBusy(ctx context.Context, tx *db.Tx, principal string) error {
	jobs, err := tx.CRM.ExportRun.Query().Where(exportrun.RequestedBy(principal), exportrun.Ready(false), exportrun.FileDeletedAtIsNil()).
		Order(crm.Desc(exportrun.FieldID)).Limit(100).Select(exportrun.FieldJobID).All(ctx)
	if err != nil {
		return fmt.Errorf("look for exports: %w", err)
	}
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.JobID
	}
	n, err := tx.Platform.Job.Query().Where(job.IDIn(ids...), job.StatusIn(job.StatusQueued, job.StatusRunning)).Count(ctx)
	if err != nil {
		return fmt.Errorf("count exports: %w", err)
	}
	if n >= maxRunning {
		return ErrExportBusy.New().Arg("max", maxRunning)
	}
	return nil
}

// complete adds what the jobs of exports tell.
func (s *Service) complete(ctx context.Context, rows []*crm.ExportRun) ([]*Exported, error) {
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
	out := make([]*Exported, len(rows))
	for i, r := range rows {
		out[i] = &Exported{ExportRun: r, Status: "failed"}
		if j := byID[r.JobID]; j != nil {
			out[i].Status, out[i].Failure = statusOf(false, string(j.Status)), j.ErrorCode
		}
		if out[i].Status == "succeeded" && !r.Ready && r.FileDeletedAt == nil {
			out[i].Status = "running" // it ended between the two statements
		}
	}
	return out, nil
}

// visible are the exports that the caller may see: their own, or all.
func (s *Service) visible(ctx context.Context) *crm.ExportRunQuery {
	q := s.DB.From(ctx).CRM.ExportRun.Query()
	if actor := auth.Must(ctx); !everybodys(actor) {
		q.Where(exportrun.RequestedBy(actor.Principal()))
	}
	return q
}

// Exports lists exports, newest first. Errors: request.bad_cursor.
func (s *Service) Exports(ctx context.Context, l page.List, cursor *string, count bool) (out page.Of[*Exported], err error) {
	var after position
	more, err := s.Pages.Decode(l.Name(), cursor, &after)
	if err != nil {
		return out, err
	}
	q := s.visible(ctx)
	if count {
		n, err := q.Clone().Count(ctx)
		if err != nil {
			return out, fmt.Errorf("count exports: %w", err)
		}
		total := int64(n)
		out.Total = &total
	}
	if more {
		q.Where(exportrun.IDLT(after.ID))
	}
	rows, err := q.Order(crm.Desc(exportrun.FieldID)).Limit(l.Limit + 1).All(ctx)
	if err != nil {
		return out, fmt.Errorf("list exports: %w", err)
	}
	rows, more = page.Cut(rows, l.Limit)
	if more {
		out.Next, out.Link = l.After(s.Pages, position{rows[len(rows)-1].ID})
	}
	out.Items, err = s.complete(ctx, rows)
	return out, err
}

// GetExport reads an export. Error: ErrExportNotFound.
func (s *Service) GetExport(ctx context.Context, id uuid.UUID) (*Exported, error) {
	row, err := s.visible(ctx).Where(exportrun.ID(id)).Only(ctx)
	if crm.IsNotFound(err) {
		return nil, ErrExportNotFound.New()
	}
	if err != nil {
		return nil, fmt.Errorf("read an export: %w", err)
	}
	out, err := s.complete(ctx, []*crm.ExportRun{row})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// OpenExport opens the file of an export for somebody who may have it still, and
// records that. The caller closes it.
// Errors: ErrExportNotFound, ErrExportUnready, ErrExportGone, auth.forbidden.
func (s *Service) OpenExport(ctx context.Context, id uuid.UUID) (*Exported, *blob.Reader, error) {
	run, err := s.GetExport(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	needed := []auth.Permission{readsOf(run.Kind)}
	if run.Clear {
		needed = append(needed, auth.CustomersExportClear)
	}
	if err := may(auth.Must(ctx), needed...); err != nil {
		return nil, nil, err
	}
	switch {
	case run.FileDeletedAt != nil || !s.Clock.Now().Before(run.ExpiresAt):
		return nil, nil, ErrExportGone.New()
	case !run.Ready:
		return nil, nil, ErrExportUnready.New()
	}
	f, err := s.Files.Open(exportFile(id))
	if err != nil {
		return nil, nil, fmt.Errorf("open export %s: %w", id, err)
	}
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "exports.download", ObjectType: "export", ObjectID: id.String(),
			Changes: map[string]any{"kind": run.Kind, "clear": run.Clear, "rows": run.RowCount}})
		return nil
	})
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return run, f, nil
}

// DeleteExport deletes a file before its time; the record stays.
// Errors: ErrExportNotFound, ErrExportRunning.
func (s *Service) DeleteExport(ctx context.Context, id uuid.UUID) error {
	run, err := s.GetExport(ctx, id)
	switch {
	case err != nil:
		return err
	case run.FileDeletedAt != nil:
		return nil
	case run.Status == "running":
		return ErrExportRunning.New()
	}
	return s.forgetExport(ctx, run.ExportRun, true)
}

// forgetExport deletes a file and says so.
func (s *Service) forgetExport(ctx context.Context, row *crm.ExportRun, asked bool) error {
	if err := s.Files.Delete(exportFile(row.ID)); err != nil {
		return err
	}
	now := s.Clock.Now()
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		if asked {
			audit.Record(ctx, tx, audit.Entry{Action: "exports.delete", ObjectType: "export", ObjectID: row.ID.String()})
		}
		return tx.CRM.ExportRun.UpdateOneID(row.ID).SetFileDeletedAt(now).SetReady(false).SetUpdatedAt(now).AddVersion(1).Exec(ctx)
	})
}

// cleanExports deletes files whose time is over.
func (s *Service) cleanExports(ctx context.Context) error {
	for {
		rows, err := s.DB.CRM.ExportRun.Query().Where(exportrun.FileDeletedAtIsNil(), exportrun.ExpiresAtLTE(s.Clock.Now())).
			Order(crm.Asc(exportrun.FieldExpiresAt)).Limit(cleanBatch).All(ctx)
		if err != nil {
			return fmt.Errorf("old exports: %w", err)
		}
		for _, r := range rows {
			if err := s.forgetExport(ctx, r, false); err != nil {
				return fmt.Errorf("forget an export: %w", err)
			}
		}
		if len(rows) < cleanBatch {
			return nil
		}
	}
}

func (f ExportFilter) orders() orders.Filter {
	if f.Orders == nil {
		return orders.Filter{}
	}
	return *f.Orders
}
