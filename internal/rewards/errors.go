package rewards

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of rewards.
var (
	ErrRewardNotFound     = apperr.Define(apperr.NotFound, "rewards.not_found", "There is no such reward.", "奖品不存在。")
	ErrRedemptionNotFound = apperr.Define(apperr.NotFound, "rewards.redemption_not_found", "There is no such redemption, or it lies outside your scope.", "兑换记录不存在，或不在您的权限范围内。")
	ErrCustomer           = apperr.Define(apperr.Invalid, "rewards.customer_unknown", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")
	ErrReward             = apperr.Define(apperr.Invalid, "rewards.unknown", "There is no such reward.", "奖品不存在。")
	ErrStore              = apperr.Define(apperr.Invalid, "rewards.store_invalid", "A gift is handed out in a store there is, and only a gift.", "仅礼品须指定领取门店，且门店必须存在。")
	ErrVariant            = apperr.Define(apperr.Invalid, "rewards.variant_invalid", "A gift has a variant there is, and only a gift.", "仅礼品须指定商品规格，且规格必须存在。")
	ErrUnit               = apperr.Define(apperr.Invalid, "rewards.unit_unknown", "There is no such unit of points that can be spent.", "积分类型不存在或不可消费。")
	ErrPeriod             = apperr.Define(apperr.Invalid, "rewards.validity_invalid", "A reward ends after it begins.", "结束时间须晚于开始时间。")
	ErrNoCoupon           = apperr.Define(apperr.Conflict, "rewards.no_coupon", "Only coupons have codes.", "仅优惠券类奖品可上传券码。")
	ErrLimitBelow         = apperr.Define(apperr.Conflict, "rewards.limit_below_redeemed", "So many have been redeemed already: {redeemed}.", "已兑换 {redeemed} 份，上限不能低于此数。")
	ErrNotNow             = apperr.Define(apperr.Conflict, "rewards.not_available", "The reward cannot be had now.", "该奖品当前不可兑换。")
	ErrNotEligible        = apperr.Define(apperr.Conflict, "rewards.not_eligible", "The reward is for members of other tiers.", "当前会员等级不可兑换该奖品。")
	ErrGone               = apperr.Define(apperr.Conflict, "rewards.gone", "Nothing of the reward is left.", "该奖品已兑完。")
	ErrMemberLimit        = apperr.Define(apperr.Conflict, "rewards.member_limit", "A member can have it {limit} times.", "每位会员限兑 {limit} 次。")
	ErrPeriodLimit        = apperr.Define(apperr.Conflict, "rewards.period_limit", "A member can have it {limit} times in a {period}.", "每位会员每周期（{period}）限兑 {limit} 次。")
	ErrState              = apperr.Define(apperr.Conflict, "rewards.redemption_state", "That cannot be done to a redemption in this state: {status}.", "兑换记录当前状态（{status}）不允许此操作。")
)

// Events of rewards; their subject is the redemption.
var (
	EventRedeemed  = events.Define("reward.redeemed", "会员兑换了奖品", "A member redeemed a reward.")
	EventFulfilled = events.Define("reward.fulfilled", "奖品已发放", "A reward was handed out.")
	EventCancelled = events.Define("reward.cancelled", "奖品兑换已取消", "A redemption was cancelled.")
	EventExpired   = events.Define("reward.expired", "奖品兑换已过期", "A redemption expired.")
)
