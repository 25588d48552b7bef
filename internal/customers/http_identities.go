package customers

import (
	"slices"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// IdentityPage cuts a page out of how a customer signs in: a handful of rows,
// oldest first, that are read whole.
// Error: apperr.ErrBadCursor.
func IdentityPage(pages *page.Codec, list string, all []Identity, limit *int32, cursor *string, counted bool) (customersapi.CustomerIdentityList, error) {
	out := customersapi.CustomerIdentityList{Items: []customersapi.CustomerIdentity{}, NextCursor: null[string]()}
	var after uuid.UUID
	if _, err := pages.Decode(list, cursor, &after); err != nil {
		return out, err
	}
	if counted {
		n := int64(len(all))
		out.TotalCount = &n
	}
	all = slices.DeleteFunc(all, func(i Identity) bool { return compareIDs(i.ID, after) <= 0 })
	all, out.HasMore = page.Cut(all, page.Limit(limit))
	for _, i := range all {
		out.Items = append(out.Items, customersapi.CustomerIdentity{Id: i.ID, Provider: customersapi.IdentityProvider(i.Provider), App: i.App, Subject: i.Subject,
			VerifiedAt: i.VerifiedAt, LastUsedAt: i.LastUsedAt})
	}
	if out.HasMore {
		out.NextCursor = nullable.NewNullableWithValue(pages.Encode(list, all[len(all)-1].ID))
	}
	return out, nil
}
