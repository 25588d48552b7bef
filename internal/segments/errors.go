package segments

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/lifecycle"
	"github.com/shuke-crm/shuke/internal/platform/rfm"
)

// Errors of this domain.
var (
	ErrSettings = apperr.Define(apperr.Invalid, "segments.rfm_settings_invalid", "The settings cannot be used; see errors.", "设置无效，详见 errors。")

	ErrWindow         = apperr.Define(apperr.Invalid, "segments.rfm_window_invalid", "A window has 1 to 3650 days.", "统计窗口须为 1 到 3650 天。")
	ErrBandsTooMany   = apperr.Define(apperr.Invalid, "segments.rfm_bands_too_many", "There are at most 20 bands.", "最多 20 个分层。")
	ErrBandCode       = apperr.Define(apperr.Invalid, "segments.rfm_band_code_invalid", "A band's code is unique and has lower case letters, digits and _.", "分层代码须唯一，且只含小写字母、数字和下划线。")
	ErrBandEmpty      = apperr.Define(apperr.Invalid, "segments.rfm_band_empty", "A band needs a condition.", "分层至少需要一个条件。")
	ErrBandNegative   = apperr.Define(apperr.Invalid, "segments.rfm_band_negative", "Days and counts of a band are not negative.", "分层的天数和次数不能为负。")
	ErrBandImpossible = apperr.Define(apperr.Invalid, "segments.rfm_band_impossible", "Nobody can be in this band: its conditions exclude each other.", "该分层的条件互相矛盾，不会有顾客属于它。")
)

// Errors of lifecycle rules.
var (
	ErrLifecycle           = apperr.Define(apperr.Invalid, "lifecycle.rules_invalid", "The rules cannot be used; see errors.", "规则无效，详见 errors。")
	ErrLifecycleTooMany    = apperr.Define(apperr.Invalid, "lifecycle.rules_too_many", "There are at most 20 rules.", "最多 20 条规则。")
	ErrLifecycleCode       = apperr.Define(apperr.Invalid, "lifecycle.rule_code_invalid", "A rule's code is unique and has lower case letters, digits and _.", "规则代码须唯一，且只含小写字母、数字和下划线。")
	ErrLifecycleStage      = apperr.Define(apperr.Invalid, "lifecycle.stage_unknown", "There is no such stage.", "没有这个阶段。")
	ErrLifecycleBand       = apperr.Define(apperr.Invalid, "lifecycle.rfm_band_unknown", "The RFM settings have no such band.", "RFM 设置中没有这个分层。")
	ErrLifecycleEmpty      = apperr.Define(apperr.Invalid, "lifecycle.rule_empty", "A rule needs a condition.", "规则至少需要一个条件。")
	ErrLifecycleNegative   = apperr.Define(apperr.Invalid, "lifecycle.rule_negative", "Days and counts of a rule are not negative.", "规则的天数和次数不能为负。")
	ErrLifecycleImpossible = apperr.Define(apperr.Invalid, "lifecycle.rule_impossible", "Nobody can meet this rule: its conditions exclude each other.", "该规则的条件互相矛盾，不会有顾客满足。")
)

var lifecycleFaults = map[lifecycle.Fault]*apperr.Definition{
	lifecycle.FaultTooMany: ErrLifecycleTooMany, lifecycle.FaultCode: ErrLifecycleCode, lifecycle.FaultStage: ErrLifecycleStage, lifecycle.FaultBand: ErrLifecycleBand,
	lifecycle.FaultEmpty: ErrLifecycleEmpty, lifecycle.FaultNegative: ErrLifecycleNegative, lifecycle.FaultImpossible: ErrLifecycleImpossible,
}

// faults are the errors for what can be wrong with settings.
var faults = map[rfm.Fault]*apperr.Definition{
	rfm.FaultWindow: ErrWindow, rfm.FaultTooMany: ErrBandsTooMany, rfm.FaultCode: ErrBandCode,
	rfm.FaultEmpty: ErrBandEmpty, rfm.FaultNegative: ErrBandNegative, rfm.FaultImpossible: ErrBandImpossible,
}
