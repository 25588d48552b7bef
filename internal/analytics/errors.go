package analytics

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// ErrRefreshRunning refuses a second refresh.
var ErrRefreshRunning = apperr.Define(apperr.Conflict, "analytics.refresh_running", "The records are being judged already.", "数据质量正在重新计算中。")
