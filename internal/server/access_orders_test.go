package server_test

import (
	"net/http"

	"github.com/google/uuid"
)

// unstocked is an article that no store keeps a stock of.
func (c *cell) unstocked() article { return once(c.world, "unstocked", c.article) }

// freshOrder is an order of the cell's customer that nobody else touches: one
// line of two pieces that cost 1,000 together. What is not placed is paid in
// cash.
func (c *cell) freshOrder(status, fulfilment string) (order, line uuid.UUID) {
	order, line = c.id(), c.id()
	if c.object == "none" {
		return order, line
	}
	b := c.newBuyer()
	store, staff := c.place(c.object, c.actor)
	paid, shipped := 1000, 0
	if status == "placed" || status == "draft" {
		paid = 0
	}
	if status == "completed" || status == "shipped" {
		shipped = 2
	}
	c.exec(`INSERT INTO customer_metrics (id, store_id, assigned_staff_id, updated_at) VALUES ($1, $2, $3, now())`, b.id, store, staff)
	c.exec(`INSERT INTO orders (id, order_number, store_id, assigned_staff_id, customer_id, status, fulfilment, currency, placed_at, business_day, line_count, unit_count, total_amount,
		paid_amount, completed_at, created_at, updated_at)
		VALUES ($1::uuid, right($1::text, 32), $2, $3, $4, $5::text, $6, 'CNY', now(), current_date, 1, 2, 1000, $7, CASE WHEN $5::text = 'completed' THEN now() END, now(), now())`,
		order, store, staff, b.id, status, fulfilment, paid)
	c.exec(`INSERT INTO order_lines (id, order_id, line_number, variant_id, sku, title, quantity, unit_price_amount, total_amount, shipped_quantity)
		VALUES ($1, $2, 1, $3, 'x', 'x', 2, 500, 1000, $4)`, line, order, c.unstocked().variant, shipped)
	if paid > 0 {
		c.exec(`INSERT INTO order_payments (id, order_id, method, status, amount, currency, created_at, updated_at) VALUES ($1, $1, 'cash', 'succeeded', 1000, 'CNY', now(), now())`, order)
	}
	return order, line
}

// freshReturn is a return of one piece.
func (c *cell) freshReturn(status string) uuid.UUID {
	order, line := c.freshOrder("completed", "taken")
	if c.object == "none" {
		return order
	}
	c.exec(`INSERT INTO order_returns (id, return_number, order_id, store_id, assigned_staff_id, customer_id, status, currency, returned_at, business_day, line_count, unit_count, total_amount,
		created_at, updated_at)
		SELECT id, 'R' || right(id::text, 31), id, store_id, assigned_staff_id, customer_id, $2::text, 'CNY', now(), current_date, 1, 1, 500, now(), now() FROM orders WHERE id = $1`, order, status)
	c.exec(`INSERT INTO order_return_lines (id, order_return_id, line_number, variant_id, order_line_id, sku, title, quantity, unit_price_amount, total_amount)
		SELECT $1, $1, 1, variant_id, id, sku, title, 1, 500, 500 FROM order_lines WHERE id = $2`, order, line)
	c.exec("UPDATE order_lines SET returned_quantity = 1 WHERE id = $1", line)
	return order
}

// onOrder is a request about a fresh order. What comes out other than allowed
// must have left it alone.
func onOrder(status, fulfilment, method, suffix string, body func(line uuid.UUID) any) probe {
	return func(c *cell) byte {
		order, line := c.freshOrder(status, fulfilment)
		var b any
		if body != nil {
			b = body(line)
		}
		letter := judge(c.do(method, "/v1/orders/"+order.String()+suffix, b, "Idempotency-Key", c.word("order")))
		if letter != allowed && c.object != "none" && c.version("orders", order) != 1 {
			return strange
		}
		return letter
	}
}

func onReturn(status, suffix string, body any) probe {
	return func(c *cell) byte {
		id := c.freshReturn(status)
		letter := judge(c.do(http.MethodPost, "/v1/returns/"+id.String()+suffix, body, "Idempotency-Key", c.word("return")))
		if letter != allowed && c.object != "none" && c.version("order_returns", id) != 1 {
			return strange
		}
		return letter
	}
}

func always(body any) func(uuid.UUID) any { return func(uuid.UUID) any { return body } }

func returned(line uuid.UUID) []any {
	return []any{map[string]any{"line_id": line, "quantity": 1, "reason_code": "other"}}
}

func (c *cell) order(store uuid.UUID, more map[string]any) byte {
	body := map[string]any{"store_id": store, "channel": "web", "lines": []any{map[string]any{"sku": c.unstocked().sku, "quantity": 1}}}
	for k, v := range more {
		body[k] = v
	}
	return judge(c.do(http.MethodPost, "/v1/orders", body, "Idempotency-Key", c.word("place")))
}

// freshRefund is a refund by a provider, of an order of the cell's customer,
// that has failed.
func (c *cell) freshRefund() (order, refund uuid.UUID) {
	order, _ = c.freshOrder("paid", "pickup")
	if refund = c.id(); c.object == "none" {
		return order, refund
	}
	c.exec(`INSERT INTO order_payments (id, order_id, method, provider, status, amount, refunded_amount, currency, number, created_at, updated_at)
		VALUES ($1::uuid, $2, 'wechat_pay', 'wechat_pay', 'succeeded', 500, 500, 'CNY', replace($1::text, '-', ''), now(), now())`, refund, order)
	c.exec(`INSERT INTO order_refunds (id, order_id, order_payment_id, method, provider, status, amount, currency, number, error_code, created_at, updated_at)
		VALUES ($1::uuid, $2, $1, 'wechat_pay', 'wechat_pay', 'failed', 500, 'CNY', replace($1::text, '-', ''), 'CLOSED', now(), now())`, refund, order)
	return order, refund
}

var stepProbes = map[string]probe{
	"startOrderPayment": onOrder("placed", "pickup", http.MethodPost, "/online-payments", always(map[string]any{"method": "wechat_pay", "kind": "native"})),
	"listOrderRefunds": func(c *cell) byte {
		_, refund := c.freshRefund()
		return among(c.do(http.MethodGet, "/v1/order-refunds?status=failed&limit=200", nil), refund)
	},
	"retryOrderRefund": func(c *cell) byte {
		order, refund := c.freshRefund()
		letter := judge(c.do(http.MethodPost, "/v1/order-refunds/"+refund.String()+"/retry", nil))
		if letter != allowed && c.object != "none" && c.version("orders", order) != 1 {
			return strange
		}
		return letter
	},
	"listPaymentNotices":     plain(http.MethodGet, "/v1/payment-notices", nil),
	"receiveCallback":        plain(http.MethodPost, "/v1/callbacks/wechat_pay/guess", map[string]any{}),
	"receivePaymentCallback": plain(http.MethodPost, "/v1/payments/callbacks/wechat_pay", map[string]any{}),
	"createOrder":            func(c *cell) byte { return c.order(c.storeAt(), nil) },
	"createOrder/customer":   func(c *cell) byte { return c.order(c.a, map[string]any{"customer_id": c.buyer().id}) },
	"createOrder/price": func(c *cell) byte {
		return c.order(c.a, map[string]any{"lines": []any{map[string]any{"sku": c.unstocked().sku, "quantity": 1, "unit_price_amount": 1}}})
	},
	"updateOrder": onOrder("placed", "pickup", http.MethodPatch, "", always(map[string]any{"note": "晚点来取"})),
	"replaceOrderLines": onOrder("placed", "pickup", http.MethodPut, "/lines", func(line uuid.UUID) any {
		return map[string]any{"lines": []any{map[string]any{"id": line, "quantity": 1}}}
	}),
	"replaceOrderLines/refund": onOrder("paid", "pickup", http.MethodPut, "/lines", func(line uuid.UUID) any {
		return map[string]any{"lines": []any{map[string]any{"id": line, "quantity": 1}}}
	}),
	"placeOrder":         onOrder("draft", "pickup", http.MethodPost, "/place", nil),
	"addOrderPayment":    onOrder("placed", "pickup", http.MethodPost, "/payments", always(map[string]any{"method": "cash", "amount": 400})),
	"shipOrder":          onOrder("paid", "delivery", http.MethodPost, "/shipments", always(map[string]any{})),
	"readyOrder":         onOrder("paid", "pickup", http.MethodPost, "/ready", nil),
	"completeOrder":      onOrder("ready", "pickup", http.MethodPost, "/complete", nil),
	"cancelOrder":        onOrder("placed", "pickup", http.MethodPost, "/cancel", always(map[string]any{"reason": "不要了"})),
	"cancelOrder/refund": onOrder("paid", "pickup", http.MethodPost, "/cancel", always(map[string]any{"reason": "不要了"})),
	"revealOrderRecipient": func(c *cell) byte {
		order, _ := c.freshOrder("paid", "pickup")
		return judge(c.do(http.MethodPost, "/v1/orders/"+order.String()+"/reveal", map[string]any{"reason": "打印面单"}, "X-Forwarded-For", address(c.numbers.Add(1)))) // its rate is limited by address
	},
	"listOrderHistory": func(c *cell) byte {
		order, _ := c.freshOrder("paid", "pickup")
		return judge(c.do(http.MethodGet, "/v1/orders/"+order.String()+"/history", nil))
	},
	"listOrderShipments": func(c *cell) byte {
		order, _ := c.freshOrder("paid", "pickup")
		return judge(c.do(http.MethodGet, "/v1/orders/"+order.String()+"/shipments", nil))
	},
	"listTrackingEvents": func(c *cell) byte {
		order, _ := c.freshOrder("paid", "pickup")
		return judge(c.do(http.MethodGet, "/v1/orders/"+order.String()+"/tracking-events", nil))
	},
	"streamOrder": func(c *cell) byte {
		order, _ := c.freshOrder("paid", "pickup")
		return c.opens("/v1/orders/" + order.String() + "/events")
	},
	"requestReturn": onOrder("completed", "taken", http.MethodPost, "/returns", func(line uuid.UUID) any { return map[string]any{"lines": returned(line)} }),
	"exchangeOrder": func(c *cell) byte {
		return onOrder("completed", "taken", http.MethodPost, "/exchanges", func(line uuid.UUID) any {
			return map[string]any{"return_lines": returned(line), "lines": []any{map[string]any{"sku": c.unstocked().sku, "quantity": 1}}}
		})(c)
	},
	"approveReturn": onReturn("requested", "/approve", nil),
	"rejectReturn":  onReturn("requested", "/reject", map[string]any{"reason": "已使用"}),
	"receiveReturn": onReturn("approved", "/receive", map[string]any{}),
	"refundReturn":  onReturn("received", "/refund", map[string]any{}),
	"placeMemberOrder": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/member/orders", map[string]any{"store_id": c.a, "lines": []any{map[string]any{"sku": c.unstocked().sku, "quantity": 1}}}, "Idempotency-Key", c.word("own")))
	},
	"listMemberReturnReasons": plain(http.MethodGet, "/v1/member/return-reasons", nil),
	"startMemberPayment":      onOwnOrder("placed", "/online-payments", func(uuid.UUID) any { return map[string]any{"method": "wechat_pay", "kind": "native"} }),
	"cancelMemberOrder":       onOwnOrder("placed", "/cancel", func(uuid.UUID) any { return map[string]any{"reason": "不想要了"} }),
	"requestMemberReturn":     onOwnOrder("completed", "/returns", func(line uuid.UUID) any { return map[string]any{"lines": returned(line)} }),
	"listReturnReasons":       plain(http.MethodGet, "/v1/return-reasons", nil),
	"createReturnReason": func(c *cell) byte {
		return judge(c.do(http.MethodPost, "/v1/return-reasons", map[string]any{"code": "r" + c.word(""), "name": "送货太晚"}))
	},
	"updateReturnReason": func(c *cell) byte {
		id := c.id()
		c.exec("INSERT INTO return_reasons (id, code, name, created_at, updated_at) VALUES ($1::uuid, left(replace($1::text, '-', ''), 32), 'x', now(), now())", id)
		return judge(c.do(http.MethodPatch, "/v1/return-reasons/"+id.String(), map[string]any{"name": "改名"}))
	},
}

// onOwnOrder is a request about a member's order, made for it.
func onOwnOrder(status, suffix string, body func(line uuid.UUID) any) probe {
	return func(c *cell) byte {
		caller, owner := c.whose(true)
		order, line := c.id(), c.id()
		if c.object != "none" {
			c.exec(`INSERT INTO orders (id, order_number, store_id, customer_id, status, fulfilment, currency, placed_at, business_day, line_count, unit_count, total_amount, paid_amount, created_at, updated_at)
				VALUES ($1::uuid, right($1::text, 32), $2, $3, $4, 'pickup', 'CNY', now(), current_date, 1, 1, 500, 0, now(), now())`, order, c.a, owner.member, status)
			c.exec(`INSERT INTO order_lines (id, order_id, line_number, variant_id, sku, title, quantity, unit_price_amount, total_amount, shipped_quantity)
				VALUES ($1, $2, 1, $3, 'x', 'x', 1, 500, 500, $4)`, line, order, c.unstocked().variant, map[string]int{"completed": 1}[status])
		}
		return judge(caller.do(http.MethodPost, "/v1/member/orders/"+order.String()+suffix, body(line), "Idempotency-Key", c.word("own")))
	}
}
