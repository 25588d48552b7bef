package member

import (
	"context"
	"encoding/json"

	memberapi "github.com/shuke-crm/shuke/api/member"
	"github.com/shuke-crm/shuke/internal/forms"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListMemberForms implements listMemberForms.
func (a API) ListMemberForms(ctx context.Context, r memberapi.ListMemberFormsRequestObject) (memberapi.ListMemberFormsResponseObject, error) {
	found, err := a.Forms.ForMembers(ctx, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := memberapi.ListMemberForms200JSONResponse{Items: make([]memberapi.MemberForm, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
	for i, f := range found.Items {
		out.Items[i] = memberapi.MemberForm{Id: f.ID, Code: f.Code, Title: f.Title, PublishedVersion: int32(f.PublishedVersion)}
		if err := json.Unmarshal(f.Published, &out.Items[i].Definition); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SubmitMemberForm implements submitMemberForm.
func (a API) SubmitMemberForm(ctx context.Context, r memberapi.SubmitMemberFormRequestObject) (memberapi.SubmitMemberFormResponseObject, error) {
	b := r.Body
	row, err := a.SubmitOwn(ctx, r.Id, forms.Handed{Version: b.FormVersion, Answers: b.Answers, Consents: forms.FromAPIConsents(b.Consents)})
	if err != nil {
		return nil, err
	}
	return memberapi.SubmitMemberForm200JSONResponse(forms.ToAPISubmission(row)), nil
}
