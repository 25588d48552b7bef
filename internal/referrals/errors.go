package referrals

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of referrals.
var (
	ErrNotFound         = apperr.Define(apperr.NotFound, "referrals.not_found", "There is no such referral.", "推荐记录不存在。")
	ErrCodeNotFound     = apperr.Define(apperr.NotFound, "referrals.code_not_found", "There is no such referral code.", "推荐码不存在。")
	ErrCustomerNotFound = apperr.Define(apperr.NotFound, "referrals.customer_not_found", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")

	ErrAlready = apperr.Define(apperr.Conflict, "referrals.already_referred", "This customer came by a code already.", "该顾客已使用过推荐码。")
	ErrState   = apperr.Define(apperr.Conflict, "referrals.state", "That cannot be done to a referral in this state: {status}.", "推荐记录当前状态（{status}）不允许此操作。")

	ErrOff      = apperr.Define(apperr.Invalid, "referrals.programme_off", "There is no referral programme now.", "推荐活动未开启。")
	ErrCode     = apperr.Define(apperr.Invalid, "referrals.code_unknown", "There is no such code, or it is disabled.", "推荐码不存在或已停用。")
	ErrCustomer = apperr.Define(apperr.Invalid, "referrals.customer_unknown", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")
	ErrSelf     = apperr.Define(apperr.Invalid, "referrals.self", "Nobody can invite themselves.", "不能推荐本人。")
	ErrCyclic   = apperr.Define(apperr.Invalid, "referrals.cyclic", "Whoever brought a member, at whatever remove, cannot come by that member's code.", "推荐关系不能循环。")
	ErrNotNew   = apperr.Define(apperr.Invalid, "referrals.not_new", "Only customers who came within the last {days} days and have not bought yet can name a code.", "仅限 {days} 天内注册且尚未消费的新顾客使用推荐码。")
	ErrReason   = apperr.Define(apperr.Invalid, "referrals.reason_needed", "Say why.", "请填写原因。")
	ErrUnit     = apperr.Define(apperr.Invalid, "referrals.unit_unknown", "There is no such unit of points.", "积分类型不存在。")
	ErrLink     = apperr.Define(apperr.Invalid, "referrals.link_without_code", "A link begins with https:// and holds {code} once.", "推荐链接须以 https:// 开头并包含一个 {code}。")
)

// Domain events. Their subject is the customer who came.
var (
	EventRegistered = events.Define("referral.registered", "顾客使用了推荐码", "A customer came by another one's code.")
	EventRewarded   = events.Define("referral.rewarded", "推荐奖励已发放", "Both sides of a referral were rewarded.")
	EventHeld       = events.Define("referral.held", "推荐奖励待人工审核", "A referral waits for somebody to decide.")
	EventReversed   = events.Define("referral.reversed", "推荐奖励已收回", "What a referral gave was taken back.")
)
