package customers

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"
	openapi_types "github.com/oapi-codegen/runtime/types"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListCustomFields implements listCustomFields. There are few enough to read
// them all; the caller sees those that their role may see.
func (a API) ListCustomFields(ctx context.Context, r customersapi.ListCustomFieldsRequestObject) (customersapi.ListCustomFieldsResponseObject, error) {
	var at struct {
		Key string `json:"k"`
	}
	entity := OfCustomer
	if r.Params.Entity != nil {
		entity = string(*r.Params.Entity)
	}
	list := "custom-fields of " + entity
	archived := r.Params.Status != nil && *r.Params.Status == customersapi.CustomFieldArchived
	if archived {
		list += " archived"
	}
	if _, err := a.pages.Decode(list, r.Params.Cursor, &at); err != nil {
		return nil, err
	}
	all, err := queryFields(ctx, a.db.From(ctx), "entity = $1 ORDER BY key", entity)
	if err != nil {
		return nil, err
	}
	actor := auth.Must(ctx)
	limit := page.Limit(r.Params.Limit)
	var total int64
	var rows []*Field
	for _, f := range all {
		if (f.ArchivedAt != nil) != archived || !f.visible(&actor) {
			continue
		}
		total++
		if f.Key > at.Key && len(rows) <= limit {
			rows = append(rows, f)
		}
	}
	out := customersapi.ListCustomFields200JSONResponse{Body: customersapi.CustomFieldList{Items: []customersapi.CustomField{}, NextCursor: nullable.NewNullNullable[string]()}}
	rows, out.Body.HasMore = page.Cut(rows, limit)
	for _, f := range rows {
		out.Body.Items = append(out.Body.Items, toAPIField(f, nil))
	}
	if out.Body.HasMore {
		at.Key = rows[limit-1].Key
		next := a.pages.Encode(list, at)
		out.Body.NextCursor.Set(next)
		v := url.Values{"cursor": {next}, "limit": {strconv.Itoa(limit)}}
		if r.Params.Entity != nil {
			v.Set("entity", entity)
		}
		if archived {
			v.Set("status", string(*r.Params.Status))
		}
		link := "</v1/custom-fields?" + v.Encode() + `>; rel="next"`
		out.Headers.Link = &link
	}
	if r.Params.Include != nil {
		out.Body.TotalCount = &total
	}
	return out, nil
}

// CreateCustomField implements createCustomField.
func (a API) CreateCustomField(ctx context.Context, r customersapi.CreateCustomFieldRequestObject) (customersapi.CreateCustomFieldResponseObject, error) {
	b := r.Body
	in := FieldInput{Entity: deref((*string)(b.Entity)), Key: b.Key, Kind: FieldKind(b.Kind), Personal: b.Personal != nil && *b.Personal, Filterable: b.Filterable != nil && *b.Filterable}
	in.Labels = Labels{b.Labels.En, b.Labels.Zh}
	in.ReferenceTo = deref((*string)(b.ReferenceTo))
	if b.Validation != nil {
		in.Validation = fromAPIValidation(b.Validation)
	}
	if b.Required != nil {
		in.Required = fromAPIRequired(b.Required)
	}
	set(&in.Default, b.Default)
	set(&in.VisibleTo, b.VisibleTo)
	set(&in.EditableBy, b.EditableBy)
	f, err := a.CreateField(ctx, in)
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/custom-fields/"+f.ID.String(), etag.Of(f.Version)
	return customersapi.CreateCustomField201JSONResponse{Body: toAPIField(f, nil), Headers: customersapi.CreateCustomField201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// DeleteCustomField implements deleteCustomField.
func (a API) DeleteCustomField(ctx context.Context, r customersapi.DeleteCustomFieldRequestObject) (customersapi.DeleteCustomFieldResponseObject, error) {
	if err := a.DeleteField(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteCustomField204Response{}, nil
}

// GetCustomField implements getCustomField.
func (a API) GetCustomField(ctx context.Context, r customersapi.GetCustomFieldRequestObject) (customersapi.GetCustomFieldResponseObject, error) {
	f, err := fieldOf(ctx, a.db.From(ctx), r.Id)
	if err != nil {
		return nil, err
	}
	if actor := auth.Must(ctx); !f.visible(&actor) {
		return nil, ErrFieldNotFound.New()
	}
	tag := etag.Of(f.Version)
	return customersapi.GetCustomField200JSONResponse{Body: toAPIField(f, nil), Headers: customersapi.GetCustomField200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateCustomField implements updateCustomField.
func (a API) UpdateCustomField(ctx context.Context, r customersapi.UpdateCustomFieldRequestObject) (customersapi.UpdateCustomFieldResponseObject, error) {
	b := r.Body
	ch := FieldChange{Kind: (*FieldKind)(b.Kind), Filterable: b.Filterable, Default: b.Default, VisibleTo: b.VisibleTo, EditableBy: b.EditableBy}
	if b.Labels != nil {
		ch.Labels = &Labels{b.Labels.En, b.Labels.Zh}
	}
	if b.Validation != nil {
		v := fromAPIValidation(b.Validation)
		ch.Validation = &v
	}
	if b.ReferenceTo.IsSpecified() {
		to := ""
		if v, err := b.ReferenceTo.Get(); err == nil {
			to = string(v)
		}
		ch.ReferenceTo = &to
	}
	if b.Required != nil {
		v := fromAPIRequired(b.Required)
		ch.Required = &v
	}
	if b.Status != nil {
		archived := *b.Status == customersapi.CustomFieldArchived
		ch.Archived = &archived
	}
	f, job, err := a.UpdateField(ctx, r.Id, ch, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(f.Version)
	return customersapi.UpdateCustomField200JSONResponse{Body: toAPIField(f, job), Headers: customersapi.UpdateCustomField200ResponseHeaders{ETag: &tag}}, nil
}

func fromAPIRequired(r *customersapi.CustomFieldRequired) FieldRequired {
	out := FieldRequired{All: r.All}
	if r.StoreIds != nil && !r.All {
		out.StoreIDs = *r.StoreIds
	}
	return out
}

func fromAPIValidation(v *customersapi.CustomFieldValidation) Validation {
	out := Validation{Min: v.Min, Max: v.Max, Integer: v.Integer != nil && *v.Integer, Pattern: deref(v.Pattern)}
	if v.MinDate != nil {
		day := v.MinDate.String()
		out.MinDate = &day
	}
	if v.MaxDate != nil {
		day := v.MaxDate.String()
		out.MaxDate = &day
	}
	if v.MinLength != nil {
		n := int(*v.MinLength)
		out.MinLength = &n
	}
	if v.MaxLength != nil {
		n := int(*v.MaxLength)
		out.MaxLength = &n
	}
	if v.Choices != nil {
		for _, c := range *v.Choices {
			out.Choices = append(out.Choices, Choice{Value: c.Value, Labels: Labels{c.Labels.En, c.Labels.Zh}, ReplacedBy: deref(c.ReplacedBy)})
		}
	}
	return out
}

func toAPIValidation(v *Validation) customersapi.CustomFieldValidation {
	out := customersapi.CustomFieldValidation{Min: v.Min, Max: v.Max, Pattern: part(v.Pattern), MinDate: toAPIDay(v.MinDate), MaxDate: toAPIDay(v.MaxDate)}
	if v.Integer {
		out.Integer = &v.Integer
	}
	if v.MinLength != nil {
		n := int32(*v.MinLength)
		out.MinLength = &n
	}
	if v.MaxLength != nil {
		n := int32(*v.MaxLength)
		out.MaxLength = &n
	}
	if len(v.Choices) > 0 {
		choices := make([]customersapi.CustomFieldChoice, len(v.Choices))
		for i, c := range v.Choices {
			choices[i] = customersapi.CustomFieldChoice{Value: c.Value, Labels: customersapi.CustomFieldLabels{En: c.Labels.EN, Zh: c.Labels.ZH}, ReplacedBy: part(c.ReplacedBy)}
		}
		out.Choices = &choices
	}
	return out
}

func toAPIField(f *Field, job *platform.Job) customersapi.CustomField {
	out := customersapi.CustomField{
		Id: f.ID, Entity: customersapi.CustomFieldEntity(f.Entity), Key: f.Key, Kind: customersapi.CustomFieldKind(f.Kind), Personal: f.Personal, Filterable: f.Filterable,
		Labels: customersapi.CustomFieldLabels{En: f.Labels.EN, Zh: f.Labels.ZH}, Validation: toAPIValidation(&f.Validation),
		ReferenceTo: nullable.NewNullNullable[customersapi.CustomFieldTarget](), Default: listOf(f.Default),
		Required:  customersapi.CustomFieldRequired{All: f.Required.All},
		VisibleTo: listOf(f.VisibleTo), EditableBy: listOf(f.EditableBy), Status: customersapi.CustomFieldActive,
		Version: f.Version, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
	}
	if f.ReferenceTo != "" {
		out.ReferenceTo.Set(customersapi.CustomFieldTarget(f.ReferenceTo))
	}
	stores := f.Required.StoreIDs
	if stores == nil {
		stores = []uuid.UUID{}
	}
	out.Required.StoreIds = &stores
	if f.ArchivedAt != nil {
		out.Status = customersapi.CustomFieldArchived
	}
	if job != nil {
		j := toAPIJob(job)
		out.Job = &j
	}
	return out
}

// listOf writes no list as an empty one.
func listOf(v []string) []string {
	if v == nil {
		return []string{}
	}
	return v
}

func toAPIDay(v *string) *openapi_types.Date {
	if v == nil {
		return nil
	}
	t, err := time.Parse(time.DateOnly, *v)
	if err != nil {
		return nil // cannot be: it was checked when the field was defined
	}
	return &openapi_types.Date{Time: t}
}
