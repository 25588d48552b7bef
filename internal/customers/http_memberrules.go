package customers

import (
	"context"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/etag"
)

// GetMemberFieldRules implements getMemberFieldRules.
func (a API) GetMemberFieldRules(ctx context.Context, _ customersapi.GetMemberFieldRulesRequestObject) (customersapi.GetMemberFieldRulesResponseObject, error) {
	r, err := a.MemberRules(ctx)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(r.Version)
	return customersapi.GetMemberFieldRules200JSONResponse{Body: toAPIMemberRules(r), Headers: customersapi.GetMemberFieldRules200ResponseHeaders{ETag: &tag}}, nil
}

// SetMemberFieldRules implements setMemberFieldRules.
func (a API) SetMemberFieldRules(ctx context.Context, r customersapi.SetMemberFieldRulesRequestObject) (customersapi.SetMemberFieldRulesResponseObject, error) {
	fields := make([]MemberField, len(r.Body.Fields))
	for i, f := range r.Body.Fields {
		fields[i] = MemberField{f.Field, MemberAccess(f.Access)}
	}
	set, err := a.SetMemberRules(ctx, fields, r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	tag := etag.Of(set.Version)
	return customersapi.SetMemberFieldRules200JSONResponse{Body: toAPIMemberRules(set), Headers: customersapi.SetMemberFieldRules200ResponseHeaders{ETag: &tag}}, nil
}

func toAPIMemberRules(r *MemberRules) customersapi.MemberFieldRules {
	return customersapi.MemberFieldRules{Fields: ToAPIMemberFields(r.All()), Version: r.Version, UpdatedAt: r.UpdatedAt}
}

// ToAPIMemberFields writes what members may do with fields.
func ToAPIMemberFields(all []MemberField) []customersapi.MemberFieldAccess {
	out := make([]customersapi.MemberFieldAccess, len(all))
	for i, f := range all {
		out[i] = customersapi.MemberFieldAccess{Field: f.Field, Access: customersapi.MemberAccess(f.Access)}
	}
	return out
}
