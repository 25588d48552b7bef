package customers

import (
	"context"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/crm/customer"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListCustomerLifecycle implements listCustomerLifecycle.
func (a API) ListCustomerLifecycle(ctx context.Context, r customersapi.ListCustomerLifecycleRequestObject) (customersapi.ListCustomerLifecycleResponseObject, error) {
	found, err := a.db.From(ctx).CRM.Customer.Query().Where(customer.ID(r.Id)).
		Select(customer.FieldLifecycleStage, customer.FieldLifecyclePinned).All(ctx)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ErrNotFound.New()
	}
	list := page.NewList("/v1/customers/"+r.Id.String()+"/lifecycle", r.Params.Limit)
	var at stagePosition
	var after *stagePosition
	if more, err := a.pages.Decode(list.Name(), r.Params.Cursor, &at); err != nil {
		return nil, err
	} else if more {
		after = &at
	}
	rows, err := a.stageChanges(ctx, r.Id, after, list.Limit+1)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListCustomerLifecycle200JSONResponse{Body: customersapi.CustomerLifecycle{
		Stage: customersapi.LifecycleStage(found[0].LifecycleStage), Pinned: found[0].LifecyclePinned,
		Items: []customersapi.LifecycleChange{}, NextCursor: null[string](),
	}}
	if out.Body.TotalCount, err = page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return a.countStageChanges(ctx, r.Id) }); err != nil {
		return nil, err
	}
	rows, out.Body.HasMore = page.Cut(rows, list.Limit)
	for i := range rows {
		out.Body.Items = append(out.Body.Items, toAPIStageChange(&rows[i]))
	}
	if out.Body.HasMore {
		last := &rows[len(rows)-1]
		next, link := list.After(a.pages, stagePosition{last.ChangedAt, last.ID})
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}

func toAPIStageChange(c *StageChange) customersapi.LifecycleChange {
	out := customersapi.LifecycleChange{
		Id: c.ID, From: null[customersapi.LifecycleStage](), To: customersapi.LifecycleStage(c.To), Pinned: c.Pinned,
		Cause: customersapi.LifecycleCause(c.Cause), Rule: pointerOrNull(c.Rule), ChangedBy: pointerOrNull(c.By), ChangedAt: c.ChangedAt.UTC(),
	}
	if c.From != nil {
		out.From.Set(customersapi.LifecycleStage(*c.From))
	}
	return out
}

// ReleaseCustomerLifecycle implements releaseCustomerLifecycle.
func (a API) ReleaseCustomerLifecycle(ctx context.Context, r customersapi.ReleaseCustomerLifecycleRequestObject) (customersapi.ReleaseCustomerLifecycleResponseObject, error) {
	c, err := a.ReleaseStage(ctx, r.Id, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(c.Version)
	return customersapi.ReleaseCustomerLifecycle200JSONResponse{Body: toAPICustomer(c), Headers: customersapi.ReleaseCustomerLifecycle200ResponseHeaders{ETag: &tag}}, nil
}
