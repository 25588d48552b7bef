package forms

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	formsapi "github.com/shuke-crm/shuke/api/forms"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API is the HTTP side of the service.
type API struct{ *Service }

var _ formsapi.StrictServerInterface = API{}

// ListForms implements listForms.
func (a API) ListForms(ctx context.Context, r formsapi.ListFormsRequestObject) (formsapi.ListFormsResponseObject, error) {
	status := ""
	if r.Params.Status != nil {
		status = string(*r.Params.Status)
	}
	found, err := a.List(ctx, status, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := formsapi.ListForms200JSONResponse{
		Body:    formsapi.FormList{Items: make([]formsapi.Form, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: formsapi.ListForms200ResponseHeaders{Link: found.Link},
	}
	for i, f := range found.Items {
		if out.Body.Items[i], err = toAPIForm(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CreateForm implements createForm.
func (a API) CreateForm(ctx context.Context, r formsapi.CreateFormRequestObject) (formsapi.CreateFormResponseObject, error) {
	b := r.Body
	d, err := fromAPIDefinition(&b.Definition)
	if err != nil {
		return nil, err
	}
	in := Input{Code: b.Code, Title: b.Title, Channel: b.Channel, Definition: d}
	if b.StoreId != nil {
		in.StoreID.Set(*b.StoreId)
	}
	f, err := a.Create(ctx, in)
	if err != nil {
		return nil, err
	}
	body, err := toAPIForm(f)
	location, tag := "/v1/forms/"+f.ID.String(), etag.Of(f.Version)
	return formsapi.CreateForm201JSONResponse{Body: body, Headers: formsapi.CreateForm201ResponseHeaders{Location: &location, ETag: &tag}}, err
}

// GetForm implements getForm.
func (a API) GetForm(ctx context.Context, r formsapi.GetFormRequestObject) (formsapi.GetFormResponseObject, error) {
	f, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := toAPIForm(f)
	tag := etag.Of(f.Version)
	return formsapi.GetForm200JSONResponse{Body: body, Headers: formsapi.GetForm200ResponseHeaders{ETag: &tag}}, err
}

// UpdateForm implements updateForm.
func (a API) UpdateForm(ctx context.Context, r formsapi.UpdateFormRequestObject) (formsapi.UpdateFormResponseObject, error) {
	b := r.Body
	in := Input{Channel: b.Channel, StoreID: b.StoreId}
	if b.Title != nil {
		in.Title = *b.Title
	}
	if b.Definition != nil {
		var err error
		if in.Definition, err = fromAPIDefinition(b.Definition); err != nil {
			return nil, err
		}
	}
	f, err := a.Update(ctx, r.Id, in, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	body, err := toAPIForm(f)
	tag := etag.Of(f.Version)
	return formsapi.UpdateForm200JSONResponse{Body: body, Headers: formsapi.UpdateForm200ResponseHeaders{ETag: &tag}}, err
}

// PublishForm implements publishForm.
func (a API) PublishForm(ctx context.Context, r formsapi.PublishFormRequestObject) (formsapi.PublishFormResponseObject, error) {
	f, err := a.Publish(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	body, err := toAPIForm(f)
	tag := etag.Of(f.Version)
	return formsapi.PublishForm200JSONResponse{Body: body, Headers: formsapi.PublishForm200ResponseHeaders{ETag: &tag}}, err
}

// ListFormVersions implements listFormVersions.
func (a API) ListFormVersions(ctx context.Context, r formsapi.ListFormVersionsRequestObject) (formsapi.ListFormVersionsResponseObject, error) {
	found, err := a.Versions(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := formsapi.ListFormVersions200JSONResponse{
		Body:    formsapi.FormVersionList{Items: make([]formsapi.FormVersion, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: formsapi.ListFormVersions200ResponseHeaders{Link: found.Link},
	}
	for i, v := range found.Items {
		out.Body.Items[i] = formsapi.FormVersion{Id: v.ID, Number: int32(v.Number), PublishedAt: v.PublishedAt.UTC()}
		if err := json.Unmarshal(v.Definition, &out.Body.Items[i].Definition); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ArchiveForm implements archiveForm.
func (a API) ArchiveForm(ctx context.Context, r formsapi.ArchiveFormRequestObject) (formsapi.ArchiveFormResponseObject, error) {
	f, err := a.Archive(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	body, err := toAPIForm(f)
	tag := etag.Of(f.Version)
	return formsapi.ArchiveForm200JSONResponse{Body: body, Headers: formsapi.ArchiveForm200ResponseHeaders{ETag: &tag}}, err
}

// ListFormSubmissions implements listFormSubmissions.
func (a API) ListFormSubmissions(ctx context.Context, r formsapi.ListFormSubmissionsRequestObject) (formsapi.ListFormSubmissionsResponseObject, error) {
	found, err := a.Submissions(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	out := formsapi.ListFormSubmissions200JSONResponse{
		Body:    formsapi.FormSubmissionList{Items: make([]formsapi.FormSubmission, len(found.Items)), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: formsapi.ListFormSubmissions200ResponseHeaders{Link: found.Link},
	}
	for i, row := range found.Items {
		out.Body.Items[i] = ToAPISubmission(row)
	}
	return out, nil
}

// SubmitForm implements submitForm.
func (a API) SubmitForm(ctx context.Context, r formsapi.SubmitFormRequestObject) (formsapi.SubmitFormResponseObject, error) {
	b := r.Body
	row, err := a.Submit(ctx, r.Id, Handed{Version: b.FormVersion, Answers: b.Answers, Consents: FromAPIConsents(b.Consents), HomeStoreID: b.HomeStoreId})
	if err != nil {
		return nil, err
	}
	location := "/v1/forms/" + r.Id.String() + "/submissions/" + row.ID.String()
	return formsapi.SubmitForm201JSONResponse{Body: ToAPISubmission(row), Headers: formsapi.SubmitForm201ResponseHeaders{Location: &location}}, nil
}

// GetFormSubmission implements getFormSubmission.
func (a API) GetFormSubmission(ctx context.Context, r formsapi.GetFormSubmissionRequestObject) (formsapi.GetFormSubmissionResponseObject, error) {
	row, err := a.Submission(ctx, r.Id, r.SubmissionId)
	if err != nil {
		return nil, err
	}
	return formsapi.GetFormSubmission200JSONResponse(ToAPISubmission(row)), nil
}

// RevealFormSubmission implements revealFormSubmission.
func (a API) RevealFormSubmission(ctx context.Context, r formsapi.RevealFormSubmissionRequestObject) (formsapi.RevealFormSubmissionResponseObject, error) {
	answers, err := a.Reveal(ctx, r.Id, r.SubmissionId, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return formsapi.RevealFormSubmission200JSONResponse{Id: r.SubmissionId, Answers: answers}, nil
}

// fromAPIDefinition: the contract's form is the one that is kept.
func fromAPIDefinition(b *formsapi.FormDefinition) (*Definition, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	d := &Definition{}
	return d, json.Unmarshal(raw, d)
}

// FromAPIConsents reads the consents of a submission.
func FromAPIConsents(b *[]formsapi.FormConsentGiven) []Given {
	if b == nil {
		return nil
	}
	out := make([]Given, len(*b))
	for i, g := range *b {
		out[i] = Given{string(g.Purpose), int(g.TextVersion)}
	}
	return out
}

func toAPIForm(f *Form) (formsapi.Form, error) {
	out := formsapi.Form{Id: f.ID, Code: f.Code, Title: f.Title, Status: formsapi.FormStatus(f.Status), Channel: f.Channel, StoreId: opt.OrNull[uuid.UUID](f.StoreID),
		PublishedVersion: nullable.NewNullNullable[int32](), Published: nullable.NewNullNullable[formsapi.FormDefinition](), Version: f.Version, CreatedAt: f.CreatedAt.UTC(), UpdatedAt: f.UpdatedAt.UTC()}
	if err := json.Unmarshal(f.Definition, &out.Definition); err != nil {
		return out, err
	}
	if f.Published != nil {
		var d formsapi.FormDefinition
		if err := json.Unmarshal(f.Published, &d); err != nil {
			return out, err
		}
		out.PublishedVersion.Set(int32(f.PublishedVersion))
		out.Published.Set(d)
	}
	return out, nil
}

// ToAPISubmission writes a submission as all contracts do.
func ToAPISubmission(row *crm.FormSubmission) formsapi.FormSubmission {
	return formsapi.FormSubmission{Id: row.ID, FormId: row.FormID, FormVersion: int32(row.FormVersion), CustomerId: row.CustomerID, Outcome: formsapi.FormOutcome(row.Outcome),
		Channel: row.Channel, SubmittedByKind: row.SubmittedByKind, SubmittedById: row.SubmittedByID, CreatedAt: row.CreatedAt.UTC()}
}
