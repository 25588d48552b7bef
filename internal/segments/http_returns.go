package segments

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	segmentsapi "github.com/shuke-crm/shuke/api/segments"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// GetReturnRule implements getReturnRule.
func (a API) GetReturnRule(ctx context.Context, _ segmentsapi.GetReturnRuleRequestObject) (segmentsapi.GetReturnRuleResponseObject, error) {
	r, err := a.LoadReturnRule(ctx)
	if err != nil {
		return nil, err
	}
	return segmentsapi.GetReturnRule200JSONResponse{Body: toAPIReturnRule(r), Headers: segmentsapi.GetReturnRule200ResponseHeaders{ETag: etag.Header(r.Version)}}, nil
}

// UpdateReturnRule implements updateReturnRule.
func (a API) UpdateReturnRule(ctx context.Context, r segmentsapi.UpdateReturnRuleRequestObject) (segmentsapi.UpdateReturnRuleResponseObject, error) {
	b := r.Body
	now, err := a.Service.UpdateReturnRule(ctx, r.Params.IfMatch, ReturnRule{Enabled: b.Enabled, MinOrders: b.MinOrders, MinRate: b.MinRatePercent, TagName: b.TagName})
	if err != nil {
		return nil, err
	}
	return segmentsapi.UpdateReturnRule200JSONResponse{Body: toAPIReturnRule(now), Headers: segmentsapi.UpdateReturnRule200ResponseHeaders{ETag: etag.Header(now.Version)}}, nil
}

func toAPIReturnRule(r *ReturnRule) segmentsapi.ReturnRule {
	out := segmentsapi.ReturnRule{Enabled: r.Enabled, MinOrders: r.MinOrders, MinRatePercent: r.MinRate, TagName: r.TagName, TagId: nullable.NewNullNullable[uuid.UUID](),
		WindowDays: int32(r.WindowDays), Version: r.Version, UpdatedAt: opt.OrNull(r.UpdatedAt)}
	if r.TagID != uuid.Nil {
		out.TagId.Set(r.TagID)
	}
	return out
}
