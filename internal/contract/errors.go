package contract

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Codes of the single faults in a request; the problem itself carries
// request.invalid, or request.malformed_json when nothing could be read.
var (
	errSyntax            = apperr.Define(apperr.Malformed, "request.syntax", "The JSON goes wrong at byte {offset}.", "JSON 在第 {offset} 字节处有误。")
	errBodyUnexpected    = apperr.Define(apperr.Malformed, "request.body_unexpected", "This operation takes no body.", "此操作不接受请求体。")
	errRequired          = apperr.Define(apperr.Invalid, "request.required", "This is required.", "此项必填。")
	errUnknownField      = apperr.Define(apperr.Invalid, "request.unknown_field", "There is no such field here.", "此处没有这个字段。")
	errDuplicateField    = apperr.Define(apperr.Invalid, "request.duplicate_field", "A field is given twice in one object.", "同一对象中有重复的字段。")
	errUnknownParameter  = apperr.Define(apperr.Invalid, "request.unknown_parameter", "There is no such query parameter here.", "此处没有这个查询参数。")
	errRepeatedParameter = apperr.Define(apperr.Invalid, "request.repeated_parameter", "This query parameter may be given only once.", "该查询参数只能出现一次。")
	errType              = apperr.Define(apperr.Invalid, "request.type", "Must be of type {expected}.", "类型必须是 {expected}。")
	errNotNull           = apperr.Define(apperr.Invalid, "request.not_null", "Must not be null.", "不能为 null。")
	errEnum              = apperr.Define(apperr.Invalid, "request.enum", "Must be one of: {allowed}.", "必须是下列值之一：{allowed}。")
	errMinimum           = apperr.Define(apperr.Invalid, "request.minimum", "Must be at least {min}.", "不能小于 {min}。")
	errMaximum           = apperr.Define(apperr.Invalid, "request.maximum", "Must be at most {max}.", "不能大于 {max}。")
	errMinLength         = apperr.Define(apperr.Invalid, "request.min_length", "Must have at least {min} characters.", "至少需要 {min} 个字符。")
	errMaxLength         = apperr.Define(apperr.Invalid, "request.max_length", "Must have at most {max} characters.", "最多 {max} 个字符。")
	errPattern           = apperr.Define(apperr.Invalid, "request.pattern", "Must have the form {pattern}.", "必须符合格式 {pattern}。")
	errFormatInvalid     = apperr.Define(apperr.Invalid, "request.format", "Is not a valid {format}.", "不是合法的 {format}。")
	errMinItems          = apperr.Define(apperr.Invalid, "request.min_items", "Must have at least {min} items.", "至少需要 {min} 项。")
	errMaxItems          = apperr.Define(apperr.Invalid, "request.max_items", "Must have at most {max} items.", "最多 {max} 项。")
	errUniqueItems       = apperr.Define(apperr.Invalid, "request.unique_items", "Must not hold an item twice.", "不能有重复的项。")
	errMultipleOf        = apperr.Define(apperr.Invalid, "request.multiple_of", "Must be a multiple of {step}.", "必须是 {step} 的倍数。")
	errProperties        = apperr.Define(apperr.Invalid, "request.properties", "Has too few or too many fields.", "字段数量过少或过多。")
	errValue             = apperr.Define(apperr.Invalid, "request.value", "Does not have the form described in the contract.", "不符合接口约定的形式。")
)
