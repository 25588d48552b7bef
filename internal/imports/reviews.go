package imports

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Rows whose customer exists, when the policy is review: they are kept until a
// person says what becomes of each.

// What a person may decide about a row.
const (
	decideUpdate = "update"
	decideCreate = "create"
	decideSkip   = "skip"
)

// decided is the status of a row after each decision.
var decided = map[string]string{decideUpdate: "updated", decideCreate: "created", decideSkip: "skipped"}

// heldRow is a row that waits for a decision, or had one.
type heldRow struct {
	Number    int64
	Cells     []string
	Matches   []customers.Match
	Seen      map[uuid.UUID]customers.DuplicateSide // of the matches, whom the caller may see
	Status    string                                // open, updated, created, skipped
	Became    *uuid.UUID
	DecidedBy string
	DecidedAt *time.Time
	Left      []string // identifiers that others kept, in the answer to a decision
}

// writeReviews keeps held rows, set-based.
func (s *Service) writeReviews(ctx context.Context, tx *db.Tx, id uuid.UUID, held []heldRow) error {
	if len(held) == 0 {
		return nil
	}
	numbers := make([]int64, len(held))
	matches := make([]string, len(held))
	cells := make(pq.ByteaArray, len(held))
	for i, h := range held {
		raw, err := json.Marshal(h.Matches)
		if err != nil {
			return err
		}
		text, err := json.Marshal(h.Cells)
		if err != nil {
			return err
		}
		numbers[i], matches[i], cells[i] = h.Number, string(raw), s.Keys.SealBlob(cellsPurpose, id[:], text)
	}
	_, err := tx.Exec(ctx, `INSERT INTO import_reviews (import_id, row_number, matches, cells_sealed)
		SELECT $1, t.n, t.m::jsonb, t.c FROM unnest($2::bigint[], $3::text[], $4::bytea[]) AS t (n, m, c)`, id, pq.Array(numbers), pq.Array(matches), cells)
	if err != nil {
		return fmt.Errorf("hold rows: %w", err)
	}
	return nil
}

func deleteReviews(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, "DELETE FROM import_reviews WHERE import_id = $1", id); err != nil {
		return fmt.Errorf("forget held rows: %w", err)
	}
	return nil
}

const reviewColumns = "row_number, cells_sealed, matches, status, became_id, coalesce(decided_by, ''), decided_at"

func (s *Service) scanReview(id uuid.UUID, scan func(...any) error) (heldRow, error) {
	var h heldRow
	var sealed, matches []byte
	var at sql.NullTime
	if err := scan(&h.Number, &sealed, &matches, &h.Status, &h.Became, &h.DecidedBy, &at); err != nil {
		return h, err
	}
	if at.Valid {
		day := at.Time.UTC()
		h.DecidedAt = &day
	}
	text, err := s.Keys.OpenBlob(cellsPurpose, id[:], sealed)
	if err != nil {
		return h, fmt.Errorf("row %d of import %s: %w", h.Number, id, err)
	}
	return h, errors.Join(json.Unmarshal(matches, &h.Matches), json.Unmarshal(text, &h.Cells))
}

// reviews gives the next held rows of an import by number; an empty status means
// all of them.
func (s *Service) reviews(ctx context.Context, id uuid.UUID, status string, after int64, limit int) ([]heldRow, error) {
	found, err := s.DB.From(ctx).Query(ctx, "SELECT "+reviewColumns+` FROM import_reviews
		WHERE import_id = $1 AND row_number > $2 AND ($3 = '' OR status = $3) ORDER BY row_number LIMIT $4`, id, after, status, limit)
	if err != nil {
		return nil, fmt.Errorf("read held rows: %w", err)
	}
	defer found.Close()
	var out []heldRow
	for found.Next() {
		h, err := s.scanReview(id, found.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, errors.Join(found.Err(), s.see(ctx, out))
}

// see finds which of the customers that rows match the caller may see.
func (s *Service) see(ctx context.Context, rows []heldRow) error {
	var ids []uuid.UUID
	for _, h := range rows {
		for _, m := range h.Matches {
			ids = append(ids, m.CustomerID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	seen, err := s.Customers.Sides(ctx, ids)
	for i := range rows {
		rows[i].Seen = seen
	}
	return err
}

func (s *Service) countReviews(ctx context.Context, id uuid.UUID, status string) (n int, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, "SELECT count(*) FROM import_reviews WHERE import_id = $1 AND ($2 = '' OR status = $2)", id, status).Scan(&n)
	return n, err
}

// Decide settles a held row of an import of the caller's: changes the customer
// who has its identifiers (to, when several have), makes somebody new of it, or
// leaves it.
// Errors: ErrNotFound, ErrReviewNotFound, ErrReviewDecided, auth.forbidden, those
// of customers.SettleRow and of single cells.
func (s *Service) Decide(ctx context.Context, id uuid.UUID, number int64, decision string, to uuid.UUID) (*Run, *heldRow, error) {
	if decision == decideUpdate {
		if err := mayDo(ctx, kindCustomers, updateDuplicates, options{}); err != nil {
			return nil, nil, err
		}
	}
	var run *Run
	var row heldRow
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
		run = filled[0]
		row, err = s.scanReview(id, tx.QueryRow(ctx, "SELECT "+reviewColumns+" FROM import_reviews WHERE import_id = $1 AND row_number = $2", id, number).Scan)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrReviewNotFound.New()
		case err != nil:
			return err
		case row.Status != "open":
			return ErrReviewDecided.New()
		}
		if decision != decideSkip {
			if err := s.settle(ctx, tx, run, &row, decision == decideUpdate, to); err != nil {
				return err
			}
		}
		now, who := s.Clock.Now(), auth.Must(ctx).Principal()
		row.Status, row.DecidedBy, row.DecidedAt = decided[decision], who, &now
		if _, err := tx.Exec(ctx, `UPDATE import_reviews SET status = $3, became_id = $4, decided_by = $5, decided_at = $6 WHERE import_id = $1 AND row_number = $2`,
			id, number, row.Status, row.Became, who, now); err != nil {
			return err
		}
		audit.Record(ctx, tx, audit.Entry{Action: "imports.review_decide", ObjectType: "import", ObjectID: id.String(),
			Changes: map[string]any{"row": number, "decision": decision, "customer": row.Became, "left_off": row.Left}})
		return tx.CRM.ImportRun.UpdateOne(locked).AddOpenReviews(-1).AddVersion(1).SetUpdatedAt(now).Exec(ctx)
	})
	if err != nil {
		return nil, nil, err
	}
	one := []heldRow{row}
	return run, &one[0], s.see(ctx, one)
}

// settle takes a held row over as decided.
func (s *Service) settle(ctx context.Context, tx *db.Tx, run *Run, h *heldRow, update bool, to uuid.UUID) error {
	ctx = customers.WithImport(ctx, run.ID)
	c, err := s.converterOf(ctx, run)
	if err != nil {
		return err
	}
	in, faults := c.convert(&row{number: h.Number, cells: h.Cells})
	if len(faults) > 0 { // a store or a member of staff is gone since
		e := apperr.Lookup(faults[0].Code).New()
		for _, f := range faults {
			e = e.Field("/"+strings.ReplaceAll(f.Field, ".", "/"), apperr.Lookup(f.Code), f.Args)
		}
		return e
	}
	became, left, err := s.Customers.SettleRow(ctx, tx, in, update, to)
	if err != nil {
		return err
	}
	h.Became, h.Left = &became, left
	return nil
}
