package points

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of points.
var (
	ErrUnitNotFound       = apperr.Define(apperr.NotFound, "points.unit_not_found", "There is no such unit of points.", "积分类型不存在。")
	ErrEntryNotFound      = apperr.Define(apperr.NotFound, "points.entry_not_found", "There is no such entry.", "积分流水不存在。")
	ErrOrderNotFound      = apperr.Define(apperr.NotFound, "points.order_not_found", "There is no such order, or it lies outside your scope.", "订单不存在，或不在您的权限范围内。")
	ErrPartnerNotFound    = apperr.Define(apperr.NotFound, "points.partner_not_found", "There is no such partner.", "积分合作方不存在。")
	ErrRuleNotFound       = apperr.Define(apperr.NotFound, "points.rule_not_found", "There is no such points rule.", "积分规则不存在。")
	ErrHoldNotFound       = apperr.Define(apperr.NotFound, "points.hold_not_found", "There is no such hold of points.", "积分冻结记录不存在。")
	ErrAdjustmentNotFound = apperr.Define(apperr.NotFound, "points.adjustment_not_found", "There is no such adjustment.", "积分调整单不存在。")
	ErrCustomerNotFound   = apperr.Define(apperr.NotFound, "points.customer_not_found", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")

	ErrInsufficient = apperr.Define(apperr.Conflict, "points.insufficient", "There are only {available} points to spend.", "可用积分不足，仅有 {available} 分。")
	ErrBalanceLimit = apperr.Define(apperr.Conflict, "points.balance_limit", "A member can have {limit} points at most.", "会员积分上限为 {limit} 分。")
	ErrHoldOwned    = apperr.Define(apperr.Conflict, "points.hold_owned", "These points pay an order or a reward: cancel, return or fulfil that, and they follow.", "该积分用于支付订单或兑换礼品，请对订单或兑换单操作，积分将随之变动。")
	ErrHoldState    = apperr.Define(apperr.Conflict, "points.hold_state", "That cannot be done to a hold in this state: {status}.", "积分冻结记录当前状态（{status}）不允许此操作。")
	ErrTooMuch      = apperr.Define(apperr.Conflict, "points.more_than_held", "There are only {available} points left of it.", "超出可操作的积分，仅剩 {available} 分。")
	ErrDecided      = apperr.Define(apperr.Conflict, "points.adjustment_decided", "The adjustment is decided: {status}.", "该调整单已处理：{status}。")
	ErrOwnRequest   = apperr.Define(apperr.Conflict, "points.own_adjustment", "Somebody else must decide what you asked for.", "不能审批自己提交的调整单。")
	ErrPartnerTaken = apperr.Define(apperr.Conflict, "points.partner_code_taken", "There is a partner with this code already.", "合作方代码已存在。")
	ErrRuleTaken    = apperr.Define(apperr.Conflict, "points.rule_code_taken", "There is a rule with this code already.", "积分规则代码已存在。")
	ErrRuleArchived = apperr.Define(apperr.Conflict, "points.rule_archived", "An archived rule does not change any more.", "已归档的规则不可修改。")
	ErrCodeTaken    = apperr.Define(apperr.Conflict, "points.unit_code_taken", "There is a unit with this code already.", "积分类型代码已存在。")

	ErrUnit           = apperr.Define(apperr.Invalid, "points.unit_unknown", "There is no such unit of points.", "积分类型不存在。")
	ErrNotSpendable   = apperr.Define(apperr.Invalid, "points.unit_not_spendable", "Points of this unit are not spent, they only count.", "该类型积分仅用于累计，不可消费。")
	ErrNoTransfer     = apperr.Define(apperr.Invalid, "points.unit_not_transferable", "Points of this unit cannot be transferred.", "该类型积分不可转赠。")
	ErrToSelf         = apperr.Define(apperr.Invalid, "points.transfer_to_self", "Points cannot be transferred to the member they come from.", "不能转赠给本人。")
	ErrRecipient      = apperr.Define(apperr.Invalid, "points.recipient_unknown", "There is no such customer, or they lie outside your scope.", "受赠顾客不存在，或不在您的权限范围内。")
	ErrHoldEnds       = apperr.Define(apperr.Invalid, "points.hold_ends_invalid", "A hold ends within the next 90 days, not in the past.", "冻结到期时间须在未来 90 天内。")
	ErrExpiry         = apperr.Define(apperr.Invalid, "points.expiry_invalid", "Days are counted from 1 on.", "按天过期时天数须不小于 1。")
	ErrRedeemRate     = apperr.Define(apperr.Invalid, "points.redeem_rate_invalid", "Give redeem_points and redeem_amount both, or neither.", "积分抵现比例须同时设置积分数与金额。")
	ErrPartnerKey     = apperr.Define(apperr.Invalid, "points.partner_key", "There is no such API key, or it is another partner's.", "API 密钥不存在，或已属于其他合作方。")
	ErrPartnerRate    = apperr.Define(apperr.Invalid, "points.partner_rate", "A rate names a unit that there is and a day, once, and days that are past stay as they are.", "费率须指定存在的积分类型和日期（不可重复），且不可更改已生效日期的费率。")
	ErrPeriod         = apperr.Define(apperr.Invalid, "points.period", "A period is of a year at most and ends on or after its first day.", "期间最长一年，且结束日期不得早于开始日期。")
	ErrRuleTerms      = apperr.Define(apperr.Invalid, "points.rule_terms", "A rule of this kind needs {needed}, and has no other kind's terms.", "此类规则必须且只能设置：{needed}。")
	ErrRulePeriod     = apperr.Define(apperr.Invalid, "points.rule_period", "A rule ends after it starts.", "规则结束时间须晚于开始时间。")
	ErrRuleCondition  = apperr.Define(apperr.Invalid, "points.rule_condition", "There is no such thing: {value}.", "条件中的对象不存在：{value}。")
	ErrRuleUnmeant    = apperr.Define(apperr.Invalid, "points.rule_condition_unmeant", "This condition says nothing about rules of this kind.", "此条件不适用于该类规则。")
	ErrPreviewLine    = apperr.Define(apperr.Invalid, "points.preview_line", "Name a variant that there is, by variant_id or sku.", "请以 variant_id 或 sku 指定存在的商品。")
	ErrPreviewStore   = apperr.Define(apperr.Invalid, "points.store_unknown", "There is no such store.", "门店不存在。")
	ErrLongAgo        = apperr.Define(apperr.Invalid, "points.instant_too_old", "That happened more than a year ago.", "发生时间不能早于一年前。")
	ErrGrantCustomer  = apperr.Define(apperr.Invalid, "points.grant_customer_unknown", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")
	ErrNeedsApproval  = apperr.Define(apperr.Invalid, "points.needs_approval", "More than {limit} points need somebody else's approval: ask for an adjustment.", "超过 {limit} 分须他人审批，请提交积分调整单。")
	ErrLongExpired    = apperr.Define(apperr.Invalid, "points.expired_already", "Points expire after now.", "到期时间须晚于当前时间。")
	ErrNoPaying       = apperr.Define(apperr.Invalid, "points.no_paying", "Points do not pay here.", "积分不可抵现。")
	ErrPointsStep     = apperr.Define(apperr.Invalid, "points.redeem_step", "{points} points pay {amount} minor units: give a number that pays a whole amount.", "{points} 积分抵 {amount} 分，请填写可整除的积分数。")
	ErrPointsShare    = apperr.Define(apperr.Invalid, "points.redeem_share", "Points pay {percent} per cent of an order at most: {most} points here.", "积分最多抵扣订单的 {percent}%，本单最多可用 {most} 积分。")
	ErrReason         = apperr.Define(apperr.Invalid, "points.reason_needed", "Say why.", "请填写原因。")
	ErrInstant        = apperr.Define(apperr.Invalid, "points.instant_in_the_future", "That has not happened yet.", "时间不能晚于当前时间。")
	ErrPointsOverflow = apperr.Define(apperr.Invalid, "points.too_many", "That is more than points are counted up to.", "积分超出可计数范围。")
)

// EventChanged: what a member has of points changed. Its subject is the customer.
var EventChanged = events.Define("points.changed", "会员积分发生变动", "A member's points changed.")
