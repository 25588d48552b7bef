package customers

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// fromAPIChoices reads the fields that were given a side.
func fromAPIChoices(choices *customersapi.MergeFieldChoices) map[string]Side {
	out := map[string]Side{}
	if choices == nil {
		return out
	}
	raw, err := json.Marshal(choices)
	if err != nil {
		panic(err) // a struct of strings
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// PreviewCustomerMerge implements previewCustomerMerge.
func (a API) PreviewCustomerMerge(ctx context.Context, r customersapi.PreviewCustomerMergeRequestObject) (customersapi.PreviewCustomerMergeResponseObject, error) {
	p, err := a.PreviewMerge(ctx, r.Body.SurvivorId, r.Body.MergedId, fromAPIChoices(r.Body.FieldChoices))
	if err != nil {
		return nil, err
	}
	survivor, merged := p.Survivor.Masked(), p.Merged.Masked()
	out := customersapi.PreviewCustomerMerge200JSONResponse{
		Survivor: customersapi.DuplicateSide{Id: survivor.ID, ExternalId: pointerOrNull(survivor.ExternalID)},
		Merged:   customersapi.DuplicateSide{Id: merged.ID, ExternalId: pointerOrNull(merged.ExternalID)},
		Fields:   []customersapi.MergePreviewField{}, Moves: []customersapi.MergeCount{}, Blockers: []customersapi.MergeBlocker{},
		Warnings: []customersapi.CustomerWarning{},
	}
	for _, f := range p.Fields {
		choices := []customersapi.MergeSide{customersapi.MergeSide(OfSurvivor), customersapi.MergeSide(OfMerged)}
		if f.join != nil {
			choices = append(choices, customersapi.MergeSide(OfBoth))
		}
		out.Fields = append(out.Fields, customersapi.MergePreviewField{
			Field: f.name, Strategy: customersapi.MergeStrategy(f.strategy), SurvivorValue: orNull(f.show(&survivor)), MergedValue: orNull(f.show(&merged)),
			Choice: customersapi.MergeSide(f.Choice), Reason: customersapi.MergeReason(f.Reason), Choices: choices,
		})
	}
	for _, m := range p.Moves {
		out.Moves = append(out.Moves, customersapi.MergeCount{Kind: m.Kind, Count: m.Count})
	}
	lang := apperr.Language(deref(r.Params.AcceptLanguage))
	for _, b := range p.Blockers {
		out.Blockers = append(out.Blockers, customersapi.MergeBlocker{Code: b.Def.Code, Detail: b.Def.Text(lang, b.Args)})
	}
	if w := toAPIWarnings(p.Warnings); w != nil {
		out.Warnings = *w
	}
	return out, nil
}

// GetAutoMergeSettings implements getAutoMergeSettings.
func (a API) GetAutoMergeSettings(ctx context.Context, _ customersapi.GetAutoMergeSettingsRequestObject) (customersapi.GetAutoMergeSettingsResponseObject, error) {
	v, err := a.AutoMergeSetting(ctx)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(v.Version)
	return customersapi.GetAutoMergeSettings200JSONResponse{Body: toAPIAutoMerge(v), Headers: customersapi.GetAutoMergeSettings200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateAutoMergeSettings implements updateAutoMergeSettings.
func (a API) UpdateAutoMergeSettings(ctx context.Context, r customersapi.UpdateAutoMergeSettingsRequestObject) (customersapi.UpdateAutoMergeSettingsResponseObject, error) {
	in := AutoMerge{Enabled: r.Body.Enabled, Threshold: r.Body.Threshold, Survivor: string(r.Body.Survivor)}
	if r.Body.MayDiffer != nil {
		for _, name := range *r.Body.MayDiffer {
			in.MayDiffer = append(in.MayDiffer, string(name))
		}
	}
	v, err := a.SetAutoMerge(ctx, r.Params.IfMatch, in)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(v.Version)
	return customersapi.UpdateAutoMergeSettings200JSONResponse{Body: toAPIAutoMerge(v), Headers: customersapi.UpdateAutoMergeSettings200ResponseHeaders{ETag: &tag}}, nil
}

func toAPIAutoMerge(v *AutoMerge) customersapi.AutoMergeSettings {
	out := customersapi.AutoMergeSettings{Enabled: v.Enabled, Threshold: v.Threshold, Survivor: customersapi.AutoMergeSurvivor(v.Survivor),
		MayDiffer: []customersapi.AutoMergeIdentifier{}, Version: v.Version, UpdatedAt: pointerOrNull(v.UpdatedAt)}
	for _, name := range v.MayDiffer {
		out.MayDiffer = append(out.MayDiffer, customersapi.AutoMergeIdentifier(name))
	}
	return out
}

// MergeCustomers implements mergeCustomers.
func (a API) MergeCustomers(ctx context.Context, r customersapi.MergeCustomersRequestObject) (customersapi.MergeCustomersResponseObject, error) {
	m, err := a.Merge(ctx, r.Body.SurvivorId, r.Body.MergedId, fromAPIChoices(r.Body.FieldChoices))
	if err != nil {
		return nil, err
	}
	location := "/v1/customer-merges/" + m.ID.String()
	return customersapi.MergeCustomers201JSONResponse{Body: toAPIMerge(m), Headers: customersapi.MergeCustomers201ResponseHeaders{Location: &location}}, nil
}

// ListCustomerMerges implements listCustomerMerges.
func (a API) ListCustomerMerges(ctx context.Context, r customersapi.ListCustomerMergesRequestObject) (customersapi.ListCustomerMergesResponseObject, error) {
	list := page.NewList("/v1/customer-merges", r.Params.Limit)
	var f MergeFilter
	if v := r.Params.CustomerId; v != nil {
		f.CustomerID = *v
		list.Filters.Set("customer_id", v.String())
	}
	if v := r.Params.Status; v != nil {
		f.Status = string(*v)
		list.Filters.Set("status", f.Status)
	}
	var before uuid.UUID
	if _, err := a.pages.Decode(list.Name(), r.Params.Cursor, &before); err != nil {
		return nil, err
	}
	rows, err := a.merges(ctx, f, before, list.Limit+1)
	if err != nil {
		return nil, err
	}
	total, err := page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return a.countMerges(ctx, f) })
	if err != nil {
		return nil, err
	}
	out := customersapi.ListCustomerMerges200JSONResponse{Body: customersapi.CustomerMergeList{
		Items: []customersapi.CustomerMerge{}, NextCursor: nullable.NewNullNullable[string](), TotalCount: total,
	}}
	rows, out.Body.HasMore = page.Cut(rows, list.Limit)
	for _, row := range rows {
		out.Body.Items = append(out.Body.Items, toAPIMerge(row))
	}
	if out.Body.HasMore {
		next, link := list.After(a.pages, rows[len(rows)-1].ID)
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}

// GetCustomerMerge implements getCustomerMerge.
func (a API) GetCustomerMerge(ctx context.Context, r customersapi.GetCustomerMergeRequestObject) (customersapi.GetCustomerMergeResponseObject, error) {
	m, err := a.OneMerge(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return customersapi.GetCustomerMerge200JSONResponse(toAPIMerge(m)), nil
}

// UndoCustomerMerge implements undoCustomerMerge.
func (a API) UndoCustomerMerge(ctx context.Context, r customersapi.UndoCustomerMergeRequestObject) (customersapi.UndoCustomerMergeResponseObject, error) {
	m, err := a.UndoMerge(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return customersapi.UndoCustomerMerge200JSONResponse(toAPIMerge(m)), nil
}

func toAPIMerge(m *crm.CustomerMerge) customersapi.CustomerMerge {
	out := customersapi.CustomerMerge{
		Id: m.ID, SurvivorId: m.SurvivorID, MergedId: m.MergedID, Status: customersapi.MergeStatus(m.Status),
		Fields: []customersapi.MergedField{}, Moved: []customersapi.MergeCount{}, Kept: []customersapi.MergeKept{},
		Automatic: m.MergedBy == nil, MergedBy: pointerOrNull(m.MergedBy), MergedAt: m.MergedAt.UTC(), UndoneBy: pointerOrNull(m.UndoneBy), UndoneAt: pointerOrNull(utc(m.UndoneAt)), Version: m.Version,
	}
	for _, f := range m.Fields {
		out.Fields = append(out.Fields, customersapi.MergedField{Field: f.Field, Choice: customersapi.MergeSide(f.Choice)})
	}
	for _, c := range m.Moved {
		out.Moved = append(out.Moved, customersapi.MergeCount{Kind: c.Kind, Count: c.Count})
	}
	for _, k := range m.Kept {
		out.Kept = append(out.Kept, customersapi.MergeKept{Customer: customersapi.MergeKeptCustomer(k.Customer), Field: k.Field, Reason: customersapi.MergeKeptReason(k.Reason)})
	}
	return out
}
