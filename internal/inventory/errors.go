package inventory

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of stock.
var (
	ErrLevelNotFound       = apperr.Define(apperr.NotFound, "inventory.level_not_found", "There is no such stock level.", "库存记录不存在。")
	ErrReservationNotFound = apperr.Define(apperr.NotFound, "inventory.reservation_not_found", "There is no such reservation.", "库存预留不存在。")

	ErrTransferNotFound = apperr.Define(apperr.NotFound, "inventory.transfer_not_found", "There is no such transfer.", "调拨单不存在。")
	ErrCountNotFound    = apperr.Define(apperr.NotFound, "inventory.count_not_found", "There is no such count.", "盘点单不存在。")

	ErrTransferState = apperr.Define(apperr.Conflict, "inventory.transfer_state", "That cannot be done to a transfer in this state: {status}.", "调拨单当前状态（{status}）不允许此操作。")
	ErrCountState    = apperr.Define(apperr.Conflict, "inventory.count_state", "That cannot be done to a count in this state: {status}.", "盘点单当前状态（{status}）不允许此操作。")
	ErrCountEmpty    = apperr.Define(apperr.Conflict, "inventory.count_empty", "Nothing has been counted yet.", "盘点单尚无明细。")
	ErrOwnCount      = apperr.Define(apperr.Conflict, "inventory.own_count", "Somebody else must approve what you handed in.", "不能审批自己提交的盘点单。")

	ErrInsufficient = apperr.Define(apperr.Conflict, "inventory.insufficient", "There are only {available} pieces.", "库存不足，仅剩 {available} 件。")
	ErrEnded        = apperr.Define(apperr.Conflict, "inventory.reservation_ended", "The reservation has ended: {status}.", "库存预留已结束：{status}。")

	ErrStoreNotFound = apperr.Define(apperr.NotFound, "inventory.store_not_found", "There is no such store, or it lies outside your scope.", "门店不存在，或不在您的权限范围内。")
	ErrStore         = apperr.Define(apperr.Invalid, "inventory.store_unknown", "There is no such store, or it lies outside your scope.", "门店不存在，或不在您的权限范围内。")
	ErrVariant       = apperr.Define(apperr.Invalid, "inventory.variant_unknown", "There is no such variant.", "商品规格不存在。")
	ErrRepeated      = apperr.Define(apperr.Invalid, "inventory.variant_repeated", "This variant is in an earlier line already: add the quantities up.", "该规格已在前面的行中出现，请合并数量。")
	ErrNamed         = apperr.Define(apperr.Invalid, "inventory.variant_unnamed", "Name the variant by exactly one of variant_id and sku.", "请用 variant_id 或 sku 之一指定规格。")
	ErrQuantity      = apperr.Define(apperr.Invalid, "inventory.quantity_invalid", "The quantity must be more than none.", "数量必须大于零。")
	ErrNoChange      = apperr.Define(apperr.Invalid, "inventory.quantity_zero", "An adjustment changes the quantity by more or less than none.", "调整数量不能为零。")
	ErrReason        = apperr.Define(apperr.Invalid, "inventory.reason_needed", "An adjustment needs a reason.", "库存调整须填写原因。")
	ErrFuture        = apperr.Define(apperr.Invalid, "inventory.in_the_future", "This cannot have happened yet.", "时间不能晚于当前时间。")
	ErrSameStore     = apperr.Define(apperr.Invalid, "inventory.same_store", "A store cannot send goods to itself.", "调出和调入门店不能相同。")
	ErrNotSent       = apperr.Define(apperr.Invalid, "inventory.not_sent", "This variant is not part of the transfer.", "该规格不在调拨单中。")
	ErrTooMuch       = apperr.Define(apperr.Invalid, "inventory.more_than_sent", "No more can have come than was sent: {quantity}.", "到货数量不能超过发货数量 {quantity}。")
	ErrCost          = apperr.Define(apperr.Invalid, "inventory.cost_of_receipts", "Only receipts have a cost.", "仅入库可填写成本。")
)

// Events of stock; their subject is the store.
var (
	EventMoved = events.Define("inventory.stock_moved", "库存发生变动", "Stock of a store changed.")
	EventLow   = events.Define("inventory.low_stock", "库存低于预警值", "What is available of a variant in a store fell to its threshold.")
)
