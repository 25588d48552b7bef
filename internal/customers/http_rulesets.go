package customers

import (
	"context"
	"net/url"
	"strconv"

	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListValidationRules implements listValidationRules.
func (a API) ListValidationRules(ctx context.Context, r customersapi.ListValidationRulesRequestObject) (customersapi.ListValidationRulesResponseObject, error) {
	var at struct {
		Code string `json:"c"`
	}
	const list = "validation-rules"
	if _, err := a.pages.Decode(list, r.Params.Cursor, &at); err != nil {
		return nil, err
	}
	limit := page.Limit(r.Params.Limit)
	db := a.db.From(ctx)
	rows, err := readRules(ctx, db, "AND code > $1 ORDER BY code LIMIT $2", at.Code, limit+1)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListValidationRules200JSONResponse{Body: customersapi.ValidationRuleList{Items: []customersapi.ValidationRule{}, NextCursor: nullable.NewNullNullable[string]()}}
	rows, out.Body.HasMore = page.Cut(rows, limit)
	for _, one := range rows {
		out.Body.Items = append(out.Body.Items, toAPIRule(one))
	}
	if out.Body.HasMore {
		at.Code = rows[limit-1].Code
		next := a.pages.Encode(list, at)
		out.Body.NextCursor.Set(next)
		link := "</v1/validation-rules?" + url.Values{"cursor": {next}, "limit": {strconv.Itoa(limit)}}.Encode() + `>; rel="next"`
		out.Headers.Link = &link
	}
	if r.Params.Include != nil {
		var n int64
		if err := db.QueryRow(ctx, "SELECT count(*) FROM validation_rules").Scan(&n); err != nil {
			return nil, err
		}
		out.Body.TotalCount = &n
	}
	return out, nil
}

// CreateValidationRule implements createValidationRule.
func (a API) CreateValidationRule(ctx context.Context, r customersapi.CreateValidationRuleRequestObject) (customersapi.CreateValidationRuleResponseObject, error) {
	b := r.Body
	rule, err := a.CreateRule(ctx, RuleInput{Code: b.Code, Severity: Severity(b.Severity), Expression: b.Expression,
		RuleTexts: RuleTexts{Message: Labels{b.Message.En, b.Message.Zh}, Pointer: deref(b.Pointer)}})
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/validation-rules/"+rule.ID.String(), etag.Of(rule.Version)
	return customersapi.CreateValidationRule201JSONResponse{Body: toAPIRule(rule), Headers: customersapi.CreateValidationRule201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// DeleteValidationRule implements deleteValidationRule.
func (a API) DeleteValidationRule(ctx context.Context, r customersapi.DeleteValidationRuleRequestObject) (customersapi.DeleteValidationRuleResponseObject, error) {
	if err := a.DeleteRule(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteValidationRule204Response{}, nil
}

// GetValidationRule implements getValidationRule.
func (a API) GetValidationRule(ctx context.Context, r customersapi.GetValidationRuleRequestObject) (customersapi.GetValidationRuleResponseObject, error) {
	rule, err := ruleOf(ctx, a.db.From(ctx), r.Id, "")
	if err != nil {
		return nil, err
	}
	tag := etag.Of(rule.Version)
	return customersapi.GetValidationRule200JSONResponse{Body: toAPIRule(rule), Headers: customersapi.GetValidationRule200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateValidationRule implements updateValidationRule.
func (a API) UpdateValidationRule(ctx context.Context, r customersapi.UpdateValidationRuleRequestObject) (customersapi.UpdateValidationRuleResponseObject, error) {
	b := r.Body
	ch := RuleChange{Severity: (*Severity)(b.Severity), Expression: b.Expression}
	if b.Message != nil {
		ch.Message = &Labels{b.Message.En, b.Message.Zh}
	}
	if b.Pointer.IsSpecified() {
		pointer := ""
		if v, err := b.Pointer.Get(); err == nil {
			pointer = v
		}
		ch.Pointer = &pointer
	}
	rule, err := a.UpdateRule(ctx, r.Id, ch, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(rule.Version)
	return customersapi.UpdateValidationRule200JSONResponse{Body: toAPIRule(rule), Headers: customersapi.UpdateValidationRule200ResponseHeaders{ETag: &tag}}, nil
}

// ActivateValidationRule implements activateValidationRule.
func (a API) ActivateValidationRule(ctx context.Context, r customersapi.ActivateValidationRuleRequestObject) (customersapi.ActivateValidationRuleResponseObject, error) {
	rule, err := a.ActivateRule(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(rule.Version)
	return customersapi.ActivateValidationRule200JSONResponse{Body: toAPIRule(rule), Headers: customersapi.ActivateValidationRule200ResponseHeaders{ETag: &tag}}, nil
}

// DeactivateValidationRule implements deactivateValidationRule.
func (a API) DeactivateValidationRule(ctx context.Context, r customersapi.DeactivateValidationRuleRequestObject) (customersapi.DeactivateValidationRuleResponseObject, error) {
	rule, err := a.DeactivateRule(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(rule.Version)
	return customersapi.DeactivateValidationRule200JSONResponse{Body: toAPIRule(rule), Headers: customersapi.DeactivateValidationRule200ResponseHeaders{ETag: &tag}}, nil
}

// TryValidationRule implements tryValidationRule.
func (a API) TryValidationRule(ctx context.Context, r customersapi.TryValidationRuleRequestObject) (customersapi.TryValidationRuleResponseObject, error) {
	job, err := a.TryRule(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return customersapi.TryValidationRule202JSONResponse{Body: customersapi.ValidationRuleTry{Job: toAPIJob(job)},
		Headers: customersapi.TryValidationRule202ResponseHeaders{Location: &location}}, nil
}

func toAPIRule(r *Rule) customersapi.ValidationRule {
	out := customersapi.ValidationRule{
		Id: r.ID, Entity: customersapi.CustomFieldEntity(r.Entity), Code: r.Code, Severity: customersapi.ValidationSeverity(r.Severity), Expression: r.Expression,
		Message: toAPIMessage(r.Message), Pointer: r.Pointer, Status: customersapi.ValidationRuleInactive, Tried: r.tried(),
		Trial: null[customersapi.ValidationTrial](), Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if r.Active {
		out.Status = customersapi.ValidationRuleActive
	}
	if t := r.Trial; t != nil {
		out.Trial.Set(customersapi.ValidationTrial{Revision: t.Revision, Checked: t.Checked, Broken: t.Broken, NotApplicable: t.NotApplicable, Samples: t.Samples, At: t.At.UTC()})
	}
	return out
}

func toAPIMessage(l Labels) customersapi.ValidationMessage {
	return customersapi.ValidationMessage{En: l.EN, Zh: l.ZH}
}

// toAPIWarnings are the warnings of a write, nil for none.
func toAPIWarnings(ws []Warning) *[]customersapi.CustomerWarning {
	if len(ws) == 0 {
		return nil
	}
	out := make([]customersapi.CustomerWarning, len(ws))
	for i, w := range ws {
		out[i] = customersapi.CustomerWarning{Rule: w.Rule, Pointer: w.Pointer, Detail: toAPIMessage(w.Message)}
	}
	return &out
}
