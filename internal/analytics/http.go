package analytics

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	analyticsapi "github.com/shuke-crm/shuke/api/analytics"
	commonapi "github.com/shuke-crm/shuke/api/common"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API answers this domain's operations.
type API struct{ *Service }

var _ analyticsapi.StrictServerInterface = API{}

// GetDataQuality implements getDataQuality.
func (a API) GetDataQuality(ctx context.Context, r analyticsapi.GetDataQualityRequestObject) (analyticsapi.GetDataQualityResponseObject, error) {
	p := r.Params
	f := Filter{QualityFilter: customers.QualityFilter{Source: plain(p.Source), StaleDays: int(plain(p.StaleDays))}, StoreID: plain(p.StoreId), StaffID: plain(p.AssignedStaffId)}
	by := string(plain(p.GroupBy))
	q, err := a.DataQuality(ctx, f, by)
	if err != nil {
		return nil, err
	}
	out := analyticsapi.DataQuality{AsOf: opt.OrNull(q.AsOf), StaleDays: int32(q.StaleDays), Total: toAPIFigures(&q.Total),
		Details: []analyticsapi.QualityFigure{}, Groups: make([]analyticsapi.QualityGroup, len(q.Groups))}
	for _, d := range q.Details {
		out.Details = append(out.Details, analyticsapi.QualityFigure{Problem: d.Problem, Customers: d.Customers, Share: share(d.Customers, q.Total.Customers)})
	}
	for i := range q.Groups {
		out.Groups[i] = toAPIGroup(&q.Groups[i], by)
	}
	return analyticsapi.GetDataQuality200JSONResponse(out), nil
}

// ListDataQualityIssues implements listDataQualityIssues.
func (a API) ListDataQualityIssues(ctx context.Context, r analyticsapi.ListDataQualityIssuesRequestObject) (analyticsapi.ListDataQualityIssuesResponseObject, error) {
	p := r.Params
	f := Filter{QualityFilter: customers.QualityFilter{Kind: string(plain(p.Kind)), Problem: plain(p.Problem), Source: plain(p.Source), StaleDays: int(plain(p.StaleDays))},
		StoreID: plain(p.StoreId), StaffID: plain(p.AssignedStaffId)}
	list := page.NewList("/v1/analytics/data-quality/issues", p.Limit)
	for name, v := range map[string]string{"kind": f.Kind, "problem": f.Problem, "source": f.Source} {
		if v != "" {
			list.Filters.Set(name, v)
		}
	}
	for name, id := range map[string]*uuid.UUID{"store_id": p.StoreId, "assigned_staff_id": p.AssignedStaffId} {
		if id != nil {
			list.Filters.Set(name, id.String())
		}
	}
	if f.StaleDays != 0 {
		list.Filters.Set("stale_days", strconv.Itoa(f.StaleDays))
	}
	var at struct {
		ID uuid.UUID `json:"i"`
	}
	var before *uuid.UUID
	more, err := a.pages.Decode(list.Name(), p.Cursor, &at)
	if err != nil {
		return nil, err
	}
	if more {
		before = &at.ID
	}
	out := analyticsapi.ListDataQualityIssues200JSONResponse{Body: analyticsapi.DataQualityIssueList{Items: []analyticsapi.DataQualityIssue{}, NextCursor: nullable.NewNullNullable[string]()}}
	asOf, err := a.asOf(ctx)
	if err != nil {
		return nil, err
	}
	out.Body.AsOf = opt.OrNull(asOf)
	found, next, err := a.Issues(ctx, f, before, list.Limit)
	if err != nil {
		return nil, inQuery(err)
	}
	if out.Body.TotalCount, err = page.Total(ctx, p.Include, func(ctx context.Context) (int, error) { return a.CountIssues(ctx, f) }); err != nil {
		return nil, err
	}
	for i := range found {
		out.Body.Items = append(out.Body.Items, toAPIIssue(&found[i]))
	}
	if next != nil {
		at.ID, out.Body.HasMore = *next, true
		cursor, link := list.After(a.pages, at)
		out.Body.NextCursor.Set(*cursor)
		out.Headers.Link = link
	}
	return out, nil
}

// RefreshDataQuality implements refreshDataQuality.
func (a API) RefreshDataQuality(ctx context.Context, _ analyticsapi.RefreshDataQualityRequestObject) (analyticsapi.RefreshDataQualityResponseObject, error) {
	job, err := a.Refresh(ctx)
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return analyticsapi.RefreshDataQuality202JSONResponse{
		Body: commonapi.JobAccepted{Job: toAPIJob(job)}, Headers: analyticsapi.RefreshDataQuality202ResponseHeaders{Location: &location},
	}, nil
}

func toAPIFigures(f *Figures) analyticsapi.QualityFigures {
	out := analyticsapi.QualityFigures{Customers: f.Customers, WithProblems: f.WithProblems, Missing: f.Missing, Invalid: f.Invalid, Stale: f.Stale, Duplicate: f.Duplicate,
		Completeness: []analyticsapi.QualityCompleteness{}, Problems: []analyticsapi.QualityFigure{}}
	for i, name := range append(customers.ProblemNames(), "stale.unchanged", "stale.inactive") {
		n := f.Problems[i]
		if field, ok := strings.CutPrefix(name, "missing."); ok {
			out.Completeness = append(out.Completeness, analyticsapi.QualityCompleteness{Field: field, Problem: name, Filled: f.Customers - n, Missing: n, Share: share(f.Customers-n, f.Customers)})
			continue
		}
		out.Problems = append(out.Problems, analyticsapi.QualityFigure{Problem: name, Customers: n, Share: share(n, f.Customers)})
	}
	return out
}

func toAPIGroup(f *Figures, by string) analyticsapi.QualityGroup {
	out := analyticsapi.QualityGroup{Figures: toAPIFigures(f)}
	switch analyticsapi.GetDataQualityParamsGroupBy(by) {
	case analyticsapi.QualityByStore:
		out.StoreId = opt.OrNull(f.StoreID)
	case analyticsapi.QualityByAssistant:
		out.AssignedStaffId = opt.OrNull(f.StaffID)
	case analyticsapi.QualityBySource:
		out.Source = &f.Source
	}
	return out
}

func toAPIIssue(i *Issue) analyticsapi.DataQualityIssue {
	return analyticsapi.DataQualityIssue{
		Customer:    commonapi.CustomerRef{Id: i.ID, ExternalId: opt.OrNull(i.ExternalID), Name: i.Name},
		HomeStoreId: opt.OrNull(i.HomeStoreID), AssignedStaffId: opt.OrNull(i.AssignedStaffID), Source: i.Source, Problems: i.Problems,
		ChangedOn: openapi_types.Date{Time: i.ChangedOn}, ActiveOn: openapi_types.Date{Time: i.ActiveOn},
	}
}

func share(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// inQuery moves the pointers of an error from a body to the query.
func inQuery(err error) error {
	if e := apperr.From(err); e != nil {
		for i := range e.Fields {
			e.Fields[i].Pointer = "?" + strings.TrimPrefix(e.Fields[i].Pointer, "/")
		}
		return e
	}
	return err
}

// toAPIJob shows a job that has just been accepted.
func toAPIJob(j *platform.Job) commonapi.Job {
	out := commonapi.Job{
		Id: j.ID, Kind: j.Kind, Status: commonapi.JobStatus(j.Status), Progress: commonapi.JobProgress{Done: j.ProgressDone, Total: nullable.NewNullNullable[int64]()},
		CancelRequested: j.CancelRequested, RequestedBy: j.RequestedBy, ErrorCode: nullable.NewNullNullable[string](),
		Result: nullable.NewNullNullable[commonapi.JobResult](), Version: j.Version, CreatedAt: j.CreatedAt.UTC(), UpdatedAt: j.UpdatedAt.UTC(),
		StartedAt: opt.OrNull(j.StartedAt), FinishedAt: opt.OrNull(j.FinishedAt),
	}
	var result commonapi.JobResult
	if json.Unmarshal(j.Result, &result) == nil {
		out.Result.Set(result)
	}
	return out
}

func plain[T any](p *T) T {
	var none T
	if p == nil {
		return none
	}
	return *p
}
