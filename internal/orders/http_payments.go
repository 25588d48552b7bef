package orders

import (
	"context"
	"io"
	"net/http"

	"github.com/oapi-codegen/nullable"

	ordersapi "github.com/shuke-crm/shuke/api/orders"
	"github.com/shuke-crm/shuke/ent/commerce"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/logistics"
	"github.com/shuke-crm/shuke/internal/platform/opt"
	"github.com/shuke-crm/shuke/internal/platform/pay"
)

// StartOrderPayment implements startOrderPayment.
func (a API) StartOrderPayment(ctx context.Context, r ordersapi.StartOrderPaymentRequestObject) (ordersapi.StartOrderPaymentResponseObject, error) {
	p, err := a.StartPayment(ctx, r.Id, FromAPIOnline(r.Body))
	if err != nil {
		return nil, err
	}
	return ordersapi.StartOrderPayment201JSONResponse{Body: ToAPIOnline(p), Headers: ordersapi.StartOrderPayment201ResponseHeaders{Location: at("/v1/orders/", p.OrderID)}}, nil
}

// FromAPIOnline reads how a customer pays, as all contracts write it.
func FromAPIOnline(b *ordersapi.OnlinePaymentInput) Online {
	return Online{Provider: string(b.Method), Kind: pay.Kind(b.Kind), Amount: b.Amount, OpenID: opt.Value(b.Openid), ReturnURL: opt.Value(b.ReturnUrl)}
}

// ListOrderRefunds implements listOrderRefunds.
func (a API) ListOrderRefunds(ctx context.Context, r ordersapi.ListOrderRefundsRequestObject) (ordersapi.ListOrderRefundsResponseObject, error) {
	found, err := a.ProviderRefunds(ctx, string(opt.Value(r.Params.Status)), r.Params.Limit, r.Params.Cursor, (*string)(r.Params.Include))
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.ProviderRefund, len(found.Items))
	for i, one := range found.Items {
		items[i] = toAPIProviderRefund(one)
	}
	return ordersapi.ListOrderRefunds200JSONResponse{
		Body:    ordersapi.ProviderRefundList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListOrderRefunds200ResponseHeaders{Link: found.Link},
	}, nil
}

// RetryOrderRefund implements retryOrderRefund.
func (a API) RetryOrderRefund(ctx context.Context, r ordersapi.RetryOrderRefundRequestObject) (ordersapi.RetryOrderRefundResponseObject, error) {
	again, err := a.RetryRefund(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	return ordersapi.RetryOrderRefund200JSONResponse(toAPIProviderRefund(again)), nil
}

// ListPaymentNotices implements listPaymentNotices.
func (a API) ListPaymentNotices(ctx context.Context, r ordersapi.ListPaymentNoticesRequestObject) (ordersapi.ListPaymentNoticesResponseObject, error) {
	found, err := a.Notices(ctx, string(opt.Value(r.Params.Outcome)), opt.Value(r.Params.Number), r.Params.Limit, r.Params.Cursor, (*string)(r.Params.Include))
	if err != nil {
		return nil, err
	}
	items := make([]ordersapi.PaymentNotice, len(found.Items))
	for i, n := range found.Items {
		items[i] = ordersapi.PaymentNotice{Id: n.ID, Provider: n.Provider, Kind: n.Kind, Number: n.Number, Outcome: ordersapi.PaymentNoticeOutcome(n.Outcome), ReceivedAt: n.ReceivedAt.UTC()}
	}
	return ordersapi.ListPaymentNotices200JSONResponse{
		Body:    ordersapi.PaymentNoticeList{Items: items, NextCursor: opt.OrNull(found.Next), HasMore: found.Next != nil, TotalCount: found.Total},
		Headers: ordersapi.ListPaymentNotices200ResponseHeaders{Link: found.Link},
	}, nil
}

// ReceiveCallback implements receiveCallback.
func (a API) ReceiveCallback(ctx context.Context, r ordersapi.ReceiveCallbackRequestObject) (ordersapi.ReceiveCallbackResponseObject, error) {
	if err := a.CheckChannel(string(r.Provider), r.ChannelToken); err != nil {
		return nil, err
	}
	if provider := string(r.Provider); provider == logistics.Kuaidi100Name || provider == logistics.SFName {
		raw, err := whole(r.Body)
		if err != nil {
			return nil, err
		}
		answer, err := a.TakePush(ctx, provider, raw)
		return ordersapi.ReceiveCallback200TextResponse(answer), err
	}
	p := r.Params
	reply, err := a.notice(ctx, string(r.Provider), wechatHeaders(p.WechatpayTimestamp, p.WechatpayNonce, p.WechatpaySignature, p.WechatpaySerial), r.Body)
	if err != nil {
		return nil, err
	}
	return ordersapi.ReceiveCallback200TextResponse(reply.Body), nil
}

// ReceivePaymentCallback implements receivePaymentCallback.
func (a API) ReceivePaymentCallback(ctx context.Context, r ordersapi.ReceivePaymentCallbackRequestObject) (ordersapi.ReceivePaymentCallbackResponseObject, error) {
	p := r.Params
	reply, err := a.notice(ctx, string(r.Provider), wechatHeaders(p.WechatpayTimestamp, p.WechatpayNonce, p.WechatpaySignature, p.WechatpaySerial), r.Body)
	if err != nil {
		return nil, err
	}
	return ordersapi.ReceivePaymentCallback200TextResponse(reply.Body), nil
}

func (a API) notice(ctx context.Context, provider string, header http.Header, body io.Reader) (pay.Reply, error) {
	raw, err := whole(body)
	if err != nil {
		return pay.Reply{}, err
	}
	return a.TakeNotice(ctx, provider, header, raw)
}

// whole reads the exact bytes of a callback; the edge has bounded them.
func whole(body io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(body)
	if err != nil && apperr.From(err) == nil {
		err = pay.ErrMalformed.Wrap(err)
	}
	return raw, err
}

func wechatHeaders(timestamp, nonce, signature, serial *string) http.Header {
	h := http.Header{}
	for name, v := range map[string]*string{"Wechatpay-Timestamp": timestamp, "Wechatpay-Nonce": nonce, "Wechatpay-Signature": signature, "Wechatpay-Serial": serial} {
		if v != nil {
			h.Set(name, *v)
		}
	}
	return h
}

// ToAPIOnline writes a payment by a provider as all contracts do.
func ToAPIOnline(p *commerce.OrderPayment) ordersapi.OnlinePayment {
	text := func(name string) nullable.Nullable[string] {
		v, _ := p.Client[name].(string)
		return textOrNull(v)
	}
	kind, _ := p.Client[clientKind].(string)
	out := ordersapi.OnlinePayment{Id: p.ID, OrderId: p.OrderID, Method: ordersapi.OnlinePaymentMethod(p.Method), Kind: ordersapi.OnlinePaymentKind(kind), Status: ordersapi.OnlinePaymentStatus(p.Status),
		Amount: p.Amount, Currency: p.Currency, Number: opt.Value(p.Number), ExpiresAt: opt.Value(p.ExpiresAt).UTC(), CodeUrl: text("code_url"), PageUrl: text("page_url"),
		OrderString: text("order_string"), Params: nullable.NewNullNullable[ordersapi.OnlinePaymentParams](), CreatedAt: p.CreatedAt.UTC()}
	params := ordersapi.OnlinePaymentParams{}
	switch m := p.Client["params"].(type) {
	case map[string]string:
		params = m
	case map[string]any: // as it comes out of the database
		for name, v := range m {
			params[name], _ = v.(string)
		}
	}
	if len(params) > 0 {
		out.Params = nullable.NewNullableWithValue(params)
	}
	return out
}

func toAPIProviderRefund(r *commerce.OrderRefund) ordersapi.ProviderRefund {
	return ordersapi.ProviderRefund{Id: r.ID, OrderId: opt.Value(r.OrderID), OrderReturnId: opt.OrNull(r.OrderReturnID), Provider: ordersapi.OnlinePaymentMethod(opt.Value(r.Provider)),
		Status: ordersapi.ProviderRefundStatus(r.Status), Amount: r.Amount, Currency: r.Currency, Reason: r.Reason, Number: opt.Value(r.Number), ErrorCode: opt.OrNull(r.ErrorCode),
		Attempts: int32(r.Attempts), RefundedAt: utcOrNull(r.RefundedAt), CreatedAt: r.CreatedAt.UTC()}
}
