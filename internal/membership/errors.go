package membership

import (
	"github.com/google/uuid"

	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of membership.
var (
	ErrTierNotFound     = apperr.Define(apperr.NotFound, "membership.tier_not_found", "There is no such tier.", "会员等级不存在。")
	ErrVersionNotFound  = apperr.Define(apperr.NotFound, "membership.scheme_version_not_found", "There is no such version of the scheme.", "等级规则版本不存在。")
	ErrCustomerNotFound = apperr.Define(apperr.NotFound, "membership.customer_not_found", "There is no such customer, or they lie outside your scope.", "顾客不存在，或不在您的权限范围内。")
	ErrGrantNotFound    = apperr.Define(apperr.NotFound, "membership.grant_not_found", "There is no such grant.", "等级授予记录不存在。")

	ErrCodeTaken = apperr.Define(apperr.Conflict, "membership.tier_code_taken", "There is a tier with this code already.", "会员等级代码已存在。")
	ErrRankTaken = apperr.Define(apperr.Conflict, "membership.rank_taken", "Another tier has this rank.", "已有等级使用该级别。")
	ErrGrantOver = apperr.Define(apperr.Conflict, "membership.grant_over", "The grant is over already.", "该等级授予已结束。")

	ErrTier       = apperr.Define(apperr.Invalid, "membership.tier_unknown", "There is no such tier.", "会员等级不存在。")
	ErrName       = apperr.Define(apperr.Invalid, "membership.name_needed", "Say what it is called.", "请填写名称。")
	ErrUnit       = apperr.Define(apperr.Invalid, "membership.unit_unknown", "There is no such unit of points.", "积分类型不存在。")
	ErrUnitNotFor = apperr.Define(apperr.Invalid, "membership.unit_of_points_only", "Only conditions on points have a unit.", "仅积分条件可指定积分类型。")
	ErrWindowDays = apperr.Define(apperr.Invalid, "membership.window_days_invalid", "Give window_days with rolling_days, and only then.", "仅滚动天数统计期须填写 window_days。")
	ErrCount      = apperr.Define(apperr.Invalid, "membership.validity_count_invalid", "Give validity_count with days and months, and only then.", "仅按天或按月有效时须填写 validity_count。")
	ErrUntil      = apperr.Define(apperr.Invalid, "membership.until_in_the_past", "A grant ends in the future.", "授予截止时间须晚于当前时间。")
	ErrReason     = apperr.Define(apperr.Invalid, "membership.reason_needed", "Say why.", "请填写原因。")
)

// Events of membership. The subject of EventTierChanged is the customer, its
// payload a TierChange; that of EventSchemeChanged is the version of the scheme.
var (
	EventTierChanged   = events.Define("membership.tier_changed", "会员等级发生变化", "A member is in another tier.")
	EventSchemeChanged = events.Define("membership.scheme_changed", "会员等级规则发生变化", "The tiers or their rules were changed.")
)

// TierChange is the payload of EventTierChanged; empty codes are no tier.
type TierChange struct {
	CustomerID uuid.UUID `json:"customer_id"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Reason     Reason    `json:"reason"`
}
