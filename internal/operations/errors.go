package operations

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/auth"
)

// Errors of this domain.
var (
	ErrJobNotFound = apperr.Define(apperr.NotFound, "jobs.not_found", "There is no such job, or it is somebody else's.", "任务不存在，或属于他人。")
	ErrJobFinished = apperr.Define(apperr.Conflict, "jobs.finished", "The job has already ended.", "该任务已经结束。")
)

func errManage() error {
	return apperr.ErrForbidden.New().Arg("permission", auth.JobsManage)
}
