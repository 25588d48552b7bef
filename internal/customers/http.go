package customers

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/crm"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/ent/crm/tag"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// API is the HTTP side of the service.
type API struct{ *Service }

var _ customersapi.StrictServerInterface = API{}

// ListCustomers implements listCustomers.
func (a API) ListCustomers(ctx context.Context, r customersapi.ListCustomersRequestObject) (customersapi.ListCustomersResponseObject, error) {
	f := fromAPIFilter(r.Params)
	p, err := a.List(ctx, f, Paging{Limit: page.Limit(r.Params.Limit), Cursor: r.Params.Cursor, Count: r.Params.Include != nil})
	if err != nil {
		return nil, inQuery(err)
	}
	link := ""
	if p.Next != "" && !f.Personal() {
		link = nextLink(r.Params, p.Next)
	}
	return newListAnswer(p, link), nil
}

// inQuery turns pointers into a search's body into names of query parameters.
func inQuery(err error) error {
	e := apperr.From(err)
	if e == nil {
		return err
	}
	for i := range e.Fields {
		if rest, ok := strings.CutPrefix(e.Fields[i].Pointer, "/"); ok {
			e.Fields[i].Pointer = "?" + rest
		}
	}
	return err
}

// CreateCustomer implements createCustomer.
func (a API) CreateCustomer(ctx context.Context, r customersapi.CreateCustomerRequestObject) (customersapi.CreateCustomerResponseObject, error) {
	c, err := a.Create(ctx, fromAPICreate(r.Body))
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/customers/"+c.ID.String(), etag.Of(c.Version)
	return customersapi.CreateCustomer201JSONResponse{Body: toAPICustomer(c), Headers: customersapi.CreateCustomer201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// BulkCustomers implements bulkCustomers.
func (a API) BulkCustomers(ctx context.Context, r customersapi.BulkCustomersRequestObject) (customersapi.BulkCustomersResponseObject, error) {
	items := make([]BulkItem, len(r.Body.Items))
	for i := range r.Body.Items {
		items[i] = fromAPIBulkItem(&r.Body.Items[i])
	}
	out, err := a.Bulk(ctx, BulkMode(r.Body.Mode), items)
	if err != nil {
		return nil, err
	}
	return customersapi.BulkCustomers200JSONResponse(toAPIBulk(out, r.Params.AcceptLanguage)), nil
}

// LookupCustomer implements lookupCustomer.
func (a API) LookupCustomer(ctx context.Context, r customersapi.LookupCustomerRequestObject) (customersapi.LookupCustomerResponseObject, error) {
	c, err := a.Lookup(ctx, Ref{Phone: deref(r.Body.Phone), CardNumber: deref(r.Body.CardNumber), ExternalID: deref(r.Body.ExternalId)})
	if err != nil {
		return nil, err
	}
	return customersapi.LookupCustomer200JSONResponse(toAPICard(c)), nil
}

// SearchCustomers implements searchCustomers.
func (a API) SearchCustomers(ctx context.Context, r customersapi.SearchCustomersRequestObject) (customersapi.SearchCustomersResponseObject, error) {
	p, err := a.List(ctx, fromAPISearch(r.Body), Paging{Limit: page.Limit(r.Body.Limit), Cursor: r.Body.Cursor, Count: r.Body.Include != nil})
	if err != nil {
		return nil, err
	}
	return newListAnswer(p, ""), nil
}

// DeleteCustomer implements deleteCustomer.
func (a API) DeleteCustomer(ctx context.Context, r customersapi.DeleteCustomerRequestObject) (customersapi.DeleteCustomerResponseObject, error) {
	if _, err := a.Archive(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteCustomer204Response{}, nil
}

// GetCustomer implements getCustomer.
func (a API) GetCustomer(ctx context.Context, r customersapi.GetCustomerRequestObject) (customersapi.GetCustomerResponseObject, error) {
	c, err := a.Get(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.GetCustomer200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.GetCustomer200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateCustomer implements updateCustomer.
func (a API) UpdateCustomer(ctx context.Context, r customersapi.UpdateCustomerRequestObject) (customersapi.UpdateCustomerResponseObject, error) {
	c, err := a.Update(ctx, r.Id, fromAPIUpdate(r.Body), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.UpdateCustomer200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.UpdateCustomer200ResponseHeaders{ETag: &tag}}, nil
}

// ArchiveCustomer implements archiveCustomer.
func (a API) ArchiveCustomer(ctx context.Context, r customersapi.ArchiveCustomerRequestObject) (customersapi.ArchiveCustomerResponseObject, error) {
	c, err := a.Archive(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.ArchiveCustomer200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.ArchiveCustomer200ResponseHeaders{ETag: &tag}}, nil
}

// GetCustomerProfile implements getCustomerProfile.
func (a API) GetCustomerProfile(ctx context.Context, r customersapi.GetCustomerProfileRequestObject) (customersapi.GetCustomerProfileResponseObject, error) {
	return a.answerProfile(ctx, r.Id)
}

// RestoreCustomer implements restoreCustomer.
func (a API) RestoreCustomer(ctx context.Context, r customersapi.RestoreCustomerRequestObject) (customersapi.RestoreCustomerResponseObject, error) {
	c, err := a.Restore(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.RestoreCustomer200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.RestoreCustomer200ResponseHeaders{ETag: &tag}}, nil
}

// RevealCustomer implements revealCustomer.
func (a API) RevealCustomer(ctx context.Context, r customersapi.RevealCustomerRequestObject) (customersapi.RevealCustomerResponseObject, error) {
	fields := make([]string, len(r.Body.Fields))
	for i, f := range r.Body.Fields {
		fields[i] = string(f)
	}
	c, err := a.Reveal(ctx, r.Id, fields, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return customersapi.RevealCustomer200JSONResponse(a.toAPIRevealed(c, r.Body.Fields)), nil
}

// ListCustomerTags implements listCustomerTags.
func (a API) ListCustomerTags(ctx context.Context, r customersapi.ListCustomerTagsRequestObject) (customersapi.ListCustomerTagsResponseObject, error) {
	if err := a.seen(ctx, r.Id); err != nil {
		return nil, err
	}
	list := page.NewList("/v1/customers/"+r.Id.String()+"/tags", r.Params.Limit)
	f := TagHistoryFilter{CustomerID: r.Id}
	if v := r.Params.Status; v != nil {
		f.Status = string(*v)
		list.Filters.Set("status", f.Status)
	}
	var at tagPosition
	var after *tagPosition
	if more, err := a.pages.Decode(list.Name(), r.Params.Cursor, &at); err != nil {
		return nil, err
	} else if more {
		after = &at
	}
	found, err := a.tagHistory(ctx, f, after, list.Limit+1)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListCustomerTags200JSONResponse{Body: customersapi.TagAssignmentList{Items: []customersapi.TagAssignment{}, NextCursor: nullable.NewNullNullable[string]()}}
	if r.Params.Include != nil {
		n, err := a.countTagHistory(ctx, f)
		if err != nil {
			return nil, err
		}
		out.Body.TotalCount = &n
	}
	found, out.Body.HasMore = page.Cut(found, list.Limit)
	for i := range found {
		out.Body.Items = append(out.Body.Items, toAPIAssignment(&found[i]))
	}
	if out.Body.HasMore {
		last := &found[len(found)-1]
		next, link := list.After(a.pages, tagPosition{last.AddedAt, last.ID})
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}

func toAPIAssignment(t *TagAssignment) customersapi.TagAssignment {
	out := customersapi.TagAssignment{
		Id: t.ID, Tag: customersapi.TagRef{Id: t.TagID, Name: t.Name, Category: pointerOrNull(t.Category), Color: pointerOrNull(t.Color)},
		Automatic: t.Automatic, Origin: customersapi.TagOrigin(t.Origin), AddedAt: t.AddedAt.UTC(), AddedBy: pointerOrNull(t.AddedBy),
		ExpiresAt: pointerOrNull(utc(t.ExpiresAt)), RemovedAt: pointerOrNull(utc(t.RemovedAt)), RemovedBy: pointerOrNull(t.RemovedBy),
		RemovedOrigin: null[customersapi.TagOrigin](),
	}
	if t.RemovedOrigin != nil {
		out.RemovedOrigin.Set(customersapi.TagOrigin(*t.RemovedOrigin))
	}
	return out
}

// seen answers ErrNotFound for a customer beyond the caller's scope.
func (s *Service) seen(ctx context.Context, id uuid.UUID) error {
	ok, err := s.db.From(ctx).CRM.Customer.Query().Where(customer.ID(id)).Exist(ctx)
	if err == nil && !ok {
		err = ErrNotFound.New()
	}
	return err
}

// AddCustomerTags implements addCustomerTags.
func (a API) AddCustomerTags(ctx context.Context, r customersapi.AddCustomerTagsRequestObject) (customersapi.AddCustomerTagsResponseObject, error) {
	c, err := a.AddTags(ctx, r.Id, r.Body.Tags, r.Body.ExpiresAt)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.AddCustomerTags200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.AddCustomerTags200ResponseHeaders{ETag: &tag}}, nil
}

// RemoveCustomerTag implements removeCustomerTag.
func (a API) RemoveCustomerTag(ctx context.Context, r customersapi.RemoveCustomerTagRequestObject) (customersapi.RemoveCustomerTagResponseObject, error) {
	if err := a.RemoveTag(ctx, r.Id, r.TagId); err != nil {
		return nil, err
	}
	return customersapi.RemoveCustomerTag204Response{}, nil
}

// ListCustomerIdentities implements listCustomerIdentities.
func (a API) ListCustomerIdentities(ctx context.Context, r customersapi.ListCustomerIdentitiesRequestObject) (customersapi.ListCustomerIdentitiesResponseObject, error) {
	all, err := a.members.Identities(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := IdentityPage(a.pages, "/v1/customers/"+r.Id.String()+"/identities", all, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return customersapi.ListCustomerIdentities200JSONResponse(body), nil
}

// DeleteCustomerIdentity implements deleteCustomerIdentity.
func (a API) DeleteCustomerIdentity(ctx context.Context, r customersapi.DeleteCustomerIdentityRequestObject) (customersapi.DeleteCustomerIdentityResponseObject, error) {
	if err := a.members.Unlink(ctx, r.Id, r.IdentityId); err != nil {
		return nil, err
	}
	return customersapi.DeleteCustomerIdentity204Response{}, nil
}

// ListTags implements listTags.
func (a API) ListTags(ctx context.Context, r customersapi.ListTagsRequestObject) (customersapi.ListTagsResponseObject, error) {
	var at struct {
		Name string `json:"n"`
	}
	more, err := a.pages.Decode("tags", r.Params.Cursor, &at)
	if err != nil {
		return nil, err
	}
	limit := page.Limit(r.Params.Limit)
	db := a.db.From(ctx)
	q := db.CRM.Tag.Query().Order(tag.ByName()).Limit(limit + 1)
	if more {
		q.Where(tag.NameGT(at.Name))
	}
	rows, err := q.All(ctx)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListTags200JSONResponse{Body: customersapi.TagList{Items: []customersapi.Tag{}, NextCursor: nullable.NewNullNullable[string]()}}
	rows, out.Body.HasMore = page.Cut(rows, limit)
	for _, t := range rows {
		out.Body.Items = append(out.Body.Items, toAPITag(t))
	}
	if out.Body.HasMore {
		at.Name = rows[limit-1].Name
		next := a.pages.Encode("tags", at)
		out.Body.NextCursor.Set(next)
		link := "</v1/tags?" + url.Values{"cursor": {next}, "limit": {strconv.Itoa(limit)}}.Encode() + `>; rel="next"`
		out.Headers.Link = &link
	}
	if r.Params.Include != nil {
		n, err := db.CRM.Tag.Query().Count(ctx)
		if err != nil {
			return nil, err
		}
		total := int64(n)
		out.Body.TotalCount = &total
	}
	return out, nil
}

// CreateTag implements createTag.
func (a API) CreateTag(ctx context.Context, r customersapi.CreateTagRequestObject) (customersapi.CreateTagResponseObject, error) {
	t, err := a.Service.CreateTag(ctx, TagInput{Name: &r.Body.Name, Category: fromPointer(r.Body.Category), Color: fromPointer(r.Body.Color),
		Description: r.Body.Description, LifetimeDays: fromPointer(r.Body.LifetimeDays), Condition: fromPointer(r.Body.Condition)})
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/tags/"+t.ID.String(), etag.Of(t.Version)
	return customersapi.CreateTag201JSONResponse{Body: toAPITag(t), Headers: customersapi.CreateTag201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// DeleteTag implements deleteTag.
func (a API) DeleteTag(ctx context.Context, r customersapi.DeleteTagRequestObject) (customersapi.DeleteTagResponseObject, error) {
	if err := a.Service.DeleteTag(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteTag204Response{}, nil
}

// GetTag implements getTag.
func (a API) GetTag(ctx context.Context, r customersapi.GetTagRequestObject) (customersapi.GetTagResponseObject, error) {
	t, err := a.db.From(ctx).CRM.Tag.Get(ctx, r.Id)
	if err != nil {
		return nil, tagMissing(err)
	}
	tag := etag.Of(t.Version)
	return customersapi.GetTag200JSONResponse{Body: toAPITag(t), Headers: customersapi.GetTag200ResponseHeaders{ETag: &tag}}, nil
}

// MergeTag implements mergeTag.
func (a API) MergeTag(ctx context.Context, r customersapi.MergeTagRequestObject) (customersapi.MergeTagResponseObject, error) {
	t, n, err := a.Service.MergeTag(ctx, r.Id, r.Body.IntoTagId)
	if err != nil {
		return nil, err
	}
	return customersapi.MergeTag200JSONResponse{Tag: toAPITag(t), Customers: n}, nil
}

// UpdateTag implements updateTag.
func (a API) UpdateTag(ctx context.Context, r customersapi.UpdateTagRequestObject) (customersapi.UpdateTagResponseObject, error) {
	t, err := a.Service.UpdateTag(ctx, r.Id, TagInput{Name: r.Body.Name, Category: r.Body.Category, Color: r.Body.Color,
		Description: r.Body.Description, LifetimeDays: r.Body.LifetimeDays, Condition: r.Body.Condition}, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(t.Version)
	return customersapi.UpdateTag200JSONResponse{Body: toAPITag(t), Headers: customersapi.UpdateTag200ResponseHeaders{ETag: &tag}}, nil
}

func toAPITag(t *crm.Tag) customersapi.Tag {
	return customersapi.Tag{Id: t.ID, Name: t.Name, Category: orNull(t.Category), Color: orNull(t.Color), Description: t.Description,
		LifetimeDays: pointerOrNull(t.LifetimeDays), Condition: pointerOrNull(t.Condition), ApplyJobId: pointerOrNull(t.JobID), Version: t.Version,
		CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC()}
}

// nextLink repeats the filters of a list, none of which is personal.
func nextLink(p customersapi.ListCustomersParams, cursor string) string {
	v := url.Values{"cursor": {cursor}, "limit": {strconv.Itoa(page.Limit(p.Limit))}}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("external_id", deref(p.ExternalId))
	set("tag", deref(p.Tag))
	if p.CustomFields != nil {
		v["custom_fields"] = *p.CustomFields // none of which is personal
	}
	set("rfm_band", deref(p.RfmBand))
	set("tier", deref(p.Tier))
	if p.StoreId != nil {
		set("store_id", p.StoreId.String())
	}
	if p.GroupId != nil {
		set("group_id", p.GroupId.String())
	}
	if p.AssignedStaffId != nil {
		set("assigned_staff_id", p.AssignedStaffId.String())
	}
	if p.LifecycleStage != nil {
		set("lifecycle_stage", string(*p.LifecycleStage))
	}
	if p.Status != nil {
		set("status", string(*p.Status))
	}
	if p.Sort != nil {
		set("sort", string(*p.Sort))
	}
	set("created_after", instant(p.CreatedAfter))
	set("created_before", instant(p.CreatedBefore))
	set("updated_after", instant(p.UpdatedAfter))
	return "</v1/customers?" + v.Encode() + `>; rel="next"`
}
