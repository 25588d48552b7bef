package segments

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Errors of this domain.
var (
	ErrSettings = apperr.Define(apperr.Invalid, "segments.rfm_settings_invalid", "The settings cannot be used: {reason}.", "设置无效：{reason}。")
)
