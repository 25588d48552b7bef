package orders

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	ordersapi "github.com/shuke-crm/shuke/api/orders"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/customers"
	"github.com/shuke-crm/shuke/internal/platform/etag"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/page"
)

// CreateOrder implements createOrder.
func (a API) CreateOrder(ctx context.Context, r ordersapi.CreateOrderRequestObject) (ordersapi.CreateOrderResponseObject, error) {
	in, err := fromAPIOrder(r.Body)
	if err != nil {
		return nil, err
	}
	o, err := a.Place(ctx, in)
	if err != nil {
		return nil, err
	}
	body, err := a.answer(ctx, o)
	if err != nil {
		return nil, err
	}
	return ordersapi.CreateOrder201JSONResponse{Body: body, Headers: ordersapi.CreateOrder201ResponseHeaders{ETag: etag.Header(o.Version), Location: at("/v1/orders/", o.ID)}}, nil
}

// UpdateOrder implements updateOrder.
func (a API) UpdateOrder(ctx context.Context, r ordersapi.UpdateOrderRequestObject) (ordersapi.UpdateOrderResponseObject, error) {
	if err := a.Update(ctx, r.Id, r.Params.IfMatch, fromAPIChange(r.Body)); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.UpdateOrder200JSONResponse{Body: body, Headers: ordersapi.UpdateOrder200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// ReplaceOrderLines implements replaceOrderLines.
func (a API) ReplaceOrderLines(ctx context.Context, r ordersapi.ReplaceOrderLinesRequestObject) (ordersapi.ReplaceOrderLinesResponseObject, error) {
	if err := a.ReplaceLines(ctx, r.Id, r.Params.IfMatch, fromAPILines(r.Body.Lines), opt.Value(r.Body.Reason)); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.ReplaceOrderLines200JSONResponse{Body: body, Headers: ordersapi.ReplaceOrderLines200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// PlaceOrder implements placeOrder.
func (a API) PlaceOrder(ctx context.Context, r ordersapi.PlaceOrderRequestObject) (ordersapi.PlaceOrderResponseObject, error) {
	if err := a.PlaceDraft(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.PlaceOrder200JSONResponse{Body: body, Headers: ordersapi.PlaceOrder200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// AddOrderPayment implements addOrderPayment.
func (a API) AddOrderPayment(ctx context.Context, r ordersapi.AddOrderPaymentRequestObject) (ordersapi.AddOrderPaymentResponseObject, error) {
	if err := a.Pay(ctx, r.Id, fromAPIPayment(r.Body)); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.AddOrderPayment201JSONResponse{Body: body, Headers: ordersapi.AddOrderPayment201ResponseHeaders{ETag: etag.Header(body.Version), Location: at("/v1/orders/", body.Id)}}, nil
}

// ShipOrder implements shipOrder.
func (a API) ShipOrder(ctx context.Context, r ordersapi.ShipOrderRequestObject) (ordersapi.ShipOrderResponseObject, error) {
	if err := a.Ship(ctx, r.Id, Parcel{r.Body.Carrier, r.Body.TrackingNumber, fromAPIQuantities(opt.Value(r.Body.Lines))}); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.ShipOrder201JSONResponse{Body: body, Headers: ordersapi.ShipOrder201ResponseHeaders{ETag: etag.Header(body.Version), Location: at("/v1/orders/", body.Id)}}, nil
}

// ReadyOrder implements readyOrder.
func (a API) ReadyOrder(ctx context.Context, r ordersapi.ReadyOrderRequestObject) (ordersapi.ReadyOrderResponseObject, error) {
	if err := a.Ready(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.ReadyOrder200JSONResponse{Body: body, Headers: ordersapi.ReadyOrder200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// CompleteOrder implements completeOrder.
func (a API) CompleteOrder(ctx context.Context, r ordersapi.CompleteOrderRequestObject) (ordersapi.CompleteOrderResponseObject, error) {
	if err := a.Complete(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.CompleteOrder200JSONResponse{Body: body, Headers: ordersapi.CompleteOrder200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// CancelOrder implements cancelOrder.
func (a API) CancelOrder(ctx context.Context, r ordersapi.CancelOrderRequestObject) (ordersapi.CancelOrderResponseObject, error) {
	if err := a.Cancel(ctx, r.Id, r.Params.IfMatch, r.Body.Reason); err != nil {
		return nil, err
	}
	body, err := a.order(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.CancelOrder200JSONResponse{Body: body, Headers: ordersapi.CancelOrder200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// RevealOrderRecipient implements revealOrderRecipient.
func (a API) RevealOrderRecipient(ctx context.Context, r ordersapi.RevealOrderRecipientRequestObject) (ordersapi.RevealOrderRecipientResponseObject, error) {
	found, err := a.Reveal(ctx, r.Id, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return ordersapi.RevealOrderRecipient200JSONResponse{Recipient: toAPIRecipient(found)}, nil
}

// ListOrderHistory implements listOrderHistory.
func (a API) ListOrderHistory(ctx context.Context, r ordersapi.ListOrderHistoryRequestObject) (ordersapi.ListOrderHistoryResponseObject, error) {
	found, err := a.History(ctx, r.Id, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.OrderHistoryEntry, len(found.Items))
	for i, e := range found.Items {
		details := e.Details
		if details == nil {
			details = map[string]any{}
		}
		items[i] = ordersapi.OrderHistoryEntry{Id: e.ID, Action: e.Action, OrderReturnId: opt.OrNull(e.OrderReturnID), FromStatus: opt.OrNull(e.FromStatus), ToStatus: e.ToStatus,
			ActorKind: ordersapi.OrderHistoryEntryActorKind(e.ActorKind), ActorId: opt.OrNull(e.ActorID), Reason: e.Reason, Details: details, CreatedAt: e.CreatedAt.UTC()}
	}
	return ordersapi.ListOrderHistory200JSONResponse{
		Body:    ordersapi.OrderHistory{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListOrderHistory200ResponseHeaders{Link: found.Link},
	}, nil
}

// RequestReturn implements requestReturn.
func (a API) RequestReturn(ctx context.Context, r ordersapi.RequestReturnRequestObject) (ordersapi.RequestReturnResponseObject, error) {
	made, err := a.Service.RequestReturn(ctx, r.Id, ReturnInput{fromAPIReturnLines(r.Body.Lines), r.Body.Note, opt.Value(r.Body.BeyondWindow)})
	if err != nil {
		return nil, err
	}
	body, err := a.wholeReturn(ctx, made)
	if err != nil {
		return nil, err
	}
	return ordersapi.RequestReturn201JSONResponse{Body: body, Headers: ordersapi.RequestReturn201ResponseHeaders{ETag: etag.Header(made.Version), Location: at("/v1/returns/", made.ID)}}, nil
}

// ExchangeOrder implements exchangeOrder.
func (a API) ExchangeOrder(ctx context.Context, r ordersapi.ExchangeOrderRequestObject) (ordersapi.ExchangeOrderResponseObject, error) {
	made, err := a.ExchangeGoods(ctx, r.Id, Exchange{Return: fromAPIReturnLines(r.Body.ReturnLines), Damaged: opt.Value(r.Body.Damaged), StoreID: r.Body.StoreId,
		Lines: fromAPILines(r.Body.Lines), Fulfilment: string(opt.Value(r.Body.Fulfilment)), Payments: fromAPIPayments(opt.Value(r.Body.Payments)), BeyondWindow: opt.Value(r.Body.BeyondWindow)})
	if err != nil {
		return nil, err
	}
	body, err := a.answer(ctx, made)
	if err != nil {
		return nil, err
	}
	return ordersapi.ExchangeOrder201JSONResponse{Body: body, Headers: ordersapi.ExchangeOrder201ResponseHeaders{ETag: etag.Header(made.Version), Location: at("/v1/orders/", made.ID)}}, nil
}

// ApproveReturn implements approveReturn.
func (a API) ApproveReturn(ctx context.Context, r ordersapi.ApproveReturnRequestObject) (ordersapi.ApproveReturnResponseObject, error) {
	if err := a.Approve(ctx, r.Id, r.Params.IfMatch); err != nil {
		return nil, err
	}
	body, err := a.goodsBack(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.ApproveReturn200JSONResponse{Body: body, Headers: ordersapi.ApproveReturn200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// RejectReturn implements rejectReturn.
func (a API) RejectReturn(ctx context.Context, r ordersapi.RejectReturnRequestObject) (ordersapi.RejectReturnResponseObject, error) {
	if err := a.Reject(ctx, r.Id, r.Params.IfMatch, r.Body.Reason); err != nil {
		return nil, err
	}
	body, err := a.goodsBack(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.RejectReturn200JSONResponse{Body: body, Headers: ordersapi.RejectReturn200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// ReceiveReturn implements receiveReturn.
func (a API) ReceiveReturn(ctx context.Context, r ordersapi.ReceiveReturnRequestObject) (ordersapi.ReceiveReturnResponseObject, error) {
	if err := a.Receive(ctx, r.Id, r.Params.IfMatch, r.Body.StoreId, fromAPIReceipts(opt.Value(r.Body.Lines))); err != nil {
		return nil, err
	}
	body, err := a.goodsBack(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.ReceiveReturn200JSONResponse{Body: body, Headers: ordersapi.ReceiveReturn200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// RefundReturn implements refundReturn.
func (a API) RefundReturn(ctx context.Context, r ordersapi.RefundReturnRequestObject) (ordersapi.RefundReturnResponseObject, error) {
	if err := a.Refund(ctx, r.Id, r.Params.IfMatch, opt.Value(r.Body.GoodsKept), opt.Value(r.Body.ShippingAmount)); err != nil {
		return nil, err
	}
	body, err := a.goodsBack(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.RefundReturn200JSONResponse{Body: body, Headers: ordersapi.RefundReturn200ResponseHeaders{ETag: etag.Header(body.Version)}}, nil
}

// ListReturnReasons implements listReturnReasons.
func (a API) ListReturnReasons(ctx context.Context, r ordersapi.ListReturnReasonsRequestObject) (ordersapi.ListReturnReasonsResponseObject, error) {
	found, err := a.Reasons(ctx, "/v1/return-reasons", false, r.Params.Limit, r.Params.Cursor, r.Params.Include != nil)
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.ReturnReason, len(found.Items))
	for i, one := range found.Items {
		items[i] = toAPIReason(one)
	}
	return ordersapi.ListReturnReasons200JSONResponse{
		Body:    ordersapi.ReturnReasonList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListReturnReasons200ResponseHeaders{Link: found.Link},
	}, nil
}

// CreateReturnReason implements createReturnReason.
func (a API) CreateReturnReason(ctx context.Context, r ordersapi.CreateReturnReasonRequestObject) (ordersapi.CreateReturnReasonResponseObject, error) {
	made, err := a.AddReason(ctx, r.Body.Code, r.Body.Name, opt.Value(r.Body.CustomerFault))
	if err != nil {
		return nil, err
	}
	return ordersapi.CreateReturnReason201JSONResponse{Body: toAPIReason(made), Headers: ordersapi.CreateReturnReason201ResponseHeaders{ETag: etag.Header(made.Version), Location: at("/v1/return-reasons/", made.ID)}}, nil
}

// UpdateReturnReason implements updateReturnReason.
func (a API) UpdateReturnReason(ctx context.Context, r ordersapi.UpdateReturnReasonRequestObject) (ordersapi.UpdateReturnReasonResponseObject, error) {
	changed, err := a.ChangeReason(ctx, r.Id, r.Params.IfMatch, ReasonChange{r.Body.Name, r.Body.CustomerFault, (*string)(r.Body.Status)})
	if err != nil {
		return nil, err
	}
	return ordersapi.UpdateReturnReason200JSONResponse{Body: toAPIReason(changed), Headers: ordersapi.UpdateReturnReason200ResponseHeaders{ETag: etag.Header(changed.Version)}}, nil
}

// order reads an order for an answer.
func (a API) order(ctx context.Context, id uuid.UUID) (ordersapi.Order, error) {
	o, err := a.Order(ctx, id)
	if err != nil {
		return ordersapi.Order{}, err
	}
	return a.answer(ctx, o)
}

func (a API) answer(ctx context.Context, o *commerce.Order) (ordersapi.Order, error) {
	shown, err := a.customers.ShownFields(ctx, customers.OfOrder)
	if err != nil {
		return ordersapi.Order{}, err
	}
	return a.whole(ctx, o, shown)
}

// whole writes an order with all its parts.
func (a API) whole(ctx context.Context, o *commerce.Order, shown func(map[string]any) map[string]any) (ordersapi.Order, error) {
	out := toAPIOrder(o, shown)
	private, err := a.private(ctx, "orders", o.ID, o.CustomerID, o.PrivateSealed)
	if err != nil {
		return out, err
	}
	if private.Recipient != nil {
		masked := private.Recipient.Masked()
		private.Recipient = &masked
	}
	out.Recipient, out.Note = toAPIRecipient(private.Recipient), textOrNull(private.Note)
	lines := make([]ordersapi.OrderLine, len(o.Edges.Lines))
	for i, l := range o.Edges.Lines {
		lines[i] = ordersapi.OrderLine{
			Id: l.ID, LineNumber: int32(l.LineNumber), VariantId: l.VariantID, CategoryId: opt.OrNull(l.CategoryID), Sku: l.Sku, Title: l.Title,
			Quantity: l.Quantity, UnitPriceAmount: l.UnitPriceAmount, DiscountAmount: l.DiscountAmount, TotalAmount: l.TotalAmount, TaxRate: int32(l.TaxRate),
			PriceListId: opt.OrNull(l.PriceListID), Tier: opt.OrNull(l.TierCode), ReservedQuantity: l.ReservedQuantity, ShippedQuantity: l.ShippedQuantity, ReturnedQuantity: l.ReturnedQuantity,
		}
	}
	payments := make([]ordersapi.OrderPayment, len(o.Edges.Payments))
	for i, p := range o.Edges.Payments {
		payments[i] = toAPIPayment(p)
	}
	refunds := toAPIRefunds(o.Edges.Refunds)
	shipments := make([]ordersapi.Shipment, len(o.Edges.Shipments))
	for i, p := range o.Edges.Shipments {
		shipments[i] = ToAPIShipment(p)
	}
	returns := make([]ordersapi.OrderReturn, len(o.Edges.Returns))
	for i, b := range o.Edges.Returns {
		returns[i] = toAPIReturn(b)
	}
	out.Lines, out.Payments, out.Refunds, out.Shipments, out.Returns = &lines, &payments, &refunds, &shipments, &returns
	return out, nil
}

// goodsBack reads a return for an answer.
func (a API) goodsBack(ctx context.Context, id uuid.UUID) (ordersapi.OrderReturn, error) {
	b, err := a.Return(ctx, id)
	if err != nil {
		return ordersapi.OrderReturn{}, err
	}
	return a.wholeReturn(ctx, b)
}

func (a API) wholeReturn(ctx context.Context, b *commerce.OrderReturn) (ordersapi.OrderReturn, error) {
	out := toAPIReturn(b)
	private, err := a.private(ctx, "order_returns", b.ID, b.CustomerID, b.PrivateSealed)
	if err != nil {
		return out, err
	}
	lines := make([]ordersapi.OrderReturnLine, len(b.Edges.Lines))
	for i, l := range b.Edges.Lines {
		lines[i] = ordersapi.OrderReturnLine{
			Id: l.ID, LineNumber: int32(l.LineNumber), VariantId: l.VariantID, CategoryId: opt.OrNull(l.CategoryID), Sku: l.Sku, Title: l.Title,
			OrderLineId: opt.OrNull(l.OrderLineID), ReasonCode: opt.OrNull(l.ReasonCode), Quantity: l.Quantity, RestockedQuantity: l.RestockedQuantity,
			DamagedQuantity: l.DamagedQuantity, UnitPriceAmount: l.UnitPriceAmount, TotalAmount: l.TotalAmount,
		}
	}
	refunds := toAPIRefunds(b.Edges.Refunds)
	out.Lines, out.Refunds, out.Note = &lines, &refunds, textOrNull(private.Note)
	return out, nil
}

func toAPIPayment(p *commerce.OrderPayment) ordersapi.OrderPayment {
	return ordersapi.OrderPayment{Id: p.ID, Method: p.Method, Provider: opt.OrNull((*string)(p.Provider)), Status: ordersapi.OrderPaymentStatus(p.Status), Amount: p.Amount,
		RefundedAmount: p.RefundedAmount, Reference: opt.OrNull(p.Reference), PaidAt: utcOrNull(p.PaidAt), ExpiresAt: utcOrNull(p.ExpiresAt), CreatedAt: p.CreatedAt.UTC()}
}

func toAPIRefunds(all []*commerce.OrderRefund) []ordersapi.OrderRefund {
	out := make([]ordersapi.OrderRefund, len(all))
	for i, r := range all {
		out[i] = ordersapi.OrderRefund{Id: r.ID, OrderReturnId: opt.OrNull(r.OrderReturnID), OrderPaymentId: opt.OrNull(r.OrderPaymentID), Method: r.Method,
			Provider: opt.OrNull((*string)(r.Provider)), Status: ordersapi.OrderRefundStatus(r.Status), Amount: r.Amount, Reason: r.Reason, RefundedAt: utcOrNull(r.RefundedAt), CreatedAt: r.CreatedAt.UTC()}
	}
	return out
}

// ListOrderShipments implements listOrderShipments.
func (a API) ListOrderShipments(ctx context.Context, r ordersapi.ListOrderShipmentsRequestObject) (ordersapi.ListOrderShipmentsResponseObject, error) {
	found, err := a.Shipments(ctx, r.Id, r.Params.Limit, r.Params.Cursor, (*string)(r.Params.Include))
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.Shipment, len(found.Items))
	for i, p := range found.Items {
		items[i] = ToAPIShipment(p)
	}
	return ordersapi.ListOrderShipments200JSONResponse{
		Body:    ordersapi.ShipmentList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListOrderShipments200ResponseHeaders{Link: found.Link},
	}, nil
}

// ListTrackingEvents implements listTrackingEvents.
func (a API) ListTrackingEvents(ctx context.Context, r ordersapi.ListTrackingEventsRequestObject) (ordersapi.ListTrackingEventsResponseObject, error) {
	found, err := a.TrackingSteps(ctx, "/v1/orders/"+r.Id.String()+"/tracking-events", r.Id, r.Params.ShipmentId, r.Params.Limit, r.Params.Cursor, (*string)(r.Params.Include))
	if err != nil {
		return nil, err
	}
	return ordersapi.ListTrackingEvents200JSONResponse{Body: ToAPITrackingEvents(found), Headers: ordersapi.ListTrackingEvents200ResponseHeaders{Link: found.Link}}, nil
}

// ToAPITrackingEvents writes a page of steps as all contracts do.
func ToAPITrackingEvents(found *page.Of[TrackingStep]) ordersapi.TrackingEventList {
	items := make([]ordersapi.TrackingEvent, len(found.Items))
	for i, e := range found.Items {
		status := nullable.NewNullNullable[ordersapi.TrackingEventStatus]()
		if e.Status != nil {
			status.Set(ordersapi.TrackingEventStatus(*e.Status))
		}
		items[i] = ordersapi.TrackingEvent{Id: e.ID, ShipmentId: e.ShipmentID, OccurredAt: e.OccurredAt.UTC(), Status: status, Text: e.Text, Place: e.Place}
	}
	return ordersapi.TrackingEventList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total}
}

// ToAPIShipment writes a parcel as all contracts do.
func ToAPIShipment(p *commerce.Shipment) ordersapi.Shipment {
	lines := make([]ordersapi.LineQuantity, len(p.Edges.Lines))
	for i, l := range p.Edges.Lines {
		lines[i] = ordersapi.LineQuantity{LineId: l.OrderLineID, Quantity: l.Quantity}
	}
	tracking := nullable.NewNullNullable[ordersapi.ShipmentTracking]()
	if p.Tracking != nil {
		tracking.Set(ordersapi.ShipmentTracking(*p.Tracking))
	}
	return ordersapi.Shipment{Id: p.ID, Carrier: opt.OrNull(p.Carrier), TrackingNumber: opt.OrNull(p.TrackingNumber), Status: ordersapi.ShipmentStatus(p.Status),
		Tracking: tracking, TrackingError: opt.OrNull(p.TrackingError), SentAt: p.SentAt.UTC(), DeliveredAt: utcOrNull(p.DeliveredAt), Lines: lines}
}

func toAPIReason(r *commerce.ReturnReason) ordersapi.ReturnReason {
	return ordersapi.ReturnReason{Id: r.ID, Code: r.Code, Name: r.Name, CustomerFault: r.CustomerFault, Status: ordersapi.ReturnReasonStatus(r.Status), Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC()}
}

func toAPIRecipient(r *Recipient) nullable.Nullable[ordersapi.OrderRecipient] {
	if r == nil {
		return nullable.NewNullNullable[ordersapi.OrderRecipient]()
	}
	return nullable.NewNullableWithValue(ordersapi.OrderRecipient{Name: r.Name, Phone: r.Phone, Address: customers.ToAPIAddress(&r.Address).MustGet()})
}

func fromAPIRecipient(r *ordersapi.OrderRecipientInput) *Recipient {
	if r == nil {
		return nil
	}
	return &Recipient{Name: r.Name, Phone: r.Phone, Address: customers.FromAPIAddress(r.Address)}
}

// fromAPIOrder reads an order to place.
// Error: ErrCustomerKeys.
func fromAPIOrder(b *ordersapi.OrderInput) (Input, error) {
	in := Input{StoreID: b.StoreId, Channel: string(b.Channel), ExternalNumber: b.ExternalNumber, Draft: opt.Value(b.Draft), Fulfilment: string(opt.Value(b.Fulfilment)),
		Recipient: fromAPIRecipient(b.Recipient), Shipping: b.ShippingAmount, Lines: fromAPILines(b.Lines), CouponCodes: opt.Value(b.CouponCodes),
		Payments: fromAPIPayments(opt.Value(b.Payments)), StaffID: b.StaffId, Note: b.Note, PlacedAt: b.PlacedAt, Points: opt.Value(b.PointsToRedeem), Fields: opt.Value(b.CustomFields)}
	if b.Customer == nil && b.CustomerId == nil {
		return in, nil
	}
	ref := customers.Ref{ID: opt.Value(b.CustomerId)}
	keys := 0
	if c := b.Customer; c != nil {
		if c.Id != nil {
			ref.ID = *c.Id
			keys++
		}
		for _, k := range []struct {
			from *string
			into *string
		}{{c.ExternalId, &ref.ExternalID}, {c.CardNumber, &ref.CardNumber}, {c.Phone, &ref.Phone}} {
			if k.from != nil {
				*k.into = *k.from
				keys++
			}
		}
	}
	if b.CustomerId != nil {
		keys++
	}
	if keys != 1 {
		return in, ErrCustomerKeys.At("/customer")
	}
	in.Customer = &ref
	return in, nil
}

func fromAPIChange(b *ordersapi.OrderChange) Change {
	in := Change{Fields: opt.Value(b.CustomFields)}
	if b.Note.IsSpecified() {
		note := opt.Value(given(b.Note))
		in.Note = &note
	}
	if b.Recipient.IsSpecified() {
		to := fromAPIRecipient(given(b.Recipient))
		in.Recipient = &to
	}
	if b.StaffId.IsSpecified() {
		who := given(b.StaffId)
		in.StaffID = &who
	}
	return in
}

func fromAPILines(all []ordersapi.OrderLineInput) []LineInput {
	out := make([]LineInput, len(all))
	for i, l := range all {
		out[i] = LineInput{ID: l.Id, VariantID: l.VariantId, SKU: l.Sku, Quantity: l.Quantity, UnitPrice: l.UnitPriceAmount, Discount: l.DiscountAmount}
	}
	return out
}

func fromAPIPayment(p *ordersapi.OrderPaymentInput) PaymentInput {
	return PaymentInput{Method: string(p.Method), Amount: p.Amount, Reference: p.Reference, Code: opt.Value(p.Code), PIN: opt.Value(p.Pin)}
}

func fromAPIPayments(all []ordersapi.OrderPaymentInput) []PaymentInput {
	out := make([]PaymentInput, len(all))
	for i := range all {
		out[i] = fromAPIPayment(&all[i])
	}
	return out
}

func fromAPIQuantities(all []ordersapi.LineQuantity) []LineQuantity {
	out := make([]LineQuantity, len(all))
	for i, l := range all {
		out[i] = LineQuantity{l.LineId, l.Quantity}
	}
	return out
}

func fromAPIReturnLines(all []ordersapi.ReturnLineInput) []ReturnLine {
	out := make([]ReturnLine, len(all))
	for i, l := range all {
		out[i] = ReturnLine{l.LineId, l.Quantity, l.ReasonCode}
	}
	return out
}

func fromAPIReceipts(all []ordersapi.ReceiptLine) []Receipt {
	out := make([]Receipt, len(all))
	for i, l := range all {
		out[i] = Receipt{l.ReturnLineId, opt.Value(l.RestockedQuantity), opt.Value(l.DamagedQuantity)}
	}
	return out
}

func utcOrNull(t *time.Time) nullable.Nullable[time.Time] {
	if t == nil {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(t.UTC())
}

func textOrNull(s string) nullable.Nullable[string] {
	if s == "" {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(s)
}

func at(path string, id uuid.UUID) *string {
	out := path + id.String()
	return &out
}
