package member

import (
	"context"

	memberapi "github.com/shuke-crm/shuke/api/member"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/auth"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// GetMemberPreferences implements getMemberPreferences.
func (a API) GetMemberPreferences(ctx context.Context, _ memberapi.GetMemberPreferencesRequestObject) (memberapi.GetMemberPreferencesResponseObject, error) {
	p, err := a.Profile(ctx)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(p.Version)
	return memberapi.GetMemberPreferences200JSONResponse{Body: toAPIPreferences(p), Headers: memberapi.GetMemberPreferences200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateMemberPreferences implements updateMemberPreferences.
func (a API) UpdateMemberPreferences(ctx context.Context, r memberapi.UpdateMemberPreferencesRequestObject) (memberapi.UpdateMemberPreferencesResponseObject, error) {
	var tastes map[string]any
	if r.Body.Preferences != nil {
		tastes = *r.Body.Preferences
	}
	var channels map[string]*bool
	if r.Body.MarketingPreferences != nil {
		channels = *r.Body.MarketingPreferences
	}
	p, err := a.ChangePreferences(ctx, tastes, channels, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(p.Version)
	return memberapi.UpdateMemberPreferences200JSONResponse{Body: toAPIPreferences(p), Headers: memberapi.UpdateMemberPreferences200ResponseHeaders{ETag: &tag}}, nil
}

func toAPIPreferences(p *Profile) memberapi.MemberPreferences {
	whole := toAPIProfile(p)
	return memberapi.MemberPreferences{Preferences: whole.Preferences, MarketingPreferences: whole.MarketingPreferences, Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

// ListMemberAddresses implements listMemberAddresses.
func (a API) ListMemberAddresses(ctx context.Context, r memberapi.ListMemberAddressesRequestObject) (memberapi.ListMemberAddressesResponseObject, error) {
	all, err := a.OwnAddresses(ctx)
	if err != nil {
		return nil, err
	}
	body, err := customers.AddressPage(a.Pages, "/v1/member/addresses "+auth.Must(ctx).ID.String(), all, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberAddresses200JSONResponse(body), nil
}

// ListMemberFamily implements listMemberFamily.
func (a API) ListMemberFamily(ctx context.Context, r memberapi.ListMemberFamilyRequestObject) (memberapi.ListMemberFamilyResponseObject, error) {
	all, err := a.OwnFamily(ctx)
	if err != nil {
		return nil, err
	}
	body, err := a.Customers.FamilyPage("/v1/member/family-members "+auth.Must(ctx).ID.String(), all, false, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return memberapi.ListMemberFamily200JSONResponse(body), nil
}

// CreateMemberAddress implements createMemberAddress.
func (a API) CreateMemberAddress(ctx context.Context, r memberapi.CreateMemberAddressRequestObject) (memberapi.CreateMemberAddressResponseObject, error) {
	made, err := a.AddOwnAddress(ctx, customers.FromAPIAddressCreate(r.Body))
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/member/addresses/"+made.ID.String(), etag.Of(made.Version)
	return memberapi.CreateMemberAddress201JSONResponse{Body: customers.ToAPICustomerAddress(made), Headers: memberapi.CreateMemberAddress201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// GetMemberAddress implements getMemberAddress.
func (a API) GetMemberAddress(ctx context.Context, r memberapi.GetMemberAddressRequestObject) (memberapi.GetMemberAddressResponseObject, error) {
	one, err := a.OwnAddress(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return memberapi.GetMemberAddress200JSONResponse{Body: customers.ToAPICustomerAddress(one), Headers: memberapi.GetMemberAddress200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateMemberAddress implements updateMemberAddress.
func (a API) UpdateMemberAddress(ctx context.Context, r memberapi.UpdateMemberAddressRequestObject) (memberapi.UpdateMemberAddressResponseObject, error) {
	one, err := a.ChangeOwnAddress(ctx, r.Id, customers.FromAPIAddressUpdate(r.Body), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return memberapi.UpdateMemberAddress200JSONResponse{Body: customers.ToAPICustomerAddress(one), Headers: memberapi.UpdateMemberAddress200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteMemberAddress implements deleteMemberAddress.
func (a API) DeleteMemberAddress(ctx context.Context, r memberapi.DeleteMemberAddressRequestObject) (memberapi.DeleteMemberAddressResponseObject, error) {
	if err := a.DropOwnAddress(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return memberapi.DeleteMemberAddress204Response{}, nil
}

// CreateMemberRelative implements createMemberRelative.
func (a API) CreateMemberRelative(ctx context.Context, r memberapi.CreateMemberRelativeRequestObject) (memberapi.CreateMemberRelativeResponseObject, error) {
	made, err := a.AddOwnRelative(ctx, customers.FromAPIFamilyCreate(r.Body))
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/member/family-members/"+made.ID.String(), etag.Of(made.Version)
	return memberapi.CreateMemberRelative201JSONResponse{Body: a.Customers.ToAPIFamilyMember(made), Headers: memberapi.CreateMemberRelative201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// GetMemberRelative implements getMemberRelative.
func (a API) GetMemberRelative(ctx context.Context, r memberapi.GetMemberRelativeRequestObject) (memberapi.GetMemberRelativeResponseObject, error) {
	one, err := a.OwnRelative(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return memberapi.GetMemberRelative200JSONResponse{Body: a.Customers.ToAPIFamilyMember(one), Headers: memberapi.GetMemberRelative200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateMemberRelative implements updateMemberRelative.
func (a API) UpdateMemberRelative(ctx context.Context, r memberapi.UpdateMemberRelativeRequestObject) (memberapi.UpdateMemberRelativeResponseObject, error) {
	one, err := a.ChangeOwnRelative(ctx, r.Id, customers.FromAPIFamilyUpdate(r.Body), r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return memberapi.UpdateMemberRelative200JSONResponse{Body: a.Customers.ToAPIFamilyMember(one), Headers: memberapi.UpdateMemberRelative200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteMemberRelative implements deleteMemberRelative.
func (a API) DeleteMemberRelative(ctx context.Context, r memberapi.DeleteMemberRelativeRequestObject) (memberapi.DeleteMemberRelativeResponseObject, error) {
	if err := a.DropOwnRelative(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return memberapi.DeleteMemberRelative204Response{}, nil
}
