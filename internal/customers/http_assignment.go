package customers

import (
	"context"

	"github.com/google/uuid"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListAssignmentRules implements listAssignmentRules.
func (a API) ListAssignmentRules(ctx context.Context, r customersapi.ListAssignmentRulesRequestObject) (customersapi.ListAssignmentRulesResponseObject, error) {
	list := page.NewList("/v1/assignment-rules", r.Params.Limit)
	f := AssignmentFilter{Active: r.Params.Active}
	if v := r.Params.StoreId; v != nil {
		f.StoreID = *v
		list.Filters.Set("store_id", v.String())
	}
	if v := f.Active; v != nil {
		list.Filters.Set("active", map[bool]string{true: "true", false: "false"}[*v])
	}
	var at assignmentPosition
	var after *assignmentPosition
	if more, err := a.pages.Decode(list.Name(), r.Params.Cursor, &at); err != nil {
		return nil, err
	} else if more {
		after = &at
	}
	rows, err := a.assignmentRules(ctx, f, after, list.Limit+1)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListAssignmentRules200JSONResponse{Body: customersapi.AssignmentRuleList{Items: []customersapi.AssignmentRule{}, NextCursor: null[string]()}}
	if out.Body.TotalCount, err = page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return a.countAssignmentRules(ctx, f) }); err != nil {
		return nil, err
	}
	rows, out.Body.HasMore = page.Cut(rows, list.Limit)
	for _, one := range rows {
		out.Body.Items = append(out.Body.Items, toAPIAssignmentRule(one))
	}
	if out.Body.HasMore {
		last := rows[len(rows)-1]
		next, link := list.After(a.pages, assignmentPosition{last.StoreID, last.Position, last.ID})
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}

// CreateAssignmentRule implements createAssignmentRule.
func (a API) CreateAssignmentRule(ctx context.Context, r customersapi.CreateAssignmentRuleRequestObject) (customersapi.CreateAssignmentRuleResponseObject, error) {
	b := r.Body
	made, err := a.Service.CreateAssignmentRule(ctx, b.StoreId, AssignmentRuleInput{Name: &b.Name, Position: &b.Position, Active: b.Active, Method: (*string)(b.Method),
		StaffIDs: b.StaffIds, Sources: b.Sources, Stages: fromAPIStages(b.Stages), TagIDs: b.TagIds})
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/assignment-rules/"+made.ID.String(), etag.Of(made.Version)
	return customersapi.CreateAssignmentRule201JSONResponse{Body: toAPIAssignmentRule(made),
		Headers: customersapi.CreateAssignmentRule201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// PreviewAssignment implements previewAssignment.
func (a API) PreviewAssignment(ctx context.Context, r customersapi.PreviewAssignmentRequestObject) (customersapi.PreviewAssignmentResponseObject, error) {
	p, err := a.Service.PreviewAssignment(ctx, fromAPITarget(r.Body))
	if err != nil {
		return nil, err
	}
	out := customersapi.PreviewAssignment200JSONResponse{CustomerCount: p.Customers, UnmatchedCount: p.Unmatched, Rules: []customersapi.AssignmentForecast{}}
	for _, f := range p.Rules {
		one := customersapi.AssignmentForecast{Rule: toAPIAssignmentRule(f.Rule), CustomerCount: f.Customers, Shares: []customersapi.AssignmentShare{}}
		for _, share := range f.Shares {
			one.Shares = append(one.Shares, customersapi.AssignmentShare{Staff: commonapi.StaffRef{Id: share.StaffID, Name: share.Name}, CustomerCount: share.Customers})
		}
		out.Rules = append(out.Rules, one)
	}
	return out, nil
}

// ApplyAssignment implements applyAssignment.
func (a API) ApplyAssignment(ctx context.Context, r customersapi.ApplyAssignmentRequestObject) (customersapi.ApplyAssignmentResponseObject, error) {
	job, err := a.Service.ApplyAssignment(ctx, fromAPITarget(r.Body))
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return customersapi.ApplyAssignment202JSONResponse{
		Body: commonapi.JobAccepted{Job: toAPIJob(job)}, Headers: customersapi.ApplyAssignment202ResponseHeaders{Location: &location},
	}, nil
}

// GetAssignmentRule implements getAssignmentRule.
func (a API) GetAssignmentRule(ctx context.Context, r customersapi.GetAssignmentRuleRequestObject) (customersapi.GetAssignmentRuleResponseObject, error) {
	found, err := a.OneAssignmentRule(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(found.Version)
	return customersapi.GetAssignmentRule200JSONResponse{Body: toAPIAssignmentRule(found), Headers: customersapi.GetAssignmentRule200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateAssignmentRule implements updateAssignmentRule.
func (a API) UpdateAssignmentRule(ctx context.Context, r customersapi.UpdateAssignmentRuleRequestObject) (customersapi.UpdateAssignmentRuleResponseObject, error) {
	b := r.Body
	changed, err := a.Service.UpdateAssignmentRule(ctx, r.Id, AssignmentRuleInput{Name: b.Name, Position: b.Position, Active: b.Active, Method: (*string)(b.Method),
		StaffIDs: b.StaffIds, Sources: b.Sources, Stages: fromAPIStages(b.Stages), TagIDs: b.TagIds}, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(changed.Version)
	return customersapi.UpdateAssignmentRule200JSONResponse{Body: toAPIAssignmentRule(changed), Headers: customersapi.UpdateAssignmentRule200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteAssignmentRule implements deleteAssignmentRule.
func (a API) DeleteAssignmentRule(ctx context.Context, r customersapi.DeleteAssignmentRuleRequestObject) (customersapi.DeleteAssignmentRuleResponseObject, error) {
	if err := a.Service.DeleteAssignmentRule(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteAssignmentRule204Response{}, nil
}

func fromAPITarget(b *customersapi.AssignmentTarget) AssignmentTarget {
	out := AssignmentTarget{StoreID: b.StoreId}
	if b.ImportId != nil {
		out.ImportID = *b.ImportId
	}
	return out
}

func fromAPIStages(in *[]customersapi.LifecycleStage) *[]string {
	if in == nil {
		return nil
	}
	out := make([]string, len(*in))
	for i, v := range *in {
		out[i] = string(v)
	}
	return &out
}

func toAPIAssignmentRule(a *AssignmentRule) customersapi.AssignmentRule {
	out := customersapi.AssignmentRule{
		Id: a.ID, StoreId: a.StoreID, Name: a.Name, Position: a.Position, Active: a.Active, Method: customersapi.AssignmentMethod(a.Method),
		StaffIds: append([]uuid.UUID{}, a.StaffIDs...), Sources: append([]string{}, a.Sources...), Stages: []customersapi.LifecycleStage{},
		TagIds: append([]uuid.UUID{}, a.TagIDs...), Version: a.Version, CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC(),
	}
	for _, v := range a.Stages {
		out.Stages = append(out.Stages, customersapi.LifecycleStage(v))
	}
	return out
}
