package customers

import (
	"context"
	"encoding/json"

	"github.com/oapi-codegen/nullable"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/platform"
)

// HandOverCustomers implements handOverCustomers.
func (a API) HandOverCustomers(ctx context.Context, r customersapi.HandOverCustomersRequestObject) (customersapi.HandOverCustomersResponseObject, error) {
	b := r.Body
	in := HandOverInput{From: b.FromStaffId, To: b.ToStaffId, Distribute: b.DistributeInStore != nil && *b.DistributeInStore, Reason: b.Reason}
	if b.To != nil {
		for _, to := range *b.To {
			share := int64(0)
			if to.Share != nil {
				share = int64(*to.Share)
			}
			in.Among = append(in.Among, Successor{to.StaffId, share})
		}
	}
	job, n, err := a.HandOver(ctx, in)
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return customersapi.HandOverCustomers202JSONResponse{
		Body:    customersapi.HandOver{CustomerCount: n, Job: toAPIJob(job)},
		Headers: customersapi.HandOverCustomers202ResponseHeaders{Location: &location},
	}, nil
}

// toAPIJob shows a job that has just been accepted.
func toAPIJob(j *platform.Job) commonapi.Job {
	total := nullable.NewNullNullable[int64]()
	if j.ProgressTotal > 0 {
		total.Set(j.ProgressTotal)
	}
	out := commonapi.Job{
		Id: j.ID, Kind: j.Kind, Status: commonapi.JobStatus(j.Status), Progress: commonapi.JobProgress{Done: j.ProgressDone, Total: total},
		CancelRequested: j.CancelRequested, RequestedBy: j.RequestedBy, ErrorCode: nullable.NewNullNullable[string](),
		Result: nullable.NewNullNullable[commonapi.JobResult](), Version: j.Version, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(),
		StartedAt: pointerOrNull(j.StartedAt), FinishedAt: pointerOrNull(j.FinishedAt),
	}
	var result commonapi.JobResult
	if json.Unmarshal(j.Result, &result) == nil {
		out.Result.Set(result)
	}
	return out
}
