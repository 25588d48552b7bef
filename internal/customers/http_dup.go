package customers

import (
	"context"
	"net/url"
	"strconv"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ScanCustomerDuplicates implements scanCustomerDuplicates.
func (a API) ScanCustomerDuplicates(ctx context.Context, _ customersapi.ScanCustomerDuplicatesRequestObject) (customersapi.ScanCustomerDuplicatesResponseObject, error) {
	job, err := a.ScanDuplicates(ctx)
	if err != nil {
		return nil, err
	}
	location := "/v1/jobs/" + job.ID.String()
	return customersapi.ScanCustomerDuplicates202JSONResponse{
		Body: commonapi.JobAccepted{Job: toAPIJob(job)}, Headers: customersapi.ScanCustomerDuplicates202ResponseHeaders{Location: &location},
	}, nil
}

// ListCustomerDuplicates implements listCustomerDuplicates.
func (a API) ListCustomerDuplicates(ctx context.Context, r customersapi.ListCustomerDuplicatesRequestObject) (customersapi.ListCustomerDuplicatesResponseObject, error) {
	list := page.NewList("/v1/customer-duplicates", r.Params.Limit)
	f := DuplicateFilter{Status: string(customersapi.DuplicateOpen)}
	if v := r.Params.Status; v != nil {
		f.Status = string(*v)
		list.Filters.Set("status", f.Status)
	}
	if v := r.Params.MinScore; v != nil {
		f.MinScore = float64(*v)
		list.Filters.Set("min_score", strconv.FormatFloat(f.MinScore, 'g', -1, 32))
	}
	if v := r.Params.StoreId; v != nil {
		f.StoreID = *v
		list.Filters.Set("store_id", v.String())
	}
	body, link, err := a.duplicatePage(ctx, list, f, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return customersapi.ListCustomerDuplicates200JSONResponse{Body: *body, Headers: customersapi.ListCustomerDuplicates200ResponseHeaders{Link: link}}, nil
}

// ListDuplicatesOfCustomer implements listDuplicatesOfCustomer.
func (a API) ListDuplicatesOfCustomer(ctx context.Context, r customersapi.ListDuplicatesOfCustomerRequestObject) (customersapi.ListDuplicatesOfCustomerResponseObject, error) {
	seen, err := a.db.From(ctx).CRM.Customer.Query().Where(customer.ID(r.Id)).Exist(ctx)
	if err != nil {
		return nil, err
	}
	if !seen {
		return nil, ErrNotFound.New()
	}
	list := page.NewList("/v1/customers/"+r.Id.String()+"/duplicates", r.Params.Limit)
	f := DuplicateFilter{CustomerID: r.Id}
	if v := r.Params.Status; v != nil {
		f.Status = string(*v)
		list.Filters = url.Values{"status": {f.Status}}
	}
	body, link, err := a.duplicatePage(ctx, list, f, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return customersapi.ListDuplicatesOfCustomer200JSONResponse{Body: *body, Headers: customersapi.ListDuplicatesOfCustomer200ResponseHeaders{Link: link}}, nil
}

func (a API) duplicatePage(ctx context.Context, list page.List, f DuplicateFilter, cursor *string, counted bool) (*customersapi.CustomerDuplicateList, *string, error) {
	var at duplicatePosition
	var after *duplicatePosition
	more, err := a.pages.Decode(list.Name(), cursor, &at)
	if err != nil {
		return nil, nil, err
	}
	if more {
		after = &at
	}
	pairs, err := a.duplicates(ctx, f, after, list.Limit+1)
	if err != nil {
		return nil, nil, err
	}
	body := &customersapi.CustomerDuplicateList{Items: []customersapi.CustomerDuplicate{}, NextCursor: nullable.NewNullNullable[string]()}
	if counted {
		n, err := a.countDuplicates(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		body.TotalCount = &n
	}
	pairs, body.HasMore = page.Cut(pairs, list.Limit)
	for i := range pairs {
		body.Items = append(body.Items, toAPIDuplicate(&pairs[i]))
	}
	if !body.HasMore {
		return body, nil, nil
	}
	end := &pairs[len(pairs)-1]
	next, link := list.After(a.pages, duplicatePosition{end.Score, end.ID})
	body.NextCursor.Set(*next)
	return body, link, nil
}

// DecideCustomerDuplicate implements decideCustomerDuplicate.
func (a API) DecideCustomerDuplicate(ctx context.Context, r customersapi.DecideCustomerDuplicateRequestObject) (customersapi.DecideCustomerDuplicateResponseObject, error) {
	pair, err := a.DecideDuplicate(ctx, r.Id, string(r.Body.Decision), deref(r.Body.Note))
	if err != nil {
		return nil, err
	}
	return customersapi.DecideCustomerDuplicate200JSONResponse(toAPIDuplicate(pair)), nil
}

func toAPIDuplicate(d *DuplicatePair) customersapi.CustomerDuplicate {
	out := customersapi.CustomerDuplicate{
		Id: d.ID, Left: toAPIDuplicateSide(d.Left), Right: toAPIDuplicateSide(d.Right), Score: d.Score, Reasons: make([]customersapi.DuplicateReason, len(d.Reasons)),
		Status: customersapi.DuplicateStatus(d.Status), Note: orNull(d.Note), DecidedBy: pointerOrNull(d.DecidedBy), DecidedAt: pointerOrNull(d.DecidedAt),
		Version: d.Version, CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(),
	}
	for i, r := range d.Reasons {
		out.Reasons[i] = customersapi.DuplicateReason{Field: r.Field, Agreement: r.Agreement, Weight: r.Weight}
	}
	return out
}

func toAPIDuplicateSide(s DuplicateSide) customersapi.DuplicateSide {
	return customersapi.DuplicateSide{Id: uuid.UUID(s.ID), ExternalId: pointerOrNull(s.ExternalID)}
}
