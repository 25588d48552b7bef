package customers

import (
	"context"
	"net/http"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListCustomerGroups implements listCustomerGroups.
func (a API) ListCustomerGroups(ctx context.Context, r customersapi.ListCustomerGroupsRequestObject) (customersapi.ListCustomerGroupsResponseObject, error) {
	list := page.NewList("/v1/customer-groups", r.Params.Limit)
	var at struct {
		Name string `json:"n"`
	}
	if _, err := a.pages.Decode(list.Name(), r.Params.Cursor, &at); err != nil {
		return nil, err
	}
	db := a.db.From(ctx)
	rows, err := readGroups(ctx, db, "WHERE g.name > $1 ORDER BY g.name LIMIT $2", at.Name, list.Limit+1)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListCustomerGroups200JSONResponse{Body: customersapi.CustomerGroupList{Items: []customersapi.CustomerGroup{}, NextCursor: nullable.NewNullNullable[string]()}}
	if out.Body.TotalCount, err = page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return countGroups(ctx, db) }); err != nil {
		return nil, err
	}
	rows, out.Body.HasMore = page.Cut(rows, list.Limit)
	for i := range rows {
		out.Body.Items = append(out.Body.Items, toAPIGroup(&rows[i]))
	}
	if out.Body.HasMore {
		at.Name = rows[len(rows)-1].Name
		next, link := list.After(a.pages, at)
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}

// CreateCustomerGroup implements createCustomerGroup.
func (a API) CreateCustomerGroup(ctx context.Context, r customersapi.CreateCustomerGroupRequestObject) (customersapi.CreateCustomerGroupResponseObject, error) {
	g, err := a.CreateGroup(ctx, r.Body.Name, deref(r.Body.Description))
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/customer-groups/"+g.ID.String(), etag.Of(g.Version)
	return customersapi.CreateCustomerGroup201JSONResponse{Body: toAPIGroup(g), Headers: customersapi.CreateCustomerGroup201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// GetCustomerGroup implements getCustomerGroup.
func (a API) GetCustomerGroup(ctx context.Context, r customersapi.GetCustomerGroupRequestObject) (customersapi.GetCustomerGroupResponseObject, error) {
	g, err := a.OneGroup(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(g.Version)
	return customersapi.GetCustomerGroup200JSONResponse{Body: toAPIGroup(g), Headers: customersapi.GetCustomerGroup200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateCustomerGroup implements updateCustomerGroup.
func (a API) UpdateCustomerGroup(ctx context.Context, r customersapi.UpdateCustomerGroupRequestObject) (customersapi.UpdateCustomerGroupResponseObject, error) {
	g, err := a.UpdateGroup(ctx, r.Id, r.Body.Name, r.Body.Description, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(g.Version)
	return customersapi.UpdateCustomerGroup200JSONResponse{Body: toAPIGroup(g), Headers: customersapi.UpdateCustomerGroup200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteCustomerGroup implements deleteCustomerGroup.
func (a API) DeleteCustomerGroup(ctx context.Context, r customersapi.DeleteCustomerGroupRequestObject) (customersapi.DeleteCustomerGroupResponseObject, error) {
	if err := a.DeleteGroup(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return customersapi.DeleteCustomerGroup204Response{}, nil
}

// ListCustomerGroupMembers implements listCustomerGroupMembers.
func (a API) ListCustomerGroupMembers(ctx context.Context, r customersapi.ListCustomerGroupMembersRequestObject) (customersapi.ListCustomerGroupMembersResponseObject, error) {
	if _, err := groupOf(ctx, a.db.From(ctx), r.Id, ""); err != nil {
		return nil, err
	}
	limit := page.Limit(r.Params.Limit)
	p, err := a.List(ctx, Filter{GroupID: r.Id}, Paging{Limit: limit, Cursor: r.Params.Cursor, Count: r.Params.Include != nil})
	if err != nil {
		return nil, inQuery(err)
	}
	link := ""
	if p.Next != "" {
		link = page.Link("/v1/customer-groups/"+r.Id.String()+"/members", nil, limit, p.Next)
	}
	return newListAnswer(p, link), nil
}

// VisitListCustomerGroupMembersResponse implements the generated interface.
func (l listAnswer) VisitListCustomerGroupMembersResponse(w http.ResponseWriter) error {
	return l.VisitListCustomersResponse(w)
}

// AddCustomerGroupMembers implements addCustomerGroupMembers.
func (a API) AddCustomerGroupMembers(ctx context.Context, r customersapi.AddCustomerGroupMembersRequestObject) (customersapi.AddCustomerGroupMembersResponseObject, error) {
	out, err := a.AddMembers(ctx, r.Id, fromAPIMembers(r.Body.Members))
	if err != nil {
		return nil, err
	}
	return customersapi.AddCustomerGroupMembers200JSONResponse(toAPIMembers(out, r.Params.AcceptLanguage)), nil
}

// RemoveCustomerGroupMembers implements removeCustomerGroupMembers.
func (a API) RemoveCustomerGroupMembers(ctx context.Context, r customersapi.RemoveCustomerGroupMembersRequestObject) (customersapi.RemoveCustomerGroupMembersResponseObject, error) {
	out, err := a.RemoveMembers(ctx, r.Id, fromAPIMembers(r.Body.Members))
	if err != nil {
		return nil, err
	}
	return customersapi.RemoveCustomerGroupMembers200JSONResponse(toAPIMembers(out, r.Params.AcceptLanguage)), nil
}

func fromAPIMembers(members []customersapi.CustomerGroupMember) []Ref {
	out := make([]Ref, len(members))
	for i, m := range members {
		out[i] = Ref{ID: orNil(m.CustomerId), ExternalID: deref(m.ExternalId)}
	}
	return out
}

func toAPIMembers(out []MemberOutcome, acceptLanguage *string) customersapi.CustomerGroupMembersResult {
	lang := apperr.Language(deref(acceptLanguage))
	body := customersapi.CustomerGroupMembersResult{Results: make([]customersapi.CustomerGroupMemberResult, len(out))}
	for i, o := range out {
		r := customersapi.CustomerGroupMemberResult{Index: int32(i), Status: customersapi.GroupMemberStatus(o.Status)}
		if o.Err != nil {
			r.Error = toAPIBulkError(o.Err, "/members/"+itoa(i), lang)
		} else if o.CustomerID != uuid.Nil {
			r.CustomerId = &o.CustomerID
		}
		body.Results[i] = r
	}
	return body
}

func toAPIGroup(g *Group) customersapi.CustomerGroup {
	return customersapi.CustomerGroup{Id: g.ID, Name: g.Name, Description: g.Description, CustomerCount: pointerOrNull(g.Customers), Version: g.Version,
		CreatedAt: g.CreatedAt.UTC(), UpdatedAt: g.UpdatedAt.UTC()}
}
