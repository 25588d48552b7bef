package customers

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// ListCustomerAddresses implements listCustomerAddresses.
func (a API) ListCustomerAddresses(ctx context.Context, r customersapi.ListCustomerAddressesRequestObject) (customersapi.ListCustomerAddressesResponseObject, error) {
	all, err := a.Addresses(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i] = all[i].masked()
	}
	body, err := AddressPage(a.pages, "/v1/customers/"+r.Id.String()+"/addresses", all, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return customersapi.ListCustomerAddresses200JSONResponse(body), nil
}

// CreateCustomerAddress implements createCustomerAddress.
func (a API) CreateCustomerAddress(ctx context.Context, r customersapi.CreateCustomerAddressRequestObject) (customersapi.CreateCustomerAddressResponseObject, error) {
	made, err := a.AddAddress(ctx, r.Id, FromAPIAddressCreate(r.Body), nil)
	if err != nil {
		return nil, err
	}
	shown := made.masked()
	location, tag := "/v1/customers/"+r.Id.String()+"/addresses/"+made.ID.String(), etag.Of(made.Version)
	return customersapi.CreateCustomerAddress201JSONResponse{Body: ToAPICustomerAddress(&shown),
		Headers: customersapi.CreateCustomerAddress201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// GetCustomerAddress implements getCustomerAddress.
func (a API) GetCustomerAddress(ctx context.Context, r customersapi.GetCustomerAddressRequestObject) (customersapi.GetCustomerAddressResponseObject, error) {
	one, err := a.Address(ctx, r.Id, r.AddressId)
	if err != nil {
		return nil, err
	}
	shown, tag := one.masked(), etag.Of(one.Version)
	return customersapi.GetCustomerAddress200JSONResponse{Body: ToAPICustomerAddress(&shown), Headers: customersapi.GetCustomerAddress200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateCustomerAddress implements updateCustomerAddress.
func (a API) UpdateCustomerAddress(ctx context.Context, r customersapi.UpdateCustomerAddressRequestObject) (customersapi.UpdateCustomerAddressResponseObject, error) {
	one, err := a.UpdateAddress(ctx, r.Id, r.AddressId, FromAPIAddressUpdate(r.Body), r.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	shown, tag := one.masked(), etag.Of(one.Version)
	return customersapi.UpdateCustomerAddress200JSONResponse{Body: ToAPICustomerAddress(&shown), Headers: customersapi.UpdateCustomerAddress200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteCustomerAddress implements deleteCustomerAddress.
func (a API) DeleteCustomerAddress(ctx context.Context, r customersapi.DeleteCustomerAddressRequestObject) (customersapi.DeleteCustomerAddressResponseObject, error) {
	if err := a.DeleteAddress(ctx, r.Id, r.AddressId, r.Params.IfMatch, nil); err != nil {
		return nil, err
	}
	return customersapi.DeleteCustomerAddress204Response{}, nil
}

// ListFamilyMembers implements listFamilyMembers.
func (a API) ListFamilyMembers(ctx context.Context, r customersapi.ListFamilyMembersRequestObject) (customersapi.ListFamilyMembersResponseObject, error) {
	all, err := a.Family(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := a.FamilyPage("/v1/customers/"+r.Id.String()+"/family-members", all, true, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return customersapi.ListFamilyMembers200JSONResponse(body), nil
}

// CreateFamilyMember implements createFamilyMember.
func (a API) CreateFamilyMember(ctx context.Context, r customersapi.CreateFamilyMemberRequestObject) (customersapi.CreateFamilyMemberResponseObject, error) {
	made, err := a.AddFamilyMember(ctx, r.Id, FromAPIFamilyCreate(r.Body), nil)
	if err != nil {
		return nil, err
	}
	location, tag := "/v1/customers/"+r.Id.String()+"/family-members/"+made.ID.String(), etag.Of(made.Version)
	return customersapi.CreateFamilyMember201JSONResponse{Body: a.maskedFamily(made),
		Headers: customersapi.CreateFamilyMember201ResponseHeaders{Location: &location, ETag: &tag}}, nil
}

// GetFamilyMember implements getFamilyMember.
func (a API) GetFamilyMember(ctx context.Context, r customersapi.GetFamilyMemberRequestObject) (customersapi.GetFamilyMemberResponseObject, error) {
	one, err := a.FamilyMember(ctx, r.Id, r.FamilyMemberId)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return customersapi.GetFamilyMember200JSONResponse{Body: a.maskedFamily(one), Headers: customersapi.GetFamilyMember200ResponseHeaders{ETag: &tag}}, nil
}

// UpdateFamilyMember implements updateFamilyMember.
func (a API) UpdateFamilyMember(ctx context.Context, r customersapi.UpdateFamilyMemberRequestObject) (customersapi.UpdateFamilyMemberResponseObject, error) {
	one, err := a.Service.UpdateFamilyMember(ctx, r.Id, r.FamilyMemberId, FromAPIFamilyUpdate(r.Body), r.Params.IfMatch, nil)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(one.Version)
	return customersapi.UpdateFamilyMember200JSONResponse{Body: a.maskedFamily(one), Headers: customersapi.UpdateFamilyMember200ResponseHeaders{ETag: &tag}}, nil
}

// DeleteFamilyMember implements deleteFamilyMember.
func (a API) DeleteFamilyMember(ctx context.Context, r customersapi.DeleteFamilyMemberRequestObject) (customersapi.DeleteFamilyMemberResponseObject, error) {
	if err := a.Service.DeleteFamilyMember(ctx, r.Id, r.FamilyMemberId, r.Params.IfMatch, nil); err != nil {
		return nil, err
	}
	return customersapi.DeleteFamilyMember204Response{}, nil
}

func (a CustomerAddress) masked() CustomerAddress {
	a.Address, a.AddressAbout = a.Address.Masked(), a.AddressAbout.masked()
	return a
}

// ToAPICustomerAddress writes an address as it is; masking comes before.
func ToAPICustomerAddress(a *CustomerAddress) customersapi.CustomerAddress {
	return customersapi.CustomerAddress{Id: a.ID, IsDefault: a.Default, Label: orNull(a.Label), RecipientName: orNull(a.RecipientName), RecipientPhone: orNull(a.RecipientPhone),
		Address: ToAPIAddress(&a.Address).MustGet(), Version: a.Version, CreatedAt: a.CreatedAt.UTC(), UpdatedAt: a.UpdatedAt.UTC()}
}

// FromAPIAddressCreate reads a new address.
func FromAPIAddressCreate(b *customersapi.CustomerAddressCreate) AddressInput {
	parts := FromAPIAddress(b.Address)
	return AddressInput{Label: fromPointer(b.Label), RecipientName: fromPointer(b.RecipientName), RecipientPhone: fromPointer(b.RecipientPhone), Address: &parts, Default: b.IsDefault}
}

// FromAPIAddressUpdate reads a change of an address.
func FromAPIAddressUpdate(b *customersapi.CustomerAddressUpdate) AddressInput {
	in := AddressInput{Label: b.Label, RecipientName: b.RecipientName, RecipientPhone: b.RecipientPhone, Default: b.IsDefault}
	if b.Address != nil {
		parts := FromAPIAddress(*b.Address)
		in.Address = &parts
	}
	return in
}

// AddressPage cuts a page out of a customer's addresses, which are read whole.
// Error: apperr.ErrBadCursor.
func AddressPage(pages *page.Codec, list string, all []CustomerAddress, limit *int32, cursor *string, counted bool) (customersapi.CustomerAddressList, error) {
	out := customersapi.CustomerAddressList{Items: []customersapi.CustomerAddress{}, NextCursor: null[string]()}
	p, err := pageOf(pages, list, all, func(a CustomerAddress) uuid.UUID { return a.ID }, limit, cursor, counted)
	if err != nil {
		return out, err
	}
	for i := range p.Items {
		out.Items = append(out.Items, ToAPICustomerAddress(&p.Items[i]))
	}
	out.NextCursor, out.HasMore, out.TotalCount = pointerOrNull(p.Next), p.Next != nil, p.Total
	return out, nil
}

// FamilyPage cuts a page out of a customer's family, which is read whole.
// Error: apperr.ErrBadCursor.
func (s *Service) FamilyPage(list string, all []FamilyMember, masked bool, limit *int32, cursor *string, counted bool) (customersapi.FamilyMemberList, error) {
	out := customersapi.FamilyMemberList{Items: []customersapi.FamilyMember{}, NextCursor: null[string]()}
	p, err := pageOf(s.pages, list, all, func(f FamilyMember) uuid.UUID { return f.ID }, limit, cursor, counted)
	if err != nil {
		return out, err
	}
	for i := range p.Items {
		one := s.ToAPIFamilyMember(&p.Items[i])
		if masked {
			one = s.maskedFamily(&p.Items[i])
		}
		out.Items = append(out.Items, one)
	}
	out.NextCursor, out.HasMore, out.TotalCount = pointerOrNull(p.Next), p.Next != nil, p.Total
	return out, nil
}

// pageOf cuts a page out of a handful of rows in the order of their ids.
// Error: apperr.ErrBadCursor.
func pageOf[T any](pages *page.Codec, list string, all []T, id func(T) uuid.UUID, limit *int32, cursor *string, counted bool) (page.Of[T], error) {
	var out page.Of[T]
	var after uuid.UUID
	if _, err := pages.Decode(list, cursor, &after); err != nil {
		return out, err
	}
	if counted {
		n := int64(len(all))
		out.Total = &n
	}
	from := slices.IndexFunc(all, func(one T) bool { return compareIDs(id(one), after) > 0 })
	if from < 0 {
		from = len(all)
	}
	var more bool
	if out.Items, more = page.Cut(all[from:], page.Limit(limit)); more {
		next := pages.Encode(list, id(out.Items[len(out.Items)-1]))
		out.Next = &next
	}
	return out, nil
}

// ToAPIFamilyMember writes a member of the family in clear.
func (s *Service) ToAPIFamilyMember(f *FamilyMember) customersapi.FamilyMember {
	out := customersapi.FamilyMember{Id: f.ID, Relation: customersapi.FamilyRelation(f.Relation), Name: orNull(f.Name), Gender: customersapi.GenderUnknown,
		BirthDate: dateOrNull(f.BirthDate), Age: null[int32](), Sizes: customersapi.Sizes{}, Notes: orNull(f.Notes),
		Version: f.Version, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt}
	if f.Gender != "" {
		out.Gender = customersapi.CustomerGender(f.Gender)
	}
	if age := f.Age(s.clock.Today().Time()); age >= 0 {
		out.Age = value(int32(age))
	}
	out.CustomFields = customersapi.CustomFields{}
	maps.Copy(out.CustomFields, f.CustomFields)
	for kind, size := range f.Sizes {
		out.Sizes[kind] = customersapi.Size{Value: size.Value, System: customersapi.SizeSystem(size.System)}
	}
	return out
}

// maskedFamily writes a member of the family as staff see them.
func (s *Service) maskedFamily(f *FamilyMember) customersapi.FamilyMember {
	hidden := f.masked()
	out := s.ToAPIFamilyMember(&hidden)
	if age := f.Age(s.clock.Today().Time()); age >= 0 {
		out.Age = value(int32(age))
	}
	return out
}

// FromAPIFamilyCreate reads a new member of the family.
func FromAPIFamilyCreate(b *customersapi.FamilyMemberCreate) FamilyInput {
	in := FamilyInput{Relation: (*string)(&b.Relation), Name: fromPointer(b.Name), Gender: (*string)(b.Gender), Sizes: fromAPISizes(b.Sizes), Notes: fromPointer(b.Notes)}
	set(&in.CustomFields, (*map[string]any)(b.CustomFields))
	if b.BirthDate != nil {
		in.BirthDate = value(b.BirthDate.Time)
	}
	return in
}

// FromAPIFamilyUpdate reads a change of a member of the family.
func FromAPIFamilyUpdate(b *customersapi.FamilyMemberUpdate) FamilyInput {
	in := FamilyInput{Relation: (*string)(b.Relation), Name: b.Name, Gender: (*string)(b.Gender), Sizes: fromAPISizes(b.Sizes), Notes: b.Notes}
	set(&in.CustomFields, (*map[string]any)(b.CustomFields))
	if b.BirthDate.IsNull() {
		in.BirthDate = null[time.Time]()
	} else if v, err := b.BirthDate.Get(); err == nil {
		in.BirthDate = value(v.Time)
	}
	return in
}

func fromAPISizes(b *customersapi.SizesInput) map[string]*Size {
	if b == nil {
		return nil
	}
	out := make(map[string]*Size, len(*b))
	for kind, size := range *b {
		out[kind] = nil
		if size != nil {
			out[kind] = &Size{Value: size.Value, System: string(size.System)}
		}
	}
	return out
}
