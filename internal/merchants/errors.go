package merchants

import (
	"fmt"

	"github.com/shuke-crm/shuke/ent/platform"
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/db"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of this domain.
var (
	ErrNotFound  = apperr.Define(apperr.NotFound, "merchants.not_found", "There is no such merchant.", "商户不存在。")
	ErrCodeTaken = apperr.Define(apperr.Conflict, "merchants.code_taken", "A merchant with this code exists.", "该商户代码已存在。")
	ErrInUse     = apperr.Define(apperr.Conflict, "merchants.in_use", "A store or a grant refers to this merchant.", "该商户仍被门店或授权引用。")
	ErrBlank     = apperr.Define(apperr.Invalid, "merchants.blank", "This needs at least one visible character.", "至少需要一个可见字符。")
)

var (
	eventCreated = events.Define("merchant.created", "新建了商户", "A merchant was created")
	eventUpdated = events.Define("merchant.updated", "商户已更改", "A merchant was changed")
	eventDeleted = events.Define("merchant.deleted", "商户已删除", "A merchant was deleted")
)

func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case platform.IsNotFound(err):
		return ErrNotFound.New()
	case db.Violated(err) == "merchants_code_expr_key":
		return ErrCodeTaken.At("/code")
	default:
		return fmt.Errorf("merchant: %w", err)
	}
}
