package segments

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
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

// faults are the errors for what can be wrong with settings.
var faults = map[rfm.Fault]*apperr.Definition{
	rfm.FaultWindow: ErrWindow, rfm.FaultTooMany: ErrBandsTooMany, rfm.FaultCode: ErrBandCode,
	rfm.FaultEmpty: ErrBandEmpty, rfm.FaultNegative: ErrBandNegative, rfm.FaultImpossible: ErrBandImpossible,
}
