package catalog

import (
	"context"
	"time"

	catalogapi "github.com/shuke-crm/shuke/api/catalog"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/ent/commerce/pricelist"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// ListPriceLists implements listPriceLists.
func (a API) ListPriceLists(ctx context.Context, r catalogapi.ListPriceListsRequestObject) (catalogapi.ListPriceListsResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListPriceLists(ctx, PriceListFilter{Status: string(opt.Value(p.Status)), StoreID: p.StoreId, Channel: string(opt.Value(p.Channel)),
		Tier: opt.Value(p.Tier), Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil})
	if err != nil {
		return nil, err
	}
	return catalogapi.ListPriceLists200JSONResponse{
		Body:    catalogapi.PriceListList{Items: each(found.Items, toAPIPriceList), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListPriceLists200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreatePriceList implements createPriceList.
func (a API) CreatePriceList(ctx context.Context, r catalogapi.CreatePriceListRequestObject) (catalogapi.CreatePriceListResponseObject, error) {
	b := r.Body
	l, err := a.Service.CreatePriceList(ctx, PriceListInput{Code: b.Code, Name: b.Name, Currency: opt.Value(b.Currency), Priority: opt.Value(b.Priority), StoreID: b.StoreId,
		Channel: (*string)(b.Channel), Tier: b.Tier, StartsAt: b.StartsAt, EndsAt: b.EndsAt, Status: string(opt.Value(b.Status))})
	if err != nil {
		return nil, err
	}
	return catalogapi.CreatePriceList201JSONResponse{
		Body: toAPIPriceList(l), Headers: catalogapi.CreatePriceList201ResponseHeaders{ETag: etag.Header(l.Version), Location: location("price-lists", l.ID)},
	}, nil
}

// GetPriceList implements getPriceList.
func (a API) GetPriceList(ctx context.Context, r catalogapi.GetPriceListRequestObject) (catalogapi.GetPriceListResponseObject, error) {
	l, err := a.db.From(ctx).Commerce.PriceList.Query().Where(pricelist.ID(r.Id)).Only(ctx)
	if commerce.IsNotFound(err) {
		return nil, ErrListNotFound.New()
	}
	if err != nil {
		return nil, err
	}
	return catalogapi.GetPriceList200JSONResponse{Body: toAPIPriceList(l), Headers: catalogapi.GetPriceList200ResponseHeaders{ETag: etag.Header(l.Version)}}, nil
}

// UpdatePriceList implements updatePriceList.
func (a API) UpdatePriceList(ctx context.Context, r catalogapi.UpdatePriceListRequestObject) (catalogapi.UpdatePriceListResponseObject, error) {
	b := r.Body
	l, err := a.Service.UpdatePriceList(ctx, r.Id, r.Params.IfMatch, PriceListChange{Code: b.Code, Name: b.Name, Priority: b.Priority, StoreID: b.StoreId,
		Channel: convert(b.Channel, func(c catalogapi.SalesChannel) string { return string(c) }), Tier: b.Tier, StartsAt: b.StartsAt, EndsAt: b.EndsAt, Status: (*string)(b.Status)})
	if err != nil {
		return nil, err
	}
	return catalogapi.UpdatePriceList200JSONResponse{Body: toAPIPriceList(l), Headers: catalogapi.UpdatePriceList200ResponseHeaders{ETag: etag.Header(l.Version)}}, nil
}

// DeletePriceList implements deletePriceList.
func (a API) DeletePriceList(ctx context.Context, r catalogapi.DeletePriceListRequestObject) (catalogapi.DeletePriceListResponseObject, error) {
	if err := a.Service.DeletePriceList(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	return catalogapi.DeletePriceList204Response{}, nil
}

// ListPriceListEntries implements listPriceListEntries.
func (a API) ListPriceListEntries(ctx context.Context, r catalogapi.ListPriceListEntriesRequestObject) (catalogapi.ListPriceListEntriesResponseObject, error) {
	p := r.Params
	found, err := a.ListEntries(ctx, r.Id, p.VariantId, opt.Value(p.Sku), p.Limit, p.Cursor, p.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListPriceListEntries200JSONResponse{
		Body: catalogapi.PriceListEntryList{Items: each(found.Items, func(e *commerce.PriceListEntry) catalogapi.PriceListEntry {
			return catalogapi.PriceListEntry{VariantId: e.VariantID, Sku: e.Edges.Variant.Sku, MinQuantity: e.MinQuantity, PriceAmount: e.PriceAmount, UpdatedAt: e.UpdatedAt.UTC()}
		}), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListPriceListEntries200ResponseHeaders{Link: found.Link},
	}, nil
}

// SetPriceListEntries implements setPriceListEntries.
func (a API) SetPriceListEntries(ctx context.Context, r catalogapi.SetPriceListEntriesRequestObject) (catalogapi.SetPriceListEntriesResponseObject, error) {
	l, done, err := a.SetEntries(ctx, r.Id, r.Params.IfMatch, each(r.Body.Entries, func(e catalogapi.PriceListEntryInput) EntryInput {
		in := EntryInput{VariantID: e.VariantId, SKU: e.Sku, MinQuantity: 1}
		if e.MinQuantity != nil {
			in.MinQuantity = *e.MinQuantity
		}
		if amount, err := e.PriceAmount.Get(); err == nil {
			in.Amount = &amount
		}
		return in
	}), opt.Value(r.Body.Reason))
	if err != nil {
		return nil, err
	}
	return catalogapi.SetPriceListEntries200JSONResponse{
		Body:    catalogapi.PriceListEntriesResult{PriceListId: l.ID, SetCount: int64(done.Set), RemovedCount: int64(done.Removed), UnchangedCount: int64(done.Unchanged), Version: l.Version},
		Headers: catalogapi.SetPriceListEntries200ResponseHeaders{ETag: etag.Header(l.Version)},
	}, nil
}

// GetVariantPrice implements getVariantPrice.
func (a API) GetVariantPrice(ctx context.Context, r catalogapi.GetVariantPriceRequestObject) (catalogapi.GetVariantPriceResponseObject, error) {
	p := r.Params
	at, quantity := PriceContext{StoreID: opt.Value(p.StoreId), Channel: string(opt.Value(p.Channel)), Tier: opt.Value(p.Tier), At: a.clock.Now()}, int64(1)
	if p.At != nil {
		at.At = *p.At
	}
	if p.Quantity != nil {
		quantity = *p.Quantity
	}
	price, considered, err := a.ExplainPrice(ctx, r.Id, quantity, at)
	if err != nil {
		return nil, err
	}
	out := catalogapi.VariantPrice{VariantId: price.VariantID, Sku: price.SKU, Title: price.Title, Currency: a.currency, PriceAmount: price.Amount, OwnPriceAmount: price.OwnAmount,
		PriceListId: opt.OrNull(nonZero(price.PriceListID)), TaxRate: price.TaxRate, Status: catalogapi.SaleStatus(price.Status),
		Considered: each(considered, func(c Considered) catalogapi.ConsideredPrice {
			return catalogapi.ConsideredPrice{PriceListId: c.List.ID, Code: c.List.Code, Name: c.List.Name, Priority: c.List.Priority, MinQuantity: c.Entry.MinQuantity,
				PriceAmount: c.Entry.PriceAmount, Outcome: catalogapi.PriceOutcome(c.Outcome)}
		})}
	return catalogapi.GetVariantPrice200JSONResponse(out), nil
}

// ListVariantPriceChanges implements listVariantPriceChanges.
func (a API) ListVariantPriceChanges(ctx context.Context, r catalogapi.ListVariantPriceChangesRequestObject) (catalogapi.ListVariantPriceChangesResponseObject, error) {
	found, err := a.PriceHistory(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListVariantPriceChanges200JSONResponse{
		Body: catalogapi.PriceChangeList{Items: each(found.Items, func(c *commerce.VariantPriceChange) catalogapi.PriceChange {
			return catalogapi.PriceChange{PriceListId: opt.OrNull(c.PriceListID), PriceListCode: opt.OrNull(c.PriceListCode), MinQuantity: c.MinQuantity,
				OldAmount: opt.OrNull(c.OldAmount), NewAmount: opt.OrNull(c.NewAmount), ChangedBy: c.ChangedBy, Reason: c.Reason, ChangedAt: c.ChangedAt.UTC()}
		}), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListVariantPriceChanges200ResponseHeaders{Link: found.Link},
	}, nil
}

// ListProductStatusChanges implements listProductStatusChanges.
func (a API) ListProductStatusChanges(ctx context.Context, r catalogapi.ListProductStatusChangesRequestObject) (catalogapi.ListProductStatusChangesResponseObject, error) {
	found, err := a.StatusHistory(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	return catalogapi.ListProductStatusChanges200JSONResponse{
		Body: catalogapi.StatusChangeList{Items: each(found.Items, func(c *commerce.ProductStatusChange) catalogapi.StatusChange {
			return catalogapi.StatusChange{VariantId: opt.OrNull(c.VariantID), OldStatus: c.OldStatus, NewStatus: c.NewStatus, ChangedBy: c.ChangedBy, Reason: c.Reason, ChangedAt: c.ChangedAt.UTC()}
		}), NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: catalogapi.ListProductStatusChanges200ResponseHeaders{Link: found.Link},
	}, nil
}

func toAPIPriceList(l *commerce.PriceList) catalogapi.PriceList {
	status := catalogapi.PriceListStatus(l.Status)
	return catalogapi.PriceList{Id: l.ID, Code: l.Code, Name: l.Name, Currency: l.Currency, Priority: l.Priority, StoreId: opt.OrNull(l.StoreID),
		Channel: opt.OrNull((*catalogapi.SalesChannel)(l.Channel)), Tier: opt.OrNull(l.Tier), StartsAt: opt.OrNull(utc(l.StartsAt)), EndsAt: opt.OrNull(utc(l.EndsAt)),
		Status: status, Version: l.Version, CreatedAt: l.CreatedAt.UTC(), UpdatedAt: l.UpdatedAt.UTC()}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
