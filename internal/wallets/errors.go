package wallets

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of wallets.
var (
	ErrCustomerNotFound   = apperr.Define(apperr.NotFound, "wallets.customer_not_found", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")
	ErrPaymentNotFound    = apperr.Define(apperr.NotFound, "wallets.payment_not_found", "There is no such payment.", "储值支付记录不存在。")
	ErrTopUpNotFound      = apperr.Define(apperr.NotFound, "wallets.top_up_not_found", "There is no such top-up.", "充值记录不存在。")
	ErrEntryNotFound      = apperr.Define(apperr.NotFound, "wallets.entry_not_found", "There is no such entry.", "储值流水不存在。")
	ErrAdjustmentNotFound = apperr.Define(apperr.NotFound, "wallets.adjustment_not_found", "There is no such adjustment.", "储值调整单不存在。")

	ErrInsufficient = apperr.Define(apperr.Conflict, "wallets.insufficient", "There is only {available} to spend, in minor units.", "可用余额不足，仅有 {available}（最小货币单位）。")
	ErrFrozen       = apperr.Define(apperr.Conflict, "wallets.frozen", "The wallet is frozen.", "钱包已冻结。")
	ErrNotFrozen    = apperr.Define(apperr.Conflict, "wallets.not_frozen", "The wallet is not frozen.", "钱包未冻结。")
	ErrBalanceLimit = apperr.Define(apperr.Conflict, "wallets.balance_limit", "A wallet can hold {limit} at most, in minor units.", "钱包余额上限为 {limit}（最小货币单位）。")
	ErrPaymentState = apperr.Define(apperr.Conflict, "wallets.payment_state", "That cannot be done to a payment in this state: {status}.", "储值支付当前状态（{status}）不允许此操作。")
	ErrTooMuch      = apperr.Define(apperr.Conflict, "wallets.more_than_paid", "There is only {available} left of it, in minor units.", "超出可操作的金额，仅剩 {available}（最小货币单位）。")
	ErrOfOrder      = apperr.Define(apperr.Conflict, "wallets.payment_of_order", "It paid an order: give it back by a return or by cancelling the order.", "该笔储值用于支付订单，请通过退货或取消订单退还。")
	ErrDecided      = apperr.Define(apperr.Conflict, "wallets.adjustment_decided", "The adjustment is decided: {status}.", "该调整单已处理：{status}。")
	ErrOwnRequest   = apperr.Define(apperr.Conflict, "wallets.own_adjustment", "Somebody else must decide what you asked for.", "不能审批自己提交的调整单。")
	ErrPINNotSet    = apperr.Define(apperr.Conflict, "wallets.pin_not_set", "Payments of this amount need a PIN, and the wallet has none.", "该金额需要支付密码，但钱包尚未设置。")
	ErrPINLocked    = apperr.Define(apperr.Conflict, "wallets.pin_locked", "The PIN is locked after five wrong ones. Have it set anew.", "支付密码已连续输错五次被锁定，请重新设置。")

	ErrPINNeeded   = apperr.Define(apperr.Invalid, "wallets.pin_needed", "Payments of this amount need the PIN.", "该金额需要输入支付密码。")
	ErrPINWrong    = apperr.Define(apperr.Invalid, "wallets.pin_wrong", "The PIN is wrong.", "支付密码错误。")
	ErrPINWeak     = apperr.Define(apperr.Invalid, "wallets.pin_weak", "The PIN is too easy to guess: no digits that are all the same, or in a row.", "支付密码过于简单，请勿使用相同或连续的数字。")
	ErrNoTransfer  = apperr.Define(apperr.Invalid, "wallets.not_transferable", "Stored value cannot be transferred.", "储值不可转赠。")
	ErrToSelf      = apperr.Define(apperr.Invalid, "wallets.transfer_to_self", "Stored value cannot be transferred to the member it comes from.", "不能转赠给本人。")
	ErrRecipient   = apperr.Define(apperr.Invalid, "wallets.recipient_unknown", "There is no such customer, or they lie outside your scope.", "受赠顾客不存在，或不在您的权限范围内。")
	ErrHoldEnds    = apperr.Define(apperr.Invalid, "wallets.hold_ends_invalid", "What is promised ends within the next 90 days, not in the past; only what is promised has an end.", "冻结到期时间须在未来 90 天内，且仅适用于冻结。")
	ErrReason      = apperr.Define(apperr.Invalid, "wallets.reason_needed", "Say why.", "请填写原因。")
	ErrMinimum     = apperr.Define(apperr.Invalid, "wallets.top_up_minimum", "Top-ups begin at {minimum}, in minor units.", "充值金额不得低于 {minimum}（最小货币单位）。")
	ErrOverflow    = apperr.Define(apperr.Invalid, "wallets.too_much", "That is more than a wallet can count.", "金额超出可计数范围。")
	ErrStore       = apperr.Define(apperr.Invalid, "wallets.store_unknown", "There is no such store.", "门店不存在。")
	ErrRules       = apperr.Define(apperr.Invalid, "wallets.rules_invalid", "Rules of a bonus have amounts of their own, each once.", "充值赠送规则的金额不能重复。")
	ErrInstant     = apperr.Define(apperr.Invalid, "wallets.instant_in_the_future", "That has not happened yet.", "时间不能晚于当前时间。")
	ErrBonusDenied = apperr.Define(apperr.Forbidden, "wallets.bonus_not_yours", "A bonus other than what the rules say needs the permission wallets.adjust.", "自定义赠送金额需要储值调整权限（wallets.adjust）。")

	// ErrWhole refuses figures about everybody to who holds the permission for a part.
	ErrWhole = apperr.Define(apperr.Forbidden, "wallets.whole_business", "This is about the whole business: hold the permission everywhere.", "此数据涉及全部业务，须拥有全部范围的权限。")
)

// Errors of gift cards. An unknown code and a wrong PIN are one.
var (
	ErrCardNotFound  = apperr.Define(apperr.NotFound, "gift_cards.not_found", "There is no such gift card.", "礼品卡不存在。")
	ErrBatchNotFound = apperr.Define(apperr.NotFound, "gift_cards.batch_not_found", "There is no such batch of gift cards.", "礼品卡批次不存在。")
	ErrCard          = apperr.Define(apperr.Invalid, "gift_cards.unknown", "There is no gift card with this code and PIN.", "礼品卡卡号或密码错误。")
	ErrCardLocked    = apperr.Define(apperr.Conflict, "gift_cards.pin_locked", "The card is locked after five wrong PINs. Have it unfrozen.", "密码连续输错五次，礼品卡已锁定，请联系客服解锁。")
	ErrCardState     = apperr.Define(apperr.Conflict, "gift_cards.state", "That cannot be done with a gift card in this state: {status}.", "礼品卡当前状态（{status}）不允许此操作。")
	ErrCardOver      = apperr.Define(apperr.Conflict, "gift_cards.expired", "The gift card is not valid any more. It can be extended.", "礼品卡已过有效期，可申请延期。")
	ErrCardHeld      = apperr.Define(apperr.Conflict, "gift_cards.held", "Something of the card is promised to a payment: release or capture that first.", "卡内有冻结金额，请先释放或完成扣款。")
	ErrCardLimit     = apperr.Define(apperr.Invalid, "gift_cards.amount_limit", "A gift card carries {limit} at most, in minor units.", "单张礼品卡面值上限为 {limit}（最小货币单位）。")
	ErrCardUntil     = apperr.Define(apperr.Invalid, "gift_cards.valid_until_invalid", "Cards are valid until some time to come.", "有效期须晚于当前时间。")
	ErrBatchState    = apperr.Define(apperr.Conflict, "gift_cards.batch_state", "That cannot be done with a batch in this state: {status}.", "批次当前状态（{status}）不允许此操作。")
)

// Events of wallets. EventChanged: what a member has of stored value changed.
// EventExpiring: a bonus expires in so many days. Their subject is the customer.
var (
	EventChanged  = events.Define("wallet.changed", "会员储值发生变动", "A member's stored value changed.")
	EventExpiring = events.Define("wallet.bonus_expiring", "会员储值赠金即将过期", "A member's bonus expires in 30, 7 or 1 days.")
	EventCard     = events.Define("gift_card.changed", "礼品卡余额发生变动", "What is on a gift card changed.")
)
