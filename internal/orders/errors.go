package orders

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Errors of this domain.
var (
	ErrNoOrder = apperr.Define(apperr.Invalid, "orders.no_order", "A ticket that only brings goods back makes no order, which alone has custom fields.", "仅含退货的小票不产生订单，不能填写订单的自定义字段。")

	ErrOrderNotFound  = apperr.Define(apperr.NotFound, "orders.not_found", "There is no such order, or not for you.", "找不到该订单，或您无权查看。")
	ErrReturnNotFound = apperr.Define(apperr.NotFound, "orders.return_not_found", "There is no such return, or not for you.", "找不到该退货单，或您无权查看。")
	ErrStoreNotFound  = apperr.Define(apperr.NotFound, "orders.store_not_found", "There is no such store, or not for you.", "找不到该门店，或您无权查看。")
	ErrNotLive        = apperr.Define(apperr.Unavailable, "orders.live_unavailable", "Live events cannot be sent at the moment. Read the list of orders instead, or try again shortly.", "暂时无法推送实时订单，请改用订单列表或稍后重试。")

	ErrNumber         = apperr.Define(apperr.Invalid, "orders.external_number_invalid", "A ticket's number has 1 to 64 visible characters.", "小票号须为 1 到 64 个可见字符。")
	ErrNumberReused   = apperr.Define(apperr.Conflict, "orders.external_number_reused", "Another ticket of this store has this number and other content.", "该门店已有同号但内容不同的小票。")
	ErrRequired       = apperr.Define(apperr.Invalid, "orders.field_required", "A ticket needs this.", "小票缺少此项。")
	ErrID             = apperr.Define(apperr.Invalid, "orders.id_invalid", "This is not an id, which is a UUID.", "不是有效的 ID（UUID）。")
	ErrPlacedAt       = apperr.Define(apperr.Invalid, "orders.placed_at_invalid", "An instant is written as in RFC 3339 with an offset, such as 2026-07-01T10:00:00+08:00.", "时间须为带时区的 RFC 3339 格式，例如 2026-07-01T10:00:00+08:00。")
	ErrType           = apperr.Define(apperr.Invalid, "orders.type_unknown", "A ticket is a sale or a return.", "小票类型只能是 sale 或 return。")
	ErrChannel        = apperr.Define(apperr.Invalid, "orders.channel_unknown", "A channel is one of: {allowed}.", "渠道必须是下列之一：{allowed}。")
	ErrCustomerKeys   = apperr.Define(apperr.Invalid, "orders.customer_keys", "A ticket names its customer in exactly one way: customer_id, or one of id, external_id, card_number and phone in customer.", "小票须以且仅以一种方式指定顾客：customer_id，或 customer 中的 id、external_id、card_number、phone 之一。")
	ErrPayments       = apperr.Define(apperr.Invalid, "orders.payments_too_many", "A ticket has at most {max} payments.", "小票最多 {max} 笔付款。")
	ErrPaymentAmount  = apperr.Define(apperr.Invalid, "orders.payment_amount_invalid", "A payment is at most {max} either way.", "付款金额的绝对值不能超过 {max}。")
	ErrNoLines        = apperr.Define(apperr.Invalid, "orders.lines_required", "A ticket has 1 to {max} lines.", "小票须有 1 到 {max} 行。")
	ErrSKU            = apperr.Define(apperr.Invalid, "orders.sku_invalid", "A SKU has 1 to 64 visible characters.", "SKU 须为 1 到 64 个可见字符。")
	ErrSKUUnknown     = apperr.Define(apperr.Invalid, "orders.sku_unknown", "There is no variant with this SKU.", "没有该 SKU 对应的商品规格。")
	ErrText           = apperr.Define(apperr.Invalid, "orders.text_invalid", "The text is longer than {max} characters or holds characters that cannot be stored.", "文本超过 {max} 个字符或含有无法保存的字符。")
	ErrQuantity       = apperr.Define(apperr.Invalid, "orders.quantity_invalid", "A quantity is not zero and at most {max} either way.", "数量不能为零，且绝对值不超过 {max}。")
	ErrPrice          = apperr.Define(apperr.Invalid, "orders.price_invalid", "A unit price is zero or more and at most {max}.", "单价须在 0 到 {max} 之间。")
	ErrCustomer       = apperr.Define(apperr.Invalid, "orders.customer_not_found", "The customer named on the ticket is not known.", "找不到小票上的顾客。")
	ErrStoreUnknown   = apperr.Define(apperr.Invalid, "orders.store_unknown", "There is no such store, or it is not yours.", "没有该门店，或不在您的权限范围内。")
	ErrStaffUnknown   = apperr.Define(apperr.Invalid, "orders.staff_unknown", "There is no such member of staff of this store, or within your scope.", "该门店或您的权限范围内没有该员工。")
	ErrInFuture       = apperr.Define(apperr.Invalid, "orders.placed_in_future", "The ticket lies more than 24 hours ahead of now.", "小票时间比当前时间晚 24 小时以上。")
	ErrTooOld         = apperr.Define(apperr.Invalid, "orders.placed_too_early", "The ticket lies before 1970.", "小票时间早于 1970 年。")
	ErrCurrency       = apperr.Define(apperr.Invalid, "orders.currency_mismatch", "Tickets are in {currency} here.", "此处的小票币种为 {currency}。")
	ErrOriginal       = apperr.Define(apperr.Invalid, "orders.original_invalid", "Only goods brought back belong to an earlier sale, and never to the ticket itself.", "只有退货才能关联原小票，且不能关联自身。")
	ErrTicketRejected = apperr.Define(apperr.Invalid, "orders.ticket_rejected", "The ticket holds values that cannot be stored.", "小票含有无法保存的值。")
)
