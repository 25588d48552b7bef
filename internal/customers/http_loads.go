package customers

import (
	"context"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	commonapi "github.com/shuke-crm/shuke/api/common"
	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/staff"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListStaffLoads implements listStaffLoads.
func (a API) ListStaffLoads(ctx context.Context, r customersapi.ListStaffLoadsRequestObject) (customersapi.ListStaffLoadsResponseObject, error) {
	list := page.NewList("/v1/staff-loads", r.Params.Limit)
	// The policy of staff leaves those whom the caller may see.
	asked := func() *platform.StaffQuery {
		q := a.db.From(ctx).Platform.Staff.Query().Where(staff.StatusEQ(staff.StatusActive))
		if v := r.Params.StoreId; v != nil {
			list.Filters.Set("store_id", v.String())
			q.Where(staff.StoreID(*v))
		}
		if v := r.Params.StaffId; v != nil {
			list.Filters.Set("staff_id", v.String())
			q.Where(staff.ID(*v))
		}
		return q
	}
	q := asked()
	var at struct {
		ID uuid.UUID `json:"i"`
	}
	if more, err := a.pages.Decode(list.Name(), r.Params.Cursor, &at); err != nil {
		return nil, err
	} else if more {
		q.Where(staff.IDGT(at.ID))
	}
	people, err := q.Order(staff.ByID()).Limit(list.Limit+1).Select(staff.FieldID, staff.FieldName, staff.FieldStoreID).All(ctx)
	if err != nil {
		return nil, err
	}
	out := customersapi.ListStaffLoads200JSONResponse{Body: customersapi.StaffLoadList{Items: []customersapi.StaffLoad{}, NextCursor: nullable.NewNullNullable[string]()}}
	if out.Body.TotalCount, err = page.Total(ctx, r.Params.Include, func(ctx context.Context) (int, error) { return asked().Count(ctx) }); err != nil {
		return nil, err
	}
	people, out.Body.HasMore = page.Cut(people, list.Limit)
	ids := make([]uuid.UUID, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	loads, err := a.staffLoads(ctx, ids, a.clock.Today())
	if err != nil {
		return nil, err
	}
	for _, p := range people {
		l := loads[p.ID]
		out.Body.Items = append(out.Body.Items, customersapi.StaffLoad{Staff: commonapi.StaffRef{Id: p.ID, Name: p.Name}, StoreId: pointerOrNull(p.StoreID),
			CustomerCount: l.customers, ActiveCount: l.active})
	}
	if out.Body.HasMore {
		at.ID = people[len(people)-1].ID
		next, link := list.After(a.pages, at)
		out.Body.NextCursor.Set(*next)
		out.Headers.Link = link
	}
	return out, nil
}
