package operations

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/job"
	"github.com/shuke-crm/shuke/internal/platform/audit"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/db"
)

// Job reads one job that the caller may see.
// Errors: ErrJobNotFound.
func (s *Service) Job(ctx context.Context, id uuid.UUID) (*platform.Job, error) {
	q, err := visible(ctx, s.db.From(ctx).Platform.Job.Query())
	if err != nil {
		return nil, err
	}
	found, err := q.Where(job.ID(id)).Only(ctx)
	if platform.IsNotFound(err) {
		return nil, ErrJobNotFound.New()
	}
	if err != nil {
		return nil, fmt.Errorf("read a job: %w", err)
	}
	return found, nil
}

// Cancel stops a job of the caller's, or anybody's with jobs.manage: at once
// while it is queued, at its next safe point while it runs. A job that is
// cancelled already stays so.
// Errors: ErrJobNotFound, ErrJobFinished.
func (s *Service) Cancel(ctx context.Context, id uuid.UUID) (*platform.Job, error) {
	actor, err := auth.From(ctx)
	if err != nil {
		return nil, err
	}
	var after *platform.Job
	err = s.db.InTx(ctx, func(ctx context.Context, tx *db.Tx) error {
		before, err := tx.Platform.Job.Query().Where(job.ID(id)).ForUpdate().Only(ctx)
		if platform.IsNotFound(err) {
			return ErrJobNotFound.New()
		}
		if err != nil {
			return fmt.Errorf("lock a job: %w", err)
		}
		own := before.RequestedBy == actor.Principal()
		switch {
		case !own && !actor.Can(auth.JobsManage):
			if actor.Can(auth.JobsRead) {
				return errManage()
			}
			return ErrJobNotFound.New()
		case before.Status == job.StatusCancelled || (before.CancelRequested && !finished(before)):
			after = before
			return nil
		case finished(before):
			return ErrJobFinished.New()
		}
		if after, err = s.jobs.Cancel(ctx, tx, id); err != nil {
			return fmt.Errorf("cancel a job: %w", err)
		}
		audit.Record(ctx, tx, audit.Entry{
			Action: "jobs.cancel", ObjectType: "job", ObjectID: id.String(),
			Changes: map[string]any{"kind": before.Kind, "status": string(before.Status)},
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// Verification is the outcome of walking the audit chain.
type Verification struct {
	audit.Result
	SealedThrough *time.Time // when the youngest link was made; nil while there is none
}

// VerifyAudit walks the chain. It reads the whole log.
func (s *Service) VerifyAudit(ctx context.Context) (Verification, error) {
	result, err := audit.Verify(ctx, s.db)
	if err != nil {
		return Verification{}, fmt.Errorf("verify the audit log: %w", err)
	}
	out := Verification{Result: result}
	if result.HeadSeq > 0 {
		var at time.Time
		if err := s.db.QueryRow(ctx, "SELECT sealed_at FROM audit_seals WHERE seq = $1", result.HeadSeq).Scan(&at); err != nil {
			return Verification{}, fmt.Errorf("read the head of the audit chain: %w", err)
		}
		out.SealedThrough = &at
	}
	return out, nil
}

// finished reports whether a job's status is final.
func finished(j *platform.Job) bool {
	switch j.Status {
	case job.StatusSucceeded, job.StatusFailed, job.StatusCancelled:
		return true
	}
	return false
}
