package segments

import (
	"context"
	"time"

	"github.com/oapi-codegen/nullable"

	segmentsapi "github.com/shuke-crm/shuke/api/segments"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// GetLifecycleRules implements getLifecycleRules.
func (a API) GetLifecycleRules(ctx context.Context, _ segmentsapi.GetLifecycleRulesRequestObject) (segmentsapi.GetLifecycleRulesResponseObject, error) {
	s, err := loadLifecycle(ctx, a.db.From(ctx))
	if err != nil {
		return nil, err
	}
	return segmentsapi.GetLifecycleRules200JSONResponse{
		Body: toAPILifecycle(s), Headers: segmentsapi.GetLifecycleRules200ResponseHeaders{ETag: etag.Header(s.Version)},
	}, nil
}

// UpdateLifecycleRules implements updateLifecycleRules.
func (a API) UpdateLifecycleRules(ctx context.Context, r segmentsapi.UpdateLifecycleRulesRequestObject) (segmentsapi.UpdateLifecycleRulesResponseObject, error) {
	s, err := a.UpdateLifecycle(ctx, r.Params.IfMatch, fromAPILifecycle(r.Body))
	if err != nil {
		return nil, err
	}
	return segmentsapi.UpdateLifecycleRules200JSONResponse{
		Body: toAPILifecycle(s), Headers: segmentsapi.UpdateLifecycleRules200ResponseHeaders{ETag: etag.Header(s.Version)},
	}, nil
}

// PreviewLifecycleRules implements previewLifecycleRules.
func (a API) PreviewLifecycleRules(ctx context.Context, r segmentsapi.PreviewLifecycleRulesRequestObject) (segmentsapi.PreviewLifecycleRulesResponseObject, error) {
	p, err := a.PreviewLifecycle(ctx, fromAPILifecycle(r.Body))
	if err != nil {
		return nil, err
	}
	out := segmentsapi.LifecyclePreview{CustomerCount: p.Customers, PinnedCount: p.Pinned, MovedCount: p.Moved,
		Stages: []segmentsapi.LifecycleStageCount{}, Moves: []segmentsapi.LifecycleMove{}}
	for _, stage := range []string{lifecycle.Prospect, lifecycle.New, lifecycle.Active, lifecycle.Loyal, lifecycle.Dormant, lifecycle.Lost} {
		out.Stages = append(out.Stages, segmentsapi.LifecycleStageCount{Stage: segmentsapi.LifecycleRuleStage(stage), CustomerCount: p.Stages[stage]})
	}
	for _, m := range p.Moves {
		out.Moves = append(out.Moves, segmentsapi.LifecycleMove{From: segmentsapi.LifecycleRuleStage(m.From), To: segmentsapi.LifecycleRuleStage(m.To), CustomerCount: m.Customers})
	}
	return segmentsapi.PreviewLifecycleRules200JSONResponse(out), nil
}

func fromAPILifecycle(b *segmentsapi.LifecycleRulesInput) lifecycle.Settings {
	out := lifecycle.Settings{Rules: make([]lifecycle.Rule, len(b.Rules))}
	for i, r := range b.Rules {
		out.Rules[i] = lifecycle.Rule{
			Code: r.Code, Stage: string(r.Stage), Band: r.RfmBand, RecencyBelow: number[int](r.RecencyBelow), RecencyAbove: number[int](r.RecencyAbove),
			FirstBelow: number[int](r.FirstOrderBelow), FirstAbove: number[int](r.FirstOrderAbove),
			CreatedBelow: number[int](r.CreatedBelow), CreatedAbove: number[int](r.CreatedAbove),
			OrdersAtLeast: r.OrderCountAtLeast, OrdersAtMost: r.OrderCountAtMost,
			NetSpentAtLeast: r.NetSpentAtLeastAmount, NetSpentBelow: r.NetSpentBelowAmount, HasCard: r.HasCardNumber,
		}
	}
	return out
}

func toAPILifecycle(s *LifecycleSettings) segmentsapi.LifecycleRules {
	out := segmentsapi.LifecycleRules{Rules: make([]segmentsapi.LifecycleRule, len(s.Rules)), RefreshJobId: opt.OrNull(s.JobID), Version: s.Version,
		UpdatedAt: nullable.NewNullNullable[time.Time]()}
	if s.UpdatedAt != nil {
		out.UpdatedAt.Set(s.UpdatedAt.UTC())
	}
	for i, r := range s.Rules {
		out.Rules[i] = segmentsapi.LifecycleRule{
			Code: r.Code, Stage: segmentsapi.LifecycleRuleStage(r.Stage), RfmBand: r.Band,
			RecencyBelow: number[int32](r.RecencyBelow), RecencyAbove: number[int32](r.RecencyAbove),
			FirstOrderBelow: number[int32](r.FirstBelow), FirstOrderAbove: number[int32](r.FirstAbove),
			CreatedBelow: number[int32](r.CreatedBelow), CreatedAbove: number[int32](r.CreatedAbove),
			OrderCountAtLeast: r.OrdersAtLeast, OrderCountAtMost: r.OrdersAtMost,
			NetSpentAtLeastAmount: r.NetSpentAtLeast, NetSpentBelowAmount: r.NetSpentBelow, HasCardNumber: r.HasCard,
		}
	}
	return out
}
