package timeline

import (
	"context"
	"time"

	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/pgarray"
)

// Files and rows cannot be committed together. Which files are to go stands in
// file_removals, beside the rows: before a file is written (and taken back by the
// transaction that makes its row), and by the transaction that deletes the row.
// Whatever dies in between, the job finds the file there.

const (
	// uploadTime is how long after it began an upload can still become a row.
	uploadTime = time.Hour
	sweepBatch = 100
)

// plan has files removed at a time, unless keep comes before.
func (s *Service) plan(ctx context.Context, objects []string, at time.Time) error {
	_, err := s.DB.Exec(ctx, planSQL, pgarray.Strings(objects), at) // on its own: it must outlast what follows
	return err
}

const planSQL = "INSERT INTO file_removals (name, due_at) SELECT unnest($1::text[]), $2 ON CONFLICT (name) DO UPDATE SET due_at = EXCLUDED.due_at"

func planIn(ctx context.Context, tx *db.Tx, objects []string, at time.Time) error {
	_, err := tx.Exec(ctx, planSQL, pgarray.Strings(objects), at)
	return err
}

// keep takes back that files are to be removed.
// Error: ErrUploadSlow when that has begun.
func keep(ctx context.Context, tx *db.Tx, objects []string) error {
	r, err := tx.Exec(ctx, "DELETE FROM file_removals WHERE name = ANY($1::text[])", pgarray.Strings(objects))
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n != int64(len(objects)) {
		return ErrUploadSlow.Wrap(err)
	}
	return nil
}

// removeSoon removes files of an upload that failed, if nothing else fails.
func (s *Service) removeSoon(ctx context.Context, objects []string) {
	ctx = context.WithoutCancel(ctx)
	if err := s.plan(ctx, objects, s.Clock.Now()); err == nil {
		s.removeNow(ctx, objects)
	}
}

// removeNow removes files that are due. What fails is left to the job.
func (s *Service) removeNow(ctx context.Context, objects []string) {
	if _, err := s.remove(ctx, objects); err != nil {
		s.Log.WarnContext(ctx, "files are left for later", "error", err)
	}
}

// remove removes files that are due, of some names or of any, and says how many.
// A file goes while its row is locked, so that no upload can take it back then.
func (s *Service) remove(ctx context.Context, objects []string) (n int, err error) {
	err = s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		query, args := "SELECT name FROM file_removals WHERE due_at <= $1", []any{s.Clock.Now(), sweepBatch}
		if objects != nil {
			query += " AND name = ANY($3::text[])"
			args = append(args, pgarray.Strings(objects))
		}
		rows, err := tx.Query(ctx, query+" ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED", args...)
		if err != nil {
			return err
		}
		var names pgarray.Strings
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		if err := rows.Close(); err != nil {
			return err
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, name := range names {
			if err := s.Files.Delete(name); err != nil {
				return err
			}
		}
		n = len(names)
		if n == 0 {
			return nil
		}
		_, err = tx.Exec(ctx, "DELETE FROM file_removals WHERE name = ANY($1::text[])", names)
		return err
	})
	return n, err
}

// Sweep removes all files that are due.
func (s *Service) Sweep(ctx context.Context) error {
	ctx = auth.System(ctx, "files.sweep")
	for {
		n, err := s.remove(ctx, nil)
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
