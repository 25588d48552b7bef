package timeline

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of this domain.
var (
	ErrNoteNotFound = apperr.Define(apperr.NotFound, "notes.not_found", "There is no such note about this customer.", "该顾客没有此备注。")
	ErrNotYours     = apperr.Define(apperr.Forbidden, "notes.not_yours", "Somebody else wrote this; changing it takes the permission notes.manage.", "此内容由他人撰写，修改需要 notes.manage 权限。")
	ErrBlank        = apperr.Define(apperr.Invalid, "notes.blank", "Write at least one visible character.", "请至少输入一个可见字符。")
	ErrMention      = apperr.Define(apperr.Invalid, "notes.mention_invalid", "There is no such active member of staff who may read this customer's notes.", "没有该在职员工，或其无权查看该顾客的备注。")
)

var (
	eventNoteCreated = events.Define("note.created", "撰写了顾客备注", "A note about a customer was written.")
	eventNoteUpdated = events.Define("note.updated", "修改了顾客备注", "A note about a customer was changed.")
	eventNoteDeleted = events.Define("note.deleted", "删除了顾客备注", "A note about a customer was deleted.")
)
