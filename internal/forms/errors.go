package forms

import (
	"github.com/shuke-crm/shuke/internal/platform/apperr"
	"github.com/shuke-crm/shuke/internal/platform/events"
)

// Errors of this domain.
var (
	ErrNotFound        = apperr.Define(apperr.NotFound, "forms.not_found", "There is no such form, or not for you.", "找不到该表单，或您无权使用。")
	ErrDuplicate       = apperr.Define(apperr.Conflict, "forms.duplicate", "Another form has this code.", "已有使用该代码的表单。")
	ErrCount           = apperr.Define(apperr.Conflict, "forms.too_many", "There are {max} forms already.", "表单已达 {max} 个。")
	ErrDefinition      = apperr.Define(apperr.Invalid, "forms.definition_invalid", "This does not fit the rest of the form, or names a field that does not exist.", "该设置与表单其他部分不符，或引用了不存在的字段。")
	ErrNotPublished    = apperr.Define(apperr.Conflict, "forms.not_published", "The form is not published.", "该表单未发布。")
	ErrVersion         = apperr.Define(apperr.Conflict, "forms.version_changed", "Another version of the form was published since. Show that one.", "该表单已发布新版本，请展示新版本。")
	ErrKnown           = apperr.Define(apperr.Conflict, "forms.known_already", "There is a customer with these identifiers already.", "已有使用这些标识的顾客。")
	ErrAnswerUnknown   = apperr.Define(apperr.Invalid, "forms.answer_unknown", "The form does not ask this.", "表单没有此项。")
	ErrAnswerNeeded    = apperr.Define(apperr.Invalid, "forms.answer_required", "The form requires an answer to this.", "此项为必填。")
	ErrAnswer          = apperr.Define(apperr.Invalid, "forms.answer_invalid", "This is no answer to the question.", "该回答不符合题目要求。")
	ErrConsentUnknown  = apperr.Define(apperr.Invalid, "forms.consent_unknown", "The form does not ask for this consent, or it is named twice.", "表单未征求此项同意，或该项重复。")
	ErrConsentNeeded   = apperr.Define(apperr.Invalid, "forms.consent_required", "The form requires the consent for {purpose}.", "表单须取得 {purpose} 的同意。")
	ErrSubmissionFound = apperr.Define(apperr.NotFound, "forms.submission_not_found", "There is no such submission, or not for you.", "找不到该提交记录，或您无权查看。")
)

// EventSubmitted tells that a form was handed in; the subject is the customer.
var EventSubmitted = events.Define("form.submitted", "提交了表单", "A form about a customer was handed in.")
