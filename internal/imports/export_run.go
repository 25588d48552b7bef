package imports

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/catalog"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// exportPage is how many records one statement reads. Two pages are in memory:
// one being read, one being written.
const exportPage = 1000

// ExportResult is what a finished job reports.
type ExportResult struct {
	ExportID uuid.UUID `json:"export_id"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
}

// runExport writes a file from its beginning: one that a dead process began has
// no name and is never seen. It reads what its owner may see when it runs.
func (s *Service) runExport(ctx context.Context, p jobParameters, progress *jobs.Progress) (any, error) {
	row, err := s.DB.CRM.ExportRun.Get(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	if row.Ready { // a process died between the file and the end of its job
		return &ExportResult{row.ID, row.RowCount, row.SizeBytes}, nil
	}
	if row.FileDeletedAt != nil || !s.Clock.Now().Before(row.ExpiresAt) {
		return nil, ErrExportGone.New()
	}
	actor, err := s.Current(ctx, row.RequestedBy)
	if err != nil {
		return nil, err
	}
	needed := []auth.Permission{auth.ExportsCreate, readsOf(row.Kind)}
	if row.Clear {
		needed = append(needed, auth.CustomersExportClear)
	}
	if err := may(actor, needed...); err != nil {
		return nil, err
	}
	raw, err := s.Keys.OpenBlob(filterPurpose, row.ID[:], row.FilterSealed)
	if err != nil {
		return nil, fmt.Errorf("filter of export %s: %w", row.ID, err)
	}
	var filter ExportFilter
	if err := json.Unmarshal(raw, &filter); err != nil {
		return nil, fmt.Errorf("filter of export %s: %w", row.ID, err)
	}
	// Grants may differ in reach: what is exported lies within all that are used.
	var within []auth.Scope
	for _, p := range needed {
		within = append(within, actor.ScopeOf(p))
	}
	ctx = auth.With(ctx, actor.Using(readsOf(row.Kind)))

	out, err := s.Files.Create(exportFile(row.ID))
	if err != nil {
		return nil, err
	}
	defer out.Abort()
	buffered := bufio.NewWriterSize(out, 64<<10)
	table := newTable(string(row.Format), buffered, title(row.Kind, row.Language), s.Clock.Now())
	w := &exporting{s: s, row: row, within: within, table: table, progress: progress, zone: s.Clock.Location()}
	switch row.Kind {
	case kindOrders:
		err = w.orders(ctx, filter)
	case kindProducts:
		err = w.products(ctx, filter)
	default:
		err = w.customers(ctx, filter)
	}
	if err != nil {
		return nil, err
	}
	if err := table.close(); err != nil {
		return nil, err
	}
	if err := buffered.Flush(); err != nil {
		return nil, err
	}
	if err := out.Commit(); err != nil {
		return nil, err
	}
	return &ExportResult{row.ID, w.rows, out.Size()}, s.finishExport(ctx, row, w.rows, out.Size())
}

func (s *Service) finishExport(ctx context.Context, row *crm.ExportRun, rows, size int64) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		audit.Record(ctx, tx, audit.Entry{Action: "exports.finish", ObjectType: "export", ObjectID: row.ID.String(),
			Changes: map[string]any{"kind": row.Kind, "clear": row.Clear, "rows": rows, "size_bytes": size}})
		return tx.CRM.ExportRun.UpdateOneID(row.ID).SetReady(true).SetRowCount(rows).SetSizeBytes(size).
			SetUpdatedAt(s.Clock.Now()).AddVersion(1).Exec(ctx)
	})
}

// exporting is one attempt at an export.
type exporting struct {
	s        *Service
	row      *crm.ExportRun
	within   []auth.Scope
	table    table
	progress *jobs.Progress
	zone     *time.Location
	rows     int64
	total    int64
}

func (w *exporting) sees(store, staff *uuid.UUID) bool {
	for _, sc := range w.within {
		if !sc.Sees(orNilID(store), orNilID(staff)) {
			return false
		}
	}
	return true
}

func orNilID(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.Nil
	}
	return *id
}

func (w *exporting) customers(ctx context.Context, filter ExportFilter) error {
	f := customers.Filter{}
	if filter.Customers != nil {
		f = *filter.Customers
	}
	var err error
	if w.total, err = w.s.Customers.Count(ctx, f); err != nil {
		return err
	}
	names, err := w.s.placeNames(ctx)
	if err != nil {
		return err
	}
	defined, err := w.s.Customers.FileFields(ctx)
	if err != nil {
		return err
	}
	known, usual := allCustomerColumns(defined, string(w.row.Format))
	columns := chosen(known, usual, w.row.Fields)
	values := make([]any, len(columns))
	if err := w.table.head(headings(columns, w.row.Language)); err != nil {
		return err
	}
	return pages(ctx, func(ctx context.Context, do func([]customers.Customer) error) error {
		return w.s.Customers.Walk(ctx, f, exportPage, do)
	}, func(found []customers.Customer) error {
		for i := range found {
			if !w.sees(found[i].HomeStoreID, found[i].AssignedStaffID) {
				continue
			}
			c := customerRow{Customer: found[i], names: names, zone: w.zone}
			if !w.row.Clear {
				c.Customer = c.Masked()
			}
			for n := range columns {
				values[n] = columns[n].value(&c)
			}
			if err := w.table.row(values); err != nil {
				return err
			}
			w.rows++
		}
		return w.step()
	})
}

func (w *exporting) orders(ctx context.Context, filter ExportFilter) error {
	names, err := w.s.placeNames(ctx)
	if err != nil {
		return err
	}
	if w.total, err = w.s.Orders.Count(ctx, filter.orders()); err != nil {
		return err
	}
	columns := chosen(orderColumns, orderColumns, w.row.Fields)
	values := make([]any, len(columns))
	if err := w.table.head(headings(columns, w.row.Language)); err != nil {
		return err
	}
	return pages(ctx, func(ctx context.Context, do func([]*commerce.Order) error) error {
		return w.s.Orders.Walk(ctx, filter.orders(), exportPage, do)
	}, func(found []*commerce.Order) error {
		for _, one := range found {
			if !w.sees(&one.StoreID, one.AssignedStaffID) {
				continue
			}
			o := orderRow{Order: one, names: names, zone: w.zone}
			for n := range columns {
				values[n] = columns[n].value(&o)
			}
			if err := w.table.row(values); err != nil {
				return err
			}
			w.rows++
		}
		return w.step()
	})
}

// products writes a row for each variant. The catalogue belongs to the whole
// business, so no scope narrows it.
func (w *exporting) products(ctx context.Context, filter ExportFilter) error {
	var f catalog.Range
	if filter.Products != nil {
		f = *filter.Products
	}
	categories, err := w.s.Catalog.CategoryNames(ctx)
	if err != nil {
		return err
	}
	if w.total, err = w.s.Catalog.Count(ctx, f); err != nil {
		return err
	}
	columns := chosen(productColumns, productColumns, w.row.Fields)
	values := make([]any, len(columns))
	if err := w.table.head(headings(columns, w.row.Language)); err != nil {
		return err
	}
	cost := auth.Must(ctx).Can(auth.CatalogReadCost)
	return pages(ctx, func(ctx context.Context, do func([]*commerce.Product) error) error {
		return w.s.Catalog.Walk(ctx, f, exportPage, do)
	}, func(found []*commerce.Product) error {
		for _, one := range found {
			variants := one.Edges.Variants
			if len(variants) == 0 {
				variants = []*commerce.Variant{nil}
			}
			for _, v := range variants {
				p := productRow{Product: one, variant: v, categories: categories, currency: w.s.Catalog.Currency(), cost: cost, zone: w.zone}
				for n := range columns {
					values[n] = columns[n].value(&p)
				}
				if err := w.table.row(values); err != nil {
					return err
				}
				w.rows++
			}
		}
		return w.step()
	})
}

// step reports how far the file has come, and stops it when asked.
func (w *exporting) step() error {
	w.progress.Set(w.rows, max(w.total, w.rows))
	if w.progress.Cancelled() {
		return jobs.ErrCancelled
	}
	return nil
}

// pages reads the next page while one is being written: reading waits for the
// database, writing for the processor.
func pages[T any](ctx context.Context, walk func(context.Context, func([]T) error) error, write func([]T) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	read := make(chan []T)
	ended := make(chan error, 1)
	go func() {
		defer close(read)
		ended <- walk(ctx, func(found []T) error {
			select {
			case read <- found:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for found := range read {
		if err := write(found); err != nil {
			stop()
			for range read { // lets the walk end before its service may
			}
			return err
		}
	}
	return <-ended
}

// placeNames are the codes of stores and the user names of staff by id.
func (s *Service) placeNames(ctx context.Context) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	stores, err := s.DB.Platform.Store.Query().All(ctx)
	if err != nil {
		return nil, err
	}
	for _, st := range stores {
		out[st.ID] = st.Code
	}
	people, err := s.DB.Platform.Staff.Query().All(ctx) // within the caller's scope; others are named by id
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		out[p.ID] = p.Username
	}
	return out, nil
}
