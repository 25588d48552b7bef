package customers

import (
	"github.com/google/uuid"

	customersapi "github.com/shuke-crm/shuke/api/customers"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// IdentityPage cuts a page out of how a customer signs in: a handful of rows,
// oldest first, that are read whole.
// Error: apperr.ErrBadCursor.
func IdentityPage(pages *page.Codec, list string, all []Identity, limit *int32, cursor *string, counted bool) (customersapi.CustomerIdentityList, error) {
	out := customersapi.CustomerIdentityList{Items: []customersapi.CustomerIdentity{}, NextCursor: null[string]()}
	p, err := pageOf(pages, list, all, func(i Identity) uuid.UUID { return i.ID }, limit, cursor, counted)
	if err != nil {
		return out, err
	}
	for _, i := range p.Items {
		out.Items = append(out.Items, customersapi.CustomerIdentity{Id: i.ID, Provider: customersapi.IdentityProvider(i.Provider), App: i.App, Subject: i.Subject,
			VerifiedAt: i.VerifiedAt, LastUsedAt: i.LastUsedAt})
	}
	out.NextCursor, out.HasMore, out.TotalCount = pointerOrNull(p.Next), p.Next != nil, p.Total
	return out, nil
}
