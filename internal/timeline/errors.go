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

	ErrAttachmentNotFound = apperr.Define(apperr.NotFound, "attachments.not_found", "There is no such file about this customer.", "该顾客没有此附件。")
	ErrNoThumbnail        = apperr.Define(apperr.NotFound, "attachments.no_thumbnail", "This file is no picture and has no thumbnail.", "该附件不是图片，没有缩略图。")
	ErrLink               = apperr.Define(apperr.NotFound, "attachments.link_invalid", "This link leads nowhere, or its time is over. Read the attachment again for a fresh one.", "链接无效或已过期，请重新读取附件以获取新链接。")
	ErrFilePart           = apperr.Define(apperr.Invalid, "attachments.file_needed", "Send one file, as the part named file.", "请在名为 file 的部分中上传一个文件。")
	ErrPart               = apperr.Define(apperr.Invalid, "attachments.part_invalid", "There is no such part of an upload, or it says nothing that is allowed.", "上传中没有此部分，或其内容不在允许范围内。")
	ErrCaption            = apperr.Define(apperr.Invalid, "attachments.caption_invalid", "A caption is text of at most {max} characters.", "说明文字不能超过 {max} 个字符。")
	ErrFileEmpty          = apperr.Define(apperr.Invalid, "attachments.empty", "The file is empty.", "文件为空。")
	ErrFileSize           = apperr.Define(apperr.Invalid, "attachments.too_large", "The file is larger than {max} bytes.", "文件超过 {max} 字节。")
	ErrFileType           = apperr.Define(apperr.Invalid, "attachments.type_refused", "Only JPEG, PNG, GIF, WebP and PDF can be attached; this is something else, whatever its name.", "仅支持 JPEG、PNG、GIF、WebP 和 PDF，该文件实际不是这些格式。")
	ErrPictureType        = apperr.Define(apperr.Invalid, "attachments.picture_type", "A picture is JPEG, PNG or WebP; this is something else, whatever its name.", "图片仅支持 JPEG、PNG 或 WebP，该文件（无论扩展名）为其他类型。")
	ErrPicturePixels      = apperr.Define(apperr.Invalid, "attachments.too_many_pixels", "The picture has more than {max} pixels.", "图片超过 {max} 像素。")
	ErrPictureBroken      = apperr.Define(apperr.Invalid, "attachments.picture_broken", "The picture is damaged or cut short.", "图片已损坏或不完整。")
	ErrUploadSlow         = apperr.Define(apperr.Conflict, "attachments.upload_expired", "The upload took too long. Send it again.", "上传耗时过长，请重新上传。")
	ErrStorage            = apperr.Define(apperr.Unavailable, "attachments.storage_unavailable", "The store of files does not answer. Try again later.", "文件存储暂不可用，请稍后重试。")
)

var (
	eventAttachmentCreated = events.Define("attachment.created", "上传了顾客附件", "A file about a customer was attached.")
	eventAttachmentUpdated = events.Define("attachment.updated", "修改了顾客附件的说明", "What is said about an attached file was changed.")
	eventAttachmentDeleted = events.Define("attachment.deleted", "删除了顾客附件", "A file about a customer was deleted.")

	eventNoteCreated = events.Define("note.created", "撰写了顾客备注", "A note about a customer was written.")
	eventNoteUpdated = events.Define("note.updated", "修改了顾客备注", "A note about a customer was changed.")
	eventNoteDeleted = events.Define("note.deleted", "删除了顾客备注", "A note about a customer was deleted.")
)
