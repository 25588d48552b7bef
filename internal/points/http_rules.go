package points

import (
	"context"
	"strconv"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	pointsapi "github.com/shuke-crm/shuke/api/points"
	"github.com/shuke-crm/shuke/ent/commerce/order"
	"github.com/shuke-crm/shuke/ent/loyalty"
	"github.com/shuke-crm/shuke/ent/loyalty/pointsrule"
	"github.com/shuke-crm/shuke/ent/loyalty/schema"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListPointsRules implements listPointsRules.
func (a API) ListPointsRules(ctx context.Context, r pointsapi.ListPointsRulesRequestObject) (pointsapi.ListPointsRulesResponseObject, error) {
	p := r.Params
	found, err := a.Rules(ctx, RuleFilter{Unit: opt.Value(p.Unit), Kind: string(opt.Value(p.Kind)), Status: string(opt.Value(p.Status))}, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsRules200JSONResponse{
		Body:    pointsapi.PointsRuleList{Items: each(found.Items, toAPIRule), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsRules200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreatePointsRule implements createPointsRule.
func (a API) CreatePointsRule(ctx context.Context, r pointsapi.CreatePointsRuleRequestObject) (pointsapi.CreatePointsRuleResponseObject, error) {
	b := r.Body
	in := NewRule{Code: b.Code, Unit: opt.Value(b.Unit), Kind: pointsrule.Kind(b.Kind), Status: pointsrule.StatusActive}
	if b.Status != nil {
		in.Status = pointsrule.Status(*b.Status)
	}
	if b.Spend != nil && b.Event != nil { // they share a column
		return nil, ErrRuleTerms.At("/event").Arg("needed", string(b.Kind))
	}
	terms(pointsapi.PointsRuleUpdate{Name: &b.Name, NameEn: b.NameEn, Spend: b.Spend, Multiplier: b.Multiplier, Event: b.Event, Conditions: b.Conditions}, &in.Terms)
	v, err := a.CreateRule(ctx, in)
	if err != nil {
		return nil, err
	}
	return pointsapi.CreatePointsRule201JSONResponse{Body: toAPIRule(v), Headers: pointsapi.CreatePointsRule201ResponseHeaders{ETag: etag.Header(v.Version), Location: location("rules", v.ID)}}, nil
}

// GetPointsRule implements getPointsRule.
func (a API) GetPointsRule(ctx context.Context, r pointsapi.GetPointsRuleRequestObject) (pointsapi.GetPointsRuleResponseObject, error) {
	v, err := a.Rule(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetPointsRule200JSONResponse{Body: toAPIRule(v), Headers: pointsapi.GetPointsRule200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// UpdatePointsRule implements updatePointsRule.
func (a API) UpdatePointsRule(ctx context.Context, r pointsapi.UpdatePointsRuleRequestObject) (pointsapi.UpdatePointsRuleResponseObject, error) {
	if r.Body.Spend != nil && r.Body.Event != nil {
		return nil, ErrRuleTerms.At("/event").Arg("needed", "spend | multiplier | event")
	}
	v, err := a.UpdateRule(ctx, r.Id, r.Params.IfMatch, func(status *pointsrule.Status, t *schema.RuleTerms) {
		if r.Body.Status != nil {
			*status = pointsrule.Status(*r.Body.Status)
		}
		terms(*r.Body, t)
	})
	if err != nil {
		return nil, err
	}
	return pointsapi.UpdatePointsRule200JSONResponse{Body: toAPIRule(v), Headers: pointsapi.UpdatePointsRule200ResponseHeaders{ETag: etag.Header(v.Version)}}, nil
}

// ListPointsRuleVersions implements listPointsRuleVersions.
func (a API) ListPointsRuleVersions(ctx context.Context, r pointsapi.ListPointsRuleVersionsRequestObject) (pointsapi.ListPointsRuleVersionsResponseObject, error) {
	p := r.Params
	found, err := a.RuleVersions(ctx, r.Id, Asked{p.Limit, p.Cursor, p.Include != nil})
	if err != nil {
		return nil, err
	}
	return pointsapi.ListPointsRuleVersions200JSONResponse{
		Body:    pointsapi.PointsRuleVersionList{Items: each(found.Items, toAPIRuleVersion), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: pointsapi.ListPointsRuleVersions200ResponseHeaders{Link: found.Link},
	}, nil
}

// PreviewPoints implements previewPoints.
func (a API) PreviewPoints(ctx context.Context, r pointsapi.PreviewPointsRequestObject) (pointsapi.PreviewPointsResponseObject, error) {
	b := r.Body
	in := Basket{CustomerID: b.CustomerId, Tier: b.Tier, StoreID: b.StoreId, Channel: "pos", At: b.PlacedAt, Points: opt.Value(b.PointsToRedeem)}
	if b.Channel != nil {
		in.Channel = string(*b.Channel)
	}
	for _, l := range b.Lines {
		in.Lines = append(in.Lines, BasketLine{VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity, Amount: l.Amount})
	}
	found, err := a.Preview(ctx, in)
	if err != nil {
		return nil, err
	}
	return pointsapi.PreviewPoints200JSONResponse{Earnings: each(found, func(p Preview) pointsapi.PointsPreviewUnit {
		return pointsapi.PointsPreviewUnit{Unit: p.Unit.Code, Points: p.Points, ActiveAt: p.ActiveAt.UTC(), ExpiresAt: opt.OrNull(p.Expires), Lines: each(p.Lines, func(l schema.EarnedLine) pointsapi.EarnedPointsLine {
			out := toAPIEarnedLine(l)
			out.LineId.SetNull()
			return out
		})}
	})}, nil
}

// GrantPoints implements grantPoints.
func (a API) GrantPoints(ctx context.Context, r pointsapi.GrantPointsRequestObject) (pointsapi.GrantPointsResponseObject, error) {
	lang := apperr.Language(opt.Value(r.Params.AcceptLanguage))
	all := each(r.Body.Grants, func(g pointsapi.PointsGrant) NewGrant {
		c := g.Customer
		return NewGrant{Customer: customers.Ref{ID: opt.Value(c.Id), ExternalID: opt.Value(c.ExternalId), CardNumber: opt.Value(c.CardNumber), Phone: opt.Value(c.Phone)},
			Unit: opt.Value(g.Unit), Points: g.Points, Reason: g.Reason, Key: g.Key, EarnedAt: g.EarnedAt, ExpiresAt: g.ExpiresAt}
	})
	found, err := a.Grants(ctx, all)
	if err != nil {
		return nil, err
	}
	out := make([]pointsapi.PointsGrantResult, len(found))
	for i, f := range found {
		out[i] = pointsapi.PointsGrantResult{Index: int32(i), Status: pointsapi.GrantGiven}
		switch {
		case f.Err != nil:
			out[i].Status = pointsapi.GrantError
			out[i].Error = &commonapi.ProblemError{Code: f.Err.Def.Code, Detail: f.Err.Def.Text(lang, f.Err.Args)}
			if len(f.Err.Fields) > 0 {
				out[i].Error.Pointer = "/grants/" + strconv.Itoa(i) + f.Err.Fields[0].Pointer
			}
			continue
		case f.Known:
			out[i].Status = pointsapi.GrantKnown
		}
		out[i].CustomerId = &f.CustomerID
	}
	return pointsapi.GrantPoints200JSONResponse(pointsapi.PointsGrantResults{Results: out}), nil
}

// GetOrderPoints implements getOrderPoints.
func (a API) GetOrderPoints(ctx context.Context, r pointsapi.GetOrderPointsRequestObject) (pointsapi.GetOrderPointsResponseObject, error) {
	if known, err := a.db.From(ctx).Commerce.Order.Query().Where(order.ID(r.Id)).Exist(ctx); err != nil {
		return nil, err
	} else if !known {
		return nil, ErrOrderNotFound.New()
	}
	found, err := a.OfOrder(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return pointsapi.GetOrderPoints200JSONResponse{Earnings: each(found, func(e *loyalty.PointsEarning) pointsapi.OrderPointsUnit {
		return pointsapi.OrderPointsUnit{Unit: e.Edges.Unit.Code, Points: e.Points, WithheldPoints: e.Withheld, Tier: e.Tier, EarnedOn: openapi_types.Date{Time: e.EarnedOn}, Lines: each(e.Lines, toAPIEarnedLine)}
	})}, nil
}

// ReportPointsEvent implements reportPointsEvent.
func (a API) ReportPointsEvent(ctx context.Context, r pointsapi.ReportPointsEventRequestObject) (pointsapi.ReportPointsEventResponseObject, error) {
	h := Happening{CustomerID: r.Id, Type: r.Body.Type, Key: r.Body.Key, StoreID: r.Body.StoreId}
	if r.Body.OccurredAt != nil {
		h.At = r.Body.OccurredAt.UTC()
	}
	found, err := a.Report(ctx, h)
	if err != nil {
		return nil, err
	}
	return pointsapi.ReportPointsEvent200JSONResponse(ToAPIOutcomes(found)), nil
}

// ToAPIOutcomes is what rules made of something as the contract has it, for members too.
func ToAPIOutcomes(found []Outcome) pointsapi.PointsOutcomes {
	return pointsapi.PointsOutcomes{Outcomes: each(found, func(o Outcome) pointsapi.PointsOutcome {
		return pointsapi.PointsOutcome{RuleId: o.RuleID, RuleVersion: o.Version, Unit: o.Unit, Points: o.Points, Result: pointsapi.PointsOutcomeResult(o.Result)}
	})}
}

// terms changes what a rule gives and when; what is left out stays.
func terms(b pointsapi.PointsRuleUpdate, t *schema.RuleTerms) {
	set(b.Name, &t.Name)
	set(b.NameEn, &t.NameEN)
	if s := b.Spend; s != nil {
		t.Points, t.PerAmount, t.Priority = s.Points, s.PerAmount, int(opt.Value(s.Priority))
	}
	if m := b.Multiplier; m != nil {
		t.Percent, t.Combinable = m.Percent, opt.Value(m.Combinable)
	}
	if e := b.Event; e != nil {
		t.Event, t.Points, t.EveryCount, t.StreakDays = e.Type, e.Points, opt.Value(e.EveryCount), opt.Value(e.StreakDays)
		t.DailyTimes, t.MemberTimes, t.TotalPoints = opt.Value(e.DailyTimes), opt.Value(e.MemberTimes), opt.Value(e.TotalPoints)
	}
	c := b.Conditions
	if c == nil {
		return
	}
	t.Stores, t.Merchants, t.Categories, t.SKUs = opt.Value(c.StoreIds), opt.Value(c.MerchantIds), opt.Value(c.CategoryIds), opt.Value(c.Skus)
	t.Channels = each(opt.Value(c.Channels), func(v pointsapi.PointsRuleConditionsChannels) string { return string(v) })
	t.Tiers, t.Weekdays = opt.Value(c.Tiers), each(opt.Value(c.Weekdays), func(v int32) int { return int(v) })
	t.From, t.Until, t.MinAmount, t.Campaign = c.StartsAt, c.EndsAt, opt.Value(c.MinAmount), opt.Value(c.Campaign)
}

// given is what says something, for the contract; nil for what does not.
func given[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func some[T any](v []T) *[]T {
	if len(v) == 0 {
		return nil
	}
	return &v
}

func toAPIConditions(t schema.RuleTerms) pointsapi.PointsRuleConditions {
	return pointsapi.PointsRuleConditions{StoreIds: some(t.Stores), MerchantIds: some(t.Merchants), CategoryIds: some(t.Categories), Skus: some(t.SKUs),
		Channels: some(each(t.Channels, func(v string) pointsapi.PointsRuleConditionsChannels {
			return pointsapi.PointsRuleConditionsChannels(v)
		})),
		Tiers: some(t.Tiers), Weekdays: some(each(t.Weekdays, func(v int) int32 { return int32(v) })), StartsAt: t.From, EndsAt: t.Until, MinAmount: given(t.MinAmount), Campaign: given(t.Campaign)}
}

// toAPITerms are a rule's terms by their kinds; null for other kinds'.
func toAPITerms(t schema.RuleTerms) (s nullable.Nullable[pointsapi.PointsSpendTerms], m nullable.Nullable[pointsapi.PointsMultiplierTerms], e nullable.Nullable[pointsapi.PointsEventTerms]) {
	s.SetNull()
	m.SetNull()
	e.SetNull()
	switch {
	case t.PerAmount > 0:
		priority := int32(t.Priority)
		s.Set(pointsapi.PointsSpendTerms{Points: t.Points, PerAmount: t.PerAmount, Priority: given(priority)})
	case t.Percent > 0:
		m.Set(pointsapi.PointsMultiplierTerms{Percent: t.Percent, Combinable: given(t.Combinable)})
	default:
		e.Set(pointsapi.PointsEventTerms{Type: t.Event, Points: t.Points, EveryCount: given(t.EveryCount), StreakDays: given(t.StreakDays), DailyTimes: given(t.DailyTimes),
			MemberTimes: given(t.MemberTimes), TotalPoints: given(t.TotalPoints)})
	}
	return s, m, e
}

func toAPIRule(r *loyalty.PointsRule) pointsapi.PointsRule {
	out := pointsapi.PointsRule{Id: r.ID, Code: r.Code, Unit: r.Edges.Unit.Code, Kind: pointsapi.PointsRuleKind(r.Kind), Status: pointsapi.PointsRuleStatus(r.Status), Name: r.Terms.Name,
		NameEn: r.Terms.NameEN, Conditions: toAPIConditions(r.Terms), GivenPoints: r.GivenPoints, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
	out.Spend, out.Multiplier, out.Event = toAPITerms(r.Terms)
	return out
}

func toAPIRuleVersion(v *loyalty.PointsRuleVersion) pointsapi.PointsRuleVersion {
	out := pointsapi.PointsRuleVersion{RuleId: v.RuleID, Version: v.Version, Status: pointsapi.PointsRuleStatus(v.Status), Name: v.Terms.Name, NameEn: v.Terms.NameEN, Conditions: toAPIConditions(v.Terms),
		ActorKind: v.ActorKind, ActorId: opt.OrNull(v.ActorID), EffectiveAt: v.EffectiveAt.UTC()}
	out.Spend, out.Multiplier, out.Event = toAPITerms(v.Terms)
	return out
}

func toAPIEarnedLine(l schema.EarnedLine) pointsapi.EarnedPointsLine {
	return pointsapi.EarnedPointsLine{LineId: nullable.NewNullableWithValue(uuid.UUID(l.LineID)), Amount: l.Amount, Points: l.Points, PerAmount: l.Per, Percent: l.Percent, Earned: exact(&l).FloatString(2),
		Rules: each(l.Rules, func(r schema.RuleRef) pointsapi.PointsRuleRef {
			return pointsapi.PointsRuleRef{RuleId: r.RuleID, Version: r.Version}
		})}
}
