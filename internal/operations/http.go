package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	commonapi "github.com/shuke-crm/shuke/api/common"
	operationsapi "github.com/shuke-crm/shuke/api/operations"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers the operations tagged jobs and audit.
type API struct{ *Service }

var _ operationsapi.StrictServerInterface = API{}

// ListJobs implements GET /v1/jobs.
func (a API) ListJobs(ctx context.Context, r operationsapi.ListJobsRequestObject) (operationsapi.ListJobsResponseObject, error) {
	f := JobFilter{Cursor: r.Params.Cursor, Limit: page.Limit(r.Params.Limit), Count: r.Params.Include != nil}
	query := url.Values{}
	if r.Params.Kind != nil {
		f.Kind = *r.Params.Kind
		query.Set("kind", f.Kind)
	}
	if r.Params.Status != nil {
		f.Status = string(*r.Params.Status)
		query.Set("status", f.Status)
	}
	found, err := a.Jobs(ctx, f)
	if err != nil {
		return nil, err
	}
	items := make([]commonapi.Job, len(found.Items))
	for i, j := range found.Items {
		items[i] = toAPIJob(j)
	}
	return operationsapi.ListJobs200JSONResponse{
		Body:    operationsapi.JobList{Items: items, HasMore: found.Next != "", NextCursor: orNull(found.Next), TotalCount: found.Total},
		Headers: operationsapi.ListJobs200ResponseHeaders{Link: link("/v1/jobs", query, f.Limit, found.Next)},
	}, nil
}

// GetJob implements GET /v1/jobs/{id}.
func (a API) GetJob(ctx context.Context, r operationsapi.GetJobRequestObject) (operationsapi.GetJobResponseObject, error) {
	j, err := a.Job(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(j.Version)
	return operationsapi.GetJob200JSONResponse{Body: toAPIJob(j), Headers: operationsapi.GetJob200ResponseHeaders{ETag: &tag}}, nil
}

// StreamJobEvents implements GET /v1/jobs/{id}/events.
func (a API) StreamJobEvents(ctx context.Context, r operationsapi.StreamJobEventsRequestObject) (operationsapi.StreamJobEventsResponseObject, error) {
	j, err := a.Job(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	f := &follower{ctx: ctx, service: a.Service, id: r.Id, next: j, encode: func(j *platform.Job) any { return toAPIJob(j) }}
	if r.Params.LastEventID != nil && *r.Params.LastEventID == strconv.FormatInt(j.Version, 10) {
		// The client has this state already.
		f.next, f.last, f.done = nil, j.Version, finished(j)
	}
	return operationsapi.StreamJobEvents200TexteventStreamResponse{Body: f}, nil
}

// CancelJob implements POST /v1/jobs/{id}/cancel.
func (a API) CancelJob(ctx context.Context, r operationsapi.CancelJobRequestObject) (operationsapi.CancelJobResponseObject, error) {
	j, err := a.Cancel(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return operationsapi.CancelJob200JSONResponse(toAPIJob(j)), nil
}

// ListAuditLogs implements GET /v1/audit-logs.
func (a API) ListAuditLogs(ctx context.Context, r operationsapi.ListAuditLogsRequestObject) (operationsapi.ListAuditLogsResponseObject, error) {
	p := r.Params
	f := AuditFilter{Cursor: p.Cursor, Limit: page.Limit(p.Limit), Count: p.Include != nil}
	query := url.Values{}
	set := func(name string, to *string, from *string) {
		if from != nil {
			*to = *from
			query.Set(name, *from)
		}
	}
	set("action", &f.Action, p.Action)
	set("object_type", &f.ObjectType, p.ObjectType)
	if p.ObjectId != nil {
		id := p.ObjectId.String()
		set("object_id", &f.ObjectID, &id)
	}
	if p.ActorId != nil {
		f.ActorID = *p.ActorId
		query.Set("actor_id", f.ActorID.String())
	}
	if p.CreatedAfter != nil {
		f.From = *p.CreatedAfter
		query.Set("created_after", f.From.Format(timeFormat))
	}
	if p.CreatedBefore != nil {
		f.Before = *p.CreatedBefore
		query.Set("created_before", f.Before.Format(timeFormat))
	}
	found, err := a.AuditLogs(ctx, f)
	if err != nil {
		return nil, err
	}
	items := make([]operationsapi.AuditLog, len(found.Items))
	for i, l := range found.Items {
		items[i] = toAPIAuditLog(l)
	}
	return operationsapi.ListAuditLogs200JSONResponse{
		Body:    operationsapi.AuditLogList{Items: items, HasMore: found.Next != "", NextCursor: orNull(found.Next), TotalCount: found.Total},
		Headers: operationsapi.ListAuditLogs200ResponseHeaders{Link: link("/v1/audit-logs", query, f.Limit, found.Next)},
	}, nil
}

// VerifyAuditLogs implements GET /v1/audit-logs/verify.
func (a API) VerifyAuditLogs(ctx context.Context, _ operationsapi.VerifyAuditLogsRequestObject) (operationsapi.VerifyAuditLogsResponseObject, error) {
	report, err := a.VerifyAudit(ctx)
	if err != nil {
		return nil, err
	}
	return operationsapi.VerifyAuditLogs200JSONResponse(toAPIVerification(report)), nil
}

const timeFormat = "2006-01-02T15:04:05.999999999Z07:00"

// link names the next page in a header, nil on the last.
func link(path string, query url.Values, limit int, next string) *string {
	if next == "" {
		return nil
	}
	text := page.Link(path, query, limit, next)
	return &text
}

func orNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

// writeEvent writes one server-sent event; data is JSON, so it has no line breaks.
func writeEvent(b *bytes.Buffer, id int64, name string, data []byte) {
	b.WriteString("id: ")
	b.WriteString(strconv.FormatInt(id, 10))
	b.WriteString("\nevent: " + name + "\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
}

func toAPIJob(j *platform.Job) commonapi.Job {
	out := commonapi.Job{
		Id: j.ID, Kind: j.Kind, Status: commonapi.JobStatus(j.Status), RequestedBy: j.RequestedBy, CancelRequested: j.CancelRequested,
		Progress: commonapi.JobProgress{Done: j.ProgressDone, Total: nullable.NewNullNullable[int64]()},
		Version:  j.Version, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(), ErrorCode: orNull(j.ErrorCode),
		Result: nullable.NewNullNullable[commonapi.JobResult](), StartedAt: timeOrNull(j.StartedAt), FinishedAt: timeOrNull(j.FinishedAt),
	}
	if j.ProgressTotal > 0 {
		out.Progress.Total.Set(j.ProgressTotal)
	}
	var result commonapi.JobResult
	if len(j.Result) > 0 && json.Unmarshal(j.Result, &result) == nil && result != nil {
		out.Result.Set(result)
	}
	return out
}

func toAPIAuditLog(l AuditLog) operationsapi.AuditLog {
	out := operationsapi.AuditLog{
		Id: l.ID, CreatedAt: l.CreatedAt.UTC(), Action: l.Action, ActorKind: operationsapi.AuditActorKind(l.ActorKind), ActorName: l.ActorName,
		ActorId: nullable.NewNullNullable[uuid.UUID](), ObjectType: l.ObjectType, ObjectId: nullable.NewNullNullable[uuid.UUID](),
		RequestId: orNull(l.RequestID), Details: operationsapi.AuditDetails{},
	}
	if l.ActorID.Valid {
		out.ActorId.Set(l.ActorID.UUID)
	}
	if id, err := uuid.Parse(l.ObjectID); err == nil {
		out.ObjectId.Set(id)
	} else if l.ObjectID != "" {
		out.Details["object_key"] = l.ObjectID // known by a natural key instead of an id
	}
	for name, v := range l.Changes {
		out.Details[name] = v
	}
	if l.Reason != "" {
		out.Details["reason"] = l.Reason
	}
	return out
}

func timeOrNull(t *time.Time) nullable.Nullable[time.Time] {
	if t == nil {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(t.UTC())
}

func toAPIVerification(v Verification) operationsapi.AuditVerification {
	out := operationsapi.AuditVerification{
		Valid: v.Bad == nil, EntriesChecked: v.Sealed, SealedThrough: timeOrNull(v.SealedThrough), FirstBadEntry: nullable.NewNullNullable[uuid.UUID](),
	}
	if v.Bad != nil && v.Bad.AuditID != uuid.Nil {
		out.FirstBadEntry.Set(v.Bad.AuditID)
	}
	return out
}
