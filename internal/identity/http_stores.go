package identity

import (
	"context"
	"net/url"

	"github.com/google/uuid"

	identityapi "github.com/shuke-crm/shuke/api/identity"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/region"
	"github.com/shuke-crm/shuke/ent/platform/store"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListStores (GET /v1/stores)
func (a API) ListStores(ctx context.Context, req identityapi.ListStoresRequestObject) (identityapi.ListStoresResponseObject, error) {
	p := req.Params
	newest := p.Sort != nil && *p.Sort == identityapi.StoreNewestFirst
	query := url.Values{}
	with(query, "status", p.Status)
	withID(query, "region_id", p.RegionId)
	withID(query, "merchant_id", p.MerchantId)
	with(query, "q", p.Q)
	with(query, "sort", p.Sort)
	l := a.list("/v1/stores", p.Limit, p.Cursor, query)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	filter := StoreFilter{Status: (*store.Status)(p.Status), RegionID: p.RegionId, Merchant: p.MerchantId, Prefix: p.Q}
	q := a.DB.From(ctx).Platform.Store.Query().Where(filter.predicates()...)
	count, err := page.Total(ctx, p.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	switch {
	case newest && at.ID != uuid.Nil:
		q.Where(store.IDLT(at.ID))
	case !newest && at.Text != "":
		q.Where(store.CodeGT(at.Text))
	}
	if newest {
		q.Order(store.ByID(sqlDesc))
	} else {
		q.Order(store.ByCode())
	}
	rows, err := q.Limit(l.limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.StoreList{Items: make([]identityapi.Store, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = toAPIStore(r)
	}
	next, link := l.next(more, func() cursor {
		last := rows[len(rows)-1]
		return cursor{Text: last.Code, ID: last.ID}
	})
	body.NextCursor = next
	return identityapi.ListStores200JSONResponse{Body: body, Headers: identityapi.ListStores200ResponseHeaders{Link: link}}, nil
}

// CreateStore (POST /v1/stores)
func (a API) CreateStore(ctx context.Context, req identityapi.CreateStoreRequestObject) (identityapi.CreateStoreResponseObject, error) {
	b := req.Body
	r, err := a.Service.CreateStore(ctx, CreateStoreInput{Code: b.Code, Name: b.Name, RegionID: b.RegionId, MerchantID: b.MerchantId, Phone: b.Phone, Address: b.Address, City: b.City})
	if err != nil {
		return nil, err
	}
	return identityapi.CreateStore201JSONResponse{Body: toAPIStore(r),
		Headers: identityapi.CreateStore201ResponseHeaders{ETag: ref(etag.Of(r.Version)), Location: ref("/v1/stores/" + r.ID.String())}}, nil
}

// GetStore (GET /v1/stores/{id})
func (a API) GetStore(ctx context.Context, req identityapi.GetStoreRequestObject) (identityapi.GetStoreResponseObject, error) {
	r, err := a.DB.From(ctx).Platform.Store.Get(ctx, req.Id)
	if err != nil {
		return nil, storeError(err)
	}
	return identityapi.GetStore200JSONResponse{Body: toAPIStore(r), Headers: identityapi.GetStore200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// UpdateStore (PATCH /v1/stores/{id})
func (a API) UpdateStore(ctx context.Context, req identityapi.UpdateStoreRequestObject) (identityapi.UpdateStoreResponseObject, error) {
	b := req.Body
	r, err := a.Service.UpdateStore(ctx, req.Id, req.Params.IfMatch, UpdateStoreInput{Code: b.Code, Name: b.Name, RegionID: b.RegionId, MerchantID: b.MerchantId,
		Phone: b.Phone, Address: b.Address, City: b.City, Status: (*store.Status)(b.Status)})
	if err != nil {
		return nil, err
	}
	return identityapi.UpdateStore200JSONResponse{Body: toAPIStore(r), Headers: identityapi.UpdateStore200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// DeleteStore (DELETE /v1/stores/{id})
func (a API) DeleteStore(ctx context.Context, req identityapi.DeleteStoreRequestObject) (identityapi.DeleteStoreResponseObject, error) {
	if err := a.Service.DeleteStore(ctx, req.Id, req.Params.IfMatch); err != nil {
		return nil, err
	}
	return identityapi.DeleteStore204Response{}, nil
}

// ListRegions (GET /v1/regions)
func (a API) ListRegions(ctx context.Context, req identityapi.ListRegionsRequestObject) (identityapi.ListRegionsResponseObject, error) {
	l := a.list("/v1/regions", req.Params.Limit, req.Params.Cursor, nil)
	var at cursor
	if err := l.read(&at); err != nil {
		return nil, err
	}
	q := a.DB.From(ctx).Platform.Region.Query()
	count, err := page.Total(ctx, req.Params.Include, q.Clone().Count)
	if err != nil {
		return nil, err
	}
	if at.Text != "" {
		q.Where(region.CodeGT(at.Text))
	}
	rows, err := q.Order(region.ByCode()).Limit(l.limit + 1).All(ctx)
	if err != nil {
		return nil, err
	}
	rows, more := page.Cut(rows, l.limit)
	body := identityapi.RegionList{Items: make([]identityapi.Region, len(rows)), HasMore: more, TotalCount: count}
	for i, r := range rows {
		body.Items[i] = toAPIRegion(r)
	}
	next, link := l.next(more, func() cursor { return cursor{Text: rows[len(rows)-1].Code} })
	body.NextCursor = next
	return identityapi.ListRegions200JSONResponse{Body: body, Headers: identityapi.ListRegions200ResponseHeaders{Link: link}}, nil
}

// CreateRegion (POST /v1/regions)
func (a API) CreateRegion(ctx context.Context, req identityapi.CreateRegionRequestObject) (identityapi.CreateRegionResponseObject, error) {
	r, err := a.Service.CreateRegion(ctx, req.Body.Code, req.Body.Name)
	if err != nil {
		return nil, err
	}
	return identityapi.CreateRegion201JSONResponse{Body: toAPIRegion(r),
		Headers: identityapi.CreateRegion201ResponseHeaders{ETag: ref(etag.Of(r.Version)), Location: ref("/v1/regions/" + r.ID.String())}}, nil
}

// GetRegion (GET /v1/regions/{id})
func (a API) GetRegion(ctx context.Context, req identityapi.GetRegionRequestObject) (identityapi.GetRegionResponseObject, error) {
	r, err := a.DB.From(ctx).Platform.Region.Get(ctx, req.Id)
	if err != nil {
		return nil, regionError(err)
	}
	return identityapi.GetRegion200JSONResponse{Body: toAPIRegion(r), Headers: identityapi.GetRegion200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// UpdateRegion (PATCH /v1/regions/{id})
func (a API) UpdateRegion(ctx context.Context, req identityapi.UpdateRegionRequestObject) (identityapi.UpdateRegionResponseObject, error) {
	r, err := a.Service.UpdateRegion(ctx, req.Id, req.Params.IfMatch, req.Body.Code, req.Body.Name)
	if err != nil {
		return nil, err
	}
	return identityapi.UpdateRegion200JSONResponse{Body: toAPIRegion(r), Headers: identityapi.UpdateRegion200ResponseHeaders{ETag: ref(etag.Of(r.Version))}}, nil
}

// DeleteRegion (DELETE /v1/regions/{id})
func (a API) DeleteRegion(ctx context.Context, req identityapi.DeleteRegionRequestObject) (identityapi.DeleteRegionResponseObject, error) {
	if err := a.Service.DeleteRegion(ctx, req.Id, req.Params.IfMatch); err != nil {
		return nil, err
	}
	return identityapi.DeleteRegion204Response{}, nil
}

func toAPIStore(r *platform.Store) identityapi.Store {
	return identityapi.Store{Id: r.ID, Code: r.Code, Name: r.Name, RegionId: opt.OrNull(r.RegionID), MerchantId: opt.OrNull(r.MerchantID), Phone: orNullText(r.Phone), Address: orNullText(r.Address),
		City: orNullText(r.City), Status: identityapi.StoreStatus(r.Status), Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}

func toAPIRegion(r *platform.Region) identityapi.Region {
	return identityapi.Region{Id: r.ID, Code: r.Code, Name: r.Name, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt}
}
