package orders

import (
	"context"
	"strconv"

	openapi_types "github.com/oapi-codegen/runtime/types"

	commonapi "github.com/shuke-crm/shuke/api/common"
	ordersapi "github.com/shuke-crm/shuke/api/orders"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
)

// API answers this domain's operations.
type API struct{ *Service }

var _ ordersapi.StrictServerInterface = API{}

// IngestPOSOrders implements ingestPOSOrders.
func (a API) IngestPOSOrders(ctx context.Context, r ordersapi.IngestPOSOrdersRequestObject) (ordersapi.IngestPOSOrdersResponseObject, error) {
	tickets := make([]Ticket, len(r.Body.Orders))
	for i := range r.Body.Orders {
		tickets[i] = readTicket("/orders/"+strconv.Itoa(i), &r.Body.Orders[i])
	}
	results, err := a.Ingest(ctx, tickets, opt.Value(r.Body.CreateMissingVariants))
	if err != nil {
		return nil, err
	}
	lang := apperr.Language(opt.Value(r.Params.AcceptLanguage))
	out := make([]ordersapi.POSResult, len(results))
	for i := range results {
		out[i] = toAPIResult(i, &results[i], lang)
	}
	return ordersapi.IngestPOSOrders200JSONResponse{Results: out}, nil
}

// ListOrders implements listOrders.
func (a API) ListOrders(ctx context.Context, r ordersapi.ListOrdersRequestObject) (ordersapi.ListOrdersResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListOrders(ctx, Filter{
		StoreID: p.StoreId, CustomerID: p.CustomerId, StaffID: p.StaffId, Channel: string(opt.Value(p.Channel)), Status: string(opt.Value(p.Status)),
		After: p.PlacedAfter, Before: p.PlacedBefore, ExternalNumber: opt.Value(p.ExternalNumber), OrderNumber: opt.Value(p.OrderNumber),
		Fields: opt.Value(p.CustomFields), Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil,
	})
	if err != nil {
		return nil, err
	}
	shown, err := a.customers.ShownFields(ctx, customers.OfOrder)
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.Order, len(found.Items))
	for i, o := range found.Items {
		items[i] = toAPIOrder(o, shown)
	}
	return ordersapi.ListOrders200JSONResponse{
		Body:    ordersapi.OrderList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListOrders200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetOrder implements getOrder.
func (a API) GetOrder(ctx context.Context, r ordersapi.GetOrderRequestObject) (ordersapi.GetOrderResponseObject, error) {
	o, err := a.Order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	shown, err := a.customers.ShownFields(ctx, customers.OfOrder)
	if err != nil {
		return nil, err
	}
	body, err := a.whole(ctx, o, shown)
	if err != nil {
		return nil, err
	}
	return ordersapi.GetOrder200JSONResponse{Body: body, Headers: ordersapi.GetOrder200ResponseHeaders{ETag: etag.Header(o.Version)}}, nil
}

// ListReturns implements listReturns.
func (a API) ListReturns(ctx context.Context, r ordersapi.ListReturnsRequestObject) (ordersapi.ListReturnsResponseObject, error) {
	p := r.Params
	found, err := a.Service.ListReturns(ctx, Filter{
		StoreID: p.StoreId, CustomerID: p.CustomerId, OrderID: p.OrderId, After: p.ReturnedAfter, Before: p.ReturnedBefore,
		ExternalNumber: opt.Value(p.ExternalNumber), Limit: p.Limit, Cursor: p.Cursor, Total: p.Include != nil,
	})
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.OrderReturn, len(found.Items))
	for i, b := range found.Items {
		items[i] = toAPIReturn(b)
	}
	return ordersapi.ListReturns200JSONResponse{
		Body:    ordersapi.OrderReturnList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListReturns200ResponseHeaders{Link: found.Link},
	}, nil
}

// GetReturn implements getReturn.
func (a API) GetReturn(ctx context.Context, r ordersapi.GetReturnRequestObject) (ordersapi.GetReturnResponseObject, error) {
	b, err := a.Return(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	body, err := a.wholeReturn(ctx, b)
	if err != nil {
		return nil, err
	}
	return ordersapi.GetReturn200JSONResponse{Body: body, Headers: ordersapi.GetReturn200ResponseHeaders{ETag: etag.Header(b.Version)}}, nil
}

// StreamOrderEvents implements streamOrderEvents.
func (a API) StreamOrderEvents(ctx context.Context, r ordersapi.StreamOrderEventsRequestObject) (ordersapi.StreamOrderEventsResponseObject, error) {
	body, err := a.Follow(ctx, Stream{StoreID: r.Id, After: opt.Value(r.Params.LastEventID)})
	if err != nil {
		return nil, err
	}
	return ordersapi.StreamOrderEvents200TexteventStreamResponse{Body: body}, nil
}

// StreamOrder implements streamOrder.
func (a API) StreamOrder(ctx context.Context, r ordersapi.StreamOrderRequestObject) (ordersapi.StreamOrderResponseObject, error) {
	body, err := a.Follow(ctx, Stream{OrderID: r.Id, After: opt.Value(r.Params.LastEventID)})
	if err != nil {
		return nil, err
	}
	return ordersapi.StreamOrder200TexteventStreamResponse{Body: body}, nil
}

func toAPIResult(i int, r *Result, lang string) ordersapi.POSResult {
	out := ordersapi.POSResult{Index: int32(i), Status: ordersapi.POSResultStatus(r.Status), OrderId: orNil(r.OrderID), OrderReturnId: orNil(r.ReturnID)}
	if r.ReturnExceeds {
		out.Warnings = &[]ordersapi.POSWarning{ordersapi.POSReturnExceedsSale}
	}
	if r.Err != nil {
		out.Error = &commonapi.ProblemError{Code: r.Err.Def.Code, Detail: r.Err.Def.Text(lang, r.Err.Args)}
		if len(r.Err.Fields) > 0 {
			out.Error.Pointer = r.Err.Fields[0].Pointer
		}
	}
	return out
}

// toAPIOrder writes an order; shown leaves the custom fields that the caller may see.
func toAPIOrder(o *commerce.Order, shown func(map[string]any) map[string]any) ordersapi.Order {
	coupons := o.CouponCodes
	if coupons == nil {
		coupons = []string{}
	}
	return ordersapi.Order{
		Id: o.ID, OrderNumber: o.OrderNumber, ExternalNumber: opt.OrNull(o.ExternalNumber), StoreId: o.StoreID, AssignedStaffId: opt.OrNull(o.AssignedStaffID),
		StaffId: opt.OrNull(o.StaffID), CustomerId: opt.OrNull(o.CustomerID), Channel: ordersapi.OrderChannel(o.Channel), Status: ordersapi.OrderStatus(o.Status),
		Fulfilment: ordersapi.OrderFulfilment(o.Fulfilment), Currency: o.Currency, PlacedAt: o.PlacedAt.UTC(), BusinessOn: openapi_types.Date{Time: o.BusinessDay},
		LineCount: int32(o.LineCount), UnitCount: o.UnitCount, DiscountAmount: o.DiscountAmount, ShippingAmount: o.ShippingAmount, TotalAmount: o.TotalAmount,
		PaidAmount: o.PaidAmount, RefundedAmount: o.RefundedAmount, ReturnedAmount: o.ReturnedAmount, CouponCodes: coupons, PayBy: utcOrNull(o.PayBy), PaidAt: utcOrNull(o.PaidAt),
		CompletedAt: utcOrNull(o.CompletedAt), CancelledAt: utcOrNull(o.CancelledAt), ExchangeOfId: opt.OrNull(o.ExchangeOfID), CustomFields: shown(o.CustomFields),
		Version: o.Version, CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(),
	}
}

func toAPIReturn(b *commerce.OrderReturn) ordersapi.OrderReturn {
	return ordersapi.OrderReturn{
		Id: b.ID, ReturnNumber: b.ReturnNumber, OrderId: opt.OrNull(b.OrderID), ExternalNumber: opt.OrNull(b.ExternalNumber),
		OriginalExternalNumber: opt.OrNull(b.OriginalExternalNumber), StoreId: b.StoreID, AssignedStaffId: opt.OrNull(b.AssignedStaffID), StaffId: opt.OrNull(b.StaffID),
		CustomerId: opt.OrNull(b.CustomerID), Status: ordersapi.OrderReturnStatus(b.Status), Kind: ordersapi.OrderReturnKind(b.Kind), RefundedAt: utcOrNull(b.RefundedAt), Currency: b.Currency, ReturnedAt: b.ReturnedAt.UTC(),
		BusinessOn: openapi_types.Date{Time: b.BusinessDay}, LineCount: int32(b.LineCount), UnitCount: b.UnitCount, TotalAmount: b.TotalAmount, FreePostage: b.FreePostage,
		Version: b.Version, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC(),
	}
}
