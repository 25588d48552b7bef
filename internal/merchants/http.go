package merchants

import (
	"context"

	"github.com/oapi-codegen/nullable"

	merchantsapi "github.com/shuke-crm/shuke/api/merchants"
	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/ent/platform/merchant"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers this domain's operations.
type API struct{ *Service }

var _ merchantsapi.StrictServerInterface = API{}

// ListMerchants implements listMerchants.
func (a API) ListMerchants(ctx context.Context, r merchantsapi.ListMerchantsRequestObject) (merchantsapi.ListMerchantsResponseObject, error) {
	p := r.Params
	found, err := a.List(ctx, Filter{Status: (*merchant.Status)(p.Status), Prefix: p.Q}, p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	out := merchantsapi.ListMerchants200JSONResponse{
		Body: merchantsapi.MerchantList{Items: make([]merchantsapi.Merchant, len(found.Items)), NextCursor: opt.OrNull(found.Next),
			HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: merchantsapi.ListMerchants200ResponseHeaders{Link: found.Link},
	}
	for i, m := range found.Items {
		out.Body.Items[i] = toAPI(m)
	}
	return out, nil
}

// CreateMerchant implements createMerchant.
func (a API) CreateMerchant(ctx context.Context, r merchantsapi.CreateMerchantRequestObject) (merchantsapi.CreateMerchantResponseObject, error) {
	m, err := a.Create(ctx, Fields{Code: &r.Body.Code, Name: &r.Body.Name, Category: given(r.Body.Category), Place: given(r.Body.Place)})
	if err != nil {
		return nil, err
	}
	location := "/v1/merchants/" + m.ID.String()
	return merchantsapi.CreateMerchant201JSONResponse{Body: toAPI(m),
		Headers: merchantsapi.CreateMerchant201ResponseHeaders{ETag: tag(m), Location: &location}}, nil
}

// GetMerchant implements getMerchant.
func (a API) GetMerchant(ctx context.Context, r merchantsapi.GetMerchantRequestObject) (merchantsapi.GetMerchantResponseObject, error) {
	m, err := a.DB.From(ctx).Platform.Merchant.Get(ctx, r.Id)
	if err != nil {
		return nil, translate(err)
	}
	return merchantsapi.GetMerchant200JSONResponse{Body: toAPI(m), Headers: merchantsapi.GetMerchant200ResponseHeaders{ETag: tag(m)}}, nil
}

// UpdateMerchant implements updateMerchant.
func (a API) UpdateMerchant(ctx context.Context, r merchantsapi.UpdateMerchantRequestObject) (merchantsapi.UpdateMerchantResponseObject, error) {
	b := r.Body
	m, err := a.Update(ctx, r.Id, r.Params.IfMatch, Fields{b.Code, b.Name, b.Category, b.Place, (*merchant.Status)(b.Status)})
	if err != nil {
		return nil, err
	}
	return merchantsapi.UpdateMerchant200JSONResponse{Body: toAPI(m), Headers: merchantsapi.UpdateMerchant200ResponseHeaders{ETag: tag(m)}}, nil
}

// DeleteMerchant implements deleteMerchant.
func (a API) DeleteMerchant(ctx context.Context, r merchantsapi.DeleteMerchantRequestObject) (merchantsapi.DeleteMerchantResponseObject, error) {
	if err := a.Delete(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return merchantsapi.DeleteMerchant204Response{}, nil
}

func toAPI(m *platform.Merchant) merchantsapi.Merchant {
	return merchantsapi.Merchant{Id: m.ID, Code: m.Code, Name: m.Name, Category: text(m.Category), Place: text(m.Place), Status: merchantsapi.MerchantStatus(m.Status),
		Version: m.Version, CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC()}
}

func tag(m *platform.Merchant) *string {
	t := etag.Of(m.Version)
	return &t
}

func given(p *string) (out nullable.Nullable[string]) {
	if p != nil {
		out.Set(*p)
	}
	return out
}

func text(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}
