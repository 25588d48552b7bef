package imports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// maxErrors is how many bad rows of one file are kept with their cells; the
// others are counted.
const maxErrors = 100_000

// badRow is a row that could not be taken over.
type badRow struct {
	Number int64
	Faults []cellFault
	Cells  []string
}

// writeErrors keeps bad rows, set-based.
func (s *Service) writeErrors(ctx context.Context, tx *db.Tx, id uuid.UUID, bad []badRow) error {
	if len(bad) == 0 {
		return nil
	}
	numbers := make([]int64, len(bad))
	faults := make([]string, len(bad))
	cells := make(pq.ByteaArray, len(bad))
	for i, b := range bad {
		raw, err := json.Marshal(b.Faults)
		if err != nil {
			return err
		}
		text, err := json.Marshal(b.Cells)
		if err != nil {
			return err
		}
		numbers[i], faults[i], cells[i] = b.Number, string(raw), s.Keys.SealBlob(cellsPurpose, id[:], text)
	}
	_, err := tx.Exec(ctx, `INSERT INTO import_errors (import_id, row_number, faults, cells_sealed)
		SELECT $1, t.n, t.f::jsonb, t.c FROM unnest($2::bigint[], $3::text[], $4::bytea[]) AS t (n, f, c)`, id, pq.Array(numbers), pq.Array(faults), cells)
	if err != nil {
		return fmt.Errorf("keep bad rows: %w", err)
	}
	return nil
}

func deleteErrors(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, "DELETE FROM import_errors WHERE import_id = $1", id); err != nil {
		return fmt.Errorf("forget bad rows: %w", err)
	}
	return nil
}

// readErrors gives the next bad rows of an import, cells included.
func (s *Service) readErrors(ctx context.Context, id uuid.UUID, after int64, limit int) ([]badRow, error) {
	found, err := s.DB.From(ctx).Query(ctx, `SELECT row_number, faults, cells_sealed FROM import_errors
		WHERE import_id = $1 AND row_number > $2 ORDER BY row_number LIMIT $3`, id, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read bad rows: %w", err)
	}
	defer found.Close()
	var out []badRow
	for found.Next() {
		var b badRow
		var faults, sealed []byte
		if err := found.Scan(&b.Number, &faults, &sealed); err != nil {
			return nil, err
		}
		text, err := s.Keys.OpenBlob(cellsPurpose, id[:], sealed)
		if err != nil {
			return nil, fmt.Errorf("row %d of import %s: %w", b.Number, id, err)
		}
		if err := errors.Join(json.Unmarshal(faults, &b.Faults), json.Unmarshal(text, &b.Cells)); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, found.Err()
}

// refuseRepeated keeps a file from being taken over twice: rows without an
// identifier would be other customers the second time. A lock makes two uploads
// at once see each other. Error: ErrRepeated.
func (s *Service) refuseRepeated(ctx context.Context, tx *db.Tx, id uuid.UUID, hash []byte) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('imports.file:' || encode($1, 'hex'), 0))", hash); err != nil {
		return fmt.Errorf("lock a file: %w", err)
	}
	var known bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM imports i JOIN jobs j ON j.id = i.job_id
		WHERE i.sha256 = $1 AND i.id <> $2 AND NOT i.dry_run AND (i.created_rows > 0 OR j.status IN ('queued', 'running')))`, hash, id).Scan(&known)
	if err != nil {
		return fmt.Errorf("look for a file: %w", err)
	}
	if known {
		return ErrRepeated.At("/file")
	}
	return nil
}

// countErrors is how many bad rows of an import are kept.
func (s *Service) countErrors(ctx context.Context, id uuid.UUID) (n int, err error) {
	err = s.DB.From(ctx).QueryRow(ctx, "SELECT count(*) FROM import_errors WHERE import_id = $1", id).Scan(&n)
	return n, err
}

// errorFile writes the bad rows as they were, with what is wrong in front, so
// that they can be corrected and sent again. It ends the reader by itself.
func (s *Service) errorFile(ctx context.Context, run *Run, lang string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		out := newCSVWriter(w)
		head := []string{"row", "column", "code", "message"}
		for _, c := range run.Columns {
			head = append(head, c.Header)
		}
		err := out.row(head)
		for after := int64(0); err == nil; {
			var bad []badRow
			if bad, err = s.readErrors(ctx, run.ID, after, 1000); err != nil || len(bad) == 0 {
				break
			}
			for _, b := range bad {
				columns, codes, texts := describe(b.Faults, run.Columns, lang)
				if err = out.row(append([]string{fmt.Sprint(b.Number), columns, codes, texts}, b.Cells...)); err != nil {
					break
				}
				after = b.Number
			}
		}
		if err == nil {
			err = out.flush()
		}
		_ = w.CloseWithError(err)
	}()
	return r
}

// describe puts the faults of a row into words.
func describe(faults []cellFault, columns []Column, lang string) (places, codes, texts string) {
	for i, f := range faults {
		if i > 0 {
			places, codes, texts = places+"; ", codes+"; ", texts+"; "
		}
		if f.Column >= 1 && f.Column <= len(columns) {
			places += columns[f.Column-1].Header
		}
		codes += f.Code
		texts += faultText(f, lang)
	}
	return places, codes, texts
}

func faultText(f cellFault, lang string) string {
	if d := apperr.Lookup(f.Code); d != nil {
		return d.Text(lang, f.Args)
	}
	return f.Code
}

func tooLarge(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return apperr.ErrTooLarge.New().Arg("limit", large.Limit)
	}
	return nil
}
