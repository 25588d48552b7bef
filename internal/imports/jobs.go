package imports

import (
	"context"
	"fmt"
	"time"

	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/importrun"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/jobs"
)

// keepFiles is how long files are kept after the last thing that happened to
// their run.
const keepFiles = 7 * 24 * time.Hour

// keepReviews is that of files with rows that wait for a person.
const keepReviews = 30 * 24 * time.Hour

const cleanBatch = 200

func (s *Service) register() {
	jobs.RegisterVisible(s.Queue, jobImport, s.runImport)
	jobs.RegisterVisible(s.Queue, jobExport, s.runExport)
	s.Queue.Every("imports.clean", jobs.Interval(time.Hour), s.Clean)
}

// Clean deletes files that nobody is to have any more, and what died writers
// have left. The record of a run stays.
func (s *Service) Clean(ctx context.Context) error {
	now := s.Clock.Now()
	for {
		rows, err := s.DB.CRM.ImportRun.Query().Where(importrun.FileDeletedAtIsNil(), importrun.UpdatedAtLT(now.Add(-keepFiles)),
			importrun.Or(importrun.OpenReviews(0), importrun.UpdatedAtLT(now.Add(-keepReviews)))).
			Order(crm.Asc(importrun.FieldUpdatedAt)).Limit(cleanBatch).All(ctx)
		if err != nil {
			return fmt.Errorf("old imports: %w", err)
		}
		for _, r := range rows {
			if err := s.Files.Delete(importFile(r.ID)); err != nil {
				return err
			}
			err := s.DB.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
				if err := deleteErrors(ctx, tx, r.ID); err != nil {
					return err
				}
				if err := deleteReviews(ctx, tx, r.ID); err != nil {
					return err
				}
				return tx.CRM.ImportRun.UpdateOneID(r.ID).SetFileDeletedAt(now).SetOpenReviews(0).AddVersion(1).Exec(ctx)
			})
			if err != nil {
				return fmt.Errorf("forget an import: %w", err)
			}
		}
		if len(rows) < cleanBatch {
			break
		}
	}
	if err := s.cleanExports(ctx); err != nil {
		return err
	}
	return s.Files.CleanUnfinished(time.Now().Add(-24 * time.Hour))
}
